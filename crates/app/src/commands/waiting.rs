//! Waits for brokers, and says so.

use std::time::{Duration, Instant};

use anyhow::Result;
use kafka_io::acl::Operation;
use kafka_io::admin::{Admin, AdminError, TopicInfo};

use crate::cli::OutsideError;
use crate::config::Config;
use crate::telemetry::start_logging;

/// How often to try, and to say that nobody answers.
const EVERY: Duration = Duration::from_secs(5);

/// The topics that there are, as soon as a broker tells; meanwhile a line every few seconds says where nobody answers.
///
/// # Errors
/// If waiting does not mend it: the client cannot be made, or is refused.
pub(crate) fn wait_for_brokers(config: &Config) -> Result<Vec<TopicInfo>> {
    let admin = Admin::new(config.connection(), EVERY)?;
    loop {
        let asked = Instant::now();
        match admin.topics() {
            Ok((topics, _)) => return Ok(topics),
            Err(error @ AdminError::Unreachable { .. }) => {
                eprintln!("waiting: {error}");
                // A broker's name that is not known fails at once.
                std::thread::sleep(EVERY.saturating_sub(asked.elapsed()));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Waits for brokers, and for a topic that must be there already to be read.
///
/// # Errors
/// If it is not: topics are made by `sinyal topics apply` alone.
pub(crate) fn wait_for_topic(config: &Config, topic: &str) -> Result<()> {
    wait_for_topic_to(Operation::Read, config, topic)
}

/// The same of a topic that is to be written to.
///
/// # Errors
/// As for [`wait_for_topic`].
pub(crate) fn wait_for_topic_to(operation: Operation, config: &Config, topic: &str) -> Result<()> {
    // A broker may not have heard yet of a topic that was made a moment ago.
    for pause in [500, 1_500, 0] {
        let topics = wait_for_brokers(config)?;
        // Only now: while it waits, its own lines say all that the client would.
        start_logging("warn", "auto")?;
        if topics.iter().any(|known| known.name == topic) {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(pause));
    }
    Err(not_there(operation, config, topic))
}

/// Why a topic is not among those that brokers show: it is missing, or this user may not know of it.
pub(crate) fn not_there(operation: Operation, config: &Config, topic: &str) -> anyhow::Error {
    let hidden = Admin::new(config.connection(), EVERY).ok().and_then(|admin| admin.hidden(topic, operation));
    let bootstrap = &config.connection().bootstrap;
    match hidden {
        Some(error) => error.into(),
        None => OutsideError(format!("topic {topic} is missing at {bootstrap}; `sinyal topics apply` makes it")).into(),
    }
}
