//! What the evaluation came to, as tables and as JSON.

use comfy_table::{Table, presets};
use serde_json::{Value, json};

use super::replay::Judged;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
/// The detectors, in the order of outcomes.
pub(super) const NAMES: [&str; 4] = ["rules", "fixed threshold", "z-score", "ideal"];

/// Crises that have something in common.
pub(super) struct Band {
    pub(super) name: &'static str,
    holds: fn(&Judged) -> bool,
}

/// Of strength, ramp, size, and of the aim.
pub(super) const BANDS: [Band; 15] = [
    Band { name: "all crises", holds: |_| true },
    Band { name: "aim: ≥ 5×, ≥ 20/h", holds: |month| strength(month) >= 5.0 && month.rate_per_hour >= 20.0 },
    Band {
        name: "of these, ramp ≤ 15 min",
        holds: |month| strength(month) >= 5.0 && month.rate_per_hour >= 20.0 && ramp_ms(month) <= 15 * MINUTE_MS,
    },
    Band { name: "strength 2 to 5", holds: |month| strength(month) < 5.0 },
    Band { name: "strength 5 to 10", holds: |month| (5.0..10.0).contains(&strength(month)) },
    Band { name: "strength 10 to 20", holds: |month| strength(month) >= 10.0 },
    Band { name: "ramp none", holds: |month| ramp_ms(month) == 0 },
    Band { name: "ramp to 15 min", holds: |month| (1..=15 * MINUTE_MS).contains(&ramp_ms(month)) },
    Band { name: "ramp 15 min to 2 h", holds: |month| (15 * MINUTE_MS + 1..2 * HOUR_MS).contains(&ramp_ms(month)) },
    Band { name: "ramp 2 to 6 h", holds: |month| ramp_ms(month) >= 2 * HOUR_MS },
    Band { name: "0.2 to 2/h", holds: |month| month.rate_per_hour < 2.0 },
    Band { name: "2 to 20/h", holds: |month| (2.0..20.0).contains(&month.rate_per_hour) },
    Band { name: "20 to 100/h", holds: |month| (20.0..100.0).contains(&month.rate_per_hour) },
    Band { name: "100 to 500/h", holds: |month| month.rate_per_hour >= 100.0 },
    Band { name: "under 5×, or under 20/h", holds: |month| strength(month) < 5.0 || month.rate_per_hour < 20.0 },
];

fn strength(month: &Judged) -> f64 {
    month.crisis.map_or(0.0, |crisis| crisis.strength)
}

fn ramp_ms(month: &Judged) -> i64 {
    month.crisis.map_or(0, |crisis| crisis.ramp_ms)
}

/// What one detector did of the crises of a band.
pub(super) struct Figures {
    pub(super) recall: f64,
    /// Half of the crises are told of within so long; `None` if fewer than half are told of at all.
    pub(super) median_delay_ms: Option<i64>,
}

/// The crises of a band, and the figures of each detector.
pub(super) fn figures(months: &[Judged], band: &Band) -> (usize, [Figures; 4]) {
    let crises: Vec<&Judged> = months.iter().filter(|month| month.crisis.is_some() && (band.holds)(month)).collect();
    let of = |detector: usize| {
        let mut delays: Vec<i64> =
            crises.iter().map(|month| month.outcomes[detector].delay_ms.unwrap_or(i64::MAX)).collect();
        delays.sort_unstable();
        let found = delays.iter().filter(|&&delay| delay < i64::MAX).count();
        let median = delays.get(delays.len().saturating_sub(1) / 2).copied().filter(|&delay| delay < i64::MAX);
        Figures { recall: found as f64 / crises.len().max(1) as f64, median_delay_ms: median }
    };
    (crises.len(), [0, 1, 2, 3].map(of))
}

/// How much later than the ideal the rules are, at the median of the crises that both tell of.
pub(super) fn beyond_ideal_ms(months: &[Judged], band: &Band) -> Option<i64> {
    let mut beyond: Vec<i64> = months
        .iter()
        .filter(|month| month.crisis.is_some() && (band.holds)(month))
        .filter_map(|month| Some(month.outcomes[0].delay_ms? - month.outcomes[3].delay_ms?))
        .collect();
    beyond.sort_unstable();
    beyond.get(beyond.len().saturating_sub(1) / 2).copied()
}

/// Recall and delay by band.
pub(super) fn table(months: &[Judged]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let mut header = vec!["crises".to_owned(), "n".to_owned()];
    header.extend(NAMES.iter().map(|name| format!("{name}: recall, median delay")));
    header.push("rules beyond ideal".to_owned());
    table.set_header(header);
    for band in &BANDS {
        let (crises, figures) = figures(months, band);
        let mut row = vec![band.name.to_owned(), crises.to_string()];
        let none = crises == 0;
        row.extend(figures.iter().map(|figures| match none {
            true => "–".to_owned(),
            false => format!("{:.2}, {}", figures.recall, duration(figures.median_delay_ms)),
        }));
        row.push(beyond_ideal_ms(months, band).map_or("–".to_owned(), signed));
        table.add_row(row);
    }
    table
}

/// False pages a community-month, by size and by what was going on.
pub(super) fn false_pages(months: &[Judged]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::ASCII_MARKDOWN);
    let mut header = vec!["false pages a community-month".to_owned(), "months".to_owned()];
    header.extend(NAMES.map(str::to_owned));
    table.set_header(header);
    let sizes: [(&str, f64, f64); 5] = [
        ("all", 0.0, 1e9),
        ("0.2 to 2/h", 0.0, 2.0),
        ("2 to 20/h", 2.0, 20.0),
        ("20 to 100/h", 20.0, 100.0),
        ("100 to 500/h", 100.0, 1e9),
    ];
    for (name, least, most) in sizes {
        let of_size: Vec<&Judged> =
            months.iter().filter(|month| (least..most).contains(&month.rate_per_hour)).collect();
        let mut row = vec![name.to_owned(), of_size.len().to_string()];
        row.extend([0, 1, 2, 3].map(|detector| {
            let pages: usize = of_size.iter().map(|month| month.outcomes[detector].false_pages.len()).sum();
            format!("{:.3} ({pages})", pages as f64 / of_size.len().max(1) as f64)
        }));
        table.add_row(row);
    }
    for scenario in sim::scenario::Scenario::BENIGN.map(Some).into_iter().chain([None]) {
        let name = scenario.map_or("nothing going on", sim::scenario::Scenario::as_str);
        let mut row = vec![format!("of these, {name}"), String::new()];
        row.extend([0, 1, 2, 3].map(|detector| {
            let pages = months.iter().flat_map(|month| &month.outcomes[detector].false_pages);
            pages.filter(|&&during| during == scenario).count().to_string()
        }));
        table.add_row(row);
    }
    table
}

/// All of it for a program.
pub(super) fn to_json(months: &[Judged]) -> Value {
    let bands: Vec<Value> = BANDS
        .iter()
        .map(|band| {
            let (crises, figures) = figures(months, band);
            let detectors: serde_json::Map<String, Value> = NAMES
                .iter()
                .zip(&figures)
                .map(|(&name, figures)| {
                    let Figures { recall, median_delay_ms } = figures;
                    (name.to_owned(), json!({"recall": recall, "median_delay_ms": median_delay_ms}))
                })
                .collect();
            json!({
                "band": band.name, "crises": crises, "detectors": detectors,
                "rules_beyond_ideal_ms": beyond_ideal_ms(months, band),
            })
        })
        .collect();
    let pages = |detector: usize| months.iter().map(|month| month.outcomes[detector].false_pages.len()).sum::<usize>();
    let false_pages: serde_json::Map<String, Value> =
        NAMES.iter().enumerate().map(|(at, &name)| (name.to_owned(), pages(at).into())).collect();
    json!({"community_months": months.len(), "bands": bands, "false_pages": false_pages})
}

fn duration(ms: Option<i64>) -> String {
    let Some(ms) = ms else { return "–".to_owned() };
    let minutes = ms as f64 / MINUTE_MS as f64;
    if minutes < 100.0 { format!("{minutes:.1} min") } else { format!("{:.1} h", minutes / 60.0) }
}

fn signed(ms: i64) -> String {
    let sign = if ms < 0 { "−" } else { "+" };
    format!("{sign}{}", duration(Some(ms.abs())))
}
