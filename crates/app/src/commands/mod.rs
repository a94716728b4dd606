//! The commands, one file each.

mod actions;
pub(crate) mod alerts;
pub(crate) mod check;
pub(crate) mod classify;
pub(crate) mod communities;
pub(crate) mod corrections;
mod decoded;
pub(crate) mod demo;
pub(crate) mod dlq;
pub(crate) mod erase;
pub(crate) mod explain;
#[cfg(feature = "deep")]
mod explain_deep;
pub(crate) mod fairness;
mod figures;
pub(crate) mod ingest;
mod lines;
mod mistakes;
pub(crate) mod model;
mod numbers;
mod permissions;
pub(crate) mod queue;
pub(crate) mod reprocess;
pub(crate) mod route;
pub(crate) mod run;
pub(crate) mod schemas;
pub(crate) mod sim;
pub(crate) mod sink;
mod state_notes;
pub(crate) mod status;
mod stored;
mod tables;
pub(crate) mod tail;
pub(crate) mod times;
pub(crate) mod topics;
mod waiting;
