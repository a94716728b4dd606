//! `sinyal alerts list|show|ack|silence|unsilence`: alerts, for those whom they wake. And `evaluate`: how well the rules tell of crises.

mod act;
mod evaluate;
mod list;
mod show;

use anyhow::Result;

use crate::config::Config;

/// Arguments of `sinyal alerts`.
#[derive(Debug, clap::Args)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// What is on: firing or acknowledged, the most severe first.
    #[command(after_help = "\
Examples:
  sinyal alerts list
  sinyal alerts list --state pending,firing --community warga-kota
  sinyal alerts list --all --json")]
    List(list::ListArgs),
    /// Everything about one alert: what was seen and expected, both sentences, samples, links.
    #[command(after_help = "\
Examples:
  sinyal alerts show 'complaint_spike|warga-kota|1764061200000'")]
    Show(show::ShowArgs),
    /// Say that somebody has taken it.
    #[command(after_help = "\
Examples:
  sinyal alerts ack 'complaint_spike|warga-kota|1764061200000' --by sari --wait")]
    Ack(act::AckArgs),
    /// Send no alerts of a community, or of one rule there, until a time: they are recorded all the same.
    #[command(after_help = "\
Examples:
  sinyal alerts silence warga-kota --for 2h --by sari --reason 'maintenance, announced'
  sinyal alerts silence 'warga-kota|complaint_spike' --for 1d --by sari --reason 'known, ticket 1742'")]
    Silence(act::SilenceArgs),
    /// End a silence before its time.
    #[command(after_help = "\
Examples:
  sinyal alerts unsilence warga-kota --by sari")]
    Unsilence(act::UnsilenceArgs),
    /// How well the configured rules tell of made-up crises with known truth, beside other detectors. Takes some minutes.
    #[command(after_help = "\
Examples:
  sinyal alerts evaluate
  sinyal alerts evaluate --seeds 5000..5600 --json
  SINYAL__ALERTS__COMPLAINT_SPIKE__THRESHOLD=9 sinyal alerts evaluate --months 50")]
    Evaluate(evaluate::EvaluateArgs),
}

pub(crate) fn run(args: AlertsArgs, config: &Config) -> Result<u8> {
    match args.command {
        Command::List(args) => list::run(&args, config),
        Command::Show(args) => show::run(&args, config),
        Command::Ack(args) => act::acknowledge(&args, config),
        Command::Silence(args) => act::silence(&args, config),
        Command::Unsilence(args) => act::unsilence(&args, config),
        Command::Evaluate(args) => evaluate::run(&args, &config.alerts).map(|()| crate::cli::OK),
    }
}
