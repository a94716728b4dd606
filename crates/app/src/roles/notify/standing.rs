//! How the pipeline stands, as its observer sees it by the wall clock: what the notifier goes by.

use record::EpochMs;
use rules::blindness::Kind;

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
        self.blind.iter().any(|blindness| blindness.kind == Kind::Unobserved)
    }
}

/// Something that the pipeline does not see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blindness {
    /// Of which kind.
    pub(crate) kind: Kind,
    /// Since when, by the wall clock; it stays the same for as long as it lasts.
    pub(crate) since: EpochMs,
    /// What is the matter, in a sentence in English.
    pub(crate) detail_en: String,
    /// The same in Indonesian.
    pub(crate) detail_id: String,
}
