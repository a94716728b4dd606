//! One person under two pseudonyms: what links those of the previous secret to those of the new one while the secret is rotated.
//!
//! A record that carries both says that they are one person's. From then on one of the two stands for that person in everything that
//! is known here, whichever a record comes with: at first the one before, so that nothing moves. From the next sweep on the newer one
//! takes its place, some persons with each commit (`Partition::turn_aliases`), and the older one stays as a link to it for one horizon
//! (the longest window and its lateness), for records that still come with it alone. Then nothing is left of it.
//!
//! Who is in a sketch, which there are where more is to be remembered than there is room for, is in it under the name of that time
//! and cannot be called otherwise. As long as there are any, a person turns when no window can hold them any more under either name.
//!
//! Links are good for the whole partition: pseudonyms do not depend on the community.

use std::collections::HashMap;

use record::{ClassifiedInteraction, EpochMs};
use serde::{Deserialize, Serialize};
use window::MemberKey;

use super::Shared;
use super::flush::sweep_interval_ms;
use super::identity::Entry;
use super::partition::{Community, Partition, member_of};
use super::state_version::WITH_ALIASES;

/// Links from one to the next that are followed at most: each is to another secret's.
const HOPS_MAX: usize = 16;
/// Persons who turn in one commit: what is known of each is written anew.
const TURNED_AT_ONCE: usize = 2_000;

/// A pseudonym that another stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alias {
    /// The one that stands for it.
    pub(super) to: MemberKey,
    /// When it was used last, in event time; in truth up to [`sweep_interval_ms`] later.
    pub(super) used_at: EpochMs,
    /// By the last word it is the newer one: it is to stand for the other.
    pub(super) is_newer: bool,
}

/// The links of a partition.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    by_key: HashMap<MemberKey, Alias, ahash::RandomState>,
    /// Those of which the changelog does not know.
    changed: Vec<MemberKey>,
    /// Those that are to stand for others.
    newer: usize,
    /// A sweep has come, and some of them may still turn.
    turning: bool,
    /// Links that there was no room for.
    pub(super) refused: u64,
}

impl Aliases {
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(super) fn is_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What stands for a pseudonym; itself, if nothing else does.
    pub(super) fn resolve(&self, key: MemberKey) -> MemberKey {
        let mut found = key;
        for _ in 0..HOPS_MAX {
            match self.by_key.get(&found) {
                Some(alias) => found = alias.to,
                None => break,
            }
        }
        found
    }

    /// Every name that a person is known by, as far as links tell.
    pub(super) fn names_of(&self, key: MemberKey) -> Vec<MemberKey> {
        let stands = self.resolve(key);
        let linked = self.by_key.keys().copied().filter(|&other| self.resolve(other) == stands);
        let mut names: Vec<MemberKey> = linked.chain([key, stands]).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Forgets the links of these names.
    pub(super) fn forget(&mut self, names: &[MemberKey]) {
        for &name in names {
            if self.by_key.contains_key(&name) {
                self.set(name, None);
            }
        }
    }

    /// The same of somebody of whom a record came at `at`. A link's time is not written anew for less than `step_ms`.
    fn meet(&mut self, key: MemberKey, at: EpochMs, step_ms: i64) -> MemberKey {
        self.touch(key, at, step_ms);
        self.resolve(key)
    }

    /// Both are one person's, and `newer` is by the newer secret: gives what stands for them. Where that is told for the first time,
    /// it is the one before, unless only the other is known.
    fn link(
        &mut self,
        [newer, previous]: [MemberKey; 2],
        (at, step_ms): (EpochMs, i64),
        most: usize,
        is_known: impl Fn(MemberKey) -> bool,
    ) -> MemberKey {
        let (of_newer, of_previous) = (self.resolve(newer), self.resolve(previous));
        let mut stands = of_previous;
        if of_newer != of_previous {
            if self.by_key.len() >= most {
                self.refused += 1;
                return of_newer;
            }
            let mut other = of_newer;
            if !is_known(of_previous) && is_known(of_newer) {
                (stands, other) = (of_newer, of_previous);
            }
            self.set(other, Some(Alias { to: stands, used_at: at, is_newer: false }));
        }
        self.touch(newer, at, step_ms);
        self.touch(previous, at, step_ms);
        if let Some(&alias) = self.by_key.get(&newer)
            && !alias.is_newer
        {
            self.set(newer, Some(Alias { is_newer: true, ..alias }));
        }
        stands
    }

    fn touch(&mut self, key: MemberKey, at: EpochMs, step_ms: i64) {
        if let Some(&alias) = self.by_key.get(&key)
            && at.saturating_sub(alias.used_at) >= step_ms
        {
            self.set(key, Some(Alias { used_at: at, ..alias }));
        }
    }

    fn set(&mut self, key: MemberKey, alias: Option<Alias>) {
        self.place(key, alias);
        self.changed.push(key);
    }

    fn place(&mut self, key: MemberKey, alias: Option<Alias>) {
        let before = match alias {
            Some(alias) => self.by_key.insert(key, alias),
            None => self.by_key.remove(&key),
        };
        self.newer -= usize::from(before.is_some_and(|before| before.is_newer));
        self.newer += usize::from(alias.is_some_and(|alias| alias.is_newer));
    }

    /// Takes in what the changelog says.
    pub(super) fn restore(&mut self, key: MemberKey, alias: Option<Alias>) {
        self.place(key, alias);
    }

    /// Shows those that changed, some of them twice.
    pub(super) fn take_changed(&mut self, mut see: impl FnMut(MemberKey, Option<&Alias>)) {
        for key in self.changed.drain(..) {
            see(key, self.by_key.get(&key));
        }
    }

    /// Of the names that are to stand for one person, the last that was used, by the one that does: so it does not depend on the
    /// order in the table.
    fn chosen(&self) -> HashMap<MemberKey, (EpochMs, MemberKey), ahash::RandomState> {
        let mut chosen: HashMap<MemberKey, (EpochMs, MemberKey), ahash::RandomState> = HashMap::default();
        for (&key, alias) in self.by_key.iter().filter(|(_, alias)| alias.is_newer) {
            let candidate = (alias.used_at, key);
            let best = chosen.entry(self.resolve(key)).or_insert(candidate);
            *best = (*best).max(candidate);
        }
        chosen
    }

    /// Has the newer pseudonyms of at most so many persons stand for the others; with a time, of those who were not heard of since.
    /// Gives what is called otherwise from now on: each name that something may be known under, and the new one.
    fn turn(
        &mut self,
        most: usize,
        unused_since: Option<EpochMs>,
    ) -> HashMap<MemberKey, MemberKey, ahash::RandomState> {
        let mut chosen = self.chosen();
        chosen.retain(|_, (used_at, _)| unused_since.is_none_or(|since| *used_at < since));
        self.turning = chosen.len() > most;
        if self.turning {
            chosen = chosen.into_iter().take(most).collect();
        }
        let mut renamed = HashMap::default();
        if chosen.is_empty() {
            return renamed;
        }
        let linked: Vec<(MemberKey, Alias, MemberKey)> =
            self.by_key.iter().map(|(&key, &alias)| (key, alias, self.resolve(key))).collect();
        for (key, alias, stands) in linked {
            let Some(&(used_at, newest)) = chosen.get(&stands) else { continue };
            if renamed.insert(stands, newest).is_none() {
                self.set(stands, Some(Alias { to: newest, used_at, is_newer: false }));
            }
            if key == newest {
                self.set(key, None);
            } else {
                renamed.insert(key, newest);
                self.set(key, Some(Alias { to: newest, is_newer: false, ..alias }));
            }
        }
        renamed
    }

    /// Lets go of links that were not used since a time. What is still to turn stays, and what leads to it does not lead over others.
    fn expire(&mut self, before: EpochMs) {
        let chosen = self.chosen();
        let over = |(&key, alias): (&MemberKey, &Alias)| {
            let (stands, is_unused) = (self.resolve(key), alias.used_at < before);
            let is_to_turn = alias.is_newer && chosen.get(&stands).is_some_and(|&(_, newest)| newest == key);
            if is_unused && !is_to_turn {
                return Some((key, None));
            }
            (alias.to != stands).then_some((key, Some(Alias { to: stands, ..*alias })))
        };
        let changed: Vec<(MemberKey, Option<Alias>)> = self.by_key.iter().filter_map(over).collect();
        changed.into_iter().for_each(|(key, alias)| self.set(key, alias));
    }
}

impl Partition {
    /// Who an interaction is from: what stands for them, whichever pseudonyms it comes with.
    pub(super) fn author_of(&mut self, interaction: &ClassifiedInteraction<'_>, shared: &Shared) -> Option<MemberKey> {
        let key = member_of(interaction.author_key.as_deref()?);
        let step_ms = sweep_interval_ms(shared.windows.horizon_ms());
        let Some(previous) = interaction.previous_author_key.as_deref().map(member_of) else {
            if self.linked_since.is_some() {
                // Somebody has not been told of the previous secret yet, or not any more.
                self.linked_since = None;
            }
            if self.aliases.is_empty() {
                return Some(key);
            }
            let at = self.time_of(interaction);
            return Some(self.aliases.meet(key, at, step_ms));
        };
        if self.version.to_write(shared.state_version) < WITH_ALIASES {
            // No link could be kept: they go on under the name that everybody knows.
            return Some(previous);
        }
        let at = self.time_of(interaction);
        self.linked_since.get_or_insert(at);
        let Partition { aliases, communities, community_ids, items, .. } = self;
        // Where it speaks: to look everywhere would take longer the more communities there are, for each who is linked. Elsewhere the
        // two become one when they turn.
        let here = community_ids.get(&*interaction.community_id).copied();
        let is_known = |key: MemberKey| {
            let of = |community: &Community| {
                community.windows.first_seen(key).is_some() || items.has_person(&community.id, key)
            };
            here.and_then(|number| communities[number as usize].as_ref()).is_some_and(of)
        };
        Some(aliases.link([key, previous], (at, step_ms), shared.members_max, is_known))
    }

    fn time_of(&self, interaction: &ClassifiedInteraction<'_>) -> EpochMs {
        self.watermark.value().map_or(interaction.created_at, |watermark| watermark.max(interaction.created_at))
    }

    /// Whether the author of an entry that is known is the same person.
    pub(super) fn is_same_author(&self, known: Option<MemberKey>, author: Option<MemberKey>) -> bool {
        known == author || (!self.aliases.is_empty() && known.map(|known| self.aliases.resolve(known)) == author)
    }

    /// A sweep: the newer pseudonyms are to stand for those before, and links that are of no use any more go.
    pub(super) fn sweep_aliases(&mut self, watermark: EpochMs, shared: &Shared) {
        if !self.aliases.is_empty() {
            self.aliases.expire(unused_since(watermark, shared));
            self.aliases.turning = self.aliases.newer > 0;
        }
    }

    /// Has newer pseudonyms stand for those before, in all that is known: of some persons at a time, after each sweep.
    pub(super) fn turn_aliases(&mut self, watermark: EpochMs, shared: &Shared) {
        if !self.aliases.turning {
            return;
        }
        let is_sketched = self.communities.iter().flatten().any(|community| community.windows.has_sketches());
        let unused_since = is_sketched.then(|| unused_since(watermark, shared));
        let renamed = self.aliases.turn(TURNED_AT_ONCE, unused_since);
        if !renamed.is_empty() {
            self.rename(&renamed, shared);
            self.share_turned(&renamed, shared);
        }
    }

    /// Whether the next commit has more to turn.
    pub(super) fn is_turning(&self) -> bool {
        self.aliases.turning
    }

    fn rename(&mut self, renamed: &HashMap<MemberKey, MemberKey, ahash::RandomState>, shared: &Shared) {
        for number in 0..self.communities.len() {
            if let Some(community) = self.communities[number].as_mut()
                && community.windows.rename_members(|member| renamed.get(&member).copied())
            {
                self.touch(number as u32, shared);
            }
        }
        let entries = self.index.iter().filter_map(|(slot, known)| {
            let author = renamed.get(&known.entry.author?)?;
            Some((slot, Entry { author: Some(*author), ..known.entry }))
        });
        let entries: Vec<_> = entries.collect();
        for (slot, entry) in entries {
            let old = self.index.slot(slot).entry;
            self.set_entry(slot, entry);
            self.rename_in_items(slot, &old);
        }
    }

    /// The changelog is read: what was there before two names were linked, or turned, may have the one that does not stand for both.
    pub(super) fn restore_names(&mut self, shared: &Shared) {
        if self.aliases.is_empty() {
            return;
        }
        for number in 0..self.communities.len() {
            let Partition { communities, aliases, .. } = self;
            // Somebody who was known under the other name is not new under this one.
            let name_of = |member| Some(aliases.resolve(member)).filter(|&name| name != member);
            if communities[number].as_mut().is_some_and(|community| community.windows.rename_members(name_of)) {
                self.touch(number as u32, shared);
            }
        }
        let named = self.index.iter().filter_map(|(slot, known)| {
            let author = known.entry.author?;
            Some((slot, self.aliases.resolve(author))).filter(|(_, name)| *name != author)
        });
        let named: Vec<_> = named.collect();
        for (slot, name) in named {
            self.index.slot_mut(slot).entry.author = Some(name);
        }
    }

    /// How long the previous secret is needed, in milliseconds of event time: 0 when it is not any more, `None` where none is seen.
    pub(super) fn previous_needed_ms(&self, shared: &Shared) -> Option<i64> {
        previous_needed_ms(self.linked_since, self.watermark.value(), shared.windows.horizon_ms())
    }
}

/// A link whose time is before this was not used within the horizon: its time may be as far behind as two sweeps are apart.
fn unused_since(watermark: EpochMs, shared: &Shared) -> EpochMs {
    let horizon_ms = shared.windows.horizon_ms();
    watermark.saturating_sub(horizon_ms).saturating_sub(sweep_interval_ms(horizon_ms))
}

/// How long the previous secret is needed: everybody who is in a window must have come with both pseudonyms once.
pub(super) fn previous_needed_ms(
    linked_since: Option<EpochMs>,
    watermark: Option<EpochMs>,
    horizon_ms: i64,
) -> Option<i64> {
    let since = linked_since?;
    let passed = watermark.map_or(0, |watermark| watermark.saturating_sub(since).max(0));
    Some((horizon_ms - passed).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP_MS: i64 = 3_600_000;

    const fn key(number: u8) -> MemberKey {
        MemberKey([number; 16])
    }

    impl Aliases {
        fn turn_all(&mut self) -> HashMap<MemberKey, MemberKey, ahash::RandomState> {
            self.turn(usize::MAX, None)
        }

        /// Where nothing is known of either.
        fn link_unknown(&mut self, newer: u8, previous: u8, at: EpochMs, most: usize) -> MemberKey {
            self.link([key(newer), key(previous)], (at, STEP_MS), most, |_| false)
        }
    }

    #[test]
    fn what_was_there_before_stands_for_both_until_it_turns() {
        let mut aliases = Aliases::default();
        assert_eq!(aliases.link_unknown(2, 1, 10, 100), key(1));
        assert_eq!(
            (aliases.meet(key(2), 11, STEP_MS), aliases.meet(key(1), 11, STEP_MS), aliases.meet(key(3), 11, STEP_MS)),
            (key(1), key(1), key(3))
        );
        let renamed = aliases.turn_all();
        assert_eq!(renamed.into_iter().collect::<Vec<_>>(), [(key(1), key(2))]);
        assert_eq!((aliases.resolve(key(1)), aliases.resolve(key(2)), aliases.newer), (key(2), key(2), 0));
        // Said again, it stays as it is.
        assert_eq!(aliases.link_unknown(2, 1, 12, 100), key(2));
        assert_eq!((aliases.len(), aliases.newer), (1, 0));
    }

    #[test]
    fn what_is_known_stands_for_both_though_it_is_the_newer() {
        let mut aliases = Aliases::default();
        assert_eq!(aliases.link([key(1), key(2)], (10, STEP_MS), 100, |asked| asked == key(1)), key(1));
        assert_eq!((aliases.resolve(key(2)), aliases.newer), (key(1), 0));
        assert!(aliases.turn_all().is_empty());
    }

    #[test]
    fn a_rotation_that_is_taken_back_turns_again() {
        let mut aliases = Aliases::default();
        aliases.link_unknown(2, 1, 10, 100);
        aliases.turn_all();
        assert_eq!(aliases.link_unknown(1, 2, 20, 100), key(2));
        assert_eq!(aliases.turn_all().get(&key(2)), Some(&key(1)));
        assert_eq!((aliases.resolve(key(1)), aliases.resolve(key(2)), aliases.len()), (key(1), key(1), 1));
    }

    #[test]
    fn one_rotation_after_the_other_leaves_the_last() {
        let mut aliases = Aliases::default();
        aliases.link_unknown(2, 1, 10, 100);
        aliases.link_unknown(3, 2, 20, 100);
        assert_eq!(aliases.resolve(key(3)), key(1));
        let renamed = aliases.turn_all();
        assert_eq!(
            (renamed.get(&key(1)), renamed.get(&key(2)), renamed.get(&key(3))),
            (Some(&key(3)), Some(&key(3)), None)
        );
        assert!([1, 2, 3].into_iter().all(|number| aliases.resolve(key(number)) == key(3)));
        // Two that were apart, each with one of its own.
        aliases.link_unknown(8, 7, 30, 100);
        aliases.turn_all();
        aliases.link_unknown(8, 3, 40, 100);
        assert!([1, 2, 3, 7, 8].into_iter().all(|number| aliases.resolve(key(number)) == key(3)));
        aliases.turn_all();
        assert!([1, 2, 3, 7, 8].into_iter().all(|number| aliases.resolve(key(number)) == key(8)));
    }

    #[test]
    fn links_are_let_go_when_they_are_of_no_use_and_bounded() {
        let mut aliases = Aliases::default();
        aliases.link_unknown(2, 1, 0, 1);
        assert_eq!(aliases.link_unknown(4, 3, 0, 1), key(4));
        assert_eq!((aliases.len(), aliases.refused), (1, 1));
        aliases.expire(100);
        assert_eq!(aliases.len(), 1, "it has not turned");
        aliases.turn_all();
        aliases.meet(key(1), STEP_MS, STEP_MS);
        aliases.expire(100);
        assert_eq!(aliases.len(), 1, "it is used");
        aliases.expire(STEP_MS + 1);
        assert!(aliases.is_empty());
        let mut told = Vec::new();
        aliases.take_changed(|key, alias| told.push((key, alias.is_some())));
        assert!(told.contains(&(key(1), false)) && told.iter().all(|(_, there)| !there), "{told:?}");
        assert!(!aliases.is_changed());
    }

    #[test]
    fn while_there_are_sketches_who_is_heard_of_keeps_the_name_and_no_more_links_than_are_of_use() {
        let mut aliases = Aliases::default();
        aliases.link_unknown(2, 1, 10, 100);
        aliases.link_unknown(7, 6, 900, 100);
        assert_eq!(aliases.turn(100, Some(500)).into_iter().collect::<Vec<_>>(), [(key(1), key(2))]);
        assert_eq!((aliases.resolve(key(7)), aliases.resolve(key(1))), (key(6), key(2)));
        // The next rotation: what links the one before is of no use any more.
        aliases.link_unknown(8, 7, STEP_MS, 100);
        aliases.expire(1_000);
        assert_eq!(
            (aliases.resolve(key(8)), aliases.resolve(key(7)), aliases.resolve(key(1))),
            (key(6), key(7), key(1))
        );
        assert_eq!((aliases.len(), aliases.newer), (1, 1));
    }

    #[test]
    fn links_do_not_lead_over_others_that_may_go() {
        let mut aliases = Aliases::default();
        aliases.link_unknown(2, 1, 10, 100);
        aliases.link_unknown(3, 2, 20, 100);
        aliases.turn_all();
        aliases.link_unknown(8, 7, 30, 100);
        aliases.turn_all();
        aliases.link_unknown(8, 3, 40, 100);
        aliases.expire(0);
        assert!(aliases.by_key.values().all(|alias| alias.to == key(3)), "{:?}", aliases.by_key.values());
    }

    #[test]
    fn some_turn_at_a_time() {
        let mut aliases = Aliases::default();
        (1..=5).for_each(|number| {
            aliases.link_unknown(100 + number, number, 10, 100);
        });
        let mut turned = 0;
        for turning in [true, true, false] {
            turned += aliases.turn(2, None).len();
            assert_eq!(aliases.turning, turning);
        }
        assert_eq!((turned, aliases.newer), (5, 0));
    }

    #[test]
    fn all_names_of_a_person_are_found_by_each_and_let_go_of() {
        let mut aliases = Aliases::default();
        aliases.link_unknown(2, 1, 10, 100);
        aliases.link_unknown(3, 2, 20, 100);
        aliases.link_unknown(8, 7, 20, 100);
        for turned in [false, true] {
            for asked in 1..=3 {
                assert_eq!(aliases.names_of(key(asked)), [key(1), key(2), key(3)], "turned: {turned}");
            }
            assert_eq!(aliases.names_of(key(5)), [key(5)]);
            aliases.turn_all();
        }
        aliases.forget(&aliases.names_of(key(2)));
        assert_eq!((aliases.len(), aliases.resolve(key(7)), aliases.newer), (1, key(8), 0));
    }

    #[test]
    fn the_previous_secret_is_needed_for_one_horizon() {
        assert_eq!(previous_needed_ms(None, Some(9), 10), None);
        assert_eq!(previous_needed_ms(Some(5), None, 10), Some(10));
        assert_eq!(previous_needed_ms(Some(5), Some(9), 10), Some(6));
        assert_eq!(previous_needed_ms(Some(5), Some(99), 10), Some(0));
    }
}
