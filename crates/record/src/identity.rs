//! The identity of an interaction and the keys built from it.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

/// All but the unreserved characters of RFC 3986, section 2.3, are encoded, so `|` can only be the separator.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Whether an interaction is a post or a comment on one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Kind {
    /// A post of its own.
    Post = 0,
    /// A comment on a post or on another comment.
    Comment = 1,
}

impl Kind {
    /// Both kinds, in the order of their indexes.
    pub const ALL: [Kind; 2] = [Kind::Post, Kind::Comment];

    /// The name on the wire and in keys.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Post => "post",
            Kind::Comment => "comment",
        }
    }
}

/// What makes two records the same interaction: its community, its kind and its id within the two.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity<'a> {
    /// The community it was made in.
    pub community_id: Cow<'a, str>,
    /// Post or comment.
    pub kind: Kind,
    /// The source's id, unique per community and kind.
    pub id: Cow<'a, str>,
}

impl Identity<'_> {
    /// The key `community|kind|id`, each part percent-encoded.
    ///
    /// ```
    /// use record::{Identity, Kind};
    /// let identity = Identity { community_id: "warga|depok".into(), kind: Kind::Post, id: "7".into() };
    /// assert_eq!(identity.key(), "warga%7Cdepok|post|7");
    /// ```
    pub fn key(&self) -> String {
        let mut key = String::with_capacity(self.community_id.len() + self.id.len() + 12);
        self.write_key(&mut key);
        key
    }

    /// Appends [`Identity::key`] to `key`.
    pub fn write_key(&self, key: &mut String) {
        encode_part(&self.community_id, key);
        key.push('|');
        key.push_str(self.kind.as_str());
        key.push('|');
        encode_part(&self.id, key);
    }
}

/// Appends one key part, percent-encoded: UTF-8, all but RFC 3986 unreserved characters as upper-case `%XX`.
pub fn encode_part(part: &str, key: &mut String) {
    // Most ids need no escape at all.
    if part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
        key.push_str(part);
    } else {
        key.extend(utf8_percent_encode(part, RESERVED));
    }
}

/// A key of several parts: each percent-encoded, joined by `|`.
///
/// ```
/// assert_eq!(record::encode_key(&["warga depok", "1h"]), "warga%20depok|1h");
/// ```
pub fn encode_key(parts: &[&str]) -> String {
    let mut key = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            key.push('|');
        }
        encode_part(part, &mut key);
    }
    key
}

/// Whether this is the key of one part as [`encode_key`] writes it. Nothing is allocated for the answer.
///
/// ```
/// assert!(record::is_key_of(b"warga%20depok", "warga depok"));
/// assert!(!record::is_key_of(b"warga depok", "warga depok"));
/// ```
pub fn is_key_of(key: &[u8], part: &str) -> bool {
    let mut left = key;
    for piece in utf8_percent_encode(part, RESERVED) {
        match left.strip_prefix(piece.as_bytes()) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    left.is_empty()
}

/// The parts of a key made by [`encode_key`]; `None` if a part is not valid UTF-8 once decoded.
///
/// ```
/// assert_eq!(record::decode_key("warga%20depok|1h").unwrap(), ["warga depok", "1h"]);
/// ```
pub fn decode_key(key: &str) -> Option<Vec<String>> {
    key.split('|').map(|part| percent_decode_str(part).decode_utf8().ok().map(Cow::into_owned)).collect()
}
