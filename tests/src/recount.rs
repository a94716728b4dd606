//! A straightforward recount of what was ingested: a list of interactions, summed up anew for each pane.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The newest version of each interaction of an input, by JSON Lines as `ingest` takes them.
#[derive(Debug)]
pub struct Recount {
    /// By community, kind and id: its version, and what it counts for if it was not taken back.
    newest: BTreeMap<(String, String, String), (Version, Option<Counted>)>,
    /// How many items of each queue each interaction gives rise to, re-crawls included.
    queued: BTreeMap<(String, Identity), usize>,
    /// Lines of the input.
    pub lines: usize,
}

/// Changed at, observed at, taken back.
type Version = (i64, i64, bool);

/// Community, kind and id.
type Identity = (String, String, String);

/// What one interaction counts for.
#[derive(Debug, Clone)]
struct Counted {
    at: i64,
    kind: String,
    label: String,
    abstained: bool,
    direction: &'static str,
    content_kinds: BTreeSet<String>,
}

/// The fields of a row that are recounted.
const FIELDS: [&str; 20] = [
    "interactions",
    "posts",
    "comments",
    "complaints",
    "tips",
    "experiences",
    "praises",
    "others",
    "abstained",
    "member_to_brand",
    "brand_to_member",
    "member_to_member",
    "brand_to_all",
    "member_to_all",
    "direction_unknown",
    "with_text",
    "with_photo",
    "with_video",
    "with_article",
    "with_unknown_media",
];

/// A window by name, with its length and slide in milliseconds.
pub(crate) type Window = (&'static str, i64, i64);

impl Recount {
    /// Of an input, and of what `sinyal classify --json` says of its texts, line by line.
    ///
    /// # Errors
    /// If a line is no interaction, or there is not one answer for each.
    pub fn of(input: &str, answers: &str) -> Result<Recount> {
        let mut recount = Recount { newest: BTreeMap::new(), queued: BTreeMap::new(), lines: 0 };
        let mut answers = answers.lines();
        for line in input.lines() {
            recount.lines += 1;
            let line: Value = serde_json::from_str(line)?;
            let answer: Value = serde_json::from_str(answers.next().context("an answer for each line")?)?;
            let text = |field: &str| line[field].as_str().map(str::to_owned).context("a string field");
            let identity = (text("community_id")?, text("kind")?, text("id")?);
            let deleted = line["deleted"] == true;
            let observed = line["observed_at"].as_i64().context("observed_at")?;
            let created = line["created_at"].as_i64().context("created_at")?;
            let changed = line["edited_at"].as_i64().unwrap_or(if deleted { observed } else { created });
            let version = (changed, observed, deleted);
            let label = answer["label"].as_str().context("a label")?.to_owned();
            let abstained = answer["abstained"] == true;
            if !deleted && line["author"]["role"] != "brand" && (abstained || label != "other") {
                let queue = if abstained { "review".to_owned() } else { label.clone() };
                *recount.queued.entry((queue, identity.clone())).or_default() += 1;
            }
            let counted = Counted {
                at: created,
                kind: identity.1.clone(),
                label,
                abstained,
                direction: direction(&line),
                content_kinds: content_kinds(&line),
            };
            match recount.newest.get(&identity) {
                Some((known, _)) if *known > version => {}
                _ => {
                    recount.newest.insert(identity, (version, (!deleted).then_some(counted)));
                }
            }
        }
        Ok(recount)
    }

    /// Checks the items of one queue's topic against the input.
    ///
    /// # Errors
    /// Items that are missing or too many.
    pub fn check_queue(&self, queue: &str, items: &[Value]) -> Result<()> {
        let mut found: BTreeMap<Identity, usize> = BTreeMap::new();
        for item in items {
            let text = |field: &str| item["value"][field].as_str().unwrap_or_default().to_owned();
            *found.entry((text("community_id"), text("kind"), text("id"))).or_default() += 1;
        }
        let expected = self.queued.iter().filter(|((of, _), _)| of == queue);
        let expected: BTreeMap<Identity, usize> =
            expected.map(|((_, identity), count)| (identity.clone(), *count)).collect();
        ensure!(
            found == expected,
            "queue {queue}: {} identities with {} items found, {} with {} expected",
            found.len(),
            found.values().sum::<usize>(),
            expected.len(),
            expected.values().sum::<usize>()
        );
        Ok(())
    }

    /// Checks the rows against the input: at every end up to the last watermark of each community, the last revision of the
    /// newest row must say what a recount says, and where there is no row yet, nothing may have been counted. So a row that is
    /// missing is found as well as one that is wrong. Gives how many panes were compared.
    ///
    /// # Errors
    /// The first rows that differ.
    pub(crate) fn check_rows(&self, rows: &[Value], windows: &[Window]) -> Result<usize> {
        let mut last: BTreeMap<(String, String), BTreeMap<i64, &Value>> = BTreeMap::new();
        let mut watermarks: BTreeMap<String, i64> = BTreeMap::new();
        for row in rows {
            let row = &row["value"];
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            let number = |field: &str| row[field].as_i64().unwrap_or_default();
            let panes = last.entry((text("community_id"), text("window"))).or_default();
            let known = panes.get(&number("window_end"));
            ensure!(
                known.is_none_or(|known| known["revision"] != row["revision"]),
                "a pane was emitted twice with the same revision: {row}"
            );
            if known.is_none_or(|known| known["revision"].as_i64() < row["revision"].as_i64()) {
                panes.insert(number("window_end"), row);
            }
            let watermark = watermarks.entry(text("community_id")).or_insert(i64::MIN);
            *watermark = (*watermark).max(number("watermark"));
        }
        let mut by_community: BTreeMap<&str, Vec<&Counted>> = BTreeMap::new();
        for ((community, _, _), (_, counted)) in &self.newest {
            by_community.entry(community).or_default().extend(counted);
        }
        let (mut compared, mut differ) = (0, Vec::new());
        for (community, interactions) in &by_community {
            let Some(&watermark) = watermarks.get(*community) else {
                ensure!(interactions.is_empty(), "community {community} has no row at all");
                continue;
            };
            let first = interactions.iter().map(|counted| counted.at).min().unwrap_or(watermark);
            for &(window, length_ms, slide_ms) in windows {
                let panes = last.get(&((*community).to_owned(), window.to_owned()));
                let mut end = first.div_euclid(slide_ms) * slide_ms + slide_ms;
                while end <= watermark {
                    let row = panes.and_then(|panes| panes.range(..=end).next_back()).map(|(_, row)| *row);
                    let held = interactions.iter().filter(|counted| (end - length_ms..end).contains(&counted.at));
                    let expected = sums(held);
                    for (field, expected) in FIELDS.into_iter().zip(expected) {
                        let found = row.map_or(0, |row| row[field].as_i64().unwrap_or(-1));
                        if found != expected {
                            differ
                                .push(format!("{community} {window} {end} {field}: {found} shown, {expected} counted"));
                        }
                    }
                    compared += 1;
                    end += slide_ms;
                }
            }
        }
        ensure!(differ.is_empty(), "{} differ, first {:#?}", differ.len(), &differ[..differ.len().min(5)]);
        Ok(compared)
    }
}

/// In the order of [`FIELDS`].
fn sums<'a>(interactions: impl Iterator<Item = &'a &'a Counted>) -> [i64; FIELDS.len()] {
    let mut sums = BTreeMap::new();
    for counted in interactions {
        let label = match counted.label.as_str() {
            "complaint" => "complaints",
            "tip" => "tips",
            "experience" => "experiences",
            "praise" => "praises",
            _ => "others",
        };
        let kind = if counted.kind == "post" { "posts" } else { "comments" };
        for field in ["interactions", kind, label, counted.direction] {
            *sums.entry(field.to_owned()).or_insert(0) += 1;
        }
        for content_kind in &counted.content_kinds {
            *sums.entry(format!("with_{content_kind}")).or_insert(0) += 1;
        }
        *sums.entry("abstained".to_owned()).or_insert(0) += i64::from(counted.abstained);
    }
    FIELDS.map(|field| sums.get(field).copied().unwrap_or(0))
}

/// From whom to whom, as the schema's documentation defines it.
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
