//! How an item stands, and what responders did with it.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// A claim that does not say until when lasts so long: the default of `items.claim_minutes`, in milliseconds.
const CLAIM_MS: i64 = 30 * 60_000;

/// Who works on it, since when and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    pub(crate) by: String,
    at: i64,
    pub(crate) until: i64,
}

/// What responders did with an item, in the order in which they did it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deeds {
    pub(crate) claim: Option<Claim>,
    /// The latest: when, and by whom.
    pub(crate) acknowledged: Option<(i64, String)>,
    pub(crate) first_acknowledged: Option<i64>,
}

impl Deeds {
    pub(crate) fn take(&mut self, action: &Value) -> Result<()> {
        let by = action["by"].as_str().context("by")?.to_owned();
        let at = action["at"].as_i64().context("at")?;
        match action["kind"].as_str() {
            Some("claim") => {
                let until = action["until"].as_i64().unwrap_or(at + CLAIM_MS);
                // Somebody else's lease is respected; what is older than what is known comes too late.
                let refused =
                    self.claim.as_ref().is_some_and(|held| held.at > at || (held.by != by && held.until > at));
                if !refused {
                    self.claim = Some(Claim { by, at, until });
                }
            }
            Some("release") => self.claim = self.claim.take().filter(|held| held.by != by),
            Some("acknowledge") => {
                if self.acknowledged.as_ref().is_none_or(|(known, _)| *known < at) {
                    self.acknowledged = Some((at, by));
                    self.first_acknowledged = Some(self.first_acknowledged.map_or(at, |first| first.min(at)));
                }
            }
            kind => ensure!(false, "{kind:?} is no action on an item"),
        }
        Ok(())
    }
}

/// Since when a person may wait.
pub(crate) struct Since<'a> {
    pub(crate) said_at: i64,
    pub(crate) wrote_again: &'a [i64],
    /// When its author made it something for another queue.
    pub(crate) moved_at: Option<i64>,
}

/// How an item stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// `open` also of what was moved.
    pub(crate) status: &'static str,
    /// Since when the person waits, or waited last.
    pub(crate) since: i64,
    pub(crate) closed_at: Option<i64>,
    /// How many messages came after it was closed for the first time.
    pub(crate) reopened: usize,
}

/// How an item stands that is in a queue: `answers` in order, of acknowledgements the latest and the first.
pub(crate) fn life(
    since: &Since<'_>,
    answers: &[i64],
    (acknowledged, first_acknowledged): (Option<i64>, Option<i64>),
    claim: Option<&Claim>,
) -> Life {
    let first_closed = answers.iter().copied().chain(first_acknowledged).min();
    let asks_again = |at: &i64| first_closed.is_some_and(|closed| *at > closed);
    let wrote: Vec<i64> = since.wrote_again.iter().copied().filter(asks_again).collect();
    let moved_at = since.moved_at.filter(asks_again);
    let wrote_last = wrote.iter().copied().max();
    let asked = wrote_last.max(moved_at);
    let from = asked.unwrap_or(since.said_at);
    let answered = answers.iter().copied().find(|at| *at >= from);
    // A responder's clock may be behind: what nobody asked anew stays closed.
    let acknowledged = acknowledged.filter(|at| asked.is_none_or(|asked| *at >= asked));
    let closed_at = answered.into_iter().chain(acknowledged).min();
    let status = if closed_at.is_some() && closed_at == answered {
        "answered"
    } else if closed_at.is_some() {
        "acknowledged"
    } else if claim.is_some_and(|claim| asked.is_none_or(|asked| claim.at >= asked || claim.until > asked)) {
        "claimed"
    } else if wrote_last.is_some() && wrote_last >= moved_at {
        "reopened"
    } else if moved_at.is_some() {
        "moved"
    } else {
        "open"
    };
    Life { status, since: from, closed_at, reopened: wrote.len() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_writes_again_waits_again() {
        let check = |wrote_again: &[i64], answers: &[i64], acknowledged, expected: (&str, usize)| {
            let since = Since { said_at: 100, wrote_again, moved_at: None };
            let life = life(&since, answers, (acknowledged, acknowledged), None);
            assert_eq!((life.status, life.reopened), expected, "{wrote_again:?} {answers:?} {acknowledged:?}");
        };
        check(&[], &[], None, ("open", 0));
        check(&[], &[110], Some(120), ("answered", 0));
        check(&[], &[120], Some(110), ("acknowledged", 0));
        check(&[105], &[110], None, ("answered", 0));
        check(&[115], &[110], None, ("reopened", 1));
        check(&[115], &[110, 120], None, ("answered", 1));
        check(&[115], &[110], Some(130), ("acknowledged", 1));
    }

    #[test]
    fn a_lease_is_respected() {
        let act = |kind: &str, by: &str, at: i64| json!({ "kind": kind, "by": by, "at": at, "until": at + 100 });
        let mut deeds = Deeds::default();
        let mut holder = |action: &Value| {
            deeds.take(action).unwrap();
            deeds.claim.as_ref().map(|claim| claim.by.clone())
        };
        assert_eq!(holder(&act("claim", "sari", 10)).as_deref(), Some("sari"));
        assert_eq!(holder(&act("claim", "budi", 50)).as_deref(), Some("sari"));
        assert_eq!(holder(&act("release", "budi", 60)).as_deref(), Some("sari"));
        assert_eq!(holder(&act("claim", "budi", 110)).as_deref(), Some("budi"));
        assert_eq!(holder(&act("release", "budi", 120)), None);
        assert!(deeds.take(&act("hug", "budi", 130)).is_err());
    }
}
