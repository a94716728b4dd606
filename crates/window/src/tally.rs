//! Numbers by key, cheap to add to: a list that is sorted and summed up when it is read.

use smallvec::SmallVec;

/// How often each key was added, less how often it was taken away.
#[derive(Debug, Clone)]
pub(crate) struct Tally<K> {
    /// Most slices hold one or two: those need no memory of their own.
    entries: SmallVec<[(K, i32); 2]>,
    /// So many entries at the front are sorted, each key once.
    settled: usize,
}

/// So many entries may lie about unsettled beside as many as are settled.
const UNSETTLED: usize = 32;

impl<K> Default for Tally<K> {
    fn default() -> Tally<K> {
        Tally { entries: SmallVec::new(), settled: 0 }
    }
}

impl<K: Copy + Ord> FromIterator<(K, i32)> for Tally<K> {
    fn from_iter<I: IntoIterator<Item = (K, i32)>>(entries: I) -> Tally<K> {
        let mut tally = Tally { entries: entries.into_iter().collect(), settled: 0 };
        tally.settle();
        tally
    }
}

impl<K: Copy + Ord> Tally<K> {
    pub(crate) fn add(&mut self, key: K, times: i32) {
        match self.entries[self.settled..].last_mut() {
            Some((last, count)) if *last == key => *count += times,
            _ => self.entries.push((key, times)),
        }
        if self.entries.len() > 2 * self.settled + UNSETTLED {
            self.settle();
        }
    }

    /// Takes in all of another's.
    pub(crate) fn merge(&mut self, other: Tally<K>) {
        if self.entries.is_empty() {
            *self = other;
        } else {
            self.entries.extend_from_slice(&other.entries);
            self.settle();
        }
    }

    /// Each key once, in order, with what is left of it: never 0.
    pub(crate) fn entries(&mut self) -> &[(K, i32)] {
        self.settle();
        &self.entries
    }

    fn settle(&mut self) {
        if self.settled == self.entries.len() {
            return;
        }
        self.entries.sort_unstable_by_key(|&(key, _)| key);
        let mut kept = 0;
        for at in 0..self.entries.len() {
            let (key, count) = self.entries[at];
            if kept > 0 && self.entries[kept - 1].0 == key {
                self.entries[kept - 1].1 += count;
            } else {
                self.entries[kept] = (key, count);
                kept += 1;
            }
        }
        self.entries.truncate(kept);
        self.entries.retain(|&mut (_, count)| count != 0);
        self.settled = self.entries.len();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn counts_as_a_map_does(acts in prop::collection::vec((0_u8..12, -2_i32..3, any::<bool>()), 0..300)) {
            let (mut tally, mut map) = (Tally::default(), BTreeMap::new());
            for (key, times, read) in acts {
                tally.add(key, times);
                *map.entry(key).or_insert(0) += times;
                if read {
                    let left: Vec<(u8, i32)> = map.iter().map(|(&key, &count)| (key, count)).filter(|&(_, count)| count != 0).collect();
                    prop_assert_eq!(tally.entries(), &left[..]);
                }
            }
            let mut twice = tally.clone();
            twice.merge(tally);
            let left: Vec<(u8, i32)> = map.into_iter().map(|(key, count)| (key, 2 * count)).filter(|&(_, count)| count != 0).collect();
            prop_assert_eq!(twice.entries(), &left[..]);
        }
    }
}
