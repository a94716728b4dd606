//! The versions of the state: which this program reads, and in which of them it writes.
//!
//! Each value of the changelog begins with one. A program writes the version that it finds until it is told to raise it
//! (`CommunitySettings::state_version`), so that an older program, which does not know the newer one, can take the state back.

use record::EpochMs;

use super::aliases::previous_needed_ms;
use super::changelog::read_meta;

/// The oldest version that this program reads and writes.
pub const STATE_VERSION_MIN: u8 = 5;
/// The newest one: 6 has links between the pseudonyms of two secrets (`aliases.rs`).
pub const STATE_VERSION_MAX: u8 = 6;

/// The first version with links between pseudonyms.
pub(super) const WITH_ALIASES: u8 = 6;

/// What to do where the state cannot be read in the version that it has.
const REBUILD: &str = "`sinyal reprocess` rebuilds everything from the raw topics";

/// The version that a value of the changelog was written in.
///
/// # Errors
/// If this program does not read that version, with what to do.
pub(super) fn of(value: &[u8]) -> Result<u8, String> {
    let reads = format!("this program reads {STATE_VERSION_MIN} to {STATE_VERSION_MAX}");
    match value.first() {
        Some(&version @ STATE_VERSION_MIN..=STATE_VERSION_MAX) => Ok(version),
        Some(&version) if version > STATE_VERSION_MAX => Err(format!(
            "the state is of version {version}; {reads}: run the newer program that raised it; or {REBUILD} in another \
             generation, with this one"
        )),
        Some(&version) => Err(format!("the state is of version {version}; {reads}: {REBUILD}")),
        None => Err("value of no bytes".to_owned()),
    }
}

/// The version of one partition's state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct StateVersion {
    /// The newest that its entries have; `None` before there are any.
    found: Option<u8>,
}

impl StateVersion {
    /// An entry has this version; `wanted` is the one that is configured.
    ///
    /// # Errors
    /// If a state is wanted that is older than what is there.
    pub(super) fn found(&mut self, version: u8, wanted: Option<u8>) -> Result<(), String> {
        if let Some(wanted) = wanted.filter(|&wanted| wanted < version) {
            return Err(format!(
                "the state is of version {version} and state.version is {wanted}: a state is raised and never lowered; set \
                 state.version to 0, which keeps it, or to {version}; to go back, {REBUILD} in another generation, with \
                 state.version = {wanted}"
            ));
        }
        self.found = self.found.max(Some(version));
        Ok(())
    }

    /// The version to write: the one that is configured, else what was found, and the newest for a state that begins.
    pub(super) fn to_write(self, wanted: Option<u8>) -> u8 {
        wanted.or(self.found).unwrap_or(STATE_VERSION_MAX)
    }
}

/// What the newest entry `meta` of a partition's changelog tells to who only looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateNote {
    /// The version that the state is written in.
    pub version: u8,
    /// Its watermark; `None` before the first event.
    pub watermark: Option<EpochMs>,
    /// Since when, in event time, authors come with the previous pseudonym beside the new one; `None` if the last did not.
    pub linked_since: Option<EpochMs>,
}

impl StateNote {
    /// For how long the previous secret of the pseudonyms is needed, in milliseconds of event time: 0 when it can go, `None` where authors
    /// do not come with its pseudonyms. `horizon_ms` is the longest window and its lateness.
    pub fn previous_needed_ms(&self, horizon_ms: i64) -> Option<i64> {
        previous_needed_ms(self.linked_since, self.watermark, horizon_ms)
    }
}

/// Reads an entry of the changelog, of which only `meta` tells of the state as a whole: `None` for any other.
///
/// # Errors
/// If this program does not read the version, or what is there.
pub fn state_note(key: &[u8], value: &[u8]) -> Result<Option<StateNote>, String> {
    if key != b"meta" {
        return Ok(None);
    }
    let (version, meta) = read_meta(value)?;
    Ok(Some(StateNote { version, watermark: meta.watermark, linked_since: meta.linked_since }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_keeps_its_version_until_it_is_raised() {
        let check = |found: &[u8], wanted: Option<u8>, expected: u8| {
            let mut version = StateVersion::default();
            found.iter().for_each(|&found| version.found(found, wanted).unwrap());
            assert_eq!(version.to_write(wanted), expected, "{found:?} {wanted:?}");
        };
        check(&[], None, STATE_VERSION_MAX);
        check(&[], Some(5), 5);
        check(&[5, 5], None, 5);
        check(&[5, 5], Some(6), 6);
        check(&[6, 5], None, 6);
        let lowered = StateVersion::default().found(6, Some(5)).unwrap_err();
        assert!(lowered.starts_with("the state is of version 6 and state.version is 5: "), "{lowered}");
    }

    #[test]
    fn versions_that_are_not_read_are_named_with_what_to_do() {
        assert_eq!((of(&[5, 1]), of(&[6])), (Ok(5), Ok(6)));
        let newer = of(&[7, 1]).unwrap_err();
        assert!(
            newer.starts_with("the state is of version 7; this program reads 5 to 6: run the newer program"),
            "{newer}"
        );
        let older = of(&[4]).unwrap_err();
        assert!(
            older.starts_with("the state is of version 4; this program reads 5 to 6: `sinyal reprocess`"),
            "{older}"
        );
        assert!(of(&[]).is_err());
    }
}
