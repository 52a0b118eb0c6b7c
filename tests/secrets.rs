//! Nothing that identifies a card or is a secret is ever shown: not in the log at its most verbose, not in a problem document, not
//! in the metrics, not in the database outside of the one column that keeps the way to pay, and not when the configuration is wrong.
//! One exception: the stored answer that showed the secret of a webhook endpoint, which its key keeps for 24 hours.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "secrets/endpoints.rs"]
mod endpoints;
mod harness;

use std::process::{Output, Stdio};

use harness::hold::Side;
use harness::hold::provider::ProviderProxy;
use harness::process::{Launch, Process};
use harness::{
    Actor, Answer, HERE, JWT_SECRET, PSP_SECRET, WEBHOOK_SECRET, database, free_address, id, new_key, until,
};
use ridematch::platform::clock::Clock;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tempfile::TempDir;
use tokio::process::Command;

/// A password that the server does not ask for, and that nobody else has.
const DATABASE_PASSWORD: &str = "database-pw-5a7b";

/// What a provider says of a card, if it is careless.
const CLIENT_SECRET: &str = "pi_1_secret_9f8e";
const CARD: &str = "pm_card_of_somebody";

/// What must not be seen: a name for messages, and what it looks like.
fn forbidden(tokens: &[String]) -> Vec<(String, String)> {
    let fixed = [
        ("the provider's key", PSP_SECRET),
        ("the webhooks' secret", WEBHOOK_SECRET),
        ("the tokens' secret", JWT_SECRET),
        ("the database's password", DATABASE_PASSWORD),
        ("a way to pay", "pm_"),
        ("a client's secret", "_secret_"),
        ("any token", "eyJ"),
        ("a key of the provider's", "sk_"),
        ("a secret of a webhook", "whsec_"),
    ];
    let fixed = fixed.map(|(name, text)| (name.to_owned(), text.to_owned())).into_iter();
    // The signature is the secret part of a token.
    let signatures = tokens.iter().map(|token| ("a token".to_owned(), token.rsplit('.').next().unwrap().to_owned()));
    fixed.chain(signatures).collect()
}

/// The name of a member that tells when, and no secret.
const HARMLESS: &str = "old_secret_until";

/// The lines of `text` in which something of `forbidden` stands, one for each.
fn leaks(what: &str, text: &str, forbidden: &[(String, String)]) -> Vec<String> {
    let leak = |(name, secret): &(String, String)| {
        let line = text.lines().find(|line| line.replace(HARMLESS, "").contains(secret.as_str()))?;
        Some(format!("{what} shows {name} ({secret:?}): {}", line.chars().take(1500).collect::<String>()))
    };
    forbidden.iter().filter_map(leak).collect()
}

#[test]
fn what_is_shown_is_found() {
    let text = format!("one\ntwo pm_card_visa\nthree {JWT_SECRET}\nfour a.b.signature\n");
    let found = leaks("a log", &text, &forbidden(&["x.y.signature".to_owned()]));
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(leaks("a log", "one\ntwo payment_method\n", &forbidden(&[])).is_empty());
}

/// A service that logs everything, and all that stands around it.
struct World {
    service: Process,
    calls: ProviderProxy,
    sql: PgPool,
    launch: Launch,
    _provider: psp_sim::Running,
    _database: embedded_postgres::Database,
    _books: TempDir,
}

impl World {
    async fn new() -> Self {
        let books = tempfile::tempdir().unwrap();
        let listen = free_address();
        let mut settings = psp_sim::Settings::new(books.path(), PSP_SECRET);
        settings.webhook = Some(psp_sim::Webhook {
            url: format!("http://{listen}/v1/webhooks/psp"),
            secret: WEBHOOK_SECRET.to_owned(),
        });
        let provider = psp_sim::start(settings).await.unwrap();
        let calls = ProviderProxy::start(provider.address()).await;
        let database = database().await;
        let mut url: reqwest::Url = database.url().parse().unwrap();
        url.set_password(Some(DATABASE_PASSWORD)).unwrap();
        let log = ("trace", books.path().join("service.log"));
        let launch = Launch { database_url: url.to_string(), provider: calls.address(), listen, log };
        let service = launch.started().await;
        until("the process is the matcher", async || service.is_matcher().await.then_some(())).await;
        let sql = PgPoolOptions::new().max_connections(1).connect(&database.url()).await.unwrap();
        Self { service, calls, sql, launch, _provider: provider, _database: database, _books: books }
    }

    fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.launch.log.1).unwrap()).into_owned()
    }

    /// Every row of every table, but for the column that keeps the way to pay.
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

    /// A ride to its end, and a part of the fare given back.
    async fn ride(&self, told: &mut Told) {
        let (rider, driver) = (self.service.actor("rider").await, self.service.driver_at(HERE).await);
        let trip = rider.request_trip().await;
        let offer = driver.until_offered().await;
        driver.post(&format!("/v1/offers/{}/accept", id(&offer)), &json!({})).await.expect(200);
        driver.act(id(&trip), "arrive").await.expect(200);
        told.note(driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": "x"})).await);
        driver.post(&format!("/v1/trips/{}/start", id(&trip)), &json!({"pin": trip["pin"]})).await.expect(200);
        driver.act(id(&trip), "complete").await.expect(200);
        driver.put("/v1/drivers/me/availability", &json!({"available": false})).await.expect(200);
        let payment = trip["payment_id"].as_str().unwrap();
        self.until_payment(&rider, payment, "captured").await;
        let ops = self.service.actor("ops").await;
        let refunds = format!("/v1/payments/{payment}/refunds");
        let call = self.calls.hold("refund", Side::After);
        ops.post(&refunds, &json!({"amount": {"amount": 100, "currency": "USD"}})).await.expect(201);
        // Two secrets where a number and a name should be.
        call.reached()
            .await
            .answer(200, &json!({"id": 7, "object": "refund", "amount": CLIENT_SECRET, "status": CARD}));
        told.note(ops.post(&refunds, &json!({"amount": {"amount": 1_000_000, "currency": "USD"}})).await);
        told.tokens.extend([rider.token, driver.token, ops.token]);
    }

    async fn until_payment(&self, rider: &Actor, payment: &str, state: &str) {
        until(&format!("the payment is {state}"), async || {
            let payment = rider.get(&format!("/v1/payments/{payment}")).await.expect(200);
            (payment["state"] == state).then_some(())
        })
        .await;
    }

    /// A trip that nobody drives, paid for like this.
    async fn ask(&self, told: &mut Told, method: &str, state: &str) {
        let rider = self.service.actor("rider").await;
        let trip = rider.request_trip_with(method).await;
        rider.until_state(id(&trip), state).await;
        told.note(rider.act(id(&trip), "arrive").await);
        if state == "searching" {
            rider.act(id(&trip), "cancel").await.expect(200);
        }
        told.tokens.push(rider.token);
    }

    /// A provider that says too much, each time that it is asked to make or to confirm something.
    async fn bad_days(&self, told: &mut Told) {
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
            let call = self.calls.hold(operation, Side::After);
            let rider = self.service.actor("rider").await;
            let trip = rider.request_trip().await;
            call.reached().await.answer(status, body);
            rider.until_state(id(&trip), "searching").await;
            rider.act(id(&trip), "cancel").await.expect(200);
            told.tokens.push(rider.token);
        }
        // Refused for good, and cut off.
        let call = self.calls.hold("confirm", Side::Before);
        let rider = self.service.actor("rider").await;
        let trip = rider.request_trip().await;
        call.reached().await.answer(402, &error);
        until("somebody has looked", async || {
            let trip = rider.get(&format!("/v1/trips/{}", id(&trip))).await.expect(200);
            (trip["state"] != "requested").then_some(())
        })
        .await;
        told.tokens.push(rider.token);
        let call = self.calls.hold("create", Side::After);
        let rider = self.service.actor("rider").await;
        let trip = rider.request_trip().await;
        call.reached().await.cut();
        rider.until_state(id(&trip), "searching").await;
        told.tokens.push(rider.token);
    }

    /// A database that refuses a row, and says to us which.
    async fn refused_rows(&self, told: &mut Told) {
        let refuse = "alter table payments add constraint refused check (payment_method <> 'pm_card_amex') not valid";
        sqlx::raw_sql(refuse).execute(&self.sql).await.unwrap();
        let rider = self.service.actor("rider").await;
        let quote = rider.quote(HERE, harness::THERE).await;
        let body = json!({"quote_id": quote["id"], "payment_method": "pm_card_amex"});
        let answer = rider.post("/v1/trips", &body).await;
        assert_eq!(answer.status, 500, "{:#}", answer.json());
        told.note(answer);
        told.tokens.push(rider.token);
    }

    /// Callers who are not who they say, in all the ways that a secret gets lost.
    async fn bad_callers(&self, told: &mut Told) {
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
            told.note(Answer::of(http.get(at("/v1/trips")).header("Authorization", header)).await);
        }
        let query = format!("/v1/trips?access_token={}&limit=0", rider.token);
        told.note(rider.get(&query).await);
        told.note(Answer::of(http.get(at(&query))).await);
        for method in [json!(CARD.repeat(20)), json!([CARD]), json!({"id": CARD}), json!("4242424242424242")] {
            told.note(rider.post("/v1/trips", &json!({"quote_id": "quo_x", "payment_method": method})).await);
            let quote = rider.quote(HERE, harness::THERE).await;
            rider.post("/v1/trips", &json!({"quote_id": id(&quote), "payment_method": method})).await.expect(422);
        }
        let wish = json!({"quote_id": "quo_01h455vb4pex5vsknk084sn02q", "payment_method": CARD, "number": 1});
        told.note(rider.post_with(&"k".repeat(256), "/v1/trips", &wish).await);
        told.tokens.extend([forged, rider.token]);
    }

    /// Events that are not the provider's, and some that are and make no sense.
    async fn bad_events(&self, told: &mut Told) {
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
            told.note(Answer::of(request.body(body.clone())).await);
        }
    }
}

/// A row, and after it what its binary columns, which PostgreSQL shows as `\\x7b22…`, hold as text: stored answers are in such.
fn with_bytes_as_text(row: &str) -> String {
    let binary = row.split(r"\\x").skip(1).map(|rest| {
        let digits = rest.split(|digit: char| !digit.is_ascii_hexdigit()).next().unwrap_or_default();
        String::from_utf8_lossy(&hex::decode(digits).unwrap_or_default()).replace('\n', " ")
    });
    [row.to_owned()].into_iter().chain(binary).collect::<Vec<_>>().join(" ")
}

/// What the world was told, and what must not be told to it.
#[derive(Default)]
struct Told {
    tokens: Vec<String>,
    problems: String,
}

impl Told {
    fn note(&mut self, answer: Answer) {
        self.problems.push_str(&format!("{:?} {}\n", answer.headers, String::from_utf8_lossy(&answer.bytes)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_log_nor_problem_nor_metric_nor_row_shows_a_secret_or_a_card() {
    let world = World::new().await;
    let mut told = Told::default();
    world.ride(&mut told).await;
    world.ask(&mut told, "pm_card_visa", "searching").await;
    world.ask(&mut told, "pm_card_chargeDeclinedInsufficientFunds", "payment_failed").await;
    world.ask(&mut told, "pm_card_authenticationRequired", "payment_failed").await;
    world.bad_days(&mut told).await;
    world.refused_rows(&mut told).await;
    world.bad_callers(&mut told).await;
    world.bad_events(&mut told).await;
    let shown_once = world.endpoint_comes_and_goes(&mut told).await;
    let metrics = Answer::of(world.service.http.get(format!("{}/metrics", world.service.base_url))).await.text();
    let ops = world.service.actor("ops").await;
    let shown =
        [ops.get("/v1/ops/reconciliation").await, ops.get("/v1/ops/audit").await, ops.get("/v1/ops/ledger").await];
    let shown: String = shown.map(|answer| answer.expect(200).to_string()).join("\n");
    told.tokens.push(ops.token);

    let (log, rows) = (world.log(), endpoints::but_for_answers(world.rows().await, &shown_once));
    assert!(log.contains("insert into payment_attempts") && log.contains("a step was taken"), "it logs everything");
    assert!(rows.contains("idempotency_keys ") && rows.contains(r#""quote_id":"quo_"#), "stored answers can be read");
    assert!(rows.contains("payment_attempts ") && metrics.contains("ridematch_provider_calls_total"));
    assert!(told.problems.lines().count() > 15);
    let forbidden = forbidden(&told.tokens);
    let found: Vec<String> = [
        ("the log", &log),
        ("a problem", &told.problems),
        ("a metric", &metrics),
        ("a row", &rows),
        ("what operators see", &shown),
    ]
    .iter()
    .flat_map(|(what, text)| leaks(what, text, &forbidden))
    .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Runs the program with a good configuration, changed by `change`, to its end.
async fn run(arguments: &[&str], change: &[(&str, &str)]) -> Output {
    let url = format!("postgres://rider:{DATABASE_PASSWORD}@127.0.0.1:1/none");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ridematch"));
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
    let run = command.args(arguments).envs(environment).stdin(Stdio::null()).kill_on_drop(true).output();
    tokio::time::timeout(harness::process::RECOVERED_WITHIN, run).await.expect("it ends").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_does_not_show_what_is_in_it() {
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
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && !said.is_empty(), "{change:?}");
        assert_eq!(leaks(change[0].0, &said, &forbidden), [""; 0]);
    }
    // A good one, whose database is not there; and what help tells of the environment.
    for arguments in [&["serve"][..], &["serve", "--help"], &["migrate"], &["audit"], &["audit", "--help"]] {
        let output = run(arguments, &[]).await;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!said.is_empty(), "{arguments:?}");
        assert_eq!(leaks(&format!("{arguments:?}"), &said, &forbidden), [""; 0]);
    }
}
