//! The item of a response queue that a classified interaction becomes.

use std::borrow::Cow;

use record::{ClassifiedInteraction, EpochMs, QueueItem, QueueStatus};
use rules::{Communities, QueueSpec, Route, Standing, priority_of};

/// The item as routing sends it to its queue: with the department that is to answer, when that is due, and how soon it should
/// be taken up as of `now`. Whether the same person waits elsewhere, or the thread has an answer, is not known yet.
pub(crate) fn routed_item<'a>(
    classified: &'a ClassifiedInteraction<'_>,
    route: &Route<'a>,
    communities: &'a Communities,
    now: EpochMs,
) -> QueueItem<'a> {
    let community = communities.get(&classified.community_id);
    let due_at = route.sla.map(|sla| community.due_at(classified.created_at, sla));
    let priority = priority_of(&standing(classified, due_at), now);
    QueueItem {
        department: Cow::Borrowed(route.department(community)),
        priority: priority.value,
        priority_reasons: Cow::Borrowed(priority.reasons),
        due_at,
        ..queue_item(classified, &route.queue.spec, route.reason(), QueueStatus::Open, now)
    }
}

fn standing(classified: &ClassifiedInteraction<'_>, due_at: Option<EpochMs>) -> Standing {
    Standing {
        label: classified.label,
        abstained: classified.abstained,
        created_at: classified.created_at,
        due_at,
        repeated_contact: false,
        unanswered_thread: false,
    }
}

/// The item with its state at `now`, and the priority with which it began. A retracted one holds no text.
pub(crate) fn queue_item<'a>(
    classified: &'a ClassifiedInteraction<'_>,
    queue: &'a QueueSpec,
    reason: &'a str,
    status: QueueStatus,
    now: EpochMs,
) -> QueueItem<'a> {
    let priority = priority_of(&standing(classified, None), classified.created_at);
    QueueItem {
        community_id: Cow::Borrowed(&classified.community_id),
        kind: classified.kind,
        id: Cow::Borrowed(&classified.id),
        queue: Cow::Borrowed(&queue.name),
        department: Cow::Borrowed(&queue.department),
        label: classified.label,
        confidence: classified.confidence,
        reason: Cow::Borrowed(reason),
        priority: priority.value,
        priority_reasons: Cow::Borrowed(priority.reasons),
        due_at: None,
        status,
        claimed_by: None,
        claim_until: None,
        answered_at: None,
        text: classified.text.as_deref().map(Cow::Borrowed),
        language: classified.language,
        mixed: classified.mixed,
        url: classified.url.as_deref().map(Cow::Borrowed),
        thread_id: classified.thread_id.as_deref().map(Cow::Borrowed),
        created_at: classified.created_at,
        updated_at: now,
        origin_topic: Cow::Borrowed(&classified.origin_topic),
        origin_partition: classified.origin_partition,
        origin_offset: classified.origin_offset,
        acknowledged_by: None,
        acknowledged_at: None,
        breached_at: None,
        reopened: 0,
        waiting_since: None,
    }
}
