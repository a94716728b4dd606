//! The command line: what there is, and what each exit code means.

use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use kafka_io::OwnerError;

use crate::commands::{check, classify, demo, ingest, model, run, schemas, sim, tail, topics};
use crate::config::{self, Config, ConfigErrors};

/// Done.
pub(crate) const OK: u8 = 0;
/// It failed.
pub(crate) const FAILURE: u8 = 1;
/// The command line or the configuration is wrong.
pub(crate) const USAGE: u8 = 2;
/// Something outside must be mended first.
pub(crate) const OUTSIDE: u8 = 3;
/// Some of the input was refused; the rest was taken.
pub(crate) const REFUSED: u8 = 4;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line or the configuration is wrong
  3  something outside must be mended first: authorisation, another instance of the same name, missing state or topics
  4  some of the input was refused, the rest was taken";

/// Social conversation into signals that an organisation can act on, on Apache Kafka.
#[derive(Debug, Parser)]
#[command(name = "sinyal", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    /// The configuration file (TOML); `sinyal config default` shows every key.
    #[arg(long, global = true, env = "SINYAL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Kafka's address, host:port; wins over the configuration.
    #[arg(long, global = true, value_name = "HOST:PORT")]
    bootstrap: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Everything at once on an embedded Kafka, without any set-up.
    #[command(after_help = "\
Examples:
  sinyal demo                                   until q or Ctrl-C
  sinyal demo --duration 30s --json             a summary as one JSON object on the last line
  kcat -b ADDRESS -L                            while it runs: its topics
  sinyal tail --bootstrap ADDRESS social.community.metrics")]
    Demo(demo::DemoArgs),
    /// The service: classify, community, or both.
    #[command(after_help = "\
Examples:
  sinyal run --config sinyal.toml
  sinyal run --config sinyal.toml --role classify")]
    Run(run::RunArgs),
    /// Look at configuration, brokers, topics, registry and model: each line ok, or what to do.
    Check(check::CheckArgs),
    /// Make Kafka's topics fit.
    Topics(topics::TopicsArgs),
    /// Make the registry's schemas fit.
    Schemas(schemas::SchemasArgs),
    /// JSON Lines into the raw topics.
    #[command(after_help = "\
Examples:
  sinyal sim --seed 7 --interactions 1000 | sinyal ingest - --config sinyal.toml
  sinyal ingest posts.jsonl --bootstrap localhost:9092")]
    Ingest(ingest::IngestArgs),
    /// Lines of text, or JSON Lines, into labels.
    #[command(after_help = "\
Examples:
  echo 'kok paketnya belum sampai ya' | sinyal classify
  echo '{\"id\":\"1\",\"text\":\"mantap, cepat sekali\"}' | sinyal classify --json -")]
    Classify(classify::ClassifyArgs),
    /// Records of a topic, decoded, as JSON Lines.
    #[command(after_help = "\
Examples:
  sinyal tail social.community.metrics --bootstrap localhost:9092
  sinyal tail social.dead-letters --from 0:17 --count 1")]
    Tail(tail::TailArgs),
    /// Train and judge the fast tier.
    Model(model::ModelArgs),
    /// A seeded world of communities with known truth, as JSON Lines.
    Sim(sim::SimArgs),
    /// The configuration's defaults, commented.
    Config(ConfigArgs),
    /// Completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print every key with its default and what it means.
    Default,
}

/// Carries out a command.
///
/// # Errors
/// What it failed with; see [`exit_code`].
pub(crate) fn dispatch(cli: Cli) -> Result<u8> {
    let file = cli.config;
    let bootstrap = cli.bootstrap;
    let load = || -> Result<Config> {
        let mut config = Config::load(file.as_deref(), std::env::vars())?;
        if let Some(bootstrap) = bootstrap {
            config.kafka.connection.bootstrap = bootstrap;
        }
        Ok(config)
    };
    match cli.command {
        Command::Demo(args) => demo::run(args, load()?),
        Command::Run(args) => run::run(args, load()?),
        Command::Check(args) => check::run(args, &load()?),
        Command::Topics(args) => topics::run(args, &load()?),
        Command::Schemas(args) => schemas::run(args, &load()?),
        Command::Ingest(args) => ingest::run(args, &load()?),
        Command::Classify(args) => classify::run(args, &load()?),
        Command::Tail(args) => tail::run(args, &load()?),
        Command::Model(args) => model::run(args).map(|()| OK),
        Command::Sim(args) => sim::run(args).map(|()| OK),
        Command::Config(ConfigArgs { command: ConfigCommand::Default }) => {
            use std::io::Write;
            std::io::stdout().write_all(config::DEFAULT.as_bytes())?;
            Ok(OK)
        }
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "sinyal", &mut std::io::stdout());
            Ok(OK)
        }
    }
}

/// Writes one line to standard output. Unlike `println!` it does not panic when whoever reads has had enough.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn say(line: impl std::fmt::Display) -> std::io::Result<()> {
    use std::io::Write;
    writeln!(std::io::stdout().lock(), "{line}")
}

/// The exit code of a failure.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    if error.chain().any(|cause| cause.is::<ConfigErrors>()) {
        return USAGE;
    }
    match error.chain().find_map(|cause| cause.downcast_ref::<OwnerError>()) {
        Some(OwnerError::Fenced { .. } | OwnerError::MissingState { .. } | OwnerError::Unauthorized(_)) => OUTSIDE,
        Some(OwnerError::Config(_)) => USAGE,
        _ => FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn failures_have_their_codes() {
        assert_eq!(exit_code(&ConfigErrors(vec![]).into()), USAGE);
        assert_eq!(exit_code(&OwnerError::Unauthorized(String::new()).into()), OUTSIDE);
        assert_eq!(exit_code(&anyhow::anyhow!("no")), FAILURE);
    }
}
