//! Priorities: the formula by hand, and what holds whatever comes.

use proptest::prelude::*;
use record::{Kind, Label, Language, QueueItem, QueueStatus};
use rules::{Standing, priority_at, priority_of};

const HOUR_MS: i64 = 3_600_000;

fn standing(label: Label, due_at: Option<i64>) -> Standing {
    Standing { label, abstained: false, created_at: 0, due_at, repeated_contact: false, unanswered_thread: false }
}

#[track_caller]
fn check(standing: Standing, now: i64, value: i32, reasons: &[&str]) {
    let priority = priority_of(&standing, now);
    assert_eq!(
        (priority.value, priority.reasons.iter().map(|reason| &**reason).collect::<Vec<_>>()),
        (value, reasons.to_vec())
    );
}

#[test]
fn the_formula_by_hand() {
    let complaint = standing(Label::Complaint, Some(4 * HOUR_MS));
    check(complaint, 0, 60, &["complaint"]);
    check(complaint, 2 * HOUR_MS, 67, &["complaint"]);
    check(complaint, 2 * HOUR_MS + 1, 67, &["complaint", "waiting"]);
    check(complaint, 4 * HOUR_MS, 75, &["complaint", "overdue"]);
    check(complaint, 6 * HOUR_MS, 80, &["complaint", "overdue"]);
    check(complaint, 100 * HOUR_MS, 85, &["complaint", "overdue"]);
    let worst = Standing { repeated_contact: true, unanswered_thread: true, ..complaint };
    check(worst, 8 * HOUR_MS, 100, &["complaint", "repeated_contact", "unanswered_thread", "overdue"]);
    check(Standing { abstained: true, ..complaint }, 0, 40, &["unsure"]);
    check(standing(Label::Tip, None), 0, 30, &["tip"]);
    check(standing(Label::Experience, None), 12 * HOUR_MS, 27, &["experience"]);
    check(standing(Label::Praise, None), 1_000 * HOUR_MS, 35, &["praise", "waiting"]);
    check(standing(Label::Other, None), -5, 0, &["other"]);
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let time = prop_oneof![-10_000_000_i64..10_000_000, any::<i64>()];
    (0..5_usize, any::<bool>(), time.clone(), proptest::option::of(time), any::<bool>(), any::<bool>()).prop_map(
        |(label, abstained, created_at, due_at, repeated_contact, unanswered_thread)| Standing {
            label: Label::ALL[label],
            abstained,
            created_at,
            due_at,
            repeated_contact,
            unanswered_thread,
        },
    )
}

fn item(standing: &Standing, at: i64) -> QueueItem<'static> {
    let priority = priority_of(standing, at);
    QueueItem {
        community_id: "c".into(),
        kind: Kind::Post,
        id: "1".into(),
        queue: "complaint".into(),
        department: "customer care".into(),
        label: standing.label,
        confidence: 0.8,
        reason: "".into(),
        priority: priority.value,
        priority_reasons: priority.reasons.into(),
        due_at: standing.due_at,
        status: QueueStatus::Open,
        claimed_by: None,
        claim_until: None,
        answered_at: None,
        text: None,
        language: Language::Indonesian,
        mixed: false,
        url: None,
        thread_id: None,
        created_at: standing.created_at,
        updated_at: at,
        origin_topic: "t".into(),
        origin_partition: 0,
        origin_offset: 0,
        acknowledged_by: None,
        acknowledged_at: None,
        breached_at: None,
        reopened: 0,
        waiting_since: None,
    }
}

proptest! {
    #[test]
    fn who_waits_longer_does_not_stand_lower(standing in any_standing(), now in any::<i64>(), longer in 0_i64..1_000_000_000) {
        let before = priority_of(&standing, now).value;
        let after = priority_of(&standing, now.saturating_add(longer)).value;
        prop_assert!((0..=100).contains(&before) && before <= after, "{before} {after}");
    }

    #[test]
    fn a_row_alone_tells_the_priority_at_any_time(standing in any_standing(), written in any::<i64>(), now in any::<i64>()) {
        let row = item(&standing, written);
        let expected = priority_of(&standing, now);
        prop_assert_eq!(priority_at(&row, now), (expected.value, expected.reasons));
        // What does not wait any more stands as it stood.
        let answered = QueueItem { status: QueueStatus::Answered, ..row };
        prop_assert_eq!(priority_at(&answered, now), (answered.priority, &*answered.priority_reasons));
    }
}
