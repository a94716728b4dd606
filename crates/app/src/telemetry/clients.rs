//! What the roles' Kafka clients tell of themselves.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use kafka_io::ClientStatistics;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts};

use super::Registry;

/// Of a role's consumer and producer. The label `broker` is its number: as many as the cluster has.
#[derive(Debug, Clone)]
pub(super) struct ClientMetrics {
    up: IntGaugeVec,
    round_trip_seconds: GaugeVec,
    waiting: IntGaugeVec,
    bytes: IntGaugeVec,
    timeouts: IntCounterVec,
    retries: IntCounterVec,
    seen: Arc<Mutex<Seen>>,
}

/// What was told last, by role and client.
type Seen = HashMap<(&'static str, &'static str), (HashSet<i32>, u64, u64)>;

impl ClientMetrics {
    pub(super) fn new(registry: &Registry) -> ClientMetrics {
        let of_broker = &["stage", "client", "broker"][..];
        let of_client = &["stage", "client"][..];
        let gauge =
            |name: &str, help: &str, labels: &[&str]| registry.add(IntGaugeVec::new(Opts::new(name, help), labels));
        let counter = |name: &str, help: &str| registry.add(IntCounterVec::new(Opts::new(name, help), of_client));
        ClientMetrics {
            up: gauge(
                "kafka_broker_up",
                "1 if there is a connection to the broker, 0 if there should be one; not there while none is needed.",
                of_broker,
            ),
            round_trip_seconds: registry.add(GaugeVec::new(
                Opts::new(
                    "kafka_broker_round_trip_seconds",
                    "The 99th percentile of a broker's time to answer, over 10 s. It answers a fetch when there is something, or \
                     after 0.1 s.",
                ),
                of_broker,
            )),
            waiting: gauge("kafka_broker_waiting_requests", "Requests that wait to be sent to a broker.", of_broker),
            bytes: gauge(
                "kafka_client_buffered_bytes",
                "What a consumer has fetched ahead, and what a producer holds that no broker has acknowledged.",
                of_client,
            ),
            timeouts: counter("kafka_request_timeouts_total", "Requests that no broker answered in time."),
            retries: counter("kafka_request_retries_total", "Requests that were sent again."),
            seen: Arc::default(),
        }
    }

    /// Takes in what a client told.
    pub(super) fn told(&self, stage: &'static str, client: &'static str, told: &ClientStatistics) {
        let Ok(mut seen) = self.seen.lock() else { return };
        let (brokers, timeouts, retries) = seen.entry((stage, client)).or_default();
        let bytes = told.fetched_bytes + told.unacknowledged_bytes;
        self.bytes.with_label_values(&[stage, client]).set(i64::try_from(bytes).unwrap_or(i64::MAX));
        // A client that is made anew begins with nothing.
        let more = |before: &mut u64, now: u64| {
            let before = std::mem::replace(before, now);
            if now >= before { now - before } else { now }
        };
        self.timeouts.with_label_values(&[stage, client]).inc_by(more(timeouts, told.request_timeouts));
        self.retries.with_label_values(&[stage, client]).inc_by(more(retries, told.request_retries));
        let gone = std::mem::replace(brokers, told.brokers.iter().map(|broker| broker.id).collect());
        for id in gone.difference(brokers) {
            let id = id.to_string();
            let labels = &[stage, client, id.as_str()];
            // A gauge that was never set is not there to be removed.
            let _ = self.up.remove_label_values(labels);
            let _ = self.round_trip_seconds.remove_label_values(labels);
            let _ = self.waiting.remove_label_values(labels);
        }
        for broker in &told.brokers {
            let id = broker.id.to_string();
            let labels = &[stage, client, id.as_str()];
            match broker.is_up {
                Some(is_up) => self.up.with_label_values(labels).set(i64::from(is_up)),
                None => drop(self.up.remove_label_values(labels)),
            }
            match broker.round_trip_seconds {
                Some(seconds) => self.round_trip_seconds.with_label_values(labels).set(seconds),
                None => drop(self.round_trip_seconds.remove_label_values(labels)),
            }
            self.waiting.with_label_values(labels).set(broker.waiting_requests);
        }
    }
}

#[cfg(test)]
mod tests {
    use kafka_io::BrokerStatistics;

    use super::*;

    fn told(brokers: &[(i32, Option<bool>)], request_timeouts: u64) -> ClientStatistics {
        let broker = |&(id, is_up)| BrokerStatistics { id, is_up, round_trip_seconds: Some(0.25), waiting_requests: 3 };
        ClientStatistics {
            brokers: brokers.iter().map(broker).collect(),
            request_timeouts,
            ..ClientStatistics::default()
        }
    }

    #[test]
    fn brokers_that_went_and_clients_that_began_anew() {
        let registry = Registry::new();
        let metrics = ClientMetrics::new(&registry);
        let text = || prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        metrics.told("classify", "consumer", &told(&[(1, Some(true)), (2, Some(false)), (3, None)], 7));
        let shown = text();
        for line in [
            "sinyal_kafka_broker_up{broker=\"1\",client=\"consumer\",stage=\"classify\"} 1",
            "sinyal_kafka_broker_up{broker=\"2\",client=\"consumer\",stage=\"classify\"} 0",
            "sinyal_kafka_broker_round_trip_seconds{broker=\"3\",client=\"consumer\",stage=\"classify\"} 0.25",
            "sinyal_kafka_request_timeouts_total{client=\"consumer\",stage=\"classify\"} 7",
        ] {
            assert!(shown.lines().any(|found| found == line), "{line} in {shown}");
        }
        assert!(!shown.contains("sinyal_kafka_broker_up{broker=\"3\""), "none is needed: {shown}");
        metrics.told("classify", "consumer", &told(&[(1, None)], 2));
        let shown = text();
        assert!(!shown.contains("broker=\"2\"") && !shown.contains("sinyal_kafka_broker_up"), "{shown}");
        assert!(
            shown.contains("sinyal_kafka_request_timeouts_total{client=\"consumer\",stage=\"classify\"} 9"),
            "{shown}"
        );
    }
}
