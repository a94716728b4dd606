//! How a partition's state is read back from its changelog.

use std::collections::{BTreeMap, HashMap};

use record::stage::Stop;

use super::changelog::{EntryKey, Segment, read_key, read_meta, read_value};
use super::identity::{Slot, SlotId, write_key};
use super::partition::{Partition, SegmentUse};
use super::{Shared, changed_partitions, state_version};

/// What to do when the state was counted in other windows than those configured now.
const CHANGED_WINDOWS: &str = "the state was written with other windows; set them as they were, or rebuild everything with \
                               `sinyal reprocess`";

impl Partition {
    /// Takes in one entry; a null value removes it.
    pub(super) fn restore(
        &mut self,
        key: &[u8],
        value: Option<&[u8]>,
        shared: &Shared,
        topic: &str,
    ) -> Result<(), Stop> {
        let number = self.number;
        let damaged = |detail: String| Stop::Changelog { partition: number, detail };
        let Some(entry_key) = read_key(key) else {
            // A newer program may have kinds that this one does not know: then the version says more.
            value.map_or(Ok(0), state_version::of).map_err(damaged)?;
            return Err(damaged(format!("entry of an unknown kind: {}", shown(key))));
        };
        let named = |detail: String| damaged(format!("entry {}: {detail}", shown(key)));
        if let Some(value) = value {
            let found = state_version::of(value).and_then(|version| self.version.found(version, shared.state_version));
            found.map_err(named)?;
        }
        match (entry_key, value) {
            (EntryKey::Meta, Some(value)) => {
                let (_, meta) = read_meta(value).map_err(named)?;
                if meta.windows != shared.windows_digest {
                    return Err(named(CHANGED_WINDOWS.to_owned()));
                }
                if meta.partitions != shared.partitions {
                    return Err(Stop::Partitions(changed_partitions(topic, meta.partitions, shared.partitions)));
                }
                self.recorded = meta.positions.iter().map(|&(input, position)| (input as usize, position)).collect();
                (self.low_mark, self.left_below) = (meta.low_mark, meta.low_mark);
                self.linked_since = meta.linked_since;
                self.next_segment = meta.next_segment;
                self.watermark.restore(meta.sources.into_owned(), meta.watermark);
                self.written_watermark = meta.watermark;
            }
            // A position is never removed: without it everything else would be of no use.
            (EntryKey::Meta, None) => return Err(named("removed".to_owned())),
            (EntryKey::Segment(segment), Some(value)) => {
                let stored: Segment<'_> = read_value(value).map_err(named)?;
                self.restore_segment(segment, &stored).map_err(named)?;
            }
            (EntryKey::Segment(segment), None) => {
                self.segments.remove(&segment);
            }
            (EntryKey::Parked { community_id, id, .. }, value) if community_id.is_empty() => {
                let kept = value.map(read_value).transpose().map_err(named)?;
                if !self.erasures.restored(&id, kept.as_ref()) {
                    return Err(named("no community is named, and it is no erasure".to_owned()));
                }
            }
            (EntryKey::Parked { community_id, kind, id }, value) => {
                let mut key = Vec::new();
                write_key(&community_id, kind, &id, &mut key);
                self.parked.restore(&key, value.map(read_value).transpose().map_err(named)?);
            }
            (EntryKey::Alias(key), value) => {
                self.aliases.restore(key, value.map(read_value).transpose().map_err(named)?);
            }
            (EntryKey::Item { community_id, kind, id }, value) => {
                let mut key = Vec::new();
                write_key(&community_id, kind, &id, &mut key);
                self.restore_item(key.into(), value.map(read_value).transpose().map_err(named)?);
            }
            (EntryKey::Alert { community_id, piece }, value) => {
                if value.is_none() && !self.community_ids.contains_key(&*community_id) {
                    return Ok(());
                }
                let community = self.community(&community_id);
                let Some(community) = self.communities[community as usize].as_mut() else { return Ok(()) };
                let value = value.map(read_value).transpose().map_err(named)?;
                if !community.alerts.restore(piece, value) {
                    return Err(named("a key and a value that do not belong together".to_owned()));
                }
            }
            (EntryKey::Windows { community_id, key }, value) => {
                if value.is_none() && !self.community_ids.contains_key(&*community_id) {
                    return Ok(());
                }
                let community = self.community(&community_id);
                let Some(community) = self.communities[community as usize].as_mut() else { return Ok(()) };
                let value = value.map(read_value).transpose().map_err(named)?;
                if !community.windows.restore(&shared.windows, key, value) {
                    return Err(named(CHANGED_WINDOWS.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Takes out what had left: it is only in segments that others are still in, and there as it was once.
    fn restore_left(&mut self) {
        // Ids of a removed segment had all left, or had moved to a later one.
        let is_removed = |slot: &Slot| slot.segment.is_none_or(|segment| !self.segments.contains_key(&segment));
        let removed: Vec<SlotId> = self.index.iter().filter(|(_, slot)| is_removed(slot)).map(|(id, _)| id).collect();
        removed.into_iter().for_each(|id| self.index.remove(id));
        let Some(left_below) = self.left_below else { return };
        let ids = self.index.iter().map(|(id, _)| id);
        let left: Vec<SlotId> = ids.filter(|&id| self.index.leaves_at(id) < left_below).collect();
        for id in left {
            // An earlier program let go of them when their mark was in the changelog already: then the row may still be there.
            let row = self.row_of(id);
            self.old_rows.extend(row.map(|row| (self.index.slot(id).key().into(), row)));
            if self.index.frees_at(id) < left_below {
                self.index.remove(id);
            } else {
                // It was let go of by an earlier program, which left nothing that says so.
                self.index.strip(id);
                self.mark_changed(id);
            }
        }
    }

    fn restore_segment(&mut self, segment: u64, stored: &Segment<'_>) -> Result<(), String> {
        let queues: Vec<u8> = stored.queues.iter().map(|name| self.queue_number(name)).collect();
        for id in &stored.ids {
            let mut entry = id.entry().ok_or("an id with a label or a direction that this program does not know")?;
            let said = entry.said.queue.as_mut().map(|(queue, _)| queue);
            for queue in entry.queue.as_mut().into_iter().chain(said) {
                *queue = *queues.get(usize::from(*queue)).ok_or("an id in a queue that the segment does not name")?;
            }
            // As an earlier program leaves one that was bare and that it took in again.
            entry.closed &= entry.listed || entry.deleted;
            self.index.restore(id.key, entry, segment);
        }
        let written = u32::try_from(stored.ids.len()).unwrap_or(u32::MAX);
        self.segments.insert(segment, SegmentUse { written, live: 0 });
        Ok(())
    }

    /// The changelog was read to its end: brings together what its entries say of each other.
    pub(super) fn restored(&mut self, shared: &Shared) {
        self.restore_left();
        self.restore_erasures();
        let mut live: HashMap<u64, u32> = HashMap::new();
        for (_, slot) in self.index.iter() {
            *live.entry(slot.segment.unwrap_or_default()).or_default() += 1;
        }
        let segments: BTreeMap<u64, SegmentUse> = std::mem::take(&mut self.segments);
        self.segments = segments
            .into_iter()
            .map(|(segment, used)| (segment, SegmentUse { live: live.get(&segment).copied().unwrap_or(0), ..used }))
            .collect();
        let watermark = self.watermark.value();
        for number in 0..self.communities.len() {
            if let Some(community) = self.communities[number].as_mut() {
                community.windows.restored(&shared.windows, watermark);
                community.members = community.windows.members();
                self.members += community.members;
            }
        }
        self.restore_names(shared);
        self.recall(shared);
        self.restore_items(shared);
        self.look_again(shared, |alerts| alerts.rules.is_misled(&shared.alert_rules));
        for number in 0..self.communities.len() {
            self.schedule(number as u32, &shared.windows);
        }
    }
}

/// A key of the changelog as it may be told: without pseudonyms and ids of interactions.
fn shown(key: &[u8]) -> String {
    let key = String::from_utf8_lossy(key);
    let kind = key.split('|').next().unwrap_or_default();
    let may_be_told = matches!(kind, "meta" | "ids" | "slice" | "pane" | "alert");
    let shown = if may_be_told { &key } else { kind };
    shown.chars().take(200).collect()
}
