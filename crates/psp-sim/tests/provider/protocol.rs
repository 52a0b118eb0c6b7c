//! The protocol: credentials, parameters, lists, headers.

use reqwest::Method;
use serde_json::Value;

use crate::harness::{Form, MANUAL, ManualClock, SECRET_KEY, Sim, read};

#[tokio::test]
async fn wrong_or_missing_secret_key_is_401() {
    let Sim { http, .. } = &Sim::start().await;
    let list = || http.client.get(http.url("/v1/payment_intents"));
    assert_eq!(read(list().bearer_auth(SECRET_KEY)).await.status, 200);
    assert_eq!(read(list().basic_auth(SECRET_KEY, Some(""))).await.status, 200);
    let wrong = [
        list(),
        list().bearer_auth("sk_test_other"),
        list().bearer_auth(""),
        list().bearer_auth(format!("{SECRET_KEY}x")),
        list().basic_auth("sk_test_other", Some("")),
        list().basic_auth("", Some(SECRET_KEY)),
        list().header("Authorization", SECRET_KEY),
    ];
    for request in wrong {
        let refused = read(request).await;
        assert_eq!(refused.error(), (401, "invalid_request_error", ""));
        assert!(refused.header("request-id").is_some());
        assert!(!refused.text.contains("sk_test"), "{}", refused.text);
    }
    let nowhere = read(http.client.post(http.url("/v1/nowhere"))).await;
    assert_eq!(nowhere.status, 401, "without a key, unknown and known routes look the same");
}

/// An invalid form, and the code and parameter of the error.
const INVALID: &[(Form<'static>, &str, &str)] = &[
    (&[("currency", "usd")], "parameter_missing", "amount"),
    (&[("amount", "100")], "parameter_missing", "currency"),
    (&[("amount", "1.15"), ("currency", "usd")], "parameter_invalid_integer", "amount"),
    (&[("amount", "0"), ("currency", "usd")], "parameter_invalid_integer", "amount"),
    (&[("amount", "-5"), ("currency", "usd")], "parameter_invalid_integer", "amount"),
    (&[("amount", "99999999999999999999"), ("currency", "usd")], "parameter_invalid_integer", "amount"),
    (&[("amount", "100000000"), ("currency", "usd")], "amount_too_large", "amount"),
    (&[("amount", ""), ("currency", "usd")], "parameter_invalid_empty", "amount"),
    (&[("amount", "100"), ("currency", "us")], "", "currency"),
    (&[("amount", "100"), ("currency", "u$d")], "", "currency"),
    (&[("amount", "100"), ("currency", "usd"), ("capture_method", "later")], "", "capture_method"),
    (&[("amount", "100"), ("currency", "usd"), ("payment_method", "pm_x")], "resource_missing", "payment_method"),
    (&[("amount", "100"), ("currency", "usd"), ("confirm", "true")], "parameter_missing", "payment_method"),
    (&[("amount", "100"), ("currency", "usd"), ("confirm", "yes")], "", "confirm"),
    (&[("amount", "100"), ("currency", "usd"), ("amuont", "1")], "parameter_unknown", "amuont"),
];

#[tokio::test]
async fn invalid_parameter_is_400_with_its_name() {
    let Sim { http, .. } = &Sim::start().await;
    for (form, code, param) in INVALID {
        let refused = http.post("/v1/payment_intents", form).await;
        assert_eq!(refused.error(), (400, "invalid_request_error", *code), "{form:?}");
        assert_eq!(refused.json["error"]["param"], *param, "{form:?}");
    }
    let long = "x".repeat(501);
    let form = [MANUAL, &[("metadata[note]", &long)]].concat();
    let refused = http.post("/v1/payment_intents", &form).await;
    assert_eq!(refused.json["error"]["param"], "metadata");
    assert_eq!(http.sums().await["payment_intents"], 0);
}

#[tokio::test]
async fn unknown_object_is_resource_missing() {
    let Sim { http, .. } = &Sim::start().await;
    for command in ["confirm", "capture", "cancel"] {
        let missing = http.command("pi_none", command, &[]).await;
        assert_eq!(missing.error(), (404, "invalid_request_error", "resource_missing"));
    }
    for path in ["/v1/payment_intents/pi_none", "/v1/refunds/re_none"] {
        assert_eq!(http.get(path).await.error(), (404, "invalid_request_error", "resource_missing"));
    }
    let missing = http.refund("pi_none", "1").await;
    assert_eq!(missing.error(), (400, "invalid_request_error", "resource_missing"));
    assert_eq!(missing.json["error"]["param"], "payment_intent");

    let id = http.create(MANUAL).await;
    let missing = http.command(&id, "confirm", &[("payment_method", "pm_card_none")]).await;
    assert_eq!(missing.error(), (400, "invalid_request_error", "resource_missing"));
}

#[tokio::test]
async fn unknown_url_and_invalid_body_are_errors_of_the_protocol() {
    let Sim { http, .. } = &Sim::start().await;
    let send = |method: Method, path: &str| http.client.request(method, http.url(path)).bearer_auth(SECRET_KEY);
    for (method, path) in [
        (Method::GET, "/v1/nowhere"),
        (Method::DELETE, "/v1/payment_intents"),
        (Method::GET, "/v1/payment_intents/pi_1/confirm"),
        (Method::POST, "/v1/state"),
        (Method::GET, "/"),
    ] {
        assert_eq!(read(send(method, path)).await.error(), (404, "invalid_request_error", ""), "{path}");
    }
    let json = send(Method::POST, "/v1/payment_intents").json(&serde_json::json!({ "amount": 100 }));
    assert_eq!(read(json).await.error(), (400, "invalid_request_error", ""));
    let long = "x".repeat(200_000);
    let long = send(Method::POST, "/v1/payment_intents").form(&[("description", &long)]);
    assert_eq!(read(long).await.error(), (413, "invalid_request_error", ""));
    let key = send(Method::POST, "/v1/payment_intents").header("Idempotency-Key", "k".repeat(256)).form(MANUAL);
    assert_eq!(read(key).await.error(), (400, "invalid_request_error", ""));
}

#[tokio::test]
async fn version_header_is_echoed() {
    let Sim { http, .. } = &Sim::start().await;
    let request = http.client.get(http.url("/v1/refunds")).bearer_auth(SECRET_KEY);
    let reply = read(request.header("Stripe-Version", "2024-06-20")).await;
    assert_eq!(reply.header("stripe-version"), Some("2024-06-20"));
    assert!(reply.header("request-id").unwrap().starts_with("req_"));
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

fn ids(list: &Value) -> Vec<String> {
    let id = |object: &Value| object["id"].as_str().unwrap().to_owned();
    list["data"].as_array().unwrap().iter().map(id).collect()
}

#[tokio::test]
async fn list_has_stable_pages_newest_first() {
    let time = ManualClock::at(1_000);
    let Sim { http, .. } = &Sim::start_with(|settings| settings.clock = time.clock()).await;
    let mut newest_first = Vec::new();
    for _ in 0..7 {
        newest_first.insert(0, http.create(MANUAL).await);
        time.advance(10);
    }
    let mut seen = Vec::new();
    let mut path = "/v1/payment_intents?limit=3".to_owned();
    loop {
        let page = http.get(&path).await.json;
        seen.extend(ids(&page));
        if page["has_more"] == false {
            break;
        }
        // A new object does not move the pages.
        http.create(MANUAL).await;
        path = format!("/v1/payment_intents?limit=3&starting_after={}", seen.last().unwrap());
    }
    assert_eq!(seen, newest_first);

    let before = http.get(&format!("/v1/payment_intents?limit=2&ending_before={}", newest_first[4])).await.json;
    assert_eq!(ids(&before), newest_first[2..4]);
    assert_eq!(before["has_more"], true);
    for (filter, expected) in [
        ("created[gte]=1040&created[lt]=1060", &newest_first[1..3]),
        ("created[gt]=1040&created[lte]=1060", &newest_first[0..2]),
        ("created=1020", &newest_first[4..5]),
    ] {
        let filtered = http.get(&format!("/v1/payment_intents?{filter}")).await.json;
        assert_eq!(ids(&filtered), expected, "{filter}");
    }
    for wrong in ["limit=0", "limit=x", "starting_after=pi_none", "customer=cus_1", "starting_after=a&ending_before=b"]
    {
        assert_eq!(http.get(&format!("/v1/payment_intents?{wrong}")).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn refunds_are_listed_by_payment() {
    let Sim { http, .. } = &Sim::start().await;
    let (one, other) = (http.captured().await, http.captured().await);
    let first = http.refund(&one, "100").await.id();
    let second = http.refund(&other, "200").await.id();
    let third = http.refund(&one, "300").await.id();
    let of_one = http.get(&format!("/v1/refunds?payment_intent={one}")).await.json;
    assert_eq!(ids(&of_one), [third.clone(), first.clone()]);
    assert_eq!(ids(&http.get("/v1/refunds").await.json), [third, second, first]);
}
