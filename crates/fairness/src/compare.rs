//! Two groups beside each other, stratum by stratum.

use serde::Serialize;
use statrs::distribution::{ChiSquared, ContinuousCDF, Normal};

use crate::Wait;

/// A log-rank test of a group beside its reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LogRank {
    /// How many of the group were answered.
    pub observed: f64,
    /// How many would have been, had both groups been answered alike.
    pub expected: f64,
    /// (observed − expected)² over its variance; by chance alone its distribution is chi-square with one degree of freedom.
    pub chi_square: f64,
    /// How likely so much or more is by chance alone, 0 to 1.
    pub p: f64,
}

/// At what multiple of the reference's rate those of the group who still wait are answered.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct HazardRatio {
    /// Its logarithm: 0 where both are answered alike, above 0 where the group is answered sooner.
    pub log: f64,
    /// The standard error of the logarithm.
    pub standard_error: f64,
}

impl HazardRatio {
    /// The ratio.
    pub fn ratio(&self) -> f64 {
        self.log.exp()
    }

    /// Its confidence interval, `[low, high]` (Wald, on the scale of the logarithm). `confidence` is between 0 and 1.
    pub fn interval(&self, confidence: f64) -> (f64, f64) {
        let spread = z_of(confidence) * self.standard_error;
        ((self.log - spread).exp(), (self.log + spread).exp())
    }
}

/// The log-rank test of Mantel (1966), stratified: what is observed and expected is summed over strata, as Mantel and Haenszel
/// (1959) do for tables. `None` if it tells nothing: at no time did somebody of both groups wait while one was answered.
pub fn log_rank(waits: &[Wait], group: usize, reference: usize) -> Option<LogRank> {
    let (mut observed, mut expected, mut variance) = (0.0, 0.0, 0.0);
    for set in risk_sets(waits, group, reference) {
        let at_risk = set.at_risk + set.at_risk_reference;
        let share = set.at_risk / at_risk;
        observed += set.ended_group;
        expected += set.ended * share;
        if at_risk > 1.0 {
            // Of a hypergeometric distribution: so many answered, drawn from those who waited.
            variance += set.ended * share * (1.0 - share) * (at_risk - set.ended) / (at_risk - 1.0);
        }
    }
    if variance <= 0.0 {
        return None;
    }
    let chi_square = (observed - expected).powi(2) / variance;
    let p = ChiSquared::new(1.0).ok()?.sf(chi_square);
    Some(LogRank { observed, expected, chi_square, p })
}

/// The hazard ratio by the partial likelihood of Cox (1972), each stratum with a base rate of its own, ties as Breslow (1974) has
/// them. `None` where there is none: in one of the groups nobody was answered while both waited, or all of one before the other.
pub fn hazard_ratio(waits: &[Wait], group: usize, reference: usize) -> Option<HazardRatio> {
    const STEPS_MAX: usize = 50;
    const LOG_MAX: f64 = 12.0;
    let sets = risk_sets(waits, group, reference);
    let mut log = 0.0_f64;
    for _ in 0..STEPS_MAX {
        let (mut score, mut information) = (0.0, 0.0);
        for set in &sets {
            let weight = set.at_risk * log.exp();
            let share = weight / (weight + set.at_risk_reference);
            score += set.ended_group - set.ended * share;
            information += set.ended * share * (1.0 - share);
        }
        if information <= 0.0 {
            return None;
        }
        let step = (score / information).clamp(-1.0, 1.0);
        log += step;
        if log.abs() > LOG_MAX {
            return None;
        }
        if step.abs() < 1e-9 {
            return Some(HazardRatio { log, standard_error: information.sqrt().recip() });
        }
    }
    None
}

/// How many standard errors an interval of this confidence reaches to either side.
pub(crate) fn z_of(confidence: f64) -> f64 {
    Normal::standard().inverse_cdf(0.5 + confidence.clamp(0.0, 1.0) / 2.0)
}

/// The moment of one or more answers in one stratum.
struct RiskSet {
    /// Of the group: who waited until then.
    at_risk: f64,
    /// Of the reference: who waited until then.
    at_risk_reference: f64,
    /// Who was answered then.
    ended: f64,
    /// Of those, who is of the group.
    ended_group: f64,
}

fn risk_sets(waits: &[Wait], group: usize, reference: usize) -> Vec<RiskSet> {
    let mut sorted: Vec<Wait> =
        waits.iter().filter(|wait| wait.group == group || wait.group == reference).copied().collect();
    // Within a stratum those who waited longest come first: who is at risk is who has been passed.
    sorted.sort_unstable_by_key(|wait| (wait.stratum, std::cmp::Reverse(wait.duration_ms.max(0))));
    let mut sets = Vec::new();
    for stratum in sorted.chunk_by(|one, two| one.stratum == two.stratum) {
        let (mut at_risk, mut at_risk_reference) = (0.0, 0.0);
        for moment in stratum.chunk_by(|one, two| one.duration_ms.max(0) == two.duration_ms.max(0)) {
            let of_group = moment.iter().filter(|wait| wait.group == group).count() as f64;
            at_risk += of_group;
            at_risk_reference += moment.len() as f64 - of_group;
            let ended = moment.iter().filter(|wait| wait.ended).count() as f64;
            let ended_group = moment.iter().filter(|wait| wait.ended && wait.group == group).count() as f64;
            if ended > 0.0 {
                sets.push(RiskSet { at_risk, at_risk_reference, ended, ended_group });
            }
        }
    }
    sets
}

/// Weeks of remission of 42 children with acute leukaemia, true where it ended: Freireich et al., Blood 21 (1963), 699–716.
#[cfg(test)]
pub(crate) mod freireich {
    use crate::Wait;

    pub(crate) const SIX_MP: &[(i64, bool)] = &[
        (6, true),
        (6, true),
        (6, true),
        (6, false),
        (7, true),
        (9, false),
        (10, true),
        (10, false),
        (11, false),
        (13, true),
        (16, true),
        (17, false),
        (19, false),
        (20, false),
        (22, true),
        (23, true),
        (25, false),
        (32, false),
        (32, false),
        (34, false),
        (35, false),
    ];
    pub(crate) const PLACEBO: &[(i64, bool)] = &[
        (1, true),
        (1, true),
        (2, true),
        (2, true),
        (3, true),
        (4, true),
        (4, true),
        (5, true),
        (5, true),
        (8, true),
        (8, true),
        (8, true),
        (8, true),
        (11, true),
        (11, true),
        (12, true),
        (12, true),
        (15, true),
        (17, true),
        (22, true),
        (23, true),
    ];

    pub(crate) fn waits(weeks: &[(i64, bool)], group: usize) -> Vec<Wait> {
        weeks.iter().map(|&(duration_ms, ended)| Wait { duration_ms, ended, group, stratum: 0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::freireich::{PLACEBO, SIX_MP, waits};
    use super::*;

    fn trial() -> Vec<Wait> {
        [waits(SIX_MP, 0), waits(PLACEBO, 1)].concat()
    }

    fn is_about(found: f64, published: f64, within: f64) {
        assert!((found - published).abs() <= within, "{found}, published {published}");
    }

    #[test]
    fn a_published_trial_comes_out_as_published() {
        // Kleinbaum and Klein, Survival Analysis, chapter 2: chi-square 16.79 and 9 observed where 19.25 are expected; chapter 3:
        // Cox, ties by Breslow, coefficient 1.509, standard error 0.410.
        let test = log_rank(&trial(), 0, 1).unwrap();
        is_about(test.chi_square, 16.79, 0.005);
        is_about(test.observed, 9.0, 0.0);
        is_about(test.expected, 19.25, 0.005);
        is_about(test.p, 4.17e-5, 1e-7);
        let ratio = hazard_ratio(&trial(), 1, 0).unwrap();
        is_about(ratio.log, 1.509, 0.0005);
        is_about(ratio.standard_error, 0.410, 0.0005);
        let (low, high) = ratio.interval(0.95);
        is_about(ratio.ratio(), 4.523, 0.001);
        is_about(low, 2.027, 0.001);
        is_about(high, 10.094, 0.01);
    }

    #[test]
    fn the_other_way_round_it_is_the_same() {
        let (one, two) = (log_rank(&trial(), 0, 1).unwrap(), log_rank(&trial(), 1, 0).unwrap());
        is_about(one.chi_square, two.chi_square, 1e-9);
        is_about(hazard_ratio(&trial(), 0, 1).unwrap().log, -hazard_ratio(&trial(), 1, 0).unwrap().log, 1e-9);
    }

    #[test]
    fn a_stratum_twice_counts_twice_and_strata_do_not_mix() {
        let mut twice = trial();
        twice.extend(trial().into_iter().map(|wait| Wait { stratum: 1, duration_ms: wait.duration_ms * 100, ..wait }));
        let (once, both) = (log_rank(&trial(), 0, 1).unwrap(), log_rank(&twice, 0, 1).unwrap());
        is_about(both.chi_square, 2.0 * once.chi_square, 1e-9);
        is_about(hazard_ratio(&twice, 1, 0).unwrap().log, hazard_ratio(&trial(), 1, 0).unwrap().log, 1e-6);
    }

    #[test]
    fn where_nothing_can_be_compared_there_is_no_figure() {
        let wait = |duration_ms, ended, group, stratum| Wait { duration_ms, ended, group, stratum };
        for waits in [
            vec![],
            vec![wait(1, false, 0, 0), wait(2, false, 1, 0)],
            vec![wait(1, true, 0, 0), wait(2, true, 1, 1)],
            vec![wait(1, true, 0, 0), wait(2, true, 0, 0)],
        ] {
            assert_eq!((log_rank(&waits, 0, 1), hazard_ratio(&waits, 0, 1)), (None, None), "{waits:?}");
        }
        // All of one group before all of the other: the ratio has no upper bound.
        let apart: Vec<Wait> = (0..20).map(|at| wait(at, true, usize::from(at >= 10), 0)).collect();
        assert!(log_rank(&apart, 0, 1).unwrap().p < 0.001);
        assert_eq!(hazard_ratio(&apart, 0, 1), None);
    }
}
