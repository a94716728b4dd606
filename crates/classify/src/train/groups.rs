//! Which rows are held out together: translations as they are told, and near-duplicates as they are found.

use std::collections::{HashMap, HashSet};

use crate::normalise::Normal;
use crate::train::TrainingRow;
use crate::train::random::SplitMix;

/// What is done with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Never learnt from: nearly the same as a text that is kept out.
    KeptOut,
    /// Held out with this fold.
    Fold(usize),
    /// Always learnt from.
    Training,
}

/// Bytes of a shingle.
const SHINGLE_BYTES: usize = 5;
/// Texts are compared that agree in all rows of one of the bands of their MinHash signature (Broder, *On the Resemblance and
/// Containment of Documents*, 1997): likely from a Jaccard index of 0.45 up.
const BANDS: usize = 24;
const BAND_ROWS: usize = 4;
/// Near-duplicates have at least this Jaccard index.
const NEAR: f64 = 0.7;
/// Most texts that one text is compared with in a band; longer bands are chained through neighbours.
const COMPARED_MAX: usize = 40;

/// The place of each row.
pub(crate) fn places(rows: &[TrainingRow], keep_out: &[String], folds: usize) -> Vec<Place> {
    let texts: Vec<&str> = rows.iter().map(|row| &row.text).chain(keep_out).map(String::as_str).collect();
    let mut groups = Groups((0..texts.len()).collect());
    join_near_duplicates(&texts, &mut groups);
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    for (at, row) in rows.iter().enumerate() {
        if let Some(name) = &row.group {
            groups.join(*by_name.entry(name).or_insert(at), at);
        }
    }
    let kept_out: HashSet<usize> = (rows.len()..texts.len()).map(|at| groups.first(at)).collect();
    let mut labelled = HashSet::new();
    let mut always = HashSet::new();
    for (at, row) in rows.iter().enumerate() {
        let group = groups.first(at);
        if row.label.is_some() {
            labelled.insert(group);
        }
        if row.group.is_none() && row.source.starts_with("nusax") {
            always.insert(group);
        }
    }
    let place = |at: usize| {
        let group = groups.first(at);
        if kept_out.contains(&group) {
            Place::KeptOut
        } else if always.contains(&group) || !labelled.contains(&group) {
            Place::Training
        } else {
            // By the id of the group's first row, so that other rows coming or going move nothing.
            let hash = rows[group].id.bytes().fold(0, |hash: u64, byte| SplitMix(hash ^ u64::from(byte)).next());
            Place::Fold(SplitMix(hash).below(folds))
        }
    };
    (0..rows.len()).map(place).collect()
}

/// Groups of numbers: each points to one of its group that is not larger, the first to itself.
struct Groups(Vec<usize>);

impl Groups {
    fn first(&self, mut at: usize) -> usize {
        while self.0[at] != at {
            at = self.0[at];
        }
        at
    }

    fn join(&mut self, one: usize, two: usize) {
        let (one, two) = (self.first(one), self.first(two));
        self.0[one.max(two)] = one.min(two);
    }
}

fn join_near_duplicates(texts: &[&str], groups: &mut Groups) {
    let mut random = SplitMix(1);
    let factors: Vec<(u64, u64)> = (0..BANDS * BAND_ROWS).map(|_| (random.next() | 1, random.next())).collect();
    let shingled: Vec<Vec<u32>> = texts.iter().map(|text| shingles(text)).collect();
    for band in factors.chunks_exact(BAND_ROWS) {
        let mut buckets: HashMap<[u32; BAND_ROWS], Vec<usize>> = HashMap::new();
        for (at, shingles) in shingled.iter().enumerate().filter(|(_, shingles)| !shingles.is_empty()) {
            let mut least = [u32::MAX; BAND_ROWS];
            for &shingle in shingles {
                for (least, &(factor, shift)) in least.iter_mut().zip(band) {
                    let hash = u64::from(shingle).wrapping_mul(factor).wrapping_add(shift) >> 32;
                    *least = (*least).min(hash as u32);
                }
            }
            buckets.entry(least).or_default().push(at);
        }
        // Their order does not matter: what is joined is joined.
        for members in buckets.into_values() {
            for (at, &one) in members.iter().enumerate() {
                for &two in members[at + 1..].iter().take(COMPARED_MAX) {
                    if groups.first(one) != groups.first(two) && jaccard(&shingled[one], &shingled[two]) >= NEAR {
                        groups.join(one, two);
                    }
                }
            }
        }
    }
}

/// The hashes of a text's shingles, ascending. Letters and digits only: signs make no different text.
fn shingles(text: &str) -> Vec<u32> {
    let normal = Normal::of(text).text;
    let mut plain = String::with_capacity(normal.len());
    for character in normal.chars() {
        if character.is_alphanumeric() {
            plain.push(character);
        } else if !plain.ends_with(' ') {
            plain.push(' ');
        }
    }
    let bytes = if plain.trim().is_empty() { normal.as_bytes() } else { plain.as_bytes() };
    let hash = |shingle: &[u8]| {
        let number = shingle.iter().fold(0_u64, |number, &byte| number << 8 | u64::from(byte));
        (SplitMix(number).next() >> 32) as u32
    };
    let mut hashes: Vec<u32> = match bytes.len() {
        0..SHINGLE_BYTES => vec![hash(bytes)],
        _ => bytes.windows(SHINGLE_BYTES).map(hash).collect(),
    };
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// The share of what two ascending lists have in common in what they have together.
fn jaccard(one: &[u32], two: &[u32]) -> f64 {
    let common = one.iter().filter(|shingle| two.binary_search(shingle).is_ok()).count();
    common as f64 / (one.len() + two.len() - common).max(1) as f64
}

#[cfg(test)]
mod tests {
    use record::{Label, Language};

    use super::*;

    #[test]
    fn what_belongs_together_is_held_out_together() {
        let row = |id: &str, text: &str, source: &str, group: Option<&str>, labelled: bool| TrainingRow {
            id: id.into(),
            language: Language::Indonesian,
            source: source.into(),
            target: [1.0, 0.0, 0.0, 0.0, 0.0],
            weight: 1.0,
            label: labelled.then_some(Label::Complaint),
            group: group.map(Into::into),
            text: text.into(),
        };
        let rows = [
            row("a", "Paket saya sudah lima hari belum sampai juga", "made-up", None, true),
            row("b", "paket saya sudah lima hari belum sampai juga!!", "made-up", None, false),
            row("c", "something else altogether", "made-up", Some("x"), true),
            row("d", "liyane babar blas", "nusax-jv", Some("x"), true),
            row("e", "ora ana kancane", "nusax-jv", None, true),
            row("f", "no label and no sibling of any label", "made-up", None, false),
            row("g", "the text by which figures are taken", "made-up", None, true),
        ];
        let places = places(&rows, &["The text by which figures are taken.".to_owned()], 5);
        assert!(matches!(places[0], Place::Fold(_)));
        assert_eq!(places[0], places[1]);
        assert!(matches!(places[2], Place::Fold(_)));
        assert_eq!(places[2], places[3]);
        assert_eq!(places[4..], [Place::Training, Place::Training, Place::KeptOut]);
    }
}
