//! Whom the brand has answered, and who waits: first responses and open complaints.
//!
//! Nothing here is in the changelog, but for the responses in the slices: it follows from the index of identities, in which a reply
//! of the brand names what it answers. An answer counts for the interaction that it names (a comment's parent, else its post); the first of them is the
//! response. A complaint of a member is open from its event time until then.

use std::collections::{BTreeSet, HashMap};

use record::{EpochMs, Kind, Label};
use sha2::{Digest, Sha256};
use window::{Change, WindowSet};

use super::Shared;
use super::identity::{Entry, SlotId};
use super::partition::{Community, Partition};

/// What stands for the interaction that a reply answers: the first 8 bytes of SHA-256 of its key in the index. It is known before
/// the interaction is, and nobody can make up another with the same.
pub(super) type TargetHash = u64;

/// The hash of a key in the index.
pub(super) fn target_hash(key: &[u8]) -> TargetHash {
    let digest = Sha256::digest(key);
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// What the brand has answered.
#[derive(Debug, Default)]
pub(super) struct Answers(HashMap<TargetHash, Target, ahash::RandomState>);

#[derive(Debug, Default)]
struct Target {
    /// The interaction, if it is known.
    slot: Option<SlotId>,
    /// The brand's replies by their event times.
    replies: BTreeSet<(EpochMs, SlotId)>,
    /// The first response as the windows have it: when, and how long after.
    response: Option<(EpochMs, i64)>,
}

/// The complaints of one community.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    open: BTreeSet<(EpochMs, SlotId)>,
    /// When they were answered, and when made.
    answered: BTreeSet<(EpochMs, EpochMs, SlotId)>,
}

/// How long a complaint waits: since when, and until when if it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) since: EpochMs,
    pub(super) until: Option<EpochMs>,
}

impl Complaints {
    fn add(&mut self, slot: SlotId, waiting: Waiting) {
        match waiting.until {
            Some(until) => self.answered.insert((until, waiting.since, slot)),
            None => self.open.insert((waiting.since, slot)),
        };
    }

    fn remove(&mut self, slot: SlotId, waiting: Waiting) {
        match waiting.until {
            Some(until) => self.answered.remove(&(until, waiting.since, slot)),
            None => self.open.remove(&(waiting.since, slot)),
        };
    }

    /// How many are open as of `end`, and when the oldest of them was made, among those made within `[from, end)`.
    pub(super) fn open_as_of(&self, from: EpochMs, end: EpochMs) -> (i64, Option<EpochMs>) {
        let range = (from, 0)..(end, 0);
        let oldest = self.open.range(range.clone()).next().map(|&(since, _)| since);
        // By far most lie within the longest window, and few within a short one: what is fewer is counted.
        let whole = self.open.first().is_some_and(|&(since, _)| since >= from);
        let still_open = if whole {
            self.open.len().saturating_sub(self.open.range((end, 0)..).count())
        } else {
            self.open.range(range).count()
        };
        let (mut count, mut oldest) = (still_open as i64, oldest.unwrap_or(EpochMs::MAX));
        // Answered later than that.
        for &(_, since, _) in self.answered.range((end, EpochMs::MIN, 0)..) {
            if (from..end).contains(&since) {
                count += 1;
                oldest = oldest.min(since);
            }
        }
        (count, (count > 0).then_some(oldest))
    }

    /// Lets go of what no pane can ask for any more: those answered before `ends_from`, and those made before `made_from`.
    pub(super) fn prune(&mut self, ends_from: EpochMs, made_from: EpochMs) {
        while self.answered.first().is_some_and(|&(until, _, _)| until < ends_from) {
            self.answered.pop_first();
        }
        while self.open.first().is_some_and(|&(since, _)| since < made_from) {
            self.open.pop_first();
        }
    }
}

impl Answers {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the brand replied to what has this hash, from a time on, in order.
    pub(super) fn to(&self, hash: TargetHash, from: EpochMs) -> impl Iterator<Item = EpochMs> {
        self.0.get(&hash).into_iter().flat_map(move |target| target.replies.range((from, 0)..).map(|&(at, _)| at))
    }
}

impl Partition {
    /// An entry came, changed or went: brings up to date whom it answers, who answers it, and whether it waits.
    /// `asked` is the interaction that it answers now, if that is known.
    pub(super) fn settle_answers(&mut self, slot: SlotId, old: Option<Entry>, asked: Option<SlotId>, shared: &Shared) {
        let new = self.index.slot(slot).entry;
        let of = |entry: Entry| Some((entry.reply_to()?, entry.event_time));
        let (before, after) = (old.and_then(of), of(new));
        if before != after {
            if let Some((hash, at)) = before
                && let Some(target) = self.answers.0.get_mut(&hash)
            {
                target.replies.remove(&(at, slot));
            }
            if let Some((hash, at)) = after {
                let target = self.answers.0.entry(hash).or_default();
                target.replies.insert((at, slot));
                target.slot = target.slot.or(asked);
            }
            for (hash, _) in [before, after].into_iter().flatten() {
                self.respond(hash, shared);
            }
        }
        if new.brand && old.is_none_or(|old| old.brand) {
            return;
        }
        let hash = if self.answers.0.is_empty() { 0 } else { target_hash(self.index.slot(slot).key()) };
        match self.answers.0.get_mut(&hash) {
            Some(target) => {
                target.slot = Some(slot);
                self.respond(hash, shared);
            }
            None => self.wait(slot, &new, None, shared),
        }
    }

    /// The first response to one interaction may be another one now.
    fn respond(&mut self, hash: TargetHash, shared: &Shared) {
        let Some(target) = self.answers.0.get_mut(&hash) else { return };
        let asked = target.slot.map(|slot| (slot, self.index.slot(slot).entry));
        let response = asked.filter(|(_, asked)| asked.is_counted() && !asked.brand).and_then(|(_, asked)| {
            let &(at, _) = target.replies.range((asked.event_time, 0)..).next()?;
            Some((at, at - asked.event_time))
        });
        let before = std::mem::replace(&mut target.response, response);
        if target.replies.is_empty() {
            self.answers.0.remove(&hash);
        }
        let Some((slot, asked)) = asked else { return };
        self.items.touch(slot);
        self.touch_talk_of(slot);
        if before != response {
            let watermark = self.watermark.value();
            if let Some(community) = self.community_at(slot) {
                let windows = &mut community.windows;
                if let Some((at, delay_ms)) = before {
                    windows.respond(&shared.windows, at, delay_ms, Change::Retract, watermark);
                }
                if let Some((at, delay_ms)) = response {
                    windows.respond(&shared.windows, at, delay_ms, Change::Add, watermark);
                }
            }
            self.touch_of(slot, shared);
        }
        self.wait(slot, &asked, response.map(|(at, _)| at), shared);
    }

    /// Whether an interaction is a complaint that waits, or waited until it was answered.
    fn wait(&mut self, slot: SlotId, entry: &Entry, answered: Option<EpochMs>, shared: &Shared) {
        let waiting = waiting_of(entry, answered);
        let before = match waiting {
            Some(waiting) => self.waiting.insert(slot, waiting),
            None if self.waiting.is_empty() => None,
            None => self.waiting.remove(&slot),
        };
        if before == waiting {
            return;
        }
        let watermark = self.watermark.value();
        if let Some(community) = self.community_at(slot) {
            if let Some(before) = before {
                community.complaints.remove(slot, before);
            }
            if let Some(waiting) = waiting {
                community.complaints.add(slot, waiting);
            }
            let (after, to) = changed_ends(before, waiting);
            community.windows.revise_ends(&shared.windows, after, to, watermark);
        }
        self.touch_of(slot, shared);
    }

    fn community_at(&mut self, slot: SlotId) -> Option<&mut Community> {
        let number = self.community_of(slot)?;
        self.communities[number as usize].as_mut()
    }

    fn touch_of(&mut self, slot: SlotId, shared: &Shared) {
        if let Some(number) = self.community_of(slot) {
            self.touch(number, shared);
        }
    }

    /// An identity leaves the index: what it was part of is not known any more.
    pub(super) fn forget_answers(&mut self, slot: SlotId, shared: &Shared) {
        let entry = self.index.slot(slot).entry;
        if let Some(member) = entry.author
            && entry.is_counted()
            && let Some(community) = self.community_at(slot)
            && community.windows.forget_author(&shared.windows, entry.event_time, member)
        {
            self.touch_of(slot, shared);
        }
        if let Some(hash) = entry.reply_to()
            && let Some(target) = self.answers.0.get_mut(&hash)
        {
            target.replies.remove(&(entry.event_time, slot));
            if target.replies.is_empty() {
                self.answers.0.remove(&hash);
            }
        }
        if !self.answers.0.is_empty()
            && let Some(target) = self.answers.0.get_mut(&target_hash(self.index.slot(slot).key()))
        {
            // The place will be another's.
            target.slot = None;
        }
        if let Some(waiting) = self.waiting.remove(&slot)
            && let Some(community) = self.community_at(slot)
        {
            community.complaints.remove(slot, waiting);
        }
    }

    /// The index and the windows are restored: brings back what follows from the index.
    pub(super) fn recall(&mut self, shared: &Shared) {
        let slots: Vec<SlotId> = self.index.iter().map(|(slot, _)| slot).collect();
        let watermark = self.watermark.value();
        for &slot in &slots {
            let entry = self.index.slot(slot).entry;
            if let Some(hash) = entry.reply_to() {
                self.answers.0.entry(hash).or_default().replies.insert((entry.event_time, slot));
            }
            if entry.is_counted()
                && let Some(community) = self.community_at(slot)
            {
                community.windows.recall(&shared.windows, &entry.contribution(Kind::Post));
                community.count_for_alerts(&entry, true, watermark, shared);
            }
        }
        for &slot in &slots {
            let entry = self.index.slot(slot).entry;
            if entry.brand {
                continue;
            }
            let mut answered = None;
            if let Some(target) = self.answers.0.get_mut(&target_hash(self.index.slot(slot).key())) {
                target.slot = Some(slot);
                let first = target.replies.range((entry.event_time, 0)..).next();
                answered = first.filter(|_| entry.is_counted()).map(|&(at, _)| at);
                target.response = answered.map(|at| (at, at - entry.event_time));
            }
            let waiting = waiting_of(&entry, answered);
            if let Some(waiting) = waiting {
                self.waiting.insert(slot, waiting);
            }
            if let Some(waiting) = waiting
                && let Some(community) = self.community_at(slot)
            {
                community.complaints.add(slot, waiting);
            }
        }
    }
}

/// Whether a complaint waits, or waited until it was answered.
fn waiting_of(entry: &Entry, answered: Option<EpochMs>) -> Option<Waiting> {
    let waits = entry.is_counted() && !entry.brand && entry.label == Label::Complaint;
    waits.then_some(Waiting { since: entry.event_time, until: answered })
}

/// The ends, after the first and up to the second, as of which another number of complaints is open now.
fn changed_ends(before: Option<Waiting>, now: Option<Waiting>) -> (EpochMs, EpochMs) {
    let until = |waiting: Waiting| waiting.until.unwrap_or(EpochMs::MAX);
    match (before, now) {
        (Some(before), Some(now)) if before.since == now.since => {
            (until(before).min(until(now)), until(before).max(until(now)))
        }
        (before, now) => {
            let both = || [before, now].into_iter().flatten();
            let after = both().map(|waiting| waiting.since).min();
            let to = both().map(until).max();
            (after.unwrap_or(EpochMs::MAX), to.unwrap_or(EpochMs::MIN))
        }
    }
}

/// How far before a pane's end a complaint may have been made to count as open, in milliseconds: the longest window.
pub(super) fn complaint_reach_ms(windows: &WindowSet) -> i64 {
    windows.specs().iter().map(|spec| spec.length_ms).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_open_from_when_it_was_made_until_it_was_answered() {
        let mut complaints = Complaints::default();
        complaints.add(1, Waiting { since: 10, until: None });
        complaints.add(2, Waiting { since: 20, until: Some(50) });
        complaints.add(3, Waiting { since: 30, until: None });
        let check = |from, end, expected| assert_eq!(complaints.open_as_of(from, end), expected, "[{from}, {end})");
        check(0, 10, (0, None));
        check(0, 11, (1, Some(10)));
        check(0, 50, (3, Some(10)));
        check(0, 51, (2, Some(10)));
        check(15, 50, (2, Some(20)));
        check(40, 99, (0, None));
    }

    #[test]
    fn only_ends_between_two_answers_change() {
        let waiting = |since, until| Some(Waiting { since, until });
        assert_eq!(changed_ends(waiting(10, None), waiting(10, Some(30))), (30, EpochMs::MAX));
        assert_eq!(changed_ends(waiting(10, Some(30)), waiting(10, Some(20))), (20, 30));
        assert_eq!(changed_ends(None, waiting(10, Some(20))), (10, 20));
        assert_eq!(changed_ends(waiting(10, Some(20)), waiting(15, None)), (10, EpochMs::MAX));
    }
}
