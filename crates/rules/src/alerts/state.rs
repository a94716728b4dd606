//! The alerts of a community in the changelog: what is written of them, and how they are read back.

use serde::{Deserialize, Serialize};

use super::baseline::{Cell, Day, Level};
use super::community::{Changed, CommunityAlerts, Live};
use super::episode::{Episode, Rule};

/// The key of a piece of state, for the changelog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKey {
    /// What changes with every interval, some 40 to 250 bytes.
    Live,
    /// How busy the community is; changes once an hour at most. Some 60 bytes.
    Level,
    /// A day of the week's profile, Monday 0 to Sunday 6; changes once an hour at most. 192 bytes.
    Day(u8),
    /// An episode that is on. Some 60 bytes.
    Episode(Rule),
}

/// A piece of state, for the changelog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateValue(Piece);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Piece {
    Live(Box<Live>),
    Level(Box<Level>),
    Day(Box<Day>),
    Episode(Box<Episode>),
}

impl CommunityAlerts {
    /// Whether [`CommunityAlerts::take_changed`] has something to show.
    pub fn is_changed(&self) -> bool {
        let Changed { live, level, days, episodes } = self.changed;
        live || level || days > 0 || episodes > 0
    }

    /// What changed since the last call, for the changelog; `None` where it is gone. What is shown by one call belongs together: it is
    /// to be stored as a whole or not at all.
    ///
    /// That time passed and nothing came is no change: restored, the community is told by the next step.
    pub fn take_changed(&mut self, see: &mut dyn FnMut(StateKey, Option<StateValue>)) {
        let Changed { live, level, days, episodes } = std::mem::take(&mut self.changed);
        if live {
            see(StateKey::Live, self.live.clone().map(|live| StateValue(Piece::Live(Box::new(live)))));
        }
        if level {
            see(StateKey::Level, Some(StateValue(Piece::Level(Box::new(self.baseline.level)))));
        }
        for day in (0..7_u8).filter(|day| days >> day & 1 == 1) {
            let profile = self.baseline.profile.as_ref();
            see(StateKey::Day(day), profile.map(|days| StateValue(Piece::Day(Box::new(days[usize::from(day)])))));
        }
        for rule in Rule::ALL.into_iter().filter(|&rule| episodes >> rule as u8 & 1 == 1) {
            let episode = self.episodes[rule as usize];
            see(StateKey::Episode(rule), episode.map(|episode| StateValue(Piece::Episode(Box::new(episode)))));
        }
    }

    /// Every piece that may have been stored, for tombstones when the community is forgotten.
    pub fn keys(&self) -> impl Iterator<Item = StateKey> + '_ {
        let live = self.live.iter().map(|_| StateKey::Live);
        let level = (self.baseline.level.hours > 0).then_some(StateKey::Level);
        let days = self.baseline.profile.iter().flat_map(|_| (0..7).map(StateKey::Day));
        let episodes = Rule::ALL.into_iter().filter(|&rule| self.episodes[rule as usize].is_some());
        live.chain(level).chain(days).chain(episodes.map(StateKey::Episode))
    }

    /// Takes back one piece of state from the changelog; `None` removes it. False, and nothing changed, if key and value do not
    /// belong together.
    pub fn restore(&mut self, key: StateKey, value: Option<StateValue>) -> bool {
        match (key, value.map(|StateValue(piece)| piece)) {
            (StateKey::Live, Some(Piece::Live(live))) => self.live = Some(*live),
            (StateKey::Live, None) => self.live = None,
            (StateKey::Level, Some(Piece::Level(level))) => self.baseline.level = *level,
            (StateKey::Level, None) => self.baseline.level = Level::default(),
            (StateKey::Day(day @ 0..7), Some(Piece::Day(cells))) => {
                self.baseline.profile.get_or_insert_default()[usize::from(day)] = *cells;
            }
            (StateKey::Day(day @ 0..7), None) => {
                if let Some(profile) = &mut self.baseline.profile {
                    profile[usize::from(day)] = [Cell::default(); 24];
                }
            }
            (StateKey::Episode(rule), Some(Piece::Episode(episode))) => self.episodes[rule as usize] = Some(*episode),
            (StateKey::Episode(rule), None) => self.episodes[rule as usize] = None,
            _ => return false,
        }
        self.forget_derived();
        true
    }
}
