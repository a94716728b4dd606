//! What operators, crawlers and other services hand to the binary as TOML, JSON or headers.

use std::cell::RefCell;

use classify::Classifier;
use record::{Kind, Label, decode_key};
use wire::{Framing, RawDecoder, RawFormat};

use crate::stages::NOW;
use crate::texts::text_of;

/// Begins the name of a variable of the environment that is ours.
const VARIABLE: &str = "SINYAL__";

thread_local! {
    static CLASSIFIER: RefCell<Classifier> = RefCell::new(Classifier::embedded());
}

/// A configuration up to a zero byte; variables of the environment by lines after it.
pub fn configuration(bytes: &[u8]) {
    let (file, environment) = match bytes.iter().position(|&byte| byte == 0) {
        Some(end) => (text_of(&bytes[..end]), text_of(&bytes[end + 1..])),
        None => (text_of(bytes), ""),
    };
    let variables = environment.lines().filter_map(|line| line.split_once('='));
    let variables = variables.map(|(name, value)| (format!("{VARIABLE}{name}"), value.to_owned()));
    let variables: Vec<(String, String)> = variables.collect();
    // No file of this machine is opened: there are those that never end.
    let named = |name: &str, value: &str| !value.is_empty() && name.to_lowercase().contains("file");
    if variables.iter().any(|(name, value)| named(name, value)) {
        return;
    }
    if let Ok(table) = file.parse::<toml::Table>()
        && names_a_file(&toml::Value::Table(table), "")
    {
        return;
    }
    if let Err(errors) = sinyal::doors::configuration(file, variables) {
        check_errors(&errors);
    }
}

fn names_a_file(value: &toml::Value, key: &str) -> bool {
    match value {
        toml::Value::Table(table) => table.iter().any(|(name, value)| names_a_file(value, &format!("{key}.{name}"))),
        toml::Value::Array(items) => items.iter().any(|item| names_a_file(item, key)),
        toml::Value::String(text) => key.contains("file") && !text.is_empty(),
        _ => false,
    }
}

/// A registry of communities: JSON where it begins with a brace, else TOML.
pub fn communities(bytes: &[u8]) {
    let text = text_of(bytes);
    if let Err(errors) = sinyal::doors::communities(text, text.trim_start().starts_with('{')) {
        check_errors(&errors);
    }
}

/// Whoever made a mistake is told of it.
fn check_errors(errors: &[String]) {
    assert!(!errors.is_empty() && errors.iter().all(|error| !error.trim().is_empty()), "refused without a reason");
}

/// A line of `ingest`: what is taken becomes a record that the classify stage can read, with a key that names it.
pub fn ingest(line: &[u8]) {
    match sinyal::doors::ingest_line(line) {
        Ok((topic, key, value)) => {
            let kind = if topic == "social.posts.raw" { Kind::Post } else { Kind::Comment };
            let mut decoder = RawDecoder::new(RawFormat::Avro, Framing::SingleObject, usize::MAX);
            let interaction = decoder.decode(kind, &value).expect("what was taken can be read");
            let parts = decode_key(&key).expect("a key of ours can be read");
            assert!(parts == [&*interaction.community_id, kind.as_str(), &*interaction.id], "the key names another");
        }
        Err((_, detail)) => assert!(detail.len() < 2_000, "a detail of {} bytes", detail.len()),
    }
}

/// What others send by HTTP, and lines of files: the first byte says which.
pub fn requests(bytes: &[u8]) {
    let Some((&which, rest)) = bytes.split_first() else { return };
    match which % 5 {
        0 => {
            let _ = sinyal::doors::acknowledgement(rest, NOW);
        }
        1 => {
            let pause = sinyal::doors::retry_after(text_of(rest), NOW);
            assert!(pause.is_none_or(|pause| pause.as_secs() <= 3_600), "a pause of {pause:?}");
        }
        2 => {
            let _ = sinyal::doors::correction_line(rest, NOW);
        }
        json => CLASSIFIER.with_borrow_mut(|classifier| {
            if let Ok(Some(answer)) = sinyal::doors::classify_line(classifier, rest, json == 3) {
                let named = |label: Label| answer.contains(label.as_str());
                assert!(Label::ALL.into_iter().any(named), "an answer without a label");
            }
        }),
    }
}
