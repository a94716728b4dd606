//! Which language a text is in, of those that are served; and that it is in none of them.
//!
//! The four are told apart by the model's own scores. That a text is in another one shows in its script (anything but Latin)
//! or in small words that are frequent in another language of the Latin script and rare in the four. No labelled text of
//! other languages was at hand: what is refused is refused by rule, and a text without such words passes for one of the four.

use record::Language;

use crate::features::Word;
use crate::network::{LANGUAGES, largest};
use crate::normalise::Normal;

/// What is said of a text's language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) language: Language,
    pub(crate) mixed: bool,
}

/// Counts over a text's words.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Counts {
    words: usize,
    /// Words that stand clearly on the side of each language.
    clear: [usize; LANGUAGES.len()],
}

/// By how much a word's score of one language must exceed the other three for the word to count as clearly of it.
const CLEAR: f32 = 1.5;
/// A text is mixed when at least this many words are clearly of a second language,
const MIXED_WORDS_MIN: usize = 2;
/// and at least one of this many.
const MIXED_ONE_OF: usize = 5;
/// Words of another language for a text to be in it, unless it is all of two or three words.
const FOREIGN_WORDS_MIN: usize = 2;
/// and at least one of this many words.
const FOREIGN_ONE_OF: usize = 6;

impl Counts {
    /// Counts a word by its scores of the languages.
    pub(crate) fn see(&mut self, scores: &[f32; LANGUAGES.len()]) {
        self.words += 1;
        let best = largest(scores);
        if (0..LANGUAGES.len()).all(|other| other == best || scores[best] - scores[other] > CLEAR) {
            self.clear[best] += 1;
        }
    }
}

/// Tells the language of a text by its scores over the whole text and its words.
pub(crate) fn tell(normal: &Normal, words: &[Word], scores: &[f32; LANGUAGES.len()], counts: &Counts) -> Told {
    let (mut latin, mut other) = (0_usize, 0_usize);
    for character in normal.text.chars().filter(|character| character.is_alphabetic()) {
        if is_latin(character) {
            latin += 1;
        } else {
            other += 1;
        }
    }
    if latin + other == 0 {
        return Told { language: Language::Undetermined, mixed: false };
    }
    if other > latin || is_foreign(normal, words) {
        return Told { language: Language::Other, mixed: latin > 0 && other > 0 };
    }
    let best = largest(scores);
    let second = (0..LANGUAGES.len()).filter(|&at| at != best).map(|at| counts.clear[at]).max().unwrap_or(0);
    let mixed = second >= MIXED_WORDS_MIN && second * MIXED_ONE_OF >= counts.words;
    Told { language: LANGUAGES[best], mixed }
}

fn is_latin(character: char) -> bool {
    matches!(character, 'a'..='z' | 'A'..='Z' | '\u{aa}' | '\u{ba}' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}

fn is_foreign(normal: &Normal, words: &[Word]) -> bool {
    let foreign = words.iter().filter(|word| is_foreign_word(&normal.text[word.start..word.end])).count();
    foreign >= FOREIGN_WORDS_MIN && foreign * FOREIGN_ONE_OF >= words.len()
}

/// Small words of Spanish, Portuguese, French, Italian, German, Dutch, Tagalog, Vietnamese and Turkish, without those that
/// are written like a word, a name or an abbreviation in Indonesian slang, English, Javanese or Sundanese.
fn is_foreign_word(word: &str) -> bool {
    matches!(
        word,
        // Spanish, Portuguese
        "el" | "una" | "que" | "por" | "pero" | "muy" | "esta" | "está" | "este" | "como" | "más"
            | "porque" | "también" | "gracias" | "hola" | "donde" | "cuando" | "não" | "muito" | "uma"
            | "obrigado" | "você" | "isso" | "foi" | "são" | "servicio" | "bueno" | "buena"
        // French, Italian
            | "les" | "des" | "une" | "est" | "très" | "avec" | "pour" | "dans" | "c'est" | "vous"
            | "nous" | "sont" | "qui" | "mais" | "merci" | "che" | "della" | "sono" | "molto" | "questo" | "grazie"
            | "perché" | "anche"
        // German, Dutch
            | "der" | "das" | "und" | "ist" | "nicht" | "ich" | "ein" | "eine" | "auch" | "sehr" | "mit" | "für"
            | "auf" | "het" | "een" | "niet" | "ik" | "zijn" | "voor" | "maar" | "deze" | "werkt"
        // Tagalog
            | "ang" | "mga" | "hindi" | "ako" | "naman" | "lang" | "ito" | "talaga" | "yung"
            | "salamat" | "ninyo" | "walang"
        // Vietnamese, Turkish
            | "không" | "là" | "của" | "và" | "rất" | "được" | "người" | "này" | "bir" | "çok" | "için"
            | "değil" | "teşekkürler"
    )
}
