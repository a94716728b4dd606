//! Alerts as the community stage tells them: from interactions to rows, through acknowledgements, silences, crashes and replays.

use proptest::prelude::*;
use record::{Action, Author, EpochMs, Interaction, Kind, Outcome, Role};
use serde_json::Value;
use window::WindowSet;

use crate::community::{TEXTS, Whole, author_key};
use crate::world::{NOW, post};

const MINUTE_MS: i64 = 60_000;
const COMPLAINT: &str = TEXTS[0];
const GREETING: &str = TEXTS[3];

/// A town where somebody says something each minute, and complains now and then.
struct Town {
    whole: Whole,
    minute: i64,
    said: u64,
    /// Every how many settled minutes everything that is not committed is lost.
    crash_every: Option<i64>,
}

impl Town {
    fn new(crash_every: Option<i64>) -> Town {
        Town { whole: Whole::new(WindowSet::standard(), 1_000_000), minute: 0, said: 0, crash_every }
    }

    fn now(&self) -> EpochMs {
        NOW + self.minute * MINUTE_MS
    }

    fn says(&mut self, by: &str, text: &str) {
        self.said += 1;
        let (said, at) = (self.said, self.now() + 1_000 * (self.said % 50) as i64);
        let author = Some(Author {
            id: by.to_owned().into(),
            handle: None,
            role: Role::Member,
            followers: None,
            verified: None,
        });
        self.whole.raw(0, &Interaction { author, ..post(&format!("p{said}"), "warga", at, text) }, at.max(self.now()));
    }

    /// So many minutes pass, with so many complaints in each.
    fn pass(&mut self, minutes: i64, complaints: u64) {
        for _ in 0..minutes {
            let minute = self.minute;
            self.says(&format!("m{}", minute % 40), GREETING);
            if minute % 20 == 0 {
                self.says(&format!("m{}", minute % 40), COMPLAINT);
            }
            for number in 0..complaints {
                self.says(
                    &format!("m{}", (minute as u64 * 7 + number * 3) % 40),
                    &format!("{COMPLAINT} Nomor {number}-{minute}"),
                );
            }
            self.minute += 1;
            let now = self.now();
            if self.crash_every.is_some_and(|every| minute % every == every - 1) {
                self.whole.side.now = now;
                self.whole.side.read();
                self.whole.side.crash();
            }
            self.whole.settle(now);
        }
    }

    fn does(&mut self, kind: &str, target: &str, until: Option<EpochMs>) {
        let at = self.now();
        self.whole.side.act(&Action {
            kind: kind.to_owned().into(),
            target: target.to_owned().into(),
            by: "sari".into(),
            at,
            until,
            reason: Some("festival".into()),
        });
        self.whole.settle(at);
    }

    /// Ids and states of one rule, in the order in which they were told.
    fn states(&self, rule: &str) -> Vec<(String, String)> {
        let of = |(id, _): &&(String, String)| id.starts_with(&format!("{rule}|"));
        self.whole.side.left.alert_states.iter().filter(of).cloned().collect()
    }

    fn row(&self, id: &str) -> &Value {
        &self.whole.side.left.alerts[id]
    }
}

#[test]
fn a_crisis_is_one_alert_that_explains_itself_and_resolves() {
    let mut town = Town::new(None);
    town.pass(240, 0);
    assert!(town.states("complaint_spike").is_empty(), "{:?}", town.states("complaint_spike"));
    let began = town.now();
    town.pass(30, 3);
    let states = town.states("complaint_spike");
    let id = states[0].0.clone();
    assert!(states.iter().all(|(of, _)| *of == id), "one episode: {states:?}");
    assert_eq!(states.last().unwrap().1, "firing");
    let row = town.row(&id).clone();
    let started_at = row["started_at"].as_i64().unwrap();
    assert!((started_at - began).abs() < 5 * MINUTE_MS, "{row}");
    assert!(row["fired_at"].as_i64().unwrap() - began < 10 * MINUTE_MS, "{row}");
    assert!(row["observed"].as_f64().unwrap() > 5.0 * row["expected"].as_f64().unwrap(), "{row}");
    assert!(row["distinct_authors"].as_i64().unwrap() > 20 && row["new_author_share"] == 0.0, "{row}");
    assert_eq!(row["coordinated"], false);
    assert_eq!(row["samples"].as_array().unwrap().len(), 5, "{row}");
    assert!(row["summary_en"].as_str().unwrap().contains("complaints have come in at warga"), "{row}");
    assert!(row["summary_id"].as_str().unwrap().contains("keluhan di warga"), "{row}");
    town.does("acknowledge_alert", &id, None);
    assert_eq!((&town.row(&id)["state"], &town.row(&id)["acknowledged_by"]), (&"acknowledged".into(), &"sari".into()));
    assert!(town.row(&id)["transition"].as_i64() > row["transition"].as_i64());
    town.does("acknowledge_alert", &id, None);
    assert_eq!(town.whole.side.ledger().count(Outcome::Stale), 1);
    let until = town.now() + 60 * MINUTE_MS;
    town.does("silence", "warga", Some(until));
    assert_eq!(town.row(&id)["silenced_until"], until);
    assert_eq!(town.row(&id)["silence_reason"], "festival");
    town.does("unsilence", "warga", None);
    assert!(town.row(&id)["silenced_until"].is_null());
    town.pass(180, 0);
    let states: Vec<String> = town.states("complaint_spike").into_iter().map(|(_, state)| state).collect();
    assert_eq!(states.last().unwrap(), "resolved", "{states:?}");
    assert_eq!(town.row(&id)["started_at"], started_at);
    // Nothing of all that is told again.
    let before = town.whole.side.left.clone();
    town.whole.side.replay();
    assert_eq!(before.alerts, town.whole.side.left.alerts);
    assert_eq!(before.alert_states, town.whole.side.left.alert_states);
}

/// One that is on is told anew without what went, and no responder hears of it; the row of one that is over goes.
#[test]
fn an_alert_names_nothing_of_who_was_forgotten() {
    let mut town = Town::new(None);
    town.pass(240, 0);
    town.pass(30, 3);
    let id = town.states("complaint_spike")[0].0.clone();
    let before = town.row(&id).clone();
    let samples = |row: &Value| row["samples"].as_array().unwrap().clone();
    let erase = |town: &mut Town, author: &str| {
        let target = record::encode_key(&["warga", &author_key(author)]);
        town.does("erase", &target, None);
    };
    let mut forgotten = 0;
    while samples(town.row(&id)).len() == 5 {
        erase(&mut town, &format!("m{forgotten}"));
        forgotten += 1;
        assert!(forgotten <= 40, "nobody of the samples was anybody");
    }
    let after = town.row(&id).clone();
    assert!(samples(&after).iter().all(|one| samples(&before).contains(one)), "{after}");
    assert_eq!((&after["transition"], &after["state"]), (&before["transition"], &before["state"]));
    town.does("erase", &id, None);
    assert_eq!(town.row(&id), &after, "it is on");
    town.whole.side.crash();
    town.pass(180, 0);
    assert_eq!(town.row(&id)["state"], "resolved");
    town.does("erase", &id, None);
    assert!(!town.whole.side.left.alerts.contains_key(&id));
    town.whole.side.replay();
    assert!(!town.whole.side.left.alerts.contains_key(&id));
}

#[test]
fn few_accounts_with_one_text_are_told_apart() {
    let mut town = Town::new(None);
    town.pass(240, 0);
    for _ in 0..20 {
        for bot in 0..4 {
            town.says(&format!("bot{bot}"), "Boikot aplikasi ini, penipu semua, uang saya hilang!");
        }
        town.pass(1, 0);
    }
    let id = town.states("complaint_spike")[0].0.clone();
    let row = town.row(&id);
    assert_eq!(row["coordinated"], true, "{row}");
    assert!(row["near_duplicate_share"].as_f64().unwrap() > 0.8, "{row}");
    assert!(row["summary_en"].as_str().unwrap().contains("coordinated"), "{row}");
}

#[test]
fn complaints_past_their_service_level_are_told_when_they_are_and_until_they_are_answered() {
    let mut town = Town::new(None);
    town.pass(10, 0);
    for number in 0..6 {
        town.says(&format!("m{number}"), COMPLAINT);
    }
    town.pass(50, 0);
    assert!(town.states("overdue").is_empty());
    town.pass(15, 0);
    let states = town.states("overdue");
    assert_eq!(states.iter().map(|(_, state)| state.as_str()).collect::<Vec<_>>(), ["firing"]);
    let id = states[0].0.clone();
    let started_at = town.row(&id)["started_at"].as_i64().unwrap();
    assert!((started_at - (NOW + 70 * MINUTE_MS)).abs() <= 2 * MINUTE_MS, "{}", town.row(&id));
    for number in 1..=town.said {
        let reply = Interaction {
            kind: Kind::Comment,
            author: Some(Author {
                id: "brand".into(),
                handle: None,
                role: Role::Brand,
                followers: None,
                verified: None,
            }),
            post_id: Some(format!("p{number}").into()),
            ..post(&format!("r{number}"), "warga", town.now(), "Sudah kami kirim ulang ya Kak")
        };
        let now = town.now();
        town.whole.raw(0, &reply, now);
    }
    town.pass(60, 0);
    assert_eq!(town.states("overdue").last().unwrap().1, "resolved");
}

#[test]
fn a_silence_and_an_acknowledgement_may_come_before_their_alert() {
    let mut first = Town::new(None);
    first.pass(240, 0);
    first.pass(20, 3);
    let id = first.states("complaint_spike")[0].0.clone();
    let mut town = Town::new(None);
    town.does("acknowledge_alert", &id, None);
    town.does("acknowledge_alert", &id, None);
    town.does("silence", "warga|complaint_spike", Some(NOW + 600 * MINUTE_MS));
    town.does("silence", "warga|nonsense", Some(NOW + 600 * MINUTE_MS));
    let count = |town: &Town, outcome| town.whole.side.ledger().count(outcome);
    assert_eq!(count(&town, Outcome::Parked), 1);
    assert_eq!((count(&town, Outcome::Stale), count(&town, Outcome::Acted)), (1, 1));
    assert_eq!(count(&town, Outcome::DeadLettered), 1, "a rule that is not there");
    town.whole.side.crash();
    town.pass(240, 0);
    town.pass(20, 3);
    let row = town.row(&id);
    assert_eq!((&row["state"], &row["silenced_until"]), (&"acknowledged".into(), &(NOW + 600 * MINUTE_MS).into()));
}

#[test]
fn what_comes_late_opens_no_episode() {
    let mut town = Town::new(None);
    town.pass(240, 0);
    let late = town.now() - 30 * MINUTE_MS;
    for number in 0..60 {
        let at = late + number * 1_000;
        let now = town.now();
        town.whole.raw(0, &post(&format!("late{number}"), "warga", at, COMPLAINT), now);
    }
    town.pass(60, 0);
    assert!(town.states("complaint_spike").is_empty(), "{:?}", town.states("complaint_spike"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn crashes_change_no_alert(every in 2_i64..40, complaints in 1_u64..4) {
        let run = |crash_every| {
            let mut town = Town::new(crash_every);
            town.pass(180, 0);
            town.pass(25, complaints);
            town.pass(100, 0);
            town.whole.side.left
        };
        let (plain, crashed) = (run(None), run(Some(every)));
        prop_assert_eq!(plain.alert_states, crashed.alert_states);
        prop_assert_eq!(plain.alerts, crashed.alerts);
    }
}

/// When something is done, what, and to what.
type Done = (EpochMs, &'static str, String);

/// What a town says in a week, with a crisis on three of its days, and what responders do meanwhile.
fn week() -> (Vec<(EpochMs, Interaction<'static>)>, Vec<Done>) {
    let mut said = Vec::new();
    let mut number = 0_u64;
    let mut say = |at: EpochMs, by: u64, text: &str| {
        number += 1;
        let author = Author {
            id: format!("m{}", by % 60).into(),
            handle: None,
            role: Role::Member,
            followers: None,
            verified: None,
        };
        said.push((at, Interaction { author: Some(author), ..post(&format!("p{number}"), "warga", at, text) }));
    };
    for step in 0..7 * 24 * 12_i64 {
        let at = NOW + step * 5 * MINUTE_MS;
        let hour = step / 12 % 24;
        // Nights are quiet.
        if (1..5).contains(&hour) && step % 6 != 0 {
            continue;
        }
        say(at + 1_000, step as u64, if step % 9 == 0 { COMPLAINT } else { GREETING });
        let crisis = [2, 4, 6].contains(&(step / 288)) && (9..11).contains(&hour);
        for more in 0..if crisis { 4 } else { 0 } {
            say(at + 30_000 + more * 40_000, step as u64 * 3 + more as u64, COMPLAINT);
        }
    }
    let acknowledged = (NOW + 3 * 86_400_000, "acknowledge", "warga|post|p10".to_owned());
    (said, vec![acknowledged])
}

/// (A) and (B) of the design: a replay into the state that is there, and a rebuild into none.
#[test]
fn a_week_with_crises_says_the_same_when_it_is_replayed_or_rebuilt() {
    let (said, done) = week();
    let act = |whole: &mut Whole, (at, kind, target): &Done| {
        let (kind, target) = ((*kind).into(), target.clone().into());
        whole.side.act(&Action { kind, target, by: "sari".into(), at: *at, until: None, reason: None });
    };
    let end = NOW + 7 * 86_400_000 + 3_600_000;
    let finish = |whole: &mut Whole| {
        for passed in 0..20 {
            whole.settle(end + passed * 10 * MINUTE_MS);
        }
    };
    // As it came.
    let mut live = Whole::new(WindowSet::standard(), 1_000_000);
    let mut left = done.iter();
    let mut next = left.next();
    for (place, (at, interaction)) in said.iter().enumerate() {
        if let Some(action) = next.filter(|(acted_at, ..)| acted_at <= at) {
            act(&mut live, action);
            next = left.next();
        }
        live.raw(0, interaction, *at);
        if place % 3 == 0 {
            live.settle(*at + 1_000);
        }
    }
    finish(&mut live);
    let spikes: std::collections::BTreeSet<&str> = live
        .side
        .left
        .alert_states
        .iter()
        .map(|(id, _)| id.as_str())
        .filter(|id| id.starts_with("complaint_spike|"))
        .collect();
    let fired = |id: &&&str| live.side.left.alert_states.iter().any(|(of, state)| of == **id && state == "firing");
    assert_eq!(spikes.iter().filter(fired).count(), 3, "one a crisis: {:?}", live.side.left.alert_states);
    // (A)
    let before = live.side.left.clone();
    live.side.replay();
    assert_eq!(before.alerts, live.side.left.alerts);
    assert_eq!(before.alert_states, live.side.left.alert_states);
    assert_eq!(before.queue_states, live.side.left.queue_states);
    // (B): actions first, then everything at once.
    let mut rebuilt = Whole::new(WindowSet::standard(), 1_000_000);
    done.iter().for_each(|action| act(&mut rebuilt, action));
    for (_, interaction) in &said {
        rebuilt.raw(0, interaction, end);
    }
    finish(&mut rebuilt);
    let of = |whole: &Whole, fires: bool| {
        let states = whole.side.left.alert_states.iter();
        states.filter(|(_, state)| !fires || state == "firing").cloned().collect::<Vec<_>>()
    };
    assert_eq!(of(&live, false), of(&rebuilt, false));
    for (id, row) in &live.side.left.alerts {
        assert_eq!(row, &rebuilt.side.left.alerts[id], "{id}");
    }
    let without_origin = |whole: &Whole| {
        let mut states = whole.side.left.queue_states.clone();
        states.values_mut().for_each(|state| state["origin_offset"] = Value::Null);
        states
    };
    assert_eq!(without_origin(&live), without_origin(&rebuilt));
}
