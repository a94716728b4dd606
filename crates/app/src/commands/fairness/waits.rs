//! Who waited how long, from the queues' state, the actions and the classified topic.

use std::collections::HashMap;

use anyhow::Result;
use fairness::{Question, Wait};
use record::{ClassifiedRecord, EpochMs, Language, QueueItem, QueueStatus, ReachBand};
use wire::{OfAction, OfClassified, OfQueueItem};

use super::super::stored::{Decoding, each_record, newest};
use crate::cli::OutsideError;
use crate::config::Config;

/// Most items that are looked at, and most that were claimed; an item takes some 200 bytes.
const ITEMS_MAX: usize = 1_000_000;

/// What a question is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct About {
    /// `response` or `queue`.
    pub(super) wait: &'static str,
    /// `reach` or `language`.
    pub(super) by: &'static str,
}

impl About {
    pub(super) fn title(&self) -> String {
        match self.wait {
            "response" => format!("Until it is answered or closed, by {}", self.by),
            _ => format!("Until somebody takes it up, by {}", self.by),
        }
    }
}

/// An item as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    /// How long until it was answered or closed, and whether it was.
    response: (i64, bool),
    /// How long until somebody took it up, and whether somebody did.
    queue: (i64, bool),
    language: Language,
    reach: ReachBand,
    /// The queue that it was routed to.
    routed: String,
}

/// The items that were written since then.
pub(super) fn items(config: &Config, since: EpochMs, queue: Option<&str>, now: EpochMs) -> Result<Vec<Item>> {
    let too_many = |what: &str| OutsideError(format!("more than {ITEMS_MAX} {what}; --since takes fewer"));
    let mut claimed: HashMap<Vec<u8>, EpochMs> = HashMap::new();
    let mut decoding = Decoding::<OfAction>::new(config);
    each_record(config, &config.topics.actions, |record| {
        let Some(value) = &record.value else { return Ok(()) };
        let Some(action) = decoding.decode(value)? else { return Ok(()) };
        if action.kind == "claim" && action.at >= since {
            if claimed.len() >= ITEMS_MAX {
                return Err(too_many("items were claimed").into());
            }
            let first = claimed.entry(action.target.as_bytes().to_vec()).or_insert(action.at);
            *first = action.at.min(*first);
        }
        Ok(())
    })?;
    decoding.tell(&config.topics.actions);
    let topic = &config.topics.queue_state;
    let found = newest::<OfQueueItem, Item>(config, topic, ITEMS_MAX, |key, _, item| {
        (item.created_at >= since && item.created_at <= now).then(|| Item::of(&item, claimed.get(key).copied(), now))
    })?;
    if found.is_full {
        return Err(too_many("items were written").into());
    }
    let mut items = found.rows;
    let mut decoding = Decoding::<OfClassified>::new(config);
    each_record(config, &config.topics.classified, |record| {
        let Some(value) = &record.value else { return Ok(()) };
        if let Some(ClassifiedRecord::ClassifiedInteraction(classified)) = decoding.decode(value)?
            && let Some(item) = items.get_mut(classified.identity().key().as_bytes())
        {
            // The last that tells: a retraction may not say who it is of.
            if classified.reach_band != ReachBand::Unknown {
                item.reach = classified.reach_band;
            }
            if let Some(queue) = classified.queue {
                item.routed = queue.into_owned();
            }
        }
        Ok(())
    })?;
    decoding.tell(&config.topics.classified);
    Ok(items.into_values().filter(|item| queue.is_none_or(|queue| item.routed == queue)).collect())
}

impl Item {
    fn of(item: &QueueItem<'_>, claimed_at: Option<EpochMs>, now: EpochMs) -> Item {
        let over = [item.answered_at, item.acknowledged_at].into_iter().flatten().min();
        let taken = [over, claimed_at].into_iter().flatten().min();
        let goes_on = match item.status {
            QueueStatus::Open | QueueStatus::Claimed | QueueStatus::Reopened => true,
            QueueStatus::Moved => item.queue != "none",
            _ => false,
        };
        // What was retracted, or moved out of all queues, or expired, waited at least until then.
        let seen_until = if goes_on { now } else { item.updated_at };
        let wait = |end: Option<EpochMs>| match end {
            Some(end) => (end - item.created_at, true),
            None => (seen_until - item.created_at, false),
        };
        Item {
            response: wait(over),
            queue: wait(taken),
            language: item.language,
            reach: ReachBand::Unknown,
            // Until the classified topic says more; of what waits nowhere any more only the label tells where it was.
            routed: if item.queue == "none" { item.label.as_str().to_owned() } else { item.queue.to_string() },
        }
    }
}

/// Both waits by both groupings. Whose reach or language is not known is in no group.
pub(super) fn questions(items: &[Item]) -> Vec<(About, Question)> {
    let bands = [ReachBand::Small, ReachBand::Medium, ReachBand::Large];
    let languages: Vec<Language> =
        Language::ALL.into_iter().filter(|language| *language != Language::Undetermined).collect();
    let mut strata: Vec<&str> = items.iter().map(|item| item.routed.as_str()).collect();
    strata.sort_unstable();
    strata.dedup();
    let reach = |item: &Item| bands.iter().position(|band| *band == item.reach);
    let language = |item: &Item| languages.iter().position(|language| *language == item.language);
    let names_of_bands: Vec<String> = bands.iter().map(|band| band.as_str().to_owned()).collect();
    let names_of_languages: Vec<String> = languages.iter().map(|language| language.as_str().to_owned()).collect();
    let question = |groups: &[String], group: &dyn Fn(&Item) -> Option<usize>, wait: &dyn Fn(&Item) -> (i64, bool)| {
        let waits = items.iter().filter_map(|item| {
            let (duration_ms, ended) = wait(item);
            let stratum = strata.binary_search(&item.routed.as_str()).ok()?;
            Some(Wait { duration_ms, ended, group: group(item)?, stratum })
        });
        Question { groups: groups.to_vec(), waits: waits.collect() }
    };
    let mut questions = Vec::new();
    for (wait, length) in
        [("response", &(|item: &Item| item.response) as &dyn Fn(&Item) -> (i64, bool)), ("queue", &|item| item.queue)]
    {
        questions.push((About { wait, by: "reach" }, question(&names_of_bands, &reach, length)));
        questions.push((About { wait, by: "language" }, question(&names_of_languages, &language, length)));
    }
    questions
}

#[cfg(test)]
mod tests {
    use super::super::super::queue::test_item;
    use super::*;

    #[test]
    fn who_still_waits_counts_with_the_time_so_far() {
        let check = |item: QueueItem<'_>, claimed_at, response, queue| {
            let found = Item::of(&item, claimed_at, 10_000);
            assert_eq!((found.response, found.queue), (response, queue), "{:?}", item.status);
        };
        // Made at 1,000, its row written at 1,500.
        let item = test_item;
        check(item(), None, (9_000, false), (9_000, false));
        check(item(), Some(3_000), (9_000, false), (2_000, true));
        let with = |status| QueueItem { status, ..item() };
        check(
            QueueItem { answered_at: Some(4_000), ..with(QueueStatus::Answered) },
            None,
            (3_000, true),
            (3_000, true),
        );
        check(
            QueueItem { acknowledged_at: Some(5_000), ..with(QueueStatus::Acknowledged) },
            Some(2_000),
            (4_000, true),
            (1_000, true),
        );
        check(with(QueueStatus::Retracted), None, (500, false), (500, false));
        check(QueueItem { queue: "none".into(), ..with(QueueStatus::Moved) }, None, (500, false), (500, false));
        check(
            QueueItem { answered_at: Some(4_000), ..with(QueueStatus::Reopened) },
            None,
            (3_000, true),
            (3_000, true),
        );
    }

    #[test]
    fn each_question_groups_what_is_known() {
        let base = Item::of(&test_item(), None, 10_000);
        let items = [
            Item { reach: ReachBand::Large, ..base.clone() },
            Item { reach: ReachBand::Small, routed: "tip".to_owned(), ..base.clone() },
            Item { language: Language::Undetermined, ..base },
        ];
        let asked = questions(&items);
        let groups: Vec<_> = asked
            .iter()
            .map(|(about, question)| {
                (about.wait, about.by, question.waits.iter().map(|wait| (wait.group, wait.stratum)).collect::<Vec<_>>())
            })
            .collect();
        assert_eq!(
            groups,
            [
                ("response", "reach", vec![(2, 0), (0, 1)]),
                ("response", "language", vec![(0, 0), (0, 1)]),
                ("queue", "reach", vec![(2, 0), (0, 1)]),
                ("queue", "language", vec![(0, 0), (0, 1)]),
            ]
        );
    }
}
