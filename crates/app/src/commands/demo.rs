//! `sinyal demo`: everything at once on an embedded Kafka.

use std::collections::{BTreeMap, HashMap};
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kafka_io::embedded::EmbeddedBroker;
use kafka_io::feed::Feed;
use kafka_io::reader::{Reader, Start};
use kafka_io::{Clock, Connection, Shutdown, SystemClock};
use record::{EpochMs, Kind, Label, Outcome, Tier};
use rules::LiveCommunities;
use serde_json::{Value, json};
use sim::{World, WorldConfig};
use wire::{GenericSchema, RawEncoder, SchemaName};

use super::numbers::{above_zero, between};
use super::times::duration_up_to;
use crate::cli::OK;
use crate::config::{Config, Secret};
use crate::console::{CommunityRow, Snapshot, View};
use crate::roles::{ClassifyReport, CommunityReport, Surroundings, run_classify, run_community};
use crate::telemetry::{Health, Metrics, start_logging};

/// Arguments of `sinyal demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// How long it runs, e.g. 30s or 5m; without it, until q or Ctrl-C.
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
    /// How fast simulated time goes, as a multiple of the wall clock: 1 to 3600. Without --duration it goes this fast until
    /// it reaches the present, half an hour of it, and then with the clock.
    #[arg(long, default_value_t = 60.0, value_parser = |text: &str| between(text, 1.0, 3_600.0))]
    speed: f64,
    /// Seed of the made-up world.
    #[arg(long, default_value_t = 7)]
    seed: u64,
    /// Interactions per simulated second, in all communities together: above 0, at most 1000.
    #[arg(long, default_value_t = 4.0, value_parser = |text: &str| above_zero(text, 1_000.0))]
    rate: f64,
    /// The summary as one JSON object on the last line of standard output.
    #[arg(long)]
    json: bool,
}

/// Every so many records of the feed are garbage, so that a dead letter can be seen.
const GARBAGE_EVERY: u64 = 997;
const PARTITIONS: i32 = 4;

/// Simulated time: it starts at a moment, goes at a speed, and at the present falls in with the wall clock, if told to.
#[derive(Debug)]
struct DemoClock {
    begun: Instant,
    start: EpochMs,
    speed: f64,
    until_present: bool,
}

impl DemoClock {
    fn speed(&self) -> f64 {
        if self.until_present && self.fast() >= SystemClock.now_ms() { 1.0 } else { self.speed }
    }

    fn fast(&self) -> EpochMs {
        self.start + (self.begun.elapsed().as_secs_f64() * self.speed * 1_000.0) as EpochMs
    }
}

impl Clock for DemoClock {
    fn now_ms(&self) -> EpochMs {
        if self.until_present { self.fast().min(SystemClock.now_ms()) } else { self.fast() }
    }
}

pub(crate) fn run(args: DemoArgs, config: Config) -> Result<u8> {
    let live = std::io::stdout().is_terminal() && std::io::stderr().is_terminal() && !args.json;
    start_logging(if live { "off" } else { "error" }, "text")?;
    let config = Arc::new(demo_config(config)?);
    let topics = topics(&config);
    let broker = EmbeddedBroker::start(&topics)?;
    let bootstrap = broker.bootstrap().to_owned();
    eprintln!("bootstrap={bootstrap}");
    eprintln!(
        "embedded broker: everything is in memory and gone at the end; no transactions, so outputs are at least once; \
         the community stage's state is not written to its changelog; a partition keeps 5 MiB"
    );
    let span = args.duration.unwrap_or(Duration::from_secs(30)).as_secs_f64() * args.speed * 1_000.0;
    let clock = Arc::new(DemoClock {
        begun: Instant::now(),
        start: SystemClock.now_ms() - span as EpochMs,
        speed: args.speed,
        until_present: args.duration.is_none(),
    });
    let connection =
        Connection { bootstrap: bootstrap.clone(), client_id: "sinyal-demo".to_owned(), properties: Vec::new() };
    let shutdown = Shutdown::default();
    let surroundings = Surroundings {
        config: Arc::clone(&config),
        connection: connection.clone(),
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        health: Health::new(Duration::from_secs(60)),
        metrics: Metrics::new(),
        shutdown: shutdown.clone(),
        communities: LiveCommunities::new(config.communities.clone()),
        embedded: true,
    };
    let classified = Arc::new(Mutex::new(ClassifyReport::default()));
    let aggregated = Arc::new(Mutex::new(CommunityReport::default()));
    let classify_work = run_classify(surroundings.clone(), Arc::clone(&classified))?;
    let community_work = run_community(surroundings, Arc::clone(&aggregated))?;
    let classify_thread = std::thread::Builder::new().name("classify".to_owned()).spawn(classify_work)?;
    let community_thread = std::thread::Builder::new().name("community".to_owned()).spawn(community_work)?;

    let ending = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&ending))?;
    }
    let produced = Arc::new(AtomicU64::new(0));
    let feeding = spawn_feed(&args, &config, &connection, &clock, &ending, &produced)?;

    let mut watch = Watch::open(&config, &connection)?;
    let mut view = if args.json { View::Quiet } else { View::open(live)? };
    let mut last_draw: Option<Instant> = None;
    let mut first_classified: Option<Duration> = None;
    let mut rate = Rate::default();
    while !ending.load(Ordering::Acquire) {
        watch.read(Duration::from_millis(20))?;
        let report = classified.lock().map(|report| report.clone()).unwrap_or_default();
        if first_classified.is_none() && report.ledger.count(Outcome::Classified) > 0 {
            first_classified = Some(clock.begun.elapsed());
        }
        if last_draw.is_none_or(|at| at.elapsed() >= view.interval()) {
            last_draw = Some(Instant::now());
            let snapshot = snapshot(&report, &aggregated, &clock, &bootstrap, &watch, &config, &mut rate);
            view.draw(&snapshot)?;
        }
        let over = args.duration.is_some_and(|duration| clock.begun.elapsed() >= duration);
        if over || view.wants_quit()? || classify_thread.is_finished() || community_thread.is_finished() {
            ending.store(true, Ordering::Release);
        }
    }
    drop(view);
    feeding.join().map_err(|_| anyhow::anyhow!("the feed panicked"))??;
    settle(&classified, &aggregated, &produced);
    // What is classified is read; give the last panes a moment to be emitted and read back.
    std::thread::sleep(Duration::from_millis(300));
    watch.read(Duration::from_millis(200))?;
    shutdown.request();
    classify_thread.join().map_err(|_| anyhow::anyhow!("the classify role panicked"))??;
    community_thread.join().map_err(|_| anyhow::anyhow!("the community role panicked"))??;
    let summary = summary(&classified, &aggregated, &produced, &config, &bootstrap, first_classified);
    let mut out = std::io::stdout().lock();
    if args.json {
        writeln!(out, "{summary}")?;
    } else {
        writeln!(out, "{}", readable(&summary))?;
    }
    drop(broker);
    Ok(OK)
}

/// The configuration of the demo: its own secret, no registry, and the windows and queues as they are configured.
fn demo_config(mut config: Config) -> Result<Config> {
    use std::hash::{BuildHasher, Hasher};
    // Good for as long as the demo runs: its authors are made up.
    let mut secret = Vec::new();
    for _ in 0..4 {
        secret.extend_from_slice(&std::collections::hash_map::RandomState::new().build_hasher().finish().to_le_bytes());
    }
    config.pseudonym_secret = Some(Secret::new(secret));
    config.registry = None;
    config.raw_format = wire::RawFormat::Avro;
    config.classify.commit_interval_ms = 50;
    config.community.commit_interval_ms = 50;
    config.instance_lasts = false;
    Ok(config)
}

fn topics(config: &Config) -> Vec<(String, i32)> {
    let names = &config.topics;
    let mut topics: Vec<(String, i32)> = [
        &names.posts_raw,
        &names.comments_raw,
        &names.classified,
        &names.queue_state,
        &names.alerts,
        &names.corrections,
        &names.actions,
        &names.metrics,
        &names.dead_letters,
        &names.changelog,
    ]
    .into_iter()
    .map(|name| (name.clone(), PARTITIONS))
    .collect();
    topics.extend(config.routing.queues().iter().map(|queue| (config.queue_topic(&queue.spec.name), PARTITIONS)));
    topics
}

/// Plays the world into the raw topics, in step with the clock.
fn spawn_feed(
    args: &DemoArgs,
    config: &Config,
    connection: &Connection,
    clock: &Arc<DemoClock>,
    ending: &Arc<AtomicBool>,
    produced: &Arc<AtomicU64>,
) -> Result<std::thread::JoinHandle<Result<()>>> {
    let feed = Feed::open(connection, 1_000_000)?;
    let world = WorldConfig { start: clock.start, rate_per_second: args.rate, ..WorldConfig::default() };
    let mut world = World::new(args.seed, world);
    let (posts, comments) = (config.topics.posts_raw.clone(), config.topics.comments_raw.clone());
    let (clock, ending, produced) = (Arc::clone(clock), Arc::clone(ending), Arc::clone(produced));
    let feeding = std::thread::Builder::new().name("feed".to_owned()).spawn(move || -> Result<()> {
        let mut encoder = RawEncoder::single_object();
        let mut bytes = Vec::new();
        let mut next = world.next_interaction();
        while !ending.load(Ordering::Acquire) {
            if next.arrival > clock.now_ms() {
                feed.poll(Duration::from_millis(2));
                continue;
            }
            let interaction = &next.interaction;
            bytes.clear();
            encoder.encode(interaction, &mut bytes)?;
            let number = produced.fetch_add(1, Ordering::AcqRel) + 1;
            if number.is_multiple_of(GARBAGE_EVERY) {
                bytes.truncate(bytes.len() / 2);
            }
            let topic = if interaction.kind == Kind::Post { &posts } else { &comments };
            feed.send(topic, Some(interaction.identity().key().as_bytes()), Some(&bytes), Some(next.arrival))?;
            next = world.next_interaction();
        }
        feed.flush(Duration::from_secs(10))?;
        let why = feed.first_failure().unwrap_or_default();
        ensure!(feed.failed() == 0, "{} records were not taken by the embedded broker: {why}", feed.failed());
        Ok(())
    })?;
    Ok(feeding)
}

/// Waits until everything produced is classified and everything classified is aggregated, in bounded time.
fn settle(classified: &Mutex<ClassifyReport>, aggregated: &Mutex<CommunityReport>, produced: &AtomicU64) {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        let report = classified.lock().map(|report| report.clone()).unwrap_or_default();
        let after = aggregated.lock().map(|report| report.clone()).unwrap_or_default();
        let interactions = after.ledger.consumed() - after.ledger.count(Outcome::Progress);
        if report.ledger.consumed() == produced.load(Ordering::Acquire)
            && interactions == report.ledger.count(Outcome::Classified)
        {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reads back what the service writes, as a dashboard would.
struct Watch {
    metrics: Reader,
    states: Reader,
    metrics_schema: GenericSchema,
    item_schema: GenericSchema,
    communities: BTreeMap<String, CommunityRow>,
    /// The queue of each item that waits.
    waiting: HashMap<Vec<u8>, String>,
}

/// Bytes of a single-object header.
const HEADER_BYTES: usize = 10;
const TREND_MAX: usize = 120;

impl Watch {
    fn open(config: &Config, connection: &Connection) -> Result<Watch> {
        let open = |topic: &str| Reader::open(connection, topic, Start::Beginning, Duration::from_secs(10));
        Ok(Watch {
            metrics: open(&config.topics.metrics)?,
            states: open(&config.topics.queue_state)?,
            metrics_schema: GenericSchema::parse(SchemaName::CommunityMetrics.text())?,
            item_schema: GenericSchema::parse(SchemaName::QueueItem.text())?,
            communities: BTreeMap::new(),
            waiting: HashMap::new(),
        })
    }

    /// Takes in what there is, for about this time.
    fn read(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            let mut any = false;
            if let Some(record) = self.metrics.next(Duration::from_millis(2))? {
                any = true;
                if let Some(row) = record.value.as_deref().and_then(|value| value.get(HEADER_BYTES..)) {
                    let row = self.metrics_schema.to_json(row).context("a row of the metrics topic")?;
                    self.take_row(&row);
                }
            }
            if let Some(record) = self.states.next(Duration::ZERO)? {
                any = true;
                let key = record.key.unwrap_or_default();
                match record.value.as_deref().and_then(|value| value.get(HEADER_BYTES..)) {
                    Some(item) => {
                        let item = self.item_schema.to_json(item).context("an item of the queues' state")?;
                        let waits =
                            matches!(item["status"].as_str(), Some("open" | "moved")) && item["queue"] != "none";
                        if waits {
                            self.waiting.insert(key, item["queue"].as_str().unwrap_or_default().to_owned());
                        } else {
                            self.waiting.remove(&key);
                        }
                    }
                    None => {
                        self.waiting.remove(&key);
                    }
                }
            }
            if !any && Instant::now() >= end || Instant::now() >= end + time * 4 {
                return Ok(());
            }
        }
    }

    fn take_row(&mut self, row: &Value) {
        if row["window"] != "5m" || row["revision"] != 0 {
            return;
        }
        let id = row["community_id"].as_str().unwrap_or_default();
        let count = |field: &str| row[field].as_i64().unwrap_or(0);
        let shown = self.communities.entry(id.to_owned()).or_default();
        shown.id = id.to_owned();
        shown.labels = ["complaints", "tips", "experiences", "praises", "others"].map(count);
        shown.per_minute = count("interactions") as f64 / 5.0;
        shown.trend.push(u64::try_from(count("interactions")).unwrap_or(0));
        if shown.trend.len() > TREND_MAX {
            shown.trend.remove(0);
        }
    }

    fn depths(&self, config: &Config) -> Vec<(String, u64)> {
        let queues = config.routing.queues().iter().map(|queue| queue.spec.name.clone());
        queues
            .map(|name| {
                let open = self.waiting.values().filter(|queue| **queue == name).count() as u64;
                (name, open)
            })
            .collect()
    }
}

/// Classified per second, over about two of them.
#[derive(Debug, Default)]
struct Rate {
    seen: Vec<(Instant, u64)>,
}

impl Rate {
    fn of(&mut self, count: u64) -> f64 {
        let now = Instant::now();
        self.seen.push((now, count));
        self.seen.retain(|(at, _)| now.duration_since(*at) < Duration::from_secs(4));
        match self.seen.first() {
            Some((at, before)) if now > *at => (count - before) as f64 / now.duration_since(*at).as_secs_f64(),
            _ => 0.0,
        }
    }
}

fn snapshot(
    report: &ClassifyReport,
    aggregated: &Mutex<CommunityReport>,
    clock: &DemoClock,
    bootstrap: &str,
    watch: &Watch,
    config: &Config,
    rate: &mut Rate,
) -> Snapshot {
    let after = aggregated.lock().map(|report| report.clone()).unwrap_or_default();
    let classified = report.ledger.count(Outcome::Classified);
    Snapshot {
        event_time: clock.now_ms(),
        speed: clock.speed(),
        classified,
        per_second: rate.of(classified),
        share_deep: report.tallies.share_of(Tier::Deep),
        share_abstained: report.tallies.share_abstained(),
        queues: watch.depths(config),
        dead_letters: report.dead_letters + after.dead_letters,
        deduplicated: after.ledger.count(Outcome::Deduplicated),
        late: after.ledger.count(Outcome::Late),
        panes: after.panes,
        bootstrap: bootstrap.to_owned(),
        communities: watch.communities.values().cloned().collect(),
    }
}

fn summary(
    classified: &Mutex<ClassifyReport>,
    aggregated: &Mutex<CommunityReport>,
    produced: &AtomicU64,
    config: &Config,
    bootstrap: &str,
    first_classified: Option<Duration>,
) -> Value {
    let report = classified.lock().map(|report| report.clone()).unwrap_or_default();
    let after = aggregated.lock().map(|report| report.clone()).unwrap_or_default();
    let produced = produced.load(Ordering::Acquire);
    let by_label: serde_json::Map<String, Value> = Label::ALL
        .into_iter()
        .map(|label| (label.as_str().to_owned(), report.tallies.by_label[label.index()].into()))
        .collect();
    let by_tier: serde_json::Map<String, Value> = Tier::ALL
        .into_iter()
        .map(|tier| (tier.as_str().to_owned(), report.tallies.by_tier[tier as usize].into()))
        .collect();
    let by_queue: serde_json::Map<String, Value> = config
        .routing
        .queues()
        .iter()
        .zip(&report.tallies.by_queue)
        .map(|(queue, &count)| (queue.spec.name.clone(), count.into()))
        .collect();
    let outcomes: serde_json::Map<String, Value> = Outcome::ALL
        .into_iter()
        .filter(|&outcome| after.ledger.count(outcome) > 0)
        .map(|outcome| (outcome.as_str().to_owned(), after.ledger.count(outcome).into()))
        .collect();
    let interactions = after.ledger.consumed() - after.ledger.count(Outcome::Progress);
    let balanced = produced == report.ledger.consumed()
        && report.balanced
        && after.balanced
        && report.ledger.is_balanced()
        && after.ledger.is_balanced()
        && interactions == report.ledger.count(Outcome::Classified);
    json!({
        "produced": produced,
        "consumed": report.ledger.consumed(),
        "classified": by_label,
        "abstained": report.tallies.abstained,
        "decided": by_tier,
        "queued": by_queue,
        "panes": after.panes,
        "dead_letters": report.dead_letters + after.dead_letters,
        "deduplicated": after.ledger.count(Outcome::Deduplicated),
        "late": after.ledger.count(Outcome::Late),
        "community_outcomes": outcomes,
        "ledger_balanced": balanced,
        "first_classified_ms": first_classified.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        "bootstrap": bootstrap,
    })
}

fn readable(summary: &Value) -> String {
    let list = |field: &str| {
        let parts = summary[field].as_object().into_iter().flatten().map(|(name, count)| format!("{name} {count}"));
        parts.collect::<Vec<_>>().join(", ")
    };
    let balanced =
        if summary["ledger_balanced"] == true { "every record has exactly one outcome" } else { "NOT balanced" };
    format!(
        "produced {}, consumed {}, ledger: {balanced}\nclassified: {}\nqueued: {}\naggregated: {}\npanes {}, dead letters {}",
        summary["produced"],
        summary["consumed"],
        list("classified"),
        list("queued"),
        list("community_outcomes"),
        summary["panes"],
        summary["dead_letters"]
    )
}

fn duration(text: &str) -> Result<Duration, String> {
    duration_up_to(text, "24h").map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert!(duration("x").is_err() && duration("0s").is_err() && duration("3d").is_err());
    }
}
