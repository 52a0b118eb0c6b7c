use super::*;
use crate::platform::telemetry::{self, Context};
use tracing_subscriber::layer::SubscriberExt;

fn request(path: &str, work: impl FnOnce()) {
    telemetry::span(&Context::new("4bf9", path)).in_scope(work);
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
fn worker_run_about_a_trip_is_recorded_under_the_trace_of_its_cause() {
    let (trip, payment) = (TripId::from(uuid::Uuid::from_u128(7)), PaymentId::from(uuid::Uuid::from_u128(8)));
    let recorder = recorded(|| {
        request("/v1/trips", || query("select 1", "select 1"));
        let run = Context { trip_id: Some(trip), payment_id: Some(payment), ..Context::new("4bf9", "payments") };
        telemetry::span(&run).in_scope(|| query("select 2", "select 2"));
        let other = Context { trip_id: Some(trip), ..Context::new("5bf9", "deadlines") };
        telemetry::span(&other).in_scope(|| query("select 3", "select 3"));
    });
    let found: Vec<_> = recorder.find("4bf9").into_iter().map(|one| (one.path, one.trip_id, one.payment_id)).collect();
    assert_eq!(found, [("/v1/trips".to_owned(), None, None), ("payments".to_owned(), Some(trip), Some(payment))]);
    let of_trip = recorder.of_trip(trip, &BTreeSet::new());
    let mut of_trip: Vec<_> = of_trip.iter().map(|one| (one.path.as_str(), one.duration_us.is_some())).collect();
    of_trip.sort_unstable();
    assert_eq!(of_trip, [("deadlines", true), ("payments", true)], "both runs have ended");
}

#[test]
fn timeline_has_the_last_requests_of_each_trace() {
    let of_trace = |trace: &str, path: &str| telemetry::span(&Context::new(trace.to_owned(), path)).in_scope(|| {});
    let recorder = recorded(|| {
        of_trace("5bf9", "/v1/quotes");
        of_trace("6bf9", "/v1/quotes");
        (0..SHOWN_MAX + 1).for_each(|n| of_trace("4bf9", &format!("/v1/trips/{n}")));
    });
    let traces = BTreeSet::from(["4bf9".to_owned(), "5bf9".to_owned()]);
    let found = recorder.of_trip(TripId::from(uuid::Uuid::nil()), &traces);
    let found: Vec<_> = found.into_iter().map(|one| (one.trace_id, one.path)).collect();
    assert_eq!(found.iter().filter(|(trace, _)| trace == "4bf9").count(), SHOWN_MAX);
    assert!(!found.contains(&("4bf9".to_owned(), "/v1/trips/0".to_owned())), "the oldest is left out");
    assert!(found.contains(&("5bf9".to_owned(), "/v1/quotes".to_owned())));
    assert!(found.iter().all(|(trace, _)| trace != "6bf9"), "{found:?}");
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
    assert_eq!((lock(&recorder.0.kept).requests.len(), found.len()), (REQUESTS_MAX, SHOWN_MAX));
    let last = found.last().expect("the last one");
    assert_eq!((last.statements.len(), last.left_out), (STATEMENTS_MAX, 5));
    assert_eq!(last.path.len(), PATH_BYTES_MAX);
    assert!(last.statements[0].sql.len() <= SQL_BYTES_MAX + CUT.len());
}
