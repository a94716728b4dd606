//! The contract between a stage (a state machine without I/O) and the owner thread that drives it.
//!
//! The owner reads Kafka and hands each event to [`Stage::step`]; the stage appends what is to be produced to
//! [`Outputs`]. The owner produces it and commits it together with the positions, in one transaction where the delivery
//! is exactly-once. A stage never sees a partition move while it works: rebalances arrive as inputs.

use std::fmt;

use crate::{EpochMs, Ledger, Position, TraceContext};

/// A partition of one of the stage's input topics; `input` is the topic's place in the stage's list of inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InputPartition {
    /// Which input topic.
    pub input: usize,
    /// Which partition of it.
    pub partition: i32,
}

/// A record as it was read.
#[derive(Debug, Clone, Copy)]
pub struct InputRecord<'a> {
    /// Where it was read.
    pub from: InputPartition,
    /// Its offset.
    pub offset: i64,
    /// Its Kafka time, where it has one.
    pub timestamp: Option<EpochMs>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
    /// Its headers.
    pub headers: InputHeaders<'a>,
}

/// The headers of a record as it was read, in order. Reading them takes time: only a dead letter asks. Which trace the record belongs
/// to was read by the owner, if anything is traced.
#[derive(Clone, Copy, Default)]
pub struct InputHeaders<'a> {
    read: Option<&'a ReadHeaders<'a>>,
    trace: Option<TraceContext>,
}

/// Shows each header to its argument, in order.
type ReadHeaders<'a> = dyn Fn(&mut dyn FnMut(&str, &[u8])) + 'a;

impl<'a> InputHeaders<'a> {
    /// Headers that `read` shows, each to its argument.
    pub fn read_by(read: &'a ReadHeaders<'a>) -> InputHeaders<'a> {
        InputHeaders { read: Some(read), trace: None }
    }

    /// The same of a record that belongs to a trace: what comes of it names this as its cause.
    pub fn with_trace(self, trace: Option<TraceContext>) -> InputHeaders<'a> {
        InputHeaders { trace, ..self }
    }

    /// The trace that the record belongs to, and its own span in it.
    pub fn trace(&self) -> Option<TraceContext> {
        self.trace
    }

    /// Shows each.
    pub fn each(&self, see: &mut dyn FnMut(&str, &[u8])) {
        if let Some(read) = self.read {
            read(see);
        }
    }
}

// By hand: headers may hold anything.
impl fmt::Debug for InputHeaders<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputHeaders").finish_non_exhaustive()
    }
}

/// What the registry said of a schema id that a stage asked for.
#[derive(Debug, Clone)]
pub enum SchemaLookup {
    /// The schema's text.
    Found(String),
    /// The registry answered that it has no such id.
    NotFound,
}

/// What can happen to a stage. A closed list: the whole input of the state machine.
#[derive(Debug)]
pub enum Input<'a> {
    /// The topology, before anything else and again whenever it changes: partition counts of the input topics in their
    /// order, and of the output topics in theirs (`None`: not known).
    Topology {
        /// Partition counts of the inputs.
        inputs: &'a [i32],
        /// Partition counts of the outputs.
        outputs: &'a [Option<i32>],
    },
    /// Every raw topic with its partition count: the set of event-time sources. For the community stage, before
    /// `Assigned` and again whenever it changes.
    Sources(&'a [(String, i32)]),
    /// The partitions are owned from now on. `position` is the committed offset, or where reading starts without one.
    /// For a stage with a changelog, `Restore`s and one `Restored` per partition number follow before any `Record`.
    Assigned(&'a [(InputPartition, Position)]),
    /// One changelog entry of a partition, in offset order; a null value removes the entry.
    Restore {
        /// The partition number.
        partition: i32,
        /// The entry's key.
        key: &'a [u8],
        /// The entry's value.
        value: Option<&'a [u8]>,
    },
    /// The changelog of the partition number was read to its end.
    Restored {
        /// The partition number.
        partition: i32,
    },
    /// Wall-clock time goes on. Before each batch of records, and at least once a second.
    Clock(EpochMs),
    /// A record to be processed.
    Record(InputRecord<'a>),
    /// The end of the partition was reached: the next record to come has this offset.
    EndOfPartition(InputPartition, Position),
    /// There is more to read from these partitions again than their last ends; comes before any record of the next batch.
    MoreToRead(&'a [InputPartition]),
    /// The answer to [`Step::NeedsSchema`].
    Schema {
        /// The id that was asked for.
        id: u32,
        /// What the registry said.
        lookup: SchemaLookup,
    },
    /// A commit follows: emit what is due (panes, markers, changelog entries). Given again for as long as the answer is
    /// [`Step::More`], and nothing else in between.
    Flush,
    /// The partitions go to another owner; what they did is committed. Forget them.
    Revoked(&'a [InputPartition]),
    /// The partitions are gone, or nothing in memory may be trusted any more. Forget them; nothing is to be emitted.
    Lost(&'a [InputPartition]),
}

/// What a step came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The input was taken in.
    Done,
    /// The record was not taken in: it must be given again, unchanged, after [`Input::Schema`] for this id.
    NeedsSchema(u32),
    /// Of [`Input::Flush`]: there is more to emit once these outputs are taken.
    More,
}

/// Why a stage cannot go on at all: the process must stop and say so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stop {
    /// The changelog is from a newer version, or damaged.
    #[error("changelog partition {partition} cannot be restored: {detail}")]
    Changelog {
        /// The partition number.
        partition: i32,
        /// What is wrong with it.
        detail: String,
    },
    /// The topics have other partitions than the state is kept by.
    #[error("{0}")]
    Partitions(String),
    /// A promise of this program to itself is broken.
    #[error("invariant broken: {0}")]
    Invariant(String),
}

/// When something came in of which the outcome is emitted: what the owner needs to tell how long it took, once it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LatencySample {
    /// The Kafka time of the raw record.
    pub since: EpochMs,
    /// How many measurements it stands for.
    pub weight: u32,
}

/// A state machine over [`Input`]. It reads no clock and does no I/O.
pub trait Stage {
    /// Takes in one input and appends what it gives rise to.
    ///
    /// # Errors
    /// Only what must stop the process; a bad record is a dead letter among the outputs.
    fn step(&mut self, input: Input<'_>, outputs: &mut Outputs) -> Result<Step, Stop>;

    /// The position that the changelog records for an input partition, once restored; `None` without a changelog.
    fn recorded_position(&self, partition: InputPartition) -> Option<Position>;

    /// Shows the ledger of each partition that is owned.
    fn ledgers(&self, see: &mut dyn FnMut(InputPartition, &Ledger));

    /// Shows samples of what was emitted since it was asked last, a bounded number, and forgets them. To be asked when a commit
    /// has succeeded: until then nobody can read what they are of. What is lost before takes its samples with it.
    fn take_latency_samples(&mut self, see: &mut dyn FnMut(LatencySample));
}

/// One record to be produced, as ranges of [`Outputs`]' bytes.
#[derive(Debug, Clone)]
struct OutputSpan {
    output: usize,
    partition: Option<i32>,
    timestamp: Option<EpochMs>,
    key: Option<(usize, usize)>,
    value: Option<(usize, usize)>,
    headers: (usize, usize),
}

/// One record to be produced.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OutputRecord<'a> {
    /// The topic's place in the stage's list of outputs.
    pub output: usize,
    /// The partition, where the stage decides it; else Kafka's partitioner does by the key.
    pub partition: Option<i32>,
    /// The record's time; without one, the time of producing.
    pub timestamp: Option<EpochMs>,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    headers: &'a [HeaderSpan],
    bytes: &'a [u8],
}

impl<'a> OutputRecord<'a> {
    /// The headers, in order.
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let bytes = self.bytes;
        self.headers.iter().map(move |&HeaderSpan { start, name_end, end }| {
            // It was written from a string.
            (std::str::from_utf8(&bytes[start..name_end]).unwrap_or_default(), &bytes[name_end..end])
        })
    }
}

impl fmt::Debug for OutputRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputRecord")
            .field("output", &self.output)
            .field("partition", &self.partition)
            .field("key_bytes", &self.key.map(<[u8]>::len))
            .field("value_bytes", &self.value.map(<[u8]>::len))
            .finish_non_exhaustive()
    }
}

/// What a step gives rise to, in order, in one buffer that is reused: no allocation per record once it has grown.
///
/// ```
/// use record::stage::Outputs;
/// let mut outputs = Outputs::default();
/// outputs.push(2).key(b"a").value(b"1").header("sinyal.stage", b"classify");
/// outputs.push(0).key(b"b"); // no value: a tombstone
/// let records: Vec<_> = outputs.records().collect();
/// assert_eq!((records[0].output, records[0].key, records[0].value), (2, Some(&b"a"[..]), Some(&b"1"[..])));
/// assert_eq!(records[0].headers().next(), Some(("sinyal.stage", &b"classify"[..])));
/// assert_eq!(records[1].value, None);
/// ```
#[derive(Debug, Default)]
pub struct Outputs {
    bytes: Vec<u8>,
    spans: Vec<OutputSpan>,
    headers: Vec<HeaderSpan>,
}

/// A header's name, then its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct HeaderSpan {
    start: usize,
    name_end: usize,
    end: usize,
}

impl Outputs {
    /// Begins a record for the output topic at this place of the stage's list. What the returned writer is told before
    /// the next `push` belongs to this record.
    pub fn push(&mut self, output: usize) -> OutputWriter<'_> {
        let headers = self.headers.len();
        self.spans.push(OutputSpan {
            output,
            partition: None,
            timestamp: None,
            key: None,
            value: None,
            headers: (headers, headers),
        });
        OutputWriter { outputs: self }
    }

    /// Goes on with the record begun last, if there is one.
    pub fn last(&mut self) -> Option<OutputWriter<'_>> {
        (!self.spans.is_empty()).then_some(OutputWriter { outputs: self })
    }

    /// Takes back the record begun last; for an encoder that found the record too large to go out.
    pub fn pop(&mut self) {
        if let Some(span) = self.spans.pop() {
            self.headers.truncate(span.headers.0);
        }
    }

    /// The records, in order.
    pub fn records(&self) -> impl ExactSizeIterator<Item = OutputRecord<'_>> {
        self.spans.iter().map(|span| OutputRecord {
            output: span.output,
            partition: span.partition,
            timestamp: span.timestamp,
            key: span.key.map(|(start, end)| &self.bytes[start..end]),
            value: span.value.map(|(start, end)| &self.bytes[start..end]),
            headers: &self.headers[span.headers.0..span.headers.1],
            bytes: &self.bytes,
        })
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// True when there is none.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of keys, values and headers held.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.headers.clear();
    }
}

/// Fills in the record that [`Outputs::push`] began.
#[derive(Debug)]
pub struct OutputWriter<'a> {
    outputs: &'a mut Outputs,
}

impl OutputWriter<'_> {
    fn span(&mut self) -> &mut OutputSpan {
        let last = self.outputs.spans.len() - 1;
        &mut self.outputs.spans[last]
    }

    /// Names the partition.
    pub fn partition(mut self, partition: i32) -> Self {
        self.span().partition = Some(partition);
        self
    }

    /// Sets the record's time.
    pub fn timestamp(mut self, timestamp: EpochMs) -> Self {
        self.span().timestamp = Some(timestamp);
        self
    }

    /// Sets the key.
    pub fn key(self, key: &[u8]) -> Self {
        self.key_with(|bytes| bytes.extend_from_slice(key))
    }

    /// Sets the key to what `write` appends.
    pub fn key_with(mut self, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let start = self.outputs.bytes.len();
        write(&mut self.outputs.bytes);
        let end = self.outputs.bytes.len();
        self.span().key = Some((start, end));
        self
    }

    /// Sets the value.
    pub fn value(self, value: &[u8]) -> Self {
        self.value_with(|bytes| bytes.extend_from_slice(value))
    }

    /// Sets the value to what `write` appends.
    pub fn value_with(mut self, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let start = self.outputs.bytes.len();
        write(&mut self.outputs.bytes);
        let end = self.outputs.bytes.len();
        self.span().value = Some((start, end));
        self
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &[u8]) -> Self {
        let start = self.outputs.bytes.len();
        self.outputs.bytes.extend_from_slice(name.as_bytes());
        let name_end = self.outputs.bytes.len();
        self.outputs.bytes.extend_from_slice(value);
        let end = self.outputs.bytes.len();
        self.outputs.headers.push(HeaderSpan { start, name_end, end });
        self.span().headers.1 += 1;
        self
    }
}
