//! What operators rely on, each on real servers: rights, secured listeners, canaries, erasure, rotation, upgrades, traces, the sink, the
//! book. In one program, since most of the time each waits: so they wait together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

mod acls;
mod book;
mod canary;
mod erasure;
mod observability;
mod rotation;
mod security;
mod security_http;
mod sink;
mod upgrades;
