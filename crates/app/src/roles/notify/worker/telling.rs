//! Tells the target what is due, and judges what comes of it.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use kafka_io::fault;
use record::Reason;

use super::super::board::Due;
use super::super::circuit::CircuitState;
use super::super::http::Failure;
use super::super::{alertmanager, webhook};
use super::Worker;
use crate::config::TargetKind;

/// How long after a failed attempt Alertmanager is told again what is on.
const RESEND_AGAIN: Duration = Duration::from_secs(10);

/// How long alerts of a batch that was refused are sent one by one before something else is done.
const SINGLY_FOR: Duration = Duration::from_secs(5);

/// A notification under way.
pub(super) struct Slot {
    notification_id: String,
    attempts: u32,
    pauses: backon::ExponentialBackoff,
    pub(super) next_at: Instant,
    may_have_arrived: bool,
}

impl Worker {
    pub(super) fn tell_alert(&mut self, due: &Due) {
        let row = &due.row;
        let id = row.notification_id();
        let under_way = self.alert_slots.remove(row.alert.id.as_ref()).filter(|slot| slot.notification_id == id);
        let mut slot = match under_way {
            Some(slot) => slot,
            None => {
                // That it is about to be told is kept first: after a crash it is known to be a repeat.
                let progress = self.board.intend(row);
                if let Err(why) = self.keeper.keep(&row.alert.id, Some(progress)) {
                    return self.not_written(why);
                }
                let _ = fault("notify.intended");
                Slot { may_have_arrived: due.may_be_repeat, ..self.slot(&id) }
            }
        };
        let now = self.now();
        let traced = self.trace_alert();
        let mut headers: Vec<(&str, String)> = traced.header().into_iter().collect();
        let sent = match &self.target.kind {
            TargetKind::Alertmanager => {
                let body = alertmanager::body(std::slice::from_ref(due), &self.surroundings.config.notify, now);
                self.client.post(&format!("{}/api/v2/alerts", self.target.url), &headers, &body, now)
            }
            TargetKind::Webhook { secret } => {
                let body = webhook::alert_body(row, due.inhibited_by.as_deref());
                headers.extend(webhook::headers(&secret.current(), &id, now, &body));
                self.client.post(&self.target.url, &headers, &body, now)
            }
        };
        self.end_trace(traced, slot.attempts, &sent);
        let sent = sent.and_then(|()| fault("notify.sent").map_err(unknown));
        let delivered = match self.judge(sent, &mut slot) {
            Judged::Delivered => true,
            Judged::Again => {
                self.alert_slots.insert(row.alert.id.to_string(), slot);
                // The next one need not wait for it.
                self.told_one = true;
                return;
            }
            Judged::Over(detail) => {
                match &row.origin {
                    Some(origin) => {
                        if !self.give_up(origin, Reason::Undeliverable, &detail) {
                            return;
                        }
                    }
                    // On no topic, so there is nothing that a dead letter could tell the place of.
                    None => {
                        tracing::warn!(target_name = self.target.name, detail, id, "a notification is given up");
                        self.metrics.dead_letters.with_label_values(&[&self.target.name]).inc();
                    }
                }
                false
            }
        };
        let progress = self.board.settle(row, delivered, self.now());
        self.keep(&row.alert.id, Some(progress));
        self.told_one = true;
        let _ = fault("notify.recorded");
    }

    pub(super) fn tell_item(&mut self) {
        let Some(item) = self.items.pop_front() else { return };
        let mut slot = match self.item_slot.take() {
            Some(slot) if slot.notification_id == item.notification_id => slot,
            _ => self.slot(&item.notification_id),
        };
        if Instant::now() < slot.next_at {
            self.item_slot = Some(slot);
            return self.items.push_front(item);
        }
        let TargetKind::Webhook { secret } = &self.target.kind else { return };
        let now = self.now();
        let traced = self.trace_item(item.trace);
        let mut headers: Vec<(&str, String)> = traced.header().into_iter().collect();
        headers.extend(webhook::headers(&secret.current(), &item.notification_id, now, &item.body));
        let sent = self.client.post(&self.target.url, &headers, &item.body, now);
        self.end_trace(traced, slot.attempts, &sent);
        let sent = sent.and_then(|()| fault("notify.item-sent").map_err(unknown));
        match self.judge(sent, &mut slot) {
            Judged::Delivered => {}
            Judged::Again => {
                self.item_slot = Some(slot);
                return self.items.push_front(item);
            }
            Judged::Over(detail) => {
                if !self.give_up(&item.origin, Reason::Undeliverable, &detail) {
                    return self.items.push_front(item);
                }
            }
        }
        self.done.insert(item.origin.place, item.origin.offset + 1);
    }

    fn slot(&self, notification_id: &str) -> Slot {
        let notify = &self.surroundings.config.notify;
        let pauses = ExponentialBuilder::new()
            .with_min_delay(Duration::from_millis(notify.backoff_ms))
            .with_max_delay(Duration::from_millis(notify.backoff_max_ms))
            .without_max_times()
            .with_jitter();
        Slot {
            notification_id: notification_id.to_owned(),
            attempts: 0,
            pauses: pauses.build(),
            next_at: Instant::now(),
            may_have_arrived: false,
        }
    }

    /// What the outcome of an attempt means.
    fn judge(&mut self, sent: Result<(), Failure>, slot: &mut Slot) -> Judged {
        let name = self.target.name.as_str();
        let now = Instant::now();
        let Err(failure) = sent else {
            self.circuit.succeeded();
            self.metrics.sent.with_label_values(&[name]).inc();
            if slot.may_have_arrived {
                self.metrics.repeated.with_label_values(&[name]).inc();
            }
            return Judged::Delivered;
        };
        slot.attempts += 1;
        slot.may_have_arrived |= failure.may_have_arrived;
        self.note_failure(&failure, now);
        if failure.for_good || slot.attempts >= self.surroundings.config.notify.attempts_max {
            let attempts = slot.attempts;
            return Judged::Over(format!("target {}: {}, after {attempts} attempts", self.target.name, failure.detail));
        }
        slot.next_at = now + slot.pauses.next().unwrap_or(RESEND_AGAIN);
        Judged::Again
    }

    fn note_failure(&mut self, failure: &Failure, now: Instant) {
        let name = self.target.name.as_str();
        self.metrics.failed.with_label_values(&[name]).inc();
        tracing::warn!(target_name = name, detail = failure.detail, "an attempt to notify failed");
        if let Some(pause) = failure.retry_after {
            self.quiet_until = now + pause;
        } else if !failure.for_good {
            // Who says when to come again, or why not to, is there.
            self.circuit.failed(now);
            if self.circuit.state(now) == CircuitState::Open {
                tracing::warn!(target_name = name, "the target fails again and again; it is left alone for a while");
            }
        }
    }

    /// Tells an Alertmanager what is still on.
    pub(super) fn resend(&mut self) {
        let now = self.now();
        let due = self.board.resends(now, alertmanager::BATCH_MAX);
        if due.is_empty() || !self.may_send(Instant::now()) {
            self.resend_at = Instant::now() + Duration::from_millis(500);
            return;
        }
        match self.resend_these(&due, now) {
            Ok(()) => {}
            // One of them is what it does not take: each by itself the others are taken.
            Err(failure) if failure.for_good => {
                self.note_failure(&failure, Instant::now());
                let until = Instant::now() + SINGLY_FOR;
                for due in &due {
                    match self.resend_these(std::slice::from_ref(due), now) {
                        Ok(()) => {}
                        Err(failure) if failure.for_good => self.refused(due, &failure),
                        Err(failure) => return self.resend_failed(&failure),
                    }
                    // The rest is due still.
                    if self.abandoned || Instant::now() >= until {
                        return;
                    }
                }
            }
            Err(failure) => self.resend_failed(&failure),
        }
    }

    fn resend_failed(&mut self, failure: &Failure) {
        self.note_failure(failure, Instant::now());
        self.resend_at = Instant::now() + RESEND_AGAIN;
    }

    fn resend_these(&mut self, due: &[Due], now: record::EpochMs) -> Result<(), Failure> {
        let body = alertmanager::body(due, &self.surroundings.config.notify, now);
        self.client.post(&format!("{}/api/v2/alerts", self.target.url), &[], &body, now)?;
        self.circuit.succeeded();
        self.metrics.resent.with_label_values(&[&self.target.name]).inc_by(u64::try_from(due.len()).unwrap_or(0));
        for Due { row, .. } in due {
            if let Some(progress) = self.board.resent(row, now) {
                self.keep(&row.alert.id, Some(progress));
            }
        }
        Ok(())
    }

    fn refused(&mut self, due: &Due, failure: &Failure) {
        self.note_failure(failure, Instant::now());
        let (name, id) = (&self.target.name, due.row.notification_id());
        let detail = format!("target {name}: {}, when it was told again what is on", failure.detail);
        let is_kept = match &due.row.origin {
            Some(origin) => self.give_up(origin, Reason::Undeliverable, &detail),
            None => {
                tracing::warn!(target_name = name, detail, id, "a notification is given up");
                self.metrics.dead_letters.with_label_values(&[name]).inc();
                true
            }
        };
        if is_kept {
            self.board.refused(&due.row);
        }
    }
}

/// What comes of an attempt.
enum Judged {
    Delivered,
    /// After a pause.
    Again,
    /// Never: why.
    Over(String),
}

/// It was sent, and a fault says that the answer never came.
fn unknown(detail: String) -> Failure {
    Failure { detail, for_good: false, may_have_arrived: true, retry_after: None }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use super::super::reading::tests::ending;
    use crate::roles::notify::board::tests::row;
    use crate::roles::notify::row::State;

    /// Takes alerts whose start is not "bad", of which it says that they are wrong; gives its address.
    fn alertmanager() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut reader = BufReader::new(stream.unwrap());
                let mut length = 0;
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    let (name, value) = line.split_once(':').unwrap_or_default();
                    if name.eq_ignore_ascii_case("content-length") {
                        length = value.trim().parse().unwrap();
                    }
                    if line.trim().is_empty() {
                        break;
                    }
                }
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let status = if String::from_utf8(body).unwrap().contains("warga|bad#") { 400 } else { 200 };
                let answer = format!("HTTP/1.1 {status} A\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                reader.into_inner().write_all(answer.as_bytes()).unwrap();
            }
        });
        url
    }

    #[test]
    fn of_a_batch_that_is_refused_only_the_one_that_is_wrong_becomes_a_dead_letter() {
        let (mut worker, _subscription) = ending(&alertmanager());
        let now = worker.now();
        worker.board.assigned(BTreeSet::new(), false);
        for start in ["a", "bad", "c"] {
            let on = row(start, State::Firing, 2, now);
            worker.board.take(on.clone(), 0, Some(now), false, now);
            worker.board.settle(&on, true, now - 3_600_000);
        }
        worker.resend();
        // Without a broker it cannot become one, and the process is to end: the others may have come before it or not.
        assert!(worker.abandoned, "the wrong one was met");
        let dead_letters = worker.metrics.dead_letters.with_label_values(&["pager"]).get();
        assert_eq!(dead_letters, 0, "one that is not written is not counted");
        worker.abandoned = false;
        let left: Vec<String> = worker.board.resends(now, 9).iter().map(|due| due.row.alert.id.to_string()).collect();
        let resent = worker.metrics.resent.with_label_values(&["pager"]).get();
        assert!(left.iter().any(|id| id.ends_with("|bad")), "{left:?}");
        assert_eq!(resent, 3 - left.len() as u64, "each that is well by itself");
    }
}
