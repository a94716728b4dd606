//! Stories, told to the judge by a clock of their own.

use super::*;

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A midnight.
const START: EpochMs = 1_767_571_200_000 / DAY * DAY;

pub(super) fn settings() -> Settings {
    Settings {
        begin_ms: 30 * SECOND,
        end_ms: 60 * SECOND,
        lag_ms: 60 * SECOND,
        held_ms: 60 * SECOND,
        silent_ms: 15 * MINUTE,
        silent_factor: 4.0,
        silent_unlearned_ms: 6 * HOUR,
        share_window_ms: 10 * MINUTE,
        records_min: 100,
        late_share: 0.1,
        dead_letter_share: 0.05,
        abstained_share: 0.5,
        deep_answered_share: 0.1,
        hold_ms_max: 5 * MINUTE,
        history_ms: DAY,
        canary_late_ms: 120 * SECOND,
        gap_ms_max: 30 * SECOND,
    }
}

/// A pipeline of two raw topics, one of one partition and one of two, looked at every five seconds.
struct World {
    judge: Judge,
    seen: Observation,
}

fn at(topic: &str, partition: i32) -> At {
    At { topic: topic.into(), partition }
}

impl World {
    fn new() -> World {
        let input = |topic, partition| InputSeen { at: at(topic, partition), end: 10, committed: 10 };
        let classify = vec![input("posts", 0), input("comments", 0), input("comments", 1)];
        let seen =
            Observation { now: START, classify, community: vec![input("classified", 0)], ..Observation::default() };
        World { judge: Judge::new(settings()), seen }
    }

    /// Something comes into every raw partition.
    fn crawl(&mut self) {
        self.seen.classify.iter_mut().for_each(|input| input.end += 3);
    }

    fn classify(&mut self) {
        let mut written = 0;
        for input in &mut self.seen.classify {
            written += input.end - input.committed;
            self.seen.counts.consumed += u64::try_from(input.end - input.committed).unwrap();
            input.committed = input.end;
            let said = Said {
                heard_at: self.seen.now,
                position: input.end,
                largest_event_time: Some(self.seen.now - SECOND),
                caught_up: true,
            };
            self.seen.said.insert(input.at.clone(), said);
        }
        self.seen.community[0].end += written + 1;
    }

    fn aggregate(&mut self) {
        self.seen.community[0].committed = self.seen.community[0].end;
    }

    /// Goes on for a while with this each five seconds; the last verdict.
    fn go(&mut self, time: i64, mut each: impl FnMut(&mut World)) -> Verdict {
        let mut verdict = Verdict::default();
        for _ in 0..time / (5 * SECOND) {
            self.seen.now += 5 * SECOND;
            self.seen.counts = Counts::default();
            each(self);
            verdict = self.judge.observe(&self.seen);
        }
        verdict
    }
}

fn all_well(world: &mut World) {
    world.crawl();
    world.classify();
    world.aggregate();
}

fn kinds(verdict: &Verdict) -> Vec<&'static str> {
    verdict.blind.iter().map(|condition| condition.kind.as_str()).collect()
}

#[track_caller]
fn check(verdict: &Verdict, expected: &[&str], behind: bool) {
    assert_eq!((kinds(verdict), verdict.behind.is_some()), (expected.to_vec(), behind), "{verdict:#?}");
}

#[test]
fn a_classifier_that_pauses_is_told_of_and_recovers() {
    let mut world = World::new();
    check(&world.go(10 * MINUTE, all_well), &[], false);
    let stopped = world.seen.now;
    let paused = |world: &mut World| {
        world.crawl();
        world.aggregate();
    };
    check(&world.go(60 * SECOND, paused), &[], false);
    check(&world.go(5 * SECOND, paused), &[], true);
    let verdict = world.go(30 * SECOND, paused);
    check(&verdict, &["lag", "held_watermark"], true);
    for condition in &verdict.blind {
        assert!((condition.since - stopped).abs() <= 5 * SECOND, "{condition:?} {stopped}");
    }
    assert!(verdict.blind[0].detail_en.starts_with("The classify stage is 171 records behind"), "{verdict:#?}");
    assert!(verdict.blind[1].detail_en.contains("3 of 3 raw partitions (comments:0, comments:1, posts:0)"));
    assert!(verdict.blind[1].detail_id.contains("3 dari 3 partisi mentah"));
    // It is up again, and works off what is there in bits: told to be behind until all has come through both stages.
    let in_bits = |world: &mut World| {
        world.crawl();
        for input in &mut world.seen.classify {
            input.committed = (input.committed + 30).min(input.end);
            let said = world.seen.said.get_mut(&input.at).unwrap();
            *said = Said {
                heard_at: world.seen.now,
                position: input.committed,
                largest_event_time: said.largest_event_time.map(|time| time + 30 * SECOND),
                caught_up: input.committed == input.end,
            };
        }
        world.seen.community[0].end += 30;
        world.seen.community[0].committed = world.seen.community[0].end - 15;
    };
    check(&world.go(5 * SECOND, in_bits), &["lag", "held_watermark"], true);
    check(&world.go(20 * SECOND, in_bits), &["lag", "held_watermark"], false);
    check(&world.go(60 * SECOND, in_bits), &[], false);
}

#[test]
fn after_a_replay_it_is_behind_until_both_stages_are_through() {
    let mut world = World::new();
    check(&world.go(5 * MINUTE, all_well), &[], false);
    // The classify group's offsets are set back; the classified topic grows by what it writes again.
    world.seen.classify.iter_mut().for_each(|input| input.committed = 0);
    let replays = |world: &mut World| {
        world.seen.classify.iter_mut().for_each(|input| input.committed += 20);
        world.seen.said.values_mut().for_each(|said| said.heard_at = world.seen.now);
        world.seen.community[0].end += 60;
        world.aggregate();
    };
    check(&world.go(5 * SECOND, replays), &[], true);
    check(&world.go(20 * SECOND, replays), &[], true);
    // The first stage is through and the second is not, by ten records of the last few seconds.
    let verdict = world.go(5 * SECOND, |world| {
        world.classify();
        world.seen.community[0].committed = world.seen.community[0].end - 10;
    });
    check(&verdict, &[], true);
    assert!(verdict.behind.unwrap().contains("community stage has yet to read 10 records"));
    check(&world.go(5 * SECOND, all_well), &[], false);
}

#[test]
fn at_its_start_and_after_an_outage_of_brokers_it_waits_for_what_is_there() {
    let mut world = World::new();
    world.seen.classify[0].committed = 4;
    let verdict = world.go(5 * SECOND, |_| {});
    check(&verdict, &[], true);
    assert!(verdict.behind.unwrap().contains("classify stage has yet to read 6 records"));
    check(&world.go(5 * SECOND, all_well), &[], false);
    // Nobody looked for an hour: that what came in meanwhile is not read is seen at once, not after `lag_ms`.
    world.seen.now += HOUR;
    world.crawl();
    check(&world.go(5 * SECOND, |_| {}), &[], true);
    check(&world.go(5 * SECOND, all_well), &[], false);
}

#[test]
fn what_was_known_of_the_ends_before_counts_at_once() {
    let mut world = World::new();
    world.judge = Judge::new(Settings { begin_ms: 0, ..settings() });
    world.seen.classify[0].committed = 4;
    let ends = BTreeMap::from([(at("posts", 0), 8)]);
    world.judge.ends_were(START - 61 * SECOND, ends);
    check(&world.go(5 * SECOND, |world| world.seen.classify[0].end += 1), &["lag"], true);
}

#[test]
fn a_community_stage_that_stops_is_told_of_by_its_name() {
    let mut world = World::new();
    check(&world.go(5 * MINUTE, all_well), &[], false);
    let verdict = world.go(2 * MINUTE, |world| {
        world.crawl();
        world.classify();
    });
    check(&verdict, &["lag"], true);
    assert!(verdict.blind[0].detail_en.starts_with("The community stage"), "{verdict:#?}");
    assert!(verdict.blind[0].detail_id.starts_with("Tahap community"), "{verdict:#?}");
}

#[test]
fn a_partition_that_nobody_speaks_of_or_that_stands_still_holds_event_time() {
    let mut world = World::new();
    check(&world.go(5 * MINUTE, all_well), &[], false);
    let without_owner = |world: &mut World| {
        let before = world.seen.said[&at("comments", 1)];
        all_well(world);
        world.seen.said.insert(at("comments", 1), before);
    };
    let verdict = world.go(2 * MINUTE, without_owner);
    check(&verdict, &["held_watermark"], true);
    assert!(verdict.blind[0].detail_en.contains("1 of 3 raw partitions (comments:1)"), "{verdict:#?}");
    check(&world.go(5 * SECOND, all_well), &["held_watermark"], false);
    check(&world.go(60 * SECOND, all_well), &[], false);
    // It is spoken of, and not at its end, and does not get on.
    let stuck = world.seen.classify[2].end;
    let verdict = world.go(2 * MINUTE, |world| {
        all_well(world);
        let said = world.seen.said.get_mut(&at("comments", 1)).unwrap();
        (said.position, said.caught_up) = (stuck, false);
    });
    check(&verdict, &["held_watermark"], true);
    assert!(verdict.blind[0].detail_en.contains("have not got on"), "{verdict:#?}");
    check(&world.go(2 * MINUTE, all_well), &[], false);
    // It gets on, and what it brings is of long ago.
    let verdict = world.go(2 * MINUTE, |world| {
        all_well(world);
        let said = world.seen.said.get_mut(&at("comments", 1)).unwrap();
        (said.largest_event_time, said.caught_up) = (Some(START - DAY), false);
    });
    check(&verdict, &["held_watermark"], true);
    assert!(verdict.blind[0].detail_en.contains("comments:1 bring nothing newer"), "{verdict:#?}");
}

#[test]
fn a_flood_of_poison_is_told_of_and_a_few_bad_records_are_not() {
    let mut world = World::new();
    let with_letters = |letters: u64| {
        move |world: &mut World| {
            all_well(world);
            world.seen.counts.dead_letters = letters;
        }
    };
    check(&world.go(DAY / 24, all_well), &[], false);
    // Nine records each time: one in 36 are bad.
    let mut turn = 0_u64;
    let few = |world: &mut World| {
        turn += 1;
        with_letters(u64::from(turn.is_multiple_of(4)))(world);
    };
    check(&world.go(HOUR, few), &[], false);
    let verdict = world.go(5 * MINUTE, with_letters(8));
    check(&verdict, &["dead_letters"], false);
    assert!(verdict.blind[0].detail_en.contains("of what was read) could not be used"), "{verdict:#?}");
    check(&world.go(12 * MINUTE, all_well), &[], false);
    // A few records at night, all of them bad: too few to say anything.
    let mut night = World::new();
    let verdict = night.go(HOUR, |world| {
        world.classify();
        world.aggregate();
        if world.seen.now % (10 * MINUTE) == 0 {
            world.seen.counts.dead_letters = 5;
        }
    });
    check(&verdict, &[], false);
}

#[test]
fn shares_of_the_classifier_and_of_late_interactions() {
    let count = |counts: Counts| {
        let mut world = World::new();
        let each = |world: &mut World| {
            all_well(world);
            world.seen.counts = Counts { consumed: 9, ..counts };
        };
        kinds(&world.go(10 * MINUTE, each))
    };
    let sampled =
        Counts { sampled: 10, abstained: 4, deep: 1, deep_skipped: 2, in_rows: 10.0, late: 0.5, ..Counts::default() };
    assert!(count(sampled).is_empty());
    assert_eq!(count(Counts { abstained: 5, ..sampled }), ["abstention"]);
    assert_eq!(count(Counts { deep: 0, ..sampled }), ["degraded_classifier"]);
    assert_eq!(count(Counts { deep: 0, deep_skipped: 0, never_asked: 3, ..sampled }), ["degraded_classifier"]);
    assert!(count(Counts { deep: 0, deep_skipped: 0, never_asked: 0, ..sampled }).is_empty(), "there is no deep tier");
    assert_eq!(count(Counts { late: 1.0, ..sampled }), ["late"]);
    assert!(count(Counts { sampled: 0, abstained: 0, in_rows: 0.1, late: 0.1, ..sampled }).is_empty(), "too few");
}

#[test]
fn a_silent_source_stays_silent_though_its_log_grows_by_canaries() {
    let mut world = World::new();
    world.judge = Judge::new(Settings { silent_ms: MINUTE, silent_unlearned_ms: MINUTE, ..settings() });
    let mut spoken = 0;
    let everybody = |world: &mut World, spoken: i64| {
        all_well(world);
        world.seen.spoken = world.seen.classify.iter().map(|input| (input.at.clone(), spoken)).collect();
    };
    let verdict = world.go(10 * MINUTE, |world| {
        spoken += 1;
        everybody(world, spoken);
    });
    check(&verdict, &[], false);
    // Canaries go on, everywhere, and posts do.
    let posts = |world: &mut World| {
        everybody(world, spoken);
        let more = world.seen.spoken.get_mut(&at("posts", 0)).unwrap();
        *more += world.seen.now / (5 * SECOND);
    };
    let verdict = world.go(3 * MINUTE, posts);
    check(&verdict, &["silent_source"], false);
    assert!(verdict.blind[0].detail_en.contains("into comments for 3 min"), "{verdict:#?}");
    // What was learned of its days is not believed any more; that it is silent is.
    world.judge.unlearn(&"comments".into());
    check(&world.go(MINUTE, posts), &["silent_source"], false);
}

/// When something comes, of a source that is at work from six in the morning to midnight, every two minutes and at random.
fn days(from: i64, to: i64) -> Vec<EpochMs> {
    let mut arrivals = Vec::new();
    let mut dice = 7_u64;
    for day in from..to {
        let mut time = START + day * DAY + 6 * HOUR;
        while time < START + (day + 1) * DAY {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            time += 30 * SECOND + (dice >> 33) as i64 % (3 * MINUTE);
            arrivals.push(time);
        }
    }
    arrivals
}

/// When a source that goes on from midnight of day 14 is told to be silent, if it is, in milliseconds from there; one that speaks at
/// these times.
fn silent_at(mut judge: Judge, speaks: &[EpochMs], until: i64) -> Option<i64> {
    let mut input = InputSeen { at: at("posts", 0), end: 10, committed: 10 };
    let said = Said { heard_at: 0, position: 0, largest_event_time: None, caught_up: true };
    let begin = START + 14 * DAY;
    let mut now = begin;
    while now < begin + until {
        now += 5 * SECOND;
        let came = speaks.iter().filter(|time| (now - 5 * SECOND..now).contains(*time)).count();
        input.end += i64::try_from(came).unwrap();
        input.committed = input.end;
        let said = BTreeMap::from([(input.at.clone(), Said { heard_at: now, ..said })]);
        let seen = Observation { now, classify: vec![input.clone()], said, ..Observation::default() };
        if kinds(&judge.observe(&seen)) == ["silent_source"] {
            return Some(now - begin);
        }
    }
    None
}

fn learned(days: &[EpochMs]) -> Judge {
    let mut judge = Judge::new(settings());
    judge.learn(&"posts".into(), None, days);
    judge.learn(&"posts".into(), Some(0), days);
    judge
}

#[test]
fn the_quiet_of_the_night_is_usual() {
    assert_eq!(silent_at(learned(&days(0, 14)), &days(14, 16), 47 * HOUR), None);
}

#[test]
fn a_crawler_that_stops_by_day_is_told_of_soon_and_one_that_stops_by_night_in_the_morning() {
    // At ten in the morning: a quarter of an hour is the least.
    let by_day: Vec<EpochMs> = days(14, 15).into_iter().filter(|time| *time < START + 14 * DAY + 10 * HOUR).collect();
    let told = silent_at(learned(&days(0, 14)), &by_day, 20 * HOUR).unwrap();
    assert!((10 * HOUR + 14 * MINUTE..10 * HOUR + 20 * MINUTE).contains(&told), "{told}");
    // In the night: by the first hour in which something always comes.
    let told = silent_at(learned(&days(0, 14)), &[], 20 * HOUR).unwrap();
    assert!((6 * HOUR..7 * HOUR + 20 * MINUTE).contains(&told), "{told}");
}

#[test]
fn outages_and_the_first_days_are_not_learned_from() {
    // Two days of fourteen without a word.
    let with_outage: Vec<EpochMs> =
        days(0, 14).into_iter().filter(|time| !(START + 4 * DAY..START + 6 * DAY).contains(time)).collect();
    let by_day: Vec<EpochMs> = days(14, 15).into_iter().filter(|time| *time < START + 14 * DAY + 10 * HOUR).collect();
    let told = silent_at(learned(&with_outage), &by_day, 20 * HOUR).unwrap();
    assert!((10 * HOUR + 14 * MINUTE..10 * HOUR + 20 * MINUTE).contains(&told), "{told}");
    // Of yesterday and today nothing is concluded: six hours.
    let told = silent_at(learned(&days(13, 14)), &by_day, 20 * HOUR).unwrap();
    assert!((15 * HOUR + 55 * MINUTE..16 * HOUR + 5 * MINUTE).contains(&told), "{told}");
}

#[test]
fn a_source_that_comes_in_batches_is_judged_by_its_batches() {
    let every = |from: i64, to: i64| -> Vec<EpochMs> {
        (0..(to - from) * 48).map(|number| START + from * DAY + number * 30 * MINUTE + MINUTE).collect()
    };
    assert_eq!(silent_at(learned(&every(0, 14)), &every(14, 15), 23 * HOUR), None);
    let stops: Vec<EpochMs> = every(14, 15).into_iter().filter(|time| *time < START + 14 * DAY + 10 * HOUR).collect();
    let told = silent_at(learned(&every(0, 14)), &stops, 23 * HOUR).unwrap();
    assert!((11 * HOUR + 25 * MINUTE..11 * HOUR + 40 * MINUTE).contains(&told), "four times half an hour: {told}");
}

#[test]
fn a_silent_topic_is_told_of_as_one_and_a_partition_by_its_number_and_one_without_data_never() {
    let mut world = World::new();
    world.seen.classify[1].end = 0;
    world.seen.classify[1].committed = 0;
    let posts_only = |world: &mut World| {
        world.seen.classify[0].end += 3;
        world.classify();
        world.aggregate();
    };
    let verdict = world.go(7 * HOUR, posts_only);
    check(&verdict, &["silent_source"], false);
    assert!(verdict.blind[0].detail_en.starts_with("Nothing has come into comments for 6 h"), "{verdict:#?}");
    assert!(verdict.blind[0].detail_id.starts_with("Tidak ada yang masuk ke comments selama 6 jam"), "{verdict:#?}");
    check(&world.go(2 * MINUTE, all_well), &[], false);
    let verdict = world.go(7 * HOUR, |world| {
        world.seen.classify[0].end += 3;
        world.seen.classify[1].end += 3;
        world.classify();
        world.aggregate();
    });
    check(&verdict, &["silent_source"], false);
    assert!(verdict.blind[0].detail_en.starts_with("Nothing has come into comments:1 for"), "{verdict:#?}");
    let mut empty = World::new();
    for input in &mut empty.seen.classify {
        (input.end, input.committed) = (0, 0);
    }
    let verdict = empty.go(DAY, |world| {
        world.classify();
        world.aggregate();
    });
    check(&verdict, &[], false);
}

#[test]
fn random_arrivals_once_an_hour_are_rarely_called_silent() {
    // Exponential gaps by inversion, seeded; ten years of fourteen-day histories would be long: 400 days, learned as they go.
    let mut silences = silence_of_one();
    let mut dice = 20_251_126_u64;
    let mut time = START;
    let mut told = 0;
    for _ in 0..400 * 24 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let uniform = ((dice >> 11) as f64 + 1.0) / (1_u64 << 53) as f64;
        time += (-uniform.ln() * HOUR as f64) as i64;
        told += u32::from(silences(time));
    }
    assert!(told <= 2, "{told} of 9600 silences");
}

/// One partition; gives whether it was called silent just before something came at this time.
fn silence_of_one() -> impl FnMut(EpochMs) -> bool {
    let settings = settings();
    let mut silences = Silences::default();
    let mut input = InputSeen { at: at("posts", 0), end: 10, committed: 10 };
    move |time| {
        let seen =
            |now, input: &InputSeen| Observation { now, classify: vec![input.clone()], ..Observation::default() };
        let silent = silences.observe(&seen(time - 1, &input), &settings, false).is_some();
        input.end += 1;
        silences.observe(&seen(time, &input), &settings, false);
        silent
    }
}

#[test]
fn a_start_is_behind_until_it_has_seen_all_go_through_but_says_nothing_of_the_past() {
    let mut world = World::new();
    world.seen.classify[0].committed = 4;
    let verdict = world.go(5 * SECOND, |_| {});
    assert!(verdict.behind.is_some() && !verdict.lags, "{verdict:#?}");
    // What was there a minute ago is found to be unread: once may be a marker of a transaction, twice is a lag.
    let mut lagging = World::new();
    lagging.judge.ends_were(START - 61 * SECOND, BTreeMap::from([(at("posts", 0), 8)]));
    lagging.seen.classify[0].committed = 4;
    assert!(!lagging.go(5 * SECOND, |_| {}).lags);
    assert!(lagging.go(5 * SECOND, |_| {}).lags);
    lagging.seen.classify[0].committed = 9;
    let verdict = lagging.go(5 * SECOND, |_| {});
    assert!(verdict.behind.is_some() && verdict.lags, "until it has caught up: {verdict:#?}");
    let verdict = lagging.go(5 * SECOND, all_well);
    assert!(verdict.behind.is_none() && !verdict.lags, "{verdict:#?}");
}

#[test]
fn it_is_settled_once_it_has_learned_and_looked_for_a_while() {
    let mut world = World::new();
    assert!(!world.go(5 * MINUTE, all_well).settled, "nothing was learned");
    world.judge.has_learned();
    assert!(world.go(5 * SECOND, all_well).settled);
    let mut world = World::new();
    world.judge.has_learned();
    assert!(!world.go(30 * SECOND, all_well).settled);
    assert!(world.go(5 * SECOND, all_well).settled);
}

#[test]
fn history_that_is_read_in_time_is_behind_all_the_same() {
    let mut world = World::new();
    check(&world.go(MINUTE, all_well), &[], false);
    let mut old = World::new();
    let mut event_time = START - 400 * DAY;
    let mut ingest = |world: &mut World| {
        all_well(world);
        event_time += HOUR;
        world.seen.said.values_mut().for_each(|said| said.largest_event_time = Some(event_time));
    };
    let verdict = old.go(5 * MINUTE, &mut ingest);
    check(&verdict, &[], true);
    assert!(verdict.lags && verdict.behind.unwrap().contains("history is read"));
    // It ends, a year ago: nothing moves, and nothing is behind.
    let said = old.seen.said.clone();
    let verdict = old.go(2 * MINUTE, |world| {
        all_well(world);
        let times = said.iter().map(|(at, said)| (at.clone(), said.largest_event_time));
        for (at, time) in times.collect::<Vec<_>>() {
            world.seen.said.get_mut(&at).unwrap().largest_event_time = time;
        }
    });
    check(&verdict, &[], false);
}

#[test]
fn a_source_that_holds_event_time_for_long_closes_the_gate_no_more() {
    let mut world = World::new();
    check(&world.go(5 * MINUTE, all_well), &[], false);
    let (end, said) = (world.seen.classify[2].committed, world.seen.said[&at("comments", 1)]);
    let without_one = |world: &mut World| {
        all_well(world);
        world.seen.classify[2].committed = end;
        world.seen.said.insert(at("comments", 1), said);
    };
    check(&world.go(4 * MINUTE, without_one), &["lag", "held_watermark"], true);
    check(&world.go(2 * MINUTE, without_one), &["lag", "held_watermark"], false);
    // All of them: nothing goes on.
    let verdict = world.go(10 * MINUTE, |world| world.crawl());
    assert!(verdict.behind.is_some(), "{verdict:#?}");
    // It is back, and has much to read.
    let verdict = world.go(5 * SECOND, |world| {
        all_well(world);
        world.seen.classify[2].committed = end + 1;
    });
    assert!(verdict.behind.is_some() && verdict.lags, "{verdict:#?}");
}

#[test]
fn a_retired_source_is_no_silence() {
    let mut world = World::new();
    world.judge = learned(&days(0, 14));
    let first_only = |world: &mut World| {
        world.seen.classify[1].end += 3;
        world.seen.classify[2].end += 3;
        world.classify();
        world.aggregate();
    };
    world.seen.now = START + 14 * DAY;
    check(&world.go(12 * HOUR, first_only), &["silent_source"], false);
    // Nobody looks for days.
    world.seen.now += 13 * DAY;
    check(&world.go(2 * MINUTE, first_only), &["silent_source"], false);
    world.seen.now += 18 * HOUR;
    check(&world.go(2 * MINUTE, first_only), &[], false);
}
