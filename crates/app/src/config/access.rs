//! As whom to go to a server over HTTP, and whom to trust: secrets whose files are read again when they are used, so that they can
//! be replaced while the service runs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Secret;
use super::files::{SECRET_BYTES_MAX, read_up_to};
use super::reader::Reader;

/// Most bytes of a file of certificates: all authorities of a system take about 200 KiB.
const CERTIFICATES_BYTES_MAX: u64 = 4 * 1_048_576;

/// A secret that stands in a file.
#[derive(Clone)]
pub(crate) struct SecretFile {
    /// Empty for a secret that has none.
    path: PathBuf,
    take: Take,
    last: Arc<Mutex<Secret>>,
}

/// What is made of the bytes of a file; nothing if they are not such a secret.
pub(crate) type Take = fn(&[u8]) -> Option<Secret>;

impl SecretFile {
    /// What was read of a file, and how it was taken.
    pub(crate) fn new(path: &Path, secret: Secret, take: Take) -> SecretFile {
        SecretFile { path: path.to_owned(), take, last: Arc::new(Mutex::new(secret)) }
    }

    /// What the file holds now. While it cannot be read, or holds no such secret, what it held before.
    pub(crate) fn current(&self) -> Secret {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let read = read_up_to(&self.path, SECRET_BYTES_MAX).ok();
        if let Some(secret) = read.and_then(|bytes| (self.take)(bytes.trim_ascii_end())) {
            *last = secret;
        }
        last.clone()
    }
}

// By hand: a secret is never shown.
impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SecretFile").field(&self.path).finish()
    }
}

impl PartialEq for SecretFile {
    fn eq(&self, other: &SecretFile) -> bool {
        self.current() == other.current()
    }
}

impl Eq for SecretFile {}

/// As whom to go to a server, and who vouches for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Access {
    pub(crate) authorization: Authorization,
    /// Certificates of authorities, in PEM; without it those of the Mozilla Foundation's list.
    pub(crate) ca_file: Option<PathBuf>,
}

/// As whom to go to a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Authorization {
    #[default]
    None,
    Basic {
        username: String,
        password: SecretFile,
    },
    Bearer(SecretFile),
}

/// What was typed of it.
pub(super) struct Typed {
    pub(super) username: String,
    pub(super) password_file: String,
    pub(super) token_file: String,
    pub(super) ca_file: String,
}

/// Whether there is an address, without a name and a password in it, which would be shown with it.
pub(super) fn is_address(url: &str) -> bool {
    let parsed: Option<ureq::http::Uri> = url.parse().ok();
    parsed.is_some_and(|parsed| {
        let has_host = parsed.host().is_some_and(|host| !host.is_empty());
        let has_user = parsed.authority().is_some_and(|authority| authority.as_str().contains('@'));
        parsed.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme)) && has_host && !has_user
    })
}

/// What is meant; `of` is the table's path.
pub(super) fn access(reader: &mut Reader<'_>, of: &str, typed: &Typed) -> Access {
    let Typed { username, password_file, token_file, ca_file } = typed;
    let password = file(reader, &format!("{of}.password_file"), password_file, take_any, "a password");
    let token =
        file(reader, &format!("{of}.token_file"), token_file, take_token, "a token of visible ASCII characters");
    let authorization = match (username.is_empty(), password_file.is_empty(), token_file.is_empty()) {
        (true, true, true) => Authorization::None,
        (false, false, true) => password
            .map_or(Authorization::None, |password| Authorization::Basic { username: username.clone(), password }),
        (true, true, false) => token.map_or(Authorization::None, Authorization::Bearer),
        _ => {
            reader
                .errors
                .push(format!("{of}: username and password_file, or token_file alone, or none of them is right"));
            Authorization::None
        }
    };
    if username.contains(':') {
        reader.errors.push(format!("{of}.username holds a colon; a name without one is right"));
    }
    let ca_file = (!ca_file.is_empty()).then(|| PathBuf::from(ca_file));
    if let Some(path) = &ca_file
        && let Err(why) = certificates(path)
    {
        reader.wrong(
            &format!("{of}.ca_file"),
            &format!("{path:?}"),
            &format!("a file of certificates in PEM is right ({why})"),
        );
    }
    Access { authorization, ca_file }
}

/// The certificates of a file, and its bytes.
///
/// # Errors
/// Why there are none to be had.
pub(crate) fn certificates(path: &Path) -> Result<(Vec<ureq::tls::Certificate<'static>>, Vec<u8>), String> {
    let bytes = read_up_to(path, CERTIFICATES_BYTES_MAX).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(&bytes) {
        match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => found.push(certificate),
            Ok(_) => {}
            Err(_) => return Err("it is no PEM".to_owned()),
        }
    }
    if found.is_empty() { Err("it holds no certificate".to_owned()) } else { Ok((found, bytes)) }
}

/// A secret in a file that is named, or nothing.
pub(super) fn file(reader: &mut Reader<'_>, key: &str, path: &str, take: Take, what: &str) -> Option<SecretFile> {
    let typed = reader.secret_in(key, path)?;
    match take(typed.bytes()) {
        Some(secret) => Some(SecretFile::new(Path::new(path), secret, take)),
        None => {
            reader.errors.push(format!("{key}: what {path:?} holds is none; {what} is right"));
            None
        }
    }
}

fn take_any(bytes: &[u8]) -> Option<Secret> {
    (!bytes.is_empty()).then(|| Secret::new(bytes.to_vec()))
}

fn take_token(bytes: &[u8]) -> Option<Secret> {
    let is_header = bytes.iter().all(|byte| (0x21..0x7f).contains(byte));
    (is_header && !bytes.is_empty()).then(|| Secret::new(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_what_its_file_holds_now() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "one\n").unwrap();
        let secret = SecretFile::new(file.path(), Secret::new(b"one".to_vec()), take_token);
        assert_eq!(secret.current().bytes(), b"one");
        std::fs::write(file.path(), "two\n").unwrap();
        assert_eq!(secret.current().bytes(), b"two");
        // Half written, or gone for a moment: what was there holds.
        for wrong in ["", "\n", "with a blank"] {
            std::fs::write(file.path(), wrong).unwrap();
            assert_eq!(secret.current().bytes(), b"two", "{wrong:?}");
        }
        std::fs::remove_file(file.path()).unwrap();
        assert_eq!(secret.current().bytes(), b"two");
        assert!(!format!("{secret:?}").contains("two"));
    }

    #[test]
    fn an_address_holds_no_password() {
        assert!(is_address("https://registry:8081/apis") && is_address("http://a"));
        for wrong in ["registry:8081", "ftp://a", "https://me:rahasia@a/", "https://me@a", "", "http://"] {
            assert!(!is_address(wrong), "{wrong}");
        }
    }
}
