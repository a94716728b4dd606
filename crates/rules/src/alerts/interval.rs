//! What a community's alerts are stepped over.

use record::EpochMs;
use serde::{Deserialize, Serialize};

/// What came in an interval of event time, from members; corrections of the past are not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Increments {
    /// All interactions, of whichever label.
    pub interactions: u32,
    /// Those of them that complain.
    pub complaints: u32,
    /// Those that are tips.
    pub tips: u32,
    /// Those that praise.
    pub praises: u32,
}

impl Increments {
    /// Whether nothing came.
    pub fn is_zero(&self) -> bool {
        *self == Increments::default()
    }

    /// Both together; a count stays at its greatest number rather than overflow.
    pub(crate) fn add(&mut self, other: &Increments) {
        self.interactions = self.interactions.saturating_add(other.interactions);
        self.complaints = self.complaints.saturating_add(other.complaints);
        self.tips = self.tips.saturating_add(other.tips);
        self.praises = self.praises.saturating_add(other.praises);
    }

    /// Those that do not complain.
    pub(crate) fn others(&self) -> u32 {
        self.interactions.saturating_sub(self.complaints)
    }
}

/// How things stand at the end of an interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Levels {
    /// Complaints that wait for an answer.
    pub open: u32,
    /// Those of them whose time to answer is over.
    pub overdue: u32,
    /// How long the oldest open one waits, in milliseconds.
    pub oldest_open_ms: i64,
}

/// An interval `(from, to]` of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// Exclusive. It says where a community begins that was not stepped before; else what lies between its last interval and this
    /// one was quiet.
    pub from: EpochMs,
    /// Inclusive: the end of a pane.
    pub to: EpochMs,
    /// What came in it. It counts as come in its last [`step_ms`](super::AlertRules::step_ms): before, it was quiet.
    pub counts: Increments,
    /// How things stand at `to`.
    pub levels: Levels,
}

/// The local time of a community.
pub trait HourOfWeek {
    /// The hour of the week at this time where the community lives: 0, Monday from midnight to one, to 167.
    fn hour_of_week(&self, at: EpochMs) -> u8;
}

impl<F: Fn(EpochMs) -> u8> HourOfWeek for F {
    fn hour_of_week(&self, at: EpochMs) -> u8 {
        self(at)
    }
}
