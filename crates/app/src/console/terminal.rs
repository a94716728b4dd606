//! The live view in a terminal.

use std::time::Duration;

use anyhow::Result;
use crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph, Sparkline, Wrap};
use ratatui::{DefaultTerminal, Frame};
use record::Label;

use super::{CommunityRow, Snapshot, jakarta};

/// Most alerts that are shown.
const ALERTS_SHOWN: usize = 2;

const COLORS: [Color; Label::ALL.len()] = [Color::Red, Color::Yellow, Color::Cyan, Color::Green, Color::DarkGray];

pub(crate) struct TerminalView {
    terminal: DefaultTerminal,
}

impl TerminalView {
    pub(super) fn open() -> Result<TerminalView> {
        // It restores the terminal when the program panics, too.
        Ok(TerminalView { terminal: ratatui::try_init()? })
    }

    pub(super) fn draw(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.terminal.draw(|frame| show(frame, snapshot))?;
        Ok(())
    }

    pub(super) fn wants_quit(&mut self) -> Result<bool> {
        while event::poll(Duration::ZERO)? {
            if let Event::Key(key) = event::read()? {
                let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
                if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

impl Drop for TerminalView {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn show(frame: &mut Frame<'_>, snapshot: &Snapshot) {
    let rows = u16::try_from(snapshot.communities.len()).unwrap_or(u16::MAX).saturating_add(3);
    // A sentence takes two lines on all but wide terminals.
    let lines = if frame.area().width < 150 { 3 } else { 2 };
    let alerts_height = u16::try_from(snapshot.alerts.len().min(ALERTS_SHOWN)).unwrap_or(0) * lines + 2;
    let [head, communities, alerts, queues, foot] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Max(rows.max(4)),
        Constraint::Length(alerts_height.max(3)),
        Constraint::Max(u16::try_from(snapshot.queues.len()).unwrap_or(5) + 2),
        Constraint::Length(2),
    ])
    .areas(frame.area());
    show_head(frame, head, snapshot);
    show_communities(frame, communities, snapshot);
    show_alerts(frame, alerts, snapshot);
    show_queues(frame, queues, snapshot);
    show_foot(frame, foot, snapshot);
}

fn show_head(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let first = Line::from(vec![
        " Sinyal ".bold().white().on_blue(),
        format!("  {}", jakarta(snapshot.event_time)).bold(),
        format!("   {:.0}× speed", snapshot.speed).dim(),
        format!("   {:.0} classified/s", snapshot.per_second).into(),
        format!(
            "   fast {:.0} %  deep {:.0} %  unsure {:.0} %",
            (1.0 - snapshot.share_deep) * 100.0,
            snapshot.share_deep * 100.0,
            snapshot.share_abstained * 100.0
        )
        .dim(),
    ]);
    let second = Line::from(format!(
        " classified {}   again {}   late {}   panes {}   dead letters {}",
        snapshot.classified, snapshot.deduplicated, snapshot.late, snapshot.panes, snapshot.dead_letters
    ));
    frame.render_widget(Paragraph::new(vec![first, second]), area);
}

fn show_communities(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let legend: Vec<Span<'_>> = Label::ALL
        .into_iter()
        .zip(COLORS)
        .flat_map(|(label, color)| [Span::styled("■ ", color), Span::from(format!("{label}  "))])
        .collect();
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .title(" communities, last 5 minutes ")
        .title_bottom(Line::from(legend).right_aligned());
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let name_width = snapshot.communities.iter().map(|row| row.id.chars().count()).max().unwrap_or(8).min(24) as u16;
    let bar_width = inner.width.saturating_sub(name_width + 12).saturating_sub(inner.width / 4).max(10);
    let most: i64 = snapshot.communities.iter().map(|row| row.labels.iter().sum()).max().unwrap_or(1).max(1);
    let header = Line::from(format!("{:<width$}  /min  ", "", width = usize::from(name_width))).dim();
    frame.render_widget(Paragraph::new(header), Rect { height: 1.min(inner.height), ..inner });
    for (number, row) in snapshot.communities.iter().enumerate() {
        let y = inner.y + 1 + number as u16;
        if y >= inner.bottom() {
            break;
        }
        let line = Rect { y, height: 1, ..inner };
        let [name, bar, trend] = Layout::horizontal([
            Constraint::Length(name_width + 10),
            Constraint::Length(bar_width),
            Constraint::Min(8),
        ])
        .areas(line);
        frame.render_widget(name_of(row, name_width), name);
        frame.render_widget(Paragraph::new(bar_of(row, most, bar.width)), bar);
        let shown = row.trend.len().saturating_sub(usize::from(trend.width.saturating_sub(1)));
        let trend_area = Rect { x: trend.x + 1, width: trend.width.saturating_sub(1), ..trend };
        let style = Style::from(if row.is_in_crisis() { Color::Red } else { Color::Blue });
        frame.render_widget(Sparkline::default().data(&row.trend[shown..]).style(style), trend_area);
    }
}

fn name_of(row: &CommunityRow, width: u16) -> Paragraph<'_> {
    let name: String = row.id.chars().take(usize::from(width)).collect();
    let text = format!("{name:<width$} {:>5.0} ", row.per_minute, width = usize::from(width));
    let mark = if row.is_in_crisis() { "! ".red().bold() } else { "  ".into() };
    Paragraph::new(Line::from(vec![text.into(), mark]))
}

/// The labels of a community, one beside the other, as long as they are many.
fn bar_of(row: &CommunityRow, most: i64, width: u16) -> Line<'static> {
    let spans = row.labels.iter().zip(COLORS).map(|(&count, color)| {
        let cells = (count.max(0) * i64::from(width)).div_euclid(most);
        let cells = if count > 0 { cells.max(1) } else { 0 };
        Span::styled("█".repeat(usize::try_from(cells).unwrap_or(0)), color)
    });
    Line::from(spans.collect::<Vec<_>>())
}

/// The newest alerts, each with its sentence.
fn show_alerts(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let on = snapshot.alerts.iter().filter(|alert| alert.state() != "resolved").count();
    let title = format!(" alerts: {on} on, {} over ", snapshot.alerts.len() - on);
    let block = Block::bordered().border_type(BorderType::Rounded).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    if snapshot.alerts.is_empty() {
        frame.render_widget(Paragraph::new("nothing unusual".dim()), inner);
        return;
    }
    let lines = snapshot.alerts.iter().take(ALERTS_SHOWN).flat_map(|alert| {
        let color = match (alert.state(), alert.severity.as_str()) {
            ("resolved", _) => Color::Green,
            ("pending", _) => Color::Yellow,
            (_, "critical") => Color::Red,
            (_, "warning") => Color::LightRed,
            _ => Color::Cyan,
        };
        let head = Line::from(vec![
            Span::styled(format!("{:<9}", alert.state()), Style::from(color).bold()),
            format!(" {} {} ", alert.severity, alert.rule).bold(),
            format!("since {}", jakarta(alert.started_at)).dim(),
        ]);
        [head, Line::from(format!("  {}", alert.summary))]
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()).wrap(Wrap { trim: false }), inner);
}

fn show_queues(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let block = Block::bordered().border_type(BorderType::Rounded).title(" open in the response queues ");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let most = snapshot.queues.iter().map(|(_, open)| *open).max().unwrap_or(1).max(1);
    let lines = snapshot.queues.iter().map(|(name, open)| {
        let color =
            Label::ALL.into_iter().zip(COLORS).find(|(label, _)| label.as_str() == name).map(|(_, color)| color);
        let cells = open * u64::from(inner.width.saturating_sub(24)) / most;
        Line::from(vec![
            format!("{name:<12} {open:>7} ").into(),
            Span::styled("▪".repeat(usize::try_from(cells).unwrap_or(0)), color.unwrap_or(Color::Magenta)),
        ])
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inner);
}

fn show_foot(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot) {
    let lines = vec![
        Line::from(format!(
            " kcat -b {} -L     sinyal tail --bootstrap {} social.community.metrics",
            snapshot.bootstrap, snapshot.bootstrap
        ))
        .dim(),
        Line::from(" q quits. Embedded broker: in memory, at least once, gone at the end").dim(),
    ];
    frame.render_widget(Paragraph::new(lines), area);
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::console::AlertRow;

    fn screen(width: u16, height: u16) -> String {
        let snapshot = Snapshot {
            event_time: 1_795_482_000_000,
            speed: 60.0,
            per_second: 120.0,
            classified: 4_321,
            queues: vec![("complaint".into(), 40), ("review".into(), 10)],
            bootstrap: "127.0.0.1:9".into(),
            communities: vec![
                CommunityRow {
                    id: "warga-depok".into(),
                    per_minute: 12.0,
                    labels: [30, 5, 5, 10, 10],
                    trend: vec![1, 2, 3],
                },
                CommunityRow { id: "barudak-bandung".into(), labels: [16, 0, 0, 0, 0], ..CommunityRow::default() },
            ],
            alerts: vec![AlertRow {
                rule: "complaint_spike".into(),
                severity: "critical".into(),
                states: vec!["firing".into()],
                summary: "37 complaints".into(),
                ..AlertRow::default()
            }],
            ..Snapshot::default()
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| show(frame, &snapshot)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn fits_a_small_and_a_large_terminal() {
        for (width, height) in [(80, 24), (160, 50), (20, 5), (1, 1)] {
            let screen = screen(width, height);
            if width >= 80 {
                for part in [
                    "Sinyal",
                    "08:00:00 WIB",
                    "warga-depok",
                    "barudak-bandung",
                    "complaint",
                    "40",
                    "kcat -b",
                    "37 complaints",
                ] {
                    assert!(screen.contains(part), "{part} at {width}x{height}:\n{screen}");
                }
            }
        }
    }

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        let row = CommunityRow { labels: [5, 0, 0, 5, 0], ..CommunityRow::default() };
        let cells: Vec<usize> = bar_of(&row, 20, 40).spans.iter().map(|span| span.content.chars().count()).collect();
        assert_eq!(cells, [10, 0, 0, 10, 0]);
    }
}
