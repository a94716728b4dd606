//! What the registry's topic says: of each community the newest record that is right.

use std::collections::{BTreeMap, HashMap, HashSet};

use rules::{Communities, CommunitySpec, Mistake, spec_limits};

use super::entry::{DEFAULT_KEY, key_of};
use super::file::BYTES_MAX;

/// Most communities that are remembered as wrong.
const WRONG_MAX: usize = 1_000;
/// Longest part of a key that is shown, in characters.
const KEY_SHOWN_MAX: usize = 100;

/// A record of the topic, not checked yet.
#[derive(Debug)]
pub(super) struct Said {
    /// Nothing where the record has no key.
    pub(super) key: Option<Vec<u8>>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// How long its value is.
    pub(super) bytes: usize,
    pub(super) meaning: Meaning,
}

/// What a record's value is.
#[derive(Debug)]
pub(super) enum Meaning {
    /// Null: the community is no longer listed.
    Removed,
    /// A community as it is typed.
    Community(Box<CommunitySpec>),
    /// Nothing that could be read; why, without content.
    Unreadable(String),
}

/// A record that is not taken in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key {key:?}, {partition}:{offset}: {}", .mistakes.join("; "))]
pub(crate) struct Refused {
    /// Its key, cut if it is long.
    pub(crate) key: String,
    /// Its partition.
    pub(crate) partition: i32,
    /// Its offset.
    pub(crate) offset: i64,
    /// Everything that is wrong with it. No account is shown.
    pub(crate) mistakes: Vec<String>,
}

/// The registry as its topic says it.
#[derive(Debug, Default)]
pub(super) struct Held {
    default: CommunitySpec,
    default_bytes: usize,
    /// One after the other, as they are checked together.
    specs: Vec<CommunitySpec>,
    /// How long each one's record is.
    sizes: Vec<usize>,
    /// Where each is, by its id.
    places: HashMap<String, usize>,
    bytes: usize,
    /// The newest records of those that were refused, by their keys.
    wrong: BTreeMap<Vec<u8>, Refused>,
}

impl Held {
    /// The registry that it comes to.
    ///
    /// # Errors
    /// Every mistake. Each record by itself was right, so there should be none.
    pub(super) fn registry(&self) -> Result<Communities, Vec<Mistake>> {
        Communities::new(&self.default, &self.specs)
    }

    /// Those whose newest record was refused, at most a thousand.
    pub(super) fn wrong(&self) -> impl Iterator<Item = &Refused> {
        self.wrong.values()
    }

    /// Takes records in, in their order; gives those that are refused, in whose place what was there stays. True if anything
    /// else is known than before.
    pub(super) fn take(&mut self, said: Vec<Said>) -> (bool, Vec<Refused>) {
        let (mut changed, mut refused) = (false, Vec::new());
        // What is checked together must not hold a community twice.
        let mut together = Vec::new();
        let mut keys = HashSet::new();
        for said in said {
            if !keys.insert(said.key.clone()) {
                changed |= self.take_distinct(std::mem::take(&mut together), &mut refused);
                keys = HashSet::from([said.key.clone()]);
            }
            together.push(said);
        }
        changed |= self.take_distinct(together, &mut refused);
        (changed, refused)
    }

    /// Takes in records of as many communities.
    fn take_distinct(&mut self, said: Vec<Said>, refused: &mut Vec<Refused>) -> bool {
        let mut changed = false;
        let (mut places, mut specs) = (Vec::new(), Vec::new());
        for mut said in said {
            let meaning = std::mem::replace(&mut said.meaning, Meaning::Removed);
            let mistakes = match (meaning, said.key.as_deref()) {
                (_, None) => vec!["it has no key; the community's id, percent-encoded, is right".to_owned()],
                (Meaning::Unreadable(why), _) => vec![why],
                (Meaning::Removed, Some(key)) => {
                    self.wrong.remove(key);
                    changed |= self.remove(key);
                    continue;
                }
                (Meaning::Community(spec), Some(key)) => {
                    let right = key_of(&spec.id);
                    if right.as_bytes() == key {
                        places.push(said);
                        specs.push(*spec);
                        continue;
                    }
                    vec![format!(
                        "its id is that of key {:?}; a key and an id that fit are right",
                        shown(right.as_bytes())
                    )]
                }
            };
            self.refuse(&said, mistakes, refused);
        }
        // One is seldom wrong: together they cost a fraction.
        let all_right = Communities::new(&CommunitySpec::default(), &specs).is_ok();
        for (said, spec) in places.into_iter().zip(specs) {
            let mut mistakes = if all_right { Vec::new() } else { mistakes_of(&spec) };
            mistakes.extend(self.beyond_limits(&spec.id, said.bytes));
            if mistakes.is_empty() {
                self.wrong.remove(said.key.as_deref().unwrap_or_default());
                changed |= self.put(spec, said.bytes);
            } else {
                self.refuse(&said, mistakes, refused);
            }
        }
        changed
    }

    fn refuse(&mut self, said: &Said, mistakes: Vec<String>, refused: &mut Vec<Refused>) {
        let Said { partition, offset, .. } = *said;
        let key = said.key.as_deref().unwrap_or_default();
        let one = Refused { key: shown(key), partition, offset, mistakes };
        // Without a key nothing could ever take its place.
        if said.key.is_some() && (self.wrong.len() < WRONG_MAX || self.wrong.contains_key(key)) {
            self.wrong.insert(key.to_owned(), one.clone());
        }
        refused.push(one);
    }

    /// What stands against one more community, or a larger one.
    fn beyond_limits(&self, id: &str, bytes: usize) -> Option<String> {
        let before =
            if id.is_empty() { Some(self.default_bytes) } else { self.places.get(id).map(|&at| self.sizes[at]) };
        let most = usize::try_from(BYTES_MAX).unwrap_or(usize::MAX);
        let with = self.bytes - before.unwrap_or(0) + bytes;
        if before.is_none() && self.specs.len() >= spec_limits::COMMUNITIES {
            let most = spec_limits::COMMUNITIES;
            return Some(format!("the registry lists {most} communities without it; at most {most} are right"));
        }
        (with > most).then(|| format!("with it the registry has {with} bytes; at most {most} are right"))
    }

    fn put(&mut self, spec: CommunitySpec, bytes: usize) -> bool {
        let (of, size) = if spec.id.is_empty() {
            (&mut self.default, &mut self.default_bytes)
        } else {
            let at = *self.places.entry(spec.id.clone()).or_insert(self.specs.len());
            if at == self.specs.len() {
                self.specs.push(CommunitySpec::default());
                self.sizes.push(0);
            }
            (&mut self.specs[at], &mut self.sizes[at])
        };
        self.bytes = self.bytes - *size + bytes;
        *size = bytes;
        let changed = *of != spec;
        *of = spec;
        changed
    }

    fn remove(&mut self, key: &[u8]) -> bool {
        if key == DEFAULT_KEY.as_bytes() {
            return self.put(CommunitySpec::default(), 0);
        }
        let parts = record::decode_key(&String::from_utf8_lossy(key)).unwrap_or_default();
        let [id] = parts.as_slice() else { return false };
        let Some(at) = self.places.remove(id) else { return false };
        self.specs.swap_remove(at);
        self.bytes -= self.sizes.swap_remove(at);
        if let Some(moved) = self.specs.get(at) {
            self.places.insert(moved.id.clone(), at);
        }
        true
    }
}

/// Everything that is wrong with one community, each mistake with its place in the record.
fn mistakes_of(spec: &CommunitySpec) -> Vec<String> {
    let (place, checked) = if spec.id.is_empty() {
        ("default.", Communities::new(spec, &[]))
    } else {
        ("communities[0].", Communities::new(&CommunitySpec::default(), std::slice::from_ref(spec)))
    };
    let mistakes = checked.err().unwrap_or_default();
    mistakes.iter().map(|mistake| mistake.to_string().replacen(place, "", 1)).collect()
}

/// A key as it is shown: not all of a long one.
fn shown(key: &[u8]) -> String {
    let text = String::from_utf8_lossy(key);
    match text.char_indices().nth(KEY_SHOWN_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(id: &str) -> CommunitySpec {
        CommunitySpec { id: id.to_owned(), ..CommunitySpec::default() }
    }

    fn said(offset: i64, spec: CommunitySpec) -> Said {
        let key = Some(key_of(&spec.id).into_bytes());
        Said { key, partition: 0, offset, bytes: 100, meaning: Meaning::Community(Box::new(spec)) }
    }

    fn removed(offset: i64, key: &str) -> Said {
        Said { key: Some(key.as_bytes().to_vec()), partition: 0, offset, bytes: 0, meaning: Meaning::Removed }
    }

    fn zone(id: &str, zone: &str) -> CommunitySpec {
        CommunitySpec { time_zone: Some(zone.to_owned()), ..spec(id) }
    }

    fn zones(held: &Held) -> Vec<(String, String)> {
        let registry = held.registry().unwrap();
        registry.iter().map(|community| (community.id.clone(), community.time_zone.clone())).collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(id, zone)| (id.to_owned(), zone.to_owned())).collect()
    }

    #[test]
    fn the_newest_record_of_each_counts_and_null_removes() {
        let mut held = Held::default();
        let (changed, refused) = held.take(vec![
            said(0, spec("a b")),
            said(1, zone("c", "Asia/Makassar")),
            said(2, zone("a b", "Asia/Jayapura")),
            said(3, zone("", "Asia/Pontianak")),
            said(4, spec("d")),
        ]);
        assert!(changed && refused.is_empty(), "{refused:?}");
        assert_eq!(
            zones(&held),
            pairs(&[("a b", "Asia/Jayapura"), ("c", "Asia/Makassar"), ("d", "Asia/Pontianak")]),
            "the default holds for d"
        );
        assert_eq!(held.bytes, 400);
        let (changed, _) = held.take(vec![said(5, zone("c", "Asia/Makassar")), removed(6, "never")]);
        assert!(!changed, "it says the same again");
        let (changed, _) = held.take(vec![removed(7, "a%20b"), removed(8, "*")]);
        assert!(changed);
        assert_eq!(zones(&held), pairs(&[("c", "Asia/Makassar"), ("d", "Asia/Jakarta")]));
        assert_eq!(held.bytes, 200);
        held.take(vec![said(9, zone("d", "Asia/Makassar"))]);
        assert_eq!(zones(&held), pairs(&[("c", "Asia/Makassar"), ("d", "Asia/Makassar")]), "the one that was moved");
    }

    #[test]
    fn what_is_wrong_is_refused_with_every_mistake_and_the_former_stays() {
        let mut held = Held::default();
        held.take(vec![said(0, zone("a", "Asia/Makassar")), said(1, zone("", "Asia/Jayapura"))]);
        let broken = CommunitySpec {
            language: Some("fr".to_owned()),
            brand_accounts: Some(vec!["178".to_owned(), "@".to_owned()]),
            links: Some([(String::new(), "ftp://x".to_owned())].into()),
            ..zone("a", "Mars")
        };
        let (changed, refused) = held.take(vec![said(2, broken), said(3, zone("", "Mars")), said(4, spec("b"))]);
        assert!(changed, "b is right, whatever the others are");
        let told: Vec<String> = refused.iter().map(ToString::to_string).collect();
        assert_eq!(refused.len(), 2, "{told:?}");
        assert_eq!((refused[0].key.as_str(), refused[0].offset, refused[0].mistakes.len()), ("a", 2, 5), "{told:?}");
        assert!(told[0].starts_with("key \"a\", 0:2: time_zone is \"Mars\"; an IANA time zone"), "{told:?}");
        assert!(told[0].contains("; brand_accounts[1] is 0 bytes long") && !told[0].contains("178"), "{told:?}");
        assert!(told[1].starts_with("key \"*\", 0:3: time_zone is \"Mars\""), "{told:?}");
        assert_eq!(zones(&held), pairs(&[("a", "Asia/Makassar"), ("b", "Asia/Jayapura")]));
        assert_eq!(held.wrong().count(), 2);
        held.take(vec![said(5, spec("a")), removed(6, "*")]);
        assert_eq!(held.wrong().count(), 0);
    }

    #[test]
    fn keys_and_values_must_fit() {
        let mut held = Held::default();
        let mut other = said(0, spec("a"));
        other.key = Some(b"b".to_vec());
        let mut none = said(1, spec("a"));
        none.key = None;
        let mut unread = said(2, spec("a"));
        unread.meaning = Meaning::Unreadable("no Avro".to_owned());
        let long = said(3, spec(&"x".repeat(300)));
        let (changed, refused) = held.take(vec![other, none, unread, long]);
        assert!(!changed && held.registry().unwrap().is_empty());
        assert_eq!(held.wrong().count(), 3, "what has no key is told once");
        let why: Vec<&str> = refused.iter().map(|refused| refused.mistakes[0].as_str()).collect();
        assert_eq!(
            why[..2],
            [
                "its id is that of key \"a\"; a key and an id that fit are right",
                "it has no key; the community's id, percent-encoded, is right",
            ]
        );
        assert_eq!(why[2], "no Avro");
        assert!(why[3].starts_with("id is \"xxx") && refused[3].key.chars().count() == KEY_SHOWN_MAX + 1, "{}", why[3]);
    }

    #[test]
    fn the_limits_are_those_of_a_file() {
        let mut held = Held::default();
        let many = (0..spec_limits::COMMUNITIES as i64).map(|at| said(at, spec(&at.to_string())));
        assert_eq!(held.take(many.collect()).1, []);
        let (changed, refused) =
            held.take(vec![said(100_000, spec("more")), said(100_001, zone("7", "Asia/Makassar"))]);
        assert!(changed && refused.len() == 1, "one that is there already may change");
        assert!(refused[0].mistakes[0].starts_with("the registry lists 100000 communities without it"), "{refused:?}");
        let mut held = Held::default();
        let mut large = said(0, spec("a"));
        large.bytes = 60 * 1024 * 1024;
        let mut second = said(1, spec("b"));
        second.bytes = 5 * 1024 * 1024;
        let mut again = said(2, zone("a", "Asia/Makassar"));
        again.bytes = 64 * 1024 * 1024;
        let (_, refused) = held.take(vec![large, second, again]);
        assert_eq!(refused.len(), 1);
        assert!(refused[0].mistakes[0].starts_with("with it the registry has 68157440 bytes"), "{refused:?}");
        assert_eq!(zones(&held), pairs(&[("a", "Asia/Makassar")]));
    }
}
