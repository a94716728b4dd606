//! The alerts of a community over made-up streams: what is told, when, and that a crash changes nothing of it.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use record::EpochMs;
use rules::alerts::{
    AlertRules, AlertState, CommunityAlerts, Increments, Interval, Levels, Rule, Severity, StateKey, StateValue,
    Transition,
};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A Monday at midnight, UTC.
const START: EpochMs = 1_767_571_200_000;

fn hour_of_week(at: EpochMs) -> u8 {
    u8::try_from((at.div_euclid(HOUR) + 72).rem_euclid(168)).unwrap()
}

fn rules() -> AlertRules {
    AlertRules { step_ms: MINUTE, ..AlertRules::default() }
}

/// Small numbers at random, the same each time.
struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn poisson(&mut self, mean: f64) -> u32 {
        let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
        while product > limit {
            product *= self.unit();
            count += 1;
        }
        count
    }
}

/// A community that is stepped minute by minute, as far as something comes or it asks for it.
struct Community {
    alerts: CommunityAlerts,
    rules: AlertRules,
    random: Random,
    at: EpochMs,
    levels: Levels,
    told: Vec<Transition>,
}

impl Community {
    fn new(seed: u64) -> Community {
        let (alerts, random) = (CommunityAlerts::new(), Random(seed));
        Community { alerts, rules: rules(), random, at: START, levels: Levels::default(), told: Vec::new() }
    }

    /// So many complaints and others an hour, for so long.
    fn run(&mut self, lasts_ms: i64, complaints: f64, others: f64) {
        let end = self.at + lasts_ms;
        while self.at < end {
            let to = self.at + MINUTE;
            let complaints = self.random.poisson(complaints / 60.0);
            let (praises, rest) = (self.random.poisson(others / 300.0), self.random.poisson(others / 75.0));
            let interactions = complaints + praises + rest;
            self.step(to, Increments { interactions, complaints, tips: 0, praises });
        }
    }

    fn step(&mut self, to: EpochMs, counts: Increments) {
        let due = self.alerts.next_due().is_some_and(|due| due <= to);
        if due || !counts.is_zero() || self.at == START {
            let interval = Interval { from: self.at, to, counts, levels: self.levels };
            self.alerts.step(&self.rules, &hour_of_week, &interval, &mut |transition| self.told.push(transition));
        }
        self.at = to;
    }

    fn level(&mut self, overdue: u32) {
        self.levels = Levels { open: overdue, overdue, oldest_open_ms: i64::from(overdue) * HOUR };
        let interval =
            Interval { from: self.at, to: self.at + MINUTE, counts: Increments::default(), levels: self.levels };
        self.alerts.step(&self.rules, &hour_of_week, &interval, &mut |transition| self.told.push(transition));
        self.at += MINUTE;
    }

    /// What was told of a rule: states only.
    fn states(&self, rule: Rule) -> Vec<AlertState> {
        let of_rule = self.told.iter().filter(|transition| transition.rule == rule);
        let mut states: Vec<(EpochMs, AlertState)> = of_rule.map(|told| (told.started_at, told.state)).collect();
        states.dedup();
        states.into_iter().map(|(_, state)| state).collect()
    }

    fn firing(&self, rule: Rule) -> Option<&Transition> {
        self.told.iter().find(|transition| transition.rule == rule && transition.state == AlertState::Firing)
    }
}

#[test]
fn a_crisis_is_one_alert_that_resolves() {
    let mut community = Community::new(1);
    community.run(14 * DAY, 4.0, 20.0);
    let begins = community.at;
    assert!(community.firing(Rule::ComplaintSpike).is_none(), "{:?}", community.told);
    community.told.clear();
    community.run(3 * HOUR, 60.0, 20.0);
    community.run(DAY, 4.0, 20.0);
    let firing = *community.firing(Rule::ComplaintSpike).unwrap();
    assert!(
        (begins - 30 * MINUTE..=begins + 5 * MINUTE).contains(&firing.started_at),
        "{}",
        firing.started_at - begins
    );
    assert!(firing.at - begins <= 20 * MINUTE, "{}", firing.at - begins);
    assert!(firing.severity.pages() && firing.observed > 4.0 * firing.expected);
    let states = community.states(Rule::ComplaintSpike);
    let fired = states.iter().position(|&state| state == AlertState::Firing).unwrap();
    assert_eq!(&states[fired..fired + 2], [AlertState::Firing, AlertState::Resolved], "{:?}", community.told);
    assert!(!states[fired + 2..].contains(&AlertState::Firing));
    let of_it: Vec<&Transition> = community.told.iter().filter(|told| told.started_at == firing.started_at).collect();
    assert!(of_it.iter().any(|told| told.severity == Severity::Critical));
    let resolved = of_it.iter().find(|told| told.rule == Rule::ComplaintSpike && told.state == AlertState::Resolved);
    let after = resolved.unwrap().at - (begins + 3 * HOUR);
    assert!((30 * MINUTE..3 * HOUR).contains(&after), "{after}");
    // Newer figures come at a bounded rate, and are no new state.
    let told = of_it.iter().filter(|told| told.rule == Rule::ComplaintSpike);
    let numbers: Vec<u32> = told.map(|told| told.number).collect();
    assert!(numbers.len() < 60 && numbers.is_sorted() && numbers.iter().max() <= Some(&3), "{numbers:?}");
}

/// What came before anything was learned is no unusual traffic, whatever part of an hour history begins with.
#[test]
fn a_short_history_hides_no_crisis() {
    for quarter in 0..4 {
        let mut community = Community::new(3);
        community.rules.warm_up_ms = HOUR;
        community.at += quarter * HOUR / 4;
        community.run(2 * HOUR, 150.0, 400.0);
        assert_eq!(community.told, [], "quarter {quarter}");
        community.run(12 * MINUTE, 1_000.0, 500.0);
        assert!(community.firing(Rule::ComplaintSpike).is_some(), "quarter {quarter}: {:?}", community.told);
    }
}

#[test]
fn nothing_is_judged_before_there_is_a_baseline() {
    let mut community = Community::new(2);
    community.run(3 * DAY, 4.0, 20.0);
    community.run(3 * HOUR, 100.0, 20.0);
    community.run(DAY, 0.0, 0.0);
    assert_eq!(community.told, []);
    assert_eq!(community.alerts.next_due(), None);
}

#[test]
fn more_of_everything_is_no_complaint_spike() {
    let mut community = Community::new(3);
    community.run(14 * DAY, 4.0, 20.0);
    for hour in 0..24 {
        let more = 1.0 + 2.0 * f64::from(hour) / 24.0;
        community.run(HOUR, 4.0 * more, 20.0 * more);
    }
    community.run(2 * DAY, 12.0, 60.0);
    assert!(community.firing(Rule::ComplaintSpike).is_none(), "{:?}", community.told);
    assert!(community.firing(Rule::ShareShift).is_none(), "{:?}", community.told);
}

#[test]
fn silence_is_told_though_nothing_comes_and_ends_with_voices() {
    let mut community = Community::new(4);
    community.run(14 * DAY, 4.0, 20.0);
    community.told.clear();
    let begins = community.at;
    community.run(6 * HOUR, 0.0, 0.0);
    let firing = *community.firing(Rule::Silence).unwrap();
    assert!((begins - 20 * MINUTE..=begins).contains(&firing.started_at));
    let silent = firing.at - firing.started_at;
    assert!((HOUR..3 * HOUR).contains(&silent), "{silent}");
    assert_eq!((firing.observed, firing.severity.pages()), (0.0, false));
    assert!(firing.expected > 10.0);
    assert!(!community.states(Rule::Silence).contains(&AlertState::Resolved));
    community.run(2 * HOUR, 4.0, 20.0);
    assert_eq!(community.states(Rule::Silence), [AlertState::Firing, AlertState::Resolved]);
}

#[test]
fn a_silent_community_hears_that_its_rule_was_switched_on_and_off() {
    let mut community = Community::new(4);
    community.rules.silence.enabled = false;
    community.run(14 * DAY, 4.0, 20.0);
    community.told.clear();
    community.run(6 * HOUR, 0.0, 0.0);
    assert_eq!((community.states(Rule::Silence).len(), community.alerts.next_due()), (0, None));
    assert!(!community.alerts.is_misled(&community.rules) && community.alerts.is_misled(&rules()));
    community.rules.silence.enabled = true;
    community.alerts.look_again();
    community.run(2 * MINUTE, 0.0, 0.0);
    assert_eq!(community.states(Rule::Silence), [AlertState::Firing]);
    assert!(!community.alerts.is_misled(&community.rules));
    community.rules.silence.enabled = false;
    assert!(community.alerts.is_misled(&community.rules));
    community.alerts.look_again();
    community.run(HOUR, 0.0, 0.0);
    assert_eq!(community.states(Rule::Silence), [AlertState::Firing, AlertState::Resolved]);
}

#[test]
fn a_rule_that_was_switched_off_has_nothing_on() {
    let mut community = Community::new(1);
    community.run(14 * DAY, 4.0, 20.0);
    community.told.clear();
    community.run(2 * HOUR, 60.0, 20.0);
    assert_eq!(community.states(Rule::ComplaintSpike).last(), Some(&AlertState::Firing));
    community.rules.complaint_spike.enabled = false;
    community.run(HOUR, 60.0, 20.0);
    assert_eq!(community.states(Rule::ComplaintSpike).last(), Some(&AlertState::Resolved));
}

#[test]
fn a_quiet_community_is_not_silent() {
    let mut community = Community::new(5);
    community.run(21 * DAY, 0.05, 0.4);
    assert!(community.firing(Rule::Silence).is_none(), "{:?}", community.told);
}

#[test]
fn overdue_complaints_fire_after_a_while_and_do_not_flap() {
    let mut community = Community::new(6);
    community.run(HOUR, 1.0, 1.0);
    for overdue in [4, 5, 4, 6] {
        community.level(overdue);
    }
    let began = community.told.first().unwrap().started_at;
    community.run(HOUR, 1.0, 1.0);
    community.level(26);
    for overdue in [6, 4, 6, 4] {
        community.level(overdue);
        community.run(40 * MINUTE, 1.0, 1.0);
    }
    assert_eq!(community.states(Rule::Overdue), [AlertState::Pending, AlertState::Firing]);
    community.level(2);
    community.run(2 * HOUR, 1.0, 1.0);
    let states = community.states(Rule::Overdue);
    assert_eq!(states, [AlertState::Pending, AlertState::Firing, AlertState::Resolved]);
    let overdue: Vec<&Transition> = community.told.iter().filter(|told| told.rule == Rule::Overdue).collect();
    assert!(overdue.iter().all(|told| told.started_at == began));
    assert_eq!(overdue.last().unwrap().severity, Severity::Critical, "as bad as it was");
}

#[test]
fn praise_is_worth_knowing_and_pages_nobody() {
    let mut community = Community::new(7);
    community.run(14 * DAY, 4.0, 20.0);
    community.run(6 * HOUR, 4.0, 200.0);
    let firing = community.firing(Rule::PraiseSurge).unwrap();
    assert_eq!(firing.severity, Severity::Info);
    assert!(community.told.iter().all(|told| !(told.state == AlertState::Firing && told.severity.pages())));
}

#[test]
fn a_crisis_is_not_learned_and_a_lasting_change_is() {
    let mut community = Community::new(8);
    community.run(14 * DAY, 4.0, 20.0);
    community.run(2 * DAY, 40.0, 20.0);
    community.run(2 * DAY, 4.0, 20.0);
    community.told.clear();
    // As unusual as the first time.
    community.run(6 * HOUR, 40.0, 20.0);
    let firing = community.firing(Rule::ComplaintSpike).unwrap();
    assert!(firing.observed > 4.0 * firing.expected, "{firing:?}");
    // From now on it is so every day.
    community.run(40 * DAY, 40.0, 20.0);
    community.told.clear();
    community.run(7 * DAY, 40.0, 20.0);
    assert!(community.firing(Rule::ComplaintSpike).is_none(), "{:?}", community.told);
    assert!(community.alerts.next_due().is_some(), "silence is still looked for");
}

#[test]
fn pieces_of_state_are_small() {
    let mut community = Community::new(9);
    community.run(14 * DAY, 40.0, 200.0);
    community.run(2 * HOUR, 400.0, 300.0);
    let mut sizes = BTreeMap::new();
    community.alerts.take_changed(&mut |key, value| {
        // What is over is gone.
        let Some(value) = value else { return };
        sizes.insert(key, postcard::to_stdvec(&value).unwrap().len());
    });
    assert_eq!(sizes.keys().filter(|key| matches!(key, StateKey::Day(_))).count(), 7);
    for (key, size) in sizes {
        let most = if matches!(key, StateKey::Level | StateKey::Episode(_)) { 110 } else { 300 };
        assert!(size <= most, "{key:?}: {size} bytes");
    }
    assert!(!community.alerts.is_changed());
    let size = std::mem::size_of::<CommunityAlerts>();
    assert!(size <= 1_536, "{size}");
}

#[test]
fn key_and_value_must_belong_together() {
    let mut community = Community::new(10);
    community.run(DAY, 4.0, 20.0);
    let mut pieces = Vec::new();
    community.alerts.take_changed(&mut |key, value| pieces.push((key, value)));
    let (_, live) = pieces.iter().find(|(key, _)| *key == StateKey::Live).unwrap();
    let mut other = CommunityAlerts::new();
    assert!(!other.restore(StateKey::Level, live.clone()));
    assert!(!other.restore(StateKey::Day(7), None));
    assert!(other.restore(StateKey::Live, live.clone()));
}

/// One interval of a random stream: how long after the one before, and what came.
#[derive(Debug, Clone)]
struct Sent {
    after_steps: i64,
    counts: Increments,
    levels: Levels,
    /// After it, state is written; or, after it, the process dies.
    commit: bool,
    crash: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let gap = prop_oneof![6 => 1_i64..20, 3 => 20_i64..200, 1 => 200_i64..3_000];
    let burst = prop_oneof![8 => Just(1_u32), 1 => 2_u32..30];
    (
        gap,
        0..4_u32,
        0..3_u32,
        0..2_u32,
        0..2_u32,
        burst,
        0..9_u32,
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(after_steps, others, complaints, tips, praises, burst, overdue, commit, crash)| {
            let complaints = complaints * burst;
            let interactions = others + complaints + tips + praises;
            let levels = Levels { open: overdue, overdue, oldest_open_ms: 0 };
            let counts = Increments { interactions, complaints, tips, praises };
            Sent { after_steps, counts, levels, commit, crash }
        })
}

/// What is told of a stream, with what was asked for in between. Where `crashes`, all that was not written is lost at times, what was is
/// read back, and the stream goes on from where it was written.
fn told(stream: &[Sent], crashes: bool) -> (Vec<Transition>, Vec<u8>) {
    let rules = AlertRules { warm_up_ms: DAY, adapt_after_ms: DAY, ..rules() };
    let mut alerts = CommunityAlerts::new();
    let mut store: BTreeMap<StateKey, Vec<u8>> = BTreeMap::new();
    let (mut told, mut written_told) = (Vec::new(), 0);
    let (mut place, mut written_place) = (0, 0);
    let mut crashed = vec![false; stream.len()];
    let ends: Vec<EpochMs> = stream
        .iter()
        .scan(START, |at, sent| {
            *at += sent.after_steps * MINUTE;
            Some(*at)
        })
        .collect();
    while let Some(sent) = stream.get(place) {
        let from = if place == 0 { START } else { ends[place - 1] };
        let to = ends[place];
        while let Some(due) = alerts.next_due().filter(|&due| due < to) {
            let levels = if place == 0 { Levels::default() } else { stream[place - 1].levels };
            let interval = Interval { from, to: due, counts: Increments::default(), levels };
            alerts.step(&rules, &hour_of_week, &interval, &mut |transition| told.push(transition));
        }
        let interval = Interval { from, to, counts: sent.counts, levels: sent.levels };
        alerts.step(&rules, &hour_of_week, &interval, &mut |transition| told.push(transition));
        place += 1;
        if sent.commit {
            alerts.take_changed(&mut |key, value| {
                match value {
                    Some(value) => store.insert(key, postcard::to_stdvec(&value).unwrap()),
                    None => store.remove(&key),
                };
            });
            (written_told, written_place) = (told.len(), place);
        }
        if crashes && sent.crash && !std::mem::replace(&mut crashed[place - 1], true) {
            alerts = CommunityAlerts::new();
            for (&key, bytes) in &store {
                let value: StateValue = postcard::from_bytes(bytes).unwrap();
                assert!(alerts.restore(key, Some(value)));
            }
            told.truncate(written_told);
            place = written_place;
        }
    }
    // A last step, so that all that is derived is there, and everything is written.
    let last = ends.last().copied().unwrap_or(START) + MINUTE;
    let counts = Increments { interactions: 1, ..Increments::default() };
    let levels = Levels::default();
    alerts.step(&rules, &hour_of_week, &Interval { from: START, to: last, counts, levels }, &mut |transition| {
        told.push(transition);
    });
    (told, state_of(&mut alerts, store))
}

/// All of the state, as bytes.
fn state_of(alerts: &mut CommunityAlerts, mut store: BTreeMap<StateKey, Vec<u8>>) -> Vec<u8> {
    alerts.take_changed(&mut |key, value| {
        match value {
            Some(value) => store.insert(key, postcard::to_stdvec(&value).unwrap()),
            None => store.remove(&key),
        };
    });
    store.into_values().flatten().collect()
}

#[test]
fn streams_at_random_have_episodes_of_every_rule() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut fired = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let stream = prop::collection::vec(sent(), 600).new_tree(&mut runner).unwrap().current();
        fired.extend(
            told(&stream, false).0.iter().filter(|told| told.state == AlertState::Firing).map(|told| told.rule),
        );
    }
    assert_eq!(fired.len(), Rule::ALL.len(), "{fired:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_crash_at_any_point_changes_nothing(stream in prop::collection::vec(sent(), 100..700)) {
        let (expected, expected_state) = told(&stream, false);
        let (found, found_state) = told(&stream, true);
        prop_assert_eq!(&found, &expected);
        prop_assert_eq!(found_state, expected_state);
        // An identity stands for one episode: its states go on, and nothing follows its end.
        let mut last: BTreeMap<(Rule, EpochMs), (u32, AlertState)> = BTreeMap::new();
        for transition in &expected {
            let key = (transition.rule, transition.started_at);
            if let Some((number, state)) = last.insert(key, (transition.number, transition.state)) {
                prop_assert!(state != AlertState::Resolved, "{:?} after its end", transition);
                let same = transition.number == number && transition.state == state;
                prop_assert!(same || transition.number == number + 1, "{:?} after {}", transition, number);
            } else {
                prop_assert_eq!(transition.number, 1);
            }
            prop_assert!(transition.started_at <= transition.at);
        }
    }

    #[test]
    fn a_quiet_time_is_the_same_however_it_is_cut(
        stream in prop::collection::vec(sent(), 100..300), cuts in prop::collection::vec(1_i64..400_000, 1..400),
    ) {
        let rules = AlertRules { warm_up_ms: DAY, ..rules() };
        let run = |cuts: &[i64]| {
            let (mut alerts, mut told) = (CommunityAlerts::new(), Vec::new());
            let mut cuts = cuts.iter().cycle();
            let (mut at, mut levels) = (START, Levels::default());
            for sent in &stream {
                let to = at + sent.after_steps * MINUTE;
                // All but the last step of an interval is quiet.
                while let Some(cut) = cuts.next().map(|cut| at + cut).filter(|&cut| cut < to - MINUTE) {
                    let quiet = Interval { from: at, to: cut, counts: Increments::default(), levels };
                    alerts.step(&rules, &hour_of_week, &quiet, &mut |transition| told.push(transition));
                    at = cut;
                }
                levels = sent.levels;
                let interval = Interval { from: at, to, counts: sent.counts, levels };
                alerts.step(&rules, &hour_of_week, &interval, &mut |transition| told.push(transition));
                at = to;
            }
            told
        };
        prop_assert_eq!(run(&cuts), run(&[]));
    }
}
