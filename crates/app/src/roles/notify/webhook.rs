//! Webhooks by Standard Webhooks (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md): an id, a time and a
//! signature in headers, and `type`, `timestamp` and `data` in the body. `schemas/webhook.schema.json` is the body's contract.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use record::{EpochMs, QueueItem};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::row::Row;
use crate::config::Secret;

/// The headers of a delivery of a notification: `webhook-id` is the same of every repeat, the time and the signature are those of this
/// attempt.
///
/// Notification ids hold names that others chose, and dots, which separate what is signed: so the header has the SHA-256 of it, in
/// lower hexadecimal digits. The id itself is in the body.
pub(super) fn headers(
    secret: &Secret,
    notification_id: &str,
    now: EpochMs,
    body: &[u8],
) -> [(&'static str, String); 3] {
    let id = &hexadecimal(&Sha256::digest(notification_id.as_bytes()));
    let timestamp = (now / 1_000).to_string();
    [
        ("webhook-signature", format!("v1,{}", signature(secret, id, &timestamp, body))),
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", timestamp),
    ]
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC-SHA-256 over `id.timestamp.body`, in base64.
fn signature(secret: &Secret, id: &str, timestamp: &str, body: &[u8]) -> String {
    let mut mac = match Hmac::<Sha256>::new_from_slice(secret.bytes()) {
        Ok(mac) => mac,
        Err(error) => unreachable!("HMAC takes a key of any length: {error}"),
    };
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

/// What is told of a change of an alert's state: its row, field for field `schemas/Alert.avsc`.
pub(super) fn alert_body(row: &Row, inhibited_by: Option<&str>) -> Vec<u8> {
    let mut data = serde_json::to_value(&row.alert).unwrap_or_default();
    data["notification_id"] = row.notification_id().into();
    if let Some(why) = inhibited_by {
        data["inhibited_by"] = why.into();
    }
    body(&format!("alert.{}", row.state.as_str()), row.alert.updated_at, data)
}

/// What is told of an item: as it was routed, field for field `schemas/QueueItem.avsc`.
pub(super) fn item_body(item: &QueueItem<'_>, notification_id: &str) -> Vec<u8> {
    let mut data = serde_json::to_value(item).unwrap_or_default();
    data["notification_id"] = notification_id.into();
    body("queue.item", item.updated_at, data)
}

fn body(kind: &str, at: EpochMs, data: Value) -> Vec<u8> {
    json!({ "type": kind, "timestamp": rfc_3339(at), "data": data }).to_string().into_bytes()
}

/// A time in UTC.
pub(super) fn rfc_3339(at: EpochMs) -> String {
    jiff::Timestamp::from_millisecond(at).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names under which the schema describes a kind of data, and those that are always there.
    fn described(kind: &str) -> (Vec<String>, Vec<String>) {
        let text = include_str!("../../../../../schemas/webhook.schema.json");
        let schema: Value = serde_json::from_str(text).unwrap();
        let described = &schema["$defs"][kind];
        let required = described["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        (described["properties"].as_object().unwrap().keys().cloned().collect(), required.collect())
    }

    #[test]
    fn the_id_in_the_header_is_a_digest_of_what_the_body_says() {
        let secret = Secret::new(b"012345678901234567890123".to_vec());
        let [signature, id, timestamp] = headers(&secret, "abc", 1_999, b"{}");
        // The first test vector of FIPS 180-2, B.1.
        assert_eq!(id.1, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(timestamp.1, "1");
        assert_eq!(
            signature.1,
            format!("v1,{}", super::signature(&secret, &id.1, "1", b"{}")),
            "the header is what is signed"
        );
    }

    #[test]
    fn the_schema_describes_what_is_sent() {
        use crate::roles::notify::board::tests::row;
        use crate::roles::notify::row::State;
        let body = alert_body(&row("1", State::Acknowledged, 3, 1_000), Some("blind: lag"));
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["type"], &body["timestamp"]), (&"alert.acknowledged".into(), &"1970-01-01T00:00:01Z".into()));
        assert_eq!(body["data"]["inhibited_by"], "blind: lag");
        let sent: Vec<String> = body["data"].as_object().unwrap().keys().cloned().collect();
        let (properties, required) = described("alert");
        assert_eq!(sent, properties, "field for field");
        assert!(required.iter().all(|name| !body["data"][name].is_null()));
    }

    #[test]
    fn the_schema_describes_items() {
        use record::{Kind, Label, Language, QueueStatus};
        let item = QueueItem {
            community_id: "warga".into(),
            kind: Kind::Post,
            id: "7".into(),
            queue: "tip".into(),
            department: "product".into(),
            label: Label::Tip,
            confidence: 0.5,
            reason: "a tip".into(),
            priority: 1,
            priority_reasons: Vec::new().into(),
            due_at: None,
            status: QueueStatus::Open,
            claimed_by: None,
            claim_until: None,
            answered_at: None,
            text: None,
            language: Language::Indonesian,
            mixed: false,
            url: None,
            thread_id: None,
            created_at: 1,
            updated_at: 2,
            origin_topic: "raw".into(),
            origin_partition: 0,
            origin_offset: 3,
            acknowledged_by: None,
            acknowledged_at: None,
            breached_at: None,
            reopened: 0,
            waiting_since: None,
        };
        let body: Value = serde_json::from_slice(&item_body(&item, "warga|post|7@raw:0:3")).unwrap();
        let sent = body["data"].as_object().unwrap();
        let (properties, required) = described("item");
        assert!(properties.iter().all(|name| sent.contains_key(name)), "{properties:?}");
        assert!(required.iter().all(|name| !sent[name].is_null()));
        assert_eq!(body["type"], "queue.item");
    }

    /// The example of the specification's reference libraries.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let secret = Secret::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        let signature = signature(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b"{\"test\": 2432232314}");
        assert_eq!(signature, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
