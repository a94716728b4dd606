//! The tables, version by version. `run` makes none: `sinyal sink apply` does.

/// A step from one version of the tables to the next. It only adds: an older build works on with what a newer one made.
#[derive(Debug)]
pub(crate) struct Migration {
    /// From 1 on, without a gap.
    pub(crate) version: i32,
    /// What it does, in words.
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
}

/// All of them, in order. What was released is never changed.
pub(crate) const MIGRATIONS: &[Migration] = &[Migration {
    version: 1,
    name: "positions, panes, alerts, queue items",
    sql: include_str!("migrations/0001-tables.sql"),
}];

/// The version that this build writes to.
pub(crate) fn newest() -> i32 {
    MIGRATIONS.last().map_or(0, |migration| migration.version)
}

/// What makes the schema and the list of what was done, where they are not there.
pub(crate) fn preamble(schema: &str) -> String {
    // `IF NOT EXISTS` asks for a permission that is not needed where the schema is there.
    format!(
        "DO $$ BEGIN IF to_regnamespace('\"{schema}\"') IS NULL THEN CREATE SCHEMA \"{schema}\"; END IF; END $$;\n\
         SET LOCAL search_path TO \"{schema}\";\n\
         CREATE TABLE IF NOT EXISTS sink_migrations (version integer PRIMARY KEY, name text NOT NULL, \
         applied_at timestamptz NOT NULL DEFAULT now());"
    )
}

/// One step, with its entry in that list.
pub(crate) fn step(migration: &Migration) -> String {
    let Migration { version, name, sql } = migration;
    format!("{}\nINSERT INTO sink_migrations (version, name) VALUES ({version}, '{name}');", sql.trim_end())
}

/// What a writer and a reader need, and no more. A reader of texts needs nothing else: where `sink.text` is false there are none.
pub(crate) fn grants(schema: &str, database: &str, writer: &str, reader: &str) -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let (schema, database) = (quoted(schema), quoted(database));
    let (writer, reader) = (quoted(writer), quoted(reader));
    let tables = ["panes", "alerts", "queue_items"].map(|table| format!("{schema}.{table}")).join(", ");
    format!(
        "-- The sink: {writer}.\n\
         GRANT CONNECT ON DATABASE {database} TO {writer};\n\
         GRANT USAGE ON SCHEMA {schema} TO {writer};\n\
         GRANT SELECT ON {schema}.sink_migrations TO {writer};\n\
         GRANT SELECT, INSERT, UPDATE ON {schema}.sink_positions TO {writer};\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON {tables} TO {writer};\n\
         -- Dashboards: {reader}.\n\
         GRANT CONNECT ON DATABASE {database} TO {reader};\n\
         GRANT USAGE ON SCHEMA {schema} TO {reader};\n\
         GRANT SELECT ON {schema}.sink_positions, {tables}, {schema}.waiting_items TO {reader};"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_no_gap_and_names_no_quote() {
        let versions: Vec<i32> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=newest()).collect::<Vec<_>>());
        assert!(MIGRATIONS.iter().all(|migration| !migration.name.contains('\'')));
    }
}
