//! What cannot be written holds up nothing else; what is not to be kept is not.

use std::time::{SystemTime, UNIX_EPOCH};

use record::{Alert, CommunityMetrics, Timing};
use serde_json::json;
use sinyal_tests::Sinyal;
use sinyal_tests::checks::kafka;
use wire::{Encoder, SchemaName};

use super::bench::{Bench, alert, encoded, metric, until};

const HOUR: i64 = 3_600_000;

/// Topics of its own, without a pipeline that would write to them.
fn bench(prefix: &str, more: &str) -> Bench {
    const TOPICS: &str = "topics.other_partitions = 2\n";
    let sinyal = Sinyal::new(&kafka().bootstrap(), prefix, TOPICS).unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    Bench::new(prefix, prefix, &format!("{TOPICS}{more}"))
}

fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A pane with a number of interactions; the key of its record.
fn pane(community: &str, window: &str, end: i64, interactions: i64) -> (String, Vec<u8>) {
    let row = CommunityMetrics {
        community_id: community.to_owned().into(),
        window: window.to_owned().into(),
        window_start: end - HOUR,
        window_end: end,
        revision: 0,
        timing: Timing::OnTime,
        interactions,
        complaints: 0,
        tips: 0,
        experiences: 0,
        praises: 0,
        others: interactions,
        abstained: 0,
        member_to_brand: 0,
        brand_to_member: 0,
        member_to_member: 0,
        brand_to_all: 0,
        member_to_all: 0,
        direction_unknown: 0,
        posts: 0,
        comments: 0,
        with_text: 0,
        with_photo: 0,
        with_video: 0,
        with_article: 0,
        with_unknown_media: 0,
        late: 0,
        missed: 0,
        watermark: end,
        emitted_at: end,
        distinct_members: None,
        new_members: None,
        returning_members: None,
        members_approximate: None,
        interactions_per_member: None,
        first_responses: None,
        first_response_ms_p50: None,
        first_response_ms_p90: None,
        open_complaints: None,
        oldest_open_complaint_ms: None,
        brand_contact_regularity: None,
        harmony: Some(f64::NAN),
        dead_lettered: None,
        lag: None,
        completeness: None,
    };
    let mut value = Vec::new();
    Encoder::single_object(SchemaName::CommunityMetrics).encode(&row, &mut value).unwrap();
    (record::encode_key(&[community, window, &end.to_string()]), value)
}

#[test]
fn a_row_that_is_refused_is_left_out_and_told() {
    let bench = bench("sink-poison", "");
    bench.postgres.execute("ALTER TABLE sinyal.alerts ADD CHECK (severity <> 'odd')").unwrap();
    // One that would be checked at the end alone, where nothing tells which row it is.
    let at_the_end = "ALTER TABLE sinyal.alerts ADD UNIQUE (rule, started_at) DEFERRABLE INITIALLY DEFERRED";
    bench.postgres.execute(at_the_end).unwrap();
    let send = |row: &Alert<'_>| bench.send("social.alerts", &row.id.clone(), Some(&encoded(row)));
    let mut ids = Vec::new();
    for number in 0..40 {
        let mut row = alert(number, "firing", 2);
        match number {
            // PostgreSQL's own rule, a rule of somebody else's, a time that it does not know.
            7 => row.summary_en = "a\0b".into(),
            11 | 29 => row.severity = "odd".into(),
            13 => (row.started_at, row.silenced_until) = (i64::MIN, Some(i64::MAX)),
            17 => row.started_at = 16,
            _ => {}
        }
        send(&row);
        ids.push(row.id.into_owned());
    }
    bench.send("social.alerts", "not avro", Some(b"poison"));
    bench.send("social.alerts", "of another row", Some(&encoded(&alert(3, "resolved", 4))));
    bench.send("social.community.metrics", "no key", None);
    let (key, value) = pane("nul\0nul", "1h", 1_700_000_000_000, 5);
    bench.send("social.community.metrics", &key, Some(&value));
    let running = bench.start();
    let count = || bench.postgres.value("SELECT count(*) FROM sinyal.alerts").unwrap();
    until("the others to be written", &running, || count() == 37);
    until("all to be read", &running, || metric(&running, "sink_rows_total", &["panes", "written"]) == 1.0);
    // They are counted once they are written, and of each partition by itself.
    until("the refused to be counted", &running, || {
        let refused = |table: &str| metric(&running, "sink_rows_total", &[table, "refused"]);
        refused("alerts") == 5.0 && refused("panes") == 1.0
    });
    let one = |sql: &str| bench.postgres.value(sql).unwrap();
    assert_eq!(one(&format!("SELECT summary_en FROM sinyal.alerts WHERE id = '{}'", ids[7])), "a\u{fffd}b");
    assert_eq!(one(&format!("SELECT state FROM sinyal.alerts WHERE id = '{}'", ids[3])), "firing");
    let years = format!(
        "SELECT extract(year FROM started_at)::int || '-' || extract(year FROM silenced_until)::int FROM sinyal.alerts WHERE id = '{}'",
        ids[13]
    );
    assert_eq!(one(&years), "1-9999");
    assert_eq!(one("SELECT community_id FROM sinyal.panes WHERE harmony = 'NaN'"), "nul\u{fffd}nul");
    let log = running.log();
    assert!(log.contains("the database refuses a row") && !log.contains("Failing row"), "{log}");
    // It goes on, and what was written stays when the same is read again.
    send(&alert(100, "firing", 2));
    until("the next one", &running, || count() == 38);
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn what_is_old_goes_and_windows_that_are_not_named_stay_out() {
    let more = "sink.retention_days = 30\nsink.windows = [\"1h\"]\n";
    let bench = bench("sink-old", more);
    let day = 24 * HOUR;
    // What is in the tables already, from a time when more was kept.
    bench
        .postgres
        .execute(
            "INSERT INTO sinyal.alerts SELECT (jsonb_populate_record(null::sinyal.alerts, jsonb_build_object(\
             'id', n::text, 'rule', 'r', 'community_id', 'c', 'state', 'resolved', 'severity', 'info', \
             'started_at', now() - interval '41 days', 'updated_at', now(), 'resolved_at', now() - interval '1 day' * (n % 60), \
             'window_name', 'now', 'observed', 1, 'coordinated', false, 'samples', '[]'::jsonb, 'summary_id', '', 'summary_en', '', \
             'links', '[]'::jsonb, 'transition', 1, 'source_partition', 9, 'source_offset', n))).* FROM generate_series(1, 13000) AS n",
        )
        .unwrap();
    let write = |window: &str, end: i64| {
        let (key, value) = pane("c", window, end, 3);
        bench.send("social.community.metrics", &key, Some(&value));
    };
    write("1h", now() - 40 * day);
    write("1h", now() - 20 * day);
    write("5m", now() - day);
    let running = bench.start();
    let panes = || bench.postgres.value("SELECT count(*) FROM sinyal.panes").unwrap();
    until("the pane that is kept", &running, || panes() == 1);
    until("the others to be counted", &running, || {
        let count = |outcome: &str| metric(&running, "sink_rows_total", &["panes", outcome]);
        count("expired") == 1.0 && count("left_out") == 1.0
    });
    let old = "SELECT count(*) FROM sinyal.alerts WHERE resolved_at < now() - interval '30 days'";
    until("what is old to go", &running, || bench.postgres.value(old).unwrap() == 0);
    until("them to be counted", &running, || {
        (6_000.0..7_000.0).contains(&metric(&running, "sink_retired_rows_total", &["alerts"]))
    });
    let kept = bench.postgres.value("SELECT count(*) FROM sinyal.alerts").unwrap();
    assert!(kept.as_i64() > Some(6_000), "{kept}");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn generations_do_not_mix_and_other_topics_are_refused() {
    let bench = bench("sink-gen", "");
    let row = alert(1, "firing", 2);
    bench.send("social.alerts", &row.id.clone(), Some(&encoded(&row)));
    let running = bench.start();
    until("the first generation", &running, || {
        bench.postgres.value("SELECT count(*) FROM sinyal.alerts").unwrap() == 1
    });
    // The next one has topics, a group and a schema of its own, beside the first.
    let next = [("SINYAL__TOPICS__GENERATION", "g2"), ("SINYAL__INSTANCE__ID", "next")];
    for command in [["topics", "apply"], ["sink", "apply"]] {
        let output = bench.sinyal.output_with(&command, &next).unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let rebuilt = bench.sinyal.start_with(&["run", "--role", "sink"], &next).unwrap();
    let row = alert(2, "firing", 2);
    let topic = bench.sinyal.generation("g2").topic("social.alerts");
    bench.feed.send(&topic, Some(row.id.as_bytes()), Some(&encoded(&row)), None).unwrap();
    until("the second generation", &rebuilt, || {
        bench.postgres.value("SELECT count(*) FROM sinyal_g2.alerts").unwrap() == 1
    });
    assert_eq!(bench.postgres.value("SELECT count(*) FROM sinyal.alerts").unwrap(), 1);
    assert_eq!(rebuilt.terminate().unwrap(), Some(0));
    assert_eq!(running.terminate().unwrap(), Some(0));
    // One that is pointed to the wrong schema writes nothing there.
    let wrong = [next[0], next[1], ("SINYAL__SINK__SCHEMA", "x")];
    bench.postgres.execute("ALTER SCHEMA sinyal RENAME TO x_g2").unwrap();
    let running = bench.sinyal.start_with(&["run", "--role", "sink"], &wrong).unwrap();
    until("that it holds other topics", &running, || metric(&running, "sink_errors_total", &["mismatch"]) >= 1.0);
    let said = super::bench::state(&running);
    assert!(said["sink"]["detail"].as_str().is_some_and(|detail| detail.contains("another sink.schema")), "{said}");
    assert_eq!(bench.postgres.value("SELECT count(*) FROM x_g2.alerts").unwrap(), 1);
    assert_eq!(running.terminate().unwrap(), Some(0));
    assert_eq!(said["ready"], json!(false));
}
