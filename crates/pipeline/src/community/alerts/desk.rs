//! What responders do with alerts.

use record::{EpochMs, Outcome, Reason};
use rules::alerts::{AlertState, Rule};

use super::{ACKNOWLEDGED_MAX, Alerts, Silence};
use crate::community::Shared;
use crate::community::partition::Partition;

/// How long an acknowledgement of an alert that is not there is kept, in milliseconds: 30 days.
const KEPT_MS: i64 = 30 * 86_400_000;

impl Alerts {
    /// Acknowledges an alert. Of one that is not on it is kept: actions may be read before the interactions that they are about.
    pub(crate) fn acknowledge(&mut self, rule: Rule, started_at: EpochMs, at: EpochMs, by: &str) -> Outcome {
        match self.on[rule as usize].as_mut().filter(|on| on.started_at == started_at) {
            Some(on) if on.acknowledged.is_some() => Outcome::Stale,
            Some(on) => {
                on.acknowledge(at, by);
                self.touched |= 1 << rule as u8;
                Outcome::Acted
            }
            None => {
                let known = |held: &&(Rule, EpochMs, EpochMs, Box<str>)| (held.0, held.1) == (rule, started_at);
                if self.desk.acknowledged.iter().any(|held| known(&held)) {
                    return Outcome::Stale;
                }
                self.desk.acknowledged.retain(|(.., kept_at, _)| at - kept_at < KEPT_MS);
                if self.desk.acknowledged.len() >= ACKNOWLEDGED_MAX {
                    self.desk.acknowledged.remove(0);
                }
                self.desk.acknowledged.push((rule, started_at, at, by.into()));
                self.desk_changed = true;
                Outcome::Parked
            }
        }
    }

    /// Takes the acknowledgement that waits for an alert.
    pub(super) fn take_acknowledgement(&mut self, rule: Rule, started_at: EpochMs) -> Option<(EpochMs, Box<str>)> {
        let place = self.desk.acknowledged.iter().position(|held| (held.0, held.1) == (rule, started_at))?;
        self.desk_changed = true;
        let (.., at, by) = self.desk.acknowledged.remove(place);
        Some((at, by))
    }

    /// Silences the alerts of a rule, or of all; without an end, lifts that silence. There is one a rule at most, and one of all.
    pub(crate) fn silence(
        &mut self,
        rule: Option<Rule>,
        until: Option<EpochMs>,
        (at, by, reason): (EpochMs, &str, &str),
    ) -> Outcome {
        let same = |held: &Silence| held.rule == rule;
        if self.desk.silences.iter().any(|held| same(held) && held.at > at) {
            return Outcome::Stale;
        }
        let before = self.desk.clone();
        // Those that are over are of no use to anybody.
        self.desk.silences.retain(|held| !same(held) && held.until > at);
        if let Some(until) = until {
            self.desk.silences.push(Silence { rule, by: by.into(), at, until, reason: reason.into() });
        }
        if self.desk == before {
            return Outcome::Stale;
        }
        self.desk_changed = true;
        for of in Rule::ALL {
            let on = self.on[of as usize].is_some() && rule.is_none_or(|rule| rule == of);
            self.touched |= u8::from(on) << of as u8;
        }
        Outcome::Acted
    }

    /// Nothing is known of the community any more, nobody is there: what is on is over. True if that was anything.
    fn end_all(&mut self, watermark: EpochMs) -> bool {
        for rule in Rule::ALL {
            if let Some(on) = &mut self.on[rule as usize] {
                on.told.state = AlertState::Resolved;
                on.told.at = watermark;
                on.told.number += 1;
                self.touched |= 1 << rule as u8;
            }
        }
        self.touched != 0
    }

    /// Forgets what is over. True if that was anything.
    fn prune_desk(&mut self, watermark: EpochMs) -> bool {
        let before = self.desk.silences.len() + self.desk.acknowledged.len();
        self.desk.silences.retain(|held| held.until > watermark);
        self.desk.acknowledged.retain(|(.., at, _)| watermark - at < KEPT_MS);
        let changed = self.desk.silences.len() + self.desk.acknowledged.len() != before;
        self.desk_changed |= changed;
        changed
    }

    /// The silence that lasts longest of those that an alert is under at this time.
    pub(super) fn silenced(&self, rule: Rule, at: EpochMs) -> Option<&Silence> {
        let on = |held: &&Silence| held.rule.is_none_or(|of| of == rule) && held.until > at;
        self.desk.silences.iter().filter(on).max_by_key(|held| held.until)
    }
}

impl Partition {
    /// The community whose alerts somebody does something with. One that is not known yet is: the interactions may be read later.
    ///
    /// # Errors
    /// That too many are known by nothing else.
    pub(crate) fn desk(&mut self, community_id: &str, shared: &Shared) -> Result<u32, (Reason, String)> {
        self.has_room_for(community_id, shared)?;
        if !self.community_ids.contains_key(community_id) {
            if self.desks >= shared.parked_max {
                let detail = format!("{} unknown communities have actions already; none more is taken", self.desks);
                return Err((Reason::LimitExceeded, detail));
            }
            self.desks += 1;
        }
        let number = self.community(community_id);
        self.touched_alerts.push(number);
        self.touch(number, shared);
        Ok(number)
    }

    /// Forgets what responders said that is over, and how many communities are known by that alone.
    pub(crate) fn prune_desks(&mut self, watermark: EpochMs, shared: &Shared) {
        self.desks = 0;
        for number in 0..self.communities.len() {
            let Some(community) = self.communities[number].as_mut() else { continue };
            let windows_idle = community.windows.is_idle();
            if windows_idle && community.alerts.end_all(watermark) {
                self.touched_alerts.push(number as u32);
            }
            if community.alerts.prune_desk(watermark) || (windows_idle && community.alerts.on() > 0) {
                self.touch(number as u32, shared);
            } else {
                self.desks += usize::from(windows_idle);
            }
        }
    }
}

impl super::On {
    /// Somebody takes it.
    pub(super) fn acknowledge(&mut self, at: EpochMs, by: &str) {
        self.acknowledged = Some((at, by.into()));
        self.acknowledgements += u32::from(self.told.state != AlertState::Resolved);
    }
}
