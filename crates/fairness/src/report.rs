//! Several questions at once, and what can be said of each.

use serde::Serialize;

use crate::{HazardRatio, LogRank, Median, Wait, hazard_ratio, log_rank, median};

/// How sure one wants to be, and from how many.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Settings {
    /// Confidence of all intervals together, between 0 and 1.
    pub confidence: f64,
    /// A group is compared from so many waits on.
    pub waits_min: usize,
    /// And from so many that are over.
    pub ended_min: usize,
    /// A ratio between 1 / this and this is no gap worth the name.
    pub ratio_max: f64,
}

impl Default for Settings {
    /// 95 %, 20 waits of which 10 are over (the rule of thumb for a coefficient of Cox's model: Peduzzi et al., 1995), and a
    /// quarter more or less, the bound that tests of bioequivalence take for "the same".
    fn default() -> Settings {
        Settings { confidence: 0.95, waits_min: 20, ended_min: 10, ratio_max: 1.25 }
    }
}

/// What is asked: do these groups wait alike?
#[derive(Debug, Clone)]
pub struct Question {
    /// The groups' names; a wait names its group by its place here.
    pub groups: Vec<String>,
    /// The waits.
    pub waits: Vec<Wait>,
}

/// What is known of one group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupFigures {
    /// Its name.
    pub name: String,
    /// How many waits.
    pub waits: usize,
    /// How many of them are over.
    pub ended: usize,
    /// By when half are answered.
    pub median: Median,
    /// True if there are enough to compare it.
    pub enough: bool,
}

/// What can be said of a group beside its reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is answered sooner.
    Sooner,
    /// It is answered later.
    Later,
    /// No gap that is worth the name: the whole interval is within [`Settings::ratio_max`].
    Alike,
    /// There may be a gap or not: there are too few waits to tell.
    Unclear,
}

/// A group beside its reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The group's place.
    pub group: usize,
    /// The reference's place: the group with the most waits.
    pub reference: usize,
    /// The test, before the number of comparisons is taken into account.
    pub test: LogRank,
    /// How likely a difference as large as this is by chance alone in any of the report's comparisons, at most.
    pub p_adjusted: f64,
    /// How much sooner; none if all of one group come before the other.
    pub hazard_ratio: Option<HazardRatio>,
    /// The interval of the ratio that holds together with those of all other comparisons.
    pub interval: Option<(f64, f64)>,
    /// What can be said.
    pub verdict: Verdict,
}

/// The answer to a question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// The groups, in the order of the question.
    pub groups: Vec<GroupFigures>,
    /// Every other group with enough waits beside the largest.
    pub comparisons: Vec<Comparison>,
}

/// Answers all questions. Each comparison is judged as one of all that are made (Bonferroni): with eight of them, one in twenty
/// reports would else find a gap by chance three times as often. It is the one correction that gives tests and intervals that agree.
pub fn report(questions: &[Question], settings: &Settings) -> Vec<Answer> {
    let mut answers: Vec<Answer> = questions.iter().map(|question| compare(question, settings)).collect();
    let comparisons = answers.iter().map(|answer| answer.comparisons.len()).sum::<usize>().max(1) as f64;
    let chance = 1.0 - settings.confidence;
    for comparison in answers.iter_mut().flat_map(|answer| &mut answer.comparisons) {
        comparison.p_adjusted = (comparison.test.p * comparisons).min(1.0);
        comparison.interval = comparison.hazard_ratio.map(|ratio| ratio.interval(1.0 - chance / comparisons));
        comparison.verdict = match comparison.interval {
            _ if comparison.p_adjusted < chance && comparison.test.observed > comparison.test.expected => {
                Verdict::Sooner
            }
            _ if comparison.p_adjusted < chance => Verdict::Later,
            Some((low, high)) if low >= settings.ratio_max.recip() && high <= settings.ratio_max => Verdict::Alike,
            _ => Verdict::Unclear,
        };
    }
    answers
}

fn compare(question: &Question, settings: &Settings) -> Answer {
    let figures = |(group, name): (usize, &String)| {
        let waits: Vec<Wait> = question.waits.iter().filter(|wait| wait.group == group).copied().collect();
        let ended = waits.iter().filter(|wait| wait.ended).count();
        GroupFigures {
            name: name.clone(),
            waits: waits.len(),
            ended,
            median: median(&waits, settings.confidence),
            enough: waits.len() >= settings.waits_min && ended >= settings.ended_min,
        }
    };
    let groups: Vec<GroupFigures> = question.groups.iter().enumerate().map(figures).collect();
    let enough = || groups.iter().enumerate().filter(|(_, figures)| figures.enough);
    // Of two as large the first.
    let reference = enough().rev().max_by_key(|(_, figures)| figures.waits).map(|(place, _)| place);
    let comparison = |group: usize, reference: usize| {
        Some(Comparison {
            group,
            reference,
            test: log_rank(&question.waits, group, reference)?,
            p_adjusted: 1.0,
            hazard_ratio: hazard_ratio(&question.waits, group, reference),
            interval: None,
            verdict: Verdict::Unclear,
        })
    };
    let comparisons = reference.map_or_else(Vec::new, |reference| {
        let others = enough().filter(|&(place, _)| place != reference);
        others.filter_map(|(group, _)| comparison(group, reference)).collect()
    });
    Answer { groups, comparisons }
}
