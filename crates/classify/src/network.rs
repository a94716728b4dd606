//! The small network over the sums of hashed rows.
//!
//! A row has [`WIDTH`] numbers. The first [`HEADS`] are direct: summed over the text they are scores of the labels and of the
//! languages, as in a linear model. All of them together, summed over a word's features, are the word's vector; [`FILTERS`]
//! filters look at each word with its neighbours (Kim, *Convolutional Neural Networks for Sentence Classification*, 2014),
//! and what they find at most and on the whole is added to the labels' scores. So `tidak bagus` is more than its parts.

use record::{Label, Language};

/// Numbers in a row.
pub(crate) const WIDTH: usize = 32;
pub(crate) const LABELS: usize = Label::ALL.len();
/// The languages that are told apart, in the order of their scores.
pub(crate) const LANGUAGES: [Language; 4] =
    [Language::Indonesian, Language::English, Language::Javanese, Language::Sundanese];
/// The direct scores of a row: the labels, then the languages.
pub(crate) const HEADS: usize = LABELS + LANGUAGES.len();
pub(crate) const FILTERS: usize = 24;
/// Words that a filter sees: the one before, the word, the one after.
pub(crate) const TAPS: usize = 3;

/// One weight per filter.
pub(crate) type Filtered = [f32; FILTERS];

/// The weights that are not rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Network {
    pub(crate) biases: [f32; HEADS],
    /// `filters[tap * WIDTH + number]`.
    pub(crate) filters: Vec<Filtered>,
    pub(crate) filter_biases: Filtered,
    /// How much the most that a filter found anywhere adds to each label.
    pub(crate) by_most: [Filtered; LABELS],
    /// How much what it found on the whole adds.
    pub(crate) by_whole: [Filtered; LABELS],
}

/// What the filters found in a text.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) most: Filtered,
    /// At which word.
    pub(crate) most_at: [u32; FILTERS],
    pub(crate) whole: Filtered,
}

impl Network {
    pub(crate) fn zero() -> Network {
        Network {
            biases: [0.0; HEADS],
            filters: vec![[0.0; FILTERS]; TAPS * WIDTH],
            filter_biases: [0.0; FILTERS],
            by_most: [[0.0; FILTERS]; LABELS],
            by_whole: [[0.0; FILTERS]; LABELS],
        }
    }

    /// Every number, in the order of the model file.
    pub(crate) fn numbers_mut(&mut self) -> impl Iterator<Item = &mut f32> {
        let filters = self.filters.iter_mut().flatten().chain(&mut self.filter_biases);
        self.biases
            .iter_mut()
            .chain(filters)
            .chain(self.by_most.iter_mut().flatten())
            .chain(self.by_whole.iter_mut().flatten())
    }

    /// What each filter finds at the word at `at`; nothing is less than 0.
    pub(crate) fn filter(&self, vectors: &[[f32; WIDTH]], at: usize) -> Filtered {
        let mut found = self.filter_biases;
        for tap in 0..TAPS {
            let Some(vector) = (at + tap).checked_sub(1).and_then(|word| vectors.get(word)) else { continue };
            for (weights, &number) in self.filters[tap * WIDTH..(tap + 1) * WIDTH].iter().zip(vector) {
                for (found, weight) in found.iter_mut().zip(weights) {
                    *found += number * weight;
                }
            }
        }
        found.map(|found| found.max(0.0))
    }

    /// What the filters find in a text of these word vectors, told word by word to `see` too.
    #[allow(clippy::needless_range_loop)] // Four arrays are walked at once.
    pub(crate) fn find(&self, vectors: &[[f32; WIDTH]], see: &mut impl FnMut(&Filtered)) -> Found {
        let mut all = Found { most: [0.0; FILTERS], most_at: [0; FILTERS], whole: [0.0; FILTERS] };
        let share = norm(vectors.len());
        for at in 0..vectors.len() {
            let found = self.filter(vectors, at);
            see(&found);
            for filter in 0..FILTERS {
                all.whole[filter] += found[filter] * share;
                if found[filter] > all.most[filter] {
                    all.most[filter] = found[filter];
                    all.most_at[filter] = at as u32;
                }
            }
        }
        all
    }

    /// The scores: the direct ones, already brought to one size, and what was found.
    pub(crate) fn scores(&self, direct: &[f32; HEADS], found: &Found) -> [f32; HEADS] {
        let mut scores = *direct;
        for (score, bias) in scores.iter_mut().zip(&self.biases) {
            *score += bias;
        }
        for (label, score) in scores[..LABELS].iter_mut().enumerate() {
            let mut adds = [0.0; FILTERS];
            for (filter, add) in adds.iter_mut().enumerate() {
                *add = self.by_most[label][filter] * found.most[filter]
                    + self.by_whole[label][filter] * found.whole[filter];
            }
            *score += adds.iter().sum::<f32>();
        }
        scores
    }
}

/// What sums are multiplied by, so that many and few have sums of one size.
pub(crate) fn norm(count: usize) -> f32 {
    1.0 / (count.max(1) as f32).sqrt()
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
