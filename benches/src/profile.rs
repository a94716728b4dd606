//! Flame graphs of both roles at work on a real Kafka, by `perf` and `inferno`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};
use sinyal_tests::{Kafka, Ran, Sinyal};

use crate::roles::{ingest, start_role, work_off};

const RECORDS: usize = 500_000;
/// Samples a second of each thread.
const FREQUENCY: &str = "499";
/// So many functions are named.
const NAMED: usize = 25;

/// Leaves `classify.svg` and `community.svg`, and the stacks that they are drawn of, in a folder, and names what costs most.
pub(crate) fn profile_roles(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let kafka = Kafka::start()?;
    let sinyal = Sinyal::new(&kafka.bootstrap(), "profile", "telemetry.log = \"info\"\n")?;
    sinyal.succeed(&["topics", "apply"])?;
    ingest(&sinyal, RECORDS)?;
    for role in ["classify", "community"] {
        let mut running = start_role(&sinyal, role)?;
        let data = folder.join(format!("{role}.perf"));
        let mut recording = record(&running, &data)?;
        work_off(&sinyal, role, RECORDS, &mut running)?;
        // It writes the end of its file when it is interrupted.
        ensure!(run(Command::new("kill").args(["-INT", &recording.id().to_string()]))?, "perf is gone");
        recording.wait()?;
        ensure!(running.terminate()? == Some(0), "role {role} did not end well: {}", sinyal.log());
        draw(role, folder, &data)?;
        std::fs::remove_file(data)?;
    }
    Ok(())
}

fn record(running: &Ran, data: &Path) -> Result<Child> {
    let id = running.id().to_string();
    Command::new("perf")
        .args(["record", "--quiet", "--freq", FREQUENCY, "--call-graph", "dwarf,16384", "--pid", &id, "--output"])
        .arg(data)
        .stdout(Stdio::null())
        .spawn()
        .context("perf is missing; on Debian: apt-get install -y linux-perf")
}

fn draw(role: &str, folder: &Path, data: &Path) -> Result<()> {
    let folded = folder.join(format!("{role}.folded"));
    let mut script = Command::new("perf");
    let mut script = script.args(["script", "--no-inline", "--input"]).arg(data).stdout(Stdio::piped()).spawn()?;
    let stacks = script.stdout.take().context("a pipe")?;
    let missing = "inferno is missing: cargo install inferno";
    let collapsed =
        Command::new("inferno-collapse-perf").stdin(stacks).stdout(File::create(&folded)?).status().context(missing)?;
    ensure!(script.wait()?.success() && collapsed.success(), "stacks of {role} could not be read");
    let mut graph = Command::new("inferno-flamegraph");
    graph.args(["--title", role, "--minwidth", "0.2"]).arg(&folded);
    graph.stdout(File::create(folder.join(format!("{role}.svg")))?);
    ensure!(run(&mut graph)?, "{role} could not be drawn");
    name(role, &std::fs::read_to_string(folded)?)
}

fn run(command: &mut Command) -> Result<bool> {
    Ok(command.status().with_context(|| format!("{command:?} cannot be started"))?.success())
}

/// Names the functions that most samples were in, themselves and with all that they called.
fn name(role: &str, folded: &str) -> Result<()> {
    let (mut own, mut whole, mut all) = (BTreeMap::new(), BTreeMap::new(), 0_u64);
    for line in folded.lines() {
        let Some((stack, count)) = line.rsplit_once(' ') else { continue };
        let count: u64 = count.parse()?;
        all += count;
        let mut functions: Vec<&str> = stack.split(';').collect();
        *own.entry(*functions.last().context("a function")?).or_default() += count;
        functions.sort_unstable();
        functions.dedup();
        for function in functions {
            *whole.entry(function).or_default() += count;
        }
    }
    let mut out = std::io::stdout().lock();
    for (what, counts) in [("themselves", own), ("with what they call", whole)] {
        writeln!(out, "{role}, {all} samples, functions {what}:")?;
        let mut counts: Vec<(&str, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        for (function, count) in counts.into_iter().take(NAMED) {
            writeln!(out, "{:>6.2} %  {function}", count as f64 / all as f64 * 100.0)?;
        }
    }
    Ok(())
}
