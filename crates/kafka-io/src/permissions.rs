//! What the user of a connection may do, as far as brokers tell: the authorised operations of topics and groups (KIP-430), which
//! the client library's Rust side does not ask for, and whether a transaction may be begun.
#![allow(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

use rdkafka::bindings as sys;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer};

use crate::Connection;
use crate::acl::{Operation, Resource};
use crate::admin::{Admin, AdminError};
use crate::client::is_unauthorized;

/// What may be done to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Permitted {
    /// These.
    Operations(BTreeSet<Operation>),
    /// Not even to know of it.
    Nothing,
    /// It is not there yet: then brokers do not tell.
    NotThere,
}

impl Permitted {
    /// Whether an operation is among them; nothing if brokers do not tell.
    pub fn allows(&self, operation: Operation) -> Option<bool> {
        match self {
            Permitted::Operations(operations) => Some(operations.contains(&operation)),
            Permitted::Nothing => Some(false),
            Permitted::NotThere => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Topics,
    Groups,
}

impl Admin {
    /// What this user may do to topics and groups. Transactional ids are not told of: see [`may_begin`].
    ///
    /// # Errors
    /// If no broker answers.
    pub fn permitted<'a>(
        &self,
        resources: impl IntoIterator<Item = &'a Resource>,
    ) -> Result<BTreeMap<Resource, Permitted>, AdminError> {
        let (mut topics, mut groups) = (BTreeSet::new(), BTreeSet::new());
        for resource in resources {
            match resource {
                Resource::Topic(name) => topics.insert(name.as_str()),
                Resource::Group(name) => groups.insert(name.as_str()),
                Resource::TransactionalId(_) => false,
            };
        }
        let mut permitted = BTreeMap::new();
        for (kind, names) in [(Kind::Topics, topics), (Kind::Groups, groups)] {
            for (name, operations) in self.ask(kind, &names)? {
                let resource = if kind == Kind::Topics { Resource::Topic(name) } else { Resource::Group(name) };
                permitted.insert(resource, operations);
            }
        }
        Ok(permitted)
    }

    fn ask(&self, kind: Kind, names: &BTreeSet<&str>) -> Result<Vec<(String, Permitted)>, AdminError> {
        let names: Vec<CString> = names.iter().filter_map(|name| CString::new(*name).ok()).collect();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let timeout_ms = i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX);
        let client = self.client.inner().native_ptr();
        let (asks, comes) = match kind {
            Kind::Topics => {
                (sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, sys::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT)
            }
            Kind::Groups => (
                sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
                sys::RD_KAFKA_EVENT_DESCRIBECONSUMERGROUPS_RESULT,
            ),
        };
        // SAFETY: the client is alive for the whole call; names and pointers outlive the request, which copies them; options,
        // collection, queue and event are each given back once, the event last of what is read from it.
        unsafe {
            let options = sys::rd_kafka_AdminOptions_new(client, asks);
            let mut said = [0; 512];
            sys::rd_kafka_AdminOptions_set_request_timeout(options, timeout_ms, said.as_mut_ptr(), said.len());
            let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
            if !refused.is_null() {
                sys::rd_kafka_error_destroy(refused);
            }
            let queue = sys::rd_kafka_queue_new(client);
            match kind {
                Kind::Topics => {
                    let topics = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
                    sys::rd_kafka_DescribeTopics(client, topics, options, queue);
                    sys::rd_kafka_TopicCollection_destroy(topics);
                }
                Kind::Groups => {
                    sys::rd_kafka_DescribeConsumerGroups(client, pointers.as_mut_ptr(), pointers.len(), options, queue);
                }
            }
            sys::rd_kafka_AdminOptions_destroy(options);
            let event = sys::rd_kafka_queue_poll(queue, timeout_ms.saturating_add(1_000));
            sys::rd_kafka_queue_destroy(queue);
            if event.is_null() {
                return Err(self.unreachable("no answer in time".to_owned()));
            }
            let code: RDKafkaErrorCode = sys::rd_kafka_event_error(event).into();
            let answer = if code != RDKafkaErrorCode::NoError || sys::rd_kafka_event_type(event) != comes {
                Err(self.unreachable(code.to_string()))
            } else if kind == Kind::Topics {
                Ok(topics_of(sys::rd_kafka_event_DescribeTopics_result(event)))
            } else {
                Ok(groups_of(sys::rd_kafka_event_DescribeConsumerGroups_result(event)))
            };
            sys::rd_kafka_event_destroy(event);
            answer
        }
    }
}

/// Whether this user may begin transactions under an id. The id stays known to the brokers for some days, and does nothing: it
/// must be none that works.
///
/// # Errors
/// If no broker answers.
pub fn may_begin(connection: &Connection, transactional_id: &str, timeout: Duration) -> Result<bool, AdminError> {
    let config = connection.config(&[("transactional.id", transactional_id), ("transaction.timeout.ms", "10000")]);
    let producer: BaseProducer<DefaultProducerContext> =
        config.create().map_err(|error| AdminError::Config(error.to_string()))?;
    match producer.init_transactions(timeout) {
        Ok(()) => Ok(true),
        Err(error) => {
            let fatal = producer.client().fatal_error().map(|(code, _)| code);
            let code = match &error {
                rdkafka::error::KafkaError::Transaction(inner) => Some(inner.code()),
                other => other.rdkafka_error_code(),
            };
            if [code, fatal].into_iter().flatten().any(is_unauthorized) {
                return Ok(false);
            }
            Err(AdminError::Unreachable { bootstrap: connection.bootstrap.clone(), detail: error.to_string() })
        }
    }
}

/// # Safety
/// `result` belongs to a live event.
unsafe fn topics_of(result: *const sys::rd_kafka_DescribeTopics_result_t) -> Vec<(String, Permitted)> {
    // SAFETY: the array has as many live descriptions as is said; names and operations live as long as the event.
    unsafe {
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        (0..count)
            .map(|at| {
                let topic = *topics.add(at);
                let mut operations = 0;
                let first = sys::rd_kafka_TopicDescription_authorized_operations(topic, &mut operations);
                let error = code_of(sys::rd_kafka_TopicDescription_error(topic));
                let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
                (name.to_string_lossy().into_owned(), permitted(error, first, operations))
            })
            .collect()
    }
}

/// # Safety
/// `result` belongs to a live event.
unsafe fn groups_of(result: *const sys::rd_kafka_DescribeConsumerGroups_result_t) -> Vec<(String, Permitted)> {
    // SAFETY: as in `topics_of`.
    unsafe {
        let mut count = 0;
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &mut count);
        (0..count)
            .map(|at| {
                let group = *groups.add(at);
                let mut operations = 0;
                let first = sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &mut operations);
                let error = code_of(sys::rd_kafka_ConsumerGroupDescription_error(group));
                let name = CStr::from_ptr(sys::rd_kafka_ConsumerGroupDescription_group_id(group));
                (name.to_string_lossy().into_owned(), permitted(error, first, operations))
            })
            .collect()
    }
}

/// # Safety
/// `error` is null or live.
unsafe fn code_of(error: *const sys::rd_kafka_error_t) -> RDKafkaErrorCode {
    if error.is_null() {
        return RDKafkaErrorCode::NoError;
    }
    // SAFETY: it is live.
    unsafe { sys::rd_kafka_error_code(error) }.into()
}

/// # Safety
/// `first` is null, or the first of `count` live operations.
unsafe fn permitted(error: RDKafkaErrorCode, first: *const sys::rd_kafka_AclOperation_t, count: usize) -> Permitted {
    if is_unauthorized(error) {
        return Permitted::Nothing;
    }
    if error != RDKafkaErrorCode::NoError || first.is_null() {
        return Permitted::NotThere;
    }
    // SAFETY: there are so many.
    let operations = unsafe { std::slice::from_raw_parts(first, count) };
    Permitted::Operations(operations.iter().copied().filter_map(operation).collect())
}

fn operation(of: sys::rd_kafka_AclOperation_t) -> Option<Operation> {
    use sys::rd_kafka_AclOperation_t as Kafka;
    Some(match of {
        Kafka::RD_KAFKA_ACL_OPERATION_READ => Operation::Read,
        Kafka::RD_KAFKA_ACL_OPERATION_WRITE => Operation::Write,
        Kafka::RD_KAFKA_ACL_OPERATION_CREATE => Operation::Create,
        Kafka::RD_KAFKA_ACL_OPERATION_ALTER => Operation::Alter,
        Kafka::RD_KAFKA_ACL_OPERATION_DESCRIBE => Operation::Describe,
        Kafka::RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS => Operation::AlterConfigs,
        Kafka::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS => Operation::DescribeConfigs,
        _ => return None,
    })
}
