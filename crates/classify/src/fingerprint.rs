//! A fingerprint by which near-duplicates are told: SimHash (Charikar, *Similarity Estimation Techniques from Rounding
//! Algorithms*, 2002) over words and pairs of words of the normalised text.

use crate::normalise::Normal;

/// The 64-bit SimHash of a text; near-duplicates differ in few bits. `None` for a text without words or signs.
///
/// ```
/// let one = classify::fingerprint("Paket saya belum sampai sudah 5 hari, tolong dicek ya kak").unwrap();
/// let two = classify::fingerprint("paket saya belum sampai sudah 7 hari, tolong dicek ya kak!").unwrap();
/// assert!(classify::fingerprint_distance(one, two) <= 16);
/// ```
pub fn fingerprint(text: &str) -> Option<u64> {
    fingerprint_of_normal(&Normal::of(text).text)
}

/// In how many bits two fingerprints differ, 0 to 64.
pub fn fingerprint_distance(one: u64, two: u64) -> u32 {
    (one ^ two).count_ones()
}

pub(crate) fn fingerprint_of_normal(normal: &str) -> Option<u64> {
    // Bit k of every hash votes for bit k; eight votes are counted at once in the bytes of a word, for up to 255 hashes.
    let mut votes = [0_i32; 64];
    let mut before = 0_u64;
    let mut any = false;
    for word in normal.split(' ').filter(|word| !word.is_empty()) {
        any = true;
        let hash = word.bytes().fold(0x51_7c_c1_b7_27_22_0a_95_u64, |hash, byte| {
            (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x51_7c_c1_b7_27_22_0a_95)
        });
        vote(mix(hash), &mut votes);
        vote(mix(hash ^ before.rotate_left(23)), &mut votes);
        before = hash;
    }
    any.then(|| votes.iter().enumerate().fold(0, |bits, (at, &vote)| bits | u64::from(vote > 0) << at))
}

fn vote(hash: u64, votes: &mut [i32; 64]) {
    for (at, vote) in votes.iter_mut().enumerate() {
        *vote += ((hash >> at & 1) as i32) * 2 - 1;
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood, 2014).
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn far_texts_are_far() {
        let one = fingerprint("Paket saya belum sampai sudah 5 hari, tolong dicek").unwrap();
        let two = fingerprint("Kopinya enak banget, tempatnya adem, pasti balik lagi minggu depan").unwrap();
        assert!(fingerprint_distance(one, two) > 16);
        assert_eq!(fingerprint(" \n"), None);
    }
}
