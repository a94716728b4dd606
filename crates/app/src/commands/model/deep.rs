//! The deep tier and the cascade on labelled rows.

use anyhow::{Result, anyhow};
use classify::train::TrainingRow;
use classify::{Classifier, Decision, Evaluation, Judged, Verdict, evaluate, judge};
use deep::{Model, Probabilities, Transformer};
use record::{Label, Tier};

/// Texts that are judged at once.
const BATCH: usize = 16;

/// The deep tier alone.
pub(super) fn evaluate_deep(rows: &[TrainingRow]) -> Result<Evaluation> {
    let mut fast = Classifier::embedded();
    let mut answers = answers(rows.iter().map(|row| row.text.clone()).collect())?.into_iter();
    let judged = judge(rows, &mut |text| {
        let (decision, tier) = fast.judge(text);
        let answer = answers.next().filter(|_| tier != Tier::None);
        Verdict::from(answer.map_or(decision, |answer| second(&decision, &answer)))
    });
    Ok(evaluate("deep", &Transformer::version()?, &judged))
}

/// The fast tier, and the deep one where that is surest to help: at most `share_max` of the rows, those of which the fast tier
/// is least sure and less sure than `ask_below`. Gives the share that was asked for too.
pub(super) fn evaluate_cascade(rows: &[TrainingRow], ask_below: f32, share_max: f32) -> Result<(Evaluation, f64)> {
    let mut fast = Classifier::embedded();
    let decisions: Vec<(Decision, Tier)> = rows.iter().map(|row| fast.judge(&row.text)).collect();
    let unsure = |at: &usize| decisions[*at].1 == Tier::Fast && decisions[*at].0.confidence < ask_below;
    let mut asked: Vec<usize> = (0..rows.len()).filter(unsure).collect();
    asked.sort_by(|one, two| decisions[*one].0.confidence.total_cmp(&decisions[*two].0.confidence));
    asked.truncate((rows.len() as f64 * f64::from(share_max)) as usize);
    let answers = answers(asked.iter().map(|&at| rows[at].text.clone()).collect())?;
    let mut verdicts: Vec<Verdict> = decisions.iter().map(|(decision, _)| Verdict::from(*decision)).collect();
    for (&at, answer) in asked.iter().zip(&answers) {
        verdicts[at] = Verdict::from(second(&decisions[at].0, answer));
    }
    let mut verdicts = verdicts.into_iter();
    let judged: Vec<Judged> = judge(rows, &mut |_| match verdicts.next() {
        Some(verdict) => verdict,
        None => unreachable!("a verdict for each row"),
    });
    let version = format!("{} and {}", fast.model_version(), Transformer::version()?);
    Ok((evaluate("cascade", &version, &judged), asked.len() as f64 / rows.len().max(1) as f64))
}

fn answers(texts: Vec<String>) -> Result<Vec<Probabilities>> {
    let mut transformer = Transformer::embedded()?;
    let mut answers = Vec::with_capacity(texts.len());
    for batch in texts.chunks(BATCH) {
        answers.extend(transformer.judge(batch).map_err(|detail| anyhow!("the deep tier: {detail}"))?);
        eprint!("\r{} of {} texts", answers.len(), texts.len());
    }
    eprintln!();
    Ok(answers)
}

fn second(fast: &Decision, answer: &Probabilities) -> Decision {
    let label = (1..Label::ALL.len()).fold(0, |best, at| if answer[at] > answer[best] { at } else { best });
    Decision {
        label: Label::ALL[label],
        probabilities: *answer,
        confidence: answer[label],
        abstained: answer[label] < Transformer::THRESHOLDS[label],
        ..*fast
    }
}
