//! How a record that cannot be used goes to the dead letters: as it came, with where, why and what next in its headers.

use std::fmt::Write as _;

use record::stage::{InputRecord, Outputs};
use record::{Reason, StageName, header};
use sha2::{Digest, Sha256};

/// Writes dead letters of one stage.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    stage: StageName,
    output: usize,
    value_bytes_max: usize,
    origin: String,
    by_reason: [u64; Reason::ALL.len()],
}

impl DeadLetters {
    /// `output` is the dead-letter topic's place among the stage's outputs; a longer value than `value_bytes_max` is cut.
    pub(crate) fn new(stage: StageName, output: usize, value_bytes_max: usize) -> DeadLetters {
        DeadLetters { stage, output, value_bytes_max, origin: String::new(), by_reason: [0; Reason::ALL.len()] }
    }

    /// Emits one dead letter. `detail` must not hold content of the record.
    pub(crate) fn emit(
        &mut self,
        record: InputRecord<'_>,
        topic: &str,
        reason: Reason,
        detail: &str,
        outputs: &mut Outputs,
    ) {
        self.by_reason[Reason::ALL.iter().position(|&known| known == reason).unwrap_or(0)] += 1;
        self.origin.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.origin, "{topic}:{}:{}", record.from.partition, record.offset);
        // Its own time is now: retention is by it, and an old record would be gone before anybody has looked at it.
        let mut writer = outputs.push(self.output);
        // A key is bounded like the value: together they stay below what the dead-letter topic takes.
        if let Some(key) = record.key {
            writer = writer.key(&key[..key.len().min(KEY_BYTES_MAX)]);
        }
        if let Some(value) = record.value {
            writer = writer.value(&value[..value.len().min(self.value_bytes_max)]);
        }
        let mut writer = Some(writer);
        let mut add = |name: &str, value: &[u8]| writer = writer.take().map(|writer| writer.header(name, value));
        let (mut bytes, mut left_out) = (0, 0_usize);
        record.headers.each(&mut |name, value| {
            bytes += name.len() + value.len();
            // Those of an earlier dead letter would be taken for these; what tells of redrives goes on with the record.
            let is_left_out = name.starts_with("sinyal.") && !tells_of_redrives(name, value);
            if is_left_out {
            } else if bytes <= HEADER_BYTES_MAX {
                add(name, value);
            } else {
                left_out += 1;
            }
        });
        add(header::ORIGIN, self.origin.as_bytes());
        add(header::STAGE, self.stage.as_str().as_bytes());
        add(header::REASON, reason.as_str().as_bytes());
        add(header::DISPOSITION, reason.disposition().as_str().as_bytes());
        add(header::DETAIL, detail.as_bytes());
        if let Some(timestamp) = record.timestamp {
            add(header::ORIGINAL_TIMESTAMP, timestamp.to_string().as_bytes());
        }
        if left_out > 0 {
            add(header::ORIGINAL_HEADERS_LEFT_OUT, left_out.to_string().as_bytes());
        }
        if let Some(key) = record.key.filter(|key| key.len() > KEY_BYTES_MAX) {
            add(header::ORIGINAL_KEY_SIZE, key.len().to_string().as_bytes());
        }
        if let Some(value) = record.value.filter(|value| value.len() > self.value_bytes_max) {
            add(header::ORIGINAL_SIZE, value.len().to_string().as_bytes());
            add(header::ORIGINAL_SHA256, hex(&Sha256::digest(value)).as_bytes());
        }
    }

    /// How many were emitted, by reason.
    pub(crate) fn counts(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        Reason::ALL.into_iter().zip(self.by_reason)
    }
}

/// True of the headers by which a redrive knows how often it was tried, and of what. One that is longer than ours ever are is not
/// ours.
fn tells_of_redrives(name: &str, value: &[u8]) -> bool {
    (name == header::ATTEMPTS && value.len() <= 10) || (name == header::FIRST_ORIGIN && value.len() <= ORIGIN_BYTES_MAX)
}

/// Longest origin, in bytes: a topic's name, a partition and an offset.
const ORIGIN_BYTES_MAX: usize = 249 + 32;
/// Longest key that is kept, in bytes.
const KEY_BYTES_MAX: usize = 16_384;
/// Most bytes of original headers that are kept.
const HEADER_BYTES_MAX: usize = 16_384;

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    push_hex(bytes, &mut text);
    text
}

/// Appends lower-case hexadecimal.
pub(crate) fn push_hex(bytes: &[u8], text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
}
