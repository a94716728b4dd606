//! How long it takes from a raw record to the queue item and to the row that it makes due, seen from outside: from when a reader of
//! committed records sees the one until it sees the other. A row is due when raw records of every partition are past the end of its pane,
//! and as much later as records may come in disorder: by the clock it would be a matter of the hour, since the made-up world has busy ones.

use std::collections::HashMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::message::{BorrowedMessage, Message};
use record::Kind;
use serde_json::{Value, json};
use sinyal_tests::{Kafka, Sinyal};
use wire::{Framing, GenericSchema, RawDecoder, RawFormat, SchemaName};

use super::candidate::Candidate;
use super::figures::{FED, ITEM_P50, ITEM_P99, Measured, ROW_P50, ROW_P99, in_turns, tell_each};
use super::follow::Follower;
use super::measure::RAW;
use super::streams::{Peer, build, make_topics};

const SECONDS: usize = 90;
/// What is seen before is the start's.
const WARM_UP: Duration = Duration::from_secs(30);
/// What came last is to be committed, and its panes are to end.
const LINGERS: Duration = Duration::from_secs(15);
/// One record of so many is looked into, that looking costs little.
const SAMPLED: u64 = 8;
/// `watermark.disorder_ms`, as the service and the peer have it.
const DISORDER_MS: i64 = 10_000;
/// Bytes of a single-object header.
const HEADER_BYTES: usize = 10;
const METRICS: &str = "social.community.metrics";
const QUEUES: [&str; 5] = ["complaint", "tip", "experience", "praise", "review"];
const GENERATION: &str = "g";

/// Feeds each candidate at this rate, in event time that goes on with the wall clock, so many times in turns.
pub(crate) fn measure_peer_latency(records_per_second: usize, runs: usize, peers: &[Peer]) -> Result<Vec<Value>> {
    build()?;
    let candidates = Candidate::all(peers);
    let measured = in_turns(&candidates, runs, |_, candidate, _| watch(candidate, records_per_second)?.figures());
    let cases = candidates.iter().map(|candidate| format!("latency: {}", candidate.name()));
    tell_each(cases, &json!({ "asked_for_per_second": records_per_second }), measured)
}

/// What the reader has seen.
struct Seen {
    warm_from: Instant,
    item_schema: GenericSchema,
    row_schema: GenericSchema,
    raw_decoder: RawDecoder,
    event_time: EventTime,
    count: u64,
    /// When the first raw record was seen, and when the last.
    fed: Option<(Instant, Instant)>,
    /// By topic and partition, from the first offset on.
    raw: HashMap<(String, i64), Vec<Instant>>,
    /// The origin of each queue item that was looked into.
    items: Vec<((String, i64), i64, Instant)>,
    /// From when a row that is on time is due until it is seen, in seconds.
    rows: Vec<f64>,
}

fn watch(candidate: &Candidate, records_per_second: usize) -> Result<Seen> {
    let kafka = Kafka::start()?;
    let sinyal = Sinyal::new(&kafka.bootstrap(), "latency", "telemetry.log = \"info\"\n")?;
    sinyal.succeed(&["topics", "apply"])?;
    make_topics(&sinyal, GENERATION)?;
    let made = sinyal.generation(GENERATION);
    let mut topics: Vec<String> = RAW.iter().map(|topic| sinyal.topic(topic)).collect();
    topics.extend(QUEUES.iter().map(|queue| made.topic(&format!("social.queue.{queue}"))));
    topics.push(made.topic(METRICS));
    let follower = Follower::at_end(sinyal.bootstrap(), &topics)?;
    let mut ran = candidate.start(&sinyal, GENERATION)?;
    // Both have their partitions by then.
    std::thread::sleep(Duration::from_secs(15));
    let mut feed = Feed::start(&sinyal, records_per_second)?;
    let mut seen = Seen::new(Instant::now() + WARM_UP)?;
    let mut ended: Option<Instant> = None;
    while ended.is_none_or(|at| at.elapsed() < LINGERS) {
        follower.poll(Duration::from_millis(5), |message| seen.take(message))?;
        ensure!(ran.is_running(), "it ended: {}", ran.end_of_log());
        if ended.is_none() && feed.is_over()? {
            ended = Some(Instant::now());
        }
    }
    ran.terminate()?;
    Ok(seen)
}

impl Seen {
    fn new(warm_from: Instant) -> Result<Seen> {
        Ok(Seen {
            warm_from,
            item_schema: GenericSchema::parse(SchemaName::QueueItem.text())?,
            row_schema: GenericSchema::parse(SchemaName::CommunityMetrics.text())?,
            raw_decoder: RawDecoder::new(RawFormat::Avro, Framing::SingleObject, usize::MAX),
            event_time: EventTime::default(),
            count: 0,
            fed: None,
            raw: HashMap::new(),
            items: Vec::new(),
            rows: Vec::new(),
        })
    }

    fn take(&mut self, message: &BorrowedMessage<'_>) -> Result<()> {
        let now = Instant::now();
        let topic = message.topic();
        if topic.ends_with(".raw") {
            self.fed.get_or_insert((now, now)).1 = now;
            let place = (topic.to_owned(), i64::from(message.partition()));
            let seen = self.raw.entry(place.clone()).or_default();
            seen.push(now);
            if (seen.len() as u64).is_multiple_of(SAMPLED)
                && let Some(value) = message.payload()
            {
                let kind = if topic.ends_with("posts.raw") { Kind::Post } else { Kind::Comment };
                let said = self.raw_decoder.decode(kind, value).map_err(|error| anyhow!("{topic}: {error:?}"))?;
                self.event_time.see(place, said.created_at, now);
            }
            return Ok(());
        }
        let Some(datum) = message.payload().and_then(|value| value.get(HEADER_BYTES..)) else { return Ok(()) };
        self.count += 1;
        if now < self.warm_from || !self.count.is_multiple_of(SAMPLED) {
            return Ok(());
        }
        if topic.ends_with(METRICS) {
            let row = self.row_schema.to_json(datum)?;
            if row["timing"] == "on_time" {
                let ended_at = row["window_end"].as_i64().context("a time")?;
                let due = self.event_time.since(ended_at + DISORDER_MS);
                self.rows.push(due.map_or(0.0, |due| now.duration_since(due).as_secs_f64()));
            }
            return Ok(());
        }
        let item = self.item_schema.to_json(datum)?;
        let number = |field: &str| item[field].as_i64().context("a number");
        if let Some(topic) = item["origin_topic"].as_str() {
            self.items.push(((topic.to_owned(), number("origin_partition")?), number("origin_offset")?, now));
        }
        Ok(())
    }

    fn figures(mut self) -> Result<Measured> {
        let (mut items, mut measured) = (self.items(), vec![(&FED, self.fed_per_second())]);
        for (seconds, figures) in [(&mut items, [&ITEM_P50, &ITEM_P99]), (&mut self.rows, [&ROW_P50, &ROW_P99])] {
            ensure!(!seconds.is_empty(), "{}: none was seen", figures[0].column);
            seconds.sort_by(f64::total_cmp);
            let at = |share: f64| seconds[((seconds.len() - 1) as f64 * share) as usize];
            measured.extend(figures.into_iter().zip([at(0.5), at(0.99)]));
        }
        Ok(measured)
    }

    /// Raw records in a second, as they came: brokers that share the machine may hold the feed up.
    fn fed_per_second(&self) -> f64 {
        let count: usize = self.raw.values().map(Vec::len).sum();
        self.fed.map_or(f64::NAN, |(first, last)| count as f64 / last.duration_since(first).as_secs_f64())
    }

    /// From when a raw record is seen until its item is, in seconds; 0 where the reader came to the item first.
    fn items(&self) -> Vec<f64> {
        let raw_at = |partition, offset: i64| self.raw.get(partition)?.get(usize::try_from(offset).ok()?);
        let seconds = self.items.iter().filter_map(|(partition, offset, at)| {
            Some(at.saturating_duration_since(*raw_at(partition, *offset)?).as_secs_f64())
        });
        seconds.collect()
    }
}

/// How far every raw partition is in event time, and since when.
#[derive(Default)]
struct EventTime {
    /// The latest time of each.
    latest: HashMap<(String, i64), i64>,
    /// Ever later times, and when all of them were so far.
    reached: Vec<(i64, Instant)>,
}

impl EventTime {
    fn see(&mut self, place: (String, i64), at: i64, now: Instant) {
        let latest = self.latest.entry(place).or_insert(at);
        *latest = at.max(*latest);
        let least = self.latest.values().min().copied().unwrap_or(at);
        if self.reached.last().is_none_or(|(before, _)| *before < least) {
            self.reached.push((least, now));
        }
    }

    /// Since when all are past a time; nothing if they were not seen to be yet.
    fn since(&self, at: i64) -> Option<Instant> {
        let first = self.reached.partition_point(|(reached, _)| *reached < at);
        self.reached.get(first).map(|(_, since)| *since)
    }
}

/// A world that is fed as it goes on.
struct Feed {
    made: Child,
    fed: Child,
}

impl Feed {
    fn start(sinyal: &Sinyal, records_per_second: usize) -> Result<Feed> {
        let (rate, count) = (records_per_second.to_string(), (records_per_second * SECONDS).to_string());
        let arguments = ["sim", "--seed", "9", "--communities", "1000", "--rate", &rate, "--interactions", &count];
        // Event time is the wall clock's.
        let start = kafka_io::Clock::now_ms(&kafka_io::SystemClock).to_string();
        let mut made = sinyal.command(&arguments)?.args(["--start", &start]).stdout(Stdio::piped()).spawn()?;
        let lines = made.stdout.take().context("a pipe")?;
        let fed = sinyal.command(&["ingest", "-", "--rate", &rate])?.stdin(lines).spawn()?;
        Ok(Feed { made, fed })
    }

    fn is_over(&mut self) -> Result<bool> {
        let Some(status) = self.fed.try_wait()? else { return Ok(false) };
        ensure!(self.made.wait()?.success() && status.success(), "the input could not be ingested; see above");
        Ok(true)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for child in [&mut self.made, &mut self.fed] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_passed_when_the_last_partition_passes_it() {
        let (start, mut event_time) = (Instant::now(), EventTime::default());
        let second = |number: u64| start + Duration::from_secs(number);
        for (number, (partition, at)) in [(0, 10), (1, 5), (1, 20), (0, 15), (1, 12), (0, 30)].into_iter().enumerate() {
            event_time.see(("posts.raw".to_owned(), partition), at, second(number as u64));
        }
        let since = |at: i64| event_time.since(at).map(|since| since.duration_since(start).as_secs());
        assert_eq!([since(10), since(15), since(16), since(20), since(21)], [Some(0), Some(3), Some(5), Some(5), None]);
    }
}
