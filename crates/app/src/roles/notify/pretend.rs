//! For tests only: how the pipeline stands is read from the file that `SINYAL_TEST_STANDING` names, and not observed.

use record::EpochMs;
use serde::Deserialize;

use super::Observed;
use super::standing::{Blindness, Standing};

#[derive(Deserialize)]
struct Pretended {
    behind: Option<String>,
    /// Kinds, and since when.
    blind: Vec<(String, EpochMs)>,
}

/// Takes over what the file says; while it cannot be read nobody has looked.
pub(super) fn look(observed: &Observed) {
    let Ok(path) = std::env::var("SINYAL_TEST_STANDING") else { return };
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let pretended: Option<Pretended> = serde_json::from_str(&text).ok();
    let blindness = |(name, since): (String, EpochMs)| {
        let kind = rules::blindness::Kind::ALL.into_iter().find(|kind| kind.as_str() == name)?;
        Some(Blindness { kind, since, detail_en: format!("blind: {name}"), detail_id: format!("buta: {name}") })
    };
    let standing = pretended.map(|Pretended { behind, blind }| Standing {
        lags: behind.is_some(),
        behind,
        settled: true,
        blind: blind.into_iter().filter_map(blindness).collect(),
    });
    if let Ok(mut observed) = observed.lock() {
        *observed = standing;
    }
}
