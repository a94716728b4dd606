//! Randomness that is the same everywhere.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

#[derive(Debug, Clone)]
pub(crate) struct Dice(ChaCha8Rng);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(ChaCha8Rng::seed_from_u64(seed))
    }

    /// 0 to `sides` − 1.
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        // The high bits of a product: even to one part in 2^64 / sides (Lemire, *Fast Random Integer Generation in an
        // Interval*, 2019).
        ((u128::from(self.0.next_u64()) * sides.max(1) as u128) >> 64) as usize
    }

    /// At least 0 and below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub(crate) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// The first place whose cumulated weight is beyond a point drawn evenly.
    pub(crate) fn weighted(&mut self, cumulated: &[f64]) -> usize {
        let point = self.unit() * cumulated.last().copied().unwrap_or(0.0);
        cumulated.partition_point(|&weight| weight <= point).min(cumulated.len().saturating_sub(1))
    }

    /// A time until the next of events that come at random, in milliseconds and fractions of one: many may come within one. Its
    /// mean is `mean_ms`.
    pub(crate) fn gap_ms(&mut self, mean_ms: f64) -> f64 {
        // The inverse of the exponential distribution, by a logarithm in integers: `ln` differs between machines.
        let bits = self.0.next_u64() | 1;
        let zeros = f64::from(bits.leading_zeros());
        let fraction = (bits << bits.leading_zeros().min(63)) as f64 / (1_u64 << 63) as f64 - 1.0;
        // log2 of the mantissa, to two digits, by a parabola: enough for gaps.
        let log2 = zeros + 1.0 - fraction * (1.34 - 0.34 * fraction);
        (log2 * std::f64::consts::LN_2 * mean_ms).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_have_their_mean() {
        for mean_ms in [0.02, 1_000.0] {
            let mut dice = Dice::new(3);
            let sum: f64 = (0..100_000).map(|_| dice.gap_ms(mean_ms)).sum();
            let mean = sum / 100_000.0 / mean_ms;
            assert!((0.97..1.03).contains(&mean), "{mean} of {mean_ms}");
        }
    }
}
