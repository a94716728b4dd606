//! The database that dashboards read: where it is, as whom to go there, how much at once.

use std::path::{Path, PathBuf};

use tokio_postgres::config::{Host, SslMode as Negotiated};

use super::reader::Reader;
use super::validate::group;

/// What PostgreSQL takes for a name, in bytes.
const NAME_BYTES_MAX: usize = 63;
/// Most windows that can be named: as many as there can be.
const WINDOWS_MAX: usize = 64;

/// The sink role.
#[derive(Debug, Clone)]
pub(crate) struct Sink {
    pub(crate) group_id: String,
    /// Where the database is, without a password.
    pub(crate) server: tokio_postgres::Config,
    /// Read for each connection, so that a new password needs no restart.
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) ssl_mode: SslMode,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) cert_file: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    /// With the generation.
    pub(crate) schema: String,
    pub(crate) batch_rows: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) interval_ms: u64,
    pub(crate) timeout_ms: u64,
    pub(crate) retention_days: i64,
    pub(crate) text: bool,
    /// Those whose panes are written; all if there is none.
    pub(crate) windows: Vec<String>,
}

/// How much of the server is checked, in libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// No TLS.
    Disable,
    /// TLS with whoever answers.
    Require,
    /// Its certificate.
    VerifyCa,
    /// Its certificate, and that it is of the name that was asked for.
    VerifyFull,
}

impl Sink {
    /// Where the database is, in words.
    pub(crate) fn place(&self) -> String {
        let port = |at: usize| {
            let ports = self.server.get_ports();
            ports.get(at).or(ports.first()).copied().unwrap_or(5_432)
        };
        let host = |(at, host): (usize, &Host)| match host {
            Host::Tcp(name) => format!("{name}:{}", port(at)),
            Host::Unix(folder) => folder.display().to_string(),
        };
        let hosts: Vec<String> = self.server.get_hosts().iter().enumerate().map(host).collect();
        format!("{} at {}", self.server.get_dbname().unwrap_or_default(), hosts.join(","))
    }
}

/// `None` where no database is named; its other keys are checked all the same.
pub(super) fn sink(reader: &mut Reader<'_>, generation: &str) -> Option<Sink> {
    let modes = [
        ("verify-full", SslMode::VerifyFull),
        ("verify-ca", SslMode::VerifyCa),
        ("require", SslMode::Require),
        ("disable", SslMode::Disable),
    ];
    let server = server(reader);
    let ssl_mode = reader.choice("sink.sslmode", &modes);
    let mut file = |key: &str| {
        let path = reader.text(key);
        readable(reader, key, &path)
    };
    let (password_file, ca_file) = (file("sink.password_file"), file("sink.ca_file"));
    let (cert_file, key_file) = (file("sink.cert_file"), file("sink.key_file"));
    if cert_file.is_some() != key_file.is_some() {
        reader.errors.push("sink.cert_file and sink.key_file belong together; both, or neither, is right".to_owned());
    }
    let sink = Sink {
        group_id: group(reader, "sink.group_id", generation),
        server: tokio_postgres::Config::new(),
        password_file,
        ssl_mode,
        ca_file,
        cert_file,
        key_file,
        schema: schema(reader, generation),
        batch_rows: reader.number("sink.batch_rows", 1, 20_000),
        batch_bytes: reader.number("sink.batch_bytes", 65_536, 67_108_864),
        interval_ms: reader.number("sink.interval_ms", 10, 60_000),
        timeout_ms: reader.number("sink.timeout_ms", 100, 10_000),
        retention_days: reader.number("sink.retention_days", 1, 3_650),
        text: reader.boolean("sink.text"),
        windows: reader.texts("sink.windows", WINDOWS_MAX),
    };
    server.map(|server| Sink { server, ..sink })
}

/// The URL may hold a password where it must not: what is wrong is told without it.
fn server(reader: &mut Reader<'_>) -> Option<tokio_postgres::Config> {
    const KEY: &str = "sink.url";
    const RIGHT: &str = "a URL such as postgresql://sinyal_sink@db.example:5432/dashboards, or nothing, is right";
    let url = reader.text(KEY);
    if url.is_empty() {
        return None;
    }
    let begins = url.starts_with("postgresql://") || url.starts_with("postgres://");
    let parsed = url.parse::<tokio_postgres::Config>().ok().filter(|_| begins);
    let Some(server) = parsed else {
        reader.errors.push(format!("{KEY} cannot be read; {RIGHT}"));
        return None;
    };
    let before = reader.errors.len();
    if server.get_password().is_some() {
        reader.errors.push(format!("{KEY} holds a password; a URL without one, and sink.password_file, is right"));
    }
    if server.get_ssl_mode() != Negotiated::Prefer || url.contains("sslmode=") {
        reader.errors.push(format!("{KEY} says how TLS is used; sink.sslmode is the key for that"));
    }
    for (missing, what) in [
        (server.get_hosts().is_empty() && server.get_hostaddrs().is_empty(), "host"),
        (server.get_user().is_none(), "user"),
        (server.get_dbname().is_none(), "database"),
    ] {
        if missing {
            reader.errors.push(format!("{KEY} names no {what}; {RIGHT}"));
        }
    }
    (reader.errors.len() == before).then_some(server)
}

/// The schema of the tables: each generation has its own, so that what is rebuilt never mixes with what is in use.
fn schema(reader: &mut Reader<'_>, generation: &str) -> String {
    const KEY: &str = "sink.schema";
    let typed = reader.required(KEY);
    let schema = if generation.is_empty() { typed } else { format!("{typed}_{generation}") };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let begins = schema.bytes().next().is_none_or(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if schema.len() > NAME_BYTES_MAX || !schema.bytes().all(allowed) || !begins || schema.starts_with("pg_") {
        let right = format!(
            "up to {NAME_BYTES_MAX} letters, digits, '_' and '-', topics.generation among them, beginning with a letter or '_' \
             and not with \"pg_\", are right"
        );
        reader.wrong(KEY, &format!("{schema:?}"), &right);
    }
    schema
}

fn readable(reader: &mut Reader<'_>, key: &str, path: &str) -> Option<PathBuf> {
    if path.is_empty() {
        return None;
    }
    if let Err(error) = std::fs::File::open(Path::new(path)) {
        reader.wrong(key, &format!("{path:?}"), &format!("a file that can be read is right ({error})"));
    }
    Some(PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, ConfigErrors};

    fn load(text: &str) -> Result<Config, ConfigErrors> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()), [])
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(load(text).map(|_| ()).map_err(|errors| errors.0).err().unwrap_or_default(), expected, "{text}");
    }

    #[test]
    fn each_generation_has_a_schema_and_a_group() {
        assert!(load("").unwrap().sink.is_none());
        let text = "[topics]\ngeneration = \"g-2\"\n[sink]\nurl = \"postgresql://a@db1,db2:6000/b\"\n";
        let sink = load(text).unwrap().sink.unwrap();
        assert_eq!((sink.schema.as_str(), sink.group_id.as_str()), ("sinyal_g-2", "sinyal-sink.g-2"));
        assert_eq!(sink.place(), "b at db1:5432,db2:6000");
    }

    #[test]
    fn a_password_is_refused_and_not_shown() {
        check(
            "[sink]\nurl = \"postgresql://a:rahasia@db/b?sslmode=require\"\n",
            &[
                "sink.url holds a password; a URL without one, and sink.password_file, is right",
                "sink.url says how TLS is used; sink.sslmode is the key for that",
            ],
        );
        const RIGHT: &str = "a URL such as postgresql://sinyal_sink@db.example:5432/dashboards, or nothing, is right";
        for text in ["mysql://a:rahasia@db/b", "postgresql://a:rahasia@db:port/b", "host=db password=rahasia"] {
            check(&format!("[sink]\nurl = \"{text}\"\n"), &[&format!("sink.url cannot be read; {RIGHT}")]);
        }
        check(
            "[sink]\nurl = \"postgresql://db\"\n",
            &[&format!("sink.url names no user; {RIGHT}"), &format!("sink.url names no database; {RIGHT}")],
        );
    }

    #[test]
    fn names_files_and_modes_are_checked() {
        check(
            "[sink]\nschema = \"1 a\"\nsslmode = \"prefer\"\nca_file = \"nowhere.pem\"\ncert_file = \"\"\n",
            &[
                "sink.sslmode is \"prefer\"; \"verify-full\" or \"verify-ca\" or \"require\" or \"disable\" is right",
                "sink.ca_file is \"nowhere.pem\"; a file that can be read is right (No such file or directory (os error 2))",
                "sink.schema is \"1 a\"; up to 63 letters, digits, '_' and '-', topics.generation among them, beginning with \
                 a letter or '_' and not with \"pg_\", are right",
            ],
        );
    }
}
