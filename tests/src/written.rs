//! What the roles have written, beside what the oracle says of it.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use oracle::Window;
use serde_json::Value;

use crate::checks::{Origin, QUEUES, origin};
use crate::{Oracle, Reader, Sinyal};

/// Where it is to be had from.
pub(crate) trait Written {
    /// Shows every committed record of a topic, by the topic's default name, one after the other; without a `schema` values are bytes
    /// in hexadecimal.
    ///
    /// # Errors
    /// If it cannot be read, or `see` fails.
    fn each(&self, topic: &str, schema: Option<&str>, see: &mut dyn FnMut(Value) -> Result<()>) -> Result<()>;
}

/// The topics themselves, as they are now.
#[derive(Debug)]
pub(crate) struct Topics<'a> {
    pub(crate) sinyal: &'a Sinyal,
    pub(crate) reader: &'a Reader,
}

impl Written for Topics<'_> {
    fn each(&self, topic: &str, schema: Option<&str>, see: &mut dyn FnMut(Value) -> Result<()>) -> Result<()> {
        self.reader.each(&self.sinyal.topic(topic), schema, see)
    }
}

/// What was compared, and is as the oracle says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alike {
    /// Items of all queues.
    pub(crate) items: usize,
    /// Rows, each by its last revision.
    pub(crate) rows: usize,
    /// Panes.
    pub(crate) panes: usize,
}

/// Compares everything that was written: each raw record is classified once, the queues hold an item for each that belongs there, and
/// every pane up to `until` is what a recount says. There are no dead letters.
///
/// # Errors
/// What is not so.
pub(crate) fn compare(written: &dyn Written, oracle: &Oracle, windows: &[Window], until: i64) -> Result<Alike> {
    let mut origins: BTreeMap<Origin, usize> = BTreeMap::new();
    written.each("social.interactions.classified", Some("Classified"), &mut |record| {
        if let Some(origin) = origin(&record["value"])? {
            *origins.entry(origin).or_default() += 1;
        }
        Ok(())
    })?;
    let twice = origins.values().filter(|&&times| times > 1).count();
    ensure!(
        origins.len() == oracle.lines() && twice == 0,
        "{} of {} raw records are classified, {twice} of them twice",
        origins.len(),
        oracle.lines()
    );
    let read = |topic: &str, schema: Option<&str>| -> Result<Vec<Value>> {
        let mut records = Vec::new();
        written.each(topic, schema, &mut |record| {
            records.push(record);
            Ok(())
        })?;
        Ok(records)
    };
    let mut items = 0;
    for queue in QUEUES {
        let of_queue = read(&format!("social.queue.{queue}"), Some("QueueItem"))?;
        items += of_queue.len();
        oracle.check_queue(queue, of_queue.iter().map(|item| &item["value"]))?;
    }
    let letters = read("social.dead-letters", None)?;
    ensure!(letters.is_empty(), "{} dead letters, first {:?}", letters.len(), letters[0]["headers"]);
    let rows = read("social.community.metrics", Some("CommunityMetrics"))?;
    // Every window is open for longer than anything takes.
    let missed: Vec<&Value> = rows.iter().map(|row| &row["value"]).filter(|row| row["missed"] != 0).collect();
    ensure!(missed.is_empty(), "{} rows tell of panes that were missed, first {}", missed.len(), missed[0]);
    let compared = oracle.check_rows(rows.iter().map(|row| &row["value"]), windows, Some(until))?;
    Ok(Alike { items, rows: compared.rows, panes: compared.panes })
}
