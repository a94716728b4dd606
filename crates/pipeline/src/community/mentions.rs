//! What an entry of the changelog says of a person, for who looks what there is of them and whether it is gone.

use record::Identity;
use window::StateKey;

use super::changelog::{EntryKey, Segment, read_key, read_value};
use super::identity::split_key;
use super::partition::member_of;
use crate::dead_letters::hex;

/// What an entry says of an author.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mentioned {
    /// The communities that they were seen in.
    pub communities: Vec<String>,
    /// The keys of what they wrote there, as on the topics.
    pub identities: Vec<String>,
}

/// What an entry of the changelog says of an author, as it is stored; `None` where it says nothing. `author_key` is as it stands in
/// classified records. Nothing is taken for granted of how an entry is written: it says something if it holds the author's bytes.
pub fn mentions(author_key: &str, key: &[u8], value: &[u8]) -> Option<Mentioned> {
    let member = member_of(author_key);
    let named = hex(&member.0);
    let holds = |whole: &[u8], part: &[u8]| whole.windows(part.len()).any(|window| window == part);
    if !holds(key, named.as_bytes()) && !holds(value, &member.0) && !holds(value, named.as_bytes()) {
        return None;
    }
    let mut mentioned = Mentioned::default();
    match read_key(key) {
        Some(EntryKey::Windows { community_id, key: StateKey::Member(_) }) => mentioned.communities.push(community_id),
        Some(EntryKey::Segment(_)) => {
            let segment = read_value::<Segment<'_>>(value);
            let ids = segment.as_ref().map(|segment| segment.ids.as_slice()).unwrap_or_default();
            for id in ids.iter().filter(|id| id.author() == Some(member)) {
                let Some((community_id, kind, id)) = split_key(id.key) else { continue };
                mentioned.identities.push(Identity { community_id: community_id.into(), kind, id: id.into() }.key());
                mentioned.communities.push(community_id.to_owned());
            }
        }
        _ => {}
    }
    Some(mentioned)
}
