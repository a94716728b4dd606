//! Sends canaries: every while one into each raw partition, by the one replica that speaks for the system. Nobody waits for them:
//! what goes wrong is told in the log, and the role goes on.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kafka_io::feed::{Feed, FeedRecord};
use kafka_io::offsets::{Offsets, Partition};
use pipeline::{CANARY_GRID_MS, CANARY_KEY, CanarySeal, Sealed, canary_interaction};
use record::{Canary, EpochMs, Kind, header};
use wire::{Encoder, RawEncoder, SchemaName};

use crate::config::{Config, MAKE_SECRET};
use crate::roles::{Surroundings, encoder, raw_encoder};

/// How often to see whether a round is due, or the end is asked for.
const TURN: Duration = Duration::from_millis(50);
/// How long brokers may take for a round.
const SEND_TIME: Duration = Duration::from_secs(5);
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// How often a trouble that lasts is told.
const COMPLAIN_EVERY: Duration = Duration::from_secs(300);
/// Who may not write tries again after this time.
const DENIED_PAUSE: Duration = Duration::from_secs(300);

/// Why a round was not sent.
#[derive(Debug, thiserror::Error)]
enum Unsent {
    /// It may be otherwise at the next round.
    #[error("{0}")]
    Later(String),
    /// This client may not write.
    #[error("{0}; the notifier needs Write on the raw topics and the canary topic")]
    Denied(String),
}

/// Starts the thread; none where canaries are off, or nothing can seal them. It sends only while `speaks` says so.
///
/// # Errors
/// If there is no thread to be had.
pub(super) fn start_canaries(
    surroundings: Surroundings,
    speaks: Arc<AtomicBool>,
) -> std::io::Result<Option<JoinHandle<()>>> {
    let config = &surroundings.config;
    let Some(interval_ms) = config.canary.interval_ms else { return Ok(None) };
    let Some(seal) = config.canary_seal() else {
        tracing::warn!(
            "canaries are not sent: pseudonym.secret_file names no file, and nothing else seals them; {MAKE_SECRET}. The classify \
             role needs the same. canary.interval_ms = 0 sends none and says nothing"
        );
        return Ok(None);
    };
    let interval = Duration::from_millis(interval_ms);
    let thread = std::thread::Builder::new().name("canaries".to_owned());
    thread.spawn(move || send_all(&surroundings, &seal, interval, &speaks)).map(Some)
}

fn send_all(surroundings: &Surroundings, seal: &CanarySeal, interval: Duration, speaks: &AtomicBool) {
    let mut sender: Option<Sender> = None;
    let mut next = Instant::now();
    let mut complained: Option<Instant> = None;
    while !surroundings.shutdown.is_requested() {
        std::thread::sleep(TURN);
        if !speaks.load(Ordering::Relaxed) {
            // Whoever sends now does so with a client of its own.
            sender = None;
            continue;
        }
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + interval;
        match round(&mut sender, surroundings, seal) {
            Ok(()) => {
                if complained.take().is_some() {
                    tracing::info!("canaries are sent again");
                }
            }
            Err(error) => {
                // What it has left is not to be sent later.
                sender = None;
                if matches!(error, Unsent::Denied(_)) {
                    next = Instant::now() + interval.max(DENIED_PAUSE);
                }
                if complained.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
                    complained = Some(Instant::now());
                    tracing::warn!(%error, "canaries are not sent; all else goes on");
                }
            }
        }
    }
}

fn round(sender: &mut Option<Sender>, surroundings: &Surroundings, seal: &CanarySeal) -> Result<(), Unsent> {
    let now = surroundings.clock.now_ms();
    let sender = match sender {
        Some(sender) => sender,
        None => sender.insert(Sender::open(&surroundings.config)?),
    };
    sender.round(&surroundings.config, seal, now)
}

struct Sender {
    feed: Feed,
    offsets: Offsets,
    raw: RawEncoder,
    told: Encoder,
}

impl Sender {
    fn open(config: &Config) -> Result<Sender, Unsent> {
        let connection = config.connection();
        let told = encoder(config, SchemaName::Canary, &config.topics.canary);
        let told = told.map_err(|error| Unsent::Later(format!("{error:#}")))?;
        Ok(Sender {
            feed: Feed::open(connection, config.raw_record_bytes_max).map_err(later)?,
            offsets: Offsets::of_group(connection, &config.classify.group_id, ASK_TIMEOUT).map_err(later)?,
            raw: raw_encoder(config).map_err(|error| Unsent::Later(format!("{error:#}")))?,
            told,
        })
    }

    /// Sends one into each raw partition; then, that it did. Of what cannot be written it is told all the same: what nobody can write
    /// into does not flow.
    fn round(&mut self, config: &Config, seal: &CanarySeal, now: EpochMs) -> Result<(), Unsent> {
        let topics = &config.topics;
        let mut raw = Vec::new();
        for (topic, kind) in [(&topics.posts_raw, Kind::Post), (&topics.comments_raw, Kind::Comment)] {
            raw.extend(self.partitions(topic)?.into_iter().map(|partition| (partition, kind)));
        }
        // Nothing makes it by the way: a client that writes would.
        self.partitions(&topics.canary)?;
        let id = random_id();
        for ((topic, partition), kind) in &raw {
            self.canary(topic, *partition, *kind, (&id, now), seal)?;
        }
        // What is not taken by then may be taken later, or never: in both cases it is late.
        let _ = self.feed.flush(SEND_TIME);
        self.may_write()?;
        let round = Canary {
            id: id.into(),
            sent_at: now,
            raw_topic: None,
            raw_partition: None,
            raw_offset: None,
            classified_partition: None,
            classified_at: None,
            counted_at: None,
        };
        let mut value = Vec::new();
        self.told.encode(&round, &mut value).map_err(later)?;
        self.feed.send(&topics.canary, Some(b"round"), Some(&value), None).map_err(later)?;
        let taken = self.feed.flush(SEND_TIME);
        self.may_write()?;
        taken.map_err(later)?;
        match self.feed.first_failure() {
            None => Ok(()),
            Some(why) => Err(Unsent::Later(format!("not all of them were taken: {why}"))),
        }
    }

    fn canary(
        &mut self,
        topic: &str,
        partition: i32,
        kind: Kind,
        (id, now): (&str, EpochMs),
        seal: &CanarySeal,
    ) -> Result<(), Unsent> {
        let mut value = Vec::new();
        self.raw.encode(&canary_interaction(kind, topic, partition, now), &mut value).map_err(later)?;
        let sealed = Sealed { topic, partition, key: CANARY_KEY, value: &value };
        let headers = [(header::CANARY.to_owned(), Some(seal.header(id, now, sealed).into_bytes()))];
        let record = FeedRecord {
            topic,
            partition: Some(partition),
            key: Some(CANARY_KEY),
            value: Some(&value),
            timestamp: Some(now - now.rem_euclid(CANARY_GRID_MS)),
            headers: &headers,
        };
        self.feed.send_record(&record).map_err(later)
    }

    fn partitions(&self, topic: &str) -> Result<Vec<Partition>, Unsent> {
        let partitions = self.offsets.partitions(&topic.into()).map_err(later)?;
        match partitions.is_empty() {
            true => Err(Unsent::Later(format!("topic {topic} is missing; `sinyal topics apply` makes it"))),
            false => Ok(partitions),
        }
    }

    fn may_write(&self) -> Result<(), Unsent> {
        match self.feed.is_unauthorized() {
            true => Err(Unsent::Denied(self.feed.first_failure().unwrap_or_default())),
            false => Ok(()),
        }
    }
}

fn later(error: impl std::fmt::Display) -> Unsent {
    Unsent::Later(error.to_string())
}

/// A name that no other round has.
fn random_id() -> String {
    // The standard library seeds its hashers from the system's randomness: enough for a name, and no further dependency.
    format!("{:016x}", std::collections::hash_map::RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_round_has_a_name_of_its_own_that_a_header_takes() {
        let (one, two) = (random_id(), random_id());
        assert_ne!(one, two);
        let seal = CanarySeal::new(b"a secret for the tests").unwrap();
        let header = seal.header(&one, 7, Sealed { topic: "raw", partition: 0, key: b"", value: b"" });
        assert_eq!(pipeline::CanarySaid::read(header.as_bytes()).unwrap().id, one);
    }
}
