//! The demo, as whoever tries it first runs it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::Value;
use sinyal_tests::Sinyal;

#[test]
fn the_demo_ends_with_every_record_accounted_for() {
    // It needs no Kafka: nobody listens there.
    let sinyal = Sinyal::new("127.0.0.1:9", "demo", "").unwrap();
    let output = sinyal.output(&["demo", "--duration", "20s", "--json"]).unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(said.lines().next().is_some_and(|line| line.starts_with("bootstrap=")), "{said}");
    let stdout = String::from_utf8_lossy(&output.stdout);
    let summary: Value = serde_json::from_str(stdout.lines().last().expect("a summary")).unwrap();
    assert_eq!(summary["ledger_balanced"], true, "{summary}\n{said}");
    assert_eq!(summary["produced"], summary["consumed"], "{summary}");
    assert!(summary["panes"].as_u64() > Some(100), "{summary}");
    // 20 s are half an hour: the crisis of the fourth minute is one alert that pages, and it explains itself.
    let alerts: Vec<&Value> =
        summary["alerts"].as_array().unwrap().iter().filter(|alert| alert["rule"] == "complaint_spike").collect();
    assert_eq!(alerts.len(), 1, "{summary}");
    assert_eq!(alerts[0]["community_id"], "warga-listrik-depok", "{summary}");
    assert!(alerts[0]["states"].as_str().unwrap().contains("firing"), "{summary}");
    assert!(alerts[0]["summary"].as_str().unwrap().contains("complaints"), "{summary}");
    let each =
        |field: &str| summary[field].as_object().expect("an object").values().all(|count| count.as_u64() > Some(0));
    assert!(each("classified") && each("queued"), "every label and every queue: {summary}");
}
