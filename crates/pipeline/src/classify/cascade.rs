//! Two tiers: the fast one decides what it is sure of; a second opinion is asked for the rest, within a budget.
//!
//! A text is submitted as soon as its record is read and its answer collected before the commit, so that the hot path works
//! on meanwhile. Until then the records are held back, in order: emitted out of order, those that waited would be late to
//! the community stage.

use std::fmt;
use std::ops::Range;

use ::classify::Decision;
use record::stage::{InputHeaders, InputPartition, InputRecord};
use record::{EpochMs, Label, Tier};

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
    /// Below this confidence of the fast tier it is asked, 0 to 1.
    pub ask_below: f32,
    /// Most of the records that may be asked for, as a share, 0 to 1.
    pub share_max: f32,
    /// Below this confidence of its own answer the item goes to review, 0 to 1, by label in the order of [`Label::ALL`].
    pub thresholds: [f32; Label::ALL.len()],
}

/// Most records that are held back.
const HELD_RECORDS_MAX: usize = 8_192;
/// Most bytes of them.
const HELD_BYTES_MAX: usize = 8 << 20;
/// How far beyond its share a burst may go: else the first records of a quiet time could never be asked for.
const BURST: f64 = 16.0;

/// A record that is held back.
#[derive(Debug)]
struct HeldRecord {
    from: InputPartition,
    offset: i64,
    timestamp: Option<EpochMs>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
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
        self.records.push(HeldRecord { from, offset, timestamp, key, value, decision, tier });
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
                // They were of interest for a dead letter only, and this will be none.
                headers: InputHeaders::default(),
            };
            (record, held.decision, held.tier)
        })
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }
}

/// What the cascade does with each record.
#[derive(Debug)]
pub(super) struct Judge {
    cascade: Cascade,
    /// What may still be asked for: it grows by the share with each record, up to the burst.
    allowance: f64,
}

impl Judge {
    pub(super) fn new(cascade: Cascade) -> Judge {
        Judge { cascade, allowance: BURST }
    }

    pub(super) fn model_version(&self) -> &str {
        self.cascade.opinion.model_version()
    }

    /// Asks for a second opinion if the fast tier is unsure of the text and the budget allows it. Gives the tier by which the
    /// record is decided if no answer comes.
    pub(super) fn consider(&mut self, ticket: usize, text: &str, decision: &Decision, tier: Tier) -> Tier {
        let share = f64::from(self.cascade.share_max);
        self.allowance = (self.allowance + share).min(BURST.max(share));
        if tier != Tier::Fast || decision.confidence >= self.cascade.ask_below {
            return tier;
        }
        let urgency = (decision.probabilities[Label::Complaint.index()] * 1_000.0) as u32;
        let ticket = u32::try_from(ticket).unwrap_or(u32::MAX);
        if self.allowance >= 1.0 && self.cascade.opinion.submit(ticket, text, urgency) {
            self.allowance -= 1.0;
        }
        Tier::DeepSkipped
    }

    /// Takes in the answers.
    pub(super) fn collect(&mut self, held: &mut Held) {
        let Cascade { opinion, thresholds, .. } = &mut self.cascade;
        opinion.collect(&mut |ticket, probabilities| {
            let Some(record) = held.records.get_mut(ticket as usize) else { return };
            let label = (1..Label::ALL.len())
                .fold(0, |best, at| if probabilities[at] > probabilities[best] { at } else { best });
            let confidence = probabilities[label];
            record.decision = Decision {
                label: Label::ALL[label],
                probabilities,
                confidence,
                abstained: confidence < thresholds[label],
                ..record.decision
            };
            record.tier = Tier::Deep;
        });
    }

    pub(super) fn forget(&mut self) {
        self.cascade.opinion.forget();
    }
}
