//! How long it takes from a restart to the first row, and until all is caught up, with what was taken in before as state.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sinyal_tests::{Kafka, Ran, Sinyal};

use super::candidate::Candidate;
use super::follow::Follower;
use super::measure::{Spread, failure, measure};
use super::streams::{Peer, build, make_topics, state_folder};
use crate::roles::{World, ingest_after, ingest_world};

/// What comes between an end and the start after it, and before a kill.
const MORE: usize = 5_000;
/// Of each way to end, in turns.
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(600);
const METRICS: &str = "social.community.metrics";
const GENERATION: &str = "g";

/// How one ends before it is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Killed while records come in.
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

/// What a restart took, in seconds from the start on.
struct Restart {
    /// Until a row of any partition came.
    first_row: f64,
    /// Until all that waited was committed.
    caught_up: f64,
}

/// Each candidate takes in so many interactions, and is then ended and started again in each way.
pub(crate) fn measure_restart(taken_in: usize, peers: &[Peer]) -> Result<Vec<Value>> {
    build()?;
    let mut results = Vec::new();
    for candidate in Candidate::all(peers) {
        match measure_one(taken_in, &candidate) {
            Ok(told) => results.extend(told),
            Err(error) => results.push(failure(&format!("restart: {}", candidate.name()), &error)?),
        }
    }
    Ok(results)
}

fn measure_one(taken_in: usize, candidate: &Candidate) -> Result<Vec<Value>> {
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
    let ends: &[End] =
        if candidate.has_local_state() { &[End::Killed, End::Ended, End::Moved] } else { &[End::Killed, End::Ended] };
    let mut restarts: Vec<Vec<Restart>> = ends.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (end, restarts) in ends.iter().zip(&mut restarts) {
            if *end == End::Killed {
                // In the middle of a transaction, which is to be ended before others can be read.
                ingest_after(&sinyal, MORE, &world, records)?;
                records += MORE;
                ran.kill();
            } else {
                ran.terminate()?;
            }
            if *end == End::Moved {
                let folder = state_folder(&sinyal, GENERATION);
                std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
            }
            ingest_after(&sinyal, MORE, &world, records)?;
            records += MORE;
            let follower = Follower::at_end(sinyal.bootstrap(), &[sinyal.generation(GENERATION).topic(METRICS)])?;
            let begun = Instant::now();
            ran = candidate.start(&sinyal, GENERATION)?;
            let first_row = first_row(&follower, begun, &mut ran)?;
            measure(&sinyal, GENERATION, candidate, records, &mut ran)?;
            restarts.push(Restart { first_row, caught_up: begun.elapsed().as_secs_f64() });
        }
    }
    ran.terminate()?;
    ends.iter().zip(&restarts).map(|(end, restarts)| tell(candidate, *end, taken_in, restarts)).collect()
}

fn tell(candidate: &Candidate, end: End, taken_in: usize, restarts: &[Restart]) -> Result<Value> {
    let first_row = Spread::of(restarts.iter().map(|restart| restart.first_row));
    let caught_up = Spread::of(restarts.iter().map(|restart| restart.caught_up));
    let (name, end) = (candidate.name(), end.name());
    writeln!(
        std::io::stdout().lock(),
        "{name:<52} {end}: first row {first_row:.1} s after the start, caught up {caught_up:.1} s, {taken_in} taken in"
    )?;
    Ok(json!({ "case": format!("restart: {name}, {end}"), "taken_in": taken_in, "first_row_seconds": first_row.json(),
               "caught_up_seconds": caught_up.json(), "rounds": restarts.len() }))
}

fn first_row(follower: &Follower, begun: Instant, ran: &mut Ran) -> Result<f64> {
    while !follower.poll(Duration::from_millis(20), |_| Ok(()))? {
        ensure!(ran.is_running(), "it ended: {}", ran.end_of_log());
        ensure!(begun.elapsed() < PATIENCE, "no row in time: {}", ran.end_of_log());
    }
    Ok(begun.elapsed().as_secs_f64())
}
