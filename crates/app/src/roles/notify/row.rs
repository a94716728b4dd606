//! A row of an alert, and what a target was told of it.

use kafka_io::subscription::Place;
use record::{Alert, EpochMs, Position};
use serde::{Deserialize, Serialize};

/// The rule of the system's own alerts that it does not see everything.
pub(super) const BLIND: &str = "blind";
/// The rule whose alerts are not believed while the system does not see everything.
pub(super) const SILENCE: &str = "silence";

/// Where an alert is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Pending,
    Firing,
    Acknowledged,
    Resolved,
}

impl State {
    /// Of a row; `None` if it is none of an alert's. Acknowledged before it fired it is pending still: nobody was told of it.
    pub(super) fn of(alert: &Alert<'_>) -> Option<State> {
        match alert.state.as_ref() {
            "acknowledged" if alert.fired_at.is_none() => Some(State::Pending),
            "pending" => Some(State::Pending),
            "firing" => Some(State::Firing),
            "acknowledged" => Some(State::Acknowledged),
            "resolved" => Some(State::Resolved),
            _ => None,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Firing => "firing",
            State::Acknowledged => "acknowledged",
            State::Resolved => "resolved",
        }
    }

    /// It is on, and said to be.
    pub(super) fn is_on(self) -> bool {
        matches!(self, State::Firing | State::Acknowledged)
    }
}

/// A record as it was read, for a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) place: Place,
    pub(super) offset: Position,
    pub(super) timestamp: Option<i64>,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

/// A row of an alert.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) alert: Alert<'static>,
    pub(super) state: State,
    /// `None` of the system's own alerts, which are on no topic.
    pub(super) origin: Option<Origin>,
}

impl Row {
    /// What repeats of a notification are told apart by.
    pub(super) fn notification_id(&self) -> String {
        format!("{}#{}", self.alert.id, self.alert.transition)
    }

    /// When the state of this row was taken on, in event time.
    pub(super) fn changed_at(&self) -> EpochMs {
        let alert = &self.alert;
        match self.state {
            State::Pending => alert.started_at,
            State::Firing => alert.fired_at.unwrap_or(alert.updated_at),
            State::Acknowledged => alert.acknowledged_at.unwrap_or(alert.updated_at),
            State::Resolved => alert.resolved_at.unwrap_or(alert.updated_at),
        }
    }
}

/// What a target was told of an alert last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    pub(super) transition: i32,
    pub(super) state: State,
    /// False if it was given up: it is a dead letter.
    pub(super) delivered: bool,
    /// The labels by which Alertmanager knows it.
    pub(super) severity: String,
    pub(super) coordinated: bool,
    /// When, by the wall clock.
    pub(super) at: EpochMs,
}

/// What is kept of an alert and a target, on the topic `social.notify.state`, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    #[serde(default)]
    pub(super) told: Option<Told>,
    /// A transition that is about to be told: whether it was is not known until `told` says so.
    #[serde(default)]
    pub(super) intended: Option<i32>,
}

impl Progress {
    /// The target may believe that it is on.
    pub(super) fn may_be_on(&self) -> bool {
        self.intended.is_some() || self.told.as_ref().is_some_and(|told| told.state.is_on())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roles::notify::board::tests::row;

    #[test]
    fn who_acknowledges_what_has_not_fired_wakes_nobody() {
        let mut alert = row("1", State::Acknowledged, 2, 1_000).alert;
        assert_eq!(State::of(&alert), Some(State::Acknowledged));
        alert.fired_at = None;
        assert_eq!(State::of(&alert), Some(State::Pending));
        alert.state = "odd".into();
        assert_eq!(State::of(&alert), None);
    }
}
