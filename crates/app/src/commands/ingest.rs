//! `sinyal ingest`: JSON Lines into the raw topics.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kafka_io::admin::Admin;
use kafka_io::feed::{Feed, FeedError};
use record::{Kind, Reason};
use serde::Deserialize;
use wire::{DecodeError, Framing, RawDecoder, RawEncoder, RawFormat, SchemaName};

use crate::cli::{OK, REFUSED};
use crate::commands::classify::skip_line;
use crate::config::Config;
use crate::registry::Registry;
use crate::telemetry::start_logging;

/// Arguments of `sinyal ingest`.
#[derive(Debug, clap::Args)]
pub(crate) struct IngestArgs {
    /// A file of JSON Lines; `-`: standard input. Each line is an object with `kind` (post or comment) and the fields of that
    /// schema; `truth` is ignored.
    file: PathBuf,
    /// At most so many records a second.
    #[arg(long)]
    rate: Option<u32>,
    /// End with 0 even if lines were refused.
    #[arg(long)]
    allow_refused: bool,
}

/// Most refusals that are shown one by one.
const SHOWN_MAX: u64 = 20;

#[derive(Deserialize)]
struct KindOnly {
    kind: Kind,
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Counts {
    accepted: u64,
    refused: u64,
    by_reason: BTreeMap<String, u64>,
}

impl Counts {
    fn refuse(&mut self, line: u64, reason: &str, detail: &str) {
        self.refused += 1;
        *self.by_reason.entry(reason.to_owned()).or_default() += 1;
        if self.refused <= SHOWN_MAX {
            eprintln!("line {line}: {reason}: {detail}");
        } else if self.refused == SHOWN_MAX + 1 {
            eprintln!("further refusals are only counted");
        }
    }
}

pub(crate) fn run(args: IngestArgs, config: &Config) -> Result<u8> {
    start_logging("warn", "auto")?;
    let mut encoder = encoder(config)?;
    wait_for_topics(config)?;
    let feed = Feed::open(config.connection(), config.raw_record_bytes_max)?;
    let started = Instant::now();
    let (mut lines, bytes): (Box<dyn BufRead>, Option<u64>) = if args.file.as_os_str() == "-" {
        (Box::new(BufReader::new(std::io::stdin())), None)
    } else {
        let file = File::open(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
        let bytes = file.metadata().ok().map(|metadata| metadata.len());
        (Box::new(BufReader::with_capacity(1 << 16, file)), bytes)
    };
    let bar = progress(bytes);
    // JSON is longer than what it says; a line this long cannot become a record that is not.
    let line_bytes_max = config.raw_record_bytes_max as u64 * 2;
    let mut decoder = RawDecoder::new(RawFormat::Json, Framing::SingleObject, usize::MAX);
    let mut counts = Counts::default();
    let mut line = Vec::new();
    let mut value = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = lines.by_ref().take(line_bytes_max + 1).read_until(b'\n', &mut line)?;
        if read == 0 {
            break;
        }
        bar.inc(read as u64);
        if line.len() as u64 > line_bytes_max {
            skip_line(&mut lines)?;
            counts.refuse(number, Reason::TooLarge.as_str(), &format!("longer than {line_bytes_max} bytes"));
            continue;
        }
        while line.last().is_some_and(u8::is_ascii_whitespace) {
            line.pop();
        }
        if line.is_empty() {
            continue;
        }
        match one(&line, &mut decoder, &mut encoder, &mut value, config) {
            Ok((topic, key)) => match feed.send(topic, Some(key.as_bytes()), Some(&value), None) {
                Ok(()) => counts.accepted += 1,
                Err(FeedError::Refused(detail)) => counts.refuse(number, "not_produced", &detail),
                Err(error) => return Err(error.into()),
            },
            Err((reason, detail)) => counts.refuse(number, reason.as_str(), &detail),
        }
        pace(args.rate, counts.accepted, started, &feed);
        if counts.accepted.is_multiple_of(1_000) {
            bar.set_message(format!("{} accepted, {} refused", counts.accepted, counts.refused));
        }
    }
    deliver(&feed, counts.accepted)?;
    bar.finish_and_clear();
    let reasons: Vec<String> = counts.by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join(", ")) };
    eprintln!(
        "{} accepted, {} refused{reasons}, {:.1} s",
        counts.accepted,
        counts.refused,
        started.elapsed().as_secs_f64()
    );
    if feed.failed() > 0 {
        bail!("{} records were not taken by the brokers", feed.failed());
    }
    Ok(if counts.refused > 0 && !args.allow_refused { REFUSED } else { OK })
}

/// One line becomes the value of a record; gives its topic and key.
fn one<'c>(
    line: &[u8],
    decoder: &mut RawDecoder,
    encoder: &mut RawEncoder,
    value: &mut Vec<u8>,
    config: &'c Config,
) -> Result<(&'c str, String), (Reason, String)> {
    let KindOnly { kind } = serde_json::from_slice(line).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            (Reason::MissingField, "kind is missing or unknown; \"post\" or \"comment\" is right".to_owned())
        }
        _ => (Reason::Malformed, format!("no valid JSON at column {}", error.column())),
    })?;
    let interaction = decoder.decode(kind, line).map_err(|error| match error {
        DecodeError::Reject(rejection) => (rejection.reason, rejection.detail),
        DecodeError::NeedsSchema(_) => (Reason::UnknownSchema, "JSON needs no schema".to_owned()),
    })?;
    value.clear();
    encoder.encode(&interaction, value).map_err(|error| (Reason::Malformed, error.to_string()))?;
    if value.len() > config.raw_record_bytes_max {
        let detail = format!("{} bytes; at most {} are right", value.len(), config.raw_record_bytes_max);
        return Err((Reason::TooLarge, detail));
    }
    let topic = match kind {
        Kind::Post => &config.topics.posts_raw,
        Kind::Comment => &config.topics.comments_raw,
    };
    Ok((topic, interaction.identity().key()))
}

fn encoder(config: &Config) -> Result<RawEncoder> {
    if config.raw_format == RawFormat::Json {
        return Ok(RawEncoder::Json);
    }
    let Some(settings) = &config.registry else { return Ok(RawEncoder::single_object()) };
    let registry = Registry::new(settings);
    let id = |topic: &str, schema: SchemaName| -> Result<u32> {
        let subject = format!("{topic}-value");
        registry.lookup(&subject, schema.text())?.with_context(|| {
            format!(
                "subject {subject} does not have schema {}; `sinyal schemas register` registers it",
                schema.as_str()
            )
        })
    };
    Ok(RawEncoder::confluent(
        id(&config.topics.posts_raw, SchemaName::Post)?,
        id(&config.topics.comments_raw, SchemaName::Comment)?,
    ))
}

/// Waits for the brokers; what is missing there is a mistake that waiting does not mend.
fn wait_for_topics(config: &Config) -> Result<()> {
    let admin = Admin::new(config.connection(), Duration::from_secs(5))?;
    loop {
        match admin.topics() {
            Ok((topics, _)) => {
                for name in [&config.topics.posts_raw, &config.topics.comments_raw] {
                    if !topics.iter().any(|topic| topic.name == *name) {
                        bail!("topic {name} is missing; `sinyal topics apply` makes it");
                    }
                }
                return Ok(());
            }
            Err(error) => eprintln!("waiting: {error}"),
        }
    }
}

/// Keeps to the rate, serving deliveries meanwhile.
fn pace(rate: Option<u32>, accepted: u64, started: Instant, feed: &Feed) {
    let Some(rate) = rate.filter(|&rate| rate > 0) else { return };
    let due = started + Duration::from_secs_f64(accepted as f64 / f64::from(rate));
    while let Some(left) = due.checked_duration_since(Instant::now()) {
        feed.poll(left.min(Duration::from_millis(50)));
    }
}

/// Waits for the brokers to take what is left, and says so while it takes long.
fn deliver(feed: &Feed, accepted: u64) -> Result<()> {
    for _ in 0..60 {
        match feed.flush(Duration::from_secs(5)) {
            Ok(()) => return Ok(()),
            Err(_) => eprintln!("waiting: {} of {accepted} records are delivered", feed.delivered()),
        }
    }
    bail!("the brokers did not take {} of {accepted} records", accepted - feed.delivered());
}

fn progress(bytes: Option<u64>) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match bytes {
        Some(bytes) => (ProgressBar::new(bytes), "{bar:40} {bytes}/{total_bytes} {eta} {msg}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg}"),
    };
    bar.with_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_taken_or_refused_with_its_reason() {
        let config = Config::load(None, []).unwrap();
        let mut decoder = RawDecoder::new(RawFormat::Json, Framing::SingleObject, usize::MAX);
        let mut encoder = RawEncoder::single_object();
        let mut value = Vec::new();
        let mut check = |line: &str| {
            one(line.as_bytes(), &mut decoder, &mut encoder, &mut value, &config)
                .map(|(topic, key)| (topic.to_owned(), key))
                .map_err(|(reason, _)| reason)
        };
        let fields = r#""id":"1","community_id":"c","created_at":1,"observed_at":1"#;
        assert_eq!(
            check(&format!(r#"{{"kind":"comment",{fields},"truth":{{}}}}"#)),
            Ok(("social.comments.raw".to_owned(), "c|comment|1".to_owned()))
        );
        assert_eq!(check("{"), Err(Reason::Malformed));
        assert_eq!(check(&format!("{{{fields}}}")), Err(Reason::MissingField));
        assert_eq!(check(r#"{"kind":"post","id":"1"}"#), Err(Reason::MissingField));
        let long = "a".repeat(1_100_000);
        assert_eq!(check(&format!(r#"{{"kind":"post",{fields},"text":"{long}"}}"#)), Err(Reason::TooLarge));
    }
}
