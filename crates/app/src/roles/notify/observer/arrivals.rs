//! What came into the raw partitions that is no canary: how a silent source stays silent though canaries arrive in its partition.
//!
//! Where a log has grown by no more than canaries can have brought, what came is read, and told by its header. That is exact, asks
//! neither of the stages, and costs a few records of the partitions in which next to nothing happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::Connection;
use kafka_io::offsets::Partition;
use kafka_io::reader::{OwnedRecord, ReadError, Reader};
use pipeline::{CANARY_GRID_MS, CANARY_KEY, CanarySaid, CanarySeal, Sealed};
use record::{EpochMs, Position, header};

/// Most partitions of which it is read what came at one look; the rest have their turn at the next.
const PARTITIONS_MAX: usize = 128;
/// So many canaries may come beyond what the interval says: of a second sender, or after a start.
const CANARIES_EXTRA: i64 = 3;
/// More than this was never brought by canaries alone, however long nobody looked.
const CANARIES_MAX: i64 = 64;
/// Between two rounds of canaries, where this configuration sends none and another one may.
const INTERVAL_MS: i64 = 30_000;
/// How long reading may take at one look.
const READ_TIME: Duration = Duration::from_secs(2);
const TURN: Duration = Duration::from_millis(50);

/// What is known of one partition.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Up to where it is known what came.
    judged: Position,
    judged_at: EpochMs,
    /// How often something came.
    spoken: Position,
}

pub(super) struct Arrivals {
    connection: Connection,
    /// `None`: without the secret all that looks like a canary is taken for one.
    seal: Option<CanarySeal>,
    interval_ms: i64,
    partitions: BTreeMap<Partition, Known>,
    /// Topics whose records have the broker's time: of these canaries cannot be told in look-ups by time.
    stamped: BTreeSet<Arc<str>>,
}

impl Arrivals {
    pub(super) fn new(connection: &Connection, seal: Option<CanarySeal>, interval_ms: Option<u64>) -> Arrivals {
        let interval_ms = interval_ms.and_then(|interval| i64::try_from(interval).ok()).unwrap_or(INTERVAL_MS);
        Arrivals {
            connection: connection.clone(),
            seal,
            interval_ms,
            partitions: BTreeMap::new(),
            stamped: BTreeSet::new(),
        }
    }

    /// By partition a number that grows when something comes that is no canary; it begins with 0.
    pub(super) fn spoken(&self) -> impl Iterator<Item = (&Partition, Position)> {
        self.partitions.iter().map(|(partition, known)| (partition, known.spoken))
    }

    /// Topics of which it was found that their records have the broker's time.
    pub(super) fn stamped(&self) -> &BTreeSet<Arc<str>> {
        &self.stamped
    }

    /// The logs end here now. What cannot be read is judged at a later look. Gives whether this client may read, where it read.
    pub(super) fn observe(
        &mut self,
        now: EpochMs,
        ends: &BTreeMap<Partition, Position>,
    ) -> Option<Result<(), ReadError>> {
        self.partitions.retain(|partition, _| ends.contains_key(partition));
        let mut doubtful: Vec<(Partition, Position, Position)> = Vec::new();
        for (partition, &end) in ends {
            let known =
                self.partitions.entry(partition.clone()).or_insert(Known { judged: end, judged_at: now, spoken: 0 });
            if end <= known.judged {
                // A topic that was made anew begins again.
                (known.judged, known.judged_at) = (end, now);
            } else if end - known.judged > canaries_in(now - known.judged_at, self.interval_ms) {
                *known = Known { judged: end, judged_at: now, spoken: known.spoken + 1 };
            } else {
                doubtful.push((partition.clone(), known.judged, end));
            }
        }
        // Those that have waited for longest come first.
        doubtful.sort_by_key(|(partition, ..)| self.partitions.get(partition).map(|known| known.judged_at));
        doubtful.truncate(PARTITIONS_MAX);
        let topics: BTreeSet<Arc<str>> = doubtful.iter().map(|((topic, _), ..)| Arc::clone(topic)).collect();
        let until = Instant::now() + READ_TIME;
        let mut may_read = None;
        for topic in topics {
            let of_topic = doubtful.iter().filter(|((of, _), ..)| *of == topic);
            let ranges: BTreeMap<i32, (Position, Position)> =
                of_topic.map(|((_, number), from, to)| (*number, (*from, *to))).collect();
            match self.read(&topic, &ranges, until) {
                Ok(found) => {
                    found.into_iter().for_each(|(number, spoke)| self.judge(now, &topic, number, spoke, ends));
                    may_read.get_or_insert(Ok(()));
                }
                // Waiting does not mend it.
                Err(error @ ReadError::Unauthorized(_)) => may_read = Some(Err(error)),
                Err(error) => tracing::debug!(%error, "what came into raw partitions is looked at later"),
            }
        }
        may_read
    }

    fn judge(
        &mut self,
        now: EpochMs,
        topic: &Arc<str>,
        number: i32,
        spoke: bool,
        ends: &BTreeMap<Partition, Position>,
    ) {
        let partition = (Arc::clone(topic), number);
        if let (Some(known), Some(&end)) = (self.partitions.get_mut(&partition), ends.get(&partition)) {
            *known = Known { judged: end, judged_at: now, spoken: known.spoken + Position::from(spoke) };
        }
    }

    /// Of those that could be read to their ends, whether anything but canaries came.
    fn read(
        &mut self,
        topic: &Arc<str>,
        ranges: &BTreeMap<i32, (Position, Position)>,
        until: Instant,
    ) -> Result<BTreeMap<i32, bool>, ReadError> {
        let positions = ranges.iter().map(|(&number, &(from, _))| (number, from)).collect();
        let mut reader = Reader::open_from(&self.connection, topic, &positions, READ_TIME)?;
        let mut spoke: BTreeMap<i32, bool> = BTreeMap::new();
        let is_read = |reader: &Reader, number: i32, to: Position| {
            reader.positions().get(&number).is_some_and(|position| *position >= to)
        };
        while Instant::now() < until && !ranges.iter().all(|(&number, &(_, to))| is_read(&reader, number, to)) {
            let Some(record) = reader.next(TURN)? else { continue };
            if ranges.get(&record.partition).is_some_and(|(_, to)| record.offset < *to) {
                let is_canary = self.is_canary(topic, &record);
                *spoke.entry(record.partition).or_default() |= !is_canary;
            }
        }
        let read = ranges.iter().filter(|(number, (_, to))| is_read(&reader, **number, *to));
        Ok(read.map(|(number, _)| (*number, spoke.get(number).copied().unwrap_or(false))).collect())
    }

    fn is_canary(&mut self, topic: &Arc<str>, record: &OwnedRecord) -> bool {
        let (Some(CANARY_KEY), Some(value)) = (record.key.as_deref(), record.value.as_deref()) else { return false };
        let said = record.headers.iter().find(|(name, _)| name == header::CANARY);
        let Some(said) = said.and_then(|(_, said)| CanarySaid::read(said.as_deref()?)) else { return false };
        let at = Sealed { topic, partition: record.partition, key: CANARY_KEY, value };
        if self.seal.as_ref().is_some_and(|seal| !seal.is_ours(&said, at)) {
            return false;
        }
        if record.timestamp != Some(said.sent_at - said.sent_at.rem_euclid(CANARY_GRID_MS)) {
            self.stamped.insert(Arc::clone(topic));
        }
        true
    }
}

/// How many canaries may have come in a time, at most.
fn canaries_in(time_ms: i64, interval_ms: i64) -> Position {
    (time_ms.max(0) / interval_ms.max(1) + CANARIES_EXTRA).min(CANARIES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals() -> Arrivals {
        let nowhere =
            Connection { bootstrap: "127.0.0.1:1".to_owned(), client_id: "test".to_owned(), properties: Vec::new() };
        Arrivals::new(&nowhere, CanarySeal::new(b"a secret for the tests"), Some(30_000))
    }

    #[test]
    fn more_than_canaries_can_have_brought_is_somebody_and_less_is_looked_at() {
        let partition: Partition = ("raw".into(), 0);
        let mut arrivals = arrivals();
        let mut see = |now: EpochMs, end: Position| {
            arrivals.observe(now, &BTreeMap::from([(partition.clone(), end)]));
            let known = arrivals.partitions[&partition];
            (known.spoken, known.judged)
        };
        assert_eq!(see(0, 100), (0, 100));
        assert_eq!(see(5_000, 104), (1, 104), "more than three in five seconds");
        assert_eq!(see(10_000, 104), (1, 104));
        assert_eq!(see(3_610_000, 204), (2, 204), "in an hour there are 120 and no more are ever believed");
        assert_eq!(see(3_615_000, 3), (2, 3), "the topic was made anew");
    }

    #[test]
    fn canaries_are_told_by_their_seal_and_the_topics_by_their_times() {
        let mut arrivals = arrivals();
        let topic: Arc<str> = "raw".into();
        let seal = CanarySeal::new(b"a secret for the tests").unwrap();
        let sent_at = 10 * CANARY_GRID_MS + 7;
        let at = Sealed { topic: "raw", partition: 2, key: CANARY_KEY, value: b"v" };
        let mut record = OwnedRecord {
            partition: 2,
            offset: 1,
            timestamp: Some(10 * CANARY_GRID_MS),
            key: Some(CANARY_KEY.to_vec()),
            value: Some(b"v".to_vec()),
            headers: vec![(header::CANARY.to_owned(), Some(seal.header("a1", sent_at, at).into_bytes()))],
        };
        assert!(arrivals.is_canary(&topic, &record) && arrivals.stamped().is_empty());
        record.timestamp = Some(sent_at + 3);
        assert!(arrivals.is_canary(&topic, &record) && arrivals.stamped().contains(&topic));
        assert!(!arrivals.is_canary(&topic, &OwnedRecord { value: Some(b"w".to_vec()), ..record.clone() }));
        assert!(!arrivals.is_canary(&topic, &OwnedRecord { partition: 3, ..record.clone() }));
        assert!(!arrivals.is_canary(&topic, &OwnedRecord { headers: Vec::new(), ..record.clone() }));
        assert!(!arrivals.is_canary(&topic, &OwnedRecord { key: None, ..record }));
    }
}
