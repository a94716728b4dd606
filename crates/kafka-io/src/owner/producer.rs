//! The owner's producer: what a stage emits, in transactions or idempotently.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::statistics::Statistics;
use record::stage::OutputRecord;

use super::faults::fault_point;
use super::{ASK_TIMEOUT, Delivery, OwnerConfig, OwnerError, beside};
use crate::Connection;
use crate::acl::{Operation, Resource, missing};
use crate::admin::Admin;
use crate::client::{Context, is_unauthorized, serve};
use crate::statistics::ClientStatistics;

/// What a failure of the producer means.
#[derive(Debug)]
pub(super) enum ProducerError {
    /// Nothing in memory may be trusted: abort, make a new producer, begin again from what is committed.
    Reset(String),
    /// Somebody else took over the transactional id, or the broker gave up on this transaction; it looks the same.
    Fenced(String),
    /// The group has another member under our name, and takes no positions from this one.
    Expelled(String),
    /// The process must stop.
    Stop(OwnerError),
}

#[derive(Debug)]
pub(super) struct DeliveryContext {
    inner: Context,
    /// With the topic that it was sent to.
    first_failure: Mutex<Option<(KafkaError, String)>>,
}

impl ClientContext for DeliveryContext {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.inner.log(level, fac, message);
    }

    fn stats(&self, statistics: Statistics) {
        self.inner.stats(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.inner.error(error, reason);
    }
}

impl ProducerContext for DeliveryContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, record)) = result
            && let Ok(mut first) = self.first_failure.lock()
        {
            first.get_or_insert_with(|| (error.clone(), record.topic().to_owned()));
        }
    }
}

/// How much longer than it was told to a call to the client may take.
const OVERTIME: Duration = Duration::from_secs(3);
/// So many calls that do not come back are left behind, each with a client and its threads.
const LEFT_MAX: usize = 8;

pub(super) struct StageProducer {
    // Shared with a call that does not come back, if there is one.
    producer: Arc<BaseProducer<DeliveryContext>>,
    /// One more for each call that has not come back, of this producer and of those before it.
    calls: Arc<()>,
    transactional: bool,
    in_transaction: bool,
    /// When the transaction was begun, or the last one.
    begun_at: Instant,
    patience: Duration,
    topics: Vec<String>,
    connection: Connection,
    group_id: String,
    /// Empty where there are no transactions.
    transactional_id: String,
    pub(super) produced: u64,
}

impl StageProducer {
    /// Makes a producer; a transactional one still has to be initialised.
    pub(super) fn new(config: &OwnerConfig, calls: &Arc<()>) -> Result<StageProducer, OwnerError> {
        let patience = match &config.delivery {
            Delivery::ExactlyOnce { transaction_timeout_ms, .. } => {
                Duration::from_millis(u64::try_from(*transaction_timeout_ms).unwrap_or(10_000))
            }
            Delivery::AtLeastOnce => Duration::from_secs(10),
        };
        let context = DeliveryContext { inner: Context::new("producer"), first_failure: Mutex::default() };
        let producer = config
            .connection
            .config(&config.producer_properties())
            .create_with_context(context)
            .map_err(|error| OwnerError::Config(error.to_string()))?;
        Ok(StageProducer {
            producer: Arc::new(producer),
            calls: Arc::clone(calls),
            transactional: matches!(config.delivery, Delivery::ExactlyOnce { .. }),
            in_transaction: false,
            begun_at: Instant::now(),
            patience,
            topics: config.outputs.clone(),
            connection: config.connection.clone(),
            group_id: config.group_id.clone(),
            transactional_id: match &config.delivery {
                Delivery::ExactlyOnce { transactional_id, .. } => transactional_id.clone(),
                Delivery::AtLeastOnce => String::new(),
            },
            produced: 0,
        })
    }

    /// Readies a transactional producer: fences whoever has the same id and ends what it left open.
    pub(super) fn init(&self, timeout: Duration) -> Result<(), ProducerError> {
        if !self.transactional {
            return Ok(());
        }
        self.producer.init_transactions(timeout).map_err(|error| self.judge(&error))
    }

    pub(super) fn send(&mut self, record: OutputRecord<'_>) -> Result<(), ProducerError> {
        if self.transactional && !self.in_transaction {
            self.begin()?;
        }
        let mut message: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topics[record.output]);
        message.key = record.key;
        message.payload = record.value;
        message.partition = record.partition;
        message.timestamp = record.timestamp;
        let headers = record.headers();
        if headers.len() > 0 {
            let mut owned = OwnedHeaders::new_with_capacity(headers.len());
            for (key, value) in headers {
                owned = owned.insert(Header { key, value: Some(value) });
            }
            message.headers = Some(owned);
        }
        let start = Instant::now();
        loop {
            match self.producer.send(message) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    // Back-pressure: the bound on what is in flight is reached.
                    message = refused;
                    if start.elapsed() > self.patience {
                        return Err(ProducerError::Reset("the queue of the producer stays full".to_owned()));
                    }
                    serve(&self.producer);
                }
                Err((error, _)) => return Err(self.judge(&error)),
            }
        }
        self.produced += 1;
        Ok(())
    }

    /// Serves deliveries.
    pub(super) fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    pub(super) fn in_flight(&self) -> i32 {
        self.producer.in_flight_count()
    }

    /// Waits until everything sent is delivered. By hand and not by `flush`, which waits in steps of 100 ms.
    pub(super) fn drain(&self, until: Instant) -> Result<(), ProducerError> {
        while self.producer.in_flight_count() > 0 {
            if Instant::now() > until {
                return Err(ProducerError::Reset("deliveries do not come to an end".to_owned()));
            }
            serve(&self.producer);
        }
        match self.producer.context().first_failure.lock().ok().and_then(|first| first.clone()) {
            Some((error, topic)) => Err(self.judge_of(&self.cause(error), Some(topic))),
            None => Ok(()),
        }
    }

    /// How long brokers may take for what was sent, and again for a commit.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// What the client told of itself, if it has since this was asked last.
    pub(super) fn take_statistics(&self) -> Option<ClientStatistics> {
        self.producer.context().inner.take_statistics()
    }

    /// What a broker said when it refused us, once.
    pub(super) fn take_unauthorized(&self) -> Option<String> {
        self.producer.context().inner.unauthorized.lock().ok()?.take()
    }

    /// Commits what was sent together with the positions.
    pub(super) fn commit(
        &mut self,
        positions: &TopicPartitionList,
        group: ConsumerGroupMetadata,
        until: Instant,
    ) -> Result<(), ProducerError> {
        // All steps of a commit share one patience, so that a role which waits for brokers turns again in bounded time.
        let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(500));
        if !self.in_transaction {
            self.begin()?;
        }
        self.send_positions(positions, group, left())?;
        fault_point!("commit.offsets-sent");
        self.producer.commit_transaction(left()).map_err(|error| self.judge(&error))?;
        self.in_transaction = false;
        // It is committed and we do not know.
        fault_point!("commit.unknown");
        Ok(())
    }

    /// Adds positions to the transaction, on a thread of its own: where the group's coordinator went while it was looked for, the
    /// client waits whatever it was told, for that coordinator to be back (librdkafka #5456), or where brokers do not name it any
    /// more, for a connection to another one to come or go (#5511). The client is left to that thread then, and another one takes
    /// its place.
    fn send_positions(
        &self,
        positions: &TopicPartitionList,
        group: ConsumerGroupMetadata,
        timeout: Duration,
    ) -> Result<(), ProducerError> {
        // The owner has one, and this producer.
        if Arc::strong_count(&self.calls) > 2 + LEFT_MAX {
            let why = format!("{LEFT_MAX} clients wait for coordinators of groups, and none of them comes back");
            return Err(ProducerError::Stop(OwnerError::Fatal(why)));
        }
        let (producer, call, sent) = (Arc::clone(&self.producer), Arc::clone(&self.calls), positions.clone());
        let answer = beside("positions", move || {
            let answer = producer.send_offsets_to_transaction(&sent, &group, timeout);
            drop(call);
            answer
        });
        match answer.recv_timeout(timeout + OVERTIME) {
            Ok(answer) => answer.map_err(|error| self.judge_positions(&error, positions)),
            Err(RecvTimeoutError::Timeout) => {
                let seconds = (timeout + OVERTIME).as_secs();
                Err(ProducerError::Reset(format!(
                    "positions were not taken within {seconds} s; the client is given up"
                )))
            }
            Err(RecvTimeoutError::Disconnected) => Err(ProducerError::Reset("no thread for positions".to_owned())),
        }
    }

    fn begin(&mut self) -> Result<(), ProducerError> {
        self.producer.begin_transaction().map_err(|error| self.judge(&error))?;
        self.in_transaction = true;
        self.begun_at = Instant::now();
        Ok(())
    }

    /// Whether the transaction is open for about as long as the broker lets it, or for longer.
    pub(super) fn has_expired(&self) -> bool {
        self.in_transaction && self.begun_at.elapsed() > self.patience * 4 / 5
    }

    /// Whether no broker could be reached at some time within the last while.
    pub(super) fn was_unreachable(&self, within: Duration) -> bool {
        self.producer.context().inner.was_unreachable(within)
    }

    pub(super) fn is_transactional(&self) -> bool {
        self.transactional
    }

    /// Gives up what is in flight; whether the abort reaches the broker or the timeout there does it is all the same.
    pub(super) fn abandon(self) {
        if self.in_transaction {
            self.producer.purge(rdkafka::producer::PurgeConfig::default().queue().inflight());
            if let Err(error) = self.producer.abort_transaction(Duration::from_secs(2)) {
                tracing::debug!(%error, "the transaction could not be aborted; the broker will");
            }
        }
    }

    /// Why a delivery failed: where brokers refuse a partition to the transaction, what was sent is given up, and says no more than
    /// that. A transaction that failed answers every call by its reason, also this one, which else does nothing in it.
    fn cause(&self, error: KafkaError) -> KafkaError {
        if !self.in_transaction {
            return error;
        }
        match self.producer.begin_transaction() {
            Err(KafkaError::Transaction(reason)) if is_unauthorized(reason.code()) => KafkaError::Transaction(reason),
            _ => error,
        }
    }

    /// A topic that this user may not write to, as brokers tell.
    fn not_writable(&self) -> Option<String> {
        let admin = Admin::new(&self.connection, ASK_TIMEOUT).ok()?;
        let topics: Vec<Resource> = self.topics.iter().map(|topic| Resource::Topic(topic.clone())).collect();
        let permitted = admin.permitted(&topics).ok()?;
        let refused = |resource: &&Resource| {
            permitted.get(*resource).is_some_and(|permitted| permitted.allows(Operation::Write) == Some(false))
        };
        topics.iter().find(refused).map(|resource| resource.name().to_owned())
    }

    /// The same of positions, for which a user must be allowed to read their topics.
    fn judge_positions(&self, error: &KafkaError, positions: &TopicPartitionList) -> ProducerError {
        let text = error.to_string();
        let is_of_topic = matches!(error, KafkaError::Transaction(reason)
            if reason.code() == RDKafkaErrorCode::TopicAuthorizationFailed);
        // The client names it in its words, and nowhere else.
        let elements = positions.elements();
        let named = elements.iter().map(|element| element.topic()).find(|topic| text.contains(topic));
        match named.filter(|_| is_of_topic) {
            Some(topic) => {
                let refusal = missing(Operation::Read, &Resource::Topic(topic.to_owned()));
                ProducerError::Stop(OwnerError::Unauthorized(refusal))
            }
            None => self.judge(error),
        }
    }

    fn judge(&self, error: &KafkaError) -> ProducerError {
        self.judge_of(error, None)
    }

    /// The same of what was sent to a topic.
    fn judge_of(&self, error: &KafkaError, topic: Option<String>) -> ProducerError {
        let code = match error {
            KafkaError::Transaction(inner) => Some(inner.code()),
            other => other.rdkafka_error_code(),
        };
        let fatal = self.producer.client().fatal_error();
        let codes = [code, fatal.as_ref().map(|(code, _)| *code)];
        let text = match &fatal {
            Some((_, reason)) => format!("{error}: {reason}"),
            None => error.to_string(),
        };
        for code in codes.into_iter().flatten() {
            match code {
                RDKafkaErrorCode::Fenced
                | RDKafkaErrorCode::ProducerFenced
                | RDKafkaErrorCode::InvalidProducerEpoch => return ProducerError::Fenced(text),
                // The consumer hears of it with one of its next heartbeats only; until then no commit would be taken.
                RDKafkaErrorCode::FencedInstanceId => return ProducerError::Expelled(text),
                RDKafkaErrorCode::MessageSizeTooLarge => {
                    return ProducerError::Stop(OwnerError::Fatal(format!(
                        "an output is larger than the broker takes: {text}"
                    )));
                }
                RDKafkaErrorCode::InvalidTimestamp => {
                    return ProducerError::Stop(OwnerError::Fatal(format!(
                        "a broker refuses the time of an output; its topic's message.timestamp settings are too narrow: {text}"
                    )));
                }
                code if is_unauthorized(code) => {
                    // What was given up with it may have been for another topic than the one that is refused.
                    let of_topic = code == RDKafkaErrorCode::TopicAuthorizationFailed;
                    let topic = of_topic.then(|| self.not_writable().or(topic)).flatten();
                    let refusal = match (code, topic) {
                        (RDKafkaErrorCode::TransactionalIdAuthorizationFailed, _) => {
                            missing(Operation::Write, &Resource::TransactionalId(self.transactional_id.clone()))
                        }
                        (RDKafkaErrorCode::GroupAuthorizationFailed, _) => {
                            missing(Operation::Read, &Resource::Group(self.group_id.clone()))
                        }
                        (RDKafkaErrorCode::TopicAuthorizationFailed, Some(topic)) => {
                            missing(Operation::Write, &Resource::Topic(topic))
                        }
                        _ => text,
                    };
                    return ProducerError::Stop(OwnerError::Unauthorized(refusal));
                }
                _ => {}
            }
        }
        ProducerError::Reset(text)
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::{BaseConsumer, Consumer};
    use rdkafka::mocking::{MockCluster, MockCoordinator};

    use super::super::settings::make_consumer;
    use super::super::settings::tests::config;
    use super::*;

    /// A consumer that has joined its group.
    fn joined(config: &OwnerConfig) -> BaseConsumer<Context> {
        let consumer = make_consumer(config).unwrap();
        consumer.subscribe(&["raw"]).unwrap();
        let by = Instant::now() + Duration::from_secs(30);
        while consumer.assignment().unwrap().count() == 0 {
            assert!(Instant::now() < by, "the group gives nothing");
            let _ = consumer.poll(Duration::from_millis(100));
        }
        consumer
    }

    #[test]
    fn a_commit_does_not_wait_for_ever_for_a_coordinator_that_went() {
        let cluster = MockCluster::new(2).unwrap();
        for topic in ["raw", "classified"] {
            cluster.create_topic(topic, 1, 1).unwrap();
            cluster.partition_leader(topic, 0, Some(1)).unwrap();
        }
        cluster.coordinator(MockCoordinator::Transaction("desk-1".to_owned()), 1).unwrap();
        cluster.coordinator(MockCoordinator::Group("desk".to_owned()), 2).unwrap();
        let config = config(cluster.bootstrap_servers());
        let consumer = joined(&config);
        let calls = Arc::new(());
        let mut producer = StageProducer::new(&config, &calls).unwrap();
        producer.init(Duration::from_secs(10)).unwrap();
        let mut positions = TopicPartitionList::new();
        positions.add_partition_offset("raw", 0, rdkafka::Offset::Offset(1)).unwrap();
        let commit = |producer: &mut StageProducer| {
            let until = Instant::now() + producer.patience();
            producer.commit(&positions, consumer.group_metadata().unwrap(), until)
        };
        commit(&mut producer).unwrap();
        cluster.broker_down(2).unwrap();
        // Not by the client's own words: when they come, it keeps to its timeout, and the thread for it may go.
        let refused = commit(&mut producer).unwrap_err();
        assert!(matches!(&refused, ProducerError::Reset(why) if why.contains("given up")), "{refused:?}");
        // What hangs is left behind, and another producer takes its place.
        assert_eq!(Arc::strong_count(&calls), 3);
        cluster.broker_up(2).unwrap();
        producer.abandon();
        let mut producer = StageProducer::new(&config, &calls).unwrap();
        producer.init(Duration::from_secs(10)).unwrap();
        commit(&mut producer).unwrap();
    }
}
