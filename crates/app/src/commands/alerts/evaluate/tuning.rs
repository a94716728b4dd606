//! The thresholds of what the rules are judged beside, by months that are judged in no evaluation.

use std::ops::Range;

use rules::alerts::AlertRules;
use sim::scenario::{CommunityMonth, Minute};

use super::detectors::{Kind, Pager, STRETCH_MS, Statistic, stretches};
use super::replay::{Outcome, Tuned, for_each, outcome, pages_of_rules};

/// What tuning came to.
#[derive(Debug)]
pub(super) struct Tuning {
    pub(super) months: usize,
    /// False pages of the rules.
    pub(super) false_pages: usize,
    /// To how many the others are tuned: as many as are aimed at, or as the rules have if those are more.
    pub(super) allowed: usize,
    /// Fixed threshold, z-score, ideal.
    pub(super) tuned: [Tuned; 3],
}

/// A month of which only is kept what a threshold needs.
struct Traced {
    month: CommunityMonth,
    ours: Outcome,
    /// By candidate.
    stretches: Vec<Vec<f32>>,
}

/// The aim: false pages a community-month. Of a few hundred months the rules may have none at all, and to be tuned to that would be
/// no fair game for the others.
const AIM: f64 = 0.02;

/// Tunes each to as many false pages as are allowed, or fewer, and chooses of each sort the one that then finds the most.
pub(super) fn tune(seeds: Range<u64>, rules: &AlertRules) -> Tuning {
    let sorts = Kind::candidates();
    let kinds: Vec<Kind> = sorts.iter().flatten().copied().collect();
    let traced = for_each(seeds, |seed| {
        let month = CommunityMonth::new(seed);
        let minutes: Vec<Minute> = month.minutes().collect();
        let ours = outcome(&month, &pages_of_rules(&month, &minutes, rules));
        let trace = |&kind: &Kind| stretches(&mut Statistic::new(kind, &month), &month, &minutes);
        let stretches = kinds.iter().map(trace).collect();
        Traced { month, ours, stretches }
    });
    let false_pages = traced.iter().map(|traced| traced.ours.false_pages.len()).sum();
    let allowed = usize::max(false_pages, (AIM * traced.len() as f64) as usize);
    let mut first = 0;
    let tuned = sorts.map(|sort| {
        let places = first..first + sort.len();
        first = places.end;
        let all = places.zip(&sort).map(|(place, &kind)| {
            let threshold = threshold(&traced, place, allowed);
            let found = count(&traced, place, threshold).0;
            (found, Tuned { kind, threshold })
        });
        // Of equals the first.
        let best = all.reduce(|best, next| if next.0 > best.0 { next } else { best });
        best.map_or(Tuned { kind: sort[0], threshold: f64::INFINITY }, |(_, tuned)| tuned)
    });
    Tuning { months: traced.len(), false_pages, allowed, tuned }
}

/// The least threshold with no more false pages than this, by bisection.
fn threshold(traced: &[Traced], place: usize, false_pages: usize) -> f64 {
    let values = traced.iter().flat_map(|traced| traced.stretches[place].iter().copied());
    let (mut low, mut high) = (0.0, f64::from(values.fold(0.0, f32::max)) + 1.0);
    for _ in 0..30 {
        let middle = (low + high) / 2.0;
        if count(traced, place, middle).1 > false_pages {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// Crises that are found, and false pages.
fn count(traced: &[Traced], place: usize, threshold: f64) -> (usize, usize) {
    let mut sum = (0, 0);
    for Traced { month, stretches, .. } in traced {
        let mut pager = Pager::new(threshold);
        let at = |stretch: usize| month.scored_from() + (stretch as i64 + 1) * STRETCH_MS - 1;
        let pages = stretches[place].iter().enumerate().map(|(stretch, &value)| (at(stretch), f64::from(value)));
        let pages: Vec<i64> = pages.filter(|&(at, value)| pager.pages(at, value)).map(|(at, _)| at).collect();
        let outcome = outcome(month, &pages);
        sum.0 += usize::from(outcome.delay_ms.is_some());
        sum.1 += outcome.false_pages.len();
    }
    sum
}
