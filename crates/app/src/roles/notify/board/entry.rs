//! One alert on the board of one target.

use std::collections::VecDeque;
use std::sync::Arc;

use record::EpochMs;

use super::super::row::{Progress, Row, SILENCE, State};
use super::{Note, Why, is_silenced};

#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) row: Arc<Row>,
    /// Nobody needs it any more if another follows.
    pub(super) late: bool,
    /// What becomes of it was counted already.
    pub(super) seen: bool,
    pub(super) number: u64,
    pub(super) since: EpochMs,
}

/// Where an alert comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Partition(i32),
    /// The system itself.
    Observer,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) source: Source,
    /// The newest row of an alert that is on.
    pub(super) latest: Option<Arc<Row>>,
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) progress: Progress,
    pub(super) held: Option<Why>,
    pub(super) resend_at: EpochMs,
    /// The transition after which it was refused for good to be told again.
    pub(super) refused: Option<i32>,
}

impl Entry {
    pub(super) fn new(source: Source) -> Entry {
        Entry {
            source,
            latest: None,
            waiting: VecDeque::new(),
            progress: Progress::default(),
            held: None,
            resend_at: EpochMs::MIN,
            refused: None,
        }
    }

    /// Its end was told, and nothing else is to be.
    pub(super) fn is_over(&self) -> bool {
        let told = self.progress.told.as_ref().is_some_and(|told| told.state == State::Resolved);
        let waits = self.waiting.back().is_some_and(|waiting| waiting.row.state == State::Resolved);
        self.latest.is_none() && ((told && self.waiting.is_empty()) || waits)
    }

    /// Whether a row is a change of state that is to be told.
    pub(super) fn is_news(&self, row: &Row) -> bool {
        let told = self.progress.told.as_ref().map(|told| (told.transition, told.state));
        let last = self.waiting.back().map(|waiting| (waiting.row.alert.transition, waiting.row.state)).or(told);
        match (row.state, last) {
            (State::Pending, _) => false,
            (_, None) => true,
            // Rebuilt otherwise it may have been through fewer changes, and must come to its end all the same.
            (State::Resolved, Some((_, state))) => state != State::Resolved,
            (_, Some((transition, _))) => row.alert.transition > transition,
        }
    }

    /// A row as it is told: a rebuilt alert may have been through fewer changes, and its end has an id of its own all the same, or
    /// whoever was told of the change with that number takes it for a repeat. After a crash it is the same again.
    pub(super) fn numbered(&self, mut row: Row) -> Row {
        if row.state == State::Resolved
            && let Some(told) = self.progress.told.as_ref().filter(|told| told.state.is_on())
            && row.alert.transition <= told.transition
        {
            row.alert.transition = told.transition.saturating_add(1);
        }
        row
    }

    /// Why nothing but its end may be told now.
    pub(super) fn hold(&self, blind: bool, now: EpochMs) -> Option<Why> {
        let row = self.latest.as_ref().or_else(|| self.waiting.back().map(|waiting| &waiting.row))?;
        if is_silenced(row, now) {
            return Some(Why::Silenced);
        }
        let disbelieved = row.alert.inhibited_by.is_some() || (blind && row.alert.rule == SILENCE);
        disbelieved.then_some(Why::Inhibited)
    }

    /// Holds back what waits: when the reason is gone only the newest is told; when the alert is over only that.
    pub(super) fn keep_back(&mut self, why: Why, notes: &mut Vec<Note>) {
        let over = self.waiting.back().is_some_and(|waiting| waiting.row.state == State::Resolved);
        while over && self.waiting.len() > 1 {
            self.drop_first(why, notes);
        }
        for waiting in self.waiting.iter_mut().filter(|_| !over) {
            waiting.late = true;
        }
        if !over
            && self.held != Some(why)
            && let Some(waiting) = self.waiting.back().filter(|waiting| !waiting.seen)
        {
            notes.push(Note::Held { notification_id: waiting.row.notification_id(), why });
        }
    }

    pub(super) fn drop_first(&mut self, why: Why, notes: &mut Vec<Note>) {
        if let Some(waiting) = self.waiting.pop_front()
            && !waiting.seen
        {
            notes.push(Note::Unsent { notification_id: waiting.row.notification_id(), why });
        }
    }
}
