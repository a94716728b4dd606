//! Rows of the queues' state: written before a commit, for each item of which something changed.

use std::borrow::Cow;

use record::stage::{Outputs, Step, Stop};
use record::{EpochMs, Identity, Label, Language, QueueItem, QueueStatus};
use rules::{Communities, Routable, Route, Routed, Routing, Standing as Waits, priority_of};
use smallvec::SmallVec;

use super::standing::{Times, standing};
use super::{Closed, Content, Item, Standing};
use crate::community::answers::target_hash;
use crate::community::corrections::SURE;
use crate::community::identity::{Entry, Slot, SlotId};
use crate::community::partition::Partition;
use crate::community::{CommunityStage, Shared};
use crate::encode;

/// Stands for the queue of what waits in none.
const NO_QUEUE: &str = "none";

/// An item as of now.
struct AsOf {
    standing: Standing,
    due_at: Option<EpochMs>,
    breached_at: Option<EpochMs>,
    repeated: bool,
}

impl Partition {
    /// Writes the rows of items that changed, and of those whose service level is over, up to so many bytes of outputs.
    pub(crate) fn emit_items(
        &mut self,
        shared: &mut Shared,
        outputs: &mut Outputs,
        bytes_max: usize,
    ) -> Result<Step, Stop> {
        let watermark = self.watermark.value().unwrap_or(EpochMs::MIN);
        while let Some(&(due_at, slot)) = self.items.timers.first()
            && due_at <= watermark
        {
            self.items.timers.pop_first();
            // A row that time alone makes goes with the time, which a restart is not to be behind of.
            self.moved = true;
            if let Some(item) = self.items.by_slot.get_mut(slot) {
                item.links.timed = false;
            }
            self.items.touch(slot);
        }
        while let Some(slot) = self.items.dirty.pop() {
            if outputs.bytes() > bytes_max {
                self.items.dirty.push(slot);
                return Ok(Step::More);
            }
            self.emit_item(slot, watermark, shared, outputs)?;
        }
        Ok(Step::Done)
    }

    fn emit_item(
        &mut self,
        slot: SlotId,
        watermark: EpochMs,
        shared: &mut Shared,
        outputs: &mut Outputs,
    ) -> Result<(), Stop> {
        // It may have left since, or been told of.
        let is_dirty = self.items.by_slot.get(slot).is_some_and(|item| item.links.dirty);
        if !is_dirty || !self.index.is_taken(slot) {
            return Ok(());
        }
        let as_of = self.as_of(slot, watermark, shared);
        self.keep_time(slot, watermark, &as_of);
        let Some(item) = self.items.by_slot.get_mut(slot) else { return Ok(()) };
        item.links.dirty = false;
        let Some(item) = self.items.by_slot.get(slot) else { return Ok(()) };
        let unanswered_thread = !item.links.ended && self.items.is_thread_unanswered(item);
        let known = self.index.slot(slot);
        let queue = known.entry.queue.map(|queue| &*self.queue_names[usize::from(queue)]);
        let Shared { encoders, routing, communities, now, .. } = shared;
        let Some(row) = row(known, (item, unanswered_thread), &as_of, queue, (&*routing, &**communities)) else {
            return Ok(());
        };
        self.text_key.clear();
        Identity { community_id: Cow::Borrowed(&row.community_id), kind: row.kind, id: Cow::Borrowed(&row.id) }
            .write_key(&mut self.text_key);
        let row = QueueItem { updated_at: *now, ..row };
        encode(&mut encoders.queue_item, &row, CommunityStage::QUEUE_STATE, &self.text_key, outputs)?;
        if as_of.standing.is_gone(queue.is_some()) {
            self.let_go_of_item(slot);
        }
        Ok(())
    }

    /// What came since the last flush may be past its service level already: the alert rules are to know before they step.
    pub(crate) fn keep_time_of_complaints(&mut self, watermark: EpochMs, shared: &Shared) {
        let waits =
            |slot: &SlotId| self.index.is_taken(*slot) && self.index.slot(*slot).entry.label == Label::Complaint;
        let counted = |slot: &SlotId| self.items.by_slot.get(*slot).is_some_and(|item| item.overdue().is_some());
        let slots: Vec<SlotId> = self.items.dirty.iter().copied().filter(|slot| waits(slot) || counted(slot)).collect();
        for slot in slots {
            if self.items.by_slot.contains(slot) {
                self.keep_time_of(slot, watermark, shared);
            }
        }
    }

    /// The community registry is another: what waits with a service level may be due at another time, which its row tells.
    pub(crate) fn time_again(&mut self, shared: &Shared) {
        let waits = self.items.iter().filter(|(_, item)| item.closed_at.is_none());
        let waiting: Vec<(SlotId, EpochMs)> =
            waits.filter_map(|(slot, item)| Some((slot, item.links.since.get()?))).collect();
        for (slot, since) in waiting {
            let before = self.items.by_slot.get(slot).and_then(|item| item.links.told_due_at.get());
            if self.due_at(slot, since, shared) != before {
                self.items.touch(slot);
            }
        }
    }

    /// An item was restored: brings back what follows from it.
    pub(super) fn keep_time_of(&mut self, slot: SlotId, watermark: EpochMs, shared: &Shared) {
        let as_of = self.as_of(slot, watermark, shared);
        self.keep_time(slot, watermark, &as_of);
    }

    /// How an item stands; what that means for others of its thread is told them.
    fn as_of(&mut self, slot: SlotId, watermark: EpochMs, shared: &Shared) -> AsOf {
        let known = self.index.slot(slot);
        let entry = known.entry;
        let mut answers: SmallVec<[EpochMs; 4]> = SmallVec::new();
        let item = &self.items.by_slot[slot];
        let messages = if item.links.ended { SmallVec::new() } else { self.messages_of(slot) };
        if !self.answers.is_empty() && !item.links.ended {
            answers.extend(self.answers.to(target_hash(known.key()), entry.event_time));
            for &(at, message) in &messages {
                answers.extend(self.answers.to(target_hash(self.index.slot(message).key()), at));
            }
            answers.sort_unstable();
        }
        let times_again: SmallVec<[EpochMs; 4]> = messages.iter().map(|&(at, _)| at).collect();
        let times = Times {
            created_at: entry.event_time,
            deleted: entry.deleted,
            queued: entry.queue.is_some(),
            answers: &answers,
            messages: &times_again,
        };
        let standing = standing(item, times);
        let due_at = self.due_at(slot, standing.since, shared);
        let breached_at =
            due_at.filter(|&due_at| standing.closed_at.map_or(watermark >= due_at, |closed_at| closed_at > due_at));
        if !item.links.ended {
            self.items.answer(slot, standing.answered_at.is_some());
        }
        let item = &self.items.by_slot[slot];
        let asked_before =
            self.items.asked_before(item, entry.event_time, |other| self.index.slot(other).entry.event_time);
        AsOf { standing, due_at, breached_at, repeated: asked_before || !messages.is_empty() }
    }

    /// When an answer is due to what was said at `since`, by the service level of where the item waits.
    fn due_at(&self, slot: SlotId, since: EpochMs, shared: &Shared) -> Option<EpochMs> {
        let known = self.index.slot(slot);
        let (community_id, ..) = known.identity()?;
        let queue = &*self.queue_names[usize::from(known.entry.queue?)];
        let content = self.items.by_slot.get(slot)?.content();
        let spec = shared.routing.position(queue).map(|place| &shared.routing.queues()[place]);
        let route = route_of(&known.entry, community_id, &content, queue, &shared.routing);
        let sla = route.map_or_else(|| spec.and_then(|spec| spec.spec.sla), |route| route.sla)?;
        Some(shared.communities.due_at(community_id, since, sla))
    }

    /// Keeps the timers, what is overdue in the community, and the figures right.
    fn keep_time(&mut self, slot: SlotId, watermark: EpochMs, as_of: &AsOf) {
        let AsOf { standing, due_at, .. } = as_of;
        let entry = self.index.slot(slot).entry;
        let number = self.community_of(slot);
        let Some(item) = self.items.by_slot.get_mut(slot) else { return };
        let timer = due_at.filter(|&due_at| standing.closed_at.is_none() && due_at > watermark);
        if timer != item.links.timer() {
            if let Some(due_at) = item.links.timer() {
                self.items.timers.remove(&(due_at, slot));
            }
            if let Some(due_at) = timer {
                self.items.timers.insert((due_at, slot));
            }
        }
        item.links.timed = timer.is_some();
        let counts = entry.label == Label::Complaint && !standing.is_gone(entry.queue.is_some());
        let overdue = due_at.filter(|_| counts).map(|due_at| (standing.closed_at, due_at));
        let before = item.overdue();
        let was_open = item.closed_at.is_none();
        let is_changed = std::mem::replace(&mut item.closed_at, standing.closed_at) != standing.closed_at;
        item.links.since = Some(standing.since).into();
        item.links.told_due_at = (*due_at).into();
        item.links.told_overdue = overdue.is_some();
        if let Some(closed_at) = standing.closed_at
            && was_open
            && matches!(standing.status, QueueStatus::Answered | QueueStatus::Acknowledged)
        {
            let Content { reach_band, language, .. } = item.content();
            let answered = standing.status == QueueStatus::Answered;
            let wait_ms = (closed_at - standing.since).max(0);
            self.items.was_closed(Closed { reach_band, language, answered, wait_ms });
        }
        self.items.waiting -= usize::from(was_open);
        self.items.waiting += usize::from(standing.closed_at.is_none());
        if is_changed {
            self.items.mark_changed(slot);
        }
        if before != overdue
            && let Some(number) = number
            && let Some(community) = self.communities[number as usize].as_mut()
        {
            community.overdue.change(slot, before, overdue);
        }
    }

    /// An item is closed for long, or ended: only that it was, is remembered.
    fn let_go_of_item(&mut self, slot: SlotId) {
        // What was done with it stands, should it come again.
        if let Some(acts) = self.items.by_slot.get_mut(slot).and_then(|item| item.acts.take()) {
            self.parked.keep_acts(self.index.slot(slot).key(), *acts);
        }
        self.drop_item(slot);
        let entry = self.index.slot(slot).entry;
        if !entry.closed {
            self.set_entry(slot, Entry { closed: true, ..entry });
        }
    }

    /// An item leaves, with what others know of it.
    pub(crate) fn drop_item(&mut self, slot: SlotId) {
        let number = self.community_of(slot);
        if self.items.by_slot.contains(slot) {
            self.items.answer(slot, false);
            self.put_out_of_order(slot);
        }
        let Some(item) = self.items.remove(slot, &self.index) else { return };
        if let Some(number) = number
            && let Some(community) = self.communities[number as usize].as_mut()
        {
            community.overdue.change(slot, item.overdue(), None);
        }
    }

    /// Lets go of items that were closed before a time, and of those that waited since before another. At the bound on items
    /// the closed go first, then who waited longest: a tenth at a time.
    pub(crate) fn bound_items(&mut self, closed_before: EpochMs, made_before: EpochMs, most: usize) {
        let index = &self.index;
        let mut closed = Vec::new();
        let mut open = Vec::new();
        // Those that were told to go before go with their rows.
        let mut going = 0;
        for (slot, item) in self.items.iter() {
            going += usize::from(item.expired);
            // What changed is told first.
            if item.links.dirty {
                continue;
            }
            match item.closed_at {
                Some(at) => closed.push((at, slot)),
                // Since they asked, or somebody did something for them.
                None => {
                    let said_at = item.links.since.get().unwrap_or(index.slot(slot).entry.event_time);
                    let acted_at = item.acts.as_ref().and_then(|acts| acts.last());
                    open.push((said_at.max(acted_at.unwrap_or(said_at)), slot));
                }
            }
        }
        closed.sort_unstable();
        open.sort_unstable();
        let mut too_many = match self.items.len().saturating_sub(going).saturating_sub(most) {
            0 => 0,
            beyond => beyond + most / 10,
        };
        for (at, slot) in closed {
            if at >= closed_before && too_many == 0 {
                break;
            }
            too_many = too_many.saturating_sub(1);
            self.let_go_of_item(slot);
        }
        for (at, slot) in open {
            if at >= made_before && too_many == 0 {
                break;
            }
            too_many = too_many.saturating_sub(1);
            if let Some(item) = self.items.by_slot.get_mut(slot) {
                item.expired = true;
                self.items.expired += 1;
            }
            self.items.change(slot);
        }
    }

    /// Shows the items that the changelog has to know anew, by key in the index; `None` where it has to forget one.
    pub(crate) fn take_changed_items(&mut self, mut see: impl FnMut(&[u8], Option<&Item>)) {
        for key in self.items.removed.drain(..) {
            // It may have come again since.
            let again = self.index.find(&key).is_some_and(|slot| self.items.by_slot.contains(slot));
            if !again {
                see(&key, None);
            }
        }
        for slot in std::mem::take(&mut self.items.changed) {
            if let Some(item) = self.items.by_slot.get_mut(slot).filter(|item| item.links.changed) {
                item.links.changed = false;
                see(self.index.slot(slot).key(), Some(item));
            }
        }
    }
}

/// The rule of routing that takes an item, if it is the one that put it where it waits.
fn route_of<'a>(
    entry: &Entry,
    community_id: &str,
    content: &Content<'_>,
    queue: &str,
    routing: &'a Routing,
) -> Option<Route<'a>> {
    let confidence = if entry.said.label.is_some() { SURE } else { content.confidence };
    let routable = entry.routable(community_id, confidence);
    // An entry that an earlier program kept has no language.
    let language = if content.language == Language::Undetermined { entry.content.language() } else { content.language };
    match routing.route(&Routable { language, ..routable }) {
        Routed::Queue(route) if route.queue.spec.name == queue => Some(route),
        _ => None,
    }
}

/// The row of an item; `None` for a slot without an identity.
fn row<'a>(
    known: &'a Slot,
    (item, unanswered_thread): (&'a Item, bool),
    as_of: &AsOf,
    queue: Option<&'a str>,
    (routing, communities): (&'a Routing, &'a Communities),
) -> Option<QueueItem<'a>> {
    let AsOf { standing, due_at, breached_at, repeated } = as_of;
    let (community_id, kind, id) = known.identity()?;
    let entry = known.entry;
    let content = item.content();
    let spec = queue.and_then(|queue| routing.position(queue)).map(|place| &routing.queues()[place]);
    let route = queue.and_then(|queue| route_of(&entry, community_id, &content, queue, routing));
    let reason = match (queue, route) {
        (None, _) if entry.deleted => "the author took it back",
        (None, _) => "no queue takes it",
        (Some(_), _) if entry.said.queue.is_some() => "a responder sent it here",
        (Some(_), _) if entry.said.label.is_some() => "a responder corrected its label",
        (Some(_), _) if item.moved => "an edit or a new decision moved it here",
        (Some(_), Some(route)) => route.reason(),
        (Some(_), None) => spec.map_or("no queue of this name is configured any more", |spec| &spec.reason),
    };
    let department = match (route, spec) {
        (Some(route), _) => route.department(communities.get(community_id)),
        (None, Some(spec)) => communities.get(community_id).department.as_deref().unwrap_or(&spec.spec.department),
        (None, None) => NO_QUEUE,
    };
    let waits = Waits {
        label: entry.label,
        abstained: entry.abstained,
        created_at: standing.since,
        due_at: *due_at,
        repeated_contact: *repeated,
        unanswered_thread,
    };
    // Not as of the clock: a row says the same whenever it is written.
    let priority = priority_of(&waits, breached_at.unwrap_or(standing.since));
    let acts = item.acts.as_deref();
    let claim = acts.and_then(|acts| acts.claim.as_ref()).filter(|_| standing.status == QueueStatus::Claimed);
    let acknowledged = acts.and_then(|acts| acts.acknowledged.as_ref());
    Some(QueueItem {
        community_id: Cow::Borrowed(community_id),
        kind,
        id: Cow::Borrowed(id),
        queue: Cow::Borrowed(queue.unwrap_or(NO_QUEUE)),
        department: Cow::Borrowed(department),
        label: entry.label,
        confidence: content.confidence,
        reason: Cow::Borrowed(reason),
        priority: priority.value,
        priority_reasons: Cow::Borrowed(priority.reasons),
        due_at: *due_at,
        status: standing.status,
        claimed_by: claim.map(|claim| Cow::Borrowed(&*claim.by)),
        claim_until: claim.map(|claim| claim.until),
        answered_at: standing.answered_at,
        text: content.text.map(Cow::Borrowed),
        language: content.language,
        mixed: content.mixed,
        url: content.url.map(Cow::Borrowed),
        thread_id: content.thread_id.map(Cow::Borrowed),
        created_at: entry.event_time,
        updated_at: 0,
        origin_topic: Cow::Borrowed(content.origin_topic),
        origin_partition: content.origin_partition,
        origin_offset: content.origin_offset,
        acknowledged_by: acknowledged.map(|(_, by)| Cow::Borrowed(&**by)),
        acknowledged_at: acknowledged.map(|(at, _)| *at),
        breached_at: *breached_at,
        reopened: standing.reopened,
        waiting_since: Some(standing.since),
    })
}
