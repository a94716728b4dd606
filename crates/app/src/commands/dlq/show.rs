//! `sinyal dlq show`: one dead letter.

use std::io::Write as _;

use anyhow::Result;
use kafka_io::reader::OwnedRecord;

use super::super::stored::record_at;
use super::super::times::shown;
use super::super::waiting::wait_for_topic;
use super::letter::{Letter, place};
use crate::cli::{OK, OutsideError, say};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Its partition and offset on the dead-letter topic, as `dlq list` prints them.
    #[arg(value_name = "PARTITION:OFFSET", value_parser = place)]
    place: (i32, i64),
    /// Its value alone, byte for byte: it may hold what a person wrote, and what a terminal takes for commands.
    #[arg(long, conflicts_with = "json")]
    raw: bool,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ShowArgs, config: &Config) -> Result<u8> {
    let topic = config.topics.dead_letters.as_str();
    wait_for_topic(config, topic)?;
    let (partition, offset) = args.place;
    let found =
        record_at(config, topic, args.place)?.and_then(|record| Letter::read(&record).map(|letter| (record, letter)));
    let Some((record, letter)) = found else {
        return Err(
            OutsideError(format!("{topic}:{partition}:{offset}: there is no dead letter, or it is gone")).into()
        );
    };
    if args.raw {
        std::io::stdout().lock().write_all(record.value.as_deref().unwrap_or_default())?;
    } else if args.json {
        let mut told = letter.as_json(false);
        if let Some(fields) = told.as_object_mut() {
            // Whether it was redriven is known only to who reads the whole topic.
            fields.remove("redriven");
            fields.insert("headers".to_owned(), names(&record).into());
        }
        say(told)?;
    } else {
        say(words(&record, &letter).trim_end())?;
    }
    Ok(OK)
}

/// The names of the record's own headers; what they hold may be anybody's.
fn names(record: &OwnedRecord) -> Vec<String> {
    let own = record.headers.iter().filter(|(name, _)| !name.starts_with("sinyal."));
    own.map(|(name, _)| name.chars().filter(|one| !one.is_control()).collect()).collect()
}

fn words(record: &OwnedRecord, letter: &Letter) -> String {
    let mut lines = vec![
        ("dead letter", format!("{}:{}", letter.place.0, letter.place.1)),
        ("read from", letter.origin.clone()),
        ("refused by", letter.stage.clone()),
        ("reason", format!("{}: {}", letter.reason, letter.detail)),
        ("what next", next(&letter.disposition).to_owned()),
        ("value", letter.size()),
        ("key", letter.key_bytes.map_or("null".to_owned(), |bytes| format!("{bytes} B"))),
        ("own headers", names(record).join(", ")),
    ];
    if letter.is_cut {
        lines.push(("", "it was cut to fit, and cannot be redriven".to_owned()));
    }
    if let Some(at) = letter.original_timestamp {
        lines.push(("record's time", shown(at)));
    }
    if let Some(at) = letter.written_at {
        lines.push(("refused at", shown(at)));
    }
    if letter.attempts > 1 {
        lines.push(("attempts", format!("{}, first read from {}", letter.attempts, letter.first_origin)));
    }
    lines.iter().map(|(name, text)| format!("{name:<14} {text}\n")).collect()
}

fn next(disposition: &str) -> &'static str {
    match disposition {
        "redrive" => "redrive once the cause outside is mended: `sinyal dlq redrive`",
        "fix" => "the producer or a limit has to change first",
        "inspect" => "somebody has to look at it: --raw writes its bytes",
        _ => "it does not say",
    }
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::{letter, record};
    use super::*;

    #[test]
    fn it_is_told_without_its_content() {
        let told = words(&record(), &letter(&record()));
        for expected in [
            "dead letter    2:17\nread from      posts:1:42\n",
            "reason         unknown_schema: schema id 7 is not in the registry\n",
            "value          5 B\nkey            1 B\nown headers    traceparent, nothing\n",
        ] {
            assert!(told.contains(expected), "{expected:?} in\n{told}");
        }
        assert!(!told.contains("00-1"), "what a header holds is not shown");
    }
}
