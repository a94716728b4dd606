//! What is measured of notifications, by target.

use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts};

use super::board::Why;
use super::circuit::CircuitState;
use crate::telemetry::Registry;

/// Every metric of the role. The label `target` is bounded by the configuration.
#[derive(Debug, Clone)]
pub(crate) struct NotifyMetrics {
    pub(super) sent: IntCounterVec,
    pub(super) repeated: IntCounterVec,
    pub(super) resent: IntCounterVec,
    pub(super) failed: IntCounterVec,
    pub(super) dead_letters: IntCounterVec,
    unsent: IntCounterVec,
    held: IntCounterVec,
    pub(super) lost: IntCounterVec,
    pub(super) waiting: IntGaugeVec,
    pub(super) oldest_seconds: GaugeVec,
    circuit: IntGaugeVec,
    pub(super) caught_up: IntGaugeVec,
}

impl NotifyMetrics {
    /// Each target's with nothing counted, so that what never happened can be told from what is not measured.
    pub(crate) fn new<'a>(registry: &Registry, targets: impl Iterator<Item = &'a str>) -> NotifyMetrics {
        let counter =
            |name: &str, help: &str, labels: &[&str]| registry.add(IntCounterVec::new(Opts::new(name, help), labels));
        let gauge = |name: &str, help: &str| registry.add(IntGaugeVec::new(Opts::new(name, help), &["target"]));
        let metrics = NotifyMetrics {
            sent: counter("notify_sent_total", "Notifications that a target took.", &["target"]),
            repeated: counter(
                "notify_repeated_total",
                "Those of them that it may have had before, under the same id: after a crash, or after an attempt without an answer.",
                &["target"],
            ),
            resent: counter(
                "notify_resent_total",
                "Alerts that are on of which an Alertmanager was told again, as it wants to be.",
                &["target"],
            ),
            failed: counter("notify_failed_attempts_total", "Attempts that failed.", &["target"]),
            dead_letters: counter(
                "notify_dead_letters_total",
                "Notifications that were given up, or could not be read.",
                &["target"],
            ),
            unsent: counter(
                "notify_unsent_total",
                "Changes of state that are not told: superseded or came_and_went while the notifier was behind, over while \
                 silenced or inhibited, or beyond the limit of alerts.",
                &["target", "reason"],
            ),
            held: counter(
                "notify_held_total",
                "Notifications that waited for the end of a silence or of blindness.",
                &["target", "reason"],
            ),
            lost: counter("notify_lost_items_total", "Queue items that were gone before they were read.", &["target"]),
            waiting: gauge("notify_waiting_notifications", "Notifications that wait to be sent, queue items included."),
            oldest_seconds: registry.add(GaugeVec::new(
                Opts::new("notify_oldest_waiting_seconds", "How long the oldest of them has waited; 0 if none does."),
                &["target"],
            )),
            circuit: gauge("notify_circuit", "Whether anything is sent to a target: 0 yes, 1 one attempt, 2 no."),
            caught_up: gauge(
                "notify_caught_up",
                "1 if all that was written of alerts is known, and nothing is behind.",
            ),
        };
        for target in targets {
            let counters = [&metrics.sent, &metrics.repeated, &metrics.resent, &metrics.failed, &metrics.dead_letters];
            for counter in counters.into_iter().chain([&metrics.lost]) {
                counter.with_label_values(&[target]).inc_by(0);
            }
            for why in Why::ALL {
                metrics.unsent.with_label_values(&[target, why.as_str()]).inc_by(0);
            }
            for why in [Why::Silenced, Why::Inhibited] {
                metrics.held.with_label_values(&[target, why.as_str()]).inc_by(0);
            }
        }
        metrics
    }

    pub(super) fn count_unsent(&self, target: &str, why: Why) {
        self.unsent.with_label_values(&[target, why.as_str()]).inc();
    }

    pub(super) fn count_held(&self, target: &str, why: Why) {
        self.held.with_label_values(&[target, why.as_str()]).inc();
    }

    pub(super) fn show_circuit(&self, target: &str, state: CircuitState) {
        let number = match state {
            CircuitState::Closed => 0,
            CircuitState::HalfOpen => 1,
            CircuitState::Open => 2,
        };
        self.circuit.with_label_values(&[target]).set(number);
    }
}
