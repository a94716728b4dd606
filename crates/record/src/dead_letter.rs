//! Why a record could not be used, and what may be done with it.

use std::fmt;

/// The headers that a dead letter carries beside its original ones. Original ones named `sinyal.*` are replaced by these, but for
/// [`FIRST_ORIGIN`](header::FIRST_ORIGIN) and [`ATTEMPTS`](header::ATTEMPTS), which tell of the redrives before.
pub mod header {
    /// `topic:partition:offset` of the record as it was read.
    pub const ORIGIN: &str = "sinyal.origin";
    /// That a raw record is a canary of ours: its id, when it was sent, and a seal.
    pub const CANARY: &str = "sinyal.canary";
    /// The stage that refused it: `classify`, `community` or `notify`.
    pub const STAGE: &str = "sinyal.stage";
    /// A [`super::Reason`] by name.
    pub const REASON: &str = "sinyal.reason";
    /// A [`super::Disposition`] by name.
    pub const DISPOSITION: &str = "sinyal.disposition";
    /// What exactly was wrong, in words, without content of the record.
    pub const DETAIL: &str = "sinyal.detail";
    /// The Kafka time of the record as it was read, in epoch milliseconds, where it had one.
    pub const ORIGINAL_TIMESTAMP: &str = "sinyal.original-timestamp";
    /// Present when original headers beyond the first 16 KiB were left out: how many.
    pub const ORIGINAL_HEADERS_LEFT_OUT: &str = "sinyal.original-headers-left-out";
    /// Present when the key was cut to fit: its original size in bytes.
    pub const ORIGINAL_KEY_SIZE: &str = "sinyal.original-key-size";
    /// Present when the value was cut to fit: its original size in bytes.
    pub const ORIGINAL_SIZE: &str = "sinyal.original-size";
    /// Present when the value was cut to fit: the SHA-256 of the original value, in hex.
    pub const ORIGINAL_SHA256: &str = "sinyal.original-sha256";
    /// On a record that was redriven: `topic:partition:offset` of the dead letter that it was.
    pub const REDRIVE_OF: &str = "sinyal.redrive-of";
    /// On a record that was redriven, and on a dead letter of one: `topic:partition:offset` where it was read first.
    pub const FIRST_ORIGIN: &str = "sinyal.first-origin";
    /// On a record that was redriven, and on a dead letter of one: how often it has been offered to a stage, 2 for the first
    /// redrive; 1 where there is no such header.
    pub const ATTEMPTS: &str = "sinyal.attempts";
    /// On a receipt, a record of the dead-letter topic without key and value: `partition:offset` of the dead letter there that was
    /// redriven.
    pub const REDRIVEN: &str = "sinyal.redriven";
}

/// A stage by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StageName {
    /// The hot path.
    Classify,
    /// The rolling aggregates.
    Community,
    /// Notifications of alerts and queue items.
    Notify,
}

impl StageName {
    /// The name in headers, metrics and configs.
    pub const fn as_str(self) -> &'static str {
        match self {
            StageName::Classify => "classify",
            StageName::Community => "community",
            StageName::Notify => "notify",
        }
    }
}

/// The documented list of reasons for a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Bytes that are no record of the expected encoding: too short, truncated, trailing bytes, wrong types.
    Malformed,
    /// The framing is not the one that is configured (magic byte, single-object marker, fingerprint).
    WrongFraming,
    /// The registry does not know the schema id.
    UnknownSchema,
    /// The writer's schema cannot be read as the schema of this topic.
    IncompatibleSchema,
    /// Longer than `limits.raw_record_bytes`.
    TooLarge,
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// A required field is missing or empty.
    MissingField,
    /// A field is beyond a stated limit (length of an id, number of media).
    LimitExceeded,
    /// A time before the earliest valid one, or not a time.
    ImpossibleTime,
    /// A time further in the future than `limits.future_ms`.
    FutureTime,
    /// A null value, and no key format from which identity could be read.
    NullValue,
    /// The key does not hash to the partition it was found in.
    WrongPartition,
    /// A target of notifications did not take it in as many attempts as are configured, or refused it for good.
    Undeliverable,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Reason; 13] = [
        Reason::Malformed,
        Reason::WrongFraming,
        Reason::UnknownSchema,
        Reason::IncompatibleSchema,
        Reason::TooLarge,
        Reason::InvalidUtf8,
        Reason::MissingField,
        Reason::LimitExceeded,
        Reason::ImpossibleTime,
        Reason::FutureTime,
        Reason::NullValue,
        Reason::WrongPartition,
        Reason::Undeliverable,
    ];

    /// The name in headers and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Malformed => "malformed",
            Reason::WrongFraming => "wrong_framing",
            Reason::UnknownSchema => "unknown_schema",
            Reason::IncompatibleSchema => "incompatible_schema",
            Reason::TooLarge => "too_large",
            Reason::InvalidUtf8 => "invalid_utf8",
            Reason::MissingField => "missing_field",
            Reason::LimitExceeded => "limit_exceeded",
            Reason::ImpossibleTime => "impossible_time",
            Reason::FutureTime => "future_time",
            Reason::NullValue => "null_value",
            Reason::WrongPartition => "wrong_partition",
            Reason::Undeliverable => "undeliverable",
        }
    }

    /// What may be done with such a record.
    pub const fn disposition(self) -> Disposition {
        match self {
            Reason::UnknownSchema | Reason::IncompatibleSchema | Reason::FutureTime | Reason::NullValue => {
                Disposition::Redrive
            }
            Reason::TooLarge | Reason::WrongPartition => Disposition::Fix,
            _ => Disposition::Inspect,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What may be done with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Disposition {
    /// May succeed as it is once its cause outside is mended (schema registered, setting changed, time come).
    Redrive,
    /// Will succeed only once the producer or a limit is changed.
    Fix,
    /// Needs a person to look at it.
    Inspect,
}

impl Disposition {
    /// The name in headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Disposition::Redrive => "redrive",
            Disposition::Fix => "fix",
            Disposition::Inspect => "inspect",
        }
    }
}
