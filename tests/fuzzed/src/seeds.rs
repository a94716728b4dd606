//! The first inputs of each target, made by our own encoders from a simulated world and from sentences of our own. The fuzzer goes on
//! from them; `fuzz/corpus` keeps what it found to be worth more.

use std::collections::BTreeMap;

use pipeline::{ClassifyStage, CommunityStage};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage, Step};
use record::{Action, Canary, Correction, Interaction, Kind, Label, partition_for_key};
use sim::{SimInteraction, World, WorldConfig};
use wire::{Encoder, Framing, RawEncoder, RawFormat, SchemaName};

use crate::TARGETS;
use crate::changelog::write_entry;
use crate::community_stage;
use crate::stages::{self, PARTITIONS, RAW_PARTITIONS, RAW_TOPICS};

/// An input of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The target's name.
    pub target: &'static str,
    /// The input.
    pub bytes: Vec<u8>,
}

/// Texts with what is looked for in them, and with what is like it.
const SENTENCES: [&str; 12] = [
    "Hubungi 0812-3456-7890 atau +62 21 555 0123 ya kak",
    "Kirim ke budi.santoso@contoh.co.id, jangan ke siti (at) contoh . id",
    "NIK saya 3174011203850001, KK 3174010101010001",
    "Kartu 4111 1111 1111 1111 ditolak terus, kenapa?",
    "Transfer ke rekening BCA 1234567890 a.n. Budi",
    "Resi JNE 012345678901234 belum sampai dari tanggal 12/03/2026 jam 10.30",
    "Nomor ٠٨١٢٣٤٥٦٧٨٩٠ atau ０８１２３４５６７８９０",
    "https://wa.me/6281234567890?text=halo%20kak",
    "Kecewa berat, paketnya rusak dan CS nggak bales-bales 😡😡",
    "The courier was late again but the staff were kind, thanks",
    "Matur nuwun sanget, pelayananipun sae",
    "a\u{301}\u{200d}\u{feff}\u{202e} ok",
];

/// Every first input.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let mut add = |target: &'static str, bytes: Vec<u8>| seeds.push(Seed { target, bytes });
    of_records(&mut add);
    of_texts(&mut add);
    of_scripts(&mut add);
    // Without the binary's doors there are fewer targets.
    seeds.retain(|seed| TARGETS.iter().any(|target| target.name == seed.target));
    seeds
}

fn of_records(add: &mut impl FnMut(&'static str, Vec<u8>)) {
    let deliveries = deliveries(400);
    let mut kinds: BTreeMap<String, &SimInteraction> = BTreeMap::new();
    for delivery in &deliveries {
        let interaction = &delivery.interaction;
        kinds
            .entry(format!("{:?}{:?}{}", interaction.kind, delivery.truth.event, interaction.media.len()))
            .or_insert(delivery);
    }
    for delivery in kinds.values() {
        let interaction = &delivery.interaction;
        add("raw_avro", written(interaction, &mut RawEncoder::single_object()));
        add("raw_confluent", written(interaction, &mut RawEncoder::confluent(1, 2)));
        add("raw_json", written(interaction, &mut RawEncoder::Json));
        add("ingest", sim::to_json_line(delivery).into_bytes());
    }
    add(
        "raw_json",
        br#"{"id":"1","community_id":"a","created_at":"2026-11-24T08:00:00+07:00","observed_at":1,"text":null}"#
            .to_vec(),
    );
    add(
        "raw_json",
        br#"{"id":"1","community_id":"\u0061","created_at":-1,"observed_at":1e3,"media":[{}],"more":[[]]}"#.to_vec(),
    );
    let (classified, items) = classified_of(&deliveries);
    for value in classified.iter().chain(&items) {
        add(if value.0 == SchemaName::Classified { "classified" } else { "other_records" }, value.1.clone());
    }
    for (_, value) in rows_of(&classified) {
        add("other_records", value);
    }
    let identity = |id: &'static str| ("warga-depok", Kind::Comment, id);
    for (label, queue) in [(Some(Label::Tip), None), (None, Some("complaint")), (Some(Label::Other), Some("none"))] {
        let (community_id, kind, id) = identity("7");
        let correction = Correction {
            community_id: community_id.into(),
            kind,
            id: id.into(),
            label,
            queue: queue.map(Into::into),
            by: "sari".into(),
            at: stages::NOW,
            reason: Some("salah label".into()),
        };
        add("correction", single(SchemaName::Correction, &correction));
        add("correction", confluent(SchemaName::Correction, &correction));
    }
    for (kind, target) in [
        ("claim", "warga-depok|post|7"),
        ("acknowledge_alert", "silence|warga-depok|1795482000000"),
        ("silence", "warga-depok|overdue"),
        ("erase", "warga-depok|v1%3A000102030405060708090a0b0c0d0e0f"),
    ] {
        let until = (kind != "erase").then_some(stages::NOW + 60_000);
        let (by, reason) = ("sari".into(), Some("festival".into()));
        let action = Action { kind: kind.into(), target: target.into(), by, at: stages::NOW, until, reason };
        add("action", single(SchemaName::Action, &action));
        add("action", confluent(SchemaName::Action, &action));
    }
    let canary = Canary {
        id: "r1".into(),
        sent_at: stages::NOW,
        raw_topic: Some("posts".into()),
        raw_partition: Some(1),
        raw_offset: Some(17),
        classified_partition: None,
        classified_at: Some(stages::NOW),
        counted_at: None,
    };
    add("other_records", single(SchemaName::Canary, &canary));
    let entry = record::CommunityEntry { id: "warga-depok".to_owned(), ..record::CommunityEntry::default() };
    add("other_records", single(SchemaName::Community, &entry));
    for name in [SchemaName::Post, SchemaName::Comment, SchemaName::Classified, SchemaName::Action] {
        let mut bytes = compact(name.text());
        bytes.extend_from_slice(b"\0\x021\x02a\0\0\0\0\0\0\0\0");
        add("registry_schema", bytes);
    }
    add(
        "registry_schema",
        br#"{"type":"record","name":"P","fields":[{"name":"id","type":"string"},{"name":"next","type":["null","P"]}]}"#
            .to_vec(),
    );
    add(
        "registry_schema",
        br#"{"type":"array","items":{"type":"map","values":{"type":"fixed","name":"F","size":3}}}"#.to_vec(),
    );
}

fn of_texts(add: &mut impl FnMut(&'static str, Vec<u8>)) {
    for sentence in SENTENCES {
        add("text", sentence.as_bytes().to_vec());
        add("redact", [&[0], sentence.as_bytes()].concat());
        add("requests", [&[4], sentence.as_bytes()].concat());
    }
    add("redact", [&[5], SENTENCES.join(" ").as_bytes()].concat());
    add("text", SENTENCES.join("\n").repeat(4).into_bytes());
    #[cfg(feature = "doors")]
    of_configuration(add);
    for text in [
        "warga%20depok|comment|7",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "1;r1;1795482000000;000102030405060708090a0b0c0d0e0f000102030405060708090a0b0c0d0e0f",
        "caf%C3%A9|%ff||%7C",
    ] {
        add("keys", text.as_bytes().to_vec());
    }
    for (which, text) in [
        (0, r#"{"id":"complaint_spike|warga|1795482000000#2","by":"sari","reason":"sudah ditangani"}"#),
        (0, r#"{"id":"warga|post|7@posts:0:3","by":"sari","kind":"item"}"#),
        (1, "120"),
        (1, "Wed, 21 Oct 2015 07:28:00 GMT"),
        (2, r#"{"community_id":"a","kind":"post","id":"7","label":"tip","by":"sari","at":1795482000000}"#),
        (2, r#"{"community_id":"a","kind":"comment","id":"7","queue":"complaint","by":"sari","reason":"x"}"#),
        (3, r#"{"id":"7","text":"mantap sekali"}"#),
    ] {
        add("requests", [&[which], text.as_bytes()].concat());
    }
}

#[cfg(feature = "doors")]
fn of_configuration(add: &mut impl FnMut(&'static str, Vec<u8>)) {
    let defaults = sinyal::doors::default_configuration();
    let bare: Vec<&str> = defaults.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    // By tables: one at a time is easier to change.
    for table in bare
        .split(|line| line.starts_with("[["))
        .take(1)
        .flat_map(|lines| lines.chunk_by(|_, line| !line.starts_with('[')))
    {
        add("configuration", table.join("\n").into_bytes());
    }
    for text in [
        "[[queues]]\nname = \"complaint\"\nlabels = [\"complaint\"]\ndepartment = \"service\"\nsla_minutes = 60\n",
        "[[routes]]\nname = \"depok\"\ncommunities = [\"warga-depok\"]\nlabels = [\"complaint\"]\nqueue = \"complaint\"\n",
        "[[windows]]\nname = \"1m\"\nlength_ms = 60000\nslide_ms = 10000\nlateness_ms = 0\n",
        "[[notify.targets]]\nname = \"a\"\nkind = \"alertmanager\"\nurl = \"http://localhost:9093\"\n",
        "[kafka]\nbootstrap = \"a:1\"\n[kafka.properties]\n\"linger.ms\" = 5\n",
        "kafka.bootstrap = 7\nclassify.thresold = \"x\"\n",
        "\0KAFKA__BOOTSTRAP=a:1\nCLASSIFY__THRESHOLD=0.5\nITEMS__MAX=no\nA__B=1\n",
    ] {
        add("configuration", text.as_bytes().to_vec());
    }
    for text in [
        "[default]\ntime_zone = \"Asia/Jakarta\"\nlanguage = \"id\"\nholidays = [{ date = \"2026-12-25\", name = \"Natal\" }]\n",
        "[default.business_hours]\nmonday = [\"08:00-12:00\", \"13:00-17:00\"]\nsunday = [\"00:00-24:00\"]\n",
        "[[communities]]\nid = \"a\"\nname = \"A\"\nbrand_accounts = [\"17\", \"@care\"]\ndepartment = \"d\"\nlinks = { group = \"https://a.id\" }\n",
        "[[communities]]\nid = \"a\"\ntime_zone = \"Asia/Makassar\"\n[[communities]]\nid = \"a\"\nlanguage = \"xx\"\n",
        r#"{"default":{"language":"jv"},"communities":[{"id":"a","business_hours":{"monday":["8-9"]},"holidays":null}]}"#,
    ] {
        add("communities", text.as_bytes().to_vec());
    }
}

/// Inputs of the stages mean something whatever their bytes are.
fn of_scripts(add: &mut impl FnMut(&'static str, Vec<u8>)) {
    let mut random = ChaCha8Rng::seed_from_u64(8);
    for turn in 0..24_u32 {
        let mut bytes = vec![0; 150 + 90 * turn as usize];
        random.fill_bytes(&mut bytes);
        add("classify_stage", bytes.clone());
        add("community_stage", bytes);
    }
    for _ in 0..12 {
        let mut bytes = vec![0; 3_000];
        random.fill_bytes(&mut bytes);
        let changelog = community_stage::run(&bytes);
        let mut whole = Vec::new();
        let mut entries: Vec<_> = changelog.into_iter().filter(|((partition, _), _)| *partition == 0).collect();
        entries.sort_unstable_by_key(|(_, (written, _))| *written);
        for ((_, key), (_, value)) in &entries {
            write_entry(key, Some(value), &mut whole);
        }
        add("changelog", whole);
    }
}

fn deliveries(count: usize) -> Vec<SimInteraction> {
    let config =
        WorldConfig { communities: 3, members: 40, retract_share: 0.05, edit_share: 0.05, ..WorldConfig::default() };
    let mut world = World::new(8, config);
    (0..count).map(|_| world.next_interaction()).collect()
}

fn written(interaction: &Interaction<'_>, encoder: &mut RawEncoder) -> Vec<u8> {
    let mut value = Vec::new();
    encoder.encode(interaction, &mut value).expect("an interaction can be written");
    value
}

fn single<T: serde::Serialize>(name: SchemaName, value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    Encoder::single_object(name).encode(value, &mut bytes).expect("a record of ours can be written");
    bytes
}

fn confluent<T: serde::Serialize>(name: SchemaName, value: &T) -> Vec<u8> {
    let place = SchemaName::ALL.into_iter().position(|known| known == name).unwrap_or(0);
    let mut bytes = Vec::new();
    let mut encoder = Encoder::confluent(name, u32::try_from(place).unwrap_or(0) + 1);
    encoder.encode(value, &mut bytes).expect("a record of ours can be written");
    bytes
}

fn compact(schema: &str) -> Vec<u8> {
    let value: serde_json::Value = serde_json::from_str(schema).expect("a schema of ours");
    without_docs(value).to_string().into_bytes()
}

fn without_docs(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(fields) => fields
            .into_iter()
            .filter(|(name, _)| name != "doc")
            .map(|(name, value)| (name, without_docs(value)))
            .collect(),
        serde_json::Value::Array(items) => items.into_iter().map(without_docs).collect(),
        other => other,
    }
}

type Values = Vec<(SchemaName, Vec<u8>)>;

/// What the classify stage makes of them: some interactions and markers, and some items. The interactions come first.
fn classified_of(deliveries: &[SimInteraction]) -> (Values, Values) {
    let mut stage = stages::classify_stage(RawFormat::Avro, Framing::SingleObject, true, None);
    let (mut classified, mut items) = (Values::new(), Values::new());
    let mut step = |input: Input<'_>| {
        let mut outputs = Outputs::default();
        stage.step(input, &mut outputs).expect("no input stops the stage");
        for record in outputs.records() {
            let value = record.value.map(<[u8]>::to_vec).unwrap_or_default();
            match record.output {
                ClassifyStage::CLASSIFIED => classified.push((SchemaName::Classified, value)),
                ClassifyStage::DEAD_LETTERS => {}
                _ if items.len() < 8 => items.push((SchemaName::QueueItem, value)),
                _ => {}
            }
        }
    };
    step(Input::Topology { inputs: &[RAW_PARTITIONS; 2], outputs: &[Some(1)] });
    let places = [0, 1].map(|input| InputPartition { input, partition: 0 });
    step(Input::Assigned(&places.map(|at| (at, 0))));
    let mut offsets = [0, 0];
    for delivery in deliveries.iter().take(40) {
        let input = RAW_TOPICS.iter().position(|(_, kind)| *kind == delivery.interaction.kind).unwrap_or(0);
        let value = written(&delivery.interaction, &mut RawEncoder::single_object());
        let record = InputRecord {
            from: places[input],
            offset: offsets[input],
            timestamp: Some(delivery.arrival),
            key: None,
            value: Some(&value),
            headers: InputHeaders::default(),
        };
        offsets[input] += 1;
        step(Input::Clock(delivery.arrival));
        step(Input::Record(record));
    }
    places.iter().zip(offsets).for_each(|(&at, offset)| step(Input::EndOfPartition(at, offset)));
    step(Input::Flush);
    (classified, items)
}

/// What the community stage makes of them: rows, states and alerts, some of each.
fn rows_of(classified: &Values) -> Values {
    let mut stage = stages::community_stage(stages::windows(true));
    let mut rows = Values::new();
    let mut step = |input: Input<'_>| {
        let mut outputs = Outputs::default();
        let step = stage.step(input, &mut outputs).expect("no input stops the stage");
        for record in outputs.records() {
            let name = match record.output {
                CommunityStage::METRICS => SchemaName::CommunityMetrics,
                CommunityStage::QUEUE_STATE => SchemaName::QueueItem,
                CommunityStage::ALERTS => SchemaName::Alert,
                _ => continue,
            };
            if let Some(value) = record.value
                && rows.iter().filter(|(of, _)| *of == name).count() < 5
            {
                rows.push((name, value.to_vec()));
            }
        }
        step
    };
    step(Input::Topology { inputs: &[PARTITIONS; CommunityStage::INPUTS], outputs: &[] });
    for partition in 0..PARTITIONS {
        step(Input::Assigned(&[(InputPartition { input: 0, partition }, 0)]));
        step(Input::Restored { partition });
    }
    let start = sim::DEFAULT_START + 3_600_000;
    step(Input::Clock(start));
    let mut decoder = wire::ClassifiedDecoder::new(Framing::SingleObject);
    for (offset, (_, value)) in classified.iter().enumerate() {
        let Ok(record::ClassifiedRecord::ClassifiedInteraction(said)) = decoder.decode(value) else { continue };
        let key = record::encode_key(&[&said.community_id]).into_bytes();
        let from = InputPartition { input: 0, partition: partition_for_key(&key, PARTITIONS) };
        let headers = InputHeaders::default();
        let offset = i64::try_from(offset).unwrap_or(0);
        let record = InputRecord { from, offset, timestamp: Some(start), key: Some(&key), value: Some(value), headers };
        step(Input::Record(record));
    }
    for minutes in [10, 60, 180] {
        step(Input::Clock(start + minutes * 60_000));
        while step(Input::Flush) == Step::More {}
    }
    rows
}
