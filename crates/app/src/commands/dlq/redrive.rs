//! `sinyal dlq redrive`: dead letters go back to where they came from.
//!
//! What was redriven is known by receipts: records without key and value in the partition of the dead letter, so that they outlive
//! it. A receipt is written once brokers have the record: after a crash in between it is redriven again, never lost.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use kafka_io::acl::Operation;
use kafka_io::admin::Admin;
use kafka_io::feed::{Feed, FeedError, FeedRecord};
use kafka_io::reader::OwnedRecord;
use record::{EpochMs, header, limits};
use serde_json::json;

use super::super::ingest::{deliver, pace};
use super::super::stored::each_record;
use super::super::times::now_ms;
use super::super::waiting::{wait_for_brokers, wait_for_topic};
use super::Filter;
use super::letter::{Letter, receipt};
use crate::cli::{OK, OutsideError, REFUSED, say};
use crate::config::Config;

#[derive(Debug, clap::Args)]
pub(super) struct RedriveArgs {
    #[command(flatten)]
    filter: Filter,
    /// Do it. Without this it only says what it would do.
    #[arg(long)]
    execute: bool,
    /// At most so many a second: 1 to 100000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// At most so many in one run: 1 or more.
    #[arg(long, short = 'n', default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// What has been offered so often to a stage is not redriven any more: 2 to 100.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=100))]
    max_attempts: u32,
    /// Also what was redriven before.
    #[arg(long)]
    again: bool,
    /// The sums as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Which dead letters were redriven, by their places on the dead-letter topic.
#[derive(Debug, Default)]
pub(super) struct Receipts(HashSet<(i32, i64)>);

/// Most receipts that are held: 16 bytes each, and a few for the table.
const RECEIPTS_MAX: usize = 5_000_000;
/// So many are sent before it is waited for brokers to have them, and receipts are written.
const BATCH: usize = 100;
/// And at least so often, however slow the rate.
const SETTLE_EVERY: Duration = Duration::from_secs(1);
/// Most that are told one by one.
const SHOWN_MAX: u64 = 20;

impl Receipts {
    pub(super) fn add(&mut self, place: (i32, i64)) -> Result<()> {
        if self.0.len() >= RECEIPTS_MAX {
            bail!("more than {RECEIPTS_MAX} dead letters were redriven; a shorter retention of the topic is right");
        }
        self.0.insert(place);
        Ok(())
    }

    pub(super) fn has(&self, place: (i32, i64)) -> bool {
        self.0.contains(&place)
    }
}

/// How many partitions each topic has.
type Partitions = BTreeMap<String, i32>;

/// What becomes of a dead letter.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Redrive,
    /// It was redriven before.
    Before,
    /// It cannot be redriven, and why.
    Refused(String),
}

/// What became of those that match.
#[derive(Debug, Default)]
struct Sums {
    matched: u64,
    redriven: u64,
    before: u64,
    beyond_limit: u64,
    refused: BTreeMap<String, u64>,
    /// What matches but for its disposition.
    others: u64,
}

pub(super) fn run(args: &RedriveArgs, config: &Config) -> Result<u8> {
    let topic = config.topics.dead_letters.as_str();
    wait_for_topic(config, topic)?;
    let partitions: Partitions =
        wait_for_brokers(config)?.into_iter().map(|topic| (topic.name, topic.partitions)).collect();
    let admin = Admin::new(config.connection(), Duration::from_secs(10))?;
    let mut receipts = Receipts::default();
    each_record(config, topic, |record| receipt(&record).map_or(Ok(()), |place| receipts.add(place)))?;
    let largest = config.raw_record_bytes_max.saturating_add(limits::DEAD_LETTER_EXTRA_BYTES);
    let mut sender = Sender {
        feed: Feed::open(config.connection(), largest)?,
        topic,
        bootstrap: &config.connection().bootstrap,
        pending: Vec::new(),
        sent: 0,
        receipts: 0,
        begun: Instant::now(),
        settled: Instant::now(),
        rate: args.rate,
    };
    let now = now_ms();
    let only_redrivable = args.filter.reason.is_empty() && args.filter.disposition.is_empty();
    let mut sums = Sums::default();
    // Only what was there when it began: what fails again meanwhile is for another run.
    each_record(config, topic, |record| {
        let Some(letter) = Letter::read(&record).filter(|letter| args.filter.takes(letter, now)) else { return Ok(()) };
        if only_redrivable && letter.disposition != "redrive" {
            sums.others += 1;
            return Ok(());
        }
        sums.matched += 1;
        // A topic that is not shown to this user is not missing: another run, by somebody who may, is right.
        let unseen = letter.origin_parts().map(|(topic, _)| topic).filter(|topic| !partitions.contains_key(*topic));
        if let Some(topic) = unseen.filter(|topic| inputs(config).iter().any(|input| input == topic))
            && let Some(error) = admin.hidden(topic, Operation::Write)
        {
            return Err(error.into());
        }
        match args.fate(&letter, &receipts, config, &partitions) {
            Fate::Before => sums.before += 1,
            Fate::Refused(why) => {
                if sums.refused.values().sum::<u64>() < SHOWN_MAX {
                    eprintln!("{}:{} is refused: {why}", letter.place.0, letter.place.1);
                }
                *sums.refused.entry(why).or_default() += 1;
            }
            Fate::Redrive if sums.redriven >= args.limit => sums.beyond_limit += 1,
            Fate::Redrive => {
                sums.redriven += 1;
                if sums.redriven <= SHOWN_MAX && !args.json {
                    say(line(&letter, args.execute))?;
                }
                if args.execute {
                    sender.send(&record, &letter)?;
                }
            }
        }
        Ok(())
    })?;
    sender.settle()?;
    args.tell(&sums)?;
    Ok(if sums.refused.is_empty() { OK } else { REFUSED })
}

/// Where something may be redriven to.
fn inputs(config: &Config) -> [&String; 5] {
    let topics = &config.topics;
    [&topics.posts_raw, &topics.comments_raw, &topics.classified, &topics.corrections, &topics.actions]
}

fn line(letter: &Letter, execute: bool) -> String {
    let verb = if execute { "to" } else { "would go to" };
    let (partition, offset) = letter.place;
    format!(
        "{partition}:{offset} {verb} {} as attempt {} ({}, {})",
        letter.origin_topic(),
        letter.attempts + 1,
        letter.reason,
        letter.size()
    )
}

impl RedriveArgs {
    fn fate(&self, letter: &Letter, receipts: &Receipts, config: &Config, partitions: &Partitions) -> Fate {
        if receipts.has(letter.place) && !self.again {
            return Fate::Before;
        }
        let Some((topic, partition)) = letter.origin_parts() else {
            return Fate::Refused("it names no topic of origin".to_owned());
        };
        // Whoever may write dead letters must not be able to have anything written anywhere.
        if !inputs(config).into_iter().any(|input| input == topic) {
            return Fate::Refused(format!("{topic} is no input of this configuration"));
        }
        let there_are = partitions.get(topic).copied().unwrap_or(0);
        if there_are == 0 {
            return Fate::Refused(format!("topic {topic} is missing"));
        }
        // Without a key the partition is all that is known of where it belongs.
        if letter.key_bytes.is_none() && !(0..there_are).contains(&partition) {
            return Fate::Refused(format!("it has no key, and {topic} has no partition {partition} any more"));
        }
        if letter.is_cut {
            return Fate::Refused("it was cut to fit: what is left is not the record".to_owned());
        }
        if letter.attempts >= self.max_attempts {
            return Fate::Refused(format!(
                "it has had {} attempts, and --max-attempts is {}",
                letter.attempts, self.max_attempts
            ));
        }
        Fate::Redrive
    }

    fn tell(&self, sums: &Sums) -> Result<()> {
        let refused: u64 = sums.refused.values().sum();
        if self.json {
            say(json!({
                "executed": self.execute, "matched": sums.matched, "redriven": sums.redriven, "redriven_before": sums.before,
                "beyond_limit": sums.beyond_limit, "refused": sums.refused, "of_other_disposition": sums.others,
            }))?;
            return Ok(());
        }
        if sums.redriven > SHOWN_MAX {
            say(format!("and {} more", sums.redriven - SHOWN_MAX))?;
        }
        let done = if self.execute { "redriven" } else { "would be redriven (--execute does it)" };
        let mut words = format!("{} match: {} {done}", sums.matched, sums.redriven);
        for (count, what) in [
            (sums.before, "redriven before (--again redrives them again)"),
            (refused, "refused"),
            (sums.beyond_limit, "left for another run (--limit)"),
        ] {
            if count > 0 {
                words += &format!(", {count} {what}");
            }
        }
        say(words)?;
        for (why, count) in &sums.refused {
            say(format!("refused {count}: {why}"))?;
        }
        if sums.others > 0 {
            say(format!(
                "{} others need a change first (--disposition fix,inspect redrives them all the same)",
                sums.others
            ))?;
        }
        Ok(())
    }
}

/// Sends records back, and writes their receipts.
struct Sender<'a> {
    feed: Feed,
    /// The dead-letter topic.
    topic: &'a str,
    bootstrap: &'a str,
    /// Those of which it is not known yet whether brokers have them.
    pending: Vec<(i32, i64)>,
    sent: u64,
    receipts: u64,
    begun: Instant,
    settled: Instant,
    rate: u32,
}

impl Sender<'_> {
    fn send(&mut self, record: &OwnedRecord, letter: &Letter) -> Result<()> {
        let headers = headers(record, letter, self.topic);
        let Some((topic, partition)) = letter.origin_parts() else { return Ok(()) };
        let given = FeedRecord {
            topic,
            // Without a key the partition is all that is known of where it belongs.
            partition: record.key.is_none().then_some(partition),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            timestamp: timestamp(letter),
            headers: &headers,
        };
        self.feed.send_record(&given).map_err(|error| self.failed(&error))?;
        self.pending.push(letter.place);
        self.sent += 1;
        pace(Some(self.rate), self.sent, self.begun, &self.feed);
        if self.pending.len() >= BATCH || self.settled.elapsed() > SETTLE_EVERY { self.settle() } else { Ok(()) }
    }

    /// Waits until brokers have all, then writes the receipts.
    fn settle(&mut self) -> Result<()> {
        self.wait()?;
        for (partition, offset) in std::mem::take(&mut self.pending) {
            let headers = [(header::REDRIVEN.to_owned(), Some(format!("{partition}:{offset}").into_bytes()))];
            let receipt = FeedRecord {
                topic: self.topic,
                partition: Some(partition),
                headers: &headers,
                ..FeedRecord::default()
            };
            self.feed.send_record(&receipt).map_err(|error| self.failed(&error))?;
            self.receipts += 1;
        }
        self.settled = Instant::now();
        self.wait()
    }

    fn wait(&self) -> Result<()> {
        deliver(&self.feed, self.sent + self.receipts, self.bootstrap)?;
        if self.feed.failed() > 0 {
            let why = self.feed.first_failure().unwrap_or_default();
            bail!("{why}; the last {} may have been redriven or not, another run tries them again", self.pending.len());
        }
        Ok(())
    }

    fn failed(&self, error: &FeedError) -> OutsideError {
        OutsideError(format!(
            "{error}; what was redriven before that has its receipts but for the last {BATCH} at most"
        ))
    }
}

/// The record's own headers, and what tells of the redrive.
fn headers(record: &OwnedRecord, letter: &Letter, topic: &str) -> Vec<(String, Option<Vec<u8>>)> {
    let own = record.headers.iter().filter(|(name, _)| !name.starts_with("sinyal.")).cloned();
    let (partition, offset) = letter.place;
    let ours = [
        (header::REDRIVE_OF, format!("{topic}:{partition}:{offset}")),
        (header::FIRST_ORIGIN, letter.first_origin.clone()),
        (header::ATTEMPTS, (letter.attempts + 1).to_string()),
    ];
    own.chain(ours.map(|(name, value)| (name.to_owned(), Some(value.into_bytes())))).collect()
}

/// The Kafka time under which it goes back: its own where that is the version of a retraction, else that of sending, by which it is
/// kept as long as anything new.
fn timestamp(letter: &Letter) -> Option<EpochMs> {
    letter.original_timestamp.filter(|_| letter.value_bytes.is_none())
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::{letter, record};
    use super::*;

    fn args() -> RedriveArgs {
        RedriveArgs {
            filter: Filter::default(),
            execute: false,
            rate: 100,
            limit: 10,
            max_attempts: 3,
            again: false,
            json: false,
        }
    }

    #[test]
    fn what_cannot_be_redriven_says_why() {
        let config = Config::load(None, [("SINYAL__TOPICS__POSTS_RAW".to_owned(), "posts".to_owned())]).unwrap();
        let one = letter(&record());
        let mut receipts = Receipts::default();
        let partitions = Partitions::from([("posts".to_owned(), 2)]);
        let fate = |letter: &Letter, receipts: &Receipts| args().fate(letter, receipts, &config, &partitions);
        assert_eq!(fate(&one, &receipts), Fate::Redrive);
        let refused = |letter: Letter, why: &str| match fate(&letter, &receipts) {
            Fate::Refused(told) => assert!(told.contains(why), "{told}"),
            other => panic!("{other:?}"),
        };
        refused(Letter { origin: String::new(), ..one.clone() }, "no topic of origin");
        refused(Letter { origin: "payments:0:1".to_owned(), ..one.clone() }, "payments is no input");
        refused(Letter { is_cut: true, ..one.clone() }, "cut to fit");
        let moved = Letter { origin: "posts:2:1".to_owned(), ..one.clone() };
        assert_eq!(
            fate(&Letter { key_bytes: Some(3), ..moved.clone() }, &receipts),
            Fate::Redrive,
            "its key says where"
        );
        refused(Letter { key_bytes: None, ..moved }, "posts has no partition 2 any more");
        let none = Partitions::default();
        assert!(matches!(args().fate(&one, &receipts, &config, &none), Fate::Refused(why) if why.contains("missing")));
        refused(Letter { attempts: 3, ..one.clone() }, "3 attempts, and --max-attempts is 3");
        assert_eq!(fate(&Letter { attempts: 2, ..one.clone() }, &receipts), Fate::Redrive);
        receipts.add(one.place).unwrap();
        assert_eq!(fate(&one, &receipts), Fate::Before);
        assert_eq!(RedriveArgs { again: true, ..args() }.fate(&one, &receipts, &config, &partitions), Fate::Redrive);
    }

    #[test]
    fn its_own_headers_go_back_and_the_way_is_kept() {
        let mut again = record();
        again.headers.push((header::ATTEMPTS.to_owned(), Some(b"2".to_vec())));
        again.headers.push((header::FIRST_ORIGIN.to_owned(), Some(b"posts:1:3".to_vec())));
        let sent = headers(&again, &letter(&again), "dead");
        let told: Vec<(&str, Option<&str>)> = sent
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_deref().map(|value| std::str::from_utf8(value).unwrap())))
            .collect();
        assert_eq!(
            told,
            [
                ("traceparent", Some("00-1")),
                ("nothing", None),
                ("sinyal.redrive-of", Some("dead:2:17")),
                ("sinyal.first-origin", Some("posts:1:3")),
                ("sinyal.attempts", Some("3")),
            ]
        );
    }

    #[test]
    fn a_retraction_keeps_its_time() {
        let mut gone = record();
        assert_eq!(timestamp(&letter(&gone)), None);
        gone.value = None;
        assert_eq!(timestamp(&letter(&gone)), Some(5_000));
    }
}
