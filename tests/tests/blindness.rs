//! Whether the pipeline's own blindness is told, on a real Kafka: of a stage that stops, of a crawler that stops, of poison.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kafka_io::Connection;
use kafka_io::feed::Feed;
use serde_json::{Value, json};
use sinyal_tests::checks::sinyal;
use sinyal_tests::{Sinyal, wait_for};

/// Everything within seconds; heartbeats of replicas come every five.
const SHORT: &str = "raw.format = \"json\"\ntopics.raw_partitions = 2\ntopics.partitions = 2\n\
    [blindness]\ninterval_ms = 500\nbegin_ms = 500\nend_ms = 1000\nlag_ms = 3000\nheld_ms = 6000\nsilent_ms = 4000\n\
    silent_unlearned_ms = 4000\n";

/// Two crawlers, each of which writes some records a second to every partition of its topic until it is told to stop.
struct Crawlers {
    posts: Arc<AtomicBool>,
    comments: Arc<AtomicBool>,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Crawlers {
    fn start(sinyal: &Sinyal) -> Crawlers {
        let on = || Arc::new(AtomicBool::new(true));
        let (posts, comments, ends) = (on(), on(), Arc::new(AtomicBool::new(false)));
        let topics = [
            (sinyal.topic("social.posts.raw"), "post", Arc::clone(&posts)),
            (sinyal.topic("social.comments.raw"), "comment", Arc::clone(&comments)),
        ];
        let (feed, ended) = (feed(sinyal), Arc::clone(&ends));
        let thread = std::thread::spawn(move || {
            for number in 0_u64.. {
                if ended.load(Ordering::Relaxed) {
                    break;
                }
                for (topic, kind, crawls) in &topics {
                    if crawls.load(Ordering::Relaxed) {
                        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
                        let record = json!({
                            "kind": kind, "id": format!("{number}"), "community_id": "warga-kota", "post_id": "1",
                            "author": {"id": "a", "role": "member"}, "created_at": now, "observed_at": now,
                            "text": "paketnya belum sampai juga, kecewa",
                        });
                        feed.send(
                            topic,
                            Some(number.to_string().as_bytes()),
                            Some(record.to_string().as_bytes()),
                            None,
                        )
                        .unwrap();
                    }
                }
                feed.rest(Duration::from_millis(50));
                std::thread::sleep(Duration::from_millis(50));
            }
            feed.flush(Duration::from_secs(10)).unwrap();
        });
        Crawlers { posts, comments, ends, thread: Some(thread) }
    }
}

impl Drop for Crawlers {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn feed(sinyal: &Sinyal) -> Feed {
    let connection = Connection {
        bootstrap: sinyal.bootstrap().to_owned(),
        client_id: "crawler".to_owned(),
        properties: Vec::new(),
    };
    Feed::open(&connection, 100_000).unwrap()
}

/// What `sinyal status` says, and its exit code.
fn status(sinyal: &Sinyal) -> (Value, i32) {
    let output = sinyal.output(&["status", "--json", "--wait", "2"]).unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let value = serde_json::from_str(&said)
        .unwrap_or_else(|error| panic!("{error}: {said} {}", String::from_utf8_lossy(&output.stderr)));
    (value, output.status.code().unwrap())
}

fn kinds(status: &Value) -> Vec<&str> {
    status["blind"].as_array().unwrap().iter().map(|blind| blind["kind"].as_str().unwrap()).collect()
}

/// Waits until it says this; gives what it said and how long that took.
fn until(sinyal: &Sinyal, what: &str, so: impl Fn(&Value, i32) -> bool) -> (Value, Duration) {
    let begun = Instant::now();
    let mut last = (Value::Null, 0);
    let waited = wait_for(what, Duration::from_secs(30), || {
        last = status(sinyal);
        Ok(so(&last.0, last.1))
    });
    waited.unwrap_or_else(|error| panic!("{error:#}: {} {}", last.1, last.0));
    eprintln!("{what}: after {:.1} s", begun.elapsed().as_secs_f64());
    (last.0, begun.elapsed())
}

#[test]
fn what_stops_is_told_within_seconds_and_what_recovers_too() {
    let sinyal = sinyal("blind", SHORT).unwrap();
    let crawlers = Crawlers::start(&sinyal);
    let classify = sinyal.start(&["run", "--role", "classify"]).unwrap();
    let community = sinyal.start(&["run", "--role", "community"]).unwrap();
    let well = |status: &Value, code: i32| code == 0 && status["behind"].is_null() && kinds(status).is_empty();
    let (said, _) = until(&sinyal, "all to be well", well);
    assert_eq!(said["groups"][0]["partitions"].as_array().unwrap().len(), 4, "{said}");
    assert!(said["event_time"]["delay_ms"].as_i64().unwrap() < 30_000, "{said}");
    let following = sinyal.start(&["status", "--follow", "--json"]).unwrap();
    wait_for("the observer to have caught up", Duration::from_secs(10), || {
        Ok(lines(&following.log()).iter().any(|line| line["observed"] == true && line["behind"].is_null()))
    })
    .unwrap();

    classify.freeze(true);
    let (said, _) = until(&sinyal, "a frozen classifier to be told", |status, code| {
        // What was last said of each partition is a little apart.
        let all =
            || status["blind"][1]["detail_en"].as_str().is_some_and(|detail| detail.contains("4 of 4 raw partitions"));
        code == 5 && kinds(status) == ["lag", "held_watermark"] && all()
    });
    assert!(said["behind"].as_str().unwrap().contains("classify stage"), "{said}");
    assert!(said["groups"][0]["lag"].as_i64().unwrap() > 0, "{said}");
    assert_eq!(said["groups"][1]["lag"], 0, "what lies before its ends are markers: {said}");
    classify.freeze(false);
    until(&sinyal, "a classifier that goes on to have caught up", well);

    crawlers.comments.store(false, Ordering::Relaxed);
    // Posts go on: one look may come between those and their commit, but silence alone is no lag.
    let (said, _) = until(&sinyal, "a crawler that stopped to be told, and no lag", |status, _| {
        kinds(status) == ["silent_source"] && status["behind"].is_null()
    });
    let detail = said["blind"][0]["detail_en"].as_str().unwrap();
    assert!(detail.contains(&sinyal.topic("social.comments.raw")) && !detail.contains("posts"), "{detail}");
    // It waits for `begin_ms` longer than somebody who asks.
    wait_for("the observer to tell of the crawler", Duration::from_secs(10), || {
        Ok(lines(&following.log()).last().is_some_and(|line| kinds(line) == ["silent_source"]))
    })
    .unwrap();
    crawlers.comments.store(true, Ordering::Relaxed);
    until(&sinyal, "a crawler that goes on to be heard", well);

    let feed = feed(&sinyal);
    for number in 0..400 {
        feed.send(&sinyal.topic("social.posts.raw"), Some(format!("{number}").as_bytes()), Some(b"{\"id\":"), None)
            .unwrap();
    }
    feed.flush(Duration::from_secs(10)).unwrap();
    until(&sinyal, "poison to be told", |status, _| {
        kinds(status) == ["dead_letters"] && status["dead_letters"]["by_reason"]["malformed"] == 400
    });

    // What the notifier goes by has seen the same, in this order, and each once.
    wait_for("the observer to tell of poison", Duration::from_secs(10), || {
        Ok(lines(&following.log()).last().is_some_and(|line| kinds(line) == ["dead_letters"]))
    })
    .unwrap();
    let log = following.log();
    let mut told: Vec<String> = Vec::new();
    for line in lines(&log).iter().filter(|line| line["observed"] == true) {
        for kind in kinds(line) {
            if !told.iter().any(|told| told == kind) {
                told.push(kind.to_owned());
            }
        }
    }
    assert_eq!(told, ["lag", "held_watermark", "silent_source", "dead_letters"], "{log}");
    let was_behind = lines(&log).iter().any(|line| line["behind"].as_str().is_some_and(|why| why.contains("classify")));
    assert!(was_behind, "{log}");
    crawlers.posts.store(false, Ordering::Relaxed);
    drop(crawlers);
    assert_eq!(following.terminate().unwrap(), Some(0));
    assert_eq!(classify.terminate().unwrap(), Some(0));
    assert_eq!(community.terminate().unwrap(), Some(0));
}

fn lines(log: &str) -> Vec<Value> {
    log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn what_cannot_be_looked_at_has_an_exit_code_and_a_reason() {
    let nowhere = Sinyal::new("127.0.0.1:1", "nowhere", "").unwrap();
    let output = nowhere.output(&["status"]).unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no broker at 127.0.0.1:1 answered"), "{output:?}");
    let bare = Sinyal::new(&sinyal_tests::checks::kafka().bootstrap(), "bare", "").unwrap();
    let output = bare.output(&["status"]).unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("bare.social.posts.raw is missing") && said.contains("sinyal topics apply"), "{said}");
}
