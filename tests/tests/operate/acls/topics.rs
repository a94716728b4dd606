//! The making and changing of topics, right by right.

use std::time::{Duration, Instant};

use kafka_io::admin::Admin;
use sinyal_tests::{Acl, wait_for};

use super::necessary::{in_order, tells};
use super::world::{LONG, World, configured, planned, said};

/// What `check` reads, where there is something to read: to know of the topic is not enough.
pub(crate) fn checked(world: &World) -> Vec<String> {
    let mut unmissed = Vec::new();
    for acl in world.plan["topics"].iter().filter(|acl| acl.operation == "Read") {
        let weaker = Acl { operation: "Describe".to_owned(), ..acl.clone() };
        world.acls.remove(acl).unwrap();
        world.acls.add(std::slice::from_ref(&weaker)).unwrap();
        let output = world.of["topics"].output(&["check"]).unwrap();
        let exact = format!("Read on {} {} is not allowed", acl.resource, acl.name);
        if !said(&output).contains(&exact) || output.status.code() != Some(3) {
            unmissed.push(format!("check, {acl:?}: {}", said(&output)));
        }
        world.acls.remove(&weaker).unwrap();
        world.acls.add(std::slice::from_ref(acl)).unwrap();
    }
    unmissed
}

/// The making and changing of topics, where nobody works.
pub(crate) fn topics(world: &World) -> Vec<String> {
    let began = Instant::now();
    let sinyal = configured(&world.secured, &world.desk, "topics", "made");
    let plan = planned(&sinyal, &["--role", "topics"]).remove("topics").unwrap();
    world.acls.add(&plan).unwrap();
    let mut unmissed = Vec::new();
    let mut without = |acl: &Acl, weaker: Option<&str>, variables: &[(&str, &str)]| {
        world.acls.remove(acl).unwrap();
        let weaker = weaker.map(|operation| Acl { operation: operation.to_owned(), ..acl.clone() });
        weaker.iter().for_each(|acl| world.acls.add(std::slice::from_ref(acl)).unwrap());
        let output = sinyal.output_with(&["topics", "apply"], variables).unwrap();
        // With less than it itself, that very operation is missed.
        let exact = format!("{} on {} {} is not allowed", acl.operation, acl.resource, acl.name);
        let told = if weaker.is_some() { said(&output).contains(&exact) } else { tells(&said(&output), acl) };
        if !told || output.status.code() != Some(3) {
            unmissed.push(format!("topics, {acl:?}: {}", said(&output)));
        }
        weaker.iter().for_each(|acl| world.acls.remove(acl).unwrap());
        world.acls.add(std::slice::from_ref(acl)).unwrap();
    };
    for acl in &in_order(&plan, "Create") {
        without(acl, None, &[]);
    }
    sinyal.succeed(&["topics", "apply"]).unwrap();
    let is_known = |acl: &&Acl| {
        let admin = Admin::new(&world.everybody(), Duration::from_secs(10));
        admin
            .and_then(|admin| admin.topics())
            .is_ok_and(|(topics, _)| topics.iter().any(|topic| topic.name == acl.name))
    };
    wait_for("the topics", LONG, || Ok(plan.iter().filter(|acl| acl.operation == "Create").all(|acl| is_known(&acl))))
        .unwrap();
    for acl in plan.iter().filter(|acl| acl.operation != "Create") {
        without(acl, None, &[]);
    }
    // Knowing of it is not enough to change it.
    let changed = [("SINYAL__TOPICS__OTHER_PARTITIONS", "4"), ("SINYAL__TOPICS__RETENTION_MS", "86400000")];
    for acl in &in_order(&plan, "Alter") {
        without(acl, Some("Describe"), &changed[..1]);
    }
    let is_queue = |acl: &&Acl| acl.name.contains(".queue.") && !acl.name.ends_with("state");
    for acl in in_order(&plan, "AlterConfigs").iter().filter(is_queue) {
        without(acl, Some("DescribeConfigs"), &changed[1..]);
    }
    eprintln!("topics: {} rights taken away, one by one, in {} s", plan.len(), began.elapsed().as_secs());
    for acl in &plan {
        world.acls.remove(acl).unwrap();
    }
    unmissed
}
