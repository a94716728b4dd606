//! Why a decision is what it is: what changes when a word is left out.

use std::collections::HashMap;

use crate::classifier::{Classifier, Decision};
use crate::network::{HEADS, LABELS};

/// Why a decision is what it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// The decision.
    pub decision: Decision,
    /// The words, and pairs of words that are more than their parts, that pushed most towards the label, or away from it;
    /// the strongest first.
    pub pushed: Vec<Pushed>,
}

/// A piece of text and how far it pushed.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// One or two words, as normalised.
    pub piece: String,
    /// By how much the label's score, less the mean of all, falls when the piece is left out.
    pub push: f32,
}

/// A pair is shown where it pushes further than its words do one by one, by at least this factor.
const MORE_THAN_ITS_PARTS: f32 = 1.25;

impl Classifier {
    /// Decides, and tells which pieces of the text pushed most, at most `pieces`. It takes as many decisions as the text has
    /// words, twice: for a person's eyes, not for every record.
    pub fn explain(&mut self, text: &str, pieces: usize) -> Explanation {
        self.read(text);
        let scores = self.scores(0..0);
        let decision = self.decide(&scores);
        let label = decision.label.index();
        let whole = lead(&scores, label);
        let mut pushes: HashMap<String, f32> = HashMap::new();
        let count = self.word_count();
        let alone: Vec<f32> = (0..count).map(|at| whole - lead(&self.scores(at..at + 1), label)).collect();
        for (at, push) in alone.iter().enumerate() {
            *pushes.entry(self.piece(at..at + 1).to_owned()).or_default() += push;
        }
        for (at, parts) in alone.windows(2).enumerate() {
            let push = whole - lead(&self.scores(at..at + 2), label);
            if push.abs() > MORE_THAN_ITS_PARTS * (parts[0].abs() + parts[1].abs()) {
                *pushes.entry(self.piece(at..at + 2).to_owned()).or_default() += push;
            }
        }
        let mut pushed: Vec<Pushed> = pushes.into_iter().map(|(piece, push)| Pushed { piece, push }).collect();
        pushed.sort_by(|one, two| two.push.abs().total_cmp(&one.push.abs()).then_with(|| one.piece.cmp(&two.piece)));
        pushed.truncate(pieces);
        Explanation { decision, pushed }
    }
}

/// The label's score, less the mean of all labels'.
fn lead(scores: &[f32; HEADS], label: usize) -> f32 {
    scores[label] - scores[..LABELS].iter().sum::<f32>() / LABELS as f32
}
