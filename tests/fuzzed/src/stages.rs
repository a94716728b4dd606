//! The two stages with small limits, so that a short input reaches them, and what every output of theirs keeps to.

use std::collections::BTreeMap;

use classify::Classifier;
use pipeline::{
    CanarySeal, Cascade, ClassifyEncoders, ClassifySettings, ClassifyStage, CommunityEncoders, CommunitySettings,
    CommunityStage, KeyFormat, Personal, Pseudonym, Redactor,
};
use record::stage::{InputPartition, OutputRecord, Stage};
use record::{EpochMs, Kind, Ledger, limits};
use rules::alerts::AlertRules;
use rules::{Live, LiveCommunities, Routing};
use serde_json::Value;
use window::{WindowSet, WindowSpec};
use wire::{
    ActionDecoder, ClassifiedDecoder, CorrectionDecoder, Encoder, Framing, GenericSchema, RawDecoder, RawFormat,
    SchemaName,
};

/// When everything happens: 2026-11-24T01:00:00Z.
pub(crate) const NOW: EpochMs = 1_795_482_000_000;
/// How far ahead a time may be, as by default.
pub(crate) const FUTURE_MS_MAX: i64 = 300_000;
/// The largest raw record.
pub(crate) const RAW_BYTES_MAX: usize = 262_144;
/// The longest value of a dead letter.
const DEAD_LETTER_BYTES_MAX: usize = 1_024;
/// Partitions of the topics that the community stage reads.
pub(crate) const PARTITIONS: i32 = 2;
/// The raw topics.
pub(crate) const RAW_TOPICS: [(&str, Kind); 2] = [("posts", Kind::Post), ("comments", Kind::Comment)];
/// Partitions of each raw topic.
pub(crate) const RAW_PARTITIONS: i32 = 2;
const SECRET: &[u8] = b"a secret for the fuzzer";
const SECRET_BEFORE: &[u8] = b"the secret before that";

/// Most identities, items and so on.
const IDS_MAX: usize = 64;
const COMMUNITIES_MAX: usize = 16;
pub(crate) const ITEMS_MAX: usize = 8;
pub(crate) const PARKED_MAX: usize = 4;

pub(crate) fn seal() -> Option<CanarySeal> {
    CanarySeal::new(SECRET)
}

pub(crate) fn classify_stage(
    format: RawFormat,
    framing: Framing,
    is_rotated: bool,
    cascade: Option<Cascade>,
) -> ClassifyStage {
    ClassifyStage::new(ClassifySettings {
        inputs: RAW_TOPICS.iter().map(|&(topic, kind)| (topic.into(), kind)).collect(),
        decoder: RawDecoder::new(format, framing, RAW_BYTES_MAX),
        encoders: ClassifyEncoders {
            classified: Encoder::single_object(SchemaName::Classified),
            classified_before: Encoder::single_object_released(SchemaName::Classified, 2),
            queue_item: Encoder::single_object(SchemaName::QueueItem),
        },
        classifier: Classifier::embedded(),
        cascade,
        routing: Live::new(Routing::standard()),
        communities: LiveCommunities::default(),
        pseudonym: Pseudonym::new(SECRET, 2).expect("it is long enough"),
        previous_pseudonym: is_rotated.then(|| Pseudonym::new(SECRET_BEFORE, 1).expect("it is long enough")),
        canary_seal: seal(),
        key_format: KeyFormat::Identity,
        future_ms_max: FUTURE_MS_MAX,
        dead_letter_value_bytes_max: DEAD_LETTER_BYTES_MAX,
        keep_text: true,
        redactor: Redactor::new(Personal::ALL),
    })
}

/// The windows of the design, or small ones that close soon.
pub(crate) fn windows(is_small: bool) -> WindowSet {
    if !is_small {
        return WindowSet::standard();
    }
    let spec = |name: &str, length_ms, slide_ms, lateness_ms| WindowSpec {
        name: name.to_owned(),
        length_ms,
        slide_ms,
        lateness_ms,
    };
    let specs = vec![spec("1m", 60_000, 10_000, 30_000), spec("10m", 600_000, 60_000, 120_000)];
    WindowSet::new(specs).expect("they are valid")
}

pub(crate) fn community_stage(windows: WindowSet) -> CommunityStage {
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
        routing: Live::new(Routing::standard()),
        communities: LiveCommunities::default(),
        alert_rules: Live::new(AlertRules { warm_up_ms: 600_000, ..AlertRules::default() }),
        disorder_ms: 10_000,
        hold_ms_max: 300_000,
        ids_max: IDS_MAX,
        communities_max: COMMUNITIES_MAX,
        members_max: 32,
        parked_max: PARKED_MAX,
        items_max: ITEMS_MAX,
        keep_closed_ms: 3_600_000,
        expire_ms: 7_200_000,
        claim_ms: 600_000,
        auto_replies: vec!["silakan DM".to_owned()],
        remember_ms: 7_200_000,
        future_ms_max: FUTURE_MS_MAX,
        dead_letter_value_bytes_max: DEAD_LETTER_BYTES_MAX,
        changelog: true,
        state_version: None,
    })
}

/// Every owned partition's records have an outcome each; what they are together.
pub(crate) fn balanced(stage: &impl Stage) -> Ledger {
    let mut sum = Ledger::default();
    stage.ledgers(&mut |at, ledger| {
        assert!(ledger.is_balanced(), "the ledger of {at:?} does not balance: {ledger:?}");
        sum.add(ledger);
    });
    sum
}

/// The ledger of one partition.
pub(crate) fn ledger_of(stage: &impl Stage, wanted: InputPartition) -> Option<Ledger> {
    let mut found = None;
    stage.ledgers(&mut |at, ledger| {
        if at == wanted {
            found = Some(ledger.clone());
        }
    });
    found
}

/// An output is as small as is promised; `dead_letters` is the place of that topic.
pub(crate) fn check_size(record: &OutputRecord<'_>, dead_letters: usize) {
    let key = record.key.map_or(0, <[u8]>::len);
    let value = record.value.map_or(0, <[u8]>::len);
    let headers: usize = record.headers().map(|(name, value)| name.len() + value.len()).sum();
    if record.output == dead_letters {
        assert!(value <= DEAD_LETTER_BYTES_MAX, "a dead letter of {value} bytes");
        assert!(key + headers <= limits::DEAD_LETTER_EXTRA_BYTES, "{key} and {headers} bytes beside a dead letter");
    } else {
        assert!(key + value <= limits::OUTPUT_BYTES, "output {} has {key} and {value} bytes", record.output);
    }
}

/// A value of ours in single-object encoding, as JSON.
pub(crate) fn shown(name: SchemaName, value: &[u8]) -> Value {
    thread_local! {
        static SCHEMAS: BTreeMap<SchemaName, GenericSchema> = SchemaName::ALL
            .into_iter()
            .map(|name| (name, GenericSchema::parse(name.text()).expect("a schema of ours")))
            .collect();
    }
    SCHEMAS.with(|schemas| schemas[&name].to_json(&value[10..]).expect("a record of ours"))
}
