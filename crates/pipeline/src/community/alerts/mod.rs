//! The alerts of the communities of a partition: stepped over event time before panes go out, in the order of pane ends.
//!
//! The rules see what came on time, once: what is late, edited or corrected after its slice was over changes rows, not episodes.
//! What responders do (acknowledge, silence) is kept beside the episodes, and stands whether it is read before the episode or
//! while that is on; once it is over, its last row stands.

mod desk;
mod evidence;
mod rows;
mod steps;
mod stored;

use std::collections::{BTreeMap, HashSet};

use record::EpochMs;
use rules::alerts::{CommunityAlerts, Increments, Rule, Transition};
use serde::{Deserialize, Serialize};

pub(super) use self::stored::{AlertPiece, AlertValue, rule_of};

/// Most acknowledgements of alerts of one community that are not there (yet).
const ACKNOWLEDGED_MAX: usize = 1_000;

/// What is known of the alerts of one community.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    pub(super) rules: CommunityAlerts,
    /// What came in slices that are not over, by their ends.
    coming: BTreeMap<EpochMs, Increments>,
    /// Those that are on, by rule.
    on: [Option<On>; Rule::ALL.len()],
    desk: Desk,
    desk_changed: bool,
    /// Rules whose alerts are to be told anew, as bits.
    touched: u8,
    /// Rules whose alerts the changelog does not have as they are, as bits.
    changed: u8,
}

/// An alert that is on, as it was told last.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct On {
    pub(super) started_at: EpochMs,
    /// As of the last transition.
    told: Told,
    /// How long the oldest open complaint waited then, in milliseconds.
    oldest_open_ms: i64,
    evidence: Option<Backed>,
    acknowledged: Option<(EpochMs, Box<str>)>,
    /// Changes of state by an acknowledgement.
    acknowledgements: u32,
}

/// A transition, as the changelog holds it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Told {
    at: EpochMs,
    state: rules::alerts::AlertState,
    number: u32,
    fired_at: Option<EpochMs>,
    severity: rules::alerts::Severity,
    observed: f64,
    expected: f64,
    score: f64,
}

impl From<&Transition> for Told {
    fn from(transition: &Transition) -> Told {
        let &Transition { at, state, number, fired_at, severity, observed, expected, score, .. } = transition;
        Told { at, state, number, fired_at, severity, observed, expected, score }
    }
}

/// Who and what is behind an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Backed {
    distinct_authors: u32,
    near_duplicate_share: f64,
    new_author_share: f64,
    coordinated: bool,
    samples: Vec<Box<str>>,
}

/// What responders said of the alerts of a community.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Desk {
    silences: Vec<Silence>,
    /// Of alerts that are not on yet: rule, start, when and who.
    acknowledged: Vec<(Rule, EpochMs, EpochMs, Box<str>)>,
}

/// For how long nobody is to be told of alerts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Silence {
    /// `None`: of all rules.
    rule: Option<Rule>,
    by: Box<str>,
    at: EpochMs,
    until: EpochMs,
    reason: Box<str>,
}

impl Alerts {
    /// What the rules wait for: the end of a slice in which something came, or what time alone changes.
    pub(super) fn next_due(&self, size_ms: i64, overdue_at: Option<EpochMs>) -> Option<EpochMs> {
        let at = self.rules.at().unwrap_or(EpochMs::MIN);
        let rules = self.rules.next_due().map(|due| due.max(at.saturating_add(1)));
        let by_time = [rules, overdue_at].into_iter().flatten().min();
        // Everything happens at the ends of slices.
        let by_time = by_time.map(|due| due.saturating_add((-due).rem_euclid(size_ms)));
        [by_time, self.coming.keys().next().copied()].into_iter().flatten().min()
    }

    /// An interaction of a member came in a slice that is not over; or goes from it again.
    pub(super) fn count(&mut self, slice_end: EpochMs, label: record::Label, comes: bool) {
        let counts = self.coming.entry(slice_end).or_default();
        let change = |count: &mut u32| *count = if comes { count.saturating_add(1) } else { count.saturating_sub(1) };
        change(&mut counts.interactions);
        match label {
            record::Label::Complaint => change(&mut counts.complaints),
            record::Label::Tip => change(&mut counts.tips),
            record::Label::Praise => change(&mut counts.praises),
            record::Label::Experience | record::Label::Other => {}
        }
    }

    /// Whether an alert is on.
    pub(super) fn is_on(&self, rule: Rule, started_at: EpochMs) -> bool {
        self.on[rule as usize].as_ref().is_some_and(|on| on.started_at == started_at)
    }

    /// Interactions are to be named by no alert any more. True if one did, which is to be told anew.
    pub(super) fn forget_samples(&mut self, gone: &HashSet<Box<str>>) -> bool {
        for rule in Rule::ALL {
            let Some(backed) = self.on[rule as usize].as_mut().and_then(|on| on.evidence.as_mut()) else { continue };
            let named = backed.samples.len();
            backed.samples.retain(|key| !gone.contains(key));
            if backed.samples.len() < named {
                self.touched |= 1 << rule as u8;
            }
        }
        self.touched != 0
    }

    /// How many are on.
    pub(super) fn on(&self) -> usize {
        self.on.iter().flatten().count()
    }

    /// Whether all of it may be forgotten: nothing is on.
    pub(super) fn is_quiet(&self) -> bool {
        self.on() == 0 && self.desk == Desk::default()
    }
}
