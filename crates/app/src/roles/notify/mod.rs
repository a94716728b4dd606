//! The notify role: alerts and queue items to those who are to know of them, each target by a worker of its own.

mod acknowledge;
mod alertmanager;
mod board;
mod canary;
mod circuit;
mod http;
mod metrics;
pub(crate) mod observer;
#[cfg(feature = "faults")]
mod pretend;
mod progress;
mod row;
pub(crate) mod standing;
mod webhook;
mod worker;

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use kafka_io::{OwnerError, OwnerState};
use record::StageName;
use wire::SchemaName;

pub(crate) use acknowledge::{Door, check_body};
pub(crate) use http::pause;

use self::acknowledge::Acknowledger;
use self::canary::start_canaries;
use self::http::Client;
pub(crate) use self::metrics::NotifyMetrics;
use self::observer::start_observer;
use self::standing::Standing;
use self::worker::{Pulse, Worker};
use super::{RoleResult, Surroundings, encoder};
use crate::config::{ConfigErrors, Notify, Target};

/// How the pipeline stands; `None`: nobody has looked, which counts as behind.
type Observed = Arc<Mutex<Option<Standing>>>;

/// How often the workers are attended to.
const TURN: Duration = Duration::from_millis(100);
/// How long a turn of a worker may take beyond a request's timeout.
const TURN_EXTRA: Duration = Duration::from_secs(40);

/// Builds the role; the closure runs it on the calling thread until the shutdown. `door` is where acknowledgements come in.
///
/// # Errors
/// What is missing before the role can start, with what to do about it.
pub(crate) fn run_notify(
    surroundings: Surroundings,
    door: &Door,
) -> Result<impl FnOnce() -> RoleResult<()> + Send + use<>> {
    let config = Arc::clone(&surroundings.config);
    let Notify { targets, acknowledge_token, timeout_ms, .. } = &config.notify;
    if targets.is_empty() && acknowledge_token.is_none() {
        let right = "at least one [[notify.targets]] table, or notify.acknowledge_token_file, is right";
        return Err(ConfigErrors(vec![format!("notify.targets is empty; {right} where the role notify runs")]).into());
    }
    if let Some(token) = acknowledge_token {
        let encoder = encoder(&config, SchemaName::Action, &config.topics.actions)?;
        door.open(Acknowledger::new(&surroundings, token.clone(), encoder)?);
    }
    let observed = Observed::default();
    let names = targets.iter().map(|target| target.name.as_str());
    let metrics = NotifyMetrics::new(surroundings.metrics.registry(), names);
    let mut workers = Vec::new();
    for target in targets {
        let (worker, pulse) = Worker::new(&surroundings, target, metrics.clone(), Arc::clone(&observed))?;
        workers.push((target.name.clone(), worker, pulse));
    }
    // The first of those who are told of alerts: one of all replicas has the first partition for it.
    let speaks = Arc::new(AtomicBool::new(false));
    let first = targets.iter().position(|target| target.alerts.is_some());
    if let Some((_, worker, _)) = first.and_then(|first| workers.get_mut(first)) {
        worker.tell_who_speaks(Arc::clone(&speaks));
    }
    let patience = Duration::from_millis(*timeout_ms) + TURN_EXTRA;
    Ok(move || attend(&surroundings, workers, patience, &observed, speaks))
}

/// Whether a target answers, in words.
///
/// # Errors
/// What would have to be mended.
pub(crate) fn ask_target(target: &Target, timeout_ms: u64) -> Result<String, String> {
    Client::new(target, Duration::from_millis(timeout_ms)).ask(target)
}

/// Runs each worker on a thread of its own until all have ended; one that ends ends the role.
fn attend(
    surroundings: &Surroundings,
    workers: Vec<(String, Worker, Arc<Mutex<Pulse>>)>,
    patience: Duration,
    observed: &Observed,
    speaks: Arc<AtomicBool>,
) -> RoleResult<()> {
    let shutdown = &surroundings.shutdown;
    let watches = !workers.is_empty() && !is_pretended();
    let observer = watches.then(|| start_observer(surroundings.clone(), Arc::clone(observed))).transpose();
    let observer = observer.map_err(|error| OwnerError::Fatal(format!("no thread for the observer: {error}")))?;
    let canaries = watches.then(|| start_canaries(surroundings.clone(), speaks)).transpose();
    let canaries = canaries.map_err(|error| OwnerError::Fatal(format!("no thread for canaries: {error}")))?.flatten();
    let mut threads = Vec::new();
    for (name, worker, pulse) in workers {
        let thread = std::thread::Builder::new()
            .name(format!("notify-{name}"))
            .spawn(move || worker.run())
            .map_err(|error| OwnerError::Fatal(format!("no thread for target {name}: {error}")))?;
        threads.push((name, thread, pulse));
    }
    let mut told = None;
    while !shutdown.is_requested() && !threads.iter().any(|(_, thread, _)| thread.is_finished()) {
        if observer.as_ref().is_some_and(std::thread::JoinHandle::is_finished) {
            // Without it nobody would be told anything any more.
            break;
        }
        #[cfg(feature = "faults")]
        pretend::look(observed);
        say_why_it_waits(observed, &mut told);
        let pulses = threads.iter().map(|(_, _, pulse)| pulse);
        if let Some(state) = state_of(pulses, patience) {
            surroundings.health.turned(StageName::Notify.as_str(), &state);
        }
        std::thread::sleep(TURN);
    }
    // One that ended by itself ends the others.
    let unasked = !shutdown.is_requested();
    shutdown.request();
    let mut result = Ok(());
    for (name, thread, _) in threads {
        let outcome =
            thread.join().unwrap_or_else(|_| Err(OwnerError::Fatal(format!("the worker of target {name} panicked"))));
        result = result.and(outcome);
    }
    // Nobody depends on them, nor waits for brokers that do not answer them.
    if canaries.is_some_and(|canaries| canaries.is_finished() && canaries.join().is_err()) {
        tracing::error!("the thread for canaries panicked; its message stands above");
    }
    match observer.map(std::thread::JoinHandle::join) {
        Some(Err(_)) if unasked => result.and(Err(OwnerError::Fatal("the observer panicked".to_owned()))),
        _ => result,
    }
}

/// Whether a test says how the pipeline stands, and nobody is to look.
fn is_pretended() -> bool {
    cfg!(feature = "faults") && std::env::var_os("SINYAL_TEST_STANDING").is_some()
}

/// Says when alerts begin to wait for the pipeline, and when they wait no more.
fn say_why_it_waits(observed: &Observed, told: &mut Option<Option<String>>) {
    let behind = observed.lock().ok().and_then(|standing| {
        let unseen = "nobody has looked how the pipeline stands yet".to_owned();
        standing.as_ref().map_or(Some(unseen), |standing| standing.behind.clone())
    });
    if told.as_ref() == Some(&behind) {
        return;
    }
    match &behind {
        Some(why) => tracing::info!(why, "alerts wait until the pipeline has caught up"),
        None => tracing::info!("the pipeline has caught up: alerts are told"),
    }
    *told = Some(behind);
}

/// How the role is: as its worst worker; nothing if one of them has not turned for too long.
fn state_of<'a>(pulses: impl Iterator<Item = &'a Arc<Mutex<Pulse>>>, patience: Duration) -> Option<OwnerState> {
    let mut state = OwnerState::Running;
    for pulse in pulses {
        let pulse = pulse.lock().ok()?;
        if pulse.turned_at.elapsed() > patience {
            return None;
        }
        let is_worse = match (&state, &pulse.state) {
            (OwnerState::Waiting(_), _) => false,
            (_, OwnerState::Waiting(_)) => true,
            (OwnerState::Running, other) => *other != OwnerState::Running,
            _ => false,
        };
        if is_worse {
            state = pulse.state.clone();
        }
    }
    Some(state)
}
