//! Canaries: they come through every partition, and nothing else is any different for them.

use std::collections::BTreeMap;

use pipeline::classify::Tallies;
use pipeline::{CANARY_COMMUNITY, CANARY_KEY, CANARY_OLD_MS, CanarySeal, ClassifyStage, Sealed, canary_interaction};
use proptest::prelude::*;
use record::stage::{Input, InputPartition};
use record::{EpochMs, Kind, Outcome};
use serde_json::{Value, json};
use window::WindowSet;
use wire::SchemaName;

use crate::community::TEXTS;
use crate::world::{ClassifySide, CommunitySide, Kept, Left, NOW, avro, decoded, post};

const SECOND: i64 = 1_000;
const POSTS_0: InputPartition = InputPartition { input: 0, partition: 0 };
const POSTS_1: InputPartition = InputPartition { input: 0, partition: 1 };
const COMMENTS_0: InputPartition = InputPartition { input: 1, partition: 0 };
const COMMENTS_1: InputPartition = InputPartition { input: 1, partition: 1 };
const ALL: [InputPartition; 4] = [POSTS_0, POSTS_1, COMMENTS_0, COMMENTS_1];

/// A raw record.
#[derive(Clone)]
struct Raw {
    key: Option<&'static [u8]>,
    value: Vec<u8>,
    canary: Option<String>,
}

fn canary(at: InputPartition, sent_at: EpochMs) -> Raw {
    let (topic, kind) = if at.input == 0 { ("posts", Kind::Post) } else { ("comments", Kind::Comment) };
    let value = avro(&canary_interaction(kind, topic, at.partition, sent_at));
    let sealed = Sealed { topic, partition: at.partition, key: CANARY_KEY, value: &value };
    let header = CanarySeal::new(b"a secret for the tests").unwrap().header("a1", sent_at, sealed);
    Raw { key: Some(CANARY_KEY), canary: Some(header), value }
}

fn give(side: &mut ClassifySide, at: InputPartition, raw: &Raw, now: EpochMs) -> Vec<(usize, Kept)> {
    side.keyed(at, raw.key, &raw.value, raw.canary.as_deref(), now)
}

fn tallies(side: &ClassifySide) -> &Tallies {
    side.stage.tallies()
}

#[test]
fn a_canary_comes_through_every_partition_and_is_nothing_else() {
    let mut side = ClassifySide::new(ALL);
    side.settle(NOW);
    assert!(give(&mut side, POSTS_1, &canary(POSTS_1, NOW), NOW + 40).is_empty());
    let passed = side.step(Input::Flush);
    assert_eq!(passed.len(), 3, "one for each partition, and no marker is due");
    let mut community = CommunitySide::new(WindowSet::standard(), 1_000, 3);
    for (partition, (output, kept)) in passed.iter().enumerate() {
        assert_eq!((*output, kept.partition), (ClassifyStage::CLASSIFIED, Some(partition as i32)));
        assert_eq!(kept.key, None);
        let marker = decoded(SchemaName::Classified, kept.value.as_ref().unwrap());
        assert_eq!(marker["sources"], json!([]), "it moves no event time");
        assert_eq!(
            marker["canaries"],
            json!([{ "topic": "posts", "partition": 1, "offset": 0, "id": "a1", "sent_at": NOW }])
        );
    }
    assert!(side.step(Input::Flush).is_empty(), "once");
    assert_eq!(side.ledger().count(Outcome::Canary), 1);
    assert_eq!(side.ledger().consumed(), 1);

    community.append(&passed);
    community.now = NOW + 90;
    community.read();
    community.commit();
    let told: Vec<&str> = community.left.canaries.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(told, ["posts|1|0", "posts|1|1", "posts|1|2"]);
    let told = &community.left.canaries[2].1;
    assert_eq!(
        (&told["raw_topic"], &told["raw_partition"], &told["raw_offset"]),
        (&json!("posts"), &json!(1), &json!(0))
    );
    assert_eq!(told["classified_partition"], 2);
    assert_eq!(
        [&told["sent_at"], &told["classified_at"], &told["counted_at"]].map(|time| time.as_i64()),
        [Some(NOW), Some(NOW + 40), Some(NOW + 90)]
    );
    assert_eq!((community.ledger().count(Outcome::Progress), community.left.dead_letters), (3, 0));
    assert_eq!(community.watermark(), None, "nobody said anything");
    community.lose_canary_topic();
    community.append(&passed);
    community.read();
    community.commit();
    assert_eq!(community.left.canaries.len(), 3, "there is nowhere to tell it");
}

#[test]
fn what_only_claims_to_be_a_canary_is_what_else_it_is() {
    let mut side = ClassifySide::new(ALL);
    let genuine = canary(POSTS_0, NOW);
    let complaint = avro(&post("1", "c", NOW, "Paket saya belum sampai, kecewa sekali"));
    let hidden = Raw { value: complaint.clone(), ..genuine.clone() };
    let moved = canary(POSTS_1, NOW);
    let other_key = Raw { key: Some(b"else"), value: complaint, ..genuine.clone() };
    let bare = Raw { canary: None, ..hidden.clone() };
    for (claim, false_canaries) in [(&hidden, 1), (&moved, 2), (&other_key, 2), (&bare, 2)] {
        let outputs = give(&mut side, POSTS_0, claim, NOW);
        assert!(outputs.iter().any(|(output, kept)| *output == ClassifyStage::CLASSIFIED && kept.key.is_some()));
        assert_eq!(tallies(&side).false_canaries, false_canaries);
    }
    assert_eq!(side.ledger().count(Outcome::Classified), 4);
    assert_eq!(tallies(&side).by_queue.iter().sum::<u64>(), 3, "the three complaints wait to be answered");
    assert!(give(&mut side, POSTS_0, &genuine, NOW).is_empty());
    assert_eq!(side.ledger().count(Outcome::Canary), 1);
}

/// An older version does not know canaries, and one with another secret does not trust them.
#[test]
fn to_whom_it_is_no_canary_it_changes_no_figure() {
    let mut side = ClassifySide::new(ALL);
    let mut community = CommunitySide::new(WindowSet::standard(), 1_000, 3);
    for round in 0..5 {
        for at in ALL {
            let unknown = Raw { canary: None, ..canary(at, NOW + round * 30 * SECOND) };
            let outputs = give(&mut side, at, &unknown, NOW + round * 30 * SECOND);
            assert!(outputs.iter().all(|(output, _)| *output == ClassifyStage::CLASSIFIED), "no queue has it");
            community.append(&outputs);
        }
    }
    community.append(&side.settle(NOW + 150 * SECOND));
    community.now = NOW + 160 * SECOND;
    community.read();
    community.commit();
    assert_eq!((community.left.rows.len(), community.left.queue_states.len(), community.left.dead_letters), (0, 0, 0));
    let known: usize = community.stage.status().map(|status| status.ids).sum();
    assert_eq!(known, 4, "one for each partition, however many came");
    assert_eq!(community.stage.status().map(|status| status.communities).sum::<usize>(), 0, "{CANARY_COMMUNITY}");
}

/// The next stage would refuse the marker, and with it the other canary.
#[test]
fn a_canary_by_a_clock_that_is_far_ahead_is_left_out() {
    let mut side = ClassifySide::new(ALL);
    let mut community = CommunitySide::new(WindowSet::standard(), 1_000, 3);
    give(&mut side, POSTS_0, &canary(POSTS_0, NOW + 3_600 * SECOND), NOW);
    give(&mut side, POSTS_1, &canary(POSTS_1, NOW), NOW);
    community.append(&side.settle(NOW));
    community.now = NOW;
    community.read();
    community.commit();
    assert_eq!(side.ledger().count(Outcome::Canary), 2);
    let told: Vec<&str> = community.left.canaries.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!((told, community.left.dead_letters), (vec!["posts|1|0", "posts|1|1", "posts|1|2"], 0));
}

#[test]
fn a_replay_passes_on_no_canaries_of_long_ago() {
    let mut side = ClassifySide::new(ALL);
    give(&mut side, POSTS_0, &canary(POSTS_0, NOW - CANARY_OLD_MS - 1), NOW);
    give(&mut side, POSTS_0, &canary(POSTS_0, NOW - CANARY_OLD_MS), NOW);
    let passed = side.settle(NOW);
    let canaries: usize = passed
        .iter()
        .map(|(_, kept)| {
            decoded(SchemaName::Classified, kept.value.as_ref().unwrap())["canaries"].as_array().unwrap().len()
        })
        .sum();
    assert_eq!((canaries, side.ledger().count(Outcome::Canary)), (3, 2));
}

#[test]
fn a_crowd_of_canaries_is_passed_on_in_parts() {
    let mut side = ClassifySide::new(ALL);
    let one = canary(POSTS_0, NOW);
    let sizes = |outputs: &[(usize, Kept)]| -> Vec<usize> {
        let first = outputs.iter().filter(|(_, kept)| kept.partition == Some(0));
        let markers = first.map(|(_, kept)| decoded(SchemaName::Classified, kept.value.as_ref().unwrap()));
        markers.map(|marker| marker["canaries"].as_array().unwrap().len()).filter(|&size| size > 0).collect()
    };
    let mut passed = Vec::new();
    for _ in 0..1_100 {
        passed.extend(give(&mut side, POSTS_0, &one, NOW));
    }
    passed.extend(side.step(Input::Flush));
    assert_eq!(sizes(&passed), [500, 500, 100]);
    // What is given up is read again.
    give(&mut side, POSTS_0, &one, NOW);
    side.step(Input::Lost(&[POSTS_0]));
    assert!(sizes(&side.step(Input::Flush)).is_empty());
}

/// What happens in a second.
#[derive(Debug, Clone)]
enum Happens {
    Post(usize, i64, usize),
    Canary(usize),
    /// The replicas read this many records of a partition in each of the next seconds.
    Pace(usize),
    Seconds(u8),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0..4_usize, 0..20_i64, 0..TEXTS.len()).prop_map(|(at, ago, text)| Happens::Post(at, ago, text)),
        4 => (0..4_usize).prop_map(Happens::Canary),
        1 => (1..4_usize).prop_map(Happens::Pace),
        3 => (1..40_u8).prop_map(Happens::Seconds),
    ]
}

/// Two replicas, the community stage, and what is in the raw partitions.
struct Town {
    raw: BTreeMap<InputPartition, Vec<Raw>>,
    replicas: [(ClassifySide, BTreeMap<InputPartition, i64>); 2],
    community: CommunitySide,
    pace: usize,
    now: EpochMs,
    watermarks: Vec<Option<EpochMs>>,
}

impl Town {
    fn new() -> Town {
        let replica = |owned: [InputPartition; 2]| (ClassifySide::new(owned), BTreeMap::new());
        Town {
            raw: BTreeMap::new(),
            replicas: [replica([POSTS_0, COMMENTS_0]), replica([POSTS_1, COMMENTS_1])],
            community: CommunitySide::new(WindowSet::standard(), 1_000_000, 3),
            pace: usize::MAX,
            now: NOW,
            watermarks: Vec::new(),
        }
    }

    fn live(happenings: &[Happens], with_canaries: bool) -> Town {
        let mut town = Town::new();
        for (number, what) in happenings.iter().enumerate() {
            match *what {
                Happens::Post(at, ago, text) => {
                    let mut post = post(&number.to_string(), "c", town.now - ago * SECOND, TEXTS[text]);
                    if ALL[at].input == 1 {
                        (post.kind, post.post_id) = (Kind::Comment, Some("0".into()));
                    }
                    let raw = Raw { key: None, value: avro(&post), canary: None };
                    town.raw.entry(ALL[at]).or_default().push(raw);
                }
                Happens::Canary(at) if with_canaries => {
                    let canary = canary(ALL[at], town.now);
                    town.raw.entry(ALL[at]).or_default().push(canary);
                }
                Happens::Canary(_) => {}
                Happens::Pace(pace) => town.pace = pace,
                Happens::Seconds(seconds) => (0..seconds).for_each(|_| town.second()),
            }
        }
        // Whatever is left is read.
        (0..400).for_each(|_| town.second());
        town
    }

    fn second(&mut self) {
        self.now += SECOND;
        for (side, ends) in &mut self.replicas {
            let log = |at: InputPartition| self.raw.get(&at).map_or(&[][..], |log| log);
            let mut said = side.step(Input::Clock(self.now));
            let owned: Vec<InputPartition> = side.positions.keys().copied().collect();
            let grown = |at: &InputPartition| ends.get(at).is_some_and(|&end| end < log(*at).len() as i64);
            let grown: Vec<InputPartition> = owned.iter().copied().filter(grown).collect();
            if !grown.is_empty() {
                ends.retain(|at, _| !grown.contains(at));
                said.extend(side.step(Input::MoreToRead(&grown)));
            }
            for at in owned {
                // Canaries come on top of what is read in a second: without them as much of the rest is.
                let mut counted = 0;
                for raw in &log(at)[side.positions[&at] as usize..] {
                    counted += usize::from(raw.canary.is_none());
                    if counted > self.pace {
                        break;
                    }
                    said.extend(give(side, at, raw, self.now));
                }
                let position = side.positions[&at];
                if position == log(at).len() as i64 && ends.insert(at, position) != Some(position) {
                    said.extend(side.step(Input::EndOfPartition(at, position)));
                }
            }
            said.extend(side.step(Input::Flush));
            self.community.append(&said);
        }
        self.community.now = self.now;
        self.community.read();
        self.community.commit();
        self.watermarks.push(self.community.watermark());
    }

    /// Everything that people are shown.
    fn shown(&self) -> Left {
        // What is written down names offsets, which canaries move.
        let mut left = self.community.left.clone();
        left.queue_states.values_mut().for_each(|item| item["origin_offset"] = Value::Null);
        left.canaries.clear();
        left.forget_changelog();
        left
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 300, ..ProptestConfig::default() })]

    /// Rows, items, alerts, and event time at each second are the same with canaries at any places as without.
    #[test]
    fn nothing_is_different_for_canaries(happenings in prop::collection::vec(happens(), 1..60)) {
        let with = Town::live(&happenings, true);
        let without = Town::live(&happenings, false);
        prop_assert_eq!(&with.watermarks, &without.watermarks);
        prop_assert_eq!(with.shown(), without.shown());
        let sent = with.raw.values().flatten().filter(|raw| raw.canary.is_some()).count();
        prop_assert_eq!(with.community.left.canaries.len(), 3 * sent);
        for (side, _) in &with.replicas {
            prop_assert_eq!(side.ledger().count(Outcome::DeadLettered), 0);
        }
    }
}
