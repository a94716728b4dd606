//! How far the raw partitions of this replica have come, and when to say so in band.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use record::stage::InputPartition;
use record::{EpochMs, Position, Progress, SourceProgress};

/// At most one marker per classified partition in this time.
const MARKER_INTERVAL_MS: i64 = 1_000;
/// Nothing new is repeated after this time, so that a reader sees that the replica lives: what is not said again is not
/// believed for long.
const HEARTBEAT_INTERVAL_MS: i64 = 5_000;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    position: Position,
    largest_event_time: Option<EpochMs>,
    caught_up: bool,
    /// When the first record since the last marker came in by which `largest_event_time` grew.
    grown_since: Option<EpochMs>,
}

/// The raw partitions that this replica owns.
#[derive(Debug, Default)]
pub(super) struct Sources {
    by_partition: BTreeMap<InputPartition, Source>,
    changed: bool,
    last_marker_at: Option<EpochMs>,
}

impl Sources {
    pub(super) fn assign(&mut self, partition: InputPartition, position: Position) {
        let source = Source { position, largest_event_time: None, caught_up: false, grown_since: None };
        self.by_partition.insert(partition, source);
        self.changed = true;
    }

    pub(super) fn forget(&mut self, partition: InputPartition) {
        self.by_partition.remove(&partition);
    }

    /// A record was processed; `event_time` is `None` where it has none that may be believed.
    pub(super) fn processed(
        &mut self,
        partition: InputPartition,
        offset: i64,
        event_time: Option<EpochMs>,
        ingested_at: EpochMs,
    ) {
        let Some(source) = self.by_partition.get_mut(&partition) else { return };
        source.position = offset + 1;
        source.caught_up = false;
        if event_time > source.largest_event_time {
            source.largest_event_time = event_time;
            source.grown_since.get_or_insert(ingested_at);
        }
        self.changed = true;
    }

    pub(super) fn reached_end(&mut self, partition: InputPartition, position: Position) {
        let Some(source) = self.by_partition.get_mut(&partition) else { return };
        if source.caught_up && source.position == position {
            return;
        }
        source.position = position;
        source.caught_up = true;
        self.changed = true;
    }

    /// There is more to read than the end that was reached; true if it was not known.
    pub(super) fn fell_behind(&mut self, partition: InputPartition) -> bool {
        let Some(source) = self.by_partition.get_mut(&partition) else { return false };
        let news = source.caught_up;
        source.caught_up = false;
        self.changed |= news;
        news
    }

    /// The next marker is due at once: it says what readers must know before the records that follow.
    pub(super) fn hurry(&mut self) {
        self.last_marker_at = None;
    }

    /// The marker to be written at this flush, if one is due.
    pub(super) fn marker<'a>(&mut self, now: EpochMs, topics: &'a [Arc<str>]) -> Option<Progress<'a>> {
        if self.by_partition.is_empty() {
            return None;
        }
        if let Some(last) = self.last_marker_at {
            // A clock that was set back must not silence the markers until it has caught up.
            let since = if now < last { i64::MAX } else { now - last };
            if since < if self.changed { MARKER_INTERVAL_MS } else { HEARTBEAT_INTERVAL_MS } {
                return None;
            }
        }
        self.last_marker_at = Some(now);
        self.changed = false;
        let sources = self
            .by_partition
            .iter_mut()
            .map(|(partition, source)| SourceProgress {
                topic: Cow::Borrowed(&topics[partition.input]),
                partition: partition.partition,
                position: source.position,
                largest_event_time: source.largest_event_time,
                caught_up: source.caught_up,
                grown_since: source.grown_since.take(),
            })
            .collect();
        Some(Progress { at: now, sources })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: InputPartition = InputPartition { input: 0, partition: 3 };

    #[test]
    fn says_what_is_new_once_a_second_and_lives_on() {
        let topics = [Arc::from("raw")];
        let mut sources = Sources::default();
        assert!(sources.marker(0, &topics).is_none(), "nothing owned");
        sources.assign(P, 7);
        let marker = sources.marker(0, &topics).unwrap();
        assert_eq!((marker.sources[0].position, marker.sources[0].caught_up), (7, false));
        sources.processed(P, 7, Some(45), 61);
        sources.processed(P, 8, Some(50), 62);
        sources.processed(P, 9, Some(40), 63);
        sources.reached_end(P, 10);
        assert!(sources.marker(999, &topics).is_none(), "too soon");
        let marker = sources.marker(1_000, &topics).unwrap();
        let source = &marker.sources[0];
        assert_eq!((source.position, source.largest_event_time, source.caught_up), (10, Some(50), true));
        assert_eq!(source.grown_since, Some(61), "the first that made it grow");
        sources.reached_end(P, 10);
        assert!(sources.marker(5_000, &topics).is_none(), "nothing new");
        let marker = sources.marker(11_000, &topics).expect("a heartbeat");
        assert_eq!(marker.sources[0].grown_since, None, "it did not grow since the marker before");
        assert!(sources.marker(10, &topics).is_some(), "the clock was set back");
        sources.forget(P);
        assert!(sources.marker(99_000, &topics).is_none());
    }
}
