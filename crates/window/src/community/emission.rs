//! What a community's windows emit, and what they let go of.

use record::{Direction, EpochMs, Timing};

use super::{CommunityWindows, Emitted, Pane, Pending, StateKey};
use crate::levels::Slice;
use crate::regularity::regularity;
use crate::spec::floor;
use crate::{Counts, WindowSet, responses};

impl CommunityWindows {
    /// The least watermark at which [`CommunityWindows::emit`] has something to do; `None` if it never will without a
    /// further change.
    pub fn next_due(&self, set: &WindowSet) -> Option<EpochMs> {
        let pending = self.pending.keys().next().map(|&(end, _)| end);
        let revised = self.revised.first().map(|&(end, _)| end);
        let rolling = set.levels().iter().enumerate().filter_map(|(number, level)| {
            let first = self.levels.first(number)?;
            Some(first.start + level.size_ms + level.keep_ms)
        });
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

    fn see(
        &mut self,
        set: &WindowSet,
        window: u8,
        end: EpochMs,
        revision: u32,
        timing: Timing,
        see: &mut dyn FnMut(Pane<'_>),
    ) {
        let window = usize::from(window);
        let spec = &set.specs()[window];
        let start = end - spec.length_ms;
        let mut counts = Counts::default();
        let (mut contacts, mut responses) = (Vec::new(), Vec::new());
        let mut members = self.members.meet(start, end);
        for slice in self.levels.within(set, window, start, end) {
            counts.add(&slice.counts, 1);
            members.see(&mut slice.members, slice.sketch.as_deref(), slice.from_members);
            responses.extend_from_slice(slice.responses.entries());
            if is_contact(slice) {
                contacts.push((slice.start - start).div_euclid(spec.slide_ms));
            }
        }
        let members = members.figures();
        let responses = responses::figures(responses);
        let contact_regularity = regularity(&mut contacts);
        let counts = &counts;
        see(Pane { window, start, end, revision, timing, counts, members, responses, contact_regularity });
    }

    /// Forgets emitted panes whose allowed lateness is over.
    pub(super) fn close(&mut self, set: &WindowSet, watermark: EpochMs) {
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
            let over = |slice: &Slice| slice.start + level.size_ms + level.keep_ms <= watermark;
            while self.levels.first(number).is_some_and(over)
                && let Some(mut slice) = self.levels.pop_first(number)
            {
                self.changed.push(StateKey::Slice { level: number as u8, start: slice.start });
                match set.levels().get(number + 1) {
                    Some(coarser) => self.take_in(set, number + 1, floor(slice.start, coarser.size_ms), slice),
                    None => self.members.age(&mut slice.members, slice.start + level.size_ms),
                }
            }
        }
    }

    fn take_in(&mut self, set: &WindowSet, level: usize, start: EpochMs, finer: Slice) {
        let (slice, _) = self.levels.slice_or_new(set, level, start);
        slice.counts.add(&finer.counts, 1);
        slice.from_members += finer.from_members;
        slice.members.merge(finer.members);
        slice.sketch = match (slice.sketch.take(), finer.sketch) {
            (Some(mut mine), Some(theirs)) => {
                mine.merge(&theirs);
                Some(mine)
            }
            (mine, theirs) => mine.or(theirs),
        };
        slice.responses.merge(finer.responses);
        slice.mark(level, &mut self.changed);
    }
}

/// Whether the brand was in contact.
fn is_contact(slice: &Slice) -> bool {
    let by = |direction: Direction| slice.counts.by_direction[direction as usize];
    by(Direction::BrandToAll) + by(Direction::BrandToMember) > 0
}
