//! A reverse proxy with TLS, and a lock on its door: Debian's HAProxy.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::{Authority, Server, free_port, need, wait_for};

/// Whom it lets through.
#[derive(Debug, Clone, Copy)]
pub enum Guard<'a> {
    /// Everybody.
    Nobody,
    /// Whoever has this name and password (Basic).
    Password(&'a str, &'a str),
    /// Whoever has this token (Bearer).
    Token(&'a str),
}

/// A running proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    _folder: TempDir,
    _server: Server,
}

impl Proxy {
    /// Starts it on a free port before somebody on another, with a certificate of an authority.
    ///
    /// # Errors
    /// What is missing on this machine, or why it did not come up.
    pub fn start(authority: &Authority, to_port: u16, guard: Guard<'_>) -> Result<Proxy> {
        Proxy::start_at(free_port()?, authority, to_port, guard)
    }

    /// The same on a port.
    ///
    /// # Errors
    /// As for [`Proxy::start`].
    pub fn start_at(port: u16, authority: &Authority, to_port: u16, guard: Guard<'_>) -> Result<Proxy> {
        need("haproxy", "haproxy")?;
        let folder = tempfile::Builder::new().prefix("sinyal-proxy").tempdir()?;
        let both = authority.issue("proxy")?;
        let (users, rule) = match guard {
            Guard::Nobody => (String::new(), String::new()),
            Guard::Password(user, password) => (
                format!("userlist known\n  user {user} insecure-password {password}\n"),
                "  http-request auth realm sinyal unless { http_auth(known) }\n".to_owned(),
            ),
            Guard::Token(token) => (
                String::new(),
                format!(
                    "  http-request deny deny_status 401 unless {{ req.hdr(authorization) -m str \"Bearer {token}\" }}\n"
                ),
            ),
        };
        let settings = format!(
            "global\n  maxconn 200\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
             {users}frontend front\n  bind 127.0.0.1:{port} ssl crt {}\n{rule}  default_backend back\n\
             backend back\n  server one 127.0.0.1:{to_port}\n",
            both.display()
        );
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, settings)?;
        let log = std::fs::File::create(folder.path().join("haproxy.log"))?;
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-f").arg(&file).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let proxy = Proxy { port, _folder: folder, _server: Server::start(command)? };
        wait_for("the proxy", Duration::from_secs(30), || {
            Ok(std::net::TcpStream::connect(("127.0.0.1", proxy.port)).is_ok())
        })?;
        Ok(proxy)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its root, by the name that its certificate has.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}
