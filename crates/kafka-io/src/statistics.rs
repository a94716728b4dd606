//! What a client of librdkafka tells of itself, as far as an operator has use for it.

use rdkafka::statistics::{Broker, Statistics};

/// How a client stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClientStatistics {
    /// The brokers that it knows by their number.
    pub brokers: Vec<BrokerStatistics>,
    /// What a consumer has fetched and not handed over yet, in bytes.
    pub fetched_bytes: u64,
    /// What a producer holds and no broker has acknowledged yet, in bytes.
    pub unacknowledged_bytes: u64,
    /// Requests that no broker answered in time, since the client was made.
    pub request_timeouts: u64,
    /// Requests that were sent again, since the client was made.
    pub request_retries: u64,
}

/// How a client and a broker stand with each other.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerStatistics {
    /// The broker's number.
    pub id: i32,
    /// Whether there is a connection; `None` while none is needed.
    pub is_up: Option<bool>,
    /// The 99th percentile of how long it takes to answer, in seconds, over the time since the last statistics; `None` if nothing was
    /// asked. A fetch is answered when there is something, or after a wait.
    pub round_trip_seconds: Option<f64>,
    /// Requests that wait to be sent to it.
    pub waiting_requests: i64,
}

impl ClientStatistics {
    pub(crate) fn of(told: &Statistics) -> ClientStatistics {
        // Those without a number are addresses to begin with, and roles that a numbered one has.
        let known = told.brokers.values().filter(|broker| broker.nodeid >= 0);
        let mut brokers: Vec<BrokerStatistics> = known.map(BrokerStatistics::of).collect();
        brokers.sort_by_key(|broker| broker.id);
        let partitions = told.topics.values().flat_map(|topic| topic.partitions.values());
        ClientStatistics {
            brokers,
            fetched_bytes: partitions.map(|partition| partition.fetchq_size).sum(),
            unacknowledged_bytes: told.msg_size,
            request_timeouts: told.brokers.values().map(|broker| broker.req_timeouts).sum(),
            request_retries: told.brokers.values().map(|broker| broker.txretries).sum(),
        }
    }
}

impl BrokerStatistics {
    fn of(told: &Broker) -> BrokerStatistics {
        BrokerStatistics {
            id: told.nodeid,
            is_up: match told.state.as_str() {
                // Connections are made when they are needed.
                "INIT" | "DOWN" => None,
                "UP" | "UPDATE" | "REAUTH" => Some(true),
                _ => Some(false),
            },
            round_trip_seconds: told.rtt.as_ref().filter(|rtt| rtt.cnt > 0).map(|rtt| rtt.p99 as f64 / 1e6),
            waiting_requests: told.outbuf_cnt,
        }
    }
}
