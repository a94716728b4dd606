//! Somebody who takes webhooks, and fails in every way when told to.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::workspace;

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// With this status.
    Status(u16),
    /// With 429, and so many seconds in `Retry-After`.
    TooMany(u64),
    /// Not at all: it reads, and keeps the connection.
    Hang,
    /// It reads, and closes the connection without a word.
    Reset,
}

/// What came.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The notification's id, as the body says it.
    pub id: String,
    /// The header `webhook-id`.
    pub webhook_id: String,
    /// The header `webhook-timestamp`.
    pub timestamp: String,
    /// The header `webhook-signature`.
    pub signature: String,
    /// The header `authorization`.
    pub authorization: String,
    /// The header `traceparent`.
    pub traceparent: String,
    /// The body.
    pub body: String,
    /// When.
    pub at: Instant,
    /// How it was answered.
    pub answer: Answer,
}

impl Delivery {
    /// The body as JSON.
    ///
    /// # Errors
    /// If it is none.
    pub fn json(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.body)?)
    }
}

#[derive(Debug)]
struct State {
    answer: Answer,
    deliveries: Vec<Delivery>,
}

/// A receiver on a free port, until the process ends.
#[derive(Debug, Clone)]
pub struct Receiver {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Receiver {
    /// Starts it; it answers with 204.
    ///
    /// # Errors
    /// If there is no port.
    pub fn start() -> Result<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let state = Arc::new(Mutex::new(State { answer: Answer::Status(204), deliveries: Vec::new() }));
        let receiver = Receiver { port, state };
        let serving = receiver.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(stream));
            }
        });
        Ok(receiver)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    /// How it answers from now on.
    pub fn answer(&self, answer: Answer) {
        self.lock().answer = answer;
    }

    /// Everything that came, in order.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.lock().deliveries.clone()
    }

    /// The ids of what it took, in order.
    pub fn taken(&self) -> Vec<String> {
        let state = self.lock();
        let taken = state.deliveries.iter().filter(|delivery| matches!(delivery.answer, Answer::Status(200..300)));
        taken.map(|delivery| delivery.id.clone()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// One request a connection.
    fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            headers.push(line);
        }
        let header = |name: &str| {
            let found = headers.iter().filter_map(|line| line.split_once(':'));
            found.filter(|(of, _)| of.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).next()
        };
        let mut body = vec![0; header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0)];
        reader.read_exact(&mut body).ok()?;
        let answer = {
            let mut state = self.lock();
            let answer = state.answer;
            let text = |name: &str| header(name).unwrap_or_default();
            // Who asks whether it is there tells nothing.
            if headers.first().is_some_and(|line| line.starts_with("POST")) {
                state.deliveries.push(Delivery {
                    id: notification_id(&body),
                    webhook_id: text("webhook-id"),
                    timestamp: text("webhook-timestamp"),
                    signature: text("webhook-signature"),
                    authorization: text("authorization"),
                    traceparent: text("traceparent"),
                    body: String::from_utf8_lossy(&body).into_owned(),
                    at: Instant::now(),
                    answer,
                });
            }
            answer
        };
        let mut stream = reader.into_inner();
        let (status, more) = match answer {
            Answer::Status(status) => (status, String::new()),
            Answer::TooMany(seconds) => (429, format!("Retry-After: {seconds}\r\n")),
            Answer::Hang => {
                std::thread::sleep(Duration::from_secs(60));
                return None;
            }
            Answer::Reset => return None,
        };
        write!(stream, "HTTP/1.1 {status} Answer\r\n{more}Content-Length: 0\r\nConnection: close\r\n\r\n").ok()
    }

    /// Checks the signature of everything that came, with Python's own HMAC.
    ///
    /// # Errors
    /// If one is not right.
    pub fn verify(&self, secret: &str) -> Result<()> {
        let deliveries = self.deliveries();
        ensure!(!deliveries.is_empty(), "nothing came that could be verified");
        let mut command = Command::new("python3");
        command.arg(workspace().join("tests/independent/verify_webhooks.py")).arg(secret);
        let mut child = command.stdin(Stdio::piped()).spawn().context("Python cannot be started")?;
        let mut input = child.stdin.take().context("a pipe")?;
        for Delivery { id, webhook_id, timestamp, signature, body, .. } in deliveries {
            writeln!(
                input,
                "{}",
                json!({ "notification_id": id, "id": webhook_id, "timestamp": timestamp, "signature": signature, "body": body })
            )?;
        }
        drop(input);
        ensure!(child.wait()?.success(), "a signature is not right; see above");
        Ok(())
    }
}

fn notification_id(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["data"]["notification_id"].as_str().unwrap_or_default().to_owned()
}
