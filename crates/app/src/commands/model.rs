//! `sinyal model train|eval`: the fast tier from labelled rows, and how good it is.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use classify::train::{TrainOptions, TrainingRow, train};
use classify::{Evaluation, Model, evaluate};
use record::{Label, Language};

use super::numbers::{above_zero, between};
use crate::cli::say;

/// Arguments of `sinyal model`.
#[derive(Debug, clap::Args)]
pub(crate) struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ModelCommand {
    /// Train the fast tier and write its file.
    ///
    /// The folder holds train.tsv (id, lang, source, label, ambiguous, text) and, if there are any, second.tsv (id, label,
    /// ambiguous: a second reading), unlabelled.tsv (id, lang, source, text) and teacher.tsv (id and five probabilities).
    /// Tab-separated, one header line.
    Train {
        /// The folder.
        #[arg(long)]
        data: PathBuf,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
        /// Seed of the order in which rows are seen; the same seed and data give the same file.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How often every row is seen: 1 to 1000.
        #[arg(long, default_value_t = TrainOptions::default().epochs,
            value_parser = |text: &str| between(text, 1_usize, 1_000))]
        epochs: usize,
        /// Step size: above 0, at most 10.
        #[arg(long, default_value_t = TrainOptions::default().rate,
            value_parser = |text: &str| above_zero(text, 10.0_f32))]
        rate: f32,
        /// How much a row with the teacher's answer counts beside a labelled one: 0 to 10.
        #[arg(long, default_value_t = 0.5, value_parser = |text: &str| between(text, 0.0_f32, 10.0))]
        teacher_weight: f32,
    },
    /// Judge a model on labelled rows.
    Eval {
        /// The rows, in the format of train.tsv.
        #[arg(long)]
        data: PathBuf,
        /// The model's file; without it, the model that is compiled in.
        #[arg(long)]
        model: Option<PathBuf>,
        /// One JSON object instead of a table.
        #[arg(long)]
        json: bool,
    },
}

pub(crate) fn run(args: ModelArgs) -> Result<()> {
    match args.command {
        ModelCommand::Train { data, out, seed, epochs, rate, teacher_weight } => {
            let rows = training_rows(&data, teacher_weight)?;
            eprintln!("{} rows", rows.len());
            let options = TrainOptions { seed, epochs, rate, ..TrainOptions::default() };
            let (model, held_out) = train(rows, options, &mut |step| eprintln!("{step}"));
            fs::write(&out, model.to_bytes()).with_context(|| format!("cannot write {}", out.display()))?;
            say(format!("model {} written to {}", model.version(), out.display()))?;
            say(format!(
                "held out: {} rows, macro-F1 {:.3}, temperature {:.2}, threshold {:.2}, coverage {:.3}",
                held_out.rows, held_out.macro_f1, held_out.temperature, held_out.threshold, held_out.coverage
            ))?;
            Ok(())
        }
        ModelCommand::Eval { data, model, json } => {
            let model = match model {
                Some(path) => {
                    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                    Arc::new(Model::from_bytes(&bytes).with_context(|| path.display().to_string())?)
                }
                None => Model::embedded(),
            };
            let rows = labelled_rows(&data, &HashMap::new())?;
            let evaluation = evaluate(&model, &rows);
            if json {
                say(serde_json::to_string(&evaluation)?)?;
            } else {
                print_evaluation(&evaluation)?;
            }
            Ok(())
        }
    }
}

fn print_evaluation(evaluation: &Evaluation) -> Result<()> {
    say(format!("model {}, {} rows", evaluation.model, evaluation.rows))?;
    say(format!("macro-F1 {:.3}, accuracy {:.3}", evaluation.macro_f1, evaluation.accuracy))?;
    say(format!("{:<12}{:>6}{:>11}{:>8}{:>7}", "label", "rows", "precision", "recall", "F1"))?;
    for figures in &evaluation.labels {
        say(format!(
            "{:<12}{:>6}{:>11.3}{:>8.3}{:>7.3}",
            figures.label.as_str(),
            figures.rows,
            figures.precision,
            figures.recall,
            figures.f1
        ))?;
    }
    say(format!(
        "calibration error {:.3}; decides on {:.3} of rows, right on {:.3} of those",
        evaluation.calibration_error, evaluation.coverage, evaluation.covered_accuracy
    ))?;
    say(format!("language right on {:.3}", evaluation.language_accuracy))?;
    for (language, rows, accuracy) in &evaluation.languages {
        say(format!("  {}: {rows} rows, label right on {accuracy:.3}", language.as_str()))?;
    }
    Ok(())
}

fn training_rows(folder: &Path, teacher_weight: f32) -> Result<Vec<TrainingRow>> {
    let second = optional_table(&folder.join("second.tsv"), &["id", "label"])?;
    let mut readings: HashMap<String, Label> = HashMap::new();
    for (line, cells) in second.iter().flatten() {
        readings.insert(cells[0].clone(), label(&cells[1], "second.tsv", *line)?);
    }
    let mut rows = labelled_rows(&folder.join("train.tsv"), &readings)?;
    let known: std::collections::HashSet<String> = rows.iter().map(|row| row.id.clone()).collect();
    let columns = ["id", "complaint", "tip", "experience", "praise", "other"];
    let teacher = optional_table(&folder.join("teacher.tsv"), &columns)?.unwrap_or_default();
    let unlabelled = optional_table(&folder.join("unlabelled.tsv"), &["id", "lang", "source", "text"])?;
    let mut answers: HashMap<String, [f32; 5]> = HashMap::new();
    for (line, cells) in teacher {
        let mut target = [0.0; 5];
        for (value, cell) in target.iter_mut().zip(&cells[1..]) {
            *value = cell.parse().with_context(|| format!("teacher.tsv line {line}: {cell:?} is no probability"))?;
        }
        answers.insert(cells[0].clone(), target);
    }
    for (_, cells) in unlabelled.into_iter().flatten() {
        let Some(&target) = answers.get(&cells[0]) else { continue };
        if known.contains(&cells[0]) {
            continue;
        }
        rows.push(TrainingRow {
            id: cells[0].clone(),
            language: language(&cells[1]),
            source: cells[2].clone(),
            target,
            weight: teacher_weight,
            labelled: false,
            text: cells[3].clone(),
        });
    }
    Ok(rows)
}

fn labelled_rows(path: &Path, readings: &HashMap<String, Label>) -> Result<Vec<TrainingRow>> {
    let columns = ["id", "lang", "source", "label", "ambiguous", "text"];
    let Some(table) = optional_table(path, &columns)? else { bail!("cannot read {}: no such file", path.display()) };
    let mut rows = Vec::with_capacity(table.len());
    for (line, cells) in table {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let first = label(&cells[3], &name, line)?;
        let mut target = [0.0; 5];
        target[first.index()] = 1.0;
        if let Some(second) = readings.get(&cells[0]) {
            // Two readings of one weight each; where they differ, the target is between them.
            target[first.index()] -= 0.5;
            target[second.index()] += 0.5;
        }
        rows.push(TrainingRow {
            id: cells[0].clone(),
            language: language(&cells[1]),
            source: cells[2].clone(),
            target,
            weight: if cells[4] == "1" { 0.6 } else { 1.0 },
            labelled: true,
            text: cells[5].clone(),
        });
    }
    Ok(rows)
}

fn label(name: &str, file: &str, line: usize) -> Result<Label> {
    name.parse().map_err(|error: String| anyhow::anyhow!("{file} line {line}: {error}"))
}

fn language(tag: &str) -> Language {
    Language::ALL.into_iter().find(|language| language.as_str() == tag).unwrap_or(Language::Undetermined)
}

/// A row's line number and its cells.
type TableRow = (usize, Vec<String>);

/// The columns of a table by name, with line numbers; `None` if there is no such file.
fn optional_table(path: &Path, columns: &[&str]) -> Result<Option<Vec<TableRow>>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let mut places = Vec::new();
    for column in columns {
        match header.iter().position(|name| name == column) {
            Some(place) => places.push(place),
            None => bail!("{}: no column {column:?} in its header line; it has {header:?}", path.display()),
        }
    }
    let mut rows = Vec::new();
    for (number, line) in lines.enumerate() {
        let cells: Vec<&str> = line.split('\t').collect();
        ensure!(
            cells.len() == header.len(),
            "{} line {}: {} cells; {} are right",
            path.display(),
            number + 2,
            cells.len(),
            header.len()
        );
        rows.push((number + 2, places.iter().map(|&place| cells[place].to_owned()).collect()));
    }
    Ok(Some(rows))
}
