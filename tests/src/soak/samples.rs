//! Samples: what each process takes, what each topic holds, and what was done when; one CSV, flushed with each sample, so that a run that
//! is cut short can still be judged and drawn.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use super::following::Counts;
use crate::Usage;
use crate::fleet::Watch;
use crate::kafka::Running;

/// How often a sample is taken.
pub(crate) const EVERY: Duration = Duration::from_secs(10);

/// A line of the CSV. What does not go with its kind is empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Since the run began.
    pub(crate) seconds: f64,
    pub(crate) kind: Kind,
    /// Of a process or a topic; of a fault, what was done.
    pub(crate) name: String,
    /// How often a process of this name has been started, this one included.
    pub(crate) starts: Option<u64>,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) handles: Option<u64>,
    pub(crate) threads: Option<u64>,
    pub(crate) cpu_seconds: Option<f64>,
    /// From its `/metrics`, summed over partitions; nothing if it did not answer.
    pub(crate) lag_records: Option<u64>,
    pub(crate) consumed_records: Option<u64>,
    pub(crate) communities: Option<u64>,
    pub(crate) known_ids: Option<u64>,
    pub(crate) known_members: Option<u64>,
    pub(crate) queue_items: Option<u64>,
    pub(crate) parked: Option<u64>,
    /// Committed records of a topic so far, and bytes of their keys and values, before compression.
    pub(crate) records: Option<u64>,
    pub(crate) bytes: Option<u64>,
    /// Of a compacted topic: keys that have a value.
    pub(crate) live_keys: Option<u64>,
    /// What its logs take on the disks of all brokers together.
    pub(crate) stored_bytes: Option<u64>,
}

/// What a row tells of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A replica.
    #[default]
    Replica,
    /// Another process: a broker, or one of the feed.
    Other,
    Topic,
    Fault,
}

/// The file, and when the run began: from several threads.
#[derive(Debug, Clone)]
pub(crate) struct Samples {
    file: Arc<Mutex<csv::Writer<File>>>,
    begun: Instant,
}

impl Samples {
    /// Makes the file anew.
    pub(crate) fn create(path: &Path) -> Result<Samples> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = csv::Writer::from_path(path).with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Samples { file: Arc::new(Mutex::new(file)), begun: Instant::now() })
    }

    /// Writes down what was done just now.
    pub(crate) fn note(&self, what: &str) -> Result<()> {
        self.write(vec![Row { kind: Kind::Fault, name: what.to_owned(), ..Row::default() }])
    }

    fn write(&self, rows: Vec<Row>) -> Result<()> {
        let seconds = (self.begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        rows.into_iter().try_for_each(|row| file.serialize(Row { seconds, ..row }))?;
        Ok(file.flush()?)
    }
}

/// Reads what was sampled; a last line that is cut short does not count.
pub(crate) fn read(path: &Path) -> Result<Vec<Row>> {
    let mut file = csv::Reader::from_path(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(file.deserialize().map_while(|row| row.ok()).collect())
}

/// What is looked at.
pub(crate) struct Sources {
    pub(crate) replicas: Watch,
    pub(crate) brokers: Running,
    /// Of the feed.
    pub(crate) feed: Vec<(&'static str, u32)>,
    pub(crate) counts: Counts,
    /// The brokers' folders, and the prefix of topics.
    pub(crate) data: Vec<PathBuf>,
    pub(crate) prefix: String,
}

/// A thread that samples until it is told to stop.
#[derive(Debug)]
pub(crate) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<()>>,
}

impl Sampler {
    pub(crate) fn start(samples: Samples, sources: Sources) -> Sampler {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut next = Instant::now() + EVERY;
            while !stopped.load(Ordering::Relaxed) {
                match next.checked_duration_since(Instant::now()) {
                    Some(left) => std::thread::sleep(left.min(Duration::from_millis(200))),
                    None => {
                        samples.write(sources.look())?;
                        // What took too long is left out, not made up for.
                        next = (next + EVERY).max(Instant::now());
                    }
                }
            }
            samples.write(sources.look())
        });
        Sampler { stop, thread }
    }

    /// Takes a last sample.
    pub(crate) fn finish(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the sampler panicked"))?
    }
}

impl Sources {
    /// One sample of everything.
    fn look(&self) -> Vec<Row> {
        let replicas = self.replicas.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut rows = Vec::new();
        for (name, watched) in replicas {
            let used = Row { kind: Kind::Replica, name: name.to_owned(), ..Row::default() };
            let Some(used) = with_usage(used, watched.probe.id) else { continue };
            let shown = watched.probe.metrics().ok();
            let sum = |metric: &str| shown.as_deref().and_then(|text| sum(text, metric));
            rows.push(Row {
                starts: Some(watched.starts),
                lag_records: sum("sinyal_lag_records"),
                consumed_records: sum("sinyal_consumed_records_total"),
                communities: sum("sinyal_communities"),
                known_ids: sum("sinyal_known_ids"),
                known_members: sum("sinyal_known_members"),
                queue_items: sum("sinyal_queue_items"),
                parked: sum("sinyal_parked_corrections"),
                ..used
            });
        }
        let brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let others = brokers.into_iter().map(|(node, id)| (format!("broker-{}", node + 1), id));
        let others = others.chain(self.feed.iter().map(|(name, id)| ((*name).to_owned(), *id)));
        let others = others.map(|(name, id)| (Row { kind: Kind::Other, name, ..Row::default() }, id));
        rows.extend(others.filter_map(|(row, id)| with_usage(row, id)));
        let stored = stored(&self.data, &self.prefix);
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        rows.extend(counts.into_iter().map(|(name, came)| Row {
            kind: Kind::Topic,
            stored_bytes: stored.get(&name).copied(),
            records: Some(came.records),
            bytes: Some(came.bytes),
            live_keys: came.live,
            name,
            ..Row::default()
        }));
        rows
    }
}

/// Nothing if the process has ended.
fn with_usage(row: Row, id: u32) -> Option<Row> {
    let Usage { cpu_seconds, resident_bytes, handles, threads, .. } = Usage::of(id).ok()?;
    Some(Row {
        resident_bytes: Some(resident_bytes),
        handles: Some(handles),
        threads: Some(threads),
        cpu_seconds: Some(cpu_seconds),
        ..row
    })
}

/// The sum of a metric's samples; nothing if there is none.
fn sum(text: &str, metric: &str) -> Option<u64> {
    let of_metric = |line: &&str| line.strip_prefix(metric).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let samples = text.lines().filter(of_metric).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    samples.map(|sample| sample as u64).reduce(|sum, sample| sum + sample)
}

/// Bytes of the logs of each topic, by its name without the prefix. Files come and go meanwhile.
fn stored(data: &[PathBuf], prefix: &str) -> BTreeMap<String, u64> {
    let mut stored = BTreeMap::new();
    let folders = |path: &Path| std::fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    for partition in data.iter().flat_map(|folder| folders(folder)) {
        let name = partition.file_name();
        let Some(topic) = name.to_str().and_then(|name| topic_of(name, prefix)) else { continue };
        let logs = folders(&partition.path()).filter(|file| file.path().extension().is_some_and(|of| of == "log"));
        let bytes: u64 = logs.filter_map(|file| file.metadata().ok()).map(|log| log.len()).sum();
        *stored.entry(topic.to_owned()).or_default() += bytes;
    }
    stored
}

/// The topic of a partition's folder, `<prefix><topic>-<partition>`; nothing of one that is about to be deleted.
fn topic_of<'a>(folder: &'a str, prefix: &str) -> Option<&'a str> {
    let (topic, partition) = folder.strip_prefix(prefix)?.rsplit_once('-')?;
    partition.parse::<u32>().is_ok().then_some(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were_written_also_of_a_run_that_was_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/soak.csv");
        let samples = Samples::create(&path).unwrap();
        let replica = Row {
            kind: Kind::Replica,
            name: "classify-a".to_owned(),
            resident_bytes: Some(7),
            cpu_seconds: Some(0.5),
            ..Row::default()
        };
        samples.write(vec![replica.clone()]).unwrap();
        samples.note("kill -9 of broker 1").unwrap();
        let written = read(&path).unwrap();
        assert_eq!(Row { seconds: 0.0, ..written[0].clone() }, replica);
        assert_eq!((written[1].kind, written[1].name.as_str()), (Kind::Fault, "kill -9 of broker 1"));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}10.0,repl")).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
    }

    #[test]
    fn metrics_are_summed_over_partitions() {
        let text = "# TYPE a gauge\na{partition=\"0\"} 3\na{partition=\"1\"} 4\nab 9\nb 2\n";
        assert_eq!((sum(text, "a"), sum(text, "b"), sum(text, "c")), (Some(7), Some(2), None));
    }

    #[test]
    fn folders_of_partitions_name_their_topics() {
        let check = |folder: &str, expected: Option<&str>| assert_eq!(topic_of(folder, "soak."), expected, "{folder}");
        check("soak.social.alerts-0", Some("social.alerts"));
        check("soak.social.dead-letters-12", Some("social.dead-letters"));
        check("soak.social.alerts-0.abc-delete", None);
        check("__consumer_offsets-3", None);
    }
}
