//! A schema registry with the Confluent API: Apicurio 3.0.9.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{FETCH, Server, cache, free_port, need, run, wait_for};

/// A running registry; it ends when this is dropped.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    _folder: TempDir,
    _server: Server,
}

impl Registry {
    /// Fetches the registry if it is not there yet, and starts it on a free port with nothing registered.
    ///
    /// # Errors
    /// What is missing on this machine, or why it did not come up.
    pub fn start() -> Result<Registry> {
        let home = fetch()?;
        let folder = tempfile::Builder::new().prefix("sinyal-registry").tempdir()?;
        let port = free_port()?;
        let log = std::fs::File::create(folder.path().join("registry.log"))?;
        let mut command = Command::new("java");
        command
            .args(["-Xmx512m", &format!("-Dquarkus.http.port={port}"), "-Dquarkus.http.host=127.0.0.1", "-jar"])
            .arg(home.join("apicurio-registry-app-3.0.9-runner.jar"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let registry = Registry { port, _folder: folder, _server: Server::start(command)? };
        wait_for("the registry", Duration::from_secs(90), || {
            Ok(ureq::get(format!("{}/subjects", registry.url())).call().is_ok())
        })?;
        Ok(registry)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The root of its Confluent API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    /// Makes a subject refuse schemas that cannot read what the one before wrote.
    ///
    /// # Errors
    /// If the registry refuses.
    pub fn set_backward(&self, subject: &str) -> Result<()> {
        ureq::put(format!("{}/config/{subject}", self.url()))
            .header("Content-Type", "application/json")
            .send(r#"{"compatibility":"BACKWARD"}"#)
            .context("setting compatibility")?;
        Ok(())
    }
}

impl Registry {
    /// Tries to register a schema, as a JSON body; gives the answer's status.
    ///
    /// # Errors
    /// If the registry does not answer.
    pub fn register(&self, subject: &str, body: &str) -> Result<u16> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let answer = agent
            .post(format!("{}/subjects/{subject}/versions", self.url()))
            .header("Content-Type", "application/vnd.schemaregistry.v1+json")
            .send(body)?;
        Ok(answer.status().as_u16())
    }
}

fn fetch() -> Result<PathBuf> {
    let _one = FETCH.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    need("java", "default-jre-headless")?;
    let home = cache()?.join("apicurio-3.0.9");
    if home.join("complete").exists() {
        return Ok(home);
    }
    need("mvn", "maven")?;
    eprintln!("fetching the registry (about 110 MB)");
    std::fs::create_dir_all(&home)?;
    let artifact = "io.apicurio:apicurio-registry-app:3.0.9:tar.gz:all";
    run(Command::new("mvn")
        .current_dir(&home)
        .args(["-q", "-B", "dependency:copy", &format!("-Dartifact={artifact}"), "-DoutputDirectory=."])
        .stdin(Stdio::null()))?;
    run(Command::new("tar").current_dir(&home).args(["xzf", "apicurio-registry-app-3.0.9-all.tar.gz"]))?;
    std::fs::write(home.join("complete"), "")?;
    Ok(home)
}
