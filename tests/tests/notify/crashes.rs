//! A crash at each step between a row and what is kept of it: everything is told at least once, a repeat under the same id.

use std::collections::BTreeMap;
use std::time::Duration;

use sinyal_tests::{Answer, Ran, Receiver};

use crate::bench::{Bench, SECRET, id, metric, now, row, until, webhook};

/// Each step of a notification, and how often it is come by before the crash.
const STEPS: [(&str, u32); 7] = [
    ("notify.restored", 0),
    ("notify.taken", 2),
    ("notify.intended", 1),
    ("notify.sent", 0),
    ("notify.sent", 1),
    ("notify.recorded", 1),
    ("notify.committed", 0),
];

/// It must have crashed at the point, and at no other.
fn crashed(mut ran: Ran, point: &str) {
    let code = ran.wait(Duration::from_secs(30)).unwrap_or_else(|error| panic!("{point}: {error:#}; {}", ran.log()));
    assert_eq!(code, None, "{point}: it is ended by a signal; {}", ran.log());
    assert!(ran.log().contains(&format!("\"name\":\"{point}\"")), "{point} was not come by: {}", ran.log());
}

#[test]
fn killed_at_every_step_each_change_arrives() {
    let receiver = Receiver::start().unwrap();
    let bench = Bench::new("notify-kill", &[webhook("hook", &receiver.url(), "")], "");
    let mut expected = Vec::new();
    for (start, &(point, times)) in (1..).zip(&STEPS) {
        let states = [(2, "firing"), (3, "acknowledged"), (4, "resolved")];
        bench.write(&states.map(|(transition, state)| row(start, state, transition, now())));
        expected.extend(states.map(|(transition, _)| id(start, transition)));
        crashed(bench.start_failing(&format!("{point}={times}*off->1*return(crash)")), point);
    }
    let running = bench.start();
    until("everything", &running, || expected.iter().all(|id| receiver.taken().contains(id)));
    until("nothing to wait", &running, || metric(&running, "notify_waiting_notifications", &["hook"]) == 0.0);
    let taken = receiver.taken();
    assert!(taken.iter().all(|id| expected.contains(id)), "a repeat has the id of what it repeats");
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    taken.iter().for_each(|id| *times.entry(id).or_default() += 1);
    // Two crashes came between what was sent and what was kept of it: those two are told twice, and nothing else.
    assert_eq!(taken.len(), expected.len() + 2, "{times:?}");
    // The changes of each alert come in their order.
    let mut first: Vec<&String> = Vec::new();
    taken.iter().for_each(|id| {
        if !first.contains(&id) {
            first.push(id);
        }
    });
    for start in 1..=i64::try_from(STEPS.len()).unwrap() {
        let of_one: Vec<&String> = first.iter().copied().filter(|id| id.contains(&format!("|{start}#"))).collect();
        assert_eq!(of_one, [&id(start, 2), &id(start, 3), &id(start, 4)]);
    }
    receiver.verify(SECRET).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn a_repeat_after_a_crash_is_counted() {
    let receiver = Receiver::start().unwrap();
    let bench = Bench::new("notify-twice", &[webhook("hook", &receiver.url(), "")], "");
    bench.write(&[row(1, "firing", 2, now())]);
    crashed(bench.start_failing("notify.sent=1*return(crash)"), "notify.sent");
    let running = bench.start();
    until("the repeat", &running, || receiver.taken() == [id(1, 2), id(1, 2)]);
    until("it to be counted", &running, || metric(&running, "notify_repeated_total", &["hook"]) == 1.0);
    assert_eq!(running.terminate().unwrap(), Some(0));
}

#[test]
fn killed_between_items_none_is_lost() {
    let receiver = Receiver::start().unwrap();
    let more = ", alerts = false, queues = [\"complaint\"]";
    let bench = Bench::new("notify-items", &[webhook("desk", &receiver.url(), more)], "notify.attempts_max = 2\n");
    // Its first start says where it begins.
    let first = bench.start();
    until("it to listen", &first, || first.log().contains("partitions assigned"));
    first.kill();
    bench.write_items(0..100);
    crashed(bench.start_failing("notify.item-sent=5*off->1*return(crash)"), "notify.item-sent");
    crashed(bench.start_failing("notify.item-sent=90*off->1*return(crash)"), "notify.item-sent");
    receiver.answer(Answer::Status(400));
    crashed(bench.start_failing("notify.dead-lettered=1*off->1*return(crash)"), "notify.dead-lettered");
    receiver.answer(Answer::Status(200));
    let running = bench.start();
    let missing =
        || (0..100).filter(|item| !receiver.taken().contains(&format!("warga|post|{item}@raw:0:{item}"))).count();
    // What was refused for good is a dead letter instead.
    until("every item", &running, || missing() <= 2);
    until("nothing to wait", &running, || metric(&running, "notify_waiting_notifications", &["desk"]) == 0.0);
    let letters = bench.dead_letters().len();
    assert!(missing() <= letters && letters <= 3, "{} are missing, {letters} dead letters", missing());
    assert_eq!(running.terminate().unwrap(), Some(0));
}
