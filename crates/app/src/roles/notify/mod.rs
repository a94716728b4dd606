//! The notifier role: what watches the pipeline from outside.

pub(crate) mod observer;
pub(crate) mod standing;
