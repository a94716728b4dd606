//! How the community stage's state stands, by what the end of each partition of its changelog says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka_io::offsets::Offsets;
use kafka_io::reader::Reader;
use pipeline::{StateNote, state_note};

use crate::commands::times::length;
use crate::config::Config;

/// So much of the end holds what a partition last said of itself: that comes last in every commit.
const LAST_ENTRIES: i64 = 2_000;
/// How long brokers may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The newest note of each partition; none of a partition in which nothing was written.
///
/// # Errors
/// If the changelog cannot be read, or was written by a newer program: in words.
pub(super) fn state_notes(config: &Config) -> Result<BTreeMap<i32, StateNote>, String> {
    let topic: Arc<str> = config.topics.changelog.as_str().into();
    let offsets = Offsets::of_group(config.connection(), &config.community.group_id, PATIENCE);
    let offsets = offsets.map_err(|error| error.to_string())?;
    let partitions = offsets.partitions(&topic).map_err(|error| error.to_string())?;
    let ends = offsets.ends(&partitions).map_err(|error| error.to_string())?;
    let from: BTreeMap<i32, i64> =
        ends.iter().map(|((_, partition), &end)| (*partition, (end - LAST_ENTRIES).max(0))).collect();
    if from.is_empty() {
        return Err(format!("topic {topic} does not exist"));
    }
    let mut reader =
        Reader::open_from(config.connection(), &topic, &from, PATIENCE).map_err(|error| error.to_string())?;
    let mut notes = BTreeMap::new();
    let mut heard = Instant::now();
    while !reader.is_at_end() {
        let Some(record) = reader.next(Duration::from_millis(200)).map_err(|error| error.to_string())? else {
            if heard.elapsed() > PATIENCE {
                return Err(format!("topic {topic} cannot be read to its end"));
            }
            continue;
        };
        heard = Instant::now();
        if let (Some(key), Some(value)) = (&record.key, &record.value)
            && let Some(note) = state_note(key, value)?
        {
            notes.insert(record.partition, note);
        }
    }
    Ok(notes)
}

/// In which versions the state is, in words, or why they are not what the configuration asks for.
pub(super) fn about_versions(notes: &BTreeMap<i32, StateNote>, wanted: Option<u8>) -> Result<String, String> {
    let versions: BTreeSet<u8> = notes.values().map(|note| note.version).collect();
    let shown = versions.iter().map(u8::to_string).collect::<Vec<_>>().join(" and ");
    match (versions.first(), versions.last(), wanted) {
        (None, _, None) => Ok(format!("none yet; it begins with version {}", pipeline::STATE_VERSION_MAX)),
        (None, _, Some(wanted)) => Ok(format!("none yet; it begins with version {wanted}, by state.version")),
        (_, Some(&newest), Some(wanted)) if newest > wanted => Err(format!(
            "version {shown}, and state.version is {wanted}: a state is never lowered; set state.version to 0 or {newest}"
        )),
        (Some(&oldest), _, Some(wanted)) if oldest < wanted => {
            Ok(format!("version {shown}; state.version = {wanted} raises it as the replicas start with it"))
        }
        (_, Some(&newest), None) if newest < pipeline::STATE_VERSION_MAX => Ok(format!(
            "version {shown}, which is kept; state.version = {} raises it when no replica is older any more",
            pipeline::STATE_VERSION_MAX
        )),
        _ => Ok(format!("version {shown}")),
    }
}

/// Whether the previous secret of the pseudonyms is needed still, in words. `horizon_ms` is the longest window and its lateness.
pub(super) fn about_rotation(notes: &BTreeMap<i32, StateNote>, horizon_ms: i64) -> String {
    let needed: Vec<i64> = notes.values().filter_map(|note| note.previous_needed_ms(horizon_ms)).collect();
    let others = match notes.len() - needed.len() {
        0 => String::new(),
        1 => "; in 1 partition nobody has spoken with both pseudonyms since somebody last did without".to_owned(),
        many => {
            format!("; in {many} partitions nobody has spoken with both pseudonyms since somebody last did without")
        }
    };
    match needed.iter().max() {
        None => "nobody has come with the previous pseudonym beside the new one yet".to_owned(),
        Some(0) => format!("the previous secret can be removed{others}"),
        Some(&left_ms) => format!("the previous secret is needed for {} of event time{others}", length(left_ms)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_when_the_previous_secret_can_go() {
        const HOUR_MS: i64 = 3_600_000;
        let check = |since: &[Option<i64>], expected: &str| {
            let note = |linked_since| StateNote { version: 6, watermark: Some(10 * HOUR_MS), linked_since };
            let notes = (0..).zip(since.iter().map(|&since| note(since))).collect();
            assert_eq!(about_rotation(&notes, 4 * HOUR_MS), expected, "{since:?}");
        };
        check(&[None, None], "nobody has come with the previous pseudonym beside the new one yet");
        check(
            &[Some(5 * HOUR_MS), Some(9 * HOUR_MS)],
            &format!("the previous secret is needed for {} of event time", length(3 * HOUR_MS)),
        );
        check(&[Some(5 * HOUR_MS), Some(6 * HOUR_MS)], "the previous secret can be removed");
        check(
            &[Some(5 * HOUR_MS), None],
            "the previous secret can be removed; in 1 partition nobody has spoken with both pseudonyms since somebody last did without",
        );
    }

    #[test]
    fn versions_are_told_with_what_the_configuration_does_to_them() {
        let note = |version| StateNote { version, watermark: None, linked_since: None };
        let check = |versions: &[u8], wanted: Option<u8>, expected: Result<&str, &str>| {
            let notes = (0..).zip(versions.iter().map(|&version| note(version))).collect();
            let found = about_versions(&notes, wanted);
            let found = found.as_deref().map_err(String::as_str);
            assert_eq!(found, expected, "{versions:?} {wanted:?}");
        };
        check(&[], None, Ok("none yet; it begins with version 6"));
        check(&[], Some(5), Ok("none yet; it begins with version 5, by state.version"));
        let kept = "version 5, which is kept; state.version = 6 raises it when no replica is older any more";
        check(&[5, 5], None, Ok(kept));
        check(&[5, 6], Some(6), Ok("version 5 and 6; state.version = 6 raises it as the replicas start with it"));
        check(&[6], Some(6), Ok("version 6"));
        let lowered = "version 6, and state.version is 5: a state is never lowered; set state.version to 0 or 6";
        check(&[6, 6], Some(5), Err(lowered));
    }
}
