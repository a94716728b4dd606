//! The trace of a request to a target.

use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use record::{TRACEPARENT, TraceContext};

use super::super::http::Failure;
use super::Worker;
use crate::telemetry::{Begun, Ended, Traces};

/// A request that is about to be sent, and its span if it has one.
pub(super) struct Traced {
    span: Option<(Traces, Begun)>,
    /// What the target is told.
    context: Option<TraceContext>,
}

impl Worker {
    /// Begins the span of a request about a record of this context.
    pub(super) fn trace_item(&self, parent: Option<TraceContext>) -> Traced {
        let (Some(traces), Some(parent)) = (&self.surroundings.traces, parent) else {
            return Traced { span: None, context: None };
        };
        let begun = if parent.sampled { traces.begin(Some(parent)) } else { None };
        Traced {
            context: Some(begun.map_or(TraceContext { sampled: false, ..parent }, |begun| begun.context)),
            span: begun.map(|begun| (traces.clone(), begun)),
        }
    }

    /// Begins the trace of a request about an alert: many records came to it, and none of them caused it. There are few.
    pub(super) fn trace_alert(&self) -> Traced {
        let span = self.surroundings.traces.as_ref().and_then(|traces| Some((traces.clone(), traces.begin(None)?)));
        Traced { context: span.as_ref().map(|(_, begun)| begun.context), span }
    }

    /// Ends it, after so many attempts before.
    pub(super) fn end_trace(&self, traced: Traced, attempts: u32, sent: &Result<(), Failure>) {
        let Some((traces, begun)) = traced.span else { return };
        let mut attributes = vec![
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("sinyal.notify.target", self.target.name.clone()),
        ];
        // Nothing more of the address: paths of webhooks are often secrets.
        if let Ok(uri) = self.target.url.parse::<ureq::http::Uri>() {
            if let Some(host) = uri.host() {
                attributes.push(KeyValue::new("server.address", host.to_owned()));
            }
            if let Some(port) = uri.port_u16() {
                attributes.push(KeyValue::new("server.port", i64::from(port)));
            }
        }
        if attempts > 0 {
            attributes.push(KeyValue::new("http.request.resend_count", i64::from(attempts)));
        }
        let error = sent.as_ref().err().map(|failure| failure.detail.clone());
        let ended = Ended {
            name: "POST".to_owned(),
            kind: SpanKind::Client,
            attributes,
            events: Vec::new(),
            error,
            at: SystemTime::now(),
        };
        traces.end(begun, ended);
    }
}

impl Traced {
    /// The header that tells the target, if anything is traced.
    pub(super) fn header(&self) -> Option<(&'static str, String)> {
        let context = self.context?;
        Some((TRACEPARENT, String::from_utf8_lossy(&context.header()).into_owned()))
    }
}
