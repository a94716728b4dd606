//! Each role end to end on a real Kafka of its own: the service as it is run, not a part of it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use sinyal_tests::{Kafka, Sinyal};

/// Longest that a role may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs both roles, one after the other, on what the other has left.
pub(crate) fn measure_roles(records: usize) -> Result<Vec<serde_json::Value>> {
    let kafka = Kafka::start()?;
    let sinyal = Sinyal::new(&kafka.bootstrap(), "bench", "telemetry.log = \"info\"\n")?;
    sinyal.succeed(&["topics", "apply"])?;
    ingest(&sinyal, records)?;
    let mut results = Vec::new();
    for role in ["classify", "community"] {
        results.push(measure_role(&sinyal, role, records)?);
    }
    Ok(results)
}

/// A made-up world of 1,000 communities, straight from `sim` into `ingest`.
fn ingest(sinyal: &Sinyal, records: usize) -> Result<()> {
    let count = records.to_string();
    let arguments = ["sim", "--seed", "9", "--communities", "1000", "--rate", "100", "--interactions", &count];
    let mut made = sinyal.command(&arguments)?.stdout(Stdio::piped()).spawn()?;
    let lines = made.stdout.take().context("a pipe")?;
    let mut taken: Command = sinyal.command(&["ingest", "-"])?;
    let status = taken.stdin(lines).stderr(Stdio::null()).status()?;
    ensure!(made.wait()?.success() && status.success(), "the input could not be ingested");
    Ok(())
}

fn measure_role(sinyal: &Sinyal, role: &str, records: usize) -> Result<serde_json::Value> {
    let mut running = sinyal.start(&["run", "--role", role])?;
    sinyal_tests::wait_for("the service to serve /metrics", Duration::from_secs(30), || {
        ensure!(running.is_running(), "it ended: {}", sinyal.log());
        Ok(running.metrics().is_ok())
    })?;
    let started = Instant::now();
    let mut first: Option<(Instant, f64)> = None;
    let (seconds, counted) = loop {
        ensure!(running.is_running(), "role {role} ended: {}", sinyal.log());
        let text = running.metrics()?;
        // Markers are consumed too: what counts is the interactions.
        let markers = sum(&text, "sinyal_outcome_records_total", role, Some("outcome=\"progress\""));
        let consumed = sum(&text, "sinyal_consumed_records_total", role, None) - markers;
        match first {
            None if consumed > 0.0 => first = Some((Instant::now(), consumed)),
            Some((at, before)) if consumed >= records as f64 => {
                break (at.elapsed().as_secs_f64(), consumed - before);
            }
            _ if started.elapsed() > PATIENCE => {
                bail!("role {role} took {consumed} of {records} records in 10 minutes")
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let usage = running.usage()?;
    ensure!(running.terminate()? == Some(0), "role {role} did not end well: {}", sinyal.log());
    let rate = counted / seconds;
    let cpu = usage.cpu_seconds / records as f64 * 1e6;
    let peak = usage.peak_resident_bytes / (1 << 20);
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:<16} {rate:>9.0} records/s, {cpu:.1} CPU-seconds per million records, peak {peak} MiB resident",
        format!("{role}-role")
    )?;
    Ok(json!({ "case": format!("{role}-role"), "records": records, "records_per_second": rate,
               "cpu_seconds_per_million": cpu, "peak_resident_mib": peak }))
}

/// The sum of a metric's samples of one stage, of those that have `label` if there is one.
fn sum(text: &str, metric: &str, stage: &str, label: Option<&str>) -> f64 {
    let of_stage = format!("stage=\"{stage}\"");
    let samples = text.lines().filter(|line| line.starts_with(metric) && line.contains(&of_stage));
    let samples = samples.filter(|line| label.is_none_or(|label| line.contains(label)));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
