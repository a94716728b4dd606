//! What a label must and must not depend on, in the manner of Ribeiro et al., *Beyond Accuracy: Behavioral Testing of NLP
//! Models with CheckList* (2020). The sentences were written for these tests.

use classify::Classifier;
use record::Label;
use record::Label::{Complaint, Other, Praise};

/// Every pair that is not said alike.
fn differing(pairs: &[(&str, &str)]) -> Vec<String> {
    let mut classifier = Classifier::embedded();
    let mut differ = Vec::new();
    for (one, two) in pairs {
        let (first, second) = (classifier.classify(one).label, classifier.classify(two).label);
        if first != second {
            differ.push(format!("{one:?} is {first}, {two:?} is {second}"));
        }
    }
    differ
}

fn wrong(expected: &[(&str, Label)]) -> Vec<String> {
    let mut classifier = Classifier::embedded();
    let said = expected.iter().map(|(text, label)| (text, label, classifier.classify(text).label));
    said.filter(|(_, label, said)| *label != said)
        .map(|(text, label, said)| format!("{text:?}: {said}, not {label}"))
        .collect()
}

#[test]
fn negation_turns_praise_into_complaint() {
    let wrong = wrong(&[
        ("Bagus barangnya, sesuai pesanan", Praise),
        ("Tidak bagus barangnya, tidak sesuai pesanan", Complaint),
        ("pelayanannya memuaskan", Praise),
        ("pelayanannya tidak memuaskan", Complaint),
        ("kualitasnya gak bagus", Complaint),
        ("makanannya nggak enak", Complaint),
        ("The service is good", Praise),
        ("The service is not good", Complaint),
        ("This app works well, I recommend it", Praise),
        ("This app does not work, I don't recommend it", Complaint),
    ]);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn drawing_out_case_and_signs_do_not_change_the_label() {
    let differ = differing(&[
        ("bagus banget pelayanannya", "baguuuus bangeeet pelayanannya"),
        ("bagus banget pelayanannya", "BAGUS BANGET PELAYANANNYA"),
        ("bagus banget pelayanannya", "Bagus banget pelayanannya!!!!!"),
        ("lama banget paketnya belum sampai", "lamaaaaaa banget paketnya belum sampai"),
        ("lama banget paketnya belum sampai", "LAMA BANGET PAKETNYA BELUM SAMPAI"),
        ("lama banget paketnya belum sampai", "lama banget paketnya belum sampai......"),
        ("kecewa sama aplikasinya, sering error", "kecewaaa sama aplikasinya, sering errorrr"),
        ("this is so good, love it", "this is sooooo good, love iiiit"),
        ("the app keeps crashing", "THE APP KEEPS CRASHING"),
        ("selamat pagi semuanya", "Selamat Pagiiii semuanya"),
    ]);
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn masks_and_names_do_not_change_the_label() {
    let differ = differing(&[
        ("paket saya belum sampai juga, tolong dicek", "@USER paket saya belum sampai juga, tolong dicek"),
        ("paket saya belum sampai juga, tolong dicek", "paket saya belum sampai juga, tolong dicek URL"),
        ("Bu Sari pelayanannya ramah sekali, terima kasih", "Pak Budi pelayanannya ramah sekali, terima kasih"),
        ("Bu Sari pelayanannya ramah sekali, terima kasih", "[NAME] pelayanannya ramah sekali, terima kasih"),
        ("saya kecewa dengan bank di Bandung", "saya kecewa dengan bank di Makassar"),
        ("Thank you Andi, great help", "Thank you Dewi, great help"),
        ("sudah 3 hari listrik mati terus", "sudah NUM hari listrik mati terus"),
        ("sudah 3 hari listrik mati terus", "sudah 5 hari listrik mati terus"),
    ]);
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn typing_in_haste_does_not_change_the_label() {
    let differ = differing(&[
        ("pelayanan sangat mengecewakan", "pelayanan sngt mengecewakan"),
        ("tidak bisa login dari kemarin", "gk bs login dr kmrn"),
        ("terima kasih banyak, sangat membantu", "trima kasih bnyk, sgt membantu"),
        ("barang rusak waktu diterima", "barang rusk waktu dterima"),
        ("very disappointed with the delivery", "very dissapointed with teh delivery"),
        ("great app, easy to use", "graet app, easy to use"),
    ]);
    assert!(differ.is_empty(), "{differ:#?}");
}

#[test]
fn greetings_and_questions_are_nothing_to_answer_for() {
    let wrong = wrong(&[
        ("Assalamualaikum, selamat pagi semuanya", Other),
        ("Besok libur nggak ya?", Other),
        ("What time do you open tomorrow?", Other),
        ("jam berapa bukanya kak?", Other),
    ]);
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is read wrongly today, sarcasm above all, beside what a person would say. It fails when a model reads one of them
/// otherwise: then the list is to be put right, upwards one hopes.
#[test]
fn what_is_read_wrongly_is_listed() {
    let mut classifier = Classifier::embedded();
    for (text, right, said) in [
        ("Mantap, seminggu nggak sampai-sampai", Complaint, Praise),
        ("Hebat ya, bayar mahal tapi tiap hari mati lampu", Complaint, Complaint),
        ("Terima kasih sudah bikin saya nunggu tiga jam", Complaint, Praise),
        ("Luar biasa pelayanannya, telepon ditutup terus", Complaint, Complaint),
        ("Keren banget aplikasinya, baru dibuka langsung keluar sendiri", Complaint, Praise),
        ("Great job, third time my order is lost", Complaint, Praise),
        ("Wow, only two hours on hold, amazing service", Complaint, Praise),
        ("Love how the app logs me out every five minutes", Complaint, Praise),
        ("Good morning everyone", Other, Praise),
    ] {
        assert_eq!(classifier.classify(text).label, said, "{text:?}, rightly {right}");
    }
}
