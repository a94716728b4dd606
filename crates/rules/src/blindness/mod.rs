//! Blindness: that the pipeline cannot see, told apart from that there is nothing to see.
//!
//! It is judged by the wall clock from outside of the stages, by what brokers tell of topics and groups, and never waits for
//! event time: a stage that stands still cannot say so itself. [`Judge`] takes one [`Observation`] after another, a few
//! seconds apart, and says what holds now. It reads no clock: times come in.
//!
//! | kind | holds while |
//! |---|---|
//! | lag | a stage has not committed what lay in its inputs `lag_ms` ago, as Burrow judges a window of offsets |
//! | held watermark | nobody speaks of a raw partition, or one does not get on, or event time stands still, for `held_ms` |
//! | late | the share of interactions in rows of the shortest window that came late is `late_share` or more |
//! | dead letters | their share of what was consumed is `dead_letter_share` or more |
//! | abstention | the share of classified interactions that nobody was sure of is `abstained_share` or more |
//! | degraded classifier | of the texts for the deep tier it answered `deep_answered_share` or fewer, or nobody asked it |
//! | canary | no canary came through a partition for `canary_late_ms` though one was sent: see `canary.rs` |
//! | silent source | a raw topic, or a partition, is silent for far longer than it usually is: see [`silence`](self::Settings) |
//!
//! Shares are over `share_window_ms`, and not told of fewer than `records_min` records. A condition begins once it has held for
//! `begin_ms` without a break and ends once it has not for `end_ms`.
//!
//! # Silence
//! A source's usual silence is learned by hour of the day (UTC): of each of the last 14 days the longest silence that touched
//! the hour, and of these the upper quartile, so that three days of outage in fourteen move nothing, and a quiet weekend is
//! usual. A silence that lasts is measured in these: each moment of it counts as its length over what is usual at that hour,
//! and the source is silent when that comes to `silent_factor`. So a night in which nobody writes counts little and the same
//! hours by day much. That is a silence rescaled by its own rhythm (Brown et al. 2002, "The time-rescaling theorem", Neural
//! Computation 14:325), with a robust quantile in the place of a fitted rate: the spacing of crawls is anything but Poisson. For
//! arrivals at random, once an hour, four times the upper quartile of the longest is some eleven hours: once in 60,000 silences.
//! No source is told of before `silent_ms`; where less than three days are known of an hour, after `silent_unlearned_ms`. One of which
//! nothing has come for [`RETIRED_MS`] is retired: that is no silence any more.

mod canary;
mod event_time;
mod hysteresis;
mod lag;
mod shares;
mod silence;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use record::{EpochMs, Position, StageName};

use canary::Canaries;
use event_time::EventTime;
use hysteresis::Hysteresis;
use lag::CatchUp;
use shares::Shares;
use silence::Silences;

pub use silence::{DAYS as SILENCE_DAYS, RETIRED_MS};

/// What is judged and when. Times in milliseconds, shares from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// How long a condition holds before it is told.
    pub begin_ms: i64,
    /// How long it does not hold before it is over.
    pub end_ms: i64,
    /// How long a stage may take for what came in.
    pub lag_ms: i64,
    /// How long event time, or one source of it, may stand still.
    pub held_ms: i64,
    /// No source is silent before this.
    pub silent_ms: i64,
    /// A silence this many times as long as usual is told.
    pub silent_factor: f64,
    /// A source of which nothing was learned yet is silent after this.
    pub silent_unlearned_ms: i64,
    /// Over how long shares are taken.
    pub share_window_ms: i64,
    /// Shares of fewer records are not judged.
    pub records_min: u64,
    /// Share of late interactions.
    pub late_share: f64,
    /// Share of dead letters.
    pub dead_letter_share: f64,
    /// Share of interactions that the classifier abstained on.
    pub abstained_share: f64,
    /// Share of the texts for the deep tier that it answered.
    pub deep_answered_share: f64,
    /// For how long event time that is held closes the gate: then the pipeline goes on without the source.
    pub hold_ms_max: i64,
    /// Event time that moves and is further behind the clock than this is history: nobody is to be told of it as of now.
    pub history_ms: i64,
    /// How long a canary may take through both stages.
    pub canary_late_ms: i64,
    /// Where observations are further apart than this, the judge was blind itself: it begins to watch for what is behind anew.
    pub gap_ms_max: i64,
}

/// A way of being blind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A stage does not keep up.
    Lag,
    /// Event time stands still.
    HeldWatermark,
    /// Much comes too late for its windows.
    Late,
    /// Much cannot be used.
    DeadLetters,
    /// The classifier is unsure of much.
    Abstention,
    /// The deep tier does not answer.
    DegradedClassifier,
    /// Nothing comes of a source that usually speaks.
    SilentSource,
    /// A partition does not flow: no canary comes through it.
    Canary,
    /// Nobody sees how the pipeline stands. That is never judged here: it is what an observer says who has nothing to judge.
    Unobserved,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 9] = [
        Kind::Lag,
        Kind::HeldWatermark,
        Kind::Late,
        Kind::DeadLetters,
        Kind::Abstention,
        Kind::DegradedClassifier,
        Kind::SilentSource,
        Kind::Canary,
        Kind::Unobserved,
    ];
    /// Those that a judge tells of.
    const JUDGED: [Kind; 8] = [
        Kind::Lag,
        Kind::HeldWatermark,
        Kind::Late,
        Kind::DeadLetters,
        Kind::Abstention,
        Kind::DegradedClassifier,
        Kind::SilentSource,
        Kind::Canary,
    ];

    /// The name in metrics and alerts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Lag => "lag",
            Kind::HeldWatermark => "held_watermark",
            Kind::Late => "late",
            Kind::DeadLetters => "dead_letters",
            Kind::Abstention => "abstention",
            Kind::DegradedClassifier => "degraded_classifier",
            Kind::SilentSource => "silent_source",
            Kind::Canary => "canary",
            Kind::Unobserved => "unobserved",
        }
    }
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct At {
    /// The topic.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.topic, self.partition)
    }
}

/// A partition that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputSeen {
    /// Which.
    pub at: At,
    /// The end of its log.
    pub end: Position,
    /// Up to where the stage has committed: `end` where nothing lies between but markers of transactions.
    pub committed: Position,
}

/// What was last said of a source on the classified topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Said {
    /// When, by the clock of the replica that said it.
    pub heard_at: EpochMs,
    /// The next offset to read.
    pub position: Position,
    /// The largest event time read.
    pub largest_event_time: Option<EpochMs>,
    /// True if the end of the log had been reached.
    pub caught_up: bool,
}

/// What was counted since the observation before.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Counts {
    /// Raw records that the classify stage consumed.
    pub consumed: u64,
    /// Dead letters of either stage.
    pub dead_letters: u64,
    /// Classified interactions that were looked at.
    pub sampled: u64,
    /// Of these, those abstained on.
    pub abstained: u64,
    /// Of these, those that the deep tier decided.
    pub deep: u64,
    /// Of these, those that it should have.
    pub deep_skipped: u64,
    /// Of these, those that it would have been asked about if there were one; 0 where none is wanted.
    pub never_asked: u64,
    /// Interactions in rows of the shortest window that were looked at, each counted once: a row holds length / slide of it.
    pub in_rows: f64,
    /// Of these, those that came late.
    pub late: f64,
}

/// What is new of canaries since the observation before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CanaryNews {
    /// When rounds were sent, a canary into each raw partition.
    pub rounds: Vec<EpochMs>,
    /// A canary of a raw partition came through this partition of the classified topic; with the time at which its round was sent.
    pub came: Vec<((At, i32), EpochMs)>,
    /// The partitions of the classified topic; none where canaries are not looked at.
    pub partitions: Vec<i32>,
}

/// How the pipeline stands at one moment, as brokers tell. What a stage reads is seen before what it writes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Observation {
    /// When.
    pub now: EpochMs,
    /// Every raw partition: what the classify stage reads.
    pub classify: Vec<InputSeen>,
    /// What the community stage reads.
    pub community: Vec<InputSeen>,
    /// What was last said of each raw partition.
    pub said: BTreeMap<At, Said>,
    /// What was counted.
    pub counts: Counts,
    /// By raw partition a number that grows when something comes in that is no canary; where there is none the end of its log.
    pub spoken: BTreeMap<At, Position>,
    /// What is new of canaries.
    pub canaries: CanaryNews,
}

/// A condition that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Which.
    pub kind: Kind,
    /// Since when, as far as is known.
    pub since: EpochMs,
    /// What is seen and what to look at, in English.
    pub detail_en: String,
    /// The same in Indonesian.
    pub detail_id: String,
}

/// What is said of an observation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Why the pipeline is behind; `None` once all that lay in the raw topics has gone through both stages.
    pub behind: Option<String>,
    /// It was found to lag, to be held or to read history, at more than one look, and has not caught up since: what it writes may be of
    /// the past. At a start, while that is not known yet, it is false.
    pub lags: bool,
    /// What holds is all that holds: sources were learned, and [`Settings::begin_ms`] has passed since the first look.
    pub settled: bool,
    /// What holds, in the order of [`Kind::ALL`].
    pub blind: Vec<Condition>,
}

impl Verdict {
    /// It has caught up, and nothing holds.
    pub fn is_well(&self) -> bool {
        self.behind.is_none() && self.blind.is_empty()
    }
}

/// Something that was found wrong in one observation.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    since: EpochMs,
    en: String,
    id: String,
}

/// Judges observations in the order of their times.
///
/// ```
/// use rules::blindness::{Judge, Observation, Settings};
/// # let settings = Settings { begin_ms: 30_000, end_ms: 60_000, lag_ms: 60_000, held_ms: 60_000, silent_ms: 900_000,
/// #     silent_factor: 4.0, silent_unlearned_ms: 21_600_000, share_window_ms: 600_000, records_min: 100, late_share: 0.1,
/// #     dead_letter_share: 0.05, abstained_share: 0.5, deep_answered_share: 0.1, hold_ms_max: 300_000, history_ms: 86_400_000,
/// #     canary_late_ms: 120_000, gap_ms_max: 30_000 };
/// let mut judge = Judge::new(settings);
/// let verdict = judge.observe(&Observation { now: 1_767_571_200_000, ..Observation::default() });
/// assert!(verdict.behind.is_none() && verdict.blind.is_empty());
/// ```
#[derive(Debug)]
pub struct Judge {
    settings: Settings,
    catch_up: CatchUp,
    event_time: EventTime,
    shares: Shares,
    silences: Silences,
    canaries: Canaries,
    told: [Hysteresis; Kind::JUDGED.len()],
    first_at: Option<EpochMs>,
    last_at: Option<EpochMs>,
    has_learned: bool,
}

impl Judge {
    /// One that has seen nothing.
    pub fn new(settings: Settings) -> Judge {
        Judge {
            settings,
            catch_up: CatchUp::default(),
            event_time: EventTime::default(),
            shares: Shares::default(),
            silences: Silences::default(),
            canaries: Canaries::default(),
            told: Default::default(),
            first_at: None,
            last_at: None,
            has_learned: false,
        }
    }

    /// What is known of the log ends at a time before the first observation.
    pub fn ends_were(&mut self, at: EpochMs, ends: BTreeMap<At, Position>) {
        self.catch_up.remember(at, ends, self.settings.lag_ms);
    }

    /// When something came of a raw partition before the first observation, in ascending order. What is learned of a topic is
    /// learned of all its partitions together: `None` for the partition.
    pub fn learn(&mut self, topic: &Arc<str>, partition: Option<i32>, arrivals: &[EpochMs]) {
        self.silences.learn(topic, partition, arrivals);
    }

    /// What was learned of when a topic speaks is not to be believed.
    pub fn unlearn(&mut self, topic: &Arc<str>) {
        self.silences.unlearn(topic);
    }

    /// All that could be learned of the time before was learned.
    pub fn has_learned(&mut self) {
        self.has_learned = true;
    }

    /// When something last came of a raw topic or partition, if that is known.
    pub fn last_arrival(&self, topic: &Arc<str>, partition: Option<i32>) -> Option<EpochMs> {
        self.silences.last_arrival(topic, partition)
    }

    /// Takes in an observation.
    pub fn observe(&mut self, seen: &Observation) -> Verdict {
        let (settings, now) = (&self.settings, seen.now);
        let was_blind = self.last_at.is_some_and(|last| now - last > settings.gap_ms_max);
        self.last_at = Some(now);
        let held = self.event_time.observe(seen, settings.held_ms, was_blind);
        let history = self.event_time.history(now, settings);
        let left_out = self.event_time.left_out(now, settings.hold_ms_max);
        let (behind, lag) = self.catch_up.observe(seen, settings, held.as_ref(), history, &left_out, was_blind);
        let begins = *self.first_at.get_or_insert(now);
        let settled = self.has_learned && now - begins >= settings.begin_ms;
        self.shares.observe(now, seen.counts, settings.share_window_ms);
        let silent = self.silences.observe(seen, settings, was_blind);
        let canary = self.canaries.observe(seen, settings);
        let found = [
            lag,
            held,
            self.shares.late(now, settings),
            self.shares.dead_letters(now, settings),
            self.shares.abstention(now, settings),
            self.shares.degraded(now, settings),
            silent,
            canary,
        ];
        let mut blind = Vec::new();
        for ((kind, told), found) in Kind::JUDGED.into_iter().zip(&mut self.told).zip(found) {
            if let Some(Finding { since, en, id }) = told.update(now, found, settings) {
                blind.push(Condition { kind, since, detail_en: en, detail_id: id });
            }
        }
        Verdict { behind, lags: self.catch_up.lags(), settled, blind }
    }
}

/// A stage's name in sentences and as it is configured.
const fn name_of(stage: StageName) -> &'static str {
    stage.as_str()
}
