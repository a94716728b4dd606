//! Alerts as the community stage tells them: from interactions to rows, through acknowledgements, silences, crashes and replays.

use proptest::prelude::*;
use record::{Action, Author, EpochMs, Interaction, Kind, Outcome, Role};
use serde_json::Value;
use window::WindowSet;

use crate::community::{TEXTS, Whole};
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
