//! What there is of a person on the raw topics, where authors stand by their ids.

use anyhow::{Context, Result};
use kafka_io::reader::{OwnedRecord, ReadError};
use pipeline::check_interaction;
use record::stage::SchemaLookup;
use record::{EpochMs, Interaction, Kind, header};
use wire::{DecodeError, RawDecoder};

use super::super::stored::each_record;
use super::super::times::now_ms;
use super::found::{Count, Found, Person};
use crate::config::Config;
use crate::registry::Registry;

/// What a record is to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Concern {
    /// They wrote it.
    Theirs,
    /// Somebody else wrote it, and it names them.
    NamesThem,
    /// It is nothing to them.
    Nothing,
}

impl Person {
    fn concern(&self, interaction: &Interaction<'_>) -> Concern {
        if interaction.author.as_ref().is_some_and(|author| author.id == self.id) {
            return Concern::Theirs;
        }
        let mut answered = [&interaction.post_author, &interaction.parent_author].into_iter().flatten();
        let is_named =
            answered.any(|author| author.id == self.id) || interaction.mentions.iter().any(|id| *id == self.id);
        if is_named { Concern::NamesThem } else { Concern::Nothing }
    }
}

/// Decodes raw records, asking the registry where there is one.
struct Decoding {
    decoder: RawDecoder,
    registry: Option<Registry>,
}

impl Decoding {
    fn new(config: &Config) -> Decoding {
        Decoding {
            decoder: RawDecoder::new(config.raw_format, config.framing(), config.raw_record_bytes_max),
            registry: config.registry.as_ref().map(Registry::new),
        }
    }

    /// What a value says; nothing if it cannot be read.
    fn decode<'a>(&mut self, kind: Kind, value: &'a [u8]) -> Result<Option<Interaction<'a>>> {
        loop {
            match self.decoder.decode(kind, value) {
                Ok(interaction) => return Ok(Some(interaction)),
                Err(DecodeError::NeedsSchema(id)) => {
                    let lookup = match &self.registry {
                        Some(registry) => registry.schema_by_id(id)?,
                        None => SchemaLookup::NotFound,
                    };
                    self.decoder.add_schema(id, &lookup);
                }
                Err(DecodeError::Reject(_)) => return Ok(None),
            }
        }
    }
}

impl Found {
    /// Reads both raw topics. A record that is of them may come again by a rebuild, also where nothing else is left of it.
    ///
    /// # Errors
    /// If one cannot be read, or there is more than can be held.
    pub(super) fn look_at_raw(&mut self, config: &Config, person: &Person) -> Result<()> {
        let mut decoding = Decoding::new(config);
        let refused_after = now_ms().saturating_add(config.future_ms_max);
        for (topic, kind) in [(&config.topics.posts_raw, Kind::Post), (&config.topics.comments_raw, Kind::Comment)] {
            let mut count = Count { unreadable: Some(0), ..Count::default() };
            let read = each_record(config, topic, |record| {
                let interaction = match &record.value {
                    Some(value) => decoding.decode(kind, value)?,
                    None => None,
                };
                self.take_note(person, &record, interaction.as_ref(), refused_after, &mut count)
            });
            read.map_err(|error| match error.downcast_ref() {
                Some(ReadError::Unauthorized(_)) => error.context("--no-raw leaves the raw topics out"),
                _ => error,
            })
            .with_context(|| format!("raw topic {topic} is not searched"))?;
            self.topics.insert(topic.clone(), count);
        }
        Ok(())
    }

    /// Takes note of a raw record, of which `interaction` is what can be read; none with an event time beyond `refused_after` is
    /// taken in by any stage.
    fn take_note(
        &mut self,
        person: &Person,
        record: &OwnedRecord,
        interaction: Option<&Interaction<'_>>,
        refused_after: EpochMs,
        count: &mut Count,
    ) -> Result<()> {
        let concern = match interaction {
            Some(interaction) => person.concern(interaction),
            // A retraction without a value names by its key what it takes back.
            None if record.value.is_none() => Concern::Nothing,
            None => {
                // A canary is a record of our own.
                let is_canary = record.headers.iter().any(|(name, _)| name == header::CANARY);
                count.unreadable = count.unreadable.map(|unreadable| unreadable + u64::from(!is_canary));
                return Ok(());
            }
        };
        match (concern, interaction) {
            (Concern::Theirs, Some(interaction)) => {
                count.add(record);
                // What is a dead letter however often it is read is in no community.
                if check_interaction(interaction, refused_after, 0).is_ok() {
                    self.see(&interaction.community_id, Some(interaction.created_at));
                    self.remember(interaction.identity().key().into_bytes())?;
                }
            }
            (Concern::NamesThem, _) => count.add(record),
            _ => {
                let named = match interaction {
                    Some(interaction) if interaction.author.is_some() => None,
                    Some(interaction) => Some(interaction.identity().key().into_bytes()),
                    None => record.key.clone(),
                };
                if named.is_some_and(|identity| self.is_theirs(&identity)) {
                    count.add(record);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: EpochMs = 1_795_482_000_000;

    /// Notes of a comment with these fields; its key, if another is not given, is what it names.
    fn notes(found: &mut Found, fields: &str) -> Count {
        let json = format!(
            r#"{{"id":"1","community_id":"warga kota","post_id":"9","created_at":1795480000000,"observed_at":1795480000000,{fields}}}"#
        );
        let config = Config::load(None, [("SINYAL__RAW__FORMAT".to_owned(), "json".to_owned())]).unwrap();
        note(found, Decoding::new(&config).decode(Kind::Comment, json.as_bytes()).unwrap(), Some(json.as_bytes()))
    }

    fn note(found: &mut Found, interaction: Option<Interaction<'_>>, value: Option<&[u8]>) -> Count {
        let person = Person { id: "u-77".to_owned(), keys: vec!["v1:00".to_owned()] };
        let record = OwnedRecord {
            partition: 0,
            offset: 0,
            timestamp: Some(NOW),
            key: Some(b"warga%20kota|comment|1".to_vec()),
            value: value.map(<[u8]>::to_vec),
            headers: Vec::new(),
        };
        let mut count = Count { unreadable: Some(0), ..Count::default() };
        found.take_note(&person, &record, interaction.as_ref(), NOW, &mut count).unwrap();
        count
    }

    fn communities(found: &Found) -> Vec<&str> {
        found.to_erase().collect()
    }

    #[test]
    fn what_they_wrote_is_counted_and_to_be_kept_out() {
        let mut found = Found::default();
        let count = notes(&mut found, r#""author":{"id":"u-77"}"#);
        assert_eq!((count.records, count.latest, count.unreadable), (1, Some(NOW), Some(0)));
        assert_eq!(communities(&found), ["warga kota"]);
        assert_eq!(found.communities["warga kota"].latest, Some(1_795_480_000_000));
        assert!(found.is_theirs(b"warga%20kota|comment|1"));
        found.erased.insert("warga kota".to_owned(), NOW);
        assert_eq!(communities(&found), [""; 0], "it is kept out already");
    }

    #[test]
    fn what_names_them_is_counted_and_stays() {
        for fields in [r#""post_author":{"id":"u-77"}"#, r#""parent_author":{"id":"u-77"}"#, r#""mentions":["u-77"]"#] {
            let mut found = Found::default();
            let count = notes(&mut found, &format!(r#""author":{{"id":"u-7"}},{fields}"#));
            assert_eq!((count.records, found.communities.len()), (1, 0), "{fields}");
        }
        let mut found = Found::default();
        assert_eq!(notes(&mut found, r#""author":{"id":"u-7"},"post_author":{"id":"u-770"}"#).records, 0);
    }

    #[test]
    fn what_takes_theirs_back_is_counted() {
        let mut found = Found::default();
        assert_eq!(notes(&mut found, r#""deleted":true"#).records, 0, "of whomever it is");
        assert_eq!(note(&mut found, None, None).records, 0);
        notes(&mut found, r#""author":{"id":"u-77"}"#);
        assert_eq!(notes(&mut found, r#""deleted":true"#).records, 1);
        let count = note(&mut found, None, None);
        assert_eq!((count.records, count.unreadable), (1, Some(0)), "without a value too");
    }

    #[test]
    fn what_cannot_be_read_is_counted_apart() {
        let mut found = Found::default();
        let count = notes(&mut found, r#""author":7"#);
        assert_eq!((count.records, count.unreadable), (0, Some(1)));
    }

    #[test]
    fn what_no_stage_takes_in_is_counted_and_needs_no_action() {
        for fields in [r#""edited_at":1895482000000"#, r#""parent_id":"""#] {
            let mut found = Found::default();
            let count = notes(&mut found, &format!(r#""author":{{"id":"u-77"}},{fields}"#));
            assert_eq!((count.records, found.to_erase().count()), (1, 0), "{fields}");
        }
    }
}
