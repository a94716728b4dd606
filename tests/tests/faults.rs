//! A crash, and a failure, at each step of the work: before what is produced, between that and the commit, with a commit whose
//! outcome is not known, during a restore, during a rebalance.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use sinyal_tests::checks::{check_exactly_once, kafka, made_up, open_windows, wait_until_done};
use sinyal_tests::{Build, Ran, Reader, Sinyal, wait_for};

/// Steps that every role comes by while it works, and how often it does so before the fault: a crash meets it at work.
const AT_WORK: [(&str, u32); 7] = [
    ("event.taken", 500),
    ("outputs.sent", 300),
    ("commit.begun", 20),
    ("commit.flushed", 9),
    ("commit.drained", 9),
    ("commit.offsets-sent", 9),
    ("commit.unknown", 9),
];
/// Steps before it works.
const AT_START: [&str; 1] = ["assign.positions"];
/// Steps of the one that has state.
const AT_RESTORE: [(&str, u32); 2] = [("restore.entry", 20), ("restore.done", 0)];
/// Steps when partitions go to another.
const AT_REVOCATION: [&str; 2] = ["revoke.begun", "revoke.committed"];

const RAW_PARTITIONS: usize = 3;
const PARTITIONS: usize = 2;

struct Bench {
    sinyal: Sinyal,
}

impl Bench {
    /// A replica of the role in which these steps fail in this way, each once after so many times.
    fn start(&self, role: &str, points: &[(&str, u32)], how: &str) -> Ran {
        let points: Vec<String> =
            points.iter().map(|(point, times)| format!("{point}={times}*off->1*return({how})")).collect();
        let name = format!("faults-{role}");
        let variables = [("SINYAL__INSTANCE__ID", name.as_str()), ("FAILPOINTS", &points.join(";"))];
        self.sinyal.start_with(&["run", "--role", role], &variables).unwrap()
    }

    /// It must have crashed at the point, and at no other.
    fn crashed(&self, mut ran: Ran, point: &str) {
        let ended = ran.wait(Duration::from_secs(60));
        let code = ended.unwrap_or_else(|error| panic!("{point}: {error:#}; {}", ran.log()));
        assert_eq!(code, None, "{point}: it is ended by a signal; {}", ran.log());
        assert!(ran.log().contains(&format!("\"name\":\"{point}\"")), "{point} was not come by: {}", ran.log());
    }
}

#[test]
fn a_fault_at_any_step_loses_nothing_and_counts_nothing_twice() {
    let more = format!(
        "kafka.session_timeout_ms = 6000\nkafka.transaction_timeout_ms = 3000\ntopics.partitions = {PARTITIONS}\n\
         topics.raw_partitions = {RAW_PARTITIONS}\n{}",
        open_windows()
    );
    let sinyal = Sinyal::with(Build::Faults, &kafka().bootstrap(), "faults", &more).unwrap();
    sinyal.succeed(&["topics", "apply"]).unwrap();
    let reader = Reader::new(sinyal.bootstrap()).unwrap();
    let oracle = made_up(&sinyal, 31, 16_000).unwrap();
    let bench = Bench { sinyal };
    let mut feeding = bench.sinyal.start(&["ingest", "input.jsonl", "--rate", "90"]).unwrap();
    for (role, other) in [("classify", "community"), ("community", "classify")] {
        let mut beside = bench.start(other, &[], "fail");
        wait_for("the other role to work", Duration::from_secs(60), || Ok(beside.committed(other)? > 0)).unwrap();
        let mut points: Vec<(&str, u32)> = AT_START.map(|point| (point, 0)).to_vec();
        points.extend(AT_WORK);
        if role == "community" {
            points.extend(AT_RESTORE);
        }
        for &(point, times) in &points {
            bench.crashed(bench.start(role, &[(point, times)], "crash"), point);
        }
        for point in AT_REVOCATION {
            let mut ran = bench.start(role, &[(point, 0)], "crash");
            // It has to have everything: the group remembers the one before for as long as a session lasts.
            // Posts and comments; what is classified, corrections, actions.
            let all = if role == "classify" { RAW_PARTITIONS * 2 } else { PARTITIONS * 3 };
            // Where all partitions are let go to be dealt out anew, that may be the revocation already.
            wait_for(&format!("{role} to work on all partitions"), Duration::from_secs(60), || {
                Ok(ran.partitions(role).is_ok_and(|partitions| partitions == all) || !ran.is_running())
            })
            .unwrap();
            // Another comes, for which partitions have to be let go.
            let name = format!("faults-{point}");
            let variables = [("SINYAL__INSTANCE__ID", name.as_str())];
            let another = bench.sinyal.start_with(&["run", "--role", role], &variables).unwrap();
            bench.crashed(ran, point);
            another.kill();
        }
        // The same without a crash: what is not committed is given up and read again, each time.
        let mut ran = bench.start(role, &points, "fail");
        let mut missing = Vec::new();
        let failed = wait_for("every failure", Duration::from_secs(90), || {
            assert!(ran.is_running(), "{}", ran.log());
            let log = ran.log();
            missing = points.iter().filter(|(point, _)| !log.contains(&format!("fault point {point}"))).collect();
            Ok(missing.is_empty())
        });
        assert!(failed.is_ok(), "{missing:?} did not fail; {}", ran.log());
        assert_eq!(ran.terminate().unwrap(), Some(0), "{}", bench.sinyal.log());
        assert_eq!(beside.terminate().unwrap(), Some(0), "{}", bench.sinyal.log());
    }
    wait_for("the feed to end", Duration::from_secs(120), || Ok(!feeding.is_running())).unwrap();
    let running = bench.sinyal.start(&["run"]).unwrap();
    wait_until_done(&bench.sinyal, &reader, &oracle).unwrap();
    check_exactly_once(&bench.sinyal, &reader, &oracle).unwrap();
    assert_eq!(running.terminate().unwrap(), Some(0));
}
