//! The service on a real Kafka: what only a broker can show.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use sinyal_tests::{Kafka, Reader, Recount, Registry, Sinyal, wait_for};

const WINDOWS: [(&str, i64); 4] = [("5m", 300_000), ("1h", 3_600_000), ("24h", 86_400_000), ("7d", 604_800_000)];
/// The standard windows, open for a day: the tests feed minutes of event time in a second, so that a moment of the machine's
/// is long in event time. Nothing is late then, and a recount needs no watermark.
const OPEN_WINDOWS: &str = "
[[windows]]
name = \"5m\"
length_ms = 300000
slide_ms = 10000
lateness_ms = 86400000
[[windows]]
name = \"1h\"
length_ms = 3600000
slide_ms = 60000
lateness_ms = 86400000
[[windows]]
name = \"24h\"
length_ms = 86400000
slide_ms = 900000
lateness_ms = 86400000
[[windows]]
name = \"7d\"
length_ms = 604800000
slide_ms = 3600000
lateness_ms = 86400000
";
const QUEUES: [&str; 5] = ["complaint", "tip", "experience", "praise", "review"];

fn kafka() -> &'static Kafka {
    static KAFKA: OnceLock<Kafka> = OnceLock::new();
    KAFKA.get_or_init(|| Kafka::start().unwrap())
}

fn sinyal(prefix: &str, more: &str) -> Sinyal {
    let sinyal = Sinyal::new(&kafka().bootstrap(), prefix, more).unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    sinyal
}

fn made_up(sinyal: &Sinyal, seed: u32, interactions: u32) -> String {
    let lines =
        sinyal.succeed(&["sim", "--seed", &seed.to_string(), "--interactions", &interactions.to_string()]).unwrap();
    std::fs::write(sinyal.file("input.jsonl"), &lines).unwrap();
    lines
}

fn count(sinyal: &Sinyal, reader: &Reader, topic: &str, schema: &str) -> usize {
    reader.read(&sinyal.topic(topic), Some(schema)).unwrap().len()
}

/// How often each raw record stands in these topics.
fn by_origin(records: &[Value]) -> BTreeMap<(String, i64, i64), usize> {
    let mut origins = BTreeMap::new();
    for record in records {
        let value = &record["value"];
        if value["origin_topic"].is_string() {
            let key = (
                value["origin_topic"].as_str().unwrap().to_owned(),
                value["origin_partition"].as_i64().unwrap(),
                value["origin_offset"].as_i64().unwrap(),
            );
            *origins.entry(key).or_default() += 1;
        }
    }
    origins
}

/// Every raw record is classified once, each item is queued once, and every row is what a recount says.
fn check_exactly_once(sinyal: &Sinyal, reader: &Reader, recount: &Recount) {
    let classified = reader.read(&sinyal.topic("social.interactions.classified"), Some("Classified")).unwrap();
    let origins = by_origin(&classified);
    assert_eq!(origins.len(), recount.lines, "every raw record is there");
    assert!(origins.values().all(|&times| times == 1), "none twice");
    let queued: usize = classified.iter().filter(|record| record["value"]["queue"].is_string()).count();
    let mut in_queues = 0;
    for queue in QUEUES {
        let items = reader.read(&sinyal.topic(&format!("social.queue.{queue}")), Some("QueueItem")).unwrap();
        let origins = by_origin(&items);
        assert!(origins.values().all(|&times| times == 1), "queue {queue}: none twice");
        in_queues += items.len();
    }
    assert_eq!(in_queues, queued);
    let rows = reader.read(&sinyal.topic("social.community.metrics"), Some("CommunityMetrics")).unwrap();
    let panes = recount.check_rows(&rows, &WINDOWS).unwrap();
    assert!(panes > 100, "{panes} panes");
}

fn wait_until_classified(sinyal: &Sinyal, reader: &Reader, lines: usize) {
    wait_for("everything to be classified", Duration::from_secs(90), || {
        let records = reader.read(&sinyal.topic("social.interactions.classified"), Some("Classified"))?;
        Ok(by_origin(&records).len() >= lines)
    })
    .unwrap();
    wait_until_quiet(sinyal, reader);
}

/// Until no more rows come: event time has caught up with what was read.
fn wait_until_quiet(sinyal: &Sinyal, reader: &Reader) {
    let mut before = 0;
    wait_for("the rows to be complete", Duration::from_secs(90), || {
        let now = count(sinyal, reader, "social.community.metrics", "CommunityMetrics");
        let quiet = now == before && now > 0;
        before = now;
        std::thread::sleep(Duration::from_secs(2));
        Ok(quiet)
    })
    .unwrap();
}

#[test]
fn what_is_ingested_is_classified_queued_and_counted() {
    let sinyal = sinyal("whole", OPEN_WINDOWS);
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let recount = Recount::of(&made_up(&sinyal, 11, 4_000)).unwrap();
    // First what is old, then the service: so no source seems idle that is not.
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    wait_until_classified(&sinyal, &reader, recount.lines);
    check_exactly_once(&sinyal, &reader, &recount);
    assert_eq!(running.terminate().unwrap(), Some(0));
    let tail = sinyal.succeed(&["tail", &sinyal.topic("social.community.metrics"), "-n", "1"]).unwrap();
    let row: Value = serde_json::from_str(&tail).unwrap();
    assert!(row["value"]["interactions"].is_i64(), "{row}");
}

#[test]
fn killed_ten_times_nothing_is_lost_and_nothing_is_there_twice() {
    let sinyal = sinyal("killed", OPEN_WINDOWS);
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let recount = Recount::of(&made_up(&sinyal, 12, 20_000)).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "1200"]).unwrap();
    for round in 0..10_u64 {
        let running = sinyal.start(&["run"]).unwrap();
        std::thread::sleep(Duration::from_millis(900 + round * 130));
        running.kill();
    }
    let running = sinyal.start(&["run"]).unwrap();
    wait_for("the feed to end", Duration::from_secs(60), || Ok(!feeding.is_running())).unwrap();
    wait_until_classified(&sinyal, &reader, recount.lines);
    check_exactly_once(&sinyal, &reader, &recount);
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn asked_to_end_it_loses_nothing() {
    let sinyal = sinyal("ended", OPEN_WINDOWS);
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let recount = Recount::of(&made_up(&sinyal, 13, 9_000)).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "1500"]).unwrap();
    for _ in 0..3 {
        let running = sinyal.start(&["run"]).unwrap();
        std::thread::sleep(Duration::from_millis(1_700));
        assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
    }
    let running = sinyal.start(&["run"]).unwrap();
    wait_for("the feed to end", Duration::from_secs(60), || Ok(!feeding.is_running())).unwrap();
    wait_until_classified(&sinyal, &reader, recount.lines);
    check_exactly_once(&sinyal, &reader, &recount);
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn a_broker_that_comes_back_is_worked_with_again() {
    let mut kafka = Kafka::start().unwrap();
    let sinyal = Sinyal::new(&kafka.bootstrap(), "away", OPEN_WINDOWS).unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let recount = Recount::of(&made_up(&sinyal, 14, 9_000)).unwrap();
    let mut running = sinyal.start(&["run"]).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "1000"]).unwrap();
    std::thread::sleep(Duration::from_secs(4));
    kafka.stop();
    std::thread::sleep(Duration::from_secs(6));
    kafka.restart().unwrap();
    wait_for("the feed to end", Duration::from_secs(120), || Ok(!feeding.is_running())).unwrap();
    assert!(running.is_running(), "{}", sinyal.log());
    wait_until_classified(&sinyal, &reader, recount.lines);
    check_exactly_once(&sinyal, &reader, &recount);
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn poison_becomes_dead_letters_and_stops_nothing() {
    let sinyal = sinyal("poison", "limits.raw_record_bytes = 1048576\n");
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    let posts = sinyal.topic("social.posts.raw");
    let good = r#"{"kind":"post","id":"1","community_id":"c","author":{"id":"a"},"created_at":1767571200000,"observed_at":1767571200000,"text":"halo"}"#;
    let year_9999 = good.replace("\"created_at\":1767571200000", "\"created_at\":253370764800000");
    std::fs::write(sinyal.file("good.jsonl"), format!("{good}\n{year_9999}\n")).unwrap();
    sinyal.succeed(&["ingest", "good.jsonl"]).unwrap();
    let sample = reader.read(&posts, None).unwrap();
    let valid =
        sample.iter().map(|record| record["value"].as_str().unwrap()).find(|value| value.contains("68616c6f")).unwrap();
    let valid: Vec<u8> =
        (0..valid.len()).step_by(2).map(|at| u8::from_str_radix(&valid[at..at + 2], 16).unwrap()).collect();
    let mut unknown = valid.clone();
    unknown[3] ^= 0x55;
    let mut not_utf8 = valid.clone();
    let at = not_utf8.windows(4).position(|bytes| bytes == b"halo").unwrap();
    not_utf8[at] = 0xff;
    let feed = kafka_io::feed::Feed::open(
        &kafka_io::Connection {
            bootstrap: sinyal.bootstrap().to_owned(),
            client_id: "poison".to_owned(),
            properties: Vec::new(),
        },
        8_000_000,
    )
    .unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    let admin = kafka_io::admin::Admin::new(
        &kafka_io::Connection {
            bootstrap: sinyal.bootstrap().to_owned(),
            client_id: "poison".to_owned(),
            properties: Vec::new(),
        },
        Duration::from_secs(10),
    )
    .unwrap();
    let large = BTreeMap::from([("max.message.bytes".to_owned(), "8000000".to_owned())]);
    let kept = BTreeMap::from([("retention.ms".to_owned(), "86400000".to_owned())]);
    sinyal.succeed(&["check"]).unwrap();
    admin.alter_config(&posts, &kept).unwrap();
    admin.alter_config(&posts, &large).unwrap();
    assert_eq!(admin.config(&posts).unwrap()["retention.ms"], "86400000", "what was set before stays");
    let checked = sinyal.output(&["check"]).unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert_eq!(checked.status.code(), Some(3), "{said}");
    assert!(said.contains("larger records become dead letters"), "{said}");
    let huge = vec![b'a'; 5_000_000];
    for value in [&valid[..valid.len() - 5], &unknown, &not_utf8, &huge, b"{}", &valid] {
        feed.send(&posts, Some(b"k"), Some(value), None).unwrap();
    }
    feed.send(&posts, Some(b"k"), None, None).unwrap();
    feed.flush(Duration::from_secs(30)).unwrap();
    assert_eq!(feed.failed(), 0);
    let mut letters = Vec::new();
    wait_for("the dead letters", Duration::from_secs(60), || {
        letters = reader.read(&sinyal.topic("social.dead-letters"), None)?;
        Ok(letters.len() >= 7)
    })
    .unwrap();
    let mut reasons: Vec<&str> =
        letters.iter().map(|letter| letter["headers"]["sinyal.reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(
        reasons,
        ["future_time", "invalid_utf8", "malformed", "null_value", "too_large", "unknown_schema", "wrong_framing"]
    );
    let large = letters.iter().find(|letter| letter["headers"]["sinyal.reason"] == "too_large").unwrap();
    assert_eq!(large["headers"]["sinyal.original-size"], "5000000");
    let classified = reader.read(&sinyal.topic("social.interactions.classified"), Some("Classified")).unwrap();
    assert_eq!(by_origin(&classified).len(), 2, "the good ones before and after");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn a_short_window_falls_to_zero_when_nothing_comes() {
    let windows = "[[windows]]\nname = \"3s\"\nlength_ms = 3000\nslide_ms = 1000\nlateness_ms = 1000\n";
    let sinyal = sinyal("zero", &format!("watermark.disorder_ms = 500\n{windows}"));
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let line = format!(
        r#"{{"kind":"post","id":"1","community_id":"sepi","author":{{"id":"a","role":"member"}},"created_at":{now},"observed_at":{now},"text":"makasih ya"}}"#
    );
    std::fs::write(sinyal.file("one.jsonl"), line).unwrap();
    sinyal.succeed(&["ingest", "one.jsonl"]).unwrap();
    wait_for("the zero pane", Duration::from_secs(30), || {
        let rows = reader.read(&sinyal.topic("social.community.metrics"), Some("CommunityMetrics"))?;
        let totals: Vec<i64> = rows.iter().filter_map(|row| row["value"]["interactions"].as_i64()).collect();
        Ok(totals == [1, 0])
    })
    .unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn with_a_registry_schemas_are_registered_checked_and_used() {
    let registry = Registry::start().unwrap();
    let sinyal = sinyal("registry", &format!("registry.url = \"{}\"\n", registry.url()));
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let recount = Recount::of(&made_up(&sinyal, 15, 500)).unwrap();
    let refused = sinyal.output(&["run"]).unwrap();
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("sinyal schemas register"), "{refused:?}");
    assert_eq!(sinyal.output(&["schemas", "check"]).unwrap().status.code(), Some(3));
    sinyal.succeed(&["schemas", "register"]).unwrap();
    sinyal.succeed(&["schemas", "check"]).unwrap();
    sinyal.succeed(&["check"]).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    wait_for("everything to be classified", Duration::from_secs(60), || {
        let records = reader.read(&sinyal.topic("social.interactions.classified"), Some("Classified"))?;
        Ok(by_origin(&records).len() == recount.lines)
    })
    .unwrap();
    let feed = kafka_io::feed::Feed::open(
        &kafka_io::Connection {
            bootstrap: sinyal.bootstrap().to_owned(),
            client_id: "poison".to_owned(),
            properties: Vec::new(),
        },
        100_000,
    )
    .unwrap();
    feed.send(&sinyal.topic("social.posts.raw"), None, Some(&[0, 0, 9, 9, 9, 1, 2]), None).unwrap();
    feed.flush(Duration::from_secs(10)).unwrap();
    wait_for("the dead letter", Duration::from_secs(30), || {
        let letters = reader.read(&sinyal.topic("social.dead-letters"), None)?;
        Ok(letters.len() == 1 && letters[0]["headers"]["sinyal.reason"] == "unknown_schema")
    })
    .unwrap();
    let subject = format!("{}-value", sinyal.topic("social.alerts"));
    registry.set_backward(&subject).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
}
