//! `sinyal erase`: what there is of a person, and taking it out.
//!
//! The community stage does it, told by an action for each community that the person was seen in; this command finds those, sends the
//! actions, and looks what is left. The author's id goes no further than this process: actions carry the author's key.

mod found;
mod raw;
mod report;

use std::collections::BTreeMap;
use std::io::Read;
use std::time::{Duration, Instant};

use anyhow::Result;
use record::{Action, EpochMs, encode_key, limits};

use self::found::{Found, Person};
use self::report::Report;
use super::actions::{name, send};
use super::times::{duration_up_to, now_ms};
use super::waiting::wait_for_topic;
use crate::cli::{FAILURE, OK, say};
use crate::config::{Config, ConfigErrors, MAKE_SECRET};

/// Arguments of `sinyal erase`.
#[derive(Debug, clap::Args)]
pub(crate) struct EraseArgs {
    /// The platform's id of the author; `-` reads it from standard input, where no list of processes shows it.
    #[arg(long, value_name = "ID", value_parser = author)]
    author: Author,
    /// Do it. Without this it only says what it would do.
    #[arg(long)]
    execute: bool,
    /// Only say what it would do; that is so without this too.
    #[arg(long, conflicts_with = "execute")]
    dry_run: bool,
    /// Who asks for it, as it stands in the action.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, value_parser = name,
        required_if_eq("execute", "true"))]
    by: Option<String>,
    /// Wait until nothing is left that can be taken out, up to so long: 2m if nothing is said.
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "2m", require_equals = true,
        requires = "execute", value_parser = |text: &str| duration_up_to(text, "1h"))]
    wait: Option<i64>,
    /// Leave out the raw topics, where they are too long or may not be read. Communities of which nothing but raw records is left are
    /// not found then, and a rebuild brings back what the person wrote there.
    #[arg(long)]
    no_raw: bool,
    /// One JSON object instead of words.
    #[arg(long)]
    json: bool,
}

/// An author's id, which is shown nowhere.
#[derive(Clone)]
struct Author(String);

impl std::fmt::Debug for Author {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Author")
    }
}

/// How long to wait between two looks at what is left.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The one line of a text. What is more, or blanks beside it, would make another id of it, of which nothing is found.
fn only_line(text: &str) -> Result<&str, String> {
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if line.trim() != line || line.contains(['\r', '\n']) {
        return Err("more than one line, or blanks beside the id; one id alone is right".to_owned());
    }
    Ok(line)
}

pub(crate) fn run(args: &EraseArgs, config: &Config) -> Result<u8> {
    let id = match args.author.0.as_str() {
        "-" => {
            let mut text = String::new();
            std::io::stdin().take(limits::ID_BYTES as u64 + 3).read_to_string(&mut text)?;
            only_line(&text).and_then(author).map_err(|detail| ConfigErrors(vec![format!("--author -: {detail}")]))?.0
        }
        id => id.to_owned(),
    };
    let person = Person { keys: author_keys(config, &id)?, id };
    wait_for_topic(config, &config.topics.actions)?;
    let before = Found::look(config, &person, !args.no_raw)?;
    let at = now_ms();
    let actions = actions(&before, &person, args.by.as_deref().unwrap_or_default(), at);
    let mut report = Report::new(config, &before, at)?;
    report.to_send = actions.len();
    if args.execute {
        for (community, action) in &actions {
            send(config, community, action)?;
        }
        report.executed = true;
        report.sent = actions.len();
        let begun = Instant::now();
        let patience = Duration::from_millis(args.wait.and_then(|wait| u64::try_from(wait).ok()).unwrap_or(0));
        loop {
            let left = before.left(config, &person)?;
            report.now(&left);
            if report.is_finished() || begun.elapsed() >= patience {
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    if args.json {
        say(report.json())?;
    } else {
        say(report.words())?;
    }
    if args.wait.is_some() && !report.is_finished() {
        eprintln!("not all of it is gone yet; does `sinyal run --role community` run? The same again waits on");
        return Ok(FAILURE);
    }
    Ok(OK)
}

/// The keys that an author has or had, by each secret that is in use.
fn author_keys(config: &Config, id: &str) -> Result<Vec<String>> {
    let keys = config.author_keys(id);
    if keys.is_empty() {
        return Err(ConfigErrors(vec![format!("pseudonym.secret_file names no file; {MAKE_SECRET}")]).into());
    }
    Ok(keys)
}

/// What is to be told the community stage: to forget the person where something of theirs is kept or may come again, and the rows
/// of alerts that are over.
fn actions(found: &Found, person: &Person, by: &str, at: EpochMs) -> Vec<(String, Action<'static>)> {
    let action = |target: String| Action {
        kind: "erase".into(),
        target: target.into(),
        by: by.to_owned().into(),
        at,
        until: None,
        reason: None,
    };
    let mut actions: BTreeMap<String, (String, Action<'static>)> = BTreeMap::new();
    for community in found.to_erase() {
        for key in &person.keys {
            let target = encode_key(&[community, key]);
            actions.insert(target.clone(), (community.to_owned(), action(target)));
        }
    }
    for (id, community) in &found.alerts_over {
        actions.insert(id.clone(), (community.clone(), action(id.clone())));
    }
    actions.into_values().collect()
}

fn author(text: &str) -> Result<Author, String> {
    if text.is_empty() || text.len() > limits::ID_BYTES {
        return Err(format!("1 to {} bytes are right", limits::ID_BYTES));
    }
    Ok(Author(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_is_shown_nowhere() {
        assert_eq!(format!("{:?}", author("u-77").unwrap()), "Author");
        assert!(author("").is_err() && author(&"a".repeat(257)).is_err());
        let person = Person { id: "u-77".to_owned(), keys: vec!["v1:00".to_owned()] };
        assert_eq!(format!("{person:?}"), "Person");
    }

    #[test]
    fn each_community_and_each_alert_that_is_over_gets_an_action_of_its_own() {
        let mut found = Found::default();
        found.see("warga kota", None);
        found.alerts_over.insert("silence|c|7".to_owned(), "c".to_owned());
        let person = Person { id: "u-77".to_owned(), keys: vec!["v1:00".to_owned(), "v2:00".to_owned()] };
        let targets: Vec<String> =
            actions(&found, &person, "dpo", 7).into_iter().map(|(_, action)| action.target.into_owned()).collect();
        assert_eq!(targets, ["silence|c|7", "warga%20kota|v1%3A00", "warga%20kota|v2%3A00"]);
        for (_, action) in actions(&found, &person, "dpo", 1_795_482_000_000) {
            pipeline::check_action(&action, action.at).unwrap();
        }
        // What was erased since is not erased again; what was written since is.
        found.erased.insert("warga kota".to_owned(), 100);
        found.communities.insert("warga kota".to_owned(), found::Seen { latest: Some(99), kept: false });
        assert_eq!(found.to_erase().count(), 0);
        found.communities.insert("warga kota".to_owned(), found::Seen { latest: Some(100), kept: false });
        assert_eq!(found.to_erase().count(), 1);
    }
}
