//! Sinyal's domain: what an interaction is, what can become of a record, what the topics carry, and the contract of a stage.
//!
//! Nothing here reads a clock, does I/O or starts a thread; times come in as [`EpochMs`].
#![forbid(unsafe_code)]

mod borrowed;
mod canary;
mod classified;
mod community;
mod content_kinds;
mod dead_letter;
mod identity;
mod interaction;
mod label;
mod ledger;
mod metrics;
mod partitioner;
mod queue;
mod response;
pub mod stage;
mod trace;

pub use canary::Canary;
pub use classified::{ClassifiedInteraction, ClassifiedRecord, Progress, SourceCanary, SourceProgress};
pub use community::{BusinessHours, CommunityEntry, HolidayEntry};
pub use content_kinds::ContentKinds;
pub use dead_letter::{Disposition, Reason, StageName, header};
pub use identity::{Identity, Kind, decode_key, encode_key, encode_part, is_key_of};
pub use interaction::{Author, ContentKind, Direction, Interaction, Media, ReachBand, Role, Version};
pub use label::{Label, Language, Tier};
pub use ledger::{Ledger, Outcome};
pub use metrics::{CommunityMetrics, Timing};
pub use partitioner::partition_for_key;
pub use queue::{QueueItem, QueueStatus};
pub use response::{Action, Alert, Correction};
pub use trace::{TRACEPARENT, TraceContext};

/// Milliseconds since 1970-01-01T00:00:00Z; negative before it. The unit of every time on every topic.
pub type EpochMs = i64;

/// A position in a partition: the offset of the next record to read.
pub type Position = i64;

/// Limits on what one record may hold. What is longer is a dead letter (identifiers, counts) or cut and marked (text).
pub mod limits {
    /// Longest identifier (interaction, community, author, post, parent), in bytes.
    pub const ID_BYTES: usize = 256;
    /// Longest URL, in bytes.
    pub const URL_BYTES: usize = 2_048;
    /// Most media of one interaction; more are a dead letter.
    pub const MEDIA: usize = 32;
    /// Most mentions of one interaction; more are a dead letter.
    pub const MENTIONS: usize = 64;
    /// Longest text carried downstream, in bytes; the rest is cut at a character boundary and the record marked.
    pub const TEXT_BYTES: usize = 65_536;
    /// How much of a text is classified, in bytes.
    pub const CLASSIFIED_TEXT_BYTES: usize = 4_096;
    /// Largest output record except dead letters, in bytes.
    pub const OUTPUT_BYTES: usize = 262_144;
    /// What a dead letter may hold beyond the largest raw record, in bytes.
    pub const DEAD_LETTER_EXTRA_BYTES: usize = 65_536;
    /// The earliest valid event time: 2000-01-01T00:00:00Z; social media did not exist in the form we serve.
    pub const EARLIEST_EVENT_MS: crate::EpochMs = 946_684_800_000;
}
