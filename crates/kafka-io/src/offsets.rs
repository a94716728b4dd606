//! Where logs end, where they stood at a time, and what a group has committed: asked for many partitions at once, by somebody who is
//! not in the group.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use record::{EpochMs, Position};

use crate::Connection;
use crate::acl::{Operation, Resource, missing};
use crate::admin::AdminError;
use crate::client::{Context, is_unauthorized, why_not_let_in};
use crate::reader::{ReadError, Reader, Start};

/// How long one leader may take where each is asked by itself.
const ONE_TIMEOUT: Duration = Duration::from_secs(1);

/// A partition: its topic and number.
pub type Partition = (Arc<str>, i32);

/// Asks brokers for offsets, and for the committed positions of one group.
pub struct Offsets {
    connection: Connection,
    group: String,
    consumer: BaseConsumer<Context>,
    timeout: Duration,
}

impl std::fmt::Debug for Offsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offsets").field("bootstrap", &self.connection.bootstrap).finish_non_exhaustive()
    }
}

impl Offsets {
    /// Makes the client; nothing is asked yet, and no group is joined. Each question waits for `timeout` at most.
    ///
    /// # Errors
    /// If the properties are wrong.
    pub fn of_group(connection: &Connection, group: &str, timeout: Duration) -> Result<Offsets, AdminError> {
        let config = connection.config(&[
            ("group.id", group),
            ("enable.auto.commit", "false"),
            // The ends of logs whatever is open in them, and positions without waiting for a transaction that hangs.
            ("isolation.level", "read_uncommitted"),
        ]);
        let consumer = config
            .create_with_context(Context::new("offsets").of_group(group))
            .map_err(|error: KafkaError| AdminError::Config(error.to_string()))?;
        Ok(Offsets { connection: connection.clone(), group: group.to_owned(), consumer, timeout })
    }

    /// The partitions of a topic; none if there is no such topic.
    ///
    /// # Errors
    /// If no broker answers.
    pub fn partitions(&self, topic: &Arc<str>) -> Result<Vec<Partition>, AdminError> {
        // One poll serves the queue of errors and logs, which would else grow with every attempt.
        let _ = self.consumer.poll(Duration::ZERO);
        let metadata =
            self.consumer.fetch_metadata(Some(topic), self.timeout).map_err(|error| self.unreachable(&error))?;
        if let Some(error) = metadata.topics().first().and_then(|topic| topic.error())
            && is_unauthorized(error.into())
        {
            return Err(not_allowed(topic));
        }
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        Ok(partitions.map(|partition| (Arc::clone(topic), partition.id())).collect())
    }

    /// The end of each log: its high watermark, markers of transactions and what is not committed included.
    ///
    /// # Errors
    /// If a leader does not answer.
    pub fn ends(&self, partitions: &[Partition]) -> Result<BTreeMap<Partition, Position>, AdminError> {
        let asked = self.look_up(partitions.iter().map(|partition| (partition, Offset::End)))?;
        Ok(asked.into_iter().filter_map(|(partition, end)| Some((partition, end?))).collect())
    }

    /// The same of each by itself, for at most so long: what a leader does not tell is left out.
    pub fn ends_one_by_one(&self, partitions: &[Partition], time: Duration) -> BTreeMap<Partition, Position> {
        let began = std::time::Instant::now();
        let mut ends = BTreeMap::new();
        for partition in partitions {
            let Some(left) = time.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) else { break };
            let left = left.min(ONE_TIMEOUT);
            if let Ok((_, end)) = self.consumer.fetch_watermarks(&partition.0, partition.1, left) {
                ends.insert(partition.clone(), end);
            }
        }
        ends
    }

    /// For each partition and time the offset of the first record of that time or later by its Kafka time; `None` where there is
    /// none.
    ///
    /// # Errors
    /// If a leader does not answer.
    pub fn at_times<'a>(
        &self,
        times: impl IntoIterator<Item = (&'a Partition, EpochMs)>,
    ) -> Result<BTreeMap<Partition, Option<Position>>, AdminError> {
        self.look_up(times.into_iter().map(|(partition, time)| (partition, Offset::Offset(time.max(0)))))
    }

    /// What the group has committed; `None` where it has nothing.
    ///
    /// # Errors
    /// If the group's coordinator does not answer.
    pub fn committed(&self, partitions: &[Partition]) -> Result<BTreeMap<Partition, Option<Position>>, AdminError> {
        if partitions.is_empty() {
            return Ok(BTreeMap::new());
        }
        let list = self.list(partitions.iter().map(|partition| (partition, Offset::Invalid)))?;
        let list = self.consumer.committed_offsets(list, self.timeout).map_err(|error| self.unreachable(&error))?;
        self.of_list(&list)
    }

    /// The offset of the first record from `from` on that readers of committed data see, if there is one: what lies before the end of
    /// a log may be markers of transactions alone, or what was given up.
    ///
    /// # Errors
    /// If the partition cannot be read in time.
    pub fn next_record(&self, partition: &Partition, from: Position) -> Result<Option<Position>, ReadError> {
        let (topic, number) = partition;
        let start = Start::At { partition: *number, offset: from };
        let mut reader = Reader::open(&self.connection, topic, start, self.timeout)?;
        let end = std::time::Instant::now() + self.timeout;
        while !reader.is_at_end() {
            if let Some(record) = reader.next(Duration::from_millis(100))? {
                return Ok(Some(record.offset));
            }
            if std::time::Instant::now() > end {
                let detail = format!("partition {number} was not read within {} s", self.timeout.as_secs());
                return Err(ReadError::Failed { topic: topic.to_string(), detail });
            }
        }
        Ok(None)
    }

    fn list<'a>(
        &self,
        partitions: impl Iterator<Item = (&'a Partition, Offset)>,
    ) -> Result<TopicPartitionList, AdminError> {
        let mut list = TopicPartitionList::new();
        for ((topic, partition), offset) in partitions {
            list.add_partition_offset(topic, *partition, offset).map_err(|error| self.unreachable(&error))?;
        }
        Ok(list)
    }

    fn look_up<'a>(
        &self,
        partitions: impl Iterator<Item = (&'a Partition, Offset)>,
    ) -> Result<BTreeMap<Partition, Option<Position>>, AdminError> {
        let _ = self.consumer.poll(Duration::ZERO);
        let list = self.list(partitions)?;
        // The client takes an empty list for a mistake.
        if list.count() == 0 {
            return Ok(BTreeMap::new());
        }
        let list = self.consumer.offsets_for_times(list, self.timeout).map_err(|error| self.unreachable(&error))?;
        self.of_list(&list)
    }

    fn of_list(&self, list: &TopicPartitionList) -> Result<BTreeMap<Partition, Option<Position>>, AdminError> {
        let mut positions = BTreeMap::new();
        for element in list.elements() {
            element.error().map_err(|error| match error.rdkafka_error_code() {
                Some(code) if is_unauthorized(code) => not_allowed(element.topic()),
                _ => AdminError::Refused {
                    topic: element.topic().to_owned(),
                    detail: format!("partition {}: {error}", element.partition()),
                },
            })?;
            let position = match element.offset() {
                Offset::Offset(position) => Some(position),
                _ => None,
            };
            positions.insert((Arc::from(element.topic()), element.partition()), position);
        }
        Ok(positions)
    }

    fn unreachable(&self, error: &KafkaError) -> AdminError {
        let bootstrap = self.connection.bootstrap.clone();
        let not_let_in = why_not_let_in(&self.consumer);
        // A coordinator that is not told of is looked for until the time is over.
        let refused = error.rdkafka_error_code() == Some(RDKafkaErrorCode::GroupAuthorizationFailed);
        if refused || self.consumer.context().is_kept_from_group() {
            let group = Resource::Group(self.group.clone());
            return AdminError::Unauthorized(missing(Operation::Describe, &group));
        }
        match not_let_in {
            Some(detail) => AdminError::NotLetIn { bootstrap, detail },
            None => AdminError::Unreachable { bootstrap, detail: self.consumer.context().explained(error) },
        }
    }
}

fn not_allowed(topic: &str) -> AdminError {
    AdminError::Unauthorized(missing(Operation::Describe, &Resource::Topic(topic.to_owned())))
}
