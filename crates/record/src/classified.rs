//! What the classify stage says of an interaction, and how far it has come.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{
    ContentKinds, Direction, EpochMs, Identity, Kind, Label, Language, Position, ReachBand, Role, Tier, Version,
};

/// One value of the classified topic: the union of the schema, in its order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
// A marker is rare and short-lived; boxing the interaction would cost an allocation per record of the hot path.
#[allow(clippy::large_enum_variant)]
pub enum ClassifiedRecord<'a> {
    /// An interaction with its decision.
    #[serde(borrow, alias = "id.sinyal.ClassifiedInteraction")]
    ClassifiedInteraction(ClassifiedInteraction<'a>),
    /// A progress marker; its record has a null key.
    #[serde(borrow, alias = "id.sinyal.Progress")]
    Progress(Progress<'a>),
}

/// An interaction with its decision. Field for field `schemas/Classified.avsc`, where each is documented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct ClassifiedInteraction<'a> {
    #[serde(borrow)]
    pub community_id: Cow<'a, str>,
    pub kind: Kind,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub author_key: Option<Cow<'a, str>>,
    pub author_role: Role,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub post_author_key: Option<Cow<'a, str>>,
    pub post_author_role: Role,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub parent_author_key: Option<Cow<'a, str>>,
    pub parent_author_role: Role,
    pub direction: Direction,
    pub reach_band: ReachBand,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub thread_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub parent_id: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub url: Option<Cow<'a, str>>,
    pub created_at: EpochMs,
    pub observed_at: EpochMs,
    pub edited_at: Option<EpochMs>,
    pub ingested_at: EpochMs,
    pub classified_at: EpochMs,
    pub deleted: bool,
    /// SHA-256 in lower-case hex.
    #[serde(borrow)]
    pub content_digest: Cow<'a, str>,
    pub label: Label,
    pub p_complaint: f32,
    pub p_tip: f32,
    pub p_experience: f32,
    pub p_praise: f32,
    pub p_other: f32,
    pub confidence: f32,
    pub abstained: bool,
    pub language: Language,
    /// False where the writer's schema does not have it yet.
    #[serde(default)]
    pub mixed: bool,
    pub tier: Tier,
    #[serde(borrow)]
    pub model: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub queue: Option<Cow<'a, str>>,
    pub content_kinds: ContentKinds,
    pub fingerprint: Option<i64>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub text: Option<Cow<'a, str>>,
    /// True when the text was cut at `limits::TEXT_BYTES`, or only its first part was classified.
    pub text_truncated: bool,
    #[serde(borrow)]
    pub origin_topic: Cow<'a, str>,
    pub origin_partition: i32,
    pub origin_offset: i64,
    /// Not written at all where there is none: so it fits the schema before too.
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option", skip_serializing_if = "Option::is_none")]
    pub previous_author_key: Option<Cow<'a, str>>,
}

impl ClassifiedInteraction<'_> {
    /// What makes it the same interaction as another record.
    pub fn identity(&self) -> Identity<'_> {
        Identity { community_id: Cow::Borrowed(&self.community_id), kind: self.kind, id: Cow::Borrowed(&self.id) }
    }

    /// Its version, as [`crate::Interaction::version`] defines it.
    pub fn version(&self) -> Version {
        let changed_at = match self.edited_at {
            Some(edited_at) => edited_at,
            None if self.deleted => self.observed_at,
            None => self.created_at,
        };
        Version { changed_at, observed_at: self.observed_at }
    }
}

/// How far the sources of one classifier replica have come, as of the transaction that the marker is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress<'a> {
    /// Wall-clock time of the replica when it wrote the marker.
    pub at: EpochMs,
    /// Every source that the replica owns; none in a marker that is only there for its canaries.
    #[serde(borrow)]
    pub sources: Vec<SourceProgress<'a>>,
    /// Canaries that were read since the marker before; none where the writer's schema does not have them yet.
    #[serde(borrow, default)]
    pub canaries: Vec<SourceCanary<'a>>,
}

/// A canary that the classify stage has read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCanary<'a> {
    /// The raw topic.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its id.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// When its round was sent.
    pub sent_at: EpochMs,
}

/// How far one source (a partition of a raw topic) has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProgress<'a> {
    /// The raw topic.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    /// Its partition.
    pub partition: i32,
    /// The next offset to read.
    pub position: Position,
    /// The largest event time read from it so far by this owner; null if none.
    pub largest_event_time: Option<EpochMs>,
    /// True when the end of the partition had been reached at `position`.
    pub caught_up: bool,
    /// Kafka time of the first record since the marker before by which `largest_event_time` grew; `None` if it did not, or
    /// the writer's schema does not have it yet.
    #[serde(default)]
    pub grown_since: Option<EpochMs>,
}
