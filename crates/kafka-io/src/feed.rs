//! Produces records from outside the stages: what is ingested, what the demo makes up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::Connection;
use crate::client::Context;

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

struct FeedContext {
    inner: Context,
    delivered: AtomicU64,
    failed: AtomicU64,
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
        let count = if result.is_ok() { &self.delivered } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
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
    /// Opens it; nothing is sent yet. A record may have up to `record_bytes_max`.
    ///
    /// # Errors
    /// If the properties are wrong.
    pub fn open(connection: &Connection, record_bytes_max: usize) -> Result<Feed, FeedError> {
        let size = record_bytes_max.to_string();
        let config = connection.config(&[
            ("enable.idempotence", "true"),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "5"),
            ("compression.type", "lz4"),
            ("queue.buffering.max.kbytes", "16384"),
            ("queue.buffering.max.messages", "20000"),
            ("message.max.bytes", &size),
        ]);
        let context =
            FeedContext { inner: Context::new("feed"), delivered: AtomicU64::new(0), failed: AtomicU64::new(0) };
        let producer = config.create_with_context(context).map_err(|error| FeedError::Config(error.to_string()))?;
        Ok(Feed { producer })
    }

    /// Hands one record over, waiting while the queue is full.
    ///
    /// # Errors
    /// If this record can never be produced (too large, no such topic).
    pub fn send(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: Option<i64>,
    ) -> Result<(), FeedError> {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic);
        record.key = key;
        record.payload = value;
        record.timestamp = timestamp;
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(Duration::from_millis(50));
                }
                Err((error, _)) => return Err(FeedError::Refused(error.to_string())),
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
            if Instant::now() > end {
                return Err(FeedError::Timeout(u64::try_from(self.producer.in_flight_count()).unwrap_or(0)));
            }
            self.producer.poll(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Serves deliveries while there is nothing to send.
    pub fn poll(&self, timeout: Duration) {
        self.producer.poll(timeout);
    }

    /// Records that the brokers have.
    pub fn delivered(&self) -> u64 {
        self.producer.context().delivered.load(Ordering::Relaxed)
    }

    /// Records that the brokers did not take.
    pub fn failed(&self) -> u64 {
        self.producer.context().failed.load(Ordering::Relaxed)
    }
}
