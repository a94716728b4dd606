//! Somebody is erased on a real Kafka: nothing of theirs is left on any compacted topic, the aggregates are what a recount without
//! them says, and neither a replay nor a rebuild brings them back; nor what is left of them on the raw topics alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use sinyal_tests::checks::{
    by_origin, check_exactly_once, check_rows, kafka, made_up, open_windows, sinyal, wait_until_committed,
    wait_until_done,
};
use sinyal_tests::desk::check_queue_state;
use sinyal_tests::{Reader, Sinyal, wait_for};

/// What is compacted and may hold something.
const COMPACTED: [&str; 5] = [
    "social.community.changelog",
    "social.queue.state",
    "social.alerts",
    "social.community.metrics",
    "social.notify.state",
];

/// A person, and what is theirs alone.
struct Person {
    id: String,
    communities: BTreeSet<String>,
    /// Keys of what they wrote.
    identities: BTreeSet<String>,
    /// What they wrote and nobody else did, not even as a part of something longer.
    texts: BTreeSet<String>,
}

/// The member who wrote most.
fn busiest(sinyal: &Sinyal) -> Person {
    let input = std::fs::read_to_string(sinyal.file("input.jsonl")).unwrap();
    let lines: Vec<Value> = input.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let author = |line: &Value| {
        let author = &line["author"];
        author["id"].as_str().filter(|_| author["role"] != "brand").map(str::to_owned)
    };
    let mut written: BTreeMap<String, usize> = BTreeMap::new();
    lines.iter().filter_map(author).for_each(|id| *written.entry(id).or_default() += 1);
    let (id, times) = written.into_iter().max_by_key(|(_, times)| *times).unwrap();
    assert!(times > 5, "nobody wrote more than {times} times");
    let text = |line: &Value| line["text"].as_str().unwrap_or_default().to_owned();
    let field = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let is_theirs = |line: &&Value| author(line).as_ref() == Some(&id);
    let others: BTreeSet<String> = lines.iter().filter(|line| !is_theirs(line)).map(text).collect();
    let key = |line: &Value| {
        record::encode_key(&["community_id", "kind", "id"].map(|name| field(line, name)).each_ref().map(String::as_str))
    };
    let theirs = || lines.iter().filter(is_theirs);
    Person {
        communities: theirs().map(|line| field(line, "community_id")).collect(),
        identities: theirs().map(key).collect(),
        texts: theirs()
            .map(text)
            .filter(|text| text.len() > 20 && !others.iter().any(|other| other.contains(text.as_str())))
            .collect(),
        id,
    }
}

/// How many lines of the input are of them: what they wrote, what takes that back without an author, and what names them.
fn lines_of(sinyal: &Sinyal, person: &Person) -> u64 {
    let input = std::fs::read_to_string(sinyal.file("input.jsonl")).unwrap();
    let is_of = |line: &Value| {
        let is = |author: &Value| author["id"] == person.id.as_str();
        let key = record::encode_key(&["community_id", "kind", "id"].map(|name| line[name].as_str().unwrap()));
        is(&line["author"])
            || is(&line["post_author"])
            || is(&line["parent_author"])
            || line["mentions"].as_array().is_some_and(|ids| ids.iter().any(|id| id == person.id.as_str()))
            || line["author"].is_null() && person.identities.contains(&key)
    };
    input.lines().filter(|line| is_of(&serde_json::from_str(line).unwrap())).count() as u64
}

/// The author's key, by a classified record of theirs.
fn author_key(sinyal: &Sinyal, reader: &Reader, person: &Person) -> String {
    let mut found = None;
    reader
        .each(&sinyal.topic("social.interactions.classified"), Some("Classified"), |record| {
            let value = &record["value"];
            if let (Some(community), Some(id)) = (value["community_id"].as_str(), value["id"].as_str())
                && person.identities.contains(&record::encode_key(&[community, value["kind"].as_str().unwrap(), id]))
            {
                found = found.take().or(value["author_key"].as_str().map(str::to_owned));
            }
            Ok(())
        })
        .unwrap();
    found.unwrap()
}

/// Everything that a reader of these topics finds in the end: the last value of each key, as bytes.
fn last_of(sinyal: &Sinyal, reader: &Reader) -> BTreeMap<(String, i64, String), Vec<u8>> {
    let mut last = BTreeMap::new();
    for topic in COMPACTED {
        reader
            .each(&sinyal.topic(topic), None, |record| {
                let key = record["key"].as_str().unwrap_or_default().to_owned();
                let place = (topic.to_owned(), record["partition"].as_i64().unwrap(), key);
                match record["value"].as_str() {
                    Some(hex) => {
                        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
                        last.insert(place, (0..hex.len()).step_by(2).map(byte).collect());
                    }
                    None => {
                        last.remove(&place);
                    }
                }
                Ok(())
            })
            .unwrap();
    }
    last
}

/// Where anything of a person is.
fn traces(sinyal: &Sinyal, reader: &Reader, person: &Person, key: &str) -> Vec<String> {
    let hex = key.split_once(':').unwrap().1;
    let raw: Vec<u8> = (0..32).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let mut found = Vec::new();
    for ((topic, partition, key), value) in last_of(sinyal, reader) {
        let holds = |part: &[u8]| value.windows(part.len()).any(|window| window == part);
        let place = format!("{topic}:{partition} {key}");
        if key.contains(hex) || holds(hex.as_bytes()) || holds(&raw) {
            found.push(format!("the author's key: {place}"));
        }
        if person.texts.iter().any(|text| holds(text.as_bytes())) {
            found.push(format!("a text: {place}"));
        }
        if person.identities.iter().any(|identity| key.ends_with(identity.as_str()) || holds(identity.as_bytes())) {
            found.push(format!("the id of something that they wrote: {place}"));
        }
    }
    found
}

/// `sinyal erase` with the author on its standard input; its report.
fn erase(sinyal: &Sinyal, person: &Person, more: &[&str]) -> Value {
    let arguments = [&["erase", "--author", "-", "--by", "dpo", "--json"], more].concat();
    let mut command = sinyal.command(&arguments).unwrap();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{}", person.id).unwrap();
    let output = child.wait_with_output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{more:?}: {} {out} {errors}", output.status);
    assert!(!out.contains(&person.id) && !errors.contains(&person.id), "the id is shown");
    serde_json::from_str(&out).unwrap()
}

fn of_topic<'a>(report: &'a Value, topic: &str) -> &'a Value {
    report["topics"].as_array().unwrap().iter().find(|place| place["topic"].as_str().unwrap().ends_with(topic)).unwrap()
}

#[test]
fn nothing_of_a_person_is_left_and_nothing_brings_them_back() {
    let sinyal = sinyal("erasure", &open_windows()).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let mut oracle = made_up(&sinyal, 71, 3_000).unwrap();
    let person = busiest(&sinyal);
    assert!(!person.texts.is_empty());
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    let key = author_key(&sinyal, &reader, &person);
    let before = traces(&sinyal, &reader, &person, &key);
    for what in ["the author's key", "a text", "the id"] {
        assert!(before.iter().any(|found| found.starts_with(what)), "{what} is nowhere: {before:?}");
    }

    let report = erase(&sinyal, &person, &[]);
    assert_eq!((&report["executed"], &report["finished"]), (&Value::from(false), &Value::from(false)), "{report}");
    let communities: BTreeSet<String> =
        report["communities"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect();
    assert_eq!(communities, person.communities);
    assert!(of_topic(&report, "queue.state")["left"].as_u64() > Some(0), "{report}");
    assert_eq!(traces(&sinyal, &reader, &person, &key).len(), before.len(), "it only looked");

    let report = erase(&sinyal, &person, &["--execute", "--wait=5m"]);
    assert_eq!(report["finished"], true, "{report}");
    assert_eq!(of_topic(&report, "queue.state")["left"], 0);
    assert!(of_topic(&report, "interactions.classified")["found"].as_u64() > Some(5), "{report}");
    assert!(of_topic(&report, "interactions.classified")["gone_by"].as_i64() > report["at"].as_i64(), "{report}");
    assert!(of_topic(&report, "changelog")["gone_by"].as_i64() > report["at"].as_i64(), "{report}");
    assert!(of_topic(&report, "actions")["gone_by"].is_null(), "{report}");
    assert_eq!(traces(&sinyal, &reader, &person, &key), Vec::<String>::new());
    let at = report["at"].as_i64().unwrap();
    person.communities.iter().for_each(|community| oracle.erase(community, &person.id, at));
    wait_for("the aggregates to be without them", Duration::from_secs(120), || {
        Ok(check_rows(&sinyal, &reader, &oracle).is_ok())
    })
    .and_then(|()| check_rows(&sinyal, &reader, &oracle))
    .unwrap();
    check_queue_state(&sinyal, &reader, &oracle).unwrap();

    let report = erase(&sinyal, &person, &["--execute", "--wait"]);
    assert_eq!((&report["actions"], &report["finished"]), (&Value::from(0), &Value::from(true)), "{report}");

    assert_eq!(running.terminate().unwrap(), Some(0));
    kafka().reset_to_earliest(&sinyal.group("classify")).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    wait_for("everything to be classified again", Duration::from_secs(120), || {
        let mut records = 0;
        reader.each(&sinyal.topic("social.interactions.classified"), Some("Classified"), |record| {
            records += usize::from(record["value"]["origin_topic"].is_string());
            Ok(())
        })?;
        Ok(records == 2 * oracle.lines())
    })
    .unwrap();
    wait_until_committed(&sinyal, kafka(), &reader).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
    assert_eq!(traces(&sinyal, &reader, &person, &key), Vec::<String>::new(), "a replay brought them back");
    check_rows(&sinyal, &reader, &oracle).unwrap();
    check_queue_state(&sinyal, &reader, &oracle).unwrap();

    sinyal.succeed(&["reprocess", "--generation", "g2"]).unwrap();
    let rebuilt = sinyal.generation("g2");
    check_queue_state(&rebuilt, &reader, &oracle).unwrap();
    check_rows(&rebuilt, &reader, &oracle).unwrap();
}

#[test]
fn what_is_left_on_the_raw_topics_alone_is_found_and_kept_out() {
    let sinyal = sinyal("erasure-raw", &open_windows()).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let mut oracle = made_up(&sinyal, 72, 3_000).unwrap();
    let person = busiest(&sinyal);
    assert!(!person.texts.is_empty());
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    reader.write(&sinyal.topic("social.posts.raw"), &[("k".to_owned(), b"no post".to_vec())], true).unwrap();
    // The community stage never ran: there is no state, only what is classified.
    let running = sinyal.start(&["run", "--role", "classify"]).unwrap();
    let classified = sinyal.topic("social.interactions.classified");
    wait_for("everything to be classified", Duration::from_secs(120), || {
        Ok(by_origin(&reader.read(&classified, Some("Classified"))?)?.len() == oracle.lines())
    })
    .unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
    let key = author_key(&sinyal, &reader, &person);
    sinyal.succeed(&["reprocess", "--generation", "g1"]).unwrap();
    assert!(
        !traces(&sinyal.generation("g1"), &reader, &person, &key).is_empty(),
        "a rebuild brings nobody back anyhow"
    );

    // As its retention would, before that of the raw topics.
    for partition in 0..6 {
        let (first, end) = kafka().offsets(&classified, partition).unwrap();
        if first < end {
            kafka().delete_records(&classified, partition, end).unwrap();
        }
    }
    let report = erase(&sinyal, &person, &["--no-raw"]);
    assert_eq!((&report["actions"], &report["raw_searched"]), (&Value::from(0), &Value::from(false)), "{report}");
    assert!(of_topic(&report, "posts.raw")["found"].is_null(), "{report}");
    assert!(of_topic(&report, "comments.raw")["found"].is_null(), "{report}");

    let report = erase(&sinyal, &person, &[]);
    let communities: BTreeSet<String> =
        report["communities"].as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect();
    assert_eq!(communities, person.communities, "{report}");
    let (posts, comments) = (of_topic(&report, "posts.raw"), of_topic(&report, "comments.raw"));
    let found = posts["found"].as_u64().unwrap() + comments["found"].as_u64().unwrap();
    assert_eq!(found, lines_of(&sinyal, &person), "{report}");
    assert_eq!((&posts["unreadable"], &comments["unreadable"]), (&Value::from(1), &Value::from(0)), "{report}");
    assert_eq!(of_topic(&report, "interactions.classified")["found"], 0, "{report}");
    assert_eq!(report["actions"], person.communities.len(), "{report}");

    let report = erase(&sinyal, &person, &["--execute"]);
    assert_eq!(report["actions"], person.communities.len(), "{report}");
    let at = report["at"].as_i64().unwrap();
    person.communities.iter().for_each(|community| oracle.erase(community, &person.id, at));
    sinyal.succeed(&["reprocess", "--generation", "g2"]).unwrap();
    let rebuilt = sinyal.generation("g2");
    assert_eq!(traces(&rebuilt, &reader, &person, &key), Vec::<String>::new(), "a rebuild brought them back");
    check_queue_state(&rebuilt, &reader, &oracle).unwrap();
    check_rows(&rebuilt, &reader, &oracle).unwrap();
}
