//! The fitting itself: soft targets, by AdaGrad (Duchi, Hazan, Singer, 2011) with steps that shrink to nothing.

use crate::features::BUCKETS;
use crate::model::Model;
use crate::network::{FILTERS, Filtered, Found, HEADS, LABELS, LANGUAGES, Network, TAPS, WIDTH, norm, softmax};
use crate::train::TrainOptions;
use crate::train::random::SplitMix;
use crate::train::samples::Sample;

/// Texts after which the filters take a step: their gradients are dense, and a step for each text would take most of the time.
const FILTER_BATCH: usize = 8;
/// Size of the first weights of a row's vector; the direct scores begin at 0.
const ROW_SIZE: f32 = 0.05;
const MIXING_SIZE: f32 = 0.3;
/// What AdaGrad's sums of squares begin with: rows, filters, biases.
const ROW_SQUARES: f32 = 0.01;
const NETWORK_SQUARES: f32 = 0.1;
const BIAS_SQUARES: f32 = 1.0;
/// The least share of the first step size.
const RATE_SHARE_MIN: f32 = 0.02;

/// A row and the sums of its gradients' squares, side by side in memory.
#[derive(Clone)]
struct TrainedRow {
    numbers: [f32; WIDTH],
    squares: [f32; WIDTH],
}

struct Trainer<'a> {
    options: &'a TrainOptions,
    random: SplitMix,
    rows: Vec<TrainedRow>,
    network: Network,
    /// The filters again, as `[filter * TAPS + tap]`: the way back through them runs along the words' vectors.
    turned: Vec<[f32; WIDTH]>,
    turned_gradients: Vec<[f32; WIDTH]>,
    turned_squares: Vec<[f32; WIDTH]>,
    bias_gradients: Filtered,
    filter_bias_squares: Filtered,
    by_most_squares: [Filtered; LABELS],
    by_whole_squares: [Filtered; LABELS],
    bias_squares: [f32; HEADS],
    text: Text,
}

/// A text on its way forth and back.
#[derive(Default)]
struct Text {
    vectors: Vec<[f32; WIDTH]>,
    gradients: Vec<[f32; WIDTH]>,
    filtered: Vec<Filtered>,
    /// By feature: whether it was kept this time.
    kept: Vec<bool>,
    /// By word.
    norms: Vec<f32>,
}

/// Fits a model, without temperature (1) and thresholds (0).
pub(crate) fn fit(samples: &[&Sample], options: &TrainOptions, progress: &mut dyn FnMut(&str)) -> Model {
    let mut trainer = Trainer::new(options);
    let mut order: Vec<usize> = (0..samples.len()).collect();
    let steps = (options.epochs * samples.len()).max(1);
    let mut step = 0_usize;
    for epoch in 1..=options.epochs {
        for at in (1..order.len()).rev() {
            order.swap(at, trainer.random.below(at + 1));
        }
        let mut loss = 0.0;
        for &at in &order {
            let share = (1.0 - step as f32 / steps as f32).max(RATE_SHARE_MIN);
            loss += f64::from(trainer.learn(samples[at], share));
            step += 1;
            if step.is_multiple_of(FILTER_BATCH) {
                trainer.step_filters(options.network_rate * share);
            }
        }
        let loss = loss / samples.len().max(1) as f64;
        progress(&format!("epoch {epoch} of {}, loss {loss:.3}", options.epochs));
    }
    trainer.quantise()
}

impl Trainer<'_> {
    fn new(options: &TrainOptions) -> Trainer<'_> {
        let mut random = SplitMix(options.seed);
        let mut rows = vec![TrainedRow { numbers: [0.0; WIDTH], squares: [ROW_SQUARES; WIDTH] }; BUCKETS];
        for row in &mut rows {
            for number in &mut row.numbers[HEADS..] {
                *number = random.around_zero(ROW_SIZE);
            }
        }
        let mut network = Network::zero();
        let filter_size = (3.0 / (TAPS * WIDTH) as f32).sqrt();
        for weight in network.filters.iter_mut().flatten() {
            *weight = random.around_zero(filter_size);
        }
        for weight in network.by_most.iter_mut().chain(&mut network.by_whole).flatten() {
            *weight = random.around_zero(MIXING_SIZE);
        }
        let mut turned = vec![[0.0; WIDTH]; FILTERS * TAPS];
        for (at, turned) in turned.iter_mut().enumerate() {
            for (number, turned) in turned.iter_mut().enumerate() {
                *turned = network.filters[at % TAPS * WIDTH + number][at / TAPS];
            }
        }
        Trainer {
            options,
            random,
            rows,
            network,
            turned,
            turned_gradients: vec![[0.0; WIDTH]; FILTERS * TAPS],
            turned_squares: vec![[NETWORK_SQUARES; WIDTH]; FILTERS * TAPS],
            bias_gradients: [0.0; FILTERS],
            filter_bias_squares: [NETWORK_SQUARES; FILTERS],
            by_most_squares: [[NETWORK_SQUARES; FILTERS]; LABELS],
            by_whole_squares: [[NETWORK_SQUARES; FILTERS]; LABELS],
            bias_squares: [BIAS_SQUARES; HEADS],
            text: Text::default(),
        }
    }

    /// Learns from one text; gives its loss before.
    fn learn(&mut self, sample: &Sample, rate_share: f32) -> f32 {
        if sample.ends.is_empty() {
            return 0.0;
        }
        let (direct, direct_norm) = self.forth(sample);
        let text = &mut self.text;
        text.filtered.clear();
        let found = self.network.find(&text.vectors, &mut |filtered| text.filtered.push(*filtered));
        let scores = self.network.scores(&direct, &found);
        let (gradient, loss) = gradient(&scores, sample);
        let rate = self.options.rate * rate_share;
        let biases = self.network.biases.iter_mut().zip(&mut self.bias_squares);
        for (gradient, (bias, square)) in gradient.iter().zip(biases) {
            // A bias is shared by all texts: it moves a hundredth as fast.
            step(gradient * 0.01, rate, bias, square);
        }
        self.back(&gradient, &found, self.options.network_rate * rate_share);
        self.step_rows(sample, &gradient, direct_norm, rate);
        loss
    }

    /// Sums the rows of a text's features, some of them left out, to words' vectors and direct scores.
    fn forth(&mut self, sample: &Sample) -> ([f32; HEADS], f32) {
        let text = &mut self.text;
        text.kept.clear();
        text.norms.clear();
        text.vectors.clear();
        let mut total = [0.0; HEADS];
        let (mut from, mut features) = (0, 0);
        for &end in &sample.ends {
            let mut vector = [0.0; WIDTH];
            let mut count = 0;
            for &bucket in &sample.buckets[from..end] {
                let kept = self.random.share() >= self.options.left_out;
                text.kept.push(kept);
                if kept {
                    for (sum, number) in vector.iter_mut().zip(&self.rows[bucket as usize].numbers) {
                        *sum += number;
                    }
                    count += 1;
                }
            }
            for (total, sum) in total.iter_mut().zip(&vector) {
                *total += sum;
            }
            let norm = norm(count);
            text.norms.push(norm);
            text.vectors.push(vector.map(|sum| sum * norm));
            features += count;
            from = end;
        }
        let norm = norm(features);
        (total.map(|sum| sum * norm), norm)
    }

    /// The way back through the filters to the words' vectors.
    fn back(&mut self, gradient: &[f32; HEADS], found: &Found, rate: f32) {
        let text = &mut self.text;
        let (mut of_most, mut of_whole) = ([0.0; FILTERS], [0.0; FILTERS]);
        for label in 0..LABELS {
            let (by_most, by_whole) = (&mut self.network.by_most[label], &mut self.network.by_whole[label]);
            let (most_squares, whole_squares) = (&mut self.by_most_squares[label], &mut self.by_whole_squares[label]);
            let gradient = gradient[label];
            for filter in 0..FILTERS {
                of_most[filter] += gradient * by_most[filter];
                of_whole[filter] += gradient * by_whole[filter];
                step(gradient * found.most[filter], rate, &mut by_most[filter], &mut most_squares[filter]);
                step(gradient * found.whole[filter], rate, &mut by_whole[filter], &mut whole_squares[filter]);
            }
        }
        let words = text.vectors.len();
        let share = norm(words);
        text.gradients.clear();
        text.gradients.resize(words, [0.0; WIDTH]);
        for at in 0..words {
            for filter in 0..FILTERS {
                if text.filtered[at][filter] <= 0.0 {
                    continue;
                }
                let most = if found.most_at[filter] as usize == at { of_most[filter] } else { 0.0 };
                let gradient = of_whole[filter] * share + most;
                self.bias_gradients[filter] += gradient;
                for tap in 0..TAPS {
                    let Some(word) = (at + tap).checked_sub(1).filter(|&word| word < words) else { continue };
                    let weights = &self.turned[filter * TAPS + tap];
                    let weight_gradients = &mut self.turned_gradients[filter * TAPS + tap];
                    let (vector, vector_gradients) = (&text.vectors[word], &mut text.gradients[word]);
                    for number in 0..WIDTH {
                        vector_gradients[number] += gradient * weights[number];
                        weight_gradients[number] += gradient * vector[number];
                    }
                }
            }
        }
    }

    fn step_rows(&mut self, sample: &Sample, gradient: &[f32; HEADS], direct_norm: f32, rate: f32) {
        let text = &self.text;
        let mut from = 0;
        for (word, &end) in sample.ends.iter().enumerate() {
            let mut of_word = text.gradients[word].map(|number| number * text.norms[word]);
            for (number, head) in of_word.iter_mut().zip(gradient) {
                *number += head * direct_norm;
            }
            for (&bucket, _) in sample.buckets[from..end].iter().zip(&text.kept[from..end]).filter(|(_, kept)| **kept) {
                let row = &mut self.rows[bucket as usize];
                for ((number, square), gradient) in row.numbers.iter_mut().zip(&mut row.squares).zip(&of_word) {
                    step(*gradient, rate, number, square);
                }
            }
            from = end;
        }
    }

    fn step_filters(&mut self, rate: f32) {
        for filter in 0..FILTERS {
            for tap in 0..TAPS {
                let at = filter * TAPS + tap;
                for number in 0..WIDTH {
                    let gradient = std::mem::take(&mut self.turned_gradients[at][number]);
                    step(gradient, rate, &mut self.turned[at][number], &mut self.turned_squares[at][number]);
                    self.network.filters[tap * WIDTH + number][filter] = self.turned[at][number];
                }
            }
            let gradient = std::mem::take(&mut self.bias_gradients[filter]);
            let (bias, square) = (&mut self.network.filter_biases[filter], &mut self.filter_bias_squares[filter]);
            step(gradient, rate, bias, square);
        }
    }

    /// Rows as 8-bit numbers with one scale per column. The few largest are cut, so that the many small ones keep detail.
    fn quantise(self) -> Model {
        let mut scales = [0.0; WIDTH];
        for (column, scale) in scales.iter_mut().enumerate() {
            let mut sizes: Vec<f32> = self.rows.iter().map(|row| row.numbers[column].abs()).collect();
            let at = sizes.len() - sizes.len() / 1_000 - 1;
            let (_, &mut large, _) = sizes.select_nth_unstable_by(at, f32::total_cmp);
            *scale = large.max(1e-6) / 127.0;
        }
        let rows = self.rows.iter().map(|trained| {
            let mut row = [0; WIDTH];
            for (column, number) in row.iter_mut().enumerate() {
                *number = (trained.numbers[column] / scales[column]).round().clamp(-127.0, 127.0) as i8;
            }
            row
        });
        Model::new(rows.collect(), scales, self.network, 1.0, [0.0; LABELS])
    }
}

/// By how much the loss grows with each score, and the loss of the labels.
fn gradient(scores: &[f32; HEADS], sample: &Sample) -> ([f32; HEADS], f32) {
    let mut gradient = [0.0; HEADS];
    let mut loss = 0.0;
    let mut labels = [0.0; LABELS];
    labels.copy_from_slice(&scores[..LABELS]);
    for (at, probability) in softmax(&labels).into_iter().enumerate() {
        gradient[at] = (probability - sample.target[at]) * sample.weight;
        loss -= sample.target[at] * probability.max(1e-9).ln() * sample.weight;
    }
    if let Some((language, weight)) = sample.language {
        let mut languages = [0.0; LANGUAGES.len()];
        languages.copy_from_slice(&scores[LABELS..]);
        for (at, probability) in softmax(&languages).into_iter().enumerate() {
            gradient[LABELS + at] = (probability - f32::from(u8::from(at == language))) * weight;
        }
    }
    (gradient, loss)
}

/// One step of AdaGrad.
#[inline]
fn step(gradient: f32, rate: f32, weight: &mut f32, square: &mut f32) {
    *square += gradient * gradient;
    *weight -= rate * gradient / square.sqrt();
}
