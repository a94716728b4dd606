//! Whether a source is silent for far longer than it usually is: see the module's own words.

use std::collections::BTreeMap;
use std::sync::Arc;

use record::{EpochMs, Position};

use super::words::{duration_en, duration_id, list};
use super::{At, Finding, Observation, Settings};

/// Most days of which silences are remembered.
pub const DAYS: usize = 14;
/// A source of which nothing has come for so long, in milliseconds, is retired: nobody waits for it.
pub const RETIRED_MS: i64 = DAYS as i64 * HOURS as i64 * HOUR_MS;
/// Of fewer days nothing is concluded.
const DAYS_MIN: usize = 3;
const HOUR_MS: i64 = 3_600_000;
const HOURS: usize = 24;

/// When a source speaks, as far as is known.
#[derive(Debug, Default)]
struct Rhythm {
    /// By day since 1970 the longest silence that touched each hour of it, in milliseconds.
    longest: BTreeMap<i64, [Option<u32>; HOURS]>,
    last_arrival: Option<EpochMs>,
    end: Option<Position>,
}

impl Rhythm {
    /// There was nothing between these times.
    fn learn(&mut self, from: EpochMs, to: EpochMs) {
        let length = u32::try_from(to - from).unwrap_or(if to < from { 0 } else { u32::MAX });
        let last = to.div_euclid(HOUR_MS);
        let first = from.div_euclid(HOUR_MS).max(last - (DAYS * HOURS) as i64);
        for slot in first..=last {
            let hours = self.longest.entry(slot.div_euclid(HOURS as i64)).or_default();
            let longest = &mut hours[slot.rem_euclid(HOURS as i64) as usize];
            *longest = (*longest).max(Some(length));
        }
        while self.longest.len() > DAYS {
            self.longest.pop_first();
        }
    }

    /// The upper quartile, by the nearest rank, of the longest silences of the days at an hour of the day.
    fn usual(&self, hour: usize) -> Option<i64> {
        let mut longest: Vec<u32> = self.longest.values().filter_map(|hours| hours[hour]).collect();
        if longest.len() < DAYS_MIN {
            return None;
        }
        longest.sort_unstable();
        Some(i64::from(longest[(longest.len() * 3).div_ceil(4) - 1]))
    }

    /// How long the silence since the last arrival is, in what is usual at the hours that it goes through; the source is silent
    /// from `silent_factor` on.
    fn measure(&self, now: EpochMs, settings: &Settings) -> f64 {
        let Some(last) = self.last_arrival else { return 0.0 };
        let least = settings.silent_ms as f64 / settings.silent_factor;
        let unlearned = settings.silent_unlearned_ms as f64 / settings.silent_factor;
        let mut measured = 0.0;
        let mut from = last.max(now - DAYS as i64 * HOURS as i64 * HOUR_MS);
        while from < now {
            let to = now.min((from.div_euclid(HOUR_MS) + 1) * HOUR_MS);
            let hour = from.div_euclid(HOUR_MS).rem_euclid(HOURS as i64) as usize;
            let usual = self.usual(hour).map_or(unlearned, |usual| usual as f64);
            measured += (to - from) as f64 / usual.max(least);
            from = to;
        }
        measured
    }

    /// The log ends here now.
    fn observe(&mut self, now: EpochMs, end: Position, was_blind: bool) {
        match self.end.replace(end) {
            Some(before) if before == end => {}
            // The first look: when what is there came in may be known from the log. A log that ends at 0 never had anything.
            None => {
                if self.last_arrival.is_none() && end > 0 {
                    self.last_arrival = Some(now);
                }
            }
            Some(_) => {
                // In a time in which nobody looked it may have come at any moment.
                if let Some(last) = self.last_arrival.filter(|_| !was_blind) {
                    self.learn(last, now);
                }
                self.last_arrival = Some(now);
            }
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Silences {
    topics: BTreeMap<Arc<str>, Rhythm>,
    partitions: BTreeMap<At, Rhythm>,
}

impl Silences {
    pub(super) fn learn(&mut self, topic: &Arc<str>, partition: Option<i32>, arrivals: &[EpochMs]) {
        let rhythm = match partition {
            None => self.topics.entry(Arc::clone(topic)).or_default(),
            Some(partition) => self.partitions.entry(At { topic: Arc::clone(topic), partition }).or_default(),
        };
        arrivals.windows(2).for_each(|pair| rhythm.learn(pair[0], pair[1]));
        rhythm.last_arrival = rhythm.last_arrival.max(arrivals.last().copied());
    }

    /// Forgets when a topic speaks; not when it last spoke.
    pub(super) fn unlearn(&mut self, topic: &Arc<str>) {
        let of_partitions = self.partitions.iter_mut().filter(|(at, _)| at.topic == *topic).map(|(_, rhythm)| rhythm);
        of_partitions.chain(self.topics.get_mut(topic)).for_each(|rhythm| rhythm.longest.clear());
    }

    pub(super) fn last_arrival(&self, topic: &Arc<str>, partition: Option<i32>) -> Option<EpochMs> {
        match partition {
            None => self.topics.get(topic)?.last_arrival,
            Some(partition) => self.partitions.get(&At { topic: Arc::clone(topic), partition })?.last_arrival,
        }
    }

    pub(super) fn observe(&mut self, seen: &Observation, settings: &Settings, was_blind: bool) -> Option<Finding> {
        let now = seen.now;
        let mut ends: BTreeMap<Arc<str>, Position> = BTreeMap::new();
        for input in &seen.classify {
            // A canary is nobody's word.
            let spoken = seen.spoken.get(&input.at).copied().unwrap_or(input.end);
            *ends.entry(Arc::clone(&input.at.topic)).or_default() += spoken;
            self.partitions.entry(input.at.clone()).or_default().observe(now, spoken, was_blind);
        }
        for (topic, end) in ends {
            self.topics.entry(topic).or_default().observe(now, end, was_blind);
        }
        let is_retired = |rhythm: &Rhythm| rhythm.last_arrival.is_some_and(|last| now - last >= RETIRED_MS);
        let is_silent =
            |rhythm: &Rhythm| !is_retired(rhythm) && rhythm.measure(now, settings) >= settings.silent_factor;
        let topics: Vec<(&Arc<str>, EpochMs)> = self
            .topics
            .iter()
            .filter(|(_, rhythm)| is_silent(rhythm))
            .filter_map(|(topic, rhythm)| Some((topic, rhythm.last_arrival?)))
            .collect();
        if let Some(since) = topics.iter().map(|&(_, since)| since).min() {
            let names = topics.iter().map(|(topic, _)| topic.as_ref()).collect::<Vec<_>>().join(", ");
            return Some(told(&names, now, since));
        }
        let silent = || self.partitions.iter().filter(|(_, rhythm)| is_silent(rhythm));
        let since = silent().filter_map(|(_, rhythm)| rhythm.last_arrival).min()?;
        Some(told(&list(silent().map(|(at, _)| at)), now, since))
    }
}

fn told(names: &str, now: EpochMs, since: EpochMs) -> Finding {
    let (en, id) = (duration_en(now - since), duration_id(now - since));
    Finding {
        since,
        en: format!(
            "Nothing has come into {names} for {en}, which is far longer than usual at these hours. Is the crawler at work?"
        ),
        id: format!(
            "Tidak ada yang masuk ke {names} selama {id}, jauh lebih lama dari biasanya pada jam-jam ini. Apakah perayapnya bekerja?"
        ),
    }
}
