//! Simulated time.

use std::time::{Duration, Instant};

use kafka_io::{Clock, SystemClock};
use record::EpochMs;

use super::{HISTORY_MS, HISTORY_SPEED};

/// Simulated time: it starts at a moment, goes at a speed, and at the present falls in with the wall clock, if told to.
#[derive(Debug)]
pub(super) struct DemoClock {
    pub(super) begun: Instant,
    /// Where what is shown begins; history goes before it.
    pub(super) start: EpochMs,
    pub(super) speed: f64,
    pub(super) until_present: bool,
}

impl DemoClock {
    pub(super) fn speed(&self) -> f64 {
        match (self.shown_for().is_zero(), self.until_present && self.fast() >= SystemClock.now_ms()) {
            (true, _) => HISTORY_SPEED,
            (false, true) => 1.0,
            (false, false) => self.speed,
        }
    }

    fn fast(&self) -> EpochMs {
        let shown = self.shown_for();
        if shown.is_zero() {
            let passed = self.begun.elapsed().as_secs_f64() * HISTORY_SPEED * 1_000.0;
            return (self.start - HISTORY_MS + passed as EpochMs).min(self.start);
        }
        self.start + (shown.as_secs_f64() * self.speed * 1_000.0) as EpochMs
    }

    /// How long ago history was over.
    pub(super) fn shown_for(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_secs_f64(HISTORY_MS as f64 / 1_000.0 / HISTORY_SPEED))
    }
}

impl Clock for DemoClock {
    fn now_ms(&self) -> EpochMs {
        if self.until_present { self.fast().min(SystemClock.now_ms()) } else { self.fast() }
    }
}
