//! Decoding by the schema that wrote a record.

use std::collections::HashMap;
use std::marker::PhantomData;

use apache_avro::schema_compatibility::SchemaCompatibility;
use record::stage::SchemaLookup;
use record::{
    Action, Alert, Canary, ClassifiedRecord, CommunityEntry, CommunityMetrics, Correction, QueueItem, Reason,
};
use serde::Deserialize;
use serde_avro_fast::Schema;
use serde_avro_fast::de::read::SliceRead;
use serde_avro_fast::de::{DeserializerConfig, DeserializerState};

use crate::{Frame, Framing, SchemaName};

/// Most items of one array: beyond every limit on media, mentions and sources.
const ARRAY_ITEMS_MAX: usize = 100_000;
/// Deepest nesting of a datum; ours need 5.
const DEPTH_MAX: usize = 16;
/// Longest schema text that is taken from a registry, in bytes.
const SCHEMA_TEXT_BYTES_MAX: usize = 1_048_576;
/// Longest account of what is wrong with a schema, in bytes.
const SCHEMA_DETAIL_BYTES_MAX: usize = 600;
/// Most schema ids that are kept: beyond it those that the registry did not know go, and then all.
const SCHEMAS_MAX: usize = 1_024;
/// After this many records the registry is asked again for an id that it did not know.
const MISSING_USES_MAX: u32 = 1_000;

/// Why a record was not decoded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The registry must be asked for this id first; then the record is to be decoded again.
    #[error("schema id {0} is not known yet")]
    NeedsSchema(u32),
    /// The record cannot be used.
    #[error(transparent)]
    Reject(#[from] Rejection),
}

/// A record that cannot be used: a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Rejection {
    /// From the documented list.
    pub reason: Reason,
    /// What is wrong and what would be right, without content of the record.
    pub detail: String,
}

impl Rejection {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Rejection {
        Rejection { reason, detail: detail.into() }
    }
}

/// What is known of a registry's schema id.
#[derive(Debug)]
enum Known {
    Readable(Box<Schema>),
    Incompatible(String),
    /// Not there when last asked; how many records have named it since.
    Missing(u32),
}

/// The schemas by which records of one kind may have been written.
#[derive(Debug)]
pub(crate) struct WriterSchemas {
    name: SchemaName,
    framing: Framing,
    by_id: HashMap<u32, Known>,
}

impl WriterSchemas {
    pub(crate) fn new(name: SchemaName, framing: Framing) -> WriterSchemas {
        WriterSchemas { name, framing, by_id: HashMap::new() }
    }

    /// Decodes one framed value into a `T` that borrows from it.
    pub(crate) fn decode<'a, T: Deserialize<'a>>(&mut self, value: &'a [u8]) -> Result<T, DecodeError> {
        let name = self.name;
        let (schema, datum) = self.writer_schema(value)?;
        decode_datum(datum, schema, name).map_err(DecodeError::Reject)
    }

    pub(crate) fn add(&mut self, id: u32, lookup: &SchemaLookup) {
        if self.by_id.len() >= SCHEMAS_MAX {
            // Bytes that are no schema's at all name ever new ids: what is read by good ones goes on.
            self.by_id.retain(|_, known| !matches!(known, Known::Missing(_)));
        }
        if self.by_id.len() >= SCHEMAS_MAX {
            self.by_id.clear();
        }
        let known = match lookup {
            SchemaLookup::NotFound => Known::Missing(0),
            SchemaLookup::Found(text) => match readable(text, self.name) {
                Ok(schema) => Known::Readable(Box::new(schema)),
                Err(detail) => Known::Incompatible(shortened(detail)),
            },
        };
        self.by_id.insert(id, known);
    }

    fn writer_schema<'s, 'a>(&'s mut self, value: &'a [u8]) -> Result<(&'s Schema, &'a [u8]), DecodeError> {
        let (frame, datum) = Frame::read(value);
        match (self.framing, frame) {
            (Framing::SingleObject, Frame::SingleObject(fingerprint)) => {
                match self.name.by_fingerprint(fingerprint.to_le_bytes()) {
                    Some(schema) => Ok((schema, datum)),
                    None => {
                        let detail = format!(
                            "fingerprint {fingerprint:016x} is of no released version of {}",
                            self.name.as_str()
                        );
                        Err(Rejection::new(Reason::UnknownSchema, detail).into())
                    }
                }
            }
            (Framing::Confluent, Frame::Confluent(id)) => Ok((self.by_id(id)?, datum)),
            (Framing::SingleObject, _) => Err(Rejection::new(
                Reason::WrongFraming,
                "no single-object header C3 01 and fingerprint; without a registry records are framed so",
            )
            .into()),
            (Framing::Confluent, _) => Err(Rejection::new(
                Reason::WrongFraming,
                "no zero byte and schema id of 4 bytes; with a registry records are framed so",
            )
            .into()),
        }
    }

    fn by_id(&mut self, id: u32) -> Result<&Schema, DecodeError> {
        if let Some(Known::Missing(uses)) = self.by_id.get_mut(&id) {
            *uses += 1;
            if *uses > MISSING_USES_MAX {
                self.by_id.remove(&id);
            }
        }
        match self.by_id.get(&id) {
            Some(Known::Readable(schema)) => Ok(schema),
            Some(Known::Incompatible(detail)) => {
                let detail = format!("schema id {id} cannot be read as {}: {detail}", self.name.as_str());
                Err(Rejection::new(Reason::IncompatibleSchema, detail).into())
            }
            Some(Known::Missing(_)) => {
                Err(Rejection::new(Reason::UnknownSchema, format!("schema id {id} is not in the registry")).into())
            }
            None => Err(DecodeError::NeedsSchema(id)),
        }
    }
}

/// What a library says of a schema may hold all of that schema: too much for a header of each dead letter.
fn shortened(mut detail: String) -> String {
    if detail.len() > SCHEMA_DETAIL_BYTES_MAX {
        let end = (0..=SCHEMA_DETAIL_BYTES_MAX).rev().find(|&end| detail.is_char_boundary(end)).unwrap_or(0);
        detail.truncate(end);
        detail.push('…');
    }
    detail
}

/// Checks that records written by `text` can be read as `name`, and parses it.
fn readable(text: &str, name: SchemaName) -> Result<Schema, String> {
    if text.len() > SCHEMA_TEXT_BYTES_MAX {
        return Err(format!("its text has {} bytes; at most {SCHEMA_TEXT_BYTES_MAX} are right", text.len()));
    }
    let read: serde_json::Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if let Some(key) = no_integer(&read) {
        return Err(format!("{key:?} is no integer; one is right"));
    }
    // Whoever may register a schema must not be able to stop a partition, whatever else the library takes for granted.
    let compared = std::panic::catch_unwind(|| {
        let writer = apache_avro::Schema::parse_str(text).map_err(|error| error.to_string())?;
        let reader = apache_avro::Schema::parse_str(name.text()).map_err(|error| error.to_string())?;
        SchemaCompatibility::can_read(&writer, &reader).map_err(|error| error.to_string())
    });
    compared.unwrap_or_else(|_| Err("it cannot be parsed".to_owned()))?;
    if text.contains("timestamp-micros") || text.contains("timestamp-nanos") {
        return Err("it has times in another unit; timestamp-millis is right".to_owned());
    }
    text.parse().map_err(|error: serde_avro_fast::schema::SchemaError| error.to_string())
}

/// A key of a schema that holds no integer where the library panics without one (apache-avro 0.22, `parsing_canonical_form`).
fn no_integer(schema: &serde_json::Value) -> Option<&str> {
    match schema {
        serde_json::Value::Array(items) => items.iter().find_map(no_integer),
        serde_json::Value::Object(entries) => entries.iter().find_map(|(key, value)| match key.as_str() {
            "size" | "precision" | "scale" => {
                let is_integer = value.as_str().map_or(value.is_i64(), |text| text.parse::<i64>().is_ok());
                (!is_integer).then_some(key.as_str())
            }
            // Not in `default` and what is no part of a schema: there they mean something else.
            "name" | "type" | "fields" | "symbols" | "items" | "values" | "order" => no_integer(value),
            _ => None,
        }),
        _ => None,
    }
}

fn decode_datum<'a, T: Deserialize<'a>>(datum: &'a [u8], schema: &Schema, name: SchemaName) -> Result<T, Rejection> {
    let mut config = DeserializerConfig::new(schema);
    config.max_seq_size = ARRAY_ITEMS_MAX;
    config.allowed_depth = DEPTH_MAX;
    let mut state = DeserializerState::with_config(SliceRead::new(datum), config);
    let value = T::deserialize(state.deserializer()).map_err(|error| {
        // The message may quote the record: only its kind is taken from it.
        let message = error.to_string();
        let (reason, what) = if message.contains("not valid utf-8") {
            (Reason::InvalidUtf8, "a string that is not UTF-8")
        } else if message.contains("missing field") {
            (Reason::MissingField, "a required field is missing from the writer's schema")
        } else if message.contains("Sequence length") || message.contains("depth") {
            (Reason::LimitExceeded, "an array or a nesting beyond the limits")
        } else {
            (Reason::Malformed, "the bytes end too early or hold other types than the schema says")
        };
        Rejection::new(reason, format!("not a {}: {what}", name.as_str()))
    })?;
    let mut rest = state.into_reader();
    let left = std::io::BufRead::fill_buf(&mut rest).map_or(0, <[u8]>::len);
    if left > 0 {
        let detail = format!("not a {}: {left} bytes follow its end", name.as_str());
        return Err(Rejection::new(Reason::Malformed, detail));
    }
    Ok(value)
}

/// A record type that travels by one of our schemas.
pub trait Decodable {
    /// The type, borrowing from the bytes.
    type Of<'a>: Deserialize<'a>;
    /// Its schema.
    const SCHEMA: SchemaName;
}

/// Decodes records of one type.
#[derive(Debug)]
pub struct Decoder<T> {
    schemas: WriterSchemas,
    of: PhantomData<fn() -> T>,
}

impl<T: Decodable> Decoder<T> {
    /// For records in this framing.
    pub fn new(framing: Framing) -> Decoder<T> {
        Decoder { schemas: WriterSchemas::new(T::SCHEMA, framing), of: PhantomData }
    }

    /// Decodes one value.
    ///
    /// # Errors
    /// [`DecodeError::NeedsSchema`] when the registry must be asked first, else why the record is a dead letter.
    pub fn decode<'a>(&mut self, value: &'a [u8]) -> Result<T::Of<'a>, DecodeError> {
        self.schemas.decode(value)
    }

    /// Takes in what the registry says of an id.
    pub fn add_schema(&mut self, id: u32, lookup: &SchemaLookup) {
        self.schemas.add(id, lookup);
    }
}

/// Stands for [`ClassifiedRecord`] in [`Decoder`].
#[derive(Debug)]
pub enum OfClassified {}

impl Decodable for OfClassified {
    type Of<'a> = ClassifiedRecord<'a>;
    const SCHEMA: SchemaName = SchemaName::Classified;
}

/// Stands for [`Correction`] in [`Decoder`].
#[derive(Debug)]
pub enum OfCorrection {}

impl Decodable for OfCorrection {
    type Of<'a> = Correction<'a>;
    const SCHEMA: SchemaName = SchemaName::Correction;
}

/// Stands for [`Action`] in [`Decoder`].
#[derive(Debug)]
pub enum OfAction {}

impl Decodable for OfAction {
    type Of<'a> = Action<'a>;
    const SCHEMA: SchemaName = SchemaName::Action;
}

/// Stands for [`Alert`] in [`Decoder`].
#[derive(Debug)]
pub enum OfAlert {}

impl Decodable for OfAlert {
    type Of<'a> = Alert<'a>;
    const SCHEMA: SchemaName = SchemaName::Alert;
}

/// Stands for [`QueueItem`] in [`Decoder`].
#[derive(Debug)]
pub enum OfQueueItem {}

impl Decodable for OfQueueItem {
    type Of<'a> = QueueItem<'a>;
    const SCHEMA: SchemaName = SchemaName::QueueItem;
}

/// Stands for [`CommunityMetrics`] in [`Decoder`].
#[derive(Debug)]
pub enum OfMetrics {}

impl Decodable for OfMetrics {
    type Of<'a> = CommunityMetrics<'a>;
    const SCHEMA: SchemaName = SchemaName::CommunityMetrics;
}

/// Stands for [`CommunityEntry`] in [`Decoder`].
#[derive(Debug)]
pub enum OfCommunity {}

impl Decodable for OfCommunity {
    type Of<'a> = CommunityEntry;
    const SCHEMA: SchemaName = SchemaName::Community;
}

/// Stands for [`Canary`] in [`Decoder`].
#[derive(Debug)]
pub enum OfCanary {}

impl Decodable for OfCanary {
    type Of<'a> = Canary<'a>;
    const SCHEMA: SchemaName = SchemaName::Canary;
}

/// Decodes the classified topic.
pub type ClassifiedDecoder = Decoder<OfClassified>;
/// Decodes corrections.
pub type CorrectionDecoder = Decoder<OfCorrection>;
/// Decodes actions.
pub type ActionDecoder = Decoder<OfAction>;
/// Decodes alerts.
pub type AlertDecoder = Decoder<OfAlert>;
/// Decodes the items of queues and their state.
pub type QueueItemDecoder = Decoder<OfQueueItem>;
/// Decodes rows of the metrics topic.
pub type MetricsDecoder = Decoder<OfMetrics>;
/// Decodes the registry of communities.
pub type CommunityDecoder = Decoder<OfCommunity>;
/// Decodes the canary topic.
pub type CanaryDecoder = Decoder<OfCanary>;
