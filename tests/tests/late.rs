//! Beyond the allowed lateness: what rows lack is what was counted as missed.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sinyal_tests::Reader;
use sinyal_tests::checks::{kafka, sinyal, wait_until_committed};

const START: i64 = 1_767_571_200_000;
const LENGTH_MS: i64 = 60_000;
const SLIDE_MS: i64 = 10_000;

/// A short window that is soon closed, and one that holds everything and stays open: whatever a pane of the first lacks, the second
/// has, and the number of panes that it is missed by.
const WINDOWS: &str = "watermark.disorder_ms = 2000\n\
    [[windows]]\nname = \"1m\"\nlength_ms = 60000\nslide_ms = 10000\nlateness_ms = 20000\n\
    [[windows]]\nname = \"12h\"\nlength_ms = 43200000\nslide_ms = 10000\nlateness_ms = 43200000\n";

/// Posts of five communities, one each half second in all; one of eleven is delivered up to four minutes late.
fn posts() -> Vec<(i64, Value)> {
    let posts = (0..6_000_i64).map(|number| {
        let at = START + number * 500;
        let delay_ms = if number % 11 == 0 { 5_000 + number * 104_729 % 235_000 } else { 0 };
        let post = json!({
            "kind": "post", "id": number.to_string(), "community_id": format!("warga-{}", number % 5),
            "author": { "id": format!("a-{}", number % 50), "role": "member" },
            "created_at": at, "observed_at": at + delay_ms, "text": "halo semuanya, selamat pagi"
        });
        (at + delay_ms, post)
    });
    let mut posts: Vec<(i64, Value)> = posts.collect();
    posts.sort_by_key(|(delivered, _)| *delivered);
    posts
}

#[test]
fn what_is_missing_is_what_was_counted() {
    let sinyal = sinyal("late", WINDOWS).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let posts = posts();
    let lines: String = posts.iter().map(|(_, post)| format!("{post}\n")).collect();
    std::fs::write(sinyal.file("late.jsonl"), lines).unwrap();
    // What is read together is judged together: it has to come bit by bit.
    let running = sinyal.start(&["run"]).unwrap();
    sinyal.succeed(&["ingest", "late.jsonl", "--rate", "300"]).unwrap();
    wait_until_committed(&sinyal, kafka(), &reader).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
    let mut rows: BTreeMap<(String, String), BTreeMap<i64, Value>> = BTreeMap::new();
    reader
        .each(&sinyal.topic("social.community.metrics"), Some("CommunityMetrics"), |record| {
            let row = &record["value"];
            let text = |field: &str| row[field].as_str().unwrap().to_owned();
            let panes = rows.entry((text("community_id"), text("window"))).or_default();
            // The last revision of each comes last.
            panes.insert(row["window_end"].as_i64().unwrap(), row.clone());
            Ok(())
        })
        .unwrap();
    let mut missing_in_all = 0;
    for number in 0..5 {
        let community = format!("warga-{number}");
        let of = |window: &str| &rows[&(community.clone(), window.to_owned())];
        let times: Vec<i64> = posts
            .iter()
            .filter(|(_, post)| post["community_id"] == community.as_str())
            .map(|(_, post)| post["created_at"].as_i64().unwrap())
            .collect();
        let (&last_end, whole) = of("12h").iter().next_back().unwrap();
        let there = times.iter().filter(|at| **at < last_end).count() as i64;
        assert_eq!(whole["interactions"].as_i64(), Some(there), "the open window has all of it");
        let panes = of("1m");
        let (mut missing, mut end) = (0, START + SLIDE_MS);
        let watermark = panes.values().map(|row| row["watermark"].as_i64().unwrap()).max().unwrap();
        while end <= watermark {
            let shown = panes.range(..=end).next_back().map_or(0, |(_, row)| row["interactions"].as_i64().unwrap());
            let held = times.iter().filter(|at| (end - LENGTH_MS..end).contains(*at)).count() as i64;
            assert!(shown <= held, "{community} {end}: {shown} shown, {held} there");
            missing += held - shown;
            end += SLIDE_MS;
        }
        assert_eq!(whole["missed"].as_i64(), Some(missing), "{community}");
        assert!(whole["late"].as_i64() > Some(50), "{whole}");
        missing_in_all += missing;
    }
    assert!(missing_in_all > 500, "{missing_in_all}");
}
