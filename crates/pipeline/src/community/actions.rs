//! Responders' actions: what they mean, and what is wrong with those that mean nothing.

use record::{Action, EpochMs, Kind, Outcome, Reason, decode_key, limits};

use super::identity::write_key;
use super::items::{Act, Claim};
use super::partition::Partition;
use super::{Shared, validate};

/// Longest claim and longest silence, in milliseconds: 30 days.
const LASTS_MS_MAX: i64 = 30 * 86_400_000;

/// What an action is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meant<'a> {
    /// A queue item.
    Item { community_id: String, kind: Kind, id: String, act: ItemAct },
    /// An alert.
    Acknowledge { rule: String, community_id: String, started_at: EpochMs },
    /// What an author wrote in a community before the action's time.
    Erase { community_id: String, author_key: String },
    /// The row of an alert that is over.
    EraseAlert { rule: String, community_id: String, started_at: EpochMs },
    /// The alerts of a community, of one rule or of all; without a time they are not silent any more.
    Silence { community_id: String, rule: Option<String>, until: Option<EpochMs>, reason: &'a str },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ItemAct {
    Claim { until: Option<EpochMs> },
    Release,
    Acknowledge,
}

impl Meant<'_> {
    /// The community that it is about.
    pub(super) fn community_id(&self) -> &str {
        match self {
            Meant::Item { community_id, .. }
            | Meant::Acknowledge { community_id, .. }
            | Meant::Erase { community_id, .. }
            | Meant::EraseAlert { community_id, .. }
            | Meant::Silence { community_id, .. } => community_id,
        }
    }
}

impl Partition {
    /// Does what is meant with a queue item. Where there is no item yet it waits for that.
    ///
    /// # Errors
    /// That it is a dead letter, when too much waits.
    pub(super) fn act_on_item(
        &mut self,
        meant: (&str, Kind, &str),
        act: ItemAct,
        action: &Action<'_>,
        shared: &Shared,
    ) -> Result<Outcome, (Reason, String)> {
        let (at, by) = (action.at, Box::from(&*action.by));
        let act = match act {
            ItemAct::Claim { until } => {
                let until = until.unwrap_or(at.saturating_add(shared.claim_ms));
                Act::Claim(Claim { by, at, until })
            }
            ItemAct::Release => Act::Release { by },
            ItemAct::Acknowledge => Act::Acknowledge { at, by },
        };
        let (community_id, kind, id) = meant;
        let mut key = Vec::new();
        write_key(community_id, kind, id, &mut key);
        match self.index.find(&key) {
            Some(slot) if self.has_item(slot) => Ok(self.act(slot, act)),
            // It was closed for good, and so it stays.
            Some(slot) if self.index.slot(slot).entry.is_closed_for_good() => Ok(Outcome::Stale),
            _ => self.parked.park_act(&key, act, at, shared.parked_max),
        }
    }
}

/// What an action means; `latest` is the latest time at which it may have been made.
///
/// # Errors
/// Why it is a dead letter, or would be, and what would be right.
pub(super) fn meaning<'a>(action: &'a Action<'_>, latest: EpochMs) -> Result<Meant<'a>, (Reason, String)> {
    let target_max = 3 * 3 * limits::ID_BYTES;
    let reason = action.reason.as_deref().unwrap_or_default();
    let lengths = [
        ("target", action.target.len(), target_max),
        ("by", action.by.len(), limits::ID_BYTES),
        ("reason", reason.len(), limits::URL_BYTES),
    ];
    if let Some((field, length, most)) = lengths.into_iter().find(|(_, length, most)| length > most) {
        return Err((Reason::LimitExceeded, format!("{field} has {length} bytes; at most {most} are right")));
    }
    if action.by.is_empty() || action.target.is_empty() {
        return Err((Reason::MissingField, "by or target is empty".to_owned()));
    }
    validate::time("at", action.at, latest)?;
    if let Some(until) = action.until
        && !(action.at..=action.at.saturating_add(LASTS_MS_MAX)).contains(&until)
    {
        return Err((Reason::LimitExceeded, "until is before at, or more than 30 days after it".to_owned()));
    }
    let parts = decode_key(&action.target).unwrap_or_default();
    let wrong = |right: &str| (Reason::Malformed, format!("target of {}: {right} is right", known_kind(&action.kind)));
    let item = |act| {
        let right = || wrong("the key of a queue item, community|kind|id, each percent-encoded,");
        let [community_id, kind, id] = &parts[..] else { return Err(right()) };
        let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind).ok_or_else(right)?;
        // Under no community stands what is kept of erasures.
        if community_id.is_empty() {
            return Err(right());
        }
        Ok(Meant::Item { community_id: community_id.clone(), kind, id: id.clone(), act })
    };
    match &*action.kind {
        "claim" => item(ItemAct::Claim { until: action.until }),
        "release" => item(ItemAct::Release),
        "acknowledge" => item(ItemAct::Acknowledge),
        "acknowledge_alert" => {
            let right = || wrong("the id of an alert, rule|community|start, each percent-encoded,");
            let [rule, community_id, started_at] = &parts[..] else { return Err(right()) };
            let started_at = started_at.parse().map_err(|_| right())?;
            Ok(Meant::Acknowledge { rule: rule.clone(), community_id: community_id.clone(), started_at })
        }
        "erase" => match &parts[..] {
            [community_id, author_key]
                if !community_id.is_empty() && (1..=validate::AUTHOR_KEY_BYTES).contains(&author_key.len()) =>
            {
                Ok(Meant::Erase { community_id: community_id.clone(), author_key: author_key.clone() })
            }
            [rule, community_id, started_at] if started_at.parse::<EpochMs>().is_ok() => {
                let started_at = started_at.parse().unwrap_or_default();
                Ok(Meant::EraseAlert { rule: rule.clone(), community_id: community_id.clone(), started_at })
            }
            _ => Err(wrong(
                "a community and an author's key, community|key, or the id of an alert, each percent-encoded,",
            )),
        },
        kind @ ("silence" | "unsilence") => {
            let (community_id, rule) = match &parts[..] {
                [community_id] => (community_id.clone(), None),
                [community_id, rule] => (community_id.clone(), Some(rule.clone())),
                _ => return Err(wrong("a community, or community|rule, each percent-encoded,")),
            };
            let until = if kind == "silence" { action.until } else { None };
            if kind == "silence" && (until.is_none() || reason.trim().is_empty()) {
                return Err((Reason::MissingField, "a silence needs an end (until) and a reason".to_owned()));
            }
            Ok(Meant::Silence { community_id, rule, until, reason })
        }
        _ => Err((
            Reason::Malformed,
            "kind is none of claim, release, acknowledge, acknowledge_alert, silence, unsilence, erase".to_owned(),
        )),
    }
}

/// A kind that may be shown: one of ours.
fn known_kind(kind: &str) -> &str {
    match kind {
        "claim" | "release" | "acknowledge" | "acknowledge_alert" | "silence" | "unsilence" | "erase" => kind,
        _ => "an action",
    }
}

/// Checks an action; `latest` is the latest time at which it may have been made.
///
/// # Errors
/// Why it is a dead letter, or would be, and what would be right.
pub fn check_action(action: &Action<'_>, latest: EpochMs) -> Result<(), (Reason, String)> {
    meaning(action, latest).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action<'a>(kind: &'a str, target: &'a str, until: Option<EpochMs>, reason: Option<&'a str>) -> Action<'a> {
        Action {
            kind: kind.into(),
            target: target.into(),
            by: "sari".into(),
            at: 1_795_482_000_000,
            until,
            reason: reason.map(Into::into),
        }
    }

    #[test]
    fn says_what_is_wrong_and_what_would_be_right() {
        let check = |kind, target, until, reason, expected: &str| {
            let action = action(kind, target, until, reason);
            let (_, detail) = check_action(&action, action.at).unwrap_err();
            assert!(detail.contains(expected), "{kind} {target}: {detail}");
        };
        check("clap", "c|post|1", None, None, "none of claim");
        check("claim", "c|post", None, None, "community|kind|id");
        check("claim", "c|story|1", None, None, "community|kind|id");
        check("claim", "c|post|1", Some(0), None, "until is before at");
        check("silence", "c", None, Some("festival"), "an end");
        check("silence", "c", Some(1_795_482_000_001), Some(" "), "a reason");
        check("acknowledge_alert", "silence|c|soon", None, None, "rule|community|start");
        check("claim", "", None, None, "empty");
        check("claim", "|post|1", None, None, "community|kind|id");
        check("erase", "c", None, None, "community|key");
        check("erase", "|v1%3A00ff", None, None, "community|key");
        check("erase", "silence|c|soon", None, None, "community|key");
    }

    #[test]
    fn understands_each_kind() {
        let check = |kind, target, community: &str| {
            let action = action(kind, target, Some(1_795_482_060_000), Some("festival"));
            let meant = meaning(&action, action.at).unwrap();
            assert_eq!(meant.community_id(), community);
        };
        check("claim", "warga%20depok|post|1", "warga depok");
        check("release", "c|comment|1", "c");
        check("acknowledge", "c|comment|1", "c");
        check("acknowledge_alert", "silence|c|1795482000000", "c");
        check("silence", "c", "c");
        check("silence", "c|silence", "c");
        check("unsilence", "c", "c");
        check("erase", "warga%20depok|v1%3A00ff", "warga depok");
        check("erase", "silence|c|1795482000000", "c");
    }
}
