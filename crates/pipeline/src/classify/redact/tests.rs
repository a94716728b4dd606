//! What is found and what is left, in sentences as people write them in Indonesian, English, Javanese and Sundanese.

use super::{Personal, Redactor};

fn check(text: &str, expected: &str) {
    let mut redactor = Redactor::new(Personal::ALL);
    assert_eq!(redactor.redact(text).unwrap_or(text), expected, "{text}");
}

fn is_left(text: &str) {
    check(text, text);
}

#[test]
fn telephone_numbers_in_every_form() {
    check("Tolong hubungi saya di 081234567890 ya", "Tolong hubungi saya di [phone] ya");
    check("WA aja 0812-3456-7890, makasih", "WA aja [phone], makasih");
    check("nomer kula 0857 1234 5678, matur nuwun", "nomer kula [phone], matur nuwun");
    check("mangga telepon ka 0821.4455.6677 nya", "mangga telepon ka [phone] nya");
    check("call me on +62 812-3456-7890 please", "call me on [phone] please");
    check("6281234567890 belum dibalas", "[phone] belum dibalas");
    check("hp saya (0812) 3456 7890", "hp saya [phone]");
    check("kontak:+6281234567890/081398765432", "kontak:[phone]/[phone]");
    check("cp 0 8 1 2 3 4 5 6 7 8 9 0 nggih", "cp [phone] nggih");
    check("wa0812345678901", "wa[phone]");
    check("https://wa.me/6281234567890?text=halo", "https://wa.me/[phone]?text=halo");
    check("Kantor (021) 5551234 tidak diangkat", "Kantor [phone] tidak diangkat");
    check("telp 0274-512345 ora diangkat", "telp [phone] ora diangkat");
    check("my number is +1 (415) 555-2671", "my number is [phone]");
    check("ring 415-555-2671 after six", "ring [phone] after six");
    check("nomor +65 9123 4567 aktif", "nomor [phone] aktif");
    check("hubungi 81234567890 segera", "hubungi [phone] segera");
    check("0062 812 3456 7890", "[phone]");
    check("tgl 12 08 2026 hub 0812 3456 7890", "tgl 12 08 2026 hub [phone]");
    check("dua nomor: 081234567890 081398765432", "dua nomor: [phone] [phone]");
}

#[test]
fn disguises_are_seen_through() {
    check("０８１２３４５６７８９０", "[phone]");
    check("٠٨١٢٣٤٥٦٧٨٩٠", "[phone]");
    check("꧐꧘꧑꧒꧓꧔꧕꧖꧗꧘꧙꧐ nomer kula", "[phone] nomer kula");
    check("᮰᮸᮱᮲᮳᮴᮵᮶᮷᮸᮹᮰ nomer abdi", "[phone] nomer abdi");
    check("0\u{200b}8\u{200b}1\u{200b}2\u{200b}3456\u{2060}7890", "[phone]");
    check("0️⃣8️⃣1️⃣2️⃣3️⃣4️⃣5️⃣6️⃣7️⃣8️⃣9️⃣0️⃣", "[phone]");
    check("O812 3456 789O", "[phone]");
    check("08l2-3456-7890", "[phone]");
    check("0812•3456•7890", "[phone]");
    check("081234 56 7890", "[phone]");
}

#[test]
fn addresses_in_every_form() {
    check("kirim ke budi.santoso@contoh.co.id ya", "kirim ke [email] ya");
    check("Email: SITI_99+toko@Gmail.com.", "Email: [email].");
    check("budi @ gmail.com", "[email]");
    check("budi (at) gmail (dot) com", "[email]");
    check("budi[at]contoh.id", "[email]");
    check("write to siti at gmail dot com please", "write to [email] please");
    check("siti at yahoo titik co titik id", "[email]");
    check("budi＠gmail.com", "[email]");
    check("budi%40gmail.com", "[email]");
    check("budi081234567890@gmail.com", "[email]");
    check("mailto:budi@gmail,com", "mailto:[email]");
    check("budi@gmail", "[email]");
}

#[test]
fn identity_numbers() {
    check("NIK saya 3273014507900001", "NIK saya [national_id]");
    check("ktp 32.73.01.450790.0001", "ktp [national_id]");
    check("data kula 3374 0112 0885 0002", "data kula [national_id]");
    check("3204051708650003 ieu KK abdi", "[national_id] ieu KK abdi");
    check("no ktp: 9999999999999999", "no ktp: [national_id]");
    // No province 99, no 13th month.
    is_left("kode 9973014507900001");
    is_left("kode 3273014513900001");
    is_left("resi 3273014507900001 macet");
}

#[test]
fn cards_and_accounts() {
    check("kartu 4111 1111 1111 1111 ditolak", "kartu [card] ditolak");
    check("5500000000000004", "[card]");
    check("my card 3782 822463 10005 was charged twice", "my card [card] was charged twice");
    is_left("4111 1111 1111 1112");
    check("transfer ke rek BCA 1234567890 a.n. Budi", "transfer ke rek BCA [account] a.n. Budi");
    check("rekening saya 123-456-7890-12", "rekening saya [account]");
    check("bank mandiri 1370012345678", "bank mandiri [account]");
    is_left("saldo mandiri 1.500.000.000 hilang");
    is_left("transfer bca 1500000 gagal");
}

#[test]
fn numbers_of_things_are_left() {
    is_left("resi JNE 012345678901234 belum sampai");
    is_left("No resi: 081234567890123, tolong dilacak");
    is_left("nomor pesanan 081234567890 belum dikirim");
    is_left("order id 220812ABC345678");
    is_left("INV/20260812/MPL/0812345678");
    is_left("JP0812345678901 retur");
    is_left("tracking SPXID081234567890");
    is_left("idpel 532112345678 mati lampu");
    is_left("harga Rp 1.250.000.000");
    is_left("Rp. 628.123.456.789 untuk jembatan");
    is_left("mulai 08/12/2026 10.30-12.30 wib");
    is_left("jam 08.30 - 16.30, Senin 12-10-2026");
    is_left("2026-08-12 08:12:34.567890");
    is_left("call center 1500046 ora ngangkat");
    is_left("koordinat -6.2088123, 106.8456123");
    is_left("https://toko.contoh/produk/3273014507900001");
    is_left("@budi_081 tolong cek");
    is_left("makan @ warung.id enak");
    is_left("follow @gmail dong");
    is_left("sangat lambat at all");
    is_left("skor 10-8 11-9 12-10 13-11");
    is_left("0.8123456789 persen");
    is_left("+62 tercinta");
    is_left("imei 356938035643809");
    is_left("1 2 3 4 5 6 7 8 9 10");
    is_left("bantuan 600.000 x 12 bulan = 7.200.000");
    is_left("tahun 2019-2020, 2021-2022, 2023-2024");
}

#[test]
fn words_before_that_speak_of_something_else_do_not_save_a_telephone_number() {
    check("order saya, 081234567890", "order saya, [phone]");
    check("cek resi ya, wa ke 081234567890", "cek resi ya, wa ke [phone]");
    check("resi 0812-3456-7890", "resi [phone]");
    check("pesanan +6281234567890", "pesanan [phone]");
}

/// Each number looks back for itself: what it looks at must not grow with the text.
#[test]
fn a_long_text_of_nothing_but_numbers_is_left_and_one_behind_it_found() {
    for part in ["9-", "9 ", "99, ", "http://x.id/9"] {
        let long = part.repeat(16_384 / part.len());
        is_left(&long);
        check(&format!("{long} WA 0812-3456-7890"), &format!("{long} WA [phone]"));
    }
}
