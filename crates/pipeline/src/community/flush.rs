//! What a partition emits before a commit: due panes, what leaves the index, and the changelog.

use std::fmt::Write;

use record::stage::{LatencySample, Outputs, Step, Stop};
use record::{EpochMs, Identity, Timing, encode_part};

use super::answers::complaint_reach_ms;
use super::changelog::{ChangelogWriter, Meta, SEGMENT_ENTRIES_MAX, StoredId};
use super::identity::{Entry, Slot, SlotId};
use super::panes::{AsOf, row};
use super::partition::{Community, Partition, SegmentUse};
use super::{CommunityStage, Shared};
use crate::encode;

/// How often a watermark that moves alone is written down.
const META_INTERVAL_MS: i64 = 1_000;
/// How far event time goes on between two sweeps of the index, at most.
const SWEEP_INTERVAL_MAX_MS: i64 = 3_600_000;
/// Where the horizon is short, it is swept so many times while event time goes that far: what is kept too long is a part of what is kept.
const SWEEPS_PER_HORIZON: i64 = 24;
/// Identities that leave in one flush where there is no need for more.
const LEAVING_MAX: usize = 5_000;
/// When the outputs of one part of a flush have so many bytes, the next part begins.
const FLUSH_BYTES: usize = 4 << 20;

impl Partition {
    /// Emits what is due, a bounded part at a time: [`Step::More`] until it is all out.
    pub(super) fn flush(&mut self, shared: &mut Shared, outputs: &mut Outputs) -> Result<Step, Stop> {
        self.watermark.advance(shared.now);
        if let Some(watermark) = self.watermark.value() {
            self.keep_time_of_complaints(watermark, shared);
            if self.emit_panes(watermark, shared, outputs)? == Step::More {
                return Ok(Step::More);
            }
            self.sweep(watermark, shared);
            self.turn_aliases(watermark, shared);
        }
        if self.items.len() > shared.items_max {
            self.bound_items(EpochMs::MIN, EpochMs::MIN, shared.items_max);
        }
        if self.emit_tombstones(outputs, FLUSH_BYTES) == Step::More {
            return Ok(Step::More);
        }
        if self.left.is_none() {
            self.emit_old_rows(LEAVING_MAX, outputs);
        }
        // Before rows are written: what leaves needs none, and what that means for others is told by this commit.
        let left = self.left.unwrap_or_else(|| {
            self.bound_index(shared);
            self.let_leave(shared, outputs)
        });
        self.left = Some(left);
        if self.emit_items(shared, outputs, FLUSH_BYTES)? == Step::More {
            return Ok(Step::More);
        }
        self.write_touched_alerts(shared, outputs)?;
        self.watermark.forget_growth();
        self.bound_members(shared);
        // What is on its way out thins segments out by itself.
        if !left && self.leaving.is_empty() {
            self.rewrite_sparse(shared);
        }
        self.scrub(shared);
        self.write_changelog(shared, outputs, left);
        self.left = None;
        Ok(Step::Done)
    }

    fn emit_panes(&mut self, watermark: EpochMs, shared: &mut Shared, outputs: &mut Outputs) -> Result<Step, Stop> {
        let mut result = Ok(());
        let mut panes = 0;
        let mut on_time = 0;
        let specs = shared.windows.specs();
        let reach_ms = complaint_reach_ms(&shared.windows);
        let lateness_ms = specs.iter().map(|spec| spec.lateness_ms).max().unwrap_or(0);
        let completeness = self.watermark.completeness();
        let low_mark = self.low_mark.unwrap_or(EpochMs::MIN);
        let mut step = Step::Done;
        while let Some(&(end, number)) = self.due.first() {
            if end > watermark {
                break;
            }
            if outputs.bytes() > FLUSH_BYTES {
                step = Step::More;
                break;
            }
            self.step_alerts(number, watermark, shared, outputs)?;
            let Some(community) = self.communities[number as usize].as_mut() else {
                self.due.pop_first();
                continue;
            };
            let Shared { windows, encoders, now, .. } = shared;
            let key = &mut self.text_key;
            key.clear();
            encode_part(&community.id, key);
            let community_part = key.len();
            let Community { id, windows: of_community, complaints, .. } = community;
            of_community.emit(windows, watermark, &mut |pane| {
                let name = &windows.specs()[pane.window].name;
                key.truncate(community_part);
                // Writing into memory cannot fail.
                write!(key, "|{name}|{}", pane.end).unwrap_or_default();
                let (open_complaints, oldest) = complaints.open_as_of(pane.end.saturating_sub(reach_ms), pane.end);
                let as_of = AsOf {
                    watermark,
                    now: *now,
                    open_complaints,
                    waiting: complaints.open_as_of(pane.start, pane.end).0,
                    oldest_open_complaint_ms: oldest.map(|since| pane.end - since),
                    members_approximate: pane.members.estimated || pane.start < low_mark,
                    completeness,
                };
                let metrics = row(id, name, &pane, &as_of);
                let encoded = encode(&mut encoders.metrics, &metrics, CommunityStage::METRICS, key, outputs);
                panes += 1;
                on_time += u32::from(pane.timing == Timing::OnTime);
                if result.is_ok() {
                    result = encoded;
                }
            });
            // Nothing asks for an end that is closed.
            let ends_from = watermark.saturating_sub(lateness_ms);
            complaints.prune(ends_from, ends_from.saturating_sub(reach_ms));
            if !community.touched {
                community.touched = true;
                self.touched.push(number);
            }
            self.schedule(number, windows);
            if self.due.first() == Some(&(end, number)) {
                return Err(Stop::Invariant(format!("pane end {end} stays due after its emission")));
            }
        }
        self.panes += panes;
        if on_time > 0
            && let Some(since) = self.watermark.moved_since()
        {
            // In parts of one flush it is almost always the same; where the clock went on between them, the earlier one.
            let sample = self.on_time.get_or_insert(LatencySample { since, weight: 0 });
            sample.since = sample.since.min(since);
            sample.weight = sample.weight.saturating_add(on_time);
        }
        self.moved |= panes > 0;
        result.map(|()| step)
    }

    /// Raises the low mark to the horizon, and finds what is below it.
    fn sweep(&mut self, watermark: EpochMs, shared: &Shared) {
        let horizon_ms = shared.windows.horizon_ms();
        let low_mark = watermark.saturating_sub(horizon_ms);
        if self.swept_to.is_some_and(|swept_to| low_mark - swept_to < sweep_interval_ms(horizon_ms)) {
            return;
        }
        self.swept_to = Some(low_mark);
        self.raise_low_mark(low_mark);
        // Who is told apart no more is in slices still, as far as the horizon.
        self.forget_members(watermark.saturating_sub(shared.remember_ms).min(low_mark), shared);
        self.parked.expire(low_mark);
        // Not before all that they are of has left: else a restore might let it come again.
        self.erasures.expire(self.left_below.unwrap_or(EpochMs::MIN));
        self.sweep_aliases(watermark, shared);
        self.prune_desks(watermark, shared);
        let closed_before = watermark.saturating_sub(shared.keep_closed_ms);
        self.bound_items(closed_before, watermark.saturating_sub(shared.expire_ms), usize::MAX);
    }

    /// Beyond the bound on members those go who were active longest ago: a tenth, or as many as are too many. Those who are active
    /// are no more than the identities.
    fn bound_members(&mut self, shared: &Shared) {
        let too_many = self.members.saturating_sub(shared.members_max);
        if too_many == 0 || self.members < self.members_tried {
            return;
        }
        let communities = self.communities.iter().flatten();
        let mut idle: Vec<EpochMs> = communities.flat_map(|community| community.windows.idle_members()).collect();
        if !idle.is_empty() {
            let place = (idle.len() / 10).max(too_many).min(idle.len() - 1);
            let (_, &mut oldest, _) = idle.select_nth_unstable(place);
            self.forget_members(oldest.saturating_add(1), shared);
        }
        // Not at every commit again, where all are active.
        self.members_tried = self.members + shared.members_max / 10;
    }

    /// Forgets members who were last active before a time.
    fn forget_members(&mut self, before: EpochMs, shared: &Shared) {
        for number in 0..self.communities.len() {
            let Some(community) = self.communities[number].as_mut() else { continue };
            if community.windows.forget_members(before) {
                self.touch(number as u32, shared);
            }
        }
    }

    /// At the bound on entries a tenth of them goes, the oldest by event time.
    fn bound_index(&mut self, shared: &Shared) {
        if self.index.len().saturating_sub(self.leaving.len()) <= shared.ids_max {
            return;
        }
        let mut times: Vec<EpochMs> = self.index.iter().map(|(id, _)| self.index.frees_at(id)).collect();
        let oldest = times.len() / 10;
        let (_, &mut low_mark, _) = times.select_nth_unstable(oldest);
        // One further, so that many entries of the same time cannot keep the mark where it is.
        self.raise_low_mark(low_mark.saturating_add(1));
    }

    fn raise_low_mark(&mut self, low_mark: EpochMs) {
        let low_mark = self.low_mark.map_or(low_mark, |known| known.max(low_mark));
        self.low_mark = Some(low_mark);
        let all = self.index.iter().map(|(id, _)| (self.index.leaves_at(id), id));
        self.leaving = all.filter(|&(leaves_at, _)| leaves_at < low_mark).collect();
    }

    /// Has what is left in thinned out segments written anew, as soon as the segments hold more than twice and a half of what lives:
    /// then compaction leaves less than three times of it. As much has to change again before it is looked through again.
    fn rewrite_sparse(&mut self, shared: &Shared) {
        let enough = self.index.len() as u64 * 5 + SEGMENT_ENTRIES_MAX as u64;
        if !shared.changelog || self.written_ids * 2 < enough {
            return;
        }
        let is_sparse = |slot: &Slot| {
            slot.segment
                .and_then(|segment| self.segments.get(&segment))
                .is_some_and(|used| used.live * 2 < used.written)
        };
        let sparse: Vec<SlotId> = self.index.iter().filter(|(_, slot)| is_sparse(slot)).map(|(id, _)| id).collect();
        sparse.into_iter().for_each(|id| self.mark_changed(id));
    }

    /// Removes entries below the low mark, with the state of their queue items: some at a time, but never fewer than are
    /// beyond the bound. Slice by slice: so the sketch of a slice is written to the changelog once or twice, not with every part that leaves.
    /// And what was said before what answers it.
    fn let_leave(&mut self, shared: &Shared, outputs: &mut Outputs) -> bool {
        let (mut any, mut any_changed) = (false, false);
        let at_once = LEAVING_MAX.max(self.index.len().saturating_sub(shared.ids_max));
        let (mut left, mut last) = (0, None);
        while let Some(&(leaves_at, id)) = self.leaving.first()
            // All of one time together: what has left is told by the time alone.
            && (left < at_once || last == Some(leaves_at))
        {
            self.leaving.pop_first();
            // Since it was found an edit may have moved it, or it went, and its place is another's.
            if !self.index.is_taken(id) || self.index.leaves_at(id) != leaves_at {
                continue;
            }
            (left, last) = (left + 1, Some(leaves_at));
            any = true;
            any_changed |= self.index.slot(id).changed;
            let frees_at = self.index.frees_at(id);
            let stays = frees_at > leaves_at;
            if stays && self.low_mark > Some(frees_at) {
                self.leaving.insert((frees_at, id));
            }
            if let Some(row) = self.depart(id, stays, shared) {
                outputs.push(CommunityStage::QUEUE_STATE).key(row.as_bytes());
            }
        }
        self.left_below = self.leaving.first().map(|&(leaves_at, _)| leaves_at).or(self.low_mark);
        if any_changed {
            let index = &self.index;
            self.changed.retain(|&id| index.is_taken(id));
        }
        any
    }

    /// An edit says that it was made at another time, which the low mark has passed: so it leaves, in its turn or, where that was, now.
    pub(super) fn depart_where_moved(&mut self, id: SlotId, old: &Entry, shared: &Shared) {
        let event_time = self.index.slot(id).entry.event_time;
        if event_time == old.event_time || self.low_mark.is_none_or(|low_mark| event_time >= low_mark) {
            return;
        }
        if self.left_below.is_none_or(|left_below| event_time >= left_below) {
            self.leaving.insert((event_time, id));
            return;
        }
        let stays = self.index.slot(id).segment.is_some();
        let row = self.depart(id, stays, shared);
        self.tombstones.extend(row.map(|key| (CommunityStage::QUEUE_STATE, key)));
        if !stays {
            self.changed.retain(|&changed| changed != id);
        }
    }

    /// An identity leaves as the low mark passed it; it `stays`, bare, where a segment may bring back what it was. Gives the key of its row
    /// in the queues' state, if it has one.
    fn depart(&mut self, id: SlotId, stays: bool, shared: &Shared) -> Option<Box<str>> {
        let row = self.row_of(id);
        let is_told = self.items.get(id).is_some_and(|item| item.expired);
        let waiting = self.items.waiting();
        if stays {
            self.strip(id, shared);
        } else {
            self.leave(id, shared);
        }
        // Nobody will do anything for it any more.
        self.items.expired += if is_told { 0 } else { waiting.saturating_sub(self.items.waiting()) as u64 };
        row
    }

    pub(super) fn row_of(&self, id: SlotId) -> Option<Box<str>> {
        let slot = self.index.slot(id);
        let (community_id, kind, id) = slot.identity().filter(|_| slot.entry.listed)?;
        Some(Identity { community_id: community_id.into(), kind, id: id.into() }.key().into())
    }

    /// An identity leaves the index. Whatever else knows its place has to be told by the caller.
    pub(super) fn leave(&mut self, id: SlotId, shared: &Shared) {
        self.let_go(id, shared);
        if let Some(segment) = self.index.slot(id).segment {
            release(&mut self.segments, segment);
        }
        self.index.remove(id);
    }

    /// An identity leaves, and its entry says no more than that.
    pub(super) fn strip(&mut self, id: SlotId, shared: &Shared) {
        self.let_go(id, shared);
        self.index.strip(id);
        self.mark_changed(id);
    }

    fn let_go(&mut self, id: SlotId, shared: &Shared) {
        self.forget_answers(id, shared);
        self.drop_item(id);
        self.forget_message(id);
    }

    fn write_changelog(&mut self, shared: &Shared, outputs: &mut Outputs, left: bool) {
        if !shared.changelog {
            self.forget_changes();
            return;
        }
        let watermark_moved = self.watermark.value() != self.written_watermark;
        let meta_due = shared.now.saturating_sub(self.meta_written_at) >= META_INTERVAL_MS;
        let worked = self.moved
            || left
            || !self.changed.is_empty()
            || self.parked.is_changed()
            || self.items.is_changed()
            || self.erasures.is_changed()
            || self.aliases.is_changed();
        let only_watermark = watermark_moved && meta_due;
        if !worked && !only_watermark {
            return;
        }
        let version = self.version.to_write(shared.state_version);
        let (output, partition) = (CommunityStage::CHANGELOG, self.number);
        let mut writer = ChangelogWriter { outputs, output, partition, version };
        write_slices(&mut self.communities, &self.touched, &mut self.text_key, &mut writer);
        for dropped in self.drop_idle_communities() {
            let mut key = String::new();
            encode_part(&dropped.id, &mut key);
            dropped.alerts.forget(&mut |piece| writer.alert(&key, piece, None));
        }
        let mut writer = ChangelogWriter { outputs, output, partition, version };
        self.parked.take_changed(|key, kept| writer.parked(key, kept));
        self.erasures.write_changed(&mut writer);
        self.take_changed_items(|key, item| writer.item(key, item));
        self.aliases.take_changed(|key, alias| writer.alias(key, alias));
        self.write_segments(&mut ChangelogWriter { outputs, output, partition, version });
        let meta = Meta {
            positions: self.positions.iter().map(|(&input, &position)| (input as u32, position)).collect(),
            watermark: self.watermark.value(),
            low_mark: self.left_below,
            next_segment: self.next_segment,
            sources: self.watermark.topics().into(),
            windows: shared.windows_digest.as_str().into(),
            partitions: shared.partitions,
            linked_since: self.linked_since,
        };
        ChangelogWriter { outputs, output, partition, version }.meta(&meta);
        self.meta_written_at = shared.now;
        self.written_watermark = self.watermark.value();
        // Where segments are still to be rewritten, or names to turn, the next commit has that to do.
        self.moved = self.scrub_below > 0 || self.is_turning();
    }

    fn write_segments(&mut self, writer: &mut ChangelogWriter<'_>) {
        let changed = std::mem::take(&mut self.changed);
        for slots in changed.chunks(SEGMENT_ENTRIES_MAX) {
            let segment = self.next_segment;
            self.next_segment += 1;
            let queues: Vec<&str> = self.queue_names.iter().map(|name| &**name).collect();
            let index = &self.index;
            writer.segment(segment, &queues, slots, |id| {
                let slot = index.slot(id);
                StoredId::new(slot.key(), &slot.entry)
            });
            let count = slots.len() as u32;
            self.segments.insert(segment, SegmentUse { written: count, live: count });
            for &id in slots {
                let slot = self.index.slot_mut(id);
                slot.changed = false;
                if let Some(old) = slot.segment.replace(segment) {
                    release(&mut self.segments, old);
                }
            }
        }
        self.changed = changed;
        self.changed.clear();
        self.written_ids = 0;
        self.segments.retain(|&segment, used| {
            if used.live == 0 {
                writer.remove_segment(segment);
                return false;
            }
            self.written_ids += u64::from(used.written);
            true
        });
    }

    /// Without a changelog there is nothing to write, only to forget.
    fn forget_changes(&mut self) {
        for &number in &self.touched {
            if let Some(community) = self.communities[number as usize].as_mut() {
                community.windows.take_changed(&mut |_, _| {});
                community.alerts.take_changed(&mut |_, _| {});
                community.touched = false;
            }
        }
        self.drop_idle_communities();
        for &id in &self.changed {
            self.index.slot_mut(id).changed = false;
        }
        self.changed.clear();
        self.parked.take_changed(|_, _| {});
        self.erasures.forget_changes();
        self.take_changed_items(|_, _| {});
        self.aliases.take_changed(|_, _| {});
        self.moved = false;
    }

    /// Lets go of touched communities that nothing is known of any more; forgets what was touched.
    fn drop_idle_communities(&mut self) -> Vec<Community> {
        let mut dropped = Vec::new();
        let touched = std::mem::take(&mut self.touched);
        for &number in &touched {
            let place = &mut self.communities[number as usize];
            if let Some(community) = place {
                let known = community.windows.members();
                self.members = self.members + known - std::mem::replace(&mut community.members, known);
            }
            if let Some(community) = place
                && community.windows.is_idle()
                && community.alerts.is_quiet()
            {
                self.community_ids.remove(&community.id);
                if let Some(scheduled) = community.scheduled() {
                    self.due.remove(&(scheduled, number));
                }
                dropped.extend(place.take());
                self.free_communities.push(number);
            }
        }
        self.touched = touched;
        self.touched.clear();
        dropped
    }
}

/// How far event time goes on between two sweeps, where windows reach so far back, in milliseconds.
pub(super) fn sweep_interval_ms(horizon_ms: i64) -> i64 {
    (horizon_ms / SWEEPS_PER_HORIZON).min(SWEEP_INTERVAL_MAX_MS)
}

fn write_slices(
    communities: &mut [Option<Community>],
    touched: &[u32],
    community_key: &mut String,
    writer: &mut ChangelogWriter<'_>,
) {
    for &number in touched {
        let Some(community) = communities[number as usize].as_mut() else { continue };
        community_key.clear();
        encode_part(&community.id, community_key);
        community.windows.take_changed(&mut |key, value| writer.windows(community_key, key, value.as_ref()));
        community.alerts.take_changed(&mut |piece, value| writer.alert(community_key, piece, value.as_ref()));
        community.touched = false;
    }
}

fn release(segments: &mut std::collections::BTreeMap<u64, SegmentUse>, segment: u64) {
    if let Some(used) = segments.get_mut(&segment) {
        used.live = used.live.saturating_sub(1);
    }
}
