//! Canaries on a real Kafka: they come through every pair of partitions, name the one that does not flow, and change nothing else.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kafka_io::Connection;
use kafka_io::admin::Admin;
use kafka_io::feed::{Feed, FeedRecord};
use serde_json::{Value, json};
use sinyal_tests::checks::{check_exactly_once, kafka, made_up, open_windows, sinyal, wait_until_done};
use sinyal_tests::{Ran, Reader, Sinyal, wait_for};

/// Canaries each second; what is blind is told within seconds, once all that one round lacks is late.
const SHORT: &str = "topics.raw_partitions = 2\ntopics.partitions = 3\nkafka.session_timeout_ms = 20000\n\
    kafka.transaction_timeout_ms = 3000\ncanary.interval_ms = 1000\ncanary.late_ms = 6000\n\
    blindness.interval_ms = 500\nblindness.begin_ms = 2500\nblindness.end_ms = 1000\n";
const PATIENCE: Duration = Duration::from_secs(120);

/// A target that is told of alerts, and never answers: the role is there for what it observes.
const TARGET: &str = "[[notify.targets]]\nname = \"nobody\"\nkind = \"alertmanager\"\nurl = \"http://127.0.0.1:9\"\n";

fn replica(sinyal: &Sinyal, role: &str, name: &str) -> Ran {
    sinyal.start_with(&["run", "--role", role], &[("SINYAL__INSTANCE__ID", name)]).unwrap()
}

/// What `sinyal status` says, whatever it thinks of it.
fn status(sinyal: &Sinyal) -> Value {
    let output = sinyal.output(&["status", "--json", "--wait", "1"]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// The ways on which a canary came that was sent after this time.
fn came_since(status: &Value, since: i64) -> BTreeSet<(String, i64, i64)> {
    let came = status["canaries"]["came"].as_array().cloned().unwrap_or_default();
    let fresh = came.iter().filter(|came| came["sent_at"].as_i64().unwrap() > since);
    fresh
        .map(|came| {
            let number = |field: &str| came[field].as_i64().unwrap();
            assert!(number("classified_ms") >= 0 && number("counted_ms") >= 0, "{came}");
            (came["topic"].as_str().unwrap().to_owned(), number("partition"), number("classified_partition"))
        })
        .collect()
}

/// Every raw partition through every partition of the classified topic.
fn all_ways(sinyal: &Sinyal) -> BTreeSet<(String, i64, i64)> {
    let topics = ["social.posts.raw", "social.comments.raw"].map(|topic| sinyal.topic(topic));
    let raw = topics.iter().flat_map(|topic| (0..2).map(move |partition| (topic.clone(), partition)));
    raw.flat_map(|(topic, partition)| (0..3).map(move |to| (topic.clone(), partition, to))).collect()
}

/// What the notifier's metrics say of blindness by canaries.
fn is_blind(notifier: &Ran) -> Option<bool> {
    let metrics = notifier.metrics().unwrap_or_default();
    let line = metrics.lines().find_map(|line| line.strip_prefix("sinyal_blind{kind=\"canary\"} "));
    line.map(|value| value == "1")
}

/// Waits until the observer in the notifier says so.
fn until_blind(notifier: &Ran, blind: bool, why: &str) {
    let begun = Instant::now();
    let waited = wait_for(why, PATIENCE, || Ok(is_blind(notifier) == Some(blind)));
    waited.unwrap_or_else(|error| panic!("{error:#}\n{}", notifier.log()));
    eprintln!("{why}: after {:.1} s", begun.elapsed().as_secs_f64());
}

/// The last words on blindness by canaries in its log.
fn told(notifier: &Ran) -> String {
    let log = notifier.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = lines.rev().find(|line| line["kind"] == "canary" && line["detail"].is_string());
    told.map(|line| line["detail"].as_str().unwrap().to_owned()).unwrap_or_default()
}

fn records(reader: &Reader, topic: &str, schema: Option<&str>) -> Vec<Value> {
    reader.read(topic, schema).unwrap()
}

#[test]
fn canaries_come_through_every_pair_of_partitions_and_change_nothing_else() {
    let more = format!("raw.format = \"json\"\n{SHORT}{TARGET}{}", open_windows());
    let sinyal = sinyal("canary", &more).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let mut notifier = replica(&sinyal, "notify", "canary-n");
    let classify = replica(&sinyal, "classify", "canary-a");
    let community = replica(&sinyal, "community", "canary-c");
    // Idle partitions first: canaries alone.
    let mut said = Value::Null;
    let waited = wait_for("canaries on every way", PATIENCE, || {
        said = status(&sinyal);
        Ok(came_since(&said, 0) == all_ways(&sinyal))
    });
    waited.unwrap_or_else(|error| panic!("{error:#}: {said}\n{}", notifier.log()));
    // Nobody ever spoke: no source has an arrival, and event time none, however many canaries came.
    for source in said["sources"].as_array().unwrap() {
        assert_eq!((&source["last_arrival"], &source["largest_event_time"]), (&Value::Null, &Value::Null), "{source}");
    }
    wait_for("sources that are at their ends", PATIENCE, || {
        let said = status(&sinyal);
        Ok(said["sources"].as_array().unwrap().iter().all(|source| source["caught_up"] == true))
    })
    .unwrap();

    // Then among what people write.
    let oracle = made_up(&sinyal, 31, 6_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "600"]).unwrap();
    wait_for("the feed to end", PATIENCE, || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    let raw: usize = ["social.posts.raw", "social.comments.raw"]
        .iter()
        .map(|topic| {
            records(&reader, &sinyal.topic(topic), None)
                .iter()
                .filter(|record| record["key"] == "sinyal-canary")
                .count()
        })
        .sum();
    assert!(raw > 40, "{raw} canaries were among them");
    for queue in ["complaint", "tip", "experience", "praise", "review", "state"] {
        let items = records(&reader, &sinyal.topic(&format!("social.queue.{queue}")), Some("QueueItem"));
        assert!(items.iter().all(|item| !item.to_string().contains("sinyal-canary")), "{queue}");
    }
    let rows = records(&reader, &sinyal.topic("social.community.metrics"), Some("CommunityMetrics"));
    assert!(rows.iter().all(|row| row["value"]["community_id"] != "sinyal-canary"));
    assert!(records(&reader, &sinyal.topic("social.dead-letters"), None).is_empty());

    let metrics = classify.metrics().unwrap();
    assert!(metrics.contains("outcome=\"canary\"") && metrics.contains("sinyal_ledger_balanced{stage=\"classify\"} 1"));
    assert!(metrics.contains("sinyal_false_canaries_total 0"), "{metrics}");
    let shown = notifier.metrics().unwrap();
    for stage in ["classify", "community"] {
        let count = format!("sinyal_canary_delay_seconds_count{{stage=\"{stage}\"}} ");
        let count = shown.lines().find_map(|line| line.strip_prefix(&count)).unwrap_or("0");
        assert!(count.parse::<u64>().unwrap() > 24, "{shown}");
    }
    let seen = shown.lines().filter(|line| line.starts_with("sinyal_canary_last_seen_timestamp_seconds{")).count();
    assert_eq!(seen, 4, "{shown}");

    // Without permission to be one, a record is what else it is.
    let canary =
        records(&reader, &sinyal.topic("social.posts.raw"), None).into_iter().find(|at| at["key"] == "sinyal-canary");
    let header = canary.unwrap()["headers"]["sinyal.canary"].as_str().unwrap().to_owned();
    let now = said["at"].as_i64().unwrap();
    let hidden = json!({
        "id": "hidden", "community_id": "warga-kota", "author": {"id": "a", "role": "member"}, "created_at": now,
        "observed_at": now, "text": "paketnya belum sampai juga, kecewa",
    });
    let feed = Feed::open(&connection(&sinyal), 100_000).unwrap();
    feed.send_record(&FeedRecord {
        topic: &sinyal.topic("social.posts.raw"),
        partition: Some(0),
        key: Some(b"sinyal-canary"),
        value: Some(hidden.to_string().as_bytes()),
        headers: &[("sinyal.canary".to_owned(), Some(header.into_bytes()))],
        ..FeedRecord::default()
    })
    .unwrap();
    feed.flush(Duration::from_secs(10)).unwrap();
    wait_for("a false canary to be counted", PATIENCE, || {
        Ok(classify.metrics()?.contains("sinyal_false_canaries_total 1"))
    })
    .unwrap();
    wait_for("it to wait for an answer", PATIENCE, || {
        let items = records(&reader, &sinyal.topic("social.queue.complaint"), Some("QueueItem"));
        Ok(items.iter().any(|item| item["value"]["id"] == "hidden"))
    })
    .unwrap();
    assert!(notifier.is_running());
    for replica in [notifier, classify, community] {
        assert_eq!(replica.terminate().unwrap(), Some(0), "{}", sinyal.log());
    }
}

fn connection(sinyal: &Sinyal) -> Connection {
    let bootstrap = sinyal.bootstrap().to_owned();
    Connection { bootstrap, client_id: "test".to_owned(), properties: Vec::new() }
}

#[test]
fn the_partition_that_does_not_flow_is_named_and_the_sender_is_handed_over() {
    let more = format!("raw.format = \"json\"\n{SHORT}{TARGET}");
    let sinyal = sinyal("stuck", &more).unwrap();
    let notifier = replica(&sinyal, "notify", "stuck-n");
    let mut one = replica(&sinyal, "classify", "stuck-a");
    let mut two = replica(&sinyal, "classify", "stuck-b");
    let community = replica(&sinyal, "community", "stuck-c");
    for replica in [&mut one, &mut two] {
        wait_for("each to have half of it", PATIENCE, || Ok(replica.partitions("classify")? == 2)).unwrap();
    }
    wait_for("canaries on every way", PATIENCE, || Ok(came_since(&status(&sinyal), 0) == all_ways(&sinyal))).unwrap();
    until_blind(&notifier, false, "canaries to come through");
    let owned: BTreeSet<String> = lag_places(&two);

    two.freeze(true);
    until_blind(&notifier, true, "a frozen classifier to be told of");
    let detail = told(&notifier);
    let prefix = "stuck.";
    for place in &owned {
        assert!(detail.contains(place), "{detail} {owned:?}");
    }
    assert!(detail.contains("of raw partitions") && !detail.contains("community partition"), "{detail}");
    let others = lag_places(&one);
    assert!(others.iter().all(|place| place.starts_with(prefix) && !detail.contains(place)), "{detail} {others:?}");
    two.freeze(false);
    until_blind(&notifier, false, "it to be over");

    community.freeze(true);
    until_blind(&notifier, true, "a frozen community stage to be told of");
    assert!(told(&notifier).contains("No canary has come through any partition"), "{}", told(&notifier));
    community.freeze(false);
    until_blind(&notifier, false, "that to be over");

    // Another notifier takes over: canaries go on, and it says so too.
    let other = replica(&sinyal, "notify", "stuck-m");
    wait_for("it to look", PATIENCE, || Ok(is_blind(&other) == Some(false))).unwrap();
    assert_eq!(notifier.terminate().unwrap(), Some(0), "{}", sinyal.log());
    let since = status(&sinyal)["at"].as_i64().unwrap();
    wait_for("canaries of the other", PATIENCE, || Ok(came_since(&status(&sinyal), since) == all_ways(&sinyal)))
        .unwrap();
    assert_eq!(is_blind(&other), Some(false), "{}", other.log());
    for replica in [other, one, two, community] {
        assert_eq!(replica.terminate().unwrap(), Some(0), "{}", sinyal.log());
    }
}

/// The raw partitions that a classify replica has.
fn lag_places(replica: &Ran) -> BTreeSet<String> {
    let metrics = replica.metrics().unwrap();
    let lines = metrics.lines().filter(|line| line.starts_with("sinyal_lag_records{") && line.contains("\"classify\""));
    let label = |line: &str, name: &str| {
        let from = line.find(&format!("{name}=\"")).unwrap() + name.len() + 2;
        line[from..].split('"').next().unwrap().to_owned()
    };
    lines.map(|line| format!("{}:{}", label(line, "topic"), label(line, "partition"))).collect()
}

/// Without canaries being told apart nobody would ever be silent here, nor event time go on as the clock does.
#[test]
fn who_is_silent_stays_silent_and_idle_though_canaries_come() {
    let more = format!(
        "raw.format = \"json\"\n{SHORT}blindness.silent_ms = 5000\nblindness.silent_unlearned_ms = 5000\n{TARGET}"
    );
    let sinyal = sinyal("silent", &more).unwrap();
    let notifier = replica(&sinyal, "notify", "silent-n");
    let classify = replica(&sinyal, "classify", "silent-a");
    let community = replica(&sinyal, "community", "silent-c");
    wait_for("canaries on every way", PATIENCE, || Ok(came_since(&status(&sinyal), 0) == all_ways(&sinyal))).unwrap();
    let feed = Feed::open(&connection(&sinyal), 100_000).unwrap();
    let spoke = status(&sinyal)["at"].as_i64().unwrap();
    for (topic, kind) in [("social.posts.raw", "post"), ("social.comments.raw", "comment")] {
        for partition in 0..2 {
            let record = json!({
                "id": format!("{partition}"), "community_id": "warga-kota", "post_id": "1", "created_at": spoke,
                "observed_at": spoke, "author": {"id": "a", "role": "member"}, "text": "halo", "kind": kind,
            });
            let (topic, value) = (sinyal.topic(topic), record.to_string());
            let value = Some(value.as_bytes());
            feed.send_record(&FeedRecord { topic: &topic, partition: Some(partition), value, ..FeedRecord::default() })
                .unwrap();
        }
    }
    feed.flush(Duration::from_secs(10)).unwrap();
    let mut said = Value::Null;
    let waited = wait_for("silence to be told", PATIENCE, || {
        said = status(&sinyal);
        let kinds: Vec<&Value> = said["blind"].as_array().unwrap().iter().map(|blind| &blind["kind"]).collect();
        Ok(kinds == ["silent_source"])
    });
    waited.unwrap_or_else(|error| panic!("{error:#}: {said}"));
    for source in said["sources"].as_array().unwrap() {
        let arrived = source["last_arrival"].as_i64().unwrap();
        assert!((arrived - spoke).abs() < 5_000 + 2_000, "{arrived} of {spoke}: {source}");
    }
    let silent = "sinyal_blind{kind=\"silent_source\"} 1";
    wait_for("the observer to tell of it", PATIENCE, || Ok(notifier.metrics()?.contains(silent))).unwrap();
    let ticks = || {
        let metrics = community.metrics().unwrap();
        let of = |name: &str| -> f64 {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).fold(f64::MAX, f64::min)
        };
        (of("sinyal_watermark_timestamp_seconds{"), Instant::now())
    };
    let (watermark, begun) = ticks();
    // For as long as fifteen rounds take; each that made a source busy would cost about a second.
    wait_for("event time to go on", PATIENCE, || Ok(begun.elapsed() > Duration::from_secs(15))).unwrap();
    let (later, ended) = ticks();
    let (event_time, clock) = (later - watermark, (ended - begun).as_secs_f64());
    assert!((event_time - clock).abs() < 6.5, "event time went on by {event_time} s in {clock} s");
    assert!(later - spoke as f64 / 1_000.0 > 10.0, "{later} {spoke}");
    for replica in [notifier, classify, community] {
        assert_eq!(replica.terminate().unwrap(), Some(0), "{}", sinyal.log());
    }
}

#[test]
fn without_the_topic_of_canaries_all_else_goes_on_and_with_it_they_begin() {
    let more = format!("raw.format = \"json\"\n{SHORT}{TARGET}{}", open_windows());
    let sinyal = Sinyal::new(&kafka().bootstrap(), "bare", &more).unwrap();
    // Every topic but that one is made, which is called otherwise meanwhile.
    let made = sinyal.output_with(&["topics", "apply"], &[("SINYAL__TOPICS__CANARY", "social.elsewhere")]).unwrap();
    assert!(made.status.success(), "{made:?}");
    let admin = Admin::new(&connection(&sinyal), Duration::from_secs(20)).unwrap();
    let topic = sinyal.topic("social.canary");
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let all = sinyal.start(&["run"]).unwrap();
    wait_for("both to say that it is missing", PATIENCE, || {
        let log = all.log();
        let sender = log.contains("canaries are not sent") && log.contains(&format!("topic {topic} is missing"));
        Ok(sender && log.contains("nothing is written there"))
    })
    .unwrap_or_else(|error| panic!("{error:#}\n{}", all.log()));
    let oracle = made_up(&sinyal, 32, 6_000).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    assert!(!admin.topics().unwrap().0.iter().any(|known| known.name == topic), "nobody makes it by the way");
    sinyal.succeed(&["topics", "apply"]).unwrap();
    wait_for("canaries", PATIENCE, || Ok(came_since(&status(&sinyal), 0) == all_ways(&sinyal)))
        .unwrap_or_else(|error| panic!("{error:#}\n{}", all.log()));
    assert_eq!(all.terminate().unwrap(), Some(0), "{}", sinyal.log());
}
