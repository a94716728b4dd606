//! Topics: what there are, and making and changing them.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::Connection;
use crate::acl::{Operation, Resource, missing};
use crate::client::{Context, is_unauthorized, why_not_let_in};

/// How often to look whether a configuration is set, and how long to wait between: brokers hear of it from each other.
const SET_LOOKS: u32 = 20;
const SET_PAUSE: Duration = Duration::from_millis(250);

/// A topic as the brokers know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Number of replicas of each.
    pub replication: i32,
}

/// A topic as it should be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSpec {
    /// Its name.
    pub name: String,
    /// Number of partitions.
    pub partitions: i32,
    /// Number of replicas of each.
    pub replication: i32,
    /// Topic configuration, by Kafka's names.
    pub config: BTreeMap<String, String>,
}

/// How a cluster stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClusterHealth {
    /// Brokers that are there.
    pub brokers: usize,
    /// Partitions without a leader, or with a replica that is behind.
    pub partitions_short: usize,
}

/// What an administrator's call failed with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// No broker answered in time.
    #[error("no broker at {bootstrap} answered: {detail}")]
    Unreachable {
        /// Where.
        bootstrap: String,
        /// The client's words.
        detail: String,
    },
    /// Brokers do not let this client in, or it does not trust them.
    #[error("the client is not let in by {bootstrap}: {detail}")]
    NotLetIn {
        /// Where.
        bootstrap: String,
        /// The client's words.
        detail: String,
    },
    /// This user may not do that.
    #[error("not authorised: {0}")]
    Unauthorized(String),
    /// The properties are wrong.
    #[error("kafka client cannot be made: {0}")]
    Config(String),
    /// A broker refused.
    #[error("{topic}: {detail}")]
    Refused {
        /// Which topic.
        topic: String,
        /// The broker's words.
        detail: String,
    },
}

/// An administrator's connection.
pub struct Admin {
    bootstrap: String,
    consumer: BaseConsumer<Context>,
    pub(crate) client: AdminClient<DefaultClientContext>,
    pub(crate) timeout: Duration,
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("bootstrap", &self.bootstrap).finish_non_exhaustive()
    }
}

impl Admin {
    /// Makes the clients; nothing is asked yet.
    ///
    /// # Errors
    /// If the properties are wrong.
    pub fn new(connection: &Connection, timeout: Duration) -> Result<Admin, AdminError> {
        let config: ClientConfig = connection.config::<&str>(&[]);
        let wrong = |error: KafkaError| AdminError::Config(error.to_string());
        let consumer = config.create_with_context(Context::new("admin")).map_err(wrong)?;
        let client = config.create().map_err(wrong)?;
        Ok(Admin { bootstrap: connection.bootstrap.clone(), consumer, client, timeout })
    }

    /// Every topic but Kafka's own, and the number of brokers.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn topics(&self) -> Result<(Vec<TopicInfo>, usize), AdminError> {
        // One poll serves the queue of errors and logs, which would else grow with every attempt.
        let _ = self.consumer.poll(Duration::ZERO);
        let metadata = self.consumer.fetch_metadata(None, self.timeout).map_err(|error| self.failed(&error))?;
        let topics = metadata.topics().iter().filter(|topic| !topic.name().starts_with("__")).map(|topic| TopicInfo {
            name: topic.name().to_owned(),
            partitions: i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX),
            replication: topic
                .partitions()
                .first()
                .map_or(0, |partition| i32::try_from(partition.replicas().len()).unwrap_or(i32::MAX)),
        });
        Ok((topics.collect(), metadata.brokers().len()))
    }

    /// How the brokers and their partitions stand, Kafka's own topics included.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn health(&self) -> Result<ClusterHealth, AdminError> {
        let _ = self.consumer.poll(Duration::ZERO);
        let metadata = self.consumer.fetch_metadata(None, self.timeout).map_err(|error| self.failed(&error))?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let short = partitions.filter(|partition| {
            partition.leader() < 0 || partition.isr().len() < partition.replicas().len() || partition.error().is_some()
        });
        Ok(ClusterHealth { brokers: metadata.brokers().len(), partitions_short: short.count() })
    }

    /// First and next offset of a partition.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn offsets(&self, topic: &str, partition: i32) -> Result<(i64, i64), AdminError> {
        self.consumer.fetch_watermarks(topic, partition, self.timeout).map_err(|error| self.of_topic(&error, topic))
    }

    /// The configuration of a topic, where it differs from the broker's defaults or not.
    ///
    /// # Errors
    /// If no broker answers, or one refuses.
    pub fn config(&self, topic: &str) -> Result<BTreeMap<String, String>, AdminError> {
        self.config_where(topic, |_| true)
    }

    fn config_where(
        &self,
        topic: &str,
        wanted: impl Fn(&ConfigSource) -> bool,
    ) -> Result<BTreeMap<String, String>, AdminError> {
        let options = AdminOptions::new().request_timeout(Some(self.timeout));
        let specifier = ResourceSpecifier::Topic(topic);
        let resources =
            wait(self.client.describe_configs([&specifier], &options)).map_err(|error| self.failed(&error))?;
        let mut config = BTreeMap::new();
        for resource in resources {
            let resource = resource.map_err(|code| refused(topic, code, Operation::DescribeConfigs))?;
            // Every topic has a configuration. rdkafka 0.39 does not pass on that a broker refuses it (`DescribeConfigsFuture`).
            if resource.entries.is_empty() {
                return Err(refused(topic, RDKafkaErrorCode::TopicAuthorizationFailed, Operation::DescribeConfigs));
            }
            for entry in resource.entries.into_iter().filter(|entry| wanted(&entry.source)) {
                if let Some(value) = entry.value {
                    config.insert(entry.name, value);
                }
            }
        }
        Ok(config)
    }

    /// Makes a topic, unless it is there: tells whether it was made.
    ///
    /// # Errors
    /// If no broker answers, or one refuses.
    pub fn create(&self, topic: &TopicSpec) -> Result<bool, AdminError> {
        let mut new = NewTopic::new(&topic.name, topic.partitions, TopicReplication::Fixed(topic.replication));
        for (name, value) in &topic.config {
            new = new.set(name, value);
        }
        let results = wait(self.client.create_topics([&new], &self.options()));
        let is_there =
            |result: &rdkafka::admin::TopicResult| matches!(result, Err((_, RDKafkaErrorCode::TopicAlreadyExists)));
        if results.as_ref().is_ok_and(|results| results.iter().any(is_there)) {
            return Ok(false);
        }
        self.outcome(&topic.name, Operation::Create, results)?;
        Ok(true)
    }

    /// Raises a topic's number of partitions.
    ///
    /// # Errors
    /// If no broker answers, or one refuses.
    pub fn add_partitions(&self, topic: &str, partitions: i32) -> Result<(), AdminError> {
        let new = NewPartitions::new(topic, usize::try_from(partitions).unwrap_or(0));
        let options = self.options();
        self.outcome(topic, Operation::Alter, wait(self.client.create_partitions([&new], &options)))
    }

    /// Sets a part of a topic's configuration; what somebody else has set stays as it is.
    ///
    /// # Errors
    /// If no broker answers, or one refuses.
    pub fn alter_config(&self, topic: &str, config: &BTreeMap<String, String>) -> Result<(), AdminError> {
        // This call of Kafka's sets all that is not named back to the broker's defaults, and the client has no other: so what
        // is set on the topic is named too.
        let mut whole = self.config_where(topic, |source| matches!(source, ConfigSource::DynamicTopic))?;
        whole.extend(config.clone());
        // Nor does rdkafka pass on that a broker refuses this.
        let resource = Resource::Topic(topic.to_owned());
        let permitted = self.permitted([&resource])?;
        if permitted.get(&resource).and_then(|permitted| permitted.allows(Operation::AlterConfigs)) == Some(false) {
            return Err(AdminError::Unauthorized(missing(Operation::AlterConfigs, &resource)));
        }
        let mut alter = AlterConfig::new(ResourceSpecifier::Topic(topic));
        for (name, value) in &whole {
            alter = alter.set(name, value);
        }
        let options = self.options();
        let results = wait(self.client.alter_configs([&alter], &options)).map_err(|error| self.failed(&error))?;
        for result in results {
            result.map_err(|(_, code)| refused(topic, code, Operation::AlterConfigs))?;
        }
        // What was refused for another reason, such as a policy of theirs, shows in what is set.
        for _ in 0..SET_LOOKS {
            let now = self.config(topic)?;
            if config.iter().all(|(name, value)| now.get(name) == Some(value)) {
                return Ok(());
            }
            std::thread::sleep(SET_PAUSE);
        }
        let names: Vec<&str> = config.keys().map(String::as_str).collect();
        let detail = format!("the brokers did not set {}", names.join(", "));
        Err(AdminError::Refused { topic: topic.to_owned(), detail })
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    fn outcome(
        &self,
        topic: &str,
        operation: Operation,
        results: Result<Vec<rdkafka::admin::TopicResult>, KafkaError>,
    ) -> Result<(), AdminError> {
        for result in results.map_err(|error| self.failed(&error))? {
            result.map_err(|(_, code)| refused(topic, code, operation))?;
        }
        Ok(())
    }

    /// What is wrong with a topic that [`Admin::topics`] does not name: brokers do not show what a user may not know of. Nothing if
    /// it is not there, or the brokers do not tell.
    pub fn hidden(&self, topic: &str, operation: Operation) -> Option<AdminError> {
        let metadata = self.consumer.fetch_metadata(Some(topic), self.timeout).ok()?;
        let error: RDKafkaErrorCode = metadata.topics().first()?.error()?.into();
        let resource = Resource::Topic(topic.to_owned());
        is_unauthorized(error).then(|| AdminError::Unauthorized(missing(operation, &resource)))
    }

    fn of_topic(&self, error: &KafkaError, topic: &str) -> AdminError {
        match error.rdkafka_error_code() {
            Some(code) if is_unauthorized(code) => refused(topic, code, Operation::Describe),
            _ => self.failed(error),
        }
    }

    fn failed(&self, error: &KafkaError) -> AdminError {
        match why_not_let_in(&self.consumer) {
            Some(detail) => AdminError::NotLetIn { bootstrap: self.bootstrap.clone(), detail },
            None => self.unreachable(self.consumer.context().explained(error)),
        }
    }

    pub(crate) fn unreachable(&self, detail: String) -> AdminError {
        AdminError::Unreachable { bootstrap: self.bootstrap.clone(), detail }
    }
}

/// What a broker's refusal of an operation on a topic is.
fn refused(topic: &str, code: RDKafkaErrorCode, operation: Operation) -> AdminError {
    if is_unauthorized(code) {
        return AdminError::Unauthorized(missing(operation, &Resource::Topic(topic.to_owned())));
    }
    AdminError::Refused { topic: topic.to_owned(), detail: code.to_string() }
}

/// Waits for an answer of the admin client, which librdkafka's own threads bring: no runtime is needed.
fn wait<F: Future>(future: F) -> F::Output {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park_timeout(Duration::from_millis(100));
    }
}
