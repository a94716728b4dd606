//! A set of content kinds.

use std::fmt;

use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeSeq, Serializer};

use crate::ContentKind;

/// The content kinds of one interaction, each once. On the wire an array of their names; in memory one byte, so that a
/// record on the hot path needs no list.
///
/// ```
/// use record::{ContentKind, ContentKinds};
/// let kinds: ContentKinds = [ContentKind::Photo, ContentKind::Text, ContentKind::Photo].into_iter().collect();
/// assert!(kinds.contains(ContentKind::Photo) && !kinds.contains(ContentKind::Video));
/// assert_eq!(kinds.iter().collect::<Vec<_>>(), [ContentKind::Text, ContentKind::Photo]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ContentKinds(u8);

impl ContentKinds {
    /// The set of these bits, in the order of [`ContentKind::ALL`]; further bits mean nothing.
    pub const fn from_bits(bits: u8) -> ContentKinds {
        ContentKinds(bits & ((1 << ContentKind::ALL.len()) - 1))
    }

    /// A bit per kind, in the order of [`ContentKind::ALL`].
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Adds a kind.
    pub fn insert(&mut self, kind: ContentKind) {
        self.0 |= 1 << kind as u8;
    }

    /// Whether it is in the set.
    pub const fn contains(self, kind: ContentKind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    /// The kinds, in the order of [`ContentKind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = ContentKind> {
        ContentKind::ALL.into_iter().filter(move |&kind| self.contains(kind))
    }
}

impl FromIterator<ContentKind> for ContentKinds {
    fn from_iter<I: IntoIterator<Item = ContentKind>>(kinds: I) -> ContentKinds {
        let mut set = ContentKinds::default();
        kinds.into_iter().for_each(|kind| set.insert(kind));
        set
    }
}

impl Serialize for ContentKinds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(Some(self.0.count_ones() as usize))?;
        for kind in self.iter() {
            sequence.serialize_element(&kind)?;
        }
        sequence.end()
    }
}

impl<'de> Deserialize<'de> for ContentKinds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ContentKinds, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = ContentKinds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of content kinds")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<ContentKinds, A::Error> {
                let mut set = ContentKinds::default();
                while let Some(kind) = sequence.next_element()? {
                    set.insert(kind);
                }
                Ok(set)
            }
        }

        deserializer.deserialize_seq(Names)
    }
}
