//! Event time, case by case: what `ARCHITECTURE.md` says of it, shown by both stages.

use std::collections::BTreeMap;

use record::stage::{Input, InputPartition};
use record::{EpochMs, Outcome};
use serde_json::Value;
use window::WindowSet;

use crate::community::TEXTS;
use crate::world::{ClassifySide, CommunitySide, Kept, NOW, avro, post};

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// `watermark.disorder_ms` and `watermark.max_hold_ms` of the stage under test.
const DISORDER: i64 = 10 * SECOND;
const MAX_HOLD: i64 = 5 * MINUTE;

const POSTS_0: InputPartition = InputPartition { input: 0, partition: 0 };
const POSTS_1: InputPartition = InputPartition { input: 0, partition: 1 };
const POSTS_2: InputPartition = InputPartition { input: 0, partition: 2 };
const COMMENTS_0: InputPartition = InputPartition { input: 1, partition: 0 };
const COMMENTS_1: InputPartition = InputPartition { input: 1, partition: 1 };

/// A replica, and the raw partitions of which it reached the end.
struct Replica {
    side: ClassifySide,
    ends: BTreeMap<InputPartition, i64>,
    awake: bool,
    /// Records of a partition that it reads in a second.
    pace: usize,
}

impl Replica {
    /// It is told of what has grown, reads at its pace, and commits: as its owner does.
    fn second(&mut self, raw: &BTreeMap<InputPartition, Vec<Vec<u8>>>, now: EpochMs) -> Vec<(usize, Kept)> {
        let Replica { side, ends, pace, .. } = self;
        let log = |at: InputPartition| raw.get(&at).map_or(&[][..], |log| log);
        let owned: Vec<InputPartition> = side.positions.keys().copied().collect();
        let mut said = side.step(Input::Clock(now));
        for &at in &owned {
            if ends.get(&at).is_some_and(|&end| end < log(at).len() as i64) {
                ends.remove(&at);
                said.extend(side.step(Input::MoreToRead(&[at])));
            }
        }
        for at in owned {
            let unread = &log(at)[side.positions[&at] as usize..];
            unread.iter().take(*pace).for_each(|value| said.extend(side.raw(at, value, now)));
            let position = side.positions[&at];
            if position == log(at).len() as i64 && ends.insert(at, position) != Some(position) {
                said.extend(side.step(Input::EndOfPartition(at, position)));
            }
        }
        said.extend(side.step(Input::Flush));
        said
    }
}

/// Raw topics, replicas of the classify stage, and the community stage; all of one community.
struct Service {
    raw: BTreeMap<InputPartition, Vec<Vec<u8>>>,
    replicas: Vec<Replica>,
    side: CommunitySide,
    side_awake: bool,
    now: EpochMs,
    sent: usize,
}

impl Service {
    fn new(replicas: &[&[InputPartition]]) -> Service {
        let replicas = replicas.iter().map(|owned| Replica {
            side: ClassifySide::new(owned.iter().copied()),
            ends: BTreeMap::new(),
            awake: true,
            pace: usize::MAX,
        });
        Service {
            raw: BTreeMap::new(),
            replicas: replicas.collect(),
            side: CommunitySide::new(WindowSet::standard(), 1_000_000, 3),
            side_awake: true,
            now: NOW,
            sent: 0,
        }
    }

    /// One replica that owns everything.
    fn of_one() -> Service {
        Service::new(&[&[POSTS_0, POSTS_1, COMMENTS_0, COMMENTS_1]])
    }

    /// Two replicas with half each.
    fn of_two() -> Service {
        Service::new(&[&[POSTS_0, COMMENTS_0], &[POSTS_1, COMMENTS_1]])
    }

    /// Somebody posts at `created_at`, and the post lies in this raw partition.
    fn post(&mut self, at: InputPartition, created_at: EpochMs) {
        self.sent += 1;
        let post = post(&self.sent.to_string(), "c", created_at, TEXTS[self.sent % TEXTS.len()]);
        self.raw.entry(at).or_default().push(avro(&post));
    }

    /// A second goes by: each replica that is awake reads and commits, then the community stage does.
    fn second(&mut self) {
        self.now += SECOND;
        for replica in self.replicas.iter_mut().filter(|replica| replica.awake) {
            let said = replica.second(&self.raw, self.now);
            self.side.append(&said);
        }
        if self.side_awake {
            self.side.now = self.now;
            self.side.read();
            self.side.commit();
        }
    }

    fn seconds(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.second();
        }
    }

    /// Seconds in which people post, every five seconds in each of these partitions.
    fn busy_seconds(&mut self, seconds: i64, partitions: &[InputPartition]) {
        for second in 0..seconds {
            if second % 5 == 0 {
                for &at in partitions {
                    self.post(at, self.now);
                }
            }
            self.second();
        }
    }

    fn watermark(&self) -> EpochMs {
        self.side.watermark().unwrap()
    }

    fn row(&self, window: &str, end: EpochMs) -> Option<&Value> {
        self.side.left.rows.get(&format!("c|{window}|{end}"))
    }

    fn rows(&self, window: &str) -> impl Iterator<Item = &Value> {
        self.side.left.rows.values().filter(move |row| row["window"] == window)
    }

    fn newest(&self, window: &str) -> &Value {
        self.rows(window).max_by_key(|row| row["window_end"].as_i64()).unwrap()
    }

    /// Every record was counted in every pane that holds it, before the pane's first emission.
    fn nothing_is_late(&self) {
        let ledger = self.side.ledger();
        assert_eq!((ledger.count(Outcome::Late), ledger.count(Outcome::Dropped)), (0, 0), "{ledger:?}");
        let known: usize = self.side.stage.status().map(|status| status.ids).sum();
        assert_eq!(known, self.sent, "nothing of the raw topics is unread");
        for row in self.side.left.rows.values() {
            assert_eq!((int(row, "late"), int(row, "missed"), int(row, "revision")), (0, 0, 0), "{row}");
            assert_eq!(row["timing"], "on_time", "{row}");
        }
    }

    /// Sources that event time goes on without.
    fn left_out(&self) -> usize {
        self.side.stage.status().map(|status| status.left_out_sources).max().unwrap()
    }

    /// Every row says that all sources were heard.
    fn nothing_is_left_out(&self) {
        assert!(self.side.left.rows.values().all(|row| row["completeness"] == 1.0));
    }
}

fn int(row: &Value, field: &str) -> i64 {
    row[field].as_i64().unwrap()
}

/// How many of these come late at this watermark: the ten seconds that they belong to are over.
fn late(times: &[EpochMs], watermark: EpochMs) -> i64 {
    times.iter().filter(|&&at| at - at % DISORDER + DISORDER <= watermark).count() as i64
}

/// How many panes that would hold these are past their lateness at this watermark.
fn missed(times: &[EpochMs], watermark: EpochMs) -> i64 {
    let mut missed = 0;
    for &at in times {
        for spec in WindowSet::standard().specs() {
            let mut end = at - at % spec.slide_ms + spec.slide_ms;
            while end - spec.length_ms <= at {
                missed += i64::from(end + spec.lateness_ms <= watermark);
                end += spec.slide_ms;
            }
        }
    }
    missed
}

/// (1) Its sources hold the watermark for as long as it is at work, longer than `max_hold` too.
#[test]
fn a_replica_that_is_hours_behind_sets_the_pace() {
    let mut service = Service::of_two();
    let begin = NOW - 3 * HOUR;
    for number in 0..400 {
        service.post(POSTS_0, begin + number * 27 * SECOND);
        service.post(POSTS_1, begin + number * 27 * SECOND);
    }
    service.replicas[1].pace = 1;
    for second in 1..=399 {
        if second % 5 == 0 {
            service.post(POSTS_0, service.now);
        }
        service.second();
        let read = begin + (second - 1) * 27 * SECOND;
        assert_eq!(service.watermark(), read - DISORDER, "after {second} s: as far as the slower one has read");
    }
    let end = begin + 2 * HOUR;
    let row = service.row("1h", end).unwrap();
    assert_eq!(int(row, "interactions"), 2 * 133, "both replicas' records are in it: {row}");
    assert!(service.row("1h", NOW).is_none(), "the newer ones wait for it");
    service.seconds(3);
    assert_eq!(
        service.watermark(),
        service.now - 16 * SECOND,
        "caught up: what the faster one has read counts at once"
    );
    service.nothing_is_late();
    service.nothing_is_left_out();
}

/// (2) Whether it was at work or idle when it stopped.
#[test]
fn a_pause_of_the_only_classifier_makes_nothing_late() {
    for pause in [4 * MINUTE, 15 * MINUTE] {
        let mut service = Service::of_one();
        service.busy_seconds(60, &[POSTS_0, POSTS_1]);
        let before = service.watermark();
        service.replicas[0].awake = false;
        service.busy_seconds(pause / SECOND, &[POSTS_0, POSTS_1]);
        let stands = service.watermark();
        assert!((before..=before + 10 * SECOND).contains(&stands), "{before} {stands}: no further than its last word");
        service.replicas[0].awake = true;
        service.busy_seconds(10, &[POSTS_0, POSTS_1]);
        assert!(service.watermark() >= service.now - 15 * SECOND);
        service.seconds(6 * MINUTE / SECOND);
        assert_eq!(int(service.newest("5m"), "interactions"), 0, "and it falls to zero");
        service.nothing_is_late();
        service.nothing_is_left_out();
    }
}

/// (2) The other one's records wait for it.
#[test]
fn a_pause_of_one_classifier_of_two_makes_nothing_late() {
    let mut service = Service::of_two();
    service.busy_seconds(60, &[POSTS_0, POSTS_1]);
    let before = service.watermark();
    service.replicas[1].awake = false;
    service.busy_seconds(4 * MINUTE / SECOND, &[POSTS_0, POSTS_1]);
    let stands = service.watermark();
    assert!((before..=before + 10 * SECOND).contains(&stands), "{before} {stands}");
    service.replicas[1].awake = true;
    service.busy_seconds(10, &[POSTS_0, POSTS_1]);
    assert!(service.watermark() >= service.now - 15 * SECOND);
    service.seconds(60);
    service.nothing_is_late();
    service.nothing_is_left_out();
}

/// (2) It is the community stage that pauses, or is started anew: what it did not hear was said all the same.
#[test]
fn a_pause_of_the_community_stage_makes_nothing_late() {
    for crash in [false, true] {
        let mut service = Service::of_two();
        service.busy_seconds(60, &[POSTS_0, POSTS_1]);
        // All are idle and no pane is due soon that what comes could be counted before.
        service.seconds(20 * MINUTE / SECOND);
        service.side_awake = false;
        service.busy_seconds(30 * MINUTE / SECOND, &[POSTS_0, POSTS_1]);
        service.side_awake = true;
        if crash {
            service.side.now = service.now;
            service.side.crash();
        }
        service.busy_seconds(10, &[POSTS_0, POSTS_1]);
        assert!(service.watermark() >= service.now - 15 * SECOND);
        service.nothing_is_late();
        service.nothing_is_left_out();
    }
}

/// (3) The offsets of the classify group go back to zero, the community's state stays.
#[test]
fn a_replay_into_the_state_that_knows_it_changes_nothing() {
    let mut service = Service::of_two();
    service.busy_seconds(10 * MINUTE / SECOND, &[POSTS_0, POSTS_1]);
    let (before, rows, sent) = (service.watermark(), service.side.left.rows.clone(), service.sent);
    service.replicas[0] =
        Replica { side: ClassifySide::new([POSTS_0, COMMENTS_0]), ends: BTreeMap::new(), awake: true, pace: 2 };
    service.busy_seconds(30, &[POSTS_0, POSTS_1]);
    let stands = service.watermark();
    assert!((before..=before + 10 * SECOND).contains(&stands), "neither back nor on: {before} {stands}");
    service.busy_seconds(60, &[POSTS_0, POSTS_1]);
    assert!(service.watermark() >= service.now - 15 * SECOND);
    assert_eq!(service.side.ledger().count(Outcome::Deduplicated), sent as u64 / 2);
    assert!(rows.iter().all(|(key, row)| service.side.left.rows[key] == *row));
    service.nothing_is_late();
    service.nothing_is_left_out();
}

/// (3) Everything anew from the raw topics: partitions of other lengths, read at other paces.
#[test]
fn a_replay_into_no_state_makes_nothing_late() {
    let mut service = Service::of_two();
    for minute in 0..360 {
        service.post(POSTS_0, NOW - 6 * HOUR + minute * MINUTE);
        if minute >= 240 {
            service.post(POSTS_1, NOW - 6 * HOUR + minute * MINUTE);
        }
    }
    service.replicas[0].pace = 7;
    service.replicas[1].pace = 50;
    service.seconds(30);
    assert_eq!(service.watermark(), NOW - 6 * HOUR + (30 * 7 - 1) * MINUTE - DISORDER);
    service.seconds(30);
    assert_eq!(service.watermark(), NOW - MINUTE - DISORDER + 8 * SECOND, "the end, and on with the clock");
    let count = |end| service.row("1h", end).map(|row| int(row, "interactions"));
    assert_eq!((count(NOW - 4 * HOUR), count(NOW - HOUR)), (Some(60), Some(120)));
    service.nothing_is_late();
    service.nothing_is_left_out();
}

/// (4) It is idle from the first word on.
#[test]
fn a_partition_that_never_gets_data_holds_nothing() {
    let mut service = Service::of_one();
    for number in 0..100 {
        service.post(POSTS_0, NOW - HOUR + number * 6 * SECOND);
    }
    service.replicas[0].pace = 10;
    service.seconds(5);
    assert_eq!(service.watermark(), NOW - HOUR + 49 * 6 * SECOND - DISORDER, "as far as the only one with data");
    service.seconds(10);
    service.busy_seconds(10 * MINUTE / SECOND, &[POSTS_0]);
    assert!(service.watermark() >= service.now - 15 * SECOND);
    assert_eq!(int(service.newest("5m"), "interactions"), 60);
    service.seconds(6 * MINUTE / SECOND);
    assert_eq!(int(service.newest("5m"), "interactions"), 0);
    service.nothing_is_late();
    service.nothing_is_left_out();
}

/// (4) Nobody has posted yet, anywhere.
#[test]
fn no_data_at_all_is_no_event_time() {
    let mut service = Service::of_one();
    service.seconds(10 * MINUTE / SECOND);
    assert_eq!(service.side.watermark(), None);
    service.busy_seconds(30, &[POSTS_0]);
    assert!(service.watermark() >= service.now - 15 * SECOND);
    service.nothing_is_late();
}

/// (5) Event time went on from the end of the first file.
#[test]
fn the_second_of_two_old_files_is_late_by_the_pause() {
    let mut service = Service::of_one();
    service.seconds(5);
    let begin = NOW - 10 * DAY;
    let file = |from: EpochMs| (0..60).map(move |minute| from + minute * MINUTE);
    file(begin).for_each(|at| service.post(POSTS_0, at));
    service.second();
    let ended = begin + 59 * MINUTE - DISORDER;
    assert_eq!(service.watermark(), ended);
    service.seconds(30 * MINUTE / SECOND);
    let before = service.watermark();
    assert_eq!(before - ended, 30 * MINUTE, "at the pace of the clock, from when the end was told of");
    let zero = service.row("5m", begin + 64 * MINUTE + 10 * SECOND).unwrap().clone();
    assert_eq!(int(&zero, "interactions"), 0, "nobody posted, as far as was known");
    service.nothing_is_late();

    let second: Vec<EpochMs> = file(begin + HOUR).collect();
    second.iter().for_each(|&at| service.post(POSTS_1, at));
    service.second();
    // The clock goes on by a second before it is read.
    let (late, missed) = (late(&second, before + SECOND), missed(&second, before + SECOND));
    assert_eq!((late, missed), (29, 655), "what lies before the watermark; panes of 5 minutes past their lateness");
    service.seconds(5 * MINUTE / SECOND);
    let row = service.row("1h", begin + 2 * HOUR).unwrap();
    assert_eq!((int(row, "interactions"), int(row, "late"), int(row, "missed")), (60, late, missed), "{row}");
    assert_eq!(service.row("5m", begin + 64 * MINUTE + 10 * SECOND), Some(&zero), "closed: it stays at what it was");
    let ledger = service.side.ledger();
    assert_eq!((ledger.count(Outcome::Applied), ledger.count(Outcome::Late)), (120, 0), "longer windows are open");
    // Of before the reach of every window nothing is counted.
    file(begin - 9 * DAY).take(3).for_each(|at| service.post(POSTS_0, at));
    service.seconds(2);
    assert_eq!(service.side.ledger().count(Outcome::Dropped), 3);
}

/// (5) Without the pause, or with the later file far enough ahead, nothing is.
#[test]
fn two_old_files_without_a_pause_or_in_time_are_not_late() {
    let begin = NOW - 10 * DAY;
    let mut service = Service::of_one();
    for minute in 0..60 {
        service.post(POSTS_0, begin + minute * MINUTE);
        service.post(POSTS_1, begin + HOUR + minute * MINUTE);
    }
    service.replicas[0].pace = 5;
    service.seconds(30);
    service.seconds(10 * MINUTE / SECOND);
    for minute in 0..60 {
        service.post(POSTS_0, begin + 3 * HOUR + minute * MINUTE);
    }
    service.seconds(30);
    assert!(service.watermark() >= begin + 4 * HOUR - MINUTE - DISORDER);
    service.nothing_is_late();
}

/// (6) The community stage is told of it first: event time waits for it.
#[test]
fn a_new_partition_is_waited_for() {
    let mut service = Service::of_one();
    service.busy_seconds(60, &[POSTS_0]);
    service.side.know(&[("posts", 3), ("comments", 2)]);
    let before = service.watermark();
    service.busy_seconds(60, &[POSTS_0, POSTS_2]);
    assert_eq!(service.watermark(), before);
    service.replicas[0].side.own(POSTS_2, 0);
    service.busy_seconds(60, &[POSTS_0, POSTS_2]);
    assert!(service.watermark() >= service.now - 15 * SECOND);
    service.nothing_is_late();
    service.nothing_is_left_out();
}

/// (6) The classify stage is told of it first: it is known by what is said of it, over a restart too.
#[test]
fn a_new_partition_is_known_by_its_records() {
    let mut service = Service::of_one();
    service.busy_seconds(60, &[POSTS_0]);
    service.replicas[0].side.own(POSTS_2, 0);
    service.busy_seconds(60, &[POSTS_0, POSTS_2]);
    service.side.crash();
    service.side.know(&[("posts", 3), ("comments", 2)]);
    service.busy_seconds(60, &[POSTS_0, POSTS_2]);
    assert!(service.watermark() >= service.now - 15 * SECOND);
    service.nothing_is_late();
    service.nothing_is_left_out();
}

/// (6) Nobody reads it: event time goes on without it, and says so.
#[test]
fn a_new_partition_that_nobody_reads_is_left_out() {
    let mut service = Service::of_one();
    service.busy_seconds(60, &[POSTS_0]);
    service.side.know(&[("posts", 3), ("comments", 2)]);
    let before = service.watermark();
    service.busy_seconds(MAX_HOLD / SECOND, &[POSTS_0]);
    assert_eq!(service.watermark(), before);
    service.busy_seconds(20, &[POSTS_0]);
    assert!(service.watermark() >= service.now - 15 * SECOND);
    assert_eq!(service.newest("5m")["completeness"], 0.8, "four of five");
    assert_eq!(service.left_out(), 1);
}

/// (7) Held for `max_hold`, then left out; what it brings after that is late by as much as it stayed away.
#[test]
fn a_source_without_an_owner_holds_and_is_then_left_out() {
    let mut service = Service::of_two();
    service.busy_seconds(60, &[POSTS_0, POSTS_1]);
    let before = service.watermark();
    let gone_at = service.now;
    service.replicas[1].awake = false;
    service.busy_seconds(MAX_HOLD / SECOND - 10, &[POSTS_0, POSTS_1]);
    let stands = service.watermark();
    assert!((before..=before + 10 * SECOND).contains(&stands), "{before} {stands}");
    service.nothing_is_left_out();
    service.busy_seconds(20, &[POSTS_0, POSTS_1]);
    assert!(service.watermark() >= service.now - 15 * SECOND, "it is not waited for any longer");
    assert_eq!(service.newest("5m")["completeness"], 0.5, "two of four");
    assert_eq!(service.left_out(), 2);
    service.busy_seconds(290, &[POSTS_0, POSTS_1]);

    // The other replica takes its partitions over.
    let at_return = service.watermark();
    let position = service.replicas[1].side.positions[&POSTS_1];
    service.replicas[0].side.own(POSTS_1, position);
    service.replicas[0].side.own(COMMENTS_1, 0);
    service.busy_seconds(60, &[POSTS_0, POSTS_1]);
    assert!(service.watermark() >= service.now - 15 * SECOND);
    let times: Vec<EpochMs> = (0..).map(|n| gone_at + n * 5 * SECOND).take_while(|&at| at < at_return).collect();
    assert_eq!((service.newest("5m")["completeness"].as_f64(), service.left_out()), (Some(1.0), 0));
    let row = service.row("1h", gone_at + 10 * MINUTE).unwrap();
    let (late, missed) = (late(&times, at_return), missed(&times, at_return));
    assert_eq!((late, missed), (116, 812), "of ten minutes, those of before the watermark");
    assert_eq!((int(row, "late"), int(row, "missed")), (late, missed), "{row}");
    assert_eq!(service.side.ledger().count(Outcome::Applied), service.sent as u64, "longer windows are open");
    // Before it was left out nothing was lost.
    assert_eq!(int(service.row("5m", gone_at).unwrap(), "missed"), 0);
}

/// (7) All that is left is idle: windows fall to zero without the one that is left out.
#[test]
fn without_the_one_left_out_windows_fall_to_zero() {
    let mut service = Service::of_two();
    service.busy_seconds(60, &[POSTS_0, POSTS_1]);
    // It stops at work: there is more to read than it did.
    service.replicas[1].pace = 1;
    (0..10).for_each(|_| service.post(POSTS_1, service.now));
    service.second();
    service.replicas[1].awake = false;
    service.seconds(MAX_HOLD / SECOND - 10);
    assert!(int(service.newest("5m"), "interactions") > 0);
    service.seconds(6 * MINUTE / SECOND);
    let row = service.newest("5m");
    assert_eq!((int(row, "interactions"), row["completeness"].as_f64()), (0, Some(0.5)), "{row}");
}

/// (7) Nobody reads anything: event time stands, and no row says that it is quiet.
#[test]
fn without_any_owner_event_time_stands() {
    let mut service = Service::of_two();
    service.busy_seconds(60, &[POSTS_0, POSTS_1]);
    service.replicas.iter_mut().for_each(|replica| replica.awake = false);
    service.seconds(11);
    let (stands, emitted) = (service.watermark(), service.side.left.emitted);
    service.seconds(20 * MINUTE / SECOND);
    assert_eq!((service.watermark(), service.side.left.emitted), (stands, emitted));
    assert_eq!(service.left_out(), 4);
    service.nothing_is_left_out();
}
