//! How an owner stands, and why it stops.

use record::stage::{InputPartition, SchemaLookup, Stop};
use record::{Position, TraceContext};

use crate::statistics::ClientStatistics;

/// Why an owner waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// Brokers cannot be reached, or do not take what is sent.
    Broker(String),
    /// These topics are not there.
    Topics(Vec<String>),
    /// The registry cannot be reached.
    Registry(String),
    /// The database that is written to is away, or not as it must be.
    Database(String),
}

/// What an owner does.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum OwnerState {
    /// It has no partition yet.
    #[default]
    Joining,
    /// It reads the changelog.
    Restoring {
        /// Entries read so far.
        entries: u64,
        /// How much of the changelog is read, from 0 to 100.
        percent: u8,
    },
    /// It works.
    Running,
    /// It cannot work now, and tries again.
    Waiting(WaitReason),
}

/// Of so many records one is timed: two looks at the clock for each would be felt on the hot path.
pub const STEPS_PER_SAMPLE: u64 = 64;

/// How an owner stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Turn {
    /// What it does.
    pub state: OwnerState,
    /// Records not yet read, by partition.
    pub lag: Vec<(InputPartition, i64)>,
    /// Records that the stage was given, by partition, since it was assigned: what its ledger must have as consumed.
    pub given: Vec<(InputPartition, u64)>,
    /// Up to where each partition was read and what came of it committed: the next offset, or the end of the log where there is
    /// nothing more to read.
    pub reached: Vec<(InputPartition, Position)>,
    /// Commits since the start.
    pub commits: u64,
    /// Duration of the last commit, draining included.
    pub commit_seconds: f64,
    /// How much of that the owner waited for brokers: until what was sent had arrived, and for the commit itself.
    pub commit_wait_seconds: f64,
    /// How long the stage took for a record, in seconds: one in [`STEPS_PER_SAMPLE`] since the last turn.
    pub step_seconds: Vec<f64>,
    /// How long it took from a raw record's Kafka time until what the stage made of it was committed, in seconds, and how many
    /// measurements it stands for; of the commit since the last turn.
    pub latency_seconds: Vec<(f64, u32)>,
    /// Records in flight to the brokers.
    pub in_flight: i32,
    /// Records handed to the producer since the start.
    pub produced: u64,
    /// Records that were gone before they were read, since the start.
    pub lost: u64,
    /// Times that everything in memory was given up and read anew, since the start.
    pub resets: u64,
    /// What the consumer's client tells of itself, if it has since the last turn.
    pub consumer: Option<ClientStatistics>,
    /// The same of the producer's.
    pub producer: Option<ClientStatistics>,
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

    /// Who follows records through the stage; asked for each, so that where nothing is traced nothing else is done.
    fn tracer(&mut self) -> Option<&mut dyn Tracer> {
        None
    }
}

/// Follows single records through a stage, on the owner's thread.
pub trait Tracer {
    /// A record is about to be given to the stage; `parent` is what its header says. Gives what it and what comes of it are traced
    /// as, or nothing. A record that could not be taken in yet is begun again.
    fn begin(&mut self, parent: Option<TraceContext>) -> Option<TraceContext>;

    /// The stage has taken in the record that was begun last and is traced.
    fn taken(&mut self, record: TracedRecord<'_>);

    /// What was taken in since the last time is committed.
    fn committed(&mut self);

    /// What was taken in since the last time is given up, and will be read again.
    fn given_up(&mut self);
}

/// Where a traced record was read.
#[derive(Debug, Clone, Copy)]
pub struct TracedRecord<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition's number.
    pub partition: i32,
    /// The offset.
    pub offset: Position,
    /// Its Kafka time, where it has one, in epoch milliseconds.
    pub timestamp: Option<i64>,
}

/// Why an owner stopped by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// The stage cannot go on.
    #[error(transparent)]
    Stage(#[from] Stop),
    /// Another process has the same name and works.
    #[error("fenced: another process works under {id}; give each instance its own instance.id ({detail})")]
    Fenced {
        /// The name, and what it is.
        id: String,
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
