//! How the pipeline stands, as its observer sees it by the wall clock: what the notifier goes by.

use record::EpochMs;

/// How the pipeline stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Why it is behind; `None`: it has caught up.
    pub(crate) behind: Option<String>,
    /// It is known to lag: what it writes now may be of the past.
    pub(crate) lags: bool,
    /// `blind` is all that there is: false for a while after a start, when not all is learned yet.
    pub(crate) settled: bool,
    /// What it does not see, each once.
    pub(crate) blind: Vec<Blindness>,
}

impl Standing {
    /// Nobody sees how it stands.
    pub(crate) fn is_unobserved(&self) -> bool {
        self.blind.iter().any(|blindness| blindness.kind == BlindnessKind::Unobserved)
    }
}

/// Something that the pipeline does not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blindness {
    /// Of which kind.
    pub(crate) kind: BlindnessKind,
    /// Since when, by the wall clock; it stays the same for as long as it lasts.
    pub(crate) since: EpochMs,
    /// What is the matter, in a sentence in English.
    pub(crate) detail_en: String,
    /// The same in Indonesian.
    pub(crate) detail_id: String,
}

/// The kinds of blindness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum BlindnessKind {
    /// Records wait to be read.
    Lag,
    /// A source holds the watermark.
    HeldWatermark,
    /// Much comes late.
    Late,
    /// Much cannot be used.
    DeadLetters,
    /// The classifier is unsure of much.
    Abstention,
    /// The deep tier does not answer.
    DegradedClassifier,
    /// Nothing comes of a whole source.
    SilentSource,
    /// The observer itself sees nothing.
    Unobserved,
}

impl BlindnessKind {
    /// Every kind.
    pub(crate) const ALL: [BlindnessKind; 8] = [
        BlindnessKind::Lag,
        BlindnessKind::HeldWatermark,
        BlindnessKind::Late,
        BlindnessKind::DeadLetters,
        BlindnessKind::Abstention,
        BlindnessKind::DegradedClassifier,
        BlindnessKind::SilentSource,
        BlindnessKind::Unobserved,
    ];

    /// The name in ids, labels and metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            BlindnessKind::Lag => "lag",
            BlindnessKind::HeldWatermark => "held_watermark",
            BlindnessKind::Late => "late",
            BlindnessKind::DeadLetters => "dead_letters",
            BlindnessKind::Abstention => "abstention",
            BlindnessKind::DegradedClassifier => "degraded_classifier",
            BlindnessKind::SilentSource => "silent_source",
            BlindnessKind::Unobserved => "unobserved",
        }
    }
}
