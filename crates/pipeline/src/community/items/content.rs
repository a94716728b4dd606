//! What an item's row tells of its interaction: kept as bytes, one allocation an item, until it is closed.

use record::{ClassifiedInteraction, Language, ReachBand};
use serde::{Deserialize, Serialize};

/// What the index does not hold of an interaction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Content<'a> {
    pub(crate) confidence: f32,
    pub(crate) language: Language,
    pub(crate) mixed: bool,
    pub(crate) reach_band: ReachBand,
    /// SimHash of the text.
    pub(crate) fingerprint: Option<i64>,
    pub(crate) url: Option<&'a str>,
    pub(crate) thread_id: Option<&'a str>,
    pub(crate) text: Option<&'a str>,
    pub(crate) origin_topic: &'a str,
    pub(crate) origin_partition: i32,
    pub(crate) origin_offset: i64,
}

impl<'a> Content<'a> {
    pub(crate) fn of(interaction: &'a ClassifiedInteraction<'_>) -> Content<'a> {
        Content {
            confidence: interaction.confidence,
            language: interaction.language,
            mixed: interaction.mixed,
            reach_band: interaction.reach_band,
            fingerprint: interaction.fingerprint,
            url: interaction.url.as_deref(),
            thread_id: interaction.thread_id.as_deref(),
            text: interaction.text.as_deref().filter(|_| !interaction.deleted),
            origin_topic: &interaction.origin_topic,
            origin_partition: interaction.origin_partition,
            origin_offset: interaction.origin_offset,
        }
    }

    /// Of an interaction that is known by the index alone.
    pub(crate) fn unknown() -> Content<'static> {
        Content {
            confidence: 0.0,
            language: Language::Undetermined,
            mixed: false,
            reach_band: ReachBand::Unknown,
            fingerprint: None,
            url: None,
            thread_id: None,
            text: None,
            origin_topic: "",
            origin_partition: -1,
            origin_offset: -1,
        }
    }

    pub(crate) fn to_bytes(&self) -> Box<[u8]> {
        // From where it is copied, so that what is kept has no room to spare.
        let mut buffer = [0; 1_024];
        if let Ok(bytes) = postcard::to_slice(self, &mut buffer) {
            return (&*bytes).into();
        }
        // A long text. Plain data into memory cannot fail.
        let bytes: Vec<u8> = postcard::to_extend(self, Vec::with_capacity(2 * buffer.len())).unwrap_or_default();
        bytes.as_slice().into()
    }

    pub(crate) fn from_bytes(bytes: &'a [u8]) -> Content<'a> {
        postcard::from_bytes(bytes).unwrap_or_else(|_| Content::unknown())
    }
}
