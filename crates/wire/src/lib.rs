//! Bytes to the domain and back: Avro in Confluent framing or single-object encoding, and JSON on the raw topics.
//!
//! Sizes, counts and depth are checked before anything is decoded; what comes in is outside data and never panics. No
//! I/O happens here: where a schema of the registry is needed, [`DecodeError::NeedsSchema`] says so and the caller brings
//! it.
#![forbid(unsafe_code)]

mod decode;
mod encode;
mod frame;
mod generic;
mod raw;
mod raw_record;
mod schema;

pub use decode::{
    ActionDecoder, AlertDecoder, CanaryDecoder, ClassifiedDecoder, CommunityDecoder, CorrectionDecoder, Decodable,
    DecodeError, Decoder, MetricsDecoder, OfAction, OfAlert, OfCanary, OfClassified, OfCommunity, OfCorrection,
    OfMetrics, OfQueueItem, QueueItemDecoder, Rejection,
};
pub use encode::{EncodeError, Encoder};
pub use frame::{Frame, Framing};
pub use generic::{GenericError, GenericSchema};
pub use raw::{RawDecoder, RawEncoder, RawFormat};
pub use schema::{SchemaName, schema_by_fingerprint};
