//! `sinyal tail`: records of a topic, decoded.

use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::time::Duration;

use anyhow::Result;
use kafka_io::admin::TopicInfo;
use kafka_io::reader::{OwnedRecord, Reader, Start};
use record::stage::SchemaLookup;
use serde_json::{Map, Value, json};
use wire::{Frame, GenericSchema, schema_by_fingerprint};

use super::waiting::wait_for_brokers;
use crate::cli::{OK, OutsideError};
use crate::config::Config;
use crate::registry::{Registry, base64};
use crate::telemetry::start_logging;

/// Arguments of `sinyal tail`.
#[derive(Debug, clap::Args)]
pub(crate) struct TailArgs {
    /// The topic.
    topic: String,
    /// Where to begin: `beginning`, `end`, or PARTITION:OFFSET.
    #[arg(long, default_value = "beginning", value_parser = start)]
    from: Start,
    /// Go on when the end is reached, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// Stop after so many records.
    #[arg(long, short = 'n')]
    count: Option<u64>,
}

/// Most bytes of a value without a schema that are shown.
const BYTES_SHOWN_MAX: usize = 4_096;

pub(crate) fn run(args: TailArgs, config: &Config) -> Result<u8> {
    let topics = wait_for_brokers(config)?;
    // Only now: while it waits, its own lines say all that the client would.
    start_logging("warn", "auto")?;
    if !topics.iter().any(|topic| topic.name == args.topic) && !args.topic.starts_with("__") {
        return Err(missing(&args.topic, &topics, &config.connection().bootstrap).into());
    }
    let mut reader = Reader::open(config.connection(), &args.topic, args.from, Duration::from_secs(10))?;
    let mut decoder = Decoder {
        registry: config.registry.as_ref().map(Registry::new),
        by_fingerprint: HashMap::new(),
        by_id: HashMap::new(),
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        match reader.next(Duration::from_millis(200))? {
            Some(record) => {
                writeln!(out, "{}", decoder.show(&args.topic, &record))?;
                left -= 1;
            }
            None => {
                out.flush()?;
                if !args.follow && (reader.is_at_end() || args.from == Start::End) {
                    break;
                }
            }
        }
    }
    out.flush()?;
    Ok(OK)
}

/// What is wrong where a topic is missing, with the nearest that there is.
fn missing(name: &str, topics: &[TopicInfo], bootstrap: &str) -> OutsideError {
    let likeness = |topic: &TopicInfo| strsim::jaro_winkler(name, &topic.name);
    let nearest = topics.iter().max_by(|one, two| likeness(one).total_cmp(&likeness(two)));
    let right = match nearest {
        Some(topic) => format!("did you mean {}?", topic.name),
        None => "there is none; `sinyal topics apply` makes those of the configuration".to_owned(),
    };
    OutsideError(format!("topic {name} is missing at {bootstrap}; {right}"))
}

/// Schemas by what frames name.
struct Decoder {
    registry: Option<Registry>,
    by_fingerprint: HashMap<u64, Option<GenericSchema>>,
    by_id: HashMap<u32, Option<GenericSchema>>,
}

impl Decoder {
    fn show(&mut self, topic: &str, record: &OwnedRecord) -> Value {
        let headers: Map<String, Value> = record
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.as_deref().map_or(Value::Null, plain)))
            .collect();
        json!({
            "topic": topic,
            "partition": record.partition,
            "offset": record.offset,
            "timestamp": record.timestamp,
            "key": record.key.as_deref().map_or(Value::Null, plain),
            "headers": headers,
            "value": record.value.as_deref().map_or(Value::Null, |value| self.value(value)),
        })
    }

    fn value(&mut self, value: &[u8]) -> Value {
        let (frame, datum) = Frame::read(value);
        let schema = match frame {
            Frame::SingleObject(fingerprint) => self
                .by_fingerprint
                .entry(fingerprint)
                .or_insert_with(|| GenericSchema::parse(schema_by_fingerprint(fingerprint)?.1).ok())
                .as_ref(),
            Frame::Confluent(id) => {
                let registry = self.registry.as_ref();
                self.by_id
                    .entry(id)
                    .or_insert_with(|| match registry?.schema_by_id(id) {
                        Ok(SchemaLookup::Found(text)) => GenericSchema::parse(&text).ok(),
                        Ok(SchemaLookup::NotFound) => None,
                        Err(error) => {
                            tracing::warn!(%error, "values of this schema are shown as bytes");
                            None
                        }
                    })
                    .as_ref()
            }
            Frame::None => None,
        };
        schema
            .and_then(|schema| schema.to_json(datum).ok())
            .or_else(|| serde_json::from_slice(value).ok())
            .unwrap_or_else(|| plain(value))
    }
}

/// Text as text, anything else as base64; not more of it than a person looks at.
fn plain(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= BYTES_SHOWN_MAX => text.into(),
        _ => json!({ "bytes": bytes.len(), "base64": base64(&bytes[..bytes.len().min(BYTES_SHOWN_MAX)]) }),
    }
}

fn start(text: &str) -> Result<Start, String> {
    let place = || {
        let (partition, offset) = text.split_once(':')?;
        Some(Start::At {
            partition: partition.parse().ok()?,
            offset: offset.parse().ok().filter(|offset| *offset >= 0)?,
        })
    };
    match text {
        "beginning" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        _ => place().ok_or_else(|| format!("{text:?}: beginning, end or PARTITION:OFFSET is right")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read() {
        assert_eq!(start("3:17"), Ok(Start::At { partition: 3, offset: 17 }));
        assert_eq!(start("end"), Ok(Start::End));
        for wrong in ["", "3", "3:-1", "x:1"] {
            assert!(start(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_without_a_schema_are_shown() {
        let mut decoder = Decoder { registry: None, by_fingerprint: HashMap::new(), by_id: HashMap::new() };
        assert_eq!(decoder.value(b"{\"a\":1}"), json!({"a": 1}));
        assert_eq!(decoder.value(b"halo"), json!("halo"));
        assert_eq!(decoder.value(&[0xff, 0]), json!({"bytes": 2, "base64": "/wA="}));
    }

    #[test]
    fn of_a_missing_topic_the_nearest_is_named() {
        let topic = |name: &str| TopicInfo { name: name.to_owned(), partitions: 1, replication: 1 };
        let there = [topic("social.alerts"), topic("social.queue.complaint"), topic("orders")];
        assert_eq!(
            missing("social.queue.complaints", &there, "a:1").to_string(),
            "topic social.queue.complaints is missing at a:1; did you mean social.queue.complaint?"
        );
        assert!(missing("a", &[], "a:1").to_string().contains("sinyal topics apply"));
    }
}
