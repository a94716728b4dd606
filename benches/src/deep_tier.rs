//! The deep tier on one thread: texts a second by the size of a batch.

use std::time::Instant;

use anyhow::{Result, anyhow};
use deep::{Model, Transformer};
use serde_json::json;
use sim::{World, WorldConfig};

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
