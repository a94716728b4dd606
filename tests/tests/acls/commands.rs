//! What each role does from outside: its commands, the door of the notifier, and whoever reads as the sink.

use std::collections::BTreeSet;
use std::process::Output;
use std::time::{Duration, Instant};

use kafka_io::Connection;
use kafka_io::subscription::{Heard, Subscription, SubscriptionSettings};
use serde_json::{Value, json};
use sinyal_tests::{Ran, Reader, Secured};

use super::world::{TOKEN, World, now, said};

/// The commands of each role, all of which succeed with its rights.
pub(crate) fn commands(world: &World, role: &str) -> Vec<Output> {
    let sinyal = &world.of[role];
    let run = |arguments: &[&str]| sinyal.output(arguments).unwrap();
    let queue = world.topic("social.queue.complaint");
    match role {
        "ingest" => vec![run(&["ingest", "input.jsonl"])],
        "topics" => vec![run(&["topics", "apply"]), run(&["topics", "plan"]), run(&["check"])],
        "communities" => {
            // What is there already is not written again.
            let changed = format!("[[communities]]\nid = \"warga\"\nname = \"Warga {}\"\n", now());
            std::fs::write(sinyal.file("communities.toml"), changed).unwrap();
            vec![run(&["communities", "list"]), run(&["communities", "put", "communities.toml"])]
        }
        "status" => {
            let output = run(&["status", "--json", "--wait", "4"]);
            // Whether it is behind is not asked here.
            let code = output.status.code();
            assert!(matches!(code, Some(0 | 3 | 5)), "{}", said(&output));
            vec![output]
        }
        "dlq" => {
            vec![
                run(&["dlq", "list"]),
                run(&["dlq", "redrive", "--disposition", "redrive,fix,inspect", "--execute", "--again"]),
            ]
        }
        "analyst" => {
            let metrics = world.topic("social.community.metrics");
            vec![
                run(&["fairness", "--json"]),
                run(&["corrections", "export"]),
                run(&["tail", &metrics, "-n", "1"]),
                run(&["explain", &format!("{}:{}", world.topic("social.interactions.classified"), place(world))]),
            ]
        }
        "responder" => {
            let item = item(world);
            let mut outputs = vec![
                run(&["queue", "list", "--json"]),
                run(&["queue", "show", &item]),
                run(&["queue", "claim", &item, "--by", "sari", "--force"]),
                run(&["queue", "release", &item, "--by", "sari", "--force"]),
                run(&["alerts", "list", "--json"]),
                run(&["alerts", "silence", "warga", "--for", "1h", "--by", "sari", "--reason", "uji"]),
                run(&["corrections", "import", "corrections.jsonl"]),
                run(&["explain", &format!("{queue}:{}", complaint(world))]),
            ];
            for name in ["complaint", "tip", "experience", "praise", "review"] {
                outputs.push(run(&["tail", &world.topic(&format!("social.queue.{name}")), "-n", "1"]));
            }
            outputs
        }
        "reprocess" => vec![run(&["reprocess", "--generation", "g2"])],
        other => panic!("{other} is no command"),
    }
}

/// Some item that waits, by the responder's own list.
pub(crate) fn item(world: &World) -> String {
    let reader = Reader::new(&world.secured.kafka.bootstrap()).unwrap();
    let rows = reader.read(&world.topic("social.queue.state"), Some("QueueItem")).unwrap();
    let row = &rows.first().unwrap()["value"];
    format!(
        "{}|{}|{}",
        row["community_id"].as_str().unwrap(),
        row["kind"].as_str().unwrap(),
        row["id"].as_str().unwrap()
    )
}

/// Where a classified interaction stands.
pub(crate) fn place(world: &World) -> String {
    first(world, "social.interactions.classified", |record| !record["key"].is_null())
}

/// Where an item of the complaints' queue stands.
pub(crate) fn complaint(world: &World) -> String {
    first(world, "social.queue.complaint", |_| true)
}

pub(crate) fn first(world: &World, topic: &str, is_it: impl Fn(&Value) -> bool) -> String {
    let reader = Reader::new(&world.secured.kafka.bootstrap()).unwrap();
    let records = reader.read(&world.topic(topic), None).unwrap();
    let record = records.iter().find(|record| is_it(record)).unwrap();
    format!("{}:{}", record["partition"], record["offset"])
}

/// Acknowledges an item at the notifier's door; gives the status and the answer.
pub(crate) fn acknowledge(running: &Ran, identity: &str) -> anyhow::Result<(u16, String)> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent
        .post(format!("{}/v1/acknowledge", running.address()?))
        .header("Authorization", format!("Bearer {TOKEN}"))
        .send(json!({ "id": identity, "by": "sari" }).to_string())?;
    let text = answer.body_mut().read_to_string()?;
    Ok((answer.status().as_u16(), text))
}

/// The sink is read as by anybody who has its rights.
pub(crate) fn sink_reads(world: &World) -> Result<(), String> {
    let sinyal = &world.of["sink"];
    let properties = [
        ("security.protocol", "SASL_SSL".to_owned()),
        ("sasl.mechanism", "SCRAM-SHA-512".to_owned()),
        ("sasl.username", "sinyal-sink".to_owned()),
        ("sasl.password", Secured::password("sinyal-sink")),
        ("ssl.ca.location", world.secured.authority.certificate().display().to_string()),
    ];
    let mut subscription = Subscription::open(&SubscriptionSettings {
        connection: Connection {
            bootstrap: sinyal.bootstrap().to_owned(),
            client_id: "sink".to_owned(),
            properties: properties.map(|(name, value)| (name.to_owned(), value)).into(),
        },
        group_id: "sinyal-sink".to_owned(),
        group_instance_id: None,
        topics: ["social.community.metrics", "social.alerts", "social.queue.state"]
            .map(|name| world.topic(name))
            .into(),
        session_timeout_ms: 10_000,
        prefetch_bytes: 1_048_576,
    })
    .map_err(|error| error.to_string())?;
    let began = Instant::now();
    let mut topics = BTreeSet::new();
    while topics.len() < 3 {
        if began.elapsed() > Duration::from_secs(30) {
            return Err(format!("only {topics:?} can be read"));
        }
        match subscription.poll(Duration::from_millis(200)).map_err(|error| error.to_string())? {
            Some(Heard::Assigned(places)) => {
                let from: Vec<_> = places.into_iter().map(|place| (place, 0)).collect();
                subscription.read_from(&from)?;
            }
            Some(Heard::Record(received)) => {
                topics.insert(received.place.topic);
            }
            _ => {}
        }
    }
    subscription.close();
    Ok(())
}
