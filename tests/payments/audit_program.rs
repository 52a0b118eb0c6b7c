//! The audit of a running service: open work is no violation, and makes a waiting audit unclean.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::process::Output;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::harness::audit_fixture::{app_with_trips, broken, completed, paid, refund};
use crate::harness::process::program;
use crate::harness::{Actor, App, HERE, PSP_SECRET, at_once, id};
use ridematch::platform::config::ProviderConfig;
use ridematch::platform::secret::Secret;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn trip_with_open_work_is_counted_as_unsettled_and_not_checked() {
    let app = app_with_trips().await;
    app.break_with(
        "update trips set total = total + 100 where state = 'completed';
         insert into payment_attempts (id, payment_id, operation, provider_key, outcome, lease_token, started_at, finished_at)
         select gen_random_uuid(), id, 'capture', 'broken', 'unknown', 1, '2099-01-01', '2099-01-01'
         from payments where state = 'captured'",
    )
    .await;
    let report = app.ops().await.get("/v1/ops/audit").await.expect(200);
    assert_eq!((broken(&report).len(), &report["unsettled"]), (0, &json!(1)), "{report:#}");
    // It stays unsettled, so the audit that waits is not clean.
    let (code, text) = audit_command(&app, &["--settle", "0"]).await;
    assert_eq!(code, 1, "{text}");
    app.break_with("update payment_attempts set resolved_at = finished_at where provider_key = 'broken'").await;
    assert_eq!(broken(&app.audit().await), ["receipts"]);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_provider_is_not_clean() {
    let app = app_with_trips().await;
    let auditor = ridematch::startup::auditor(ridematch::audit::AuditConfig {
        database_url: app.config.database_url.clone(),
        psp: ProviderConfig::new(
            format!("http://{}", crate::harness::free_address()).parse().unwrap(),
            Secret::new(PSP_SECRET),
        ),
    });
    let report = serde_json::to_value(auditor.unwrap().run(None).await.unwrap()).unwrap();
    assert_eq!((&report["clean"], &report["provider"]), (&json!(false), &json!("unchecked")), "{report:#}");
    assert_eq!(broken(&report).len(), 0, "{report:#}");
    app.stop().await;
}

/// Runs `ridematch audit` and returns its exit code and output.
async fn audit_command(app: &App, options: &[&str]) -> (i32, String) {
    let mut command = program(&["audit"]);
    command.args(["--database-url", &app.config.database_url, "--psp-base-url", app.config.psp.base_url.as_str()]);
    let Output { status, stdout, stderr } =
        command.args(["--psp-secret-key", PSP_SECRET]).args(options).output().await.unwrap();
    (status.code().unwrap(), String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_command_exits_with_zero_only_when_clean() {
    let app = app_with_trips().await;
    let (code, text) = audit_command(&app, &["--settle"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("\nclean, as of "), "{text}");
    let (code, text) = audit_command(&app, &["--json"]).await;
    assert_eq!((code, &serde_json::from_str::<Value>(&text).unwrap()["clean"]), (0, &json!(true)));
    app.break_with("update trips set total = total + 100 where state = 'completed'").await;
    let (code, text) = audit_command(&app, &[]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("receipts: trip_"), "{text}");
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn audit_of_a_busy_service_raises_no_false_alarm() {
    const RIDERS: usize = 6;
    const AUDITS: usize = 30;
    let app = App::start().await;
    let ops = app.ops().await;
    // Far enough apart that each rider gets the nearest driver.
    let places = (0_i32..).map(|n| (HERE.0 + f64::from(n), HERE.1));
    let busy = AtomicBool::new(true);
    let audits = async {
        for _ in 0..AUDITS {
            let report = ops.get("/v1/ops/audit").await.expect(200);
            assert_eq!(broken(&report), [""; 0], "{report:#}");
        }
        busy.store(false, Ordering::Relaxed);
    };
    let rides = at_once(places.take(RIDERS).map(async |place| {
        // An operator of their own: the commands of a caller are limited.
        let (ops, rider, driver) = (app.ops().await, app.rider().await, app.driver_at(place).await);
        while busy.load(Ordering::Relaxed) {
            driver.send_position(&app, place).await;
            let trip = in_progress_at(&app, (&rider, &driver), place).await;
            let trip = driver.command(&trip, "complete").await.expect(200);
            refund(&ops, &paid(&ops, &trip).await, 1).await;
        }
    }));
    tokio::join!(audits, rides);
    app.assert_clean().await;
    app.stop().await;
}

/// Starts a trip from `place` and returns its id.
async fn in_progress_at(app: &App, (rider, driver): (&Actor, &Actor), place: (f64, f64)) -> String {
    let quote = rider.quote(place, (place.0 + 0.01, place.1)).await;
    let trip =
        rider.post("/v1/trips", &json!({"quote_id": quote["id"], "payment_method": "pm_card_visa"})).await.expect(201);
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
    driver.send_position(app, place).await;
    driver.command(id(&trip), "arrive").await.expect(200);
    driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": trip["pin"]})).await.expect(200);
    id(&trip).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn ledger_of_a_trip_lists_its_postings() {
    let app = app_with_trips().await;
    let ops = app.ops().await;
    let trip = completed(&ops).await;
    let price = trip["price"]["amount"].as_i64().unwrap();
    let ledger = ops.get(&format!("/v1/ops/ledger?trip_id={}", id(&trip))).await.expect(200);
    let balance = |account: &str| {
        let accounts = ledger["accounts"].as_array().unwrap();
        accounts.iter().find(|one| one["account"] == account).unwrap()["balance"].as_i64().unwrap()
    };
    assert_eq!(balance("rider_receivable"), 0);
    assert_eq!((balance("clearing"), balance("refunds")), (price - 100, 100));
    assert_eq!(balance("driver_payable") + balance("platform_revenue"), -price);
    let kinds: Vec<_> =
        ledger["postings"].as_array().unwrap().iter().map(|posting| posting["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["charge", "capture", "refund"]);
    assert_eq!(ledger["postings"][0]["source_id"], trip["id"]);

    let all = ops.get("/v1/ops/ledger").await.expect(200);
    assert_eq!(all["accounts"], ledger["accounts"], "only one trip was charged");
    assert!(all.get("postings").is_none());
    ops.get("/v1/ops/ledger?trip_id=ofr_x").await.expect_problem(400, "invalid_id");
    ops.get("/v1/ops/ledger?trip=x").await.expect_problem(400, "malformed");
    app.rider().await.get("/v1/ops/audit").await.expect_problem(403, "forbidden");
    app.stop().await;
}
