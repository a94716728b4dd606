//! Replicas of both roles on a cluster of three brokers, and what can be done to them: killed, frozen, moved.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use crate::{Kafka, Probe, Ran, Sinyal, wait_for};

/// The replicas: two of each role.
pub(crate) const REPLICAS: [(&str, &str); 4] = [
    ("classify-a", "classify"),
    ("classify-b", "classify"),
    ("community-a", "community"),
    ("community-b", "community"),
];
/// Short ones, so that a zombie outlives them soon.
pub(crate) const TIMEOUTS: &str = "kafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\n";
/// Longer than a session and a transaction last, and what the broker takes to notice.
const FROZEN: Duration = Duration::from_secs(12);
/// Partitions of the community stage.
pub(crate) const PARTITIONS: usize = 4;
/// The default of `watermark.disorder_ms`.
pub(crate) const DISORDER_MS: i64 = 10_000;
/// Who joins for a moment.
const THIRD: &str = "third";

/// What can be done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    KillReplica,
    KillRole,
    KillBroker,
    Freeze,
    Rebalance,
}

impl Fault {
    pub(crate) const ALL: [Fault; 5] =
        [Fault::KillReplica, Fault::KillBroker, Fault::Freeze, Fault::Rebalance, Fault::KillRole];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Fault::KillReplica => "replicas killed",
            Fault::KillRole => "roles killed whole",
            Fault::KillBroker => "brokers killed",
            Fault::Freeze => "zombies",
            Fault::Rebalance => "rebalances",
        }
    }
}

/// A replica as others may look at it, and how often one of this name was started.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) probe: Probe,
    pub(crate) starts: u64,
}

/// The replicas that run, by name: for whoever looks on from another thread.
pub(crate) type Watch = Arc<Mutex<BTreeMap<&'static str, Watched>>>;

/// Everything that runs.
pub(crate) struct Fleet<'a> {
    pub(crate) kafka: Kafka,
    pub(crate) sinyal: &'a Sinyal,
    pub(crate) faults: BTreeMap<&'static str, usize>,
    dice: ChaCha8Rng,
    replicas: BTreeMap<&'static str, Ran>,
    /// Those that are never killed.
    spared: &'static [&'static str],
    starts: BTreeMap<&'static str, u64>,
    watch: Watch,
    started: Instant,
    say: &'a mut dyn FnMut(&str),
}

impl<'a> Fleet<'a> {
    /// Starts nothing yet. Faults are of `seed`; they kill none that are `spared`.
    pub(crate) fn new(
        kafka: Kafka,
        sinyal: &'a Sinyal,
        seed: u64,
        spared: &'static [&'static str],
        say: &'a mut dyn FnMut(&str),
    ) -> Fleet<'a> {
        Fleet {
            kafka,
            sinyal,
            faults: BTreeMap::new(),
            dice: ChaCha8Rng::seed_from_u64(seed),
            replicas: BTreeMap::new(),
            spared,
            starts: BTreeMap::new(),
            watch: Watch::default(),
            started: Instant::now(),
            say,
        }
    }

    /// The replicas that run, now and later.
    pub(crate) fn watch(&self) -> Watch {
        Arc::clone(&self.watch)
    }

    /// Starts every replica.
    pub(crate) fn start_all(&mut self) -> Result<()> {
        REPLICAS.iter().try_for_each(|(name, _)| self.start(name))
    }

    /// Does it, mends it, and counts it.
    pub(crate) fn inflict(&mut self, fault: Fault) -> Result<()> {
        self.carry_out(fault)?;
        *self.faults.entry(fault.name()).or_default() += 1;
        Ok(())
    }

    fn carry_out(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::KillReplica => {
                let mortal: Vec<&str> = self.mortal().map(|(name, _)| name).collect();
                let name = mortal[self.below(u32::try_from(mortal.len())?) as usize];
                self.kill(name);
                self.pause(3_000);
                self.start(name)
            }
            Fault::KillRole => {
                let role = ["classify", "community"][self.below(2) as usize];
                let names: Vec<&str> = self.mortal().filter(|(_, of)| *of == role).map(|(name, _)| name).collect();
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
                let more = self.spawn(THIRD, role)?;
                std::thread::sleep(Duration::from_secs(5));
                self.pause(3_000);
                self.unwatch(THIRD);
                ensure!(more.terminate()? == Some(0), "the third did not end well: {}", self.end_of_log());
                self.tell(&format!("the third {role} has left"));
                Ok(())
            }
        }
    }

    fn kill(&mut self, name: &'static str) {
        self.tell(&format!("kill -9 of {name}"));
        self.unwatch(name);
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

    fn spawn(&mut self, name: &'static str, role: &str) -> Result<Ran> {
        let ran = self.sinyal.start_with(&["run", "--role", role], &[("SINYAL__INSTANCE__ID", name)])?;
        let starts = self.starts.entry(name).or_default();
        *starts += 1;
        let watched = Watched { probe: ran.probe(), starts: *starts };
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).insert(name, watched);
        Ok(ran)
    }

    fn unwatch(&self, name: &str) {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Those that may be killed.
    fn mortal(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let spared = self.spared;
        REPLICAS.into_iter().filter(move |(name, _)| !spared.contains(name))
    }

    /// A replica that ended by itself was wrong to.
    pub(crate) fn check_running(&mut self) -> Result<()> {
        for (name, replica) in &mut self.replicas {
            ensure!(replica.is_running(), "{name} ended by itself: {}", replica.end_of_log());
        }
        Ok(())
    }

    /// Everything runs again.
    pub(crate) fn heal(&mut self) -> Result<()> {
        self.kafka.restart()?;
        self.check_running()?;
        self.tell("everything runs; waiting for the rest");
        Ok(())
    }

    /// Waits until the watermark of every partition has come so far.
    pub(crate) fn wait_for_event_time(&mut self, until: i64) -> Result<()> {
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

    pub(crate) fn check_ledgers(&mut self) -> Result<()> {
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

    pub(crate) fn end(&mut self) -> Result<()> {
        for (name, replica) in std::mem::take(&mut self.replicas) {
            self.unwatch(name);
            ensure!(replica.terminate()? == Some(0), "{name} did not end well: {}", self.end_of_log());
        }
        Ok(())
    }

    /// Sleeps for up to so many milliseconds.
    fn pause(&mut self, most_ms: u32) {
        let pause = u64::from(self.below(most_ms));
        std::thread::sleep(Duration::from_millis(pause));
    }

    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        self.dice.next_u32() % bound
    }

    pub(crate) fn tell(&mut self, what: &str) {
        (self.say)(&format!("{:>6.1} s  {what}", self.started.elapsed().as_secs_f64()));
    }

    pub(crate) fn end_of_log(&self) -> String {
        crate::checks::end_of_log(self.sinyal)
    }
}
