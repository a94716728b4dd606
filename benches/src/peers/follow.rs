//! Reads topics as they are written, committed records only: the same eyes for the service and for the peer.

use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(10);

/// A consumer of all partitions of some topics, in no group.
pub(crate) struct Follower(BaseConsumer);

impl Follower {
    /// From what is written from now on.
    pub(crate) fn at_end(bootstrap: &str, topics: &[String]) -> Result<Follower> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("group.id", "bench-follower");
        config
            .set("enable.auto.commit", "false")
            .set("isolation.level", "read_committed")
            .set("fetch.wait.max.ms", "10");
        let consumer: BaseConsumer = config.create()?;
        let mut list = TopicPartitionList::new();
        for topic in topics {
            let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
            for partition in metadata.topics().first().context("a topic")?.partitions() {
                let (_, end) = consumer.fetch_watermarks(topic, partition.id(), PATIENCE)?;
                list.add_partition_offset(topic, partition.id(), Offset::Offset(end))?;
            }
        }
        consumer.assign(&list)?;
        Ok(Follower(consumer))
    }

    /// Shows the next record, if one comes in time.
    pub(crate) fn poll(&self, time: Duration, see: impl FnOnce(&BorrowedMessage<'_>) -> Result<()>) -> Result<bool> {
        match self.0.poll(time) {
            Some(message) => see(&message?).map(|()| true),
            None => Ok(false),
        }
    }
}
