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
pub use classify::{
    Cascade, ClassifyEncoders, ClassifySettings, ClassifyStage, KeyFormat, Personal, Pseudonym, Redactor,
    SecondOpinion, check_interaction,
};
pub use community::{
    Closed, CommunityEncoders, CommunitySettings, CommunityStage, Mentioned, PartitionStatus, STATE_VERSION_MAX,
    STATE_VERSION_MIN, StateNote, check_action, check_correction, mentions, state_note,
};

use record::stage::{Outputs, Stop};
use record::{TRACEPARENT, TraceContext};
use wire::Encoder;

/// Adds to the record begun last what caused it, if that is traced.
fn add_trace(trace: Option<TraceContext>, outputs: &mut Outputs) {
    if let Some(trace) = trace
        && let Some(record) = outputs.last()
    {
        record.header(TRACEPARENT, &trace.header());
    }
}

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
