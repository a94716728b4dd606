//! `sinyal sim`: a made-up world as JSON Lines.

use std::io::{BufWriter, Write};

use anyhow::Result;
use sim::{DEFAULT_START, World, WorldConfig, to_json_line};

/// Arguments of `sinyal sim`.
#[derive(Debug, clap::Args)]
pub(crate) struct SimArgs {
    /// Seed of the world: the same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many deliveries.
    #[arg(long, default_value_t = 1_000)]
    interactions: u64,
    /// When the world begins: RFC 3339 with a zone, or epoch milliseconds.
    #[arg(long, value_parser = time, default_value_t = DEFAULT_START)]
    start: i64,
    /// How many communities: 1 to 1000000.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    communities: u32,
    /// Interactions per second of the world: above 0, at most 100000.
    #[arg(long, default_value_t = 4.0)]
    rate: f64,
}

pub(crate) fn run(args: SimArgs) -> Result<()> {
    anyhow::ensure!(
        args.rate > 0.0 && args.rate <= 100_000.0,
        "--rate is {}; above 0 and at most 100000 is right",
        args.rate
    );
    let config = WorldConfig {
        start: args.start,
        communities: args.communities as usize,
        members: (args.communities as usize * 500).max(4_000),
        rate_per_second: args.rate,
        ..WorldConfig::default()
    };
    let mut world = World::new(args.seed, config);
    let mut out = BufWriter::new(std::io::stdout().lock());
    for _ in 0..args.interactions {
        writeln!(out, "{}", to_json_line(&world.next_interaction()))?;
    }
    out.flush()?;
    Ok(())
}

fn time(text: &str) -> Result<i64, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let time: jiff::Timestamp = text
        .parse()
        .map_err(|_| format!("{text:?} is no time; RFC 3339 with a zone, or epoch milliseconds, is right"))?;
    Ok(time.as_millisecond())
}
