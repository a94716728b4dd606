//! Authors as pseudonyms: the same author is the same key, and only the holder of the secret can tell who it is.

use std::fmt::{self, Write as _};

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::dead_letters::push_hex;

/// Makes author keys: `v<secret version>:` and the first 16 bytes, in hex, of HMAC-SHA-256(secret, author id).
#[derive(Clone)]
pub struct Pseudonym {
    keyed: Hmac<Sha256>,
    version: u32,
}

impl Pseudonym {
    /// The shortest secret that is accepted, in bytes: below it an attacker could try them all.
    pub const SECRET_BYTES_MIN: usize = 16;

    /// With a secret and its version; `None` if the secret is shorter than [`Pseudonym::SECRET_BYTES_MIN`].
    pub fn new(secret: &[u8], version: u32) -> Option<Pseudonym> {
        if secret.len() < Pseudonym::SECRET_BYTES_MIN {
            return None;
        }
        let keyed = Hmac::new_from_slice(secret).ok()?;
        Some(Pseudonym { keyed, version })
    }

    /// Replaces `key` by the author's key.
    ///
    /// ```
    /// let pseudonym = pipeline::Pseudonym::new(b"a secret of some length", 3).unwrap();
    /// let mut key = String::new();
    /// pseudonym.write("u-77", &mut key);
    /// assert!(key.starts_with("v3:") && key.len() == 3 + 32);
    /// ```
    pub fn write(&self, author_id: &str, key: &mut String) {
        let mut mac = self.keyed.clone();
        mac.update(author_id.as_bytes());
        let digest = mac.finalize().into_bytes();
        key.clear();
        let _ = write!(key, "v{}:", self.version);
        push_hex(&digest[..16], key);
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pseudonym").field("version", &self.version).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4231, test case 2, with its key padded by nothing: "Jefe" is too short for us, so case 1's 20-byte key is used.
    #[test]
    fn is_hmac_sha_256() {
        let pseudonym = Pseudonym::new(&[0x0b; 20], 1).unwrap();
        let mut key = String::new();
        pseudonym.write("Hi There", &mut key);
        assert_eq!(key, "v1:b0344c61d8db38535ca8afceaf0bf12b");
    }

    #[test]
    fn refuses_a_short_secret_and_shows_none() {
        assert!(Pseudonym::new(b"short", 1).is_none());
        let pseudonym = Pseudonym::new(b"0123456789abcdef", 1).unwrap();
        assert_eq!(format!("{pseudonym:?}"), "Pseudonym { version: 1, .. }");
    }
}
