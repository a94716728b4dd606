//! What is to be written in one transaction: of each key the last, and up to where that is of each partition.

use std::collections::BTreeMap;

use kafka_io::subscription::Place;
use record::Position;

use super::tables::{Cell, Row, Table};

/// Where a record was, beside its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) partition: i32,
    pub(super) offset: Position,
}

/// What becomes of a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Change {
    /// Its row is this.
    Write(Vec<Cell>, Source),
    /// It has none any more.
    Delete(Vec<Cell>, Source),
}

/// How much one transaction may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

/// Changes, and the positions that go with them.
#[derive(Debug)]
pub(super) struct Batch {
    bounds: Bounds,
    /// No more records than that, until larger batches were written again.
    records_max: usize,
    changes: BTreeMap<(Table, String), Change>,
    next: BTreeMap<Place, Position>,
    records: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn new(bounds: Bounds) -> Batch {
        Batch {
            bounds,
            records_max: bounds.records,
            changes: BTreeMap::new(),
            next: BTreeMap::new(),
            records: 0,
            bytes: 0,
        }
    }

    /// A record was read, whatever becomes of it.
    pub(super) fn read(&mut self, place: &Place, offset: Position, bytes: usize) {
        self.next.insert(place.clone(), offset + 1);
        self.records += 1;
        self.bytes += bytes;
    }

    /// Its row is this.
    pub(super) fn write(&mut self, table: Table, row: Row, source: Source) {
        self.changes.insert((table, row.key), Change::Write(row.cells, source));
    }

    /// There is no row of it any more.
    pub(super) fn delete(&mut self, table: Table, key: String, cells: Vec<Cell>, source: Source) {
        self.changes.insert((table, key), Change::Delete(cells, source));
    }

    pub(super) fn is_full(&self) -> bool {
        self.records >= self.records_max || self.bytes >= self.bounds.bytes
    }

    /// Nothing was read.
    pub(super) fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// The next offset of each partition once this is written.
    pub(super) fn next(&self) -> &BTreeMap<Place, Position> {
        &self.next
    }

    /// Rows of a table, each with where its record was.
    pub(super) fn written(&self, table: Table) -> Vec<(&[Cell], Source)> {
        let written = |change| match change {
            &Change::Write(ref cells, source) => Some((cells.as_slice(), source)),
            Change::Delete(..) => None,
        };
        self.of(table).filter_map(written).collect()
    }

    /// Keys of a table that have no row any more.
    pub(super) fn deleted(&self, table: Table) -> Vec<(&[Cell], Source)> {
        let deleted = |change| match change {
            &Change::Delete(ref cells, source) => Some((cells.as_slice(), source)),
            Change::Write(..) => None,
        };
        self.of(table).filter_map(deleted).collect()
    }

    fn of(&self, table: Table) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(move |((of, _), _)| *of == table).map(|(_, change)| change)
    }

    /// Nothing is in it any more.
    pub(super) fn clear(&mut self) {
        *self = Batch { records_max: self.records_max, ..Batch::new(self.bounds) };
    }

    /// It was written: where it was as large as it may be, the next one may be an eighth larger, up to the bound. Were it twice as large,
    /// every other one would be given up where the database stays slow.
    pub(super) fn clear_written(&mut self) {
        if self.records >= self.records_max {
            self.records_max = (self.records_max + self.records_max.div_ceil(8)).min(self.bounds.records);
        }
        self.clear();
    }

    /// It took too long to write: it is given up, and the next ones are half as large. False if there is nothing to halve: it stays.
    pub(super) fn clear_and_halve(&mut self) -> bool {
        if self.records <= 1 {
            return false;
        }
        self.records_max = self.records / 2;
        self.clear();
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, cell: i64) -> Row {
        Row { key: key.to_owned(), cells: vec![Cell::Int(Some(cell))], over_at: None }
    }

    #[test]
    fn of_each_key_the_last_counts() {
        let mut batch = Batch::new(Bounds { records: 4, bytes: 1_000 });
        let place = Place { topic: "a".to_owned(), partition: 3 };
        let source = |offset| Source { partition: 3, offset };
        batch.write(Table::Alerts, row("one", 1), source(5));
        batch.write(Table::Alerts, row("one", 2), source(6));
        batch.write(Table::Alerts, row("two", 3), source(7));
        batch.delete(Table::Alerts, "two".to_owned(), vec![Cell::Int(Some(0))], source(8));
        (5..=8).for_each(|offset| {
            assert!(!batch.is_full());
            batch.read(&place, offset, 10);
        });
        assert!(batch.is_full());
        assert_eq!(batch.written(Table::Alerts), [(&[Cell::Int(Some(2))][..], source(6))]);
        assert_eq!(batch.deleted(Table::Alerts), [(&[Cell::Int(Some(0))][..], source(8))]);
        assert_eq!(batch.next(), &BTreeMap::from([(place, 9)]));
        assert!(batch.written(Table::Panes).is_empty());
        batch.clear();
        assert!(batch.is_empty() && !batch.is_full());
    }

    #[test]
    fn what_takes_too_long_is_halved_and_grows_again() {
        let mut batch = Batch::new(Bounds { records: 16, bytes: 1_000 });
        let read = |batch: &mut Batch| {
            let place = Place { topic: "a".to_owned(), partition: 0 };
            let mut count = 0;
            while !batch.is_full() {
                batch.read(&place, count, 1);
                count += 1;
            }
            count
        };
        assert_eq!(read(&mut batch), 16);
        assert!(batch.clear_and_halve());
        assert_eq!(read(&mut batch), 8);
        assert!(batch.clear_and_halve());
        for expected in [4, 5, 6, 7, 8, 9, 11, 13, 15, 16, 16] {
            assert_eq!(read(&mut batch), expected);
            batch.clear_written();
        }
        // One that was not full tells nothing of what fits.
        read(&mut batch);
        assert!(batch.clear_and_halve());
        batch.read(&Place { topic: "a".to_owned(), partition: 0 }, 0, 1);
        batch.clear_written();
        for expected in [8, 4, 2, 1] {
            assert_eq!(read(&mut batch), expected);
            if expected > 1 {
                assert!(batch.clear_and_halve());
            }
        }
        assert!(!batch.clear_and_halve() && !batch.is_empty());
    }

    #[test]
    fn bytes_fill_it_too() {
        let mut batch = Batch::new(Bounds { records: 100, bytes: 1_000 });
        batch.read(&Place { topic: "a".to_owned(), partition: 0 }, 0, 1_000);
        assert!(batch.is_full());
    }
}
