//! What a target was told, on a compacted topic; and dead letters.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_io::feed::{Feed, FeedRecord};
use kafka_io::reader::{ReadError, Reader, Start};
use kafka_io::{Connection, OwnerError};
use record::{Disposition, Reason, StageName, header, limits};

use super::row::{Origin, Progress};
use crate::config::Config;

/// How long brokers may take for one record.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How often nothing may come before the topic counts as unreadable; each time is 100 ms.
const QUIET_TIMES_MAX: u32 = 100;

/// Why something was not written, or what was written not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unwritten {
    /// This client may not: the process stops.
    Unauthorized(String),
    /// Brokers did not take it now: it is tried again after a pause.
    Later(String),
}

impl From<String> for Unwritten {
    fn from(detail: String) -> Unwritten {
        Unwritten::Later(detail)
    }
}

/// Keeps what one target was told.
#[derive(Debug)]
pub(super) struct Keeper {
    connection: Connection,
    feed: Feed,
    record_bytes_max: usize,
    topic: String,
    dead_letters: String,
    target: String,
    /// What could not be written yet, by alert; `None` takes away what was kept.
    unwritten: BTreeMap<String, Option<Progress>>,
}

impl Keeper {
    /// # Errors
    /// If the properties are wrong.
    pub(super) fn open(config: &Config, connection: &Connection, target: &str) -> Result<Keeper, OwnerError> {
        let record_bytes_max = config.raw_record_bytes_max + limits::DEAD_LETTER_EXTRA_BYTES;
        Ok(Keeper {
            feed: open_feed(connection, record_bytes_max)?,
            connection: connection.clone(),
            record_bytes_max,
            topic: config.topics.notify_state.clone(),
            dead_letters: config.topics.dead_letters.clone(),
            target: target.to_owned(),
            unwritten: BTreeMap::new(),
        })
    }

    /// Everything that is kept of this target, by alert.
    ///
    /// # Errors
    /// If it cannot be read to its end.
    pub(super) fn restore(&self) -> Result<BTreeMap<String, Progress>, Unwritten> {
        let unreadable = |error: ReadError| match error {
            ReadError::Unauthorized(detail) => Unwritten::Unauthorized(detail),
            other => Unwritten::Later(other.to_string()),
        };
        let mut reader =
            Reader::open(&self.connection, &self.topic, Start::Beginning, ASK_TIMEOUT).map_err(unreadable)?;
        let mut kept = BTreeMap::new();
        let mut quiet_times = 0;
        while !reader.is_at_end() {
            let Some(record) = reader.next(Duration::from_millis(100)).map_err(unreadable)? else {
                quiet_times += 1;
                if quiet_times > QUIET_TIMES_MAX {
                    return Err(format!("topic {} cannot be read to its end", self.topic).into());
                }
                continue;
            };
            quiet_times = 0;
            let key = record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
            let Some(id) = key.strip_prefix(&self.target).and_then(|rest| rest.strip_prefix('|')) else { continue };
            match record.value.as_deref().map(serde_json::from_slice::<Progress>) {
                Some(Ok(progress)) => {
                    kept.insert(id.to_owned(), progress);
                }
                Some(Err(_)) => {
                    let (topic, partition, offset) = (&self.topic, record.partition, record.offset);
                    tracing::warn!(topic, partition, offset, "a record is no state of a notification; it is ignored");
                }
                None => {
                    kept.remove(id);
                }
            }
        }
        // What was not written yet is newer.
        for (id, progress) in &self.unwritten {
            match progress {
                Some(progress) => kept.insert(id.clone(), progress.clone()),
                None => kept.remove(id),
            };
        }
        Ok(kept)
    }

    /// Keeps something of an alert, or nothing any more. What cannot be written is written by [`Keeper::catch_up`].
    ///
    /// # Errors
    /// If the brokers do not take it now.
    pub(super) fn keep(&mut self, id: &str, progress: Option<Progress>) -> Result<(), Unwritten> {
        self.unwritten.insert(id.to_owned(), progress);
        self.catch_up()
    }

    /// Writes what could not be written.
    ///
    /// # Errors
    /// If the brokers do not take it now either.
    pub(super) fn catch_up(&mut self) -> Result<(), Unwritten> {
        while let Some((id, progress)) = self.unwritten.first_key_value() {
            let id = id.clone();
            let key = format!("{}|{id}", self.target);
            let value = progress.as_ref().map(|progress| serde_json::to_vec(progress).unwrap_or_default());
            let topic = self.topic.clone();
            self.write(&FeedRecord {
                topic: &topic,
                key: Some(key.as_bytes()),
                value: value.as_deref(),
                ..FeedRecord::default()
            })?;
            self.unwritten.remove(&id);
        }
        Ok(())
    }

    /// Others write of these alerts from now on, and theirs is newer than what was not written. What was about to be told is kept
    /// already, so that a repeat is known as one.
    pub(super) fn let_go(&mut self) {
        self.unwritten.clear();
    }

    /// Writes a dead letter.
    ///
    /// # Errors
    /// If the brokers do not take it now.
    pub(super) fn dead_letter(&mut self, origin: &Origin, reason: Reason, detail: &str) -> Result<(), Unwritten> {
        let place = format!("{}:{}:{}", origin.place.topic, origin.place.partition, origin.offset);
        let mut headers = vec![
            (header::ORIGIN, place),
            (header::STAGE, StageName::Notify.as_str().to_owned()),
            (header::REASON, reason.as_str().to_owned()),
            // The record is in place on its topic, which is not the notifier's to write to.
            (header::DISPOSITION, Disposition::Inspect.as_str().to_owned()),
            (header::DETAIL, detail.to_owned()),
        ];
        headers.extend(origin.timestamp.map(|time| (header::ORIGINAL_TIMESTAMP, time.to_string())));
        let headers: Vec<(String, Option<Vec<u8>>)> =
            headers.into_iter().map(|(name, value)| (name.to_owned(), Some(value.into_bytes()))).collect();
        let topic = self.dead_letters.clone();
        self.write(&FeedRecord {
            topic: &topic,
            key: origin.key.as_deref(),
            value: origin.value.as_deref(),
            headers: &headers,
            ..FeedRecord::default()
        })
    }

    fn write(&mut self, record: &FeedRecord<'_>) -> Result<(), Unwritten> {
        let sent = self.feed.send_record(record);
        let written = sent.and_then(|()| self.feed.flush(WRITE_TIMEOUT)).map_err(|error| error.to_string());
        let written = written.and_then(|()| match self.feed.first_failure() {
            None => Ok(()),
            Some(why) => Err(why),
        });
        let Err(detail) = written else { return Ok(()) };
        if self.feed.is_unauthorized() {
            return Err(Unwritten::Unauthorized(detail));
        }
        // Whatever it has left is not to be waited for, nor its failure to be taken for that of the next.
        match open_feed(&self.connection, self.record_bytes_max) {
            Ok(feed) => self.feed = feed,
            Err(error) => return Err(Unwritten::Later(error.to_string())),
        }
        Err(Unwritten::Later(detail))
    }
}

fn open_feed(connection: &Connection, record_bytes_max: usize) -> Result<Feed, OwnerError> {
    Feed::open(connection, record_bytes_max).map_err(|error| OwnerError::Config(error.to_string()))
}
