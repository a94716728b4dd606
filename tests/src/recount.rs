//! A straightforward recount of what was ingested: a list of interactions, summed up anew for each pane.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

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
    /// Who it is from; none for the brand.
    member: Option<String>,
    by_brand: bool,
    /// The interaction itself, and what it answers if it is a comment: kind and id.
    own: (String, String),
    answers: Option<(String, String)>,
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
                member: line["author"]["id"].as_str().filter(|_| line["author"]["role"] != "brand").map(str::to_owned),
                by_brand: line["author"]["role"] == "brand",
                own: (identity.1.clone(), identity.2.clone()),
                answers: answers_of(&line),
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

    /// Takes every so many'th interaction that was not taken back for another label than it has; gives the corrections that say so, as
    /// JSON Lines.
    pub fn correct_every(&mut self, step: usize) -> String {
        let mut lines = String::new();
        let counted = self.newest.iter_mut().filter_map(|(identity, (_, counted))| Some((identity, counted.as_mut()?)));
        for ((community, kind, id), counted) in counted.step_by(step) {
            let label = if counted.label == "tip" { "complaint" } else { "tip" };
            counted.label = label.to_owned();
            counted.abstained = false;
            let line = json!({ "community_id": community, "kind": kind, "id": id, "label": label, "by": "sari" });
            lines += &format!("{line}\n");
        }
        lines
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
        let longest_ms = windows.iter().map(|&(_, length_ms, _)| length_ms).max().unwrap_or(0);
        for (community, interactions) in &by_community {
            let Some(&watermark) = watermarks.get(*community) else {
                ensure!(interactions.is_empty(), "community {community} has no row at all");
                continue;
            };
            let first = interactions.iter().map(|counted| counted.at).min().unwrap_or(watermark);
            let responses = first_responses(interactions);
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
                    let own = panes.and_then(|panes| panes.get(&end)).copied();
                    for (field, found, expected) in
                        people(interactions, &responses, (end - length_ms, end), longest_ms, row, own)
                    {
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

/// What a row says of people, and what a recount says: `row` is the newest up to the pane's end, `own` that of the end itself.
fn people(
    interactions: &[&Counted],
    responses: &BTreeMap<&(String, String), i64>,
    (start, end): (i64, i64),
    longest_ms: i64,
    row: Option<&Value>,
    own: Option<&Value>,
) -> Vec<(&'static str, String, String)> {
    let held = || interactions.iter().filter(|counted| (start..end).contains(&counted.at));
    let there: BTreeSet<&String> = held().filter_map(|counted| counted.member.as_ref()).collect();
    let before = interactions.iter().filter(|counted| counted.at < start);
    let before: BTreeSet<&String> = before.filter_map(|counted| counted.member.as_ref()).collect();
    let response = |asked: &Counted| responses.get(&asked.own).copied();
    let asked = || interactions.iter().filter(|counted| !counted.by_brand);
    let mut delays: Vec<i64> = asked()
        .filter_map(|asked| response(asked).filter(|at| (start..end).contains(at)).map(|at| at - asked.at))
        .collect();
    delays.sort_unstable();
    let number = |row: Option<&Value>, field: &str| row.map_or(0, |row| row[field].as_i64().unwrap_or(-1)).to_string();
    let mut compared = vec![
        ("distinct_members", number(row, "distinct_members"), there.len().to_string()),
        ("new_members", number(row, "new_members"), there.difference(&before).count().to_string()),
        ("returning_members", number(row, "returning_members"), there.intersection(&before).count().to_string()),
        ("first_responses", number(row, "first_responses"), delays.len().to_string()),
    ];
    for (field, share) in [("first_response_ms_p50", 0.5), ("first_response_ms_p90", 0.9)] {
        let rank = (delays.len() as f64 * share).ceil() as usize;
        let exact = rank.checked_sub(1).map(|at| delays[at]);
        let found = row.and_then(|row| row[field].as_i64());
        let close = match (found, exact) {
            (Some(found), Some(exact)) => (found - exact).abs() as f64 <= 0.01 * exact as f64 + 1.0,
            (found, exact) => found == exact,
        };
        if !close {
            compared.push((field, format!("{found:?}"), format!("{exact:?}")));
        }
    }
    if own.is_some() {
        // What waits is told as of the end of a row, and is no reason for another row.
        let made = asked().filter(|asked| asked.label == "complaint" && (end - longest_ms..end).contains(&asked.at));
        let open: Vec<i64> =
            made.filter(|asked| response(asked).is_none_or(|at| at >= end)).map(|asked| asked.at).collect();
        compared.push(("open_complaints", number(own, "open_complaints"), open.len().to_string()));
        let oldest = open.iter().min().map(|at| end - at);
        let found = own.and_then(|own| own["oldest_open_complaint_ms"].as_i64());
        compared.push(("oldest_open_complaint_ms", format!("{found:?}"), format!("{oldest:?}")));
    }
    compared
}

/// When the brand first answered whom.
fn first_responses<'a>(interactions: &[&'a Counted]) -> BTreeMap<&'a (String, String), i64> {
    let asked: BTreeMap<&(String, String), i64> =
        interactions.iter().filter(|counted| !counted.by_brand).map(|counted| (&counted.own, counted.at)).collect();
    let mut responses = BTreeMap::new();
    for reply in interactions.iter().filter(|counted| counted.by_brand) {
        let Some((&own, &at)) = reply.answers.as_ref().and_then(|answers| asked.get_key_value(answers)) else {
            continue;
        };
        if reply.at >= at {
            let first = responses.entry(own).or_insert(reply.at);
            *first = reply.at.min(*first);
        }
    }
    responses
}

/// What a comment answers: its parent, else its post.
fn answers_of(line: &Value) -> Option<(String, String)> {
    if line["kind"] != "comment" {
        return None;
    }
    let id = |field: &str| line[field].as_str().map(str::to_owned);
    id("parent_id").map(|id| ("comment".to_owned(), id)).or_else(|| Some(("post".to_owned(), id("post_id")?)))
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
