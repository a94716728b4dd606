//! The complaints of one community that have a service level: how many are past it, as of any end that can still be asked for.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::ops::Bound::{Excluded, Included};

use record::EpochMs;

use crate::community::identity::SlotId;

/// When it was closed, if it was, and when it was due.
type Due = (Option<EpochMs>, EpochMs);

#[derive(Debug)]
pub(crate) struct Overdue {
    /// Those that wait, by when they are due.
    waiting: BTreeSet<(EpochMs, SlotId)>,
    /// Those that do not any more: since when, and when they were due.
    closed: BTreeSet<(EpochMs, EpochMs, SlotId)>,
    /// How many of those that wait were due by an end that was asked for last.
    counted: Cell<(EpochMs, usize)>,
}

impl Default for Overdue {
    fn default() -> Overdue {
        let counted = Cell::new((EpochMs::MIN, 0));
        Overdue { waiting: BTreeSet::new(), closed: BTreeSet::new(), counted }
    }
}

impl Overdue {
    /// An item stands otherwise than before.
    pub(super) fn change(&mut self, slot: SlotId, before: Option<Due>, now: Option<Due>) {
        let (upto, mut count) = self.counted.get();
        let waits = |due: Option<Due>| due.is_some_and(|(closed_at, due_at)| closed_at.is_none() && due_at <= upto);
        count = (count + usize::from(waits(now))).saturating_sub(usize::from(waits(before)));
        self.counted.set((upto, count));
        match before {
            Some((Some(closed_at), due_at)) => self.closed.remove(&(closed_at, due_at, slot)),
            Some((None, due_at)) => self.waiting.remove(&(due_at, slot)),
            None => false,
        };
        match now {
            Some((Some(closed_at), due_at)) => self.closed.insert((closed_at, due_at, slot)),
            Some((None, due_at)) => self.waiting.insert((due_at, slot)),
            None => false,
        };
    }

    /// When the next of those that wait is due, after a time.
    pub(crate) fn next_after(&self, at: EpochMs) -> Option<EpochMs> {
        self.waiting.range((at.saturating_add(1), 0)..).next().map(|&(due_at, _)| due_at)
    }

    /// How many were past their service level at `end`.
    pub(crate) fn as_of(&self, end: EpochMs) -> usize {
        // Ends come in order: what became due since the last one is added.
        let (upto, count) = self.counted.get();
        let overdue = if end == upto {
            count
        } else if end > upto {
            let since_then = (Excluded((upto, SlotId::MAX)), Included((end, SlotId::MAX)));
            count + self.waiting.range(since_then).count()
        } else {
            self.waiting.range(..=(end, SlotId::MAX)).count()
        };
        self.counted.set((end, overdue));
        let closed_later = self.closed.range((end.saturating_add(1), EpochMs::MIN, 0)..);
        let was_overdue = closed_later.filter(|&&(_, due_at, _)| due_at <= end).count();
        overdue + was_overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_past_its_service_level_from_then_until_it_is_closed() {
        let mut overdue = Overdue::default();
        overdue.change(1, None, Some((None, 100)));
        overdue.change(2, None, Some((None, 50)));
        overdue.change(2, Some((None, 50)), Some((Some(80), 50)));
        let as_of = [49, 50, 80, 100].map(|end| overdue.as_of(end));
        assert_eq!(as_of, [0, 1, 0, 1]);
        overdue.change(1, Some((None, 100)), None);
        assert_eq!((overdue.as_of(100), overdue.next_after(0)), (0, None));
    }
}
