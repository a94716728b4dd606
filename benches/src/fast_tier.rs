//! The fast tier alone, text by text, beside a kept library that tells only the language.

use std::hint::black_box;
use std::time::Instant;

use classify::Classifier;
use serde_json::{Value, json};

use crate::allocations;

/// Texts of each length.
const TEXTS: usize = 256;
/// Runs over all texts; the first warms up and does not count.
const RUNS: usize = 21;
/// Lengths, in characters.
const LENGTHS: [usize; 3] = [20, 100, 300];

/// What a text is cut from: made up, as customers write in the four languages.
const SAID: [&str; 8] = [
    "min paket saya kok belum sampe juga ya padahal udah seminggu lebih, resinya nggak gerak sama sekali dari kemarin. ",
    "makasih kak pelayanannya cepet bangettt, barangnya bagus sesuai foto, packing rapi 👍👍 pasti order lagi disini! ",
    "mending clear cache dulu terus login ulang, kalo masih error coba update ke versi terbaru lewat playstore. ",
    "tadi pagi naik kereta jam 7.30, lumayan penuh tapi ac dingin, turun di stasiun kota terus jalan kaki ke kantor. ",
    "The app keeps crashing after the last update and nobody answers my ticket, I want a refund @USER please help. ",
    "Love this place, friendly staff and the coffee is great, but it gets crowded on weekends so come early. ",
    "Panganane enak tenan, regane yo ora larang, mung antrine suwe banget, sesuk aku mrene maneh karo kanca. ",
    "Tempatna resik pisan, pagawena someah, ngan parkirna heurin, abdi resep ka dieu deui sareng kulawarga. ",
];

/// Measures both at every length.
pub(crate) fn measure_fast_tier() -> Vec<Value> {
    let mut results = Vec::new();
    for length in LENGTHS {
        let texts = texts(length);
        let mut classifier = Classifier::embedded();
        results.push(measure("fast-tier", length, &texts, |text| {
            black_box(classifier.classify(black_box(text)));
        }));
        results.push(measure("whichlang", length, &texts, |text| {
            black_box(whichlang::detect_language(black_box(text)));
        }));
    }
    results
}

/// Texts of this many characters, each cut from another place.
fn texts(length: usize) -> Vec<String> {
    let text = |number: usize| {
        let said = (number..).map(|at| SAID[at % SAID.len()]);
        said.flat_map(str::chars).skip(number / SAID.len() * 2).take(length).collect()
    };
    (0..TEXTS).map(text).collect()
}

fn measure(name: &str, length: usize, texts: &[String], mut work: impl FnMut(&str)) -> Value {
    let mut micros = Vec::new();
    let mut allocations = 0.0;
    for run in 0..RUNS {
        let before = allocations::count();
        let start = Instant::now();
        for text in texts {
            work(text);
        }
        let seconds = start.elapsed().as_secs_f64();
        if run > 0 {
            micros.push(seconds * 1e6 / texts.len() as f64);
            allocations = (allocations::count() - before) as f64 / texts.len() as f64;
        }
    }
    micros.sort_by(f64::total_cmp);
    let (least, median, most) = (micros[0], micros[micros.len() / 2], micros[micros.len() - 1]);
    println!(
        "{name:<10} {length:>4} characters {median:>7.2} us a text (of {} runs: {least:.2} to {most:.2}), {allocations:.2} allocations a text",
        micros.len()
    );
    json!({ "case": name, "characters": length, "micros_per_text": { "min": least, "median": median, "max": most },
            "allocations_per_text": allocations })
}
