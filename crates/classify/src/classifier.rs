//! A text's decision.

use std::sync::Arc;

use record::{Label, Language, Tier};

use crate::features::{Buckets, Word, words};
use crate::fingerprint::fingerprint_of_normal;
use crate::language::{Counts, tell};
use crate::model::Model;
use crate::network::{HEADS, LABELS, LANGUAGES, WIDTH, largest, norm, softmax};
use crate::normalise::{Normal, classified_part};

/// What the classifier says of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decision {
    /// The likeliest label.
    pub label: Label,
    /// Calibrated probabilities in the order of [`Label::ALL`]; they add up to 1.
    pub probabilities: [f32; Label::ALL.len()],
    /// The probability of `label`.
    pub confidence: f32,
    /// True when the confidence is below the label's threshold, or the language is not served.
    pub abstained: bool,
    /// The likeliest language; undetermined for a text without letters, other for one that is not served.
    pub language: Language,
    /// True when a good part of the text is in a second language.
    pub mixed: bool,
    /// The text's fingerprint, as [`crate::fingerprint()`] gives it; here it costs no second normalisation.
    pub fingerprint: Option<u64>,
}

/// How much a second opinion counts beside the first, which has the rest: chosen on held-out rows
/// (`models/deep/README.md`).
const SECOND_OPINION_WEIGHT: f32 = 0.7;

impl Decision {
    /// The decision by this one's probabilities and another tier's, in the weighted mean (a linear opinion pool: Stone, *The
    /// Opinion Pool*, 1961); `None` if the answer is no numbers. Texts that are asked for are the hard ones, of which the second
    /// tier alone is too sure.
    pub fn with_second_opinion(
        &self,
        answer: [f32; Label::ALL.len()],
        thresholds: &[f32; Label::ALL.len()],
    ) -> Option<Decision> {
        let mut both = self.probabilities;
        for (probability, answer) in both.iter_mut().zip(answer) {
            *probability += (answer - *probability) * SECOND_OPINION_WEIGHT;
        }
        self.reconsidered(both, thresholds)
    }

    /// The decision with other probabilities in place of its own; `None` if they are no numbers. A text in a language that is
    /// not served is abstained on, whoever decides.
    pub fn reconsidered(
        &self,
        probabilities: [f32; Label::ALL.len()],
        thresholds: &[f32; Label::ALL.len()],
    ) -> Option<Decision> {
        if !probabilities.iter().all(|probability| probability.is_finite()) {
            return None;
        }
        let label = largest(&probabilities);
        let confidence = probabilities[label];
        let abstained = confidence < thresholds[label] || self.language == Language::Other;
        Some(Decision { label: Label::ALL[label], probabilities, confidence, abstained, ..*self })
    }

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
            mixed: false,
            fingerprint: None,
        }
    }
}

/// Classifies texts. It keeps its buffers: no allocation per text once warm.
#[derive(Debug, Clone)]
pub struct Classifier {
    model: Arc<Model>,
    thresholds: [f32; LABELS],
    normal: Normal,
    words: Vec<Word>,
    sums: Vec<WordSums>,
    vectors: Vec<[f32; WIDTH]>,
}

/// A word's rows, added up.
#[derive(Debug, Clone, Copy)]
struct WordSums {
    sums: [i16; WIDTH],
    features: u16,
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

    /// With this model and its own thresholds.
    pub fn new(model: Arc<Model>) -> Classifier {
        Classifier {
            thresholds: model.thresholds(),
            model,
            normal: Normal::default(),
            words: Vec::new(),
            sums: Vec::new(),
            vectors: Vec::new(),
        }
    }

    /// With another threshold, 0 to 1, for every label: below this confidence it abstains.
    pub fn with_threshold(self, threshold: f32) -> Classifier {
        self.with_thresholds([threshold; LABELS])
    }

    /// With another threshold for each label, 0 to 1, in the order of [`Label::ALL`].
    pub fn with_thresholds(mut self, thresholds: [f32; Label::ALL.len()]) -> Classifier {
        self.thresholds = thresholds;
        self
    }

    /// The thresholds applied, in the order of [`Label::ALL`].
    pub fn thresholds(&self) -> [f32; Label::ALL.len()] {
        self.thresholds
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
        self.read(text);
        let scores = self.scores(0..0);
        self.decide(&scores)
    }

    /// Reads a text into words and their sums.
    pub(crate) fn read(&mut self, text: &str) {
        self.normal.fill(classified_part(text));
        words(&self.normal, &mut self.words);
        self.sums.clear();
        let mut buckets = Buckets::default();
        for at in 0..self.words.len() {
            buckets.fill(&self.normal, &self.words, at);
            let buckets = buckets.as_slice();
            self.sums.push(WordSums { sums: sum_rows(&self.model.rows, buckets), features: buckets.len() as u16 });
        }
    }

    /// The scores of what was read, as if the words in `without` were not known.
    pub(crate) fn scores(&mut self, without: std::ops::Range<usize>) -> [f32; HEADS] {
        let model = &*self.model;
        let mut total = [0_i32; HEADS];
        let mut features = 0;
        self.vectors.clear();
        for (at, word) in self.sums.iter().enumerate() {
            let mut vector = [0.0; WIDTH];
            if !without.contains(&at) {
                let norm = norm(usize::from(word.features));
                for (number, (&sum, &scale)) in vector.iter_mut().zip(word.sums.iter().zip(&model.scales)) {
                    *number = f32::from(sum) * (scale * norm);
                }
                for (total, &sum) in total.iter_mut().zip(&word.sums) {
                    *total += i32::from(sum);
                }
            }
            features += usize::from(word.features);
            self.vectors.push(vector);
        }
        let found = model.network.find(&self.vectors, &mut |_| {});
        let norm = norm(features);
        let mut direct = [0.0; HEADS];
        for (direct, (&total, &scale)) in direct.iter_mut().zip(total.iter().zip(&model.scales)) {
            *direct = total as f32 * scale * norm;
        }
        model.network.scores(&direct, &found)
    }

    /// The decision by these scores. A text of nothing but numbers, links and mentions says nothing, whatever the model makes of
    /// it: it is decided as a blank one.
    pub(crate) fn decide(&self, scores: &[f32; HEADS]) -> Decision {
        if self.words.iter().all(Word::stands_for) {
            return Decision { fingerprint: fingerprint_of_normal(&self.normal.text), ..Decision::of_blank() };
        }
        let mut labels = [0.0; LABELS];
        for (label, score) in labels.iter_mut().zip(scores) {
            *label = score / self.model.temperature;
        }
        let probabilities = softmax(&labels);
        let label = largest(&probabilities);
        let confidence = probabilities[label];
        let mut languages = [0.0; LANGUAGES.len()];
        languages.copy_from_slice(&scores[LABELS..]);
        let mut counts = Counts::default();
        for vector in &self.vectors {
            let mut of_word = [0.0; LANGUAGES.len()];
            of_word.copy_from_slice(&vector[LABELS..HEADS]);
            counts.see(&of_word);
        }
        let told = tell(&self.normal, &self.words, &languages, &counts);
        Decision {
            label: Label::ALL[label],
            probabilities,
            confidence,
            abstained: confidence < self.thresholds[label] || told.language == Language::Other,
            language: told.language,
            mixed: told.mixed,
            fingerprint: fingerprint_of_normal(&self.normal.text),
        }
    }

    /// How many words were read.
    pub(crate) fn word_count(&self) -> usize {
        self.words.len()
    }

    /// The words in `range` of what was read, as normalised.
    pub(crate) fn piece(&self, range: std::ops::Range<usize>) -> &str {
        match (self.words.get(range.start), range.end.checked_sub(1).and_then(|last| self.words.get(last))) {
            (Some(first), Some(last)) => &self.normal.text[first.start..last.end],
            _ => "",
        }
    }
}

/// The sum of a word's rows: at most 255 numbers of at most 127, which 16 bits hold.
#[inline(never)]
fn sum_rows(rows: &[[i8; WIDTH]], buckets: &[u32]) -> [i16; WIDTH] {
    let mut sums = [0; WIDTH];
    for &bucket in buckets {
        for (sum, &number) in sums.iter_mut().zip(&rows[bucket as usize]) {
            *sum += i16::from(number);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opinion_outweighs_the_first_and_is_tempered_by_it() {
        let thresholds = [0.0, 0.65, 0.0, 0.0, 0.0];
        let first = Decision::of_blank().reconsidered([0.5, 0.2, 0.1, 0.1, 0.1], &thresholds).expect("numbers");
        let both = first.with_second_opinion([0.05, 0.8, 0.05, 0.05, 0.05], &thresholds).expect("numbers");
        assert_eq!(both.label, Label::Tip);
        assert!((both.confidence - 0.62).abs() < 1e-6 && both.abstained, "{both:?}");
        assert!((both.probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        let slight = first.with_second_opinion([0.4, 0.45, 0.05, 0.05, 0.05], &thresholds).expect("numbers");
        assert_eq!(slight.label, Label::Complaint, "a slight doubt does not overturn it");
    }

    #[test]
    fn an_answer_that_is_no_numbers_is_none() {
        let answer = [0.2, f32::NAN, 0.2, 0.2, 0.2];
        assert_eq!(Decision::of_blank().with_second_opinion(answer, &[0.0; LABELS]), None);
    }
}
