//! The comparison as SVG: a panel for each figure, a bar for each of those compared, with the range of its runs.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

const WIDTH: u32 = 900;
const PANEL_HEIGHT: u32 = 150;
/// Left of the bars, for names.
const NAMES_WIDTH: u32 = 330;
const FIGURES: [(&str, &str); 3] = [
    ("cpu_seconds_per_million", "CPU-seconds per million interactions (less is better)"),
    ("records_per_second", "interactions per second (more is better)"),
    ("peak_resident_mib", "peak resident memory, MiB (less is better)"),
];

/// One bar.
struct Bar {
    name: String,
    median: f64,
    min: f64,
    max: f64,
}

/// Draws what `peers --json` has printed last into the file.
pub(crate) fn plot(from: &Path, to: &Path) -> Result<()> {
    let text = std::fs::read_to_string(from).with_context(|| from.display().to_string())?;
    let line = text.lines().rfind(|line| line.starts_with('[')).context("no line of the file is a JSON array")?;
    let results: Vec<Value> = serde_json::from_str(line)?;
    let root = SVGBackend::new(to, (WIDTH, PANEL_HEIGHT * FIGURES.len() as u32 + 40)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.titled("The same job, one machine, medians and ranges", ("sans-serif", 20))?;
    for ((figure, title), area) in FIGURES.iter().zip(areas.split_evenly((FIGURES.len(), 1))) {
        let bars = results.iter().map(|result| bar(result, figure)).collect::<Result<Vec<Bar>>>()?;
        ensure!(!bars.is_empty(), "{}: nothing was compared", from.display());
        draw(&area, title, &bars)?;
    }
    root.present()?;
    Ok(())
}

fn bar(result: &Value, figure: &str) -> Result<Bar> {
    let number = |of: &str| result[figure][of].as_f64().with_context(|| format!("no {figure}.{of} in {result}"));
    let name = result["case"].as_str().context("a case without a name")?.trim_start_matches("peers: ").to_owned();
    Ok(Bar { name, median: number("median")?, min: number("min")?, max: number("max")? })
}

fn draw(area: &DrawingArea<SVGBackend<'_>, Shift>, title: &str, bars: &[Bar]) -> Result<()> {
    let most = bars.iter().map(|bar| bar.max).fold(0.0, f64::max) * 1.15;
    let rows = i32::try_from(bars.len())?;
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(5)
        .x_label_area_size(18)
        .margin_left(NAMES_WIDTH)
        .build_cartesian_2d(0.0..most, 0..rows)?;
    let mut mesh = chart.configure_mesh();
    mesh.disable_y_mesh().disable_y_axis().light_line_style(TRANSPARENT).bold_line_style(BLACK.mix(0.1));
    mesh.x_label_formatter(&|value: &f64| format!("{value:.0}")).label_style(("sans-serif", 13)).draw()?;
    for (row, bar) in (0..rows).rev().zip(bars) {
        let color = if bar.name.starts_with("sinyal") { RGBColor(0, 110, 150) } else { RGBColor(150, 150, 150) };
        chart.draw_series([Rectangle::new([(0.0, row), (bar.median, row + 1)], color.mix(0.7).filled())])?;
        chart.draw_series([Rectangle::new([(bar.min, row), (bar.max, row + 1)], BLACK.mix(0.8))])?;
        let (_, top) = chart.backend_coord(&(0.0, row + 1));
        let (_, bottom) = chart.backend_coord(&(0.0, row));
        let label = format!("{}: {:.1}", bar.name, bar.median);
        let (_, area_top) = area.get_base_pixel();
        area.draw_text(&label, &("sans-serif", 13).into_text_style(area), (8, (top + bottom) / 2 - 6 - area_top))?;
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
        let figures: Vec<String> = FIGURES.iter().map(|(figure, _)| format!("\"{figure}\":{spread}")).collect();
        let line = |name: &str| format!("{{\"case\":\"peers: {name}\",{}}}", figures.join(","));
        std::fs::write(&from, format!("said before\n[{},{}]\n", line("sinyal"), line("other"))).unwrap();
        plot(&from, &to).unwrap();
        let text = std::fs::read_to_string(&to).unwrap();
        assert!(text.contains("CPU-seconds") && text.contains("sinyal: 2.0") && text.contains("other: 2.0"), "{text}");
        std::fs::write(&from, "nothing\n").unwrap();
        assert!(plot(&from, &to).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
