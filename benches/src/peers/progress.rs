//! How far a consumer group has come, asked of Kafka: the same question for the service and for the peer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(10);

/// The positions of a group on some topics.
pub(crate) struct Progress {
    consumer: BaseConsumer,
    partitions: Vec<(String, i32)>,
}

impl Progress {
    /// Of all partitions of these topics. It joins no group: it only asks.
    pub(crate) fn of(bootstrap: &str, group: &str, topics: &[String]) -> Result<Progress> {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", bootstrap).set("group.id", group).set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create()?;
        let mut partitions = Vec::new();
        for topic in topics {
            let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
            let found = metadata.topics().first().context("a topic")?;
            partitions.extend(found.partitions().iter().map(|partition| (topic.clone(), partition.id())));
        }
        Ok(Progress { consumer, partitions })
    }

    /// The committed position of each partition; 0 where there is none.
    pub(crate) fn committed(&self) -> Result<Vec<i64>> {
        let mut list = TopicPartitionList::new();
        for (topic, partition) in &self.partitions {
            list.add_partition(topic, *partition);
        }
        let begun = Instant::now();
        let committed = loop {
            match self.consumer.committed_offsets(list.clone(), PATIENCE) {
                Ok(committed) => break committed,
                // The group's coordinator is elected, or moves.
                Err(_) if begun.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(200)),
                Err(error) => return Err(error.into()),
            }
        };
        let position = |(topic, partition): &(String, i32)| match committed
            .find_partition(topic, *partition)
            .map(|found| found.offset())
        {
            Some(Offset::Offset(offset)) => offset,
            _ => 0,
        };
        Ok(self.partitions.iter().map(position).collect())
    }

    /// The next offset of each partition.
    pub(crate) fn ends(&self) -> Result<Vec<i64>> {
        let end =
            |(topic, partition): &(String, i32)| Ok(self.consumer.fetch_watermarks(topic, *partition, PATIENCE)?.1);
        self.partitions.iter().map(end).collect()
    }
}
