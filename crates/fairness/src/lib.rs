//! Whether some people wait longer than others, how much longer, and how sure that is.
//!
//! A waiting time is known in full only where the wait is over. Who still waits has waited *at least* so long: leaving them out
//! would make a group look quick whose answers are slow, and counting them as answered now would too. Methods for censored times
//! use both as what they are:
//! - [`median()`]: by when half are answered (Kaplan and Meier), with its confidence interval;
//! - [`log_rank`]: whether two groups differ at all (Mantel), stratified;
//! - [`hazard_ratio`]: how much (Cox), stratified: at what multiple of the reference's rate those who still wait are answered;
//! - [`report()`]: several questions at once, with all the comparisons that they take in mind.
//!
//! Comparisons are made within strata (queues): if one group writes more complaints, and complaints are answered first, that is
//! no gap between the groups.
//!
//! Pure functions of durations; who the groups are is for the caller to say.
#![forbid(unsafe_code)]

mod compare;
mod median;
mod report;

pub use compare::{HazardRatio, LogRank, hazard_ratio, log_rank};
pub use median::{Median, median};
pub use report::{Answer, Comparison, GroupFigures, Question, Settings, Verdict, report};

/// How long somebody waited, or has waited so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// How long, in milliseconds; below 0 is taken for 0.
    pub duration_ms: i64,
    /// True where the wait is over; false where it goes on, or what became of it is not known (censored).
    pub ended: bool,
    /// Which group: its place in the list of groups.
    pub group: usize,
    /// Only waits of one stratum are compared with each other.
    pub stratum: usize,
}
