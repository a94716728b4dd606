//! What there is of a person: on each topic, read from its first record to the end that was there when it began.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use kafka_io::reader::OwnedRecord;
use pipeline::mentions;
use record::{ClassifiedRecord, EpochMs, Identity};
use wire::{OfAction, OfAlert, OfClassified, OfCorrection};

use super::super::stored::{Decoding, each_record, newest};
use crate::cli::OutsideError;
use crate::config::Config;

/// Most interactions of one person that are held.
const IDENTITIES_MAX: usize = 1_000_000;
/// Most alerts that are held.
const ALERTS_MAX: usize = 1_000_000;

/// Whom it is about: the author's id, and their keys by each secret in use.
pub(super) struct Person {
    /// Only to be compared with; it is neither shown nor written anywhere.
    pub(super) id: String,
    pub(super) keys: Vec<String>,
}

impl std::fmt::Debug for Person {
    /// Shows neither id nor key: they are personal data.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Person")
    }
}

impl Person {
    fn is(&self, key: Option<&str>) -> bool {
        key.is_some_and(|key| self.keys.iter().any(|known| known == key))
    }
}

/// What is known of a person in a community.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// When they wrote last, by the raw topics and the classified one.
    pub(super) latest: Option<EpochMs>,
    /// Something of theirs is in the state.
    pub(super) kept: bool,
}

/// How many records of a topic, and when the last of them was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) records: u64,
    /// Kafka's time.
    pub(super) latest: Option<EpochMs>,
    /// Raw records that cannot be read, of whomever they are.
    pub(super) unreadable: Option<u64>,
}

impl Count {
    fn of(records: u64) -> Count {
        Count { records, ..Count::default() }
    }

    pub(super) fn add(&mut self, record: &OwnedRecord) {
        self.records += 1;
        self.latest = self.latest.max(record.timestamp);
    }
}

/// What there is of a person.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) communities: BTreeMap<String, Seen>,
    /// Up to when each community has forgotten them already.
    pub(super) erased: BTreeMap<String, EpochMs>,
    /// The keys of what they wrote.
    identities: HashSet<Vec<u8>>,
    /// The raw topics were searched too.
    pub(super) with_raw: bool,
    /// Records by topic; of compacted topics only what a reader of them finds in the end.
    pub(super) topics: BTreeMap<String, Count>,
    /// Alerts that are over and name something of theirs, with their communities.
    pub(super) alerts_over: BTreeMap<String, String>,
}

/// What is left of it on the compacted topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left(pub(super) BTreeMap<String, u64>);

impl Found {
    /// Looks at every topic that may hold something.
    ///
    /// # Errors
    /// If one cannot be read, or there is more than can be held.
    pub(super) fn look(config: &Config, person: &Person, with_raw: bool) -> Result<Found> {
        let mut found = Found { with_raw, ..Found::default() };
        // What they wrote is to be known before it is looked for elsewhere.
        if with_raw {
            found.look_at_raw(config, person)?;
        }
        found.look_at_classified(config, person)?;
        let entries = found.changelog(config, person)?;
        found.topics.insert(config.topics.changelog.clone(), Count::of(entries));
        let rows = found.rows(config)?;
        found.topics.insert(config.topics.queue_state.clone(), Count::of(rows));
        let (alerts, over) = found.alerts(config)?;
        found.topics.insert(config.topics.alerts.clone(), Count::of(alerts));
        found.alerts_over = over;
        for queue in config.routing.queues() {
            found.count_keys(config, &config.queue_topic(&queue.spec.name))?;
        }
        found.look_at_words(config, person)?;
        Ok(found)
    }

    /// What is left on the compacted topics of what was found.
    ///
    /// # Errors
    /// If one cannot be read.
    pub(super) fn left(&self, config: &Config, person: &Person) -> Result<Left> {
        let mut again = Found { identities: self.identities.clone(), ..Found::default() };
        let entries = again.changelog(config, person)?;
        let topics = &config.topics;
        Ok(Left(BTreeMap::from([
            (topics.changelog.clone(), entries),
            (topics.queue_state.clone(), again.rows(config)?),
            (topics.alerts.clone(), again.alerts(config)?.0),
        ])))
    }

    /// Something of them was seen in a community; `written` at this time by a record of theirs, else it is in the state.
    pub(super) fn see(&mut self, community: &str, written: Option<EpochMs>) {
        let seen = self.communities.entry(community.to_owned()).or_default();
        seen.latest = seen.latest.max(written);
        seen.kept |= written.is_none();
    }

    /// The communities that are to forget them: those that keep something, or would take in again what they wrote.
    pub(super) fn to_erase(&self) -> impl Iterator<Item = &str> {
        self.communities.iter().filter_map(|(community, seen)| {
            let erased = self.erased.get(community);
            let may_come = seen.latest.is_some_and(|latest| erased.is_none_or(|erased| latest >= *erased));
            (seen.kept || may_come).then_some(community.as_str())
        })
    }

    /// Something that they wrote is to be looked for.
    pub(super) fn remember(&mut self, identity: Vec<u8>) -> Result<()> {
        if self.identities.len() >= IDENTITIES_MAX && !self.identities.contains(&identity) {
            return Err(OutsideError(format!(
                "the author wrote more than {IDENTITIES_MAX} interactions that are known"
            ))
            .into());
        }
        self.identities.insert(identity);
        Ok(())
    }

    /// Whether a key is of something that they wrote.
    pub(super) fn is_theirs(&self, identity: &[u8]) -> bool {
        self.identities.contains(identity)
    }

    fn look_at_classified(&mut self, config: &Config, person: &Person) -> Result<()> {
        let topics = &config.topics;
        let mut decoding = Decoding::<OfClassified>::new(config);
        each_record(config, &topics.classified, |record| {
            let Some(value) = &record.value else { return Ok(()) };
            let Some(ClassifiedRecord::ClassifiedInteraction(interaction)) = decoding.decode(value)? else {
                return Ok(());
            };
            if person.is(interaction.author_key.as_deref()) || person.is(interaction.previous_author_key.as_deref()) {
                self.see(&interaction.community_id, Some(interaction.created_at));
                self.remember(interaction.identity().key().into_bytes())?;
            } else if !person.is(interaction.post_author_key.as_deref())
                && !person.is(interaction.parent_author_key.as_deref())
            {
                return Ok(());
            }
            // Also what others wrote to them, which names them by their key.
            self.topics.entry(topics.classified.clone()).or_default().add(&record);
            Ok(())
        })?;
        decoding.tell(&topics.classified);
        Ok(())
    }

    /// Entries of the changelog that say anything of them, or of what they wrote.
    fn changelog(&mut self, config: &Config, person: &Person) -> Result<u64> {
        let topic = &config.topics.changelog;
        // Each partition has keys of its own.
        let mut entries: HashMap<(i32, Vec<u8>), Vec<pipeline::Mentioned>> = HashMap::new();
        each_record(config, topic, |record| {
            let Some(key) = record.key else { return Ok(()) };
            let value = record.value.as_deref().unwrap_or_default();
            let found: Vec<_> = person.keys.iter().filter_map(|author| mentions(author, &key, value)).collect();
            let place = (record.partition, key);
            if record.value.is_none() || found.is_empty() {
                entries.remove(&place);
            } else {
                entries.insert(place, found);
            }
            Ok(())
        })?;
        for mentioned in entries.values().flatten() {
            mentioned.communities.iter().for_each(|community| self.see(community, None));
            for identity in &mentioned.identities {
                self.remember(identity.clone().into_bytes())?;
            }
        }
        let mut of_what_they_wrote: HashSet<(i32, Vec<u8>)> = HashSet::new();
        each_record(config, topic, |record| {
            let Some(key) = record.key else { return Ok(()) };
            let identity = [&b"item|"[..], b"parked|"].iter().find_map(|kind| key.strip_prefix(*kind));
            if identity.is_some_and(|identity| self.identities.contains(identity)) {
                let place = (record.partition, key);
                match record.value {
                    Some(_) => of_what_they_wrote.insert(place),
                    None => of_what_they_wrote.remove(&place),
                };
            }
            Ok(())
        })?;
        Ok((entries.len() + of_what_they_wrote.len()) as u64)
    }

    /// Rows of the queues' state.
    fn rows(&self, config: &Config) -> Result<u64> {
        let mut rows: HashSet<Vec<u8>> = HashSet::new();
        each_record(config, &config.topics.queue_state, |record| {
            if let Some(key) = record.key.filter(|key| self.identities.contains(key)) {
                match record.value {
                    Some(_) => rows.insert(key),
                    None => rows.remove(&key),
                };
            }
            Ok(())
        })?;
        Ok(rows.len() as u64)
    }

    /// How many alerts name something that they wrote, and those of them that are over.
    fn alerts(&self, config: &Config) -> Result<(u64, BTreeMap<String, String>)> {
        let found = newest::<OfAlert, _>(config, &config.topics.alerts, ALERTS_MAX, |_, _, alert| {
            let named = alert.samples.iter().any(|sample| self.identities.contains(sample.as_bytes()));
            named.then(|| (alert.id.into_owned(), alert.community_id.into_owned(), alert.state == "resolved"))
        })?;
        if found.is_full {
            return Err(OutsideError(format!("more than {ALERTS_MAX} alerts name what the author wrote")).into());
        }
        let count = found.rows.len() as u64;
        let over = found.rows.into_values().filter(|(.., over)| *over).map(|(id, community, _)| (id, community));
        Ok((count, over.collect()))
    }

    fn count_keys(&mut self, config: &Config, topic: &str) -> Result<()> {
        let mut count = Count::default();
        each_record(config, topic, |record| {
            if record.key.as_ref().is_some_and(|key| self.identities.contains(key)) {
                count.add(&record);
            }
            Ok(())
        })?;
        self.topics.insert(topic.to_owned(), count);
        Ok(())
    }

    /// What responders said and did, by the interactions that it was about; and what was erased before.
    fn look_at_words(&mut self, config: &Config, person: &Person) -> Result<()> {
        let topics = &config.topics;
        let mut count = Count::default();
        let mut decoding = Decoding::<OfCorrection>::new(config);
        each_record(config, &topics.corrections, |record| {
            let Some(value) = &record.value else { return Ok(()) };
            if let Some(correction) = decoding.decode(value)? {
                let key = Identity {
                    community_id: correction.community_id.clone(),
                    kind: correction.kind,
                    id: correction.id.clone(),
                };
                if self.identities.contains(key.key().as_bytes()) {
                    count.add(&record);
                }
            }
            Ok(())
        })?;
        decoding.tell(&topics.corrections);
        self.topics.insert(topics.corrections.clone(), count);
        let mut count = Count::default();
        let mut decoding = Decoding::<OfAction>::new(config);
        // By community and key: where a person has several keys, all of them must have been erased.
        let mut erased: BTreeMap<String, BTreeMap<String, EpochMs>> = BTreeMap::new();
        each_record(config, &topics.actions, |record| {
            let Some(value) = &record.value else { return Ok(()) };
            let Some(action) = decoding.decode(value)? else { return Ok(()) };
            if self.identities.contains(action.target.as_bytes()) {
                count.add(&record);
            } else if action.kind == "erase"
                && let Some([community, key]) = record::decode_key(&action.target).as_deref()
                && person.is(Some(key))
            {
                count.add(&record);
                let at = erased.entry(community.clone()).or_default().entry(key.clone()).or_insert(action.at);
                *at = action.at.max(*at);
            }
            Ok(())
        })?;
        decoding.tell(&topics.actions);
        self.topics.insert(topics.actions.clone(), count);
        let whole = erased.into_iter().filter(|(_, by_key)| by_key.len() == person.keys.len());
        self.erased = whole.filter_map(|(community, by_key)| Some((community, *by_key.values().min()?))).collect();
        Ok(())
    }
}
