//! How many records a second the busiest community of a partition brings.
//!
//! A community lives on one partition, and one thread works on that: more partitions or replicas do not help a community that
//! is busier than the thread is fast. Which one it is, is not said: a metric has no labels without a bound.

use record::EpochMs;

use super::partition::Community;

/// Over so much wall-clock time it is averaged.
const INTERVAL_MS: i64 = 10_000;

/// Counts the records of each community over an interval.
#[derive(Debug, Default)]
pub(super) struct Hottest {
    /// Communities that brought any in this interval.
    busy: Vec<u32>,
    since: Option<EpochMs>,
    per_second: f64,
}

impl Hottest {
    /// A record of this community was read.
    pub(super) fn count(&mut self, number: u32, community: &mut Community) {
        if community.read == 0 {
            self.busy.push(number);
        }
        community.read = community.read.saturating_add(1);
    }

    /// The wall clock goes on: at the end of an interval the busiest is looked for, among those that brought any.
    pub(super) fn advance(&mut self, now: EpochMs, communities: &mut [Option<Community>]) {
        let since = *self.since.get_or_insert(now);
        let elapsed_ms = now - since;
        if (0..INTERVAL_MS).contains(&elapsed_ms) {
            return;
        }
        let mut most = 0;
        for number in self.busy.drain(..) {
            // It may have been let go of meanwhile.
            if let Some(community) = &mut communities[number as usize] {
                most = most.max(std::mem::take(&mut community.read));
            }
        }
        self.since = Some(now);
        // A clock that was set back says nothing of how long it took.
        if elapsed_ms > 0 {
            self.per_second = f64::from(most) * 1_000.0 / elapsed_ms as f64;
        }
    }

    /// Records a second of the busiest community over the last whole interval.
    pub(super) fn per_second(&self) -> f64 {
        self.per_second
    }
}
