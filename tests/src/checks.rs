//! What the tests on a real Kafka have in common: a configuration, a made-up input, and what must be true in the end.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use oracle::Window;

use crate::desk::check_queue_state;
use crate::{Kafka, Oracle, Reader, Sinyal, wait_for};

/// The standard windows.
pub fn windows() -> [Window; 4] {
    [
        Window::new("5m", 300_000, 10_000),
        Window::new("1h", 3_600_000, 60_000),
        Window::new("24h", 86_400_000, 900_000),
        Window::new("7d", 604_800_000, 3_600_000),
    ]
}

/// The queues that there are by default.
pub(crate) const QUEUES: [&str; 5] = ["complaint", "tip", "experience", "praise", "review"];

/// The standard windows in a configuration, open for a day: the tests feed minutes of event time in a second, so that a moment
/// of the machine's is long in event time. Nothing is late then, and a recount needs no watermark.
pub fn open_windows() -> String {
    windows_open_for(&windows(), 86_400_000)
}

/// Windows in a configuration, open for so long.
pub(crate) fn windows_open_for(windows: &[Window], lateness_ms: i64) -> String {
    let window = |Window { name, length_ms, slide_ms }: &Window| {
        format!(
            "[[windows]]\nname = \"{name}\"\nlength_ms = {length_ms}\nslide_ms = {slide_ms}\nlateness_ms = {lateness_ms}\n"
        )
    };
    windows.iter().map(window).collect()
}

/// The Kafka that the tests of one process share.
///
/// # Panics
/// If it cannot be started.
pub fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(|| match Kafka::start() {
        Ok(kafka) => kafka,
        Err(error) => panic!("no Kafka: {error:#}"),
    })
}

/// A configuration on the shared Kafka, its topics made.
///
/// # Errors
/// If they cannot be.
pub fn sinyal(prefix: &str, more: &str) -> Result<Sinyal> {
    let sinyal = Sinyal::new(&kafka().bootstrap(), prefix, more)?;
    sinyal.succeed(&["topics", "apply"])?;
    Ok(sinyal)
}

/// Makes up an input, leaves it as `input.jsonl`, and recounts it.
///
/// # Errors
/// If a command fails.
pub fn made_up(sinyal: &Sinyal, seed: u32, interactions: u32) -> Result<Oracle> {
    made_up_with(sinyal, seed, interactions, &[])
}

/// The same, with further arguments of `sinyal sim`.
///
/// # Errors
/// If a command fails.
pub fn made_up_with(sinyal: &Sinyal, seed: u32, interactions: u32, more: &[&str]) -> Result<Oracle> {
    recount(sinyal, &make_lines(sinyal, seed, interactions, more)?)
}

/// An oracle of an input, with what the classifier says of each text.
pub(crate) fn recount(sinyal: &Sinyal, lines: &str) -> Result<Oracle> {
    let mut texts = String::new();
    for (number, line) in lines.lines().enumerate() {
        let line: Value = serde_json::from_str(line)?;
        texts += &json!({ "id": number, "text": line["text"].as_str().unwrap_or_default() }).to_string();
        texts.push('\n');
    }
    std::fs::write(sinyal.file("texts.jsonl"), texts)?;
    let mut oracle = Oracle::default();
    oracle.ingest_lines(lines, &sinyal.succeed(&["classify", "--json", "texts.jsonl"])?)?;
    Ok(oracle)
}

/// Makes up an input, and leaves it as `input.jsonl`.
pub(crate) fn make_lines(sinyal: &Sinyal, seed: u32, interactions: u32, more: &[&str]) -> Result<String> {
    let (seed, interactions) = (seed.to_string(), interactions.to_string());
    let arguments = [&["sim", "--seed", &seed, "--interactions", &interactions], more].concat();
    let lines = sinyal.succeed(&arguments)?;
    std::fs::write(sinyal.file("input.jsonl"), &lines)?;
    Ok(lines)
}

/// Has somebody correct the label of every so many'th interaction that counts; gives the corrections, as JSON Lines.
pub fn correct_every(oracle: &mut Oracle, step: usize) -> String {
    let labelled: Vec<_> = oracle.labels().step_by(step).map(|(of, label)| (of.clone(), label.to_owned())).collect();
    let mut lines = String::new();
    for (identity, label) in labelled {
        let label = if label == "tip" { "complaint" } else { "tip" };
        let (community, kind, id) = &identity;
        let line = json!({ "community_id": community, "kind": kind, "id": id, "label": label, "by": "sari", "at": CORRECTED_AT });
        lines += &format!("{line}\n");
        oracle.correct(identity, label, CORRECTED_AT);
    }
    lines
}

/// After everything that is made up was written (in January 2026), and before now.
const CORRECTED_AT: i64 = 1_790_000_000_000;

/// How often each raw record stands in these topics.
///
/// # Errors
/// If an origin is not whole.
pub fn by_origin(records: &[Value]) -> Result<BTreeMap<Origin, usize>> {
    let mut origins = BTreeMap::new();
    for record in records {
        if let Some(origin) = origin(&record["value"])? {
            *origins.entry(origin).or_default() += 1;
        }
    }
    Ok(origins)
}

/// A raw record: its topic, partition and offset.
pub type Origin = (String, i64, i64);

/// Which raw record a value is from; none for a marker.
pub(crate) fn origin(value: &Value) -> Result<Option<Origin>> {
    let number = |field: &str| value[field].as_i64().context("a number");
    let Some(topic) = value["origin_topic"].as_str() else { return Ok(None) };
    Ok(Some((topic.to_owned(), number("origin_partition")?, number("origin_offset")?)))
}

/// Every raw record is classified once, the queues hold what a recount says, and so do their state and every pane.
///
/// # Errors
/// What is not so.
pub fn check_exactly_once(sinyal: &Sinyal, reader: &Reader, oracle: &Oracle) -> Result<()> {
    let classified = reader.read(&sinyal.topic("social.interactions.classified"), Some("Classified"))?;
    let origins = by_origin(&classified)?;
    ensure!(origins.len() == oracle.lines(), "{} of {} raw records are classified", origins.len(), oracle.lines());
    ensure!(origins.values().all(|&times| times == 1), "a raw record is classified twice");
    for queue in QUEUES {
        let items = reader.read(&sinyal.topic(&format!("social.queue.{queue}")), Some("QueueItem"))?;
        ensure!(by_origin(&items)?.values().all(|&times| times == 1), "queue {queue}: an item is there twice");
        oracle.check_queue(queue, items.iter().map(|item| &item["value"]))?;
    }
    check_queue_state(sinyal, reader, oracle)?;
    check_rows(sinyal, reader, oracle)
}

/// Every pane is what a recount says.
///
/// # Errors
/// Those that are not.
pub fn check_rows(sinyal: &Sinyal, reader: &Reader, oracle: &Oracle) -> Result<()> {
    let rows = reader.read(&sinyal.topic("social.community.metrics"), Some("CommunityMetrics"))?;
    let compared = oracle.check_rows(rows.iter().map(|row| &row["value"]), &windows(), None)?;
    ensure!(compared.panes > 500, "only {} panes could be compared", compared.panes);
    Ok(())
}

/// How many raw records are classified.
///
/// # Errors
/// If the topic cannot be read.
pub fn classified(sinyal: &Sinyal, reader: &Reader) -> Result<usize> {
    let records = reader.read(&sinyal.topic("social.interactions.classified"), Some("Classified"))?;
    Ok(by_origin(&records)?.len())
}

/// Waits until everything is classified, and the community stage has committed all of it: whatever rows come after that, those
/// that are there say all that was counted.
///
/// # Errors
/// If it takes too long.
pub fn wait_until_done(sinyal: &Sinyal, reader: &Reader, oracle: &Oracle) -> Result<()> {
    let topic = sinyal.topic("social.interactions.classified");
    let mut read = Vec::new();
    let mut found = 0;
    wait_for("everything to be classified", Duration::from_secs(120), || {
        read = reader.read(&topic, Some("Classified"))?;
        found = by_origin(&read)?.len();
        Ok(found >= oracle.lines())
    })
    .with_context(|| format!("{found} of {} are; {}", oracle.lines(), end_of_log(sinyal)))?;
    wait_until_aggregated(sinyal, reader, &topic, &read)
}

/// Waits until the community stage has committed these records of a topic that it reads.
///
/// # Errors
/// If it takes too long.
pub fn wait_until_aggregated(sinyal: &Sinyal, reader: &Reader, topic: &str, read: &[Value]) -> Result<()> {
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    for record in read {
        let number = |field: &str| record[field].as_i64().context("a number");
        next.insert(number("partition")?, number("offset")? + 1);
    }
    let mut committed = BTreeMap::new();
    wait_for("all of it to be aggregated", Duration::from_secs(120), || {
        committed = reader.committed(&sinyal.group("community"), topic)?;
        Ok(next.iter().all(|(partition, next)| committed.get(partition).copied().flatten() >= Some(*next)))
    })
    .with_context(|| format!("{committed:?} of {next:?} is; {}", end_of_log(sinyal)))
}

/// Waits until both stages have committed everything that is there for them to read now.
///
/// # Errors
/// If it takes too long.
pub fn wait_until_committed(sinyal: &Sinyal, kafka: &Kafka, reader: &Reader) -> Result<()> {
    let topics = [
        ("classify", "social.posts.raw"),
        ("classify", "social.comments.raw"),
        ("community", "social.interactions.classified"),
        ("community", "social.corrections"),
        ("community", "social.actions"),
    ];
    for (role, topic) in topics {
        let topic = sinyal.topic(topic);
        let mut committed = reader.committed(&sinyal.group(role), &topic)?;
        let next = committed.keys().map(|&partition| {
            let (_, next) = kafka.offsets(&topic, i32::try_from(partition)?)?;
            Ok((partition, next))
        });
        let next = next.collect::<Result<BTreeMap<i64, i64>>>()?;
        // There the last offset of a partition may be that of a transaction's marker, behind which nothing is to be committed.
        let marker = i64::from(topic == sinyal.topic("social.interactions.classified"));
        wait_for(&format!("{topic} to be read"), Duration::from_secs(180), || {
            committed = reader.committed(&sinyal.group(role), &topic)?;
            Ok(next
                .iter()
                .all(|(partition, next)| committed.get(partition).is_some_and(|at| at.unwrap_or(0) + marker >= *next)))
        })
        .with_context(|| format!("{committed:?} of {next:?} is committed; {}", end_of_log(sinyal)))?;
    }
    Ok(())
}

/// The last lines of what the services have logged.
pub(crate) fn end_of_log(sinyal: &Sinyal) -> String {
    let log = sinyal.log();
    let last: Vec<&str> = log.lines().rev().take(60).collect();
    let last: Vec<&str> = last.into_iter().rev().collect();
    format!("the log ends with\n{}", last.join("\n"))
}
