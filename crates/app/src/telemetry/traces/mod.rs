//! Traces: which records are followed, and the spans of them, on their way to an OpenTelemetry collector.
//!
//! Nothing here makes a role wait. Spans lie in a bounded queue until a thread of their own has sent them; what does not fit is dropped
//! and counted.

mod export;
mod stage;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use opentelemetry::trace::{Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator, RandomIdGenerator, SpanData, SpanLinks, SpanProcessor,
};
use prometheus::{IntCounterVec, Opts};
use record::TraceContext;

use self::export::{CountingExporter, exporter};
pub(crate) use self::stage::StageTracer;
use super::Registry;
use crate::config::TraceSettings;

/// How long spans wait for others before they are sent.
const SEND_EVERY: Duration = Duration::from_secs(2);
/// Most spans of one request.
const BATCH_MAX: usize = 512;

/// What became of spans, as a label.
const EXPORTED: &str = "exported";
const FAILED: &str = "failed";
const DROPPED: &str = "dropped";
/// They were asked for by a header, or by the share, and are beyond what is allowed in a second.
const CAPPED: &str = "capped";

/// What is counted of traces.
#[derive(Debug, Clone)]
pub(crate) struct TraceMetrics {
    spans: IntCounterVec,
}

impl TraceMetrics {
    pub(crate) fn new(registry: &Registry) -> TraceMetrics {
        let help = "What became of spans: exported, failed (the collector did not take them), dropped (no room in the queue), \
                    capped (beyond telemetry.traces.spans_per_second_max).";
        TraceMetrics { spans: registry.add(IntCounterVec::new(Opts::new("trace_spans_total", help), &["outcome"])) }
    }

    fn count(&self, outcome: &str, spans: usize) {
        self.spans.with_label_values(&[outcome]).inc_by(u64::try_from(spans).unwrap_or(u64::MAX));
    }
}

/// Where spans go. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Traces(Arc<Shared>);

struct Shared {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    settings: TraceSettings,
    allowance: Mutex<Allowance>,
    /// Spans that are on their way to the collector.
    under_way: Arc<AtomicUsize>,
    metrics: TraceMetrics,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Traces").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

/// How many spans may still be begun.
#[derive(Debug)]
struct Allowance {
    left: f64,
    at: Instant,
}

/// A span that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    /// Of the span itself.
    pub(crate) context: TraceContext,
    parent: Option<TraceContext>,
    start: SystemTime,
}

/// What is said of a span when it ends.
pub(crate) struct Ended {
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) events: Vec<opentelemetry::trace::Event>,
    /// Words for what went wrong, without content.
    pub(crate) error: Option<String>,
    pub(crate) at: SystemTime,
}

impl Traces {
    /// Starts the thread that sends; nothing is sent yet.
    ///
    /// # Errors
    /// If the exporter cannot be made.
    pub(crate) fn start(settings: TraceSettings, instance: &str, metrics: TraceMetrics) -> Result<Traces> {
        // Shown from the beginning, so that the first loss is a growth.
        for outcome in [EXPORTED, FAILED, DROPPED, CAPPED] {
            metrics.count(outcome, 0);
        }
        let exporter = exporter(&settings).context("telemetry.traces")?;
        let under_way = Arc::new(AtomicUsize::new(0));
        let exporter = CountingExporter::new(exporter, Arc::clone(&under_way), metrics.clone());
        let config = BatchConfigBuilder::default()
            // The bound on what is under way is kept by `end`; this one is never reached.
            .with_max_queue_size(settings.queue_max + BATCH_MAX)
            .with_max_export_batch_size(BATCH_MAX)
            .with_scheduled_delay(SEND_EVERY)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
        let attributes = [
            KeyValue::new("service.version", crate::cli::VERSION),
            KeyValue::new("service.instance.id", instance.to_owned()),
        ];
        let resource = Resource::builder_empty().with_service_name("sinyal").with_attributes(attributes).build();
        processor.set_resource(&resource);
        let allowance = Mutex::new(Allowance { left: settings.spans_per_second_max, at: Instant::now() });
        let scope = InstrumentationScope::builder("sinyal").with_version(env!("CARGO_PKG_VERSION")).build();
        Ok(Traces(Arc::new(Shared { processor, scope, settings, allowance, under_way, metrics })))
    }

    /// Begins a span that `parent` caused, or the first one of a trace. `None` if it is one too many for this second.
    pub(crate) fn begin(&self, parent: Option<TraceContext>) -> Option<Begun> {
        if !self.is_allowed(Instant::now()) {
            self.0.metrics.count(CAPPED, 1);
            return None;
        }
        let ids = RandomIdGenerator::default();
        let trace_id = parent.map_or_else(|| ids.new_trace_id().to_bytes(), |parent| parent.trace_id);
        let context = TraceContext { trace_id, span_id: ids.new_span_id().to_bytes(), sampled: true };
        Some(Begun { context, parent, start: SystemTime::now() })
    }

    /// Ends a span: it goes to the collector, if there is room for it on the way.
    pub(crate) fn end(&self, begun: Begun, ended: Ended) {
        let Shared { processor, scope, settings, under_way, metrics, .. } = &*self.0;
        let room = under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, |spans| {
            (spans < settings.queue_max).then_some(spans + 1)
        });
        if room.is_err() {
            return metrics.count(DROPPED, 1);
        }
        let mut links = SpanLinks::default();
        // A consumer's span is linked to the message's context, beside being caused by it (messaging conventions of OpenTelemetry).
        if let (SpanKind::Consumer, Some(parent)) = (&ended.kind, begun.parent) {
            links.links.push(Link::with_context(span_context(parent, true)));
        }
        let mut events = opentelemetry_sdk::trace::SpanEvents::default();
        events.events = ended.events;
        processor.on_end(SpanData {
            span_context: span_context(begun.context, false),
            parent_span_id: begun.parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.span_id)),
            parent_span_is_remote: begun.parent.is_some(),
            span_kind: ended.kind,
            name: ended.name.into(),
            start_time: begun.start,
            end_time: ended.at,
            attributes: ended.attributes,
            dropped_attributes_count: 0,
            events,
            links,
            status: ended.error.map_or(Status::Unset, Status::error),
            instrumentation_scope: scope.clone(),
        });
    }

    /// Sends what is left, in bounded time.
    pub(crate) fn stop(&self) {
        if let Err(error) = self.0.processor.shutdown_with_timeout(Duration::from_secs(5)) {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }

    /// One span is begun, if there are not too many in this second.
    fn is_allowed(&self, now: Instant) -> bool {
        let most = self.0.settings.spans_per_second_max;
        let Ok(mut allowance) = self.0.allowance.lock() else { return false };
        let earned = now.saturating_duration_since(allowance.at).as_secs_f64() * most;
        allowance.left = (allowance.left + earned).min(most);
        allowance.at = now;
        if allowance.left < 1.0 {
            return false;
        }
        allowance.left -= 1.0;
        true
    }
}

fn span_context(context: TraceContext, is_remote: bool) -> SpanContext {
    let flags = if context.sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    SpanContext::new(
        TraceId::from_bytes(context.trace_id),
        SpanId::from_bytes(context.span_id),
        flags,
        is_remote,
        TraceState::NONE,
    )
}
