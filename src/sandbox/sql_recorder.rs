//! The SQL of each request, by trace id, recorded from sqlx's own log.
//!
//! sqlx logs every query as a `tracing` event, and [`SqlRecorder::layer`] records those events. They include BEGIN and COMMIT,
//! because `platform::db` sends both as statements of its own. They never include values.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;
use utoipa::ToSchema;

/// Requests kept; a new one evicts the oldest. A trip takes about twenty, and the demo's city sends ten a second.
const REQUESTS_MAX: usize = 1_000;

/// Statements kept of one request: twice as many as the longest, requesting a trip, has.
const STATEMENTS_MAX: usize = 64;

/// The longest SQL kept, bytes. All bounds together allow 160 MB; typical use is 3 MB.
const SQL_BYTES_MAX: usize = 2_000;

/// The longest path, statement summary and method kept, bytes.
const PATH_BYTES_MAX: usize = 255;
const METHOD_BYTES_MAX: usize = 16;

/// The most requests shown of one trace. Clients choose the trace id, and may use one for all requests.
const SHOWN_MAX: usize = 20;

/// The end of SQL that was truncated.
const CUT: &str = " …";

/// The `tracing` targets of a request's span, of its end, and of sqlx's queries.
const SPANS: &str = "ridematch::platform::telemetry";
const ENDS: &str = "ridematch::platform::http::middleware";
const QUERIES: &str = "sqlx::query";

/// Paths not recorded: high-volume ones, and the sandbox itself.
const IGNORED: [&str; 4] = ["/v1/locations", "/v1/drivers/me/location", "/v1/sandbox/", "/metrics"];

/// The last [`REQUESTS_MAX`] requests. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct SqlRecorder(Arc<Mutex<VecDeque<Arc<Mutex<RecordedRequest>>>>>);

/// A request and its SQL.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct RecordedRequest {
    #[serde(skip)]
    trace_id: String,
    /// The method; `null` while the request runs.
    #[schema(max_length = 16, example = "POST")]
    method: Option<String>,
    /// The path without the query, truncated after 255 bytes.
    #[schema(max_length = 255, pattern = "^/", example = "/v1/trips")]
    path: String,
    /// The response's status; `null` while the request runs.
    #[schema(minimum = 100, maximum = 599)]
    status: Option<u64>,
    /// From arrival to response, microseconds; `null` while the request runs.
    #[schema(minimum = 0)]
    duration_us: Option<u64>,
    /// The statements, in the order in which they ended.
    #[schema(max_items = 64)]
    statements: Vec<Statement>,
    /// Statements left out after the first 64.
    #[schema(minimum = 0)]
    left_out: u64,
}

/// A statement, without the values of `$1`, `$2` …
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Statement {
    /// Its first words.
    #[schema(max_length = 255, example = "insert into trips (id, …")]
    summary: String,
    /// The SQL with normalized white space, truncated after 2,000 bytes.
    #[schema(max_length = 2_100)]
    sql: String,
    /// The duration until its last row, microseconds.
    #[schema(minimum = 0)]
    elapsed_us: u64,
    /// Rows written.
    #[schema(minimum = 0)]
    rows_affected: u64,
    /// Rows read.
    #[schema(minimum = 0)]
    rows_returned: u64,
}

impl SqlRecorder {
    /// Returns the last [`SHOWN_MAX`] requests with this trace id, the oldest first.
    pub fn find(&self, trace_id: &str) -> Vec<RecordedRequest> {
        let kept: Vec<_> = lock(&self.0).iter().cloned().collect();
        let newest_first = kept.iter().rev().map(|one| lock(one)).filter(|one| one.trace_id == trace_id);
        let mut found: Vec<_> = newest_first.take(SHOWN_MAX).map(|one| one.clone()).collect();
        found.reverse();
        found
    }

    /// Returns the layer that records, for the process's subscriber. It does not change what is logged.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let targets = Targets::new()
            .with_target(SPANS, LevelFilter::INFO)
            .with_target(ENDS, LevelFilter::DEBUG)
            .with_target(QUERIES, LevelFilter::DEBUG);
        RecorderLayer(self.clone()).with_filter(targets)
    }

    fn keep(&self, request: &Arc<Mutex<RecordedRequest>>) {
        let mut kept = lock(&self.0);
        if kept.len() == REQUESTS_MAX {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(request));
    }
}

struct RecorderLayer(SqlRecorder);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RecorderLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        // Workers have such spans too, with their name in place of a path.
        let is_request = fields.path.starts_with('/') && !IGNORED.iter().any(|it| fields.path.starts_with(it));
        if let Some(span) = context.span(id).filter(|_| is_request) {
            let path = cut(&fields.path, PATH_BYTES_MAX);
            let request = RecordedRequest { trace_id: fields.trace_id, path, ..RecordedRequest::default() };
            let request = Arc::new(Mutex::new(request));
            self.0.keep(&request);
            span.extensions_mut().insert(request);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let request = context.event_scope(event).and_then(|mut scope| {
            scope.find_map(|span| span.extensions().get::<Arc<Mutex<RecordedRequest>>>().cloned())
        });
        let Some(request) = request else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let mut request = lock(&request);
        if event.metadata().target() == QUERIES {
            request.take(fields.statement());
        } else if fields.status.is_some() {
            request.method = Some(cut(&fields.method, METHOD_BYTES_MAX));
            request.status = fields.status;
            request.duration_us = Some(micros(fields.ms / 1_000.0));
        }
    }
}

impl RecordedRequest {
    fn take(&mut self, statement: Statement) {
        // sqlx's own query for types, once per connection.
        if statement.sql.contains("pg_catalog.") {
            return;
        }
        if self.statements.len() < STATEMENTS_MAX {
            self.statements.push(statement);
        } else {
            self.left_out += 1;
        }
    }
}

/// The fields of spans and events that the recorder uses.
#[derive(Default)]
struct Fields {
    trace_id: String,
    path: String,
    method: String,
    status: Option<u64>,
    ms: f64,
    summary: String,
    sql: String,
    elapsed_s: f64,
    rows_affected: u64,
    rows_returned: u64,
}

impl Fields {
    fn statement(self) -> Statement {
        // sqlx leaves the statement empty when the summary is all of it.
        let sql = if self.sql.is_empty() { &self.summary } else { &self.sql };
        Statement {
            sql: normalize(sql),
            summary: cut(&self.summary, PATH_BYTES_MAX),
            elapsed_us: micros(self.elapsed_s),
            rows_affected: self.rows_affected,
            rows_returned: self.rows_returned,
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        match field.name() {
            "ms" => self.ms = value,
            "elapsed_secs" => self.elapsed_s = value,
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "status" => self.status = Some(value),
            "rows_affected" => self.rows_affected = value,
            "rows_returned" => self.rows_returned = value,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let place = match field.name() {
            "trace_id" => &mut self.trace_id,
            "path" => &mut self.path,
            "method" => &mut self.method,
            "summary" => &mut self.summary,
            "db.statement" => &mut self.sql,
            _ => return,
        };
        value.clone_into(place);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Fields written with `%` arrive here.
        if matches!(field.name(), "trace_id" | "path") {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

/// Replaces each run of white space with one space, and truncates.
fn normalize(sql: &str) -> String {
    let mut normalized = String::with_capacity(sql.len().min(SQL_BYTES_MAX) + CUT.len());
    for word in sql.split_whitespace() {
        if normalized.len() + word.len() >= SQL_BYTES_MAX {
            normalized.push_str(CUT);
            break;
        }
        if !normalized.is_empty() {
            normalized.push(' ');
        }
        normalized.push_str(word);
    }
    normalized
}

/// Copies the first `bytes_max` bytes, so that the rest can be freed.
fn cut(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

fn micros(seconds: f64) -> u64 {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::telemetry::{self, Context};
    use tracing_subscriber::layer::SubscriberExt;

    fn request(path: &str, work: impl FnOnce()) {
        telemetry::span(&Context { trace_id: "4bf9".into(), path: path.into() }).in_scope(work);
    }

    fn query(summary: &str, sql: &str) {
        let sql = format!("\n\n{sql}\n");
        tracing::debug!(target: "sqlx::query", summary, db.statement = sql, rows_affected = 1_u64, elapsed_secs = 0.002);
    }

    fn recorded(work: impl FnOnce()) -> SqlRecorder {
        let recorder = SqlRecorder::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(recorder.layer()), work);
        recorder
    }

    #[test]
    fn statements_are_recorded_in_order_and_normalized() {
        let recorder = recorded(|| {
            query("select 1", "select before any request");
            request("/v1/trips", || {
                tracing::debug!(target: "sqlx::query", summary = "BEGIN", db.statement = "", elapsed_secs = 0.0);
                query("insert into trips …", "insert into trips\n     (id)   values ($1)");
                query("select …", "select from pg_catalog.pg_type");
                let (method, status) = ("POST", 201_u16);
                tracing::debug!(target: "ridematch::platform::http::middleware", method, status, ms = 1.5, "responded");
            });
        });
        let found = recorder.find("4bf9");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].method.as_deref(), found[0].status), (Some("POST"), Some(201)));
        assert_eq!((found[0].path.as_str(), found[0].duration_us), ("/v1/trips", Some(1_500)));
        let statements: Vec<_> = found[0].statements.iter().map(|it| (it.sql.as_str(), it.elapsed_us)).collect();
        assert_eq!(statements, [("BEGIN", 0), ("insert into trips (id) values ($1)", 2_000)]);
    }

    #[test]
    fn workers_positions_and_sandbox_requests_are_ignored() {
        let recorder = recorded(|| {
            for path in ["payments", "/v1/drivers/me/location", "/v1/sandbox/requests/4bf9"] {
                request(path, || query("select 1", "select 1"));
            }
        });
        assert!(recorder.find("4bf9").is_empty());
    }

    #[test]
    fn requests_statements_and_texts_are_bounded() {
        let recorder = recorded(|| {
            for _ in 0..REQUESTS_MAX + 10 {
                request("/v1/trips", || {});
            }
            request(&format!("/v1/quotes{}", "/long".repeat(1_000)), || {
                (0..STATEMENTS_MAX + 5).for_each(|_| query("q", &"long ".repeat(1_000)))
            });
        });
        let found = recorder.find("4bf9");
        assert_eq!((lock(&recorder.0).len(), found.len()), (REQUESTS_MAX, SHOWN_MAX));
        let last = found.last().expect("the last one");
        assert_eq!((last.statements.len(), last.left_out), (STATEMENTS_MAX, 5));
        assert_eq!(last.path.len(), PATH_BYTES_MAX);
        assert!(last.statements[0].sql.len() <= SQL_BYTES_MAX + CUT.len());
    }
}
