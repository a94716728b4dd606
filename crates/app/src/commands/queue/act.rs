//! `sinyal queue claim|release|ack`: an action is sent, and the community stage decides.

use anyhow::{Result, bail};
use record::{Action, EpochMs, QueueItem, QueueStatus};
use serde_json::Value;
use wire::OfQueueItem;

use super::super::actions::{Acting, Watch, reason, send, tell};
use super::super::stored::{Decoding, newest_of_key};
use super::super::times::{duration_up_to, now_ms, shown};
use super::super::waiting::wait_for_topic;
use super::Which;
use super::list::as_json;
use super::show::missing;
use super::standing::is_unfinished;
use crate::cli::OK;
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct ClaimArgs {
    #[command(flatten)]
    which: Which,
    /// For how long: up to 7d; without it as long as is configured.
    #[arg(long = "for", value_name = "TIME", value_parser = |text: &str| duration_up_to(text, "7d"))]
    lease_ms: Option<i64>,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Debug, clap::Args)]
pub(super) struct ReleaseArgs {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Debug, clap::Args)]
pub(super) struct AckArgs {
    #[command(flatten)]
    which: Which,
    /// Why.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    #[command(flatten)]
    acting: Acting,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Claim,
    Release,
    Acknowledge,
}

pub(super) fn claim(args: &ClaimArgs, config: &Config) -> Result<u8> {
    act(Wanted::Claim, &args.which, args.lease_ms, None, &args.acting, config)
}

pub(super) fn release(args: &ReleaseArgs, config: &Config) -> Result<u8> {
    act(Wanted::Release, &args.which, None, None, &args.acting, config)
}

pub(super) fn acknowledge(args: &AckArgs, config: &Config) -> Result<u8> {
    act(Wanted::Acknowledge, &args.which, None, args.reason.as_deref(), &args.acting, config)
}

fn act(
    wanted: Wanted,
    which: &Which,
    lease_ms: Option<i64>,
    reason: Option<&str>,
    acting: &Acting,
    config: &Config,
) -> Result<u8> {
    let identity = which.identity();
    let key = identity.key();
    let topic = config.topics.queue_state.as_str();
    if acting.wait.is_some() || !acting.force {
        wait_for_topic(config, topic)?;
    }
    // From before it is sent: what it does may show at once.
    let watch = acting.wait.map(|wait| Watch::begin(config, topic, wait)).transpose()?;
    let mut decoding = Decoding::<OfQueueItem>::new(config);
    let now = now_ms();
    if !acting.force {
        let value = newest_of_key(config, topic, &key)?;
        let item = match &value {
            Some(value) => decoding.decode(value)?,
            None => None,
        };
        let Some(item) = item else { return Err(missing(&key, config).into()) };
        if let Some(why) = wanted.unfit(&item, &acting.by, now) {
            bail!("{key} {why}; nothing was sent (--force sends it all the same)");
        }
    }
    let action = Action {
        kind: wanted.kind().into(),
        target: key.as_str().into(),
        by: acting.by.as_str().into(),
        at: now,
        until: lease_ms.map(|lease| now + lease),
        reason: reason.map(Into::into),
    };
    send(config, &identity.community_id, &action)?;
    let mut state = None;
    let mut words = format!("sent: {} {key} by {}", wanted.kind(), acting.by);
    if let Some(watch) = watch {
        let found = watch.until(|record| {
            let Some(value) = record.value.filter(|_| record.key.as_deref() == Some(key.as_bytes())) else {
                return Ok(None);
            };
            let Some(item) = decoding.decode(&value)? else { return Ok(None) };
            Ok(match wanted.came_of(&item, &action) {
                Some(done) => Some((done, as_json(&key, &item, now)?)),
                None => None,
            })
        })?;
        let Some((done, row)) = found else {
            bail!(
                "{key}: the action was sent, but {topic} does not show it yet; does `sinyal run --role community` run? \
                 `sinyal queue show` tells how it stands"
            );
        };
        words = outcome(&key, &row);
        if !done {
            bail!("{words}: that came first");
        }
        state = Some(row);
    }
    tell(&action, state.as_ref(), acting.json, &words)?;
    Ok(OK)
}

/// How an item stands after an action, in words.
fn outcome(key: &str, row: &Value) -> String {
    let mut words = format!("{key} is {}", row["status"].as_str().unwrap_or_default());
    let by = [("claimed", "claimed_by"), ("acknowledged", "acknowledged_by")];
    for (_, field) in by.into_iter().filter(|(status, _)| row["status"] == *status) {
        words += &format!(" by {}", row[field].as_str().unwrap_or("nobody"));
    }
    if let Some(until) = row["claim_until"].as_i64().filter(|_| row["status"] == "claimed") {
        words += &format!(" until {}", shown(until));
    }
    words
}

impl Wanted {
    fn kind(self) -> &'static str {
        match self {
            Wanted::Claim => "claim",
            Wanted::Release => "release",
            Wanted::Acknowledge => "acknowledge",
        }
    }

    /// Why an item is not one for this, if it is not.
    fn unfit(self, item: &QueueItem<'_>, by: &str, now: EpochMs) -> Option<String> {
        let status = item.status.as_str();
        if !is_unfinished(item.status) || (item.status == QueueStatus::Moved && item.queue == "none") {
            return Some(format!("is {status} and waits no more"));
        }
        let holder = item
            .claimed_by
            .as_deref()
            .filter(|_| item.status == QueueStatus::Claimed && item.claim_until.is_none_or(|until| until > now));
        match (self, holder) {
            (Wanted::Release, None) => Some(format!("is {status}: nobody holds it")),
            (Wanted::Claim | Wanted::Release, Some(holder)) if holder != by => {
                let until = item.claim_until.map(|until| format!(" until {}", shown(until))).unwrap_or_default();
                Some(format!("is claimed by {holder}{until}"))
            }
            _ => None,
        }
    }

    /// Whether a row shows what was asked for: true, or false if something else came first; nothing if it is from before.
    fn came_of(self, item: &QueueItem<'_>, action: &Action<'_>) -> Option<bool> {
        let done = match self {
            Wanted::Claim => {
                item.status == QueueStatus::Claimed
                    && item.claimed_by.as_deref() == Some(&*action.by)
                    && action.until.is_none_or(|until| item.claim_until == Some(until))
            }
            Wanted::Release => item.status != QueueStatus::Claimed && is_unfinished(item.status),
            Wanted::Acknowledge => {
                item.status == QueueStatus::Acknowledged && item.acknowledged_by.as_deref() == Some(&*action.by)
            }
        };
        let ended = !is_unfinished(item.status);
        let others = self == Wanted::Claim
            && item.status == QueueStatus::Claimed
            && item.claimed_by.as_deref() != Some(&*action.by);
        if done {
            Some(true)
        } else if ended || others {
            Some(false)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::standing::tests::item;
    use super::*;

    fn claimed(by: &'static str, until: EpochMs) -> QueueItem<'static> {
        QueueItem { status: QueueStatus::Claimed, claimed_by: Some(by.into()), claim_until: Some(until), ..item() }
    }

    fn action() -> Action<'static> {
        Action { kind: "claim".into(), target: "k".into(), by: "sari".into(), at: 5, until: Some(9), reason: None }
    }

    #[test]
    fn what_does_not_fit_is_not_sent() {
        let unfit = |wanted: Wanted, item: &QueueItem<'_>| wanted.unfit(item, "sari", 5);
        assert_eq!(unfit(Wanted::Claim, &item()), None);
        assert_eq!(unfit(Wanted::Claim, &claimed("sari", 9)), None, "longer");
        assert_eq!(unfit(Wanted::Claim, &claimed("budi", 5)), None, "over");
        assert!(unfit(Wanted::Claim, &claimed("budi", 6)).unwrap().starts_with("is claimed by budi until "));
        assert_eq!(unfit(Wanted::Release, &item()).unwrap(), "is open: nobody holds it");
        assert_eq!(unfit(Wanted::Acknowledge, &claimed("budi", 9)), None);
        let answered = QueueItem { status: QueueStatus::Answered, ..item() };
        assert_eq!(unfit(Wanted::Acknowledge, &answered).unwrap(), "is answered and waits no more");
    }

    #[test]
    fn what_came_of_it_is_told_from_what_came_first() {
        assert_eq!(Wanted::Claim.came_of(&claimed("sari", 9), &action()), Some(true));
        assert_eq!(Wanted::Claim.came_of(&claimed("sari", 8), &action()), None, "the claim before");
        assert_eq!(Wanted::Claim.came_of(&claimed("budi", 9), &action()), Some(false));
        assert_eq!(Wanted::Claim.came_of(&item(), &action()), None);
        assert_eq!(Wanted::Release.came_of(&item(), &action()), Some(true));
        let closed = QueueItem { status: QueueStatus::Acknowledged, acknowledged_by: Some("sari".into()), ..item() };
        assert_eq!(Wanted::Acknowledge.came_of(&closed, &action()), Some(true));
        assert_eq!(Wanted::Claim.came_of(&closed, &action()), Some(false));
    }
}
