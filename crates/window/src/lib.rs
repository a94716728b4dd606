//! Rolling aggregates of a community over shared slices of event time.
//!
//! Time is cut once into slices; every window is a sum of slices. A slice is as long as the shortest slide at first, and
//! rolls up into the slices of the next longer slide once no open pane needs it finer: so the cost of an event and the
//! size of the state do not grow with a window's length.
//!
//! Nothing here reads a clock: the caller says where the watermark is.
#![forbid(unsafe_code)]

mod community;
mod counts;
mod harmony;
mod levels;
mod members;
mod regularity;
mod responses;
mod sketch;
mod spec;
mod tally;

pub use community::{Applied, Change, CommunityWindows, Contribution, Pane, StateKey, StateValue};
pub use counts::Counts;
pub use harmony::harmony;
pub use members::{MemberFigures, MemberKey, MemberState};
pub use responses::ResponseFigures;
pub use sketch::MemberSketch;
pub use spec::{WindowError, WindowSet, WindowSpec};
