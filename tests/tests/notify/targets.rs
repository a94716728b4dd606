//! Each kind of target, as it should be and as it should not.

use std::time::{Duration, Instant};

use serde_json::Value;
use sinyal_tests::checks::made_up;
use sinyal_tests::{Alertmanager, Answer, Receiver, wait_for};

use crate::bench::{Bench, SECRET, TOKEN, WHILE, id, metric, now, row, until, webhook};

/// `sinyal` and the secret, as Basic authorisation has them.
const BASIC: &str = "Basic c2lueWFsOndoc2VjX2MybHVlV0ZzTFhOcGJubGhiQzF6YVc1NVlXd3RjMmx1ZVdGc0xURXlNdz09";

fn labels_of(alerts: &[Value], state: &str) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of_state = alerts.iter().filter(|alert| alert["annotations"]["state"] == state);
    of_state.map(|alert| (text(&alert["labels"]["alertname"]), text(&alert["labels"]["severity"]))).collect()
}

#[test]
fn alertmanager_knows_what_is_on() {
    let alertmanager = Alertmanager::start().unwrap();
    let target = format!("{{ name = \"pager\", kind = \"alertmanager\", url = \"{}\" }}", alertmanager.url());
    let bench = Bench::new("notify-am", &[target], "");
    let checked = bench.sinyal.output(&["check"]).unwrap();
    let checked = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert!(checked.contains("ok    target pager: Alertmanager answers"), "{checked}");
    let running = bench.start();
    let begin = now();
    bench.write(&[row(1, "pending", 1, begin), row(1, "firing", 2, begin)]);
    let active = || alertmanager.active().unwrap();
    until("the alert", &running, || {
        labels_of(&active(), "firing") == [("SinyalComplaintSpike".into(), "warning".into())]
    });
    let alert = active().remove(0);
    assert_eq!(alert["labels"]["community"], "warga kota");
    assert_eq!(alert["labels"]["coordinated"], "false");
    assert_eq!(alert["annotations"]["notification_id"], id(1, 2));
    assert_eq!(alert["annotations"]["expected"], "4.5");
    assert_eq!(alert["generatorURL"], "https://board.example/warga");
    // It gets worse, with no change of state: the one with the old severity ends.
    let mut worse = row(1, "firing", 2, now());
    worse.severity = "critical".into();
    bench.write(&[worse.clone()]);
    until("the new severity", &running, || {
        labels_of(&active(), "firing") == [("SinyalComplaintSpike".into(), "critical".into())]
    });
    let mut taken = row(1, "acknowledged", 3, now());
    taken.severity = "critical".into();
    bench.write(&[taken]);
    until("who has taken it", &running, || {
        active().first().is_some_and(|alert| alert["annotations"]["acknowledged_by"] == "sari")
    });
    let resent = metric(&running, "notify_resent_total", &["pager"]);
    until("it to be told again", &running, || metric(&running, "notify_resent_total", &["pager"]) > resent + 1.0);
    let mut over = row(1, "resolved", 4, now());
    over.severity = "info".into();
    bench.write(&[over]);
    until("the end", &running, || active().is_empty());
    until("it to be counted", &running, || metric(&running, "notify_sent_total", &["pager"]) == 3.0);
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn a_receiver_that_fails_in_every_way_gets_everything_when_it_recovers() {
    let receiver = Receiver::start().unwrap();
    let basic = ", username = \"sinyal\", password_file = \"hook-secret\"";
    let bench =
        Bench::new("notify-fail", &[webhook("hook", &receiver.url(), basic)], "notify.circuit_failures = 1000\n");
    let running = bench.start();
    let ways = [Answer::Status(500), Answer::Hang, Answer::Reset, Answer::Status(302), Answer::TooMany(2)];
    let begin = now();
    let mut start = 1;
    for way in ways {
        receiver.answer(way);
        bench.write(&[row(start, "firing", 2, now())]);
        let tried = || receiver.deliveries().iter().filter(|delivery| delivery.answer == way).count();
        let at_least = if matches!(way, Answer::TooMany(_)) { 1 } else { 2 };
        until(&format!("attempts against {way:?}"), &running, || tried() >= at_least);
        receiver.answer(Answer::Status(204));
        until("it to recover", &running, || receiver.taken().contains(&id(start, 2)));
        start += 1;
    }
    let deliveries = receiver.deliveries();
    // `Retry-After` is kept to.
    let refused = deliveries.iter().rposition(|delivery| matches!(delivery.answer, Answer::TooMany(_))).unwrap();
    let pause = deliveries[refused + 1].at - deliveries[refused].at;
    assert!(pause >= Duration::from_millis(1_990) && pause < Duration::from_secs(6), "{pause:?}");
    // Every attempt carries the id of its notification, a time of its own and a signature over both.
    receiver.verify(SECRET).unwrap();
    for delivery in &deliveries {
        let body = delivery.json().unwrap();
        assert_eq!(body["data"]["notification_id"], delivery.id.as_str());
        assert_eq!(
            (&body["type"], &body["data"]["summary_id"]),
            (&"alert.firing".into(), &"Keluhan di warga kota naik.".into())
        );
        assert_eq!(delivery.authorization, BASIC);
        assert!(delivery.timestamp.parse::<i64>().unwrap() >= begin / 1_000);
    }
    let taken = receiver.taken();
    assert_eq!(taken, (1..start).map(|start| id(start, 2)).collect::<Vec<_>>(), "each is taken once");
    // Where it may have been taken before the repeat is counted: after 500, silence and a connection that was closed.
    assert_eq!(metric(&running, "notify_repeated_total", &["hook"]), 3.0);
    assert!(metric(&running, "notify_failed_attempts_total", &["hook"]) >= 9.0);
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn a_broken_target_makes_nobody_else_wait() {
    let (broken, well) = (Receiver::start().unwrap(), Receiver::start().unwrap());
    broken.answer(Answer::Hang);
    let targets = [webhook("broken", &broken.url(), ""), webhook("well", &well.url(), "")];
    let more = "notify.attempts_max = 2\nnotify.circuit_failures = 2\nnotify.circuit_open_ms = 1000\n";
    let bench = Bench::new("notify-broken", &targets, more);
    // All three roles in one process, as they are by default where targets are configured.
    let mut running = bench.start_roles(&["run"], "");
    let oracle = made_up(&bench.sinyal, 41, 3_000).unwrap();
    until("the broken one to be tried", &running, || {
        bench.write(&[row(100, "firing", 2, now())]);
        !broken.deliveries().is_empty()
    });
    let begun = Instant::now();
    let rows: Vec<_> = (0..60).map(|start| row(start, "firing", 2, now())).collect();
    bench.write(&rows);
    bench.sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    until("the other one to have all", &running, || well.taken().len() == rows.len() + 1);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let lines = u64::try_from(oracle.lines()).unwrap();
    wait_for("the pipeline to have read all", WHILE, || Ok(running.consumed("classify")? >= lines)).unwrap();
    until("the circuit to open", &running, || metric(&running, "notify_circuit", &["broken"]) == 2.0);
    assert_eq!(metric(&running, "notify_circuit", &["well"]), 0.0);
    assert!(metric(&running, "notify_waiting_notifications", &["broken"]) > 50.0);
    assert!(metric(&running, "notify_oldest_waiting_seconds", &["broken"]) > 0.5);
    until("a dead letter", &running, || metric(&running, "notify_dead_letters_total", &["broken"]) >= 1.0);
    let letters = bench.dead_letters();
    assert_eq!(letters[0]["sinyal.stage"], "notify");
    assert_eq!(letters[0]["sinyal.reason"], "undeliverable");
    let origin = format!("{}:", bench.sinyal.topic("social.alerts"));
    assert!(letters[0]["sinyal.origin"].as_str().unwrap().starts_with(&origin), "{}", letters[0]);
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn items_go_to_the_help_desk_and_come_back_acknowledged() {
    let receiver = Receiver::start().unwrap();
    let more = ", alerts = false, queues = [\"complaint\"], token_file = \"token-of-desk\"";
    let secret = std::env::temp_dir().join(format!("sinyal-desk-{}", std::process::id()));
    std::fs::write(&secret, "token-of-the-desk").unwrap();
    let more = more.replace("token-of-desk", secret.to_str().unwrap());
    let bench = Bench::new("notify-desk", &[webhook("desk", &receiver.url(), &more)], "");
    bench.write_items(0..3);
    let running = bench.start();
    // What was there before it was first started is not for it.
    until("it to listen", &running, || running.log().contains("partitions assigned"));
    until("all to be known", &running, || metric(&running, "notify_caught_up", &["desk"]) == 1.0);
    bench.write_items(10..110);
    bench.write(&[row(1, "firing", 2, now())]);
    until("all items", &running, || receiver.taken().len() >= 100);
    let mut taken = receiver.taken();
    taken.sort();
    let mut expected: Vec<String> = (10..110).map(|id| format!("warga|post|{id}@raw:0:{id}")).collect();
    expected.sort();
    assert_eq!(taken, expected, "items, each once, and no alert");
    receiver.verify(SECRET).unwrap();
    let first = receiver.deliveries().remove(0);
    assert_eq!(first.authorization, "Bearer token-of-the-desk");
    assert_eq!(
        (&first.json().unwrap()["type"], &first.json().unwrap()["data"]["queue"]),
        (&"queue.item".into(), &"complaint".into())
    );
    // The desk says that somebody has taken them.
    let log = running.log();
    let bound =
        log.lines().find_map(|line| serde_json::from_str::<Value>(line).ok()?["bound"].as_str().map(str::to_owned));
    let url = format!("http://{}/v1/acknowledge", bound.unwrap());
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let post = |token: &str, body: &str| {
        let sent = agent.post(&url).header("Authorization", format!("Bearer {token}")).send(body).unwrap();
        sent.status().as_u16()
    };
    let item = format!(r#"{{"id":"{}","by":"sari"}}"#, first.id);
    let alert = format!(r#"{{"id":"{}","by":"budi","reason":"known"}}"#, id(1, 2));
    assert_eq!(post("another token of the desk", &item), 401);
    assert_eq!(post("", &item), 401);
    assert_eq!(post(TOKEN, "no json"), 400);
    assert_eq!(post(TOKEN, r#"{"id":"warga","by":"sari"}"#), 422);
    assert_eq!(post(TOKEN, r#"{"id":"warga|post|1","by":""}"#), 422);
    assert_eq!((post(TOKEN, &item), post(TOKEN, &alert)), (202, 202));
    let actions = bench.reader.read(&bench.sinyal.topic("social.actions"), Some("Action")).unwrap();
    let mut actions: Vec<_> = actions
        .iter()
        .map(|action| (action["key"].clone(), action["value"]["kind"].clone(), action["value"]["target"].clone()))
        .collect();
    actions.sort_by_key(|(key, ..)| key.to_string());
    let (bare, _) = first.id.split_once('@').unwrap();
    assert_eq!(actions[0], ("warga".into(), "acknowledge".into(), bare.into()));
    assert_eq!(
        actions[1],
        ("warga%20kota".into(), "acknowledge_alert".into(), "complaint_spike|warga%20kota|1".into())
    );
    assert_eq!(running.terminate().unwrap(), Some(0));
    // What came while it was away is for it, and nothing twice.
    bench.write_items(200..210);
    let again = bench.start();
    until("what came meanwhile", &again, || receiver.taken().len() >= 110);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(receiver.taken().len(), 110);
    assert_eq!(again.terminate().unwrap(), Some(0));
    let _ = std::fs::remove_file(secret);
}
