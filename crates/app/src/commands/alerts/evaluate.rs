//! `sinyal alerts evaluate`: the alert rules on made-up community-months with known truth, beside others.

mod detectors;
mod replay;
mod report;
mod tuning;

use std::ops::Range;

use anyhow::{Result, ensure};
use rules::alerts::AlertRules;

use crate::cli::say;

/// The seeds by which defaults and thresholds are tuned; no evaluation may use them.
const TUNING_SEEDS: Range<u64> = 0..400;

/// Below this, seeds are for tuning.
const EVALUATION_SEEDS_FROM: u64 = 1_000;

/// Arguments of `sinyal alerts evaluate`.
#[derive(Debug, clap::Args)]
pub(crate) struct EvaluateArgs {
    /// Seeds of the community-months, A..B without B; not below 1000: those are for tuning.
    #[arg(long, default_value = "2000000..2000200", value_parser = seeds)]
    seeds: Range<u64>,
    /// How many community-months, from the first seed on: 1 to 100000; in place of the end of --seeds.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    months: Option<u64>,
    /// One JSON object instead of tables.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &EvaluateArgs, rules: &AlertRules) -> Result<()> {
    let EvaluateArgs { seeds, months, json } = args;
    let seeds = months.map_or(seeds.clone(), |months| seeds.start..seeds.start.saturating_add(months));
    ensure!(seeds.end - seeds.start <= 100_000, "--seeds {}..{}: at most 100000 is right", seeds.start, seeds.end);
    // Months come in steps of ten seconds, whatever the windows are.
    let rules = &AlertRules { step_ms: detectors::STEP_MS, ..rules.clone() };
    let tuning = tuning::tune(TUNING_SEEDS, rules);
    let judged = replay::for_each(seeds.clone(), |seed| replay::judge(seed, rules, &tuning.tuned));
    let tuned: Vec<String> =
        tuning.tuned.iter().map(|tuned| format!("{} ≥ {:.2}", tuned.kind.describe(), tuned.threshold)).collect();
    if *json {
        let mut value = report::to_json(&judged);
        value["seeds"] = format!("{}..{}", seeds.start, seeds.end).into();
        value["tuning"] = serde_json::json!({
            "community_months": tuning.months, "false_pages_of_rules": tuning.false_pages,
            "false_pages_allowed": tuning.allowed, "detectors": tuned,
        });
        say(value)?;
        return Ok(());
    }
    say(format!("{} community-months, seeds {}..{}", judged.len(), seeds.start, seeds.end))?;
    say(format!(
        "the rules have {} false pages in {} other community-months (seeds {}..{}), by which the others are tuned, to at most {} each: {}",
        tuning.false_pages,
        tuning.months,
        TUNING_SEEDS.start,
        TUNING_SEEDS.end,
        tuning.allowed,
        tuned.join("; "),
    ))?;
    say(report::table(&judged))?;
    say(report::false_pages(&judged))?;
    let repeats: usize = judged.iter().map(|month| month.outcomes[0].repeats).sum();
    say(format!(
        "Delay is from the start of the ramp; a crisis that is not told of counts as never. In {repeats} cases the rules told of a \
         crisis once more, after they had held it for over."
    ))?;
    Ok(())
}

fn seeds(text: &str) -> Result<Range<u64>, String> {
    let range = text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range
        .filter(|range: &Range<u64>| range.start >= EVALUATION_SEEDS_FROM && range.start < range.end)
        .ok_or_else(|| format!("A..B with {EVALUATION_SEEDS_FROM} <= A < B is right"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_of_tuning_are_refused() {
        assert_eq!(seeds("1000..1200"), Ok(1_000..1_200));
        for wrong in ["999..1200", "0..10", "5", "1200..1200", "a..b", ""] {
            assert!(seeds(wrong).is_err_and(|error| error.ends_with("is right")), "{wrong}");
        }
    }
}
