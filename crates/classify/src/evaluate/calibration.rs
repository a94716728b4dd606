//! How far confidence is to be believed, and what abstaining buys.

use serde::Serialize;

use crate::evaluate::{Judged, is_right, share, weight};

/// How far confidence is to be believed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Calibration {
    /// Expected calibration error: the mean gap between confidence and accuracy over the bins.
    pub error: f64,
    /// Reliability by confidence, in bins of equal width; those without rows are left out.
    pub bins: Vec<ReliabilityBin>,
}

/// Rows whose confidence is in `[from, to)`; 1 is in the last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// The least confidence.
    pub from: f64,
    /// The confidence at which the next bin begins.
    pub to: f64,
    /// How many rows.
    pub rows: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// The share that is right.
    pub accuracy: f64,
}

/// What is had if only the surest rows are decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CoveragePoint {
    /// Share of rows that are decided.
    pub coverage: f64,
    /// The least confidence among them.
    pub confidence: f64,
    /// The share of them that is right.
    pub accuracy: f64,
}

const BINS: usize = 15;
const COVERAGE_POINTS: usize = 20;

pub(crate) fn calibration(judged: &[Judged]) -> Calibration {
    let mut binned: Vec<Vec<&Judged>> = vec![Vec::new(); BINS];
    for row in judged {
        binned[((row.verdict.confidence() * BINS as f32) as usize).min(BINS - 1)].push(row);
    }
    let all = weight(judged, |_| true);
    let mut error = 0.0;
    let mut bins = Vec::new();
    for (at, rows) in binned.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()) {
        let weight: f64 = rows.iter().map(|row| row.weight).sum();
        let right: f64 = rows.iter().filter(|row| is_right(row)).map(|row| row.weight).sum();
        let confidence: f64 = rows.iter().map(|row| f64::from(row.verdict.confidence()) * row.weight).sum();
        error += share((right - confidence).abs(), all);
        bins.push(ReliabilityBin {
            from: at as f64 / BINS as f64,
            to: (at + 1) as f64 / BINS as f64,
            rows: rows.len(),
            confidence: share(confidence, weight),
            accuracy: share(right, weight),
        });
    }
    Calibration { error, bins }
}

pub(crate) fn risk_coverage(judged: &[Judged]) -> Vec<CoveragePoint> {
    let mut rows: Vec<&Judged> = judged.iter().collect();
    rows.sort_by(|one, two| two.verdict.confidence().total_cmp(&one.verdict.confidence()));
    let all = weight(judged, |_| true);
    let (mut covered, mut right) = (0.0, 0.0);
    let mut points = Vec::new();
    for row in rows {
        covered += row.weight;
        right += if is_right(row) { row.weight } else { 0.0 };
        // Weights add up to the whole with a rounding error only.
        if covered / all + 1e-9 >= (points.len() + 1) as f64 / COVERAGE_POINTS as f64 {
            points.push(CoveragePoint {
                coverage: covered / all,
                confidence: f64::from(row.verdict.confidence()),
                accuracy: right / covered,
            });
        }
    }
    points
}
