//! A text as the features see it: written one way, however it was typed.

use record::limits;

/// A normalised text, and which of its letters were drawn out. It is kept and filled anew, so that nothing is allocated.
#[derive(Debug, Clone, Default)]
pub(crate) struct Normal {
    /// Lower case, words and signs apart by one blank, a blank at both ends.
    pub(crate) text: String,
    /// Where in `text` a letter that was written three times or more ends; ascending.
    elongations: Vec<usize>,
}

impl Normal {
    /// Normalises `text` over what was here: lower case, words and signs apart, digits as `0`, links and addresses as the masks
    /// that stand for them in the training data, letters that were drawn out (`baguuus`) written once and noted, runs of other
    /// characters cut to two, invisible characters left out.
    pub(crate) fn fill(&mut self, text: &str) {
        self.text.clear();
        self.elongations.clear();
        self.text.push(' ');
        let mut last = ' ';
        let mut run = 0;
        for token in text.split(char::is_whitespace) {
            for character in mask(token).unwrap_or(token).chars() {
                if character.is_ascii() {
                    self.push(character.to_ascii_lowercase(), &mut last, &mut run);
                } else if !is_invisible(character) {
                    for lower in character.to_lowercase() {
                        self.push(lower, &mut last, &mut run);
                    }
                }
            }
            self.push(' ', &mut last, &mut run);
        }
        if last != ' ' {
            self.text.push(' ');
        }
    }

    /// The normal form of a text's classified part, newly made.
    pub(crate) fn of(text: &str) -> Normal {
        let mut normal = Normal::default();
        normal.fill(classified_part(text));
        normal
    }

    /// True if a letter of the word at `[start, end)` was drawn out.
    pub(crate) fn is_elongated(&self, start: usize, end: usize) -> bool {
        let from = self.elongations.partition_point(|&at| at <= start);
        self.elongations.get(from).is_some_and(|&at| at <= end)
    }

    fn push(&mut self, character: char, last: &mut char, run: &mut u32) {
        let character = match character {
            '0'..='9' => '0',
            character if character.is_whitespace() || character.is_control() => ' ',
            character => character,
        };
        if character == *last {
            *run += 1;
            if character == ' ' || *run > 3 {
                return;
            }
            if *run == 3 {
                // Two are a spelling (`saat`, `good`), three never are.
                if character.is_alphabetic() {
                    self.text.pop();
                    self.elongations.push(self.text.len());
                }
                return;
            }
        } else {
            *run = 1;
            // A sign stands alone: `bagus!!` is the word and the signs.
            let alone = is_sign(character) != is_sign(*last);
            if alone && character != ' ' && *last != ' ' {
                self.text.push(' ');
            }
            *last = character;
        }
        self.text.push(character);
    }
}

/// The part of a text that is classified: the first [`limits::CLASSIFIED_TEXT_BYTES`], up to a whole character.
pub fn classified_part(text: &str) -> &str {
    let mut end = text.len().min(limits::CLASSIFIED_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// What stands for a link or an address.
fn mask(token: &str) -> Option<&'static str> {
    let bytes = token.as_bytes();
    let begins = |with: &str| bytes.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with.as_bytes()));
    if begins("http://") || begins("https://") || begins("www.") {
        return Some("URL");
    }
    let at = bytes.iter().position(|&byte| byte == b'@').filter(|&at| at > 0)?;
    let before = bytes[..at].iter().all(|byte| byte.is_ascii_alphanumeric() || b"._+-".contains(byte));
    (before && bytes[at..].contains(&b'.')).then_some("EMAIL")
}

/// Joiners, marks of direction and variation selectors only change how what is beside them is drawn.
fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
    )
}

fn is_sign(character: char) -> bool {
    !(character.is_alphanumeric() || matches!(character, ' ' | '@' | '_' | '\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalises_as_people_write() {
        let check = |text: &str, expected: &str| assert_eq!(Normal::of(text).text, expected, "{text:?}");
        check("Lamaaaa BANGET!!!!", " lama banget !! ");
        check("good saat itu", " good saat itu ");
        check("  jam 12.30\n\ttadi ", " jam 00 . 00 tadi ");
        check("mantap👍👍👍👍🏽", " mantap 👍👍🏽 ");
        check("", " ");
        check("@USER makasih ya", " @user makasih ya ");
        check("cek https://example.org/a?b=1 atau tulis ke kami.cs@example.org ya", " cek url atau tulis ke email ya ");
        check("\u{202e}ba\u{200d}gus\u{2069}", " bagus ");
    }

    #[test]
    fn drawn_out_words_are_noted() {
        let normal = Normal::of("sudah lamaaaa baguuus !!!!");
        let found: Vec<&str> = normal
            .text
            .match_indices(|character: char| character != ' ')
            .filter(|&(at, _)| at > 0 && normal.text.as_bytes()[at - 1] == b' ')
            .map(|(at, _)| normal.text[at..].split(' ').next().unwrap_or_default())
            .filter(|word| {
                let at = normal.text.find(word).unwrap();
                normal.is_elongated(at, at + word.len())
            })
            .collect();
        assert_eq!(found, ["lama", "bagus"]);
    }
}
