//! How far event time has come, from what the sources say in band.
//!
//! A source is a partition of a raw topic. watermark = min over the sources that are not idle of (largest event time −
//! disorder), and never goes back. A source is idle only when it says that it has caught up with the end of its log. When
//! all are idle, event time goes on from where it stood at the pace of the wall clock.

use record::{EpochMs, Position, Progress};
use serde::{Deserialize, Serialize};

/// Most raw topics; there are two, and more where they were renamed.
const TOPICS_MAX: usize = 8;
/// Most partitions of one raw topic.
const PARTITIONS_MAX: i32 = 10_000;

/// What is known of one source. Part of the changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) partition: i32,
    position: Position,
    largest_event_time: Option<EpochMs>,
    caught_up: bool,
    /// Wall-clock time of the last word from it; after a restore, of the restore.
    #[serde(skip)]
    heard_at: EpochMs,
}

/// The sources of one raw topic. Part of the changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) sources: Vec<Source>,
}

#[derive(Debug, Clone, Copy)]
struct Idle {
    since: EpochMs,
    from: EpochMs,
}

/// The watermark of one partition of the classified topic.
#[derive(Debug)]
pub(super) struct Watermark {
    disorder_ms: i64,
    hold_ms_max: i64,
    topics: Vec<Topic>,
    value: Option<EpochMs>,
    idle: Option<Idle>,
}

impl Watermark {
    pub(super) fn new(disorder_ms: i64, hold_ms_max: i64) -> Watermark {
        Watermark { disorder_ms, hold_ms_max, topics: Vec::new(), value: None, idle: None }
    }

    /// Where event time stands; `None` before the first.
    pub(super) fn value(&self) -> Option<EpochMs> {
        self.value
    }

    pub(super) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    pub(super) fn restore(&mut self, topics: Vec<Topic>, value: Option<EpochMs>, now: EpochMs) {
        self.topics = topics;
        self.value = value;
        self.idle = None;
        for source in self.topics.iter_mut().flat_map(|topic| &mut topic.sources) {
            source.heard_at = now;
        }
    }

    /// Makes sure that these sources are known: one that was never heard from holds the watermark.
    pub(super) fn know(&mut self, topics: &[(String, i32)], now: EpochMs) {
        for (topic, partitions) in topics {
            for partition in 0..*partitions {
                // Beyond the bound there is nothing to be known of.
                let _ = self.source(topic, partition, now);
            }
        }
    }

    /// A record of the source was read; a retraction says nothing of event time.
    pub(super) fn heard(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        event_time: Option<EpochMs>,
        now: EpochMs,
    ) {
        let Some(source) = self.source(topic, partition, now) else { return };
        source.position = offset.saturating_add(1);
        source.caught_up = false;
        source.largest_event_time = source.largest_event_time.max(event_time);
        source.heard_at = now;
    }

    /// A marker was read.
    pub(super) fn heard_progress(&mut self, progress: &Progress<'_>, now: EpochMs) {
        for said in &progress.sources {
            let Some(source) = self.source(&said.topic, said.partition, now) else { continue };
            source.position = said.position;
            source.caught_up = said.caught_up;
            source.largest_event_time = source.largest_event_time.max(said.largest_event_time);
            source.heard_at = now;
        }
    }

    /// The share of sources that event time does not go on without, 0 to 1: the rest has been silent for too long.
    pub(super) fn completeness(&self, now: EpochMs) -> f64 {
        let sources = || self.topics.iter().flat_map(|topic| &topic.sources);
        let all = sources().count();
        let left_out = sources().filter(|source| self.is_left_out(source, now)).count();
        if all == 0 { 1.0 } else { (all - left_out) as f64 / all as f64 }
    }

    fn is_left_out(&self, source: &Source, now: EpochMs) -> bool {
        !source.caught_up && now.saturating_sub(source.heard_at) > self.hold_ms_max
    }

    /// Takes in what was heard, and the wall clock.
    pub(super) fn advance(&mut self, now: EpochMs) {
        let mut least: Option<EpochMs> = None;
        let mut largest: Option<EpochMs> = None;
        let mut any = false;
        let mut all_idle = true;
        let mut held = false;
        for source in self.topics.iter().flat_map(|topic| &topic.sources) {
            any = true;
            largest = largest.max(source.largest_event_time);
            if source.caught_up {
                continue;
            }
            all_idle = false;
            if self.is_left_out(source, now) {
                continue;
            }
            match source.largest_event_time {
                Some(event_time) => least = Some(least.map_or(event_time, |least| least.min(event_time))),
                None => held = true,
            }
        }
        if any && all_idle {
            self.go_on_idle(largest, now);
            return;
        }
        self.idle = None;
        if !held {
            self.value = self.value.max(least.map(|least| least.saturating_sub(self.disorder_ms)));
        }
    }

    fn go_on_idle(&mut self, largest: Option<EpochMs>, now: EpochMs) {
        match self.idle {
            Some(idle) => {
                let gone_on = idle.from.saturating_add((now - idle.since).max(0));
                self.value = self.value.max(Some(gone_on));
            }
            None => {
                // The last source to become idle is, at the latest, the one with the largest event time: whichever of them
                // was last, nothing behind that one holds the watermark any more.
                self.value = self.value.max(largest.map(|largest| largest.saturating_sub(self.disorder_ms)));
                self.idle = self.value.map(|from| Idle { since: now, from });
            }
        }
    }

    /// A source, which is added if it is new; `None` for what cannot be one of ours: another producer's word must not make
    /// the table grow without a bound.
    fn source(&mut self, topic: &str, partition: i32, now: EpochMs) -> Option<&mut Source> {
        if !(0..PARTITIONS_MAX).contains(&partition) {
            return None;
        }
        let at = match self.topics.iter().position(|known| known.name == topic) {
            Some(at) => at,
            None if self.topics.len() >= TOPICS_MAX => return None,
            None => {
                self.topics.push(Topic { name: topic.to_owned(), sources: Vec::new() });
                self.topics.len() - 1
            }
        };
        let sources = &mut self.topics[at].sources;
        // Almost always the place is the partition's number; not where the first to be heard of was a later one.
        let number = usize::try_from(partition).unwrap_or(usize::MAX);
        let at = if sources.get(number).is_some_and(|source| source.partition == partition) {
            number
        } else {
            match sources.binary_search_by_key(&partition, |source| source.partition) {
                Ok(at) => at,
                Err(at) => {
                    let source =
                        Source { partition, position: 0, largest_event_time: None, caught_up: false, heard_at: now };
                    sources.insert(at, source);
                    at
                }
            }
        };
        sources.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use record::SourceProgress;

    use super::*;

    fn marker(sources: &[(i32, Option<EpochMs>, bool)]) -> Progress<'static> {
        let sources = sources.iter().map(|&(partition, largest_event_time, caught_up)| SourceProgress {
            topic: "raw".into(),
            partition,
            position: 9,
            largest_event_time,
            caught_up,
        });
        Progress { at: 0, sources: sources.collect() }
    }

    fn of_two() -> Watermark {
        let mut watermark = Watermark::new(10, 1_000);
        watermark.know(&[("raw".to_owned(), 2)], 0);
        watermark
    }

    #[test]
    fn is_the_least_of_the_sources_and_never_goes_back() {
        let mut watermark = of_two();
        watermark.heard("raw", 0, 0, Some(500), 0);
        watermark.advance(0);
        assert_eq!(watermark.value(), None, "source 1 was never heard from");
        watermark.heard("raw", 1, 0, Some(300), 0);
        watermark.advance(0);
        assert_eq!(watermark.value(), Some(290));
        watermark.heard("raw", 1, 1, Some(200), 0);
        watermark.advance(0);
        assert_eq!(watermark.value(), Some(290));
        watermark.heard("raw", 1, 2, Some(900), 0);
        watermark.advance(0);
        assert_eq!(watermark.value(), Some(490));
    }

    #[test]
    fn an_idle_source_does_not_hold_it() {
        let mut watermark = of_two();
        watermark.heard("raw", 0, 0, Some(500), 0);
        watermark.heard_progress(&marker(&[(1, None, true)]), 0);
        watermark.advance(0);
        assert_eq!(watermark.value(), Some(490));
    }

    #[test]
    fn goes_on_with_the_wall_clock_when_all_are_idle() {
        let mut watermark = of_two();
        watermark.heard_progress(&marker(&[(0, Some(500), true), (1, Some(300), true)]), 7_000);
        watermark.advance(7_000);
        assert_eq!(watermark.value(), Some(490), "it never jumps to now");
        watermark.advance(7_250);
        assert_eq!(watermark.value(), Some(740));
        watermark.advance(7_100);
        assert_eq!(watermark.value(), Some(740), "a clock set back does not move it back");
        watermark.heard("raw", 1, 10, Some(600), 7_300);
        watermark.advance(9_000);
        assert_eq!(watermark.value(), Some(740), "a source that works again holds it");
    }

    #[test]
    fn nothing_ever_heard_is_no_event_time() {
        let mut watermark = of_two();
        watermark.heard_progress(&marker(&[(0, None, true), (1, None, true)]), 0);
        watermark.advance(0);
        watermark.advance(5_000);
        assert_eq!(watermark.value(), None);
    }

    #[test]
    fn a_silent_source_holds_it_for_a_time_only() {
        let mut watermark = of_two();
        watermark.heard("raw", 0, 0, Some(500), 1_000);
        watermark.advance(1_000);
        assert_eq!(watermark.value(), None);
        watermark.heard("raw", 0, 1, Some(600), 1_500);
        watermark.advance(1_500);
        assert_eq!(watermark.value(), Some(590), "source 1 was silent for longer than it may hold");
    }
}
