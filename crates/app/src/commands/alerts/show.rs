//! `sinyal alerts show`: an alert with its evidence.

use std::fmt::Write;

use anyhow::Result;
use record::{Alert, EpochMs};
use wire::OfAlert;

use super::super::stored::{Decoding, newest_of_key};
use super::super::tables::printable;
use super::super::times::{length, now_ms, shown};
use super::super::waiting::wait_for_topic;
use super::act::id;
use super::list::remarks;
use crate::cli::{OK, OutsideError, say};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Its id, as `alerts list` prints it.
    #[arg(value_parser = id)]
    id: String,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ShowArgs, config: &Config) -> Result<u8> {
    wait_for_topic(config, &config.topics.alerts)?;
    let value = newest_of_key(config, &config.topics.alerts, &args.id)?;
    let mut decoding = Decoding::<OfAlert>::new(config);
    let alert = match &value {
        Some(value) => decoding.decode(value)?,
        None => None,
    };
    let Some(alert) = alert else { return Err(missing(&args.id, config).into()) };
    if args.json {
        say(serde_json::to_string(&alert)?)?
    } else {
        say(words(&alert, now_ms()).trim_end())?
    }
    Ok(OK)
}

/// What is wrong where there is no such alert.
pub(super) fn missing(id: &str, config: &Config) -> OutsideError {
    let topic = &config.topics.alerts;
    OutsideError(format!("{id}: {topic} has no such alert; `sinyal alerts list --all` shows what there is"))
}

fn words(alert: &Alert<'_>, now: EpochMs) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let mut line = |name: &str, text: &str| {
        let text = printable(text);
        let _ = writeln!(out, "{name:<14} {text}");
    };
    let ago = |at: EpochMs| format!("{}, {} ago", shown(at), length(now - at));
    line("alert", &alert.id);
    line("", &alert.summary_en);
    line("", &alert.summary_id);
    line("state", &format!("{}, {}", alert.state, alert.severity));
    for remark in remarks(alert, now) {
        line("", &remark);
    }
    line("rule", &format!("{}, over {}", alert.rule, alert.window));
    line("community", &alert.community_id);
    line("began", &ago(alert.started_at));
    if let Some(at) = alert.fired_at {
        line("fired", &ago(at));
    }
    if let Some(at) = alert.acknowledged_at {
        line("acknowledged", &ago(at));
    }
    if let Some(at) = alert.resolved_at {
        line("over", &format!("{}, after {}", ago(at), length(at - alert.started_at)));
    }
    line("as of", &ago(alert.updated_at));
    line("observed", &number(alert.observed));
    if let Some(expected) = alert.expected {
        line("expected", &number(expected));
    }
    if let Some(score) = alert.score {
        line("score", &number(score));
    }
    if let Some(authors) = alert.distinct_authors {
        let new = alert.new_author_share.map(|share| format!(", {:.0} % never seen before", share * 100.0));
        line("authors", &format!("{authors}{}", new.unwrap_or_default()));
    }
    if let Some(share) = alert.near_duplicate_share {
        line("near-duplicate", &format!("{:.0} % of the texts", share * 100.0));
    }
    for (place, sample) in alert.samples.iter().enumerate() {
        line(if place == 0 { "samples" } else { "" }, sample);
    }
    for (place, link) in alert.links.iter().enumerate() {
        line(if place == 0 { "links" } else { "" }, link);
    }
    out
}

/// A figure with as many digits as a person reads.
fn number(figure: f64) -> String {
    if figure.fract() == 0.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

#[cfg(test)]
mod tests {
    use super::super::list::tests::alert;
    use super::*;

    #[test]
    fn the_evidence_is_shown() {
        let told = words(&alert(), 121_000);
        for expected in [
            "               Complaints rise.\n               Keluhan naik.\n",
            "state          firing, critical\n",
            "observed       41\nexpected       6.25\n",
            "authors        33, 50 % never seen before\n",
            "near-duplicate 12 % of the texts\n",
            "samples        warga%20kota|comment|7\n",
            "links          https://example.org/d\n",
        ] {
            assert!(told.contains(expected), "{expected:?} in\n{told}");
        }
    }
}
