//! The community stage behind the classify stage, against an oracle that recounts the raw records.

use std::collections::{BTreeMap, BTreeSet};

use oracle::{Oracle, Window};
use proptest::prelude::*;
use record::stage::{Input, InputPartition, LatencySample, Outputs, Stage, Step};
use record::{
    Action, Author, ClassifiedInteraction, ClassifiedRecord, Correction, EpochMs, Interaction, Kind, Label, Ledger,
    Outcome, Progress, Role, SourceProgress,
};
use serde_json::{Value, json};
use window::{WindowSet, WindowSpec};
use wire::{ClassifiedDecoder, Encoder, Framing, SchemaName};

use pipeline::CommunityStage;

use crate::world::{COMMUNITIES_MAX, ClassifySide, CommunitySide, Kept, MIXED, NOW, avro, decoded, post};

/// The raw topics and the classify stage before a community side.
pub(crate) struct Whole {
    classify: ClassifySide,
    pub(crate) side: CommunitySide,
}

impl Whole {
    pub(crate) fn new(windows: WindowSet, ids_max: usize) -> Whole {
        let sources = (0..2).flat_map(|input| (0..2).map(move |partition| InputPartition { input, partition }));
        Whole { classify: ClassifySide::new(sources), side: CommunitySide::new(windows, ids_max, 3) }
    }

    /// A raw record arrives at `now` in this partition of its topic.
    pub(crate) fn raw(&mut self, partition: i32, interaction: &Interaction<'_>, now: EpochMs) {
        let from = InputPartition { input: interaction.kind as usize, partition };
        let outputs = self.classify.raw(from, &avro(interaction), now);
        self.side.append(&outputs);
    }

    /// Everything that has arrived is read to its end.
    pub(crate) fn settle(&mut self, now: EpochMs) {
        let markers = self.classify.settle(now);
        self.side.append(&markers);
        self.side.now = now;
        self.side.read();
        self.side.commit();
    }

    /// What has arrived is read, and there is more to come from every source.
    fn arrive(&mut self, now: EpochMs) {
        self.classify.step(Input::Clock(now));
        let markers = self.classify.step(Input::Flush);
        self.side.append(&markers);
        self.side.now = now;
        self.side.read();
    }

    fn latency_samples(&mut self) -> Vec<LatencySample> {
        let mut samples = Vec::new();
        self.side.stage.take_latency_samples(&mut |sample| samples.push(sample));
        samples
    }

    fn ledger(&self) -> Ledger {
        self.side.ledger()
    }

    /// Where event time stands; before all time where nothing but retractions came.
    pub(crate) fn watermark(&self) -> EpochMs {
        self.side.watermark().unwrap_or(EpochMs::MIN)
    }
}

pub(crate) fn wide() -> WindowSet {
    // Late enough that nothing in the random streams is: then a recount needs no watermark.
    let spec = |name: &str, length_ms, slide_ms| WindowSpec {
        name: name.to_owned(),
        length_ms,
        slide_ms,
        lateness_ms: 4_000_000,
    };
    WindowSet::new(vec![spec("1m", 60_000, 10_000), spec("10m", 600_000, 60_000)]).unwrap()
}

pub(crate) const TEXTS: [&str; 4] = [
    "Kecewa banget, sudah seminggu paket belum sampai dan CS tidak membalas.",
    "Pelayanan cepat, barang bagus, terima kasih banyak!",
    "Saran saya tambahkan fitur mode gelap dan notifikasi jadwal.",
    "Assalamualaikum, selamat pagi semuanya",
];

#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    id: u8,
    community: u8,
    text: usize,
    edited_after: Option<i64>,
    deleted: bool,
    delay_ms: i64,
    partition: i32,
    gap_ms: i64,
    settle: bool,
    crash: bool,
    /// Somebody corrects it to this label, so long after it was created.
    correction: Option<(usize, i64)>,
    /// Somebody claims, releases or closes another one.
    action: Option<(usize, usize)>,
}

pub(crate) fn arrival() -> impl Strategy<Value = Arrival> {
    let what = (0_u8..25, 0_u8..3, 0_usize..TEXTS.len(), prop::option::weighted(0.3, 0_i64..60_000), 0_u8..8);
    let how = (0_i64..9_000, 0_i32..2, 0_i64..20_000, 0_u8..6, 0_u8..12);
    let correction = prop::option::weighted(0.2, (0_usize..Label::ALL.len(), 0_i64..90_000));
    let action = prop::option::weighted(0.3, (0_usize..ACTIONS.len(), 0_usize..2));
    (what, how, correction, action).prop_map(
        |(
            (id, community, text, edited_after, deleted),
            (delay_ms, partition, gap_ms, settle, crash),
            correction,
            action,
        )| {
            Arrival {
                id,
                community,
                text,
                edited_after,
                deleted: deleted == 0,
                delay_ms,
                partition,
                gap_ms,
                settle: settle == 0,
                crash: crash == 0,
                correction,
                action,
            }
        },
    )
}

impl Arrival {
    /// Whether it is of a member, and of none that is this one, for the last time taken back or not.
    pub(crate) fn is_of_others(&self, member: u8) -> bool {
        !is_brand(self.id) && member_of(self.id) != member && !self.deleted
    }
}

const ACTIONS: [&str; 3] = ["claim", "release", "acknowledge"];

/// An identity is always created at the same time, in the same partition: as in the world.
fn created_at(id: u8, community: u8) -> EpochMs {
    NOW - 300_000 + i64::from(id) * 9_000 + i64::from(community) * 700
}

/// Every fifth is a comment of the brand on somebody's post; the others are posts of a few people.
fn is_brand(id: u8) -> bool {
    id % 5 == 4
}

/// The post that a comment of the brand answers.
fn answered_by(id: u8) -> u8 {
    (id * 3) % 25
}

fn member_of(id: u8) -> u8 {
    id % 7
}

fn interaction_of(id: u8, community: u8, text: usize) -> Interaction<'static> {
    let (community_id, created_at) = (format!("warga {community}"), created_at(id, community));
    let mut interaction = post(&id.to_string(), &community_id, created_at, TEXTS[text]);
    let author = |id: String, role| Some(Author { id: id.into(), handle: None, role, followers: None, verified: None });
    if is_brand(id) {
        interaction.kind = Kind::Comment;
        interaction.author = author("brand".to_owned(), Role::Brand);
        interaction.post_id = Some(answered_by(id).to_string().into());
        interaction.post_author = author("u".to_owned(), Role::Member);
    } else {
        interaction.author = author(format!("u-{}", member_of(id)), Role::Member);
    }
    interaction
}

/// The interaction as a line that the oracle reads.
pub(crate) fn line_of(interaction: &Interaction<'_>) -> Value {
    let author = |author: &Option<Author<'_>>| {
        author.as_ref().map(|author| json!({ "id": author.id, "role": author.role.as_str() }))
    };
    json!({
        "kind": interaction.kind.as_str(),
        "id": interaction.id,
        "community_id": interaction.community_id,
        "author": author(&interaction.author),
        "post_author": author(&interaction.post_author),
        "post_id": interaction.post_id,
        "parent_id": interaction.parent_id,
        "created_at": interaction.created_at,
        "observed_at": interaction.observed_at,
        "edited_at": interaction.edited_at,
        "deleted": interaction.deleted,
        "text": interaction.text,
    })
}

/// Somebody is to be forgotten in a community.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Erasing {
    /// Before so many arrivals.
    pub(crate) turn: usize,
    pub(crate) member: u8,
    pub(crate) community: u8,
    /// What was made before it goes.
    pub(crate) at: EpochMs,
}

impl Erasing {
    pub(crate) fn author(&self) -> String {
        format!("u-{}", self.member)
    }

    fn ask(&self, whole: &mut Whole, oracle: &mut Oracle) {
        let community = format!("warga {}", self.community);
        oracle.erase(&community, &self.author(), self.at);
        whole.side.act(&Action {
            kind: "erase".into(),
            target: record::encode_key(&[&community, &author_key(&self.author())]).into(),
            by: "dpo".into(),
            at: self.at,
            until: None,
            reason: None,
        });
    }
}

/// The pseudonym of an author.
pub(crate) fn author_key(author: &str) -> String {
    let mut key = String::new();
    pipeline::Pseudonym::new(b"a secret for the tests", 1).unwrap().write(author, &mut key);
    key
}

fn run(arrivals: &[Arrival], crashes: bool) -> (Whole, Oracle) {
    run_erasing(arrivals, crashes, &[])
}

pub(crate) fn run_erasing(arrivals: &[Arrival], crashes: bool, erasing: &[Erasing]) -> (Whole, Oracle) {
    let mut whole = Whole::new(wide(), 1_000_000);
    let mut oracle = Oracle::default();
    let decisions: Vec<(Label, bool)> = (0..TEXTS.len()).map(decision_of).collect();
    let mut now = NOW;
    for (turn, arrival) in arrivals.iter().enumerate() {
        erasing.iter().filter(|one| one.turn == turn).for_each(|one| one.ask(&mut whole, &mut oracle));
        now += arrival.gap_ms;
        let created_at = created_at(arrival.id, arrival.community);
        let mut interaction = interaction_of(arrival.id, arrival.community, arrival.text);
        interaction.observed_at = now - arrival.delay_ms;
        interaction.edited_at = arrival.edited_after.map(|after| created_at + after);
        interaction.deleted = arrival.deleted;
        whole.raw(arrival.partition, &interaction, now);
        let (label, abstained) = decisions[arrival.text];
        oracle.ingest(&line_of(&interaction), label.as_str(), abstained).unwrap();
        if let Some((label, after)) = arrival.correction {
            // Of an interaction that comes later, as often as not.
            let of = ((arrival.id + 7) % 25, arrival.community);
            let (label, at) = (Label::ALL[label], self::created_at(of.0, of.1) + after);
            let kind = if is_brand(of.0) { Kind::Comment } else { Kind::Post };
            let (community_id, id) = (format!("warga {}", of.1), of.0.to_string());
            oracle.correct((community_id.clone(), kind.as_str().to_owned(), id.clone()), label.as_str(), at);
            whole.side.correct(&Correction {
                community_id: community_id.into(),
                kind,
                id: id.into(),
                label: Some(label),
                queue: None,
                by: "sari".into(),
                at,
                reason: None,
            });
        }
        if let Some((kind, by)) = arrival.action {
            // On something else than is corrected here; the brand's own words are never items.
            act(&mut whole, &mut oracle, ((arrival.id + 3) % 25, arrival.community), (ACTIONS[kind], by), now);
        }
        if arrival.settle {
            whole.settle(now);
        }
        if arrival.crash && crashes {
            // Half of what is there was read, nothing of it committed.
            whole.side.read();
            whole.side.crash();
        }
    }
    erasing.iter().filter(|one| one.turn >= arrivals.len()).for_each(|one| one.ask(&mut whole, &mut oracle));
    now += 1_000;
    whole.settle(now);
    // Everything is idle: event time goes on with the clock until every window has fallen to zero.
    for _ in 0..200 {
        now += 10_000;
        whole.settle(now);
    }
    (whole, oracle)
}

/// Somebody does something with what may be an item by now.
fn act(whole: &mut Whole, oracle: &mut Oracle, of: (u8, u8), (kind, by): (&'static str, usize), at: EpochMs) {
    let (community_id, id) = (format!("warga {}", of.1), of.0.to_string());
    let kind_of = if is_brand(of.0) { Kind::Comment } else { Kind::Post }.as_str();
    let action = Action {
        kind: kind.into(),
        target: record::encode_key(&[&community_id, kind_of, &id]).into(),
        by: ["sari", "budi"][by].into(),
        at,
        until: (kind == "claim").then_some(at + 60_000),
        reason: None,
    };
    whole.side.act(&action);
    let action = json!({ "kind": action.kind, "by": action.by, "at": at, "until": action.until });
    oracle.act((community_id, kind_of.to_owned(), id), &action).unwrap();
}

/// Rows of queue items of which nobody corrected the label: a correction shows in a row only when the item is heard of again.
fn uncorrected(whole: &Whole, arrivals: &[Arrival]) -> BTreeMap<String, Value> {
    let of = |arrival: &Arrival| format!("warga%20{}|post|{}", arrival.community, (arrival.id + 7) % 25);
    let corrected: BTreeSet<String> = arrivals.iter().filter(|arrival| arrival.correction.is_some()).map(of).collect();
    let mut states = whole.side.left.queue_states.clone();
    states.retain(|key, _| !corrected.contains(key));
    states
}

pub(crate) fn decision_of(text: usize) -> (Label, bool) {
    let decision = ::classify::Classifier::embedded().classify(TEXTS[text]);
    (decision.label, decision.abstained)
}

/// The rows are what the oracle says, up to the watermark; and every window has fallen to zero.
pub(crate) fn check_rows(whole: &Whole, oracle: &Oracle) {
    let specs = wide();
    let windows: Vec<Window> =
        specs.specs().iter().map(|spec| Window::new(&spec.name, spec.length_ms, spec.slide_ms)).collect();
    let rows = &whole.side.left.rows;
    if let Err(differences) = oracle.check_rows(rows.values(), &windows, Some(whole.watermark())) {
        panic!("watermark {}: {differences}", whole.watermark());
    }
    let mut last: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
    for row in rows.values() {
        let place = (row["community_id"].as_str().unwrap(), row["window"].as_str().unwrap());
        let known = last.entry(place).or_insert(row);
        if known["window_end"].as_i64() < row["window_end"].as_i64() {
            *known = row;
        }
    }
    assert!(last.values().all(|row| row["interactions"] == 0), "{last:?}");
}

/// The rows of the queues' state are what the oracle says.
pub(crate) fn check_queue_states(whole: &Whole, oracle: &Oracle) {
    let levels = BTreeMap::from([("complaint", Some(3_600_000))]);
    let states = whole.side.left.queue_states.values();
    if let Err(differences) = oracle.check_queue_state(states, &levels, Some(whole.watermark())) {
        panic!("{differences}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn rows_and_queue_states_are_what_the_oracle_says(arrivals in prop::collection::vec(arrival(), 1..80)) {
        let (whole, oracle) = run(&arrivals, false);
        check_rows(&whole, &oracle);
        check_queue_states(&whole, &oracle);
        prop_assert_eq!(whole.ledger().consumed(), whole.side.log.values().map(|log| log.len() as u64).sum::<u64>());
    }

    #[test]
    fn crashes_change_nothing(arrivals in prop::collection::vec(arrival(), 1..80)) {
        let (whole, oracle) = run(&arrivals, true);
        check_rows(&whole, &oracle);
        check_queue_states(&whole, &oracle);
        let (without, ..) = run(&arrivals, false);
        prop_assert_eq!(uncorrected(&whole, &arrivals), uncorrected(&without, &arrivals));
    }

    #[test]
    fn a_replay_changes_no_row_and_no_queue_state(arrivals in prop::collection::vec(arrival(), 1..60)) {
        let (mut whole, ..) = run(&arrivals, false);
        let before = whole.side.left.clone();
        whole.side.replay();
        prop_assert_eq!(&whole.side.left.rows, &before.rows);
        prop_assert_eq!(&whole.side.left.queue_states, &before.queue_states);
        prop_assert_eq!(whole.side.left.emitted, before.emitted);
    }
}

#[test]
fn every_outcome_has_its_cause() {
    let mut whole = Whole::new(WindowSet::standard(), 1_000_000);
    let first = post("1", "c", NOW, TEXTS[0]);
    whole.raw(0, &first, NOW);
    whole.raw(0, &first, NOW);
    let mut edited = post("1", "c", NOW, TEXTS[1]);
    edited.edited_at = Some(NOW + 1_000);
    whole.raw(0, &edited, NOW + 1_000);
    whole.raw(0, &first, NOW + 1_000);
    let mut gone = edited.clone();
    gone.deleted = true;
    gone.observed_at = NOW + 2_000;
    whole.raw(0, &gone, NOW + 2_000);
    whole.settle(NOW + 2_000);
    let ledger = whole.ledger();
    for outcome in [Outcome::Applied, Outcome::Deduplicated, Outcome::Replaced, Outcome::Stale, Outcome::Retracted] {
        assert_eq!(ledger.count(outcome), 1, "{outcome:?}");
    }
    assert!(ledger.count(Outcome::Progress) > 0);
    // Eight days later the same is beyond the horizon; ten days back is, too.
    let later = NOW + 9 * 86_400_000;
    whole.raw(0, &post("2", "c", later, TEXTS[1]), later);
    whole.raw(1, &post("3", "c", later, TEXTS[1]), later);
    whole.settle(later);
    whole.settle(later + 5_000);
    whole.raw(0, &post("4", "c", NOW - 86_400_000, TEXTS[1]), later);
    whole.settle(later + 6_000);
    assert_eq!(whole.ledger().count(Outcome::Dropped), 1);
    assert!(!whole.side.left.queue_states.contains_key("c|post|1"), "what leaves the index leaves the queues' state");
}

/// Without a restart, which sweeps too.
#[test]
fn what_is_kept_is_a_horizon_and_a_24th_of_it_however_short_it_is() {
    const EVERY_MS: i64 = 10_000;
    let spec = WindowSpec { name: "1m".to_owned(), length_ms: 60_000, slide_ms: 10_000, lateness_ms: 180_000 };
    let windows = WindowSet::new(vec![spec]).unwrap();
    let horizon_ms = windows.horizon_ms();
    let mut whole = Whole::new(windows, 1_000);
    let mut most = 0;
    for number in 0..200 {
        let now = NOW + number * EVERY_MS;
        whole.raw(0, &post(&number.to_string(), "c", now, TEXTS[1]), now);
        whole.settle(now);
        let ids: usize = whole.side.stage.status().map(|status| status.ids).sum();
        most = most.max(ids as i64);
    }
    // The watermark is behind the last by the disorder, which is as long as what lies between two.
    assert!((horizon_ms / EVERY_MS..=horizon_ms * 25 / 24 / EVERY_MS + 3).contains(&most), "{most} of {horizon_ms} ms");
}

#[test]
fn corrections_stand_wait_or_are_refused() {
    let mut whole = Whole::new(wide(), 1_000);
    let correction = |id: &str, label, at| Correction {
        community_id: "c".into(),
        kind: Kind::Post,
        id: id.to_owned().into(),
        label,
        queue: None,
        by: "sari".into(),
        at,
        reason: None,
    };
    whole.raw(0, &post("1", "c", NOW - 60_000, TEXTS[1]), NOW);
    whole.settle(NOW);
    whole.side.correct(&correction("1", Some(Label::Complaint), NOW));
    whole.side.correct(&correction("1", Some(Label::Tip), NOW - 1_000));
    whole.side.correct(&correction("1", Some(Label::Tip), NOW - 70_000));
    whole.side.correct(&correction("1", None, NOW));
    whole.side.correct(&correction("", Some(Label::Tip), NOW));
    for number in 0..102 {
        whole.side.correct(&correction(&format!("unknown {number}"), Some(Label::Tip), NOW));
    }
    whole.settle(NOW);
    let count = |whole: &Whole, outcome| whole.ledger().count(outcome);
    assert_eq!(count(&whole, Outcome::Corrected), 1);
    assert_eq!(count(&whole, Outcome::Stale), 2, "an older one, and one of what was not written yet");
    assert_eq!(count(&whole, Outcome::Parked), 100);
    assert_eq!(count(&whole, Outcome::DeadLettered), 4, "nothing to correct, no id, and two more than may wait");
    whole.side.crash();
    // One that waited, over a restart.
    whole.raw(0, &post("unknown 7", "c", NOW - 60_000, TEXTS[0]), NOW);
    // The same again: what was said of it stands.
    whole.raw(0, &post("1", "c", NOW - 60_000, TEXTS[1]), NOW);
    for seconds in 1..40 {
        whole.settle(NOW + seconds * 1_000);
    }
    let row =
        whole.side.left.rows.values().filter(|row| row["window"] == "1m").max_by_key(|row| row["window_end"].as_i64());
    assert_eq!(row.map(|row| (row["complaints"].as_i64(), row["tips"].as_i64())), Some((Some(1), Some(1))), "{row:?}");
    assert_eq!(count(&whole, Outcome::Deduplicated), 1);
    let state = &whole.side.left.queue_states["c|post|unknown%207"];
    assert_eq!((state["queue"].as_str(), state["label"].as_str()), (Some("tip"), Some("tip")));
    // Nothing comes: they do not wait for ever.
    whole.settle(NOW + 3 * 3_600_000);
    let waiting = |whole: &Whole| {
        whole
            .side
            .stage
            .status()
            .map(|status| (status.parked, status.parked_expired))
            .fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    };
    assert_eq!(waiting(&whole), (0, 99));
}

/// The newest row of a community's window.
fn newest<'a>(whole: &'a Whole, community: &str, window: &str) -> &'a Value {
    let of = |row: &&Value| row["community_id"] == community && row["window"] == window && row["interactions"] != 0;
    whole.side.left.rows.values().filter(of).max_by_key(|row| row["window_end"].as_i64()).unwrap()
}

fn said_by_the_brand(kind: Kind, id: &str, on: Option<&str>, created_at: EpochMs) -> Interaction<'static> {
    let mut interaction = post(id, "c", created_at, TEXTS[3]);
    let brand = Author { id: "brand".into(), handle: None, role: Role::Brand, followers: None, verified: None };
    interaction.kind = kind;
    interaction.author = Some(brand);
    interaction.post_id = on.map(|on| on.to_owned().into());
    interaction
}

/// Whoever has the place in the index of what left it was not answered for that.
#[test]
fn a_reply_to_what_left_the_index_answers_nobody_else() {
    let mut whole = Whole::new(wide(), 8);
    whole.raw(0, &said_by_the_brand(Kind::Post, "own", None, NOW - 250_000), NOW);
    whole.raw(0, &said_by_the_brand(Kind::Comment, "first", Some("own"), NOW - 100_000), NOW);
    for number in 0..7 {
        whole.raw(0, &post(&number.to_string(), "c", NOW - 90_000, TEXTS[3]), NOW);
    }
    whole.settle(NOW);
    // The oldest of nine has left; its place is the next to be taken.
    whole.raw(0, &post("complaint", "c", NOW - 80_000, TEXTS[0]), NOW);
    whole.raw(0, &said_by_the_brand(Kind::Comment, "second", Some("own"), NOW - 70_000), NOW + 200);
    for seconds in 1..100 {
        whole.settle(NOW + seconds * 1_000);
    }
    let row = newest(&whole, "c", "10m");
    assert_eq!((row["first_responses"].as_i64(), row["open_complaints"].as_i64()), (Some(0), Some(1)), "{row}");
}

/// A response stays one when what was answered leaves the index, over a restart too.
#[test]
fn a_response_outlives_what_was_answered() {
    let mut whole = Whole::new(wide(), 10);
    whole.raw(0, &post("complaint", "c", NOW - 250_000, TEXTS[0]), NOW);
    whole.raw(0, &said_by_the_brand(Kind::Comment, "answer", Some("complaint"), NOW - 100_000), NOW);
    for number in 0..9 {
        whole.raw(0, &post(&number.to_string(), "c", NOW - 90_000, TEXTS[3]), NOW);
    }
    whole.settle(NOW);
    whole.settle(NOW + 100);
    whole.side.crash();
    whole.raw(0, &post("more", "c", NOW - 60_000, TEXTS[3]), NOW + 200);
    for seconds in 1..100 {
        whole.settle(NOW + seconds * 1_000);
    }
    let row = newest(&whole, "c", "10m");
    assert_eq!((row["complaints"].as_i64(), row["first_responses"].as_i64()), (Some(1), Some(1)), "{row}");
}

/// Responders correct later than people write: nothing came late for that.
#[test]
fn a_correction_is_no_late_interaction() {
    let mut whole = Whole::new(wide(), 1_000);
    whole.raw(0, &post("1", "c", NOW - 5_000, TEXTS[1]), NOW);
    for seconds in 1..100 {
        whole.settle(NOW + seconds * 1_000);
    }
    let before = newest(&whole, "c", "10m").clone();
    whole.side.correct(&Correction {
        community_id: "c".into(),
        kind: Kind::Post,
        id: "1".into(),
        label: Some(Label::Tip),
        queue: None,
        by: "sari".into(),
        at: NOW,
        reason: None,
    });
    whole.settle(NOW + 101_000);
    let row = newest(&whole, "c", "10m");
    assert_eq!(row["window_end"], before["window_end"]);
    assert_eq!((before["tips"].as_i64(), row["tips"].as_i64()), (Some(0), Some(1)), "{row}");
    assert_eq!((row["late"].as_i64(), row["missed"].as_i64()), (Some(0), Some(0)), "{row}");
}

#[test]
fn the_state_of_an_item_says_whether_its_text_is_mixed() {
    let mut whole = Whole::new(WindowSet::standard(), 1_000_000);
    for (id, text) in [("1", MIXED), ("2", TEXTS[0])] {
        whole.raw(0, &post(id, "c", NOW, text), NOW);
    }
    whole.settle(NOW);
    let mixed = ["1", "2"].map(|id| whole.side.left.queue_states[&format!("c|post|{id}")]["mixed"].as_bool());
    assert_eq!(mixed, [Some(true), Some(false)]);
}

#[test]
fn an_edit_moves_an_item_and_a_retraction_retracts_it() {
    let mut whole = Whole::new(WindowSet::standard(), 1_000_000);
    let state = |whole: &Whole| {
        let state = &whole.side.left.queue_states["c|post|1"];
        (state["queue"].as_str().unwrap().to_owned(), state["status"].as_str().unwrap().to_owned())
    };
    whole.raw(0, &post("1", "c", NOW, TEXTS[0]), NOW);
    whole.settle(NOW);
    assert_eq!(state(&whole), ("complaint".to_owned(), "open".to_owned()));
    let mut edited = post("1", "c", NOW, TEXTS[1]);
    edited.edited_at = Some(NOW + 1);
    whole.raw(0, &edited, NOW);
    whole.settle(NOW);
    assert_eq!(state(&whole), ("praise".to_owned(), "moved".to_owned()));
    edited.edited_at = Some(NOW + 2);
    edited.text = TEXTS[3].into();
    whole.raw(0, &edited, NOW);
    whole.settle(NOW);
    assert_eq!(state(&whole), ("none".to_owned(), "moved".to_owned()));
    edited.edited_at = Some(NOW + 3);
    edited.text = TEXTS[0].into();
    whole.raw(0, &edited, NOW);
    edited.deleted = true;
    edited.edited_at = Some(NOW + 4);
    whole.raw(0, &edited, NOW);
    whole.settle(NOW);
    assert_eq!(state(&whole).1, "retracted");
    assert!(whole.side.left.queue_states["c|post|1"]["text"].is_null());
}

#[test]
fn the_index_keeps_to_its_bound_and_drops_what_is_older() {
    let mut whole = Whole::new(WindowSet::standard(), 1_000);
    for number in 0..3_000_i64 {
        whole.raw(0, &post(&number.to_string(), "c", NOW + number, TEXTS[0]), NOW + number);
        if number % 100 == 0 {
            whole.settle(NOW + number);
        }
    }
    whole.settle(NOW + 3_000);
    whole.settle(NOW + 3_001);
    let ids: usize = whole.side.stage.status().map(|status| status.ids).sum();
    assert!(ids <= 1_100, "{ids}");
    assert!(whole.side.left.queue_states.len() <= 1_200, "{}", whole.side.left.queue_states.len());
    whole.raw(0, &post("0", "c", NOW, TEXTS[0]), NOW + 3_000);
    whole.settle(NOW + 3_002);
    assert_eq!(whole.ledger().count(Outcome::Dropped), 1, "beyond the horizon, not counted twice");
    // The changelog holds about what lives: its segments are rewritten as they thin out.
    let changelog = &whole.side.left.changelog;
    let items = changelog.keys().filter(|(_, key)| key.starts_with(b"item|")).count();
    assert!(items <= ids, "{items} items of {ids} identities");
    assert!(changelog.len() - items < 200, "{}", changelog.len());
    let ledger = whole.ledger();
    whole.side.crash();
    let again: usize = whole.side.stage.status().map(|status| status.ids).sum();
    assert!(again >= ids && ledger.is_balanced());
}

/// However often interactions are edited, compaction leaves at most three times what a state written at once would take.
#[test]
fn the_changelog_is_at_most_three_times_what_lives() {
    const IDS: i64 = 1_000;
    let edited = |round: i64, number: i64| {
        let mut interaction = post(&number.to_string(), &format!("c {}", number % 7), NOW - number * 100, TEXTS[0]);
        interaction.edited_at = Some(NOW + round);
        interaction.text = TEXTS[(round + number) as usize % TEXTS.len()].into();
        interaction
    };
    let bytes = |whole: &Whole| {
        let left = whole.side.left.changelog.iter();
        left.map(|((_, key), (_, value))| key.len() + value.len()).sum::<usize>()
    };
    let mut once = Whole::new(WindowSet::standard(), 100_000);
    (0..IDS).for_each(|number| once.raw(0, &edited(23, number), NOW));
    once.settle(NOW + 1_000);
    let mut often = Whole::new(WindowSet::standard(), 100_000);
    let mut most = 0.0_f64;
    for round in 0..24 {
        for place in 0..IDS {
            // Half of them each time, and another half: what is in one segment of ids does not go together.
            let number = place * 7 % IDS;
            if round == 0 || ((number * 2_654_435_761) >> (round % 12 + 8)) % 2 == 0 {
                often.raw(0, &edited(round, number), NOW);
            }
            if place % 250 == 249 {
                often.settle(NOW + round * 1_000 + place);
            }
        }
        // Now and then event time goes on by two hours, and what is old may be let go.
        if round % 4 == 3 {
            let later = NOW + (round + 1) * 2 * 3_600_000;
            often.raw(0, &post(&format!("later {round}"), "later", later, TEXTS[3]), later);
            (0..3).for_each(|seconds| often.settle(later + seconds * 1_000));
        }
        most = most.max(bytes(&often) as f64 / bytes(&once) as f64);
    }
    assert!(most < 3.0, "{most:.2} times {} bytes", bytes(&once));
}

#[test]
fn a_record_in_another_partition_than_its_keys_is_a_dead_letter() {
    let mut whole = Whole::new(WindowSet::standard(), 1_000);
    whole.raw(0, &post("1", "c", NOW, TEXTS[0]), NOW);
    let (&right, kept) = whole.side.log.iter().find(|(_, log)| !log.is_empty()).unwrap();
    let kept = kept[0].clone();
    whole
        .side
        .log
        .get_mut(&InputPartition { partition: (right.partition + 1) % 3, ..right })
        .unwrap()
        .push(kept.clone());
    whole.side.log.get_mut(&right).unwrap().push(Kept { key: None, ..kept.clone() });
    whole.side.log.get_mut(&right).unwrap().push(Kept { value: None, ..kept.clone() });
    whole.side.log.get_mut(&right).unwrap().push(Kept { value: Some(vec![1, 2, 3]), ..kept });
    whole.settle(NOW);
    let ledger = whole.ledger();
    assert_eq!((ledger.count(Outcome::Applied), ledger.count(Outcome::DeadLettered)), (1, 4));
    assert_eq!(whole.side.left.dead_letters, 4);
}

#[test]
fn a_correction_belongs_where_its_community_lives_whatever_its_key() {
    let mut whole = Whole::new(WindowSet::standard(), 1_000);
    whole.raw(0, &post("1", "c", NOW, TEXTS[0]), NOW);
    whole.settle(NOW);
    let correction = Correction {
        community_id: "c".into(),
        kind: Kind::Post,
        id: "1".into(),
        label: Some(Label::Tip),
        queue: None,
        by: "sari".into(),
        at: NOW,
        reason: None,
    };
    let mut value = Vec::new();
    Encoder::single_object(SchemaName::Correction).encode(&correction, &mut value).unwrap();
    // Each key where it hashes to, as brokers have it: one of these keys hashes to each partition.
    for partition in 0..3 {
        let key = (0..)
            .map(|number| format!("c|post|{number}"))
            .find(|key| record::partition_for_key(key.as_bytes(), 3) == partition);
        let kept = Kept {
            partition: None,
            key: key.map(String::into_bytes),
            value: Some(value.clone()),
            headers: BTreeMap::new(),
        };
        whole.side.log.get_mut(&InputPartition { input: CommunityStage::CORRECTIONS, partition }).unwrap().push(kept);
    }
    whole.settle(NOW);
    let ledger = whole.ledger();
    assert_eq!((ledger.count(Outcome::Corrected), ledger.count(Outcome::DeadLettered)), (1, 2), "{ledger:?}");
    assert_eq!(ledger.count(Outcome::Parked), 0);
}

#[test]
fn a_queue_that_there_is_not_takes_no_place() {
    let mut whole = Whole::new(WindowSet::standard(), 1_000);
    whole.raw(0, &post("1", "c", NOW, TEXTS[0]), NOW);
    whole.settle(NOW);
    for number in 0..300 {
        whole.side.correct(&Correction {
            community_id: "c".into(),
            kind: Kind::Post,
            id: "1".into(),
            label: None,
            queue: Some(format!("tiket-{number}").into()),
            by: "sari".into(),
            at: NOW + number,
            reason: None,
        });
    }
    whole.settle(NOW + 1_000);
    assert_eq!(whole.ledger().count(Outcome::DeadLettered), 300);
    let largest = whole.side.left.changelog.values().map(|(_, value)| value.len()).max().unwrap();
    assert!(largest < 4_000, "{largest} bytes in one entry of the changelog");
}

#[test]
fn another_producer_cannot_fill_the_state_or_move_event_time() {
    let mut whole = Whole::new(WindowSet::standard(), 1_000);
    whole.raw(0, &post("1", "c", NOW, TEXTS[0]), NOW);
    whole.settle(NOW);
    let watermark = whole.watermark();
    let (&partition, log) = whole.side.log.iter().find(|(_, log)| log.iter().any(|kept| kept.key.is_some())).unwrap();
    let good = log.iter().find(|kept| kept.key.is_some()).unwrap().clone();
    let mut encoder = Encoder::single_object(SchemaName::Classified);
    let mut encoded = |record: &ClassifiedRecord<'_>| {
        let mut value = Vec::new();
        encoder.encode(record, &mut value).unwrap();
        value
    };
    let marker = |at: EpochMs, topic: &'static str, partition: i32| {
        let source = SourceProgress {
            topic: topic.into(),
            partition,
            position: 1,
            largest_event_time: Some(at),
            caught_up: true,
            grown_since: None,
        };
        ClassifiedRecord::Progress(Progress { at: NOW, sources: vec![source], canaries: Vec::new() })
    };
    let mut foreign = vec![
        encoded(&marker(253_370_764_800_000, "posts", 0)),
        encoded(&marker(EpochMs::MIN + 1, "posts", 0)),
        encoded(&marker(NOW, "posts", i32::MAX)),
    ];
    foreign.extend((0..100).map(|number| encoded(&marker(NOW, "elsewhere", number))));
    for topic in ["a", "b", "c", "d", "e", "f"] {
        let source = |partition| SourceProgress {
            topic: topic.into(),
            partition,
            position: i64::MAX,
            largest_event_time: None,
            caught_up: true,
            grown_since: None,
        };
        let sources = (0..10_000).map(source).collect();
        foreign.push(encoded(&ClassifiedRecord::Progress(Progress { at: NOW, sources, canaries: Vec::new() })));
    }
    let value = good.value.clone().unwrap();
    let mut decoder = ClassifiedDecoder::new(Framing::SingleObject);
    let ClassifiedRecord::ClassifiedInteraction(known) = decoder.decode(&value).unwrap() else { panic!("not one") };
    let long = ClassifiedInteraction { id: "i".repeat(600_000).into(), ..known };
    foreign.push(encoded(&ClassifiedRecord::ClassifiedInteraction(long)));
    for value in foreign {
        whole.side.log.get_mut(&partition).unwrap().push(Kept { value: Some(value), ..good.clone() });
    }
    whole.settle(NOW);
    let ledger = whole.ledger();
    assert_eq!(ledger.count(Outcome::DeadLettered), 3, "{ledger:?}");
    assert_eq!(whole.watermark(), watermark);
    let largest = whole.side.left.changelog.values().map(|(_, value)| value.len()).max().unwrap();
    assert!(largest < 262_144, "{largest} bytes in one entry of the changelog");
}

#[test]
fn a_large_flush_comes_in_parts() {
    let mut whole = Whole::new(WindowSet::standard(), 100_000);
    for number in 0..5_000_i64 {
        whole.raw(0, &post("1", &format!("community {number}"), NOW, TEXTS[1]), NOW);
    }
    whole.settle(NOW);
    let later = NOW + 8 * 86_400_000;
    whole.classify.step(Input::Clock(later));
    for partition in 0..3 {
        whole.side.log.get_mut(&InputPartition { input: 0, partition }).unwrap().push(marker_of_all_idle(later));
    }
    whole.side.now = later;
    whole.side.read();
    let (mut parts, mut most) = (1, 0);
    loop {
        let mut outputs = Outputs::default();
        let step = whole.side.stage.step(Input::Flush, &mut outputs).unwrap();
        most = most.max(outputs.bytes());
        if step == Step::Done {
            break;
        }
        parts += 1;
    }
    assert!(parts > 1 && most < 6 << 20, "{parts} parts, at most {most} bytes");
}

/// A marker that says of every source that it has caught up, having seen an event at `at`.
fn marker_of_all_idle(at: EpochMs) -> Kept {
    let sources = ["posts", "comments"].into_iter().flat_map(|topic| {
        (0..2).map(move |partition| SourceProgress {
            topic: topic.into(),
            partition,
            position: 100_000,
            largest_event_time: Some(at),
            caught_up: true,
            grown_since: None,
        })
    });
    let record = ClassifiedRecord::Progress(Progress { at, sources: sources.collect(), canaries: Vec::new() });
    let mut value = Vec::new();
    Encoder::single_object(SchemaName::Classified).encode(&record, &mut value).unwrap();
    Kept { partition: None, key: None, value: Some(value), headers: BTreeMap::new() }
}

#[test]
fn all_four_windows_rise_and_fall_to_zero() {
    let mut whole = Whole::new(WindowSet::standard(), 1_000);
    for number in 0..5 {
        whole.raw(number % 2, &post(&number.to_string(), "c", NOW + i64::from(number), TEXTS[1]), NOW);
    }
    whole.settle(NOW);
    let mut now = NOW;
    while now < NOW + 9 * 86_400_000 {
        now += 3_600_000;
        whole.settle(now);
    }
    for spec in WindowSet::standard().specs() {
        let rows: Vec<i64> = whole
            .side
            .left
            .rows
            .values()
            .filter(|row| row["window"] == spec.name.as_str())
            .map(|row| row["praises"].as_i64().unwrap())
            .collect();
        assert!(rows.contains(&5) && rows.contains(&0), "{}: {rows:?}", spec.name);
        let last = whole.side.left.rows.values().filter(|row| row["window"] == spec.name.as_str());
        let last = last.max_by_key(|row| row["window_end"].as_i64()).unwrap();
        assert_eq!(last["interactions"], 0, "{}", spec.name);
    }
    let known = |whole: &Whole| {
        let status = whole.side.stage.status();
        status
            .fold((0, 0), |(communities, members), status| (communities + status.communities, members + status.members))
    };
    assert_eq!(known(&whole), (1, 1), "who was there is remembered");
    while now < NOW + 40 * 86_400_000 {
        now += 12 * 3_600_000;
        whole.settle(now);
    }
    assert_eq!(known(&whole), (0, 0), "a quiet community is forgotten");
    let left =
        whole.side.left.changelog.keys().filter(|(_, key)| key.starts_with(b"member") || key.starts_with(b"slice"));
    assert_eq!(left.count(), 0);
    let _ = decoded(SchemaName::Classified, whole.side.log.values().flatten().next().unwrap().value.as_ref().unwrap());
}

#[test]
fn an_on_time_pane_is_sampled_by_the_record_that_it_waited_for() {
    let mut whole = Whole::new(wide(), 1_000);
    let of = |kind: Kind, id: &str, community: &str, created_at| {
        let post_id = (kind == Kind::Comment).then(|| "p".into());
        Interaction { kind, post_id, ..post(id, community, created_at, TEXTS[0]) }
    };
    let sources = [(Kind::Post, 0), (Kind::Post, 1), (Kind::Comment, 0), (Kind::Comment, 1)];
    for (kind, partition) in sources {
        whole.raw(partition, &of(kind, &format!("{partition}"), "c", NOW), NOW + 100);
    }
    whole.arrive(NOW + 200);
    whole.side.commit();
    assert_eq!(whole.latency_samples(), [], "no pane is due");
    for (nth, (kind, partition)) in sources.into_iter().take(3).enumerate() {
        let next = of(kind, &format!("{partition} again"), "c", NOW + 25_000 + nth as i64);
        whole.raw(partition, &next, NOW + 25_100 + nth as i64);
    }
    whole.arrive(NOW + 25_200);
    whole.side.commit();
    assert_eq!(whole.latency_samples(), [], "one source holds the watermark");
    // Of another community, on another partition: that of `c` hears of it by the next marker.
    whole.raw(1, &of(Kind::Comment, "last", "e", NOW + 25_000), NOW + 25_300);
    whole.raw(1, &of(Kind::Comment, "last of all", "e", NOW + 26_000), NOW + 25_900);
    whole.arrive(NOW + 26_300);
    while whole.side.stage.step(Input::Flush, &mut Outputs::default()).unwrap() == Step::More {}
    let at = |partition| InputPartition { input: 0, partition };
    whole.side.stage.step(Input::Lost(&[at(0), at(1), at(2)]), &mut Outputs::default()).unwrap();
    assert_eq!(whole.latency_samples(), [], "what is given up is not measured");
    whole.side.crash();
    whole.side.read();
    whole.side.commit();
    let on_time = whole.side.left.rows.values().filter(|row| row["timing"] == "on_time").count();
    assert_eq!((on_time, whole.side.left.emitted), (1, 1), "{:?}", whole.side.left.rows.keys());
    assert_eq!(whole.latency_samples(), [LatencySample { since: NOW + 25_300, weight: 1 }], "read again, it is as old");
    whole.raw(0, &of(Kind::Post, "late", "c", NOW + 1_000), NOW + 27_000);
    whole.arrive(NOW + 27_500);
    whole.side.commit();
    assert_eq!(whole.side.left.emitted, 2, "a revision");
    assert_eq!(whole.latency_samples(), [], "revisions are not on time");
    whole.side.replay();
    assert_eq!(whole.latency_samples(), [], "what was committed and comes again moves nothing");
}

#[test]
fn the_busiest_community_of_a_partition_shows_by_its_rate() {
    let mut whole = Whole::new(wide(), 1_000);
    let hottest = |whole: &Whole| {
        let rates = whole.side.stage.status().map(|status| status.hottest_per_second);
        rates.fold(0.0, f64::max)
    };
    for nth in 0..60 {
        whole.raw(0, &post(&nth.to_string(), "hot", NOW, TEXTS[0]), NOW);
        // The same again is work too.
        whole.raw(0, &post(&nth.to_string(), "hot", NOW, TEXTS[0]), NOW);
        whole.raw(0, &post(&nth.to_string(), &format!("cold {nth}"), NOW, TEXTS[0]), NOW);
    }
    whole.arrive(NOW);
    whole.side.clock(NOW + 9_999);
    assert_eq!(hottest(&whole), 0.0, "the interval is not over");
    whole.side.clock(NOW + 12_000);
    assert_eq!(hottest(&whole), 10.0);
    whole.side.clock(NOW + 23_000);
    assert_eq!(hottest(&whole), 0.0, "nothing came since");
    whole.raw(0, &post("a", "hot", NOW, TEXTS[0]), NOW);
    whole.arrive(NOW + 23_000);
    whole.side.clock(NOW);
    assert_eq!(hottest(&whole), 0.0, "the clock was set back");
    whole.raw(0, &post("b", "hot", NOW, TEXTS[0]), NOW);
    whole.arrive(NOW);
    whole.side.clock(NOW + 10_000);
    assert_eq!(hottest(&whole), 0.1);
}

/// Six thousand posts of four thousand people in seven minutes, the first two thousand of them twice.
fn crowd() -> impl Iterator<Item = (EpochMs, i64)> {
    (0..6_000_i64).map(|number| (NOW + number * 70, number % 4_000))
}

fn gather(ids_max: usize, crashes: bool) -> Whole {
    let mut whole = Whole::new(wide(), ids_max);
    for (number, (at, member)) in crowd().enumerate() {
        let mut interaction = post(&number.to_string(), "c", at, TEXTS[3]);
        let id = format!("u-{member}").into();
        interaction.author = Some(Author { id, handle: None, role: Role::Member, followers: None, verified: None });
        whole.raw(0, &interaction, at);
        if number % 200 == 199 {
            whole.settle(at);
        }
        if crashes && number % 700 == 699 {
            whole.side.read();
            whole.side.crash();
        }
    }
    for seconds in 1..80 {
        whole.settle(NOW + 420_000 + seconds * 10_000);
    }
    whole
}

#[test]
fn beyond_the_bound_on_identities_members_are_estimated() {
    let told_apart = gather(1_000_000, false);
    let estimated = gather(1_000, false);
    let (mut largest, mut exact_rows) = (0, 0);
    for (key, row) in &estimated.side.left.rows {
        let exact = &told_apart.side.left.rows[key];
        let number = |row: &Value, field: &str| row[field].as_i64().unwrap();
        let pane = number(row, "window_start")..number(row, "window_end");
        let held: BTreeSet<i64> = crowd().filter(|(at, _)| pane.contains(at)).map(|(_, member)| member).collect();
        let before: BTreeSet<i64> = crowd().filter(|&(at, _)| at < pane.start).map(|(_, member)| member).collect();
        let (distinct, new) = (held.len() as i64, held.difference(&before).count() as i64);
        let of = |row: &Value| ["distinct_members", "new_members", "returning_members"].map(|field| number(row, field));
        assert_eq!(of(exact), [distinct, new, distinct - new], "{exact}");
        assert_eq!(exact["members_approximate"], false);
        let [found_distinct, found_new, found_returning] = of(row);
        assert_eq!((found_new, found_returning), (new, found_distinct - new), "{row}");
        if row["members_approximate"] == true {
            // Three standard errors.
            assert!((found_distinct - distinct).abs() * 1_000 <= distinct * 49, "{distinct}: {row}");
            largest = largest.max(distinct);
        } else {
            assert_eq!(found_distinct, distinct, "{row}");
            exact_rows += i64::from(distinct > 0);
        }
        if found_distinct > 0 {
            let of_each = number(row, "interactions") as f64 / found_distinct as f64;
            assert_eq!(row["interactions_per_member"].as_f64(), Some(of_each), "{row}");
        }
        for field in ["interactions", "others", "late", "open_complaints"] {
            assert_eq!(row[field], exact[field], "{row}");
        }
    }
    assert!(largest == 4_000 && exact_rows > 0, "{largest}, {exact_rows}");
    assert_eq!(estimated.side.left.rows.len(), told_apart.side.left.rows.len());
    let ids: usize = estimated.side.stage.status().map(|status| status.ids).sum();
    assert!(ids <= 1_000, "{ids}");
    assert_eq!(gather(1_000, true).side.left.rows, estimated.side.left.rows, "whatever was lost in between");
}

#[test]
fn at_the_bound_on_identities_what_waits_and_is_forgotten_is_counted() {
    let mut whole = Whole::new(wide(), 1_000);
    whole.raw(0, &post("waits", "c", NOW, TEXTS[0]), NOW);
    whole.raw(0, &post("praise", "c", NOW, TEXTS[3]), NOW);
    whole.settle(NOW);
    let expired = |whole: &Whole| whole.side.stage.status().map(|status| status.items_expired).sum::<u64>();
    assert_eq!((whole.side.left.queue_states.len(), expired(&whole)), (1, 0));
    for number in 0..1_100 {
        whole.raw(0, &post(&number.to_string(), "c", NOW + 100 + number, TEXTS[3]), NOW + 2_000);
    }
    whole.settle(NOW + 2_000);
    whole.settle(NOW + 3_000);
    assert_eq!((whole.side.left.queue_states.len(), expired(&whole)), (0, 1));
}

#[test]
fn no_more_communities_than_there_is_room_for_and_those_that_are_known_go_on() {
    let mut whole = Whole::new(wide(), 1_000_000);
    let communities = || (0..3 * COMMUNITIES_MAX + 300).map(|number| format!("post {number}"));
    for community in communities() {
        whole.raw(0, &post("1", &community, NOW, TEXTS[3]), NOW);
    }
    whole.settle(NOW);
    let known: Vec<usize> = whole.side.stage.status().map(|status| status.communities).collect();
    assert_eq!(known, [COMMUNITIES_MAX; 3]);
    assert_eq!(whole.side.left.dead_letters, 300);
    whole.side.crash();
    // Whoever is known is restored, and goes on.
    for community in communities() {
        whole.raw(0, &post("2", &community, NOW + 100, TEXTS[3]), NOW + 100);
    }
    whole.settle(NOW + 100);
    let ids: usize = whole.side.stage.status().map(|status| status.ids).sum();
    assert_eq!((whole.side.left.dead_letters, ids), (600, 2 * 3 * COMMUNITIES_MAX));
    // No more do actions make further ones known.
    whole.side.act(&Action {
        kind: "silence".into(),
        target: record::encode_key(&["one more"]).into(),
        by: "sari".into(),
        at: NOW,
        until: Some(NOW + 60_000),
        reason: Some("a festival".into()),
    });
    whole.settle(NOW + 200);
    assert_eq!(whole.side.left.dead_letters, 601);
}

/// What is estimated of a community in which nothing happens is written down too.
#[test]
fn members_of_a_quiet_community_outlive_their_identities() {
    let mut whole = Whole::new(wide(), 1_000);
    let place = |community: &str| record::partition_for_key(record::encode_key(&[community]).as_bytes(), 3);
    let busy = (0..).map(|number| format!("busy {number}")).find(|busy| place(busy) == place("quiet")).unwrap();
    let crowd = |whole: &mut Whole, community: &str, at: EpochMs, members: i64| {
        for number in 0..members {
            let id = format!("u-{number}").into();
            let author = Some(Author { id, handle: None, role: Role::Member, followers: None, verified: None });
            let interaction = post(&number.to_string(), community, at, TEXTS[3]);
            whole.raw(0, &Interaction { author, ..interaction }, at);
        }
        whole.settle(at);
    };
    crowd(&mut whole, "quiet", NOW, 500);
    crowd(&mut whole, &busy, NOW + 100, 700);
    whole.side.crash();
    let ids: usize = whole.side.stage.status().map(|status| status.ids).sum();
    assert_eq!(ids, 700, "all of the quiet one have left for good");
    for seconds in 1..40 {
        whole.settle(NOW + seconds * 1_000);
    }
    let row = newest(&whole, "quiet", "1m");
    let distinct = row["distinct_members"].as_i64().unwrap();
    assert!((500 - distinct).abs() < 25 && row["members_approximate"] == true, "{row}");
    assert_eq!((row["new_members"].as_i64(), row["interactions"].as_i64()), (Some(500), Some(500)), "{row}");
}
