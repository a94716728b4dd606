//! Two tiers: the fast one decides what it is sure of; a second opinion is asked for the rest, within a budget.
//!
//! A text is submitted as soon as its record is read and its answer collected before the commit, so that the hot path works
//! on meanwhile. Until then the records are held back, in order: emitted out of order, those that waited would be late to
//! the community stage.

use std::fmt;
use std::ops::Range;

use ::classify::{Decision, classified_part};
use record::stage::{InputHeaders, InputPartition, InputRecord};
use record::{EpochMs, Label, Language, Tier, TraceContext};

/// Probabilities in the order of [`Label::ALL`].
pub type Probabilities = [f32; Label::ALL.len()];

/// What is asked where the fast tier is unsure. It decides by itself how long an answer may take.
pub trait SecondOpinion: fmt::Debug + Send {
    /// The version of its model.
    fn model_version(&self) -> &str;

    /// Asks for a text; the more urgent ones are judged first. False if it is not taken: there is no room, or nobody to
    /// answer. `ticket` comes back with the answer.
    fn submit(&mut self, ticket: u32, text: &str, urgency: u32) -> bool;

    /// Waits in bounded time for what was submitted since the last call, shows each answer, and forgets what has not come.
    fn collect(&mut self, see: &mut dyn FnMut(u32, Probabilities));

    /// Forgets what was submitted.
    fn forget(&mut self);
}

/// The second tier and its budget.
#[derive(Debug)]
pub struct Cascade {
    /// Who is asked.
    pub opinion: Box<dyn SecondOpinion>,
    /// Only below this confidence of the fast tier it is asked, 0 to 1.
    pub ask_below: f32,
    /// Most of the records that may be asked for, as a share, 0 to 1.
    pub share_max: f32,
    /// Below this confidence of what both say the item goes to review, 0 to 1, by label in the order of [`Label::ALL`].
    pub thresholds: [f32; Label::ALL.len()],
}

/// Most records that are held back.
const HELD_RECORDS_MAX: usize = 8_192;
/// Most bytes of them.
const HELD_BYTES_MAX: usize = 8 << 20;
/// How far beyond its share a burst may go: else the first records of a quiet time could never be asked for. Far enough that
/// a single question hardly moves what the next has to be worth.
const BURST: f64 = 64.0;

/// A record that is held back.
#[derive(Debug)]
struct HeldRecord {
    from: InputPartition,
    offset: i64,
    timestamp: Option<EpochMs>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    trace: Option<TraceContext>,
    decision: Decision,
    tier: Tier,
}

/// The records since the last commit, in one buffer that is reused.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    records: Vec<HeldRecord>,
}

impl Held {
    /// Keeps a record and what the fast tier says of it.
    pub(super) fn push(&mut self, record: &InputRecord<'_>, decision: Decision, tier: Tier) {
        let mut keep = |bytes: Option<&[u8]>| {
            bytes.map(|bytes| {
                let start = self.bytes.len();
                self.bytes.extend_from_slice(bytes);
                start..self.bytes.len()
            })
        };
        let (key, value) = (keep(record.key), keep(record.value));
        let (from, offset, timestamp) = (record.from, record.offset, record.timestamp);
        let trace = record.headers.trace();
        self.records.push(HeldRecord { from, offset, timestamp, key, value, trace, decision, tier });
    }

    pub(super) fn is_full(&self) -> bool {
        self.records.len() >= HELD_RECORDS_MAX || self.bytes.len() >= HELD_BYTES_MAX
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Each record, in the order in which they came, with the decision on it.
    pub(super) fn records(&self) -> impl Iterator<Item = (InputRecord<'_>, Decision, Tier)> {
        self.records.iter().map(|held| {
            let record = InputRecord {
                from: held.from,
                offset: held.offset,
                timestamp: held.timestamp,
                key: held.key.clone().map(|range| &self.bytes[range]),
                value: held.value.clone().map(|range| &self.bytes[range]),
                // The others were of interest for a dead letter only, and this will be none.
                headers: InputHeaders::default().with_trace(held.trace),
            };
            (record, held.decision, held.tier)
        })
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}

/// Whether a second opinion is of use: the fast tier decided, and less surely than `ask_below`, 0 to 1. Of a language that is
/// not served a second opinion is worth no more than the first.
pub fn is_unsure(decision: &Decision, tier: Tier, ask_below: f32) -> bool {
    tier == Tier::Fast && decision.confidence < ask_below && decision.language != Language::Other
}

/// How many records may still be asked for, and what the next has to be worth.
///
/// The less is left of the allowance, the more an answer has to be worth. Where more are unsure than may be asked for, the
/// allowance settles where the share goes to those that are worth most, whatever the share is and the texts are.
///
/// ```
/// let mut budget = pipeline::classify::Budget::new(0.25);
/// budget.earn();
/// assert!(budget.allows(0.9) && !budget.allows(0.1));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    share: f64,
    allowance: f64,
}

impl Budget {
    /// At most this share of the records, 0 to 1. It begins about where it settles: at the share of the burst.
    pub fn new(share_max: f32) -> Budget {
        let share = f64::from(share_max);
        Budget { share, allowance: share * BURST }
    }

    /// A record has come: the allowance grows by the share, up to the burst.
    pub fn earn(&mut self) {
        self.allowance = (self.allowance + self.share).min(BURST);
    }

    /// Whether a text may be asked for whose answer is worth this much, 0 to 1 (see [`Decision::second_opinion_worth`]).
    ///
    /// About (1 - worth) to the power of 2.5 of the texts are worth as much or more (`models/deep/README.md`), and as much of
    /// the burst has to be there.
    pub fn allows(&self, worth: f32) -> bool {
        let rest = 1.0 - f64::from(worth.clamp(0.0, 1.0));
        self.allowance >= 1.0 + rest * rest * rest.sqrt() * (BURST - 1.0)
    }

    /// One was asked for.
    pub fn spend(&mut self) {
        self.allowance -= 1.0;
    }
}

/// What the cascade does with each record.
#[derive(Debug)]
pub(super) struct Judge {
    cascade: Cascade,
    budget: Budget,
}

impl Judge {
    pub(super) fn new(cascade: Cascade) -> Judge {
        Judge { budget: Budget::new(cascade.share_max), cascade }
    }

    pub(super) fn model_version(&self) -> &str {
        self.cascade.opinion.model_version()
    }

    /// Asks for a second opinion if the fast tier is unsure of the text and the budget allows it; of those that wait for an
    /// answer the likeliest complaint is judged first. Gives the tier by which the record is decided if no answer comes.
    pub(super) fn consider(&mut self, ticket: usize, text: &str, decision: &Decision, tier: Tier) -> Tier {
        self.budget.earn();
        if !is_unsure(decision, tier, self.cascade.ask_below) {
            return tier;
        }
        let urgency = decision.probabilities[Label::Complaint.index()];
        let ticket = u32::try_from(ticket).unwrap_or(u32::MAX);
        if self.budget.allows(decision.second_opinion_worth())
            && self.cascade.opinion.submit(ticket, classified_part(text), (urgency * 1_000.0) as u32)
        {
            self.budget.spend();
        }
        Tier::DeepSkipped
    }

    /// Takes in the answers.
    pub(super) fn collect(&mut self, held: &mut Held) {
        let Cascade { opinion, thresholds, .. } = &mut self.cascade;
        opinion.collect(&mut |ticket, probabilities| {
            let Some(record) = held.records.get_mut(ticket as usize) else { return };
            if let Some(decision) = record.decision.with_second_opinion(probabilities, thresholds) {
                record.decision = decision;
                record.tier = Tier::Deep;
            }
        });
    }

    pub(super) fn forget(&mut self) {
        self.cascade.opinion.forget();
    }
}
