//! The life of queue items: who is answered, who waits again, what responders did, and that nothing of it comes undone.

use std::collections::BTreeMap;

use oracle::Oracle;
use proptest::prelude::*;
use record::{Action, Author, Correction, EpochMs, Interaction, Kind, Label, Outcome, Role};
use serde_json::{Value, json};
use window::WindowSet;

use crate::community::{TEXTS, Whole, decision_of, line_of};
use crate::world::{NOW, post};

const MINUTE_MS: i64 = 60_000;
/// What is neither thanks nor an item.
const GREETING: &str = TEXTS[3];
const COMPLAINT: &str = TEXTS[0];
const PRAISE: &str = TEXTS[1];

fn author(id: &str, role: Role) -> Option<Author<'static>> {
    Some(Author { id: id.to_owned().into(), handle: None, role, followers: Some(7), verified: None })
}

/// A comment of this author under post `p`, or under a comment of it.
fn comment(id: &str, by: &str, under: Option<&str>, at: EpochMs, text: &str) -> Interaction<'static> {
    let role = if by == "brand" { Role::Brand } else { Role::Member };
    Interaction {
        kind: Kind::Comment,
        author: author(by, role),
        post_id: Some("p".into()),
        parent_id: under.map(|under| under.to_owned().into()),
        post_author: author("brand", Role::Brand),
        ..post(id, "c", at, text)
    }
}

fn action(kind: &'static str, target: &str, by: &'static str, at: EpochMs, until: Option<EpochMs>) -> Action<'static> {
    Action { kind: kind.into(), target: target.to_owned().into(), by: by.into(), at, until, reason: None }
}

/// A stage, and the minutes that have passed in it.
struct Desk {
    whole: Whole,
    now: EpochMs,
    /// What a recount is told of; of random streams alone.
    oracle: Oracle,
}

impl Desk {
    fn new() -> Desk {
        Desk { whole: Whole::new(WindowSet::standard(), 1_000_000), now: NOW, oracle: Oracle::default() }
    }

    fn says(&mut self, interaction: &Interaction<'_>) {
        self.now = self.now.max(interaction.observed_at);
        self.whole.raw(0, interaction, self.now);
        self.whole.settle(self.now);
    }

    fn does(&mut self, action: &Action<'_>) {
        self.now = self.now.max(action.at);
        self.whole.side.act(action);
        self.whole.settle(self.now);
    }

    fn passes(&mut self, minutes: i64) {
        self.now += minutes * MINUTE_MS;
        // Every source is heard of again before event time goes on with the clock.
        for _ in 0..2 {
            self.whole.settle(self.now);
            self.now += 1_000;
        }
    }

    fn row(&self, id: &str) -> &Value {
        &self.whole.side.left.queue_states[&format!("c|comment|{id}")]
    }

    fn status(&self, id: &str) -> &str {
        self.row(id)["status"].as_str().unwrap()
    }

    fn outcome(&self, outcome: Outcome) -> u64 {
        self.whole.side.ledger().count(outcome)
    }
}

#[test]
fn an_answer_is_to_one_person_and_an_automatic_reply_is_none() {
    let mut desk = Desk::new();
    for number in 1..=3 {
        desk.says(&comment(&format!("k{number}"), &format!("m{number}"), None, NOW + number, COMPLAINT));
    }
    assert_eq!(desk.row("k1")["priority_reasons"], serde_json::json!(["complaint", "unanswered_thread"]));
    desk.says(&comment("auto", "brand", Some("k1"), NOW + 1_000, "Halo Kak, silakan  DM kami ya"));
    assert_eq!(desk.status("k1"), "open");
    desk.says(&comment("answer", "brand", Some("k2"), NOW + 2_000, "Paketnya sudah kami kirim ulang, Kak"));
    assert_eq!((desk.status("k1"), desk.status("k2"), desk.status("k3")), ("open", "answered", "open"));
    assert_eq!(desk.row("k2")["answered_at"], NOW + 2_000);
    assert_eq!(desk.row("k1")["priority_reasons"], serde_json::json!(["complaint"]), "the thread has an answer");
    // A word to all under the post answers none of them.
    desk.says(&comment("all", "brand", None, NOW + 3_000, "Mohon maaf atas kendalanya"));
    assert_eq!((desk.status("k1"), desk.status("k3")), ("open", "open"));
    // What is taken back was no answer.
    let mut gone = comment("answer", "brand", Some("k2"), NOW + 2_000, "");
    gone.deleted = true;
    gone.observed_at = NOW + 4_000;
    desk.says(&gone);
    assert_eq!(desk.status("k2"), "open");
}

/// Whoever writes much would else make rows by the square of that.
#[test]
fn what_somebody_writes_tells_anew_of_no_more_than_it_changes() {
    let mut desk = Desk::new();
    let under = |post: String, id: &str, at, text| Interaction {
        post_id: Some(post.into()),
        ..comment(id, "m", None, at, text)
    };
    let told = |desk: &Desk| desk.whole.side.left.told;
    // Twenty threads, and twenty times in one.
    for number in 10..30 {
        desk.says(&under(format!("p{number}"), &format!("k{number}"), NOW + number, COMPLAINT));
    }
    for number in 30..50 {
        desk.says(&under("p".to_owned(), &format!("k{number}"), NOW + number, COMPLAINT));
    }
    assert_eq!(told(&desk), 40);
    let before = told(&desk);
    desk.says(&under("p".to_owned(), "greeting", NOW + 60, GREETING));
    assert_eq!(told(&desk) - before, 1, "it belongs to the last before it");
    let before = told(&desk);
    desk.says(&under("p".to_owned(), "k55", NOW + 55, COMPLAINT));
    assert_eq!(told(&desk) - before, 2, "to this one from now on, and not to the other");
    assert!(desk.row("k10")["priority_reasons"].as_array().unwrap().iter().all(|reason| reason != "repeated_contact"));
    let before = told(&desk);
    desk.says(&under("p9".to_owned(), "k9", NOW + 9, COMPLAINT));
    assert_eq!(told(&desk) - before, 2, "its own, and that of the first one until then");
    assert!(desk.row("k10")["priority_reasons"].as_array().unwrap().iter().any(|reason| reason == "repeated_contact"));
}

#[test]
fn who_writes_again_waits_again_but_thanks_ask_for_nothing() {
    let mut desk = Desk::new();
    desk.says(&comment("k", "m", None, NOW, COMPLAINT));
    desk.says(&comment("a1", "brand", Some("k"), NOW + 1_000, "Sudah kami cek ya Kak"));
    desk.says(&comment("thanks", "m", Some("a1"), NOW + 2_000, PRAISE));
    assert_eq!(desk.status("k"), "answered");
    desk.says(&comment("other", "n", Some("a1"), NOW + 2_500, GREETING));
    assert_eq!(desk.status("k"), "answered", "somebody else");
    desk.says(&comment("again", "m", Some("a1"), NOW + 3_000, GREETING));
    assert_eq!((desk.status("k"), desk.row("k")["reopened"].as_i64()), ("reopened", Some(1)));
    desk.says(&comment("a2", "brand", Some("again"), NOW + 4_000, "Baik Kak"));
    assert_eq!(desk.status("k"), "answered");
    assert_eq!(desk.row("k")["answered_at"], NOW + 1_000, "the first response stays");
    desk.whole.side.crash();
    desk.says(&comment("third", "m", Some("a2"), NOW + 5_000, GREETING));
    assert_eq!((desk.status("k"), desk.row("k")["reopened"].as_i64()), ("reopened", Some(2)));
}

/// More than are remembered of one talk: it is the last that wait.
#[test]
fn who_wrote_hundreds_of_times_still_waits_by_the_last() {
    let mut desk = Desk::new();
    desk.says(&comment("k", "m", None, NOW, COMPLAINT));
    for number in 0..260 {
        desk.says(&comment(&format!("again {number}"), "m", None, NOW + 1_000 + number, GREETING));
    }
    desk.says(&comment("a", "brand", Some("k"), NOW + 2_000, "Sudah kami cek ya Kak"));
    assert_eq!((desk.status("k"), &desk.row("k")["reopened"]), ("answered", &Value::from(0)));
    desk.says(&comment("last", "m", Some("a"), NOW + 3_000, GREETING));
    for crashes in [false, true] {
        if crashes {
            desk.whole.side.crash();
            desk.says(&comment("other", "n", None, NOW + 4_000, COMPLAINT));
        }
        assert_eq!((desk.status("k"), &desk.row("k")["reopened"]), ("reopened", &Value::from(1)), "crashes: {crashes}");
    }
}

#[test]
fn what_is_taken_back_or_turned_into_something_else_asks_for_nothing() {
    let mut desk = Desk::new();
    desk.says(&comment("k", "m", None, NOW, COMPLAINT));
    desk.says(&comment("a", "brand", Some("k"), NOW + 1_000, "Sudah kami cek ya Kak"));
    for (number, (text, deleted)) in [(GREETING, true), (PRAISE, false), (COMPLAINT, false)].into_iter().enumerate() {
        let mut again = comment(&format!("again {number}"), "m", Some("a"), NOW + 2_000, GREETING);
        desk.says(&again);
        assert_eq!((desk.status("k"), desk.row("k")["reopened"].as_i64()), ("reopened", Some(1)));
        desk.whole.side.crash();
        (again.observed_at, again.edited_at) = (NOW + 3_000, Some(NOW + 3_000));
        (again.text, again.deleted) = (text.into(), deleted);
        desk.says(&again);
        let state = (desk.status("k"), desk.row("k")["reopened"].as_i64());
        assert_eq!(state, ("answered", Some(0)), "{text}, taken back: {deleted}");
    }
}

#[test]
fn claims_are_leases_and_acknowledgements_last() {
    let mut desk = Desk::new();
    desk.says(&comment("k", "m", None, NOW, COMPLAINT));
    let until = NOW + 10 * MINUTE_MS;
    desk.does(&action("claim", "c|comment|k", "sari", NOW + 1_000, Some(until)));
    assert_eq!((desk.status("k"), &desk.row("k")["claimed_by"]), ("claimed", &Value::from("sari")));
    assert_eq!(desk.row("k")["claim_until"], until);
    desk.does(&action("claim", "c|comment|k", "budi", NOW + 2_000, None));
    assert_eq!(desk.row("k")["claimed_by"], "sari", "the lease is on");
    assert_eq!(desk.outcome(Outcome::Stale), 1);
    desk.does(&action("release", "c|comment|k", "sari", NOW + 3_000, None));
    assert_eq!(desk.status("k"), "open");
    desk.does(&action("claim", "c|comment|k", "budi", NOW + 4_000, None));
    assert_eq!(desk.row("k")["claim_until"], NOW + 4_000 + 1_800_000, "the lease that is configured");
    desk.does(&action("acknowledge", "c|comment|k", "budi", NOW + 5_000, None));
    let row = desk.row("k").clone();
    assert_eq!((&row["status"], &row["acknowledged_by"]), (&Value::from("acknowledged"), &Value::from("budi")));
    assert_eq!(row["acknowledged_at"], NOW + 5_000);
    assert!(row["claimed_by"].is_null());
    // Crawled again, replayed, crashed: it stays closed.
    let mut again = comment("k", "m", None, NOW, COMPLAINT);
    again.observed_at = NOW + 6_000;
    desk.says(&again);
    desk.whole.side.crash();
    desk.whole.side.replay();
    assert_eq!(desk.row("k"), &row);
    // Three days later its text is let go of, and still it stays closed.
    desk.passes(4 * 24 * 60);
    desk.passes(90);
    assert_eq!(desk.whole.side.stage.status().map(|status| status.items).sum::<usize>(), 0);
    again.observed_at = desk.now;
    desk.says(&again);
    let mut edited = again.clone();
    edited.edited_at = Some(desk.now);
    edited.text = format!("{COMPLAINT} Tolong ya.").into();
    desk.says(&edited);
    assert_eq!(desk.row("k"), &row, "the same concern in other words");
    edited.edited_at = Some(desk.now + 1);
    edited.text = PRAISE.into();
    desk.says(&edited);
    assert_eq!((desk.status("k"), &desk.row("k")["queue"]), ("moved", &Value::from("praise")));
}

#[test]
fn an_act_may_come_before_its_item_and_too_many_are_dead_letters() {
    let mut desk = Desk::new();
    desk.does(&action("acknowledge", "c|comment|k", "sari", NOW + 1_000, None));
    desk.does(&action("acknowledge", "c|comment|k", "sari", NOW + 1_000, None));
    assert_eq!((desk.outcome(Outcome::Parked), desk.outcome(Outcome::Stale)), (1, 1));
    desk.whole.side.crash();
    desk.says(&comment("k", "m", None, NOW, COMPLAINT));
    assert_eq!(desk.status("k"), "acknowledged");
    for number in 0..101 {
        desk.does(&action("acknowledge", &format!("c|post|{number}"), "sari", NOW + 1_000, None));
    }
    desk.does(&action("hug", "c|comment|k", "sari", NOW + 1_000, None));
    assert_eq!(desk.outcome(Outcome::DeadLettered), 2, "one more than may wait, and one that means nothing");
}

#[test]
fn a_service_level_is_breached_in_event_time() {
    let mut desk = Desk::new();
    desk.says(&comment("k", "m", None, NOW, COMPLAINT));
    desk.says(&comment("in time", "n", None, NOW, COMPLAINT));
    assert_eq!(desk.row("k")["due_at"], NOW + 60 * MINUTE_MS);
    desk.passes(30);
    assert!(desk.row("k")["breached_at"].is_null());
    desk.says(&comment("a", "brand", Some("in time"), NOW + 40 * MINUTE_MS, "Sudah kami kirim ya Kak"));
    desk.whole.side.crash();
    desk.passes(1);
    desk.passes(40);
    assert_eq!(desk.row("k")["breached_at"], NOW + 60 * MINUTE_MS);
    assert!(desk.row("k")["priority_reasons"].as_array().unwrap().contains(&"overdue".into()), "{}", desk.row("k"));
    let row = &desk.whole.side.left.queue_states["c|comment|in%20time"];
    assert!(row["breached_at"].is_null() && row["status"] == "answered", "{row}");
    // The answer that comes too late does not undo it.
    desk.says(&comment("late", "brand", Some("k"), NOW + 70 * MINUTE_MS, "Mohon maaf, sudah kami kirim"));
    assert_eq!(desk.status("k"), "answered");
    assert_eq!(desk.row("k")["breached_at"], NOW + 60 * MINUTE_MS);
    let closed = desk.whole.side.stage.closed().flat_map(|(.., last)| last.iter().map(|last| last.wait_ms / MINUTE_MS));
    let closed: Vec<i64> = closed.collect();
    // The crash took the first with it: it is a figure of this process.
    assert_eq!(closed, [70]);
}

#[test]
fn repeated_contact_raises_a_priority_in_whichever_order_it_is_heard_of() {
    let mut desk = Desk::new();
    desk.says(&comment("second", "m", None, NOW + 5_000, COMPLAINT));
    let before = desk.row("second")["priority"].as_i64();
    desk.says(&comment("other", "n", None, NOW, COMPLAINT));
    assert_eq!(desk.row("second")["priority"].as_i64(), before);
    desk.says(&comment("first", "m", None, NOW, COMPLAINT));
    assert!(desk.row("second")["priority"].as_i64() > before, "{}", desk.row("second"));
    assert_eq!(desk.row("first")["priority"].as_i64(), before);
}

/// Praise has no messages after it; once it is something else they are its, and nobody else's.
#[test]
fn what_is_praise_no_more_takes_the_messages_after_it() {
    for corrected in [false, true] {
        let mut desk = Desk::new();
        desk.says(&comment("first", "m", None, NOW, COMPLAINT));
        let mut praise = comment("k", "m", None, NOW + 1_000, PRAISE);
        desk.says(&praise);
        desk.says(&comment("greeting", "m", None, NOW + 2_000, GREETING));
        let repeated = |desk: &Desk, id: &str| {
            desk.row(id)["priority_reasons"].as_array().unwrap().contains(&"repeated_contact".into())
        };
        assert!(repeated(&desk, "first"));
        if corrected {
            correct_k(&mut desk, Some(Label::Tip), None, NOW + 3_000);
        } else {
            (praise.observed_at, praise.edited_at) = (NOW + 3_000, Some(NOW + 3_000));
            praise.text = TEXTS[2].into();
            desk.says(&praise);
        }
        assert_eq!((repeated(&desk, "first"), repeated(&desk, "k")), (false, true), "corrected: {corrected}");
    }
}

/// By a later version, before and after the end of the program.
#[test]
fn what_turns_out_to_be_in_another_thread_belongs_there() {
    for crashes in [false, true] {
        let mut desk = Desk::new();
        let here = comment("first", "m", None, NOW, COMPLAINT);
        desk.says(&Interaction { post_id: Some("elsewhere".into()), ..here.clone() });
        desk.says(&comment("second", "n", None, NOW + 1_000, COMPLAINT));
        desk.says(&comment("answer", "brand", Some("second"), NOW + 2_000, "Sudah kami cek ya Kak"));
        let reasons = |desk: &Desk, id: &str| desk.row(id)["priority_reasons"].clone();
        assert_eq!(reasons(&desk, "first"), json!(["complaint", "unanswered_thread"]));
        desk.says(&Interaction { observed_at: NOW + 3_000, ..here });
        assert_eq!(reasons(&desk, "first"), json!(["complaint"]), "its thread has an answer");
        if crashes {
            desk.whole.side.crash();
        }
        desk.says(&comment("greeting", "m", None, NOW + 4_000, GREETING));
        assert_eq!(reasons(&desk, "first"), json!(["complaint", "repeated_contact"]), "crashes: {crashes}");
    }
}

/// Somebody corrects comment `k`.
fn correct_k(desk: &mut Desk, label: Option<Label>, queue: Option<&'static str>, at: EpochMs) {
    correct_in("c", desk, label, queue, at);
}

fn correct_in(
    community: &'static str,
    desk: &mut Desk,
    label: Option<Label>,
    queue: Option<&'static str>,
    at: EpochMs,
) {
    desk.whole.side.correct(&Correction {
        community_id: community.into(),
        kind: Kind::Comment,
        id: "k".into(),
        label,
        queue: queue.map(Into::into),
        by: "sari".into(),
        at,
        reason: None,
    });
    desk.now += 1_000;
    desk.whole.settle(desk.now);
}

/// What a correction takes out of all queues has gone as what its author takes out, and comes again by another.
#[test]
fn what_a_correction_takes_out_another_brings_back() {
    for first in [true, false] {
        let mut desk = Desk::new();
        if first {
            correct_k(&mut desk, Some(Label::Other), None, NOW + 3_000);
        }
        desk.says(&comment("k", "m", None, NOW, COMPLAINT));
        desk.says(&comment("a", "brand", Some("k"), NOW + 1_000, "Sudah kami cek ya Kak"));
        desk.does(&action("acknowledge", "c|comment|k", "sari", NOW + 2_000, None));
        if !first {
            correct_k(&mut desk, Some(Label::Other), None, NOW + 3_000);
        }
        assert_eq!((desk.status("k"), &desk.row("k")["queue"]), ("moved", &Value::from("none")));
        assert_eq!((&desk.row("k")["answered_at"], &desk.row("k")["acknowledged_by"]), (&Value::Null, &Value::Null));
        correct_k(&mut desk, Some(Label::Tip), None, NOW + 4_000);
        assert_eq!((desk.status("k"), &desk.row("k")["queue"]), ("answered", &Value::from("tip")));
        assert_eq!(desk.row("k")["acknowledged_by"], "sari", "what was done with it stands");
    }
}

/// In whichever order the topics are read.
#[test]
fn who_sends_what_was_answered_elsewhere_opens_it_also_before_it_is_read() {
    for first in [true, false] {
        let mut desk = Desk::new();
        if first {
            correct_k(&mut desk, None, Some("tip"), NOW + 2_000);
        }
        desk.says(&comment("k", "m", None, NOW, COMPLAINT));
        desk.says(&comment("a", "brand", Some("k"), NOW + 1_000, "Sudah kami cek ya Kak"));
        if !first {
            correct_k(&mut desk, None, Some("tip"), NOW + 2_000);
        }
        assert_eq!((desk.status("k"), &desk.row("k")["queue"]), ("moved", &Value::from("tip")), "first: {first}");
    }
}

#[test]
fn corrections_show_at_once_and_move_what_waits() {
    let mut desk = Desk::new();
    desk.says(&comment("k", "m", None, NOW, COMPLAINT));
    let correct = correct_k;
    correct(&mut desk, Some(Label::Tip), None, NOW + 1_000);
    assert_eq!((desk.status("k"), &desk.row("k")["queue"]), ("moved", &Value::from("tip")));
    assert_eq!(desk.row("k")["text"], COMPLAINT);
    desk.does(&action("acknowledge", "c|comment|k", "sari", NOW + 5_000, None));
    correct(&mut desk, Some(Label::Praise), None, NOW + 6_000);
    assert_eq!((desk.status("k"), &desk.row("k")["queue"]), ("acknowledged", &Value::from("praise")), "for training");
    correct(&mut desk, None, Some("complaint"), NOW + 7_000);
    assert_eq!((desk.status("k"), &desk.row("k")["queue"]), ("moved", &Value::from("complaint")), "for somebody else");
}

/// The rules and the community's department hold for what a responder says as for what the classifier is sure of.
#[test]
fn a_corrected_label_goes_where_routing_would_send_it() {
    let cases = [
        ("warga-depok", Some(Label::Complaint), None, ["tip", "tip", "depok desk"]),
        ("warga-depok", Some(Label::Praise), None, ["tip", "tip", "depok desk"]),
        // Its language is known also after a restart, and that the classifier was in doubt is of no interest.
        ("kampung", Some(Label::Complaint), None, ["praise", "praise", "community relations"]),
        ("ragu", Some(Label::Complaint), None, ["review", "complaint", "customer care"]),
        ("warga-bogor", Some(Label::Tip), None, ["complaint", "tip", "bogor branch"]),
        ("warga-bogor", None, Some("review"), ["complaint", "review", "bogor branch"]),
        ("warga-depok", None, Some("complaint"), ["tip", "complaint", "customer care"]),
    ];
    for (community, label, queue, [before, after, department]) in cases {
        for parked in [true, false] {
            let mut desk = Desk::new();
            let says = Interaction { community_id: community.into(), ..comment("k", "m", None, NOW, COMPLAINT) };
            let row = |desk: &Desk| desk.whole.side.left.queue_states[&format!("{community}|comment|k")].clone();
            if !parked {
                desk.says(&says);
                assert_eq!(row(&desk)["queue"], before, "{community}");
                desk.whole.side.crash();
            }
            correct_in(community, &mut desk, label, queue, NOW + 1_000);
            if parked {
                desk.says(&says);
            }
            let row = row(&desk);
            assert_eq!([&row["queue"], &row["department"]], [after, department], "{community}, parked: {parked}");
            let due_minutes = match (community, after) {
                ("warga-depok", "tip") => Some(30),
                (_, "complaint") => Some(60),
                _ => None,
            };
            assert_eq!(row["due_at"], json!(due_minutes.map(|minutes| NOW + minutes * MINUTE_MS)), "{community}");
        }
    }
}

#[test]
fn what_nobody_acts_on_expires_and_what_is_taken_back_ends() {
    let mut desk = Desk::new();
    desk.says(&comment("k", "m", None, NOW, COMPLAINT));
    let mut gone = comment("gone", "m", None, NOW, COMPLAINT);
    desk.says(&gone);
    gone.deleted = true;
    gone.observed_at = NOW + 1_000;
    desk.says(&gone);
    assert_eq!((desk.status("gone"), &desk.row("gone")["text"]), ("retracted", &Value::Null));
    desk.passes(8 * 24 * 60 - 59);
    desk.passes(90);
    assert_eq!(desk.status("k"), "expired");
    let figures: Vec<_> = desk.whole.side.stage.status().filter(|status| status.items_expired > 0).collect();
    assert_eq!(figures.iter().map(|status| (status.items, status.items_expired)).collect::<Vec<_>>(), [(0, 1)]);
}

/// Something that happens at the desk.
#[derive(Debug, Clone)]
enum Happens {
    Says { id: u8, by: u8, text: usize, under: Option<u8>, edited: bool, deleted: bool },
    Answers { id: u8, under: u8, deleted: bool },
    Does { kind: usize, id: u8, by: usize },
}

fn happens() -> impl Strategy<Value = Happens> {
    let says = (0_u8..12, 0_u8..3, 0_usize..TEXTS.len(), prop::option::of(0_u8..20), 0_u8..4, 0_u8..8);
    let says = says.prop_map(|(id, by, text, under, edited, deleted)| Happens::Says {
        id,
        by,
        text,
        under,
        edited: edited == 0,
        deleted: deleted == 0,
    });
    let answers = (12_u8..20, 0_u8..12, 0_u8..8);
    let answers = answers.prop_map(|(id, under, deleted)| Happens::Answers { id, under, deleted: deleted == 0 });
    let does = (0_usize..3, 0_u8..12, 0_usize..2).prop_map(|(kind, id, by)| Happens::Does { kind, id, by });
    prop_oneof![4 => says, 2 => answers, 2 => does]
}

/// Feeds what is said to the classify stage, and what is done to the topic of actions: at their turns, or all that is done first.
fn desk_of(all: &[Happens], acts_first: bool, crashes: &[bool]) -> Desk {
    let mut desk = Desk::new();
    let at = |place: usize| NOW + place as i64 * 10_000;
    let act = |place: usize, happens: &Happens| match happens {
        Happens::Does { kind, id, by } => {
            let kind = ["claim", "release", "acknowledge"][*kind];
            let until = (kind == "claim").then(|| at(place) + 60_000);
            Some(action(kind, &format!("c|comment|{id}"), ["sari", "budi"][*by], at(place), until))
        }
        _ => None,
    };
    if acts_first {
        desk.now = at(all.len());
        all.iter().enumerate().filter_map(|(place, happens)| act(place, happens)).for_each(|action| {
            desk.whole.side.act(&action);
        });
        desk.whole.settle(desk.now);
    }
    for (place, happens) in all.iter().enumerate() {
        if let (Some(action), Happens::Does { id, .. }) = (act(place, happens), happens) {
            let identity = ("c".to_owned(), "comment".to_owned(), id.to_string());
            let action = json!({ "kind": action.kind, "by": action.by, "at": action.at, "until": action.until });
            desk.oracle.act(identity, &action).unwrap();
        }
        desk.now = desk.now.max(at(place));
        match happens {
            Happens::Says { id, by, text, under, edited, deleted } => {
                let under = under.map(|under| under.to_string());
                let mut said = comment(&id.to_string(), &format!("m{by}"), under.as_deref(), 0, TEXTS[*text]);
                // Whoever says it, and when, is the same in all versions.
                (said.author, said.created_at) = (author(&format!("m{}", id % 3), Role::Member), NOW + i64::from(*id));
                said.observed_at = at(place);
                said.edited_at = edited.then(|| at(place));
                said.deleted = *deleted;
                let (label, abstained) = decision_of(*text);
                desk.oracle.ingest(&line_of(&said), label.as_str(), abstained).unwrap();
                desk.whole.raw(0, &said, desk.now);
            }
            Happens::Answers { id, under, deleted } => {
                let mut said = comment(&id.to_string(), "brand", Some(&under.to_string()), 0, "Sudah kami cek ya Kak");
                (said.created_at, said.observed_at) = (NOW + 10_000 * i64::from(*id), at(place));
                said.deleted = *deleted;
                desk.oracle.ingest(&line_of(&said), "other", false).unwrap();
                desk.whole.raw(0, &said, desk.now);
            }
            Happens::Does { .. } => {
                if !acts_first && let Some(action) = act(place, happens) {
                    desk.whole.side.act(&action);
                }
            }
        }
        if crashes.get(place).copied().unwrap_or(true) {
            desk.whole.settle(desk.now);
        } else {
            desk.whole.side.read();
            desk.whole.side.crash();
        }
    }
    for _ in 0..3 {
        desk.passes(40);
    }
    desk
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_was_done_comes_undone(
        all in prop::collection::vec(happens(), 1..50),
        crashes in prop::collection::vec(prop::bool::weighted(0.8), 50),
    ) {
        let plain = desk_of(&all, false, &[]);
        let crashed = desk_of(&all, false, &crashes);
        for desk in [&plain, &crashed] {
            let levels = BTreeMap::from([("complaint", Some(60 * MINUTE_MS))]);
            let rows = desk.whole.side.left.queue_states.values();
            let compared = desk.oracle.check_queue_state(rows, &levels, desk.whole.side.watermark());
            prop_assert!(compared.is_ok(), "{}", compared.unwrap_err());
        }
        let rows = |desk: &Desk| desk.whole.side.left.queue_states.clone();
        // Whatever order the two topics are read in.
        let acts_first = desk_of(&all, true, &crashes);
        for other in [&crashed, &acts_first] {
            prop_assert_eq!(rows(&plain).len(), rows(other).len());
            for (key, row) in rows(&plain) {
                prop_assert_eq!(&row, &rows(other)[&key], "{}", key);
            }
        }
        let mut replayed = plain;
        let before = replayed.whole.side.left.queue_states.clone();
        replayed.whole.side.replay();
        prop_assert_eq!(&before, &replayed.whole.side.left.queue_states);
    }
}

/// Something that is said, in whatever version of it: by another person, in another thread, at another time, or taken back.
#[derive(Debug, Clone)]
struct Version {
    id: u8,
    by: u8,
    post: u8,
    at: u8,
    text: usize,
    deleted: bool,
    /// The brand answers one of those instead.
    under: Option<u8>,
}

fn version() -> impl Strategy<Value = Version> {
    let parts =
        (0_u8..8, 0_u8..2, 0_u8..2, 0_u8..12, 0_usize..TEXTS.len(), 0_u8..8, prop::option::weighted(0.2, 0_u8..8));
    parts.prop_map(|(id, by, post, at, text, deleted, under)| {
        // Answers are never what people said.
        let id = if under.is_some() { id + 8 } else { id };
        Version { id, by, post, at, text, deleted: deleted == 0, under }
    })
}

/// The rows of all items, if each version is told of by itself, or all of them at once; before their service levels are over, and after.
fn rows_of(versions: &[Version], by_itself: bool) -> [BTreeMap<String, Value>; 2] {
    let mut desk = Desk::new();
    for (place, Version { id, by, post, at, text, deleted, under }) in versions.iter().enumerate() {
        let under = under.map(|under| under.to_string());
        let (by, text) = match &under {
            Some(_) => ("brand".to_owned(), "Sudah kami cek ya Kak"),
            None => (format!("m{by}"), TEXTS[*text]),
        };
        let mut said = comment(&id.to_string(), &by, under.as_deref(), NOW + i64::from(*at) * 1_000, text);
        said.post_id = Some(format!("p{post}").into());
        said.observed_at = NOW + 60_000 + place as i64 * 1_000;
        said.deleted = *deleted;
        desk.now = desk.now.max(said.observed_at);
        desk.whole.raw(0, &said, desk.now);
        if by_itself {
            desk.whole.settle(desk.now);
        } else {
            desk.whole.side.read();
        }
    }
    desk.whole.settle(desk.now);
    let before = desk.whole.side.left.queue_states.clone();
    for _ in 0..3 {
        desk.passes(40);
    }
    [before, desk.whole.side.left.queue_states]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// A row is written where it changes, and nowhere else is looked: so what is told bit by bit must come to what is told at once.
    #[test]
    fn no_row_is_left_as_it_was(versions in prop::collection::vec(version(), 1..30)) {
        for (by_itself, at_once) in rows_of(&versions, true).iter().zip(&rows_of(&versions, false)) {
            prop_assert_eq!(by_itself.len(), at_once.len());
            for (key, row) in at_once {
                prop_assert_eq!(&by_itself[key], row, "{}", key);
            }
        }
    }
}
