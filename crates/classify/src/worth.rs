//! What a second opinion on a decision is worth.

use record::Label;

use crate::classifier::Decision;
use crate::network::LABELS;

/// Shares of the labels among 900 texts that were picked at random from the sources, in the order of [`Label::ALL`].
pub(crate) const LABEL_SHARES: [f64; LABELS] =
    [280.0 / 900.0, 65.0 / 900.0, 77.0 / 900.0, 254.0 / 900.0, 224.0 / 900.0];

impl Decision {
    /// What the mean of the labels' F1 loses if this decision is wrong, as expected by its own probabilities: 0 where it is
    /// certain, 1 where a tip and an experience are equally likely and nothing else is.
    ///
    /// A text of label *l* that is called *g* costs of the recall of *l* and of the precision of *g*, and of either the more
    /// the rarer it is. So the sum, over the labels but *g*, of p(*l*) (w(*l*) + w(*g*)). F1 alone asks for a weight w of
    /// 1/share; share to the power of -3/4 did a little better on held-out rows (`models/deep/README.md`), as second opinions
    /// on what is rare are less often right.
    ///
    /// ```
    /// let mut classifier = classify::Classifier::embedded();
    /// let sure = classifier.classify("kecewa berat, paketnya rusak dan CS nggak bales").second_opinion_worth();
    /// assert!(sure < classifier.classify("paketnya sudah seminggu").second_opinion_worth());
    /// ```
    pub fn second_opinion_worth(&self) -> f32 {
        let said = weight(self.label);
        let others = Label::ALL.into_iter().filter(|label| *label != self.label);
        let loss = others.map(|label| f64::from(self.probabilities[label.index()]) * (weight(label) + said));
        let most = (weight(Label::Tip) + weight(Label::Experience)) / 2.0;
        (loss.sum::<f64>() / most).min(1.0) as f32
    }
}

/// The label's share to the power of -3/4.
fn weight(label: Label) -> f64 {
    let root = LABEL_SHARES[label.index()].sqrt();
    1.0 / (root * root.sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worth(probabilities: [f32; LABELS]) -> f32 {
        let decided = Decision::of_blank().reconsidered(probabilities, &[0.0; LABELS]);
        decided.expect("numbers").second_opinion_worth()
    }

    #[test]
    fn certainty_is_worth_nothing_and_doubt_between_the_rare_most() {
        assert_eq!(worth([1.0, 0.0, 0.0, 0.0, 0.0]), 0.0);
        assert!((worth([0.0, 0.5, 0.5, 0.0, 0.0]) - 1.0).abs() < 1e-6);
        assert!(worth([0.1, 0.4, 0.3, 0.1, 0.1]) <= 1.0);
    }

    #[test]
    fn doubt_about_a_rare_label_is_worth_more() {
        let (of_tip, of_praise) = (worth([0.6, 0.4, 0.0, 0.0, 0.0]), worth([0.6, 0.0, 0.0, 0.4, 0.0]));
        // Weights 2.400 of complaints, 7.177 of tips, 6.321 of experiences and 2.582 of praises.
        assert!((of_tip - 0.4 * 9.577 / 6.749).abs() < 1e-3, "{of_tip}");
        assert!((of_praise - 0.4 * 4.982 / 6.749).abs() < 1e-3, "{of_praise}");
    }

    #[test]
    fn the_less_sure_the_more() {
        let worths = [0.9, 0.7, 0.5].map(|sure| worth([sure, 0.0, 0.0, 1.0 - sure, 0.0]));
        assert!(worths.is_sorted(), "{worths:?}");
    }
}
