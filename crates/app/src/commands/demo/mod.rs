//! `sinyal demo`: everything at once on an embedded Kafka.

mod clock;
mod summary;
mod watch;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use kafka_io::embedded::EmbeddedBroker;
use kafka_io::feed::Feed;
use kafka_io::{Clock, Connection, Shutdown, SystemClock};
use record::{EpochMs, Kind, Outcome, Tier};
use sim::{Crisis, World, WorldConfig};
use wire::RawEncoder;

use self::clock::DemoClock;
use self::summary::{readable, summary};
use self::watch::Watch;
use super::numbers::{above_zero, between};
use super::times::duration_up_to;
use crate::cli::OK;
use crate::config::{Config, Secret};
use crate::console::{Snapshot, View};
use crate::reload::LiveRules;
use crate::roles::{ClassifyReport, CommunityReport, Surroundings, run_classify, run_community};
use crate::telemetry::{Health, Metrics, start_logging};

/// Arguments of `sinyal demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// How long it runs, e.g. 30s or 5m; without it, until q or Ctrl-C.
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
    /// How fast simulated time goes, as a multiple of the wall clock: 1 to 3600. Without --duration it goes this fast until
    /// it reaches the present, some 45 minutes of it, and then with the clock. Before it two hours pass in three seconds, from which
    /// the alert rules learn what is usual.
    #[arg(long, default_value_t = 90.0, value_parser = |text: &str| between(text, 1.0, 3_600.0))]
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

/// So much happens before what is shown, as fast as it can be processed: the alert rules learn from it what is usual.
const HISTORY_MS: i64 = 2 * 3_600_000;
/// How fast history goes, as a multiple of the wall clock.
const HISTORY_SPEED: f64 = 2_400.0;
/// When the crisis begins after the start of what is shown, and how long it lasts, in milliseconds.
const CRISIS_BEGINS_MS: i64 = 240_000;
const CRISIS_LASTS_MS: i64 = 420_000;
/// Time of day at which what is shown begins: a multiple of this, at which the rules look whether an episode is over.
const QUARTER_MS: i64 = 900_000;

/// Every so many records of the feed are garbage, so that a dead letter can be seen.
const GARBAGE_EVERY: u64 = 997;
const PARTITIONS: i32 = 4;

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
    let start = SystemClock.now_ms() - span as EpochMs;
    let clock = Arc::new(DemoClock {
        begun: Instant::now(),
        start: start - start.rem_euclid(QUARTER_MS),
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
        rules: LiveRules::new(&config),
        traces: None,
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
        let over = args.duration.is_some_and(|duration| clock.shown_for() >= duration);
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
    let summary = summary(&classified, &aggregated, &produced, &config, &bootstrap, first_classified, &watch);
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
    // Two hours of history are all that there is.
    config.alerts.warm_up_ms = 3_600_000;
    config.alerts.resolve_after_ms = 0;
    // They do not show how the day goes: what only grows with it is not told.
    for rule in [&mut config.alerts.tip_surge, &mut config.alerts.praise_surge, &mut config.alerts.share_shift] {
        rule.threshold = 30.0;
        rule.min_ratio = 4.0;
    }
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
        &names.canary,
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
    let crisis = Crisis { community: 1, begins_ms: HISTORY_MS + CRISIS_BEGINS_MS, lasts_ms: CRISIS_LASTS_MS };
    let start = clock.start - HISTORY_MS;
    let world = WorldConfig { start, rate_per_second: args.rate, crisis: Some(crisis), ..WorldConfig::default() };
    let mut world = World::new(args.seed, world);
    let (posts, comments) = (config.topics.posts_raw.clone(), config.topics.comments_raw.clone());
    let (clock, ending, produced) = (Arc::clone(clock), Arc::clone(ending), Arc::clone(produced));
    let feeding = std::thread::Builder::new().name("feed".to_owned()).spawn(move || -> Result<()> {
        let mut encoder = RawEncoder::single_object();
        let mut bytes = Vec::new();
        let mut next = world.next_interaction();
        while !ending.load(Ordering::Acquire) {
            if next.arrival > clock.now_ms() {
                feed.rest(Duration::from_millis(2));
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
        alerts: watch.alerts(),
    }
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
