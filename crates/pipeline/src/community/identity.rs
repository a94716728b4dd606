//! The index of identities: which interactions a partition knows, in which version, and what they count for.

use std::collections::{HashMap, HashSet};
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;
use record::{ContentKind, ContentKinds, Direction, EpochMs, Kind, Label, Language, Role, Version};
use rules::Routable;
use window::{Contribution, Counts, MemberKey};

use super::answers::TargetHash;
use super::corrections::Said;

/// What is known of one interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) version: Version,
    pub(super) event_time: EpochMs,
    /// The first half of the content digest: enough to tell two versions of one interaction apart.
    pub(super) digest: [u8; 16],
    pub(super) label: Label,
    pub(super) direction: Direction,
    pub(super) content: ContentOf,
    pub(super) abstained: bool,
    /// It is from the brand.
    pub(super) brand: bool,
    /// Who it is from, if from a member.
    pub(super) author: Option<MemberKey>,
    /// What it answers, if it is a comment of the brand.
    pub(super) answers: Option<TargetHash>,
    /// Stands for the thread it is in, among those of its community; 0 without one.
    pub(super) thread: u32,
    /// It was taken back; only its version is of interest.
    pub(super) deleted: bool,
    /// What responders said of it.
    pub(super) said: Said<u8>,
    /// It is in the windows. False for a late one.
    pub(super) counted: bool,
    /// Where it waits: a place in the partition's list of queue names.
    pub(super) queue: Option<u8>,
    /// It has, or had, an item: a row of the queues' state tells of it.
    pub(super) listed: bool,
    /// The item was closed, and what it said is not kept any more.
    pub(super) closed: bool,
}

/// The kinds of content, and above their bits the language of the text, by which rules of routing may go when a responder corrects the
/// label: 0 is one that is not determined. In one byte, since there are millions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ContentOf(pub(super) u8);

/// How many bits the kinds of content take.
const KINDS_BITS: u32 = ContentKind::ALL.len() as u32;
const _: () = assert!(KINDS_BITS <= 5 && Language::ALL.len() <= 8);

impl ContentOf {
    pub(super) fn new(kinds: ContentKinds, language: Language) -> ContentOf {
        ContentOf(kinds.bits() | (Language::Undetermined as u8 - language as u8) << KINDS_BITS)
    }

    pub(super) fn kinds(self) -> ContentKinds {
        ContentKinds::from_bits(self.0)
    }

    pub(super) fn language(self) -> Language {
        let before_last = usize::from(self.0 >> KINDS_BITS);
        Language::ALL.iter().rev().nth(before_last).copied().unwrap_or(Language::Undetermined)
    }
}

impl Entry {
    pub(super) fn is_counted(&self) -> bool {
        self.counted && !self.deleted
    }

    /// What is left of one that left, or was erased, while a segment may still hold what it was before: that it is not known.
    fn bare(&self) -> Entry {
        Entry {
            version: self.version,
            event_time: self.event_time,
            digest: [0; 16],
            label: Label::Other,
            direction: Direction::Unknown,
            content: ContentOf::default(),
            abstained: false,
            brand: false,
            author: None,
            answers: None,
            thread: 0,
            deleted: true,
            said: Said::default(),
            counted: false,
            queue: None,
            listed: false,
            // Nothing else that is not listed is closed: this tells it from a retracted one.
            closed: true,
        }
    }

    pub(super) fn is_bare(&self) -> bool {
        self.closed && self.deleted && !self.listed
    }

    /// Whether it may belong to an item that the person had in the thread before: it is none itself, and no thanks.
    pub(super) fn is_message(&self) -> bool {
        !self.brand && !self.deleted && self.queue.is_none() && self.thread != 0 && self.label != Label::Praise
    }

    /// Whether its item was closed, and can only be opened by what its author says anew.
    pub(super) fn is_closed_for_good(&self) -> bool {
        self.closed && self.queue.is_some() && !self.deleted
    }

    /// What routing looks at, of a decision that is so sure.
    pub(super) fn routable<'a>(&self, community_id: &'a str, confidence: f32) -> Routable<'a> {
        Routable {
            label: self.label,
            confidence,
            abstained: self.abstained,
            language: self.content.language(),
            community_id,
            direction: self.direction,
            content_kinds: self.content.kinds(),
            author_role: if self.brand { Role::Brand } else { Role::Unknown },
            deleted: self.deleted,
        }
    }

    /// What it answers, as long as it counts.
    pub(super) fn reply_to(&self) -> Option<TargetHash> {
        self.answers.filter(|_| self.is_counted() && self.brand)
    }

    /// What it counts for.
    pub(super) fn contribution(&self, kind: Kind) -> Contribution {
        let counts = Counts::of(self.label, self.direction, kind, self.content.kinds(), self.abstained);
        Contribution { at: self.event_time, counts, member: self.author }
    }
}

/// An entry in its slot, and the changelog segment that holds it.
#[derive(Debug)]
pub(super) struct Slot {
    /// Kind, length of the community id, community id, id. Empty in a free slot.
    key: Box<[u8]>,
    pub(super) entry: Entry,
    pub(super) segment: Option<u64>,
    /// Changed since the last flush.
    pub(super) changed: bool,
}

impl Slot {
    /// The parts of its identity.
    pub(super) fn identity(&self) -> Option<(&str, Kind, &str)> {
        split_key(&self.key)
    }

    /// Its key within the index; what the changelog stores.
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

/// The place of an entry; good until the entry is removed.
pub(super) type SlotId = u32;

/// The index.
#[derive(Debug, Default)]
pub(super) struct IdentityIndex {
    hasher: ahash::RandomState,
    table: HashTable<SlotId>,
    slots: Slots,
    free: Vec<SlotId>,
    /// The latest event time of those whose event time went back.
    moved_back: HashMap<SlotId, EpochMs, ahash::RandomState>,
    /// How many are bare.
    bare: usize,
    /// Those of them that were erased: they go as soon as no segment holds what they were.
    erased: HashSet<SlotId>,
}

/// Slots in blocks: millions of them grow without being moved, which would stop the partition for as long as that takes.
#[derive(Debug, Default)]
struct Slots(Vec<Vec<Slot>>);

/// Slots of one block.
const BLOCK: usize = 4_096;

impl Slots {
    fn push(&mut self, slot: Slot) -> SlotId {
        if self.0.last().is_none_or(|block| block.len() == BLOCK) {
            self.0.push(Vec::with_capacity(BLOCK));
        }
        let at = self.0.len() - 1;
        let block = &mut self.0[at];
        block.push(slot);
        // The bound on entries is far below the range of the id: see `CommunitySettings::ids_max`.
        (at * BLOCK + block.len() - 1) as SlotId
    }
}

impl Index<SlotId> for Slots {
    type Output = Slot;

    fn index(&self, id: SlotId) -> &Slot {
        &self.0[id as usize / BLOCK][id as usize % BLOCK]
    }
}

impl IndexMut<SlotId> for Slots {
    fn index_mut(&mut self, id: SlotId) -> &mut Slot {
        &mut self.0[id as usize / BLOCK][id as usize % BLOCK]
    }
}

impl IdentityIndex {
    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// The place of one that is known.
    pub(super) fn find(&self, key: &[u8]) -> Option<SlotId> {
        self.place_of(key).filter(|&id| !self.slots[id].entry.is_bare())
    }

    /// The place of one that is known, or is bare.
    fn place_of(&self, key: &[u8]) -> Option<SlotId> {
        let hash = self.hasher.hash_one(key);
        self.table.find(hash, |&slot| *self.slots[slot].key == *key).copied()
    }

    pub(super) fn slot(&self, slot: SlotId) -> &Slot {
        &self.slots[slot]
    }

    pub(super) fn slot_mut(&mut self, slot: SlotId) -> &mut Slot {
        &mut self.slots[slot]
    }

    /// Puts another entry in the place of one.
    pub(super) fn set(&mut self, id: SlotId, entry: Entry) {
        let slot = &mut self.slots[id];
        let before = std::mem::replace(&mut slot.entry, entry);
        if entry.event_time < before.event_time && slot.segment.is_some() {
            let latest = self.moved_back.entry(id).or_insert(before.event_time);
            *latest = before.event_time.max(*latest);
        }
        self.bare = self.bare + usize::from(entry.is_bare()) - usize::from(before.is_bare());
        if before.is_bare() && !entry.is_bare() {
            self.erased.remove(&id);
        }
    }

    /// As a segment holds it, later ones over earlier ones.
    pub(super) fn restore(&mut self, key: &[u8], entry: Entry, segment: u64) {
        let id = match self.place_of(key) {
            Some(id) => {
                self.set(id, entry);
                id
            }
            None => self.insert(key, entry),
        };
        self.slots[id].segment = Some(segment);
    }

    /// Leaves nothing of an entry but that it is not known.
    pub(super) fn strip(&mut self, id: SlotId) {
        self.set(id, self.slots[id].entry.bare());
    }

    /// When an entry leaves: as soon as the low mark is beyond this.
    pub(super) fn leaves_at(&self, id: SlotId) -> EpochMs {
        let entry = &self.slots[id].entry;
        if entry.is_bare() { self.frees_at(id) } else { entry.event_time }
    }

    /// When its place is free: as soon as the low mark is beyond all times that it ever had in a segment. One in which others live may hold it
    /// as it was then: with what is newer gone, a restore would bring that back. So what leaves before stays as a bare one.
    pub(super) fn frees_at(&self, id: SlotId) -> EpochMs {
        let event_time = self.slots[id].entry.event_time;
        self.moved_back.get(&id).map_or(event_time, |&latest| latest.max(event_time))
    }

    /// A bare one was erased.
    pub(super) fn note_erased(&mut self, id: SlotId) {
        self.erased.insert(id);
    }

    /// All that are bare may be erased ones.
    pub(super) fn note_all_erased(&mut self) {
        let bare = self.iter().filter(|(_, slot)| slot.entry.is_bare()).map(|(id, _)| id);
        self.erased = bare.collect();
    }

    /// Bare ones that were erased.
    pub(super) fn take_erased(&mut self) -> HashSet<SlotId> {
        std::mem::take(&mut self.erased)
    }

    /// Adds an entry whose key is not known yet.
    pub(super) fn insert(&mut self, key: &[u8], entry: Entry) -> SlotId {
        if self.bare > 0
            && let Some(id) = self.place_of(key)
        {
            self.set(id, entry);
            return id;
        }
        self.bare += usize::from(entry.is_bare());
        let slot = Slot { key: key.into(), entry, segment: None, changed: false };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id] = slot;
                id
            }
            None => self.slots.push(slot),
        };
        let IdentityIndex { hasher, table, slots, .. } = self;
        table.insert_unique(hasher.hash_one(key), id, |&id| hasher.hash_one(&*slots[id].key));
        id
    }

    pub(super) fn remove(&mut self, id: SlotId) {
        let hash = self.hasher.hash_one(&*self.slots[id].key);
        if let Ok(found) = self.table.find_entry(hash, |&candidate| candidate == id) {
            found.remove();
            self.slots[id].key = Box::default();
            self.bare -= usize::from(self.slots[id].entry.is_bare());
            self.moved_back.remove(&id);
            self.erased.remove(&id);
            self.free.push(id);
        }
    }

    /// Whether the slot holds an entry.
    pub(super) fn is_taken(&self, slot: SlotId) -> bool {
        !self.slots[slot].key.is_empty()
    }

    /// Every entry.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SlotId, &Slot)> {
        self.table.iter().map(|&id| (id, &self.slots[id]))
    }
}

/// Writes the key of an identity within the index over what is in `key`.
pub(super) fn write_key(community_id: &str, kind: Kind, id: &str, key: &mut Vec<u8>) {
    key.clear();
    key.push(kind as u8);
    // Ids are bounded by `limits::ID_BYTES`; a longer one from another producer is told apart by the bytes that follow.
    key.extend_from_slice(&(community_id.len() as u32).to_le_bytes());
    key.extend_from_slice(community_id.as_bytes());
    key.extend_from_slice(id.as_bytes());
}

pub(super) fn split_key(key: &[u8]) -> Option<(&str, Kind, &str)> {
    let (&kind, rest) = key.split_first()?;
    let kind = *Kind::ALL.get(usize::from(kind))?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (community_id, id) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((std::str::from_utf8(community_id).ok()?, kind, std::str::from_utf8(id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(changed_at: EpochMs) -> Entry {
        Entry {
            version: Version { changed_at, observed_at: 0 },
            event_time: 0,
            digest: [0; 16],
            label: Label::Tip,
            direction: Direction::Unknown,
            content: ContentOf::default(),
            abstained: false,
            brand: false,
            author: None,
            answers: None,
            thread: 0,
            deleted: false,
            said: Said::default(),
            counted: true,
            queue: None,
            listed: false,
            closed: false,
        }
    }

    #[test]
    fn finds_what_it_was_given_and_reuses_slots() {
        let mut index = IdentityIndex::default();
        let mut key = Vec::new();
        for number in 0..1_000 {
            write_key("warga", Kind::Post, &number.to_string(), &mut key);
            index.insert(&key, entry(number));
        }
        write_key("warga", Kind::Post, "77", &mut key);
        let slot = index.find(&key).unwrap();
        assert_eq!(index.slot(slot).entry.version.changed_at, 77);
        assert_eq!(index.slot(slot).identity(), Some(("warga", Kind::Post, "77")));
        index.remove(slot);
        assert_eq!((index.find(&key), index.len()), (None, 999));
        write_key("warga", Kind::Comment, "77", &mut key);
        assert_eq!(index.insert(&key, entry(1)), slot);
        assert_eq!(index.iter().count(), 1_000);
    }

    #[test]
    fn what_was_moved_back_is_bare_until_its_latest_time() {
        let at = |event_time: EpochMs| Entry { event_time, author: Some(MemberKey([7; 16])), ..entry(0) };
        let mut index = IdentityIndex::default();
        let mut key = Vec::new();
        write_key("warga", Kind::Post, "7", &mut key);
        for (segment, event_time) in [(1, 50), (2, 90), (3, 20), (4, 30)] {
            index.restore(&key, at(event_time), segment);
        }
        let slot = index.find(&key).unwrap();
        assert_eq!((index.leaves_at(slot), index.frees_at(slot)), (30, 90));
        index.strip(slot);
        index.note_erased(slot);
        assert_eq!((index.find(&key), index.leaves_at(slot), index.slot(slot).entry.author), (None, 90, None));
        // It comes again, in its place, and is no erased one any more.
        assert_eq!(index.insert(&key, at(40)), slot);
        assert_eq!((index.find(&key), index.leaves_at(slot), index.len()), (Some(slot), 40, 1));
        assert!(index.take_erased().is_empty());
        // Who has its place afterwards has nothing of it.
        index.strip(slot);
        index.note_erased(slot);
        index.remove(slot);
        write_key("warga", Kind::Post, "8", &mut key);
        assert_eq!(index.insert(&key, at(10)), slot);
        assert_eq!((index.frees_at(slot), index.len()), (10, 1));
        assert!(index.take_erased().is_empty());
    }

    #[test]
    fn different_identities_have_different_keys() {
        let key = |community: &str, id: &str| {
            let mut key = Vec::new();
            write_key(community, Kind::Post, id, &mut key);
            key
        };
        assert_ne!(key("ab", "c"), key("a", "bc"));
    }
}
