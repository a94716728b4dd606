//! Encoding by our current schemas.

use std::fmt;

use serde::Serialize;
use serde_avro_fast::Schema;
use serde_avro_fast::ser::{SerializerConfig, SerializerState};

use crate::SchemaName;
use crate::frame::SINGLE_OBJECT_MARKER;

/// A value that does not fit its schema: a mistake of this program, not of its input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("value does not fit schema {schema}: {detail}")]
pub struct EncodeError {
    schema: &'static str,
    detail: String,
}

/// Encodes values of one schema, each behind its frame. It keeps its buffers: no allocation per record once warm.
pub struct Encoder {
    schema: SchemaName,
    header: Vec<u8>,
    config: SerializerConfig<'static>,
}

impl Encoder {
    /// In single-object encoding.
    pub fn single_object(schema: SchemaName) -> Encoder {
        Encoder::single_object_by(schema, schema.parsed())
    }

    /// In single-object encoding, by a released version (the first is 1): readers that do not know the current one know it. `None` if
    /// there is no such version. A value that has what that version does not name cannot be encoded.
    pub fn single_object_released(schema: SchemaName, version: usize) -> Option<Encoder> {
        Some(Encoder::single_object_by(schema, schema.released(version)?))
    }

    fn single_object_by(schema: SchemaName, by: &'static Schema) -> Encoder {
        let mut header = SINGLE_OBJECT_MARKER.to_vec();
        header.extend_from_slice(by.rabin_fingerprint());
        Encoder { schema, header, config: SerializerConfig::new(by) }
    }

    /// In Confluent framing, under the id that the registry gave the schema.
    pub fn confluent(schema: SchemaName, id: u32) -> Encoder {
        let mut header = vec![0];
        header.extend_from_slice(&id.to_be_bytes());
        Encoder { schema, header, config: SerializerConfig::new(schema.parsed()) }
    }

    /// Appends one framed value to `out`.
    ///
    /// # Errors
    /// If the value does not fit the schema; `out` is then as it was.
    pub fn encode<T: Serialize + ?Sized>(&mut self, value: &T, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        out.extend_from_slice(&self.header);
        let mut state = SerializerState::from_writer(&mut *out, &mut self.config);
        let result = value.serialize(state.serializer());
        drop(state);
        result.map_err(|error| {
            out.truncate(start);
            EncodeError { schema: self.schema.as_str(), detail: error.to_string() }
        })
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("schema", &self.schema).field("header", &self.header).finish_non_exhaustive()
    }
}
