//! Optional strings that borrow from the input where it allows it.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};

/// serde borrows a `Cow<str>` field, but not one within an `Option`: this does, and saves an allocation per field.
pub(crate) fn option<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Cow<'a, str>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

    Ok(Option::<Borrowed<'a>>::deserialize(deserializer)?.map(|borrowed| borrowed.0))
}
