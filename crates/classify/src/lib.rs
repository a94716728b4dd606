//! What a text is: its label with calibrated probabilities, its language, its near-duplicate fingerprint.
//!
//! The fast tier is a linear model over hashed word and character n-grams, compiled in. Nothing here does I/O: training
//! takes rows and gives a model, a model is bytes.
#![forbid(unsafe_code)]

mod classifier;
mod evaluate;
mod features;
mod fingerprint;
mod model;
pub mod train;

pub use classifier::{Classifier, Decision, Explanation, Pushed};
pub use evaluate::{Evaluation, LabelFigures, evaluate};
pub use fingerprint::{fingerprint, fingerprint_distance};
pub use model::{Model, ModelError};
