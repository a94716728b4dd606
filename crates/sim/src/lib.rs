//! A seeded world of communities with known truth: for the demo, the tests, the benchmarks.
//!
//! The same seed gives the same world, byte for byte, on every machine: randomness is ChaCha8 with distributions of our own, made
//! of integers and of what IEEE 754 rounds alike everywhere (no `powf`, no `ln`).
//! Nothing here reads a clock.
#![forbid(unsafe_code)]

mod dice;
mod json;
mod numeric;
pub mod scenario;
mod texts;
mod world;

pub use json::to_json_line;
pub use world::{Crisis, EventKind, SimInteraction, Truth, World, WorldConfig};

/// Where worlds begin unless told otherwise: 2026-01-05T00:00:00Z, a Monday morning in Jakarta.
pub const DEFAULT_START: record::EpochMs = 1_767_571_200_000;
