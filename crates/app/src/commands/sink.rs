//! `sinyal sink plan|apply`: the tables of the database that dashboards read.

use anyhow::Result;

use crate::cli::{OK, OutsideError, say};
use crate::config::{Config, ConfigErrors, Sink};
use crate::roles::sink::Database;
use crate::roles::sink::migrations::{MIGRATIONS, Migration, grants, newest, preamble, step};
use crate::telemetry::start_logging;

/// Arguments of `sinyal sink`.
#[derive(Debug, clap::Args)]
pub(crate) struct SinkArgs {
    #[command(subcommand)]
    command: SinkCommand,
}

#[derive(Debug, clap::Subcommand)]
enum SinkCommand {
    /// Show what `apply` would do.
    Plan(PlanArgs),
    /// Make what is missing. What is there stays as it is.
    Apply,
}

#[derive(Debug, clap::Args)]
struct PlanArgs {
    /// The statements that are missing.
    #[arg(long)]
    sql: bool,
    /// The statements that let the sink write and dashboards read, and no more; the database is not asked.
    #[arg(long, conflicts_with = "sql")]
    grants: bool,
    /// Whom to let write; without it the user of sink.url.
    #[arg(long, requires = "grants", value_name = "ROLE")]
    writer: Option<String>,
    /// Whom to let read.
    #[arg(long, requires = "grants", value_name = "ROLE", default_value = "sinyal_dashboards")]
    reader: String,
}

pub(crate) fn run(args: &SinkArgs, config: &Config) -> Result<u8> {
    start_logging("error", "auto")?;
    let Some(sink) = &config.sink else {
        let right = "a URL such as postgresql://sinyal_sink@db.example:5432/dashboards is right";
        return Err(ConfigErrors(vec![format!("sink.url is empty; {right}")]).into());
    };
    if let SinkCommand::Plan(PlanArgs { grants: true, writer, reader, .. }) = &args.command {
        let user = sink.server.get_user().unwrap_or_default();
        let database = sink.server.get_dbname().unwrap_or_default();
        say(grants(&sink.schema, database, writer.as_deref().unwrap_or(user), reader))?;
        return Ok(OK);
    }
    let mut database = Database::new(sink)?;
    let version = database.version().map_err(|trouble| outside(sink, &trouble))?;
    let missing: Vec<&Migration> = MIGRATIONS.iter().filter(|migration| migration.version > version).collect();
    match &args.command {
        SinkCommand::Plan(PlanArgs { sql: true, .. }) => {
            if !missing.is_empty() {
                say(format!("BEGIN;\n{}\nCOMMIT;", statements(sink, &missing)))?;
            }
            return Ok(OK);
        }
        SinkCommand::Plan(_) => {}
        SinkCommand::Apply => {
            if !missing.is_empty() {
                database.migrate(version, &statements(sink, &missing)).map_err(|trouble| outside(sink, &trouble))?;
            }
        }
    }
    let applies = matches!(args.command, SinkCommand::Apply);
    for migration in MIGRATIONS {
        let word = match (migration.version > version, applies) {
            (false, _) => "ok",
            (true, false) => "to do",
            (true, true) => "done",
        };
        say(format!("{} {}.{}: {}: {word}", sink.place(), sink.schema, migration.version, migration.name))?;
    }
    if version > newest() {
        say(format!("{} {}: at version {version}, which a newer build made", sink.place(), sink.schema))?;
    }
    Ok(OK)
}

fn statements(sink: &Sink, missing: &[&Migration]) -> String {
    let steps = missing.iter().map(|migration| step(migration));
    std::iter::once(preamble(&sink.schema)).chain(steps).collect::<Vec<_>>().join("\n")
}

/// Whether the database is there and its tables are as they must be, in words.
///
/// # Errors
/// What would have to be mended.
pub(crate) fn ask_database(sink: &Sink) -> Result<String> {
    let version = Database::new(sink)?.version().map_err(|trouble| outside(sink, &trouble))?;
    let needed = newest();
    anyhow::ensure!(
        version >= needed,
        "{}: schema {} is at version {version}, and {needed} is needed; `sinyal sink apply` takes it there",
        sink.place(),
        sink.schema
    );
    Ok(format!("{}, schema {} at version {version}", sink.place(), sink.schema))
}

fn outside(sink: &Sink, trouble: &crate::roles::sink::Trouble) -> OutsideError {
    OutsideError(format!("database {}: {trouble}", sink.place()))
}
