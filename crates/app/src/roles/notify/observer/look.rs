//! One look at the pipeline: what brokers tell of its topics and groups, judged.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::Connection;
use kafka_io::admin::AdminError;
use kafka_io::offsets::Partition;
use kafka_io::reader::ReadError;
use record::{EpochMs, Position, StageName};
use rules::blindness::{At, CanaryNews, Counts, Judge, Observation, Said, Settings, Verdict};

use super::arrivals::Arrivals;
use super::canaries::{Came, Canaries};
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
    /// `None` while they cannot be read: then less is known, and all else is judged still.
    rows: Option<Rows>,
    letters: Option<Letters>,
    /// Why they cannot be read, once that was told.
    complained: Option<String>,
    canaries: Option<Canaries>,
    arrivals: Arrivals,
    config: Arc<Config>,
    connection: Connection,
    judge: Judge,
    settings: Settings,
    /// What the classify group had committed at the look before; at first where the logs ended when shares begin to be taken.
    consumed_to: BTreeMap<Partition, Position>,
    inputs: Vec<InputLag>,
    /// The ends that were seen last, of what is looked at: a partition without a leader does not hide the others.
    ends: BTreeMap<Partition, Position>,
    /// Those of which nobody told the end.
    silent: BTreeSet<Partition>,
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
        let mut silent = BTreeSet::new();
        let ends = ends_of(&classify, &all, &BTreeMap::new(), &mut silent)?;
        let all: Vec<Partition> = ends.keys().cloned().collect();
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
        let seal = config.canary_seal();
        let mut arrivals = Arrivals::new(connection, seal, config.canary.interval_ms);
        arrivals.observe(now, &raw_ends);
        let mut look = Look {
            bootstrap,
            raw,
            classified,
            also,
            classify,
            community,
            partitions,
            interactions,
            rows: None,
            letters: None,
            complained: None,
            canaries: None,
            arrivals,
            config: Arc::new(config.clone()),
            connection: connection.clone(),
            judge,
            settings,
            consumed_to,
            inputs: Vec::new(),
            ends,
            silent,
        };
        look.open_what_else_there_is(now, since);
        Ok(look)
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
    /// No longer than so long; what nobody answers is not learned.
    pub(crate) fn learn(&mut self, history: &mut History, questions: usize, time: Duration) {
        if !history.is_done() {
            let stamped = self.arrivals.stamped();
            let is_asked =
                |partition: &&Partition| !self.silent.contains(*partition) && !stamped.contains(&partition.0);
            let raw: Vec<Partition> = self.partitions.raw.iter().filter(is_asked).cloned().collect();
            history.ask(&self.classify.offsets, &raw, &mut self.judge, questions, time);
        }
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
    /// `None`: they cannot be read.
    pub(crate) fn letters(&self) -> Option<(&BTreeMap<String, u64>, bool)> {
        self.letters.as_ref().map(Letters::by_reason)
    }

    /// Why rows of metrics or dead letters cannot be looked at, if they cannot.
    pub(crate) fn unread(&self) -> Option<&str> {
        self.complained.as_deref()
    }

    /// How canaries fare; `None`: there is no such topic, or it cannot be read.
    pub(crate) fn canaries(&self) -> Option<&Canaries> {
        self.canaries.as_ref()
    }

    /// Canaries that came through since this was asked last, and by raw partition when a round was sent that came through everywhere.
    pub(super) fn take_canaries(&mut self) -> (Vec<Came>, BTreeMap<At, EpochMs>) {
        let classified = self.classified_partitions();
        // Where none are sent any more, when the last one came is no news of how it is now.
        let Some(canaries) = self.canaries.as_mut().filter(|_| self.config.canary.interval_ms.is_some()) else {
            return Default::default();
        };
        let fresh = canaries.take_fresh();
        (fresh, canaries.last_seen(&classified).into_iter().map(|(at, seen)| (at.clone(), seen)).collect())
    }

    fn classified_partitions(&self) -> Vec<i32> {
        let of_topic = self.partitions.community.iter().filter(|(topic, _)| *topic == self.classified);
        of_topic.map(|(_, number)| *number).collect()
    }

    /// What is new of canaries; nothing where they cannot be looked at.
    fn look_at_canaries(&mut self) -> CanaryNews {
        let mut news = CanaryNews { partitions: self.classified_partitions(), ..CanaryNews::default() };
        let raw: BTreeSet<At> = self.partitions.raw.iter().map(at).collect();
        let Some(canaries) = &mut self.canaries else { return CanaryNews::default() };
        canaries.keep(&raw, &news.partitions);
        match canaries.follow(&self.classify.offsets, &mut news) {
            Ok(()) => news,
            Err(error) => {
                self.complain(&error);
                // It is opened again, and all is read again that may still matter.
                self.canaries = None;
                CanaryNews::default()
            }
        }
    }

    /// What came into the raw partitions that is no canary.
    fn look_at_arrivals(&mut self, now: EpochMs) -> BTreeMap<At, Position> {
        let raw_ends = self.partitions.raw.iter().filter_map(|raw| Some((raw.clone(), *self.ends.get(raw)?)));
        let before = self.arrivals.stamped().len();
        self.arrivals.observe(now, &raw_ends.collect());
        if self.arrivals.stamped().len() > before {
            self.arrivals.stamped().iter().for_each(|topic| self.judge.unlearn(topic));
            tracing::info!(
                topics = self.arrivals.stamped().iter().map(AsRef::as_ref).collect::<Vec<&str>>().join(", "),
                "records have the broker's time: when these topics usually speak is learned from now on, not from their logs"
            );
        }
        self.arrivals.spoken().map(|(partition, spoken)| (at(partition), spoken)).collect()
    }

    /// Opens what of rows and dead letters is not open.
    fn open_what_else_there_is(&mut self, now: EpochMs, since: EpochMs) {
        let (config, connection, offsets) = (&self.config, &self.connection, &self.classify.offsets);
        let mut trouble = None;
        if self.rows.is_none() {
            let opened = Rows::open(config, connection, offsets, since);
            self.rows = opened.map_err(|error| trouble = Some(error)).ok();
        }
        let topic: Arc<str> = config.topics.canary.as_str().into();
        let grown =
            |canaries: &Canaries| offsets.partitions(&topic).is_ok_and(|now| now.len() != canaries.partitions());
        if self.canaries.as_ref().is_none_or(grown) {
            let opened = Canaries::open(config, connection, offsets, now);
            self.canaries = opened.map_err(|error| trouble = Some(error)).unwrap_or_default();
        }
        if self.letters.is_none() {
            let opened = Letters::open(&config.topics.dead_letters, connection, offsets, now);
            self.letters = opened.map_err(|error| trouble = Some(error)).ok();
        }
        if let Some(error) = trouble {
            self.complain(&error);
        }
    }

    /// Counts late interactions in rows, and dead letters, as far as they can be read.
    fn count_what_else_there_is(&mut self, now: EpochMs, since: EpochMs, counts: &mut Counts) {
        let rows = self.rows.as_mut().map(|rows| rows.follow(since, counts));
        let letters = self.letters.as_mut().map(|letters| letters.follow(&self.classify.offsets, now, since));
        match (rows, letters) {
            (Some(Ok(())), Some(Ok(letters))) => (counts.dead_letters, self.complained) = (letters, None),
            (rows, letters) => {
                let mut trouble = rows.and_then(Result::err);
                match letters {
                    Some(Ok(letters)) => counts.dead_letters = letters,
                    Some(Err(error)) => trouble = Some(error),
                    None => {}
                }
                if let Some(error) = trouble {
                    self.complain(&error);
                }
            }
        }
    }

    fn complain(&mut self, error: &LookError) {
        if self.complained.replace(error.to_string()).is_none() {
            tracing::warn!(%error, "rows of metrics, dead letters or canaries cannot be looked at; all else is judged still");
        }
    }

    /// The order matters: what a stage reads and has committed is asked for before the ends of what it writes, so that what it has
    /// made of that lies before them.
    fn look(&mut self, now: EpochMs) -> Result<Observation, LookError> {
        if self.partitions.asked_at.elapsed() >= PARTITIONS_EVERY {
            let first = std::mem::take(&mut self.partitions.first);
            self.partitions =
                Partitions::ask(&self.classify, &self.raw, &self.classified, &self.also, &self.bootstrap)?;
            self.partitions.first = first;
            self.open_what_else_there_is(now, now - self.settings.share_window_ms);
        }
        let mut ends = ends_of(&self.classify, &self.partitions.raw, &self.ends, &mut self.silent)?;
        let classify_committed = self.classify.committed(&self.partitions.raw)?;
        let community_committed = self.community.committed(&self.partitions.community)?;
        ends.extend(ends_of(&self.community, &self.partitions.community, &self.ends, &mut self.silent)?);
        self.ends.clone_from(&ends);
        let reads = |topic: &Arc<str>| {
            *topic == self.classified
                || community_committed.iter().any(|((of, _), committed)| of == topic && committed.is_some())
        };
        let read: Vec<Partition> =
            self.partitions.community.iter().filter(|(topic, _)| reads(topic)).cloned().collect();
        let committed = classify_committed.iter().chain(&community_committed);
        let begins = committed.filter(|(_, committed)| committed.is_none()).map(|(partition, _)| partition);
        let begins = begins.filter(|partition| !self.silent.contains(*partition));
        self.partitions.learn_first(&self.classify, begins.cloned().collect(), &ends)?;
        let known = &self.partitions.first;
        let first = |partition: &Partition| known.get(partition).copied().unwrap_or(0);
        let classify = self.classify.inputs(&self.partitions.raw, &ends, &classify_committed, first)?;
        let community = self.community.inputs(&read, &ends, &community_committed, first)?;
        let mut counts = Counts::default();
        let since = now - self.settings.share_window_ms;
        let end = ends.get(&(Arc::clone(&self.classified), 0)).copied().unwrap_or(0);
        self.interactions.follow(end, since, &mut counts)?;
        // What was committed is on the classified topic by now, and so are the canaries among it.
        counts.consumed = self.consumed(&classify_committed);
        self.count_what_else_there_is(now, since, &mut counts);
        let observation = Observation {
            now,
            classify: classify.iter().map(seen).collect(),
            community: community.iter().map(seen).collect(),
            said: self.interactions.said().clone(),
            counts,
            spoken: self.look_at_arrivals(now),
            canaries: self.look_at_canaries(),
        };
        self.inputs = classify;
        self.inputs.extend(community);
        Ok(observation)
    }

    /// Raw records, canaries left out, that were consumed since the look before; positions that were set back count nothing.
    fn consumed(&mut self, committed: &BTreeMap<Partition, Option<Position>>) -> u64 {
        let mut consumed = 0;
        for (partition, committed) in committed {
            let Some(committed) = *committed else { continue };
            let before = self.consumed_to.insert(partition.clone(), committed).unwrap_or(committed);
            let canaries = self.interactions.take_canaries(&at(partition), before, committed);
            consumed += u64::try_from(committed - before).unwrap_or(0).saturating_sub(canaries);
        }
        consumed
    }
}

/// The ends of these. Where brokers do not tell all of them, each is asked by itself, and of one without a leader (`silent`) the end
/// that was seen last counts.
fn ends_of(
    group: &Group,
    partitions: &[Partition],
    before: &BTreeMap<Partition, Position>,
    silent: &mut BTreeSet<Partition>,
) -> Result<BTreeMap<Partition, Position>, AdminError> {
    let is_away = |partition: &&Partition| silent.contains(*partition);
    let away: Vec<Partition> = partitions.iter().filter(is_away).cloned().collect();
    let there: Vec<Partition> = partitions.iter().filter(|partition| !is_away(partition)).cloned().collect();
    let mut ends = match group.offsets.ends(&there) {
        Ok(ends) => ends,
        Err(error) => {
            let ends = group.offsets.ends_one_by_one(&there, ASK_TIMEOUT);
            if ends.is_empty() {
                return Err(error);
            }
            ends
        }
    };
    ends.extend(group.offsets.ends_one_by_one(&away, ASK_TIMEOUT));
    for partition in partitions {
        if ends.contains_key(partition) {
            silent.remove(partition)
        } else {
            silent.insert(partition.clone())
        };
    }
    fill(&mut ends, partitions, before);
    Ok(ends)
}

/// What is not known is as it was.
fn fill(ends: &mut BTreeMap<Partition, Position>, of: &[Partition], before: &BTreeMap<Partition, Position>) {
    for partition in of {
        if let (false, Some(&end)) = (ends.contains_key(partition), before.get(partition)) {
            ends.insert(partition.clone(), end);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_without_a_leader_stands_where_it_was_seen_last() {
        let at = |number| -> Partition { ("raw".into(), number) };
        let mut ends = BTreeMap::from([(at(0), 7)]);
        let before = BTreeMap::from([(at(0), 5), (at(1), 3), (at(3), 9)]);
        fill(&mut ends, &[at(0), at(1), at(2)], &before);
        assert_eq!(ends, BTreeMap::from([(at(0), 7), (at(1), 3)]));
    }
}
