//! How good a tier is on labelled rows: any function from a text to a verdict is judged by the same figures.

mod bootstrap;
mod calibration;
mod slices;

use record::{Label, Language};
use serde::Serialize;

use crate::classifier::Decision;
use crate::network::LABELS;
use crate::train::TrainingRow;

pub use bootstrap::Estimate;
pub use calibration::{Calibration, CoveragePoint, ReliabilityBin};
pub use slices::SliceFigures;

/// What a tier says of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Verdict {
    /// The label.
    pub label: Label,
    /// Probabilities in the order of [`Label::ALL`].
    pub probabilities: [f32; Label::ALL.len()],
    /// True if it would rather not say.
    pub abstained: bool,
    /// The language, if the tier tells one.
    pub language: Option<Language>,
}

impl Verdict {
    /// The probability of the label.
    pub fn confidence(&self) -> f32 {
        self.probabilities[self.label.index()]
    }
}

impl From<Decision> for Verdict {
    fn from(decision: Decision) -> Verdict {
        Verdict {
            label: decision.label,
            probabilities: decision.probabilities,
            abstained: decision.abstained,
            language: Some(decision.language),
        }
    }
}

/// A labelled row and what was said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// The right label.
    pub label: Label,
    /// The right language.
    pub language: Language,
    /// Where the text comes from.
    pub source: String,
    /// How much it counts; 1 for a plain row.
    pub weight: f64,
    /// What was said.
    pub verdict: Verdict,
}

/// Has every labelled row judged.
///
/// ```
/// use classify::{Classifier, Verdict, evaluate, judge};
/// let mut classifier = Classifier::embedded();
/// let judged = judge([], &mut |text| Verdict::from(classifier.classify(text)));
/// assert_eq!(evaluate("fast", "a model", &judged).rows, 0);
/// ```
pub fn judge<'a>(
    rows: impl IntoIterator<Item = &'a TrainingRow>,
    decide: &mut dyn FnMut(&str) -> Verdict,
) -> Vec<Judged> {
    let judged = rows.into_iter().filter_map(|row| {
        let label = row.label?;
        let verdict = decide(&row.text);
        Some(Judged { label, language: row.language, source: row.source.clone(), weight: 1.0, verdict })
    });
    judged.collect()
}

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

/// Figures of a tier. Shares count rows by their weight.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// The tier: `fast`, `deep` or `cascade`.
    pub tier: String,
    /// The model's version.
    pub model: String,
    /// Rows judged.
    pub rows: usize,
    /// Mean of the labels' F1.
    pub macro_f1: Estimate,
    /// Share of rows whose label is right.
    pub accuracy: Estimate,
    /// By label.
    pub labels: Vec<LabelFigures>,
    /// Share of all rows by their label (outer) and what was said (inner), in the order of [`Label::ALL`].
    pub confusion: [[f64; LABELS]; LABELS],
    /// How far confidence is to be believed.
    pub calibration: Calibration,
    /// Accuracy if only the surest rows were decided, for 5 % of the rows, 10 %, and so on.
    pub risk_coverage: Vec<CoveragePoint>,
    /// Share of rows on which it does not abstain.
    pub coverage: f64,
    /// Share of those whose label is right.
    pub covered_accuracy: f64,
    /// By label said: share of rows that are not abstained on, and the share of those that is right.
    pub covered_by_label: Vec<(Label, f64, f64)>,
    /// Share of rows whose language is right; none if the tier tells no language.
    pub language_accuracy: Option<f64>,
    /// Rows by their language and the one that was said.
    pub language_confusion: Vec<(Language, Language, usize)>,
    /// By language.
    pub languages: Vec<SliceFigures>,
    /// By source.
    pub sources: Vec<SliceFigures>,
}

/// Figures of what a tier of this name, with a model of this version, said.
pub fn evaluate(tier: &str, model: &str, judged: &[Judged]) -> Evaluation {
    let all = weight(judged, |_| true);
    let covered = weight(judged, |row| !row.verdict.abstained);
    let covered_right = weight(judged, |row| !row.verdict.abstained && is_right(row));
    let languages_told: Vec<&Judged> = judged.iter().filter(|row| row.verdict.language.is_some()).collect();
    let confusion = confusion(judged);
    Evaluation {
        tier: tier.to_owned(),
        model: model.to_owned(),
        rows: judged.len(),
        macro_f1: bootstrap::estimate(judged, macro_f1),
        accuracy: bootstrap::estimate(judged, accuracy),
        labels: label_figures(judged),
        confusion: confusion.map(|said| said.map(|weight| share(weight, all))),
        calibration: calibration::calibration(judged),
        risk_coverage: calibration::risk_coverage(judged),
        coverage: share(covered, all),
        covered_accuracy: share(covered_right, covered),
        covered_by_label: Label::ALL.map(|label| covered_of(judged, label)).to_vec(),
        language_accuracy: (!languages_told.is_empty()).then(|| {
            let right = languages_told.iter().filter(|row| row.verdict.language == Some(row.language)).count();
            share(right as f64, languages_told.len() as f64)
        }),
        language_confusion: language_confusion(&languages_told),
        languages: slices::by(judged, |row| row.language.as_str()),
        sources: slices::by(judged, |row| &row.source),
    }
}

fn covered_of(judged: &[Judged], label: Label) -> (Label, f64, f64) {
    let said = |row: &Judged| row.verdict.label == label;
    let covered = weight(judged, |row| said(row) && !row.verdict.abstained);
    let right = weight(judged, |row| said(row) && !row.verdict.abstained && is_right(row));
    (label, share(covered, weight(judged, said)), share(right, covered))
}

fn language_confusion(told: &[&Judged]) -> Vec<(Language, Language, usize)> {
    let mut counts = Vec::new();
    for actual in Language::ALL {
        for said in Language::ALL {
            let rows = told.iter().filter(|row| row.language == actual && row.verdict.language == Some(said)).count();
            if rows > 0 {
                counts.push((actual, said, rows));
            }
        }
    }
    counts
}

fn is_right(row: &Judged) -> bool {
    row.verdict.label == row.label
}

fn weight(judged: &[Judged], counts: impl Fn(&Judged) -> bool) -> f64 {
    judged.iter().filter(|row| counts(row)).map(|row| row.weight).sum()
}

/// Weights of rows by label and what was said.
type Confusion = [[f64; LABELS]; LABELS];

fn confusion(judged: &[Judged]) -> Confusion {
    let mut confusion = [[0.0; LABELS]; LABELS];
    for row in judged {
        confusion[row.label.index()][row.verdict.label.index()] += row.weight;
    }
    confusion
}

fn label_figures(judged: &[Judged]) -> Vec<LabelFigures> {
    let confusion = confusion(judged);
    let figures = |label: Label| {
        let at = label.index();
        let found = confusion[at][at];
        let said: f64 = confusion.iter().map(|row| row[at]).sum();
        LabelFigures {
            label,
            rows: judged.iter().filter(|row| row.label == label).count(),
            precision: share(found, said),
            recall: share(found, confusion[at].iter().sum()),
            f1: f1(&confusion, at),
        }
    };
    Label::ALL.into_iter().map(figures).collect()
}

fn f1(confusion: &Confusion, label: usize) -> f64 {
    let actual: f64 = confusion[label].iter().sum();
    let said: f64 = confusion.iter().map(|row| row[label]).sum();
    share(2.0 * confusion[label][label], actual + said)
}

/// The mean F1 of the labels that occur.
fn macro_f1(confusion: &Confusion) -> f64 {
    let occur: Vec<usize> = (0..LABELS).filter(|&label| confusion[label].iter().sum::<f64>() > 0.0).collect();
    share(occur.iter().map(|&label| f1(confusion, label)).sum(), occur.len() as f64)
}

fn accuracy(confusion: &Confusion) -> f64 {
    let right: f64 = (0..LABELS).map(|label| confusion[label][label]).sum();
    share(right, confusion.iter().flatten().sum())
}

fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}
