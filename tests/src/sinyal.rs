//! The `sinyal` binary with a configuration of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::probe::{Probe, Usage, address_in};
use crate::{Server, wait_for, workspace};

/// The binary and a folder for its files.
#[derive(Debug)]
pub struct Sinyal {
    binary: &'static Path,
    folder: Arc<TempDir>,
    bootstrap: String,
    /// Before the names of topics.
    prefix: String,
    /// Which rebuild's topics and groups are meant; empty for the first.
    generation: String,
    started: AtomicUsize,
}

/// A running service.
#[derive(Debug)]
pub struct Ran {
    server: Server,
    log: PathBuf,
}

impl Sinyal {
    /// A configuration with topics and groups under `prefix`; `more` is further TOML.
    ///
    /// # Errors
    /// If the binary cannot be built.
    pub fn new(bootstrap: &str, prefix: &str, more: &str) -> Result<Sinyal> {
        Sinyal::with(Build::Plain, bootstrap, prefix, more)
    }

    /// The same of another build.
    ///
    /// # Errors
    /// If the binary cannot be built.
    pub fn with(build: Build, bootstrap: &str, prefix: &str, more: &str) -> Result<Sinyal> {
        let binary = binary(build)?;
        let folder = tempfile::Builder::new().prefix("sinyal-test").tempdir()?;
        std::fs::write(folder.path().join("secret"), "a secret for the tests only")?;
        let config = format!(
            "kafka.bootstrap = \"{bootstrap}\"\ntopics.prefix = \"{prefix}.\"\ninstance.id = \"{prefix}\"\n\
             pseudonym.secret_file = \"{}\"\nhttp.listen = \"127.0.0.1:0\"\nclassify.group_id = \"{prefix}-classify\"\n\
             community.group_id = \"{prefix}-community\"\nnotify.group_id = \"{prefix}-notify\"\n{more}",
            folder.path().join("secret").display()
        );
        std::fs::write(folder.path().join("sinyal.toml"), config)?;
        Ok(Sinyal {
            binary,
            folder: Arc::new(folder),
            bootstrap: bootstrap.to_owned(),
            prefix: prefix.to_owned(),
            generation: String::new(),
            started: AtomicUsize::new(0),
        })
    }

    /// A topic of this configuration by its default name.
    pub fn topic(&self, name: &str) -> String {
        if self.generation.is_empty() || name.ends_with(".raw") {
            format!("{}.{name}", self.prefix)
        } else {
            format!("{}.{}.{name}", self.prefix, self.generation)
        }
    }

    /// The topics and groups of another generation, to be looked at: commands are run of this one as before.
    pub fn generation(&self, name: &str) -> Sinyal {
        Sinyal {
            binary: self.binary,
            folder: Arc::clone(&self.folder),
            bootstrap: self.bootstrap.clone(),
            prefix: self.prefix.clone(),
            generation: name.to_owned(),
            started: AtomicUsize::new(0),
        }
    }

    /// The consumer group of a role in this configuration.
    pub fn group(&self, role: &str) -> String {
        let dot = if self.generation.is_empty() { "" } else { "." };
        format!("{}-{role}{dot}{}", self.prefix, self.generation)
    }

    /// Kafka's address.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// A file in the folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command to its end, whatever its exit code.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn output(&self, arguments: &[&str]) -> Result<Output> {
        self.output_with(arguments, &[])
    }

    /// The same, with these variables in its environment.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn output_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
        let mut command = self.command(arguments)?;
        Ok(command.envs(variables.iter().copied()).stdin(Stdio::null()).output()?)
    }

    /// Runs a command that must succeed; gives its standard output.
    ///
    /// # Errors
    /// If it does not.
    pub fn succeed(&self, arguments: &[&str]) -> Result<String> {
        let output = self.output(arguments)?;
        ensure!(
            output.status.success(),
            "sinyal {arguments:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts a command of another program in the background, with this configuration and these variables.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_other(&self, binary: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Ran> {
        let mut command = Command::new(binary);
        command.args(arguments).env("SINYAL_CONFIG", self.file("sinyal.toml")).current_dir(self.folder.path());
        command.envs(variables.iter().copied());
        self.start_command(command)
    }

    /// Starts a command in the background.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, arguments: &[&str]) -> Result<Ran> {
        self.start_with(arguments, &[])
    }

    /// The same, with these variables in its environment.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Ran> {
        let mut command = self.command(arguments)?;
        command.envs(variables.iter().copied());
        self.start_command(command)
    }

    fn start_command(&self, mut command: Command) -> Result<Ran> {
        let path = self.log_file(self.started.fetch_add(1, Ordering::Relaxed));
        let log = std::fs::File::create(&path)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Ran { server: Server::start(command)?, log: path })
    }

    /// What the background commands have logged.
    pub fn log(&self) -> String {
        let logs = (0..self.started.load(Ordering::Relaxed)).map(|number| self.log_file(number));
        logs.map(|path| std::fs::read_to_string(path).unwrap_or_default()).collect()
    }

    fn log_file(&self, number: usize) -> PathBuf {
        self.file(&format!("sinyal-{number}.log"))
    }

    /// The binary with these arguments and this configuration, to be run by the caller.
    ///
    /// # Errors
    /// If the binary cannot be built.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(self.binary);
        command.args(arguments).env("SINYAL_CONFIG", self.file("sinyal.toml")).current_dir(self.folder.path());
        Ok(command)
    }
}

impl Ran {
    /// Ends it at once.
    pub fn kill(mut self) {
        self.server.kill();
    }

    /// Asks it to end; gives its exit code.
    ///
    /// # Errors
    /// If it has not ended within a minute: it is to end within 45 s, and says which role did not.
    pub fn terminate(mut self) -> Result<Option<i32>> {
        self.server.signal(libc::SIGTERM);
        let mut status = None;
        wait_for("the service to end", Duration::from_secs(60), || {
            status = self.server.0.try_wait()?;
            Ok(status.is_some())
        })
        .with_context(|| self.end_of_log())?;
        Ok(status.and_then(|status| status.code()))
    }

    /// What it shows under `/metrics`.
    ///
    /// # Errors
    /// If it serves nothing yet.
    pub fn metrics(&self) -> Result<String> {
        Ok(ureq::get(format!("{}/metrics", self.address()?)).call()?.body_mut().read_to_string()?)
    }

    /// Whether it is ready, and what `/readyz` says of each role.
    ///
    /// # Errors
    /// If it serves nothing yet.
    pub fn readiness(&self) -> Result<(bool, serde_json::Value)> {
        let ask = ureq::get(format!("{}/readyz", self.address()?));
        let mut answer = ask.config().http_status_as_error(false).build().call()?;
        let ready = answer.status().is_success();
        Ok((ready, serde_json::from_str(&answer.body_mut().read_to_string()?)?))
    }

    /// The root of what it serves. The port is any that is free: the log names it.
    ///
    /// # Errors
    /// If it serves nothing yet.
    pub fn address(&self) -> Result<String> {
        address_in(&self.log)
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its exit code, if it has ended, and the last lines of what it has logged.
    pub fn end_of_log(&mut self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(30)..];
        format!("{:?}, the log ends with\n{}", self.server.0.try_wait(), last.join("\n"))
    }

    /// How often a role has committed; 0 while nothing is served yet.
    ///
    /// # Errors
    /// If it has ended.
    pub fn committed(&mut self, role: &str) -> Result<u64> {
        self.sum("sinyal_commits_total", role)
    }

    /// How many records a role has consumed, as of its last commit.
    ///
    /// # Errors
    /// If it has ended.
    pub fn consumed(&mut self, role: &str) -> Result<u64> {
        self.sum("sinyal_consumed_records_total", role)
    }

    /// How many partitions a role has, as of its last commit.
    ///
    /// # Errors
    /// If it has ended.
    pub fn partitions(&mut self, role: &str) -> Result<usize> {
        Ok(self.samples("sinyal_lag_records", role)?.len())
    }

    /// The sum of a counter's samples of one role.
    fn sum(&mut self, name: &str, role: &str) -> Result<u64> {
        Ok(self.samples(name, role)?.iter().sum())
    }

    fn samples(&mut self, name: &str, role: &str) -> Result<Vec<u64>> {
        ensure!(self.is_running(), "it has ended: {}", std::fs::read_to_string(&self.log)?);
        let metrics = self.metrics().unwrap_or_default();
        let begin = format!("{name}{{");
        let of_role = format!("stage=\"{role}\"");
        let samples = metrics.lines().filter(|line| line.starts_with(&begin) && line.contains(&of_role));
        Ok(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).collect())
    }

    /// Waits until it ends by itself; gives its exit code.
    ///
    /// # Errors
    /// If it has not ended within `timeout`.
    pub fn wait(&mut self, timeout: Duration) -> Result<Option<i32>> {
        wait_for("the service to end by itself", timeout, || Ok(!self.is_running()))?;
        Ok(self.server.0.try_wait()?.and_then(|status| status.code()))
    }

    /// Stops its threads, as a machine that hangs would, or lets them go on.
    pub fn freeze(&self, frozen: bool) {
        self.server.signal(if frozen { libc::SIGSTOP } else { libc::SIGCONT });
    }

    /// Where others may look at it.
    pub fn probe(&self) -> Probe {
        Probe { id: self.server.0.id(), log: self.log.clone() }
    }

    /// The id of its process.
    pub fn id(&self) -> u32 {
        self.server.0.id()
    }

    /// What it has used so far, as Linux counts.
    ///
    /// # Errors
    /// If it has ended.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.server.0.id())
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.server.0.try_wait(), Ok(None))
    }
}

/// Which binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// As it is shipped.
    Plain,
    /// With places at which `FAILPOINTS` makes it crash or fail.
    Faults,
    /// With the deep tier.
    Deep,
}

/// The binary beside the tests, built once.
///
/// # Errors
/// If it cannot be built.
pub fn binary(build: Build) -> Result<&'static Path> {
    static BINARIES: [OnceLock<Result<PathBuf, String>>; 3] = [const { OnceLock::new() }; 3];
    let built = BINARIES[build as usize].get_or_init(|| make(build).map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

/// Where the binaries of the profile are that the tests were built by.
pub(crate) fn profile_folder() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let folder = program.parent().context("no target folder")?;
    // Tests are in a folder of their own there; a benchmark is beside the binary.
    let folder = if folder.ends_with("deps") { folder.parent().context("no target folder")? } else { folder };
    Ok(folder.to_owned())
}

fn make(build: Build) -> Result<PathBuf> {
    // All builds leave their binary in the same place.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = profile_folder()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    let profile = folder.file_name().unwrap_or_default().to_owned();
    let what: &[&str] = if build == Build::Deep { &["xtask", "deep", "build"] } else { &["build", "--package", "app"] };
    command.args(what).arg("--quiet").current_dir(workspace());
    forget_cargo(&mut command);
    if profile == "release" {
        command.arg("--release");
    }
    let built = folder.join("sinyal");
    match build {
        Build::Plain => {
            crate::run(&mut command)?;
            Ok(built)
        }
        Build::Deep => {
            crate::run(&mut command)?;
            Ok(workspace().join("target/deep").join(profile).join("sinyal"))
        }
        Build::Faults => {
            crate::run(command.args(["--features", "faults"]))?;
            let kept = folder.join("sinyal-faults");
            // Another process may run the old one: its file must not be written to.
            let _ = std::fs::remove_file(&kept);
            std::fs::copy(&built, &kept)?;
            // Whoever runs the one in the common place means the one that is shipped.
            let mut again = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            again.args(["build", "--package", "app", "--quiet"]).current_dir(workspace());
            forget_cargo(&mut again);
            again.args((profile == "release").then_some("--release"));
            crate::run(&mut again)?;
            Ok(kept)
        }
    }
}

/// Takes out what Cargo sets for what it runs: it would take that for a reason to build again what was built without, `ring` and all
/// that needs it for instance.
pub(crate) fn forget_cargo(command: &mut Command) {
    let of_package =
        |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "LD_LIBRARY_PATH";
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(of_package) {
            command.env_remove(name);
        }
    }
}
