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

#[cfg(test)]
mod tests {
    use comfy_table::ContentArrangement;

    use super::*;

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
