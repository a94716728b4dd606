//! How canaries fare, as the canary topic tells.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_io::Connection;
use kafka_io::offsets::{Offsets, Partition};
use kafka_io::reader::{OwnedRecord, Reader};
use record::{Canary, EpochMs, Position};
use rules::blindness::{At, CanaryNews};
use wire::CanaryDecoder;

use super::look::{ASK_TIMEOUT, LookError};
use super::tail::Decoding;
use crate::config::Config;

/// How far back it is read at first, beyond the time that a canary may take.
const LOOK_BACK_MS: i64 = 600_000;
/// Most records of a partition that are read at first, and of all at one look.
const FIRST_MAX: Position = 20_000;
const RECORDS_MAX: usize = 50_000;
const TURN: Duration = Duration::from_millis(50);
/// So often in a row nothing comes before it is believed that there is nothing more.
const PATIENCE: u32 = 3;

/// The last canary that came through a raw partition and a partition of the classified topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Came {
    /// When its round was sent.
    pub(crate) sent_at: EpochMs,
    /// How long it took to be passed on by the classify stage, in milliseconds.
    pub(crate) classified_ms: i64,
    /// How long it took to be read by the community stage, since it was sent.
    pub(crate) counted_ms: i64,
}

pub(crate) struct Canaries {
    reader: Reader,
    decoding: Decoding<wire::OfCanary>,
    raw: [Arc<str>; 2],
    partitions: Vec<Partition>,
    came: BTreeMap<(At, i32), Came>,
    last_round: Option<EpochMs>,
    /// Those that came since it was asked last, and were not there at first.
    fresh: Vec<Came>,
}

impl Canaries {
    /// `None` where there is no such topic.
    pub(super) fn open(
        config: &Config,
        connection: &Connection,
        offsets: &Offsets,
        now: EpochMs,
    ) -> Result<Option<Canaries>, LookError> {
        let topic: Arc<str> = config.topics.canary.as_str().into();
        let partitions = offsets.partitions(&topic)?;
        if partitions.is_empty() {
            return Ok(None);
        }
        let ends = offsets.ends(&partitions)?;
        let since = now - config.blindness.judged.canary_late_ms - LOOK_BACK_MS;
        let mut positions = BTreeMap::new();
        for (partition, at) in offsets.at_times(partitions.iter().map(|partition| (partition, since)))? {
            let end = ends.get(&partition).copied().unwrap_or(0);
            positions.insert(partition.1, at.unwrap_or(end).max(end - FIRST_MAX));
        }
        Ok(Some(Canaries {
            reader: Reader::open_from(connection, &topic, &positions, ASK_TIMEOUT)?,
            decoding: Decoding::new(config, CanaryDecoder::new(config.framing())),
            raw: [&config.topics.posts_raw, &config.topics.comments_raw].map(|topic| Arc::from(topic.as_str())),
            partitions,
            came: BTreeMap::new(),
            last_round: None,
            fresh: Vec::new(),
        }))
    }

    /// Reads what there is.
    pub(super) fn follow(&mut self, offsets: &Offsets, news: &mut CanaryNews) -> Result<(), LookError> {
        let ends = offsets.ends(&self.partitions)?;
        let is_read = |reader: &Reader| {
            let read = |((_, number), end): (&Partition, &Position)| {
                // The last before the end may be the marker of a transaction.
                reader.positions().get(number).is_some_and(|position| *position + 1 >= *end)
            };
            ends.iter().all(read)
        };
        let (mut records, mut in_vain) = (0, 0);
        while records < RECORDS_MAX && in_vain < PATIENCE {
            match self.reader.next(if is_read(&self.reader) { Duration::ZERO } else { TURN })? {
                Some(record) => {
                    (records, in_vain) = (records + 1, 0);
                    self.take(&record, news);
                }
                None => in_vain += 1,
            }
        }
        Ok(())
    }

    fn take(&mut self, record: &OwnedRecord, news: &mut CanaryNews) {
        let was_there = self.reader.was_there(record);
        let Some(canary) = record.value.as_deref().and_then(|value| self.decoding.decode(value)) else { return };
        match place(&canary, &self.raw) {
            None if canary.raw_topic.is_some() => {}
            None => {
                news.rounds.push(canary.sent_at);
                self.last_round = self.last_round.max(Some(canary.sent_at));
            }
            Some((way, came)) => {
                if !was_there {
                    self.fresh.push(came);
                }
                news.came.push((way.clone(), came.sent_at));
                let known = self.came.entry(way).or_insert(came);
                if came.sent_at >= known.sent_at {
                    *known = came;
                }
            }
        }
    }

    /// Partitions that the topic has, as they were when it was opened.
    pub(super) fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Forgets what is not there any more.
    pub(super) fn keep(&mut self, raw: &BTreeSet<At>, classified: &[i32]) {
        self.came.retain(|(at, to), _| raw.contains(at) && classified.contains(to));
    }

    /// The last one of each way.
    pub(crate) fn came(&self) -> &BTreeMap<(At, i32), Came> {
        &self.came
    }

    /// When a round was last sent, as far as it is read.
    pub(crate) fn last_round(&self) -> Option<EpochMs> {
        self.last_round
    }

    /// Those that came since this was asked last.
    pub(super) fn take_fresh(&mut self) -> Vec<Came> {
        std::mem::take(&mut self.fresh)
    }

    /// By raw partition the newest round of which canaries came through all these partitions of the classified topic.
    pub(super) fn last_seen(&self, classified: &[i32]) -> BTreeMap<&At, EpochMs> {
        let mut seen: BTreeMap<&At, (usize, EpochMs)> = BTreeMap::new();
        for ((at, _), came) in self.came.iter().filter(|((_, to), _)| classified.contains(to)) {
            let (ways, oldest) = seen.entry(at).or_insert((0, came.sent_at));
            (*ways, *oldest) = (*ways + 1, (*oldest).min(came.sent_at));
        }
        let whole = seen.into_iter().filter(|(_, (ways, _))| *ways == classified.len());
        whole.map(|(at, (_, oldest))| (at, oldest)).collect()
    }
}

/// The way that a canary came; `None` where it tells of a round, or of a topic that is none of ours.
fn place(canary: &Canary<'_>, raw: &[Arc<str>; 2]) -> Option<((At, i32), Came)> {
    let topic = canary.raw_topic.as_deref()?;
    let topic = Arc::clone(raw.iter().find(|raw| raw.as_ref() == topic)?);
    let (partition, to) = (canary.raw_partition?, canary.classified_partition?);
    let took = |at: Option<EpochMs>| at.map_or(0, |at| (at - canary.sent_at).max(0));
    let came = Came {
        sent_at: canary.sent_at,
        classified_ms: took(canary.classified_at),
        counted_ms: took(canary.counted_at),
    };
    Some(((At { topic, partition }, to), came))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_tells_of_a_round_or_of_a_way() {
        let raw: [Arc<str>; 2] = ["posts".into(), "comments".into()];
        let round = Canary {
            id: "a".into(),
            sent_at: 50,
            raw_topic: None,
            raw_partition: None,
            raw_offset: None,
            classified_partition: None,
            classified_at: None,
            counted_at: None,
        };
        assert_eq!(place(&round, &raw), None);
        let came = Canary {
            raw_topic: Some("comments".into()),
            raw_partition: Some(3),
            raw_offset: Some(9),
            classified_partition: Some(1),
            classified_at: Some(70),
            counted_at: Some(45),
            ..round.clone()
        };
        let (way, times) = place(&came, &raw).unwrap();
        assert_eq!(way, (At { topic: "comments".into(), partition: 3 }, 1));
        let expected = Came { sent_at: 50, classified_ms: 20, counted_ms: 0 };
        assert_eq!(times, expected, "clocks of two machines");
        assert_eq!(place(&Canary { raw_topic: Some("else".into()), ..came }, &raw), None);
    }
}
