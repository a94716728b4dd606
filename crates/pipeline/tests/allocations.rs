//! What the hot path asks of this crate for each record allocates nothing.
#![allow(clippy::unwrap_used, unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ::classify::Classifier;
use pipeline::{ClassifyEncoders, ClassifySettings, ClassifyStage, KeyFormat, Personal, Pseudonym, Redactor};
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage};
use record::{Author, Interaction, Kind, Role};
use rules::{Live, LiveCommunities, Routing};
use wire::{Encoder, Framing, RawDecoder, RawEncoder, RawFormat, SchemaName};

struct Counting;

thread_local! {
    /// Of this thread alone: the test runner works on others.
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is handed to the system's allocator; counting changes nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promises are handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are handed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(of: impl FnOnce()) -> u64 {
    let before = COUNT.with(Cell::get);
    of();
    COUNT.with(Cell::get) - before
}

#[test]
fn to_look_for_personal_data_allocates_nothing() {
    let mut redactor = Redactor::new(Personal::ALL);
    let texts = [
        "Kecewa berat, paketnya rusak dan CS tidak membalas 😡",
        "Resi JNE 012345678901234 belum sampai, at least tell me why",
        "Hubungi 0812-3456-7890 atau budi.santoso@contoh.co.id, NIK 3273014507900001",
    ];
    // Two buffers that change places grow with the first texts that need them.
    for round in 0..4 {
        for text in texts {
            let found = allocations(|| assert_eq!(redactor.redact(text).is_some(), text.contains('@')));
            assert!(found == 0 || round < 2, "{found}: {text}");
        }
    }
    let mut fresh = Redactor::new(Personal::ALL);
    assert_eq!(allocations(|| assert!(fresh.redact(texts[0]).is_none())), 0, "nothing found, nothing made");
}

const NOW: i64 = 1_795_482_000_000;
const FROM: InputPartition = InputPartition { input: 0, partition: 0 };

fn stage(previous: Option<Pseudonym>) -> ClassifyStage {
    let mut stage = ClassifyStage::new(ClassifySettings {
        inputs: vec![("posts".into(), Kind::Post), ("comments".into(), Kind::Comment)],
        decoder: RawDecoder::new(RawFormat::Avro, Framing::SingleObject, 1_048_576),
        encoders: ClassifyEncoders {
            classified: Encoder::single_object(SchemaName::Classified),
            classified_before: Encoder::single_object_released(SchemaName::Classified, 2),
            queue_item: Encoder::single_object(SchemaName::QueueItem),
        },
        classifier: Classifier::embedded(),
        cascade: None,
        routing: Live::new(Routing::standard()),
        communities: LiveCommunities::default(),
        pseudonym: Pseudonym::new(b"a secret of some length", 2).unwrap(),
        previous_pseudonym: previous,
        canary_seal: None,
        redactor: Redactor::new(Personal::ALL),
        key_format: KeyFormat::None,
        future_ms_max: 300_000,
        dead_letter_value_bytes_max: 1_048_576,
        keep_text: true,
    });
    let mut outputs = Outputs::default();
    stage.step(Input::Clock(NOW), &mut outputs).unwrap();
    stage.step(Input::Assigned(&[(FROM, 0)]), &mut outputs).unwrap();
    stage
}

/// Allocations for so many records, once everything is warm.
fn allocations_of(mut stage: ClassifyStage) -> u64 {
    let interaction = Interaction {
        kind: Kind::Post,
        id: "p-1".into(),
        community_id: "warga depok".into(),
        author: Some(Author {
            id: "u-77".into(),
            handle: None,
            role: Role::Member,
            followers: Some(7),
            verified: None,
        }),
        created_at: NOW - 5_000,
        observed_at: NOW - 1_000,
        edited_at: None,
        deleted: false,
        text: "Kecewa banget, sudah seminggu paket belum sampai dan CS tidak membalas.".into(),
        media: Vec::new(),
        url: None,
        language_hint: None,
        post_id: None,
        parent_id: None,
        post_author: None,
        parent_author: None,
        mentions: Vec::new(),
    };
    let mut value = Vec::new();
    RawEncoder::single_object().encode(&interaction, &mut value).unwrap();
    let mut outputs = Outputs::default();
    let mut give = |offsets: std::ops::Range<i64>| {
        for offset in offsets {
            outputs.clear();
            let headers = InputHeaders::default();
            let (timestamp, value) = (Some(NOW), Some(&value[..]));
            let record = InputRecord { from: FROM, offset, timestamp, key: None, value, headers };
            stage.step(Input::Record(record), &mut outputs).unwrap();
        }
    };
    give(0..200);
    let before = COUNT.with(Cell::get);
    give(200..1_200);
    COUNT.with(Cell::get) - before
}

#[test]
fn a_rotation_costs_no_allocation() {
    let previous = Pseudonym::new(b"another secret of some length", 1).unwrap();
    let (without, with) = (allocations_of(stage(None)), allocations_of(stage(Some(previous))));
    assert!(without < 10 && with < 10, "{without} and {with} for 1000 records");
}
