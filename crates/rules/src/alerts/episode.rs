//! Episodes: from the first sign to the end, and what is told of them.

use record::{EpochMs, encode_key};
use serde::{Deserialize, Serialize};

/// A rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Rule {
    /// More complaints than usual at this hour of the week.
    ComplaintSpike = 0,
    /// A greater share of complaints than usual.
    ShareShift = 1,
    /// Complaints past their SLA.
    Overdue = 2,
    /// Nobody says anything.
    Silence = 3,
    /// More tips than usual.
    TipSurge = 4,
    /// More praise than usual.
    PraiseSurge = 5,
}

impl Rule {
    /// Every rule, in the order of their numbers.
    pub const ALL: [Rule; 6] =
        [Rule::ComplaintSpike, Rule::ShareShift, Rule::Overdue, Rule::Silence, Rule::TipSurge, Rule::PraiseSurge];

    /// The name on the wire and in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Rule::ComplaintSpike => "complaint_spike",
            Rule::ShareShift => "share_shift",
            Rule::Overdue => "overdue",
            Rule::Silence => "silence",
            Rule::TipSurge => "tip_surge",
            Rule::PraiseSurge => "praise_surge",
        }
    }

    /// What its figures are of: `episode`, all since its start, or `now`.
    pub const fn window(self) -> &'static str {
        match self {
            Rule::Overdue => "now",
            _ => "episode",
        }
    }
}

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look now.
    Warning,
    /// Many should.
    Critical,
}

impl Severity {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }

    /// Whether a firing alert of this severity pages somebody.
    pub fn pages(self) -> bool {
        self >= Severity::Warning
    }
}

/// Where an episode stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// Seen, not long or strong enough yet.
    Pending,
    /// On.
    Firing,
    /// Over.
    Resolved,
}

impl AlertState {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            AlertState::Pending => "pending",
            AlertState::Firing => "firing",
            AlertState::Resolved => "resolved",
        }
    }
}

/// What is told of an episode: a new state, or newer figures of the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Transition {
    /// The rule.
    pub rule: Rule,
    /// Event time at which the episode began: the last time that there was no sign of it. With the rule and the community, its
    /// identity.
    pub started_at: EpochMs,
    /// Event time of this.
    pub at: EpochMs,
    /// The state from now on.
    pub state: AlertState,
    /// How many changes of state there have been, 1 for the first; newer figures or another severity alone do not count.
    pub number: u32,
    /// When it began to fire; `None` if it has not.
    pub fired_at: Option<EpochMs>,
    /// How much it matters. It never becomes less within an episode.
    pub severity: Severity,
    /// What was observed, in the unit of the rule.
    pub observed: f64,
    /// What was to be expected, in the same unit.
    pub expected: f64,
    /// How unusual that is, as the rule defines it; the most so far.
    pub score: f64,
}

/// The identity of an alert, as on the wire: rule, community and start, joined by `|`, each percent-encoded.
///
/// ```
/// use rules::alerts::{Rule, alert_id};
/// assert_eq!(alert_id(Rule::Silence, "warga kota", 1_700_000_000_000), "silence|warga%20kota|1700000000000");
/// ```
pub fn alert_id(rule: Rule, community: &str, started_at: EpochMs) -> String {
    encode_key(&[rule.as_str(), community, &started_at.to_string()])
}

/// What a rule says at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    pub(crate) sign: Sign,
    /// Whether the condition has ended, of what fires; `None` where it was not looked at.
    pub(crate) over: Option<bool>,
    pub(crate) started_at: EpochMs,
    pub(crate) observed: f64,
    pub(crate) expected: f64,
    pub(crate) score: f64,
    pub(crate) severity: Severity,
}

/// How strong the evidence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Sign {
    /// There is none.
    None,
    /// Too little to open an episode, enough to keep one that is pending.
    Weak,
    /// Enough to be pending.
    Pending,
    /// Enough to fire.
    Firing,
}

/// An episode that is on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Episode {
    pub(crate) started_at: EpochMs,
    pub(crate) opened_at: EpochMs,
    pub(crate) fired_at: Option<EpochMs>,
    pub(crate) over_since: Option<EpochMs>,
    pub(crate) severity: Severity,
    number: u32,
    score: f64,
    told_at: EpochMs,
    told_observed: f64,
    /// For rules of counts: what was counted and expected until the current block began. Where the episode began within it, less
    /// what the block held before: so it may be below zero.
    pub(crate) observed: i64,
    pub(crate) expected: f64,
    /// For rules of counts: evidence that it is over, a CUSUM in the other direction; and the ratio that it is tested against.
    pub(crate) over_score: f64,
    pub(crate) over_ratio: f64,
}

/// How often something is told, and how long an end must last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    pub(crate) resolve_after_ms: i64,
    pub(crate) update_every_ms: i64,
}

/// Moves an episode on by what its rule says at this moment. True if anything of it changed.
pub(crate) fn judge(
    slot: &mut Option<Episode>,
    rule: Rule,
    at: EpochMs,
    reading: &Reading,
    pace: Pace,
    see: &mut dyn FnMut(Transition),
) -> bool {
    let Some(episode) = slot else {
        if reading.sign < Sign::Pending {
            return false;
        }
        let firing = reading.sign == Sign::Firing;
        let episode = slot.insert(Episode {
            started_at: reading.started_at,
            opened_at: at,
            fired_at: firing.then_some(at),
            over_since: None,
            severity: reading.severity,
            number: 1,
            score: reading.score,
            told_at: at,
            told_observed: reading.observed,
            observed: 0,
            expected: 0.0,
            over_score: 0.0,
            over_ratio: 2.0,
        });
        let state = if firing { AlertState::Firing } else { AlertState::Pending };
        see(episode.tell(rule, at, state, reading));
        return true;
    };
    let before = *episode;
    episode.score = episode.score.max(reading.score);
    if episode.fired_at.is_none() {
        if reading.sign == Sign::Firing {
            episode.fired_at = Some(at);
            episode.severity = episode.severity.max(reading.severity);
            episode.number += 1;
            see(episode.tell(rule, at, AlertState::Firing, reading));
        } else if reading.sign == Sign::None {
            episode.number += 1;
            see(episode.tell(rule, at, AlertState::Resolved, reading));
            *slot = None;
            return true;
        }
        return *episode != before;
    }
    match reading.over {
        Some(true) => episode.over_since = episode.over_since.or(Some(at)),
        Some(false) => episode.over_since = None,
        None => {}
    }
    if episode.over_since.is_some_and(|since| at - since >= pace.resolve_after_ms) {
        episode.number += 1;
        see(episode.tell(rule, at, AlertState::Resolved, reading));
        *slot = None;
        return true;
    }
    let worse = reading.severity > episode.severity;
    episode.severity = episode.severity.max(reading.severity);
    let grown = reading.observed >= 1.5 * episode.told_observed && reading.observed >= episode.told_observed + 3.0;
    let due = at - episode.told_at >= pace.update_every_ms && reading.observed != episode.told_observed;
    // What grows fast is told once a minute at most.
    if worse || due || (grown && at - episode.told_at >= 60_000) {
        see(episode.tell(rule, at, AlertState::Firing, reading));
    }
    *episode != before
}

impl Episode {
    fn tell(&mut self, rule: Rule, at: EpochMs, state: AlertState, reading: &Reading) -> Transition {
        self.told_at = at;
        self.told_observed = reading.observed;
        Transition {
            rule,
            started_at: self.started_at,
            at,
            state,
            number: self.number,
            fired_at: self.fired_at,
            severity: self.severity,
            observed: reading.observed,
            expected: reading.expected,
            score: self.score,
        }
    }
}
