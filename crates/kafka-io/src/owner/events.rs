//! What each event of the queue comes to: records into the stage, outputs into the producer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use record::stage::{Input, InputPartition, InputRecord, Outputs, Stage, Step};

use super::producer::StageProducer;
use super::{COMPLAIN_EVERY, Hooks, Owned, OwnerConfig, OwnerError, OwnerState, Rebalance, Trouble, Turn, WaitReason};
use crate::client::{Shutdown, is_unauthorized, is_unreachable};
use crate::queue::Message;

pub(super) fn partition_of(config: &OwnerConfig, topic: &str, partition: i32) -> Option<InputPartition> {
    let input = config.inputs.iter().position(|name| name == topic)?;
    Some(InputPartition { input, partition })
}

pub(super) fn take_message<'a, S: Stage>(
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
pub(super) fn resolve<'a, S: Stage, H: Hooks<S>>(
    mut id: u32,
    message: Message<'a>,
    config: &OwnerConfig,
    owned: &mut BTreeMap<InputPartition, Owned>,
    stage: &mut S,
    outputs: &mut Outputs,
    hooks: &mut H,
    turn: &mut Turn,
    producer: &mut Option<StageProducer>,
    shutdown: &Shutdown,
) -> Result<(), Trouble> {
    let mut last_complaint: Option<Instant> = None;
    let mut pause = Duration::from_millis(100);
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
                    None => {
                        turn.state = OwnerState::Running;
                        return Ok(());
                    }
                    Some((other, _)) => id = other,
                }
            }
            Err(detail) => {
                if last_complaint.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
                    tracing::warn!(detail, schema_id = id, "waiting for the registry; trying again");
                    last_complaint = Some(Instant::now());
                }
                turn.state = OwnerState::Waiting(WaitReason::Registry(detail.clone()));
                hooks.turned(stage, turn);
                turn.step_seconds.clear();
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

pub(super) fn send_all(outputs: &mut Outputs, producer: &mut Option<StageProducer>) -> Result<(), Trouble> {
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

pub(super) fn judge_error(
    code: RDKafkaErrorCode,
    reason: &str,
    rebalances: &mut Vec<Rebalance>,
) -> Result<(), Trouble> {
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
