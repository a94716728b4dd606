//! The slices of one community, by level.

use std::collections::VecDeque;

use record::EpochMs;

use crate::members::MemberId;
use crate::sketch::MemberSketch;
use crate::spec::floor;
use crate::tally::Tally;
use crate::{Counts, StateKey, WindowSet};

/// What fell into one stretch of time.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) start: EpochMs,
    pub(crate) counts: Counts,
    /// Those of the interactions that are from members.
    pub(crate) from_members: i64,
    /// Interactions by member. Not in the changelog: it follows from the interactions.
    pub(crate) members: Tally<MemberId>,
    /// Members with interactions that are not told apart any more; those may be among `members` too.
    pub(crate) sketch: Option<Box<MemberSketch>>,
    /// First responses by the bucket of how long they took, likewise.
    pub(crate) responses: Tally<u16>,
    pub(crate) changed: bool,
}

/// Slices by level, in order of start. A slice that a retraction emptied stays: panes that were emitted depend on it.
#[derive(Debug, Default)]
pub(crate) struct Levels(Vec<VecDeque<Slice>>);

impl Levels {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(VecDeque::is_empty)
    }

    /// The slice, and whether it is a new one.
    pub(crate) fn slice_or_new(&mut self, set: &WindowSet, level: usize, start: EpochMs) -> (&mut Slice, bool) {
        if self.0.is_empty() {
            self.0.resize_with(set.levels().len(), VecDeque::new);
        }
        let slices = &mut self.0[level];
        // Almost always it is the newest.
        let place = match slices.back() {
            Some(last) if last.start == start => Ok(slices.len() - 1),
            Some(last) if last.start < start => Err(slices.len()),
            None => Err(0),
            Some(_) => slices.binary_search_by_key(&start, |slice| slice.start),
        };
        match place {
            Ok(at) => (&mut slices[at], false),
            Err(at) => {
                slices.insert(at, Slice { start, ..Slice::default() });
                (&mut slices[at], true)
            }
        }
    }

    pub(crate) fn slice_mut(&mut self, level: usize, start: EpochMs) -> Option<&mut Slice> {
        let slices = self.0.get_mut(level)?;
        let at = slices.binary_search_by_key(&start, |slice| slice.start).ok()?;
        slices.get_mut(at)
    }

    /// The level of the finest slice that holds this time: what was counted then is in it, or would be.
    pub(crate) fn level_of(&self, set: &WindowSet, time: EpochMs) -> Option<usize> {
        let levels = self.0.iter().zip(set.levels());
        let holds = |(slices, level): (&VecDeque<Slice>, &crate::spec::Level)| {
            let start = floor(time, level.size_ms);
            // The newest is by far the likeliest.
            slices.back().is_some_and(|last| last.start == start)
                || slices.binary_search_by_key(&start, |slice| slice.start).is_ok()
        };
        levels.enumerate().find(|&(_, level)| holds(level)).map(|(number, _)| number)
    }

    pub(crate) fn remove(&mut self, level: usize, start: EpochMs) {
        if let Some(slices) = self.0.get_mut(level)
            && let Ok(at) = slices.binary_search_by_key(&start, |slice| slice.start)
        {
            slices.remove(at);
        }
    }

    /// The oldest slice of a level.
    pub(crate) fn first(&self, level: usize) -> Option<&Slice> {
        self.0.get(level)?.front()
    }

    pub(crate) fn pop_first(&mut self, level: usize) -> Option<Slice> {
        self.0.get_mut(level)?.pop_front()
    }

    /// Where each slice is: its level and its start.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, EpochMs)> + '_ {
        let levels = self.0.iter().enumerate();
        levels.flat_map(|(level, slices)| slices.iter().map(move |slice| (level, slice.start)))
    }

    /// The slices of which a pane of this window is made. Those of coarser levels hold only what its open panes do not.
    pub(crate) fn within(
        &mut self,
        set: &WindowSet,
        window: usize,
        start: EpochMs,
        end: EpochMs,
    ) -> impl Iterator<Item = &mut Slice> {
        self.0.iter_mut().take(set.level_of(window) + 1).flat_map(move |slices| {
            let from = slices.partition_point(|slice| slice.start < start);
            slices.range_mut(from..).take_while(move |slice| slice.start < end)
        })
    }

    /// Every slice.
    pub(crate) fn slices_mut(&mut self) -> impl Iterator<Item = &mut Slice> {
        self.0.iter_mut().flatten()
    }

    /// Whether in any slice there are members who are not told apart any more.
    pub(crate) fn has_sketches(&self) -> bool {
        self.0.iter().flatten().any(|slice| slice.sketch.is_some())
    }

    /// The start of the earliest slice in which a member has an interaction.
    pub(crate) fn first_of(&mut self, member: MemberId) -> Option<EpochMs> {
        let firsts = self
            .0
            .iter_mut()
            .filter_map(|slices| slices.iter_mut().find_map(|slice| slice.holds(member).then_some(slice.start)));
        firsts.min()
    }
}

impl Slice {
    /// It is to be written to the changelog.
    pub(crate) fn mark(&mut self, level: usize, changed: &mut Vec<StateKey>) {
        if !self.changed {
            self.changed = true;
            changed.push(StateKey::Slice { level: level as u8, start: self.start });
        }
    }

    /// How many interactions a member has in it.
    pub(crate) fn times_of(&mut self, member: MemberId) -> i32 {
        let entries = self.members.entries();
        entries.binary_search_by_key(&member, |&(id, _)| id).map_or(0, |at| entries[at].1)
    }

    /// Whether a member has an interaction in it.
    pub(crate) fn holds(&mut self, member: MemberId) -> bool {
        self.members.entries().binary_search_by_key(&member, |&(id, _)| id).is_ok()
    }
}
