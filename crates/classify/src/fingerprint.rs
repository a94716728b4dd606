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
    let mut votes = Votes::default();
    let mut before = 0_u64;
    for word in normal.split(' ').filter(|word| !word.is_empty()) {
        let hash = word.bytes().fold(0x51_7c_c1_b7_27_22_0a_95_u64, |hash, byte| {
            (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(0x51_7c_c1_b7_27_22_0a_95)
        });
        votes.add(mix(hash));
        votes.add(mix(hash ^ before.rotate_left(23)));
        before = hash;
    }
    votes.majority()
}

/// For every bit, in how many hashes it is set. Eight counts are kept in the bytes of a number, so that a hash costs eight
/// additions and not sixty-four; before a byte can overflow, they move to wider ones.
#[derive(Default)]
struct Votes {
    /// Byte `k` of number `n` counts bit `8 n + k`.
    bytes: [u64; 8],
    wide: [[u32; 8]; 8],
    hashes: u32,
}

impl Votes {
    fn add(&mut self, hash: u64) {
        for (bytes, byte) in self.bytes.iter_mut().zip(hash.to_le_bytes()) {
            // Bit k of the byte alone in byte k, then as 0 or 1.
            let bits = (u64::from(byte) * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
            *bytes += ((bits + 0x7f7f_7f7f_7f7f_7f7f) >> 7) & 0x0101_0101_0101_0101;
        }
        self.hashes += 1;
        if self.hashes.is_multiple_of(255) {
            self.widen();
        }
    }

    fn widen(&mut self) {
        for (wide, bytes) in self.wide.iter_mut().zip(&mut self.bytes) {
            for (wide, byte) in wide.iter_mut().zip(std::mem::take(bytes).to_le_bytes()) {
                *wide += u32::from(byte);
            }
        }
    }

    /// The bits that are set in more than half of the hashes; nothing if there were none.
    fn majority(mut self) -> Option<u64> {
        self.widen();
        let counts = self.wide.iter().flatten().enumerate();
        let bits = counts.fold(0, |bits, (at, &count)| bits | u64::from(count * 2 > self.hashes) << at);
        (self.hashes > 0).then_some(bits)
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
    #[test]
    fn votes_are_counted_bit_by_bit() {
        let mut random = 1_u64;
        for count in [1, 2, 3, 254, 255, 256, 1_000] {
            let hashes: Vec<u64> = (0..count)
                .map(|_| {
                    random = mix(random.wrapping_add(0x9e37_79b9_7f4a_7c15));
                    random
                })
                .collect();
            let mut votes = Votes::default();
            hashes.iter().for_each(|&hash| votes.add(hash));
            let set = |bit: u32| hashes.iter().filter(|&&hash| hash >> bit & 1 == 1).count() * 2 > hashes.len();
            let expected = (0..64).filter(|&bit| set(bit)).fold(0, |bits, bit| bits | 1_u64 << bit);
            assert_eq!(votes.majority(), Some(expected), "{count}");
        }
        assert_eq!(Votes::default().majority(), None);
    }
}
