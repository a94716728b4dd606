//! What a text is doing, in which language, and which tier said so.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// What the author is mainly doing. On the wire a string, so that a later label does not break a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Label {
    /// Dissatisfaction that an organisation or a person in charge should hear.
    Complaint = 0,
    /// Advice, a suggestion, a how-to or a warning about what to do.
    Tip = 1,
    /// A first-hand account in which no other label dominates.
    Experience = 2,
    /// Approval, satisfaction, thanks for good work.
    Praise = 3,
    /// None of these.
    Other = 4,
}

impl Label {
    /// Every label, in the order of every array of probabilities and counts.
    pub const ALL: [Label; 5] = [Label::Complaint, Label::Tip, Label::Experience, Label::Praise, Label::Other];

    /// The name on the wire, in configs and in metric labels.
    pub const fn as_str(self) -> &'static str {
        match self {
            Label::Complaint => "complaint",
            Label::Tip => "tip",
            Label::Experience => "experience",
            Label::Praise => "praise",
            Label::Other => "other",
        }
    }

    /// Its place in [`Label::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Label {
    type Err = String;

    fn from_str(name: &str) -> Result<Label, String> {
        Label::ALL
            .into_iter()
            .find(|label| label.as_str() == name)
            .ok_or_else(|| format!("unknown label {name:?}; one of complaint, tip, experience, praise, other"))
    }
}

/// The language of a text, as far as we serve it. On the wire its BCP 47 tag, or `other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(u8)]
pub enum Language {
    /// Indonesian, slang included.
    #[serde(rename = "id")]
    Indonesian = 0,
    /// English.
    #[serde(rename = "en")]
    English = 1,
    /// Javanese.
    #[serde(rename = "jv")]
    Javanese = 2,
    /// Sundanese.
    #[serde(rename = "su")]
    Sundanese = 3,
    /// A language that is not served: what is said of such a text is not to be trusted.
    #[serde(rename = "other")]
    Other = 4,
    /// Not determined: no text, or nothing in it that tells.
    #[serde(rename = "und", other)]
    Undetermined = 5,
}

impl Language {
    /// Every language, in the order of their indexes.
    pub const ALL: [Language; 6] = [
        Language::Indonesian,
        Language::English,
        Language::Javanese,
        Language::Sundanese,
        Language::Other,
        Language::Undetermined,
    ];

    /// The BCP 47 tag; `other`, which is none, for a language that is not served.
    pub const fn as_str(self) -> &'static str {
        match self {
            Language::Indonesian => "id",
            Language::English => "en",
            Language::Javanese => "jv",
            Language::Sundanese => "su",
            Language::Other => "other",
            Language::Undetermined => "und",
        }
    }
}

/// Which part of the classifier decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Tier {
    /// No text to classify (media only, or a retraction).
    None = 0,
    /// The compiled-in model.
    Fast = 1,
    /// The transformer.
    Deep = 2,
    /// The fast tier, which was unsure: the deep tier's budget was spent, or it did not answer in time.
    DeepSkipped = 3,
}

impl Tier {
    /// Every tier, in the order of their indexes.
    pub const ALL: [Tier; 4] = [Tier::None, Tier::Fast, Tier::Deep, Tier::DeepSkipped];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Tier::None => "none",
            Tier::Fast => "fast",
            Tier::Deep => "deep",
            Tier::DeepSkipped => "deep_skipped",
        }
    }
}
