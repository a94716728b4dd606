//! Why the deep tier answers as it does: what each word is worth to the label, by leaving it out (Li, Monroe, Jurafsky,
//! *Understanding Neural Networks through Representation Erasure*, 2016).

use anyhow::{Result, anyhow};
use deep::{Model, Transformer};
use record::{Label, Tier};

use super::explain::Report;
use crate::config::Deep;

/// Most words that are left out one by one; of a longer text the first.
const WORDS_MAX: usize = 64;

/// The report of the deep tier on a text of which the fast one is unsure.
pub(super) fn explain(fast: Report, settings: &Deep, pieces: usize) -> Result<Report> {
    let mut transformer = Transformer::embedded()?;
    let words: Vec<&str> = fast.text.split_whitespace().take(WORDS_MAX).collect();
    let mut texts = vec![fast.text.clone()];
    for left_out in 0..words.len() {
        let rest = words.iter().enumerate().filter(|(at, _)| *at != left_out);
        texts.push(rest.map(|(_, word)| *word).collect::<Vec<&str>>().join(" "));
    }
    let mut answers = Vec::with_capacity(texts.len());
    for batch in texts.chunks(settings.batch) {
        answers.extend(transformer.judge(batch).map_err(|detail| anyhow!("the deep tier: {detail}"))?);
    }
    let thresholds = settings.threshold.map_or(Transformer::THRESHOLDS, |threshold| [threshold; Label::ALL.len()]);
    // As in the service, answers that are no numbers are none.
    let Some(decision) = fast.decision.with_second_opinion(answers[0], &thresholds) else { return Ok(fast) };
    let label = decision.label.index();
    let (threshold, whole) = (thresholds[label], log_odds(answers[0][label]));
    let mut pushed: Vec<(String, f32)> = words
        .iter()
        .zip(&answers[1..])
        .map(|(word, without)| ((*word).to_owned(), whole - log_odds(without[label])))
        .collect();
    pushed.sort_by(|one, two| two.1.abs().total_cmp(&one.1.abs()));
    pushed.truncate(pieces);
    let model = Transformer::version()?;
    Ok(Report {
        decision,
        tier: Tier::Deep,
        model,
        threshold,
        pushed,
        unit: "log-odds that leaving it out costs",
        ..fast
    })
}

/// Where an answer is nearly certain, probabilities hardly move; their odds do.
fn log_odds(probability: f32) -> f32 {
    let probability = probability.clamp(1e-6, 1.0 - 1e-6);
    (probability / (1.0 - probability)).ln()
}
