//! Texts that people write, keys and headers.

use std::cell::RefCell;

use classify::Classifier;
use pipeline::{CanarySaid, Personal, Redactor};
use record::{TraceContext, decode_key, encode_key};

/// The longest text that is explained: that takes two decisions for each word, and the fuzzer would get to little else.
const EXPLAINED_BYTES_MAX: usize = 256;

thread_local! {
    static CLASSIFIER: RefCell<Classifier> = RefCell::new(Classifier::embedded());
}

/// The part of the bytes that is text.
pub(crate) fn text_of(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default(),
    }
}

/// Classifies a text: probabilities are some, and nothing is left in the buffers that the next text would meet.
pub fn text(bytes: &[u8]) {
    let text = text_of(bytes);
    CLASSIFIER.with_borrow_mut(|classifier| {
        let (decision, tier) = classifier.judge(text);
        let sum: f32 = decision.probabilities.iter().sum();
        assert!((sum - 1.0).abs() < 1e-3, "probabilities add up to {sum}");
        assert!(decision.probabilities.iter().all(|p| (0.0..=1.0).contains(p)), "{:?}", decision.probabilities);
        assert!((0.0..=1.0).contains(&decision.confidence), "{}", decision.confidence);
        assert!(decision == Classifier::embedded().judge(text).0, "a text before it has left something");
        if text.len() <= EXPLAINED_BYTES_MAX {
            let explanation = classifier.explain(text, 5);
            drop(explanation);
        }
        assert!((decision, tier) == classifier.judge(text), "an explanation has left something");
    });
}

/// Redacts a text; the first byte says what of. What is redacted stays as it is.
pub fn redact(bytes: &[u8]) {
    let Some((&kinds, text)) = bytes.split_first() else { return };
    let text = text_of(text);
    let kinds = Personal::ALL.into_iter().filter(|&kind| kinds == 0 || kinds >> kind as u8 & 1 == 1);
    let mut redactor = Redactor::new(kinds);
    let Some(redacted) = redactor.redact(text).map(str::to_owned) else { return };
    assert!(Redactor::is_redacted(&redacted), "redacted, and no marker is in it");
    assert!(redacted != text, "redacted, and nothing has changed");
    assert!(redacted.len() <= text.len() * 3, "{} bytes of {}", redacted.len(), text.len());
    assert!(redactor.redact(&redacted).is_none(), "something was left to redact");
}

/// Keys, and headers that the stages and the owner read.
pub fn keys(bytes: &[u8]) {
    let text = text_of(bytes);
    if let Some(parts) = decode_key(text) {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let key = encode_key(&parts);
        assert!(decode_key(&key).is_some_and(|again| again == parts), "a key of ours names something else");
    }
    if let Some(context) = TraceContext::parse(bytes) {
        assert!(TraceContext::parse(&context.header()) == Some(context), "a trace is another one downstream");
    }
    if let Some(said) = CanarySaid::read(bytes) {
        assert!(!said.id.is_empty() && said.sent_at >= 0);
    }
    let _ = record::partition_for_key(bytes, 12);
}
