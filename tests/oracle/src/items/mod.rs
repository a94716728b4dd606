//! What the row of each queue item is to say in the end, from the newest words of its author, the brand and the responders.
//!
//! Not recounted, because it follows from clocks or from the order in which independent topics were read:
//! - `priority` and its reasons, `updated_at`, `reason`, `department`, and what the classify stage copies (`language`, `url`, origins);
//! - items that were let go of: expired, beyond the bounds, or closed for longer than `items.keep_closed_hours`;
//! - whether the person wrote again, where their items in that thread were edited or taken back, or anything of theirs there was
//!   corrected, came out of order, or is a post beside comments, which come by another topic: a message belongs to the item that is
//!   known when it comes. Then all that follows from it is left out (`status`, `claimed_by`, `claim_until`, `answered_at`, `reopened`, `due_at`, `breached_at`);
//! - `moved` is not told from `open` where a correction met edits, a retraction or other corrections, whichever was read first;
//!   nor, if it was closed meanwhile, whether that opened it again;
//! - the text and the thread of what a correction alone put into a queue are null until it is heard of again: null is as good;
//! - the row as a whole where only words that others did away with would have queued it;
//! - routes, automatic replies, corrections of the queue itself and business hours: the tests that use this have none.

mod life;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

pub(crate) use self::life::Deeds;
use self::life::{Life, Since, life};
use crate::interaction::Version;
use crate::{Identity, Oracle};

/// A version of an interaction that was the newest when it came.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) version: Version,
    pub(crate) at: i64,
    pub(crate) deleted: bool,
    pub(crate) by_brand: bool,
    pub(crate) author: Option<String>,
    pub(crate) thread: Option<String>,
    /// What it answers, if it is a comment: kind and id.
    pub(crate) answers: Option<(String, String)>,
    pub(crate) label: String,
    /// Where the classifier would have it.
    pub(crate) queue: Option<String>,
    pub(crate) text: String,
}

/// An interaction: when it came first, and its versions as they came, each newer than those before.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) came: usize,
    pub(crate) versions: Vec<Said>,
}

/// What a row is to say.
#[derive(Debug)]
pub(crate) struct Expected {
    /// There must be a row; without it there may be one, of which nothing is said.
    pub(crate) certain: bool,
    /// Field by field, what it may hold.
    pub(crate) fields: Vec<(&'static str, Vec<Value>)>,
    /// All that is recounted is told.
    pub(crate) whole: bool,
}

/// What is known of a community's items beside each of them.
pub(crate) struct Around<'a> {
    oracle: &'a Oracle,
    /// When the brand replied to what.
    replies: BTreeMap<(&'a str, &'a str, &'a str), Vec<i64>>,
    /// Each person's messages in each thread.
    talks: BTreeMap<(&'a str, &'a str, &'a str), Vec<&'a Identity>>,
}

/// Whether somebody wrote again.
enum Contacts {
    Known(Vec<(i64, Identity)>),
    Uncertain,
}

impl<'a> Around<'a> {
    pub(crate) fn new(oracle: &'a Oracle) -> Around<'a> {
        let mut around = Around { oracle, replies: BTreeMap::new(), talks: BTreeMap::new() };
        for (identity, message) in &oracle.messages {
            let newest = message.newest();
            let community = identity.0.as_str();
            if newest.by_brand {
                if let (false, Some((kind, id))) = (newest.deleted, &newest.answers) {
                    around.replies.entry((community, kind, id)).or_default().push(newest.at);
                }
                continue;
            }
            // A retraction does not say who wrote it.
            let whose =
                message.versions.iter().rev().find_map(|said| Some((said.author.as_deref()?, said.thread.as_deref()?)));
            if let Some((author, thread)) = whose {
                around.talks.entry((community, author, thread)).or_default().push(identity);
            }
        }
        around
    }

    /// When the brand replied to an interaction that was made at `at`, and not before it.
    fn replies_to(&self, identity: &Identity, at: i64) -> Vec<i64> {
        let replies = self.replies.get(&(&*identity.0, &*identity.1, &*identity.2));
        replies.into_iter().flatten().copied().filter(|reply| *reply >= at).collect()
    }

    /// What the person wrote in the same thread after an item, and before another of theirs, that is no item.
    fn contacts(&self, identity: &Identity, item: &Said) -> Contacts {
        let none = Contacts::Known(Vec::new());
        let whose = self.oracle.messages[identity].versions.iter().rev();
        let whose = whose.filter_map(|said| Some((said.author.as_deref()?, said.thread.as_deref()?))).next();
        let Some((author, thread)) = whose else { return none };
        let Some(talk) = self.talks.get(&(&*identity.0, author, thread)) else { return none };
        let message = |of: &Identity| &self.oracle.messages[of];
        let others = talk.iter().filter(|of| **of != identity);
        let may_be = |of: &&&Identity| {
            let mut versions = message(of).versions.iter();
            versions.any(|said| !said.deleted && said.queue.is_none() && said.at > item.at)
        };
        if others.clone().find(may_be).is_none() {
            return none;
        }
        let mut in_order: Vec<(i64, usize)> =
            talk.iter().map(|of| (message(of).newest().at, message(of).came)).collect();
        in_order.sort_unstable();
        let ordered = in_order.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        let plain = talk.iter().all(|of| {
            let never_an_item = message(of).versions.iter().all(|said| said.queue.is_none());
            of.1 == identity.1 && (never_an_item || message(of).is_one()) && !self.oracle.words.contains_key(*of)
        });
        if !ordered || !plain {
            return Contacts::Uncertain;
        }
        if item.label == "praise" {
            return none;
        }
        let asks = |of: &&&Identity| message(of).newest().queue.is_some() && message(of).newest().label != "praise";
        let next = others.clone().filter(asks).map(|of| message(of).newest().at).filter(|at| *at > item.at).min();
        let again = others.filter(|of| {
            let said = message(of).newest();
            !said.deleted
                && said.queue.is_none()
                && said.label != "praise"
                && said.at > item.at
                && next.is_none_or(|next| said.at <= next)
        });
        Contacts::Known(again.map(|of| (message(of).newest().at, (*of).clone())).collect())
    }

    /// What the row of an interaction is to say; nothing if there is to be none.
    pub(crate) fn expected(
        &self,
        identity: &Identity,
        service_levels: &BTreeMap<&str, Option<i64>>,
        watermark: Option<i64>,
    ) -> Option<Expected> {
        let message = self.oracle.messages.get(identity)?;
        let newest = message.newest();
        let no_words = Vec::new();
        let words = if newest.by_brand { &no_words } else { self.oracle.words.get(identity).unwrap_or(&no_words) };
        let stands = self.oracle.corrections.get(identity).filter(|(at, _)| *at >= newest.version.changed_at);
        let label = stands.map_or(&*newest.label, |(_, label)| label);
        let queue = match stands {
            _ if newest.deleted || newest.by_brand => None,
            Some((_, label)) => queue_of(label),
            None => newest.queue.as_deref(),
        };
        let was_queued = message.versions.iter().any(|said| said.queue.is_some());
        if !was_queued && queue.is_none() {
            let once = words.iter().any(|(_, label)| queue_of(label).is_some());
            return once.then(|| Expected { certain: false, fields: Vec::new(), whole: false });
        }
        let mut row = Expected { certain: true, fields: Vec::new(), whole: true };
        row.says("queue", json!(queue.unwrap_or("none")));
        if newest.deleted {
            // Who takes something back does not say it again: it has no label of its own.
            row.says("text", Value::Null);
            row.is_gone("retracted");
            return Some(row);
        }
        row.says("label", json!(label));
        row.says("created_at", json!(newest.at));
        let text = if newest.text.is_empty() { Value::Null } else { json!(newest.text) };
        let by_words_alone = !words.is_empty() && (newest.queue.is_none() || words.len() > 1);
        for (field, value) in [("text", text), ("thread_id", json!(newest.thread))] {
            row.fields.push((field, if by_words_alone { vec![value, Value::Null] } else { vec![value] }));
        }
        let Some(queue) = queue else {
            row.is_gone("moved");
            return Some(row);
        };
        let Deeds { acknowledged, first_acknowledged, claim } =
            self.oracle.deeds.get(identity).cloned().unwrap_or_default();
        row.says("acknowledged_by", json!(acknowledged.as_ref().map(|(_, by)| by)));
        row.says("acknowledged_at", json!(acknowledged.as_ref().map(|(at, _)| at)));
        let Contacts::Known(contacts) = self.contacts(identity, newest) else {
            row.whole = false;
            return Some(row);
        };
        let mut answers = self.replies_to(identity, newest.at);
        answers.extend(contacts.iter().flat_map(|(at, contact)| self.replies_to(contact, *at)));
        answers.sort_unstable();
        row.says("answered_at", json!(answers.first()));
        let closed = !answers.is_empty() || acknowledged.is_some();
        let (moved, moved_at) = message.moved();
        let moved = self.moved(message, words, stands.is_some()).unwrap_or(if words.is_empty() {
            Moved::Known(moved)
        } else {
            Moved::Unknown
        });
        if matches!(moved, Moved::Unknown) && closed && message.queues().len() > 1 {
            row.whole = false;
            return Some(row);
        }
        let wrote_again: Vec<i64> = contacts.iter().map(|(at, _)| *at).collect();
        let since =
            Since { said_at: newest.at, wrote_again: &wrote_again, moved_at: moved_at.filter(|_| words.is_empty()) };
        let Life { status, since, closed_at, reopened } =
            life(&since, &answers, (acknowledged.map(|(at, _)| at), first_acknowledged), claim.as_ref());
        row.says("reopened", json!(reopened));
        let status = match (status, &moved) {
            ("open", Moved::Known(true)) => vec![json!("moved")],
            ("open", Moved::Unknown) => vec![json!("moved"), json!("open")],
            (status, _) => vec![json!(status)],
        };
        let claim = claim.filter(|_| status == [json!("claimed")]);
        row.fields.push(("status", status));
        row.says("claimed_by", json!(claim.as_ref().map(|claim| &claim.by)));
        row.says("claim_until", json!(claim.as_ref().map(|claim| claim.until)));
        let due_at = match service_levels.get(queue) {
            Some(None) => return Some(row),
            Some(Some(level_ms)) => Some(since + level_ms),
            None => None,
        };
        row.says("due_at", json!(due_at));
        match (due_at, closed_at, watermark) {
            (Some(due_at), Some(closed_at), _) => {
                row.says("breached_at", json!((closed_at > due_at).then_some(due_at)))
            }
            (Some(due_at), None, Some(watermark)) if watermark >= due_at => row.says("breached_at", json!(due_at)),
            (None, ..) => row.says("breached_at", Value::Null),
            _ => {}
        }
        Some(row)
    }

    /// Whether corrections took it to another queue than it was in; nothing where there were none that could.
    fn moved(&self, message: &Message, words: &[(i64, String)], stands: bool) -> Option<Moved> {
        let of_words: BTreeSet<Option<&str>> = words.iter().map(|(_, label)| queue_of(label)).collect();
        let queues = message.queues();
        let retracted = message.versions.iter().any(|said| said.deleted);
        if words.is_empty() || queues.len() != 1 || retracted {
            return None;
        }
        if queues == of_words {
            return Some(Moved::Known(false));
        }
        (words.len() == 1 && stands).then_some(Moved::Known(true))
    }
}

/// Whether an item came to its queue from another.
enum Moved {
    Known(bool),
    Unknown,
}

impl Message {
    pub(crate) fn newest(&self) -> &Said {
        &self.versions[self.versions.len() - 1]
    }

    /// It always said the same.
    fn is_one(&self) -> bool {
        let first = &self.versions[0];
        self.versions
            .iter()
            .all(|said| said.label == first.label && said.queue == first.queue && said.deleted == first.deleted)
    }

    /// Where the classifier had it, version by version.
    fn queues(&self) -> BTreeSet<Option<&str>> {
        self.versions.iter().filter(|said| !said.deleted).map(|said| said.queue.as_deref()).collect()
    }

    /// Whether an edit took it to another queue since it last came into one, and when that was written last.
    fn moved(&self) -> (bool, Option<i64>) {
        let mut moved = (false, None);
        for pair in self.versions.windows(2) {
            if pair[1].queue.is_none() {
                // It is an item no more: should it be one again, that is another.
                moved = (false, None);
            } else if pair[0].queue.is_some() && pair[0].queue != pair[1].queue {
                // Where the source does not say when it was edited, it was by the time that it was seen so.
                let Version { changed_at, observed_at, .. } = pair[1].version;
                moved = (true, moved.1.max(Some(if changed_at > pair[1].at { changed_at } else { observed_at })));
            }
        }
        moved
    }
}

impl Expected {
    fn says(&mut self, field: &'static str, value: Value) {
        self.fields.push((field, vec![value]));
    }

    /// It waits nowhere, and nothing of what was done with it is told.
    fn is_gone(&mut self, status: &str) {
        self.says("status", json!(status));
        self.says("reopened", json!(0));
        let nothing =
            ["claimed_by", "claim_until", "answered_at", "acknowledged_by", "acknowledged_at", "due_at", "breached_at"];
        nothing.into_iter().for_each(|field| self.says(field, Value::Null));
    }
}

/// Where a label that a responder gives puts it.
fn queue_of(label: &str) -> Option<&str> {
    (label != "other").then_some(label)
}
