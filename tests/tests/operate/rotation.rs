//! The pseudonyms' secret is rotated on a real Kafka while records flow: the rows are those of a recount that knows nothing of it.

use std::time::Duration;

use sinyal_tests::checks::{check_exactly_once, made_up, open_windows, sinyal, wait_until_done};
use sinyal_tests::{Ran, Reader, Sinyal, wait_for};

/// Long enough for a machine on which much else runs.
const PATIENCE: Duration = Duration::from_secs(120);

fn replica(sinyal: &Sinyal, name: &str, rotating: bool) -> Ran {
    let mut variables = vec![("SINYAL__INSTANCE__ID", name)];
    if rotating {
        variables.extend([
            ("SINYAL__PSEUDONYM__SECRET_FILE", "secret-2"),
            ("SINYAL__PSEUDONYM__VERSION", "2"),
            ("SINYAL__PSEUDONYM__PREVIOUS_SECRET_FILE", "secret"),
            ("SINYAL__PSEUDONYM__PREVIOUS_VERSION", "1"),
        ]);
    }
    sinyal.start_with(&["run"], &variables).unwrap()
}

fn works(running: &mut Ran) {
    let before = (running.committed("classify").unwrap(), running.committed("community").unwrap());
    let gets_on =
        || Ok(running.committed("classify")? > before.0 + 2 && running.committed("community")? > before.1 + 2);
    wait_for("a replica to work", PATIENCE, gets_on).unwrap();
}

#[test]
fn a_secret_is_rotated_while_records_flow_and_no_row_changes() {
    let sinyal = sinyal(
        "rotated",
        &format!(
            "state.version = 6\nkafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\n{}",
            open_windows()
        ),
    )
    .unwrap();
    std::fs::write(sinyal.file("secret-2"), "another secret for the tests only").unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 43, 12_000).unwrap();
    let mut feeding = sinyal.start(&["ingest", "input.jsonl", "--rate", "250"]).unwrap();
    let mut first = replica(&sinyal, "rotated-a", false);
    let mut second = replica(&sinyal, "rotated-b", false);
    works(&mut first);
    works(&mut second);
    // The first is rolled; for a while records come from both.
    assert_eq!(first.terminate().unwrap(), Some(0), "{}", sinyal.log());
    let mut first = replica(&sinyal, "rotated-a", true);
    works(&mut first);
    works(&mut second);
    // The other goes without a word, and comes back with both secrets.
    second.kill();
    let mut second = replica(&sinyal, "rotated-b", true);
    works(&mut second);
    // Links are in the state: who gets it goes on with them.
    first.kill();
    works(&mut second);
    let mut first = replica(&sinyal, "rotated-a", true);
    works(&mut first);
    wait_for("the feed to end", PATIENCE, || Ok(!feeding.is_running())).unwrap();
    wait_until_done(&sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&sinyal, &reader, &oracle).unwrap();
    let classified = reader.read(&sinyal.topic("social.interactions.classified"), Some("Classified")).unwrap();
    let key = |field: &str, begin: &str| {
        classified
            .iter()
            .filter(|record| record["value"][field].as_str().is_some_and(|key| key.starts_with(begin)))
            .count()
    };
    let (old, new, both) = (key("author_key", "v1:"), key("author_key", "v2:"), key("previous_author_key", "v1:"));
    assert!(old > 500 && new > 500 && both == new, "{old} old, {new} new, {both} with both");
    let metrics = [first.metrics().unwrap(), second.metrics().unwrap()].concat();
    let value = |line: &str| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
    let links = metrics.lines().filter(|line| line.starts_with("sinyal_pseudonym_links{"));
    assert!(links.map(value).sum::<f64>() > 20.0, "{metrics}");
    // The windows are open for long: the previous secret is needed as long.
    let needed = metrics.lines().filter(|line| line.starts_with("sinyal_previous_pseudonym_needed_seconds{"));
    assert!(needed.map(value).fold(0.0, f64::max) > 86_400.0, "{metrics}");
    let rotating = [
        ("SINYAL__PSEUDONYM__SECRET_FILE", "secret-2"),
        ("SINYAL__PSEUDONYM__VERSION", "2"),
        ("SINYAL__PSEUDONYM__PREVIOUS_SECRET_FILE", "secret"),
        ("SINYAL__PSEUDONYM__PREVIOUS_VERSION", "1"),
    ];
    for command in ["status", "check"] {
        let said = sinyal.output_with(&[command], &rotating).unwrap();
        let said = String::from_utf8(said.stdout).unwrap();
        assert!(said.contains("rotation of the secret: the previous secret is needed for "), "{said}");
    }
    for running in [first, second] {
        assert_eq!(running.terminate().unwrap(), Some(0), "{}", sinyal.log());
    }
}
