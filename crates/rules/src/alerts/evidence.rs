//! Who and what is behind an episode: many people, or a few accounts with one text.

use classify::fingerprint_distance;

/// The most interactions that are looked at; of more, give the latest. Comparing them all takes some 30 microseconds.
const ITEMS_MAX: usize = 256;

/// One interaction of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvidenceItem {
    /// A hash of the author's pseudonym.
    pub author: u64,
    /// The fingerprint of its text ([`classify::fingerprint`]); `None` without text.
    pub fingerprint: Option<u64>,
    /// Whether the author was never seen before the episode.
    pub new_author: bool,
}

/// What makes a burst a coordinated one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CoordinationRule {
    /// In how many of 64 bits the fingerprints of near-duplicates differ at most. Unrelated texts differ in 32, give or take 4.
    pub distance_max: u32,
    /// The least number of interactions of which it is said.
    pub min_items: usize,
    /// The least share of near-duplicates, 0 to 1.
    pub min_share: f64,
    /// The most distinct authors for each near-duplicate, 0 to 1: fewer are few.
    pub max_authors_per_item: f64,
    /// Or else the least share of new ones among those authors, 0 to 1.
    pub min_new_share: f64,
}

impl Default for CoordinationRule {
    fn default() -> CoordinationRule {
        CoordinationRule {
            distance_max: 12,
            min_items: 8,
            min_share: 0.5,
            max_authors_per_item: 0.5,
            min_new_share: 0.6,
        }
    }
}

/// Who and what is behind an episode.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    /// Distinct authors among the interactions that were looked at.
    pub distinct_authors: usize,
    /// The share of interactions of which there is a near-duplicate among the others, 0 to 1.
    pub near_duplicate_share: f64,
    /// The share of the distinct authors who were never seen before the episode, 0 to 1.
    pub new_author_share: f64,
    /// Whether it looks coordinated: nearly the same text again and again, by few authors or by new ones. What many who have been
    /// there for long say in the same words is not.
    pub coordinated: bool,
}

/// What the interactions of an episode say of it; of more than 256, the last ones are looked at. `None` without any.
///
/// ```
/// use rules::alerts::{CoordinationRule, EvidenceItem, evidence_of};
/// let bots: Vec<EvidenceItem> = (0..20)
///     .map(|n| EvidenceItem { author: n % 3, fingerprint: Some(0xabcd ^ (1 << (n % 4))), new_author: true })
///     .collect();
/// assert!(evidence_of(&bots, &CoordinationRule::default()).unwrap().coordinated);
/// ```
pub fn evidence_of(items: &[EvidenceItem], rule: &CoordinationRule) -> Option<Evidence> {
    let items = &items[items.len().saturating_sub(ITEMS_MAX)..];
    if items.is_empty() {
        return None;
    }
    let repeated: Vec<&EvidenceItem> = items
        .iter()
        .enumerate()
        .filter(|&(at, item)| {
            let others = items.iter().enumerate().filter(|&(other, _)| other != at);
            let mut others = others.filter_map(|(_, other)| other.fingerprint);
            item.fingerprint.is_some_and(|one| others.any(|two| fingerprint_distance(one, two) <= rule.distance_max))
        })
        .map(|(_, item)| item)
        .collect();
    let (distinct_authors, new_author_share) = authors(items.iter());
    let (repeating, new_share) = authors(repeated.iter().copied());
    let near_duplicate_share = repeated.len() as f64 / items.len() as f64;
    let few = repeating as f64 <= rule.max_authors_per_item * repeated.len() as f64;
    let coordinated = items.len() >= rule.min_items
        && near_duplicate_share >= rule.min_share
        && (few || new_share >= rule.min_new_share);
    Some(Evidence { distinct_authors, near_duplicate_share, new_author_share, coordinated })
}

/// How many distinct authors there are, and the share of new ones among them.
fn authors<'a>(items: impl Iterator<Item = &'a EvidenceItem>) -> (usize, f64) {
    let mut authors: Vec<(u64, bool)> = items.map(|item| (item.author, item.new_author)).collect();
    // Whoever is called new once and known once is known.
    authors.sort_unstable();
    authors.dedup_by_key(|&mut (author, _)| author);
    let new = authors.iter().filter(|&&(_, new)| new).count();
    (authors.len(), if authors.is_empty() { 0.0 } else { new as f64 / authors.len() as f64 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(texts: &[&str], authors: u64, new: bool) -> Vec<EvidenceItem> {
        let item = |(at, text): (usize, &&str)| EvidenceItem {
            author: at as u64 % authors,
            fingerprint: classify::fingerprint(text),
            new_author: new,
        };
        texts.iter().enumerate().map(item).collect()
    }

    fn check(items: &[EvidenceItem], share: f64, coordinated: bool) {
        let evidence = evidence_of(items, &CoordinationRule::default()).unwrap();
        assert!((evidence.near_duplicate_share - share).abs() < 1e-9, "{evidence:?}");
        assert_eq!(evidence.coordinated, coordinated, "{evidence:?}");
    }

    const REPEATED: [&str; 10] = ["Boikot aplikasi ini sekarang juga, penipu, uang saya hilang semua!"; 10];
    const VARIED: [&str; 10] = [
        "Paket belum sampai padahal sudah seminggu.",
        "Kurirnya marah-marah waktu saya tanya alamat.",
        "Aplikasi keluar sendiri setiap mau bayar.",
        "CS tidak membalas dari kemarin sore.",
        "Barang yang datang pecah, minta ganti malah disuruh tunggu.",
        "Sinyal hilang terus di daerah Depok.",
        "Tagihan bulan ini dua kali lipat tanpa penjelasan.",
        "Antrean di loket panjang sekali, petugas cuma satu.",
        "Listrik padam lagi, makanan di kulkas rusak.",
        "Kereta terlambat satu jam tanpa pengumuman.",
    ];

    #[test]
    fn few_or_new_authors_with_one_text_are_coordinated() {
        check(&items(&REPEATED, 2, false), 1.0, true);
        check(&items(&REPEATED, 10, true), 1.0, true);
    }

    #[test]
    fn many_people_are_not() {
        check(&items(&VARIED, 10, true), 0.0, false);
        // One of them says it all: loud, but no copies.
        check(&items(&VARIED, 1, false), 0.0, false);
        // Members of long standing who pass a text on.
        check(&items(&REPEATED, 10, false), 1.0, false);
        check(&items(&REPEATED[..7], 1, true), 1.0, false);
        assert_eq!(evidence_of(&[], &CoordinationRule::default()), None);
    }

    #[test]
    fn of_many_the_last_ones_are_looked_at() {
        let mut all = items(&VARIED, 10, false);
        all.extend(std::iter::repeat_n(items(&REPEATED, 2, true), 30).flatten());
        let evidence = evidence_of(&all, &CoordinationRule::default()).unwrap();
        assert_eq!((evidence.distinct_authors, evidence.near_duplicate_share), (2, 1.0));
    }
}
