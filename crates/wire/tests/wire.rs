//! Round trips, refusals, and what garbage does: nothing.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;

use apache_avro::Reader;
use proptest::prelude::*;
use record::stage::SchemaLookup;
use record::{
    Author, ClassifiedInteraction, ClassifiedRecord, ContentKind, Direction, Interaction, Kind, Label, Language, Media,
    Progress, ReachBand, Reason, Role, SourceCanary, SourceProgress, Tier,
};
use wire::{
    ClassifiedDecoder, DecodeError, Encoder, Frame, Framing, GenericSchema, RawDecoder, RawEncoder, RawFormat,
    SchemaName, schema_by_fingerprint,
};

fn author() -> impl Strategy<Value = Author<'static>> {
    let role = prop::sample::select(vec![Role::Member, Role::Brand, Role::Moderator, Role::Unknown]);
    (".{1,8}", prop::option::of(".{0,8}"), role, prop::option::of(any::<i64>()), prop::option::of(any::<bool>()))
        .prop_map(|(id, handle, role, followers, verified)| Author {
            id: id.into(),
            handle: handle.map(Cow::from),
            role,
            followers,
            verified,
        })
}

fn interaction() -> impl Strategy<Value = Interaction<'static>> {
    let media = (prop::sample::select(ContentKind::ALL.to_vec()), prop::option::of(".{0,9}"))
        .prop_map(|(kind, url)| Media { kind, url: url.map(Cow::from) });
    let head = (any::<bool>(), ".{0,9}", ".{0,9}", prop::option::of(author()), any::<i64>(), any::<i64>());
    let body = (prop::option::of(any::<i64>()), any::<bool>(), ".{0,40}", prop::collection::vec(media, 0..3));
    let links = (prop::option::of(".{0,9}"), prop::option::of(".{0,2}"), prop::option::of(".{0,9}"));
    let tail = (prop::option::of(author()), prop::option::of(author()), prop::collection::vec(".{0,5}", 0..3));
    (head, body, links, tail).prop_map(|(head, body, links, tail)| {
        let comment = head.0;
        Interaction {
            kind: if comment { Kind::Comment } else { Kind::Post },
            id: head.1.into(),
            community_id: head.2.into(),
            author: head.3,
            created_at: head.4,
            observed_at: head.5,
            edited_at: body.0,
            deleted: body.1,
            text: body.2.into(),
            media: body.3,
            url: links.0.map(Cow::from),
            language_hint: links.1.map(Cow::from),
            post_id: links.2.clone().filter(|_| comment).map(Cow::from),
            parent_id: links.2.filter(|_| comment).map(Cow::from),
            post_author: tail.0.filter(|_| comment),
            parent_author: tail.1.filter(|_| comment),
            mentions: if comment { tail.2.into_iter().map(Cow::from).collect() } else { Vec::new() },
        }
    })
}

fn classified() -> ClassifiedInteraction<'static> {
    ClassifiedInteraction {
        community_id: "warga depok".into(),
        kind: Kind::Comment,
        id: "k-1".into(),
        author_key: Some("v1:00".into()),
        author_role: Role::Member,
        post_author_key: None,
        post_author_role: Role::Brand,
        parent_author_key: None,
        parent_author_role: Role::Unknown,
        direction: Direction::MemberToBrand,
        reach_band: ReachBand::Small,
        thread_id: Some("p-1".into()),
        parent_id: None,
        url: None,
        created_at: 1_795_482_000_000,
        observed_at: 1_795_482_001_000,
        edited_at: None,
        ingested_at: 1_795_482_002_000,
        classified_at: 1_795_482_003_000,
        deleted: false,
        content_digest: "ab".repeat(32).into(),
        label: Label::Complaint,
        p_complaint: 0.75,
        p_tip: 0.0,
        p_experience: 0.125,
        p_praise: 0.0,
        p_other: 0.125,
        confidence: 0.75,
        abstained: false,
        language: Language::Indonesian,
        mixed: true,
        tier: Tier::Fast,
        model: "fast-1".into(),
        queue: Some("complaint".into()),
        content_kinds: [ContentKind::Text, ContentKind::Photo].into_iter().collect(),
        fingerprint: Some(-7),
        text: Some("kok belum sampai juga ya, this is getting ridiculous".into()),
        text_truncated: false,
        origin_topic: "social.comments.raw".into(),
        origin_partition: 3,
        origin_offset: 77,
        previous_author_key: None,
    }
}

fn marker() -> ClassifiedRecord<'static> {
    let source = SourceProgress {
        topic: "social.posts.raw".into(),
        partition: 1,
        position: 9,
        largest_event_time: None,
        caught_up: true,
        grown_since: Some(4),
    };
    let canary =
        SourceCanary { topic: "social.posts.raw".into(), partition: 1, offset: 8, id: "a1".into(), sent_at: 3 };
    ClassifiedRecord::Progress(Progress { at: 5, sources: vec![source], canaries: vec![canary] })
}

fn encoded<T: serde::Serialize>(schema: SchemaName, value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    Encoder::single_object(schema).encode(value, &mut bytes).unwrap();
    bytes
}

fn reason_of<T>(result: Result<T, DecodeError>) -> Option<Reason> {
    match result {
        Err(DecodeError::Reject(rejection)) => Some(rejection.reason),
        _ => None,
    }
}

fn raw(format: RawFormat) -> RawDecoder {
    RawDecoder::new(format, Framing::SingleObject, 10_000)
}

proptest! {
    #[test]
    fn raw_records_come_back_as_they_went(interaction in interaction()) {
        for (format, mut encoder) in
            [(RawFormat::Avro, RawEncoder::single_object()), (RawFormat::Json, RawEncoder::Json)]
        {
            let mut bytes = Vec::new();
            encoder.encode(&interaction, &mut bytes).unwrap();
            let mut decoder = raw(format);
            let decoded = decoder.decode(interaction.kind, &bytes).unwrap();
            prop_assert_eq!(&decoded, &interaction);
            prop_assert_eq!(decoder.unknown_fields(), 0);
        }
    }

    #[test]
    fn garbage_is_refused_and_nothing_more(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for name in [SchemaName::Post, SchemaName::Classified] {
            let mut framed = vec![0xc3, 0x01];
            framed.extend_from_slice(&name.fingerprint().to_le_bytes());
            framed.extend_from_slice(&bytes);
            let _ = raw(RawFormat::Avro).decode(Kind::Post, &framed);
            let _ = ClassifiedDecoder::new(Framing::SingleObject).decode(&framed);
            let _ = GenericSchema::parse(name.text()).unwrap().to_json(&bytes);
        }
        let _ = raw(RawFormat::Avro).decode(Kind::Comment, &bytes);
        let _ = raw(RawFormat::Json).decode(Kind::Comment, &bytes);
        let _ = RawDecoder::new(RawFormat::Avro, Framing::Confluent, 10_000).decode(Kind::Post, &bytes);
    }

    #[test]
    fn a_damaged_record_never_panics(at in 0_usize..400, bit in 0_u8..8, cut in 0_usize..400) {
        let mut bytes = encoded(SchemaName::Classified, &ClassifiedRecord::ClassifiedInteraction(classified()));
        let whole = bytes.len();
        bytes[at % whole] ^= 1 << bit;
        let _ = ClassifiedDecoder::new(Framing::SingleObject).decode(&bytes);
        bytes[at % whole] ^= 1 << bit;
        bytes.truncate(cut % whole);
        prop_assert!(ClassifiedDecoder::new(Framing::SingleObject).decode(&bytes).is_err());
    }
}

#[test]
fn classified_records_come_back_borrowed() {
    for value in [ClassifiedRecord::ClassifiedInteraction(classified()), marker()] {
        let bytes = encoded(SchemaName::Classified, &value);
        let mut decoder = ClassifiedDecoder::new(Framing::SingleObject);
        let decoded = decoder.decode(&bytes).unwrap();
        assert_eq!(decoded, value);
        if let ClassifiedRecord::ClassifiedInteraction(decoded) = decoded {
            assert!(matches!(decoded.community_id, Cow::Borrowed(_)));
            assert!(matches!(decoded.text, Some(Cow::Borrowed(_))), "an optional string is borrowed too");
        }
    }
}

/// An encoder of another make reads what ours wrote.
#[test]
fn apache_avro_reads_what_we_write() {
    let schema = apache_avro::Schema::parse_str(SchemaName::Classified.text()).unwrap();
    let bytes = encoded(SchemaName::Classified, &ClassifiedRecord::ClassifiedInteraction(classified()));
    let value = apache_avro::reader::datum::GenericDatumReader::builder(&schema)
        .build()
        .unwrap()
        .read_value(&mut &bytes[10..])
        .unwrap();
    let json: serde_json::Value = value.try_into().unwrap();
    assert_eq!(json["label"], "complaint");
    assert_eq!(json["content_kinds"][1], "photo");
    assert_eq!((&json["origin_offset"], &json["mixed"]), (&77.into(), &true.into()));
    let generic = GenericSchema::parse(SchemaName::Classified.text()).unwrap().to_json(&bytes[10..]).unwrap();
    assert_eq!(generic["label"], "complaint");
    assert_eq!(schema_by_fingerprint(SchemaName::Classified.fingerprint()).unwrap().0, SchemaName::Classified);
}

/// A reader by the first version reads what we write, and we read what a writer by it wrote: with the defaults of what came
/// later.
#[test]
fn the_first_version_of_classified_is_read_and_reads_ours() {
    use apache_avro::reader::datum::GenericDatumReader;
    use apache_avro::writer::datum::GenericDatumWriter;
    let text = SchemaName::Classified.released_texts()[0];
    let (current, first) = (
        apache_avro::Schema::parse_str(SchemaName::Classified.text()).unwrap(),
        apache_avro::Schema::parse_str(text).unwrap(),
    );
    // As Avro's specification computes it, checked with fastavro; apache-avro 0.22 makes another of a logical type.
    let fingerprint = 0x767e_32d9_a9e2_2e44_u64.to_le_bytes();
    let without_mixed = ClassifiedInteraction { mixed: false, ..classified() };
    let mut without_growth = marker();
    if let ClassifiedRecord::Progress(progress) = &mut without_growth {
        progress.sources[0].grown_since = None;
        progress.canaries.clear();
    }
    for (written, expected) in [
        (ClassifiedRecord::ClassifiedInteraction(classified()), ClassifiedRecord::ClassifiedInteraction(without_mixed)),
        (marker(), without_growth),
    ] {
        let bytes = encoded(SchemaName::Classified, &written);
        let reader = GenericDatumReader::builder(&current).reader_schema(&first).build().unwrap();
        let as_first = reader.read_value(&mut &bytes[10..]).unwrap();
        let mut datum = Vec::new();
        GenericDatumWriter::builder(&first).build().unwrap().write_value(&mut datum, as_first).unwrap();
        let framed = [&[0xc3, 1], &fingerprint[..], &datum].concat();
        assert_eq!(ClassifiedDecoder::new(Framing::SingleObject).decode(&framed), Ok(expected.clone()));
        let framed = [&[0, 0, 0, 0, 7], &datum[..]].concat();
        let mut decoder = ClassifiedDecoder::new(Framing::Confluent);
        decoder.add_schema(7, &SchemaLookup::Found(text.to_owned()));
        assert_eq!(decoder.decode(&framed), Ok(expected));
    }
}

/// Each schema reads what each released version wrote, and the other way round.
#[test]
fn every_released_version_and_the_current_one_read_each_other() {
    use apache_avro::schema_compatibility::SchemaCompatibility;
    for name in SchemaName::ALL {
        let current = apache_avro::Schema::parse_str(name.text()).unwrap();
        assert!(!name.released_texts().is_empty(), "{} has no released version", name.as_str());
        for text in name.released_texts() {
            let released = apache_avro::Schema::parse_str(text).unwrap();
            let reads = |writer, reader| {
                SchemaCompatibility::can_read(writer, reader).unwrap_or_else(|error| {
                    panic!("{}: {error}", name.as_str());
                })
            };
            reads(&released, &current);
            reads(&current, &released);
            // Not only in principle: a made-up value goes through both ways.
            for (writer, reader) in [(&released, &current), (&current, &released)] {
                let value = made_up(writer);
                let mut file = apache_avro::Writer::new(writer, Vec::new()).unwrap();
                file.append_value(value).unwrap();
                let bytes = file.into_inner().unwrap();
                let read = Reader::builder(&bytes[..]).reader_schema(reader).build().unwrap().next().unwrap();
                assert!(read.is_ok(), "{}: {read:?}", name.as_str());
            }
        }
    }
}

/// A value of a schema: the last branch of a union, one item in an array.
fn made_up(schema: &apache_avro::Schema) -> apache_avro::types::Value {
    use apache_avro::Schema;
    use apache_avro::types::Value;
    fn of(schema: &Schema, names: &mut std::collections::HashMap<String, Schema>) -> Value {
        match schema {
            Schema::Null => Value::Null,
            Schema::Boolean => Value::Boolean(true),
            Schema::Int => Value::Int(3),
            Schema::Long => Value::Long(7),
            Schema::Float => Value::Float(0.5),
            Schema::Double => Value::Double(0.25),
            Schema::String => Value::String("ya".to_owned()),
            Schema::TimestampMillis => Value::TimestampMillis(9),
            Schema::Map(map) => Value::Map([("a".to_owned(), of(&map.types, names))].into()),
            Schema::Array(array) => Value::Array(vec![of(&array.items, names)]),
            Schema::Union(union) => {
                let last = union.variants().len() - 1;
                Value::Union(last as u32, Box::new(of(&union.variants()[last], names)))
            }
            Schema::Ref { name } => {
                let schema = names[&name.fullname(None)].clone();
                of(&schema, names)
            }
            Schema::Record(record) => {
                names.insert(record.name.fullname(None), schema.clone());
                Value::Record(
                    record.fields.iter().map(|field| (field.name.clone(), of(&field.schema, names))).collect(),
                )
            }
            other => panic!("no value is made up for {other:?}"),
        }
    }
    of(schema, &mut std::collections::HashMap::new())
}

#[test]
fn each_refusal_has_its_reason() {
    let valid = encoded(SchemaName::Classified, &marker());
    let decode = |bytes: &[u8]| reason_of(ClassifiedDecoder::new(Framing::SingleObject).decode(bytes));
    assert_eq!(decode(&[]), Some(Reason::WrongFraming));
    assert_eq!(decode(&[0, 0, 0, 0, 1, 2]), Some(Reason::WrongFraming));
    assert_eq!(decode(&[0xc3, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0]), Some(Reason::UnknownSchema));
    assert_eq!(decode(&valid[..valid.len() - 1]), Some(Reason::Malformed));
    assert_eq!(decode(&[&valid[..], &[0]].concat()), Some(Reason::Malformed));
    let mut bytes = Vec::new();
    let post = r#"{"id":"#;
    assert_eq!(reason_of(raw(RawFormat::Json).decode(Kind::Post, post.as_bytes())), Some(Reason::Malformed));
    let json = |text: &str| reason_of(raw(RawFormat::Json).decode(Kind::Post, text.as_bytes()));
    assert_eq!(json(r#"{"id":"1","created_at":1,"observed_at":1}"#), Some(Reason::MissingField));
    assert_eq!(
        json(r#"{"id":"1","community_id":"c","created_at":"kemarin","observed_at":1}"#),
        Some(Reason::ImpossibleTime)
    );
    assert_eq!(json(r#"{"id":7}"#), Some(Reason::Malformed));
    assert_eq!(json(&"[".repeat(9_000)), Some(Reason::Malformed), "depth is bounded");
    assert_eq!(json(&" ".repeat(10_001)), Some(Reason::TooLarge));
    assert_eq!(reason_of(raw(RawFormat::Json).decode(Kind::Post, b"{\"id\":\"\xff\"}")), Some(Reason::InvalidUtf8));
    let interaction = Interaction { text: "halo".into(), ..plain() };
    RawEncoder::single_object().encode(&interaction, &mut bytes).unwrap();
    let at = bytes.windows(4).position(|window| window == b"halo").unwrap();
    bytes[at] = 0xff;
    assert_eq!(reason_of(raw(RawFormat::Avro).decode(Kind::Post, &bytes)), Some(Reason::InvalidUtf8));
}

fn plain() -> Interaction<'static> {
    Interaction {
        kind: Kind::Post,
        id: "1".into(),
        community_id: "c".into(),
        author: None,
        created_at: 1,
        observed_at: 1,
        edited_at: None,
        deleted: false,
        text: "".into(),
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

/// An array that claims 2^40 items of no bytes' worth must not make us count to it.
#[test]
fn a_hostile_length_is_refused() {
    let mut bytes = vec![0xc3, 1];
    bytes.extend_from_slice(&SchemaName::Classified.fingerprint().to_le_bytes());
    bytes.extend_from_slice(&[2, 0]); // branch 1 of the union (Progress), at = 0
    bytes.extend_from_slice(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1]); // 2^41 sources
    let result = ClassifiedDecoder::new(Framing::SingleObject).decode(&bytes).map(|_| ());
    assert!(matches!(reason_of(result), Some(Reason::LimitExceeded | Reason::Malformed)));
}

#[test]
fn the_registry_is_asked_and_its_answers_told_apart() {
    let mut bytes = Vec::new();
    Encoder::confluent(SchemaName::Classified, 7).encode(&marker(), &mut bytes).unwrap();
    assert_eq!(Frame::read(&bytes).0, Frame::Confluent(7));
    let mut decoder = ClassifiedDecoder::new(Framing::Confluent);
    assert_eq!(decoder.decode(&bytes), Err(DecodeError::NeedsSchema(7)));
    decoder.add_schema(7, &SchemaLookup::NotFound);
    assert_eq!(reason_of(decoder.decode(&bytes)), Some(Reason::UnknownSchema));
    for _ in 0..1_001 {
        let _ = decoder.decode(&bytes);
    }
    assert_eq!(decoder.decode(&bytes), Err(DecodeError::NeedsSchema(7)), "asked again in time");
    decoder.add_schema(7, &SchemaLookup::Found(r#"{"type":"record","name":"Other","fields":[]}"#.to_owned()));
    assert_eq!(reason_of(decoder.decode(&bytes)), Some(Reason::IncompatibleSchema));
    decoder.add_schema(7, &SchemaLookup::Found(SchemaName::Classified.text().to_owned()));
    assert_eq!(decoder.decode(&bytes), Ok(marker()));
}

/// The library panics at some; nobody who may register a schema may stop a partition by that.
#[test]
fn a_schema_that_the_library_panics_at_is_refused() {
    for (key, value) in [("precision", "\"x\""), ("scale", "1.5"), ("size", "null")] {
        let text = format!(
            r#"{{"type":"record","name":"Other","fields":[{{"name":"a","type":{{"type":"record","name":"B","{key}":{value},"fields":[]}},"default":null}}]}}"#
        );
        let mut decoder = ClassifiedDecoder::new(Framing::Confluent);
        decoder.add_schema(7, &SchemaLookup::Found(text));
        match decoder.decode(&[0, 0, 0, 0, 7]) {
            Err(DecodeError::Reject(rejection)) => {
                assert_eq!(rejection.reason, Reason::IncompatibleSchema);
                assert!(rejection.detail.contains(&format!("{key:?} is no integer")), "{}", rejection.detail);
            }
            other => panic!("{other:?}"),
        }
    }
    // Where it is no part of the schema it may be anything.
    let mut bytes = Vec::new();
    Encoder::confluent(SchemaName::Classified, 7).encode(&marker(), &mut bytes).unwrap();
    let mut schema: serde_json::Value = serde_json::from_str(SchemaName::Classified.text()).unwrap();
    schema[0]["props"] = serde_json::json!({ "size": "large" });
    let mut decoder = ClassifiedDecoder::new(Framing::Confluent);
    decoder.add_schema(7, &SchemaLookup::Found(schema.to_string()));
    assert_eq!(decoder.decode(&bytes), Ok(marker()));
}

/// It goes into a header of each dead letter, which a schema of the largest size would not fit into.
#[test]
fn of_a_schema_that_cannot_be_read_little_is_told() {
    let fields: Vec<String> =
        (0..5_000).map(|number| format!(r#"{{"name":"é{number}","type":"long","doc":"é"}}"#)).collect();
    let text = format!(r#"{{"type":"record","name":"Other","fields":[{}]}}"#, fields.join(","));
    for text in [text.replace('é', "e"), text] {
        let mut decoder = ClassifiedDecoder::new(Framing::Confluent);
        decoder.add_schema(7, &SchemaLookup::Found(text));
        match decoder.decode(&[0, 0, 0, 0, 7]) {
            Err(DecodeError::Reject(rejection)) => {
                assert_eq!(rejection.reason, Reason::IncompatibleSchema);
                assert!(rejection.detail.len() < 1_000, "{} bytes", rejection.detail.len());
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_writer_with_more_fields_and_other_order_is_read() {
    let writer = r#"{"type":"record","name":"Post","namespace":"id.sinyal","fields":[
        {"name":"mood","type":["null","string"]},
        {"name":"observed_at","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"created_at","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"community_id","type":"string"},{"name":"id","type":"string"}]}"#;
    let mut decoder = RawDecoder::new(RawFormat::Avro, Framing::Confluent, 1_000);
    decoder.add_schema(1, &SchemaLookup::Found(writer.to_owned()));
    let value = [&[0, 0, 0, 0, 1][..], &[2, 4, b'o', b'k'], &[8], &[6], &[2, b'c'], &[2, b'i']].concat();
    let post = decoder.decode(Kind::Post, &value).unwrap();
    assert_eq!((post.created_at, post.observed_at, &*post.id, &*post.community_id), (3, 4, "i", "c"));
}

#[test]
fn unknown_json_fields_are_ignored_and_counted() {
    let mut decoder = raw(RawFormat::Json);
    let json = r#"{"kind":"post","truth":{"label":"tip"},"id":"1","community_id":"c","created_at":1,"observed_at":2,
        "likes":3,"author":{"id":"a","role":"admin","karma":9},"media":[{"kind":"sticker"}],"text":null}"#;
    let post = decoder.decode(Kind::Post, json.as_bytes()).unwrap();
    assert_eq!(decoder.unknown_fields(), 2);
    assert_eq!(post.author.unwrap().role, Role::Unknown);
    assert_eq!(post.media[0].kind, ContentKind::Unknown);
}

/// Every field that is optional or has a default, given as null, is as if it were not there.
#[test]
fn a_null_in_json_is_an_absent_field() {
    let required = r#""id":"1","community_id":"c","created_at":1,"observed_at":2"#;
    let of = |kind: Kind, more: &str| {
        let json = format!("{{{required}{more}}}");
        let mut decoder = raw(RawFormat::Json);
        let decoded = decoder.decode(kind, json.as_bytes()).map(|interaction| format!("{interaction:?}"));
        assert_eq!(decoder.unknown_fields(), 0, "{json}");
        decoded
    };
    let optional = [
        "author",
        "edited_at",
        "deleted",
        "text",
        "media",
        "url",
        "language_hint",
        "post_id",
        "parent_id",
        "post_author",
        "parent_author",
        "mentions",
    ];
    for kind in [Kind::Post, Kind::Comment] {
        for field in optional {
            assert_eq!(of(kind, &format!(r#","{field}":null"#)), of(kind, ""), "{field}");
        }
    }
    for author in ["author", "post_author", "parent_author"] {
        for field in ["handle", "role", "followers", "verified"] {
            let with = of(Kind::Comment, &format!(r#","{author}":{{"id":"a","{field}":null}}"#));
            assert_eq!(with, of(Kind::Comment, &format!(r#","{author}":{{"id":"a"}}"#)), "{author}.{field}");
        }
    }
    let with = of(Kind::Post, r#","media":[{"kind":"photo","url":null}]"#);
    assert_eq!(with, of(Kind::Post, r#","media":[{"kind":"photo"}]"#));
    assert_eq!(of(Kind::Post, r#","media":[{"kind":null}]"#), of(Kind::Post, r#","media":[{}]"#));
    for field in ["id", "community_id", "created_at", "observed_at"] {
        let json = format!("{{{required}}}").replacen(&format!("\"{field}\":"), &format!("\"{field}\":null,\"x\":"), 1);
        assert!(reason_of(raw(RawFormat::Json).decode(Kind::Post, json.as_bytes())).is_some(), "{json}");
    }
}

#[test]
fn what_responders_send_and_read_comes_back() {
    let alert = record::Alert {
        id: "complaint_spike|warga%20depok|1795482000000".into(),
        rule: "complaint_spike".into(),
        community_id: "warga depok".into(),
        state: "firing".into(),
        severity: "critical".into(),
        started_at: 1_795_482_000_000,
        updated_at: 1_795_482_060_000,
        resolved_at: None,
        window: "5m".into(),
        observed: 12.0,
        expected: Some(1.5),
        score: Some(9.25),
        distinct_authors: Some(11),
        near_duplicate_share: Some(0.0),
        coordinated: false,
        samples: vec!["warga%20depok|comment|k-1".into()],
        summary_id: "keluhan naik".into(),
        summary_en: "complaints rise".into(),
        links: vec![],
        inhibited_by: None,
        acknowledged_by: Some("sari".into()),
        fired_at: Some(1_795_482_030_000),
        acknowledged_at: Some(1_795_482_050_000),
        silenced_by: None,
        silenced_until: None,
        silence_reason: None,
        new_author_share: Some(0.5),
        transition: 3,
    };
    let mut bytes = Vec::new();
    Encoder::single_object(SchemaName::Alert).encode(&alert, &mut bytes).unwrap();
    assert_eq!(wire::AlertDecoder::new(Framing::SingleObject).decode(&bytes).unwrap(), alert);
    let action = record::Action {
        kind: "silence".into(),
        target: "warga%20depok|complaint_spike".into(),
        by: "sari".into(),
        at: 1_795_482_050_000,
        until: Some(1_795_485_600_000),
        reason: Some("festival week".into()),
    };
    bytes.clear();
    Encoder::single_object(SchemaName::Action).encode(&action, &mut bytes).unwrap();
    assert_eq!(wire::ActionDecoder::new(Framing::SingleObject).decode(&bytes).unwrap(), action);
}

#[test]
fn a_community_comes_back_with_what_is_said_and_what_is_not() {
    let full = record::CommunityEntry {
        id: "warga depok".to_owned(),
        name: Some("Warga Depok".to_owned()),
        time_zone: Some("Asia/Jakarta".to_owned()),
        language: Some("id".to_owned()),
        business_hours: Some(record::BusinessHours {
            monday: vec!["08:00-12:00".to_owned(), "13:00-17:00".to_owned()],
            ..record::BusinessHours::default()
        }),
        holidays: Some(vec![record::HolidayEntry { date: "2026-12-25".to_owned(), name: "Natal".to_owned() }]),
        brand_accounts: Some(vec!["178".to_owned(), "@care".to_owned()]),
        department: Some("depok branch".to_owned()),
        links: Some([("group".to_owned(), "https://example.org/g".to_owned())].into()),
    };
    assert!(!format!("{full:?}").contains("178"));
    let bare = record::CommunityEntry { id: "b".to_owned(), ..record::CommunityEntry::default() };
    let mut decoder = wire::CommunityDecoder::new(Framing::SingleObject);
    for entry in [full, bare] {
        let mut bytes = Vec::new();
        Encoder::single_object(SchemaName::Community).encode(&entry, &mut bytes).unwrap();
        assert_eq!(decoder.decode(&bytes).unwrap(), entry);
    }
}
