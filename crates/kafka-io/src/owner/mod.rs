//! The owner: one thread that reads, drives a stage, produces and commits.
//!
//! Everything that concerns the partitions happens on this thread, in order: a stage never sees a partition move while it
//! works. When a commit fails, or its outcome is unknown, nothing in memory is trusted: see [`Owner::reset`].

mod assignment;
mod producer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use record::stage::{Input, InputPartition, InputRecord, Outputs, SchemaLookup, Stage, Step, Stop};
use record::{Position, StageName};

use self::producer::{ProducerError, StageProducer};
use crate::client::{Clock, Connection, Context, Shutdown, is_unauthorized, is_unreachable};
use crate::queue::{Event, EventQueue, Message};

/// How outputs and positions are committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// In one Kafka transaction.
    ExactlyOnce {
        /// The id that fences an older incarnation of this replica.
        transactional_id: String,
        /// How long the broker lets a transaction stay open, in milliseconds.
        transaction_timeout_ms: i32,
    },
    /// Outputs first, then positions: after a crash some outputs are there twice.
    AtLeastOnce,
}

/// How partitions are spread over the replicas of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assignor {
    /// Moves as few partitions as possible.
    CooperativeSticky,
    /// The same partition numbers of all inputs go together.
    Range,
}

/// What an owner needs to know.
#[derive(Debug, Clone)]
pub struct OwnerConfig {
    /// Where Kafka is.
    pub connection: Connection,
    /// The stage, for log lines.
    pub stage: StageName,
    /// The consumer group.
    pub group_id: String,
    /// The member's lasting name, for static membership.
    pub group_instance_id: Option<String>,
    /// How partitions are spread.
    pub assignor: Assignor,
    /// The input topics, in the stage's order.
    pub inputs: Vec<String>,
    /// The output topics, in the stage's order.
    pub outputs: Vec<String>,
    /// Which of the outputs is the changelog to restore from.
    pub changelog: Option<usize>,
    /// Topics whose partitions are the sources of event time; empty if the stage does not ask.
    pub source_topics: Vec<String>,
    /// How outputs and positions are committed.
    pub delivery: Delivery,
    /// How often to commit, in milliseconds.
    pub commit_interval_ms: u64,
    /// What the consumer may prefetch, in bytes.
    pub prefetch_bytes: usize,
    /// What the producer may hold, in bytes.
    pub in_flight_bytes: usize,
    /// Largest output record, in bytes.
    pub output_bytes_max: usize,
    /// After this time without a heartbeat the group goes on without this member, in milliseconds.
    pub session_timeout_ms: u32,
}

/// Why an owner waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// Brokers cannot be reached, or do not take what is sent.
    Broker(String),
    /// These topics are not there.
    Topics(Vec<String>),
    /// The registry cannot be reached.
    Registry(String),
}

/// What an owner does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnerState {
    /// It has no partition yet.
    Joining,
    /// It reads the changelog.
    Restoring {
        /// Entries read so far.
        entries: u64,
        /// The partition number that is being restored.
        partition: i32,
    },
    /// It works.
    Running,
    /// It cannot work now, and tries again.
    Waiting(WaitReason),
}

/// How an owner stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// What it does.
    pub state: OwnerState,
    /// Records not yet read, by partition.
    pub lag: Vec<(InputPartition, i64)>,
    /// Commits since the start.
    pub commits: u64,
    /// Duration of the last commit, draining included.
    pub commit_seconds: f64,
    /// Records in flight to the brokers.
    pub in_flight: i32,
    /// Records handed to the producer since the start.
    pub produced: u64,
    /// Records that were gone before they were read, since the start.
    pub lost: u64,
    /// Times that everything in memory was given up and read anew, since the start.
    pub resets: u64,
}

/// What an owner asks and tells the application, on its own thread.
pub trait Hooks<S> {
    /// Asks the registry for a schema.
    ///
    /// # Errors
    /// Words for the log, if the registry cannot be reached now; the owner tries again.
    fn schema(&mut self, id: u32) -> Result<SchemaLookup, String>;

    /// The owner turned: after every commit, and at least once a second whatever it waits for.
    fn turned(&mut self, stage: &S, turn: &Turn);
}

/// Why an owner stopped by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// The stage cannot go on.
    #[error(transparent)]
    Stage(#[from] Stop),
    /// Another process has the same transactional id and works.
    #[error(
        "fenced: another process works as transactional id {transactional_id}; give each instance its own instance.id ({detail})"
    )]
    Fenced {
        /// The id.
        transactional_id: String,
        /// The client's words.
        detail: String,
    },
    /// The changelog lacks what the committed position says was done.
    #[error(
        "changelog of partition {partition} ends before the committed position {committed} ({recorded}); state is missing. \
         Restore the changelog topic, or reset the group to rebuild the state from the input"
    )]
    MissingState {
        /// The partition number.
        partition: i32,
        /// Committed position.
        committed: Position,
        /// What the changelog says.
        recorded: String,
    },
    /// A broker refuses us.
    #[error("not authorised: {0}")]
    Unauthorized(String),
    /// The properties are wrong.
    #[error("kafka client cannot be made: {0}")]
    Config(String),
    /// Nothing can be done about it.
    #[error("{0}")]
    Fatal(String),
}

/// One partition that is owned.
#[derive(Debug, Clone, Copy)]
struct Owned {
    /// The next offset to read.
    position: Position,
    /// What the group has committed.
    committed: Option<Position>,
}

/// Twice fenced within this time means somebody else is at work with our id; once may be the broker giving up on us.
const FENCED_AGAIN_WITHIN: Duration = Duration::from_secs(60);
const TURN_EVERY: Duration = Duration::from_secs(1);
const METADATA_EVERY: Duration = Duration::from_secs(30);
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
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
    owned: BTreeMap<InputPartition, Owned>,
    outputs: Outputs,
    rebalances: Vec<Rebalance>,
    topology: Topology,
    last_commit: Instant,
    last_turn: Instant,
    last_metadata: Instant,
    last_complaint: Option<Instant>,
    fenced_at: Option<Instant>,
    turn: Turn,
    produced_before: u64,
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
}

/// How one piece of work ended.
enum Trouble {
    Reset(String),
    Fenced(String),
    Stop(OwnerError),
}

impl From<ProducerError> for Trouble {
    fn from(error: ProducerError) -> Trouble {
        match error {
            ProducerError::Reset(detail) => Trouble::Reset(detail),
            ProducerError::Fenced(detail) => Trouble::Fenced(detail),
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
    let consumer = Arc::new(make_consumer(&config)?);
    let now = Instant::now();
    let mut owner = Owner {
        queue: EventQueue::new(Arc::clone(&consumer)),
        consumer,
        producer: None,
        owned: BTreeMap::new(),
        outputs: Outputs::default(),
        rebalances: Vec::new(),
        topology: Topology::default(),
        last_commit: now,
        last_turn: now,
        last_metadata: now,
        last_complaint: None,
        fenced_at: None,
        turn: Turn {
            state: OwnerState::Joining,
            lag: Vec::new(),
            commits: 0,
            commit_seconds: 0.0,
            in_flight: 0,
            produced: 0,
            lost: 0,
            resets: 0,
        },
        produced_before: 0,
        config,
        stage,
        hooks,
        clock,
        shutdown,
    };
    let result = owner.run();
    owner.close(result)
}

fn make_consumer(config: &OwnerConfig) -> Result<BaseConsumer<Context>, OwnerError> {
    let kbytes = (config.prefetch_bytes / 1024).max(64).to_string();
    let fetch_bytes = (config.prefetch_bytes / 4).clamp(65_536, 4_194_304).to_string();
    let session_timeout = config.session_timeout_ms.to_string();
    let mut ours = vec![
        ("group.id", config.group_id.as_str()),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("isolation.level", "read_committed"),
        // A position that is gone is a gap to be counted, not a place to jump to.
        ("auto.offset.reset", "error"),
        ("queued.max.messages.kbytes", &kbytes),
        ("queued.min.messages", "10000"),
        ("fetch.message.max.bytes", &fetch_bytes),
        ("fetch.max.bytes", "16777216"),
        ("fetch.wait.max.ms", "100"),
        ("fetch.queue.backoff.ms", "10"),
        ("session.timeout.ms", &session_timeout),
        ("max.poll.interval.ms", "300000"),
        (
            "partition.assignment.strategy",
            match config.assignor {
                Assignor::CooperativeSticky => "cooperative-sticky",
                Assignor::Range => "range",
            },
        ),
    ];
    if let Some(instance) = &config.group_instance_id {
        ours.push(("group.instance.id", instance));
    }
    config
        .connection
        .config(&ours)
        .create_with_context(Context::new("consumer"))
        .map_err(|error| OwnerError::Config(error.to_string()))
}

impl<S: Stage, H: Hooks<S>> Owner<S, H> {
    fn run(&mut self) -> Result<(), OwnerError> {
        if !self.wait_for_topics()? {
            return Ok(());
        }
        self.ready_producer()?;
        let inputs: Vec<&str> = self.config.inputs.iter().map(String::as_str).collect();
        self.consumer.subscribe(&inputs).map_err(|error| OwnerError::Config(error.to_string()))?;
        while !self.shutdown.is_requested() {
            if let Err(trouble) = self.work() {
                self.recover(trouble)?;
            }
        }
        if let Err(trouble) = self.commit() {
            match trouble {
                Trouble::Stop(error) => return Err(error),
                Trouble::Reset(detail) | Trouble::Fenced(detail) => {
                    tracing::warn!(detail, "the last commit failed; its records will be read again");
                }
            }
        }
        Ok(())
    }

    /// One round: rebalances, then records until the next commit is due, then the commit.
    fn work(&mut self) -> Result<(), Trouble> {
        for rebalance in std::mem::take(&mut self.rebalances) {
            self.rebalance(rebalance)?;
        }
        self.unauthorized()?;
        let interval = Duration::from_millis(self.config.commit_interval_ms);
        self.step(Input::Clock(self.clock.now_ms()))?;
        let mut clock_at = Instant::now();
        while self.rebalances.is_empty() {
            let left = interval.saturating_sub(self.last_commit.elapsed());
            if left.is_zero() {
                break;
            }
            if clock_at.elapsed() > Duration::from_millis(20) {
                self.step(Input::Clock(self.clock.now_ms()))?;
                clock_at = Instant::now();
            }
            if !self.take_event(left.min(Duration::from_millis(20)))? && self.shutdown.is_requested() {
                break;
            }
            if let Some(producer) = &self.producer {
                producer.poll();
            }
        }
        if self.last_commit.elapsed() >= interval {
            self.commit()?;
        }
        self.refresh_metadata()?;
        self.tell(false);
        Ok(())
    }

    /// Takes one event from the queue into the stage; false if there was none.
    fn take_event(&mut self, timeout: Duration) -> Result<bool, Trouble> {
        let Owner { queue, stage, outputs, owned, rebalances, config, producer, hooks, shutdown, .. } = self;
        let mut result = Ok(());
        let any = queue.poll(timeout, &mut |event| {
            let mut blocked = None;
            let taken = match event {
                Event::Message(message) => take_message(message, config, owned, stage, outputs, &mut blocked),
                Event::End { topic, partition, offset } => {
                    match partition_of(config, topic, partition).filter(|at| owned.contains_key(at)) {
                        Some(at) => {
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
                Event::Error { code, reason } => judge_error(code, &reason, rebalances),
            };
            let sent = taken.and_then(|()| send_all(outputs, producer));
            if result.is_ok() {
                result = sent;
            }
            // The record lies in the event's memory: the registry is asked while it does.
            if let (Some((id, message)), Ok(())) = (blocked.take(), &result) {
                result = resolve(id, message, config, owned, stage, outputs, hooks, producer, shutdown);
            }
        });
        result.map(|()| any)
    }

    fn step(&mut self, input: Input<'_>) -> Result<(), Trouble> {
        self.stage.step(input, &mut self.outputs)?;
        send_all(&mut self.outputs, &mut self.producer)
    }

    /// Commits what was done since the last commit.
    fn commit(&mut self) -> Result<(), Trouble> {
        self.last_commit = Instant::now();
        if self.owned.is_empty() {
            return Ok(());
        }
        self.step(Input::Clock(self.clock.now_ms()))?;
        self.step(Input::Flush)?;
        let Some(producer) = self.producer.as_mut() else { return Ok(()) };
        producer.drain()?;
        let mut positions = TopicPartitionList::new();
        for (at, owned) in &self.owned {
            if owned.committed != Some(owned.position) {
                let offset = rdkafka::Offset::Offset(owned.position);
                positions
                    .add_partition_offset(&self.config.inputs[at.input], at.partition, offset)
                    .map_err(|error| Trouble::Stop(OwnerError::Fatal(error.to_string())))?;
            }
        }
        let nothing = positions.count() == 0 && producer.produced == self.produced_before;
        if nothing {
            return Ok(());
        }
        if producer.is_transactional() {
            let Some(group) = self.consumer.group_metadata() else {
                return Err(Trouble::Reset("the consumer has no group".to_owned()));
            };
            producer.commit(&positions, &group)?;
        } else if positions.count() > 0
            && let Err(error) = self.consumer.commit(&positions, CommitMode::Sync)
        {
            let code = error.rdkafka_error_code();
            if code.is_some_and(is_unauthorized) {
                return Err(Trouble::Stop(OwnerError::Unauthorized(error.to_string())));
            }
            // The outputs are out; the next commit covers these positions too.
            tracing::warn!(%error, "positions could not be committed; trying again with the next commit");
            return Ok(());
        }
        self.produced_before = producer.produced;
        for owned in self.owned.values_mut() {
            owned.committed = Some(owned.position);
        }
        self.turn.commits += 1;
        self.turn.commit_seconds = self.last_commit.elapsed().as_secs_f64();
        self.tell(true);
        Ok(())
    }

    fn recover(&mut self, trouble: Trouble) -> Result<(), OwnerError> {
        let detail = match trouble {
            Trouble::Stop(error) => return Err(error),
            Trouble::Reset(detail) => detail,
            Trouble::Fenced(detail) => {
                let again = self.fenced_at.is_some_and(|at| at.elapsed() < FENCED_AGAIN_WITHIN);
                self.fenced_at = Some(Instant::now());
                if again {
                    let transactional_id = match &self.config.delivery {
                        Delivery::ExactlyOnce { transactional_id, .. } => transactional_id.clone(),
                        Delivery::AtLeastOnce => String::new(),
                    };
                    return Err(OwnerError::Fenced { transactional_id, detail });
                }
                detail
            }
        };
        self.reset(&detail)
    }

    /// Nothing in memory is trusted any more: a new producer, committed positions fetched anew, state restored.
    fn reset(&mut self, detail: &str) -> Result<(), OwnerError> {
        tracing::warn!(
            stage = self.config.stage.as_str(),
            detail,
            "giving up what is not committed, and reading it again"
        );
        self.turn.resets += 1;
        let mut pending = Some(detail.to_owned());
        while let Some(detail) = pending.take() {
            self.turn.state = OwnerState::Waiting(WaitReason::Broker(detail));
            if let Some(producer) = self.producer.take() {
                producer.abandon();
            }
            let partitions: Vec<InputPartition> = self.owned.keys().copied().collect();
            self.outputs.clear();
            self.stage.step(Input::Lost(&partitions), &mut self.outputs)?;
            self.outputs.clear();
            self.tell(true);
            self.ready_producer()?;
            if self.shutdown.is_requested() {
                self.owned.clear();
                return Ok(());
            }
            match self.take_again(&partitions) {
                Ok(()) => {}
                Err(Trouble::Stop(error)) => return Err(error),
                Err(Trouble::Reset(detail) | Trouble::Fenced(detail)) => {
                    self.complain(&detail);
                    self.wait(RETRY_AFTER)?;
                    pending = Some(detail);
                }
            }
        }
        Ok(())
    }

    /// Makes the producer, however long the brokers let it wait.
    fn ready_producer(&mut self) -> Result<(), OwnerError> {
        self.produced_before = 0;
        while !self.shutdown.is_requested() {
            let producer = StageProducer::new(&self.config)?;
            match producer.init(Duration::from_secs(5)) {
                Ok(()) => {
                    self.producer = Some(producer);
                    return Ok(());
                }
                Err(ProducerError::Stop(error)) => return Err(error),
                Err(ProducerError::Reset(detail) | ProducerError::Fenced(detail)) => {
                    self.complain(&detail);
                    self.turn.state = OwnerState::Waiting(WaitReason::Broker(detail));
                    self.wait(RETRY_AFTER)?;
                }
            }
        }
        Ok(())
    }

    /// Waits, and keeps the consumer's place in its group: records that come meanwhile are read again later.
    fn wait(&mut self, time: Duration) -> Result<(), OwnerError> {
        let end = Instant::now() + time;
        let mut refused = None;
        while Instant::now() < end && !self.shutdown.is_requested() {
            let rebalances = &mut self.rebalances;
            self.queue.poll(Duration::from_millis(50), &mut |event| match event {
                Event::Assign(partitions) => rebalances.push(Rebalance::Assign(partitions)),
                Event::Revoke(partitions) => rebalances.push(Rebalance::Revoke(partitions)),
                Event::Error { code, reason } if is_unauthorized(code) => refused = Some(reason),
                _ => {}
            });
            self.tell(false);
        }
        refused.map_or(Ok(()), |reason| Err(OwnerError::Unauthorized(reason)))
    }

    fn unauthorized(&self) -> Result<(), Trouble> {
        let context = self.consumer.client().context();
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
            self.turn.lag = self
                .owned
                .iter()
                .filter_map(|(&at, owned)| {
                    let (_, high) = self.queue.cached_watermarks(&self.config.inputs[at.input], at.partition)?;
                    Some((at, (high - owned.position).max(0)))
                })
                .collect();
            self.last_turn = Instant::now();
        }
        if let Some(producer) = &self.producer {
            self.turn.in_flight = producer.in_flight();
            self.turn.produced = producer.produced;
        }
        self.hooks.turned(&self.stage, &self.turn);
    }

    /// Leaves the group, in bounded time: the consumer's drop may hang (rust-rdkafka #453), and nothing depends on it.
    fn close(self, result: Result<(), OwnerError>) -> Result<S, OwnerError> {
        let Owner { stage, queue, consumer, producer, .. } = self;
        if let Some(producer) = producer {
            producer.abandon();
        }
        drop(queue);
        let (done, closed) = std::sync::mpsc::channel::<()>();
        let closing = std::thread::Builder::new().name("consumer-close".to_owned()).spawn(move || {
            drop(consumer);
            drop(done);
        });
        if closing.is_ok() {
            let _ = closed.recv_timeout(Duration::from_secs(5));
        }
        result.map(|()| stage)
    }
}

fn partition_of(config: &OwnerConfig, topic: &str, partition: i32) -> Option<InputPartition> {
    let input = config.inputs.iter().position(|name| name == topic)?;
    Some(InputPartition { input, partition })
}

fn take_message<'a, S: Stage>(
    message: Message<'a>,
    config: &OwnerConfig,
    owned: &mut BTreeMap<InputPartition, Owned>,
    stage: &mut S,
    outputs: &mut Outputs,
    blocked: &mut Option<(u32, Message<'a>)>,
) -> Result<(), Trouble> {
    let Some(at) = partition_of(config, message.topic, message.partition) else { return Ok(()) };
    // What was fetched before a partition went, or before its position was set anew, is not ours to process.
    let Some(place) = owned.get_mut(&at).filter(|owned| message.offset >= owned.position) else { return Ok(()) };
    let record = InputRecord {
        from: at,
        offset: message.offset,
        timestamp: message.timestamp,
        key: message.key,
        value: message.value,
    };
    match stage.step(Input::Record(record), outputs)? {
        Step::Done => place.position = message.offset + 1,
        Step::NeedsSchema(id) => *blocked = Some((id, message)),
    }
    Ok(())
}

/// Asks the registry until it answers, then gives the record again.
#[allow(clippy::too_many_arguments)] // The parts of an owner that are borrowed one by one while its queue shows an event.
fn resolve<'a, S: Stage, H: Hooks<S>>(
    mut id: u32,
    message: Message<'a>,
    config: &OwnerConfig,
    owned: &mut BTreeMap<InputPartition, Owned>,
    stage: &mut S,
    outputs: &mut Outputs,
    hooks: &mut H,
    producer: &mut Option<StageProducer>,
    shutdown: &Shutdown,
) -> Result<(), Trouble> {
    let mut last_complaint: Option<Instant> = None;
    let mut pause = Duration::from_millis(100);
    let waiting = |detail: String| Turn {
        state: OwnerState::Waiting(WaitReason::Registry(detail)),
        lag: Vec::new(),
        commits: 0,
        commit_seconds: 0.0,
        in_flight: 0,
        produced: 0,
        lost: 0,
        resets: 0,
    };
    // A transaction that stays open while the registry is away would be ended by the broker: the wait is bounded by a reset.
    let started = Instant::now();
    while !shutdown.is_requested() {
        match hooks.schema(id) {
            Ok(lookup) => {
                stage.step(Input::Schema { id, lookup }, outputs)?;
                let mut blocked = None;
                take_message(message, config, owned, stage, outputs, &mut blocked)?;
                send_all(outputs, producer)?;
                match blocked {
                    None => return Ok(()),
                    Some((other, _)) => id = other,
                }
            }
            Err(detail) => {
                if last_complaint.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
                    tracing::warn!(detail, schema_id = id, "waiting for the registry; trying again");
                    last_complaint = Some(Instant::now());
                }
                hooks.turned(stage, &waiting(detail.clone()));
                if let Some(producer) = producer {
                    producer.poll();
                }
                if started.elapsed() > Duration::from_secs(5) {
                    return Err(Trouble::Reset(format!("the registry does not answer: {detail}")));
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        }
    }
    Ok(())
}

fn send_all(outputs: &mut Outputs, producer: &mut Option<StageProducer>) -> Result<(), Trouble> {
    if outputs.is_empty() {
        return Ok(());
    }
    let Some(producer) = producer else {
        outputs.clear();
        return Err(Trouble::Reset("no producer".to_owned()));
    };
    let mut result = Ok(());
    for record in outputs.records() {
        result = producer.send(record);
        if result.is_err() {
            break;
        }
    }
    outputs.clear();
    result.map_err(Trouble::from)
}

fn judge_error(code: RDKafkaErrorCode, reason: &str, rebalances: &mut Vec<Rebalance>) -> Result<(), Trouble> {
    match code {
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
            rebalances.push(Rebalance::OutOfRange)
        }
        code if is_unauthorized(code) => {
            return Err(Trouble::Stop(OwnerError::Unauthorized(reason.to_owned())));
        }
        RDKafkaErrorCode::FencedInstanceId => {
            return Err(Trouble::Stop(OwnerError::Fatal(format!(
                "another member has the same group.instance.id; give each instance its own instance.id ({reason})"
            ))));
        }
        // The client tries again by itself, and says so through its context.
        code if is_unreachable(Some(code)) => {}
        _ => tracing::debug!(?code, reason, "consumer reports an error"),
    }
    Ok(())
}
