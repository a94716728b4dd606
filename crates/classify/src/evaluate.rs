//! How good a model is on labelled rows.

use std::sync::Arc;

use record::{Label, Language};
use serde::Serialize;

use crate::classifier::{Classifier, largest};
use crate::model::Model;
use crate::train::TrainingRow;

/// Figures of one label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelFigures {
    /// The label.
    pub label: Label,
    /// Rows that have it.
    pub rows: usize,
    /// Of those said to have it, the share that does.
    pub precision: f64,
    /// Of those that have it, the share that is said to.
    pub recall: f64,
    /// Harmonic mean of the two.
    pub f1: f64,
}

/// Figures of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The model's version.
    pub model: String,
    /// Rows judged.
    pub rows: usize,
    /// Mean of the labels' F1.
    pub macro_f1: f64,
    /// Share of rows whose label is right.
    pub accuracy: f64,
    /// By label.
    pub labels: Vec<LabelFigures>,
    /// Rows by their label (outer) and what was said (inner), in the order of [`Label::ALL`].
    pub confusion: [[usize; Label::ALL.len()]; Label::ALL.len()],
    /// Expected calibration error over 10 bins of equal width: the mean gap between confidence and accuracy.
    pub calibration_error: f64,
    /// Share of rows on which it does not abstain.
    pub coverage: f64,
    /// Share of those whose label is right.
    pub covered_accuracy: f64,
    /// Share of rows whose language is right.
    pub language_accuracy: f64,
    /// Rows and accuracy of labels by language, where there are rows.
    pub languages: Vec<(Language, usize, f64)>,
}

/// Judges a model on labelled rows.
pub fn evaluate(model: &Arc<Model>, rows: &[TrainingRow]) -> Evaluation {
    let mut classifier = Classifier::new(Arc::clone(model));
    let mut confusion = [[0; Label::ALL.len()]; Label::ALL.len()];
    let mut bins = [(0_usize, 0_usize, 0.0_f64); 10];
    let (mut covered, mut covered_right, mut language_right) = (0, 0, 0);
    let mut by_language = Language::ALL.map(|language| (language, 0_usize, 0_usize));
    for row in rows {
        let decision = classifier.classify(&row.text);
        let actual = largest(&row.target);
        let right = decision.label.index() == actual;
        confusion[actual][decision.label.index()] += 1;
        let bin = &mut bins[((decision.confidence * 10.0) as usize).min(9)];
        *bin = (bin.0 + 1, bin.1 + usize::from(right), bin.2 + f64::from(decision.confidence));
        covered += usize::from(!decision.abstained);
        covered_right += usize::from(!decision.abstained && right);
        language_right += usize::from(decision.language == row.language);
        let of_language = &mut by_language[row.language as usize];
        *of_language = (of_language.0, of_language.1 + 1, of_language.2 + usize::from(right));
    }
    let labels: Vec<LabelFigures> = Label::ALL.into_iter().map(|label| figures(label, &confusion)).collect();
    let right: usize = (0..Label::ALL.len()).map(|label| confusion[label][label]).sum();
    let gaps = bins.iter().map(|&(_, right, confidence)| (right as f64 - confidence).abs());
    Evaluation {
        model: model.version().to_owned(),
        rows: rows.len(),
        macro_f1: labels.iter().map(|figures| figures.f1).sum::<f64>() / labels.len() as f64,
        accuracy: share(right, rows.len()),
        labels,
        confusion,
        calibration_error: gaps.sum::<f64>() / rows.len().max(1) as f64,
        coverage: share(covered, rows.len()),
        covered_accuracy: share(covered_right, covered),
        language_accuracy: share(language_right, rows.len()),
        languages: by_language
            .into_iter()
            .filter(|&(_, rows, _)| rows > 0)
            .map(|(language, rows, right)| (language, rows, share(right, rows)))
            .collect(),
    }
}

fn figures(label: Label, confusion: &[[usize; Label::ALL.len()]; Label::ALL.len()]) -> LabelFigures {
    let at = label.index();
    let found = confusion[at][at];
    let rows: usize = confusion[at].iter().sum();
    let said: usize = confusion.iter().map(|row| row[at]).sum();
    LabelFigures {
        label,
        rows,
        precision: share(found, said),
        recall: share(found, rows),
        f1: share(2 * found, rows + said),
    }
}

fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
