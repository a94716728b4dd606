//! The book's way from an empty machine to a pipeline on a secured Kafka, with its commands as they are printed.

use std::path::Path;
use std::process::{Command, Stdio};

use sinyal_tests::{Build, binary, free_port, workspace};

/// The blocks of shell of a page that a user is to run one after the other; what is there by now in a checkout is left out.
fn script(page: &str) -> String {
    let mut script = String::new();
    let mut block: Option<(bool, String)> = None;
    for line in page.lines() {
        match (&mut block, line.strip_prefix("```")) {
            (None, Some(language)) => block = Some((matches!(language, "sh" | "sh,end"), String::new())),
            (Some(_), Some(_)) => {
                if let Some((true, text)) = block.take() {
                    script.push_str(&text);
                }
                block = None;
            }
            (Some((_, text)), None) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    script
}

/// From where the page begins to speak of a secured Kafka on.
fn page() -> String {
    let page = std::fs::read_to_string(workspace().join("docs/src/get-started.md")).unwrap();
    let (_, secured) = page.split_once("## From an empty machine").unwrap();
    secured.to_owned()
}

#[test]
fn the_way_to_a_secured_kafka_works_as_printed() {
    let folder = tempfile::tempdir().unwrap();
    let binary = binary(Build::Plain).unwrap();
    let release = folder.path().join("target/release");
    std::fs::create_dir_all(&release).unwrap();
    std::os::unix::fs::symlink(binary, release.join("sinyal")).unwrap();
    // Only addresses differ from what is printed: theirs may be taken on this machine.
    let mut script = script(&page());
    for port in ["9093", "9094", "9184"] {
        script = script.replace(port, &free_port().unwrap().to_string());
    }
    let http = script.split("http://").nth(2).and_then(|rest| rest.split("/readyz").next()).unwrap().to_owned();
    let script = format!(
        "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\nexport SINYAL__HTTP__LISTEN={http}\n{script}"
    );
    let output = Command::new("bash")
        .args(["-m", "-c", &script])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{said}");
    let log = |name: &str| tail(&folder.path().join("secured").join(name));
    assert!(
        output.status.success(),
        "{}\n{said}\n{complained}\nrun.log: {}\nacls.log: {}\nkafka.log: {}",
        output.status,
        log("run.log"),
        log("acls.log"),
        log("kafka.log")
    );
    assert!(!said.contains("TO DO"), "check finds everything in order: {said}");
    assert!(said.contains("\"label\":\"complaint\""), "items are in the queue: {said}");
    assert!(said.contains("\"window\":"), "and rows: {said}");
}

/// The last lines of a file.
fn tail(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
