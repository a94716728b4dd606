//! Against an obvious recount: a list of everything that was applied, summed up anew for each pane.

use proptest::prelude::*;
use record::{ContentKinds, Direction, Kind, Label};

use super::*;
use crate::WindowSpec;

fn tip() -> Counts {
    Counts::of(Label::Tip, Direction::Unknown, Kind::Post, ContentKinds::default(), false)
}

fn small_set() -> WindowSet {
    let spec = |name: &str, length_ms, slide_ms, lateness_ms| WindowSpec {
        name: name.to_owned(),
        length_ms,
        slide_ms,
        lateness_ms,
    };
    let specs = vec![spec("a", 30, 10, 20), spec("b", 120, 20, 0), spec("c", 120, 60, 60), spec("d", 20, 20, 40)];
    WindowSet::new(specs).unwrap()
}

/// What was applied: when, by whom, whether it came or went, and the watermark then.
struct Happened {
    event_time: EpochMs,
    member: MemberKey,
    times: i64,
    watermark: EpochMs,
    late: bool,
    /// Its identity left.
    forgotten: bool,
}

/// Interactions, distinct members, new members.
type Sums = (i64, i64, i64);

/// A few people, so that they come back.
fn member(event_time: EpochMs) -> MemberKey {
    MemberKey([(event_time / 3).rem_euclid(5) as u8; 16])
}

/// A community under test, with everything that happened to it.
struct Run {
    set: WindowSet,
    windows: CommunityWindows,
    watermark: EpochMs,
    applied: Vec<Happened>,
    rows: BTreeMap<(usize, EpochMs), (u32, Sums)>,
    /// Identities of earlier interactions have left.
    low_mark: EpochMs,
    log: BTreeMap<StateKey, StateValue>,
}

impl Run {
    fn new(set: WindowSet) -> Run {
        Run {
            set,
            windows: CommunityWindows::new(),
            watermark: -1_000,
            applied: Vec::new(),
            rows: BTreeMap::new(),
            low_mark: EpochMs::MIN,
            log: BTreeMap::new(),
        }
    }

    fn apply(&mut self, event_time: EpochMs, change: Change) -> Applied {
        let member = member(event_time);
        let contribution = Contribution { at: event_time, counts: tip(), member: Some(member) };
        let applied = self.windows.apply(&self.set, &contribution, change, Some(self.watermark));
        let times = if change == Change::Add { 1 } else { -1 };
        let late = applied == Applied::Late;
        self.applied.push(Happened { event_time, member, times, watermark: self.watermark, late, forgotten: false });
        applied
    }

    fn advance(&mut self, by: i64) {
        self.watermark += by;
        let (set, rows, applied, watermark) = (&self.set, &mut self.rows, &self.applied, self.watermark);
        self.windows.emit(set, watermark, &mut |pane| {
            let spec = &set.specs()[pane.window];
            assert!(pane.end <= watermark && pane.end % spec.slide_ms == 0, "{pane:?} at {watermark}");
            let expected = recount(spec, pane.end, applied);
            let found = (pane.counts.interactions, pane.members.distinct, pane.members.new);
            assert_eq!(found, expected, "{pane:?}");
            assert_eq!(pane.members.interactions, pane.counts.interactions, "{pane:?}");
            let before = rows.insert((pane.window, pane.end), (pane.revision, found));
            match before {
                None => assert_eq!(pane.revision, 0, "{pane:?}"),
                Some((revision, _)) => {
                    assert!(pane.revision > revision, "{pane:?}");
                    assert_eq!(pane.timing, Timing::Late);
                }
            }
        });
        assert!(self.windows.next_due(&self.set).is_none_or(|due| due > self.watermark));
        self.write();
    }

    fn write(&mut self) {
        let log = &mut self.log;
        self.windows.take_changed(&mut |key, value| {
            match value {
                Some(value) => log.insert(key, value),
                None => log.remove(&key),
            };
        });
    }

    /// Identities of interactions before this time leave.
    fn forget(&mut self, low_mark: EpochMs) {
        self.low_mark = self.low_mark.max(low_mark);
        let place = |live: &[usize], applied: &[Happened], at| live.iter().position(|&of| applied[of].event_time == at);
        let mut live: Vec<usize> = Vec::new();
        for number in 0..self.applied.len() {
            let Happened { event_time, times, late, .. } = self.applied[number];
            if times > 0 && !late {
                live.push(number);
            } else if times < 0 {
                live.remove(place(&live, &self.applied, event_time).expect("only what came goes"));
            }
        }
        for number in live {
            let Happened { event_time, member, forgotten, .. } = &mut self.applied[number];
            if *event_time < self.low_mark && !*forgotten {
                *forgotten = true;
                self.windows.forget_author(&self.set, *event_time, *member);
            }
        }
    }

    /// Identities that had left may be back after a restart, until they leave again.
    fn restart(&mut self, they_are_back: bool) {
        self.write();
        self.windows = CommunityWindows::new();
        for (&key, value) in &self.log {
            self.windows.restore(&self.set, key, Some(value.clone()));
        }
        self.windows.restored(&self.set, Some(self.watermark));
        let mut left: Vec<&Happened> = Vec::new();
        for happened in self.applied.iter().filter(|happened| happened.times > 0 && !happened.late) {
            left.push(happened);
        }
        for gone in self.applied.iter().filter(|happened| happened.times < 0) {
            let place = left.iter().position(|happened| happened.event_time == gone.event_time);
            left.remove(place.expect("only what came goes"));
        }
        for happened in left {
            let (at, member) = (happened.event_time, Some(happened.member));
            if they_are_back || !happened.forgotten {
                self.windows.recall(&self.set, &Contribution { at, counts: tip(), member });
            }
        }
        if they_are_back {
            self.applied.iter_mut().for_each(|happened| happened.forgotten = false);
        }
    }

    /// Every pane up to the watermark is what its row, or the row before it, says.
    fn check(&self) {
        for (window, spec) in self.set.specs().iter().enumerate() {
            let mut row = (0, 0, 0);
            let mut end = -1_980;
            while end <= self.watermark {
                if let Some(&(_, sums)) = self.rows.get(&(window, end)) {
                    row = sums;
                }
                let expected = recount(spec, end, &self.applied);
                assert_eq!(row, expected, "window {} end {end} watermark {}", spec.name, self.watermark);
                end += spec.slide_ms;
            }
        }
    }
}

fn recount(spec: &WindowSpec, end: EpochMs, applied: &[Happened]) -> Sums {
    let start = end - spec.length_ms;
    let heard = || applied.iter().filter(|applied| end + spec.lateness_ms > applied.watermark);
    let mut held: BTreeMap<MemberKey, i64> = BTreeMap::new();
    for happened in heard().filter(|happened| (start..end).contains(&happened.event_time)) {
        *held.entry(happened.member).or_default() += happened.times;
    }
    let mut before: BTreeMap<MemberKey, i64> = BTreeMap::new();
    for happened in heard().filter(|happened| happened.event_time < start && !happened.late) {
        *before.entry(happened.member).or_default() += happened.times;
    }
    let there: Vec<&MemberKey> = held.iter().filter(|&(_, &times)| times != 0).map(|(member, _)| member).collect();
    let new = there.iter().filter(|&&member| before.get(member).is_none_or(|&times| times == 0));
    (held.values().sum(), there.len() as i64, new.count() as i64)
}

#[derive(Debug, Clone)]
enum Act {
    /// An interaction this far from the watermark.
    Add(i64),
    /// The one that was applied that many acts ago is taken back, if it was counted.
    Retract(usize),
    Advance(i64),
    /// The identities leave of all that is so far behind the watermark.
    Forget(i64),
    /// Whether identities that had left are back.
    Restart(bool),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (-20_i64..60).prop_map(Act::Add),
        3 => (-300_i64..0).prop_map(Act::Add),
        2 => (0_usize..30).prop_map(Act::Retract),
        4 => (0_i64..30).prop_map(Act::Advance),
        1 => (0_i64..400).prop_map(Act::Advance),
        1 => (-60_i64..200).prop_map(Act::Forget),
        1 => any::<bool>().prop_map(Act::Restart),
    ]
}

fn run(set: WindowSet, acts: &[Act]) -> Run {
    let mut run = Run::new(set);
    let mut live: Vec<EpochMs> = Vec::new();
    for act in acts {
        match *act {
            Act::Add(ahead) => {
                let event_time = run.watermark + ahead;
                if event_time < run.low_mark {
                    // It would be dropped.
                } else if run.apply(event_time, Change::Add) != Applied::Late {
                    live.push(event_time);
                }
            }
            Act::Retract(back) => {
                if let Some(at) = live.len().checked_sub(back + 1)
                    && live[at] >= run.low_mark
                {
                    let event_time = live.remove(at);
                    run.apply(event_time, Change::Retract);
                }
            }
            Act::Advance(by) => run.advance(by),
            Act::Forget(behind) => run.forget(run.watermark - behind),
            Act::Restart(they_are_back) => {
                run.advance(0);
                run.restart(they_are_back);
            }
        }
    }
    run.advance(0);
    run.check();
    run
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_pane_is_what_a_recount_says(acts in prop::collection::vec(act(), 1..120)) {
        run(small_set(), &acts);
    }

    #[test]
    fn everything_falls_to_zero_and_is_forgotten(acts in prop::collection::vec(act(), 1..60)) {
        let mut run = run(small_set(), &acts);
        run.advance(run.set.horizon_ms() * 3);
        run.check();
        run.windows.forget_members(EpochMs::MAX);
        run.write();
        prop_assert!(run.windows.is_idle());
        prop_assert!(run.log.is_empty(), "left in the changelog: {:?}", run.log);
        for window in 0..run.set.specs().len() {
            let last = run.rows.range((window, EpochMs::MIN)..=(window, EpochMs::MAX)).next_back();
            prop_assert!(last.is_none_or(|(_, &(_, sums))| sums == (0, 0, 0)));
        }
    }
}

#[test]
fn the_standard_windows_rise_and_fall_to_zero() {
    let mut run = Run::new(WindowSet::standard());
    run.watermark = 0;
    run.apply(1_000, Change::Add);
    run.apply(2_000, Change::Add);
    let mut steps = 0;
    while let Some(due) = run.windows.next_due(&run.set) {
        run.advance(due - run.watermark);
        steps += 1;
    }
    assert!(steps < 40, "the cost is that of the slices, not of the time that passes: {steps} steps");
    for (window, spec) in run.set.specs().iter().enumerate() {
        let of_window: Vec<_> = run.rows.range((window, 0)..=(window, EpochMs::MAX)).collect();
        let expected = [(spec.slide_ms, 2), (spec.slide_ms + spec.length_ms, 0)];
        let found: Vec<_> = of_window.iter().map(|&(&(_, end), &(_, sums))| (end, sums.0)).collect();
        assert_eq!(found, expected, "{}", spec.name);
    }
    run.windows.forget_members(EpochMs::MAX);
    assert!(run.windows.is_idle());
}

#[test]
fn a_late_interaction_revises_what_is_open_and_counts_what_it_missed() {
    let set =
        WindowSet::new(vec![WindowSpec { name: "a".into(), length_ms: 30, slide_ms: 10, lateness_ms: 10 }]).unwrap();
    let mut run = Run::new(set);
    run.watermark = 0;
    run.apply(5, Change::Add);
    run.advance(25);
    assert_eq!(run.rows[&(0, 10)], (0, (1, 1, 1)));
    // Pane 10 is closed at 25, pane 20 is open and unchanged so far, pane 30 is to come.
    assert_eq!(run.apply(6, Change::Add), Applied::Counted { missed_panes: 1 });
    run.advance(0);
    assert_eq!((run.rows[&(0, 10)], run.rows[&(0, 20)]), ((0, (1, 1, 1)), (0, (2, 2, 2))));
    assert_eq!(run.apply(-20, Change::Add), Applied::Late);
}

/// The pane of the only window that ends there.
fn pane_at(windows: &mut CommunityWindows, set: &WindowSet, end: EpochMs) -> Option<MemberFigures> {
    let mut found = None;
    windows.emit(set, end, &mut |pane| found = (pane.end == end && pane.window == 1).then_some(pane.members).or(found));
    found
}

fn someone(number: u32) -> MemberKey {
    MemberKey(u128::from(number).to_be_bytes())
}

#[test]
fn those_who_are_told_apart_no_more_are_estimated_once_each() {
    let spec = |name: &str, length_ms, slide_ms| WindowSpec { name: name.into(), length_ms, slide_ms, lateness_ms: 0 };
    let set = WindowSet::new(vec![spec("a", 10, 10), spec("b", 200, 20)]).unwrap();
    let mut windows = CommunityWindows::new();
    let mut log = BTreeMap::new();
    let mut known: Vec<(EpochMs, u32)> = Vec::new();
    // Two thousand before the pane and in it, a thousand more in two slices that roll up into one, some of them told apart.
    for (at, numbers) in [(5, 0..2_000_u32), (205, 0..2_000), (212, 1_500..3_000), (230, 2_500..3_200)] {
        for number in numbers {
            known.push((at, number));
            let contribution = Contribution { at, counts: tip(), member: Some(someone(number)) };
            windows.apply(&set, &contribution, Change::Add, Some(0));
        }
    }
    // To the end of the pane before: what is forgotten is in slices of both levels.
    assert_eq!(
        pane_at(&mut windows, &set, 220).map(|members| (members.estimated, members.distinct)),
        Some((false, 3_000))
    );
    known.retain(|&(at, number)| {
        let stays = at == 230 || number >= 2_900;
        if !stays {
            windows.forget_author(&set, at, someone(number));
        }
        stays
    });
    let mut write = |windows: &mut CommunityWindows| {
        windows.take_changed(&mut |key, value| {
            match value {
                Some(value) => log.insert(key, value),
                None => log.remove(&key),
            };
        });
        log.clone()
    };
    let log = write(&mut windows);
    let members = pane_at(&mut windows, &set, 240).unwrap();
    assert!(members.estimated && members.interactions == 4_200, "{members:?}");
    assert_eq!(members.new, 1_200, "{members:?}");
    assert!((3_200 - members.distinct).abs() < 3_200 * 5 / 100, "{members:?}");
    // The same after a restart, whether identities that left are back or not.
    for back in [known.clone(), known.iter().copied().chain((1_000..2_500).map(|number| (212, number))).collect()] {
        let mut again = CommunityWindows::new();
        for (&key, value) in &log {
            assert!(again.restore(&set, key, Some(value.clone())));
        }
        again.restored(&set, Some(220));
        for (at, number) in back {
            again.recall(&set, &Contribution { at, counts: tip(), member: Some(someone(number)) });
        }
        assert_eq!(pane_at(&mut again, &set, 240), Some(members));
    }
}

#[test]
fn one_who_may_be_in_a_sketch_is_still_first_seen_there() {
    let set = small_set();
    let mut windows = CommunityWindows::new();
    let of = |at, number| Contribution { at, counts: tip(), member: Some(someone(number)) };
    for (at, number) in [(1, 1), (5, 1), (6, 2), (15, 1), (15, 2)] {
        windows.apply(&set, &of(at, number), Change::Add, Some(0));
    }
    assert!(windows.forget_author(&set, 1, someone(1)));
    // Of the first there is another in the slice, though not told apart; of the second there is not.
    windows.apply(&set, &of(5, 1), Change::Retract, Some(0));
    windows.apply(&set, &of(6, 2), Change::Retract, Some(0));
    let mut new = BTreeMap::new();
    windows.emit(&set, 40, &mut |pane| _ = (pane.window == 0).then(|| new.insert(pane.end, pane.members.new)));
    assert_eq!(new, BTreeMap::from([(10, 1), (20, 2), (40, 1)]));
}
