//! What one target is to be told of alerts, and when. No clock, no network, no broker: rows and times come in, what is due comes out.

mod blind;
mod entry;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use record::EpochMs;

use self::blind::{blind_id, blind_row, inhibited_by, is_of_kind};
use self::entry::{Entry, Source, Waiting};
use super::row::{BLIND, Progress, Row, State, Told};
use super::standing::{Blindness, Standing};
use crate::config::Filter;

/// Most changes of one alert's state that wait; of more the oldest is not told.
const WAITING_MAX: usize = 16;
/// For how long it is remembered that the end of an alert was told: longer than the longest `notify.behind_ms`.
const KEEP_MS: i64 = 2 * 3_600_000;

/// What the board needs to know.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) filter: Filter,
    pub(super) behind_ms: i64,
    pub(super) alerts_max: usize,
    pub(super) resend_ms: i64,
}

/// Why something is not told, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// Another change followed it while the notifier or the pipeline was behind.
    Superseded,
    /// It was over before the target could be told that it was on.
    CameAndWent,
    /// It is silenced.
    Silenced,
    /// It is not believed while the system does not see everything.
    Inhibited,
    /// There are more alerts than may be known.
    Limit,
}

impl Why {
    pub(super) const ALL: [Why; 5] = [Why::Superseded, Why::CameAndWent, Why::Silenced, Why::Inhibited, Why::Limit];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Why::Superseded => "superseded",
            Why::CameAndWent => "came_and_went",
            Why::Silenced => "silenced",
            Why::Inhibited => "inhibited",
            Why::Limit => "limit",
        }
    }
}

/// Something that happened on the board, to be counted and logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Note {
    /// This notification is never sent.
    Unsent { notification_id: String, why: Why },
    /// This one waits for a reason to go.
    Held { notification_id: String, why: Why },
}

/// A notification that is due.
#[derive(Debug, Clone)]
pub(super) struct Due {
    pub(super) row: Arc<Row>,
    /// It may have been told already.
    pub(super) may_be_repeat: bool,
    /// What the target was told before.
    pub(super) before: Option<Told>,
    /// Why it would be inhibited if it were new.
    pub(super) inhibited_by: Option<String>,
}

/// What one target is to be told.
#[derive(Debug)]
pub(super) struct Board {
    rules: Rules,
    entries: HashMap<String, Entry>,
    /// The alerts with something waiting.
    busy: BTreeSet<String>,
    next_number: u64,
    /// Partitions that were not read to their ends.
    catching_up: BTreeSet<i32>,
    /// `None`: nobody has looked how the pipeline stands.
    behind: Option<bool>,
    /// It is known to lag.
    lags: bool,
    /// What is known of blindness is all.
    settled: bool,
    blind: Vec<Blindness>,
    tells_blindness: bool,
    notes: Vec<Note>,
}

impl Board {
    pub(super) fn new(rules: Rules) -> Board {
        Board {
            rules,
            entries: HashMap::new(),
            busy: BTreeSet::new(),
            next_number: 0,
            catching_up: BTreeSet::new(),
            behind: None,
            lags: false,
            settled: false,
            blind: Vec::new(),
            tells_blindness: false,
            notes: Vec::new(),
        }
    }

    /// Begins anew with these partitions, each to be read from its beginning; `tells_blindness`: no other replica does.
    pub(super) fn assigned(&mut self, partitions: BTreeSet<i32>, tells_blindness: bool) {
        self.entries.clear();
        self.busy.clear();
        self.catching_up = partitions;
        self.tells_blindness = tells_blindness;
    }

    /// What the target was told of an alert, from before; `partition` is `None` for the system's own.
    pub(super) fn restore(&mut self, id: &str, partition: Option<i32>, progress: Progress) {
        let source = partition.map_or(Source::Observer, Source::Partition);
        self.entries.insert(id.to_owned(), Entry { progress, ..Entry::new(source) });
    }

    /// Takes a row in, in the order of its partition.
    ///
    /// `seen`: an earlier run took it in already, and counted what became of it.
    pub(super) fn take(&mut self, row: Row, partition: i32, written_at: Option<EpochMs>, seen: bool, now: EpochMs) {
        if written_at.is_some_and(|at| now - at > self.rules.behind_ms) {
            // What follows may say something else already.
            self.catching_up.insert(partition);
        }
        self.take_from(Source::Partition(partition), row, written_at, seen, now);
    }

    fn take_from(&mut self, source: Source, row: Row, written_at: Option<EpochMs>, seen: bool, now: EpochMs) {
        let alert = &row.alert;
        let passes = match source {
            Source::Partition(_) => self.rules.filter.lets(&alert.rule, &alert.severity, &alert.community_id),
            Source::Observer => self.rules.filter.lets_rule(BLIND),
        };
        let id = alert.id.to_string();
        if !self.entries.contains_key(&id) {
            if !passes || row.state == State::Pending || (row.state == State::Resolved && alert.fired_at.is_none()) {
                return;
            }
            if row.state == State::Resolved {
                // Nobody was told that it was on, nor ever will be.
                if !seen {
                    self.notes.push(Note::Unsent { notification_id: row.notification_id(), why: Why::CameAndWent });
                }
                return;
            }
            if self.entries.len() >= self.rules.alerts_max && !self.make_room() {
                self.notes.push(Note::Unsent { notification_id: row.notification_id(), why: Why::Limit });
                return;
            }
            self.entries.insert(id.clone(), Entry::new(source));
        }
        let Some(entry) = self.entries.get_mut(&id) else { return };
        if !passes && !entry.progress.may_be_on() && entry.waiting.is_empty() {
            return;
        }
        entry.source = source;
        let is_old = |at: EpochMs| now - at > self.rules.behind_ms;
        let late =
            source != Source::Observer && (self.lags || written_at.is_some_and(is_old) || is_old(row.changed_at()));
        let row = Arc::new(entry.numbered(row));
        if entry.is_news(&row) {
            let number = self.next_number;
            self.next_number += 1;
            entry.waiting.push_back(Waiting { row: Arc::clone(&row), late, seen, number, since: now });
            if entry.waiting.len() > WAITING_MAX {
                entry.drop_first(Why::Superseded, &mut self.notes);
            }
            self.busy.insert(id);
        } else if let Some(waiting) = entry.waiting.back_mut()
            && waiting.row.alert.transition == row.alert.transition
            && entry.progress.intended != Some(row.alert.transition)
        {
            // Newer figures of what nobody was told yet.
            waiting.row = Arc::clone(&row);
        }
        entry.latest = row.state.is_on().then_some(row);
    }

    /// An alert's row is gone from its topic; true if what was kept of it is to go, too.
    pub(super) fn forget(&mut self, id: &str) -> bool {
        if let Some(entry) = self.entries.get_mut(id)
            && entry.progress.may_be_on()
            && let Some(mut end) = entry.waiting.pop_back().filter(|last| last.row.state == State::Resolved)
        {
            // Who was told that it is on is told that it is over, without what is to be forgotten: no samples, and no dead letter with
            // the row as it was.
            let row = Arc::make_mut(&mut end.row);
            row.alert.samples.clear();
            row.origin = None;
            entry.waiting = VecDeque::from([end]);
            entry.latest = None;
            return false;
        }
        self.busy.remove(id);
        self.entries.remove(id).is_some_and(|entry| entry.progress != Progress::default())
    }

    /// A partition was read to its end.
    pub(super) fn reached_end(&mut self, partition: i32) {
        self.catching_up.remove(&partition);
    }

    /// Everything that was written is known.
    pub(super) fn has_caught_up(&self) -> bool {
        self.catching_up.is_empty()
    }

    /// Takes in how the pipeline stands; `None`: nobody has looked.
    pub(super) fn observe(&mut self, standing: Option<&Standing>, now: EpochMs) {
        let Some(standing) = standing else {
            (self.behind, self.lags, self.settled) = (None, false, false);
            return;
        };
        if standing.lags && !self.lags {
            let others = self.entries.values_mut().filter(|entry| entry.source != Source::Observer);
            others.flat_map(|entry| &mut entry.waiting).for_each(|waiting| waiting.late = true);
        }
        (self.behind, self.lags, self.settled) = (Some(standing.behind.is_some()), standing.lags, standing.settled);
        if self.blind != standing.blind {
            self.blind.clone_from(&standing.blind);
        }
        if self.tells_blindness {
            self.tell_blindness(now);
        }
    }

    /// What is told already goes on under its id, whenever an observer that has just begun says that it began.
    fn tell_blindness(&mut self, now: EpochMs) {
        let lasts =
            |(id, entry): (&String, &Entry)| (entry.source == Source::Observer && !entry.is_over()).then(|| id.clone());
        let lasting: Vec<String> = self.entries.iter().filter_map(lasts).collect();
        let known = |blindness: &Blindness| lasting.iter().find(|id| is_of_kind(id, blindness.kind)).cloned();
        let id_of = |blindness: &Blindness| known(blindness).unwrap_or_else(|| blind_id(blindness));
        let current: BTreeMap<String, Blindness> =
            self.blind.iter().map(|blindness| (id_of(blindness), blindness.clone())).collect();
        for id in &lasting {
            if self.settled && !current.contains_key(id) {
                let row = blind_row(id, State::Resolved, None, now);
                self.take_from(Source::Observer, row, None, false, now);
            }
        }
        for (id, blindness) in current {
            if self.entries.get(&id).is_none_or(|entry| entry.latest.is_none()) {
                let row = blind_row(&id, State::Firing, Some(&blindness), now);
                self.take_from(Source::Observer, row, None, false, now);
            }
        }
    }

    /// What is to be told next, if anything: the change of state that has waited longest, of the alerts that may be told of now.
    pub(super) fn next(&mut self, now: EpochMs, may: impl Fn(&str) -> bool) -> Option<Due> {
        let ready = self.behind == Some(false) && self.catching_up.is_empty();
        let mut first: Option<(u64, String)> = None;
        for id in self.busy.iter().cloned().collect::<Vec<_>>() {
            let Some(entry) = self.entries.get_mut(&id) else {
                self.busy.remove(&id);
                continue;
            };
            if !ready && entry.source != Source::Observer {
                continue;
            }
            while entry.waiting.len() > 1 && entry.waiting[0].late {
                entry.drop_first(entry.held.unwrap_or(Why::Superseded), &mut self.notes);
            }
            let hold = entry.hold(!self.blind.is_empty() || !self.settled, now);
            if let Some(why) = hold {
                entry.keep_back(why, &mut self.notes);
            }
            entry.held = hold;
            let over_unseen = |entry: &Entry| {
                let waiting = entry.waiting.front();
                waiting.is_some_and(|waiting| waiting.row.state == State::Resolved) && !entry.progress.may_be_on()
            };
            while over_unseen(entry) {
                entry.drop_first(hold.unwrap_or(Why::CameAndWent), &mut self.notes);
            }
            match entry.waiting.front() {
                None => {
                    self.busy.remove(&id);
                    if entry.progress == Progress::default() && entry.latest.is_none() {
                        self.entries.remove(&id);
                    }
                }
                Some(waiting) if hold.is_some() && waiting.row.state.is_on() => {}
                Some(_) if !may(&id) => {}
                Some(waiting) => {
                    if first.as_ref().is_none_or(|(number, _)| waiting.number < *number) {
                        first = Some((waiting.number, id));
                    }
                }
            }
        }
        let (_, id) = first?;
        let entry = self.entries.get(&id)?;
        let row = Arc::clone(&entry.waiting.front()?.row);
        Some(Due {
            may_be_repeat: entry.progress.intended == Some(row.alert.transition),
            before: entry.progress.told.clone(),
            inhibited_by: inhibited_by(&row, &self.blind),
            row,
        })
    }

    /// Something of an alert waits to be told.
    pub(super) fn waits(&self, id: &str) -> bool {
        self.busy.contains(id)
    }

    /// A notification is about to be sent: what is to be kept of it before that.
    pub(super) fn intend(&mut self, row: &Row) -> Progress {
        let Some(entry) = self.entries.get_mut(row.alert.id.as_ref()) else { return Progress::default() };
        entry.progress.intended = Some(row.alert.transition);
        entry.progress.clone()
    }

    /// A notification was delivered, or given up: what is to be kept of it.
    pub(super) fn settle(&mut self, row: &Row, delivered: bool, now: EpochMs) -> Progress {
        let id = row.alert.id.as_ref();
        let Some(entry) = self.entries.get_mut(id) else { return Progress::default() };
        if entry.waiting.front().is_some_and(|waiting| waiting.row.alert.transition == row.alert.transition) {
            entry.waiting.pop_front();
        }
        if entry.waiting.is_empty() {
            self.busy.remove(id);
        }
        entry.progress = Progress { told: Some(told(row, delivered, now)), intended: None };
        // Who was not reached is tried again soon.
        entry.resend_at = if delivered { now + self.rules.resend_ms } else { now };
        entry.progress.clone()
    }

    /// Alerts that are on, which an Alertmanager is to be told of again: `max` at most.
    pub(super) fn resends(&self, now: EpochMs, max: usize) -> Vec<Due> {
        if !self.catching_up.is_empty() {
            return Vec::new();
        }
        let is_due = |entry: &&Entry| {
            let silenced = entry.latest.as_ref().is_some_and(|row| is_silenced(row, now));
            let refused =
                entry.refused.is_some() && entry.refused == entry.progress.told.as_ref().map(|told| told.transition);
            entry.waiting.is_empty() && entry.progress.told.is_some() && entry.resend_at <= now && !silenced && !refused
        };
        let due = self.entries.values().filter(is_due).filter_map(|entry| {
            let row = entry.latest.clone()?;
            let inhibited_by = inhibited_by(&row, &self.blind);
            Some(Due { row, may_be_repeat: true, before: entry.progress.told.clone(), inhibited_by })
        });
        due.take(max).collect()
    }

    /// An Alertmanager was told again; what is to be kept, if that is something else than before.
    pub(super) fn resent(&mut self, row: &Row, now: EpochMs) -> Option<Progress> {
        let entry = self.entries.get_mut(row.alert.id.as_ref())?;
        entry.resend_at = now + self.rules.resend_ms;
        let before = entry.progress.told.clone()?;
        let same =
            before.delivered && before.severity == row.alert.severity && before.coordinated == row.alert.coordinated;
        if same {
            return None;
        }
        entry.progress.told = Some(Told { transition: before.transition, ..told(row, true, now) });
        Some(entry.progress.clone())
    }

    /// An Alertmanager refuses this alert for good: it is not told again what is on until its state changes.
    pub(super) fn refused(&mut self, row: &Row) {
        if let Some(entry) = self.entries.get_mut(row.alert.id.as_ref()) {
            entry.refused = entry.progress.told.as_ref().map(|told| told.transition);
        }
    }

    /// Forgets alerts whose end was told long ago, and those whose rows are gone; gives their ids.
    pub(super) fn sweep(&mut self, now: EpochMs) -> Vec<String> {
        if !self.catching_up.is_empty() {
            return Vec::new();
        }
        let is_old = |entry: &Entry| {
            let at = entry.progress.told.as_ref().map(|told| told.at);
            let from_topic = entry.source != Source::Observer || entry.is_over();
            entry.waiting.is_empty() && entry.latest.is_none() && from_topic && at.is_none_or(|at| now - at > KEEP_MS)
        };
        let old: Vec<String> =
            self.entries.iter().filter(|(_, entry)| is_old(entry)).map(|(id, _)| id.clone()).collect();
        for id in &old {
            self.entries.remove(id);
        }
        old
    }

    /// What happened since the last time.
    pub(super) fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// How many notifications could be sent now, and since when the oldest of them waits.
    pub(super) fn backlog(&self) -> (usize, Option<EpochMs>) {
        let entries = self.busy.iter().filter_map(|id| self.entries.get(id)).filter(|entry| entry.held.is_none());
        entries.flat_map(|entry| &entry.waiting).fold((0, None), |(count, oldest), waiting| {
            (count + 1, Some(oldest.map_or(waiting.since, |oldest: EpochMs| oldest.min(waiting.since))))
        })
    }

    /// Forgets the ends of alerts that were told, before their time; false if there are none.
    fn make_room(&mut self) -> bool {
        let before = self.entries.len();
        self.entries.retain(|_, entry| !(entry.is_over() && entry.waiting.is_empty()));
        self.entries.len() < before
    }
}

fn told(row: &Row, delivered: bool, now: EpochMs) -> Told {
    Told {
        transition: row.alert.transition,
        state: row.state,
        delivered,
        severity: row.alert.severity.to_string(),
        coordinated: row.alert.coordinated,
        at: now,
    }
}

fn is_silenced(row: &Row, now: EpochMs) -> bool {
    row.alert.silenced_until.is_some_and(|until| until > now)
}

#[cfg(test)]
pub(super) mod tests;
