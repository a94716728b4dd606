//! Items by the slots of their interactions.

use std::ops::Index;

use super::Item;
use crate::community::identity::SlotId;

/// Slots are dense, and many have an item: a place for each takes less than a hash table, and nothing is moved when there are more. Blocks
/// stay, as those of the slots do.
#[derive(Debug, Default)]
pub(super) struct BySlot {
    blocks: Vec<Vec<Option<Box<Item>>>>,
    taken: usize,
}

/// Places of one block.
const BLOCK: usize = 4_096;

// One more byte, and the allocator takes a seventh more for each of millions.
const _: () = assert!(size_of::<Item>() <= 112);

impl BySlot {
    pub(super) fn len(&self) -> usize {
        self.taken
    }

    pub(super) fn get(&self, slot: SlotId) -> Option<&Item> {
        self.blocks.get(slot as usize / BLOCK)?[slot as usize % BLOCK].as_deref()
    }

    pub(super) fn get_mut(&mut self, slot: SlotId) -> Option<&mut Item> {
        self.blocks.get_mut(slot as usize / BLOCK)?[slot as usize % BLOCK].as_deref_mut()
    }

    pub(super) fn contains(&self, slot: SlotId) -> bool {
        self.get(slot).is_some()
    }

    pub(super) fn insert(&mut self, slot: SlotId, item: Item) {
        let (block, place) = (slot as usize / BLOCK, slot as usize % BLOCK);
        while self.blocks.len() <= block {
            self.blocks.push(std::iter::repeat_with(|| None).take(BLOCK).collect());
        }
        let before = self.blocks[block][place].replace(Box::new(item));
        self.taken += usize::from(before.is_none());
    }

    pub(super) fn remove(&mut self, slot: SlotId) -> Option<Item> {
        let item = self.blocks.get_mut(slot as usize / BLOCK)?[slot as usize % BLOCK].take()?;
        self.taken -= 1;
        Some(*item)
    }

    /// In the order of slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SlotId, &Item)> {
        let places = self.blocks.iter().flatten().enumerate();
        // No slot is beyond the range of its id.
        places.filter_map(|(slot, place)| Some((slot as SlotId, place.as_deref()?)))
    }
}

impl Index<SlotId> for BySlot {
    type Output = Item;

    fn index(&self, slot: SlotId) -> &Item {
        self.get(slot).expect("an item in this slot")
    }
}

#[cfg(test)]
mod tests {
    use super::super::Content;
    use super::*;

    #[test]
    fn gives_what_is_there_and_counts_it() {
        let item = |expired| Item { expired, ..Item::new(Content::unknown().to_bytes()) };
        let mut items = BySlot::default();
        let far = 3 * BLOCK as SlotId + 7;
        items.insert(far, item(false));
        items.insert(2, item(false));
        items.insert(far, item(true));
        assert_eq!(items.len(), 2);
        assert_eq!(
            items.iter().map(|(slot, item)| (slot, item.expired)).collect::<Vec<_>>(),
            [(2, false), (far, true)]
        );
        assert!(items.contains(2) && !items.contains(3) && !items.contains(SlotId::MAX));
        assert!(items[far].expired);
        assert_eq!(items.remove(far).map(|item| item.expired), Some(true));
        assert_eq!((items.remove(far), items.remove(SlotId::MAX)), (None, None));
        assert_eq!(items.len(), 1);
    }
}
