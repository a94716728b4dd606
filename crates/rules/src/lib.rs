//! Where a classified interaction goes: its queue, the department that owns it, its priority, and why.
//!
//! Pure functions of the decision and the roles. Follower counts and verification are not among the inputs, so that reach
//! cannot move a priority.
#![forbid(unsafe_code)]

pub mod alerts;
mod direction;
mod priority;
mod routing;

pub use direction::direction_of;
pub use priority::{Priority, priority_of};
pub use routing::{Queue, QueueSpec, Route, Routed, Routing, RoutingError, Takes};
