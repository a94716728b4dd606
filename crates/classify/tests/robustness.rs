//! Texts that must not trouble the classifier, whatever they are.

use classify::{Classifier, Decision, fingerprint};
use record::{Label, Language, Tier};

fn check(text: &str) -> Decision {
    let mut classifier = Classifier::embedded();
    let decision = classifier.classify(text);
    let sum: f32 = decision.probabilities.iter().sum();
    assert!((sum - 1.0).abs() < 1e-4, "{sum}");
    assert_eq!(decision.confidence, decision.probabilities[decision.label.index()]);
    assert_eq!(decision.fingerprint, fingerprint(text));
    // What a classifier has read before changes nothing.
    assert_eq!(decision, classifier.classify(text));
    decision
}

#[test]
fn nothing_is_nothing() {
    for text in ["", " ", "\n\t", "\u{200b}\u{200d}", "\u{feff}"] {
        let decision = check(text);
        assert_eq!((decision.language, decision.fingerprint), (Language::Undetermined, None), "{text:?}");
    }
    assert_eq!(Classifier::embedded().judge("").1, Tier::None);
}

#[test]
fn one_emoji() {
    for text in ["👍", "😡", "❤️", "👨‍👩‍👧‍👦", "🇮🇩"] {
        assert_eq!(check(text).language, Language::Undetermined, "{text:?}");
    }
}

#[test]
fn a_megabyte_of_one_letter() {
    let decision = check(&"a".repeat(1_048_576));
    assert!(decision.confidence < 0.95, "it is sure of nothing: {decision:?}");
    check(&"a ".repeat(524_288));
    check(&"ab".repeat(524_288));
    check(&"é".repeat(524_288));
    check(&"!?".repeat(524_288));
}

#[test]
fn invisible_characters_change_nothing() {
    let plain = check("Kecewa banget, paket rusak semua");
    for text in [
        "\u{202e}Kecewa banget, paket rusak semua\u{202c}",
        "\u{200f}Kecewa\u{200f} banget, paket rusak semua",
        "Kec\u{200d}ewa ban\u{200b}get, paket\u{ad} rusak se\u{2060}mua",
        "\u{feff}Kecewa banget, paket rusak semua",
        "\u{2066}Kecewa banget\u{2069}, paket rusak semua",
    ] {
        assert_eq!(check(text), plain, "{text:?}");
    }
}

#[test]
fn mixed_scripts() {
    assert_eq!(check("paket สินค้ามาช้ามาก ผิดหวังจริงๆ").language, Language::Other);
    assert_eq!(check("paket saya belum sampai juga sampai sekarang 商品").language, Language::Indonesian);
    assert_eq!(check("Κακή εξυπηρέτηση").language, Language::Other);
}

#[test]
fn nothing_but_masks_or_links_is_other() {
    for text in [
        "@USER",
        "@USER @USER",
        "@somebody @else",
        "URL",
        "@USER URL",
        "https://example.org/a?b=c#d",
        "www.example.org http://example.org",
        "NUM",
        "12 500",
        "EMAIL",
        "care@example.org",
    ] {
        let decision = check(text);
        assert_eq!((decision.label, decision.abstained), (Label::Other, false), "{text:?}");
        assert_eq!(decision.language, Language::Undetermined, "{text:?}");
    }
    for text in ["[NAME]", "@USER NUM URL !", "URL [NAME]", "Rp50.000"] {
        check(text);
    }
}

#[test]
fn odd_bytes_and_long_words() {
    for text in
        ["\0\u{1}\u{7f}", "\u{fffd}\u{fffd}", "a\u{301}\u{301}\u{301}\u{301}", "𝕜𝕖𝕔𝕖𝕨𝕒", "İSTANBUL ẞ ŉ", "\u{10ffff}"]
    {
        check(text);
    }
    // Cut at a character's boundary, wherever the limit falls.
    for before in 0..4 {
        check(&format!("{}{}", "x".repeat(before), "😡".repeat(2_000)));
    }
}
