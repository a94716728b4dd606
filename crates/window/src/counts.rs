//! What is counted: a vector that can be added and subtracted.

use record::{ContentKind, ContentKinds, Direction, Kind, Label};
use serde::{Deserialize, Serialize};

/// Numbers of interactions, by dimension. Each dimension but `late` and `missed` is of the interactions that are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// All.
    pub interactions: i64,
    /// By label, in the order of [`Label::ALL`].
    pub by_label: [i64; Label::ALL.len()],
    /// By direction, in the order of [`Direction::ALL`].
    pub by_direction: [i64; Direction::ALL.len()],
    /// By kind, in the order of [`Kind::ALL`].
    pub by_kind: [i64; Kind::ALL.len()],
    /// By content kind, in the order of [`ContentKind::ALL`]; an interaction may hold several or none.
    pub by_content_kind: [i64; ContentKind::ALL.len()],
    /// Those of which the classifier was unsure.
    pub abstained: i64,
    /// Those that came after the watermark had passed their slice. Never taken back.
    pub late: i64,
    /// Closed panes that those missed. Never taken back.
    pub missed: i64,
}

impl Counts {
    /// The counts of one interaction.
    ///
    /// ```
    /// use record::{ContentKind, ContentKinds, Direction, Kind, Label};
    /// let text: ContentKinds = [ContentKind::Text].into_iter().collect();
    /// let counts = window::Counts::of(Label::Tip, Direction::MemberToAll, Kind::Post, text, false);
    /// assert_eq!((counts.interactions, counts.by_label[Label::Tip.index()]), (1, 1));
    /// ```
    pub fn of(label: Label, direction: Direction, kind: Kind, content_kinds: ContentKinds, abstained: bool) -> Counts {
        let mut counts = Counts { interactions: 1, abstained: i64::from(abstained), ..Counts::default() };
        counts.by_label[label.index()] = 1;
        counts.by_direction[direction as usize] = 1;
        counts.by_kind[kind as usize] = 1;
        for content_kind in content_kinds.iter() {
            counts.by_content_kind[content_kind as usize] = 1;
        }
        counts
    }

    /// Adds another's numbers, `times` times.
    pub fn add(&mut self, other: &Counts, times: i64) {
        let pairs = |mine: &mut [i64], theirs: &[i64]| {
            for (mine, theirs) in mine.iter_mut().zip(theirs) {
                *mine += theirs * times;
            }
        };
        self.interactions += other.interactions * times;
        pairs(&mut self.by_label, &other.by_label);
        pairs(&mut self.by_direction, &other.by_direction);
        pairs(&mut self.by_kind, &other.by_kind);
        pairs(&mut self.by_content_kind, &other.by_content_kind);
        self.abstained += other.abstained * times;
        self.late += other.late * times;
        self.missed += other.missed * times;
    }
}
