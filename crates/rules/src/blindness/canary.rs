//! Whether canaries come through: a round of them is sent every while, one into each raw partition, and each is to come through each
//! partition of the classified topic.

use std::collections::{BTreeMap, BTreeSet};

use record::EpochMs;

use super::words::{duration_en, duration_id, list};
use super::{At, CanaryNews, Finding, Observation, Settings};

/// Most rounds that are remembered; at one a second these are an hour's.
const ROUNDS_MAX: usize = 4_096;
/// So many times the time that a canary may take, a round is remembered.
const REMEMBERED: i64 = 30;

/// A raw partition and a partition of the classified topic.
type Way = (At, i32);

#[derive(Debug, Default)]
pub(super) struct Canaries {
    rounds: BTreeSet<EpochMs>,
    /// The newest round of which a canary came this way; of a way that is new, when it was first known.
    came: BTreeMap<Way, EpochMs>,
    /// There was a look.
    has_looked: bool,
}

impl Canaries {
    /// Which ways have waited for a canary for too long.
    pub(super) fn observe(&mut self, seen: &Observation, settings: &Settings) -> Option<Finding> {
        let now = seen.now;
        let late_ms = settings.canary_late_ms;
        let CanaryNews { rounds, came, partitions } = &seen.canaries;
        // The clock of a sender may be ahead.
        self.rounds.extend(rounds.iter().map(|&round| round.min(now)));
        self.forget(now - late_ms.saturating_mul(REMEMBERED));
        let ways = seen.classify.iter().flat_map(|raw| partitions.iter().map(|&to| (raw.at.clone(), to)));
        let ways: BTreeSet<Way> = ways.collect();
        // What was sent before a way was there does not come that way. At the first look all of them were there before.
        let first = if self.has_looked { now } else { EpochMs::MIN };
        self.has_looked |= !ways.is_empty();
        self.came.retain(|way, _| ways.contains(way));
        for way in &ways {
            self.came.entry(way.clone()).or_insert(first);
        }
        for (way, sent_at) in came {
            if let Some(newest) = self.came.get_mut(way) {
                *newest = (*newest).max((*sent_at).min(now));
            }
        }
        let waits_since = |newest: EpochMs| self.rounds.range(newest.saturating_add(1)..).next().copied();
        let is_late = |newest: EpochMs| waits_since(newest).filter(|since| now - since >= late_ms);
        let late: BTreeMap<&Way, EpochMs> =
            self.came.iter().filter_map(|(way, &newest)| Some((way, is_late(newest)?))).collect();
        let since = late.values().copied().min()?;
        let late: BTreeSet<&Way> = late.into_keys().collect();
        Some(self.told(&late, since, now))
    }

    /// Lets go of rounds that everything has come through, or that are too long ago.
    fn forget(&mut self, before: EpochMs) {
        self.rounds = self.rounds.split_off(&before);
        while self.rounds.len() > ROUNDS_MAX {
            self.rounds.pop_first();
        }
    }

    fn told(&self, late: &BTreeSet<&Way>, since: EpochMs, now: EpochMs) -> Finding {
        let (en, id) = (duration_en(now - since), duration_id(now - since));
        if late.len() == self.came.len() {
            return Finding {
                since,
                en: format!(
                    "No canary has come through any partition for {en}. Do both stages run, and do they keep up? /readyz says what \
                     each waits for"
                ),
                id: format!(
                    "Sudah {id} tidak ada kenari yang sampai lewat partisi mana pun. Apakah kedua tahap berjalan dan mampu \
                     mengejar? /readyz menunjukkan apa yang ditunggu masing-masing"
                ),
            };
        }
        let is_whole = |of: &dyn Fn(&Way) -> bool| self.came.keys().filter(|way| of(way)).all(|way| late.contains(way));
        let raw: BTreeSet<&At> = late.iter().map(|way| &way.0).filter(|&at| is_whole(&|way| way.0 == *at)).collect();
        let to: BTreeSet<i32> = late.iter().map(|way| way.1).filter(|&to| is_whole(&|way| way.1 == to)).collect();
        let mut parts = (Vec::new(), Vec::new());
        if !raw.is_empty() {
            let names = list(raw.iter().copied());
            parts.0.push(format!(
                "of raw partitions {names} (the classify stage does not get on there, or nothing can be written into them)"
            ));
            parts.1.push(format!(
                "dari partisi mentah {names} (tahap classify tidak maju di sana, atau tidak dapat ditulisi)"
            ));
        }
        if !to.is_empty() {
            let names = numbers(&to);
            parts.0.push(format!("through community partitions {names} (the community stage does not get on there)"));
            parts.1.push(format!("lewat partisi community {names} (tahap community tidak maju di sana)"));
        }
        let rest: Vec<&&Way> = late.iter().filter(|way| !raw.contains(&way.0) && !to.contains(&way.1)).collect();
        if let Some(way) = rest.first() {
            let (at, to, count) = (&way.0, way.1, rest.len());
            parts.0.push(format!("from {at} through community partition {to} ({count} such ways)"));
            parts.1.push(format!("dari {at} lewat partisi community {to} ({count} jalur seperti itu)"));
        }
        Finding {
            since,
            en: format!("No canary has come through for {en} {}", parts.0.join(", nor ")),
            id: format!("Sudah {id} tidak ada kenari yang sampai {}", parts.1.join(", juga ")),
        }
    }
}

/// The first of them, and how many more.
fn numbers(all: &BTreeSet<i32>) -> String {
    let mut names: Vec<String> = all.iter().take(3).map(ToString::to_string).collect();
    if all.len() > names.len() {
        names.push(format!("+{}", all.len() - names.len()));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::tests::settings;
    use super::super::{Condition, InputSeen, Judge, Kind};
    use super::*;

    const SECOND: i64 = 1_000;
    const START: EpochMs = 1_767_571_200_000;

    fn at(topic: &str, partition: i32) -> At {
        At { topic: topic.into(), partition }
    }

    /// Two raw topics of two and one partitions, and three partitions of the classified topic; a round every ten seconds.
    struct World {
        judge: Judge,
        seen: Observation,
    }

    impl World {
        fn new() -> World {
            let input = |at: At| InputSeen { at, end: 10, committed: 10 };
            let classify = vec![input(at("posts", 0)), input(at("posts", 1)), input(at("comments", 0))];
            let canaries = CanaryNews { partitions: vec![0, 1, 2], ..CanaryNews::default() };
            let seen = Observation { now: START, classify, canaries, ..Observation::default() };
            let settings =
                Settings { begin_ms: 10 * SECOND, end_ms: 10 * SECOND, canary_late_ms: 60 * SECOND, ..settings() };
            World { judge: Judge::new(settings), seen }
        }

        /// Goes on for some seconds; what comes through is up to `comes`.
        fn go(&mut self, seconds: i64, sends: bool, comes: impl Fn(&Way) -> bool) -> Option<Condition> {
            let mut blind = Vec::new();
            for _ in 0..seconds / 5 {
                self.seen.now += 5 * SECOND;
                let now = self.seen.now;
                let partitions = self.seen.canaries.partitions.clone();
                self.seen.canaries = CanaryNews { partitions: partitions.clone(), ..CanaryNews::default() };
                if sends && now % (10 * SECOND) == 0 {
                    self.seen.canaries.rounds.push(now - SECOND);
                    let raw = self.seen.classify.iter().map(|input| input.at.clone());
                    let ways = raw.flat_map(|at| partitions.iter().map(move |&to| (at.clone(), to)));
                    self.seen.canaries.came = ways.filter(&comes).map(|way| (way, now - SECOND)).collect();
                }
                blind = self.judge.observe(&self.seen).blind;
            }
            blind.into_iter().find(|condition| condition.kind == Kind::Canary)
        }
    }

    #[test]
    fn a_partition_that_does_not_flow_is_named_until_it_does() {
        let mut world = World::new();
        assert_eq!(world.go(300, true, |_| true), None);
        let stopped = world.seen.now;
        let one_raw = |way: &Way| way.0 != at("posts", 1);
        assert_eq!(world.go(60, true, one_raw), None, "it takes its time");
        let told = world.go(30, true, one_raw).unwrap();
        assert!((told.since - stopped).abs() <= 10 * SECOND, "{told:?}");
        assert!(told.detail_en.contains("of raw partitions posts:1 (the classify"), "{told:?}");
        assert!(!told.detail_en.contains("community partition"), "{told:?}");
        assert!(told.detail_id.contains("dari partisi mentah posts:1"), "{told:?}");
        assert_eq!(world.go(60, true, |_| true), None, "it is over");
        let told = world.go(90, true, |way| way.1 != 2).unwrap();
        assert!(told.detail_en.contains("through community partitions 2 (the community"), "{told:?}");
        assert!(!told.detail_en.contains("raw partition"), "{told:?}");
        let told = world.go(90, true, |way| way.1 != 2 && one_raw(way)).unwrap();
        assert!(told.detail_en.contains("posts:1") && told.detail_en.contains("partitions 2"), "{told:?}");
        let told = world.go(90, true, |_| false).unwrap();
        assert!(told.detail_en.contains("any partition"), "{told:?}");
        assert_eq!(world.go(60, true, |_| true), None);
        let told = world.go(90, true, |way| *way != (at("posts", 0), 1)).unwrap();
        assert!(told.detail_en.contains("from posts:0 through community partition 1 (1 such ways)"), "{told:?}");
    }

    #[test]
    fn where_nobody_sends_nothing_is_missed() {
        let mut world = World::new();
        assert_eq!(world.go(600, false, |_| true), None);
        assert_eq!(world.go(60, true, |_| true), None);
        assert_eq!(world.go(3_600, false, |_| true), None, "the sender has stopped");
        // The last round did not come through, and none follows: that is forgotten in the end.
        assert_eq!(world.go(10, true, |_| false), None);
        assert!(world.go(120, false, |_| false).is_some());
        assert_eq!(world.go(3_600, false, |_| false), None);
    }

    #[test]
    fn a_partition_that_is_added_is_waited_for_from_then_on() {
        let mut world = World::new();
        assert_eq!(world.go(300, true, |_| true), None);
        world.seen.classify.push(InputSeen { at: at("posts", 2), end: 0, committed: 0 });
        assert_eq!(world.go(60, true, |way| way.0 != at("posts", 2)), None);
        let told = world.go(60, true, |way| way.0 != at("posts", 2)).unwrap();
        assert!(told.detail_en.contains("posts:2"), "{told:?}");
        // One that is gone is missed no more.
        world.seen.classify.pop();
        assert_eq!(world.go(30, true, |_| true), None);
    }

    #[test]
    fn what_was_sent_before_the_first_look_counts() {
        let mut world = World::new();
        world.seen.canaries.rounds = vec![START - 100 * SECOND];
        let seen = world.seen.clone();
        world.judge.observe(&seen);
        let told = world.go(15, false, |_| false).unwrap();
        assert_eq!(told.since, START - 100 * SECOND);
    }
}
