//! What every client of Kafka has in common: where, as whom, by whose clock, until when.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::statistics::Statistics;
use record::EpochMs;

use crate::acl::{Operation, Resource, missing};
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
    /// Why brokers do not let this client in, or it does not trust them, in its own words.
    not_let_in: Mutex<Option<String>>,
    /// Why the last connection failed that did.
    broken: Mutex<Option<String>>,
    /// The group of a client that joins one, or asks for one.
    group: Option<String>,
    /// True of a client that has a group's name only because the library wants one, and looks for its coordinator in vain where
    /// users may not know of every group.
    joins_none: bool,
    /// True once brokers did not tell of the group's coordinator because this user may not know of the group.
    kept_from_group: AtomicBool,
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
            not_let_in: Mutex::default(),
            broken: Mutex::default(),
            group: None,
            joins_none: false,
            kept_from_group: AtomicBool::new(false),
        }
    }

    /// What the client told of itself, if it has since this was asked last.
    pub(crate) fn take_statistics(&self) -> Option<ClientStatistics> {
        self.statistics.lock().ok()?.take()
    }

    /// The same of a client that joins no group, whatever its properties name.
    pub(crate) fn joining_none(self) -> Context {
        Context { joins_none: true, ..self }
    }

    /// The same of a client that joins a group.
    pub(crate) fn of_group(self, group: &str) -> Context {
        Context { group: Some(group.to_owned()), ..self }
    }

    /// Whether this user may not know of the group.
    pub(crate) fn is_kept_from_group(&self) -> bool {
        self.kept_from_group.load(Ordering::Acquire)
    }

    /// What to say of a refusal: what is not allowed, where the client's words tell.
    pub(crate) fn refusal(&self, code: RDKafkaErrorCode, reason: &str, topic: Option<&str>) -> String {
        let what = match (code, topic, &self.group) {
            (RDKafkaErrorCode::TopicAuthorizationFailed, Some(topic), _) => Resource::Topic(topic.to_owned()),
            (RDKafkaErrorCode::GroupAuthorizationFailed, _, Some(group)) => Resource::Group(group.clone()),
            _ => return reason.to_owned(),
        };
        missing(Operation::Read, &what)
    }

    /// Why brokers are not reached, as far as is known, beside what a call failed with.
    pub(crate) fn explained(&self, error: &KafkaError) -> String {
        match self.broken.lock().ok().and_then(|broken| broken.clone()) {
            Some(broken) => format!("{error} ({broken})"),
            None => error.to_string(),
        }
    }

    /// Why this client is not let in, if it is not.
    pub(crate) fn not_let_in(&self) -> Option<String> {
        self.not_let_in.lock().ok()?.clone()
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
        if self.joins_none && code == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
            return;
        }
        if code == Some(RDKafkaErrorCode::GroupAuthorizationFailed) {
            self.kept_from_group.store(true, Ordering::Release);
        }
        let lacks_token = code.is_some_and(|code| lacks_token(code, reason));
        if code.is_some_and(is_unauthorized)
            && !lacks_token
            && let Ok(mut unauthorized) = self.unauthorized.lock()
        {
            *unauthorized = Some(code.map_or_else(|| reason.to_owned(), |code| self.refusal(code, reason, None)));
        }
        // By TLS 1.3 a broker refuses a certificate when the client takes itself for let in: the connection breaks, with an alert.
        let is_alert = reason.contains("SSL alert number");
        if (is_alert || code.is_some_and(is_not_let_in))
            && let Ok(mut not_let_in) = self.not_let_in.lock()
        {
            *not_let_in = Some(reason.to_owned());
        }
        if code == Some(RDKafkaErrorCode::BrokerTransportFailure)
            && let Ok(mut broken) = self.broken.lock()
        {
            *broken = Some(reason.to_owned());
        }
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        // Every way in which a broker is not reached is one kind of trouble to a reader of the log.
        let unreachable = is_unreachable(code) || lacks_token;
        // Why a handshake fails is not to be lost among connections that were not made.
        let kind = if unreachable && !is_alert && !code.is_some_and(is_not_let_in) {
            "unreachable".to_owned()
        } else {
            format!("{code:?}")
        };
        if unreachable {
            self.note_outage();
        }
        if self.is_due(&kind) {
            if unreachable {
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
                | RDKafkaErrorCode::SSL
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

/// Whether brokers do not let a client in: it does not trust them, or they do not know it.
fn is_not_let_in(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::SSL | RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed
    )
}

/// Whether there is no token to show to brokers. Whoever gives them may be back in a moment: the client asks again every ten
/// seconds, and nothing was refused yet.
pub(crate) fn lacks_token(code: RDKafkaErrorCode, reason: &str) -> bool {
    code == RDKafkaErrorCode::Authentication && reason.starts_with("Failed to acquire SASL OAUTHBEARER token")
}

/// How long nothing is done between two looks at what is to be delivered.
const LOOKS_EVERY: Duration = Duration::from_micros(200);

/// Serves deliveries, and waits a moment if there are none. A poll that is told to wait would spin through what is below a
/// millisecond of the time that it is given.
pub(crate) fn serve<C: ProducerContext>(producer: &BaseProducer<C>) {
    let in_flight = producer.in_flight_count();
    producer.poll(Duration::ZERO);
    if producer.in_flight_count() == in_flight {
        std::thread::sleep(LOOKS_EVERY);
    }
}

/// Most events that are looked through for the reason of a failure.
const EVENTS_MAX: usize = 64;

/// Why a client that has nothing to read yet is not let in, if that is why it has no answer. What it tells comes with polls.
pub(crate) fn why_not_let_in(consumer: &BaseConsumer<Context>) -> Option<String> {
    // A poll that gives nothing may have served a line for the log, with more behind it.
    for _ in 0..EVENTS_MAX {
        let _ = consumer.poll(Duration::ZERO);
    }
    consumer.client().context().not_let_in()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_is_not_to_be_had_is_no_refusal() {
        let context = Context::new("test");
        let lacking = "Failed to acquire SASL OAUTHBEARER token: no answer";
        let error = || KafkaError::Global(RDKafkaErrorCode::Authentication);
        ClientContext::error(&context, error(), lacking);
        assert_eq!(*context.unauthorized.lock().unwrap(), None);
        assert!(context.was_unreachable(Duration::from_secs(5)));
        assert_eq!(context.not_let_in().as_deref(), Some(lacking));
        ClientContext::error(&context, error(), "SASL authentication error: no such user");
        assert!(context.unauthorized.lock().unwrap().is_some());
    }

    #[test]
    fn a_refusal_names_what_is_not_allowed() {
        let context = Context::new("test").of_group("desk");
        let said = context.refusal(RDKafkaErrorCode::GroupAuthorizationFailed, "x", None);
        assert!(said.starts_with("Read on group desk is not allowed"), "{said}");
        let said = context.refusal(RDKafkaErrorCode::TopicAuthorizationFailed, "x", Some("posts"));
        assert!(said.starts_with("Read on topic posts is not allowed"), "{said}");
        assert_eq!(context.refusal(RDKafkaErrorCode::TopicAuthorizationFailed, "x", None), "x");
    }
}
