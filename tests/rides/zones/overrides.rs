//! Multipliers that operators set.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Actor, ApiResponse, App, HERE, THERE, at_once};

/// The cell of [`HERE`].
fn here() -> String {
    let position = ridematch::geo::Position::new(HERE.0, HERE.1).unwrap();
    ridematch::geo::cells::Cell::at(position).to_string()
}

async fn in_minutes(app: &App, minutes: i64) -> String {
    (app.now().await.parse::<DateTime<Utc>>().unwrap() + TimeDelta::minutes(minutes)).to_rfc3339()
}

/// Sets a multiplier for an hour.
pub async fn set(app: &App, ops: &Actor, cell: &str, multiplier_bp: i64) -> Value {
    let body =
        json!({"multiplier_bp": multiplier_bp, "expires_at": in_minutes(app, 60).await, "reason": " A concert. "});
    ops.put(&format!("/v1/ops/surge/{cell}"), &body).await.expect(200)
}

async fn multiplier(rider: &Actor) -> i64 {
    rider.quote(HERE, THERE).await["surge"]["multiplier_bp"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn override_counts_until_it_is_replaced_deleted_or_expired_and_is_recorded() {
    let app = App::start().await;
    let (rider, ops, second) = (app.rider().await, app.ops().await, app.ops().await);
    let one = set(&app, &ops, &here(), 15_000).await;
    assert_eq!((&one["set_by"], &one["reason"]), (&json!(ops.id), &json!("A concert.")));
    let quote = rider.quote(HERE, THERE).await;
    let expected = json!({"multiplier_bp": 15_000, "cell": here(), "reason": "The multiplier was set by an operator."});
    assert_eq!(quote["surge"], expected);
    let listed = ops.get("/v1/ops/surge").await.expect(200);
    let uncounted = &listed["items"][0];
    assert_eq!((&uncounted["expected_requests"], &uncounted["idle_drivers"]), (&Value::Null, &Value::Null));
    set(&app, &second, &here(), 30_000).await;
    assert_eq!(multiplier(&rider).await, 30_000);
    let path = format!("/v1/ops/surge/{}", here());
    assert_eq!(ApiResponse::of(second.request(Method::DELETE, &path)).await.status, 204);
    ApiResponse::of(second.request(Method::DELETE, &path)).await.expect_problem(404, "not_found");
    assert_eq!(multiplier(&rider).await, 10_000);
    set(&app, &ops, &here(), 12_000).await;
    app.advance(3_601).await;
    assert_eq!(multiplier(&rider).await, 10_000, "expired");
    ApiResponse::of(ops.request(Method::DELETE, &path)).await.expect_problem(404, "not_found");
    set(&app, &ops, &here(), 12_000).await;
    assert_eq!(multiplier(&rider).await, 12_000, "an expired one is replaced");
    let recorded =
        "select count(*) from surge_overrides where set_by is not null and (ended_at is null or ended_by is not null)";
    assert_eq!(app.count(recorded).await, 4);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn override_out_of_range_is_refused_and_names_the_field() {
    let app = App::start().await;
    let ops = app.ops().await;
    let path = format!("/v1/ops/surge/{}", here());
    let good = json!({"multiplier_bp": 12_000, "expires_at": in_minutes(&app, 60).await, "reason": "A concert."});
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body
    };
    let (past, far) = (in_minutes(&app, -1).await, in_minutes(&app, 1_500).await);
    let cases = [
        ("multiplier_bp", json!(9_999)),
        ("multiplier_bp", json!(30_001)),
        ("multiplier_bp", json!(-1)),
        ("multiplier_bp", json!(12_000.5)),
        ("multiplier_bp", json!("12000")),
        ("multiplier_bp", json!(99_999_999_999_i64)),
        ("expires_at", json!(past)),
        ("expires_at", json!(far)),
        ("expires_at", json!("tomorrow")),
        ("reason", json!("  ")),
        ("reason", json!("x".repeat(501))),
        ("reason", json!("a\u{0}b")),
        ("color", json!(1)),
    ];
    for (field, value) in cases {
        let problem = ops.put(&path, &with(field, value.clone())).await.expect_problem(422, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], format!("/{field}"), "{value}: {problem:#}");
    }
    for cell in ["nowhere", "8a2a100d62c7fff", "882A100D2DFFFFF", "0", "ffffffffffffffff"] {
        for request in [
            ops.request(Method::DELETE, &format!("/v1/ops/surge/{cell}")),
            ops.request(Method::PUT, &format!("/v1/ops/surge/{cell}")).json(&good),
        ] {
            let problem = ApiResponse::of(request).await.expect_problem(400, "invalid_id");
            assert_eq!(problem["errors"][0]["pointer"], "cell");
            assert!(problem["detail"].as_str().unwrap().contains("H3 cell of resolution 8"), "{problem:#}");
        }
    }
    assert_eq!(app.count("select count(*) from surge_overrides").await, 0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_overrides_of_one_cell_all_succeed_and_one_counts() {
    const OPERATORS: usize = 12;
    let app = App::start().await;
    let (cell, operators) = (here(), at_once((0..OPERATORS).map(|_| app.ops())).await);
    for _ in 0..3 {
        at_once(operators.iter().map(|ops| set(&app, ops, &cell, 15_000))).await;
    }
    assert_eq!(app.count("select count(*) from surge_overrides").await, 3 * OPERATORS as i64);
    assert_eq!(app.count("select count(*) from surge_overrides where ended_at is null").await, 1);
    app.stop().await;
}
