//! The same job in Kafka Streams beside the service: whether both say the same, and what each costs.
//!
//! - `peers [RECORDS] [RUNS] [PEER ...]`: the service and each of these peers in turns; a peer is `STORE:THREADS:HEAP_MIB`, or that with
//!   options of the JVM behind it, `:-XX:+UseParallelGC,...`;
//! - `peers latency|restart|communities|windows [NUMBER] [RUNS] [PEER ...]`: at so many records a second, with so many taken in before,
//!   over so many records;
//! - `peers all [RUNS]`: all of these, into tables and plots in `benches/results`;
//! - `peers check [INTERACTIONS] [STORE]`: their outputs side by side;
//! - `peers plot FILE.json FILE.svg`: draws what `--json` has printed.

mod all;
mod candidate;
mod check;
mod figures;
mod follow;
mod growth;
mod latency;
mod measure;
mod plot;
mod progress;
mod restart;
mod streams;

use std::io::Write;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use self::all::measure_all;
use self::check::check_peer;
use self::growth::{measure_communities, measure_windows};
use self::latency::measure_peer_latency;
use self::measure::measure_peers;
use self::restart::measure_restart;
use self::streams::Peer;

/// Which peers are run where none is named.
const PEERS: [&str; 2] = ["in-memory:2:1024", "rocksdb:2:1024"];
/// Of each, in turns.
const RUNS: usize = 5;
/// Records of the comparison itself, and of each case of growth.
const COMPARED: usize = 400_000;
const GROWTH: usize = 300_000;
/// Interactions that are delivered before restarts. Of `sim`'s deliveries 5.5 % are edits, retractions and the same again: it makes a
/// million identities.
const RESTART: usize = 1_060_000;
/// With more in their memory than the comparison itself gives them.
const LARGE_PEERS: [&str; 2] = ["in-memory:2:4096", "rocksdb:2:4096"];

/// Does what the arguments behind `peers` say.
pub(crate) fn run_peers(arguments: &[String]) -> Result<Vec<Value>> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |at: usize, otherwise: usize| match arguments.get(at) {
        Some(number) => number.parse().with_context(|| format!("{number:?} is no number")),
        None => Ok(otherwise),
    };
    let peers_or = |from: usize, otherwise: [&str; 2]| match arguments.get(from..) {
        None | Some([]) => otherwise.iter().map(|peer| peer_of(peer)).collect::<Result<Vec<Peer>>>(),
        Some(named) => named.iter().map(|peer| peer_of(peer)).collect(),
    };
    let (peers, large) = (|from| peers_or(from, PEERS), |from| peers_or(from, LARGE_PEERS));
    let runs = number(2, RUNS);
    match arguments.first().copied() {
        Some("check") => {
            let store = arguments.get(2).copied().unwrap_or("in-memory");
            check_store(store)?;
            check_peer(u32::try_from(number(1, 20_000)?)?, store)?;
            Ok(Vec::new())
        }
        Some("all") => measure_all(number(1, RUNS)?, &peers(2)?, &large(2)?),
        Some("latency") => measure_peer_latency(number(1, 2_000)?, runs?, &peers(3)?),
        Some("restart") => measure_restart(number(1, RESTART)?, runs?, &large(3)?),
        Some("communities") => measure_communities(number(1, GROWTH)?, runs?, &large(3)?),
        Some("windows") => measure_windows(number(1, GROWTH)?, runs?, &large(3)?),
        Some("plot") => {
            let [_, from, to] = arguments[..] else { anyhow::bail!("peers plot FILE.json FILE.svg is right") };
            for failed in plot::plot(from.as_ref(), to.as_ref())? {
                writeln!(std::io::stderr().lock(), "not drawn, since it failed: {failed}")?;
            }
            Ok(Vec::new())
        }
        Some(first) if first.parse::<usize>().is_err() => {
            anyhow::bail!(
                "{first:?}: a number of records, all, check, latency, restart, communities, windows or plot is right"
            )
        }
        _ => measure_peers(number(0, COMPARED)?, number(1, RUNS)?, &peers(2)?),
    }
}

fn peer_of(named: &str) -> Result<Peer> {
    let parts: Vec<&str> = named.splitn(4, ':').collect();
    let [store, threads, heap_mib, ref options @ ..] = parts[..] else {
        anyhow::bail!("{named:?}: STORE:THREADS:HEAP_MIB is right, such as {}", PEERS[0]);
    };
    check_store(store)?;
    let number = |what: &str, said: &str| match said.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(anyhow::anyhow!("{named:?}: {what} {said:?} is no number from 1 on")),
    };
    Ok(Peer {
        store: store.to_owned(),
        threads: number("threads", threads)?,
        heap_mib: number("heap", heap_mib)?,
        options: options.iter().flat_map(|options| options.split(',')).map(str::to_owned).collect(),
        more: Vec::new(),
        windows: Vec::new(),
    })
}

fn check_store(store: &str) -> Result<()> {
    ensure!(["in-memory", "rocksdb"].contains(&store), "store {store:?}: in-memory or rocksdb is right");
    Ok(())
}
