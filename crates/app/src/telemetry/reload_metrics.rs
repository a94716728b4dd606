//! Metrics of what is read anew while the service runs: the community registry, and the rules of the configuration.

use prometheus::{IntCounter, IntGauge};

use super::Registry;

/// Both are shown from the beginning, so that the first failure is a growth.
#[derive(Debug, Clone)]
pub(crate) struct ReloadMetrics {
    communities_listed: IntGauge,
    communities: Reloads,
    rules: Reloads,
}

/// Times that something was taken, and that it was refused.
#[derive(Debug, Clone)]
struct Reloads {
    taken: IntCounter,
    refused: IntCounter,
}

impl Reloads {
    fn count(&self, taken: bool) {
        if taken { self.taken.inc() } else { self.refused.inc() }
    }
}

impl ReloadMetrics {
    pub(super) fn new(registry: &Registry) -> ReloadMetrics {
        let counter = |name: &str, help: &str| registry.add(IntCounter::new(name, help));
        ReloadMetrics {
            communities_listed: registry
                .add(IntGauge::new("communities_listed", "Communities that the registry lists.")),
            communities: Reloads {
                taken: counter(
                    "communities_reloads_total",
                    "Times that the community registry was read anew and taken.",
                ),
                refused: counter(
                    "communities_reload_failed_total",
                    "Times that it was refused for a mistake; the one before stays.",
                ),
            },
            rules: Reloads {
                taken: counter(
                    "rules_reloads_total",
                    "Times that the rules of the configuration file were read anew and taken.",
                ),
                refused: counter(
                    "rules_reload_failed_total",
                    "Times that they were refused for a mistake in the file; those before stay.",
                ),
            },
        }
    }

    /// The community registry lists so many.
    pub(crate) fn communities_listed(&self, communities: usize) {
        self.communities_listed.set(i64::try_from(communities).unwrap_or(i64::MAX));
    }

    /// The community registry was read anew, or could not be.
    pub(crate) fn communities(&self, taken: bool) {
        self.communities.count(taken);
    }

    /// The rules were read anew, or could not be.
    pub(crate) fn rules(&self, taken: bool) {
        self.rules.count(taken);
    }
}
