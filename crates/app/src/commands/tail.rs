//! `sinyal tail`: records of a topic, decoded.

use std::io::{BufWriter, Write};
use std::time::{Duration, Instant};

use anyhow::Result;
use jiff::tz::TimeZone;
use kafka_io::acl::Operation;
use kafka_io::admin::{Admin, TopicInfo};
use kafka_io::reader::{Reader, Start};

use super::decoded::Decoded;
use super::figures::sentence;
use super::waiting::wait_for_brokers;
use crate::cli::{OK, OutsideError};
use crate::config::Config;
use crate::telemetry::start_logging;

/// Arguments of `sinyal tail`.
#[derive(Debug, clap::Args)]
pub(crate) struct TailArgs {
    /// The topic.
    topic: String,
    /// Where to begin: `beginning`, `end`, or PARTITION:OFFSET.
    #[arg(long, default_value = "beginning", value_parser = start)]
    from: Start,
    /// Go on when the end is reached, until interrupted.
    #[arg(long, short)]
    follow: bool,
    /// Only what is of this community; rows of the metrics topic are told in words.
    #[arg(long, value_name = "ID")]
    community: Option<String>,
    /// With `--community`: JSON all the same.
    #[arg(long, requires = "community")]
    json: bool,
    /// Stop after so many records.
    #[arg(long, short = 'n')]
    count: Option<u64>,
}

/// When nothing has come for so long, it is seen whether brokers are there.
const QUIET: Duration = Duration::from_secs(20);

pub(crate) fn run(args: TailArgs, config: &Config) -> Result<u8> {
    let topics = wait_for_brokers(config)?;
    // Only now: while it waits, its own lines say all that the client would.
    start_logging("warn", "auto")?;
    if !topics.iter().any(|topic| topic.name == args.topic) && !args.topic.starts_with("__") {
        let admin = Admin::new(config.connection(), Duration::from_secs(10))?;
        return Err(match admin.hidden(&args.topic, Operation::Read) {
            Some(error) => error.into(),
            None => missing(&args.topic, &topics, &config.connection().bootstrap).into(),
        });
    }
    let mut reader = Reader::open(config.connection(), &args.topic, args.from, Duration::from_secs(10))?;
    if let Start::At { partition, offset } = args.from
        && let Some(end) = reader.end_of(partition).filter(|end| offset > *end)
    {
        // The client would begin at the first record.
        let topic = &args.topic;
        return Err(OutsideError(format!("{topic}:{partition} ends at {end}; an offset up to {end} is right")).into());
    }
    let mut decoded = Decoded::new(config);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let zone = TimeZone::system();
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut heard = Instant::now();
    while left > 0 {
        match reader.next(Duration::from_millis(200))? {
            Some(record) => {
                heard = Instant::now();
                let record = decoded.record(&args.topic, &record);
                if args
                    .community
                    .as_ref()
                    .is_some_and(|community| record["value"]["community_id"] != community.as_str())
                {
                    continue;
                }
                let words = args.community.as_ref().filter(|_| !args.json);
                match words.and_then(|_| sentence(&record["value"], &zone)) {
                    Some(sentence) => writeln!(out, "{sentence}")?,
                    None => writeln!(out, "{record}")?,
                }
                left -= 1;
            }
            None => {
                out.flush()?;
                if !args.follow && (reader.is_at_end() || args.from == Start::End) {
                    break;
                }
                if heard.elapsed() > QUIET {
                    // Nobody writes, or nobody answers: which of the two it is, it says.
                    wait_for_brokers(config)?;
                    heard = Instant::now();
                }
            }
        }
    }
    out.flush()?;
    Ok(OK)
}

/// What is wrong where a topic is missing, with the nearest that there is.
fn missing(name: &str, topics: &[TopicInfo], bootstrap: &str) -> OutsideError {
    let likeness = |topic: &TopicInfo| strsim::jaro_winkler(name, &topic.name);
    let nearest = topics.iter().max_by(|one, two| likeness(one).total_cmp(&likeness(two)));
    let right = match nearest {
        Some(topic) => format!("did you mean {}?", topic.name),
        None => "there is none; `sinyal topics apply` makes those of the configuration".to_owned(),
    };
    OutsideError(format!("topic {name} is missing at {bootstrap}; {right}"))
}

fn start(text: &str) -> Result<Start, String> {
    let place = || {
        let (partition, offset) = text.split_once(':')?;
        Some(Start::At {
            partition: partition.parse().ok()?,
            offset: offset.parse().ok().filter(|offset| *offset >= 0)?,
        })
    };
    match text {
        "beginning" => Ok(Start::Beginning),
        "end" => Ok(Start::End),
        _ => place().ok_or_else(|| format!("{text:?}: beginning, end or PARTITION:OFFSET is right")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_are_read() {
        assert_eq!(start("3:17"), Ok(Start::At { partition: 3, offset: 17 }));
        assert_eq!(start("end"), Ok(Start::End));
        for wrong in ["", "3", "3:-1", "x:1"] {
            assert!(start(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn of_a_missing_topic_the_nearest_is_named() {
        let topic = |name: &str| TopicInfo { name: name.to_owned(), partitions: 1, replication: 1 };
        let there = [topic("social.alerts"), topic("social.queue.complaint"), topic("orders")];
        assert_eq!(
            missing("social.queue.complaints", &there, "a:1").to_string(),
            "topic social.queue.complaints is missing at a:1; did you mean social.queue.complaint?"
        );
        assert!(missing("a", &[], "a:1").to_string().contains("sinyal topics apply"));
    }
}
