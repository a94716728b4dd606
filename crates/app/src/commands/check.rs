//! `sinyal check`: each line ok, or what to do.

use std::time::Duration;

use anyhow::Result;
use classify::Model;
use kafka_io::admin::Admin;

use crate::cli::{OK, OUTSIDE, say};
use crate::commands::{schemas, topics};
use crate::config::Config;
use crate::registry::Registry;
use crate::telemetry::start_logging;

/// Arguments of `sinyal check`.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {}

/// Collects findings, and remembers whether all are right.
struct Findings {
    right: bool,
    lines: Vec<String>,
}

impl Findings {
    fn say(&mut self, what: &str, finding: Result<String, String>) {
        match finding {
            Ok(detail) => self.lines.push(format!("ok    {what}: {detail}")),
            Err(todo) => {
                self.right = false;
                self.lines.push(format!("TO DO {what}: {todo}"));
            }
        }
    }
}

pub(crate) fn run(_: CheckArgs, config: &Config) -> Result<u8> {
    start_logging("off", "auto")?;
    let mut findings = Findings { right: true, lines: Vec::new() };
    findings.say("configuration", Ok(format!("instance {}", config.instance_id)));
    findings.say(
        "pseudonym secret",
        match &config.pseudonym_secret {
            Some(secret) => Ok(format!("{} bytes, version {}", secret.bytes().len(), config.pseudonym_version)),
            None => Err("pseudonym.secret_file names no file; make one with `openssl rand -hex 32 > FILE`".to_owned()),
        },
    );
    findings.say("model", Ok(Model::embedded().version().to_owned()));
    check_kafka(config, &mut findings)?;
    check_registry(config, &mut findings);
    say(findings.lines.join("\n"))?;
    Ok(if findings.right { OK } else { OUTSIDE })
}

fn check_kafka(config: &Config, findings: &mut Findings) -> Result<()> {
    let admin = Admin::new(config.connection(), Duration::from_secs(10))?;
    let (known, brokers) = match admin.topics() {
        Ok(found) => found,
        Err(error) => {
            findings.say("brokers", Err(format!("{error}; is kafka.bootstrap right?")));
            return Ok(());
        }
    };
    findings.say("brokers", Ok(format!("{brokers} at {}", config.connection().bootstrap)));
    match topics::plan(&admin, config) {
        Ok(steps) => {
            for (spec, step) in steps {
                let finding = match step {
                    topics::Step::Fits => Ok(format!("{} partitions", spec.partitions)),
                    topics::Step::Create => Err("missing; `sinyal topics apply` makes it".to_owned()),
                    topics::Step::Grow { from } => Err(format!(
                        "{from} partitions, {} are configured; `sinyal topics apply` adds them",
                        spec.partitions
                    )),
                    topics::Step::Set(differ) => {
                        let differ: Vec<String> =
                            differ.iter().map(|(name, now)| format!("{name} is {now:?}")).collect();
                        Err(format!("{}; `sinyal topics apply` sets it", differ.join(", ")))
                    }
                    topics::Step::Impossible(why) => Err(why),
                };
                findings.say(&format!("topic {}", spec.name), finding);
            }
        }
        Err(error) => findings.say("topics", Err(error.to_string())),
    }
    // What the community stage reads together must be cut alike, whatever the configuration asks for.
    let count = |name: &str| known.iter().find(|topic| topic.name == name).map(|topic| topic.partitions);
    let names =
        [&config.topics.classified, &config.topics.corrections, &config.topics.actions, &config.topics.changelog];
    let counts: Vec<Option<i32>> = names.iter().map(|name| count(name)).collect();
    if counts.iter().all(Option::is_some) {
        let alike = counts.windows(2).all(|pair| pair[0] == pair[1]);
        findings.say(
            "inputs of the community stage",
            if alike {
                Ok("equal partition counts".to_owned())
            } else {
                let shown: Vec<String> =
                    names.iter().zip(&counts).map(|(name, count)| format!("{name} {}", count.unwrap_or(0))).collect();
                Err(format!("partition counts differ ({}); they must be equal", shown.join(", ")))
            },
        );
    }
    Ok(())
}

fn check_registry(config: &Config, findings: &mut Findings) {
    let Some(settings) = &config.registry else {
        findings.say("registry", Ok("none is configured; single-object encoding".to_owned()));
        return;
    };
    let registry = Registry::new(settings);
    for (topic, schema) in schemas::subjects(config) {
        let subject = format!("{topic}-value");
        let finding = match schemas::state(&registry, &subject, schema) {
            Ok((true, what)) => Ok(what),
            Ok((false, what)) => Err(what),
            Err(error) => Err(error.to_string()),
        };
        findings.say(&format!("subject {subject}"), finding);
    }
}
