//! What a record of the classified topic may hold. Ours always fit: these limits are for those of other producers, which must
//! not fill the state or move event time.

use record::{ClassifiedInteraction, EpochMs, Progress, Reason, limits};

/// Longest name of a topic, in bytes (Kafka's own limit), and of a queue.
const NAME_BYTES: usize = 249;
/// Longest pseudonym, in bytes: a version and 32 digits.
pub(super) const AUTHOR_KEY_BYTES: usize = 64;
/// Most canaries of a marker; the classify stage puts fewer into one.
const CANARIES_MAX: usize = 1_000;

/// Checks an interaction; `latest` is the latest event time that may be believed.
pub(super) fn interaction(interaction: &ClassifiedInteraction<'_>, latest: EpochMs) -> Result<(), (Reason, String)> {
    let optional = |text: &Option<std::borrow::Cow<'_, str>>| text.as_ref().map_or(0, |text| text.len());
    let lengths = [
        ("community_id", interaction.community_id.len(), limits::ID_BYTES),
        ("id", interaction.id.len(), limits::ID_BYTES),
        ("thread_id", optional(&interaction.thread_id), limits::ID_BYTES),
        ("parent_id", optional(&interaction.parent_id), limits::ID_BYTES),
        ("author_key", optional(&interaction.author_key), AUTHOR_KEY_BYTES),
        ("previous_author_key", optional(&interaction.previous_author_key), AUTHOR_KEY_BYTES),
        ("post_author_key", optional(&interaction.post_author_key), AUTHOR_KEY_BYTES),
        ("parent_author_key", optional(&interaction.parent_author_key), AUTHOR_KEY_BYTES),
        ("url", optional(&interaction.url), limits::URL_BYTES),
        ("queue", optional(&interaction.queue), NAME_BYTES),
        ("text", optional(&interaction.text), limits::TEXT_BYTES),
        ("origin_topic", interaction.origin_topic.len(), NAME_BYTES),
    ];
    if let Some((field, length, most)) = lengths.into_iter().find(|(_, length, most)| length > most) {
        return Err((Reason::LimitExceeded, format!("{field} has {length} bytes; at most {most} are right")));
    }
    if interaction.community_id.is_empty() || interaction.id.is_empty() {
        return Err((Reason::MissingField, "community_id or id is empty".to_owned()));
    }
    time("created_at", interaction.created_at, latest)
}

/// Checks a marker.
pub(super) fn progress(progress: &Progress<'_>, latest: EpochMs) -> Result<(), (Reason, String)> {
    for source in &progress.sources {
        if let Some(at) = source.largest_event_time {
            time("largest_event_time", at, latest)?;
        }
        if source.topic.len() > NAME_BYTES || source.position < 0 {
            return Err((
                Reason::LimitExceeded,
                "a source is no partition of a topic, or its position none".to_owned(),
            ));
        }
    }
    if progress.canaries.len() > CANARIES_MAX {
        let count = progress.canaries.len();
        return Err((Reason::LimitExceeded, format!("{count} canaries; at most {CANARIES_MAX} are right")));
    }
    for canary in &progress.canaries {
        if canary.topic.len() > NAME_BYTES || canary.id.len() > NAME_BYTES || canary.partition < 0 || canary.offset < 0
        {
            return Err((Reason::LimitExceeded, "a canary is of no record of a partition of a topic".to_owned()));
        }
        time("sent_at", canary.sent_at, latest)?;
    }
    Ok(())
}

/// A time that is far ahead would push the watermark, and everything else would be late.
pub(super) fn time(field: &str, at: EpochMs, latest: EpochMs) -> Result<(), (Reason, String)> {
    if at < limits::EARLIEST_EVENT_MS {
        return Err((Reason::ImpossibleTime, format!("{field} is {at}, before the year 2000")));
    }
    if at > latest {
        return Err((Reason::FutureTime, format!("{field} is {at}, after {latest}")));
    }
    Ok(())
}
