//! The classify stage alone: what each record becomes.

use pipeline::{ClassifyStage, KeyFormat};
use record::stage::{
    Input, InputHeaders, InputPartition, InputRecord, LatencySample, Outputs, SchemaLookup, Stage, Step,
};
use record::{Author, ContentKind, EpochMs, Interaction, Kind, Media, Outcome, Role, header};
use wire::{Encoder, Framing, RawEncoder, RawFormat, SchemaName};

use crate::world::{Kept, MIXED, NOW, avro, classify_stage, decoded, keep, post};

struct Bench {
    stage: ClassifyStage,
    offset: i64,
}

const FROM: InputPartition = InputPartition { input: 0, partition: 1 };

impl Bench {
    fn new(format: RawFormat, framing: Framing, key_format: KeyFormat) -> Bench {
        let mut stage = classify_stage(format, framing, key_format);
        let mut outputs = Outputs::default();
        stage.step(Input::Topology { inputs: &[2, 2], outputs: &[Some(3)] }, &mut outputs).unwrap();
        stage.step(Input::Assigned(&[(FROM, 0)]), &mut outputs).unwrap();
        stage.step(Input::Clock(NOW), &mut outputs).unwrap();
        assert!(outputs.is_empty());
        Bench { stage, offset: 0 }
    }

    fn avro() -> Bench {
        Bench::new(RawFormat::Avro, Framing::SingleObject, KeyFormat::None)
    }

    fn step(&mut self, input: Input<'_>) -> (Step, Vec<(usize, Kept)>) {
        let mut outputs = Outputs::default();
        let step = self.stage.step(input, &mut outputs).unwrap();
        (step, keep(&outputs))
    }

    fn give(&mut self, key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<(usize, Kept)> {
        self.give_of(NOW, key, value)
    }

    /// Gives a record of this Kafka time.
    fn give_of(&mut self, timestamp: EpochMs, key: Option<&[u8]>, value: Option<&[u8]>) -> Vec<(usize, Kept)> {
        let record = InputRecord {
            from: FROM,
            offset: self.offset,
            timestamp: Some(timestamp),
            key,
            value,
            headers: InputHeaders::default(),
        };
        let (step, outputs) = self.step(Input::Record(record));
        assert_eq!(step, Step::Done);
        self.offset += 1;
        outputs
    }

    fn latency_samples(&mut self) -> Vec<LatencySample> {
        let mut samples = Vec::new();
        self.stage.take_latency_samples(&mut |sample| samples.push(sample));
        samples
    }

    fn count(&self, outcome: Outcome) -> u64 {
        let mut count = 0;
        self.stage.ledgers(&mut |_, ledger| {
            assert!(ledger.is_balanced());
            count += ledger.count(outcome);
        });
        count
    }
}

#[test]
fn a_post_is_classified_and_queued_without_its_author() {
    let mut bench = Bench::avro();
    let text = "Kecewa banget, sudah seminggu paket belum sampai dan CS tidak membalas.";
    let outputs = bench.give(None, Some(&avro(&post("p 1", "warga depok", NOW, text))));
    assert_eq!(outputs.len(), 2);
    let (output, item) = &outputs[0];
    assert_eq!(*output, ClassifyStage::FIRST_QUEUE, "the complaint queue is the first");
    assert_eq!(item.key.as_deref(), Some(&b"warga%20depok|post|p%201"[..]));
    let item = decoded(SchemaName::QueueItem, item.value.as_ref().unwrap());
    assert_eq!((item["status"].as_str(), item["text"].as_str()), (Some("open"), Some(text)));
    let (output, classified) = &outputs[1];
    assert_eq!((*output, classified.key.as_deref()), (ClassifyStage::CLASSIFIED, Some(&b"warga%20depok"[..])));
    assert!(!classified.value.as_ref().unwrap().windows(3).any(|bytes| bytes == b"u-1"), "the author's id is gone");
    let classified = decoded(SchemaName::Classified, classified.value.as_ref().unwrap());
    assert_eq!(classified["label"], "complaint");
    assert_eq!(classified["direction"], "member_to_all");
    assert_eq!(classified["reach_band"], "small");
    assert_eq!(classified["content_kinds"][0], "text");
    assert!(classified["author_key"].as_str().unwrap().starts_with("v1:"));
    assert_eq!((classified["origin_partition"].as_i64(), classified["origin_offset"].as_i64()), (Some(1), Some(0)));
    assert_eq!(bench.count(Outcome::Classified), 1);
}

#[test]
fn mixed_text_is_noted_in_the_record_and_its_queue_item() {
    let mut bench = Bench::avro();
    for (text, deleted, mixed) in [
        (MIXED, false, true),
        ("Pesanan saya belum datang juga, padahal sudah dibayar minggu lalu", false, false),
        (MIXED, true, false),
        (" ", false, false),
    ] {
        let mut interaction = post("1", "c", NOW, text);
        interaction.deleted = deleted;
        if text.trim().is_empty() {
            interaction.media = vec![Media { kind: ContentKind::Photo, url: None }];
        }
        let outputs = bench.give(None, Some(&avro(&interaction)));
        for (output, kept) in &outputs {
            let schema = match *output {
                ClassifyStage::CLASSIFIED => SchemaName::Classified,
                _ => SchemaName::QueueItem,
            };
            let record = decoded(schema, kept.value.as_ref().unwrap());
            assert_eq!(record["mixed"].as_bool(), Some(mixed), "{text:?}, deleted: {deleted}: {record}");
        }
        assert_eq!(outputs.len(), if text.trim().is_empty() || deleted { 1 } else { 2 }, "{text:?}");
    }
}

#[test]
fn the_brands_own_post_and_a_retraction_are_not_queued() {
    let mut bench = Bench::avro();
    let mut own = post("1", "c", NOW, "Mohon maaf, tim kami sedang memperbaikinya.");
    own.author = Some(Author { id: "b".into(), handle: None, role: Role::Brand, followers: None, verified: None });
    assert_eq!(bench.give(None, Some(&avro(&own))).len(), 1);
    let mut gone = post("2", "c", NOW, "apa saja");
    gone.deleted = true;
    gone.author = None;
    let outputs = bench.give(None, Some(&avro(&gone)));
    let classified = decoded(SchemaName::Classified, outputs[0].1.value.as_ref().unwrap());
    assert_eq!((outputs.len(), classified["deleted"].as_bool()), (1, Some(true)));
    assert!(classified["text"].is_null() && classified["tier"] == "none");
}

#[test]
fn media_without_text_is_valid() {
    let mut bench = Bench::avro();
    let mut photo = post("1", "c", NOW, " ");
    photo.media = vec![Media { kind: ContentKind::Photo, url: None }, Media { kind: ContentKind::Photo, url: None }];
    let outputs = bench.give(None, Some(&avro(&photo)));
    let classified = decoded(SchemaName::Classified, outputs[0].1.value.as_ref().unwrap());
    assert_eq!((classified["label"].as_str(), classified["tier"].as_str()), (Some("other"), Some("none")));
    assert_eq!(classified["content_kinds"], serde_json::json!(["photo"]));
}

#[test]
fn each_bad_record_is_a_dead_letter_with_its_reason_and_stops_nothing() {
    let good = post("1", "c", NOW, "halo");
    let with = |change: &dyn Fn(&mut Interaction<'static>)| {
        let mut interaction = good.clone();
        change(&mut interaction);
        avro(&interaction)
    };
    let mut invalid = avro(&good);
    let at = invalid.windows(4).position(|bytes| bytes == b"halo").unwrap();
    invalid[at] = 0xff;
    let mut unknown = avro(&good);
    unknown[2] ^= 1;
    let cases: Vec<(&str, Option<Vec<u8>>)> = vec![
        ("malformed", Some(avro(&good)[..30].to_vec())),
        ("wrong_framing", Some(b"{\"id\":1}".to_vec())),
        ("wrong_framing", Some(Vec::new())),
        ("unknown_schema", Some(unknown)),
        ("too_large", Some(with(&|post| post.text = "a".repeat(5_000_000).into()))),
        ("invalid_utf8", Some(invalid)),
        ("future_time", Some(with(&|post| post.created_at = 253_370_764_800_000))),
        ("impossible_time", Some(with(&|post| post.created_at = 0))),
        ("future_time", Some(with(&|post| post.edited_at = Some(NOW + 300_001)))),
        ("missing_field", Some(with(&|post| post.author = None))),
        ("missing_field", Some(with(&|post| post.id = "".into()))),
        ("limit_exceeded", Some(with(&|post| post.community_id = "c".repeat(257).into()))),
        ("limit_exceeded", Some(with(&|post| post.media = vec![Media { kind: ContentKind::Video, url: None }; 33]))),
        ("null_value", None),
    ];
    let mut bench = Bench::avro();
    for (number, (reason, value)) in cases.iter().enumerate() {
        let outputs = bench.give(Some(b"k"), value.as_deref());
        assert_eq!(outputs.len(), 1, "{reason}");
        let (output, letter) = &outputs[0];
        assert_eq!(*output, ClassifyStage::DEAD_LETTERS);
        assert_eq!(letter.headers[header::REASON], *reason, "{:?}", letter.headers);
        assert_eq!(letter.headers[header::ORIGIN], format!("posts:1:{}", number * 2));
        assert_eq!(letter.headers[header::STAGE], "classify");
        assert_eq!(letter.key.as_deref(), Some(&b"k"[..]));
        match value {
            Some(value) if value.len() > 1_048_576 => {
                assert_eq!(letter.value.as_ref().unwrap().len(), 1_048_576);
                assert_eq!(letter.headers[header::ORIGINAL_SIZE], value.len().to_string());
                assert_eq!(letter.headers[header::ORIGINAL_SHA256].len(), 64);
            }
            value => assert_eq!(letter.value.as_ref(), value.as_ref()),
        }
        assert_eq!(bench.give(None, Some(&avro(&good))).last().unwrap().0, ClassifyStage::CLASSIFIED, "goes on");
    }
    assert_eq!(bench.count(Outcome::DeadLettered), cases.len() as u64);
}

#[test]
fn a_dead_letter_keeps_headers_and_says_what_was_cut() {
    let mut bench = Bench::avro();
    let read = |see: &mut dyn FnMut(&str, &[u8])| {
        see("traceparent", b"00-1");
        see("sinyal.reason", b"of an earlier time");
        see("sinyal.attempts", b"2");
        see("sinyal.first-origin", b"posts:0:7");
        see("sinyal.redrive-of", b"dead:0:3");
        see("blob", &[7; 20_000]);
    };
    let key = vec![b'k'; 20_000];
    let record = InputRecord {
        from: FROM,
        offset: 0,
        timestamp: Some(NOW),
        key: Some(&key),
        value: Some(b"{}"),
        headers: InputHeaders::read_by(&read),
    };
    let (_, outputs) = bench.step(Input::Record(record));
    let letter = &outputs[0].1;
    assert_eq!(letter.headers["traceparent"], "00-1");
    assert_eq!(letter.headers[header::REASON], "wrong_framing", "the one of now");
    assert_eq!((&*letter.headers[header::ATTEMPTS], &*letter.headers[header::FIRST_ORIGIN]), ("2", "posts:0:7"));
    assert!(!letter.headers.contains_key(header::REDRIVE_OF), "it is the dead letter of another one now");
    assert_eq!(letter.headers[header::ORIGIN], "posts:1:0");
    assert_eq!(letter.headers[header::ORIGINAL_HEADERS_LEFT_OUT], "1");
    assert!(!letter.headers.contains_key("blob"));
    assert_eq!(letter.headers[header::ORIGINAL_TIMESTAMP], NOW.to_string());
    assert_eq!((letter.key.as_ref().unwrap().len(), &*letter.headers[header::ORIGINAL_KEY_SIZE]), (16_384, "20000"));
}

#[test]
fn a_retraction_does_not_move_event_time() {
    let mut bench = Bench::new(RawFormat::Avro, Framing::SingleObject, KeyFormat::Identity);
    let old = NOW - 86_400_000;
    bench.give(None, Some(&avro(&post("1", "c", old, "halo"))));
    bench.give(Some(b"c|post|1"), None);
    let (_, markers) = bench.step(Input::Flush);
    let marker = decoded(SchemaName::Classified, markers[0].1.value.as_ref().unwrap());
    assert_eq!(marker["sources"][0]["largest_event_time"], old);
}

#[test]
fn a_null_value_retracts_where_keys_name_identity() {
    let mut bench = Bench::new(RawFormat::Avro, Framing::SingleObject, KeyFormat::Identity);
    let outputs = bench.give(Some(b"warga%20depok|post|7"), None);
    let classified = decoded(SchemaName::Classified, outputs[0].1.value.as_ref().unwrap());
    assert_eq!((classified["id"].as_str(), classified["deleted"].as_bool()), (Some("7"), Some(true)));
    assert_eq!(classified["community_id"], "warga depok");
    for key in [&b"7"[..], b"c|comment|7", b"c|post", b"%FF|post|7"] {
        let outputs = bench.give(Some(key), None);
        assert_eq!(outputs[0].1.headers[header::REASON], "null_value");
    }
}

#[test]
fn the_registry_is_asked_before_the_record_is_taken() {
    let mut bench = Bench::new(RawFormat::Avro, Framing::Confluent, KeyFormat::None);
    let mut value = Vec::new();
    let mut encoder = RawEncoder::Avro {
        posts: Encoder::confluent(SchemaName::Post, 42),
        comments: Encoder::confluent(SchemaName::Comment, 43),
    };
    encoder.encode(&post("1", "c", NOW, "halo"), &mut value).unwrap();
    let record = InputRecord {
        from: FROM,
        offset: 0,
        timestamp: None,
        key: None,
        value: Some(&value),
        headers: InputHeaders::default(),
    };
    assert_eq!(bench.step(Input::Record(record)), (Step::NeedsSchema(42), Vec::new()));
    assert_eq!(bench.count(Outcome::Classified), 0);
    let lookup = SchemaLookup::Found(SchemaName::Post.text().to_owned());
    bench.step(Input::Schema { id: 42, lookup });
    let (step, outputs) = bench.step(Input::Record(record));
    assert_eq!((step, outputs.last().unwrap().0), (Step::Done, ClassifyStage::CLASSIFIED));
    assert_eq!(bench.count(Outcome::Classified), 1);
}

#[test]
fn markers_go_to_every_classified_partition_once_a_second() {
    let mut bench = Bench::avro();
    bench.give(None, Some(&avro(&post("1", "c", NOW - 500, "halo"))));
    bench.step(Input::EndOfPartition(FROM, 1));
    let (_, markers) = bench.step(Input::Flush);
    assert_eq!(markers.iter().map(|(_, kept)| kept.partition).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
    let marker = decoded(SchemaName::Classified, markers[0].1.value.as_ref().unwrap());
    let source = &marker["sources"][0];
    assert_eq!((source["position"].as_i64(), source["caught_up"].as_bool()), (Some(1), Some(true)));
    assert_eq!(source["largest_event_time"].as_i64(), Some(NOW - 500));
    assert!(bench.step(Input::Flush).1.is_empty());
}

#[test]
fn a_comment_needs_its_post() {
    let mut bench = Bench::new(RawFormat::Json, Framing::SingleObject, KeyFormat::None);
    let mut comment = post("1", "c", NOW, "halo");
    comment.kind = Kind::Comment;
    let from = InputPartition { input: 1, partition: 0 };
    let mut value = Vec::new();
    RawEncoder::Json.encode(&comment, &mut value).unwrap();
    let record = InputRecord {
        from,
        offset: 0,
        timestamp: None,
        key: None,
        value: Some(&value),
        headers: InputHeaders::default(),
    };
    let (_, outputs) = bench.step(Input::Record(record));
    assert_eq!(outputs[0].1.headers[header::REASON], "missing_field");
    assert!(outputs[0].1.headers[header::DETAIL].contains("post_id"));
}

#[test]
fn that_a_source_is_behind_again_is_said_before_what_follows() {
    let mut bench = Bench::avro();
    bench.step(Input::EndOfPartition(FROM, 0));
    assert_eq!(bench.step(Input::Flush).1.len(), 3);
    let (_, markers) = bench.step(Input::MoreToRead(&[FROM]));
    assert_eq!(markers.len(), 3);
    let marker = decoded(SchemaName::Classified, markers[0].1.value.as_ref().unwrap());
    assert_eq!(marker["sources"][0]["caught_up"], false);
    assert!(bench.step(Input::MoreToRead(&[FROM])).1.is_empty(), "once");
}

#[test]
fn classified_records_are_sampled_by_their_kafka_time_until_they_are_committed_or_lost() {
    let mut bench = Bench::avro();
    let value = avro(&post("1", "c", NOW, "Pelayanan cepat, terima kasih!"));
    for nth in 1..=40 {
        bench.give_of(NOW - 5_000 + nth, None, Some(&value));
        bench.give_of(NOW - 9_000, None, Some(b"not a record"));
    }
    let sample = |nth| LatencySample { since: NOW - 5_000 + nth, weight: 1 };
    assert_eq!(bench.latency_samples(), [sample(16), sample(32)], "dead letters are not among them");
    assert_eq!(bench.latency_samples(), []);
    (0..40).for_each(|_| drop(bench.give(None, Some(&value))));
    bench.step(Input::Lost(&[FROM]));
    assert_eq!(bench.latency_samples(), [], "what is given up is not measured");
}
