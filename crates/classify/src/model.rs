//! The model file: read with checks, written the same for the same weights.

use std::sync::{Arc, LazyLock};

use crate::features::BUCKETS;
use crate::network::{LABELS, Network, WIDTH};

const MAGIC: &[u8; 8] = b"sinyal\0f";
const FORMAT: u32 = 2;
/// Magic, format, buckets, and a checksum at the end.
const FRAME_BYTES: usize = 8 + 4 + 4 + 8;
/// Scales, temperature, thresholds.
const SETTINGS: usize = WIDTH + 1 + LABELS;

/// A fast-tier model: a row of 8-bit numbers per bucket with a scale for each column, a small network, the temperature and
/// the thresholds.
#[derive(Clone)]
pub struct Model {
    pub(crate) rows: Vec<[i8; WIDTH]>,
    pub(crate) scales: [f32; WIDTH],
    pub(crate) network: Network,
    /// What scores are divided by before they become probabilities (Guo et al., *On Calibration of Modern Neural
    /// Networks*, 2017).
    pub(crate) temperature: f32,
    /// By label: below this confidence the classifier abstains.
    pub(crate) thresholds: [f32; LABELS],
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
    #[error("a scale, weight, temperature or threshold is out of range")]
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
        rows: Vec<[i8; WIDTH]>,
        scales: [f32; WIDTH],
        network: Network,
        temperature: f32,
        thresholds: [f32; LABELS],
    ) -> Model {
        let mut model = Model { rows, scales, network, temperature, thresholds, version: String::new() };
        model.version = name(&model.to_bytes());
        model
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Model, ModelError> {
        let mut network = Network::zero();
        let numbers = SETTINGS + network.numbers_mut().count();
        let expected = FRAME_BYTES + numbers * 4 + BUCKETS * WIDTH;
        if bytes.get(..8) != Some(MAGIC) || bytes.get(8..12) != Some(&FORMAT.to_le_bytes()) {
            return Err(ModelError::Format);
        }
        if bytes.len() != expected || bytes.get(12..16) != Some(&(BUCKETS as u32).to_le_bytes()) {
            return Err(ModelError::Size { found: bytes.len(), expected });
        }
        let (checked, checksum) = bytes.split_at(expected - 8);
        if checksum != digest(checked).to_le_bytes() {
            return Err(ModelError::Checksum);
        }
        let (settings, rows) = checked[16..].split_at(numbers * 4);
        let mut settings =
            settings.chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
        let mut next = || settings.next().filter(|number| number.is_finite()).ok_or(ModelError::Range);
        let mut scales = [0.0; WIDTH];
        let mut thresholds = [0.0; LABELS];
        for scale in &mut scales {
            *scale = next()?;
        }
        let temperature = next()?;
        for threshold in &mut thresholds {
            *threshold = next()?;
        }
        for number in network.numbers_mut() {
            *number = next()?;
        }
        if !(0.01..=100.0).contains(&temperature) || !thresholds.iter().all(|share| (0.0..=1.0).contains(share)) {
            return Err(ModelError::Range);
        }
        let rows = rows.chunks_exact(WIDTH).map(|bytes| {
            let mut row = [0; WIDTH];
            for (number, &byte) in row.iter_mut().zip(bytes) {
                *number = byte.cast_signed();
            }
            row
        });
        Ok(Model { rows: rows.collect(), scales, network, temperature, thresholds, version: name(bytes) })
    }

    /// The model file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FRAME_BYTES + BUCKETS * WIDTH + 32 * 1024);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&(BUCKETS as u32).to_le_bytes());
        let mut network = self.network.clone();
        let numbers = network.numbers_mut().map(|number| &*number);
        for number in self.scales.iter().chain([&self.temperature]).chain(&self.thresholds).chain(numbers) {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for row in &self.rows {
            bytes.extend(row.iter().map(|number| number.cast_unsigned()));
        }
        let checksum = digest(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Its name in records: `fast-2+` and the first digits of its checksum.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// By label, the confidence below which it abstains unless told otherwise.
    pub fn thresholds(&self) -> [f32; LABELS] {
        self.thresholds
    }

    pub(crate) fn with_calibration(self, temperature: f32, thresholds: [f32; LABELS]) -> Model {
        Model::new(self.rows, self.scales, self.network, temperature, thresholds)
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model").field("version", &self.version).finish_non_exhaustive()
    }
}

fn name(bytes: &[u8]) -> String {
    format!("fast-{FORMAT}+{:08x}", digest(&bytes[..bytes.len() - 8]) >> 32)
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
