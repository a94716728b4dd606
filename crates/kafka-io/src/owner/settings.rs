//! What an owner needs to know, and the consumer that it makes of it.

use rdkafka::consumer::BaseConsumer;
use record::StageName;

use super::OwnerError;
use crate::client::{Connection, Context};

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
    /// Which of the outputs is the changelog to restore from.
    pub changelog: Option<usize>,
    /// Topics whose partitions are the sources of event time; empty if the stage does not ask.
    pub source_topics: Vec<String>,
    /// How outputs and positions are committed.
    pub delivery: Delivery,
    /// How often to commit, in milliseconds.
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

pub(super) fn make_consumer(config: &OwnerConfig) -> Result<BaseConsumer<Context>, OwnerError> {
    let kbytes = (config.prefetch_bytes / 1024).max(64).to_string();
    // What is on its way comes on top of what is prefetched, and grows when it is decompressed.
    let fetch_bytes = (config.prefetch_bytes / 8).clamp(1_048_576, 16_777_216).to_string();
    let partition_bytes = (config.prefetch_bytes / 32).clamp(65_536, 4_194_304).to_string();
    let session_timeout = config.session_timeout_ms.to_string();
    let mut ours = vec![
        ("group.id", config.group_id.as_str()),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("isolation.level", "read_committed"),
        // A position that is gone is a gap to be counted, not a place to jump to.
        ("auto.offset.reset", "error"),
        ("queued.max.messages.kbytes", &kbytes),
        ("queued.min.messages", "10000"),
        ("fetch.message.max.bytes", &partition_bytes),
        ("fetch.max.bytes", &fetch_bytes),
        ("fetch.wait.max.ms", "100"),
        ("fetch.queue.backoff.ms", "10"),
        ("session.timeout.ms", &session_timeout),
        // How soon a new partition is read. Event time waits for one that it knows of, and it knows as soon.
        ("topic.metadata.refresh.interval.ms", "30000"),
        ("max.poll.interval.ms", "300000"),
        (
            "partition.assignment.strategy",
            match config.assignor {
                Assignor::CooperativeSticky => "cooperative-sticky",
                Assignor::Range => "range",
            },
        ),
    ];
    if let Some(instance) = &config.group_instance_id {
        ours.push(("group.instance.id", instance));
    }
    config
        .connection
        .config(&ours)
        .create_with_context(Context::new("consumer"))
        .map_err(|error| OwnerError::Config(error.to_string()))
}
