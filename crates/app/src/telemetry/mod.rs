//! What operators see: logs, metrics, health.

mod clients;
mod health;
mod http;
mod lag;
mod listener;
mod metrics;
mod registry;
mod reload_metrics;
#[cfg(test)]
mod runbooks;
mod state_metrics;
#[cfg(test)]
mod table;
mod traces;

use std::io::IsTerminal;

use anyhow::{Context, Result};
use tracing_subscriber::EnvFilter;

pub(crate) use health::Health;
pub(crate) use http::serve;
pub(crate) use metrics::Metrics;
pub(crate) use registry::Registry;
pub(crate) use traces::{Begun, Ended, StageTracer, Traces};

/// Starts logging to standard error. `format` is `text`, `json` or `auto`. Gives whether lines are JSON.
///
/// # Errors
/// If the directives are wrong.
pub(crate) fn start_logging(directives: &str, format: &str) -> Result<bool> {
    let filter = EnvFilter::try_new(directives).with_context(|| format!("telemetry.log is {directives:?}"))?;
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    // A second start in one process (tests) is no error: the first one goes on.
    let is_json = matches!((format, terminal), ("json", _) | ("auto", false));
    let _ = match is_json {
        true => builder.json().flatten_event(true).try_init(),
        false => builder.with_target(false).try_init(),
    };
    Ok(is_json)
}
