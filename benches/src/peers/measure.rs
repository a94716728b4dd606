//! What the service and the peer cost, in turns, on one Kafka and the same input.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sinyal_tests::{Kafka, Ran, Sinyal};

use super::candidate::Candidate;
use super::figures::{CPU, Measured, RATE, RESIDENT, in_turns, tell_each};
use super::progress::Progress;
use super::streams::{Peer, build, make_topics};
use crate::roles::ingest;

/// Longest that one run may take.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// What may stand behind the last record of a partition: the marks of transactions, one of each producer that wrote there.
const MARKS_MAX: i64 = 3;
pub(crate) const RAW: [&str; 2] = ["social.posts.raw", "social.comments.raw"];
pub(crate) const CLASSIFIED: &str = "social.interactions.classified";

/// Runs both so many times, and says the median and the range of each.
pub(crate) fn measure_peers(records: usize, runs: usize, peers: &[Peer]) -> Result<Vec<Value>> {
    build()?;
    let kafka = Kafka::start()?;
    let sinyal = Sinyal::new(&kafka.bootstrap(), "bench", "telemetry.log = \"info\"\n")?;
    sinyal.succeed(&["topics", "apply"])?;
    ingest(&sinyal, records)?;
    measure_in_turns(&sinyal, &Candidate::all(peers), runs, records, "")
}

/// Runs each so many times, in turns, on the same input; its name has this behind it.
pub(super) fn measure_in_turns(
    sinyal: &Sinyal,
    candidates: &[Candidate],
    runs: usize,
    records: usize,
    suffix: &str,
) -> Result<Vec<Value>> {
    let measured =
        in_turns(candidates, runs, |at, candidate, run| run_once(sinyal, &format!("c{at}-{run}"), candidate, records));
    let cases = candidates.iter().map(|candidate| format!("peers: {}{suffix}", candidate.name()));
    tell_each(cases, &json!({ "records": records }), measured)
}

/// Takes in all that is in the raw topics, on topics that are made for it.
fn run_once(sinyal: &Sinyal, generation: &str, candidate: &Candidate, records: usize) -> Result<Measured> {
    make_topics(sinyal, generation)?;
    let mut ran = candidate.start(sinyal, generation)?;
    let run = measure(sinyal, generation, candidate, records, &mut ran).with_context(|| candidate.name())?;
    ran.terminate()?;
    Ok(run)
}

/// Waits until everything is classified and aggregated, from a start just now on.
pub(crate) fn measure(
    sinyal: &Sinyal,
    generation: &str,
    candidate: &Candidate,
    records: usize,
    ran: &mut Ran,
) -> Result<Measured> {
    let [of_raw, of_classified] = candidate.groups(sinyal, generation);
    let of_raw = Progress::of(sinyal.bootstrap(), &of_raw, &RAW.map(|topic| sinyal.topic(topic)))?;
    let classified = sinyal.generation(generation).topic(CLASSIFIED);
    let of_classified = Progress::of(sinyal.bootstrap(), &of_classified, &[classified])?;
    let started = Instant::now();
    let mut first: Option<(Instant, i64)> = None;
    let mut ends: Option<Vec<i64>> = None;
    loop {
        ensure!(ran.is_running(), "it ended: {}", ran.end_of_log());
        ensure!(started.elapsed() < PATIENCE, "not done in time: {}", ran.end_of_log());
        std::thread::sleep(Duration::from_millis(50));
        let read: i64 = of_raw.committed()?.iter().sum();
        if first.is_none() && read > 0 {
            first = Some((Instant::now(), read));
        }
        if read < records as i64 {
            continue;
        }
        let ends = match &ends {
            Some(ends) => ends,
            None => ends.insert(of_classified.ends()?),
        };
        let committed = of_classified.committed()?;
        if committed.iter().zip(ends).all(|(committed, end)| committed + MARKS_MAX >= *end) {
            break;
        }
    }
    let Some((since, before)) = first else { bail!("nothing was read") };
    let seconds = since.elapsed().as_secs_f64();
    let usage = ran.usage()?;
    Ok(vec![
        (&CPU, usage.cpu_seconds / records as f64 * 1e6),
        // From the first commit on: what a start takes is not in it.
        (&RATE, (records as f64 - before as f64) / seconds),
        (&RESIDENT, usage.peak_resident_bytes as f64 / f64::from(1 << 20)),
    ])
}
