//! What each event of the queue comes to: records into the stage, outputs into the producer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage, Step};

use super::faults::fault_point;
use super::producer::StageProducer;
use super::{
    COMPLAIN_EVERY, Hooks, Owned, Owner, OwnerConfig, OwnerError, OwnerState, Rebalance, TracedRecord, Trouble,
    WaitReason,
};
use crate::client::{Context, is_unauthorized, is_unreachable, lacks_token};
use crate::queue::{Message, MessageHeaders};

pub(super) fn partition_of(config: &OwnerConfig, topic: &str, partition: i32) -> Option<InputPartition> {
    let input = config.inputs.iter().position(|name| name == topic)?;
    Some(InputPartition { input, partition })
}

/// A message that outlives its event.
pub(super) struct KeptMessage {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
}

impl KeptMessage {
    fn of(message: &Message<'_>) -> KeptMessage {
        let mut headers = Vec::new();
        message.headers.each(&mut |name, value| headers.push((name.to_owned(), value.to_vec())));
        KeptMessage {
            topic: message.topic.to_owned(),
            partition: message.partition,
            offset: message.offset,
            timestamp: message.timestamp,
            key: message.key.map(<[u8]>::to_vec),
            value: message.value.map(<[u8]>::to_vec),
            headers,
        }
    }
}

pub(super) fn take_message<S: Stage, H: Hooks<S>>(
    message: Message<'_>,
    config: &OwnerConfig,
    hooks: &mut H,
    owned: &mut BTreeMap<InputPartition, Owned>,
    stage: &mut S,
    outputs: &mut Outputs,
    blocked: &mut Option<(u32, KeptMessage)>,
) -> Result<(), Trouble> {
    let Some(at) = partition_of(config, message.topic, message.partition) else { return Ok(()) };
    // What was fetched before a partition went, or before its position was set anew, is not ours to process.
    let Some(place) = owned.get_mut(&at).filter(|owned| message.offset >= owned.position) else { return Ok(()) };
    let headers = |see: &mut dyn FnMut(&str, &[u8])| message.headers.each(see);
    let trace = hooks.tracer().and_then(|tracer| tracer.begin(message.headers.trace()));
    let record = InputRecord {
        from: at,
        offset: message.offset,
        timestamp: message.timestamp,
        key: message.key,
        value: message.value,
        headers: InputHeaders::read_by(&headers).with_trace(trace),
    };
    match stage.step(Input::Record(record), outputs)? {
        Step::NeedsSchema(id) => *blocked = Some((id, KeptMessage::of(&message))),
        Step::Done | Step::More => {
            place.position = message.offset + 1;
            place.given += 1;
            if trace.is_some_and(|trace| trace.sampled)
                && let Some(tracer) = hooks.tracer()
            {
                let Message { topic, partition, offset, timestamp, .. } = message;
                tracer.taken(TracedRecord { topic, partition, offset, timestamp });
            }
        }
    }
    Ok(())
}

impl<S: Stage, H: Hooks<S>> Owner<S, H> {
    /// Asks the registry until it answers, then gives the record again. While it is away, nothing is left uncommitted.
    pub(super) fn resolve(&mut self, mut id: u32, record: &KeptMessage) -> Result<(), Trouble> {
        let mut last_complaint: Option<Instant> = None;
        let mut pause = Duration::from_millis(100);
        let started = Instant::now();
        while !self.shutdown.is_requested() {
            let detail = match self.hooks.schema(id) {
                Ok(lookup) => {
                    self.step(Input::Schema { id, lookup })?;
                    match self.give_again(record)? {
                        None => {
                            self.turn.state = OwnerState::Running;
                            return Ok(());
                        }
                        Some(other) => id = other,
                    }
                    continue;
                }
                Err(detail) => detail,
            };
            if last_complaint.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
                tracing::warn!(detail, schema_id = id, "waiting for the registry; trying again");
                if last_complaint.is_none() {
                    // A transaction that stays open would be ended by the broker.
                    self.commit()?;
                }
                last_complaint = Some(Instant::now());
            }
            self.turn.state = OwnerState::Waiting(WaitReason::Registry(detail.clone()));
            self.tell(true);
            // The group waits for us to answer a rebalance, which is heard of in a reset.
            if started.elapsed() > REGISTRY_PATIENCE {
                return Err(Trouble::Reset(format!("the registry does not answer: {detail}")));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        // It is not taken in, and what follows it must not be either.
        self.unfinished = true;
        Ok(())
    }

    /// Gives a kept record to the stage; the id of the schema that it still needs, if it does.
    fn give_again(&mut self, record: &KeptMessage) -> Result<Option<u32>, Trouble> {
        let headers = |see: &mut dyn FnMut(&str, &[u8])| {
            record.headers.iter().for_each(|(name, value)| see(name, value));
        };
        let message = Message {
            topic: &record.topic,
            partition: record.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: MessageHeaders::Kept(&headers),
        };
        let mut blocked = None;
        let Owner { config, hooks, owned, stage, outputs, producer, .. } = self;
        take_message(message, config, hooks, owned, stage, outputs, &mut blocked)?;
        send_all(outputs, producer)?;
        Ok(blocked.map(|(id, _)| id))
    }
}

/// How long the registry may be away before everything is read anew.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn send_all(outputs: &mut Outputs, producer: &mut Option<StageProducer>) -> Result<(), Trouble> {
    if outputs.is_empty() {
        return Ok(());
    }
    let Some(producer) = producer else {
        outputs.clear();
        return Err(Trouble::Reset("no producer".to_owned()));
    };
    fault_point!("outputs.sent");
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

pub(super) fn judge_error(
    code: RDKafkaErrorCode,
    reason: &str,
    topic: Option<&str>,
    consumer: &BaseConsumer<Context>,
    rebalances: &mut Vec<Rebalance>,
) -> Result<(), Trouble> {
    if is_unreachable(Some(code)) {
        consumer.client().context().note_outage();
    }
    // What is fatal to the client is so from then on, whatever it tells of afterwards.
    let fatal = consumer.client().fatal_error();
    let is_fatal = fatal.is_some();
    let (code, reason) = fatal.unwrap_or_else(|| (code, reason.to_owned()));
    match code {
        RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange => {
            rebalances.push(Rebalance::OutOfRange)
        }
        code if lacks_token(code, &reason) => {}
        code if is_unauthorized(code) => {
            let refusal = consumer.client().context().refusal(code, &reason, topic);
            return Err(Trouble::Stop(OwnerError::Unauthorized(refusal)));
        }
        // Whether by a namesake, shows when this member joins again.
        RDKafkaErrorCode::FencedInstanceId => rebalances.push(Rebalance::Expelled(reason)),
        code if is_fatal => {
            return Err(Trouble::Stop(OwnerError::Fatal(format!("the consumer cannot go on: {code}: {reason}"))));
        }
        // The client tries again by itself, and says so through its context.
        code if is_unreachable(Some(code)) => {}
        _ => tracing::debug!(?code, reason, "consumer reports an error"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use record::stage::{LatencySample, SchemaLookup, Stop};
    use record::{Ledger, Position, TRACEPARENT, TraceContext};

    use super::super::settings::tests::config;
    use super::super::{Tracer, Turn};
    use super::*;
    use crate::queue::ShowHeaders;

    /// Keeps the contexts of what it was given.
    #[derive(Default)]
    struct Given(Vec<Option<TraceContext>>);

    impl Stage for Given {
        fn step(&mut self, input: Input<'_>, _: &mut Outputs) -> Result<Step, Stop> {
            if let Input::Record(record) = input {
                self.0.push(record.headers.trace());
            }
            Ok(Step::Done)
        }

        fn recorded_position(&self, _: InputPartition) -> Option<Position> {
            None
        }

        fn ledgers(&self, _: &mut dyn FnMut(InputPartition, &Ledger)) {}

        fn take_latency_samples(&mut self, _: &mut dyn FnMut(LatencySample)) {}
    }

    struct Untraced;

    impl Hooks<Given> for Untraced {
        fn schema(&mut self, _: u32) -> Result<SchemaLookup, String> {
            Ok(SchemaLookup::NotFound)
        }

        fn turned(&mut self, _: &Given, _: &Turn) {}
    }

    /// Traces all that it is told of, as it is told, and counts.
    #[derive(Default)]
    struct Traced(usize);

    impl Hooks<Given> for Traced {
        fn schema(&mut self, _: u32) -> Result<SchemaLookup, String> {
            Ok(SchemaLookup::NotFound)
        }

        fn turned(&mut self, _: &Given, _: &Turn) {}

        fn tracer(&mut self) -> Option<&mut dyn Tracer> {
            Some(self)
        }
    }

    impl Tracer for Traced {
        fn begin(&mut self, parent: Option<TraceContext>) -> Option<TraceContext> {
            parent
        }

        fn taken(&mut self, _: TracedRecord<'_>) {
            self.0 += 1;
        }

        fn committed(&mut self) {}

        fn given_up(&mut self) {}
    }

    fn take<H: Hooks<Given>>(hooks: &mut H, show: &ShowHeaders<'_>) -> Option<TraceContext> {
        let config = config(String::new());
        let at = InputPartition { input: 0, partition: 0 };
        let mut owned = BTreeMap::from([(at, Owned { position: 0, committed: None, end: -1, given: 0 })]);
        let (topic, headers) = ("raw", MessageHeaders::Kept(show));
        let message = Message { topic, partition: 0, offset: 0, timestamp: None, key: None, value: None, headers };
        let (mut stage, mut outputs, mut blocked) = (Given::default(), Outputs::default(), None);
        let taken = take_message(message, &config, hooks, &mut owned, &mut stage, &mut outputs, &mut blocked);
        assert!(taken.is_ok());
        stage.0[0]
    }

    #[test]
    fn where_nothing_is_traced_no_header_is_looked_at() {
        let never = |_: &mut dyn FnMut(&str, &[u8])| unreachable!("nobody asks for headers");
        assert_eq!(take(&mut Untraced, &never), None);
    }

    #[test]
    fn a_context_goes_to_the_stage_and_only_what_is_sampled_is_followed() {
        let context = |sampled| TraceContext { trace_id: [7; 16], span_id: [8; 8], sampled };
        for sampled in [true, false] {
            let show = |see: &mut dyn FnMut(&str, &[u8])| {
                see("other", b"header");
                see(TRACEPARENT, &context(sampled).header());
            };
            let mut hooks = Traced::default();
            assert_eq!(take(&mut hooks, &show), Some(context(sampled)));
            assert_eq!(hooks.0, usize::from(sampled));
        }
        let mut hooks = Traced::default();
        assert_eq!(take(&mut hooks, &|see| see(TRACEPARENT, b"no context")), None);
        assert_eq!(hooks.0, 0);
    }
}
