//! The few bytes before an Avro datum that say which schema wrote it.

/// How Avro records are framed on every topic of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Avro single-object encoding: `C3 01` and the CRC-64-AVRO fingerprint in little-endian order.
    SingleObject,
    /// Confluent's: a zero byte and the registry's schema id in big-endian order.
    Confluent,
}

/// What the first bytes of a value say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// Single-object encoding with this fingerprint.
    SingleObject(u64),
    /// Confluent framing with this schema id.
    Confluent(u32),
    /// Neither.
    None,
}

pub(crate) const SINGLE_OBJECT_MARKER: [u8; 2] = [0xc3, 0x01];

impl Frame {
    /// Reads the frame and gives what follows it.
    ///
    /// ```
    /// use wire::Frame;
    /// assert_eq!(Frame::read(&[0, 0, 0, 0, 7, 42]), (Frame::Confluent(7), &[42][..]));
    /// assert_eq!(Frame::read(b"{}"), (Frame::None, &b"{}"[..]));
    /// ```
    pub fn read(value: &[u8]) -> (Frame, &[u8]) {
        match value {
            [0xc3, 0x01, rest @ ..] => match rest.split_first_chunk::<8>() {
                Some((fingerprint, datum)) => (Frame::SingleObject(u64::from_le_bytes(*fingerprint)), datum),
                None => (Frame::None, value),
            },
            [0, rest @ ..] => match rest.split_first_chunk::<4>() {
                Some((id, datum)) => (Frame::Confluent(u32::from_be_bytes(*id)), datum),
                None => (Frame::None, value),
            },
            _ => (Frame::None, value),
        }
    }
}
