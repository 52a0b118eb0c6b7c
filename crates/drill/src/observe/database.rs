//! What the database itself says: sessions, locks, statements, tables, and read-only queries.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use launcher::BoxError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Column, Connection, FromRow, PgConnection, Row};

use super::table::{one_line, row, table};

/// How often the active sessions are sampled, and between two samples.
const SAMPLES: u32 = 20;
const SAMPLE_EVERY: Duration = Duration::from_millis(50);

/// Statements and sessions that are listed.
const LISTED: usize = 12;

/// Rows of a query that are shown.
const ROWS_MAX: usize = 200;

/// Before a read-only query.
const READ_ONLY: &str =
    "set default_transaction_read_only = on; set statement_timeout = '10s'; set lock_timeout = '2s'";

/// Sessions of the run's database, others than the reader's.
const SESSIONS: &str = "
    select pid, state, coalesce(wait_event_type || ': ' || wait_event, '') as wait,
           coalesce(extract(epoch from clock_timestamp() - xact_start), 0)::float8 as transaction_s,
           coalesce(extract(epoch from clock_timestamp() - state_change), 0)::float8 as state_s,
           pg_blocking_pids(pid) as blocked_by, query
      from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() and state is not null";

/// Tables by what is read of them.
const TABLES: &str = "
    select relname::text as name, n_live_tup as rows, coalesce(seq_scan, 0) as seq_scans, coalesce(seq_tup_read, 0) as seq_rows,
           coalesce(idx_scan, 0) as index_scans
      from pg_stat_user_tables order by seq_tup_read desc nulls last limit 12";

/// What the database does.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseActivity {
    /// Sessions by state.
    pub sessions: BTreeMap<String, u64>,
    /// Sessions that wait for a lock or have the longest transactions.
    pub longest: Vec<SessionActivity>,
    /// Statements by how often they were running, of twenty samples within a second.
    pub statements: Vec<StatementActivity>,
    /// Tables by rows that sequential scans have read.
    pub tables: Vec<TableActivity>,
}

/// A session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
pub struct SessionActivity {
    /// The backend's process id.
    pub pid: i32,
    /// The state.
    pub state: String,
    /// What it waits for; empty if it does not.
    pub wait: String,
    /// Seconds since its transaction began.
    pub transaction_s: f64,
    /// Seconds in this state.
    pub state_s: f64,
    /// Backends that hold what it waits for.
    pub blocked_by: Vec<i32>,
    /// The running statement, or the last one.
    pub query: String,
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementActivity {
    /// Sessions that ran it, added over the samples.
    pub seen: u64,
    /// What they waited for, with counts.
    pub waits: BTreeMap<String, u64>,
    /// Its text.
    pub query: String,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, FromRow)]
#[serde(deny_unknown_fields)]
pub struct TableActivity {
    /// Its name.
    pub name: String,
    /// Live rows, estimated.
    pub rows: i64,
    /// Sequential scans.
    pub seq_scans: i64,
    /// Rows that they read.
    pub seq_rows: i64,
    /// Index scans.
    pub index_scans: i64,
}

/// The rows of a query.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryRows {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows, at most 200.
    pub rows: Vec<Vec<String>>,
}

/// Returns what the database does now. Takes a second.
///
/// # Errors
/// If the database does not answer.
pub async fn activity(url: &str) -> Result<DatabaseActivity, BoxError> {
    let mut conn = PgConnection::connect(url).await?;
    sqlx::raw_sql(READ_ONLY).execute(&mut conn).await?;
    let mut activity = DatabaseActivity::default();
    let mut statements = BTreeMap::<String, StatementActivity>::new();
    for sample in 0..SAMPLES {
        let sessions: Vec<SessionActivity> = sqlx::query_as(SESSIONS).fetch_all(&mut conn).await?;
        for session in sessions.iter().filter(|session| session.state == "active") {
            let query = session.query.clone();
            let new = || StatementActivity { seen: 0, waits: BTreeMap::new(), query: query.clone() };
            let statement = statements.entry(query.clone()).or_insert_with(new);
            statement.seen += 1;
            *statement.waits.entry(session.wait.clone()).or_default() += 1;
        }
        if sample == SAMPLES - 1 {
            for session in &sessions {
                *activity.sessions.entry(session.state.clone()).or_default() += 1;
            }
            activity.longest = longest(sessions);
        }
        tokio::time::sleep(SAMPLE_EVERY).await;
    }
    activity.statements = statements.into_values().collect();
    activity.statements.sort_by_key(|statement| std::cmp::Reverse(statement.seen));
    activity.statements.truncate(LISTED);
    activity.tables = sqlx::query_as(TABLES).fetch_all(&mut conn).await?;
    conn.close().await?;
    Ok(activity)
}

fn longest(mut sessions: Vec<SessionActivity>) -> Vec<SessionActivity> {
    sessions.retain(|session| session.state != "idle");
    let order = |session: &SessionActivity| (session.blocked_by.is_empty(), -session.transaction_s);
    sessions.sort_by(|one, other| order(one).0.cmp(&order(other).0).then(order(one).1.total_cmp(&order(other).1)));
    sessions.truncate(LISTED);
    sessions
}

/// Runs a query, or `explain`, in a read-only transaction of at most ten seconds.
///
/// # Errors
/// If the database refuses it.
pub async fn query(url: &str, sql: &str) -> Result<QueryRows, BoxError> {
    let sql = sql.trim().trim_end_matches(';');
    let mut conn = PgConnection::connect(url).await?;
    sqlx::raw_sql(READ_ONLY).execute(&mut conn).await?;
    let is_select = ["select", "with", "values", "table"].iter().any(|word| starts_with_word(sql, word));
    // Rows as JSON have texts for every type. `explain` and `show` return text already.
    let text =
        if is_select { format!("select to_json(shown) from ({sql}) shown limit {ROWS_MAX}") } else { sql.to_owned() };
    let rows = sqlx::query(AssertSqlSafe(text)).fetch_all(&mut conn).await?;
    conn.close().await?;
    let mut result = QueryRows::default();
    for row in rows.iter().take(ROWS_MAX) {
        if is_select {
            let Value::Object(members) = row.try_get::<Value, _>(0)? else { continue };
            result.columns = members.keys().cloned().collect();
            let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            result.rows.push(members.values().map(text).collect());
        } else {
            result.columns = row.columns().iter().map(|column| column.name().to_owned()).collect();
            let cells = (0..row.columns().len()).map(|column| row.try_get::<String, _>(column).unwrap_or_default());
            result.rows.push(cells.collect());
        }
    }
    Ok(result)
}

fn starts_with_word(sql: &str, word: &str) -> bool {
    sql.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

impl fmt::Display for QueryRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rows = vec![self.columns.clone()];
        rows.extend(self.rows.iter().cloned());
        write!(f, "{}({} rows)", table(&rows), self.rows.len())
    }
}

impl fmt::Display for DatabaseActivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions: Vec<String> = self.sessions.iter().map(|(state, count)| format!("{state} {count}")).collect();
        writeln!(f, "sessions: {}", sessions.join(", "))?;
        if !self.longest.is_empty() {
            let mut rows = vec![row(["pid", "state", "transaction s", "waits for", "blocked by", "statement"])];
            rows.extend(self.longest.iter().map(|session| {
                let blocked_by: Vec<String> = session.blocked_by.iter().map(ToString::to_string).collect();
                let (pid, age) = (session.pid.to_string(), format!("{:.2}", session.transaction_s));
                let query = one_line(&session.query, 80);
                row([&pid, &session.state, &age, &session.wait, &blocked_by.join(" "), &query])
            }));
            writeln!(f, "\n{}", table(&rows))?;
        }
        writeln!(f, "statements that were running, of {SAMPLES} samples:")?;
        let mut rows = vec![row(["seen", "waits", "statement"])];
        for statement in &self.statements {
            let waits: Vec<String> = statement
                .waits
                .iter()
                .map(|(wait, count)| format!("{} × {count}", if wait.is_empty() { "CPU" } else { wait }))
                .collect();
            rows.push(row([&statement.seen.to_string(), &waits.join(", "), &one_line(&statement.query, 110)]));
        }
        writeln!(f, "{}", table(&rows))?;
        let mut rows = vec![row(["table", "rows", "sequential scans", "rows read by them", "index scans"])];
        for of in &self.tables {
            let numbers = [of.rows, of.seq_scans, of.seq_rows, of.index_scans].map(|number| number.to_string());
            rows.push(row([&of.name, &numbers[0], &numbers[1], &numbers[2], &numbers[3]]));
        }
        write!(f, "{}", table(&rows))
    }
}
