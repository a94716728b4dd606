//! `/metrics`, `/livez`, `/readyz`, `/startupz`.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::listener::Bounded;
use super::{Health, Metrics};

#[derive(Clone)]
struct Shown {
    health: Health,
    metrics: Metrics,
}

/// Serves on a thread of its own until the process ends, and `more` with it; gives the address, which is of interest where the port
/// was 0.
///
/// # Errors
/// If the address cannot be had.
pub(crate) fn serve(address: SocketAddr, health: Health, metrics: Metrics, more: Router) -> Result<SocketAddr> {
    let listener =
        std::net::TcpListener::bind(address).with_context(|| format!("http.listen: {address} cannot be had"))?;
    listener.set_nonblocking(true)?;
    let bound = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let router = Router::new()
        .route("/metrics", get(show_metrics))
        .route("/livez", get(show_alive))
        .route("/readyz", get(show_ready))
        .route("/startupz", get(show_started))
        .with_state(Shown { health, metrics })
        .merge(more);
    std::thread::Builder::new().name("http".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let served = match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => axum::serve(Bounded::new(listener), router).await,
                Err(error) => Err(error),
            };
            if let Err(error) = served {
                tracing::error!(%error, "the http server ended");
            }
        });
    })?;
    Ok(bound)
}

async fn show_metrics(State(shown): State<Shown>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (headers, shown.metrics.text()).into_response()
}

async fn show_alive(State(shown): State<Shown>) -> Response {
    if shown.health.is_alive() {
        "alive\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "a role's thread does not turn\n").into_response()
    }
}

async fn show_ready(State(shown): State<Shown>) -> Response {
    let (ready, state) = shown.health.readiness();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], state.to_string()).into_response()
}

async fn show_started(State(shown): State<Shown>) -> Response {
    if shown.health.is_started() {
        "started\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not started yet\n").into_response()
    }
}
