//! Temperature and thresholds, chosen on rows that the models did not see.

use record::Label;

use crate::evaluate::Judged;
use crate::network::{LABELS, largest, softmax};
use crate::train::TrainOptions;

/// Weighs rows so that their labels have these shares; the mean weight is 1.
pub(crate) fn weigh(judged: &mut [Judged], shares: &[f64; LABELS]) {
    let mut counts = [0.0; LABELS];
    for row in judged.iter() {
        counts[row.label.index()] += 1.0;
    }
    let all = judged.len() as f64;
    for row in judged.iter_mut() {
        let label = row.label.index();
        row.weight = shares[label] * all / counts[label];
    }
}

/// Scores as far as probabilities tell them.
fn scores(probabilities: &[f32; LABELS]) -> [f32; LABELS] {
    probabilities.map(|probability| probability.max(1e-12).ln())
}

fn at_temperature(probabilities: &[f32; LABELS], temperature: f32) -> [f32; LABELS] {
    softmax(&scores(probabilities).map(|score| score / temperature))
}

/// The temperature with the least negative log-likelihood, to two digits.
pub(crate) fn fit_temperature(judged: &[Judged]) -> f32 {
    let loss = |temperature: f32| -> f64 {
        let losses = judged.iter().map(|row| {
            let probability = at_temperature(&row.verdict.probabilities, temperature)[row.label.index()];
            -f64::from(probability.max(1e-9).ln()) * row.weight
        });
        losses.sum()
    };
    let candidates = (25..=400).step_by(5).map(|hundredths| hundredths as f32 / 100.0);
    candidates.min_by(|one, two| loss(*one).total_cmp(&loss(*two))).unwrap_or(1.0)
}

/// Rows as they are judged at this temperature.
pub(crate) fn apply_temperature(judged: &mut [Judged], temperature: f32) {
    for row in judged {
        row.verdict.probabilities = at_temperature(&row.verdict.probabilities, temperature);
        row.verdict.label = Label::ALL[largest(&row.verdict.probabilities)];
    }
}

/// Above this confidence a label is never refused, however often it is wrong.
const THRESHOLD_MAX: f32 = 0.7;

/// By label, the least threshold that is allowed and at which the accuracy of what is left with that label reaches the aim.
pub(crate) fn fit_thresholds(judged: &[Judged], options: &TrainOptions) -> [f32; LABELS] {
    let mut thresholds = [THRESHOLD_MAX; LABELS];
    for (label, threshold) in thresholds.iter_mut().enumerate() {
        let said = judged.iter().filter(|row| row.verdict.label.index() == label);
        let said: Vec<(f32, f64, bool)> =
            said.map(|row| (row.verdict.confidence(), row.weight, row.label.index() == label)).collect();
        let candidates = (0..=100).map(|hundredths| hundredths as f32 / 100.0);
        let allowed = candidates.filter(|&at| at >= options.threshold_min[label] && at <= THRESHOLD_MAX);
        for candidate in allowed {
            let left = said.iter().filter(|(confidence, ..)| *confidence >= candidate);
            let (all, right) = left.fold((0.0, 0.0), |(all, right), (_, weight, is_right)| {
                (all + weight, right + if *is_right { *weight } else { 0.0 })
            });
            if right >= options.accuracy_min[label] * all {
                *threshold = candidate;
                break;
            }
        }
    }
    thresholds
}

/// Rows as they are judged with these thresholds.
pub(crate) fn apply_thresholds(judged: &mut [Judged], thresholds: &[f32; LABELS]) {
    for row in judged {
        row.verdict.abstained |= row.verdict.confidence() < thresholds[row.verdict.label.index()];
    }
}
