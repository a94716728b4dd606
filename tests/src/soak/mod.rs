//! Soak: hours of a continuous feed on a cluster of three brokers, a fault every minute, and a look at everything of ours every ten seconds.
//!
//! What is done to it, and what must be true in the end, is chaos' ([`crate::chaos`]). Added is time: what leaks shows. So that state stands
//! after a while, windows are short here: what is known of an interaction goes after six minutes of event time, in which all of
//! state turns over. The first replica of each role is frozen and loses its partitions, but is never killed, so that its memory tells.

mod feeding;
mod following;
mod plot;
mod report;
mod samples;
mod verdict;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use oracle::{Identity, Window};
use serde_json::json;

use self::feeding::{Feed, Feeding};
use self::following::Following;
use self::report::Counted;
use self::samples::{Sampler, Samples, Sources};
use crate::checks::{recount, wait_until_committed, windows_open_for};
use crate::fleet::{DISORDER_MS, Fault, Fleet, PARTITIONS, TIMEOUTS};
use crate::kafka::More;
use crate::written::{Alike, compare};
use crate::{Kafka, Oracle, Reader, Sinyal};

/// What is to be done.
#[derive(Debug, Clone)]
pub struct Soak {
    /// How long it is fed.
    pub minutes: u64,
    /// Raw records a second.
    pub rate: u32,
    /// Of the world and of the faults.
    pub seed: u64,
    /// In how many communities.
    pub communities: u32,
    /// Where samples, verdict and plot are left: this and `.csv`, `.md` and `.svg`.
    pub out: PathBuf,
    /// What ran, by Git, from before the run.
    pub commit: String,
}

/// How long an interaction is known: the longest window and its lateness.
const HORIZON_MS: i64 = 2 * LATENESS_MS;
/// Longer than anything takes that is fed, and a correction during a fault.
const LATENESS_MS: i64 = 180_000;
/// How long records are kept where it is not the last of each key that counts.
const RETENTION_MS: i64 = 1_200_000;
/// Most lines that are recounted: an oracle keeps about two kilobytes of each.
const RECOUNTED_MAX: u64 = 200_000;
/// One each minute, in turn.
const FAULTS: [Fault; 5] = [Fault::KillReplica, Fault::KillBroker, Fault::Freeze, Fault::Rebalance, Fault::KillRole];
const FAULT_EVERY: Duration = Duration::from_secs(60);
/// So many interactions are corrected each time.
const CORRECTED: usize = 5;
/// The replicas that are never killed.
const SPARED: [&str; 2] = ["classify-a", "community-a"];
/// Brokers roll and compact within the run, not within days.
const BROKERS: &str = "log.roll.ms=60000\nlog.segment.bytes=16777216\nlog.cleaner.min.cleanable.ratio=0.2\n\
    log.cleaner.delete.retention.ms=60000\nlog.cleaner.backoff.ms=5000\nlog.retention.check.interval.ms=30000\n";

fn windows() -> [Window; 2] {
    [Window::new("1m", 60_000, 10_000), Window::new("3m", LATENESS_MS, 60_000)]
}

impl Soak {
    /// Does it; `say` is told what happens, line by line. Gives the verdict, and whether all is well.
    ///
    /// # Errors
    /// If it cannot be done, or something that was counted is not as it should be. What was sampled is there all the same.
    pub fn run(&self, say: &mut dyn FnMut(&str)) -> Result<(String, bool)> {
        let settings = format!("{BROKERS}log.retention.ms={RETENTION_MS}\n");
        let kafka = Kafka::start_with(3, More { settings, ..More::default() })?;
        let more = format!(
            "{TIMEOUTS}topics.replication = 3\ntopics.raw_partitions = 3\ntopics.partitions = {PARTITIONS}\n\
             topics.retention_ms = {RETENTION_MS}\ntopics.metrics_retention_ms = {RETENTION_MS}\nalerts.warm_up_hours = 1\n{}",
            windows_open_for(&windows(), LATENESS_MS)
        );
        let sinyal = Sinyal::new(&kafka.bootstrap(), "soak", &more)?;
        sinyal.succeed(&["topics", "apply"])?;
        kafka.wait_until_whole()?;
        let reader = Reader::new(sinyal.bootstrap())?;
        let feed = Feed {
            seed: self.seed,
            communities: self.communities,
            rate: self.rate,
            lasts: Duration::from_secs(self.minutes * 60),
            start: start_of_world()?,
        };
        let recounted = feed.choose(&sinyal, RECOUNTED_MAX)?;
        say(&format!("{} of {} communities are recounted", recounted.len(), self.communities));
        let mut following = Following::start(&sinyal, &reader, &recounted)?;
        let samples = Samples::create(&self.file("csv"))?;
        let noted = samples.clone();
        let mut tell = |line: &str| {
            say(line);
            // What cannot be written now cannot be sampled either: the sampler tells.
            let _ = noted.note(line.split_once(" s  ").map_or(line, |(_, what)| what));
        };
        let mut fleet = Fleet::new(kafka, &sinyal, self.seed, &SPARED, &mut tell);
        fleet.start_all()?;
        let feeding = feed.begin(&sinyal, &recounted)?;
        let lines = feeding.lines.clone();
        let sources = Sources {
            replicas: fleet.watch(),
            brokers: fleet.kafka.running(),
            feed: feeding.processes().into(),
            counts: following.counts(),
            data: fleet.kafka.data(),
            prefix: sinyal.topic(""),
        };
        let sampler = Sampler::start(samples, sources);
        let mut run = Run { sinyal: &sinyal, corrections: Vec::new() };
        let fed = run.feed(&mut fleet, feeding, &mut following)?;
        fleet.heal()?;
        wait_until_committed(&sinyal, &fleet.kafka, &reader)?;
        let mut oracle = recount(&sinyal, &std::fs::read_to_string(lines)?)?;
        run.correct_in(&mut oracle);
        let until = oracle.latest().context("an interaction")? - DISORDER_MS;
        fleet.wait_for_event_time(until)?;
        fleet.check_ledgers()?;
        // A last sample is taken while everything still runs.
        sampler.finish()?;
        fleet.end()?;
        following.finish()?;
        fleet.tell("comparing");
        let classified = following.came("social.interactions.classified").keyed;
        ensure!(classified == fed, "{classified} of {fed} raw records are classified");
        let Alike { items, rows, panes } = compare(&following, &oracle, &windows(), until)?;
        let counted = Counted {
            faults: fleet.faults.clone(),
            resets: sinyal.log().lines().filter(|line| line.contains("giving up what is not committed")).count(),
            fed,
            communities: recounted.len(),
            recounted: oracle.lines(),
            corrections: run.corrections.len(),
            items,
            rows,
            panes,
        };
        self.tell(Some(&counted))
    }

    /// Judges and draws what was sampled; of a run that was cut short without what is counted at its end.
    ///
    /// # Errors
    /// If there is nothing, or it cannot be written.
    pub fn look_again(csv: &Path) -> Result<(String, bool)> {
        let commit = "unknown, samples do not tell".to_owned();
        let soak = Soak { minutes: 0, rate: 0, seed: 0, communities: 0, out: csv.with_extension(""), commit };
        soak.tell(None)
    }

    fn tell(&self, counted: Option<&Counted>) -> Result<(String, bool)> {
        let rows = samples::read(&self.file("csv"))?;
        let judged = verdict::judge(&rows);
        let title = self.out.file_name().unwrap_or_default().to_string_lossy().into_owned();
        plot::draw(&rows, &title, &self.file("svg"))?;
        let text = report::report(self, &title, &rows, &judged, counted);
        // A look at samples must not take the place of what a whole run found.
        if counted.is_some() {
            std::fs::write(self.file("md"), &text)?;
        }
        let well = verdict::gone(&rows).is_empty() && judged.iter().all(|judgement| judgement.fine != Some(false));
        Ok((text, well))
    }

    fn file(&self, extension: &str) -> PathBuf {
        let mut name = self.out.clone().into_os_string();
        name.push(format!(".{extension}"));
        name.into()
    }
}

/// Nine in the morning in Jakarta, some day before now: for two hours then `sim` has a steady rhythm, and however fast its time goes on, it
/// stays in the past.
fn start_of_world() -> Result<i64> {
    const DAY_MS: i64 = 86_400_000;
    let now = now_ms()?;
    Ok(now - now % DAY_MS - 2 * DAY_MS + 2 * 3_600_000)
}

fn now_ms() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?)
}

/// What goes on beside the feed.
struct Run<'a> {
    sinyal: &'a Sinyal,
    /// Which interactions were corrected, to what, and when.
    corrections: Vec<(Identity, &'static str, i64)>,
}

impl Run<'_> {
    /// Waits for the end of the feed, with a fault every minute; gives how many raw records were fed.
    fn feed(&mut self, fleet: &mut Fleet<'_>, feeding: Feeding, following: &mut Following) -> Result<u64> {
        let mut next = Instant::now() + FAULT_EVERY;
        let mut round = 0;
        while feeding.goes_on() {
            std::thread::sleep(Duration::from_millis(200));
            if Instant::now() < next {
                continue;
            }
            next += FAULT_EVERY;
            self.correct(&feeding)?;
            fleet.inflict(FAULTS[round % FAULTS.len()])?;
            fleet.check_running()?;
            following.check_running()?;
            round += 1;
        }
        let fed = feeding.finish(self.sinyal)?;
        fleet.tell(&format!("the feed has ended: {fed} raw records"));
        Ok(fed)
    }

    /// Has somebody correct some of what came lately.
    fn correct(&mut self, feeding: &Feeding) -> Result<()> {
        let at = now_ms()?;
        let mut lines = String::new();
        for (number, identity) in feeding.some_of_lately(CORRECTED).into_iter().enumerate() {
            let label = ["tip", "complaint"][number % 2];
            let (community, kind, id) = &identity;
            let line =
                json!({ "community_id": community, "kind": kind, "id": id, "label": label, "by": "sari", "at": at });
            lines += &format!("{line}\n");
            self.corrections.push((identity, label, at));
        }
        if !lines.is_empty() {
            std::fs::write(self.sinyal.file("corrections.jsonl"), lines)?;
            self.sinyal.succeed(&["corrections", "import", "corrections.jsonl"])?;
        }
        Ok(())
    }

    fn correct_in(&self, oracle: &mut Oracle) {
        for (identity, label, at) in &self.corrections {
            oracle.correct(identity.clone(), label, *at);
        }
    }
}
