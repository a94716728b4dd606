//! The comparison as SVG: a panel for each figure, a bar for each of those compared, with the range of its runs.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

use super::figures::{ALL, Figure, Spread};

const BARS_WIDTH: u32 = 570;
/// Of a panel: its caption, its axis and margins, and what each bar takes at least.
const AROUND_BARS: u32 = 60;
const BAR_HEIGHT: u32 = 22;
/// Of a letter of a name, about.
const LETTER_WIDTH: u32 = 7;
/// One bar.
struct Bar {
    name: String,
    spread: Spread,
    digits: usize,
}

/// Draws what `peers --json` has printed last into the file; gives the cases that are left out because they failed.
///
/// # Errors
/// Before the file is touched, if there is nothing in it that can be drawn.
pub(crate) fn plot(from: &Path, to: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(from).with_context(|| from.display().to_string())?;
    let line = text.lines().rfind(|line| line.starts_with('[')).context("no line of the file is a JSON array")?;
    let results: Vec<Value> = serde_json::from_str(line)?;
    let (failed, done): (Vec<&Value>, Vec<&Value>) = results.iter().partition(|result| result["failed"].is_string());
    ensure!(!done.is_empty(), "{}: nothing was compared", from.display());
    let mut panels = Vec::new();
    for figure in ALL {
        let bars: Vec<Bar> = done.iter().filter_map(|result| bar(result, figure)).collect();
        if !bars.is_empty() {
            panels.push((figure.title, bars));
        }
    }
    ensure!(!panels.is_empty(), "{}: nothing of it is a figure that is drawn", from.display());
    let letters = panels.iter().flat_map(|(_, bars)| bars).map(|bar| bar.label().chars().count()).max().unwrap_or(0);
    let names_width = u32::try_from(letters)? * LETTER_WIDTH;
    let panel_height = AROUND_BARS + BAR_HEIGHT * u32::try_from(done.len())?.max(4);
    let size = (names_width + BARS_WIDTH, panel_height * panels.len() as u32 + 40);
    let root = SVGBackend::new(to, size).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.titled("The same job, one machine, medians and ranges", ("sans-serif", 20))?;
    for ((title, bars), area) in panels.iter().zip(areas.split_evenly((panels.len(), 1))) {
        draw(&area, title, bars, names_width)?;
    }
    root.present()?;
    Ok(failed.iter().filter_map(|result| result["case"].as_str().map(str::to_owned)).collect())
}

impl Bar {
    fn label(&self) -> String {
        format!("{}: {:.*}", self.name, self.digits.max(1), self.spread.median)
    }
}

fn bar(result: &Value, figure: &Figure) -> Option<Bar> {
    Some(Bar { name: name(result), spread: Spread::in_told(result, figure)?, digits: figure.digits })
}

/// What was measured, without what all of it has before its name.
pub(super) fn name(result: &Value) -> String {
    let case = result["case"].as_str().unwrap_or("without a name");
    case.split_once(": ").map_or(case, |(_, name)| name).to_owned()
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, title: &str, bars: &[Bar], names_width: u32) -> Result<()> {
    let most = bars.iter().map(|bar| bar.spread.max).fold(0.0, f64::max) * 1.15;
    let rows = i32::try_from(bars.len())?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(5)
        .x_label_area_size(18)
        .margin_left(names_width)
        .build_cartesian_2d(0.0..most, 0..rows)?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_y_mesh().disable_y_axis().light_line_style(TRANSPARENT).bold_line_style(BLACK.mix(0.1));
    mesh.x_label_formatter(&|value: &f64| format!("{value:.0}")).label_style(("sans-serif", 13)).draw()?;
    for (row, bar) in (0..rows).rev().zip(bars) {
        let color = if bar.name.starts_with("sinyal") { RGBColor(0, 110, 150) } else { RGBColor(150, 150, 150) };
        chart.draw_series([Rectangle::new([(0.0, row), (bar.spread.median, row + 1)], color.mix(0.7).filled())])?;
        chart.draw_series([Rectangle::new([(bar.spread.min, row), (bar.spread.max, row + 1)], BLACK.mix(0.8))])?;
        let (_, top) = chart.backend_coord(&(0.0, row + 1));
        let (_, bottom) = chart.backend_coord(&(0.0, row));
        let (_, area_top) = area.get_base_pixel();
        area.draw_text(
            &bar.label(),
            &("sans-serif", 13).into_text_style(area),
            (8, (top + bottom) / 2 - 6 - area_top),
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_is_drawn() {
        let folder = std::env::temp_dir().join(format!("sinyal-peers-plot-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (from, to) = (folder.join("peers.json"), folder.join("peers.svg"));
        let spread = r#"{"median":2.0,"min":1.0,"max":3.0}"#;
        let figures: Vec<String> = ALL.iter().map(|figure| format!("\"{}\":{spread}", figure.key)).collect();
        let line = |name: &str| format!("{{\"case\":\"peers: {name}\",{}}}", figures.join(","));
        let failed = r#"{"case":"peers: third","failed":"it ended: out of memory"}"#;
        std::fs::write(&from, format!("said before\n[{},{},{failed}]\n", line("sinyal"), line("other"))).unwrap();
        assert_eq!(plot(&from, &to).unwrap(), ["peers: third"]);
        let text = std::fs::read_to_string(&to).unwrap();
        assert!(text.contains("CPU-seconds") && text.contains("sinyal: 2.0") && text.contains("other: 2.0"), "{text}");
        for wrong in ["nothing\n".to_owned(), format!("[{failed}]\n"), "[{\"case\":\"latency: sinyal\"}]\n".to_owned()]
        {
            std::fs::write(&from, wrong).unwrap();
            assert!(plot(&from, &to).is_err());
        }
        assert_eq!(std::fs::read_to_string(&to).unwrap(), text, "what was drawn before stays");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
