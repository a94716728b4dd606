//! Responders at their desks: actions on queue items, onto their topic, and what the rows of the queues' state must say then.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use kafka_io::Connection;
use kafka_io::feed::Feed;
use oracle::{Identity, QueueStates};
use record::{Action, encode_key};
use serde_json::{Value, json};
use wire::{Encoder, SchemaName};

use crate::{Oracle, Reader, Sinyal};

/// The queues by default that say how soon an answer is due: in business hours, which the oracle does not recount.
const SERVICE_LEVELS: [(&str, Option<i64>); 1] = [("complaint", None)];
const MINUTE_MS: i64 = 60_000;

/// What somebody does with an item: its kind, who, and how long after it was made.
type Deed = (&'static str, &'static str, i64);

/// What happens to items, in turn.
const DEEDS: [&[Deed]; 5] = [
    &[("claim", "sari", MINUTE_MS)],
    // Within the lease: refused.
    &[("claim", "sari", MINUTE_MS), ("claim", "budi", 2 * MINUTE_MS)],
    &[("claim", "sari", MINUTE_MS), ("release", "sari", 2 * MINUTE_MS), ("claim", "budi", 3 * MINUTE_MS)],
    &[("acknowledge", "budi", 5 * MINUTE_MS)],
    &[("claim", "sari", MINUTE_MS), ("acknowledge", "sari", 20 * MINUTE_MS)],
];

/// Has somebody do something with every so many'th interaction, item or not (of what is none it waits in vain); gives the actions, in
/// the order in which they are to be sent.
///
/// # Errors
/// If the oracle does not understand one.
pub fn act_on_every(oracle: &mut Oracle, step: usize) -> Result<Vec<(Identity, Action<'static>)>> {
    let acted_on: Vec<(Identity, i64)> = oracle.by_members().step_by(step).map(|(of, at)| (of.clone(), at)).collect();
    let mut actions = Vec::new();
    for (number, (identity, made_at)) in acted_on.into_iter().enumerate() {
        let (community, kind, id) = &identity;
        for &(deed, by, after) in DEEDS[number % DEEDS.len()] {
            let at = made_at + after;
            let target = encode_key(&[community, kind, id]);
            let action =
                Action { kind: deed.into(), target: target.into(), by: by.into(), at, until: None, reason: None };
            oracle.act(identity.clone(), &json!({ "kind": deed, "by": by, "at": at }))?;
            actions.push((identity.clone(), action));
        }
    }
    Ok(actions)
}

/// Sends actions, and waits until brokers have them.
///
/// # Errors
/// If they do not take them.
pub fn send_actions(sinyal: &Sinyal, actions: &[(Identity, Action<'_>)]) -> Result<()> {
    let connection =
        Connection { bootstrap: sinyal.bootstrap().to_owned(), client_id: "desk".to_owned(), properties: Vec::new() };
    let feed = Feed::open(&connection, 100_000)?;
    let mut encoder = Encoder::single_object(SchemaName::Action);
    let mut value = Vec::new();
    for ((community, ..), action) in actions {
        value.clear();
        encoder.encode(action, &mut value)?;
        feed.send(&sinyal.topic("social.actions"), Some(encode_key(&[community]).as_bytes()), Some(&value), None)?;
    }
    feed.flush(Duration::from_secs(120))?;
    ensure!(feed.failed() == 0, "{} actions failed: {:?}", feed.failed(), feed.first_failure());
    Ok(())
}

/// The last row of each key of a compacted topic; none of what was taken away.
///
/// # Errors
/// If the topic cannot be read.
pub fn last_rows(sinyal: &Sinyal, reader: &Reader, topic: &str, schema: &str) -> Result<BTreeMap<String, Value>> {
    let mut last = BTreeMap::new();
    reader.each(&sinyal.topic(topic), Some(schema), |mut record| {
        let key = record["key"].to_string();
        match record["value"].take() {
            Value::Null => last.remove(&key),
            row => last.insert(key, row),
        };
        Ok(())
    })?;
    Ok(last)
}

/// Every row of the queues' state is what a recount says.
///
/// # Errors
/// Those that are not.
pub fn check_queue_state(sinyal: &Sinyal, reader: &Reader, oracle: &Oracle) -> Result<QueueStates> {
    let rows = last_rows(sinyal, reader, "social.queue.state", "QueueItem")?;
    let compared = oracle.check_queue_state(rows.values(), &BTreeMap::from(SERVICE_LEVELS), None)?;
    ensure!(compared.whole * 2 > compared.rows, "too little of it could be recounted: {compared:?}");
    Ok(compared)
}
