//! A raw interaction as a crawler delivers it: a post or a comment.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{EpochMs, Identity, Kind};

/// Who an author is to the brand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// A member of the community.
    Member,
    /// The brand itself.
    Brand,
    /// A moderator of the community; counted as a member in directions.
    Moderator,
    /// The record does not say, or says what we do not know.
    #[default]
    #[serde(other)]
    Unknown,
}

impl Role {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Member => "member",
            Role::Brand => "brand",
            Role::Moderator => "moderator",
            Role::Unknown => "unknown",
        }
    }
}

/// From whom to whom an interaction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Direction {
    /// A member addresses the brand.
    MemberToBrand = 0,
    /// The brand answers a member.
    BrandToMember = 1,
    /// A member addresses another member.
    MemberToMember = 2,
    /// The brand posts to everybody.
    BrandToAll = 3,
    /// A member posts to everybody.
    MemberToAll = 4,
    /// Not to be told from the record.
    #[serde(other)]
    Unknown = 5,
}

impl Direction {
    /// Every direction, in the order of every array of counts.
    pub const ALL: [Direction; 6] = [
        Direction::MemberToBrand,
        Direction::BrandToMember,
        Direction::MemberToMember,
        Direction::BrandToAll,
        Direction::MemberToAll,
        Direction::Unknown,
    ];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::MemberToBrand => "member_to_brand",
            Direction::BrandToMember => "brand_to_member",
            Direction::MemberToMember => "member_to_member",
            Direction::BrandToAll => "brand_to_all",
            Direction::MemberToAll => "member_to_all",
            Direction::Unknown => "unknown",
        }
    }
}

/// A kind of content that an interaction holds; one interaction may hold several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ContentKind {
    /// Text that is not blank.
    Text = 0,
    /// A photo.
    Photo = 1,
    /// A video.
    Video = 2,
    /// An article or another linked page.
    Article = 3,
    /// Another kind of media, or one we do not know.
    #[default]
    #[serde(other)]
    Unknown = 4,
}

impl ContentKind {
    /// Every content kind, in the order of every array of counts.
    pub const ALL: [ContentKind; 5] =
        [ContentKind::Text, ContentKind::Photo, ContentKind::Video, ContentKind::Article, ContentKind::Unknown];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            ContentKind::Text => "text",
            ContentKind::Photo => "photo",
            ContentKind::Video => "video",
            ContentKind::Article => "article",
            ContentKind::Unknown => "unknown",
        }
    }
}

/// How many followers an author has, in bands. It measures fairness and never moves a priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReachBand {
    /// Below 1,000 followers.
    Small,
    /// 1,000 to 99,999 followers.
    Medium,
    /// 100,000 followers and more.
    Large,
    /// The record does not say.
    #[serde(other)]
    Unknown,
}

impl ReachBand {
    /// The band of a follower count; a negative one is unknown.
    pub fn of(followers: Option<i64>) -> ReachBand {
        match followers {
            Some(0..=999) => ReachBand::Small,
            Some(1_000..=99_999) => ReachBand::Medium,
            Some(100_000..) => ReachBand::Large,
            _ => ReachBand::Unknown,
        }
    }

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            ReachBand::Unknown => "unknown",
            ReachBand::Small => "small",
            ReachBand::Medium => "medium",
            ReachBand::Large => "large",
        }
    }
}

/// An author as the crawler knows them. It never leaves the first stage: afterwards there is only a pseudonym.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author<'a> {
    /// The source's id of the author.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    /// The name shown to others.
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub handle: Option<Cow<'a, str>>,
    /// Who they are to the brand.
    #[serde(default)]
    pub role: Role,
    /// How many follow them.
    #[serde(default)]
    pub followers: Option<i64>,
    /// Whether the platform verified them.
    #[serde(default)]
    pub verified: Option<bool>,
}

// By hand, so that a log line or an error can never show who somebody is.
impl std::fmt::Debug for Author<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Author").field("role", &self.role).finish_non_exhaustive()
    }
}

/// A photo, video or article that belongs to an interaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media<'a> {
    /// What it is.
    pub kind: ContentKind,
    /// Where it is.
    #[serde(borrow, default, deserialize_with = "crate::borrowed::option")]
    pub url: Option<Cow<'a, str>>,
}

/// The version of an interaction: the newest wins. Ordered by the edit (or creation) time, then by observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// `edited_at`, or `created_at` where it was never edited.
    pub changed_at: EpochMs,
    /// When the crawler saw it so.
    pub observed_at: EpochMs,
}

/// A post or comment as it comes in. The fields from `post_id` on are a comment's; a post leaves them empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interaction<'a> {
    /// Post or comment.
    pub kind: Kind,
    /// The source's id, unique per community and kind.
    pub id: Cow<'a, str>,
    /// The community it was made in.
    pub community_id: Cow<'a, str>,
    /// Who made it. Absent only for a retraction that names nobody.
    pub author: Option<Author<'a>>,
    /// When it was made: the event time.
    pub created_at: EpochMs,
    /// When the crawler saw it.
    pub observed_at: EpochMs,
    /// When it was last edited, if it was.
    pub edited_at: Option<EpochMs>,
    /// True for a retraction.
    pub deleted: bool,
    /// What it says; may be empty.
    pub text: Cow<'a, str>,
    /// What else it holds.
    pub media: Vec<Media<'a>>,
    /// Where it can be seen.
    pub url: Option<Cow<'a, str>>,
    /// The language that the source claims.
    pub language_hint: Option<Cow<'a, str>>,
    /// A comment's post.
    pub post_id: Option<Cow<'a, str>>,
    /// The comment that a comment answers, if not the post itself.
    pub parent_id: Option<Cow<'a, str>>,
    /// Who made the post.
    pub post_author: Option<Author<'a>>,
    /// Who made the parent comment.
    pub parent_author: Option<Author<'a>>,
    /// Ids of the authors that the text mentions.
    pub mentions: Vec<Cow<'a, str>>,
}

impl Interaction<'_> {
    /// What makes it the same interaction as another record.
    pub fn identity(&self) -> Identity<'_> {
        Identity { community_id: Cow::Borrowed(&self.community_id), kind: self.kind, id: Cow::Borrowed(&self.id) }
    }

    /// Its version. A retraction that does not say when it was edited takes its observation for both parts.
    pub fn version(&self) -> Version {
        let changed_at = match self.edited_at {
            Some(edited_at) => edited_at,
            None if self.deleted => self.observed_at,
            None => self.created_at,
        };
        Version { changed_at, observed_at: self.observed_at }
    }
}
