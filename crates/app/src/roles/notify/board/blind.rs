//! The system's own blindness as an alert.

use std::collections::BTreeSet;

use record::EpochMs;

use super::super::row::{BLIND, Row, SILENCE, State};
use super::super::standing::Blindness;

/// Why an alert is not to be believed.
pub(super) fn inhibited_by(row: &Row, blind: &[Blindness]) -> Option<String> {
    if let Some(why) = &row.alert.inhibited_by {
        return Some(why.to_string());
    }
    if row.alert.rule != SILENCE || blind.is_empty() {
        return None;
    }
    let kinds: BTreeSet<&str> = blind.iter().map(|blindness| blindness.kind.as_str()).collect();
    Some(format!("{BLIND}: {}", kinds.into_iter().collect::<Vec<_>>().join(", ")))
}

pub(super) fn blind_id(blindness: &Blindness) -> String {
    record::encode_key(&[BLIND, blindness.kind.as_str(), &blindness.since.to_string()])
}

/// Whether an id is of the system's own alerts of a kind.
pub(super) fn is_of_kind(id: &str, kind: rules::blindness::Kind) -> bool {
    let rest = id.strip_prefix(BLIND).and_then(|rest| rest.strip_prefix('|'));
    rest.and_then(|rest| rest.split('|').next()) == Some(kind.as_str())
}

/// A row of the system's own alert, by its id; its words are known while it lasts.
pub(super) fn blind_row(id: &str, state: State, blindness: Option<&Blindness>, now: EpochMs) -> Row {
    let since = id.rsplit('|').next().and_then(|since| since.parse().ok()).unwrap_or(now);
    let is_over = state == State::Resolved;
    let words = |detail: Option<&String>, over: &str| detail.cloned().unwrap_or_else(|| over.to_owned());
    let alert = record::Alert {
        id: id.to_owned().into(),
        rule: BLIND.into(),
        community_id: "".into(),
        state: state.as_str().into(),
        severity: "warning".into(),
        started_at: since,
        updated_at: now,
        resolved_at: is_over.then_some(now),
        window: "".into(),
        observed: 1.0,
        expected: None,
        score: None,
        distinct_authors: None,
        near_duplicate_share: None,
        coordinated: false,
        samples: Vec::new(),
        summary_id: words(blindness.map(|blindness| &blindness.detail_id), "Sinyal melihat semuanya lagi.").into(),
        summary_en: words(blindness.map(|blindness| &blindness.detail_en), "Sinyal sees everything again.").into(),
        links: Vec::new(),
        inhibited_by: None,
        acknowledged_by: None,
        fired_at: Some(since),
        acknowledged_at: None,
        silenced_by: None,
        silenced_until: None,
        silence_reason: None,
        new_author_share: None,
        transition: if is_over { 2 } else { 1 },
    };
    Row { alert, state, origin: None }
}
