//! An embedded Kafka for the demo: librdkafka's mock cluster, in this process.
//!
//! It keeps everything in memory (at most about 5 MiB a partition, the oldest go first), has no isolation of
//! transactions and does not fence. It is no place for anything that must last.
#![allow(unsafe_code)]

use rdkafka::bindings as sys;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::client::Context;

/// A running embedded broker; it ends when this is dropped.
pub struct EmbeddedBroker {
    // The client owns the cluster: a consumer, since only consumers and producers can be made.
    _client: BaseConsumer<Context>,
    bootstrap: String,
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedBroker").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

/// The embedded broker could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("embedded broker cannot be started: {0}")]
pub struct EmbeddedError(String);

impl EmbeddedBroker {
    /// Starts one with these topics, on a free port of the loopback address.
    ///
    /// # Errors
    /// If librdkafka cannot make the cluster or a topic.
    pub fn start(topics: &[(String, i32)]) -> Result<EmbeddedBroker, EmbeddedError> {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1").set("group.id", "embedded").set("log_level", "2");
        let client: BaseConsumer<Context> =
            config.create_with_context(Context::new("embedded")).map_err(|error| EmbeddedError(error.to_string()))?;
        let cluster = client.client().mock_cluster().ok_or_else(|| EmbeddedError("no mock cluster".to_owned()))?;
        // SAFETY: the handle belongs to the client, which is alive; the delay is set before any group is joined.
        unsafe {
            let handle = sys::rd_kafka_handle_mock_cluster(client.client().native_ptr());
            sys::rd_kafka_mock_group_initial_rebalance_delay_ms(handle, 0);
        }
        for (topic, partitions) in topics {
            cluster.create_topic(topic, *partitions, 1).map_err(|error| EmbeddedError(error.to_string()))?;
        }
        let bootstrap = cluster.bootstrap_servers();
        drop(cluster);
        Ok(EmbeddedBroker { _client: client, bootstrap })
    }

    /// Its address, `host:port`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }
}
