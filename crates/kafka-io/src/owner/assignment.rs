//! How partitions come and go: positions, gaps, the changelog.

use std::collections::BTreeSet;
use std::time::Instant;

use rdkafka::consumer::{Consumer, RebalanceProtocol};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use record::Position;
use record::stage::{Input, InputPartition, Stage};

use super::faults::fault_point;
use super::{
    ASK_TIMEOUT, COMPLAIN_EVERY, Hooks, METADATA_EVERY, METADATA_TIMEOUT, Owned, Owner, OwnerError, OwnerState,
    RETRY_AFTER, Rebalance, Topology, Trouble, UNKNOWN, WaitReason, partition_of,
};
use crate::acl::{Operation, Resource};
use crate::client::is_unauthorized;

/// The brokers did not answer, or not with what is needed.
pub(super) fn unanswered(error: &KafkaError) -> Trouble {
    if error.rdkafka_error_code().is_some_and(is_unauthorized) {
        return Trouble::Stop(OwnerError::Unauthorized(error.to_string()));
    }
    Trouble::Reset(error.to_string())
}

/// A client that was made for the question was not answered either: not the fault of the consumer, which a new one would not mend.
pub(super) fn not_told(topic: &str, partition: i32, error: &KafkaError) -> Trouble {
    match unanswered(error) {
        Trouble::Reset(detail) => Trouble::Unread(format!("the ends of {topic}-{partition} are not told: {detail}")),
        other => other,
    }
}

/// How to find a transaction that hangs, and to end it; `at` is the partition and the offset where it begins, if they are known.
pub(super) fn hanging(topic: &str, at: Option<(i32, Position)>) -> String {
    let (only, partition, offset) = match at {
        Some((partition, offset)) => (format!(" --partition {partition}"), partition.to_string(), offset.to_string()),
        None => (String::new(), "P".to_owned(), "O".to_owned()),
    };
    format!(
        "kafka-transactions.sh --bootstrap-server HOST:PORT find-hanging --topic {topic}{only} --max-transaction-timeout 1 finds \
         it, and kafka-transactions.sh --bootstrap-server HOST:PORT abort --topic {topic} --partition {partition} --start-offset \
         {offset} ends it"
    )
}

/// Why positions are not to be had: brokers do not tell those that an open transaction may change, and never do if it hangs.
fn untold(group: &str, error: &KafkaError) -> Trouble {
    match unanswered(error) {
        Trouble::Reset(detail) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::OperationTimedOut) => {
            Trouble::Reset(format!(
                "what group {group} has committed is not told within {} s: {detail}; if brokers answer and it stays so for minutes, a \
                 transaction hangs: {}",
                ASK_TIMEOUT.as_secs(),
                hanging("__consumer_offsets", None)
            ))
        }
        other => other,
    }
}

impl<S: Stage, H: Hooks<S>> Owner<S, H> {
    /// Waits until every topic is there; false if the end was requested first.
    pub(super) fn wait_for_topics(&mut self) -> Result<bool, OwnerError> {
        let mut said: Option<Instant> = None;
        while !self.shutdown.is_requested() {
            let missing = match self.read_topology() {
                Ok(missing) => missing,
                Err(Trouble::Stop(error)) => return Err(error),
                Err(
                    Trouble::Reset(detail)
                    | Trouble::Unread(detail)
                    | Trouble::Fenced(detail)
                    | Trouble::Expelled(detail),
                ) => {
                    self.turn.state = OwnerState::Waiting(WaitReason::Broker(detail.clone()));
                    self.complain(&detail);
                    self.wait(RETRY_AFTER)?;
                    continue;
                }
            };
            if missing.is_empty() {
                self.turn.state = OwnerState::Joining;
                return Ok(true);
            }
            if said.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
                said = Some(Instant::now());
                let topics = missing.join(", ");
                tracing::warn!(topics, "topics are missing; `sinyal topics apply` makes them");
            }
            self.turn.state = OwnerState::Waiting(WaitReason::Topics(missing));
            self.wait(RETRY_AFTER)?;
        }
        Ok(false)
    }

    /// Asks for the partition counts of every topic; gives those topics that are not there.
    fn read_topology(&mut self) -> Result<Vec<String>, Trouble> {
        let metadata = self.consumer.fetch_metadata(None, METADATA_TIMEOUT).map_err(|error| unanswered(&error))?;
        let count = |name: &String| {
            let topic = metadata.topics().iter().find(|topic| topic.name() == name)?;
            i32::try_from(topic.partitions().len()).ok().filter(|&partitions| partitions > 0)
        };
        let inputs: Vec<Option<i32>> = self.config.inputs.iter().map(count).collect();
        let outputs: Vec<Option<i32>> = self.config.outputs.iter().map(count).collect();
        let sources: Vec<Option<i32>> = self.config.source_topics.iter().map(count).collect();
        let names = self.config.inputs.iter().chain(&self.config.outputs).chain(&self.config.source_topics);
        let counts = inputs.iter().chain(&outputs).chain(&sources);
        let missing: BTreeSet<&String> =
            names.zip(counts).filter(|(_, count)| count.is_none()).map(|(name, _)| name).collect();
        let may_be_missing = |name: &String| self.config.optional_outputs.contains(name);
        let (optional, missing): (Vec<String>, Vec<String>) = missing.into_iter().cloned().partition(may_be_missing);
        self.hidden(&missing)?;
        if missing.is_empty() {
            let sources = self.config.source_topics.iter().cloned().zip(sources.into_iter().flatten()).collect();
            if self.topology.outputs != outputs {
                self.tell_of_optional(&optional)?;
            }
            self.topology = Topology { inputs: inputs.into_iter().flatten().collect(), outputs, sources };
            self.last_metadata = Instant::now();
        }
        Ok(missing)
    }

    /// Outputs that may be missing are: says why nothing is written there.
    fn tell_of_optional(&self, missing: &[String]) -> Result<(), Trouble> {
        for topic in missing {
            match self.hidden(std::slice::from_ref(topic)) {
                Ok(()) => {
                    tracing::warn!(
                        topic,
                        "the topic is missing, and nothing is written there; `sinyal topics apply` makes it"
                    );
                }
                Err(Trouble::Stop(OwnerError::Unauthorized(detail))) => {
                    tracing::warn!(topic, detail, "nothing is written to an output that may be left out");
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(())
    }

    /// Brokers do not show topics of which a user may not know: such a one is not missing, and waiting does not mend it.
    fn hidden(&self, missing: &[String]) -> Result<(), Trouble> {
        for topic in missing {
            let metadata =
                self.consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT).map_err(|error| unanswered(&error))?;
            let error = metadata.topics().first().and_then(|topic| topic.error());
            if error.is_some_and(|error| is_unauthorized(error.into())) {
                let operation = match (self.config.inputs.contains(topic), self.config.outputs.contains(topic)) {
                    (true, _) => Operation::Read,
                    (false, true) => Operation::Write,
                    (false, false) => Operation::Describe,
                };
                let refusal = crate::acl::missing(operation, &Resource::Topic(topic.clone()));
                return Err(Trouble::Stop(OwnerError::Unauthorized(refusal)));
            }
        }
        Ok(())
    }

    /// Notices partitions that topics have gained.
    pub(super) fn refresh_metadata(&mut self) -> Result<(), Trouble> {
        if self.last_metadata.elapsed() < METADATA_EVERY {
            return Ok(());
        }
        self.last_metadata = Instant::now();
        let before = self.topology.clone();
        // Not to be had now is no trouble: it is asked again.
        if self.read_topology().is_ok() && self.topology != before {
            self.show_topology()?;
        }
        Ok(())
    }

    fn show_topology(&mut self) -> Result<(), Trouble> {
        let Topology { inputs, outputs, sources } = self.topology.clone();
        self.step(Input::Topology { inputs: &inputs, outputs: &outputs })?;
        self.step(Input::Sources(&sources))
    }

    pub(super) fn rebalance(&mut self, rebalance: Rebalance) -> Result<(), Trouble> {
        match rebalance {
            Rebalance::Assign(partitions) => {
                let partitions = self.input_partitions(&partitions);
                tracing::info!(
                    stage = self.config.stage.as_str(),
                    partitions = partitions.len(),
                    "partitions assigned"
                );
                self.own(&partitions);
                self.assign(&partitions)
            }
            Rebalance::Revoke(partitions) => {
                let partitions = self.input_partitions(&partitions);
                let lost = self.consumer.assignment_lost();
                tracing::info!(
                    stage = self.config.stage.as_str(),
                    partitions = partitions.len(),
                    lost,
                    "partitions revoked"
                );
                fault_point!("revoke.begun");
                let committed =
                    if lost { Err(Trouble::Reset("partitions were lost".to_owned())) } else { self.commit() };
                fault_point!("revoke.committed");
                for at in &partitions {
                    self.owned.remove(at);
                }
                self.outputs.clear();
                if committed.is_err()
                    && let Some(tracer) = self.hooks.tracer()
                {
                    tracer.given_up();
                }
                let gone = if committed.is_ok() { Input::Revoked(&partitions) } else { Input::Lost(&partitions) };
                self.stage.step(gone, &mut self.outputs)?;
                self.unassign(&partitions)?;
                if self.owned.is_empty() {
                    self.turn.state = OwnerState::Joining;
                }
                committed
            }
            Rebalance::OutOfRange => Err(Trouble::Reset("a position is out of range".to_owned())),
            Rebalance::Expelled(detail) => Err(Trouble::Expelled(detail)),
        }
    }

    /// Answers what the group has asked for while nothing in memory was trusted: what it took is gone without a commit, what
    /// it gave is ours and read from what is committed.
    pub(super) fn settle_rebalances(&mut self) -> Result<(), Trouble> {
        while !self.rebalances.is_empty() {
            match self.rebalances.remove(0) {
                Rebalance::Assign(partitions) => {
                    self.own(&self.input_partitions(&partitions));
                    self.unanswered_assignment = true;
                }
                Rebalance::Revoke(revoked) => {
                    let partitions = self.input_partitions(&revoked);
                    self.owned.retain(|at, _| !partitions.contains(at));
                    if let Err(trouble) = self.unassign(&partitions) {
                        // It is still to be answered.
                        self.rebalances.insert(0, Rebalance::Revoke(revoked));
                        return Err(trouble);
                    }
                }
                // Every position is read anew.
                Rebalance::OutOfRange => {}
                Rebalance::Expelled(detail) => return Err(Trouble::Expelled(detail)),
            }
        }
        Ok(())
    }

    /// Takes every partition that is owned from what is committed, after a reset.
    pub(super) fn take_again(&mut self) -> Result<(), Trouble> {
        if self.owned.is_empty() {
            if self.unanswered_assignment {
                // The group gave nothing, and waits to hear that it was taken.
                self.acknowledge(&[])?;
            }
            self.turn.state = OwnerState::Joining;
            return Ok(());
        }
        let partitions: Vec<InputPartition> = self.owned.keys().copied().collect();
        self.assign(&partitions)
    }

    /// Ours from now on, whatever happens: until its position is known nothing is read of it or committed.
    fn own(&mut self, partitions: &[InputPartition]) {
        for &at in partitions {
            self.owned.insert(at, Owned { position: UNKNOWN, committed: None, end: -1, given: 0 });
        }
    }

    fn assign(&mut self, partitions: &[InputPartition]) -> Result<(), Trouble> {
        if partitions.is_empty() {
            return self.acknowledge(partitions);
        }
        let taken = self.positions(partitions)?;
        fault_point!("assign.positions");
        self.read_topology()?;
        self.show_topology()?;
        let positions: Vec<(InputPartition, Position)> =
            taken.iter().map(|&(at, owned)| (at, owned.position)).collect();
        self.step(Input::Clock(self.clock.now_ms()))?;
        self.step(Input::Assigned(&positions))?;
        if let Some(changelog) = self.config.changelog {
            if let Some(sibling) = self.older_sibling(&taken)? {
                self.show_sibling(changelog, sibling)?;
            }
            let numbers: BTreeSet<i32> = partitions.iter().map(|at| at.partition).collect();
            self.restore(changelog, &numbers)?;
            fault_point!("restore.done");
            for &(at, owned) in &taken {
                self.check_state(at, owned)?;
            }
        }
        for &(at, owned) in &taken {
            self.owned.insert(at, owned);
        }
        self.acknowledge(partitions)?;
        self.turn.state = OwnerState::Running;
        self.tell(true);
        Ok(())
    }

    /// Where each partition goes on: what is committed, or the earliest record.
    fn positions(&mut self, partitions: &[InputPartition]) -> Result<Vec<(InputPartition, Owned)>, Trouble> {
        let mut list = TopicPartitionList::new();
        for at in partitions {
            list.add_partition(&self.config.inputs[at.input], at.partition);
        }
        let committed = self
            .consumer
            .committed_offsets(list, ASK_TIMEOUT)
            .map_err(|error| untold(&self.config.group_id, &error))?;
        let mut taken = Vec::with_capacity(partitions.len());
        let asker = self.asker()?;
        for element in committed.elements() {
            let Some(at) = partition_of(&self.config, element.topic(), element.partition()) else { continue };
            element.error().map_err(|error| unanswered(&error))?;
            let (low, high) = asker
                .fetch_watermarks(element.topic(), element.partition(), ASK_TIMEOUT)
                .map_err(|error| not_told(element.topic(), element.partition(), &error))?;
            // With many partitions that is a while.
            self.tell(false);
            let committed = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            let position = match committed {
                Some(offset) if offset < low || offset > high => {
                    // Records that were deleted before they were read; or the log ends before, and what it lost is unknown but for
                    // how far it reached once.
                    let lost = u64::try_from((low - offset).max(offset - high)).unwrap_or(0);
                    // A gap is found again as long as no position beyond it is committed; it is one loss.
                    if self.gaps.insert(at, offset) != Some(offset) {
                        self.turn.lost += lost;
                    }
                    tracing::error!(
                        topic = element.topic(),
                        partition = element.partition(),
                        committed = offset,
                        first = low,
                        next = high,
                        lost,
                        "committed position is out of range: records are gone; going on from the first that is there"
                    );
                    low
                }
                Some(offset) => offset,
                None => low,
            };
            taken.push((at, Owned { position, committed, end: -1, given: 0 }));
        }
        Ok(taken)
    }

    /// If one of these partitions is new: another one of the first input that is not, and not among them.
    fn older_sibling(&self, taken: &[(InputPartition, Owned)]) -> Result<Option<i32>, Trouble> {
        let is_new = |(at, owned): &(InputPartition, Owned)| at.input == 0 && owned.committed.is_none();
        if !taken.iter().any(is_new) {
            return Ok(None);
        }
        let others = (0..self.topology.inputs.first().copied().unwrap_or(0))
            .filter(|number| !taken.iter().any(|(at, _)| at.input == 0 && at.partition == *number));
        let mut list = TopicPartitionList::new();
        others.for_each(|number| {
            list.add_partition(&self.config.inputs[0], number);
        });
        if list.count() == 0 {
            return Ok(None);
        }
        let committed = self
            .consumer
            .committed_offsets(list, ASK_TIMEOUT)
            .map_err(|error| untold(&self.config.group_id, &error))?;
        let elements = committed.elements();
        let older = elements.iter().find(|element| matches!(element.offset(), Offset::Offset(_)));
        Ok(older.map(|element| element.partition()))
    }

    fn check_state(&self, at: InputPartition, owned: Owned) -> Result<(), Trouble> {
        let Some(committed) = owned.committed else { return Ok(()) };
        let recorded = self.stage.recorded_position(at);
        if recorded.is_some_and(|recorded| recorded >= committed) {
            return Ok(());
        }
        let recorded = match recorded {
            Some(recorded) => format!("it records position {recorded}"),
            None => "it records no position".to_owned(),
        };
        Err(Trouble::Stop(OwnerError::MissingState { partition: at.partition, committed, recorded }))
    }

    /// Tells the group that partitions are taken, and from where.
    fn acknowledge(&mut self, partitions: &[InputPartition]) -> Result<(), Trouble> {
        self.tell_group(partitions)?;
        self.unanswered_assignment = false;
        Ok(())
    }

    fn tell_group(&self, partitions: &[InputPartition]) -> Result<(), Trouble> {
        if !matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative) {
            // The eager protocol replaces the whole assignment, and drops what was fetched before.
            let all: Vec<InputPartition> = self.owned.keys().copied().collect();
            let all = self.offsets(&all)?;
            self.consumer.assign(&all).map_err(|error| unanswered(&error))?;
            // A partition may stay paused over an assignment (librdkafka #5591).
            return self.consumer.resume(&all).map_err(|error| unanswered(&error));
        }
        // The cooperative one adds to it. What is assigned already is read anew from its position: to unassign it first would
        // answer a revocation that may be on its way, for other partitions than it asks for.
        let assigned = self.assigned()?;
        let (again, new): (Vec<InputPartition>, Vec<InputPartition>) =
            partitions.iter().partition(|at| assigned.contains(at));
        if !again.is_empty() {
            let again = self.offsets(&again)?;
            let sought = self.consumer.seek_partitions(again, ASK_TIMEOUT).map_err(|error| unanswered(&error))?;
            for element in sought.elements() {
                element.error().map_err(|error| unanswered(&error))?;
            }
        }
        let new = self.offsets(&new)?;
        self.consumer.incremental_assign(&new).map_err(|error| unanswered(&error))?;
        self.consumer.resume(&new).map_err(|error| unanswered(&error))
    }

    fn offsets(&self, partitions: &[InputPartition]) -> Result<TopicPartitionList, Trouble> {
        let mut list = TopicPartitionList::new();
        for at in partitions {
            let position = self.owned.get(at).map_or(UNKNOWN, |owned| owned.position);
            list.add_partition_offset(&self.config.inputs[at.input], at.partition, Offset::Offset(position))
                .map_err(|error| Trouble::Stop(OwnerError::Fatal(error.to_string())))?;
        }
        Ok(list)
    }

    /// What the client has as assigned, which is not all that is owned while an assignment is not acknowledged.
    fn assigned(&self) -> Result<BTreeSet<InputPartition>, Trouble> {
        let assigned = self.consumer.assignment().map_err(|error| unanswered(&error))?;
        let elements = assigned.elements();
        let at = elements.iter().filter_map(|element| partition_of(&self.config, element.topic(), element.partition()));
        Ok(at.collect())
    }

    /// Lets partitions go. It is the answer to a revocation even where there is none of them left to let go.
    fn unassign(&mut self, partitions: &[InputPartition]) -> Result<(), Trouble> {
        let result = if matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative) {
            let assigned = self.assigned()?;
            let mut list = TopicPartitionList::new();
            for at in partitions.iter().filter(|at| assigned.contains(at)) {
                list.add_partition(&self.config.inputs[at.input], at.partition);
            }
            self.consumer.incremental_unassign(&list)
        } else {
            self.consumer.unassign()
        };
        result.map_err(|error| unanswered(&error))
    }

    fn input_partitions(&self, partitions: &[(String, i32)]) -> Vec<InputPartition> {
        partitions.iter().filter_map(|(topic, partition)| partition_of(&self.config, topic, *partition)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::bindings::rd_kafka_resp_err_t;
    use rdkafka::mocking::MockCluster;
    use rdkafka::types::RDKafkaApiKey;

    use super::super::settings::make_consumer;
    use super::super::settings::tests::config;
    use super::*;

    #[test]
    fn positions_that_a_transaction_holds_are_told_of_as_such() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic("raw", 1, 1).unwrap();
        // As brokers answer who reads what is committed, for as long as a transaction is open that has changed it.
        let held = [rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT; 10_000];
        cluster.request_errors(RDKafkaApiKey::OffsetFetch, &held);
        let consumer = make_consumer(&config(cluster.bootstrap_servers())).unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition("raw", 0);
        let error = consumer.committed_offsets(list, Duration::from_secs(3)).unwrap_err();
        let told = untold("desk", &error);
        assert!(matches!(&told, Trouble::Reset(why) if why.contains("a transaction hangs")), "{error}");
    }
}
