//! The pseudonyms' secret is rotated: who is known stays known, whichever replicas are rolled when.

use std::collections::BTreeMap;

use ::classify::Classifier;
use oracle::{Oracle, Window};
use pipeline::{ClassifySettings, KeyFormat, Pseudonym};
use proptest::prelude::*;
use record::stage::{Input, InputPartition};
use record::{Action, Author, EpochMs, Interaction, Kind, Role, partition_for_key};
use serde_json::Value;
use window::{WindowSet, WindowSpec};
use wire::{Encoder, Framing, RawFormat, SchemaName};

use crate::community::{TEXTS, line_of};
use crate::world::{ClassifySide, CommunitySide, NOW, avro, classify_settings, post};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// The secrets by version.
fn pseudonym(version: u32) -> Pseudonym {
    Pseudonym::new(format!("the secret of version {version}").as_bytes(), version).unwrap()
}

/// How a replica of the classify stage is configured: the version of its secret, and that of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Configured(u32, Option<u32>);

const BEFORE: Configured = Configured(1, None);
const ROTATING: Configured = Configured(2, Some(1));
/// Somebody takes the rotation back.
const TAKEN_BACK: Configured = Configured(1, Some(2));
const AFTER: Configured = Configured(2, None);
const NEXT: Configured = Configured(3, Some(2));

fn windows(lateness_ms: i64) -> WindowSet {
    let spec = |name: &str, length_ms, slide_ms| WindowSpec { name: name.to_owned(), length_ms, slide_ms, lateness_ms };
    WindowSet::new(vec![spec("10m", 10 * MINUTE_MS, 2 * MINUTE_MS), spec("2h", 2 * HOUR_MS, 20 * MINUTE_MS)]).unwrap()
}

/// Replicas of the classify stage by their configuration; a raw partition is whose it is by the next record.
struct World {
    classify: BTreeMap<Configured, ClassifySide>,
    positions: BTreeMap<InputPartition, i64>,
    side: CommunitySide,
    now: EpochMs,
}

/// A link lasts for so long, and the longest window.
const LATENESS_MS: i64 = 4 * HOUR_MS;
/// Longer than anything that is made up goes on: who has been silent for longer than a link lasts is rightly taken for another.
const LONG_MS: i64 = 24 * HOUR_MS;

impl World {
    fn new(ids_max: usize, state_version: Option<u8>) -> World {
        World::open_for(LATENESS_MS, ids_max, state_version)
    }

    fn open_for(lateness_ms: i64, ids_max: usize, state_version: Option<u8>) -> World {
        World::with(windows(lateness_ms), ids_max, state_version)
    }

    fn with(windows: WindowSet, ids_max: usize, state_version: Option<u8>) -> World {
        let places = (0..2).flat_map(|input| (0..2).map(move |partition| InputPartition { input, partition }));
        World {
            classify: BTreeMap::new(),
            positions: places.map(|at| (at, 0)).collect(),
            side: CommunitySide::with_state_version(windows, ids_max, 3, state_version),
            now: NOW,
        }
    }

    fn replica(&mut self, configured: Configured) -> &mut ClassifySide {
        self.classify.entry(configured).or_insert_with(|| {
            let settings = ClassifySettings {
                pseudonym: pseudonym(configured.0),
                previous_pseudonym: configured.1.map(pseudonym),
                ..classify_settings(RawFormat::Avro, Framing::SingleObject, KeyFormat::None, None)
            };
            let settings = ClassifySettings {
                encoders: pipeline::ClassifyEncoders {
                    classified: Encoder::single_object(SchemaName::Classified),
                    classified_before: Encoder::single_object_released(SchemaName::Classified, 2),
                    queue_item: Encoder::single_object(SchemaName::QueueItem),
                },
                ..settings
            };
            ClassifySide::with(settings, [])
        })
    }

    /// A raw record, classified by a replica so configured.
    fn raw(&mut self, configured: Configured, interaction: &Interaction<'_>) {
        let at = InputPartition {
            input: interaction.kind as usize,
            partition: i32::from(interaction.id.len().is_multiple_of(2)),
        };
        let (position, now) = (self.positions[&at], self.now);
        let replica = self.replica(configured);
        replica.own(at, position);
        let outputs = replica.raw(at, &avro(interaction), now);
        self.positions.insert(at, position + 1);
        self.side.append(&outputs);
    }

    /// All that is there is read and committed; every source is at its end.
    fn settle(&mut self) {
        let (now, positions) = (self.now, self.positions.clone());
        let replica = self.replica(BEFORE);
        for (&at, &position) in &positions {
            replica.own(at, position);
        }
        let markers = replica.settle(now);
        self.side.append(&markers);
        self.side.now = now;
        self.side.read();
        self.side.commit();
    }

    /// A member asks to be forgotten, and is named by the pseudonym of one secret.
    fn erase(&mut self, version: u32, community: usize, member: usize, at: EpochMs) {
        let target =
            record::encode_key(&[&format!("warga {community}"), &author_key(version, &format!("u-{member}"))]).into();
        self.side.act(&Action { kind: "erase".into(), target, by: "dpo".into(), at, until: None, reason: None });
    }

    /// How many entries of the changelog say anything of a member, under whichever name.
    fn left_of(&self, member: usize) -> usize {
        let keys = [1, 2].map(|version| author_key(version, &format!("u-{member}")));
        let entries = self.side.left.changelog.iter();
        let says = |(_, entry): &(i32, Vec<u8>), value: &[u8]| {
            keys.iter().any(|key| pipeline::mentions(key, entry, value).is_some())
        };
        entries.filter(|(entry, (_, value))| says(entry, value)).count()
    }

    /// Member 0 writes a post that begins to be an item.
    fn posts(&mut self, configured: Configured, id: usize, community: usize, created_at: EpochMs) {
        let mut interaction = say(id * 5, community, 0, created_at, 0);
        interaction.observed_at = self.now;
        self.raw(configured, &interaction);
    }

    fn has_row(&self, id: usize, community: usize) -> bool {
        self.side.left.queue_states.contains_key(&format!("warga%20{community}|post|{:03}", id * 5))
    }

    fn links(&self) -> usize {
        // Where there is no event time, because everything was taken back, nothing is ever over.
        self.side.stage.status().filter(|status| status.watermark.is_some()).map(|status| status.aliases).sum()
    }

    /// How long the previous secret is needed, by the partition that says the longest.
    fn needed_ms(&self) -> Option<i64> {
        self.side.stage.status().filter_map(|status| status.previous_needed_ms).max()
    }
}

fn say(id: usize, community: usize, member: usize, created_at: EpochMs, text: usize) -> Interaction<'static> {
    let mut interaction = post(&format!("{id:03}"), &format!("warga {community}"), created_at, TEXTS[text]);
    let author = |id: String, role| Some(Author { id: id.into(), handle: None, role, followers: None, verified: None });
    interaction.author = author(format!("u-{member}"), Role::Member);
    if id % 5 == 4 {
        // A comment in somebody's thread: of the same person, another, or the brand.
        interaction.kind = Kind::Comment;
        interaction.post_id = Some(format!("{:03}", id.saturating_sub(4 + id % 3)).into());
        if id.is_multiple_of(2) {
            interaction.author = author("brand".to_owned(), Role::Brand);
        }
    }
    interaction
}

#[derive(Debug, Clone)]
struct Said {
    id: usize,
    community: usize,
    member: usize,
    text: usize,
    edited: bool,
    deleted: bool,
    gap_ms: i64,
    settle: bool,
    crash: bool,
    by: Configured,
}

fn said() -> impl Strategy<Value = Said> {
    let by = prop_oneof![3 => Just(BEFORE), 3 => Just(ROTATING), 1 => Just(TAKEN_BACK)];
    let what = (0_usize..40, 0_usize..3, 0_usize..5, 0_usize..TEXTS.len(), 0_u8..5, 0_u8..9);
    (what, 0_i64..15 * MINUTE_MS, 0_u8..4, 0_u8..10, by).prop_map(
        |((id, community, member, text, edited, deleted), gap_ms, settle, crash, by)| Said {
            id,
            community,
            member,
            text,
            edited: edited == 0,
            deleted: deleted == 0,
            gap_ms,
            settle: settle == 0,
            crash: crash == 0,
            by,
        },
    )
}

/// A member asks to be forgotten in a community, before what is said at a turn.
#[derive(Debug, Clone)]
struct Asked {
    turn: usize,
    community: usize,
    member: usize,
    /// The secrets whose pseudonyms are named, while they are rotated. All who speak are known under the first.
    named: &'static [u32],
}

fn asked() -> impl Strategy<Value = Asked> {
    let named = prop_oneof![Just(&[1][..]), Just(&[1, 2][..]), Just(&[2, 1][..])];
    let asked = (0_usize..90, 0_usize..3, 0_usize..5, named);
    asked.prop_map(|(turn, community, member, named)| Asked { turn, community, member, named })
}

/// What is said, by replicas that are configured as each says, or as they were before.
fn run(all: &[Said], rotates: bool, ids_max: usize) -> (World, Oracle) {
    run_erasing(all, &[], rotates, ids_max)
}

fn run_erasing(all: &[Said], asked: &[Asked], rotates: bool, ids_max: usize) -> (World, Oracle) {
    let mut world = World::open_for(LONG_MS, ids_max, Some(6));
    let mut oracle = Oracle::default();
    let mut times: BTreeMap<(usize, usize), (EpochMs, usize)> = BTreeMap::new();
    for (turn, said) in all.iter().enumerate() {
        for one in asked.iter().filter(|one| one.turn == turn) {
            for &version in if rotates { one.named } else { &[1] } {
                world.erase(version, one.community, one.member, world.now);
            }
        }
        world.now += said.gap_ms;
        // An identity keeps its author and its time.
        let &mut (created_at, member) =
            times.entry((said.id, said.community)).or_insert((world.now - 5_000, said.member));
        if world.now - created_at > 3 * HOUR_MS {
            continue;
        }
        let mut interaction = say(said.id, said.community, member, created_at, said.text);
        interaction.observed_at = world.now;
        interaction.edited_at = said.edited.then_some(world.now - 1_000);
        interaction.deleted = said.deleted;
        world.raw(if rotates { said.by } else { BEFORE }, &interaction);
        let decision = Classifier::embedded().classify(TEXTS[said.text]);
        oracle.ingest(&line_of(&interaction), decision.label.as_str(), decision.abstained).unwrap();
        if said.settle {
            world.settle();
            check_names(&world, said);
        }
        if said.crash {
            world.side.read();
            world.side.crash();
        }
    }
    for _ in 0..33 {
        world.now += HOUR_MS;
        world.settle();
    }
    (world, oracle)
}

/// What each row says of members. That they are estimated is not among it: what left comes back with a crash as long as its segment is
/// there, and may push others out.
fn member_figures(world: &World) -> BTreeMap<&String, [&Value; 3]> {
    let fields = ["interactions", "distinct_members", "new_members"];
    world.side.left.rows.iter().map(|(key, row)| (key, fields.map(|field| &row[field]))).collect()
}

/// Nobody is known under two names in one community.
fn check_names(world: &World, last: &Said) {
    let keys: Vec<String> =
        world.side.left.changelog.keys().map(|(_, key)| String::from_utf8_lossy(key).into_owned()).collect();
    for member in 0..5 {
        let names = [1, 2].map(|version| pseudonym_of(version, &format!("u-{member}")));
        for community in 0..3 {
            let is_there = |name: &String| keys.contains(&format!("member|warga%20{community}|{name}"));
            assert!(!names.iter().all(is_there), "member {member} of {community} after {last:?}");
        }
    }
}

fn check_oracle(what: &str, world: &World, oracle: &Oracle) {
    let specs = windows(LONG_MS);
    let windows: Vec<Window> =
        specs.specs().iter().map(|spec| Window::new(&spec.name, spec.length_ms, spec.slide_ms)).collect();
    if let Err(differences) = oracle.check_rows(world.side.left.rows.values(), &windows, world.side.watermark()) {
        panic!("{what}: {differences}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Rolled, rolled back, taken back and crashed in any order: rows, items and alerts are those without a rotation.
    #[test]
    fn a_rotation_changes_no_row(all in prop::collection::vec(said(), 1..90)) {
        let (with, oracle) = run(&all, true, 1_000_000);
        let (without, _) = run(&all, false, 1_000_000);
        check_oracle("without", &without, &oracle);
        check_oracle("with", &with, &oracle);
        prop_assert_eq!(&with.side.left.rows, &without.side.left.rows);
        prop_assert_eq!(&with.side.left.queue_states, &without.side.left.queue_states);
        prop_assert_eq!(&with.side.left.alerts, &without.side.left.alerts);
        prop_assert_eq!(with.links(), 0, "everything is let go of after a horizon");
    }

    /// Nor an estimate, where identities leave early. What else follows from an identity that left, as whether a complaint is open, depends
    /// after a crash on which segments are there still, and names that change have segments written anew.
    #[test]
    fn a_rotation_changes_no_estimate(all in prop::collection::vec(said(), 40..120)) {
        let (with, _) = run(&all, true, 12);
        let (without, _) = run(&all, false, 12);
        prop_assert_eq!(member_figures(&with), member_figures(&without));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Whichever names are named, and whichever replicas are rolled when: what is left is what is left without a rotation.
    #[test]
    fn who_is_forgotten_in_a_rotation_is_so_under_all_names(
        all in prop::collection::vec(said(), 1..90),
        asked in prop::collection::vec(asked(), 1..4),
    ) {
        let (with, _) = run_erasing(&all, &asked, true, 1_000_000);
        let (without, _) = run_erasing(&all, &asked, false, 1_000_000);
        prop_assert_eq!(&with.side.left.rows, &without.side.left.rows);
        prop_assert_eq!(&with.side.left.queue_states, &without.side.left.queue_states);
        prop_assert_eq!(with.links(), 0);
        for member in 0..5 {
            prop_assert_eq!(with.left_of(member) == 0, without.left_of(member) == 0, "member {}", member);
        }
    }
}

/// A community on the partition of the first one.
fn beside_first() -> usize {
    let partition =
        |community: usize| partition_for_key(record::encode_key(&[&format!("warga {community}")]).as_bytes(), 3);
    (1..).find(|&community| partition(community) == partition(0)).unwrap()
}

#[test]
fn who_is_known_under_two_names_is_forgotten_under_both() {
    // Named by either secret's, before and after the newer name took the place of the older, with the end of the program before the
    // commit and after it.
    for (named, turned, crashes) in [(1, false, true), (1, true, false), (2, false, false), (2, true, true)] {
        let case = format!("named by {named}, turned: {turned}, crashes: {crashes}");
        let (mut world, beside) = (World::new(1_000_000, Some(6)), beside_first());
        let made = world.now - 5_000;
        world.posts(BEFORE, 1, 0, made);
        world.posts(BEFORE, 2, beside, made);
        world.raw(BEFORE, &say(500, 0, 1, made, 0));
        world.settle();
        world.posts(ROTATING, 3, 0, made);
        world.settle();
        for _ in 0..if turned { 2 } else { 0 } {
            world.now += 50 * MINUTE_MS;
            let other = say(505, 0, 1, world.now - 5_000, 3);
            world.raw(BEFORE, &other);
            world.settle();
        }
        assert_eq!((world.links(), world.has_row(1, 0), world.has_row(3, 0)), (1, true, true), "{case}");
        let names = world.side.left.changelog.keys().filter(|(_, key)| {
            let key = String::from_utf8_lossy(key);
            key.starts_with("member|") && !key.starts_with("member||") && key.contains(&pseudonym_of(2, "u-0"))
        });
        assert_eq!(names.count(), if turned { 2 } else { 0 }, "{case}");
        let at = world.now;
        world.erase(named, 0, 0, at);
        if crashes {
            world.side.read();
            world.side.crash();
        }
        world.now += 1_000;
        world.settle();
        if crashes {
            world.side.crash();
        }
        assert!(!world.has_row(1, 0) && !world.has_row(3, 0) && world.has_row(2, beside), "{case}");
        assert_eq!(world.links(), 1, "elsewhere both are still one person's: {case}");
        world.erase(named, beside, 0, at);
        for _ in 0..4 {
            world.now += 1_000;
            world.settle();
        }
        assert_eq!((world.links(), world.left_of(0), world.has_row(2, beside)), (0, 0, false), "{case}");
        // Seen again, by whichever replica, also one that knows but one of the names.
        for configured in [BEFORE, AFTER, ROTATING, TAKEN_BACK, BEFORE, AFTER] {
            (1..=3).for_each(|id| world.posts(configured, id, if id == 2 { beside } else { 0 }, made));
            world.now += 1_000;
            world.settle();
            if crashes {
                world.side.crash();
            }
            assert_eq!((world.links(), world.left_of(0)), (0, 0), "{case}, seen again by {configured:?}");
        }
        assert!(world.has_row(100, 0) && world.left_of(1) > 0, "what others wrote is there: {case}");
        world.posts(ROTATING, 4, 0, world.now - 500);
        world.now += 1_000;
        world.settle();
        assert!(world.has_row(4, 0) && world.links() == 1, "what they write later counts: {case}");
    }
}

#[test]
fn who_was_forgotten_elsewhere_before_the_names_were_linked_is_so_with_the_next_sweep() {
    let (mut world, beside) = (World::new(1_000_000, Some(6)), beside_first());
    let made = world.now - 5_000;
    world.posts(AFTER, 3, beside, made);
    world.settle();
    world.erase(1, beside, 0, world.now);
    for _ in 0..4 {
        world.now += 1_000;
        world.settle();
    }
    assert!(world.has_row(3, beside), "nobody can know");
    world.posts(ROTATING, 1, 0, world.now - 500);
    for _ in 0..2 {
        world.now += 50 * MINUTE_MS;
        let other = say(505, 0, 1, world.now - 5_000, 3);
        world.raw(BEFORE, &other);
        world.settle();
    }
    for _ in 0..2 {
        world.now += 1_000;
        world.settle();
    }
    assert!(!world.has_row(3, beside) && world.has_row(1, 0));
}

#[test]
fn who_was_forgotten_before_the_other_name_was_heard_of_is_so_under_both() {
    for crashes in [false, true] {
        let (mut world, beside) = (World::new(1_000_000, Some(6)), beside_first());
        let made = world.now - 5_000;
        world.posts(BEFORE, 1, 0, made);
        // A replica that was not told of the previous secret.
        world.posts(AFTER, 2, 0, made);
        world.posts(AFTER, 3, beside, made);
        world.settle();
        for community in [0, beside] {
            world.erase(1, community, 0, world.now);
        }
        let settle = |world: &mut World| {
            for _ in 0..4 {
                world.now += 1_000;
                world.settle();
            }
            if crashes {
                world.side.crash();
            }
        };
        settle(&mut world);
        let rows = |world: &World| [(1, 0), (2, 0), (3, beside)].map(|(id, community)| world.has_row(id, community));
        assert_eq!(rows(&world), [false, true, true], "nobody can know");
        // What is seen again stays out, and says whose the other name is.
        world.posts(ROTATING, 1, 0, made);
        settle(&mut world);
        assert_eq!((rows(&world), world.links()), ([false; 3], 0), "crashes: {crashes}");
        assert_eq!(world.left_of(0), 0, "crashes: {crashes}");
        for configured in [AFTER, BEFORE] {
            [(1, 0), (2, 0), (3, beside)].into_iter().for_each(|(id, at)| world.posts(configured, id, at, made));
            settle(&mut world);
            assert_eq!((rows(&world), world.left_of(0)), ([false; 3], 0), "{configured:?}, crashes: {crashes}");
        }
    }
}

/// Five members speak every ten minutes, for so many hours.
fn talk(world: &mut World, from: usize, hours: usize, configured: Configured) {
    talk_every(10 * MINUTE_MS, world, from, hours * 6, configured);
}

/// They speak so many times.
fn talk_every(pause_ms: i64, world: &mut World, from: usize, times: usize, configured: Configured) {
    for step in 0..times {
        world.now += pause_ms;
        for member in 0..5 {
            let id = 1_000 + from + step * 5 + member;
            let mut interaction = say(id, 0, member, world.now - 5_000, (step + member) % TEXTS.len());
            (interaction.kind, interaction.post_id) = (Kind::Post, None);
            interaction.author.as_mut().unwrap().id = format!("u-{member}").into();
            world.raw(configured, &interaction);
        }
        world.settle();
    }
}

/// Distinct and new members in the last row of the longest window.
fn members(world: &World) -> (i64, i64) {
    members_of("2h", world)
}

/// The same of a window of which the last row has as many interactions.
fn members_of(window: &str, world: &World) -> (i64, i64) {
    let rows = world.side.left.rows.values().filter(|row| row["window"] == window && row["community_id"] == "warga 0");
    let last = rows.filter(|row| row["interactions"].as_i64() > Some(45)).max_by_key(|row| row["window_end"].as_i64());
    let last = last.unwrap();
    (last["distinct_members"].as_i64().unwrap(), last["new_members"].as_i64().unwrap())
}

#[test]
fn a_rotation_from_its_beginning_to_its_end() {
    let mut world = World::new(1_000_000, Some(6));
    talk(&mut world, 0, 4, BEFORE);
    assert_eq!((members(&world), world.links(), world.needed_ms()), ((5, 0), 0, None));
    talk(&mut world, 1_000, 3, ROTATING);
    assert_eq!((members(&world), world.links()), ((5, 0), 5));
    let needed_ms = world.needed_ms().unwrap();
    assert!((2 * HOUR_MS..4 * HOUR_MS).contains(&needed_ms), "{needed_ms}");
    // One that was forgotten in the roll: it counts from then on.
    talk(&mut world, 2_000, 1, BEFORE);
    assert_eq!(world.needed_ms(), None);
    talk(&mut world, 3_000, 7, ROTATING);
    assert_eq!((members(&world), world.needed_ms()), ((5, 0), Some(0)), "the previous secret can go");
    talk(&mut world, 4_000, 4, AFTER);
    assert_eq!((members(&world), world.needed_ms()), ((5, 0), None));
    // And again, to the next one; by then nothing is left of the first.
    talk(&mut world, 5_000, 7, NEXT);
    assert_eq!((members(&world), world.needed_ms()), ((5, 0), Some(0)));
    let names = |world: &World| -> Vec<String> {
        let keys = world.side.left.changelog.keys().map(|(_, key)| String::from_utf8_lossy(key).into_owned());
        keys.filter(|key| key.starts_with("member|")).collect()
    };
    let first = pseudonym_of(1, "u-0");
    assert!(!names(&world).iter().any(|name| name.contains(&first)), "nothing is left of the first secret");
    assert!(names(&world).iter().any(|name| name.contains(&pseudonym_of(3, "u-0"))));
    world.side.crash();
    talk(&mut world, 6_000, 4, Configured(3, None));
    assert_eq!(members(&world), (5, 0));
    talk(&mut world, 7_000, 8, Configured(3, None));
    assert_eq!(world.links(), 0);
    assert!(!names(&world).iter().any(|name| name.starts_with("member||")));
}

fn pseudonym_of(version: u32, author: &str) -> String {
    author_key(version, author)[3..].to_owned()
}

fn author_key(version: u32, author: &str) -> String {
    let mut key = String::new();
    pseudonym(version).write(author, &mut key);
    key
}

#[test]
fn who_came_with_the_new_name_alone_is_brought_together_with_the_old_one() {
    let mut world = World::new(1_000_000, Some(6));
    talk(&mut world, 0, 4, BEFORE);
    // A replica that was not told of the previous secret.
    talk(&mut world, 1_000, 1, AFTER);
    assert_eq!(members(&world), (10, 5), "nobody can know");
    talk(&mut world, 2_000, 2, ROTATING);
    assert_eq!(members(&world), (5, 0));
    let mut again = World::new(1_000_000, Some(6));
    talk(&mut again, 0, 2, BEFORE);
    talk(&mut again, 1_000, 1, ROTATING);
    again.side.crash();
    talk(&mut again, 2_000, 2, AFTER);
    assert_eq!(members(&again), (5, 0), "by the links that were kept");
}

#[test]
fn a_replica_that_is_rolled_much_later_takes_nobody_for_another_however_short_the_horizon_is() {
    let spec =
        WindowSpec { name: "10m".to_owned(), length_ms: 10 * MINUTE_MS, slide_ms: 2 * MINUTE_MS, lateness_ms: 0 };
    let mut world = World::with(WindowSet::new(vec![spec]).unwrap(), 1_000_000, Some(6));
    talk_every(MINUTE_MS, &mut world, 0, 12, BEFORE);
    talk_every(MINUTE_MS, &mut world, 1_000, 3, ROTATING);
    for from in [2_000, 3_000, 4_000] {
        talk_every(MINUTE_MS, &mut world, from, 20, BEFORE);
        assert_eq!((members_of("10m", &world), world.links()), ((5, 0), 5), "after {from}");
        world.side.crash();
    }
    talk_every(MINUTE_MS, &mut world, 5_000, 40, AFTER);
    assert_eq!((members_of("10m", &world), world.links()), ((5, 0), 0));
}

#[test]
fn a_state_of_version_5_keeps_the_old_names_and_no_links() {
    let mut world = World::new(1_000_000, Some(5));
    talk(&mut world, 0, 3, BEFORE);
    talk(&mut world, 1_000, 3, ROTATING);
    talk(&mut world, 2_000, 1, BEFORE);
    assert_eq!((members(&world), world.links(), world.needed_ms()), ((5, 0), 0, None));
    assert!(world.side.left.changelog.values().all(|(_, value)| value[0] == 5));
    // Raised later, they are linked.
    world.side.state_version = Some(6);
    world.side.crash();
    talk(&mut world, 3_000, 2, ROTATING);
    assert_eq!((members(&world), world.links()), ((5, 0), 5));
    talk(&mut world, 4_000, 2, AFTER);
    assert_eq!(members(&world), (5, 0));
}

#[test]
fn a_replay_and_a_rebuild_by_both_secrets_know_everybody() {
    let mut world = World::new(1_000_000, Some(6));
    talk(&mut world, 0, 3, BEFORE);
    talk(&mut world, 1_000, 3, ROTATING);
    let rows = world.side.left.rows.clone();
    let deduplicated = |world: &World| world.side.ledger().count(record::Outcome::Deduplicated);
    let before = deduplicated(&world);
    // The raw topics are read again, under the new secret: nothing is replaced for its author's new name.
    let now = world.now;
    let (mut step, mut read) = (NOW, 0);
    while step < now {
        step += 10 * MINUTE_MS;
        for member in 0..5 {
            let from = if read < 18 { 1_000 + read * 5 } else { 2_000 + (read - 18) * 5 };
            let mut interaction = say(from + member, 0, member, step - 5_000, (read % 18 + member) % TEXTS.len());
            (interaction.kind, interaction.post_id) = (Kind::Post, None);
            interaction.author.as_mut().unwrap().id = format!("u-{member}").into();
            world.raw(ROTATING, &interaction);
        }
        read += 1;
    }
    world.settle();
    assert_eq!(world.side.left.rows, rows);
    assert_eq!(deduplicated(&world) - before, 36 * 5);
    // From nothing, with both secrets from the beginning.
    let mut rebuilt = World::new(1_000_000, None);
    talk(&mut rebuilt, 0, 3, ROTATING);
    talk(&mut rebuilt, 1_000, 3, ROTATING);
    assert_eq!(rebuilt.side.left.rows, rows);
}

#[test]
fn without_a_rotation_a_record_is_what_it_was_before() {
    let mut world = World::new(1_000_000, None);
    let interaction = say(1, 0, 0, world.now - 5_000, 0);
    let (now, at) = (world.now, InputPartition { input: 0, partition: 0 });
    let mut value_of = |configured: Configured| {
        let replica = world.replica(configured);
        replica.own(at, 0);
        replica.step(Input::Clock(now));
        let outputs = replica.raw(at, &avro(&interaction), now);
        outputs.into_iter().find(|(output, _)| *output == 0).unwrap().1.value.unwrap()
    };
    let (before, rotating) = (value_of(BEFORE), value_of(ROTATING));
    let second = SchemaName::Classified.released_texts()[1];
    let plain = wire::GenericSchema::parse(second).unwrap().to_json(&before[10..]).unwrap();
    assert!(plain.get("previous_author_key").is_none(), "by the schema that older replicas know: {plain}");
    let both = crate::world::decoded(SchemaName::Classified, &rotating);
    assert_eq!(both["previous_author_key"], plain["author_key"]);
    assert_ne!(both["author_key"], plain["author_key"]);
}
