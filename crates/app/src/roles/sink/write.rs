//! One transaction: the positions are what they were, the rows of a batch, the positions as they are then.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use record::EpochMs;
use tokio_postgres::Transaction;
use tokio_postgres::types::ToSql;

use super::batch::{Batch, Source};
use super::database::{Live, Positions, Trouble, TroubleKind, columns, limits};
use super::tables::{Cell, Kind, Table};

/// What became of the changes of a batch.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    pub(super) written: u64,
    pub(super) deleted: u64,
    /// What is there is as new.
    pub(super) unchanged: u64,
    pub(super) refused: u64,
}

pub(super) type Written = BTreeMap<Table, Outcomes>;

/// Parameters of a statement.
type Arrays = Vec<Box<dyn ToSql + Sync + Send>>;
/// A row, or a key, and where its record was.
type Changed<'a> = (&'a [Cell], Source);

/// Writes a batch. `carefully`: rows that the database refuses are left out, and told.
pub(super) async fn write(
    live: &mut Live,
    schema: &str,
    timeout: Duration,
    batch: &Batch,
    expected: &Positions,
    carefully: bool,
) -> Result<Written, Trouble> {
    // Before the transaction: a savepoint that is given up would take what was prepared in it along.
    for table in Table::ALL {
        for deletes in [true, false] {
            if !live.prepared.contains_key(&(table, deletes)) {
                let sql = if deletes { delete_sql(schema, table) } else { upsert_sql(schema, table) };
                let statement = live.client.prepare(&sql).await?;
                live.prepared.insert((table, deletes), statement);
            }
        }
    }
    let Live { client, prepared } = live;
    let mut transaction = client.transaction().await?;
    transaction.batch_execute(&limits(timeout)).await?;
    hold_positions(&transaction, schema, batch, expected).await?;
    let mut written = Written::new();
    for table in Table::ALL {
        let outcomes = written.entry(table).or_default();
        for deletes in [true, false] {
            let changes = if deletes { batch.deleted(table) } else { batch.written(table) };
            if changes.is_empty() {
                continue;
            }
            let statement = &prepared[&(table, deletes)];
            let kinds = if deletes { table.key() } else { table.columns() };
            let (changed, refused) = if carefully {
                write_halves(&mut transaction, statement, table, kinds, changes.as_slice()).await?
            } else {
                (execute(&transaction, statement, kinds, &changes).await?, 0)
            };
            let unchanged = changes.len() as u64 - refused - changed;
            let count = if deletes { &mut outcomes.deleted } else { &mut outcomes.written };
            *count += changed;
            outcomes.unchanged += unchanged;
            outcomes.refused += refused;
        }
    }
    move_positions(&transaction, schema, batch).await?;
    transaction.commit().await?;
    Ok(written)
}

/// Locks the positions, always in the same order, and sees that nobody has moved them.
async fn hold_positions(
    transaction: &Transaction<'_>,
    schema: &str,
    batch: &Batch,
    expected: &Positions,
) -> Result<(), Trouble> {
    let (topics, partitions) = columns(batch.next().keys());
    let select = format!(
        "SELECT topic, partition, next_offset FROM \"{schema}\".sink_positions \
         WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::integer[])) \
         ORDER BY topic, partition FOR UPDATE"
    );
    let rows = transaction.query(&select, &[&topics, &partitions]).await?;
    let is_as_expected = |row: &tokio_postgres::Row| {
        let (topic, partition, next): (String, i32, i64) = (row.get(0), row.get(1), row.get(2));
        expected.get(&kafka_io::subscription::Place { topic, partition }) == Some(&next)
    };
    if rows.len() == batch.next().len() && rows.iter().all(is_as_expected) {
        return Ok(());
    }
    let detail =
        "positions in the database are not as they were left: another replica has written, or an answer was lost";
    Err(Trouble::new(TroubleKind::Overtaken, detail))
}

async fn move_positions(transaction: &Transaction<'_>, schema: &str, batch: &Batch) -> Result<(), Trouble> {
    let (topics, partitions) = columns(batch.next().keys());
    let next: Vec<i64> = batch.next().values().copied().collect();
    let update = format!(
        "UPDATE \"{schema}\".sink_positions AS p SET next_offset = n.next_offset, written_at = now() \
         FROM unnest($1::text[], $2::integer[], $3::bigint[]) AS n (topic, partition, next_offset) \
         WHERE p.topic = n.topic AND p.partition = n.partition"
    );
    transaction.execute(&update, &[&topics, &partitions, &next]).await?;
    Ok(())
}

async fn execute(
    transaction: &Transaction<'_>,
    statement: &tokio_postgres::Statement,
    kinds: &[(&str, Kind)],
    changes: &[Changed<'_>],
) -> Result<u64, Trouble> {
    let arrays = arrays(kinds, changes);
    let parameters: Vec<&(dyn ToSql + Sync)> = arrays.iter().map(|array| &**array as &(dyn ToSql + Sync)).collect();
    Ok(transaction.execute(statement, &parameters).await?)
}

/// The same by halves of what is refused, down to the single row. How many rows changed, and how many were refused.
async fn write_halves(
    transaction: &mut Transaction<'_>,
    statement: &tokio_postgres::Statement,
    table: Table,
    kinds: &[(&str, Kind)],
    changes: &[Changed<'_>],
) -> Result<(u64, u64), Trouble> {
    let (mut changed, mut refused) = (0, 0);
    let mut parts = vec![changes];
    while let Some(part) = parts.pop() {
        let savepoint = transaction.savepoint("part").await?;
        match execute(&savepoint, statement, kinds, part).await {
            Ok(rows) => {
                savepoint.commit().await?;
                changed += rows;
            }
            Err(trouble) if trouble.kind == TroubleKind::Row => {
                savepoint.rollback().await?;
                if let [(_, Source { partition, offset })] = part {
                    let (table, detail) = (table.as_str(), trouble.detail);
                    tracing::warn!(table, partition, offset, detail, "the database refuses a row; it is left out");
                    refused += 1;
                } else {
                    let (first, second) = part.split_at(part.len() / 2);
                    // The last one is taken first.
                    parts.extend([second, first]);
                }
            }
            Err(trouble) => return Err(trouble),
        }
    }
    Ok((changed, refused))
}

/// Inserts rows, or replaces those that are of older records.
fn upsert_sql(schema: &str, table: Table) -> String {
    let columns = table.columns();
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).chain(SOURCE).collect();
    let values = columns.iter().map(|(name, kind)| match kind {
        Kind::List => format!("ARRAY(SELECT json_array_elements_text(n.{name}::json))"),
        _ => format!("n.{name}"),
    });
    let values: Vec<String> = values.chain(SOURCE.map(|name| format!("n.{name}"))).collect();
    let key: Vec<&str> = table.key().iter().map(|(name, _)| *name).collect();
    let set: Vec<String> =
        names.iter().filter(|name| !key.contains(*name)).map(|name| format!("{name} = excluded.{name}")).collect();
    format!(
        "INSERT INTO \"{schema}\".{} AS t ({names}) SELECT {} FROM unnest({}) AS n ({names}) \
         ON CONFLICT ({}) DO UPDATE SET {} \
         WHERE t.source_partition <> excluded.source_partition OR t.source_offset < excluded.source_offset",
        table.as_str(),
        values.join(", "),
        parameters(columns),
        key.join(", "),
        set.join(", "),
        names = names.join(", "),
    )
}

/// Deletes rows that are of older records.
fn delete_sql(schema: &str, table: Table) -> String {
    let key = table.key();
    let names: Vec<&str> = key.iter().map(|(name, _)| *name).chain(SOURCE).collect();
    let same: Vec<String> = key.iter().map(|(name, _)| format!("t.{name} = n.{name}")).collect();
    format!(
        "DELETE FROM \"{schema}\".{} AS t USING unnest({}) AS n ({}) WHERE {} \
         AND (t.source_partition <> n.source_partition OR t.source_offset < n.source_offset)",
        table.as_str(),
        parameters(key),
        names.join(", "),
        same.join(" AND "),
    )
}

/// Where a row's record was.
const SOURCE: [&str; 2] = ["source_partition", "source_offset"];

fn parameters(columns: &[(&str, Kind)]) -> String {
    let types = columns.iter().map(|(_, kind)| kind.array()).chain(["integer[]", "bigint[]"]);
    let parameters: Vec<String> = types.enumerate().map(|(at, kind)| format!("${}::{kind}", at + 1)).collect();
    parameters.join(", ")
}

/// An array for each column, and two for where the records were.
fn arrays(kinds: &[(&str, Kind)], changes: &[Changed<'_>]) -> Arrays {
    let mut arrays: Arrays = Vec::with_capacity(kinds.len() + 2);
    for (at, (_, kind)) in kinds.iter().enumerate() {
        let cells = changes.iter().map(|(cells, _)| &cells[at]);
        arrays.push(match kind {
            Kind::Text | Kind::List => Box::new(cells.map(words).collect::<Vec<_>>()),
            Kind::Int => {
                Box::new(cells.map(|cell| if let Cell::Int(int) = cell { *int } else { None }).collect::<Vec<_>>())
            }
            Kind::Real => {
                Box::new(cells.map(|cell| if let Cell::Real(real) = cell { *real } else { None }).collect::<Vec<_>>())
            }
            Kind::Flag => {
                Box::new(cells.map(|cell| if let Cell::Flag(flag) = cell { *flag } else { None }).collect::<Vec<_>>())
            }
            Kind::Time => Box::new(cells.map(instant).collect::<Vec<_>>()),
        });
    }
    arrays.push(Box::new(changes.iter().map(|(_, source)| source.partition).collect::<Vec<i32>>()));
    arrays.push(Box::new(changes.iter().map(|(_, source)| source.offset).collect::<Vec<i64>>()));
    arrays
}

/// A text; a list as a JSON array, since PostgreSQL has no arrays of lists of different lengths.
fn words(cell: &Cell) -> Option<String> {
    match cell {
        Cell::Text(text) => text.clone(),
        Cell::List(list) => Some(serde_json::Value::from(list.clone()).to_string()),
        _ => None,
    }
}

fn instant(cell: &Cell) -> Option<SystemTime> {
    let Cell::Time(Some(time)) = cell else { return None };
    Some(system_time(*time))
}

fn system_time(time: EpochMs) -> SystemTime {
    let distance = Duration::from_millis(time.unsigned_abs());
    if time < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_newer_in_the_table_is_not_replaced() {
        let sql = upsert_sql("a-b", Table::Alerts);
        assert!(sql.starts_with("INSERT INTO \"a-b\".alerts AS t (id, rule, "), "{sql}");
        assert!(sql.contains("ON CONFLICT (id) DO UPDATE SET rule = excluded.rule, "), "{sql}");
        assert!(sql.ends_with("OR t.source_offset < excluded.source_offset"), "{sql}");
        assert!(sql.contains("ARRAY(SELECT json_array_elements_text(n.samples::json))"), "{sql}");
        assert_eq!(
            delete_sql("s", Table::Alerts),
            "DELETE FROM \"s\".alerts AS t USING unnest($1::text[], $2::integer[], $3::bigint[]) \
             AS n (id, source_partition, source_offset) WHERE t.id = n.id AND (t.source_partition <> n.source_partition \
             OR t.source_offset < n.source_offset)"
        );
    }

    #[test]
    fn times_before_1970_are_times() {
        assert_eq!(instant(&Cell::Time(Some(-1))), Some(UNIX_EPOCH - Duration::from_millis(1)));
        assert_eq!(instant(&Cell::Time(None)), None);
    }
}
