//! What people say: slot grammars per language and label, written by hand.
//!
//! A template's `{name}` is filled from the list of that name, `(a|b)` picks one; then the text is roughened as people
//! write: no capitals, doubled letters, emoji, dropped full stops.

use record::{Label, Language};

use crate::dice::Dice;

type Lists = &'static [(&'static str, &'static [&'static str])];

/// A text of this language and label.
pub(crate) fn text(language: Language, label: Label, dice: &mut Dice) -> String {
    let (templates, lists) = grammar(language, label);
    let said = fill(templates[dice.roll(templates.len())], lists, dice);
    roughen(said, label, dice)
}

/// The brand's answer.
pub(crate) fn brand_reply(language: Language, dice: &mut Dice) -> String {
    const INDONESIAN: &[&str] = &[
        "Halo Kak, mohon maaf atas kendalanya. (Boleh info nomor pelanggan lewat DM|Tim kami sedang mengeceknya|Kami bantu cek ya)",
        "Hai Kak, terima kasih laporannya. (Sudah kami teruskan ke tim terkait|Estimasi selesai malam ini|Mohon ditunggu ya)",
    ];
    const ENGLISH: &[&str] =
        &["Hi, sorry for the trouble. (Could you send us your customer number by DM|Our team is looking into it)?"];
    const JAVANESE: &[&str] = &["Nyuwun pangapunten nggih, (tim kula saweg mriksa|mangga dipun DM nomeripun)."];
    const SUNDANESE: &[&str] = &["Punten pisan nya, (tim kami nuju mariksa|mangga DM nomerna)."];
    let templates = match language {
        Language::English => ENGLISH,
        Language::Javanese => JAVANESE,
        Language::Sundanese => SUNDANESE,
        _ => INDONESIAN,
    };
    fill(templates[dice.roll(templates.len())], &[], dice)
}

/// One of many nearly equal texts of a coordinated burst.
pub(crate) fn burst(dice: &mut Dice) -> String {
    let mut said =
        "Listrik padam terus tidak ada penjelasan, pelanggan dirugikan! Ganti rugi sekarang juga!".to_owned();
    match dice.roll(4) {
        0 => said.push_str(" #gantirugi"),
        1 => said = said.replace("terus", "trs"),
        2 => said = said.to_uppercase(),
        _ => said.push_str(" 😡"),
    }
    said
}

fn fill(template: &str, lists: Lists, dice: &mut Dice) -> String {
    let mut said = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some(at) = rest.find(['{', '(']) {
        said.push_str(&rest[..at]);
        let close = if rest.as_bytes()[at] == b'{' { '}' } else { ')' };
        let Some(length) = rest[at..].find(close) else { break };
        let inside = &rest[at + 1..at + length];
        if close == '}' {
            let list = lists.iter().find(|(name, _)| *name == inside).map_or(&[][..], |(_, list)| list);
            if !list.is_empty() {
                said.push_str(list[dice.roll(list.len())]);
            }
        } else {
            let choices: Vec<&str> = inside.split('|').collect();
            said.push_str(choices[dice.roll(choices.len())]);
        }
        rest = &rest[at + length + 1..];
    }
    said.push_str(rest);
    said
}

fn roughen(said: String, label: Label, dice: &mut Dice) -> String {
    let mut said = if dice.chance(0.55) { said.to_lowercase() } else { said };
    if dice.chance(0.4)
        && let Some(stripped) = said.strip_suffix('.')
    {
        said.truncate(stripped.len());
    }
    if dice.chance(0.25) {
        let signs: &[&str] = match label {
            Label::Complaint => &[" 😡", "!!!", " 🙏", " 😤", "???", " huft"],
            Label::Praise => &[" 👍", " ❤️", " 🥰", "!!", " 👏👏", " ⭐⭐⭐⭐⭐"],
            Label::Tip => &[" ya gaes", " 🙏", " semoga membantu", " 💡"],
            Label::Experience => &[" 😅", " hehe", "...", " 🙂"],
            Label::Other => &[" 😂", " wkwk", " 👋", "~"],
        };
        said.push_str(signs[dice.roll(signs.len())]);
    }
    said
}

const THINGS_ID: &[&str] = &[
    "aplikasinya",
    "paket saya",
    "listrik di rumah",
    "internetnya",
    "keretanya",
    "tagihan bulan ini",
    "pesanan kemarin",
];
const TIMES_ID: &[&str] = &[
    "dari tadi pagi",
    "sudah 3 hari",
    "sejak kemarin",
    "sudah seminggu",
    "dari jam 7",
    "2 minggu ini",
    "sejak update terakhir",
];
const PLACES_ID: &[&str] = &[
    "di Depok",
    "di stasiun Manggarai",
    "di Bekasi",
    "di kantor cabang Margonda",
    "di gerai Pasar Minggu",
    "di Bogor",
];
const LISTS_ID: Lists = &[("thing", THINGS_ID), ("time", TIMES_ID), ("place", PLACES_ID)];

const COMPLAINT_ID: &[&str] = &[
    "Kok {thing} bermasalah terus {time}, (CS nggak bales-bales|kapan beresnya|tolong segera diperbaiki).",
    "Kecewa banget, {thing} rusak {time} dan (tidak ada penjelasan|admin cuma minta sabar|komplain nggak ditanggapi).",
    "Parah sih, {time} {thing} mati terus {place}. (Rugi saya|Kerjaan jadi terganggu|Sudah bayar mahal loh).",
    "Ini gimana sih, {thing} belum sampai padahal statusnya terkirim. (Uang saya kembalikan|Kecewa|Lapor ke mana ya).",
    "Antri {time} {place} pelayanannya lambat, petugasnya jutek pula.",
    "Saldo kepotong tapi {thing} gagal terus, {time} belum dikembalikan. Mengecewakan.",
    "Mantap, bayar tepat waktu, {thing} tetap mati {time}. Pelayanan macam apa ini.",
];
const TIP_ID: &[&str] = &[
    "Saran saya {thing} ditambah (notifikasi|fitur riwayat|pilihan bayar nanti), pasti lebih membantu.",
    "Buat yang mau ke sana, mending datang sebelum jam (7|8|10) biar nggak antre {place}.",
    "Coba (hapus cache dulu|restart modemnya|keluar lalu masuk lagi), biasanya {thing} normal lagi.",
    "Tips: pesan tiketnya malam sebelumnya, lebih murah dan nggak rebutan {place}.",
    "Sebaiknya jadwalnya ditempel {place} supaya penumpang tahu, usul aja.",
    "Hati-hati ya {place}, jangan kasih kode OTP ke siapa pun, lagi banyak penipuan.",
    "Tolong dipertimbangkan untuk menambah mode gelap di aplikasi, biar nyaman dipakai malam.",
];
const EXPERIENCE_ID: &[&str] = &[
    "Tadi pagi saya naik kereta {place}, penuh tapi masih dapat duduk, sampai kantor jam 9.",
    "Kemarin saya coba {thing} untuk pertama kali, daftar 10 menit lalu langsung dipakai.",
    "Saya sudah pakai {time}, ada enaknya ada kurangnya, sejauh ini lumayan.",
    "Semalam makan {place} sama keluarga, pesan nasi goreng dan sate, rasanya biasa saja, harganya sedang.",
    "Waktu itu saya ambil sendiri {place}, antre sebentar, petugas minta KTP, lalu pulang.",
    "Saya pindah ke paket yang baru {time}, kecepatannya kurang lebih sama seperti dulu.",
];
const PRAISE_ID: &[&str] = &[
    "Terima kasih, {thing} cepat sekali ditangani, (petugasnya ramah|mantap|sukses selalu).",
    "Mantap, pelayanan {place} sekarang bagus dan cepat, puas banget.",
    "Suka banget sama {thing}, (gampang dipakai|nggak pernah mengecewakan|recommended).",
    "Salut buat tim yang perbaiki {thing} malam-malam, keren!",
    "Barang bagus, pengiriman cepat, penjual ramah. Makasih ya.",
    "Alhamdulillah lancar terus {time}, the best pokoknya.",
];
const OTHER_ID: &[&str] = &[
    "Selamat pagi semuanya, (semangat kerja|jangan lupa sarapan|sehat selalu ya).",
    "Ada yang tahu jam buka {place} hari Minggu?",
    "Min, (promo akhir tahun ada nggak|bisa bayar pakai QRIS|kantor cabangnya di mana) ya?",
    "Wkwkwk (ngakak|bisa aja lu|aduh ada-ada aja).",
    "Dijual motor bekas tahun 2019, surat lengkap, cek bio ya.",
    "Hari ini hujan deras {place}.",
    "Besok rapat warga jam (7|8) malam di balai.",
    "Oke (siap|noted|sip).",
];

const THINGS_EN: &[&str] =
    &["the app", "my parcel", "the internet", "the new card reader", "my order", "the monthly bill"];
const TIMES_EN: &[&str] = &["since yesterday", "for three days now", "since the last update", "all week", "since 7 am"];
const PLACES_EN: &[&str] = &["in Kemang", "at Sudirman station", "in Kuningan", "at the Senopati branch"];
const LISTS_EN: Lists = &[("thing", THINGS_EN), ("time", TIMES_EN), ("place", PLACES_EN)];
const COMPLAINT_EN: &[&str] = &[
    "{thing} has been down {time} and nobody answers my emails, really disappointed.",
    "Why is {thing} so slow {time}? (Please fix it|I want a refund|This is unacceptable).",
    "Waited two hours {place}, staff were rude and the machine was broken. Terrible service.",
    "I was charged twice and {thing} still does not work. Very frustrating.",
];
const TIP_EN: &[&str] = &[
    "Tip: book the early train, it is half empty before 6:30 {place}.",
    "You should (clear the cache|reinstall it|call the branch directly), that usually fixes {thing}.",
    "Please add (a dark mode|an export button|English menus) to the app, it would help a lot.",
    "I suggest putting a sign {place} so people know where to queue.",
];
const EXPERIENCE_EN: &[&str] = &[
    "Went {place} yesterday, took about forty minutes to register, coffee was okay, a bit pricey.",
    "I have been using {thing} {time}, some things work, some do not, average so far.",
    "My first ride this morning: crowded until Manggarai, then I got a seat and read my book.",
];
const PRAISE_EN: &[&str] = &[
    "Great job, {thing} was fixed within an hour, thank you so much!",
    "Love how easy {thing} is now, best update ever.",
    "The staff {place} were super friendly and helpful, five stars.",
];
const OTHER_EN: &[&str] = &[
    "Good morning everyone, have a nice day.",
    "Does anyone know the opening hours {place}?",
    "Lol that meme again.",
    "Selling a used bicycle {place}, message me.",
];

const PLACES_JV: &[&str] = &["ing Solo", "ing pasar Gedhe", "ing Surabaya", "ing stasiun Balapan"];
const LISTS_JV: Lists = &[("place", PLACES_JV)];
const COMPLAINT_JV: &[&str] = &[
    "Lha kok barange durung teka, wis seminggu ngenteni, kuciwa aku.",
    "Pelayanane elek tenan {place}, antri suwe, petugase galak.",
    "Internete mati terus awit wingi, wis lapor ora ana sing nanggepi.",
];
const TIP_JV: &[&str] = &[
    "Nek arep mrono luwih becik budhal esuk, ben ora antri {place}.",
    "Usul, jadwale ditempel {place} ben wong-wong padha ngerti.",
    "Coba dipateni sik banjur diuripke maneh, biasane normal.",
];
const EXPERIENCE_JV: &[&str] = &[
    "Wingi aku karo ibuku tuku klambi {place}, mlaku-mlaku nganti sore banjur mulih.",
    "Mau esuk aku numpak sepur, rame nanging isih oleh lungguh.",
    "Aku wis nyoba rong minggu, ana apike ana eleke, lumayan.",
];
const PRAISE_JV: &[&str] = &[
    "Matur nuwun, cepet tenan ditangani, petugase grapyak.",
    "Enak tenan panganane {place}, regane murah, marem aku.",
    "Apik banget pelayanane saiki, mantep.",
];
const OTHER_JV: &[&str] =
    &["Sugeng enjing sedherek sedaya.", "Ana sing ngerti jam piro bukake {place}?", "Hahaha ana-ana wae rek."];

const PLACES_SU: &[&str] = &["di Bandung", "di Dago", "di pasar Kosambi", "di Cimahi"];
const LISTS_SU: Lists = &[("place", PLACES_SU)];
const COMPLAINT_SU: &[&str] = &[
    "Aduh kuciwa pisan, pesenan abdi teu acan dugi tos saminggu, CS na teu ngawaler.",
    "Palayananana goréng pisan {place}, ngantosan lami, patugasna judes.",
    "Naha internetna pareum waé ti kamari, atuh énggal dibenerkeun.",
];
const TIP_SU: &[&str] = &[
    "Upami badé ka dinya mending énjing-énjing, ambéh teu antri {place}.",
    "Saran abdi mah jadwalna témpélkeun {place} supados jalmi tarerang.",
    "Cobian dipareuman heula teras dihurungkeun deui, biasana normal.",
];
const EXPERIENCE_SU: &[&str] = &[
    "Kamari abdi sakulawargi tuang {place}, meser lauk sareng karedok, rasana biasa waé.",
    "Tadi énjing naék karéta, pinuh tapi kénging calik, dugi ka kantor jam salapan.",
];
const PRAISE_SU: &[&str] = &[
    "Hatur nuhun, gancang pisan ditanganna, patugasna someah.",
    "Raos pisan tuangeunana {place}, hargina ogé mirah, puas.",
    "Saé pisan ayeuna mah palayananana, mantap.",
];
const OTHER_SU: &[&str] =
    &["Wilujeng énjing sadayana.", "Aya nu terang jam sabaraha mukana {place}?", "Hahaha aya-aya waé euy."];

fn grammar(language: Language, label: Label) -> (&'static [&'static str], Lists) {
    match language {
        Language::English => ([COMPLAINT_EN, TIP_EN, EXPERIENCE_EN, PRAISE_EN, OTHER_EN][label.index()], LISTS_EN),
        Language::Javanese => ([COMPLAINT_JV, TIP_JV, EXPERIENCE_JV, PRAISE_JV, OTHER_JV][label.index()], LISTS_JV),
        Language::Sundanese => ([COMPLAINT_SU, TIP_SU, EXPERIENCE_SU, PRAISE_SU, OTHER_SU][label.index()], LISTS_SU),
        _ => ([COMPLAINT_ID, TIP_ID, EXPERIENCE_ID, PRAISE_ID, OTHER_ID][label.index()], LISTS_ID),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_slot_is_left_open() {
        let mut dice = Dice::new(1);
        for language in Language::ALL {
            for label in Label::ALL {
                for _ in 0..200 {
                    let said = text(language, label, &mut dice);
                    assert!(!said.contains(['{', '}', '(', ')', '|']), "{said}");
                }
            }
            assert!(!brand_reply(language, &mut dice).contains(['{', '(', '|']));
        }
    }
}
