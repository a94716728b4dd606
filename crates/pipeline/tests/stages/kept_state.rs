//! A state that an older program wrote: read, gone on with, written in its own version, raised.

use std::collections::BTreeMap;

use pipeline::{STATE_VERSION_MAX, STATE_VERSION_MIN};
use record::stage::{Input, InputPartition, Outputs, Stage, Stop};
use window::WindowSet;

use crate::kept_input::{Batch, IDS_MAX, KeptState};
use crate::world::{CommunitySide, Kept, community_stage};

/// As the program of commit 2299fd8 wrote it: `kept_input.rs` says how.
fn kept() -> KeptState {
    postcard::from_bytes(include_bytes!("../fixtures/state-v5.bin")).unwrap()
}

fn side(state_version: Option<u8>) -> CommunitySide {
    CommunitySide::with_state_version(WindowSet::standard(), IDS_MAX, 3, state_version)
}

/// Reads and commits, batch by batch.
fn feed(side: &mut CommunitySide, batches: &[Batch]) {
    for batch in batches {
        for (input, partition, key, value) in &batch.records {
            let at = InputPartition { input: *input, partition: *partition };
            let kept = Kept { partition: None, key: key.clone(), value: value.clone(), headers: BTreeMap::new() };
            side.log.get_mut(&at).unwrap().push(kept);
        }
        side.now = batch.now;
        side.read();
        side.commit();
    }
}

/// One that goes on from the kept state, as after a roll.
fn resumed(kept: &KeptState, state_version: Option<u8>) -> CommunitySide {
    let mut side = side(state_version);
    let mut positions: BTreeMap<InputPartition, i64> = BTreeMap::new();
    for (input, partition, key, value) in kept.before.iter().flat_map(|batch| &batch.records) {
        let at = InputPartition { input: *input, partition: *partition };
        let record = Kept { partition: None, key: key.clone(), value: value.clone(), headers: BTreeMap::new() };
        side.log.get_mut(&at).unwrap().push(record);
        *positions.entry(at).or_default() += 1;
    }
    side.now = kept.before.last().unwrap().now;
    side.resume(&kept.changelog, &positions);
    side
}

fn versions(side: &CommunitySide) -> Vec<u8> {
    side.stage.status().map(|status| status.state_version).collect()
}

fn changelog(side: &CommunitySide) -> BTreeMap<(i32, Vec<u8>), Vec<u8>> {
    side.left.changelog.iter().map(|(place, (_, value))| (place.clone(), value.clone())).collect()
}

#[test]
fn the_same_input_makes_the_same_bytes_of_version_5() {
    let kept = kept();
    let mut side = side(Some(5));
    feed(&mut side, &kept.before);
    let expected: BTreeMap<_, _> =
        kept.changelog.iter().map(|(partition, key, value)| ((*partition, key.clone()), value.clone())).collect();
    let found = changelog(&side);
    let named = |key: &(i32, Vec<u8>)| format!("{} {}", key.0, String::from_utf8_lossy(&key.1));
    assert_eq!(found.keys().map(named).collect::<Vec<_>>(), expected.keys().map(named).collect::<Vec<_>>());
    for (key, value) in &expected {
        if key.1.starts_with(b"alert|") && key.1.ends_with(b"|live") {
            // Its figures are others: that program held against the first day what came before there was anything usual.
            assert_eq!((found[key].len(), found[key][0]), (value.len(), value[0]), "{}", named(key));
            continue;
        }
        assert_eq!(&found[key], value, "{}", named(key));
    }
}

#[test]
fn a_state_of_version_5_is_read_and_gone_on_with_as_if_nothing_had_happened() {
    let kept = kept();
    let mut whole = side(Some(5));
    feed(&mut whole, &kept.before);
    let before = whole.left.clone();
    feed(&mut whole, &kept.after);
    for (state_version, written) in [(None, 5), (Some(5), 5), (Some(6), 6)] {
        let mut side = resumed(&kept, state_version);
        assert_eq!(versions(&side), [written; 3]);
        side.left.rows = before.rows.clone();
        side.left.queue_states = before.queue_states.clone();
        side.left.alerts = before.alerts.clone();
        feed(&mut side, &kept.after);
        assert!(side.left.rows.len() > before.rows.len() + 300, "{} rows", side.left.rows.len());
        assert!(side.left.rows == whole.left.rows, "rows differ with state.version {state_version:?}");
        assert_eq!(side.left.queue_states, whole.left.queue_states);
        assert_eq!(side.left.alerts, whole.left.alerts);
        // What was written since has the version that is asked for; what was not, the one that it had.
        let found = changelog(&side);
        for partition in 0..3 {
            assert_eq!(found[&(partition, b"meta".to_vec())][0], written);
        }
        assert!(found.values().all(|value| value[0] == 5 || value[0] == written));
        // And it is read again.
        side.crash();
        assert_eq!(versions(&side), [written; 3]);
    }
}

#[test]
fn a_state_that_begins_has_the_newest_version_unless_another_is_set() {
    let kept = kept();
    for (state_version, written) in [(None, STATE_VERSION_MAX), (Some(STATE_VERSION_MIN), STATE_VERSION_MIN)] {
        let mut side = side(state_version);
        feed(&mut side, &kept.before[..3]);
        assert_eq!(versions(&side), [written; 3]);
        assert!(changelog(&side).values().all(|value| value[0] == written));
    }
}

#[test]
fn a_raised_state_is_not_lowered_and_an_unknown_one_not_read() {
    let stopped = |state_version: Option<u8>, key: &[u8], value: &[u8]| {
        let mut stage = community_stage(WindowSet::standard(), IDS_MAX, state_version);
        match stage.step(Input::Restore { partition: 1, key, value: Some(value) }, &mut Outputs::default()) {
            Err(Stop::Changelog { partition: 1, detail }) => detail,
            other => panic!("{other:?}"),
        }
    };
    let detail = stopped(Some(5), b"meta", &[6, 0]);
    assert!(detail.starts_with("entry meta: the state is of version 6 and state.version is 5: "), "{detail}");
    assert!(detail.contains("set state.version to 0, which keeps it, or to 6"), "{detail}");
    let detail = stopped(None, b"meta", &[7, 0]);
    assert!(detail.starts_with("entry meta: the state is of version 7; this program reads 5 to 6: "), "{detail}");
    // A kind of entry that only a newer program has says so too, and nothing of whom it is about.
    let detail = stopped(None, b"later|warga|0123456789abcdef", &[7, 0]);
    assert!(detail.starts_with("the state is of version 7; "), "{detail}");
    let detail = stopped(None, b"later|warga|0123456789abcdef", &[5, 0]);
    assert_eq!(detail, "entry of an unknown kind: later");
    let detail = stopped(None, b"member|warga|0123456789abcdef0123456789abcdef", &[4, 0]);
    assert!(detail.starts_with("entry member: the state is of version 4; "), "{detail}");
}
