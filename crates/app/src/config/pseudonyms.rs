//! The section `[pseudonym]`: the secret by which authors become pseudonyms, and the one before while it is rotated.

use pipeline::{CanarySeal, Pseudonym};

use super::validate::Reader;
use super::{Config, Secret};

/// The first state version in which the community stage can link the pseudonyms of two secrets.
pub(crate) const ROTATION_STATE_VERSION: u8 = 6;

/// A secret and its version.
#[derive(Debug, Clone)]
pub(crate) struct PseudonymSecret {
    pub(crate) secret: Secret,
    pub(crate) version: u32,
}

impl PseudonymSecret {
    fn pseudonym(&self) -> Option<Pseudonym> {
        Pseudonym::new(self.secret.bytes(), self.version)
    }
}

/// The secret, which may be none, its version, and the one before.
pub(super) fn pseudonyms(
    reader: &mut Reader<'_>,
    state_version: Option<u8>,
) -> (Option<Secret>, u32, Option<PseudonymSecret>) {
    let secret = long_enough(reader, "pseudonym.secret_file");
    let version: u32 = reader.number("pseudonym.version", 1, 1_000_000);
    let previous = long_enough(reader, "pseudonym.previous_secret_file");
    let previous_version: u32 = reader.number("pseudonym.previous_version", 0, 1_000_000);
    let Some(previous) = previous else {
        if previous_version != 0 && reader.text("pseudonym.previous_secret_file").is_empty() {
            reader.wrong(
                "pseudonym.previous_version",
                &previous_version.to_string(),
                "0 is right where pseudonym.previous_secret_file names no file",
            );
        }
        return (secret, version, None);
    };
    if previous_version == 0 || previous_version == version {
        let right = format!("the version that the previous secret had is right: 1 to 1000000, and not {version}");
        reader.wrong("pseudonym.previous_version", &previous_version.to_string(), &right);
    }
    match &secret {
        None => reader.errors.push(
            "pseudonym.previous_secret_file names a file and pseudonym.secret_file does not; name the new secret there".to_owned(),
        ),
        Some(secret) if *secret == previous => reader.errors.push(
            "pseudonym.previous_secret_file holds the same secret as pseudonym.secret_file; the one before is right, or no file"
                .to_owned(),
        ),
        Some(_) => {}
    }
    if state_version.is_none_or(|version| version < ROTATION_STATE_VERSION) {
        reader.errors.push(format!(
            "pseudonym.previous_secret_file names a file, and state.version is {}: {ROTATION_STATE_VERSION} is right, in which members are \
             linked over a rotation; roll every replica with state.version = {ROTATION_STATE_VERSION} first, then with the new secret",
            state_version.unwrap_or(0)
        ));
    }
    (secret, version, Some(PseudonymSecret { secret: previous, version: previous_version }))
}

fn long_enough(reader: &mut Reader<'_>, key: &str) -> Option<Secret> {
    let secret = reader.secret(key)?;
    let length = secret.bytes().len();
    if length < Pseudonym::SECRET_BYTES_MIN {
        reader
            .errors
            .push(format!("{key}: the secret has {length} bytes; at least {} are right", Pseudonym::SECRET_BYTES_MIN));
    }
    Some(secret)
}

impl Config {
    /// Those that make authors' keys now: by the secret, then, while it is rotated, by the one before. None without a secret.
    pub(crate) fn pseudonyms(&self) -> Vec<Pseudonym> {
        let secret = self.pseudonym_secret.clone();
        let current = secret.map(|secret| PseudonymSecret { secret, version: self.pseudonym_version });
        current.iter().chain(&self.previous_pseudonym).filter_map(PseudonymSecret::pseudonym).collect()
    }

    /// By which canaries are sealed, and are known; none without a secret.
    pub(crate) fn canary_seal(&self) -> Option<CanarySeal> {
        let before = self.previous_pseudonym.as_ref().map(|previous| previous.secret.bytes());
        Some(CanarySeal::new(self.pseudonym_secret.as_ref()?.bytes())?.or_before(before))
    }

    /// Every key that an author may be known under: `v<version>:` and 32 hexadecimal digits. None without a secret.
    pub(crate) fn author_keys(&self, author_id: &str) -> Vec<String> {
        let key = |pseudonym: &Pseudonym| {
            let mut key = String::new();
            pseudonym.write(author_id, &mut key);
            key
        };
        self.pseudonyms().iter().map(key).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn load(lines: &str) -> Result<Config, Vec<String>> {
        let config = file(lines);
        Config::load(Some(config.path()), []).map_err(|errors| errors.0)
    }

    #[test]
    fn a_rotation_has_two_secrets_and_gives_both_keys_of_an_author() {
        let (new, old) = (file("a new secret of some length"), file("an old secret of some length"));
        let lines = format!(
            "[state]\nversion = 6\n[pseudonym]\nsecret_file = {:?}\nversion = 3\nprevious_secret_file = {:?}\nprevious_version = 2\n",
            new.path(),
            old.path()
        );
        let config = load(&lines).unwrap();
        let keys = config.author_keys("u-77");
        assert!(keys[0].starts_with("v3:") && keys[1].starts_with("v2:") && keys.len() == 2, "{keys:?}");
        assert_ne!(keys[0][3..], keys[1][3..]);
        assert!(Config::load(None, []).unwrap().author_keys("u-77").is_empty());
    }

    #[test]
    fn every_mistake_of_a_rotation_is_told() {
        let (new, short) = (file("a new secret of some length"), file("short"));
        let both = |new: &tempfile::NamedTempFile, old: &tempfile::NamedTempFile, more: &str| {
            let files = format!("secret_file = {:?}\nprevious_secret_file = {:?}\n", new.path(), old.path());
            load(&format!("[pseudonym]\n{files}{more}")).unwrap_err()
        };
        assert_eq!(
            both(&new, &new, ""),
            [
                "pseudonym.previous_version is 0; the version that the previous secret had is right: 1 to 1000000, and not 1",
                "pseudonym.previous_secret_file holds the same secret as pseudonym.secret_file; the one before is right, or no file",
                "pseudonym.previous_secret_file names a file, and state.version is 0: 6 is right, in which members are linked over \
                 a rotation; roll every replica with state.version = 6 first, then with the new secret",
            ]
        );
        assert_eq!(
            both(&new, &short, "version = 2\nprevious_version = 1\n[state]\nversion = 6\n"),
            ["pseudonym.previous_secret_file: the secret has 5 bytes; at least 16 are right"]
        );
        assert_eq!(
            load("[pseudonym]\nprevious_version = 1\n").unwrap_err(),
            ["pseudonym.previous_version is 1; 0 is right where pseudonym.previous_secret_file names no file"]
        );
    }
}
