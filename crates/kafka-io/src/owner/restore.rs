//! Restoring state: the changelog partitions of an assignment, read side by side.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::{Offset, TopicPartitionList};
use record::Position;
use record::stage::{Input, InputPartition, Stage};

use super::assignment::{hanging, not_told, unanswered};
use super::faults::fault_point;
use super::{
    ASK_TIMEOUT, COMPLAIN_EVERY, Hooks, Owner, OwnerError, OwnerState, Rebalance, TURN_EVERY, Trouble, close_beside,
    judge_error,
};
use crate::acl::{Operation, Resource, missing};
use crate::client::{Context, is_unauthorized, lacks_token};
use crate::queue::{Event, EventQueue};

/// How long nothing may come of a changelog that is not read to its end.
const QUIET_MAX: Duration = Duration::from_secs(60);
/// So much of the end of a changelog holds what a partition last said of itself: that comes last in every commit.
const SIBLING_ENTRIES: Position = 20_000;
/// How often the group's own queue is looked at, so that it does not take this member for dead.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A consumer for one errand. It is closed beside the owner, in bounded time: its threads may be waiting for name servers.
pub(super) struct Passing(Option<Arc<BaseConsumer<Context>>>);

impl Passing {
    fn new(consumer: BaseConsumer<Context>) -> Passing {
        Passing(Some(Arc::new(consumer)))
    }
}

impl Deref for Passing {
    type Target = Arc<BaseConsumer<Context>>;

    fn deref(&self) -> &Arc<BaseConsumer<Context>> {
        match &self.0 {
            Some(consumer) => consumer,
            None => unreachable!("it is there until it is dropped"),
        }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        if let Some(consumer) = self.0.take() {
            // Not for long: the owner does not turn meanwhile, and nothing depends on it.
            let _ = close_beside(consumer).recv_timeout(Duration::from_secs(1));
        }
    }
}

/// How far one partition of the changelog is read.
#[derive(Debug, Clone, Copy)]
struct Reading {
    first: Position,
    position: Position,
    /// The high watermark when the restore began.
    end: Position,
    entries: u64,
}

impl Reading {
    fn is_done(&self) -> bool {
        self.position >= self.end
    }
}

/// A changelog that is not read to its end though the broker answers: a crash of all its brokers can lose the end of a transaction,
/// which the brokers themselves do not mend.
fn stuck(topic: &str, partition: i32, reading: &Reading) -> String {
    let Reading { position, end, .. } = reading;
    let hanging = hanging(topic, Some((partition, *position)));
    format!(
        "changelog {topic}-{partition} ends at {end} and cannot be read beyond {position}; if a transaction hangs there: {hanging}"
    )
}

impl<S: Stage, H: Hooks<S>> Owner<S, H> {
    /// Reads these partitions of the changelog up to the end that each has now, waiting out open transactions.
    pub(super) fn restore(&mut self, changelog: usize, partitions: &BTreeSet<i32>) -> Result<(), Trouble> {
        let topic = self.config.outputs[changelog].clone();
        let mut readings = self.log_ends(&topic, partitions)?;
        let started = Instant::now();
        let reader = self.open_changelog(&topic, &readings)?;
        let queue = EventQueue::new(Arc::clone(&*reader));
        for (&partition, _) in readings.iter().filter(|(_, reading)| reading.is_done()) {
            self.stage.step(Input::Restored { partition }, &mut self.outputs)?;
        }
        let (mut quiet_since, mut looked_at, mut said_at) = (started, started, started);
        while let Some((&partition, unread)) = readings.iter().find(|(_, reading)| !reading.is_done()) {
            if self.shutdown.is_requested() {
                // Half a state is none: nothing may be done with it, not even a commit.
                return Err(Trouble::Unread("asked to end during a restore".to_owned()));
            }
            if quiet_since.elapsed() > QUIET_MAX {
                return Err(Trouble::Unread(stuck(&topic, partition, unread)));
            }
            if self.take_entry(&queue, &mut readings)? {
                quiet_since = Instant::now();
            }
            fault_point!("restore.entry");
            if looked_at.elapsed() >= LOOK_EVERY {
                looked_at = Instant::now();
                self.look_at_group()?;
                self.show_progress(&readings, &mut said_at);
            }
        }
        let entries: u64 = readings.values().map(|reading| reading.entries).sum();
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(partitions = readings.len(), entries, seconds, "state restored");
        Ok(())
    }

    /// Takes one event of the changelog's reader; false if it brings none of the partitions on.
    fn take_entry(&mut self, queue: &EventQueue, readings: &mut BTreeMap<i32, Reading>) -> Result<bool, Trouble> {
        let Owner { stage, outputs, .. } = self;
        let mut result = Ok(());
        let mut moved = false;
        queue.poll(Duration::from_millis(100), &mut |event| {
            let (partition, position) = match event {
                Event::Message(message) => {
                    let partition = message.partition;
                    let Some(reading) = readings.get_mut(&partition).filter(|reading| !reading.is_done()) else {
                        return;
                    };
                    if let Some(key) = message.key {
                        reading.entries += 1;
                        let input = Input::Restore { partition, key, value: message.value };
                        result = stage.step(input, outputs).map(|_| ()).map_err(Trouble::from);
                    }
                    (partition, message.offset + 1)
                }
                // The end that the reader tells counts markers of transactions, which are no messages; while a transaction below
                // the high watermark is open, that end lies before it.
                Event::End { partition, offset, .. } => (partition, offset),
                // No group is joined: that it may not be known is nothing to a restore.
                Event::Error { code: RDKafkaErrorCode::GroupAuthorizationFailed, .. } => return,
                Event::Error { code, topic: Some(topic), .. } if is_unauthorized(code) => {
                    let refusal = missing(Operation::Read, &Resource::Topic(topic));
                    result = Err(Trouble::Stop(OwnerError::Unauthorized(refusal)));
                    return;
                }
                Event::Error { code, reason, .. } if is_unauthorized(code) && !lacks_token(code, &reason) => {
                    result = Err(Trouble::Stop(OwnerError::Unauthorized(reason)));
                    return;
                }
                _ => return,
            };
            let Some(reading) = readings.get_mut(&partition).filter(|reading| !reading.is_done()) else { return };
            moved |= position > reading.position;
            reading.position = reading.position.max(position);
            if reading.is_done() && result.is_ok() {
                result = stage.step(Input::Restored { partition }, outputs).map(|_| ()).map_err(Trouble::from);
            }
        });
        result.map(|()| moved)
    }

    /// Keeps this member's place in its group, and hears whether partitions are to go: then it is not worth going on.
    fn look_at_group(&mut self) -> Result<(), Trouble> {
        let Owner { queue, rebalances, consumer, .. } = &mut *self;
        let mut result = Ok(());
        let mut seen = 0;
        // Records are read again from their positions later.
        while seen < 1_000
            && queue.poll(Duration::ZERO, &mut |event| match event {
                Event::Assign(partitions) => rebalances.push(Rebalance::Assign(partitions)),
                Event::Revoke(partitions) => rebalances.push(Rebalance::Revoke(partitions)),
                Event::Error { code, reason, topic } => {
                    result = judge_error(code, &reason, topic.as_deref(), consumer, rebalances);
                }
                _ => {}
            })
        {
            seen += 1;
        }
        result?;
        if rebalances.is_empty() {
            Ok(())
        } else {
            Err(Trouble::Unread("partitions moved during a restore".to_owned()))
        }
    }

    fn show_progress(&mut self, readings: &BTreeMap<i32, Reading>, said_at: &mut Instant) {
        if self.last_turn.elapsed() < TURN_EVERY {
            return;
        }
        let entries = readings.values().map(|reading| reading.entries).sum();
        let sum = |of: fn(&Reading) -> Position| readings.values().map(of).sum::<Position>();
        let (read, all) = (sum(|reading| reading.position - reading.first), sum(|reading| reading.end - reading.first));
        let percent = u8::try_from(read.saturating_mul(100) / all.max(1)).unwrap_or(100).min(100);
        if said_at.elapsed() >= COMPLAIN_EVERY {
            *said_at = Instant::now();
            tracing::info!(partitions = readings.len(), entries, percent, "restoring state");
        }
        self.turn.state = OwnerState::Restoring { entries, percent };
        self.tell(true);
    }

    /// Shows the stage the end of another partition's changelog, and has it forget that again. A partition that is new, beside others
    /// that are not, tells nothing of how many there were when the state was written; the others do.
    pub(super) fn show_sibling(&mut self, changelog: usize, sibling: i32) -> Result<(), Trouble> {
        let shown = self.show_end_of(changelog, sibling);
        // However that went: a partition that is not ours must not be there when the stage is next flushed.
        self.stage.step(Input::Lost(&[InputPartition { input: 0, partition: sibling }]), &mut self.outputs)?;
        shown
    }

    fn show_end_of(&mut self, changelog: usize, sibling: i32) -> Result<(), Trouble> {
        let topic = self.config.outputs[changelog].clone();
        let mut readings = self.log_ends(&topic, &BTreeSet::from([sibling]))?;
        for reading in readings.values_mut() {
            reading.first = reading.first.max(reading.end - SIBLING_ENTRIES);
            reading.position = reading.first;
        }
        let reader = self.open_changelog(&topic, &readings)?;
        let queue = EventQueue::new(Arc::clone(&*reader));
        let started = Instant::now();
        while readings.values().any(|reading| !reading.is_done()) && !self.shutdown.is_requested() {
            if started.elapsed() > QUIET_MAX {
                return Err(Trouble::Unread(format!("changelog {topic}-{sibling} cannot be read to its end")));
            }
            self.take_entry(&queue, &mut readings)?;
        }
        Ok(())
    }

    fn open_changelog(&self, topic: &str, readings: &BTreeMap<i32, Reading>) -> Result<Passing, Trouble> {
        let config = self.config.connection.config(&[
            ("group.id", "sinyal-restore"),
            ("enable.auto.commit", "false"),
            ("enable.partition.eof", "true"),
            ("isolation.level", "read_committed"),
            ("auto.offset.reset", "earliest"),
            ("queued.max.messages.kbytes", "16384"),
            ("fetch.wait.max.ms", "20"),
            ("fetch.queue.backoff.ms", "10"),
        ]);
        let reader: BaseConsumer<Context> =
            config.create_with_context(Context::new("restore").joining_none()).map_err(|error| unanswered(&error))?;
        let mut assignment = TopicPartitionList::new();
        for (&partition, reading) in readings {
            let from = Offset::Offset(reading.first);
            assignment.add_partition_offset(topic, partition, from).map_err(|error| unanswered(&error))?;
        }
        reader.assign(&assignment).map_err(|error| unanswered(&error))?;
        Ok(Passing::new(reader))
    }

    /// A client to ask for the ends of partitions: with what is not committed yet. One that reads committed records takes a committed
    /// position beyond an open transaction for one that is out of range.
    pub(super) fn asker(&self) -> Result<Passing, Trouble> {
        let config = self.config.connection.config(&[("isolation.level", "read_uncommitted")]);
        let asker = config.create_with_context(Context::new("ends")).map_err(|error| unanswered(&error))?;
        Ok(Passing::new(asker))
    }

    /// The first offset and the high watermark of each partition. A client that reads committed records would be told the end of
    /// what is committed, which may lie before records that the group's committed position already covers: a commit shows in one
    /// partition after the other.
    fn log_ends(&mut self, topic: &str, partitions: &BTreeSet<i32>) -> Result<BTreeMap<i32, Reading>, Trouble> {
        let asker = self.asker()?;
        let mut readings = BTreeMap::new();
        for &partition in partitions {
            let (first, end) = asker
                .fetch_watermarks(topic, partition, ASK_TIMEOUT)
                .map_err(|error| not_told(topic, partition, &error))?;
            readings.insert(partition, Reading { first, position: first, end, entries: 0 });
            // With many partitions that is a while.
            self.tell(false);
        }
        Ok(readings)
    }
}
