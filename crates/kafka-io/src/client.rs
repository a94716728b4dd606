//! What every client of Kafka has in common: where, as whom, by whose clock, until when.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;
use record::EpochMs;

use crate::statistics::ClientStatistics;

/// A wall clock. The demo has one of its own.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now_ms(&self) -> EpochMs;
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> EpochMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// Asks an owner to come to an end, from any thread.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<AtomicBool>);

impl Shutdown {
    /// Asks.
    pub fn request(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True once it was asked.
    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Where Kafka is, and as whom to go there.
#[derive(Clone)]
pub struct Connection {
    /// `host:port`, several by commas.
    pub bootstrap: String,
    /// The name that brokers log.
    pub client_id: String,
    /// Further properties of librdkafka, e.g. those of security. They win over ours.
    pub properties: Vec<(String, String)>,
}

// By hand: properties hold passwords.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.properties.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Connection")
            .field("bootstrap", &self.bootstrap)
            .field("properties", &names)
            .finish_non_exhaustive()
    }
}

impl Connection {
    /// A client's configuration: ours, then the properties.
    pub(crate) fn config<V: AsRef<str>>(&self, ours: &[(&str, V)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.bootstrap);
        config.set("client.id", &self.client_id);
        config.set("log.connection.close", "false");
        config.set("reconnect.backoff.ms", "100");
        config.set("reconnect.backoff.max.ms", "2000");
        for (name, value) in ours {
            config.set(*name, value.as_ref());
        }
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set_log_level(RDKafkaLogLevel::Warning);
        config
    }
}

/// What a client tells of itself: one line every few seconds for each kind of trouble, not one per attempt.
#[derive(Debug)]
pub(crate) struct Context {
    role: &'static str,
    said: Mutex<HashMap<String, Instant>>,
    unreachable_at: Mutex<Option<Instant>>,
    pub(crate) unauthorized: Mutex<Option<String>>,
    statistics: Mutex<Option<ClientStatistics>>,
}

const SAY_AGAIN_AFTER: Duration = Duration::from_secs(5);

impl Context {
    pub(crate) fn new(role: &'static str) -> Context {
        Context {
            role,
            said: Mutex::default(),
            unreachable_at: Mutex::default(),
            unauthorized: Mutex::default(),
            statistics: Mutex::default(),
        }
    }

    /// What the client told of itself, if it has since this was asked last.
    pub(crate) fn take_statistics(&self) -> Option<ClientStatistics> {
        self.statistics.lock().ok()?.take()
    }

    /// Takes over from a client that this one stands in for when no broker could be reached.
    pub(crate) fn remember_outage_of(&self, before: &Context) {
        if let (Ok(mut at), Ok(before)) = (self.unreachable_at.lock(), before.unreachable_at.lock()) {
            *at = *before;
        }
    }

    /// No broker could be reached just now.
    pub(crate) fn note_outage(&self) {
        if let Ok(mut at) = self.unreachable_at.lock() {
            *at = Some(Instant::now());
        }
    }

    /// Whether no broker could be reached at some time within the last while.
    pub(crate) fn was_unreachable(&self, within: Duration) -> bool {
        self.unreachable_at.lock().is_ok_and(|at| at.is_some_and(|at| at.elapsed() < within))
    }

    fn is_due(&self, kind: &str) -> bool {
        let Ok(mut said) = self.said.lock() else { return true };
        let now = Instant::now();
        match said.get(kind) {
            Some(last) if now.duration_since(*last) < SAY_AGAIN_AFTER => false,
            _ => {
                said.insert(kind.to_owned(), now);
                true
            }
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        // Connection trouble comes through `error` too, and there once.
        if matches!(fac, "FAIL" | "ERROR") || !self.is_due(fac) {
            tracing::debug!(role = self.role, facility = fac, message, "kafka client");
            return;
        }
        match level {
            RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical | RDKafkaLogLevel::Error => {
                tracing::error!(role = self.role, facility = fac, message, "kafka client");
            }
            RDKafkaLogLevel::Warning => tracing::warn!(role = self.role, facility = fac, message, "kafka client"),
            _ => tracing::debug!(role = self.role, facility = fac, message, "kafka client"),
        }
    }

    fn stats(&self, statistics: Statistics) {
        if let Ok(mut last) = self.statistics.lock() {
            *last = Some(ClientStatistics::of(&statistics));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code.is_some_and(is_unauthorized)
            && let Ok(mut unauthorized) = self.unauthorized.lock()
        {
            *unauthorized = Some(reason.to_owned());
        }
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        // Every way in which a broker is not reached is one kind of trouble to a reader of the log.
        let kind = if is_unreachable(code) { "unreachable".to_owned() } else { format!("{code:?}") };
        if is_unreachable(code) {
            self.note_outage();
        }
        if self.is_due(&kind) {
            if kind == "unreachable" {
                tracing::warn!(role = self.role, reason, "no broker can be reached; trying again");
            } else {
                tracing::warn!(role = self.role, reason, "kafka client reports an error");
            }
        }
    }
}

impl ConsumerContext for Context {}

pub(crate) fn is_unreachable(code: Option<RDKafkaErrorCode>) -> bool {
    matches!(
        code,
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::RequestTimedOut
                | RDKafkaErrorCode::TimedOutQueue
        )
    )
}

pub(crate) fn is_unauthorized(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::Authentication
    )
}
