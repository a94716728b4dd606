//! What is measured: each stage with its input made beforehand.

use classify::Classifier;
use pipeline::{
    CanarySeal, Cascade, ClassifyEncoders, ClassifySettings, ClassifyStage, CommunityEncoders, CommunitySettings,
    CommunityStage, KeyFormat, Pseudonym,
};
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage};
use record::{EpochMs, Kind};
use rules::alerts::AlertRules;
use rules::{Live, LiveCommunities, Routing};
use sim::{DEFAULT_START, World, WorldConfig};
use window::WindowSet;
use wire::{
    ActionDecoder, ClassifiedDecoder, CorrectionDecoder, Encoder, Framing, RawDecoder, RawEncoder, RawFormat,
    SchemaName,
};

/// Work that is ready to be measured.
pub(crate) struct Case {
    pub(crate) work: Box<dyn FnMut() -> Done>,
}

/// What the work came to.
pub(crate) struct Done {
    pub(crate) records: usize,
    pub(crate) output_bytes: usize,
}

/// A record as it would be read.
pub(crate) struct Ready {
    pub(crate) input: usize,
    pub(crate) now: EpochMs,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Ready {
    pub(crate) fn record(&self, offset: usize) -> InputRecord<'_> {
        InputRecord {
            from: InputPartition { input: self.input, partition: 0 },
            offset: offset as i64,
            timestamp: Some(self.now),
            key: Some(&self.key),
            value: Some(&self.value),
            headers: InputHeaders::default(),
        }
    }
}

/// Records between two commits of the community stage.
pub(crate) const COMMIT_EVERY: usize = 20_000;

/// Communities of a large platform.
pub(crate) const COMMUNITIES: usize = 10_000;

fn world(communities: usize) -> World {
    // By Zipf 1.1, with 100,000 members, as busy as a large platform.
    let config = WorldConfig {
        communities,
        zipf: 1.1,
        members: 100_000,
        rate_per_second: 300.0,
        crisis: None,
        ..WorldConfig::default()
    };
    World::new(1, config)
}

pub(crate) fn raw(records: usize) -> Vec<Ready> {
    raw_of(records, COMMUNITIES)
}

fn raw_of(records: usize, communities: usize) -> Vec<Ready> {
    let mut world = world(communities);
    let mut encoder = RawEncoder::single_object();
    let ready = (0..records).map(|_| {
        let sim = world.next_interaction();
        let mut value = Vec::new();
        // What the simulator makes fits the schema.
        let _ = encoder.encode(&sim.interaction, &mut value);
        let input = usize::from(sim.interaction.kind == Kind::Comment);
        Ready { input, now: sim.arrival, key: sim.interaction.identity().key().into_bytes(), value }
    });
    ready.collect()
}

fn classify_stage() -> ClassifyStage {
    classify_stage_with(None)
}

/// The classify stage, with a second opinion or without.
pub(crate) fn classify_stage_with(cascade: Option<Cascade>) -> ClassifyStage {
    let mut stage = ClassifyStage::new(ClassifySettings {
        inputs: vec![("posts".into(), Kind::Post), ("comments".into(), Kind::Comment)],
        decoder: RawDecoder::new(RawFormat::Avro, Framing::SingleObject, 1_048_576),
        encoders: ClassifyEncoders {
            classified: Encoder::single_object(SchemaName::Classified),
            classified_before: None,
            queue_item: Encoder::single_object(SchemaName::QueueItem),
        },
        classifier: Classifier::embedded(),
        cascade,
        routing: Live::new(Routing::standard()),
        communities: LiveCommunities::default(),
        pseudonym: Pseudonym::new(b"a secret for the benchmark", 1)
            .unwrap_or_else(|| unreachable!("it is long enough")),
        previous_pseudonym: None,
        canary_seal: CanarySeal::new(b"a secret for the benchmark"),
        key_format: KeyFormat::None,
        future_ms_max: 300_000,
        dead_letter_value_bytes_max: 1_048_576,
        keep_text: true,
        redactor: pipeline::Redactor::new(pipeline::Personal::ALL),
    });
    let mut outputs = Outputs::default();
    let assigned = [0, 1].map(|input| (InputPartition { input, partition: 0 }, 0));
    let _ = stage.step(Input::Topology { inputs: &[1, 1], outputs: &[Some(1)] }, &mut outputs);
    let _ = stage.step(Input::Assigned(&assigned), &mut outputs);
    stage
}

/// Decode, classify, encode the outputs.
pub(crate) fn classify_case(records: usize) -> Case {
    let input = raw(records);
    let mut stage = classify_stage();
    let work = move || {
        let mut outputs = Outputs::default();
        let mut output_bytes = 0;
        for (offset, ready) in input.iter().enumerate() {
            if offset % 256 == 0 {
                let _ = stage.step(Input::Clock(ready.now), &mut outputs);
            }
            outputs.clear();
            let _ = stage.step(Input::Record(ready.record(offset)), &mut outputs);
            output_bytes += outputs.bytes();
        }
        Done { records: input.len(), output_bytes }
    };
    Case { work: Box::new(work) }
}

/// What the classify stage makes of the world's records.
pub(crate) fn classified(records: usize, communities: usize) -> Vec<Ready> {
    let mut input = Vec::with_capacity(records);
    let mut classify = classify_stage();
    let mut outputs = Outputs::default();
    for (offset, ready) in raw_of(records, communities).into_iter().enumerate() {
        let _ = classify.step(Input::Clock(ready.now), &mut outputs);
        outputs.clear();
        let record = InputRecord { key: None, ..ready.record(offset) };
        let _ = classify.step(Input::Record(record), &mut outputs);
        let classified = outputs.records().find(|record| record.output == ClassifyStage::CLASSIFIED);
        if let Some((key, value)) = classified.and_then(|record| Some((record.key?, record.value?))) {
            input.push(Ready { input: 0, now: ready.now, key: key.to_vec(), value: value.to_vec() });
        }
    }
    input
}

/// A community stage that owns these many partitions.
pub(crate) fn community_stage(windows: WindowSet, ids_max: usize, partitions: i32) -> CommunityStage {
    let mut stage = CommunityStage::new(CommunitySettings {
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
            canary: None,
        },
        windows,
        routing: Live::new(Routing::standard()),
        communities: LiveCommunities::default(),
        alert_rules: Live::new(AlertRules::default()),
        disorder_ms: 10_000,
        hold_ms_max: 300_000,
        ids_max,
        communities_max: usize::MAX,
        members_max: ids_max.max(1_000_000),
        parked_max: 100_000,
        items_max: 500_000,
        keep_closed_ms: 3 * 86_400_000,
        expire_ms: 7 * 86_400_000,
        claim_ms: 1_800_000,
        auto_replies: Vec::new(),
        remember_ms: 90 * 86_400_000,
        future_ms_max: 300_000,
        dead_letter_value_bytes_max: 1_048_576,
        changelog: true,
        state_version: None,
    });
    let mut outputs = Outputs::default();
    let assigned: Vec<_> = (0..partitions).map(|partition| (InputPartition { input: 0, partition }, 0)).collect();
    let _ = stage.step(Input::Topology { inputs: &[partitions], outputs: &[] }, &mut outputs);
    let _ = stage.step(Input::Clock(DEFAULT_START), &mut outputs);
    let _ = stage.step(Input::Assigned(&assigned), &mut outputs);
    stage
}

/// Decode, identity, windows, queue states, panes and changelog.
pub(crate) fn community_case(records: usize, communities: usize) -> Case {
    let input = classified(records, communities);
    let mut stage = community_stage(WindowSet::standard(), 2_000_000, 1);
    let work = move || {
        let mut outputs = Outputs::default();
        let mut output_bytes = 0;
        for (offset, ready) in input.iter().enumerate() {
            if offset % 256 == 0 {
                let _ = stage.step(Input::Clock(ready.now), &mut outputs);
            }
            let _ = stage.step(Input::Record(ready.record(offset)), &mut outputs);
            output_bytes += outputs.bytes();
            outputs.clear();
            if (offset + 1) % COMMIT_EVERY == 0 {
                let _ = stage.step(Input::Flush, &mut outputs);
                output_bytes += outputs.bytes();
                outputs.clear();
            }
        }
        Done { records: input.len(), output_bytes }
    };
    Case { work: Box::new(work) }
}
