//! Any Avro record as JSON, by the schema that wrote it: for people who look at a topic.

use serde_avro_fast::Schema;
use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};
use serde_json::Value;

/// Why a value cannot be shown as JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GenericError {
    /// The schema itself cannot be used.
    #[error("schema cannot be used: {0}")]
    Schema(String),
    /// The bytes are not what the schema says.
    #[error("the bytes are not what the schema says")]
    Datum,
}

/// A schema by which data are shown.
#[derive(Debug)]
pub struct GenericSchema {
    schema: Schema,
}

impl GenericSchema {
    /// From a schema's text.
    ///
    /// # Errors
    /// If it is no Avro schema.
    pub fn parse(text: &str) -> Result<GenericSchema, GenericError> {
        let schema = text
            .parse()
            .map_err(|error: serde_avro_fast::schema::SchemaError| GenericError::Schema(error.to_string()))?;
        Ok(GenericSchema { schema })
    }

    /// A datum (without its frame) as JSON: records are objects, times stay epoch milliseconds.
    ///
    /// # Errors
    /// If the datum was not written by this schema.
    pub fn to_json(&self, datum: &[u8]) -> Result<Value, GenericError> {
        let mut config = DeserializerConfig::new(&self.schema);
        config.max_seq_size = 100_000;
        config.allowed_depth = 32;
        let mut state = DeserializerState::with_config(SliceRead::new(datum), config);
        serde::Deserialize::deserialize(state.deserializer()).map_err(|_| GenericError::Datum)
    }
}
