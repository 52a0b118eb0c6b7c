//! Secrets and card data never leak: not into the most verbose log, problem documents, metrics, configuration errors, or database
//! columns other than `payment_method`. One exception: the stored response that shows the secret of a webhook endpoint, which its
//! idempotency key keeps for 24 hours.
#![allow(clippy::unwrap_used, reason = "tests")]

mod endpoints;

use std::process::Output;

use crate::harness::breakpoint::Side;
use crate::harness::breakpoint::provider::ProviderProxy;
use crate::harness::process::{Launch, Process, program};
use crate::harness::{
    Actor, ApiResponse, HERE, JWT_SECRET, PSP_SECRET, WEBHOOK_SECRET, database, free_address, id, new_key, until,
};
use ridematch::platform::clock::Clock;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tempfile::TempDir;

/// A unique password, which the server does not check.
const DATABASE_PASSWORD: &str = "database-pw-5a7b";

/// Card data in the responses of a careless provider.
const CLIENT_SECRET: &str = "pi_1_secret_9f8e";
const CARD: &str = "pm_card_private";

/// The forbidden texts, each with a description.
fn forbidden(tokens: &[String]) -> Vec<(String, String)> {
    let fixed = [
        ("the provider's key", PSP_SECRET),
        ("the webhooks' secret", WEBHOOK_SECRET),
        ("the tokens' secret", JWT_SECRET),
        ("the database's password", DATABASE_PASSWORD),
        ("a payment method", "pm_"),
        ("a client secret", "_secret_"),
        ("any token", "eyJ"),
        ("a provider key", "sk_"),
        ("a webhook secret", "whsec_"),
    ];
    let fixed = fixed.map(|(name, text)| (name.to_owned(), text.to_owned())).into_iter();
    // Only the signature of a token is secret.
    let signatures = tokens.iter().map(|token| ("a token".to_owned(), token.rsplit('.').next().unwrap().to_owned()));
    fixed.chain(signatures).collect()
}

/// A field name that looks like a secret.
const HARMLESS: &str = "old_secret_until";

/// The first line of `text` with each forbidden text.
fn leaks(what: &str, text: &str, forbidden: &[(String, String)]) -> Vec<String> {
    let leak = |(name, secret): &(String, String)| {
        let line = text.lines().find(|line| line.replace(HARMLESS, "").contains(secret.as_str()))?;
        Some(format!("{what} shows {name} ({secret:?}): {}", line.chars().take(1500).collect::<String>()))
    };
    forbidden.iter().filter_map(leak).collect()
}

#[test]
fn leak_detection_finds_planted_secrets() {
    let text = format!("one\ntwo pm_card_visa\nthree {JWT_SECRET}\nfour a.b.signature\n");
    let found = leaks("a log", &text, &forbidden(&["x.y.signature".to_owned()]));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(leaks("a log", "one\ntwo payment_method\n", &forbidden(&[])).is_empty());
}

/// A service with the log level `trace`, its database and its provider.
struct World {
    service: Process,
    calls: ProviderProxy,
    sql: PgPool,
    launch: Launch,
    _provider: psp_sim::Running,
    _database: embedded_postgres::Database,
    _directory: TempDir,
}

impl World {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let listen = free_address();
        let mut settings = psp_sim::Settings::new(directory.path(), PSP_SECRET);
        settings.webhook = Some(psp_sim::Webhook {
            url: format!("http://{listen}/v1/webhooks/psp"),
            secret: WEBHOOK_SECRET.to_owned(),
        });
        let provider = psp_sim::start(settings).await.unwrap();
        let calls = ProviderProxy::start(provider.address()).await;
        let database = database().await;
        let mut url: reqwest::Url = database.url().parse().unwrap();
        url.set_password(Some(DATABASE_PASSWORD)).unwrap();
        let log = ("trace", directory.path().join("service.log"));
        let launch = Launch { database_url: url.to_string(), provider: calls.address(), listen, log };
        let service = launch.start().await;
        until("the process is the matcher", async || service.is_matcher().await.then_some(())).await;
        let sql = PgPoolOptions::new().max_connections(1).connect(&database.url()).await.unwrap();
        Self { service, calls, sql, launch, _provider: provider, _database: database, _directory: directory }
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.launch.log.1).unwrap()).into_owned()
    }

    /// All rows of all tables, without the column `payment_method`.
    async fn rows(&self) -> String {
        let tables = "select quote_ident(tablename) from pg_tables where schemaname = 'public' order by 1";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&self.sql).await.unwrap();
        let mut rows = Vec::new();
        for table in tables {
            let all = format!("select '{table} ' || (to_jsonb(t) - 'payment_method')::text from {table} t");
            rows.extend(sqlx::query_scalar::<_, String>(sqlx::AssertSqlSafe(all)).fetch_all(&self.sql).await.unwrap());
        }
        rows.iter().map(|row| with_bytes_as_text(row)).collect::<Vec<_>>().join("\n")
    }

    /// Completes a trip and refunds a part of the fare.
    async fn ride(&self, responses: &mut Responses) {
        let (rider, driver) = (self.service.actor("rider").await, self.service.driver_at(HERE).await);
        let trip = rider.request_trip().await;
        let offer = driver.until_offered().await;
        driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
        driver.command(id(&trip), "arrive").await.expect(200);
        responses.note(driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": "x"})).await);
        driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": trip["pin"]})).await.expect(200);
        driver.command(id(&trip), "complete").await.expect(200);
        driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
        let payment = trip["payment_id"].as_str().unwrap();
        self.until_payment(&rider, payment, "captured").await;
        let ops = self.service.actor("ops").await;
        let refunds = format!("/v1/payments/{payment}/refunds");
        let call = self.calls.break_at("refund", Side::After);
        ops.post(&refunds, &json!({"amount": {"amount": 100, "currency": "USD"}})).await.expect(201);
        // Secrets in place of a number and an enum value.
        call.reached()
            .await
            .respond(200, &json!({"id": 7, "object": "refund", "amount": CLIENT_SECRET, "status": CARD}));
        responses.note(ops.post(&refunds, &json!({"amount": {"amount": 1_000_000, "currency": "USD"}})).await);
        responses.tokens.extend([rider.token, driver.token, ops.token]);
    }

    async fn until_payment(&self, rider: &Actor, payment: &str, state: &str) {
        until(&format!("the payment is {state}"), async || {
            let payment = rider.get(&format!("/v1/payments/{payment}")).await.expect(200);
            (payment["state"] == state).then_some(())
        })
        .await;
    }

    /// Requests a trip with a payment method, until it reaches a state.
    async fn request_trip(&self, responses: &mut Responses, method: &str, state: &str) {
        let rider = self.service.actor("rider").await;
        let trip = rider.request_trip_with(method).await;
        rider.until_state(id(&trip), state).await;
        responses.note(rider.command(id(&trip), "arrive").await);
        if state == "searching" {
            rider.command(id(&trip), "cancel").await.expect(200);
        }
        responses.tokens.push(rider.token);
    }

    /// A provider whose errors contain secrets.
    async fn careless_provider(&self, responses: &mut Responses) {
        let careless =
            format!("No such PaymentMethod: '{CARD}'; the key was {PSP_SECRET}, the intent's {CLIENT_SECRET}");
        let error = json!({"error": {
            "type": "invalid_request_error",
            "message": careless,
            "payment_method": {"id": CARD, "card": {"last4": "4242"}},
            "payment_intent": {"id": "pi_1", "client_secret": CLIENT_SECRET, "payment_method": CARD},
        }});
        for (operation, status, body) in [
            ("create", 500, &error),
            ("create", 401, &error),
            ("confirm", 500, &error),
            ("confirm", 429, &json!(careless)),
            ("confirm", 200, &json!({"id": "pi_1", "status": CARD, "client_secret": CLIENT_SECRET})),
            (
                "confirm",
                200,
                &json!({"id": "pi_1", "status": "requires_capture", "amount": CLIENT_SECRET, "currency": CARD}),
            ),
            ("confirm", 200, &json!([CLIENT_SECRET])),
        ] {
            let call = self.calls.break_at(operation, Side::After);
            let rider = self.service.actor("rider").await;
            let trip = rider.request_trip().await;
            call.reached().await.respond(status, body);
            rider.until_state(id(&trip), "searching").await;
            rider.command(id(&trip), "cancel").await.expect(200);
            responses.tokens.push(rider.token);
        }
        // A permanent error, and a lost connection.
        let call = self.calls.break_at("confirm", Side::Before);
        let rider = self.service.actor("rider").await;
        let trip = rider.request_trip().await;
        call.reached().await.respond(402, &error);
        until("the payment was attempted", async || {
            let trip = rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200);
            (trip["state"] != "requested").then_some(())
        })
        .await;
        responses.tokens.push(rider.token);
        let call = self.calls.break_at("create", Side::After);
        let rider = self.service.actor("rider").await;
        let trip = rider.request_trip().await;
        call.reached().await.cut();
        rider.until_state(id(&trip), "searching").await;
        responses.tokens.push(rider.token);
    }

    /// A database error whose detail contains the row.
    async fn refused_rows(&self, responses: &mut Responses) {
        let refuse = "alter table payments add constraint refused check (payment_method <> 'pm_card_amex') not valid";
        sqlx::raw_sql(refuse).execute(&self.sql).await.unwrap();
        let rider = self.service.actor("rider").await;
        let quote = rider.quote(HERE, crate::harness::THERE).await;
        let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_amex"});
        let response = rider.post("/v1/trips", &body).await;
        assert_eq!(response.status, 500, "{:#}", response.json());
        responses.note(response);
        responses.tokens.push(rider.token);
    }

    /// Requests with secrets in the wrong place.
    async fn bad_callers(&self, responses: &mut Responses) {
        let rider = self.service.actor("rider").await;
        let http = &self.service.http;
        let at = |path: &str| format!("{}{path}", self.service.base_url);
        let forged = format!("{}{}", &rider.token[..rider.token.len() - 4], "AAAA");
        for header in [
            format!("Bearer {forged}"),
            forged.clone(),
            format!("Basic {}", rider.token),
            format!("Bearer {PSP_SECRET}"),
        ] {
            responses.note(ApiResponse::of(http.get(at("/v1/trips")).header("Authorization", header)).await);
        }
        let query = format!("/v1/trips?access_token={}&limit=0", rider.token);
        responses.note(rider.get(&query).await);
        responses.note(ApiResponse::of(http.get(at(&query))).await);
        for method in [json!(CARD.repeat(20)), json!([CARD]), json!({"id": CARD}), json!("4242424242424242")] {
            responses.note(rider.post("/v1/trips", &json!({"quote_id": "quo_x", "payment_method": method})).await);
            let quote = rider.quote(HERE, crate::harness::THERE).await;
            rider.post("/v1/trips", &json!({"quote_id": id(&quote), "payment_method": method})).await.expect(422);
        }
        let body = json!({"quote_id": "quo_01h455vb4pex5vsknk084sn02q", "payment_method": CARD, "number": 1});
        responses.note(rider.post_with(&"k".repeat(256), "/v1/trips", &body).await);
        responses.tokens.extend([forged, rider.token]);
    }

    /// Webhooks with invalid signatures, and meaningless ones.
    async fn bad_events(&self, responses: &mut Responses) {
        let address = format!("{}/v1/webhooks/psp", self.service.base_url);
        let now = Clock::system().machine().utc().timestamp();
        let object =
            json!({"id": "pi_1", "object": "payment_intent", "client_secret": CLIENT_SECRET, "payment_method": CARD});
        let event = json!({"id": format!("evt_{}", new_key()), "object": "event", "type": "payment_intent.succeeded",
                           "data": {"object": object}})
        .to_string();
        let broken = format!(r#"{{"data": "{CLIENT_SECRET}", "key": "{CARD}"}}"#);
        for (secret, at, body) in [
            ("whsec_other", now, &event),
            (WEBHOOK_SECRET, now - 1_000, &event),
            (WEBHOOK_SECRET, now, &broken),
            (WEBHOOK_SECRET, now, &event),
        ] {
            let signature = psp_sim::signature(secret, at, body);
            let request = self.service.http.post(&address).header("Stripe-Signature", signature);
            responses.note(ApiResponse::of(request.body(body.clone())).await);
        }
    }
}

/// A row, followed by its binary columns (`\\x7b22…`) as text. Stored responses are binary.
fn with_bytes_as_text(row: &str) -> String {
    let binary = row.split(r"\\x").skip(1).map(|rest| {
        let digits = rest.split(|digit: char| !digit.is_ascii_hexdigit()).next().unwrap_or_default();
        String::from_utf8_lossy(&hex::decode(digits).unwrap_or_default()).replace('\n', " ")
    });
    [row.to_owned()].into_iter().chain(binary).collect::<Vec<_>>().join(" ")
}

/// All responses, and the tokens that must not leak.
#[derive(Default)]
struct Responses {
    tokens: Vec<String>,
    problems: String,
}

impl Responses {
    fn note(&mut self, response: ApiResponse) {
        self.problems.push_str(&format!("{:?} {}\n", response.headers, String::from_utf8_lossy(&response.bytes)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_problems_metrics_and_rows_contain_no_secret() {
    let world = World::new().await;
    let mut responses = Responses::default();
    world.ride(&mut responses).await;
    world.request_trip(&mut responses, "pm_card_visa", "searching").await;
    world.request_trip(&mut responses, "pm_card_chargeDeclinedInsufficientFunds", "payment_failed").await;
    world.request_trip(&mut responses, "pm_card_authenticationRequired", "payment_failed").await;
    world.careless_provider(&mut responses).await;
    world.refused_rows(&mut responses).await;
    world.bad_callers(&mut responses).await;
    world.bad_events(&mut responses).await;
    let shown_once = world.register_and_delete_endpoint(&mut responses).await;
    let metrics = ApiResponse::of(world.service.http.get(format!("{}/metrics", world.service.base_url))).await.text();
    let ops = world.service.actor("ops").await;
    let shown =
        [ops.get("/v1/ops/reconciliation").await, ops.get("/v1/ops/audit").await, ops.get("/v1/ops/ledger").await];
    let shown: String = shown.map(|response| response.expect(200).to_string()).join("\n");
    responses.tokens.push(ops.token);

    let (log, rows) = (world.log(), endpoints::without_stored_secrets(world.rows().await, &shown_once));
    assert!(log.contains("insert into payment_attempts") && log.contains("a step was taken"), "the log is verbose");
    assert!(rows.contains("idempotency_keys ") && rows.contains(r#""quote_id":"quo_"#), "stored responses are decoded");
    assert!(rows.contains("payment_attempts ") && metrics.contains("ridematch_provider_calls_total"));
    assert!(responses.problems.lines().count() > 15);
    let forbidden = forbidden(&responses.tokens);
    let found: Vec<String> = [
        ("the log", &log),
        ("a problem", &responses.problems),
        ("a metric", &metrics),
        ("a row", &rows),
        ("operators' pages", &shown),
    ]
    .iter()
    .flat_map(|(what, text)| leaks(what, text, &forbidden))
    .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Runs the program with a valid configuration and these changes.
async fn run(arguments: &[&str], change: &[(&str, &str)]) -> Output {
    let url = format!("postgres://rider:{DATABASE_PASSWORD}@127.0.0.1:1/none");
    let mut environment = vec![
        ("DATABASE_URL", url.as_str()),
        ("RIDEMATCH_LISTEN", "127.0.0.1:0"),
        ("RIDEMATCH_JWT_SECRET", JWT_SECRET),
        ("RIDEMATCH_LOG", "trace"),
        ("PSP_BASE_URL", "http://127.0.0.1:1"),
        ("PSP_SECRET_KEY", PSP_SECRET),
        ("PSP_WEBHOOK_SECRET", WEBHOOK_SECRET),
    ];
    environment.extend_from_slice(change);
    let mut command = program(arguments);
    let run = command.envs(environment).output();
    tokio::time::timeout(crate::harness::process::RECOVERED_WITHIN, run).await.expect("it ends").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_errors_contain_no_secret() {
    let password_in_wrong_url = format!("mysql://rider:{DATABASE_PASSWORD}@127.0.0.1/none");
    let broken_url = format!("postgres://rider:{DATABASE_PASSWORD}@127.0.0.1:port/none");
    let spaced = format!("{PSP_SECRET} ");
    let spaced_webhook = format!("{WEBHOOK_SECRET}\n");
    let wrong: [&[(&str, &str)]; 7] = [
        &[("RIDEMATCH_JWT_SECRET", "eyJ_short")],
        &[("DATABASE_URL", &password_in_wrong_url)],
        &[("DATABASE_URL", &broken_url)],
        &[("PSP_SECRET_KEY", &spaced)],
        &[("PSP_WEBHOOK_SECRET", &spaced_webhook)],
        &[("RIDEMATCH_LISTEN", "nowhere")],
        &[("PSP_BASE_URL", "http://sk_live_in_url@provider.example")],
    ];
    let forbidden = forbidden(&[]);
    for change in wrong {
        let output = run(&["serve"], change).await;
        let output_text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && !output_text.is_empty(), "{change:?}");
        assert_eq!(leaks(change[0].0, &output_text, &forbidden), [""; 0]);
    }
    // A valid configuration with an unreachable database, and help, which prints environment variables.
    for arguments in [&["serve"][..], &["serve", "--help"], &["migrate"], &["audit"], &["audit", "--help"]] {
        let output = run(arguments, &[]).await;
        let output_text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output_text.is_empty(), "{arguments:?}");
        assert_eq!(leaks(&format!("{arguments:?}"), &output_text, &forbidden), [""; 0]);
    }
}
