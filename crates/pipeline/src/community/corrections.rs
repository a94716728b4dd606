//! Responders' corrections: they stand above what a model said of what was written before them.
//!
//! Of two the later made stands, for the label and for the queue each; a version of the interaction that was written after it does
//! away with it. All this is told by times in the records, so that it is the same in whichever order the two topics are read.
//!
//! A correction of an interaction that is not known (not yet, or not any more) is parked, and applied when the interaction comes.
//! So is what a responder does with an item that is not there yet: they may read it on the queue's own topic before this stage does.
//! Parked ones are bounded in number: beyond it a correction is a dead letter. One whose interaction has not come within the
//! horizon of identities after it was made is let go, and counted.

use std::collections::HashMap;

use record::{Correction, EpochMs, Label, Outcome, Reason, limits};
use rules::Routed;
use serde::{Deserialize, Serialize};
use window::Change;

use super::identity::{Entry, SlotId, write_key};
use super::items::{Act, Acts};
use super::partition::Partition;
use super::{Shared, validate};

/// The confidence of who gives a label.
pub(super) const SURE: f32 = 1.0;

/// What responders said of an interaction, and when; queues by name or by place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said<Queue> {
    pub(super) label: Option<(Label, EpochMs)>,
    pub(super) queue: Option<(Queue, EpochMs)>,
}

impl<Queue> Default for Said<Queue> {
    fn default() -> Said<Queue> {
        Said { label: None, queue: None }
    }
}

impl<Queue> Said<Queue> {
    /// Takes in what was said beside it: of each the later stands, and on a tie the other.
    fn hear(&mut self, other: Said<Queue>) {
        if other.label.as_ref().is_some_and(|(_, at)| self.label.as_ref().is_none_or(|(_, known)| known <= at)) {
            self.label = other.label;
        }
        if other.queue.as_ref().is_some_and(|(_, at)| self.queue.as_ref().is_none_or(|(_, known)| known <= at)) {
            self.queue = other.queue;
        }
    }

    /// What was said before this time was said of something else.
    fn since(self, changed_at: EpochMs) -> Said<Queue> {
        Said {
            label: self.label.filter(|&(_, at)| at >= changed_at),
            queue: self.queue.filter(|(_, at)| *at >= changed_at),
        }
    }

    /// When the last of it was said.
    fn last(&self) -> Option<EpochMs> {
        let label = self.label.as_ref().map(|(_, at)| *at);
        label.max(self.queue.as_ref().map(|(_, at)| *at))
    }
}

impl Said<String> {
    fn of(correction: &Correction<'_>) -> Said<String> {
        Said {
            label: correction.label.map(|label| (label, correction.at)),
            queue: correction.queue.as_deref().map(|queue| (queue.to_owned(), correction.at)),
        }
    }
}

/// What waits for one interaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) said: Said<String>,
    pub(super) acts: Acts,
    /// When the last action was.
    acted_at: Option<EpochMs>,
    /// It is of an interaction that is known, and goes with it.
    known: bool,
}

impl Kept {
    /// An erasure, which is kept until this time is past the horizon. It counts as of something known, so that nobody takes it for
    /// a correction that waits in vain.
    pub(super) fn of_erasure(at: EpochMs) -> Kept {
        Kept { acted_at: Some(at), known: true, ..Kept::default() }
    }

    /// The time of an erasure.
    pub(super) fn erased_at(&self) -> Option<EpochMs> {
        self.acted_at
    }
}

/// Corrections and actions that wait for their interactions, by key in the index.
#[derive(Debug, Default)]
pub(super) struct Parked {
    waiting: HashMap<Box<[u8]>, Kept, ahash::RandomState>,
    /// Those of which the changelog does not know what is known here.
    changed: Vec<Box<[u8]>>,
    /// How many are of interactions that are known.
    known: usize,
    pub(super) expired: u64,
}

impl Parked {
    pub(super) fn len(&self) -> usize {
        self.waiting.len() - self.known
    }

    /// What is kept for an interaction.
    ///
    /// # Errors
    /// That there is no room for another.
    fn kept(&mut self, key: &[u8], most: usize) -> Result<&mut Kept, (Reason, String)> {
        if !self.waiting.contains_key(key) {
            if self.len() >= most {
                let detail =
                    format!("{most} corrections or actions of unknown interactions wait already; none more is taken");
                return Err((Reason::LimitExceeded, detail));
            }
            self.waiting.insert(key.into(), Kept::default());
        }
        self.changed.push(key.into());
        Ok(self.waiting.entry(key.into()).or_default())
    }

    /// Keeps what a responder does with an item that is not there yet.
    ///
    /// # Errors
    /// That there is no room.
    pub(super) fn park_act(
        &mut self,
        key: &[u8],
        act: Act,
        at: EpochMs,
        most: usize,
    ) -> Result<Outcome, (Reason, String)> {
        let mut acts = self.waiting.get(key).map(|kept| kept.acts.clone()).unwrap_or_default();
        let done = act.apply(&mut acts);
        if !done {
            return Ok(Outcome::Stale);
        }
        let kept = self.kept(key, most)?;
        kept.acts = acts;
        kept.acted_at = kept.acted_at.max(Some(at));
        Ok(Outcome::Parked)
    }

    /// Keeps what was done with an item that is gone, for when it comes again.
    pub(super) fn keep_acts(&mut self, key: &[u8], acts: Acts) {
        let acted_at = acts.last();
        let kept = self.waiting.entry(key.into()).or_default();
        kept.acts = acts;
        kept.acted_at = kept.acted_at.max(acted_at);
        self.known += usize::from(!kept.known);
        kept.known = true;
        self.changed.push(key.into());
    }

    /// Forgets what waits for an interaction, or stands for when it comes again.
    pub(super) fn forget(&mut self, key: &[u8]) {
        if let Some(kept) = self.waiting.remove(key) {
            self.known -= usize::from(kept.known);
            self.changed.push(key.into());
        }
    }

    fn take_said(&mut self, key: &[u8]) -> Option<Said<String>> {
        self.take(key, |kept| std::mem::take(&mut kept.said))
    }

    /// What responders did with an item before it was there.
    pub(super) fn take_acts(&mut self, key: &[u8]) -> Option<Acts> {
        self.take(key, |kept| std::mem::take(&mut kept.acts))
    }

    fn take<T>(&mut self, key: &[u8], part: impl FnOnce(&mut Kept) -> T) -> Option<T> {
        if self.waiting.is_empty() {
            return None;
        }
        let kept = self.waiting.get_mut(key)?;
        let part = part(kept);
        if kept.said == Said::default() && kept.acts.is_empty() {
            let gone = self.waiting.remove(key);
            self.known -= usize::from(gone.is_some_and(|gone| gone.known));
        }
        self.changed.push(key.into());
        Some(part)
    }

    /// Lets go of those that were made before this time.
    pub(super) fn expire(&mut self, before: EpochMs) {
        let Parked { waiting, changed, expired, known } = self;
        waiting.retain(|key, kept| {
            let keep = kept.said.last().max(kept.acted_at) >= Some(before);
            if !keep {
                changed.push(key.clone());
                *expired += u64::from(!kept.known);
                *known -= usize::from(kept.known);
            }
            keep
        });
    }

    /// What changed since the last call, for the changelog; `None` where it is gone.
    pub(super) fn take_changed(&mut self, mut see: impl FnMut(&[u8], Option<&Kept>)) {
        for key in self.changed.drain(..) {
            see(&key, self.waiting.get(&key));
        }
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    pub(super) fn restore(&mut self, key: &[u8], kept: Option<Kept>) {
        match kept {
            Some(kept) => {
                self.known += usize::from(kept.known);
                self.waiting.insert(key.into(), kept)
            }
            None => self.waiting.remove(key),
        }
        .inspect(|before| self.known -= usize::from(before.known));
    }
}

impl Partition {
    /// Takes in a correction.
    ///
    /// # Errors
    /// That it is a dead letter: of a queue that is not configured, or when too many are parked.
    pub(super) fn correct(
        &mut self,
        correction: &Correction<'_>,
        shared: &Shared,
    ) -> Result<Outcome, (Reason, String)> {
        let is_nowhere = correction.queue.as_deref().is_some_and(|queue| {
            shared.routing.position(queue).is_none() && !self.queue_names.iter().any(|known| **known == *queue)
        });
        if is_nowhere && correction.label.is_none() {
            return Err((Reason::Malformed, "there is no queue of that name".to_owned()));
        }
        let mut said = Said::of(correction);
        if is_nowhere {
            // What it says of the label holds all the same: a rebuild meets queues that are gone.
            said.queue = None;
        }
        let mut key = Vec::new();
        write_key(&correction.community_id, correction.kind, &correction.id, &mut key);
        let Some(slot) = self.index.find(&key) else {
            self.parked.kept(&key, shared.parked_max)?.said.hear(said);
            return Ok(Outcome::Parked);
        };
        Ok(self.correct_known(slot, &said, shared))
    }

    fn correct_known(&mut self, slot: SlotId, said: &Said<String>, shared: &Shared) -> Outcome {
        let old = self.index.slot(slot).entry;
        let queue = said.queue.as_ref().map(|(name, at)| (self.queue_number(name), *at));
        let Some((community_id, kind, _)) = self.index.slot(slot).identity() else { return Outcome::Dropped };
        let community_id = community_id.to_owned();
        let mut new = self.corrected(old, Said { label: said.label, queue }, &community_id, shared);
        if new == old {
            return Outcome::Stale;
        }
        let outcome = if new.is_counted() {
            self.retract(&community_id, kind, &old, shared);
            match self.count(&community_id, kind, &mut new, Change::Restate, shared) {
                Outcome::Late => Outcome::Late,
                _ => Outcome::Corrected,
            }
        } else if new.deleted {
            // What was said is kept for when it comes again.
            Outcome::Corrected
        } else {
            Outcome::Late
        };
        self.set_entry(slot, new);
        self.settle_answers(slot, Some(old), None, shared);
        self.item_corrected(slot, &old, said.queue.as_ref().map(|(_, at)| *at));
        outcome
    }

    /// An entry as responders say that it is: by what is known of that, and by this. A label puts it where routing, with all of its
    /// rules, would have put it if the classifier had been sure of that.
    pub(super) fn corrected(&mut self, entry: Entry, said: Said<u8>, community_id: &str, shared: &Shared) -> Entry {
        let mut all = entry.said;
        all.hear(said);
        let said = all.since(entry.version.changed_at);
        if entry.deleted {
            return Entry { said, ..entry };
        }
        let label = said.label.map(|(label, _)| label);
        // Who gives a label is sure of it.
        let abstained = entry.abstained && label.is_none();
        let entry = Entry { label: label.unwrap_or(entry.label), abstained, said, ..entry };
        let queue = match (said.queue, label) {
            (Some((queue, _)), _) => Some(queue),
            (None, Some(_)) => match shared.routing.route(&entry.routable(community_id, SURE)) {
                Routed::Queue(route) => Some(self.queue_number(&route.queue.spec.name)),
                Routed::Unqueued => None,
            },
            (None, None) => entry.queue,
        };
        Entry { queue, listed: entry.listed || queue.is_some(), ..entry }
    }

    /// What was said of an interaction that came.
    pub(super) fn unpark(&mut self, key: &[u8]) -> Said<u8> {
        let Some(said) = self.parked.take_said(key) else { return Said::default() };
        Said { label: said.label, queue: said.queue.map(|(name, at)| (self.queue_number(&name), at)) }
    }
}

/// Checks a correction; `latest` is the latest time at which it may have been made.
///
/// # Errors
/// Why it is a dead letter, or would be, and what would be right.
pub fn check_correction(correction: &Correction<'_>, latest: EpochMs) -> Result<(), (Reason, String)> {
    let lengths = [
        ("community_id", correction.community_id.len()),
        ("id", correction.id.len()),
        ("by", correction.by.len()),
        ("queue", correction.queue.as_ref().map_or(0, |queue| queue.len())),
    ];
    if let Some((field, length)) = lengths.into_iter().find(|&(_, length)| length > limits::ID_BYTES) {
        let detail = format!("{field} has {length} bytes; at most {} are right", limits::ID_BYTES);
        return Err((Reason::LimitExceeded, detail));
    }
    if correction.community_id.is_empty() || correction.id.is_empty() || correction.by.is_empty() {
        return Err((Reason::MissingField, "community_id, id or by is empty".to_owned()));
    }
    if correction.label.is_none() && correction.queue.is_none() {
        return Err((Reason::MissingField, "neither a label nor a queue: one of them is to be corrected".to_owned()));
    }
    validate::time("at", correction.at, latest)
}
