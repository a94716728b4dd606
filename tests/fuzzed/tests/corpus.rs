//! Every input that is kept, and every finding of the fuzzer, is given to its target: without a fuzzer, on any toolchain.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fuzzed::{TARGETS, Target, seeds};

/// What one input may take here, where nothing is optimised and the machine is busy: more would be a partition that stands still.
const INPUT_TIME_MAX: Duration = Duration::from_secs(20);

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn inputs(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort_unstable();
    files.into_iter().map(|file| (file.clone(), std::fs::read(file).unwrap())).collect()
}

/// A panic names the input that it is of.
fn give(target: &Target, file: &Path, bytes: &[u8]) {
    let started = Instant::now();
    let outcome = std::panic::catch_unwind(|| (target.run)(bytes));
    assert!(outcome.is_ok(), "{}: {}: it panics, see above", target.name, file.display());
    let took = started.elapsed();
    assert!(took < INPUT_TIME_MAX, "{}: {}: {took:?}", target.name, file.display());
}

#[test]
fn nothing_that_is_kept_breaks_a_promise() {
    for target in TARGETS {
        let kept = inputs(&fuzz().join("corpus").join(target.name));
        assert!(!kept.is_empty(), "{}: fuzz/corpus has nothing of it; `fuzz-seeds` makes the first", target.name);
        // Findings are mended: each stays here as a test.
        for (file, bytes) in kept.iter().chain(&inputs(&fuzz().join("findings").join(target.name))) {
            give(target, file, bytes);
        }
    }
}

#[test]
fn the_first_inputs_are_good_for_something() {
    let seeds = seeds::all();
    for target in TARGETS {
        let of_target: Vec<_> = seeds.iter().filter(|seed| seed.target == target.name).collect();
        assert!(!of_target.is_empty(), "{} has none", target.name);
        of_target.iter().for_each(|seed| give(target, Path::new("seeds.rs"), &seed.bytes));
    }
    assert!(seeds.iter().all(|seed| TARGETS.iter().any(|target| target.name == seed.target)));
}

#[cfg(feature = "doors")]
#[test]
fn every_target_is_one_of_the_fuzzer() {
    let manifest = std::fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for target in TARGETS {
        assert!(manifest.contains(&format!("name = \"{}\"", target.name)), "fuzz/Cargo.toml lacks {}", target.name);
    }
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len(), "fuzz/Cargo.toml has others");
}
