//! Where a classified interaction goes: its queue, the department that owns it, its priority, when an answer is due, and why.
//! And when the pipeline itself cannot see ([`blindness`]).
//!
//! Pure functions of the decision, the roles and the community registry. Follower counts and verification are not among the
//! inputs, so that reach cannot move a priority.
#![forbid(unsafe_code)]

pub mod alerts;
pub mod blindness;
mod communities;
mod direction;
mod live;
mod priority;
mod routing;
mod sla;

pub use communities::{
    BrandAccounts, Communities, Community, CommunitySpec, Holiday, LiveCommunities, Mistake, WEEKDAYS, spec_limits,
};
pub use direction::direction_of;
pub use live::Live;
pub use priority::{Priority, Standing, priority_at, priority_of};
pub use routing::{
    Conditions, Queue, QueueSpec, Routable, Route, Routed, Routing, RoutingError, Rule, RuleSpec, RuleVerdict, Takes,
};
pub use sla::{Sla, SlaClock};
