//! Which emitted records stand for all when it is told how long they took.

use record::EpochMs;
use record::stage::LatencySample;

/// Of so many emitted records one is a sample: enough for quantiles, and too few to be felt on the hot path.
pub const RECORDS_PER_SAMPLE: u32 = 16;
/// Most samples between two commits.
const SAMPLES_MAX: usize = 1_024;

/// Samples of what was emitted since the last commit, evenly spread over it however much that was: at the bound every other
/// one goes, and each that stays stands for two. A commit after an outage, which is large and late, weighs what it holds.
#[derive(Debug)]
pub(super) struct Samples {
    since: Vec<EpochMs>,
    /// Of so many records one is a sample at present.
    stride: u32,
    /// Records until the next one.
    left: u32,
}

impl Default for Samples {
    fn default() -> Samples {
        Samples { since: Vec::with_capacity(SAMPLES_MAX), stride: RECORDS_PER_SAMPLE, left: RECORDS_PER_SAMPLE }
    }
}

impl Samples {
    /// A record that came in at this Kafka time was emitted.
    pub(super) fn emitted(&mut self, since: EpochMs) {
        self.left -= 1;
        if self.left > 0 {
            return;
        }
        if self.since.len() == SAMPLES_MAX {
            let mut place = 0;
            self.since.retain(|_| {
                place += 1;
                place % 2 == 0
            });
            // This one lies between two of the new stride.
            self.left = self.stride;
            self.stride = self.stride.saturating_mul(2);
            return;
        }
        self.since.push(since);
        self.left = self.stride;
    }

    /// Shows them and begins anew: the next commit's are as dense as ever.
    pub(super) fn take(&mut self, see: &mut dyn FnMut(LatencySample)) {
        let weight = self.stride / RECORDS_PER_SAMPLE;
        self.since.drain(..).for_each(|since| see(LatencySample { since, weight }));
        self.stride = RECORDS_PER_SAMPLE;
        // Where few records come, one in so many is a sample over many commits.
        self.left = self.left.min(RECORDS_PER_SAMPLE);
    }

    /// What was emitted is given up.
    pub(super) fn clear(&mut self) {
        self.take(&mut |_| {});
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(samples: &mut Samples) -> Vec<LatencySample> {
        let mut taken = Vec::new();
        samples.take(&mut |sample| taken.push(sample));
        taken
    }

    #[test]
    fn one_in_so_many_over_many_commits() {
        let mut samples = Samples::default();
        let mut all = Vec::new();
        for since in 1..=100 {
            samples.emitted(since);
            all.extend(taken(&mut samples));
        }
        let expected = (1..=6).map(|nth| LatencySample { since: nth * 16, weight: 1 });
        assert_eq!(all, expected.collect::<Vec<_>>());
        samples.emitted(1);
        samples.clear();
        assert_eq!(taken(&mut samples), []);
    }

    #[test]
    fn a_commit_of_any_size_is_spread_evenly_and_weighs_what_it_holds() {
        let mut samples = Samples::default();
        let capacity = samples.since.capacity();
        let records = 1_000_000;
        (1..=records).for_each(|since| samples.emitted(since));
        assert_eq!(samples.since.capacity(), capacity, "nothing is allocated");
        let taken = taken(&mut samples);
        let weight: u32 = taken.iter().map(|sample| sample.weight).sum();
        let stride = i64::from(taken[0].weight * RECORDS_PER_SAMPLE);
        assert!((512..=1_024).contains(&taken.len()), "{}", taken.len());
        assert!((i64::from(weight * RECORDS_PER_SAMPLE) - records).abs() <= stride, "{weight}");
        for (place, sample) in taken.iter().enumerate() {
            assert_eq!(sample.since, (place as i64 + 1) * stride);
        }
        (0..16).for_each(|_| samples.emitted(7));
        let mut next = Vec::new();
        samples.take(&mut |sample| next.push(sample));
        assert_eq!(next, [LatencySample { since: 7, weight: 1 }], "the next commit is as dense as ever");
    }
}
