//! The alerts of a community in the changelog, in pieces that change apart from each other.

use std::fmt::Write;

use rules::alerts::{Rule, StateKey, StateValue};
use serde::{Deserialize, Serialize};

use super::{Alerts, Desk, On};

/// Which piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AlertPiece {
    /// Of the rules.
    Rules(StateKey),
    /// An alert that is on.
    On(Rule),
    /// What responders said.
    Desk,
}

/// A piece.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum AlertValue {
    Rules(StateValue),
    On(Box<On>),
    Desk(Box<Desk>),
}

impl AlertPiece {
    /// Its part of a key.
    pub(crate) fn write(self, key: &mut String) {
        // Writing into memory cannot fail.
        let written = match self {
            AlertPiece::Rules(StateKey::Live) => write!(key, "live"),
            AlertPiece::Rules(StateKey::Level) => write!(key, "level"),
            AlertPiece::Rules(StateKey::Day(day)) => write!(key, "day.{day}"),
            AlertPiece::Rules(StateKey::Episode(rule)) => write!(key, "episode.{}", rule.as_str()),
            AlertPiece::On(rule) => write!(key, "on.{}", rule.as_str()),
            AlertPiece::Desk => write!(key, "desk"),
        };
        written.unwrap_or_default();
    }

    /// Reads it back.
    pub(crate) fn read(part: &str) -> Option<AlertPiece> {
        let (what, of) = part.split_once('.').unwrap_or((part, ""));
        let rule = || rule_of(of);
        match what {
            "live" => Some(AlertPiece::Rules(StateKey::Live)),
            "level" => Some(AlertPiece::Rules(StateKey::Level)),
            "day" => of.parse().ok().map(StateKey::Day).map(AlertPiece::Rules),
            "episode" => rule().map(StateKey::Episode).map(AlertPiece::Rules),
            "on" => rule().map(AlertPiece::On),
            "desk" => Some(AlertPiece::Desk),
            _ => None,
        }
    }
}

/// The rule of this name.
pub(crate) fn rule_of(name: &str) -> Option<Rule> {
    Rule::ALL.into_iter().find(|rule| rule.as_str() == name)
}

impl Alerts {
    /// Shows what changed since the last call; `None` where it is gone.
    pub(crate) fn take_changed(&mut self, see: &mut dyn FnMut(AlertPiece, Option<AlertValue>)) {
        self.rules.take_changed(&mut |key, value| see(AlertPiece::Rules(key), value.map(AlertValue::Rules)));
        let changed = std::mem::take(&mut self.changed);
        for rule in Rule::ALL.into_iter().filter(|&rule| changed >> rule as u8 & 1 == 1) {
            let on = self.on[rule as usize].clone();
            see(AlertPiece::On(rule), on.map(|on| AlertValue::On(Box::new(on))));
        }
        if std::mem::take(&mut self.desk_changed) {
            let desk = (self.desk != Desk::default()).then(|| AlertValue::Desk(Box::new(self.desk.clone())));
            see(AlertPiece::Desk, desk);
        }
    }

    /// Shows every piece of the rules that the changelog may hold. Who is forgotten has nothing else: [`Alerts::is_quiet`].
    pub(crate) fn forget(&self, see: &mut dyn FnMut(AlertPiece)) {
        self.rules.keys().for_each(|key| see(AlertPiece::Rules(key)));
    }

    /// Takes back a piece. False if key and value do not belong together.
    pub(crate) fn restore(&mut self, piece: AlertPiece, value: Option<AlertValue>) -> bool {
        match (piece, value) {
            (AlertPiece::Rules(key), Some(AlertValue::Rules(value))) => self.rules.restore(key, Some(value)),
            (AlertPiece::Rules(key), None) => self.rules.restore(key, None),
            (AlertPiece::On(rule), Some(AlertValue::On(on))) => {
                self.on[rule as usize] = Some(*on);
                true
            }
            (AlertPiece::On(rule), None) => {
                self.on[rule as usize] = None;
                true
            }
            (AlertPiece::Desk, Some(AlertValue::Desk(desk))) => {
                self.desk = *desk;
                true
            }
            (AlertPiece::Desk, None) => {
                self.desk = Desk::default();
                true
            }
            _ => false,
        }
    }
}
