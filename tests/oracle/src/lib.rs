//! The oracle: a slow and obvious recount of what was ingested, which the rows of the metrics topic and of the queues' state are compared
//! with.
//!
//! It shares no code with the product. It keeps every interaction in a list, in its newest version, and sums the list up anew for
//! each pane; it knows nothing of watermarks, slices, lateness or crashes. What it says is what is true of an input whose
//! disorder stays within the allowed lateness.

mod interaction;
pub mod items;
mod pane;
mod queue_state;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::interaction::{Counted, Version};
use crate::items::{Deeds, Message};

pub use queue_state::QueueStates;

/// A window: its name, and its length and slide in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// The name.
    pub name: String,
    /// How long a pane is.
    pub length_ms: i64,
    /// How far apart the ends of panes are.
    pub slide_ms: i64,
}

impl Window {
    /// A window of this name.
    pub fn new(name: &str, length_ms: i64, slide_ms: i64) -> Window {
        Window { name: name.to_owned(), length_ms, slide_ms }
    }
}

/// Community, kind and id.
pub type Identity = (String, String, String);

/// What was compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Panes of which a row was due or an earlier one still said what is true.
    pub panes: usize,
    /// Rows, each by its last revision.
    pub rows: usize,
}

/// The newest version of each interaction, and what was said of it.
#[derive(Debug, Default)]
pub struct Oracle {
    newest: BTreeMap<Identity, (Version, Option<Counted>)>,
    /// Every event time at which something was ever counted, by community, also what was taken back: the only ends at which there
    /// may be a row.
    times: BTreeMap<String, BTreeSet<i64>>,
    /// When somebody said which label is right.
    corrections: BTreeMap<Identity, (i64, String)>,
    /// All that was said of each, also what others did away with.
    words: BTreeMap<Identity, Vec<(i64, String)>>,
    /// What responders did with queue items.
    deeds: BTreeMap<Identity, Deeds>,
    /// Each interaction with its versions, as they came.
    messages: BTreeMap<Identity, Message>,
    /// How many items of each queue each interaction gives rise to, re-crawls included.
    queued: BTreeMap<(String, Identity), usize>,
    /// Who is to be forgotten in which community, and what they wrote before when.
    erased: BTreeMap<(String, String), i64>,
    lines: usize,
}

impl Oracle {
    /// Takes in a raw interaction, as a line of JSON that `sinyal ingest` takes, and what the classifier says of its text. Of two
    /// with the same version the later one counts, but a retraction before anything else.
    ///
    /// # Errors
    /// What it lacks.
    pub fn ingest(&mut self, line: &Value, label: &str, abstained: bool) -> Result<()> {
        self.lines += 1;
        let identity = interaction::identity(line)?;
        let version = interaction::version(line)?;
        let counted = interaction::counted(line, label, abstained)?;
        if let Some(counted) = &counted {
            self.times.entry(identity.0.clone()).or_default().insert(counted.at);
            if !counted.by_brand && (abstained || label != "other") {
                let queue = if abstained { "review" } else { label };
                *self.queued.entry((queue.to_owned(), identity.clone())).or_default() += 1;
            }
        }
        if self.is_erased(line) {
            return Ok(());
        }
        match self.newest.get(&identity) {
            Some((known, _)) if *known > version => {}
            _ => {
                let message = Message { came: self.lines, versions: Vec::new() };
                let message = self.messages.entry(identity.clone()).or_insert(message);
                message.versions.push(interaction::said(line, version, label, abstained)?);
                self.newest.insert(identity, (version, counted));
            }
        }
        Ok(())
    }

    /// Takes in a whole input, line by line, and what `sinyal classify --json` says of each.
    ///
    /// # Errors
    /// If a line is no interaction, or there is not one answer for each.
    pub fn ingest_lines(&mut self, input: &str, answers: &str) -> Result<()> {
        let mut answers = answers.lines();
        for line in input.lines() {
            let line: Value = serde_json::from_str(line)?;
            let answer: Value = serde_json::from_str(answers.next().context("an answer for each line")?)?;
            let label = answer["label"].as_str().context("a label")?;
            self.ingest(&line, label, answer["abstained"] == true)?;
        }
        ensure!(answers.next().is_none(), "more answers than lines");
        Ok(())
    }

    /// Somebody said at `at` that the label of an interaction is another one. The latest word counts, and stands above every
    /// version that was written up to then, in whichever order they come.
    pub fn correct(&mut self, identity: Identity, label: &str, at: i64) {
        self.words.entry(identity.clone()).or_default().push((at, label.to_owned()));
        match self.corrections.get(&identity) {
            Some((known, _)) if *known > at => {}
            _ => {
                self.corrections.insert(identity, (at, label.to_owned()));
            }
        }
    }

    /// Somebody claims, releases or acknowledges a queue item: an action as the schema has it, in the order of its topic.
    ///
    /// # Errors
    /// That it is no action on an item.
    pub fn act(&mut self, identity: Identity, action: &Value) -> Result<()> {
        self.deeds.entry(identity).or_default().take(action)
    }

    /// Somebody is to be forgotten: nothing that they wrote in a community before `at` counts, or has a row, whenever it comes.
    pub fn erase(&mut self, community: &str, author: &str, at: i64) {
        let known = self.erased.entry((community.to_owned(), author.to_owned())).or_insert(at);
        *known = at.max(*known);
        // Who wrote it does not change from version to version.
        let theirs = self.messages.iter().filter(|(identity, message)| {
            let said = |said: &items::Said| said.author.as_deref() == Some(author) && !said.by_brand && said.at < at;
            identity.0 == community && message.versions.iter().any(said)
        });
        let theirs: Vec<Identity> = theirs.map(|(identity, _)| identity.clone()).collect();
        for identity in theirs {
            self.messages.remove(&identity);
            self.newest.remove(&identity);
        }
    }

    fn is_erased(&self, line: &Value) -> bool {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let whose = (text(&line["community_id"]), text(&line["author"]["id"]));
        line["author"]["role"] != "brand"
            && self.erased.get(&whose).is_some_and(|at| line["created_at"].as_i64() < Some(*at))
    }

    /// One that knows of the same corrections, actions and erasures, and of no interaction.
    pub fn without_interactions(self) -> Oracle {
        let Oracle { corrections, words, deeds, erased, .. } = self;
        Oracle { corrections, words, deeds, erased, ..Oracle::default() }
    }

    /// How many raw interactions were taken in.
    pub fn lines(&self) -> usize {
        self.lines
    }

    /// The latest event time of all that was ever counted.
    pub fn latest(&self) -> Option<i64> {
        self.times.values().filter_map(|times| times.last().copied()).max()
    }

    /// The interactions that count, with their labels as the model has them.
    pub fn labels(&self) -> impl Iterator<Item = (&Identity, &str)> {
        self.newest.iter().filter_map(|(identity, (_, counted))| Some((identity, counted.as_ref()?.label.as_str())))
    }

    /// The interactions of all but the brand that were not taken back, and when each was made.
    pub fn by_members(&self) -> impl Iterator<Item = (&Identity, i64)> {
        let messages = self.messages.iter().map(|(of, message)| (of, message.newest()));
        messages.filter(|(_, newest)| !newest.by_brand && !newest.deleted).map(|(of, newest)| (of, newest.at))
    }

    /// Checks the items of one queue's topic: one for each raw interaction that is routed there.
    ///
    /// # Errors
    /// Items that are missing or too many.
    pub fn check_queue<'a>(&self, queue: &str, items: impl Iterator<Item = &'a Value>) -> Result<()> {
        let mut found: BTreeMap<Identity, usize> = BTreeMap::new();
        for item in items {
            *found.entry(interaction::identity(item)?).or_default() += 1;
        }
        let expected = self.queued.iter().filter(|((of, _), _)| of == queue);
        let expected: BTreeMap<Identity, usize> =
            expected.map(|((_, identity), count)| (identity.clone(), *count)).collect();
        ensure!(
            found == expected,
            "queue {queue}: {} identities with {} items found, {} with {} expected",
            found.len(),
            found.values().sum::<usize>(),
            expected.len(),
            expected.values().sum::<usize>()
        );
        Ok(())
    }

    /// What counts in each community in the end, in order of event time.
    fn communities(&self) -> BTreeMap<&str, Vec<Counted>> {
        let mut communities: BTreeMap<&str, Vec<Counted>> = BTreeMap::new();
        for (identity, (version, counted)) in &self.newest {
            let community = communities.entry(&identity.0).or_default();
            let Some(mut counted) = counted.clone() else { continue };
            if let Some((_, label)) = self.corrections.get(identity).filter(|(at, _)| *at >= version.changed_at) {
                counted.label = label.clone();
                counted.abstained = false;
            }
            community.push(counted);
        }
        communities.values_mut().for_each(|counted| counted.sort_by_key(|counted| counted.at));
        communities
    }
}
