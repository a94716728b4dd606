//! How far a figure would move with other rows: the percentile bootstrap (Efron, 1979).

use serde::Serialize;

use crate::evaluate::{Confusion, Judged, confusion};
use crate::network::LABELS;
use crate::train::SplitMix;

/// A figure and the interval in which 95 % of resampled rows put it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// The 2.5th percentile of the resamples.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

const RESAMPLES: usize = 1_000;

/// The figure with its interval: the same for the same rows.
pub(crate) fn estimate(judged: &[Judged], figure: fn(&Confusion) -> f64) -> Estimate {
    let value = figure(&confusion(judged));
    if judged.is_empty() {
        return Estimate { value, low: value, high: value };
    }
    let mut random = SplitMix(1);
    let rows: Vec<(usize, usize, f64)> =
        judged.iter().map(|row| (row.label.index(), row.verdict.label.index(), row.weight)).collect();
    let resample = |_| {
        let mut confusion = [[0.0; LABELS]; LABELS];
        for _ in 0..rows.len() {
            let (label, said, weight) = rows[random.below(rows.len())];
            confusion[label][said] += weight;
        }
        figure(&confusion)
    };
    let mut figures: Vec<f64> = (0..RESAMPLES).map(resample).collect();
    figures.sort_by(f64::total_cmp);
    Estimate { value, low: figures[RESAMPLES * 25 / 1_000], high: figures[RESAMPLES * 975 / 1_000] }
}
