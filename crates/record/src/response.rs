//! What responders send back, and what wakes them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{EpochMs, Kind, Label};

/// A responder's correction of a decision. Field for field `schemas/Correction.avsc`, where each is documented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Correction<'a> {
    #[serde(borrow)]
    pub community_id: Cow<'a, str>,
    pub kind: Kind,
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    pub label: Option<Label>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub queue: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub by: Cow<'a, str>,
    pub at: EpochMs,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub reason: Option<Cow<'a, str>>,
}

/// A responder's action on a queue item or an alert. Field for field `schemas/Action.avsc`, where each is documented.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Action<'a> {
    /// `claim`, `release`, `acknowledge`, `acknowledge_alert`, `silence`, `unsilence` or `erase`.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    #[serde(borrow)]
    pub target: Cow<'a, str>,
    #[serde(borrow)]
    pub by: Cow<'a, str>,
    pub at: EpochMs,
    pub until: Option<EpochMs>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub reason: Option<Cow<'a, str>>,
}

/// An alert at one moment of its life. Field for field `schemas/Alert.avsc`, where each is documented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct Alert<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub rule: Cow<'a, str>,
    #[serde(borrow)]
    pub community_id: Cow<'a, str>,
    /// `pending`, `firing`, `acknowledged` or `resolved`.
    #[serde(borrow)]
    pub state: Cow<'a, str>,
    #[serde(borrow)]
    pub severity: Cow<'a, str>,
    pub started_at: EpochMs,
    pub updated_at: EpochMs,
    pub resolved_at: Option<EpochMs>,
    #[serde(borrow)]
    pub window: Cow<'a, str>,
    pub observed: f64,
    pub expected: Option<f64>,
    pub score: Option<f64>,
    pub distinct_authors: Option<i64>,
    pub near_duplicate_share: Option<f64>,
    pub coordinated: bool,
    #[serde(borrow)]
    pub samples: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    pub summary_id: Cow<'a, str>,
    #[serde(borrow)]
    pub summary_en: Cow<'a, str>,
    #[serde(borrow)]
    pub links: Vec<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub inhibited_by: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub acknowledged_by: Option<Cow<'a, str>>,
    #[serde(default)]
    pub fired_at: Option<EpochMs>,
    #[serde(default)]
    pub acknowledged_at: Option<EpochMs>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub silenced_by: Option<Cow<'a, str>>,
    #[serde(default)]
    pub silenced_until: Option<EpochMs>,
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub silence_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    pub new_author_share: Option<f64>,
    /// 1 where the writer's schema does not have it yet.
    #[serde(default = "first_transition")]
    pub transition: i32,
}

impl Alert<'_> {
    /// The same, borrowing nothing.
    pub fn into_owned(self) -> Alert<'static> {
        fn own(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        let own_all = |texts: Vec<Cow<'_, str>>| texts.into_iter().map(own).collect();
        Alert {
            id: own(self.id),
            rule: own(self.rule),
            community_id: own(self.community_id),
            state: own(self.state),
            severity: own(self.severity),
            started_at: self.started_at,
            updated_at: self.updated_at,
            resolved_at: self.resolved_at,
            window: own(self.window),
            observed: self.observed,
            expected: self.expected,
            score: self.score,
            distinct_authors: self.distinct_authors,
            near_duplicate_share: self.near_duplicate_share,
            coordinated: self.coordinated,
            samples: own_all(self.samples),
            summary_id: own(self.summary_id),
            summary_en: own(self.summary_en),
            links: own_all(self.links),
            inhibited_by: self.inhibited_by.map(own),
            acknowledged_by: self.acknowledged_by.map(own),
            fired_at: self.fired_at,
            acknowledged_at: self.acknowledged_at,
            silenced_by: self.silenced_by.map(own),
            silenced_until: self.silenced_until,
            silence_reason: self.silence_reason.map(own),
            new_author_share: self.new_author_share,
            transition: self.transition,
        }
    }
}

fn first_transition() -> i32 {
    1
}
