//! What the service writes, read back as a dashboard would.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kafka_io::Connection;
use kafka_io::reader::{OwnedRecord, Reader, Start};
use record::EpochMs;
use serde_json::Value;
use wire::{AlertDecoder, Framing, GenericSchema, SchemaName};

use crate::config::Config;
use crate::console::{AlertRow, CommunityRow};

/// Reads back what the service writes, as a dashboard would.
pub(super) struct Watch {
    metrics: Reader,
    states: Reader,
    alert_rows: Reader,
    metrics_schema: GenericSchema,
    item_schema: GenericSchema,
    alert_decoder: AlertDecoder,
    pub(super) communities: BTreeMap<String, CommunityRow>,
    /// By when they began, and id.
    pub(super) alerts: BTreeMap<(EpochMs, String), AlertRow>,
    /// The queue of each item that waits.
    waiting: HashMap<Vec<u8>, String>,
}

/// Bytes of a single-object header.
const HEADER_BYTES: usize = 10;
const TREND_MAX: usize = 120;
/// Records of one topic that are taken in before others are looked at: there are as many states of items as there is work.
const BURST: usize = 500;

impl Watch {
    pub(super) fn open(config: &Config, connection: &Connection) -> Result<Watch> {
        let open = |topic: &str| Reader::open(connection, topic, Start::Beginning, Duration::from_secs(10));
        Ok(Watch {
            metrics: open(&config.topics.metrics)?,
            states: open(&config.topics.queue_state)?,
            alert_rows: open(&config.topics.alerts)?,
            alert_decoder: AlertDecoder::new(Framing::SingleObject),
            alerts: BTreeMap::new(),
            metrics_schema: GenericSchema::parse(SchemaName::CommunityMetrics.text())?,
            item_schema: GenericSchema::parse(SchemaName::QueueItem.text())?,
            communities: BTreeMap::new(),
            waiting: HashMap::new(),
        })
    }

    /// Takes in what there is, for about this time.
    pub(super) fn read(&mut self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            let mut any = false;
            let mut patience = Duration::from_millis(2);
            for _ in 0..BURST {
                let Some(record) = self.metrics.next(patience)? else { break };
                (any, patience) = (true, Duration::ZERO);
                if let Some(row) = record.value.as_deref().and_then(|value| value.get(HEADER_BYTES..)) {
                    let row = self.metrics_schema.to_json(row).context("a row of the metrics topic")?;
                    self.take_row(&row);
                }
            }
            for _ in 0..BURST {
                let Some(record) = self.states.next(Duration::ZERO)? else { break };
                any = true;
                self.take_state(&record)?;
            }
            if let Some(record) = self.alert_rows.next(Duration::ZERO)? {
                any = true;
                if let Some(value) = &record.value {
                    let alert = self.alert_decoder.decode(value).context("a row of the alerts topic")?;
                    let known = self.alerts.entry((alert.started_at, alert.id.to_string())).or_default();
                    known.take(&alert);
                }
            }
            if !any && Instant::now() >= end || Instant::now() >= end + time * 4 {
                return Ok(());
            }
        }
    }

    fn take_state(&mut self, record: &OwnedRecord) -> Result<()> {
        let key = record.key.clone().unwrap_or_default();
        let Some(item) = record.value.as_deref().and_then(|value| value.get(HEADER_BYTES..)) else {
            self.waiting.remove(&key);
            return Ok(());
        };
        let item = self.item_schema.to_json(item).context("an item of the queues' state")?;
        let waits = matches!(item["status"].as_str(), Some("open" | "moved" | "reopened" | "claimed"));
        if waits && item["queue"] != "none" {
            self.waiting.insert(key, item["queue"].as_str().unwrap_or_default().to_owned());
        } else {
            self.waiting.remove(&key);
        }
        Ok(())
    }

    fn take_row(&mut self, row: &Value) {
        if row["window"] != "5m" || row["revision"] != 0 {
            return;
        }
        let id = row["community_id"].as_str().unwrap_or_default();
        let count = |field: &str| row[field].as_i64().unwrap_or(0);
        let shown = self.communities.entry(id.to_owned()).or_default();
        shown.id = id.to_owned();
        shown.labels = ["complaints", "tips", "experiences", "praises", "others"].map(count);
        shown.per_minute = count("interactions") as f64 / 5.0;
        shown.trend.push(u64::try_from(count("interactions")).unwrap_or(0));
        if shown.trend.len() > TREND_MAX {
            shown.trend.remove(0);
        }
    }

    /// What is looked at first, first; of those the newest.
    pub(super) fn alerts(&self) -> Vec<AlertRow> {
        let mut alerts: Vec<AlertRow> = self.alerts.values().rev().cloned().collect();
        alerts.sort_by_key(AlertRow::rank);
        alerts
    }

    pub(super) fn depths(&self, config: &Config) -> Vec<(String, u64)> {
        let queues = config.routing.queues().iter().map(|queue| queue.spec.name.clone());
        queues
            .map(|name| {
                let open = self.waiting.values().filter(|queue| **queue == name).count() as u64;
                (name, open)
            })
            .collect()
    }
}
