//! Produces records from outside the stages: what is ingested, what the demo makes up.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaConfRes;

use crate::Connection;
use crate::acl::{Operation, Resource, missing};
use crate::client::{Context, is_unauthorized, serve};

/// Why nothing more can be fed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeedError {
    /// The properties are wrong.
    #[error("kafka client cannot be made: {0}")]
    Config(String),
    /// This record cannot be produced; others may.
    #[error("record refused: {0}")]
    Refused(String),
    /// The brokers did not take what was sent in time.
    #[error("{0} records were not taken by the brokers in time")]
    Timeout(u64),
}

/// A property of librdkafka that it does not take. The value is not here: it may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PropertyError {
    /// There is no such property.
    #[error("{0} is no property of librdkafka")]
    Unknown(String),
    /// The property does not take this value.
    #[error("librdkafka does not take the value of {0}")]
    Value(String),
}

/// Checks that librdkafka takes every property, without making a client.
///
/// Clients tell of a wrong property by quoting its value, which may be a password: whoever checks first never shows one.
///
/// # Errors
/// The first property that it does not take.
pub fn check_properties(connection: &Connection) -> Result<(), PropertyError> {
    connection.config::<&str>(&[]).create_native_config().map(|_| ()).map_err(|error| match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, _, name, _) => PropertyError::Unknown(name),
        KafkaError::ClientConfig(_, _, name, _) => PropertyError::Value(name),
        other => PropertyError::Unknown(other.to_string()),
    })
}

struct FeedContext {
    inner: Context,
    delivered: AtomicU64,
    failed: AtomicU64,
    /// Of which topic, and why.
    first_failure: OnceLock<(String, String)>,
    unauthorized: AtomicBool,
}

impl FeedContext {
    fn note(&self, code: Option<RDKafkaErrorCode>) {
        if code.is_some_and(is_unauthorized) {
            self.unauthorized.store(true, Ordering::Relaxed);
        }
    }
}

impl ClientContext for FeedContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.inner.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.inner.error(error, reason);
    }
}

impl ProducerContext for FeedContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let count = match result {
            Ok(_) => &self.delivered,
            Err((error, record)) => {
                self.note(error.rdkafka_error_code());
                self.first_failure.get_or_init(|| {
                    // The code says it best: what is around it in the error says only that it is one.
                    let why = error.rdkafka_error_code().map_or_else(|| error.to_string(), |code| code.to_string());
                    (record.topic().to_owned(), why)
                });
                &self.failed
            }
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the queue of a feed holds at least, in bytes.
const QUEUE_BYTES: usize = 16 * 1_048_576;

/// A record as it is to be produced.
#[derive(Clone, Copy, Default)]
pub struct FeedRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition; without one the key's.
    pub partition: Option<i32>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value.
    pub value: Option<&'a [u8]>,
    /// The Kafka time, in epoch milliseconds; without one that of sending.
    pub timestamp: Option<i64>,
    /// Headers, in order.
    pub headers: &'a [(String, Option<Vec<u8>>)],
}

// By hand: it may hold anything.
impl std::fmt::Debug for FeedRecord<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FeedRecord").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// A bounded, idempotent producer. It blocks while its queue is full.
pub struct Feed {
    producer: BaseProducer<FeedContext>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("delivered", &self.delivered()).finish_non_exhaustive()
    }
}

impl Feed {
    /// Opens it; nothing is sent yet. A record may have up to `record_bytes_max`, its key and what
    /// Kafka adds to it included.
    ///
    /// # Errors
    /// If the properties are wrong.
    pub fn open(connection: &Connection, record_bytes_max: usize) -> Result<Feed, FeedError> {
        let size = record_bytes_max.to_string();
        // Room for one record that is sent and one that waits, however large they may be.
        let queue = QUEUE_BYTES.max(record_bytes_max.saturating_mul(2)).div_ceil(1_024).to_string();
        let config = connection.config(&[
            ("enable.idempotence", "true"),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "5"),
            ("compression.type", "lz4"),
            ("queue.buffering.max.kbytes", &queue),
            ("queue.buffering.max.messages", "20000"),
            ("message.max.bytes", &size),
        ]);
        let context = FeedContext {
            inner: Context::new("feed"),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            first_failure: OnceLock::new(),
            unauthorized: AtomicBool::new(false),
        };
        let producer = config.create_with_context(context).map_err(|error| FeedError::Config(error.to_string()))?;
        Ok(Feed { producer })
    }

    /// Hands one record over, waiting while the queue is full.
    ///
    /// # Errors
    /// If this record can never be produced (too large, also for the queue; no such topic).
    pub fn send(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: Option<i64>,
    ) -> Result<(), FeedError> {
        self.send_record(&FeedRecord { topic, key, value, timestamp, ..FeedRecord::default() })
    }

    /// The same of a record that says more of itself.
    ///
    /// # Errors
    /// If this record can never be produced.
    pub fn send_record(&self, given: &FeedRecord<'_>) -> Result<(), FeedError> {
        let FeedRecord { topic, key, value, .. } = *given;
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        record.key = key;
        record.payload = value;
        record.timestamp = given.timestamp;
        record.partition = given.partition;
        if !given.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(given.headers.len());
            record.headers = Some(
                given
                    .headers
                    .iter()
                    .fold(headers, |headers, (key, value)| headers.insert(Header { key, value: value.as_deref() })),
            );
        }
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    // Nothing in the queue, and yet no room: waiting makes none.
                    if self.producer.in_flight_count() == 0 {
                        let bytes = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
                        return Err(FeedError::Refused(format!(
                            "{bytes} bytes are more than the producer's queue holds (queue.buffering.max.kbytes)"
                        )));
                    }
                    record = refused;
                    serve(&self.producer);
                }
                Err((error, _)) => {
                    self.producer.context().note(error.rdkafka_error_code());
                    return Err(FeedError::Refused(error.to_string()));
                }
            }
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Waits until everything is delivered, or has failed.
    ///
    /// # Errors
    /// If it is not within `timeout`.
    pub fn flush(&self, timeout: Duration) -> Result<(), FeedError> {
        let end = Instant::now() + timeout;
        while self.producer.in_flight_count() > 0 {
            if Instant::now() >= end {
                return Err(FeedError::Timeout(u64::try_from(self.producer.in_flight_count()).unwrap_or(0)));
            }
            serve(&self.producer);
        }
        Ok(())
    }

    /// Serves deliveries, and does nothing for `pause`: there is nothing to send.
    pub fn rest(&self, pause: Duration) {
        self.producer.poll(Duration::ZERO);
        std::thread::sleep(pause);
    }

    /// Records that the brokers have.
    pub fn delivered(&self) -> u64 {
        self.producer.context().delivered.load(Ordering::Relaxed)
    }

    /// Records that the brokers did not take.
    pub fn failed(&self) -> u64 {
        self.producer.context().failed.load(Ordering::Relaxed)
    }

    /// True once the brokers have refused a record because this client may not write it: another attempt is refused too.
    pub fn is_unauthorized(&self) -> bool {
        self.producer.context().unauthorized.load(Ordering::Relaxed) || self.may_write_nothing()
    }

    /// Who may write to no topic at all is refused as a producer, before anything is sent; what was to be sent is given up.
    fn may_write_nothing(&self) -> bool {
        let fatal = self.producer.client().fatal_error();
        fatal.is_some_and(|(code, _)| code == RDKafkaErrorCode::ClusterAuthorizationFailed)
    }

    /// Why the brokers did not take the first of those, with its topic; nothing while all are taken.
    pub fn first_failure(&self) -> Option<String> {
        let (topic, why) = self.producer.context().first_failure.get()?;
        if self.is_unauthorized() {
            return Some(missing(Operation::Write, &Resource::Topic(topic.clone())));
        }
        Some(format!("topic {topic}: {why}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No broker is there: what is sent stays in the queue.
    fn nowhere(properties: &[(&str, &str)]) -> Connection {
        let properties = properties.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Connection { bootstrap: "127.0.0.1:1".to_owned(), client_id: "test".to_owned(), properties }
    }

    #[test]
    fn the_queue_holds_the_largest_record() {
        let feed = Feed::open(&nowhere(&[]), 20 * 1_048_576).unwrap();
        let record = vec![b'a'; 20 * 1_048_576 - 1_000];
        feed.send("a", Some(b"key"), Some(&record), None).unwrap();
        assert_eq!((feed.delivered(), feed.failed()), (0, 0));
    }

    #[test]
    fn what_an_empty_queue_cannot_hold_is_refused() {
        let feed = Feed::open(&nowhere(&[("queue.buffering.max.kbytes", "1")]), 100_000).unwrap();
        let refused = feed.send("a", None, Some(&[b'a'; 5_000]), None);
        assert!(matches!(&refused, Err(FeedError::Refused(why)) if why.starts_with("5000 bytes")), "{refused:?}");
        feed.send("a", None, Some(b"small"), None).unwrap();
    }

    #[test]
    fn the_first_failure_is_kept_with_its_reason() {
        let feed = Feed::open(&nowhere(&[("message.timeout.ms", "50"), ("linger.ms", "0")]), 1_000).unwrap();
        assert_eq!(feed.first_failure(), None);
        feed.send("one", None, Some(b"a"), None).unwrap();
        feed.flush(Duration::from_secs(10)).unwrap();
        feed.send("two", None, Some(b"a"), None).unwrap();
        feed.flush(Duration::from_secs(10)).unwrap();
        assert_eq!((feed.failed(), feed.delivered()), (2, 0));
        let why = feed.first_failure().unwrap();
        assert!(why.starts_with("topic one: ") && why.contains("timed out"), "{why}");
    }

    #[test]
    fn only_a_lack_of_permission_is_one() {
        let feed = Feed::open(&nowhere(&[]), 1_000).unwrap();
        feed.producer.context().note(Some(RDKafkaErrorCode::MessageTimedOut));
        feed.producer.context().note(None);
        assert!(!feed.is_unauthorized());
        feed.producer.context().note(Some(RDKafkaErrorCode::TopicAuthorizationFailed));
        assert!(feed.is_unauthorized());
    }

    #[test]
    fn a_wrong_property_is_told_without_its_value() {
        assert_eq!(check_properties(&nowhere(&[("sasl.password", "rahasia")])), Ok(()));
        let unknown = check_properties(&nowhere(&[("sasl.pasword", "rahasia")])).unwrap_err();
        assert_eq!(unknown, PropertyError::Unknown("sasl.pasword".to_owned()));
        let value = check_properties(&nowhere(&[("security.protocol", "rahasia")])).unwrap_err();
        assert_eq!(value, PropertyError::Value("security.protocol".to_owned()));
    }
}
