//! What the fuzz targets (`fuzz/`) do with bytes, as plain functions: so an ordinary test gives each the inputs that are kept, without
//! a fuzzer and on any toolchain.
//!
//! A target panics where a promise is broken: what comes in from outside makes nothing panic, loop or grow, what we write we can read,
//! and ledgers balance.
#![allow(clippy::unwrap_used, clippy::expect_used)] // A panic is how a target tells of what it found.
#![forbid(unsafe_code)]

mod changelog;
mod classify_stage;
mod community_events;
mod community_stage;
mod decoders;
#[cfg(feature = "doors")]
mod doors;
mod scripts;
pub mod seeds;
mod stages;
mod texts;

pub use changelog::changelog;
pub use classify_stage::classify_stage;
pub use community_stage::community_stage;
pub use decoders::{action, classified, correction, other_records, raw_avro, raw_confluent, raw_json, registry_schema};
#[cfg(feature = "doors")]
pub use doors::{communities, configuration, ingest, requests};
pub use texts::{keys, redact, text};

/// A target by name.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name of the program in `fuzz/fuzz_targets` and of the folder in `fuzz/corpus`.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "action", run: action },
    Target { name: "changelog", run: changelog },
    Target { name: "classified", run: classified },
    Target { name: "classify_stage", run: classify_stage },
    #[cfg(feature = "doors")]
    Target { name: "communities", run: communities },
    Target { name: "community_stage", run: community_stage },
    #[cfg(feature = "doors")]
    Target { name: "configuration", run: configuration },
    Target { name: "correction", run: correction },
    #[cfg(feature = "doors")]
    Target { name: "ingest", run: ingest },
    Target { name: "keys", run: keys },
    Target { name: "other_records", run: other_records },
    Target { name: "raw_avro", run: raw_avro },
    Target { name: "raw_confluent", run: raw_confluent },
    Target { name: "raw_json", run: raw_json },
    Target { name: "redact", run: redact },
    Target { name: "registry_schema", run: registry_schema },
    #[cfg(feature = "doors")]
    Target { name: "requests", run: requests },
    Target { name: "text", run: text },
];
