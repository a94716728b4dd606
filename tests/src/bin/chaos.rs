//! `cargo xtask chaos`: minutes of faults on a cluster of three brokers, then a verdict for each seed.
#![allow(clippy::print_stdout)] // It is a command-line program.

use anyhow::{Context, Result, bail};
use sinyal_tests::chaos::Chaos;

const USAGE: &str =
    "usage: cargo xtask chaos [--seed S[,S...]] [--interactions N] [--communities N] [--rate N] [--deep]";

fn main() -> Result<()> {
    let mut chaos = Chaos { seed: 1, interactions: 200_000, communities: 200, rate: 1_200, deep: false };
    let mut seeds = vec![1];
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--deep" {
            chaos.deep = true;
            continue;
        }
        let value = arguments.next().with_context(|| format!("{argument} wants a value; {USAGE}"))?;
        let wrong = || format!("{argument} {value}: a number is right; {USAGE}");
        match argument.as_str() {
            "--seed" => {
                seeds = value.split(',').map(|seed| seed.parse().with_context(wrong)).collect::<Result<_>>()?;
            }
            "--interactions" => chaos.interactions = value.parse().with_context(wrong)?,
            "--communities" => chaos.communities = value.parse().with_context(wrong)?,
            "--rate" => chaos.rate = value.parse().with_context(wrong)?,
            _ => bail!("{argument}; {USAGE}"),
        }
    }
    for seed in seeds {
        println!("seed {seed}: {} interactions in {} communities", chaos.interactions, chaos.communities);
        let verdict = Chaos { seed, ..chaos }.run(&mut |line| println!("{line}"));
        let verdict = verdict.with_context(|| format!("FAILED; again with: cargo xtask chaos --seed {seed}"))?;
        println!("seed {seed} PASSED: {verdict}");
    }
    Ok(())
}
