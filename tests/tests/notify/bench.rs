//! A notifier with its targets, and rows as the community stage would write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kafka_io::Connection;
use kafka_io::feed::Feed;
use record::{Alert, Kind, Label, Language, QueueItem, QueueStatus};
use serde_json::{Value, json};
use sinyal_tests::checks::kafka;
use sinyal_tests::{Build, Ran, Reader, Sinyal, wait_for};
use wire::{Encoder, SchemaName};

pub(crate) const SECRET: &str = "whsec_c2lueWFsLXNpbnlhbC1zaW55YWwtc2lueWFsLTEyMw==";
pub(crate) const TOKEN: &str = "a token of the help desk";
pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const WHILE: Duration = Duration::from_secs(30);

pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A webhook of a configuration, with further fields.
pub(crate) fn webhook(name: &str, url: &str, more: &str) -> String {
    format!("{{ name = \"{name}\", kind = \"webhook\", url = \"{url}\", secret_file = \"hook-secret\"{more} }}")
}

pub(crate) struct Bench {
    pub(crate) sinyal: Sinyal,
    pub(crate) reader: Reader,
    feed: Feed,
}

impl Bench {
    /// Topics of its own and these targets; retries are quick.
    pub(crate) fn new(prefix: &str, targets: &[String], more: &str) -> Bench {
        let more = format!(
            "kafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\ntopics.partitions = 2\n\
             topics.other_partitions = 2\ntopics.raw_partitions = 2\n\
             notify.backoff_ms = 100\nnotify.backoff_max_ms = 1000\nnotify.timeout_ms = 1000\nnotify.resend_ms = 1000\n\
             notify.acknowledge_token_file = \"token\"\n{more}notify.targets = [{}]\n",
            targets.join(", ")
        );
        let sinyal = Sinyal::with(Build::Faults, &kafka().bootstrap(), prefix, &more).unwrap();
        std::fs::write(sinyal.file("hook-secret"), format!("{SECRET}\n")).unwrap();
        std::fs::write(sinyal.file("token"), format!("{TOKEN}\n")).unwrap();
        sinyal.succeed(&["topics", "apply"]).unwrap();
        let connection =
            Connection { bootstrap: kafka().bootstrap(), client_id: "tests".to_owned(), properties: Vec::new() };
        let bench = Bench {
            reader: Reader::new(sinyal.bootstrap()).unwrap(),
            feed: Feed::open(&connection, 1_000_000).unwrap(),
            sinyal,
        };
        bench.stands(None, &[]);
        bench
    }

    /// Says how the pipeline stands: why it is behind, and what it does not see since when.
    pub(crate) fn stands(&self, behind: Option<&str>, blind: &[(&str, i64)]) {
        let part = self.sinyal.file("standing.part");
        std::fs::write(&part, json!({ "behind": behind, "blind": blind }).to_string()).unwrap();
        std::fs::rename(part, self.sinyal.file("standing.json")).unwrap();
    }

    pub(crate) fn start(&self) -> Ran {
        self.start_failing("")
    }

    /// With fault points armed.
    pub(crate) fn start_failing(&self, points: &str) -> Ran {
        self.start_roles(&["run", "--role", "notify"], points)
    }

    pub(crate) fn start_roles(&self, arguments: &[&str], points: &str) -> Ran {
        let file = self.sinyal.file("standing.json");
        let variables = [("SINYAL_TEST_STANDING", file.to_str().unwrap()), ("FAILPOINTS", points)];
        self.sinyal.start_with(arguments, &variables).unwrap()
    }

    /// Writes rows of alerts, each as of when its state was taken on.
    pub(crate) fn write(&self, rows: &[Alert<'_>]) {
        let topic = self.sinyal.topic("social.alerts");
        for row in rows {
            let value = encoded(row);
            self.feed.send(&topic, Some(row.id.as_bytes()), Some(&value), Some(row.updated_at)).unwrap();
        }
        self.feed.flush(WHILE).unwrap();
        assert_eq!(self.feed.failed(), 0, "{:?}", self.feed.first_failure());
    }

    /// Writes items to the queue of complaints.
    pub(crate) fn write_items(&self, ids: std::ops::Range<i64>) {
        let topic = self.sinyal.topic("social.queue.complaint");
        let mut encoder = Encoder::single_object(SchemaName::QueueItem);
        for id in ids {
            let mut value = Vec::new();
            encoder.encode(&item(&id.to_string()), &mut value).unwrap();
            self.feed.send(&topic, Some(format!("warga|post|{id}").as_bytes()), Some(&value), None).unwrap();
        }
        self.feed.flush(WHILE).unwrap();
    }

    /// Writes an item to the queue of complaints as the stage does, in a transaction: behind it lies the marker of that.
    pub(crate) fn write_in_transaction(&self, number: i64) {
        let mut value = Vec::new();
        Encoder::single_object(SchemaName::QueueItem).encode(&item(&number.to_string()), &mut value).unwrap();
        let topic = self.sinyal.topic("social.queue.complaint");
        self.reader.write(&topic, &[(format!("warga|post|{number}"), value)], true).unwrap();
    }

    /// Dead letters of the notifier: their headers.
    pub(crate) fn dead_letters(&self) -> Vec<Value> {
        let letters = self.reader.read(&self.sinyal.topic("social.dead-letters"), None).unwrap();
        letters.into_iter().map(|letter| letter["headers"].clone()).collect()
    }
}

pub(crate) fn encoded(row: &Alert<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    Encoder::single_object(SchemaName::Alert).encode(row, &mut value).unwrap();
    value
}

/// A row of an alert about complaints in the community `warga kota`.
pub(crate) fn row(start: i64, state: &'static str, transition: i32, at: i64) -> Alert<'static> {
    rule_row("complaint_spike", start, state, transition, at)
}

pub(crate) fn rule_row(
    rule: &'static str,
    start: i64,
    state: &'static str,
    transition: i32,
    at: i64,
) -> Alert<'static> {
    let only = |state_of: &str| (state == state_of).then_some(at);
    Alert {
        id: record::encode_key(&[rule, "warga kota", &start.to_string()]).into(),
        rule: rule.into(),
        community_id: "warga kota".into(),
        state: state.into(),
        severity: "warning".into(),
        started_at: at,
        updated_at: at,
        resolved_at: only("resolved"),
        window: "5m".into(),
        observed: 31.0,
        expected: Some(4.5),
        score: Some(6.25),
        distinct_authors: Some(20),
        near_duplicate_share: Some(0.1),
        coordinated: false,
        samples: vec!["warga%20kota|post|7".into()],
        summary_id: "Keluhan di warga kota naik.".into(),
        summary_en: "Complaints in warga kota rise.".into(),
        links: vec!["https://board.example/warga".into()],
        inhibited_by: None,
        acknowledged_by: only("acknowledged").map(|_| "sari".into()),
        fired_at: Some(at),
        acknowledged_at: only("acknowledged"),
        silenced_by: None,
        silenced_until: None,
        silence_reason: None,
        new_author_share: None,
        transition,
    }
}

pub(crate) fn id(start: i64, transition: i32) -> String {
    rule_id("complaint_spike", start, transition)
}

pub(crate) fn rule_id(rule: &str, start: i64, transition: i32) -> String {
    format!("{rule}|warga%20kota|{start}#{transition}")
}

fn item(id: &str) -> QueueItem<'static> {
    QueueItem {
        community_id: "warga".into(),
        kind: Kind::Post,
        id: id.to_owned().into(),
        queue: "complaint".into(),
        department: "customer care".into(),
        label: Label::Complaint,
        confidence: 0.9,
        reason: "a complaint".into(),
        priority: 50,
        priority_reasons: Vec::new().into(),
        due_at: None,
        status: QueueStatus::Open,
        claimed_by: None,
        claim_until: None,
        answered_at: None,
        text: Some("paket belum sampai".into()),
        language: Language::Indonesian,
        mixed: false,
        url: None,
        thread_id: None,
        created_at: now(),
        updated_at: now(),
        origin_topic: "raw".into(),
        origin_partition: 0,
        origin_offset: id.parse().unwrap(),
        acknowledged_by: None,
        acknowledged_at: None,
        breached_at: None,
        reopened: 0,
        waiting_since: None,
    }
}

/// A sample of a metric that names all of these labels.
pub(crate) fn metric(ran: &Ran, name: &str, labels: &[&str]) -> f64 {
    let metrics = ran.metrics().unwrap_or_default();
    let begin = format!("sinyal_{name}{{");
    let mut samples = metrics
        .lines()
        .filter(|line| line.starts_with(&begin) && labels.iter().all(|label| line.contains(&format!("\"{label}\""))));
    samples.next().and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(-1.0)
}

/// Waits until something is so; the log says more if it does not come to that.
pub(crate) fn until(what: &str, ran: &Ran, mut so: impl FnMut() -> bool) {
    if let Err(error) = wait_for(what, WHILE, || Ok(so())) {
        panic!("{error:#}; {}", ran.log());
    }
}
