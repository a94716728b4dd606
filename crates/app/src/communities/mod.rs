//! The community registry as a file: how it is read, and how a running service takes in a new one.

mod file;
mod watch;

pub(crate) use file::read;
pub(crate) use watch::watch;
