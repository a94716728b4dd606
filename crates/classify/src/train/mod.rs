//! Training of the fast tier: what is learnt from, how, and what the held-out folds said.
//!
//! Deterministic: the same rows, options and seed give the same bytes.

mod calibrate;
mod fit;
mod groups;
mod random;
mod samples;

use std::sync::Arc;

use record::{Label, Language};

use crate::classifier::Classifier;
use crate::evaluate::{Evaluation, Verdict, evaluate, judge};
use crate::model::Model;
use crate::network::LABELS;
pub(crate) use crate::train::random::SplitMix;
use crate::train::samples::Sample;
use crate::worth::LABEL_SHARES;

/// One text to learn from.
#[derive(Debug, Clone)]
pub struct TrainingRow {
    /// Its id; the rows' order is by it, so that the file's order does not matter.
    pub id: String,
    /// Its language; undetermined teaches no language.
    pub language: Language,
    /// Where it comes from.
    pub source: String,
    /// The label that a person or a careful reading gave, if any; only rows with one are held out and judged.
    pub label: Option<Label>,
    /// What is learnt, as probabilities of the labels: one for a plain label, several for a soft one.
    pub target: [f32; LABELS],
    /// How much it counts; 1 for a plain row.
    pub weight: f32,
    /// Rows of one group (translations of one text) are held out together, near-duplicates found here besides. Without one,
    /// a row of a source of translations (`nusax-*`) is never held out.
    pub group: Option<String>,
    /// The text.
    pub text: String,
}

/// How to train.
#[derive(Debug, Clone, PartialEq)]
pub struct TrainOptions {
    /// Seed of the first weights, of the order in which rows are seen and of what is left out.
    pub seed: u64,
    /// How often every row is seen.
    pub epochs: usize,
    /// Step size of the rows.
    pub rate: f32,
    /// Step size of the network.
    pub network_rate: f32,
    /// Share of a text's features that is left out each time it is seen.
    pub left_out: f32,
    /// Parts into which the labelled groups are divided; each is held out once.
    pub folds: usize,
    /// The labels' shares in the world, in the order of [`Label::ALL`]: held-out rows are weighted to them.
    pub shares: [f64; LABELS],
    /// By label, the least threshold: what is likelier wrong than right is better not said (Chow, *On Optimum Recognition Error
    /// and Reject Tradeoff*, 1970).
    pub threshold_min: [f32; LABELS],
    /// By label, the held-out accuracy that what is said shall have; where the least threshold does not give it, a higher one
    /// does.
    pub accuracy_min: [f64; LABELS],
}

impl Default for TrainOptions {
    fn default() -> TrainOptions {
        TrainOptions {
            seed: 1,
            epochs: 10,
            rate: 0.2,
            network_rate: 0.02,
            left_out: 0.4,
            folds: 5,
            shares: LABEL_SHARES,
            // A complaint that nobody sees costs more than one that is none.
            threshold_min: [0.4, 0.5, 0.5, 0.5, 0.5],
            accuracy_min: [0.8, 0.65, 0.65, 0.8, 0.8],
        }
    }
}

/// What the held-out folds said.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// The temperature that fits best there.
    pub temperature: f32,
    /// The thresholds chosen there, in the order of [`Label::ALL`].
    pub thresholds: [f32; LABELS],
    /// How good models are there that did not see them, weighted to the labels' shares.
    pub evaluation: Evaluation,
}

/// Trains on folds, each without what is judged, to choose temperature and thresholds; then on all rows.
///
/// Rows that are nearly the same as a text of `keep_out` are not learnt from: figures are taken there.
pub fn train(
    rows: Vec<TrainingRow>,
    keep_out: &[String],
    options: &TrainOptions,
    progress: &mut dyn FnMut(&str),
) -> (Model, Selection) {
    let (rows, samples) = prepare(rows, keep_out, options, progress);
    let (temperature, thresholds, selection) = select(&rows, &samples, options, progress);
    let all: Vec<&Sample> = samples.iter().collect();
    let model = fit::fit(&all, options, &mut |step| progress(&format!("all rows, {step}")));
    (model.with_calibration(temperature, thresholds), selection)
}

/// Trains on the folds alone: what [`train`] would find, without a model.
pub fn cross_validate(
    rows: Vec<TrainingRow>,
    keep_out: &[String],
    options: &TrainOptions,
    progress: &mut dyn FnMut(&str),
) -> Selection {
    let (rows, samples) = prepare(rows, keep_out, options, progress);
    select(&rows, &samples, options, progress).2
}

fn prepare(
    mut rows: Vec<TrainingRow>,
    keep_out: &[String],
    options: &TrainOptions,
    progress: &mut dyn FnMut(&str),
) -> (Vec<TrainingRow>, Vec<Sample>) {
    rows.sort_by(|one, two| one.id.cmp(&two.id));
    progress("looking for near-duplicates");
    let places = groups::places(&rows, keep_out, options.folds);
    let before = rows.len();
    let mut kept = Vec::with_capacity(before);
    let mut folds = Vec::with_capacity(before);
    for (row, place) in rows.into_iter().zip(places) {
        match place {
            groups::Place::KeptOut => {}
            groups::Place::Fold(fold) => {
                kept.push(row);
                folds.push(Some(fold));
            }
            groups::Place::Training => {
                kept.push(row);
                folds.push(None);
            }
        }
    }
    progress(&format!("{} rows, {} more are near-duplicates of what is kept out", kept.len(), before - kept.len()));
    let samples = samples::samples(&kept, &folds);
    (kept, samples)
}

fn select(
    rows: &[TrainingRow],
    samples: &[Sample],
    options: &TrainOptions,
    progress: &mut dyn FnMut(&str),
) -> (f32, [f32; LABELS], Selection) {
    let mut judged = Vec::new();
    for fold in 0..options.folds {
        let kept: Vec<&Sample> = samples.iter().filter(|sample| sample.fold != Some(fold)).collect();
        let model = fit::fit(&kept, options, &mut |step| progress(&format!("without fold {}, {step}", fold + 1)));
        let mut classifier = Classifier::new(Arc::new(model));
        let held_out = rows.iter().zip(samples).filter(|(_, sample)| sample.fold == Some(fold)).map(|(row, _)| row);
        judged.extend(judge(held_out, &mut |text| Verdict::from(classifier.classify(text))));
    }
    calibrate::weigh(&mut judged, &options.shares);
    let temperature = calibrate::fit_temperature(&judged);
    calibrate::apply_temperature(&mut judged, temperature);
    let thresholds = calibrate::fit_thresholds(&judged, options);
    calibrate::apply_thresholds(&mut judged, &thresholds);
    let evaluation = evaluate("fast", "models of the folds", &judged);
    (temperature, thresholds, Selection { temperature, thresholds, evaluation })
}
