//! The deep tier and the cascade on labelled rows.

use std::io::Write as _;

use anyhow::{Result, anyhow};
use classify::train::TrainingRow;
use classify::{Classifier, Evaluation, Judged, Verdict, evaluate, judge};
use deep::{Model, Probabilities, Transformer};
use pipeline::classify::{Budget, is_unsure};
use record::Tier;

/// Texts that are judged at once.
const BATCH: usize = 16;

/// The deep tier alone.
pub(super) fn evaluate_deep(rows: &[TrainingRow]) -> Result<Evaluation> {
    let mut fast = Classifier::embedded();
    let mut answers = answers(rows.iter().map(|row| row.text.clone()).collect())?.into_iter();
    let judged = judge(rows, &mut |text| {
        let (decision, tier) = fast.judge(text);
        let answer = answers.next().filter(|_| tier != Tier::None);
        let alone = answer.and_then(|answer| decision.reconsidered(answer, &Transformer::THRESHOLDS));
        Verdict::from(alone.unwrap_or(decision))
    });
    Ok(evaluate("deep", &Transformer::version()?, &judged))
}

/// The fast tier, and the deep one where the fast is less sure than `ask_below`, for those whose answers are worth most: as the
/// service would ask, row after row, within a budget of `share_max` of the rows. Gives the share that was asked for too.
pub(super) fn evaluate_cascade(rows: &[TrainingRow], ask_below: f32, share_max: f32) -> Result<(Evaluation, f64)> {
    let mut fast = Classifier::embedded();
    let mut budget = Budget::new(share_max);
    let mut verdicts = Vec::with_capacity(rows.len());
    let mut asked = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let (decision, tier) = fast.judge(&row.text);
        budget.earn();
        if is_unsure(&decision, tier, ask_below) && budget.allows(decision.second_opinion_worth()) {
            budget.spend();
            asked.push(at);
        }
        verdicts.push(decision);
    }
    let answers = answers(asked.iter().map(|&at| rows[at].text.clone()).collect())?;
    for (&at, answer) in asked.iter().zip(answers) {
        let fast = verdicts[at];
        verdicts[at] = fast.with_second_opinion(answer, &Transformer::THRESHOLDS).unwrap_or(fast);
    }
    let mut verdicts = verdicts.into_iter();
    let judged: Vec<Judged> = judge(rows, &mut |_| match verdicts.next() {
        Some(decision) => Verdict::from(decision),
        None => unreachable!("a decision for each row"),
    });
    let version = format!("{} and {}", fast.model_version(), Transformer::version()?);
    Ok((evaluate("cascade", &version, &judged), asked.len() as f64 / rows.len().max(1) as f64))
}

fn answers(texts: Vec<String>) -> Result<Vec<Probabilities>> {
    let mut transformer = Transformer::embedded()?;
    let mut answers = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        answers.extend(transformer.judge(batch).map_err(|detail| anyhow!("the deep tier: {detail}"))?);
        let _ = write!(std::io::stderr(), "\r{} of {} texts", answers.len(), texts.len());
    }
    eprintln!();
    Ok(answers)
}
