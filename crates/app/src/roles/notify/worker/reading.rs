//! Takes partitions, rows of alerts and queue items in.

use std::collections::BTreeSet;
use std::time::Duration;

use kafka_io::admin::Admin;
use kafka_io::subscription::{Place, Received, Subscription};
use kafka_io::{OwnerError, OwnerState, WaitReason, fault};
use record::{EpochMs, Reason};
use wire::DecodeError;

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
}

impl Worker {
    /// Begins anew with these partitions of the alerts.
    pub(super) fn hold(&mut self, partitions: BTreeSet<i32>, tells_blindness: bool) {
        self.board.assigned(partitions, tells_blindness);
        self.items.clear();
        self.items_paused = false;
        (self.alert_slot, self.item_slot) = (None, None);
        self.seen.clear();
        self.read.clear();
        self.committed.clear();
        self.done.clear();
        self.queue_places.clear();
    }

    /// Partitions are ours: what was told is read first, then they are, from where that has to be.
    pub(super) fn assigned(&mut self, places: &[Place], subscription: &mut Subscription) -> Result<(), OwnerError> {
        tracing::info!(target_name = self.target.name, partitions = places.len(), "partitions assigned");
        while !self.surroundings.shutdown.is_requested() {
            match self.begin(places, subscription) {
                Ok(()) => {
                    let _ = fault("notify.restored");
                    return Ok(());
                }
                Err(detail) => self.complain(&detail),
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Ok(())
    }

    fn begin(&mut self, places: &[Place], subscription: &mut Subscription) -> Result<(), String> {
        let alerts = self.alerts_topic().to_owned();
        let standing = subscription.standing(places)?;
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
        let mut positions = Vec::new();
        for standing in standing {
            let place = standing.place;
            if place.topic == alerts {
                if let Some(committed) = standing.committed {
                    self.seen.insert(place.partition, committed);
                }
                positions.push((place, standing.first));
                continue;
            }
            let position = match standing.committed {
                None => {
                    // From its first start on; and that is to be remembered, or a crash before the first item would begin later.
                    subscription.commit(&[(place.clone(), standing.next)], true)?;
                    standing.next
                }
                Some(committed) if committed < standing.first => {
                    let lost = u64::try_from(standing.first - committed).unwrap_or(0);
                    tracing::warn!(
                        target_name = self.target.name,
                        topic = place.topic,
                        lost,
                        "items were gone before they were read"
                    );
                    self.metrics.lost.with_label_values(&[&self.target.name]).inc_by(lost);
                    standing.first
                }
                Some(committed) => committed,
            };
            self.queue_places.push(place.clone());
            positions.push((place, position));
        }
        subscription.read_from(&positions)
    }

    pub(super) fn take_row(&mut self, record: Received) -> Result<(), OwnerError> {
        let now = self.now();
        let seen = self.seen.get(&record.place.partition).is_some_and(|&seen| record.offset < seen);
        self.read.insert(record.place.clone(), record.offset + 1);
        let origin = origin(record);
        let Some(value) = &origin.value else {
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
            let Some(lookup) = self.look_up(needed) else { return Ok(()) };
            self.alerts.add_schema(needed, &lookup);
        };
        match row {
            Ok((alert, state)) => {
                let (partition, written_at) = (origin.place.partition, origin.timestamp);
                self.board.take(Row { alert, state, origin: Some(origin) }, partition, written_at, seen, now);
                let _ = fault("notify.taken");
            }
            Err((reason, detail)) if !seen => self.give_up(&origin, reason, &detail),
            Err(_) => {}
        }
        Ok(())
    }

    pub(super) fn take_item(&mut self, record: Received, subscription: &mut Subscription) -> Result<(), OwnerError> {
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
            let Some(lookup) = self.look_up(needed) else { return Ok(()) };
            self.queue_items.add_schema(needed, &lookup);
        };
        match item {
            Ok((body, notification_id)) => {
                self.items.push_back(Item { origin, notification_id, body, since: self.now() });
            }
            Err(rejection) => {
                self.give_up(&origin, rejection.reason, &rejection.detail);
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

fn origin(record: Received) -> Origin {
    let Received { place, offset, timestamp, key, value } = record;
    Origin { place, offset, timestamp, key, value }
}
