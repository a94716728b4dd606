//! Progress markers, into each partition of the classified topic.

use record::stage::{Outputs, Stop};
use record::{ClassifiedRecord, EpochMs, Progress, SourceProgress};
use serde::Serialize;

use super::{ClassifyEncoders, ClassifyStage};

/// A marker by the released schema before, which knows no canaries.
#[derive(Serialize)]
enum Before<'a> {
    Progress(ProgressBefore<'a>),
}

#[derive(Serialize)]
struct ProgressBefore<'a> {
    at: EpochMs,
    sources: &'a [SourceProgress<'a>],
}

/// Writes a marker into each partition: by the schema before, where that is asked for and has all that the marker says.
pub(super) fn write(
    marker: Progress<'_>,
    partitions: i32,
    encoders: &mut ClassifyEncoders,
    outputs: &mut Outputs,
) -> Result<(), Stop> {
    let mut bytes = Vec::new();
    let encoded = match &mut encoders.classified_before {
        Some(before) if marker.canaries.is_empty() => {
            let marker = ProgressBefore { at: marker.at, sources: &marker.sources };
            before.encode(&Before::Progress(marker), &mut bytes)
        }
        _ => encoders.classified.encode(&ClassifiedRecord::Progress(marker), &mut bytes),
    };
    encoded.map_err(|error| Stop::Invariant(error.to_string()))?;
    for partition in 0..partitions {
        outputs.push(ClassifyStage::CLASSIFIED).partition(partition).value(&bytes);
    }
    Ok(())
}
