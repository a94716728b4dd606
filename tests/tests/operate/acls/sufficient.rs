//! Everything works with the plan.

use std::time::Instant;

use serde_json::{Value, json};
use sinyal_tests::{Reader, wait_for};

use super::commands::{acknowledge, commands, item};
use super::necessary::{in_order, tells};
use super::world::{GENERATION, LONG, RAW_PARTITIONS, ROLES, World, said, start};

pub(crate) fn sufficient(world: &World) {
    let began = Instant::now();
    let step = |what: &str| eprintln!("{:>4} s  {what}", began.elapsed().as_secs());
    world.of["topics"].succeed(&["topics", "apply"]).unwrap();
    step("topics are made");
    let communities = &world.of["communities"];
    std::fs::write(communities.file("communities.toml"), "[[communities]]\nid = \"warga\"\n").unwrap();
    communities.succeed(&["communities", "put", "communities.toml"]).unwrap();
    let (classify, community, notify) = (start(world, "classify"), start(world, "community"), start(world, "notify"));
    let sink = start(world, "sink");
    let mut running = [("classify", classify), ("community", community), ("notify", notify), ("sink", sink)];
    for (role, running) in running.iter_mut().filter(|(role, _)| *role != "sink") {
        wait_for(&format!("partitions of {role}"), LONG, || {
            assert!(running.is_running(), "{}", running.end_of_log());
            Ok(running.log().contains("partitions assigned"))
        })
        .unwrap();
    }
    step("the roles run");
    world.more_input(1);
    world.erase_next(1);
    // What cannot be read becomes a dead letter, which can be redriven.
    world.put("social.posts.raw", b"key", b"no record");
    wait_for("an item to be told", LONG, || {
        for (role, running) in &mut running {
            assert!(running.is_running(), "{role}: {}", running.end_of_log());
        }
        Ok(!world.desk.taken().is_empty())
    })
    .unwrap();
    wait_for("queue items to have a state", LONG, || {
        Ok(!Reader::new(&world.secured.kafka.bootstrap())?.read(&world.topic("social.queue.state"), None)?.is_empty())
    })
    .unwrap();
    wait_for("rows", LONG, || {
        Ok(!Reader::new(&world.secured.kafka.bootstrap())?
            .read(&world.topic("social.community.metrics"), None)?
            .is_empty())
    })
    .unwrap();
    step("the pipeline works");
    let identity = item(world);
    let [of, kind, id] = &identity.split('|').collect::<Vec<_>>()[..] else { panic!("{identity}") };
    let correction = json!({ "community_id": of, "kind": kind, "id": id, "label": "tip", "by": "sari" });
    std::fs::write(world.of["responder"].file("corrections.jsonl"), format!("{correction}\n")).unwrap();
    // The door of the notifier.
    let answer = acknowledge(&running[2].1, &identity).unwrap();
    assert_eq!(answer.0, 202, "{answer:?}");
    let dry = std::fs::read_to_string(world.of["erase"].file("author")).unwrap();
    world.of["erase"].succeed(&["erase", "--author", &dry, "--by", "dpo"]).unwrap();
    for role in ["ingest", "responder", "analyst", "status", "dlq", "communities", "topics", "erase"] {
        for output in commands(world, role) {
            assert!(output.status.success() || role == "status", "{role}: {}", said(&output));
            assert!(!said(&output).contains("not allowed"), "{role}: {}", said(&output));
            assert!(role != "status" || !said(&output).contains("\"unread\":\""), "{}", said(&output));
        }
    }
    step("the commands work");
    // Somebody who is there still when rights are taken away.
    world.erase_next(2);
    world.put_alert("warga");
    for table in ["panes", "alerts", "queue_items"] {
        wait_for(&format!("rows of {table} in the database"), LONG, || {
            Ok(world.postgres.value(&format!("SELECT count(*) AS n FROM sinyal.{table}"))?.as_i64() > Some(0))
        })
        .unwrap();
    }
    step("the sink writes");
    wait_for("the alert to be told", LONG, || {
        Ok(world.desk.taken().iter().any(|id| id.starts_with("complaint_spike|warga")))
    })
    .unwrap();
    wait_for("the pipeline to be seen", LONG, || {
        let log = running[2].1.log();
        assert!(!log.contains("not allowed"), "{log}");
        Ok(running[2].1.metrics().is_ok_and(|metrics| metrics.contains("sinyal_blind{kind=\"unobserved\"} 0")))
    })
    .unwrap();
    wait_for("canaries to come through everywhere", LONG, || {
        let log = running[2].1.log();
        assert!(!log.contains("canaries are not sent"), "{log}");
        let seen = running[2].1.metrics()?;
        let seen = seen.lines().filter(|line| line.starts_with("sinyal_canary_last_seen_timestamp_seconds{"));
        let seen: Vec<f64> = seen.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
        Ok(seen.len() == RAW_PARTITIONS && seen.iter().all(|at| *at > 0.0))
    })
    .unwrap();
    step("the pipeline is seen");
    // Transactions of other producers, whose ends are markers: what lies before the end of a log is read to tell them apart.
    let reader = Reader::new(&world.secured.kafka.bootstrap()).unwrap();
    for topic in [
        "social.interactions.classified",
        "social.posts.raw",
        "social.comments.raw",
        "social.corrections",
        "social.actions",
    ] {
        reader.write(&world.topic(topic), &[("key".to_owned(), b"no record".to_vec())], true).unwrap();
    }
    wait_for("all to be consumed", LONG, || {
        let status = world.of["status"].output(&["status", "--json", "--wait", "4"])?;
        let status: Value = serde_json::from_slice(&status.stdout)?;
        Ok(status["groups"].as_array().is_some_and(|groups| groups.iter().all(|group| group["lag"] == 0)))
    })
    .unwrap();
    step("all is consumed");
    // The making of the topics of another generation is what only the first rebuild does.
    for acl in &in_order(&world.plan["reprocess"], "Create") {
        world.acls.remove(acl).unwrap();
        let output = world.of["reprocess"].output(&["reprocess", "--generation", "g2"]).unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(tells(&said(&output), acl), "{acl:?}: {}", said(&output));
        world.acls.add(std::slice::from_ref(acl)).unwrap();
    }
    for output in commands(world, "reprocess") {
        assert!(output.status.success(), "reprocess: {}", said(&output));
    }
    step("a generation is rebuilt");
    for role in ROLES {
        let sinyal = &world.of[role];
        let variables: &[(&str, &str)] = if role == "reprocess" { &[GENERATION] } else { &[] };
        let roles = if role == "reprocess" { "classify,community" } else { role };
        let output = sinyal.output_with(&["check", "--role", roles], variables).unwrap();
        let said = said(&output);
        let lines: Vec<&str> = said.lines().filter(|line| line.contains("permissions of")).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| line.starts_with("ok ")), "{role}: {said}");
    }
    for (role, running) in running {
        let log = running.log();
        assert_eq!(running.terminate().unwrap(), Some(0), "{role}: {log}");
        let troubles = ["not allowed", "cannot be looked at", "canaries are not sent", "nothing is written there"];
        assert!(!troubles.iter().any(|trouble| log.contains(trouble)), "{role}: {log}");
    }
    eprintln!("sufficient, shown in {} s", began.elapsed().as_secs());
}
