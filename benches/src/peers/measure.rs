//! What the service and the peer cost, in turns, on one Kafka and the same input.

use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sinyal_tests::{Kafka, Ran, Sinyal};

use super::candidate::Candidate;
use super::progress::Progress;
use super::streams::{Peer, build, make_topics};
use crate::roles::ingest;

/// Longest that one run may take.
const PATIENCE: Duration = Duration::from_secs(1_200);
/// What may stand behind the last record of a partition: the marks of transactions, one of each producer that wrote there.
const MARKS_MAX: i64 = 3;
pub(crate) const RAW: [&str; 2] = ["social.posts.raw", "social.comments.raw"];
pub(crate) const CLASSIFIED: &str = "social.interactions.classified";

/// One run.
pub(crate) struct Run {
    pub(crate) records_per_second: f64,
    pub(crate) cpu_seconds_per_million: f64,
    pub(crate) peak_resident_mib: f64,
}

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
    let mut measured: Vec<Result<Vec<Run>>> = candidates.iter().map(|_| Ok(Vec::new())).collect();
    for run in 0..runs {
        for (at, (candidate, runs)) in candidates.iter().zip(&mut measured).enumerate() {
            // One that failed is not run again, and what the others did is not lost by it.
            if let Ok(done) = runs {
                match run_once(sinyal, &format!("c{at}-{run}"), candidate, records) {
                    Ok(run) => done.push(run),
                    Err(error) => *runs = Err(error),
                }
            }
        }
    }
    let told = candidates.iter().zip(measured).map(|(candidate, runs)| {
        let name = format!("{}{suffix}", candidate.name());
        match runs {
            Ok(runs) => summary(&name, records, &runs),
            Err(error) => failure(&format!("peers: {name}"), &error),
        }
    });
    told.collect()
}

/// Takes in all that is in the raw topics, on topics that are made for it.
fn run_once(sinyal: &Sinyal, generation: &str, candidate: &Candidate, records: usize) -> Result<Run> {
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
) -> Result<Run> {
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
    Ok(Run {
        records_per_second: (records as f64 - before as f64) / seconds,
        cpu_seconds_per_million: usage.cpu_seconds / records as f64 * 1e6,
        peak_resident_mib: usage.peak_resident_bytes as f64 / f64::from(1 << 20),
    })
}

/// The median and the range of a figure.
pub(super) struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    pub(super) fn of(figures: impl Iterator<Item = f64>) -> Spread {
        let mut figures: Vec<f64> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |place: usize| figures.get(place).copied().unwrap_or(f64::NAN);
        Spread { median: at(figures.len() / 2), min: at(0), max: at(figures.len().saturating_sub(1)) }
    }

    pub(super) fn json(&self) -> Value {
        json!({ "median": self.median, "min": self.min, "max": self.max })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        write!(f, "{:.digits$} ({:.digits$} to {:.digits$})", self.median, self.min, self.max)
    }
}

/// A line for people; what is drawn later is kept whole.
fn summary(name: &str, records: usize, runs: &[Run]) -> Result<Value> {
    let of = |figure: fn(&Run) -> f64| Spread::of(runs.iter().map(figure));
    let cpu = of(|run| run.cpu_seconds_per_million);
    let rate = of(|run| run.records_per_second);
    let peak = of(|run| run.peak_resident_mib);
    writeln!(
        std::io::stdout().lock(),
        "{name:<52} {cpu:.1} CPU-seconds per million, {rate} records/s, peak {peak} MiB resident, {} runs",
        runs.len()
    )?;
    let raw = runs.iter().map(|run| {
        json!({ "records_per_second": run.records_per_second, "cpu_seconds_per_million": run.cpu_seconds_per_million,
                "peak_resident_mib": run.peak_resident_mib })
    });
    Ok(json!({ "case": format!("peers: {name}"), "records": records, "cpu_seconds_per_million": cpu.json(),
               "records_per_second": rate.json(), "peak_resident_mib": peak.json(), "runs": raw.collect::<Vec<_>>() }))
}

/// What is told of a candidate that could not do it, which is a result too: what others did is not lost by that.
pub(super) fn failure(case: &str, error: &anyhow::Error) -> Result<Value> {
    writeln!(std::io::stdout().lock(), "{case:<52} FAILED: {error:#}")?;
    Ok(json!({ "case": case, "failed": format!("{error:#}") }))
}
