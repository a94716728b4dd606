//! Addresses of electronic mail, also as people write them to keep machines off: `nama (at) gmail dot com`.
//!
//! With blanks around the sign, or a word in its place, only the well-known providers count: "makan @ warung.id" is a place.

use super::run::is_invisible;
use super::{Personal, Span};

/// Longest part before the sign and longest domain, in bytes (RFC 5321 has 64 and 255).
const LOCAL_BYTES_MAX: usize = 128;
const DOMAIN_BYTES_MAX: usize = 255;

const PROVIDERS: [&str; 12] = [
    "gmail",
    "googlemail",
    "yahoo",
    "ymail",
    "rocketmail",
    "hotmail",
    "outlook",
    "icloud",
    "protonmail",
    "proton",
    "live",
    "aol",
];
/// What a domain ends in that is written apart.
const ENDINGS: [&str; 16] =
    ["com", "co", "id", "net", "org", "ac", "go", "web", "my", "sg", "me", "uk", "edu", "gov", "sch", "mil"];

/// Finds addresses, in order.
pub(super) fn find(text: &str, found: &mut Vec<Span>) {
    let mut from = 0;
    let mut at = 0;
    while let Some((start, end, sign)) = next_sign(text, at) {
        at = end;
        if let Some((start, end)) = address(text, from, (start, end), sign) {
            found.push(Span { start, end, what: Personal::Email });
            (from, at) = (end, end);
        }
    }
}

/// How the sign is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    /// `@` in any of its faces.
    Plain,
    /// `(at)`, `[at]`
    Bracketed,
    /// ` at `
    Word,
}

/// The next sign from a place on, and where it begins and ends.
fn next_sign(text: &str, from: usize) -> Option<(usize, usize, Sign)> {
    let bytes = text.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'@' => return Some((at, at + 1, Sign::Plain)),
            b'%' if bytes[at..].starts_with(b"%40") => return Some((at, at + 3, Sign::Plain)),
            // Full width and small.
            0xEF if bytes[at..].starts_with("＠".as_bytes()) || bytes[at..].starts_with("﹫".as_bytes()) => {
                return Some((at, at + 3, Sign::Plain));
            }
            b'a' | b'A' if at > 0 && bytes.get(at + 1).is_some_and(|t| t | 0x20 == b't') => {
                let (before, after) = (bytes[at - 1], bytes.get(at + 2).copied().unwrap_or(0));
                match (before, after) {
                    (b'(', b')') | (b'[', b']') | (b'{', b'}') | (b'<', b'>') => {
                        return Some((at - 1, at + 3, Sign::Bracketed));
                    }
                    (b' ' | b'\t' | b'\n', b' ' | b'\t' | b'\n') => return Some((at, at + 2, Sign::Word)),
                    _ => {}
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

/// The address around a sign, if it is one's.
fn address(text: &str, from: usize, (sign_start, sign_end): (usize, usize), sign: Sign) -> Option<(usize, usize)> {
    let before = &text[from..sign_start];
    let local_end = before.trim_end_matches(|c: char| c == ' ' || is_invisible(c)).len();
    let blanks = before.len() - local_end;
    let start = local_start(&before[..local_end])? + from;
    let after = &text[sign_end..];
    let skipped = after.len() - after.trim_start_matches(|c: char| c == ' ' || is_invisible(c)).len();
    if blanks > 6 || skipped > 6 {
        return None;
    }
    let apart = sign == Sign::Word || before[local_end..].contains(' ') || after[..skipped].contains(' ');
    let domain = &after[skipped..];
    let length = match provider(domain) {
        Some(provider) => match endings(&domain[provider..]) {
            // `nama@gmail` is one, `follow @gmail` none.
            0 if apart => return None,
            length => provider + length,
        },
        None if apart && sign != Sign::Bracketed => return None,
        None => plain_domain(domain)?,
    };
    Some((start, sign_end + skipped + length))
}

fn local_start(before: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || "._%+-'".contains(c) || is_invisible(c);
    let mut start = before.len();
    for (at, character) in before.char_indices().rev() {
        if !is_part(character) || before.len() - at > LOCAL_BYTES_MAX {
            break;
        }
        start = at;
    }
    before[start..].chars().any(char::is_alphanumeric).then_some(start)
}

/// The length of a well-known provider's name at the beginning.
fn provider(domain: &str) -> Option<usize> {
    let length = domain.bytes().take_while(u8::is_ascii_alphanumeric).count();
    PROVIDERS.iter().any(|known| known.eq_ignore_ascii_case(&domain[..length])).then_some(length)
}

/// The length of what a domain ends in, however the dot is written: `.com`, ` dot com`, ` titik co titik id`.
fn endings(rest: &str) -> usize {
    let mut length = 0;
    for _ in 0..3 {
        let Some(dot) = dot(&rest[length..]) else { break };
        let label = &rest[length + dot..];
        let letters = label.bytes().take_while(u8::is_ascii_alphanumeric).count();
        if !ENDINGS.iter().any(|known| known.eq_ignore_ascii_case(&label[..letters])) {
            break;
        }
        length += dot + letters;
    }
    length
}

/// The length of a dot in any of its forms, with the blanks around it.
fn dot(text: &str) -> Option<usize> {
    let blanks = |text: &str| text.bytes().take_while(|byte| *byte == b' ').count();
    let before = blanks(text);
    let rest = &text[before..];
    let forms = ["(dot)", "[dot]", "dot ", "titik ", "(titik)", ".", ",", "。", "．"];
    let is = |form: &&&str| rest.get(..form.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(form));
    let form = forms.iter().find(is)?;
    let is_word = form.ends_with(' ');
    if (is_word && before == 0) || before > 3 {
        return None;
    }
    let length = before + form.len();
    let after = blanks(&text[length..]);
    (after <= 3).then_some(length + after)
}

/// The length of a domain: labels with dots between, the last one of letters.
fn plain_domain(domain: &str) -> Option<usize> {
    let is_part = |c: char| c.is_alphanumeric() || c == '-' || c == '.' || is_invisible(c);
    let end =
        domain.char_indices().find(|&(at, c)| !is_part(c) || at > DOMAIN_BYTES_MAX).map_or(domain.len(), |(at, _)| at);
    let domain = domain[..end].trim_end_matches(|c: char| !c.is_alphanumeric());
    let (name, last) = domain.rsplit_once('.')?;
    let letters = last.chars().filter(|c| c.is_alphabetic()).count();
    let right = letters >= 2 && last.chars().all(|c| c.is_alphabetic() || is_invisible(c));
    (right && name.chars().any(char::is_alphanumeric)).then_some(domain.len())
}
