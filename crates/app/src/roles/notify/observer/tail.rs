//! The ends of the classified and of the metrics topic: one partition of each tells enough. Every partition of the classified topic
//! has the progress markers of all replicas; of records a sample is looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kafka_io::Connection;
use kafka_io::offsets::Offsets;
use kafka_io::reader::{OwnedRecord, Reader, Start};
use record::{ClassifiedInteraction, ClassifiedRecord, EpochMs, Position, Tier};
use rules::blindness::{At, Counts, Said};
use wire::{ClassifiedDecoder, Decodable, DecodeError, Decoder, MetricsDecoder};

use super::look::{ASK_TIMEOUT, LookError};
use crate::config::Config;
use crate::registry::Registry;

/// Which partition is read.
const PARTITION: i32 = 0;
/// Most records that are read at one look; what is older is passed over.
const RECORDS_MAX: Position = 20_000;
/// How many interactions are looked at of those, about.
const SAMPLE: Position = 500;
/// Least that is looked at of what was there at first: the last words of a service that has stopped are among them.
const RECORDS_MIN: Position = 200;
/// Rows at one look.
const ROWS_MAX: usize = 1_000;
/// So often in a row nothing comes before it is believed that there is nothing more: the end of a log is a marker of a transaction.
const PATIENCE: u32 = 3;
const TURN: Duration = Duration::from_millis(100);
/// Most canaries of a raw partition that are remembered until it is seen that they were consumed.
const CANARIES_MAX: usize = 4_096;
/// Raw partitions beyond this number are none of ours, whoever speaks of them.
const PARTITIONS_MAX: i32 = 10_000;

/// Where to begin to read a partition that ends at `end`, so that what came since then is seen.
fn begin(offsets: &Offsets, topic: &Arc<str>, end: Position, since: EpochMs) -> Result<Position, LookError> {
    let partition = (Arc::clone(topic), PARTITION);
    let at = |time| -> Result<Position, LookError> {
        Ok(offsets.at_times([(&partition, time)])?.into_values().flatten().next().unwrap_or(end))
    };
    let first = at(0)?;
    Ok(at(since)?.min(end - RECORDS_MIN).max(end - RECORDS_MAX).max(first))
}

/// Decodes by the registry's schemas, as far as it answers.
pub(super) struct Decoding<T> {
    decoder: Decoder<T>,
    registry: Option<Registry>,
}

impl<T: Decodable> Decoding<T> {
    pub(super) fn new(config: &Config, decoder: Decoder<T>) -> Decoding<T> {
        Decoding { decoder, registry: config.registry.as_ref().map(Registry::new) }
    }

    /// `None` where it cannot be decoded: the stages tell of that.
    pub(super) fn decode<'a>(&mut self, value: &'a [u8]) -> Option<T::Of<'a>> {
        if let Err(DecodeError::NeedsSchema(id)) = self.decoder.decode(value) {
            match self.registry.as_ref()?.schema_by_id(id) {
                Ok(lookup) => self.decoder.add_schema(id, &lookup),
                Err(error) => {
                    tracing::debug!(%error, "a record is not looked at");
                    return None;
                }
            }
        }
        self.decoder.decode(value).ok()
    }
}

/// The end of the classified topic.
pub(super) struct Interactions {
    reader: Reader,
    decoding: Decoding<wire::OfClassified>,
    raw: [Arc<str>; 2],
    said: BTreeMap<At, Said>,
    /// Offsets of canaries that were classified, of which nobody took note yet.
    canaries: BTreeMap<At, BTreeSet<Position>>,
    /// Below this confidence the deep tier is to be asked; `None` where there is none.
    ask_below: Option<f32>,
}

impl Interactions {
    pub(super) fn open(
        config: &Config,
        connection: &Connection,
        offsets: &Offsets,
        end: Position,
        since: EpochMs,
    ) -> Result<Interactions, LookError> {
        let topic: Arc<str> = config.topics.classified.as_str().into();
        let offset = begin(offsets, &topic, end, since)?;
        let reader = Reader::open(connection, &topic, Start::At { partition: PARTITION, offset }, ASK_TIMEOUT)?;
        let raw = [&config.topics.posts_raw, &config.topics.comments_raw].map(|topic| Arc::from(topic.as_str()));
        let decoding = Decoding::new(config, ClassifiedDecoder::new(config.framing()));
        let ask_below = config.deep.as_ref().map(|deep| deep.ask_below);
        Ok(Interactions { reader, decoding, raw, said: BTreeMap::new(), canaries: BTreeMap::new(), ask_below })
    }

    pub(super) fn said(&self) -> &BTreeMap<At, Said> {
        &self.said
    }

    /// How many canaries lie between these positions of a raw partition; those before the second are forgotten.
    pub(super) fn take_canaries(&mut self, at: &At, from: Position, to: Position) -> u64 {
        let Some(offsets) = self.canaries.get_mut(at) else { return 0 };
        let later = offsets.split_off(&to);
        let between = offsets.range(from..).count();
        *offsets = later;
        between as u64
    }

    /// Reads what there is up to `end`; what was classified since then is counted.
    pub(super) fn follow(&mut self, end: Position, since: EpochMs, counts: &mut Counts) -> Result<(), LookError> {
        let position = |reader: &Reader| reader.positions().get(&PARTITION).copied().unwrap_or(end);
        if end - position(&self.reader) > RECORDS_MAX {
            self.reader.skip_to(PARTITION, end - RECORDS_MAX, ASK_TIMEOUT)?;
        }
        let step = ((end - position(&self.reader)) / SAMPLE).max(1);
        let (mut read, mut in_vain) = (0, 0);
        while read < 2 * RECORDS_MAX && position(&self.reader) < end && in_vain < PATIENCE {
            let Some(record) = self.reader.next(TURN)? else {
                // All that lies before the end but the marker of the last transaction.
                in_vain = if position(&self.reader) + 1 >= end { PATIENCE } else { in_vain + 1 };
                continue;
            };
            (read, in_vain) = (read + 1, 0);
            if record.key.is_none() || read % step == 0 {
                self.take(&record, since, counts);
            }
        }
        Ok(())
    }

    fn take(&mut self, record: &OwnedRecord, since: EpochMs, counts: &mut Counts) {
        let Some(value) = &record.value else { return };
        match self.decoding.decode(value) {
            Some(ClassifiedRecord::Progress(progress)) => {
                for source in &progress.sources {
                    let said = Said {
                        heard_at: progress.at,
                        position: source.position,
                        largest_event_time: source.largest_event_time,
                        caught_up: source.caught_up,
                    };
                    hear(&mut self.said, &self.raw, &source.topic, source.partition, said);
                }
                for canary in &progress.canaries {
                    let Some(topic) = self.raw.iter().find(|raw| raw.as_ref() == canary.topic) else { continue };
                    let at = At { topic: Arc::clone(topic), partition: canary.partition };
                    if self.said.contains_key(&at) {
                        let offsets = self.canaries.entry(at).or_default();
                        offsets.insert(canary.offset);
                        if offsets.len() > CANARIES_MAX {
                            offsets.pop_first();
                        }
                    }
                }
            }
            Some(ClassifiedRecord::ClassifiedInteraction(interaction)) => {
                let said = Said {
                    heard_at: interaction.classified_at,
                    position: interaction.origin_offset + 1,
                    largest_event_time: Some(interaction.created_at),
                    caught_up: false,
                };
                hear(&mut self.said, &self.raw, &interaction.origin_topic, interaction.origin_partition, said);
                if interaction.classified_at >= since {
                    count(&interaction, self.ask_below, counts);
                }
            }
            None => {}
        }
    }
}

fn hear(known: &mut BTreeMap<At, Said>, raw: &[Arc<str>; 2], topic: &str, partition: i32, said: Said) {
    let Some(topic) = raw.iter().find(|raw| raw.as_ref() == topic) else { return };
    if !(0..PARTITIONS_MAX).contains(&partition) {
        return;
    }
    let heard = known.entry(At { topic: Arc::clone(topic), partition }).or_insert(said);
    *heard = Said { largest_event_time: heard.largest_event_time.max(said.largest_event_time), ..said };
}

fn count(interaction: &ClassifiedInteraction<'_>, ask_below: Option<f32>, counts: &mut Counts) {
    counts.sampled += 1;
    counts.abstained += u64::from(interaction.abstained);
    match interaction.tier {
        Tier::Deep => counts.deep += 1,
        Tier::DeepSkipped => counts.deep_skipped += 1,
        Tier::Fast => counts.never_asked += u64::from(ask_below.is_some_and(|below| interaction.confidence < below)),
        Tier::None => {}
    }
}

/// The end of the metrics topic.
pub(super) struct Rows {
    /// `None` where there is no such topic.
    reader: Option<Reader>,
    decoding: Decoding<wire::OfMetrics>,
    window: String,
    /// In how many panes of the window one interaction is.
    panes: f64,
}

impl Rows {
    pub(super) fn open(
        config: &Config,
        connection: &Connection,
        offsets: &Offsets,
        since: EpochMs,
    ) -> Result<Rows, LookError> {
        let topic: Arc<str> = config.topics.metrics.as_str().into();
        let ends = offsets.ends(&offsets.partitions(&topic)?)?;
        let reader = match ends.get(&(Arc::clone(&topic), PARTITION)) {
            None => None,
            Some(&end) => {
                let offset = begin(offsets, &topic, end, since)?.max(end - ROWS_MAX as Position);
                Some(Reader::open(connection, &topic, Start::At { partition: PARTITION, offset }, ASK_TIMEOUT)?)
            }
        };
        let shortest = config.windows.specs().iter().min_by_key(|window| window.length_ms);
        let (window, panes) = shortest.map_or((String::new(), 1.0), |window| {
            (window.name.clone(), window.length_ms as f64 / window.slide_ms as f64)
        });
        let decoding = Decoding::new(config, MetricsDecoder::new(config.framing()));
        Ok(Rows { reader, decoding, window, panes })
    }

    /// Reads some of what there is; rows written since then are counted.
    pub(super) fn follow(&mut self, since: EpochMs, counts: &mut Counts) -> Result<(), LookError> {
        let Some(reader) = self.reader.as_mut() else { return Ok(()) };
        for _ in 0..ROWS_MAX {
            let Some(record) = reader.next(TURN)? else { break };
            let Some(row) = record.value.as_deref().and_then(|value| self.decoding.decode(value)) else { continue };
            if row.window == self.window && row.emitted_at >= since {
                counts.in_rows += row.interactions.max(0) as f64 / self.panes;
                counts.late += row.late.max(0) as f64 / self.panes;
            }
        }
        Ok(())
    }
}
