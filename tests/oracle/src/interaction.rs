//! What one interaction is and counts for, as the schemas' documentation defines it.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::Identity;
use crate::items::Said;

/// The newest wins; on a tie a retraction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version {
    pub(crate) changed_at: i64,
    pub(crate) observed_at: i64,
    deleted: bool,
}

/// What one interaction counts for.
#[derive(Debug, Clone)]
pub(crate) struct Counted {
    pub(crate) at: i64,
    pub(crate) kind: String,
    pub(crate) label: String,
    pub(crate) abstained: bool,
    pub(crate) direction: &'static str,
    pub(crate) content_kinds: BTreeSet<String>,
    /// Who it is from; none for the brand.
    pub(crate) member: Option<String>,
    pub(crate) by_brand: bool,
    /// The interaction itself, and what it answers if it is a comment: kind and id.
    pub(crate) own: (String, String),
    pub(crate) answers: Option<(String, String)>,
}

pub(crate) fn identity(value: &Value) -> Result<Identity> {
    let text = |field: &str| value[field].as_str().map(str::to_owned).with_context(|| format!("no {field}: {value}"));
    Ok((text("community_id")?, text("kind")?, text("id")?))
}

pub(crate) fn version(line: &Value) -> Result<Version> {
    let observed_at = line["observed_at"].as_i64().context("observed_at")?;
    let created_at = line["created_at"].as_i64().context("created_at")?;
    let deleted = line["deleted"] == true;
    let changed_at = line["edited_at"].as_i64().unwrap_or(if deleted { observed_at } else { created_at });
    Ok(Version { changed_at, observed_at, deleted })
}

/// Nothing for a retraction.
pub(crate) fn counted(line: &Value, label: &str, abstained: bool) -> Result<Option<Counted>> {
    if line["deleted"] == true {
        return Ok(None);
    }
    let (_, kind, id) = identity(line)?;
    let by_brand = line["author"]["role"] == "brand";
    Ok(Some(Counted {
        at: line["created_at"].as_i64().context("created_at")?,
        kind: kind.clone(),
        label: label.to_owned(),
        abstained,
        direction: direction(line),
        content_kinds: content_kinds(line),
        member: line["author"]["id"].as_str().filter(|_| !by_brand).map(str::to_owned),
        by_brand,
        own: (kind, id),
        answers: answers(line),
    }))
}

/// A version of an interaction, as it bears on queue items.
pub(crate) fn said(line: &Value, version: Version, label: &str, abstained: bool) -> Result<Said> {
    let deleted = line["deleted"] == true;
    let by_brand = line["author"]["role"] == "brand";
    let queue = if abstained { "review" } else { label };
    let queued = !deleted && !by_brand && queue != "other";
    let thread = if line["kind"] == "post" { &line["id"] } else { &line["post_id"] };
    Ok(Said {
        version,
        at: line["created_at"].as_i64().context("created_at")?,
        deleted,
        by_brand,
        author: line["author"]["id"].as_str().map(str::to_owned),
        thread: thread.as_str().map(str::to_owned),
        answers: answers(line),
        label: label.to_owned(),
        queue: queued.then(|| queue.to_owned()),
        text: line["text"].as_str().unwrap_or_default().to_owned(),
    })
}

/// What a comment answers: its parent, else its post.
fn answers(line: &Value) -> Option<(String, String)> {
    if line["kind"] != "comment" {
        return None;
    }
    let id = |field: &str| line[field].as_str().map(str::to_owned);
    id("parent_id").map(|id| ("comment".to_owned(), id)).or_else(|| Some(("post".to_owned(), id("post_id")?)))
}

/// From whom to whom.
fn direction(line: &Value) -> &'static str {
    let role = |author: &str| match line[author]["role"].as_str() {
        Some("brand") => 'b',
        Some("member" | "moderator") => 'm',
        _ => '?',
    };
    if line["kind"] == "post" {
        return match role("author") {
            'b' => "brand_to_all",
            'm' => "member_to_all",
            _ => "direction_unknown",
        };
    }
    let to = if line["parent_id"].is_string() { role("parent_author") } else { role("post_author") };
    match (role("author"), to) {
        ('b', 'b') => "brand_to_all",
        ('b', 'm') => "brand_to_member",
        ('m', 'b') => "member_to_brand",
        ('m', 'm') => "member_to_member",
        _ => "direction_unknown",
    }
}

/// Text that is not blank, and each kind of media once.
fn content_kinds(line: &Value) -> BTreeSet<String> {
    let media = line["media"].as_array().into_iter().flatten();
    let mut kinds: BTreeSet<String> = media
        .map(|medium| match medium["kind"].as_str() {
            Some(kind @ ("photo" | "video" | "article")) => kind.to_owned(),
            _ => "unknown_media".to_owned(),
        })
        .collect();
    if !line["text"].as_str().unwrap_or_default().trim().is_empty() {
        kinds.insert("text".to_owned());
    }
    kinds
}
