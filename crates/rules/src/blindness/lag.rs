//! Whether the stages keep up, and whether they have caught up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use record::{EpochMs, Position, StageName};

use super::words::{duration_en, duration_id};
use super::{At, Finding, InputSeen, Observation, Settings, name_of};

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
    /// The look before found what closes the gate.
    found_before: bool,
    lags: bool,
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

    /// See [`Verdict::lags`](super::Verdict::lags).
    pub(super) fn lags(&self) -> bool {
        self.lags
    }

    /// Why the pipeline is behind, and whether a stage lags. `left_out`: sources without which the pipeline goes on.
    pub(super) fn observe(
        &mut self,
        seen: &Observation,
        settings: &Settings,
        held: Option<&Finding>,
        history: Option<String>,
        left_out: &BTreeSet<At>,
        was_blind: bool,
    ) -> (Option<String>, Option<Finding>) {
        let (now, lag_ms) = (seen.now, settings.lag_ms);
        let held = held.filter(|held| now - held.since <= settings.hold_ms_max);
        if was_blind {
            // What came in meanwhile was never seen to come in.
            self.chain = Chain::Begins;
        }
        let all = || seen.classify.iter().chain(&seen.community);
        self.remember(now, all().map(|input| (input.at.clone(), input.end)).collect(), lag_ms);
        let lag = self.lag(seen, lag_ms);
        let closes = lag.as_ref().filter(|_| self.late(seen, lag_ms, left_out).is_some());
        if closes.is_some() && matches!(self.chain, Chain::CaughtUp) {
            self.chain = Chain::Begins;
        }
        let caught_up = self.advance(seen, left_out);
        // One look alone may take markers of transactions, or what was about to be committed, for records.
        let found = closes.is_some() || held.is_some();
        self.lags = history.is_some() || (found && self.found_before) || (self.lags && (found || caught_up.is_err()));
        self.found_before = found;
        let behind = match (closes, held) {
            (Some(lag), _) => Some(lag.en.clone()),
            (None, Some(held)) => Some(held.en.clone()),
            (None, None) => history.or(caught_up.err()),
        };
        (behind, lag)
    }

    /// Which stage has not committed what was there `lag_ms` ago, and when exactly that was.
    fn late(&self, seen: &Observation, lag_ms: i64, left_out: &BTreeSet<At>) -> Option<(EpochMs, StageName)> {
        let (at, ends) = self.ends.iter().rev().find(|(at, _)| *at <= seen.now - lag_ms)?;
        let left = |input: &InputSeen| {
            !left_out.contains(&input.at) && ends.get(&input.at).is_some_and(|end| input.committed < *end)
        };
        if seen.classify.iter().any(left) {
            Some((*at, StageName::Classify))
        } else {
            seen.community.iter().any(left).then_some((*at, StageName::Community))
        }
    }

    /// What was there `lag_ms` ago and is not committed.
    fn lag(&mut self, seen: &Observation, lag_ms: i64) -> Option<Finding> {
        let Some((at, stage)) = self.late(seen, lag_ms, &BTreeSet::new()) else {
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
    fn advance(&mut self, seen: &Observation, left_out: &BTreeSet<At>) -> Result<(), String> {
        if let Chain::Begins = self.chain {
            self.chain = Chain::Raw(ends(&seen.classify));
        }
        if let Chain::Raw(target) = &self.chain {
            let left = left(&seen.classify, target, left_out);
            if left > 0 {
                return Err(format!("the classify stage has yet to read {left} records that were there before"));
            }
            self.chain = Chain::Classified(ends(&seen.community));
        }
        if let Chain::Classified(target) = &self.chain {
            let left = left(&seen.community, target, left_out);
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
fn left(inputs: &[InputSeen], target: &Ends, left_out: &BTreeSet<At>) -> Position {
    let left = |input: &InputSeen| target.get(&input.at).map_or(0, |end| (end - input.committed).max(0));
    inputs.iter().filter(|input| !left_out.contains(&input.at)).map(left).sum()
}

fn unread(inputs: &[InputSeen]) -> Position {
    inputs.iter().map(|input| (input.end - input.committed).max(0)).sum()
}
