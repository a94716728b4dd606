//! Records of every topic as bytes: what is read can be written, and is then read as the same.

use std::cell::RefCell;

use pipeline::check_interaction;
use record::stage::SchemaLookup;
use record::{Interaction, Kind};
use serde::Serialize;
use wire::{
    Decodable, DecodeError, Decoder, Encoder, Framing, GenericSchema, OfAction, OfAlert, OfCanary, OfClassified,
    OfCommunity, OfCorrection, OfMetrics, OfQueueItem, RawDecoder, RawEncoder, RawFormat, Rejection, SchemaName,
};

use crate::stages::{FUTURE_MS_MAX, NOW, RAW_BYTES_MAX};

/// The registry of these tests: ids from 1 on, in the order of [`SchemaName::ALL`]; the released versions follow. It knows no other.
pub(crate) fn registered(id: u32) -> SchemaLookup {
    let current = SchemaName::ALL.into_iter().map(SchemaName::text);
    let released = SchemaName::ALL.into_iter().flat_map(|name| name.released_texts().iter().copied());
    let found = id.checked_sub(1).and_then(|place| current.chain(released).nth(place as usize));
    found.map_or(SchemaLookup::NotFound, |text| SchemaLookup::Found(text.to_owned()))
}

/// A raw record in Avro, in single-object encoding.
pub fn raw_avro(bytes: &[u8]) {
    raw(&mut RawDecoder::new(RawFormat::Avro, Framing::SingleObject, RAW_BYTES_MAX), bytes);
}

/// A raw record in Avro, in Confluent framing.
pub fn raw_confluent(bytes: &[u8]) {
    thread_local! {
        // It keeps what the registry told it, as in the service.
        static DECODER: RefCell<RawDecoder> =
            RefCell::new(RawDecoder::new(RawFormat::Avro, Framing::Confluent, RAW_BYTES_MAX));
    }
    DECODER.with_borrow_mut(|decoder| raw(decoder, bytes));
}

/// A raw record in JSON.
pub fn raw_json(bytes: &[u8]) {
    raw(&mut RawDecoder::new(RawFormat::Json, Framing::SingleObject, RAW_BYTES_MAX), bytes);
}

fn raw(decoder: &mut RawDecoder, bytes: &[u8]) {
    for kind in Kind::ALL {
        let Some(mut interaction) = read_raw(decoder, kind, bytes, &registered) else { continue };
        if let Err((_, detail)) = check_interaction(&interaction, NOW, FUTURE_MS_MAX) {
            assert!(detail.len() < 1_000, "a detail of {} bytes", detail.len());
        }
        if kind == Kind::Post {
            // JSON may name them; a post has none.
            (interaction.post_id, interaction.parent_id) = (None, None);
            (interaction.post_author, interaction.parent_author) = (None, None);
            interaction.mentions.clear();
        }
        let mut written = Vec::new();
        RawEncoder::single_object().encode(&interaction, &mut written).expect("what was read can be written");
        let mut again = RawDecoder::new(RawFormat::Avro, Framing::SingleObject, usize::MAX);
        let read = again.decode(kind, &written).expect("what was written can be read");
        assert!(read == interaction, "what was written is read as something else");
    }
}

/// Decodes, asking the registry at most once.
pub(crate) fn read_raw<'a>(
    decoder: &mut RawDecoder,
    kind: Kind,
    value: &'a [u8],
    registry: &dyn Fn(u32) -> SchemaLookup,
) -> Option<Interaction<'a>> {
    for _ in 0..2 {
        match decoder.decode(kind, value) {
            Ok(interaction) => return Some(interaction),
            Err(DecodeError::Reject(rejection)) => {
                check_rejection(&rejection);
                return None;
            }
            Err(DecodeError::NeedsSchema(id)) => decoder.add_schema(id, &registry(id)),
        }
    }
    panic!("a schema is asked for that was looked up");
}

/// Decodes, asking the registry at most once.
fn read<'a, T: Decodable>(
    decoder: &mut Decoder<T>,
    value: &'a [u8],
    registry: &dyn Fn(u32) -> SchemaLookup,
) -> Option<T::Of<'a>> {
    for _ in 0..2 {
        match decoder.decode(value) {
            Ok(record) => return Some(record),
            Err(DecodeError::Reject(rejection)) => {
                check_rejection(&rejection);
                return None;
            }
            Err(DecodeError::NeedsSchema(id)) => decoder.add_schema(id, &registry(id)),
        }
    }
    panic!("a schema is asked for that was looked up");
}

/// It goes into a header of a dead letter, and into logs.
fn check_rejection(rejection: &Rejection) {
    assert!(rejection.detail.len() < 2_000, "a detail of {} bytes", rejection.detail.len());
}

/// What is read in either framing can be written, and is then read as the same.
fn round<T: Decodable>(bytes: &[u8])
where
    for<'a> T::Of<'a>: Serialize,
{
    for framing in [Framing::SingleObject, Framing::Confluent] {
        // A record of the other framing is refused by its first byte.
        let Some(record) = read(&mut Decoder::<T>::new(framing), bytes, &registered) else { continue };
        let mut encoder = Encoder::single_object(T::SCHEMA);
        let (mut written, mut again) = (Vec::new(), Vec::new());
        encoder.encode(&record, &mut written).expect("what was read can be written");
        let read = read(&mut Decoder::<T>::new(Framing::SingleObject), &written, &registered);
        let read = read.expect("what was written can be read");
        encoder.encode(&read, &mut again).expect("what was read can be written");
        assert!(written == again, "what was written is read as something else");
    }
}

/// A value of the classified topic.
pub fn classified(bytes: &[u8]) {
    round::<OfClassified>(bytes);
}

/// A correction.
pub fn correction(bytes: &[u8]) {
    round::<OfCorrection>(bytes);
}

/// An action.
pub fn action(bytes: &[u8]) {
    round::<OfAction>(bytes);
}

/// Alerts, queue items, rows of metrics, communities and canaries, which the notifier, the sink and the commands read.
pub fn other_records(bytes: &[u8]) {
    round::<OfAlert>(bytes);
    round::<OfQueueItem>(bytes);
    round::<OfMetrics>(bytes);
    round::<OfCommunity>(bytes);
    round::<OfCanary>(bytes);
}

/// A schema that the registry gives for an id, up to a zero byte, and what was written by it.
pub fn registry_schema(bytes: &[u8]) {
    let (text, datum) = match bytes.iter().position(|&byte| byte == 0) {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &[][..]),
    };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let found = |_| SchemaLookup::Found(text.to_owned());
    let value = [&[0, 0, 0, 0, 7], datum].concat();
    let mut raw = RawDecoder::new(RawFormat::Avro, Framing::Confluent, RAW_BYTES_MAX);
    for kind in Kind::ALL {
        if let Some(interaction) = read_raw(&mut raw, kind, &value, &found) {
            let _ = check_interaction(&interaction, NOW, FUTURE_MS_MAX);
        }
    }
    read(&mut Decoder::<OfClassified>::new(Framing::Confluent), &value, &found);
    read(&mut Decoder::<OfAction>::new(Framing::Confluent), &value, &found);
    // As `tail` shows it.
    if let Ok(schema) = GenericSchema::parse(text) {
        let _ = schema.to_json(datum);
    }
}
