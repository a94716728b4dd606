//! Shares of what was counted over the last while.

use std::collections::VecDeque;

use record::EpochMs;

use super::words::percent;
use super::{Counts, Finding, Settings};

/// Into how many parts the time is cut over which shares are taken.
const PARTS: i64 = 120;

#[derive(Debug, Default)]
pub(super) struct Shares {
    /// By the time of the first observation of each part, oldest first.
    parts: VecDeque<(EpochMs, Counts)>,
    sum: Counts,
}

impl Shares {
    pub(super) fn observe(&mut self, now: EpochMs, counts: Counts, window_ms: i64) {
        match self.parts.back_mut() {
            Some((at, part)) if now >= *at && (now - *at) * PARTS < window_ms => part.add(&counts),
            _ => self.parts.push_back((now, counts)),
        }
        // What was counted while the clock was ahead goes too.
        while self.parts.front().is_some_and(|(at, _)| *at <= now - window_ms || *at > now)
            || self.parts.len() > PARTS as usize + 8
        {
            self.parts.pop_front();
        }
        self.sum = Counts::default();
        self.parts.iter().for_each(|(_, part)| self.sum.add(part));
    }

    pub(super) fn late(&self, now: EpochMs, settings: &Settings) -> Option<Finding> {
        let Counts { late, in_rows, .. } = self.sum;
        let share = late / in_rows;
        if in_rows < settings.records_min as f64 || share < settings.late_share {
            return None;
        }
        let share = percent(share);
        Some(Finding {
            since: now,
            en: format!(
                "{share} of what is in the shortest window's rows came late: rows were written without it and mended, or miss \
                 it. Is a crawler behind, or its clock?"
            ),
            id: format!(
                "{share} dari isi baris jendela terpendek datang terlambat: baris ditulis tanpanya lalu diperbaiki, atau tetap \
                 kurang. Apakah perayap tertinggal, atau jamnya salah?"
            ),
        })
    }

    pub(super) fn dead_letters(&self, now: EpochMs, settings: &Settings) -> Option<Finding> {
        let Counts { dead_letters, consumed, .. } = self.sum;
        // Those of the community stage are not of what was consumed here: so never more than all.
        let of = consumed.max(dead_letters);
        let share = dead_letters as f64 / of as f64;
        if of < settings.records_min || share < settings.dead_letter_share {
            return None;
        }
        let share = percent(share);
        Some(Finding {
            since: now,
            en: format!(
                "{dead_letters} records ({share} of what was read) could not be used and are dead letters. Look at their reasons \
                 and mend the producer"
            ),
            id: format!(
                "{dead_letters} rekaman ({share} dari yang dibaca) tidak dapat dipakai dan menjadi surat mati. Lihat alasannya \
                 dan perbaiki pengirimnya"
            ),
        })
    }

    pub(super) fn abstention(&self, now: EpochMs, settings: &Settings) -> Option<Finding> {
        let Counts { abstained, sampled, .. } = self.sum;
        let share = abstained as f64 / sampled as f64;
        if sampled < settings.records_min || share < settings.abstained_share {
            return None;
        }
        let share = percent(share);
        Some(Finding {
            since: now,
            en: format!(
                "The classifier was unsure of {share} of the interactions; they go to review and to no department. Is it a new \
                 subject or language?"
            ),
            id: format!(
                "Pengklasifikasi ragu atas {share} interaksi; semuanya masuk tinjauan dan tidak ke departemen mana pun. Apakah \
                 ada topik atau bahasa baru?"
            ),
        })
    }

    pub(super) fn degraded(&self, now: EpochMs, settings: &Settings) -> Option<Finding> {
        let Counts { deep, deep_skipped, never_asked, .. } = self.sum;
        let wanted = deep + deep_skipped;
        if wanted >= settings.records_min {
            let share = deep as f64 / wanted as f64;
            if share > settings.deep_answered_share {
                return None;
            }
            let share = percent(share);
            return Some(Finding {
                since: now,
                en: format!(
                    "The deep tier answered {share} of the texts that the fast one was unsure of. Are its threads at work, and \
                     is its budget enough?"
                ),
                id: format!(
                    "Lapis dalam hanya menjawab {share} dari teks yang diragukan lapis cepat. Apakah utasnya bekerja dan \
                     anggarannya cukup?"
                ),
            });
        }
        (wanted == 0 && never_asked >= settings.records_min).then(|| Finding {
            since: now,
            en: format!(
                "The fast tier was unsure of {never_asked} texts, and the deep tier was asked about none. Do the classify \
                 replicas have it?"
            ),
            id: format!(
                "Lapis cepat ragu atas {never_asked} teks, dan lapis dalam tidak ditanya sama sekali. Apakah replika classify \
                 memilikinya?"
            ),
        })
    }
}

impl Counts {
    /// Both together.
    pub fn add(&mut self, more: &Counts) {
        let Counts { consumed, dead_letters, sampled, abstained, deep, deep_skipped, never_asked, in_rows, late } =
            more;
        self.consumed += consumed;
        self.dead_letters += dead_letters;
        self.sampled += sampled;
        self.abstained += abstained;
        self.deep += deep;
        self.deep_skipped += deep_skipped;
        self.never_asked += never_asked;
        self.in_rows += in_rows;
        self.late += late;
    }
}
