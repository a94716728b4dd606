//! How long it takes from a restart to the first row, with what was taken in before as state.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sinyal_tests::{Kafka, Ran, Sinyal};

use super::candidate::Candidate;
use super::follow::Follower;
use super::measure::measure;
use super::streams::{Peer, build, make_topics};
use crate::roles::{World, ingest_after, ingest_world};

/// What comes between an end and the start after it.
const MORE: usize = 5_000;
const PATIENCE: Duration = Duration::from_secs(600);
const METRICS: &str = "social.community.metrics";

/// Each candidate takes in so many identities, is killed, started, ended in order, and started again.
pub(crate) fn measure_restart(ids: usize, peers: &[Peer]) -> Result<Vec<Value>> {
    build()?;
    let mut results = Vec::new();
    for candidate in Candidate::all(peers) {
        // A Kafka of its own: what comes in between is for this one alone.
        let kafka = Kafka::start()?;
        let sinyal = Sinyal::new(&kafka.bootstrap(), "restart", "telemetry.log = \"info\"\n")?;
        sinyal.succeed(&["topics", "apply"])?;
        let world = World::default();
        ingest_world(&sinyal, ids, &world)?;
        let generation = "g";
        make_topics(&sinyal, generation)?;
        let mut ran = candidate.start(&sinyal, generation)?;
        let mut records = ids;
        measure(&sinyal, generation, &candidate, records, &mut ran).with_context(|| candidate.name())?;
        for killed in [true, false] {
            if killed {
                ran.kill();
            } else {
                ran.terminate()?;
            }
            ingest_after(&sinyal, MORE, &world, records)?;
            records += MORE;
            let follower = Follower::at_end(sinyal.bootstrap(), &[sinyal.generation(generation).topic(METRICS)])?;
            let begun = Instant::now();
            ran = candidate.start(&sinyal, generation)?;
            let seconds = first_row(&follower, begun, &mut ran).with_context(|| candidate.name())?;
            measure(&sinyal, generation, &candidate, records, &mut ran).with_context(|| candidate.name())?;
            let (name, how) = (candidate.name(), if killed { "killed" } else { "ended" });
            writeln!(
                std::io::stdout().lock(),
                "{name:<52} first row {seconds:.1} s after a start, {how} before, {ids} taken in"
            )?;
            results.push(json!({ "case": format!("restart: {name}, {how}"), "taken_in": ids, "seconds": seconds }));
        }
        ran.terminate()?;
    }
    Ok(results)
}

fn first_row(follower: &Follower, begun: Instant, ran: &mut Ran) -> Result<f64> {
    while !follower.poll(Duration::from_millis(20), |_| Ok(()))? {
        ensure!(ran.is_running(), "it ended: {}", ran.end_of_log());
        ensure!(begun.elapsed() < PATIENCE, "no row in time: {}", ran.end_of_log());
    }
    Ok(begun.elapsed().as_secs_f64())
}
