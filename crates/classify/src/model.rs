//! The model file: read with checks, written the same for the same weights.

use std::sync::{Arc, LazyLock};

use record::{Label, Language};

use crate::features::BUCKETS;

/// Weights per row: the labels, then the languages that are told apart.
pub(crate) const HEADS: usize = Label::ALL.len() + LANGUAGES.len();
/// The languages that are told apart, in the order of their weights.
pub(crate) const LANGUAGES: [Language; 4] =
    [Language::Indonesian, Language::English, Language::Javanese, Language::Sundanese];
/// A row in memory: the weights and what fills it up to a size that vectors like.
pub(crate) const ROW: usize = 16;

const MAGIC: &[u8; 8] = b"sinyal\0f";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 8 + 4 + 4 + (HEADS * 2 + 2) * 4 + 8;

/// A fast-tier model: a row of 8-bit weights per bucket, a scale and a bias per head, temperature and threshold.
#[derive(Clone)]
pub struct Model {
    pub(crate) rows: Vec<[i8; ROW]>,
    pub(crate) scales: [f32; HEADS],
    pub(crate) biases: [f32; HEADS],
    /// What scores are divided by before they become probabilities (Guo et al., *On Calibration of Modern Neural
    /// Networks*, 2017).
    pub(crate) temperature: f32,
    /// Below this confidence the classifier abstains.
    pub(crate) threshold: f32,
    version: String,
}

/// Bytes that are no model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Not a model file, or of another format.
    #[error("not a fast-tier model of format {FORMAT}")]
    Format,
    /// Not as long as a model file is.
    #[error("{found} bytes; a model of format {FORMAT} has {expected}")]
    Size {
        /// Bytes given.
        found: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// The bytes are not what was written.
    #[error("checksum does not match: the file is damaged")]
    Checksum,
    /// A number that no training gives.
    #[error("a scale, bias, temperature or threshold is out of range")]
    Range,
}

static EMBEDDED: LazyLock<Arc<Model>> = LazyLock::new(|| {
    // The file is compiled in and read by the tests: a failure here cannot reach a user.
    let model = Model::from_bytes(include_bytes!("../../../models/fast.bin"));
    Arc::new(model.unwrap_or_else(|error| panic!("compiled-in model: {error}")))
});

impl Model {
    /// The model that is compiled in.
    pub fn embedded() -> Arc<Model> {
        Arc::clone(&EMBEDDED)
    }

    pub(crate) fn new(
        rows: Vec<[i8; ROW]>,
        scales: [f32; HEADS],
        biases: [f32; HEADS],
        temperature: f32,
        threshold: f32,
    ) -> Model {
        let mut model = Model { rows, scales, biases, temperature, threshold, version: String::new() };
        model.version = model.name(&model.to_bytes());
        model
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Model, ModelError> {
        let expected = HEADER_BYTES + BUCKETS * HEADS;
        if bytes.get(..8) != Some(MAGIC) || bytes.get(8..12) != Some(&FORMAT.to_le_bytes()) {
            return Err(ModelError::Format);
        }
        if bytes.len() != expected || bytes.get(12..16) != Some(&(BUCKETS as u32).to_le_bytes()) {
            return Err(ModelError::Size { found: bytes.len(), expected });
        }
        let (checked, checksum) = bytes.split_at(bytes.len() - 8);
        if checksum != digest(checked).to_le_bytes() {
            return Err(ModelError::Checksum);
        }
        let mut numbers = checked[16..HEADER_BYTES - 8]
            .chunks_exact(4)
            .map(|chunk| f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]));
        let mut next = || numbers.next().filter(|number| number.is_finite()).ok_or(ModelError::Range);
        let mut scales = [0.0; HEADS];
        let mut biases = [0.0; HEADS];
        for scale in &mut scales {
            *scale = next()?;
        }
        for bias in &mut biases {
            *bias = next()?;
        }
        let (temperature, threshold) = (next()?, next()?);
        if !(0.01..=100.0).contains(&temperature) || !(0.0..=1.0).contains(&threshold) {
            return Err(ModelError::Range);
        }
        let rows = checked[HEADER_BYTES - 8..].chunks_exact(HEADS).map(|weights| {
            let mut row = [0; ROW];
            for (weight, &byte) in row.iter_mut().zip(weights) {
                *weight = byte.cast_signed();
            }
            row
        });
        let mut model = Model { rows: rows.collect(), scales, biases, temperature, threshold, version: String::new() };
        model.version = model.name(bytes);
        Ok(model)
    }

    /// The model file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + BUCKETS * HEADS);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(BUCKETS as u32).to_le_bytes());
        let numbers = self.scales.iter().chain(&self.biases).chain([&self.temperature, &self.threshold]);
        for number in numbers {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for row in &self.rows {
            bytes.extend(row[..HEADS].iter().map(|weight| weight.cast_unsigned()));
        }
        let checksum = digest(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Its name in records: `fast-1+` and the first digits of its checksum.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The confidence below which it abstains unless told otherwise.
    pub fn threshold(&self) -> f32 {
        self.threshold
    }

    fn name(&self, bytes: &[u8]) -> String {
        format!("fast-{FORMAT}+{:08x}", digest(&bytes[..bytes.len() - 8]) >> 32)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("version", &self.version).finish_non_exhaustive()
    }
}

/// FNV-1a, for damage and not for malice: whoever can change the file can change the program.
fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_and_damage_is_seen() {
        let model = Model::embedded();
        let bytes = model.to_bytes();
        let again = Model::from_bytes(&bytes).unwrap();
        assert_eq!(again.version(), model.version());
        assert_eq!(again.to_bytes(), bytes);
        let mut damaged = bytes.clone();
        damaged[bytes.len() / 2] ^= 1;
        assert_eq!(Model::from_bytes(&damaged).err(), Some(ModelError::Checksum));
        assert_eq!(Model::from_bytes(&bytes[1..]).err(), Some(ModelError::Format));
        assert!(matches!(Model::from_bytes(&bytes[..bytes.len() - 1]), Err(ModelError::Size { .. })));
        assert_eq!(Model::from_bytes(&[]).err(), Some(ModelError::Format));
    }
}
