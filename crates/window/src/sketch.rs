//! How many members there are, to within a known error, where they are not told apart any more.

use datasketches::hash::value::raw_bytes;
use datasketches::hll::{HllSketch, HllType, HllUnion};
use serde::{Deserialize, Serialize};

use crate::MemberKey;

/// 2^12 registers. The relative standard error is 1.04 / sqrt(2^12), that is 1.6 % (Flajolet, Fusy, Gandouet and Meunier, 2007,
/// doi:10.46298/dmtcs.3545).
const LG_REGISTERS: u8 = 12;

/// A HyperLogLog sketch of members. Up to 384 of them are kept as hashes of 4 bytes, of which two are hardly ever the same; more take
/// 4 KiB. The seed of the hash is fixed, and what is estimated does not depend on the order in which members came: it is the same
/// in every process.
///
/// Nobody is taken out again. There is no need to: who is in it is there by an interaction whose identity left, and what is said of
/// such a one afterwards is dropped as beyond the horizon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct MemberSketch(HllSketch);

impl MemberSketch {
    pub(crate) fn new() -> MemberSketch {
        match HllSketch::new(LG_REGISTERS, HllType::Hll8) {
            Ok(sketch) => MemberSketch(sketch),
            Err(error) => unreachable!("so many registers are allowed: {error}"),
        }
    }

    pub(crate) fn add(&mut self, member: MemberKey) {
        self.0.update(raw_bytes::from_slice(&member.0));
    }

    /// Whether a member may be in it; among few that are kept as hashes it is certain.
    pub(crate) fn may_hold(&self, member: MemberKey) -> bool {
        let mut with = self.clone();
        with.add(member);
        with == *self
    }

    /// Takes in all of another's. Who is in both is one.
    pub(crate) fn merge(&mut self, other: &MemberSketch) {
        let mut union = MemberUnion::new();
        union.take_in(self);
        union.take_in(other);
        self.0 = union.0.to_sketch(HllType::Hll8);
    }
}

/// The bytes of a sketch are in the format that all DataSketches libraries share.
impl TryFrom<Vec<u8>> for MemberSketch {
    type Error = String;

    fn try_from(bytes: Vec<u8>) -> Result<MemberSketch, String> {
        let sketch = HllSketch::deserialize(&bytes).map_err(|error| error.to_string())?;
        if sketch.lg_config_k() != LG_REGISTERS || sketch.target_type() != HllType::Hll8 {
            return Err("a sketch of another kind".to_owned());
        }
        Ok(MemberSketch(sketch))
    }
}

impl From<MemberSketch> for Vec<u8> {
    fn from(sketch: MemberSketch) -> Vec<u8> {
        sketch.0.serialize()
    }
}

/// Members of several sketches and others, each counted once.
#[derive(Debug)]
pub(crate) struct MemberUnion(HllUnion);

impl MemberUnion {
    pub(crate) fn new() -> MemberUnion {
        match HllUnion::new(LG_REGISTERS) {
            Ok(union) => MemberUnion(union),
            Err(error) => unreachable!("so many registers are allowed: {error}"),
        }
    }

    pub(crate) fn take_in(&mut self, sketch: &MemberSketch) {
        self.0.update(&sketch.0);
    }

    pub(crate) fn add(&mut self, member: MemberKey) {
        self.0.update_value(raw_bytes::from_slice(&member.0));
    }

    pub(crate) fn estimate(&self) -> i64 {
        // The other estimate depends on the order in which members came.
        self.0.composite_estimate().round() as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(number: u64) -> MemberKey {
        MemberKey((u128::from(number) << 64 | u128::from(number)).to_be_bytes())
    }

    fn sketch(numbers: impl IntoIterator<Item = u64>) -> MemberSketch {
        let mut sketch = MemberSketch::new();
        numbers.into_iter().for_each(|number| sketch.add(member(number)));
        sketch
    }

    fn estimate<'a>(sketches: impl IntoIterator<Item = &'a MemberSketch>) -> i64 {
        let mut union = MemberUnion::new();
        sketches.into_iter().for_each(|sketch| union.take_in(sketch));
        union.estimate()
    }

    #[test]
    fn few_are_exact_and_many_are_within_the_error() {
        for true_count in [0, 1, 8, 9, 100, 384] {
            assert_eq!(estimate([&sketch(0..true_count)]), true_count as i64);
        }
        let (mut squares, mut runs) = (0.0, 0.0);
        for true_count in [500_u64, 1_000, 3_000, 10_000, 50_000] {
            for run in 0..20_u64 {
                let from = run * 1_000_000;
                let found = estimate([&sketch(from..from + true_count)]);
                let error = (found as f64 - true_count as f64) / true_count as f64;
                assert!(error.abs() < 4.0 * 0.01625, "{true_count}: {found}");
                squares += error * error;
                runs += 1.0;
            }
        }
        let standard_error = f64::sqrt(squares / runs);
        assert!(standard_error < 0.018, "{standard_error}");
    }

    #[test]
    fn who_is_in_two_sketches_is_one() {
        let (left, right) = (sketch(0..3_000), sketch(1_000..4_000));
        let whole = estimate([&sketch((0..4_000).rev())]);
        assert_eq!(estimate([&left, &right]), whole);
        assert_eq!(estimate([&right, &left]), whole);
        let mut merged = left.clone();
        merged.merge(&right);
        assert_eq!(estimate([&merged]), whole);
        let mut few = sketch(0..3);
        few.merge(&sketch(2..5));
        assert_eq!(estimate([&few]), 5);
        few.merge(&sketch(0..4_000));
        assert_eq!(estimate([&few]), whole);
    }

    #[test]
    fn bytes_are_read_back_and_others_refused() {
        for count in [0, 5, 300, 20_000] {
            let mut before = sketch(0..count);
            let bytes = Vec::from(before.clone());
            assert!(bytes.len() <= (4 * count as usize + 16).min(4_200), "{count}: {}", bytes.len());
            let mut after = MemberSketch::try_from(bytes.clone()).unwrap();
            assert_eq!(after, before);
            before.add(member(u64::MAX));
            after.add(member(u64::MAX));
            assert_eq!(estimate([&after]), estimate([&before]));
            assert!(MemberSketch::try_from(bytes[..bytes.len() - 1].to_vec()).is_err());
        }
        let smaller = HllSketch::new(LG_REGISTERS - 1, HllType::Hll8).unwrap();
        assert!(MemberSketch::try_from(smaller.serialize()).is_err());
    }

    /// The estimate is in rows that another process may have to emit again.
    #[test]
    fn the_hash_stays_what_it_is() {
        assert_eq!(estimate([&sketch(0..10_000)]), 10_032);
        assert_eq!(Vec::from(sketch([1])), [2, 1, 7, 12, 3, 8, 1, 8, 221, 107, 227, 6]);
    }
}
