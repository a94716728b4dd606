//! The service on a real Kafka: what only a broker can show.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_io::Connection;
use kafka_io::feed::{Feed, FeedRecord};
use serde_json::Value;
use sinyal_tests::checks::{
    by_origin, check_exactly_once, check_rows, classified, correct_every, made_up, open_windows, sinyal,
    wait_until_aggregated, wait_until_done,
};
use sinyal_tests::{Kafka, Reader, Registry, Sinyal, wait_for};

#[test]
fn what_is_ingested_is_classified_queued_and_counted() {
    let sinyal = sinyal("whole", &open_windows()).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 11, 4_000).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    // While it runs: panes that only wait for the clock have no latency.
    sinyal.succeed(&["ingest", "input.jsonl", "--rate", "400"]).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    let metrics = running.metrics().unwrap();
    for latency in ["sinyal_classified_latency_seconds_count", "sinyal_pane_latency_seconds_count"] {
        let count = metrics.lines().find_map(|line| line.strip_prefix(latency)?.trim().parse::<f64>().ok());
        assert!(count > Some(0.0), "{latency} is {count:?}");
    }
    assert_eq!(running.terminate().unwrap(), Some(0));
    let tail = sinyal.succeed(&["tail", &sinyal.topic("social.community.metrics"), "-n", "1"]).unwrap();
    let row: Value = serde_json::from_str(&tail).unwrap();
    assert!(row["value"]["interactions"].is_i64(), "{row}");
}

#[test]
fn killed_ten_times_nothing_is_lost_and_nothing_is_there_twice() {
    let sinyal = sinyal("killed", &open_windows()).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 12, 20_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "500"]).unwrap();
    let mut worked = 0;
    let mut before = 0;
    for round in 0..10_u64 {
        let mut running = sinyal.start(&["run"]).unwrap();
        // Not before it works: a process that is killed while it starts shows nothing.
        wait_for("records to be committed", Duration::from_secs(60), || {
            Ok(running.committed("classify")? > 1 && (running.consumed("classify")? > 0 || !feeding.is_running()))
        })
        .unwrap();
        std::thread::sleep(Duration::from_millis(round * 130));
        assert!(running.is_running(), "{}", sinyal.log());
        running.kill();
        let now = classified(&sinyal, &reader).unwrap();
        worked += usize::from(now > before);
        before = now;
    }
    assert!(worked >= 6, "only {worked} of ten rounds committed anything before they were killed");
    let running = sinyal.start(&["run"]).unwrap();
    wait_for("the feed to end", Duration::from_secs(60), || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn asked_to_end_it_loses_nothing() {
    let sinyal = sinyal("ended", &open_windows()).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 13, 9_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "400"]).unwrap();
    for _ in 0..3 {
        let mut running = sinyal.start(&["run"]).unwrap();
        wait_for("records to be committed", Duration::from_secs(60), || Ok(running.consumed("classify")? > 0)).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
    }
    let running = sinyal.start(&["run"]).unwrap();
    wait_for("the feed to end", Duration::from_secs(60), || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn a_broker_that_comes_back_is_worked_with_again() {
    let mut kafka = Kafka::start().unwrap();
    let sinyal = Sinyal::new(&kafka.bootstrap(), "away", &open_windows()).unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 14, 9_000).unwrap();
    let mut running = sinyal.start(&["run"]).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "1000"]).unwrap();
    wait_for("records to be committed", Duration::from_secs(60), || Ok(running.consumed("community")? > 100)).unwrap();
    kafka.stop().unwrap();
    std::thread::sleep(Duration::from_secs(6));
    kafka.restart().unwrap();
    wait_for("the feed to end", Duration::from_secs(120), || Ok(!feeding.is_running())).unwrap();
    assert!(running.is_running(), "{}", sinyal.log());
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn a_correction_changes_what_was_counted() {
    let sinyal = sinyal("corrected", &open_windows()).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let mut oracle = made_up(&sinyal, 16, 5_000).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    let corrections = correct_every(&mut oracle, 10);
    std::fs::write(sinyal.file("corrections.jsonl"), format!("{corrections}{{\"id\":1}}\n")).unwrap();
    let imported = sinyal.output(&["corrections", "import", "corrections.jsonl"]).unwrap();
    let said = String::from_utf8_lossy(&imported.stderr);
    assert_eq!(imported.status.code(), Some(4), "one line is none: {said}");
    assert!(said.contains(&format!("{} accepted, 1 refused", corrections.lines().count())), "{said}");
    let one =
        ["corrections", "add", "--community", "c", "--kind", "post", "--id", "never", "--label", "tip", "--by", "sari"];
    sinyal.succeed(&one).unwrap();
    let topic = sinyal.topic("social.corrections");
    let sent = reader.read(&topic, Some("Correction")).unwrap();
    assert_eq!(sent.len(), corrections.lines().count() + 1);
    wait_until_aggregated(&sinyal, &reader, &topic, &sent).unwrap();
    check_rows(&sinyal, &reader, &oracle).unwrap();
    let metrics = running.metrics().unwrap();
    let parked = metrics.lines().find(|line| line.contains("outcome=\"parked\"") && !line.ends_with(" 0"));
    assert!(parked.is_some(), "one waits for what never came");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn poison_becomes_dead_letters_and_stops_nothing() {
    let sinyal = sinyal("poison", "limits.raw_record_bytes = 1048576\n").unwrap();
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
    assert_eq!(by_origin(&classified).unwrap().len(), 2, "the good ones before and after");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn a_short_window_falls_to_zero_when_nothing_comes() {
    let windows = "[[windows]]\nname = \"3s\"\nlength_ms = 3000\nslide_ms = 1000\nlateness_ms = 1000\n";
    let sinyal = sinyal("zero", &format!("watermark.disorder_ms = 500\n{windows}")).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let line = format!(
        r#"{{"kind":"post","id":"1","community_id":"sepi","author":{{"id":"a","role":"member"}},"created_at":{now},"observed_at":{now},"text":"makasih ya"}}"#
    );
    std::fs::write(sinyal.file("one.jsonl"), line).unwrap();
    sinyal.succeed(&["ingest", "one.jsonl"]).unwrap();
    wait_for("the zero pane", Duration::from_secs(120), || {
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
    let sinyal = sinyal("registry", &format!("registry.url = \"{}\"\n", registry.url())).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 15, 500).unwrap();
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
        Ok(by_origin(&records)?.len() == oracle.lines())
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
    let narrower = r#"{"schema":"{\"type\":\"record\",\"name\":\"Alert\",\"namespace\":\"id.sinyal\",\"fields\":[{\"name\":\"other\",\"type\":\"string\"}]}"}"#;
    assert_eq!(registry.register(&subject, narrower).unwrap(), 409, "what old readers cannot read is refused");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn topics_are_made_by_several_at_once_each_by_one_of_them() {
    let shared = sinyal("made", "").unwrap();
    for round in 0..3 {
        let sinyal = Sinyal::new(shared.bootstrap(), &format!("made-{round}"), "").unwrap();
        let outputs = std::thread::scope(|scope| {
            let all: Vec<_> = (0..4).map(|_| scope.spawn(|| sinyal.output(&["topics", "apply"]).unwrap())).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        });
        let mut made: BTreeMap<String, usize> = BTreeMap::new();
        for output in outputs {
            assert!(output.status.success(), "{output:?}");
            for line in String::from_utf8(output.stdout).unwrap().lines().skip(1) {
                let name = line.split_whitespace().next().unwrap().to_owned();
                *made.entry(name).or_default() += usize::from(line.trim_end().ends_with("created"));
            }
        }
        assert!(made.len() > 10 && made.values().all(|times| *times == 1), "{made:?}");
    }
}

#[test]
fn a_header_whose_name_is_no_text_harms_nobody() {
    let sinyal = sinyal("header", "").unwrap();
    // SAFETY: the name is written as bytes, and nothing looks at it as text.
    #[allow(unsafe_code)]
    let name = unsafe { String::from_utf8_unchecked(b"nama\xff".to_vec()) };
    let connection =
        Connection { bootstrap: sinyal.bootstrap().to_owned(), client_id: "test".to_owned(), properties: Vec::new() };
    let feed = Feed::open(&connection, 1_000_000).unwrap();
    let topic = sinyal.topic("social.posts.raw");
    let headers = [(name, Some(b"isi".to_vec()))];
    feed.send_record(&FeedRecord {
        topic: &topic,
        value: Some(b"no record"),
        headers: &headers,
        ..FeedRecord::default()
    })
    .unwrap();
    feed.flush(Duration::from_secs(30)).unwrap();
    assert_eq!(feed.failed(), 0);
    let tail = sinyal.succeed(&["tail", &topic, "-n", "1"]).unwrap();
    assert!(tail.contains("nama\u{fffd}"), "{tail}");
    let mut running = sinyal.start(&["run"]).unwrap();
    wait_for("it to be a dead letter", Duration::from_secs(60), || Ok(running.consumed("classify")? > 0)).unwrap();
    let letters = sinyal.succeed(&["dlq", "list", "--json"]).unwrap();
    assert_eq!(letters.lines().count(), 1, "{letters}");
    assert_eq!(running.terminate().unwrap(), Some(0));
}
