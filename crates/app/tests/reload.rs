//! A running service takes in a new community registry and other rules: on a change of the file, and on SIGHUP. It needs no Kafka: a service that
//! waits for its brokers reads its registry all the same. And what it says when it cannot start.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// It is killed, whatever the test comes to.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);

/// Starts `sinyal run` and hands out its log, line by line.
fn start(folder: &Path) -> (Running, Receiver<Value>) {
    start_at(folder, "127.0.0.1:0")
}

fn start_at(folder: &Path, http: &str) -> (Running, Receiver<Value>) {
    std::fs::write(folder.join("secret"), "a secret for the tests only").unwrap();
    let config = format!(
        "kafka.bootstrap = \"127.0.0.1:1\"\npseudonym.secret_file = {:?}\nhttp.listen = {http:?}\n\
         communities.file = {:?}\ntelemetry.log_format = \"json\"\ndeep.tier = \"off\"\n",
        folder.join("secret"),
        folder.join("communities.toml")
    );
    std::fs::write(folder.join("sinyal.toml"), config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sinyal"))
        .args(["run", "--config"])
        .arg(folder.join("sinyal.toml"))
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            let _ = sender.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
        }
    });
    (Running(child), lines)
}

/// The next line of the log that says this.
fn said(log: &Receiver<Value>, message: &str) -> Value {
    let until = Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let line =
            log.recv_timeout(left).unwrap_or_else(|_| panic!("the log does not say: {message}; it says {seen:?}"));
        seen.push(line.clone());
        if line["message"].as_str().is_some_and(|said| said.starts_with(message)) {
            return line;
        }
    }
}

fn metric(address: &str, name: &str) -> Option<i64> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

#[track_caller]
fn becomes(address: &str, name: &str, expected: i64) {
    let until = Instant::now() + PATIENCE;
    let mut last = None;
    while Instant::now() < until {
        last = metric(address, name);
        if last == Some(expected) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{name} is {last:?}, not {expected}");
}

#[test]
fn a_running_service_reads_its_registry_anew() {
    const LISTED: &str = "sinyal_communities_listed";
    const FAILED: &str = "sinyal_communities_reload_failed_total";
    const RELOADS: &str = "sinyal_communities_reloads_total";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("communities.toml");
    std::fs::write(&file, "[[communities]]\nid = \"a\"\n").unwrap();
    let (running, log) = start(folder.path());
    let address = said(&log, "http is served")["bound"].as_str().unwrap().to_owned();
    becomes(&address, LISTED, 1);
    assert_eq!((metric(&address, FAILED), metric(&address, RELOADS)), (Some(0), Some(0)));

    // A change of the file.
    std::fs::write(&file, "[[communities]]\nid = \"a\"\n[[communities]]\nid = \"b\"\n").unwrap();
    becomes(&address, LISTED, 2);
    assert_eq!(said(&log, "the community registry was read anew")["communities"], 2);

    // A mistake: refused whole, told once, and what was there stays.
    std::fs::write(&file, "[[communities]]\nid = \"c\"\ntime_zone = \"Asia/Jakata\"\nbrand_accounts = [\"@\"]\n")
        .unwrap();
    becomes(&address, FAILED, 1);
    let mistake = said(&log, "in the community registry")["mistake"].to_string();
    assert!(
        mistake.contains("communities[0].time_zone is") && mistake.contains("did you mean Asia/Jakarta?"),
        "{mistake}"
    );
    assert_eq!(said(&log, "the community registry was not read anew")["mistakes"], 2);
    assert_eq!(metric(&address, LISTED), Some(2));

    // Mended; then asked by a signal, with nothing changed.
    std::fs::write(&file, "[[communities]]\nid = \"c\"\n").unwrap();
    becomes(&address, LISTED, 1);
    let before = metric(&address, RELOADS).unwrap();
    let sent = Command::new("kill").args(["-HUP", &running.0.id().to_string()]).status().unwrap();
    assert!(sent.success());
    becomes(&address, RELOADS, before + 1);
    assert_eq!(metric(&address, FAILED), Some(1));
}

#[test]
fn a_running_service_reads_its_rules_anew() {
    const FAILED: &str = "sinyal_rules_reload_failed_total";
    const RELOADS: &str = "sinyal_rules_reloads_total";
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("communities.toml"), "[[communities]]\nid = \"a\"\n").unwrap();
    let (_running, log) = start(folder.path());
    let address = said(&log, "http is served")["bound"].as_str().unwrap().to_owned();
    becomes(&address, RELOADS, 0);
    let file = folder.path().join("sinyal.toml");
    let started = std::fs::read_to_string(&file).unwrap();
    let with = |more: &str| std::fs::write(&file, format!("{started}{more}")).unwrap();

    with("alerts.overdue.count = 7\ncommunity.ids_max = 5000\n");
    let said_anew = said(&log, "the rules were read anew");
    assert_eq!(said_anew["keys"], "alerts.overdue.count");
    assert_eq!(said(&log, "keys that are others in the file than in use")["keys"], "community.ids_max");
    becomes(&address, RELOADS, 1);

    // One mistake, wherever it is, and nothing of the file is taken.
    with("alerts.overdue.count = 8\nraw.format = \"xml\"\n");
    assert!(said(&log, "in the configuration")["mistake"].to_string().contains("raw.format is"));
    assert_eq!(said(&log, "the rules were not read anew")["mistakes"], 1);
    becomes(&address, FAILED, 1);
    assert_eq!(metric(&address, RELOADS), Some(1));
}

#[test]
fn what_ends_the_service_is_a_line_of_its_log() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("communities.toml"), "").unwrap();
    let (mut service, log) = start_at(folder.path(), &address);
    let line = said(&log, "ended by an error");
    let error = line["error"].as_str().unwrap();
    assert!(error.contains("http.listen") && error.contains(&address), "{error}");
    assert_eq!(service.0.wait().unwrap().code(), Some(1));
    assert!(log.iter().all(|line| line.is_object()), "a line is not JSON");
}
