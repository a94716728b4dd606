//! Tab-separated files, checked: every mistake is told with its file and line.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// Some columns of a file.
pub(super) struct Table {
    pub(super) rows: Vec<TableRow>,
}

/// A line: its number, and its cells in the order of the columns that were asked for.
pub(super) struct TableRow {
    /// File name and line, for messages.
    pub(super) place: String,
    pub(super) cells: Vec<String>,
}

/// The columns of a file by name.
///
/// # Errors
/// The file cannot be read, has no such column, a line of another length, or no line at all.
pub(super) fn table(path: &Path, columns: &[&str]) -> Result<Table> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let mut places = Vec::new();
    for column in columns {
        match header.iter().position(|name| name == column) {
            Some(place) => places.push(place),
            None => bail!("{name} line 1: no column {column:?}; it has {header:?}, and {columns:?} are needed"),
        }
    }
    let mut rows = Vec::new();
    for (number, line) in lines.enumerate() {
        let place = format!("{name} line {}", number + 2);
        let cells: Vec<&str> = line.split('\t').collect();
        ensure!(cells.len() == header.len(), "{place}: {} cells; {} are right", cells.len(), header.len());
        rows.push(TableRow { place, cells: places.iter().map(|&place| cells[place].to_owned()).collect() });
    }
    ensure!(!rows.is_empty(), "{name}: no line below the header");
    Ok(Table { rows })
}

/// The same, or nothing if there is no such file.
pub(super) fn table_if_there(path: &Path, columns: &[&str]) -> Result<Option<Table>> {
    if path.exists() { table(path, columns).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_by_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.tsv");
        let check = |text: &str, expected: Result<usize, &str>| {
            fs::write(&path, text).unwrap();
            let found = table(&path, &["id", "text"]).map(|table| table.rows.len());
            assert_eq!(found.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
        };
        check("id\tlang\ttext\na\tid\tx\nb\tid\ty\n", Ok(2));
        check("id\ttext\na\tx\nb\n", Err("rows.tsv line 3: 1 cells; 2 are right"));
        check(
            "id\tlabel\n",
            Err("rows.tsv line 1: no column \"text\"; it has [\"id\", \"label\"], and [\"id\", \"text\"] are needed"),
        );
        check("id\ttext\n", Err("rows.tsv: no line below the header"));
    }
}
