//! The `sinyal` binary with a configuration of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{Server, wait_for, workspace};

/// The binary and a folder for its files.
#[derive(Debug)]
pub struct Sinyal {
    folder: TempDir,
    bootstrap: String,
    prefix: String,
}

/// A running service.
#[derive(Debug)]
pub struct Ran(Server);

impl Sinyal {
    /// A configuration with topics and groups under `prefix`; `more` is further TOML.
    ///
    /// # Errors
    /// If the binary cannot be built.
    pub fn new(bootstrap: &str, prefix: &str, more: &str) -> Result<Sinyal> {
        binary()?;
        let folder = tempfile::Builder::new().prefix("sinyal-test").tempdir()?;
        std::fs::write(folder.path().join("secret"), "a secret for the tests only")?;
        let config = format!(
            "kafka.bootstrap = \"{bootstrap}\"\ntopics.prefix = \"{prefix}.\"\ninstance.id = \"{prefix}\"\n\
             pseudonym.secret_file = \"{}\"\nhttp.listen = \"\"\nclassify.group_id = \"{prefix}-classify\"\n\
             community.group_id = \"{prefix}-community\"\n{more}",
            folder.path().join("secret").display()
        );
        std::fs::write(folder.path().join("sinyal.toml"), config)?;
        Ok(Sinyal { folder, bootstrap: bootstrap.to_owned(), prefix: prefix.to_owned() })
    }

    /// A topic of this configuration by its default name.
    pub fn topic(&self, name: &str) -> String {
        format!("{}.{name}", self.prefix)
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
        Ok(self.command(arguments)?.stdin(Stdio::null()).output()?)
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

    /// Starts a command in the background.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(&self, arguments: &[&str]) -> Result<Ran> {
        let log = std::fs::File::options().create(true).append(true).open(self.file("sinyal.log"))?;
        let mut command = self.command(arguments)?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Ran(Server::start(command)?))
    }

    /// What the background commands have logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.file("sinyal.log")).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.args(arguments).env("SINYAL_CONFIG", self.file("sinyal.toml")).current_dir(self.folder.path());
        Ok(command)
    }
}

impl Ran {
    /// Ends it at once.
    pub fn kill(mut self) {
        self.0.kill();
    }

    /// Asks it to end; gives its exit code.
    ///
    /// # Errors
    /// If it has not ended within half a minute.
    pub fn terminate(mut self) -> Result<Option<i32>> {
        self.0.signal(libc::SIGTERM);
        let mut status = None;
        wait_for("the service to end", Duration::from_secs(30), || {
            status = self.0.0.try_wait()?;
            Ok(status.is_some())
        })?;
        Ok(status.and_then(|status| status.code()))
    }

    /// True while it runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.0.0.try_wait(), Ok(None))
    }
}

/// The binary beside the tests, built once.
fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = BINARY.get_or_init(|| build().map_err(|error| format!("{error:#}")));
    built.as_deref().map_err(|error| anyhow::anyhow!("{error}"))
}

fn build() -> Result<PathBuf> {
    let folder = std::env::current_exe()?.parent().and_then(Path::parent).context("no target folder")?.to_owned();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", "app"]).current_dir(workspace());
    if folder.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    crate::run(&mut command)?;
    Ok(folder.join("sinyal"))
}
