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
    /// There is more than the end that was reached, and it is not known yet whether that is more than canaries.
    is_behind: bool,
    /// That was said, though nothing but canaries has come since.
    said_behind: bool,
    /// And now it is at its end again, which is to be said as soon.
    to_be_corrected: bool,
    /// When the first record since the last marker came in by which `largest_event_time` grew.
    grown_since: Option<EpochMs>,
}

impl Source {
    /// What is to be said of it; from then on it was said.
    fn say<'a>(&mut self, at: InputPartition, topics: &'a [Arc<str>]) -> SourceProgress<'a> {
        self.said_behind = self.is_behind;
        self.to_be_corrected = false;
        SourceProgress {
            topic: Cow::Borrowed(&topics[at.input]),
            partition: at.partition,
            position: self.position,
            largest_event_time: self.largest_event_time,
            caught_up: self.caught_up && !self.is_behind,
            grown_since: self.grown_since.take(),
        }
    }
}

/// The raw partitions that this replica owns.
#[derive(Debug, Default)]
pub(super) struct Sources {
    by_partition: BTreeMap<InputPartition, Source>,
    changed: bool,
    last_marker_at: Option<EpochMs>,
    /// How many are behind, and it was not said.
    unsaid: usize,
}

impl Sources {
    pub(super) fn assign(&mut self, partition: InputPartition, position: Position) {
        let source = Source {
            position,
            largest_event_time: None,
            caught_up: false,
            is_behind: false,
            said_behind: false,
            to_be_corrected: false,
            grown_since: None,
        };
        self.by_partition.insert(partition, source);
        self.changed = true;
        self.count_unsaid();
    }

    pub(super) fn forget(&mut self, partition: InputPartition) {
        self.by_partition.remove(&partition);
        self.count_unsaid();
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
        if source.is_behind {
            (source.is_behind, source.said_behind) = (false, false);
            self.count_unsaid();
            return self.processed(partition, offset, event_time, ingested_at);
        }
        if event_time > source.largest_event_time {
            source.largest_event_time = event_time;
            source.grown_since.get_or_insert(ingested_at);
        }
        self.changed = true;
    }

    /// A canary was read. It says nothing of event time, and whoever is at the end of a partition is so with it, too: else an idle
    /// source would be busy for a moment at each canary, and hold the watermark. Nor is it a reason for a marker.
    pub(super) fn passed_canary(&mut self, partition: InputPartition, offset: i64) {
        if let Some(source) = self.by_partition.get_mut(&partition) {
            source.position = offset + 1;
        }
    }

    pub(super) fn reached_end(&mut self, partition: InputPartition, position: Position) {
        let Some(source) = self.by_partition.get_mut(&partition) else { return };
        if source.caught_up && source.position == position && !source.is_behind {
            return;
        }
        source.position = position;
        // It was at its end before: what came since were canaries, or markers of transactions.
        self.changed |= !source.caught_up;
        source.caught_up = true;
        source.is_behind = false;
        // Nothing but canaries came: whoever waits for it is told at once.
        source.to_be_corrected |= std::mem::take(&mut source.said_behind);
        self.count_unsaid();
    }

    /// There is more to read than the end that was reached. Unless it turns out to be canaries alone, it is to be said before the
    /// next record of any source: see [`Sources::has_unsaid`].
    pub(super) fn fell_behind(&mut self, partition: InputPartition) {
        let Some(source) = self.by_partition.get_mut(&partition) else { return };
        source.is_behind |= source.caught_up;
        self.count_unsaid();
    }

    /// A source is behind again, and that was not said.
    pub(super) fn has_unsaid(&self) -> bool {
        self.unsaid > 0
    }

    fn count_unsaid(&mut self) {
        self.unsaid = self.by_partition.values().filter(|source| source.is_behind && !source.said_behind).count();
    }

    /// The marker of what readers must know at once, if there is anything: sources that are behind again, before the records that
    /// follow, and those of which that was said and is not true any more. Of the others it says nothing, so that nobody hears of them
    /// sooner or later because of a canary.
    pub(super) fn urgent_marker<'a>(&mut self, now: EpochMs, topics: &'a [Arc<str>]) -> Option<Progress<'a>> {
        self.unsaid = 0;
        let is_urgent = |source: &Source| (source.is_behind && !source.said_behind) || source.to_be_corrected;
        let urgent = self.by_partition.iter_mut().filter(|(_, source)| is_urgent(source));
        let sources: Vec<_> = urgent.map(|(at, source)| source.say(*at, topics)).collect();
        (!sources.is_empty()).then(|| Progress { at: now, sources, canaries: Vec::new() })
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
        self.unsaid = 0;
        let sources = self.by_partition.iter_mut().map(|(at, source)| source.say(*at, topics)).collect();
        Some(Progress { at: now, sources, canaries: Vec::new() })
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

    #[test]
    fn a_canary_leaves_a_source_that_is_at_its_end_there() {
        let topics = [Arc::from("raw")];
        let mut sources = Sources::default();
        sources.assign(P, 7);
        sources.reached_end(P, 7);
        sources.marker(0, &topics).unwrap();
        // It is read before anything else comes: nobody ever hears that there was more.
        sources.fell_behind(P);
        assert!(sources.has_unsaid());
        sources.passed_canary(P, 7);
        assert!(sources.has_unsaid(), "what follows the canary is not known yet");
        sources.reached_end(P, 8);
        assert!(!sources.has_unsaid());
        assert!(sources.marker(4_999, &topics).is_none(), "it is no reason for a marker");
        let marker = sources.marker(5_000, &topics).unwrap();
        assert_eq!((marker.sources[0].position, marker.sources[0].caught_up), (8, true));
        // A marker is due before it is read: it is not said to be at its end, and is again as soon as it is.
        sources.fell_behind(P);
        assert!(!sources.marker(10_000, &topics).unwrap().sources[0].caught_up);
        assert!(!sources.has_unsaid());
        sources.passed_canary(P, 8);
        assert!(sources.urgent_marker(10_001, &topics).is_none());
        sources.reached_end(P, 9);
        assert!(sources.urgent_marker(10_002, &topics).unwrap().sources[0].caught_up, "at once");
        assert!(sources.urgent_marker(10_002, &topics).is_none(), "once");
        // Something that counts follows the canary.
        sources.fell_behind(P);
        sources.passed_canary(P, 9);
        sources.processed(P, 10, Some(5), 6);
        assert!(!sources.has_unsaid());
        assert!(!sources.marker(19_000, &topics).unwrap().sources[0].caught_up);
        sources.reached_end(P, 11);
        assert!(sources.urgent_marker(19_001, &topics).is_none(), "no hurry: it was at work");
        // It is behind, and that is to be said before what follows.
        sources.fell_behind(P);
        let marker = sources.urgent_marker(19_002, &topics).unwrap();
        assert_eq!((marker.sources.len(), marker.sources[0].caught_up), (1, false));
        assert!(!sources.has_unsaid() && sources.urgent_marker(19_003, &topics).is_none());
        // One that is at work is so with canaries, too.
        sources.processed(P, 11, Some(6), 7);
        sources.passed_canary(P, 12);
        let marker = sources.marker(40_000, &topics).unwrap();
        assert_eq!((marker.sources[0].position, marker.sources[0].caught_up), (13, false));
    }
}
