//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod classify;
pub(crate) mod communities;
pub(crate) mod corrections;
mod decoded;
pub(crate) mod demo;
pub(crate) mod explain;
#[cfg(feature = "deep")]
mod explain_deep;
mod figures;
pub(crate) mod ingest;
pub(crate) mod model;
mod numbers;
pub(crate) mod reprocess;
pub(crate) mod route;
pub(crate) mod run;
pub(crate) mod schemas;
pub(crate) mod sim;
pub(crate) mod status;
pub(crate) mod tail;
pub(crate) mod topics;
mod waiting;
