//! Functions and distributions that are the same on every machine: of additions, multiplications, divisions and square roots, which
//! IEEE 754 rounds alike everywhere, while `exp` and `ln` are whatever the machine's library makes of them.

use crate::dice::Dice;

/// e to the power of `x`, for x from −700 to 700; to some 14 digits.
pub(crate) fn exp(x: f64) -> f64 {
    // exp(x) = exp(x / 2^k)^(2^k), where the small one is a short series.
    let halvings = if x.abs() < 0.5 { 0 } else { (x.abs().max(1.0) as u64).ilog2() + 2 };
    let small = x / (1_u64 << halvings) as f64;
    let mut sum = 1.0;
    for divisor in (1..=14).rev() {
        sum = 1.0 + small * sum / f64::from(divisor);
    }
    for _ in 0..halvings {
        sum *= sum;
    }
    sum
}

/// The natural logarithm of a normal number above 0, to some 15 digits.
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as f64 - 1_023.0;
    let mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1_023 << 52));
    // 2 artanh((m − 1) / (m + 1)), where m is from 1 to 2.
    let ratio = (mantissa - 1.0) / (mantissa + 1.0);
    let square = ratio * ratio;
    let mut sum = 0.0;
    for odd in (0..18).rev() {
        sum = sum * square + 1.0 / f64::from(2 * odd + 1);
    }
    2.0 * ratio * sum + exponent * std::f64::consts::LN_2
}

impl Dice {
    /// From `least` to below `most`.
    pub(crate) fn between(&mut self, least: f64, most: f64) -> f64 {
        least + (most - least) * self.unit()
    }

    /// From `least` to `most` so that each doubling is as likely.
    pub(crate) fn log_uniform(&mut self, least: f64, most: f64) -> f64 {
        exp(self.between(ln(least), ln(most)))
    }

    /// A whole number from `least` to below `most`.
    pub(crate) fn within(&mut self, least: i64, most: i64) -> i64 {
        least + self.roll(usize::try_from(most - least).unwrap_or(1)) as i64
    }

    /// Normally distributed around 0 with variance 1 (Marsaglia's polar method, 1964).
    fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (self.between(-1.0, 1.0), self.between(-1.0, 1.0));
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * ln(square) / square).sqrt();
            }
        }
    }

    /// Gamma distributed with this shape, at least 1, and scale 1 (Marsaglia and Tsang, *A Simple Method for Generating Gamma
    /// Variables*, 2000).
    pub(crate) fn gamma(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = self.normal();
            let v = 1.0 + c * x;
            if v <= 0.0 {
                continue;
            }
            let v = v * v * v;
            let point = self.unit();
            if point > 0.0 && ln(point) < 0.5 * x * x + d - d * v + d * ln(v) {
                return d * v;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_the_library_says_nearly() {
        for x in [-650.0, -200.0, -10.3, -1.0, -0.4, -1e-9, 0.0, 0.3, 1.0, 2.5, 40.0, 650.0_f64] {
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-11, "exp {x}: {} {}", exp(x), x.exp());
        }
        for x in [1e-300, 1e-9, 0.2, 0.999, 1.0, 1.5, 1.999, 2.0, 500.0, 1e200_f64] {
            assert!((ln(x) - x.ln()).abs() <= 1e-13 * x.ln().abs().max(1.0), "ln {x}: {} {}", ln(x), x.ln());
        }
    }

    #[test]
    fn gamma_has_its_mean_and_variance() {
        let mut dice = Dice::new(5);
        for shape in [1.0, 6.25, 100.0] {
            let drawn: Vec<f64> = (0..40_000).map(|_| dice.gamma(shape)).collect();
            let mean = drawn.iter().sum::<f64>() / 40_000.0;
            let variance = drawn.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 40_000.0;
            assert!((mean / shape - 1.0).abs() < 0.03, "{shape}: mean {mean}");
            assert!((variance / shape - 1.0).abs() < 0.06, "{shape}: variance {variance}");
        }
    }
}
