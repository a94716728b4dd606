//! The deep tier on one thread: texts a second by the size of a batch; and the cascade: records a second by the share that is
//! asked for.

use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use deep::{Model, Settings, Transformer, Workers};
use pipeline::classify::{Cascade, Probabilities, SecondOpinion};
use record::stage::{Input, Outputs, Stage};
use serde_json::json;
use sim::{World, WorldConfig};

use crate::stages::{classify_stage_with, raw};

/// Texts of each run.
const TEXTS: usize = 192;
/// Runs of each size; the first warms up and does not count.
const RUNS: usize = 4;

/// Judges texts of the made-up world in batches of several sizes.
pub(crate) fn measure_deep_tier() -> Result<Vec<serde_json::Value>> {
    let mut transformer = Transformer::embedded()?;
    let mut world = World::new(3, WorldConfig::default());
    let texts: Vec<String> = std::iter::repeat_with(|| world.next_interaction().interaction.text.into_owned())
        .filter(|text| !text.trim().is_empty())
        .take(TEXTS)
        .collect();
    let pieces: usize = texts.iter().map(|text| transformer.pieces(text).map_or(0, |pieces| pieces.len())).sum();
    let mut results = Vec::new();
    for batch in [1, 4, 8, 16, 32] {
        let mut rates = Vec::new();
        for run in 0..RUNS {
            let start = Instant::now();
            for texts in texts.chunks(batch) {
                transformer.judge(texts).map_err(|detail| anyhow!(detail))?;
            }
            if run > 0 {
                rates.push(TEXTS as f64 / start.elapsed().as_secs_f64());
            }
        }
        rates.sort_by(f64::total_cmp);
        let (least, median, most) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
        println!(
            "deep-tier        {median:>9.0} texts/s on one thread in batches of {batch} (of {} runs: {least:.0} to {most:.0}), \
             {:.0} pieces a text",
            rates.len(),
            pieces as f64 / TEXTS as f64
        );
        results.push(json!({ "case": "deep-tier", "batch": batch,
                             "texts_per_second": { "min": least, "median": median, "max": most } }));
    }
    Ok(results)
}

/// Records of each run of the cascade.
const RECORDS: usize = 6_000;
/// Records between two commits.
const COMMIT_EVERY: usize = 200;

/// Workers that are waited for until all have answered.
#[derive(Debug)]
struct Patient {
    workers: Workers,
    version: String,
}

impl SecondOpinion for Patient {
    fn model_version(&self) -> &str {
        &self.version
    }

    fn submit(&mut self, ticket: u32, text: &str, urgency: u32) -> bool {
        self.workers.submit(ticket, text, urgency)
    }

    fn collect(&mut self, see: &mut dyn FnMut(u32, Probabilities)) {
        self.workers.collect(Instant::now() + Duration::from_secs(60), see);
    }

    fn forget(&mut self) {
        self.workers.collect(Instant::now(), &mut |_, _| {});
    }
}

/// Puts records through the classify stage with one thread of the deep tier, which answers all that it is asked.
pub(crate) fn measure_cascade() -> Result<Vec<serde_json::Value>> {
    let input = raw(RECORDS);
    let mut results = Vec::new();
    for share in [0.05_f32, 0.15, 0.3] {
        let settings = Settings { threads: 1, batch: 8, batch_bytes: 400, queue: 10_000, rest: Duration::from_secs(1) };
        let workers = Workers::start(settings, || Transformer::embedded().map_err(|error| error.to_string()))?;
        while workers.standing().ready == 0 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let opinion = Box::new(Patient { workers, version: Transformer::version()? });
        // Everything may be asked for: the budget alone decides, so that the share is as it is said.
        let cascade = Cascade { opinion, ask_below: 2.0, share_max: share, thresholds: Transformer::THRESHOLDS };
        let mut stage = classify_stage_with(Some(cascade));
        let mut outputs = Outputs::default();
        let start = Instant::now();
        for (offset, ready) in input.iter().enumerate() {
            let _ = stage.step(Input::Clock(ready.now), &mut outputs);
            let _ = stage.step(Input::Record(ready.record(offset)), &mut outputs);
            outputs.clear();
            if (offset + 1) % COMMIT_EVERY == 0 {
                let _ = stage.step(Input::Flush, &mut outputs);
                outputs.clear();
            }
        }
        let rate = RECORDS as f64 / start.elapsed().as_secs_f64();
        let by_tier = stage.tallies().by_tier;
        let asked = by_tier[record::Tier::Deep as usize] as f64 / RECORDS as f64;
        println!("cascade          {rate:>9.0} records/s with one thread that answers {:.1} % of them", 100.0 * asked);
        results.push(json!({ "case": "cascade", "share": asked, "records_per_second": rate }));
    }
    Ok(results)
}
