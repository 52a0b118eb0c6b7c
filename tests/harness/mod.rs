//! The harness of the black-box tests: a service on a real PostgreSQL with the payment simulator, with a database and a provider per
//! test, and HTTP clients of it.
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    missing_docs,
    reason = "tests; no test binary uses everything"
)]

mod actor;
pub mod audit_fixture;
pub mod breakpoint;
pub mod openapi_check;
pub mod process;
pub mod receiver;
pub mod second_process;
pub mod socket;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use embedded_postgres::{Database, TestCluster};
use reqwest::Client;
use ridematch::platform::config::{Config, PermitsConfig, ProviderConfig, RetentionConfig, StreetFile};
use ridematch::platform::match_policy::MatchPolicy;
use ridematch::platform::schema;
use ridematch::platform::secret::Secret;
use ridematch::platform::switch::Switch;
use ridematch::sandbox::{Flags, SqlRecorder};
use ridematch::startup::{self, Running};
use serde_json::{Value, json};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tempfile::TempDir;

pub use actor::{Actor, ApiResponse, new_key};
use breakpoint::provider::ProviderProxy;
pub use ridematch::payments::provider::API_VERSION;

pub const JWT_SECRET: &str = "a secret for tests, of at least 32 bytes";
pub const PSP_SECRET: &str = "sk_test_harness";
pub const WEBHOOK_SECRET: &str = "whsec_harness";

/// Two places in Manhattan, about 1.4 km apart.
pub const HERE: (f64, f64) = (40.7500, -73.9800);
pub const THERE: (f64, f64) = (40.7600, -73.9700);

/// Timeout of [`until`]: far longer than anything takes on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// Creates a migrated database for a test.
pub async fn database() -> Database {
    ridematch::platform::crypto::install();
    let cluster = TestCluster::shared().await.expect("a PostgreSQL server for tests");
    // The digest of the migrations names the template: changed migrations make a new one.
    let mut digest = [0_u8; 16];
    for (place, byte) in schema::MIGRATOR.iter().flat_map(|migration| migration.checksum.iter().enumerate()) {
        let kept = &mut digest[place % 16];
        *kept = kept.rotate_left(1) ^ byte;
    }
    let checksum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let template = format!("ridematch_{checksum}");
    cluster.database(&template, |url| async move { schema::migrate(&url).await }).await.expect("a database")
}

/// A service, its database and its provider.
pub struct App {
    pub base_url: String,
    pub http: Client,
    pub config: Config,
    pub database: Database,
    pub provider: psp_sim::Running,
    /// Between the service and the provider.
    pub calls: ProviderProxy,
    service: Option<Running>,
    pool: PgPool,
    _provider_data: TempDir,
}

/// Options of a service.
pub struct Options {
    pub pool_max: u32,
    pub rate_limit: u32,
    /// Runs on the database before the service starts.
    pub sql: &'static str,
    /// Where the provider's webhooks go; to the service if absent.
    pub events_to: Option<SocketAddr>,
    /// Base URL of the provider; its own address if absent.
    pub psp_base_url: Option<String>,
    /// Timeout of a provider call, milliseconds; as in production if absent.
    pub psp_timeout_ms: Option<u32>,
    /// Latest estimated pickup after the request.
    pub pickup_within_s: Option<u32>,
    /// Street map of the service.
    pub streets: Option<StreetFile>,
    /// Whether surge is computed and drivers get hints.
    pub surge: Switch,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            pool_max: 8,
            rate_limit: 100_000,
            sql: "",
            events_to: None,
            psp_base_url: None,
            psp_timeout_ms: None,
            pickup_within_s: None,
            streets: None,
            surge: Switch::Off,
        }
    }
}

impl App {
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    pub async fn with(options: Options) -> Self {
        let database = database().await;
        let pool = PgPoolOptions::new().max_connections(2).connect(&database.url()).await.unwrap();
        if !options.sql.is_empty() {
            sqlx::raw_sql(sqlx::AssertSqlSafe(options.sql)).execute(&pool).await.unwrap();
        }
        let listen = free_address();
        let provider_data = tempfile::tempdir().unwrap();
        let mut settings = psp_sim::Settings::new(provider_data.path(), PSP_SECRET);
        settings.webhook = Some(psp_sim::Webhook {
            url: format!("http://{}/v1/webhooks/psp", options.events_to.unwrap_or(listen)),
            secret: WEBHOOK_SECRET.to_owned(),
        });
        let provider = psp_sim::start(settings).await.expect("the payment simulator");
        let calls = ProviderProxy::start(provider.address()).await;
        let config = config(&database.url(), listen, calls.address(), &options);
        let service = start_service(&config).await;
        let app = Self {
            base_url: format!("http://{}", service.address),
            // The service closes connections that were idle for five seconds; none may be reused just then.
            http: launcher::http_client().pool_idle_timeout(Duration::from_secs(2)).build().unwrap(),
            config,
            database,
            provider,
            calls,
            service: Some(service),
            pool,
            _provider_data: provider_data,
        };
        app.until("the process is the matcher", async || {
            let ready = ApiResponse::attempt(app.http.get(app.url("/readyz"))).await.ok()?;
            ready.json()["matcher"].as_bool()?.then_some(())
        })
        .await;
        app
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    /// The running service.
    pub fn service(&self) -> &Running {
        self.service.as_ref().unwrap()
    }

    /// The database.
    pub fn sql(&self) -> &PgPool {
        &self.pool
    }

    /// Runs SQL, for example to remove a constraint.
    pub async fn break_with(&self, sql: &str) {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&self.pool).await.unwrap();
    }

    /// Returns one number from the database.
    pub async fn count(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sqlx::AssertSqlSafe(sql.to_owned())).fetch_one(&self.pool).await.unwrap()
    }

    pub async fn actor(&self, role: &str) -> Actor {
        self.actor_named(role, None).await
    }

    /// Creates an actor, with a known subject if given.
    pub async fn actor_named(&self, role: &str, subject: Option<&str>) -> Actor {
        let mut body = json!({"role": role});
        if let Some(subject) = subject {
            body["subject"] = subject.into();
        }
        let body = ApiResponse::of(self.http.post(self.url("/v1/sandbox/tokens")).json(&body)).await.expect(201);
        Actor {
            http: self.http.clone(),
            base_url: self.base_url.clone(),
            token: body["token"].as_str().unwrap().to_owned(),
            id: body["subject"].as_str().unwrap().to_owned(),
        }
    }

    pub async fn rider(&self) -> Actor {
        self.actor("rider").await
    }

    pub async fn ops(&self) -> Actor {
        self.actor("ops").await
    }

    /// Creates a driver that is online at `place`, and in the index.
    pub async fn driver_at(&self, place: (f64, f64)) -> Actor {
        let driver = self.actor("driver").await;
        let vehicle = json!({"available": true, "name": "Dora", "class": "standard", "plate": "RM 1"});
        driver.put("/v1/drivers/me/availability", &vehicle).await.expect(200);
        self.until("the driver is in the index", async || {
            (driver.send_position(self, place).await == "accepted").then_some(())
        })
        .await;
        driver
    }

    /// Returns the domain time.
    pub async fn now(&self) -> String {
        let clock = ApiResponse::of(self.http.get(self.url("/v1/sandbox/clock"))).await.expect(200);
        clock["domain"].as_str().unwrap().to_owned()
    }

    /// Advances the domain clock.
    pub async fn advance(&self, seconds: i64) {
        let body = json!({"advance_s": seconds});
        ApiResponse::of(self.http.post(self.url("/v1/sandbox/clock")).json(&body)).await.expect(200);
    }

    /// Polls until `look` finds something. Panics after half a minute.
    pub async fn until<T>(&self, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
        until(what, look).await
    }

    /// Calls the control interface of the payment simulator.
    pub async fn simulator(&self, method: reqwest::Method, path: &str, body: &Value) -> Value {
        let url = format!("http://{}/sim{path}", self.provider.address());
        let answer = self.http.request(method, url).bearer_auth(PSP_SECRET).json(body).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// Returns the audit, once nothing is unsettled.
    pub async fn audit(&self) -> Value {
        let ops = self.ops().await;
        self.until("nothing is unsettled", async || {
            let report = ops.get("/v1/ops/audit").await.expect(200);
            (report["unsettled"] == 0).then_some(report)
        })
        .await
    }

    /// Panics unless the audit is clean.
    pub async fn assert_clean(&self) {
        let report = self.audit().await;
        assert_eq!(report["clean"], true, "the audit is not clean: {report:#}");
    }

    /// Stops the service in order.
    pub async fn stop(mut self) {
        if let Some(service) = self.service.take() {
            service.stop().await;
        }
        self.pool.close().await;
    }
}

/// Returns a free address. Its port is below the ephemeral ones: one of the tests' many connections might otherwise get it before the
/// service binds it.
pub fn free_address() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let turn = std::process::id().wrapping_mul(61).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(12_000 + turn % 20_000).unwrap();
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// Starts the service with the sandbox open and webhooks allowed to this machine.
pub async fn start_service(config: &Config) -> Running {
    let flags = Flags { sandbox: true, webhook_loopback: true, ..Flags::default() };
    startup::start_with_sandbox(config, flags, SqlRecorder::default()).await.expect("the service starts")
}

pub fn config(database_url: &str, listen: SocketAddr, provider: SocketAddr, options: &Options) -> Config {
    let psp_base_url = options.psp_base_url.clone().unwrap_or_else(|| format!("http://{provider}"));
    let mut psp = ProviderConfig::new(psp_base_url.parse().unwrap(), Secret::new(PSP_SECRET));
    psp.timeout_ms = options.psp_timeout_ms.unwrap_or(psp.timeout_ms);
    Config {
        database_url: database_url.to_owned(),
        listen,
        admin_listen: None,
        pool_max: options.pool_max,
        http_workers: 2,
        jwt_secret: Some(JWT_SECRET.to_owned()),
        jwt_public_key: None,
        jwt_issuer: None,
        jwt_audience: None,
        psp,
        permits: PermitsConfig::default(),
        psp_webhook_secret: Secret::new(WEBHOOK_SECRET),
        rate_limit: NonZeroU32::new(options.rate_limit).unwrap(),
        match_policy: MatchPolicy::Batched,
        pickup_within_s: options.pickup_within_s,
        streets: options.streets.clone(),
        surge: options.surge,
        hints: options.surge,
        retention: RetentionConfig::default(),
        log: "warn".to_owned(),
        exit_with_parent: false,
    }
}

/// Polls until `look` finds something. Panics after half a minute.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    within(SOON, what, look).await
}

/// The same with another limit.
pub async fn within<T>(limit: Duration, what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(limit, found)
        .await
        .unwrap_or_else(|_| panic!("timed out after {limit:?} waiting until {what}"))
}

/// Returns an assigned trip.
pub async fn assigned(app: &App, rider: &Actor, driver: &Actor) -> Value {
    let trip = rider.request_trip().await;
    let offer = driver.until_offered().await;
    driver.post(&format!("/v1/offers/{}/accept", offer["id"].as_str().unwrap()), &json!({})).await.expect(200);
    assert_eq!(offer["trip_id"], trip["id"]);
    let _ = app;
    rider.get(&format!("/v1/trips/{}", trip["id"].as_str().unwrap())).await.expect(200)
}

/// Returns a trip in progress.
pub async fn in_progress(app: &App, rider: &Actor, driver: &Actor) -> Value {
    let trip = assigned(app, rider, driver).await;
    let id = trip["id"].as_str().unwrap();
    driver.send_position(app, HERE).await;
    driver.command(id, "arrive").await.expect(200);
    driver.post(&format!("/v1/trips/{id}/start"), &json!({"pin": trip["pin"]})).await.expect(200);
    rider.get(&format!("/v1/trips/{id}")).await.expect(200)
}

/// Returns the id of a resource.
pub fn id(resource: &Value) -> &str {
    resource["id"].as_str().expect("an id")
}

/// Runs `attempts` concurrently.
pub async fn at_once<F: Future>(attempts: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(attempts).await
}
