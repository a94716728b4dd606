//! A member of a group that decides itself from where it reads: for a role that has no stage, and keeps what it did elsewhere
//! than in the group's positions.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};
use record::{Position, TraceContext};

use crate::client::{Context, is_unauthorized, is_unreachable, lacks_token};
use crate::fences::{Fences, GROUP_INSTANCE_ID, OUTAGE_REMEMBERED};
use crate::owner::{close_beside, commit_until};
use crate::queue::{Event, EventQueue};
use crate::{Connection, OwnerError};

/// How long brokers may take for an answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long brokers may take to say that they are there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition's number.
    pub partition: i32,
}

/// What a subscription needs to know.
#[derive(Debug, Clone)]
pub struct SubscriptionSettings {
    /// Where Kafka is.
    pub connection: Connection,
    /// The consumer group.
    pub group_id: String,
    /// The member's lasting name, for static membership.
    pub group_instance_id: Option<String>,
    /// What is read.
    pub topics: Vec<String>,
    /// After this time without a heartbeat the group goes on without this member, in milliseconds.
    pub session_timeout_ms: u32,
    /// What may be prefetched, in bytes.
    pub prefetch_bytes: usize,
}

/// A record with what is needed of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// Where it was.
    pub place: Place,
    /// Its offset.
    pub offset: Position,
    /// Its Kafka time, in epoch milliseconds.
    pub timestamp: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Which trace it belongs to, if that was to be read and a header says so.
    pub trace: Option<TraceContext>,
}

/// What a subscription hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A committed record, in the order of its partition.
    Record(Received),
    /// Everything committed of a partition was read.
    End {
        /// Which partition.
        place: Place,
        /// The offset that will be read next: beyond the last record there may be markers of transactions.
        next: Position,
    },
    /// These partitions are ours, all that are: [`Subscription::read_from`] answers.
    Assigned(Vec<Place>),
    /// What was to be read next of a partition is not there any more; it goes on with the first record that is.
    Lost {
        /// Which partition.
        place: Place,
        /// See [`Standing::lost`].
        records: u64,
    },
    /// All partitions go: [`Subscription::let_go`] answers, after a commit of what is done. If they were lost, they are others'
    /// already.
    Revoked {
        /// True if it is too late for a commit.
        lost: bool,
    },
}

/// Where a partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub place: Place,
    /// What the group committed, if it did.
    pub committed: Option<Position>,
    /// The first offset that is there.
    pub first: Position,
    /// The next offset that will be written.
    pub next: Position,
}

impl Standing {
    /// How many offsets lie between what the group committed and what is there: records that were deleted before they were read, or,
    /// where the log ends before that position, what it lost of what was there.
    pub fn lost(&self) -> u64 {
        self.committed.map_or(0, |committed| gap(committed, self.first, self.next))
    }
}

fn gap(position: Position, first: Position, next: Position) -> u64 {
    u64::try_from((first - position).max(position - next)).unwrap_or(0)
}

/// A member of a group. One thread polls it.
pub struct Subscription {
    settings: SubscriptionSettings,
    // Dropped before the consumer: it belongs to it.
    events: EventQueue,
    consumer: Arc<BaseConsumer<Context>>,
    /// What is read, and the next offset of each.
    reading: BTreeMap<Place, Position>,
    paused: BTreeSet<Place>,
    /// Some position is not there any more.
    is_out_of_range: bool,
    heard: VecDeque<Heard>,
    reads_traces: bool,
    expelled: Fences,
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("reading", &self.reading).finish_non_exhaustive()
    }
}

impl Subscription {
    /// Joins the group; partitions come with [`Subscription::poll`].
    ///
    /// # Errors
    /// If the properties are wrong.
    pub fn open(settings: &SubscriptionSettings) -> Result<Subscription, OwnerError> {
        let consumer = Arc::new(join(settings)?);
        Ok(Subscription {
            settings: settings.clone(),
            events: EventQueue::new(Arc::clone(&consumer)),
            consumer,
            reading: BTreeMap::new(),
            paused: BTreeSet::new(),
            is_out_of_range: false,
            heard: VecDeque::new(),
            reads_traces: false,
            expelled: Fences::default(),
        })
    }

    /// From now on, looks into headers for which trace a record belongs to.
    pub fn read_traces(&mut self) {
        self.reads_traces = true;
    }

    /// What happens next, if something does within `timeout`.
    ///
    /// # Errors
    /// What must stop the process: a namesake in the group, a refusal by the brokers. Being without a broker is no error.
    pub fn poll(&mut self, timeout: Duration) -> Result<Option<Heard>, OwnerError> {
        if let Some(heard) = self.heard.pop_front() {
            return Ok(Some(heard));
        }
        let Subscription { events, consumer, reading, paused, heard, reads_traces, is_out_of_range, .. } = self;
        let mut trouble = None;
        events.poll(timeout, &mut |event| match event {
            Event::Message(message) => {
                let place = Place { topic: message.topic.to_owned(), partition: message.partition };
                if paused.contains(&place) {
                    return;
                }
                // What was fetched before a partition went, or before its position was set anew, is not to be shown.
                let Some(position) = reading.get_mut(&place).filter(|position| message.offset >= **position) else {
                    return;
                };
                *position = message.offset + 1;
                heard.push_back(Heard::Record(Received {
                    place,
                    offset: message.offset,
                    timestamp: message.timestamp,
                    key: message.key.map(<[u8]>::to_vec),
                    value: message.value.map(<[u8]>::to_vec),
                    trace: reads_traces.then(|| message.headers.trace()).flatten(),
                }));
            }
            Event::End { topic, partition, offset } => {
                let place = Place { topic: topic.to_owned(), partition };
                // What is paused was not read to its end.
                if let Some(position) = reading.get_mut(&place).filter(|_| !paused.contains(&place)) {
                    *position = (*position).max(offset);
                    let next = *position;
                    heard.push_back(Heard::End { place, next });
                }
            }
            Event::Assign(partitions) => heard.push_back(Heard::Assigned(places(partitions))),
            Event::Revoke(_) => heard.push_back(Heard::Revoked { lost: consumer.assignment_lost() }),
            Event::Error { code: RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange, .. } => {
                // Of partitions that went meanwhile it says nothing any more.
                *is_out_of_range = !reading.is_empty();
            }
            Event::Error { code, reason, topic } => {
                trouble = judge(code, reason, topic.as_deref(), consumer).or(trouble.take());
            }
        });
        match trouble {
            Some(OwnerError::Fenced { id, detail }) => self.rejoin(id, detail)?,
            Some(error) => return Err(error),
            None => {}
        }
        if self.is_out_of_range {
            match self.pass_over() {
                Ok(()) => self.is_out_of_range = false,
                Err(detail) => {
                    tracing::warn!(group = self.settings.group_id, detail, "a gap cannot be passed over yet")
                }
            }
        }
        Ok(self.heard.pop_front())
    }

    /// Goes on where something is, in partitions of which the next record is not there any more, and tells how much is gone.
    fn pass_over(&mut self) -> Result<(), String> {
        let (mut positions, mut lost) = (self.reading.clone(), Vec::new());
        for (place, position) in &mut positions {
            let watermarks = self.consumer.fetch_watermarks(&place.topic, place.partition, ASK_TIMEOUT);
            let (first, next) = watermarks.map_err(|error| error.to_string())?;
            let records = gap(*position, first, next);
            if records > 0 {
                *position = first;
                lost.push(Heard::Lost { place: place.clone(), records });
            }
        }
        self.reading = positions;
        let list = self.positions(&self.reading.keys().cloned().collect::<Vec<_>>())?;
        self.consumer.assign(&list).map_err(|error| error.to_string())?;
        let paused = self.positions(&self.paused.iter().cloned().collect::<Vec<_>>())?;
        self.consumer.pause(&paused).map_err(|error| error.to_string())?;
        self.heard.extend(lost);
        Ok(())
    }

    /// Joins the group again after it took this member for replaced, with a new consumer; partitions come anew. That may be by what
    /// the client sent itself before brokers were away, or by a coordinator that took the group over; or somebody else is at work
    /// with our id, and does it again.
    fn rejoin(&mut self, id: String, detail: String) -> Result<(), OwnerError> {
        if self.expelled.is_namesake(self.consumer.client().context().was_unreachable(OUTAGE_REMEMBERED)) {
            return Err(OwnerError::Fenced { id, detail });
        }
        tracing::warn!(group = self.settings.group_id, detail, "joining the group again with a new consumer");
        let consumer = Arc::new(join(&self.settings)?);
        consumer.client().context().remember_outage_of(self.consumer.client().context());
        self.events = EventQueue::new(Arc::clone(&consumer));
        close_beside(std::mem::replace(&mut self.consumer, consumer));
        self.heard.clear();
        self.heard.push_back(Heard::Revoked { lost: true });
        Ok(())
    }

    /// Whether the client is of no use any more: the next [`Subscription::poll`] joins again, or says why it cannot.
    pub fn is_done_for(&self) -> bool {
        self.consumer.client().fatal_error().is_some()
    }

    /// How these partitions stand.
    ///
    /// # Errors
    /// If the brokers do not tell.
    pub fn standing(&self, places: &[Place]) -> Result<Vec<Standing>, String> {
        let mut list = TopicPartitionList::new();
        for place in places {
            list.add_partition(&place.topic, place.partition);
        }
        let committed = self.consumer.committed_offsets(list, ASK_TIMEOUT).map_err(|error| error.to_string())?;
        let mut standing = Vec::new();
        for element in committed.elements() {
            element.error().map_err(|error| error.to_string())?;
            let place = Place { topic: element.topic().to_owned(), partition: element.partition() };
            let (first, next) = self
                .consumer
                .fetch_watermarks(&place.topic, place.partition, ASK_TIMEOUT)
                .map_err(|error| error.to_string())?;
            let committed = match element.offset() {
                Offset::Offset(offset) => Some(offset),
                _ => None,
            };
            standing.push(Standing { place, committed, first, next });
        }
        Ok(standing)
    }

    /// The end of each partition that is read, markers of transactions included, as the last fetch told; nothing is asked.
    pub fn ends(&self) -> Vec<(Place, Position)> {
        let end =
            |place: &Place| Some((place.clone(), self.events.cached_watermarks(&place.topic, place.partition)?.1));
        self.reading.keys().filter_map(end).collect()
    }

    /// Reads these partitions from these offsets on, and no other.
    ///
    /// # Errors
    /// If the client refuses.
    pub fn read_from(&mut self, positions: &[(Place, Position)]) -> Result<(), String> {
        let mut list = TopicPartitionList::new();
        for (place, position) in positions {
            list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*position))
                .map_err(|error| error.to_string())?;
        }
        // What was heard of before is read again.
        self.heard.retain(|heard| matches!(heard, Heard::Assigned(_) | Heard::Revoked { .. }));
        self.consumer.assign(&list).map_err(|error| error.to_string())?;
        // A partition may stay paused over an assignment (librdkafka #5591).
        self.consumer.resume(&list).map_err(|error| error.to_string())?;
        self.paused.clear();
        self.is_out_of_range = false;
        self.reading = positions.iter().cloned().collect();
        Ok(())
    }

    /// Hears no more of these partitions until [`Subscription::resume`].
    ///
    /// # Errors
    /// If the client refuses.
    pub fn pause(&mut self, places: &[Place]) -> Result<(), String> {
        self.consumer.pause(&self.positions(places)?).map_err(|error| error.to_string())?;
        self.paused.extend(places.iter().cloned());
        Ok(())
    }

    /// Goes on with them where they were paused.
    ///
    /// # Errors
    /// If the client refuses; they are paused still.
    pub fn resume(&mut self, places: &[Place]) -> Result<(), String> {
        let list = self.positions(places)?;
        // What came after the last record that was heard is to be heard, whatever the client had handed out when it was paused.
        let sought = self.consumer.seek_partitions(list.clone(), ASK_TIMEOUT).map_err(|error| error.to_string())?;
        for element in sought.elements() {
            element.error().map_err(|error| error.to_string())?;
        }
        self.consumer.resume(&list).map_err(|error| error.to_string())?;
        places.iter().for_each(|place| {
            self.paused.remove(place);
        });
        Ok(())
    }

    /// Those of the partitions that are read, with the offsets that come next.
    fn positions(&self, places: &[Place]) -> Result<TopicPartitionList, String> {
        let mut list = TopicPartitionList::new();
        for (place, position) in places.iter().filter_map(|place| self.reading.get_key_value(place)) {
            list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*position))
                .map_err(|error| error.to_string())?;
        }
        Ok(list)
    }

    /// Answers a revocation.
    ///
    /// # Errors
    /// If the client refuses.
    pub fn let_go(&mut self) -> Result<(), String> {
        self.reading.clear();
        self.paused.clear();
        self.is_out_of_range = false;
        self.heard.retain(|heard| matches!(heard, Heard::Assigned(_) | Heard::Revoked { .. }));
        self.consumer.unassign().map_err(|error| error.to_string())
    }

    /// Commits positions: the next offset to read of each; with `wait` only once the brokers have them.
    ///
    /// # Errors
    /// If they do not take it.
    pub fn commit(&self, positions: &[(Place, Position)], wait: bool) -> Result<(), String> {
        if positions.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        for (place, position) in positions {
            list.add_partition_offset(&place.topic, place.partition, Offset::Offset(*position))
                .map_err(|error| error.to_string())?;
        }
        let committed = if wait {
            commit_until(&self.consumer, &list, Instant::now() + ASK_TIMEOUT)
        } else {
            self.consumer.commit(&list, CommitMode::Async)
        };
        committed.map_err(|error| error.to_string())
    }

    /// Leaves the group, in bounded time: the consumer's drop may hang (rust-rdkafka #453), and nothing depends on it.
    pub fn close(self) {
        let Subscription { events, consumer, .. } = self;
        drop(events);
        let _ = close_beside(consumer).recv_timeout(Duration::from_secs(5));
    }

    /// False if a broker could not be reached within the last while, and none answers now.
    pub fn reaches_brokers(&self, within: Duration) -> bool {
        // That one of several is away is told too, and does no harm.
        !self.consumer.client().context().was_unreachable(within)
            || self.consumer.fetch_metadata(None, PROBE_TIMEOUT).is_ok()
    }
}

/// A consumer that joins the group.
fn join(settings: &SubscriptionSettings) -> Result<BaseConsumer<Context>, OwnerError> {
    let kbytes = (settings.prefetch_bytes / 1_024).max(64).to_string();
    let fetch_bytes = settings.prefetch_bytes.clamp(65_536, 1_048_576).to_string();
    let session_timeout = settings.session_timeout_ms.to_string();
    let mut ours = vec![
        ("group.id", settings.group_id.as_str()),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("isolation.level", "read_committed"),
        // A position that is gone is a gap to be counted, not a place to jump from.
        ("auto.offset.reset", "error"),
        ("queued.max.messages.kbytes", &kbytes),
        ("fetch.message.max.bytes", &fetch_bytes),
        ("fetch.wait.max.ms", "100"),
        ("fetch.queue.backoff.ms", "10"),
        ("session.timeout.ms", &session_timeout),
        ("topic.metadata.refresh.interval.ms", "30000"),
        ("max.poll.interval.ms", "300000"),
        ("partition.assignment.strategy", "range"),
    ];
    if let Some(instance) = &settings.group_instance_id {
        ours.push(("group.instance.id", instance));
    }
    let wrong = |error: KafkaError| OwnerError::Config(error.to_string());
    let context = Context::new("subscription").of_group(&settings.group_id);
    let consumer: BaseConsumer<Context> =
        settings.connection.config(&ours).create_with_context(context).map_err(wrong)?;
    let topics: Vec<&str> = settings.topics.iter().map(String::as_str).collect();
    consumer.subscribe(&topics).map_err(wrong)?;
    Ok(consumer)
}

fn places(partitions: Vec<(String, i32)>) -> Vec<Place> {
    partitions.into_iter().map(|(topic, partition)| Place { topic, partition }).collect()
}

/// What must stop the process, if this does.
fn judge(
    code: RDKafkaErrorCode,
    reason: String,
    topic: Option<&str>,
    consumer: &BaseConsumer<Context>,
) -> Option<OwnerError> {
    if is_unreachable(Some(code)) {
        consumer.client().context().note_outage();
    }
    // What is fatal to the client is so from then on, whatever it tells of afterwards.
    let fatal = consumer.client().fatal_error();
    let is_fatal = fatal.is_some();
    let (code, reason) = fatal.unwrap_or((code, reason));
    match code {
        code if lacks_token(code, &reason) => None,
        code if is_unauthorized(code) => {
            Some(OwnerError::Unauthorized(consumer.client().context().refusal(code, &reason, topic)))
        }
        RDKafkaErrorCode::FencedInstanceId => {
            Some(OwnerError::Fenced { id: GROUP_INSTANCE_ID.to_owned(), detail: reason })
        }
        code if is_fatal => Some(OwnerError::Fatal(format!("the consumer cannot go on: {code}: {reason}"))),
        _ => None,
    }
}
