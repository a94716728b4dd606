//! Items of the response queues: what waits, for whom, since when, and what became of it.
//!
//! An item's standing is a function of times that are in the records: when the person wrote, when the brand answered that
//! person, when a responder closed it. So it is the same in whichever order the topics are read, and after any replay. A row of
//! the queues' state is written before a commit for each item of which something changed.

mod acts;
mod by_slot;
mod content;
mod life;
mod overdue;
mod rows;
mod standing;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::num::NonZeroU64;

use record::{EpochMs, Label, ReachBand};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
use window::MemberKey;

pub(super) use self::acts::{Acts, Claim};
use self::by_slot::BySlot;
pub(super) use self::content::Content;
pub(super) use self::life::Act;
pub(super) use self::overdue::Overdue;
pub(super) use self::standing::Standing;
use super::identity::{Entry, IdentityIndex, SlotId};

/// Most messages of one person in one thread that are remembered, and most items.
const TALK_MAX: usize = 256;
/// Most items of one person, and of one thread, that are brought together.
const PERSON_ITEMS_MAX: usize = 64;
const THREAD_ITEMS_MAX: usize = 1_000;

/// A hash of a person in a community, or of a thread; good within this process.
pub(super) type Group = NonZeroU64;

/// A time or none, in eight bytes: there are millions.
#[derive(Debug, Clone, Copy, PartialEq)]
struct TimeOrNone(EpochMs);

impl TimeOrNone {
    const NONE: TimeOrNone = TimeOrNone(EpochMs::MIN);

    fn get(self) -> Option<EpochMs> {
        (self != TimeOrNone::NONE).then_some(self.0)
    }
}

impl From<Option<EpochMs>> for TimeOrNone {
    fn from(time: Option<EpochMs>) -> TimeOrNone {
        time.map_or(TimeOrNone::NONE, TimeOrNone)
    }
}

impl Default for TimeOrNone {
    fn default() -> TimeOrNone {
        TimeOrNone::NONE
    }
}

/// What is known of an item beyond its interaction's entry in the index. What the changelog holds of it, but for what follows from
/// the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Item {
    /// [`Content`], as it is stored.
    pub(super) content: Box<[u8]>,
    /// Whom responders say that it is taken or closed by.
    pub(super) acts: Option<Box<Acts>>,
    /// An edit or a correction took it to another queue.
    pub(super) moved: bool,
    /// When a responder sent it to another queue, or its author made it something else.
    pub(super) moved_at: Option<EpochMs>,
    /// Nobody acted in time, or there was no room.
    pub(super) expired: bool,
    /// It was answered, as of the last row: that goes for its thread.
    pub(super) answered: bool,
    /// When it stopped waiting, as of the last row.
    pub(super) closed_at: Option<EpochMs>,
    #[serde(skip)]
    links: Links,
}

/// What follows from the rest.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Links {
    person: Option<Group>,
    thread: Option<Group>,
    talk: Option<Group>,
    /// Since when the person waits, as of the last row.
    since: TimeOrNone,
    /// When it is due, as of the last row.
    told_due_at: TimeOrNone,
    /// A timer is set for then.
    timed: bool,
    /// Its community knows that it is due then, and when it was closed.
    told_overdue: bool,
    /// A row is to be written.
    dirty: bool,
    /// The changelog does not have it as it is.
    changed: bool,
    /// It was taken back, or no queue takes it: it goes with its last row.
    ended: bool,
}

impl Links {
    /// The timer that is set for it.
    fn timer(&self) -> Option<EpochMs> {
        self.told_due_at.get().filter(|_| self.timed)
    }
}

impl Item {
    /// How it stands among what its community has past the service level: when it was closed, if it was, and when it was due.
    fn overdue(&self) -> Option<(Option<EpochMs>, EpochMs)> {
        self.links.told_due_at.get().filter(|_| self.links.told_overdue).map(|due_at| (self.closed_at, due_at))
    }
}

/// The items of one thread.
#[derive(Debug, Default)]
struct Thread {
    slots: SmallVec<[SlotId; 2]>,
    /// How many of them were answered.
    answered: u32,
}

/// What one person said in one thread.
#[derive(Debug, Default)]
struct Talk {
    items: SmallVec<[SlotId; 2]>,
    /// Those that are no items: they belong to the last item before them.
    messages: SmallVec<[SlotId; 2]>,
}

/// The items of a partition.
#[derive(Debug, Default)]
pub(super) struct Items {
    by_slot: BySlot,
    /// The items of each person.
    people: HashMap<Group, SmallVec<[SlotId; 2]>, ahash::RandomState>,
    /// The items of each thread.
    threads: HashMap<Group, Thread, ahash::RandomState>,
    talks: HashMap<Group, Talk, ahash::RandomState>,
    /// When those that wait are due.
    timers: BTreeSet<(EpochMs, SlotId)>,
    /// Those of which a row is to be written.
    dirty: Vec<SlotId>,
    /// Those of which the changelog is to be told.
    changed: Vec<SlotId>,
    /// Keys in the index of those that the changelog is to forget.
    removed: Vec<Box<[u8]>>,
    /// Read back before the index knows their places.
    restored: HashMap<Box<[u8]>, Item, ahash::RandomState>,
    hasher: ahash::RandomState,
    /// Those that wait, as of their last rows.
    waiting: usize,
    /// Waiting ones that were let go of for want of room or of time.
    pub(super) expired: u64,
    /// How long those took that were closed last, and how many ever were.
    closed: VecDeque<Closed>,
    closed_total: u64,
}

fn group_of(hash: u64) -> Group {
    NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN)
}

/// An item that was answered or closed for the first time, for metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Closed {
    /// How far the person's voice reaches.
    pub reach_band: ReachBand,
    /// The language of what they said.
    pub language: record::Language,
    /// True if the brand answered, false if a responder closed it without.
    pub answered: bool,
    /// From what the person said until then, in milliseconds of event time.
    pub wait_ms: i64,
}

/// Most of [`Closed`] that are kept for who asks now and then; more are of no use to a distribution.
const CLOSED_MAX: usize = 4_096;

impl Items {
    pub(super) fn len(&self) -> usize {
        self.by_slot.len()
    }

    /// How many wait, as of their last rows.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    pub(super) fn get(&self, slot: SlotId) -> Option<&Item> {
        self.by_slot.get(slot)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SlotId, &Item)> {
        self.by_slot.iter()
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty() || !self.removed.is_empty()
    }

    /// A row of this item is to be written.
    pub(super) fn touch(&mut self, slot: SlotId) {
        if let Some(item) = self.by_slot.get_mut(slot)
            && !item.links.dirty
        {
            item.links.dirty = true;
            self.dirty.push(slot);
        }
    }

    /// An item is to be stored anew, and a row of it to be written.
    fn change(&mut self, slot: SlotId) {
        self.touch(slot);
        self.mark_changed(slot);
    }

    /// An item is to be stored anew.
    fn mark_changed(&mut self, slot: SlotId) {
        if let Some(item) = self.by_slot.get_mut(slot)
            && !item.links.changed
        {
            item.links.changed = true;
            self.changed.push(slot);
        }
    }

    /// What was restored is as its rows have it.
    fn forget_touched(&mut self) {
        for slot in std::mem::take(&mut self.dirty) {
            if let Some(item) = self.by_slot.get_mut(slot) {
                item.links.dirty = false;
            }
        }
    }

    /// What stands for a person in a community, or for a thread.
    fn group(&self, community_id: &str, part: &[u8]) -> Group {
        group_of(self.hasher.hash_one((community_id, part)))
    }

    /// Whether there are items of a person.
    pub(super) fn has_person(&self, community_id: &str, author: MemberKey) -> bool {
        !self.people.is_empty() && self.people.contains_key(&self.group(community_id, &author.0))
    }

    /// Adds an item, and brings it together with the others of the person and of the thread.
    fn insert(&mut self, slot: SlotId, item: Item, index: &IdentityIndex) {
        self.waiting += usize::from(item.closed_at.is_none());
        self.by_slot.insert(slot, item);
        self.join(slot, index);
    }

    /// Brings an item together with the others of the person and of the thread.
    fn join(&mut self, slot: SlotId, index: &IdentityIndex) {
        let Some(item) = self.by_slot.get(slot) else { return };
        let (Links { person, thread, talk, .. }, answered) = (item.links, item.answered);
        if let Some(person) = person {
            let others = self.people.entry(person).or_default();
            if others.len() < PERSON_ITEMS_MAX {
                others.push(slot);
            }
        }
        self.touch_asked_after(person, slot, index.slot(slot).entry.event_time, index);
        if let Some(thread) = thread {
            let others = self.threads.entry(thread).or_default();
            others.answered += u32::from(answered);
            if others.slots.len() < THREAD_ITEMS_MAX {
                others.slots.push(slot);
            }
        }
        if let Some(talk) = talk {
            let talk = self.talks.entry(talk).or_default();
            if talk.items.len() < TALK_MAX {
                talk.items.push(slot);
            }
        }
        self.touch_last_item(talk, slot, index.slot(slot).entry.event_time, index);
    }

    /// An item, which was of a time `before`, turns out to be of another person or in another thread.
    fn regroup(
        &mut self,
        slot: SlotId,
        before: EpochMs,
        Links { person, thread, talk, .. }: Links,
        index: &IdentityIndex,
    ) {
        self.answer(slot, false);
        self.unlink(slot, before, index);
        if let Some(item) = self.by_slot.get_mut(slot) {
            item.links = Links { person, thread, talk, ..item.links };
        }
        self.join(slot, index);
    }

    /// Takes an item out. The changelog is told by the key in the index.
    fn remove(&mut self, slot: SlotId, index: &IdentityIndex) -> Option<Item> {
        let known = index.slot(slot);
        self.unlink(slot, known.entry.event_time, index);
        let item = self.by_slot.remove(slot)?;
        if let Some(due_at) = item.links.timer() {
            self.timers.remove(&(due_at, slot));
        }
        self.waiting -= usize::from(item.closed_at.is_none());
        self.removed.push(known.key().into());
        Some(item)
    }

    /// Parts an item of this time from the others of the person and of the thread.
    fn unlink(&mut self, slot: SlotId, at: EpochMs, index: &IdentityIndex) {
        let Some(item) = self.by_slot.get_mut(slot) else { return };
        let (person, thread, talk) = (item.links.person.take(), item.links.thread.take(), item.links.talk.take());
        if let Some(talk) = talk {
            self.part_from_talk(talk, |talk| talk.items.retain(|held| *held != slot));
            self.touch_last_item(Some(talk), slot, at, index);
        }
        if let Some(person) = person
            && let Some(slots) = self.people.get_mut(&person)
        {
            slots.retain(|held| *held != slot);
            if slots.is_empty() {
                self.people.remove(&person);
            }
            self.touch_asked_after(Some(person), slot, at, index);
        }
        if let Some(thread) = thread
            && let Some(others) = self.threads.get_mut(&thread)
        {
            others.slots.retain(|held| *held != slot);
            if others.slots.is_empty() {
                self.threads.remove(&thread);
            }
        }
    }

    /// Takes an item from the items of a person and a talk to those of others, though the person is the same.
    fn relink(&mut self, slot: SlotId, (person, talk): (Option<Group>, Option<Group>)) {
        let Some(item) = self.by_slot.get_mut(slot).filter(|item| !item.links.ended) else { return };
        let (old_person, old_talk) =
            (std::mem::replace(&mut item.links.person, person), std::mem::replace(&mut item.links.talk, talk));
        if let Some(old) = old_person
            && let Some(slots) = self.people.get_mut(&old)
        {
            slots.retain(|held| *held != slot);
            if slots.is_empty() {
                self.people.remove(&old);
            }
        }
        if let Some(person) = person {
            let others = self.people.entry(person).or_default();
            if others.len() < PERSON_ITEMS_MAX {
                others.push(slot);
            }
        }
        if let Some(old) = old_talk {
            self.part_from_talk(old, |talk| talk.items.retain(|held| *held != slot));
        }
        if let Some(talk) = talk {
            let talk = self.talks.entry(talk).or_default();
            if talk.items.len() < TALK_MAX {
                talk.items.push(slot);
            }
        }
    }

    /// Whether nobody was answered in its thread.
    fn is_thread_unanswered(&self, item: &Item) -> bool {
        let answered = |thread| self.threads.get(&thread).is_some_and(|thread| thread.answered > 0);
        !item.answered && !item.links.thread.is_some_and(answered)
    }

    /// An item was answered, or is not any more: that goes for all of its thread.
    fn answer(&mut self, slot: SlotId, answered: bool) {
        let Some(item) = self.by_slot.get_mut(slot) else { return };
        if std::mem::replace(&mut item.answered, answered) == answered {
            return;
        }
        let thread = item.links.thread;
        self.mark_changed(slot);
        let Some(thread) = thread.and_then(|thread| self.threads.get_mut(&thread)) else { return };
        let before = thread.answered;
        thread.answered = if answered { before + 1 } else { before.saturating_sub(1) };
        if (before == 0) != (thread.answered == 0) {
            thread.slots.clone().into_iter().for_each(|slot| self.touch(slot));
        }
    }

    /// What stands for what a person said in a thread.
    fn talk_of(&self, community_id: &str, entry: &Entry) -> Option<Group> {
        let author = entry.author.filter(|_| entry.thread != 0)?;
        Some(group_of(self.hasher.hash_one((community_id, author.0, entry.thread))))
    }

    fn part_from_talk(&mut self, group: Group, part: impl FnOnce(&mut Talk)) {
        if let Some(talk) = self.talks.get_mut(&group) {
            part(talk);
            if talk.items.is_empty() && talk.messages.is_empty() {
                self.talks.remove(&group);
            }
        }
    }

    /// An item of this time came to a person, or went: whether they [`asked_before`](Items::asked_before) is otherwise now for their
    /// first ones beside it, if it is before those, and for no other. Whoever writes much would else have all rows written anew by each.
    fn touch_asked_after(&mut self, person: Option<Group>, slot: SlotId, at: EpochMs, index: &IdentityIndex) {
        let Some(slots) = person.and_then(|person| self.people.get(&person)) else { return };
        let at_of = |other: SlotId| index.slot(other).entry.event_time;
        let others = || slots.iter().copied().filter(|&other| other != slot);
        let Some(first) = others().map(at_of).min().filter(|&first| at < first) else { return };
        let first: SmallVec<[SlotId; 2]> = others().filter(|&other| at_of(other) == first).collect();
        first.into_iter().for_each(|slot| self.touch(slot));
    }

    /// Whether the person has an item that is older than this time, among those that are kept.
    fn asked_before(&self, item: &Item, at: EpochMs, event_time: impl Fn(SlotId) -> EpochMs) -> bool {
        let others = item.links.person.and_then(|person| self.people.get(&person));
        others.is_some_and(|others| others.iter().any(|&other| event_time(other) < at))
    }

    /// An item of this time came to a talk, or went: the messages after it, if there are any, belong to it, or to the last item before.
    fn touch_last_item(&mut self, talk: Option<Group>, slot: SlotId, at: EpochMs, index: &IdentityIndex) {
        let messages = talk.and_then(|talk| self.talks.get(&talk)).map_or(&[][..], |talk| &talk.messages);
        if messages.iter().any(|&message| index.slot(message).entry.event_time > at) {
            self.touch_spoken_before(talk, slot, at, index);
        }
    }

    /// A message of this time came to a talk, or went, or was answered: that is a matter of the last item before it, and of no other.
    fn touch_spoken_before(&mut self, talk: Option<Group>, slot: SlotId, at: EpochMs, index: &IdentityIndex) {
        let Some(talk) = talk.and_then(|talk| self.talks.get(&talk)) else { return };
        let at_of = |other: SlotId| index.slot(other).entry.event_time;
        let takes =
            |&other: &SlotId| other != slot && index.slot(other).entry.label != Label::Praise && at_of(other) < at;
        let others = || talk.items.iter().copied().filter(takes);
        let Some(last) = others().map(at_of).max() else { return };
        let last: SmallVec<[SlotId; 2]> = others().filter(|&other| at_of(other) == last).collect();
        last.into_iter().for_each(|slot| self.touch(slot));
    }

    /// What an item, which was of a time `before`, is to the others of its person may be otherwise now.
    fn touch_company(&mut self, slot: SlotId, before: EpochMs, index: &IdentityIndex) {
        let Some(Item { links: Links { person, talk, .. }, .. }) = self.by_slot.get(slot) else { return };
        let (person, talk) = (*person, *talk);
        let now = index.slot(slot).entry.event_time;
        for at in [before, now] {
            if before != now {
                self.touch_asked_after(person, slot, at, index);
            }
            self.touch_last_item(talk, slot, at, index);
        }
    }

    /// An item was closed.
    fn was_closed(&mut self, closed: Closed) {
        if self.closed.len() == CLOSED_MAX {
            self.closed.pop_front();
        }
        self.closed.push_back(closed);
        self.closed_total += 1;
    }

    /// How many were closed since the partition was assigned, and the last of them.
    pub(super) fn closed(&self) -> (u64, &VecDeque<Closed>) {
        (self.closed_total, &self.closed)
    }
}
