//! Debian's Prometheus, with the rules of `deploy/`.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Server, free_port, need, wait_for, workspace};

/// A running Prometheus; it ends when this is dropped.
#[derive(Debug)]
pub struct Prometheus {
    port: u16,
    _folder: TempDir,
    _server: Server,
}

impl Prometheus {
    /// Starts it on a free port. It scrapes `address` as the job `sinyal`, every second.
    ///
    /// # Errors
    /// What is missing on this machine, or why it did not come up.
    pub fn start(address: &str) -> Result<Prometheus> {
        need("prometheus", "prometheus")?;
        let folder = tempfile::Builder::new().prefix("sinyal-prometheus").tempdir()?;
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\nrule_files: [ \"{}\" ]\n\
             scrape_configs: [ {{ job_name: sinyal, static_configs: [ {{ targets: [ \"{address}\" ] }} ] }} ]\n",
            workspace().join("deploy/prometheus/rules.yaml").display()
        );
        let path = folder.path().join("prometheus.yml");
        std::fs::write(&path, config)?;
        let port = free_port()?;
        let log = std::fs::File::create(folder.path().join("prometheus.log"))?;
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", path.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let prometheus = Prometheus { port, _folder: folder, _server: Server::start(command)? };
        wait_for("Prometheus", Duration::from_secs(60), || {
            Ok(ureq::get(format!("http://127.0.0.1:{port}/-/ready")).call().is_ok())
        })?;
        Ok(prometheus)
    }

    /// What an expression gives now.
    ///
    /// # Errors
    /// If it is wrong, or there is no answer.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let answer = agent.get(url).query("query", expression).call()?.body_mut().read_to_string()?;
        let answer: Value = serde_json::from_str(&answer)?;
        ensure!(answer["status"] == "success", "{expression}: {answer}");
        Ok(answer["data"]["result"].as_array().context("a result")?.clone())
    }
}
