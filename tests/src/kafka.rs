//! Apache Kafka 4.3.1, one node in KRaft mode.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use kafka_io::Connection;
use kafka_io::admin::Admin;
use serde_json::json;
use tempfile::TempDir;

use crate::{FETCH, Server, cache, free_port, need, run, wait_for};

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>sinyal</groupId><artifactId>tests</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.3.1</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>4.3.1</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>"#;

/// A running broker; it ends when this is dropped.
#[derive(Debug)]
pub struct Kafka {
    folder: TempDir,
    port: u16,
    server: Option<Server>,
}

impl Kafka {
    /// Fetches Kafka if it is not there yet, formats a node on free ports and starts it.
    ///
    /// # Errors
    /// What is missing on this machine, or why it did not come up.
    pub fn start() -> Result<Kafka> {
        let jars = fetch()?;
        let folder = tempfile::Builder::new().prefix("sinyal-kafka").tempdir()?;
        let (port, controller) = (free_port()?, free_port()?);
        let data = folder.path().join("data");
        let settings = format!(
            "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@127.0.0.1:{controller}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\ncontroller.listener.names=CONTROLLER\n\
             log.dirs={}\noffsets.topic.replication.factor=1\noffsets.topic.num.partitions=8\n\
             transaction.state.log.replication.factor=1\ntransaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=4\nshare.coordinator.state.topic.replication.factor=1\n\
             share.coordinator.state.topic.min.isr=1\ngroup.initial.rebalance.delay.ms=0\n\
             auto.create.topics.enable=false\n",
            data.display()
        );
        std::fs::write(folder.path().join("server.properties"), settings)?;
        let id = run(java(&jars).args(["kafka.tools.StorageTool", "random-uuid"]))?;
        let id = id.lines().last().unwrap_or_default().trim().to_owned();
        run(java(&jars)
            .args(["kafka.tools.StorageTool", "format", "-t", &id, "-c"])
            .arg(folder.path().join("server.properties")))?;
        let mut kafka = Kafka { folder, port, server: None };
        kafka.restart()?;
        Ok(kafka)
    }

    /// Its address.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The first and the next offset of a partition.
    ///
    /// # Errors
    /// If it does not answer.
    pub fn offsets(&self, topic: &str, partition: i32) -> Result<(i64, i64)> {
        Ok(self.admin()?.offsets(topic, partition)?)
    }

    /// Deletes the records of a partition before an offset, as retention would.
    ///
    /// # Errors
    /// If it does not.
    pub fn delete_records(&self, topic: &str, partition: i32, before: i64) -> Result<()> {
        let file = self.folder.path().join("delete.json");
        let partition = json!({ "topic": topic, "partition": partition, "offset": before });
        std::fs::write(&file, json!({ "version": 1, "partitions": [partition] }).to_string())?;
        let mut command = java(&fetch()?);
        command.args(["org.apache.kafka.tools.DeleteRecordsCommand", "--bootstrap-server", &self.bootstrap()]);
        run(command.arg("--offset-json-file").arg(&file))?;
        Ok(())
    }

    fn admin(&self) -> Result<Admin> {
        let connection =
            Connection { bootstrap: self.bootstrap(), client_id: "tests".to_owned(), properties: Vec::new() };
        Ok(Admin::new(&connection, Duration::from_secs(2))?)
    }

    /// Ends the broker, as whoever restarts it would; its data stay. Killing the only broker is another matter: Kafka 4.3.1 may then
    /// leave a transaction whose end was under way open for good in some of its partitions.
    ///
    /// # Errors
    /// If it does not end within a minute.
    pub fn stop(&mut self) -> Result<()> {
        self.server.take().map_or(Ok(()), |mut server| server.stop())
    }

    /// Starts it again on the same ports and data.
    ///
    /// # Errors
    /// If it does not answer within a minute.
    pub fn restart(&mut self) -> Result<()> {
        let jars = fetch()?;
        let log = std::fs::File::options().create(true).append(true).open(self.folder.path().join("kafka.log"))?;
        let mut command = java(&jars);
        command.arg("kafka.Kafka").arg(self.folder.path().join("server.properties"));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        self.server = Some(Server::start(command)?);
        let admin = self.admin()?;
        wait_for("Kafka", Duration::from_secs(60), || Ok(admin.topics().is_ok()))
    }
}

fn java(jars: &std::path::Path) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx400m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"]);
    command.arg(format!("{}/*", jars.display()));
    command
}

fn fetch() -> Result<PathBuf> {
    let _one = FETCH.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    need("java", "default-jre-headless")?;
    let jars = cache()?.join("kafka-4.3.1-tools");
    if jars.join("complete").exists() {
        return Ok(jars);
    }
    need("mvn", "maven")?;
    eprintln!("fetching Apache Kafka 4.3.1 (about 130 MB)");
    std::fs::create_dir_all(&jars)?;
    std::fs::write(jars.join("pom.xml"), POM)?;
    run(Command::new("mvn")
        .current_dir(&jars)
        .args(["-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory=."])
        .stdin(Stdio::null()))?;
    std::fs::write(jars.join("complete"), "")?;
    Ok(jars)
}
