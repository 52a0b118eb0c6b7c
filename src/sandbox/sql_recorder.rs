//! The SQL of each request, and of each worker run about a trip, by trace id, recorded from sqlx's own log.
//!
//! sqlx logs every query as a `tracing` event, and [`SqlRecorder::layer`] records those events. They include BEGIN and COMMIT,
//! because `platform::db` sends both as statements of its own. They never include values.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
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

use crate::platform::clock::{Clock, MachineTime, Stopwatch};
use crate::platform::ids::{PaymentId, TripId};

/// Requests kept; a new one evicts the oldest. A trip takes about twenty, and the demo's city sends ten a second.
const REQUESTS_MAX: usize = 1_000;

/// Worker runs kept, each about one trip or payment. A trip takes about fifteen.
const RUNS_MAX: usize = 1_000;

/// Statements kept of one request: twice as many as the longest, requesting a trip, has.
const STATEMENTS_MAX: usize = 64;

/// The longest SQL kept, bytes. All bounds together allow 320 MB; typical use is 6 MB.
const SQL_BYTES_MAX: usize = 2_000;

/// The longest path, statement summary and method kept, bytes.
const PATH_BYTES_MAX: usize = 255;
const METHOD_BYTES_MAX: usize = 16;

/// The most requests shown of one trace, and the most worker runs. Clients choose the trace id, and may use one for all requests.
const SHOWN_MAX: usize = 20;

/// The most worker runs shown of one trip.
const RUNS_SHOWN_MAX: usize = 100;

/// The end of SQL that was truncated.
const CUT: &str = " …";

/// The `tracing` targets of a request's span, of its end, and of sqlx's queries.
const SPANS: &str = "ridematch::platform::telemetry";
const ENDS: &str = "ridematch::platform::http::middleware";
const QUERIES: &str = "sqlx::query";

/// Paths not recorded: high-volume ones, and the sandbox itself.
const IGNORED: [&str; 4] = ["/v1/locations", "/v1/drivers/me/location", "/v1/sandbox/", "/metrics"];

/// The last [`REQUESTS_MAX`] requests and the last [`RUNS_MAX`] worker runs. Clones are the same one.
#[derive(Debug, Clone)]
pub struct SqlRecorder(Arc<Recorded>);

#[derive(Debug)]
struct Recorded {
    kept: Mutex<Kept>,
    clock: Clock,
}

type Shared = Arc<Mutex<RecordedRequest>>;
type Ring = VecDeque<Shared>;

#[derive(Debug, Default)]
struct Kept {
    requests: Ring,
    runs: Ring,
}

impl Default for SqlRecorder {
    fn default() -> Self {
        Self(Arc::new(Recorded { kept: Mutex::default(), clock: Clock::system() }))
    }
}

/// A request, or a worker run about one trip or payment, and its SQL.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct RecordedRequest {
    #[serde(skip)]
    pub(super) trace_id: String,
    #[serde(skip)]
    watch: Stopwatch,
    /// When it started (machine time).
    pub(super) started_at: MachineTime,
    /// The method; `null` while the request runs, and of a worker run.
    #[schema(max_length = 16, example = "POST")]
    pub(super) method: Option<String>,
    /// The path without the query, truncated after 255 bytes; the worker of a run.
    #[schema(max_length = 255, example = "/v1/trips")]
    pub(super) path: String,
    /// The trip that a worker run is about; `null` of a request.
    pub(super) trip_id: Option<TripId>,
    /// The payment that a worker run is about; `null` if it is about none.
    pub(super) payment_id: Option<PaymentId>,
    /// The response's status; `null` while the request runs, and of a worker run.
    #[schema(minimum = 100, maximum = 599)]
    pub(super) status: Option<u64>,
    /// From arrival to response, or of the worker run, microseconds; `null` while it runs.
    #[schema(minimum = 0)]
    pub(super) duration_us: Option<u64>,
    /// The statements, in the order in which they ended.
    #[schema(max_items = 64)]
    pub(super) statements: Vec<Statement>,
    /// Statements left out after the first 64.
    #[schema(minimum = 0)]
    pub(super) left_out: u64,
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
    pub(super) elapsed_us: u64,
    /// When it ended, microseconds after the start of the request or the run.
    #[schema(minimum = 0)]
    ended_us: u64,
    /// Rows written.
    #[schema(minimum = 0)]
    rows_affected: u64,
    /// Rows read.
    #[schema(minimum = 0)]
    rows_returned: u64,
}

impl SqlRecorder {
    /// Returns the last [`SHOWN_MAX`] requests with this trace id and as many worker runs, the oldest first.
    pub fn find(&self, trace_id: &str) -> Vec<RecordedRequest> {
        let (requests, runs) = self.copies();
        let mut found = newest(&requests, SHOWN_MAX, |one| one.trace_id == trace_id);
        found.extend(newest(&runs, SHOWN_MAX, |one| one.trace_id == trace_id));
        found.sort_by_key(|one| one.started_at);
        found
    }

    /// Returns the last [`SHOWN_MAX`] requests of each of these traces, and the last [`RUNS_SHOWN_MAX`] worker runs about the trip.
    pub fn of_trip(&self, trip: TripId, trace_ids: &BTreeSet<String>) -> Vec<RecordedRequest> {
        let (requests, runs) = self.copies();
        let mut found = newest(&runs, RUNS_SHOWN_MAX, |one| one.trip_id == Some(trip));
        let mut wanted: BTreeMap<&str, usize> = trace_ids.iter().map(|trace| (trace.as_str(), SHOWN_MAX)).collect();
        for request in requests.iter().rev().map(|one| lock(one)) {
            if let Some(left @ 1..) = wanted.get_mut(request.trace_id.as_str()) {
                *left -= 1;
                found.push(request.clone());
            }
        }
        found
    }

    /// Returns copies of the rings, so that the lock is held briefly.
    fn copies(&self) -> (Vec<Shared>, Vec<Shared>) {
        let kept = lock(&self.0.kept);
        (kept.requests.iter().cloned().collect(), kept.runs.iter().cloned().collect())
    }

    /// Returns the layer that records, for the process's subscriber. It does not change what is logged.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let targets = Targets::new()
            .with_target(SPANS, LevelFilter::INFO)
            .with_target(ENDS, LevelFilter::DEBUG)
            .with_target(QUERIES, LevelFilter::DEBUG);
        RecorderLayer(self.clone()).with_filter(targets)
    }

    fn keep(&self, request: &Shared, is_run: bool) {
        let kept = &mut *lock(&self.0.kept);
        let (ring, most) = if is_run { (&mut kept.runs, RUNS_MAX) } else { (&mut kept.requests, REQUESTS_MAX) };
        if ring.len() == most {
            ring.pop_front();
        }
        ring.push_back(Arc::clone(request));
    }
}

/// Returns copies of the newest `most` that match, the newest first.
fn newest(kept: &[Shared], most: usize, matches: impl Fn(&RecordedRequest) -> bool) -> Vec<RecordedRequest> {
    kept.iter().rev().map(|one| lock(one)).filter(|one| matches(one)).take(most).map(|one| one.clone()).collect()
}

struct RecorderLayer(SqlRecorder);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for RecorderLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        // Workers have such spans too, with their name in place of a path, and ids if the run is about one trip.
        let is_request = fields.path.starts_with('/');
        let is_recorded = match is_request {
            true => !IGNORED.iter().any(|it| fields.path.starts_with(it)),
            false => !fields.trip_id.is_empty(),
        };
        if let Some(span) = context.span(id).filter(|_| is_recorded) {
            let request = Arc::new(Mutex::new(fields.started(self.0.0.clock.machine())));
            self.0.keep(&request, !is_request);
            span.extensions_mut().insert(request);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let request = context
            .event_scope(event)
            .and_then(|mut scope| scope.find_map(|span| span.extensions().get::<Shared>().cloned()));
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

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else { return };
        if let Some(request) = span.extensions().get::<Shared>() {
            let mut request = lock(request);
            let elapsed_us = request.elapsed_us();
            request.duration_us.get_or_insert(elapsed_us);
        }
    }
}

impl RecordedRequest {
    fn elapsed_us(&self) -> u64 {
        micros(self.watch.elapsed().as_secs_f64())
    }

    fn take(&mut self, statement: Statement) {
        // sqlx's own query for types, once per connection.
        if statement.sql.contains("pg_catalog.") {
            return;
        }
        if self.statements.len() < STATEMENTS_MAX {
            let ended_us = self.elapsed_us();
            self.statements.push(Statement { ended_us, ..statement });
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
    trip_id: String,
    payment_id: String,
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
    fn started(self, at: MachineTime) -> RecordedRequest {
        RecordedRequest {
            path: cut(&self.path, PATH_BYTES_MAX),
            trip_id: self.trip_id.parse().ok(),
            payment_id: self.payment_id.parse().ok(),
            trace_id: self.trace_id,
            watch: Stopwatch::start(),
            started_at: at,
            method: None,
            status: None,
            duration_us: None,
            statements: Vec::new(),
            left_out: 0,
        }
    }

    fn statement(self) -> Statement {
        // sqlx leaves the statement empty when the summary is all of it.
        let sql = if self.sql.is_empty() { &self.summary } else { &self.sql };
        Statement {
            sql: normalize(sql),
            summary: cut(&self.summary, PATH_BYTES_MAX),
            elapsed_us: micros(self.elapsed_s),
            ended_us: 0,
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
            "trip_id" => &mut self.trip_id,
            "payment_id" => &mut self.payment_id,
            "method" => &mut self.method,
            "summary" => &mut self.summary,
            "db.statement" => &mut self.sql,
            _ => return,
        };
        value.clone_into(place);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Fields written with `%` arrive here.
        if matches!(field.name(), "trace_id" | "path" | "trip_id" | "payment_id") {
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
mod tests;
