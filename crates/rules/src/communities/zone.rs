//! The offsets of a time zone as a table: what an instant is by the clock on the wall, in a few comparisons.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use record::EpochMs;

/// From here on offsets are looked up; before it, the first one holds. No event time is earlier.
const FROM_MS: EpochMs = record::limits::EARLIEST_EVENT_MS;
/// Up to here offsets are looked up, 2100-01-01T00:00:00Z; after it, the last one holds.
const TO_MS: EpochMs = 4_102_444_800_000;

/// The offsets of one zone, in the order of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Offsets {
    /// Since when each holds, and what is added to UTC, in milliseconds. The first one holds before as well.
    steps: Vec<(EpochMs, i64)>,
}

impl Offsets {
    /// The offsets of a zone, from the database that is compiled in.
    pub(super) fn of(zone: &TimeZone) -> Offsets {
        let from = Timestamp::from_millisecond(FROM_MS).unwrap_or_default();
        let offset_ms = |offset: jiff::tz::Offset| i64::from(offset.seconds()) * 1_000;
        let mut steps = vec![(FROM_MS, offset_ms(zone.to_offset(from)))];
        for transition in zone.following(from).take_while(|step| step.timestamp().as_millisecond() < TO_MS) {
            let offset = offset_ms(transition.offset());
            // Some transitions change the name of the zone only.
            if steps.last().is_none_or(|&(_, last)| last != offset) {
                steps.push((transition.timestamp().as_millisecond(), offset));
            }
        }
        Offsets { steps }
    }

    /// The offset at an instant, and until when (exclusive) it holds.
    pub(super) fn at(&self, at: EpochMs) -> (i64, EpochMs) {
        let next = self.steps.partition_point(|&(since, _)| since <= at).max(1);
        let until = self.steps.get(next).map_or(EpochMs::MAX, |&(since, _)| since);
        (self.steps[next - 1].1, until)
    }
}
