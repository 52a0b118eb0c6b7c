//! What each request asked of the database: sqlx's own log of its queries, kept under the trace id of the request.
//!
//! sqlx tells every query as a `tracing` event, and [`Recorder::layer`] listens. BEGIN and COMMIT are among them, because
//! `platform::db` sends both as statements of its own. Values are not: sqlx never tells them, and nobody here asks.

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

/// Requests kept; the oldest goes first. A rider's trip is some twenty, and a demo's city makes ten a second.
const REQUESTS_MAX: usize = 1_000;

/// Statements kept of one request. The longest of ours, the request of a trip, has half as many.
const STATEMENTS_MAX: usize = 64;

/// The longest SQL kept, in bytes. With all the bounds here what is kept can never be more than 160 MB, and is some 3 MB.
const SQL_BYTES_MAX: usize = 2_000;

/// The longest path and the longest first words of a statement kept, and the longest method, in bytes.
const PATH_BYTES_MAX: usize = 255;
const METHOD_BYTES_MAX: usize = 16;

/// Requests of one trace that are shown: a trace id is the client's, who may send all of them under one.
const SHOWN_MAX: usize = 20;

/// What stands for the rest of an SQL that was cut.
const CUT: &str = " …";

/// Where a request tells its path and its trace id, where it tells its end, and where sqlx tells queries.
const SPANS: &str = "ridematch::platform::telemetry";
const ENDS: &str = "ridematch::platform::http::middleware";
const QUERIES: &str = "sqlx::query";

/// Not kept: they come by the thousand, or are the looking itself.
const PASSED_OVER: [&str; 4] = ["/v1/locations", "/v1/drivers/me/location", "/v1/sandbox/", "/metrics"];

/// The last [`REQUESTS_MAX`] requests. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Arc<Mutex<VecDeque<Arc<Mutex<Recorded>>>>>);

/// A request, and what it asked of the database.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Recorded {
    #[serde(skip)]
    trace_id: String,
    /// The method; `null` while the request runs.
    #[schema(max_length = 16, example = "POST")]
    method: Option<String>,
    /// The path, without the query, cut after 255 bytes.
    #[schema(max_length = 255, pattern = "^/", example = "/v1/trips")]
    path: String,
    /// The answer's HTTP status; `null` while the request runs.
    #[schema(minimum = 100, maximum = 599)]
    status: Option<u64>,
    /// From its arrival to its answer, microseconds; `null` while the request runs.
    #[schema(minimum = 0)]
    duration_us: Option<u64>,
    /// What it asked, in the order in which the statements ended.
    #[schema(max_items = 64)]
    statements: Vec<Statement>,
    /// Statements that were made and are not shown: a request's first 64 are.
    #[schema(minimum = 0)]
    left_out: u64,
}

/// One statement. The values behind `$1`, `$2` … are never kept.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Statement {
    /// Its first words.
    #[schema(max_length = 255, example = "insert into trips (id, …")]
    summary: String,
    /// The SQL, white space tidied, cut after 2,000 bytes.
    #[schema(max_length = 2_100)]
    sql: String,
    /// How long it took, from being sent to its last row, microseconds.
    #[schema(minimum = 0)]
    elapsed_us: u64,
    /// Rows written.
    #[schema(minimum = 0)]
    rows_affected: u64,
    /// Rows read.
    #[schema(minimum = 0)]
    rows_returned: u64,
}

impl Recorder {
    /// The last [`SHOWN_MAX`] requests with this trace id, the oldest first: a client may send several under one.
    pub fn find(&self, trace_id: &str) -> Vec<Recorded> {
        let kept: Vec<_> = lock(&self.0).iter().cloned().collect();
        let newest_first = kept.iter().rev().map(|one| lock(one)).filter(|one| one.trace_id == trace_id);
        let mut found: Vec<_> = newest_first.take(SHOWN_MAX).map(|one| one.clone()).collect();
        found.reverse();
        found
    }

    /// The listener, for the subscriber of the process. It hears what it needs at the level at which that is told, and has no
    /// say in what is logged.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let heard = Targets::new()
            .with_target(SPANS, LevelFilter::INFO)
            .with_target(ENDS, LevelFilter::DEBUG)
            .with_target(QUERIES, LevelFilter::DEBUG);
        Listener(self.clone()).with_filter(heard)
    }

    fn keep(&self, request: &Arc<Mutex<Recorded>>) {
        let mut kept = lock(&self.0);
        if kept.len() == REQUESTS_MAX {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(request));
    }
}

struct Listener(Recorder);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        // The rounds of workers have such spans too, and no path.
        let is_request = fields.path.starts_with('/') && !PASSED_OVER.iter().any(|it| fields.path.starts_with(it));
        if let Some(span) = context.span(id).filter(|_| is_request) {
            let path = cut(&fields.path, PATH_BYTES_MAX);
            let request = Recorded { trace_id: fields.trace_id, path, ..Recorded::default() };
            let request = Arc::new(Mutex::new(request));
            self.0.keep(&request);
            span.extensions_mut().insert(request);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let request = context
            .event_scope(event)
            .and_then(|mut scope| scope.find_map(|span| span.extensions().get::<Arc<Mutex<Recorded>>>().cloned()));
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

impl Recorded {
    fn take(&mut self, statement: Statement) {
        // What sqlx asks about types by itself, once per connection, is no part of the request.
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

/// What spans and events say, as far as anybody here wants to know.
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
            sql: tidy(sql),
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
        // What is told with `%`, as the span's fields are, comes as something to print.
        if matches!(field.name(), "trace_id" | "path") {
            self.record_str(field, &format!("{value:?}"));
        }
    }
}

/// One space for any white space, and an end.
fn tidy(sql: &str) -> String {
    let mut tidied = String::with_capacity(sql.len().min(SQL_BYTES_MAX) + CUT.len());
    for word in sql.split_whitespace() {
        if tidied.len() + word.len() >= SQL_BYTES_MAX {
            tidied.push_str(CUT);
            break;
        }
        if !tidied.is_empty() {
            tidied.push(' ');
        }
        tidied.push_str(word);
    }
    tidied
}

/// The first `bytes_max` bytes in memory of their own, so that the rest is let go.
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

    fn listening(work: impl FnOnce()) -> Recorder {
        let recorder = Recorder::default();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(recorder.layer()), work);
        recorder
    }

    #[test]
    fn a_request_has_its_statements_in_order_tidied() {
        let recorder = listening(|| {
            query("select 1", "select before any request");
            request("/v1/trips", || {
                tracing::debug!(target: "sqlx::query", summary = "BEGIN", db.statement = "", elapsed_secs = 0.0);
                query("insert into trips …", "insert into trips\n     (id)   values ($1)");
                query("select …", "select from pg_catalog.pg_type");
                let (method, status) = ("POST", 201_u16);
                tracing::debug!(target: "ridematch::platform::http::middleware", method, status, ms = 1.5, "answered");
            });
        });
        let found = recorder.find("4bf9");
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].method.as_deref(), found[0].status), (Some("POST"), Some(201)));
        assert_eq!((found[0].path.as_str(), found[0].duration_us), ("/v1/trips", Some(1_500)));
        let told: Vec<_> = found[0].statements.iter().map(|it| (it.sql.as_str(), it.elapsed_us)).collect();
        assert_eq!(told, [("BEGIN", 0), ("insert into trips (id) values ($1)", 2_000)]);
    }

    #[test]
    fn workers_positions_and_the_looking_itself_are_passed_over() {
        let recorder = listening(|| {
            for path in ["payments", "/v1/drivers/me/location", "/v1/sandbox/requests/4bf9"] {
                request(path, || query("select 1", "select 1"));
            }
        });
        assert!(recorder.find("4bf9").is_empty());
    }

    #[test]
    fn everything_is_bounded() {
        let recorder = listening(|| {
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
