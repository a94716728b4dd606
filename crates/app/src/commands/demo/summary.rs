//! What the demo says at its end.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use record::{Label, Outcome, Tier};
use serde_json::{Value, json};

use super::watch::Watch;
use crate::config::Config;
use crate::console::AlertRow;
use crate::roles::{ClassifyReport, CommunityReport};

pub(super) fn summary(
    classified: &Mutex<ClassifyReport>,
    aggregated: &Mutex<CommunityReport>,
    produced: &AtomicU64,
    config: &Config,
    bootstrap: &str,
    first_classified: Option<Duration>,
    watch: &Watch,
) -> Value {
    let report = classified.lock().map(|report| report.clone()).unwrap_or_default();
    let after = aggregated.lock().map(|report| report.clone()).unwrap_or_default();
    let produced = produced.load(Ordering::Acquire);
    let by_label: serde_json::Map<String, Value> = Label::ALL
        .into_iter()
        .map(|label| (label.as_str().to_owned(), report.tallies.by_label[label.index()].into()))
        .collect();
    let by_tier: serde_json::Map<String, Value> = Tier::ALL
        .into_iter()
        .map(|tier| (tier.as_str().to_owned(), report.tallies.by_tier[tier as usize].into()))
        .collect();
    let by_queue: serde_json::Map<String, Value> = config
        .routing
        .queues()
        .iter()
        .zip(&report.tallies.by_queue)
        .map(|(queue, &count)| (queue.spec.name.clone(), count.into()))
        .collect();
    let outcomes: serde_json::Map<String, Value> = Outcome::ALL
        .into_iter()
        .filter(|&outcome| after.ledger.count(outcome) > 0)
        .map(|outcome| (outcome.as_str().to_owned(), after.ledger.count(outcome).into()))
        .collect();
    let interactions = after.ledger.consumed() - after.ledger.count(Outcome::Progress);
    let balanced = produced == report.ledger.consumed()
        && report.balanced
        && after.balanced
        && report.ledger.is_balanced()
        && after.ledger.is_balanced()
        && interactions == report.ledger.count(Outcome::Classified);
    json!({
        "produced": produced,
        "consumed": report.ledger.consumed(),
        "classified": by_label,
        "abstained": report.tallies.abstained,
        "decided": by_tier,
        "queued": by_queue,
        "panes": after.panes,
        "dead_letters": report.dead_letters + after.dead_letters,
        "deduplicated": after.ledger.count(Outcome::Deduplicated),
        "late": after.ledger.count(Outcome::Late),
        "community_outcomes": outcomes,
        "ledger_balanced": balanced,
        "first_classified_ms": first_classified.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
        "alerts": watch.alerts.values().map(AlertRow::to_json).collect::<Vec<_>>(),
        "bootstrap": bootstrap,
    })
}

pub(super) fn readable(summary: &Value) -> String {
    let list = |field: &str| {
        let parts = summary[field].as_object().into_iter().flatten().map(|(name, count)| format!("{name} {count}"));
        parts.collect::<Vec<_>>().join(", ")
    };
    let balanced =
        if summary["ledger_balanced"] == true { "every record has exactly one outcome" } else { "NOT balanced" };
    let alerts = summary["alerts"].as_array().into_iter().flatten();
    let alerts: String = alerts
        .map(|alert| {
            let text = |field: &str| alert[field].as_str().unwrap_or_default();
            format!("\nalert {} ({}, {}): {}", text("rule"), text("severity"), text("states"), text("summary"))
        })
        .collect();
    format!(
        "produced {}, consumed {}, ledger: {balanced}\nclassified: {}\nqueued: {}\naggregated: {}\npanes {}, dead letters {}{alerts}",
        summary["produced"],
        summary["consumed"],
        list("classified"),
        list("queued"),
        list("community_outcomes"),
        summary["panes"],
        summary["dead_letters"]
    )
}
