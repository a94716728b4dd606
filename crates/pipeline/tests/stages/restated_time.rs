//! Interactions whose event time moves back, as by a crawler that corrects its time zone: after they left the index, no segment of
//! the changelog may bring back what they were before.

use record::{Action, EpochMs, Interaction, Outcome};
use serde_json::Value;

use crate::community::{TEXTS, Whole, author_key, wide};
use crate::world::{NOW, post};

const MINUTE_MS: i64 = 60_000;
/// Further back than the windows of these tests.
const LONG_AGO: EpochMs = NOW - 30 * 86_400_000;

fn says(id: &str, author: &str, at: EpochMs, text: &str) -> Interaction<'static> {
    let mut said = post(id, "c", at, text);
    if let Some(of) = &mut said.author {
        of.id = author.to_owned().into();
    }
    said
}

/// Another version of it, known at `now`.
fn edited(mut said: Interaction<'static>, at: EpochMs, now: EpochMs) -> Interaction<'static> {
    (said.created_at, said.edited_at, said.observed_at) = (at, Some(now), now);
    said
}

fn arrives(whole: &mut Whole, said: &Interaction<'_>) {
    let now = whole.side.now;
    whole.raw(0, said, now);
    whole.settle(now + 1);
}

/// Event time goes on as far as `to`.
fn go_on(whole: &mut Whole, to: EpochMs) {
    while whole.side.now < to {
        let now = whole.side.now + MINUTE_MS;
        whole.raw(0, &says(&now.to_string(), "u-9", now, TEXTS[3]), now);
        whole.raw(1, &says(&format!("{now} b"), "u-9", now, TEXTS[3]), now);
        whole.settle(now);
    }
}

/// Two complaints that one segment of ids holds.
fn two_complaints(ids_max: usize) -> Whole {
    let mut whole = Whole::new(wide(), ids_max);
    whole.side.now = NOW;
    whole.raw(0, &says("1", "u-1", NOW, TEXTS[0]), NOW);
    whole.raw(1, &says("2", "u-2", NOW + 5 * MINUTE_MS, TEXTS[0]), NOW);
    whole.settle(NOW);
    whole
}

/// What the rows that end by `to` count.
fn counted(whole: &Whole, to: EpochMs) -> Vec<(&str, i64, i64, i64)> {
    let number = |row: &Value, field: &str| row[field].as_i64().unwrap_or_else(|| panic!("{field} of {row}"));
    let rows = whole.side.left.rows.iter().filter(|(_, row)| row["window_end"].as_i64() <= Some(to));
    rows.map(|(key, row)| {
        let [complaints, praises, members] =
            ["complaints", "praises", "distinct_members"].map(|field| number(row, field));
        assert!(complaints >= 0 && praises >= 0 && members >= 0, "{row}");
        (key.as_str(), complaints, praises, members)
    })
    .collect()
}

/// A restart between them changes nothing of what the rows count.
fn same_with_a_restart(ids_max: usize, before: impl Fn(&mut Whole), after: impl Fn(&mut Whole)) -> Whole {
    let [mut with, mut without] = [true, false].map(|restarts| {
        let mut whole = two_complaints(ids_max);
        before(&mut whole);
        if restarts {
            whole.side.crash();
        }
        after(&mut whole);
        whole
    });
    for whole in [&mut with, &mut without] {
        let to = whole.side.now + 20 * MINUTE_MS;
        go_on(whole, to);
    }
    // While nothing comes event time goes on by the clock, which a restart begins anew.
    let to = with.watermark().min(without.watermark());
    assert_eq!(counted(&with, to), counted(&without, to));
    with
}

#[test]
fn one_that_turns_out_to_be_older_than_everything_kept() {
    let said = says("1", "u-1", NOW, TEXTS[0]);
    let whole = same_with_a_restart(
        1_000_000,
        |whole| {
            go_on(whole, NOW + 10 * MINUTE_MS);
            arrives(whole, &edited(said.clone(), LONG_AGO, NOW + 1));
            // Until a sweep has found it.
            go_on(whole, NOW + 20 * MINUTE_MS);
        },
        |whole| arrives(whole, &edited(said.clone(), NOW, NOW + 2)),
    );
    let complaints = whole.side.left.rows.values().filter(|row| row["complaints"] == 1).count();
    assert!(complaints > 0, "the last version is right");
}

#[test]
fn one_that_was_moved_back_and_has_left() {
    let said = says("1", "u-1", NOW, TEXTS[0]);
    let mut gone = said.clone();
    (gone.deleted, gone.observed_at) = (true, NOW + 60 * MINUTE_MS);
    let ids = |whole: &Whole| whole.side.stage.status().map(|status| status.ids).sum::<usize>();
    same_with_a_restart(
        1_000_000,
        |whole| {
            go_on(whole, NOW + MINUTE_MS);
            arrives(whole, &edited(said.clone(), NOW - 40 * MINUTE_MS, NOW + 1));
            // The low mark is some 78 minutes behind: past what it was moved to, and not past what it was.
            go_on(whole, NOW + 60 * MINUTE_MS);
        },
        |whole| arrives(whole, &gone),
    );
    let mut whole = two_complaints(1_000_000);
    arrives(&mut whole, &edited(said, NOW - 40 * MINUTE_MS, NOW + 1));
    go_on(&mut whole, NOW + 200 * MINUTE_MS);
    assert!(ids(&whole) < 250, "in the end it leaves, as others do: {} are left", ids(&whole));
    let of_it = |(_, key): &&(i32, Vec<u8>)| String::from_utf8_lossy(key).contains("|c|post|1");
    assert_eq!(whole.side.left.changelog.keys().filter(of_it).count(), 0);
    assert!(!whole.side.left.queue_states.contains_key("c|post|1"));
}

/// At the bound on identities the low mark is within windows that are still open.
#[test]
fn one_that_had_left_in_another_version_than_a_segment_holds() {
    let said = says("1", "u-1", NOW, TEXTS[0]);
    let mut praise = edited(said.clone(), NOW, NOW + 1);
    praise.text = TEXTS[1].into();
    let whole = same_with_a_restart(
        20,
        |whole| {
            arrives(whole, &praise);
            // The oldest tenth leaves, twice.
            go_on(whole, NOW + 11 * MINUTE_MS);
            assert!(!whole.side.left.queue_states.contains_key("c|post|1"), "it left");
        },
        |whole| arrives(whole, &edited(said.clone(), NOW, NOW + 2)),
    );
    assert!(whole.side.ledger().count(Outcome::Dropped) > 0, "what is below the low mark is not taken in");
}

#[test]
fn one_that_was_erased_by_the_time_it_was_moved_back_to() {
    let mut whole = Whole::new(wide(), 1_000_000);
    whole.side.now = NOW;
    // So many thinned segments that it takes more than one commit until all are written anew.
    for number in 0..150 {
        whole.raw(0, &says(&format!("k {number}"), "u-2", NOW, TEXTS[3]), NOW);
        whole.raw(0, &says(&format!("e {number}"), "u-2", NOW, TEXTS[3]), NOW);
        whole.settle(NOW);
    }
    whole.raw(0, &says("1", "u-1", NOW, TEXTS[0]), NOW);
    whole.raw(0, &says("2", "u-2", NOW, TEXTS[0]), NOW);
    whole.settle(NOW);
    for number in 0..150 {
        let said = says(&format!("e {number}"), "u-2", NOW, TEXTS[1]);
        whole.raw(0, &edited(said, NOW, NOW + 1), NOW);
    }
    whole.settle(NOW);
    arrives(&mut whole, &edited(says("1", "u-1", NOW, TEXTS[0]), NOW - 20 * MINUTE_MS, NOW + 1));
    let target = record::encode_key(&["c", &author_key("u-1")]).into();
    let at = NOW - 10 * MINUTE_MS;
    whole.side.act(&Action { kind: "erase".into(), target, by: "dpo".into(), at, until: None, reason: None });
    whole.side.read();
    whole.side.commit();
    whole.side.crash();
    go_on(&mut whole, NOW + 10 * MINUTE_MS);
    counted(&whole, EpochMs::MAX);
    let changelog = whole.side.left.changelog.iter();
    let key = author_key("u-1");
    let left = changelog.filter(|((_, entry), (_, value))| pipeline::mentions(&key, entry, value).is_some()).count();
    assert_eq!(left, 0, "entries that say anything of them");
    assert!(!whole.side.left.queue_states.contains_key("c|post|1"));
}
