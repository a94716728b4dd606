//! The classify stage, fed with what an owner may feed it, and the community stage behind it.
//!
//! Nothing stops it, every record has an outcome, what is classified comes out once and in bounds, personal data does not, and the
//! community stage takes all of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use arbitrary::{Arbitrary, Unstructured};
use pipeline::classify::Probabilities;
use pipeline::{
    CANARY_KEY, Cascade, ClassifyStage, CommunityStage, Personal, Redactor, Sealed, SecondOpinion, canary_interaction,
};
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage, Step};
use record::{Author, ContentKind, EpochMs, Interaction, Label, Media, Outcome, Role, header, partition_for_key};
use wire::{Framing, RawEncoder, RawFormat, SchemaName};

use crate::decoders::registered;
use crate::scripts::{EVENTS_MAX, Forward, Name, When, Words};
use crate::stages::{
    self, NOW, PARTITIONS, RAW_PARTITIONS, RAW_TOPICS, balanced, check_size, ledger_of, seal, shown, windows,
};

/// Partition, key and value of what was written.
type Written = (Option<i32>, Option<Vec<u8>>, Option<Vec<u8>>);

/// How the stage is set up.
#[derive(Debug, Arbitrary)]
struct SetUp {
    format: u8,
    is_rotated: bool,
    has_second_tier: bool,
}

/// A raw partition.
#[derive(Debug, Clone, Copy, Arbitrary)]
struct Place(u8);

impl Place {
    fn at(self) -> InputPartition {
        let partition = i32::from(self.0 / 2) % RAW_PARTITIONS;
        InputPartition { input: usize::from(self.0 % 2), partition }
    }
}

#[derive(Debug, Arbitrary)]
struct Who<'a> {
    id: Name<'a>,
    role: u8,
    followers: Option<i64>,
}

impl Who<'_> {
    fn author(&self) -> Author<'static> {
        let role = [Role::Member, Role::Brand, Role::Moderator, Role::Unknown][usize::from(self.role % 4)];
        let id = Cow::Owned(self.id.text());
        Author { id, handle: Some("budi.s".into()), role, followers: self.followers, verified: Some(true) }
    }
}

/// A raw record that can be read.
#[derive(Debug, Arbitrary)]
struct Raw<'a> {
    id: Name<'a>,
    community: Name<'a>,
    author: Option<Who<'a>>,
    created: When,
    observed: When,
    edited: Option<When>,
    is_deleted: bool,
    words: Words<'a>,
    media: u8,
    url: Option<Words<'a>>,
    post: Option<Name<'a>>,
    parent: Option<Name<'a>>,
    post_author: Option<Who<'a>>,
    parent_author: Option<Who<'a>>,
    mentions: u8,
}

impl Raw<'_> {
    fn interaction(&self, from: InputPartition, now: EpochMs) -> Interaction<'static> {
        let text = |name: &Option<Name<'_>>| name.as_ref().map(|name| Cow::Owned(name.text()));
        let medium = |number: u8| Media {
            kind: ContentKind::ALL[usize::from(number) % ContentKind::ALL.len()],
            url: Some(Cow::Owned(format!("https://contoh.id/{number}"))),
        };
        Interaction {
            kind: RAW_TOPICS[from.input].1,
            id: Cow::Owned(self.id.text()),
            community_id: Cow::Owned(self.community.text()),
            author: self.author.as_ref().map(Who::author),
            created_at: self.created.at(now),
            observed_at: self.observed.at(now),
            edited_at: self.edited.map(|edited| edited.at(now)),
            deleted: self.is_deleted,
            text: Cow::Owned(self.words.text()),
            media: (0..self.media % 40).map(medium).collect(),
            url: self.url.as_ref().map(|words| Cow::Owned(words.text())),
            language_hint: None,
            post_id: text(&self.post),
            parent_id: text(&self.parent),
            post_author: self.post_author.as_ref().map(Who::author),
            parent_author: self.parent_author.as_ref().map(Who::author),
            mentions: (0..self.mentions % 80).map(|number| Cow::Owned(format!("m-{number}"))).collect(),
        }
    }
}

/// What happens.
#[derive(Debug, Arbitrary)]
enum Event<'a> {
    Raw(Place, Box<Raw<'a>>),
    /// Any bytes, with a header of any value.
    Bytes {
        place: Place,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        timestamp: Option<EpochMs>,
        header: &'a [u8],
    },
    /// A null value under a key that names something.
    Retraction {
        place: Place,
        community: Name<'a>,
        id: Name<'a>,
    },
    Canary {
        place: Place,
        round: u8,
        sent: When,
        is_ours: bool,
    },
    Clock(Forward),
    Commit,
    End(Place),
    MoreToRead(Place),
    Revoke(Place),
    Own(Place),
    /// A transaction failed.
    Reset,
    Topology {
        partitions: Option<u8>,
    },
}

/// A second tier that is sure of something else for each text, and now and then does not answer.
#[derive(Debug, Default)]
struct Fickle {
    asked: Vec<u32>,
    turn: u32,
}

impl SecondOpinion for Fickle {
    fn model_version(&self) -> &str {
        "fickle-1"
    }

    fn submit(&mut self, ticket: u32, _text: &str, _urgency: u32) -> bool {
        self.turn += 1;
        let is_taken = !self.turn.is_multiple_of(7);
        if is_taken {
            self.asked.push(ticket);
        }
        is_taken
    }

    fn collect(&mut self, see: &mut dyn FnMut(u32, Probabilities)) {
        for ticket in self.asked.drain(..) {
            let mut answer = [0.01; Label::ALL.len()];
            answer[ticket as usize % Label::ALL.len()] = if ticket % 11 == 10 { f32::NAN } else { 0.96 };
            if ticket % 5 != 4 {
                see(ticket, answer);
            }
        }
    }

    fn forget(&mut self) {
        self.asked.clear();
    }
}

/// The stage with its owner.
struct Side {
    stage: ClassifyStage,
    encoder: RawEncoder,
    now: EpochMs,
    /// The next offsets of what is owned, as of now and as of the last commit.
    positions: BTreeMap<InputPartition, i64>,
    committed: BTreeMap<InputPartition, i64>,
    /// Where partitions stand that nobody owns.
    left: BTreeMap<InputPartition, i64>,
    /// Records given since each partition was assigned.
    given: BTreeMap<InputPartition, u64>,
    /// Since the last commit: records said to be classified, and those that came out.
    classified: u64,
    emitted: u64,
    uncommitted: Vec<Written>,
    behind: Behind,
}

/// Whether the classify stage is fed anything by which it breaks a promise.
pub fn classify_stage(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let Ok(set_up) = SetUp::arbitrary(&mut input) else { return };
    let mut side = Side::new(&set_up);
    for _ in 0..EVENTS_MAX {
        if input.is_empty() {
            break;
        }
        let Ok(event) = Event::arbitrary(&mut input) else { break };
        side.happen(&event);
    }
    side.commit();
    side.behind.finish();
}

impl Side {
    fn new(set_up: &SetUp) -> Side {
        let (format, framing, encoder) = match set_up.format % 3 {
            0 => (RawFormat::Avro, Framing::SingleObject, RawEncoder::single_object()),
            1 => (RawFormat::Avro, Framing::Confluent, RawEncoder::confluent(1, 2)),
            _ => (RawFormat::Json, Framing::SingleObject, RawEncoder::Json),
        };
        let cascade = set_up.has_second_tier.then(|| Cascade {
            opinion: Box::new(Fickle::default()),
            ask_below: 2.0,
            share_max: 1.0,
            thresholds: [0.6; Label::ALL.len()],
        });
        let mut side = Side {
            stage: stages::classify_stage(format, framing, set_up.is_rotated, cascade),
            encoder,
            now: NOW,
            positions: BTreeMap::new(),
            committed: BTreeMap::new(),
            left: BTreeMap::new(),
            given: BTreeMap::new(),
            classified: 0,
            emitted: 0,
            uncommitted: Vec::new(),
            behind: Behind::new(),
        };
        side.step(Input::Topology { inputs: &[RAW_PARTITIONS; 2], outputs: &[Some(PARTITIONS)] });
        side.step(Input::Clock(NOW));
        side.own(Place(0).at());
        side.own(Place(1).at());
        side
    }

    fn happen(&mut self, event: &Event<'_>) {
        let now = self.now;
        match event {
            Event::Raw(place, raw) => {
                let mut value = Vec::new();
                let interaction = raw.interaction(place.at(), now);
                self.encoder.encode(&interaction, &mut value).expect("an interaction can be written");
                self.give(place.at(), None, Some(&value), Some(now), None);
            }
            Event::Bytes { place, key, value, timestamp, header } => {
                self.give(place.at(), *key, *value, *timestamp, Some(header));
            }
            Event::Retraction { place, community, id } => {
                let kind = RAW_TOPICS[place.at().input].1.as_str();
                let key = record::encode_key(&[&community.text(), kind, &id.text()]);
                self.give(place.at(), Some(key.as_bytes()), None, Some(now), None);
            }
            Event::Canary { place, round, sent, is_ours } => {
                let (at, sent_at) = (place.at(), sent.at(now));
                let (topic, kind) = RAW_TOPICS[at.input];
                let mut value = Vec::new();
                let interaction = canary_interaction(kind, topic, at.partition, sent_at);
                self.encoder.encode(&interaction, &mut value).expect("a canary can be written");
                let partition = if *is_ours { at.partition } else { 7 };
                let sealed = Sealed { topic, partition, key: CANARY_KEY, value: &value };
                let header = seal().expect("the secret is long enough").header(&format!("r{round}"), sent_at, sealed);
                self.give(at, Some(CANARY_KEY), Some(&value), Some(now), Some(header.as_bytes()));
            }
            Event::Clock(forward) => {
                self.now = forward.from(now);
                self.behind.now = self.behind.now.max(self.now);
                self.step(Input::Clock(self.now));
            }
            Event::Commit => self.commit(),
            Event::End(place) => {
                if let Some(&position) = self.positions.get(&place.at()) {
                    self.step(Input::EndOfPartition(place.at(), position));
                }
            }
            Event::MoreToRead(place) => {
                if self.positions.contains_key(&place.at()) {
                    self.step(Input::MoreToRead(&[place.at()]));
                }
            }
            Event::Revoke(place) => {
                // Owners commit before they let go.
                self.commit();
                let at = place.at();
                if let Some(position) = self.positions.remove(&at) {
                    self.left.insert(at, position);
                    self.committed.remove(&at);
                    self.given.remove(&at);
                    self.step(Input::Revoked(&[at]));
                }
            }
            Event::Own(place) => self.own(place.at()),
            Event::Reset => {
                let owned: Vec<InputPartition> = self.positions.keys().copied().collect();
                self.step(Input::Lost(&owned));
                self.uncommitted.clear();
                (self.classified, self.emitted) = (0, 0);
                self.positions = self.committed.clone();
                for (at, position) in self.positions.clone() {
                    self.given.insert(at, 0);
                    self.step(Input::Assigned(&[(at, position)]));
                }
            }
            Event::Topology { partitions } => {
                let known = [partitions.map(|_| PARTITIONS)];
                self.step(Input::Topology { inputs: &[RAW_PARTITIONS; 2], outputs: &known });
            }
        }
    }

    fn own(&mut self, at: InputPartition) {
        if self.positions.contains_key(&at) {
            return;
        }
        let position = self.left.remove(&at).unwrap_or(0);
        self.positions.insert(at, position);
        self.committed.insert(at, position);
        self.given.insert(at, 0);
        self.step(Input::Assigned(&[(at, position)]));
    }

    fn give(
        &mut self,
        from: InputPartition,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        timestamp: Option<EpochMs>,
        canary: Option<&[u8]>,
    ) {
        let Some(&offset) = self.positions.get(&from) else { return };
        let show = |see: &mut dyn FnMut(&str, &[u8])| {
            see("traceparent", b"00");
            canary.iter().for_each(|canary| see(header::CANARY, canary));
        };
        let headers = InputHeaders::read_by(&show);
        let record = InputRecord { from, offset, timestamp, key, value, headers };
        let classified = |stage: &ClassifyStage| ledger_of(stage, from).map_or(0, |l| l.count(Outcome::Classified));
        let before = classified(&self.stage);
        let mut step = self.step(Input::Record(record));
        if let Step::NeedsSchema(id) = step {
            self.step(Input::Schema { id, lookup: registered(id) });
            step = self.step(Input::Record(record));
        }
        assert!(step == Step::Done, "a record is not taken in after its schema was looked up");
        self.classified += classified(&self.stage) - before;
        self.positions.insert(from, offset + 1);
        let given = self.given.entry(from).or_default();
        *given += 1;
        let ledger = ledger_of(&self.stage, from).expect("an owned partition has a ledger");
        assert!(ledger.consumed() == *given, "{} records consumed of {given}", ledger.consumed());
        balanced(&self.stage);
    }

    fn commit(&mut self) {
        for turn in 0.. {
            assert!(turn < 1_000, "a flush has no end");
            if self.step(Input::Flush) == Step::Done {
                break;
            }
        }
        assert!(self.emitted == self.classified, "{} classified, {} came out", self.classified, self.emitted);
        (self.classified, self.emitted) = (0, 0);
        self.stage.take_latency_samples(&mut |sample| assert!(sample.weight > 0));
        self.committed = self.positions.clone();
        self.behind.take(std::mem::take(&mut self.uncommitted));
    }

    fn step(&mut self, input: Input<'_>) -> Step {
        let mut outputs = Outputs::default();
        let step = self.stage.step(input, &mut outputs).expect("no input stops the stage");
        for record in outputs.records() {
            check_size(&record, ClassifyStage::DEAD_LETTERS);
            if record.output == ClassifyStage::DEAD_LETTERS {
                continue;
            }
            let value = record.value.expect("nothing but dead letters is null");
            let is_item = record.output >= ClassifyStage::FIRST_QUEUE;
            let text = if is_item {
                shown(SchemaName::QueueItem, value)["text"].as_str().map(str::to_owned)
            } else {
                self.emitted += u64::from(record.key.is_some());
                let (partition, key) = (record.partition, record.key.map(<[u8]>::to_vec));
                self.uncommitted.push((partition, key, Some(value.to_vec())));
                None
            };
            if let Some(text) = text {
                assert!(Redactor::new(Personal::ALL).redact(&text).is_none(), "personal data goes on");
            }
        }
        step
    }
}

/// The community stage that reads what comes out.
struct Behind {
    stage: CommunityStage,
    /// Its clock is not put back: what was right when it was classified is right here.
    now: EpochMs,
    offsets: [i64; PARTITIONS as usize],
}

impl Behind {
    fn new() -> Behind {
        let mut behind =
            Behind { stage: stages::community_stage(windows(true)), now: NOW, offsets: [0; PARTITIONS as usize] };
        behind.step(Input::Clock(NOW));
        let outputs = [None, None, None, Some(PARTITIONS), None, Some(1)];
        behind.step(Input::Topology { inputs: &[PARTITIONS; CommunityStage::INPUTS], outputs: &outputs });
        let sources = RAW_TOPICS.map(|(topic, _)| (topic.to_owned(), RAW_PARTITIONS));
        behind.step(Input::Sources(&sources));
        for partition in 0..PARTITIONS {
            let inputs = 0..CommunityStage::INPUTS;
            let owned: Vec<_> = inputs.map(|input| (InputPartition { input, partition }, 0)).collect();
            behind.step(Input::Assigned(&owned));
            behind.step(Input::Restored { partition });
        }
        behind
    }

    /// Reads what was committed: all of it is taken.
    fn take(&mut self, records: Vec<Written>) {
        self.step(Input::Clock(self.now));
        for (partition, key, value) in records {
            let by_key = || key.as_deref().map_or(0, |key| partition_for_key(key, PARTITIONS));
            let partition = partition.unwrap_or_else(by_key);
            let from = InputPartition { input: 0, partition };
            let offset = self.offsets[partition as usize];
            self.offsets[partition as usize] += 1;
            let (key, value, headers) = (key.as_deref(), value.as_deref(), InputHeaders::default());
            let record = InputRecord { from, offset, timestamp: Some(self.now), key, value, headers };
            assert!(self.step(Input::Record(record)) == Step::Done);
        }
        balanced(&self.stage);
    }

    fn finish(&mut self) {
        self.step(Input::Clock(self.now + 60_000));
        for turn in 0.. {
            assert!(turn < 1_000, "a flush has no end");
            if self.step(Input::Flush) == Step::Done {
                break;
            }
        }
    }

    fn step(&mut self, input: Input<'_>) -> Step {
        let mut outputs = Outputs::default();
        let step = self.stage.step(input, &mut outputs).expect("no input stops the stage");
        for record in outputs.records() {
            check_size(&record, CommunityStage::DEAD_LETTERS);
            let said = || record.headers().map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)));
            assert!(record.output != CommunityStage::DEAD_LETTERS, "it is refused: {:?}", said().collect::<Vec<_>>());
        }
        step
    }
}
