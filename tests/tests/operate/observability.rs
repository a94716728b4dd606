//! What an operator sees of a running service: its metrics as Prometheus' own tool judges them, and one record's way through every
//! role as the collector of OpenTelemetry has it.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use kafka_io::Connection;
use kafka_io::feed::{Feed, FeedRecord};
use record::TRACEPARENT;
use serde_json::{Value, json};
use sinyal_tests::checks::kafka;
use sinyal_tests::{Collector, Prometheus, Ran, Receiver, Sinyal, Span, wait_for, workspace};

const WHILE: Duration = Duration::from_secs(90);
const SECRET: &str = "whsec_c2lueWFsLXNpbnlhbC1zaW55YWwtc2lueWFsLTEyMw==";

/// All roles, with a help desk that is sent complaints.
fn service(prefix: &str, desk: &Receiver, more: &str) -> Sinyal {
    let more = format!(
        "raw.format = \"json\"\ntopics.raw_partitions = 2\ntopics.partitions = 2\ntopics.other_partitions = 2\n\
         {more}\n[[notify.targets]]\nname = \"desk\"\nkind = \"webhook\"\n\
         url = \"{}\"\nsecret_file = \"hook-secret\"\nalerts = false\nqueues = [\"complaint\"]\n",
        desk.url()
    );
    let sinyal = Sinyal::new(&kafka().bootstrap(), prefix, &more).unwrap();
    std::fs::write(sinyal.file("hook-secret"), SECRET).unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    sinyal
}

fn feed(sinyal: &Sinyal) -> Feed {
    let connection =
        Connection { bootstrap: sinyal.bootstrap().to_owned(), client_id: "tests".to_owned(), properties: Vec::new() };
    Feed::open(&connection, 1_000_000).unwrap()
}

/// A complaint, with a header that says which trace it belongs to.
fn write(sinyal: &Sinyal, feed: &Feed, id: &str, traceparent: Option<&str>) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let value = json!({
        "kind": "post", "id": id, "community_id": "warga-kota", "author": {"id": "a", "role": "member"}, "created_at": now,
        "observed_at": now, "text": "paket saya belum sampai juga sampai hari ini, kecewa sekali dengan pelayanannya",
    });
    let (topic, value) = (sinyal.topic("social.posts.raw"), value.to_string());
    let headers: Vec<_> =
        traceparent.iter().map(|value| (TRACEPARENT.to_owned(), Some(value.as_bytes().to_vec()))).collect();
    let record = FeedRecord {
        topic: &topic,
        partition: None,
        key: Some(id.as_bytes()),
        value: Some(value.as_bytes()),
        timestamp: None,
        headers: &headers,
    };
    feed.send_record(&record).unwrap();
    feed.flush(WHILE).unwrap();
}

fn until(what: &str, running: &Ran, mut so: impl FnMut() -> bool) {
    if let Err(error) = wait_for(what, WHILE, || Ok(so())) {
        panic!("{error:#}; {}", running.log());
    }
}

/// Waits until the help desk gets what is routed from now on: what was there before it was first started is not for it.
fn listens(sinyal: &Sinyal, feed: &Feed, desk: &Receiver, running: &Ran) {
    let mut number = 0;
    until("the help desk to be sent something", running, || {
        write(sinyal, feed, &format!("first-{number}"), None);
        number += 1;
        std::thread::sleep(Duration::from_millis(400));
        !desk.deliveries().is_empty()
    });
}

#[test]
fn prometheus_has_no_complaint_about_the_metrics_and_all_are_documented() {
    let desk = Receiver::start().unwrap();
    let sinyal = service("metrics", &desk, "");
    let feed = feed(&sinyal);
    let running = sinyal.start(&["run"]).unwrap();
    listens(&sinyal, &feed, &desk, &running);
    // Clients tell of themselves every ten seconds.
    until("statistics of the clients", &running, || {
        running.metrics().is_ok_and(|metrics| metrics.contains("sinyal_kafka_broker_round_trip_seconds{"))
    });
    let metrics = running.metrics().unwrap();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut promtool = promtool.spawn().expect("promtool is missing; on Debian: apt-get install -y prometheus");
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let judged = promtool.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&judged.stdout), String::from_utf8_lossy(&judged.stderr));
    assert!(judged.status.success() && said.trim().is_empty(), "{said}");

    let table = std::fs::read_to_string(workspace().join("docs/src/operate/metrics.md")).unwrap();
    let documented: BTreeSet<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')).map(|(name, _)| name).collect();
    let shown: BTreeSet<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .map(|(name, _)| name)
        .collect();
    assert!(shown.len() > 50, "{shown:?}");
    let undocumented: Vec<_> = shown.difference(&documented).collect();
    assert!(undocumented.is_empty(), "docs/src/operate/metrics.md lacks {undocumented:?}");
    for process in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_threads"]
    {
        assert!(shown.contains(process), "{process}");
    }
    // Nothing of who wrote, or where.
    for word in ["warga-kota", "first-0", "paket saya", "127.0.0.1"] {
        assert!(!metrics.contains(word), "{word}");
    }
    let series = metrics.lines().filter(|line| !line.starts_with('#')).count();
    eprintln!("{} metrics, {series} series", shown.len());
    assert!(series < 1_000, "{series} series of a service with 10 partitions");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

/// Nobody has looked at the dashboard, but Prometheus has been asked all that it asks.
#[test]
fn every_panel_of_the_dashboard_is_answered() {
    let desk = Receiver::start().unwrap();
    let sinyal = service("panels", &desk, "");
    let feed = feed(&sinyal);
    let running = sinyal.start(&["run"]).unwrap();
    listens(&sinyal, &feed, &desk, &running);
    let prometheus = Prometheus::start(running.address().unwrap().trim_start_matches("http://")).unwrap();
    let dashboard = std::fs::read_to_string(workspace().join("deploy/grafana/pipeline.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&dashboard).unwrap();
    let queries: Vec<(String, String)> = dashboard["panels"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten().map(move |target| (panel, target)))
        .map(|(panel, target)| {
            let asked = target["expr"].as_str().unwrap();
            let asked = asked.replace("$job", "sinyal").replace("$__rate_interval", "1m");
            (panel["title"].as_str().unwrap().to_owned(), asked)
        })
        .collect();
    assert!(queries.len() > 50, "{}", queries.len());
    // What this service has nothing to tell of.
    let silent = [
        // No item was closed, no broker is away, nothing is traced, there was no dead letter, and every record is one of one tier.
        "People's waits, median of a day",
        "Brokers without a connection",
        "Traces",
        "Dead letters by reason",
        "Unsure",
    ];
    let mut number = 0;
    let mut unanswered = Vec::new();
    let answered = wait_for("all panels", WHILE, || {
        write(&sinyal, &feed, &format!("panel-{number}"), None);
        number += 1;
        unanswered.clear();
        for (title, asked) in &queries {
            if prometheus.query(asked)?.is_empty() && !silent.contains(&title.as_str()) {
                unanswered.push(format!("{title}: {asked}"));
            }
        }
        Ok(unanswered.is_empty())
    });
    if let Err(error) = answered {
        panic!("{error:#}: {}", unanswered.join("\n"));
    }
    // A service that is well, and rules that Prometheus itself evaluates: nothing fires, nor begins to that should never be so.
    let never = "SinyalLedgerUnbalanced|SinyalFileDescriptorsFew";
    let firing =
        prometheus.query(&format!("ALERTS{{alertstate=\"firing\"}} or ALERTS{{alertname=~\"{never}\"}}")).unwrap();
    assert!(firing.is_empty(), "{firing:?}");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn a_trace_goes_from_the_raw_record_to_the_webhook() {
    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const QUIET: &str = "5bf92f3577b34da6a3ce929d0e0e4736";
    let collector = Collector::start().unwrap();
    let desk = Receiver::start().unwrap();
    let more = format!("telemetry.traces.endpoint = \"{}\"\ntelemetry.traces.share = 0.0", collector.url());
    let sinyal = service("traced", &desk, &more);
    let feed = feed(&sinyal);
    let running = sinyal.start(&["run"]).unwrap();
    listens(&sinyal, &feed, &desk, &running);
    write(&sinyal, &feed, "quiet", Some(&format!("00-{QUIET}-00f067aa0ba902b7-00")));
    write(&sinyal, &feed, "followed", Some(&format!("00-{TRACE}-00f067aa0ba902b7-01")));
    let header_of = |id: &str| {
        let mut found = desk.deliveries().into_iter().filter(|delivery| delivery.body.contains(&format!("\"{id}\"")));
        found.next().map(|delivery| delivery.traceparent)
    };
    until("the webhooks", &running, || header_of("quiet").is_some() && header_of("followed").is_some());
    let of_trace =
        || -> Vec<Span> { collector.spans().unwrap().into_iter().filter(|span| span.trace_id == TRACE).collect() };
    until("the spans of all roles", &running, || of_trace().len() >= 3);
    let spans = of_trace();
    eprintln!("{spans:#?}");
    let named = |name: &str| -> &Span {
        let mut found = spans.iter().filter(|span| span.name == name);
        match (found.next(), found.next()) {
            (Some(span), None) => span,
            _ => panic!("one span {name} in {spans:#?}"),
        }
    };
    let classify = named(&format!("process {}", sinyal.topic("social.posts.raw")));
    let community = named(&format!("process {}", sinyal.topic("social.interactions.classified")));
    let request = named("POST");
    assert_eq!((classify.kind, community.kind, request.kind), (5, 5, 3), "consumers, and a client");
    assert_eq!(classify.parent_id, "00f067aa0ba902b7", "whoever wrote the raw record");
    assert_eq!((&community.parent_id, &request.parent_id), (&classify.span_id, &classify.span_id));
    assert_eq!(community.links, std::slice::from_ref(&classify.span_id));
    // From taken to committed: at least what a commit takes, and no more than the test did.
    assert!((1..90_000_000_000).contains(&classify.took_ns), "{}", classify.took_ns);
    assert_eq!(header_of("followed").unwrap(), format!("00-{TRACE}-{}-01", request.span_id));
    let said =
        |span: &Span, key: &str| span.attributes.iter().find(|(of, _)| of == key).map(|(_, value)| value.clone());
    assert_eq!(said(classify, "messaging.system").as_deref(), Some("kafka"));
    assert_eq!(said(classify, "messaging.consumer.group.name"), Some(sinyal.group("classify")));
    assert_eq!(said(classify, "service.name").as_deref(), Some("sinyal"));
    assert_eq!(said(request, "sinyal.notify.target").as_deref(), Some("desk"));
    // Who decided that it is not followed is heeded, and heard of in the end.
    assert_eq!(header_of("quiet").unwrap(), format!("00-{QUIET}-00f067aa0ba902b7-00"));
    assert!(collector.spans().unwrap().iter().all(|span| span.trace_id == TRACE), "and nothing else is");
    let metrics = running.metrics().unwrap();
    assert!(metrics.contains("sinyal_trace_spans_total{outcome=\"exported\"} 3"), "{metrics}");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

/// A collector that takes no spans: everything goes on, and what is lost is counted.
#[test]
fn without_the_collector_everything_goes_on() {
    let collector = Receiver::start().unwrap();
    collector.answer(sinyal_tests::Answer::Hang);
    let desk = Receiver::start().unwrap();
    let more = format!(
        "telemetry.traces.endpoint = \"{}\"\ntelemetry.traces.share = 1.0\ntelemetry.traces.queue_max = 20\n\
         telemetry.traces.timeout_ms = 1000\ntelemetry.traces.spans_per_second_max = 100000",
        collector.url()
    );
    let sinyal = service("untraced", &desk, &more);
    let feed = feed(&sinyal);
    let running = sinyal.start(&["run"]).unwrap();
    listens(&sinyal, &feed, &desk, &running);
    let before = desk.deliveries().len();
    (0..200).for_each(|number| write(&sinyal, &feed, &format!("next-{number}"), None));
    until("all webhooks", &running, || desk.deliveries().len() >= before + 200);
    let count = |outcome: &str| {
        let begin = format!("sinyal_trace_spans_total{{outcome=\"{outcome}\"}} ");
        running.metrics().unwrap().lines().find_map(|line| line.strip_prefix(&begin)?.parse::<f64>().ok())
    };
    until("spans to be given up", &running, || count("dropped") > Some(0.0) && count("failed") > Some(0.0));
    assert_eq!(count("exported"), Some(0.0));
    assert_eq!(running.terminate().unwrap(), Some(0));
}
