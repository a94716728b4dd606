//! A text's decision.

use std::collections::HashMap;
use std::sync::Arc;

use record::{Label, Language, Tier};

use crate::features::{classified_part, features, normalise};
use crate::fingerprint::fingerprint_of_normal;
use crate::model::{HEADS, LANGUAGES, Model, ROW};

/// What the classifier says of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The likeliest label.
    pub label: Label,
    /// Calibrated probabilities in the order of [`Label::ALL`]; they add up to 1.
    pub probabilities: [f32; Label::ALL.len()],
    /// The probability of `label`.
    pub confidence: f32,
    /// True when the confidence is below the threshold.
    pub abstained: bool,
    /// The likeliest language; undetermined for a text without letters.
    pub language: Language,
    /// The text's fingerprint, as [`crate::fingerprint()`] gives it; here it costs no second normalisation.
    pub fingerprint: Option<u64>,
}

impl Decision {
    /// What is said of a text that is blank, or of none: `other`, for certain, in no language.
    pub fn of_blank() -> Decision {
        let mut probabilities = [0.0; Label::ALL.len()];
        probabilities[Label::Other.index()] = 1.0;
        Decision {
            label: Label::Other,
            probabilities,
            confidence: 1.0,
            abstained: false,
            language: Language::Undetermined,
            fingerprint: None,
        }
    }
}

/// Why a decision is what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The pieces of the normalised text that pushed most towards the label, or away from it; the strongest first.
    pub pushed: Vec<Pushed>,
}

/// A piece of text and how far it pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// The piece of the normalised text; a blank is a word's boundary.
    pub piece: String,
    /// What it adds to the label's score beyond what it adds to the others' on average.
    pub push: f32,
}

/// Classifies texts. It keeps its buffers: no allocation per text once warm.
#[derive(Debug, Clone)]
pub struct Classifier {
    model: Arc<Model>,
    threshold: f32,
    normal: String,
}

impl Classifier {
    /// With the model that is compiled in.
    ///
    /// ```
    /// use record::Label;
    /// let mut classifier = classify::Classifier::embedded();
    /// assert_eq!(classifier.classify("kecewa berat, paketnya rusak dan CS nggak bales").label, Label::Complaint);
    /// ```
    pub fn embedded() -> Classifier {
        Classifier::new(Model::embedded())
    }

    /// With this model and its own threshold.
    pub fn new(model: Arc<Model>) -> Classifier {
        Classifier { threshold: model.threshold(), model, normal: String::new() }
    }

    /// With another threshold, 0 to 1: below this confidence it abstains.
    pub fn with_threshold(mut self, threshold: f32) -> Classifier {
        self.threshold = threshold;
        self
    }

    /// Below these confidences it abstains, by label in the order of [`Label::ALL`].
    pub fn thresholds(&self) -> [f32; Label::ALL.len()] {
        [self.threshold; Label::ALL.len()]
    }

    /// The model's version.
    pub fn model_version(&self) -> &str {
        self.model.version()
    }

    /// Decides, and tells by which tier: by none where the text is blank, since there is nothing to classify.
    ///
    /// ```
    /// let mut classifier = classify::Classifier::embedded();
    /// assert_eq!(classifier.judge(" \n").1, record::Tier::None);
    /// assert_eq!(classifier.judge("mantap").1, record::Tier::Fast);
    /// ```
    pub fn judge(&mut self, text: &str) -> (Decision, Tier) {
        if text.trim().is_empty() {
            return (Decision::of_blank(), Tier::None);
        }
        (self.classify(text), Tier::Fast)
    }

    /// Decides by the model, whatever the text. Only the first [`record::limits::CLASSIFIED_TEXT_BYTES`] of a text are read.
    pub fn classify(&mut self, text: &str) -> Decision {
        normalise(classified_part(text), &mut self.normal);
        let mut sums = [0_i32; ROW];
        let mut count = 0_u32;
        let rows = &self.model.rows;
        features(&self.normal, &mut |bucket, _, _| {
            for (sum, &weight) in sums.iter_mut().zip(&rows[bucket]) {
                *sum += i32::from(weight);
            }
            count += 1;
        });
        decide(&self.model, &sums, count, &self.normal, self.threshold)
    }

    /// Decides, and tells which pieces of the text pushed most, at most `pieces`.
    pub fn explain(&mut self, text: &str, pieces: usize) -> Explanation {
        let decision = self.classify(text);
        let norm = norm(self.feature_count());
        let mut pushes: HashMap<&str, f32> = HashMap::new();
        let (model, label) = (&self.model, decision.label.index());
        features(&self.normal, &mut |bucket, start, end| {
            let weight = |head: usize| f32::from(model.rows[bucket][head]) * model.scales[head] * norm;
            let mean = (0..Label::ALL.len()).map(weight).sum::<f32>() / Label::ALL.len() as f32;
            // An n-gram may cut a character in two; such a piece cannot be shown.
            if let Some(piece) = self.normal.get(start..end) {
                *pushes.entry(piece).or_default() += weight(label) - mean;
            }
        });
        let mut pushed: Vec<Pushed> =
            pushes.into_iter().map(|(piece, push)| Pushed { piece: piece.to_owned(), push }).collect();
        pushed.sort_by(|one, two| two.push.abs().total_cmp(&one.push.abs()).then_with(|| one.piece.cmp(&two.piece)));
        pushed.truncate(pieces);
        Explanation { decision, pushed }
    }

    fn feature_count(&self) -> u32 {
        let mut count = 0;
        features(&self.normal, &mut |_, _, _| count += 1);
        count
    }
}

/// What scores are multiplied by, so that long and short texts have scores of one size.
pub(crate) fn norm(features: u32) -> f32 {
    1.0 / (features.max(1) as f32).sqrt()
}

/// Probabilities of scores.
pub(crate) fn softmax<const N: usize>(scores: &[f32; N]) -> [f32; N] {
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut probabilities = scores.map(|score| (score - largest).exp());
    let sum: f32 = probabilities.iter().sum();
    for probability in &mut probabilities {
        *probability /= sum;
    }
    probabilities
}

/// The place of the largest; the first of equals.
pub(crate) fn largest<const N: usize>(values: &[f32; N]) -> usize {
    (1..N).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}

fn decide(model: &Model, sums: &[i32; ROW], features: u32, normal: &str, threshold: f32) -> Decision {
    let norm = norm(features);
    let score = |head: usize| sums[head] as f32 * model.scales[head] * norm + model.biases[head];
    let mut scores = [0.0; Label::ALL.len()];
    for (head, value) in scores.iter_mut().enumerate() {
        *value = score(head) / model.temperature;
    }
    let probabilities = softmax(&scores);
    let label = largest(&probabilities);
    let mut languages = [0.0; LANGUAGES.len()];
    for (at, value) in languages.iter_mut().enumerate() {
        *value = score(HEADS - LANGUAGES.len() + at);
    }
    let letters = normal.chars().any(char::is_alphabetic);
    let confidence = probabilities[label];
    Decision {
        label: Label::ALL[label],
        probabilities,
        confidence,
        abstained: confidence < threshold,
        language: if letters { LANGUAGES[largest(&languages)] } else { Language::Undetermined },
        fingerprint: fingerprint_of_normal(normal),
    }
}
