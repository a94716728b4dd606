//! Digits that follow on each other, however they are set apart and in whatever script or face they are written.

/// Most signs between two digits of one number.
const SIGNS_BETWEEN_MAX: usize = 3;

/// A digit in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Digit {
    pub(super) value: u8,
    pub(super) start: usize,
    pub(super) end: usize,
    /// The first sign between it and the digit before, if there is one.
    pub(super) after: Option<char>,
    /// Written as a letter that looks like it.
    pub(super) is_letter: bool,
}

/// A run of digits.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    pub(super) digits: Vec<Digit>,
    /// Where each group begins among the digits; one more for the end.
    pub(super) groups: Vec<usize>,
}

impl Run {
    /// Reads the run that begins at the digit at `at`, up to `until`; gives where to look on.
    pub(super) fn read(&mut self, text: &str, at: usize, until: usize) -> usize {
        self.digits.clear();
        self.groups.clear();
        let mut end = at;
        let (mut between, mut after) = (0, None);
        let mut characters = text[at..until].char_indices().peekable();
        while let Some((offset, character)) = characters.next() {
            let start = at + offset;
            let touches = between == 0 && !self.digits.is_empty();
            let next = characters.peek().map(|&(_, next)| next);
            let digit = digit_of(character).map(|value| (value, false)).or_else(|| {
                // A letter stands for a digit between digits, or where a number begins: O812.
                let begins = self.digits.is_empty() && next == Some('8') && matches!(character, 'o' | 'O');
                let goes_on = touches && next.is_some_and(|next| digit_of(next).is_some() || lookalike(next).is_some());
                let ends = touches && matches!(character, 'o' | 'O') && !next.is_some_and(char::is_alphanumeric);
                lookalike(character).filter(|_| begins || goes_on || ends).map(|value| (value, true))
            });
            if let Some((value, is_letter)) = digit {
                end = start + character.len_utf8();
                if self.digits.is_empty() || after.is_some() {
                    self.groups.push(self.digits.len());
                }
                self.digits.push(Digit { value, start, end, after: after.take(), is_letter });
                between = 0;
            } else if is_invisible(character) {
                // Nobody sees it: it sets nothing apart.
            } else if is_between(character) && between < SIGNS_BETWEEN_MAX {
                between += 1;
                after = after.or(Some(character));
            } else {
                break;
            }
        }
        self.groups.push(self.digits.len());
        end.max(at + text[at..].chars().next().map_or(1, char::len_utf8))
    }

    /// How many digits there are in a group.
    pub(super) fn group_length(&self, group: usize) -> usize {
        self.groups[group + 1] - self.groups[group]
    }
}

/// The digit that a character is, in any script or face in which people write numbers here.
pub(super) fn digit_of(character: char) -> Option<u8> {
    if character.is_ascii() {
        return character.is_ascii_digit().then(|| character as u8 - b'0');
    }
    let code = character as u32;
    // Arabic, Devanagari, Balinese, Sundanese, subscript, Javanese, full width; each from zero to nine.
    let zeros = [0x0660, 0x06F0, 0x0966, 0x1B50, 0x1BB0, 0x2080, 0xA9D0, 0xFF10, 0x1FBF0];
    let plain = zeros.into_iter().find(|zero| (*zero..*zero + 10).contains(&code)).map(|zero| code - zero);
    let value = match code {
        0x1D7CE..=0x1D7FF => Some((code - 0x1D7CE) % 10),
        0x2070 => Some(0),
        0x00B9 => Some(1),
        0x00B2 | 0x00B3 => Some(code - 0x00B0),
        0x2074..=0x2079 => Some(code - 0x2070),
        0x24EA => Some(0),
        // In circles.
        0x2460..=0x2468 => Some(code - 0x245F),
        0x2776..=0x277E => Some(code - 0x2775),
        _ => plain,
    };
    value.and_then(|value| u8::try_from(value).ok())
}

/// The digit that a letter looks like.
fn lookalike(character: char) -> Option<u8> {
    match character {
        'o' | 'O' => Some(0),
        'l' | 'I' => Some(1),
        _ => None,
    }
}

/// Joiners, marks of direction, soft hyphens, and what makes a digit a key cap.
pub(super) fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{20e3}'
    )
}

/// What may stand between two digits of one number. A colon does not: that is a time.
fn is_between(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '.' | '-'
                | '_'
                | '('
                | ')'
                | '/'
                | '\\'
                | '*'
                | '~'
                | '|'
                | ','
                | '\''
                | '·'
                | '•'
                | '−'
                | '['
                | ']'
                | '\u{2010}'..='\u{2015}'
        )
}
