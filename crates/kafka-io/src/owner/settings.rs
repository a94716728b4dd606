//! What an owner needs to know, and the consumer that it makes of it.

use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use record::StageName;

use super::OwnerError;
use super::pace::Pace;
use crate::client::{Connection, Context};

/// How long an output may be on its way where there are no transactions, in milliseconds.
const DELIVERY_TIMEOUT_MS: u64 = 12_000;

/// How often clients tell of themselves: seldom enough that what it costs is not felt.
const STATISTICS_EVERY_MS: &str = "10000";

/// How outputs and positions are committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// In one Kafka transaction.
    ExactlyOnce {
        /// The id that fences an older incarnation of this replica.
        transactional_id: String,
        /// How long the broker lets a transaction stay open, in milliseconds.
        transaction_timeout_ms: i32,
    },
    /// Outputs first, then positions: after a crash some outputs are there twice.
    AtLeastOnce,
}

/// How partitions are spread over the replicas of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Moves as few partitions as possible.
    CooperativeSticky,
    /// The same partition numbers of all inputs go together.
    Range,
}

/// What an owner needs to know.
#[derive(Debug, Clone)]
pub struct OwnerConfig {
    /// Where Kafka is.
    pub connection: Connection,
    /// The stage, for log lines.
    pub stage: StageName,
    /// The consumer group.
    pub group_id: String,
    /// The member's lasting name, for static membership.
    pub group_instance_id: Option<String>,
    /// How partitions are spread.
    pub assignor: Assignor,
    /// The input topics, in the stage's order.
    pub inputs: Vec<String>,
    /// The output topics, in the stage's order.
    pub outputs: Vec<String>,
    /// Outputs that may be missing: the stage is told, and nobody waits for them.
    pub optional_outputs: Vec<String>,
    /// Which of the outputs is the changelog to restore from.
    pub changelog: Option<usize>,
    /// Topics whose partitions are the sources of event time; empty if the stage does not ask.
    pub source_topics: Vec<String>,
    /// How outputs and positions are committed.
    pub delivery: Delivery,
    /// How often to commit, in milliseconds. While there is more to read it is less often where commits take long.
    pub commit_interval_ms: u64,
    /// What the consumer may prefetch, in bytes.
    pub prefetch_bytes: usize,
    /// What the producer may hold, in bytes.
    pub in_flight_bytes: usize,
    /// Largest output record, in bytes.
    pub output_bytes_max: usize,
    /// After this time without a heartbeat the group goes on without this member, in milliseconds.
    pub session_timeout_ms: u32,
}

impl OwnerConfig {
    /// The properties of librdkafka that an owner's consumer has beside those of its connection. A benchmark that shows what a role
    /// costs beside rdkafka alone takes the same.
    pub fn consumer_properties(&self) -> Vec<(&'static str, String)> {
        let text = str::to_owned;
        let mut ours = vec![
            ("group.id", self.group_id.clone()),
            ("enable.auto.commit", text("false")),
            ("enable.auto.offset.store", text("false")),
            ("enable.partition.eof", text("true")),
            ("isolation.level", text("read_committed")),
            // A position that is gone is a gap to be counted, not a place to jump to.
            ("auto.offset.reset", text("error")),
            ("queued.max.messages.kbytes", (self.prefetch_bytes / 1024).max(64).to_string()),
            ("queued.min.messages", text("10000")),
            // What is on its way comes on top of what is prefetched, and grows when it is decompressed.
            ("fetch.message.max.bytes", (self.prefetch_bytes / 32).clamp(65_536, 4_194_304).to_string()),
            ("fetch.max.bytes", (self.prefetch_bytes / 8).clamp(1_048_576, 16_777_216).to_string()),
            ("fetch.wait.max.ms", text("100")),
            ("fetch.queue.backoff.ms", text("10")),
            ("session.timeout.ms", self.session_timeout_ms.to_string()),
            // How soon a new partition is read. Event time waits for one that it knows of, and it knows as soon.
            ("topic.metadata.refresh.interval.ms", text("30000")),
            ("max.poll.interval.ms", text("300000")),
            ("statistics.interval.ms", text(STATISTICS_EVERY_MS)),
            (
                "partition.assignment.strategy",
                text(match self.assignor {
                    Assignor::CooperativeSticky => "cooperative-sticky",
                    Assignor::Range => "range",
                }),
            ),
        ];
        if let Some(instance) = &self.group_instance_id {
            ours.push(("group.instance.id", instance.clone()));
        }
        ours
    }

    /// How an owner divides its time between work and commits.
    pub(super) fn pace(&self) -> Pace {
        let transaction_ms = match self.delivery {
            Delivery::ExactlyOnce { transaction_timeout_ms, .. } => u64::try_from(transaction_timeout_ms).unwrap_or(0),
            Delivery::AtLeastOnce => DELIVERY_TIMEOUT_MS,
        };
        Pace::new(Duration::from_millis(self.commit_interval_ms), Duration::from_millis(transaction_ms))
    }

    /// The same of an owner's producer.
    pub fn producer_properties(&self) -> Vec<(&'static str, String)> {
        let text = str::to_owned;
        let mut ours = vec![
            ("enable.idempotence", text("true")),
            ("partitioner", text("murmur2_random")),
            ("linger.ms", text("5")),
            ("compression.type", text("lz4")),
            ("queue.buffering.max.kbytes", (self.in_flight_bytes / 1024).max(1).to_string()),
            ("queue.buffering.max.messages", text("200000")),
            ("message.max.bytes", self.output_bytes_max.to_string()),
            // Back-to-back transactions wait for this long where a broker is still busy with the one before.
            ("retry.backoff.ms", text("10")),
            ("statistics.interval.ms", text(STATISTICS_EVERY_MS)),
        ];
        match &self.delivery {
            Delivery::ExactlyOnce { transactional_id, transaction_timeout_ms } => {
                ours.push(("transactional.id", transactional_id.clone()));
                ours.push(("transaction.timeout.ms", transaction_timeout_ms.to_string()));
                ours.push(("message.timeout.ms", transaction_timeout_ms.to_string()));
            }
            Delivery::AtLeastOnce => ours.push(("message.timeout.ms", DELIVERY_TIMEOUT_MS.to_string())),
        }
        ours
    }
}

pub(super) fn make_consumer(config: &OwnerConfig) -> Result<BaseConsumer<Context>, OwnerError> {
    config
        .connection
        .config(&config.consumer_properties())
        .create_with_context(Context::new("consumer").of_group(&config.group_id))
        .map_err(|error| OwnerError::Config(error.to_string()))
}

#[cfg(test)]
pub(super) mod tests {
    use record::StageName;

    use super::{Assignor, Delivery, OwnerConfig};
    use crate::Connection;

    /// Reads `raw` in the group `desk` and writes `classified` exactly once, with little patience.
    pub(in super::super) fn config(bootstrap: String) -> OwnerConfig {
        OwnerConfig {
            connection: Connection { bootstrap, client_id: "test".to_owned(), properties: Vec::new() },
            stage: StageName::Classify,
            group_id: "desk".to_owned(),
            group_instance_id: None,
            assignor: Assignor::Range,
            inputs: vec!["raw".to_owned()],
            outputs: vec!["classified".to_owned()],
            optional_outputs: Vec::new(),
            changelog: None,
            source_topics: Vec::new(),
            delivery: Delivery::ExactlyOnce { transactional_id: "desk-1".to_owned(), transaction_timeout_ms: 5_000 },
            commit_interval_ms: 100,
            prefetch_bytes: 1 << 20,
            in_flight_bytes: 1 << 20,
            output_bytes_max: 1 << 20,
            session_timeout_ms: 6_000,
        }
    }
}
