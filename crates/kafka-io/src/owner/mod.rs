//! The owner: one thread that reads, drives a stage, produces and commits.
//!
//! Everything that concerns the partitions happens on this thread, in order: a stage never sees a partition move while it
//! works. When a commit fails, or its outcome is unknown, nothing in memory is trusted: see [`Owner::reset`].

mod assignment;
mod events;
mod faults;
mod pace;
mod producer;
mod recovery;
mod restore;
mod settings;
mod state;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use record::Position;
use record::stage::{Input, InputPartition, Outputs, Stage, Step, Stop};

use self::events::{judge_error, partition_of, send_all, take_message};
#[cfg(feature = "faults")]
pub use self::faults::arm;
pub use self::faults::fault;
use self::faults::fault_point;
use self::pace::Pace;
use self::producer::{ProducerError, StageProducer};
use self::settings::make_consumer;
pub use self::settings::{Assignor, Delivery, OwnerConfig};
pub use self::state::{Hooks, OwnerError, OwnerState, STEPS_PER_SAMPLE, TracedRecord, Tracer, Turn, WaitReason};
use crate::client::{Clock, Context, Shutdown, is_unauthorized};
use crate::fences::Fences;
use crate::queue::{Event, EventQueue};

/// One partition that is owned.
#[derive(Debug, Clone, Copy)]
struct Owned {
    /// The next offset to read.
    position: Position,
    /// What the group has committed.
    committed: Option<Position>,
    /// The end of the partition when it was last reached: what lies before it and is not shown are markers of transactions.
    end: Position,
    /// Records that the stage was given since the partition was assigned.
    given: u64,
}

impl Owned {
    fn is_committed(&self) -> bool {
        self.position == UNKNOWN || self.committed == Some(self.position)
    }
}

/// The position of a partition that is owned but not read yet.
const UNKNOWN: Position = Position::MAX;

/// Most samples of step time between two turns.
const STEP_SAMPLES_MAX: usize = 1_024;
const TURN_EVERY: Duration = Duration::from_secs(1);
const METADATA_EVERY: Duration = Duration::from_secs(30);
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// Short, so that whoever waits for a broker that is not there is told soon.
const METADATA_TIMEOUT: Duration = Duration::from_secs(3);
/// How long clients that are given up are waited for.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
const RETRY_AFTER: Duration = Duration::from_millis(500);
const COMPLAIN_EVERY: Duration = Duration::from_secs(5);

pub(crate) struct Owner<S, H> {
    config: OwnerConfig,
    stage: S,
    hooks: H,
    clock: Arc<dyn Clock>,
    shutdown: Shutdown,
    // Before the consumer: the queue is given back first.
    queue: EventQueue,
    consumer: Arc<BaseConsumer<Context>>,
    producer: Option<StageProducer>,
    /// One more for each call to a producer's client that has not come back.
    calls: Arc<()>,
    owned: BTreeMap<InputPartition, Owned>,
    outputs: Outputs,
    rebalances: Vec<Rebalance>,
    /// The group gave partitions, or none, and was not told yet that they are taken.
    unanswered_assignment: bool,
    /// The committed positions at which a gap was found and counted.
    gaps: BTreeMap<InputPartition, Position>,
    topology: Topology,
    /// When the last commit began.
    last_commit: Instant,
    pace: Pace,
    last_turn: Instant,
    last_metadata: Instant,
    last_complaint: Option<Instant>,
    fenced: Fences,
    expelled: Fences,
    turn: Turn,
    /// Records that the stage was given.
    steps: u64,
    /// A record waits for the registry and the end was asked for: no later one may be taken.
    unfinished: bool,
    produced_before: u64,
    /// Records handed to the producers before this one.
    produced_by_others: u64,
}

/// Partition counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Topology {
    inputs: Vec<i32>,
    outputs: Vec<Option<i32>>,
    sources: Vec<(String, i32)>,
}

enum Rebalance {
    Assign(Vec<(String, i32)>),
    Revoke(Vec<(String, i32)>),
    /// The broker has no record at a position any more.
    OutOfRange,
    /// The group took this member for replaced; its consumer is of no use any more.
    Expelled(String),
}

/// How one piece of work ended.
enum Trouble {
    Reset(String),
    /// A changelog was not read to its end, which is not the consumer's fault.
    Unread(String),
    Fenced(String),
    Expelled(String),
    Stop(OwnerError),
}

impl From<ProducerError> for Trouble {
    fn from(error: ProducerError) -> Trouble {
        match error {
            ProducerError::Reset(detail) => Trouble::Reset(detail),
            ProducerError::Fenced(detail) => Trouble::Fenced(detail),
            ProducerError::Expelled(detail) => Trouble::Expelled(detail),
            ProducerError::Stop(error) => Trouble::Stop(error),
        }
    }
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Trouble {
        Trouble::Stop(OwnerError::Stage(stop))
    }
}

/// Drives a stage until `shutdown` is requested, on the calling thread; then commits, leaves the group and gives the
/// stage back.
///
/// # Errors
/// What must stop the process. Brokers and registries that cannot be reached are waited for, not errors.
pub fn run_owner<S: Stage, H: Hooks<S>>(
    config: OwnerConfig,
    stage: S,
    clock: Arc<dyn Clock>,
    hooks: H,
    shutdown: Shutdown,
) -> Result<S, OwnerError> {
    if config.changelog.is_some() && config.assignor == Assignor::CooperativeSticky {
        // Records of partitions that stay are passed over while others are restored.
        return Err(OwnerError::Config("an owner with a changelog needs the range assignor".to_owned()));
    }
    let consumer = Arc::new(make_consumer(&config)?);
    let pace = config.pace();
    let now = Instant::now();
    let mut owner = Owner {
        queue: EventQueue::new(Arc::clone(&consumer)),
        consumer,
        producer: None,
        calls: Arc::new(()),
        owned: BTreeMap::new(),
        outputs: Outputs::default(),
        rebalances: Vec::new(),
        unanswered_assignment: false,
        gaps: BTreeMap::new(),
        topology: Topology::default(),
        last_commit: now,
        pace,
        last_turn: now,
        last_metadata: now,
        last_complaint: None,
        fenced: Fences::default(),
        expelled: Fences::default(),
        turn: Turn::default(),
        steps: 0,
        unfinished: false,
        produced_before: 0,
        produced_by_others: 0,
        config,
        stage,
        hooks,
        clock,
        shutdown,
    };
    let result = owner.run();
    owner.close(result)
}

impl<S: Stage, H: Hooks<S>> Owner<S, H> {
    fn run(&mut self) -> Result<(), OwnerError> {
        if !self.wait_for_topics()? {
            return Ok(());
        }
        self.ready_producer()?;
        self.subscribe()?;
        while !self.shutdown.is_requested() {
            if let Err(trouble) = self.work() {
                self.recover(trouble)?;
            }
        }
        match self.commit() {
            Ok(()) if self.owned.values().all(Owned::is_committed) => tracing::info!("everything done is committed"),
            Ok(()) => tracing::warn!("the last positions were not committed; their records will be read again"),
            Err(Trouble::Stop(error)) => return Err(error),
            Err(
                Trouble::Reset(detail) | Trouble::Unread(detail) | Trouble::Fenced(detail) | Trouble::Expelled(detail),
            ) => tracing::warn!(detail, "the last commit failed; its records will be read again"),
        }
        Ok(())
    }

    /// One round: rebalances, then records until the next commit is due, then the commit.
    fn work(&mut self) -> Result<(), Trouble> {
        // One by one: what a reset interrupts is settled by it.
        while !self.rebalances.is_empty() {
            let rebalance = self.rebalances.remove(0);
            self.rebalance(rebalance)?;
        }
        self.unauthorized()?;
        self.step(Input::Clock(self.clock.now_ms()))?;
        self.notice_more()?;
        let mut clock_at = Instant::now();
        let mut behind = self.is_behind();
        let mut is_due = false;
        while self.rebalances.is_empty() {
            let left = self.pace.next_commit_in(self.last_commit.elapsed(), behind);
            if clock_at.elapsed() > Duration::from_millis(20) {
                self.step(Input::Clock(self.clock.now_ms()))?;
                // Whoever asks for the end does not want to wait.
                behind = self.is_behind() && !self.shutdown.is_requested();
                self.tell(false);
                clock_at = Instant::now();
            }
            let any = self.take_event(left.min(Duration::from_millis(20)))?;
            // Beyond the last fetch there may be nothing but a transaction that is still open.
            behind &= any;
            // Now, not before: however short the time, each round takes something.
            if left.is_zero() {
                is_due = true;
                break;
            }
            if (!any || self.unfinished) && self.shutdown.is_requested() {
                break;
            }
            if let Some(producer) = &self.producer {
                producer.poll();
            }
        }
        if is_due {
            self.commit()?;
        }
        self.refresh_metadata()?;
        self.tell(false);
        Ok(())
    }

    /// True if a partition has more than was read of it, by its last fetch.
    fn is_behind(&self) -> bool {
        self.owned.iter().any(|(&at, owned)| self.left_in(at, owned).is_some_and(|left| left > 0))
    }

    /// How many records of a partition are not read yet, by its last fetch; nothing while it is not known from where it is read.
    fn left_in(&self, at: InputPartition, owned: &Owned) -> Option<i64> {
        if owned.position == UNKNOWN {
            return None;
        }
        let (_, high) = self.queue.cached_watermarks(&self.config.inputs[at.input], at.partition)?;
        Some((high - owned.position.max(owned.end)).max(0))
    }

    /// Tells the stage of partitions that have grown beyond the end that was reached. The consumer knows from its last fetch,
    /// whose records may still wait behind those of other partitions.
    fn notice_more(&mut self) -> Result<(), Trouble> {
        let mut behind = Vec::new();
        for (&at, owned) in &mut self.owned {
            let reached = owned.position.max(owned.end);
            let high =
                self.queue.cached_watermarks(&self.config.inputs[at.input], at.partition).map_or(0, |(_, high)| high);
            if owned.end >= 0 && high > reached {
                owned.end = -1;
                behind.push(at);
            }
        }
        // Together, so that the stage says it once for all of them.
        if behind.is_empty() { Ok(()) } else { self.step(Input::MoreToRead(&behind)) }
    }

    /// Takes one event from the queue into the stage; false if there was none.
    fn take_event(&mut self, timeout: Duration) -> Result<bool, Trouble> {
        let Owner { queue, stage, outputs, owned, rebalances, config, hooks, producer, consumer, turn, steps, .. } =
            self;
        let mut result = Ok(());
        let mut blocked = None;
        let any = queue.poll(timeout, &mut |event| {
            let taken = match event {
                Event::Message(message) => {
                    let timed = steps.is_multiple_of(STEPS_PER_SAMPLE).then(Instant::now);
                    *steps += 1;
                    let taken = take_message(message, config, hooks, owned, stage, outputs, &mut blocked);
                    if let Some(timed) = timed.filter(|_| turn.step_seconds.len() < STEP_SAMPLES_MAX) {
                        turn.step_seconds.push(timed.elapsed().as_secs_f64());
                    }
                    taken
                }
                Event::End { topic, partition, offset } => {
                    match partition_of(config, topic, partition).filter(|at| owned.contains_key(at)) {
                        Some(at) => {
                            if let Some(place) = owned.get_mut(&at) {
                                place.end = offset;
                            }
                            stage.step(Input::EndOfPartition(at, offset), outputs).map(|_| ()).map_err(Trouble::from)
                        }
                        None => Ok(()),
                    }
                }
                Event::Assign(partitions) => {
                    rebalances.push(Rebalance::Assign(partitions));
                    Ok(())
                }
                Event::Revoke(partitions) => {
                    rebalances.push(Rebalance::Revoke(partitions));
                    Ok(())
                }
                Event::Error { code, reason, topic } => {
                    judge_error(code, &reason, topic.as_deref(), consumer, rebalances)
                }
            };
            let sent = taken.and_then(|()| send_all(outputs, producer));
            if result.is_ok() {
                result = sent;
            }
        });
        result?;
        fault_point!("event.taken");
        if let Some((id, record)) = blocked {
            self.resolve(id, &record)?;
        }
        Ok(any)
    }

    fn step(&mut self, input: Input<'_>) -> Result<(), Trouble> {
        self.stage.step(input, &mut self.outputs)?;
        send_all(&mut self.outputs, &mut self.producer)
    }

    /// What the stage emits before a commit, a bounded part at a time.
    fn flush(&mut self) -> Result<(), Trouble> {
        loop {
            let step = self.stage.step(Input::Flush, &mut self.outputs)?;
            send_all(&mut self.outputs, &mut self.producer)?;
            if step != Step::More {
                return Ok(());
            }
            self.tell(false);
        }
    }

    /// Commits what was done since the last commit.
    fn commit(&mut self) -> Result<(), Trouble> {
        let worked = self.pace.worked(self.last_commit.elapsed());
        self.last_commit = Instant::now();
        let anything = self.commit_all()?;
        self.pace.committed(worked, self.last_commit.elapsed(), anything);
        Ok(())
    }

    /// False if there was nothing to commit, or it could not be.
    fn commit_all(&mut self) -> Result<bool, Trouble> {
        if self.owned.is_empty() {
            return Ok(false);
        }
        if self.consumer.assignment_lost() {
            return Err(Trouble::Reset("partitions were lost".to_owned()));
        }
        fault_point!("commit.begun");
        self.step(Input::Clock(self.clock.now_ms()))?;
        self.flush()?;
        fault_point!("commit.flushed");
        let Some(producer) = self.producer.as_mut() else { return Ok(false) };
        let waiting = Instant::now();
        let until = waiting + producer.patience();
        producer.drain(until)?;
        fault_point!("commit.drained");
        let mut positions = TopicPartitionList::new();
        for (at, owned) in &self.owned {
            if !owned.is_committed() {
                let offset = rdkafka::Offset::Offset(owned.position);
                positions
                    .add_partition_offset(&self.config.inputs[at.input], at.partition, offset)
                    .map_err(|error| Trouble::Stop(OwnerError::Fatal(error.to_string())))?;
            }
        }
        let nothing = positions.count() == 0 && producer.produced == self.produced_before;
        if nothing {
            return Ok(false);
        }
        if producer.is_transactional() {
            if positions.count() == 0 {
                // Brokers look at the group only where a position is committed: without one nobody would be found out who was
                // replaced in it and does not know yet.
                let known = self.owned.iter().find(|(_, owned)| owned.position != UNKNOWN);
                if let Some((at, owned)) = known {
                    let offset = rdkafka::Offset::Offset(owned.position);
                    positions
                        .add_partition_offset(&self.config.inputs[at.input], at.partition, offset)
                        .map_err(|error| Trouble::Stop(OwnerError::Fatal(error.to_string())))?;
                }
            }
            let Some(group) = self.consumer.group_metadata() else {
                return Err(Trouble::Reset("the consumer has no group".to_owned()));
            };
            producer.commit(&positions, group, until)?;
        } else if positions.count() > 0
            && let Err(error) = commit_until(&self.consumer, &positions, until)
        {
            let code = error.rdkafka_error_code();
            if let Some(code) = code.filter(|code| is_unauthorized(*code)) {
                let refusal = self.consumer.client().context().refusal(code, &error.to_string(), None);
                return Err(Trouble::Stop(OwnerError::Unauthorized(refusal)));
            }
            // The outputs are out; the next commit covers these positions too.
            tracing::warn!(%error, "positions could not be committed; trying again with the next commit");
            return Ok(false);
        }
        let waited = waiting.elapsed();
        self.produced_before = producer.produced;
        for owned in self.owned.values_mut().filter(|owned| owned.position != UNKNOWN) {
            owned.committed = Some(owned.position);
        }
        if let Some(tracer) = self.hooks.tracer() {
            tracer.committed();
        }
        let (now, latencies) = (self.clock.now_ms(), &mut self.turn.latency_seconds);
        self.stage.take_latency_samples(&mut |sample| {
            // The producer's clock may be ahead of this one.
            let latency_ms = now.saturating_sub(sample.since).max(0);
            latencies.push((latency_ms as f64 / 1_000.0, sample.weight));
        });
        self.turn.commits += 1;
        self.turn.commit_seconds = self.last_commit.elapsed().as_secs_f64();
        self.turn.commit_wait_seconds = waited.as_secs_f64();
        self.tell(true);
        Ok(true)
    }

    /// Waits, and keeps the consumer's place in its group: records that come meanwhile are read again later.
    fn wait(&mut self, time: Duration) -> Result<(), OwnerError> {
        let end = Instant::now() + time;
        let mut refused = None;
        while Instant::now() < end && !self.shutdown.is_requested() {
            let Owner { queue, rebalances, consumer, .. } = &mut *self;
            queue.poll(Duration::from_millis(50), &mut |event| match event {
                Event::Assign(partitions) => rebalances.push(Rebalance::Assign(partitions)),
                Event::Revoke(partitions) => rebalances.push(Rebalance::Revoke(partitions)),
                Event::Error { code, reason, topic } => {
                    if let Err(Trouble::Stop(error)) =
                        judge_error(code, &reason, topic.as_deref(), consumer, rebalances)
                    {
                        refused = Some(error);
                    }
                }
                _ => {}
            });
            self.tell(false);
        }
        refused.map_or(Ok(()), Err)
    }

    fn unauthorized(&self) -> Result<(), Trouble> {
        let context = self.consumer.client().context();
        if let Some(reason) = self.producer.as_ref().and_then(StageProducer::take_unauthorized) {
            return Err(Trouble::Stop(OwnerError::Unauthorized(reason)));
        }
        match context.unauthorized.lock().ok().and_then(|mut unauthorized| unauthorized.take()) {
            Some(reason) => Err(Trouble::Stop(OwnerError::Unauthorized(reason))),
            None => Ok(()),
        }
    }

    /// One line every few seconds.
    fn complain(&mut self, detail: &str) {
        if self.last_complaint.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            self.last_complaint = Some(Instant::now());
            tracing::warn!(stage = self.config.stage.as_str(), detail, "waiting for the brokers; trying again");
        }
    }

    /// Tells the application how this owner stands: at once, or if it has not for a second.
    fn tell(&mut self, at_once: bool) {
        if !at_once && self.last_turn.elapsed() < TURN_EVERY {
            return;
        }
        if self.last_turn.elapsed() >= TURN_EVERY || self.turn.lag.is_empty() {
            self.turn.lag = self.owned.iter().filter_map(|(&at, owned)| Some((at, self.left_in(at, owned)?))).collect();
            self.last_turn = Instant::now();
        }
        // It may be from before a rebalance.
        let Owner { turn, owned, .. } = self;
        turn.lag.retain(|(at, _)| owned.contains_key(at));
        self.turn.reached.clear();
        self.turn.reached.extend(self.owned.iter().filter_map(|(&at, owned)| {
            let committed = owned.committed?;
            // What lies between the last record and the end are markers of transactions.
            Some((at, if committed == owned.position { committed.max(owned.end) } else { committed }))
        }));
        self.turn.given.clear();
        self.turn.given.extend(self.owned.iter().map(|(&at, owned)| (at, owned.given)));
        if let Some(producer) = &self.producer {
            self.turn.in_flight = producer.in_flight();
            self.turn.produced = self.produced_by_others + producer.produced;
            self.turn.producer = producer.take_statistics();
        }
        self.turn.consumer = self.consumer.client().context().take_statistics();
        self.hooks.turned(&self.stage, &self.turn);
        self.turn.step_seconds.clear();
        self.turn.latency_seconds.clear();
    }

    /// Leaves the group, in bounded time: the consumer's drop may hang (rust-rdkafka #453), and nothing depends on it.
    fn close(self, result: Result<(), OwnerError>) -> Result<S, OwnerError> {
        let Owner { stage, queue, consumer, producer, .. } = self;
        if let Some(producer) = producer {
            abandon_beside(producer);
        }
        drop(queue);
        let closed = close_beside(consumer);
        let _ = closed.recv_timeout(CLOSE_TIMEOUT);
        result.map(|()| stage)
    }
}

/// Closes a consumer on a thread of its own; the channel tells when that is done.
pub(crate) fn close_beside(consumer: Arc<BaseConsumer<Context>>) -> Receiver<()> {
    beside("consumer-close", move || drop(consumer))
}

/// Commits positions without a transaction, waiting until `until` and half a second at least: the client waits for a coordinator as long
/// as it likes. What comes later of it covers records whose outputs are out, so at worst they are read again.
pub(crate) fn commit_until(
    consumer: &Arc<BaseConsumer<Context>>,
    positions: &TopicPartitionList,
    until: Instant,
) -> Result<(), KafkaError> {
    let (consumer, positions) = (Arc::clone(consumer), positions.clone());
    let answer = beside("commit", move || consumer.commit(&positions, CommitMode::Sync));
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(500));
    answer.recv_timeout(left).unwrap_or(Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::OperationTimedOut)))
}

/// Gives up a producer, in bounded time too: who makes another one with its transactional id fences it.
fn abandon_beside(producer: StageProducer) {
    let _ = beside("producer-close", move || producer.abandon()).recv_timeout(CLOSE_TIMEOUT);
}

/// Does it on a thread of its own; the channel gives what came of it, and closes without where no thread is to be had, or it
/// panicked.
fn beside<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
    let (done, result) = mpsc::channel();
    let spawned = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Who asked may not wait any more.
        let _ = done.send(work());
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, name, "no thread can be started");
    }
    result
}
