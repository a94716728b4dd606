//! When a community is open, by the clock on its wall, and when a service level has passed.

use std::sync::Arc;

use record::EpochMs;

use super::zone::Offsets;
use crate::{Sla, SlaClock};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Times are taken as within this distance of 1970, some 8,000 years: beyond it nothing is to be counted, nor to overflow.
const FARTHEST_MS: i64 = 253_402_300_799_999;

/// A range of minutes of a day, `[start, end)`, 0 to 1440.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Range {
    pub(super) start: u16,
    pub(super) end: u16,
}

/// Opening hours in a time zone. Weekdays begin with Monday.
///
/// An instant is open if the clock on the wall shows a minute of one of the day's ranges and the date is no holiday. So an hour
/// that a clock shows twice counts twice, and one that it skips does not count.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Calendar {
    pub(super) offsets: Arc<Offsets>,
    /// Sorted, apart from each other.
    pub(super) hours: Arc<[Vec<Range>; 7]>,
    /// Days since 1970-01-01, sorted.
    pub(super) holidays: Arc<[i64]>,
}

impl Calendar {
    /// The hour of the local week, 0 to 167; 0 is Monday from 00:00 to 01:00.
    pub(super) fn hour_of_week(&self, at: EpochMs) -> usize {
        let at = at.clamp(-FARTHEST_MS, FARTHEST_MS);
        let local = at + self.offsets.at(at).0;
        let hour = weekday(local.div_euclid(DAY_MS)) as i64 * 24 + local.rem_euclid(DAY_MS) / HOUR_MS;
        usize::try_from(hour).unwrap_or_default()
    }

    /// What a clock on the wall is ahead of UTC at an instant, in milliseconds.
    pub(super) fn offset_ms(&self, at: EpochMs) -> i64 {
        self.offsets.at(at.clamp(-FARTHEST_MS, FARTHEST_MS)).0
    }

    /// Whether an instant is within business hours.
    pub(super) fn is_open(&self, at: EpochMs) -> bool {
        self.stretch(at.clamp(-FARTHEST_MS, FARTHEST_MS)).0
    }

    /// Minutes of business hours in a week without holidays.
    pub(super) fn open_minutes_a_week(&self) -> u32 {
        open_minutes(&self.hours)
    }

    /// The first instant by which a service level has passed since `from`.
    pub(super) fn due_at(&self, from: EpochMs, sla: Sla) -> EpochMs {
        let from = from.clamp(-FARTHEST_MS, FARTHEST_MS);
        let span = i64::from(sla.minutes()) * MINUTE_MS;
        match sla.clock() {
            SlaClock::Always => from + span,
            SlaClock::Business => self.advance(from, span),
        }
    }

    /// The first instant by which `remaining` milliseconds have been open since `at`. Each turn goes on to the next end of a
    /// range, of a day or of an offset: a few a day. That there are enough open days is checked when a calendar is made.
    fn advance(&self, mut at: EpochMs, mut remaining: i64) -> EpochMs {
        while remaining > 0 {
            let (open, end) = self.stretch(at);
            if open {
                let counted = (end - at).min(remaining);
                remaining -= counted;
                at += counted;
            } else {
                at = end;
            }
        }
        at
    }

    /// Whether an instant is open, and until when (exclusive) that certainly holds; always later than the instant.
    fn stretch(&self, at: EpochMs) -> (bool, EpochMs) {
        let (offset, until) = self.offsets.at(at);
        let local = at + offset;
        let day = local.div_euclid(DAY_MS);
        let in_day = local.rem_euclid(DAY_MS);
        let (open, end_in_day) = self.within_day(day, in_day);
        (open, (day * DAY_MS + end_in_day - offset).min(until))
    }

    fn within_day(&self, day: i64, in_day: i64) -> (bool, i64) {
        if self.holidays.binary_search(&day).is_ok() {
            return (false, DAY_MS);
        }
        for range in &self.hours[weekday(day)] {
            let (start, end) = (i64::from(range.start) * MINUTE_MS, i64::from(range.end) * MINUTE_MS);
            if in_day < start {
                return (false, start);
            }
            if in_day < end {
                return (true, end);
            }
        }
        (false, DAY_MS)
    }
}

/// Minutes of business hours in a week.
pub(super) fn open_minutes(hours: &[Vec<Range>; 7]) -> u32 {
    hours.iter().flatten().map(|range| u32::from(range.end - range.start)).sum()
}

/// The weekday of a day since 1970-01-01, which was a Thursday; 0 is Monday.
fn weekday(day: i64) -> usize {
    usize::try_from((day + 3).rem_euclid(7)).unwrap_or_default()
}
