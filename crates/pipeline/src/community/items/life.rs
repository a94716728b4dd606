//! What interactions, corrections and actions do to items.

use record::{ClassifiedInteraction, EpochMs, Label, Outcome};

use super::{Acts, CONTACTS_MAX, Content, Item, Items, Links};
use crate::community::Shared;
use crate::community::answers::target_hash;
use crate::community::identity::{Entry, SlotId};
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
            contacts: Vec::new(),
            moved: false,
            moved_at: None,
            expired: false,
            repeated: false,
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
    fn links(&self, community_id: &str, entry: &Entry, content: &Content<'_>) -> Links {
        Links {
            person: entry.author.map(|author| self.group(community_id, &author.0)),
            thread: content.thread_id.map(|thread| self.group(community_id, thread.as_bytes())),
            ..Links::default()
        }
    }

    /// The place that an item has in the index is known now.
    fn restore(
        &mut self,
        slot: SlotId,
        community_id: &str,
        entry: &Entry,
        item: Item,
        event_time: impl Fn(SlotId) -> EpochMs,
    ) {
        let links = self.links(community_id, entry, &item.content());
        self.insert(slot, entry.event_time, Item { links, ..item }, event_time);
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
        if !new.listed {
            self.contact(slot, new, interaction);
            return;
        }
        if old.is_some_and(|old| !old.listed) {
            self.no_contact(slot);
        }
        let content = Content::of(interaction);
        let old_queue = old.and_then(|old| old.queue);
        let other_queue = old_queue.is_some_and(|old| new.queue != Some(old));
        let ends = new.deleted || new.queue.is_none();
        if self.items.by_slot.get(&slot).is_some_and(|item| item.links.ended && !ends) {
            // It comes again before it has gone: as it would if it had.
            self.drop_item(slot);
        }
        if let Some(item) = self.items.by_slot.get_mut(&slot) {
            let edited = old.is_some_and(|old| old.digest != new.digest);
            item.content = content.to_bytes();
            item.moved |= other_queue;
            // Who writes something else asks for something else.
            if other_queue && edited {
                item.moved_at = item.moved_at.max(Some(new.version.changed_at));
            }
            self.items.touch(slot);
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
        let moved_at = new.said.queue.map(|(_, at)| at).filter(|_| moved && old.is_none());
        let item = Item { moved, moved_at, ..Item::new(content.to_bytes()) };
        self.list(slot, &interaction.community_id, &content, item);
        if ends {
            self.end_item(slot);
        }
    }

    /// An item is to be gone once its last row is written: from now on nothing is done with it.
    fn end_item(&mut self, slot: SlotId) {
        self.items.answer(slot, false);
        self.items.unlink(slot);
        if let Some(item) = self.items.by_slot.get_mut(&slot) {
            // Its last row says the same whenever it is written.
            item.links.ended = true;
            item.contacts.clear();
            item.repeated = false;
            // Should it come again, what was done with it stands.
            if let Some(acts) = item.acts.take() {
                self.parked.keep_acts(self.index.slot(slot).key(), *acts);
            }
        }
        let entry = self.index.slot(slot).entry;
        self.set_entry(slot, Entry { closed: true, ..entry });
    }

    fn list(&mut self, slot: SlotId, community_id: &str, content: &Content<'_>, mut item: Item) {
        let entry = self.index.slot(slot).entry;
        if !entry.deleted {
            item.acts =
                self.parked.take_acts(self.index.slot(slot).key()).filter(|acts| !acts.is_empty()).map(Box::new);
        }
        if entry.closed {
            self.set_entry(slot, Entry { closed: false, ..entry });
        }
        let links = self.items.links(community_id, &entry, content);
        let index = &self.index;
        self.items.insert(slot, entry.event_time, Item { links, ..item }, |other| index.slot(other).entry.event_time);
        self.items.touch(slot);
    }

    /// A message that is no item: if the person has one in the same thread, it belongs to that. Thanks ask for nothing.
    fn contact(&mut self, slot: SlotId, entry: Entry, interaction: &ClassifiedInteraction<'_>) {
        if entry.deleted || entry.label == Label::Praise {
            self.no_contact(slot);
            return;
        }
        let Some(author) = entry.author.filter(|_| !entry.brand) else { return };
        let (Some(thread), false) = (&interaction.thread_id, self.items.people.is_empty()) else { return };
        let person = self.items.group(&interaction.community_id, &author.0);
        let Some(slots) = self.items.people.get(&person).cloned() else { return };
        let thread = Some(self.items.group(&interaction.community_id, thread.as_bytes()));
        let index = &self.index;
        let before = |of: &SlotId| {
            let known = index.slot(*of).entry;
            known.event_time < entry.event_time && known.label != Label::Praise
        };
        let of_thread = |of: &SlotId| self.items.by_slot.get(of).is_some_and(|item| item.links.thread == thread);
        // The last thing that they asked for before.
        let last = slots.iter().copied().filter(|of| before(of) && of_thread(of));
        let Some(last) = last.max_by_key(|of| index.slot(*of).entry.event_time) else { return };
        let hash = target_hash(index.slot(slot).key());
        if let Some(item) = self.items.by_slot.get_mut(&last)
            && item.contact(entry.event_time, hash)
        {
            self.items.contacts.insert(hash, last);
            self.items.touch(last);
        }
    }

    /// A message was taken back, turned into thanks or is an item of its own now: it asks for nothing of another item any more.
    fn no_contact(&mut self, slot: SlotId) {
        if self.items.contacts.is_empty() {
            return;
        }
        let hash = target_hash(self.index.slot(slot).key());
        let Some(of) = self.items.contacts.remove(&hash) else { return };
        if let Some(item) = self.items.by_slot.get_mut(&of) {
            item.contacts.retain(|(_, contact)| *contact != hash);
            self.items.touch(of);
        }
    }

    /// A responder corrected what is known of an interaction.
    pub(crate) fn item_corrected(&mut self, slot: SlotId, old: &Entry, sent_at: Option<EpochMs>) {
        let new = self.index.slot(slot).entry;
        if !new.listed || new.deleted {
            return;
        }
        if !old.listed {
            self.no_contact(slot);
        }
        let (ends, other_queue) = (new.queue.is_none(), new.queue != old.queue);
        if self.items.by_slot.get(&slot).is_some_and(|item| item.links.ended && !ends) {
            // It comes again before it has gone: as it would if it had.
            self.drop_item(slot);
        }
        if let Some(item) = self.items.by_slot.get_mut(&slot) {
            item.moved |= other_queue;
            if other_queue && sent_at.is_some() {
                item.moved_at = item.moved_at.max(sent_at);
            }
            self.items.touch(slot);
            if ends {
                self.end_item(slot);
            }
        } else if !ends && (!old.listed || old.queue.is_none() || (other_queue && sent_at.is_some())) {
            // What it said is not kept of what waits nowhere: its row has no text until it is heard of again.
            let Some((community_id, ..)) = self.index.slot(slot).identity() else { return };
            let community_id = community_id.to_owned();
            let content = Content::unknown();
            let item = Item { moved: true, moved_at: sent_at, ..Item::new(content.to_bytes()) };
            self.list(slot, &community_id, &content, item);
        }
    }

    pub(crate) fn has_item(&self, slot: SlotId) -> bool {
        self.items.by_slot.get(&slot).is_some_and(|item| !item.links.ended)
    }

    /// A responder does something with an item.
    pub(crate) fn act(&mut self, slot: SlotId, act: Act) -> Outcome {
        let Some(item) = self.items.by_slot.get_mut(&slot) else { return Outcome::Stale };
        let acts = item.acts.get_or_insert_default();
        if !act.apply(acts) {
            return Outcome::Stale;
        }
        self.items.touch(slot);
        Outcome::Acted
    }

    /// The index is restored: items get their places, and those without one are forgotten.
    pub(crate) fn restore_items(&mut self, shared: &Shared) {
        for (key, item) in std::mem::take(&mut self.items.restored) {
            let Some(slot) = self.index.find(&key) else {
                self.items.removed.push(key);
                continue;
            };
            let known = self.index.slot(slot);
            let (entry, Some((community_id, ..))) = (known.entry, known.identity()) else { continue };
            let index = &self.index;
            self.items.restore(slot, community_id, &entry, item, |other| index.slot(other).entry.event_time);
        }
        let watermark = self.watermark.value().unwrap_or(EpochMs::MIN);
        let slots: Vec<SlotId> = self.items.iter().map(|(slot, _)| slot).collect();
        slots.into_iter().for_each(|slot| self.keep_time_of(slot, watermark, shared));
    }

    /// An item that the changelog holds; `None` takes it away.
    pub(crate) fn restore_item(&mut self, key: Box<[u8]>, item: Option<Item>) {
        match item {
            Some(item) => self.items.restored.insert(key, item),
            None => self.items.restored.remove(&key),
        };
    }
}

impl Item {
    /// The person wrote again. False if it is known, or there are too many.
    fn contact(&mut self, at: EpochMs, hash: u64) -> bool {
        if self.contacts.len() >= CONTACTS_MAX || self.contacts.contains(&(at, hash)) {
            return false;
        }
        self.contacts.push((at, hash));
        true
    }
}
