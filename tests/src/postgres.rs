//! Debian's PostgreSQL with a cluster of its own, and psql to look into it.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Server, free_port, need, run, wait_for};

/// Where Debian keeps the programs of each version; the server's are not in the path.
const VERSIONS: &str = "/usr/lib/postgresql";
/// Nobody: the server does not run as root.
const NOBODY: u32 = 65_534;
/// The superuser and the database of the tests.
const OWNER: &str = "owner";

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    port: u16,
    programs: PathBuf,
    folder: TempDir,
    server: Option<Server>,
}

impl Postgres {
    /// Makes a cluster and starts it on a free port. It has one superuser, `owner`, with the password `owner`, and a database of
    /// that name. With `tls` it takes no other connections, and its certificate, of `localhost`, is signed by `ca.pem`.
    ///
    /// # Errors
    /// What is missing on this machine, or why it did not come up.
    pub fn start(tls: bool) -> Result<Postgres> {
        let folder = tempfile::Builder::new().prefix("sinyal-postgres").tempdir()?;
        let mut postgres = Postgres { port: free_port()?, programs: programs()?, folder, server: None };
        if is_root() {
            chown(postgres.folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let data = postgres.file("data");
        let mut init = postgres.command("initdb");
        init.args(["--username", OWNER, "--auth", "trust", "--no-sync", "--encoding", "UTF8", "--locale", "C.UTF-8"]);
        run(init.arg("--pgdata").arg(&data))?;
        let how = if tls { "hostssl" } else { "host" };
        let hba = format!("local all all trust\n{how} all all 127.0.0.1/32 scram-sha-256\n");
        std::fs::write(data.join("pg_hba.conf"), hba)?;
        let mut settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nmax_connections = 30\n\
             shared_buffers = 32MB\n",
            postgres.port,
            postgres.folder.path().display()
        );
        if tls {
            postgres.make_certificates()?;
            settings += "ssl = on\nssl_cert_file = '../server.pem'\nssl_key_file = '../server.key'\n";
        }
        let mut file = std::fs::File::options().append(true).open(data.join("postgresql.conf"))?;
        file.write_all(settings.as_bytes())?;
        postgres.restart()?;
        postgres.execute_in("postgres", &format!("CREATE DATABASE {OWNER}"))?;
        postgres.execute(&format!("ALTER ROLE {OWNER} PASSWORD '{OWNER}'"))?;
        Ok(postgres)
    }

    /// A URL for a user, without a password.
    pub fn url(&self, user: &str) -> String {
        format!("postgresql://{user}@localhost:{}/{OWNER}", self.port)
    }

    /// A URL by the socket, where nobody asks for a password.
    pub fn socket_url(&self, user: &str) -> String {
        let folder = self.folder.path().display().to_string().replace('/', "%2F");
        format!("postgresql://{user}@{folder}:{}/{OWNER}", self.port)
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The rows of a query, each as an object.
    ///
    /// # Errors
    /// If it fails.
    pub fn query(&self, sql: &str) -> Result<Vec<Value>> {
        let said = self.psql(OWNER, &format!("SELECT row_to_json(r) FROM ({sql}) AS r"))?;
        // A value that was JSON before may hold line breaks.
        serde_json::Deserializer::from_str(&said).into_iter().map(|row| Ok(row?)).collect()
    }

    /// The one value of a query.
    ///
    /// # Errors
    /// If it fails, or gives no row.
    pub fn value(&self, sql: &str) -> Result<Value> {
        let rows = self.query(sql)?;
        let row = rows.first().and_then(Value::as_object).context("a row")?;
        Ok(row.values().next().context("a column")?.clone())
    }

    /// Carries out statements.
    ///
    /// # Errors
    /// If one fails.
    pub fn execute(&self, sql: &str) -> Result<()> {
        self.execute_in(OWNER, sql)
    }

    /// The same as another user.
    ///
    /// # Errors
    /// If one fails.
    pub fn execute_as(&self, user: &str, sql: &str) -> Result<String> {
        let mut psql = self.psql_in(OWNER);
        run(psql.args(["--username", user, "--command", sql]))
    }

    fn execute_in(&self, database: &str, sql: &str) -> Result<()> {
        self.psql(database, sql).map(drop)
    }

    fn psql(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.psql_in(database);
        run(psql.args(["--username", OWNER, "--command", sql]))
    }

    fn psql_in(&self, database: &str) -> Command {
        // Debian's own `psql` is a script around it.
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set", "ON_ERROR_STOP=1"]);
        psql.args(["--dbname", database, "--port", &self.port.to_string(), "--host"]).arg(self.folder.path());
        psql.env("PGTZ", "UTC").stdin(Stdio::null());
        psql
    }

    /// A session that does something for as long as it is not killed.
    ///
    /// # Errors
    /// If psql cannot be started.
    pub fn session(&self, sql: &str) -> Result<Session> {
        let mut psql = self.psql_in(OWNER);
        psql.args(["--username", OWNER, "--command", sql]).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Session(Server::start(psql)?))
    }

    /// Ends it, as whoever restarts it would: sessions are broken off.
    ///
    /// # Errors
    /// If it does not end within a minute.
    pub fn stop(&mut self) -> Result<()> {
        let Some(mut server) = self.server.take() else { return Ok(()) };
        server.signal(libc::SIGINT);
        wait_for("PostgreSQL to end", Duration::from_secs(60), || Ok(server.0.try_wait()?.is_some()))
    }

    /// Kills it without a word.
    pub fn kill(&mut self) {
        self.server = None;
    }

    /// Starts it again on the same port and data.
    ///
    /// # Errors
    /// If it does not answer within a minute.
    pub fn restart(&mut self) -> Result<()> {
        let end = std::time::Instant::now() + Duration::from_secs(60);
        loop {
            let log = std::fs::File::options().create(true).append(true).open(self.file("log"))?;
            let mut command = self.command("postgres");
            command.arg("-D").arg(self.file("data")).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
            let mut server = Server::start(command)?;
            let mut ended = false;
            wait_for("PostgreSQL", Duration::from_secs(60), || {
                ended = server.0.try_wait()?.is_some();
                Ok(ended || self.execute_in("postgres", "SELECT 1").is_ok())
            })?;
            if !ended {
                self.server = Some(server);
                return Ok(());
            }
            // Processes of one that was killed hold its memory for a moment.
            let log = std::fs::read_to_string(self.file("log"))?;
            ensure!(std::time::Instant::now() < end, "PostgreSQL does not start: {log}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// A program of the server, as somebody who may run it.
    fn command(&self, program: &str) -> Command {
        let path = self.programs.join(program);
        let mut command = if is_root() {
            let nobody = NOBODY.to_string();
            let mut command = Command::new("setpriv");
            // Who becomes somebody else outlives its parent, unless it is said again.
            command.args(["--pdeathsig", "KILL", "--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
            command.arg(path);
            command
        } else {
            Command::new(path)
        };
        command.current_dir(self.folder.path()).env("PGTZ", "UTC");
        command
    }

    /// A certificate of `localhost` and of a client, signed by `ca.pem`; `other-ca.pem` signed nothing.
    fn make_certificates(&self) -> Result<()> {
        need("openssl", "openssl")?;
        let path = |name: &str| self.file(name).display().to_string();
        for ca in ["ca", "other-ca"] {
            let (key, certificate) = (path(&format!("{ca}.key")), path(&format!("{ca}.pem")));
            let mut command = Command::new("openssl");
            command.args([
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "2",
            ]);
            run(command.args(["-subj", "/CN=tests", "-keyout", &key, "-out", &certificate]))?;
        }
        let (request, key, certificate) = (path("server.csr"), path("server.key"), path("server.pem"));
        let mut command = Command::new("openssl");
        command.args(["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        run(command.args(["-subj", "/CN=localhost", "-keyout", &key, "-out", &request]))?;
        let names = path("names");
        std::fs::write(&names, "subjectAltName=DNS:localhost\n")?;
        let mut command = Command::new("openssl");
        command.args([
            "x509",
            "-req",
            "-days",
            "2",
            "-in",
            &request,
            "-CA",
            &path("ca.pem"),
            "-CAkey",
            &path("ca.key"),
        ]);
        run(command.args(["-CAcreateserial", "-extfile", &names, "-out", &certificate]))?;
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
        if is_root() {
            chown(&key, Some(NOBODY), Some(NOBODY))?;
        }
        Ok(())
    }
}

/// A session of psql.
#[derive(Debug)]
pub struct Session(Server);

impl Session {
    /// Ends it; its transaction is over soon after.
    pub fn kill(mut self) {
        self.0.kill();
    }
}

/// The programs of the newest version that is there.
fn programs() -> Result<PathBuf> {
    let folders =
        std::fs::read_dir(VERSIONS).context("PostgreSQL is missing; on Debian: apt-get install -y postgresql")?;
    let version = |folder: &Path| folder.file_name()?.to_str()?.parse::<u32>().ok();
    let programs = folders.flatten().map(|entry| entry.path()).filter(|path| path.join("bin/initdb").exists());
    let newest = programs.max_by_key(|path| version(path)).map(|path| path.join("bin"));
    newest.context("no initdb below /usr/lib/postgresql; on Debian: apt-get install -y postgresql")
}

fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    #[allow(unsafe_code)]
    unsafe {
        libc::geteuid() == 0
    }
}
