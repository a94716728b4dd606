//! How far event time has come, from what the sources say in band.
//!
//! A source is a partition of a raw topic. watermark = min over the sources that are not idle of (largest event time −
//! disorder), and never goes back. A source is idle only when it says that it has caught up with the end of its log, and for
//! as long as it goes on saying so. When all are idle, event time goes on from where it stood at the pace of the wall clock, as
//! far as their markers have come, and no further than (now − disorder).

use record::{EpochMs, Position, Progress};
use serde::{Deserialize, Serialize};

/// Most raw topics; there are two, and more where they were renamed.
const TOPICS_MAX: usize = 8;
/// Most partitions of one raw topic.
const PARTITIONS_MAX: i32 = 10_000;
/// Most partitions of a topic that is none of ours, or none any more: all that is known of sources is one entry of the changelog.
const FOREIGN_PARTITIONS_MAX: usize = 1_000;
/// How long a source is taken to be idle after it said so: it is said again in half of this time. No longer than the default
/// disorder, so that what a replica reads after a pause is not late.
const IDLE_WORD_MS: i64 = 10_000;
/// Most that two turns of the clock count for: it comes every second, and while this process itself stood still nobody was silent.
const TURN_MS_MAX: i64 = 2_000;

/// What is known of one source. Part of the changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Source {
    pub(super) partition: i32,
    position: Position,
    largest_event_time: Option<EpochMs>,
    caught_up: bool,
    /// When it last got on, or said that it has caught up, by [`Watermark::listened_ms`].
    #[serde(skip)]
    heard_at: i64,
    /// When it last said that it has caught up, by the clock of its replica; `None` after a restore: it may have been idle then.
    #[serde(skip)]
    idle_at: Option<EpochMs>,
    /// How its largest event time grew since the last commit, if it did.
    #[serde(skip)]
    growth: Option<Growth>,
}

/// How the largest event time of a source grew since the last commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Growth {
    /// What it was before; `None` before the first.
    from: Option<EpochMs>,
    /// The earliest Kafka time of the raw records by which it grew.
    since: EpochMs,
}

impl Source {
    /// A record that came in at this Kafka time says of the event time of this source.
    fn grow(&mut self, event_time: Option<EpochMs>, since: EpochMs) {
        if event_time <= self.largest_event_time {
            return;
        }
        let growth = self.growth.get_or_insert(Growth { from: self.largest_event_time, since });
        growth.since = growth.since.min(since);
        self.largest_event_time = event_time;
    }
}

/// The sources of one raw topic. Part of the changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) sources: Vec<Source>,
    /// It is one of ours. Others hold event time while something comes from them, and are not missed.
    #[serde(skip)]
    listed: bool,
}

/// When all sources were idle first, by what they said, and where event time stood then.
#[derive(Debug, Clone, Copy)]
struct Idle {
    since: EpochMs,
    from: EpochMs,
}

/// How a source stands to event time.
enum Standing {
    /// It has been silent for too long: event time goes on without it.
    LeftOut,
    /// There is more to read from it.
    Working,
    /// It said that it has caught up, but not lately.
    Unheard,
    /// It has caught up: it was, at the time given by the clock of its replica.
    Idle(EpochMs),
    /// Likewise, of a topic that is none of ours.
    Foreign,
}

/// The watermark of one partition of the classified topic.
#[derive(Debug)]
pub(super) struct Watermark {
    disorder_ms: i64,
    hold_ms_max: i64,
    topics: Vec<Topic>,
    value: Option<EpochMs>,
    idle: Option<Idle>,
    /// For how long this process has listened.
    listened_ms: i64,
    clock: Option<EpochMs>,
}

impl Watermark {
    pub(super) fn new(disorder_ms: i64, hold_ms_max: i64) -> Watermark {
        Watermark { disorder_ms, hold_ms_max, topics: Vec::new(), value: None, idle: None, listened_ms: 0, clock: None }
    }

    /// Where event time stands; `None` before the first.
    pub(super) fn value(&self) -> Option<EpochMs> {
        self.value
    }

    pub(super) fn topics(&self) -> &[Topic] {
        &self.topics
    }

    pub(super) fn restore(&mut self, topics: Vec<Topic>, value: Option<EpochMs>) {
        self.topics = topics;
        self.value = value;
        self.idle = None;
        for source in self.topics.iter_mut().flat_map(|topic| &mut topic.sources) {
            source.heard_at = self.listened_ms;
        }
    }

    /// These are all sources there are, if any is named: one that was never heard from holds the watermark, and of other topics
    /// nothing is expected.
    pub(super) fn know(&mut self, topics: &[(String, i32)]) {
        if topics.is_empty() {
            return;
        }
        self.topics.retain(|known| topics.iter().any(|(name, _)| *name == known.name));
        for (topic, partitions) in topics {
            match self.topics.iter().position(|known| known.name == *topic) {
                Some(at) => self.topics[at].listed = true,
                None if self.topics.len() >= TOPICS_MAX => {}
                None => self.topics.push(Topic { name: topic.clone(), sources: Vec::new(), listed: true }),
            }
            for partition in 0..*partitions {
                // Beyond the bound there is nothing to be known of.
                let _ = self.source(topic, partition);
            }
        }
    }

    /// A record of the source was read that came in at `ingested_at`; a retraction says nothing of event time.
    pub(super) fn heard(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        event_time: Option<EpochMs>,
        ingested_at: EpochMs,
    ) {
        let listened_ms = self.listened_ms;
        let Some(source) = self.source(topic, partition) else { return };
        source.position = offset.saturating_add(1);
        source.caught_up = false;
        source.grow(event_time, ingested_at);
        source.heard_at = listened_ms;
    }

    /// A marker was read. What it says of the time is believed up to `now`.
    pub(super) fn heard_progress(&mut self, progress: &Progress<'_>, now: EpochMs) {
        let listened_ms = self.listened_ms;
        for said in &progress.sources {
            let Some(source) = self.source(&said.topic, said.partition) else { continue };
            // That a source is still where it was is not new, however often it is said.
            if said.caught_up || source.caught_up || source.position != said.position {
                source.heard_at = listened_ms;
            }
            source.position = said.position;
            source.caught_up = said.caught_up;
            source.grow(said.largest_event_time, said.grown_since.unwrap_or(progress.at));
            source.idle_at = said.caught_up.then_some(progress.at.min(now));
        }
    }

    /// The share of sources that event time does not go on without, 0 to 1: the rest has been silent for too long.
    pub(super) fn completeness(&self) -> f64 {
        let all = self.listed().count();
        if all == 0 { 1.0 } else { (all - self.left_out()) as f64 / all as f64 }
    }

    /// When the raw record came in by which the watermark came to where it is: of the sources that came past it since the last
    /// commit, the earliest by which one grew. So it is never later than the record that it waited for, and earlier by no more
    /// than a commit or, where it was heard of by a marker, the time between two. `None` if the wall clock alone moved it.
    pub(super) fn moved_since(&self) -> Option<EpochMs> {
        let watermark = self.value?;
        let past = |event_time: Option<EpochMs>| {
            event_time.is_some_and(|event_time| event_time.saturating_sub(self.disorder_ms) >= watermark)
        };
        let sources = self.topics.iter().flat_map(|topic| &topic.sources);
        let came_past = sources.filter(|source| past(source.largest_event_time));
        let growths = came_past.filter_map(|source| source.growth).filter(|growth| !past(growth.from));
        growths.map(|growth| growth.since).min()
    }

    /// All that is due was emitted: what grows from now on is of the next commit.
    pub(super) fn forget_growth(&mut self) {
        self.topics.iter_mut().flat_map(|topic| &mut topic.sources).for_each(|source| source.growth = None);
    }

    /// How many sources event time goes on without.
    pub(super) fn left_out(&self) -> usize {
        self.listed().filter(|source| matches!(self.standing(source, true), Standing::LeftOut)).count()
    }

    fn listed(&self) -> impl Iterator<Item = &Source> {
        self.topics.iter().filter(|topic| topic.listed).flat_map(|topic| &topic.sources)
    }

    fn standing(&self, source: &Source, listed: bool) -> Standing {
        let silent_ms = self.listened_ms - source.heard_at;
        if source.caught_up && !listed {
            return Standing::Foreign;
        }
        if silent_ms > self.hold_ms_max {
            return Standing::LeftOut;
        }
        match source.idle_at {
            _ if !source.caught_up => Standing::Working,
            Some(idle_at) if silent_ms <= IDLE_WORD_MS => Standing::Idle(idle_at.saturating_add(silent_ms)),
            _ => Standing::Unheard,
        }
    }

    /// Takes in what was heard, and the wall clock.
    pub(super) fn advance(&mut self, now: EpochMs) {
        let turn_ms = self.clock.map_or(0, |clock| now.saturating_sub(clock));
        self.listened_ms += turn_ms.clamp(0, TURN_MS_MAX);
        self.clock = Some(now);
        let mut least: Option<EpochMs> = None;
        let mut largest: Option<EpochMs> = None;
        let mut idle_at: Option<EpochMs> = None;
        let (mut working, mut held) = (false, false);
        let sources = self.topics.iter().flat_map(|topic| topic.sources.iter().map(|source| (source, topic.listed)));
        for (source, listed) in sources {
            largest = largest.max(source.largest_event_time);
            match self.standing(source, listed) {
                Standing::LeftOut | Standing::Foreign => {}
                Standing::Unheard => held = true,
                Standing::Idle(at) => idle_at = Some(idle_at.map_or(at, |idle_at| idle_at.min(at))),
                Standing::Working => {
                    working = true;
                    match source.largest_event_time {
                        Some(event_time) => least = Some(least.map_or(event_time, |least| least.min(event_time))),
                        None => held = true,
                    }
                }
            }
        }
        if working {
            self.idle = None;
        }
        if held {
            return;
        }
        if working {
            self.value = self.value.max(least.map(|least| least.saturating_sub(self.disorder_ms)));
        } else if let Some(idle_at) = idle_at {
            self.go_on_idle(largest, idle_at.min(now), now);
        }
    }

    /// All are idle, or were at `idle_at`.
    fn go_on_idle(&mut self, largest: Option<EpochMs>, idle_at: EpochMs, now: EpochMs) {
        let gone_on = self.idle.map(|idle| {
            let gone_on = idle.from.saturating_add(idle_at.saturating_sub(idle.since).max(0));
            // By the clock alone it does not run ahead of what happens now: a time from the future, or a clock that was put right, would
            // make everything late for as long as it is quiet.
            gone_on.min(now.saturating_sub(self.disorder_ms))
        });
        self.value = self.value.max(gone_on);
        // The last source to become idle is, at the latest, the one with the largest event time: whichever of them was last,
        // nothing behind that one holds the watermark any more.
        let read_to = largest.map(|largest| largest.saturating_sub(self.disorder_ms));
        if self.idle.is_none() || read_to > self.value {
            self.value = self.value.max(read_to);
            self.idle = self.value.map(|from| Idle { since: idle_at, from });
        }
    }

    /// A source, which is added if it is new; `None` for what cannot be one of ours: another producer's word must not make
    /// the table grow without a bound.
    fn source(&mut self, topic: &str, partition: i32) -> Option<&mut Source> {
        if !(0..PARTITIONS_MAX).contains(&partition) {
            return None;
        }
        let at = match self.topics.iter().position(|known| known.name == topic) {
            Some(at) => at,
            None if self.topics.len() >= TOPICS_MAX => return None,
            None => {
                self.topics.push(Topic { name: topic.to_owned(), sources: Vec::new(), listed: false });
                self.topics.len() - 1
            }
        };
        let is_listed = self.topics[at].listed;
        let sources = &mut self.topics[at].sources;
        // Almost always the place is the partition's number; not where the first to be heard of was a later one.
        let number = usize::try_from(partition).unwrap_or(usize::MAX);
        let at = if sources.get(number).is_some_and(|source| source.partition == partition) {
            number
        } else {
            match sources.binary_search_by_key(&partition, |source| source.partition) {
                Ok(at) => at,
                Err(_) if !is_listed && sources.len() >= FOREIGN_PARTITIONS_MAX => return None,
                Err(at) => {
                    let source = Source {
                        partition,
                        position: 0,
                        largest_event_time: None,
                        caught_up: false,
                        heard_at: self.listened_ms,
                        idle_at: None,
                        growth: None,
                    };
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

    /// What a replica says at a time of its clock: of each source, its largest event time, and whether it has caught up.
    fn marker(at: EpochMs, sources: &[(i32, Option<EpochMs>, bool)]) -> Progress<'static> {
        let sources = sources.iter().map(|&(partition, largest_event_time, caught_up)| SourceProgress {
            topic: "raw".into(),
            partition,
            position: 9,
            largest_event_time,
            caught_up,
            grown_since: None,
        });
        Progress { at, sources: sources.collect(), canaries: Vec::new() }
    }

    /// Two sources; a silent one may hold event time for a minute.
    fn of_two() -> Watermark {
        let mut watermark = Watermark::new(10, 60_000);
        watermark.know(&[("raw".to_owned(), 2)]);
        watermark.advance(0);
        watermark
    }

    /// The clock goes on, by seconds.
    fn listen(watermark: &mut Watermark, from: EpochMs, to: EpochMs) {
        (from / 1_000..=to / 1_000).for_each(|second| watermark.advance(second * 1_000));
        watermark.advance(to);
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
        watermark.heard_progress(&marker(0, &[(1, None, true)]), 0);
        watermark.advance(0);
        assert_eq!(watermark.value(), Some(490));
    }

    #[test]
    fn goes_on_with_the_wall_clock_when_all_are_idle() {
        let mut watermark = of_two();
        watermark.heard_progress(&marker(7_000, &[(0, Some(500), true), (1, Some(300), true)]), 7_000);
        watermark.advance(7_000);
        assert_eq!(watermark.value(), Some(490), "it never jumps to now");
        watermark.advance(7_250);
        assert_eq!(watermark.value(), Some(740));
        watermark.advance(7_100);
        assert_eq!(watermark.value(), Some(740), "a clock set back does not move it back");
        watermark.heard("raw", 1, 10, Some(600), 0);
        watermark.advance(9_000);
        assert_eq!(watermark.value(), Some(740), "a source that works again holds it");
    }

    #[test]
    fn does_not_run_ahead_of_the_clock_while_all_are_idle() {
        let mut watermark = of_two();
        let idle = |at, largest| marker(at, &[(0, Some(largest), true), (1, None, true)]);
        // Somebody's clock is five minutes ahead of ours, as far as is let in.
        for at in (1_000_000..=1_400_000).step_by(5_000) {
            watermark.heard_progress(&idle(at, 1_300_000), at);
            watermark.advance(at);
        }
        assert_eq!(watermark.value(), Some(1_399_990));
        // A marker of a replica whose clock begins in 1970.
        let mut watermark = of_two();
        watermark.heard_progress(&idle(7, 1_000_000), 1_000_000);
        watermark.advance(1_000_000);
        watermark.heard_progress(&idle(1_001_000, 1_000_000), 1_001_000);
        watermark.advance(1_001_000);
        assert_eq!(watermark.value(), Some(1_000_990));
    }

    #[test]
    fn keeps_the_pace_of_the_clock_with_markers_that_come_after_a_while() {
        let mut watermark = of_two();
        for second in 0..=600 {
            let now = second * 1_000;
            if second % 5 == 0 {
                let at = (now - 900).max(0);
                watermark.heard_progress(&marker(at, &[(0, Some(500), true), (1, None, true)]), now);
            }
            watermark.advance(now);
        }
        let gone_on = watermark.value().unwrap_or_default() - 490;
        assert!((599_000..=600_000).contains(&gone_on), "{gone_on}");
    }

    #[test]
    fn goes_on_only_as_far_as_the_markers_have_come() {
        let mut watermark = of_two();
        let both = [(0, Some(500), true), (1, None, true)];
        watermark.advance(1_000);
        watermark.heard_progress(&marker(1_000, &both), 1_000);
        listen(&mut watermark, 1_000, 40_000);
        assert_eq!(watermark.value(), Some(490 + IDLE_WORD_MS), "nobody said anything for half a minute");
        watermark.heard_progress(&marker(40_000, &both), 40_000);
        watermark.advance(40_000);
        assert_eq!(watermark.value(), Some(490 + 39_000), "nothing came meanwhile");
        // This process stands still for an hour; what was said meanwhile lies ahead.
        watermark.advance(3_640_000);
        assert!(watermark.value() <= Some(490 + 39_000 + TURN_MS_MAX));
        assert_eq!(watermark.completeness(), 1.0, "they were not silent: nobody listened");
        watermark.heard_progress(&marker(i64::MAX, &both), 3_640_000);
        watermark.advance(3_640_000);
        assert_eq!(watermark.value(), Some(490 + 3_639_000), "no further than the clock");
    }

    #[test]
    fn takes_in_what_came_and_was_read_to_its_end_between_two_turns() {
        let mut watermark = of_two();
        watermark.heard_progress(&marker(0, &[(0, Some(500), true), (1, None, true)]), 0);
        watermark.advance(0);
        watermark.heard("raw", 0, 9, Some(90_000), 0);
        watermark.heard_progress(&marker(1_000, &[(0, Some(90_000), true)]), 1_000);
        watermark.advance(1_000);
        assert_eq!(watermark.value(), Some(89_990));
    }

    #[test]
    fn nothing_ever_heard_is_no_event_time() {
        let mut watermark = of_two();
        watermark.heard_progress(&marker(0, &[(0, None, true), (1, None, true)]), 0);
        watermark.advance(0);
        watermark.advance(5_000);
        assert_eq!(watermark.value(), None);
    }

    #[test]
    fn a_silent_source_holds_it_for_a_time_only() {
        let mut watermark = of_two();
        watermark.heard("raw", 0, 0, Some(500), 0);
        listen(&mut watermark, 0, 60_000);
        assert_eq!((watermark.value(), watermark.completeness()), (None, 1.0));
        watermark.heard("raw", 0, 1, Some(600), 0);
        watermark.advance(61_000);
        assert_eq!(watermark.value(), Some(590), "source 1 was silent for longer than it may hold");
        assert_eq!(watermark.completeness(), 0.5);
    }

    #[test]
    fn a_source_that_was_idle_and_is_not_heard_holds_it_too() {
        let mut watermark = of_two();
        watermark.heard_progress(&marker(0, &[(0, Some(500), true), (1, Some(500), true)]), 0);
        for second in 0..=61 {
            watermark.heard("raw", 0, second, Some(1_000 + second * 1_000), 0);
            watermark.advance(second * 1_000);
            let gone_on = if second <= IDLE_WORD_MS / 1_000 || second > 60 { second } else { IDLE_WORD_MS / 1_000 };
            assert_eq!(watermark.value(), Some(990 + gone_on * 1_000), "after {second} s");
        }
    }

    #[test]
    fn a_source_that_does_not_get_on_is_left_out_however_often_that_is_said() {
        let mut watermark = of_two();
        for second in 0..=61 {
            let sources = [(0, Some(second * 1_000), true), (1, Some(400), false)];
            watermark.heard_progress(&marker(second * 1_000, &sources), second * 1_000);
            watermark.advance(second * 1_000);
            let stands = if second > 60 { second * 1_000 } else { 400 };
            assert_eq!(watermark.value(), Some(stands - 10), "after {second} s");
        }
    }

    #[test]
    fn nothing_is_expected_of_a_topic_that_is_not_listed_any_more() {
        let mut watermark = Watermark::new(10, 60_000);
        watermark.know(&[("old".to_owned(), 3)]);
        watermark.know(&[("raw".to_owned(), 1)]);
        let said = |watermark: &mut Watermark, now| {
            watermark.heard_progress(&marker(now, &[(0, Some(500), true)]), now);
            watermark.advance(now);
        };
        watermark.heard("old", 1, 7, Some(100), 0);
        said(&mut watermark, 0);
        assert_eq!(watermark.value(), Some(90), "what is left of it is waited for");
        (1..=61).for_each(|second| said(&mut watermark, second * 1_000));
        assert!(watermark.value() >= Some(490), "but not for ever");
        assert_eq!(watermark.completeness(), 1.0, "and not missed");
    }

    #[test]
    fn tells_since_when_the_record_was_there_that_it_waited_for() {
        let mut watermark = of_two();
        watermark.heard("raw", 0, 0, Some(500), 7_001);
        watermark.advance(0);
        assert_eq!((watermark.value(), watermark.moved_since()), (None, None));
        watermark.forget_growth();
        watermark.heard("raw", 1, 0, Some(290), 7_010);
        watermark.heard("raw", 1, 1, Some(280), 7_005);
        watermark.heard("raw", 1, 2, Some(300), 7_020);
        watermark.heard("raw", 0, 1, Some(600), 7_002);
        watermark.advance(0);
        assert_eq!(watermark.value(), Some(290));
        assert_eq!(watermark.moved_since(), Some(7_010), "not source 0, which was past it, nor what moved nothing");
        watermark.forget_growth();
        watermark.heard("raw", 1, 0, Some(290), 7_010);
        watermark.advance(0);
        assert_eq!(watermark.moved_since(), None, "read again, it moves nothing");
        let mut marker = marker(0, &[(1, Some(400), false)]);
        marker.sources[0].grown_since = Some(7_030);
        watermark.heard_progress(&marker, 0);
        watermark.advance(0);
        assert_eq!((watermark.value(), watermark.moved_since()), (Some(390), Some(7_030)));
    }

    #[test]
    fn the_wall_clock_alone_waits_for_no_record() {
        let mut watermark = of_two();
        let marker = marker(6_990, &[(0, Some(500), true), (1, Some(300), true)]);
        watermark.heard_progress(&marker, 7_000);
        watermark.advance(7_000);
        assert_eq!(watermark.moved_since(), Some(6_990), "a marker without it stands for itself");
        watermark.forget_growth();
        watermark.advance(7_250);
        assert_eq!((watermark.value(), watermark.moved_since()), (Some(740), None));
    }
}
