//! Whether event time goes on, by what is said of the raw partitions on the classified topic.

use std::collections::{BTreeMap, BTreeSet};

use record::{EpochMs, Position};

use super::words::{duration_en, duration_id, list};
use super::{At, Finding, Observation, Said, Settings};

#[derive(Debug)]
struct Source {
    /// When it was last heard of; at first when it was first missed.
    heard_at: EpochMs,
    said: Option<Said>,
    /// When its position last moved, or it was at its end.
    moved_at: EpochMs,
}

#[derive(Debug, Default)]
pub(super) struct EventTime {
    sources: BTreeMap<At, Source>,
    /// The least of the largest event times of the sources that are at work, at its highest.
    reached: Option<EpochMs>,
    /// When that last grew, or nothing held it.
    grew_at: Option<EpochMs>,
    /// The largest event time of any source, and when it was last seen to grow.
    largest: Option<EpochMs>,
    largest_grew_at: Option<EpochMs>,
}

impl EventTime {
    /// Takes in what is said; what holds event time for longer than it may. After a time in which nobody looked nothing is known to
    /// have stood still but what has said nothing.
    pub(super) fn observe(&mut self, seen: &Observation, held_ms: i64, was_blind: bool) -> Option<Finding> {
        let now = seen.now;
        self.sources.retain(|at, _| seen.classify.iter().any(|input| input.at == *at));
        for input in &seen.classify {
            let source =
                self.sources.entry(input.at.clone()).or_insert(Source { heard_at: now, said: None, moved_at: now });
            let Some(&said) = seen.said.get(&input.at) else { continue };
            // The clock of a replica may be ahead: what it says is heard now at the latest.
            source.heard_at = said.heard_at.min(now);
            let before: Option<Position> = source.said.map(|said| said.position);
            if said.caught_up || before != Some(said.position) || was_blind {
                source.moved_at = now;
            }
            source.said = Some(said);
        }
        self.grow(now, was_blind);
        let largest = self.sources.values().filter_map(|source| source.said?.largest_event_time).max();
        if self.largest.is_some() && largest > self.largest {
            self.largest_grew_at = Some(now);
        }
        self.largest = self.largest.max(largest);
        self.unheard(now, held_ms).or_else(|| self.stuck(now, held_ms)).or_else(|| self.stands(now, held_ms))
    }

    /// That what is read is of long ago, and goes on.
    pub(super) fn history(&self, now: EpochMs, settings: &Settings) -> Option<String> {
        let largest = self.largest.filter(|largest| now - largest > settings.history_ms)?;
        self.largest_grew_at.filter(|at| now - at <= settings.lag_ms)?;
        Some(format!("event time goes on and is {} behind the clock: history is read", duration_en(now - largest)))
    }

    /// The sources that have held event time for longer than that, and without which it goes on; none if that is all of them.
    pub(super) fn left_out(&self, now: EpochMs, hold_ms_max: i64) -> BTreeSet<At> {
        let holds = |source: &Source| now - source.heard_at.min(source.moved_at) > hold_ms_max;
        let left_out: BTreeSet<At> =
            self.sources.iter().filter(|(_, source)| holds(source)).map(|(at, _)| at.clone()).collect();
        if left_out.len() < self.sources.len() { left_out } else { BTreeSet::new() }
    }

    fn grow(&mut self, now: EpochMs, was_blind: bool) {
        let said = || self.sources.values().filter_map(|source| source.said);
        let at_work = || said().filter(|said| !said.caught_up);
        let reached = if at_work().next().is_none() {
            // All are at their ends: event time goes on with the clock.
            self.grew_at = Some(now);
            said().filter_map(|said| said.largest_event_time).max()
        } else {
            at_work().map(|said| said.largest_event_time).min().flatten()
        };
        if reached > self.reached || was_blind {
            self.reached = self.reached.max(reached);
            self.grew_at = Some(now);
        }
        self.grew_at.get_or_insert(now);
    }

    fn unheard(&self, now: EpochMs, held_ms: i64) -> Option<Finding> {
        let silent = || self.sources.iter().filter(|(_, source)| now - source.heard_at > held_ms);
        let since = silent().map(|(_, source)| source.heard_at).min()?;
        let (count, all, names) = (silent().count(), self.sources.len(), list(silent().map(|(at, _)| at)));
        let (en, id) = (duration_en(now - since), duration_id(now - since));
        Some(Finding {
            since,
            en: format!(
                "Nothing was said of {count} of {all} raw partitions ({names}) for {en}: event time is held, or goes on without \
                 them. Does a classify replica own each, and does it run?"
            ),
            id: format!(
                "Sudah {id} tidak ada kabar tentang {count} dari {all} partisi mentah ({names}): waktu peristiwa tertahan, atau \
                 berjalan tanpanya. Adakah replika classify yang memegang masing-masing, dan apakah ia berjalan?"
            ),
        })
    }

    fn stuck(&self, now: EpochMs, held_ms: i64) -> Option<Finding> {
        let stuck =
            || self.sources.iter().filter(|(_, source)| now - source.moved_at > held_ms && source.said.is_some());
        let since = stuck().map(|(_, source)| source.moved_at).min()?;
        let (count, all, names) = (stuck().count(), self.sources.len(), list(stuck().map(|(at, _)| at)));
        let (en, id) = (duration_en(now - since), duration_id(now - since));
        Some(Finding {
            since,
            en: format!(
                "{count} of {all} raw partitions ({names}) have not got on for {en}, and are not at their ends: event time is \
                 held. Does their broker answer?"
            ),
            id: format!(
                "{count} dari {all} partisi mentah ({names}) tidak maju selama {id} padahal belum sampai ujung: waktu peristiwa \
                 tertahan. Apakah broker-nya menjawab?"
            ),
        })
    }

    fn stands(&self, now: EpochMs, held_ms: i64) -> Option<Finding> {
        let since = self.grew_at.filter(|at| now - at > held_ms)?;
        let holds = self.sources.iter().filter(|(_, source)| {
            source.said.is_some_and(|said| !said.caught_up && said.largest_event_time <= self.reached)
        });
        let names = list(holds.map(|(at, _)| at));
        let (en, id) = (duration_en(now - since), duration_id(now - since));
        Some(Finding {
            since,
            en: format!(
                "Event time has stood still for {en}: {names} bring nothing newer and are not at their ends. Is an old stretch \
                 crawled again?"
            ),
            id: format!(
                "Waktu peristiwa berhenti selama {id}: {names} tidak membawa yang lebih baru dan belum sampai ujung. Apakah \
                 bagian lama dirayapi ulang?"
            ),
        })
    }
}
