//! Which queue takes an interaction: by the first rule that matches, else by what was said.

mod rule;

use record::{ClassifiedInteraction, ContentKinds, Direction, Label, Language, Role};

pub use self::rule::{Conditions, Rule, RuleSpec, RuleVerdict};
use crate::{Community, Sla};

/// What a queue takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// The interactions of one label that the classifier was sure of.
    Label(Label),
    /// What the classifier was not sure of.
    Review,
    /// Nothing but what rules send there.
    Rules,
}

/// One queue as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its name; part of its topic's name, so letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// What it takes.
    pub takes: Takes,
    /// The department that owns it.
    pub department: String,
    /// How soon an answer is due there; `None`: nothing is ever due.
    pub sla: Option<Sla>,
}

/// Why a list of queues cannot be used. Each names the queue and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RoutingError {
    /// A name that cannot be part of a topic's name.
    #[error("queue name {0:?}: 1 to 64 letters, digits, '.', '_' or '-' are allowed")]
    Name(String),
    /// Two queues of one name.
    #[error("queue {0:?} is listed twice; each name once")]
    DuplicateName(String),
    /// Two queues for one label.
    #[error("queue {0:?} takes what queue {1:?} already takes; one queue a label")]
    Overlap(String, String),
    /// A department that is empty.
    #[error("queue {0:?} has no department; name who answers it")]
    NoDepartment(String),
    /// Too many queues.
    #[error("{0} queues; at most 64")]
    TooMany(usize),
    /// A name with a meaning of its own.
    #[error("queue name {0:?} is reserved; choose another")]
    Reserved(String),
    /// A rule without a name, or with a long one.
    #[error("rule name {0:?}: 1 to 64 bytes are right")]
    RuleName(String),
    /// Two rules of one name.
    #[error("rule {0:?} is listed twice; each name once")]
    DuplicateRule(String),
    /// A rule that sends to a queue that is not there.
    #[error("rule {rule:?} sends to queue {queue:?}, which is not there; {known} is right, or none")]
    NoQueue {
        /// The rule.
        rule: String,
        /// Where it sends to.
        queue: String,
        /// What is there.
        known: String,
    },
    /// A rule that can never match, or has too many conditions.
    #[error("rule {rule:?}: {detail}")]
    Conditions {
        /// The rule.
        rule: String,
        /// What is wrong, and what would be right.
        detail: String,
    },
    /// Too many rules: each costs the hot path a comparison.
    #[error("{0} rules; at most 256")]
    TooManyRules(usize),
}

/// A queue that is ready for routing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// As configured.
    pub spec: QueueSpec,
    /// Why an item is here, in a sentence.
    pub reason: String,
}

/// What routing came to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Routed<'a> {
    /// To this queue.
    Queue(Route<'a>),
    /// To no queue.
    Unqueued,
}

/// The queue that takes an interaction, and by what right.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Route<'a> {
    /// Its place in [`Routing::queues`].
    pub index: usize,
    /// The queue.
    pub queue: &'a Queue,
    /// The rule that says so; `None` where no rule matched and the queue takes such things by itself.
    pub rule: Option<&'a Rule>,
    /// How soon an answer is due: as the rule says, else as the queue does.
    pub sla: Option<Sla>,
}

impl<'a> Route<'a> {
    /// Why an item is there, in a sentence that names the rule.
    pub fn reason(&self) -> &'a str {
        self.rule.map_or(&self.queue.reason, Rule::reason)
    }

    /// Who is to answer: the rule's department, else the one that owns the community, else the one that owns the queue.
    pub fn department<'b>(&self, community: &'b Community) -> &'b str
    where
        'a: 'b,
    {
        self.rule
            .and_then(|rule| rule.spec().department.as_deref())
            .or(community.department.as_deref())
            .unwrap_or(&self.queue.spec.department)
    }
}

/// What routing looks at. There is no field for an author's reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Routable<'a> {
    /// The decision.
    pub label: Label,
    /// Its probability, 0 to 1.
    pub confidence: f32,
    /// Whether the classifier was unsure.
    pub abstained: bool,
    /// The language of the text.
    pub language: Language,
    /// The community.
    pub community_id: &'a str,
    /// From whom to whom.
    pub direction: Direction,
    /// What it holds.
    pub content_kinds: ContentKinds,
    /// Who its author is to the brand.
    pub author_role: Role,
    /// Whether it is a retraction.
    pub deleted: bool,
}

impl<'a> From<&'a ClassifiedInteraction<'_>> for Routable<'a> {
    fn from(classified: &'a ClassifiedInteraction<'_>) -> Routable<'a> {
        Routable {
            label: classified.label,
            confidence: classified.confidence,
            abstained: classified.abstained,
            language: classified.language,
            community_id: &classified.community_id,
            direction: classified.direction,
            content_kinds: classified.content_kinds,
            author_role: classified.author_role,
            deleted: classified.deleted,
        }
    }
}

impl Routable<'_> {
    /// Whether it is queued at all: retractions and the brand's own words are not, whatever the rules say.
    pub fn is_queued(&self) -> bool {
        !self.deleted && self.author_role != Role::Brand
    }
}

/// A checked list of queues.
#[derive(Debug, Clone)]
pub struct Routing {
    queues: Vec<Queue>,
    by_label: [Option<usize>; Label::ALL.len()],
    review: Option<usize>,
    rules: Vec<Rule>,
}

impl Routing {
    /// Checks a list of queues.
    ///
    /// # Errors
    /// The first [`RoutingError`] of the list.
    pub fn new(specs: Vec<QueueSpec>) -> Result<Routing, RoutingError> {
        const MOST_QUEUES: usize = 64;
        if specs.len() > MOST_QUEUES {
            return Err(RoutingError::TooMany(specs.len()));
        }
        let mut routing = Routing {
            queues: Vec::with_capacity(specs.len()),
            by_label: [None; Label::ALL.len()],
            review: None,
            rules: Vec::new(),
        };
        for spec in specs {
            routing.add(spec)?;
        }
        Ok(routing)
    }

    /// The same queues with rules before them, of which the first that matches decides.
    ///
    /// # Errors
    /// The first [`RoutingError`] of the list.
    pub fn with_rules(mut self, specs: Vec<RuleSpec>) -> Result<Routing, RoutingError> {
        const MOST_RULES: usize = 256;
        if specs.len() > MOST_RULES {
            return Err(RoutingError::TooManyRules(specs.len()));
        }
        self.rules = Vec::with_capacity(specs.len());
        for spec in specs {
            if self.rules.iter().any(|rule: &Rule| rule.spec().name == spec.name) {
                return Err(RoutingError::DuplicateRule(spec.name));
            }
            let rule = Rule::new(spec, &self.queues)?;
            self.rules.push(rule);
        }
        Ok(self)
    }

    /// The queues of the design: one per label but `other`, and `review`.
    pub fn standard() -> Routing {
        let specs = [
            ("complaint", Takes::Label(Label::Complaint), "customer care"),
            ("tip", Takes::Label(Label::Tip), "product"),
            ("experience", Takes::Label(Label::Experience), "community relations"),
            ("praise", Takes::Label(Label::Praise), "community relations"),
            ("review", Takes::Review, "editorial desk"),
        ];
        let specs = specs.map(|(name, takes, department)| QueueSpec {
            name: name.to_owned(),
            takes,
            department: department.to_owned(),
            sla: None,
        });
        Routing::new(specs.into()).unwrap_or_else(|error| unreachable!("the standard queues are valid: {error}"))
    }

    /// The queues, in their order.
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }

    /// The rules, in their order.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The queue of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.queues.iter().position(|queue| queue.spec.name == name)
    }

    /// Decides the queue: the first rule that matches does, and where none does, the queue that takes the label, or doubt. The
    /// brand's own words and retractions are not queued, whatever the rules say. Allocates nothing.
    ///
    /// ```
    /// use record::{ContentKinds, Direction, Label, Language, Role};
    /// use rules::{Routable, Routed, Routing};
    /// let routing = Routing::standard();
    /// let complaint = Routable {
    ///     label: Label::Complaint, confidence: 0.9, abstained: false, language: Language::Indonesian, community_id: "warga",
    ///     direction: Direction::MemberToAll, content_kinds: ContentKinds::default(), author_role: Role::Member, deleted: false,
    /// };
    /// let Routed::Queue(route) = routing.route(&complaint) else { panic!() };
    /// assert_eq!(route.queue.spec.name, "complaint");
    /// assert_eq!(routing.route(&Routable { author_role: Role::Brand, ..complaint }), Routed::Unqueued);
    /// ```
    pub fn route(&self, routable: &Routable<'_>) -> Routed<'_> {
        if !routable.is_queued() {
            return Routed::Unqueued;
        }
        if let Some(rule) = self.rules.iter().find(|rule| rule.matches(routable)) {
            return match rule.queue() {
                Some(index) => {
                    let queue = &self.queues[index];
                    Routed::Queue(Route { index, queue, rule: Some(rule), sla: rule.spec().sla.or(queue.spec.sla) })
                }
                None => Routed::Unqueued,
            };
        }
        let index = if routable.abstained { self.review } else { self.by_label[routable.label.index()] };
        match index {
            Some(index) => {
                let queue = &self.queues[index];
                Routed::Queue(Route { index, queue, rule: None, sla: queue.spec.sla })
            }
            None => Routed::Unqueued,
        }
    }

    /// What each rule says of an interaction, in their order: whether it matches, and if not, all that is against it. The first
    /// that matches is the one that [`Routing::route`] takes.
    pub fn verdicts(&self, routable: &Routable<'_>) -> Vec<RuleVerdict<'_>> {
        self.rules.iter().map(|rule| RuleVerdict { rule, against: rule.against(routable) }).collect()
    }

    fn add(&mut self, spec: QueueSpec) -> Result<(), RoutingError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if spec.name.is_empty() || spec.name.len() > 64 || !spec.name.bytes().all(allowed) {
            return Err(RoutingError::Name(spec.name));
        }
        // `state` would make the topic of the queue the topic of the queues' state; `none` says that an item waits nowhere.
        if spec.name == "state" || spec.name == "none" {
            return Err(RoutingError::Reserved(spec.name));
        }
        if self.position(&spec.name).is_some() {
            return Err(RoutingError::DuplicateName(spec.name));
        }
        if spec.department.trim().is_empty() {
            return Err(RoutingError::NoDepartment(spec.name));
        }
        let slot = match spec.takes {
            Takes::Label(label) => Some(&mut self.by_label[label.index()]),
            Takes::Review => Some(&mut self.review),
            Takes::Rules => None,
        };
        if let Some(slot) = slot {
            if let Some(taken) = *slot {
                return Err(RoutingError::Overlap(spec.name, self.queues[taken].spec.name.clone()));
            }
            *slot = Some(self.queues.len());
        }
        let reason = match spec.takes {
            Takes::Label(label) => {
                format!("the classifier is sure that this is label {label}, which queue {} takes", spec.name)
            }
            Takes::Review => {
                format!("the classifier is not sure of any label; queue {} takes what is unsure", spec.name)
            }
            Takes::Rules => format!("queue {} takes what rules send there", spec.name),
        };
        self.queues.push(Queue { spec, reason });
        Ok(())
    }
}

#[cfg(test)]
mod tests;
