//! A consumer group looked at from outside: who is in it, and a mark on its positions.

use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use crate::Connection;
use crate::acl::{Operation, Resource, missing};
use crate::admin::AdminError;
use crate::client::{Context, is_unauthorized, why_not_let_in};

/// How the committed positions of a group in some topics stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marked {
    /// Nothing is committed.
    Nothing,
    /// Each position that is committed has the mark: nobody has committed since it was made.
    All,
    /// There are committed positions, and some without it.
    NotAll,
}

/// A group, asked from outside: this joins it not.
pub struct Group {
    id: String,
    bootstrap: String,
    consumer: BaseConsumer<Context>,
    timeout: Duration,
}

impl std::fmt::Debug for Group {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Group").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Group {
    /// Makes the client; nothing is asked yet. `timeout` is for each question.
    ///
    /// # Errors
    /// If the properties are wrong.
    pub fn new(connection: &Connection, id: &str, timeout: Duration) -> Result<Group, AdminError> {
        let consumer = connection
            .config(&[("group.id", id), ("enable.auto.commit", "false")])
            .create_with_context(Context::new("group"))
            .map_err(|error| AdminError::Config(error.to_string()))?;
        Ok(Group { id: id.to_owned(), bootstrap: connection.bootstrap.clone(), consumer, timeout })
    }

    /// The client ids and addresses of its members. One that was killed is among them until its session is over.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn members(&self) -> Result<Vec<String>, AdminError> {
        let list = self.consumer.fetch_group_list(Some(&self.id), self.timeout).map_err(|error| self.failed(&error))?;
        let members = list.groups().iter().filter(|group| group.name() == self.id).flat_map(|group| group.members());
        Ok(members.map(|member| format!("{} at {}", member.client_id(), member.client_host())).collect())
    }

    /// Whether what the group has committed in these topics bears the mark.
    ///
    /// # Errors
    /// If no broker answers, or a topic is missing.
    pub fn marked(&self, topics: &[&str], mark: &str) -> Result<Marked, AdminError> {
        let committed = self.committed(topics)?;
        let elements = committed.elements();
        let mut known = elements.iter().filter(|element| matches!(element.offset(), Offset::Offset(_))).peekable();
        if known.peek().is_none() {
            return Ok(Marked::Nothing);
        }
        Ok(if known.all(|element| element.metadata() == mark) { Marked::All } else { Marked::NotAll })
    }

    /// Puts a mark on what the group has committed in these topics: into the metadata that Kafka keeps with each position, and that
    /// the next commit of the position replaces. Nobody may be in the group; a member on its way out is waited for.
    ///
    /// # Errors
    /// If no broker answers, or somebody is in the group for longer than `patience`.
    pub fn mark(&self, topics: &[&str], mark: &str, patience: Duration) -> Result<(), AdminError> {
        let committed = self.committed(topics)?;
        let mut marked = TopicPartitionList::new();
        for element in committed.elements() {
            if matches!(element.offset(), Offset::Offset(_)) {
                let mut same = marked.add_partition(element.topic(), element.partition());
                same.set_offset(element.offset()).map_err(|error| self.failed(&error))?;
                same.set_metadata(mark);
            }
        }
        let started = Instant::now();
        while marked.count() > 0 {
            match self.consumer.commit(&marked, CommitMode::Sync) {
                Ok(()) => return Ok(()),
                Err(error) if is_of_members(&error) && started.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                Err(error) => return Err(self.failed(&error)),
            }
        }
        Ok(())
    }

    fn committed(&self, topics: &[&str]) -> Result<TopicPartitionList, AdminError> {
        let mut list = TopicPartitionList::new();
        for topic in topics {
            let metadata =
                self.consumer.fetch_metadata(Some(topic), self.timeout).map_err(|error| self.failed(&error))?;
            for partition in metadata.topics().iter().flat_map(|topic| topic.partitions()) {
                list.add_partition(topic, partition.id());
            }
        }
        let committed = self.consumer.committed_offsets(list, self.timeout).map_err(|error| self.failed(&error))?;
        for element in committed.elements() {
            element.error().map_err(|error| self.failed(&error))?;
        }
        Ok(committed)
    }

    fn failed(&self, error: &KafkaError) -> AdminError {
        let not_let_in = why_not_let_in(&self.consumer);
        // A coordinator that is not told of is looked for until the time is over.
        let kept = self.consumer.context().is_kept_from_group();
        if kept || error.rdkafka_error_code().is_some_and(is_unauthorized) {
            // To look at it Describe is enough; a mark is a commit, which wants Read.
            return AdminError::Unauthorized(missing(Operation::Read, &Resource::Group(self.id.clone())));
        }
        let bootstrap = self.bootstrap.clone();
        match not_let_in {
            Some(detail) => AdminError::NotLetIn { bootstrap, detail },
            None => AdminError::Unreachable { bootstrap, detail: self.consumer.context().explained(error) },
        }
    }
}

/// A broker refuses positions of somebody who is not in a group that has members.
fn is_of_members(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::RebalanceInProgress
        )
    )
}
