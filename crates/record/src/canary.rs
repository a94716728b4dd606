//! What the canary topic holds: that a round of canaries was sent, and where each came through.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::EpochMs;

/// Without a place: a round was sent, a canary into each raw partition. With one: a canary of that round came through a raw and a
/// classified partition. Field for field `schemas/Canary.avsc`, where each is documented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Canary<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    pub sent_at: EpochMs,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub raw_topic: Option<Cow<'a, str>>,
    pub raw_partition: Option<i32>,
    pub raw_offset: Option<i64>,
    pub classified_partition: Option<i32>,
    pub classified_at: Option<EpochMs>,
    pub counted_at: Option<EpochMs>,
}
