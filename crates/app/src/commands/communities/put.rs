//! `sinyal communities put`: a file's communities onto the registry's topic.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use kafka_io::feed::Feed;
use record::CommunityEntry;
use rules::{CommunitySpec, spec_limits};
use serde_json::{Value, json};
use wire::{Encoder, OfCommunity, SchemaName};

use crate::cli::{OK, say};
use crate::commands::ingest::deliver;
use crate::commands::stored::{Decoding, each_record};
use crate::commands::waiting::wait_for_topic;
use crate::communities::{BYTES_MAX, Typed, entry_of, key_of, read};
use crate::config::{Config, ConfigErrors};
use crate::roles::encoder;
use crate::telemetry::start_logging;

/// Room for the largest community that the limits allow, in bytes.
const RECORD_BYTES_MAX: usize = 1_000_000;

/// Arguments of `sinyal communities put`.
#[derive(Debug, clap::Args)]
pub(crate) struct PutArgs {
    /// The file: TOML, or JSON where its name ends in .json. It must be right as a whole.
    file: PathBuf,
    /// Take out of the topic what the file does not have.
    #[arg(long)]
    prune: bool,
    /// Do nothing: say what would be put and taken out, by key.
    #[arg(long)]
    dry_run: bool,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

/// A community as it is on the topic.
struct There {
    bytes: usize,
    /// Nothing where it cannot be read.
    entry: Option<CommunityEntry>,
}

/// What is to be done to the topic, by key.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    put: Vec<(String, Vec<u8>)>,
    removed: Vec<Vec<u8>>,
    unchanged: usize,
    /// On the topic and not in the file, and to stay.
    others: usize,
}

/// `sinyal communities put`.
///
/// # Errors
/// Every mistake in the file; else if the topic cannot be read or written.
pub(crate) fn put(args: &PutArgs, config: &Config) -> Result<u8> {
    start_logging("warn", "auto")?;
    let Some(topic) = &config.communities_topic else {
        let right = "the registry's topic, such as \"social.communities\", is right";
        return Err(ConfigErrors(vec![format!("communities.topic is \"\"; {right}")]).into());
    };
    let typed = read(&args.file).map_err(ConfigErrors)?;
    if args.prune && typed.communities.is_empty() && typed.default == CommunitySpec::default() {
        let what = "no community is in it, and --prune would take out all that there are";
        let right = "a file with those that stay is right, or communities.topic = \"\" for no registry at all";
        return Err(ConfigErrors(vec![format!("{}: {what}; {right}", args.file.display())]).into());
    }
    let mut encoder = encoder(config, SchemaName::Community, topic)?;
    wait_for_topic(config, topic)?;
    let plan = plan(&typed, &what_is_there(config, topic)?, args.prune, &mut encoder)?;
    if args.dry_run {
        plan.tell(topic, args.json)?;
        return Ok(OK);
    }
    let feed = Feed::open(config.connection(), RECORD_BYTES_MAX)?;
    let removed = plan.removed.iter().map(|key| (key.as_slice(), None));
    let records = plan.put.iter().map(|(key, value)| (key.as_bytes(), Some(value.as_slice()))).chain(removed);
    for (key, value) in records {
        feed.send(topic, Some(key), value, None)?;
    }
    let sent = plan.put.len() + plan.removed.len();
    deliver(&feed, sent as u64, &config.connection().bootstrap)?;
    if feed.failed() > 0 {
        let why = feed.first_failure().unwrap_or_default();
        bail!("{} of {sent} records were not taken by the brokers: {why}", feed.failed());
    }
    if args.json {
        say(plan.counts(topic))?;
    } else {
        say(plan.summary(topic, ["put", "taken out"]))?;
    }
    Ok(OK)
}

impl Plan {
    /// What would be done.
    fn tell(&self, topic: &str, as_json: bool) -> Result<()> {
        let keys = self.put.iter().map(|(key, _)| key.clone());
        let removed = self.removed.iter().map(|key| String::from_utf8_lossy(key).into_owned());
        if as_json {
            let mut told = self.counts(topic);
            told["put_keys"] = keys.collect();
            told["removed_keys"] = removed.collect();
            say(told)?;
            return Ok(());
        }
        keys.map(|key| format!("put {key}")).chain(removed.map(|key| format!("take out {key}"))).try_for_each(say)?;
        say(self.summary(topic, ["to put", "to take out"]))?;
        Ok(())
    }

    fn counts(&self, topic: &str) -> Value {
        let Plan { put, removed, unchanged, others } = self;
        let (put, removed) = (put.len(), removed.len());
        json!({ "topic": topic, "put": put, "unchanged": unchanged, "removed": removed, "others": others })
    }

    fn summary(&self, topic: &str, [put, taken_out]: [&str; 2]) -> String {
        let more = match self.others {
            0 => String::new(),
            others => format!("; {others} more are there that the file does not have (--prune takes them out)"),
        };
        let (to_put, to_remove) = (self.put.len(), self.removed.len());
        format!("{topic}: {to_put} {put}, {} as they were, {to_remove} {taken_out}{more}", self.unchanged)
    }
}

/// The newest record of each key.
fn what_is_there(config: &Config, topic: &str) -> Result<BTreeMap<Vec<u8>, There>> {
    // Some of those that are there may not be listed, for want of room.
    let most = 2 * spec_limits::COMMUNITIES;
    let mut decoding = Decoding::<OfCommunity>::new(config);
    let mut there = BTreeMap::new();
    each_record(config, topic, |record| {
        let Some(key) = record.key else { return Ok(()) };
        let Some(value) = record.value else {
            there.remove(&key);
            return Ok(());
        };
        if there.len() >= most && !there.contains_key(&key) {
            bail!("topic {topic} holds more than {most} communities; at most {} are right", spec_limits::COMMUNITIES);
        }
        there.insert(key, There { bytes: value.len(), entry: decoding.decode(&value)? });
        Ok(())
    })?;
    Ok(there)
}

/// What makes the topic say what the file does.
fn plan(typed: &Typed, there: &BTreeMap<Vec<u8>, There>, prune: bool, encoder: &mut Encoder) -> Result<Plan> {
    let mut plan = Plan::default();
    let mut wanted = BTreeMap::new();
    // A default that says nothing is none.
    let default = Some(&typed.default).filter(|default| **default != CommunitySpec::default());
    for spec in typed.communities.iter().chain(default) {
        let mut value = Vec::new();
        let entry = entry_of(spec);
        encoder.encode(&entry, &mut value)?;
        wanted.insert(key_of(&spec.id).into_bytes(), (key_of(&spec.id), entry, value));
    }
    let others: Vec<(&Vec<u8>, &There)> = there.iter().filter(|(key, _)| !wanted.contains_key(*key)).collect();
    if prune {
        plan.removed.extend(others.iter().map(|(key, _)| (*key).clone()));
    } else {
        plan.others = others.len();
        let count = others.len() + wanted.len();
        let bytes = others.iter().map(|(_, there)| there.bytes).chain(wanted.values().map(|(_, _, value)| value.len()));
        let bytes: usize = bytes.sum();
        // The default is not counted as a community, one more or less.
        if count > spec_limits::COMMUNITIES + 1 || bytes as u64 > BYTES_MAX {
            bail!(
                "nothing was put: with {} that the file does not have there would be {count}, in {bytes} bytes; at most {} in \
                 {BYTES_MAX} bytes are right (--prune takes the others out)",
                others.len(),
                spec_limits::COMMUNITIES
            );
        }
    }
    for (key, (name, entry, value)) in wanted {
        if there.get(&key).is_some_and(|there| there.entry.as_ref() == Some(&entry)) {
            plan.unchanged += 1;
        } else {
            plan.put.push((name, value));
        }
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(text: &str) -> Typed {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path()).unwrap()
    }

    fn there(typed: &Typed) -> BTreeMap<Vec<u8>, There> {
        let entries = typed.communities.iter().chain([&typed.default]);
        entries.map(|spec| (key_of(&spec.id).into_bytes(), There { bytes: 9, entry: Some(entry_of(spec)) })).collect()
    }

    fn keys(plan: &Plan) -> (Vec<&str>, Vec<&[u8]>) {
        (plan.put.iter().map(|(key, _)| key.as_str()).collect(), plan.removed.iter().map(Vec::as_slice).collect())
    }

    #[test]
    fn only_what_differs_is_written_and_only_prune_takes_out() {
        let mut encoder = Encoder::single_object(SchemaName::Community);
        let before = "[default]\nlanguage = \"en\"\n[[communities]]\nid = \"a b\"\n[[communities]]\nid = \"c\"\n";
        let mut before = there(&typed(before));
        let after = typed("[[communities]]\nid = \"a b\"\n[[communities]]\nid = \"d\"\nname = \"D\"\n");
        let kept = plan(&after, &before, false, &mut encoder).unwrap();
        assert_eq!((keys(&kept), kept.unchanged, kept.others), ((vec!["d"], vec![]), 1, 2));
        let pruned = plan(&after, &before, true, &mut encoder).unwrap();
        assert_eq!((keys(&pruned), pruned.others), ((vec!["d"], vec![&b"*"[..], b"c"]), 0));
        before.get_mut(&b"a%20b"[..]).unwrap().entry = None;
        let mended = plan(&after, &before, false, &mut encoder).unwrap();
        assert_eq!(keys(&mended).0, ["a%20b", "d"], "what cannot be read is written anew");
    }

    #[test]
    fn what_would_be_too_much_together_is_not_put() {
        let mut encoder = Encoder::single_object(SchemaName::Community);
        let file = typed("[[communities]]\nid = \"a\"\n");
        let mut before = there(&file);
        assert_eq!(before.len(), 2, "the default is there");
        before.insert(b"large".to_vec(), There { bytes: BYTES_MAX as usize, entry: None });
        let refused = plan(&file, &before, false, &mut encoder).unwrap_err().to_string();
        assert!(refused.contains("with 2 that the file does not have there would be 3, in 671088"), "{refused}");
        assert_eq!(keys(&plan(&file, &before, true, &mut encoder).unwrap()).1, [&b"*"[..], b"large"]);
    }
}
