//! By when half of a group are answered.

use serde::Serialize;

use crate::Wait;
use crate::compare::z_of;

/// The median of waiting times, in milliseconds, and its confidence interval, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Median {
    /// By when half are answered; `None` while fewer are, by what is known.
    pub ms: Option<i64>,
    /// The interval's lower end; `None` if it is not known.
    pub low_ms: Option<i64>,
    /// The interval's upper end; `None` if it is not known.
    pub high_ms: Option<i64>,
}

/// The median by the product-limit estimate of Kaplan and Meier (1958), with the interval of Brookmeyer and Crowley (1982) on the
/// log(−log) scale, where it keeps to its confidence for small groups too. `confidence` is between 0 and 1.
///
/// ```
/// use fairness::{Wait, median};
/// let wait = |duration_ms, ended| Wait { duration_ms, ended, group: 0, stratum: 0 };
/// // Two are answered, one still waits: half are answered within 20 ms.
/// let known = median(&[wait(10, true), wait(20, true), wait(30, false)], 0.95);
/// assert_eq!(known.ms, Some(20));
/// ```
pub fn median(waits: &[Wait], confidence: f64) -> Median {
    let mut sorted: Vec<(i64, bool)> = waits.iter().map(|wait| (wait.duration_ms.max(0), wait.ended)).collect();
    sorted.sort_unstable();
    let z = z_of(confidence);
    let mut median = Median { ms: None, low_ms: None, high_ms: None };
    // The share that still waits, and the sum in Greenwood's formula for its variance.
    let (mut share, mut sum) = (1.0_f64, 0.0_f64);
    let mut at = 0;
    while at < sorted.len() && median.high_ms.is_none() {
        let (duration, _) = sorted[at];
        let same = sorted[at..].iter().take_while(|(other, _)| *other == duration).count();
        let ended = sorted[at..at + same].iter().filter(|(_, ended)| *ended).count() as f64;
        let at_risk = (sorted.len() - at) as f64;
        at += same;
        if ended == 0.0 {
            continue;
        }
        share *= 1.0 - ended / at_risk;
        let (low, high) = if share > 0.0 {
            sum += ended / (at_risk * (at_risk - ended));
            let spread = z * sum.sqrt() / share.ln().abs();
            (share.powf(spread.exp()), share.powf((-spread).exp()))
        } else {
            (0.0, 0.0)
        };
        for (bound, reached) in [(low, &mut median.low_ms), (share, &mut median.ms), (high, &mut median.high_ms)] {
            if bound <= 0.5 {
                reached.get_or_insert(duration);
            }
        }
    }
    median
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::freireich::{PLACEBO, SIX_MP, waits};

    #[test]
    fn medians_of_a_published_trial() {
        let of = |weeks| median(&waits(weeks, 0), 0.95);
        // Medians: Freireich et al. (1963); intervals on this scale as SAS LIFETEST has them.
        assert_eq!(of(SIX_MP), Median { ms: Some(23), low_ms: Some(13), high_ms: None });
        assert_eq!(of(PLACEBO), Median { ms: Some(8), low_ms: Some(4), high_ms: Some(11) });
    }

    #[test]
    fn where_fewer_than_half_are_answered_there_is_none() {
        let wait = |ended| Wait { duration_ms: 5, ended, group: 0, stratum: 0 };
        assert_eq!(median(&[wait(true), wait(false), wait(false)], 0.95).ms, None);
        let nothing = Median { ms: None, low_ms: None, high_ms: None };
        assert_eq!((median(&[], 0.95), median(&[wait(false); 3], 0.95)), (nothing, nothing));
        assert_eq!(median(&[wait(true); 3], 0.95).ms, Some(5));
    }
}
