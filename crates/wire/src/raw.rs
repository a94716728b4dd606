//! Raw posts and comments: Avro in either framing, or plain JSON.

use record::stage::SchemaLookup;
use record::{Interaction, Kind, Reason};
use serde::de::Deserialize;

use crate::decode::WriterSchemas;
use crate::raw_record::{CommentFields, NOT_A_TIME, PostFields, RawRecord};
use crate::{DecodeError, EncodeError, Encoder, Framing, Rejection, SchemaName};

/// How the raw topics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RawFormat {
    /// Avro by the schemas `Post` and `Comment`.
    Avro,
    /// Plain JSON with the field names of the schemas; absent and null mean the field's default, times are epoch milliseconds
    /// or RFC 3339 with a zone, unknown fields are ignored and counted.
    Json,
}

/// Decodes raw records.
#[derive(Debug)]
pub struct RawDecoder {
    format: RawFormat,
    value_bytes_max: usize,
    posts: WriterSchemas,
    comments: WriterSchemas,
    unknown_fields: u64,
}

impl RawDecoder {
    /// `framing` matters for Avro only. A value longer than `value_bytes_max` is refused before anything else.
    pub fn new(format: RawFormat, framing: Framing, value_bytes_max: usize) -> RawDecoder {
        RawDecoder {
            format,
            value_bytes_max,
            posts: WriterSchemas::new(SchemaName::Post, framing),
            comments: WriterSchemas::new(SchemaName::Comment, framing),
            unknown_fields: 0,
        }
    }

    /// Decodes one value. What it says is not judged here, only whether it can be read.
    ///
    /// ```
    /// use wire::{Framing, RawDecoder, RawFormat};
    /// let mut decoder = RawDecoder::new(RawFormat::Json, Framing::SingleObject, 1_000);
    /// let json = br#"{"id":"1","community_id":"warga","created_at":"2026-11-24T08:00:00+07:00","observed_at":1795482000000}"#;
    /// let post = decoder.decode(record::Kind::Post, json).unwrap();
    /// assert_eq!(post.created_at, 1_795_482_000_000);
    /// ```
    ///
    /// # Errors
    /// [`DecodeError::NeedsSchema`] when the registry must be asked first, else why the record is a dead letter.
    pub fn decode<'a>(&mut self, kind: Kind, value: &'a [u8]) -> Result<Interaction<'a>, DecodeError> {
        if value.len() > self.value_bytes_max {
            let detail =
                format!("{} bytes; at most {} are right (limits.raw_record_bytes)", value.len(), self.value_bytes_max);
            return Err(Rejection::new(Reason::TooLarge, detail).into());
        }
        let raw: RawRecord<'a> = match (self.format, kind) {
            (RawFormat::Json, _) => self.decode_json(kind, value)?,
            (RawFormat::Avro, Kind::Post) => self.posts.decode(value)?,
            (RawFormat::Avro, Kind::Comment) => self.comments.decode(value)?,
        };
        Ok(raw.into_interaction(kind))
    }

    /// Takes in what the registry says of an id.
    pub fn add_schema(&mut self, id: u32, lookup: &SchemaLookup) {
        self.posts.add(id, lookup);
        self.comments.add(id, lookup);
    }

    /// How many fields of JSON records were ignored because no schema names them.
    pub fn unknown_fields(&self) -> u64 {
        self.unknown_fields
    }

    /// Sets that count back: for records that are decoded again.
    pub fn set_unknown_fields(&mut self, count: u64) {
        self.unknown_fields = count;
    }

    fn decode_json<'a>(&mut self, kind: Kind, value: &'a [u8]) -> Result<RawRecord<'a>, Rejection> {
        let text = std::str::from_utf8(value).map_err(|error| {
            Rejection::new(Reason::InvalidUtf8, format!("not UTF-8 from byte {} on", error.valid_up_to()))
        })?;
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let unknown_fields = &mut self.unknown_fields;
        let mut count = |path: serde_ignored::Path<'_>| {
            // `kind` and `truth` are what the simulator writes beside the fields of the schema.
            if !matches!(path.to_string().as_str(), "kind" | "truth") {
                *unknown_fields += 1;
            }
        };
        let raw = RawRecord::deserialize(serde_ignored::Deserializer::new(&mut deserializer, &mut count))
            .and_then(|raw| deserializer.end().map(|()| raw));
        raw.map_err(|error| json_rejection(&error, kind))
    }
}

/// What is wrong with a JSON record, without quoting it.
fn json_rejection(error: &serde_json::Error, kind: Kind) -> Rejection {
    let message = error.to_string();
    let place = format!("line {} column {}", error.line(), error.column());
    if let Some(field) = message.strip_prefix("missing field ") {
        let field = field.split(" at line").next().unwrap_or_default();
        return Rejection::new(Reason::MissingField, format!("field {field} of a {} is missing", kind.as_str()));
    }
    if message.starts_with(NOT_A_TIME) {
        let detail = format!("no time at {place}; epoch milliseconds or RFC 3339 with a zone are right");
        return Rejection::new(Reason::ImpossibleTime, detail);
    }
    let what = match error.classify() {
        serde_json::error::Category::Data => "a field of another type than its schema says",
        serde_json::error::Category::Eof => "the end comes too early",
        _ => "no valid JSON",
    };
    Rejection::new(Reason::Malformed, format!("not a {} in JSON: {what} at {place}", kind.as_str()))
}

/// Encodes raw records, for producers of ours: the simulator and `ingest`.
#[derive(Debug)]
pub enum RawEncoder {
    /// Avro by these encoders of posts and comments.
    Avro {
        /// Of posts.
        posts: Encoder,
        /// Of comments.
        comments: Encoder,
    },
    /// Plain JSON.
    Json,
}

impl RawEncoder {
    /// Avro in single-object encoding.
    pub fn single_object() -> RawEncoder {
        RawEncoder::Avro {
            posts: Encoder::single_object(SchemaName::Post),
            comments: Encoder::single_object(SchemaName::Comment),
        }
    }

    /// Avro in Confluent framing, under these schema ids.
    pub fn confluent(post_id: u32, comment_id: u32) -> RawEncoder {
        RawEncoder::Avro {
            posts: Encoder::confluent(SchemaName::Post, post_id),
            comments: Encoder::confluent(SchemaName::Comment, comment_id),
        }
    }

    /// Appends one record to `out`.
    ///
    /// # Errors
    /// If the interaction does not fit its schema, which is a mistake of this program.
    pub fn encode(&mut self, interaction: &Interaction<'_>, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match (self, interaction.kind) {
            (RawEncoder::Avro { posts, .. }, Kind::Post) => posts.encode(&PostFields::of(interaction), out),
            (RawEncoder::Avro { comments, .. }, Kind::Comment) => comments.encode(&CommentFields::of(interaction), out),
            // Plain data into memory: serde_json has nothing to fail on.
            (RawEncoder::Json, Kind::Post) => {
                let _ = serde_json::to_writer(out, &PostFields::of(interaction));
                Ok(())
            }
            (RawEncoder::Json, Kind::Comment) => {
                let _ = serde_json::to_writer(out, &CommentFields::of(interaction));
                Ok(())
            }
        }
    }
}
