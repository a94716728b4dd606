//! The digest of what an interaction says: unchanged content has an unchanged digest.

use record::{Interaction, Role};
use sha2::{Digest, Sha256};

use crate::dead_letters::push_hex;

/// SHA-256 of text, media, parents and roles, before any redaction, in hex, into `hexadecimal`. Each part is preceded by
/// its length, so that two different contents cannot spell the same bytes.
pub(super) fn write_digest(interaction: &Interaction<'_>, hexadecimal: &mut String) {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(interaction.text.as_bytes());
    part(&(interaction.media.len() as u64).to_le_bytes());
    for media in &interaction.media {
        part(media.kind.as_str().as_bytes());
        part(media.url.as_deref().unwrap_or_default().as_bytes());
    }
    part(interaction.post_id.as_deref().unwrap_or_default().as_bytes());
    part(interaction.parent_id.as_deref().unwrap_or_default().as_bytes());
    for author in [&interaction.author, &interaction.post_author, &interaction.parent_author] {
        part(author.as_ref().map_or(Role::Unknown, |author| author.role).as_str().as_bytes());
    }
    hexadecimal.clear();
    push_hex(&hash.finalize(), hexadecimal);
}
