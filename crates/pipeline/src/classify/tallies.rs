//! What was emitted, counted.

use record::{Label, Tier};

/// What was emitted so far, for summaries and metrics.
#[derive(Debug, Clone, Default)]
pub struct Tallies {
    /// Classified records by label, in the order of [`Label::ALL`]; retractions are not among them.
    pub by_label: [u64; Label::ALL.len()],
    /// Classified records that abstained.
    pub abstained: u64,
    /// Classified records by what decided, in the order of [`Tier::ALL`].
    pub by_tier: [u64; Tier::ALL.len()],
    /// Items by queue, in the order of the routing.
    pub by_queue: Vec<u64>,
    /// Records that claimed to be canaries, and whose seal did not hold: they were taken for what else they are.
    pub false_canaries: u64,
}

impl Tallies {
    /// The share of classified records that this tier decided, 0 to 1.
    pub fn share_of(&self, tier: Tier) -> f64 {
        self.by_tier[tier as usize] as f64 / self.by_tier.iter().sum::<u64>().max(1) as f64
    }

    /// The share of classified records of which the classifier was unsure, 0 to 1.
    pub fn share_abstained(&self) -> f64 {
        self.abstained as f64 / self.by_tier.iter().sum::<u64>().max(1) as f64
    }
}
