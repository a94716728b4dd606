//! The community registry as a topic, on a real Kafka: what is put there is taken in by what runs, what is wrong is refused, what is
//! removed is gone.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use kafka_io::Connection;
use kafka_io::feed::Feed;
use record::CommunityEntry;
use serde_json::{Value, json};
use sinyal_tests::checks::sinyal;
use sinyal_tests::{Ran, Reader, Sinyal, wait_for};
use wire::{Encoder, SchemaName};

const PATIENCE: Duration = Duration::from_secs(60);

fn feed(sinyal: &Sinyal) -> Feed {
    let bootstrap = sinyal.bootstrap().to_owned();
    Feed::open(&Connection { bootstrap, client_id: "test".to_owned(), properties: Vec::new() }, 1_048_576).unwrap()
}

/// Writes a record of the registry as nobody should who checks first.
fn write(sinyal: &Sinyal, key: &str, value: &[u8]) {
    let feed = feed(sinyal);
    feed.send(&sinyal.topic("social.communities"), Some(key.as_bytes()), Some(value), None).unwrap();
    feed.flush(Duration::from_secs(20)).unwrap();
    assert_eq!(feed.failed(), 0, "{:?}", feed.first_failure());
}

/// Writes a registry to a file and the file to the topic; gives what was done.
fn put(sinyal: &Sinyal, text: &str, more: &[&str]) -> Value {
    std::fs::write(sinyal.file("communities.toml"), text).unwrap();
    let said = sinyal.succeed(&[&["communities", "put", "communities.toml", "--json"], more].concat()).unwrap();
    serde_json::from_str(&said).unwrap()
}

/// Id, time zone and number of brand accounts of each that is listed; the last one is what holds for the rest.
fn listed(sinyal: &Sinyal) -> Vec<(String, String, i64)> {
    let said = sinyal.succeed(&["communities", "list", "--json"]).unwrap();
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |field: &str| row[field].as_str().unwrap().to_owned();
        (text("id"), text("time_zone"), row["brand_accounts"].as_i64().unwrap())
    };
    said.lines().map(row).collect()
}

/// The value of a metric without labels; 0 while nothing is served.
fn metric(running: &Ran, name: &str) -> u64 {
    let metrics = running.metrics().unwrap_or_default();
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0)
}

/// Ingests a post of the same author under another id; gives the role that it is classified with.
fn role_of_a_post(sinyal: &Sinyal, reader: &Reader, id: &str) -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let at = i64::try_from(since.as_millis()).unwrap() - 1_000;
    let post = json!({
        "kind": "post", "id": id, "community_id": "warga kota", "author": { "id": "178400221", "role": "member" },
        "created_at": at, "observed_at": at, "text": "besok ada pemadaman di blok c",
    });
    std::fs::write(sinyal.file("posts.jsonl"), post.to_string()).unwrap();
    sinyal.succeed(&["ingest", "posts.jsonl"]).unwrap();
    let mut role = None;
    wait_for("the post to be classified", PATIENCE, || {
        reader.each(&sinyal.topic("social.interactions.classified"), Some("Classified"), |record| {
            if record["value"]["id"] == json!(id) {
                role = record["value"]["author_role"].as_str().map(str::to_owned);
            }
            Ok(())
        })?;
        Ok(role.is_some())
    })
    .unwrap();
    role.unwrap()
}

fn row(id: &str, time_zone: &str, brand_accounts: i64) -> (String, String, i64) {
    (id.to_owned(), time_zone.to_owned(), brand_accounts)
}

#[test]
fn a_running_service_follows_the_topic() {
    let sinyal = sinyal("communities", "communities.topic = \"social.communities\"\n").unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    assert!(sinyal.succeed(&["topics", "plan"]).unwrap().contains("communities.social.communities"));
    let before = "[default]\ntime_zone = \"Asia/Makassar\"\n[[communities]]\nid = \"warga kota\"\n";
    assert_eq!(put(&sinyal, before, &[])["put"], 2);
    let rest = || row("", "Asia/Makassar", 0);
    assert_eq!(listed(&sinyal), [row("warga kota", "Asia/Makassar", 0), rest()]);
    let keys =
        |records: Vec<Value>| -> Vec<Value> { records.into_iter().map(|record| record["key"].clone()).collect() };
    let mut written = keys(reader.read(&sinyal.topic("social.communities"), Some("Community")).unwrap());
    written.sort_by_key(ToString::to_string);
    assert_eq!(written, [json!("*"), json!("warga%20kota")]);

    let running = sinyal.start(&["run"]).unwrap();
    assert_eq!(role_of_a_post(&sinyal, &reader, "1"), "member");
    let listed_by = |running: &Ran| metric(running, "sinyal_communities_listed ");
    assert_eq!(listed_by(&running), 1);
    // The author becomes the brand, without a restart.
    let after = "[default]\ntime_zone = \"Asia/Makassar\"\n[[communities]]\nid = \"warga kota\"\nbrand_accounts = [\"178400221\"]\n\
                 [[communities]]\nid = \"other\"\n";
    let done = put(&sinyal, after, &[]);
    assert_eq!((&done["put"], &done["unchanged"]), (&json!(2), &json!(1)));
    wait_for("the registry", PATIENCE, || Ok(listed_by(&running) == 2)).unwrap();
    assert_eq!(role_of_a_post(&sinyal, &reader, "2"), "brand");

    // What is wrong is refused with its place and every mistake, and changes nothing.
    let broken = CommunityEntry {
        id: "warga kota".to_owned(),
        time_zone: Some("Asia/Jakrta".to_owned()),
        language: Some("fr".to_owned()),
        brand_accounts: Some(vec!["9911882277".to_owned(), "@".to_owned()]),
        ..CommunityEntry::default()
    };
    let mut value = Vec::new();
    Encoder::single_object(SchemaName::Community).encode(&broken, &mut value).unwrap();
    write(&sinyal, "warga%20kota", &value);
    write(&sinyal, "garbage", b"no Avro");
    // It is counted before it is said.
    wait_for("the refusals", PATIENCE, || {
        let said = running.log().lines().filter(|line| line.contains("was refused")).count();
        Ok(said == 2 && metric(&running, "sinyal_communities_reload_failed_total ") == 2)
    })
    .unwrap();
    let log = running.log();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("was refused")).collect();
    assert_eq!(refused.len(), 2, "{log}");
    let told: Value = serde_json::from_str(refused.iter().find(|line| line.contains("warga%20kota")).unwrap()).unwrap();
    let mistakes = told["mistakes"].as_str().unwrap();
    assert!(told["offset"].as_i64().unwrap() >= 2 && told["partition"].is_number(), "{told}");
    for mistake in ["time_zone is \"Asia/Jakrta\"", "did you mean Asia/Jakarta?", "language is", "brand_accounts[1] is"]
    {
        assert!(mistakes.contains(mistake), "{mistakes}");
    }
    assert!(!log.contains("9911882277") && !log.contains("178400221"), "no account is in the log");
    assert_eq!(role_of_a_post(&sinyal, &reader, "3"), "brand");
    let still = [row("other", "Asia/Makassar", 0), row("warga kota", "Asia/Makassar", 1), rest()];
    assert_eq!(listed(&sinyal), still);
    let check = sinyal.output(&["check"]).unwrap();
    let said = String::from_utf8_lossy(&check.stdout);
    let line = said.lines().find(|line| line.contains(" communities: ")).unwrap();
    assert!(line.starts_with("TO DO") && line.contains("of 2 communities the newest record is refused"), "{said}");

    // A start reads everything first: the brand is known from the first record on.
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
    let running = sinyal.start(&["run"]).unwrap();
    assert_eq!(role_of_a_post(&sinyal, &reader, "4"), "brand");

    // What the file does not have stays until it is to be taken out.
    let last = "[[communities]]\nid = \"other\"\n";
    assert_eq!(put(&sinyal, last, &[])["others"], 3);
    assert_eq!(listed(&sinyal), still);
    let planned = put(&sinyal, last, &["--prune", "--dry-run"]);
    assert_eq!((&planned["removed"], planned["removed_keys"].as_array().map(Vec::len)), (&json!(3), Some(3)));
    std::fs::write(sinyal.file("communities.toml"), "").unwrap();
    let refused = sinyal.output(&["communities", "put", "communities.toml", "--prune"]).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("would take out all that there are"), "{refused:?}");
    assert_eq!(listed(&sinyal), still, "nothing was done");
    assert_eq!(put(&sinyal, last, &["--prune"])["removed"], 3);
    wait_for("the removal", PATIENCE, || Ok(listed_by(&running) == 1)).unwrap();
    assert_eq!(listed(&sinyal), [row("other", "Asia/Jakarta", 0), row("", "Asia/Jakarta", 0)]);
    assert_eq!(role_of_a_post(&sinyal, &reader, "5"), "member");
    assert_eq!(
        put(&sinyal, last, &["--prune"]),
        json!({
            "topic": sinyal.topic("social.communities"), "put": 0, "unchanged": 1, "removed": 0, "others": 0
        })
    );
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
    let wrong = "[[communities]]\nid = \"a\"\ntime_zone = \"Mars\"\n";
    std::fs::write(sinyal.file("communities.toml"), wrong).unwrap();
    let refused = sinyal.output(&["communities", "put", "communities.toml"]).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("communities[0].time_zone is \"Mars\""), "{refused:?}");
}

#[test]
fn a_start_waits_for_the_topic() {
    let sinyal = sinyal("communities-none", "").unwrap();
    let variables = [("SINYAL__COMMUNITIES__TOPIC", "social.communities")];
    let running = sinyal.start_with(&["run"], &variables).unwrap();
    wait_for("the log to tell", PATIENCE, || Ok(running.log().contains("waiting for the community registry"))).unwrap();
    assert!(!running.log().contains("\"running\""), "{}", running.log());
    // A broker may not show yet what was made a moment ago, and refuses to make it again.
    let apply = || Ok(sinyal.output_with(&["topics", "apply"], &variables)?.status.success());
    wait_for("the topic to be made", PATIENCE, apply).unwrap();
    wait_for("the roles", PATIENCE, || Ok(running.log().contains("\"running\""))).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
}
