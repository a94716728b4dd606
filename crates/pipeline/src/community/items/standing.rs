//! Where an item is in its life: a function of times.

use record::{EpochMs, QueueStatus};

use super::Item;

/// The times that an item's standing follows from, beside what is in the item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times<'a> {
    /// When the person said it.
    pub(super) created_at: EpochMs,
    /// It was taken back by its author.
    pub(super) deleted: bool,
    /// It waits in some queue.
    pub(super) queued: bool,
    /// When the brand answered it, or what the person wrote after it, in order.
    pub(super) answers: &'a [EpochMs],
    /// When the person wrote again in the thread.
    pub(super) messages: &'a [EpochMs],
}

/// How an item stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) status: QueueStatus,
    /// Since when the person waits, or waited last: what they said, or what they wrote after an answer.
    pub(crate) since: EpochMs,
    /// When that ended; `None` while it waits.
    pub(crate) closed_at: Option<EpochMs>,
    /// The first answer.
    pub(crate) answered_at: Option<EpochMs>,
    /// How often it was reopened.
    pub(crate) reopened: i32,
}

impl Standing {
    /// Nothing of it can change any more but by what its author does.
    pub(crate) fn is_gone(&self, queued: bool) -> bool {
        !queued || matches!(self.status, QueueStatus::Retracted | QueueStatus::Expired)
    }
}

/// How an item stands.
pub(super) fn standing(item: &Item, times: Times<'_>) -> Standing {
    let acknowledged = item.acts.as_ref().and_then(|acts| acts.acknowledged.as_ref()).map(|(at, _)| *at);
    let answered_at = times.answers.first().copied();
    let first_acknowledged = item.acts.as_ref().and_then(|acts| acts.first_acknowledged);
    let first_close = [answered_at, first_acknowledged].into_iter().flatten().min();
    // What was written after it had been closed for the first time asks again.
    let asked_again = |at: EpochMs| first_close.is_some_and(|first_close| at > first_close);
    let contacts = times.messages.iter().copied().filter(|&at| asked_again(at));
    let reopened = i32::try_from(contacts.clone().count()).unwrap_or(i32::MAX);
    let contact = contacts.max();
    let moved_at = item.moved_at.filter(|&at| asked_again(at));
    let since = contact.max(moved_at).unwrap_or(times.created_at);
    let answer = times.answers.iter().copied().find(|&at| at >= since);
    let acknowledged = acknowledged.filter(|&at| at >= since || (contact.is_none() && moved_at.is_none()));
    let closed_at = [answer, acknowledged].into_iter().flatten().min();
    let claim = item.acts.as_ref().and_then(|acts| acts.claim.as_ref()).filter(|claim| {
        // What was claimed before the person wrote again, or before somebody closed it, was another matter, unless the lease was still
        // on by then: it keeps others out (`acts.rs`).
        contact.max(moved_at).is_none_or(|since| claim.at >= since || claim.until > since)
    });
    let status = match closed_at {
        _ if times.deleted => QueueStatus::Retracted,
        _ if !times.queued => QueueStatus::Moved,
        None if item.expired => QueueStatus::Expired,
        Some(at) if answer == Some(at) => QueueStatus::Answered,
        Some(_) => QueueStatus::Acknowledged,
        None if claim.is_some() => QueueStatus::Claimed,
        None if contact.is_some() && contact >= moved_at => QueueStatus::Reopened,
        None if item.moved => QueueStatus::Moved,
        None => QueueStatus::Open,
    };
    let waits = !times.deleted && times.queued && !item.expired;
    let closed_at = if waits { closed_at } else { Some(closed_at.unwrap_or(times.created_at)) };
    Standing { status, since, closed_at, answered_at, reopened }
}

#[cfg(test)]
mod tests {
    use super::super::{Acts, Claim, Content};
    use super::*;

    fn item() -> Item {
        Item::new(Content::unknown().to_bytes())
    }

    fn at(item: &Item, answers: &[EpochMs]) -> (QueueStatus, Option<EpochMs>) {
        after(item, &[], answers)
    }

    fn after(item: &Item, messages: &[EpochMs], answers: &[EpochMs]) -> (QueueStatus, Option<EpochMs>) {
        let times = Times { created_at: 100, deleted: false, queued: true, answers, messages };
        let standing = standing(item, times);
        (standing.status, standing.closed_at)
    }

    fn acted(claim: Option<(EpochMs, EpochMs)>, acknowledged: Option<EpochMs>) -> Option<Box<Acts>> {
        let claim = claim.map(|(at, until)| Claim { by: "sari".into(), at, until });
        let first_acknowledged = acknowledged;
        let acknowledged = acknowledged.map(|at| (at, "sari".into()));
        Some(Box::new(Acts { claim, acknowledged, first_acknowledged }))
    }

    #[test]
    fn an_answer_or_an_acknowledgement_closes_it() {
        assert_eq!(at(&item(), &[]), (QueueStatus::Open, None));
        assert_eq!(at(&item(), &[120, 150]), (QueueStatus::Answered, Some(120)));
        let acknowledged = Item { acts: acted(None, Some(110)), ..item() };
        assert_eq!(at(&acknowledged, &[]), (QueueStatus::Acknowledged, Some(110)));
        assert_eq!(at(&acknowledged, &[120]), (QueueStatus::Acknowledged, Some(110)));
        assert_eq!(at(&acknowledged, &[105]), (QueueStatus::Answered, Some(105)));
        // A responder's clock that is behind closes it all the same.
        let early = Item { acts: acted(None, Some(90)), ..item() };
        assert_eq!(at(&early, &[]), (QueueStatus::Acknowledged, Some(90)));
    }

    #[test]
    fn who_writes_again_waits_again_until_the_next_answer() {
        let messages = &[130, 110];
        assert_eq!(after(&item(), messages, &[]), (QueueStatus::Open, None), "it waited anyway");
        assert_eq!(after(&item(), messages, &[120]), (QueueStatus::Reopened, None));
        assert_eq!(after(&item(), messages, &[120, 140]), (QueueStatus::Answered, Some(140)));
        let acknowledged = Item { acts: acted(None, Some(120)), ..item() };
        assert_eq!(after(&acknowledged, messages, &[]), (QueueStatus::Reopened, None));
        let later = Item { acts: acted(None, Some(135)), ..item() };
        assert_eq!(after(&later, messages, &[120]), (QueueStatus::Acknowledged, Some(135)));
        // Acknowledged twice: what was written in between still counts.
        let mut twice = acted(None, Some(120));
        if let Some(acts) = &mut twice {
            acts.acknowledged = Some((140, "sari".into()));
        }
        assert_eq!(after(&Item { acts: twice, ..item() }, messages, &[]), (QueueStatus::Acknowledged, Some(140)));
    }

    #[test]
    fn a_claim_is_of_what_waits() {
        let claimed = Item { acts: acted(Some((105, 200)), None), ..item() };
        assert_eq!(at(&claimed, &[]), (QueueStatus::Claimed, None));
        assert_eq!(at(&claimed, &[120]), (QueueStatus::Answered, Some(120)));
        assert_eq!(after(&claimed, &[130], &[120]), (QueueStatus::Claimed, None), "the lease is still on");
        assert_eq!(after(&claimed, &[200], &[120]), (QueueStatus::Reopened, None), "it was over");
    }

    #[test]
    fn a_responder_who_moves_what_is_closed_opens_it() {
        let moved = Item { moved: true, moved_at: Some(140), ..item() };
        assert_eq!(at(&moved, &[]), (QueueStatus::Moved, None));
        assert_eq!(at(&moved, &[120]), (QueueStatus::Moved, None));
        assert_eq!(at(&moved, &[120, 150]), (QueueStatus::Answered, Some(150)));
    }
}
