//! A routing rule: on what conditions an interaction goes to which queue.

use std::collections::BTreeSet;
use std::fmt::Write;

use record::{ContentKinds, Direction, Label, Language};

use super::{Queue, Routable, RoutingError};
use crate::Sla;

/// On what a rule matches: all that is said must hold, and what is not said (an empty list, `None`) always does.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Conditions {
    /// One of these labels.
    pub labels: Vec<Label>,
    /// One of these languages.
    pub languages: Vec<Language>,
    /// One of these communities, by id.
    pub communities: BTreeSet<String>,
    /// One of these directions.
    pub directions: Vec<Direction>,
    /// It holds content of at least one of these kinds.
    pub content_kinds: ContentKinds,
    /// The confidence is at least this, 0 to 1.
    pub confidence_min: Option<f32>,
    /// The confidence is below this, 0 to 1.
    pub confidence_below: Option<f32>,
    /// The classifier was unsure, or was not.
    pub abstained: Option<bool>,
}

impl Conditions {
    /// Most communities of one rule.
    pub const COMMUNITIES_MAX: usize = 10_000;

    fn check(&self) -> Result<(), String> {
        if self.communities.len() > Conditions::COMMUNITIES_MAX {
            return Err(format!(
                "{} communities; at most {} are right",
                self.communities.len(),
                Conditions::COMMUNITIES_MAX
            ));
        }
        for (name, bound) in [("confidence_min", self.confidence_min), ("confidence_below", self.confidence_below)] {
            if let Some(bound) = bound.filter(|bound| !(0.0..=1.0).contains(bound)) {
                return Err(format!("{name} is {bound}; 0 to 1 is right"));
            }
        }
        if let (Some(min), Some(below)) = (self.confidence_min, self.confidence_below)
            && min >= below
        {
            return Err(format!(
                "no confidence is at least {min} and below {below}; a confidence_min below it is right"
            ));
        }
        Ok(())
    }

    /// The conditions in words.
    fn in_words(&self) -> String {
        let mut parts = Vec::new();
        list("label", self.labels.iter().map(|label| label.as_str()), &mut parts);
        list("language", self.languages.iter().map(|language| language.as_str()), &mut parts);
        if self.communities.len() > 3 {
            parts.push(format!("one of {} communities", self.communities.len()));
        } else {
            list("community", self.communities.iter().map(String::as_str), &mut parts);
        }
        list("direction", self.directions.iter().map(|direction| direction.as_str()), &mut parts);
        list("content", self.content_kinds.iter().map(|kind| kind.as_str()), &mut parts);
        parts.extend(self.confidence_min.map(|bound| format!("confidence at least {bound}")));
        parts.extend(self.confidence_below.map(|bound| format!("confidence below {bound}")));
        parts.extend(self.abstained.map(|abstained| if abstained { "unsure" } else { "sure" }.to_owned()));
        if parts.is_empty() { "everything".to_owned() } else { parts.join(", ") }
    }
}

/// A rule as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleSpec {
    /// Its name, 1 to 64 bytes; each item that it sends somewhere says it.
    pub name: String,
    /// When it matches.
    pub when: Conditions,
    /// The queue that it sends to, by name; `none`: to none.
    pub queue: String,
    /// Who is to answer, instead of the community's department or the queue's.
    pub department: Option<String>,
    /// How soon, instead of the queue's service level.
    pub sla: Option<Sla>,
}

/// A rule that is ready for routing.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    spec: RuleSpec,
    queue: Option<usize>,
    reason: String,
    /// A bit per label, language and direction, in the order of their lists; all where nothing is said.
    labels: u8,
    languages: u8,
    directions: u8,
}

/// What a rule says of one interaction.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleVerdict<'a> {
    /// The rule.
    pub rule: &'a Rule,
    /// All that is against it, each in words; nothing if it matches.
    pub against: Vec<String>,
}

impl Rule {
    pub(super) fn new(spec: RuleSpec, queues: &[Queue]) -> Result<Rule, RoutingError> {
        if spec.name.trim().is_empty() || spec.name.len() > 64 {
            return Err(RoutingError::RuleName(spec.name));
        }
        if let Err(detail) = spec.when.check() {
            return Err(RoutingError::Conditions { rule: spec.name, detail });
        }
        if spec.department.as_ref().is_some_and(|department| department.trim().is_empty()) {
            let detail = "an empty department; a name, or no such key, is right".to_owned();
            return Err(RoutingError::Conditions { rule: spec.name, detail });
        }
        let queue = queues.iter().position(|queue| queue.spec.name == spec.queue);
        if queue.is_none() && spec.queue != "none" {
            let known: Vec<&str> = queues.iter().map(|queue| queue.spec.name.as_str()).collect();
            return Err(RoutingError::NoQueue { rule: spec.name, queue: spec.queue, known: known.join(", ") });
        }
        let mut reason = format!("rule {:?} matches: {}", spec.name, spec.when.in_words());
        let goes =
            if queue.is_some() { format!("; it sends to queue {}", spec.queue) } else { "; it queues nothing".into() };
        let _ = write!(reason, "{goes}");
        let bits = |indexes: &mut dyn Iterator<Item = usize>| {
            let bits = indexes.fold(0_u8, |bits, index| bits | 1 << index);
            if bits == 0 { u8::MAX } else { bits }
        };
        Ok(Rule {
            labels: bits(&mut spec.when.labels.iter().map(|label| label.index())),
            languages: bits(&mut spec.when.languages.iter().map(|&language| language as usize)),
            directions: bits(&mut spec.when.directions.iter().map(|&direction| direction as usize)),
            queue,
            reason,
            spec,
        })
    }

    /// As configured.
    pub fn spec(&self) -> &RuleSpec {
        &self.spec
    }

    /// The place of its queue in [`super::Routing::queues`]; `None` if it queues nothing.
    pub fn queue(&self) -> Option<usize> {
        self.queue
    }

    /// Why an item is where it sent it, in a sentence that names it.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Whether all its conditions hold. Allocates nothing.
    pub fn matches(&self, routable: &Routable<'_>) -> bool {
        let when = &self.spec.when;
        self.labels & 1 << routable.label.index() != 0
            && self.languages & 1 << routable.language as u8 != 0
            && self.directions & 1 << routable.direction as u8 != 0
            && (when.content_kinds.bits() == 0 || when.content_kinds.bits() & routable.content_kinds.bits() != 0)
            && when.abstained.is_none_or(|abstained| abstained == routable.abstained)
            && when.confidence_min.is_none_or(|bound| routable.confidence >= bound)
            && when.confidence_below.is_none_or(|bound| routable.confidence < bound)
            && (when.communities.is_empty() || when.communities.contains(routable.community_id))
    }

    /// All that is against it, in words.
    pub(super) fn against(&self, routable: &Routable<'_>) -> Vec<String> {
        let when = &self.spec.when;
        let mut against = Vec::new();
        let mut differs = |what: &str, is: &str, wanted: Vec<&str>| {
            against.push(format!("{what} is {is}; it wants {}", wanted.join(" or ")));
        };
        if self.labels & 1 << routable.label.index() == 0 {
            differs("label", routable.label.as_str(), when.labels.iter().map(|label| label.as_str()).collect());
        }
        if self.languages & 1 << routable.language as u8 == 0 {
            let wanted = when.languages.iter().map(|language| language.as_str()).collect();
            differs("language", routable.language.as_str(), wanted);
        }
        if !when.communities.is_empty() && !when.communities.contains(routable.community_id) {
            let mut wanted: Vec<&str> = when.communities.iter().take(3).map(String::as_str).collect();
            if when.communities.len() > 3 {
                wanted.push("another of its list");
            }
            let is = if routable.community_id.is_empty() { "not said" } else { routable.community_id };
            differs("community", is, wanted);
        }
        if self.directions & 1 << routable.direction as u8 == 0 {
            let wanted = when.directions.iter().map(|direction| direction.as_str()).collect();
            differs("direction", routable.direction.as_str(), wanted);
        }
        if when.content_kinds.bits() != 0 && when.content_kinds.bits() & routable.content_kinds.bits() == 0 {
            let kinds: Vec<&str> = routable.content_kinds.iter().map(|kind| kind.as_str()).collect();
            let is = if kinds.is_empty() { "nothing".to_owned() } else { kinds.join(" and ") };
            differs("content", &is, when.content_kinds.iter().map(|kind| kind.as_str()).collect());
        }
        if when.abstained.is_some_and(|abstained| abstained != routable.abstained) {
            let (is, wanted) = if routable.abstained { ("unsure", "sure") } else { ("sure", "unsure") };
            differs("the classifier", is, vec![wanted]);
        }
        if let Some(bound) = when.confidence_min.filter(|&bound| routable.confidence < bound) {
            against.push(format!("confidence is {:.3}; it wants at least {bound}", routable.confidence));
        }
        if let Some(bound) = when.confidence_below.filter(|&bound| routable.confidence >= bound) {
            against.push(format!("confidence is {:.3}; it wants below {bound}", routable.confidence));
        }
        against
    }
}

fn list<'a>(what: &str, values: impl Iterator<Item = &'a str>, parts: &mut Vec<String>) {
    let values: Vec<&str> = values.collect();
    if !values.is_empty() {
        parts.push(format!("{what} {}", values.join(" or ")));
    }
}
