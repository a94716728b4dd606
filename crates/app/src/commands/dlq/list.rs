//! `sinyal dlq list`: which dead letters there are.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use comfy_table::{ContentArrangement, Table, presets};
use record::EpochMs;
use serde_json::json;

use super::super::stored::each_record;
use super::super::tables::cut;
use super::super::times::{now_ms, short, shown};
use super::super::waiting::wait_for_topic;
use super::Filter;
use super::letter::{Letter, receipt};
use super::redrive::Receipts;
use crate::cli::{OK, say};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    filter: Filter,
    /// How many there are, by reason, stage and topic of origin, instead of one by one.
    #[arg(long)]
    group: bool,
    /// At most so many, the newest: 1 to 10000.
    #[arg(long, short = 'n', default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    /// JSON Lines.
    #[arg(long)]
    json: bool,
}

/// What is said of those of one kind.
#[derive(Debug, Default)]
struct Sum {
    count: u64,
    bytes: u64,
    cut: u64,
    first: Option<EpochMs>,
    last: Option<EpochMs>,
}

/// Reason, stage, topic of origin and disposition.
type GroupKey = (String, String, String, String);

pub(super) fn run(args: &ListArgs, config: &Config) -> Result<u8> {
    let topic = config.topics.dead_letters.as_str();
    wait_for_topic(config, topic)?;
    let now = now_ms();
    let mut receipts = Receipts::default();
    let mut groups: BTreeMap<GroupKey, Sum> = BTreeMap::new();
    // By time, so that the oldest makes room.
    let mut newest: BTreeMap<(EpochMs, i32, i64), Letter> = BTreeMap::new();
    let mut count = 0_u64;
    each_record(config, topic, |record| {
        if let Some(place) = receipt(&record) {
            return receipts.add(place);
        }
        let Some(letter) = Letter::read(&record).filter(|letter| args.filter.takes(letter, now)) else { return Ok(()) };
        count += 1;
        add(&mut groups, &letter);
        newest.insert((letter.written_at.unwrap_or(0), letter.place.0, letter.place.1), letter);
        if newest.len() > usize::from(args.limit) {
            newest.pop_first();
        }
        Ok(())
    })?;
    if args.group {
        print_groups(groups, args.json, now)
    } else {
        print_letters(&newest, &receipts, count, args.json, now)
    }
}

fn add(groups: &mut BTreeMap<GroupKey, Sum>, letter: &Letter) {
    let key =
        (letter.reason.clone(), letter.stage.clone(), letter.origin_topic().to_owned(), letter.disposition.clone());
    let sum = groups.entry(key).or_default();
    sum.count += 1;
    sum.bytes += letter.value_bytes.unwrap_or(0) as u64;
    sum.cut += u64::from(letter.is_cut);
    sum.first = [sum.first, letter.written_at].into_iter().flatten().min();
    sum.last = sum.last.max(letter.written_at);
}

fn print_groups(groups: BTreeMap<GroupKey, Sum>, as_json: bool, now: EpochMs) -> Result<u8> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["count", "what and where from", "next", "cut", "newest"]);
    let mut groups: Vec<(GroupKey, Sum)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.count));
    for ((reason, stage, topic, disposition), sum) in &groups {
        if as_json {
            say(json!({
                "reason": reason, "stage": stage, "topic": topic, "disposition": disposition, "count": sum.count,
                "value_bytes": sum.bytes, "cut": sum.cut, "first_written_at": sum.first, "last_written_at": sum.last,
            }))?;
            continue;
        }
        table.add_row([
            sum.count.to_string(),
            format!("{reason} ({stage})\n{topic}, {} B", sum.bytes),
            disposition.clone(),
            sum.cut.to_string(),
            sum.last.map_or("-".to_owned(), |at| format!("{} ago", short(now - at))),
        ]);
    }
    if !as_json {
        if groups.is_empty() { say("no dead letters")? } else { say(table)? }
    }
    Ok(OK)
}

fn print_letters(
    newest: &BTreeMap<(EpochMs, i32, i64), Letter>,
    receipts: &Receipts,
    count: u64,
    as_json: bool,
    now: EpochMs,
) -> Result<u8> {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["id", "age", "what and where from", "size", "next"]);
    for letter in newest.values().rev() {
        let redriven = receipts.has(letter.place);
        if as_json {
            say(letter.as_json(redriven))?;
        } else {
            table.add_row(cells(letter, redriven, now));
        }
    }
    if as_json {
        cut(usize::try_from(count).unwrap_or(usize::MAX), newest.len());
    } else {
        if count == 0 {
            say("no dead letters")?;
        } else {
            say(table)?;
            let more = if count > newest.len() as u64 { "; --limit shows more, --group sums up" } else { "" };
            say(format!("{} of {count}{more}", newest.len()))?;
        }
        let stages: BTreeSet<&str> = newest.values().map(|letter| letter.stage.as_str()).collect();
        if stages.contains("") {
            eprintln!("some say nothing of a stage: somebody else wrote them here");
        }
        if let Some(oldest) = newest.values().next().and_then(|letter| letter.written_at).filter(|_| count > 0) {
            say(format!("the oldest of these was written at {}", shown(oldest)))?;
        }
    }
    Ok(OK)
}

fn cells(letter: &Letter, redriven: bool, now: EpochMs) -> [String; 5] {
    let mut next = letter.disposition.clone();
    if redriven {
        next += "\nredriven";
    }
    if letter.attempts > 1 {
        next += &format!("\nattempt {}", letter.attempts);
    }
    let origin = if letter.origin.is_empty() { "origin unknown" } else { &letter.origin };
    [
        format!("{}:{}", letter.place.0, letter.place.1),
        letter.written_at.map_or("-".to_owned(), |at| short(now - at)),
        format!("{} ({})\n{}\n{origin}", letter.reason, letter.stage, letter.detail),
        letter.size(),
        next,
    ]
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::{letter, record};
    use super::*;

    #[test]
    fn a_row_says_what_is_wrong_and_nothing_of_the_content() {
        let shown = cells(&letter(&record()), true, 67_000);
        let detail = "unknown_schema (classify)\nschema id 7 is not in the registry\nposts:1:42";
        assert_eq!(shown, ["2:17", "1 min", detail, "5 B", "redrive\nredriven"]);
        assert!(!shown.concat().contains("value"));
    }

    #[test]
    fn those_of_a_kind_are_summed_up() {
        let mut groups = BTreeMap::new();
        let one = letter(&record());
        add(&mut groups, &one);
        add(&mut groups, &Letter { written_at: Some(3_000), is_cut: true, ..one.clone() });
        add(&mut groups, &Letter { reason: "malformed".to_owned(), ..one });
        let (_, sum) = groups.last_key_value().unwrap();
        assert_eq!((groups.len(), sum.count, sum.bytes, sum.cut), (2, 2, 10, 1));
        assert_eq!((sum.first, sum.last), (Some(3_000), Some(7_000)));
    }
}
