//! Canaries that came through: told of on a topic of their own, and nowhere else.

use std::fmt::Write;

use record::stage::{Outputs, Stop};
use record::{Canary, Progress, encode_part};

use super::{CommunityStage, Shared};
use crate::encode;

/// Tells of the canaries of a marker that this partition of the classified topic had.
pub(super) fn tell_canaries(
    progress: &Progress<'_>,
    partition: i32,
    shared: &mut Shared,
    outputs: &mut Outputs,
) -> Result<(), Stop> {
    let now = shared.now;
    let Some(encoder) = shared.encoders.canary.as_mut().filter(|_| shared.has_canary_topic) else { return Ok(()) };
    let mut key = String::new();
    for canary in &progress.canaries {
        key.clear();
        encode_part(&canary.topic, &mut key);
        // Writing into memory cannot fail.
        let _ = write!(key, "|{}|{partition}", canary.partition);
        let told = Canary {
            id: canary.id.as_ref().into(),
            sent_at: canary.sent_at,
            raw_topic: Some(canary.topic.as_ref().into()),
            raw_partition: Some(canary.partition),
            raw_offset: Some(canary.offset),
            classified_partition: Some(partition),
            classified_at: Some(progress.at),
            counted_at: Some(now),
        };
        encode(encoder, &told, CommunityStage::CANARIES, &key, outputs)?;
    }
    Ok(())
}
