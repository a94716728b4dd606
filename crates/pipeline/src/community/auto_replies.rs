//! Replies that are no answers: "please send us a direct message".

/// Phrases by which a brand's reply is told to be automatic.
#[derive(Debug, Default)]
pub(super) struct AutoReplies(Vec<String>);

impl AutoReplies {
    pub(super) fn new(phrases: &[String]) -> AutoReplies {
        AutoReplies(phrases.iter().map(|phrase| plain(phrase)).filter(|phrase| !phrase.is_empty()).collect())
    }

    /// Whether a text holds one of the phrases, whatever its case and its blanks.
    pub(super) fn matches(&self, text: Option<&str>) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let Some(text) = text.map(plain) else { return false };
        self.0.iter().any(|phrase| text.contains(phrase))
    }
}

/// In lower case, with single blanks.
fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_phrase_in_whatever_case_and_spacing() {
        let replies = AutoReplies::new(&["silakan  DM kami".to_owned(), " ".to_owned()]);
        assert!(replies.matches(Some("Halo Kak, Silakan dm\nkami ya")));
        assert!(!replies.matches(Some("Halo Kak, paketnya sudah kami cek")));
        assert!(!replies.matches(None));
        assert!(!AutoReplies::default().matches(Some("silakan DM kami")));
    }
}
