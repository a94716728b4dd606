//! The way to the collector: OTLP over HTTP, with the HTTP client that the other requests of the service have.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use ureq::Agent;

use super::{EXPORTED, FAILED, TraceMetrics};
use crate::config::TraceSettings;

/// What is read of an answer.
const ANSWER_BYTES_MAX: u64 = 65_536;
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// An exporter to the collector that is configured.
///
/// # Errors
/// If the address is none.
pub(super) fn exporter(settings: &TraceSettings) -> Result<OtlpExporter> {
    let timeout = Duration::from_millis(settings.timeout_ms);
    let agent = Agent::config_builder()
        .timeout_global(Some(timeout))
        .http_status_as_error(false)
        .max_redirects(0)
        .user_agent(concat!("sinyal/", env!("CARGO_PKG_VERSION")))
        .build()
        .new_agent();
    Ok(OtlpExporter::builder()
        .with_http()
        .with_http_client(Client(agent))
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", settings.endpoint))
        .with_timeout(timeout)
        .build()?)
}

/// It blocks, which is well on the exporter's own thread.
struct Client(Agent);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl Client {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let answer = self.0.run(Request::from_parts(parts, &body[..]))?;
        let (parts, mut body) = answer.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

impl HttpClient for Client {
    // What the attribute of `async_trait` would write.
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(std::future::ready(self.send(request)))
    }
}

/// Counts what goes through it, and says in the log what did not, now and then.
pub(super) struct CountingExporter {
    inner: OtlpExporter,
    under_way: Arc<AtomicUsize>,
    metrics: TraceMetrics,
    complained_at: Mutex<Option<Instant>>,
}

impl fmt::Debug for CountingExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountingExporter").finish_non_exhaustive()
    }
}

impl CountingExporter {
    pub(super) fn new(inner: OtlpExporter, under_way: Arc<AtomicUsize>, metrics: TraceMetrics) -> CountingExporter {
        CountingExporter { inner, under_way, metrics, complained_at: Mutex::default() }
    }

    fn complain(&self, error: &dyn fmt::Display, spans: usize) {
        let Ok(mut at) = self.complained_at.lock() else { return };
        if at.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            *at = Some(Instant::now());
            tracing::warn!(%error, spans, "the collector does not take spans; they are lost, and nothing else is");
        }
    }
}

impl SpanExporter for CountingExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        self.under_way.fetch_sub(spans, Ordering::AcqRel);
        match &result {
            Ok(()) => self.metrics.count(EXPORTED, spans),
            Err(error) => {
                self.metrics.count(FAILED, spans);
                self.complain(error, spans);
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
