//! What a state of version 5 was made of, and how it was written: by this file in the tests of the program that wrote version 5.
//!
//! `fixtures/state-v5.bin` was made at commit 2299fd8, from the root of this repository, by
//!
//! ```text
//! git worktree add ../before 2299fd8
//! cp crates/pipeline/tests/stages/kept_input.rs ../before/crates/pipeline/tests/stages/
//! (cd ../before && echo 'mod kept_input;' >> crates/pipeline/tests/stages/main.rs &&
//!     cargo test -p pipeline --test stages kept_input -- --ignored)
//! mkdir -p crates/pipeline/tests/fixtures
//! cp ../before/crates/pipeline/tests/fixtures/state-v5.bin crates/pipeline/tests/fixtures/
//! ```
//!
//! The records that the stage read are in it too: so it stays what it is when another model judges otherwise.

use std::collections::BTreeMap;

use record::stage::InputPartition;
use record::{Action, Author, Correction, EpochMs, Interaction, Kind, Label, Role};
use serde::{Deserialize, Serialize};
use window::WindowSet;

use crate::community::{TEXTS, Whole};
use crate::world::{MIXED, NOW, post};

/// Identities that a partition may know: so few that some leave, and their members go into sketches.
pub(crate) const IDS_MAX: usize = 40;

/// A record: the input, the partition, the key and the value.
pub(crate) type Record = (usize, i32, Option<Vec<u8>>, Option<Vec<u8>>);

/// What is read between two commits, and when.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Batch {
    pub(crate) now: EpochMs,
    pub(crate) records: Vec<Record>,
}

/// The state after `before`, as compaction leaves it, each partition in the order in which it was written.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptState {
    pub(crate) before: Vec<Batch>,
    pub(crate) changelog: Vec<(i32, Vec<u8>, Vec<u8>)>,
    pub(crate) after: Vec<Batch>,
}

/// A day of three communities, in steps of ten minutes.
#[test]
#[ignore = "writes the fixture: see the top of this file"]
fn keeps_a_state() {
    let mut whole = Whole::new(WindowSet::standard(), IDS_MAX);
    let mut lengths: BTreeMap<InputPartition, usize> = BTreeMap::new();
    let mut batches = Vec::new();
    let mut changelog = Vec::new();
    const STEPS: i64 = 60;
    for step in 0..STEPS {
        let now = NOW + step * 600_000;
        say(&mut whole, step, now);
        whole.settle(now);
        let mut records = Vec::new();
        for (at, log) in &whole.side.log {
            let known = lengths.insert(*at, log.len()).unwrap_or(0);
            for kept in &log[known..] {
                records.push((at.input, at.partition, kept.key.clone(), kept.value.clone()));
            }
        }
        batches.push(Batch { now, records });
        if step == STEPS / 2 {
            let mut entries: Vec<_> = whole.side.left.changelog.clone().into_iter().collect();
            entries.sort_by_key(|(_, (written, _))| *written);
            changelog = entries.into_iter().map(|((partition, key), (_, value))| (partition, key, value)).collect();
        }
    }
    let kinds = ["meta", "ids|", "slice|", "pane|", "member|", "parked|", "item|", "alert|"];
    for kind in kinds {
        assert!(changelog.iter().any(|(_, key, _)| key.starts_with(kind.as_bytes())), "nothing of {kind}");
    }
    let after = batches.split_off(usize::try_from(STEPS / 2 + 1).unwrap());
    let kept = KeptState { before: batches, changelog, after };
    std::fs::create_dir_all("tests/fixtures").unwrap();
    std::fs::write("tests/fixtures/state-v5.bin", postcard::to_stdvec(&kept).unwrap()).unwrap();
}

fn say(whole: &mut Whole, step: i64, now: EpochMs) {
    for number in 0..4_i64 {
        let id = step * 4 + number;
        let interaction = interaction_of(id, now - 30_000 - number * 7_000, now);
        whole.raw((id % 2) as i32, &interaction, now);
    }
    // Something of before: edited, taken back, or late.
    let of_before = step * 4 - 30;
    if of_before >= 0 && step % 3 == 0 {
        let mut again = interaction_of(of_before, now - 4_700_000, now);
        again.edited_at = Some(now - 60_000);
        again.text = TEXTS[(step as usize + 1) % TEXTS.len()].into();
        again.deleted = step % 9 == 0;
        whole.raw((of_before % 2) as i32, &again, now);
    }
    if step % 5 == 2 {
        // Every second one is of an interaction that nobody has seen.
        let id = if step % 2 == 0 { step * 4 - 3 } else { 100_000 + step };
        whole.side.correct(&Correction {
            community_id: community_of(id).into(),
            kind: Kind::Post,
            id: id.to_string().into(),
            label: Some(Label::ALL[step as usize % Label::ALL.len()]),
            queue: None,
            by: "sari".into(),
            at: now - 1_000,
            reason: None,
        });
    }
    if step % 4 == 1 {
        let id = step * 4 - 4;
        let kind = ["claim", "acknowledge"][step as usize / 4 % 2];
        whole.side.act(&Action {
            kind: kind.into(),
            target: record::encode_key(&[&community_of(id), "post", &id.to_string()]).into(),
            by: "budi".into(),
            at: now - 2_000,
            until: (kind == "claim").then_some(now + 600_000),
            reason: None,
        });
    }
}

fn community_of(id: i64) -> String {
    ["warga satu", "warga|dua", "warga-tiga"][(id.rem_euclid(3)) as usize].to_owned()
}

fn interaction_of(id: i64, created_at: EpochMs, observed_at: EpochMs) -> Interaction<'static> {
    let text = if id % 7 == 3 { MIXED } else { TEXTS[id as usize % TEXTS.len()] };
    let mut interaction = post(&id.to_string(), &community_of(id), created_at, text);
    interaction.observed_at = observed_at;
    let author =
        |id: String, role| Some(Author { id: id.into(), handle: None, role, followers: Some(99), verified: None });
    interaction.author = author(format!("u-{}", id % 11), Role::Member);
    if id % 6 == 5 {
        // The brand answers the post before the last of its community.
        interaction.kind = Kind::Comment;
        interaction.author = author("brand".to_owned(), Role::Brand);
        interaction.post_id = Some((id - 6).to_string().into());
        interaction.post_author = author(format!("u-{}", (id - 6).rem_euclid(11)), Role::Member);
    }
    interaction
}
