//! Training of the fast tier: multinomial logistic regression with soft targets, by AdaGrad (Duchi, Hazan, Singer, 2011).
//!
//! Deterministic: the same rows, options and seed give the same bytes.

use record::{Label, Language};

use crate::classifier::{largest, norm, softmax};
use crate::features::{BUCKETS, classified_part, features, normalise};
use crate::fingerprint::fingerprint_of_normal;
use crate::model::{HEADS, LANGUAGES, Model, ROW};

const LABELS: usize = Label::ALL.len();

/// One text to learn from.
#[derive(Debug, Clone)]
pub struct TrainingRow {
    /// Its id; the rows' order is by it, so that the file's order does not matter.
    pub id: String,
    /// Its language; undetermined teaches no language.
    pub language: Language,
    /// Where it comes from; rows of sources that begin alike up to the first `-` are held out together.
    pub source: String,
    /// Probabilities of the labels: one for a plain label, several for a soft one.
    pub target: [f32; LABELS],
    /// How much it counts; 1 for a plain row.
    pub weight: f32,
    /// True if a person or a careful reading gave the label; only such rows are held out and calibrated on.
    pub labelled: bool,
    /// The text.
    pub text: String,
}

/// How to train.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainOptions {
    /// Seed of the order in which rows are seen.
    pub seed: u64,
    /// How often every row is seen.
    pub epochs: usize,
    /// Step size.
    pub rate: f32,
    /// Confidence is only claimed where held-out accuracy is at least this; it sets the threshold.
    pub accuracy_min: f32,
}

impl Default for TrainOptions {
    fn default() -> TrainOptions {
        TrainOptions { seed: 1, epochs: 6, rate: 0.2, accuracy_min: 0.8 }
    }
}

/// What training found on the held-out fifth.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// Rows held out.
    pub rows: usize,
    /// Macro-F1 there.
    pub macro_f1: f32,
    /// The temperature that fits best there.
    pub temperature: f32,
    /// The threshold chosen there.
    pub threshold: f32,
    /// Share of rows there on which the model does not abstain.
    pub coverage: f32,
}

/// A text as the trainer sees it.
struct Sample {
    buckets: Vec<u32>,
    target: [f32; LABELS],
    weight: f32,
    language: Option<(usize, f32)>,
    held_out: bool,
    label: Option<usize>,
}

struct Weights {
    rows: Vec<[f32; HEADS]>,
    biases: [f32; HEADS],
}

/// Trains a model: first without a fifth of the labelled groups, to fit temperature and threshold there, then on all.
pub fn train(mut rows: Vec<TrainingRow>, options: TrainOptions, progress: &mut dyn FnMut(&str)) -> (Model, HeldOut) {
    rows.sort_by(|one, two| one.id.cmp(&two.id));
    let language_weights = language_weights(&rows);
    let samples: Vec<Sample> = rows.iter().map(|row| sample(row, &language_weights)).collect();
    let (held_out, kept): (Vec<&Sample>, Vec<&Sample>) = samples.iter().partition(|sample| sample.held_out);
    progress("training without the held-out fifth");
    let weights = fit(&kept, options);
    let judged: Vec<([f32; LABELS], usize)> =
        held_out.iter().filter_map(|sample| Some((label_scores(&weights, sample), sample.label?))).collect();
    let temperature = fit_temperature(&judged);
    let (threshold, coverage) = fit_threshold(&judged, temperature, options.accuracy_min);
    let found = HeldOut { rows: judged.len(), macro_f1: macro_f1(&judged), temperature, threshold, coverage };
    progress("training on all rows");
    let all: Vec<&Sample> = samples.iter().collect();
    let weights = fit(&all, options);
    (quantise(&weights, temperature, threshold), found)
}

fn sample(row: &TrainingRow, language_weights: &[f32; LANGUAGES.len()]) -> Sample {
    let mut normal = String::new();
    normalise(classified_part(&row.text), &mut normal);
    let mut buckets = Vec::new();
    features(&normal, &mut |bucket, _, _| buckets.push(bucket as u32));
    // Near-duplicates have one fingerprint and translations one source: each such group is on one side of the split.
    let group = match row.source.split_once('-') {
        Some(("nusax", _)) => 0,
        _ => fingerprint_of_normal(&normal).unwrap_or(0),
    };
    let held_out = row.labelled && group != 0 && SplitMix(group).next().is_multiple_of(5);
    let language = LANGUAGES.iter().position(|&language| language == row.language);
    Sample {
        buckets,
        target: row.target,
        weight: row.weight,
        language: language.map(|language| (language, language_weights[language])),
        held_out,
        label: row.labelled.then(|| largest(&row.target)),
    }
}

/// Rare languages weigh more, by the square root of how rare they are.
fn language_weights(rows: &[TrainingRow]) -> [f32; LANGUAGES.len()] {
    let counts = LANGUAGES.map(|language| rows.iter().filter(|row| row.language == language).count().max(1) as f32);
    let most = counts.iter().copied().fold(1.0, f32::max);
    counts.map(|count| (most / count).sqrt())
}

fn fit(samples: &[&Sample], options: TrainOptions) -> Weights {
    let mut weights = Weights { rows: vec![[0.0; HEADS]; BUCKETS], biases: [0.0; HEADS] };
    let mut squares = Weights { rows: vec![[1e-2; HEADS]; BUCKETS], biases: [1e-2; HEADS] };
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let mut random = SplitMix(options.seed);
    for _ in 0..options.epochs {
        for at in (1..order.len()).rev() {
            order.swap(at, (random.next() % (at as u64 + 1)) as usize);
        }
        for &at in &order {
            learn(samples[at], options.rate, &mut weights, &mut squares);
        }
    }
    weights
}

#[allow(clippy::needless_range_loop)] // Four arrays are walked at once.
fn learn(sample: &Sample, rate: f32, weights: &mut Weights, squares: &mut Weights) {
    let norm = norm(sample.buckets.len() as u32);
    let scores = scores(weights, sample);
    let mut gradient = [0.0; HEADS];
    let mut labels = [0.0; LABELS];
    labels.copy_from_slice(&scores[..LABELS]);
    for (at, probability) in softmax(&labels).into_iter().enumerate() {
        gradient[at] = (probability - sample.target[at]) * sample.weight;
    }
    if let Some((language, weight)) = sample.language {
        let mut languages = [0.0; LANGUAGES.len()];
        languages.copy_from_slice(&scores[LABELS..]);
        for (at, probability) in softmax(&languages).into_iter().enumerate() {
            gradient[LABELS + at] = (probability - f32::from(u8::from(at == language))) * weight;
        }
    }
    let step = |gradient: f32, weight: &mut f32, square: &mut f32| {
        *square += gradient * gradient;
        *weight -= rate * gradient / square.sqrt();
    };
    for head in 0..HEADS {
        // A bias is shared by all texts: it moves a hundredth as fast.
        step(gradient[head] * 0.01, &mut weights.biases[head], &mut squares.biases[head]);
    }
    for &bucket in &sample.buckets {
        let (row, square) = (&mut weights.rows[bucket as usize], &mut squares.rows[bucket as usize]);
        for head in 0..HEADS {
            step(gradient[head] * norm, &mut row[head], &mut square[head]);
        }
    }
}

fn scores(weights: &Weights, sample: &Sample) -> [f32; HEADS] {
    let mut sums = [0.0; HEADS];
    for &bucket in &sample.buckets {
        for (sum, weight) in sums.iter_mut().zip(&weights.rows[bucket as usize]) {
            *sum += weight;
        }
    }
    let norm = norm(sample.buckets.len() as u32);
    for (sum, bias) in sums.iter_mut().zip(&weights.biases) {
        *sum = *sum * norm + bias;
    }
    sums
}

fn label_scores(weights: &Weights, sample: &Sample) -> [f32; LABELS] {
    let mut labels = [0.0; LABELS];
    labels.copy_from_slice(&scores(weights, sample)[..LABELS]);
    labels
}

/// The temperature with the least negative log-likelihood, to two digits.
fn fit_temperature(judged: &[([f32; LABELS], usize)]) -> f32 {
    let loss = |temperature: f32| -> f32 {
        let losses = judged
            .iter()
            .map(|(scores, label)| -softmax(&scores.map(|score| score / temperature))[*label].max(1e-9).ln());
        losses.sum()
    };
    let candidates = (20..=400).step_by(5).map(|hundredths| hundredths as f32 / 100.0);
    candidates.min_by(|one, two| loss(*one).total_cmp(&loss(*two))).unwrap_or(1.0)
}

/// The least threshold at which the accuracy of what is left reaches the aim, and the share that is left.
fn fit_threshold(judged: &[([f32; LABELS], usize)], temperature: f32, accuracy_min: f32) -> (f32, f32) {
    let judged: Vec<(f32, bool)> = judged
        .iter()
        .map(|(scores, label)| {
            let probabilities = softmax(&scores.map(|score| score / temperature));
            let best = largest(&probabilities);
            (probabilities[best], best == *label)
        })
        .collect();
    let mut last = (0.0, 1.0);
    for hundredths in 20..=90 {
        let threshold = hundredths as f32 / 100.0;
        let left: Vec<bool> =
            judged.iter().filter(|(confidence, _)| *confidence >= threshold).map(|&(_, right)| right).collect();
        if left.is_empty() {
            break;
        }
        let right = left.iter().filter(|&&right| right).count();
        last = (threshold, left.len() as f32 / judged.len() as f32);
        if right as f32 / left.len() as f32 >= accuracy_min {
            break;
        }
    }
    last
}

fn macro_f1(judged: &[([f32; LABELS], usize)]) -> f32 {
    let mut confusion = [[0_u32; LABELS]; LABELS];
    for (scores, label) in judged {
        confusion[*label][largest(scores)] += 1;
    }
    let f1 = |label: usize| {
        let found = confusion[label][label] as f32;
        let actual: u32 = confusion[label].iter().sum();
        let said: u32 = confusion.iter().map(|row| row[label]).sum();
        if found == 0.0 { 0.0 } else { 2.0 * found / (actual + said) as f32 }
    };
    (0..LABELS).map(f1).sum::<f32>() / LABELS as f32
}

/// Weights as 8-bit numbers with one scale per head. The few largest are cut, so that the many small ones keep detail.
fn quantise(weights: &Weights, temperature: f32, threshold: f32) -> Model {
    let mut scales = [0.0; HEADS];
    for (head, scale) in scales.iter_mut().enumerate() {
        let mut sizes: Vec<f32> = weights.rows.iter().map(|row| row[head].abs()).filter(|&size| size > 0.0).collect();
        if sizes.is_empty() {
            *scale = 1.0;
            continue;
        }
        let at = sizes.len() - sizes.len() / 1_000 - 1;
        let (_, &mut large, _) = sizes.select_nth_unstable_by(at, f32::total_cmp);
        *scale = large.max(1e-6) / 127.0;
    }
    let rows = weights.rows.iter().map(|weights| {
        let mut row = [0; ROW];
        for head in 0..HEADS {
            row[head] = (weights[head] / scales[head]).round().clamp(-127.0, 127.0) as i8;
        }
        row
    });
    Model::new(rows.collect(), scales, weights.biases, temperature, threshold)
}

/// SplitMix64 (Steele, Lea, Flood, 2014): an order that is the same everywhere and for ever.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
