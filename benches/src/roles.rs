//! Each role end to end on a real Kafka of its own: the service as it is run, not a part of it.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use sinyal_tests::{Kafka, Ran, Sinyal};

use crate::bare::{self, Size, size_of};
use crate::state::make_state;

/// Longest that a role may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// Runs both roles, one after the other, on what the other has left; on a cluster of so many brokers.
pub(crate) fn measure_roles(records: usize, nodes: usize) -> Result<Vec<serde_json::Value>> {
    let kafka = Kafka::start_cluster(nodes)?;
    let sinyal = Sinyal::new(&kafka.bootstrap(), "bench", "telemetry.log = \"info\"\n")?;
    sinyal.succeed(&["topics", "apply"])?;
    ingest(&sinyal, records)?;
    let mut measured = Vec::new();
    for (role, ..) in ROLES {
        measured.push(measure_role(&sinyal, role, records)?);
    }
    write_sizes(&sinyal, records)?;
    // Afterwards, since the loop writes into the same topics; the last role first, since it reads what the first has written.
    let mut results = Vec::new();
    for ((role, inputs, outputs), measured) in ROLES.into_iter().zip(measured).rev() {
        let bare = measure_bare(&sinyal, &inputs, outputs)?;
        let cpu = |of: &serde_json::Value| of["cpu_seconds_per_million"].as_f64().context("a figure");
        let bare_cpu = cpu(&bare)?;
        writeln!(
            std::io::stdout().lock(),
            "{:<16} {:>9.0} records/s, {bare_cpu:.1} CPU-seconds per million records; the {role} role takes {:.1} times as many",
            "bare-loop",
            bare["records_per_second"].as_f64().unwrap_or_default(),
            cpu(&measured)? / bare_cpu
        )?;
        results.extend([measured, bare]);
    }
    Ok(results)
}

/// A role, what it reads and what it writes.
const ROLES: [(&str, [&str; 2], &[&str]); 2] = [
    (
        "classify",
        ["social.posts.raw", "social.comments.raw"],
        &[
            "social.interactions.classified",
            "social.queue.complaint",
            "social.queue.tip",
            "social.queue.experience",
            "social.queue.praise",
            "social.queue.review",
        ],
    ),
    (
        "community",
        ["social.interactions.classified", "social.corrections"],
        &["social.community.metrics", "social.queue.state", "social.community.changelog"],
    ),
];

/// What there is of each topic for a record that was ingested: keys and values, before compression.
fn write_sizes(sinyal: &Sinyal, records: usize) -> Result<()> {
    let topics: BTreeSet<&str> =
        ROLES.iter().flat_map(|(_, inputs, outputs)| inputs.iter().chain(outputs.iter())).copied().collect();
    for topic in topics {
        let size = size_of(sinyal.bootstrap(), &sinyal.topic(topic))?;
        let of_each = |count: u64| count as f64 / records as f64;
        let (count, bytes) = (of_each(size.records), of_each(size.bytes));
        writeln!(
            std::io::stdout().lock(),
            "{topic:<30} {count:.3} records and {bytes:.1} bytes for each that was ingested"
        )?;
    }
    Ok(())
}

/// The bare loop over what a role has read, with as many records and bytes as it has written.
fn measure_bare(sinyal: &Sinyal, inputs: &[&str], outputs: &[&str]) -> Result<serde_json::Value> {
    let sizes = |topics: &[&str]| {
        topics.iter().map(|topic| size_of(sinyal.bootstrap(), &sinyal.topic(topic))).collect::<Result<Vec<_>>>()
    };
    let read: u64 = sizes(inputs)?.iter().map(|size| size.records).sum();
    let inputs: Vec<String> = inputs.iter().map(|topic| sinyal.topic(topic)).collect();
    let mut arguments = vec!["bare-copy".to_owned(), sinyal.bootstrap().to_owned(), read.to_string(), inputs.join(",")];
    for Size { topic, records, bytes } in sizes(outputs)? {
        arguments.push(format!("{topic}:{records}:{bytes}"));
    }
    let output = Command::new(std::env::current_exe()?).args(&arguments).output()?;
    ensure!(output.status.success(), "the bare loop failed: {}", String::from_utf8_lossy(&output.stderr));
    let bare: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let cpu = bare["cpu_seconds"].as_f64().context("a figure")? / read as f64 * 1e6;
    Ok(json!({ "case": "bare-loop", "records": read, "records_per_second": bare["records_per_second"],
        "cpu_seconds_per_million": cpu }))
}

/// How long the community role takes to restore so many entries of its changelog, in memory and from a real Kafka.
pub(crate) fn measure_restore(entries: usize) -> Result<Vec<serde_json::Value>> {
    let kafka = Kafka::start()?;
    let more = format!(
        "topics.partitions = {RESTORED_PARTITIONS}\ncommunity.ids_max = {entries}\ncommunity.communities_max = {entries}\n"
    );
    let sinyal = Sinyal::new(&kafka.bootstrap(), "restore", &more)?;
    sinyal.succeed(&["topics", "apply"])?;
    let state = make_state(entries, RESTORED_PARTITIONS)?;
    let mut results = vec![crate::state::measure_restore(&state, RESTORED_PARTITIONS)?];
    bare::fill(sinyal.bootstrap(), &sinyal.topic("social.community.changelog"), &state)?;
    let entries = state.len();
    drop(state);
    let running = sinyal.start(&["run", "--role", "community"])?;
    let mut restored = None;
    sinyal_tests::wait_for("the state to be restored", PATIENCE, || {
        restored = sinyal.log().lines().find(|line| line.contains("state restored")).map(str::to_owned);
        Ok(restored.is_some())
    })
    .with_context(|| sinyal.log())?;
    let line: serde_json::Value = serde_json::from_str(&restored.context("a line")?)?;
    ensure!(line["entries"] == json!(entries), "{line}: {entries} were written");
    let seconds = line["seconds"].as_f64().context("seconds")?;
    let usage = running.usage()?;
    let peak = usage.peak_resident_bytes >> 20;
    running.kill();
    writeln!(
        std::io::stdout().lock(),
        "restore from Kafka: {entries} entries of {RESTORED_PARTITIONS} partitions in {seconds:.1} s, {:.0} entries/s, peak {peak} MiB \
         resident",
        entries as f64 / seconds
    )?;
    results.push(
        json!({ "case": "restore-from-kafka", "entries": entries, "seconds": seconds, "peak_resident_mib": peak }),
    );
    Ok(results)
}

const RESTORED_PARTITIONS: i32 = 4;

/// A made-up world that is taken in.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) communities: usize,
    /// Records per second of event time.
    pub(crate) rate: f64,
}

impl Default for World {
    fn default() -> World {
        World { communities: 1_000, rate: 100.0 }
    }
}

/// A world of 1,000 communities, straight from `sim` into `ingest`.
pub(crate) fn ingest(sinyal: &Sinyal, records: usize) -> Result<()> {
    ingest_world(sinyal, records, &World::default())
}

/// The same of any world.
pub(crate) fn ingest_world(sinyal: &Sinyal, records: usize, world: &World) -> Result<()> {
    ingest_after(sinyal, records, world, 0, None)
}

/// More of it, which begins where so many records ended; so many in a second, or as fast as it goes.
pub(crate) fn ingest_after(
    sinyal: &Sinyal,
    records: usize,
    world: &World,
    before: usize,
    per_second: Option<usize>,
) -> Result<()> {
    let (count, communities, rate) = (records.to_string(), world.communities.to_string(), world.rate.to_string());
    let start = (sim::DEFAULT_START + (before as f64 / world.rate * 1e3) as i64).to_string();
    // Others are said each time: what is said again is known.
    let seed = (9 + before).to_string();
    let mut made = sinyal.command(&["sim", "--seed", &seed, "--start", &start])?;
    made.args(["--communities", &communities, "--rate", &rate, "--interactions", &count]);
    let mut made = made.stdout(Stdio::piped()).spawn()?;
    let lines = made.stdout.take().context("a pipe")?;
    let mut taken = sinyal.command(&["ingest", "-"])?;
    taken.args(per_second.into_iter().flat_map(|rate| ["--rate".to_owned(), rate.to_string()]));
    // The pipe is held by the child alone: should it end, who writes into it is told.
    let taken = taken.stdin(lines).stderr(Stdio::piped()).spawn()?.wait_with_output()?;
    let said = String::from_utf8_lossy(&taken.stderr);
    ensure!(made.wait()?.success() && taken.status.success(), "the input could not be ingested: {said}");
    Ok(())
}

/// Starts a role and waits until it can be asked.
pub(crate) fn start_role(sinyal: &Sinyal, role: &str) -> Result<Ran> {
    let mut running = sinyal.start(&["run", "--role", role])?;
    sinyal_tests::wait_for("the service to serve /metrics", Duration::from_secs(30), || {
        ensure!(running.is_running(), "it ended: {}", sinyal.log());
        Ok(running.metrics().is_ok())
    })?;
    Ok(running)
}

/// Waits until it has taken in so many interactions; gives how many seconds it took from the first to be seen on, and for how many.
pub(crate) fn work_off(sinyal: &Sinyal, role: &str, records: usize, running: &mut Ran) -> Result<(f64, f64)> {
    let started = Instant::now();
    let mut first: Option<(Instant, f64)> = None;
    loop {
        ensure!(running.is_running(), "role {role} ended: {}", sinyal.log());
        let text = running.metrics()?;
        // Markers are consumed too: what counts is the interactions.
        let markers = sum(&text, "sinyal_outcome_records_total", role, Some("outcome=\"progress\""));
        let consumed = sum(&text, "sinyal_consumed_records_total", role, None) - markers;
        match first {
            None if consumed > 0.0 => first = Some((Instant::now(), consumed)),
            Some((at, before)) if consumed >= records as f64 => {
                return Ok((at.elapsed().as_secs_f64(), consumed - before));
            }
            _ if started.elapsed() > PATIENCE => {
                bail!("role {role} took {consumed} of {records} records in 10 minutes")
            }
            _ => {}
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn measure_role(sinyal: &Sinyal, role: &str, records: usize) -> Result<serde_json::Value> {
    let mut running = start_role(sinyal, role)?;
    let (seconds, counted) = work_off(sinyal, role, records, &mut running)?;
    let usage = running.usage()?;
    let text = running.metrics()?;
    ensure!(running.terminate()? == Some(0), "role {role} did not end well: {}", sinyal.log());
    let rate = counted / seconds;
    let cpu = usage.cpu_seconds / records as f64 * 1e6;
    let peak = usage.peak_resident_bytes / (1 << 20);
    let commits = sum(&text, "sinyal_commits_total", role, None);
    let of_commits = |metric| sum(&text, metric, role, None);
    let commit_ms = of_commits("sinyal_commit_seconds_sum") / commits * 1e3;
    let wait_ms = of_commits("sinyal_commit_wait_seconds_sum") / commits * 1e3;
    let waiting = of_commits("sinyal_commit_wait_seconds_sum") / seconds;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:<16} {rate:>9.0} records/s, {cpu:.1} CPU-seconds per million records, peak {peak} MiB resident; {commits} commits of \
         {:.1} ms, {:.1} ms of which waiting for brokers: {:.1} % of the time",
        format!("{role}-role"),
        commit_ms,
        wait_ms,
        waiting * 100.0
    )?;
    Ok(json!({ "case": format!("{role}-role"), "records": records, "records_per_second": rate,
               "cpu_seconds_per_million": cpu, "peak_resident_mib": peak, "commits": commits, "commit_ms": commit_ms,
               "commit_wait_ms": wait_ms, "waiting_for_brokers": waiting }))
}

/// The sum of a metric's samples of one stage, of those that have `label` if there is one.
fn sum(text: &str, metric: &str, stage: &str, label: Option<&str>) -> f64 {
    let of_stage = format!("stage=\"{stage}\"");
    let samples = text.lines().filter(|line| line.starts_with(metric) && line.contains(&of_stage));
    let samples = samples.filter(|line| label.is_none_or(|label| line.contains(label)));
    samples.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
