//! Chaos: the service on a cluster of three brokers, everything killed, frozen and moved while records flow; then every row is
//! compared with the oracle.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use record::Action;

use serde_json::Value;

use oracle::{Identity, QueueStates};

use crate::checks::{Origin, correct_every, made_up_with, make_lines, open_windows, wait_until_committed, windows};
use crate::desk::{act_on_every, check_queue_state, send_actions};
use crate::fleet::{DISORDER_MS, Fault, Fleet, PARTITIONS, TIMEOUTS};
use crate::written::{Alike, Topics, compare};
use crate::{Build, Kafka, Oracle, Reader, Sinyal};

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

/// Every so many'th interaction is corrected.
const CORRECTED_OF: usize = 25;
/// Something is done with every so many'th interaction.
const ACTED_ON_OF: usize = 40;

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
        let mut fleet = Fleet::new(kafka, &sinyal, self.seed, &[], say);
        fleet.feed(self.rate, &corrections, &actions)?;
        fleet.heal()?;
        wait_until_committed(&sinyal, &fleet.kafka, &reader)?;
        // All sources are idle then: event time stands at the latest event but for the disorder, and goes on with the clock.
        let until = oracle.latest().context("an interaction")? - DISORDER_MS;
        fleet.wait_for_event_time(until)?;
        fleet.check_ledgers()?;
        fleet.end()?;
        fleet.tell("comparing");
        let mut deep = 0;
        if self.deep {
            ensure!(oracle.lines() == self.interactions as usize, "{} lines", oracle.lines());
            (oracle, deep) = what_was_decided(&sinyal, &reader, oracle)?;
            ensure!(oracle.lines() == self.interactions as usize, "{} lines are classified", oracle.lines());
            ensure!(deep > 0, "the deep tier had no part in any decision");
        }
        let written = Topics { sinyal: &sinyal, reader: &reader };
        let Alike { items, rows, panes } = compare(&written, &oracle, &windows(), until)?;
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

/// What a run of chaos does to its fleet.
impl Fleet<'_> {
    /// Feeds the whole input, with faults all the time.
    fn feed(&mut self, rate: u32, corrections: &str, actions: &[(Identity, Action<'_>)]) -> Result<()> {
        // Half of the corrections and actions come before what they are about: those wait.
        let lines: Vec<&str> = corrections.lines().collect();
        let (early, late) = lines.split_at(lines.len() / 2);
        self.correct("early.jsonl", early)?;
        let (acted_early, acted_late) = actions.split_at(actions.len() / 2);
        self.act(acted_early)?;
        self.start_all()?;
        let mut feeding = self.sinyal.start(&["ingest", "input.jsonl", "--rate", &rate.to_string()])?;
        let mut late = Some(late);
        let mut round = 0;
        // Each kind at least once, however long brokers take to come back.
        while feeding.is_running() || round < Fault::ALL.len() {
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
}
