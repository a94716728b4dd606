//! How often a client was told that another has its name, and when that is to be believed.

use std::time::{Duration, Instant};

/// What a namesake in a group has of ours.
pub(crate) const GROUP_INSTANCE_ID: &str = "the same group.instance.id";
/// How long an outage may be the cause of what comes after it; longer than a session.
pub(crate) const OUTAGE_REMEMBERED: Duration = Duration::from_secs(120);
/// Fenced again within this time means that somebody else is at work with our id; once may be the broker giving up on us.
const FENCED_AGAIN_WITHIN: Duration = Duration::from_secs(60);
/// So often it may happen within that time before it is a namesake; and where brokers were away meanwhile, each of whose outages may
/// be the cause of one.
const FENCES_MAX: usize = 1;
const FENCES_MAX_IN_OUTAGES: usize = 3;

/// When this member was fenced.
#[derive(Debug, Default)]
pub(crate) struct Fences(Vec<Instant>);

impl Fences {
    /// It was fenced again; true if that is by somebody else. A namesake fences us as often as we come back, which is every few
    /// seconds. A coordinator that takes a group over may do so once, though nobody else is there.
    pub(crate) fn is_namesake(&mut self, in_outages: bool) -> bool {
        self.0.retain(|at| at.elapsed() < FENCED_AGAIN_WITHIN);
        self.0.push(Instant::now());
        self.0.len() > if in_outages { FENCES_MAX_IN_OUTAGES } else { FENCES_MAX }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_fence_is_a_namesake_and_the_fourth_where_brokers_were_away() {
        let mut fences = Fences::default();
        assert!(!fences.is_namesake(false));
        assert!(fences.is_namesake(false));
        let mut in_outages = Fences::default();
        assert!((0..3).all(|_| !in_outages.is_namesake(true)));
        assert!(in_outages.is_namesake(true));
    }

    #[test]
    fn what_is_long_ago_does_not_count() {
        let long_ago = Instant::now().checked_sub(FENCED_AGAIN_WITHIN).expect("a machine that runs for a minute");
        let mut fences = Fences(vec![long_ago; 5]);
        assert!(!fences.is_namesake(false));
        assert!(fences.is_namesake(false));
    }
}
