//! What a decoded interaction must keep to, beyond being decodable.

use record::{EpochMs, Interaction, Kind, Reason, limits};

/// Checks one interaction.
///
/// # Errors
/// The reason for a dead letter, and which field is wrong and what would be right, without content of the record.
pub fn check_interaction(
    interaction: &Interaction<'_>,
    now: EpochMs,
    future_ms_max: i64,
) -> Result<(), (Reason, String)> {
    id("id", &interaction.id)?;
    id("community_id", &interaction.community_id)?;
    match &interaction.author {
        Some(author) => id("author.id", &author.id)?,
        None if interaction.deleted => {}
        None => return Err((Reason::MissingField, "author is missing; only a retraction may leave it out".to_owned())),
    }
    if interaction.kind == Kind::Comment {
        match &interaction.post_id {
            // Who takes a comment back may leave it out.
            Some(post_id) if interaction.deleted => at_most("post_id", post_id.len(), limits::ID_BYTES, "bytes")?,
            None if interaction.deleted => {}
            Some(post_id) => id("post_id", post_id)?,
            None => return Err((Reason::MissingField, "post_id is missing; a comment names its post".to_owned())),
        }
    }
    if let Some(parent_id) = &interaction.parent_id {
        id("parent_id", parent_id)?;
    }
    for author in [&interaction.post_author, &interaction.parent_author].into_iter().flatten() {
        id("post_author.id or parent_author.id", &author.id)?;
    }
    at_most("media", interaction.media.len(), limits::MEDIA, "items")?;
    at_most("mentions", interaction.mentions.len(), limits::MENTIONS, "items")?;
    at_most("url", interaction.url.as_ref().map_or(0, |url| url.len()), limits::URL_BYTES, "bytes")?;
    for media in &interaction.media {
        at_most("media.url", media.url.as_ref().map_or(0, |url| url.len()), limits::URL_BYTES, "bytes")?;
    }
    for mention in &interaction.mentions {
        at_most("mentions", mention.len(), limits::ID_BYTES, "bytes each")?;
    }
    time("created_at", interaction.created_at, now, future_ms_max)?;
    time("observed_at", interaction.observed_at, now, future_ms_max)?;
    match interaction.edited_at {
        Some(edited_at) => time("edited_at", edited_at, now, future_ms_max),
        None => Ok(()),
    }
}

fn id(field: &str, value: &str) -> Result<(), (Reason, String)> {
    if value.is_empty() {
        return Err((Reason::MissingField, format!("{field} is empty; 1 to {} bytes are right", limits::ID_BYTES)));
    }
    at_most(field, value.len(), limits::ID_BYTES, "bytes")
}

fn at_most(field: &str, found: usize, limit: usize, unit: &str) -> Result<(), (Reason, String)> {
    if found <= limit {
        return Ok(());
    }
    Err((Reason::LimitExceeded, format!("{field} has {found} {unit}; at most {limit} are right")))
}

fn time(field: &str, value: EpochMs, now: EpochMs, future_ms_max: i64) -> Result<(), (Reason, String)> {
    if value < limits::EARLIEST_EVENT_MS {
        let earliest = limits::EARLIEST_EVENT_MS;
        return Err((
            Reason::ImpossibleTime,
            format!("{field} is {value}; epoch milliseconds from {earliest} on are right"),
        ));
    }
    if value > now.saturating_add(future_ms_max) {
        return Err((
            Reason::FutureTime,
            format!("{field} is {value}, which is more than {future_ms_max} ms after {now}"),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EpochMs = 1_795_482_000_000;

    /// The community stage takes what this lets through, so a retraction may not hold more than what it takes back.
    #[test]
    fn a_retraction_may_leave_out_the_post_but_not_name_a_longer_one() {
        let check = |post_id: Option<usize>, deleted: bool| {
            let comment = Interaction {
                kind: Kind::Comment,
                id: "1".into(),
                community_id: "warga".into(),
                author: Some(record::Author {
                    id: "u".into(),
                    handle: None,
                    role: record::Role::Member,
                    followers: None,
                    verified: None,
                }),
                created_at: NOW,
                observed_at: NOW,
                edited_at: None,
                deleted,
                text: "".into(),
                media: Vec::new(),
                url: None,
                language_hint: None,
                post_id: post_id.map(|bytes| "p".repeat(bytes).into()),
                parent_id: None,
                post_author: None,
                parent_author: None,
                mentions: Vec::new(),
            };
            check_interaction(&comment, NOW, 0).map_err(|(reason, _)| reason)
        };
        for (post_id, found, retracted) in [
            (None, Err(Reason::MissingField), Ok(())),
            (Some(0), Err(Reason::MissingField), Ok(())),
            (Some(256), Ok(()), Ok(())),
            (Some(257), Err(Reason::LimitExceeded), Err(Reason::LimitExceeded)),
        ] {
            assert_eq!((check(post_id, false), check(post_id, true)), (found, retracted), "{post_id:?}");
        }
    }
}
