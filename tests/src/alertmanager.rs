//! Debian's Alertmanager, and amtool to look into it.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use serde_json::Value;
use tempfile::TempDir;

use crate::{Server, free_port, need, run, wait_for};

const CONFIG: &str = "route: { receiver: nobody, group_wait: 1s }\nreceivers: [ { name: nobody } ]\n";

/// A running Alertmanager; it ends when this is dropped.
#[derive(Debug)]
pub struct Alertmanager {
    port: u16,
    _folder: TempDir,
    _server: Server,
}

impl Alertmanager {
    /// Starts it on a free port, without a cluster.
    ///
    /// # Errors
    /// What is missing on this machine, or why it did not come up.
    pub fn start() -> Result<Alertmanager> {
        need("prometheus-alertmanager", "prometheus-alertmanager")?;
        let folder = tempfile::Builder::new().prefix("sinyal-alertmanager").tempdir()?;
        let config = folder.path().join("alertmanager.yml");
        std::fs::write(&config, CONFIG)?;
        let port = free_port()?;
        let log = std::fs::File::create(folder.path().join("alertmanager.log"))?;
        let mut command = Command::new("prometheus-alertmanager");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.path().display()))
            .args([&format!("--web.listen-address=127.0.0.1:{port}"), "--cluster.listen-address="])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let alertmanager = Alertmanager { port, _folder: folder, _server: Server::start(command)? };
        wait_for("Alertmanager", Duration::from_secs(30), || {
            Ok(ureq::get(format!("{}/-/ready", alertmanager.url())).call().is_ok())
        })?;
        Ok(alertmanager)
    }

    /// Its root.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The alerts that are on, as amtool tells.
    ///
    /// # Errors
    /// If it does not.
    pub fn active(&self) -> Result<Vec<Value>> {
        let url = format!("--alertmanager.url={}", self.url());
        let said = run(Command::new("amtool").args([&url, "alert", "query", "--output=json"]))?;
        Ok(serde_json::from_str(&said)?)
    }
}
