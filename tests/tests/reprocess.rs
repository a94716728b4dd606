//! Replays on a real Kafka: the classify group's positions set back, and everything rebuilt from the raw topics.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use sinyal_tests::checks::{
    check_exactly_once, check_rows, classified, correct_every, kafka, made_up, open_windows, sinyal,
    wait_until_aggregated, wait_until_committed, wait_until_done,
};
use sinyal_tests::desk::{act_on_every, check_queue_state, last_rows, send_actions};
use sinyal_tests::{Reader, Sinyal, wait_for};

const ROWS: (&str, &str) = ("social.community.metrics", "CommunityMetrics");
const ITEMS: (&str, &str) = ("social.queue.state", "QueueItem");
const ALERTS: (&str, &str) = ("social.alerts", "Alert");
/// What tells of when and how often a row was written.
const OF_WRITING: [&str; 7] = ["revision", "timing", "watermark", "emitted_at", "late", "missed", "completeness"];

/// What the last row of each key says, up to an end, without some of its fields.
fn said(
    sinyal: &Sinyal,
    reader: &Reader,
    (topic, schema): (&str, &str),
    until: i64,
    left_out: &[&str],
) -> BTreeMap<String, Value> {
    let mut last = BTreeMap::new();
    reader
        .each(&sinyal.topic(topic), Some(schema), |mut record| {
            let key = record["key"].as_str().unwrap().to_owned();
            if let Some(value) = record["value"].as_object_mut() {
                for field in left_out {
                    value.remove(*field);
                }
            }
            if record["value"]["window_end"].as_i64().is_none_or(|end| end <= until) {
                last.insert(key, record["value"].take());
            }
            Ok(())
        })
        .unwrap();
    last
}

/// The last watermark that any row names: panes up to it were emitted.
fn watermark(sinyal: &Sinyal, reader: &Reader) -> i64 {
    let mut least: BTreeMap<i64, i64> = BTreeMap::new();
    let topic = sinyal.topic("social.community.metrics");
    reader
        .each(&topic, Some("CommunityMetrics"), |record| {
            let known = least.entry(record["partition"].as_i64().unwrap()).or_insert(i64::MIN);
            *known = (*known).max(record["value"]["watermark"].as_i64().unwrap());
            Ok(())
        })
        .unwrap();
    least.into_values().min().unwrap()
}

/// (A) of the design: metrics and queue state do not change; classified records and queue items are there again.
#[test]
fn with_positions_set_back_nothing_is_counted_again() {
    let sinyal = sinyal("back", &open_windows()).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 41, 4_000).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
    let until = watermark(&sinyal, &reader);
    let rows = said(&sinyal, &reader, ROWS, until, &[]);
    let items = said(&sinyal, &reader, ITEMS, until, &[]);
    let alerts = said(&sinyal, &reader, ALERTS, until, &[]);
    kafka().reset_to_earliest(&sinyal.group("classify")).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    wait_for("everything to be classified again", Duration::from_secs(90), || {
        let mut records = 0;
        reader.each(&sinyal.topic("social.interactions.classified"), Some("Classified"), |record| {
            records += usize::from(record["value"]["origin_topic"].is_string());
            Ok(())
        })?;
        Ok(records == 2 * oracle.lines())
    })
    .unwrap();
    assert_eq!(classified(&sinyal, &reader).unwrap(), oracle.lines(), "of the same identities");
    wait_until_committed(&sinyal, kafka(), &reader).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
    assert_eq!(said(&sinyal, &reader, ROWS, until, &[]), rows);
    let again = said(&sinyal, &reader, ITEMS, until, &[]);
    let differ: Vec<_> = items.iter().filter(|(key, row)| again.get(*key) != Some(row)).collect();
    assert!(differ.is_empty(), "{} differ, first {:?} for {:?}", differ.len(), again.get(differ[0].0), differ[0]);
    assert_eq!(again.len(), items.len());
    assert_eq!(said(&sinyal, &reader, ALERTS, until, &[]), alerts);
    check_rows(&sinyal, &reader, &oracle).unwrap();
}

/// What the queues' state says is the same in both generations, but for when a row was written. A correction that put something into
/// a queue is read before what it corrects by a rebuild: there the row has the text, which the old generation never had.
fn compare_items(before: &Sinyal, after: &Sinyal, reader: &Reader) {
    let rows = |of| last_rows(of, reader, ITEMS.0, ITEMS.1).unwrap();
    let (before, mut after) = (rows(before), rows(after));
    assert!(before.len() > 500, "{} items", before.len());
    let of_content = [
        "text",
        "thread_id",
        "url",
        "language",
        "mixed",
        "confidence",
        "origin_topic",
        "origin_partition",
        "origin_offset",
    ];
    let is_unheard = |row: &Value| row["origin_offset"] == -1;
    // Which thread such an item is in, and whether that was answered by its answer, the old generation does not know either.
    let thread = |row: &Value| (row["community_id"].to_string(), row["thread_id"].to_string());
    let unheard = before.iter().filter(|(_, row)| is_unheard(row)).filter_map(|(key, _)| after.get(key));
    let threads: BTreeSet<_> = unheard.map(thread).collect();
    let (mut without_text, mut of_threads, mut differ) = (0, 0, Vec::new());
    for (key, row) in before {
        let Some(other) = after.remove(&key) else {
            differ.push(format!("{key} is there only before"));
            continue;
        };
        let unheard = is_unheard(&row);
        let of_thread = threads.contains(&thread(&other));
        without_text += usize::from(unheard);
        of_threads += usize::from(of_thread);
        for (field, value) in row.as_object().unwrap() {
            let left_out = field == "updated_at" || (unheard && of_content.contains(&field.as_str()));
            let left_out = left_out || (of_thread && field.starts_with("priority"));
            if !left_out && *value != other[field] {
                differ.push(format!("{key}: {field} was {value} and is {}", other[field]));
            }
        }
    }
    differ.extend(after.keys().map(|key| format!("{key} is there only after")));
    println!("{without_text} items that corrections alone had queued, {of_threads} in their threads");
    assert!(differ.is_empty(), "{} differ: {:#?}", differ.len(), &differ[..differ.len().min(5)]);
}

/// (B) of the design, and the way out of other partitions.
#[test]
fn what_is_rebuilt_says_the_same_also_with_other_partitions() {
    let more = format!(
        "topics.partitions = 2\nkafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\n{}",
        open_windows()
    );
    let sinyal = sinyal("rebuilt", &more).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let mut oracle = made_up(&sinyal, 42, 6_000).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    let corrections = correct_every(&mut oracle, 20);
    std::fs::write(sinyal.file("corrections.jsonl"), &corrections).unwrap();
    sinyal.succeed(&["corrections", "import", "corrections.jsonl"]).unwrap();
    let topic = sinyal.topic("social.corrections");
    let sent = reader.read(&topic, Some("Correction")).unwrap();
    wait_until_aggregated(&sinyal, &reader, &topic, &sent).unwrap();
    send_actions(&sinyal, &act_on_every(&mut oracle, 10).unwrap()).unwrap();
    let topic = sinyal.topic("social.actions");
    let sent = reader.read(&topic, Some("Action")).unwrap();
    wait_until_aggregated(&sinyal, &reader, &topic, &sent).unwrap();
    check_rows(&sinyal, &reader, &oracle).unwrap();
    check_queue_state(&sinyal, &reader, &oracle).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
    // Somebody gives the stage's topics more partitions.
    for topic in
        ["social.interactions.classified", "social.corrections", "social.actions", "social.community.changelog"]
    {
        kafka().add_partitions(&sinyal.topic(topic), 5).unwrap();
    }
    // Also where a replica gets none but new ones.
    let replicas = ["rebuilt-a", "rebuilt-b", "rebuilt-c", "rebuilt-d"];
    let start = |name| sinyal.start_with(&["run"], &[("SINYAL__INSTANCE__ID", name)]).unwrap();
    for mut refused in replicas.map(start) {
        assert_eq!(refused.wait(Duration::from_secs(90)).unwrap(), Some(3), "{}", refused.log());
    }
    check_rows(&sinyal, &reader, &oracle).unwrap();
    let log = sinyal.log();
    assert!(log.contains("has 5 partitions and had 2 when the state was written"), "{log}");
    assert!(log.contains("`sinyal reprocess` rebuilds everything from the raw topics"), "{log}");
    let five = [("SINYAL__TOPICS__PARTITIONS", "5")];
    let same = sinyal.output_with(&["reprocess", "--generation", ""], &five).unwrap();
    assert_eq!(same.status.code(), Some(2), "{same:?}");
    // Killed in between, the same command goes on.
    let rebuilding = sinyal.start_with(&["reprocess", "--generation", "g2"], &five).unwrap();
    let next = sinyal.generation("g2");
    wait_for("some of it to be rebuilt", Duration::from_secs(60), || {
        // By its offsets: to read the topic takes longer than to rebuild it.
        let topic = next.topic("social.interactions.classified");
        let begun = |partition| kafka().offsets(&topic, partition).is_ok_and(|(_, end)| end > 0);
        Ok(rebuilding.log().contains("raw records:") || (0..5).any(begun))
    })
    .unwrap();
    rebuilding.kill();
    let rebuilt = sinyal.output_with(&["reprocess", "--generation", "g2"], &five).unwrap();
    let words = String::from_utf8_lossy(&rebuilt.stderr);
    assert_eq!(rebuilt.status.code(), Some(0), "{words}");
    assert!(words.contains("generation g2 was begun before and not finished"), "{words}");
    assert!(words.contains("generation g2 is rebuilt") && words.contains("topics.generation = \"g2\""), "{words}");
    // Again, for what has come meanwhile, which is nothing.
    let again = sinyal.output_with(&["reprocess", "--generation", "g2"], &five).unwrap();
    let words = String::from_utf8_lossy(&again.stderr);
    assert_eq!(again.status.code(), Some(0), "{words}");
    assert!(words.contains("generation g2 was rebuilt to its end before"), "{words}");
    assert!(words.contains("0 raw records read"), "{words}");
    check_exactly_once(&next, &reader, &oracle).unwrap();
    let until = watermark(&sinyal, &reader).min(watermark(&next, &reader));
    let rows = |of: &Sinyal| said(of, &reader, ROWS, until, &OF_WRITING);
    let (before, after) = (rows(&sinyal), rows(&next));
    assert!(before.len() > 500, "{} rows", before.len());
    let differ: Vec<_> =
        before.iter().filter(|(key, row)| after.get(*key).is_some_and(|other| other != *row)).collect();
    assert!(differ.is_empty(), "{} differ, first {:?} for {:?}", differ.len(), differ[0], after[differ[0].0]);
    // What was counted and taken back leaves a row or not, as it comes before or after the end of its pane.
    let only = |of: &BTreeMap<String, Value>, other: &BTreeMap<String, Value>| {
        of.keys().filter(|key| !other.contains_key(*key)).cloned().collect::<Vec<_>>()
    };
    let (only_before, only_after) = (only(&before, &after), only(&after, &before));
    println!("{} rows; {only_before:?} only before, {only_after:?} only after", before.len());
    assert!(only_before.len() + only_after.len() < before.len() / 20, "{only_before:?} {only_after:?}");
    compare_items(&sinyal, &next, &reader);
    // The cut-over: the service goes on with the new generation.
    let variables = [five[0], ("SINYAL__TOPICS__GENERATION", "g2")];
    let running = sinyal.start_with(&["run"], &variables).unwrap();
    let line = r#"{"kind":"post","id":"after","community_id":"after","author":{"id":"a"},"created_at":1767571200000,"observed_at":1767571200000,"text":"makasih"}"#;
    std::fs::write(sinyal.file("after.jsonl"), line).unwrap();
    sinyal.succeed(&["ingest", "after.jsonl"]).unwrap();
    wait_for("what comes after it", Duration::from_secs(60), || Ok(classified(&next, &reader)? == oracle.lines() + 1))
        .unwrap();
    // What works is not worked on by another.
    let refused = sinyal.output_with(&["reprocess", "--generation", "g2"], &five).unwrap();
    let words = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(3), "{words}");
    assert!(words.contains("generation g2 is in use: somebody is in its consumer group"), "{words}");
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
}
