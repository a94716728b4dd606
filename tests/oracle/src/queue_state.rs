//! Rows of the queues' state beside what a recount says.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use serde_json::Value;

use crate::interaction::identity;
use crate::items::Around;
use crate::{Identity, Oracle};

/// So many of the differences are shown.
const SHOWN: usize = 5;

/// What was compared of the queues' state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueStates {
    /// Rows, each the last of its item.
    pub rows: usize,
    /// Of them, those of which all that is recounted could be told.
    pub whole: usize,
    /// Fields of all rows together.
    pub fields: usize,
}

impl Oracle {
    /// Checks the last row of each queue item, each an object with the fields of the schema: there is one for every interaction that
    /// ever was in a queue, none for any other, and each says what a recount says. What is left out, and why, is told at
    /// [`items`](crate::items). `service_levels` gives how long an answer may take, in milliseconds, for the queues that say so,
    /// all hours counted; with `None` (business hours) nothing is said of when it is due. With a `watermark` up to which event time has come everywhere, what is past its service level must say so.
    ///
    /// # Errors
    /// Which rows are missing, too many, or differ, and in which fields: the first of them, and how many there are.
    pub fn check_queue_state<'a>(
        &self,
        rows: impl Iterator<Item = &'a Value>,
        service_levels: &BTreeMap<&str, Option<i64>>,
        watermark: Option<i64>,
    ) -> Result<QueueStates> {
        let mut found: BTreeMap<Identity, &Value> = BTreeMap::new();
        for row in rows {
            ensure!(found.insert(identity(row)?, row).is_none(), "two rows of one item: {row}");
        }
        let around = Around::new(self);
        let mut compared = QueueStates { rows: found.len(), ..QueueStates::default() };
        let mut differ = Vec::new();
        for identity in self.messages.keys() {
            let row = found.remove(identity);
            match (around.expected(identity, service_levels, watermark), row) {
                (None, None) => {}
                (None, Some(row)) => differ.push(format!("{identity:?} was never in a queue, and has a row: {row}")),
                (Some(expected), None) => {
                    if expected.certain {
                        differ.push(format!("{identity:?} has no row; {:?} is right", expected.fields));
                    }
                }
                (Some(expected), Some(row)) => {
                    compared.whole += usize::from(expected.whole);
                    compared.fields += expected.fields.len();
                    let wrong = expected.fields.iter().filter(|(field, right)| !right.contains(&row[field]));
                    let wrong: Vec<String> = wrong
                        .map(|(field, right)| {
                            let right: Vec<String> = right.iter().map(Value::to_string).collect();
                            format!("{field} is {} for {}", row[field], right.join(" or "))
                        })
                        .collect();
                    if !wrong.is_empty() {
                        differ.push(format!("{identity:?}: {}", wrong.join(", ")));
                    }
                }
            }
        }
        differ.extend(found.keys().map(|identity| format!("{identity:?} is unknown, and has a row")));
        if differ.is_empty() {
            return Ok(compared);
        }
        let first = differ[..differ.len().min(SHOWN)].join("\n");
        bail!("{} rows of the queues' state differ, first\n{first}", differ.len())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn comment(id: &str, by: &str, under: Option<&str>, at: i64) -> Value {
        let role = if by == "brand" { "brand" } else { "member" };
        json!({
            "kind": "comment", "id": id, "community_id": "c", "author": { "id": by, "role": role }, "created_at": at,
            "observed_at": at, "text": "kecewa", "post_id": "p", "parent_id": under,
        })
    }

    /// A complaint that was answered, after which the same person wrote again.
    fn oracle() -> Oracle {
        let mut oracle = Oracle::default();
        oracle.ingest(&comment("k", "m", None, 100), "complaint", false).unwrap();
        oracle.ingest(&comment("a", "brand", Some("k"), 150), "other", false).unwrap();
        oracle.ingest(&comment("again", "m", Some("a"), 180), "other", false).unwrap();
        oracle
    }

    fn row() -> Value {
        json!({
            "community_id": "c", "kind": "comment", "id": "k", "queue": "complaint", "label": "complaint", "created_at": 100,
            "thread_id": "p", "text": "kecewa", "answered_at": 150, "status": "reopened", "reopened": 1, "due_at": 240,
        })
    }

    #[test]
    fn tells_what_is_missing_extra_and_other() {
        let check = |rows: &[Value], watermark, expected: &str| {
            let levels = BTreeMap::from([("complaint", Some(60))]);
            let found = oracle().check_queue_state(rows.iter(), &levels, watermark);
            let found = found.map_or_else(|error| error.to_string(), |compared| format!("{} whole", compared.whole));
            assert!(found.contains(expected), "{found}");
        };
        check(&[row()], Some(200), "1 whole");
        check(&[row()], Some(240), "breached_at is null for 240");
        check(&[], None, "has no row");
        check(&[row(), row()], None, "two rows of one item");
        let changed = |field: &str, value: Value| {
            let mut row = row();
            row[field] = value;
            row
        };
        check(&[changed("status", json!("answered"))], None, r#"status is "answered" for "reopened""#);
        check(&[changed("claimed_by", json!("sari"))], None, "claimed_by is \"sari\" for null");
        check(&[row(), changed("id", json!("again"))], None, "was never in a queue");
        check(&[row(), changed("id", json!("nobody"))], None, "is unknown");
    }

    #[test]
    fn actions_and_corrections_show() {
        let mut oracle = oracle();
        let act = json!({ "kind": "acknowledge", "target": "c|comment|k", "by": "sari", "at": 190 });
        oracle.act(("c".to_owned(), "comment".to_owned(), "k".to_owned()), &act).unwrap();
        let mut expected = row();
        expected["status"] = "acknowledged".into();
        (expected["acknowledged_by"], expected["acknowledged_at"]) = ("sari".into(), 190.into());
        let levels = BTreeMap::from([("complaint", Some(60))]);
        assert_eq!(oracle.check_queue_state([&expected].into_iter(), &levels, Some(900)).unwrap().whole, 1);
        oracle.correct(("c".to_owned(), "comment".to_owned(), "k".to_owned()), "tip", 200);
        let error = oracle.check_queue_state([&expected].into_iter(), &levels, None).unwrap_err().to_string();
        assert!(error.contains(r#"queue is "complaint" for "tip""#), "{error}");
    }
}
