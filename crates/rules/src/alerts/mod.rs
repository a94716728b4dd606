//! Alert rules of a community, over event time: what is unusual, since when, and when it is over.
//!
//! One [`CommunityAlerts`] per community is stepped over intervals of event time, in order. It learns what is usual for each hour
//! of the week (`baseline`), accumulates evidence against it (`cusum`) and keeps the episodes ([`Transition`]). It reads no
//! clock: the same intervals give the same transitions, whether or not it was written down and restored in between.
//!
//! | rule | observed, expected | score | method |
//! |---|---|---|---|
//! | `complaint_spike` | complaints since the start of the episode | log-likelihood ratio | three CUSUMs of negative-binomial counts, for rates of 2, 4 and 10 times what is usual at this hour of the week |
//! | `share_shift` | complaints, those usual for so many other interactions | the same | the same, by traffic instead of time |
//! | `overdue` | complaints past their SLA, the number that is borne | their quotient | a level with hysteresis |
//! | `silence` | interactions (0), those usual for so long a time | −ln of the probability of so long a silence | negative-binomial |
//! | `tip_surge`, `praise_surge` | tips, praises since the start | log-likelihood ratio | one CUSUM each, for 4 times the usual rate |
//!
//! A CUSUM (Page, *Continuous Inspection Schemes*, 1954) sums the log-likelihood ratios of "more than usual" over "as usual", from
//! zero upwards; among all that raise a false alarm as rarely, it has the least worst-case delay (Lorden, 1971; Moustakides,
//! 1986). Where it was last at zero is the likeliest start of the change, and the start of the episode. Several at once stand
//! for a ratio that nobody knows (Lorden and Eisenberger, 1973). Counts of social interactions vary more than Poisson's:
//! negative-binomial ones (Höhle and Paul, *Count data regression charts for the monitoring of surveillance time series*, 2008),
//! with a baseline that follows season and level and is not taught by its own alarms (Farrington et al., 1996; Noufaily et al.,
//! 2013).
#![warn(missing_docs)]

mod baseline;
mod community;
mod cusum;
mod episode;
mod evidence;
mod interval;
mod settings;
mod state;
mod summary;

pub use community::CommunityAlerts;
pub use episode::{AlertState, Rule, Severity, Transition, alert_id};
pub use evidence::{CoordinationRule, Evidence, EvidenceItem, evidence_of};
pub use interval::{HourOfWeek, Increments, Interval, Levels};
pub use settings::{AlertRules, AlertRulesError, CountRule, OverdueRule, STEP_MS, SilenceRule};
pub use state::{StateKey, StateValue};
pub use summary::{Story, summary_en, summary_id};
