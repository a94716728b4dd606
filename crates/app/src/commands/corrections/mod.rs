//! `sinyal corrections add|import|export`: what responders know better than the model.

mod export;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use kafka_io::acl::Operation;
use kafka_io::feed::{Feed, FeedError};
use record::{Correction, EpochMs, Kind, Label, Reason, encode_key};
use serde::Deserialize;
use wire::{Encoder, SchemaName};

use super::ingest::{Counts, deliver};
use super::lines::{open, source};
use super::mistakes::json_mistake;
use super::waiting::wait_for_topic_to;
use crate::config::Config;
use crate::roles::encoder;

/// Arguments of `sinyal corrections`.
#[derive(Debug, clap::Args)]
pub(crate) struct CorrectionsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// One correction.
    Add(AddArgs),
    /// Many, as JSON Lines: objects with `community_id`, `kind`, `id`, `label` or `queue`, `by`, and, if you like, `at` (epoch
    /// milliseconds; now if it is left out) and `reason`.
    Import {
        /// The file; `-`: standard input.
        file: PathBuf,
    },
    /// Corrections with the texts that they are of, as rows that `sinyal model train` reads.
    ///
    /// One row for each interaction whose label was corrected, by the last correction of it: id, lang, source, label, ambiguous,
    /// text. Ids are pseudonyms of identities under the configured secret; handles, e-mail addresses and links in texts are masked.
    /// Only what has a text on the topics still and was not retracted.
    #[command(after_help = "\
Examples:
  sinyal corrections export > corrections.tsv
  sinyal corrections export --format jsonl --since 30d")]
    Export(export::ExportArgs),
}

#[derive(Debug, clap::Args)]
struct AddArgs {
    /// The community of the interaction.
    #[arg(long)]
    community: String,
    /// What it is: post or comment.
    #[arg(long, value_parser = parse::<Kind>)]
    kind: Kind,
    /// Its id.
    #[arg(long)]
    id: String,
    /// The right label: complaint, tip, experience, praise or other.
    #[arg(long, value_parser = parse::<Label>, required_unless_present = "queue")]
    label: Option<Label>,
    /// The right queue; without it the label's.
    #[arg(long)]
    queue: Option<String>,
    /// Who corrects.
    #[arg(long)]
    by: String,
    /// Why.
    #[arg(long)]
    reason: Option<String>,
}

/// A line of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    community_id: String,
    kind: Kind,
    id: String,
    label: Option<Label>,
    queue: Option<String>,
    by: String,
    at: Option<EpochMs>,
    reason: Option<String>,
}

impl Line {
    fn read(line: &[u8]) -> Result<Line, (Reason, String)> {
        serde_json::from_slice(line).map_err(|error| (Reason::Malformed, json_mistake(&error)))
    }

    /// The correction that it means, such as the community stage takes it.
    fn correction(&self, now: EpochMs) -> Result<Correction<'_>, (Reason, String)> {
        let correction = Correction {
            community_id: self.community_id.as_str().into(),
            kind: self.kind,
            id: self.id.as_str().into(),
            label: self.label,
            queue: self.queue.as_deref().map(Into::into),
            by: self.by.as_str().into(),
            at: self.at.unwrap_or(now),
            reason: self.reason.as_deref().map(Into::into),
        };
        pipeline::check_correction(&correction, now).map(|()| correction)
    }
}

/// Whether `import` would send a line.
///
/// # Errors
/// Why not.
pub(crate) fn check_line(line: &[u8], now: EpochMs) -> Result<(), (Reason, String)> {
    Line::read(line)?.correction(now).map(|_| ())
}

/// Longest line, in bytes: well beyond what a correction may hold.
const LINE_BYTES_MAX: u64 = 65_536;

/// A name as it is on the wire.
pub(super) fn parse<T: serde::de::DeserializeOwned>(name: &str) -> Result<T, String> {
    serde_json::from_value(name.into()).map_err(|error: serde_json::Error| error.to_string())
}

pub(crate) fn run(args: CorrectionsArgs, config: &Config) -> Result<u8> {
    match args.command {
        Command::Add(add) => send(config, |sender, feed| {
            let AddArgs { community, kind, id, label, queue, by, reason } = add;
            let line = Line { community_id: community, kind, id, label, queue, by, at: None, reason };
            if let Err((_, detail)) = sender.send(&line, feed)? {
                bail!(detail);
            }
            let mut counts = Counts::new("the command line".to_owned());
            counts.accepted = 1;
            Ok(counts)
        }),
        Command::Import { file } => send(config, |sender, feed| import(&file, sender, feed)),
        Command::Export(args) => export::run(&args, config),
    }
}

/// Opens the topic, lets `what` send, and waits until brokers have it.
fn send(config: &Config, what: impl FnOnce(&mut Sender<'_>, &Feed) -> Result<Counts>) -> Result<u8> {
    let topic = config.topics.corrections.as_str();
    let encoder = encoder(config, SchemaName::Correction, topic)?;
    let queues = config.routing.queues().iter().map(|queue| queue.spec.name.as_str()).collect();
    let mut sender = Sender { encoder, value: Vec::new(), topic, queues };
    wait_for_topic_to(Operation::Write, config, topic)?;
    let feed = Feed::open(config.connection(), config.raw_record_bytes_max)?;
    let counts = what(&mut sender, &feed)?;
    deliver(&feed, counts.accepted, &config.connection().bootstrap)?;
    eprintln!("{}", counts.sum(0));
    if feed.failed() > 0 {
        bail!("{} records were not taken by the brokers: {}", feed.failed(), feed.first_failure().unwrap_or_default());
    }
    counts.end(false)
}

fn import(file: &Path, sender: &mut Sender<'_>, feed: &Feed) -> Result<Counts> {
    let mut counts = Counts::new(source(file));
    let (mut lines, _) = open(file)?;
    let mut line = Vec::new();
    for number in 1_u64.. {
        let Some(is_whole) = counts.read(&mut lines, number, LINE_BYTES_MAX, &mut line) else { break };
        if !is_whole || line.trim_ascii().is_empty() {
            continue;
        }
        let sent = match Line::read(&line) {
            Ok(line) => sender.send(&line, feed)?,
            Err(refused) => Err(refused),
        };
        match sent {
            Ok(()) => counts.accepted += 1,
            Err((reason, detail)) => counts.refuse(number, reason.as_str(), &detail),
        }
    }
    Ok(counts)
}

/// Encodes corrections for their topic.
struct Sender<'a> {
    encoder: Encoder,
    value: Vec<u8>,
    topic: &'a str,
    /// Those that there are: into another one nobody looks.
    queues: Vec<&'a str>,
}

impl Sender<'_> {
    /// Sends one; the inner error is what is wrong with it.
    fn send(&mut self, line: &Line, feed: &Feed) -> Result<Result<(), (Reason, String)>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let now = EpochMs::try_from(now.as_millis())?;
        let correction = match line.correction(now) {
            Ok(correction) => correction,
            Err(refused) => return Ok(Err(refused)),
        };
        if line.queue.as_deref().is_some_and(|queue| !self.queues.contains(&queue)) {
            let detail = format!("there is no queue of that name; {} is right", self.queues.join(", "));
            return Ok(Err((Reason::Malformed, detail)));
        }
        self.value.clear();
        self.encoder.encode(&correction, &mut self.value)?;
        let key = encode_key(&[&line.community_id]);
        match feed.send(self.topic, Some(key.as_bytes()), Some(&self.value), None) {
            Ok(()) => Ok(Ok(())),
            Err(FeedError::Refused(detail)) => Ok(Err((Reason::TooLarge, detail))),
            Err(error) => Err(error.into()),
        }
    }
}
