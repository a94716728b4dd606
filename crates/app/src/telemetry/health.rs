//! Whether each role lives, and whether it is ready.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use kafka_io::{OwnerState, WaitReason};
use serde_json::{Value, json};

/// The state of every role, shared between their threads and the HTTP server.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    alive_after: Duration,
    roles: Arc<Mutex<Vec<Role>>>,
}

#[derive(Debug)]
struct Role {
    name: &'static str,
    turned_at: Instant,
    state: OwnerState,
    started: bool,
    /// What else is to be shown of it.
    more: serde_json::Map<String, Value>,
}

impl Health {
    /// A role that has not turned for `alive_after` is not alive.
    pub(crate) fn new(alive_after: Duration) -> Health {
        Health { alive_after, roles: Arc::default() }
    }

    /// A role turned.
    pub(crate) fn turned(&self, name: &'static str, state: &OwnerState) {
        let mut roles = self.lock();
        // A restore takes as long as it takes; whether it goes on, liveness tells.
        let started = matches!(state, OwnerState::Running | OwnerState::Joining | OwnerState::Restoring { .. });
        match roles.iter_mut().find(|role| role.name == name) {
            Some(role) => {
                role.turned_at = Instant::now();
                role.started |= started;
                if role.state != *state {
                    role.state = state.clone();
                }
            }
            None => roles.push(Role {
                name,
                turned_at: Instant::now(),
                state: state.clone(),
                started,
                more: serde_json::Map::new(),
            }),
        }
    }

    /// Shows something else of a role that has turned.
    pub(crate) fn show(&self, name: &'static str, what: &str, value: Value) {
        if let Some(role) = self.lock().iter_mut().find(|role| role.name == name) {
            role.more.insert(what.to_owned(), value);
        }
    }

    /// Every owner thread has turned lately.
    pub(crate) fn is_alive(&self) -> bool {
        self.lock().iter().all(|role| role.turned_at.elapsed() < self.alive_after)
    }

    /// Every role has come up once.
    pub(crate) fn is_started(&self) -> bool {
        let roles = self.lock();
        !roles.is_empty() && roles.iter().all(|role| role.started)
    }

    /// Whether every role can work, and what each does.
    pub(crate) fn readiness(&self) -> (bool, Value) {
        let roles = self.lock();
        let mut ready = !roles.is_empty();
        let mut shown = serde_json::Map::new();
        for role in roles.iter() {
            let (is_ready, mut state) = describe(&role.state);
            if let Value::Object(state) = &mut state {
                state.extend(role.more.clone());
            }
            ready &= is_ready && role.turned_at.elapsed() < self.alive_after;
            shown.insert(role.name.to_owned(), state);
        }
        (ready, json!({ "ready": ready, "roles": shown }))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Role>> {
        self.roles.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A member of the group without a partition is ready: there may be more replicas than partitions.
fn describe(state: &OwnerState) -> (bool, Value) {
    match state {
        OwnerState::Joining => (true, json!({ "state": "waiting for partitions" })),
        OwnerState::Running => (true, json!({ "state": "running" })),
        OwnerState::Restoring { entries, percent } => {
            (false, json!({ "state": "restoring", "percent": percent, "entries": entries }))
        }
        OwnerState::Waiting(WaitReason::Broker(detail)) => {
            (false, json!({ "state": "waiting for the brokers", "detail": detail }))
        }
        OwnerState::Waiting(WaitReason::Topics(topics)) => {
            (false, json!({ "state": "waiting for topics", "topics": topics }))
        }
        OwnerState::Waiting(WaitReason::Registry(detail)) => {
            (false, json!({ "state": "waiting for the registry", "detail": detail }))
        }
        OwnerState::Waiting(WaitReason::Database(detail)) => {
            (false, json!({ "state": "waiting for the database", "detail": detail }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_alive_but_not_ready() {
        let health = Health::new(Duration::from_secs(60));
        assert!(health.is_alive() && !health.is_started() && !health.readiness().0);
        health.turned("classify", &OwnerState::Waiting(WaitReason::Topics(vec!["a".to_owned()])));
        assert!(health.is_alive() && !health.is_started());
        let (ready, shown) = health.readiness();
        assert!(!ready);
        assert_eq!(shown["roles"]["classify"]["topics"][0], "a");
        let restores = Health::new(Duration::from_secs(60));
        restores.turned("community", &OwnerState::Restoring { entries: 3, percent: 1 });
        assert!(restores.is_started() && !restores.readiness().0, "however long it takes");
        health.turned("classify", &OwnerState::Running);
        assert!(health.is_started() && health.readiness().0);
        health.show("classify", "more", json!(7));
        assert_eq!(health.readiness().1["roles"]["classify"], json!({ "state": "running", "more": 7 }));
        health.turned("classify", &OwnerState::Waiting(WaitReason::Broker("gone".to_owned())));
        assert!(health.is_started() && !health.readiness().0);
    }

    #[test]
    fn a_thread_that_does_not_turn_is_not_alive() {
        let health = Health::new(Duration::ZERO);
        health.turned("classify", &OwnerState::Running);
        assert!(!health.is_alive());
    }
}
