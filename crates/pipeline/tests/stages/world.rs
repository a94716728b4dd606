//! A Kafka of the simplest kind around the two stages: topics are lists, a transaction is a copy.

use std::collections::BTreeMap;

use ::classify::Classifier;
use pipeline::{
    CanarySeal, Cascade, ClassifyEncoders, ClassifySettings, ClassifyStage, CommunityEncoders, CommunitySettings,
    CommunityStage, KeyFormat, Pseudonym,
};
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage, Step};
use record::{Action, Author, Correction, EpochMs, Interaction, Kind, Language, Ledger, Role, partition_for_key};
use rules::alerts::AlertRules;
use rules::{
    Communities, CommunitySpec, Conditions, Live, LiveCommunities, QueueSpec, Routing, RuleSpec, Sla, SlaClock,
};
use serde_json::Value;
use window::WindowSet;
use wire::{
    ActionDecoder, ClassifiedDecoder, CorrectionDecoder, Encoder, Framing, GenericSchema, RawDecoder, RawEncoder,
    RawFormat, SchemaName,
};

pub(crate) const NOW: EpochMs = 1_795_482_000_000;
pub(crate) const RAW_BYTES_MAX: usize = 1_048_576;
/// Most communities of a partition.
pub(crate) const COMMUNITIES_MAX: usize = 2_000;
/// A text in two languages.
pub(crate) const MIXED: &str =
    "Aplikasinya error terus dari kemarin, I have tried everything and nobody has answered my emails";

/// A record on a topic of this little Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: BTreeMap<String, String>,
}

pub(crate) fn keep(outputs: &Outputs) -> Vec<(usize, Kept)> {
    let records = outputs.records().map(|record| {
        let headers =
            record.headers().map(|(name, value)| (name.to_owned(), String::from_utf8_lossy(value).into_owned()));
        let kept = Kept {
            partition: record.partition,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: headers.collect(),
        };
        (record.output, kept)
    });
    records.collect()
}

pub(crate) fn classify_stage(format: RawFormat, framing: Framing, key_format: KeyFormat) -> ClassifyStage {
    classify_stage_with(format, framing, key_format, None)
}

pub(crate) fn classify_stage_with(
    format: RawFormat,
    framing: Framing,
    key_format: KeyFormat,
    cascade: Option<Cascade>,
) -> ClassifyStage {
    ClassifyStage::new(classify_settings(format, framing, key_format, cascade))
}

pub(crate) fn classify_settings(
    format: RawFormat,
    framing: Framing,
    key_format: KeyFormat,
    cascade: Option<Cascade>,
) -> ClassifySettings {
    ClassifySettings {
        inputs: vec![("posts".into(), Kind::Post), ("comments".into(), Kind::Comment)],
        decoder: RawDecoder::new(format, framing, RAW_BYTES_MAX),
        encoders: ClassifyEncoders {
            classified: Encoder::single_object(SchemaName::Classified),
            classified_before: None,
            queue_item: Encoder::single_object(SchemaName::QueueItem),
        },
        classifier: Classifier::embedded(),
        cascade,
        routing: Live::new(Routing::standard().with_rules(rules()).unwrap()),
        communities: LiveCommunities::default(),
        pseudonym: Pseudonym::new(b"a secret for the tests", 1).unwrap(),
        previous_pseudonym: None,
        canary_seal: CanarySeal::new(b"a secret for the tests"),
        key_format,
        future_ms_max: 300_000,
        dead_letter_value_bytes_max: RAW_BYTES_MAX,
        keep_text: true,
        redactor: pipeline::Redactor::new(pipeline::Personal::ALL),
    }
}

pub(crate) fn community_stage(windows: WindowSet, ids_max: usize, state_version: Option<u8>) -> CommunityStage {
    CommunityStage::new(CommunitySettings {
        classified_topic: "classified".into(),
        decoder: ClassifiedDecoder::new(Framing::SingleObject),
        corrections_topic: "corrections".into(),
        corrections_decoder: CorrectionDecoder::new(Framing::SingleObject),
        actions_topic: "actions".into(),
        actions_decoder: ActionDecoder::new(Framing::SingleObject),
        encoders: CommunityEncoders {
            metrics: Encoder::single_object(SchemaName::CommunityMetrics),
            queue_item: Encoder::single_object(SchemaName::QueueItem),
            alert: Encoder::single_object(SchemaName::Alert),
            canary: Some(Encoder::single_object(SchemaName::Canary)),
        },
        windows,
        routing: Live::new(routing()),
        communities: communities(),
        alert_rules: Live::new(alert_rules()),
        disorder_ms: 10_000,
        hold_ms_max: 300_000,
        ids_max,
        communities_max: COMMUNITIES_MAX,
        members_max: 1_000_000,
        parked_max: 100,
        items_max: 1_000_000,
        keep_closed_ms: 3 * 86_400_000,
        expire_ms: 8 * 86_400_000 - 3_600_000,
        claim_ms: 1_800_000,
        auto_replies: vec!["silakan DM".to_owned()],
        remember_ms: 30 * 86_400_000,
        future_ms_max: 300_000,
        dead_letter_value_bytes_max: RAW_BYTES_MAX,
        changelog: true,
        state_version,
    })
}

/// The standard rules, which need no week of history here.
fn alert_rules() -> AlertRules {
    let mut rules = AlertRules { warm_up_ms: 3_600_000, ..AlertRules::default() };
    rules.overdue.hold_ms = 0;
    rules
}

/// The standard queues; a complaint is to be answered within an hour.
fn routing() -> Routing {
    let mut queues: Vec<QueueSpec> = Routing::standard().queues().iter().map(|queue| queue.spec.clone()).collect();
    queues[0].sla = Sla::new(60, SlaClock::Always);
    Routing::new(queues).unwrap().with_rules(rules()).unwrap()
}

/// Of communities that few tests have.
fn rules() -> Vec<RuleSpec> {
    let rule = |community: &str, queue: &str, when: Conditions| RuleSpec {
        name: community.to_owned(),
        when: Conditions { communities: [community.to_owned()].into(), ..when },
        queue: queue.to_owned(),
        department: None,
        sla: None,
    };
    let branch = rule("warga-depok", "tip", Conditions::default());
    vec![
        RuleSpec { department: Some("depok desk".to_owned()), sla: Sla::new(30, SlaClock::Always), ..branch },
        rule("kampung", "praise", Conditions { languages: vec![Language::Indonesian], ..Conditions::default() }),
        rule("ragu", "review", Conditions { confidence_below: Some(1.0), ..Conditions::default() }),
    ]
}

/// One that a department owns.
fn communities() -> LiveCommunities {
    let owned = CommunitySpec {
        id: "warga-bogor".to_owned(),
        department: Some("bogor branch".to_owned()),
        ..CommunitySpec::default()
    };
    LiveCommunities::new(Communities::new(&CommunitySpec::default(), &[owned]).unwrap())
}

pub(crate) fn post(id: &str, community: &str, created_at: EpochMs, text: &str) -> Interaction<'static> {
    Interaction {
        kind: Kind::Post,
        id: id.to_owned().into(),
        community_id: community.to_owned().into(),
        author: Some(Author { id: "u-1".into(), handle: None, role: Role::Member, followers: Some(7), verified: None }),
        created_at,
        observed_at: created_at,
        edited_at: None,
        deleted: false,
        text: text.to_owned().into(),
        media: Vec::new(),
        url: None,
        language_hint: None,
        post_id: None,
        parent_id: None,
        post_author: None,
        parent_author: None,
        mentions: Vec::new(),
    }
}

pub(crate) fn avro(interaction: &Interaction<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    RawEncoder::single_object().encode(interaction, &mut bytes).unwrap();
    bytes
}

/// Decodes a framed value of ours.
pub(crate) fn decoded(name: SchemaName, value: &[u8]) -> Value {
    GenericSchema::parse(name.text()).unwrap().to_json(&value[10..]).unwrap()
}

/// A replica of the classify stage and the raw partitions that it owns.
pub(crate) struct ClassifySide {
    pub(crate) stage: ClassifyStage,
    /// The next offset of each.
    pub(crate) positions: BTreeMap<InputPartition, i64>,
}

impl ClassifySide {
    pub(crate) fn new(owned: impl IntoIterator<Item = InputPartition>) -> ClassifySide {
        ClassifySide::with(classify_settings(RawFormat::Avro, Framing::SingleObject, KeyFormat::None, None), owned)
    }

    pub(crate) fn with(settings: ClassifySettings, owned: impl IntoIterator<Item = InputPartition>) -> ClassifySide {
        let mut side = ClassifySide { stage: ClassifyStage::new(settings), positions: BTreeMap::new() };
        side.step(Input::Topology { inputs: &[2, 2], outputs: &[Some(3)] });
        for at in owned {
            side.own(at, 0);
        }
        side
    }

    pub(crate) fn own(&mut self, at: InputPartition, position: i64) {
        self.positions.insert(at, position);
        self.step(Input::Assigned(&[(at, position)]));
    }

    /// The next record of a partition.
    pub(crate) fn raw(&mut self, from: InputPartition, value: &[u8], now: EpochMs) -> Vec<(usize, Kept)> {
        self.keyed(from, None, value, None, now)
    }

    /// The same with a key, and what a canary's header says.
    pub(crate) fn keyed(
        &mut self,
        from: InputPartition,
        key: Option<&[u8]>,
        value: &[u8],
        canary: Option<&str>,
        now: EpochMs,
    ) -> Vec<(usize, Kept)> {
        let offset = self.positions[&from];
        self.positions.insert(from, offset + 1);
        let show = |see: &mut dyn FnMut(&str, &[u8])| {
            see("traceparent", b"00");
            canary.iter().for_each(|canary| see(record::header::CANARY, canary.as_bytes()));
        };
        let headers = InputHeaders::read_by(&show);
        let record = InputRecord { from, offset, timestamp: Some(now), key, value: Some(value), headers };
        self.step(Input::Clock(now));
        self.step(Input::Record(record))
    }

    /// What became of everything read.
    pub(crate) fn ledger(&self) -> Ledger {
        let mut sum = Ledger::default();
        self.stage.ledgers(&mut |_, ledger| {
            assert!(ledger.is_balanced(), "{ledger:?}");
            sum.add(ledger);
        });
        sum
    }

    /// The end of every partition is reached, and a commit follows.
    pub(crate) fn settle(&mut self, now: EpochMs) -> Vec<(usize, Kept)> {
        self.step(Input::Clock(now));
        for (at, position) in self.positions.clone() {
            self.step(Input::EndOfPartition(at, position));
        }
        self.step(Input::Flush)
    }

    pub(crate) fn step(&mut self, input: Input<'_>) -> Vec<(usize, Kept)> {
        let mut outputs = Outputs::default();
        self.stage.step(input, &mut outputs).unwrap();
        keep(&outputs)
    }
}

/// Everything that a community stage leaves behind on compacted topics.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Left {
    pub(crate) rows: BTreeMap<String, Value>,
    pub(crate) queue_states: BTreeMap<String, Value>,
    /// How many rows told of them.
    pub(crate) told: usize,
    /// What compaction leaves of it: the last value of each key, and when it was written.
    pub(crate) changelog: BTreeMap<(i32, Vec<u8>), (u64, Vec<u8>)>,
    written: u64,
    /// Rows of alerts by id, and every state that each had.
    pub(crate) alerts: BTreeMap<String, Value>,
    pub(crate) alert_states: Vec<(String, String)>,
    pub(crate) dead_letters: usize,
    pub(crate) emitted: usize,
    /// Canaries that came through, by key.
    pub(crate) canaries: Vec<(String, Value)>,
}

impl Left {
    pub(crate) fn forget_changelog(&mut self) {
        self.changelog.clear();
        self.written = 0;
    }

    fn take(&mut self, outputs: &[(usize, Kept)]) {
        for (output, kept) in outputs {
            let key = || String::from_utf8(kept.key.clone().unwrap()).unwrap();
            match *output {
                CommunityStage::METRICS => {
                    self.emitted += 1;
                    let mut row = decoded(SchemaName::CommunityMetrics, kept.value.as_ref().unwrap());
                    if let Some(before) = self.rows.get(&key()) {
                        assert!(before["revision"].as_i64() < row["revision"].as_i64(), "{before} then {row}");
                    }
                    row["emitted_at"] = Value::Null;
                    self.rows.insert(key(), row);
                }
                CommunityStage::QUEUE_STATE => match &kept.value {
                    Some(value) => {
                        let mut item = decoded(SchemaName::QueueItem, value);
                        item["updated_at"] = Value::Null;
                        self.told += 1;
                        self.queue_states.insert(key(), item);
                    }
                    None => {
                        self.queue_states.remove(&key());
                    }
                },
                CommunityStage::DEAD_LETTERS => self.dead_letters += 1,
                CommunityStage::CANARIES => {
                    self.canaries.push((key(), decoded(SchemaName::Canary, kept.value.as_ref().unwrap())));
                }
                CommunityStage::ALERTS => {
                    let Some(value) = &kept.value else {
                        self.alerts.remove(&key());
                        continue;
                    };
                    let row = decoded(SchemaName::Alert, value);
                    let state = row["state"].as_str().unwrap().to_owned();
                    if self.alerts.get(&key()).is_none_or(|before| before["state"] != row["state"]) {
                        self.alert_states.push((key(), state));
                    }
                    self.alerts.insert(key(), row);
                }
                _ => {
                    let place = (kept.partition.unwrap(), kept.key.clone().unwrap());
                    match &kept.value {
                        Some(value) => {
                            self.written += 1;
                            self.changelog.insert(place, (self.written, value.clone()))
                        }
                        None => self.changelog.remove(&place),
                    };
                }
            }
        }
    }
}

/// The classified topic and the community stage that reads it.
pub(crate) struct CommunitySide {
    pub(crate) stage: CommunityStage,
    windows: WindowSet,
    ids_max: usize,
    pub(crate) state_version: Option<u8>,
    partitions: i32,
    /// The raw topics and their partitions.
    sources: Vec<(String, i32)>,
    /// The topics that it reads.
    pub(crate) log: BTreeMap<InputPartition, Vec<Kept>>,
    committed: BTreeMap<InputPartition, i64>,
    positions: BTreeMap<InputPartition, i64>,
    uncommitted: Vec<(usize, Kept)>,
    pub(crate) left: Left,
    pub(crate) now: EpochMs,
    has_canary_topic: bool,
}

impl CommunitySide {
    pub(crate) fn new(windows: WindowSet, ids_max: usize, partitions: i32) -> CommunitySide {
        CommunitySide::with_state_version(windows, ids_max, partitions, None)
    }

    pub(crate) fn with_state_version(
        windows: WindowSet,
        ids_max: usize,
        partitions: i32,
        state_version: Option<u8>,
    ) -> CommunitySide {
        let inputs = 0..CommunityStage::INPUTS;
        let places = inputs.flat_map(|input| (0..partitions).map(move |partition| InputPartition { input, partition }));
        let mut side = CommunitySide {
            stage: community_stage(windows.clone(), ids_max, state_version),
            windows,
            ids_max,
            state_version,
            partitions,
            sources: vec![("posts".to_owned(), 2), ("comments".to_owned(), 2)],
            log: places.clone().map(|at| (at, Vec::new())).collect(),
            committed: places.map(|at| (at, 0)).collect(),
            positions: BTreeMap::new(),
            uncommitted: Vec::new(),
            left: Left::default(),
            now: NOW,
            has_canary_topic: true,
        };
        side.assign();
        side
    }

    /// Appends what the classify stage emitted to the classified topic.
    pub(crate) fn append(&mut self, outputs: &[(usize, Kept)]) {
        for (output, kept) in outputs {
            if *output == ClassifyStage::CLASSIFIED {
                let partition =
                    kept.partition.unwrap_or_else(|| partition_for_key(kept.key.as_ref().unwrap(), self.partitions));
                self.log.get_mut(&InputPartition { input: 0, partition }).unwrap().push(kept.clone());
            }
        }
    }

    /// Appends a correction to its topic.
    pub(crate) fn correct(&mut self, correction: &Correction<'_>) {
        let key = record::encode_key(&[&correction.community_id]).into_bytes();
        let at =
            InputPartition { input: CommunityStage::CORRECTIONS, partition: partition_for_key(&key, self.partitions) };
        let mut value = Vec::new();
        Encoder::single_object(SchemaName::Correction).encode(correction, &mut value).unwrap();
        let kept = Kept { partition: None, key: Some(key), value: Some(value), headers: BTreeMap::new() };
        self.log.get_mut(&at).unwrap().push(kept);
    }

    /// Appends a responder's action to its topic.
    pub(crate) fn act(&mut self, action: &Action<'_>) {
        let parts = record::decode_key(&action.target).unwrap();
        let is_alert = action.kind == "acknowledge_alert" || (action.kind == "erase" && parts.len() == 3);
        let community = parts[usize::from(is_alert)].clone();
        let key = record::encode_key(&[&community]).into_bytes();
        let at = InputPartition { input: CommunityStage::ACTIONS, partition: partition_for_key(&key, self.partitions) };
        let mut value = Vec::new();
        Encoder::single_object(SchemaName::Action).encode(action, &mut value).unwrap();
        let kept = Kept { partition: None, key: Some(key), value: Some(value), headers: BTreeMap::new() };
        self.log.get_mut(&at).unwrap().push(kept);
    }

    /// Reads everything that is there.
    pub(crate) fn read(&mut self) {
        self.clock(self.now);
        let places: Vec<InputPartition> = self.log.keys().copied().collect();
        for at in places {
            while self.positions[&at] < self.log[&at].len() as i64 {
                let offset = self.positions[&at];
                let kept = self.log[&at][offset as usize].clone();
                let record = InputRecord {
                    from: at,
                    offset,
                    timestamp: Some(self.now),
                    key: kept.key.as_deref(),
                    value: kept.value.as_deref(),
                    headers: InputHeaders::default(),
                };
                self.step(Input::Record(record));
                self.positions.insert(at, offset + 1);
            }
        }
    }

    pub(crate) fn clock(&mut self, now: EpochMs) {
        self.now = now;
        self.step(Input::Clock(now));
    }

    /// The raw topics have other partitions now.
    pub(crate) fn know(&mut self, sources: &[(&str, i32)]) {
        self.sources = sources.iter().map(|&(topic, partitions)| (topic.to_owned(), partitions)).collect();
        self.step(Input::Sources(&self.sources.clone()));
    }

    /// There is no topic for canaries any more.
    pub(crate) fn lose_canary_topic(&mut self) {
        self.has_canary_topic = false;
        self.step(Input::Topology { inputs: &[self.partitions; CommunityStage::INPUTS], outputs: &[None; 6] });
    }

    /// Flushes and commits.
    pub(crate) fn commit(&mut self) {
        while self.step(Input::Flush) == Step::More {}
        self.left.take(&std::mem::take(&mut self.uncommitted));
        self.committed = self.positions.clone();
    }

    /// What became of everything read.
    pub(crate) fn ledger(&self) -> Ledger {
        let mut sum = Ledger::default();
        self.stage.ledgers(&mut |_, ledger| {
            assert!(ledger.is_balanced(), "{ledger:?}");
            sum.add(ledger);
        });
        sum
    }

    /// Where event time stands, in the partition that is furthest behind.
    pub(crate) fn watermark(&self) -> Option<EpochMs> {
        self.stage.status().filter_map(|status| status.watermark).min()
    }

    /// Loses everything that is not committed, and comes up again from the changelog.
    pub(crate) fn crash(&mut self) {
        self.uncommitted.clear();
        self.stage = community_stage(self.windows.clone(), self.ids_max, self.state_version);
        self.assign();
    }

    /// Comes up from what another program committed.
    pub(crate) fn resume(&mut self, changelog: &[(i32, Vec<u8>, Vec<u8>)], positions: &BTreeMap<InputPartition, i64>) {
        for (partition, key, value) in changelog {
            self.left.written += 1;
            self.left.changelog.insert((*partition, key.clone()), (self.left.written, value.clone()));
        }
        self.committed.extend(positions);
        self.crash();
    }

    /// The committed positions go back to the beginning; the state stays.
    pub(crate) fn replay(&mut self) {
        self.commit();
        self.positions.values_mut().for_each(|position| *position = 0);
        self.read();
        self.commit();
    }

    fn assign(&mut self) {
        self.positions = self.committed.clone();
        self.clock(self.now);
        let partitions = self.partitions;
        let outputs = [None, None, None, None, None, self.has_canary_topic.then_some(1)];
        self.step(Input::Topology { inputs: &[partitions; CommunityStage::INPUTS], outputs: &outputs });
        self.step(Input::Sources(&self.sources.clone()));
        let positions: Vec<_> = self.committed.iter().map(|(&at, &position)| (at, position)).collect();
        self.step(Input::Assigned(&positions));
        // In the order in which it was written, as a log is read.
        let mut changelog: Vec<_> = self.left.changelog.clone().into_iter().collect();
        changelog.sort_by_key(|(_, (written, _))| *written);
        for ((partition, key), (_, value)) in &changelog {
            self.step(Input::Restore { partition: *partition, key, value: Some(value) });
        }
        for partition in 0..partitions {
            self.step(Input::Restored { partition });
        }
        for (at, position) in positions {
            if position > 0 {
                assert_eq!(self.stage.recorded_position(at), Some(position), "what is committed is recorded");
            }
        }
    }

    fn step(&mut self, input: Input<'_>) -> Step {
        let mut outputs = Outputs::default();
        let step = self.stage.step(input, &mut outputs).unwrap();
        assert!(!matches!(step, Step::NeedsSchema(_)));
        self.uncommitted.extend(keep(&outputs));
        step
    }
}
