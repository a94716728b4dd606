//! The doors by which text of others comes in, for the fuzz targets (`tests/fuzzed`): what is said of it, and nothing is done.
//!
//! Each gives what is right, or the reasons why it is not; what it says is of no use to others than tests.

use std::sync::LazyLock;
use std::time::Duration;

use classify::Classifier;
use record::{EpochMs, Reason};
use wire::{Framing, RawDecoder, RawEncoder, RawFormat};

use crate::commands::{classify as classify_command, corrections, ingest};
use crate::config::Config;
use crate::roles::notify;
use crate::{communities, config};

static DEFAULTS: LazyLock<Option<Config>> = LazyLock::new(|| Config::load(None, []).ok());

/// A configuration file and variables of the environment, as `--config` reads them.
///
/// # Errors
/// Every mistake.
pub fn configuration(text: &str, environment: Vec<(String, String)>) -> Result<(), Vec<String>> {
    Config::parse(Some(text), "sinyal.toml", environment).map(|_| ()).map_err(|errors| errors.0)
}

/// Every default, commented.
pub fn default_configuration() -> &'static str {
    config::DEFAULT
}

/// A registry of communities; how many it lists.
///
/// # Errors
/// Every mistake.
pub fn communities(text: &str, is_json: bool) -> Result<usize, Vec<String>> {
    communities::parse(text, is_json).map(|typed| typed.communities.len())
}

/// A line of `ingest`: the topic, key and value of the record that it becomes.
///
/// # Errors
/// Why it is refused.
pub fn ingest_line(line: &[u8]) -> Result<(String, String, Vec<u8>), (Reason, String)> {
    let Some(config) = &*DEFAULTS else { return Err((Reason::Malformed, "the defaults are wrong".to_owned())) };
    let mut decoder = RawDecoder::new(RawFormat::Json, Framing::SingleObject, usize::MAX);
    let mut value = Vec::new();
    let taken = ingest::one(line, &mut decoder, &mut RawEncoder::single_object(), &mut value, config);
    taken.map(|(topic, key)| (topic.to_owned(), key, value))
}

/// A line of `corrections import`.
///
/// # Errors
/// Why it is refused.
pub fn correction_line(line: &[u8], now: EpochMs) -> Result<(), (Reason, String)> {
    corrections::check_line(line, now)
}

/// A line of `classify`, as JSON or as text; the answer, if there is one.
///
/// # Errors
/// Why it is refused.
pub fn classify_line(classifier: &mut Classifier, line: &[u8], json: bool) -> Result<Option<String>, String> {
    classify_command::judge(classifier, line, json)
}

/// The body of `POST /v1/acknowledge`.
///
/// # Errors
/// What is wrong with it.
pub fn acknowledgement(body: &[u8], now: EpochMs) -> Result<(), String> {
    notify::check_body(body, now)
}

/// The header `Retry-After` of a target's answer.
pub fn retry_after(value: &str, now: EpochMs) -> Option<Duration> {
    notify::pause(value, now)
}
