//! `POST /v1/acknowledge`: a help desk, or whoever was notified, says that somebody has taken it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use axum::body::to_bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use kafka_io::admin::Admin;
use kafka_io::feed::Feed;
use kafka_io::{Clock, Connection};
use pipeline::check_action;
use record::{Action, EpochMs, Kind, decode_key, encode_key, limits};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use wire::Encoder;

use super::row::BLIND;
use crate::config::{Config, SecretFile};
use crate::roles::Surroundings;

const BODY_BYTES_MAX: usize = 16_384;
const REASON_BYTES_MAX: usize = 1_024;
/// How long the brokers may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Where acknowledgements come in; it is opened when the role starts.
#[derive(Clone, Default)]
pub(crate) struct Door {
    inner: Arc<OnceLock<Acknowledger>>,
    is_there: bool,
}

impl Door {
    /// There is one if a token is configured.
    pub(crate) fn new(config: &Config) -> Door {
        Door { inner: Arc::default(), is_there: config.notify.acknowledge_token.is_some() }
    }

    pub(super) fn open(&self, acknowledger: Acknowledger) {
        // The role is built again while a registry is waited for: the first one is as good.
        let _ = self.inner.set(acknowledger);
    }

    /// What is served beside the metrics.
    pub(crate) fn router(&self) -> Router {
        if !self.is_there {
            return Router::new();
        }
        Router::new().route("/v1/acknowledge", post(acknowledge)).with_state(self.clone())
    }
}

/// Turns acknowledgements into actions on their topic.
pub(super) struct Acknowledger {
    token: SecretFile,
    encoder: Mutex<Encoder>,
    feed: Mutex<Feed>,
    topic: String,
    /// The topic was seen: a producer is not to make it.
    topic_is_there: AtomicBool,
    connection: Connection,
    record_bytes_max: usize,
    clock: Arc<dyn Clock>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Of an alert or an item, or of a notification of it.
    id: String,
    by: String,
    reason: Option<String>,
    /// `alert` or `item`, where the id alone does not say.
    kind: Option<String>,
}

impl Request {
    fn read(body: &[u8]) -> Result<Request, String> {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }
}

/// Whether a request's body asks for something that can be done.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn check_body(body: &[u8], now: EpochMs) -> Result<(), String> {
    meant(&Request::read(body)?, now).map(|_| ())
}

/// What an id names.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    action: &'static str,
    target: String,
    community: String,
}

impl Acknowledger {
    /// # Errors
    /// If the producer cannot be made.
    pub(super) fn new(surroundings: &Surroundings, token: SecretFile, encoder: Encoder) -> Result<Acknowledger> {
        let config = &surroundings.config;
        Ok(Acknowledger {
            token,
            encoder: Mutex::new(encoder),
            feed: Mutex::new(Feed::open(&surroundings.connection, config.raw_record_bytes_max)?),
            topic: config.topics.actions.clone(),
            topic_is_there: AtomicBool::new(false),
            connection: surroundings.connection.clone(),
            record_bytes_max: config.raw_record_bytes_max,
            clock: Arc::clone(&surroundings.clock),
        })
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        // Of SHA-256: what is compared has one length, whatever is sent.
        let given: [u8; 32] = Sha256::digest(given.as_bytes()).into();
        let token: [u8; 32] = Sha256::digest(self.token.current().bytes()).into();
        token.ct_eq(&given).into()
    }

    /// Puts the action on its topic; what is wrong otherwise, with its status.
    fn act(&self, body: &[u8]) -> Result<Target, (StatusCode, String)> {
        let wrong = |detail: String| (StatusCode::UNPROCESSABLE_ENTITY, detail);
        let request = Request::read(body).map_err(|detail| (StatusCode::BAD_REQUEST, detail))?;
        let (target, action) = meant(&request, self.clock.now_ms()).map_err(wrong)?;
        let failed = |detail: String| (StatusCode::SERVICE_UNAVAILABLE, detail);
        let mut value = Vec::new();
        let mut encoder = self.encoder.lock().map_err(|error| failed(error.to_string()))?;
        encoder.encode(&action, &mut value).map_err(|error| failed(error.to_string()))?;
        drop(encoder);
        let mut feed = self.feed.lock().map_err(|error| failed(error.to_string()))?;
        self.look_for_topic().map_err(failed)?;
        let key = encode_key(&[&target.community]);
        let sent = feed.send(&self.topic, Some(key.as_bytes()), Some(&value), None);
        let sent = sent.and_then(|()| feed.flush(WRITE_TIMEOUT)).map_err(|error| error.to_string());
        let sent = sent.and_then(|()| feed.first_failure().map_or(Ok(()), Err));
        if let Err(why) = sent {
            // A producer that failed may never work again, and what it has left is not the next one's.
            if let Ok(new) = Feed::open(&self.connection, self.record_bytes_max) {
                *feed = new;
            }
            return Err(failed(format!("the brokers did not take it: {why}")));
        }
        Ok(target)
    }

    /// Whether the topic of the actions is there: brokers may be set to make what is written to, with whatever partitions.
    fn look_for_topic(&self) -> Result<(), String> {
        if self.topic_is_there.load(Ordering::Relaxed) {
            return Ok(());
        }
        let admin = Admin::new(&self.connection, WRITE_TIMEOUT).map_err(|error| error.to_string())?;
        let (topics, _) = admin.topics().map_err(|error| error.to_string())?;
        if !topics.iter().any(|topic| topic.name == self.topic) {
            return Err(format!("topic {} is missing; `sinyal topics apply` makes it", self.topic));
        }
        self.topic_is_there.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// The action that a request asks for, such as the community stage takes it; what is wrong otherwise.
fn meant(request: &Request, now: EpochMs) -> Result<(Target, Action<'_>), String> {
    let target = named(&request.id, request.kind.as_deref())?;
    if request.by.trim().is_empty() {
        return Err("by: who has taken it is right".to_owned());
    }
    if request.reason.as_ref().is_some_and(|reason| reason.len() > REASON_BYTES_MAX) {
        return Err(format!("reason: at most {REASON_BYTES_MAX} bytes are right"));
    }
    let action = Action {
        kind: target.action.into(),
        target: target.target.clone().into(),
        by: request.by.as_str().into(),
        at: now,
        until: None,
        reason: request.reason.as_deref().map(Into::into),
    };
    check_action(&action, now).map_err(|(_, detail)| detail)?;
    Ok((target, action))
}

async fn acknowledge(State(door): State<Door>, request: axum::extract::Request) -> Response {
    let answer = |status: StatusCode, body: serde_json::Value| {
        (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
    };
    let Some(acknowledger) = door.inner.get() else {
        return answer(StatusCode::SERVICE_UNAVAILABLE, json!({ "error": "the role notify has not started yet" }));
    };
    // Before the body is read: of whoever has no token nothing is kept.
    if !acknowledger.knows(request.headers()) {
        return answer(
            StatusCode::UNAUTHORIZED,
            json!({ "error": "the configured token is right: Authorization: Bearer TOKEN" }),
        );
    }
    let Ok(body) = to_bytes(request.into_body(), BODY_BYTES_MAX).await else {
        let detail = format!("the body has more than {BODY_BYTES_MAX} bytes, or was not sent to its end");
        return answer(StatusCode::PAYLOAD_TOO_LARGE, json!({ "error": detail }));
    };
    let acted = tokio::task::spawn_blocking(move || door.inner.get().map(|acknowledger| acknowledger.act(&body))).await;
    match acted {
        Ok(Some(Ok(target))) => answer(
            StatusCode::ACCEPTED,
            json!({ "action": target.action, "target": target.target, "community_id": target.community }),
        ),
        Ok(Some(Err((status, detail)))) => answer(status, json!({ "error": detail })),
        _ => answer(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": "it failed" })),
    }
}

/// What an id names: an alert (`rule|community|start`) or an item (`community|kind|id`), or a notification of one, which says by
/// `#` or `@` which it is. Of an id alone the second part tells: `post` and `comment` are kinds of items.
fn named(id: &str, kind: Option<&str>) -> Result<Target, String> {
    let right = "an alert's `rule|community|start`, an item's `community|kind|id`, or a notification's id is right";
    let (bare, is_alert) = match (id.split_once('#'), id.split_once('@')) {
        (Some((bare, _)), None) => (bare, Some(true)),
        (None, Some((bare, _))) => (bare, Some(false)),
        _ => (id, None),
    };
    let parts = decode_key(bare).filter(|parts| parts.len() == 3).ok_or_else(|| format!("id: {right}"))?;
    let [first, second, third] = [&parts[0], &parts[1], &parts[2]];
    if first == BLIND {
        return Err("id: the system's own alerts end by themselves; nobody can acknowledge them".to_owned());
    }
    let names_item = Kind::ALL.iter().any(|kind| kind.as_str() == *second);
    let is_alert = match (kind, is_alert) {
        (Some("alert"), None | Some(true)) => true,
        (Some("item"), None | Some(false)) => false,
        (Some(other), _) => return Err(format!("kind is {other:?}; \"alert\" or \"item\", as the id says, is right")),
        (None, Some(is_alert)) => is_alert,
        (None, None) => !names_item,
    };
    let bounded = bare.len() <= 4 * limits::ID_BYTES;
    let starts = third.parse::<i64>().is_ok();
    match is_alert {
        true if bounded && starts => {
            Ok(Target { action: "acknowledge_alert", target: bare.to_owned(), community: second.to_string() })
        }
        false if bounded && names_item => {
            Ok(Target { action: "acknowledge", target: bare.to_owned(), community: first.to_string() })
        }
        _ => Err(format!("id: {right}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_community_stage_would_refuse_is_refused_here() {
        let request = |by: &str, reason: Option<&str>| Request {
            id: "warga|post|17".to_owned(),
            by: by.to_owned(),
            reason: reason.map(str::to_owned),
            kind: None,
        };
        let check = |by: &str, reason: Option<&str>, expected: Option<&str>| {
            let request = request(by, reason);
            let found = meant(&request, 1_795_482_000_000).map(|(_, action)| action.by.into_owned());
            match expected {
                None => assert_eq!(found.as_deref(), Ok(by)),
                Some(why) => assert!(found.as_ref().unwrap_err().contains(why), "{found:?}"),
            }
        };
        check("sari", None, None);
        check(" ", None, Some("by: who has taken it"));
        check(&"s".repeat(limits::ID_BYTES), None, None);
        check(&"s".repeat(limits::ID_BYTES + 1), None, Some("by has"));
        check("sari", Some(&"r".repeat(REASON_BYTES_MAX + 1)), Some("reason"));
    }

    #[test]
    fn an_id_names_an_alert_or_an_item() {
        let check = |id: &str, kind: Option<&str>, expected: Option<(&str, &str, &str)>| {
            let found = named(id, kind);
            let shown = found.as_ref().ok().map(|of| (of.action, of.target.as_str(), of.community.as_str()));
            assert_eq!(shown, expected, "{id}: {found:?}");
        };
        let alert = Some(("acknowledge_alert", "spike|warga%20kota|17", "warga kota"));
        check("spike|warga%20kota|17#2", None, alert);
        check("spike|warga%20kota|17", None, alert);
        let item = Some(("acknowledge", "warga%20kota|post|17", "warga kota"));
        check("warga%20kota|post|17@social.posts.raw:0:3", None, item);
        check("warga%20kota|post|17", None, item);
        check("warga%20kota|post|17", Some("alert"), Some(("acknowledge_alert", "warga%20kota|post|17", "post")));
        check("warga%20kota|post|17#1", Some("item"), None);
        check("warga|video|17", Some("item"), None);
        check("spike|warga|yesterday", None, None);
        check("blind|lag|17#1", None, None);
        check("spike|warga", None, None);
        check("", None, None);
    }
}
