//! Personal data that people write into texts, replaced by a marker that says what it was.
//!
//! Found by hand in one pass over bytes, without a regex: a text with few digits and no sign of an address is looked at once and
//! nothing else happens to it. Nothing is allocated once the buffers are warm. What is found and what is spared, with figures:
//! `docs/src/operate/privacy.md`.

mod cues;
mod mail;
mod numbers;
mod run;
#[cfg(test)]
mod tests;

use self::run::{Run, digit_of};

/// A kind of personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Personal {
    /// A telephone number: Indonesian, or with the prefix of any country.
    Phone = 0,
    /// An address of electronic mail.
    Email = 1,
    /// An Indonesian identity number (NIK) or that of a family card (KK), which is built alike.
    NationalId = 2,
    /// A payment card's number, with a right check digit.
    Card = 3,
    /// A bank account's number, where the words before it say so.
    Account = 4,
}

impl Personal {
    /// Every kind.
    pub const ALL: [Personal; 5] =
        [Personal::Phone, Personal::Email, Personal::NationalId, Personal::Card, Personal::Account];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Personal::Phone => "phone",
            Personal::Email => "email",
            Personal::NationalId => "national_id",
            Personal::Card => "card",
            Personal::Account => "account",
        }
    }

    /// What stands in its place: the name in the configuration, in brackets.
    pub const fn marker(self) -> &'static str {
        match self {
            Personal::Phone => "[phone]",
            Personal::Email => "[email]",
            Personal::NationalId => "[national_id]",
            Personal::Card => "[card]",
            Personal::Account => "[account]",
        }
    }
}

/// Where something was found, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
    what: Personal,
}

/// Replaces personal data in texts.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    /// What is replaced, as bits.
    kinds: u8,
    found: Vec<Span>,
    run: Run,
    text: String,
    next: String,
}

impl Redactor {
    /// One that replaces these kinds.
    pub fn new(kinds: impl IntoIterator<Item = Personal>) -> Redactor {
        let kinds = kinds.into_iter().fold(0, |bits, kind| bits | 1 << kind as u8);
        Redactor { kinds, ..Redactor::default() }
    }

    /// The text with markers in place of what was found; `None` where that is nothing.
    ///
    /// ```
    /// use pipeline::{Personal, Redactor};
    /// let mut redactor = Redactor::new(Personal::ALL);
    /// assert_eq!(redactor.redact("Hubungi 0812-3456-7890 ya"), Some("Hubungi [phone] ya"));
    /// assert_eq!(redactor.redact("Resi JNE 012345678901234 belum sampai"), None);
    /// ```
    pub fn redact(&mut self, text: &str) -> Option<&str> {
        if self.kinds == 0 || !may_hold(text) || !self.pass(text) {
            return None;
        }
        // What is beside a marker is read as it will be by whoever redacts the outcome: until nothing is found any more. Each pass
        // leaves fewer digits and signs, so that this ends.
        loop {
            std::mem::swap(&mut self.text, &mut self.next);
            let text = std::mem::take(&mut self.text);
            let again = may_hold(&text) && self.pass(&text);
            self.text = text;
            if !again {
                return Some(&self.text);
            }
        }
    }

    /// Whether a text is as it would be redacted: it holds a marker of ours.
    pub fn is_redacted(text: &str) -> bool {
        Personal::ALL.into_iter().any(|kind| text.contains(kind.marker()))
    }

    /// Writes the text with what was found replaced to `next`; false if nothing was.
    fn pass(&mut self, text: &str) -> bool {
        let Redactor { kinds, found, run, next, .. } = self;
        let wanted = |what: Personal| *kinds >> what as u8 & 1 == 1;
        found.clear();
        mail::find(text, found);
        let mails = found.len();
        let mut from = 0;
        for place in 0..=mails {
            // Between addresses: digits in those are theirs.
            let mail = found.get(place).filter(|_| place < mails);
            let (until, after) = mail.map_or((text.len(), text.len()), |mail| (mail.start, mail.end));
            numbers::find(text, from..until, run, found);
            from = after;
        }
        found.retain(|span| wanted(span.what));
        if found.is_empty() {
            return false;
        }
        found.sort_unstable_by_key(|span| span.start);
        next.clear();
        let mut copied = 0;
        for span in found.iter() {
            next.push_str(&text[copied..span.start]);
            next.push_str(span.what.marker());
            copied = span.end;
        }
        next.push_str(&text[copied..]);
        true
    }
}

/// The fewest digits of a number that is looked for.
const DIGITS_MIN: usize = 7;

/// Bytes that are counted at once: no more than a byte can count.
const CHUNK: usize = 255;

/// Whether there is any use in a closer look. Without branches, so that the compiler takes many bytes at once.
fn may_hold(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut digits = 0;
    let mut signs = false;
    for chunk in bytes.chunks(CHUNK) {
        let mut of_chunk = 0_u8;
        let mut sign = 0_u8;
        for &byte in chunk {
            // Digits of other scripts and faces begin so, and so do a few signs; letters with accents do not.
            let foreign = (byte == 0xC2) | (byte >= 0xD9);
            of_chunk += u8::from(byte.wrapping_sub(b'0') < 10) | u8::from(foreign);
            // `@`, `%40` and the full-width one.
            sign |= u8::from(byte == b'@') | u8::from(byte == b'%') | u8::from(byte == 0xEF);
        }
        digits += usize::from(of_chunk);
        signs |= sign != 0;
    }
    signs || digits >= DIGITS_MIN || says_at(bytes)
}

/// Whether the word "at" stands alone somewhere, or in brackets.
fn says_at(bytes: &[u8]) -> bool {
    let Some(last) = bytes.len().checked_sub(3) else { return false };
    let mut seen = 0_u8;
    for (((before, a), t), after) in bytes[..last].iter().zip(&bytes[1..]).zip(&bytes[2..]).zip(&bytes[3..]) {
        let word = u8::from(a | 0x20 == b'a') & u8::from(t | 0x20 == b't');
        // Below the letters, or a bracket: what else is there costs a closer look and no more.
        let apart = |byte: u8| u8::from(byte < b'0') | u8::from(byte & 0xDF == b'[') | u8::from(byte & 0xDF == b']');
        seen |= word & apart(*before) & apart(*after);
    }
    seen != 0
}

/// The longest beginning of a text that has at most so many bytes and ends in the middle of no word: half a number or half an
/// address would not be known as one. Only a word that is longer than any of those is cut.
pub(super) fn cut(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let mut end = most;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let whole = &text[..end];
    let least = end.saturating_sub(WORD_BYTES_MAX);
    let mut kept = whole;
    loop {
        let word_start = kept.trim_end().char_indices().rev().find(|(_, c)| c.is_whitespace());
        let word_start = word_start.map_or(0, |(at, blank)| at + blank.len_utf8());
        if word_start <= least {
            return kept.trim_end_matches(|c: char| !c.is_alphabetic());
        }
        let word = &kept[word_start..];
        let is_part = word.chars().any(|c| matches!(c, '@' | '+') || digit_of(c).is_some());
        if !is_part && kept.len() < whole.len() {
            return kept;
        }
        kept = &kept[..word_start];
    }
}

/// Longest word that goes when a text is cut, and how far back from there words with digits go, in bytes.
const WORD_BYTES_MAX: usize = 256;

#[cfg(test)]
mod wanted {
    use super::*;

    #[test]
    fn only_what_is_wanted_is_replaced() {
        let text = "WA 081234567890 atau budi@contoh.id";
        let check = |kinds: &[Personal], expected: Option<&str>| {
            let mut redactor = Redactor::new(kinds.iter().copied());
            assert_eq!(redactor.redact(text), expected, "{kinds:?}");
        };
        check(&Personal::ALL, Some("WA [phone] atau [email]"));
        check(&[Personal::Phone], Some("WA [phone] atau budi@contoh.id"));
        check(&[Personal::Email], Some("WA 081234567890 atau [email]"));
        check(&[Personal::Card], None);
        check(&[], None);
    }

    #[test]
    fn what_is_cut_ends_in_no_number() {
        assert_eq!(cut("halo", 10), "halo");
        assert_eq!(cut("nomor saya 0812 3456 7890 ya", 20), "nomor saya ");
        assert_eq!(cut("tulis ke budi@contoh.id ya", 18), "tulis ke ");
        assert_eq!(cut("satu dua tiga", 10), "satu dua ");
        assert_eq!(cut("sangatpanjangsekalitanpaspasi", 10), "sangatpanj");
        assert_eq!(cut("081234567890", 10), "");
    }
}
