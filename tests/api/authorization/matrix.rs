//! Every documented route without a token, with an invalid one, and with the wrong role.

use std::collections::BTreeSet;

use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::json;

use super::tokens::bad_headers;
use crate::harness::{Actor, ApiResponse, App, new_key};

const ROLES: [&str; 4] = ["rider", "driver", "gateway", "ops"];

/// The roles that may call each route; none for routes without a token. A test fails for a route that is missing here.
const ROUTES: &[(&str, &[&str])] = &[
    ("GET /healthz", &[]),
    ("GET /readyz", &[]),
    ("POST /v1/sandbox/tokens", &[]),
    ("GET /v1/sandbox/audit", &[]),
    ("GET /v1/sandbox/clock", &[]),
    ("POST /v1/sandbox/clock", &[]),
    ("GET /v1/sandbox/requests/{trace_id}", &[]),
    ("GET /v1/sandbox/timeline/{id}", &[]),
    ("GET /v1/sandbox/objects/{id}", &[]),
    ("POST /v1/sandbox/kill", &[]),
    ("POST /v1/sandbox/reset", &[]),
    ("GET /v1/sandbox/provider/faults", &[]),
    ("POST /v1/sandbox/provider/faults", &[]),
    ("DELETE /v1/sandbox/provider/faults", &[]),
    ("GET /v1/sandbox/provider/payment_intents/{payment_id}", &[]),
    ("POST /v1/sandbox/provider/payment_intents/{payment_id}/expire", &[]),
    ("GET /v1/sandbox/streets", &[]),
    ("PUT /v1/sandbox/streets", &[]),
    ("GET /v1/sandbox/route", &[]),
    ("GET /v1/sandbox/live", &[]),
    ("GET /v1/sandbox/state_machines", &[]),
    ("POST /v1/webhooks/psp", &[]), // authenticated by its signature
    ("POST /v1/quotes", &["rider"]),
    ("POST /v1/trips", &["rider"]),
    ("GET /v1/trips", &["rider", "driver", "ops"]),
    ("GET /v1/trips/{trip_id}", &["rider", "driver", "ops"]),
    ("GET /v1/trips/{trip_id}/events", &["rider", "driver", "ops"]),
    ("GET /v1/trips/{trip_id}/driver", &["rider", "driver", "ops"]),
    ("GET /v1/trips/{trip_id}/explain", &["rider", "driver", "ops"]),
    ("GET /v1/trips/{trip_id}/receipt", &["rider", "ops"]),
    ("POST /v1/trips/{trip_id}/cancel", &["rider", "driver"]),
    ("POST /v1/trips/{trip_id}/arrive", &["driver"]),
    ("POST /v1/trips/{trip_id}/start", &["driver"]),
    ("POST /v1/trips/{trip_id}/complete", &["driver", "ops"]),
    ("POST /v1/trips/{trip_id}/no_show", &["driver"]),
    ("POST /v1/trips/{trip_id}/abort", &["ops"]),
    ("POST /v1/trips/{trip_id}/pin/reset", &["ops"]),
    ("POST /v1/trips/{trip_id}/tip", &["rider"]),
    ("GET /v1/drivers/me", &["driver"]),
    ("PUT /v1/drivers/me/availability", &["driver"]),
    ("PUT /v1/drivers/me/location", &["driver"]),
    ("GET /v1/drivers/me/events", &["driver"]),
    ("GET /v1/drivers/me/stream", &["driver"]),
    ("POST /v1/locations", &["gateway"]),
    ("GET /v1/drivers/nearby", &["rider", "driver", "ops"]),
    ("GET /v1/zones/trending", &["rider", "driver", "ops"]),
    ("GET /v1/ops/surge", &["ops"]),
    ("PUT /v1/ops/surge/{cell}", &["ops"]),
    ("DELETE /v1/ops/surge/{cell}", &["ops"]),
    ("GET /v1/offers", &["driver"]),
    ("GET /v1/offers/{offer_id}", &["driver", "ops"]),
    ("POST /v1/offers/{offer_id}/accept", &["driver"]),
    ("POST /v1/offers/{offer_id}/decline", &["driver"]),
    ("GET /v1/payments/{payment_id}", &["rider", "ops"]),
    ("GET /v1/payments/{payment_id}/events", &["rider", "ops"]),
    ("POST /v1/payments/{payment_id}/refunds", &["ops"]),
    ("POST /v1/ops/payments/{payment_id}/resolve", &["ops"]),
    ("POST /v1/ops/refunds/{refund_id}/resolve", &["ops"]),
    ("GET /v1/ops/ledger", &["ops"]),
    ("GET /v1/ops/ledger/postings", &["ops"]),
    ("GET /v1/ops/reconciliation", &["ops"]),
    ("GET /v1/ops/reconciliation/findings", &["ops"]),
    ("GET /v1/ops/reconciliation/findings/{finding_id}", &["ops"]),
    ("POST /v1/ops/reconciliation/findings/{finding_id}/resolve", &["ops"]),
    ("GET /v1/ops/reconciliation/runs", &["ops"]),
    ("POST /v1/ops/reconciliation/runs", &["ops"]),
    ("GET /v1/ops/reconciliation/runs/{run_id}", &["ops"]),
    ("GET /v1/ops/audit", &["ops"]),
    ("GET /v1/ops/webhook_endpoints", &["ops"]),
    ("POST /v1/ops/webhook_endpoints", &["ops"]),
    ("GET /v1/ops/webhook_endpoints/{endpoint_id}", &["ops"]),
    ("DELETE /v1/ops/webhook_endpoints/{endpoint_id}", &["ops"]),
    ("POST /v1/ops/webhook_endpoints/{endpoint_id}/enable", &["ops"]),
    ("POST /v1/ops/webhook_endpoints/{endpoint_id}/disable", &["ops"]),
    ("POST /v1/ops/webhook_endpoints/{endpoint_id}/rotate_secret", &["ops"]),
    ("GET /v1/ops/webhook_endpoints/{endpoint_id}/deliveries", &["ops"]),
    ("POST /v1/ops/webhook_deliveries/{delivery_id}/redeliver", &["ops"]),
];

/// Public pages that are not in the OpenAPI document.
const PAGES: &[&str] = &[
    "/",
    "/book",
    "/city",
    "/metrics",
    "/openapi.json",
    "/docs/",
    "/problems/not_found",
    "/rehearse",
    "/rehearse/partner/x",
    "/rehearse/candidate/x",
    "/shell/shell.css",
];

/// A request that is complete except for the caller and the object.
fn request(app: &App, operation: &str) -> RequestBuilder {
    let (method, template) = operation.split_once(' ').unwrap();
    let objects = [
        ("{trip_id}", "trip"),
        ("{offer_id}", "ofr"),
        ("{payment_id}", "pay"),
        ("{refund_id}", "rfd"),
        ("{endpoint_id}", "whe"),
        ("{delivery_id}", "whd"),
        ("{finding_id}", "fnd"),
        ("{run_id}", "run"),
    ];
    let path = objects.into_iter().fold(template.to_owned(), |path, (parameter, prefix)| {
        path.replace(parameter, &format!("{prefix}_01h455vb4pex5vsknk084sn02q"))
    });
    let request = app.http.request(method.parse::<Method>().unwrap(), app.url(&path));
    if method == "GET" { request } else { request.header("Idempotency-Key", new_key()).json(&json!({})) }
}

/// Returns only the status, because some responses are endless streams.
async fn status(request: RequestBuilder) -> StatusCode {
    ApiResponse::open(request).await.status()
}

#[test]
fn matrix_rows_equal_documented_routes() {
    let document = serde_json::to_value(ridematch::document()).unwrap();
    let mut documented = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        documented.extend(item.as_object().unwrap().keys().map(|method| format!("{} {path}", method.to_uppercase())));
    }
    let rows: BTreeSet<_> = ROUTES.iter().map(|(operation, _)| (*operation).to_owned()).collect();
    assert_eq!(rows, documented);
}

#[test]
fn documented_roles_equal_the_matrix() {
    let document = serde_json::to_value(ridematch::document()).unwrap();
    for (operation, roles) in ROUTES {
        let (method, path) = operation.split_once(' ').unwrap();
        let security = document["paths"][path][method.to_lowercase()]["security"].as_array().unwrap();
        let named: BTreeSet<_> = security.iter().flat_map(|one| one.as_object().unwrap().keys().cloned()).collect();
        assert_eq!(named, roles.iter().map(|role| (*role).to_owned()).collect(), "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_or_invalid_token_is_401_on_every_route() {
    let app = App::start().await;
    let headers = bad_headers(&app).await;
    for (operation, _) in ROUTES.iter().filter(|(_, roles)| !roles.is_empty()) {
        let answer = ApiResponse::of(request(&app, operation)).await;
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{operation}");
        answer.expect_problem(401, "unauthenticated");
        for (what, header) in &headers {
            let answer = ApiResponse::of(request(&app, operation).header("Authorization", header)).await;
            assert_eq!(answer.status, 401, "{operation} with {what}: {:#}", answer.json());
            answer.expect_problem(401, "unauthenticated");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_role_is_403_on_every_route() {
    let app = App::start().await;
    let mut callers: Vec<(&str, Actor)> = Vec::new();
    for role in ROLES {
        callers.push((role, app.actor(role).await));
    }
    for (operation, roles) in ROUTES.iter().filter(|(_, roles)| !roles.is_empty()) {
        for (role, caller) in &callers {
            let request = request(&app, operation).bearer_auth(&caller.token);
            if roles.contains(role) {
                let status = status(request).await;
                assert!(
                    status != 401 && status != 403 && !status.is_server_error(),
                    "{operation} for {role}: {status}"
                );
            } else {
                ApiResponse::of(request).await.expect_problem(403, "forbidden");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn public_routes_need_no_token() {
    let app = App::start().await;
    for (operation, _) in ROUTES.iter().filter(|(_, roles)| roles.is_empty()) {
        let status = status(request(&app, operation)).await;
        assert!(status != 401 && status != 403 && !status.is_server_error(), "{operation}: {status}");
    }
    for page in PAGES {
        assert_eq!(status(app.http.get(app.url(page))).await, 200, "{page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sandbox_routes_are_404_without_the_sandbox_flag() {
    let app = App::start().await;
    let production = app.production().await;
    let (ops, clock) = (app.ops().await.at(&production), "/v1/sandbox/clock");
    for actor in [&Actor { token: String::new(), ..ops.clone() }, &ops] {
        actor.get(clock).await.expect_problem(404, "not_found");
        actor.post_unkeyed(clock, &json!({"advance_s": 1})).await.expect_problem(404, "not_found");
        actor.post_unkeyed("/v1/sandbox/tokens", &json!({"role": "ops"})).await.expect_problem(404, "not_found");
    }
    ops.get("/v1/trips").await.expect(200);
    production.stop().await;
}
