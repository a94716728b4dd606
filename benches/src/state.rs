//! What state costs: by slide, by number of communities, in memory, and when it is restored.

use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result};
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage, Step};
use record::{ClassifiedInteraction, ClassifiedRecord, EpochMs, encode_key, partition_for_key};
use serde_json::{Value, json};
use sim::DEFAULT_START;
use window::{WindowSet, WindowSpec};
use wire::{ClassifiedDecoder, Encoder, Framing, SchemaName};

use crate::stages::{COMMIT_EVERY, COMMUNITIES, Ready, classified, community_stage};

use pipeline::CommunityStage;

const RUNS: usize = 3;
const HOUR_MS: i64 = 3_600_000;

/// Steps and flushes, in nanoseconds.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    step_ns: f64,
    flush_ns: f64,
    rows: usize,
    bytes: usize,
}

/// Feeds records, with a commit after each [`COMMIT_EVERY`]; steps and flushes are timed apart.
fn feed(stage: &mut CommunityStage, input: &[Ready]) -> Cost {
    let mut outputs = Outputs::default();
    let mut cost = Cost::default();
    for batch in input.chunks(COMMIT_EVERY) {
        let begun = Instant::now();
        for (offset, ready) in batch.iter().enumerate() {
            if offset % 256 == 0 {
                let _ = stage.step(Input::Clock(ready.now), &mut outputs);
            }
            let _ = stage.step(Input::Record(ready.record(offset)), &mut outputs);
            outputs.clear();
        }
        cost.step_ns += begun.elapsed().as_nanos() as f64;
        let begun = Instant::now();
        let emitted = flush(stage, &mut outputs, &mut |_, _, _| {});
        cost.flush_ns += begun.elapsed().as_nanos() as f64;
        cost.rows += emitted.0;
        cost.bytes += emitted.1;
    }
    let records = input.len() as f64;
    Cost { step_ns: cost.step_ns / records, flush_ns: cost.flush_ns / records, ..cost }
}

/// Is shown a changelog entry: its partition, key and value.
type SeeEntry<'a> = dyn FnMut(i32, &[u8], Option<&[u8]>) + 'a;

/// Flushes to the end; shows each entry of the changelog. Gives rows of the metrics topic, and bytes of all outputs.
fn flush(stage: &mut CommunityStage, outputs: &mut Outputs, see: &mut SeeEntry<'_>) -> (usize, usize) {
    let (mut rows, mut bytes) = (0, 0);
    loop {
        let step = stage.step(Input::Flush, outputs);
        for record in outputs.records() {
            rows += usize::from(record.output == CommunityStage::METRICS);
            if record.output == CommunityStage::CHANGELOG {
                see(record.partition.unwrap_or(0), record.key.unwrap_or_default(), record.value);
            }
        }
        bytes += outputs.bytes();
        outputs.clear();
        if !matches!(step, Ok(Step::More)) {
            return (rows, bytes);
        }
    }
}

/// One window of an hour at slides of 60 s, 10 s and 1 s: what an event costs must not hang on the slide.
pub(crate) fn measure_slides(records: usize) -> Result<Vec<Value>> {
    let input = classified(records, COMMUNITIES);
    let slides = [60_000, 10_000, 1_000];
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); slides.len()];
    // In turns, so that a machine that gets slower meets all of them alike; the first turn warms up.
    for _ in 0..=RUNS {
        for (slide_ms, costs) in slides.into_iter().zip(&mut costs) {
            let spec = WindowSpec { name: "1h".to_owned(), length_ms: HOUR_MS, slide_ms, lateness_ms: 300_000 };
            let mut stage = community_stage(WindowSet::new(vec![spec])?, 2_000_000, 1);
            costs.push(feed(&mut stage, &input));
        }
    }
    let mut results = Vec::new();
    let mut least = f64::MAX;
    for (slide_ms, mut costs) in slides.into_iter().zip(costs) {
        costs.remove(0);
        costs.sort_by(|one, two| one.step_ns.total_cmp(&two.step_ns));
        let Cost { step_ns, flush_ns, rows, bytes } = costs[costs.len() / 2];
        least = least.min(step_ns);
        say(&format!(
            "slide {:>3} s      {step_ns:>6.0} ns an event without emission ({:.2} of the least), {flush_ns:>6.0} ns in flushes; {rows} \
             rows, {:.0} output bytes an event",
            slide_ms / 1_000,
            step_ns / least,
            bytes as f64 / records as f64
        ))?;
        results.push(json!({ "case": "slide", "slide_ms": slide_ms, "step_ns": step_ns, "flush_ns": flush_ns,
            "rows": rows, "output_bytes": bytes }));
    }
    Ok(results)
}

/// 10, 10,000 and 1,000,000 communities of which 1 % (ten at least) are active: what an event costs, and what a community takes.
pub(crate) fn measure_communities(records: usize) -> Result<Vec<Value>> {
    let mut results = Vec::new();
    for communities in [10_usize, 10_000, 1_000_000] {
        let mut maker = Maker::new()?;
        let mut stage = community_stage(WindowSet::standard(), communities + records, 1);
        let before = resident_bytes()?;
        let mut outputs = Outputs::default();
        for number in 0..communities {
            maker.feed(&mut stage, number, number, DEFAULT_START, &mut outputs);
            outputs.clear();
        }
        flush(&mut stage, &mut outputs, &mut |_, _, _| {});
        let bytes = (resident_bytes()? - before) as f64 / communities as f64;
        let active = (communities / 100).max(10);
        let step = communities / active;
        let input: Vec<Ready> = (0..records)
            .map(|number| maker.ready(number % active * step, communities + number, DEFAULT_START + number as i64))
            .collect();
        let Cost { step_ns, flush_ns, rows, bytes: output_bytes } = feed(&mut stage, &input);
        anyhow::ensure!(stage.dead_letters().all(|(_, count)| count == 0), "what was made up is refused");
        say(&format!(
            "{communities:>9} communities, {active} active: {step_ns:>6.0} ns an event, {flush_ns:>6.0} ns in flushes, {rows} rows; {bytes:.0} \
             bytes resident for a community with one interaction"
        ))?;
        results.push(json!({ "case": "communities", "communities": communities, "active": active, "step_ns": step_ns,
            "flush_ns": flush_ns, "rows": rows, "output_bytes": output_bytes, "resident_bytes_per_community": bytes }));
    }
    Ok(results)
}

/// An entry of the changelog: its partition, key and value.
pub(crate) type StateEntry = (i32, Vec<u8>, Vec<u8>);

/// Makes state of about so many changelog entries in so many partitions: communities with one member and one slice each.
pub(crate) fn make_state(entries: usize, partitions: i32) -> Result<Vec<StateEntry>> {
    let mut maker = Maker::new()?;
    let communities = entries / 2;
    let mut stage = community_stage(WindowSet::standard(), communities + 1, partitions);
    let mut outputs = Outputs::default();
    let mut state = std::collections::HashMap::with_capacity(entries);
    for number in 0..communities {
        maker.partitions = partitions;
        maker.feed(&mut stage, number, number, DEFAULT_START, &mut outputs);
        outputs.clear();
        if number % 100_000 == 99_999 || number + 1 == communities {
            flush(&mut stage, &mut outputs, &mut |partition, key, value| {
                let place = (partition, key.to_vec());
                match value {
                    Some(value) => state.insert(place, value.to_vec()),
                    None => state.remove(&place),
                };
            });
        }
    }
    Ok(state.into_iter().map(|((partition, key), value)| (partition, key, value)).collect())
}

/// Restores that state into a stage, without Kafka.
pub(crate) fn measure_restore(state: &[StateEntry], partitions: i32) -> Result<Value> {
    let mut stage = community_stage(WindowSet::standard(), state.len(), partitions);
    let mut outputs = Outputs::default();
    let before = resident_bytes()?;
    let begun = Instant::now();
    for (partition, key, value) in state {
        stage.step(Input::Restore { partition: *partition, key, value: Some(value) }, &mut outputs)?;
    }
    for partition in 0..partitions {
        stage.step(Input::Restored { partition }, &mut outputs)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let (entries, bytes) = (state.len(), resident_bytes()? - before);
    say(&format!(
        "restore in memory: {entries} entries in {seconds:.1} s, {:.0} entries/s; {} MiB resident",
        entries as f64 / seconds,
        bytes >> 20
    ))?;
    Ok(json!({ "case": "restore-in-memory", "entries": entries, "seconds": seconds, "resident_bytes": bytes }))
}

/// Makes classified records after one that the classify stage made.
struct Maker {
    template: Vec<u8>,
    decoder: ClassifiedDecoder,
    encoder: Encoder,
    value: Vec<u8>,
    partitions: i32,
}

impl Maker {
    fn new() -> Result<Maker> {
        let template = classified(1, COMMUNITIES).pop().context("a record")?.value;
        let decoder = ClassifiedDecoder::new(Framing::SingleObject);
        let encoder = Encoder::single_object(SchemaName::Classified);
        Ok(Maker { template, decoder, encoder, value: Vec::new(), partitions: 1 })
    }

    /// Encodes an interaction of a community, by a member of its own; gives the key.
    fn encode(&mut self, community: usize, id: usize, at: EpochMs) -> String {
        let Maker { template, decoder, encoder, value, .. } = self;
        let community_id = format!("community-{community}");
        value.clear();
        // The template is one of ours.
        if let Ok(ClassifiedRecord::ClassifiedInteraction(interaction)) = decoder.decode(template) {
            let made = ClassifiedInteraction {
                community_id: community_id.as_str().into(),
                id: format!("id-{id}").into(),
                author_key: Some(format!("v1:{:032x}", id % 1_000_003).into()),
                created_at: at,
                observed_at: at,
                ..interaction
            };
            let _ = encoder.encode(&ClassifiedRecord::ClassifiedInteraction(made), value);
        }
        encode_key(&[&community_id])
    }

    fn feed(&mut self, stage: &mut CommunityStage, community: usize, id: usize, at: EpochMs, outputs: &mut Outputs) {
        let key = self.encode(community, id, at).into_bytes();
        let partition = if self.partitions == 1 { 0 } else { partition_for_key(&key, self.partitions) };
        let record = InputRecord {
            from: InputPartition { input: 0, partition },
            offset: id as i64,
            timestamp: Some(at),
            key: Some(&key),
            value: Some(&self.value),
            headers: InputHeaders::default(),
        };
        let _ = stage.step(Input::Record(record), outputs);
    }

    fn ready(&mut self, community: usize, id: usize, at: EpochMs) -> Ready {
        let key = self.encode(community, id, at).into_bytes();
        Ready { input: 0, now: at, key, value: self.value.clone() }
    }
}

/// What the process has resident, as Linux counts.
fn resident_bytes() -> Result<i64> {
    let statm = std::fs::read_to_string("/proc/self/statm")?;
    let pages: i64 = statm.split_whitespace().nth(1).context("resident pages")?.parse()?;
    Ok(pages * 4_096)
}

fn say(line: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}
