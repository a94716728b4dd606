//! `sinyal queue show`: everything about one item.

use std::fmt::Write;

use anyhow::Result;
use record::{EpochMs, QueueItem};
use wire::OfQueueItem;

use super::super::stored::{Decoding, newest_of_key};
use super::super::tables::printable;
use super::super::times::{length, now_ms, shown};
use super::super::waiting::wait_for_topic;
use super::Which;
use super::list::as_json;
use super::standing::{is_unfinished, standing};
use crate::cli::{OK, OutsideError, say};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    which: Which,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: ShowArgs, config: &Config) -> Result<u8> {
    let key = args.which.identity().key();
    wait_for_topic(config, &config.topics.queue_state)?;
    let value = newest_of_key(config, &config.topics.queue_state, &key)?;
    let mut decoding = Decoding::<OfQueueItem>::new(config);
    let item = match &value {
        Some(value) => decoding.decode(value)?,
        None => None,
    };
    let Some(item) = item else { return Err(missing(&key, config).into()) };
    let now = now_ms();
    if args.json {
        say(as_json(&key, &item, now)?)?
    } else {
        say(words(&key, &item, now).trim_end())?
    }
    Ok(OK)
}

/// What is wrong where there is no such item.
pub(super) fn missing(key: &str, config: &Config) -> OutsideError {
    OutsideError(format!(
        "{key}: {} has no such item: it was never queued, or is older than what is kept; `sinyal queue list --all` shows what \
         there is",
        config.topics.queue_state
    ))
}

fn words(key: &str, item: &QueueItem<'_>, now: EpochMs) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let mut line = |name: &str, text: &str| {
        let text = printable(text);
        let _ = writeln!(out, "{name:<13} {text}");
    };
    let moment = |at: EpochMs| {
        if at <= now {
            format!("{}, {} ago", shown(at), length(now - at))
        } else {
            format!("{}, in {}", shown(at), length(at - now))
        }
    };
    line("item", key);
    line("community", &item.community_id);
    if let Some(thread) = &item.thread_id {
        line("thread", thread);
    }
    line("text", item.text.as_deref().unwrap_or("none is kept"));
    line("language", &format!("{}{}", item.language.as_str(), if item.mixed { ", mixed" } else { "" }));
    if let Some(url) = &item.url {
        line("url", url);
    }
    line("label", &format!("{}, {:.0} % sure", item.label.as_str(), item.confidence * 100.0));
    line("queue", &format!("{} ({})", item.queue, item.department));
    line("why there", &item.reason);
    let standing = standing(item, now);
    line("priority", &format!("{}: {}", standing.priority, standing.reasons.join(", ").replace('_', " ")));
    if standing.priority != item.priority {
        line("", &format!("{} when the row was written", item.priority));
    }
    line("written at", &moment(item.created_at));
    if let Some(due) = item.due_at {
        let late = if due < now && is_unfinished(item.status) { " (over)" } else { "" };
        line("due at", &format!("{}{late}", moment(due)));
    }
    if let Some(at) = item.breached_at {
        line("breached at", &moment(at));
    }
    let mut status = item.status.as_str().to_owned();
    if item.reopened > 0 {
        let _ = write!(status, ", reopened {} times", item.reopened);
    }
    line("status", &status);
    if let Some(by) = &item.claimed_by {
        let until = item.claim_until.map(|until| format!(" until {}", moment(until))).unwrap_or_default();
        line("claimed by", &format!("{by}{until}"));
    }
    if let Some(at) = item.answered_at {
        line("answered at", &moment(at));
    }
    if let Some(by) = &item.acknowledged_by {
        line(
            "closed by",
            &format!("{by}{}", item.acknowledged_at.map(|at| format!(", {}", moment(at))).unwrap_or_default()),
        );
    }
    line("updated at", &moment(item.updated_at));
    line("read from", &format!("{}:{}:{}", item.origin_topic, item.origin_partition, item.origin_offset));
    out
}

#[cfg(test)]
mod tests {
    use super::super::standing::tests::item;
    use super::*;

    #[test]
    fn everything_is_told() {
        let full = QueueItem {
            claimed_by: Some("sari".into()),
            claim_until: Some(20_000),
            thread_id: Some("t".into()),
            url: Some("https://example.org/7".into()),
            reopened: 2,
            waiting_since: None,
            text: Some("a\u{1b}]0;b\nc".into()),
            ..item()
        };
        let told = words("warga%20kota|comment|7", &full, 12_000);
        for expected in [
            "item          warga%20kota|comment|7\n",
            "text          a ]0;b c\n",
            "priority      76: complaint, overdue\n",
            "60 when the row was written",
            ", 1 s ago (over)\n",
            "claimed by    sari until ",
            ", in 8 s\n",
            "status        open, reopened 2 times\n",
            "read from     posts:0:3\n",
        ] {
            assert!(told.contains(expected), "{expected:?} in\n{told}");
        }
    }
}
