//! Who asked to be forgotten: whenever that is read, before, between or after what they wrote, nothing of it counts or is kept.

use pipeline::mentions;
use proptest::prelude::*;
use record::{Action, EpochMs, Outcome};
use serde_json::json;
use window::WindowSet;

use crate::community::{
    Arrival, Erasing, TEXTS, Whole, arrival, author_key, check_queue_states, check_rows, run_erasing, wide,
};
use crate::world::{NOW, post};

/// After everything in the random streams was made, and before it is read.
const AFTER_ALL: EpochMs = NOW;

fn erase(community: &str, author: &str, at: EpochMs) -> Action<'static> {
    let target = record::encode_key(&[community, &author_key(author)]).into();
    Action { kind: "erase".into(), target, by: "dpo".into(), at, until: None, reason: None }
}

fn says(whole: &mut Whole, id: &str, author: &str, at: EpochMs, text: &str) {
    let mut said = post(id, "c", at, text);
    if let Some(of) = &mut said.author {
        of.id = author.to_owned().into();
    }
    whole.raw(0, &said, at);
}

/// How many entries of the changelog say anything of an author.
fn left_of(whole: &Whole, author: &str) -> usize {
    let key = author_key(author);
    let changelog = &whole.side.left.changelog;
    changelog.iter().filter(|((_, entry), (_, value))| mentions(&key, entry, value).is_some()).count()
}

fn settle(whole: &mut Whole, times: i64) {
    for _ in 0..times {
        let now = whole.side.now + 10_000;
        whole.settle(now);
    }
}

#[test]
fn what_somebody_wrote_goes_and_stays_out_and_what_they_write_later_counts() {
    let mut whole = Whole::new(wide(), 1_000_000);
    for (number, author) in ["u-1", "u-2", "u-1"].into_iter().enumerate() {
        says(&mut whole, &number.to_string(), author, NOW - 60_000 + number as i64, TEXTS[0]);
    }
    whole.settle(NOW);
    settle(&mut whole, 2);
    assert_eq!(whole.side.left.queue_states.len(), 3);
    assert!(left_of(&whole, "u-1") >= 2, "an identity and a member");
    whole.side.act(&erase("c", "u-1", NOW));
    settle(&mut whole, 4);
    let keys: Vec<&str> = whole.side.left.queue_states.keys().map(String::as_str).collect();
    assert_eq!(keys, ["c|post|1"], "the row is gone, not only its text");
    assert_eq!((left_of(&whole, "u-1"), whole.side.ledger().count(Outcome::Acted)), (0, 1));
    assert!(left_of(&whole, "u-2") >= 2);
    // Crawled again, edited, taken back, replayed, after a crash: it stays out.
    whole.side.crash();
    let mut again = post("0", "c", NOW - 60_000, TEXTS[1]);
    (again.observed_at, again.edited_at) = (whole.side.now, Some(whole.side.now));
    for deleted in [false, true] {
        again.deleted = deleted;
        whole.raw(0, &again, whole.side.now);
    }
    whole.side.replay();
    settle(&mut whole, 2);
    assert_eq!((whole.side.left.queue_states.len(), left_of(&whole, "u-1")), (1, 0));
    // The same again changes nothing.
    let before = whole.side.left.clone();
    whole.side.act(&erase("c", "u-1", NOW));
    whole.side.read();
    whole.side.commit();
    assert_eq!((&whole.side.left.queue_states, &whole.side.left.rows), (&before.queue_states, &before.rows));
    let now = whole.side.now;
    says(&mut whole, "new", "u-1", now, TEXTS[0]);
    settle(&mut whole, 2);
    assert!(whole.side.left.queue_states.contains_key("c|post|new"));
    let new = whole.side.left.rows.values().filter(|row| row["new_members"] == json!(1)).count();
    assert!(new > 0, "who comes again is new");
}

#[test]
fn what_waits_for_it_goes_and_a_time_that_is_to_come_is_refused() {
    let mut whole = Whole::new(wide(), 1_000_000);
    says(&mut whole, "0", "u-1", NOW - 60_000, TEXTS[0]);
    whole.settle(NOW);
    let action = |kind: &'static str, target: &str, at| Action {
        kind: kind.into(),
        target: target.to_owned().into(),
        by: "sari".into(),
        at,
        until: None,
        reason: None,
    };
    whole.side.act(&action("acknowledge", "c|post|0", NOW));
    settle(&mut whole, 1);
    whole.side.act(&erase("c", "u-1", NOW + 86_400_000));
    settle(&mut whole, 1);
    assert_eq!(whole.side.left.dead_letters, 1, "it would keep out what is not written yet");
    whole.side.act(&erase("c", "u-1", NOW));
    settle(&mut whole, 2);
    let of_it = |(_, key): &&(i32, Vec<u8>)| String::from_utf8_lossy(key).contains("|c|post|0");
    assert_eq!(whole.side.left.changelog.keys().filter(of_it).count(), 0, "neither an item nor what was done with it");
}

#[test]
fn too_many_are_refused_and_those_past_the_horizon_let_go() {
    let mut whole = Whole::new(WindowSet::standard(), 1_000_000);
    says(&mut whole, "0", "u", NOW - 60_000, TEXTS[0]);
    whole.settle(NOW);
    let erasures =
        |whole: &Whole| whole.side.left.changelog.keys().filter(|(_, key)| key.starts_with(b"parked||post|")).count();
    // So many at least, whatever else is parked.
    for number in 0..10_001 {
        whole.side.act(&erase("c", &format!("x-{number}"), NOW));
    }
    settle(&mut whole, 1);
    assert_eq!((whole.side.left.dead_letters, erasures(&whole)), (1, 10_000));
    // Past the horizon nothing that old is taken in anyhow.
    for _ in 0..400 {
        whole.settle(whole.side.now + 3_600_000);
    }
    assert_eq!(erasures(&whole), 0);
    whole.side.crash();
    settle(&mut whole, 1);
}

fn erasing(arrivals: usize) -> impl Strategy<Value = Vec<Erasing>> {
    let one = (0..=arrivals, 0_u8..7, 0_u8..3, 0_i64..400_000);
    let one = one.prop_map(|(turn, member, community, after)| Erasing {
        turn,
        member,
        community,
        at: (NOW - 300_000 + after).min(AFTER_ALL),
    });
    prop::collection::vec(one, 1..4)
}

fn streams() -> impl Strategy<Value = (Vec<Arrival>, Vec<Erasing>)> {
    prop::collection::vec(arrival(), 1..80).prop_flat_map(|arrivals| {
        let erasing = erasing(arrivals.len());
        (Just(arrivals), erasing)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 25, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_outcome_is_the_same_whenever_it_is_read((arrivals, erasing) in streams()) {
        let at = |turn: usize| erasing.iter().map(|one| Erasing { turn, ..*one }).collect::<Vec<_>>();
        let (whole, oracle) = run_erasing(&arrivals, false, &erasing);
        check_rows(&whole, &oracle);
        check_queue_states(&whole, &oracle);
        for (crashes, erasing) in [(true, erasing.clone()), (false, at(0)), (true, at(arrivals.len()))] {
            let (other, oracle) = run_erasing(&arrivals, crashes, &erasing);
            check_rows(&other, &oracle);
            check_queue_states(&other, &oracle);
            let keys = |whole: &Whole| whole.side.left.queue_states.keys().cloned().collect::<Vec<_>>();
            prop_assert_eq!(keys(&whole), keys(&other));
        }
        let mut replayed = whole;
        let before = replayed.side.left.clone();
        replayed.side.replay();
        prop_assert_eq!(&before.rows, &replayed.side.left.rows);
        prop_assert_eq!(&before.queue_states, &replayed.side.left.queue_states);
    }

    #[test]
    fn nothing_of_them_is_left_in_the_state((arrivals, erasing) in streams(), crashes in any::<bool>(), member in 0_u8..7) {
        // In every community, and all that they ever wrote.
        let turn = erasing[0].turn;
        let everywhere = (0..3).map(|community| Erasing { turn, member, community, at: AFTER_ALL });
        let (whole, _) = run_erasing(&arrivals, crashes, &everywhere.collect::<Vec<_>>());
        prop_assert_eq!(left_of(&whole, &format!("u-{member}")), 0);
        let others = (0..7).filter(|other| *other != member).map(|other| left_of(&whole, &format!("u-{other}")));
        let by_others = arrivals.iter().filter(|arrival| arrival.is_of_others(member)).count();
        prop_assert!(by_others == 0 || others.sum::<usize>() > 0, "others are still there");
    }
}
