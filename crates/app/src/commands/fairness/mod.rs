//! `sinyal fairness`: whether answers take longer for some than for others.

mod told;
mod waits;

use anyhow::Result;
use fairness::{Settings, report};
use serde_json::json;

use super::times::{Moment, moment, now_ms};
use super::waiting::wait_for_topic;
use crate::cli::{OK, say};
use crate::config::Config;

/// Arguments of `sinyal fairness`.
///
/// Two waits are looked at, from when somebody wrote: until the brand answered or a responder closed it (response), and until
/// somebody took it up, by claiming, answering or closing it (queue). Who still waits counts with the time so far (Kaplan–Meier
/// medians, log-rank tests, Cox's hazard ratios), and each queue is compared with itself alone. Reach is measured for this and moves
/// no priority.
#[derive(Debug, clap::Args)]
pub(crate) struct FairnessArgs {
    /// Only what was written since then: a time (RFC 3339), or so long ago. Items are known for about eight days.
    #[arg(long, value_name = "WHEN", default_value = "7d", value_parser = moment)]
    since: Moment,
    /// Only what went to this queue.
    #[arg(long)]
    queue: Option<String>,
    /// One JSON object instead of words and tables.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &FairnessArgs, config: &Config) -> Result<u8> {
    for topic in [&config.topics.queue_state, &config.topics.actions, &config.topics.classified] {
        wait_for_topic(config, topic)?;
    }
    let now = now_ms();
    let since = args.since.ms(now);
    let items = waits::items(config, since, args.queue.as_deref(), now)?;
    let asked = waits::questions(&items);
    let settings = Settings::default();
    let questions: Vec<_> = asked.iter().map(|(_, question)| question.clone()).collect();
    let answers = report(&questions, &settings);
    let comparisons = answers.iter().map(|answer| answer.comparisons.len()).sum();
    if args.json {
        let told: Vec<_> = asked
            .iter()
            .zip(&answers)
            .map(|((about, _), answer)| {
                json!({
                    "wait": about.wait, "by": about.by, "groups": answer.groups, "comparisons": answer.comparisons,
                    "statements": told::statements(about, answer, &settings, comparisons),
                })
            })
            .collect();
        say(json!({
            "since": since, "until": now, "queue": args.queue, "items": items.len(), "settings": settings, "questions": told,
            "statement": told::overall(&answers),
        }))?;
        return Ok(OK);
    }
    say(told::overall(&answers))?;
    for ((about, _), answer) in asked.iter().zip(&answers) {
        say(format!("\n{}", about.title()))?;
        for statement in told::statements(about, answer, &settings, comparisons) {
            say(statement)?;
        }
        say(told::table(answer))?;
    }
    Ok(OK)
}
