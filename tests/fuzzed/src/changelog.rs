//! The community stage's changelog with anything in it: it is refused, or what it holds is gone on with.
//!
//! An input is a list of entries: a byte with the key's length, the key, two bytes with the value's (`FFFF`: a tombstone; the lower one
//! first), the value.

use pipeline::{CommunityStage, state_note};
use record::EpochMs;
use record::stage::{Input, InputPartition, Outputs, Stage, Step, Stop};

use crate::stages::{self, NOW, PARTITIONS, RAW_PARTITIONS, RAW_TOPICS, check_size};

const TOMBSTONE: u16 = u16::MAX;

/// What can be restored is gone on with, committed, and restored again.
pub fn changelog(bytes: &[u8]) {
    let mut entries = Vec::new();
    let mut rest = bytes;
    while let Some((key, value)) = next_entry(&mut rest) {
        entries.push((key, value));
    }
    let Some(mut stage) = restored(entries.iter().map(|&(key, value)| (key, value)), NOW) else { return };
    let mut written = Vec::new();
    for now in [NOW, NOW + 60_000, NOW + 7_200_000] {
        step(&mut stage, Input::Clock(now), &mut Vec::new()).expect("the clock stops nothing");
        for turn in 0.. {
            assert!(turn < 10_000, "a flush has no end");
            if step(&mut stage, Input::Flush, &mut written).expect("a flush stops nothing") == Step::Done {
                break;
            }
        }
    }
    let before = entries.iter().map(|&(key, value)| (key, value));
    let after = written.iter().map(|(key, value): &(Vec<u8>, Option<Vec<u8>>)| (&key[..], value.as_deref()));
    assert!(restored(before.chain(after), NOW).is_some(), "what it wrote cannot be read back");
}

/// A stage whose partition 0 is restored from these entries; `None` if it refuses them.
fn restored<'a>(entries: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>, now: EpochMs) -> Option<CommunityStage> {
    let mut stage = stages::community_stage(stages::windows(true));
    let outputs = [None, None, None, Some(PARTITIONS), None, Some(1)];
    let inputs = [PARTITIONS; CommunityStage::INPUTS];
    let sources = RAW_TOPICS.map(|(topic, _)| (topic.to_owned(), RAW_PARTITIONS));
    let places = 0..CommunityStage::INPUTS;
    let owned: Vec<_> = places.map(|input| (InputPartition { input, partition: 0 }, 0)).collect();
    let set_up = [
        Input::Clock(now),
        Input::Topology { inputs: &inputs, outputs: &outputs },
        Input::Sources(&sources),
        Input::Assigned(&owned),
    ];
    for input in set_up {
        step(&mut stage, input, &mut Vec::new()).expect("the start stops nothing");
    }
    for (key, value) in entries {
        if let Some(value) = value {
            // As `status` and `check` read it.
            let _ = state_note(key, value);
        }
        match step(&mut stage, Input::Restore { partition: 0, key, value }, &mut Vec::new()) {
            Ok(_) => {}
            Err(Stop::Changelog { detail, .. } | Stop::Partitions(detail)) => {
                assert!(!detail.is_empty() && detail.len() < 4_000, "a detail of {} bytes", detail.len());
                return None;
            }
            Err(stop @ Stop::Invariant(_)) => panic!("{stop}"),
        }
    }
    step(&mut stage, Input::Restored { partition: 0 }, &mut Vec::new()).expect("an end stops nothing");
    Some(stage)
}

fn step(
    stage: &mut CommunityStage,
    input: Input<'_>,
    written: &mut Vec<(Vec<u8>, Option<Vec<u8>>)>,
) -> Result<Step, Stop> {
    let mut outputs = Outputs::default();
    let step = stage.step(input, &mut outputs)?;
    for record in outputs.records() {
        check_size(&record, CommunityStage::DEAD_LETTERS);
        if record.output == CommunityStage::CHANGELOG {
            written.push((record.key.map(<[u8]>::to_vec).unwrap_or_default(), record.value.map(<[u8]>::to_vec)));
        }
    }
    Ok(step)
}

fn next_entry<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let (&key_bytes, after) = rest.split_first()?;
    let (key, after) = after.split_at_checked(usize::from(key_bytes))?;
    let (&value_bytes, after) = after.split_first_chunk::<2>()?;
    let value_bytes = u16::from_le_bytes(value_bytes);
    if value_bytes == TOMBSTONE {
        *rest = after;
        return Some((key, None));
    }
    // The last value may be cut: so a shorter input means something too.
    let (value, after) = after.split_at(usize::from(value_bytes).min(after.len()));
    *rest = after;
    Some((key, Some(value)))
}

/// An entry as [`changelog`] reads it.
pub(crate) fn write_entry(key: &[u8], value: Option<&[u8]>, bytes: &mut Vec<u8>) {
    let (Ok(key_bytes), Ok(value_bytes)) = (u8::try_from(key.len()), u16::try_from(value.map_or(0, <[u8]>::len)))
    else {
        return;
    };
    bytes.push(key_bytes);
    bytes.extend_from_slice(key);
    bytes.extend_from_slice(&value.map_or(TOMBSTONE, |_| value_bytes).to_le_bytes());
    bytes.extend_from_slice(value.unwrap_or_default());
}
