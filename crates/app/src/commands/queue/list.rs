//! `sinyal queue list`: what waits, the most urgent first.

use std::cmp::Reverse;

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use record::{EpochMs, QueueItem, QueueStatus};
use serde_json::{Value, json};
use wire::OfQueueItem;

use super::super::actions::name;
use super::super::corrections::parse;
use super::super::stored::{Decoding, newest};
use super::super::tables::{cut, printable, whole};
use super::super::times::{now_ms, short};
use super::super::waiting::wait_for_topic;
use super::standing::{is_unfinished, standing, waits};
use crate::cli::{OK, say};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only of this queue.
    #[arg(long)]
    queue: Option<String>,
    /// Only what this department owns.
    #[arg(long)]
    department: Option<String>,
    /// Only of this community.
    #[arg(long, value_name = "ID")]
    community: Option<String>,
    /// Only in these states, by commas: open, claimed, answered, acknowledged, moved, reopened, retracted or expired.
    #[arg(long, value_delimiter = ',', value_parser = parse::<QueueStatus>, conflicts_with = "all")]
    status: Vec<QueueStatus>,
    /// Only what this person has claimed.
    #[arg(long, value_name = "NAME", value_parser = name)]
    mine: Option<String>,
    /// In whatever state; without it what waits: open, moved, reopened, or claimed for a time that is over.
    #[arg(long)]
    all: bool,
    /// At most so many: 1 to 10000.
    #[arg(long, short = 'n', default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// JSON Lines: each row as it is stored, and its `key`, `priority_now`, `priority_reasons_now` and `waiting_ms`.
    #[arg(long)]
    json: bool,
}

/// Most items that are held: beyond it the list says that it is not whole.
const ITEMS_MAX: usize = 100_000;
/// How much of a text is shown, in characters.
const TEXT_SHOWN: usize = 90;

/// An item as it is stored, and where it stands.
struct Kept {
    value: Vec<u8>,
    priority: i32,
    created_at: EpochMs,
}

pub(super) fn run(args: ListArgs, config: &Config) -> Result<u8> {
    let topic = config.topics.queue_state.as_str();
    wait_for_topic(config, topic)?;
    let now = now_ms();
    let found = newest::<OfQueueItem, Kept>(config, topic, ITEMS_MAX, |_, value, item| {
        args.takes(&item, now).then(|| Kept {
            value: value.to_vec(),
            priority: standing(&item, now).priority,
            created_at: item.created_at,
        })
    })?;
    if found.is_full {
        eprintln!(
            "more than {ITEMS_MAX} items match and not all are looked at; --queue or --community narrows it down"
        );
    }
    let count = found.rows.len();
    if count == 0
        && let Some(queue) = &args.queue
    {
        warn_of_queue(queue, config);
    }
    let mut rows: Vec<(Vec<u8>, Kept)> = found.rows.into_iter().collect();
    rows.sort_by(|(one_key, one), (two_key, two)| {
        (Reverse(one.priority), one.created_at, one_key).cmp(&(Reverse(two.priority), two.created_at, two_key))
    });
    rows.truncate(usize::from(args.limit));
    let mut decoding = Decoding::<OfQueueItem>::new(config);
    let mut table = empty_table();
    let longest = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    for (key, kept) in &rows {
        let Some(item) = decoding.decode(&kept.value)? else { continue };
        let key = String::from_utf8_lossy(key);
        if args.json {
            say(as_json(&key, &item, now)?)?;
        } else {
            table.add_row(cells(&key, &item, now));
        }
    }
    if args.json {
        cut(count, rows.len());
    } else if count == 0 {
        say("nothing waits here")?;
    } else {
        whole(&mut table, 4, longest);
        say(table)?;
        let more = if count > rows.len() { "; --limit shows more" } else { "" };
        say(format!("{} of {count}{more}", rows.len()))?;
    }
    Ok(OK)
}

/// Where nothing is found by the name of a queue: says so if this configuration has none of that name. That of the service may.
fn warn_of_queue(name: &str, config: &Config) {
    let queues = config.routing.queues();
    if name != "none" && !queues.iter().any(|queue| queue.spec.name == name) {
        let known: Vec<&str> = queues.iter().map(|queue| queue.spec.name.as_str()).collect();
        eprintln!("this configuration has no queue {name:?}; its queues are {}", known.join(", "));
    }
}

impl ListArgs {
    fn takes(&self, item: &QueueItem<'_>, now: EpochMs) -> bool {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        let state = if !self.status.is_empty() {
            self.status.contains(&item.status)
        } else {
            // What somebody has claimed is asked for by their name, whether it still holds or not.
            self.all || waits(item, now) || (self.mine.is_some() && item.status == QueueStatus::Claimed)
        };
        let mine = self.mine.as_ref().is_none_or(|name| item.claimed_by.as_deref() == Some(name));
        state
            && mine
            && is(&self.queue, &item.queue)
            && is(&self.department, &item.department)
            && is(&self.community, &item.community_id)
    }
}

pub(super) fn as_json(key: &str, item: &QueueItem<'_>, now: EpochMs) -> Result<Value> {
    let standing = standing(item, now);
    let mut row = serde_json::to_value(item)?;
    row["key"] = json!(key);
    row["priority_now"] = json!(standing.priority);
    row["priority_reasons_now"] = json!(standing.reasons);
    row["waiting_ms"] = if is_unfinished(item.status) { json!((now - item.created_at).max(0)) } else { Value::Null };
    Ok(row)
}

fn empty_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["prio", "since", "due", "what", "item"]);
    table
}

/// The cells of an item: its key stands alone on its line, so that it can be copied.
fn cells(key: &str, item: &QueueItem<'_>, now: EpochMs) -> [String; 5] {
    let standing = standing(item, now);
    let due = match item.due_at.filter(|_| is_unfinished(item.status)) {
        None => "-".to_owned(),
        Some(due) if due >= now => format!("in {}", short(due - now)),
        Some(due) => format!("over\n{}", short(now - due)),
    };
    let what = format!("{}, {}", item.label.as_str(), item.language.as_str());
    let state = match item.status {
        QueueStatus::Open => String::new(),
        status => format!("\n{}", status.as_str()),
    };
    let mut why = standing.reasons.join(", ").replace('_', " ");
    if let Some(by) = item.claimed_by.as_deref().map(printable).filter(|_| item.status == QueueStatus::Claimed) {
        let held = if item.claim_until.is_some_and(|until| until <= now) { "held" } else { "holds it" };
        why += &format!("; {by} {held}");
    }
    let item_cell = format!("{key}\n{}\n({why})", beginning(item.text.as_deref().unwrap_or("-")));
    [standing.priority.to_string(), short(now - item.created_at), due, format!("{what}{state}"), item_cell]
}

/// The beginning of a text on one line.
fn beginning(text: &str) -> String {
    let text = printable(text);
    let mut words = text.split_whitespace();
    let mut line = String::new();
    for word in words.by_ref() {
        if line.chars().count() + word.chars().count() >= TEXT_SHOWN {
            line.extend(word.chars().take(TEXT_SHOWN.saturating_sub(line.chars().count())));
            return line.trim_end().to_owned() + "…";
        }
        line.push_str(word);
        line.push(' ');
    }
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::standing::tests::item;
    use super::*;

    #[test]
    fn a_row_says_what_a_responder_needs() {
        let claimed = QueueItem { status: QueueStatus::Claimed, claimed_by: Some("sari".into()), ..item() };
        assert_eq!(
            cells("k", &claimed, 7_211_000),
            [
                "85",
                "2 h",
                "over\n2 h",
                "complaint, id\nclaimed",
                "k\npaketku belum sampai\n(complaint, overdue; sari holds it)"
            ]
        );
        let later = QueueItem { due_at: Some(400_000), ..item() };
        assert_eq!(cells("k", &later, 31_000)[..3], ["61", "30 s", "in 6 min"]);
    }

    #[test]
    fn texts_are_cut_and_hold_no_control_characters() {
        assert_eq!(beginning("a\tb\n c\u{1b}[31m"), "a b c [31m");
        assert!(!beginning(&("\u{1b}[2J".to_owned() + &"kata ".repeat(40))).contains('\u{1b}'), "nor where it is cut");
        let long = beginning(&"kata ".repeat(40));
        assert!(long.ends_with('…') && long.chars().count() <= TEXT_SHOWN + 1, "{long}");
        assert_eq!(beginning(&"a".repeat(500)).chars().count(), TEXT_SHOWN + 1);
    }

    #[test]
    fn filters_take_what_they_say() {
        let args = ListArgs {
            queue: None,
            department: None,
            community: None,
            status: Vec::new(),
            mine: None,
            all: false,
            limit: 20,
            json: false,
        };
        let claimed =
            QueueItem { status: QueueStatus::Claimed, claimed_by: Some("sari".into()), claim_until: Some(9), ..item() };
        assert!(args.takes(&item(), 5) && !args.takes(&claimed, 5));
        assert!(ListArgs { mine: Some("sari".to_owned()), ..args }.takes(&claimed, 5));
    }
}
