//! A sink with a database of its own, over topics that a run of the pipeline left; and what must be in the tables.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kafka_io::Connection;
use kafka_io::feed::Feed;
use record::Alert;
use serde_json::{Value, json};
use sinyal_tests::checks::{kafka, made_up, open_windows, wait_until_done};
use sinyal_tests::{Postgres, Ran, Reader, Sinyal, wait_for, workspace};
use wire::{Encoder, SchemaName};

pub(crate) const WHILE: Duration = Duration::from_secs(120);
/// A time in what the pipeline was fed, which is made up for January 2026.
pub(crate) const EPISODE: i64 = 1_767_567_600_000;
const MINUTE: i64 = 60_000;

/// Each table: its topic, schema and key.
pub(crate) const TABLES: [(&str, &str, &str); 3] = [
    ("panes", "social.community.metrics", "CommunityMetrics"),
    ("alerts", "social.alerts", "Alert"),
    ("queue_items", "social.queue.state", "QueueItem"),
];

/// The next offset, by topic and partition.
type Positions = BTreeMap<(String, i64), i64>;
/// Rows of a table by the keys of their records.
type Rows = BTreeMap<String, Value>;

pub(crate) struct Bench {
    pub(crate) sinyal: Sinyal,
    pub(crate) reader: Reader,
    pub(crate) postgres: Postgres,
    pub(crate) feed: Feed,
}

impl Bench {
    /// A database with tables, and a configuration of a sink into it, over the topics under `prefix`.
    pub(crate) fn new(prefix: &str, name: &str, more: &str) -> Bench {
        let postgres = Postgres::start(false).unwrap();
        let bench = Bench::bare(prefix, name, postgres, &format!("sink.sslmode = \"disable\"\n{more}"));
        bench.sinyal.succeed(&["sink", "apply"]).unwrap();
        bench
    }

    /// The same without tables, and with TLS as the settings say.
    pub(crate) fn bare(prefix: &str, name: &str, postgres: Postgres, more: &str) -> Bench {
        let mut lines = format!(
            "kafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\nsink.url = \"{}\"\n\
             sink.password_file = \"password\"\nsink.group_id = \"{name}\"\nsink.timeout_ms = 3000\n{more}",
            postgres.url("owner")
        );
        for (key, value) in [("sink.retention_days", 3_650), ("sink.interval_ms", 50)] {
            if !more.contains(key) {
                lines += &format!("{key} = {value}\n");
            }
        }
        let more = lines;
        let sinyal = Sinyal::new(&kafka().bootstrap(), prefix, &more).unwrap();
        std::fs::write(sinyal.file("password"), "owner\n").unwrap();
        Bench { reader: Reader::new(sinyal.bootstrap()).unwrap(), feed: feed(), sinyal, postgres }
    }

    pub(crate) fn start(&self) -> Ran {
        self.start_as("one")
    }

    /// Under another name of the instance.
    pub(crate) fn start_as(&self, instance: &str) -> Ran {
        self.sinyal.start_with(&["run", "--role", "sink"], &[("SINYAL__INSTANCE__ID", instance)]).unwrap()
    }

    /// Writes a record as it is.
    pub(crate) fn send(&self, topic: &str, key: &str, value: Option<&[u8]>) {
        self.feed.send(&self.sinyal.topic(topic), Some(key.as_bytes()), value, None).unwrap();
        self.feed.flush(WHILE).unwrap();
        assert_eq!(self.feed.failed(), 0, "{:?}", self.feed.first_failure());
    }

    /// How many records are in the database, going by the positions.
    pub(crate) fn progress(&self) -> i64 {
        let sum = "SELECT coalesce(sum(next_offset), 0)::bigint AS sum FROM sinyal.sink_positions";
        self.postgres.value(sum).ok().and_then(|sum| sum.as_i64()).unwrap_or(0)
    }

    /// Every table holds what the records before the positions say, no more and no less; how many records come after them.
    pub(crate) fn compare(&self) -> Result<usize> {
        let (positions, rows) = self.snapshot()?;
        let mut left = 0;
        for ((table, topic, schema), found) in TABLES.into_iter().zip(rows) {
            let topic = self.sinyal.topic(topic);
            let mut last = BTreeMap::new();
            self.reader.each(&topic, Some(schema), |record| {
                let place = (topic.clone(), record["partition"].as_i64().context("a partition")?);
                if record["offset"].as_i64() >= Some(positions.get(&place).copied().unwrap_or(0)) {
                    left += 1;
                    return Ok(());
                }
                let key = record["key"].as_str().context("a key")?.to_owned();
                match &record["value"] {
                    Value::Null => last.remove(&key),
                    value => last.insert(key, expected(table, value, &record)),
                };
                Ok(())
            })?;
            compare_rows(table, &last, &found)?;
        }
        Ok(left)
    }

    /// Positions and rows, of one moment: the rows of each table by the keys of their records.
    fn snapshot(&self) -> Result<(Positions, Vec<Rows>)> {
        let mut parts = vec!["(SELECT json_agg(p) FROM sinyal.sink_positions AS p) AS positions".to_owned()];
        for (table, _, schema) in TABLES {
            let columns = columns(schema)?;
            parts.push(format!("(SELECT json_agg(r) FROM (SELECT {columns} FROM sinyal.{table}) AS r) AS {table}"));
        }
        let all = self.postgres.query(&format!("SELECT {}", parts.join(", ")))?;
        let all = all.first().context("a row")?;
        let mut positions = BTreeMap::new();
        for row in all["positions"].as_array().into_iter().flatten() {
            let number = |field: &str| row[field].as_i64().context("a number");
            let topic = row["topic"].as_str().context("a topic")?.to_owned();
            positions.insert((topic, number("partition")?), number("next_offset")?);
        }
        let mut rows = Vec::new();
        for (table, ..) in TABLES {
            let of_table = all[table].as_array().into_iter().flatten();
            rows.push(of_table.map(|row| (key(table, row), row.clone())).collect());
        }
        Ok((positions, rows))
    }

    /// Waits until everything is in the tables, and sees that it is what it must be.
    pub(crate) fn until_equal(&self, running: &Ran) {
        let mut said = String::new();
        let equal = wait_for("all of it to be in the tables", WHILE, || {
            // What is not equal now never will be: positions and rows are of one moment.
            let left = self.compare()?;
            said = format!("{left} records are left");
            Ok(left == 0)
        });
        equal.unwrap_or_else(|error| panic!("{error:#}; {said}; {}", running.log()));
    }
}

/// The columns of a table as the wire has them: times as epoch milliseconds, `window` by its own name.
fn columns(schema: &str) -> Result<String> {
    let schema = std::fs::read_to_string(workspace().join(format!("schemas/{schema}.avsc")))?;
    let schema: Value = serde_json::from_str(&schema)?;
    let mut columns = vec!["source_partition".to_owned(), "source_offset".to_owned()];
    for field in schema["fields"].as_array().context("fields")? {
        let name = field["name"].as_str().context("a name")?;
        let column = if name == "window" { "window_name" } else { name };
        columns.push(if field["type"].to_string().contains("timestamp-millis") {
            format!("(extract(epoch FROM {column}) * 1000)::bigint AS \"{name}\"")
        } else {
            format!("{column} AS \"{name}\"")
        });
    }
    Ok(columns.join(", "))
}

/// The key of the record that a row is of.
fn key(table: &str, row: &Value) -> String {
    let text = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
    match table {
        "panes" => record::encode_key(&[&text("community_id"), &text("window"), &row["window_end"].to_string()]),
        "alerts" => text("id"),
        _ => record::encode_key(&[&text("community_id"), &text("kind"), &text("id")]),
    }
}

/// The row that a record must give.
fn expected(table: &str, value: &Value, record: &Value) -> Value {
    let mut row = value.clone();
    row["source_partition"] = record["partition"].clone();
    row["source_offset"] = record["offset"].clone();
    if table == "queue_items" {
        row["text"] = Value::Null;
        if row["waiting_since"].is_null() {
            row["waiting_since"] = row["created_at"].clone();
        }
    }
    row
}

fn compare_rows(table: &str, expected: &Rows, found: &Rows) -> Result<()> {
    for (key, row) in expected {
        let found = found.get(key).with_context(|| format!("{table}: {key} is missing"))?;
        for (field, right) in row.as_object().context("an object")? {
            let same = match (right.as_f64(), found[field].as_f64()) {
                (Some(right), Some(found)) => right == found,
                _ => *right == found[field],
            };
            ensure!(same, "{table}: {key}: {field} is {} for {right}", found[field]);
        }
    }
    let extra: Vec<&String> = found.keys().filter(|key| !expected.contains_key(*key)).take(5).collect();
    ensure!(extra.is_empty(), "{table}: rows that should not be there: {extra:?}");
    Ok(())
}

pub(crate) fn feed() -> Feed {
    let connection =
        Connection { bootstrap: kafka().bootstrap(), client_id: "tests".to_owned(), properties: Vec::new() };
    Feed::open(&connection, 1_000_000).unwrap()
}

/// The prefix of topics that a run of the pipeline has written panes and queue items to, alerts beside them, and tombstones of some
/// of all three.
pub(crate) fn piped() -> &'static str {
    const PREFIX: &str = "sink";
    static PIPED: OnceLock<()> = OnceLock::new();
    PIPED.get_or_init(|| {
        let more = format!(
            "topics.other_partitions = 3\ntopics.partitions = 3\ntopics.raw_partitions = 2\n{}",
            open_windows()
        );
        let sinyal = Sinyal::new(&kafka().bootstrap(), PREFIX, &more).unwrap();
        sinyal.succeed(&["topics", "apply"]).unwrap();
        let reader = Reader::new(sinyal.bootstrap()).unwrap();
        let oracle = made_up(&sinyal, 7, 1_500).unwrap();
        sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
        let running = sinyal.start(&["run"]).unwrap();
        wait_until_done(&sinyal, &reader, &oracle).unwrap();
        assert_eq!(running.terminate().unwrap(), Some(0));
        let feed = feed();
        for episode in 0..60_i64 {
            let start = EPISODE + episode * MINUTE;
            let states = [("pending", 1), ("firing", 2), ("acknowledged", 3), ("resolved", 4)];
            let last = usize::try_from(1 + episode % 4).unwrap();
            for (state, transition) in states.into_iter().take(last) {
                let row = alert(start, state, transition);
                feed.send(&sinyal.topic("social.alerts"), Some(row.id.as_bytes()), Some(&encoded(&row)), None).unwrap();
            }
            if episode % 7 == 6 {
                let id = alert(start, "firing", 1).id.into_owned();
                feed.send(&sinyal.topic("social.alerts"), Some(id.as_bytes()), None, None).unwrap();
            }
        }
        for (_, topic, schema) in [TABLES[0], TABLES[2]] {
            let topic = sinyal.topic(topic);
            let mut seen = 0;
            reader
                .each(&topic, Some(schema), |record| {
                    seen += 1;
                    if seen % 17 == 0 {
                        let key = record["key"].as_str().context("a key")?.to_owned();
                        feed.send(&topic, Some(key.as_bytes()), None, None)?;
                    }
                    Ok(())
                })
                .unwrap();
            assert!(seen > 200, "{topic} has {seen} records");
        }
        feed.flush(WHILE).unwrap();
        assert_eq!(feed.failed(), 0, "{:?}", feed.first_failure());
    });
    PREFIX
}

pub(crate) fn encoded(row: &Alert<'_>) -> Vec<u8> {
    let mut value = Vec::new();
    Encoder::single_object(SchemaName::Alert).encode(row, &mut value).unwrap();
    value
}

/// A row of an alert of a community that the simulated world has, an hour long.
pub(crate) fn alert(start: i64, state: &'static str, transition: i32) -> Alert<'static> {
    let community = "warga-kota-1";
    let at = start + i64::from(transition) * 15 * MINUTE;
    let since = |of: i32, at: i64| (transition >= of).then_some(at);
    Alert {
        id: record::encode_key(&["complaint_spike", community, &start.to_string()]).into(),
        rule: "complaint_spike".into(),
        community_id: community.into(),
        state: state.into(),
        severity: "warning".into(),
        started_at: start,
        updated_at: at,
        resolved_at: since(4, at),
        window: "episode".into(),
        observed: 31.0,
        expected: Some(4.5),
        score: Some(6.25),
        distinct_authors: Some(20),
        near_duplicate_share: Some(0.1),
        coordinated: false,
        samples: vec!["warga%20kota|post|7".into(), "a \"quoted\", \\ one".into()],
        summary_id: "Keluhan naik: \u{1f525} {a,b}".into(),
        summary_en: "Complaints rise.".into(),
        links: Vec::new(),
        inhibited_by: None,
        acknowledged_by: since(3, 0).map(|_| "sari".into()),
        fired_at: since(2, start + 30 * MINUTE),
        acknowledged_at: since(3, start + 45 * MINUTE),
        silenced_by: None,
        silenced_until: None,
        silence_reason: None,
        new_author_share: None,
        transition,
    }
}

/// A sample of a metric whose labels hold all of these.
pub(crate) fn metric(ran: &Ran, name: &str, labels: &[&str]) -> f64 {
    let metrics = ran.metrics().unwrap_or_default();
    let is_it = |line: &&str| {
        let rest = line.strip_prefix("sinyal_").and_then(|line| line.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
            && labels.iter().all(|label| line.contains(&format!("\"{label}\"")))
    };
    metrics.lines().find(is_it).and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(-1.0)
}

/// Waits until something is so; the log says more if it does not come to that.
pub(crate) fn until(what: &str, ran: &Ran, mut so: impl FnMut() -> bool) {
    if let Err(error) = wait_for(what, WHILE, || Ok(so())) {
        panic!("{error:#}; {:?}; {}", ran.readiness(), ran.log());
    }
}

/// What `/readyz` says of the sink.
pub(crate) fn state(ran: &Ran) -> Value {
    let (ready, mut said) = ran.readiness().unwrap_or((false, Value::Null));
    json!({ "ready": ready, "sink": said["roles"]["sink"].take() })
}
