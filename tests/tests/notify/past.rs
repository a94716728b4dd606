//! After being behind, while silenced, while blind: who is told what, and who is not.

use std::time::Duration;

use sinyal_tests::checks::kafka;
use sinyal_tests::{Answer, Receiver};

use crate::bench::{Bench, HOUR, encoded, id, metric, now, row, rule_id, rule_row, until, webhook};

/// Long enough for whatever would be sent wrongly to be sent.
fn let_pass() {
    std::thread::sleep(Duration::from_millis(1_200));
}

#[test]
fn after_three_hours_what_is_on_is_told_once_and_the_past_is_not() {
    let receiver = Receiver::start().unwrap();
    let bench = Bench::new("notify-past", &[webhook("hook", &receiver.url(), "")], "");
    let began = now() - 3 * HOUR;
    // One was told before it went down, and ended meanwhile.
    let running = bench.start();
    bench.write(&[row(5, "firing", 2, now())]);
    until("what was told before", &running, || receiver.taken() == [id(5, 2)]);
    assert_eq!(running.terminate().unwrap(), Some(0));
    bench.write(&[
        row(1, "pending", 1, began),
        row(1, "firing", 2, began + HOUR),
        row(2, "firing", 2, began + HOUR),
        row(2, "resolved", 3, began + 2 * HOUR),
        row(3, "firing", 2, began + HOUR),
        row(3, "acknowledged", 3, began + 2 * HOUR),
        row(4, "firing", 2, began + HOUR),
        row(4, "resolved", 3, now() - 1_000),
        row(5, "resolved", 3, began + HOUR),
    ]);
    // An alert whose transaction was aborted never was.
    let aborted = row(6, "firing", 2, now());
    let topic = bench.sinyal.topic("social.alerts");
    bench.reader.write(&topic, &[(aborted.id.to_string(), encoded(&aborted))], false).unwrap();
    bench.stands(Some("lag"), &[]);
    let running = bench.start();
    // Of each change that is told by itself, or was on for a while: 1, 2 (twice), 3 (twice), 4 (twice), 5.
    until("all of it to be read", &running, || metric(&running, "notify_waiting_notifications", &["hook"]) == 8.0);
    let_pass();
    assert_eq!(receiver.taken(), [id(5, 2)], "the pipeline is behind");
    bench.stands(None, &[]);
    until("what is on", &running, || receiver.taken().len() >= 4);
    let_pass();
    let mut told = receiver.taken().split_off(1);
    told.sort();
    assert_eq!(told, [id(1, 2), id(3, 3), id(5, 3)], "the crisis is one page, the end of what was told is told");
    assert_eq!(metric(&running, "notify_unsent_total", &["hook", "came_and_went"]), 2.0);
    // Nor after another start.
    assert_eq!(running.terminate().unwrap(), Some(0));
    let running = bench.start();
    let committed = row(7, "firing", 2, now());
    bench.reader.write(&topic, &[(committed.id.to_string(), encoded(&committed))], true).unwrap();
    until("what a transaction committed", &running, || receiver.taken().len() >= 5);
    let_pass();
    assert_eq!(receiver.taken().split_off(4), [id(7, 2)]);
    assert_eq!(metric(&running, "notify_unsent_total", &["hook", "came_and_went"]), 0.0, "counted once");
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn silences_and_blindness_hold_back_what_nobody_should_be_told() {
    let receiver = Receiver::start().unwrap();
    let bench = Bench::new("notify-hold", &[webhook("hook", &receiver.url(), "")], "");
    let since = now() - 5_000;
    bench.stands(None, &[("silent_source", since)]);
    let running = bench.start();
    let blind = format!("blind|silent_source|{since}");
    until("blindness", &running, || receiver.taken() == [format!("{blind}#1")]);
    let mut silenced = row(1, "firing", 2, now());
    silenced.silenced_until = Some(now() + 4_000);
    silenced.silenced_by = Some("sari".into());
    bench.write(&[
        silenced.clone(),
        rule_row("silence", 2, "firing", 2, now()),
        rule_row("silence", 3, "firing", 2, now()),
    ]);
    bench.write(&[rule_row("silence", 3, "resolved", 3, now())]);
    until("both to be held back", &running, || {
        let held = |why: &str| metric(&running, "notify_held_total", &["hook", why]);
        held("silenced") == 1.0 && held("inhibited") >= 1.0
    });
    let_pass();
    assert_eq!(receiver.taken().len(), 1, "{:?}", receiver.taken());
    bench.stands(None, &[]);
    until("silence to be told of, and the end of blindness", &running, || {
        let taken = receiver.taken();
        taken.contains(&rule_id("silence", 2, 2)) && taken.contains(&format!("{blind}#2"))
    });
    until("what is on after the silence of it", &running, || receiver.taken().contains(&id(1, 2)));
    assert!(now() >= silenced.silenced_until.unwrap());
    assert_eq!(receiver.taken().len(), 4, "{:?}", receiver.taken());
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn items_that_go_while_a_target_is_away_are_counted_and_the_rest_is_told() {
    let receiver = Receiver::start().unwrap();
    let more = ", alerts = false, queues = [\"complaint\"]";
    let bench =
        Bench::new("notify-gone", &[webhook("desk", &receiver.url(), more)], "notify.circuit_failures = 1000\n");
    let running = bench.start();
    let topic = bench.sinyal.topic("social.queue.complaint");
    until("it to listen", &running, || running.log().contains("partitions assigned"));
    receiver.answer(Answer::Status(503));
    bench.write_items(0..1_000);
    let waiting = || metric(&running, "notify_waiting_notifications", &["desk"]);
    until("it to hold what it may", &running, || waiting() >= 64.0);
    let_pass();
    let held = waiting() as usize;
    let mut left = 0;
    for partition in 0..2 {
        let (_, end) = kafka().offsets(&topic, partition).unwrap();
        kafka().delete_records(&topic, partition, end - 5).unwrap();
        left += 5;
    }
    receiver.answer(Answer::Status(204));
    // What it held is told, and what is left; each once.
    until("the rest", &running, || receiver.taken().len() >= held + left);
    let_pass();
    assert_eq!(receiver.taken().len(), held + left);
    assert_eq!(metric(&running, "notify_lost_items_total", &["desk"]), (1_000 - held - left) as f64);
    bench.write_items(2_000..2_010);
    until("what comes then", &running, || receiver.taken().len() == held + left + 10);
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn markers_behind_the_last_item_are_no_items_that_are_gone() {
    let receiver = Receiver::start().unwrap();
    let more = ", alerts = false, queues = [\"complaint\"]";
    let bench = Bench::new("notify-markers", &[webhook("desk", &receiver.url(), more)], "");
    let (group, topic) =
        (format!("{}.desk", bench.sinyal.group("notify")), bench.sinyal.topic("social.queue.complaint"));
    let running = bench.start();
    until("it to listen", &running, || running.log().contains("partitions assigned"));
    bench.write_in_transaction(1);
    until("the item", &running, || receiver.taken().len() == 1);
    until("all that is there to be committed", &running, || {
        let committed = bench.reader.committed(&group, &topic);
        committed.is_ok_and(|committed| committed.values().any(|at| *at == Some(2)))
    });
    assert_eq!(running.terminate().unwrap(), Some(0));
    // Retention takes all that there is.
    for partition in 0..2 {
        let (_, end) = kafka().offsets(&topic, partition).unwrap();
        kafka().delete_records(&topic, partition, end).unwrap();
    }
    let before = running_lines(&bench);
    let running = bench.start();
    until("it to listen again", &running, || running_lines(&bench) > before);
    let_pass();
    assert_eq!(metric(&running, "notify_lost_items_total", &["desk"]), 0.0);
    assert_eq!(running.terminate().unwrap(), Some(0));
}

/// How often partitions were assigned by all that ran so far.
fn running_lines(bench: &Bench) -> usize {
    bench.sinyal.log().matches("partitions assigned").count()
}
