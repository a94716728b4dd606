//! A pane of a community's rolling window, as dashboards read it.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::EpochMs;

/// When a pane was emitted relative to the watermark. On the wire a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Timing {
    /// Before the watermark reached the pane's end.
    Early,
    /// The first emission after the watermark reached the pane's end.
    OnTime,
    /// A later change within the allowed lateness.
    Late,
}

/// One pane: (community, window, end). Field for field `schemas/CommunityMetrics.avsc`, where each is documented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub struct CommunityMetrics<'a> {
    #[serde(borrow)]
    pub community_id: Cow<'a, str>,
    #[serde(borrow)]
    pub window: Cow<'a, str>,
    pub window_start: EpochMs,
    pub window_end: EpochMs,
    pub revision: i32,
    pub timing: Timing,
    pub interactions: i64,
    pub complaints: i64,
    pub tips: i64,
    pub experiences: i64,
    pub praises: i64,
    pub others: i64,
    pub abstained: i64,
    pub member_to_brand: i64,
    pub brand_to_member: i64,
    pub member_to_member: i64,
    pub brand_to_all: i64,
    pub member_to_all: i64,
    pub direction_unknown: i64,
    pub posts: i64,
    pub comments: i64,
    pub with_text: i64,
    pub with_photo: i64,
    pub with_video: i64,
    pub with_article: i64,
    pub with_unknown_media: i64,
    pub late: i64,
    pub missed: i64,
    pub watermark: EpochMs,
    pub emitted_at: EpochMs,
    pub distinct_members: Option<i64>,
    pub new_members: Option<i64>,
    pub returning_members: Option<i64>,
    pub members_approximate: Option<bool>,
    pub interactions_per_member: Option<f64>,
    pub first_responses: Option<i64>,
    pub first_response_ms_p50: Option<i64>,
    pub first_response_ms_p90: Option<i64>,
    pub open_complaints: Option<i64>,
    pub oldest_open_complaint_ms: Option<i64>,
    pub brand_contact_regularity: Option<f64>,
    pub harmony: Option<f64>,
    pub dead_lettered: Option<i64>,
    pub lag: Option<i64>,
    pub completeness: Option<f64>,
}
