//! The entries of the changelog: how a partition's state is written and read back.
//!
//! Keys are text: `meta`, `ids|<segment>`, `slice|<community>|<level>|<start>`, `pane|<community>|<window>|<end>`,
//! `member|<community>|<pseudonym in hex>`, `parked|<community>|<kind>|<id>`, `item|<community>|<kind>|<id>`, `alert|<community>|<piece>`,
//! `member||<pseudonym in hex>` for the link of a pseudonym to another. Values are a version byte (`state_version.rs`) and `postcard`
//! data: only this program reads them. The partition of an entry is the input partition whose state it is.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use record::stage::{OutputWriter, Outputs};
use record::{Direction, EpochMs, Kind, Label, Position, Version, decode_key, encode_part};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};
use window::{MemberKey, StateKey, StateValue};

use super::alerts::{AlertPiece, AlertValue};
use super::aliases::Alias;
use super::answers::TargetHash;
use super::corrections::{Kept, Said};
use super::identity::{ContentOf, Entry, SlotId, split_key};
use super::items::Item;
use super::state_version::{self, WITH_ALIASES};
use super::watermark::Topic;

/// Most entries of one segment of ids.
pub(super) const SEGMENT_ENTRIES_MAX: usize = 512;

/// The entry `meta`: where the partition stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta<'a> {
    /// The next offset to read, by input.
    pub(super) positions: Vec<(u32, Position)>,
    pub(super) watermark: Option<EpochMs>,
    pub(super) low_mark: Option<EpochMs>,
    pub(super) next_segment: u64,
    pub(super) sources: Cow<'a, [Topic]>,
    /// The windows in which everything was counted.
    pub(super) windows: Cow<'a, str>,
    /// Partitions of each input.
    pub(super) partitions: i32,
    /// Since when authors come with the previous pseudonym beside the new one. Written from [`WITH_ALIASES`] on, after the rest.
    #[serde(skip)]
    pub(super) linked_since: Option<EpochMs>,
}

/// One identity in a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StoredId<'a> {
    #[serde(borrow)]
    pub(super) key: &'a [u8],
    changed_at: EpochMs,
    observed_at: EpochMs,
    event_time: EpochMs,
    digest: [u8; 16],
    label: u8,
    direction: u8,
    /// Its lower bits; above them the language from [`WITH_ALIASES`] on, 0 for one that is not determined. Programs of that version that
    /// know no language here pass it over.
    content_kinds: u8,
    flags: u8,
    queue: Option<u8>,
    author: Option<MemberKey>,
    answers: Option<TargetHash>,
    thread: u32,
    said: Said<u8>,
}

const ABSTAINED: u8 = 1;
const DELETED: u8 = 2;
const COUNTED: u8 = 4;
const LISTED: u8 = 8;
const BRAND: u8 = 16;
const CLOSED: u8 = 32;

impl<'a> StoredId<'a> {
    pub(super) fn new(key: &'a [u8], entry: &Entry) -> StoredId<'a> {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        StoredId {
            key,
            changed_at: entry.version.changed_at,
            observed_at: entry.version.observed_at,
            event_time: entry.event_time,
            digest: entry.digest,
            label: entry.label as u8,
            direction: entry.direction as u8,
            content_kinds: entry.content.0,
            flags: flag(entry.abstained, ABSTAINED)
                | flag(entry.deleted, DELETED)
                | flag(entry.counted, COUNTED)
                | flag(entry.listed, LISTED)
                | flag(entry.brand, BRAND)
                | flag(entry.closed, CLOSED),
            queue: entry.queue,
            author: entry.author,
            answers: entry.answers,
            thread: entry.thread,
            said: entry.said,
        }
    }

    /// Who it is from.
    pub(super) fn author(&self) -> Option<MemberKey> {
        self.author
    }

    /// The entry; `None` for a label or a direction that this program does not know.
    pub(super) fn entry(&self) -> Option<Entry> {
        Some(Entry {
            version: Version { changed_at: self.changed_at, observed_at: self.observed_at },
            event_time: self.event_time,
            digest: self.digest,
            label: *Label::ALL.get(usize::from(self.label))?,
            direction: *Direction::ALL.get(usize::from(self.direction))?,
            content: ContentOf(self.content_kinds),
            abstained: self.flags & ABSTAINED != 0,
            deleted: self.flags & DELETED != 0,
            counted: self.flags & COUNTED != 0,
            queue: self.queue,
            listed: self.flags & LISTED != 0,
            brand: self.flags & BRAND != 0,
            closed: self.flags & CLOSED != 0,
            author: self.author,
            answers: self.answers,
            thread: self.thread,
            said: self.said,
        })
    }
}

/// A segment of ids as it is read; the places in `queues` are what its entries' `queue` mean.
#[derive(Debug, Deserialize)]
pub(super) struct Segment<'a> {
    #[serde(borrow)]
    pub(super) queues: Vec<&'a str>,
    #[serde(borrow)]
    pub(super) ids: Vec<StoredId<'a>>,
}

/// A segment of ids as it is written, straight from the index.
struct SegmentOf<'a, F> {
    slots: &'a [SlotId],
    stored: F,
}

impl<'a, F: Fn(SlotId) -> StoredId<'a>> Serialize for SegmentOf<'_, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.slots.len()))?;
        for &slot in self.slots {
            sequence.serialize_element(&(self.stored)(slot))?;
        }
        sequence.end()
    }
}

/// A key of the changelog, read back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum EntryKey {
    Meta,
    Segment(u64),
    Windows { community_id: String, key: StateKey },
    Parked { community_id: String, kind: Kind, id: String },
    Item { community_id: String, kind: Kind, id: String },
    Alert { community_id: String, piece: AlertPiece },
    Alias(MemberKey),
}

/// Writes entries for one partition.
#[derive(Debug)]
pub(super) struct ChangelogWriter<'a> {
    pub(super) outputs: &'a mut Outputs,
    pub(super) output: usize,
    pub(super) partition: i32,
    /// In which version.
    pub(super) version: u8,
}

impl ChangelogWriter<'_> {
    pub(super) fn meta(&mut self, meta: &Meta<'_>) {
        let version = self.version;
        let writer = self.entry(format_args!("meta"));
        if version >= WITH_ALIASES {
            writer.value_with(|bytes| write(version, &(meta, meta.linked_since), bytes));
        } else {
            writer.value_with(|bytes| write(version, meta, bytes));
        }
    }

    pub(super) fn segment<'a>(
        &mut self,
        segment: u64,
        queues: &[&str],
        slots: &[SlotId],
        stored: impl Fn(SlotId) -> StoredId<'a>,
    ) {
        let version = self.version;
        let stored = |slot| {
            let id = stored(slot);
            let kinds =
                if version < WITH_ALIASES { ContentOf(id.content_kinds).kinds().bits() } else { id.content_kinds };
            StoredId { content_kinds: kinds, ..id }
        };
        self.entry(format_args!("ids|{segment}"))
            .value_with(|bytes| write(version, &(queues, SegmentOf { slots, stored }), bytes));
    }

    pub(super) fn remove_segment(&mut self, segment: u64) {
        self.entry(format_args!("ids|{segment}"));
    }

    /// `community` is the community id as a key part, percent-encoded.
    pub(super) fn windows(&mut self, community: &str, key: StateKey, value: Option<&StateValue>) {
        let version = self.version;
        let writer = match key {
            StateKey::Slice { level, start } => self.entry(format_args!("slice|{community}|{level}|{start}")),
            StateKey::Pane { window, end } => self.entry(format_args!("pane|{community}|{window}|{end}")),
            StateKey::Member(MemberKey(key)) => {
                self.entry(format_args!("member|{community}|{:032x}", u128::from_be_bytes(key)))
            }
        };
        if let Some(value) = value {
            writer.value_with(|bytes| write(version, value, bytes));
        }
    }

    /// `community` is the community id as a key part, percent-encoded.
    pub(super) fn alert(&mut self, community: &str, piece: AlertPiece, value: Option<&AlertValue>) {
        let version = self.version;
        let mut part = String::new();
        piece.write(&mut part);
        let writer = self.entry(format_args!("alert|{community}|{part}"));
        if let Some(value) = value {
            writer.value_with(|bytes| write(version, value, bytes));
        }
    }

    pub(super) fn alias(&mut self, MemberKey(key): MemberKey, alias: Option<&Alias>) {
        let version = self.version;
        let writer = self.entry(format_args!("member||{:032x}", u128::from_be_bytes(key)));
        if let Some(alias) = alias {
            writer.value_with(|bytes| write(version, alias, bytes));
        }
    }

    /// `key` is a key in the index.
    pub(super) fn parked(&mut self, key: &[u8], kept: Option<&Kept>) {
        self.of_identity("parked", key, kept);
    }

    /// `key` is a key in the index.
    pub(super) fn item(&mut self, key: &[u8], item: Option<&Item>) {
        self.of_identity("item", key, item);
    }

    /// `id` stands for an author in a community: what is parked under no community is an erasure.
    pub(super) fn erasure(&mut self, id: &str, kept: Option<&Kept>) {
        let version = self.version;
        let writer = self.entry(format_args!("parked||{}|{id}", Kind::Post.as_str()));
        if let Some(kept) = kept {
            writer.value_with(|bytes| write(version, kept, bytes));
        }
    }

    fn of_identity<T: Serialize>(&mut self, what: &str, key: &[u8], value: Option<&T>) {
        let Some((community_id, kind, id)) = split_key(key) else { return };
        let version = self.version;
        let mut key = String::with_capacity(what.len() + community_id.len() + id.len() + 16);
        key.push_str(what);
        key.push('|');
        encode_part(community_id, &mut key);
        key.push('|');
        key.push_str(kind.as_str());
        key.push('|');
        encode_part(id, &mut key);
        let writer = self.entry(format_args!("{key}"));
        if let Some(value) = value {
            writer.value_with(|bytes| write(version, value, bytes));
        }
    }

    fn entry(&mut self, key: fmt::Arguments<'_>) -> OutputWriter<'_> {
        let writer = self.outputs.push(self.output).partition(self.partition);
        // Writing into memory cannot fail.
        writer.key_with(|bytes| bytes.write_fmt(key).unwrap_or_default())
    }
}

/// Reads a key; `None` for one that this program never writes.
pub(super) fn read_key(key: &[u8]) -> Option<EntryKey> {
    let parts = decode_key(std::str::from_utf8(key).ok()?)?;
    match &parts[..] {
        [meta] if meta == "meta" => Some(EntryKey::Meta),
        [ids, segment] if ids == "ids" => Some(EntryKey::Segment(segment.parse().ok()?)),
        [slice, community_id, level, start] if slice == "slice" => {
            let key = StateKey::Slice { level: level.parse().ok()?, start: start.parse().ok()? };
            Some(EntryKey::Windows { community_id: community_id.clone(), key })
        }
        [member, community_id, key] if member == "member" => {
            let key = MemberKey(u128::from_str_radix(key, 16).ok()?.to_be_bytes());
            // Of no community, and yet a member of all: a link, in a form whose version a program that knows none reads first.
            if community_id.is_empty() {
                return Some(EntryKey::Alias(key));
            }
            Some(EntryKey::Windows { community_id: community_id.clone(), key: StateKey::Member(key) })
        }
        [what, community_id, kind, id] if what == "parked" || what == "item" => {
            let kind = Kind::ALL.into_iter().find(|known| known.as_str() == kind)?;
            let (community_id, id) = (community_id.clone(), id.clone());
            Some(if what == "item" {
                EntryKey::Item { community_id, kind, id }
            } else {
                EntryKey::Parked { community_id, kind, id }
            })
        }
        [alert, community_id, piece] if alert == "alert" => {
            Some(EntryKey::Alert { community_id: community_id.clone(), piece: AlertPiece::read(piece)? })
        }
        [pane, community_id, window, end] if pane == "pane" => {
            let key = StateKey::Pane { window: window.parse().ok()?, end: end.parse().ok()? };
            Some(EntryKey::Windows { community_id: community_id.clone(), key })
        }
        _ => None,
    }
}

/// Reads the entry `meta`, and its version.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn read_meta(value: &[u8]) -> Result<(u8, Meta<'_>), String> {
    let version = state_version::of(value)?;
    if version < WITH_ALIASES {
        return Ok((version, read_value(value)?));
    }
    let (meta, linked_since): (Meta<'_>, Option<EpochMs>) = read_value(value)?;
    Ok((version, Meta { linked_since, ..meta }))
}

/// Reads a value, whose version is looked at before (`state_version::of`): what is laid out alike in all of them is read alike.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn read_value<'a, T: Deserialize<'a>>(value: &'a [u8]) -> Result<T, String> {
    match value.split_first() {
        Some((_, data)) => postcard::from_bytes(data).map_err(|error| error.to_string()),
        None => Err("value of no bytes".to_owned()),
    }
}

fn write<T: Serialize>(version: u8, value: &T, bytes: &mut Vec<u8>) {
    bytes.push(version);
    // Serializing plain data into memory cannot fail: the only errors of postcard here are those of the writer.
    let written = postcard::to_io(value, bytes);
    debug_assert!(written.is_ok());
}
