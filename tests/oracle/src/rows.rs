//! Rows of the metrics topic beside what a recount says.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::interaction::Counted;
use crate::pane::{Community, Figure, as_of_end, lasting};
use crate::{Compared, Oracle, Window};

/// So many of the differences are shown.
const SHOWN: usize = 5;

/// The newest row of each end.
type Panes<'a> = BTreeMap<i64, &'a Value>;

impl Oracle {
    /// Checks rows, each an object with the fields of the schema, at every end up to `until`, or up to the last watermark that a
    /// row of the community names. Of each end the last revision counts.
    ///
    /// - At every end the newest row up to it must say what a recount says: where no row is, nothing changed since.
    /// - Where an interaction entered or left the pane there must be a row of that very end.
    /// - There must be none where nothing ever entered or left.
    ///
    /// # Errors
    /// The first of what differs, and how much does.
    pub fn check_rows<'a>(
        &self,
        rows: impl Iterator<Item = &'a Value>,
        windows: &[Window],
        until: Option<i64>,
    ) -> Result<Compared> {
        let Newest { last, watermarks } = newest(rows)?;
        let communities = self.communities();
        let mut compared = Compared { panes: 0, rows: last.values().map(BTreeMap::len).sum() };
        let mut differ = Vec::new();
        let reach_ms = windows.iter().map(|window| window.length_ms).max().unwrap_or(0);
        for ((community, window), panes) in &last {
            self.find_extra(community, window, panes, windows, &mut differ)?;
        }
        for (name, interactions) in &communities {
            let Some(until) = until.or_else(|| watermarks.get(*name).copied()) else {
                ensure!(interactions.is_empty(), "community {name} has no row at all");
                continue;
            };
            let community = Community::new(interactions, reach_ms);
            for window in windows {
                let none = Panes::new();
                let panes = last.get(&((*name).to_owned(), window.name.clone())).unwrap_or(&none);
                let mut check = Check { name, window, panes, differ: &mut differ };
                compared.panes += check.window(&community, interactions, until);
            }
        }
        if differ.is_empty() {
            return Ok(compared);
        }
        bail!("{} differences, first {:#?}", differ.len(), &differ[..differ.len().min(SHOWN)])
    }

    /// Rows of ends at which nothing ever entered or left.
    fn find_extra(
        &self,
        community: &str,
        name: &str,
        panes: &Panes<'_>,
        windows: &[Window],
        differ: &mut Vec<String>,
    ) -> Result<()> {
        let Some(window) = windows.iter().find(|window| window.name == name) else {
            bail!("a row of window {name}, which there is not");
        };
        let times = self.times.get(community);
        for &end in panes.keys() {
            let within =
                |from: i64| times.is_some_and(|times| times.range(from..from + window.slide_ms).next().is_some());
            if !within(end - window.slide_ms) && !within(end - window.length_ms - window.slide_ms) {
                differ.push(format!("{community} {name} {end}: a row though nothing entered or left"));
            }
        }
        Ok(())
    }
}

/// What rows come to.
#[derive(Default)]
struct Newest<'a> {
    /// The last revision of each row, by community and window.
    last: BTreeMap<(String, String), Panes<'a>>,
    /// The last watermark of each community.
    watermarks: BTreeMap<String, i64>,
}

fn newest<'a>(rows: impl Iterator<Item = &'a Value>) -> Result<Newest<'a>> {
    let Newest { mut last, mut watermarks } = Newest::default();
    for row in rows {
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
    Ok(Newest { last, watermarks })
}

/// The rows of one window of one community.
struct Check<'a, 'b> {
    name: &'a str,
    window: &'a Window,
    panes: &'a Panes<'b>,
    differ: &'a mut Vec<String>,
}

impl Check<'_, '_> {
    /// Checks every end up to `until`; gives how many there were.
    fn window(&mut self, community: &Community<'_>, interactions: &[Counted], until: i64) -> usize {
        let Window { length_ms, slide_ms, .. } = *self.window;
        // Where nothing is left, rows may still tell of what was taken back.
        let first = interactions.first().map(|counted| counted.at).into_iter().chain(self.panes.keys().copied()).min();
        let Some(first) = first else { return 0 };
        let mut end = first.div_euclid(slide_ms) * slide_ms + slide_ms;
        let mut panes = 0;
        while end <= until {
            let row = self.panes.range(..=end).next_back().map(|(_, row)| *row);
            if let Some(own) = self.panes.get(&end).copied() {
                for (field, expected) in as_of_end(community, end) {
                    self.compare(end, Some(own), &field, &expected);
                }
            } else {
                let slide_from = |from: i64| {
                    let at = interactions.partition_point(|counted| counted.at < from);
                    interactions.get(at).is_some_and(|counted| counted.at < from + slide_ms)
                };
                if slide_from(end - slide_ms) || slide_from(end - length_ms - slide_ms) {
                    self.differ.push(format!("{} {} {end}: no row", self.name, self.window.name));
                }
            }
            for (field, expected) in lasting(community, self.window, end) {
                self.compare(end, row, &field, &expected);
            }
            panes += 1;
            end += slide_ms;
        }
        panes
    }

    fn compare(&mut self, end: i64, row: Option<&Value>, field: &str, expected: &Figure) {
        let found = row.map_or(&Value::Null, |row| &row[field]);
        let same = match *expected {
            // No row at all: nothing was counted.
            Figure::Count(count) => found.as_i64().or((row.is_none()).then_some(0)) == Some(count),
            Figure::Optional(number) => match (found.as_f64(), number) {
                (Some(found), Some(number)) => (found - number).abs() <= 1e-9 * number.abs().max(1.0),
                (found, number) => found == number,
            },
            Figure::Near(number) => match (found.as_i64(), number) {
                (Some(found), Some(number)) => (found - number).abs() as f64 <= 0.01 * number as f64 + 1.0,
                (found, number) => found == number,
            },
        };
        if !same {
            let (name, window) = (self.name, &self.window.name);
            self.differ.push(format!("{name} {window} {end} {field}: {found} shown, {expected:?} counted"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const AT: i64 = 1_000_005;

    /// One praise at second 1,000; windows of 10 s by 5 s: it is in the panes that end at 1,005 and 1,010.
    fn oracle() -> (Oracle, [Window; 1]) {
        let mut oracle = Oracle::default();
        let line = json!({ "kind": "post", "id": "1", "community_id": "c", "author": { "id": "a", "role": "member" },
            "created_at": AT, "observed_at": AT, "text": "makasih" });
        oracle.ingest(&line, "praise", false).unwrap();
        (oracle, [Window::new("w", 10_000, 5_000)])
    }

    fn row(end: i64, there: bool) -> Value {
        let there = i64::from(there);
        let mut row = json!({ "community_id": "c", "window": "w", "window_end": end, "revision": 0, "watermark": 1_020_000,
            "oldest_open_complaint_ms": null });
        for (field, _) in lasting(&Community::new(&[], 0), &Window::new("w", 10_000, 5_000), end) {
            let counted =
                ["interactions", "praises", "posts", "member_to_all", "with_text", "distinct_members", "new_members"];
            row[&field] = json!(if counted.contains(&field.as_str()) { there } else { 0 });
        }
        row["open_complaints"] = json!(0);
        for field in ["first_response_ms_p50", "first_response_ms_p90", "brand_contact_regularity"] {
            row[field] = Value::Null;
        }
        row["interactions_per_member"] = if there == 1 { json!(1.0) } else { Value::Null };
        // Mood 2/3, care 1, exchange 1.
        row["harmony"] = if there == 1 { json!((2.0_f64 / 3.0).sqrt()) } else { Value::Null };
        row
    }

    fn check(rows: &[Value]) -> Result<Compared> {
        let (oracle, windows) = oracle();
        oracle.check_rows(rows.iter(), &windows, None)
    }

    fn refused(rows: &[Value], why: &str) {
        let error = check(rows).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn what_is_right_is_right() {
        let compared = check(&[row(1_005_000, true), row(1_015_000, false)]).unwrap();
        assert_eq!(compared, Compared { panes: 4, rows: 2 });
    }

    #[test]
    fn what_is_wrong_is_found() {
        let (rises, falls) = (row(1_005_000, true), row(1_015_000, false));
        let mut other = rises.clone();
        other["praises"] = json!(2);
        refused(&[other, falls.clone()], "praises");
        let mut other = rises.clone();
        other["harmony"] = json!(0.8);
        refused(&[other, falls.clone()], "harmony");
        refused(std::slice::from_ref(&rises), "c w 1015000: no row");
        refused(std::slice::from_ref(&falls), "c w 1005000 interactions");
        refused(&[rises.clone(), row(1_010_000, true), falls.clone()], "nothing entered or left");
        refused(&[rises.clone(), rises, falls], "twice with the same revision");
    }
}
