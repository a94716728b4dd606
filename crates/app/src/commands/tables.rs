//! Tables on a terminal.

use comfy_table::{ColumnConstraint, Table, Width};

/// Most columns of a terminal that a cell may keep whole.
const WHOLE_MAX: usize = 120;

/// Keeps what is so long in a column on one line, whatever the terminal's width: it is there to be copied.
pub(super) fn whole(table: &mut Table, column: usize, length: usize) {
    // One column of blank on each side belongs to the cell.
    let width = u16::try_from(length.min(WHOLE_MAX) + 2).unwrap_or(u16::MAX);
    if let Some(column) = table.column_mut(column) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    }
}

/// A text on one line, without what a terminal would take for a command of its own: somebody else wrote it.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { ' ' } else { one }).collect()
}

/// Says beside a list in JSON that there is more than it shows.
pub(super) fn cut(count: usize, shown: usize) {
    if count > shown {
        eprintln!("{shown} of {count}; --limit shows more");
    }
}

#[cfg(test)]
mod tests {
    use comfy_table::ContentArrangement;

    use super::*;

    #[test]
    fn nothing_is_left_that_a_terminal_obeys() {
        assert_eq!(printable("\u{1b}]0;x\u{7}satu\r\ndua\t\u{9b}2J é"), " ]0;x satu  dua  2J é");
    }

    #[test]
    fn a_key_stays_whole_on_a_narrow_terminal() {
        let key = "warga-kota-bandung|comment|c-0001784";
        let mut table = Table::new();
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(50);
        table.add_row(["many words that need a lot of room", &format!("{key}\n{}", "words ".repeat(30))]);
        assert!(!table.to_string().contains(key));
        whole(&mut table, 1, key.len());
        assert!(table.to_string().contains(key), "{table}");
    }
}
