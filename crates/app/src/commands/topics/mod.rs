//! `sinyal topics plan|apply`: Kafka's topics as they should be, and who may do what to them.

mod acl_forms;
pub(crate) mod acls;
#[cfg(test)]
mod chart;
pub(crate) mod plan;

use std::time::Duration;

use anyhow::Result;
use comfy_table::{Table, presets};
use kafka_io::admin::Admin;

use self::acl_forms::{Form, Lists};
use self::acls::{Duty, rights};
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

#[derive(Debug, Clone, PartialEq, Eq, clap::Subcommand)]
enum TopicsCommand {
    /// Show what `apply` would do; or the rights that each role and command needs.
    Plan(PlanArgs),
    /// Make what is missing, add partitions, set configurations. What is right stays as it is.
    Apply,
}

#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
struct PlanArgs {
    /// The access control lists instead: the least that each role and command needs. Kafka is not asked.
    #[arg(long)]
    acls: bool,
    /// Only those of these roles and commands, by commas.
    #[arg(long = "role", value_name = "ROLE", value_delimiter = ',', requires = "acls")]
    roles: Vec<Duty>,
    /// One principal for all, such as User:sinyal; or ROLE=PRINCIPAL for one of them, as often as wanted. Without it each has its
    /// own, User:sinyal-ROLE.
    #[arg(long = "principal", value_name = "PRINCIPAL", requires = "acls", value_parser = principal)]
    principals: Vec<(Option<Duty>, String)>,
    /// The form.
    #[arg(long, value_enum, default_value_t, requires = "acls")]
    format: Form,
    /// The generation of which `reprocess` is to be allowed; without it that command is not among them.
    #[arg(long, value_name = "NAME", requires = "acls")]
    generation: Option<String>,
    /// The name of the Kafka cluster in Strimzi's form.
    #[arg(long, value_name = "NAME", default_value = "kafka", requires = "acls")]
    strimzi_cluster: String,
}

/// `PRINCIPAL` or `ROLE=PRINCIPAL`.
fn principal(text: &str) -> Result<(Option<Duty>, String), String> {
    let right = "User:NAME, or ROLE=User:NAME, is right";
    let (role, principal) = match text.split_once("=User:") {
        // A distinguished name has such signs of its own, behind `User:`.
        Some((role, name)) if !role.contains(':') => {
            (Some(<Duty as clap::ValueEnum>::from_str(role, false).map_err(|_| right)?), format!("User:{name}"))
        }
        _ => (None, text.to_owned()),
    };
    let is_right = principal.strip_prefix("User:").is_some_and(|name| !name.is_empty());
    if is_right && !principal.chars().any(char::is_control) { Ok((role, principal)) } else { Err(right.to_owned()) }
}

impl TopicsArgs {
    /// The generation that is to be rebuilt, if one is named.
    pub(crate) fn generation(&self) -> Option<&str> {
        match &self.command {
            TopicsCommand::Plan(args) => args.generation.as_deref(),
            TopicsCommand::Apply => None,
        }
    }
}

/// `next` is the configuration of the generation that is named, if one is.
pub(crate) fn run(args: TopicsArgs, config: &Config, next: Option<&Config>) -> Result<u8> {
    start_logging("error", "auto")?;
    if let TopicsCommand::Plan(args @ PlanArgs { acls: true, .. }) = &args.command {
        return show_acls(args, config, next);
    }
    let admin = Admin::new(config.connection(), Duration::from_secs(10))?;
    let mut steps = plan(&admin, config)?;
    let apply = args.command == TopicsCommand::Apply;
    if apply {
        steps.iter_mut().try_for_each(|(desired, step)| carry_out(&admin, desired, step))?;
    }
    say(table(&steps, apply))?;
    let refused = steps.iter().any(|(_, step)| !step.refused().is_empty());
    Ok(if refused { OUTSIDE } else { OK })
}

fn show_acls(args: &PlanArgs, config: &Config, next: Option<&Config>) -> Result<u8> {
    let mut lists = Lists::default();
    for duty in Duty::ALL.into_iter().filter(|duty| args.roles.is_empty() || args.roles.contains(duty)) {
        let rights = rights(duty, config, next);
        if rights.is_empty() {
            continue;
        }
        // The last that was said holds, and what was said of a role before what was said of all.
        let said = |of: Option<Duty>| args.principals.iter().rev().find(|(role, _)| *role == of);
        let principal = said(Some(duty)).or_else(|| said(None)).map(|(_, principal)| principal.clone());
        let principal = principal.unwrap_or_else(|| format!("User:sinyal-{}", duty.as_str()));
        lists.add(&principal, duty, rights);
    }
    say(lists.form(args.format, &config.connection().bootstrap, &args.strimzi_cluster))?;
    Ok(OK)
}

/// Makes the topics that a configuration asks for.
///
/// # Errors
/// What is refused: one that is there otherwise than asked for, and cannot be changed.
pub(crate) fn make_topics(admin: &Admin, config: &Config) -> Result<()> {
    let mut steps = plan(admin, config)?;
    none_refused(&steps)?;
    steps.iter_mut().try_for_each(|(desired, step)| carry_out(admin, desired, step))?;
    none_refused(&steps)
}

fn none_refused(steps: &[(Desired, Step)]) -> Result<()> {
    let refused = |(desired, step): &(Desired, Step)| {
        let name = &desired.spec.name;
        step.refused().iter().map(|why| format!("{name}: {why}")).collect::<Vec<_>>()
    };
    let refused: Vec<String> = steps.iter().flat_map(refused).collect();
    if refused.is_empty() { Ok(()) } else { Err(OutsideError(refused.join("; ")).into()) }
}

/// Carries a step out. A topic that somebody else made since it was looked for is treated as one that was there: the step becomes
/// what is to be done about that.
fn carry_out(admin: &Admin, desired: &Desired, step: &mut Step) -> Result<()> {
    let name = &desired.spec.name;
    if *step == Step::Create && !admin.create(&desired.spec)? {
        *step = made_by_others(admin, desired)?;
    }
    match step {
        Step::Create => {}
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

/// How often a topic is looked for that another has just made, and how long apart: brokers learn of it one after the other.
const LOOKS: usize = 50;
const LOOK_PAUSE: Duration = Duration::from_millis(200);

fn made_by_others(admin: &Admin, desired: &Desired) -> Result<Step> {
    for _ in 0..LOOKS {
        match plan::step(admin, &admin.topics()?.0, desired)? {
            Step::Create => std::thread::sleep(LOOK_PAUSE),
            step @ Step::Change(_) => return Ok(step),
        }
    }
    Err(OutsideError(format!("{}: it is there, by the brokers, and is not shown", desired.spec.name)).into())
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
    fn a_principal_is_one_for_all_or_of_a_role() {
        assert_eq!(principal("User:a"), Ok((None, "User:a".to_owned())));
        assert_eq!(principal("dlq=User:a"), Ok((Some(Duty::Dlq), "User:a".to_owned())));
        assert_eq!(principal("User:CN=a,O=b"), Ok((None, "User:CN=a,O=b".to_owned())));
        assert_eq!(principal("notify=User:CN=a"), Ok((Some(Duty::Notify), "User:CN=a".to_owned())));
        for wrong in ["a", "User:", "nobody=User:a", "dlq=a", "User:a\nb"] {
            assert!(principal(wrong).is_err(), "{wrong:?}");
        }
    }

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
