//! The classify stage, the hot path: stateless per record.
//!
//! decode, validate, pseudonymise, classify, decide the queue, emit. Every record has exactly one outcome: classified,
//! dead-lettered or dropped.

mod canaries;
mod cascade;
mod content;
mod digest;
mod latency;
mod markers;
mod pseudonym;
mod redact;
mod sources;
mod tallies;
mod validate;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use ::classify::{Classifier, Decision};
use record::stage::{Input, InputPartition, InputRecord, LatencySample, Outputs, SchemaLookup, Stage, Step, Stop};
use record::{
    ClassifiedInteraction, ClassifiedRecord, EpochMs, Interaction, Kind, Label, Ledger, Outcome, Position, ReachBand,
    Reason, Role, StageName, Tier, decode_key, encode_part, limits,
};
use rules::{Communities, Live, LiveCommunities, Routable, Routed, Routing, direction_of};
use wire::{DecodeError, Encoder, RawDecoder};

use self::canaries::{Canaries, Recognised};
pub use self::cascade::{Budget, Cascade, Probabilities, SecondOpinion, is_unsure};
use self::cascade::{Held, Judge};
use self::content::{content_kinds, text_of};
pub use self::latency::RECORDS_PER_SAMPLE;
use self::latency::Samples;
pub use self::pseudonym::Pseudonym;
pub use self::redact::{Personal, Redactor};
use self::sources::Sources;
pub use self::tallies::Tallies;
pub use self::validate::check_interaction;
use crate::canary::CanarySeal;
use crate::dead_letters::DeadLetters;
use crate::queue_items::routed_item;
use crate::{add_trace, encode};

/// How identity is read from the key of a raw record with a null value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFormat {
    /// Keys say nothing: a null value is a dead letter.
    None,
    /// `community|kind|id`, as [`record::Identity::key`] writes it: a null value retracts that interaction.
    Identity,
}

/// How the stage writes its records.
#[derive(Debug)]
pub struct ClassifyEncoders {
    /// Of the classified topic.
    pub classified: Encoder,
    /// Of the same, for what holds nothing that the released version before does not have: replicas of the community stage that are
    /// not rolled yet know that one. Without it all is written by the current version.
    pub classified_before: Option<Encoder>,
    /// Of every queue topic.
    pub queue_item: Encoder,
}

/// Everything the stage needs to know.
#[derive(Debug)]
pub struct ClassifySettings {
    /// The raw topics, in the order of the inputs, and what each holds.
    pub inputs: Vec<(Arc<str>, Kind)>,
    /// Decodes raw records; it knows the format, the framing and the size limit.
    pub decoder: RawDecoder,
    /// How the outputs are written.
    pub encoders: ClassifyEncoders,
    /// The classifier with its threshold.
    pub classifier: Classifier,
    /// The second tier; without it the fast tier decides alone.
    pub cascade: Option<Cascade>,
    /// The queues, whose order is that of the queue outputs, and the rules. Another may be put in place with the same queues in
    /// the same order; the stage looks at it again whenever it is told the time.
    pub routing: Live<Routing>,
    /// The community registry; the stage looks at it again whenever it is told the time.
    pub communities: LiveCommunities,
    /// The author's pseudonyms.
    pub pseudonym: Pseudonym,
    /// While the secret is rotated: those of the previous one, which go beside them.
    pub previous_pseudonym: Option<Pseudonym>,
    /// Tells canaries of ours; without it what claims to be one is a record like any other.
    pub canary_seal: Option<CanarySeal>,
    /// How to read a null value.
    pub key_format: KeyFormat,
    /// How far ahead of the wall clock a time may be, in milliseconds.
    pub future_ms_max: i64,
    /// Longest value of a dead letter, in bytes; longer ones are cut and say so.
    pub dead_letter_value_bytes_max: usize,
    /// Whether texts go downstream.
    pub keep_text: bool,
    /// Takes personal data out of what goes downstream.
    pub redactor: Redactor,
}

/// The stage. Outputs: 0 classified, 1 dead letters, then one per queue of the routing.
#[derive(Debug)]
pub struct ClassifyStage {
    topics: Vec<Arc<str>>,
    kinds: Vec<Kind>,
    decoder: RawDecoder,
    encoders: ClassifyEncoders,
    classifier: Classifier,
    judge: Option<Judge>,
    held: Held,
    live_routing: Live<Routing>,
    routing: Arc<Routing>,
    live: LiveCommunities,
    communities: Arc<Communities>,
    pseudonym: Pseudonym,
    previous_pseudonym: Option<Pseudonym>,
    canaries: Canaries,
    key_format: KeyFormat,
    future_ms_max: i64,
    keep_text: bool,
    redactor: Redactor,
    url_redactor: Redactor,
    dead_letters: DeadLetters,
    ledgers: BTreeMap<InputPartition, Ledger>,
    sources: Sources,
    classified_partitions: Option<i32>,
    now: EpochMs,
    scratch: Scratch,
    tallies: Tallies,
    samples: Samples,
}

/// Buffers that are reused from record to record.
#[derive(Debug, Default)]
struct Scratch {
    digest: String,
    author_key: String,
    previous_author_key: String,
    post_author_key: String,
    parent_author_key: String,
    key: String,
    topic: String,
}

/// Why a record could not be read.
enum Unread {
    NeedsSchema(u32),
    Refused(Reason, String),
}

impl ClassifyStage {
    /// The place of the classified topic among the outputs.
    pub const CLASSIFIED: usize = 0;
    /// The place of the dead letters among the outputs.
    pub const DEAD_LETTERS: usize = 1;
    /// The place of the first queue among the outputs.
    pub const FIRST_QUEUE: usize = 2;

    /// A stage that owns no partition yet.
    pub fn new(settings: ClassifySettings) -> ClassifyStage {
        let (topics, kinds) = settings.inputs.into_iter().unzip();
        let tallies = Tallies { by_queue: vec![0; settings.routing.current().queues().len()], ..Tallies::default() };
        ClassifyStage {
            topics,
            kinds,
            decoder: settings.decoder,
            encoders: settings.encoders,
            classifier: settings.classifier,
            judge: settings.cascade.map(Judge::new),
            held: Held::default(),
            routing: settings.routing.current(),
            live_routing: settings.routing,
            communities: settings.communities.current(),
            live: settings.communities,
            pseudonym: settings.pseudonym,
            previous_pseudonym: settings.previous_pseudonym,
            canaries: Canaries::new(settings.canary_seal),
            key_format: settings.key_format,
            future_ms_max: settings.future_ms_max,
            keep_text: settings.keep_text,
            url_redactor: settings.redactor.clone(),
            redactor: settings.redactor,
            dead_letters: DeadLetters::new(
                StageName::Classify,
                ClassifyStage::DEAD_LETTERS,
                settings.dead_letter_value_bytes_max,
            ),
            ledgers: BTreeMap::new(),
            sources: Sources::default(),
            classified_partitions: None,
            now: 0,
            scratch: Scratch::default(),
            tallies,
            samples: Samples::default(),
        }
    }

    /// What was emitted since the start of the process.
    pub fn tallies(&self) -> &Tallies {
        &self.tallies
    }

    /// Dead letters since the start of the process, by reason.
    pub fn dead_letters(&self) -> impl Iterator<Item = (Reason, u64)> + '_ {
        self.dead_letters.counts()
    }

    /// Fields of JSON records that no schema names, since the start of the process.
    pub fn unknown_fields(&self) -> u64 {
        self.decoder.unknown_fields()
    }

    fn record(&mut self, record: InputRecord<'_>, outputs: &mut Outputs) -> Result<Step, Stop> {
        if record.from.input >= self.kinds.len() {
            return Err(Stop::Invariant(format!(
                "record of input {}, which the stage does not have",
                record.from.input
            )));
        }
        let latest = self.now.saturating_add(self.future_ms_max);
        match self.canaries.recognise(&record, &self.topics[record.from.input], self.now, latest) {
            Recognised::NoCanary => {}
            Recognised::False => self.tallies.false_canaries += 1,
            Recognised::Canary => return self.pass_canary(&record, outputs),
        }
        let read = match self.read(&record) {
            Ok(interaction) => interaction,
            Err(Unread::NeedsSchema(id)) => return Ok(Step::NeedsSchema(id)),
            Err(Unread::Refused(reason, detail)) => {
                let topic = Arc::clone(&self.topics[record.from.input]);
                self.dead_letters.emit(record, &topic, reason, &detail, outputs);
                self.settle(&record, Outcome::DeadLettered, None);
                return Ok(Step::Done);
            }
        };
        // A retraction may come at any time; a null value has no event time but that of its coming.
        let event_time = (!read.deleted).then_some(read.created_at);
        // What is taken back says nothing any more.
        let text = if read.deleted { "" } else { &*read.text };
        let (decision, tier) = self.classifier.judge(text);
        match &mut self.judge {
            Some(judge) => {
                let tier = judge.consider(self.held.len(), text, &decision, tier);
                self.held.push(&record, decision, tier);
            }
            None => self.emit(&read, &record, decision, tier, outputs)?,
        }
        self.settle(&record, Outcome::Classified, event_time);
        if self.held.is_full() {
            self.release(outputs)?;
        }
        Ok(Step::Done)
    }

    /// Takes note of a canary, which is passed on by the next flush.
    fn pass_canary(&mut self, record: &InputRecord<'_>, outputs: &mut Outputs) -> Result<Step, Stop> {
        let ledger = self.ledgers.entry(record.from).or_default();
        ledger.consume();
        ledger.settle(Outcome::Canary);
        self.sources.passed_canary(record.from, record.offset);
        if self.canaries.is_full() {
            self.release(outputs)?;
            self.pass_on_canaries(outputs)?;
        }
        Ok(Step::Done)
    }

    /// Tells every partition of the classified topic of the canaries that were read.
    fn pass_on_canaries(&mut self, outputs: &mut Outputs) -> Result<(), Stop> {
        // Before it is known how many partitions there are, they wait.
        let Some(partitions) = self.classified_partitions else { return Ok(()) };
        let Some(progress) = self.canaries.take(self.now, &self.topics) else { return Ok(()) };
        markers::write(progress, partitions, &mut self.encoders, outputs)
    }

    /// Decodes and validates a record.
    fn read<'a>(&mut self, record: &InputRecord<'a>) -> Result<Interaction<'a>, Unread> {
        let interaction = self.decode(record)?;
        match validate::check_interaction(&interaction, self.now, self.future_ms_max) {
            Ok(()) => Ok(interaction),
            Err((reason, detail)) => Err(Unread::Refused(reason, detail)),
        }
    }

    fn decode<'a>(&mut self, record: &InputRecord<'a>) -> Result<Interaction<'a>, Unread> {
        let kind = self.kinds[record.from.input];
        let Some(value) = record.value else {
            return self.retraction_from_key(kind, record).map_err(|(reason, detail)| Unread::Refused(reason, detail));
        };
        let mut interaction = self.decoder.decode(kind, value).map_err(|error| match error {
            DecodeError::NeedsSchema(id) => Unread::NeedsSchema(id),
            DecodeError::Reject(rejection) => Unread::Refused(rejection.reason, rejection.detail),
        })?;
        // From here on roles are what the record and the registry say together: so also in the digest, by which the next stage
        // tells that somebody has become the brand since the record was seen before.
        self.communities.name_the_brand(&mut interaction);
        Ok(interaction)
    }

    fn settle(&mut self, record: &InputRecord<'_>, outcome: Outcome, event_time: Option<EpochMs>) {
        let ledger = self.ledgers.entry(record.from).or_default();
        ledger.consume();
        ledger.settle(outcome);
        self.sources.processed(record.from, record.offset, event_time, record.timestamp.unwrap_or(self.now));
    }

    /// Emits what was held back, in order, by the second opinions that came.
    fn release(&mut self, outputs: &mut Outputs) -> Result<(), Stop> {
        let Some(judge) = &mut self.judge else { return Ok(()) };
        judge.collect(&mut self.held);
        let unknown_fields = self.decoder.unknown_fields();
        let mut held = std::mem::take(&mut self.held);
        let mut result = Ok(());
        for (record, decision, tier) in held.records() {
            // It was found valid when it was read: what the clock says now is not asked again.
            result = match self.decode(&record) {
                Ok(interaction) => self.emit(&interaction, &record, decision, tier, outputs),
                // It was decoded before, by the same schemas: none is taken in while records are held back.
                Err(_) => Err(Stop::Invariant("a record that was held back cannot be read again".to_owned())),
            };
            if result.is_err() {
                break;
            }
        }
        held.clear();
        self.held = held;
        self.decoder.set_unknown_fields(unknown_fields);
        result
    }

    /// A null value retracts what its key names, if keys are set to name anything.
    fn retraction_from_key(
        &self,
        kind: Kind,
        record: &InputRecord<'_>,
    ) -> Result<Interaction<'static>, (Reason, String)> {
        let refuse = |detail: &str| Err((Reason::NullValue, detail.to_owned()));
        if self.key_format == KeyFormat::None {
            return refuse("null value; set raw.key_format = \"identity\" if keys name what is retracted");
        }
        let Some(timestamp) = record.timestamp else {
            return refuse("null value without a Kafka time, which would be its version");
        };
        let parts = record.key.and_then(|key| std::str::from_utf8(key).ok()).and_then(decode_key).unwrap_or_default();
        let [community_id, named_kind, id] = &parts[..] else {
            return refuse("null value whose key is not community|kind|id, percent-encoded");
        };
        if named_kind != kind.as_str() {
            return refuse("null value whose key names another kind than its topic holds");
        }
        Ok(Interaction {
            kind,
            id: Cow::Owned(id.clone()),
            community_id: Cow::Owned(community_id.clone()),
            author: None,
            created_at: timestamp,
            observed_at: timestamp,
            edited_at: None,
            deleted: true,
            text: Cow::Borrowed(""),
            media: Vec::new(),
            url: None,
            language_hint: None,
            post_id: None,
            parent_id: None,
            post_author: None,
            parent_author: None,
            mentions: Vec::new(),
        })
    }

    fn emit(
        &mut self,
        interaction: &Interaction<'_>,
        record: &InputRecord<'_>,
        decision: Decision,
        tier: Tier,
        outputs: &mut Outputs,
    ) -> Result<(), Stop> {
        let topic = &self.topics[record.from.input];
        let model = match (tier, &self.judge) {
            (Tier::Deep, Some(judge)) => judge.model_version(),
            _ => self.classifier.model_version(),
        };
        let scratch = &mut self.scratch;
        digest::write_digest(interaction, &mut scratch.digest);
        let author_key = pseudonym_of(&self.pseudonym, &interaction.author, &mut scratch.author_key);
        let post_author_key = pseudonym_of(&self.pseudonym, &interaction.post_author, &mut scratch.post_author_key);
        let parent_author_key =
            pseudonym_of(&self.pseudonym, &interaction.parent_author, &mut scratch.parent_author_key);
        let previous_author_key = match &self.previous_pseudonym {
            Some(previous) => pseudonym_of(previous, &interaction.author, &mut scratch.previous_author_key),
            None => None,
        };
        let author_role = role_of(&interaction.author);
        let (direction, content_kinds) = (direction_of(interaction), content_kinds(interaction));
        let routed = self.routing.route(&Routable {
            label: decision.label,
            confidence: decision.confidence,
            abstained: decision.abstained,
            language: decision.language,
            community_id: &interaction.community_id,
            direction,
            content_kinds,
            author_role,
            deleted: interaction.deleted,
        });
        let (text, cut) = text_of(interaction, self.keep_text, &mut self.redactor);
        let url = interaction.url.as_deref().map(|url| self.url_redactor.redact(url).unwrap_or(url));
        let queue = match routed {
            Routed::Queue(route) => Some(route),
            Routed::Unqueued => None,
        };
        scratch.topic.clear();
        scratch.topic.push_str(topic);
        let classified = ClassifiedInteraction {
            community_id: Cow::Borrowed(&interaction.community_id),
            kind: interaction.kind,
            id: Cow::Borrowed(&interaction.id),
            author_key,
            author_role,
            post_author_key,
            post_author_role: role_of(&interaction.post_author),
            parent_author_key,
            parent_author_role: role_of(&interaction.parent_author),
            direction,
            reach_band: ReachBand::of(interaction.author.as_ref().and_then(|author| author.followers)),
            thread_id: match interaction.kind {
                Kind::Post => Some(Cow::Borrowed(&*interaction.id)),
                Kind::Comment => interaction.post_id.as_deref().map(Cow::Borrowed),
            },
            parent_id: interaction.parent_id.as_deref().map(Cow::Borrowed),
            url: url.map(Cow::Borrowed),
            created_at: interaction.created_at,
            observed_at: interaction.observed_at,
            edited_at: interaction.edited_at,
            ingested_at: record.timestamp.unwrap_or(self.now),
            classified_at: self.now,
            deleted: interaction.deleted,
            content_digest: Cow::Borrowed(&scratch.digest),
            label: decision.label,
            p_complaint: decision.probabilities[Label::Complaint.index()],
            p_tip: decision.probabilities[Label::Tip.index()],
            p_experience: decision.probabilities[Label::Experience.index()],
            p_praise: decision.probabilities[Label::Praise.index()],
            p_other: decision.probabilities[Label::Other.index()],
            confidence: decision.confidence,
            abstained: decision.abstained,
            language: decision.language,
            mixed: decision.mixed,
            tier,
            model: Cow::Borrowed(model),
            queue: queue.map(|route| Cow::Borrowed(&*route.queue.spec.name)),
            content_kinds,
            fingerprint: decision.fingerprint.map(u64::cast_signed),
            text: text.map(Cow::Borrowed),
            text_truncated: cut || interaction.text.len() > limits::CLASSIFIED_TEXT_BYTES,
            origin_topic: Cow::Borrowed(&scratch.topic),
            origin_partition: record.from.partition,
            origin_offset: record.offset,
            previous_author_key,
        };
        if let Some(route) = queue {
            scratch.key.clear();
            interaction.identity().write_key(&mut scratch.key);
            let item = routed_item(&classified, &route, &self.communities, self.now);
            let output = ClassifyStage::FIRST_QUEUE + route.index;
            encode(&mut self.encoders.queue_item, &item, output, &scratch.key, outputs)?;
            add_trace(record.headers.trace(), outputs);
            self.tallies.by_queue[route.index] += 1;
        }
        if let Some(timestamp) = record.timestamp {
            self.samples.emitted(timestamp);
        }
        if !interaction.deleted {
            self.tallies.by_label[decision.label.index()] += 1;
            self.tallies.by_tier[tier as usize] += 1;
            self.tallies.abstained += u64::from(decision.abstained);
        }
        scratch.key.clear();
        encode_part(&interaction.community_id, &mut scratch.key);
        let ClassifyEncoders { classified: current, classified_before, .. } = &mut self.encoders;
        let encoder = match classified_before {
            Some(before) if classified.previous_author_key.is_none() => before,
            _ => current,
        };
        let value = ClassifiedRecord::ClassifiedInteraction(classified);
        encode(encoder, &value, ClassifyStage::CLASSIFIED, &scratch.key, outputs)?;
        add_trace(record.headers.trace(), outputs);
        Ok(())
    }

    fn markers(&mut self, only_urgent: bool, outputs: &mut Outputs) -> Result<(), Stop> {
        let Some(partitions) = self.classified_partitions else { return Ok(()) };
        let due = if only_urgent { None } else { self.sources.marker(self.now, &self.topics) };
        let due = due.or_else(|| self.sources.urgent_marker(self.now, &self.topics));
        let Some(progress) = due else { return Ok(()) };
        markers::write(progress, partitions, &mut self.encoders, outputs)
    }
}

impl Stage for ClassifyStage {
    fn step(&mut self, input: Input<'_>, outputs: &mut Outputs) -> Result<Step, Stop> {
        match input {
            Input::Record(record) => return self.record(record, outputs),
            Input::Clock(now) => {
                self.now = now;
                self.communities = self.live.current();
                self.routing = self.live_routing.current();
            }
            Input::EndOfPartition(partition, position) => self.sources.reached_end(partition, position),
            Input::Flush => {
                self.release(outputs)?;
                self.markers(false, outputs)?;
                self.pass_on_canaries(outputs)?;
            }
            Input::MoreToRead(partitions) => {
                partitions.iter().for_each(|&partition| self.sources.fell_behind(partition));
                // Said at once, before the records of other sources that follow: a source that is idle to the readers does not
                // hold their watermark, and event time would run ahead of what comes. If only canaries came, that is put right as
                // soon as it is known. A marker speaks of what was read, which is to be out before it.
                if self.sources.has_unsaid() {
                    self.release(outputs)?;
                    self.markers(true, outputs)?;
                }
            }
            Input::Topology { outputs, .. } => {
                self.classified_partitions = outputs.get(ClassifyStage::CLASSIFIED).copied().flatten();
            }
            Input::Schema { id, lookup } => {
                self.release(outputs)?;
                self.schema(id, &lookup);
            }
            Input::Assigned(partitions) => {
                for &(partition, position) in partitions {
                    self.ledgers.insert(partition, Ledger::default());
                    self.sources.assign(partition, position);
                }
            }
            Input::Revoked(partitions) | Input::Lost(partitions) => {
                // After a commit nothing is held; without one, nothing of it is to be emitted.
                self.held.clear();
                self.canaries.clear();
                self.samples.clear();
                if let Some(judge) = &mut self.judge {
                    judge.forget();
                }
                for &partition in partitions {
                    self.ledgers.remove(&partition);
                    self.sources.forget(partition);
                }
            }
            Input::Sources(_) | Input::Restore { .. } | Input::Restored { .. } => {}
        }
        Ok(Step::Done)
    }

    fn recorded_position(&self, _partition: InputPartition) -> Option<Position> {
        None
    }

    fn ledgers(&self, see: &mut dyn FnMut(InputPartition, &Ledger)) {
        for (&partition, ledger) in &self.ledgers {
            see(partition, ledger);
        }
    }

    fn take_latency_samples(&mut self, see: &mut dyn FnMut(LatencySample)) {
        self.samples.take(see);
    }
}

impl ClassifyStage {
    fn schema(&mut self, id: u32, lookup: &SchemaLookup) {
        self.decoder.add_schema(id, lookup);
    }
}

fn pseudonym_of<'a>(
    pseudonym: &Pseudonym,
    author: &Option<record::Author<'_>>,
    key: &'a mut String,
) -> Option<Cow<'a, str>> {
    let author = author.as_ref()?;
    pseudonym.write(&author.id, key);
    Some(Cow::Borrowed(key))
}

fn role_of(author: &Option<record::Author<'_>>) -> Role {
    author.as_ref().map_or(Role::Unknown, |author| author.role)
}
