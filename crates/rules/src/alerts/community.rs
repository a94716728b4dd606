//! The alerts of one community.

mod rules;

use record::EpochMs;
use serde::{Deserialize, Serialize};

use super::baseline::{BLOCK_MS, Baseline, HOUR_MS, Rates, day_of, traffic};
use super::cusum::{Run, Usual, zero_surprise};
use super::episode::{Episode, Pace};
use super::{AlertRules, HourOfWeek, Increments, Interval, Levels, Rule, Transition};

/// How far ahead silence is looked for; a community that would have to be silent for longer is looked at again then.
const LOOK_AHEAD_MS: i64 = 24 * HOUR_MS;

/// What evidence that is not held against time loses with each block: one unit in five hours.
pub(crate) const SHARE_FADES: f64 = 0.05;

/// What others than those who complain weigh one block later: half, and as much as makes a day of them.
const OTHERS_KEPT: [f64; 2] = [0.5, 1.0 - 1.0 / 96.0];

/// The CUSUMs, in the order of [`Live::runs`]: which rule they are of, and for which ratio.
const RUNS: [(Rule, f64); 6] = [
    (Rule::ComplaintSpike, 2.0),
    (Rule::ComplaintSpike, 4.0),
    (Rule::ComplaintSpike, 10.0),
    (Rule::ShareShift, 4.0),
    (Rule::TipSurge, 4.0),
    (Rule::PraiseSurge, 4.0),
];

/// What changes with every interval: some 40 to 200 bytes in the changelog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Live {
    /// How far it was stepped.
    pub(crate) at: EpochMs,
    /// Where it began: the hour of it is not learned.
    began_at: EpochMs,
    /// Interactions other than complaints in earlier blocks, and how many were expected: of about half an hour, and of a day.
    others: [Seen; 2],
    /// The counts of the block and of the hour so far.
    block: Increments,
    hour: Increments,
    runs: [Option<Run>; 6],
    /// The last interaction, and −ln of the probability of silence from then to the start of the block.
    quiet_since: EpochMs,
    quiet: f64,
    /// How many interactions were expected in that time.
    quiet_expected: f64,
    levels: Levels,
    /// When to look again though nothing comes, for silence.
    look_at: Option<EpochMs>,
}

/// A count and what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Seen {
    count: f64,
    expected: f64,
}

/// The alerts of one community: what is usual for it, and what is on. It takes some 700 bytes, and 1.3 KiB more from the first 60
/// interactions on.
#[derive(Debug, Clone, Default)]
pub struct CommunityAlerts {
    pub(crate) live: Option<Live>,
    pub(crate) baseline: Baseline,
    pub(crate) episodes: [Option<Episode>; 6],
    /// What is usual in this hour; made anew where it is missing.
    rates: Option<Rates>,
    pub(crate) changed: Changed,
}

/// What is to be written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Changed {
    pub(crate) live: bool,
    pub(crate) level: bool,
    /// By day.
    pub(crate) days: u8,
    /// By rule.
    pub(crate) episodes: u8,
}

/// What a step is made with.
struct Step<'a, C> {
    rules: &'a AlertRules,
    calendar: &'a C,
}

impl CommunityAlerts {
    /// Of a community that nothing is known of.
    pub fn new() -> CommunityAlerts {
        CommunityAlerts::default()
    }

    /// How far it was stepped; `None` before the first interval.
    pub fn at(&self) -> Option<EpochMs> {
        self.live.as_ref().map(|live| live.at)
    }

    /// The next time at which something may change though nothing comes: a step to it, or beyond, with nothing in it tells what
    /// did. `None` if nothing would. It may be early, and then nothing changes.
    pub fn next_due(&self) -> Option<EpochMs> {
        let live = self.live.as_ref()?;
        let on = |rule: &Rule| {
            let episode = self.episodes[*rule as usize].as_ref();
            // Silence goes on as it is until somebody says something.
            episode.is_some_and(|episode| *rule != Rule::Silence || episode.over_since.is_some())
        };
        let block_end = Rule::ALL.iter().any(on).then(|| next_block(live.at));
        [block_end, live.look_at].into_iter().flatten().min()
    }

    /// The rules are others: what time alone would have changed by those before may come sooner, or at all.
    pub fn look_again(&mut self) {
        if let Some(live) = &mut self.live {
            live.look_at = Some(live.at + 1);
        }
    }

    /// Whether silence waits for something that by these rules never comes, or for nothing where it should: the rules were others when
    /// it was looked at last.
    pub fn is_misled(&self, rules: &AlertRules) -> bool {
        if self.live.as_ref().is_none_or(|live| live.look_at.is_some()) {
            return false;
        }
        match &self.episodes[Rule::Silence as usize] {
            Some(episode) => !rules.silence.enabled && episode.over_since.is_none(),
            None => rules.silence.enabled && self.is_warm(rules),
        }
    }

    /// Whether it may be forgotten: no episode is on, and nobody has said anything since `before`.
    pub fn is_idle(&self, before: EpochMs) -> bool {
        let quiet = self.live.as_ref().is_none_or(|live| live.quiet_since < before && live.levels == Levels::default());
        quiet && self.episodes.iter().all(Option::is_none)
    }

    /// Whether enough history is learned for anything to be judged by it.
    pub fn is_warm(&self, rules: &AlertRules) -> bool {
        i64::from(self.baseline.level.hours) * HOUR_MS >= rules.warm_up_ms
    }

    /// Takes in an interval that follows the last one; what lies between them was quiet. One that ends at or before
    /// [`CommunityAlerts::at`] was taken in already and changes nothing.
    ///
    /// An interval in which nothing came is the same as any number of shorter ones, to the bit. It costs some nanoseconds for each
    /// quarter of an hour in it.
    pub fn step(
        &mut self,
        rules: &AlertRules,
        calendar: &impl HourOfWeek,
        interval: &Interval,
        see: &mut dyn FnMut(Transition),
    ) {
        let Interval { from, to, counts, levels } = *interval;
        let step = Step { rules, calendar };
        let live = self.live.get_or_insert_with(|| Live {
            at: from.min(to),
            began_at: from.min(to),
            others: [Seen::default(); 2],
            block: Increments::default(),
            hour: Increments::default(),
            runs: [None; 6],
            quiet_since: from.min(to),
            quiet: 0.0,
            quiet_expected: 0.0,
            levels: Levels::default(),
            look_at: None,
        });
        if to <= live.at {
            return;
        }
        let quiet_until = if counts.is_zero() { to } else { to - rules.step_ms };
        self.pass(&step, quiet_until, see);
        let Some(live) = &mut self.live else { return };
        // What came did so within one block.
        let last_block = next_block(to) - BLOCK_MS;
        let last_block = if last_block == to { to - BLOCK_MS } else { last_block };
        if live.at < last_block {
            self.pass(&step, last_block, see);
        }
        if !counts.is_zero() {
            self.count(&step, to, &counts, see);
        }
        if self.live.as_ref().is_some_and(|live| live.levels != levels) {
            self.level(&step, to, levels, see);
        }
        self.look_ahead(&step);
    }

    /// Time goes on to `to`, and nothing comes.
    fn pass<C: HourOfWeek>(&mut self, step: &Step<'_, C>, to: EpochMs, see: &mut dyn FnMut(Transition)) {
        while let Some(live) = &mut self.live
            && live.at < to
        {
            let end = next_block(live.at).min(to);
            let rates = *self.rates.get_or_insert_with(|| rates_at(&self.baseline, step.calendar, live.at));
            self.find_silence(step, &rates, end, see);
            self.move_to(&rates, end, &Increments::default());
            self.end_block(step, &rates, see);
        }
    }

    /// Something came by `to`, which is in this block.
    fn count<C: HourOfWeek>(
        &mut self,
        step: &Step<'_, C>,
        to: EpochMs,
        counts: &Increments,
        see: &mut dyn FnMut(Transition),
    ) {
        let Some(live) = &mut self.live else { return };
        let rates = *self.rates.get_or_insert_with(|| rates_at(&self.baseline, step.calendar, live.at));
        live.block.add(counts);
        live.hour.add(counts);
        let warm = i64::from(self.baseline.level.hours) * HOUR_MS >= step.rules.warm_up_ms;
        if warm {
            for (run, (rule, _)) in live.runs.iter_mut().zip(RUNS) {
                let count = match rule {
                    Rule::TipSurge => counts.tips,
                    Rule::PraiseSurge => counts.praises,
                    _ => counts.complaints,
                };
                if run.is_none() && count > 0 {
                    *run = Some(Run::new(live.at));
                }
                if let Some(run) = run {
                    run.add(count, if rule == Rule::ShareShift { i64::from(counts.others()) } else { 0 });
                }
            }
        }
        self.move_to(&rates, to, counts);
        self.judge_counts(step, &rates, false, see);
        if counts.interactions > 0 {
            self.end_silence(step, to, see);
        }
        self.changed.live = true;
        self.end_block(step, &rates, see);
    }

    /// Moves to `to`, which is in this block.
    fn move_to(&mut self, rates: &Rates, to: EpochMs, counts: &Increments) {
        let Some(live) = &mut self.live else { return };
        let passed = to - live.at;
        live.at = to;
        if live.runs.iter().all(Option::is_none) {
            return;
        }
        let traffic = live.traffic(rates);
        for (run, (rule, ratio)) in live.runs.iter_mut().zip(RUNS) {
            let Some(running) = run else { continue };
            if rule != Rule::ShareShift {
                running.add(0, passed);
            } else if counts.is_zero() {
                continue;
            }
            if running.score(&usual(rates, rule, traffic), ratio) <= 0.0 {
                *run = None;
            }
        }
    }

    /// If a block ends here, closes it; if an hour does, learns from it.
    fn end_block<C: HourOfWeek>(&mut self, step: &Step<'_, C>, rates: &Rates, see: &mut dyn FnMut(Transition)) {
        let Some(live) = &mut self.live else { return };
        let at = live.at;
        if at.rem_euclid(BLOCK_MS) != 0 {
            return;
        }
        self.judge_counts(step, rates, true, see);
        self.judge_overdue(step, see);
        self.judge_silence(step, see);
        let Some(live) = &mut self.live else { return };
        let traffic = live.traffic(rates);
        for (run, (rule, ratio)) in live.runs.iter_mut().zip(RUNS) {
            let Some(running) = run else { continue };
            running.fold(&usual(rates, rule, traffic), ratio);
            if rule == Rule::ShareShift && !running.fade(SHARE_FADES) {
                *run = None;
            }
        }
        let in_block = at - live.began_at.max(at - BLOCK_MS);
        for (seen, kept) in live.others.iter_mut().zip(OTHERS_KEPT) {
            seen.count = (seen.count + f64::from(live.block.others())) * kept;
            seen.expected = (seen.expected + rates.others() * in_block as f64) * kept;
        }
        let quiet_ms = at - live.quiet_since.max(at - BLOCK_MS);
        let usual = rates.interactions();
        live.quiet += zero_surprise(usual.rate * quiet_ms as f64, usual.shape);
        live.quiet_expected += usual.rate * quiet_ms as f64;
        live.block = Increments::default();
        if at.rem_euclid(HOUR_MS) == 0 {
            self.learn(step, rates);
        }
    }

    fn learn<C: HourOfWeek>(&mut self, step: &Step<'_, C>, rates: &Rates) {
        let Some(live) = &mut self.live else { return };
        let at = live.at;
        let counts = std::mem::take(&mut live.hour);
        self.rates = None;
        // The first hour is not whole.
        if live.began_at > at - HOUR_MS {
            return;
        }
        let mut lasting = false;
        for rule in [Rule::ComplaintSpike, Rule::Silence, Rule::TipSurge, Rule::PraiseSurge] {
            let fired_at = self.episodes[rule as usize].as_ref().and_then(|episode| episode.fired_at);
            match fired_at.map(|fired_at| at - fired_at < step.rules.adapt_after_ms) {
                // An episode teaches nothing while it may end.
                Some(true) => return,
                Some(false) => lasting = true,
                None => {}
            }
        }
        if self.baseline.level.hours == 0 {
            // Where nothing was usual yet, nothing was more than usual.
            live.others = [Seen::default(); 2];
        }
        let hour = step.calendar.hour_of_week(at - HOUR_MS / 2);
        if self.baseline.learn(hour, &counts, rates, lasting) {
            self.changed.live = true;
            self.changed.level = true;
            self.changed.days |= 1 << day_of(hour);
        }
    }

    /// What follows from the state is made anew.
    pub(crate) fn forget_derived(&mut self) {
        self.rates = None;
    }

    fn pace(rules: &AlertRules) -> Pace {
        Pace { resolve_after_ms: rules.resolve_after_ms, update_every_ms: rules.update_every_ms }
    }
}

impl Live {
    /// How much busier it is than usual, by what came in this block and, weighing less, before.
    fn traffic(&self, rates: &Rates) -> f64 {
        let block_start = self.at - (self.at - 1).rem_euclid(BLOCK_MS) - 1;
        let in_block = (self.at - self.began_at.max(block_start)) as f64;
        let of = |seen: &Seen| {
            traffic(seen.count + f64::from(self.block.others()), seen.expected + rates.others() * in_block)
        };
        of(&self.others[0]).max(of(&self.others[1]))
    }
}

/// What a CUSUM is judged by.
fn usual(rates: &Rates, rule: Rule, traffic: f64) -> Usual {
    match rule {
        Rule::ShareShift => rates.complaints_by_traffic(),
        Rule::TipSurge => rates.tips(),
        Rule::PraiseSurge => rates.praises(),
        _ => rates.complaints(traffic),
    }
}

/// The end of the block that begins at or holds this time.
fn next_block(at: EpochMs) -> EpochMs {
    at - at.rem_euclid(BLOCK_MS) + BLOCK_MS
}

/// What is usual in the hour that begins at or holds this time.
fn rates_at(baseline: &Baseline, calendar: &impl HourOfWeek, at: EpochMs) -> Rates {
    baseline.rates(calendar.hour_of_week(at - at.rem_euclid(HOUR_MS) + HOUR_MS / 2))
}
