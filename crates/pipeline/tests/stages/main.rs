//! Both stages as state machines, in memory: against a recount, through restarts, with everything that can be wrong.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod alerts;
mod canary;
mod cascade;
mod classify;
mod community;
mod erasure;
mod event_time;
mod harmony;
mod items;
mod kept_input;
mod kept_state;
mod redaction;
mod restated_time;
mod rotation;
mod routing;
mod traces;
mod world;
