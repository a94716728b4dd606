//! The community stage, fed with what an owner may feed it, and made to crash.
//!
//! Nothing stops it, every record has an outcome, what it keeps and emits is bounded, rows are whole, revisions rise, and it comes up
//! again from what it wrote.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use pipeline::CommunityStage;
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage, Step};
use record::{
    Action, ClassifiedRecord, Correction, EpochMs, Label, Progress, SourceCanary, SourceProgress, encode_key,
    partition_for_key,
};
use window::WindowSet;
use wire::{Encoder, SchemaName};

use crate::community_events::{Event, QUEUES};
use crate::scripts::EVENTS_MAX;
use crate::stages::{
    self, ITEMS_MAX, NOW, PARKED_MAX, PARTITIONS, RAW_PARTITIONS, RAW_TOPICS, balanced, check_size, ledger_of, shown,
};

/// A record of one of the inputs.
#[derive(Debug, Clone)]
struct Kept {
    at: InputPartition,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// The changelog as compaction leaves it: by partition and key, when it was written and what.
pub(crate) type Changelog = BTreeMap<(i32, Vec<u8>), (u64, Vec<u8>)>;

/// The stage with its owner.
pub(crate) struct Side {
    stage: CommunityStage,
    windows: WindowSet,
    encoders: Encoders,
    now: EpochMs,
    raw_partitions: i32,
    positions: BTreeMap<InputPartition, i64>,
    committed: BTreeMap<InputPartition, i64>,
    /// What was read since the last commit: it is read again after a crash.
    read: Vec<Kept>,
    outputs: Outputs,
    uncommitted: Vec<(i32, Vec<u8>, Option<Vec<u8>>)>,
    pub(crate) changelog: Changelog,
    written: u64,
    /// The last revision of each row, as of now and as of the last commit.
    revisions: BTreeMap<Vec<u8>, i64>,
    committed_revisions: BTreeMap<Vec<u8>, i64>,
    given: BTreeMap<InputPartition, u64>,
}

struct Encoders {
    classified: Encoder,
    correction: Encoder,
    action: Encoder,
}

/// Whether the community stage is fed anything by which it breaks a promise. The first byte says by which windows.
pub fn community_stage(bytes: &[u8]) {
    run(bytes);
}

/// The same; what it leaves in the changelog.
pub(crate) fn run(bytes: &[u8]) -> Changelog {
    let Some((&first, rest)) = bytes.split_first() else { return Changelog::new() };
    let mut side = Side::new(stages::windows(first % 4 != 0));
    let mut input = Unstructured::new(rest);
    for _ in 0..EVENTS_MAX {
        if input.is_empty() {
            break;
        }
        let Ok(event) = Event::arbitrary(&mut input) else { break };
        side.happen(&event);
    }
    side.commit();
    side.crash();
    side.commit();
    side.changelog
}

impl Side {
    fn new(windows: WindowSet) -> Side {
        let places = (0..CommunityStage::INPUTS)
            .flat_map(|input| (0..PARTITIONS).map(move |p| InputPartition { input, partition: p }));
        let mut side = Side {
            stage: stages::community_stage(windows.clone()),
            windows,
            encoders: Encoders {
                classified: Encoder::single_object(SchemaName::Classified),
                correction: Encoder::single_object(SchemaName::Correction),
                action: Encoder::single_object(SchemaName::Action),
            },
            now: NOW,
            raw_partitions: RAW_PARTITIONS,
            positions: BTreeMap::new(),
            committed: places.map(|at| (at, 0)).collect(),
            read: Vec::new(),
            outputs: Outputs::default(),
            uncommitted: Vec::new(),
            changelog: Changelog::new(),
            written: 0,
            revisions: BTreeMap::new(),
            committed_revisions: BTreeMap::new(),
            given: BTreeMap::new(),
        };
        side.come_up();
        side
    }

    fn happen(&mut self, event: &Event<'_>) {
        let now = self.now;
        match event {
            Event::Said(said) => {
                let record = ClassifiedRecord::ClassifiedInteraction(said.record(now));
                let value = encoded(&mut self.encoders.classified, &record);
                self.give_by_community(0, &said.meant.community.text(), value);
            }
            Event::Correction { meant, label, queue, at } => {
                let correction = Correction {
                    community_id: Cow::Owned(meant.community.text()),
                    kind: meant.kind(),
                    id: Cow::Owned(meant.id.text()),
                    label: label.map(|label| Label::ALL[usize::from(label) % Label::ALL.len()]),
                    queue: queue.map(|queue| Cow::Borrowed(QUEUES[usize::from(queue) % QUEUES.len()])),
                    by: Cow::Borrowed("sari"),
                    at: at.at(now),
                    reason: None,
                };
                let value = encoded(&mut self.encoders.correction, &correction);
                self.give_by_community(CommunityStage::CORRECTIONS, &meant.community.text(), value);
            }
            Event::Act { act, at, by } => {
                let (kind, target, community) = act.meaning(now);
                let action = Action {
                    kind: Cow::Owned(kind),
                    target: Cow::Owned(target),
                    by: Cow::Owned(format!("r-{}", by % 3)),
                    at: at.at(now),
                    until: act.until(now),
                    reason: Some(Cow::Borrowed("festival")),
                };
                let value = encoded(&mut self.encoders.action, &action);
                self.give_by_community(CommunityStage::ACTIONS, &community, value);
            }
            Event::Marker { partition, at, stands, canary } => {
                let sources = stands.iter().take(8).map(|stand| SourceProgress {
                    topic: Cow::Borrowed(stand.source.topic()),
                    partition: stand.source.partition(),
                    position: i64::from(stand.source.offset),
                    largest_event_time: stand.largest.map(|largest| largest.at(now)),
                    caught_up: stand.is_caught_up,
                    grown_since: None,
                });
                let canaries = canary.iter().map(|(source, sent)| SourceCanary {
                    topic: Cow::Borrowed(source.topic()),
                    partition: source.partition(),
                    offset: i64::from(source.offset),
                    id: Cow::Borrowed("round"),
                    sent_at: sent.at(now),
                });
                let progress = Progress { at: at.at(now), sources: sources.collect(), canaries: canaries.collect() };
                self.mark(i32::from(*partition) % PARTITIONS, progress);
            }
            Event::CaughtUp { largest } => {
                let topics =
                    RAW_TOPICS.into_iter().flat_map(|(topic, _)| (0..self.raw_partitions).map(move |p| (topic, p)));
                let sources = topics.map(|(topic, partition)| SourceProgress {
                    topic: Cow::Borrowed(topic),
                    partition,
                    position: 1_000,
                    largest_event_time: Some(largest.at(now)),
                    caught_up: true,
                    grown_since: Some(now),
                });
                let progress = Progress { at: now, sources: sources.collect(), canaries: Vec::new() };
                (0..PARTITIONS).for_each(|partition| self.mark(partition, progress.clone()));
            }
            Event::Bytes { input, partition, key, value } => {
                let at = InputPartition {
                    input: usize::from(*input) % CommunityStage::INPUTS,
                    partition: i32::from(*partition) % PARTITIONS,
                };
                self.give(Kept { at, key: key.map(<[u8]>::to_vec), value: value.map(<[u8]>::to_vec) });
            }
            Event::Clock(forward) => {
                self.now = forward.from(now);
                self.step(Input::Clock(self.now));
            }
            Event::Commit => self.commit(),
            Event::Crash => self.crash(),
            Event::Move { partition } => {
                self.commit();
                let partition = i32::from(*partition) % PARTITIONS;
                let owned: Vec<InputPartition> =
                    self.positions.keys().copied().filter(|at| at.partition == partition).collect();
                self.step(Input::Revoked(&owned));
                self.assign(partition);
            }
            Event::Sources { partitions } => {
                self.raw_partitions = 1 + i32::from(partitions % 4);
                self.know_sources();
            }
        }
    }

    fn mark(&mut self, partition: i32, progress: Progress<'_>) {
        let value = encoded(&mut self.encoders.classified, &ClassifiedRecord::Progress(progress));
        self.give(Kept { at: InputPartition { input: 0, partition }, key: None, value: Some(value) });
    }

    fn give_by_community(&mut self, input: usize, community: &str, value: Vec<u8>) {
        let key = encode_key(&[community]).into_bytes();
        let partition = partition_for_key(&key, PARTITIONS);
        self.give(Kept { at: InputPartition { input, partition }, key: Some(key), value: Some(value) });
    }

    fn give(&mut self, kept: Kept) {
        let offset = self.positions[&kept.at];
        let record = InputRecord {
            from: kept.at,
            offset,
            timestamp: Some(self.now),
            key: kept.key.as_deref(),
            value: kept.value.as_deref(),
            headers: InputHeaders::default(),
        };
        assert!(self.step(Input::Record(record)) == Step::Done, "a record is not taken in");
        self.positions.insert(kept.at, offset + 1);
        let given = self.given.entry(kept.at).or_default();
        *given += 1;
        let ledger = ledger_of(&self.stage, kept.at).expect("an owned partition has a ledger");
        assert!(ledger.consumed() == *given, "{} records consumed of {given}", ledger.consumed());
        balanced(&self.stage);
        self.read.push(kept);
    }

    pub(crate) fn commit(&mut self) {
        for turn in 0.. {
            assert!(turn < 10_000, "a flush has no end");
            if self.step(Input::Flush) == Step::Done {
                break;
            }
        }
        for status in self.stage.status() {
            assert!(status.items <= ITEMS_MAX, "{} items are kept of {ITEMS_MAX}", status.items);
            assert!(status.parked <= PARKED_MAX, "{} are parked of {PARKED_MAX}", status.parked);
        }
        self.stage.take_latency_samples(&mut |sample| assert!(sample.weight > 0));
        for (partition, key, value) in std::mem::take(&mut self.uncommitted) {
            self.written += 1;
            match value {
                Some(value) => self.changelog.insert((partition, key), (self.written, value)),
                None => self.changelog.remove(&(partition, key)),
            };
        }
        self.committed = self.positions.clone();
        self.committed_revisions = self.revisions.clone();
        self.read.clear();
    }

    /// What is not committed is lost, and read again.
    fn crash(&mut self) {
        self.uncommitted.clear();
        self.revisions = self.committed_revisions.clone();
        self.stage = stages::community_stage(self.windows.clone());
        self.come_up();
        for kept in std::mem::take(&mut self.read) {
            self.give(kept);
        }
    }

    fn come_up(&mut self) {
        self.step(Input::Clock(self.now));
        let outputs = [None, None, None, Some(PARTITIONS), None, Some(1)];
        self.step(Input::Topology { inputs: &[PARTITIONS; CommunityStage::INPUTS], outputs: &outputs });
        self.know_sources();
        (0..PARTITIONS).for_each(|partition| self.assign(partition));
    }

    fn know_sources(&mut self) {
        let partitions = self.raw_partitions;
        self.step(Input::Sources(&RAW_TOPICS.map(|(topic, _)| (topic.to_owned(), partitions))));
    }

    /// A partition comes, with its changelog.
    fn assign(&mut self, partition: i32) {
        let positions: Vec<(InputPartition, i64)> = self
            .committed
            .iter()
            .map(|(&at, &position)| (at, position))
            .filter(|(at, _)| at.partition == partition)
            .collect();
        self.step(Input::Assigned(&positions));
        let of_partition = self.changelog.iter().filter(|((number, _), _)| *number == partition);
        let mut entries: Vec<(u64, Vec<u8>, Vec<u8>)> =
            of_partition.map(|((_, key), (written, value))| (*written, key.clone(), value.clone())).collect();
        // As a log is read.
        entries.sort_unstable();
        for (_, key, value) in &entries {
            self.step(Input::Restore { partition, key, value: Some(value) });
        }
        self.step(Input::Restored { partition });
        for (at, position) in positions {
            let recorded = self.stage.recorded_position(at);
            assert!(position == 0 || recorded == Some(position), "{recorded:?} is recorded of {position}");
            self.positions.insert(at, position);
            self.given.insert(at, 0);
        }
    }

    fn step(&mut self, input: Input<'_>) -> Step {
        let mut outputs = std::mem::take(&mut self.outputs);
        outputs.clear();
        let step = self.stage.step(input, &mut outputs).expect("no input stops the stage");
        for record in outputs.records() {
            check_size(&record, CommunityStage::DEAD_LETTERS);
            let key = record.key.map(<[u8]>::to_vec).unwrap_or_default();
            match (record.output, record.value) {
                (CommunityStage::METRICS, value) => self.check_row(key, value.expect("a row is not null")),
                (CommunityStage::QUEUE_STATE, Some(value)) => {
                    let item = shown(SchemaName::QueueItem, value);
                    assert!(item["reopened"].as_i64() >= Some(0), "reopened {} times", item["reopened"]);
                }
                (CommunityStage::ALERTS, Some(value)) => {
                    let alert = shown(SchemaName::Alert, value);
                    assert!(alert["transition"].as_i64() >= Some(1), "transition {}", alert["transition"]);
                    assert!(alert["observed"].as_f64().is_some_and(f64::is_finite), "observed {}", alert["observed"]);
                }
                (CommunityStage::CHANGELOG, value) => {
                    let partition = record.partition.expect("an entry names its partition");
                    self.uncommitted.push((partition, key, value.map(<[u8]>::to_vec)));
                }
                _ => {}
            }
        }
        self.outputs = outputs;
        step
    }

    /// A row is whole: what it counts is not negative and adds up, and it is newer than the one before.
    fn check_row(&mut self, key: Vec<u8>, value: &[u8]) {
        let row = shown(SchemaName::CommunityMetrics, value);
        let count = |field: &str| row[field].as_i64().unwrap_or_else(|| panic!("{field} is {}", row[field]));
        let sum = |fields: &[&str]| -> i64 { fields.iter().map(|field| count(field)).sum() };
        let labels = ["complaints", "tips", "experiences", "praises", "others"];
        let directions = [
            "member_to_brand",
            "brand_to_member",
            "member_to_member",
            "brand_to_all",
            "member_to_all",
            "direction_unknown",
        ];
        let counts = [
            "with_text",
            "with_photo",
            "with_video",
            "with_article",
            "with_unknown_media",
            "abstained",
            "late",
            "missed",
        ];
        let all = labels.iter().chain(&directions).chain(&counts).chain(&["interactions", "posts", "comments"]);
        for field in all {
            assert!(count(field) >= 0, "{field} is {}", row[*field]);
        }
        let interactions = count("interactions");
        assert!(sum(&labels) == interactions, "labels do not add up: {row}");
        assert!(sum(&directions) == interactions, "directions do not add up: {row}");
        assert!(sum(&["posts", "comments"]) == interactions, "kinds do not add up: {row}");
        for field in ["distinct_members", "new_members", "returning_members", "first_responses", "open_complaints"] {
            assert!(row[field].as_i64().is_none_or(|count| count >= 0), "{field} is {}", row[field]);
        }
        for field in ["oldest_open_complaint_ms", "first_response_ms_p50", "first_response_ms_p90"] {
            assert!(row[field].as_i64().is_none_or(|ms| ms >= 0), "{field} is {}", row[field]);
        }
        let revision = count("revision");
        let before = self.revisions.insert(key, revision);
        assert!(before.is_none_or(|before| before < revision), "revision {revision} after {before:?}");
    }
}

fn encoded<T: serde::Serialize>(encoder: &mut Encoder, value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encoder.encode(value, &mut bytes).expect("a record of ours can be written");
    bytes
}
