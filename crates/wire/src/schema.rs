//! The schemas of the topics, as released.

use std::sync::LazyLock;

use serde_avro_fast::Schema;

/// A schema of ours by name. The topics that carry each are listed in `schemas/README.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaName {
    /// A raw post.
    Post,
    /// A raw comment.
    Comment,
    /// The union of a classified interaction and a progress marker.
    Classified,
    /// An item of a response queue.
    QueueItem,
    /// A pane of a community.
    CommunityMetrics,
    /// An alert.
    Alert,
    /// A responder's correction.
    Correction,
    /// A responder's action.
    Action,
    /// A community of the registry.
    Community,
    /// How canaries fare.
    Canary,
}

/// One schema: its text, the texts of its released versions, and their parsed forms.
struct Parsed {
    current: Schema,
    released: Vec<Schema>,
}

/// The texts, in the order of [`SchemaName::ALL`]: the current one, then the released ones.
macro_rules! texts {
    ($($name:literal: [$($version:literal),*]),* $(,)?) => {
        [$((
            include_str!(concat!("../../../schemas/", $name, ".avsc")),
            &[$(include_str!(concat!("../../../schemas/released/", $name, "/", $version, ".avsc"))),*],
        )),*]
    };
}

static TEXTS: [(&str, &[&str]); SchemaName::ALL.len()] = texts! {
    "Post": ["v1"],
    "Comment": ["v1"],
    "Classified": ["v1", "v2"],
    "QueueItem": ["v1", "v2"],
    "CommunityMetrics": ["v1", "v2"],
    "Alert": ["v1", "v2"],
    "Correction": ["v1"],
    "Action": ["v1", "v2"],
    "Community": ["v1"],
    "Canary": ["v1"],
};

static PARSED: LazyLock<Vec<Parsed>> = LazyLock::new(|| {
    // The texts are compiled in and every one is parsed by the tests: a failure here cannot reach a user.
    let parse = |text: &str| text.parse::<Schema>().unwrap_or_else(|error| panic!("compiled-in schema: {error}"));
    let parsed = TEXTS.iter().map(|(current, released)| Parsed {
        current: parse(current),
        released: released.iter().map(|text| parse(text)).collect(),
    });
    parsed.collect()
});

impl SchemaName {
    /// Every schema.
    pub const ALL: [SchemaName; 10] = [
        SchemaName::Post,
        SchemaName::Comment,
        SchemaName::Classified,
        SchemaName::QueueItem,
        SchemaName::CommunityMetrics,
        SchemaName::Alert,
        SchemaName::Correction,
        SchemaName::Action,
        SchemaName::Community,
        SchemaName::Canary,
    ];

    /// The name of its file in `schemas/`.
    pub const fn as_str(self) -> &'static str {
        match self {
            SchemaName::Post => "Post",
            SchemaName::Comment => "Comment",
            SchemaName::Classified => "Classified",
            SchemaName::QueueItem => "QueueItem",
            SchemaName::CommunityMetrics => "CommunityMetrics",
            SchemaName::Alert => "Alert",
            SchemaName::Correction => "Correction",
            SchemaName::Action => "Action",
            SchemaName::Community => "Community",
            SchemaName::Canary => "Canary",
        }
    }

    /// The schema as JSON text.
    pub fn text(self) -> &'static str {
        TEXTS[self as usize].0
    }

    /// The released versions as JSON texts, the oldest first.
    pub fn released_texts(self) -> &'static [&'static str] {
        TEXTS[self as usize].1
    }

    /// Its CRC-64-AVRO fingerprint, as the single-object encoding carries it, in little-endian order.
    pub fn fingerprint(self) -> u64 {
        u64::from_le_bytes(*self.parsed().rabin_fingerprint())
    }

    pub(crate) fn parsed(self) -> &'static Schema {
        &PARSED[self as usize].current
    }

    /// The parsed form and the fingerprint of a released version, the first being 1.
    pub(crate) fn released(self, version: usize) -> Option<&'static Schema> {
        PARSED[self as usize].released.get(version.checked_sub(1)?)
    }

    /// The version, current or released, that has this fingerprint.
    pub(crate) fn by_fingerprint(self, fingerprint: [u8; 8]) -> Option<&'static Schema> {
        let parsed = &PARSED[self as usize];
        std::iter::once(&parsed.current)
            .chain(&parsed.released)
            .find(|schema| *schema.rabin_fingerprint() == fingerprint)
    }
}

/// The schema one of whose versions has this fingerprint, and that version's text.
pub fn schema_by_fingerprint(fingerprint: u64) -> Option<(SchemaName, &'static str)> {
    let wanted = fingerprint.to_le_bytes();
    SchemaName::ALL.into_iter().find_map(|name| {
        if *name.parsed().rabin_fingerprint() == wanted {
            return Some((name, name.text()));
        }
        let released = &PARSED[name as usize].released;
        let at = released.iter().position(|schema| *schema.rabin_fingerprint() == wanted)?;
        Some((name, name.released_texts()[at]))
    })
}
