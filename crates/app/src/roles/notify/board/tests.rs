//! What a target is told, and what it is not, case by case.

use std::collections::BTreeSet;

use kafka_io::subscription::Place;

use super::*;
use crate::roles::notify::row::Origin;

const BEHIND_MS: i64 = 600_000;
const NOW: EpochMs = 1_800_000_000_000;
const HOUR: i64 = 3_600_000;

/// A row of an alert of the community `warga`; its state was taken on at `at`.
pub(in crate::roles::notify) fn row(start: &str, state: State, transition: i32, at: EpochMs) -> Row {
    let is_past = |past: &[State]| past.contains(&state).then_some(at);
    let alert = record::Alert {
        id: format!("complaint_spike|warga|{start}").into(),
        rule: "complaint_spike".into(),
        community_id: "warga".into(),
        state: state.as_str().into(),
        severity: "warning".into(),
        started_at: at,
        updated_at: at,
        resolved_at: is_past(&[State::Resolved]),
        window: "5m".into(),
        observed: 12.5,
        expected: Some(2.0),
        score: None,
        distinct_authors: Some(9),
        near_duplicate_share: None,
        coordinated: false,
        samples: Vec::new(),
        summary_id: "Keluhan naik.".into(),
        summary_en: "Complaints rise.".into(),
        links: Vec::new(),
        inhibited_by: None,
        acknowledged_by: is_past(&[State::Acknowledged]).map(|_| "sari".into()),
        fired_at: is_past(&[State::Firing, State::Acknowledged, State::Resolved]),
        acknowledged_at: is_past(&[State::Acknowledged]),
        silenced_by: None,
        silenced_until: None,
        silence_reason: None,
        new_author_share: None,
        transition,
    };
    let place = Place { topic: "alerts".to_owned(), partition: 0 };
    Row { alert, state, origin: Some(Origin { place, offset: 0, timestamp: Some(at), key: None, value: None }) }
}

struct Bench {
    board: Board,
    now: EpochMs,
}

impl Bench {
    /// Everything is read, and nothing is behind.
    fn new(filter: Filter) -> Bench {
        let mut bench = Bench::restarted(filter);
        bench.board.reached_end(0);
        bench
    }

    /// Nothing is read yet.
    fn restarted(filter: Filter) -> Bench {
        let rules = Rules { filter, behind_ms: BEHIND_MS, alerts_max: 100, resend_ms: 60_000 };
        let mut board = Board::new(rules);
        board.assigned(BTreeSet::from([0]), true);
        board.observe(Some(&Standing { settled: true, ..Standing::default() }), NOW);
        Bench { board, now: NOW }
    }

    fn take(&mut self, row: Row) {
        let written_at = row.changed_at();
        self.board.take(row, 0, Some(written_at), false, self.now);
    }

    /// Tells everything that is due; gives the ids.
    fn told(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(due) = self.board.next(self.now, |_| true) {
            told.push(due.row.notification_id());
            self.board.intend(&due.row);
            self.board.settle(&due.row, true, self.now);
        }
        told
    }

    fn see(&mut self, behind: Option<&str>, blind: &[Blindness]) {
        self.see_at_first(behind, behind.is_some(), true, blind);
    }

    fn see_at_first(&mut self, behind: Option<&str>, lags: bool, settled: bool, blind: &[Blindness]) {
        let standing = Standing { behind: behind.map(str::to_owned), lags, settled, blind: blind.to_vec() };
        self.board.observe(Some(&standing), self.now);
    }

    fn unsent(&mut self) -> Vec<(String, Why)> {
        let notes = self.board.take_notes().into_iter();
        notes
            .filter_map(|note| match note {
                Note::Unsent { notification_id, why } => Some((notification_id, why)),
                Note::Held { .. } => None,
            })
            .collect()
    }
}

fn id(start: &str, transition: i32) -> String {
    format!("complaint_spike|warga|{start}#{transition}")
}

fn lag(since: EpochMs) -> Blindness {
    Blindness { kind: rules::blindness::Kind::Lag, since, detail_en: "behind".into(), detail_id: "tertinggal".into() }
}

#[test]
fn every_change_of_state_is_told_once_and_in_order() {
    let mut bench = Bench::new(Filter::default());
    bench.take(row("1", State::Pending, 1, NOW));
    assert_eq!(bench.told(), [] as [String; 0], "pending is nobody's business yet");
    bench.take(row("1", State::Firing, 2, NOW));
    bench.take(row("1", State::Firing, 2, NOW + 1));
    bench.take(row("1", State::Acknowledged, 3, NOW));
    bench.take(row("2", State::Firing, 2, NOW));
    bench.take(row("1", State::Resolved, 4, NOW));
    assert_eq!(bench.told(), [id("1", 2), id("1", 3), id("2", 2), id("1", 4)]);
    bench.take(row("1", State::Resolved, 4, NOW));
    bench.take(row("2", State::Firing, 2, NOW));
    assert_eq!(bench.told(), [] as [String; 0], "rows of one transition only renew figures");
    assert_eq!(bench.unsent(), []);
}

#[test]
fn nothing_is_told_before_everything_is_read_and_the_pipeline_has_caught_up() {
    let mut bench = Bench::restarted(Filter::default());
    bench.take(row("1", State::Firing, 2, NOW));
    assert!(bench.board.next(NOW, |_| true).is_none(), "the partition is not read to its end");
    bench.board.reached_end(0);
    bench.board.observe(None, NOW);
    assert!(bench.board.next(NOW, |_| true).is_none(), "nobody has looked");
    bench.see(Some("lag"), &[]);
    assert!(bench.board.next(NOW, |_| true).is_none(), "the pipeline is behind");
    bench.see(None, &[]);
    assert_eq!(bench.told(), [id("1", 2)]);
}

#[test]
fn after_being_behind_what_is_on_is_told_once_and_what_came_and_went_is_not() {
    let mut bench = Bench::restarted(Filter::default());
    let past = NOW - 2 * HOUR;
    bench.take(row("on", State::Firing, 2, past));
    bench.take(row("on", State::Acknowledged, 3, past + HOUR));
    bench.take(row("gone", State::Firing, 2, past));
    bench.take(row("gone", State::Resolved, 3, past + HOUR));
    // It began long ago and ended just now.
    bench.take(row("long", State::Firing, 2, past));
    bench.take(row("long", State::Resolved, 3, NOW - 1_000));
    bench.board.reached_end(0);
    assert_eq!(bench.told(), [id("on", 3)]);
    let unsent = bench.unsent();
    assert!(unsent.contains(&(id("gone", 3), Why::CameAndWent)) && unsent.contains(&(id("long", 3), Why::CameAndWent)));
    assert!(unsent.contains(&(id("on", 2), Why::Superseded)), "{unsent:?}");
}

#[test]
fn a_pipeline_that_catches_up_pages_nobody_about_the_past() {
    let mut bench = Bench::new(Filter::default());
    bench.see(Some("lag"), &[]);
    // Written now, of event time hours ago; and one that is judged by the pipeline's own word alone.
    let mut gone = [row("gone", State::Firing, 2, NOW - HOUR), row("gone", State::Resolved, 3, NOW - HOUR)];
    for row in &mut gone {
        bench.board.take(row.clone(), 0, Some(NOW), false, NOW);
    }
    bench.take(row("late", State::Firing, 2, NOW));
    bench.take(row("late", State::Resolved, 3, NOW));
    bench.take(row("on", State::Firing, 2, NOW));
    bench.see(None, &[]);
    assert_eq!(bench.told(), [id("on", 2)]);
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let rows =
        [row("1", State::Firing, 2, NOW), row("1", State::Acknowledged, 3, NOW), row("1", State::Resolved, 4, NOW)];
    let mut before = Bench::new(Filter::default());
    before.take(rows[0].clone());
    let due = before.board.next(NOW, |_| true).unwrap();
    let intended = before.board.intend(&due.row);
    let told = before.board.settle(&due.row, true, NOW);
    let after = |progress: &Progress| {
        let mut bench = Bench::restarted(Filter::default());
        bench.board.restore("complaint_spike|warga|1", Some(0), progress.clone());
        rows.iter().for_each(|row| bench.take(row.clone()));
        bench.board.reached_end(0);
        bench
    };
    let mut bench = after(&intended);
    assert!(bench.board.next(NOW, |_| true).unwrap().may_be_repeat, "nobody knows whether it was told");
    assert_eq!(bench.told(), [id("1", 2), id("1", 3), id("1", 4)]);
    assert_eq!(after(&told).told(), [id("1", 3), id("1", 4)]);
    let all =
        Progress { told: Some(Told { transition: 4, state: State::Resolved, ..told.told.unwrap() }), intended: None };
    assert_eq!(after(&all).told(), [] as [String; 0]);
}

#[test]
fn what_may_have_been_told_is_told_its_end_however_late() {
    let mut bench = Bench::restarted(Filter::default());
    bench.board.restore("complaint_spike|warga|1", Some(0), Progress { told: None, intended: Some(2) });
    bench.take(row("1", State::Firing, 2, NOW - 2 * HOUR));
    bench.take(row("1", State::Resolved, 3, NOW - HOUR));
    bench.board.reached_end(0);
    assert_eq!(bench.told(), [id("1", 3)]);
}

#[test]
fn a_silence_holds_everything_but_the_end_of_what_was_told() {
    let silenced = |mut row: Row| {
        row.alert.silenced_until = Some(NOW + HOUR);
        row
    };
    let mut bench = Bench::new(Filter::default());
    bench.take(row("told", State::Firing, 2, NOW));
    assert_eq!(bench.told(), [id("told", 2)]);
    bench.take(silenced(row("told", State::Acknowledged, 3, NOW)));
    bench.take(silenced(row("new", State::Firing, 2, NOW)));
    bench.take(silenced(row("gone", State::Firing, 2, NOW)));
    bench.take(silenced(row("gone", State::Resolved, 3, NOW)));
    assert_eq!(bench.told(), [] as [String; 0]);
    assert!(bench.board.resends(NOW + 120_000, 9).is_empty(), "nor is it told again");
    bench.take(silenced(row("told", State::Resolved, 4, NOW)));
    assert_eq!(bench.told(), [id("told", 4)]);
    let unsent = bench.unsent();
    assert!(unsent.contains(&(id("gone", 2), Why::Silenced)) && unsent.contains(&(id("told", 3), Why::Silenced)));
    bench.now = NOW + HOUR;
    assert_eq!(bench.told(), [id("new", 2)], "when it ends and the alert is still on");
}

#[test]
fn while_blind_silence_is_not_believed_and_blindness_is_told() {
    let silence = |state, transition| {
        let mut row = row("1", state, transition, NOW);
        row.alert.rule = SILENCE_RULE.into();
        row
    };
    let mut bench = Bench::new(Filter::default());
    bench.see(Some("lag"), &[lag(NOW)]);
    bench.take(silence(State::Firing, 2));
    let blind = format!("blind|lag|{NOW}");
    assert_eq!(bench.told(), [format!("{blind}#1")], "also while the pipeline is behind");
    bench.see(None, &[lag(NOW)]);
    assert_eq!(bench.told(), [] as [String; 0]);
    assert!(bench.board.take_notes().iter().any(|note| matches!(note, Note::Held { why: Why::Inhibited, .. })));
    bench.see(None, &[]);
    assert_eq!(bench.told(), [id("1", 2), format!("{blind}#2")]);
    // One that was told before stays on, and says that it is not to be believed.
    bench.see(None, &[lag(NOW + 5)]);
    let again = bench.board.resends(NOW + 120_000, 9);
    let inhibited = again.iter().find(|due| due.row.alert.rule == SILENCE_RULE).unwrap();
    assert_eq!(inhibited.inhibited_by.as_deref(), Some("blind: lag"));
}

const SILENCE_RULE: &str = crate::roles::notify::row::SILENCE;

#[test]
fn blindness_that_was_told_ends_after_a_restart() {
    let mut before = Bench::new(Filter::default());
    before.see(None, &[lag(NOW)]);
    let due = before.board.next(NOW, |_| true).unwrap();
    let told = before.board.settle(&due.row, true, NOW);
    let blind = format!("blind|lag|{NOW}");
    let mut lasting = Bench::restarted(Filter::default());
    lasting.board.restore(&blind, None, told.clone());
    lasting.see(None, &[lag(NOW)]);
    assert_eq!(lasting.told(), [] as [String; 0]);
    let mut over = Bench::restarted(Filter::default());
    over.board.restore(&blind, None, told);
    over.board.observe(None, NOW);
    assert_eq!(over.told(), [] as [String; 0], "nobody has looked");
    over.see(None, &[]);
    assert_eq!(over.told(), [format!("{blind}#2")]);
    over.see(None, &[]);
    assert_eq!(over.told(), [] as [String; 0]);
}

#[test]
fn a_start_forgets_no_blindness() {
    let mut before = Bench::new(Filter::default());
    before.see(None, &[lag(NOW)]);
    let due = before.board.next(NOW, |_| true).unwrap();
    let told = before.board.settle(&due.row, true, NOW);
    let blind = format!("blind|lag|{NOW}");
    let mut bench = Bench::restarted(Filter::default());
    bench.board.restore(&blind, None, told);
    bench.board.reached_end(0);
    let mut silence = row("1", State::Firing, 2, NOW);
    silence.alert.rule = SILENCE_RULE.into();
    bench.see_at_first(None, false, false, &[]);
    bench.take(silence);
    assert_eq!(bench.told(), [] as [String; 0], "nobody knows yet whether it sees everything");
    // It lasts, and is found anew.
    bench.see_at_first(None, false, false, &[lag(NOW + 40_000)]);
    bench.see(None, &[lag(NOW + 40_000)]);
    assert_eq!(bench.told(), [] as [String; 0], "it is the same");
    bench.see(None, &[]);
    assert_eq!(bench.told(), [id("1", 2), format!("{blind}#2")]);
    // Another one later is another alert.
    bench.see(None, &[lag(NOW + HOUR)]);
    assert_eq!(bench.told(), [format!("blind|lag|{}#1", NOW + HOUR)]);
}

#[test]
fn while_a_start_waits_to_see_the_pipeline_through_no_change_is_given_up() {
    let mut bench = Bench::restarted(Filter::default());
    for (state, transition) in [(State::Firing, 2), (State::Acknowledged, 3), (State::Resolved, 4)] {
        bench.take(row("1", state, transition, NOW));
    }
    bench.board.reached_end(0);
    bench.see_at_first(Some("yet to read 3 records"), false, false, &[]);
    assert_eq!(bench.told(), [] as [String; 0]);
    bench.see_at_first(None, false, false, &[]);
    assert_eq!(bench.told(), [id("1", 2), id("1", 3), id("1", 4)]);
    assert_eq!(bench.unsent(), []);
}

#[test]
fn what_is_over_and_was_never_told_takes_no_room() {
    let mut bench = Bench::restarted(Filter::default());
    for number in 0..200 {
        bench.take(row(&format!("n{number}"), State::Resolved, 3, NOW));
    }
    bench.board.take(row("seen", State::Resolved, 3, NOW), 0, Some(NOW), true, NOW);
    bench.take(row("on", State::Firing, 2, NOW));
    bench.board.reached_end(0);
    assert_eq!(bench.told(), [id("on", 2)]);
    let unsent = bench.unsent();
    assert_eq!(unsent.len(), 200);
    assert!(unsent.iter().all(|(_, why)| *why == Why::CameAndWent));
}

#[test]
fn filters_let_an_end_through_of_what_they_let_begin() {
    let filter = Filter { severities: vec!["critical".to_owned()], ..Filter::default() };
    let with = |severity: &'static str, mut row: Row| {
        row.alert.severity = severity.into();
        row
    };
    let mut bench = Bench::new(filter);
    bench.take(with("warning", row("1", State::Firing, 2, NOW)));
    assert_eq!(bench.told(), [] as [String; 0]);
    bench.take(with("critical", row("1", State::Firing, 2, NOW)));
    assert_eq!(bench.told(), [id("1", 2)], "it has become worse");
    bench.take(with("warning", row("1", State::Resolved, 3, NOW)));
    assert_eq!(bench.told(), [id("1", 3)]);
    bench.see(None, &[lag(NOW)]);
    assert_eq!(bench.told().len(), 1, "blindness is everybody's business");
}

#[test]
fn everything_is_bounded() {
    let mut bench = Bench::new(Filter::default());
    for transition in 2..200 {
        let state = if transition % 2 == 0 { State::Firing } else { State::Acknowledged };
        bench.take(row("busy", state, transition, NOW));
    }
    assert_eq!(bench.board.backlog().0, 16);
    for number in 0..200 {
        bench.take(row(&format!("n{number}"), State::Firing, 2, NOW));
    }
    assert_eq!(bench.board.entries.len(), 100);
    assert_eq!(bench.unsent().iter().filter(|(_, why)| *why == Why::Limit).count(), 101);
    bench.told();
    bench.take(row("busy", State::Resolved, 200, NOW));
    bench.told();
    bench.take(row("one more", State::Firing, 2, NOW));
    assert_eq!(bench.told(), [id("one more", 2)], "what is over makes room");
    assert!(bench.board.sweep(NOW + HOUR).is_empty());
    bench.take(row("one more", State::Resolved, 3, NOW));
    bench.told();
    assert_eq!(bench.board.sweep(NOW + 3 * HOUR), ["complaint_spike|warga|one more"]);
}

#[test]
fn what_was_given_up_is_told_again_to_who_asks_for_it() {
    let mut bench = Bench::new(Filter::default());
    bench.take(row("1", State::Firing, 2, NOW));
    let due = bench.board.next(NOW, |_| true).unwrap();
    bench.board.settle(&due.row, false, NOW);
    let again = bench.board.resends(NOW, 9);
    assert_eq!(again.len(), 1);
    assert!(bench.board.resent(&again[0].row, NOW).unwrap().told.unwrap().delivered);
    assert!(bench.board.resends(NOW + 59_999, 9).is_empty());
    assert_eq!(bench.board.resends(NOW + 60_000, 9).len(), 1);
    assert!(bench.board.resent(&again[0].row, NOW + 60_000).is_none(), "nothing is new");
}

#[test]
fn one_that_waits_for_its_next_attempt_makes_no_other_wait() {
    let mut bench = Bench::new(Filter::default());
    bench.take(row("1", State::Firing, 2, NOW));
    bench.take(row("2", State::Firing, 2, NOW));
    bench.take(row("1", State::Acknowledged, 3, NOW));
    let refused = bench.board.next(NOW, |_| true).unwrap().row;
    bench.board.intend(&refused);
    let due = bench.board.next(NOW, |id| id != refused.alert.id).unwrap();
    assert_eq!(due.row.notification_id(), id("2", 2));
    bench.board.settle(&due.row, true, NOW);
    assert!(bench.board.next(NOW, |id| id != refused.alert.id).is_none(), "its own changes stay in order");
    assert!(bench.board.waits(&refused.alert.id));
    assert_eq!(bench.told(), [id("1", 2), id("1", 3)]);
}

#[test]
fn what_is_refused_for_good_is_told_again_when_its_state_changes() {
    let mut bench = Bench::new(Filter::default());
    bench.take(row("1", State::Firing, 2, NOW));
    bench.told();
    let again = bench.board.resends(NOW + 60_000, 9);
    bench.board.refused(&again[0].row);
    assert!(bench.board.resends(NOW + 600_000, 9).is_empty());
    bench.take(row("1", State::Acknowledged, 3, NOW));
    bench.told();
    assert_eq!(bench.board.resends(NOW + 600_000, 9).len(), 1);
}

#[test]
fn an_end_that_waits_outlives_its_row_without_what_is_to_be_forgotten() {
    let mut bench = Bench::new(Filter::default());
    bench.take(row("1", State::Firing, 2, NOW));
    assert_eq!(bench.told(), [id("1", 2)]);
    let mut over = row("1", State::Resolved, 3, NOW);
    over.alert.samples = vec!["warga|post|7".into()];
    bench.take(over);
    assert!(!bench.board.forget("complaint_spike|warga|1"), "what it was told before is kept until it was told that");
    let due = bench.board.next(NOW, |_| true).unwrap();
    assert!(due.row.alert.samples.is_empty() && due.row.origin.is_none());
    assert_eq!(bench.told(), [id("1", 3)]);
    bench.take(row("2", State::Firing, 2, NOW));
    bench.take(row("2", State::Resolved, 3, NOW));
    assert!(!bench.board.forget("complaint_spike|warga|2"), "nothing was kept of it");
    assert_eq!(bench.told(), [] as [String; 0], "nor was anybody told that it was on");
}

#[test]
fn the_end_of_what_was_rebuilt_with_fewer_changes_has_an_id_of_its_own() {
    let told = Told {
        transition: 3,
        state: State::Acknowledged,
        delivered: true,
        severity: "warning".to_owned(),
        coordinated: false,
        at: NOW,
    };
    let mut bench = Bench::restarted(Filter::default());
    bench.board.restore("complaint_spike|warga|1", Some(0), Progress { told: Some(told), intended: None });
    bench.take(row("1", State::Resolved, 3, NOW));
    bench.take(row("1", State::Resolved, 3, NOW));
    bench.board.reached_end(0);
    assert_eq!(bench.told(), [id("1", 4)]);
}
