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
/// So far back a word is looked for, in bytes: each number of a text looks back for itself.
const LOOK_BACK_BYTES: usize = 128;
/// Longest word that says anything, in bytes.
const WORD_BYTES_MAX: usize = 16;

/// Looks at the words before a number, the last one first, over those that say nothing of it. `before` ends where the number begins.
pub(super) fn cue(before: &str) -> Cue {
    let mut rest = before;
    for _ in 0..WORDS_MAX {
        let Some((word, left)) = last_word(rest) else { return Cue::Nothing };
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

/// The last word and what is before it; `None` if there is none near, or something lies between that parts the word from the
/// number: a comma, another number, a marker.
fn last_word(text: &str) -> Option<(&str, &str)> {
    let near = last_bytes(text, LOOK_BACK_BYTES);
    let cut = text.len() - near.len();
    let mut end = None;
    for (at, character) in near.char_indices().rev() {
        if character.is_alphabetic() {
            end.get_or_insert(cut + at + character.len_utf8());
        } else if let Some(end) = end {
            let start = cut + at + character.len_utf8();
            return Some((&text[start..end], &text[..start]));
        } else if matches!(character, ',' | ';' | '!' | '?' | '\n' | ']' | '[') || character.is_numeric() {
            return None;
        }
    }
    end.map(|end| (&text[cut..end], &text[..cut]))
}

/// The end of a text: so many bytes of it, or up to three fewer.
pub(super) fn last_bytes(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
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
