//! Waits for brokers, and says so.

use std::time::{Duration, Instant};

use anyhow::Result;
use kafka_io::admin::{Admin, AdminError, TopicInfo};

use crate::config::Config;

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
