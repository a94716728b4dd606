//! Which queue takes an interaction.

use record::{Label, Role};

/// What a queue takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// The interactions of one label that the classifier was sure of.
    Label(Label),
    /// What the classifier was not sure of.
    Review,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Routed<'a> {
    /// To this queue.
    Queue(Route<'a>),
    /// To no queue.
    Unqueued,
}

/// The queue that takes an interaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route<'a> {
    /// Its place in [`Routing::queues`].
    pub index: usize,
    /// The queue.
    pub queue: &'a Queue,
}

/// A checked list of queues.
#[derive(Debug, Clone)]
pub struct Routing {
    queues: Vec<Queue>,
    by_label: [Option<usize>; Label::ALL.len()],
    review: Option<usize>,
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
        let mut routing = Routing { queues: Vec::with_capacity(specs.len()), by_label: [None; 5], review: None };
        for spec in specs {
            routing.add(spec)?;
        }
        Ok(routing)
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
        });
        Routing::new(specs.into()).unwrap_or_else(|error| unreachable!("the standard queues are valid: {error}"))
    }

    /// The queues, in their order.
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }

    /// The queue of this name.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.queues.iter().position(|queue| queue.spec.name == name)
    }

    /// The queue that takes a label of which somebody is sure.
    pub fn queue_of(&self, label: Label) -> Option<&Queue> {
        self.by_label[label.index()].map(|place| &self.queues[place])
    }

    /// Decides the queue. The brand's own words and retractions are not queued.
    ///
    /// ```
    /// use record::{Label, Role};
    /// use rules::{Routed, Routing};
    /// let routing = Routing::standard();
    /// let Routed::Queue(route) = routing.route(Label::Complaint, false, Role::Member, false) else { panic!() };
    /// assert_eq!(route.queue.spec.name, "complaint");
    /// assert_eq!(routing.route(Label::Complaint, false, Role::Brand, false), Routed::Unqueued);
    /// ```
    pub fn route(&self, label: Label, abstained: bool, author_role: Role, deleted: bool) -> Routed<'_> {
        if deleted || author_role == Role::Brand {
            return Routed::Unqueued;
        }
        let index = if abstained { self.review } else { self.by_label[label.index()] };
        match index {
            Some(index) => Routed::Queue(Route { index, queue: &self.queues[index] }),
            None => Routed::Unqueued,
        }
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
            Takes::Label(label) => &mut self.by_label[label.index()],
            Takes::Review => &mut self.review,
        };
        if let Some(taken) = *slot {
            return Err(RoutingError::Overlap(spec.name, self.queues[taken].spec.name.clone()));
        }
        *slot = Some(self.queues.len());
        let reason = match spec.takes {
            Takes::Label(label) => {
                format!("the classifier is sure that this is label {label}, which queue {} takes", spec.name)
            }
            Takes::Review => {
                format!("the classifier is not sure of any label; queue {} takes what is unsure", spec.name)
            }
        };
        self.queues.push(Queue { spec, reason });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(name: &str, takes: Takes) -> QueueSpec {
        QueueSpec { name: name.to_owned(), takes, department: "desk".to_owned() }
    }

    #[test]
    fn routes_by_label_and_doubt() {
        let routing = Routing::standard();
        let name = |label, abstained, role, deleted| match routing.route(label, abstained, role, deleted) {
            Routed::Queue(route) => Some(route.queue.spec.name.clone()),
            Routed::Unqueued => None,
        };
        assert_eq!(name(Label::Tip, false, Role::Unknown, false).as_deref(), Some("tip"));
        assert_eq!(name(Label::Other, true, Role::Member, false).as_deref(), Some("review"));
        assert_eq!(name(Label::Other, false, Role::Member, false), None);
        assert_eq!(name(Label::Praise, false, Role::Member, true), None);
        assert_eq!(name(Label::Praise, true, Role::Brand, false), None);
    }

    #[test]
    fn names_what_is_wrong() {
        let check = |specs, expected| assert_eq!(Routing::new(specs).err(), Some(expected));
        let tip = || spec("tip", Takes::Label(Label::Tip));
        check(vec![spec("a b", Takes::Review)], RoutingError::Name("a b".into()));
        check(vec![spec("state", Takes::Review)], RoutingError::Reserved("state".into()));
        check(vec![tip(), spec("tip", Takes::Review)], RoutingError::DuplicateName("tip".into()));
        check(
            vec![tip(), spec("ideas", Takes::Label(Label::Tip))],
            RoutingError::Overlap("ideas".into(), "tip".into()),
        );
        let nobody = QueueSpec { department: " ".into(), ..tip() };
        check(vec![nobody], RoutingError::NoDepartment("tip".into()));
    }
}
