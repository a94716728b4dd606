//! A circuit breaker: a target that fails again and again is left alone for a while, then tried once.

use std::time::{Duration, Instant};

/// How much longer than at first a circuit stays open at most.
const OPEN_TIMES_MAX: u32 = 10;

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CircuitState {
    Closed,
    HalfOpen,
    Open,
}

#[derive(Debug)]
pub(super) struct Circuit {
    failures_max: u32,
    open_for: Duration,
    /// Failures in a row.
    failures: u32,
    /// Until when nothing is sent, and for how long that was set.
    open: Option<(Instant, Duration)>,
}

impl Circuit {
    /// Opens after so many failures in a row, for this time at first.
    pub(super) fn new(failures_max: u32, open_for: Duration) -> Circuit {
        Circuit { failures_max, open_for, failures: 0, open: None }
    }

    pub(super) fn state(&self, now: Instant) -> CircuitState {
        match self.open {
            None => CircuitState::Closed,
            Some((until, _)) if now >= until => CircuitState::HalfOpen,
            Some(_) => CircuitState::Open,
        }
    }

    /// Whether an attempt may be made.
    pub(super) fn allows(&self, now: Instant) -> bool {
        self.state(now) != CircuitState::Open
    }

    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.open = None;
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        let open_for = match self.open {
            Some((_, before)) => (before * 2).min(self.open_for * OPEN_TIMES_MAX),
            None if self.failures >= self.failures_max => self.open_for,
            None => return,
        };
        self.open = Some((now + open_for, open_for));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_opens_after_failures_in_a_row_and_probes() {
        let second = Duration::from_secs(1);
        let begin = Instant::now();
        let mut circuit = Circuit::new(3, second);
        circuit.failed(begin);
        circuit.failed(begin);
        circuit.succeeded();
        circuit.failed(begin);
        circuit.failed(begin);
        assert_eq!(circuit.state(begin), CircuitState::Closed, "only failures in a row count");
        circuit.failed(begin);
        assert_eq!((circuit.state(begin), circuit.allows(begin)), (CircuitState::Open, false));
        let probe = begin + second;
        assert_eq!((circuit.state(probe), circuit.allows(probe)), (CircuitState::HalfOpen, true));
        circuit.failed(probe);
        assert!(!circuit.allows(probe + second) && circuit.allows(probe + second * 2), "twice as long");
        let mut at = probe;
        for _ in 0..20 {
            at += second * 20;
            circuit.failed(at);
        }
        assert!(circuit.allows(at + second * 10), "ten times as long at most");
        circuit.succeeded();
        circuit.failed(at);
        assert_eq!(circuit.state(at), CircuitState::Closed);
    }
}
