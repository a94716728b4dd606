//! A pane as a row of the metrics topic.

use std::borrow::Cow;

use record::{CommunityMetrics, ContentKind, Direction, EpochMs, Kind, Label};
use window::Pane;

/// The row of a pane. What later aggregates will fill is null.
pub(super) fn row<'a>(
    community_id: &'a str,
    window_name: &'a str,
    pane: &Pane<'_>,
    watermark: EpochMs,
    now: EpochMs,
) -> CommunityMetrics<'a> {
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
        watermark,
        emitted_at: now,
        distinct_members: None,
        new_members: None,
        returning_members: None,
        members_approximate: None,
        interactions_per_member: None,
        first_response_ms_p50: None,
        first_response_ms_p90: None,
        open_complaints: None,
        oldest_open_complaint_ms: None,
        brand_contact_regularity: None,
        harmony: None,
        dead_lettered: None,
        lag: None,
        completeness: None,
    }
}
