//! The windows of one community.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;

use record::{EpochMs, Timing};
use serde::{Deserialize, Serialize};

use crate::spec::floor;
use crate::{Counts, WindowSet};

/// Whether an interaction comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is counted from now on.
    Add,
    /// It was counted and is not any more.
    Retract,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is in every pane that was still open.
    Counted {
        /// How many panes it missed because they were closed.
        missed_panes: u32,
    },
    /// No pane was open any more: nothing changed.
    Late,
}

/// One emission of a pane `[start, end)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pane<'a> {
    /// The window's place in the set.
    pub window: usize,
    /// Inclusive.
    pub start: EpochMs,
    /// Exclusive.
    pub end: EpochMs,
    /// 0 for the first emission.
    pub revision: u32,
    /// On time for what was due when the watermark reached the end, late for what changed afterwards.
    pub timing: Timing,
    /// What the pane holds.
    pub counts: &'a Counts,
}

/// The key of a piece of state, for the changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKey {
    /// A slice.
    Slice {
        /// Its level: 0 is the finest.
        level: u8,
        /// Its start, inclusive.
        start: EpochMs,
    },
    /// A pane whose emissions do not follow from the slices: it was emitted more than once, or is due because the panes
    /// before it were closed when an interaction came.
    Pane {
        /// The window's place in the set.
        window: u8,
        /// The pane's end.
        end: EpochMs,
    },
}

/// A piece of state, for the changelog.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateValue {
    /// What a slice holds.
    Slice(Counts),
    /// The revision that a pane was last emitted with.
    Pane(u32),
}

#[derive(Debug)]
struct Slice {
    start: EpochMs,
    counts: Counts,
    changed: bool,
}

/// A pane that is to be emitted.
type PaneKey = (EpochMs, u8);

/// A pane never emitted.
#[derive(Debug, Clone, Copy)]
struct Pending {
    /// The watermark had passed its end already when it became due.
    late: bool,
    /// It does not follow from the slices: it is in the changelog of its own.
    stored: bool,
}

/// An emitted pane.
#[derive(Debug, Clone, Copy)]
struct Emitted {
    /// Of its last emission.
    revision: u32,
    /// It is in the changelog of its own.
    stored: bool,
}

/// The windows of one community. Its memory is in proportion to the slices that hold something.
#[derive(Debug, Default)]
pub struct CommunityWindows {
    /// By level, in order of start. A slice that a retraction emptied stays: panes that were emitted depend on it.
    levels: Vec<VecDeque<Slice>>,
    /// Panes never emitted whose content differs from the pane before.
    pending: BTreeMap<PaneKey, Pending>,
    /// Emitted panes that are not closed.
    emitted: BTreeMap<PaneKey, Emitted>,
    /// Emitted panes that changed since.
    revised: BTreeSet<PaneKey>,
    /// The watermark by which the last interaction or emission was judged; `None` before either.
    judged_at: Option<EpochMs>,
    /// The last watermark by which no pane is closed that is to be emitted again, or for the first time but late.
    held_at: Option<EpochMs>,
    changed: Vec<StateKey>,
}

impl CommunityWindows {
    /// With nothing in them.
    pub fn new() -> CommunityWindows {
        CommunityWindows::default()
    }

    /// Takes in one interaction at `event_time`, or takes it back. `watermark` is `None` before the first event time. A time
    /// beyond what can be reckoned with (some 70 million years from the epoch) is [`Applied::Late`].
    ///
    /// What comes while an emission is due counts as come just before it. So whatever a pane shows was let in by it, however
    /// far the watermark runs ahead of the emissions.
    pub fn apply(
        &mut self,
        set: &WindowSet,
        event_time: EpochMs,
        counts: &Counts,
        change: Change,
        watermark: Option<EpochMs>,
    ) -> Applied {
        if !TIMES.contains(&event_time) {
            return Applied::Late;
        }
        let watermark = self.judge(watermark.unwrap_or(EpochMs::MIN / 2));
        let Some(level) = open_level(set, event_time, watermark) else { return Applied::Late };
        let start = floor(event_time, set.levels()[level].size_ms);
        let finest_ms = set.levels()[0].size_ms;
        let late = floor(event_time, finest_ms) + finest_ms <= watermark;
        let missed_panes = if late { missed_panes(set, event_time, watermark) } else { 0 };
        let created = match change {
            Change::Add => {
                let marked = Counts { late: i64::from(late), missed: i64::from(missed_panes), ..*counts };
                self.add(set, level, start, &marked, 1)
            }
            Change::Retract => self.add(set, level, start, counts, -1),
        };
        if created {
            self.schedule(set, level, start, watermark);
        }
        if late {
            self.revise(set, event_time, watermark);
        }
        Applied::Counted { missed_panes }
    }

    /// The least watermark at which [`CommunityWindows::emit`] has something to do; `None` if it never will without a
    /// further change.
    pub fn next_due(&self, set: &WindowSet) -> Option<EpochMs> {
        let pending = self.pending.keys().next().map(|&(end, _)| end);
        let revised = self.revised.first().map(|&(end, _)| end);
        let rolling = self
            .levels
            .iter()
            .zip(set.levels())
            .filter_map(|(slices, level)| slices.front().map(|slice| slice.start + level.size_ms + level.keep_ms));
        rolling.chain(pending).chain(revised).min()
    }

    /// Emits every pane that is due at this watermark: the first emissions in order of their ends, then what changed since
    /// it was emitted. Afterwards it lets go of what no open pane needs.
    pub fn emit(&mut self, set: &WindowSet, watermark: EpochMs, see: &mut dyn FnMut(Pane<'_>)) {
        while let Some((&(end, window), &Pending { late, stored })) = self.pending.first_key_value()
            && end <= watermark
        {
            self.pending.pop_first();
            let timing = if late { Timing::Late } else { Timing::OnTime };
            self.see(set, window, end, 0, timing, see);
            self.emitted.insert((end, window), Emitted { revision: 0, stored });
        }
        for (end, window) in std::mem::take(&mut self.revised) {
            if let Some(emitted) = self.emitted.get_mut(&(end, window)) {
                *emitted = Emitted { revision: emitted.revision + 1, stored: true };
                let revision = emitted.revision;
                self.changed.push(StateKey::Pane { window, end });
                self.see(set, window, end, revision, Timing::Late, see);
            }
        }
        self.judged_at = self.judged_at.max(Some(watermark));
        self.held_at = None;
        self.close(set, watermark);
        self.roll_up(set, watermark);
    }

    /// What changed since the last call, for the changelog; `None` where it is gone. To be called right after
    /// [`CommunityWindows::emit`], and stored with its watermark: what is due again but not yet emitted is not in it.
    pub fn take_changed(&mut self, see: &mut dyn FnMut(StateKey, Option<StateValue>)) {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        for key in &changed {
            let value = match *key {
                StateKey::Slice { level, start } => self.slice_mut(usize::from(level), start).map(|slice| {
                    slice.changed = false;
                    StateValue::Slice(slice.counts)
                }),
                StateKey::Pane { window, end } => match self.emitted.get(&(end, window)) {
                    Some(emitted) => Some(StateValue::Pane(emitted.revision)),
                    None if self.pending.contains_key(&(end, window)) => Some(StateValue::Pane(0)),
                    None => None,
                },
            };
            see(*key, value);
        }
        changed.clear();
        self.changed = changed;
    }

    /// Takes back one piece of state from the changelog; `None` removes it. False, and nothing changed, if it cannot be a
    /// piece of these windows: the changelog was written with other ones.
    pub fn restore(&mut self, set: &WindowSet, key: StateKey, value: Option<StateValue>) -> bool {
        if !is_of(set, key, value.as_ref()) {
            return false;
        }
        match (key, value) {
            (StateKey::Slice { level, start }, value) => {
                let level = usize::from(level);
                let at = self.place(set, level, start);
                let slices = &mut self.levels[level];
                match (at, value) {
                    (Ok(at), Some(StateValue::Slice(counts))) => slices[at].counts = counts,
                    (Err(at), Some(StateValue::Slice(counts))) => {
                        slices.insert(at, Slice { start, counts, changed: false })
                    }
                    (Ok(at), _) => {
                        slices.remove(at);
                    }
                    (Err(_), _) => {}
                }
            }
            (StateKey::Pane { window, end }, Some(StateValue::Pane(revision))) => {
                self.emitted.insert((end, window), Emitted { revision, stored: true });
            }
            (StateKey::Pane { window, end }, _) => {
                self.emitted.remove(&(end, window));
            }
        }
        true
    }

    /// All pieces are restored: what is due follows from the slices and the watermark.
    pub fn restored(&mut self, set: &WindowSet, watermark: Option<EpochMs>) {
        self.judged_at = watermark;
        let watermark = watermark.unwrap_or(EpochMs::MIN / 2);
        // What was stored and is still to come was never emitted.
        let to_come: Vec<PaneKey> = self.emitted.keys().copied().filter(|&(end, _)| end > watermark).collect();
        for key in to_come {
            self.emitted.remove(&key);
            self.pending.insert(key, Pending { late: false, stored: true });
        }
        for level in 0..self.levels.len() {
            for at in 0..self.levels[level].len() {
                let start = self.levels[level][at].start;
                for window in 0..set.specs().len() {
                    for end in changing_ends(set, window, level, start) {
                        if end > watermark {
                            self.pending.entry((end, window as u8)).or_insert(Pending { late: false, stored: false });
                        } else {
                            let emitted = Emitted { revision: 0, stored: false };
                            self.emitted.entry((end, window as u8)).or_insert(emitted);
                        }
                    }
                }
            }
        }
        self.close(set, watermark);
    }

    /// True when there is nothing left to know: the community may be forgotten.
    pub fn is_idle(&self) -> bool {
        self.levels.iter().all(VecDeque::is_empty) && self.pending.is_empty() && self.revised.is_empty()
    }

    /// The watermark to judge an interaction by: not beyond what is still to be emitted, and never going back.
    fn judge(&mut self, watermark: EpochMs) -> EpochMs {
        let from = self.judged_at.map_or(EpochMs::MIN, |judged_at| judged_at.saturating_add(1));
        // Those up to `judged_at` became due late: it is `held_at` that speaks for them.
        let next = self.pending.range((from, 0)..).next().map_or(EpochMs::MAX, |(&(end, _), _)| end - 1);
        let held_at = self.held_at.unwrap_or(EpochMs::MAX);
        let judged_at = self.judged_at.max(Some(watermark.min(next).min(held_at)));
        self.judged_at = judged_at;
        judged_at.unwrap_or(watermark)
    }

    /// A pane with this end and allowed lateness waits to be emitted late.
    fn hold(&mut self, end: EpochMs, lateness_ms: i64) {
        let last_open = end + lateness_ms - 1;
        self.held_at = Some(self.held_at.map_or(last_open, |held_at| held_at.min(last_open)));
    }

    /// Adds to a slice; true if it was not there before.
    fn add(&mut self, set: &WindowSet, level: usize, start: EpochMs, counts: &Counts, times: i64) -> bool {
        let (at, created) = match self.place(set, level, start) {
            Ok(at) => (at, false),
            Err(at) => {
                self.levels[level].insert(at, Slice { start, counts: Counts::default(), changed: false });
                (at, true)
            }
        };
        let slice = &mut self.levels[level][at];
        slice.counts.add(counts, times);
        if !slice.changed {
            slice.changed = true;
            self.changed.push(StateKey::Slice { level: level as u8, start });
        }
        created
    }

    /// Where a slice is within its level, or belongs.
    fn place(&mut self, set: &WindowSet, level: usize, start: EpochMs) -> Result<usize, usize> {
        if self.levels.is_empty() {
            self.levels.resize_with(set.levels().len(), VecDeque::new);
        }
        let slices = &self.levels[level];
        // Almost always it is the newest.
        match slices.back() {
            Some(last) if last.start == start => Ok(slices.len() - 1),
            Some(last) if last.start < start => Err(slices.len()),
            None => Err(0),
            Some(_) => slices.binary_search_by_key(&start, |slice| slice.start),
        }
    }

    fn slice_mut(&mut self, level: usize, start: EpochMs) -> Option<&mut Slice> {
        let slices = self.levels.get_mut(level)?;
        let at = slices.binary_search_by_key(&start, |slice| slice.start).ok()?;
        slices.get_mut(at)
    }

    /// A slice came to be: where it enters and where it leaves each window, the window changes.
    fn schedule(&mut self, set: &WindowSet, level: usize, start: EpochMs, watermark: EpochMs) {
        for (window, spec) in set.specs().iter().enumerate() {
            for end in changing_ends(set, window, level, start) {
                let key = (end, window as u8);
                let open = end + spec.lateness_ms > watermark;
                if end > watermark || (open && !self.emitted.contains_key(&key)) {
                    let late = end <= watermark;
                    self.pending.entry(key).or_insert(Pending { late, stored: false });
                    if late {
                        self.hold(end, spec.lateness_ms);
                    }
                }
            }
        }
    }

    /// Marks the emitted panes that hold `event_time` for another emission.
    fn revise(&mut self, set: &WindowSet, event_time: EpochMs, watermark: EpochMs) {
        for (window, spec) in set.specs().iter().enumerate() {
            let window = window as u8;
            let first = spec.slide_start(event_time) + spec.slide_ms;
            let last = spec.slide_start(event_time) + spec.length_ms;
            let first_open = spec.slide_start(watermark - spec.lateness_ms) + spec.slide_ms;
            if first_open > first && first_open <= last {
                self.diverge(first_open, window, watermark, spec.lateness_ms);
            }
            let from = first.max(first_open);
            if from <= last.min(watermark) {
                let held = self.emitted.range((from, 0)..=(last, u8::MAX)).map(|(&key, _)| key);
                self.revised.extend(held.filter(|&(_, of)| of == window));
                self.hold(from, spec.lateness_ms);
            }
        }
    }

    /// The panes before `end` are closed and miss something that this one holds: a row of its own must say so.
    fn diverge(&mut self, end: EpochMs, window: u8, watermark: EpochMs, lateness_ms: i64) {
        let key = (end, window);
        if self.emitted.contains_key(&key) || self.pending.contains_key(&key) {
            return;
        }
        let late = end <= watermark;
        self.pending.insert(key, Pending { late, stored: true });
        if late {
            self.hold(end, lateness_ms);
        }
        self.changed.push(StateKey::Pane { window, end });
    }

    fn see(
        &self,
        set: &WindowSet,
        window: u8,
        end: EpochMs,
        revision: u32,
        timing: Timing,
        see: &mut dyn FnMut(Pane<'_>),
    ) {
        let window = usize::from(window);
        let start = end - set.specs()[window].length_ms;
        let mut counts = Counts::default();
        // Slices of coarser levels hold only what this window's open panes do not.
        for slices in self.levels.iter().take(set.level_of(window) + 1) {
            let from = slices.partition_point(|slice| slice.start < start);
            for slice in slices.range(from..).take_while(|slice| slice.start < end) {
                counts.add(&slice.counts, 1);
            }
        }
        see(Pane { window, start, end, revision, timing, counts: &counts });
    }

    /// Forgets emitted panes whose allowed lateness is over.
    fn close(&mut self, set: &WindowSet, watermark: EpochMs) {
        let changed = &mut self.changed;
        self.emitted.retain(|&(end, window), &mut emitted| {
            let open = end + set.specs()[usize::from(window)].lateness_ms > watermark;
            if !open && emitted.stored {
                changed.push(StateKey::Pane { window, end });
            }
            open
        });
    }

    /// Moves slices that no open pane needs so fine to the next level, and drops them behind the last.
    fn roll_up(&mut self, set: &WindowSet, watermark: EpochMs) {
        for (number, level) in set.levels().iter().enumerate() {
            while let Some(slice) = self.levels.get_mut(number).and_then(|slices| {
                let over = slices.front().is_some_and(|slice| slice.start + level.size_ms + level.keep_ms <= watermark);
                if over { slices.pop_front() } else { None }
            }) {
                self.changed.push(StateKey::Slice { level: number as u8, start: slice.start });
                if let Some(coarser) = set.levels().get(number + 1) {
                    self.add(set, number + 1, floor(slice.start, coarser.size_ms), &slice.counts, 1);
                }
            }
        }
    }
}

/// Times that can be reckoned with: a window's length and lateness may be added and taken away.
const TIMES: RangeInclusive<EpochMs> = EpochMs::MIN / 4..=EpochMs::MAX / 4;

/// Whether a piece of state can be one of these windows.
fn is_of(set: &WindowSet, key: StateKey, value: Option<&StateValue>) -> bool {
    let (time, size_ms, kind_fits) = match key {
        StateKey::Slice { level, start } => {
            let Some(level) = set.levels().get(usize::from(level)) else { return false };
            (start, level.size_ms, matches!(value, None | Some(StateValue::Slice(_))))
        }
        StateKey::Pane { window, end } => {
            let Some(spec) = set.specs().get(usize::from(window)) else { return false };
            (end, spec.slide_ms, matches!(value, None | Some(StateValue::Pane(_))))
        }
    };
    kind_fits && TIMES.contains(&time) && time.rem_euclid(size_ms) == 0
}

/// The finest level that still holds slices of this time; `None` if every pane that would hold it is closed.
fn open_level(set: &WindowSet, event_time: EpochMs, watermark: EpochMs) -> Option<usize> {
    let open = set
        .specs()
        .iter()
        .enumerate()
        .filter(|(_, spec)| spec.slide_start(event_time) + spec.length_ms + spec.lateness_ms > watermark);
    open.map(|(window, _)| set.level_of(window)).min()
}

/// How many panes that would hold this time are closed.
fn missed_panes(set: &WindowSet, event_time: EpochMs, watermark: EpochMs) -> u32 {
    let missed = set.specs().iter().map(|spec| {
        let first = spec.slide_start(event_time) + spec.slide_ms;
        let panes = spec.length_ms / spec.slide_ms;
        let closed_to = watermark - spec.lateness_ms;
        if closed_to < first { 0 } else { ((closed_to - first) / spec.slide_ms + 1).min(panes) }
    });
    u32::try_from(missed.sum::<i64>()).unwrap_or(u32::MAX)
}

/// The ends at which a slice enters a window and leaves it, if the slice is fine enough for the window.
fn changing_ends(set: &WindowSet, window: usize, level: usize, start: EpochMs) -> impl Iterator<Item = EpochMs> {
    let spec = &set.specs()[window];
    let enters = spec.slide_start(start) + spec.slide_ms;
    let ends = if level <= set.level_of(window) { Some([enters, enters + spec.length_ms]) } else { None };
    ends.into_iter().flatten()
}

#[cfg(test)]
mod tests;
