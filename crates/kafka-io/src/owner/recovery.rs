//! How an owner begins again when nothing in memory is to be trusted.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use record::stage::{Input, InputPartition, Stage};

use super::producer::{ProducerError, StageProducer};
use super::settings::{Delivery, make_consumer};
use super::{
    Hooks, METADATA_TIMEOUT, Owner, OwnerError, OwnerState, RETRY_AFTER, Rebalance, Trouble, WaitReason,
    abandon_beside, close_beside,
};
use crate::admin::Admin;
use crate::fences::{GROUP_INSTANCE_ID, OUTAGE_REMEMBERED};
use crate::queue::EventQueue;

/// Longer than between two heartbeats (`heartbeat.interval.ms`, 3 s), whose answers tell a member that it was replaced.
const FENCED_PAUSE: Duration = Duration::from_secs(4);
/// So often in a row a consumer may fail while a new producer is answered.
const FAILURES_OF_A_CONSUMER: u32 = 2;

impl<S: Stage, H: Hooks<S>> Owner<S, H> {
    pub(super) fn recover(&mut self, trouble: Trouble) -> Result<(), OwnerError> {
        let detail = match trouble {
            Trouble::Stop(error) => return Err(error),
            Trouble::Reset(detail) | Trouble::Unread(detail) => detail,
            Trouble::Expelled(detail) => {
                self.rejoin(&detail)?;
                detail
            }
            Trouble::Fenced(detail) => {
                // A transaction that was open for longer than the broker lets it is ended by the broker, in the same words.
                let expired = self.producer.as_ref().is_some_and(StageProducer::has_expired);
                if !expired && self.fenced.is_namesake(self.had_outage()) {
                    let id = match &self.config.delivery {
                        Delivery::ExactlyOnce { transactional_id, .. } => {
                            format!("transactional id {transactional_id}")
                        }
                        Delivery::AtLeastOnce => "the same name".to_owned(),
                    };
                    return Err(OwnerError::Fenced { id, detail });
                }
                // A namesake has taken our place in the group too: that is to be heard of before a new producer of ours fences
                // its in turn, and both of us stop. `reset` looks.
                self.turn.state = OwnerState::Waiting(WaitReason::Broker(detail.clone()));
                self.wait(FENCED_PAUSE)?;
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
        self.pace.gave_up();
        if let Some(tracer) = self.hooks.tracer() {
            tracer.given_up();
        }
        let mut pending = Some(detail.to_owned());
        let mut failures = 0;
        while let Some(detail) = pending.take() {
            self.turn.state = OwnerState::Waiting(WaitReason::Broker(detail));
            if let Some(told) = self.take_expulsion() {
                self.rejoin(&told)?;
            }
            if let Some(producer) = self.producer.take() {
                self.produced_by_others += producer.produced;
                abandon_beside(producer);
            }
            let partitions: Vec<InputPartition> = self.owned.keys().copied().collect();
            self.outputs.clear();
            self.stage.step(Input::Lost(&partitions), &mut self.outputs)?;
            self.owned.values_mut().for_each(|owned| owned.given = 0);
            self.outputs.clear();
            self.tell(true);
            self.ready_producer()?;
            if self.shutdown.is_requested() {
                self.owned.clear();
                return Ok(());
            }
            if self.consumer.assignment_lost() {
                // The group says which are gone: that is to be heard before positions are asked for.
                self.wait(RETRY_AFTER)?;
            }
            match self.settle_rebalances().and_then(|()| self.take_again()) {
                Ok(()) => {}
                Err(Trouble::Stop(error)) => return Err(error),
                Err(Trouble::Expelled(detail)) => {
                    self.rejoin(&detail)?;
                    pending = Some(detail);
                }
                Err(Trouble::Unread(detail)) => {
                    self.complain(&detail);
                    self.wait(RETRY_AFTER)?;
                    pending = Some(detail);
                }
                Err(Trouble::Reset(detail) | Trouble::Fenced(detail)) => {
                    self.complain(&detail);
                    failures += 1;
                    if failures % FAILURES_OF_A_CONSUMER == 0 && self.is_answered() {
                        // Brokers answer a new client, and not this one: it has lost its way to them.
                        self.renew_consumer(&detail)?;
                    } else {
                        self.wait(RETRY_AFTER)?;
                    }
                    pending = Some(detail);
                }
            }
        }
        Ok(())
    }

    /// Whether brokers answer a new client: a transactional producer has just been made ready; else one asks.
    fn is_answered(&self) -> bool {
        match &self.producer {
            Some(producer) if producer.is_transactional() => true,
            _ => {
                let asked = Admin::new(&self.config.connection, METADATA_TIMEOUT).and_then(|admin| admin.topics());
                asked.is_ok()
            }
        }
    }

    pub(super) fn subscribe(&self) -> Result<(), OwnerError> {
        let inputs: Vec<&str> = self.config.inputs.iter().map(String::as_str).collect();
        self.consumer.subscribe(&inputs).map_err(|error| OwnerError::Config(error.to_string()))
    }

    /// Whether brokers were away lately.
    fn had_outage(&self) -> bool {
        let producer = self.producer.as_ref().is_some_and(|producer| producer.was_unreachable(OUTAGE_REMEMBERED));
        producer || self.consumer.client().context().was_unreachable(OUTAGE_REMEMBERED)
    }

    /// What the group said of a member that it took for replaced, if it did and that is not answered yet.
    fn take_expulsion(&mut self) -> Option<String> {
        let at = self.rebalances.iter().position(|rebalance| matches!(rebalance, Rebalance::Expelled(_)))?;
        match self.rebalances.remove(at) {
            Rebalance::Expelled(told) => Some(told),
            _ => None,
        }
    }

    /// Joins the group again after it took this member for replaced. That may be by what we sent ourselves before the brokers
    /// were away, or by a coordinator that took the group over; or somebody else is at work with our id, and does it again.
    fn rejoin(&mut self, detail: &str) -> Result<(), OwnerError> {
        if self.expelled.is_namesake(self.had_outage()) {
            return Err(OwnerError::Fenced { id: GROUP_INSTANCE_ID.to_owned(), detail: detail.to_owned() });
        }
        self.renew_consumer(detail)
    }

    /// Begins anew with another consumer. Nothing is owned until the group gives it again.
    fn renew_consumer(&mut self, detail: &str) -> Result<(), OwnerError> {
        tracing::warn!(stage = self.config.stage.as_str(), detail, "joining the group again with a new consumer");
        if let Some(tracer) = self.hooks.tracer() {
            tracer.given_up();
        }
        let partitions: Vec<InputPartition> = self.owned.keys().copied().collect();
        self.stage.step(Input::Lost(&partitions), &mut self.outputs)?;
        self.outputs.clear();
        self.owned.clear();
        self.rebalances.clear();
        self.unanswered_assignment = false;
        let consumer = Arc::new(make_consumer(&self.config)?);
        consumer.client().context().remember_outage_of(self.consumer.client().context());
        self.queue = EventQueue::new(Arc::clone(&consumer));
        close_beside(std::mem::replace(&mut self.consumer, consumer));
        self.subscribe()
    }

    /// Makes the producer, however long the brokers let it wait.
    pub(super) fn ready_producer(&mut self) -> Result<(), OwnerError> {
        self.produced_before = 0;
        while !self.shutdown.is_requested() {
            let producer = StageProducer::new(&self.config, &self.calls)?;
            match producer.init(Duration::from_secs(5)) {
                Ok(()) => {
                    self.producer = Some(producer);
                    return Ok(());
                }
                Err(ProducerError::Stop(error)) => return Err(error),
                Err(ProducerError::Reset(detail) | ProducerError::Fenced(detail) | ProducerError::Expelled(detail)) => {
                    // Its threads may be waiting for name servers.
                    abandon_beside(producer);
                    self.complain(&detail);
                    self.turn.state = OwnerState::Waiting(WaitReason::Broker(detail));
                    self.wait(RETRY_AFTER)?;
                }
            }
        }
        Ok(())
    }
}
