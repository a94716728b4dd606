//! When something came into the raw topics before anybody looked, asked of their own logs by the Kafka times of records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::admin::AdminError;
use kafka_io::offsets::{Offsets, Partition};
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

/// A raw topic, or one of its partitions.
type Place = (Arc<str>, Option<i32>);

/// The questions that are left to ask, and what is known so far.
#[derive(Debug)]
pub(crate) struct History {
    next: EpochMs,
    until: EpochMs,
    step_ms: i64,
    /// By topic, and by partition: how much had come by the question before, and when something last came.
    known: BTreeMap<Place, (Position, Option<EpochMs>)>,
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
        History { next: begin, until: now, step_ms, known: BTreeMap::new() }
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
        ends: &BTreeMap<Partition, Position>,
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
            self.one_question(answers, ends, judge);
        }
        if self.is_done() {
            judge.has_learned();
        }
    }

    fn one_question(
        &mut self,
        answers: impl Fn(EpochMs) -> Result<BTreeMap<Partition, Option<Position>>, AdminError>,
        ends: &BTreeMap<Partition, Position>,
        judge: &mut Judge,
    ) {
        let at = self.next;
        self.next += self.step_ms;
        match answers(at) {
            Err(error) => tracing::debug!(%error, at, "a question about the past is stepped over"),
            Ok(answers) => {
                // A partition without a record since then has come to its end by then.
                let come = answers.into_iter().map(|(partition, position)| {
                    let end = ends.get(&partition).copied().unwrap_or(0);
                    (partition, position.unwrap_or(end))
                });
                self.take(at, come, judge);
            }
        }
    }

    fn take(&mut self, at: EpochMs, come: impl Iterator<Item = (Partition, Position)>, judge: &mut Judge) {
        let mut topics: BTreeMap<Arc<str>, Position> = BTreeMap::new();
        for ((topic, partition), position) in come {
            *topics.entry(Arc::clone(&topic)).or_default() += position;
            self.one(at, topic, Some(partition), position, judge);
        }
        for (topic, position) in topics {
            self.one(at, topic, None, position, judge);
        }
    }

    fn one(&mut self, at: EpochMs, topic: Arc<str>, partition: Option<i32>, position: Position, judge: &mut Judge) {
        let (before, arrived) = self.known.entry((Arc::clone(&topic), partition)).or_insert((position, None));
        if position > *before {
            // What came before the first that the log still has is not known.
            if let Some(arrived) = arrived.replace(at) {
                judge.learn(&topic, partition, &[arrived, at]);
            }
            *before = position;
        }
    }
}

/// When something last came into each of these, as the largest Kafka time up to now tells, by bisection: some twenty questions for
/// all of them together. What never had anything is left out.
///
/// # Errors
/// If a broker does not answer.
pub(super) fn last_arrivals(
    offsets: &Offsets,
    ends: &BTreeMap<Partition, Position>,
    now: EpochMs,
) -> Result<BTreeMap<Partition, EpochMs>, AdminError> {
    let oldest = now - i64::try_from(SILENCE_DAYS).unwrap_or(1) * DAY_MS;
    // There is a record of the lower time or later, or it is older than anybody asks; there is none of the upper time or later.
    let mut between: BTreeMap<&Partition, (EpochMs, EpochMs)> =
        ends.iter().filter(|(_, end)| **end > 0).map(|(partition, _)| (partition, (oldest, now + 1))).collect();
    let middle = |(low, high): (EpochMs, EpochMs)| low + (high - low) / 2;
    while between.values().any(|(low, high)| high - low > LAST_WITHIN_MS) {
        let answers = offsets.at_times(between.iter().map(|(partition, &bounds)| (*partition, middle(bounds))))?;
        for (partition, bounds) in &mut between {
            let time = middle(*bounds);
            match answers.get(*partition).copied().flatten() {
                Some(_) => bounds.0 = time,
                None => bounds.1 = time,
            }
        }
    }
    Ok(between.into_iter().map(|(partition, (low, _))| (partition.clone(), low)).collect())
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

    #[test]
    fn arrivals_are_learned_from_where_offsets_grow() {
        let topic: Arc<str> = "raw".into();
        let mut history = History::since(0, 10 * FINE_MS, FINE_MS);
        let mut judge = judge();
        for (number, (one, two)) in [(5, 7), (5, 7), (6, 7), (6, 7), (6, 9), (8, 9)].into_iter().enumerate() {
            let come = [((Arc::clone(&topic), 0), one), ((Arc::clone(&topic), 1), two)];
            history.take(number as i64 * FINE_MS, come.into_iter(), &mut judge);
        }
        assert_eq!(judge.last_arrival(&topic, Some(0)), Some(5 * FINE_MS));
        assert_eq!(judge.last_arrival(&topic, Some(1)), None, "it came once: no silence is known");
        assert_eq!(judge.last_arrival(&topic, None), Some(5 * FINE_MS));
    }

    #[test]
    fn a_question_that_nobody_answers_is_stepped_over() {
        let partition: Partition = ("raw".into(), 0);
        let mut history = History::since(0, 4 * FINE_MS, FINE_MS);
        let mut judge = judge();
        let ends = BTreeMap::from([(partition.clone(), 9)]);
        while !history.is_done() {
            let answers = |at: EpochMs| match at / FINE_MS {
                2 => Err(AdminError::Unreachable { bootstrap: "b".to_owned(), detail: "away".to_owned() }),
                number => Ok(BTreeMap::from([(partition.clone(), Some(number))])),
            };
            history.one_question(answers, &ends, &mut judge);
        }
        assert_eq!(judge.last_arrival(&partition.0, Some(0)), Some(4 * FINE_MS));
    }

    #[test]
    fn what_is_asked_is_bounded() {
        let now = 1_795_482_000_000;
        let questions = |history: &History| (history.until - history.next) / history.step_ms + 1;
        assert!(questions(&History::whole(now)) <= 14 * 288 + 1);
        assert!(questions(&History::rough(now)) <= 7 * 48 + 1);
        assert!(!History::whole(now).is_done());
    }
}
