//! What becomes of an interaction by the rules and the community registry: queue, department, deadline, priority.

use pipeline::{ClassifySettings, ClassifyStage, KeyFormat};
use proptest::prelude::*;
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage};
use record::{Author, EpochMs, Interaction, Kind, Role};
use rules::{
    Communities, CommunitySpec, Conditions, Live, LiveCommunities, QueueSpec, Routing, RuleSpec, Sla, SlaClock, Takes,
};
use serde_json::{Value, json};
use wire::{Framing, RawFormat, SchemaName};

use crate::world::{NOW, avro, classify_settings, decoded, keep, post};

const FROM: InputPartition = InputPartition { input: 0, partition: 0 };
const COMPLAINT: &str = "Kecewa banget, sudah seminggu paket belum sampai dan CS tidak membalas.";

struct Bench {
    stage: ClassifyStage,
    live: LiveCommunities,
    rules: Live<Routing>,
    offset: i64,
}

/// What one raw record became: the classified record, and its queue item with the output it went to.
struct Became {
    classified: Value,
    item: Option<(usize, Value)>,
}

impl Bench {
    fn new(routing: Routing, communities: Communities) -> Bench {
        let (live, rules) = (LiveCommunities::new(communities), Live::new(routing));
        let settings = ClassifySettings {
            routing: rules.clone(),
            communities: live.clone(),
            ..classify_settings(RawFormat::Avro, Framing::SingleObject, KeyFormat::None, None)
        };
        let mut stage = ClassifyStage::new(settings);
        stage.step(Input::Assigned(&[(FROM, 0)]), &mut Outputs::default()).unwrap();
        Bench { stage, live, rules, offset: 0 }
    }

    fn give(&mut self, interaction: &Interaction<'_>, now: EpochMs) -> Became {
        let mut outputs = Outputs::default();
        self.stage.step(Input::Clock(now), &mut outputs).unwrap();
        let value = avro(interaction);
        let input = usize::from(interaction.kind == Kind::Comment);
        let record = InputRecord {
            from: InputPartition { input, ..FROM },
            offset: self.offset,
            timestamp: Some(now),
            key: None,
            value: Some(&value),
            headers: InputHeaders::default(),
        };
        self.offset += 1;
        self.stage.step(Input::Record(record), &mut outputs).unwrap();
        let mut became = Became { classified: Value::Null, item: None };
        for (output, kept) in keep(&outputs) {
            let value = kept.value.unwrap();
            match output {
                ClassifyStage::CLASSIFIED => became.classified = decoded(SchemaName::Classified, &value),
                ClassifyStage::DEAD_LETTERS => panic!("a dead letter: {:?}", kept.headers),
                queue => became.item = Some((queue, decoded(SchemaName::QueueItem, &value))),
            }
        }
        became
    }
}

fn routing() -> Routing {
    let mut queues: Vec<QueueSpec> = Routing::standard().queues().iter().map(|queue| queue.spec.clone()).collect();
    queues[0].sla = Sla::new(120, SlaClock::Business);
    queues.push(QueueSpec { name: "depok".into(), takes: Takes::Rules, department: "desk".into(), sla: None });
    let rule = RuleSpec {
        name: "depok".to_owned(),
        when: Conditions { communities: ["warga-depok".to_owned()].into(), ..Conditions::default() },
        queue: "depok".to_owned(),
        department: None,
        sla: Sla::new(30, SlaClock::Always),
    };
    Routing::new(queues).unwrap().with_rules(vec![rule]).unwrap()
}

fn communities(brand_accounts: &[&str]) -> Communities {
    let depok = CommunitySpec {
        id: "warga-depok".to_owned(),
        department: Some("depok branch".to_owned()),
        brand_accounts: Some(brand_accounts.iter().map(|&account| account.to_owned()).collect()),
        ..CommunitySpec::default()
    };
    Communities::new(&CommunitySpec::default(), &[depok]).unwrap()
}

#[test]
fn an_item_says_where_it_goes_until_when_and_why() {
    let mut bench = Bench::new(routing(), communities(&[]));
    let (queue, item) = bench.give(&post("1", "warga-depok", NOW, COMPLAINT), NOW).item.unwrap();
    assert_eq!(queue, ClassifyStage::FIRST_QUEUE + 5);
    assert_eq!((item["queue"].as_str(), item["department"].as_str()), (Some("depok"), Some("depok branch")));
    assert_eq!(item["due_at"], NOW + 30 * 60_000);
    assert_eq!(item["reason"], "rule \"depok\" matches: community warga-depok; it sends to queue depok");
    assert_eq!((&item["priority"], &item["priority_reasons"]), (&json!(60), &json!(["complaint"])));

    // Friday, an hour before the end of business in Jakarta, and crawled an hour and a half later.
    let friday = 1_795_770_000_000;
    let (queue, item) = bench.give(&post("2", "elsewhere", friday, COMPLAINT), friday + 90 * 60_000).item.unwrap();
    assert_eq!((queue, item["department"].as_str()), (ClassifyStage::FIRST_QUEUE, Some("customer care")));
    assert_eq!(item["due_at"], friday + (2 * 24 + 17) * 3_600_000);
    assert!(item["reason"].as_str().unwrap().contains("label complaint"), "{item}");

    // A week later it is past due twice over.
    let late = friday + 7 * 24 * 3_600_000;
    let (_, item) = bench.give(&post("2", "elsewhere", friday, COMPLAINT), late).item.unwrap();
    assert_eq!((&item["priority"], &item["priority_reasons"]), (&json!(85), &json!(["complaint", "overdue"])));
}

#[test]
fn who_the_registry_names_is_the_brand_from_the_next_turn_of_the_clock_on() {
    let mut bench = Bench::new(routing(), communities(&[]));
    let mut comment = post("3", "warga-depok", NOW, COMPLAINT);
    comment.kind = Kind::Comment;
    comment.post_id = Some("p".into());
    comment.post_author =
        Some(Author { id: "178".into(), handle: None, role: Role::Unknown, followers: None, verified: None });
    bench
        .stage
        .step(Input::Assigned(&[(InputPartition { input: 1, partition: 0 }, 0)]), &mut Outputs::default())
        .unwrap();

    let before = bench.give(&comment, NOW);
    assert_eq!(before.classified["direction"], "unknown");
    bench.live.replace(communities(&["178"]));
    let after = bench.give(&comment, NOW + 1_000);
    assert_eq!(
        (&after.classified["direction"], &after.classified["post_author_role"]),
        (&json!("member_to_brand"), &json!("brand"))
    );
    // What it says is the same, but not to whom: the next stage must not take it for what it knows already.
    assert_ne!(before.classified["content_digest"], after.classified["content_digest"]);

    // The brand's own words wait nowhere, whatever role the record gives.
    bench.live.replace(communities(&["178", "u-1"]));
    let own = bench.give(&comment, NOW + 2_000);
    assert_eq!((&own.classified["author_role"], &own.classified["queue"]), (&json!("brand"), &Value::Null));
    assert!(own.item.is_none());
    // Elsewhere the same account is who the record says.
    let elsewhere = bench.give(&post("4", "elsewhere", NOW, COMPLAINT), NOW + 2_000);
    assert_eq!(elsewhere.classified["author_role"], "member");
}

#[test]
fn rules_that_are_replaced_send_what_comes_from_the_next_turn_of_the_clock_on() {
    let mut bench = Bench::new(routing(), communities(&[]));
    let before = bench.give(&post("1", "warga-depok", NOW, COMPLAINT), NOW).item.unwrap();
    let without = Routing::new(routing().queues().iter().map(|queue| queue.spec.clone()).collect()).unwrap();
    bench.rules.replace(without);
    let after = bench.give(&post("2", "warga-depok", NOW, COMPLAINT), NOW).item.unwrap();
    assert_eq!((&before.1["queue"], &after.1["queue"]), (&json!("depok"), &json!("complaint")));
    assert_ne!(before.0, after.0, "another queue is another output");
}

/// Somebody's reach: all that a record says of it.
fn reach() -> impl Strategy<Value = (Option<i64>, Option<bool>)> {
    let followers = prop_oneof![
        Just(None),
        proptest::sample::select(vec![Some(0), Some(999), Some(1_000), Some(99_999), Some(100_000), Some(i64::MAX)]),
        (0_i64..10_000_000).prop_map(Some),
    ];
    (followers, proptest::option::of(any::<bool>()))
}

/// Texts of every label, a doubtful one, and none.
const TEXTS: [&str; 7] = [
    COMPLAINT,
    "Saran saya, sebaiknya pesan dari pagi supaya kirimannya sampai hari yang sama.",
    "Kemarin saya naik kereta pagi ke Bogor, berangkat jam enam dan sampai jam tujuh.",
    "Terima kasih, pelayanannya cepat sekali dan ramah!",
    "Besok kumpul jam berapa?",
    "lumayan sih tapi lama",
    "",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No gap between the strong and the weak: whatever the reach of the author, of the post's and of the parent's, everything
    /// about a queue item is the same, through the stage as it runs.
    #[test]
    fn reach_moves_nothing_in_a_queue(
        reaches in proptest::collection::vec((reach(), reach(), reach()), 2..6),
        text in 0..TEXTS.len(),
        community in proptest::sample::select(vec!["warga-depok", "elsewhere"]),
        is_comment in any::<bool>(),
        waited_ms in 0_i64..1_000_000_000,
    ) {
        let mut bench = Bench::new(routing(), communities(&[]));
        bench.stage.step(Input::Assigned(&[(InputPartition { input: 1, partition: 0 }, 0)]), &mut Outputs::default()).unwrap();
        let mut seen: Option<Option<(usize, Value)>> = None;
        let mut bands = Vec::new();
        for (own, of_post, of_parent) in reaches {
            let author = |id: &'static str, (followers, verified): (Option<i64>, Option<bool>)| {
                Some(Author { id: id.into(), handle: None, role: Role::Member, followers, verified })
            };
            let mut interaction = post("1", community, NOW - waited_ms, TEXTS[text]);
            interaction.author = author("u-1", own);
            if is_comment {
                interaction.kind = Kind::Comment;
                interaction.post_id = Some("p".into());
                interaction.parent_id = Some("q".into());
                interaction.post_author = author("u-2", of_post);
                interaction.parent_author = author("u-3", of_parent);
            }
            let became = bench.give(&interaction, NOW);
            bands.push(became.classified["reach_band"].clone());
            // Only where it was read from tells one from the other.
            let item = became.item.map(|(queue, mut item)| {
                item["origin_offset"] = Value::Null;
                (queue, item)
            });
            match &seen {
                None => seen = Some(item),
                Some(seen) => prop_assert_eq!(seen, &item, "bands {:?}", bands),
            }
        }
    }
}

#[test]
fn the_texts_of_the_property_reach_every_queue() {
    let mut bench = Bench::new(Routing::standard(), communities(&[]));
    let mut queues: Vec<String> = TEXTS
        .iter()
        .filter_map(|text| bench.give(&post("1", "elsewhere", NOW, text), NOW).item)
        .map(|(_, item)| item["queue"].as_str().unwrap().to_owned())
        .collect();
    queues.sort();
    queues.dedup();
    assert_eq!(queues, ["complaint", "experience", "praise", "review", "tip"]);
}
