//! A follower of everything that is written, in Python as the [`Reader`] is: it counts all of it while it comes, and keeps
//! what is of the communities that are recounted, before retention takes it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{ChildStdout, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;

use crate::checks::QUEUES;
use crate::written::Written;
use crate::{Reader, Server, Sinyal, wait_for, workspace};

/// Longest that it may take to read what is left.
const PATIENCE: Duration = Duration::from_secs(600);

/// What has come of a topic so far.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct Came {
    /// Committed records.
    pub(crate) records: u64,
    /// Those of them that have a key: not markers.
    pub(crate) keyed: u64,
    /// Bytes of their keys and values.
    pub(crate) bytes: u64,
    /// Of a compacted topic: keys that have a value.
    pub(crate) live: Option<u64>,
}

/// The newest of what it said, by topic.
pub(crate) type Counts = Arc<Mutex<BTreeMap<String, Came>>>;

/// It runs.
#[derive(Debug)]
pub(crate) struct Following {
    server: Server,
    counts: Counts,
    hearing: Option<JoinHandle<()>>,
    folder: PathBuf,
    prefix: String,
}

/// Those that hold state: of them the keys are counted.
pub(crate) const STATE: [&str; 4] =
    ["social.community.changelog", "social.queue.state", "social.alerts", "social.notify.state"];

impl Following {
    /// Starts it; what is of these communities is kept.
    pub(crate) fn start(sinyal: &Sinyal, reader: &Reader, communities: &[String]) -> Result<Following> {
        let folder = sinyal.file("followed");
        std::fs::create_dir_all(&folder)?;
        let mut command = reader.python();
        command.arg(workspace().join("tests/independent/follow_topics.py"));
        command.arg(sinyal.bootstrap()).arg(&folder).arg(communities.join(","));
        for (topic, what) in wanted() {
            command.arg(format!("{}:{what}", sinyal.topic(&topic)));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = Server::start(command)?;
        let said = server.0.stdout.take().context("a pipe")?;
        let counts = Counts::default();
        let told = Arc::clone(&counts);
        let prefix = sinyal.topic("");
        let cut = prefix.len();
        let hearing = Some(std::thread::spawn(move || hear(said, cut, &told)));
        Ok(Following { server, counts, hearing, folder, prefix })
    }

    /// What it has counted, now and later.
    pub(crate) fn counts(&self) -> Counts {
        Arc::clone(&self.counts)
    }

    /// Lets it read what is left. Nothing may be written any more.
    pub(crate) fn finish(&mut self) -> Result<()> {
        drop(self.server.0.stdin.take());
        let mut status = None;
        wait_for("the follower to read the rest", PATIENCE, || {
            status = self.server.0.try_wait()?;
            Ok(status.is_some())
        })?;
        ensure!(status.is_some_and(|status| status.success()), "the follower failed: {status:?}; see above");
        // What it said last is taken in.
        let _ = self.hearing.take().map(JoinHandle::join);
        Ok(())
    }

    /// What has come of a topic, by its default name.
    pub(crate) fn came(&self, topic: &str) -> Came {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied().unwrap_or_default()
    }

    /// Fails if it has ended: what it did not see cannot be checked.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        let status = self.server.0.try_wait()?;
        ensure!(status.is_none(), "the follower ended by itself: {status:?}; see above");
        Ok(())
    }
}

/// Topics by their default names, and what is done with each.
fn wanted() -> Vec<(String, String)> {
    let schema = |name: &str| workspace().join("schemas").join(format!("{name}.avsc")).display().to_string();
    let mut wanted = vec![
        ("social.posts.raw".to_owned(), "count".to_owned()),
        ("social.comments.raw".to_owned(), "count".to_owned()),
        ("social.dead-letters".to_owned(), "count".to_owned()),
        ("social.interactions.classified".to_owned(), schema("Classified")),
        ("social.community.metrics".to_owned(), schema("CommunityMetrics")),
    ];
    wanted.extend(QUEUES.map(|queue| (format!("social.queue.{queue}"), schema("QueueItem"))));
    wanted.extend(STATE.map(|topic| (topic.to_owned(), "live".to_owned())));
    wanted
}

/// Takes in what it says until it ends; names lose the first `cut` bytes.
fn hear(said: ChildStdout, cut: usize, counts: &Counts) {
    for line in BufReader::new(said).lines().map_while(Result::ok) {
        let Ok(came) = serde_json::from_str::<BTreeMap<String, Came>>(&line) else { continue };
        let came = came.into_iter().filter_map(|(topic, came)| Some((topic.get(cut..)?.to_owned(), came)));
        *counts.lock().unwrap_or_else(PoisonError::into_inner) = came.collect();
    }
}

impl Written for Following {
    /// Of what it kept: of a topic that is only counted nothing is shown.
    fn each(&self, topic: &str, schema: Option<&str>, see: &mut dyn FnMut(Value) -> Result<()>) -> Result<()> {
        if schema.is_none() {
            let came = self.came(topic);
            ensure!(came.records == 0, "{topic}: {} records", came.records);
            return Ok(());
        }
        let path = self.folder.join(format!("{}{topic}.jsonl", self.prefix));
        let file = std::fs::File::open(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        BufReader::new(file).lines().try_for_each(|line| see(serde_json::from_str(&line?)?))
    }
}
