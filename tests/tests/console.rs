//! The responder's and the operator's commands on a real Kafka: what they read there and what they leave.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use kafka_io::Connection;
use kafka_io::feed::{Feed, FeedRecord};
use record::{Alert, Kind, Label, Language, QueueItem, QueueStatus};
use serde_json::{Value, json};
use sinyal_tests::checks::sinyal;
use sinyal_tests::{Reader, Sinyal, wait_for};
use wire::{Encoder, SchemaName};

/// Puts records where the stages would.
struct Put {
    feed: Feed,
}

impl Put {
    fn new(sinyal: &Sinyal) -> Put {
        let connection = Connection {
            bootstrap: sinyal.bootstrap().to_owned(),
            client_id: "test".to_owned(),
            properties: Vec::new(),
        };
        Put { feed: Feed::open(&connection, 1_048_576).unwrap() }
    }

    fn row<T: serde::Serialize>(&self, topic: &str, schema: SchemaName, key: &str, row: Option<&T>) {
        let mut value = Vec::new();
        if let Some(row) = row {
            Encoder::single_object(schema).encode(row, &mut value).unwrap();
        }
        self.feed.send(topic, Some(key.as_bytes()), row.map(|_| value.as_slice()), None).unwrap();
        self.settle();
    }

    fn settle(&self) {
        self.feed.flush(Duration::from_secs(20)).unwrap();
        assert_eq!(self.feed.failed(), 0, "{:?}", self.feed.first_failure());
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

const MINUTE: i64 = 60_000;

/// An item that has waited for so many minutes, and is due after an hour.
fn item(id: &str, minutes: i64) -> QueueItem<'_> {
    let created_at = now() - minutes * MINUTE;
    QueueItem {
        community_id: "warga kota".into(),
        kind: Kind::Comment,
        id: id.into(),
        queue: "complaint".into(),
        department: "customer care".into(),
        label: Label::Complaint,
        confidence: 0.91,
        reason: "the classifier is sure that this is label complaint".into(),
        priority: 60,
        priority_reasons: vec!["complaint".into()].into(),
        due_at: Some(created_at + 60 * MINUTE),
        status: QueueStatus::Open,
        claimed_by: None,
        claim_until: None,
        answered_at: None,
        text: Some("paketku belum sampai juga, sudah seminggu lebih dan tidak ada kabar".into()),
        language: Language::Indonesian,
        mixed: false,
        url: Some("https://example.org/k/7".into()),
        thread_id: Some("t".into()),
        created_at,
        updated_at: created_at + 1_000,
        origin_topic: "raw".into(),
        origin_partition: 0,
        origin_offset: 7,
        acknowledged_by: None,
        acknowledged_at: None,
        breached_at: None,
        reopened: 0,
        waiting_since: None,
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn keys(sinyal: &Sinyal, more: &[&str]) -> Vec<String> {
    let said = sinyal.succeed(&[&["queue", "list", "--json"], more].concat()).unwrap();
    lines(&said).iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn items_are_listed_claimed_and_closed() {
    let sinyal = sinyal("console-queue", "").unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let put = Put::new(&sinyal);
    let topic = sinyal.topic("social.queue.state");
    let key = |id: &str| format!("warga%20kota|comment|{id}");
    let write = |item: &QueueItem<'_>| put.row(&topic, SchemaName::QueueItem, &key(&item.id), Some(item));
    write(&item("new", 5));
    write(&item("old", 25));
    write(&item("late", 90));
    write(&QueueItem { priority: 20, queue: "tip".into(), label: Label::Tip, due_at: None, ..item("tip", 300) });
    let claimed = |until| QueueItem {
        status: QueueStatus::Claimed,
        claimed_by: Some("budi".into()),
        claim_until: Some(until),
        ..item("taken", 10)
    };
    write(&claimed(now() + 60 * MINUTE));
    write(&QueueItem { status: QueueStatus::Answered, answered_at: Some(now()), ..item("done", 10) });
    write(&item("gone", 10));
    put.row::<QueueItem<'_>>(&topic, SchemaName::QueueItem, &key("gone"), None);
    // Past its time before longer waits; a claim that holds, an answer and a tombstone wait for nobody.
    assert_eq!(keys(&sinyal, &[]), ["late", "old", "new", "tip"].map(key));
    assert_eq!(keys(&sinyal, &["--queue", "tip"]), [key("tip")]);
    assert_eq!(keys(&sinyal, &["--mine", "budi"]), [key("taken")]);
    assert_eq!(keys(&sinyal, &["--status", "answered,claimed"]).len(), 2);
    assert_eq!(keys(&sinyal, &["--all", "--limit", "2"]).len(), 2);
    assert_eq!(keys(&sinyal, &["--community", "other"]), [""; 0]);
    let cut = sinyal.output(&["queue", "list", "--json", "--limit", "1"]).unwrap();
    assert_eq!(String::from_utf8_lossy(&cut.stderr).trim_end(), "1 of 4; --limit shows more");
    let table = sinyal.succeed(&["queue", "list"]).unwrap();
    assert!(table.contains(&key("late")) && table.contains("overdue") && table.contains("4 of 4"), "{table}");
    let shown = sinyal.succeed(&["queue", "show", &key("late")]).unwrap();
    assert!(
        shown.contains("priority      80: complaint, overdue"),
        "60, 15 for an hour, half of 10 for half an hour: {shown}"
    );

    // Nobody runs who would do it: it is sent, and that is said.
    let late = key("late");
    let unseen = sinyal.output(&["queue", "claim", &late, "--by", "sari", "--for", "30m", "--wait=1s"]).unwrap();
    let words = String::from_utf8_lossy(&unseen.stderr);
    assert_eq!(unseen.status.code(), Some(1), "{words}");
    assert!(words.contains("was sent, but") && words.contains("does not show it yet"), "{words}");
    let actions = || reader.read(&sinyal.topic("social.actions"), Some("Action")).unwrap();
    let sent = actions();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0]["key"], "warga%20kota");
    let action = &sent[0]["value"];
    assert_eq!((&action["kind"], &action["target"], &action["by"]), (&json!("claim"), &json!(late), &json!("sari")));
    assert_eq!(action["until"].as_i64().unwrap() - action["at"].as_i64().unwrap(), 30 * MINUTE);
    // Somebody does it.
    let mut claiming = sinyal.start(&["queue", "claim", &key("old"), "--by", "sari", "--wait=30s", "--json"]).unwrap();
    wait_for("the action", Duration::from_secs(20), || Ok(actions().len() == 2)).unwrap();
    let taken = QueueItem {
        status: QueueStatus::Claimed,
        claimed_by: Some("sari".into()),
        claim_until: Some(now() + MINUTE),
        ..item("old", 25)
    };
    write(&taken);
    assert_eq!(claiming.wait(Duration::from_secs(20)).unwrap(), Some(0), "{}", claiming.log());
    let told: Value = serde_json::from_str(claiming.log().lines().last().unwrap()).unwrap();
    assert_eq!((&told["state"]["claimed_by"], &told["action"]["kind"]), (&json!("sari"), &json!("claim")));

    // What cannot be is not sent.
    for (arguments, code, why) in [
        (["queue", "claim", &key("taken")], 1, "is claimed by budi until "),
        (["queue", "release", &key("new")], 1, "nobody holds it"),
        (["queue", "ack", &key("done")], 1, "is answered and waits no more"),
        (["queue", "ack", &key("never")], 3, "has no such item"),
        (["queue", "ack", "what"], 2, "community|post|id"),
    ] {
        let refused = sinyal.output(&[&arguments[..], &["--by", "sari"]].concat()).unwrap();
        let words = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(code), "{arguments:?}: {words}");
        assert!(words.contains(why), "{words}");
    }
    assert_eq!(actions().len(), 2);
    let parts = ["--community", "warga kota", "--kind", "comment", "--id", "new"];
    sinyal.succeed(&[&["queue", "ack"], &parts[..], &["--by", "sari", "--reason", "by phone"]].concat()).unwrap();
    sinyal.succeed(&["queue", "release", &key("old"), "--by", "sari"]).unwrap();
    let by_kind: Vec<(String, Value)> = actions()[2..]
        .iter()
        .map(|record| (record["value"]["kind"].as_str().unwrap().to_owned(), record["value"]["reason"].clone()))
        .collect();
    assert_eq!(by_kind, [("acknowledge".to_owned(), json!("by phone")), ("release".to_owned(), Value::Null)]);
}

#[test]
fn the_service_does_what_is_asked() {
    let sinyal = sinyal("console-acts", "").unwrap();
    std::fs::write(sinyal.file("posts.jsonl"), post("7", 10, "kecewa, paketku belum sampai juga")).unwrap();
    sinyal.succeed(&["ingest", "posts.jsonl"]).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    wait_for("the item", Duration::from_secs(60), || Ok(keys(&sinyal, &[]).len() == 1)).unwrap();
    let key = "warga|post|7";
    assert_eq!(keys(&sinyal, &[]), [key]);
    let act =
        |arguments: &[&str], by: &str| sinyal.succeed(&[arguments, &[key, "--by", by, "--wait=30s"]].concat()).unwrap();
    let claimed = act(&["queue", "claim"], "sari");
    assert!(claimed.contains("warga|post|7 is claimed by sari until "), "{claimed}");
    assert_eq!((keys(&sinyal, &[]).len(), keys(&sinyal, &["--mine", "sari"]).len()), (0, 1));
    let refused = sinyal.output(&["queue", "claim", key, "--by", "budi"]).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    // Past the look at what is there, the stage refuses it all the same.
    let forced = sinyal.output(&["queue", "claim", key, "--by", "budi", "--force", "--wait=3s"]).unwrap();
    assert_eq!(forced.status.code(), Some(1), "{forced:?}");
    let released = act(&["queue", "release"], "sari");
    assert!(released.contains("warga|post|7 is open"), "{released}");
    let closed = act(&["queue", "ack", "--reason", "by phone"], "budi");
    assert!(closed.contains("warga|post|7 is acknowledged by budi"), "{closed}");
    assert_eq!(keys(&sinyal, &["--status", "acknowledged"]), [key]);
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
}

fn alert(community: &'static str, severity: &'static str, state: &'static str) -> Alert<'static> {
    Alert {
        id: format!("complaint_spike|{community}|1764061200000").into(),
        rule: "complaint_spike".into(),
        community_id: community.into(),
        state: state.into(),
        severity: severity.into(),
        started_at: now() - 20 * MINUTE,
        updated_at: now() - MINUTE,
        resolved_at: None,
        window: "1h".into(),
        observed: 41.0,
        expected: Some(6.25),
        score: Some(5.1),
        distinct_authors: Some(33),
        near_duplicate_share: Some(0.1),
        coordinated: false,
        samples: vec!["warga|comment|7".into()],
        summary_id: "41 keluhan dalam satu jam; biasanya 6.".into(),
        summary_en: "41 complaints within an hour; 6 are usual.".into(),
        links: vec!["https://example.org/d".into()],
        inhibited_by: None,
        acknowledged_by: None,
        fired_at: Some(now() - 15 * MINUTE),
        acknowledged_at: None,
        silenced_by: None,
        silenced_until: None,
        silence_reason: None,
        new_author_share: Some(0.5),
        transition: 2,
    }
}

#[test]
fn alerts_are_listed_acknowledged_and_silenced() {
    let sinyal = sinyal("console-alerts", "").unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let put = Put::new(&sinyal);
    let topic = sinyal.topic("social.alerts");
    let write = |alert: &Alert<'_>| put.row(&topic, SchemaName::Alert, &alert.id, Some(alert));
    for (community, severity, state) in [
        ("a", "warning", "firing"),
        ("b", "critical", "firing"),
        ("c", "info", "pending"),
        ("d", "critical", "resolved"),
    ] {
        write(&alert(community, severity, state));
    }
    let listed = |more: &[&str]| -> Vec<String> {
        let said = sinyal.succeed(&[&["alerts", "list", "--json"], more].concat()).unwrap();
        lines(&said).iter().map(|row| row["community_id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(listed(&[]), ["b", "a"]);
    assert_eq!(listed(&["--state", "pending,resolved"]), ["d", "c"]);
    assert_eq!(listed(&["--all", "--rule", "complaint_spike"]).len(), 4);
    let words = sinyal.succeed(&["alerts", "list", "--lang", "id", "--community", "b"]).unwrap();
    assert!(words.contains("complaint_spike|b|1764061200000") && words.contains("41 keluhan"), "{words}");
    let b = alert("b", "critical", "firing");
    let shown = sinyal.succeed(&["alerts", "show", &b.id]).unwrap();
    for part in ["41 complaints", "41 keluhan", "expected       6.25", "warga|comment|7", "https://example.org/d"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let actions = || reader.read(&sinyal.topic("social.actions"), Some("Action")).unwrap();
    let mut taking = sinyal.start(&["alerts", "ack", &b.id, "--by", "sari", "--wait=30s"]).unwrap();
    wait_for("the action", Duration::from_secs(20), || Ok(actions().len() == 1)).unwrap();
    write(&Alert { state: "acknowledged".into(), acknowledged_by: Some("sari".into()), ..b.clone() });
    assert_eq!(taking.wait(Duration::from_secs(20)).unwrap(), Some(0), "{}", taking.log());
    assert!(taking.log().contains("is acknowledged, taken by sari"), "{}", taking.log());
    let over = sinyal.output(&["alerts", "ack", &alert("d", "critical", "resolved").id, "--by", "sari"]).unwrap();
    assert_eq!(over.status.code(), Some(1), "{over:?}");
    let silence = ["alerts", "silence", "warga kota|complaint_spike", "--for", "2h", "--by", "sari"];
    assert_eq!(sinyal.output(&silence).unwrap().status.code(), Some(2), "a silence needs a reason");
    sinyal.succeed(&[&silence[..], &["--reason", "known"]].concat()).unwrap();
    sinyal.succeed(&["alerts", "unsilence", "warga kota|complaint_spike", "--by", "sari"]).unwrap();
    let mut sent = actions();
    sent.sort_by_key(|record| record["value"]["at"].as_i64());
    assert_eq!(sent[0]["key"], "b");
    assert_eq!((&sent[0]["value"]["kind"], &sent[0]["value"]["target"]), (&json!("acknowledge_alert"), &json!(b.id)));
    let silences: Vec<&Value> = sent.iter().filter(|record| record["key"] == "warga%20kota").collect();
    let kinds: Vec<&Value> = silences.iter().map(|record| &record["value"]["kind"]).collect();
    assert_eq!(kinds, [&json!("silence"), &json!("unsilence")]);
    let silenced = &silences[0]["value"];
    assert_eq!((&silenced["target"], &silenced["reason"]), (&json!("warga%20kota|complaint_spike"), &json!("known")));
    assert_eq!(silenced["until"].as_i64().unwrap() - silenced["at"].as_i64().unwrap(), 120 * MINUTE);
}

#[test]
fn a_dead_letter_is_redriven_until_it_has_had_its_attempts() {
    let sinyal = sinyal("console-dlq", "").unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let (posts, dead) = (sinyal.topic("social.posts.raw"), sinyal.topic("social.dead-letters"));
    let put = Put::new(&sinyal);
    // Framed by a schema that nobody knows, and one that is no record at all.
    let unknown = [&[0xc3, 0x01][..], &[7; 8], b"what it says"].concat();
    let headers = [("traceparent".to_owned(), Some(b"00-1".to_vec())), ("empty".to_owned(), None)];
    let given = FeedRecord {
        topic: &posts,
        key: Some(b"k"),
        value: Some(&unknown),
        headers: &headers,
        ..FeedRecord::default()
    };
    put.feed.send_record(&given).unwrap();
    put.feed.send(&posts, Some(b"k"), Some(b"nothing"), None).unwrap();
    put.settle();
    let running = sinyal.start(&["run", "--role", "classify"]).unwrap();
    let listed = |more: &[&str]| lines(&sinyal.succeed(&[&["dlq", "list", "--json"], more].concat()).unwrap());
    let wait_for_letters = |count: usize| {
        wait_for("dead letters", Duration::from_secs(60), || Ok(listed(&[]).len() == count)).unwrap();
    };
    wait_for_letters(2);
    let first = listed(&["--reason", "unknown_schema"]).remove(0);
    let place = |letter: &Value| format!("{}:{}", letter["partition"], letter["offset"]);
    assert_eq!(
        (&first["attempts"], &first["redriven"], &first["disposition"]),
        (&json!(1), &json!(false), &json!("redrive"))
    );
    let origin = first["origin"].as_str().unwrap().to_owned();
    assert!(origin.starts_with(&format!("{posts}:")), "{origin}");
    let groups = listed(&["--group"]);
    assert_eq!(groups.len(), 2, "{groups:?}");
    let shown = sinyal.succeed(&["dlq", "show", &place(&first)]).unwrap();
    assert!(shown.contains("traceparent, empty") && !shown.contains("what it says"), "{shown}");
    assert_eq!(sinyal.output(&["dlq", "show", &place(&first), "--raw"]).unwrap().stdout, unknown);

    // Without --execute nothing is sent.
    let dry = sinyal.succeed(&["dlq", "redrive"]).unwrap();
    assert!(dry.contains("1 match: 1 would be redriven") && dry.contains("1 others need a change first"), "{dry}");
    let raw = || reader.read(&posts, None).unwrap();
    assert_eq!((raw().len(), reader.read(&dead, None).unwrap().len()), (2, 2));

    let redrive = |code: i32| -> Value {
        let done = sinyal.output(&["dlq", "redrive", "--execute", "--json"]).unwrap();
        let words = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(code), "{words}");
        serde_json::from_slice(&done.stdout).unwrap()
    };
    assert_eq!(redrive(0)["redriven"], 1);
    wait_for_letters(3);
    let again = &raw()[2];
    assert_eq!((&again["key"], again["value"].as_str().unwrap().len()), (&json!("k"), unknown.len() * 2));
    let headers = &again["headers"];
    assert_eq!(
        (&headers["traceparent"], &headers["sinyal.attempts"], &headers["sinyal.first-origin"]),
        (&json!("00-1"), &json!("2"), &json!(origin))
    );
    assert_eq!(headers["sinyal.redrive-of"], format!("{dead}:{}", place(&first)));
    assert_eq!(headers["sinyal.reason"], Value::Null, "that is the dead letter's");
    let attempts = |letters: &[Value]| {
        let mut told: Vec<(i64, bool)> = letters
            .iter()
            .map(|letter| (letter["attempts"].as_i64().unwrap(), letter["redriven"].as_bool().unwrap()))
            .collect();
        told.sort_unstable();
        told
    };
    let unknown_ones = || listed(&["--reason", "unknown_schema"]);
    assert_eq!(attempts(&unknown_ones()), [(1, true), (2, false)]);
    assert!(unknown_ones().iter().all(|letter| letter["first_origin"] == origin.as_str()));

    // The first is not sent twice; the second is, and after the third attempt it is over.
    let second = redrive(0);
    assert_eq!((&second["redriven"], &second["redriven_before"]), (&json!(1), &json!(1)));
    wait_for_letters(4);
    assert_eq!(attempts(&unknown_ones()), [(1, true), (2, true), (3, false)]);
    let third = redrive(4);
    assert_eq!((&third["redriven"], &third["redriven_before"]), (&json!(0), &json!(2)));
    assert!(third["refused"].to_string().contains("it has had 3 attempts"), "{third}");
    assert_eq!(raw().len(), 4);
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
}

/// A post as it is ingested.
fn post(id: &str, followers: i64, text: &str) -> String {
    let at = now() - 1_000;
    json!({
        "kind": "post", "id": id, "community_id": "warga", "author": { "id": id, "role": "member", "followers": followers },
        "created_at": at, "observed_at": at, "text": text,
    })
    .to_string()
}

#[test]
fn corrections_become_rows_to_train_with() {
    let sinyal = sinyal("console-export", "").unwrap();
    let texts = ["makasih @sari cepat sekali\nmantap", "coba tulis ke cs@toko.example saja", "halo semua"];
    let posts: Vec<String> = texts.iter().enumerate().map(|(id, text)| post(&id.to_string(), 10, text)).collect();
    std::fs::write(sinyal.file("posts.jsonl"), posts.join("\n")).unwrap();
    sinyal.succeed(&["ingest", "posts.jsonl"]).unwrap();
    let running = sinyal.start(&["run", "--role", "classify"]).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let classified = || -> usize {
        let records = reader.read(&sinyal.topic("social.interactions.classified"), None).unwrap();
        records.iter().filter(|record| !record["key"].is_null()).count()
    };
    wait_for("the posts", Duration::from_secs(60), || Ok(classified() == 3)).unwrap();
    let correct = |id: &str, label: &[&str]| {
        let what = ["corrections", "add", "--community", "warga", "--kind", "post", "--id", id, "--by", "sari"];
        sinyal.succeed(&[&what[..], label].concat()).unwrap();
    };
    let nowhere = sinyal.output(&[
        "corrections",
        "add",
        "--community",
        "warga",
        "--kind",
        "post",
        "--id",
        "0",
        "--by",
        "sari",
        "--queue",
        "tipp",
    ]);
    let nowhere = nowhere.unwrap();
    let words = String::from_utf8_lossy(&nowhere.stderr);
    assert_eq!(nowhere.status.code(), Some(1), "{words}");
    assert!(words.contains("there is no queue of that name; complaint, "), "{words}");
    correct("0", &["--label", "tip"]);
    correct("0", &["--label", "praise"]);
    correct("1", &["--label", "complaint"]);
    correct("2", &["--queue", "tip"]);
    correct("never", &["--label", "tip"]);
    let exported = sinyal.output(&["corrections", "export"]).unwrap();
    let words = String::from_utf8_lossy(&exported.stderr);
    assert_eq!(exported.status.code(), Some(0), "{words}");
    assert!(words.contains("2 rows; left out: 1 corrections of a queue alone, 1 without a text"), "{words}");
    let rows = String::from_utf8(exported.stdout).unwrap();
    let mut cells: Vec<Vec<&str>> = rows.lines().skip(1).map(|row| row.split('\t').skip(1).collect()).collect();
    cells.sort_unstable_by_key(|cells| cells[2]);
    assert_eq!(cells[0][1..], ["correction", "complaint", "0", "coba tulis ke EMAIL saja"]);
    assert_eq!(cells[1][1..], ["correction", "praise", "0", "makasih @USER cepat sekali mantap"]);
    // What trains reads it.
    std::fs::write(sinyal.file("corrections.tsv"), &rows).unwrap();
    let judged = sinyal.succeed(&["model", "eval", "--data", "corrections.tsv", "--json"]).unwrap();
    let judged: Value = serde_json::from_str(&judged).unwrap();
    assert_eq!(judged["rows"], 2);
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
}

#[test]
fn a_gap_between_bands_of_reach_is_found() {
    let sinyal = sinyal("console-fairness", "").unwrap();
    let posts: Vec<String> = (0..160)
        .map(|at| post(&at.to_string(), if at % 2 == 0 { 50 } else { 500_000 }, "paketku belum sampai juga, kecewa"))
        .collect();
    std::fs::write(sinyal.file("posts.jsonl"), posts.join("\n")).unwrap();
    sinyal.succeed(&["ingest", "posts.jsonl"]).unwrap();
    let running = sinyal.start(&["run", "--role", "classify"]).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let classified = sinyal.topic("social.interactions.classified");
    wait_for("the posts", Duration::from_secs(60), || {
        Ok(reader.read(&classified, None)?.iter().filter(|record| !record["key"].is_null()).count() == 160)
    })
    .unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
    // Those of large reach wait three times as long; every fourth still waits. Reach is known from the classified topic alone.
    let put = Put::new(&sinyal);
    let topic = sinyal.topic("social.queue.state");
    for at in 0..160_i64 {
        let id = at.to_string();
        let created_at = now() - 600 * MINUTE;
        let answered = created_at + (at / 2 + 1) * MINUTE * if at % 2 == 0 { 1 } else { 3 };
        let mut row = QueueItem { community_id: "warga".into(), kind: Kind::Post, created_at, ..item(&id, 600) };
        if at % 8 < 6 {
            (row.status, row.answered_at) = (QueueStatus::Answered, Some(answered));
        }
        put.row(&topic, SchemaName::QueueItem, &format!("warga|post|{id}"), Some(&row));
    }
    let told: Value = serde_json::from_str(&sinyal.succeed(&["fairness", "--json"]).unwrap()).unwrap();
    assert_eq!(told["items"], 160);
    let question = told["questions"].as_array().unwrap();
    let reach = question.iter().find(|one| one["wait"] == "response" && one["by"] == "reach").unwrap();
    let groups: Vec<(&Value, &Value, &Value)> = reach["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| (&group["name"], &group["waits"], &group["ended"]))
        .collect();
    assert_eq!(groups[0], (&json!("small"), &json!(80), &json!(60)));
    assert_eq!(groups[2], (&json!("large"), &json!(80), &json!(60)));
    let comparison = &reach["comparisons"][0];
    assert_eq!(comparison["verdict"], "later", "{comparison}");
    let high = comparison["interval"][1].as_f64().unwrap();
    assert!(high < 1.0, "{comparison}");
    let words = sinyal.succeed(&["fairness"]).unwrap();
    assert!(words.starts_with("There is a gap: in "), "{words}");
    assert!(words.contains("GAP: those of large reach are answered later than those of small reach"), "{words}");
    let none = sinyal.succeed(&["fairness", "--queue", "praise"]).unwrap();
    assert!(none.starts_with("Too few to tell"), "{none}");
}
