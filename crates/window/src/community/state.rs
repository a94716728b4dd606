//! The windows in the changelog: what is written of them, and how they are read back.

use record::EpochMs;
use serde::{Deserialize, Serialize};

use super::{CommunityWindows, Contribution, Emitted, PaneKey, Pending, TIMES, changing_ends};
use crate::members::MemberState;
use crate::sketch::MemberSketch;
use crate::{Counts, MemberKey, WindowSet};

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
    /// A member who was seen.
    Member(MemberKey),
}

/// A piece of state, for the changelog. What follows from the interactions themselves is not in it: see
/// [`CommunityWindows::recall`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StateValue {
    /// What a slice holds.
    Slice {
        /// What is counted.
        counts: Counts,
        /// Those of the interactions that are from members.
        from_members: i64,
        /// First responses by bucket.
        responses: Vec<(u16, i32)>,
        /// Members with interactions that are not told apart any more.
        sketch: Option<Box<MemberSketch>>,
    },
    /// The revision that a pane was last emitted with.
    Pane(u32),
    /// When a member was seen.
    Member(MemberState),
}

impl CommunityWindows {
    /// What changed since the last call, for the changelog; `None` where it is gone. To be called right after
    /// [`CommunityWindows::emit`], and stored with its watermark: what is due again but not yet emitted is not in it.
    pub fn take_changed(&mut self, see: &mut dyn FnMut(StateKey, Option<StateValue>)) {
        let mut changed = std::mem::take(&mut self.changed);
        changed.extend(self.members.take_changed().map(StateKey::Member));
        changed.sort_unstable();
        changed.dedup();
        for key in &changed {
            let value = match *key {
                StateKey::Slice { level, start } => self.levels.slice_mut(usize::from(level), start).map(|slice| {
                    slice.changed = false;
                    StateValue::Slice {
                        counts: slice.counts,
                        from_members: slice.from_members,
                        responses: slice.responses.entries().to_vec(),
                        sketch: slice.sketch.clone(),
                    }
                }),
                StateKey::Pane { window, end } => match self.emitted.get(&(end, window)) {
                    Some(emitted) => Some(StateValue::Pane(emitted.revision)),
                    None if self.pending.contains_key(&(end, window)) => Some(StateValue::Pane(0)),
                    None => None,
                },
                StateKey::Member(member) => self.members.state(member).map(StateValue::Member),
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
            (StateKey::Slice { level, start }, Some(StateValue::Slice { counts, from_members, responses, sketch })) => {
                let (slice, _) = self.levels.slice_or_new(set, usize::from(level), start);
                slice.counts = counts;
                slice.from_members = from_members;
                slice.sketch = sketch;
                slice.responses = responses.into_iter().collect();
            }
            (StateKey::Slice { level, start }, _) => self.levels.remove(usize::from(level), start),
            (StateKey::Pane { window, end }, Some(StateValue::Pane(revision))) => {
                self.emitted.insert((end, window), Emitted { revision, stored: true });
            }
            (StateKey::Pane { window, end }, _) => {
                self.emitted.remove(&(end, window));
            }
            (StateKey::Member(member), Some(StateValue::Member(state))) => self.members.restore(member, Some(state)),
            (StateKey::Member(member), _) => self.members.restore(member, None),
        }
        true
    }

    /// All pieces are restored: what is due follows from the slices and the watermark. What follows from the interactions is
    /// still to be told, see [`CommunityWindows::recall`].
    pub fn restored(&mut self, set: &WindowSet, watermark: Option<EpochMs>) {
        self.judged_at = watermark;
        let watermark = watermark.unwrap_or(EpochMs::MIN / 2);
        // What was stored and is still to come was never emitted.
        let to_come: Vec<PaneKey> = self.emitted.keys().copied().filter(|&(end, _)| end > watermark).collect();
        for key in to_come {
            self.emitted.remove(&key);
            self.pending.insert(key, Pending { late: false, stored: true });
        }
        let (pending, emitted) = (&mut self.pending, &mut self.emitted);
        for (level, start) in self.levels.places() {
            for window in 0..set.specs().len() {
                for end in changing_ends(set, window, level, start) {
                    if end > watermark {
                        pending.entry((end, window as u8)).or_insert(Pending { late: false, stored: false });
                    } else {
                        emitted.entry((end, window as u8)).or_insert(Emitted { revision: 0, stored: false });
                    }
                }
            }
        }
        self.close(set, watermark);
    }

    /// After [`CommunityWindows::restored`]: an interaction that is counted, and is in its slice already, is from this member.
    pub fn recall(&mut self, set: &WindowSet, contribution: &Contribution) {
        let (Some(member), Some((level, start))) = (contribution.member, self.place_of(set, contribution.at)) else {
            return;
        };
        let id = self.members.recall(member, start);
        if let Some(slice) = self.levels.slice_mut(level, start) {
            slice.members.add(id, 1);
        }
    }
}

/// Whether a piece of state can be one of these windows.
fn is_of(set: &WindowSet, key: StateKey, value: Option<&StateValue>) -> bool {
    let (time, size_ms, kind_fits) = match key {
        StateKey::Slice { level, start } => {
            let Some(level) = set.levels().get(usize::from(level)) else { return false };
            (start, level.size_ms, matches!(value, None | Some(StateValue::Slice { .. })))
        }
        StateKey::Pane { window, end } => {
            let Some(spec) = set.specs().get(usize::from(window)) else { return false };
            (end, spec.slide_ms, matches!(value, None | Some(StateValue::Pane(_))))
        }
        StateKey::Member(_) => return matches!(value, None | Some(StateValue::Member(_))),
    };
    kind_fits && TIMES.contains(&time) && time.rem_euclid(size_ms) == 0
}
