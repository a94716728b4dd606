//! The registry as a compacted topic: how it is read, and how a running service follows it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use kafka_io::reader::{OwnedRecord, ReadError, Reader, Start};
use kafka_io::{Connection, Shutdown};
use record::stage::SchemaLookup;
use rules::{Communities, LiveCommunities};
use wire::{CommunityDecoder, DecodeError};

use super::entry::spec_of;
use super::held::{Held, Meaning, Refused, Said};
use super::watch::LOGGED_MISTAKES;
use crate::config::Config;
use crate::registry::Registry;
use crate::telemetry::Metrics;

/// How long brokers may take to say what there is of the topic.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);
/// How long they may then say nothing before it is begun anew.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long is waited for a record.
const POLL: Duration = Duration::from_millis(200);
/// Most records that are taken in at once.
const BATCH: usize = 1_000;
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Of the attempts that fail, how many make one line of log.
const ATTEMPTS_A_LINE: u64 = 5;

/// The topic, read from its first record on, and what it has said so far.
pub(crate) struct Topic {
    reader: Reader,
    decoder: CommunityDecoder,
    registry: Option<Registry>,
    held: Held,
}

impl Topic {
    fn open(config: &Config, topic: &str) -> Result<Topic> {
        let connection: &Connection = config.connection();
        Ok(Topic {
            reader: Reader::open(connection, topic, Start::Beginning, OPEN_TIMEOUT)?,
            decoder: CommunityDecoder::new(config.framing()),
            registry: config.registry.as_ref().map(Registry::new),
            held: Held::default(),
        })
    }

    /// Takes in what comes next, if anything does within a moment. True if anything else is known than before.
    fn take(&mut self, refused: &mut dyn FnMut(&Refused)) -> Result<(bool, usize)> {
        let mut said = Vec::new();
        let mut timeout = POLL;
        while let Some(record) = self.reader.next(timeout)? {
            said.push(self.read(record)?);
            if said.len() >= BATCH {
                break;
            }
            // What is there already; but not what may come.
            timeout = Duration::ZERO;
        }
        let records = said.len();
        let (changed, all_refused) = self.held.take(said);
        all_refused.iter().for_each(refused);
        Ok((changed, records))
    }

    /// Takes in all that was there when it was opened; false if the end is asked for before.
    fn take_all(&mut self, refused: &mut dyn FnMut(&Refused), is_ending: &dyn Fn() -> bool) -> Result<bool> {
        let mut heard = Instant::now();
        while !self.reader.is_at_end() {
            if is_ending() {
                return Ok(false);
            }
            let (_, records) = self.take(refused)?;
            if records > 0 {
                heard = Instant::now();
            } else if heard.elapsed() > PATIENCE {
                bail!("the brokers have sent nothing of it for {} s", PATIENCE.as_secs());
            }
        }
        Ok(true)
    }

    fn read(&mut self, record: OwnedRecord) -> Result<Said> {
        let meaning = match &record.value {
            None => Meaning::Removed,
            Some(value) => self.meaning(value)?,
        };
        let OwnedRecord { partition, offset, key, value, .. } = record;
        Ok(Said { key, partition, offset, bytes: value.map_or(0, |value| value.len()), meaning })
    }

    fn meaning(&mut self, value: &[u8]) -> Result<Meaning> {
        loop {
            match self.decoder.decode(value) {
                Ok(entry) => return Ok(Meaning::Community(Box::new(spec_of(entry)))),
                Err(DecodeError::Reject(rejection)) => return Ok(Meaning::Unreadable(rejection.to_string())),
                Err(DecodeError::NeedsSchema(id)) => {
                    let lookup = match &self.registry {
                        Some(registry) => registry.schema_by_id(id)?,
                        None => SchemaLookup::NotFound,
                    };
                    self.decoder.add_schema(id, &lookup);
                }
            }
        }
    }

    fn registry(&self) -> Result<Communities> {
        self.held.registry().map_err(|mistakes| {
            let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
            anyhow!("{}", mistakes.join("; "))
        })
    }
}

/// What the topic says now, and those communities whose newest record is refused.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read_topic(config: &Config, name: &str) -> Result<(Communities, Vec<Refused>)> {
    let about = || format!("the community registry's topic {name}");
    let mut topic = Topic::open(config, name)?;
    topic.take_all(&mut |_| {}, &|| false).with_context(about)?;
    let registry = topic.registry().with_context(about)?;
    Ok((registry, topic.held.wrong().cloned().collect()))
}

/// Follows the topic on a thread of its own until the shutdown, once everything is taken in that is there now. False if the end is
/// asked for before; brokers that are away and a topic that is not there yet are waited for.
///
/// # Errors
/// If this user may not read it, or the thread cannot be had.
pub(crate) fn follow(
    config: &Config,
    name: &str,
    live: &LiveCommunities,
    metrics: &Metrics,
    shutdown: &Shutdown,
    ending: &AtomicBool,
) -> Result<bool> {
    let mut following = Following {
        config: config.clone(),
        name: name.to_owned(),
        live: live.clone(),
        metrics: metrics.clone(),
        shutdown: shutdown.clone(),
    };
    let Some(topic) = following.begin(&|| ending.load(Ordering::Acquire))? else { return Ok(false) };
    std::thread::Builder::new()
        .name("communities".to_owned())
        .spawn(move || following.go_on(topic))
        .context("no thread for the community registry")?;
    Ok(true)
}

/// The topic and the registry that it becomes.
struct Following {
    config: Config,
    name: String,
    live: LiveCommunities,
    metrics: Metrics,
    shutdown: Shutdown,
}

impl Following {
    /// Reads all that is there and puts it in use; nothing if the end is asked for before.
    ///
    /// # Errors
    /// If this user may not read it: waiting does not mend that.
    fn begin(&mut self, is_ending: &dyn Fn() -> bool) -> Result<Option<Topic>> {
        let mut attempts = 0_u64;
        while !is_ending() {
            // What was refused is told once it is known that all was read: else every attempt would tell it again.
            let mut refused = Vec::new();
            let read = Topic::open(&self.config, &self.name).and_then(|mut topic| {
                let all = topic.take_all(&mut |_| {}, is_ending)?;
                refused.extend(topic.held.wrong().cloned());
                let registry = topic.registry()?;
                Ok(all.then_some((topic, registry)))
            });
            match read {
                Ok(None) => return Ok(None),
                Ok(Some((topic, registry))) => {
                    self.metrics.reloads().communities_listed(registry.len());
                    refused.iter().for_each(|refused| self.tell(refused));
                    tracing::info!(topic = self.name, communities = registry.len(), "the community registry was read");
                    self.live.replace(registry);
                    return Ok(Some(topic));
                }
                Err(error) if matches!(error.downcast_ref(), Some(ReadError::Unauthorized(_))) => {
                    return Err(error.context("the community registry"));
                }
                Err(error) => {
                    if attempts.is_multiple_of(ATTEMPTS_A_LINE) {
                        let error = format!("{error:#}");
                        tracing::warn!(topic = self.name, error, "waiting for the community registry; trying again");
                    }
                    attempts += 1;
                    self.wait(is_ending);
                }
            }
        }
        Ok(None)
    }

    fn wait(&self, is_ending: &dyn Fn() -> bool) {
        let until = Instant::now() + RETRY_AFTER;
        while Instant::now() < until && !is_ending() {
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Takes in what comes until the shutdown.
    fn go_on(mut self, mut topic: Topic) {
        while !self.shutdown.is_requested() {
            match topic.take(&mut |refused| self.tell(refused)) {
                Ok((false, _)) => {}
                Ok((true, _)) => self.put_in_use(&topic),
                Err(error) => {
                    let error = format!("{error:#}");
                    tracing::warn!(
                        topic = self.name,
                        error,
                        "the community registry is read anew; the one before stays meanwhile"
                    );
                    let shutdown = self.shutdown.clone();
                    let is_ending = || shutdown.is_requested();
                    self.wait(&is_ending);
                    match self.begin(&is_ending) {
                        Ok(Some(begun)) => topic = begun,
                        Ok(None) => return,
                        // The reader that there is says so again, until it may read.
                        Err(error) => tracing::debug!(error = format!("{error:#}"), "not read anew"),
                    }
                }
            }
        }
    }

    fn put_in_use(&self, topic: &Topic) {
        match topic.registry() {
            Ok(registry) => {
                self.metrics.reloads().communities_listed(registry.len());
                self.metrics.reloads().communities(true);
                tracing::info!(topic = self.name, communities = registry.len(), "the community registry has changed");
                self.live.replace(registry);
            }
            Err(error) => {
                self.metrics.reloads().communities(false);
                tracing::error!(topic = self.name, %error, "the community registry was not taken in; the one before stays");
            }
        }
    }

    fn tell(&self, refused: &Refused) {
        self.metrics.reloads().communities(false);
        let Refused { key, partition, offset, mistakes } = refused;
        let more = mistakes.len().saturating_sub(LOGGED_MISTAKES);
        let mut told = mistakes[..mistakes.len() - more].join("; ");
        if more > 0 {
            told.push_str(&format!("; and {more} more"));
        }
        let topic = self.name.as_str();
        tracing::error!(
            topic,
            key,
            partition,
            offset,
            mistakes = told,
            "a record of the community registry was refused; what it said before of that community stays"
        );
    }
}
