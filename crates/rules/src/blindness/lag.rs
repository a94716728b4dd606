//! Whether the stages keep up, and whether they have caught up.

use std::collections::{BTreeMap, VecDeque};

use record::{EpochMs, Position, StageName};

use super::words::{duration_en, duration_id};
use super::{At, Finding, InputSeen, Observation, name_of};

type Ends = BTreeMap<At, Position>;

/// Into how many parts the time is cut for which ends are remembered.
const REMEMBERED: i64 = 64;

/// How far catching up has come. To have caught up, what lay in the raw topics must have gone through both stages: so the end of
/// the classified topic is taken only after the classify stage was seen to be through with it.
#[derive(Debug, Default)]
enum Chain {
    #[default]
    Begins,
    /// The classify stage is to commit these.
    Raw(Ends),
    /// The community stage is to commit these.
    Classified(Ends),
    CaughtUp,
}

#[derive(Debug, Default)]
pub(super) struct CatchUp {
    /// The ends as they stood, oldest first; the first one may be older than the time that a stage may take.
    ends: VecDeque<(EpochMs, Ends)>,
    chain: Chain,
    lags_since: Option<EpochMs>,
}

impl CatchUp {
    pub(super) fn remember(&mut self, at: EpochMs, ends: Ends, lag_ms: i64) {
        if self.ends.back().is_none_or(|(last, _)| (at - last).max(0) * REMEMBERED >= lag_ms || at < *last) {
            self.ends.push_back((at, ends));
        }
        // The clock may have been set back: then what was remembered under later times goes first.
        while self.ends.len() > 2 && (self.ends[1].0 <= at - lag_ms || self.ends[0].0 > at) {
            self.ends.pop_front();
        }
        while self.ends.len() > REMEMBERED as usize + 8 {
            self.ends.pop_front();
        }
    }

    /// Why the pipeline is behind, and whether a stage lags.
    pub(super) fn observe(
        &mut self,
        seen: &Observation,
        lag_ms: i64,
        held: Option<&Finding>,
        was_blind: bool,
    ) -> (Option<String>, Option<Finding>) {
        let now = seen.now;
        if was_blind {
            // What came in meanwhile was never seen to come in.
            self.chain = Chain::Begins;
        }
        let all = || seen.classify.iter().chain(&seen.community);
        self.remember(now, all().map(|input| (input.at.clone(), input.end)).collect(), lag_ms);
        let lag = self.lag(seen, lag_ms);
        if lag.is_some() && matches!(self.chain, Chain::CaughtUp) {
            self.chain = Chain::Begins;
        }
        let caught_up = self.advance(seen);
        let behind = match (&lag, held) {
            (Some(lag), _) => Some(lag.en.clone()),
            (None, Some(held)) => Some(held.en.clone()),
            (None, None) => caught_up.err(),
        };
        (behind, lag)
    }

    /// What was there `lag_ms` ago and is not committed.
    fn lag(&mut self, seen: &Observation, lag_ms: i64) -> Option<Finding> {
        let reference = self.ends.iter().rev().find(|(at, _)| *at <= seen.now - lag_ms);
        let late = reference.and_then(|(at, ends)| {
            let left = |input: &InputSeen| ends.get(&input.at).is_some_and(|end| input.committed < *end);
            let stage = if seen.classify.iter().any(left) {
                StageName::Classify
            } else if seen.community.iter().any(left) {
                StageName::Community
            } else {
                return None;
            };
            Some((*at, stage))
        });
        let Some((at, stage)) = late else {
            self.lags_since = None;
            return None;
        };
        let since = *self.lags_since.get_or_insert(at);
        let (name, records) = (name_of(stage), unread(inputs(seen, stage)));
        let (en, id) = (duration_en(seen.now - since), duration_id(seen.now - since));
        Some(Finding {
            since,
            en: format!(
                "The {name} stage is {records} records behind; what came in {en} ago is not worked off. Does it run, and does \
                 it keep up?"
            ),
            id: format!(
                "Tahap {name} tertinggal {records} rekaman; yang masuk {id} lalu belum diolah. Apakah tahap itu berjalan dan \
                 mampu mengejar?"
            ),
        })
    }

    /// Goes on as far as can be seen; what is left if that is not all.
    fn advance(&mut self, seen: &Observation) -> Result<(), String> {
        if let Chain::Begins = self.chain {
            self.chain = Chain::Raw(ends(&seen.classify));
        }
        if let Chain::Raw(target) = &self.chain {
            let left = left(&seen.classify, target);
            if left > 0 {
                return Err(format!("the classify stage has yet to read {left} records that were there before"));
            }
            self.chain = Chain::Classified(ends(&seen.community));
        }
        if let Chain::Classified(target) = &self.chain {
            let left = left(&seen.community, target);
            if left > 0 {
                return Err(format!("the community stage has yet to read {left} records that were there before"));
            }
            self.chain = Chain::CaughtUp;
        }
        Ok(())
    }
}

fn inputs(seen: &Observation, stage: StageName) -> &[InputSeen] {
    match stage {
        StageName::Classify => &seen.classify,
        StageName::Community => &seen.community,
        // It is no part of the pipeline: nobody waits for what it reads.
        StageName::Notify => &[],
    }
}

fn ends(inputs: &[InputSeen]) -> Ends {
    inputs.iter().map(|input| (input.at.clone(), input.end)).collect()
}

/// Records, and markers of transactions among them, up to these ends.
fn left(inputs: &[InputSeen], target: &Ends) -> Position {
    let left = |input: &InputSeen| target.get(&input.at).map_or(0, |end| (end - input.committed).max(0));
    inputs.iter().map(left).sum()
}

fn unread(inputs: &[InputSeen]) -> Position {
    inputs.iter().map(|input| (input.end - input.committed).max(0)).sum()
}
