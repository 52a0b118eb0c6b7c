//! A worker that cannot do what is due pauses: it does not run in a loop.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::harness::{ApiResponse, App, HERE, Options, free_address, id, until};

/// The sum of the metrics whose name and labels contain all of `parts`.
async fn metric(app: &App, parts: &[&str]) -> u64 {
    let text = ApiResponse::of(app.http.get(app.url("/metrics"))).await.text();
    let matching = text.lines().filter(|line| parts.iter().all(|part| line.contains(part)));
    matching.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

/// Returns how often a worker has left a row for later, for this reason.
pub async fn postponed(app: &App, worker: &str, reason: &str) -> u64 {
    let labels = [&format!("worker=\"{worker}\""), &format!("reason=\"{reason}\"")];
    metric(app, &["ridematch_rows_postponed_total{", labels[0], labels[1]]).await
}

async fn runs(app: &App, worker: &str) -> u64 {
    metric(app, &["ridematch_worker_runs_total{", &format!("worker=\"{worker}\"")]).await
}

/// Returns how often a worker runs while the worker `clock`, which runs once a second, runs three times.
pub async fn runs_meanwhile(app: &App, worker: &str) -> u64 {
    let (before, started) = (runs(app, worker).await, runs(app, "clock").await);
    until("three seconds have passed", async || (runs(app, "clock").await >= started + 3).then_some(())).await;
    runs(app, worker).await - before
}

/// Asserts that a worker runs at most a few times a second.
async fn assert_pauses(app: &App, worker: &str) {
    let runs = runs_meanwhile(app, worker).await;
    assert!(runs < 60, "{worker} ran {runs} times in a few seconds");
    assert!(self::runs(app, worker).await > 0, "no worker is called {worker}");
}

/// Locks rows until the session is dropped.
async fn lock(app: &App, select: &str) -> PgConnection {
    let mut session = PgConnection::connect(&app.database.url()).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(format!("begin; {select} for update"))).execute(&mut session).await.unwrap();
    session
}

async fn searching(app: &App) {
    let rider = app.rider().await;
    rider.until_state(id(&rider.request_trip().await), "searching").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dispatch_pauses_while_a_searching_trip_is_locked() {
    let app = App::start().await;
    searching(&app).await;
    let _session = lock(&app, "select from trips").await;
    // The next search is due now, and there is a driver.
    app.driver_at(HERE).await;
    app.advance(5).await;
    until("the trip is left for later", async || (postponed(&app, "dispatch", "locked").await > 0).then_some(())).await;
    assert_pauses(&app, "dispatch").await;
    assert_eq!(app.count("select count(*) from offers").await, 0);
    app.stop().await;
}

/// Another epoch refuses every offer, as after an election that this process has not noticed.
#[tokio::test(flavor = "multi_thread")]
async fn dispatch_pauses_while_its_offers_are_refused() {
    let app = App::start().await;
    app.break_with("update matcher set epoch = epoch + 1").await;
    app.driver_at(HERE).await;
    searching(&app).await;
    until("the offer is refused", async || (postponed(&app, "dispatch", "failed").await > 0).then_some(())).await;
    assert_pauses(&app, "dispatch").await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settlement_pauses_while_a_due_payment_is_locked() {
    // Without events of the provider the lock is the only reason to wait.
    let app = App::with(Options { events_to: Some(free_address()), ..Options::default() }).await;
    searching(&app).await;
    app.break_with("update payments set due_at = now() + interval '5 seconds'").await;
    let _session = lock(&app, "select from payments").await;
    until("the payment is due", async || {
        (app.count("select count(*) from payments where due_at < now()").await == 1).then_some(())
    })
    .await;
    assert_pauses(&app, "settlement").await;
    app.stop().await;
}

/// A state in which no deadline applies.
#[tokio::test(flavor = "multi_thread")]
async fn deadlines_worker_pauses_while_a_due_trip_has_no_deadline() {
    let app = App::start().await;
    let (rider, driver) = (app.rider().await, app.driver_at(HERE).await);
    crate::harness::assigned(&app, &rider, &driver).await;
    app.break_with("update trips set due_at = requested_at").await;
    assert_pauses(&app, "deadlines").await;
    app.stop().await;
}
