//! What each role does from outside: its commands, and the door of the notifier.

use std::collections::BTreeMap;
use std::process::Output;

use serde_json::{Value, json};
use sinyal_tests::{Ran, Reader};

use super::world::{TOKEN, World, now, said};

/// The commands of each role, all of which succeed with its rights.
pub(crate) fn commands(world: &World, role: &str) -> Vec<Output> {
    let sinyal = &world.of[role];
    let run = |arguments: &[&str]| sinyal.output(arguments).unwrap();
    let queue = world.topic("social.queue.complaint");
    match role {
        "ingest" => vec![run(&["ingest", "input-1.jsonl"])],
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
        "erase" => {
            let author = std::fs::read_to_string(sinyal.file("author")).unwrap();
            vec![run(&["erase", "--author", &author, "--by", "dpo", "--execute", "--wait=2m", "--json"])]
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

/// Some item that waits, by the topic of the responder's own list; those of whom nothing is left are not among them.
pub(crate) fn item(world: &World) -> String {
    let reader = Reader::new(&world.secured.kafka.bootstrap()).unwrap();
    let rows = reader.read(&world.topic("social.queue.state"), Some("QueueItem")).unwrap();
    let newest: BTreeMap<String, &Value> = rows.iter().map(|row| (row["key"].to_string(), &row["value"])).collect();
    let row = newest.values().find(|row| !row.is_null()).unwrap();
    let part = |name: &str| row[name].as_str().unwrap();
    format!("{}|{}|{}", part("community_id"), part("kind"), part("id"))
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
