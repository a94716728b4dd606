//! Inputs that are like those that are kept, at random: what the fuzzer does, without seeing what they reach. `FUZZ_SEED` and `FUZZ_TURNS`
//! (inputs for each target) go further than a test has time for; `FUZZ_TARGET` names one.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use fuzzed::{TARGETS, seeds};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Longest input.
const BYTES_MAX: usize = 8_192;
/// Longer ones are told of, in milliseconds.
const SLOW_MS: u128 = 5_000;

/// Where the last panic was.
static PLACE: Mutex<String> = Mutex::new(String::new());

struct Dice(ChaCha8Rng);

impl Dice {
    /// 0 to `sides` − 1.
    fn roll(&mut self, sides: usize) -> usize {
        (self.0.next_u64() % sides.max(1) as u64) as usize
    }

    /// A stretch of so many bytes, which may be empty.
    fn range(&mut self, bytes: usize) -> std::ops::Range<usize> {
        let start = self.roll(bytes + 1);
        start..start + self.roll((bytes - start).min(64) + 1)
    }

    fn mutate(&mut self, input: &mut Vec<u8>, other: &[u8]) {
        const BYTES: [u8; 8] = [0, 1, 2, 0x20, 0x7f, 0x80, 0xfe, 0xff];
        let at = self.roll(input.len());
        match self.roll(8) {
            0 if !input.is_empty() => input[at] ^= 1 << self.roll(8),
            1 if !input.is_empty() => input[at] = BYTES[self.roll(BYTES.len())],
            2 if !input.is_empty() => input[at] = self.0.next_u32() as u8,
            3 => drop(input.drain(self.range(input.len()))),
            4 => {
                let range = self.range(input.len());
                let copied = input[range].to_vec();
                input.splice(at..at, copied);
            }
            5 => {
                let copied = &other[self.range(other.len())];
                input.splice(at..at, copied.iter().copied());
            }
            6 => {
                let number = [0, 1, i64::MAX, i64::MIN, -1, 1 << 31, self.0.next_u64().cast_signed()][self.roll(7)];
                let bytes = number.to_le_bytes();
                let kept = [1, 2, 4, 8][self.roll(4)];
                let end = (at + kept).min(input.len());
                input.splice(at..end, bytes.into_iter().take(kept));
            }
            // As a variable number of Avro and postcard: large ones are long.
            _ => input.splice(at..at, [0xff; 10].into_iter().take(self.roll(10)).chain([1])).for_each(drop),
        }
        input.truncate(BYTES_MAX);
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

#[test]
fn what_is_like_them_breaks_no_promise_either() {
    let (seed, turns) = (number("FUZZ_SEED", 1), number("FUZZ_TURNS", 100));
    let only = std::env::var("FUZZ_TARGET").ok();
    eprintln!("FUZZ_SEED={seed} FUZZ_TURNS={turns}");
    std::panic::set_hook(Box::new(|panic| {
        *PLACE.lock().unwrap() = panic.to_string().lines().take(2).collect::<Vec<_>>().join(" ");
    }));
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(seed));
    let mut findings: BTreeMap<String, String> = BTreeMap::new();
    for target in TARGETS.iter().filter(|target| only.as_ref().is_none_or(|only| only == target.name)) {
        let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target.name);
        let mut files: Vec<_> = std::fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort_unstable();
        let inputs = files.into_iter().map(|file| std::fs::read(file).unwrap());
        let first = seeds::all().into_iter().filter(|seed| seed.target == target.name).map(|seed| seed.bytes);
        let inputs: Vec<Vec<u8>> = inputs.chain(first).collect();
        for turn in 0..turns {
            let mut input = inputs[dice.roll(inputs.len())].clone();
            for _ in 0..=dice.roll(4) {
                let other = dice.roll(inputs.len());
                dice.mutate(&mut input, &inputs[other]);
            }
            let started = Instant::now();
            let outcome = std::panic::catch_unwind(|| (target.run)(&input));
            let ms = started.elapsed().as_millis();
            let what = match outcome {
                Ok(()) if ms < SLOW_MS => continue,
                Ok(()) => format!("{}: it takes {} s", target.name, ms / 1_000),
                Err(_) => format!("{}: {}", target.name, PLACE.lock().unwrap()),
            };
            let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{seed}-{turn}", target.name));
            // Of each place once: the shortest of its inputs would be better, and is for the fuzzer to find.
            findings.entry(what).or_insert_with(|| {
                std::fs::write(&file, &input).unwrap();
                file.display().to_string()
            });
        }
    }
    let _ = std::panic::take_hook();
    assert!(findings.is_empty(), "FUZZ_SEED={seed} FUZZ_TURNS={turns}: {findings:#?}");
}
