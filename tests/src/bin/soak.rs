//! `cargo xtask soak`: hours of a feed with a fault every minute, then a verdict and a plot.
#![allow(clippy::print_stdout)] // It is a command-line program.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sinyal_tests::machine::commit;
use sinyal_tests::soak::Soak;
use sinyal_tests::workspace;

const USAGE: &str = "usage: cargo xtask soak [--minutes N] [--rate R] [--seed S] [--communities N] [--out FILES] \
                     | cargo xtask soak plot FILES.csv";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [plot, csv] = arguments.as_slice()
        && plot == "plot"
    {
        return tell(
            Soak::look_again(Path::new(csv))?,
            "what was sampled is well; whether all was counted, only a whole run tells",
        );
    }
    let mut soak = Soak { minutes: 120, rate: RATE, seed: 1, communities: 600, out: out()?, commit: commit() };
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{argument} wants a value; {USAGE}"))?;
        let wrong = || format!("{argument} {value}: a number is right; {USAGE}");
        match argument.as_str() {
            "--minutes" => soak.minutes = value.parse().with_context(wrong)?,
            "--rate" => soak.rate = value.parse().with_context(wrong)?,
            "--seed" => soak.seed = value.parse().with_context(wrong)?,
            "--communities" => soak.communities = value.parse().with_context(wrong)?,
            "--out" => soak.out = PathBuf::from(value),
            _ => bail!("{argument}; {USAGE}"),
        }
    }
    ensure!(soak.minutes >= 1 && soak.rate >= 1 && soak.communities >= 1, "1 or more is right; {USAGE}");
    println!("{} minutes at {} raw records a second, into {}.csv", soak.minutes, soak.rate, soak.out.display());
    let told = soak.run(&mut |line| println!("{line}"));
    let again = || format!("FAILED; `cargo xtask soak plot {}.csv` draws what there is", soak.out.display());
    tell(told.with_context(again)?, "PASSED")
}

/// Half of about what two cores bore with a fault each minute, beside three brokers, before commits followed what brokers bear: at 2,500 a
/// second the community role read 1,900, since most of each minute went by in restoring state.
const RATE: u32 = 1_000;

/// In `benches/results`, by the day.
fn out() -> Result<PathBuf> {
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
    Ok(workspace().join("benches/results").join(format!("{day}-soak")))
}

fn tell((text, well): (String, bool), passed: &str) -> Result<()> {
    println!("{text}");
    ensure!(well, "something grows, or did not run all the time: see above");
    println!("{passed}");
    Ok(())
}
