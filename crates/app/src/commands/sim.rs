//! `sinyal sim`: a made-up world as JSON Lines.

use std::io::{BufWriter, Write};

use anyhow::Result;
use record::limits;
use sim::{DEFAULT_START, World, WorldConfig, to_json_line};

use super::numbers::above_zero;

/// Arguments of `sinyal sim`.
#[derive(Debug, clap::Args)]
pub(crate) struct SimArgs {
    /// Seed of the world: the same seed gives the same bytes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many deliveries.
    #[arg(long, default_value_t = 1_000)]
    interactions: u64,
    /// When the world begins, from 2000 to 2100: RFC 3339 with a zone, or epoch milliseconds.
    #[arg(long, value_parser = time, allow_negative_numbers = true, default_value_t = DEFAULT_START)]
    start: i64,
    /// How many communities: 1 to 1000000.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    communities: u32,
    /// Interactions per second of the world: above 0, at most 100000.
    #[arg(long, default_value_t = 4.0, value_parser = |text: &str| above_zero(text, 100_000.0))]
    rate: f64,
}

pub(crate) fn run(args: SimArgs) -> Result<()> {
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

/// Where a world may begin: what is earlier than its first is a dead letter, what is later than its last is in the far
/// future of everybody.
const STARTS: std::ops::RangeInclusive<i64> = limits::EARLIEST_EVENT_MS..=4_102_444_800_000;

fn time(text: &str) -> Result<i64, String> {
    let time = match text.parse() {
        Ok(number) => number,
        Err(_) => {
            let time: Result<jiff::Timestamp, _> = text.parse();
            time.map_err(|_| "RFC 3339 with a zone, or epoch milliseconds, is right".to_owned())?.as_millisecond()
        }
    };
    if STARTS.contains(&time) {
        Ok(time)
    } else {
        Err("2000-01-01T00:00:00Z to 2100-01-01T00:00:00Z is right".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read_within_their_range() {
        assert_eq!(time("2026-01-05T07:00:00+07:00"), Ok(DEFAULT_START));
        assert_eq!(time("946684800000"), Ok(946_684_800_000));
        assert_eq!(time("2100-01-01T00:00:00Z"), Ok(4_102_444_800_000));
        for wrong in ["", "yesterday", "2026-01-05", "1999-12-31T23:59:59Z", "2100-01-01T00:00:01Z", "-1", "1767571200"]
        {
            assert!(time(wrong).is_err_and(|error| error.ends_with("is right")), "{wrong}");
        }
    }
}
