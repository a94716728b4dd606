//! When something came into the raw topics before anybody looked, asked of their own logs by the Kafka times of records.
//!
//! Canaries are among these records, and are nobody's word. Their Kafka times are multiples of [`CANARY_GRID_MS`], rounded down: so
//! between two instants after one multiple and up to the next the answers differ only by what else came in. A topic that stamps
//! records with the broker's time hides that; of such a topic nothing is learned from its log (see `arrivals.rs`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::admin::AdminError;
use kafka_io::offsets::{Offsets, Partition};
use pipeline::CANARY_GRID_MS;
use record::{EpochMs, Position};
use rules::blindness::{Judge, SILENCE_DAYS};

const DAY_MS: i64 = 86_400_000;
/// How finely the service looks: silences are told to a few minutes.
const FINE_MS: i64 = 5 * 60_000;
/// How finely, and how far back, somebody looks who wants to know at once.
const COARSE_MS: i64 = 30 * 60_000;
const COARSE_DAYS: i64 = 7;
/// How near the last arrival is told.
const LAST_WITHIN_MS: i64 = 1_000;
/// How far back the last arrival is looked for before anything is judged; what is longer ago the history tells.
const LAST_BACK_MS: i64 = DAY_MS;
/// The first instant after a multiple of the canaries' grid.
const AFTER_GRID_MS: i64 = 1;

/// A raw topic, or one of its partitions.
type Place = (Arc<str>, Option<i32>);

/// The questions that are left to ask, and what is known so far.
#[derive(Debug)]
pub(crate) struct History {
    next: EpochMs,
    until: EpochMs,
    step_ms: i64,
    /// By partition the first record of the time of the question before, or later.
    before: BTreeMap<Partition, Option<Position>>,
    /// By topic, and by partition, when something last came.
    arrived: BTreeMap<Place, EpochMs>,
}

impl History {
    /// All that is learned from, finely.
    pub(crate) fn whole(now: EpochMs) -> History {
        let days = i64::try_from(SILENCE_DAYS).unwrap_or(1);
        History::since((now / DAY_MS - days + 1) * DAY_MS, now, FINE_MS)
    }

    /// Less of it, roughly: some hundred questions.
    pub(crate) fn rough(now: EpochMs) -> History {
        History::since((now / DAY_MS - COARSE_DAYS + 1) * DAY_MS, now, COARSE_MS)
    }

    fn since(begin: EpochMs, now: EpochMs, step_ms: i64) -> History {
        History { next: begin, until: now, step_ms, before: BTreeMap::new(), arrived: BTreeMap::new() }
    }

    /// True once everything is asked.
    pub(crate) fn is_done(&self) -> bool {
        self.next > self.until
    }

    /// Asks some of the questions that are left for at most so long, and has the judge learn from the answers. One that nobody answers
    /// is stepped over: what came then counts as having come by the next.
    pub(super) fn ask(
        &mut self,
        offsets: &Offsets,
        partitions: &[Partition],
        judge: &mut Judge,
        questions: usize,
        time: Duration,
    ) {
        let began = Instant::now();
        let answers = |at| offsets.at_times(partitions.iter().map(|partition| (partition, at)));
        for _ in 0..questions {
            if self.is_done() || began.elapsed() >= time {
                break;
            }
            self.one_question(answers, judge);
        }
        if self.is_done() {
            judge.has_learned();
        }
    }

    fn one_question(
        &mut self,
        answers: impl Fn(EpochMs) -> Result<BTreeMap<Partition, Option<Position>>, AdminError>,
        judge: &mut Judge,
    ) {
        let at = self.next;
        // At a multiple of the grid a stretch ends, and just after it the next one begins.
        let is_end = at.rem_euclid(CANARY_GRID_MS) == 0;
        let is_begin = at.rem_euclid(CANARY_GRID_MS) == AFTER_GRID_MS;
        self.next += match (is_end, is_begin) {
            (true, _) => AFTER_GRID_MS,
            (_, true) => self.step_ms - AFTER_GRID_MS,
            _ => self.step_ms,
        };
        match answers(at) {
            Err(error) => {
                tracing::debug!(%error, at, "a question about the past is stepped over");
                if is_begin {
                    // Across the grid nothing can be told apart.
                    self.before.clear();
                }
            }
            Ok(answers) if is_begin => self.before = answers,
            Ok(answers) => self.take(at, answers, judge),
        }
    }

    fn take(&mut self, at: EpochMs, answers: BTreeMap<Partition, Option<Position>>, judge: &mut Judge) {
        let came = answers.iter().filter(|(partition, first)| is_newer(**first, self.before.get(*partition)));
        let partitions: Vec<Partition> = came.map(|(partition, _)| partition.clone()).collect();
        let topics: BTreeSet<&Arc<str>> = partitions.iter().map(|(topic, _)| topic).collect();
        let topics: Vec<Place> = topics.into_iter().map(|topic| (Arc::clone(topic), None)).collect();
        let partitions = partitions.into_iter().map(|(topic, number)| (topic, Some(number)));
        for place in partitions.chain(topics) {
            // What came before the first that the log still has is not known.
            if let Some(arrived) = self.arrived.insert(place.clone(), at) {
                judge.learn(&place.0, place.1, &[arrived, at]);
            }
        }
        self.before.extend(answers);
    }
}

/// Whether something lies between: the first record of a time or later, and that of a time before.
fn is_newer(first: Option<Position>, before: Option<&Option<Position>>) -> bool {
    match (before, first) {
        (Some(Some(before)), Some(first)) => first > *before,
        // There was one, and it is of before this time.
        (Some(Some(_)), None) => true,
        (Some(None) | None, _) => false,
    }
}

/// When something that is no canary last came into each of these within a day, as the largest Kafka time up to now tells: some
/// hundred questions at most for all of them together. What had nothing since then is left out.
///
/// # Errors
/// If a broker does not answer.
pub(super) fn last_arrivals(
    offsets: &Offsets,
    ends: &BTreeMap<Partition, Position>,
    now: EpochMs,
) -> Result<BTreeMap<Partition, EpochMs>, AdminError> {
    let mut left: BTreeSet<&Partition> =
        ends.iter().filter(|(_, end)| **end > 0).map(|(partition, _)| partition).collect();
    // There is a record of the lower time or later, and none of the upper time or later that is before the end of the stretch.
    let mut between: BTreeMap<&Partition, (EpochMs, EpochMs, Option<Position>)> = BTreeMap::new();
    let mut grid = now - now.rem_euclid(CANARY_GRID_MS);
    while !left.is_empty() && grid > now - LAST_BACK_MS {
        let (begin, end) = (grid + AFTER_GRID_MS, (grid + CANARY_GRID_MS).min(now + 1));
        let at_begin = offsets.at_times(left.iter().map(|partition| (*partition, begin)))?;
        let at_end = offsets.at_times(left.iter().map(|partition| (*partition, end)))?;
        left.retain(|partition| {
            let last = at_end.get(*partition).copied().flatten();
            let came = is_newer(last, at_begin.get(*partition));
            if came {
                between.insert(partition, (begin, end, last));
            }
            !came
        });
        grid -= CANARY_GRID_MS;
    }
    let middle = |&(low, high, _): &(EpochMs, EpochMs, Option<Position>)| low + (high - low) / 2;
    while between.values().any(|(low, high, _)| high - low > LAST_WITHIN_MS) {
        let answers = offsets.at_times(between.iter().map(|(partition, bounds)| (*partition, middle(bounds))))?;
        for (partition, bounds) in &mut between {
            let time = middle(bounds);
            if answers.get(*partition).copied().flatten() == bounds.2 { bounds.1 = time } else { bounds.0 = time }
        }
    }
    Ok(between.into_iter().map(|(partition, (low, ..))| (partition.clone(), low)).collect())
}

#[cfg(test)]
mod tests {
    use rules::blindness::Settings;

    use super::*;
    use crate::config::Config;

    fn judge() -> Judge {
        let settings: Settings = Config::load(None, []).unwrap().blindness.judged;
        Judge::new(settings)
    }

    /// A log as brokers answer of it: offsets by Kafka time, in the order of the log.
    struct Log(Vec<EpochMs>);

    impl Log {
        /// Records at these times, and canaries every 30 s, each with the time of its grid.
        fn with_canaries(records: &[EpochMs], until: EpochMs) -> Log {
            let canaries = (0..until / 30_000).map(|number| number * 30_000 + 11);
            let mut all: Vec<(EpochMs, EpochMs)> = records.iter().map(|&at| (at, at)).collect();
            all.extend(canaries.map(|at| (at, at - at % CANARY_GRID_MS)));
            all.sort_unstable();
            Log(all.into_iter().map(|(_, time)| time).collect())
        }

        fn at(&self, time: EpochMs) -> Option<Position> {
            self.0.iter().position(|at| *at >= time).map(|offset| offset as Position)
        }
    }

    fn learned(history: &mut History, log: &Log) -> (Judge, Vec<EpochMs>) {
        let partition: Partition = ("raw".into(), 0);
        let (mut judge, mut arrivals) = (judge(), Vec::new());
        while !history.is_done() {
            let answers = |at| Ok(BTreeMap::from([(partition.clone(), log.at(at))]));
            history.one_question(answers, &mut judge);
            let arrived = history.arrived.get(&(Arc::clone(&partition.0), Some(0))).copied();
            arrivals.extend(arrived.filter(|arrived| arrivals.last() != Some(arrived)));
        }
        (judge, arrivals)
    }

    #[test]
    fn canaries_are_not_taken_for_somebody_who_speaks() {
        const HOUR: i64 = 3_600_000;
        let begin = 480 * HOUR;
        let spoke = [begin + 61_000, begin + 5 * HOUR + 7, begin + 5 * HOUR + 600_001, begin + 9 * HOUR + 1_799_999];
        let until = begin + 12 * HOUR;
        let with = Log::with_canaries(&spoke, until);
        let without = Log(spoke.to_vec());
        for step in [FINE_MS, COARSE_MS] {
            let (judge, arrivals) = learned(&mut History::since(begin, until, step), &with);
            let rounded: BTreeSet<EpochMs> = spoke.iter().map(|at| (at / step + 1) * step).collect();
            assert_eq!(arrivals, rounded.into_iter().collect::<Vec<_>>(), "each by the next question");
            let (other, others) = learned(&mut History::since(begin, until, step), &without);
            assert_eq!(arrivals, others);
            let last = |judge: &Judge| judge.last_arrival(&"raw".into(), Some(0));
            assert_eq!((last(&judge), last(&judge).is_some()), (last(&other), true));
        }
    }

    #[test]
    fn a_question_that_nobody_answers_is_stepped_over() {
        let partition: Partition = ("raw".into(), 0);
        let mut history = History::since(FINE_MS, 4 * FINE_MS, FINE_MS);
        let mut judge = judge();
        while !history.is_done() {
            let answers = |at: EpochMs| match at / FINE_MS {
                2 => Err(AdminError::Unreachable { bootstrap: "b".to_owned(), detail: "away".to_owned() }),
                number => Ok(BTreeMap::from([(partition.clone(), Some(number))])),
            };
            history.one_question(answers, &mut judge);
        }
        assert_eq!(history.arrived[&(Arc::clone(&partition.0), Some(0))], 4 * FINE_MS);
        assert_eq!(judge.last_arrival(&partition.0, Some(0)), Some(4 * FINE_MS));
    }

    #[test]
    fn what_is_asked_is_bounded() {
        let now = 1_795_482_000_000;
        let questions = |mut history: History| {
            let (mut judge, mut asked) = (judge(), 0);
            while !history.is_done() {
                history.one_question(|_| Ok(BTreeMap::new()), &mut judge);
                asked += 1;
            }
            asked
        };
        assert!((1..=14 * (288 + 48) + 2).contains(&questions(History::whole(now))));
        assert!((1..=7 * (48 + 48) + 2).contains(&questions(History::rough(now))));
    }
}
