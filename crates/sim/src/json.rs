//! An interaction as a line of JSON.

use record::{Author, ContentKind, EpochMs, Kind, Label};
use serde::Serialize;

use crate::world::{EventKind, SimInteraction};

#[derive(Serialize)]
struct Line<'a> {
    kind: Kind,
    id: &'a str,
    community_id: &'a str,
    author: &'a Option<Author<'a>>,
    created_at: EpochMs,
    observed_at: EpochMs,
    edited_at: Option<EpochMs>,
    deleted: bool,
    text: &'a str,
    media: Vec<MediaLine<'a>>,
    url: Option<&'a str>,
    language_hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    post_author: &'a Option<Author<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_author: &'a Option<Author<'a>>,
    truth: TruthLine,
}

#[derive(Serialize)]
struct MediaLine<'a> {
    kind: ContentKind,
    url: Option<&'a str>,
}

#[derive(Serialize)]
struct TruthLine {
    label: Label,
    event: EventKind,
}

/// One JSON object, without a line break: `kind`, the fields of `Post` or `Comment`, and `truth`.
pub fn to_json_line(sim: &SimInteraction) -> String {
    let interaction = &sim.interaction;
    let line = Line {
        kind: interaction.kind,
        id: &interaction.id,
        community_id: &interaction.community_id,
        author: &interaction.author,
        created_at: interaction.created_at,
        observed_at: interaction.observed_at,
        edited_at: interaction.edited_at,
        deleted: interaction.deleted,
        text: &interaction.text,
        media: interaction
            .media
            .iter()
            .map(|media| MediaLine { kind: media.kind, url: media.url.as_deref() })
            .collect(),
        url: interaction.url.as_deref(),
        language_hint: interaction.language_hint.as_deref(),
        post_id: interaction.post_id.as_deref(),
        parent_id: interaction.parent_id.as_deref(),
        post_author: &interaction.post_author,
        parent_author: &interaction.parent_author,
        truth: TruthLine { label: sim.truth.label, event: sim.truth.event },
    };
    // Plain data: serde_json has nothing to fail on.
    serde_json::to_string(&line).unwrap_or_default()
}
