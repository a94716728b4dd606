//! Interactions whose event time moves back, as by a crawler that corrects its time zone: after they left the index, no segment of
//! the changelog may bring back what they were before.

use record::{Action, Author, EpochMs, Interaction, Kind, Outcome, Role};
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

/// It was taken back, known at `now`.
fn deleted(mut said: Interaction<'static>, now: EpochMs) -> Interaction<'static> {
    (said.deleted, said.observed_at) = (true, now);
    said
}

/// The brand answers a post of `u-1`.
fn reply(id: &str, to: &str, at: EpochMs) -> Interaction<'static> {
    let mut said = post(id, "c", at, "Mohon maaf, sedang kami cek pesanannya.");
    let author = |id: &'static str, role| Author { id: id.into(), handle: None, role, followers: None, verified: None };
    (said.kind, said.author) = (Kind::Comment, Some(author("brand", Role::Brand)));
    (said.post_id, said.post_author) = (Some(to.to_owned().into()), Some(author("u-1", Role::Member)));
    said
}

fn erase(whole: &mut Whole, author: &str, at: EpochMs) {
    let target = record::encode_key(&["c", &author_key(author)]).into();
    whole.side.act(&Action { kind: "erase".into(), target, by: "dpo".into(), at, until: None, reason: None });
    whole.side.read();
    whole.side.commit();
}

/// How many entries of the changelog say anything of an author.
fn left_of(whole: &Whole, author: &str) -> usize {
    let key = author_key(author);
    let changelog = whole.side.left.changelog.iter();
    changelog.filter(|((_, entry), (_, value))| pipeline::mentions(&key, entry, value).is_some()).count()
}

fn has_row(whole: &Whole) -> bool {
    whole.side.left.queue_states.contains_key("c|post|1")
}

fn ids(whole: &Whole) -> usize {
    whole.side.stage.status().map(|status| status.ids).sum()
}

/// So many segments with an entry that does not live any more that it takes more than one commit until all are written anew.
fn thin_out(whole: &mut Whole, said: &Interaction<'_>) {
    whole.side.now = NOW;
    let other = |kind: char, number: i32| says(&format!("{kind} {number}"), "u-2", NOW, TEXTS[3]);
    for number in 0..150 {
        whole.raw(0, &other('k', number), NOW);
        whole.raw(0, &other('e', number), NOW);
        whole.settle(NOW);
    }
    whole.raw(0, said, NOW);
    whole.raw(0, &says("2", "u-2", NOW, TEXTS[0]), NOW);
    whole.settle(NOW);
    for number in 0..150 {
        whole.raw(0, &edited(other('e', number), NOW, NOW + 1), NOW);
    }
    whole.settle(NOW);
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
    let gone = deleted(said.clone(), NOW + 60 * MINUTE_MS);
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
    assert!(!has_row(&whole));
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
            assert!(!has_row(whole), "it left");
        },
        |whole| arrives(whole, &edited(said.clone(), NOW, NOW + 2)),
    );
    assert!(whole.side.ledger().count(Outcome::Dropped) > 0, "what is below the low mark is not taken in");
}

/// What was read back of a move at the first is what keeps it out until the second.
#[test]
fn one_that_was_moved_back_before_two_restarts() {
    let said = says("1", "u-1", NOW, TEXTS[0]);
    let mut whole = two_complaints(1_000_000);
    go_on(&mut whole, NOW + MINUTE_MS);
    arrives(&mut whole, &edited(said.clone(), NOW - 40 * MINUTE_MS, NOW + 1));
    whole.side.crash();
    go_on(&mut whole, NOW + 60 * MINUTE_MS);
    whole.side.crash();
    arrives(&mut whole, &deleted(said, NOW + 60 * MINUTE_MS));
    go_on(&mut whole, NOW + 70 * MINUTE_MS);
    counted(&whole, EpochMs::MAX);
}

/// The members of a version that had left do not count in a slice that is told anew.
#[test]
fn one_that_had_left_retracted() {
    let gone = deleted(says("1", "u-1", NOW, TEXTS[0]), NOW + 1);
    let whole = same_with_a_restart(
        20,
        |whole| {
            arrives(whole, &gone);
            for number in 0..30 {
                whole.raw(0, &says(&format!("f {number}"), "u-9", NOW + 1_000, TEXTS[3]), NOW);
            }
            whole.settle(NOW + 2);
        },
        |whole| go_on(whole, NOW + 3 * MINUTE_MS),
    );
    assert_eq!(left_of(&whole, "u-1"), 0);
}

/// It leaves by the time that it has now, before what answers it: it does not wait again when its answer is gone.
#[test]
fn one_that_was_answered_leaves_before_its_answer() {
    let said = says("1", "u-1", NOW, TEXTS[0]);
    let mut whole = two_complaints(1_000_000);
    arrives(&mut whole, &edited(said, NOW - 40 * MINUTE_MS, NOW + 1));
    arrives(&mut whole, &reply("r", "1", NOW - 30 * MINUTE_MS));
    assert_eq!(whole.side.left.queue_states["c|post|1"]["status"], "answered");
    go_on(&mut whole, NOW + 60 * MINUTE_MS);
    assert!(!has_row(&whole));
    let waiting = |whole: &Whole| whole.side.stage.status().map(|status| status.items_waiting).collect::<Vec<_>>();
    let before = waiting(&whole);
    whole.side.crash();
    assert_eq!(before, waiting(&whole));
}

#[test]
fn many_that_are_moved_back_keep_to_the_bound() {
    let mut whole = Whole::new(wide(), 50);
    for number in 0..300 {
        let at = NOW + number * 1_000;
        whole.side.now = at;
        let said = says(&format!("m {number}"), "u-2", at, TEXTS[3]);
        arrives(&mut whole, &said);
        arrives(&mut whole, &edited(said, at - 30 * MINUTE_MS, at + 1));
        assert!(ids(&whole) <= 51, "{} after {number}", ids(&whole));
        if number % 70 == 69 {
            whole.side.crash();
        }
    }
    counted(&whole, EpochMs::MAX);
}

#[test]
fn one_that_was_erased_by_the_time_it_was_moved_back_to() {
    let said = says("1", "u-1", NOW, TEXTS[0]);
    let mut whole = Whole::new(wide(), 1_000_000);
    thin_out(&mut whole, &said);
    arrives(&mut whole, &edited(said, NOW - 20 * MINUTE_MS, NOW + 1));
    let known = ids(&whole);
    erase(&mut whole, "u-1", NOW - 10 * MINUTE_MS);
    whole.side.crash();
    go_on(&mut whole, NOW + 10 * MINUTE_MS);
    counted(&whole, EpochMs::MAX);
    assert_eq!((left_of(&whole, "u-1"), has_row(&whole)), (0, false));
    // Two came each minute; that it went is not kept for longer than a segment holds what it was.
    assert_eq!(ids(&whole), known - 1 + 2 * 10);
}

/// By an erasure of the author of its last version; the one before was another's.
#[test]
fn one_that_was_erased_and_was_of_somebody_else_before() {
    let mut whole = Whole::new(wide(), 1_000_000);
    let said = says("1", "u-3", NOW, TEXTS[0]);
    thin_out(&mut whole, &said);
    arrives(&mut whole, &edited(says("1", "u-1", NOW, TEXTS[0]), NOW, NOW + 1));
    let known = ids(&whole);
    erase(&mut whole, "u-1", NOW + MINUTE_MS);
    whole.side.crash();
    let mut gone = deleted(said, NOW + 2 * MINUTE_MS);
    gone.author = None;
    arrives(&mut whole, &gone);
    go_on(&mut whole, NOW + 10 * MINUTE_MS);
    counted(&whole, EpochMs::MAX);
    assert_eq!(left_of(&whole, "u-1"), 0);
    // Once no segment holds what it was, that it went is not kept either: what is known is what was known before, and what came since.
    assert_eq!(ids(&whole), known + 2 * 10);
}

/// As long as it may come again, also after the erasure was forgotten.
#[test]
fn one_that_was_erased_stays_out() {
    let said = says("1", "u-1", NOW, TEXTS[0]);
    let mut whole = two_complaints(1_000_000);
    arrives(&mut whole, &edited(said.clone(), NOW - 40 * MINUTE_MS, NOW + 1));
    erase(&mut whole, "u-1", NOW - 20 * MINUTE_MS);
    for to in [5, 68] {
        go_on(&mut whole, NOW + to * MINUTE_MS);
        let now = whole.side.now;
        arrives(&mut whole, &edited(said.clone(), NOW - 40 * MINUTE_MS, now));
        assert_eq!((left_of(&whole, "u-1"), has_row(&whole)), (0, false), "after {to} minutes");
    }
}

/// Whether the erasure is read before the version by which it was made earlier, or after it.
#[test]
fn one_that_turns_out_to_be_of_before_an_erasure() {
    let moved = edited(says("1", "u-1", NOW, TEXTS[0]), NOW - 40 * MINUTE_MS, NOW + 1);
    for is_erased_first in [true, false] {
        let mut whole = two_complaints(1_000_000);
        for is_erasure in [is_erased_first, !is_erased_first] {
            if is_erasure {
                erase(&mut whole, "u-1", NOW - 20 * MINUTE_MS);
            } else {
                arrives(&mut whole, &moved);
            }
        }
        // A segment of two is still there, with what it was.
        whole.side.crash();
        arrives(&mut whole, &edited(moved.clone(), moved.created_at, NOW + 2));
        go_on(&mut whole, NOW + 10 * MINUTE_MS);
        assert_eq!((left_of(&whole, "u-1"), has_row(&whole)), (0, false), "erased first: {is_erased_first}");
        assert!(counted(&whole, EpochMs::MAX).iter().all(|&(_, complaints, ..)| complaints <= 1));
    }
}

/// At the bound on identities, to a time that the low mark has passed and windows have not: it leaves at once, and counts there with its
/// author.
#[test]
fn one_that_is_moved_back_beyond_the_low_mark() {
    let whole = same_with_a_restart(
        20,
        |whole| {
            go_on(whole, NOW + 10 * MINUTE_MS);
            let at = NOW + 11 * MINUTE_MS;
            whole.side.now = at;
            let said = says("x", "u-7", at, TEXTS[0]);
            arrives(whole, &said);
            assert!(whole.side.left.queue_states.contains_key("c|post|x"));
            arrives(whole, &edited(said, NOW + 30_000, at + 1));
            assert!(!whole.side.left.queue_states.contains_key("c|post|x"), "it leaves with it");
        },
        |whole| {
            // Something else of then, so that its panes are told anew.
            let at = NOW + 12 * MINUTE_MS;
            whole.side.now = at;
            let said = says("y", "u-8", at, TEXTS[3]);
            arrives(whole, &said);
            arrives(whole, &edited(said, NOW + 31_000, at + 1));
        },
    );
    let rows = whole.side.left.rows.values();
    assert!(rows.into_iter().any(|row| row["distinct_members"] == 3), "u-7, u-8 and u-9");
}

/// More than leave with one commit: after a crash the others leave too, with their rows; those of one time all leave together.
#[test]
fn many_leave_in_parts() {
    const MANY: i64 = 6_000;
    for (apart_ms, left) in [(1, MANY - 5_000), (0, 0)] {
        let mut whole = Whole::new(wide(), 1_000_000);
        whole.side.now = NOW;
        for number in 0..MANY {
            whole.raw(0, &says(&number.to_string(), "u-1", NOW - number * apart_ms, TEXTS[0]), NOW);
        }
        whole.settle(NOW);
        let rows = |whole: &Whole| whole.side.left.queue_states.len() as i64;
        assert_eq!(rows(&whole), MANY);
        let later = NOW + 300 * MINUTE_MS;
        whole.side.now = later;
        whole.raw(0, &says("later", "u-1", later, TEXTS[3]), later);
        whole.raw(1, &says("later b", "u-1", later, TEXTS[3]), later);
        whole.settle(later);
        assert_eq!(rows(&whole), left, "{apart_ms} ms apart");
        whole.side.crash();
        whole.settle(later + 1);
        whole.settle(later + 2);
        assert_eq!((rows(&whole), ids(&whole)), (0, 2));
    }
}
