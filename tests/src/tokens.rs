//! Somebody who gives tokens (OAuth 2.0, client credentials): RS256 by OpenSSL, the public key as a JWKS for the brokers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::json;
use tempfile::TempDir;

use crate::authority::{base64url, openssl, trimmed};
use crate::run;

/// The client that it knows.
pub(crate) const CLIENT: &str = "sinyal-client";
/// Whom the tokens are for.
pub(crate) const AUDIENCE: &str = "kafka";
/// From whom they are.
pub(crate) const ISSUER: &str = "tests";

/// A giver of tokens on a free port, until the process ends.
#[derive(Debug, Clone)]
pub struct Tokens {
    port: u16,
    secret: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    folder: TempDir,
    jwks: String,
    lifetime_s: AtomicI64,
    given: AtomicU64,
}

impl Tokens {
    /// Starts it; who knows the secret gets tokens for five minutes.
    ///
    /// # Errors
    /// If there is no port, or OpenSSL fails.
    pub fn start(secret: &str) -> Result<Tokens> {
        let folder = tempfile::Builder::new().prefix("sinyal-tokens").tempdir()?;
        let key = folder.path().join("signing.key");
        run(openssl(&["genrsa", "-out"]).arg(&key).arg("2048"))?;
        let modulus = run(openssl(&["rsa", "-noout", "-modulus", "-in"]).arg(&key))?;
        let modulus = modulus.trim().strip_prefix("Modulus=").context("a modulus")?;
        let digits = |at: usize| modulus.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        let modulus: Vec<u8> =
            (0..modulus.len()).step_by(2).map(digits).collect::<Option<_>>().context("hexadecimal")?;
        let exponent = [1, 0, 1]; // 65537, as OpenSSL makes them.
        let jwks = json!({ "keys": [{
            "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "one", "n": base64url(&modulus), "e": base64url(&exponent),
        }] });
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (lifetime_s, given) = (AtomicI64::new(300), AtomicU64::new(0));
        let state = Arc::new(State { folder, jwks: jwks.to_string(), lifetime_s, given });
        let tokens = Tokens { port, secret: secret.to_owned(), state };
        let serving = tokens.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        Ok(tokens)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where brokers find the keys.
    pub fn jwks_url(&self) -> String {
        format!("http://127.0.0.1:{}/jwks", self.port)
    }

    /// For how long the tokens are that it gives from now on; a negative one is over already.
    pub fn set_lifetime_s(&self, lifetime_s: i64) {
        self.state.lifetime_s.store(lifetime_s, Ordering::Relaxed);
    }

    /// How many it has given.
    pub fn given(&self) -> u64 {
        self.state.given.load(Ordering::Relaxed)
    }

    /// One request a connection.
    fn serve(&self, stream: TcpStream) -> Result<()> {
        let mut reader = BufReader::new(stream);
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            ensure!(reader.read_line(&mut line)? > 0, "closed");
            if line.trim_end().is_empty() {
                break;
            }
            headers.push(line.trim_end().to_owned());
        }
        let header = |name: &str| {
            let found = headers.iter().filter_map(|line| line.split_once(':'));
            found.filter(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
        };
        let mut body = vec![0; header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body)?;
        let (status, answer) = match headers.first() {
            Some(line) if line.starts_with("GET /jwks") => (200, self.state.jwks.clone()),
            Some(line) if line.starts_with("POST /token") => self.answer(header("authorization"), &body)?,
            _ => (404, "{}".to_owned()),
        };
        let mut stream = reader.into_inner();
        let length = answer.len();
        write!(
            stream,
            "HTTP/1.1 {status} Answer\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{answer}"
        )?;
        Ok(())
    }

    fn answer(&self, authorization: Option<String>, body: &[u8]) -> Result<(u16, String)> {
        let mut expected = openssl(&["base64", "-A"]);
        let expected = piped(&mut expected, format!("{CLIENT}:{}", self.secret).as_bytes())?;
        let expected = format!("Basic {}", String::from_utf8_lossy(&expected).trim());
        if authorization.as_deref() != Some(&expected) {
            let answer = json!({ "error": "invalid_client", "error_description": "no such client" });
            return Ok((401, answer.to_string()));
        }
        ensure!(String::from_utf8_lossy(body).contains("grant_type=client_credentials"), "another grant");
        let lifetime_s = self.state.lifetime_s.load(Ordering::Relaxed);
        let number = self.state.given.fetch_add(1, Ordering::Relaxed);
        let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs())?;
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "one" });
        let claims = json!({
            "sub": CLIENT, "aud": AUDIENCE, "iss": ISSUER, "scope": "kafka", "jti": number.to_string(),
            "iat": now - 3_600, "exp": now + lifetime_s,
        });
        let signed =
            format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
        let mut sign = openssl(&["dgst", "-sha256", "-binary", "-sign"]);
        let signature = piped(sign.arg(self.state.folder.path().join("signing.key")), signed.as_bytes())?;
        let token = format!("{signed}.{}", base64url(&signature));
        Ok((200, json!({ "access_token": token, "token_type": "Bearer", "expires_in": lifetime_s }).to_string()))
    }

    /// The key with which it signs; nobody may see it.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn signing_key(&self) -> Result<String> {
        trimmed(&self.state.folder.path().join("signing.key"))
    }
}

/// What a command makes of an input.
fn piped(command: &mut std::process::Command, input: &[u8]) -> Result<Vec<u8>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    child.stdin.take().context("a pipe")?.write_all(input)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "{command:?} failed");
    Ok(output.stdout)
}
