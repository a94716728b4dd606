//! The only crate that names rdkafka: owner threads with transactions and recovery, a reader, a feed, offsets
//! of logs and groups, topic administration, and the embedded broker of the demo.
//!
//! # Memory
//! A consumer prefetches at most [`OwnerConfig::prefetch_bytes`]; a producer holds at most
//! [`OwnerConfig::in_flight_bytes`]; one batch of outputs is bounded by what one record gives rise to. When the producer
//! is full the owner waits: nothing is queued without a bound.

pub mod acl;
pub mod admin;
mod client;
pub mod embedded;
pub mod feed;
mod fences;
pub mod group;
pub mod offsets;
mod owner;
pub mod permissions;
mod queue;
pub mod reader;
mod statistics;
pub mod subscription;

pub use client::{Clock, Connection, Shutdown, SystemClock};
#[cfg(feature = "faults")]
pub use owner::arm;
pub use owner::{
    Assignor, Delivery, Hooks, OwnerConfig, OwnerError, OwnerState, STEPS_PER_SAMPLE, TracedRecord, Tracer, Turn,
    WaitReason, fault, run_owner,
};
pub use statistics::{BrokerStatistics, ClientStatistics};
