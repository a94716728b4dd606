//! The notifier on real Kafka: Debian's Alertmanager, and a receiver of webhooks that fails in every way.
//!
//! How the pipeline stands is said by a file (build with `faults`): what is told and when is tested, not the observer.
#![allow(clippy::unwrap_used)]

mod bench;
mod crashes;
mod past;
mod targets;
