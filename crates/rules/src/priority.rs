//! How soon an item should be answered: from what was said and how long the person has waited, never from who said it.

use std::borrow::Cow;
use std::sync::LazyLock;

use record::{EpochMs, Label, QueueItem, QueueStatus};

/// A priority and what makes it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Priority {
    /// Greater is sooner, 0 to 100.
    pub value: i32,
    /// Why, from a documented list: one of `complaint`, `tip`, `experience`, `praise`, `other`, `unsure`; then
    /// `repeated_contact`, `unanswered_thread`, and one of `waiting` and `overdue`.
    pub reasons: &'static [Cow<'static, str>],
}

/// What a priority is made of. There is no field for who said it: the weak voice and the strong one stand in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// What was said.
    pub label: Label,
    /// Whether the classifier was unsure of that.
    pub abstained: bool,
    /// Since when the person has waited.
    pub created_at: EpochMs,
    /// When an answer is due; `None` without a service level.
    pub due_at: Option<EpochMs>,
    /// Whether the same person had an item before, or wrote again.
    pub repeated_contact: bool,
    /// Whether nobody of the brand has answered in the thread.
    pub unanswered_thread: bool,
}

/// What may have been said, in the order of the table of reasons: the labels, then doubt.
const SEVERITIES: [(&str, i32); 6] =
    [("complaint", 60), ("tip", 30), ("experience", 20), ("praise", 20), ("other", 0), (UNSURE, 40)];
const UNSURE: &str = "unsure";
const REPEATED_CONTACT: (&str, i32) = ("repeated_contact", 10);
const UNANSWERED_THREAD: (&str, i32) = ("unanswered_thread", 5);
/// What all of a service level adds, little by little.
const WAITING: (&str, i32) = ("waiting", 15);
/// What as much time again adds.
const OVERDUE: (&str, i32) = ("overdue", 10);
/// What stands for a service level where there is none, in milliseconds: a day. Nothing is overdue by it.
const NO_SLA_MS: i64 = 86_400_000;

/// Where the wait stands, in the order of the table of reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wait {
    Short = 0,
    Long = 1,
    Overdue = 2,
}

/// All lists of reasons there are, made once: a record on the hot path borrows one.
static REASONS: LazyLock<Vec<Vec<Cow<'static, str>>>> = LazyLock::new(|| {
    let mut lists = Vec::with_capacity(SEVERITIES.len() * 12);
    for (severity, _) in SEVERITIES {
        for repeated in [false, true] {
            for unanswered in [false, true] {
                for wait in [None, Some(WAITING.0), Some(OVERDUE.0)] {
                    let list = [
                        Some(severity),
                        repeated.then_some(REPEATED_CONTACT.0),
                        unanswered.then_some(UNANSWERED_THREAD.0),
                        wait,
                    ];
                    lists.push(list.into_iter().flatten().map(Cow::Borrowed).collect());
                }
            }
        }
    }
    lists
});

/// The priority at `now`:
///
/// severity + 10 for repeated contact + 5 for an unanswered thread + 15 · min(1, w) + 10 · min(1, max(0, w − 1)), rounded down,
///
/// where severity is 60 for a complaint, 40 where the classifier was unsure (it may be one), 30 for a tip, 20 for an experience
/// and for praise, 0 for the rest; and w is the time since `created_at` as a share of that from `created_at` to `due_at`, or of
/// a day where there is no service level (then nothing is ever overdue). It never falls while an item waits, and is 100 at
/// most: a complaint of somebody who wrote again, in a thread without an answer, overdue by its service level once more.
pub fn priority_of(standing: &Standing, now: EpochMs) -> Priority {
    let Standing { label, abstained, created_at, due_at, repeated_contact, unanswered_thread } = *standing;
    let severity = if abstained { SEVERITIES.len() - 1 } else { label.index() };
    let waited = i128::from(now).saturating_sub(created_at.into()).max(0);
    let level = due_at.map_or(NO_SLA_MS.into(), |due_at| i128::from(due_at) - i128::from(created_at)).max(1);
    let beyond = if due_at.is_some() { (waited - level).clamp(0, level) } else { 0 };
    let wait = match (due_at, waited) {
        (Some(due_at), _) if now >= due_at => Wait::Overdue,
        _ if waited * 2 > level => Wait::Long,
        _ => Wait::Short,
    };
    let points = i128::from(WAITING.1) * waited.min(level) + i128::from(OVERDUE.1) * beyond;
    let value = SEVERITIES[severity].1
        + if repeated_contact { REPEATED_CONTACT.1 } else { 0 }
        + if unanswered_thread { UNANSWERED_THREAD.1 } else { 0 }
        + i32::try_from(points / level).unwrap_or_default();
    let list = severity * 12 + usize::from(repeated_contact) * 6 + usize::from(unanswered_thread) * 3 + wait as usize;
    Priority { value: value.clamp(0, 100), reasons: &REASONS[list] }
}

/// The priority of an item at `now`, from its row alone: what [`priority_of`] says of it as long as it waits, and what the row
/// says once it does not. Whether the contact was repeated and the thread unanswered is as of the row.
pub fn priority_at<'a>(item: &'a QueueItem<'_>, now: EpochMs) -> (i32, &'a [Cow<'a, str>]) {
    let waits = match item.status {
        QueueStatus::Open | QueueStatus::Claimed | QueueStatus::Reopened => true,
        QueueStatus::Moved => item.queue != "none",
        QueueStatus::Answered | QueueStatus::Acknowledged | QueueStatus::Retracted | QueueStatus::Expired => false,
    };
    if !waits {
        return (item.priority, &item.priority_reasons);
    }
    let has = |reason: &str| item.priority_reasons.iter().any(|of_item| of_item == reason);
    let standing = Standing {
        label: item.label,
        abstained: has(UNSURE),
        created_at: item.waiting_since.unwrap_or(item.created_at),
        due_at: item.due_at,
        repeated_contact: has(REPEATED_CONTACT.0),
        unanswered_thread: has(UNANSWERED_THREAD.0),
    };
    let Priority { value, reasons } = priority_of(&standing, now);
    (value, reasons)
}
