//! Personal data in texts: nothing of it is left in any record of the classify stage, however it was disguised.

use pipeline::{ClassifyStage, KeyFormat, Personal, Redactor};
use proptest::prelude::*;
use record::stage::{Input, InputHeaders, InputPartition, InputRecord, Outputs, Stage};
use record::{Author, Interaction, Kind, Role};
use wire::{Framing, RawFormat, SchemaName};

use crate::world::{Kept, NOW, avro, classify_stage, decoded, keep, post};

/// Every record that the stage makes of an interaction.
fn records_of(interaction: &Interaction<'_>) -> Vec<(usize, Kept)> {
    let mut stage = classify_stage(RawFormat::Avro, Framing::SingleObject, KeyFormat::None);
    let mut outputs = Outputs::default();
    let value = avro(interaction);
    let input = usize::from(interaction.kind == Kind::Comment);
    let record = InputRecord {
        from: InputPartition { input, partition: 0 },
        offset: 0,
        timestamp: Some(NOW),
        key: None,
        value: Some(&value),
        headers: InputHeaders::default(),
    };
    stage.step(Input::Clock(NOW), &mut outputs).unwrap();
    stage.step(Input::Record(record), &mut outputs).unwrap();
    stage.step(Input::Flush, &mut outputs).unwrap();
    keep(&outputs)
}

const COMPLAINT: &str = "Kecewa berat, paketnya rusak dan CS tidak membalas";

#[test]
fn texts_and_links_go_on_without_numbers_and_all_else_as_before() {
    let plain = post("a", "warga", NOW, &format!("{COMPLAINT}, hubungi 0812-3456-7890"));
    let author = Author {
        id: "u-77".into(),
        handle: Some("budi.santoso".into()),
        role: Role::Member,
        followers: Some(7),
        verified: None,
    };
    let whole = Interaction {
        author: Some(author),
        url: Some("https://wa.me/6281234567890".into()),
        mentions: vec!["siti.aminah".into()],
        ..plain
    };
    let records = records_of(&whole);
    let classified = decoded(SchemaName::Classified, records[1].1.value.as_ref().unwrap());
    assert_eq!(classified["text"], format!("{COMPLAINT}, hubungi [phone]"));
    assert_eq!(classified["url"], "https://wa.me/[phone]");
    assert_eq!(classified["label"], "complaint");
    let item = decoded(SchemaName::QueueItem, records[0].1.value.as_ref().unwrap());
    assert_eq!((&item["text"], &item["url"]), (&classified["text"], &classified["url"]));
    // The digest is of what was written: other numbers are another content.
    let other = Interaction { text: format!("{COMPLAINT}, hubungi 0812-3456-7891").into(), ..whole.clone() };
    let other = records_of(&other);
    let other = decoded(SchemaName::Classified, other[1].1.value.as_ref().unwrap());
    assert_eq!(other["text"], classified["text"]);
    assert_ne!(other["content_digest"], classified["content_digest"]);
    for (_, kept) in &records {
        let bytes = kept.value.as_ref().unwrap();
        for who in ["u-77", "budi.santoso", "siti.aminah"] {
            assert!(!bytes.windows(who.len()).any(|part| part == who.as_bytes()), "{who} is in a record");
        }
    }
}

#[test]
fn a_number_where_a_long_text_is_cut_leaves_no_half() {
    for before in 65_500..65_540 {
        let text = format!("{}081234567890 dan lagi", "kata ".repeat(before / 5) + &" ".repeat(before % 5));
        let records = records_of(&post("a", "warga", NOW, &text));
        let classified = decoded(SchemaName::Classified, records.last().unwrap().1.value.as_ref().unwrap());
        let text = classified["text"].as_str().unwrap();
        assert!(!text.contains(|c: char| c.is_ascii_digit()), "{}", &text[text.len() - 40..]);
        assert_eq!(classified["text_truncated"], true);
    }
}

/// A number as somebody writes it who does not want machines to read it.
fn disguised(digits: &str, how: &[u8]) -> String {
    let faces = ['0', '０', '٠', '۰', '꧐', '᮰', '𝟎', '𝟘'];
    let mut out = String::new();
    let of = |place: usize| how[1 + place % (how.len() - 1)];
    let is_apart = |place: usize| place < digits.len() && of(place) % 12 < 7;
    let mut letters = 0;
    let face = faces[usize::from(how[0]) % faces.len()];
    for (place, digit) in digits.chars().enumerate() {
        let of_digit = of(place);
        if place > 0 {
            out.push_str(match of_digit % 12 {
                0 => " ",
                1 => "-",
                2 => ".",
                3 => "\u{200b}",
                4 => " - ",
                5 => "\u{a0}",
                6 => "\u{2060}\u{200d}",
                _ => "",
            });
        }
        match (digit, of_digit / 12) {
            // A letter is a digit where it touches digits, and a number is not made of letters.
            ('0', 0) if place > 0 && face == '0' && letters < 3 && !is_apart(place) && !is_apart(place + 1) => {
                letters += 1;
                out.push('O');
            }
            (digit, _) => out.extend(char::from_u32(face as u32 + digit.to_digit(10).unwrap())),
        }
    }
    out
}

/// Telephone numbers as they are given out here and abroad.
fn phone() -> impl Strategy<Value = String> {
    // By the plus sign, or by the group that begins it, a number is told whatever stands between its digits.
    prop_oneof!["08[1-9][0-9]{7,10}".prop_map(|number| number), "08[1-9][0-9]{8}"]
}

/// What people write around it: no words that call the number something else.
fn around() -> impl Strategy<Value = String> {
    let words = [
        "halo",
        "paket rusak",
        "tulung",
        "punten",
        "please",
        "😡",
        "maturnuwun",
        "nomor saya",
        "WA",
        "hub",
        "\n",
        "Kak,",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..5).prop_map(|words| words.join(" "))
}

/// The digits of a text, in any script that the disguise uses.
fn digits_of(text: &str) -> String {
    let zeros = ['0', '０', '٠', '۰', '꧐', '᮰', '𝟎', '𝟘'];
    let digit = |c: char| {
        let of = |zero: &char| (c as u32).checked_sub(*zero as u32).filter(|value| *value < 10);
        zeros.iter().find_map(of).and_then(|value| char::from_digit(value, 10))
    };
    text.chars().filter_map(|c| if c == 'O' { Some('0') } else { digit(c) }).collect()
}

/// Whether one holds so many digits of the other in a row.
fn shares(text: &str, number: &str, length: usize) -> bool {
    let found = digits_of(text);
    number.as_bytes().windows(length).any(|part| found.as_bytes().windows(length).any(|of_text| of_text == part))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// Whatever comes, the outcome is text, and redacting it again changes nothing.
    #[test]
    fn it_never_panics_and_does_nothing_twice(text in "\\PC{0,80}|[0-9O l.()+@%/,: -]{0,60}|([0-9]{1,5}[ .,/-]?(at |rek |no |\\+62|@gmail.com| dot com )?){0,12}") {
        let mut redactor = Redactor::new(Personal::ALL);
        if let Some(once) = redactor.redact(&text).map(str::to_owned) {
            prop_assert!(once != text && Redactor::is_redacted(&once));
            prop_assert_eq!(redactor.redact(&once), None, "{}", once);
        }
    }

    /// Kinds that are not wanted stay, and what is wanted goes all the same.
    #[test]
    fn no_digit_of_a_disguised_number_is_left_in_any_record(
        number in phone(),
        how in prop::collection::vec(any::<u8>(), 14),
        before in around(),
        after in around(),
        in_link in any::<bool>(),
    ) {
        // Groups of two and the rest read as a date or a time: the digits that begin it stand together.
        let mut how = how;
        how[2..=4].fill(11);
        let written = disguised(&number, &how);
        let mut said = post("a", "warga", NOW, &format!("{COMPLAINT} {before} {written} {after}"));
        if in_link {
            said.url = Some(format!("https://wa.me/{written}").into());
        }
        let records = records_of(&said);
        prop_assert!(records.len() >= 2);
        for (output, kept) in records {
            prop_assert!(output != ClassifyStage::DEAD_LETTERS);
            let Some(value) = kept.value else { continue };
            let schema = if output == ClassifyStage::CLASSIFIED { SchemaName::Classified } else { SchemaName::QueueItem };
            let value = decoded(schema, &value);
            for field in ["text", "url"] {
                let Some(text) = value[field].as_str() else { continue };
                prop_assert!(!shares(text, &number, 4), "{} of {:?}: {:?}", field, written, text);
            }
        }
    }

    #[test]
    fn no_address_is_left(
        local in "[a-z][a-z0-9._+-]{2,18}[a-z0-9]",
        domain in "[a-z][a-z0-9-]{1,10}[a-z]\\.(co\\.id|com|id|ac\\.id)",
        provider in prop::sample::select(vec!["gmail", "yahoo", "Outlook", "HOTMAIL"]),
        form in 0_u8..6,
        before in around(),
        after in around(),
    ) {
        let written = match form {
            0 | 1 => format!("{local}@{domain}"),
            2 => format!("{local} @ {provider}.com"),
            3 => format!("{local} (at) {provider} (dot) com"),
            4 => format!("{local} at {provider} dot com"),
            _ => format!("{local}@{provider}"),
        };
        let records = records_of(&post("a", "warga", NOW, &format!("{COMPLAINT} {before} {written} {after}")));
        for (_, kept) in records {
            let text = String::from_utf8_lossy(&kept.value.unwrap_or_default()).into_owned();
            prop_assert!(!text.contains(&local), "{:?}: {:?}", written, text);
        }
    }

    #[test]
    fn no_identity_number_is_left(
        place in "(11|32|33|35|51|73)(0[1-9]|[1-7][0-9])(0[1-9]|[1-4][0-9])",
        day in 1_u8..=31, woman in any::<bool>(), month in 1_u8..=12, year in 0_u8..100, serial in 1_u16..9_999,
        apart in prop::sample::select(vec!["", ".", " "]),
        before in around(), after in around(),
    ) {
        let day = if woman { day + 40 } else { day };
        let written = format!("{place}{apart}{day:02}{month:02}{year:02}{apart}{serial:04}");
        let text = format!("{before} {written} {after}");
        let mut redactor = Redactor::new(Personal::ALL);
        let redacted = redactor.redact(&text).unwrap_or(&text);
        prop_assert!(!redacted.contains(|c: char| c.is_ascii_digit()), "{}", redacted);
    }
}
