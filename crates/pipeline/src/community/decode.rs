//! What a record of an input is, or why it is a dead letter.

use record::stage::InputRecord;
use record::{Action, ClassifiedRecord, Correction, EpochMs, Reason, encode_key, is_key_of, partition_for_key};
use wire::{ActionDecoder, ClassifiedDecoder, CorrectionDecoder, DecodeError};

use super::{check_correction, validate};

/// A record as it was decoded; short-lived, so that a box would cost more than its size.
#[allow(clippy::large_enum_variant)]
pub(super) enum Decoded<T> {
    Record(T),
    Refused(Reason, String),
    NeedsSchema(u32),
}

pub(super) fn decode<'a>(
    decoder: &mut ClassifiedDecoder,
    record: &InputRecord<'a>,
    partitions: i32,
    latest: EpochMs,
) -> Decoded<ClassifiedRecord<'a>> {
    let Some(value) = record.value else {
        return Decoded::Refused(Reason::NullValue, "null value; this topic holds interactions and markers".to_owned());
    };
    let decoded = match decoder.decode(value) {
        Ok(decoded) => decoded,
        Err(DecodeError::NeedsSchema(id)) => return Decoded::NeedsSchema(id),
        Err(DecodeError::Reject(rejection)) => return Decoded::Refused(rejection.reason, rejection.detail),
    };
    let valid = match &decoded {
        ClassifiedRecord::ClassifiedInteraction(interaction) => validate::interaction(interaction, latest),
        ClassifiedRecord::Progress(progress) => validate::progress(progress, latest),
    };
    if let Err((reason, detail)) = valid {
        return Decoded::Refused(reason, detail);
    }
    if let ClassifiedRecord::ClassifiedInteraction(interaction) = &decoded
        && let Some(detail) = misplaced_of(&interaction.community_id, record, partitions)
    {
        return Decoded::Refused(Reason::WrongPartition, detail);
    }
    Decoded::Record(decoded)
}

pub(super) fn decode_correction<'a>(
    decoder: &mut CorrectionDecoder,
    record: &InputRecord<'a>,
    partitions: i32,
    latest: EpochMs,
) -> Decoded<Correction<'a>> {
    let Some(value) = record.value else {
        return Decoded::Refused(Reason::NullValue, "null value; this topic holds corrections".to_owned());
    };
    let correction = match decoder.decode(value) {
        Ok(correction) => correction,
        Err(DecodeError::NeedsSchema(id)) => return Decoded::NeedsSchema(id),
        Err(DecodeError::Reject(rejection)) => return Decoded::Refused(rejection.reason, rejection.detail),
    };
    if let Err((reason, detail)) = check_correction(&correction, latest) {
        return Decoded::Refused(reason, detail);
    }
    match misplaced_of(&correction.community_id, record, partitions) {
        Some(detail) => Decoded::Refused(Reason::WrongPartition, detail),
        None => Decoded::Record(correction),
    }
}

pub(super) fn decode_action<'a>(decoder: &mut ActionDecoder, record: &InputRecord<'a>) -> Decoded<Action<'a>> {
    let Some(value) = record.value else {
        return Decoded::Refused(Reason::NullValue, "null value; this topic holds actions".to_owned());
    };
    match decoder.decode(value) {
        Ok(action) => Decoded::Record(action),
        Err(DecodeError::NeedsSchema(id)) => Decoded::NeedsSchema(id),
        Err(DecodeError::Reject(rejection)) => Decoded::Refused(rejection.reason, rejection.detail),
    }
}

/// The same of a record of a community: where that lives, whatever else the key says.
fn misplaced_of(community_id: &str, record: &InputRecord<'_>, partitions: i32) -> Option<String> {
    if record.key.is_none_or(|key| is_key_of(key, community_id)) {
        return misplaced(record, partitions);
    }
    let key = encode_key(&[community_id]);
    misplaced(&InputRecord { key: Some(key.as_bytes()), ..*record }, partitions)
}

/// Why a record is not in the partition of its key: a community lives on one, and would be counted twice.
pub(super) fn misplaced(record: &InputRecord<'_>, partitions: i32) -> Option<String> {
    if partitions <= 0 {
        return None;
    }
    let found = record.from.partition;
    match record.key.map(|key| partition_for_key(key, partitions)) {
        Some(right) if right == found => None,
        Some(right) => Some(format!("the key belongs to partition {right} by murmur2, found in {found}")),
        None => Some(format!("no key; the community id is right, found in {found}")),
    }
}
