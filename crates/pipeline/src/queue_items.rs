//! The item of a response queue that a classified interaction becomes.

use std::borrow::Cow;

use record::{ClassifiedInteraction, EpochMs, QueueItem, QueueStatus};
use rules::{QueueSpec, priority_of};

/// The item as it stands at `now`. A retracted one holds no text.
pub(crate) fn queue_item<'a>(
    classified: &'a ClassifiedInteraction<'_>,
    queue: &'a QueueSpec,
    reason: &'a str,
    status: QueueStatus,
    now: EpochMs,
) -> QueueItem<'a> {
    let priority = priority_of(classified.label, classified.abstained);
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
    }
}
