//! `classify.redact`: what is replaced in texts.

use pipeline::Personal;

use super::reader::Reader;

const KEY: &str = "classify.redact";

/// The kinds of personal data; each once, in whatever order.
pub(super) fn redact(reader: &mut Reader<'_>) -> Vec<Personal> {
    let mut kinds = Vec::new();
    for (number, name) in reader.texts(KEY, Personal::ALL.len()).into_iter().enumerate() {
        let known = Personal::ALL.into_iter().find(|kind| kind.as_str() == name);
        let key = format!("{KEY}[{number}]");
        match known {
            None => {
                let names: Vec<&str> = Personal::ALL.iter().map(|kind| kind.as_str()).collect();
                reader.wrong(&key, &format!("{name:?}"), &format!("one of {} is right", names.join(", ")));
            }
            Some(kind) if kinds.contains(&kind) => {
                reader.wrong(&key, &format!("{name:?}, which is there already"), "each once is right");
            }
            Some(kind) => kinds.push(kind),
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    use super::*;

    fn load(redact: &str) -> Result<Vec<Personal>, Vec<String>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), format!("[classify]\nredact = {redact}\n")).unwrap();
        Config::load(Some(file.path()), []).map(|config| config.classify.redact).map_err(|errors| errors.0)
    }

    #[test]
    fn everything_is_replaced_unless_less_is_asked_for() {
        assert_eq!(Config::load(None, []).unwrap().classify.redact, Personal::ALL);
        assert_eq!(load("[\"email\", \"phone\"]"), Ok(vec![Personal::Email, Personal::Phone]));
        assert_eq!(load("[]"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_known_is_told_with_what_would_be_right() {
        let right = "one of phone, email, national_id, card, account is right";
        assert_eq!(load("[\"phone\", \"nik\"]").unwrap_err(), [format!("classify.redact[1] is \"nik\"; {right}")]);
        assert_eq!(
            load("[\"phone\", \"phone\"]").unwrap_err(),
            ["classify.redact[1] is \"phone\", which is there already; each once is right"]
        );
        assert_eq!(load("true").unwrap_err(), ["classify.redact is true; a list of strings is right"]);
    }
}
