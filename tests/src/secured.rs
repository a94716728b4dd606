//! Kafka with secured listeners: TLS, mutual TLS, SCRAM and OAUTHBEARER, each beside the others on one node.

use std::path::{Path, PathBuf};

use anyhow::Result;
use tempfile::TempDir;

use crate::kafka::More;
use crate::tokens::{AUDIENCE, CLIENT, ISSUER};
use crate::{Authority, Guard, Kafka, Proxy, Tokens, free_port};

/// A way in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// TLS: the client knows the broker.
    Tls,
    /// Mutual TLS: each knows the other.
    MutualTls,
    /// SASL SCRAM-SHA-512 over TLS.
    Scram,
    /// SASL OAUTHBEARER over TLS, with tokens from an endpoint.
    OauthBearer,
}

impl Listener {
    /// All of them.
    pub const ALL: [Listener; 4] = [Listener::Tls, Listener::MutualTls, Listener::Scram, Listener::OauthBearer];

    const fn name(self) -> &'static str {
        match self {
            Listener::Tls => "TLS",
            Listener::MutualTls => "MTLS",
            Listener::Scram => "SCRAM",
            Listener::OauthBearer => "OAUTH",
        }
    }
}

/// A secured Kafka, who vouches for it, and who gives tokens.
#[derive(Debug)]
pub struct Secured {
    /// The brokers; without any security at their plain listener, where everybody may do everything.
    pub kafka: Kafka,
    /// Who issues the certificates.
    pub authority: Authority,
    /// Who gives the tokens.
    pub tokens: Tokens,
    ports: [u16; 4],
    /// Before the giver of tokens.
    token_proxy: Proxy,
    folder: TempDir,
}

impl Secured {
    /// Starts it. The users of SCRAM have passwords by [`Secured::password`]. With an authorizer nobody may do anything at the
    /// secured listeners who is not let.
    ///
    /// # Errors
    /// What is missing on this machine, or why it did not come up.
    pub fn start(users: &[&str], authorizer: bool) -> Result<Secured> {
        let authority = Authority::new("Sinyal tests")?;
        let broker = authority.issue("broker")?;
        authority.issue("client")?;
        authority.lock("client", &Secured::password("client-key"))?;
        let tokens = Tokens::start(&Secured::password(CLIENT))?;
        let token_proxy = Proxy::start(&authority, tokens.port(), Guard::Nobody)?;
        let ports = [free_port()?, free_port()?, free_port()?, free_port()?];
        let sasl = "org.apache.kafka.common.security";
        let oauth = "listener.name.oauth.oauthbearer.sasl";
        let mut settings = format!(
            "ssl.keystore.type=PEM\nssl.keystore.location={}\nssl.truststore.type=PEM\nssl.truststore.location={}\n\
             inter.broker.listener.name=PLAINTEXT\nlistener.name.mtls.ssl.client.auth=required\n\
             listener.name.scram.sasl.enabled.mechanisms=SCRAM-SHA-512\n\
             listener.name.scram.scram-sha-512.sasl.jaas.config={sasl}.scram.ScramLoginModule required;\n\
             listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER\n\
             {oauth}.jaas.config={sasl}.oauthbearer.OAuthBearerLoginModule required;\n\
             {oauth}.server.callback.handler.class={sasl}.oauthbearer.OAuthBearerValidatorCallbackHandler\n\
             {oauth}.oauthbearer.jwks.endpoint.url={jwks}\n{oauth}.oauthbearer.expected.audience={AUDIENCE}\n\
             {oauth}.oauthbearer.expected.issuer={ISSUER}\nlistener.name.oauth.connections.max.reauth.ms=3600000\n\
             listener.name.oauth.oauthbearer.connections.max.reauth.ms=3600000\n",
            broker.display(),
            authority.certificate().display(),
            jwks = tokens.jwks_url(),
        );
        if authorizer {
            settings += "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
                         super.users=User:ANONYMOUS\n";
        }
        let listeners = Listener::ALL.iter().zip(ports).map(|(listener, port)| {
            let protocol = match listener {
                Listener::Tls | Listener::MutualTls => "SSL",
                Listener::Scram | Listener::OauthBearer => "SASL_SSL",
            };
            (listener.name(), port, protocol)
        });
        let user = |user: &&str| {
            ["--add-scram".to_owned(), format!("SCRAM-SHA-512=[name={user},password={}]", Secured::password(user))]
        };
        let more = More {
            listeners: listeners.collect(),
            settings,
            format: users.iter().flat_map(user).collect(),
            java: vec![format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={}", tokens.jwks_url())],
        };
        let kafka = Kafka::start_with(1, more)?;
        let folder = tempfile::Builder::new().prefix("sinyal-secured").tempdir()?;
        Ok(Secured { kafka, authority, tokens, ports, token_proxy, folder })
    }

    /// The password of somebody; nobody else may see it.
    pub fn password(of: &str) -> String {
        format!("rahasia-{of}-9f2c")
    }

    /// Its address.
    pub fn bootstrap(&self, listener: Listener) -> String {
        format!("127.0.0.1:{}", self.ports[listener as usize])
    }

    /// What a configuration says of the way in; `user` is for SCRAM.
    ///
    /// # Errors
    /// If a file with a password cannot be written.
    pub fn properties(&self, listener: Listener, user: &str) -> Result<String> {
        let mut lines = Lines::default();
        lines.property("ssl.ca.location", self.authority.certificate().display());
        match listener {
            Listener::Tls => lines.property("security.protocol", "SSL"),
            Listener::MutualTls => {
                lines.property("security.protocol", "SSL");
                lines.property("ssl.certificate.location", self.authority.file("client.pem").display());
                lines.property("ssl.key.location", self.authority.file("client.locked").display());
                lines.file("ssl.key.password", &self.secret("client-key")?);
            }
            Listener::Scram => {
                lines.property("security.protocol", "SASL_SSL");
                lines.property("sasl.mechanism", "SCRAM-SHA-512");
                lines.property("sasl.username", user);
                lines.file("sasl.password", &self.secret(user)?);
            }
            Listener::OauthBearer => {
                lines.property("security.protocol", "SASL_SSL");
                lines.property("sasl.mechanism", "OAUTHBEARER");
                lines.property("sasl.oauthbearer.method", "oidc");
                lines.property("sasl.oauthbearer.client.id", CLIENT);
                lines.property("sasl.oauthbearer.token.endpoint.url", format!("{}/token", self.token_proxy.url()));
                lines.property("https.ca.location", self.authority.certificate().display());
                lines.file("sasl.oauthbearer.client.secret", &self.secret(CLIENT)?);
            }
        }
        Ok(lines.0)
    }

    /// A file with somebody's password.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn secret(&self, of: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(of);
        std::fs::write(&path, Secured::password(of) + "\n")?;
        Ok(path)
    }
}

/// Lines of a configuration.
#[derive(Debug, Default)]
struct Lines(String);

impl Lines {
    fn property(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0 += &format!("kafka.properties.\"{name}\" = \"{value}\"\n");
    }

    fn file(&mut self, name: &str, path: &Path) {
        self.0 += &format!("kafka.property_files.\"{name}\" = \"{}\"\n", path.display());
    }
}
