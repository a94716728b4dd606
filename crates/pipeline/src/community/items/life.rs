//! What interactions, corrections and actions do to items.

use record::{ClassifiedInteraction, EpochMs, Label, Outcome};

use smallvec::SmallVec;

use super::{Acts, Content, Group, Item, Items, Links, TALK_MAX, Talk};
use crate::community::Shared;
use crate::community::identity::{Entry, IdentityIndex, SlotId};
use crate::community::partition::Partition;

/// What a responder does with an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Claim(super::Claim),
    Release { by: Box<str> },
    Acknowledge { at: EpochMs, by: Box<str> },
}

impl Act {
    /// Does it; false if it is of no effect.
    pub(crate) fn apply(self, acts: &mut Acts) -> bool {
        match self {
            Act::Claim(claim) => acts.claim(claim),
            Act::Release { by } => acts.release(&by),
            Act::Acknowledge { at, by } => acts.acknowledge(at, &by),
        }
    }
}

impl Item {
    pub(crate) fn new(content: Box<[u8]>) -> Item {
        Item {
            content,
            acts: None,
            moved: false,
            moved_at: None,
            expired: false,
            answered: false,
            closed_at: None,
            links: Links::default(),
        }
    }

    pub(crate) fn content(&self) -> Content<'_> {
        Content::from_bytes(&self.content)
    }
}

impl Items {
    /// What brings an item together with others.
    fn links(&self, community_id: &str, entry: &Entry) -> Links {
        Links {
            person: entry.author.map(|author| self.group(community_id, &author.0)),
            thread: (entry.thread != 0).then(|| self.group(community_id, &entry.thread.to_le_bytes())),
            talk: self.talk_of(community_id, entry),
            ..Links::default()
        }
    }

    /// A message of a talk, of which the last are kept, whichever were read first.
    fn hear(&mut self, talk: Group, slot: SlotId, index: &IdentityIndex) {
        let Talk { messages, .. } = self.talks.entry(talk).or_default();
        messages.push(slot);
        if messages.len() <= TALK_MAX {
            return;
        }
        let order = |slot: SlotId| (index.slot(slot).entry.event_time, index.slot(slot).key());
        let first = (0..messages.len()).min_by(|&one, &other| order(messages[one]).cmp(&order(messages[other])));
        if let Some(first) = first {
            let gone = messages.swap_remove(first);
            self.touch_spoken_before(Some(talk), gone, index.slot(gone).entry.event_time, index);
        }
    }
}

impl Partition {
    /// An interaction came or changed: its item comes to be, changes, or ends. `model_queue` is where the classifier would have it.
    pub(crate) fn settle_item(
        &mut self,
        slot: SlotId,
        old: Option<Entry>,
        interaction: &ClassifiedInteraction<'_>,
        model_queue: Option<u8>,
    ) {
        let new = self.index.slot(slot).entry;
        self.settle_message(slot, old);
        self.settle_company(slot, old);
        if !new.listed {
            return;
        }
        let content = Content::of(interaction);
        let old_queue = old.and_then(|old| old.queue);
        let other_queue = old_queue.is_some_and(|old| new.queue != Some(old));
        let ends = new.deleted || new.queue.is_none();
        // Where the source does not say when, it was by then.
        let edited_at = interaction.edited_at.unwrap_or(interaction.observed_at);
        if old.is_some_and(|old| old.event_time != new.event_time) {
            self.replace_in_order(slot, old);
        }
        if self.items.by_slot.get(slot).is_some_and(|item| item.links.ended && !ends) {
            // It comes again before it has gone: as it would if it had.
            self.drop_item(slot);
        }
        if let Some(item) = self.items.by_slot.get_mut(slot) {
            let edited = old.is_some_and(|old| old.digest != new.digest);
            item.content = content.to_bytes();
            item.moved |= other_queue;
            // Who writes something else asks for something else.
            if other_queue && edited {
                item.moved_at = item.moved_at.max(Some(edited_at));
            }
            self.items.change(slot);
            if ends {
                self.end_item(slot);
            }
            return;
        }
        let closed = old.is_some_and(|old| old.closed);
        let edited = old.is_none_or(|old| old.digest != new.digest);
        // It was answered or closed, and its content let go of: only something new opens it again, or a last word ends it.
        if closed && !new.deleted && old_queue.is_some() && !(edited && other_queue) {
            return;
        }
        let moved = other_queue || (old.is_none() && new.queue != model_queue);
        // What a responder said before this was read stands as if it had been said after it.
        let sent_at = new.said.queue.map(|(_, at)| at).filter(|_| moved && old.is_none());
        let moved_at = sent_at.max(Some(edited_at).filter(|_| closed && edited && other_queue));
        let item = Item { moved, moved_at, ..Item::new(content.to_bytes()) };
        self.list(slot, &interaction.community_id, item);
        if ends {
            self.end_item(slot);
        }
    }

    /// An item is to be gone once its last row is written: from now on nothing is done with it.
    fn end_item(&mut self, slot: SlotId) {
        self.items.answer(slot, false);
        self.items.unlink(slot, self.index.slot(slot).entry.event_time, &self.index);
        self.put_out_of_order(slot);
        if let Some(item) = self.items.by_slot.get_mut(slot) {
            // Its last row says the same whenever it is written.
            item.links.ended = true;
            // Should it come again, what was done with it stands.
            if let Some(acts) = item.acts.take() {
                self.parked.keep_acts(self.index.slot(slot).key(), *acts);
            }
        }
        let entry = self.index.slot(slot).entry;
        self.set_entry(slot, Entry { closed: true, ..entry });
    }

    fn list(&mut self, slot: SlotId, community_id: &str, mut item: Item) {
        let entry = self.index.slot(slot).entry;
        if !entry.deleted {
            item.acts =
                self.parked.take_acts(self.index.slot(slot).key()).filter(|acts| !acts.is_empty()).map(Box::new);
        }
        if entry.closed {
            self.set_entry(slot, Entry { closed: false, ..entry });
        }
        let links = self.items.links(community_id, &entry);
        self.keep_in_order(slot, true);
        self.items.insert(slot, Item { links, ..item }, &self.index);
        self.items.change(slot);
    }

    /// An interaction came, changed or went: it may be a message that belongs to an item of the same person and thread.
    pub(crate) fn settle_message(&mut self, slot: SlotId, old: Option<Entry>) {
        let known = self.index.slot(slot);
        let (Some((community_id, ..)), new) = (known.identity(), known.entry) else { return };
        let talk = |entry: Entry| {
            let talk = self.items.talk_of(community_id, &entry).filter(|_| entry.is_message());
            talk.map(|talk| (talk, entry.event_time))
        };
        let (before, now) = (old.and_then(talk), talk(new));
        if before == now {
            return;
        }
        if let Some((talk, at)) = before {
            self.items.part_from_talk(talk, |talk| talk.messages.retain(|held| *held != slot));
            self.items.touch_spoken_before(Some(talk), slot, at, &self.index);
        }
        if let Some((talk, at)) = now {
            self.items.hear(talk, slot, &self.index);
            self.items.touch_spoken_before(Some(talk), slot, at, &self.index);
        }
    }

    /// An interaction that has an item changed: whose and in which thread it is, and what that means for the person's other items. What is
    /// no praise any more takes the messages after it, and one of an earlier time came before others.
    fn settle_company(&mut self, slot: SlotId, old: Option<Entry>) {
        let Some(old) = old.filter(|_| self.has_item(slot)) else { return };
        let known = self.index.slot(slot);
        let (Some((community_id, ..)), new) = (known.identity(), known.entry) else { return };
        if (old.author, old.thread) != (new.author, new.thread) {
            let links = self.items.links(community_id, &new);
            self.items.regroup(slot, old.event_time, links, &self.index);
        } else if old.event_time != new.event_time || (old.label == Label::Praise) != (new.label == Label::Praise) {
            self.items.touch_company(slot, old.event_time, &self.index);
        }
    }

    /// The author of an interaction is called otherwise from now on: nothing else of it changes, and no row.
    pub(crate) fn rename_in_items(&mut self, slot: SlotId, old: &Entry) {
        let known = self.index.slot(slot);
        let (Some((community_id, ..)), new) = (known.identity(), known.entry) else { return };
        if new.is_message() {
            if let Some(talk) = self.items.talk_of(community_id, old) {
                self.items.part_from_talk(talk, |talk| talk.messages.retain(|held| *held != slot));
            }
            if let Some(talk) = self.items.talk_of(community_id, &new) {
                self.items.hear(talk, slot, &self.index);
            }
        }
        let links = self.items.links(community_id, &new);
        self.items.relink(slot, (links.person, links.talk));
    }

    /// An identity leaves the index.
    pub(crate) fn forget_message(&mut self, slot: SlotId) {
        let known = self.index.slot(slot);
        if let Some((community_id, ..)) = known.identity()
            && known.entry.is_message()
            && let Some(talk) = self.items.talk_of(community_id, &known.entry)
        {
            self.items.part_from_talk(talk, |talk| talk.messages.retain(|held| *held != slot));
        }
    }

    /// The brand answered a message: that answers the item that it belongs to.
    pub(crate) fn touch_talk_of(&mut self, slot: SlotId) {
        let known = self.index.slot(slot);
        if let Some((community_id, ..)) = known.identity()
            && known.entry.is_message()
        {
            let talk = self.items.talk_of(community_id, &known.entry);
            self.items.touch_spoken_before(talk, slot, known.entry.event_time, &self.index);
        }
    }

    /// The messages that belong to an item: later than it, and later than no other of the talk. Those of praise have none.
    pub(super) fn messages_of(&self, slot: SlotId) -> SmallVec<[(EpochMs, SlotId); 4]> {
        let mut found = SmallVec::new();
        let item = &self.items.by_slot[slot];
        let entry = &self.index.slot(slot).entry;
        let Some(talk) = item.links.talk.and_then(|talk| self.items.talks.get(&talk)) else { return found };
        if talk.messages.is_empty() || entry.label == Label::Praise {
            return found;
        }
        let others = talk.items.iter().filter(|&&other| other != slot).map(|&other| self.index.slot(other).entry);
        let next = others
            .filter(|other| other.label != Label::Praise && other.event_time > entry.event_time)
            .map(|other| other.event_time)
            .min()
            .unwrap_or(EpochMs::MAX);
        for &message in &talk.messages {
            let at = self.index.slot(message).entry.event_time;
            if at > entry.event_time && at <= next {
                found.push((at, message));
            }
        }
        found
    }

    /// A responder corrected what is known of an interaction.
    pub(crate) fn item_corrected(&mut self, slot: SlotId, old: &Entry, sent_at: Option<EpochMs>) {
        self.settle_message(slot, Some(*old));
        self.settle_company(slot, Some(*old));
        let new = self.index.slot(slot).entry;
        if !new.listed || new.deleted {
            return;
        }
        let (ends, other_queue) = (new.queue.is_none(), new.queue != old.queue);
        if self.items.by_slot.get(slot).is_some_and(|item| item.links.ended && !ends) {
            // It comes again before it has gone: as it would if it had.
            self.drop_item(slot);
        }
        if let Some(item) = self.items.by_slot.get_mut(slot) {
            item.moved |= other_queue;
            if other_queue && sent_at.is_some() {
                item.moved_at = item.moved_at.max(sent_at);
            }
            self.items.change(slot);
            if ends {
                self.end_item(slot);
            }
        } else if !ends && (!old.listed || old.queue.is_none() || (other_queue && sent_at.is_some())) {
            // What it said is not kept of what waits nowhere: its row has no text until it is heard of again.
            let Some((community_id, ..)) = self.index.slot(slot).identity() else { return };
            let community_id = community_id.to_owned();
            let content = Content::unknown();
            let item = Item { moved: true, moved_at: sent_at, ..Item::new(content.to_bytes()) };
            self.list(slot, &community_id, item);
        }
    }

    /// The same content again: an item that a correction listed gets its text by it.
    pub(crate) fn refill_item(&mut self, slot: SlotId, interaction: &ClassifiedInteraction<'_>) {
        let Some(item) = self.items.by_slot.get_mut(slot) else { return };
        if item.content().origin_partition < 0 {
            item.content = Content::of(interaction).to_bytes();
            self.items.change(slot);
        }
    }

    /// Keeps the items of the community in the order of time.
    fn keep_in_order(&mut self, slot: SlotId, there: bool) {
        let at = self.index.slot(slot).entry.event_time;
        if let Some(number) = self.community_of(slot)
            && let Some(community) = self.communities[number as usize].as_mut()
        {
            if there {
                community.items.insert((at, slot))
            } else {
                community.items.remove(&(at, slot))
            };
        }
    }

    /// The source says of another time now.
    fn replace_in_order(&mut self, slot: SlotId, old: Option<Entry>) {
        if let Some(old) = old
            && let Some(number) = self.community_of(slot)
            && let Some(community) = self.communities[number as usize].as_mut()
            && community.items.remove(&(old.event_time, slot))
        {
            self.keep_in_order(slot, true);
        }
    }

    /// An item is none of its community's any more.
    pub(super) fn put_out_of_order(&mut self, slot: SlotId) {
        self.keep_in_order(slot, false);
    }

    pub(crate) fn has_item(&self, slot: SlotId) -> bool {
        self.items.by_slot.get(slot).is_some_and(|item| !item.links.ended)
    }

    /// A responder does something with an item.
    pub(crate) fn act(&mut self, slot: SlotId, act: Act) -> Outcome {
        let Some(item) = self.items.by_slot.get_mut(slot) else { return Outcome::Stale };
        let acts = item.acts.get_or_insert_default();
        if !act.apply(acts) {
            return Outcome::Stale;
        }
        self.items.change(slot);
        Outcome::Acted
    }

    /// The index is restored: items get their places, and those without one are forgotten.
    pub(crate) fn restore_items(&mut self, shared: &Shared) {
        let messages = self.index.iter().filter(|(_, known)| known.entry.is_message()).filter_map(|(slot, known)| {
            let (community_id, ..) = known.identity()?;
            Some((self.items.talk_of(community_id, &known.entry)?, slot))
        });
        let messages: Vec<(Group, SlotId)> = messages.collect();
        messages.into_iter().for_each(|(talk, slot)| self.items.hear(talk, slot, &self.index));
        for (key, item) in std::mem::take(&mut self.items.restored) {
            let Some(slot) = self.index.find(&key) else {
                self.items.removed.push(key);
                continue;
            };
            let known = self.index.slot(slot);
            let (entry, Some((community_id, ..))) = (known.entry, known.identity()) else { continue };
            let community_id = community_id.to_owned();
            self.keep_in_order(slot, true);
            let links = self.items.links(&community_id, &entry);
            self.items.insert(slot, Item { links, ..item }, &self.index);
        }
        let watermark = self.watermark.value().unwrap_or(EpochMs::MIN);
        let slots: Vec<SlotId> = self.items.iter().map(|(slot, _)| slot).collect();
        slots.into_iter().for_each(|slot| self.keep_time_of(slot, watermark, shared));
        self.items.forget_touched();
    }

    /// An item that the changelog holds; `None` takes it away.
    pub(crate) fn restore_item(&mut self, key: Box<[u8]>, item: Option<Item>) {
        match item {
            Some(item) => self.items.restored.insert(key, item),
            None => self.items.restored.remove(&key),
        };
    }
}
