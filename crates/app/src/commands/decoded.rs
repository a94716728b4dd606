//! Records as JSON, whatever schema they were written by.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kafka_io::reader::OwnedRecord;
use record::stage::SchemaLookup;
use serde_json::{Map, Value, json};
use wire::{Frame, GenericSchema, schema_by_fingerprint};

use crate::config::Config;
use crate::registry::Registry;

/// Most bytes of a value without a schema that are shown.
const BYTES_SHOWN_MAX: usize = 4_096;

/// Decodes by the schemas that frames name; it keeps them.
pub(super) struct Decoded {
    registry: Option<Registry>,
    by_fingerprint: HashMap<u64, Option<GenericSchema>>,
    by_id: HashMap<u32, Option<GenericSchema>>,
}

impl Decoded {
    pub(super) fn new(config: &Config) -> Decoded {
        Decoded {
            registry: config.registry.as_ref().map(Registry::new),
            by_fingerprint: HashMap::new(),
            by_id: HashMap::new(),
        }
    }

    /// A whole record.
    pub(super) fn record(&mut self, topic: &str, record: &OwnedRecord) -> Value {
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

    /// A value by the schema that its frame names; without one JSON, text, or bytes.
    pub(super) fn value(&mut self, value: &[u8]) -> Value {
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
        _ => json!({ "bytes": bytes.len(), "base64": STANDARD.encode(&bytes[..bytes.len().min(BYTES_SHOWN_MAX)]) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_without_a_schema_are_shown() {
        let mut decoder = Decoded { registry: None, by_fingerprint: HashMap::new(), by_id: HashMap::new() };
        assert_eq!(decoder.value(b"{\"a\":1}"), json!({"a": 1}));
        assert_eq!(decoder.value(b"halo"), json!("halo"));
        assert_eq!(decoder.value(&[0xff, 0]), json!({"bytes": 2, "base64": "/wA="}));
    }
}
