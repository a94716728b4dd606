//! Other rules without a restart: routes, what queues take and owe, alert rules.
//!
//! The configuration file is read again when it changes, and on SIGHUP. One with a mistake is refused whole, and what was in use
//! stays. Of one without, the rules are put in place; other keys that differ are named in the log and wait for a restart.

use anyhow::Result;
use kafka_io::Shutdown;
use rules::alerts::AlertRules;
use rules::{Live, LiveCommunities, Routing};

use crate::config::{Config, ConfigErrors};
use crate::telemetry::Metrics;
use crate::watched::{Watched, keep_looking};

/// Most mistakes, or keys, of one file that are logged.
const LOGGED_MAX: usize = 20;

/// What can be replaced while the roles run.
#[derive(Debug, Clone)]
pub(crate) struct LiveRules {
    /// The community registry: it has a file, or a topic, of its own.
    pub(crate) communities: LiveCommunities,
    pub(crate) routing: Live<Routing>,
    pub(crate) alerts: Live<AlertRules>,
}

impl LiveRules {
    /// As they are configured.
    pub(crate) fn new(config: &Config) -> LiveRules {
        LiveRules {
            communities: Live::new(config.communities.clone()),
            routing: Live::new(config.routing.clone()),
            alerts: Live::new(config.alerts.clone()),
        }
    }
}

/// What a look at the file came to.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Unchanged,
    /// The keys of the rules that are others now, and the keys that wait for a restart.
    Taken {
        replaced: Vec<String>,
        waiting: Vec<String>,
    },
    Refused(Vec<String>),
}

/// The file and the rules that it becomes.
struct Reloader {
    file: Watched,
    /// As the roles were started.
    started: Config,
    /// As it is in use now.
    current: Config,
    rules: LiveRules,
}

impl Reloader {
    /// Reads the file if it has changed, or if asked for anyway.
    fn look(&mut self, asked: bool) -> Look {
        if !self.file.changed() && !asked {
            return Look::Unchanged;
        }
        let loaded = crate::config::environment().and_then(|variables| Config::load(Some(self.file.path()), variables));
        match loaded.and_then(|next| same_queues(&self.started, next)) {
            Ok(next) => self.take(next),
            Err(mistakes) => Look::Refused(mistakes.0),
        }
    }

    fn take(&mut self, next: Config) -> Look {
        let replaced: Vec<String> =
            next.source.differing(&self.current.source).into_iter().filter(|key| is_rule(key)).collect();
        let waiting = next.source.differing(&self.started.source).into_iter().filter(|key| !is_rule(key)).collect();
        if replaced.iter().any(|key| !key.starts_with("alerts.")) {
            self.rules.routing.replace(next.routing.clone());
        }
        if replaced.iter().any(|key| key.starts_with("alerts.")) {
            self.rules.alerts.replace(next.alerts.clone());
        }
        self.current = next;
        Look::Taken { replaced, waiting }
    }
}

fn is_rule(key: &str) -> bool {
    key == "routes" || key == "queues" || key.starts_with("alerts.")
}

/// A queue more or less is a topic more or less, which a running stage does not write to.
fn same_queues(started: &Config, next: Config) -> Result<Config, ConfigErrors> {
    let names = |config: &Config| -> Vec<String> {
        config.routing.queues().iter().map(|queue| queue.spec.name.clone()).collect()
    };
    let (before, after) = (names(started), names(&next));
    if before == after {
        return Ok(next);
    }
    Err(ConfigErrors(vec![format!(
        "queues are {}; {} in this order is right while the service runs: other queues need `sinyal topics apply` and a restart",
        after.join(", "),
        before.join(", ")
    )]))
}

/// Keeps the rules as the configuration file has them, on a thread of its own, until the shutdown. Without a file nothing is kept.
///
/// # Errors
/// If the signal or the thread cannot be had.
pub(crate) fn watch(config: &Config, rules: &LiveRules, metrics: &Metrics, shutdown: &Shutdown) -> Result<()> {
    let Some(file) = &config.source.file else { return Ok(()) };
    let (started, current) = (config.clone(), config.clone());
    let mut reloader = Reloader { file: Watched::new(file), started, current, rules: rules.clone() };
    let metrics = metrics.clone();
    keep_looking("configuration", shutdown, move |first, asked| {
        let look = reloader.look(asked);
        tell(&look, &reloader, first, &metrics);
    })
}

fn tell(look: &Look, reloader: &Reloader, first: bool, metrics: &Metrics) {
    let file = reloader.file.path().display();
    match look {
        Look::Unchanged => {}
        // It was read a moment ago.
        Look::Taken { replaced, waiting } if first && replaced.is_empty() && waiting.is_empty() => {}
        Look::Taken { replaced, waiting } => {
            metrics.reloads().rules(true);
            tracing::info!(%file, keys = shown(replaced), "the rules were read anew");
            if !waiting.is_empty() {
                tracing::warn!(
                    keys = shown(waiting),
                    "keys that are others in the file than in use; a restart takes them in"
                );
            }
        }
        Look::Refused(mistakes) => {
            metrics.reloads().rules(false);
            for mistake in mistakes.iter().take(LOGGED_MAX) {
                tracing::error!(mistake, "in the configuration");
            }
            tracing::error!(
                %file,
                mistakes = mistakes.len(),
                "the rules were not read anew; those before stay. `sinyal check --config FILE` tells more"
            );
        }
    }
}

fn shown(keys: &[String]) -> String {
    let mut shown = keys.iter().take(LOGGED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if keys.len() > LOGGED_MAX {
        shown.push_str(&format!(" and {} more", keys.len() - LOGGED_MAX));
    }
    if shown.is_empty() { "none".to_owned() } else { shown }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "[[routes]]\nname = \"all\"\nlabel = \"praise\"\nqueue = \"tip\"\n";

    fn reloader(text: &str) -> (tempfile::NamedTempFile, Reloader) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let config = Config::load(Some(file.path()), []).unwrap();
        let mut reloader = Reloader {
            file: Watched::new(file.path()),
            started: config.clone(),
            current: config.clone(),
            rules: LiveRules::new(&config),
        };
        assert_eq!(reloader.look(false), Look::Taken { replaced: vec![], waiting: vec![] });
        (file, reloader)
    }

    fn taken(replaced: &[&str], waiting: &[&str]) -> Look {
        let owned = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
        Look::Taken { replaced: owned(replaced), waiting: owned(waiting) }
    }

    #[test]
    fn rules_are_replaced_and_the_rest_waits() {
        let (file, mut reloader) = reloader("");
        let stage = reloader.rules.clone();
        assert_eq!(reloader.look(false), Look::Unchanged);
        std::fs::write(file.path(), ROUTE).unwrap();
        assert_eq!(reloader.look(false), taken(&["routes"], &[]));
        assert_eq!(stage.routing.current().rules().len(), 1);
        let more = format!("{ROUTE}[alerts.overdue]\ncount = 9\n[community]\nids_max = 5000\n");
        std::fs::write(file.path(), &more).unwrap();
        assert_eq!(reloader.look(false), taken(&["alerts.overdue.count"], &["community.ids_max"]));
        assert_eq!(stage.alerts.current().overdue.count, 9);
        assert_eq!(reloader.look(true), taken(&[], &["community.ids_max"]), "asked by a signal");
        std::fs::write(file.path(), "").unwrap();
        assert_eq!(reloader.look(false), taken(&["alerts.overdue.count", "routes"], &[]));
        assert!(stage.routing.current().rules().is_empty());
    }

    #[test]
    fn a_mistake_refuses_the_whole_file() {
        let (file, mut reloader) = reloader(ROUTE);
        std::fs::write(file.path(), "[alerts.overdue]\ncount = 9\n[limits]\nfuture_ms = -1\n").unwrap();
        let Look::Refused(mistakes) = reloader.look(false) else { panic!("it was taken") };
        assert_eq!(mistakes, ["limits.future_ms is -1; 0 to 86400000 is right"]);
        assert_eq!(reloader.look(false), Look::Unchanged);
        let rules = &reloader.rules;
        assert_eq!((rules.routing.current().rules().len(), rules.alerts.current().overdue.count), (1, 5));
    }

    #[test]
    fn another_queue_needs_a_restart() {
        let (file, mut reloader) = reloader("");
        let queue = "[[queues]]\nname = \"x\"\ntakes = \"tip\"\ndepartment = \"d\"\n";
        std::fs::write(file.path(), queue).unwrap();
        let Look::Refused(mistakes) = reloader.look(false) else { panic!("it was taken") };
        assert!(mistakes[0].starts_with("queues are x; complaint, tip, experience, praise, review in this order"));
    }
}
