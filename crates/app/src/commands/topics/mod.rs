//! `sinyal topics plan|apply`: Kafka's topics as they should be.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use comfy_table::{Table, presets};
use kafka_io::admin::{Admin, AdminError, TopicInfo, TopicSpec};
use record::limits;

use crate::cli::{OK, OUTSIDE, say};
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

/// What is to be done about one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is as it should be.
    Fits,
    Create,
    /// More partitions.
    Grow {
        from: i32,
    },
    /// Other settings; the names and what they are now.
    Set(Vec<(String, String)>),
    /// It cannot be made to fit.
    Impossible(String),
}

pub(crate) fn run(args: TopicsArgs, config: &Config) -> Result<u8> {
    start_logging("error", "auto")?;
    let admin = Admin::new(config.connection(), Duration::from_secs(10))?;
    let steps = match plan(&admin, config) {
        Ok(steps) => steps,
        Err(error @ AdminError::Unreachable { .. }) => {
            eprintln!("sinyal: {error}");
            return Ok(OUTSIDE);
        }
        Err(error) => return Err(error.into()),
    };
    if args.command == TopicsCommand::Apply {
        for (spec, step) in &steps {
            match step {
                Step::Create => admin.create(spec)?,
                Step::Grow { .. } => admin.add_partitions(&spec.name, spec.partitions)?,
                Step::Set(_) => admin.alter_config(&spec.name, &spec.config)?,
                Step::Fits | Step::Impossible(_) => {}
            }
        }
    }
    say(table(&steps, args.command == TopicsCommand::Apply))?;
    let impossible = steps.iter().any(|(_, step)| matches!(step, Step::Impossible(_)));
    Ok(if impossible { OUTSIDE } else { OK })
}

/// What is to be done about each topic.
pub(crate) fn plan(admin: &Admin, config: &Config) -> Result<Vec<(TopicSpec, Step)>, AdminError> {
    let (known, _) = admin.topics()?;
    let mut steps = Vec::new();
    for spec in desired(config) {
        let step = match known.iter().find(|topic| topic.name == spec.name) {
            None => Step::Create,
            Some(topic) => compare(&spec, topic, &admin.config(&spec.name)?, is_read_together(config, &spec.name)),
        };
        steps.push((spec, step));
    }
    Ok(steps)
}

/// Whether the community stage reads it: with more partitions its communities would live on others than their state.
fn is_read_together(config: &Config, name: &str) -> bool {
    let topics = &config.topics;
    [&topics.classified, &topics.corrections, &topics.actions, &topics.changelog].into_iter().any(|of| of == name)
}

/// The topics that the configuration asks for.
pub(crate) fn desired(config: &Config) -> Vec<TopicSpec> {
    let topics = &config.topics;
    let spec = |name: &str, partitions: i32, settings: &[(&str, String)]| TopicSpec {
        name: name.to_owned(),
        partitions,
        replication: topics.replication,
        config: settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    };
    let delete =
        |retention_ms: i64| [("cleanup.policy", "delete".to_owned()), ("retention.ms", retention_ms.to_string())];
    let compact = [("cleanup.policy", "compact".to_owned())];
    let raw_bytes = (config.raw_record_bytes_max + limits::DEAD_LETTER_EXTRA_BYTES).to_string();
    let mut dead_letters = delete(topics.dead_letter_retention_ms).to_vec();
    dead_letters.push(("max.message.bytes", raw_bytes));
    let metrics =
        [("cleanup.policy", "compact,delete".to_owned()), ("retention.ms", topics.metrics_retention_ms.to_string())];
    let mut specs = vec![
        spec(&topics.posts_raw, topics.raw_partitions, &[]),
        spec(&topics.comments_raw, topics.raw_partitions, &[]),
        spec(&topics.classified, topics.partitions, &delete(topics.retention_ms)),
        spec(&topics.changelog, topics.partitions, &compact),
        spec(&topics.corrections, topics.partitions, &[]),
        spec(&topics.actions, topics.partitions, &[]),
        spec(&topics.queue_state, topics.other_partitions, &compact),
        spec(&topics.metrics, topics.other_partitions, &metrics),
        spec(&topics.alerts, topics.other_partitions, &compact),
        spec(&topics.dead_letters, topics.other_partitions, &dead_letters),
    ];
    for queue in config.routing.queues() {
        let name = config.queue_topic(&queue.spec.name);
        specs.push(spec(&name, topics.other_partitions, &delete(topics.retention_ms)));
    }
    specs
}

fn compare(spec: &TopicSpec, topic: &TopicInfo, settings: &BTreeMap<String, String>, read_together: bool) -> Step {
    if topic.partitions > spec.partitions {
        return Step::Impossible(format!(
            "it has {} partitions and {} are configured; Kafka cannot take partitions away: configure {}",
            topic.partitions, spec.partitions, topic.partitions
        ));
    }
    if topic.partitions < spec.partitions && read_together {
        return Step::Impossible(format!(
            "it has {} partitions and {} are configured; with more, communities would move away from their state: configure \
             {}, or begin anew under another topics.prefix",
            topic.partitions, spec.partitions, topic.partitions
        ));
    }
    if topic.partitions < spec.partitions {
        return Step::Grow { from: topic.partitions };
    }
    let differ = spec.config.iter().filter(|(name, value)| settings.get(*name) != Some(value));
    let differ: Vec<(String, String)> =
        differ.map(|(name, _)| (name.clone(), settings.get(name).cloned().unwrap_or_default())).collect();
    if differ.is_empty() { Step::Fits } else { Step::Set(differ) }
}

fn table(steps: &[(TopicSpec, Step)], applied: bool) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(["topic", "partitions", "replicas", "settings", if applied { "done" } else { "to do" }]);
    for (spec, step) in steps {
        let settings: Vec<String> = spec.config.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let what = match (step, applied) {
            (Step::Fits, _) => "ok".to_owned(),
            (Step::Create, false) => "create".to_owned(),
            (Step::Create, true) => "created".to_owned(),
            (Step::Grow { from }, _) => format!("from {from} to {} partitions", spec.partitions),
            (Step::Set(differ), _) => {
                let names: Vec<String> = differ.iter().map(|(name, now)| format!("{name} (was {now})")).collect();
                format!("set {}", names.join(", "))
            }
            (Step::Impossible(why), _) => format!("REFUSED: {why}"),
        };
        table.add_row([
            spec.name.clone(),
            spec.partitions.to_string(),
            spec.replication.to_string(),
            settings.join(" "),
            what,
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Config::load(Some(file.path()), []).unwrap()
    }

    #[test]
    fn inputs_of_the_community_stage_are_alike() {
        let specs = desired(&config("[topics]\npartitions = 7\n"));
        let partitions = |name: &str| specs.iter().find(|spec| spec.name == name).unwrap().partitions;
        for name in
            ["social.interactions.classified", "social.corrections", "social.actions", "social.community.changelog"]
        {
            assert_eq!(partitions(name), 7, "{name}");
        }
        assert_eq!(specs.len(), 15);
        let letters = specs.iter().find(|spec| spec.name == "social.dead-letters").unwrap();
        assert_eq!(letters.config["max.message.bytes"], (1_048_576 + 65_536).to_string());
    }

    #[test]
    fn a_topic_is_compared() {
        let specs = desired(&config(""));
        let spec = specs.iter().find(|spec| spec.name == "social.queue.state").unwrap();
        let topic = |partitions| TopicInfo { name: spec.name.clone(), partitions, replication: 1 };
        assert_eq!(compare(spec, &topic(3), &spec.config, false), Step::Fits);
        assert_eq!(compare(spec, &topic(2), &spec.config, false), Step::Grow { from: 2 });
        assert!(matches!(compare(spec, &topic(2), &spec.config, true), Step::Impossible(_)));
        assert!(matches!(compare(spec, &topic(9), &spec.config, false), Step::Impossible(_)));
        let other = BTreeMap::from([("cleanup.policy".to_owned(), "delete".to_owned())]);
        let set = Step::Set(vec![("cleanup.policy".into(), "delete".into())]);
        assert_eq!(compare(spec, &topic(3), &other, false), set);
    }

    #[test]
    fn what_the_community_stage_reads_does_not_grow() {
        let config = config("");
        assert!(is_read_together(&config, "social.interactions.classified"));
        assert!(!is_read_together(&config, "social.posts.raw"));
    }
}
