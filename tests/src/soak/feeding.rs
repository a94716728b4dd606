//! The continuous feed: `sinyal sim` into `sinyal ingest`, through a thread that writes down what is of the communities that are recounted.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use oracle::Identity;
use serde::Deserialize;

use crate::{Server, Sinyal, wait_for};

/// What comes later than this is left out of the feed: windows are open for two minutes longer, in which a partition may wait for brokers
/// while others go on, so nothing misses a pane in a recount that knows of no lateness. `sim` delivers half a per cent of the
/// interactions minutes late, a few very late.
const LATEST_MS: i64 = 60_000;
/// What the brand answers later than this is left out, too: of what is known no more, nobody can tell a first response, and when exactly it
/// goes hangs on restarts. A recount forgets nothing.
const ANSWERED_MS: i64 = super::LATENESS_MS;
/// How many lines are looked at to tell how much each community brings.
const LOOKED_AT: u64 = 50_000;
/// The most active ones are not recounted: one of them has a crisis, and nobody knows how large.
const LEFT_OUT: usize = 2;
/// No community may be more than this part of what is recounted, so that there are several.
const PART: u64 = 8;

/// The world that is fed.
#[derive(Debug, Clone)]
pub(crate) struct Feed {
    pub(crate) seed: u64,
    pub(crate) communities: u32,
    pub(crate) rate: u32,
    pub(crate) lasts: Duration,
    /// When the world begins, in epoch milliseconds.
    pub(crate) start: i64,
}

/// It feeds.
#[derive(Debug)]
pub(crate) struct Feeding {
    sim: Server,
    ingest: Server,
    thread: JoinHandle<Result<u64>>,
    /// The identities that came lately of those that are recounted.
    lately: Lately,
    pub(crate) lines: PathBuf,
}

type Lately = Arc<Mutex<Vec<Identity>>>;

/// What is looked at of a line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    community_id: std::borrow::Cow<'a, str>,
    kind: std::borrow::Cow<'a, str>,
    id: std::borrow::Cow<'a, str>,
    created_at: i64,
    observed_at: i64,
    #[serde(borrow)]
    author: Option<Author<'a>>,
    #[serde(borrow)]
    post_id: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    parent_id: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Author<'a> {
    #[serde(borrow)]
    role: std::borrow::Cow<'a, str>,
}

impl Line<'_> {
    /// What it answers, if it is a comment of the brand.
    fn answered(&self) -> Option<Identity> {
        self.author.as_ref().filter(|author| author.role == "brand")?;
        let (kind, id) = match (&self.parent_id, &self.post_id) {
            (Some(parent), _) => ("comment", parent),
            (None, post) => ("post", post.as_ref()?),
        };
        Some((self.community_id.to_string(), kind.to_owned(), id.to_string()))
    }
}

impl Feed {
    fn arguments(&self, interactions: u64) -> Vec<String> {
        let Feed { seed, communities, rate, start, .. } = self;
        let arguments: [(&str, String); 5] = [
            ("--seed", seed.to_string()),
            ("--communities", communities.to_string()),
            ("--rate", rate.to_string()),
            ("--start", start.to_string()),
            ("--interactions", interactions.to_string()),
        ];
        let arguments = arguments.into_iter().flat_map(|(name, value)| [name.to_owned(), value]);
        std::iter::once("sim".to_owned()).chain(arguments).collect()
    }

    /// How many lines that will be.
    pub(crate) fn lines(&self) -> u64 {
        u64::from(self.rate) * self.lasts.as_secs()
    }

    /// Communities that bring about `lines_max` lines together, or less.
    pub(crate) fn choose(&self, sinyal: &Sinyal, lines_max: u64) -> Result<Vec<String>> {
        let arguments = self.arguments(LOOKED_AT);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut brought: BTreeMap<String, u64> = BTreeMap::new();
        for line in sinyal.succeed(&arguments)?.lines() {
            let line: Line<'_> = serde_json::from_str(line)?;
            *brought.entry(line.community_id.into_owned()).or_default() += 1;
        }
        let chosen = choose(brought, self.lines(), lines_max);
        ensure!(!chosen.is_empty(), "no community is small enough to be recounted");
        Ok(chosen)
    }

    /// Begins to feed. Standard error of `ingest` goes to a file.
    pub(crate) fn begin(&self, sinyal: &Sinyal, recounted: &[String]) -> Result<Feeding> {
        // More than are taken: the clock ends it.
        let arguments = self.arguments(self.lines() * 2);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut command = sinyal.command(&arguments)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut sim = Server::start(command)?;
        let made = sim.0.stdout.take().context("a pipe")?;
        let mut command = sinyal.command(&["ingest", "-", "--rate", &self.rate.to_string()])?;
        let said = std::fs::File::create(sinyal.file("ingest.log"))?;
        // As a crawler that hands over what it has twenty times a second. By itself `ingest` sends every 5 ms, which is a request for each
        // record here, and brokers on the same two cores do little else then.
        command.env("SINYAL__KAFKA__PROPERTIES__LINGER.MS", "50");
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(said);
        let mut ingest = Server::start(command)?;
        let taken = ingest.0.stdin.take().context("a pipe")?;
        let lines = sinyal.file("recounted.jsonl");
        let mut kept = BufWriter::new(std::fs::File::create(&lines)?);
        let recounted: BTreeSet<String> = recounted.iter().cloned().collect();
        let lately = Lately::default();
        let (end, noted) = (Instant::now() + self.lasts, Arc::clone(&lately));
        let thread = std::thread::spawn(move || {
            let mut taken = BufWriter::new(taken);
            let mut fed = 0;
            let mut known: HashMap<Identity, i64> = HashMap::new();
            let mut latest = i64::MIN;
            for line in BufReader::new(made).lines() {
                let line = line?;
                if Instant::now() >= end {
                    break;
                }
                let seen: Line<'_> = serde_json::from_str(&line)?;
                // By when it comes: what is delivered twice says the second time that it was observed earlier.
                latest = latest.max(seen.observed_at);
                if latest - seen.created_at > LATEST_MS {
                    continue;
                }
                if recounted.contains(seen.community_id.as_ref()) {
                    let answered_at = seen.answered().and_then(|answered| known.get(&answered).copied());
                    if answered_at.is_some_and(|at| seen.created_at - at > ANSWERED_MS) {
                        continue;
                    }
                    writeln!(kept, "{line}")?;
                    let of = (seen.community_id.into_owned(), seen.kind.into_owned(), seen.id.into_owned());
                    known.insert(of.clone(), seen.created_at);
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push(of);
                }
                writeln!(taken, "{line}").map_err(|error| anyhow!("ingest takes nothing any more: {error}"))?;
                fed += 1;
            }
            taken.flush()?;
            kept.flush()?;
            Ok(fed)
        });
        Ok(Feeding { sim, ingest, thread, lately, lines })
    }
}

/// In the order of what they bring, the largest first.
fn choose(brought: BTreeMap<String, u64>, lines: u64, lines_max: u64) -> Vec<String> {
    let looked_at = brought.values().sum::<u64>().max(1);
    let mut brought: Vec<(String, u64)> = brought.into_iter().collect();
    brought.sort_by(|(one, few), (other, more)| more.cmp(few).then_with(|| one.cmp(other)));
    let mut left = lines_max;
    let mut chosen = Vec::new();
    for (community, count) in brought.into_iter().skip(LEFT_OUT) {
        let expected = count * lines / looked_at;
        if expected <= lines_max / PART && expected <= left {
            left -= expected;
            chosen.push(community);
        }
    }
    chosen
}

impl Feeding {
    /// True until all is fed.
    pub(crate) fn goes_on(&self) -> bool {
        !self.thread.is_finished()
    }

    /// Its processes, by name.
    pub(crate) fn processes(&self) -> [(&'static str, u32); 2] {
        [("sim", self.sim.0.id()), ("ingest", self.ingest.0.id())]
    }

    /// Some of the identities that came since this was asked last, of those that are recounted.
    pub(crate) fn some_of_lately(&self, most: usize) -> Vec<Identity> {
        let lately = std::mem::take(&mut *self.lately.lock().unwrap_or_else(PoisonError::into_inner));
        let step = (lately.len() / most.max(1)).max(1);
        lately.into_iter().step_by(step).take(most).collect()
    }

    /// Waits until brokers have all of it; gives how many lines that were.
    pub(crate) fn finish(mut self, sinyal: &Sinyal) -> Result<u64> {
        let said = || std::fs::read_to_string(sinyal.file("ingest.log")).unwrap_or_default();
        let fed = self.thread.join().map_err(|_| anyhow!("the feed panicked"))?.with_context(said)?;
        self.sim.kill();
        let mut status = None;
        wait_for("brokers to take all that was fed", Duration::from_secs(300), || {
            status = self.ingest.0.try_wait()?;
            Ok(status.is_some())
        })
        .with_context(said)?;
        ensure!(status.is_some_and(|status| status.success()), "the feed failed: {}", said());
        Ok(fed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn communities_are_chosen_within_what_can_be_recounted() {
        let check = |lines: u64, lines_max: u64, expected: &[&str]| {
            let brought = [("a", 400), ("b", 300), ("c", 200), ("d", 60), ("e", 30), ("f", 10)];
            let brought = brought.map(|(community, count)| (community.to_owned(), count));
            assert_eq!(choose(brought.into(), lines, lines_max), expected, "{lines} {lines_max}");
        };
        check(1_000, 10_000, &["c", "d", "e", "f"]);
        check(1_000, 800, &["d", "e", "f"]);
        check(10_000, 800, &["f"]);
        check(100_000, 800, &[]);
    }
}
