//! Runs each statement under `explain (analyze, buffers)`, with the plan that PostgreSQL keeps for any parameters.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::{
    database::NOW,
    plan,
    statements::{Statement, bindings},
};
use crate::workspace::Result;

/// What a statement cost.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measurement {
    /// The tables and how they were read.
    pub plan: String,
    /// The rows that the statement returned or changed.
    pub rows: u64,
    /// Pages of 8 kB that were read, whether from the cache or not.
    pub buffers: u64,
    /// The time of execution, milliseconds.
    pub ms: f64,
}

/// The plan that PostgreSQL keeps for any parameters, and no parallel workers, as in the sessions of the service (`src/platform/db.rs`).
const SETTINGS: [&str; 4] = [
    "set plan_cache_mode = force_generic_plan",
    "set max_parallel_workers_per_gather = 0",
    "set statement_timeout = '10min'",
    "set jit = off",
];

/// Literals by name.
type Values = BTreeMap<String, String>;

/// Measures the statements in order.
///
/// # Errors
///
/// A statement or one of its parameters fails.
pub async fn all(session: &mut PgConnection, statements: &[Statement]) -> Result<Vec<Measurement>> {
    for setting in SETTINGS {
        sqlx::query(setting).execute(&mut *session).await?;
    }
    let values = bound(session).await?;
    let mut measured = Vec::new();
    for statement in statements {
        let end = one(session, statement, &values).await;
        measured.push(end.map_err(|error| format!("{}: {error}", statement.at))?);
    }
    Ok(measured)
}

/// Evaluates the bindings.
async fn bound(session: &mut PgConnection) -> Result<Values> {
    let mut values = Values::from([("now".to_owned(), format!("'{NOW}'::timestamptz"))]);
    for (name, sql) in bindings()? {
        let sql = with_values(&sql, &values);
        let read: Option<String> = sqlx::query_scalar(AssertSqlSafe(format!("select ({sql})::text")))
            .fetch_one(&mut *session)
            .await
            .map_err(|error| format!("{name}: {error}"))?;
        let text = read.ok_or(format!("{name}: no row in this database"))?;
        values.insert(name, quoted(&text));
    }
    Ok(values)
}

/// Measures a statement in a transaction that is rolled back. The first run fills the cache.
async fn one(session: &mut PgConnection, statement: &Statement, values: &Values) -> Result<Measurement> {
    if statement.is_utility() {
        return Ok(Measurement { plan: "no plan".to_owned(), ..Measurement::default() });
    }
    let mut tx = session.begin().await?;
    if let Some(before) = &statement.before {
        sqlx::raw_sql(AssertSqlSafe(with_values(before, values))).execute(&mut *tx).await?;
    }
    let arguments = arguments(&mut tx, statement, values).await?;
    let types = if statement.types.is_empty() { String::new() } else { format!("({})", statement.types.join(", ")) };
    let call = if arguments.is_empty() { String::new() } else { format!("({})", arguments.join(", ")) };
    sqlx::raw_sql(AssertSqlSafe(format!("prepare measured{types} as {}", statement.sql))).execute(&mut *tx).await?;
    let mut measurement = Measurement::default();
    for _ in 0..2 {
        let mut attempt = tx.begin().await?;
        let explain = format!("explain (analyze, buffers, format json) execute measured{call}");
        let plan: Value = sqlx::query_scalar(AssertSqlSafe(explain)).fetch_one(&mut *attempt).await?;
        attempt.rollback().await?;
        measurement = plan::read(&plan)?;
        if measurement.ms > 1_000.0 {
            break;
        }
    }
    tx.rollback().await?;
    sqlx::raw_sql("deallocate measured").execute(session).await?;
    Ok(measurement)
}

/// Evaluates the parameters, because `execute` takes no queries.
async fn arguments(session: &mut PgConnection, statement: &Statement, values: &Values) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    for (parameter, kind) in statement.parameters.iter().zip(&statement.types) {
        let sql = format!("select ({})::{kind}::text", with_values(parameter, values));
        let read: Option<String> = sqlx::query_scalar(AssertSqlSafe(sql))
            .fetch_one(&mut *session)
            .await
            .map_err(|error| format!("parameter {parameter}: {error}"))?;
        arguments.push(format!("{}::{kind}", read.as_deref().map_or("null".to_owned(), quoted)));
    }
    Ok(arguments)
}

/// Replaces `:name` by its value. A cast (`::text`) is no name.
fn with_values(sql: &str, values: &Values) -> String {
    let mut replaced = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find(':') {
        let (before, from) = rest.split_at(at);
        replaced.push_str(before);
        if let Some(after_cast) = from.strip_prefix("::") {
            replaced.push_str("::");
            rest = after_cast;
            continue;
        }
        let end = from[1..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(from.len(), |end| end + 1);
        let (name, after) = (&from[1..end], &from[end..]);
        match values.get(name) {
            Some(value) => replaced.push_str(value),
            None => replaced.push_str(&from[..end]),
        }
        rest = after;
    }
    replaced + rest
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_casts_are_not() {
        let values = Values::from([("trip".to_owned(), "'t'".to_owned())]);
        assert_eq!(with_values("id = :trip and at < '12:30:00'::text", &values), "id = 't' and at < '12:30:00'::text");
        assert_eq!(quoted("it's"), "'it''s'");
    }
}
