//! The pieces of which inputs for the stages are made from bytes: names, texts and times, mostly few and alike, so that records meet
//! each other; now and then whatever the bytes say.

use arbitrary::Arbitrary;
use record::EpochMs;

/// Most events of one input.
pub(crate) const EVENTS_MAX: usize = 256;

const NAMES: [&str; 6] = ["warga-depok", "a", "b", "ibu ibu|paket", "café", "x"];
/// Of each label and language some; personal data, an automatic reply, and what looks like a near-duplicate.
const TEXTS: [&str; 14] = [
    "Kecewa berat, paketnya rusak dan CS tidak membalas",
    "Kecewa berat, paketnya rusak lagi dan CS tidak membalas!",
    "Sinyalnya hilang terus sejak tadi pagi, kapan diperbaiki?",
    "Tips: matikan dulu modemnya sepuluh menit baru dinyalakan lagi",
    "Kemarin saya naik kereta pagi, sampai kantor jam delapan",
    "Mantap, kurirnya ramah dan cepat sekali, terima kasih",
    "The app keeps crashing and nobody answers my emails, very disappointed",
    "Matur nuwun, pelayanane apik tenan",
    "Hatur nuhun, paketna parantos dugi",
    "Hubungi 0812-3456-7890 atau budi@contoh.co.id ya",
    "silakan DM kami ya kak",
    "ok",
    "",
    " \n\t",
];

/// An id, of few.
#[derive(Debug, Arbitrary)]
pub(crate) enum Name<'a> {
    Known(u8),
    Numbered(u8),
    Any(&'a str),
    Long(u16),
}

impl Name<'_> {
    pub(crate) fn text(&self) -> String {
        match self {
            Name::Known(place) => NAMES[usize::from(*place) % NAMES.len()].to_owned(),
            Name::Numbered(number) => format!("n-{number}"),
            Name::Any(text) => (*text).to_owned(),
            Name::Long(bytes) => "l".repeat(usize::from(*bytes) % 300),
        }
    }
}

/// What somebody writes.
#[derive(Debug, Arbitrary)]
pub(crate) enum Words<'a> {
    Ours(u8),
    Two(u8, u8),
    Any(&'a str),
    Long { piece: u8, times: u16 },
}

impl Words<'_> {
    pub(crate) fn text(&self) -> String {
        let ours = |place: u8| TEXTS[usize::from(place) % TEXTS.len()];
        match *self {
            Words::Ours(place) => ours(place).to_owned(),
            Words::Two(one, two) => format!("{} {}", ours(one), ours(two)),
            Words::Any(text) => text.to_owned(),
            Words::Long { piece, times } => ours(piece).repeat(usize::from(times) % 2_000),
        }
    }
}

/// A time beside the clock.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) enum When {
    Before { seconds: u8 },
    LongBefore { minutes: u16 },
    After { seconds: u8 },
    At(EpochMs),
}

impl When {
    pub(crate) fn at(self, now: EpochMs) -> EpochMs {
        match self {
            When::Before { seconds } => now - i64::from(seconds) * 1_000,
            When::LongBefore { minutes } => now - i64::from(minutes) * 60_000,
            When::After { seconds } => now + i64::from(seconds) * 2_000,
            When::At(at) => at,
        }
    }
}

/// How far the clock goes on.
#[derive(Debug, Clone, Copy, Arbitrary)]
pub(crate) enum Forward {
    Seconds(u8),
    Minutes(u8),
    Hours(u8),
    /// A wall clock that was put back.
    Back {
        seconds: u8,
    },
}

impl Forward {
    pub(crate) fn from(self, now: EpochMs) -> EpochMs {
        match self {
            Forward::Seconds(seconds) => now + i64::from(seconds) * 1_000,
            Forward::Minutes(minutes) => now + i64::from(minutes) * 60_000,
            Forward::Hours(hours) => now + i64::from(hours % 48) * 3_600_000,
            Forward::Back { seconds } => now - i64::from(seconds) * 1_000,
        }
    }
}
