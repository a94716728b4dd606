//! `sinyal ingest`: JSON Lines into the raw topics.

use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kafka_io::acl::Operation;
use kafka_io::feed::{Feed, FeedError};
use record::{Kind, Reason};
use serde::Deserialize;
use wire::{DecodeError, Framing, RawDecoder, RawEncoder, RawFormat};

use super::lines::{Found, open, read_line, source};
use super::waiting::{not_there, wait_for_brokers};
use crate::cli::{OK, OutsideError, REFUSED};
use crate::config::Config;
use crate::roles::raw_encoder;
use crate::telemetry::start_logging;

/// Arguments of `sinyal ingest`.
#[derive(Debug, clap::Args)]
pub(crate) struct IngestArgs {
    /// A file of JSON Lines; `-`: standard input. Each line is an object with `kind` (post or comment) and the fields of that
    /// schema; `truth` is ignored.
    file: PathBuf,
    /// At most so many records a second: 1 or more.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
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
#[derive(Debug)]
pub(super) struct Counts {
    /// Where the lines come from.
    source: String,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    by_reason: BTreeMap<String, u64>,
    /// Why no more could be read.
    unread: Option<anyhow::Error>,
}

impl Counts {
    pub(super) fn new(source: String) -> Counts {
        Counts { source, accepted: 0, refused: 0, by_reason: BTreeMap::new(), unread: None }
    }

    pub(super) fn refuse(&mut self, line: u64, reason: &str, detail: &str) {
        self.refused += 1;
        *self.by_reason.entry(reason.to_owned()).or_default() += 1;
        if self.refused <= SHOWN_MAX {
            eprintln!("{} line {line}: {reason}: {detail}", self.source);
        } else if self.refused == SHOWN_MAX + 1 {
            eprintln!("further refusals are only counted");
        }
    }

    /// Reads the next line into `line`: false of one that is too long, which is refused; nothing where there is no more, or no more can
    /// be read: what was, is sent and told of first.
    pub(super) fn read(
        &mut self,
        lines: &mut impl BufRead,
        number: u64,
        bytes_max: u64,
        line: &mut Vec<u8>,
    ) -> Option<bool> {
        match read_line(lines, bytes_max, line) {
            Ok(Found::Line) => Some(true),
            Ok(Found::TooLong) => {
                self.refuse(number, Reason::TooLarge.as_str(), &format!("longer than {bytes_max} bytes"));
                Some(false)
            }
            Ok(Found::End) => None,
            Err(error) => {
                let what = format!("{} cannot be read at line {number}", self.source);
                self.unread = Some(anyhow::Error::new(error).context(what));
                None
            }
        }
    }

    /// How the command ends, once all that was read was sent.
    ///
    /// # Errors
    /// If not all could be read.
    pub(super) fn end(self, allow_refused: bool) -> Result<u8> {
        match self.unread {
            Some(error) => Err(error),
            None => Ok(if self.refused > 0 && !allow_refused { REFUSED } else { OK }),
        }
    }

    /// What became of everything, in a line.
    pub(super) fn sum(&self, unknown_fields: u64) -> String {
        let mut sum = format!("{} accepted, {} refused", self.accepted, self.refused);
        if !self.by_reason.is_empty() {
            let reasons: Vec<String> =
                self.by_reason.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
            sum.push_str(&format!(" ({})", reasons.join(", ")));
        }
        if unknown_fields > 0 {
            sum.push_str(&format!(", {unknown_fields} unknown fields ignored"));
        }
        sum
    }
}

pub(crate) fn run(args: IngestArgs, config: &Config) -> Result<u8> {
    // Nobody is to wait for brokers to be told that there is no such file.
    let (mut lines, bytes) = open(&args.file)?;
    let mut encoder = raw_encoder(config)?;
    let topics = wait_for_brokers(config)?;
    // Only now: while it waits, its own lines say all that the client would.
    start_logging("warn", "auto")?;
    for name in [&config.topics.posts_raw, &config.topics.comments_raw] {
        // It is not made by the way: that is a decision about partitions and replicas.
        if !topics.iter().any(|topic| topic.name == *name) {
            return Err(not_there(Operation::Write, config, name));
        }
    }
    let feed = Feed::open(config.connection(), config.raw_record_bytes_max)?;
    let started = Instant::now();
    let mut counts = Counts::new(source(&args.file));
    let bar = progress(bytes);
    // JSON is longer than what it says; a line this long cannot become a record that is not.
    let line_bytes_max = config.raw_record_bytes_max as u64 * 2;
    let mut decoder = RawDecoder::new(RawFormat::Json, Framing::SingleObject, usize::MAX);
    let mut line = Vec::new();
    let mut value = Vec::new();
    for number in 1_u64.. {
        let Some(is_whole) = counts.read(&mut lines, number, line_bytes_max, &mut line) else { break };
        bar.inc(line.len() as u64);
        if !is_whole {
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
    deliver(&feed, counts.accepted, &config.connection().bootstrap)?;
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("{}, {seconds:.1} s", counts.sum(decoder.unknown_fields()));
    if feed.failed() > 0 {
        bail!("{} records were not taken by the brokers: {}", feed.failed(), feed.first_failure().unwrap_or_default());
    }
    counts.end(args.allow_refused)
}

/// One line becomes the value of a record; gives its topic and key.
pub(crate) fn one<'c>(
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

/// Keeps to the rate, serving deliveries meanwhile.
pub(super) fn pace(rate: Option<u32>, accepted: u64, started: Instant, feed: &Feed) {
    let Some(rate) = rate.filter(|&rate| rate > 0) else { return };
    let due = started + Duration::from_secs_f64(accepted as f64 / f64::from(rate));
    while let Some(left) = due.checked_duration_since(Instant::now()) {
        feed.rest(left.min(Duration::from_millis(50)));
    }
}

/// Waits for the brokers to take what is left, and says so while it takes long.
pub(super) fn deliver(feed: &Feed, accepted: u64, bootstrap: &str) -> Result<()> {
    for _ in 0..60 {
        match feed.flush(Duration::from_secs(5)) {
            // Whoever sent it says what else was not taken.
            Ok(()) if !feed.is_unauthorized() => return Ok(()),
            Ok(()) => {
                let why = feed.first_failure().unwrap_or_default();
                let failed = feed.failed();
                return Err(OutsideError(format!(
                    "not authorised: {failed} of {accepted} records were refused: {why}"
                ))
                .into());
            }
            Err(_) => eprintln!("waiting: {bootstrap} has taken {} of {accepted} records", feed.delivered()),
        }
    }
    let why = feed.first_failure().map(|why| format!(": {why}")).unwrap_or_default();
    bail!("the brokers at {bootstrap} did not take {} of {accepted} records{why}", accepted - feed.delivered());
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
    use std::path::Path;

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

    #[test]
    fn what_became_of_the_lines_is_summed_up() {
        let mut counts = Counts::new(source(Path::new("-")));
        assert_eq!(
            (counts.source.as_str(), source(Path::new("a/b.jsonl"))),
            ("standard input", "a/b.jsonl".to_owned())
        );
        counts.accepted = 3;
        assert_eq!(counts.sum(0), "3 accepted, 0 refused");
        counts.refuse(1, "malformed", "");
        assert_eq!(counts.sum(2), "3 accepted, 1 refused (malformed 1), 2 unknown fields ignored");
    }
}
