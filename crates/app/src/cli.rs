//! The command line: what there is, and what each exit code means.

use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use kafka_io::OwnerError;
use kafka_io::admin::AdminError;
use kafka_io::feed::FeedError;
use kafka_io::reader::ReadError;
use record::stage::Stop;

use crate::commands::{
    alerts, check, classify, communities, corrections, demo, dlq, erase, explain, fairness, ingest, model, queue,
    reprocess, route, run, schemas, sim, sink, status, tail, topics,
};
use crate::config::{self, Config, ConfigErrors};
use crate::registry::RegistryError;

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
/// The pipeline is behind, or blind.
pub(crate) const BLIND: u8 = 5;
/// A bug: something panicked. It is what Rust itself ends with.
pub(crate) const PANICKED: u8 = 101;

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  failed
  2  the command line or the configuration is wrong
  3  something outside must be mended first: authorisation, another instance of the same name, missing state or topics,
     a schema that is not registered, brokers or a registry that cannot be reached
  4  some of the input was refused, the rest was taken
  5  status: the pipeline is behind, or does not see
  101  a bug: it panicked";

/// The version, with the commit and its day where a release was built (`cargo xtask release`).
pub(crate) const VERSION: &str = match option_env!("SINYAL_BUILD") {
    Some(build) => build,
    None => env!("CARGO_PKG_VERSION"),
};

/// Something outside is not as it should be: what, where, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct OutsideError(pub(crate) String);

/// A part of the program panicked; its message stands above.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} panicked; its message stands above")]
pub(crate) struct PanickedError(pub(crate) String);

/// Social conversation into signals that an organisation can act on, on Apache Kafka.
#[derive(Debug, Parser)]
#[command(name = "sinyal", version = VERSION, after_help = EXIT_CODES)]
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
    /// The service: classify, community, notify, sink, or several of them.
    #[command(after_help = "\
Examples:
  sinyal run --config sinyal.toml
  sinyal run --config sinyal.toml --role classify
  sinyal run --config sinyal.toml --role notify    alerts to whom [[notify.targets]] names
  sinyal run --config sinyal.toml --role sink      rows for dashboards into the database of [sink]")]
    Run(run::RunArgs),
    /// Rebuild everything from the raw topics, into topics of another generation, beside what runs.
    #[command(after_help = "\
Examples:
  sinyal reprocess --generation g2 --config sinyal.toml            until everything that is there is rebuilt
  SINYAL__TOPICS__PARTITIONS=12 sinyal reprocess --generation g2   with another number of partitions
  SINYAL__TOPICS__GENERATION=g2 sinyal run --config sinyal.toml    after the cut-over")]
    Reprocess(reprocess::ReprocessArgs),
    /// Look at configuration, brokers, topics, registry and model: each line ok, or what to do.
    #[command(after_help = "\
Examples:
  sinyal check --config sinyal.toml
  sinyal check --role classify                  also whether this user may do all that the role needs
  sinyal check --bootstrap localhost:9092       the defaults, against these brokers")]
    Check(check::CheckArgs),
    /// How the pipeline stands: lag, event time, sources, dead letters, and what it does not see.
    #[command(after_help = "\
Examples:
  sinyal status --config sinyal.toml            exit code 5 if it is behind or blind
  sinyal status --json | jq .behind
  sinyal status --follow                        a line whenever that changes, as the notifier goes by it")]
    Status(status::StatusArgs),
    /// Make Kafka's topics fit.
    #[command(after_help = "\
Examples:
  sinyal topics plan --config sinyal.toml       what is missing or differs; nothing is changed
  sinyal topics apply --config sinyal.toml
  sinyal topics plan --acls --config sinyal.toml                     what each role and command must be allowed
  sinyal topics plan --acls --role classify --format kafka-acls      the commands that allow it
  sinyal topics plan --acls --principal User:sinyal --format strimzi    one user for all, for Strimzi's operator")]
    Topics(topics::TopicsArgs),
    /// Make the registry's schemas fit.
    #[command(after_help = "\
Examples:
  sinyal schemas check --config sinyal.toml
  SINYAL__REGISTRY__URL=http://localhost:8081 sinyal schemas register")]
    Schemas(schemas::SchemasArgs),
    /// Make the tables of the database that dashboards read.
    #[command(after_help = "\
Examples:
  sinyal sink plan --config sinyal.toml         what is missing; nothing is changed
  sinyal sink plan --sql                        the statements of it
  sinyal sink plan --grants --reader grafana    what the sink and the dashboards need, as GRANT statements
  SINYAL__SINK__URL=postgresql://owner@db.example/dashboards sinyal sink apply")]
    Sink(sink::SinkArgs),
    /// JSON Lines into the raw topics.
    #[command(after_help = "\
Examples:
  sinyal sim --seed 7 --interactions 1000 | sinyal ingest - --config sinyal.toml
  sinyal ingest posts.jsonl --bootstrap localhost:9092")]
    Ingest(ingest::IngestArgs),
    /// What waits for an answer: list it, take it, close it.
    #[command(after_help = "\
Examples:
  sinyal queue list --queue complaint           what waits, the most urgent first
  sinyal queue show 'warga-kota|comment|1742'
  sinyal queue claim 'warga-kota|comment|1742' --by sari --for 30m --wait
  sinyal queue ack 'warga-kota|comment|1742' --by sari --reason 'answered by phone'")]
    Queue(queue::QueueArgs),
    /// Alerts: what is on, why, and who has taken it.
    #[command(after_help = "\
Examples:
  sinyal alerts list
  sinyal alerts show 'complaint_spike|warga-kota|1764061200000'
  sinyal alerts ack 'complaint_spike|warga-kota|1764061200000' --by sari
  sinyal alerts silence warga-kota --for 2h --by sari --reason 'maintenance, announced'")]
    Alerts(alerts::AlertsArgs),
    /// Whether answers take longer for some than for others: by reach and by language.
    #[command(after_help = "\
Examples:
  sinyal fairness
  sinyal fairness --since 1d --queue complaint
  sinyal fairness --json")]
    Fairness(fairness::FairnessArgs),
    /// Dead letters: which there are, and giving them another try.
    #[command(after_help = "\
Examples:
  sinyal dlq list --group
  sinyal dlq list --reason unknown_schema --since 2h
  sinyal dlq show 0:17
  sinyal dlq redrive --reason unknown_schema              what would be done
  sinyal dlq redrive --reason unknown_schema --execute    do it")]
    Dlq(dlq::DlqArgs),
    /// What there is of a person, topic by topic; and taking it out.
    #[command(after_help = "\
Examples:
  sinyal erase --author 17841400                        what there is, and what would be done
  sinyal erase --author - --execute --wait --by dpo     the id from standard input; until nothing is left
  sinyal erase --author 17841400 --json")]
    Erase(erase::EraseArgs),
    /// Responders' corrections, onto their topic, and from there as rows to train with.
    #[command(after_help = "\
Examples:
  sinyal corrections add --community warga-kota --kind post --id 1742 --label complaint --by sari
  sinyal corrections import corrections.jsonl --config sinyal.toml
  sinyal corrections export --since 30d > corrections.tsv")]
    Corrections(corrections::CorrectionsArgs),
    /// Lines of text, or JSON Lines, into labels.
    #[command(after_help = "\
Examples:
  echo 'kok paketnya belum sampai ya' | sinyal classify
  echo '{\"id\":\"1\",\"text\":\"mantap, cepat sekali\"}' | sinyal classify --json -")]
    Classify(classify::ClassifyArgs),
    /// Why a text is decided as it is, or why a record was.
    #[command(after_help = "\
Examples:
  sinyal explain --text 'Kecewa, paket belum sampai juga'
  sinyal explain social.interactions.classified:3:1742 --config sinyal.toml
  sinyal explain social.queue.review:0:17 --json")]
    Explain(explain::ExplainArgs),
    /// Which rule a text would take to which queue, when an answer would be due, and why not the other rules.
    #[command(after_help = "\
Examples:
  sinyal route --text 'Kecewa, paket belum sampai juga' --config sinyal.toml
  sinyal route --text 'Kecewa, paket belum sampai juga' --community warga-kota --direction member_to_brand --json")]
    Route(route::RouteArgs),
    /// The community registry: time zones, business hours, holidays, the brand's accounts, departments.
    #[command(after_help = "\
Examples:
  sinyal communities check communities.toml     ok, or everything that is wrong with it
  sinyal communities list --config sinyal.toml
  sinyal communities list --json --config sinyal.toml
  sinyal communities put communities.toml --prune --config sinyal.toml")]
    Communities(communities::CommunitiesArgs),
    /// Records of a topic, decoded, as JSON Lines.
    #[command(after_help = "\
Examples:
  sinyal tail social.community.metrics --bootstrap localhost:9092
  sinyal tail social.community.metrics --community warga-kota --follow
  sinyal tail social.dead-letters --from 0:17 --count 1")]
    Tail(tail::TailArgs),
    /// Train and judge the fast tier.
    #[command(after_help = "\
Examples:
  sinyal model eval --data dev.tsv              the model that is compiled in
  sinyal model train --data data/ --out fast.bin
  sinyal model eval --data dev.tsv --model fast.bin --json")]
    Model(model::ModelArgs),
    /// A seeded world of communities with known truth, as JSON Lines.
    #[command(after_help = "\
Examples:
  sinyal sim --seed 7 --interactions 1000 > world.jsonl
  sinyal sim --communities 100 --rate 50 --start 2026-11-24T08:00:00+07:00 | sinyal ingest -")]
    Sim(sim::SimArgs),
    /// The configuration's defaults, commented.
    #[command(after_help = "\
Examples:
  sinyal config default > sinyal.toml           then keep only what differs
  sinyal config default | grep -B3 commit_interval_ms")]
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
    /// Print a JSON schema (draft-07) of the configuration, for editors and for checks in a pipeline of one's own.
    Schema,
}

/// Carries out a command.
///
/// # Errors
/// What it failed with; see [`exit_code`].
pub(crate) fn dispatch(cli: Cli) -> Result<u8> {
    let file = cli.config;
    let bootstrap = cli.bootstrap;
    let load_with = |variable: Option<(&str, &str)>| -> Result<Config> {
        let said = variable.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let environment = config::environment()?.into_iter();
        let environment = environment.filter(|(name, _)| variable.is_none_or(|(said, _)| name != said));
        let mut config = Config::load(file.as_deref(), environment.chain(said))?;
        if let Some(bootstrap) = &bootstrap {
            if !config::is_bootstrap(bootstrap) {
                return Err(ConfigErrors(vec![format!("--bootstrap {}", config::NO_BOOTSTRAP)]).into());
            }
            config.kafka.connection.bootstrap.clone_from(bootstrap);
        }
        Ok(config)
    };
    let load = || load_with(None);
    // With the community registry as it is now, also where it is a topic.
    let load_with_registry = || -> Result<Config> {
        let mut config = load()?;
        config.communities = crate::communities::configured(&config)?;
        Ok(config)
    };
    match cli.command {
        Command::Demo(args) => demo::run(args, load()?),
        Command::Explain(args) => explain::run(args, &load_with_registry()?),
        Command::Run(args) => run::run(args, load()?),
        Command::Reprocess(args) => {
            let next = load_with(Some(("SINYAL__TOPICS__GENERATION", &args.generation)))?;
            reprocess::run(&args, &load()?, next)
        }
        Command::Check(args) => check::run(args, &load()?),
        Command::Status(args) => status::run(&args, load()?),
        Command::Topics(args) => {
            let generation = args.generation().map(str::to_owned);
            let next = generation.map(|name| load_with(Some(("SINYAL__TOPICS__GENERATION", &name)))).transpose()?;
            topics::run(args, &load()?, next.as_ref())
        }
        Command::Schemas(args) => schemas::run(args, &load()?),
        Command::Sink(args) => sink::run(&args, &load()?),
        Command::Ingest(args) => ingest::run(args, &load()?),
        Command::Corrections(args) => corrections::run(args, &load()?),
        Command::Queue(args) => queue::run(args, &load()?),
        Command::Alerts(args) => alerts::run(args, &load()?),
        Command::Fairness(args) => fairness::run(&args, &load()?),
        Command::Dlq(args) => dlq::run(args, &load()?),
        Command::Erase(args) => erase::run(&args, &load()?),
        Command::Classify(args) => classify::run(args, &load()?),
        Command::Route(args) => route::run(&args, &load_with_registry()?),
        Command::Communities(args) => match args.command {
            communities::Command::List { json } => communities::list(json, &load_with_registry()?),
            communities::Command::Put(args) => communities::put(&args, &load()?),
            communities::Command::Check { file } => communities::check(&file),
        },
        Command::Tail(args) => tail::run(args, &load()?),
        Command::Model(args) => model::run(args).map(|()| OK),
        Command::Sim(args) => sim::run(args).map(|()| OK),
        Command::Config(ConfigArgs { command: ConfigCommand::Default }) => {
            use std::io::Write;
            std::io::stdout().write_all(config::DEFAULT.as_bytes())?;
            Ok(OK)
        }
        Command::Config(ConfigArgs { command: ConfigCommand::Schema }) => {
            say(serde_json::to_string_pretty(&config::schema()?)?)?;
            Ok(OK)
        }
        Command::Completions { shell } => {
            // It panics where what it writes to has gone.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sinyal", &mut script);
            std::io::Write::write_all(&mut std::io::stdout(), &script)?;
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
    error.chain().find_map(code_of).unwrap_or(FAILURE)
}

/// What one cause of a failure says of its exit code, if anything.
fn code_of(cause: &(dyn std::error::Error + 'static)) -> Option<u8> {
    if cause.is::<OutsideError>() || cause.is::<RegistryError>() {
        return Some(OUTSIDE);
    }
    if cause.is::<PanickedError>() {
        return Some(PANICKED);
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            OwnerError::Fenced { .. } | OwnerError::MissingState { .. } | OwnerError::Unauthorized(_) => Some(OUTSIDE),
            OwnerError::Stage(Stop::Changelog { .. } | Stop::Partitions(_)) => Some(OUTSIDE),
            OwnerError::Config(_) => Some(USAGE),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            AdminError::Unreachable { .. }
            | AdminError::NotLetIn { .. }
            | AdminError::Unauthorized(_)
            | AdminError::Refused { .. } => Some(OUTSIDE),
            AdminError::Config(_) => Some(USAGE),
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            ReadError::NoTopic(_) | ReadError::Unauthorized(_) | ReadError::NotLetIn { .. } => Some(OUTSIDE),
            ReadError::Failed { .. } => None,
        };
    }
    matches!(cause.downcast_ref(), Some(FeedError::Config(_))).then_some(USAGE)
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
        assert_eq!(exit_code(&OwnerError::Config(String::new()).into()), USAGE);
        assert_eq!(exit_code(&OutsideError("topic a is missing".to_owned()).into()), OUTSIDE);
        let unreachable = RegistryError::Unreachable { url: String::new(), detail: String::new() };
        assert_eq!(exit_code(&anyhow::Error::new(unreachable).context("cannot start")), OUTSIDE);
        assert_eq!(exit_code(&ReadError::NoTopic(String::new()).into()), OUTSIDE);
        assert_eq!(exit_code(&AdminError::Config(String::new()).into()), USAGE);
        assert_eq!(exit_code(&FeedError::Config(String::new()).into()), USAGE);
        assert_eq!(exit_code(&FeedError::Timeout(1).into()), FAILURE);
        assert_eq!(exit_code(&anyhow::anyhow!("no")), FAILURE);
        assert_eq!(exit_code(&PanickedError("role sink".to_owned()).into()), PANICKED);
    }

    #[test]
    fn numbers_out_of_range_are_mistakes_of_usage() {
        for wrong in [
            &["sinyal", "demo", "--speed", "0"][..],
            &["sinyal", "demo", "--rate", "NaN"],
            &["sinyal", "sim", "--rate", "0"],
            &["sinyal", "sim", "--start", "1999-01-01T00:00:00Z"],
            &["sinyal", "ingest", "-", "--rate", "0"],
            &["sinyal", "queue", "claim", "a|post|1", "--by", "b", "--for", "8d"],
            &["sinyal", "alerts", "silence", "a", "--by", "b", "--reason", "c", "--for", "31d"],
            &["sinyal", "dlq", "redrive", "--max-attempts", "1"],
            &["sinyal", "fairness", "--since", "soon"],
            &["sinyal", "model", "train", "--data", "a", "--out", "b", "--epochs", "0"],
        ] {
            let error = Cli::try_parse_from(wrong).map(|_| ()).unwrap_err();
            assert_eq!(error.exit_code(), i32::from(USAGE), "{wrong:?}");
            assert!(error.to_string().contains(" is right") || error.to_string().contains(".."), "{error}");
        }
    }

    #[test]
    fn every_command_has_examples() {
        for command in Cli::command().get_subcommands().filter(|command| command.get_name() != "completions") {
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.starts_with("Examples:\n  "), "{}", command.get_name());
        }
        for group in Cli::command().get_subcommands().filter(|command| OPERATORS.contains(&command.get_name())) {
            for command in group.get_subcommands().filter(|command| command.get_name() != "help") {
                let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
                let begin = format!("Examples:\n  sinyal {} {}", group.get_name(), command.get_name());
                assert!(after.starts_with(&begin), "{} {}", group.get_name(), command.get_name());
            }
        }
    }

    /// Those whose own commands are typed by hand.
    const OPERATORS: [&str; 3] = ["queue", "alerts", "dlq"];

    #[test]
    fn every_example_is_one() {
        let mut command = Cli::command();
        command.build();
        let mut examples = Vec::new();
        let mut left = vec![command];
        while let Some(command) = left.pop() {
            examples.extend(command.get_after_help().map(ToString::to_string));
            left.extend(command.get_subcommands().cloned());
        }
        let mut checked = 0;
        for line in examples.iter().flat_map(|examples| examples.lines()) {
            let Some(line) = line.strip_prefix("  sinyal ") else { continue };
            // A remark stands behind a few blanks; what follows a pipe or a redirection is the shell's.
            let line = line.split("    ").next().unwrap_or_default();
            let line = line
                .split(
                    [">", "| "]
                        .map(|end| format!(" {end}"))
                        .iter()
                        .find(|end| line.contains(*end))
                        .map_or("\0", |end| end),
                )
                .next();
            let line = line.unwrap_or_default().trim();
            let mut words = vec!["sinyal".to_owned()];
            for (place, part) in line.split('\'').enumerate() {
                if place % 2 == 1 {
                    words.push(part.to_owned());
                } else {
                    words.extend(part.split_whitespace().map(str::to_owned));
                }
            }
            if let Err(error) = Cli::try_parse_from(&words) {
                panic!("{words:?}: {error}");
            }
            checked += 1;
        }
        assert!(checked > 40, "{checked} examples");
    }
}
