//! Apache Kafka 4.3.1 in KRaft mode: one node, or a cluster of them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use kafka_io::Connection;
use kafka_io::admin::Admin;
use serde_json::json;
use tempfile::TempDir;

use crate::{FETCH, Server, Usage, cache, free_port, need, run, wait_for};

const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>sinyal</groupId><artifactId>tests</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>4.3.1</version></dependency>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>4.3.1</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
</dependencies></project>"#;

/// Running brokers; they end when this is dropped.
#[derive(Debug)]
pub struct Kafka {
    folder: TempDir,
    nodes: Vec<Node>,
    more: More,
    running: Running,
}

/// The processes of the nodes that run, by their place: for whoever looks on from another thread.
pub(crate) type Running = Arc<Mutex<BTreeMap<usize, u32>>>;

/// What a node has beside its plain listener.
#[derive(Debug, Clone, Default)]
pub(crate) struct More {
    /// Listeners: name, port and security protocol.
    pub(crate) listeners: Vec<(&'static str, u16, &'static str)>,
    /// Further lines of its settings.
    pub(crate) settings: String,
    /// Further arguments of the formatting of its storage, such as users.
    pub(crate) format: Vec<String>,
    /// Further options of its Java.
    pub(crate) java: Vec<String>,
}

/// One broker, which is a controller too.
#[derive(Debug)]
struct Node {
    port: u16,
    server: Option<Server>,
}

impl Kafka {
    /// Fetches Kafka if it is not there yet, formats a node on free ports and starts it.
    ///
    /// # Errors
    /// What is missing on this machine, or why it did not come up.
    pub fn start() -> Result<Kafka> {
        Kafka::start_cluster(1)
    }

    /// The same with so many nodes. Three or more keep what is theirs three times, and take writes while two of them are there.
    ///
    /// # Errors
    /// What is missing on this machine, or why they did not come up.
    pub fn start_cluster(nodes: usize) -> Result<Kafka> {
        Kafka::start_with(nodes, More::default())
    }

    pub(crate) fn start_with(nodes: usize, more: More) -> Result<Kafka> {
        let jars = fetch()?;
        let folder = tempfile::Builder::new().prefix("sinyal-kafka").tempdir()?;
        let ports = (0..nodes).map(|_| Ok((free_port()?, free_port()?))).collect::<Result<Vec<_>>>()?;
        let voters: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(at, (_, controller))| format!("{}@127.0.0.1:{controller}", at + 1))
            .collect();
        let (replicas, in_sync) = if nodes >= 3 { (3, 2) } else { (1, 1) };
        let id = run(java(&jars).args(["kafka.tools.StorageTool", "random-uuid"]))?;
        let id = id.lines().last().unwrap_or_default().trim().to_owned();
        let (mut listeners, mut protocols) = (String::new(), String::new());
        for (name, port, protocol) in &more.listeners {
            listeners += &format!(",{name}://127.0.0.1:{port}");
            protocols += &format!(",{name}:{protocol}");
        }
        let mut kafka = Kafka { folder, nodes: Vec::new(), more, running: Running::default() };
        for (at, (port, controller)) in ports.into_iter().enumerate() {
            let settings = format!(
                "process.roles=broker,controller\nnode.id={}\ncontroller.quorum.voters={}\n\
                 listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}\n\
                 advertised.listeners=PLAINTEXT://127.0.0.1:{port}{listeners}\n\
                 listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}\ncontroller.listener.names=CONTROLLER\n\
                 log.dirs={}\noffsets.topic.replication.factor={replicas}\noffsets.topic.num.partitions=8\n\
                 min.insync.replicas={in_sync}\ntransaction.state.log.replication.factor={replicas}\n\
                 transaction.state.log.min.isr={in_sync}\ntransaction.state.log.num.partitions=4\n\
                 share.coordinator.state.topic.replication.factor={replicas}\n\
                 share.coordinator.state.topic.min.isr={in_sync}\ngroup.initial.rebalance.delay.ms=0\n\
                 auto.create.topics.enable=false\n{}",
                at + 1,
                voters.join(","),
                kafka.folder.path().join(format!("data-{at}")).display(),
                kafka.more.settings
            );
            std::fs::write(kafka.settings(at), settings)?;
            let mut format = java(&jars);
            format.args(["kafka.tools.StorageTool", "format", "-t", &id, "-c"]).arg(kafka.settings(at));
            run(format.args(&kafka.more.format))?;
            kafka.nodes.push(Node { port, server: None });
        }
        // All at once: a single one of several has no majority to begin with.
        for at in 0..nodes {
            kafka.start_node(at)?;
        }
        kafka.wait_until_whole()?;
        Ok(kafka)
    }

    /// Its address.
    pub fn bootstrap(&self) -> String {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect::<Vec<_>>().join(",")
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// What a node has logged.
    pub fn log(&self, node: usize) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("kafka-{node}.log"))).unwrap_or_default()
    }

    /// The nodes that run, now and later.
    pub(crate) fn running(&self) -> Running {
        Arc::clone(&self.running)
    }

    /// What each node that runs has used so far.
    ///
    /// # Errors
    /// If one has just ended.
    pub fn usage(&self) -> Result<Vec<Usage>> {
        self.nodes.iter().filter_map(|node| node.server.as_ref()).map(|server| Usage::of(server.0.id())).collect()
    }

    /// Where the nodes keep their data: a folder for each.
    pub(crate) fn data(&self) -> Vec<PathBuf> {
        (0..self.nodes.len()).map(|at| self.folder.path().join(format!("data-{at}"))).collect()
    }

    fn settings(&self, node: usize) -> PathBuf {
        self.folder.path().join(format!("server-{node}.properties"))
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

    /// Gives a topic more partitions.
    ///
    /// # Errors
    /// If it does not.
    pub fn add_partitions(&self, topic: &str, partitions: i32) -> Result<()> {
        Ok(self.admin()?.add_partitions(topic, partitions)?)
    }

    /// Sets a group's positions back to the first records of everything that it reads. Nobody may be in the group.
    ///
    /// # Errors
    /// If that takes more than a minute: a member that ended is remembered for as long as a session.
    pub fn reset_to_earliest(&self, group: &str) -> Result<()> {
        let jars = fetch()?;
        let mut said = String::new();
        wait_for("the group to be empty", Duration::from_secs(60), || {
            let mut command = java(&jars);
            command.args(["org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"]);
            command.args(["--bootstrap-server", &self.bootstrap(), "--group", group]);
            // It ends with 0 whether it did it or not.
            said = run(command.args(["--all-topics", "--reset-offsets", "--to-earliest", "--execute"]))?;
            Ok(!said.contains("Error"))
        })
        .with_context(|| said.clone())
    }

    /// Lets the partitions be led by those brokers that should lead them, after one of them was away.
    ///
    /// # Errors
    /// If that takes more than a minute.
    pub fn elect_preferred_leaders(&self) -> Result<()> {
        let jars = fetch()?;
        let mut said = String::new();
        wait_for("leaders to be elected", Duration::from_secs(60), || {
            let mut command = java(&jars);
            command.args(["org.apache.kafka.tools.LeaderElectionCommand", "--bootstrap-server", &self.bootstrap()]);
            // It fails as a whole where a single replica is a moment behind.
            let elected = run(command.args(["--election-type", "preferred", "--all-topic-partitions"]));
            said = elected.as_ref().err().map(ToString::to_string).unwrap_or_default();
            Ok(elected.is_ok())
        })
        .with_context(|| said.clone())
    }

    fn admin(&self) -> Result<Admin> {
        let connection =
            Connection { bootstrap: self.bootstrap(), client_id: "tests".to_owned(), properties: Vec::new() };
        Ok(Admin::new(&connection, Duration::from_secs(2))?)
    }

    /// Ends the brokers, as whoever restarts them would; their data stay. Killing the only broker is another matter: Kafka 4.3.1
    /// may then leave a transaction whose end was under way open for good in some of its partitions.
    ///
    /// # Errors
    /// If they do not end within a minute.
    pub fn stop(&mut self) -> Result<()> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.nodes.iter_mut().try_for_each(|node| node.server.take().map_or(Ok(()), |mut server| server.stop()))
    }

    /// Kills one broker without a word; its data stay.
    pub fn kill_node(&mut self, node: usize) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
        self.nodes[node].server = None;
    }

    /// Starts again what does not run, on the same ports and data.
    ///
    /// # Errors
    /// If not all answer within two minutes.
    pub fn restart(&mut self) -> Result<()> {
        for at in 0..self.nodes.len() {
            if self.nodes[at].server.is_none() {
                self.start_node(at)?;
            }
        }
        self.wait_until_whole()
    }

    /// Starts one broker, without waiting until it answers.
    ///
    /// # Errors
    /// If Java cannot be started.
    pub fn start_node(&mut self, node: usize) -> Result<()> {
        let jars = fetch()?;
        let log = self.folder.path().join(format!("kafka-{node}.log"));
        let log = std::fs::File::options().create(true).append(true).open(log)?;
        let mut command = Command::new("java");
        command.args(&self.more.java).args(JAVA).arg(classes(&jars));
        command.arg("kafka.Kafka").arg(self.settings(node));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let server = Server::start(command)?;
        self.running.lock().unwrap_or_else(PoisonError::into_inner).insert(node, server.0.id());
        self.nodes[node].server = Some(server);
        Ok(())
    }

    /// Waits until every broker is one of the cluster, and every partition is led and has all its replicas.
    ///
    /// # Errors
    /// If that takes more than two minutes.
    pub fn wait_until_whole(&self) -> Result<()> {
        let admin = self.admin()?;
        wait_for("Kafka", Duration::from_secs(120), || {
            Ok(admin.health().is_ok_and(|health| health.brokers == self.nodes.len() && health.partitions_short == 0))
        })
    }
}

/// Options of every Java.
const JAVA: [&str; 4] = ["-Xmx400m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp"];

fn classes(jars: &std::path::Path) -> String {
    format!("{}/*", jars.display())
}

/// Java with Kafka's classes, which the class to run and its arguments follow.
pub(crate) fn java(jars: &std::path::Path) -> Command {
    let mut command = Command::new("java");
    command.args(JAVA).arg(classes(jars));
    command
}

pub(crate) fn fetch() -> Result<PathBuf> {
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
