//! What each rule says at one moment.

use record::EpochMs;

use super::{
    CommunityAlerts, HourOfWeek, LOOK_AHEAD_MS, Live, RUNS, Rates, Run, SHARE_FADES, Step, Usual, next_block, rates_at,
    usual,
};
use crate::alerts::baseline::{BLOCK_MS, HOUR_MS};
use crate::alerts::cusum::{log_likelihood_ratio, zero_surprise};
use crate::alerts::episode::{Episode, Reading, Sign, judge};
use crate::alerts::{AlertRules, CountRule, Levels, Rule, Severity, Transition};

/// The log-likelihood ratio of "as usual" over "still on" at which an episode of counts is over, and the most that is kept of it:
/// as much again has to speak against it.
const OVER: f64 = 4.0;
/// Of its threshold, from where on a rule of counts is pending.
const PENDING_SHARE: f64 = 0.6;

/// What a rule of counts has seen in the current block.
struct InBlock {
    count: i64,
    /// In the unit of its CUSUM.
    exposure: i64,
}

impl CommunityAlerts {
    /// Judges the rules of counts. At the end of a block also whether what is on is over.
    pub(super) fn judge_counts<C: HourOfWeek>(
        &mut self,
        step: &Step<'_, C>,
        rates: &Rates,
        block_ends: bool,
        see: &mut dyn FnMut(Transition),
    ) {
        for rule in [Rule::ComplaintSpike, Rule::ShareShift, Rule::TipSurge, Rule::PraiseSurge] {
            self.judge_count(step, rates, rule, block_ends, see);
        }
    }

    fn judge_count<C: HourOfWeek>(
        &mut self,
        step: &Step<'_, C>,
        rates: &Rates,
        rule: Rule,
        block_ends: bool,
        see: &mut dyn FnMut(Transition),
    ) {
        let Some(live) = &mut self.live else { return };
        let slot = &mut self.episodes[rule as usize];
        let settings = settings_of(step.rules, rule);
        let usual = usual(rates, rule, live.traffic(rates));
        let (sign, best) = evidence(live, rule, settings, &usual);
        if slot.is_none() && sign < Sign::Pending {
            return;
        }
        let in_block = live.in_block(rule);
        let (score, started_at, mut observed, mut expected) = best.map_or((0.0, live.at, 0, 0.0), |(score, run)| {
            (score, run.started_at, i64::from(run.observed()), run.expected(&usual))
        });
        let in_block_expected = usual.rate * in_block.exposure as f64;
        let mut over = None;
        if let Some(episode) = slot.as_mut() {
            observed = episode.observed + in_block.count;
            expected = episode.expected + in_block_expected;
            if block_ends {
                // A rule that was switched off has nothing on.
                over = Some(episode.end_block(&in_block, &usual, observed, expected) || !settings.enabled);
            }
        }
        let severity = severity_of(step.rules, rule, observed, expected);
        let reading = Reading { sign, over, started_at, observed: observed as f64, expected, score, severity };
        let opened = slot.is_none();
        let changed = judge(slot, rule, live.at, &reading, Self::pace(step.rules), see);
        if opened && let Some(episode) = slot {
            let whole_block = if block_ends { 0 } else { 1 };
            episode.observed = observed - whole_block * in_block.count;
            episode.expected = expected - whole_block as f64 * in_block_expected;
        }
        if slot.is_none() {
            // The next one begins anew.
            for (run, _) in live.runs.iter_mut().zip(RUNS).filter(|(_, (of, _))| *of == rule) {
                *run = None;
            }
        }
        self.mark(rule, changed || block_ends);
    }

    /// Things stand in another way from `to` on.
    pub(super) fn level<C: HourOfWeek>(
        &mut self,
        step: &Step<'_, C>,
        to: EpochMs,
        levels: Levels,
        see: &mut dyn FnMut(Transition),
    ) {
        if let Some(live) = &mut self.live {
            debug_assert_eq!(live.at, to);
            live.levels = levels;
            self.changed.live = true;
        }
        self.judge_overdue(step, see);
    }

    pub(super) fn judge_overdue<C: HourOfWeek>(&mut self, step: &Step<'_, C>, see: &mut dyn FnMut(Transition)) {
        let Some(live) = &self.live else { return };
        let settings = &step.rules.overdue;
        let slot = &mut self.episodes[Rule::Overdue as usize];
        let overdue = if settings.enabled { live.levels.overdue } else { 0 };
        let borne = overdue.saturating_mul(2) <= settings.count;
        let held = settings.hold_ms == 0
            || slot.as_ref().is_some_and(|episode| live.at - episode.opened_at >= settings.hold_ms);
        let sign = match (overdue >= settings.count, held, borne) {
            (true, true, _) => Sign::Firing,
            (true, false, _) => Sign::Pending,
            (false, _, false) => Sign::Weak,
            (false, _, true) => Sign::None,
        };
        let reading = Reading {
            sign,
            over: Some(borne),
            started_at: live.at,
            observed: f64::from(live.levels.overdue),
            expected: f64::from(settings.count),
            score: f64::from(overdue) / f64::from(settings.count),
            severity: if overdue >= settings.critical_count { Severity::Critical } else { Severity::Warning },
        };
        let changed = judge(slot, Rule::Overdue, live.at, &reading, Self::pace(step.rules), see);
        self.mark(Rule::Overdue, changed);
    }

    /// Whether silence fires in the current block, by `end`.
    pub(super) fn find_silence<C: HourOfWeek>(
        &mut self,
        step: &Step<'_, C>,
        rates: &Rates,
        end: EpochMs,
        see: &mut dyn FnMut(Transition),
    ) {
        let Some(live) = &self.live else { return };
        let slot = &mut self.episodes[Rule::Silence as usize];
        if slot.is_some() || !step.rules.silence.enabled || !is_warm(step.rules, self.baseline.level.hours) {
            return;
        }
        let block_start = next_block(live.at) - BLOCK_MS;
        let Some(at) = live.silent_at(step.rules, rates, block_start, live.quiet).filter(|&at| at <= end) else {
            return;
        };
        let passed = (at - live.quiet_since.max(block_start)).max(0) as f64;
        let usual = rates.interactions();
        let reading = Reading {
            sign: Sign::Firing,
            over: None,
            started_at: live.quiet_since,
            observed: 0.0,
            expected: live.quiet_expected + usual.rate * passed,
            score: live.quiet + zero_surprise(usual.rate * passed, usual.shape),
            severity: Severity::Info,
        };
        let changed = judge(slot, Rule::Silence, at, &reading, Self::pace(step.rules), see);
        self.mark(Rule::Silence, changed);
    }

    /// Somebody says something, at `to`.
    pub(super) fn end_silence<C: HourOfWeek>(
        &mut self,
        step: &Step<'_, C>,
        to: EpochMs,
        see: &mut dyn FnMut(Transition),
    ) {
        if let Some(live) = &mut self.live {
            live.quiet_since = to;
            live.quiet = 0.0;
            live.quiet_expected = 0.0;
        }
        self.judge_silence(step, see);
    }

    /// Whether a silence that is on is over.
    pub(super) fn judge_silence<C: HourOfWeek>(&mut self, step: &Step<'_, C>, see: &mut dyn FnMut(Transition)) {
        let (Some(live), slot) = (&self.live, &mut self.episodes[Rule::Silence as usize]) else { return };
        let Some(episode) = slot else { return };
        // One voice does not end it if it is silent again.
        let spoken = live.quiet_since > episode.started_at && live.quiet < step.rules.silence.threshold / 2.0;
        let over = spoken || !step.rules.silence.enabled;
        let reading = Reading {
            sign: Sign::Weak,
            over: Some(over),
            started_at: episode.started_at,
            observed: 0.0,
            expected: live.quiet_expected,
            score: live.quiet,
            severity: Severity::Info,
        };
        let changed = judge(slot, Rule::Silence, live.at, &reading, Self::pace(step.rules), see);
        self.mark(Rule::Silence, changed);
    }

    /// When to look for silence again, if not known.
    pub(super) fn look_ahead<C: HourOfWeek>(&mut self, step: &Step<'_, C>) {
        let Some(live) = &self.live else { return };
        let (silence, enabled) = (&self.episodes[Rule::Silence as usize], step.rules.silence.enabled);
        let look_at = if silence.as_ref().is_some_and(|episode| !enabled && episode.over_since.is_none()) {
            // It is judged at the ends of blocks.
            Some(next_block(live.at))
        } else if silence.is_some() || !enabled || !is_warm(step.rules, self.baseline.level.hours) {
            None
        } else if let Some(look_at) = live.look_at.filter(|&look_at| look_at > live.at) {
            Some(look_at)
        } else {
            Some(self.silence_to_come(step, live))
        };
        if let Some(live) = self.live.as_mut().filter(|live| live.look_at != look_at) {
            live.look_at = look_at;
            self.changed.live = true;
        }
    }

    /// When silence would fire if nothing comes, or the end of what is looked at.
    fn silence_to_come<C: HourOfWeek>(&self, step: &Step<'_, C>, live: &Live) -> EpochMs {
        let end = live.at + LOOK_AHEAD_MS;
        let mut block_start = next_block(live.at) - BLOCK_MS;
        let mut quiet = live.quiet;
        let mut rates = self.rates.unwrap_or_else(|| rates_at(&self.baseline, step.calendar, block_start));
        while block_start < end {
            if let Some(at) = live.silent_at(step.rules, &rates, block_start, quiet)
                && at <= block_start + BLOCK_MS
            {
                return at.max(live.at + 1);
            }
            let usual = rates.interactions();
            let passed = block_start + BLOCK_MS - live.quiet_since.max(block_start);
            quiet += zero_surprise(usual.rate * passed as f64, usual.shape);
            block_start += BLOCK_MS;
            if block_start.rem_euclid(HOUR_MS) == 0 {
                rates = rates_at(&self.baseline, step.calendar, block_start);
            }
        }
        end
    }

    fn mark(&mut self, rule: Rule, changed: bool) {
        if changed {
            self.changed.live = true;
            self.changed.episodes |= 1 << rule as u8;
        }
    }
}

impl Live {
    fn in_block(&self, rule: Rule) -> InBlock {
        let counts = &self.block;
        let block_start = self.at - (self.at - 1).rem_euclid(BLOCK_MS) - 1;
        let count = match rule {
            Rule::TipSurge => counts.tips,
            Rule::PraiseSurge => counts.praises,
            _ => counts.complaints,
        };
        let exposure = match rule {
            Rule::ShareShift => i64::from(counts.others()),
            _ => self.at - self.began_at.max(block_start),
        };
        InBlock { count: i64::from(count), exposure }
    }

    /// When silence fires at these rates, if not before this block, at the start of which the score is `quiet`.
    fn silent_at(&self, rules: &AlertRules, rates: &Rates, block_start: EpochMs, quiet: f64) -> Option<EpochMs> {
        let usual = rates.interactions();
        let from = self.quiet_since.max(block_start);
        let left = (rules.silence.threshold - quiet).max(0.0);
        // The inverse of `zero_surprise`.
        let passed = usual.shape * (left / usual.shape).exp_m1() / usual.rate;
        // Beyond the block nobody asks; what is not a number is never.
        if passed.is_nan() || passed >= 2.0 * BLOCK_MS as f64 {
            return None;
        }
        let at = (from + passed.ceil() as i64).max(self.quiet_since + rules.silence.min_gap_ms);
        let on_step = at + (-at).rem_euclid(rules.step_ms);
        Some(on_step.max(block_start))
    }
}

impl Episode {
    /// A block is over, in which so much was seen: whether the episode is.
    fn end_block(&mut self, in_block: &InBlock, usual: &Usual, observed: i64, expected: f64) -> bool {
        let in_block_expected = usual.upper * in_block.exposure as f64;
        let on = log_likelihood_ratio(in_block.count as f64, in_block_expected, self.over_ratio, usual.shape);
        // Where nobody says anything a share cannot tell, so time does, slowly.
        self.over_score = (self.over_score - on + SHARE_FADES).clamp(0.0, 2.0 * OVER);
        self.observed = observed;
        self.expected = expected;
        // "Still on" is half of what it was at least: a crisis wears off before it ends.
        self.over_ratio = (0.5 * observed as f64 / expected.max(1e-9)).clamp(1.5, 10.0);
        self.over_score >= OVER
    }
}

/// What speaks for a rule of counts, and the CUSUM that does so most.
fn evidence(live: &Live, rule: Rule, settings: &CountRule, usual: &Usual) -> (Sign, Option<(f64, Run)>) {
    let mut sign = Sign::None;
    let mut best: Option<(f64, Run)> = None;
    for (run, (_, ratio)) in live.runs.iter().zip(RUNS).filter(|(_, (of, _))| *of == rule) {
        let Some(run) = run else { continue };
        let score = run.score(usual, ratio);
        let observed = run.observed();
        let much = f64::from(observed) >= settings.min_ratio * run.expected(usual);
        let this = if !settings.enabled {
            Sign::Weak
        } else if score >= settings.threshold && observed >= settings.min_count && much {
            Sign::Firing
        } else if score >= PENDING_SHARE * settings.threshold && observed.saturating_mul(2) > settings.min_count {
            Sign::Pending
        } else {
            Sign::Weak
        };
        // Which one it is decides the start of the episode: the surest.
        if best.is_none_or(|(most, _)| score > most) {
            best = Some((score, *run));
        }
        sign = sign.max(this);
    }
    (sign, best)
}

fn settings_of(rules: &AlertRules, rule: Rule) -> &CountRule {
    match rule {
        Rule::ShareShift => &rules.share_shift,
        Rule::TipSurge => &rules.tip_surge,
        Rule::PraiseSurge => &rules.praise_surge,
        _ => &rules.complaint_spike,
    }
}

/// Only complaints in time page: a share is told beside them, and what is good can wait.
fn severity_of(rules: &AlertRules, rule: Rule, observed: i64, expected: f64) -> Severity {
    match rule {
        Rule::ComplaintSpike => {
            let much = observed as f64 >= rules.critical_ratio * expected;
            if much && observed >= i64::from(rules.critical_count) { Severity::Critical } else { Severity::Warning }
        }
        _ => Severity::Info,
    }
}

fn is_warm(rules: &AlertRules, hours: u32) -> bool {
    i64::from(hours) * HOUR_MS >= rules.warm_up_ms
}
