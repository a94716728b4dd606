//! The deep tier: a transformer that is asked for what the fast tier is unsure of.
//!
//! [`Workers`] runs a [`Model`] on plain threads and gives each question a bound on how long it may take; a worker that dies
//! or hangs costs its answers, never the caller's time. `Transformer` is the model, behind the feature `torch`.

#[cfg(feature = "torch")]
mod transformer;
mod workers;

#[cfg(feature = "torch")]
pub use transformer::{Transformer, TransformerError};
pub use workers::{Settings, Standing, Workers};

use record::Label;

/// Calibrated probabilities in the order of [`Label::ALL`]; they add up to 1.
pub type Probabilities = [f32; Label::ALL.len()];

/// What can judge texts. It lives on the thread that made it.
pub trait Model {
    /// The probabilities of each text, in their order.
    ///
    /// # Errors
    /// In words, if it cannot judge at all; the texts are then unanswered and the model is made anew.
    fn judge(&mut self, texts: &[String]) -> Result<Vec<Probabilities>, String>;
}
