//! Evidence that counts are more than usual: a CUSUM of negative-binomial counts.

use record::EpochMs;
use serde::{Deserialize, Serialize};

/// The log-likelihood ratio of `count` under a mean of `ratio * expected` over one of `expected`, where the mean is itself gamma
/// distributed with this `shape`: a negative-binomial count (Höhle and Paul, 2008, equation 5).
pub(crate) fn log_likelihood_ratio(count: f64, expected: f64, ratio: f64, shape: f64) -> f64 {
    // ln((shape + expected) / (shape + ratio * expected)), exact for small ones.
    let less = -((ratio - 1.0) * expected / (shape + expected)).ln_1p();
    count * (ratio.ln() + less) + shape * less
}

/// −ln of the probability of a count of zero.
pub(crate) fn zero_surprise(expected: f64, shape: f64) -> f64 {
    shape * (expected / shape).ln_1p()
}

/// A CUSUM that has left zero. Within a block of time the noise is one and the same, so the block's counts are judged together;
/// exposure is kept as a whole number, so that it makes no difference in how many steps time goes on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// When it was last at zero.
    pub(crate) started_at: EpochMs,
    /// The statistic when the block began.
    base: f64,
    /// The block's count.
    count: u32,
    /// The block's exposure, in milliseconds or in interactions.
    exposure: i64,
    /// The count of earlier blocks.
    observed: u32,
    /// What was expected of earlier blocks.
    expected: f64,
}

/// What a CUSUM is judged by, for the length of a block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Usual {
    /// Expected counts per unit of exposure, for display.
    pub(crate) rate: f64,
    /// The same on the safe side: with what is unusual about the traffic and with what we do not know.
    pub(crate) upper: f64,
    /// The shape of the noise: the inverse of its squared coefficient of variation.
    pub(crate) shape: f64,
}

impl Run {
    pub(crate) fn new(started_at: EpochMs) -> Run {
        Run { started_at, base: 0.0, count: 0, exposure: 0, observed: 0, expected: 0.0 }
    }

    pub(crate) fn add(&mut self, count: u32, exposure: i64) {
        self.count = self.count.saturating_add(count);
        self.exposure = self.exposure.saturating_add(exposure);
    }

    /// The statistic; at zero or below, the run is over.
    pub(crate) fn score(&self, usual: &Usual, ratio: f64) -> f64 {
        let expected = usual.upper * self.exposure as f64;
        self.base + log_likelihood_ratio(f64::from(self.count), expected, ratio, usual.shape)
    }

    /// The block is over.
    pub(crate) fn fold(&mut self, usual: &Usual, ratio: f64) {
        self.base = self.score(usual, ratio);
        self.expected = self.expected(usual);
        self.observed = self.observed.saturating_add(self.count);
        self.count = 0;
        self.exposure = 0;
    }

    /// Evidence gets old; false if none is left.
    pub(crate) fn fade(&mut self, by: f64) -> bool {
        self.base -= by;
        self.base > 0.0
    }

    pub(crate) fn observed(&self) -> u32 {
        self.observed.saturating_add(self.count)
    }

    pub(crate) fn expected(&self, usual: &Usual) -> f64 {
        self.expected + usual.rate * self.exposure as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The negative-binomial probability, by its product form.
    fn ln_probability(count: u32, mean: f64, shape: f64) -> f64 {
        let mut ln = shape * (shape / (shape + mean)).ln();
        for at in 0..count {
            ln += ((shape + f64::from(at)) / f64::from(at + 1) * mean / (shape + mean)).ln();
        }
        ln
    }

    #[test]
    fn the_ratio_is_that_of_the_distributions() {
        for (count, mean, ratio, shape) in [(0, 0.3, 2.0, 5.0), (7, 2.0, 4.0, 0.8), (40, 10.0, 10.0, 50.0)] {
            let expected = ln_probability(count, mean * ratio, shape) - ln_probability(count, mean, shape);
            let found = log_likelihood_ratio(f64::from(count), mean, ratio, shape);
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
        assert!((zero_surprise(3.0, 2.0) + ln_probability(0, 3.0, 2.0)).abs() < 1e-12);
    }

    #[test]
    fn it_makes_no_difference_in_how_many_steps_time_goes_on() {
        let usual = Usual { rate: 1e-5, upper: 1.2e-5, shape: 4.0 };
        let mut one = Run::new(0);
        one.add(6, 10_000);
        let mut many = one;
        one.add(0, 700_000);
        for _ in 0..70 {
            many.add(0, 10_000);
        }
        assert_eq!(one.score(&usual, 4.0).to_bits(), many.score(&usual, 4.0).to_bits());
        assert!(
            one.score(&usual, 4.0) < {
                let mut at_once = Run::new(0);
                at_once.add(6, 10_000);
                at_once.score(&usual, 4.0)
            }
        );
    }
}
