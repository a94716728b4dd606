//! What is stored on a topic now: each record from its first to its last, or of a compacted topic the newest row of each key.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use kafka_io::reader::{OwnedRecord, Reader, Start};
use record::stage::SchemaLookup;
use wire::{Decodable, DecodeError, Decoder};

use crate::cli::OutsideError;
use crate::config::Config;
use crate::registry::Registry;

/// How long brokers may say nothing before reading is given up.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is told how far a long topic has been read.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Decodes the records of one type, asking the registry where there is one.
pub(super) struct Decoding<T> {
    decoder: Decoder<T>,
    registry: Option<Registry>,
    unreadable: u64,
}

impl<T: Decodable> Decoding<T> {
    pub(super) fn new(config: &Config) -> Decoding<T> {
        Decoding {
            decoder: Decoder::new(config.framing()),
            registry: config.registry.as_ref().map(Registry::new),
            unreadable: 0,
        }
    }

    /// The value; nothing if it is none of this type, which is counted.
    pub(super) fn decode<'a>(&mut self, value: &'a [u8]) -> Result<Option<T::Of<'a>>> {
        loop {
            match self.decoder.decode(value) {
                Ok(value) => return Ok(Some(value)),
                Err(DecodeError::NeedsSchema(id)) => {
                    let lookup = match &self.registry {
                        Some(registry) => registry.schema_by_id(id)?,
                        None => SchemaLookup::NotFound,
                    };
                    self.decoder.add_schema(id, &lookup);
                }
                Err(DecodeError::Reject(_)) => {
                    self.unreadable += 1;
                    return Ok(None);
                }
            }
        }
    }

    /// Says how many records could not be read, if any.
    pub(super) fn tell(&self, topic: &str) {
        if self.unreadable > 0 {
            eprintln!("{topic}: {} records cannot be read as {} and are left out", self.unreadable, T::SCHEMA.as_str());
        }
    }
}

/// Shows every committed record of a topic that is there now, each partition in its order. While that takes long, it says how far it is.
pub(super) fn each_record(config: &Config, topic: &str, mut see: impl FnMut(OwnedRecord) -> Result<()>) -> Result<()> {
    let mut reader = Reader::open(config.connection(), topic, Start::Beginning, Duration::from_secs(10))?;
    let all = reader.left().max(1);
    let mut heard = Instant::now();
    let mut told = heard;
    while !reader.is_at_end() {
        match reader.next(Duration::from_millis(200))? {
            Some(record) => {
                heard = Instant::now();
                if heard.duration_since(told) >= TOLD_EVERY {
                    told = heard;
                    let done = all.saturating_sub(reader.left());
                    eprintln!("reading {topic}: {done} of {all} offsets, {} %", done.saturating_mul(100) / all);
                }
                if reader.was_there(&record) {
                    see(record)?;
                }
            }
            None if heard.elapsed() > PATIENCE => return Err(silent(config, topic).into()),
            None => {}
        }
    }
    Ok(())
}

/// The record at an offset; nothing if there is none, or it is gone.
pub(super) fn record_at(config: &Config, topic: &str, (partition, offset): (i32, i64)) -> Result<Option<OwnedRecord>> {
    let start = Start::At { partition, offset };
    let mut reader = Reader::open(config.connection(), topic, start, Duration::from_secs(10))?;
    let begun = Instant::now();
    loop {
        match reader.next(Duration::from_millis(200))? {
            // What is not there (a marker of a transaction, or gone) is skipped by the reader.
            Some(record) => return Ok(Some(record).filter(|record| record.offset == offset)),
            None if reader.is_at_end() => return Ok(None),
            None if begun.elapsed() > PATIENCE => return Err(silent(config, topic).into()),
            None => {}
        }
    }
}

fn silent(config: &Config, topic: &str) -> OutsideError {
    let bootstrap = &config.connection().bootstrap;
    OutsideError(format!("{bootstrap} has sent nothing of topic {topic} for {} s", PATIENCE.as_secs()))
}

/// The newest rows of a compacted topic.
pub(super) struct Newest<R> {
    /// By key.
    pub(super) rows: HashMap<Vec<u8>, R>,
    /// True if there were more than there is room for: those read last are not among them.
    pub(super) is_full: bool,
}

/// The newest row of each key, of those that `keep` makes something of. At most `most` are held at a time.
pub(super) fn newest<T: Decodable, R>(
    config: &Config,
    topic: &str,
    most: usize,
    mut keep: impl FnMut(&[u8], &[u8], T::Of<'_>) -> Option<R>,
) -> Result<Newest<R>> {
    let mut decoding = Decoding::<T>::new(config);
    let mut newest = Newest { rows: HashMap::new(), is_full: false };
    each_record(config, topic, |record| {
        let Some(key) = record.key else { return Ok(()) };
        let kept = match &record.value {
            Some(value) => decoding.decode(value)?.and_then(|row| keep(&key, value, row)),
            None => None,
        };
        match kept {
            None => {
                newest.rows.remove(&key);
            }
            Some(_) if newest.rows.len() >= most && !newest.rows.contains_key(&key) => newest.is_full = true,
            Some(row) => {
                newest.rows.insert(key, row);
            }
        }
        Ok(())
    })?;
    decoding.tell(topic);
    Ok(newest)
}

/// The newest row of one key as it is stored; nothing if there is none.
pub(super) fn newest_of_key(config: &Config, topic: &str, key: &str) -> Result<Option<Vec<u8>>> {
    let mut newest = None;
    each_record(config, topic, |record| {
        if record.key.as_deref() == Some(key.as_bytes()) {
            newest = record.value;
        }
        Ok(())
    })?;
    Ok(newest)
}
