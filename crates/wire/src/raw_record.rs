//! The fields of a raw record as they travel, in Avro and in JSON.

use std::borrow::Cow;
use std::fmt;

use record::{Author, ContentKind, EpochMs, Interaction, Kind, Media, Role};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A post or comment as it is read: one type for both, since a post only lacks fields. An explicit null is what an absent
/// field is, also where the schema has a default instead of a null.
#[derive(Deserialize)]
pub(crate) struct RawRecord<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    community_id: Cow<'a, str>,
    #[serde(borrow, default)]
    author: Option<AuthorFields<'a>>,
    created_at: Time,
    observed_at: Time,
    #[serde(default)]
    edited_at: Option<Time>,
    #[serde(default)]
    deleted: Option<bool>,
    #[serde(borrow, default)]
    text: Text<'a>,
    #[serde(borrow, default)]
    media: Option<Vec<MediaFields<'a>>>,
    #[serde(borrow, default)]
    url: Text<'a>,
    #[serde(borrow, default)]
    language_hint: Text<'a>,
    #[serde(borrow, default)]
    post_id: Text<'a>,
    #[serde(borrow, default)]
    parent_id: Text<'a>,
    #[serde(borrow, default)]
    post_author: Option<AuthorFields<'a>>,
    #[serde(borrow, default)]
    parent_author: Option<AuthorFields<'a>>,
    #[serde(borrow, default)]
    mentions: Option<Vec<Text<'a>>>,
}

impl<'a> RawRecord<'a> {
    pub(crate) fn into_interaction(self, kind: Kind) -> Interaction<'a> {
        Interaction {
            kind,
            id: self.id,
            community_id: self.community_id,
            author: self.author.map(AuthorFields::into_author),
            created_at: self.created_at.0,
            observed_at: self.observed_at.0,
            edited_at: self.edited_at.map(|time| time.0),
            deleted: self.deleted.unwrap_or(false),
            text: self.text.0.unwrap_or_default(),
            media: self.media.unwrap_or_default().into_iter().map(MediaFields::into_media).collect(),
            url: self.url.0,
            language_hint: self.language_hint.0,
            post_id: self.post_id.0,
            parent_id: self.parent_id.0,
            post_author: self.post_author.map(AuthorFields::into_author),
            parent_author: self.parent_author.map(AuthorFields::into_author),
            mentions: self.mentions.unwrap_or_default().into_iter().filter_map(|mention| mention.0).collect(),
        }
    }
}

/// An author as it is read.
#[derive(Deserialize)]
struct AuthorFields<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    handle: Text<'a>,
    #[serde(default)]
    role: Option<Role>,
    #[serde(default)]
    followers: Option<i64>,
    #[serde(default)]
    verified: Option<bool>,
}

impl<'a> AuthorFields<'a> {
    fn into_author(self) -> Author<'a> {
        Author {
            id: self.id,
            handle: self.handle.0,
            role: self.role.unwrap_or_default(),
            followers: self.followers,
            verified: self.verified,
        }
    }
}

/// A photo, video or article as it is read.
#[derive(Deserialize)]
struct MediaFields<'a> {
    #[serde(default)]
    kind: Option<ContentKind>,
    #[serde(borrow, default)]
    url: Text<'a>,
}

impl<'a> MediaFields<'a> {
    fn into_media(self) -> Media<'a> {
        Media { kind: self.kind.unwrap_or_default(), url: self.url.0 }
    }
}

/// A post as it is written, field for field in the order of its schema.
#[derive(Serialize)]
pub(crate) struct PostFields<'a> {
    id: &'a str,
    community_id: &'a str,
    author: &'a Option<Author<'a>>,
    created_at: EpochMs,
    observed_at: EpochMs,
    edited_at: Option<EpochMs>,
    deleted: bool,
    text: &'a str,
    media: &'a [Media<'a>],
    url: &'a Option<Cow<'a, str>>,
    language_hint: &'a Option<Cow<'a, str>>,
}

/// A comment as it is written, field for field in the order of its schema.
#[derive(Serialize)]
pub(crate) struct CommentFields<'a> {
    id: &'a str,
    community_id: &'a str,
    author: &'a Option<Author<'a>>,
    created_at: EpochMs,
    observed_at: EpochMs,
    edited_at: Option<EpochMs>,
    deleted: bool,
    text: &'a str,
    media: &'a [Media<'a>],
    url: &'a Option<Cow<'a, str>>,
    language_hint: &'a Option<Cow<'a, str>>,
    post_id: &'a Option<Cow<'a, str>>,
    parent_id: &'a Option<Cow<'a, str>>,
    post_author: &'a Option<Author<'a>>,
    parent_author: &'a Option<Author<'a>>,
    mentions: &'a [Cow<'a, str>],
}

impl<'a> PostFields<'a> {
    pub(crate) fn of(interaction: &'a Interaction<'a>) -> PostFields<'a> {
        PostFields {
            id: &interaction.id,
            community_id: &interaction.community_id,
            author: &interaction.author,
            created_at: interaction.created_at,
            observed_at: interaction.observed_at,
            edited_at: interaction.edited_at,
            deleted: interaction.deleted,
            text: &interaction.text,
            media: &interaction.media,
            url: &interaction.url,
            language_hint: &interaction.language_hint,
        }
    }
}

impl<'a> CommentFields<'a> {
    pub(crate) fn of(interaction: &'a Interaction<'a>) -> CommentFields<'a> {
        CommentFields {
            id: &interaction.id,
            community_id: &interaction.community_id,
            author: &interaction.author,
            created_at: interaction.created_at,
            observed_at: interaction.observed_at,
            edited_at: interaction.edited_at,
            deleted: interaction.deleted,
            text: &interaction.text,
            media: &interaction.media,
            url: &interaction.url,
            language_hint: &interaction.language_hint,
            post_id: &interaction.post_id,
            parent_id: &interaction.parent_id,
            post_author: &interaction.post_author,
            parent_author: &interaction.parent_author,
            mentions: &interaction.mentions,
        }
    }
}

/// Text that may be null, borrowed from the input where it can be.
#[derive(Default)]
struct Text<'a>(Option<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        #[derive(Deserialize)]
        #[serde(transparent)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

        Ok(Text(Option::<Borrowed<'a>>::deserialize(deserializer)?.map(|borrowed| borrowed.0)))
    }
}

/// A time: epoch milliseconds, or in JSON also RFC 3339 with a zone.
struct Time(EpochMs);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Time, D::Error> {
        struct TimeVisitor;

        impl Visitor<'_> for TimeVisitor {
            type Value = Time;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("epoch milliseconds or RFC 3339 with a zone")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Time, E> {
                Ok(Time(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Time, E> {
                i64::try_from(value).map(Time).map_err(|_| E::custom(NOT_A_TIME))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Time, E> {
                Err(E::custom(NOT_A_TIME))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Time, E> {
                let time: jiff::Timestamp = value.parse().map_err(|_| E::custom(NOT_A_TIME))?;
                Ok(Time(time.as_millisecond()))
            }
        }

        deserializer.deserialize_any(TimeVisitor)
    }
}

/// What an error says of a time that is none.
pub(crate) const NOT_A_TIME: &str = "not a time";
