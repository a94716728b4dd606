//! The conservation ledger: every consumed record has exactly one outcome.

/// What became of one consumed record. The first three and the last are the classify stage's, the rest the community stage's,
/// which shares `DeadLettered` and `Dropped`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// Classified and emitted.
    Classified = 0,
    /// Sent to the dead letters.
    DeadLettered = 1,
    /// Left out on purpose (beyond the horizon of identities, a key format that says so).
    Dropped = 2,
    /// A new interaction, counted.
    Applied = 3,
    /// A newer version of a known one: retracted and added.
    Replaced = 4,
    /// A retraction, applied.
    Retracted = 5,
    /// A responder's correction, applied.
    Corrected = 6,
    /// The same content and decision again.
    Deduplicated = 7,
    /// An older version than the known one.
    Stale = 8,
    /// Known to identity, but every pane it belongs to was closed.
    Late = 9,
    /// Kept aside until what it refers to comes.
    Parked = 10,
    /// A responder's action, done.
    Acted = 11,
    /// A progress marker.
    Progress = 12,
    /// One of our own canaries: neither classified nor counted, only passed on.
    Canary = 13,
}

impl Outcome {
    /// Every outcome, in the order of their indexes.
    pub const ALL: [Outcome; 14] = [
        Outcome::Classified,
        Outcome::DeadLettered,
        Outcome::Dropped,
        Outcome::Applied,
        Outcome::Replaced,
        Outcome::Retracted,
        Outcome::Corrected,
        Outcome::Deduplicated,
        Outcome::Stale,
        Outcome::Late,
        Outcome::Parked,
        Outcome::Acted,
        Outcome::Progress,
        Outcome::Canary,
    ];

    /// The name in metrics and summaries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Outcome::Classified => "classified",
            Outcome::DeadLettered => "dead_lettered",
            Outcome::Dropped => "dropped",
            Outcome::Applied => "applied",
            Outcome::Replaced => "replaced",
            Outcome::Retracted => "retracted",
            Outcome::Corrected => "corrected",
            Outcome::Deduplicated => "deduplicated",
            Outcome::Stale => "stale",
            Outcome::Late => "late",
            Outcome::Parked => "parked",
            Outcome::Acted => "acted",
            Outcome::Progress => "progress",
            Outcome::Canary => "canary",
        }
    }
}

/// How many records of one partition were consumed and what became of them, since the partition was assigned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    consumed: u64,
    outcomes: [u64; Outcome::ALL.len()],
}

impl Ledger {
    /// A record was taken from the partition.
    pub fn consume(&mut self) {
        self.consumed += 1;
    }

    /// Its outcome is known.
    pub fn settle(&mut self, outcome: Outcome) {
        self.outcomes[outcome as usize] += 1;
    }

    /// Records taken from the partition.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Records with this outcome.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// Adds another ledger's counts to this one's.
    pub fn add(&mut self, other: &Ledger) {
        self.consumed += other.consumed;
        for (count, more) in self.outcomes.iter_mut().zip(other.outcomes) {
            *count += more;
        }
    }

    /// True when each consumed record has exactly one outcome.
    ///
    /// ```
    /// use record::{Ledger, Outcome};
    /// let mut ledger = Ledger::default();
    /// ledger.consume();
    /// assert!(!ledger.is_balanced());
    /// ledger.settle(Outcome::Applied);
    /// assert!(ledger.is_balanced());
    /// ```
    pub fn is_balanced(&self) -> bool {
        self.consumed == self.outcomes.iter().sum::<u64>()
    }
}
