//! `sinyal run`: the service.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kafka_io::{Shutdown, SystemClock};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::{OK, PanickedError, exit_code};
use crate::communities;
use crate::config::Config;
use crate::registry::RegistryError;
use crate::reload::{self, LiveRules};
use crate::roles::{Door, Surroundings, needs_registry, run_classify, run_community, run_notify, run_sink};
use crate::telemetry::{Health, Metrics, Traces, serve, start_logging};

/// Arguments of `sinyal run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The roles of this process, by commas; without it classify, community and, where `notify.targets` names any or there is
    /// a `notify.acknowledge_token_file`, notify, and where `sink.url` names a database, sink.
    #[arg(long = "role", value_delimiter = ',')]
    roles: Vec<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    /// The hot path: raw records become classified ones and queue items.
    Classify,
    /// Identity, rolling aggregates, alerts, the state of queue items.
    Community,
    /// Notifications of alerts and queue items, to Alertmanager and webhooks.
    Notify,
    /// Panes, alerts and the state of queue items into PostgreSQL, for dashboards.
    Sink,
}

const ENDED_EARLY: &str = "ended before any role had started";

/// How long a role may take to end: longer than its patience with brokers (a commit, and leaving the group), shorter than the 60 s that the
/// chart lets a pod have.
const END_WITHIN: Duration = Duration::from_secs(45);

type Work = Box<dyn FnOnce() -> Result<(), kafka_io::OwnerError> + Send>;

pub(crate) fn run(args: RunArgs, config: Config) -> Result<u8> {
    let is_json = start_logging(&config.log, &config.log_format)?;
    match work(args, config) {
        // Whoever reads the log line by line as JSON can read this too.
        Err(error) if is_json && tracing::enabled!(tracing::Level::ERROR) => {
            tracing::error!(error = format!("{error:#}"), "ended by an error");
            Ok(exit_code(&error))
        }
        ended => ended,
    }
}

fn work(args: RunArgs, config: Config) -> Result<u8> {
    #[cfg(feature = "faults")]
    kafka_io::arm();
    let shutdown = Shutdown::default();
    // The second signal ends the process at once: who sends it does not want to wait.
    let twice = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&twice))?;
        signal_hook::flag::register(signal, Arc::clone(&twice))?;
    }
    let health = Health::new(Duration::from_millis(config.alive_ms));
    let metrics = Metrics::new();
    let roles = roles(&args, &config);
    let door = if roles.contains(&Role::Notify) { Door::new(&config) } else { Door::default() };
    if let Some(address) = config.http_listen {
        let bound = serve(address, health.clone(), metrics.clone(), door.router())?;
        tracing::info!(%bound, "http is served");
    }
    let rules = LiveRules::new(&config);
    reload::watch(&config, &rules, &metrics, &shutdown)?;
    // The sink asks nothing of a community, and may read three topics only.
    let asks = roles.iter().any(|role| *role != Role::Sink);
    if asks && !communities::keep(&config, &rules.communities, &metrics, &shutdown, &twice)? {
        tracing::info!("{ENDED_EARLY}");
        return Ok(OK);
    }
    let traces = match config.traces.clone() {
        Some(settings) => Some(Traces::start(settings, &config.instance_id, metrics.traces())?),
        None => None,
    };
    let surroundings = Surroundings {
        connection: config.kafka.connection.clone(),
        config: Arc::new(config),
        clock: Arc::new(SystemClock),
        health,
        metrics,
        shutdown: shutdown.clone(),
        rules,
        traces: traces.clone(),
        embedded: false,
    };
    // All are built before any of them runs: a role must not work while nobody attends to it.
    let mut works = Vec::new();
    for role in roles {
        let Some(work) = build(role, &surroundings, &door, &twice)? else {
            tracing::info!("{ENDED_EARLY}");
            return Ok(OK);
        };
        works.push((format!("{role:?}").to_lowercase(), work));
    }
    tracing::info!(instance = surroundings.config.instance_id, "running");
    let attended = attend(works, &shutdown, &twice, END_WITHIN);
    if let Some(traces) = traces {
        traces.stop();
    }
    attended?;
    tracing::info!("ended");
    Ok(OK)
}

/// The roles that are asked for, each once, in the order of the data flow.
fn roles(args: &RunArgs, config: &Config) -> Vec<Role> {
    let is_wanted = |role: &Role| match (args.roles.is_empty(), role) {
        (false, role) => args.roles.contains(role),
        // Who is to be notified is configured on purpose; who has nobody needs no role for it.
        (true, Role::Notify) => !config.notify.targets.is_empty() || config.notify.acknowledge_token.is_some(),
        (true, Role::Sink) => config.sink.is_some(),
        (true, _) => true,
    };
    [Role::Classify, Role::Community, Role::Notify, Role::Sink].into_iter().filter(is_wanted).collect()
}

/// Asks all roles to come to an end when it is dropped, so also when its own one panics.
struct EndsAll(Shutdown);

impl Drop for EndsAll {
    fn drop(&mut self) {
        self.0.request();
    }
}

/// Runs each role on a thread of its own until all have ended. One that ends, by whatever way, ends the others: whoever runs
/// the process starts it again or is told.
///
/// A role that waits for brokers ends within its patience with them. One that does not, is left behind: it could only be killed, and a
/// kill loses nothing.
fn attend(works: Vec<(String, Work)>, shutdown: &Shutdown, ending: &AtomicBool, end_within: Duration) -> Result<()> {
    let mut failure = None;
    let mut threads = Vec::new();
    for (name, work) in works {
        let ends_all = EndsAll(shutdown.clone());
        let spawned = std::thread::Builder::new().name(name.clone()).spawn(move || {
            let _ends_all = ends_all;
            work()
        });
        match spawned {
            Ok(thread) => threads.push((name, thread)),
            // The guard went with the closure: those that run already are asked to end.
            Err(error) => failure = failure.or(Some(anyhow::Error::new(error).context("no thread for a role"))),
        }
    }
    let mut since: Option<Instant> = None;
    while !threads.iter().all(|(_, thread)| thread.is_finished()) {
        if ending.load(Ordering::Acquire) && !shutdown.is_requested() {
            tracing::info!("asked to end: committing what is done");
            shutdown.request();
        }
        if shutdown.is_requested() && since.get_or_insert_with(Instant::now).elapsed() > end_within {
            let (ended, left): (Vec<_>, Vec<_>) = threads.into_iter().partition(|(_, thread)| thread.is_finished());
            let left: Vec<String> = left.into_iter().map(|(name, _)| name).collect();
            let (names, seconds) = (left.join(", "), end_within.as_secs());
            tracing::error!(roles = names, seconds, "not ended in time; what is not committed will be read again");
            failure = failure.or(Some(anyhow::anyhow!("role {names} did not end within {seconds} s")));
            threads = ended;
            break;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    for (name, thread) in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(role = name, error = %error, "a role stopped");
                failure = failure.or(Some(anyhow::Error::new(error)));
            }
            Err(_) => {
                tracing::error!(role = name, "a role panicked");
                failure = failure.or(Some(PanickedError(format!("role {name}")).into()));
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Builds a role, waiting for a registry that cannot be reached yet; nothing if the end is asked for meanwhile.
fn build(role: Role, surroundings: &Surroundings, door: &Door, ending: &AtomicBool) -> Result<Option<Work>> {
    let mut attempts = 0_u64;
    loop {
        let built: Result<Work> = match role {
            Role::Classify => {
                run_classify(surroundings.clone(), Arc::new(Mutex::default())).map(|work| Box::new(work) as Work)
            }
            Role::Community => {
                run_community(surroundings.clone(), Arc::new(Mutex::default())).map(|work| Box::new(work) as Work)
            }
            Role::Notify => run_notify(surroundings.clone(), door).map(|work| Box::new(work) as Work),
            Role::Sink => run_sink(surroundings.clone()).map(|work| Box::new(work) as Work),
        };
        let error = match built {
            Ok(work) => return Ok(Some(work)),
            Err(error) => error,
        };
        let unreachable = error
            .chain()
            .any(|cause| matches!(cause.downcast_ref::<RegistryError>(), Some(RegistryError::Unreachable { .. })));
        if !needs_registry(&surroundings.config) || !unreachable {
            return Err(error).context("cannot start");
        }
        if attempts.is_multiple_of(5) {
            tracing::warn!(error = format!("{error:#}"), "waiting for the registry; trying again");
        }
        attempts += 1;
        if ending.load(Ordering::Acquire) {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A role that works until it is asked to end.
    fn patient(shutdown: &Shutdown) -> (String, Work) {
        let shutdown = shutdown.clone();
        let work = move || {
            while !shutdown.is_requested() {
                std::thread::yield_now();
            }
            Ok(())
        };
        ("patient".to_owned(), Box::new(work))
    }

    #[test]
    fn who_has_a_token_and_no_targets_has_the_role_too() {
        let args = RunArgs { roles: Vec::new() };
        let config = Config::load(None, []).unwrap();
        assert_eq!(roles(&args, &config), [Role::Classify, Role::Community]);
        let token = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(token.path(), "a-token-of-some-length").unwrap();
        let path = token.path().display().to_string();
        let config = Config::load(None, [("SINYAL__NOTIFY__ACKNOWLEDGE_TOKEN_FILE".to_owned(), path)]).unwrap();
        assert_eq!(roles(&args, &config), [Role::Classify, Role::Community, Role::Notify]);
    }

    #[test]
    fn who_names_a_database_has_the_sink_too() {
        let url = ("SINYAL__SINK__URL".to_owned(), "postgresql://a@db/b".to_owned());
        let config = Config::load(None, [url]).unwrap();
        assert_eq!(roles(&RunArgs { roles: Vec::new() }, &config), [Role::Classify, Role::Community, Role::Sink]);
    }

    #[test]
    fn a_role_that_panics_ends_the_others() {
        let shutdown = Shutdown::default();
        let panics: Work = Box::new(|| panic!("on purpose"));
        let works = vec![patient(&shutdown), ("hasty".to_owned(), panics)];
        let error = attend(works, &shutdown, &AtomicBool::new(false), END_WITHIN).unwrap_err();
        assert!(error.to_string().contains("hasty"), "{error}");
        assert!(shutdown.is_requested());
    }

    #[test]
    fn a_role_that_fails_ends_the_others_and_is_told() {
        let shutdown = Shutdown::default();
        let fails: Work = Box::new(|| Err(kafka_io::OwnerError::Unauthorized("topic a".to_owned())));
        let works = vec![("strict".to_owned(), fails), patient(&shutdown)];
        let error = attend(works, &shutdown, &AtomicBool::new(false), END_WITHIN).unwrap_err();
        assert_eq!(crate::cli::exit_code(&error), crate::cli::OUTSIDE);
    }

    #[test]
    fn who_does_not_end_is_left_behind() {
        let (shutdown, stuck) = (Shutdown::default(), Arc::new(AtomicBool::new(true)));
        let stays = Arc::clone(&stuck);
        let hangs: Work = Box::new(move || {
            while stays.load(Ordering::Acquire) {
                std::thread::yield_now();
            }
            Ok(())
        });
        let works = vec![patient(&shutdown), ("deaf".to_owned(), hangs)];
        let error = attend(works, &shutdown, &AtomicBool::new(true), Duration::from_millis(50)).unwrap_err();
        stuck.store(false, Ordering::Release);
        assert!(error.to_string().contains("role deaf did not end"), "{error}");
    }

    #[test]
    fn asked_to_end_all_end_well() {
        let shutdown = Shutdown::default();
        let works = vec![patient(&shutdown), patient(&shutdown)];
        assert!(attend(works, &shutdown, &AtomicBool::new(true), END_WITHIN).is_ok());
    }
}
