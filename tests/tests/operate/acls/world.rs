//! A broker with an authorizer, a user for each role, and what is planned for them.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;

use kafka_io::Connection;
use kafka_io::feed::Feed;
use record::Alert;
use serde_json::{Value, json};
use sinyal_tests::{Acl, Acls, Listener, Postgres, Ran, Receiver, Secured, Sinyal};
use wire::{Encoder, SchemaName};

pub(crate) const PREFIX: &str = "acl";
pub(crate) const LONG: Duration = Duration::from_secs(120);
pub(crate) const ROLES: [&str; 13] = [
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
    "erase",
    "communities",
    "reprocess",
];
pub(crate) const GENERATION: (&str, &str) = ("SINYAL__TOPICS__GENERATION", "g2");
/// Six of each raw topic, as is the default.
pub(crate) const RAW_PARTITIONS: usize = 12;
pub(crate) const TOKEN: &str = "a-token-for-the-door";

/// A broker that lets nobody do anything who is not let, and a configuration for each role.
pub(crate) struct World {
    pub(crate) secured: Secured,
    pub(crate) acls: Acls,
    pub(crate) desk: Receiver,
    /// Into which the sink writes.
    pub(crate) postgres: Postgres,
    /// As which each role works.
    pub(crate) of: BTreeMap<&'static str, Sinyal>,
    /// All that the plan lists, by role.
    pub(crate) plan: BTreeMap<String, Vec<Acl>>,
}

impl World {
    pub(crate) fn new() -> World {
        let users: Vec<String> = ROLES.iter().map(|role| format!("sinyal-{role}")).collect();
        let users: Vec<&str> = users.iter().map(String::as_str).collect();
        let secured = Secured::start(&users, true).unwrap();
        let acls = Acls::of(&secured.kafka).unwrap();
        let desk = Receiver::start().unwrap();
        let postgres = Postgres::start(false).unwrap();
        let of: BTreeMap<&str, Sinyal> =
            ROLES.into_iter().map(|role| (role, configured(&secured, &desk, role, PREFIX))).collect();
        let plan = planned(&of["topics"], &["--generation", "g2"]);
        let sink = &of["sink"];
        let lines = format!(
            "sink.url = \"{}\"\nsink.password_file = \"password\"\nsink.sslmode = \"disable\"\n\
             sink.retention_days = 3650\n",
            postgres.url("owner")
        );
        std::fs::write(sink.file("password"), "owner\n").unwrap();
        let file = sink.file("sinyal.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(file, lines + &text).unwrap();
        sink.succeed(&["sink", "apply"]).unwrap();
        assert_eq!(plan.keys().map(String::as_str).collect::<Vec<_>>(), sorted(&ROLES));
        World { secured, acls, desk, postgres, of, plan }
    }

    /// Everything that is needed, given to everybody.
    pub(crate) fn allow_all(&self) {
        // Some as the commands say that are printed, by Kafka's own tool; it takes long to start. The others by their JSON.
        let plain = ["--bootstrap", &self.secured.kafka.bootstrap()];
        let arguments = ["topics", "plan", "--acls", "--role", "classify", "--format", "kafka-acls"];
        let commands = self.of["topics"].succeed(&[&arguments[..], &plain].concat()).unwrap();
        let by_tool = |name: &str| name.ends_with("posts.raw") || !name.starts_with(&format!("{PREFIX}."));
        let is_by_tool = |line: &&str| {
            line.starts_with('#')
                || line.contains("posts.raw'")
                || line.contains("--group")
                || line.contains("--transactional-id")
        };
        let commands: Vec<&str> = commands.lines().filter(is_by_tool).collect();
        assert_eq!(commands.iter().filter(|line| !line.starts_with('#')).count(), 3, "{commands:?}");
        self.acls.run_commands(&commands.join("\n")).unwrap();
        for (role, acls) in &self.plan {
            let others: Vec<Acl> =
                acls.iter().filter(|acl| role != "classify" || !by_tool(&acl.name)).cloned().collect();
            self.acls.add(&others).unwrap();
        }
        self.acls.are(&self.plan.values().flatten().cloned().collect::<Vec<_>>()).unwrap();
    }

    pub(crate) fn topic(&self, name: &str) -> String {
        self.of["topics"].topic(name)
    }

    pub(crate) fn everybody(&self) -> Connection {
        Connection {
            bootstrap: self.secured.kafka.bootstrap(),
            client_id: "everybody".to_owned(),
            properties: Vec::new(),
        }
    }

    /// Puts records where somebody else would.
    pub(crate) fn put(&self, topic: &str, key: &[u8], value: &[u8]) {
        let feed = Feed::open(&self.everybody(), 1_048_576).unwrap();
        feed.send(&self.topic(topic), Some(key), Some(value), None).unwrap();
        feed.flush(Duration::from_secs(20)).unwrap();
        assert_eq!(feed.failed(), 0, "{:?}", feed.first_failure());
    }

    pub(crate) fn put_alert(&self, community: &str) {
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

    /// From now on those who erase do so with the member who wrote the n-th most of the first input.
    pub(crate) fn erase_next(&self, nth: usize) {
        let input = std::fs::read_to_string(self.of["ingest"].file("input-1.jsonl")).unwrap();
        let mut written: BTreeMap<String, usize> = BTreeMap::new();
        for line in input.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if let (Some(id), true) = (line["author"]["id"].as_str(), line["author"]["role"] != "brand") {
                *written.entry(id.to_owned()).or_default() += 1;
            }
        }
        let mut written: Vec<(usize, String)> = written.into_iter().map(|(id, times)| (times, id)).collect();
        written.sort_unstable();
        let (_, id) = &written[written.len() - nth];
        std::fs::write(self.of["erase"].file("author"), id).unwrap();
    }

    pub(crate) fn more_input(&self, seed: u32) {
        let ingest = &self.of["ingest"];
        let lines = ingest.succeed(&["sim", "--seed", &seed.to_string(), "--interactions", "60"]).unwrap();
        // Several may come at a time.
        let name = format!("input-{seed}.jsonl");
        std::fs::write(ingest.file(&name), lines).unwrap();
        ingest.succeed(&["ingest", &name]).unwrap();
    }
}

pub(crate) fn configured(secured: &Secured, desk: &Receiver, role: &str, prefix: &str) -> Sinyal {
    let properties = secured.properties(Listener::Scram, &format!("sinyal-{role}")).unwrap();
    let more = format!(
        "{properties}communities.topic = \"social.communities\"\nnotify.acknowledge_token_file = \"door\"\n\
         blindness.interval_ms = 500\n\
         canary.interval_ms = 5000\n[[notify.targets]]\nname = \"desk\"\n\
         kind = \"webhook\"\nurl = \"{}\"\nsecret_file = \"desk\"\nqueues = [\"complaint\"]\n",
        desk.url()
    );
    let sinyal = Sinyal::new(&secured.bootstrap(Listener::Scram), prefix, &more).unwrap();
    std::fs::write(sinyal.file("door"), TOKEN).unwrap();
    std::fs::write(sinyal.file("desk"), "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz").unwrap();
    sinyal
}

/// What the plan lists, by role.
pub(crate) fn planned(sinyal: &Sinyal, more: &[&str]) -> BTreeMap<String, Vec<Acl>> {
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

pub(crate) fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

pub(crate) fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

pub(crate) fn start(world: &World, role: &str) -> Ran {
    world.of[role].start(&["run", "--role", role]).unwrap()
}
