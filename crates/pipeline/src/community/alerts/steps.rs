//! What moves the rules on: slices that are over, service levels that are, and time.

use record::EpochMs;
use rules::alerts::{Interval, Levels, Transition};

use super::Alerts;
use crate::community::Shared;
use crate::community::answers::Complaints;
use crate::community::items::Overdue;
use crate::community::partition::Partition;

/// What the levels of a community are read from.
pub(crate) struct Waiting<'a> {
    pub(crate) complaints: &'a Complaints,
    pub(crate) overdue: &'a Overdue,
    /// How far before an end a complaint may have been made, in milliseconds.
    pub(crate) reach_ms: i64,
}

impl Waiting<'_> {
    fn as_of(&self, end: EpochMs) -> Levels {
        let (open, oldest) = self.complaints.open_as_of(end.saturating_sub(self.reach_ms), end);
        Levels {
            open: u32::try_from(open).unwrap_or(u32::MAX),
            overdue: u32::try_from(self.overdue.as_of(end)).unwrap_or(u32::MAX),
            oldest_open_ms: oldest.map_or(0, |since| end - since),
        }
    }
}

impl Partition {
    /// The alert rules are others: what time alone changes by them is looked for again, where it concerns what is known.
    pub(crate) fn look_again(&mut self, shared: &Shared, concerns: impl Fn(&Alerts) -> bool) {
        for number in 0..self.communities.len() {
            if let Some(community) = self.communities[number].as_mut().filter(|community| concerns(&community.alerts)) {
                community.alerts.rules.look_again();
                self.schedule(number as u32, &shared.windows);
            }
        }
    }
}

impl Alerts {
    /// Steps over everything that is over at the watermark, in its order.
    pub(crate) fn step(
        &mut self,
        community_id: &str,
        waiting: &Waiting<'_>,
        watermark: EpochMs,
        shared: &Shared,
        see: &mut dyn FnMut(Transition, i64),
    ) {
        let size_ms = shared.windows.slice_ms();
        let community = shared.communities.get(community_id);
        // The hour of a week is below 168.
        let calendar = |at: EpochMs| community.hour_of_week(at) as u8;
        loop {
            let after = self.rules.at().unwrap_or(EpochMs::MIN);
            let Some(to) = self.next_due(size_ms, waiting.overdue.next_after(after)).filter(|&to| to <= watermark)
            else {
                break;
            };
            let counts = self.coming.remove(&to).unwrap_or_default();
            let levels = waiting.as_of(to);
            let interval = Interval { from: to - size_ms, to, counts, levels };
            self.rules.step(&shared.alert_rules, &calendar, &interval, &mut |transition| {
                see(transition, levels.oldest_open_ms);
            });
            if self.rules.at().is_none_or(|at| at <= after) {
                // It was stepped beyond: what came for it is late.
                if counts.is_zero() {
                    break;
                }
            }
        }
    }
}
