//! An item of a response queue.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{EpochMs, Kind, Label, Language};

/// Where an item is in its life. On the wire a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueStatus {
    /// Waits for somebody.
    Open,
    /// Somebody works on it, until `claim_until`.
    Claimed,
    /// The brand has answered this person.
    Answered,
    /// Closed by a responder without an answer.
    Acknowledged,
    /// Waits in `queue`, to which an edit or a correction moved it; in none any more where `queue` is `none`.
    Moved,
    /// Waits again: the person wrote again after it was answered or acknowledged.
    Reopened,
    /// The author took the interaction back.
    Retracted,
    /// Nobody did anything in time, or there was no room.
    Expired,
}

impl QueueStatus {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            QueueStatus::Open => "open",
            QueueStatus::Claimed => "claimed",
            QueueStatus::Answered => "answered",
            QueueStatus::Acknowledged => "acknowledged",
            QueueStatus::Moved => "moved",
            QueueStatus::Reopened => "reopened",
            QueueStatus::Retracted => "retracted",
            QueueStatus::Expired => "expired",
        }
    }
}

/// An item of a response queue. Field for field `schemas/QueueItem.avsc`, where each is documented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct QueueItem<'a> {
    #[serde(borrow)]
    pub community_id: Cow<'a, str>,
    pub kind: Kind,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub queue: Cow<'a, str>,
    #[serde(borrow)]
    pub department: Cow<'a, str>,
    pub label: Label,
    pub confidence: f32,
    /// Why it was routed so, in a sentence.
    #[serde(borrow)]
    pub reason: Cow<'a, str>,
    pub priority: i32,
    pub priority_reasons: Cow<'a, [Cow<'a, str>]>,
    pub due_at: Option<EpochMs>,
    pub status: QueueStatus,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub claimed_by: Option<Cow<'a, str>>,
    pub claim_until: Option<EpochMs>,
    pub answered_at: Option<EpochMs>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub text: Option<Cow<'a, str>>,
    pub language: Language,
    /// False where the writer's schema does not have it yet.
    #[serde(default)]
    pub mixed: bool,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub url: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub thread_id: Option<Cow<'a, str>>,
    pub created_at: EpochMs,
    /// Wall-clock time of this state of the item.
    pub updated_at: EpochMs,
    #[serde(borrow)]
    pub origin_topic: Cow<'a, str>,
    pub origin_partition: i32,
    pub origin_offset: i64,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub acknowledged_by: Option<Cow<'a, str>>,
    #[serde(default)]
    pub acknowledged_at: Option<EpochMs>,
    #[serde(default)]
    pub breached_at: Option<EpochMs>,
    #[serde(default)]
    pub reopened: i32,
    #[serde(default)]
    pub waiting_since: Option<EpochMs>,
}
