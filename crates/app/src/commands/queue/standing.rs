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

/// The priority as of now, which grows while an item waits.
pub(super) fn standing(item: &QueueItem<'_>, now: EpochMs) -> Standing {
    let (priority, reasons) = rules::priority_at(item, now);
    Standing { priority, reasons: reasons.iter().map(ToString::to_string).collect() }
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
            waiting_since: None,
        }
    }

    #[test]
    fn waiting_adds_to_the_priority_until_it_is_over() {
        let check = |item: &QueueItem<'_>, now, priority, reasons: &[&str]| {
            let standing = standing(item, now);
            let told: Vec<&str> = standing.reasons.iter().map(String::as_str).collect();
            assert_eq!((standing.priority, told), (priority, reasons.to_vec()));
        };
        check(&item(), 1_000, 60, &["complaint"]);
        check(&item(), 11_001, 75, &["complaint", "overdue"]);
        check(&QueueItem { status: QueueStatus::Answered, ..item() }, 99_000, 60, &["complaint"]);
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
