//! Sentences that an honest classifier gets right, and texts that must not trouble it.

use classify::train::{TrainOptions, TrainingRow, train};
use classify::{Classifier, fingerprint};
use proptest::prelude::*;
use record::{Label, Language};

#[test]
fn plain_sentences_are_told_apart() {
    let mut classifier = Classifier::embedded();
    let mut wrong = Vec::new();
    for (text, label) in [
        ("Kecewa banget, sudah seminggu paket belum sampai dan CS tidak membalas.", Label::Complaint),
        ("Aplikasi error terus, saldo kepotong tapi tiket tidak masuk. Tolong diperbaiki!", Label::Complaint),
        ("The app keeps crashing and nobody answers my ticket, very disappointed.", Label::Complaint),
        ("Pelayanan cepat, barang bagus, terima kasih banyak!", Label::Praise),
        ("Love this app, so easy to use, great job team!", Label::Praise),
        ("Mantap, kualitas oke dan pengiriman cepat, recommended seller", Label::Praise),
        ("Saran saya tambahkan fitur mode gelap dan notifikasi jadwal.", Label::Tip),
        ("Please add an option to export the data to a spreadsheet.", Label::Tip),
        ("Assalamualaikum, selamat pagi semuanya", Label::Other),
        ("Rek, jam piro bukake?", Label::Other),
    ] {
        let decision = classifier.classify(text);
        if decision.label != label {
            wrong.push((text, decision.label));
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn languages_are_told_apart() {
    let mut classifier = Classifier::embedded();
    for (text, language) in [
        ("Barangnya sudah sampai tapi warnanya tidak sesuai pesanan", Language::Indonesian),
        ("The delivery was late again and nobody told me why", Language::English),
        ("Panganane enak tenan, regane yo ora larang, sesuk aku mrene maneh", Language::Javanese),
        ("Tempatna resik pisan, pagawena someah, abdi resep ka dieu deui", Language::Sundanese),
        ("12345 ?!", Language::Undetermined),
        ("👍👍", Language::Undetermined),
        ("", Language::Undetermined),
    ] {
        assert_eq!(classifier.classify(text).language, language, "{text:?}");
    }
}

#[test]
fn an_explanation_names_pieces_of_the_text() {
    let explanation = Classifier::embedded().explain("Kecewa banget, paket rusak semua", 5);
    assert_eq!(explanation.decision.label, Label::Complaint);
    assert_eq!(explanation.pushed.len(), 5);
    assert!(
        explanation
            .pushed
            .iter()
            .any(|pushed| pushed.push > 0.0 && " kecewa banget, paket rusak semua ".contains(pushed.piece.trim()))
    );
}

#[test]
fn languages_that_are_not_served_abstain_and_say_so() {
    let mut classifier = Classifier::embedded();
    for text in [
        "สินค้ามาช้ามาก ผิดหวังจริงๆ",
        "المنتج سيئ جدا ولم يصل في الموعد",
        "商品很差，客服不回复",
        "商品が届きません",
        "배송이 너무 늦어요",
        "Очень плохое обслуживание, деньги не вернули",
        "यह ऐप बहुत धीमा है",
        "El servicio es muy malo y la comida llegó fría, pero gracias por nada",
        "Ang bagal naman ng delivery, hindi ako natutuwa talaga",
        "Das Paket ist nicht angekommen und der Service ist sehr schlecht",
        "Le service est très lent et les colis arrivent cassés, merci pour rien",
        "Ứng dụng này rất tệ và không dùng được",
    ] {
        let decision = classifier.classify(text);
        assert_eq!((decision.language, decision.abstained), (Language::Other, true), "{text:?}");
    }
}

#[test]
fn mixed_text_is_noted() {
    let mut classifier = Classifier::embedded();
    for (text, mixed) in [
        ("Barangnya sudah sampai tapi warnanya tidak sesuai pesanan", false),
        ("The delivery was late again and nobody told me why", false),
        ("Sumpah ya the service was really terrible, saya nggak mau balik lagi kesini", true),
    ] {
        assert_eq!(classifier.classify(text).mixed, mixed, "{text:?}");
    }
}

#[test]
fn thresholds_decide_when_it_abstains() {
    let decision = Classifier::embedded().with_threshold(1.0).classify("oke");
    assert!(decision.abstained && decision.confidence < 1.0);
    let text = "Kecewa banget, paket rusak semua";
    let complaints_never = Classifier::embedded().with_thresholds([1.0, 0.0, 0.0, 0.0, 0.0]);
    assert!(complaints_never.clone().classify(text).abstained);
    assert!(!Classifier::embedded().with_thresholds([0.0, 1.0, 1.0, 1.0, 1.0]).classify(text).abstained);
}

proptest! {
    #[test]
    fn any_text_has_probabilities(text in "\\PC{0,300}|[a-z @!?0-9]{0,6000}") {
        let mut classifier = Classifier::embedded();
        let decision = classifier.classify(&text);
        let sum: f32 = decision.probabilities.iter().sum();
        prop_assert!((sum - 1.0).abs() < 1e-4 && decision.probabilities.iter().all(|p| (0.0..=1.0).contains(p)));
        prop_assert_eq!(decision, classifier.classify(&text));
        prop_assert_eq!(decision.fingerprint, fingerprint(&text));
    }
}

/// A made-up word, another for each number, so that no row is nearly another.
fn word(number: u64) -> String {
    let mut left = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut letters = String::new();
    while letters.len() < 12 {
        letters.push(char::from(b'a' + (left % 26) as u8));
        left /= 26;
    }
    letters
}

/// Learns a made-up language of two words, the same twice.
#[test]
fn training_learns_and_repeats_itself() {
    let rows = |reverse: bool| {
        let mut rows: Vec<TrainingRow> = (0..200)
            .map(|number| {
                let tip = number % 2 == 0;
                TrainingRow {
                    id: format!("{number:04}"),
                    language: if tip { Language::Javanese } else { Language::English },
                    source: "made-up".to_owned(),
                    target: if tip { [0.0, 1.0, 0.0, 0.0, 0.0] } else { [0.0, 0.0, 0.0, 1.0, 0.0] },
                    weight: 1.0,
                    label: Some(if tip { Label::Tip } else { Label::Praise }),
                    group: None,
                    text: format!("{} nomor {}", if tip { "cobalah" } else { "bagus" }, word(number)),
                }
            })
            .collect();
        if reverse {
            rows.reverse();
        }
        rows
    };
    let options = TrainOptions { epochs: 3, folds: 2, ..TrainOptions::default() };
    let mut steps = 0;
    let (one, selection) = train(rows(false), &[], &options, &mut |_| steps += 1);
    let (two, _) = train(rows(true), &[], &options, &mut |_| {});
    assert_eq!(one.to_bytes(), two.to_bytes());
    assert_eq!(selection.evaluation.rows, 200);
    assert!(selection.evaluation.macro_f1.value > 0.99 && steps > 9);
    let (other, _) = train(rows(false), &[], &TrainOptions { seed: 2, ..options }, &mut |_| {});
    assert_ne!(one.to_bytes(), other.to_bytes());
    let mut classifier = Classifier::new(one.into());
    assert_eq!(classifier.classify("cobalah nomor 999").label, Label::Tip);
    assert_eq!(classifier.classify("bagus sekali").label, Label::Praise);
    assert_eq!(classifier.classify("bagus sekali").language, Language::English);
}
