//! `sinyal communities list|check|put`: the community registry.

mod put;

use std::path::PathBuf;

use anyhow::Result;
use rules::{Communities, Community, WEEKDAYS};
use serde_json::{Value, json};

use crate::cli::{OK, say};
use crate::communities::read;
pub(crate) use put::{PutArgs, put};

use crate::config::{Config, ConfigErrors};
use crate::telemetry::start_logging;

/// Arguments of `sinyal communities`.
#[derive(Debug, clap::Args)]
pub(crate) struct CommunitiesArgs {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Those of the configured registry, and what holds for the rest. Brand accounts are counted, not shown.
    List {
        /// A JSON object a line; the last one, without an id, is what holds for the rest.
        #[arg(long)]
        json: bool,
    },
    /// Look at a file: ok, or everything that is wrong with it. Needs no configuration.
    Check {
        /// The file: TOML, or JSON where its name ends in .json.
        file: PathBuf,
    },
    /// Write a file's communities, and its default, to the registry's topic (`communities.topic`): those that say something new.
    #[command(after_help = "\
Examples:
  sinyal communities put communities.toml --config sinyal.toml
  sinyal communities put communities.toml --prune --dry-run               what would be put and taken out
  sinyal communities put communities.toml --prune --config sinyal.toml    and take the others out")]
    Put(PutArgs),
}

/// `sinyal communities check`.
///
/// # Errors
/// Every mistake in the file.
pub(crate) fn check(file: &std::path::Path) -> Result<u8> {
    start_logging("warn", "auto")?;
    let communities = read(file).map_err(ConfigErrors)?.registry;
    say(format_args!("ok    {}: {}", file.display(), summary(&communities)))?;
    Ok(OK)
}

/// `sinyal communities list`, of a configuration with the registry as it is now.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn list(json: bool, config: &Config) -> Result<u8> {
    start_logging("warn", "auto")?;
    let all = config.communities.iter().chain([config.communities.default_community()]);
    if json {
        for community in all {
            say(as_json(community))?;
        }
        return Ok(OK);
    }
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    table.set_header([
        "id",
        "name",
        "time zone",
        "language",
        "open hours a week",
        "holidays",
        "brand accounts",
        "department",
    ]);
    for community in all {
        let listed = !community.id.is_empty();
        table.add_row([
            if listed { community.id.clone() } else { "(any other)".to_owned() },
            community.name.clone(),
            community.time_zone.clone(),
            community.language.as_str().to_owned(),
            format!("{:.1}", f64::from(community.open_minutes_a_week()) / 60.0),
            community.holidays.len().to_string(),
            community.brand_accounts.len().to_string(),
            community.department.clone().unwrap_or_else(|| "the queue's".to_owned()),
        ]);
    }
    say(table)?;
    Ok(OK)
}

fn as_json(community: &Community) -> Value {
    let hours = WEEKDAYS.iter().zip(community.business_hours.iter());
    json!({
        "id": community.id,
        "name": community.name,
        "time_zone": community.time_zone,
        "language": community.language.as_str(),
        "business_hours": hours.map(|(day, ranges)| ((*day).to_owned(), json!(ranges))).collect::<serde_json::Map<_, _>>(),
        "holidays": community.holidays.iter().map(|day| json!({ "date": day.date, "name": day.name })).collect::<Vec<_>>(),
        "brand_accounts": community.brand_accounts.len(),
        "department": community.department,
        "links": *community.links,
    })
}

/// A registry in a few words.
pub(crate) fn summary(communities: &Communities) -> String {
    let default = communities.default_community();
    format!(
        "{} communities listed; for others {} and {:.1} open hours a week hold",
        communities.len(),
        default.time_zone,
        f64::from(default.open_minutes_a_week()) / 60.0
    )
}

#[cfg(test)]
mod tests {
    use rules::CommunitySpec;

    use super::*;

    #[test]
    fn a_community_is_shown_without_its_accounts() {
        let spec = CommunitySpec {
            id: "a".to_owned(),
            brand_accounts: Some(vec!["178".to_owned()]),
            ..CommunitySpec::default()
        };
        let communities = Communities::new(&CommunitySpec::default(), &[spec]).unwrap();
        let shown = as_json(communities.get("a"));
        assert_eq!(
            (&shown["brand_accounts"], &shown["business_hours"]["monday"]),
            (&json!(1), &json!(["08:00-17:00"]))
        );
        assert!(!shown.to_string().contains("178"), "{shown}");
        let expected = "1 communities listed; for others Asia/Jakarta and 45.0 open hours a week hold";
        assert_eq!(summary(&communities), expected);
    }
}
