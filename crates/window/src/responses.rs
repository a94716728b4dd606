//! How long the brand took to answer: a histogram of times whose quantiles are right to within 1 %.

/// First responses of a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResponseFigures {
    /// How many there are.
    pub count: i64,
    /// Half of them took no longer, in milliseconds; `None` if there are none.
    pub p50_ms: Option<i64>,
    /// Nine of ten took no longer, in milliseconds; `None` if there are none.
    pub p90_ms: Option<i64>,
}

/// Times are counted in buckets that grow by this ratio, as in DDSketch (Masson, Rim and Lee, 2019, doi:10.14778/3352063.3352135):
/// what a bucket stands for is off by no more than 1 % of itself. Unlike the kept libraries of it, this one can take a time back.
const GROWTH: f64 = 1.02;

/// The bucket of a time in milliseconds; negative ones are taken as 0.
pub(crate) fn bucket(delay_ms: i64) -> u16 {
    if delay_ms < 1 {
        return 0;
    }
    // 0 is of its own; the longest time there is comes to less than 2,300 buckets.
    ((delay_ms as f64).ln() / GROWTH.ln()).ceil() as u16 + 1
}

/// The time that a bucket stands for, in milliseconds.
fn value(bucket: u16) -> i64 {
    match bucket {
        0 => 0,
        bucket => (2.0 * GROWTH.powi(i32::from(bucket) - 1) / (GROWTH + 1.0)).round() as i64,
    }
}

/// Figures of buckets, in any order, with how many responses are in each.
pub(crate) fn figures(mut all: Vec<(u16, i32)>) -> ResponseFigures {
    all.sort_unstable_by_key(|&(bucket, _)| bucket);
    let count: i64 = all.iter().map(|&(_, times)| i64::from(times)).sum();
    // The nearest rank: the least time that so large a share of all does not exceed.
    let quantile = |percent: i64| {
        let rank = (count * percent + 99) / 100;
        let mut before = 0;
        let reached = all.iter().find(|&&(_, times)| {
            before += i64::from(times);
            before >= rank
        });
        reached.filter(|_| count > 0).map(|&(bucket, _)| value(bucket))
    };
    ResponseFigures { count, p50_ms: quantile(50), p90_ms: quantile(90) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;

    #[test]
    fn a_bucket_stands_for_its_times_to_within_a_hundredth() {
        let mut delay_ms = 0_i64;
        while delay_ms < 40 * 86_400_000 {
            let said = value(bucket(delay_ms));
            // Rounding to whole milliseconds comes on top.
            assert!((said - delay_ms).abs() as f64 <= 0.01 * delay_ms as f64 + 0.5, "{delay_ms}: {said}");
            delay_ms += 1 + delay_ms / 97;
        }
        assert!(bucket(i64::MAX) < u16::MAX);
        assert_eq!(value(bucket(-5)), 0);
    }

    #[test]
    fn quantiles_are_nearest_ranks() {
        let mut tally = Tally::default();
        for delay_ms in [10, 20, 30, 40, 50, 60, 70, 80, 90, 1_000] {
            tally.add(bucket(delay_ms), 1);
        }
        let ResponseFigures { count, p50_ms, p90_ms } = figures(tally.entries().to_vec());
        assert_eq!((count, p50_ms, p90_ms), (10, Some(50), Some(90)));
        tally.add(bucket(1_000), -1);
        tally.add(bucket(90), -1);
        let ResponseFigures { count, p50_ms, p90_ms } = figures(tally.entries().to_vec());
        assert_eq!((count, p50_ms, p90_ms), (8, Some(40), Some(80)));
        assert_eq!(figures(Vec::new()), ResponseFigures::default());
    }
}
