//! The worker of one target: reads what it is to be told, tells it, and keeps what it was told. Nothing is shared with the others
//! but the brokers, so that a target that does not answer makes nobody else wait.

mod reading;
mod telling;
mod traced;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kafka_io::acl::Operation;
use kafka_io::admin::{Admin, AdminError};
use kafka_io::subscription::{Heard, Place, Subscription, SubscriptionSettings};
use kafka_io::{OwnerError, OwnerState, WaitReason, fault};
use record::{EpochMs, Position, Reason};
use wire::{AlertDecoder, QueueItemDecoder};

use self::reading::{ITEMS_MAX, Item};
use self::telling::Slot;
use super::board::{Board, Note, Rules, Why};
use super::circuit::Circuit;
use super::http::Client;
use super::metrics::NotifyMetrics;
use super::progress::{Keeper, Unwritten};
use super::row::{Origin, Progress};
use super::standing::Standing;
use crate::config::{Target, TargetKind};
use crate::registry::Registry;
use crate::roles::Surroundings;

/// Most records that are taken in before something is sent.
const RECORDS_PER_TURN: usize = 500;
const IDLE_WAIT: Duration = Duration::from_millis(100);
const COMMIT_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// How often to look whether brokers are there.
const UNREACHABLE_FOR: Duration = Duration::from_secs(5);
/// After this time without a broker the consumer is made anew.
const CONSUMER_PATIENCE: Duration = Duration::from_secs(60);
/// After something could not be written.
const WRITE_PAUSE: Duration = Duration::from_millis(500);
/// Most alerts that wait for their next attempts while others are told.
const SLOTS_MAX: usize = 64;
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// What is prefetched: rows and items are small, and few.
const PREFETCH_BYTES: usize = 2 * 1_048_576;

/// How a worker is, for whoever attends to it.
#[derive(Debug)]
pub(super) struct Pulse {
    pub(super) turned_at: Instant,
    pub(super) state: OwnerState,
}

pub(super) struct Worker {
    surroundings: Surroundings,
    target: Target,
    metrics: NotifyMetrics,
    standing: Arc<Mutex<Option<Standing>>>,
    pulse: Arc<Mutex<Pulse>>,
    client: Client,
    circuit: Circuit,
    keeper: Keeper,
    registry: Option<Registry>,
    alerts: AlertDecoder,
    queue_items: QueueItemDecoder,
    board: Board,
    items: VecDeque<Item>,
    items_paused: bool,
    /// By alert: what is under way, or waits for its next attempt.
    alert_slots: HashMap<String, Slot>,
    item_slot: Option<Slot>,
    /// Another may follow at once.
    told_one: bool,
    /// What the target asked for.
    quiet_until: Instant,
    resend_at: Instant,
    /// What was taken in before, by partition of the alerts.
    seen: BTreeMap<i32, Position>,
    /// The next offset of each partition of the alerts.
    read: BTreeMap<Place, Position>,
    /// Up to where everything is done, as it was committed and as it is.
    committed: BTreeMap<Place, Position>,
    done: BTreeMap<Place, Position>,
    /// Up to where queues were read to their ends.
    ended: BTreeMap<Place, Position>,
    queue_places: Vec<Place>,
    /// How many partitions it reads, once it knows from where.
    reading: Option<usize>,
    committed_at: Instant,
    swept_at: Instant,
    complained_at: Option<Instant>,
    /// Whoever is to know whether this replica speaks for the system.
    speaks: Option<Arc<AtomicBool>>,
    /// What stops the process.
    stopped: Option<OwnerError>,
    /// The end was asked for while something could not be taken in, or not be given up: nothing after it counts as done.
    abandoned: bool,
}

impl Worker {
    /// # Errors
    /// If a client of Kafka cannot be made.
    pub(super) fn new(
        surroundings: &Surroundings,
        target: &Target,
        metrics: NotifyMetrics,
        standing: Arc<Mutex<Option<Standing>>>,
    ) -> Result<(Worker, Arc<Mutex<Pulse>>), OwnerError> {
        let config = &surroundings.config;
        let notify = &config.notify;
        let now = Instant::now();
        let pulse = Arc::new(Mutex::new(Pulse { turned_at: now, state: OwnerState::Joining }));
        let worker = Worker {
            client: Client::new(target, Duration::from_millis(notify.timeout_ms)),
            circuit: Circuit::new(notify.circuit_failures, Duration::from_millis(notify.circuit_open_ms)),
            keeper: Keeper::open(config, &surroundings.connection, &target.name)?,
            registry: config.registry.as_ref().map(Registry::new),
            alerts: AlertDecoder::new(config.framing()),
            queue_items: QueueItemDecoder::new(config.framing()),
            board: Board::new(Rules {
                filter: target.alerts.clone().unwrap_or_default(),
                behind_ms: notify.behind_ms,
                alerts_max: notify.alerts_max,
                resend_ms: notify.resend_ms,
            }),
            items: VecDeque::new(),
            items_paused: false,
            alert_slots: HashMap::new(),
            item_slot: None,
            told_one: false,
            quiet_until: now,
            resend_at: now,
            seen: BTreeMap::new(),
            read: BTreeMap::new(),
            committed: BTreeMap::new(),
            done: BTreeMap::new(),
            ended: BTreeMap::new(),
            queue_places: Vec::new(),
            reading: None,
            committed_at: now,
            swept_at: now,
            complained_at: None,
            speaks: None,
            stopped: None,
            abandoned: false,
            surroundings: surroundings.clone(),
            target: target.clone(),
            metrics,
            standing,
            pulse: Arc::clone(&pulse),
        };
        Ok((worker, pulse))
    }

    /// Has it tell whether it has the first partition of the alerts, by which one replica of all speaks for the system.
    pub(super) fn tell_who_speaks(&mut self, speaks: Arc<AtomicBool>) {
        self.speaks = Some(speaks);
    }

    /// Works until the shutdown.
    ///
    /// # Errors
    /// What must stop the process.
    pub(super) fn run(mut self) -> Result<(), OwnerError> {
        let config = Arc::clone(&self.surroundings.config);
        let mut topics: Vec<String> = self.target.queues.iter().map(|queue| config.queue_topic(queue)).collect();
        topics.extend(self.target.alerts.is_some().then(|| config.topics.alerts.clone()));
        self.wait_for_topics(&topics)?;
        let settings = SubscriptionSettings {
            connection: self.surroundings.connection.clone(),
            group_id: format!("{}.{}", config.notify.group_id, self.target.name),
            group_instance_id: config.instance_lasts.then(|| config.instance_id.clone()),
            topics,
            session_timeout_ms: config.kafka.session_timeout_ms,
            prefetch_bytes: PREFETCH_BYTES,
        };
        let mut subscription = self.open(&settings)?;
        let mut unreachable_since: Option<Instant> = None;
        let mut looked_at = Instant::now();
        while !self.surroundings.shutdown.is_requested() {
            self.hear(&mut subscription)?;
            let standing = self.standing.lock().map(|standing| standing.clone()).unwrap_or_default();
            self.board.observe(standing.as_ref(), self.now());
            if !self.abandoned {
                self.work(&mut subscription)?;
            }
            if let Some(error) = self.stopped.take() {
                subscription.close();
                return Err(error);
            }
            self.tell_notes();
            self.show(standing.as_ref());
            if looked_at.elapsed() < UNREACHABLE_FOR {
                continue;
            }
            looked_at = Instant::now();
            if subscription.reaches_brokers(UNREACHABLE_FOR) {
                unreachable_since = None;
                continue;
            }
            self.complain("no broker can be reached");
            if unreachable_since.get_or_insert_with(Instant::now).elapsed() > CONSUMER_PATIENCE {
                // After an outage a consumer sometimes never reaches the brokers again though new clients do (librdkafka 2.12).
                subscription.close();
                self.keeper.let_go();
                self.hold(BTreeSet::new(), false);
                subscription = self.open(&settings)?;
                unreachable_since = None;
            }
        }
        self.commit(&subscription, true);
        subscription.close();
        Ok(())
    }

    fn open(&self, settings: &SubscriptionSettings) -> Result<Subscription, OwnerError> {
        let mut subscription = Subscription::open(settings)?;
        if self.surroundings.traces.is_some() {
            subscription.read_traces();
        }
        Ok(subscription)
    }

    fn now(&self) -> EpochMs {
        self.surroundings.clock.now_ms()
    }

    fn beat(&self, state: OwnerState) {
        if let Ok(mut pulse) = self.pulse.lock() {
            *pulse = Pulse { turned_at: Instant::now(), state };
        }
    }

    /// Something outside does not work: it is waited for, and told of every few seconds.
    fn complain(&mut self, detail: &str) {
        if self.complained_at.is_none_or(|at| at.elapsed() > Duration::from_secs(5)) {
            tracing::warn!(target_name = self.target.name, detail, "waiting; trying again");
            self.complained_at = Some(Instant::now());
        }
        self.beat(OwnerState::Waiting(WaitReason::Broker(detail.to_owned())));
    }

    /// Waits until there is everything that is read or written.
    fn wait_for_topics(&mut self, inputs: &[String]) -> Result<(), OwnerError> {
        let admin = Admin::new(&self.surroundings.connection, ASK_TIMEOUT)
            .map_err(|error| OwnerError::Config(error.to_string()))?;
        let topics = self.surroundings.config.topics.clone();
        let mut needed = inputs.to_vec();
        needed.extend([topics.notify_state.clone(), topics.dead_letters.clone()]);
        while !self.surroundings.shutdown.is_requested() {
            match admin.topics() {
                Err(error) => self.complain(&error.to_string()),
                Ok((known, _)) => {
                    let is_missing = |name: &&String| !known.iter().any(|topic| topic.name == **name);
                    let missing: Vec<String> = needed.iter().filter(is_missing).cloned().collect();
                    if missing.is_empty() {
                        return Ok(());
                    }
                    // Brokers do not show what a user may not know of: waiting does not mend that.
                    let operation = |name: &String| match inputs.contains(name) || *name == topics.notify_state {
                        true => Operation::Read,
                        false => Operation::Write,
                    };
                    if let Some(AdminError::Unauthorized(detail)) =
                        missing.iter().find_map(|name| admin.hidden(name, operation(name)))
                    {
                        return Err(OwnerError::Unauthorized(detail));
                    }
                    self.complain(&format!(
                        "topics {} are missing; `sinyal topics apply` makes them",
                        missing.join(", ")
                    ));
                    self.beat(OwnerState::Waiting(WaitReason::Topics(missing)));
                }
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// Takes in what there is, waiting for something no longer than until something is to be sent.
    fn hear(&mut self, subscription: &mut Subscription) -> Result<(), OwnerError> {
        let now = Instant::now();
        let next = self.alert_slots.values().chain(&self.item_slot).map(|slot| slot.next_at).min();
        let next = next.filter(|_| self.may_send(now));
        let mut wait = next.map_or(IDLE_WAIT, |next| next.saturating_duration_since(now).min(IDLE_WAIT));
        let item_is_due = self.item_slot.is_none() && !self.items.is_empty() && self.may_send(now);
        if std::mem::take(&mut self.told_one) || item_is_due {
            wait = Duration::ZERO;
        }
        for _ in 0..RECORDS_PER_TURN {
            if self.abandoned {
                break;
            }
            let Some(heard) = subscription.poll(wait)? else { break };
            wait = Duration::ZERO;
            match heard {
                Heard::Record(record) if self.target.queues.is_empty() || record.place.topic == self.alerts_topic() => {
                    self.take_row(record)?;
                }
                Heard::Record(record) => self.take_item(record, subscription)?,
                Heard::End { place, .. } if place.topic == self.alerts_topic() => {
                    self.board.reached_end(place.partition)
                }
                Heard::End { place, next } => self.read_to_end(place, next),
                Heard::Assigned(places) => self.assigned(&places, subscription)?,
                // What is on is told by the newest row of an alert, which is there.
                Heard::Lost { place, .. } if place.topic == self.alerts_topic() => {}
                Heard::Lost { place, records } => self.count_lost(&place, records),
                Heard::Revoked { lost } => {
                    if !lost {
                        if let Err(why) = self.keeper.catch_up() {
                            self.not_written(why);
                        }
                        self.commit(subscription, true);
                    }
                    self.keeper.let_go();
                    self.hold(BTreeSet::new(), false);
                    subscription.let_go().map_err(OwnerError::Fatal)?;
                }
            }
        }
        Ok(())
    }

    fn alerts_topic(&self) -> &str {
        &self.surroundings.config.topics.alerts
    }

    fn may_send(&self, now: Instant) -> bool {
        self.circuit.allows(now) && now >= self.quiet_until
    }

    /// Sends what is due: an alert's change of state, one item, what Alertmanager is to be told again.
    fn work(&mut self, subscription: &mut Subscription) -> Result<(), OwnerError> {
        if let Err(why) = self.keeper.catch_up() {
            self.not_written(why);
            return Ok(());
        }
        let instant = Instant::now();
        self.alert_slots.retain(|id, _| self.board.waits(id));
        // While one waits for its next attempt the others are told.
        let slots = &self.alert_slots;
        let may = |id: &str| slots.get(id).map_or(slots.len() < SLOTS_MAX, |slot| slot.next_at <= instant);
        let due = self.board.next(self.surroundings.clock.now_ms(), may);
        if let Some(due) = due.filter(|_| self.may_send(instant)) {
            self.tell_alert(&due);
        }
        if !self.items.is_empty() && self.may_send(Instant::now()) {
            self.tell_item();
        }
        if self.target.kind == TargetKind::Alertmanager && Instant::now() >= self.resend_at {
            self.resend();
        }
        if self.items_paused && self.items.len() < ITEMS_MAX / 4 {
            match subscription.resume(&self.queue_places) {
                Ok(()) => self.items_paused = false,
                Err(detail) => self.complain(&detail),
            }
        }
        if self.committed_at.elapsed() >= COMMIT_EVERY {
            self.commit(subscription, false);
        }
        if self.swept_at.elapsed() >= SWEEP_EVERY {
            self.swept_at = Instant::now();
            for id in self.board.sweep(self.now()) {
                self.keep(&id, None);
            }
        }
        Ok(())
    }

    fn keep(&mut self, id: &str, progress: Option<Progress>) {
        if let Err(why) = self.keeper.keep(id, progress) {
            self.not_written(why);
        }
    }

    /// Something was not written: without permission there is no use in going on; else it is tried again after a pause.
    fn not_written(&mut self, why: Unwritten) {
        match why {
            Unwritten::Unauthorized(detail) => self.stopped = Some(OwnerError::Unauthorized(detail)),
            Unwritten::Later(detail) => {
                self.complain(&detail);
                std::thread::sleep(WRITE_PAUSE);
            }
        }
    }

    /// Makes a dead letter, however long brokers take; false if the end comes first, and the record is to be met again.
    fn give_up(&mut self, origin: &Origin, reason: Reason, detail: &str) -> bool {
        let (topic, partition, offset) = (&origin.place.topic, origin.place.partition, origin.offset);
        tracing::warn!(
            target_name = self.target.name,
            topic,
            partition,
            offset,
            detail,
            "a notification becomes a dead letter"
        );
        while let Err(why) = self.keeper.dead_letter(origin, reason, detail) {
            self.not_written(why);
            if self.stopped.is_some() || self.surroundings.shutdown.is_requested() {
                self.abandoned = true;
                return false;
            }
        }
        self.metrics.dead_letters.with_label_values(&[&self.target.name]).inc();
        let _ = fault("notify.dead-lettered");
        true
    }

    /// Commits up to where everything is done. What is not committed is done again.
    fn commit(&mut self, subscription: &Subscription, wait: bool) {
        self.committed_at = Instant::now();
        if !self.abandoned && self.board.has_caught_up() && self.board.backlog().0 == 0 {
            self.done.extend(self.read.iter().map(|(place, position)| (place.clone(), *position)));
        }
        for (place, &next) in self.ended.iter().filter(|_| !self.abandoned) {
            if !self.items.iter().any(|item| item.origin.place == *place) {
                let done = self.done.entry(place.clone()).or_insert(next);
                *done = (*done).max(next);
            }
        }
        // Nobody is told whether brokers took what was not waited for: the last word says all of it.
        let is_new = |(place, position): &(&Place, &Position)| wait || self.committed.get(*place) != Some(*position);
        let new: Vec<(Place, Position)> =
            self.done.iter().filter(is_new).map(|(place, position)| (place.clone(), *position)).collect();
        if new.is_empty() {
            return;
        }
        match subscription.commit(&new, wait) {
            Ok(()) => self.committed.extend(new),
            Err(detail) => tracing::debug!(target_name = self.target.name, detail, "positions are not committed"),
        }
        let _ = fault("notify.committed");
    }

    fn tell_notes(&mut self) {
        let target = self.target.name.as_str();
        for note in self.board.take_notes() {
            match note {
                Note::Unsent { notification_id, why } => {
                    self.metrics.count_unsent(target, why);
                    let why_text = why.as_str();
                    if why == Why::Limit {
                        tracing::error!(
                            target_name = target,
                            notification_id,
                            why = why_text,
                            "not told: too many alerts"
                        );
                    } else {
                        tracing::info!(target_name = target, notification_id, why = why_text, "recorded, not told");
                    }
                }
                Note::Held { notification_id, why } => {
                    self.metrics.count_held(target, why);
                    tracing::info!(target_name = target, notification_id, why = why.as_str(), "held back");
                }
            }
        }
    }

    fn show(&self, standing: Option<&Standing>) {
        let target = &[self.target.name.as_str()];
        let (waiting, oldest) = self.board.backlog();
        let oldest = oldest.into_iter().chain(self.items.front().map(|item| item.since)).min();
        let count = i64::try_from(waiting + self.items.len()).unwrap_or(i64::MAX);
        self.metrics.waiting.with_label_values(target).set(count);
        let age_ms = oldest.map_or(0, |oldest| (self.now() - oldest).max(0));
        self.metrics.oldest_seconds.with_label_values(target).set(age_ms as f64 / 1_000.0);
        self.metrics.show_circuit(target[0], self.circuit.state(Instant::now()));
        let is_behind = standing.is_none_or(|standing| standing.behind.is_some());
        let caught_up = self.reading.is_some() && self.board.has_caught_up() && !is_behind;
        self.metrics.caught_up.with_label_values(target).set(i64::from(caught_up));
        // What was waited for just now is shown for a while.
        if self.complained_at.is_none_or(|at| at.elapsed() > UNREACHABLE_FOR * 2) {
            self.beat(if self.reading > Some(0) { OwnerState::Running } else { OwnerState::Joining });
        }
    }
}
