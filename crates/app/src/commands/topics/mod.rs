//! `sinyal topics plan|apply`: Kafka's topics as they should be.

#[cfg(test)]
mod chart;
pub(crate) mod plan;

use std::time::Duration;

use anyhow::Result;
use comfy_table::{Table, presets};
use kafka_io::admin::Admin;

use self::plan::{Desired, Step, plan};
use crate::cli::{OK, OUTSIDE, OutsideError, say};
use crate::config::Config;
use crate::telemetry::start_logging;

/// Arguments of `sinyal topics`.
#[derive(Debug, clap::Args)]
pub(crate) struct TopicsArgs {
    #[command(subcommand)]
    command: TopicsCommand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Subcommand)]
enum TopicsCommand {
    /// Show what `apply` would do.
    Plan,
    /// Make what is missing, add partitions, set configurations. What is right stays as it is.
    Apply,
}

pub(crate) fn run(args: TopicsArgs, config: &Config) -> Result<u8> {
    start_logging("error", "auto")?;
    let admin = Admin::new(config.connection(), Duration::from_secs(10))?;
    let steps = plan(&admin, config)?;
    let apply = args.command == TopicsCommand::Apply;
    if apply {
        steps.iter().try_for_each(|(desired, step)| carry_out(&admin, desired, step))?;
    }
    say(table(&steps, apply))?;
    let refused = steps.iter().any(|(_, step)| !step.refused().is_empty());
    Ok(if refused { OUTSIDE } else { OK })
}

/// Makes the topics that a configuration asks for.
///
/// # Errors
/// What is refused: one that is there otherwise than asked for, and cannot be changed.
pub(crate) fn make_topics(admin: &Admin, config: &Config) -> Result<()> {
    let steps = plan(admin, config)?;
    let refused = |(desired, step): &(Desired, Step)| {
        let name = &desired.spec.name;
        step.refused().iter().map(|why| format!("{name}: {why}")).collect::<Vec<_>>()
    };
    let refused: Vec<String> = steps.iter().flat_map(refused).collect();
    if !refused.is_empty() {
        return Err(OutsideError(refused.join("; ")).into());
    }
    steps.iter().try_for_each(|(desired, step)| carry_out(admin, desired, step))
}

fn carry_out(admin: &Admin, desired: &Desired, step: &Step) -> Result<()> {
    let name = &desired.spec.name;
    match step {
        Step::Create => admin.create(&desired.spec)?,
        Step::Change(change) => {
            if let Some(partitions) = change.grow_to {
                admin.add_partitions(name, partitions)?;
            }
            if !change.settings.is_empty() {
                admin.alter_config(name, &change.to_set())?;
            }
        }
    }
    Ok(())
}

fn table(steps: &[(Desired, Step)], applied: bool) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["topic", "partitions", "replicas", "settings", if applied { "done" } else { "to do" }]);
    for (Desired { spec, .. }, step) in steps {
        let settings: Vec<String> = spec.config.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let (partitions, replicas) = match step {
            Step::Create => (spec.partitions, spec.replication),
            Step::Change(change) => (change.grow_to.unwrap_or(change.partitions), change.replication),
        };
        table.add_row([
            spec.name.clone(),
            partitions.to_string(),
            replicas.to_string(),
            settings.join(" "),
            words(step, applied),
        ]);
    }
    table
}

/// What is to be done or was done, in words.
fn words(step: &Step, applied: bool) -> String {
    let change = match step {
        Step::Create if applied => return "created".to_owned(),
        Step::Create => return "create".to_owned(),
        Step::Change(change) => change,
    };
    let mut words = Vec::new();
    if let Some(partitions) = change.grow_to {
        words.push(format!("from {} to {partitions} partitions", change.partitions));
    }
    if !change.settings.is_empty() {
        let names: Vec<String> =
            change.settings.iter().map(|setting| format!("{} (was {})", setting.name, setting.now)).collect();
        words.push(format!("set {}", names.join(", ")));
    }
    words.extend(change.refused.iter().map(|why| format!("REFUSED: {why}")));
    if words.is_empty() { "ok".to_owned() } else { words.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::plan::{Change, Setting};
    use super::*;

    #[test]
    fn everything_that_is_to_be_done_is_said() {
        let mut change =
            Change { partitions: 1, replication: 1, grow_to: None, settings: Vec::new(), refused: Vec::new() };
        assert_eq!(words(&Step::Change(change.clone()), false), "ok");
        change.grow_to = Some(3);
        change.settings = vec![Setting { name: "retention.ms".into(), now: "1".into(), wanted: "2".into() }];
        change.refused = vec!["too few replicas".to_owned()];
        assert_eq!(
            words(&Step::Change(change), false),
            "from 1 to 3 partitions; set retention.ms (was 1); REFUSED: too few replicas"
        );
        assert_eq!((words(&Step::Create, false), words(&Step::Create, true)), ("create".into(), "created".into()));
    }
}
