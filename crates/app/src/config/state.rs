//! The section `[state]`: the version that the community stage's state is written in.

use pipeline::{STATE_VERSION_MAX, STATE_VERSION_MIN};

use super::reader::Reader;

/// The version to raise the state to; `None` keeps the one that it has.
pub(super) fn state_version(reader: &mut Reader<'_>) -> Option<u8> {
    let version: i64 = reader.number("state.version", 0, i64::from(u8::MAX));
    let known = i64::from(STATE_VERSION_MIN)..=i64::from(STATE_VERSION_MAX);
    if version != 0 && !known.contains(&version) {
        let right = format!(
            "0, which keeps the version that the state has, or {STATE_VERSION_MIN} to {STATE_VERSION_MAX}, is right for this \
             program"
        );
        reader.wrong("state.version", &version.to_string(), &right);
        return None;
    }
    u8::try_from(version).ok().filter(|&version| version != 0)
}
