//! A pane as a row of the metrics topic.

use std::borrow::Cow;

use record::{CommunityMetrics, ContentKind, Direction, EpochMs, Kind, Label};
use window::{Pane, harmony};

/// What a row says that its slices do not.
#[derive(Debug, Clone, Copy)]
pub(super) struct AsOf {
    pub(super) watermark: EpochMs,
    pub(super) now: EpochMs,
    pub(super) open_complaints: i64,
    /// Complaints that were made in the pane and wait at its end.
    pub(super) waiting: i64,
    pub(super) oldest_open_complaint_ms: Option<i64>,
    pub(super) members_approximate: bool,
    pub(super) completeness: f64,
}

/// The row of a pane.
pub(super) fn row<'a>(
    community_id: &'a str,
    window_name: &'a str,
    pane: &Pane<'_>,
    as_of: &AsOf,
) -> CommunityMetrics<'a> {
    let members = pane.members;
    let counts = pane.counts;
    let label = |label: Label| counts.by_label[label.index()];
    let direction = |direction: Direction| counts.by_direction[direction as usize];
    let content = |kind: ContentKind| counts.by_content_kind[kind as usize];
    CommunityMetrics {
        community_id: Cow::Borrowed(community_id),
        window: Cow::Borrowed(window_name),
        window_start: pane.start,
        window_end: pane.end,
        revision: i32::try_from(pane.revision).unwrap_or(i32::MAX),
        timing: pane.timing,
        interactions: counts.interactions,
        complaints: label(Label::Complaint),
        tips: label(Label::Tip),
        experiences: label(Label::Experience),
        praises: label(Label::Praise),
        others: label(Label::Other),
        abstained: counts.abstained,
        member_to_brand: direction(Direction::MemberToBrand),
        brand_to_member: direction(Direction::BrandToMember),
        member_to_member: direction(Direction::MemberToMember),
        brand_to_all: direction(Direction::BrandToAll),
        member_to_all: direction(Direction::MemberToAll),
        direction_unknown: direction(Direction::Unknown),
        posts: counts.by_kind[Kind::Post as usize],
        comments: counts.by_kind[Kind::Comment as usize],
        with_text: content(ContentKind::Text),
        with_photo: content(ContentKind::Photo),
        with_video: content(ContentKind::Video),
        with_article: content(ContentKind::Article),
        with_unknown_media: content(ContentKind::Unknown),
        late: counts.late,
        missed: counts.missed,
        watermark: as_of.watermark,
        emitted_at: as_of.now,
        distinct_members: Some(members.distinct),
        new_members: Some(members.new),
        returning_members: Some(members.distinct - members.new),
        members_approximate: Some(as_of.members_approximate),
        interactions_per_member: (members.distinct > 0).then(|| members.interactions as f64 / members.distinct as f64),
        first_responses: Some(pane.responses.count),
        first_response_ms_p50: pane.responses.p50_ms,
        first_response_ms_p90: pane.responses.p90_ms,
        open_complaints: Some(as_of.open_complaints),
        oldest_open_complaint_ms: as_of.oldest_open_complaint_ms,
        brand_contact_regularity: pane.contact_regularity,
        harmony: harmony(counts, pane.responses.count, as_of.waiting),
        dead_lettered: None,
        lag: None,
        completeness: Some(as_of.completeness),
    }
}
