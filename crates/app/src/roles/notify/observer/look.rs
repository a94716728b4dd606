//! One look at the pipeline: what brokers tell of its topics and groups, judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::Connection;
use kafka_io::admin::AdminError;
use kafka_io::offsets::Partition;
use kafka_io::reader::ReadError;
use record::{EpochMs, Position, StageName};
use rules::blindness::{At, Counts, Judge, Observation, Said, Settings, Verdict};

use super::groups::{Group, InputLag, at, seen};
use super::history::{History, last_arrivals};
use super::letters::Letters;
use super::tail::{Interactions, Rows};
use crate::cli::OutsideError;
use crate::config::Config;

/// How long one question may take.
pub(super) const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often to ask which partitions there are.
const PARTITIONS_EVERY: Duration = Duration::from_secs(30);

/// Why the pipeline could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LookError {
    /// Brokers did not answer, or refused.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// A topic cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A topic is not there.
    #[error("topic {topic} is missing at {bootstrap}; `sinyal topics apply` makes it")]
    Missing { topic: String, bootstrap: String },
}

impl LookError {
    /// As what a command fails with, so that its exit code is known.
    pub(crate) fn into_failure(self) -> anyhow::Error {
        match self {
            LookError::Admin(error) => error.into(),
            LookError::Read(error) => error.into(),
            LookError::Missing { .. } => OutsideError(self.to_string()).into(),
        }
    }
}

/// Looks at the pipeline again and again, as it is configured, without being part of it.
pub(crate) struct Look {
    bootstrap: String,
    raw: [Arc<str>; 2],
    classified: Arc<str>,
    /// What else the community stage reads, once it has committed anything of it.
    also: [Arc<str>; 2],
    classify: Group,
    community: Group,
    partitions: Partitions,
    interactions: Interactions,
    rows: Rows,
    letters: Letters,
    judge: Judge,
    settings: Settings,
    /// What the classify group had committed at the look before; at first where the logs ended when shares begin to be taken.
    consumed_to: BTreeMap<Partition, Position>,
    inputs: Vec<InputLag>,
}

#[derive(Debug)]
struct Partitions {
    asked_at: Instant,
    raw: Vec<Partition>,
    /// Of every topic that the community stage may read.
    community: Vec<Partition>,
    /// The first offset of those of which nothing was committed.
    first: BTreeMap<Partition, Position>,
}

impl Look {
    /// Begins to look, with what the logs tell of the time before.
    ///
    /// # Errors
    /// If a topic is missing, or brokers do not answer.
    pub(crate) fn open(
        config: &Config,
        connection: &Connection,
        settings: Settings,
        now: EpochMs,
    ) -> Result<Look, LookError> {
        let topics = &config.topics;
        let raw = [&topics.posts_raw, &topics.comments_raw].map(|topic| Arc::from(topic.as_str()));
        let classified: Arc<str> = topics.classified.as_str().into();
        let also = [&topics.corrections, &topics.actions].map(|topic| Arc::from(topic.as_str()));
        let classify = Group::new(connection, StageName::Classify, &config.classify.group_id)?;
        let community = Group::new(connection, StageName::Community, &config.community.group_id)?;
        let bootstrap = connection.bootstrap.clone();
        let partitions = Partitions::ask(&classify, &raw, &classified, &also, &bootstrap)?;
        let mut judge = Judge::new(settings.clone());
        let offsets = &classify.offsets;
        let all: Vec<Partition> = partitions.raw.iter().chain(&partitions.community).cloned().collect();
        let ends = offsets.ends(&all)?;
        let ends_at = |time: EpochMs| -> Result<BTreeMap<Partition, Position>, AdminError> {
            let at = offsets.at_times(all.iter().map(|partition| (partition, time)))?;
            let end = |partition: &Partition| ends.get(partition).copied().unwrap_or(0);
            Ok(at
                .into_iter()
                .map(|(partition, at)| (partition.clone(), at.unwrap_or_else(|| end(&partition))))
                .collect())
        };
        let then = now - settings.lag_ms;
        judge.ends_were(then, ends_at(then)?.iter().map(|(partition, &end)| (at(partition), end)).collect());
        let mut consumed_to = ends_at(now - settings.share_window_ms)?;
        consumed_to.retain(|(topic, _), _| raw.contains(topic));
        let raw_ends = ends.iter().filter(|((topic, _), _)| raw.contains(topic));
        let raw_ends: BTreeMap<Partition, Position> = raw_ends.map(|(at, &end)| (at.clone(), end)).collect();
        for (partition, arrived) in last_arrivals(offsets, &raw_ends, now)? {
            judge.learn(&partition.0, Some(partition.1), &[arrived]);
            judge.learn(&partition.0, None, &[arrived]);
        }
        let end = ends.get(&(Arc::clone(&classified), 0)).copied().unwrap_or(0);
        let since = now - settings.share_window_ms;
        let interactions = Interactions::open(config, connection, offsets, end, since)?;
        let rows = Rows::open(config, connection, offsets, since)?;
        let letters = Letters::open(&topics.dead_letters, connection, offsets, now)?;
        Ok(Look {
            bootstrap,
            raw,
            classified,
            also,
            classify,
            community,
            partitions,
            interactions,
            rows,
            letters,
            judge,
            settings,
            consumed_to,
            inputs: Vec::new(),
        })
    }

    /// Looks, and judges what it sees.
    ///
    /// # Errors
    /// If brokers do not tell; nothing is judged then.
    pub(crate) fn observe(&mut self, now: EpochMs) -> Result<Verdict, LookError> {
        let observation = self.look(now)?;
        Ok(self.judge.observe(&observation))
    }

    /// Has the judge learn when raw topics usually speak, by some of the questions that are left to ask.
    ///
    /// # Errors
    /// If brokers do not tell.
    pub(crate) fn learn(&mut self, history: &mut History, questions: usize) -> Result<(), LookError> {
        if history.is_done() {
            return Ok(());
        }
        let offsets = &self.classify.offsets;
        let ends = offsets.ends(&self.partitions.raw)?;
        Ok(history.ask(offsets, &self.partitions.raw, &ends, &mut self.judge, questions)?)
    }

    /// How far both groups had come at the last look.
    pub(crate) fn inputs(&self) -> &[InputLag] {
        &self.inputs
    }

    /// What was last said of the raw partitions.
    pub(crate) fn said(&self) -> &BTreeMap<At, Said> {
        self.interactions.said()
    }

    /// When something last came into a raw partition.
    pub(crate) fn last_arrival(&self, at: &At) -> Option<EpochMs> {
        self.judge.last_arrival(&at.topic, Some(at.partition))
    }

    /// Dead letters of the last hour by reason; and whether there are more than were looked at.
    pub(crate) fn letters(&self) -> (&BTreeMap<String, u64>, bool) {
        self.letters.by_reason()
    }

    /// The order matters: what a stage reads and has committed is asked for before the ends of what it writes, so that what it has
    /// made of that lies before them.
    fn look(&mut self, now: EpochMs) -> Result<Observation, LookError> {
        if self.partitions.asked_at.elapsed() >= PARTITIONS_EVERY {
            let first = std::mem::take(&mut self.partitions.first);
            self.partitions =
                Partitions::ask(&self.classify, &self.raw, &self.classified, &self.also, &self.bootstrap)?;
            self.partitions.first = first;
        }
        let mut ends = self.classify.offsets.ends(&self.partitions.raw)?;
        let classify_committed = self.classify.committed(&self.partitions.raw)?;
        let community_committed = self.community.committed(&self.partitions.community)?;
        ends.extend(self.community.offsets.ends(&self.partitions.community)?);
        let reads = |topic: &Arc<str>| {
            *topic == self.classified
                || community_committed.iter().any(|((of, _), committed)| of == topic && committed.is_some())
        };
        let read: Vec<Partition> =
            self.partitions.community.iter().filter(|(topic, _)| reads(topic)).cloned().collect();
        let committed = classify_committed.iter().chain(&community_committed);
        let begins = committed.filter(|(_, committed)| committed.is_none()).map(|(partition, _)| partition);
        self.partitions.learn_first(&self.classify, begins.cloned().collect(), &ends)?;
        let known = &self.partitions.first;
        let first = |partition: &Partition| known.get(partition).copied().unwrap_or(0);
        let classify = self.classify.inputs(&self.partitions.raw, &ends, &classify_committed, first)?;
        let community = self.community.inputs(&read, &ends, &community_committed, first)?;
        let mut counts = Counts { consumed: self.consumed(&classify_committed), ..Counts::default() };
        let since = now - self.settings.share_window_ms;
        let end = ends.get(&(Arc::clone(&self.classified), 0)).copied().unwrap_or(0);
        self.interactions.follow(end, since, &mut counts)?;
        self.rows.follow(since, &mut counts)?;
        counts.dead_letters = self.letters.follow(&self.classify.offsets, now, since)?;
        let observation = Observation {
            now,
            classify: classify.iter().map(seen).collect(),
            community: community.iter().map(seen).collect(),
            said: self.interactions.said().clone(),
            counts,
        };
        self.inputs = classify;
        self.inputs.extend(community);
        Ok(observation)
    }

    /// Raw records that were consumed since the look before; positions that were set back count nothing.
    fn consumed(&mut self, committed: &BTreeMap<Partition, Option<Position>>) -> u64 {
        let mut consumed = 0;
        for (partition, committed) in committed {
            let Some(committed) = *committed else { continue };
            let before = self.consumed_to.insert(partition.clone(), committed);
            consumed += before.map_or(0, |before| u64::try_from(committed - before).unwrap_or(0));
        }
        consumed
    }
}

impl Partitions {
    fn ask(
        group: &Group,
        raw: &[Arc<str>; 2],
        classified: &Arc<str>,
        also: &[Arc<str>; 2],
        bootstrap: &str,
    ) -> Result<Partitions, LookError> {
        let needed = |topic: &Arc<str>| {
            let partitions = group.offsets.partitions(topic)?;
            let missing = || LookError::Missing { topic: topic.to_string(), bootstrap: bootstrap.to_owned() };
            if partitions.is_empty() { Err(missing()) } else { Ok(partitions) }
        };
        let mut of_raw = needed(&raw[0])?;
        of_raw.extend(needed(&raw[1])?);
        let mut community = needed(classified)?;
        for topic in also {
            community.extend(group.offsets.partitions(topic)?);
        }
        Ok(Partitions { asked_at: Instant::now(), raw: of_raw, community, first: BTreeMap::new() })
    }

    /// Of what a group has not begun to read everything is left to read, from the first record that is there.
    fn learn_first(
        &mut self,
        group: &Group,
        begins: Vec<Partition>,
        ends: &BTreeMap<Partition, Position>,
    ) -> Result<(), AdminError> {
        let unknown: Vec<Partition> =
            begins.into_iter().filter(|partition| !self.first.contains_key(partition)).collect();
        for (partition, first) in group.offsets.at_times(unknown.iter().map(|partition| (partition, 0)))? {
            // An empty one may fill: then the first record is at its end of now.
            let end = ends.get(&partition).copied().unwrap_or(0);
            self.first.insert(partition, first.unwrap_or(end));
        }
        Ok(())
    }
}
