//! How an item stands now: a row says how it stood when it was written.

use record::{EpochMs, QueueItem, QueueStatus};

/// How an item stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// 0 to 100, greater is sooner.
    pub(super) priority: i32,
    /// What makes it up.
    pub(super) reasons: Vec<String>,
}

/// What waiting for more than half of the service level adds.
const WAITING: i32 = 10;
/// What being past it adds.
const OVERDUE: i32 = 20;

/// The priority as of now: what waiting has added since the row was written.
pub(super) fn standing(item: &QueueItem<'_>, now: EpochMs) -> Standing {
    let mut reasons: Vec<String> = item.priority_reasons.iter().map(|reason| reason.to_string()).collect();
    let said = |reasons: &[String], name: &str| reasons.iter().any(|reason| reason == name);
    let mut priority = item.priority;
    if let Some(due_at) = item.due_at.filter(|_| is_unfinished(item.status)) {
        let half = item.created_at + (due_at - item.created_at) / 2;
        if now > due_at && !said(&reasons, "overdue") {
            priority += if said(&reasons, "waiting") { OVERDUE - WAITING } else { OVERDUE };
            reasons.retain(|reason| reason != "waiting");
            reasons.push("overdue".to_owned());
        } else if now > half && !said(&reasons, "waiting") && !said(&reasons, "overdue") {
            priority += WAITING;
            reasons.push("waiting".to_owned());
        }
    }
    Standing { priority: priority.clamp(0, 100), reasons }
}

/// True if somebody could take it now: nobody has, or the time for which somebody has is over.
pub(super) fn waits(item: &QueueItem<'_>, now: EpochMs) -> bool {
    match item.status {
        QueueStatus::Open | QueueStatus::Reopened => true,
        QueueStatus::Moved => item.queue != "none",
        QueueStatus::Claimed => item.claim_until.is_none_or(|until| until <= now),
        _ => false,
    }
}

/// True while an answer is still to come.
pub(super) fn is_unfinished(status: QueueStatus) -> bool {
    matches!(status, QueueStatus::Open | QueueStatus::Reopened | QueueStatus::Moved | QueueStatus::Claimed)
}

#[cfg(test)]
pub(super) mod tests {
    use record::{Kind, Label, Language};

    use super::*;

    /// An open complaint, made at 1,000 and due at 11,000.
    pub(crate) fn item() -> QueueItem<'static> {
        QueueItem {
            community_id: "warga kota".into(),
            kind: Kind::Comment,
            id: "7".into(),
            queue: "complaint".into(),
            department: "customer care".into(),
            label: Label::Complaint,
            confidence: 0.9,
            reason: "label complaint".into(),
            priority: 60,
            priority_reasons: vec!["complaint".into()].into(),
            due_at: Some(11_000),
            status: QueueStatus::Open,
            claimed_by: None,
            claim_until: None,
            answered_at: None,
            text: Some("paketku belum sampai".into()),
            language: Language::Indonesian,
            mixed: false,
            url: None,
            thread_id: None,
            created_at: 1_000,
            updated_at: 1_500,
            origin_topic: "posts".into(),
            origin_partition: 0,
            origin_offset: 3,
            acknowledged_by: None,
            acknowledged_at: None,
            breached_at: None,
            reopened: 0,
        }
    }

    #[test]
    fn waiting_adds_to_the_priority_once() {
        let check = |item: &QueueItem<'_>, now, priority, reasons: &[&str]| {
            let standing = standing(item, now);
            assert_eq!(
                (standing.priority, standing.reasons.iter().map(String::as_str).collect::<Vec<_>>()),
                (priority, reasons.to_vec())
            );
        };
        check(&item(), 6_000, 60, &["complaint"]);
        check(&item(), 6_001, 70, &["complaint", "waiting"]);
        check(&item(), 11_001, 80, &["complaint", "overdue"]);
        let waiting =
            QueueItem { priority: 70, priority_reasons: vec!["complaint".into(), "waiting".into()].into(), ..item() };
        check(&waiting, 10_000, 70, &["complaint", "waiting"]);
        check(&waiting, 11_001, 80, &["complaint", "overdue"]);
        check(&QueueItem { status: QueueStatus::Answered, ..item() }, 99_000, 60, &["complaint"]);
        check(&QueueItem { due_at: None, ..item() }, 99_000, 60, &["complaint"]);
        check(&QueueItem { priority: 95, ..item() }, 99_000, 100, &["complaint", "overdue"]);
    }

    #[test]
    fn who_waits() {
        let with = |status, claim_until| QueueItem { status, claim_until, ..item() };
        assert!(waits(&with(QueueStatus::Open, None), 5));
        assert!(waits(&with(QueueStatus::Reopened, None), 5));
        assert!(!waits(&with(QueueStatus::Claimed, Some(6)), 5), "somebody works on it");
        assert!(waits(&with(QueueStatus::Claimed, Some(5)), 5), "the lease is over");
        assert!(waits(&with(QueueStatus::Moved, None), 5));
        assert!(!waits(&QueueItem { queue: "none".into(), ..with(QueueStatus::Moved, None) }, 5), "it waits nowhere");
        assert!(!waits(&with(QueueStatus::Answered, None), 5));
    }
}
