//! Reads the three topics and writes what is in them, a batch at a time. The database's positions say from where; those of the
//! group only show how far it is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use kafka_io::acl::Operation;
use kafka_io::admin::{Admin, AdminError};
use kafka_io::subscription::{Heard, Place, Received, Subscription, SubscriptionSettings};
use kafka_io::{OwnerError, OwnerState, WaitReason};
use record::{EpochMs, Position};
use wire::{AlertDecoder, DecodeError, MetricsDecoder, QueueItemDecoder};

use super::batch::{Batch, Bounds, Source};
use super::database::{Database, Positions, RETIRED_MAX, Trouble, TroubleKind};
use super::metrics::{Outcome, SinkMetrics};
use super::tables::{self, Row, Table};
use crate::config::{Config, Sink};
use crate::registry::Registry;
use crate::roles::{Surroundings, ask};

const NAME: &str = "sink";
const IDLE_WAIT: Duration = Duration::from_millis(100);
const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to look whether brokers are there.
const UNREACHABLE_FOR: Duration = Duration::from_secs(5);
/// After this time without a broker the consumer is made anew.
const CONSUMER_PATIENCE: Duration = Duration::from_secs(60);
/// How often lag is shown, and that everything was read is noted.
const SHOW_EVERY: Duration = Duration::from_secs(1);
const NOTE_EVERY: Duration = Duration::from_secs(10);
const RETIRE_EVERY: Duration = Duration::from_secs(60);
const DAY_MS: i64 = 86_400_000;

pub(super) struct Worker {
    surroundings: Surroundings,
    settings: Sink,
    metrics: SinkMetrics,
    database: Database,
    registry: Option<Registry>,
    panes: MetricsDecoder,
    alerts: AlertDecoder,
    queue_items: QueueItemDecoder,
    /// The partitions that are ours.
    ours: Vec<Place>,
    /// Where each is in the database; nothing while that is not known.
    positions: Option<Positions>,
    at_end: BTreeSet<Place>,
    batch: Batch,
    /// Since when the batch holds something.
    batch_since: Instant,
    paused: bool,
    /// The last batch took too long; nothing was written since.
    too_slow: bool,
    /// The pauses to come between attempts.
    pauses: ExponentialBackoff,
    try_at: Instant,
    complained_at: Option<Instant>,
    shown_at: Instant,
    /// The partitions whose lag is shown.
    shown: BTreeSet<Place>,
    noted_at: Instant,
    retire_at: Instant,
    state: OwnerState,
}

impl Worker {
    /// # Errors
    /// If there is no event loop to be had.
    pub(super) fn new(surroundings: &Surroundings, settings: Sink) -> std::io::Result<Worker> {
        let config = &surroundings.config;
        let now = Instant::now();
        Ok(Worker {
            metrics: SinkMetrics::new(surroundings.metrics.registry()),
            database: Database::new(&settings)?,
            registry: config.registry.as_ref().map(Registry::new),
            panes: MetricsDecoder::new(config.framing()),
            alerts: AlertDecoder::new(config.framing()),
            queue_items: QueueItemDecoder::new(config.framing()),
            ours: Vec::new(),
            positions: None,
            at_end: BTreeSet::new(),
            batch: Batch::new(Bounds { records: settings.batch_rows, bytes: settings.batch_bytes }),
            batch_since: now,
            paused: false,
            too_slow: false,
            pauses: pauses(),
            try_at: now,
            complained_at: None,
            shown_at: now,
            shown: BTreeSet::new(),
            noted_at: now,
            retire_at: now + SHOW_EVERY,
            state: OwnerState::Joining,
            surroundings: surroundings.clone(),
            settings,
        })
    }

    /// Works until the shutdown.
    ///
    /// # Errors
    /// What must stop the process: all of it is Kafka's.
    pub(super) fn run(mut self) -> Result<(), OwnerError> {
        let config = Arc::clone(&self.surroundings.config);
        self.wait_for_topics(&config)?;
        let settings = SubscriptionSettings {
            connection: self.surroundings.connection.clone(),
            group_id: self.settings.group_id.clone(),
            group_instance_id: config.instance_lasts.then(|| config.instance_id.clone()),
            topics: topics(&config).map(str::to_owned).into(),
            session_timeout_ms: config.kafka.session_timeout_ms,
            prefetch_bytes: self.settings.batch_bytes,
        };
        let mut subscription = Subscription::open(&settings)?;
        let mut unreachable_since: Option<Instant> = None;
        let mut looked_at = Instant::now();
        while !self.surroundings.shutdown.is_requested() {
            self.hear(&mut subscription)?;
            self.work(&mut subscription)?;
            self.show(&subscription);
            if looked_at.elapsed() < UNREACHABLE_FOR {
                continue;
            }
            looked_at = Instant::now();
            if subscription.reaches_brokers(UNREACHABLE_FOR) {
                unreachable_since = None;
                continue;
            }
            self.complain(WaitReason::Broker("no broker can be reached".to_owned()));
            if unreachable_since.get_or_insert_with(Instant::now).elapsed() > CONSUMER_PATIENCE {
                // After an outage a consumer sometimes never reaches the brokers again though new clients do (librdkafka 2.12).
                subscription.close();
                self.hold(Vec::new());
                subscription = Subscription::open(&settings)?;
                unreachable_since = None;
            }
        }
        self.write_last(&subscription);
        subscription.close();
        Ok(())
    }

    /// Takes in what there is, up to what one transaction holds.
    fn hear(&mut self, subscription: &mut Subscription) -> Result<(), OwnerError> {
        if self.batch.is_full() && Instant::now() < self.try_at {
            self.pause(subscription)?;
        }
        let mut wait = IDLE_WAIT;
        if !self.batch.is_empty() && !self.paused {
            wait = self.interval().saturating_sub(self.batch_since.elapsed()).min(IDLE_WAIT);
        }
        while !self.batch.is_full() || self.paused {
            let Some(heard) = subscription.poll(wait)? else { break };
            wait = Duration::ZERO;
            match heard {
                Heard::Record(record) => {
                    self.take(record);
                    if self.surroundings.shutdown.is_requested() {
                        break;
                    }
                }
                Heard::End { place, .. } => {
                    self.at_end.insert(place);
                }
                Heard::Assigned(places) => {
                    tracing::info!(partitions = places.len(), "partitions assigned to the sink");
                    self.hold(places);
                    // The group is answered at once; from where to read the database may tell much later.
                    subscription.read_from(&[]).map_err(OwnerError::Fatal)?;
                }
                Heard::Lost { place, records } => self.count_lost(&place, records),
                Heard::Revoked { lost } => {
                    if !lost {
                        self.write_last(subscription);
                    }
                    self.hold(Vec::new());
                    subscription.let_go().map_err(OwnerError::Fatal)?;
                }
            }
        }
        Ok(())
    }

    /// Begins anew with these partitions, wherever they are.
    fn hold(&mut self, places: Vec<Place>) {
        self.ours = places;
        self.positions = None;
        self.at_end.clear();
        self.batch.clear();
        self.paused = false;
        self.too_slow = false;
        self.try_at = Instant::now();
    }

    /// What is due: to learn the positions, to write, to note that all was read, to delete what is old.
    fn work(&mut self, subscription: &mut Subscription) -> Result<(), OwnerError> {
        if self.ours.is_empty() || Instant::now() < self.try_at {
            return Ok(());
        }
        if self.positions.is_none() {
            if let Err(waits) = self.begin(subscription) {
                self.wait(waits);
            }
            return Ok(());
        }
        let is_due = self.batch.is_full() || self.batch_since.elapsed() >= self.interval();
        if !self.batch.is_empty() && is_due {
            match self.write(subscription) {
                Ok(()) => {
                    if std::mem::take(&mut self.paused)
                        && let Err(detail) = subscription.resume(&self.ours)
                    {
                        // From where the database has it.
                        self.positions = None;
                        self.wait(WaitReason::Broker(detail));
                    }
                }
                Err(trouble) => self.not_written(&trouble, subscription)?,
            }
        }
        self.keep_up();
        Ok(())
    }

    /// What may wait without harm; it also tells that the database is there while nothing is to be written.
    fn keep_up(&mut self) {
        let now = Instant::now();
        if now < self.try_at {
            return;
        }
        // Each of these may take as long as the database may for an answer.
        self.beat();
        let is_written = |place: &&Place| !self.batch.next().contains_key(*place);
        if self.noted_at.elapsed() >= NOTE_EVERY && self.at_end.iter().any(|place| is_written(&place)) {
            let caught_up: Vec<Place> = self.at_end.iter().filter(is_written).cloned().collect();
            match self.database.note_caught_up(&caught_up) {
                Ok(()) => {
                    self.noted_at = now;
                    if self.batch.is_empty() {
                        self.well();
                    }
                }
                Err(trouble) => return self.not_done(trouble),
            }
        }
        if now >= self.retire_at {
            self.beat();
            match self.database.retire() {
                Ok(retired) => {
                    self.metrics.count_retired(retired);
                    // What is left is deleted soon, but not at once: others want the database, too.
                    let more = retired.contains(&RETIRED_MAX);
                    self.retire_at = now + if more { SHOW_EVERY } else { RETIRE_EVERY };
                }
                Err(trouble) => self.not_done(trouble),
            }
        }
    }

    /// Asks the database where the partitions are, and reads on from there.
    fn begin(&mut self, subscription: &mut Subscription) -> Result<(), WaitReason> {
        let topics = topics(&self.surroundings.config);
        self.beat();
        let positions = self.database.begin(&self.ours, &topics).map_err(|trouble| self.told(trouble))?;
        self.beat();
        let standing = subscription.standing(&self.ours).map_err(WaitReason::Broker)?;
        let mut read_from = Vec::new();
        for standing in standing {
            let place = standing.place;
            let mut position = positions.get(&place).copied().unwrap_or(0);
            if position > standing.next {
                let Place { topic, partition } = &place;
                let detail = format!(
                    "the database has {topic}:{partition} up to offset {position}, and it ends at {}: the topic was made anew. \
                     DROP SCHEMA \"{}\" CASCADE and `sinyal sink apply` begin anew, too",
                    standing.next, self.settings.schema
                );
                return Err(self.told(Trouble::new(TroubleKind::Mismatch, detail)));
            }
            if position < standing.first {
                // What was gone before the first look was never missed.
                if position > 0 {
                    self.count_lost(&place, u64::try_from(standing.first - position).unwrap_or(0));
                }
                position = standing.first;
            }
            read_from.push((place, position));
        }
        subscription.read_from(&read_from).map_err(WaitReason::Broker)?;
        self.batch.clear();
        self.at_end.clear();
        self.paused = false;
        // What the database has, since that is compared.
        self.positions = Some(positions);
        self.pauses = pauses();
        // That it tells its positions does not mean that it takes a batch in time.
        if !self.too_slow {
            self.well();
        }
        Ok(())
    }

    fn count_lost(&self, place: &Place, lost: u64) {
        let (topic, partition) = (&place.topic, place.partition);
        tracing::warn!(topic, partition, lost, "records were gone before they were read");
        self.metrics.lost.inc_by(lost);
    }

    /// Writes the batch, and makes room for the next.
    fn write(&mut self, subscription: &Subscription) -> Result<(), Trouble> {
        let Some(positions) = &mut self.positions else { return Ok(()) };
        let begun = Instant::now();
        let written = self.database.write(&self.batch, positions)?;
        self.metrics.write_seconds.observe(begun.elapsed().as_secs_f64());
        self.metrics.count_written(&written);
        let next: Vec<(Place, Position)> =
            self.batch.next().iter().map(|(place, next)| (place.clone(), *next)).collect();
        positions.extend(next.iter().cloned());
        // For whoever looks at the group; nobody reads from there.
        if let Err(detail) = subscription.commit(&next, false) {
            tracing::debug!(detail, "positions of the sink's group are not committed");
        }
        self.batch.clear_written();
        self.well();
        Ok(())
    }

    /// What was read is written before partitions go, if the database takes it at once; else the next one reads it.
    fn write_last(&mut self, subscription: &Subscription) {
        if !self.batch.is_empty()
            && let Err(trouble) = self.write(subscription)
        {
            self.metrics.count_error(&trouble);
            tracing::info!(
                detail = trouble.detail,
                "what was read last is not written; whoever has the partitions next reads it again"
            );
        }
    }

    fn not_written(&mut self, trouble: &Trouble, subscription: &mut Subscription) -> Result<(), OwnerError> {
        if trouble.kind == TroubleKind::Overtaken {
            self.metrics.count_error(trouble);
            tracing::info!(detail = trouble.detail, "reading on from the database's positions");
            self.positions = None;
            self.batch.clear();
            return Ok(());
        }
        if trouble.kind == TroubleKind::Timeout && self.batch.clear_and_halve() {
            // Read again in smaller parts: what does not fit into the time once never would.
            self.too_slow = true;
            self.positions = None;
            self.not_done(trouble.clone());
            return Ok(());
        }
        self.pause(subscription)?;
        self.not_done(trouble.clone());
        Ok(())
    }

    /// Reads no more for now, and still hears of partitions that come and go.
    fn pause(&mut self, subscription: &mut Subscription) -> Result<(), OwnerError> {
        if !std::mem::replace(&mut self.paused, true) {
            subscription.pause(&self.ours).map_err(OwnerError::Fatal)?;
        }
        Ok(())
    }

    fn not_done(&mut self, trouble: Trouble) {
        let reason = self.told(trouble);
        self.wait(reason);
    }

    fn told(&self, trouble: Trouble) -> WaitReason {
        self.metrics.count_error(&trouble);
        WaitReason::Database(trouble.detail)
    }

    /// Tries again after a pause.
    fn wait(&mut self, reason: WaitReason) {
        self.try_at = Instant::now() + self.pauses.next().unwrap_or(UNREACHABLE_FOR);
        self.complain(reason);
    }

    /// All is as it should be.
    fn well(&mut self) {
        if matches!(self.state, OwnerState::Waiting(_)) {
            tracing::info!("the sink works again");
        }
        self.too_slow = false;
        self.pauses = pauses();
        self.state = OwnerState::Running;
        self.complained_at = None;
    }

    /// Something outside does not work: it is waited for, and told of every few seconds.
    fn complain(&mut self, reason: WaitReason) {
        let detail = match &reason {
            WaitReason::Broker(detail) | WaitReason::Registry(detail) | WaitReason::Database(detail) => detail.clone(),
            WaitReason::Topics(missing) => {
                format!("topics {} are missing; `sinyal topics apply` makes them", missing.join(", "))
            }
        };
        if self.complained_at.is_none_or(|at| at.elapsed() > Duration::from_secs(5)) {
            tracing::warn!(detail, "the sink waits; trying again");
            self.complained_at = Some(Instant::now());
        }
        self.state = OwnerState::Waiting(reason);
        self.beat();
    }

    fn beat(&self) {
        self.surroundings.health.turned(NAME, &self.state);
    }

    fn show(&mut self, subscription: &Subscription) {
        if self.ours.is_empty() && !matches!(self.state, OwnerState::Waiting(_)) {
            self.state = OwnerState::Joining;
        }
        // Brokers that were away a moment ago are told for a while.
        let of_brokers = matches!(self.state, OwnerState::Waiting(WaitReason::Broker(_)));
        if of_brokers
            && self.positions.is_some()
            && self.complained_at.is_none_or(|at| at.elapsed() > UNREACHABLE_FOR * 2)
        {
            self.well();
        }
        self.beat();
        if self.shown_at.elapsed() < SHOW_EVERY {
            return;
        }
        self.shown_at = Instant::now();
        self.metrics.connected.set(i64::from(self.database.is_connected()));
        let empty = BTreeMap::new();
        let positions = self.positions.as_ref().unwrap_or(&empty);
        let mut shown = BTreeSet::new();
        for (place, end) in subscription.ends() {
            let Some(position) = positions.get(&place) else { continue };
            let done = self.at_end.contains(&place) && !self.batch.next().contains_key(&place);
            self.metrics.show_lag(&place, if done { 0 } else { (end - position).max(0) });
            shown.insert(place);
        }
        // Those of partitions that went are others' to show.
        self.shown.difference(&shown).for_each(|place| self.metrics.forget_lag(place));
        self.shown = shown;
    }

    fn interval(&self) -> Duration {
        Duration::from_millis(self.settings.interval_ms)
    }

    /// Waits until there is everything that is read.
    fn wait_for_topics(&mut self, config: &Config) -> Result<(), OwnerError> {
        let admin = Admin::new(&self.surroundings.connection, ASK_TIMEOUT)
            .map_err(|error| OwnerError::Config(error.to_string()))?;
        while !self.surroundings.shutdown.is_requested() {
            match admin.topics() {
                Err(error) => self.complain(WaitReason::Broker(error.to_string())),
                Ok((known, _)) => {
                    let is_missing = |name: &&str| !known.iter().any(|topic| topic.name == **name);
                    let missing: Vec<String> =
                        topics(config).iter().filter(|name| is_missing(name)).map(|name| (*name).to_owned()).collect();
                    if missing.is_empty() {
                        self.state = OwnerState::Joining;
                        self.complained_at = None;
                        return Ok(());
                    }
                    // Brokers do not show a topic of which a user may not know: waiting does not mend it.
                    let hidden = missing.iter().find_map(|name| admin.hidden(name, Operation::Read));
                    if let Some(AdminError::Unauthorized(detail)) = hidden {
                        return Err(OwnerError::Unauthorized(detail));
                    }
                    self.complain(WaitReason::Topics(missing));
                }
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    /// Takes a record into the batch; what cannot be used is counted and left out, since it stays where it is.
    fn take(&mut self, record: Received) {
        let Some(table) = self.table_of(&record.place.topic) else { return };
        let source = Source { partition: record.place.partition, offset: record.offset };
        let row = match &record.value {
            None => Ok(None),
            Some(value) => loop {
                match self.decode(table, value) {
                    Ok(row) => break Ok(Some(row)),
                    Err(DecodeError::Reject(rejection)) => break Err(rejection.to_string()),
                    // Nothing is taken in while the end is asked for: this record is read again.
                    Err(DecodeError::NeedsSchema(id)) if !self.look_up(table, id) => return,
                    Err(DecodeError::NeedsSchema(_)) => {}
                }
            },
        };
        if self.batch.is_empty() {
            self.batch_since = Instant::now();
        }
        let bytes = record.key.as_ref().map_or(0, Vec::len) + record.value.as_ref().map_or(0, Vec::len);
        self.batch.read(&record.place, record.offset, bytes);
        self.at_end.remove(&record.place);
        let key = table.key_of(record.key.as_deref());
        let refusal = match (row, key) {
            (Ok(None), Some((key, cells))) => return self.batch.delete(table, key, cells, source),
            (Ok(Some(row)), Some((key, cells))) if row.key == key => {
                if table == Table::Panes && !self.writes(&row) {
                    return self.metrics.count(table, Outcome::LeftOut, 1);
                }
                if row.over_at.is_some_and(|at| at < self.kept_since()) {
                    self.metrics.count(table, Outcome::Expired, 1);
                    // An older state of it may be there.
                    return self.batch.delete(table, key, cells, source);
                }
                return self.batch.write(table, row, source);
            }
            (Err(detail), _) => detail,
            (Ok(Some(_)), Some(_)) => "its key is of another row".to_owned(),
            (Ok(_), None) => "its key is none of this topic".to_owned(),
        };
        self.metrics.count(table, Outcome::Refused, 1);
        let Place { topic, partition } = &record.place;
        tracing::warn!(topic, partition, offset = record.offset, refusal, "a record is left out of the database");
    }

    fn table_of(&self, topic: &str) -> Option<Table> {
        let at = topics(&self.surroundings.config).iter().position(|name| *name == topic)?;
        Table::ALL.get(at).copied()
    }

    fn decode(&mut self, table: Table, value: &[u8]) -> Result<Row, DecodeError> {
        Ok(match table {
            Table::Panes => tables::pane(&self.panes.decode(value)?),
            Table::Alerts => tables::alert(&self.alerts.decode(value)?),
            Table::QueueItems => tables::queue_item(&self.queue_items.decode(value)?, self.settings.text),
        })
    }

    /// Asks the registry until it answers; false if the end is asked for before.
    fn look_up(&mut self, table: Table, id: u32) -> bool {
        while !self.surroundings.shutdown.is_requested() {
            match ask(self.registry.as_ref(), id) {
                Ok(lookup) => {
                    match table {
                        Table::Panes => self.panes.add_schema(id, &lookup),
                        Table::Alerts => self.alerts.add_schema(id, &lookup),
                        Table::QueueItems => self.queue_items.add_schema(id, &lookup),
                    }
                    if matches!(self.state, OwnerState::Waiting(WaitReason::Registry(_))) {
                        self.well();
                    }
                    return true;
                }
                Err(detail) => self.complain(WaitReason::Registry(detail)),
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        false
    }

    /// Whether panes of this row's window are written.
    fn writes(&self, row: &Row) -> bool {
        let windows = &self.settings.windows;
        windows.is_empty() || windows.iter().any(|window| row.window() == Some(window))
    }

    /// What was over before is not kept.
    fn kept_since(&self) -> EpochMs {
        self.surroundings.clock.now_ms() - self.settings.retention_days * DAY_MS
    }
}

/// What is read, in the order of [`Table::ALL`].
fn topics(config: &Config) -> [&str; 3] {
    [&config.topics.metrics, &config.topics.alerts, &config.topics.queue_state]
}

/// From a fifth of a second to ten seconds, each with up to as much again at random.
fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(200))
        .with_max_delay(Duration::from_secs(10))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}
