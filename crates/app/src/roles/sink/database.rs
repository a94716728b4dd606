//! One connection to PostgreSQL: made when it is needed, given up with the first failure. Everything that is asked is answered
//! within a time, or counts as failed.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::future::Future;
use std::time::Duration;

use kafka_io::subscription::Place;
use openssl::ssl::{SslConnector, SslFiletype, SslMethod, SslVerifyMode};
use postgres_openssl::MakeTlsConnector;
use record::Position;
use tokio::runtime::Runtime;
use tokio_postgres::config::{Host, SslMode as Negotiated, TargetSessionAttrs};
use tokio_postgres::{Client, Error, GenericClient, Statement};

use super::batch::Batch;
use super::migrations::newest;
use super::tables::Table;
use super::write::{Written, write};
use crate::config::{SECRET_BYTES_MAX, Sink, SslMode, read_up_to};

/// How much longer than the server's own limit we wait for what it says of it.
const GRACE: Duration = Duration::from_millis(500);
/// Most rows that one look for old ones deletes of a table.
pub(super) const RETIRED_MAX: u64 = 5_000;
/// What `sinyal sink apply` may take.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);

/// Why the database did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    pub(crate) kind: TroubleKind,
    /// What is the matter and what would be right, without content of a row.
    pub(crate) detail: String,
}

/// What is to be done about it, by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TroubleKind {
    /// Nobody answers.
    Unreachable,
    /// It takes too long.
    Timeout,
    /// It does not let us in.
    Login,
    /// The tables are not as they must be.
    Schema,
    /// Something is not granted.
    Permission,
    /// Disk, memory or connections are used up.
    Resources,
    /// What is in the tables is of other topics, or of others of the same names.
    Mismatch,
    /// Another replica has written there meanwhile, or we have, and do not know.
    Overtaken,
    /// A row is refused.
    Row,
    Other,
}

impl TroubleKind {
    /// Those that are told; which row is refused is found out.
    pub(super) const ALL: [TroubleKind; 9] = [
        TroubleKind::Unreachable,
        TroubleKind::Timeout,
        TroubleKind::Login,
        TroubleKind::Schema,
        TroubleKind::Permission,
        TroubleKind::Resources,
        TroubleKind::Mismatch,
        TroubleKind::Overtaken,
        TroubleKind::Other,
    ];

    /// The name as a label.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            TroubleKind::Unreachable => "unreachable",
            TroubleKind::Timeout => "timeout",
            TroubleKind::Login => "login",
            TroubleKind::Schema => "schema",
            TroubleKind::Permission => "permission",
            TroubleKind::Resources => "resources",
            TroubleKind::Mismatch => "mismatch",
            TroubleKind::Overtaken => "overtaken",
            TroubleKind::Row => "row",
            TroubleKind::Other => "other",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Trouble {}

impl Trouble {
    pub(super) fn new(kind: TroubleKind, detail: impl Into<String>) -> Trouble {
        Trouble { kind, detail: detail.into() }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        let Some(db) = error.as_db_error() else {
            // Its causes hold addresses and the words of TLS; of rows it knows nothing.
            let chain = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
            let words = chain.fold(error.to_string(), |words, cause| format!("{words}: {cause}"));
            return Trouble::new(TroubleKind::Unreachable, words);
        };
        let code = db.code().code();
        let kind = match (code.get(..2).unwrap_or_default(), code) {
            (_, "42501") => TroubleKind::Permission,
            (_, "57014" | "55P03") => TroubleKind::Timeout,
            ("08" | "57", _) => TroubleKind::Unreachable,
            ("28", _) | (_, "3D000") => TroubleKind::Login,
            ("42" | "3F", _) => TroubleKind::Schema,
            ("53", _) | (_, "58030") => TroubleKind::Resources,
            // Data that do not fit, constraints, limits, and what triggers of others raise.
            ("21" | "22" | "23" | "44" | "54" | "P0", _) => TroubleKind::Row,
            _ => TroubleKind::Other,
        };
        // What is said of a row may quote it.
        let words = if kind == TroubleKind::Row { "a row is refused" } else { db.message() };
        let hint = if kind == TroubleKind::Schema { "; `sinyal sink plan` tells what is missing" } else { "" };
        Trouble::new(kind, format!("{words} (SQLSTATE {code}){hint}"))
    }
}

/// Where a partition stands in the database.
pub(super) type Positions = BTreeMap<Place, Position>;

/// A connection with what was prepared on it.
pub(super) struct Live {
    pub(super) client: Client,
    pub(super) prepared: HashMap<(Table, bool), Statement>,
}

/// The database, from the one thread that uses it.
pub(crate) struct Database {
    settings: Sink,
    runtime: Runtime,
    live: Option<Live>,
}

impl Database {
    /// Connects nowhere yet.
    ///
    /// # Errors
    /// If the system gives no event loop.
    pub(crate) fn new(settings: &Sink) -> std::io::Result<Database> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Database { settings: settings.clone(), runtime, live: None })
    }

    pub(super) fn is_connected(&self) -> bool {
        self.live.as_ref().is_some_and(|live| !live.client.is_closed())
    }

    /// The positions of these partitions, each with an entry from now on: a new one begins at 0.
    pub(super) fn begin(&mut self, places: &[Place], topics: &[&str]) -> Result<Positions, Trouble> {
        let (schema, timeout) = (self.settings.schema.clone(), self.timeout());
        self.with(timeout, async |live| {
            let client = &mut live.client;
            let version = version(client, &schema).await?;
            if version < newest() {
                let detail = format!(
                    "schema {schema} is at version {version}, and {} is needed; `sinyal sink apply` takes it there",
                    newest()
                );
                return Err(Trouble::new(TroubleKind::Schema, detail));
            }
            let transaction = client.transaction().await?;
            transaction.batch_execute(&limits(timeout)).await?;
            let query = format!("SELECT DISTINCT topic FROM \"{schema}\".sink_positions WHERE topic <> ALL($1)");
            let others = transaction.query(&query, &[&topics]).await?;
            if let Some(other) = others.first() {
                let detail = format!(
                    "the tables of schema {schema} hold what is on {}, which is none of our topics; another sink.schema is \
                     right, or none of it: DROP SCHEMA \"{schema}\" CASCADE, then `sinyal sink apply`",
                    other.get::<_, String>(0)
                );
                return Err(Trouble::new(TroubleKind::Mismatch, detail));
            }
            let (names, numbers) = columns(places.iter());
            let insert = format!(
                "INSERT INTO \"{schema}\".sink_positions (topic, partition, next_offset) \
                 SELECT topic, partition, 0 FROM unnest($1::text[], $2::integer[]) AS n (topic, partition) \
                 ORDER BY topic, partition ON CONFLICT DO NOTHING"
            );
            transaction.execute(&insert, &[&names, &numbers]).await?;
            let select = format!(
                "SELECT topic, partition, next_offset FROM \"{schema}\".sink_positions \
                 WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::integer[]))"
            );
            let rows = transaction.query(&select, &[&names, &numbers]).await?;
            transaction.commit().await?;
            Ok(rows.iter().map(|row| (Place { topic: row.get(0), partition: row.get(1) }, row.get(2))).collect())
        })
    }

    /// Writes a batch with its positions, if those in the database are `expected` still.
    pub(super) fn write(&mut self, batch: &Batch, expected: &Positions) -> Result<Written, Trouble> {
        let (schema, timeout) = (self.settings.schema.clone(), self.timeout());
        let swift = self.with(timeout, async |live| write(live, &schema, timeout, batch, expected, false).await);
        match swift {
            // Some row is refused: which one is found out by halves, and the others are written.
            Err(trouble) if trouble.kind == TroubleKind::Row => {
                self.with(timeout, async |live| write(live, &schema, timeout, batch, expected, true).await)
            }
            other => other,
        }
    }

    /// Notes that everything that there is of these partitions is in the tables.
    pub(super) fn note_caught_up(&mut self, places: &[Place]) -> Result<(), Trouble> {
        let (schema, timeout) = (self.settings.schema.clone(), self.timeout());
        self.with(timeout, async |live| {
            let (names, numbers) = columns(places.iter());
            let transaction = live.client.transaction().await?;
            transaction.batch_execute(&limits(timeout)).await?;
            let update = format!(
                "UPDATE \"{schema}\".sink_positions SET caught_up_at = now() \
                 WHERE (topic, partition) IN (SELECT * FROM unnest($1::text[], $2::integer[]))"
            );
            transaction.execute(&update, &[&names, &numbers]).await?;
            Ok(transaction.commit().await?)
        })
    }

    /// Deletes some of what was over long ago; how many rows of each table. At one time one replica does so.
    pub(super) fn retire(&mut self) -> Result<[u64; 3], Trouble> {
        let (schema, timeout) = (self.settings.schema.clone(), self.timeout());
        let days = self.settings.retention_days as f64;
        self.with(timeout, async |live| {
            let transaction = live.client.transaction().await?;
            transaction.batch_execute(&limits(timeout)).await?;
            let lock = "SELECT pg_try_advisory_xact_lock(hashtext('sinyal-sink'), hashtext($1)), \
                        now() - $2::double precision * interval '1 day'";
            let row = transaction.query_one(lock, &[&schema, &days]).await?;
            let before: std::time::SystemTime = row.get(1);
            let mut retired = [0; 3];
            if !row.get::<_, bool>(0) {
                return Ok(retired);
            }
            for (table, retired) in Table::ALL.into_iter().zip(&mut retired) {
                let (name, is_over) = (table.as_str(), table.is_over());
                let delete = format!(
                    "DELETE FROM \"{schema}\".{name} WHERE ctid = ANY(ARRAY(\
                     SELECT ctid FROM \"{schema}\".{name} WHERE {is_over} LIMIT {RETIRED_MAX} FOR UPDATE SKIP LOCKED))"
                );
                *retired = transaction.execute(&delete, &[&before]).await?;
            }
            transaction.commit().await?;
            Ok(retired)
        })
    }

    /// Which version the tables have; 0 if there are none.
    ///
    /// # Errors
    /// If it does not tell.
    pub(crate) fn version(&mut self) -> Result<i32, Trouble> {
        let (schema, timeout) = (self.settings.schema.clone(), self.timeout());
        self.with(timeout, async |live| version(&live.client, &schema).await)
    }

    /// Carries out SQL in one transaction, from a version on; somebody else who migrates is waited for.
    ///
    /// # Errors
    /// If it does not.
    pub(crate) fn migrate(&mut self, from: i32, sql: &str) -> Result<(), Trouble> {
        let schema = self.settings.schema.clone();
        self.with(MIGRATION_TIMEOUT, async |live| {
            let transaction = live.client.transaction().await?;
            let lock = "SELECT pg_advisory_xact_lock(hashtext('sinyal-sink-migrations'), hashtext($1))";
            transaction.execute(lock, &[&schema]).await?;
            if version(&transaction, &schema).await? != from {
                return Err(Trouble::new(
                    TroubleKind::Overtaken,
                    "somebody else has migrated it meanwhile; nothing was done",
                ));
            }
            transaction.batch_execute(sql).await?;
            Ok(transaction.commit().await?)
        })
    }

    fn timeout(&self) -> Duration {
        Duration::from_millis(self.settings.timeout_ms)
    }

    /// Does something on a connection, made if there is none. Whatever fails takes the connection with it: what is left of it in
    /// the server ends then, and nobody has to know how far it came. Another replica's word does not.
    fn with<T>(
        &mut self,
        timeout: Duration,
        work: impl AsyncFnOnce(&mut Live) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let Database { settings, runtime, live } = self;
        let result = runtime.block_on(async {
            let connection = match live.take().filter(|live| !live.client.is_closed()) {
                Some(connection) => connection,
                None => {
                    let connect_timeout = Duration::from_millis(settings.timeout_ms);
                    within(connect_timeout, TroubleKind::Unreachable, connect(settings)).await?
                }
            };
            within(timeout + GRACE, TroubleKind::Timeout, work(live.insert(connection))).await
        });
        if let Err(trouble) = &result
            && !matches!(trouble.kind, TroubleKind::Row | TroubleKind::Overtaken)
        {
            *live = None;
        }
        result
    }
}

/// Limits that hold for one transaction: settings of a session would not pass a pooler. What others check there is checked at once, where
/// it can be told which row is refused; at the end it would be the whole batch, over and over.
pub(super) fn limits(timeout: Duration) -> String {
    let ms = timeout.as_millis();
    format!(
        "SET LOCAL statement_timeout = {ms}; SET LOCAL lock_timeout = {ms}; \
         SET LOCAL idle_in_transaction_session_timeout = {}; SET CONSTRAINTS ALL IMMEDIATE",
        ms * 2
    )
}

pub(super) fn columns<'a>(places: impl Iterator<Item = &'a Place>) -> (Vec<&'a str>, Vec<i32>) {
    places.map(|place| (place.topic.as_str(), place.partition)).unzip()
}

async fn within<T>(
    timeout: Duration,
    late: TroubleKind,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    tokio::time::timeout(timeout, work).await.unwrap_or_else(|_| {
        let detail = format!("the database did not answer within {} ms", timeout.as_millis());
        Err(Trouble::new(late, detail))
    })
}

async fn connect(settings: &Sink) -> Result<Live, Trouble> {
    let mut server = settings.server.clone();
    if let Some(path) = &settings.password_file {
        let mut password = read_up_to(path, SECRET_BYTES_MAX).map_err(|error| {
            Trouble::new(TroubleKind::Login, format!("sink.password_file {} cannot be read: {error}", path.display()))
        })?;
        while password.last().is_some_and(u8::is_ascii_whitespace) {
            password.pop();
        }
        server.password(password);
    }
    // The sockets of a machine have no TLS.
    let local = server.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)));
    let plain = settings.ssl_mode == SslMode::Disable || local;
    server.ssl_mode(if plain { Negotiated::Disable } else { Negotiated::Require });
    server.application_name("sinyal-sink").target_session_attrs(TargetSessionAttrs::ReadWrite);
    let (client, connection) = server.connect(connector(settings)?).await?;
    // It ends with the client.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to the database ended");
        }
    });
    Ok(Live { client, prepared: HashMap::new() })
}

/// TLS as the settings have it. The files are read for each connection, so that new certificates need no restart.
fn connector(settings: &Sink) -> Result<MakeTlsConnector, Trouble> {
    let made = (|| {
        let mut builder = SslConnector::builder(SslMethod::tls_client())?;
        if let Some(path) = &settings.ca_file {
            builder.set_ca_file(path)?;
        }
        if let (Some(certificate), Some(key)) = (&settings.cert_file, &settings.key_file) {
            builder.set_certificate_chain_file(certificate)?;
            builder.set_private_key_file(key, SslFiletype::PEM)?;
        }
        if matches!(settings.ssl_mode, SslMode::Disable | SslMode::Require) {
            builder.set_verify(SslVerifyMode::NONE);
        }
        Ok::<_, openssl::error::ErrorStack>(builder.build())
    })();
    let made = made.map_err(|error| {
        let detail = format!("sink.ca_file, sink.cert_file or sink.key_file is of no use to OpenSSL: {error}");
        Trouble::new(TroubleKind::Login, detail)
    })?;
    let mut connector = MakeTlsConnector::new(made);
    if settings.ssl_mode == SslMode::VerifyCa {
        connector.set_callback(|connection, _| {
            connection.set_verify_hostname(false);
            Ok(())
        });
    }
    Ok(connector)
}

async fn version(client: &impl GenericClient, schema: &str) -> Result<i32, Trouble> {
    let table = format!("\"{schema}\".sink_migrations");
    let there = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await?;
    if !there.get::<_, bool>(0) {
        return Ok(0);
    }
    let newest = client.query_one(&format!("SELECT max(version) FROM {table}"), &[]).await?;
    Ok(newest.get::<_, Option<i32>>(0).unwrap_or(0))
}
