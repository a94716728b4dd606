//! Text to features: the hot path's inner loop.
//!
//! The text is normalised once (lower case, elongations cut, digits made alike), then every word gives itself, its pair
//! with the word before, and the byte n-grams of 2 to 5 bytes of the word between blanks. Each is a hash; the model has a
//! row per bucket of hashes (Weinberger et al., *Feature Hashing for Large Scale Multitask Learning*, 2009).

use record::limits;

/// The rows of a model: 2^18.
pub(crate) const BUCKETS: usize = 1 << 18;
/// Longest n-gram, in bytes.
const NGRAM_BYTES_MAX: usize = 5;
/// Most features of one text: beyond it the rest says little that is new.
const FEATURES_MAX: usize = 16_384;

// FNV-1a with a final mix. A hash of our own because it must stay the same for as long as a model file lives, and must
// extend byte by byte; the standard ones promise neither.
const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;

/// Kinds of features, kept apart by where their hash starts.
const WORD: u64 = OFFSET ^ 0x57;
const PAIR: u64 = OFFSET ^ 0x50_50;
const NGRAM: u64 = OFFSET ^ 0x4e_4e_4e;

/// The part of a text that is classified.
pub(crate) fn classified_part(text: &str) -> &str {
    let mut end = text.len().min(limits::CLASSIFIED_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Writes the normalised text over what is in `normal`: lower case, words and signs apart by one blank, runs of one
/// character cut to two, digits as `0`, a blank at both ends.
pub(crate) fn normalise(text: &str, normal: &mut String) {
    normal.clear();
    normal.push(' ');
    let mut last = ' ';
    let mut run = 0;
    for character in text.chars() {
        if character.is_ascii() {
            push(character.to_ascii_lowercase(), &mut last, &mut run, normal);
        } else {
            // Variation selectors and joiners only change how the sign before them is drawn.
            if matches!(character, '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}') {
                continue;
            }
            for lower in character.to_lowercase() {
                push(lower, &mut last, &mut run, normal);
            }
        }
    }
    if last != ' ' {
        normal.push(' ');
    }
}

fn push(character: char, last: &mut char, run: &mut u32, normal: &mut String) {
    let character = match character {
        '0'..='9' => '0',
        '_' => '_',
        character if character.is_whitespace() || character.is_control() => ' ',
        character => character,
    };
    if character == *last {
        *run += 1;
        if character == ' ' || *run > 2 {
            return;
        }
    } else {
        *run = 1;
        // A sign stands alone: `bagus!!` is the word and the signs.
        let alone = is_sign(character) != is_sign(*last);
        if alone && character != ' ' && *last != ' ' {
            normal.push(' ');
        }
        *last = character;
    }
    normal.push(character);
}

fn is_sign(character: char) -> bool {
    !(character.is_alphanumeric() || matches!(character, ' ' | '@' | '_' | '\''))
}

/// Gives every feature of a normalised text: its bucket, and where in the text it stands (`[start, end)`, in bytes).
pub(crate) fn features(normal: &str, see: &mut impl FnMut(usize, usize, usize)) {
    let bytes = normal.as_bytes();
    let mut left = FEATURES_MAX;
    let mut before: Option<(u64, usize)> = None;
    let mut start = 1;
    while start < bytes.len() {
        let length = bytes[start..].iter().position(|&byte| byte == b' ').unwrap_or(bytes.len() - start);
        let end = start + length;
        if length > 0 {
            let word = bytes[start..end].iter().fold(WORD, |hash, &byte| step(hash, byte));
            see(bucket(word), start, end);
            if let Some((before, from)) = before {
                see(bucket(PAIR ^ before.rotate_left(17).wrapping_add(word)), from, end);
            }
            before = Some((word, start));
            // The blanks around the word belong to its n-grams: they tell beginnings and ends from middles.
            let whole = &bytes[start - 1..(end + 1).min(bytes.len())];
            for from in 0..whole.len() {
                let mut hash = NGRAM;
                for (taken, &byte) in whole[from..].iter().take(NGRAM_BYTES_MAX).enumerate() {
                    hash = step(hash, byte);
                    if taken > 0 {
                        see(bucket(hash), start - 1 + from, start + from + taken);
                    }
                }
            }
            left = left.saturating_sub(length * NGRAM_BYTES_MAX);
            if left == 0 {
                return;
            }
        }
        start = end + 1;
    }
}

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(PRIME)
}

fn bucket(hash: u64) -> usize {
    let mixed = (hash ^ (hash >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> (64 - BUCKETS.trailing_zeros())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_as_people_write() {
        let check = |text: &str, expected: &str| {
            let mut normal = String::new();
            normalise(text, &mut normal);
            assert_eq!(normal, expected, "{text:?}");
        };
        check("Lamaaaa BANGET!!!!", " lamaa banget !! ");
        check("  jam 12.30\n\ttadi ", " jam 00 . 00 tadi ");
        check("mantap👍👍👍👍🏽", " mantap 👍👍🏽 ");
        check("", " ");
        check("@USER makasih ya", " @user makasih ya ");
    }

    #[test]
    fn features_stay_within_the_text() {
        let mut normal = String::new();
        normalise("ora iso mlebu aplikasine", &mut normal);
        let mut count = 0;
        features(&normal, &mut |bucket, start, end| {
            assert!(bucket < BUCKETS && start < end && end <= normal.len());
            count += 1;
        });
        assert!(count > 40);
        features(" ", &mut |_, _, _| panic!("nothing has no features"));
    }
}
