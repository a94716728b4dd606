//! What is told of an erasure: topic by topic what was found, what is left, and by when the rest is gone.

use std::time::Duration;

use anyhow::Result;
use comfy_table::{Table, presets};
use kafka_io::admin::Admin;
use record::EpochMs;
use serde_json::{Value, json};

use super::super::times::{length, shown};
use super::found::{Count, Found, Left};
use crate::config::Config;

/// How what is on a topic goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goes {
    /// By a tombstone; what it replaces goes when the brokers compact the log.
    Tombstone,
    /// When it is as old as the topic keeps records.
    Retention,
    /// Not at all.
    Never,
}

impl Goes {
    const fn as_str(self) -> &'static str {
        match self {
            Goes::Tombstone => "tombstone",
            Goes::Retention => "retention",
            Goes::Never => "never",
        }
    }

    /// The same on a topic that keeps records for so long: without a bound (`retention.ms = -1`), retention takes nothing.
    fn within(self, kept_ms: Option<i64>) -> Goes {
        if self == Goes::Retention && kept_ms.is_none() { Goes::Never } else { self }
    }
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    topic: String,
    /// What it holds of a person.
    holds: &'static str,
    /// `None`: it cannot be looked for.
    found: Option<Count>,
    /// What is left of it that a tombstone takes; as found, before anything was done.
    left: Option<u64>,
    goes: Goes,
    /// For how long records are kept; `None` without a bound.
    kept_ms: Option<i64>,
    /// For how long the newest of a log may hold up the rest, by `segment.ms` or `max.compaction.lag.ms`; `None` without a bound.
    held_up_ms: Option<i64>,
}

/// What is told.
#[derive(Debug)]
pub(super) struct Report {
    at: EpochMs,
    communities: Vec<String>,
    places: Vec<Place>,
    with_raw: bool,
    /// Actions that it takes.
    pub(super) to_send: usize,
    /// Actions that were sent.
    pub(super) sent: usize,
    pub(super) executed: bool,
}

/// What no topic of ours holds, and this command cannot reach.
const ELSEWHERE: [&str; 4] = [
    "the platform itself, and what crawlers keep",
    "the sink's tables: a tombstone on the queues' state deletes the row there, as soon as the sink has read it",
    "whoever was notified: Alertmanager has ids and numbers only, webhooks of queue items have had the text",
    "backups of topics, and models trained on exported corrections",
];

const ASK_TIMEOUT: Duration = Duration::from_secs(10);
/// How often brokers look for what is too old.
const CHECKED_EVERY_MS: i64 = 300_000;

impl Report {
    /// Asks the brokers how long each topic keeps what was found.
    ///
    /// # Errors
    /// If they do not answer.
    pub(super) fn new(config: &Config, found: &Found, at: EpochMs) -> Result<Report> {
        let admin = Admin::new(config.connection(), ASK_TIMEOUT)?;
        let topics = &config.topics;
        let mut holds: Vec<(String, &'static str, Goes, bool)> = vec![
            (topics.queue_state.clone(), "rows of items", Goes::Tombstone, true),
            (topics.changelog.clone(), "identities, members, items", Goes::Tombstone, true),
            (topics.alerts.clone(), "ids of samples", Goes::Tombstone, true),
            (topics.classified.clone(), "author keys, texts", Goes::Retention, true),
        ];
        let queues = config.routing.queues().iter();
        holds.extend(queues.map(|queue| (config.queue_topic(&queue.spec.name), "texts", Goes::Retention, true)));
        holds.extend([
            (topics.posts_raw.clone(), "all that was crawled", Goes::Retention, found.with_raw),
            (topics.comments_raw.clone(), "all that was crawled", Goes::Retention, found.with_raw),
            (topics.dead_letters.clone(), "raw bytes", Goes::Retention, false),
            (topics.corrections.clone(), "ids of interactions", Goes::Never, true),
            (topics.actions.clone(), "ids, the key that was erased", Goes::Never, true),
        ]);
        let mut places = Vec::new();
        for (topic, holds, goes, is_searched) in holds {
            let settings = admin.config(&topic)?;
            let number = |name: &str| settings.get(name).and_then(|value| value.parse::<i64>().ok());
            let bound = |value: Option<i64>| value.filter(|value| (0..i64::MAX).contains(value));
            let found = is_searched.then(|| found.topics.get(&topic).copied().unwrap_or_default());
            let is_cut = settings.get("cleanup.policy").is_none_or(|policy| policy.contains("delete"));
            let kept_ms = bound(number("retention.ms")).filter(|_| is_cut);
            let goes = goes.within(kept_ms);
            let held_up_ms = match goes {
                Goes::Tombstone => bound(number("max.compaction.lag.ms")),
                _ => bound(number("segment.ms")),
            };
            let left = found.filter(|_| goes == Goes::Tombstone).map(|count| count.records);
            places.push(Place { topic, holds, found, left, goes, kept_ms, held_up_ms });
        }
        let communities = found.communities.keys().cloned().collect();
        let with_raw = found.with_raw;
        Ok(Report { at, communities, places, with_raw, to_send: 0, sent: 0, executed: false })
    }

    /// Takes in what is left now.
    pub(super) fn now(&mut self, left: &Left) {
        for place in &mut self.places {
            if let Some(now) = left.0.get(&place.topic) {
                place.left = Some(*now);
            }
        }
    }

    /// Whether nothing is left that can be taken out.
    pub(super) fn is_finished(&self) -> bool {
        self.places.iter().all(|place| place.left.unwrap_or(0) == 0) && (self.executed || self.to_send == 0)
    }

    pub(super) fn json(&self) -> Value {
        let places = self.places.iter().map(|place| {
            json!({
                "topic": place.topic,
                "holds": place.holds,
                "found": place.found.map(|found| found.records),
                "unreadable": place.found.and_then(|found| found.unreadable),
                "left": place.left,
                "goes_by": place.goes.as_str(),
                "kept_ms": place.kept_ms,
                "gone_by": place.gone_by(self.at),
            })
        });
        json!({
            "executed": self.executed,
            "finished": self.is_finished(),
            "at": self.at,
            "communities": self.communities,
            "actions": if self.executed { self.sent } else { self.to_send },
            "topics": places.collect::<Vec<Value>>(),
            "raw_searched": self.with_raw,
            "elsewhere": ELSEWHERE,
        })
    }

    pub(super) fn words(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(["topic", "holds", "found", "left", "gone by"]);
        for place in &self.places {
            let count = |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
            let found = count(place.found.map(|found| found.records));
            let left = if place.goes == Goes::Tombstone { count(place.left) } else { found.clone() };
            table.add_row([&place.topic, place.holds, &found, &left, &place.in_words(self.at)]);
        }
        let communities = match self.communities.as_slice() {
            [] => "seen in no community".to_owned(),
            all => format!("seen in {}", all.join(", ")),
        };
        let nothing = match self.with_raw {
            true => "nothing is left that can be taken out",
            false => "nothing is left that can be taken out of what was searched",
        };
        let state = match (self.is_finished(), self.executed) {
            (true, true) if self.sent > 0 => format!("{} actions sent; {nothing}", self.sent),
            (true, _) => nothing.to_owned(),
            (false, true) => format!("{} actions sent; not all of it is gone yet", self.sent),
            (false, false) => format!("nothing was done: --execute sends {} actions", self.to_send),
        };
        let notes: String = self.notes().into_iter().map(|note| format!("{note}\n")).collect();
        format!("{communities}\n{table}\n{notes}Not in these topics: {}.\n{state}", ELSEWHERE.join("; "))
    }

    /// What could not be looked at.
    fn notes(&self) -> Vec<String> {
        let unreadable = self.places.iter().filter_map(|place| {
            let count = place.found.and_then(|found| found.unreadable).filter(|count| *count > 0)?;
            Some(format!(
                "{}: {count} records cannot be read; whether they are of this person is not known",
                place.topic
            ))
        });
        let mut notes: Vec<String> = unreadable.collect();
        if !self.with_raw {
            notes.push(
                "The raw topics were not searched (--no-raw): a rebuild brings back what lies on them of a community that is not \
                 named here."
                    .to_owned(),
            );
        }
        notes
    }
}

impl Place {
    /// By when the last of what was found is gone; `None` if that has no bound, or there is nothing.
    fn gone_by(&self, at: EpochMs) -> Option<EpochMs> {
        let found = self.found.filter(|found| found.records > 0)?;
        match self.goes {
            Goes::Tombstone => Some(at.saturating_add(self.held_up_ms?).saturating_add(CHECKED_EVERY_MS)),
            // A log is cut segment by segment: the youngest record of one holds up the rest of it.
            Goes::Retention => {
                let latest = found.latest.unwrap_or(at).saturating_add(self.kept_ms?);
                Some(latest.saturating_add(self.held_up_ms?).saturating_add(CHECKED_EVERY_MS))
            }
            Goes::Never => None,
        }
    }

    fn in_words(&self, at: EpochMs) -> String {
        match (self.found, self.goes) {
            (_, Goes::Never) => "kept for good".to_owned(),
            (Some(Count { records: 0, .. }), _) => "-".to_owned(),
            (None, _) => self.kept_ms.map_or("kept for good".to_owned(), |ms| format!("kept for {}", length(ms))),
            (_, goes) => match (self.gone_by(at), goes) {
                (Some(by), _) => shown(by),
                (None, Goes::Tombstone) => "when the log is compacted; max.compaction.lag.ms sets a bound".to_owned(),
                (None, _) => "no bound is set".to_owned(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn place(goes: Goes, records: u64, kept_ms: Option<i64>, held_up_ms: Option<i64>) -> Place {
        let found = Some(Count { records, latest: Some(1_000), unreadable: None });
        let left = (goes == Goes::Tombstone).then_some(records);
        Place { topic: "t".to_owned(), holds: "texts", found, left, goes, kept_ms, held_up_ms }
    }

    #[test]
    fn what_is_left_goes_by_the_topics_own_settings() {
        let check = |place: Place, expected| assert_eq!(place.gone_by(5_000), expected, "{place:?}");
        check(place(Goes::Retention, 1, Some(10), Some(100)), Some(1_110 + CHECKED_EVERY_MS));
        check(place(Goes::Retention, 0, Some(10), Some(100)), None);
        check(place(Goes::Tombstone, 1, None, Some(100)), Some(5_100 + CHECKED_EVERY_MS));
        check(place(Goes::Tombstone, 1, None, None), None);
        check(place(Goes::Never, 1, None, Some(100)), None);
        assert!(place(Goes::Tombstone, 1, None, None).in_words(0).contains("max.compaction.lag.ms"));
    }

    #[test]
    fn it_is_finished_when_nothing_is_left_and_nothing_is_to_be_done() {
        let places = vec![place(Goes::Tombstone, 2, None, None), place(Goes::Retention, 7, Some(1), Some(1))];
        let mut report = Report {
            at: 0,
            communities: vec!["c".to_owned()],
            places,
            with_raw: true,
            to_send: 1,
            sent: 0,
            executed: false,
        };
        assert!(!report.is_finished());
        assert!(report.words().contains("--execute sends 1 actions"), "{}", report.words());
        (report.executed, report.sent) = (true, 1);
        assert!(!report.is_finished());
        report.now(&Left(BTreeMap::from([("t".to_owned(), 0)])));
        assert!(report.is_finished());
        assert_eq!(
            (report.json()["finished"].as_bool(), report.json()["topics"][0]["left"].as_u64()),
            (Some(true), Some(0))
        );
    }

    #[test]
    fn what_is_kept_without_a_bound_is_told_as_kept() {
        assert_eq!(Goes::Retention.within(None), Goes::Never);
        assert_eq!(Goes::Retention.within(Some(5)), Goes::Retention);
        assert_eq!(Goes::Tombstone.within(None), Goes::Tombstone);
        for records in [0, 1] {
            let kept = place(Goes::Retention.within(None), records, None, Some(1));
            assert_eq!((kept.gone_by(0), kept.in_words(0).as_str()), (None, "kept for good"));
        }
        assert_eq!(place(Goes::Retention, 0, Some(1), Some(1)).in_words(0), "-");
    }

    #[test]
    fn what_could_not_be_looked_at_is_told() {
        let mut raw = place(Goes::Retention, 1, Some(1), Some(1));
        raw.found = Some(Count { records: 1, latest: None, unreadable: Some(3) });
        let mut report = Report {
            at: 0,
            communities: Vec::new(),
            places: vec![raw],
            with_raw: true,
            to_send: 0,
            sent: 0,
            executed: false,
        };
        let words = report.words();
        assert!(words.contains("t: 3 records cannot be read") && !words.contains("--no-raw"), "{words}");
        assert!(words.ends_with("nothing is left that can be taken out"), "{words}");
        assert_eq!(report.json()["topics"][0]["unreadable"], 3);
        assert_eq!(report.json()["raw_searched"], true);
        (report.with_raw, report.places[0].found) = (false, None);
        let words = report.words();
        assert!(words.contains("not searched (--no-raw)") && words.contains('?'), "{words}");
        assert!(words.ends_with("of what was searched"), "{words}");
        assert!(report.json()["topics"][0]["found"].is_null());
        assert_eq!(report.json()["raw_searched"], false);
    }
}
