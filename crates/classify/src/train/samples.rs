//! Rows as the trainer sees them.

use crate::features::{Buckets, words};
use crate::network::{LABELS, LANGUAGES};
use crate::normalise::Normal;
use crate::train::TrainingRow;

/// A text's features and what is to be learnt from it.
pub(crate) struct Sample {
    /// The buckets of all words.
    pub(crate) buckets: Vec<u32>,
    /// Where in `buckets` each word's end.
    pub(crate) ends: Vec<usize>,
    pub(crate) target: [f32; LABELS],
    pub(crate) weight: f32,
    /// The language's place and how much it counts.
    pub(crate) language: Option<(usize, f32)>,
    /// The fold in which it is held out.
    pub(crate) fold: Option<usize>,
}

/// How much the language counts beside the label.
const LANGUAGE_WEIGHT: f32 = 0.3;

/// Rows and their folds as samples.
pub(crate) fn samples(rows: &[TrainingRow], folds: &[Option<usize>]) -> Vec<Sample> {
    let weights = language_weights(rows);
    let mut found = Vec::new();
    let mut buckets = Buckets::default();
    let sample = |(row, &fold): (&TrainingRow, &Option<usize>)| {
        let normal = Normal::of(&row.text);
        words(&normal, &mut found);
        let (mut all, mut ends) = (Vec::new(), Vec::with_capacity(found.len()));
        for at in 0..found.len() {
            buckets.fill(&normal, &found, at);
            all.extend_from_slice(buckets.as_slice());
            ends.push(all.len());
        }
        all.shrink_to_fit();
        let language = LANGUAGES.iter().position(|&language| language == row.language);
        let language = language.map(|language| (language, weights[language] * LANGUAGE_WEIGHT));
        Sample { buckets: all, ends, target: row.target, weight: row.weight, language, fold }
    };
    rows.iter().zip(folds).map(sample).collect()
}

/// Rare languages weigh more, by the square root of how rare they are.
fn language_weights(rows: &[TrainingRow]) -> [f32; LANGUAGES.len()] {
    let counts = LANGUAGES.map(|language| rows.iter().filter(|row| row.language == language).count().max(1) as f32);
    let most = counts.iter().copied().fold(1.0, f32::max);
    counts.map(|count| (most / count).sqrt())
}
