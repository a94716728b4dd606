//! Chaos: the service on a cluster of three brokers, everything killed, frozen and moved while records flow; then every row is
//! compared with the oracle.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use record::Action;

use serde_json::Value;

use oracle::{Identity, QueueStates};

use crate::checks::{
    Origin, QUEUES, correct_every, made_up_with, make_lines, open_windows, wait_until_committed, windows,
};
use crate::desk::{act_on_every, check_queue_state, send_actions};
use crate::{Build, Kafka, Oracle, Ran, Reader, Sinyal, wait_for};

/// What is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Chaos {
    /// Of the world and of the faults.
    pub seed: u64,
    /// How many raw records are fed, re-crawls, edits and retractions included.
    pub interactions: u32,
    /// In how many communities.
    pub communities: u32,
    /// How many of them a second.
    pub rate: u32,
    /// With the build that has the deep tier. Whom it answers in time is chance: what the oracle counts is what was decided.
    pub deep: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, usize>,
    /// Raw records.
    pub interactions: usize,
    /// Items of all queues.
    pub items: usize,
    /// Corrections.
    pub corrections: usize,
    /// Responders' actions.
    pub actions: usize,
    /// Rows of the queues' state.
    pub states: QueueStates,
    /// Rows, each by its last revision.
    pub rows: usize,
    /// Panes compared.
    pub panes: usize,
    /// Lines of the log that tell of something given up and read again.
    pub resets: usize,
    /// Decisions that the deep tier had a part in.
    pub deep: usize,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let faults: Vec<String> = self.faults.iter().map(|(kind, times)| format!("{times} {kind}")).collect();
        write!(
            f,
            "{} faults ({}), {} resets; {} interactions classified once ({} with the deep tier), {} queue items once, {} \
             corrections, {} actions, {} rows of the queues' state ({} in all that is recounted), {} rows and {} panes as the \
             oracle says, none missing, none extra; ledgers balanced",
            self.faults.values().sum::<usize>(),
            faults.join(", "),
            self.resets,
            self.interactions,
            self.deep,
            self.items,
            self.corrections,
            self.actions,
            self.states.rows,
            self.states.whole,
            self.rows,
            self.panes
        )
    }
}

/// The replicas: two of each role.
const REPLICAS: [(&str, &str); 4] = [
    ("classify-a", "classify"),
    ("classify-b", "classify"),
    ("community-a", "community"),
    ("community-b", "community"),
];
/// Short ones, so that a zombie outlives them soon.
const TIMEOUTS: &str = "kafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\n";
/// Longer than a session and a transaction last, and what the broker takes to notice.
const FROZEN: Duration = Duration::from_secs(12);
/// Partitions of the community stage.
const PARTITIONS: usize = 4;
/// The default of `watermark.disorder_ms`.
const DISORDER_MS: i64 = 10_000;
/// Every so many'th interaction is corrected.
const CORRECTED_OF: usize = 25;
/// Something is done with every so many'th interaction.
const ACTED_ON_OF: usize = 40;

/// What can be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    KillReplica,
    KillRole,
    KillBroker,
    Freeze,
    Rebalance,
}

impl Fault {
    const ALL: [Fault; 5] = [Fault::KillReplica, Fault::KillBroker, Fault::Freeze, Fault::Rebalance, Fault::KillRole];

    fn name(self) -> &'static str {
        match self {
            Fault::KillReplica => "replicas killed",
            Fault::KillRole => "roles killed whole",
            Fault::KillBroker => "brokers killed",
            Fault::Freeze => "zombies",
            Fault::Rebalance => "rebalances",
        }
    }
}

impl Chaos {
    /// Does it; `say` is told what happens, line by line.
    ///
    /// # Errors
    /// What is not as it should be in the end.
    pub fn run(&self, say: &mut dyn FnMut(&str)) -> Result<Verdict> {
        let kafka = Kafka::start_cluster(3)?;
        let more = format!(
            "{TIMEOUTS}topics.replication = 3\ntopics.raw_partitions = 3\ntopics.partitions = {PARTITIONS}\n{}",
            open_windows()
        );
        let build = if self.deep { Build::Deep } else { Build::Plain };
        let sinyal = Sinyal::with(build, &kafka.bootstrap(), "chaos", &more)?;
        sinyal.succeed(&["topics", "apply"])?;
        kafka.wait_until_whole()?;
        let reader = Reader::new(sinyal.bootstrap())?;
        let mut oracle = self.make_up(&sinyal)?;
        let corrections = correct_every(&mut oracle, CORRECTED_OF);
        let actions = act_on_every(&mut oracle, ACTED_ON_OF)?;
        let mut fleet = Fleet {
            kafka,
            sinyal: &sinyal,
            dice: ChaCha8Rng::seed_from_u64(self.seed),
            replicas: BTreeMap::new(),
            faults: BTreeMap::new(),
            started: Instant::now(),
            say,
        };
        fleet.feed(self.rate, &corrections, &actions)?;
        fleet.heal()?;
        wait_until_committed(&sinyal, &fleet.kafka, &reader)?;
        // All sources are idle then: event time stands at the latest event but for the disorder, and goes on with the clock.
        let until = oracle.latest().context("an interaction")? - DISORDER_MS;
        fleet.wait_for_event_time(until)?;
        fleet.check_ledgers()?;
        fleet.end()?;
        (fleet.say)("comparing");
        let mut deep = 0;
        if self.deep {
            ensure!(oracle.lines() == self.interactions as usize, "{} lines", oracle.lines());
            (oracle, deep) = what_was_decided(&sinyal, &reader, oracle)?;
            ensure!(oracle.lines() == self.interactions as usize, "{} lines are classified", oracle.lines());
            ensure!(deep > 0, "the deep tier had no part in any decision");
        }
        let (items, rows, panes) = compare(&sinyal, &reader, &oracle, until)?;
        let states = check_queue_state(&sinyal, &reader, &oracle)?;
        let resets = sinyal.log().lines().filter(|line| line.contains("giving up what is not committed")).count();
        ensure!(resets > 0, "nothing was ever given up and read again: the faults were none");
        Ok(Verdict {
            faults: fleet.faults,
            interactions: oracle.lines(),
            items,
            corrections: corrections.lines().count(),
            actions: actions.len(),
            states,
            rows,
            panes,
            resets,
            deep,
        })
    }

    /// Makes up the input, and an oracle of it.
    fn make_up(&self, sinyal: &Sinyal) -> Result<Oracle> {
        let communities = self.communities.to_string();
        let seed = u32::try_from(self.seed).context("a seed of 32 bits")?;
        let more = ["--communities", &communities, "--rate", "20"];
        if !self.deep {
            return made_up_with(sinyal, seed, self.interactions, &more);
        }
        let lines = make_lines(sinyal, seed, self.interactions, &more)?;
        let mut oracle = Oracle::default();
        // What they are decided to be is asked afterwards.
        lines.lines().try_for_each(|line| oracle.ingest(&serde_json::from_str(line)?, "other", false))?;
        Ok(oracle)
    }
}

/// The same oracle with the labels that stand in the classified topic, and how many of them the deep tier had a part in.
fn what_was_decided(sinyal: &Sinyal, reader: &Reader, oracle: Oracle) -> Result<(Oracle, usize)> {
    let mut raw: BTreeMap<Origin, Value> = BTreeMap::new();
    for (topic, schema, kind) in [("social.posts.raw", "Post", "post"), ("social.comments.raw", "Comment", "comment")] {
        let topic = sinyal.topic(topic);
        reader.each(&topic, Some(schema), |mut record| {
            let number = |field: &str| record[field].as_i64().context("a number");
            let origin = (topic.clone(), number("partition")?, number("offset")?);
            record["value"]["kind"] = kind.into();
            raw.insert(origin, record["value"].take());
            Ok(())
        })?;
    }
    ensure!(raw.len() == oracle.lines(), "{} of {} lines were fed", raw.len(), oracle.lines());
    let mut decided = oracle.without_interactions();
    let mut deep = 0;
    // In the order in which the community stage reads them: a community is on one partition.
    reader.each(&sinyal.topic("social.interactions.classified"), Some("Classified"), |record| {
        let value = &record["value"];
        let Some(origin) = crate::checks::origin(value)? else { return Ok(()) };
        deep += usize::from(value["tier"] == "deep");
        let label = value["label"].as_str().context("a label")?;
        decided.ingest(raw.get(&origin).context("a raw record")?, label, value["abstained"] == true)
    })?;
    Ok((decided, deep))
}

/// Everything that runs.
struct Fleet<'a> {
    kafka: Kafka,
    sinyal: &'a Sinyal,
    dice: ChaCha8Rng,
    replicas: BTreeMap<&'static str, Ran>,
    faults: BTreeMap<&'static str, usize>,
    started: Instant,
    say: &'a mut dyn FnMut(&str),
}

impl Fleet<'_> {
    /// Feeds the whole input, with faults all the time.
    fn feed(&mut self, rate: u32, corrections: &str, actions: &[(Identity, Action<'_>)]) -> Result<()> {
        // Half of the corrections and actions come before what they are about: those wait.
        let lines: Vec<&str> = corrections.lines().collect();
        let (early, late) = lines.split_at(lines.len() / 2);
        self.correct("early.jsonl", early)?;
        let (acted_early, acted_late) = actions.split_at(actions.len() / 2);
        self.act(acted_early)?;
        for (name, _) in REPLICAS {
            self.start(name)?;
        }
        let mut feeding = self.sinyal.start(&["ingest", "input.jsonl", "--rate", &rate.to_string()])?;
        let mut late = Some(late);
        let mut round = 0;
        while feeding.is_running() {
            // Each kind in turn, in an order of the seed, so that none is left out.
            if round % Fault::ALL.len() == 1
                && let Some(late) = late.take()
            {
                self.correct("late.jsonl", late)?;
                self.act(acted_late)?;
            }
            let fault = self.next_fault(round);
            self.inflict(fault)?;
            self.check_running()?;
            *self.faults.entry(fault.name()).or_default() += 1;
            round += 1;
            let pause = 500 + u64::from(self.below(2_500));
            std::thread::sleep(Duration::from_millis(pause));
        }
        if let Some(late) = late.take() {
            self.correct("late.jsonl", late)?;
            self.act(acted_late)?;
        }
        ensure!(feeding.wait(Duration::from_secs(1))? == Some(0), "the feed failed: {}", self.end_of_log());
        self.tell("the feed has ended");
        Ok(())
    }

    fn correct(&mut self, file: &str, lines: &[&str]) -> Result<()> {
        std::fs::write(self.sinyal.file(file), lines.join("\n"))?;
        self.sinyal.succeed(&["corrections", "import", file])?;
        self.tell(&format!("{} corrections", lines.len()));
        Ok(())
    }

    fn act(&mut self, actions: &[(Identity, Action<'_>)]) -> Result<()> {
        send_actions(self.sinyal, actions)?;
        self.tell(&format!("{} actions", actions.len()));
        Ok(())
    }

    fn next_fault(&mut self, round: usize) -> Fault {
        let kinds = Fault::ALL.len();
        let shift = self.below(2) as usize;
        Fault::ALL[(round + if round >= kinds { shift } else { 0 }) % kinds]
    }

    fn inflict(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::KillReplica => {
                let (name, _) = REPLICAS[self.below(4) as usize];
                self.kill(name);
                self.pause(3_000);
                self.start(name)
            }
            Fault::KillRole => {
                let role = ["classify", "community"][self.below(2) as usize];
                let of_role = REPLICAS.iter().filter(|(_, of)| *of == role).map(|(name, _)| *name);
                let names: Vec<&str> = of_role.collect();
                names.iter().for_each(|name| self.kill(name));
                self.pause(2_000);
                names.iter().try_for_each(|name| self.start(name))
            }
            Fault::KillBroker => {
                let node = self.below(3) as usize;
                self.tell(&format!("kill -9 of broker {}", node + 1));
                self.kafka.kill_node(node);
                self.pause(8_000);
                self.kafka.start_node(node)?;
                self.kafka.wait_until_whole()?;
                self.kafka.elect_preferred_leaders()?;
                self.tell(&format!("broker {} is back and leads again", node + 1));
                Ok(())
            }
            Fault::Freeze => {
                let (name, _) = REPLICAS[self.below(4) as usize];
                self.tell(&format!("{name} is frozen"));
                let Some(replica) = self.replicas.get(name) else { bail!("{name} does not run") };
                replica.freeze(true);
                std::thread::sleep(FROZEN);
                replica.freeze(false);
                self.tell(&format!("{name} goes on as a zombie"));
                Ok(())
            }
            Fault::Rebalance => {
                let role = ["classify", "community"][self.below(2) as usize];
                self.tell(&format!("a third {role} joins"));
                let more = self.spawn("chaos-third", role)?;
                std::thread::sleep(Duration::from_secs(5));
                self.pause(3_000);
                ensure!(more.terminate()? == Some(0), "the third did not end well: {}", self.end_of_log());
                self.tell(&format!("the third {role} has left"));
                Ok(())
            }
        }
    }

    fn kill(&mut self, name: &'static str) {
        self.tell(&format!("kill -9 of {name}"));
        if let Some(replica) = self.replicas.remove(name) {
            replica.kill();
        }
    }

    fn start(&mut self, name: &'static str) -> Result<()> {
        let role = REPLICAS.iter().find(|(of, _)| *of == name).map_or("classify", |(_, role)| role);
        let replica = self.spawn(name, role)?;
        self.replicas.insert(name, replica);
        Ok(())
    }

    fn spawn(&self, name: &str, role: &str) -> Result<Ran> {
        self.sinyal.start_with(&["run", "--role", role], &[("SINYAL__INSTANCE__ID", name)])
    }

    /// A replica that ended by itself was wrong to.
    fn check_running(&mut self) -> Result<()> {
        for (name, replica) in &mut self.replicas {
            ensure!(replica.is_running(), "{name} ended by itself: {}", replica.end_of_log());
        }
        Ok(())
    }

    /// Everything runs again.
    fn heal(&mut self) -> Result<()> {
        self.kafka.restart()?;
        self.check_running()?;
        self.tell("everything runs; waiting for the rest");
        Ok(())
    }

    /// Waits until the watermark of every partition has come so far.
    fn wait_for_event_time(&mut self, until: i64) -> Result<()> {
        let mut watermarks = Vec::new();
        let replicas = &self.replicas;
        wait_for("event time to come to its end", Duration::from_secs(60), || {
            watermarks.clear();
            for replica in replicas.values() {
                let metrics = replica.metrics()?;
                let samples = metrics.lines().filter(|line| line.starts_with("sinyal_watermark_timestamp_seconds{"));
                watermarks.extend(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()));
            }
            let reached = watermarks.iter().filter(|watermark| **watermark * 1_000.0 >= until as f64).count();
            Ok(reached == PARTITIONS)
        })
        .with_context(|| format!("{watermarks:?} for {until}; {}", self.end_of_log()))
    }

    fn check_ledgers(&mut self) -> Result<()> {
        for (name, replica) in &mut self.replicas {
            let metrics = replica.metrics()?;
            let balanced = metrics.lines().filter(|line| line.starts_with("sinyal_ledger_balanced{"));
            let balanced: Vec<&str> = balanced.collect();
            ensure!(
                !balanced.is_empty() && balanced.iter().all(|line| line.ends_with(" 1")),
                "the ledger of {name} is not balanced: {balanced:?}"
            );
        }
        Ok(())
    }

    fn end(&mut self) -> Result<()> {
        for (name, replica) in std::mem::take(&mut self.replicas) {
            ensure!(replica.terminate()? == Some(0), "{name} did not end well: {}", self.end_of_log());
        }
        Ok(())
    }

    /// Sleeps for up to so many milliseconds.
    fn pause(&mut self, most_ms: u32) {
        let pause = u64::from(self.below(most_ms));
        std::thread::sleep(Duration::from_millis(pause));
    }

    fn below(&mut self, bound: u32) -> u32 {
        self.dice.next_u32() % bound
    }

    fn tell(&mut self, what: &str) {
        (self.say)(&format!("{:>6.1} s  {what}", self.started.elapsed().as_secs_f64()));
    }

    fn end_of_log(&self) -> String {
        crate::checks::end_of_log(self.sinyal)
    }
}

/// Everything that was written, beside what the oracle says: items, rows, panes.
fn compare(sinyal: &Sinyal, reader: &Reader, oracle: &Oracle, until: i64) -> Result<(usize, usize, usize)> {
    let mut origins: BTreeMap<Origin, usize> = BTreeMap::new();
    reader.each(&sinyal.topic("social.interactions.classified"), Some("Classified"), |record| {
        if let Some(origin) = crate::checks::origin(&record["value"])? {
            *origins.entry(origin).or_default() += 1;
        }
        Ok(())
    })?;
    let twice = origins.values().filter(|&&times| times > 1).count();
    ensure!(
        origins.len() == oracle.lines() && twice == 0,
        "{} of {} raw records are classified, {twice} of them twice",
        origins.len(),
        oracle.lines()
    );
    let mut items = 0;
    for queue in QUEUES {
        let of_queue = reader.read(&sinyal.topic(&format!("social.queue.{queue}")), Some("QueueItem"))?;
        items += of_queue.len();
        oracle.check_queue(queue, of_queue.iter().map(|item| &item["value"]))?;
    }
    let letters = reader.read(&sinyal.topic("social.dead-letters"), None)?;
    ensure!(letters.is_empty(), "{} dead letters, first {:?}", letters.len(), letters[0]["headers"]);
    let rows = reader.read(&sinyal.topic("social.community.metrics"), Some("CommunityMetrics"))?;
    // Every window is open for longer than the whole of it takes.
    let missed = rows.iter().filter(|row| row["value"]["missed"] != 0).count();
    ensure!(missed == 0, "{missed} rows tell of panes that were missed");
    let compared = oracle.check_rows(rows.iter().map(|row| &row["value"]), &windows(), Some(until))?;
    Ok((items, compared.rows, compared.panes))
}
