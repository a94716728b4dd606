//! Nothing of the plan can be left out: each right is taken away, and something tells.

use std::time::{Duration, Instant};

use sinyal_tests::{Acl, Sinyal, wait_for};

use super::commands::{acknowledge, commands, item};
use super::world::{LONG, World, said, start};

/// Whether something says that an operation on what the ACL is about is not allowed.
pub(crate) fn tells(said: &str, acl: &Acl) -> bool {
    // Nobody is shown a topic of which he may not know; so Describe may be what is missed first.
    let operations: &[&str] = match acl.operation.as_str() {
        "Read" => &["Read", "Describe"],
        "Write" => &["Write", "Describe"],
        "Alter" => &["Alter", "Describe"],
        "AlterConfigs" => &["AlterConfigs", "DescribeConfigs"],
        other => &[other],
    };
    // A prefix is told with the name of the instance behind it.
    let end = if acl.pattern == "prefixed" { "" } else { " is not allowed to this user; `sinyal topics plan --acls`" };
    operations.iter().any(|operation| said.contains(&format!("{operation} on {} {}{end}", acl.resource, acl.name)))
}

/// Whether a service that is started says so before long.
pub(crate) fn service_tells(sinyal: &Sinyal, role: &str, acl: &Acl) -> Result<(), String> {
    let mut running = sinyal.start(&["run", "--role", role]).unwrap();
    let began = Instant::now();
    let mut found = false;
    // Alerts are told once history is read, which takes about a minute.
    while began.elapsed() < Duration::from_secs(180) && !found {
        std::thread::sleep(Duration::from_millis(100));
        let runs = running.is_running();
        found = tells(&running.log(), acl);
        if !runs {
            break;
        }
    }
    let log = running.log();
    // What a stage may not do stops it; what the observer may not see, or canaries may not be written, is told and waited for, and so is
    // the topic of canaries, without which all else goes on.
    let goes_on = ["cannot be looked at", "canaries are not sent", "an output that may be left out"];
    let waits = goes_on.iter().any(|said| log.contains(said));
    let code = if waits { None } else { running.wait(LONG).ok().flatten() };
    running.kill();
    match (found, waits || code == Some(3)) {
        (true, true) => Ok(()),
        _ => Err(format!("{acl:?}: exit {code:?}, told {found}: {log}")),
    }
}

/// Those of an operation, in the order in which topics are made and changed: those before one are done by its turn.
pub(crate) fn in_order(acls: &[Acl], operation: &str) -> Vec<Acl> {
    const ORDER: [&str; 18] = [
        "posts.raw",
        "comments.raw",
        "interactions.classified",
        "community.changelog",
        "corrections",
        "actions",
        "queue.state",
        "community.metrics",
        "alerts",
        "notify.state",
        "dead-letters",
        "canary",
        "communities",
        "queue.complaint",
        "queue.tip",
        "queue.experience",
        "queue.praise",
        "queue.review",
    ];
    let mut ordered: Vec<Acl> = acls.iter().filter(|acl| acl.operation == operation).cloned().collect();
    let place = |acl: &Acl| ORDER.iter().position(|name| acl.name.ends_with(&format!("social.{name}"))).unwrap();
    ordered.sort_by_key(place);
    ordered
}

/// Takes each right away in turn, and gives it back; those of which nothing tells are given.
pub(crate) fn each(world: &World, role: &str, mut probe: impl FnMut(&Acl) -> Result<(), String>) -> Vec<String> {
    let began = Instant::now();
    let mut unmissed = Vec::new();
    let acls = &world.plan[role];
    for acl in acls {
        world.acls.remove(acl).unwrap();
        if let Err(why) = probe(acl) {
            unmissed.push(why);
        }
        world.acls.add(std::slice::from_ref(acl)).unwrap();
    }
    eprintln!("{role}: {} rights taken away, one by one, in {} s", acls.len(), began.elapsed().as_secs());
    unmissed
}

/// A stage stops, and says what is missing.
pub(crate) fn services(world: &World, role: &str) -> Vec<String> {
    // Something that is not done yet, so that each start has work, which none of them can finish.
    world.more_input(2);
    if role == "community" {
        let mut classify = start(world, "classify");
        wait_for("something to be classified", LONG, || Ok(classify.consumed("classify")? > 0)).unwrap();
        assert_eq!(classify.terminate().unwrap(), Some(0));
    }
    each(world, role, |acl| {
        let checked = check_tells(world, role, acl);
        service_tells(&world.of[role], role, acl).and(checked)
    })
}

/// `check` names what is missing.
pub(crate) fn check_tells(world: &World, role: &str, acl: &Acl) -> Result<(), String> {
    let output = world.of[role].output(&["check", "--role", role]).unwrap();
    let (said, name) = (said(&output), format!("{} {} {}", acl.operation, acl.resource, acl.name));
    let line = said.lines().find(|line| line.starts_with("TO DO permissions of"));
    match line.is_some_and(|line| line.contains(&name)) {
        true => Ok(()),
        false => Err(format!("check does not tell of {acl:?}: {said}")),
    }
}

pub(crate) fn notify(world: &World) -> Vec<String> {
    let mut number = 0;
    each(world, "notify", |acl| {
        number += 1;
        let is = |topic: &str, operation: &str| acl.name == world.topic(topic) && acl.operation == operation;
        if is("social.actions", "Write") {
            // Whoever comes to the door is told.
            let running = start(world, "notify");
            let identity = item(world);
            let mut answer = (0, String::new());
            wait_for("the door", LONG, || {
                answer = acknowledge(&running, &identity).unwrap_or_default();
                // Before the role has started nobody is let in.
                Ok(answer.0 == 202 || tells(&answer.1, acl))
            })
            .unwrap();
            running.kill();
            return if answer.0 == 503 { Ok(()) } else { Err(format!("{acl:?}: {answer:?}")) };
        }
        if is("social.notify.state", "Write") {
            // What is told is kept: there must be something to tell.
            world.put_alert(&format!("warga-{number}"));
        }
        if is("social.dead-letters", "Write") {
            // What cannot be read becomes a dead letter.
            world.put("social.alerts", b"key", b"no alert");
        }
        service_tells(&world.of["notify"], "notify", acl)
    })
}

/// A command fails, and says what is missing.
pub(crate) fn each_is_missed(world: &World, role: &str) -> Vec<String> {
    let mut number = 100;
    each(world, role, |acl| {
        if role == "reprocess" {
            if acl.operation == "Create" {
                // Shown where the topics are not there yet.
                return Ok(());
            }
            if ["classified", "changelog"].iter().any(|end| acl.name.ends_with(end)) {
                // Something to be written and read again.
                number += 1;
                world.more_input(number);
            }
        }
        if role == "communities" {
            // Something that is not there yet, so that there is something to write.
            number += 1;
            let file = world.of[role].file("communities.toml");
            std::fs::write(file, format!("[[communities]]\nid = \"warga-{number}\"\n")).unwrap();
        }
        let outputs = commands(world, role);
        let all: String = outputs.iter().map(said).collect();
        let codes: Vec<Option<i32>> = outputs.iter().map(|output| output.status.code()).collect();
        let unread = role == "status" && all.contains("\"unread\":\"");
        match tells(&all, acl) && (codes.contains(&Some(3)) || unread) {
            true => Ok(()),
            // Which signal it was, if one ended it.
            false => {
                let ends: Vec<String> = outputs.iter().map(|output| output.status.to_string()).collect();
                Err(format!("{role}, {acl:?}: {} {all}", ends.join(", ")))
            }
        }
    })
}

pub(crate) fn sink(world: &World) -> Vec<String> {
    each(world, "sink", |acl| service_tells(&world.of["sink"], "sink", acl))
}
