//! A certificate authority of the tests' own, by OpenSSL: what nobody trusts who is not told to.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use tempfile::TempDir;

use crate::{need, run};

/// An authority with a folder for what it issues.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

impl Authority {
    /// Makes its key and certificate.
    ///
    /// # Errors
    /// If OpenSSL is missing, or fails.
    pub fn new(name: &str) -> Result<Authority> {
        need("openssl", "openssl")?;
        let authority = Authority { folder: tempfile::Builder::new().prefix("sinyal-authority").tempdir()? };
        let mut command = openssl(&["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]);
        command.args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")]);
        command.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
        run(command.arg("-keyout").arg(authority.file("authority.key")).arg("-out").arg(authority.certificate()))?;
        Ok(authority)
    }

    /// Its own certificate, which makes others trusted.
    pub fn certificate(&self) -> PathBuf {
        self.file("authority.pem")
    }

    /// A file in its folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Issues a certificate for this machine; the key is `NAME.key`, the certificate `NAME.pem`, and both are in `NAME.both`.
    ///
    /// # Errors
    /// If OpenSSL fails.
    pub fn issue(&self, name: &str) -> Result<PathBuf> {
        let [key, request, certificate, extensions] =
            ["key", "csr", "pem", "ext"].map(|kind| self.file(&format!("{name}.{kind}")));
        let mut command = openssl(&["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
        run(command.args(["-subj", &format!("/CN={name}")]).arg("-keyout").arg(&key).arg("-out").arg(&request))?;
        std::fs::write(
            &extensions,
            "subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=CA:FALSE\n",
        )?;
        let mut command = openssl(&["x509", "-req", "-days", "2", "-CAcreateserial"]);
        command.arg("-in").arg(&request).arg("-CA").arg(self.certificate());
        command.arg("-CAkey").arg(self.file("authority.key")).arg("-extfile").arg(&extensions);
        run(command.arg("-out").arg(&certificate))?;
        let both = self.file(&format!("{name}.both"));
        std::fs::write(&both, std::fs::read_to_string(&key)? + &std::fs::read_to_string(&certificate)?)?;
        Ok(both)
    }

    /// Locks a key by a password; gives the file.
    ///
    /// # Errors
    /// If OpenSSL fails.
    pub fn lock(&self, name: &str, password: &str) -> Result<PathBuf> {
        let locked = self.file(&format!("{name}.locked"));
        let mut command = openssl(&["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-passout", "env:KEY_PASSWORD"]);
        command.env("KEY_PASSWORD", password).arg("-in").arg(self.file(&format!("{name}.key")));
        run(command.arg("-out").arg(&locked))?;
        Ok(locked)
    }
}

pub(crate) fn openssl(arguments: &[&str]) -> Command {
    let mut command = Command::new("openssl");
    command.args(arguments);
    command
}

/// Base64 for URLs, without padding (RFC 4648, section 5), as tokens are written.
pub(crate) fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            text.push(DIGITS[(group >> (18 - 6 * digit) & 63) as usize] as char);
        }
    }
    text
}

/// What a file holds, without the line break at its end.
pub(crate) fn trimmed(path: &Path) -> Result<String> {
    Ok(std::fs::read_to_string(path)?.trim().to_owned())
}
