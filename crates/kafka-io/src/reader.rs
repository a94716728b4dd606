//! Reads a topic without a group: for people and for views.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use record::Position;

use crate::Connection;
use crate::acl::{Operation, Resource, missing};
use crate::client::{Context, is_unauthorized, why_not_let_in};
use crate::queue::headers_of;

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the first record of each partition.
    Beginning,
    /// After the last.
    End,
    /// At one offset of one partition; no other partition is read.
    At {
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
}

/// A record with everything that it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedRecord {
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its Kafka time, in epoch milliseconds.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Why a topic cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// There is no such topic.
    #[error("topic {0} does not exist")]
    NoTopic(String),
    /// This user may not read it.
    #[error("not authorised: {0}")]
    Unauthorized(String),
    /// Brokers do not let this client in, or it does not trust them.
    #[error("the client is not let in by {bootstrap}: {detail}")]
    NotLetIn {
        /// Where.
        bootstrap: String,
        /// The client's words.
        detail: String,
    },
    /// No broker answered, or it refused.
    #[error("topic {topic} cannot be read: {detail}")]
    Failed {
        /// Which topic.
        topic: String,
        /// The client's words.
        detail: String,
    },
}

/// A reader of one topic.
pub struct Reader {
    consumer: BaseConsumer<Context>,
    topic: String,
    /// What is left until the end that was seen when it was opened, by partition.
    ends: BTreeMap<i32, i64>,
    positions: BTreeMap<i32, i64>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl Reader {
    /// Opens a topic. Only committed records are shown.
    ///
    /// # Errors
    /// If there is no such topic, or no broker answers within `timeout`.
    pub fn open(connection: &Connection, topic: &str, start: Start, timeout: Duration) -> Result<Reader, ReadError> {
        Reader::begin(connection, topic, timeout, |partition| match start {
            Start::At { partition: wanted, .. } if wanted != partition => None,
            Start::At { offset, .. } => Some(Offset::Offset(offset)),
            Start::Beginning => Some(Offset::Beginning),
            Start::End => Some(Offset::End),
        })
    }

    /// Opens these partitions of a topic, each at its position; the others are not read.
    ///
    /// # Errors
    /// As [`Reader::open`], and if it has none of them.
    pub fn open_from(
        connection: &Connection,
        topic: &str,
        positions: &BTreeMap<i32, Position>,
        timeout: Duration,
    ) -> Result<Reader, ReadError> {
        Reader::begin(connection, topic, timeout, |partition| positions.get(&partition).copied().map(Offset::Offset))
    }

    fn begin(
        connection: &Connection,
        topic: &str,
        timeout: Duration,
        from: impl Fn(i32) -> Option<Offset>,
    ) -> Result<Reader, ReadError> {
        let failed = |error: KafkaError| ReadError::Failed { topic: topic.to_owned(), detail: error.to_string() };
        // The client wants a group's name even where none is joined.
        let config = connection.config(&[
            ("group.id", "sinyal-reader"),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "earliest"),
            ("queued.max.messages.kbytes", "8192"),
            ("fetch.wait.max.ms", "100"),
        ]);
        let consumer: BaseConsumer<Context> =
            config.create_with_context(Context::new("reader").joining_none()).map_err(failed)?;
        let metadata =
            consumer.fetch_metadata(Some(topic), timeout).map_err(|error| match why_not_let_in(&consumer) {
                Some(detail) => ReadError::NotLetIn { bootstrap: connection.bootstrap.clone(), detail },
                None => failed(error),
            })?;
        if let Some(error) = metadata.topics().first().and_then(|topic| topic.error())
            && is_unauthorized(error.into())
        {
            return Err(not_allowed(topic));
        }
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        if partitions.is_empty() {
            return Err(ReadError::NoTopic(topic.to_owned()));
        }
        let mut assignment = TopicPartitionList::new();
        let mut ends = BTreeMap::new();
        let mut positions = BTreeMap::new();
        for partition in partitions.iter().map(|partition| partition.id()) {
            let Some(from) = from(partition) else { continue };
            let (low, high) = consumer.fetch_watermarks(topic, partition, timeout).map_err(failed)?;
            let position = match from {
                Offset::Offset(offset) => offset,
                Offset::End => high,
                _ => low,
            };
            assignment.add_partition_offset(topic, partition, Offset::Offset(position)).map_err(failed)?;
            ends.insert(partition, high);
            positions.insert(partition, position);
        }
        if assignment.count() == 0 {
            return Err(ReadError::Failed { topic: topic.to_owned(), detail: "no such partition".to_owned() });
        }
        consumer.assign(&assignment).map_err(failed)?;
        Ok(Reader { consumer, topic: topic.to_owned(), ends, positions })
    }

    /// Where a partition that is read ended when the topic was opened.
    pub fn end_of(&self, partition: i32) -> Option<Position> {
        self.ends.get(&partition).copied()
    }

    /// The next record, if one comes within `timeout`.
    ///
    /// # Errors
    /// If the topic cannot be read any more; being without a broker for a while is no error.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<OwnedRecord>, ReadError> {
        match self.consumer.poll(timeout) {
            None => Ok(None),
            Some(Ok(message)) => {
                self.positions.insert(message.partition(), message.offset() + 1);
                let headers = message.headers().map(headers_of);
                Ok(Some(OwnedRecord {
                    partition: message.partition(),
                    offset: message.offset(),
                    timestamp: message.timestamp().to_millis(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                    headers: headers.unwrap_or_default(),
                }))
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                // What is left before the end are markers of transactions, which are no records.
                if let Some(&end) = self.ends.get(&partition) {
                    let position = self.positions.entry(partition).or_insert(end);
                    *position = (*position).max(end);
                }
                Ok(None)
            }
            Some(Err(error)) => {
                let code = error.rdkafka_error_code();
                // No group is joined: that it may not be known is nothing to a reader.
                let of_group = code == Some(RDKafkaErrorCode::GroupAuthorizationFailed);
                if crate::client::is_unreachable(code) || of_group {
                    return Ok(None);
                }
                if code.is_some_and(is_unauthorized) {
                    return Err(not_allowed(&self.topic));
                }
                Err(ReadError::Failed { topic: self.topic.clone(), detail: error.to_string() })
            }
        }
    }

    /// True if a record was there already when the topic was opened.
    pub fn was_there(&self, record: &OwnedRecord) -> bool {
        self.ends.get(&record.partition).is_some_and(|&end| record.offset < end)
    }

    /// Goes on from another offset of a partition that it reads.
    ///
    /// # Errors
    /// If the client does not take it.
    pub fn skip_to(&mut self, partition: i32, offset: Position, timeout: Duration) -> Result<(), ReadError> {
        let failed = |error: KafkaError| ReadError::Failed { topic: self.topic.clone(), detail: error.to_string() };
        self.consumer.seek(&self.topic, partition, Offset::Offset(offset), timeout).map_err(failed)?;
        self.positions.insert(partition, offset);
        Ok(())
    }

    /// Where it is in each partition that it reads: the offset of the next record.
    pub fn positions(&self) -> &BTreeMap<i32, Position> {
        &self.positions
    }

    /// How many offsets are left until the end that was there when the topic was opened.
    pub fn left(&self) -> u64 {
        let left = |(partition, end): (&i32, &i64)| {
            let position = self.positions.get(partition).copied().unwrap_or(0);
            u64::try_from(end.saturating_sub(position)).unwrap_or(0)
        };
        self.ends.iter().map(left).sum()
    }

    /// True once everything was read that was there when the topic was opened.
    pub fn is_at_end(&self) -> bool {
        self.ends.iter().all(|(partition, end)| self.positions.get(partition).is_some_and(|position| position >= end))
    }
}

fn not_allowed(topic: &str) -> ReadError {
    ReadError::Unauthorized(missing(Operation::Read, &Resource::Topic(topic.to_owned())))
}
