//! Responders' actions, onto their topic; and waiting until what they do shows.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use kafka_io::acl::Operation;
use kafka_io::feed::Feed;
use kafka_io::reader::{OwnedRecord, Reader, Start};
use record::{Action, encode_key, limits};
use serde_json::{Value, json};
use wire::SchemaName;

use super::ingest::deliver;
use super::times::duration_up_to;
use super::waiting::wait_for_topic_to;
use crate::cli::say;
use crate::config::Config;
use crate::roles::encoder;

/// Longest reason, in bytes.
const REASON_BYTES_MAX: usize = 1_024;

/// Who acts, and how.
#[derive(Debug, clap::Args)]
pub(super) struct Acting {
    /// Who acts.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, value_parser = name)]
    pub(super) by: String,
    /// Wait until it shows, up to so long: 10s if nothing is said.
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "10s", require_equals = true,
        value_parser = |text: &str| duration_up_to(text, "10m"))]
    pub(super) wait: Option<i64>,
    /// Send it without looking first whether it fits what is there.
    #[arg(long)]
    pub(super) force: bool,
    /// One JSON object instead of words.
    #[arg(long)]
    pub(super) json: bool,
}

/// A name that may stand in an action.
pub(super) fn name(text: &str) -> Result<String, String> {
    let right = !text.trim().is_empty() && text.len() <= limits::ID_BYTES && !text.chars().any(char::is_control);
    if right { Ok(text.trim().to_owned()) } else { Err(format!("1 to {} bytes of text are right", limits::ID_BYTES)) }
}

/// A reason that may stand in an action.
pub(super) fn reason(text: &str) -> Result<String, String> {
    let right = !text.trim().is_empty() && text.len() <= REASON_BYTES_MAX;
    if right { Ok(text.trim().to_owned()) } else { Err(format!("1 to {REASON_BYTES_MAX} bytes of text are right")) }
}

/// Sends an action and waits until brokers have it.
pub(super) fn send(config: &Config, community: &str, action: &Action<'_>) -> Result<()> {
    // As the stage would refuse it, only sooner.
    if let Err((_, detail)) = pipeline::check_action(action, action.at) {
        bail!("nothing was sent: {detail}");
    }
    let topic = config.topics.actions.as_str();
    let mut encoder = encoder(config, SchemaName::Action, topic)?;
    wait_for_topic_to(Operation::Write, config, topic)?;
    let feed = Feed::open(config.connection(), limits::OUTPUT_BYTES)?;
    let mut value = Vec::new();
    encoder.encode(action, &mut value)?;
    feed.send(topic, Some(encode_key(&[community]).as_bytes()), Some(&value), None)?;
    deliver(&feed, 1, &config.connection().bootstrap)?;
    if feed.failed() > 0 {
        bail!("the action was not taken by the brokers: {}", feed.first_failure().unwrap_or_default());
    }
    Ok(())
}

/// Looks at what comes onto a topic after it was made.
pub(super) struct Watch {
    reader: Reader,
    patience: Duration,
}

impl Watch {
    /// From now on, for so many milliseconds.
    pub(super) fn begin(config: &Config, topic: &str, wait_ms: i64) -> Result<Watch> {
        let reader = Reader::open(config.connection(), topic, Start::End, Duration::from_secs(10))?;
        Ok(Watch { reader, patience: Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)) })
    }

    /// The first record of which `see` makes something; nothing if none comes in time.
    pub(super) fn until<R>(mut self, mut see: impl FnMut(OwnedRecord) -> Result<Option<R>>) -> Result<Option<R>> {
        let begun = Instant::now();
        while let Some(left) = self.patience.checked_sub(begun.elapsed()) {
            let Some(record) = self.reader.next(left.min(Duration::from_millis(200)))? else { continue };
            if let Some(found) = see(record)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// Says what was sent, and what became of it if that was waited for.
pub(super) fn tell(action: &Action<'_>, state: Option<&Value>, as_json: bool, words: &str) -> Result<()> {
    if as_json {
        let sent = serde_json::to_value(action)?;
        say(json!({ "action": sent, "state": state }))?;
    } else {
        say(words)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_reasons_are_bounded() {
        assert_eq!(name(" sari "), Ok("sari".to_owned()));
        for wrong in ["", "  ", "a\nb", &"a".repeat(257)] {
            assert!(name(wrong).is_err(), "{wrong:?}");
        }
        assert_eq!(reason("libur\nnasional"), Ok("libur\nnasional".to_owned()));
        assert!(reason(&"a".repeat(1_025)).is_err() && reason(" ").is_err());
    }
}
