//! The two stages as state machines without I/O: bytes in, bytes out, time as an input.
//!
//! ```text
//!  raw record ──> ClassifyStage ──> classified, queue items, progress markers, dead letters
//!  classified ──> CommunityStage ─> panes, queue states, changelog, dead letters
//! ```
//!
//! Both implement [`record::stage::Stage`]; an owner thread (in the application) drives them.
#![forbid(unsafe_code)]

mod canary;
pub mod classify;
pub mod community;
mod dead_letters;
mod queue_items;

pub use canary::{
    CANARY_COMMUNITY, CANARY_GRID_MS, CANARY_KEY, CANARY_OLD_MS, CanarySaid, CanarySeal, Sealed, canary_interaction,
};
pub use classify::{Cascade, ClassifyEncoders, ClassifySettings, ClassifyStage, KeyFormat, Pseudonym, SecondOpinion};
pub use community::{
    Closed, CommunityEncoders, CommunitySettings, CommunityStage, PartitionStatus, check_action, check_correction,
};

use record::stage::{Outputs, Stop};
use wire::Encoder;

/// Appends a record to the outputs.
fn encode<T: serde::Serialize>(
    encoder: &mut Encoder,
    value: &T,
    output: usize,
    key: &str,
    outputs: &mut Outputs,
) -> Result<(), Stop> {
    let mut result = Ok(());
    outputs.push(output).key(key.as_bytes()).value_with(|bytes| result = encoder.encode(value, bytes));
    // The limits on what comes in keep every output encodable; if not, it is our mistake and not the record's.
    result.map_err(|error| Stop::Invariant(format!("output {output} cannot be encoded: {error}")))
}
