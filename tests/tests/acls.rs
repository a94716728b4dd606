//! The access control lists that `sinyal topics plan --acls` prints, on a real broker with an authorizer: everything works with
//! them, each role and command as a user of its own; and nothing of them can be left out.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::process::Output;
use std::time::{Duration, Instant};

use kafka_io::Connection;
use kafka_io::admin::Admin;
use kafka_io::feed::Feed;
use kafka_io::subscription::{Heard, Subscription, SubscriptionSettings};
use record::Alert;
use serde_json::{Value, json};
use sinyal_tests::{Acl, Acls, Listener, Ran, Reader, Receiver, Secured, Sinyal, wait_for};
use wire::{Encoder, SchemaName};

const PREFIX: &str = "acl";
const LONG: Duration = Duration::from_secs(120);
const ROLES: [&str; 12] = [
    "classify",
    "community",
    "notify",
    "sink",
    "ingest",
    "responder",
    "analyst",
    "topics",
    "status",
    "dlq",
    "communities",
    "reprocess",
];
const GENERATION: (&str, &str) = ("SINYAL__TOPICS__GENERATION", "g2");
const TOKEN: &str = "a-token-for-the-door";

/// A broker that lets nobody do anything who is not let, and a configuration for each role.
struct World {
    secured: Secured,
    acls: Acls,
    desk: Receiver,
    /// As which each role works.
    of: BTreeMap<&'static str, Sinyal>,
    /// All that the plan lists, by role.
    plan: BTreeMap<String, Vec<Acl>>,
}

impl World {
    fn new() -> World {
        let users: Vec<String> = ROLES.iter().map(|role| format!("sinyal-{role}")).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let secured = Secured::start(&users, true).unwrap();
        let acls = Acls::of(&secured.kafka).unwrap();
        let desk = Receiver::start().unwrap();
        let of: BTreeMap<&str, Sinyal> =
            ROLES.into_iter().map(|role| (role, configured(&secured, &desk, role, PREFIX))).collect();
        let plan = planned(&of["topics"], &["--generation", "g2"]);
        assert_eq!(plan.keys().map(String::as_str).collect::<Vec<_>>(), sorted(&ROLES));
        World { secured, acls, desk, of, plan }
    }

    /// Everything that is needed, given to everybody.
    fn allow_all(&self) {
        // One role's as the commands say that are printed, by Kafka's own tool; the others' by their JSON.
        let plain = ["--bootstrap", &self.secured.kafka.bootstrap()];
        let arguments = ["topics", "plan", "--acls", "--role", "classify", "--format", "kafka-acls"];
        let commands = self.of["topics"].succeed(&[&arguments[..], &plain].concat()).unwrap();
        self.acls.run_commands(&commands).unwrap();
        for (role, acls) in &self.plan {
            if role != "classify" {
                self.acls.add(acls).unwrap();
            }
        }
        self.acls.are(&self.plan.values().flatten().cloned().collect::<Vec<_>>()).unwrap();
    }

    fn topic(&self, name: &str) -> String {
        self.of["topics"].topic(name)
    }

    fn everybody(&self) -> Connection {
        Connection {
            bootstrap: self.secured.kafka.bootstrap(),
            client_id: "everybody".to_owned(),
            properties: Vec::new(),
        }
    }

    /// Puts records where somebody else would.
    fn put(&self, topic: &str, key: &[u8], value: &[u8]) {
        let feed = Feed::open(&self.everybody(), 1_048_576).unwrap();
        feed.send(&self.topic(topic), Some(key), Some(value), None).unwrap();
        feed.flush(Duration::from_secs(20)).unwrap();
        assert_eq!(feed.failed(), 0, "{:?}", feed.first_failure());
    }

    fn put_alert(&self, community: &str) {
        let at = now();
        let alert = json!({
            "id": format!("complaint_spike|{community}|{at}"), "rule": "complaint_spike", "community_id": community,
            "state": "firing", "severity": "critical", "started_at": at, "updated_at": at, "window": "5m", "observed": 30.0,
            "coordinated": false, "samples": [], "summary_id": "", "summary_en": "", "links": [],
        })
        .to_string();
        let alert: Alert<'_> = serde_json::from_str(&alert).unwrap();
        let mut value = Vec::new();
        Encoder::single_object(SchemaName::Alert).encode(&alert, &mut value).unwrap();
        self.put("social.alerts", alert.id.as_bytes(), &value);
    }

    fn more_input(&self, seed: u32) {
        let ingest = &self.of["ingest"];
        let lines = ingest.succeed(&["sim", "--seed", &seed.to_string(), "--interactions", "60"]).unwrap();
        std::fs::write(ingest.file("input.jsonl"), lines).unwrap();
        ingest.succeed(&["ingest", "input.jsonl"]).unwrap();
    }
}

fn configured(secured: &Secured, desk: &Receiver, role: &str, prefix: &str) -> Sinyal {
    let properties = secured.properties(Listener::Scram, &format!("sinyal-{role}")).unwrap();
    let more = format!(
        "{properties}communities.topic = \"social.communities\"\nnotify.acknowledge_token_file = \"door\"\n\
         notify.group_id = \"{prefix}-notify\"\nblindness.interval_ms = 500\n[[notify.targets]]\nname = \"desk\"\n\
         kind = \"webhook\"\nurl = \"{}\"\nsecret_file = \"desk\"\nqueues = [\"complaint\"]\n",
        desk.url()
    );
    let sinyal = Sinyal::new(&secured.bootstrap(Listener::Scram), prefix, &more).unwrap();
    std::fs::write(sinyal.file("door"), TOKEN).unwrap();
    std::fs::write(sinyal.file("desk"), "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz").unwrap();
    sinyal
}

/// What the plan lists, by role.
fn planned(sinyal: &Sinyal, more: &[&str]) -> BTreeMap<String, Vec<Acl>> {
    let arguments = [&["topics", "plan", "--acls", "--format", "json"], more].concat();
    let listed: Vec<Value> = serde_json::from_str(&sinyal.succeed(&arguments).unwrap()).unwrap();
    let mut plan: BTreeMap<String, Vec<Acl>> = BTreeMap::new();
    for acl in listed {
        let role = acl["roles"][0].as_str().unwrap().to_owned();
        assert_eq!(acl["principal"], format!("User:sinyal-{role}"));
        plan.entry(role).or_default().push(serde_json::from_value(acl).unwrap());
    }
    plan
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Whether something says that an operation on what the ACL is about is not allowed.
fn tells(said: &str, acl: &Acl) -> bool {
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
fn service_tells(sinyal: &Sinyal, role: &str, acl: &Acl) -> Result<(), String> {
    let mut running = sinyal.start(&["run", "--role", role]).unwrap();
    let began = Instant::now();
    let mut found = false;
    while began.elapsed() < Duration::from_secs(60) && !found {
        std::thread::sleep(Duration::from_millis(100));
        found = tells(&running.log(), acl);
        if !found && !running.is_running() {
            break;
        }
    }
    let log = running.log();
    // What a stage may not do stops it; what the observer may not see is told and waited for.
    let waits = log.contains("cannot be looked at");
    let code = if waits { None } else { running.wait(LONG).ok().flatten() };
    running.kill();
    match (found, waits || code == Some(3)) {
        (true, true) => Ok(()),
        _ => Err(format!("{acl:?}: exit {code:?}, told {found}: {log}")),
    }
}

/// The commands of each role, all of which succeed with its rights.
fn commands(world: &World, role: &str) -> Vec<Output> {
    let sinyal = &world.of[role];
    let run = |arguments: &[&str]| sinyal.output(arguments).unwrap();
    let queue = world.topic("social.queue.complaint");
    match role {
        "ingest" => vec![run(&["ingest", "input.jsonl"])],
        "topics" => vec![run(&["topics", "apply"]), run(&["topics", "plan"]), run(&["check"])],
        "communities" => vec![run(&["communities", "list"]), run(&["communities", "put", "communities.toml"])],
        "status" => {
            let output = run(&["status", "--json", "--wait", "4"]);
            // Whether it is behind is not asked here.
            let code = output.status.code();
            assert!(matches!(code, Some(0 | 3 | 5)), "{}", said(&output));
            vec![output]
        }
        "dlq" => vec![run(&["dlq", "list"]), run(&["dlq", "redrive", "--reason", "malformed", "--execute", "--again"])],
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
fn item(world: &World) -> String {
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
fn place(world: &World) -> String {
    first(world, "social.interactions.classified", |record| !record["key"].is_null())
}

/// Where an item of the complaints' queue stands.
fn complaint(world: &World) -> String {
    first(world, "social.queue.complaint", |_| true)
}

fn first(world: &World, topic: &str, is_it: impl Fn(&Value) -> bool) -> String {
    let reader = Reader::new(&world.secured.kafka.bootstrap()).unwrap();
    let records = reader.read(&world.topic(topic), None).unwrap();
    let record = records.iter().find(|record| is_it(record)).unwrap();
    format!("{}:{}", record["partition"], record["offset"])
}

fn start(world: &World, role: &str) -> Ran {
    world.of[role].start(&["run", "--role", role]).unwrap()
}

#[test]
fn everything_works_with_the_plan_and_nothing_of_it_can_be_left_out() {
    let world = World::new();
    world.allow_all();
    sufficient(&world);
    // Each role has its own user: what is taken from one is nothing to the others.
    std::thread::scope(|scope| {
        let parts: [(&str, fn(&World) -> Vec<String>); 4] = [
            ("services", |world| {
                let mut missing = services(world, "classify");
                missing.extend(services(world, "community"));
                missing
            }),
            ("notify", notify),
            ("commands", |world| {
                ["ingest", "responder", "analyst", "status", "dlq", "communities"]
                    .into_iter()
                    .flat_map(|role| each_is_missed(world, role))
                    .chain(sink(world))
                    .chain(topics(world))
                    .collect()
            }),
            ("reprocess", |world| each_is_missed(world, "reprocess")),
        ];
        let threads = parts.map(|(name, part)| {
            let world = &world;
            (name, scope.spawn(move || part(world)))
        });
        let mut unmissed = Vec::new();
        for (name, thread) in threads {
            let of_part = thread.join().unwrap_or_else(|_| panic!("{name} panicked; see above"));
            unmissed.extend(of_part);
        }
        assert!(
            unmissed.is_empty(),
            "{} are not missed when they are taken away:\n{}",
            unmissed.len(),
            unmissed.join("\n")
        );
    });
    world.acls.are(&world.plan.values().flatten().cloned().collect::<Vec<_>>()).unwrap();
}

fn sufficient(world: &World) {
    let began = Instant::now();
    world.of["topics"].succeed(&["topics", "apply"]).unwrap();
    let communities = &world.of["communities"];
    std::fs::write(communities.file("communities.toml"), "[[communities]]\nid = \"warga\"\n").unwrap();
    communities.succeed(&["communities", "put", "communities.toml"]).unwrap();
    let (classify, community, notify) = (start(world, "classify"), start(world, "community"), start(world, "notify"));
    let mut running = [("classify", classify), ("community", community), ("notify", notify)];
    for (role, running) in &mut running {
        wait_for(&format!("partitions of {role}"), LONG, || {
            assert!(running.is_running(), "{}", running.end_of_log());
            Ok(running.log().contains("partitions assigned"))
        })
        .unwrap();
    }
    world.more_input(1);
    // What cannot be read becomes a dead letter, which can be redriven.
    world.put("social.posts.raw", b"key", b"no record");
    wait_for("an item to be told", LONG, || {
        assert!(running.iter_mut().all(|(_, running)| running.is_running()), "{}", running[2].1.end_of_log());
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
    let identity = item(world);
    let [of, kind, id] = &identity.split('|').collect::<Vec<_>>()[..] else { panic!("{identity}") };
    let correction = json!({ "community_id": of, "kind": kind, "id": id, "label": "tip", "by": "sari" });
    std::fs::write(world.of["responder"].file("corrections.jsonl"), format!("{correction}\n")).unwrap();
    // The door of the notifier.
    let answer = acknowledge(&running[2].1, &identity).unwrap();
    assert_eq!(answer.0, 202, "{answer:?}");
    for role in ["ingest", "responder", "analyst", "status", "dlq", "communities", "topics"] {
        for output in commands(world, role) {
            assert!(output.status.success() || role == "status", "{role}: {}", said(&output));
            assert!(!said(&output).contains("not allowed"), "{role}: {}", said(&output));
        }
    }
    sink_reads(world).unwrap();
    world.put_alert("warga");
    wait_for("the alert to be told", LONG, || {
        Ok(world.desk.taken().iter().any(|id| id.starts_with("complaint_spike|warga")))
    })
    .unwrap();
    wait_for("the pipeline to be seen", LONG, || {
        let log = running[2].1.log();
        assert!(!log.contains("cannot be looked at") && !log.contains("not allowed"), "{log}");
        Ok(running[2].1.metrics().is_ok_and(|metrics| metrics.contains("sinyal_blind{kind=\"unobserved\"} 0")))
    })
    .unwrap();
    // Transactions of other producers, whose ends are markers: what lies before the end of a log is read to tell them apart.
    let reader = Reader::new(&world.secured.kafka.bootstrap()).unwrap();
    for topic in ["social.posts.raw", "social.comments.raw", "social.corrections", "social.actions"] {
        reader.write(&world.topic(topic), &[("key".to_owned(), b"no record".to_vec())], true).unwrap();
    }
    wait_for("all to be consumed", LONG, || {
        let status = world.of["status"].output(&["status", "--json", "--wait", "4"])?;
        let status: Value = serde_json::from_slice(&status.stdout)?;
        Ok(status["groups"].as_array().is_some_and(|groups| groups.iter().all(|group| group["lag"] == 0)))
    })
    .unwrap();
    // The making of the topics of another generation is what only the first rebuild does.
    let creates: Vec<&Acl> = world.plan["reprocess"].iter().filter(|acl| acl.operation == "Create").collect();
    for acl in &creates {
        world.acls.remove(acl).unwrap();
        let output = world.of["reprocess"].output(&["reprocess", "--generation", "g2"]).unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert!(tells(&said(&output), acl), "{acl:?}: {}", said(&output));
        world.acls.add(&[(*acl).clone()]).unwrap();
    }
    for output in commands(world, "reprocess") {
        assert!(output.status.success(), "reprocess: {}", said(&output));
    }
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
        assert!(!log.contains("not allowed"), "{role}: {log}");
    }
    eprintln!("sufficient, shown in {} s", began.elapsed().as_secs());
}

/// Acknowledges an item at the notifier's door; gives the status and the answer.
fn acknowledge(running: &Ran, identity: &str) -> anyhow::Result<(u16, String)> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let mut answer = agent
        .post(format!("{}/v1/acknowledge", running.address()?))
        .header("Authorization", format!("Bearer {TOKEN}"))
        .send(json!({ "id": identity, "by": "sari" }).to_string())?;
    let text = answer.body_mut().read_to_string()?;
    Ok((answer.status().as_u16(), text))
}

/// Takes each right away in turn, and gives it back; those of which nothing tells are given.
fn each(world: &World, role: &str, mut probe: impl FnMut(&Acl) -> Result<(), String>) -> Vec<String> {
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
fn services(world: &World, role: &str) -> Vec<String> {
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
fn check_tells(world: &World, role: &str, acl: &Acl) -> Result<(), String> {
    let output = world.of[role].output(&["check", "--role", role]).unwrap();
    let (said, name) = (said(&output), format!("{} {} {}", acl.operation, acl.resource, acl.name));
    let line = said.lines().find(|line| line.starts_with("TO DO permissions of"));
    match line.is_some_and(|line| line.contains(&name)) {
        true => Ok(()),
        false => Err(format!("check does not tell of {acl:?}: {said}")),
    }
}

fn notify(world: &World) -> Vec<String> {
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
fn each_is_missed(world: &World, role: &str) -> Vec<String> {
    let mut number = 100;
    each(world, role, |acl| {
        if role == "reprocess" {
            if acl.operation == "Create" {
                // Shown where the topics are not there yet.
                return Ok(());
            }
            number += 1;
            world.more_input(number);
        }
        let outputs = commands(world, role);
        let all: String = outputs.iter().map(said).collect();
        let codes: Vec<Option<i32>> = outputs.iter().map(|output| output.status.code()).collect();
        let unread = role == "status" && all.contains("\"unread\":\"");
        match tells(&all, acl) && (codes.contains(&Some(3)) || unread) {
            true => Ok(()),
            false => Err(format!("{role}, {acl:?}: {codes:?} {all}")),
        }
    })
}

/// The sink is read as by anybody who has its rights.
fn sink_reads(world: &World) -> Result<(), String> {
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
    let mut topics = std::collections::BTreeSet::new();
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

fn sink(world: &World) -> Vec<String> {
    each(world, "sink", |acl| match sink_reads(world) {
        Ok(()) => Err(format!("{acl:?}: everything can be read")),
        Err(_) => Ok(()),
    })
}

/// The making and changing of topics, where nobody works.
fn topics(world: &World) -> Vec<String> {
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
    // In the order of the making: those before are there by then.
    for acl in plan.iter().filter(|acl| acl.operation == "Create") {
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
    for acl in plan.iter().filter(|acl| acl.operation == "Alter") {
        without(acl, Some("Describe"), &changed[..1]);
    }
    for acl in plan
        .iter()
        .filter(|acl| acl.operation == "AlterConfigs" && acl.name.contains(".queue.") && !acl.name.ends_with("state"))
    {
        without(acl, Some("DescribeConfigs"), &changed[1..]);
    }
    eprintln!("topics: {} rights taken away, one by one, in {} s", plan.len(), began.elapsed().as_secs());
    for acl in &plan {
        world.acls.remove(acl).unwrap();
    }
    unmissed
}
