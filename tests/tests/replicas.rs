//! Several processes on a real Kafka: partitions that move, a zombie, a namesake, state that is missing.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use kafka_io::Connection;
use kafka_io::subscription::{Heard, Subscription, SubscriptionSettings};
use sinyal_tests::checks::{
    by_origin, check_exactly_once, check_rows, classified, kafka, made_up, open_windows, sinyal, wait_until_done,
};
use sinyal_tests::{Ran, Reader, Sinyal, wait_for};

/// The same service as another replica.
fn replica(sinyal: &Sinyal, name: &str) -> Ran {
    sinyal.start_with(&["run"], &[("SINYAL__INSTANCE__ID", name)]).unwrap()
}

#[test]
fn partitions_move_between_replicas_and_nothing_is_lost_or_twice() {
    let sinyal = sinyal(
        "moved",
        &format!("kafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\n{}", open_windows()),
    )
    .unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 21, 24_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "1000"]).unwrap();
    let mut first = replica(&sinyal, "moved-a");
    wait_for("the first to work", Duration::from_secs(30), || Ok(first.committed("community")? > 1)).unwrap();
    // One comes, and takes its share.
    let mut second = replica(&sinyal, "moved-b");
    wait_for("the second to work", Duration::from_secs(60), || Ok(second.committed("community")? > 1)).unwrap();
    // One goes in order, one goes without a word.
    assert_eq!(first.terminate().unwrap(), Some(0), "{}", sinyal.log());
    let mut third = replica(&sinyal, "moved-c");
    wait_for("the third to work", Duration::from_secs(60), || Ok(third.committed("community")? > 1)).unwrap();
    second.kill();
    wait_for("the feed to end", Duration::from_secs(120), || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    assert!(third.is_running(), "{}", sinyal.log());
    assert_eq!(third.terminate().unwrap(), Some(0));
}

#[test]
fn from_one_replica_to_four_and_back_while_records_flow() {
    let sinyal = sinyal(
        "scaled",
        &format!(
            "kafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\ntopics.partitions = 4\n{}",
            open_windows()
        ),
    )
    .unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 27, 24_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "800"]).unwrap();
    let mut first = replica(&sinyal, "scaled-a");
    wait_for("the first to work", Duration::from_secs(30), || Ok(first.committed("community")? > 1)).unwrap();
    let mut others: Vec<Ran> = ["scaled-b", "scaled-c", "scaled-d"].map(|name| replica(&sinyal, name)).into();
    for other in &mut others {
        wait_for("a further one to work", Duration::from_secs(60), || Ok(other.partitions("community")? > 0)).unwrap();
    }
    wait_for("the first to have a fourth of it", Duration::from_secs(60), || Ok(first.partitions("community")? == 3))
        .unwrap();
    for other in others {
        assert_eq!(other.terminate().unwrap(), Some(0), "{}", sinyal.log());
    }
    // The group remembers them for as long as a session: then all of it is the first one's again.
    wait_for("the first to have all of it", Duration::from_secs(60), || Ok(first.partitions("community")? == 12))
        .unwrap();
    wait_for("the feed to end", Duration::from_secs(120), || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    assert_eq!(first.terminate().unwrap(), Some(0));
}

#[test]
fn a_rolling_restart_moves_no_partition() {
    let sinyal = sinyal("rolled", &open_windows()).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 28, 12_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "600"]).unwrap();
    let mut replicas: Vec<Ran> = ["rolled-a", "rolled-b"].map(|name| replica(&sinyal, name)).into();
    // In both groups: one that is still giving partitions to the second would do so after the first has gone.
    let is_shared =
        |replica: &mut Ran| Ok(replica.partitions("community")? == 9 && replica.partitions("classify")? == 6);
    for replica in &mut replicas {
        wait_for("both to work", Duration::from_secs(60), || is_shared(replica)).unwrap();
    }
    let moved = || sinyal.log().matches("partitions revoked").count();
    let before = moved();
    for name in ["rolled-a", "rolled-b"] {
        assert_eq!(replicas.remove(0).terminate().unwrap(), Some(0), "{}", sinyal.log());
        let mut again = replica(&sinyal, name);
        wait_for("it to work again", Duration::from_secs(60), || is_shared(&mut again)).unwrap();
        replicas.push(again);
    }
    assert_eq!(moved(), before, "{}", sinyal.log());
    wait_for("the feed to end", Duration::from_secs(120), || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    for replica in replicas {
        assert_eq!(replica.terminate().unwrap(), Some(0), "{}", sinyal.log());
    }
}

#[test]
fn a_zombie_that_comes_back_writes_nothing_twice() {
    let sinyal = sinyal(
        "zombie",
        &format!("kafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\n{}", open_windows()),
    )
    .unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 22, 16_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "800"]).unwrap();
    let mut first = replica(&sinyal, "zombie-a");
    let mut second = replica(&sinyal, "zombie-b");
    for replica in [&mut first, &mut second] {
        wait_for("both to work", Duration::from_secs(60), || Ok(replica.committed("community")? > 1)).unwrap();
    }
    // Longer than its session and its transactions last: its partitions are the other's meanwhile.
    first.freeze(true);
    wait_for("the other to have all of it", Duration::from_secs(60), || Ok(second.partitions("community")? == 18))
        .unwrap();
    first.freeze(false);
    wait_for("the feed to end", Duration::from_secs(120), || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    assert!(first.is_running() && second.is_running(), "{}", sinyal.log());
    for replica in [first, second] {
        assert_eq!(replica.terminate().unwrap(), Some(0), "{}", sinyal.log());
    }
}

#[test]
fn a_namesake_takes_over_and_the_other_says_so() {
    let sinyal = sinyal("namesake", "").unwrap();
    let _ = made_up(&sinyal, 23, 4_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "200"]).unwrap();
    let mut first = sinyal.start(&["run"]).unwrap();
    wait_for("the first to work", Duration::from_secs(30), || Ok(first.committed("classify")? > 1)).unwrap();
    let mut second = sinyal.start(&["run"]).unwrap();
    assert_eq!(first.wait(Duration::from_secs(60)).unwrap(), Some(3), "{}", sinyal.log());
    assert!(sinyal.log().contains("give each instance its own instance.id"), "{}", sinyal.log());
    wait_for("the second to work", Duration::from_secs(60), || Ok(second.committed("classify")? > 1)).unwrap();
    assert_eq!(second.terminate().unwrap(), Some(0));
    wait_for("the feed to end", Duration::from_secs(60), || Ok(!feeding.is_running())).unwrap();
}

#[test]
fn of_two_namesakes_of_which_one_slept_one_goes_on() {
    let times = "kafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\n";
    let sinyal = sinyal("slept", &format!("{times}{}", open_windows())).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 28, 12_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "150"]).unwrap();
    let mut first = sinyal.start(&["run"]).unwrap();
    wait_for("the first to work", Duration::from_secs(60), || Ok(first.committed("community")? > 1)).unwrap();
    first.freeze(true);
    let mut second = sinyal.start(&["run"]).unwrap();
    wait_for("the second to work", Duration::from_secs(60), || Ok(second.committed("community")? > 1)).unwrap();
    // Longer than the transaction of the first is let to be open.
    std::thread::sleep(Duration::from_secs(5));
    first.freeze(false);
    wait_for("one of them to stop", Duration::from_secs(60), || Ok(first.is_running() != second.is_running())).unwrap();
    wait_for("the feed to end", Duration::from_secs(120), || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    let (mut left, mut gone) = if first.is_running() { (first, second) } else { (second, first) };
    assert_eq!(gone.wait(Duration::from_secs(1)).unwrap(), Some(3), "{}", sinyal.log());
    assert!(left.is_running(), "{}", sinyal.log());
    assert_eq!(left.terminate().unwrap(), Some(0), "{}", sinyal.log());
}

/// What a role's member of its group is to somebody with its name.
fn namesake(sinyal: &Sinyal, name: &str, group: &str, topic: &str) -> SubscriptionSettings {
    SubscriptionSettings {
        connection: Connection {
            bootstrap: sinyal.bootstrap().to_owned(),
            client_id: "namesake".to_owned(),
            properties: Vec::new(),
        },
        group_id: group.to_owned(),
        group_instance_id: Some(name.to_owned()),
        topics: vec![sinyal.topic(topic)],
        session_timeout_ms: 20_000,
        prefetch_bytes: 1_048_576,
    }
}

fn until_heard(subscription: &mut Subscription, is_it: impl Fn(&Heard) -> bool) {
    wait_for("what is to be heard", Duration::from_secs(30), || {
        let heard = subscription.poll(Duration::from_millis(100))?;
        if let Some(Heard::Assigned(_)) = &heard {
            subscription.read_from(&[]).unwrap();
        }
        if let Some(Heard::Revoked { .. }) = &heard {
            subscription.let_go().unwrap();
        }
        Ok(heard.is_some_and(|heard| is_it(&heard)))
    })
    .unwrap();
}

#[test]
fn a_role_that_is_fenced_once_joins_again_and_loses_nothing() {
    let sinyal = sinyal("fenced", &open_windows()).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 27, 4_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "200"]).unwrap();
    let mut running = sinyal.start(&["run"]).unwrap();
    wait_for("the role to work", Duration::from_secs(60), || Ok(running.committed("community")? > 1)).unwrap();
    let settings = namesake(&sinyal, "fenced", "fenced-community", "social.interactions.classified");
    let mut once = Subscription::open(&settings).unwrap();
    until_heard(&mut once, |heard| matches!(heard, Heard::Assigned(_)));
    // A static member does not leave: for the group it is there still, as one that is gone for good.
    once.close();
    wait_for("the role to join again", Duration::from_secs(30), || {
        Ok(sinyal.log().contains("joining the group again with a new consumer"))
    })
    .unwrap();
    wait_for("the feed to end", Duration::from_secs(60), || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    assert!(running.is_running(), "{}", sinyal.log());
    // Nor is everything restored over and over until the group has answered.
    let resets = sinyal.log().matches("giving up what is not committed").count();
    assert!(resets <= 2, "{resets}: {}", sinyal.log());
    assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
}

#[test]
fn a_reader_that_is_fenced_joins_again_once_and_then_names_the_other() {
    let sinyal = sinyal("fenced-reader", "").unwrap();
    let settings = namesake(&sinyal, "reader", "fenced-reader", "social.alerts");
    let mut reader = Subscription::open(&settings).unwrap();
    until_heard(&mut reader, |heard| matches!(heard, Heard::Assigned(_)));
    let mut other = Subscription::open(&settings).unwrap();
    until_heard(&mut other, |heard| matches!(heard, Heard::Assigned(_)));
    other.close();
    until_heard(&mut reader, |heard| *heard == Heard::Revoked { lost: true });
    until_heard(&mut reader, |heard| matches!(heard, Heard::Assigned(_)));
    let mut other = Subscription::open(&settings).unwrap();
    until_heard(&mut other, |heard| matches!(heard, Heard::Assigned(_)));
    let mut told = String::new();
    wait_for("the reader to stop", Duration::from_secs(30), || {
        if let Err(error) = reader.poll(Duration::from_millis(100)) {
            told = error.to_string();
        }
        Ok(!told.is_empty())
    })
    .unwrap();
    assert!(told.contains("fenced: another process works under the same group.instance.id"), "{told}");
}

#[test]
fn at_least_once_loses_nothing_and_is_counted_once() {
    let sinyal = sinyal("least", &format!("classify.delivery = \"at_least_once\"\n{}", open_windows())).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 24, 8_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "800"]).unwrap();
    for _ in 0..3 {
        let mut running = sinyal.start(&["run"]).unwrap();
        wait_for("work to be under way", Duration::from_secs(30), || Ok(running.committed("classify")? > 3)).unwrap();
        running.kill();
    }
    let running = sinyal.start(&["run"]).unwrap();
    wait_for("the feed to end", Duration::from_secs(60), || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    assert_eq!(classified(&sinyal, &reader).unwrap(), oracle.lines());
    check_rows(&sinyal, &reader, &oracle).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn missing_state_stops_the_community_role_and_says_what_to_do() {
    let sinyal = sinyal("missing", "").unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 25, 500).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    let running = sinyal.start(&["run"]).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
    // As after a changelog that was made anew by mistake.
    let other = [("SINYAL__TOPICS__CHANGELOG", "missing.another.changelog")];
    let made = sinyal.output_with(&["topics", "apply"], &other).unwrap();
    assert!(made.status.success(), "{made:?}");
    let mut again = sinyal.start_with(&["run", "--role", "community"], &other).unwrap();
    assert_eq!(again.wait(Duration::from_secs(60)).unwrap(), Some(3), "{}", sinyal.log());
    assert!(sinyal.log().contains("state is missing"), "{}", sinyal.log());
}

#[test]
fn records_that_are_gone_are_counted_and_the_rest_is_read() {
    let sinyal = sinyal("gap", "topics.raw_partitions = 1\n").unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 26, 400).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    let running = sinyal.start(&["run", "--role", "classify"]).unwrap();
    wait_for("the first half", Duration::from_secs(60), || Ok(classified(&sinyal, &reader)? == oracle.lines()))
        .unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    let posts = sinyal.topic("social.posts.raw");
    let (_, end) = kafka().offsets(&posts, 0).unwrap();
    kafka().delete_records(&posts, 0, end - 3).unwrap();
    let running = sinyal.start(&["run", "--role", "classify"]).unwrap();
    wait_for("the rest", Duration::from_secs(60), || {
        let records = reader.read(&sinyal.topic("social.interactions.classified"), Some("Classified"))?;
        Ok(by_origin(&records)?.contains_key(&(posts.clone(), 0, end - 1)))
    })
    .unwrap();
    let metrics = running.metrics().unwrap();
    let lost = metrics.lines().find_map(|line| line.strip_prefix("sinyal_lost_records_total{stage=\"classify\"} "));
    let gone: i64 = lost.unwrap().parse().unwrap();
    assert!(gone > 0 && gone == end / 2 - 3, "{gone} of {end}");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

/// While it runs: what it was to fetch next is deleted under it.
fn goes_on_behind_what_went_while_it_ran(prefix: &str, more: &str) {
    let sinyal = sinyal(prefix, &format!("topics.raw_partitions = 1\n{more}")).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 27, 400).unwrap();
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    let mut running = sinyal.start(&["run", "--role", "classify"]).unwrap();
    wait_for("the first half", Duration::from_secs(60), || Ok(classified(&sinyal, &reader)? == oracle.lines()))
        .unwrap();
    running.freeze(true);
    sinyal.succeed(&["ingest", "input.jsonl"]).unwrap();
    let posts = sinyal.topic("social.posts.raw");
    let (_, end) = kafka().offsets(&posts, 0).unwrap();
    kafka().delete_records(&posts, 0, end - 3).unwrap();
    running.freeze(false);
    wait_for("the rest", Duration::from_secs(90), || {
        let records = reader.read(&sinyal.topic("social.interactions.classified"), Some("Classified"))?;
        Ok(by_origin(&records)?.contains_key(&(posts.clone(), 0, end - 1)))
    })
    .unwrap_or_else(|error| panic!("{error:#}: {}", running.end_of_log()));
    let metrics = running.metrics().unwrap();
    let lost = metrics.lines().find_map(|line| line.strip_prefix("sinyal_lost_records_total{stage=\"classify\"} "));
    assert!(lost.unwrap().parse::<i64>().unwrap() > 0, "{metrics}");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn records_that_go_while_it_runs_stop_nobody() {
    goes_on_behind_what_went_while_it_ran("gap-running", "");
}

#[test]
fn records_that_go_while_it_runs_stop_nobody_at_least_once() {
    goes_on_behind_what_went_while_it_ran("gap-least", "classify.delivery = \"at_least_once\"\n");
}
