//! What is measured side by side: the service and its peers, each started on topics of its own.

use anyhow::Result;
use sinyal_tests::{Ran, Sinyal};

use super::streams::{GENERATION, Peer, group};

/// One of those that are compared.
#[derive(Debug, Clone)]
pub(crate) enum Candidate {
    /// `sinyal run` with the two roles that the peer has.
    Service,
    /// Kafka Streams.
    Peer(Peer),
}

impl Candidate {
    /// The service and these peers.
    pub(crate) fn all(peers: &[Peer]) -> Vec<Candidate> {
        std::iter::once(Candidate::Service).chain(peers.iter().cloned().map(Candidate::Peer)).collect()
    }

    /// As in tables.
    pub(crate) fn name(&self) -> String {
        match self {
            Candidate::Service => "sinyal".to_owned(),
            Candidate::Peer(peer) => {
                let options: String = peer.options.iter().map(|option| format!(", {option}")).collect();
                format!("kafka-streams {}, {} threads, {} MiB heap{options}", peer.store, peer.threads, peer.heap_mib)
            }
        }
    }

    /// True if it keeps state on a disk of its own.
    pub(crate) fn has_local_state(&self) -> bool {
        matches!(self, Candidate::Peer(peer) if peer.store == "rocksdb")
    }

    /// Starts it on the raw topics of `sinyal` and the other topics of one of its generations.
    pub(crate) fn start(&self, sinyal: &Sinyal, generation: &str) -> Result<Ran> {
        match self {
            Candidate::Service => {
                sinyal.start_with(&["run", "--role", "classify,community"], &[(GENERATION, generation)])
            }
            Candidate::Peer(peer) => peer.start(sinyal, generation),
        }
    }

    /// The groups that read the raw topics and the classified one.
    pub(crate) fn groups(&self, sinyal: &Sinyal, generation: &str) -> [String; 2] {
        match self {
            Candidate::Service => {
                let of_name = sinyal.generation(generation);
                ["classify", "community"].map(|role| of_name.group(role))
            }
            Candidate::Peer(_) => std::array::from_fn(|_| group(sinyal, generation)),
        }
    }
}
