//! The roles of the service: each stage with its owner, on a thread of its own.

mod classify;
mod community;
#[cfg(feature = "deep")]
mod deep;
pub(crate) mod notify;
pub(crate) mod sink;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Result;
use kafka_io::{Clock, Connection, OwnerError, Shutdown, Turn};
use record::stage::{InputPartition, SchemaLookup};
use record::{Position, StageName, limits};
use wire::{Encoder, Framing, RawEncoder, RawFormat, SchemaName};

pub(crate) use classify::{ClassifyReport, run_classify};
pub(crate) use community::{CommunityReport, run_community};
pub(crate) use notify::{Door, ask_target, run_notify};
pub(crate) use sink::run_sink;

use crate::cli::OutsideError;
use crate::config::Config;
use crate::registry::Registry;
use crate::reload::LiveRules;
use crate::telemetry::{Health, Metrics, StageTracer, Traces};

/// What every role needs.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) config: Arc<Config>,
    pub(crate) connection: Connection,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) health: Health,
    pub(crate) metrics: Metrics,
    pub(crate) shutdown: Shutdown,
    /// What can be replaced while it is in use.
    pub(crate) rules: LiveRules,
    /// Where spans go; `None`: nothing is traced.
    pub(crate) traces: Option<Traces>,
    /// True on the embedded broker, which has no transactions worth the name: outputs first, state in memory.
    pub(crate) embedded: bool,
}

impl Surroundings {
    /// Who follows a role's records, if anything is traced.
    fn tracer(&self, stage: StageName, group: &str) -> Option<StageTracer> {
        Some(StageTracer::new(self.traces.clone()?, stage, group))
    }
}

/// Up to where partitions were read: the next offset, by topic and partition number.
pub(crate) type Reached = BTreeMap<(String, i32), Position>;

fn reached(turn: &Turn, topics: &[String]) -> Reached {
    let topic = |at: InputPartition| topics.get(at.input).cloned().unwrap_or_default();
    turn.reached.iter().map(|&(at, position)| ((topic(at), at.partition), position)).collect()
}

/// How a role ended: what must stop the process, or nothing.
pub(crate) type RoleResult<T> = Result<T, OwnerError>;

/// How a topic's records are encoded: by the id that the registry has for it, or in single-object encoding.
///
/// # Errors
/// If the registry cannot be reached, or does not know the schema.
pub(crate) fn encoder(config: &Config, schema: SchemaName, topic: &str) -> Result<Encoder> {
    let Some(settings) = &config.registry else { return Ok(Encoder::single_object(schema)) };
    let subject = format!("{topic}-value");
    match Registry::new(settings).lookup(&subject, schema.text())? {
        Some(id) => Ok(Encoder::confluent(schema, id)),
        None => Err(unregistered(&subject, schema).into()),
    }
}

/// The same of the canary topic. A schema that is not registered stops nobody: then nobody is told of canaries.
///
/// # Errors
/// If the registry cannot be reached.
pub(crate) fn canary_encoder(config: &Config) -> Result<Option<Encoder>> {
    match encoder(config, SchemaName::Canary, &config.topics.canary) {
        Ok(encoder) => Ok(Some(encoder)),
        Err(error) if error.downcast_ref::<OutsideError>().is_some() => {
            tracing::warn!(%error, "nobody is told of canaries");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// How raw records are encoded, for producers of ours.
///
/// # Errors
/// If the registry cannot be reached, or does not know a schema.
pub(crate) fn raw_encoder(config: &Config) -> Result<RawEncoder> {
    if config.raw_format == RawFormat::Json {
        return Ok(RawEncoder::Json);
    }
    let Some(settings) = &config.registry else { return Ok(RawEncoder::single_object()) };
    let registry = Registry::new(settings);
    let id = |topic: &str, schema: SchemaName| -> Result<u32> {
        let subject = format!("{topic}-value");
        registry.lookup(&subject, schema.text())?.ok_or_else(|| unregistered(&subject, schema).into())
    };
    Ok(RawEncoder::confluent(
        id(&config.topics.posts_raw, SchemaName::Post)?,
        id(&config.topics.comments_raw, SchemaName::Comment)?,
    ))
}

/// What is wrong when a subject does not have its schema.
pub(crate) fn unregistered(subject: &str, schema: SchemaName) -> OutsideError {
    OutsideError(format!(
        "subject {subject} does not have schema {}; `sinyal schemas register` registers it",
        schema.as_str()
    ))
}

/// Asks the registry for a schema, for an owner.
fn ask(registry: Option<&Registry>, id: u32) -> Result<SchemaLookup, String> {
    match registry {
        Some(registry) => registry.schema_by_id(id).map_err(|error| error.to_string()),
        // Without a registry no record names an id; if one does, it is unknown.
        None => Ok(SchemaLookup::NotFound),
    }
}

/// The largest record that a stage may write: a dead letter with a raw record in it, or a segment of the changelog, which is no smaller
/// where raw records may only be small.
pub(crate) fn output_bytes_max(config: &Config) -> usize {
    (config.raw_record_bytes_max + limits::DEAD_LETTER_EXTRA_BYTES).max(2 * limits::OUTPUT_BYTES)
}

/// True if what the configuration says of framing needs a registry.
pub(crate) fn needs_registry(config: &Config) -> bool {
    config.framing() == Framing::Confluent
}
