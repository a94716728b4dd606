//! `sinyal schemas check|register`: the registry's schemas as they should be.

use anyhow::Result;
use wire::SchemaName;

use crate::cli::{OK, OUTSIDE, say};
use crate::config::Config;
use crate::registry::{Registry, RegistryError};

/// Arguments of `sinyal schemas`.
#[derive(Debug, clap::Args)]
pub(crate) struct SchemasArgs {
    #[command(subcommand)]
    command: SchemasCommand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::Subcommand)]
enum SchemasCommand {
    /// Show which subjects have their schema.
    Check,
    /// Register what is missing. What is registered stays as it is.
    Register,
}

pub(crate) fn run(args: SchemasArgs, config: &Config) -> Result<u8> {
    let Some(settings) = &config.registry else {
        say("no registry is configured (registry.url): single-object encoding is used, and nothing is registered")?;
        if args.command == SchemasCommand::Check {
            for schema in SchemaName::ALL {
                say(format!("{:<18} {}", schema.as_str(), about_versions(schema)))?;
            }
        }
        return Ok(OK);
    };
    let registry = Registry::new(settings);
    let mut right = true;
    for (topic, schema) in subjects(config) {
        let subject = format!("{topic}-value");
        let result = match args.command {
            SchemasCommand::Check => state(&registry, &subject, schema),
            SchemasCommand::Register => {
                registry.register(&subject, schema.text()).map(|id| (true, format!("registered as id {id}")))
            }
        };
        match result {
            Ok((fits, what)) => {
                right &= fits;
                say(format!("{subject:<48} {:<18} {what}", schema.as_str()))?;
            }
            Err(error @ RegistryError::Incompatible { .. }) => {
                right = false;
                say(format!("{subject:<48} {:<18} {error}", schema.as_str()))?;
            }
            Err(error) => {
                eprintln!("sinyal: {error}");
                return Ok(OUTSIDE);
            }
        }
    }
    Ok(if right { OK } else { OUTSIDE })
}

/// Which versions of a schema this program reads, in words. Each reads every other, which a test of it proves.
fn about_versions(schema: SchemaName) -> String {
    let released = schema.released_texts();
    let current = match released.iter().position(|text| *text == schema.text()) {
        Some(place) => format!("v{}", place + 1),
        None => format!("newer than v{}", released.len()),
    };
    format!("{current}, fingerprint {:016x}; reads v1 to v{}", schema.fingerprint(), released.len())
}

/// Whether a subject has its schema, in words.
pub(crate) fn state(registry: &Registry, subject: &str, schema: SchemaName) -> Result<(bool, String), RegistryError> {
    if let Some(id) = registry.lookup(subject, schema.text())? {
        return Ok((true, format!("ok, id {id}")));
    }
    if registry.compatible(subject, schema.text())? {
        Ok((false, "not registered; `sinyal schemas register` registers it".to_owned()))
    } else {
        Ok((false, "not registered, and incompatible with what is there".to_owned()))
    }
}

/// Each topic with a schema.
pub(crate) fn subjects(config: &Config) -> Vec<(String, SchemaName)> {
    let topics = &config.topics;
    let mut subjects = vec![
        (topics.posts_raw.clone(), SchemaName::Post),
        (topics.comments_raw.clone(), SchemaName::Comment),
        (topics.classified.clone(), SchemaName::Classified),
        (topics.queue_state.clone(), SchemaName::QueueItem),
        (topics.metrics.clone(), SchemaName::CommunityMetrics),
        (topics.alerts.clone(), SchemaName::Alert),
        (topics.corrections.clone(), SchemaName::Correction),
        (topics.actions.clone(), SchemaName::Action),
        (topics.canary.clone(), SchemaName::Canary),
    ];
    subjects.extend(config.communities_topic.iter().map(|topic| (topic.clone(), SchemaName::Community)));
    let queues = config.routing.queues().iter();
    subjects.extend(queues.map(|queue| (config.queue_topic(&queue.spec.name), SchemaName::QueueItem)));
    subjects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_registry_the_versions_that_are_read_are_told() {
        let fingerprint = SchemaName::Post.fingerprint();
        assert_eq!(about_versions(SchemaName::Post), format!("v1, fingerprint {fingerprint:016x}; reads v1 to v1"));
        assert!(about_versions(SchemaName::Classified).contains("; reads v1 to v2"));
    }
}
