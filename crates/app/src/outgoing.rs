//! Requests to servers that are configured: as whom, and trusting whom.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::config::{Access, Authorization, certificates};

/// A client of one server.
pub(crate) struct Outgoing {
    access: Access,
    timeout: Duration,
    /// With what the file of certificates held when it was made.
    agent: Mutex<(Agent, Vec<u8>)>,
}

impl std::fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outgoing").field("access", &self.access).finish_non_exhaustive()
    }
}

impl Outgoing {
    /// Nothing is asked yet. A request may take so long.
    pub(crate) fn new(access: &Access, timeout: Duration) -> Outgoing {
        // Until there are certificates nobody is trusted, which is what is configured.
        let nobody = (agent(timeout, access.ca_file.as_ref().map(|_| Vec::new())), Vec::new());
        Outgoing { access: access.clone(), timeout, agent: Mutex::new(nobody) }
    }

    /// What makes requests. Where the file of certificates changed since the last one, they are those that it holds now.
    pub(crate) fn agent(&self) -> Agent {
        let mut held = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.access.ca_file
            && let Ok((found, bytes)) = certificates(path)
            && bytes != held.1
        {
            *held = (agent(self.timeout, Some(found)), bytes);
        }
        held.0.clone()
    }

    /// The header of that name, if it is to be there.
    pub(crate) fn authorization(&self) -> Option<String> {
        match &self.access.authorization {
            Authorization::None => None,
            Authorization::Basic { username, password } => {
                let mut pair = format!("{username}:").into_bytes();
                pair.extend_from_slice(password.current().bytes());
                Some(format!("Basic {}", STANDARD.encode(pair)))
            }
            Authorization::Bearer(token) => {
                Some(format!("Bearer {}", String::from_utf8_lossy(token.current().bytes())))
            }
        }
    }
}

/// Why nobody answered, and what to do about it where that is known.
pub(crate) fn detail(error: &ureq::Error) -> String {
    let text = error.to_string();
    // The TLS library says it within errors of several kinds, and best in its own words.
    let distrusts = ["UnknownIssuer", "certificate", "CertNotValid"].iter().any(|word| text.contains(word));
    if distrusts {
        return format!("{text}; `ca_file` beside the address names the certificates of who vouches for it");
    }
    text
}

fn agent(timeout: Duration, trusted: Option<Vec<ureq::tls::Certificate<'static>>>) -> Agent {
    let mut config = Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        // What is signed, or goes with a password, goes where it was configured to.
        .max_redirects(0)
        .user_agent(concat!("sinyal/", env!("CARGO_PKG_VERSION")));
    if let Some(trusted) = trusted {
        config = config.tls_config(TlsConfig::builder().root_certs(RootCerts::from(trusted)).build());
    }
    config.build().new_agent()
}
