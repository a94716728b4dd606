//! The harmony index: how far a community and the brand are at ease with each other.

use record::{Direction, Label};

use crate::Counts;

/// The harmony of a pane, from 0, none, to 1; `None` where nothing was said. `responses` are the brand's first responses in the
/// pane, `waiting` the complaints made in it that have none at its end.
///
/// It is the weighted geometric mean of three shares, so that none of them makes up for another: praise does not outweigh people
/// who wait in vain. What people say weighs most; a brand that answers much in a crisis must not look better for it.
/// - *mood*, weight 5: praises and tips among these and complaints. A tip is goodwill: somebody helps.
/// - *care*, weight 3: responses among these and complaints that wait.
/// - *exchange*, weight 2: how evenly interactions run from members to the brand, from the brand to members and among members: Pielou's
///   evenness of the three (Pielou, 1966, doi:10.1016/0022-5193(66)90013-0), 1 where they are equal. Talk in one direction only
///   is no conversation.
///
/// Each number is taken as one larger than it is (Laplace's rule of succession), so that little evidence says little; where nobody
/// waits and nobody was answered, care is 1.
///
/// ```
/// use window::{Counts, harmony};
/// assert_eq!(harmony(&Counts::default(), 0, 0), None);
/// ```
pub fn harmony(counts: &Counts, responses: i64, waiting: i64) -> Option<f64> {
    if counts.interactions <= 0 {
        return None;
    }
    let of = |label: Label| counts.by_label[label.index()] as f64;
    let goodwill = of(Label::Praise) + of(Label::Tip);
    let mood = (goodwill + 1.0) / (goodwill + of(Label::Complaint) + 2.0);
    let care = (responses as f64 + 1.0) / ((responses + waiting) as f64 + 1.0);
    let directions = [Direction::MemberToBrand, Direction::BrandToMember, Direction::MemberToMember];
    let exchange = evenness(directions.map(|direction| counts.by_direction[direction as usize] as f64 + 1.0));
    Some(mood.powf(0.5) * care.powf(0.3) * exchange.powf(0.2))
}

/// Entropy of the shares over the most that it can be.
fn evenness<const N: usize>(numbers: [f64; N]) -> f64 {
    let all: f64 = numbers.iter().sum();
    let entropy: f64 = numbers.iter().map(|number| number / all).map(|share| -share * share.ln()).sum();
    entropy / (N as f64).ln()
}

#[cfg(test)]
mod tests {
    use record::{ContentKinds, Kind};

    use super::*;

    fn counts(of: &[(Label, Direction, i64)]) -> Counts {
        let mut counts = Counts::default();
        for &(label, direction, times) in of {
            counts.add(&Counts::of(label, direction, Kind::Comment, ContentKinds::default(), false), times);
        }
        counts
    }

    #[test]
    fn each_part_moves_it_and_none_makes_up_for_another() {
        use Direction::{BrandToMember, MemberToBrand, MemberToMember};
        let good =
            [(Label::Praise, MemberToMember, 20), (Label::Tip, MemberToBrand, 10), (Label::Other, BrandToMember, 15)];
        let of = |parts: &[(Label, Direction, i64)], responses, open| {
            harmony(&counts(parts), responses, open).unwrap_or(-1.0)
        };
        let best = of(&good, 10, 0);
        assert!(best > 0.95 && best < 1.0, "{best}");
        let unanswered = of(&good, 0, 10);
        assert!(unanswered < 0.5 * best, "{unanswered}");
        let mut angry = good.to_vec();
        angry.push((Label::Complaint, MemberToBrand, 60));
        assert!(of(&angry, 10, 0) < 0.8 * best);
        let one_way = of(&[(Label::Praise, MemberToBrand, 45)], 10, 0);
        assert!(one_way < 0.85 * best, "{one_way}");
        assert!(of(&[(Label::Other, MemberToMember, 1)], 0, 0) > 0.65, "little evidence says little");
    }
}
