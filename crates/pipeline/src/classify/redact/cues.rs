//! What the words before a number say of it.

/// What a number is, by the words before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cue {
    /// They do not say.
    Nothing,
    Phone,
    NationalId,
    /// `true`: an account by name, `false`: by its bank alone.
    Account(bool),
    /// Of a parcel, an order, a bill, a device or a customer.
    Business,
    Money,
}

/// Most words that are looked at.
const WORDS_MAX: usize = 4;
/// Longest word that says anything, in bytes.
const WORD_BYTES_MAX: usize = 16;

/// Looks at the words before a number, the last one first, over those that say nothing of it. `before` ends where the number begins.
pub(super) fn cue(before: &str) -> Cue {
    let mut rest = before;
    for _ in 0..WORDS_MAX {
        let Some((word, left, crossed)) = last_word(rest) else { return Cue::Nothing };
        if crossed {
            return Cue::Nothing;
        }
        let mut lower = [0; WORD_BYTES_MAX];
        let Some(lower) = lower.get_mut(..word.len()) else { return Cue::Nothing };
        lower.copy_from_slice(word.as_bytes());
        lower.make_ascii_lowercase();
        match meaning(lower) {
            Some(cue) => return cue,
            None if FILLERS.contains(&&*lower) => rest = left,
            None => return Cue::Nothing,
        }
    }
    Cue::Nothing
}

/// The word that touches the number, if one does.
pub(super) fn touching(before: &str) -> &str {
    let start =
        before.char_indices().rev().take_while(|(_, c)| c.is_alphabetic()).last().map_or(before.len(), |(at, _)| at);
    &before[start..]
}

/// The last word, what is before it, and whether something lies between that parts the word from the number: a comma, another
/// number, a marker.
fn last_word(text: &str) -> Option<(&str, &str, bool)> {
    let mut end = None;
    let mut crossed = false;
    for (at, character) in text.char_indices().rev() {
        if character.is_alphabetic() {
            end.get_or_insert(at + character.len_utf8());
        } else if let Some(end) = end {
            let start = at + character.len_utf8();
            return Some((&text[start..end], &text[..start], crossed));
        } else {
            crossed |= matches!(character, ',' | ';' | '!' | '?' | '\n' | ']' | '[') || character.is_numeric();
        }
    }
    end.map(|end| (&text[..end], "", crossed))
}

fn meaning(word: &[u8]) -> Option<Cue> {
    let is = |words: &[&str]| words.iter().any(|known| known.as_bytes() == word);
    if is(PHONE) {
        Some(Cue::Phone)
    } else if is(NATIONAL_ID) {
        Some(Cue::NationalId)
    } else if is(ACCOUNT) {
        Some(Cue::Account(true))
    } else if is(BANKS) {
        Some(Cue::Account(false))
    } else if is(BUSINESS) {
        Some(Cue::Business)
    } else if is(MONEY) {
        Some(Cue::Money)
    } else {
        None
    }
}

/// Indonesian, English, Javanese and Sundanese, as people write them.
const PHONE: &[&str] = &[
    "wa",
    "whatsapp",
    "whatsap",
    "watsap",
    "hp",
    "nohp",
    "nowa",
    "handphone",
    "hape",
    "ponsel",
    "telp",
    "tlp",
    "tlpn",
    "tlf",
    "telepon",
    "telpon",
    "telphone",
    "telephone",
    "phone",
    "mobile",
    "cell",
    "hub",
    "hubungi",
    "kontak",
    "contact",
    "call",
    "sms",
    "cp",
    "dial",
    "gopay",
    "ovo",
    "shopeepay",
    "linkaja",
    "telegram",
    "nelpon",
    "ditelpon",
];
const NATIONAL_ID: &[&str] = &["nik", "ktp", "noktp", "ektp", "kk", "npwp", "nokk"];
const ACCOUNT: &[&str] = &["rek", "rekening", "norek", "account", "acct", "acc"];
const BANKS: &[&str] = &[
    "bca", "bri", "bni", "mandiri", "bsi", "btn", "cimb", "permata", "danamon", "jago", "seabank", "jenius",
    "muamalat", "bjb", "mega", "panin", "ocbc",
];
const BUSINESS: &[&str] = &[
    "resi",
    "noresi",
    "awb",
    "tracking",
    "track",
    "lacak",
    "order",
    "orderan",
    "orderid",
    "pesanan",
    "invoice",
    "inv",
    "nota",
    "faktur",
    "tiket",
    "ticket",
    "transaksi",
    "trx",
    "ref",
    "referensi",
    "reference",
    "booking",
    "pnr",
    "idpel",
    "pelanggan",
    "meter",
    "token",
    "seri",
    "serial",
    "sn",
    "imei",
    "sku",
    "jne",
    "jnt",
    "sicepat",
    "anteraja",
    "spx",
    "ninja",
    "tiki",
    "laporan",
    "aduan",
    "barcode",
    "isbn",
    "voucher",
    "kupon",
];
const MONEY: &[&str] = &["rp", "idr", "usd", "harga", "sebesar", "senilai", "saldo"];
/// What says nothing of a number by itself.
const FILLERS: &[&[u8]] = &[
    b"no",
    b"nomor",
    b"nomer",
    b"number",
    b"num",
    b"nmr",
    b"id",
    b"kode",
    b"code",
    b"saya",
    b"sy",
    b"aku",
    b"kami",
    b"ini",
    b"itu",
    b"di",
    b"ke",
    b"nya",
    b"my",
    b"our",
    b"me",
    b"us",
    b"at",
    b"on",
    b"is",
    b"adalah",
    b"aja",
    b"langsung",
    b"via",
    b"lewat",
    b"kak",
    b"atas",
    b"kuring",
    b"abdi",
    b"kula",
    b"dhewek",
    b"bank",
    b"admin",
    b"cs",
    b"aktif",
];
