//! Figures of parts: by language, by source.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::evaluate::{Estimate, Judged, LabelFigures, accuracy, bootstrap, label_figures, macro_f1};

/// Figures of the rows that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SliceFigures {
    /// What they have in common: the language, the source.
    pub name: String,
    /// How many there are.
    pub rows: usize,
    /// Mean F1 of the labels that occur among them.
    pub macro_f1: Estimate,
    /// Share of rows whose label is right.
    pub accuracy: Estimate,
    /// By label.
    pub labels: Vec<LabelFigures>,
}

pub(crate) fn by<'a>(judged: &'a [Judged], name: impl Fn(&'a Judged) -> &'a str) -> Vec<SliceFigures> {
    let mut parts: BTreeMap<&str, Vec<Judged>> = BTreeMap::new();
    for row in judged {
        parts.entry(name(row)).or_default().push(row.clone());
    }
    let figures = parts.into_iter().map(|(name, rows)| SliceFigures {
        name: name.to_owned(),
        rows: rows.len(),
        macro_f1: bootstrap::estimate(&rows, macro_f1),
        accuracy: bootstrap::estimate(&rows, accuracy),
        labels: label_figures(&rows),
    });
    figures.collect()
}
