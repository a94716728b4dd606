//! The same job in Kafka Streams beside the service: whether both say the same, and what each costs.
//!
//! `peers check [INTERACTIONS] [STORE]` compares their outputs; `peers [RECORDS] [RUNS] [STORE:THREADS:HEAP_MIB ...]` runs the service
//! and each of these peers in turns.

mod check;
mod measure;
mod progress;
mod streams;

use anyhow::{Context, Result};
use serde_json::Value;

use self::check::check_peer;
use self::measure::measure_peers;
use self::streams::Peer;

/// Which peers are run where none is named.
const PEERS: [&str; 2] = ["in-memory:2:1024", "rocksdb:2:1024"];

/// Does what the arguments behind `peers` say.
pub(crate) fn run_peers(arguments: &[String]) -> Result<Vec<Value>> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).filter(|argument| *argument != "--json").collect();
    let number = |at: usize, otherwise: usize| match arguments.get(at) {
        Some(number) => number.parse().with_context(|| format!("{number:?} is no number")),
        None => Ok(otherwise),
    };
    if arguments.first() == Some(&"check") {
        let store = arguments.get(2).copied().unwrap_or("in-memory");
        check_peer(u32::try_from(number(1, 20_000)?)?, store)?;
        return Ok(Vec::new());
    }
    let (records, runs) = (number(0, 1_000_000)?, number(1, 5)?);
    let named = if arguments.len() > 2 { &arguments[2..] } else { &PEERS[..] };
    let peers = named.iter().map(|peer| peer_of(peer)).collect::<Result<Vec<Peer>>>()?;
    measure_peers(records, runs, &peers)
}

fn peer_of(named: &str) -> Result<Peer> {
    let parts: Vec<&str> = named.split(':').collect();
    let [store, threads, heap_mib] = parts[..] else {
        anyhow::bail!("{named:?}: STORE:THREADS:HEAP_MIB is right, such as {}", PEERS[0]);
    };
    Ok(Peer { store: store.to_owned(), threads: threads.parse()?, heap_mib: heap_mib.parse()?, more: Vec::new() })
}
