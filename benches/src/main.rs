//! `cargo xtask bench`: the fast tier text by text, the two stages in memory on one core, each role end to end on a real Kafka,
//! and how long records take through both. Figures of one run on one machine; never compared by a test.
#![allow(clippy::print_stdout)] // It is a command-line program.

mod allocations;
mod bare;
#[cfg(feature = "deep")]
mod deep_tier;
mod fast_tier;
mod latency;
mod peers;
mod profile;
mod roles;
mod stages;
mod state;

use std::sync::Barrier;
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use serde_json::json;

use crate::fast_tier::measure_fast_tier;
use crate::latency::measure_latency;
use crate::peers::run_peers;
use crate::roles::{measure_restore, measure_roles};
use crate::stages::{COMMUNITIES, Case, classify_case, community_case};

/// Runs of each case; the first warms up and does not count.
const RUNS: usize = 6;
/// Entries of the changelog that are restored.
const RESTORED_ENTRIES: usize = 5_000_000;

fn main() -> Result<()> {
    let (json, arguments): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument == "--json");
    let records = 200_000;
    let role_records = 500_000;
    let mut results = Vec::new();
    match arguments.first().map(String::as_str) {
        Some("classify-step") => results.push(measure("classify-step", || classify_case(records))),
        Some("community-step") => results.push(measure("community-step", || community_case(records, COMMUNITIES))),
        // What a community can bring at most: one thread works on it.
        Some("hot-community-step") => results.push(measure("hot-community-step", || community_case(records, 1))),
        // Whether replicas get in each other's way where they share a machine's memory and caches.
        Some("classify-cores") => results = measure_cores(records)?,
        Some("fast-tier") => results = measure_fast_tier(),
        Some("slides") => results = state::measure_slides(records)?,
        Some("communities") => results = state::measure_communities(records)?,
        Some("restore") => results = measure_restore(RESTORED_ENTRIES)?,
        Some("roles") => {
            let nodes = arguments.get(1).and_then(|nodes| nodes.parse().ok()).unwrap_or(1);
            results = measure_roles(role_records, nodes)?;
        }
        Some("latency") => {
            let rate = arguments.get(1).and_then(|rate| rate.parse().ok()).unwrap_or(latency::RATE);
            results = measure_latency(rate)?;
        }
        // The same job in Kafka Streams: see benches/peers.
        Some("peers") => results = run_peers(&arguments[1..])?,
        Some("profile") => profile::profile_roles(arguments.get(1).map_or("profile", String::as_str).as_ref())?,
        // A role's least: this program runs it in a process of its own.
        Some("bare-copy") => {
            println!("{}", bare::run(&arguments[1..])?);
            return Ok(());
        }
        #[cfg(feature = "deep")]
        Some("deep-tier") => {
            results = deep_tier::measure_deep_tier()?;
            results.extend(deep_tier::measure_cascade()?);
        }
        Some("all") | None => {
            results.extend(measure_fast_tier());
            results.push(measure("classify-step", || classify_case(records)));
            results.push(measure("community-step", || community_case(records, COMMUNITIES)));
            results.push(measure("hot-community-step", || community_case(records, 1)));
            results.extend(state::measure_slides(records)?);
            results.extend(state::measure_communities(records)?);
            results.extend(measure_roles(role_records, 1)?);
            results.extend(measure_latency(latency::RATE)?);
            results.extend(measure_restore(RESTORED_ENTRIES)?);
        }
        Some(other) => bail!(
            "{other:?}: classify-step, classify-cores, community-step, hot-community-step, fast-tier, slides, communities, restore, roles, latency, peers, profile or all is right"
        ),
    }
    if !json.is_empty() {
        println!("{}", json!(results));
    }
    ensure!(!results.iter().any(|result| result["failed"].is_string()), "some failed: see above");
    Ok(())
}

/// The classify stage on one thread, and one on each core at once, in turns.
fn measure_cores(records: usize) -> Result<Vec<serde_json::Value>> {
    let cores = std::thread::available_parallelism()?.get();
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..RUNS {
        for (rates, threads) in rates.iter_mut().zip([1, cores]) {
            let ready = Barrier::new(threads);
            let seconds = std::thread::scope(|scope| {
                let at_once = || {
                    let mut case = classify_case(records);
                    ready.wait();
                    let start = Instant::now();
                    (case.work)();
                    start.elapsed().as_secs_f64()
                };
                let working: Vec<_> = (0..threads).map(|_| scope.spawn(at_once)).collect();
                working.into_iter().map(|work| work.join().unwrap_or(f64::NAN)).fold(0.0, f64::max)
            });
            rates.push((records * threads) as f64 / seconds);
        }
    }
    let [one, all] = rates.map(|mut rates| {
        rates.remove(0);
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    println!("classify-cores   {one:>9.0} records/s on one core, {all:.0} on {cores}: {:.2} times as many", all / one);
    Ok(vec![json!({ "case": "classify-cores", "one": one, "all": all, "cores": cores })])
}

fn measure(name: &str, case: impl Fn() -> Case) -> serde_json::Value {
    let mut rates = Vec::new();
    let mut allocations = 0.0;
    let mut output_bytes = 0.0;
    for run in 0..RUNS {
        let mut case = case();
        let before = allocations::count();
        let start = Instant::now();
        let done = (case.work)();
        let seconds = start.elapsed().as_secs_f64();
        if run == 0 {
            continue;
        }
        rates.push(done.records as f64 / seconds);
        allocations = (allocations::count() - before) as f64 / done.records as f64;
        output_bytes = done.output_bytes as f64 / done.records as f64;
    }
    rates.sort_by(f64::total_cmp);
    let (least, median, most) = (rates[0], rates[rates.len() / 2], rates[rates.len() - 1]);
    println!(
        "{name:<16} {median:>9.0} records/s (of {} runs: {least:.0} to {most:.0}), {allocations:.2} allocations and {output_bytes:.0} output bytes a record",
        rates.len()
    );
    json!({ "case": name, "records_per_second": { "min": least, "median": median, "max": most },
            "allocations_per_record": allocations, "output_bytes_per_record": output_bytes })
}
