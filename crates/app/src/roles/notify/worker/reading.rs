//! Takes partitions, rows of alerts and queue items in.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kafka_io::admin::{Admin, TopicInfo};
use kafka_io::subscription::{Place, Received, Standing, Subscription};
use kafka_io::{OwnerError, OwnerState, WaitReason, fault};
use record::{EpochMs, Position, Reason, TraceContext};
use wire::DecodeError;

use super::super::progress::Unwritten;
use super::super::row::{BLIND, Origin, Row, State};
use super::super::webhook;
use super::{ASK_TIMEOUT, Worker};
use crate::roles::ask;

/// Most items that are held; while they wait no more are read.
pub(super) const ITEMS_MAX: usize = 64;

/// A queue item that waits to be sent.
pub(super) struct Item {
    pub(super) origin: Origin,
    pub(super) notification_id: String,
    pub(super) body: Vec<u8>,
    pub(super) since: EpochMs,
    pub(super) trace: Option<TraceContext>,
}

impl Worker {
    /// Begins anew with these partitions of the alerts.
    pub(super) fn hold(&mut self, partitions: BTreeSet<i32>, tells_blindness: bool) {
        self.board.assigned(partitions, tells_blindness);
        if let Some(speaks) = &self.speaks {
            speaks.store(tells_blindness, Ordering::Relaxed);
        }
        self.reading = None;
        self.items.clear();
        self.items_paused = false;
        self.alert_slots.clear();
        self.item_slot = None;
        self.seen.clear();
        self.read.clear();
        self.committed.clear();
        self.done.clear();
        self.ended.clear();
        self.queue_places.clear();
    }

    /// Partitions are ours: what was told is read first, then they are, from where that has to be.
    pub(super) fn assigned(&mut self, places: &[Place], subscription: &mut Subscription) -> Result<(), OwnerError> {
        while !self.surroundings.shutdown.is_requested() {
            match self.begin(places, subscription) {
                Ok(()) => {
                    // From here on what is written is for this target: not before, so not said before.
                    tracing::info!(target_name = self.target.name, partitions = places.len(), "partitions assigned");
                    self.reading = Some(places.len());
                    let _ = fault("notify.restored");
                    return Ok(());
                }
                Err(Unwritten::Unauthorized(detail)) => return Err(OwnerError::Unauthorized(detail)),
                // Brokers take no position from it, however often they are asked.
                Err(Unwritten::Later(_)) if subscription.is_done_for() => return Ok(()),
                Err(Unwritten::Later(detail)) => self.complain(&detail),
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    fn begin(&mut self, places: &[Place], subscription: &mut Subscription) -> Result<(), Unwritten> {
        let alerts = self.alerts_topic().to_owned();
        let standing = subscription.standing(places)?;
        let _ = fault("notify.standing");
        let admin = Admin::new(&self.surroundings.connection, ASK_TIMEOUT).map_err(|error| error.to_string())?;
        let (topics, _) = admin.topics().map_err(|error| error.to_string())?;
        let partitions = topics.iter().find(|topic| topic.name == alerts).map_or(0, |topic| topic.partitions);
        let kept = self.keeper.restore()?;
        let ours: BTreeSet<i32> =
            places.iter().filter(|place| place.topic == alerts).map(|place| place.partition).collect();
        // One replica speaks for the system: the one that has the first partition.
        let speaks = ours.contains(&0);
        self.hold(ours.clone(), speaks);
        for (id, progress) in kept {
            let is_own = id.strip_prefix(BLIND).is_some_and(|rest| rest.starts_with('|'));
            let partition = (!is_own && partitions > 0).then(|| record::partition_for_key(id.as_bytes(), partitions));
            if if is_own { speaks } else { partition.is_some_and(|partition| ours.contains(&partition)) } {
                self.board.restore(&id, partition, progress);
            }
        }
        let first_starts = self.first_starts(places, &standing, &topics, subscription)?;
        // Another replica may have said meanwhile from where all begin: what is committed by now holds.
        let is_new = |standing: &Standing| standing.place.topic != alerts && standing.committed.is_none();
        let standing = if standing.iter().any(is_new) { subscription.standing(places)? } else { standing };
        let mut positions = Vec::new();
        for standing in standing {
            let lost = standing.lost();
            let place = standing.place;
            if place.topic == alerts {
                if let Some(committed) = standing.committed {
                    self.seen.insert(place.partition, committed);
                }
                positions.push((place, standing.first));
                continue;
            }
            if lost > 0 {
                self.count_lost(&place, lost);
            }
            let position = match standing.committed {
                None if first_starts.contains(&place.topic) => standing.next,
                Some(committed) if lost == 0 => committed,
                // A partition that was added meanwhile, a topic that was made anew: all that is in it is new. Or there is a gap.
                None | Some(_) => standing.first,
            };
            self.queue_places.push(place.clone());
            positions.push((place, position));
        }
        subscription.read_from(&positions).map_err(Unwritten::from)
    }

    /// A queue was read to its end: what lies there beyond the last item are markers of transactions. Unless that is committed, they
    /// would count as items that are gone once the topic's retention has taken them.
    pub(super) fn read_to_end(&mut self, place: Place, next: Position) {
        self.ended.insert(place, next);
    }

    pub(super) fn count_lost(&self, place: &Place, lost: u64) {
        let (topic, partition) = (&place.topic, place.partition);
        tracing::warn!(target_name = self.target.name, topic, partition, lost, "items were gone before they were read");
        self.metrics.lost.with_label_values(&[&self.target.name]).inc_by(lost);
    }

    /// The queue topics that this target never began to read: it gets what comes from now on. That is committed at once and of all
    /// their partitions, or a crash before the first item would begin later, and another replica would take the rest for new ones.
    fn first_starts(
        &self,
        places: &[Place],
        standing: &[Standing],
        topics: &[TopicInfo],
        subscription: &Subscription,
    ) -> Result<BTreeSet<String>, String> {
        let alerts = self.alerts_topic();
        let new: BTreeSet<&str> = standing
            .iter()
            .filter(|standing| standing.place.topic != alerts && standing.committed.is_none())
            .map(|standing| standing.place.topic.as_str())
            .collect();
        if new.is_empty() {
            return Ok(BTreeSet::new());
        }
        let known = topics.iter().filter(|topic| new.contains(topic.name.as_str()));
        let mut all: BTreeSet<Place> = known
            .flat_map(|topic| (0..topic.partitions).map(|partition| Place { topic: topic.name.clone(), partition }))
            .collect();
        all.extend(places.iter().filter(|place| new.contains(place.topic.as_str())).cloned());
        let all = subscription.standing(&all.into_iter().collect::<Vec<_>>())?;
        let begin = never_read(&all);
        let ends: Vec<(Place, Position)> = all
            .into_iter()
            .filter(|standing| begin.contains(&standing.place.topic))
            .map(|standing| (standing.place, standing.next))
            .collect();
        if !ends.is_empty() {
            subscription.commit(&ends, true)?;
        }
        Ok(begin)
    }

    pub(super) fn take_row(&mut self, record: Received) -> Result<(), OwnerError> {
        let now = self.now();
        let seen = self.seen.get(&record.place.partition).is_some_and(|&seen| record.offset < seen);
        let (place, next) = (record.place.clone(), record.offset + 1);
        let origin = origin(record);
        let Some(value) = &origin.value else {
            self.read.insert(place, next);
            let id = origin.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
            if self.board.forget(&id) {
                self.keep(&id, None);
            }
            return Ok(());
        };
        let row = loop {
            let needed = match self.alerts.decode(value) {
                Ok(alert) => match State::of(&alert) {
                    Some(state) => break Ok((alert.into_owned(), state)),
                    None => break Err((Reason::Malformed, "a state that is none of an alert's".to_owned())),
                },
                Err(DecodeError::NeedsSchema(id)) => id,
                Err(DecodeError::Reject(rejection)) => break Err((rejection.reason, rejection.detail)),
            };
            let Some(lookup) = self.look_up(needed) else {
                self.abandoned = true;
                return Ok(());
            };
            self.alerts.add_schema(needed, &lookup);
        };
        match row {
            Ok((alert, state)) => {
                let (partition, written_at) = (origin.place.partition, origin.timestamp);
                self.board.take(Row { alert, state, origin: Some(origin) }, partition, written_at, seen, now);
                let _ = fault("notify.taken");
            }
            Err((reason, detail)) => {
                if !seen && !self.give_up(&origin, reason, &detail) {
                    return Ok(());
                }
            }
        }
        self.read.insert(place, next);
        Ok(())
    }

    pub(super) fn take_item(&mut self, record: Received, subscription: &mut Subscription) -> Result<(), OwnerError> {
        let trace = record.trace;
        let origin = origin(record);
        let next = origin.offset + 1;
        let Some(value) = &origin.value else {
            return Ok(());
        };
        let item = loop {
            let needed = match self.queue_items.decode(value) {
                Ok(item) => {
                    let key = record::encode_key(&[&item.community_id, item.kind.as_str(), &item.id]);
                    let (topic, partition, offset) = (&item.origin_topic, item.origin_partition, item.origin_offset);
                    let notification_id = format!("{key}@{topic}:{partition}:{offset}");
                    break Ok((webhook::item_body(&item, &notification_id), notification_id));
                }
                Err(DecodeError::NeedsSchema(id)) => id,
                Err(DecodeError::Reject(rejection)) => break Err(rejection),
            };
            let Some(lookup) = self.look_up(needed) else {
                self.abandoned = true;
                return Ok(());
            };
            self.queue_items.add_schema(needed, &lookup);
        };
        match item {
            Ok((body, notification_id)) => {
                self.items.push_back(Item { origin, notification_id, body, since: self.now(), trace });
            }
            Err(rejection) => {
                if !self.give_up(&origin, rejection.reason, &rejection.detail) {
                    return Ok(());
                }
                // Only if nothing of the same partition waits before it: else the next one that is sent says so.
                if !self.items.iter().any(|item| item.origin.place == origin.place) {
                    self.done.insert(origin.place, next);
                }
            }
        }
        if self.items.len() >= ITEMS_MAX && !self.items_paused {
            subscription.pause(&self.queue_places).map_err(OwnerError::Fatal)?;
            self.items_paused = true;
        }
        Ok(())
    }

    /// Asks the registry until it answers; nothing if the end is asked for before.
    fn look_up(&mut self, id: u32) -> Option<record::stage::SchemaLookup> {
        while !self.surroundings.shutdown.is_requested() {
            match ask(self.registry.as_ref(), id) {
                Ok(lookup) => return Some(lookup),
                Err(detail) => {
                    self.complain(&detail);
                    self.beat(OwnerState::Waiting(WaitReason::Registry(detail)));
                }
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        None
    }
}

/// The topics of which nothing was committed of any partition.
fn never_read(standing: &[Standing]) -> BTreeSet<String> {
    let read: BTreeSet<&str> = standing
        .iter()
        .filter(|standing| standing.committed.is_some())
        .map(|standing| standing.place.topic.as_str())
        .collect();
    let topics = standing.iter().map(|standing| standing.place.topic.as_str());
    topics.filter(|topic| !read.contains(topic)).map(str::to_owned).collect()
}

fn origin(record: Received) -> Origin {
    let Received { place, offset, timestamp, key, value, trace: _ } = record;
    Origin { place, offset, timestamp, key, value }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use kafka_io::subscription::SubscriptionSettings;
    use kafka_io::{Shutdown, SystemClock};

    use super::*;
    use crate::config::Config;
    use crate::roles::Surroundings;
    use crate::roles::notify::metrics::NotifyMetrics;
    use crate::telemetry::{Health, Metrics};

    /// A worker without a broker, whose process is asked to end.
    pub(in super::super) fn ending(url: &str) -> (Worker, Subscription) {
        let text = format!(
            "[kafka]\nbootstrap = \"127.0.0.1:1\"\n[kafka.properties]\n\"message.timeout.ms\" = \"50\"\n\
                    [[notify.targets]]\nname = \"pager\"\nkind = \"alertmanager\"\nurl = {url:?}\n"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let config = Config::load(Some(file.path()), []).unwrap();
        let shutdown = Shutdown::default();
        shutdown.request();
        let surroundings = Surroundings {
            connection: config.kafka.connection.clone(),
            rules: crate::reload::LiveRules::new(&config),
            config: Arc::new(config),
            clock: Arc::new(SystemClock),
            health: Health::new(Duration::from_secs(30)),
            metrics: Metrics::new(),
            shutdown,
            traces: None,
            embedded: false,
        };
        let target = surroundings.config.notify.targets[0].clone();
        let metrics = NotifyMetrics::new(surroundings.metrics.registry(), ["pager"].into_iter());
        let (worker, _) = Worker::new(&surroundings, &target, metrics, Arc::default()).unwrap();
        let subscription = Subscription::open(&SubscriptionSettings {
            connection: surroundings.connection.clone(),
            group_id: "test".to_owned(),
            group_instance_id: None,
            topics: vec!["items".to_owned()],
            session_timeout_ms: 10_000,
            prefetch_bytes: 65_536,
        });
        (worker, subscription.unwrap())
    }

    fn poison(topic: &str) -> Received {
        let place = Place { topic: topic.to_owned(), partition: 0 };
        Received { place, offset: 7, timestamp: Some(1), key: None, value: Some(b"poison".to_vec()), trace: None }
    }

    #[test]
    fn a_dead_letter_that_is_not_written_before_the_end_leaves_its_record_undone() {
        let (mut worker, mut subscription) = ending("http://127.0.0.1:1");
        let alerts = worker.alerts_topic().to_owned();
        worker.take_row(poison(&alerts)).unwrap();
        assert!(worker.abandoned && worker.read.is_empty());
        let (mut worker, _) = ending("http://127.0.0.1:1");
        worker.take_item(poison("items"), &mut subscription).unwrap();
        assert!(worker.abandoned && worker.done.is_empty());
    }

    #[test]
    fn what_was_not_written_is_left_to_who_has_the_partitions_now() {
        let (mut worker, _) = ending("http://127.0.0.1:1");
        worker.keeper.keep("a", Some(super::super::super::row::Progress::default())).unwrap_err();
        worker.keeper.catch_up().unwrap_err();
        worker.keeper.let_go();
        assert_eq!(worker.keeper.catch_up(), Ok(()));
    }

    #[test]
    fn a_partition_that_was_added_is_read_from_its_first_record() {
        let standing = |topic: &str, partition, committed| Standing {
            place: Place { topic: topic.to_owned(), partition },
            committed,
            first: 0,
            next: 9,
        };
        let all = [
            standing("tip", 0, Some(3)),
            standing("tip", 1, None),
            standing("anger", 0, None),
            standing("anger", 1, None),
        ];
        assert_eq!(never_read(&all), BTreeSet::from(["anger".to_owned()]));
    }
}
