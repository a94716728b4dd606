//! Metrics of the community stage's state: its version, and how a rotation of the pseudonyms' secret goes on.

use pipeline::PartitionStatus;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts};

use super::Registry;

/// Those of each partition.
#[derive(Debug, Clone)]
pub(super) struct StateMetrics {
    version: IntGaugeVec,
    pseudonym_links: IntGaugeVec,
    /// Set by who adds up counters.
    pub(super) pseudonym_links_refused: IntCounterVec,
    previous_pseudonym_needed_seconds: GaugeVec,
}

impl StateMetrics {
    pub(super) fn new(registry: &Registry) -> StateMetrics {
        let opts = |name: &str, help: &str| Opts::new(name, help);
        let partition = &["partition"];
        StateMetrics {
            version: registry.add(
                IntGaugeVec::new(
                    opts("state_version", "The version that the state is written in; `state.version` raises it."),
                    partition,
                ),
            ),
            pseudonym_links: registry.add(
                IntGaugeVec::new(
                    opts(
                        "pseudonym_links",
                        "Pseudonyms that another of the same person stands for, since the secret was rotated.",
                    ),
                    partition,
                ),
            ),
            pseudonym_links_refused: registry.add(
                IntCounterVec::new(
                    opts(
                        "refused_pseudonym_links_total",
                        "Pseudonyms that were not linked for want of room (community.members_max): their members count as new.",
                    ),
                    partition,
                ),
            ),
            previous_pseudonym_needed_seconds: registry.add(
                GaugeVec::new(
                    opts(
                        "previous_pseudonym_needed_seconds",
                        "For how long, in event time, the previous secret is needed; 0 when it can be removed. Not there where authors \
                         do not come with its pseudonyms.",
                    ),
                    partition,
                ),
            ),
        }
    }

    pub(super) fn show(&self, partition: &str, status: &PartitionStatus) {
        let labels = &[partition];
        self.version.with_label_values(labels).set(i64::from(status.state_version));
        self.pseudonym_links.with_label_values(labels).set(i64::try_from(status.aliases).unwrap_or(i64::MAX));
        match status.previous_needed_ms {
            Some(needed_ms) => {
                self.previous_pseudonym_needed_seconds.with_label_values(labels).set(needed_ms as f64 / 1_000.0);
            }
            None => {
                let _ = self.previous_pseudonym_needed_seconds.remove_label_values(labels);
            }
        }
    }

    /// The partition went to another replica.
    pub(super) fn forget(&self, partition: &str) {
        let _ = self.version.remove_label_values(&[partition]);
        let _ = self.pseudonym_links.remove_label_values(&[partition]);
        let _ = self.previous_pseudonym_needed_seconds.remove_label_values(&[partition]);
    }
}
