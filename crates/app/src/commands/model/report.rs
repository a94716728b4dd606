//! The figures of a tier as tables.

use anyhow::Result;
use classify::{Estimate, Evaluation, LabelFigures, SliceFigures};
use record::Label;

use crate::cli::say;

/// Prints all figures.
pub(super) fn print(evaluation: &Evaluation) -> Result<()> {
    say(format!("{} tier, model {}, {} rows", evaluation.tier, evaluation.model, evaluation.rows))?;
    say(format!("macro-F1 {}, accuracy {}", estimate(evaluation.macro_f1), estimate(evaluation.accuracy)))?;
    say(format!("\n{:<12}{:>6}{:>11}{:>8}{:>7}", "label", "rows", "precision", "recall", "F1"))?;
    for figures in &evaluation.labels {
        let LabelFigures { label, rows, precision, recall, f1 } = figures;
        say(format!("{:<12}{rows:>6}{precision:>11.3}{recall:>8.3}{f1:>7.3}", label.as_str()))?;
    }
    print_confusion(evaluation)?;
    print_calibration(evaluation)?;
    print_slices("language", &evaluation.languages)?;
    print_slices("source", &evaluation.sources)?;
    if let Some(accuracy) = evaluation.language_accuracy {
        say(format!("\nlanguage right on {accuracy:.3} of rows"))?;
        for (actual, said, rows) in evaluation.language_confusion.iter().filter(|(actual, said, _)| actual != said) {
            say(format!("  {rows} of {} taken for {}", actual.as_str(), said.as_str()))?;
        }
    }
    Ok(())
}

fn print_confusion(evaluation: &Evaluation) -> Result<()> {
    let names: String = Label::ALL.iter().map(|label| format!("{:>12}", label.as_str())).collect();
    say(format!("\nin % of rows, label down, said across\n{:<12}{names}", ""))?;
    for (label, said) in Label::ALL.iter().zip(&evaluation.confusion) {
        let shares: String = said.iter().map(|share| format!("{:>12.1}", share * 100.0)).collect();
        say(format!("{:<12}{shares}", label.as_str()))?;
    }
    Ok(())
}

fn print_calibration(evaluation: &Evaluation) -> Result<()> {
    say(format!("\nexpected calibration error {:.3}", evaluation.calibration.error))?;
    say(format!("{:<14}{:>6}{:>12}{:>10}", "confidence", "rows", "mean", "right"))?;
    for bin in &evaluation.calibration.bins {
        let range = format!("{:.2} to {:.2}", bin.from, bin.to);
        say(format!("{range:<14}{:>6}{:>12.3}{:>10.3}", bin.rows, bin.confidence, bin.accuracy))?;
    }
    say(format!("\n{:<14}{:>12}{:>10}", "coverage", "confidence", "right"))?;
    for point in &evaluation.risk_coverage {
        say(format!("{:<14.2}{:>12.3}{:>10.3}", point.coverage, point.confidence, point.accuracy))?;
    }
    say(format!(
        "\ndecides on {:.3} of rows, right on {:.3} of those",
        evaluation.coverage, evaluation.covered_accuracy
    ))?;
    for (label, coverage, accuracy) in &evaluation.covered_by_label {
        say(format!("  {:<12} {coverage:.3} of what is said, right on {accuracy:.3}", label.as_str()))?;
    }
    Ok(())
}

fn print_slices(what: &str, slices: &[SliceFigures]) -> Result<()> {
    let names: String = Label::ALL.iter().map(|label| format!("{:>12}", label.as_str())).collect();
    say(format!("\n{what:<12}{:>6}{:>22}{:>22}{names}", "rows", "macro-F1", "accuracy"))?;
    for slice in slices {
        let f1: String = slice.labels.iter().map(of_label).collect();
        let (macro_f1, accuracy) = (estimate(slice.macro_f1), estimate(slice.accuracy));
        say(format!("{:<12}{:>6}{macro_f1:>22}{accuracy:>22}{f1}", slice.name, slice.rows))?;
    }
    say("(labels: F1; precision and recall are in --json)".to_owned())?;
    Ok(())
}

fn of_label(figures: &LabelFigures) -> String {
    if figures.rows == 0 { format!("{:>12}", "-") } else { format!("{:>12.3}", figures.f1) }
}

fn estimate(estimate: Estimate) -> String {
    format!("{:.3} ({:.3}-{:.3})", estimate.value, estimate.low, estimate.high)
}
