//! A normalised text to words, and words to features: the hot path's inner loop.
//!
//! Every word gives itself, its pairs with the two words before, the byte n-grams of 2 to 5 bytes of the word between blanks,
//! and what its place says: first, second, last, after a negation, drawn out. Numbers, links and addresses give only that they
//! are such. Each is a hash; the model has a row per bucket
//! of hashes (Weinberger et al., *Feature Hashing for Large Scale Multitask Learning*, 2009).

use crate::normalise::Normal;

/// The rows of a model.
pub(crate) const BUCKETS: usize = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 17;
/// Shortest and longest n-gram, in bytes.
const NGRAM_BYTES: std::ops::RangeInclusive<usize> = 2..=5;
/// How much of one word is read, in bytes, the blanks around it included. It bounds a word's features, so that their sum
/// fits 16 bits.
const WORD_BYTES_MAX: usize = 56;
/// Most words of one text: beyond it the rest says little that is new.
const WORDS_MAX: usize = 512;
/// How many words after a negation are in its scope.
const NEGATION_REACH: u32 = 3;

// FNV-1a with a final mix. A hash of our own because it must stay the same for as long as a model file lives, and must
// extend byte by byte; the standard ones promise neither.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Kinds of features, kept apart by where their hash starts.
const WORD: u64 = OFFSET ^ 0x57;
const NGRAM: u64 = OFFSET ^ 0x4e_4e_4e;
const PAIR: u64 = OFFSET ^ 0x50_50;
const SKIPPING_PAIR: u64 = OFFSET ^ 0x51_51_51;
const NEGATED: u64 = OFFSET ^ 0x4e_45;
const ELONGATED: u64 = OFFSET ^ 0xe1;
const FIRST: u64 = OFFSET ^ 0xf1;
const LAST: u64 = OFFSET ^ 0xf2;
const SECOND: u64 = OFFSET ^ 0xf3;
const LENGTH: u64 = OFFSET ^ 0x1e_00;

/// A word or a group of signs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    /// Where it stands in the normalised text: `[start, end)`, in bytes.
    pub(crate) start: usize,
    pub(crate) end: usize,
    hash: u64,
    negated: bool,
    /// It stands for something of a kind, a number, a link, a member, and how it is written says nothing.
    stands_for: bool,
}

impl Word {
    /// True if it stands for something of a kind: a number, a link, a member.
    pub(crate) fn stands_for(&self) -> bool {
        self.stands_for
    }
}

/// Writes the words of a normalised text over what is in `words`.
///
/// Who is mentioned makes no label: mentions are left out, but for the first of a text of nothing else.
pub(crate) fn words(normal: &Normal, words: &mut Vec<Word>) {
    words.clear();
    let bytes = normal.text.as_bytes();
    let mut negated = 0;
    let mut mention = None;
    let mut start = 1;
    while start < bytes.len() && words.len() < WORDS_MAX {
        let length = bytes[start..].iter().position(|&byte| byte == b' ').unwrap_or(bytes.len() - start);
        let end = start + length;
        let word = &bytes[start..end];
        if length > 1 && word[0] == b'@' {
            mention = mention.or(Some(Word { start, end, hash: hash(b"@user"), negated: false, stands_for: true }));
        } else if length > 0 {
            let number = word.iter().all(|&byte| byte == b'0');
            let stands_for = number || matches!(word, b"num" | b"url" | b"email");
            let hash = hash(if number { b"num" } else { word });
            words.push(Word { start, end, hash, negated: negated > 0, stands_for });
            negated = if is_negation(word) { NEGATION_REACH } else { negated.saturating_sub(1) };
        }
        start = end + 1;
    }
    if words.is_empty() {
        words.extend(mention);
    }
}

fn hash(word: &[u8]) -> u64 {
    word.iter().fold(WORD, |hash, &byte| step(hash, byte))
}

/// The buckets of one word. They are listed first and summed after: so the list stays on the stack, and the sums are a loop
/// of their own that is compiled to the same vector instructions wherever it is called.
#[derive(Debug, Clone)]
pub(crate) struct Buckets {
    list: [u32; BUCKETS_PER_WORD],
    count: usize,
}

/// More than a word of [`WORD_BYTES_MAX`] has.
const BUCKETS_PER_WORD: usize = 256;

impl Default for Buckets {
    fn default() -> Buckets {
        Buckets { list: [0; BUCKETS_PER_WORD], count: 0 }
    }
}

impl Buckets {
    pub(crate) fn as_slice(&self) -> &[u32] {
        &self.list[..self.count]
    }

    #[inline(always)]
    fn push(&mut self, hash: u64) {
        if let Some(place) = self.list.get_mut(self.count) {
            *place = bucket(hash);
            self.count += 1;
        }
    }

    /// Writes the buckets of the word at `at` over what was here.
    pub(crate) fn fill(&mut self, normal: &Normal, words: &[Word], at: usize) {
        self.count = 0;
        let Word { start, end, hash, negated, stands_for } = words[at];
        self.push(hash);
        if at > 0 {
            self.push(PAIR ^ words[at - 1].hash.rotate_left(17).wrapping_add(hash));
        }
        if at > 1 {
            self.push(SKIPPING_PAIR ^ words[at - 2].hash.rotate_left(17).wrapping_add(hash));
        }
        if negated {
            self.push(NEGATED ^ hash);
        }
        if normal.is_elongated(start, end) {
            self.push(ELONGATED);
        }
        match at {
            0 => {
                self.push(FIRST ^ hash);
                // Twice the logarithm of the length: a class per factor of 1.4.
                let length = (words.len() * words.len()).ilog2();
                self.push(LENGTH.wrapping_mul(PRIME).wrapping_add(u64::from(length)));
            }
            1 => self.push(SECOND ^ hash),
            _ => {}
        }
        if at + 1 == words.len() {
            self.push(LAST ^ hash);
        }
        if stands_for {
            return;
        }
        // The blanks around the word belong to its n-grams: they tell beginnings and ends from middles.
        let whole = &normal.text.as_bytes()[start - 1..(end + 1).min(normal.text.len())];
        let whole = &whole[..whole.len().min(WORD_BYTES_MAX)];
        for from in 0..whole.len() {
            let mut hash = NGRAM;
            for (taken, &byte) in whole[from..].iter().take(*NGRAM_BYTES.end()).enumerate() {
                hash = step(hash, byte);
                if taken + 1 >= *NGRAM_BYTES.start() {
                    self.push(hash);
                }
            }
        }
    }
}

/// Words that turn what follows into its opposite, in the languages that are served, as they are written in haste too.
fn is_negation(word: &[u8]) -> bool {
    matches!(
        word,
        b"tidak"
            | b"tdk"
            | b"tak"
            | b"gak"
            | b"ga"
            | b"gk"
            | b"g"
            | b"gx"
            | b"ngga"
            | b"nggak"
            | b"ngk"
            | b"engga"
            | b"enggak"
            | b"kagak"
            | b"ndak"
            | b"gag"
            | b"bukan"
            | b"jangan"
            | b"belum"
            | b"blm"
            | b"kurang"
            | b"tanpa"
            | b"ora"
            | b"ra"
            | b"dudu"
            | b"durung"
            | b"henteu"
            | b"teu"
            | b"lain"
            | b"no"
            | b"not"
            | b"never"
            | b"without"
            | b"can't"
            | b"cant"
            | b"don't"
            | b"dont"
            | b"didn't"
            | b"didnt"
            | b"doesn't"
            | b"doesnt"
            | b"isn't"
            | b"wasn't"
            | b"won't"
    )
}

#[inline(always)]
fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(PRIME)
}

#[inline(always)]
fn bucket(hash: u64) -> u32 {
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - BUCKET_BITS)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_buckets(text: &str) -> Vec<Vec<u32>> {
        let normal = Normal::of(text);
        let mut found = Vec::new();
        words(&normal, &mut found);
        let of_word = |at: usize| {
            let mut buckets = Buckets::default();
            buckets.fill(&normal, &found, at);
            buckets.as_slice().to_vec()
        };
        (0..found.len()).map(of_word).collect()
    }

    #[test]
    fn features_are_bounded() {
        let found = all_buckets("ora iso mlebu aplikasine");
        assert!(found.len() == 4 && found.iter().flatten().count() > 40);
        assert!(found.iter().flatten().all(|&bucket| (bucket as usize) < BUCKETS));
        assert!(all_buckets(" ").is_empty());
        assert!(all_buckets(&"xy".repeat(4_000)).iter().all(|word| word.len() <= 255));
        assert_eq!(all_buckets(&"x ".repeat(4_000)).len(), WORDS_MAX);
    }

    #[test]
    fn numbers_are_alike_and_mentions_are_nobody() {
        assert_eq!(all_buckets("sudah 3 hari"), all_buckets("sudah 15 hari"));
        assert_eq!(all_buckets("sudah 3 hari"), all_buckets("@somebody_99 sudah NUM hari @USER"));
        assert_eq!(all_buckets("@one @two"), all_buckets("@USER"));
        assert_eq!(all_buckets("@USER").len(), 1);
    }

    #[test]
    fn a_negation_reaches_what_follows() {
        let normal = Normal::of("tidak begitu bagus lah kalau begitu");
        let mut found = Vec::new();
        words(&normal, &mut found);
        let negated: Vec<bool> = found.iter().map(|word| word.negated).collect();
        assert_eq!(negated, [false, true, true, true, false, false]);
    }
}
