//! Emissions go on as if nothing had happened: over a restart, over batches, over leaps of the watermark.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use record::{ContentKind, Direction, EpochMs, Kind, Label, Timing};
use window::{
    Applied, Change, CommunityWindows, Contribution, Counts, MemberFigures, MemberKey, ResponseFigures, StateKey,
    StateValue, WindowSet, WindowSpec,
};

/// An emission in full: window, end, revision, timing, counts, and what else the pane says.
type Row = (usize, EpochMs, u32, Timing, Counts, Rest);

/// Members, responses, regularity of contact.
type Rest = (MemberFigures, ResponseFigures, Option<f64>);

fn small_set() -> WindowSet {
    let spec = |name: &str, length_ms, slide_ms, lateness_ms| WindowSpec {
        name: name.to_owned(),
        length_ms,
        slide_ms,
        lateness_ms,
    };
    let specs = vec![spec("a", 30, 10, 20), spec("b", 120, 20, 0), spec("c", 120, 60, 60), spec("d", 20, 20, 40)];
    WindowSet::new(specs).expect("valid windows")
}

/// Interactions that differ in every dimension.
fn counts(variant: u8) -> Counts {
    let at = usize::from(variant);
    Counts::of(
        Label::ALL[at % Label::ALL.len()],
        Direction::ALL[at % Direction::ALL.len()],
        Kind::ALL[at % Kind::ALL.len()],
        ContentKind::ALL.into_iter().take(at % (ContentKind::ALL.len() + 1)).collect(),
        variant.is_multiple_of(3),
    )
}

/// An interaction of that variant by one of a few people.
fn contribution(at: EpochMs, variant: u8) -> Contribution {
    let member = (!variant.is_multiple_of(4)).then_some(MemberKey([variant % 4; 16]));
    Contribution { at, counts: counts(variant), member }
}

fn slice_of_one() -> StateValue {
    StateValue::Slice { counts: counts(1), from_members: 1, responses: Vec::new(), sketch: None }
}

struct Instance {
    set: WindowSet,
    windows: CommunityWindows,
    log: BTreeMap<StateKey, StateValue>,
}

impl Instance {
    fn new() -> Instance {
        Instance { set: small_set(), windows: CommunityWindows::new(), log: BTreeMap::new() }
    }

    /// As a commit does it: what is due, then what changed.
    fn commit(&mut self, watermark: EpochMs) -> Vec<Row> {
        let mut rows = Vec::new();
        self.windows.emit(&self.set, watermark, &mut |pane| {
            assert_eq!(pane.end - pane.start, self.set.specs()[pane.window].length_ms);
            let rest = (pane.members, pane.responses, pane.contact_regularity);
            rows.push((pane.window, pane.end, pane.revision, pane.timing, *pane.counts, rest));
        });
        let due = self.windows.next_due(&self.set);
        assert!(due.is_none_or(|due| due > watermark), "due at {due:?} after an emission at {watermark}");
        let log = &mut self.log;
        self.windows.take_changed(&mut |key, value| {
            match value {
                Some(value) => log.insert(key, value),
                None => log.remove(&key),
            };
        });
        rows
    }

    fn restart(&mut self, watermark: EpochMs, live: &[Contribution]) {
        self.windows = CommunityWindows::new();
        for (&key, value) in &self.log {
            assert!(self.windows.restore(&self.set, key, Some(value.clone())), "{key:?} was refused");
        }
        self.windows.restored(&self.set, Some(watermark));
        for contribution in live {
            self.windows.recall(&self.set, contribution);
        }
    }
}

#[derive(Debug, Clone)]
enum Act {
    /// An interaction this far from the watermark, of this variant.
    Add(i64, u8),
    /// The one that was counted so many before the newest is taken back.
    Retract(usize),
    /// The one that was counted so many before the newest answers somebody, after this time.
    Respond(usize, i64),
    /// That response is none after all.
    Unrespond(usize),
    /// What rows say as of this stretch of ends before the watermark changes.
    Revise(i64, i64),
    /// The watermark moves and nothing is emitted yet.
    Move(i64),
    Commit,
    /// The second instance starts anew from its changelog, after a commit.
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (-20_i64..60, any::<u8>()).prop_map(|(ahead, variant)| Act::Add(ahead, variant)),
        4 => (-300_i64..0, any::<u8>()).prop_map(|(ahead, variant)| Act::Add(ahead, variant)),
        2 => (0_usize..30).prop_map(Act::Retract),
        2 => (0_usize..10, 0_i64..5_000).prop_map(|(back, delay_ms)| Act::Respond(back, delay_ms)),
        1 => (0_usize..10).prop_map(Act::Unrespond),
        1 => (0_i64..200, 0_i64..100).prop_map(|(back, long)| Act::Revise(back, long)),
        3 => (0_i64..30).prop_map(Act::Move),
        1 => (0_i64..400).prop_map(Act::Move),
        3 => Just(Act::Commit),
        2 => Just(Act::Restart),
    ]
}

/// Runs the acts on an instance that is never restarted and on one that is; returns what both emitted.
fn run(acts: &[Act]) -> Result<Vec<Row>, TestCaseError> {
    let (mut steady, mut restarted) = (Instance::new(), Instance::new());
    let mut watermark = -1_000;
    let mut live: Vec<Contribution> = Vec::new();
    let mut responses: Vec<(EpochMs, i64)> = Vec::new();
    let mut rows = Vec::new();
    let apply = |both: [&mut Instance; 2], contribution: &Contribution, change, watermark| {
        let [first, second] =
            both.map(|instance| instance.windows.apply(&instance.set, contribution, change, Some(watermark)));
        prop_assert_eq!(first, second);
        Ok(first)
    };
    let respond = |both: [&mut Instance; 2], (at, delay_ms): (EpochMs, i64), change, watermark| {
        for instance in both {
            instance.windows.respond(&instance.set, at, delay_ms, change, Some(watermark));
        }
    };
    for act in acts.iter().chain([&Act::Move(2_000), &Act::Commit]) {
        match *act {
            Act::Add(ahead, variant) => {
                let contribution = contribution(watermark + ahead, variant);
                if apply([&mut steady, &mut restarted], &contribution, Change::Add, watermark)? != Applied::Late {
                    live.push(contribution);
                }
            }
            Act::Retract(back) => {
                if let Some(place) = live.len().checked_sub(back + 1) {
                    let contribution = live.remove(place);
                    apply([&mut steady, &mut restarted], &contribution, Change::Retract, watermark)?;
                }
            }
            Act::Respond(back, delay_ms) => {
                if let Some(place) = live.len().checked_sub(back + 1) {
                    let response = (live[place].at, delay_ms);
                    responses.push(response);
                    respond([&mut steady, &mut restarted], response, Change::Add, watermark);
                }
            }
            Act::Unrespond(back) => {
                if let Some(place) = responses.len().checked_sub(back + 1) {
                    let response = responses.remove(place);
                    respond([&mut steady, &mut restarted], response, Change::Retract, watermark);
                }
            }
            Act::Revise(back, long) => {
                let after = watermark - back;
                for instance in [&mut steady, &mut restarted] {
                    instance.windows.revise_ends(&instance.set, after, after + long, Some(watermark));
                }
            }
            Act::Move(by) => watermark += by,
            Act::Commit | Act::Restart => {
                let emitted = steady.commit(watermark);
                prop_assert_eq!(&emitted, &restarted.commit(watermark), "at {}", watermark);
                prop_assert_eq!(&steady.log, &restarted.log, "changelog at {}", watermark);
                rows.extend(emitted);
                if matches!(act, Act::Restart) {
                    restarted.restart(watermark, &live);
                }
            }
        }
    }
    for instance in [&mut steady, &mut restarted] {
        instance.windows.forget_members(EpochMs::MAX);
        instance.commit(watermark);
    }
    prop_assert!(steady.windows.is_idle() && restarted.windows.is_idle());
    prop_assert!(steady.log.is_empty() && restarted.log.is_empty(), "left over: {:?}", restarted.log);
    Ok(rows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_restart_changes_no_emission(acts in prop::collection::vec(act(), 1..100)) {
        let rows = run(&acts)?;
        let mut seen = BTreeSet::new();
        let mut last: BTreeMap<usize, (EpochMs, Counts, MemberFigures)> = BTreeMap::new();
        for (window, end, revision, timing, counts, (members, ..)) in rows {
            prop_assert!(seen.insert((window, end, revision)), "twice: window {window} end {end} revision {revision}");
            prop_assert!(revision == 0 || seen.contains(&(window, end, revision - 1)), "a revision was left out");
            prop_assert!(revision == 0 || timing == Timing::Late);
            let newest = last.entry(window).or_insert((end, counts, members));
            if end >= newest.0 {
                *newest = (end, counts, members);
            }
        }
        for (window, (end, counts, members)) in last {
            prop_assert_eq!(counts, Counts::default(), "window {} does not fall to zero at {}", window, end);
            prop_assert_eq!(members, MemberFigures::default(), "window {} at {}", window, end);
        }
    }

    /// With everything on time, it makes no difference how far the watermark goes between two emissions.
    #[test]
    fn a_leap_emits_what_single_steps_emit(
        events in prop::collection::vec((0_i64..2_000, any::<u8>()), 1..40),
        leaps in prop::collection::vec(1_i64..900, 1..8),
    ) {
        let fill = || {
            let mut instance = Instance::new();
            for &(at, variant) in &events {
                instance.windows.apply(&instance.set, &contribution(at, variant), Change::Add, None);
            }
            instance
        };
        let (mut stepping, mut leaping) = (fill(), fill());
        let (mut by_step, mut by_leap) = (Vec::new(), Vec::new());
        let mut watermark = -10;
        for leap in leaps.into_iter().chain([4_000]) {
            for step in watermark + 1..=watermark + leap {
                by_step.extend(stepping.commit(step));
            }
            watermark += leap;
            by_leap.extend(leaping.commit(watermark));
        }
        prop_assert_eq!(by_step, by_leap);
    }

    /// However far the watermark runs ahead of the emissions: what the rows do not show was reported as missed.
    #[test]
    fn what_no_row_shows_was_reported_as_missed(
        steps in prop::collection::vec((-300_i64..60, prop_oneof![3 => Just(0_i64), 2 => 0_i64..30, 1 => 0_i64..200], any::<bool>()), 1..80),
    ) {
        let mut instance = Instance::new();
        let (mut watermark, mut events, mut missed) = (0, Vec::new(), 0);
        let mut rows: BTreeMap<(usize, EpochMs), i64> = BTreeMap::new();
        let show = |rows: &mut BTreeMap<_, _>, emitted: Vec<Row>| {
            rows.extend(emitted.into_iter().map(|(window, end, _, _, counts, _)| ((window, end), counts.interactions)));
        };
        for (ahead, by, commit) in steps {
            watermark += by;
            let at = watermark + ahead;
            events.push(at);
            missed += match instance.windows.apply(&instance.set, &contribution(at, 1), Change::Add, Some(watermark)) {
                Applied::Counted { missed_panes } => i64::from(missed_panes),
                Applied::Late => instance.set.specs().iter().map(|spec| spec.length_ms / spec.slide_ms).sum(),
            };
            if commit {
                show(&mut rows, instance.commit(watermark));
            }
        }
        show(&mut rows, instance.commit(watermark + 1_000));
        let (mut held, mut shown) = (0, 0);
        for (window, spec) in instance.set.specs().iter().enumerate() {
            let mut row = 0;
            // From before the first interaction to behind the last one, on a multiple of every slide.
            for end in (-600..=watermark + 1_000).step_by(spec.slide_ms as usize) {
                row = rows.get(&(window, end)).copied().unwrap_or(row);
                let holds = events.iter().filter(|&&at| (end - spec.length_ms..end).contains(&at)).count() as i64;
                prop_assert!(row <= holds, "window {} end {end}: {row} of {holds}", spec.name);
                shown += row;
                held += holds;
            }
            prop_assert_eq!(row, 0, "window {} does not fall to zero", &spec.name);
        }
        prop_assert_eq!(held - shown, missed);
    }

    /// Neither a time nor a changelog of another configuration may bring it down.
    #[test]
    fn bears_any_time_and_any_changelog(
        at in prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), Just(i64::MIN / 2), Just(i64::MAX / 2)],
        watermark in prop::option::of(-1_000_000_i64..1_000_000),
        level in any::<u8>(),
        pane in any::<u8>(),
    ) {
        let mut instance = Instance::new();
        let set = &instance.set;
        instance.windows.restore(set, StateKey::Slice { level, start: at }, Some(slice_of_one()));
        instance.windows.restore(set, StateKey::Pane { window: pane, end: at }, Some(StateValue::Pane(3)));
        instance.windows.restored(set, watermark);
        instance.windows.apply(set, &contribution(at, 1), Change::Add, watermark);
        instance.windows.respond(set, at, at, Change::Add, watermark);
        instance.windows.revise_ends(set, at, at.saturating_add(40), watermark);
        instance.commit(watermark.unwrap_or(0));
    }
}

#[test]
fn refuses_state_of_other_windows() {
    let set = small_set();
    let check = |key, value, expected: bool| {
        let mut windows = CommunityWindows::new();
        assert_eq!(windows.restore(&set, key, Some(value)), expected, "{key:?}");
        assert_eq!(windows.is_idle(), !(expected && matches!(key, StateKey::Slice { .. })), "{key:?}");
    };
    let slice = slice_of_one();
    check(StateKey::Slice { level: 1, start: -40 }, slice.clone(), true);
    check(StateKey::Slice { level: 1, start: -30 }, slice.clone(), false);
    check(StateKey::Slice { level: 3, start: 0 }, slice.clone(), false);
    check(StateKey::Slice { level: 0, start: 0 }, StateValue::Pane(1), false);
    check(StateKey::Pane { window: 3, end: 40 }, StateValue::Pane(1), true);
    check(StateKey::Pane { window: 3, end: 50 }, StateValue::Pane(1), false);
    check(StateKey::Pane { window: 4, end: 40 }, StateValue::Pane(1), false);
    check(StateKey::Pane { window: 3, end: 40 }, slice, false);
}

#[test]
fn a_due_pane_takes_in_what_came_before_its_emission() {
    let spec = WindowSpec { name: "a".to_owned(), length_ms: 30, slide_ms: 10, lateness_ms: 10 };
    let set = WindowSet::new(vec![spec]).unwrap();
    let mut windows = CommunityWindows::new();
    windows.apply(&set, &contribution(5, 1), Change::Add, Some(0));
    // The watermark has gone on, and pane 10 is past its lateness, but it was not emitted yet: it holds both.
    let applied = windows.apply(&set, &contribution(6, 1), Change::Add, Some(25));
    assert_eq!(applied, Applied::Counted { missed_panes: 0 });
    let mut rows = Vec::new();
    windows.emit(&set, 25, &mut |pane| rows.push((pane.end, pane.revision, pane.counts.interactions)));
    // Now it is closed, and pane 20 must say what pane 10 could not.
    let applied = windows.apply(&set, &contribution(7, 1), Change::Add, Some(25));
    assert_eq!(applied, Applied::Counted { missed_panes: 1 });
    windows.emit(&set, 25, &mut |pane| rows.push((pane.end, pane.revision, pane.counts.interactions)));
    assert_eq!(rows, [(10, 0, 2), (20, 0, 3)]);
}

#[test]
fn counts_every_dimension_and_takes_each_back() {
    let mut sum = Counts::default();
    sum.add(
        &Counts::of(
            Label::Praise,
            Direction::BrandToAll,
            Kind::Comment,
            [ContentKind::Video, ContentKind::Text].into_iter().collect(),
            true,
        ),
        2,
    );
    let expected = Counts {
        interactions: 2,
        by_label: [0, 0, 0, 2, 0],
        by_direction: [0, 0, 0, 2, 0, 0],
        by_kind: [0, 2],
        by_content_kind: [2, 0, 2, 0, 0],
        abstained: 2,
        late: 0,
        missed: 0,
    };
    assert_eq!(sum, expected);
    sum.add(&expected, -1);
    assert_eq!(sum, Counts::default());
}

#[test]
fn nothing_is_due_without_an_interaction() {
    let set = WindowSet::standard();
    let mut windows = CommunityWindows::new();
    assert!(windows.is_idle() && windows.next_due(&set).is_none());
    windows.emit(&set, 1_795_482_000_000, &mut |pane| panic!("emitted {pane:?}"));
    windows.take_changed(&mut |key, value| panic!("changed {key:?} to {value:?}"));
}
