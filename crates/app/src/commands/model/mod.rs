//! `sinyal model train|eval`: the fast tier from labelled rows, and how good a tier is.

#[cfg(feature = "deep")]
mod deep;
mod report;
mod rows;
mod table;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use classify::train::{Selection, TrainOptions, cross_validate, train};
use classify::{Classifier, Evaluation, Model, Verdict, evaluate, judge};

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
    /// Tab-separated, one header line. Temperature and thresholds are chosen on parts of train.tsv that are held out in turn.
    Train(TrainArgs),
    /// Judge a tier on labelled rows.
    Eval(EvalArgs),
}

#[derive(Debug, clap::Args)]
struct TrainArgs {
    /// The folder.
    #[arg(long)]
    data: PathBuf,
    /// The file to write.
    #[arg(long, required_unless_present = "folds_only")]
    out: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
    /// The teacher's answers; several teachers count alike. Without it, teacher.tsv of the folder.
    #[arg(long)]
    teacher: Vec<PathBuf>,
    /// Rows that belong together (id, group), as translations do: they are held out together.
    #[arg(long)]
    groups: Option<PathBuf>,
    /// Rows whose texts, and what is nearly the same, are not learnt from; without it, dev.tsv of the folder if it is there.
    #[arg(long)]
    keep_out: Option<PathBuf>,
    /// Write the figures of the held-out parts to this file, as JSON.
    #[arg(long)]
    report: Option<PathBuf>,
    /// Only judge on the held-out parts; write no model.
    #[arg(long)]
    folds_only: bool,
    /// Seed of all that is drawn; the same seed and data give the same file.
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
    /// Share of the features left out each time a row is seen: 0 to 0.9.
    #[arg(long, default_value_t = TrainOptions::default().left_out,
        value_parser = |text: &str| between(text, 0.0_f32, 0.9))]
    left_out: f32,
    /// How much a row with the teacher's answer alone counts beside a labelled one: 0 to 10.
    #[arg(long, default_value_t = 1.0, value_parser = |text: &str| between(text, 0.0_f32, 10.0))]
    teacher_weight: f32,
    /// The teacher's share in what is learnt of a labelled row: 0 to 1.
    #[arg(long, default_value_t = 0.5, value_parser = |text: &str| between(text, 0.0_f32, 1.0))]
    teacher_share: f32,
}

#[derive(Debug, clap::Args)]
struct EvalArgs {
    /// The rows, in the format of train.tsv.
    #[arg(long)]
    data: PathBuf,
    /// The model's file; without it, the model that is compiled in.
    #[arg(long)]
    model: Option<PathBuf>,
    /// Which tier.
    #[arg(long, value_enum, default_value_t = JudgedTier::Fast)]
    tier: JudgedTier,
    /// Of the cascade: only where the fast tier is less sure than this, the deep one is asked, 0 to 1.
    #[cfg(feature = "deep")]
    #[arg(long, default_value_t = 0.75, value_parser = |text: &str| between(text, 0.0_f32, 1.0))]
    ask_below: f32,
    /// Of the cascade: at most this share of the rows is asked for, those whose answers are worth most, 0 to 1.
    #[cfg(feature = "deep")]
    #[arg(long, default_value_t = 0.25, value_parser = |text: &str| between(text, 0.0_f32, 1.0))]
    share_max: f32,
    /// One JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

/// The tiers that can be judged.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum JudgedTier {
    /// The compiled-in network.
    Fast,
    /// The transformer.
    #[cfg(feature = "deep")]
    Deep,
    /// The network, and the transformer for what it is least sure of.
    #[cfg(feature = "deep")]
    Cascade,
}

impl JudgedTier {
    fn as_str(self) -> &'static str {
        match self {
            JudgedTier::Fast => "fast",
            #[cfg(feature = "deep")]
            JudgedTier::Deep => "deep",
            #[cfg(feature = "deep")]
            JudgedTier::Cascade => "cascade",
        }
    }
}

pub(crate) fn run(args: ModelArgs) -> Result<()> {
    match args.command {
        ModelCommand::Train(args) => run_train(args),
        ModelCommand::Eval(args) => run_eval(args),
    }
}

fn run_train(args: TrainArgs) -> Result<()> {
    for path in [&args.out, &args.report].into_iter().flatten() {
        ensure!(args.force || !path.exists(), "{} is there; --force writes over it", path.display());
    }
    let asked = rows::Asked {
        folder: &args.data,
        teachers: &args.teacher,
        groups: args.groups.as_deref(),
        teacher_weight: args.teacher_weight,
        teacher_share: args.teacher_share,
    };
    let training = rows::training_rows(&asked)?;
    let beside = args.data.join("dev.tsv");
    let keep_out = match args.keep_out.or_else(|| beside.exists().then_some(beside)) {
        Some(path) => rows::texts(&path)?,
        None => Vec::new(),
    };
    eprintln!("{} rows read, {} texts kept out", training.len(), keep_out.len());
    let TrainArgs { seed, epochs, rate, left_out, .. } = args;
    let options = TrainOptions { seed, epochs, rate, left_out, ..TrainOptions::default() };
    let mut progress = |step: &str| eprintln!("{step}");
    let selection = match args.out {
        Some(out) if !args.folds_only => {
            let (model, selection) = train(training, &keep_out, &options, &mut progress);
            write(&out, &model.to_bytes())?;
            say(format!("model {} written to {}", model.version(), out.display()))?;
            selection
        }
        _ => cross_validate(training, &keep_out, &options, &mut progress),
    };
    if let Some(path) = args.report {
        write(&path, serde_json::to_string_pretty(&selection.evaluation)?.as_bytes())?;
    }
    print_selection(&selection)
}

fn print_selection(selection: &Selection) -> Result<()> {
    let thresholds: Vec<String> = selection.thresholds.iter().map(|threshold| format!("{threshold:.2}")).collect();
    say(format!("temperature {:.2}, thresholds {}", selection.temperature, thresholds.join(" ")))?;
    report::print(&selection.evaluation)
}

fn run_eval(args: EvalArgs) -> Result<()> {
    let evaluation = evaluate_tier(&args)?;
    if args.json { Ok(say(serde_json::to_string(&evaluation)?)?) } else { report::print(&evaluation) }
}

fn evaluate_tier(args: &EvalArgs) -> Result<Evaluation> {
    let rows = rows::labelled_rows(&args.data)?;
    match args.tier {
        JudgedTier::Fast => {
            let model = match &args.model {
                Some(path) => read_model(path)?,
                None => Model::embedded(),
            };
            let mut classifier = Classifier::new(Arc::clone(&model));
            let judged = judge(&rows, &mut |text| Verdict::from(classifier.judge(text).0));
            Ok(evaluate(args.tier.as_str(), model.version(), &judged))
        }
        #[cfg(feature = "deep")]
        JudgedTier::Deep => deep::evaluate_deep(&rows),
        #[cfg(feature = "deep")]
        JudgedTier::Cascade => {
            let (evaluation, share) = deep::evaluate_cascade(&rows, args.ask_below, args.share_max)?;
            eprintln!("{:.1} % of the rows were asked for", share * 100.0);
            Ok(evaluation)
        }
    }
}

fn read_model(path: &Path) -> Result<Arc<Model>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Arc::new(Model::from_bytes(&bytes).with_context(|| path.display().to_string())?))
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}
