//! The plot of a soak, as SVG: what stands should be seen to stand.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Result, ensure};
use plotters::coord::Shift;
use plotters::prelude::*;

use super::following::STATE;
use super::samples::{Kind, Row};
use super::verdict::{end, lag};

const WIDTH: u32 = 1_000;
const PANEL_HEIGHT: u32 = 200;
const MIB: f64 = (1 << 20) as f64;

/// A panel: its title, and its lines, each with a name and points in minutes.
struct Panel {
    title: &'static str,
    lines: BTreeMap<String, Vec<(f64, f64)>>,
}

/// Draws all that there is, with a mark for each fault.
pub(crate) fn draw(rows: &[Row], title: &str, path: &Path) -> Result<()> {
    let minutes = end(rows) / 60.0;
    ensure!(minutes > 0.0, "there is nothing to draw");
    let faults = rows.iter().filter(|row| row.kind == Kind::Fault).map(|row| row.seconds / 60.0);
    let faults: Vec<f64> = faults.filter(|at| *at <= minutes).collect();
    let panels = panels(rows);
    let height = PANEL_HEIGHT * u32::try_from(panels.len())? + 30;
    let root = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.titled(title, ("sans-serif", 20))?.split_evenly((panels.len(), 1));
    for (panel, area) in panels.iter().zip(&areas) {
        panel.draw(area, minutes, &faults)?;
    }
    root.present()?;
    Ok(())
}

fn panels(rows: &[Row]) -> Vec<Panel> {
    let of_replicas =
        |figure: fn(&Row) -> Option<f64>| lines(rows.iter().filter(|row| row.kind == Kind::Replica), figure);
    let of_state = |figure: fn(&Row) -> Option<f64>| {
        lines(rows.iter().filter(|row| row.kind == Kind::Topic && STATE.contains(&row.name.as_str())), figure)
    };
    let all: Vec<&Row> = rows.iter().collect();
    let behind = lag(&all).into_iter().map(|(seconds, lag)| (seconds / 60.0, lag)).collect();
    vec![
        Panel { title: "resident, MiB", lines: of_replicas(|row| Some(row.resident_bytes? as f64 / MIB)) },
        Panel { title: "open handles", lines: of_replicas(|row| Some(row.handles? as f64)) },
        Panel { title: "threads", lines: of_replicas(|row| Some(row.threads? as f64)) },
        Panel { title: "interactions known by identity", lines: of_replicas(|row| Some(row.known_ids? as f64)) },
        Panel { title: "lag, records", lines: BTreeMap::from([("all replicas".to_owned(), behind)]) },
        Panel { title: "keys with a value, of compacted topics", lines: of_state(|row| Some(row.live_keys? as f64)) },
        Panel {
            title: "stored on all brokers, MiB, of compacted topics",
            lines: of_state(|row| Some(row.stored_bytes? as f64 / MIB)),
        },
    ]
}

/// A line for each name.
fn lines<'a>(
    rows: impl Iterator<Item = &'a Row>,
    figure: fn(&Row) -> Option<f64>,
) -> BTreeMap<String, Vec<(f64, f64)>> {
    let mut lines: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        if let Some(figure) = figure(row) {
            lines.entry(row.name.clone()).or_default().push((row.seconds / 60.0, figure));
        }
    }
    lines
}

impl Panel {
    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, Shift>, minutes: f64, faults: &[f64]) -> Result<()> {
        let points = self.lines.values().flatten();
        let most = points.map(|point| point.1).fold(0.0, f64::max).max(1.0) * 1.1;
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 17))
            .margin(5)
            .x_label_area_size(20)
            .y_label_area_size(70)
            .build_cartesian_2d(0.0..minutes, 0.0..most)?;
        let (time, value) = (|minutes: &f64| format!("{minutes:.0} min"), |value: &f64| format!("{value:.0}"));
        let mut mesh = chart.configure_mesh();
        mesh.disable_x_mesh().light_line_style(TRANSPARENT).bold_line_style(BLACK.mix(0.1)).y_labels(5);
        mesh.x_label_formatter(&time).y_label_formatter(&value).label_style(("sans-serif", 14)).draw()?;
        for &at in faults {
            chart.draw_series(LineSeries::new([(at, 0.0), (at, most)], BLACK.mix(0.12)))?;
        }
        for (at, (name, points)) in self.lines.iter().enumerate() {
            let color = Palette99::pick(at).to_rgba();
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color))?
                .label(name.as_str())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 14, y)], color));
        }
        if !self.lines.is_empty() {
            let mut labels = chart.configure_series_labels();
            labels.position(SeriesLabelPosition::LowerRight).label_font(("sans-serif", 14));
            labels.background_style(WHITE.mix(0.8)).draw()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_drawn_of_whatever_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("soak.svg");
        let replica = |seconds: f64, resident: u64| Row {
            seconds,
            kind: Kind::Replica,
            name: "classify-a".to_owned(),
            resident_bytes: Some(resident),
            ..Row::default()
        };
        let fault = Row { seconds: 60.0, kind: Kind::Fault, name: "kill -9".to_owned(), ..Row::default() };
        draw(&[replica(10.0, 1 << 20), fault, replica(120.0, 3 << 20)], "a soak", &path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("<svg") && text.trim_end().ends_with("</svg>"), "{text}");
        for expected in ["a soak", "resident, MiB", "classify-a", "<polyline"] {
            assert!(text.contains(expected), "{expected} is not in {text}");
        }
        assert!(draw(&[], "nothing", &path).is_err());
    }
}
