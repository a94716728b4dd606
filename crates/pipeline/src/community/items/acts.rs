//! What responders do with an item: claim it, let it go, close it.

use record::EpochMs;
use serde::{Deserialize, Serialize};

/// Who works on an item, until when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claim {
    pub(crate) by: Box<str>,
    pub(crate) at: EpochMs,
    pub(crate) until: EpochMs,
}

/// What responders did with an item.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acts {
    pub(crate) claim: Option<Claim>,
    /// When it was closed without an answer, and by whom.
    pub(crate) acknowledged: Option<(EpochMs, Box<str>)>,
    /// When that was for the first time.
    pub(crate) first_acknowledged: Option<EpochMs>,
}

impl Acts {
    /// Takes a claim in. One that came while another's lease was on is refused: false.
    pub(crate) fn claim(&mut self, claim: Claim) -> bool {
        let taken = self.claim.as_ref().is_some_and(|held| held.until > claim.at && held.by != claim.by);
        let older = self.claim.as_ref().is_some_and(|held| held.at > claim.at);
        if taken || older {
            return false;
        }
        self.claim = Some(claim);
        true
    }

    /// Gives a claim back; only who holds it can.
    pub(crate) fn release(&mut self, by: &str) -> bool {
        let held = self.claim.as_ref().is_some_and(|held| *held.by == *by);
        if held {
            self.claim = None;
        }
        held
    }

    /// Closes the item. False if it was closed later than that already.
    pub(crate) fn acknowledge(&mut self, at: EpochMs, by: &str) -> bool {
        let later = self.acknowledged.as_ref().is_some_and(|(known, _)| *known >= at);
        if !later {
            self.acknowledged = Some((at, by.into()));
            self.first_acknowledged = Some(self.first_acknowledged.map_or(at, |first| first.min(at)));
        }
        !later
    }

    /// When something was done last.
    pub(crate) fn last(&self) -> Option<EpochMs> {
        let claimed = self.claim.as_ref().map(|claim| claim.at);
        claimed.max(self.acknowledged.as_ref().map(|(at, _)| *at))
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Acts::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(by: &str, at: EpochMs, until: EpochMs) -> Claim {
        Claim { by: by.into(), at, until }
    }

    #[test]
    fn a_lease_keeps_others_out_until_it_ends() {
        let mut acts = Acts::default();
        assert!(acts.claim(claim("sari", 10, 20)));
        assert!(!acts.claim(claim("budi", 15, 25)));
        assert!(acts.claim(claim("sari", 15, 30)), "who holds it may hold it longer");
        assert!(acts.claim(claim("budi", 30, 40)));
        assert!(!acts.release("sari"));
        assert!(acts.release("budi"));
        assert!(acts.is_empty());
    }

    #[test]
    fn the_latest_acknowledgement_stands() {
        let mut acts = Acts::default();
        assert!(acts.acknowledge(10, "sari"));
        assert!(!acts.acknowledge(10, "budi"), "the same again, read twice");
        assert!(acts.acknowledge(20, "budi"));
    }
}
