//! A straightforward recount of what was ingested: a list of interactions, summed up anew for each pane.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// The newest version of each interaction of an input, by JSON Lines as `ingest` takes them.
#[derive(Debug)]
pub struct Recount {
    /// By community, kind and id: its version, and the line if it was not taken back.
    newest: BTreeMap<(String, String, String), (Version, Option<Value>)>,
    /// Lines of the input.
    pub lines: usize,
}

/// Changed at, observed at, taken back.
type Version = (i64, i64, bool);

impl Recount {
    /// Of an input.
    ///
    /// # Errors
    /// If a line is no interaction.
    pub fn of(input: &str) -> Result<Recount> {
        let mut recount = Recount { newest: BTreeMap::new(), lines: 0 };
        for line in input.lines() {
            recount.lines += 1;
            let line: Value = serde_json::from_str(line)?;
            let text = |field: &str| line[field].as_str().map(str::to_owned).context("a string field");
            let identity = (text("community_id")?, text("kind")?, text("id")?);
            let deleted = line["deleted"] == true;
            let observed = line["observed_at"].as_i64().context("observed_at")?;
            let unedited = if deleted { Some(observed) } else { line["created_at"].as_i64() };
            let changed = line["edited_at"].as_i64().or(unedited).context("created_at")?;
            let version = (changed, observed, deleted);
            let content = (!deleted).then_some(line);
            match recount.newest.get(&identity) {
                Some((known, _)) if *known > version => {}
                _ => {
                    recount.newest.insert(identity, (version, content));
                }
            }
        }
        Ok(recount)
    }

    /// Checks each row against the input: `interactions`, `posts` and `comments` of the last revision of every pane.
    ///
    /// # Errors
    /// The first rows that differ.
    pub fn check_rows(&self, rows: &[Value], lengths_ms: &[(&str, i64)]) -> Result<usize> {
        let mut last: BTreeMap<(String, String, i64), &Value> = BTreeMap::new();
        for row in rows {
            let row = &row["value"];
            let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
            let key = (text("community_id"), text("window"), row["window_end"].as_i64().unwrap_or(0));
            let newer = last.get(&key).is_none_or(|known| known["revision"].as_i64() < row["revision"].as_i64());
            ensure!(
                newer || last[&key]["revision"] != row["revision"],
                "pane {key:?} was emitted twice with revision {}",
                row["revision"]
            );
            if newer {
                last.insert(key, row);
            }
        }
        let mut differ = Vec::new();
        for ((community, window, end), row) in &last {
            let length = lengths_ms.iter().find(|(name, _)| name == window).context("an unknown window")?.1;
            let held = |kind: Option<&str>| {
                let within = self.newest.iter().filter(|((of, of_kind, _), (_, content))| {
                    let at = content.as_ref().and_then(|line| line["created_at"].as_i64());
                    of == community
                        && kind.is_none_or(|kind| kind == of_kind)
                        && at.is_some_and(|at| (end - length..*end).contains(&at))
                });
                within.count() as i64
            };
            for (field, expected) in
                [("interactions", held(None)), ("posts", held(Some("post"))), ("comments", held(Some("comment")))]
            {
                if row[field].as_i64() != Some(expected) {
                    differ.push(format!(
                        "{community} {window} {end} {field}: {} in the row, {expected} counted",
                        row[field]
                    ));
                }
            }
        }
        ensure!(differ.is_empty(), "{} differ, first {:#?}", differ.len(), &differ[..differ.len().min(5)]);
        Ok(last.len())
    }
}
