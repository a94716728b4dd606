//! Why the deep tier decides as it does: what each word is worth to the label, by leaving it out (Li, Monroe, Jurafsky,
//! *Understanding Neural Networks through Representation Erasure*, 2016).

use anyhow::{Result, anyhow};
use classify::Decision;
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
    let probabilities = answers[0];
    let label =
        (1..Label::ALL.len()).fold(0, |best, at| if probabilities[at] > probabilities[best] { at } else { best });
    let threshold = settings.threshold.unwrap_or(Transformer::THRESHOLDS[label]);
    let mut pushed: Vec<(String, f32)> = words
        .iter()
        .zip(&answers[1..])
        .map(|(word, without)| ((*word).to_owned(), probabilities[label] - without[label]))
        .collect();
    pushed.sort_by(|one, two| two.1.abs().total_cmp(&one.1.abs()));
    pushed.truncate(pieces);
    let decision = Decision {
        label: Label::ALL[label],
        probabilities,
        confidence: probabilities[label],
        abstained: probabilities[label] < threshold,
        ..fast.decision
    };
    let model = Transformer::version()?;
    Ok(Report { decision, tier: Tier::Deep, model, threshold, pushed, unit: "what leaving it out costs, of 1", ..fast })
}
