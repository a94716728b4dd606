//! `sinyal status`: how the pipeline stands, by what Kafka tells of it.

mod follow;
mod report;

use std::time::{Duration, Instant};

use anyhow::Result;
use kafka_io::{Clock, SystemClock};
use rules::blindness::{Kind, Settings, Verdict};

use crate::cli::{BLIND, OK, say};
use crate::commands::state_notes::state_notes;
use crate::config::Config;
use crate::roles::notify::observer::{History, Look, LookError};
use crate::telemetry::start_logging;

/// Arguments of `sinyal status`.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    /// JSON: one object, or with `--follow` one in each line.
    #[arg(long)]
    json: bool,
    /// Go on until interrupted, and say whenever it changes. What is told then has held for `blindness.begin_ms`.
    #[arg(long)]
    follow: bool,
    /// How long to look for whether it has caught up, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3_600), conflicts_with = "follow")]
    wait: u64,
}

/// How long to learn when sources usually speak; of what is not learned by then nothing is concluded.
const LEARN_FOR: Duration = Duration::from_secs(30);
/// How often to look.
const LOOK_EVERY: Duration = Duration::from_millis(700);
/// How many looks tell whether what does not move is read: the second shows what has not moved since the first.
const LOOKS_MIN: u32 = 2;

pub(crate) fn run(args: &StatusArgs, config: Config) -> Result<u8> {
    start_logging("off", "auto")?;
    if args.follow {
        return follow::follow(config, args.json);
    }
    let now = SystemClock.now_ms();
    // What is so now is told at once: whoever asks wants to know, and is not woken by it.
    let judged = Settings { begin_ms: 0, end_ms: 0, ..config.blindness.judged.clone() };
    let (look, verdict) = look(args, &config, judged, now).map_err(LookError::into_failure)?;
    let notes = state_notes(&config);
    let report = report::Report::of(&look, &verdict, &config, SystemClock.now_ms()).with_state(notes, &config);
    if args.json {
        say(report.json())?;
    } else {
        say(report.text())?;
    }
    Ok(if verdict.is_well() { OK } else { BLIND })
}

fn look(args: &StatusArgs, config: &Config, judged: Settings, now: i64) -> Result<(Look, Verdict), LookError> {
    let mut look = Look::open(config, config.connection(), judged, now)?;
    let mut history = History::rough(now);
    look.learn(&mut history, usize::MAX, LEARN_FOR);
    let until = Instant::now() + Duration::from_secs(args.wait);
    let mut looks = 0;
    loop {
        let verdict = look.observe(SystemClock.now_ms())?;
        looks += 1;
        // With traffic something is always under way: behind for the moment alone is not behind. A stage that lags is.
        let lags = |kind| matches!(kind, Kind::Lag | Kind::HeldWatermark);
        let settled = verdict.behind.is_none() || verdict.blind.iter().any(|condition| lags(condition.kind));
        if looks >= LOOKS_MIN && settled || Instant::now() >= until {
            return Ok((look, verdict));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
