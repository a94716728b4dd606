//! `sinyal alerts ack|silence|unsilence`: an action is sent, and the community stage decides.

use anyhow::{Result, bail};
use record::{Action, decode_key, encode_key, limits};
use rules::alerts::Rule;
use wire::OfAlert;

use super::super::actions::{Acting, Watch, name, reason, send, tell};
use super::super::stored::{Decoding, newest_of_key};
use super::super::times::{duration_up_to, now_ms, shown};
use super::super::waiting::wait_for_topic;
use super::show::missing;
use crate::cli::OK;
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct AckArgs {
    /// The alert's id, as `alerts list` prints it.
    #[arg(value_parser = id)]
    id: String,
    /// Why.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    #[command(flatten)]
    acting: Acting,
}

#[derive(Debug, clap::Args)]
pub(super) struct SilenceArgs {
    /// The community, or COMMUNITY|RULE; with all but letters, digits, '-', '.', '_' and '~' as %XX.
    #[arg(value_name = "COMMUNITY[|RULE]", value_parser = target)]
    target: String,
    /// For how long: up to 30d.
    #[arg(long = "for", value_name = "TIME", value_parser = |text: &str| duration_up_to(text, "30d"))]
    for_ms: i64,
    /// Who answers for it.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, value_parser = name)]
    by: String,
    /// Why.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct UnsilenceArgs {
    /// The community, or COMMUNITY|RULE, as it was silenced.
    #[arg(value_name = "COMMUNITY[|RULE]", value_parser = target)]
    target: String,
    /// Who ends it.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, value_parser = name)]
    by: String,
    /// Why.
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

pub(super) fn acknowledge(args: &AckArgs, config: &Config) -> Result<u8> {
    let AckArgs { id, reason, acting } = args;
    let topic = config.topics.alerts.as_str();
    if acting.wait.is_some() || !acting.force {
        wait_for_topic(config, topic)?;
    }
    let watch = acting.wait.map(|wait| Watch::begin(config, topic, wait)).transpose()?;
    let mut decoding = Decoding::<OfAlert>::new(config);
    if !acting.force {
        let value = newest_of_key(config, topic, id)?;
        let alert = match &value {
            Some(value) => decoding.decode(value)?,
            None => None,
        };
        let Some(alert) = alert else { return Err(missing(id, config).into()) };
        match (&*alert.state, alert.acknowledged_by.as_deref()) {
            ("resolved", _) => bail!("{id} is over; nothing was sent (--force sends it all the same)"),
            ("acknowledged", Some(by)) if by != acting.by => {
                bail!("{id} is acknowledged by {by}; nothing was sent (--force sends it all the same)");
            }
            _ => {}
        }
    }
    let action = Action {
        kind: "acknowledge_alert".into(),
        target: id.as_str().into(),
        by: acting.by.as_str().into(),
        at: now_ms(),
        until: None,
        reason: reason.as_deref().map(Into::into),
    };
    send(config, &community_of(id), &action)?;
    let mut state = None;
    let mut words = format!("sent: acknowledge {id} by {}", acting.by);
    if let Some(watch) = watch {
        let found = watch.until(|record| {
            let Some(value) = record.value.filter(|_| record.key.as_deref() == Some(id.as_bytes())) else {
                return Ok(None);
            };
            let Some(alert) = decoding.decode(&value)? else { return Ok(None) };
            let done = alert.acknowledged_by.as_deref() == Some(&*action.by);
            let over = alert.state == "resolved" || (alert.acknowledged_by.is_some() && !done);
            Ok(if done || over { Some((done, serde_json::to_value(&alert)?)) } else { None })
        })?;
        let Some((done, row)) = found else {
            bail!(
                "{id}: the action was sent, but {topic} does not show it yet; does `sinyal run --role community` run? \
                 `sinyal alerts show` tells how it stands"
            );
        };
        words = format!("{id} is {}", row["state"].as_str().unwrap_or_default());
        if let Some(by) = row["acknowledged_by"].as_str() {
            words += &format!(", taken by {by}");
        }
        if !done {
            bail!("{words}: that came first");
        }
        state = Some(row);
    }
    tell(&action, state.as_ref(), acting.json, &words)?;
    Ok(OK)
}

pub(super) fn silence(args: &SilenceArgs, config: &Config) -> Result<u8> {
    let now = now_ms();
    let until = now + args.for_ms;
    let action = Action {
        kind: "silence".into(),
        target: args.target.as_str().into(),
        by: args.by.as_str().into(),
        at: now,
        until: Some(until),
        reason: Some(args.reason.as_str().into()),
    };
    send(config, &first_part(&args.target), &action)?;
    let words = format!("sent: no alerts of {} until {}, by {}: {}", args.target, shown(until), args.by, args.reason);
    tell(&action, None, args.json, &words)?;
    Ok(OK)
}

pub(super) fn unsilence(args: &UnsilenceArgs, config: &Config) -> Result<u8> {
    let action = Action {
        kind: "unsilence".into(),
        target: args.target.as_str().into(),
        by: args.by.as_str().into(),
        at: now_ms(),
        until: None,
        reason: args.reason.as_deref().map(Into::into),
    };
    send(config, &first_part(&args.target), &action)?;
    tell(&action, None, args.json, &format!("sent: alerts of {} are sent again, by {}", args.target, args.by))?;
    Ok(OK)
}

/// The community in an alert's id.
fn community_of(id: &str) -> String {
    decode_key(id).and_then(|parts| parts.into_iter().nth(1)).unwrap_or_default()
}

fn first_part(target: &str) -> String {
    decode_key(target).and_then(|parts| parts.into_iter().next()).unwrap_or_default()
}

/// An alert's id as it is typed.
pub(super) fn id(text: &str) -> Result<String, String> {
    let parts = decode_key(text).filter(|parts| parts.len() == 3 && parts.iter().all(|part| !part.is_empty()));
    match parts {
        Some(parts) if parts[2].parse::<i64>().is_ok() => {
            Ok(encode_key(&parts.iter().map(String::as_str).collect::<Vec<_>>()))
        }
        _ => Err("rule|community|start is right, in quotation marks and as `alerts list` prints it".to_owned()),
    }
}

/// What is silenced as it is typed: each part may be percent-encoded or not.
fn target(text: &str) -> Result<String, String> {
    let fits = |parts: &Vec<String>| {
        (1..=2).contains(&parts.len()) && parts.iter().all(|part| !part.is_empty() && part.len() <= limits::ID_BYTES)
    };
    let Some(parts) = decode_key(text).filter(fits) else {
        return Err("a community, or community|rule in quotation marks, is right".to_owned());
    };
    let known = Rule::ALL.map(|rule| rule.as_str());
    match parts.get(1).filter(|rule| !known.contains(&rule.as_str())) {
        Some(rule) => Err(format!("{rule:?} is no alert rule; {} is right", known.join(", "))),
        None => Ok(encode_key(&parts.iter().map(String::as_str).collect::<Vec<_>>())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        assert_eq!(target("warga kota"), Ok("warga%20kota".to_owned()));
        assert_eq!(target("warga%20kota|complaint_spike"), Ok("warga%20kota|complaint_spike".to_owned()));
        assert_eq!(first_part("warga%20kota|complaint_spike"), "warga kota");
        for wrong in ["", "a|", "warga|complaint-spike", "|b", "a|b|c", "%FF", &"a".repeat(257)] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn ids_name_their_community() {
        assert_eq!(id("spike|warga%20kota|1000").as_deref(), Ok("spike|warga%20kota|1000"));
        assert_eq!(community_of("spike|warga%20kota|1000"), "warga kota");
        for wrong in ["spike", "spike|c", "spike|c|x", "|c|1"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }
}
