//! How the pipeline stands, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};

use comfy_table::{CellAlignment, Table, presets};
use pipeline::StateNote;
use record::{EpochMs, Position, StageName};
use rules::blindness::{At, RETIRED_MS, Said, Verdict};
use serde_json::{Value, json};

use crate::commands::state_notes::{about_rotation, about_versions};
use crate::commands::times::{length, shown};
use crate::config::Config;
use crate::roles::notify::observer::{Came, InputLag, Look, standing_of};
use crate::roles::notify::standing::{Blindness, Standing};

/// Everything that is told.
pub(super) struct Report {
    now: EpochMs,
    standing: Standing,
    groups: [(StageName, String); 2],
    inputs: Vec<InputLag>,
    /// The raw partitions: what was last said of each, and when something last came.
    sources: BTreeMap<At, (Option<Said>, Option<EpochMs>)>,
    event_time: EventTime,
    /// `None`: they cannot be read.
    letters: Option<BTreeMap<String, u64>>,
    more_letters: bool,
    /// Why some of it could not be looked at.
    unread: Option<String>,
    /// The community stage's state, in words.
    state: String,
    /// The versions that it is in; `None`: they cannot be read.
    state_versions: Option<BTreeSet<u8>>,
    /// Why it is not known how the state stands.
    state_unread: Option<String>,
    /// While the secret is rotated: whether the previous one is needed still.
    rotation: Option<String>,
    /// `None`: there is no topic of them, or it cannot be read.
    canaries: Option<CanariesSeen>,
}

/// How canaries fare.
#[derive(Debug, Clone, Default)]
struct CanariesSeen {
    last_round: Option<EpochMs>,
    /// The last one that came from a raw partition through a partition of the classified topic.
    came: BTreeMap<(At, i32), Came>,
}

/// How far event time is, by what was last said of the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct EventTime {
    /// The largest of the sources that are all at their ends, or the least of those that are not; less the disorder.
    watermark: Option<EpochMs>,
    /// All are at their ends: from `watermark` on it goes with the clock.
    is_idle: bool,
}

impl Report {
    pub(super) fn of(look: &Look, verdict: &Verdict, config: &Config, now: EpochMs) -> Report {
        let inputs = look.inputs().to_vec();
        let raw = inputs.iter().filter(|input| input.stage == StageName::Classify);
        let source = |input: &InputLag| {
            let at = &input.at;
            (at.clone(), (look.said().get(at).copied(), look.last_arrival(at)))
        };
        let sources: BTreeMap<_, _> = raw.map(source).collect();
        let (letters, more_letters) =
            look.letters().map_or((None, false), |(letters, more)| (Some(letters.clone()), more));
        let groups = [
            (StageName::Classify, config.classify.group_id.clone()),
            (StageName::Community, config.community.group_id.clone()),
        ];
        Report {
            now,
            standing: standing_of(verdict),
            groups,
            inputs,
            event_time: EventTime::of(sources.values().filter_map(|(said, _)| *said), config.disorder_ms),
            sources,
            letters,
            more_letters,
            unread: look.unread(),
            canaries: look
                .canaries()
                .map(|seen| CanariesSeen { last_round: seen.last_round(), came: seen.came().clone() }),
            state: String::new(),
            state_versions: None,
            state_unread: None,
            rotation: None,
        }
    }

    /// With what the changelog says of itself.
    pub(super) fn with_state(self, notes: Result<BTreeMap<i32, StateNote>, String>, config: &Config) -> Report {
        let versions = |notes: &BTreeMap<i32, StateNote>| notes.values().map(|note| note.version).collect();
        let rotation = config.previous_pseudonym.as_ref().and(notes.as_ref().ok());
        Report {
            state_versions: notes.as_ref().ok().map(versions),
            state_unread: notes.as_ref().err().cloned(),
            rotation: rotation.map(|notes| about_rotation(notes, config.windows.horizon_ms())),
            state: match notes.and_then(|notes| about_versions(&notes, config.state_version)) {
                Ok(what) | Err(what) => what,
            },
            ..self
        }
    }

    pub(super) fn json(&self) -> Value {
        let inputs = |stage| {
            let inputs = self.inputs.iter().filter(move |input| input.stage == stage);
            inputs.map(|InputLag { at, committed, end, lag, .. }| {
                json!({"topic": &*at.topic, "partition": at.partition, "committed": committed, "end": end, "lag": lag})
            })
        };
        let groups = self.groups.iter().map(|(stage, group)| {
            let inputs: Vec<Value> = inputs(*stage).collect();
            json!({"stage": stage.as_str(), "group": group, "lag": self.lag(*stage), "partitions": inputs})
        });
        let sources = self.sources.iter().map(|(at, (said, arrived))| {
            json!({
                "topic": &*at.topic,
                "partition": at.partition,
                "last_arrival": arrived,
                "retired": arrived.is_some_and(|arrived| self.is_retired(arrived)),
                "heard_at": said.map(|said| said.heard_at),
                "position": said.map(|said| said.position),
                "largest_event_time": said.and_then(|said| said.largest_event_time),
                "caught_up": said.map(|said| said.caught_up),
            })
        });
        json!({
            "at": self.now,
            "behind": self.standing.behind,
            "blind": self.standing.blind.iter().map(blind_json).collect::<Vec<_>>(),
            "groups": groups.collect::<Vec<_>>(),
            "event_time": {
                "watermark": self.event_time.watermark,
                "idle": self.event_time.is_idle,
                "delay_ms": self.delay_ms(),
            },
            "sources": sources.collect::<Vec<_>>(),
            "unread": self.unread,
            "state": { "versions": self.state_versions, "rotation": self.rotation, "unread": self.state_unread },
            "dead_letters": self.letters.as_ref().map(|letters| json!({
                "last_hour": letters.values().sum::<u64>(), "by_reason": letters, "more": self.more_letters,
            })),
            "canaries": self.canaries.as_ref().map(|seen| json!({
                "last_round": seen.last_round,
                "came": seen.came.iter().map(|((at, to), came)| json!({
                    "topic": &*at.topic,
                    "partition": at.partition,
                    "classified_partition": to,
                    "sent_at": came.sent_at,
                    "classified_ms": came.classified_ms,
                    "counted_ms": came.counted_ms,
                })).collect::<Vec<_>>(),
            })),
        })
    }

    pub(super) fn text(&self) -> String {
        let mut parts = vec![self.headline()];
        for blindness in &self.standing.blind {
            parts.push(format!(
                "  {} since {}: {}",
                blindness.kind.as_str(),
                shown(blindness.since),
                blindness.detail_en
            ));
        }
        parts.extend(self.unread.iter().map(|why| format!("  not looked at: {why}")));
        for (stage, group) in &self.groups {
            let lag = self.lag(*stage);
            parts.push(format!("\n{} (group {group}): {lag} records behind", stage.as_str()));
            parts.push(self.group_table(*stage).to_string());
        }
        parts.push(format!("\nevent time: {}", self.event_time_words()));
        parts.push(self.source_table().to_string());
        parts.push(format!("\nstate: {}", self.state));
        parts.extend(self.rotation.iter().map(|rotation| format!("rotation of the secret: {rotation}")));
        parts.push(format!("\ndead letters in the last hour: {}", self.letter_words()));
        parts.push(format!("canaries: {}", self.canary_words()));
        parts.join("\n")
    }

    fn headline(&self) -> String {
        let blind = match self.standing.blind.len() {
            0 => "nothing is hidden from it".to_owned(),
            1 => "it is blind in one way:".to_owned(),
            count => format!("it is blind in {count} ways:"),
        };
        match &self.standing.behind {
            None => format!("The pipeline has caught up; {blind}"),
            Some(why) => format!("The pipeline is behind ({why}); {blind}"),
        }
    }

    fn lag(&self, stage: StageName) -> Position {
        self.inputs.iter().filter(|input| input.stage == stage).map(|input| input.lag).sum()
    }

    fn group_table(&self, stage: StageName) -> Table {
        let mut table = plain(["topic", "partition", "committed", "end", "lag"]);
        for input in self.inputs.iter().filter(|input| input.stage == stage) {
            table.add_row([
                input.at.topic.to_string(),
                input.at.partition.to_string(),
                input.committed.map_or_else(|| "-".to_owned(), |committed| committed.to_string()),
                input.end.to_string(),
                input.lag.to_string(),
            ]);
        }
        for column in [1, 2, 3, 4] {
            if let Some(column) = table.column_mut(column) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        table
    }

    fn source_table(&self) -> Table {
        let mut table = plain(["source", "something new came", "spoken of", "largest event time", "at its end"]);
        let ago = |at: Option<EpochMs>| {
            at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", length((self.now - at).max(0))))
        };
        for (at, (said, arrived)) in &self.sources {
            table.add_row([
                at.to_string(),
                match *arrived {
                    Some(at) if self.is_retired(at) => format!("{}: retired", ago(Some(at))),
                    other => ago(other),
                },
                ago(said.map(|said| said.heard_at)),
                said.and_then(|said| said.largest_event_time).map_or_else(|| "-".to_owned(), shown),
                said.map_or("-", |said| if said.caught_up { "yes" } else { "no" }).to_owned(),
            ]);
        }
        table
    }

    /// Nothing has come for so long that nobody waits for it.
    fn is_retired(&self, arrived: EpochMs) -> bool {
        self.now - arrived >= RETIRED_MS
    }

    fn delay_ms(&self) -> Option<i64> {
        self.event_time.watermark.map(|watermark| self.now - watermark)
    }

    fn event_time_words(&self) -> String {
        match (self.event_time, self.delay_ms()) {
            (EventTime { is_idle: true, watermark: Some(watermark) }, _) => {
                format!("every source is at its end; from {} on it goes with the clock", shown(watermark))
            }
            (_, Some(delay)) => format!("{} behind the clock", length(delay.max(0))),
            (EventTime { is_idle: true, .. }, None) => "there is none yet: nothing ever came".to_owned(),
            (_, None) => "not known: some sources are not spoken of".to_owned(),
        }
    }

    fn canary_words(&self) -> String {
        let Some(CanariesSeen { last_round, came }) = &self.canaries else {
            return "there is no topic of them, or it cannot be read".to_owned();
        };
        let Some(last_round) = last_round else { return "none was sent lately".to_owned() };
        let round = format!("a round was last sent {} ago", length((self.now - last_round).max(0)));
        let newest = came.values().filter(|came| came.sent_at >= *last_round).count();
        let slowest = came.values().map(|came| (came.counted_ms, came.classified_ms)).max();
        match slowest {
            None => format!("{round}; none came through"),
            Some((counted, classified)) => format!(
                "{round}; {newest} of {} ways had it; the last through each took at most {counted} ms, {classified} of them to the \
                 classified topic",
                came.len()
            ),
        }
    }

    fn letter_words(&self) -> String {
        let Some(letters) = &self.letters else { return "they cannot be read".to_owned() };
        let sum: u64 = letters.values().sum();
        let reasons: Vec<String> = letters.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        match (sum, self.more_letters) {
            (0, _) => "none".to_owned(),
            (_, false) => format!("{sum} ({})", reasons.join(", ")),
            (_, true) => format!("more than {sum}; of these {}", reasons.join(", ")),
        }
    }
}

impl EventTime {
    fn of(said: impl Iterator<Item = Said> + Clone, disorder_ms: i64) -> EventTime {
        let at_work = || said.clone().filter(|said| !said.caught_up).map(|said| said.largest_event_time);
        let is_idle = at_work().next().is_none();
        let reached = if is_idle {
            said.filter_map(|said| said.largest_event_time).max()
        } else {
            // One that has brought nothing yet holds it.
            at_work().min().flatten()
        };
        EventTime { watermark: reached.map(|time| time - disorder_ms), is_idle }
    }
}

fn plain<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header);
    table
}

pub(super) fn blind_json(blindness: &Blindness) -> Value {
    json!({
        "kind": blindness.kind.as_str(),
        "since": blindness.since,
        "detail_en": blindness.detail_en,
        "detail_id": blindness.detail_id,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let at = At { topic: "posts".into(), partition: 0 };
        let said = Said { heard_at: 95_000, position: 7, largest_event_time: Some(90_000), caught_up: false };
        let input = InputLag { stage: StageName::Classify, at: at.clone(), committed: Some(7), end: 9, lag: 2 };
        let never = InputLag { stage: StageName::Community, committed: None, ..input.clone() };
        Report {
            state: "version 6".to_owned(),
            state_versions: Some([6].into()),
            state_unread: None,
            rotation: None,
            now: 100_000,
            standing: Standing::default(),
            groups: [(StageName::Classify, "one".to_owned()), (StageName::Community, "two".to_owned())],
            inputs: vec![input, never],
            sources: BTreeMap::from([(at, (Some(said), Some(40_000)))]),
            event_time: EventTime::of([said].into_iter(), 10_000),
            letters: Some(BTreeMap::from([("malformed".to_owned(), 3), ("null_value".to_owned(), 1)])),
            more_letters: false,
            unread: None,
            canaries: None,
        }
    }

    #[test]
    fn a_person_reads_all_of_it() {
        let mut report = report();
        let text = report.text();
        assert!(text.starts_with("The pipeline has caught up; nothing is hidden from it"), "{text}");
        assert!(text.contains("classify (group one): 2 records behind"), "{text}");
        assert!(text.contains("event time: 20 s behind the clock"), "{text}");
        assert!(text.contains("dead letters in the last hour: 4 (malformed 3, null_value 1)"), "{text}");
        let row: Vec<&str> = text.lines().find(|line| line.contains("posts:0")).unwrap().split_whitespace().collect();
        assert_eq!(row[..7], ["posts:0", "1", "min", "ago", "5", "s", "ago"], "{text}");
        let way = |to| (At { topic: "posts".into(), partition: 0 }, to);
        let came = |sent_at| Came { sent_at, classified_ms: 200, counted_ms: 700 };
        let came = BTreeMap::from([(way(0), came(95_000)), (way(1), came(65_000))]);
        report.canaries = Some(CanariesSeen { last_round: Some(95_000), came });
        let text = report.text();
        assert!(text.contains("canaries: a round was last sent 5 s ago; 1 of 2 ways had it; the last"), "{text}");
        report.standing.behind = Some("by 2".to_owned());
        report.standing.blind.push(Blindness {
            kind: rules::blindness::Kind::Lag,
            since: 0,
            detail_en: "too slow".to_owned(),
            detail_id: "lambat".to_owned(),
        });
        let text = report.text();
        assert!(text.starts_with("The pipeline is behind (by 2); it is blind in one way:\n  lag since "), "{text}");
    }

    #[test]
    fn a_program_reads_all_of_it() {
        let json = report().json();
        assert_eq!(json["groups"][0]["lag"], 2);
        assert_eq!(json["groups"][1]["partitions"][0]["committed"], Value::Null);
        assert_eq!(json["event_time"], json!({"watermark": 80_000, "idle": false, "delay_ms": 20_000}));
        assert_eq!(json["sources"][0]["last_arrival"], 40_000);
        assert_eq!(json["dead_letters"]["by_reason"]["malformed"], 3);
        assert_eq!((&json["behind"], &json["blind"], &json["canaries"]), (&Value::Null, &json!([]), &Value::Null));
    }

    #[test]
    fn event_time_waits_for_the_slowest_that_is_at_work() {
        let said = |largest, caught_up| Said { heard_at: 0, position: 0, largest_event_time: largest, caught_up };
        let of = |said: &[Said]| {
            let time = EventTime::of(said.iter().copied(), 10);
            (time.watermark, time.is_idle)
        };
        assert_eq!(of(&[said(Some(50), true), said(Some(70), true)]), (Some(60), true));
        assert_eq!(of(&[said(Some(50), true), said(Some(70), false)]), (Some(60), false));
        assert_eq!(of(&[said(Some(50), false), said(Some(70), false)]), (Some(40), false));
        assert_eq!(of(&[said(None, false), said(Some(70), false)]), (None, false));
        assert_eq!(of(&[]), (None, true));
    }
}
