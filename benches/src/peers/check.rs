//! Whether the peer says what the service says: every classified record and queue item beside ours, every row by the oracle.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sinyal_tests::checks::{Origin, by_origin, check_rows, made_up_with, open_windows, wait_until_done};
use sinyal_tests::{Kafka, Oracle, Ran, Reader, Sinyal};

use super::progress::Progress;
use super::streams::{Peer, build, group, make_topics};

const GENERATION: &str = "streams";
const QUEUES: [&str; 5] = ["complaint", "tip", "experience", "praise", "review"];
/// So many differences are shown.
const SHOWN: usize = 5;
/// What is as of a clock that is the writer's own.
const OF_THE_CLOCK: [&str; 4] = ["classified_at", "updated_at", "priority", "priority_reasons"];

/// Runs both on the same made-up input, on a Kafka of its own.
pub(crate) fn check_peer(interactions: u32, store: &str) -> Result<()> {
    build()?;
    let kafka = Kafka::start()?;
    // The peer takes no personal data out of texts, and late is what either calls so by its own clock.
    let more = format!("classify.redact = []\n{}", open_windows());
    let sinyal = Sinyal::new(&kafka.bootstrap(), "peer", &more)?;
    sinyal.succeed(&["topics", "apply"])?;
    make_topics(&sinyal, GENERATION)?;
    let reader = Reader::new(&kafka.bootstrap())?;
    let oracle = made_up_with(&sinyal, 11, interactions, &["--communities", "40", "--rate", "20"])?;
    sinyal.succeed(&["ingest", "input.jsonl"])?;
    let ours = sinyal.start(&["run", "--role", "classify,community"])?;
    wait_until_done(&sinyal, &reader, &oracle)?;
    ours.terminate()?;
    let day = "86400000";
    let more = vec![format!("lateness.ms={day},{day},{day},{day}")];
    let (options, windows) = (Vec::new(), Vec::new());
    let peer = Peer { store: store.to_owned(), threads: 2, heap_mib: 512, options, more, windows };
    let mut first = peer.start(&sinyal, GENERATION)?;
    wait_until_under_way(&sinyal, &mut first, i64::from(interactions) / 4)?;
    // Killed once: what it restores must say the same as what it had.
    first.kill();
    let mut theirs = peer.start(&sinyal, GENERATION)?;
    let streams = sinyal.generation(GENERATION);
    wait_until_done(&streams, &reader, &oracle).with_context(|| theirs.end_of_log())?;
    theirs.terminate()?;
    compare(&sinyal, &streams, &reader, &oracle)
}

/// Waits until the peer has committed so many raw records.
fn wait_until_under_way(sinyal: &Sinyal, peer: &mut Ran, records: i64) -> Result<()> {
    let raw = ["social.posts.raw", "social.comments.raw"].map(|topic| sinyal.topic(topic));
    let progress = Progress::of(sinyal.bootstrap(), &group(sinyal, GENERATION), &raw)?;
    let started = Instant::now();
    while progress.committed()?.iter().sum::<i64>() < records {
        ensure!(peer.is_running(), "the peer ended: {}", peer.end_of_log());
        ensure!(started.elapsed() < Duration::from_secs(120), "the peer does not get on: {}", peer.end_of_log());
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn compare(sinyal: &Sinyal, streams: &Sinyal, reader: &Reader, oracle: &Oracle) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let classified = "social.interactions.classified";
    let compared = compare_topic(sinyal, streams, reader, classified, "Classified")?;
    ensure!(compared == oracle.lines(), "{compared} of {} raw records are classified", oracle.lines());
    writeln!(out, "{compared} classified records are the same")?;
    for queue in QUEUES {
        let topic = format!("social.queue.{queue}");
        let items = compare_topic(sinyal, streams, reader, &topic, "QueueItem")?;
        let theirs = reader.read(&streams.topic(&topic), Some("QueueItem"))?;
        oracle.check_queue(queue, theirs.iter().map(|item| &item["value"]))?;
        writeln!(out, "queue {queue}: {items} items are the same, and as recounted")?;
    }
    check_rows(sinyal, reader, oracle).context("the rows of the service")?;
    check_rows(streams, reader, oracle).context("the rows of the peer")?;
    let rows = reader.read(&streams.topic("social.community.metrics"), Some("CommunityMetrics"))?;
    writeln!(out, "{} rows of the peer are as recounted by the oracle", rows.len())?;
    Ok(())
}

/// Compares what came of each raw record, field by field; gives how many there are.
fn compare_topic(sinyal: &Sinyal, streams: &Sinyal, reader: &Reader, topic: &str, schema: &str) -> Result<usize> {
    let read = |of: &Sinyal| -> Result<BTreeMap<Origin, Value>> {
        let records = reader.read(&of.topic(topic), Some(schema))?;
        ensure!(by_origin(&records)?.values().all(|&times| times == 1), "{topic}: something is there twice");
        let values = records.into_iter().filter(|record| record["value"]["origin_topic"].is_string());
        values.map(|record| Ok((origin(&record["value"])?, record))).collect()
    };
    let (ours, theirs) = (read(sinyal)?, read(streams)?);
    let mut differ = Vec::new();
    if ours.len() != theirs.len() {
        differ.push(format!("{} records of the service, {} of the peer", ours.len(), theirs.len()));
    }
    for (origin, ours) in &ours {
        let Some(theirs) = theirs.get(origin) else {
            differ.push(format!("{origin:?}: nothing of the peer"));
            continue;
        };
        if ours["key"] != theirs["key"] || ours["partition"] != theirs["partition"] {
            differ.push(format!("{origin:?}: key or partition"));
        }
        for (field, expected) in ours["value"].as_object().context("a record")? {
            let found = &theirs["value"][field];
            if !OF_THE_CLOCK.contains(&field.as_str()) && !is_same(expected, found) {
                differ.push(format!("{origin:?} {field}: {found} of the peer, {expected} of the service"));
            }
        }
    }
    if differ.is_empty() {
        return Ok(ours.len());
    }
    bail!("{topic}: {} differences, first {:#?}", differ.len(), &differ[..differ.len().min(SHOWN)])
}

fn origin(value: &Value) -> Result<Origin> {
    let number = |field: &str| value[field].as_i64().context("a number");
    let topic = value["origin_topic"].as_str().context("a topic")?;
    Ok((topic.to_owned(), number("origin_partition")?, number("origin_offset")?))
}

/// Probabilities may differ in their last digit: exponentials are two libraries'.
fn is_same(one: &Value, other: &Value) -> bool {
    let are_floats = one.is_f64() && other.is_f64();
    one == other
        || one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| are_floats && (one - other).abs() <= 1e-6)
}
