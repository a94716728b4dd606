//! What both cost as communities grow and as windows do.

use anyhow::Result;
use serde_json::Value;
use sinyal_tests::{Kafka, Sinyal};

use super::candidate::Candidate;
use super::measure::measure_in_turns;
use super::streams::{Peer, WindowSpec, build};
use crate::roles::{World, ingest_world};

const COMMUNITIES: [usize; 3] = [100, 10_000, 1_000_000];
const HOUR_MS: u64 = 3_600_000;
const HOURS: [u64; 4] = [1, 24, 7 * 24, 30 * 24];
/// The longest by which the shortest of the service's windows may slide.
const SLIDE_MS: u64 = 900_000;
/// Over so many days the records of the growth of windows are spread, that the longest is filled.
const DAYS: u64 = 31;

/// The same records from ever more communities.
pub(crate) fn measure_communities(records: usize, runs: usize, peers: &[Peer]) -> Result<Vec<Value>> {
    let cases = COMMUNITIES.map(|communities| Case {
        name: format!("a world of {communities} communities"),
        prefix: format!("c{communities}"),
        world: World { communities, ..World::default() },
        windows: Vec::new(),
    });
    measure_cases(records, runs, &cases, peers)
}

/// The same records of a month with one window of ever greater length, which slides by a quarter of an hour.
pub(crate) fn measure_windows(records: usize, runs: usize, peers: &[Peer]) -> Result<Vec<Value>> {
    let rate = records as f64 / (DAYS * 24 * HOUR_MS / 1_000) as f64;
    let cases = HOURS.map(|hours| {
        let window = WindowSpec {
            name: format!("{hours}h"),
            length_ms: hours * HOUR_MS,
            slide_ms: SLIDE_MS,
            lateness_ms: HOUR_MS,
        };
        Case {
            name: format!("a window of {hours} h"),
            prefix: format!("w{hours}"),
            world: World { communities: 100, rate },
            windows: vec![window],
        }
    });
    measure_cases(records, runs, &cases, peers)
}

struct Case {
    name: String,
    prefix: String,
    world: World,
    /// Those of the configuration if there are none.
    windows: Vec<WindowSpec>,
}

fn measure_cases(records: usize, runs: usize, cases: &[Case], peers: &[Peer]) -> Result<Vec<Value>> {
    build()?;
    let kafka = Kafka::start()?;
    let mut results = Vec::new();
    for case in cases {
        let windows: String = case.windows.iter().map(WindowSpec::toml).collect();
        let more = format!("telemetry.log = \"info\"\ncommunity.communities_max = 1000000\n{windows}");
        let sinyal = Sinyal::new(&kafka.bootstrap(), &case.prefix, &more)?;
        sinyal.succeed(&["topics", "apply"])?;
        ingest_world(&sinyal, records, &case.world)?;
        let mut candidates = Candidate::all(peers);
        for candidate in &mut candidates {
            if let Candidate::Peer(peer) = candidate {
                peer.windows.clone_from(&case.windows);
            }
        }
        results.extend(measure_in_turns(&sinyal, &candidates, runs, records, &format!(", {}", case.name))?);
    }
    Ok(results)
}
