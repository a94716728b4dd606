//! The community registry as a file or a compacted topic: how it is read, and how a running service takes in a new one.

mod entry;
mod file;
mod held;
mod topic;
mod watch;

use std::sync::atomic::AtomicBool;

use anyhow::Result;
use kafka_io::Shutdown;
use rules::{Communities, LiveCommunities};

pub(crate) use entry::{entry_of, key_of};
pub(crate) use file::{BYTES_MAX, Typed, parse, read};
pub(crate) use topic::read_topic;

use crate::config::Config;
use crate::telemetry::Metrics;

/// The registry that is configured, as it is now. Communities whose newest record is refused are told of.
///
/// # Errors
/// If its topic cannot be read.
pub(crate) fn configured(config: &Config) -> Result<Communities> {
    let Some(name) = &config.communities_topic else { return Ok(config.communities.clone()) };
    let (communities, refused) = read_topic(config, name)?;
    for refused in refused {
        eprintln!("topic {name}: the registry refuses {refused}");
    }
    Ok(communities)
}

/// Keeps the registry as its file or topic is, until the shutdown. False if `ending` is set before a topic is read to its end.
///
/// # Errors
/// If the signal or the thread cannot be had.
pub(crate) fn keep(
    config: &Config,
    live: &LiveCommunities,
    metrics: &Metrics,
    shutdown: &Shutdown,
    ending: &AtomicBool,
) -> Result<bool> {
    match (&config.communities_file, &config.communities_topic) {
        (Some(file), _) => watch::watch(file, live, metrics, shutdown).map(|()| true),
        (None, Some(topic)) => topic::follow(config, topic, live, metrics, shutdown, ending),
        (None, None) => Ok(true),
    }
}
