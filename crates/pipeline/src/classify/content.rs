//! What an interaction holds, as it goes downstream.

use record::{ContentKind, ContentKinds, Interaction, limits};

use super::redact::{self, Redactor};

/// The text as it goes downstream, and whether it was cut.
pub(super) fn text_of<'a>(
    interaction: &'a Interaction<'_>,
    keep_text: bool,
    redactor: &'a mut Redactor,
) -> (Option<&'a str>, bool) {
    if !keep_text || interaction.deleted || interaction.text.is_empty() {
        return (None, false);
    }
    let text = redact::cut(&interaction.text, limits::TEXT_BYTES);
    // A marker may be longer than what it stands for.
    let redacted = redactor.redact(text).unwrap_or(text);
    let kept = redact::cut(redacted, limits::TEXT_BYTES);
    (Some(kept), text.len() < interaction.text.len() || kept.len() < redacted.len())
}

/// The content kinds of an interaction.
pub(super) fn content_kinds(interaction: &Interaction<'_>) -> ContentKinds {
    let mut kinds: ContentKinds =
        interaction.media.iter().map(|media| media.kind).filter(|&kind| kind != ContentKind::Text).collect();
    if !interaction.text.trim().is_empty() {
        kinds.insert(ContentKind::Text);
    }
    kinds
}
