//! Which digits are a telephone number, an identity number, a card or an account.
//!
//! A number begins and ends with a group of digits. What it is, its own digits say first, then the words before it (`cues.rs`):
//! what they call a parcel's or an order's is left, unless it is written as only telephone numbers are.

use std::ops::Range;

use super::cues::{Cue, cue, last_bytes, touching};
use super::run::{Digit, Run, digit_of, is_invisible};
use super::{Personal, Span};

/// Most digits of anything that is looked for.
const DIGITS_MAX: usize = 19;

/// So much of a link is looked at before a number in it: each number of a text looks back for itself.
const LINK_BYTES_MAX: usize = 512;

/// Finds numbers in a part of a text, in order.
pub(super) fn find(text: &str, within: Range<usize>, run: &mut Run, found: &mut Vec<Span>) {
    let mut at = within.start;
    while let Some(offset) = text[at..within.end].find(|c: char| digit_of(c).is_some() || matches!(c, 'o' | 'O')) {
        let start = at + offset;
        let next = run.read(text, start, within.end);
        if run.digits.len() >= super::DIGITS_MIN {
            of_run(text, &within, run, found);
        }
        at = next;
    }
}

fn of_run(text: &str, within: &Range<usize>, run: &Run, found: &mut Vec<Span>) {
    let groups = run.groups.len() - 1;
    let mut first = 0;
    while first < groups {
        let candidate = Candidate::new(text, within, run, first);
        let what = (first..groups)
            .take_while(|&last| run.groups[last + 1] - run.groups[first] <= DIGITS_MAX)
            .filter_map(|last| Some((last, candidate.judge(last)?)));
        // The longest; but what one group says alone stands alone.
        let alone = run.group_length(first) >= 10;
        let best = what.take(if alone { 1 } else { usize::MAX }).last();
        let Some((last, what)) = best else {
            first += 1;
            continue;
        };
        let digits = &run.digits[run.groups[first]..run.groups[last + 1]];
        let end = digits[digits.len() - 1].end;
        // What makes a key cap of a digit goes with it.
        let caps = text[end..within.end].find(|c: char| !is_invisible(c)).unwrap_or(within.end - end);
        found.push(Span { start: candidate.start, end: end + caps, what });
        first = last + 1;
    }
}

/// A number that may begin with a group of a run.
struct Candidate<'a> {
    text: &'a str,
    until: usize,
    run: &'a Run,
    first: usize,
    /// With the sign or the bracket before it.
    start: usize,
    plus: bool,
    cue: Cue,
    /// A code with letters before its digits: `JP0812...`, `INV/2026/0812...`.
    is_code: bool,
    in_link: bool,
}

impl<'a> Candidate<'a> {
    fn new(text: &'a str, within: &Range<usize>, run: &'a Run, first: usize) -> Candidate<'a> {
        let digits_start = run.digits[run.groups[first]].start;
        let floor = match run.groups[first] {
            0 => within.start,
            digit => run.digits[digit - 1].end,
        };
        let mut start = digits_start;
        let mut plus = false;
        for (at, character) in text[floor..digits_start].char_indices().rev() {
            match character {
                '+' | '＋' => {
                    (start, plus) = (floor + at, true);
                    break;
                }
                '(' => start = floor + at,
                _ if character == ' ' || is_invisible(character) => {}
                _ => break,
            }
        }
        let before = &text[within.start..start];
        let touching = touching(&text[floor..start]);
        let cue = cue(before);
        let near = last_bytes(before, LINK_BYTES_MAX);
        let token = &near[near.rfind(char::is_whitespace).unwrap_or(0)..];
        Candidate {
            text,
            until: within.end,
            run,
            first,
            start,
            plus,
            cue,
            is_code: is_code(&text[floor..start], touching, cue),
            in_link: token.contains("://") || token.contains("www."),
        }
    }

    /// What it is if it ends with this group.
    fn judge(&self, last: usize) -> Option<Personal> {
        let digits = &self.run.digits[self.run.groups[self.first]..self.run.groups[last + 1]];
        if digits.len() < super::DIGITS_MIN || (self.is_code && !self.plus) || self.is_followed(digits) {
            return None;
        }
        let mut values = [0; DIGITS_MAX];
        let values = values.get_mut(..digits.len())?;
        values.iter_mut().zip(digits).for_each(|(value, digit)| *value = digit.value);
        let values = &*values;
        // Letters that look like digits make no number but one of which most is digits.
        if digits.iter().filter(|digit| digit.is_letter).count() * 3 > digits.len() {
            return None;
        }
        let grouped = last > self.first;
        let spared = matches!(self.cue, Cue::Business | Cue::Money);
        if self.cue == Cue::NationalId && matches!(values.len(), 15 | 16) {
            return Some(Personal::NationalId);
        }
        if self.is_phone(values, last) && (!spared || self.plus || (grouped && !self.is_amount(last))) {
            return Some(Personal::Phone);
        }
        if spared || self.in_link {
            return None;
        }
        if is_national_id(values)
            && self.is_grouped_as(last, &[&[6, 6, 4], &[2, 2, 2, 6, 4], &[6, 10], &[12, 4], &[8, 8]])
        {
            return Some(Personal::NationalId);
        }
        if is_card(values) && self.is_grouped_as(last, &[&[4, 6, 5], &[4, 4, 4, 4, 3]]) {
            return Some(Personal::Card);
        }
        let least = match self.cue {
            Cue::Account(true) => 8,
            Cue::Account(false) => 10,
            _ => return None,
        };
        (values.len() >= least && values.len() <= 16 && !self.is_amount(last)).then_some(Personal::Account)
    }

    /// A code goes on in capitals; and what is followed by a colon or a percent sign is a time or a share.
    fn is_followed(&self, digits: &[Digit]) -> bool {
        let end = digits[digits.len() - 1].end;
        let mut after = self.text[end..self.until].chars();
        match after.next() {
            Some('%') => true,
            Some(':') => after.next().is_some_and(|c| c.is_ascii_digit()),
            Some(next) => next.is_ascii_uppercase(),
            None => false,
        }
    }

    fn lengths(&self, last: usize) -> impl Iterator<Item = usize> + Clone + '_ {
        (self.first..=last).map(|group| self.run.group_length(group))
    }

    /// In one piece, in pieces of one length, or in one of these ways.
    fn is_grouped_as(&self, last: usize, ways: &[&[usize]]) -> bool {
        let lengths = self.lengths(last);
        let size = self.run.group_length(self.first);
        let alike = lengths.clone().all(|length| length == size);
        alike || ways.iter().any(|way| lengths.clone().eq(way.iter().copied()))
    }

    /// Thousands set apart by dots or commas: an amount.
    fn is_amount(&self, last: usize) -> bool {
        let mut groups = self.first + 1..=last;
        let by_sign = |group: usize| {
            self.run.group_length(group) == 3
                && matches!(self.run.digits[self.run.groups[group]].after, Some('.' | ','))
        };
        last > self.first && self.run.group_length(self.first) <= 3 && groups.all(by_sign)
    }

    fn is_phone(&self, values: &[u8], last: usize) -> bool {
        let count = values.len();
        if self.plus {
            let own = values.starts_with(&[6, 2]);
            return (8..=15).contains(&count) && values[0] != 0 && (own || !self.is_amount(last));
        }
        match *values {
            [0, 0, 6, 2, ..] => (12..=17).contains(&count),
            [0, 0, 1..=9, ..] => self.cue == Cue::Phone && (11..=17).contains(&count),
            [0, 8, 1..=9, ..] => (10..=13).contains(&count) && self.is_regular(last),
            [6, 2, 8, 1..=9, ..] => (11..=14).contains(&count) && self.is_regular(last),
            [6, 2, 0, 8, 1..=9, ..] => (12..=15).contains(&count),
            _ if self.in_link => false,
            [0, 2..=7 | 9, ..] => (9..=12).contains(&count) && self.is_landline(values, last),
            [6, 2, 2..=7 | 9, ..] => {
                let apart = self.run.group_length(self.first) == 2;
                (10..=13).contains(&count) && (self.cue == Cue::Phone || (apart && is_area(&values[2..])))
            }
            [8, 1..=9, ..] => self.cue == Cue::Phone && (9..=12).contains(&count) && !self.is_amount(last),
            // As in North America.
            [2..=9, _, _, 2..=9, ..] => {
                let signs = self.lengths(last).eq([3, 3, 4]);
                let sign = |group: usize| self.run.digits[self.run.groups[group]].after;
                count == 10 && signs && matches!(sign(self.first + 2), Some('-' | '.'))
            }
            _ => false,
        }
    }

    /// Not a date or a time of day, with something else behind it.
    fn is_regular(&self, last: usize) -> bool {
        let first = self.run.group_length(self.first);
        let mut rest = self.lengths(last).skip(1);
        if first >= 3 {
            return true;
        }
        let sign = self.run.digits.get(self.run.groups[self.first + 1]).and_then(|digit| digit.after);
        let long = rest.clone().all(|length| length >= 3) && !(first == 1 && matches!(sign, Some('.' | ',')));
        let date = first == 2 && self.lengths(last).take(3).eq([2, 2, 4]);
        let last_but_one = last.saturating_sub(self.first + 1);
        let alike =
            rest.by_ref().take(last_but_one).all(|length| length == first) && rest.next().is_none_or(|end| end <= 3);
        !date && sign != Some('/') && (long || alike)
    }

    /// An area's code apart, or a word that says so.
    fn is_landline(&self, values: &[u8], last: usize) -> bool {
        let apart = (3..=4).contains(&self.run.group_length(self.first)) && last > self.first;
        let long = self.lengths(last).skip(1).all(|length| length >= 2);
        let whole = last == self.first && matches!(values, [0, 2, 1 | 2 | 4, ..] | [0, 3, 1, ..] | [0, 6, 1, ..]);
        (self.cue == Cue::Phone || (apart && long) || (whole && values.len() >= 10)) && is_area(&values[1..])
    }
}

/// Whether a code is before the digits: capitals that touch them, or do but for a sign; a lone `#` too.
fn is_code(before: &str, touching: &str, cue: Cue) -> bool {
    if cue == Cue::Phone || cue == Cue::NationalId || matches!(cue, Cue::Account(_)) {
        return false;
    }
    if !touching.is_empty() {
        return touching.chars().all(char::is_uppercase);
    }
    let mut back = before.chars().rev();
    match back.next() {
        Some('#') => true,
        Some('/' | '-' | '_') => {
            let letters = back.clone().take_while(|c| c.is_alphabetic()).count();
            (1..=5).contains(&letters) && back.take(letters).all(char::is_uppercase)
        }
        _ => false,
    }
}

/// Whether an area's code is at the beginning, without its zero: Jakarta 21, Bandung 22, Semarang 24, Surabaya 31, Medan 61, and those of
/// three digits, of which none has a zero.
fn is_area(values: &[u8]) -> bool {
    matches!(*values, [2, 1 | 2 | 4, ..] | [3, 1, ..] | [6, 1, ..] | [2..=7 | 9, 1..=9, 1..=9, ..])
}

/// Province, regency and district, the day of birth (40 more for women), month, year, and a number: 16 digits. A family card has the
/// day of its issue there.
fn is_national_id(values: &[u8]) -> bool {
    if values.len() != 16 {
        return false;
    }
    let pair = |at: usize| u32::from(values[at]) * 10 + u32::from(values[at + 1]);
    let province = matches!(pair(0), 11..=21 | 31..=36 | 51..=53 | 61..=65 | 71..=76 | 81..=82 | 91..=97);
    let place = matches!(pair(2), 1..=79) && pair(4) >= 1;
    let day = matches!(pair(6), 1..=31 | 41..=71);
    province && place && day && matches!(pair(8), 1..=12) && values[12..] != [0, 0, 0, 0]
}

/// A card's issuer, its length, and its check digit (ISO/IEC 7812).
fn is_card(values: &[u8]) -> bool {
    let count = values.len();
    let issuer = match *values {
        [4, ..] => matches!(count, 13 | 16 | 19),
        [5, 1..=5, ..] | [2, 2..=7, ..] => count == 16,
        [3, 4 | 7, ..] => count == 15,
        [3, 5, ..] => count == 16,
        [6, 0 | 2 | 4 | 5, ..] => (16..=19).contains(&count),
        _ => false,
    };
    issuer && checks(values)
}

/// Luhn's check.
fn checks(values: &[u8]) -> bool {
    let sum: u32 = values
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &value)| match (place % 2, u32::from(value) * 2) {
            (0, double) => double / 2,
            (_, double) => double / 10 + double % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}
