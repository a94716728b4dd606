//! Who and what is behind an alert: from the queue items of its episode.

use record::{EpochMs, Identity, Label};
use rules::alerts::{CoordinationRule, EvidenceItem, Rule, evidence_of};

use super::Backed;
use crate::community::identity::SlotId;
use crate::community::partition::Partition;

/// Most interactions that are looked at, the last ones.
const LOOKED_AT_MAX: usize = 256;
/// Most items among which they are looked for.
const SEARCHED_MAX: usize = 20_000;
/// Most interactions that an alert names.
const SAMPLES_MAX: usize = 5;

impl Partition {
    /// The last interactions of a community from when an episode began until now, as far as they are items.
    pub(super) fn evidence(&self, number: u32, rule: Rule, started_at: EpochMs, at: EpochMs) -> Option<Backed> {
        let label = match rule {
            Rule::ComplaintSpike | Rule::ShareShift | Rule::Overdue => Label::Complaint,
            Rule::TipSurge => Label::Tip,
            Rule::PraiseSurge => Label::Praise,
            Rule::Silence => return None,
        };
        let community = self.communities[number as usize].as_ref()?;
        // What is overdue was said before the episode, which begins when it is.
        let from = if rule == Rule::Overdue { EpochMs::MIN } else { started_at };
        let shows = |slot: SlotId| {
            let waits = || self.items.get(slot).is_some_and(|item| item.closed_at.is_none());
            self.index.slot(slot).entry.label == label && (rule != Rule::Overdue || waits())
        };
        let range = community.items.range((from, 0)..(at, 0)).rev().copied();
        let mut found: Vec<(EpochMs, SlotId)> =
            range.take(SEARCHED_MAX).filter(|&(_, slot)| shows(slot)).take(LOOKED_AT_MAX).collect();
        found.sort_unstable_by(|one, two| {
            one.0.cmp(&two.0).then_with(|| self.index.slot(one.1).key().cmp(self.index.slot(two.1).key()))
        });
        let items = found.iter().filter_map(|&(_, slot)| {
            let entry = self.index.slot(slot).entry;
            let author = entry.author?;
            let first_seen = community.windows.first_seen(author);
            Some(EvidenceItem {
                author: author.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
                // The bits of a SimHash, which travel as a signed number.
                fingerprint: self.items.get(slot)?.content().fingerprint.map(|fingerprint| fingerprint as u64),
                new_author: first_seen.is_none_or(|first_seen| first_seen >= started_at),
            })
        });
        let items: Vec<EvidenceItem> = items.collect();
        let evidence = evidence_of(&items, &CoordinationRule::default())?;
        let samples = spread(&found).filter_map(|&(_, slot)| {
            let (community_id, kind, id) = self.index.slot(slot).identity()?;
            Some(Identity { community_id: community_id.into(), kind, id: id.into() }.key().into())
        });
        Some(Backed {
            distinct_authors: u32::try_from(evidence.distinct_authors).unwrap_or(u32::MAX),
            near_duplicate_share: evidence.near_duplicate_share,
            new_author_share: evidence.new_author_share,
            coordinated: evidence.coordinated,
            samples: samples.collect(),
        })
    }
}

/// Some of them from the first to the last, evenly.
fn spread<T>(all: &[T]) -> impl Iterator<Item = &T> {
    let count = all.len().min(SAMPLES_MAX);
    (0..count).map(move |place| &all[place * (all.len() - 1) / (count - 1).max(1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_spread_from_the_first_to_the_last() {
        let check = |count: usize, expected: &[usize]| {
            let all: Vec<usize> = (0..count).collect();
            assert_eq!(spread(&all).copied().collect::<Vec<_>>(), expected, "{count}");
        };
        check(0, &[]);
        check(1, &[0]);
        check(2, &[0, 1]);
        check(5, &[0, 1, 2, 3, 4]);
        check(9, &[0, 2, 4, 6, 8]);
    }
}
