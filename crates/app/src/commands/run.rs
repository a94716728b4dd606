//! `sinyal run`: the service.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result};
use kafka_io::{Shutdown, SystemClock};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::cli::OK;
use crate::config::Config;
use crate::registry::RegistryError;
use crate::roles::{Surroundings, needs_registry, run_classify, run_community};
use crate::telemetry::{Health, Metrics, serve, start_logging};

/// Arguments of `sinyal run`.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The roles of this process, by commas.
    #[arg(long = "role", value_delimiter = ',', default_values = ["classify", "community"])]
    roles: Vec<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Role {
    /// The hot path: raw records become classified ones and queue items.
    Classify,
    /// Identity, rolling aggregates, the state of queue items.
    Community,
}

type Work = Box<dyn FnOnce() -> Result<(), kafka_io::OwnerError> + Send>;

pub(crate) fn run(args: RunArgs, config: Config) -> Result<u8> {
    start_logging(&config.log, &config.log_format)?;
    let shutdown = Shutdown::default();
    // The second signal ends the process at once: who sends it does not want to wait.
    let twice = Arc::new(std::sync::atomic::AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&twice))?;
        signal_hook::flag::register(signal, Arc::clone(&twice))?;
    }
    let health = Health::new(Duration::from_millis(config.alive_ms));
    let metrics = Metrics::new();
    if let Some(address) = config.http_listen {
        let bound = serve(address, health.clone(), metrics.clone())?;
        tracing::info!(%bound, "http is served");
    }
    let surroundings = Surroundings {
        connection: config.kafka.connection.clone(),
        config: Arc::new(config),
        clock: Arc::new(SystemClock),
        health,
        metrics,
        shutdown: shutdown.clone(),
        embedded: false,
    };
    let mut threads = Vec::new();
    for role in [Role::Classify, Role::Community] {
        if !args.roles.contains(&role) {
            continue;
        }
        let Some(work) = build(role, &surroundings, &twice)? else { return Ok(OK) };
        let name = format!("{role:?}").to_lowercase();
        let ends_all = shutdown.clone();
        threads.push(std::thread::Builder::new().name(name).spawn(move || {
            let result = work();
            // One role that cannot go on ends the process: whoever runs it starts it again or is told.
            ends_all.request();
            result
        })?);
    }
    tracing::info!(instance = surroundings.config.instance_id, "running");
    while !threads.iter().all(std::thread::JoinHandle::is_finished) {
        if twice.load(std::sync::atomic::Ordering::Acquire) && !shutdown.is_requested() {
            tracing::info!("asked to end: committing what is done");
            shutdown.request();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut failure = None;
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(error = %error, "a role stopped");
                failure = failure.or(Some(anyhow::Error::new(error)));
            }
            Err(_) => failure = failure.or(Some(anyhow::anyhow!("a role panicked; see the log"))),
        }
    }
    match failure {
        Some(error) => Err(error),
        None => {
            tracing::info!("ended; everything done is committed");
            Ok(OK)
        }
    }
}

/// Builds a role, waiting for a registry that cannot be reached yet; nothing if the end is asked for meanwhile.
fn build(role: Role, surroundings: &Surroundings, ending: &std::sync::atomic::AtomicBool) -> Result<Option<Work>> {
    let mut attempts = 0_u64;
    loop {
        let built: Result<Work> = match role {
            Role::Classify => {
                run_classify(surroundings.clone(), Arc::new(Mutex::default())).map(|work| Box::new(work) as Work)
            }
            Role::Community => {
                run_community(surroundings.clone(), Arc::new(Mutex::default())).map(|work| Box::new(work) as Work)
            }
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
        if ending.load(std::sync::atomic::Ordering::Acquire) {
            return Ok(None);
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}
