//! How long it takes from a restart to the first row, and until all is caught up, with what was taken in before as state.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sinyal_tests::{Kafka, Ran, Sinyal};

use super::candidate::Candidate;
use super::figures::{CAUGHT_UP, FIRST_ROW, Measured, failure, tell};
use super::follow::Follower;
use super::measure::{RAW, measure};
use super::progress::Progress;
use super::streams::{Peer, build, make_topics, state_folder};
use crate::roles::{World, ingest_after, ingest_world};

/// What comes in while one is ended, and once more between that and the start after it.
const MORE: usize = 5_000;
const MORE_PER_SECOND: usize = 2_500;
const PATIENCE: Duration = Duration::from_secs(600);
const METRICS: &str = "social.community.metrics";
const GENERATION: &str = "g";

/// How one ends before it is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Killed within a transaction, which is to be ended before others can be read.
    Killed,
    /// Ended in order; state of its own on disk is there at the start.
    Ended,
    /// Likewise, and started on a new machine: without that.
    Moved,
}

impl End {
    fn name(self) -> &'static str {
        match self {
            End::Killed => "killed",
            End::Ended => "ended",
            End::Moved => "ended, its disk lost",
        }
    }
}

/// Each candidate takes in so many interactions, and is then ended and started again in each way, so many times in turns.
pub(crate) fn measure_restart(taken_in: usize, rounds: usize, peers: &[Peer]) -> Result<Vec<Value>> {
    build()?;
    let mut results = Vec::new();
    for candidate in Candidate::all(peers) {
        match measure_one(taken_in, rounds, &candidate) {
            Ok(told) => results.extend(told),
            Err(error) => results.push(failure(&format!("restart: {}", candidate.name()), &error)?),
        }
    }
    Ok(results)
}

fn measure_one(taken_in: usize, rounds: usize, candidate: &Candidate) -> Result<Vec<Value>> {
    // A Kafka of its own: what comes in between is for this one alone.
    let kafka = Kafka::start()?;
    let sinyal = Sinyal::new(&kafka.bootstrap(), "restart", "telemetry.log = \"info\"\n")?;
    sinyal.succeed(&["topics", "apply"])?;
    let world = World::default();
    ingest_world(&sinyal, taken_in, &world)?;
    make_topics(&sinyal, GENERATION)?;
    let mut ran = candidate.start(&sinyal, GENERATION)?;
    let mut records = taken_in;
    measure(&sinyal, GENERATION, candidate, records, &mut ran)?;
    let [of_raw, _] = candidate.groups(&sinyal, GENERATION);
    let progress = Progress::of(sinyal.bootstrap(), &of_raw, &RAW.map(|topic| sinyal.topic(topic)))?;
    let ends: &[End] =
        if candidate.has_local_state() { &[End::Killed, End::Ended, End::Moved] } else { &[End::Killed, End::Ended] };
    let mut restarts: Vec<Vec<Measured>> = ends.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (end, restarts) in ends.iter().zip(&mut restarts) {
            std::thread::scope(|scope| {
                let feeding = scope.spawn(|| ingest_after(&sinyal, MORE, &world, records, Some(MORE_PER_SECOND)));
                // Some of it is committed and more comes in: a transaction is open.
                while progress.committed()?.iter().sum::<i64>() <= records as i64 {
                    ensure!(ran.is_running() && !feeding.is_finished(), "nothing of it was read: {}", ran.end_of_log());
                    std::thread::sleep(Duration::from_millis(10));
                }
                match end {
                    End::Killed => ran.kill(),
                    End::Ended | End::Moved => drop(ran.terminate()?),
                }
                feeding.join().unwrap_or_else(|_| bail!("it was not fed"))
            })?;
            records += MORE;
            if *end == End::Moved {
                let folder = state_folder(&sinyal, GENERATION);
                std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
            }
            ingest_after(&sinyal, MORE, &world, records, None)?;
            records += MORE;
            let follower = Follower::at_end(sinyal.bootstrap(), &[sinyal.generation(GENERATION).topic(METRICS)])?;
            let begun = Instant::now();
            ran = candidate.start(&sinyal, GENERATION)?;
            let first_row = first_row(&follower, begun, &mut ran)?;
            measure(&sinyal, GENERATION, candidate, records, &mut ran)?;
            restarts.push(vec![(&FIRST_ROW, first_row), (&CAUGHT_UP, begun.elapsed().as_secs_f64())]);
        }
    }
    ran.terminate()?;
    let told = ends.iter().zip(&restarts).map(|(end, restarts)| {
        tell(&format!("restart: {}, {}", candidate.name(), end.name()), json!({ "taken_in": taken_in }), restarts)
    });
    told.collect()
}

fn first_row(follower: &Follower, begun: Instant, ran: &mut Ran) -> Result<f64> {
    while !follower.poll(Duration::from_millis(20), |_| Ok(()))? {
        ensure!(ran.is_running(), "it ended: {}", ran.end_of_log());
        ensure!(begun.elapsed() < PATIENCE, "no row in time: {}", ran.end_of_log());
    }
    Ok(begun.elapsed().as_secs_f64())
}
