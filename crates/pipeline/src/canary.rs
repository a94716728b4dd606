//! Canaries: records of our own in the raw topics, which show that each partition flows, and count for nothing.
//!
//! One is told by its key and a sealed header: whoever may write into a raw topic cannot have records left out by calling them
//! canaries. The seal covers the place, the time, the key and the value, so that it cannot be moved onto another record either.
//! To whom the seal says nothing (an older version, another secret) a canary is a retraction of something that never was, which
//! changes no figure, waits in no queue and moves no event time.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use hmac::{Hmac, Mac};
use record::{EpochMs, Interaction, Kind};
use sha2::Sha256;

use crate::classify::Pseudonym;
use crate::dead_letters::push_hex;

/// The key of every canary: by it one is told without a look at headers.
pub const CANARY_KEY: &[u8] = b"sinyal-canary";
/// The community that canaries name.
pub const CANARY_COMMUNITY: &str = "sinyal-canary";
/// Kafka times of canaries are multiples of this, in milliseconds, rounded down: so a look-up by time of an instant that is none
/// finds what else came in (see the observer of the notifier).
pub const CANARY_GRID_MS: i64 = 1_800_000;
/// One that is read so long after it was sent shows nothing any more, in milliseconds.
pub const CANARY_OLD_MS: i64 = 3_600_000;
/// Longest id, in bytes.
const CANARY_ID_BYTES: usize = 32;
/// What the header begins with: the version of its form.
const FORM: &str = "1";
/// Keeps seals apart from whatever else is made with the secret.
const PURPOSE: &[u8] = b"sinyal canary seal";
const SEAL_BYTES: usize = 32;

/// What a canary's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanarySaid<'a> {
    /// The round that it is of.
    pub id: &'a str,
    /// When the round was sent.
    pub sent_at: EpochMs,
    seal: &'a str,
}

impl<'a> CanarySaid<'a> {
    /// Reads a header's value, without a look at its seal; `None` if it has another form.
    pub fn read(value: &'a [u8]) -> Option<CanarySaid<'a>> {
        if value.len() > FORM.len() + CANARY_ID_BYTES + 20 + SEAL_BYTES * 2 + 3 {
            return None;
        }
        let mut parts = std::str::from_utf8(value).ok()?.split(';');
        let (form, id, sent_at, seal) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let is_well = form == FORM
            && !id.is_empty()
            && id.len() <= CANARY_ID_BYTES
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
            && parts.next().is_none();
        let sent_at = sent_at.parse().ok().filter(|at: &EpochMs| *at >= 0)?;
        is_well.then_some(CanarySaid { id, sent_at, seal })
    }
}

/// Where a canary is, and what it carries.
#[derive(Clone, Copy)]
pub struct Sealed<'a> {
    /// The raw topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: i32,
    /// The record's key.
    pub key: &'a [u8],
    /// The record's value.
    pub value: &'a [u8],
}

/// Makes and checks the seals of canaries.
#[derive(Clone)]
pub struct CanarySeal {
    keyed: Hmac<Sha256>,
    /// While the secret is rotated, of the one before: whoever sends may have that still.
    before: Option<Hmac<Sha256>>,
}

impl CanarySeal {
    /// By the secret of the pseudonyms; `None` if that is too short.
    pub fn new(secret: &[u8]) -> Option<CanarySeal> {
        Some(CanarySeal { keyed: keyed(secret)?, before: None })
    }

    /// The same, which also takes what is sealed by the secret before, if there is one.
    ///
    /// ```
    /// use pipeline::{CanarySaid, CanarySeal, Sealed};
    /// let old = CanarySeal::new(b"a secret of some length").unwrap();
    /// let new = CanarySeal::new(b"another, of the same kind").unwrap();
    /// let at = Sealed { topic: "posts", partition: 3, key: b"key", value: b"value" };
    /// let header = old.header("a1", 1_795_482_000_000, at);
    /// let said = CanarySaid::read(header.as_bytes()).unwrap();
    /// assert!(!new.is_ours(&said, at));
    /// assert!(new.or_before(Some(b"a secret of some length")).is_ours(&said, at));
    /// ```
    pub fn or_before(self, secret: Option<&[u8]>) -> CanarySeal {
        CanarySeal { before: secret.and_then(keyed), ..self }
    }

    /// The header's value for a canary.
    ///
    /// ```
    /// use pipeline::{CanarySaid, CanarySeal, Sealed};
    /// let seal = CanarySeal::new(b"a secret of some length").unwrap();
    /// let at = Sealed { topic: "posts", partition: 3, key: b"key", value: b"value" };
    /// let header = seal.header("a1", 1_795_482_000_000, at);
    /// let said = CanarySaid::read(header.as_bytes()).unwrap();
    /// assert_eq!((said.id, said.sent_at), ("a1", 1_795_482_000_000));
    /// assert!(seal.is_ours(&said, at));
    /// assert!(!seal.is_ours(&said, Sealed { value: b"another", ..at }));
    /// ```
    pub fn header(&self, id: &str, sent_at: EpochMs, at: Sealed<'_>) -> String {
        let mut header = format!("{FORM};{id};{sent_at};");
        push_hex(&sealed(&self.keyed, id, sent_at, at).finalize().into_bytes(), &mut header);
        header
    }

    /// Whether one that holds the secret said this of this record.
    pub fn is_ours(&self, said: &CanarySaid<'_>, at: Sealed<'_>) -> bool {
        let mut seal = [0; SEAL_BYTES];
        if said.seal.len() != SEAL_BYTES * 2 {
            return false;
        }
        for (byte, digits) in seal.iter_mut().zip(said.seal.as_bytes().chunks_exact(2)) {
            let digit = |at: usize| char::from(digits[at]).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            let (Some(high), Some(low)) = (digit(0), digit(1)) else { return false };
            *byte = high * 16 + low;
        }
        let is_by = |keyed: &Hmac<Sha256>| sealed(keyed, said.id, said.sent_at, at).verify_slice(&seal).is_ok();
        is_by(&self.keyed) || self.before.as_ref().is_some_and(is_by)
    }
}

/// What seals by a secret, which is of no other use.
fn keyed(secret: &[u8]) -> Option<Hmac<Sha256>> {
    if secret.len() < Pseudonym::SECRET_BYTES_MIN {
        return None;
    }
    let mut purpose = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    purpose.update(PURPOSE);
    Hmac::new_from_slice(&purpose.finalize().into_bytes()).ok()
}

fn sealed(keyed: &Hmac<Sha256>, id: &str, sent_at: EpochMs, at: Sealed<'_>) -> Hmac<Sha256> {
    let mut mac = keyed.clone();
    // Each part with its length: no two records have the same bytes here.
    for part in
        [id.as_bytes(), &sent_at.to_be_bytes(), at.topic.as_bytes(), &at.partition.to_be_bytes(), at.key, at.value]
    {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac
}

impl fmt::Debug for CanarySeal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CanarySeal").finish_non_exhaustive()
    }
}

/// What a canary's record says to whoever does not take it for one: that something which never was is gone.
pub fn canary_interaction(kind: Kind, topic: &str, partition: i32, sent_at: EpochMs) -> Interaction<'static> {
    let mut id = String::new();
    // Writing into memory cannot fail. Always the same one of a partition: where such a retraction is remembered, it is one.
    let _ = write!(id, "{topic}:{partition}");
    Interaction {
        kind,
        id: Cow::Owned(id.chars().take(record::limits::ID_BYTES).collect()),
        community_id: Cow::Borrowed(CANARY_COMMUNITY),
        author: None,
        created_at: sent_at,
        observed_at: sent_at,
        edited_at: None,
        deleted: true,
        text: Cow::Borrowed(""),
        media: Vec::new(),
        url: None,
        language_hint: None,
        post_id: None,
        parent_id: None,
        post_author: None,
        parent_author: None,
        mentions: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seal_holds_for_one_record_in_one_place() {
        let seal = CanarySeal::new(b"a secret for the tests").unwrap();
        let at = Sealed { topic: "posts", partition: 1, key: CANARY_KEY, value: b"v" };
        let header = seal.header("a1", 7, at);
        let said = CanarySaid::read(header.as_bytes()).unwrap();
        assert!(seal.is_ours(&said, at));
        for other in [
            Sealed { topic: "comments", ..at },
            Sealed { partition: 2, ..at },
            Sealed { key: b"", ..at },
            Sealed { value: b"", ..at },
        ] {
            assert!(!seal.is_ours(&said, other));
        }
        assert!(!seal.is_ours(&CanarySaid { sent_at: 8, ..said }, at));
        assert!(!seal.is_ours(&CanarySaid { id: "a2", ..said }, at));
        assert!(!CanarySeal::new(b"another secret, as long").unwrap().is_ours(&said, at));
        assert!(CanarySeal::new(b"short").is_none());
    }

    #[test]
    fn what_is_no_header_of_ours_is_not_read() {
        let seal = "ab".repeat(32);
        assert!(CanarySaid::read(format!("1;a1;7;{seal}").as_bytes()).is_some());
        for wrong in [
            format!("2;a1;7;{seal}"),
            format!("1;;7;{seal}"),
            format!("1;a 1;7;{seal}"),
            format!("1;{};7;{seal}", "a".repeat(33)),
            format!("1;a1;-7;{seal}"),
            format!("1;a1;x;{seal}"),
            format!("1;a1;7;{seal};more"),
            "1;a1;7".to_owned(),
            "1;a1;7;".to_owned() + &"a".repeat(500),
        ] {
            assert_eq!(CanarySaid::read(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(CanarySaid::read(&[0xff]), None);
        let keeper = CanarySeal::new(b"a secret for the tests").unwrap();
        let at = Sealed { topic: "posts", partition: 1, key: b"", value: b"" };
        for seal in ["", "zz", &"zz".repeat(32), &"é".repeat(32)] {
            let said = CanarySaid { id: "a1", sent_at: 7, seal };
            assert!(!keeper.is_ours(&said, at));
        }
    }
}
