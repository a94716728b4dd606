//! Who is active in a community: distinct members, and those who are new.

use std::collections::HashMap;
use std::fmt;

use record::EpochMs;
use serde::{Deserialize, Serialize};

use crate::sketch::{MemberSketch, MemberUnion};
use crate::tally::Tally;

/// A member's pseudonym: 16 bytes that stand for the same person wherever they appear in the community.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberKey(pub [u8; 16]);

impl fmt::Debug for MemberKey {
    /// Shows no pseudonym: they are personal data still.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemberKey")
    }
}

/// The members of a pane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemberFigures {
    /// Distinct members with an interaction in the pane.
    pub distinct: i64,
    /// Those of them who were not seen before its start: exact even where `distinct` is not, as long as they are remembered.
    pub new: i64,
    /// Their interactions in the pane.
    pub interactions: i64,
    /// Not all are told apart any more: `distinct` is an estimate of 1.6 % relative standard error, and never below `new`.
    pub estimated: bool,
}

/// A member's place in the list of the community's; good until the member is let go.
pub(crate) type MemberId = u32;

#[derive(Debug)]
struct Member {
    key: MemberKey,
    /// The earliest time that is known of, to the slice; in a free place it is [`NEVER`].
    first_seen: EpochMs,
    /// The end of the last slice that left by age with an interaction of theirs.
    last_left: Option<EpochMs>,
    /// Interactions in the slices.
    counted: i64,
    /// The last pane in which the member was met, see [`Members::meet`].
    met_in: u32,
}

impl Member {
    fn last_active(&self) -> EpochMs {
        self.last_left.unwrap_or(self.first_seen)
    }
}

/// Members of a pane as they are met, slice by slice.
pub(crate) struct Meeting<'a> {
    members: &'a mut [Member],
    pane: u32,
    start: EpochMs,
    end: EpochMs,
    figures: MemberFigures,
    /// Those of the sketches, if there are any.
    sketched: Option<MemberUnion>,
}

impl Meeting<'_> {
    pub(crate) fn see(&mut self, tally: &mut Tally<MemberId>, sketch: Option<&MemberSketch>, interactions: i64) {
        self.figures.interactions += interactions;
        if let Some(sketch) = sketch {
            self.sketched.get_or_insert_with(MemberUnion::new).take_in(sketch);
        }
        for &(id, _) in tally.entries() {
            let member = &mut self.members[id as usize];
            if member.met_in != self.pane {
                member.met_in = self.pane;
                self.figures.distinct += 1;
                self.figures.new += i64::from(member.first_seen >= self.start);
            }
        }
    }

    pub(crate) fn figures(self) -> MemberFigures {
        let Some(mut union) = self.sketched else { return self.figures };
        // Who was met may be in a sketch too. Who was first seen in the pane is in it, told apart or not.
        let mut new = 0;
        for member in self.members.iter() {
            if member.met_in == self.pane {
                union.add(member.key);
            }
            new += i64::from((self.start..self.end).contains(&member.first_seen));
        }
        MemberFigures { distinct: union.estimate().max(new), new, estimated: true, ..self.figures }
    }
}

/// Of nobody.
const NEVER: EpochMs = EpochMs::MAX;

/// What the changelog knows of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberState {
    pub(crate) first_seen: EpochMs,
    last_left: Option<EpochMs>,
}

/// Everybody who was seen in the community and is remembered.
#[derive(Debug, Default)]
pub(crate) struct Members {
    ids: HashMap<MemberKey, MemberId, ahash::RandomState>,
    members: Vec<Member>,
    free: Vec<MemberId>,
    panes: u32,
    /// Those of whom the changelog does not know what is known here.
    changed: Vec<MemberKey>,
}

impl Members {
    /// Counts an interaction in the slice that begins at `slice`. Gives the member's place, and their first time before if it
    /// was later.
    pub(crate) fn add(&mut self, key: MemberKey, slice: EpochMs) -> (MemberId, Option<EpochMs>) {
        let id = match self.ids.get(&key) {
            Some(&id) => id,
            None => {
                self.changed.push(key);
                self.insert(key, MemberState { first_seen: slice, last_left: None })
            }
        };
        let member = &mut self.members[id as usize];
        member.counted += 1;
        let before = (slice < member.first_seen).then_some(member.first_seen);
        if before.is_some() {
            member.first_seen = slice;
            self.changed.push(key);
        }
        (id, before)
    }

    /// After a restore: counts an interaction that was counted before. What is known of the member stays.
    pub(crate) fn recall(&mut self, key: MemberKey, slice: EpochMs) -> MemberId {
        let id = match self.ids.get(&key) {
            Some(&id) => id,
            None => self.insert(key, MemberState { first_seen: slice, last_left: None }),
        };
        self.members[id as usize].counted += 1;
        id
    }

    /// Takes an interaction back. Gives the member's place and their first time, if the member is known.
    pub(crate) fn take(&mut self, key: MemberKey) -> Option<(MemberId, EpochMs)> {
        let &id = self.ids.get(&key)?;
        let member = &mut self.members[id as usize];
        member.counted -= 1;
        Some((id, member.first_seen))
    }

    /// An interaction was taken whose slice ends here, though not taken back: the member was active.
    pub(crate) fn leave(&mut self, id: MemberId, end: EpochMs) {
        let member = &mut self.members[id as usize];
        member.last_left = member.last_left.max(Some(end));
        if member.counted == 0 {
            self.changed.push(member.key);
        }
    }

    /// What was the first time was taken back: now it is another one, or the member was never there.
    pub(crate) fn move_first(&mut self, id: MemberId, first_seen: Option<EpochMs>) {
        let member = &mut self.members[id as usize];
        self.changed.push(member.key);
        match first_seen {
            Some(first_seen) => member.first_seen = first_seen,
            None => self.remove(id),
        }
    }

    /// A member's place, and when they were first seen.
    pub(crate) fn find(&self, key: MemberKey) -> Option<(MemberId, EpochMs)> {
        let &id = self.ids.get(&key)?;
        Some((id, self.members[id as usize].first_seen))
    }

    /// What was seen of a member before is not remembered; now their first time is this one, or they were never there.
    pub(crate) fn forget_past(&mut self, id: MemberId, first_seen: Option<EpochMs>) {
        self.members[id as usize].last_left = None;
        self.move_first(id, first_seen);
    }

    /// A slice left by age, at this end: its members are remembered.
    pub(crate) fn age(&mut self, left: &mut Tally<MemberId>, end: EpochMs) {
        for &(id, times) in left.entries() {
            let member = &mut self.members[id as usize];
            member.counted -= i64::from(times);
            member.last_left = member.last_left.max(Some(end));
            if member.counted == 0 {
                self.changed.push(member.key);
            }
        }
    }

    /// Forgets those who were last active before this time.
    pub(crate) fn forget(&mut self, before: EpochMs) {
        for id in 0..self.members.len() {
            let member = &self.members[id];
            if member.counted == 0
                && member.last_active() < before
                && self.ids.get(&member.key) == Some(&(id as MemberId))
            {
                self.changed.push(member.key);
                self.remove(id as MemberId);
            }
        }
    }

    /// Gives members other names. Where two become one, gives the place that goes and the one that both have from now on.
    pub(crate) fn rename(
        &mut self,
        name_of: impl Fn(MemberKey) -> Option<MemberKey>,
    ) -> (bool, Vec<(MemberId, MemberId)>) {
        let named = self.ids.iter().filter_map(|(&key, &id)| Some((key, id, name_of(key)?)));
        let mut named: Vec<(MemberKey, MemberId, MemberKey)> = named.filter(|(key, _, name)| key != name).collect();
        // Not in the order of the table: which place goes where several become one is to be the same every time.
        named.sort_unstable();
        let mut merged = Vec::new();
        for &(key, id, name) in &named {
            self.changed.extend([key, name]);
            match self.ids.get(&name) {
                None => {
                    self.ids.remove(&key);
                    self.members[id as usize].key = name;
                    self.ids.insert(name, id);
                }
                Some(&other) => {
                    let Member { first_seen, last_left, counted, .. } = self.members[id as usize];
                    let kept = &mut self.members[other as usize];
                    kept.first_seen = kept.first_seen.min(first_seen);
                    kept.last_left = kept.last_left.max(last_left);
                    kept.counted += counted;
                    self.remove(id);
                    merged.push((id, other));
                }
            }
        }
        (!named.is_empty(), merged)
    }

    /// The times at which those who are not active any more were last.
    pub(crate) fn idle(&self) -> impl Iterator<Item = EpochMs> + '_ {
        let remembered = self.ids.values().map(|&id| &self.members[id as usize]);
        remembered.filter(|member| member.counted == 0).map(Member::last_active)
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = MemberKey> + '_ {
        self.ids.keys().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Begins to meet those who are in the pane `[start, end)`.
    pub(crate) fn meet(&mut self, start: EpochMs, end: EpochMs) -> Meeting<'_> {
        self.panes = self.panes.wrapping_add(1);
        if self.panes == 0 {
            self.members.iter_mut().for_each(|member| member.met_in = 0);
            self.panes = 1;
        }
        let figures = MemberFigures::default();
        Meeting { pane: self.panes, members: &mut self.members, start, end, figures, sketched: None }
    }

    /// Those who changed since the last call, some of them twice.
    pub(crate) fn take_changed(&mut self) -> std::vec::Drain<'_, MemberKey> {
        self.changed.drain(..)
    }

    pub(crate) fn state(&self, key: MemberKey) -> Option<MemberState> {
        let &id = self.ids.get(&key)?;
        let &Member { first_seen, last_left, .. } = &self.members[id as usize];
        Some(MemberState { first_seen, last_left })
    }

    /// Takes back what the changelog says of a member.
    pub(crate) fn restore(&mut self, key: MemberKey, state: Option<MemberState>) {
        if let Some(&id) = self.ids.get(&key) {
            self.remove(id);
        }
        if let Some(state) = state {
            self.insert(key, state);
        }
    }

    fn insert(&mut self, key: MemberKey, state: MemberState) -> MemberId {
        let MemberState { first_seen, last_left } = state;
        let member = Member { key, first_seen, last_left, counted: 0, met_in: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                self.members[id as usize] = member;
                id
            }
            None => {
                self.members.push(member);
                (self.members.len() - 1) as MemberId
            }
        };
        self.ids.insert(key, id);
        id
    }

    fn remove(&mut self, id: MemberId) {
        let member = &mut self.members[id as usize];
        member.first_seen = NEVER;
        self.ids.remove(&member.key);
        self.free.push(id);
    }
}
