//! Community-months with known truth, as counts: what alert rules are judged by.
//!
//! A month of a community is four weeks of history and four weeks that are scored. Its mean rate is log-uniform from 0.2 to 500
//! interactions an hour; what happens in it is drawn from [`Scenario`]. In each minute, interactions of each label are Poisson with
//! the intensity
//!
//! rate × rhythm(hour, day) × trend × activity noise × label noise × share of the label × what the events make of it,
//!
//! - *rhythm*: the hours of a day in Jakarta, more or less pronounced and up to two hours later, and weekends busier or quieter by up
//!   to 40 %; trend: up to 20 % up or down in the eight weeks;
//! - *activity noise*, of all labels together: gamma distributed around 1, anew each half hour with a coefficient of variation that
//!   is log-uniform from 0.1 to 0.4 by community, and each day with one of 0.15;
//! - *label noise*: of complaints and of praise alone, anew each half hour, log-uniform from 0.1 to 0.4 by community;
//! - *shares*: complaints log-uniform from 0.1 to 0.3 by community; tips 0.1, praise 0.2.
//!
//! A **crisis** multiplies the intensity of complaints by m(t): from 1 up to its strength in a straight line (the ramp), then the
//! strength, then back in an hour. Other labels are multiplied by the fourth root of m(t): people talk about it. Its truth is the
//! interval from the start of the ramp to the end of the way back; its strength is log-uniform from 2 to 20. It begins at a time
//! drawn in proportion to the rhythm: where people are awake. Three in five months have one; four in five something else that is
//! none, at least half a day away. The history holds unscored crises and other events as well, each in three months of ten.

mod steps;

use record::EpochMs;

use crate::DEFAULT_START;
use crate::dice::Dice;

pub use steps::{Minute, Minutes, StepCounts};

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// Four weeks.
pub const MONTH_MS: i64 = 28 * DAY_MS;

/// What may happen to a community.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scenario {
    /// A crisis that rises over up to 6 h and lasts for 12 to 48 h.
    SlowBurn,
    /// A crisis that rises within 15 min and lasts for 1 to 6 h.
    FlashCrisis,
    /// A crisis made by bots: at once, for half an hour to 2 h.
    BotRaid,
    /// For 2 to 5 days, a tenth to half of what is usual of everything.
    HolidayLull,
    /// For 3 to 24 h, 5 to 30 times the praise, and the fourth root of that of everything else. It rises within an hour.
    ViralPraise,
    /// For 2 to 24 h nothing is seen, whatever was said.
    CrawlerOutage,
    /// For 1 to 12 h, everything is delivered again, 5 to 20 times. Nothing new is said: whoever deduplicates counts nothing of it.
    RecrawlStorm,
    /// For a week, 1.5 to 4 times as much of everything. It rises over half a day.
    FestivalWeek,
}

impl Scenario {
    /// All that are crises.
    pub const CRISES: [Scenario; 3] = [Scenario::SlowBurn, Scenario::FlashCrisis, Scenario::BotRaid];
    /// All that are none.
    pub const BENIGN: [Scenario; 5] = [
        Scenario::HolidayLull,
        Scenario::ViralPraise,
        Scenario::CrawlerOutage,
        Scenario::RecrawlStorm,
        Scenario::FestivalWeek,
    ];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Scenario::SlowBurn => "slow burn",
            Scenario::FlashCrisis => "flash crisis",
            Scenario::BotRaid => "bot raid",
            Scenario::HolidayLull => "holiday lull",
            Scenario::ViralPraise => "viral praise",
            Scenario::CrawlerOutage => "crawler outage",
            Scenario::RecrawlStorm => "re-crawl storm",
            Scenario::FestivalWeek => "festival week",
        }
    }

    /// Whether somebody should be paged.
    pub const fn is_crisis(self) -> bool {
        matches!(self, Scenario::SlowBurn | Scenario::FlashCrisis | Scenario::BotRaid)
    }
}

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Event {
    /// What.
    pub scenario: Scenario,
    /// When it begins to rise.
    pub begins_at: EpochMs,
    /// How long it rises, in milliseconds.
    pub ramp_ms: i64,
    /// How long it then stays, in milliseconds; the way back takes an hour more.
    pub lasts_ms: i64,
    /// By what it multiplies what it is about.
    pub strength: f64,
}

impl Event {
    /// When it is over.
    pub fn ends_at(&self) -> EpochMs {
        self.begins_at + self.ramp_ms + self.lasts_ms + HOUR_MS
    }

    /// By what it multiplies what it is about, at this time: 1 before and after.
    pub fn multiplier(&self, at: EpochMs) -> f64 {
        let since = at - self.begins_at;
        let left = self.ends_at() - at;
        if since < 0 || left <= 0 {
            return 1.0;
        }
        let up = if since < self.ramp_ms { since as f64 / self.ramp_ms as f64 } else { 1.0 };
        let down = if left < HOUR_MS { left as f64 / HOUR_MS as f64 } else { 1.0 };
        1.0 + (self.strength - 1.0) * up.min(down)
    }
}

/// A community for eight weeks: four of history, four that are scored.
#[derive(Debug, Clone, PartialEq)]
pub struct CommunityMonth {
    seed: u64,
    /// Interactions an hour, on the mean.
    pub rate_per_hour: f64,
    /// The share of complaints, on the mean.
    pub complaint_share: f64,
    /// The coefficient of variation of the label noise.
    pub label_noise: f64,
    /// The strength of its crisis if it has one, and of the one that an ideal detector looks for if not.
    pub strength: f64,
    activity_noise: f64,
    pronounced: f64,
    later_ms: i64,
    weekend: f64,
    trend: f64,
    noise_offset_ms: i64,
    history: Vec<Event>,
    events: Vec<Event>,
}

impl CommunityMonth {
    /// The month of this seed.
    pub fn new(seed: u64) -> CommunityMonth {
        let mut dice = Dice::new(seed);
        let mut month = CommunityMonth {
            seed,
            rate_per_hour: dice.log_uniform(0.2, 500.0),
            complaint_share: dice.log_uniform(0.1, 0.3),
            label_noise: dice.log_uniform(0.1, 0.4),
            strength: dice.log_uniform(2.0, 20.0),
            activity_noise: dice.log_uniform(0.1, 0.4),
            pronounced: dice.between(0.5, 1.1),
            later_ms: dice.within(0, 2 * HOUR_MS),
            weekend: dice.between(0.6, 1.4),
            trend: dice.between(-0.2, 0.2),
            noise_offset_ms: dice.within(0, 30 * MINUTE_MS),
            history: Vec::new(),
            events: Vec::new(),
        };
        if dice.chance(0.3) {
            let strength = dice.log_uniform(2.0, 20.0);
            let event = month.crisis(&mut dice, DEFAULT_START, strength);
            month.history.push(event);
        }
        if dice.chance(0.3) {
            let event = month.benign(&mut dice, DEFAULT_START);
            month.history.push(event);
        }
        if dice.chance(0.6) {
            let strength = month.strength;
            let event = month.crisis(&mut dice, month.scored_from(), strength);
            month.events.push(event);
        }
        if dice.chance(0.8) {
            let apart = |one: &Event, two: &Event| {
                one.ends_at() + DAY_MS / 2 < two.begins_at || two.ends_at() + DAY_MS / 2 < one.begins_at
            };
            let event = (0..1_000)
                .map(|_| month.benign(&mut dice, month.scored_from()))
                .find(|event| month.events.iter().all(|other| apart(event, other)));
            month.events.extend(event);
        }
        month.events.sort_by_key(|event| event.begins_at);
        month
    }

    /// Where it begins.
    pub fn starts_at(&self) -> EpochMs {
        DEFAULT_START
    }

    /// Where the scored month begins.
    pub fn scored_from(&self) -> EpochMs {
        DEFAULT_START + MONTH_MS
    }

    /// Where it ends.
    pub fn ends_at(&self) -> EpochMs {
        DEFAULT_START + 2 * MONTH_MS
    }

    /// What happens in the scored month, in order: at most one crisis and one event that is none.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The crisis of the scored month.
    pub fn crisis_of_month(&self) -> Option<&Event> {
        self.events.iter().find(|event| event.scenario.is_crisis())
    }

    /// The hour of the week where the community lives: Jakarta, 0 is Monday from midnight to one.
    pub fn hour_of_week(at: EpochMs) -> u8 {
        // 1970-01-01 was a Thursday.
        let hours = (at + 7 * HOUR_MS).div_euclid(HOUR_MS) + 3 * 24;
        u8::try_from(hours.rem_euclid(168)).unwrap_or(0)
    }

    /// What is counted, minute by minute.
    pub fn minutes(&self) -> Minutes<'_> {
        Minutes::new(self)
    }

    fn crisis(&self, dice: &mut Dice, from: EpochMs, strength: f64) -> Event {
        let scenario = Scenario::CRISES[dice.roll(Scenario::CRISES.len())];
        let (ramp_ms, lasts_ms) = match scenario {
            Scenario::SlowBurn => (dice.within(0, 6 * HOUR_MS), dice.within(12 * HOUR_MS, 48 * HOUR_MS)),
            Scenario::FlashCrisis => (dice.within(0, 15 * MINUTE_MS), dice.within(HOUR_MS, 6 * HOUR_MS)),
            _ => (0, dice.within(HOUR_MS / 2, 2 * HOUR_MS)),
        };
        // In proportion to the rhythm, which stays below 2.5: a time is drawn until it is taken.
        let latest = MONTH_MS - ramp_ms - lasts_ms - 2 * HOUR_MS;
        let begins_at = loop {
            let begins_at = from + dice.within(HOUR_MS, latest);
            if dice.unit() * 2.5 < self.rhythm(begins_at) {
                break begins_at;
            }
        };
        Event { scenario, begins_at, ramp_ms, lasts_ms, strength }
    }

    fn benign(&self, dice: &mut Dice, from: EpochMs) -> Event {
        let scenario = Scenario::BENIGN[dice.roll(Scenario::BENIGN.len())];
        let (ramp_ms, lasts_ms, strength) = match scenario {
            Scenario::HolidayLull => (6 * HOUR_MS, dice.within(2 * DAY_MS, 5 * DAY_MS), dice.between(0.1, 0.5)),
            Scenario::ViralPraise => {
                (dice.within(0, HOUR_MS), dice.within(3 * HOUR_MS, DAY_MS), dice.log_uniform(5.0, 30.0))
            }
            Scenario::CrawlerOutage => (0, dice.within(2 * HOUR_MS, DAY_MS), 1.0),
            Scenario::RecrawlStorm => (0, dice.within(HOUR_MS, DAY_MS / 2), dice.log_uniform(5.0, 20.0)),
            _ => (DAY_MS / 2, 7 * DAY_MS, dice.between(1.5, 4.0)),
        };
        let begins_at = from + dice.within(HOUR_MS, MONTH_MS - ramp_ms - lasts_ms - 2 * HOUR_MS);
        Event { scenario, begins_at, ramp_ms, lasts_ms, strength }
    }

    /// How busy it is at this time, beside the mean.
    fn rhythm(&self, at: EpochMs) -> f64 {
        let day = 1.0 + self.pronounced * (crate::world::rhythm(at - self.later_ms) - 1.0);
        let weekend = Self::hour_of_week(at) >= 5 * 24;
        day.max(0.03) * if weekend { self.weekend } else { 1.0 }
    }
}

#[cfg(test)]
mod tests;
