//! A person asked to be forgotten: what they wrote in a community before a time is taken out, and stays out.
//!
//! An erasure names an author's key, a community and a time. What is known of theirs that was made before then is taken out of the
//! aggregates as a retraction would, and out of everything that is kept; what comes again of it, by a replay or a crawler, is
//! dropped. Both follow from times in the records, so that it is the same in whichever order they are read.
//!
//! Somebody who is known under the pseudonyms of two secrets (`aliases.rs`) is forgotten under both, whichever is named, and whenever
//! it is heard that both are theirs; with the last that is known of them here go the links.
//!
//! What is remembered for that is a hash of the author and the community, and the time, until everything older is below the low mark,
//! where nothing is taken in anyhow. In the changelog it stands among what is parked, under a community without a name: earlier
//! versions of this program read it there, do nothing with it, and let go of it at the same time.

use std::collections::{HashMap, HashSet};

use record::stage::{Outputs, Step};
use record::{ClassifiedInteraction, EpochMs, Identity, Outcome, Reason, Role};
use sha2::{Digest, Sha256};
use window::MemberKey;

use super::aliases::Aliases;
use super::changelog::ChangelogWriter;
use super::corrections::Kept;
use super::identity::{Entry, IdentityIndex, SlotId};
use super::partition::{Community, Partition, member_of};
use super::state_version::WITH_ALIASES;
use super::{CommunityStage, Shared};
use crate::dead_letters::hex;

/// So many are remembered whatever `parked_max` is: who is forgotten must not depend on how much else is parked.
const ERASURES_MIN: usize = 10_000;

/// What stands for an author in a community: 16 bytes of SHA-256 of both. Who has the changelog learns no author's key from it.
pub(super) type ErasureKey = [u8; 16];

/// Segments of ids that are rewritten in one commit.
const SEGMENTS_AT_ONCE: usize = 128;

/// Who is to be forgotten, and what was said before when.
#[derive(Debug, Default)]
pub(super) struct Erasures {
    at: HashMap<ErasureKey, EpochMs, ahash::RandomState>,
    /// The latest of the times: what is made after it needs no closer look.
    latest: Option<EpochMs>,
    /// Those of which the changelog does not know what is known here.
    changed: Vec<ErasureKey>,
}

impl Erasures {
    /// Whether there is room for an erasure, or it is known.
    ///
    /// # Errors
    /// That there is none.
    fn has_room(&self, key: ErasureKey, most: usize) -> Result<(), (Reason, String)> {
        if self.at.len() < most || self.at.contains_key(&key) {
            return Ok(());
        }
        let detail =
            format!("{most} erasures are remembered already; none more is taken until some are past the horizon");
        Err((Reason::LimitExceeded, detail))
    }

    /// Remembers an erasure; false if a later one is known.
    fn remember(&mut self, key: ErasureKey, at: EpochMs) -> bool {
        if self.at.get(&key) >= Some(&at) {
            return false;
        }
        self.restore(key, at);
        self.changed.push(key);
        true
    }

    /// Whether this is to stay out: under any of the names that it comes with, or the one that stands for them.
    pub(super) fn take(&self, interaction: &ClassifiedInteraction<'_>, aliases: &Aliases) -> bool {
        if self.latest <= Some(interaction.created_at) || interaction.author_role == Role::Brand {
            return false;
        }
        let is_out = |name| self.is_before(&interaction.community_id, name, interaction.created_at);
        let named = [&interaction.author_key, &interaction.previous_author_key];
        named.into_iter().flatten().map(|name| member_of(name)).any(|name| {
            let stands = aliases.resolve(name);
            is_out(name) || (stands != name && is_out(stands))
        })
    }

    fn is_before(&self, community_id: &str, member: MemberKey, at: EpochMs) -> bool {
        self.of(community_id, member).is_some_and(|erased_at| at < erased_at)
    }

    /// Until when what somebody wrote in a community is to stay out.
    fn of(&self, community_id: &str, member: MemberKey) -> Option<EpochMs> {
        self.at.get(&key_of(community_id, member)).copied()
    }

    /// Those of the index that are to stay out: after a restore also what segments hold that are not rewritten yet.
    fn of_index(&self, index: &IdentityIndex) -> Vec<SlotId> {
        let Some(latest) = self.latest else { return Vec::new() };
        let erased = index.iter().filter(|(_, slot)| {
            let Entry { author: Some(author), event_time, .. } = slot.entry else { return false };
            event_time < latest
                && slot.identity().is_some_and(|(community_id, ..)| self.is_before(community_id, author, event_time))
        });
        erased.map(|(id, _)| id).collect()
    }

    /// Lets go of those before which nothing is taken in any more.
    pub(super) fn expire(&mut self, low_mark: EpochMs) {
        let Erasures { at, changed, .. } = self;
        at.retain(|key, at| {
            if *at < low_mark {
                changed.push(*key);
            }
            *at >= low_mark
        });
        self.latest = self.at.values().max().copied();
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What changed since the last call, for the changelog.
    pub(super) fn write_changed(&mut self, writer: &mut ChangelogWriter<'_>) {
        for key in self.changed.drain(..) {
            let kept = self.at.get(&key).map(|at| Kept::of_erasure(*at));
            writer.erasure(&hex(&key), kept.as_ref());
        }
    }

    pub(super) fn forget_changes(&mut self) {
        self.changed.clear();
    }

    /// Takes back what the changelog holds, by the id under which it is parked. False if it is none of these.
    pub(super) fn restored(&mut self, id: &str, kept: Option<&Kept>) -> bool {
        let Some(key) = u128::from_str_radix(id, 16).ok().map(u128::to_be_bytes) else { return false };
        match kept.and_then(Kept::erased_at) {
            Some(at) => self.restore(key, at),
            None => {
                self.at.remove(&key);
            }
        }
        true
    }

    fn restore(&mut self, key: ErasureKey, at: EpochMs) {
        self.at.insert(key, at);
        self.latest = self.latest.max(Some(at));
    }
}

fn key_of(community_id: &str, member: MemberKey) -> ErasureKey {
    let mut hash = Sha256::new();
    hash.update((community_id.len() as u64).to_le_bytes());
    hash.update(community_id);
    hash.update(member.0);
    hash.finalize().first_chunk().copied().unwrap_or_default()
}

impl Partition {
    /// Takes out what an author wrote in a community before a time, under whichever name.
    ///
    /// # Errors
    /// That it is a dead letter: too many are remembered.
    pub(super) fn erase(
        &mut self,
        (community_id, author_key): (&str, &str),
        at: EpochMs,
        shared: &Shared,
    ) -> Result<Outcome, (Reason, String)> {
        let name = member_of(author_key);
        self.erasures.has_room(key_of(community_id, name), shared.parked_max.max(ERASURES_MIN))?;
        let names = self.aliases.names_of(name);
        Ok(if self.forget(community_id, &names, at, shared) { Outcome::Acted } else { Outcome::Stale })
    }

    /// A record says that two names are one person's. Who is to be forgotten under one of them is so under the other: that may have been
    /// asked for before anybody knew of this. There is always room for that, as much as for what was asked.
    pub(super) fn share_erasures(&mut self, interaction: &ClassifiedInteraction<'_>, shared: &Shared) {
        let (Some(newer), Some(previous)) = (&interaction.author_key, &interaction.previous_author_key) else { return };
        if self.erasures.at.is_empty() || interaction.author_role == Role::Brand {
            return;
        }
        let names = [member_of(newer), member_of(previous)];
        let keeps_links = self.version.to_write(shared.state_version) >= WITH_ALIASES;
        // What is asked for later is done under both.
        if keeps_links && self.aliases.resolve(names[0]) == self.aliases.resolve(names[1]) {
            return;
        }
        if self.share(&interaction.community_id, names, shared) && keeps_links {
            // They are one person elsewhere too. If this is not linked now, as it is to stay out, who knows when it will be.
            let knows = |community: &&Community| names.iter().any(|&name| community.windows.first_seen(name).is_some());
            let elsewhere = self.communities.iter().flatten().filter(knows).map(|community| community.id.clone());
            for community_id in elsewhere.collect::<Vec<_>>() {
                self.share(&community_id, names, shared);
            }
        }
    }

    /// Persons have another name from now on. Where they are known under it, and were to be forgotten under one before, they are now.
    pub(super) fn share_turned(
        &mut self,
        renamed: &HashMap<MemberKey, MemberKey, ahash::RandomState>,
        shared: &Shared,
    ) {
        if self.erasures.at.is_empty() {
            return;
        }
        let mut before: HashMap<MemberKey, Vec<MemberKey>, ahash::RandomState> = HashMap::default();
        for (&name, &turned) in renamed {
            before.entry(turned).or_default().push(name);
        }
        let mut met: Vec<(String, [MemberKey; 2])> = Vec::new();
        for community in self.communities.iter().flatten() {
            let known = community.windows.member_keys().filter_map(|member| Some((member, before.get(&member)?)));
            let pairs = known.flat_map(|(member, names)| names.iter().map(move |&name| [member, name]));
            let erased = pairs.filter(|names| self.erasures.of(&community.id, names[1]).is_some());
            met.extend(erased.map(|names| (community.id.to_string(), names)));
        }
        for (community_id, names) in met {
            self.share(&community_id, names, shared);
        }
    }

    /// True if there was something to share.
    fn share(&mut self, community_id: &str, names: [MemberKey; 2], shared: &Shared) -> bool {
        let [one, other] = names.map(|name| self.erasures.of(community_id, name));
        if one != other
            && let Some(at) = one.max(other)
        {
            let names = names.map(|name| self.aliases.names_of(name)).concat();
            return self.forget(community_id, &names, at, shared);
        }
        false
    }

    /// Takes out what a person of these names wrote in a community before a time; false if that is done already.
    fn forget(&mut self, community_id: &str, names: &[MemberKey], at: EpochMs, shared: &Shared) -> bool {
        let mut is_new = false;
        for &name in names {
            is_new |= self.erasures.remember(key_of(community_id, name), at);
        }
        if !is_new {
            return false;
        }
        let theirs = self.index.iter().filter(|(_, slot)| {
            slot.entry.author.is_some_and(|author| names.contains(&author))
                && slot.entry.event_time < at
                && slot.identity().is_some_and(|(of, ..)| of == community_id)
        });
        let theirs: Vec<SlotId> = theirs.map(|(id, _)| id).collect();
        let mut gone: HashSet<Box<str>> = HashSet::new();
        for slot in theirs {
            gone.extend(self.take_out(slot, shared));
        }
        // Their places are free: nothing may find them there.
        let index = &self.index;
        self.changed.retain(|&id| index.is_taken(id));
        self.leaving.retain(|&(_, id)| index.is_taken(id));
        self.gone_from(community_id, names, &gone, shared);
        true
    }

    /// What these rows were of, by a person of these names, was taken out: it goes out of members, alerts and segments too.
    fn gone_from(&mut self, community_id: &str, names: &[MemberKey], gone: &HashSet<Box<str>>, shared: &Shared) {
        let watermark = self.watermark.value();
        if let Some(&number) = self.community_ids.get(community_id)
            && let Some(community) = self.communities[number as usize].as_mut()
        {
            for &name in names {
                community.windows.forget_member(&shared.windows, name, watermark);
            }
            if community.alerts.forget_samples(gone) {
                self.touched_alerts.push(number);
            }
            self.touch(number, shared);
        }
        if shared.changelog {
            self.scrub_below = self.next_segment;
        }
        self.part(names);
    }

    /// This is to stay out. Where it is known as made later than what is to be forgotten, by an earlier version of it, it was not.
    pub(super) fn keep_out(
        &mut self,
        interaction: &ClassifiedInteraction<'_>,
        slot: SlotId,
        shared: &Shared,
    ) -> Outcome {
        let old = self.index.slot(slot).entry;
        if old.deleted || interaction.version() < old.version {
            return Outcome::Dropped;
        }
        let gone = self.take_out(slot, shared).into_iter().collect();
        let index = &self.index;
        self.changed.retain(|&id| index.is_taken(id));
        let named = [&interaction.author_key, &interaction.previous_author_key].into_iter().flatten();
        let names: Vec<MemberKey> = named.flat_map(|name| self.aliases.names_of(member_of(name))).collect();
        self.gone_from(&interaction.community_id, &names, &gone, shared);
        Outcome::Retracted
    }

    /// The names of a person of whom nothing is known here any more are not kept as links either. As long as there is anything, in another
    /// community or of a later time, it is by them that it stays one person's.
    fn part(&mut self, names: &[MemberKey]) {
        let is_member = |community: &Community| names.iter().any(|&name| community.windows.first_seen(name).is_some());
        let speaks = || self.index.iter().any(|(_, slot)| slot.entry.author.is_some_and(|name| names.contains(&name)));
        if !self.aliases.is_empty() && !self.communities.iter().flatten().any(is_member) && !speaks() {
            self.aliases.forget(names);
        }
    }

    /// An alert that is over named what somebody wrote who is to be forgotten: its row goes.
    pub(super) fn erase_alert(
        &mut self,
        rule: rules::alerts::Rule,
        community_id: &str,
        started_at: EpochMs,
    ) -> Outcome {
        let known = self.community_ids.get(community_id).and_then(|&number| self.communities[number as usize].as_ref());
        if known.is_some_and(|community| community.alerts.is_on(rule, started_at)) {
            // It is told anew, without what went.
            return Outcome::Stale;
        }
        let id = rules::alerts::alert_id(rule, community_id, started_at);
        self.tombstones.push((CommunityStage::ALERTS, id.into()));
        Outcome::Acted
    }

    /// Takes an interaction out of everything; gives its key on the topics.
    fn take_out(&mut self, slot: SlotId, shared: &Shared) -> Option<Box<str>> {
        let known = self.index.slot(slot);
        let (old, (community_id, kind, id)) = (known.entry, known.identity()?);
        let identity = Identity { community_id: community_id.to_owned().into(), kind, id: id.to_owned().into() };
        let key: Box<str> = identity.key().into();
        self.retract(&identity.community_id, kind, &old, shared);
        self.set_entry(slot, Entry { deleted: true, counted: false, queue: None, ..old });
        self.settle_answers(slot, Some(old), None, shared);
        self.settle_message(slot, Some(old));
        self.parked.forget(self.index.slot(slot).key());
        if self.index.slot(slot).segment.is_some() {
            // Until no segment holds any more what it was: of another author, or of a later time, it would come back with a restore.
            self.strip(slot, shared);
            self.index.note_erased(slot);
        } else {
            self.leave(slot, shared);
        }
        if old.listed {
            self.tombstones.push((CommunityStage::QUEUE_STATE, key.clone()));
        }
        Some(key)
    }

    /// Writes the tombstones of rows that went, up to so many bytes of outputs.
    pub(super) fn emit_tombstones(&mut self, outputs: &mut Outputs, bytes_max: usize) -> Step {
        while let Some((output, key)) = self.tombstones.pop() {
            outputs.push(output).key(key.as_bytes());
            if outputs.bytes() > bytes_max {
                return Step::More;
            }
        }
        Step::Done
    }

    /// Tells again of some rows of what had left before a restart, unless it came again.
    pub(super) fn emit_old_rows(&mut self, most: usize, outputs: &mut Outputs) {
        let from = self.old_rows.len().saturating_sub(most);
        for (key, row) in self.old_rows.split_off(from) {
            let known = self.index.find(&key).map(|slot| self.index.slot(slot).entry);
            if known.is_none_or(|entry| !entry.listed) {
                outputs.push(CommunityStage::QUEUE_STATE).key(row.as_bytes());
            }
        }
    }

    /// Segments that were written before an erasure and hold what does not live any more may hold what went: what lives of them is
    /// written anew, some at a time, and they are tombstoned. Then what says that it went goes, and segments that hold that.
    pub(super) fn scrub(&mut self, shared: &Shared) {
        if self.scrub_below == 0 {
            return;
        }
        let thinned = self.segments.range(..self.scrub_below).filter(|(_, used)| used.live < used.written);
        let thinned: HashSet<u64> = thinned.map(|(&segment, _)| segment).take(SEGMENTS_AT_ONCE).collect();
        // The commit that is being made thins more out.
        let thins = |&id: &SlotId| self.index.slot(id).segment.is_some_and(|segment| segment < self.scrub_below);
        if thinned.is_empty() && !self.changed.iter().any(thins) {
            let erased = self.index.take_erased();
            if erased.is_empty() {
                self.scrub_below = 0;
                return;
            }
            erased.into_iter().for_each(|id| self.leave(id, shared));
            let index = &self.index;
            self.changed.retain(|&id| index.is_taken(id));
            self.scrub_below = self.next_segment;
            self.moved = true;
            return;
        }
        let lives =
            self.index.iter().filter(|(_, slot)| slot.segment.is_some_and(|segment| thinned.contains(&segment)));
        let lives: Vec<SlotId> = lives.map(|(id, _)| id).collect();
        lives.into_iter().for_each(|id| self.mark_changed(id));
        // There is work until none is left.
        self.moved = true;
    }

    /// The changelog was read: what it still holds of those who are to be forgotten is not taken in, and is written over.
    pub(super) fn restore_erasures(&mut self) {
        for slot in self.erasures.of_index(&self.index) {
            let known = self.index.slot(slot);
            // Told already, unless a program that knows no erasures took it in meanwhile.
            if known.entry.listed
                && let Some((community_id, kind, id)) = known.identity()
            {
                let identity = Identity { community_id: community_id.into(), kind, id: id.into() };
                self.tombstones.push((CommunityStage::QUEUE_STATE, identity.key().into()));
            }
            self.index.strip(slot);
            self.mark_changed(slot);
        }
        if !self.erasures.at.is_empty() {
            self.scrub_below = self.next_segment;
            self.index.note_all_erased();
        }
    }
}
