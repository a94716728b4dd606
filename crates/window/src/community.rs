//! The windows of one community.

mod emission;
mod state;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use record::{EpochMs, Timing};

pub use self::state::{StateKey, StateValue};
use crate::levels::Levels;
use crate::members::{MemberId, Members};
use crate::responses::bucket;
use crate::sketch::MemberSketch;
use crate::spec::{Level, floor};
use crate::{Counts, MemberFigures, MemberKey, ResponseFigures, WindowSet};

/// What one interaction counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contribution {
    /// Its event time.
    pub at: EpochMs,
    /// The dimensions that it counts in.
    pub counts: Counts,
    /// Who it is from; `None` for the brand, and where nobody is named.
    pub member: Option<MemberKey>,
}

/// Whether something comes or goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It is counted from now on.
    Add,
    /// It is counted anew, with other content or another decision, after it was taken back: it comes no later for that.
    Restate,
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
    /// Whose interactions it holds.
    pub members: MemberFigures,
    /// The brand's first responses in it.
    pub responses: ResponseFigures,
    /// How regular the brand's own contact was: 0, all in bursts, to 1, evenly spaced; `None` with contact in fewer than three
    /// slides.
    pub contact_regularity: Option<f64>,
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
    levels: Levels,
    members: Members,
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

/// How a change is judged.
struct Open {
    /// Of the slice that it belongs to.
    level: usize,
    start: EpochMs,
    /// The watermark had passed its finest slice.
    late: bool,
    watermark: EpochMs,
}

impl CommunityWindows {
    /// With nothing in them.
    pub fn new() -> CommunityWindows {
        CommunityWindows::default()
    }

    /// Takes in one interaction, or takes it back. `watermark` is `None` before the first event time. A time beyond what can be
    /// reckoned with (some 70 million years from the epoch) is [`Applied::Late`].
    ///
    /// What comes while an emission is due counts as come just before it. So whatever a pane shows was let in by it, however
    /// far the watermark runs ahead of the emissions.
    pub fn apply(
        &mut self,
        set: &WindowSet,
        contribution: &Contribution,
        change: Change,
        watermark: Option<EpochMs>,
    ) -> Applied {
        let Contribution { at, counts, member } = *contribution;
        let Some(open) = self.open(set, at, watermark) else {
            if let (Change::Retract, Some(member)) = (change, member) {
                self.take_author(set, at, member);
            }
            return Applied::Late;
        };
        let missed_panes = if open.late { missed_panes(set, at, open.watermark) } else { 0 };
        let (slice, created) = self.levels.slice_or_new(set, open.level, open.start);
        match change {
            Change::Add => {
                let marked = Counts { late: i64::from(open.late), missed: i64::from(missed_panes), ..counts };
                slice.counts.add(&marked, 1);
            }
            Change::Restate => slice.counts.add(&counts, 1),
            Change::Retract => slice.counts.add(&counts, -1),
        }
        if member.is_some() {
            slice.from_members += if change == Change::Retract { -1 } else { 1 };
        }
        slice.mark(open.level, &mut self.changed);
        if created {
            self.schedule(set, open.level, open.start, open.watermark);
        }
        if open.late {
            self.revise(set, at, open.watermark);
        }
        if let Some(member) = member {
            let other = match change {
                Change::Add | Change::Restate => self.meet(set, &open, member),
                Change::Retract => self.unmeet(set, &open, member),
            };
            // Where they were new they are not any more, or the other way round.
            for time in other.into_iter().flatten() {
                self.revise(set, time, open.watermark);
            }
        }
        Applied::Counted { missed_panes }
    }

    /// The brand's first response to somebody came `delay_ms` after them, at event time `at`; or it was not the first after all.
    pub fn respond(&mut self, set: &WindowSet, at: EpochMs, delay_ms: i64, change: Change, watermark: Option<EpochMs>) {
        let Some(open) = self.open(set, at, watermark) else { return };
        // The response is an interaction itself, which made the slice.
        let Some(slice) = self.levels.slice_mut(open.level, open.start) else { return };
        let times = if change == Change::Retract { -1 } else { 1 };
        slice.responses.add(bucket(delay_ms), times);
        slice.mark(open.level, &mut self.changed);
        if open.late {
            self.revise(set, at, open.watermark);
        }
    }

    /// What rows say as of their ends after `after` and up to `to` is another thing now: those that were emitted and are not
    /// closed are emitted again.
    pub fn revise_ends(&mut self, set: &WindowSet, after: EpochMs, to: EpochMs, watermark: Option<EpochMs>) {
        let watermark = self.judge(watermark.unwrap_or(EpochMs::MIN / 2));
        let to = to.min(watermark);
        if after >= to {
            return;
        }
        for (window, spec) in set.specs().iter().enumerate() {
            let first_open = watermark.saturating_sub(spec.lateness_ms).saturating_add(1);
            let from = after.saturating_add(1).max(first_open);
            if from > to {
                continue;
            }
            let known = self.revised.len();
            let ends = self.emitted.range((from, 0)..=(to, u8::MAX)).map(|(&key, _)| key);
            self.revised.extend(ends.filter(|&(_, of)| usize::from(of) == window));
            if self.revised.len() > known {
                self.hold(from, spec.lateness_ms);
            }
        }
    }

    /// An interaction is not told apart from others any more, though what it counts for stays: its identity left. Where a pane may
    /// still ask for it, its member goes into a sketch. False if none does: then nothing changed.
    ///
    /// To forget again what was recalled after a restore, though it had been forgotten before, makes no difference.
    pub fn forget_author(&mut self, set: &WindowSet, at: EpochMs, member: MemberKey) -> bool {
        let Some((id, level, start)) = self.take_author(set, at, member) else { return false };
        self.members.leave(id, start + set.levels()[level].size_ms);
        if let Some(slice) = self.levels.slice_mut(level, start) {
            slice.sketch.get_or_insert_with(|| Box::new(MemberSketch::new())).add(member);
            slice.mark(level, &mut self.changed);
        }
        true
    }

    /// Forgets members who were last active before this time; false if there was none.
    pub fn forget_members(&mut self, before: EpochMs) -> bool {
        let known = self.members.len();
        self.members.forget(before);
        self.members.len() < known
    }

    /// Forgets that a member was ever seen before the interactions of theirs that are counted now, or at all where there is none. Panes in
    /// which they were new, or are now, are revised.
    pub fn forget_member(&mut self, set: &WindowSet, member: MemberKey, watermark: Option<EpochMs>) {
        let Some((id, before)) = self.members.find(member) else { return };
        let now = self.levels.first_of(id);
        self.members.forget_past(id, now);
        if now == Some(before) {
            return;
        }
        let watermark = self.judge(watermark.unwrap_or(EpochMs::MIN / 2));
        for time in [Some(before), now].into_iter().flatten() {
            self.revise(set, time, watermark);
        }
    }

    /// Whether members in it are not told apart any more: such cannot be renamed.
    pub fn has_sketches(&self) -> bool {
        self.levels.has_sketches()
    }

    /// Members have other names from now on; where two get one, they are one, in panes that are still to be emitted. False if nobody
    /// has.
    pub fn rename_members(&mut self, name_of: impl Fn(MemberKey) -> Option<MemberKey>) -> bool {
        let (any, merged) = self.members.rename(name_of);
        if !merged.is_empty() {
            for slice in self.levels.slices_mut() {
                for &(gone, kept) in &merged {
                    let times = slice.times_of(gone);
                    if times != 0 {
                        slice.members.add(gone, -times);
                        slice.members.add(kept, times);
                    }
                }
                // No place that is another's soon may be left in it.
                slice.members.entries();
            }
        }
        any
    }

    /// When those who are remembered and not active any more were last active, to the slice.
    pub fn idle_members(&self) -> impl Iterator<Item = EpochMs> + '_ {
        self.members.idle()
    }

    /// The start of the slice in which a member was first seen; `None` if they are not remembered.
    pub fn first_seen(&self, member: MemberKey) -> Option<EpochMs> {
        self.members.state(member).map(|state| state.first_seen)
    }

    /// Everybody who is remembered.
    pub fn member_keys(&self) -> impl Iterator<Item = MemberKey> + '_ {
        self.members.keys()
    }

    /// How many members are known.
    pub fn members(&self) -> usize {
        self.members.len()
    }

    /// True when there is nothing left to know: the community may be forgotten.
    pub fn is_idle(&self) -> bool {
        self.levels.is_empty() && self.pending.is_empty() && self.revised.is_empty() && self.members.len() == 0
    }

    /// How a change at this time is to be judged; `None` if every pane that would hold it is closed.
    fn open(&mut self, set: &WindowSet, at: EpochMs, watermark: Option<EpochMs>) -> Option<Open> {
        if !TIMES.contains(&at) {
            return None;
        }
        let watermark = self.judge(watermark.unwrap_or(EpochMs::MIN / 2));
        let open_level = open_level(set, at, watermark)?;
        // The finest level that this time has not left yet: what was counted then, or will be, is together there. It has left it,
        // but not its slices, if the next emission is still to come.
        let stays = |level: &Level| floor(at, level.size_ms) + level.size_ms + level.keep_ms > watermark;
        let finest = set.levels().iter().position(stays).unwrap_or(open_level).min(open_level);
        let level = self.levels.level_of(set, at).map_or(finest, |held| held.min(finest));
        let start = floor(at, set.levels()[level].size_ms);
        let finest_ms = set.levels()[0].size_ms;
        let late = floor(at, finest_ms) + finest_ms <= watermark;
        Some(Open { level, start, late, watermark })
    }

    /// Takes a member's interaction out of its slice. Gives their place, and the slice's level and start.
    fn take_author(&mut self, set: &WindowSet, at: EpochMs, member: MemberKey) -> Option<(MemberId, usize, EpochMs)> {
        let (level, start) = self.place_of(set, at)?;
        let slice = self.levels.slice_mut(level, start)?;
        let (id, _) = self.members.take(member)?;
        slice.members.add(id, -1);
        Some((id, level, start))
    }

    /// The finest slice that holds this time: its level and its start.
    fn place_of(&self, set: &WindowSet, at: EpochMs) -> Option<(usize, EpochMs)> {
        let level = self.levels.level_of(set, at)?;
        Some((level, floor(at, set.levels()[level].size_ms)))
    }

    /// Counts a member. Gives when they had been new before, if they are new elsewhere now.
    fn meet(&mut self, set: &WindowSet, open: &Open, member: MemberKey) -> [Option<EpochMs>; 2] {
        let (id, before) = self.members.add(member, open.start);
        self.levels.slice_or_new(set, open.level, open.start).0.members.add(id, 1);
        [before, None]
    }

    /// Takes a member's interaction back. Gives when they had been new before, and when they are new now, if that is another
    /// time.
    fn unmeet(&mut self, set: &WindowSet, open: &Open, member: MemberKey) -> [Option<EpochMs>; 2] {
        let Some((id, first_seen)) = self.members.take(member) else { return [None, None] };
        let slice = self.levels.slice_or_new(set, open.level, open.start).0;
        slice.members.add(id, -1);
        let end = open.start + set.levels()[open.level].size_ms;
        // What was seen before all slices stays seen.
        let sketched = slice.sketch.as_ref().is_some_and(|sketch| sketch.may_hold(member));
        if !(open.start..end).contains(&first_seen) || slice.holds(id) || sketched {
            return [None, None];
        }
        let now = self.levels.first_of(id);
        self.members.move_first(id, now);
        [Some(first_seen), now]
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
}

/// Times that can be reckoned with: a window's length and lateness may be added and taken away.
const TIMES: RangeInclusive<EpochMs> = EpochMs::MIN / 4..=EpochMs::MAX / 4;

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
