//! The sink role: panes, alerts and the state of queue items into PostgreSQL, where dashboards read them.
//!
//! What is in the database, and up to where, changes in one transaction: so each record is there once, whatever crashes. Nothing that
//! is the matter with the database ends the process: it is waited for.

mod batch;
mod database;
mod metrics;
pub(crate) mod migrations;
mod tables;
mod worker;
mod write;

use anyhow::Result;

pub(crate) use self::database::{Database, Trouble};
#[cfg(test)]
pub(crate) use self::metrics::SinkMetrics;

use self::worker::Worker;
use super::{RoleResult, Surroundings};
use crate::config::ConfigErrors;

/// Builds the role; the closure runs it on the calling thread until the shutdown.
///
/// # Errors
/// If no database is configured.
pub(crate) fn run_sink(surroundings: Surroundings) -> Result<impl FnOnce() -> RoleResult<()> + Send + use<>> {
    let Some(settings) = surroundings.config.sink.clone() else {
        let right =
            "a database such as postgresql://sinyal_sink@db.example:5432/dashboards is right where the role sink runs";
        return Err(ConfigErrors(vec![format!("sink.url is empty; {right}")]).into());
    };
    let worker = Worker::new(&surroundings, settings)?;
    Ok(move || worker.run())
}
