//! What a text is: its label with calibrated probabilities, its language, its near-duplicate fingerprint.
//!
//! The fast tier is a small network over hashed word and character n-grams, compiled in. Nothing here does I/O: training
//! takes rows and gives a model, a model is bytes.
#![forbid(unsafe_code)]

mod classifier;
mod evaluate;
mod explain;
mod features;
mod fingerprint;
mod language;
mod model;
mod network;
mod normalise;
pub mod train;
mod worth;

pub use classifier::{Classifier, Decision};
pub use evaluate::{
    Calibration, CoveragePoint, Estimate, Evaluation, Judged, LabelFigures, ReliabilityBin, SliceFigures, Verdict,
    evaluate, judge,
};
pub use explain::{Explanation, Pushed};
pub use fingerprint::{fingerprint, fingerprint_distance};
pub use model::{Model, ModelError};
pub use normalise::classified_part;
