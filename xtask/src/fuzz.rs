//! `cargo xtask fuzz`: runs each fuzz target for some time, one on each core at once, and tells in a table what came of it.

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail, ensure};

const USAGE: &str = "usage: cargo xtask fuzz [TARGET] [--seconds N] [--keep] [--no-doors]";
/// How long a target runs unless told otherwise.
const SECONDS: u32 = 60;
/// An input that takes longer is a finding, in seconds: a partition would stand still for so long.
const INPUT_SECONDS_MAX: u32 = 10;
/// What one target may use, in MiB. The sanitizer's own memory is in it.
const MEMORY_MIB_MAX: u32 = 2_048;
/// Longest input that is made, in bytes.
const INPUT_BYTES_MAX: u32 = 8_192;

struct Arguments {
    target: Option<String>,
    seconds: u32,
    /// What covers more than the inputs in `fuzz/corpus` is added to them.
    keep: bool,
    /// Leave out what gets in by the binary itself: the others are built in a fraction of the time.
    no_doors: bool,
}

/// A program of `fuzz/Cargo.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    name: String,
    /// It gets in by the binary itself.
    is_door: bool,
}

/// What came of one target.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    executions: u64,
    /// Edges of the program that inputs have reached.
    coverage: u64,
    /// Inputs that reach something which no other does.
    inputs: u64,
    finding: Option<String>,
}

/// A target, `--seconds` for each, `--keep` and `--no-doors`.
pub(crate) fn run(arguments: &[String]) -> Result<bool> {
    let arguments = parse(arguments)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
    let manifest = fs::read_to_string(root.join("fuzz/Cargo.toml")).context("fuzz/Cargo.toml cannot be read")?;
    let mut targets = targets(&manifest);
    if let Some(target) = &arguments.target {
        let known = targets.iter().map(|target| target.name.clone()).collect::<Vec<_>>().join(", ");
        targets.retain(|known| known.name == *target);
        ensure!(!targets.is_empty(), "{target:?} is no target; {known} are right");
    } else {
        targets.retain(|target| !(arguments.no_doors && target.is_door));
    }
    check_tools()?;
    // The same versions as in the product.
    fs::copy(root.join("Cargo.lock"), root.join("fuzz/Cargo.lock")).context("fuzz/Cargo.lock cannot be written")?;
    let doors = targets.iter().any(|target| target.is_door);
    let mut build = fuzz(root, "build", doors);
    build.args(arguments.target.as_slice());
    ensure!(build.status().context("cargo cannot be started")?.success(), "the targets cannot be built; see above");
    println!("{:<16} {:>12} {:>9} {:>9}  finding", "target", "executions", "coverage", "inputs");
    let is_clean = fuzz_all(root, targets, doors, &arguments)?;
    if !is_clean {
        eprintln!(
            "mend what was found, and put the input into fuzz/findings/TARGET: `cargo test -p fuzzed` gives it to the target \
             from then on"
        );
    }
    Ok(is_clean)
}

/// One on each core, until there are no more; false if something was found.
fn fuzz_all(root: &Path, targets: Vec<Target>, doors: bool, arguments: &Arguments) -> Result<bool> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let left = Mutex::new(targets.into_iter());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Result<bool> {
        let mut is_clean = true;
        while let Some(Target { name, .. }) = next() {
            let Outcome { executions, coverage, inputs, finding } = fuzzed(root, &name, doors, arguments)?;
            println!("{name:<16} {executions:>12} {coverage:>9} {inputs:>9}  {}", finding.as_deref().unwrap_or("none"));
            is_clean &= finding.is_none();
        }
        Ok(is_clean)
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let mut is_clean = true;
        for worker in workers {
            is_clean &= worker.join().map_err(|_| anyhow!("a target's thread panicked"))??;
        }
        Ok(is_clean)
    })
}

fn parse(arguments: &[String]) -> Result<Arguments> {
    let mut parsed = Arguments { target: None, seconds: SECONDS, keep: false, no_doors: false };
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_str() {
            "--keep" => parsed.keep = true,
            "--no-doors" => parsed.no_doors = true,
            "--seconds" => {
                let seconds = rest.next().and_then(|seconds| seconds.parse().ok()).filter(|&seconds| seconds > 0);
                parsed.seconds = seconds.with_context(|| format!("--seconds wants a number from 1 on; {USAGE}"))?;
            }
            target if !target.starts_with('-') && parsed.target.is_none() => parsed.target = Some(target.to_owned()),
            other => bail!("{other:?} is not known; {USAGE}"),
        }
    }
    Ok(parsed)
}

/// The programs of the manifest, in its order.
fn targets(manifest: &str) -> Vec<Target> {
    let programs = manifest.split("[[bin]]").skip(1).map(|program| {
        let name = program.lines().find_map(|line| line.strip_prefix("name = "));
        let is_door = program.lines().any(|line| line.starts_with("required-features"));
        Target { name: name.unwrap_or_default().trim_matches('"').to_owned(), is_door }
    });
    programs.collect()
}

/// Both are no part of an ordinary set-up.
fn check_tools() -> Result<()> {
    let works = |arguments: &[&str]| {
        let mut command = nightly();
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let mut missing = Vec::new();
    if !works(&["--version"]) {
        missing.push("a nightly toolchain: rustup toolchain install nightly --profile minimal");
    } else if !works(&["fuzz", "--version"]) {
        missing.push("cargo-fuzz: cargo install cargo-fuzz --locked");
    }
    ensure!(missing.is_empty(), "fuzzing needs {}; `cargo test -p fuzzed` needs neither", missing.join(", and "));
    Ok(())
}

fn nightly() -> Command {
    let mut command = Command::new("cargo");
    // Cargo's own, for the toolchain that runs this.
    command.arg("+nightly").env_remove("LD_LIBRARY_PATH");
    command
}

fn fuzz(root: &Path, what: &str, doors: bool) -> Command {
    let mut command = nightly();
    command.args(["fuzz", what]).current_dir(root);
    if !doors {
        command.arg("--no-default-features");
    }
    command
}

/// Runs one target. What it finds to be worth something goes into `.cache`; what is kept in `fuzz/corpus` is only read.
fn fuzzed(root: &Path, target: &str, doors: bool, arguments: &Arguments) -> Result<Outcome> {
    let (found, kept) = (root.join(".cache/fuzz").join(target), root.join("fuzz/corpus").join(target));
    for folder in [&found, &kept] {
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let mut command = fuzz(root, "run", doors);
    command.arg(target).args([&found, &kept]).arg("--").args([
        format!("-max_total_time={}", arguments.seconds),
        format!("-timeout={INPUT_SECONDS_MAX}"),
        format!("-rss_limit_mb={MEMORY_MIB_MAX}"),
        format!("-max_len={INPUT_BYTES_MAX}"),
        "-print_final_stats=1".to_owned(),
    ]);
    let output = command.output().context("cargo cannot be started")?;
    let log = String::from_utf8_lossy(&output.stderr);
    let mut outcome = read(&log);
    if !output.status.success() {
        let log_file = root.join(".cache/fuzz").join(format!("{target}.log"));
        fs::write(&log_file, &*log).with_context(|| format!("{} cannot be written", log_file.display()))?;
        let input = outcome.finding.take().unwrap_or_else(|| "it failed".to_owned());
        outcome.finding = Some(format!("{input}; see {}", log_file.display()));
    } else if arguments.keep {
        keep(root, target, doors, [&kept, &found])?;
    }
    Ok(outcome)
}

/// Adds to what is kept whatever reaches more. By edges alone: by how often each is taken as well, there would be thousands.
fn keep(root: &Path, target: &str, doors: bool, folders: [&Path; 2]) -> Result<()> {
    let mut command = fuzz(root, "run", doors);
    command.arg(target).args(folders).args(["--", "-merge=1", "-use_counters=0"]);
    let output = command.output().context("cargo cannot be started")?;
    ensure!(output.status.success(), "{target}: inputs cannot be merged: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// What libFuzzer tells on its standard error.
fn read(log: &str) -> Outcome {
    let number = |text: &str, after: &str| -> Option<u64> {
        let rest = text.split_once(after)?.1.trim_start();
        rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok()
    };
    let last = |after: &str| log.lines().rev().find_map(|line| number(line, after)).unwrap_or(0);
    let finding =
        log.lines().find_map(|line| line.split_once("Test unit written to ").map(|(_, file)| file.trim().to_owned()));
    Outcome {
        executions: last("stat::number_of_executed_units:"),
        coverage: last(" cov:"),
        inputs: last(" corp:"),
        finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_are_a_target_and_what_to_do_with_it() {
        let parsed = parse(&words("redact --seconds 5")).unwrap();
        assert_eq!((parsed.target.as_deref(), parsed.seconds, parsed.keep), (Some("redact"), 5, false));
        let parsed = parse(&words("--keep")).unwrap();
        assert_eq!((parsed.target, parsed.seconds, parsed.keep), (None, SECONDS, true));
        for wrong in ["--seconds", "--seconds 0", "--fast", "a b"] {
            assert!(parse(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn figures_are_read_from_the_log() {
        let log = "INFO: seed corpus: files: 12\n\
                   #2\tINITED cov: 7 ft: 8 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                   #42\tNEW    cov: 120 ft: 300 corp: 17/2Kb lim: 4 exec/s: 9 rss: 40Mb\n\
                   Done 43 runs in 3 second(s)\nstat::number_of_executed_units: 43\n";
        assert_eq!(read(log), Outcome { executions: 43, coverage: 120, inputs: 17, finding: None });
        let found = read(&format!("{log}artifact_prefix='a/'; Test unit written to a/crash-1\n"));
        assert_eq!(found.finding.as_deref(), Some("a/crash-1"));
    }

    #[test]
    fn targets_are_those_of_the_manifest() {
        let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/Cargo.toml")).unwrap();
        let of = |name: &str, is_door| Target { name: name.to_owned(), is_door };
        let targets = targets(&manifest);
        assert!(targets.contains(&of("classify_stage", false)), "{targets:?}");
        assert!(targets.contains(&of("configuration", true)), "{targets:?}");
        assert!(targets.iter().all(|target| manifest.contains(&format!("fuzz_targets/{}.rs", target.name))));
    }
}
