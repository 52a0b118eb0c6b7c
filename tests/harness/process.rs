//! The service as a process of its own, which can be paused and killed.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use launcher::{Paused, Spec};
use serde_json::{Value, json};
use tokio::process::Command;

use super::second_process::HasBaseUrl;
use super::{Actor, ApiResponse, JWT_SECRET, PSP_SECRET, WEBHOOK_SECRET, until, within};

/// How long a process may take to start, or to resolve the calls of a killed one: leases expire after 30 s, and other tests run
/// at the same time.
pub const RECOVERED_WITHIN: Duration = Duration::from_secs(120);

/// Returns a command of the program without the environment of the tests.
pub fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ridematch"));
    command.args(arguments).env_clear().stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// How to start a process.
#[derive(Debug, Clone)]
pub struct Launch {
    pub database_url: String,
    pub provider: SocketAddr,
    pub listen: SocketAddr,
    /// Filter and file of the log.
    pub log: (&'static str, PathBuf),
}

impl Launch {
    /// Starts a process, and waits until it is ready.
    pub async fn start(&self) -> Process {
        let (filter, file) = &self.log;
        let spec = Spec {
            name: "the service",
            program: env!("CARGO_BIN_EXE_ridematch").into(),
            arguments: ["serve", "--exit-with-parent"].map(Into::into).into(),
            environment: vec![
                ("DATABASE_URL", self.database_url.clone()),
                ("RIDEMATCH_LISTEN", self.listen.to_string()),
                ("RIDEMATCH_JWT_SECRET", JWT_SECRET.to_owned()),
                ("RIDEMATCH_RATE_LIMIT", "100000".to_owned()),
                ("RIDEMATCH_SANDBOX", "true".to_owned()),
                // Some tests have fifteen processes on one database.
                ("RIDEMATCH_POOL_MAX", "8".to_owned()),
                ("RIDEMATCH_LOG", (*filter).to_owned()),
                ("PSP_BASE_URL", format!("http://{}", self.provider)),
                ("PSP_SECRET_KEY", PSP_SECRET.to_owned()),
                ("PSP_WEBHOOK_SECRET", WEBHOOK_SECRET.to_owned()),
                // The maximum: a call at a breakpoint must not time out.
                ("PSP_TIMEOUT_MS", "25000".to_owned()),
            ],
            log: Some(file.clone()),
            announces: true,
            starts_within: RECOVERED_WITHIN,
            kill_line: None,
        };
        let child = spec.start().await.unwrap();
        let http = launcher::http_client().pool_idle_timeout(Duration::from_secs(2)).build().unwrap();
        let process = Process { child, base_url: format!("http://{}", self.listen), http };
        within(RECOVERED_WITHIN, "the process is ready", async || process.readyz().await).await;
        process
    }
}

/// A process. It is killed when this is dropped.
pub struct Process {
    child: launcher::Process,
    pub base_url: String,
    pub http: reqwest::Client,
}

impl Process {
    pub async fn readyz(&self) -> Option<Value> {
        let response = ApiResponse::attempt(self.http.get(format!("{}/readyz", self.base_url))).await.ok()?;
        (response.status == 200).then(|| response.json())
    }

    pub async fn is_matcher(&self) -> bool {
        self.readyz().await.is_some_and(|ready| ready["matcher"] == true)
    }

    /// Sends SIGKILL, and waits for the end.
    pub async fn kill(mut self) {
        self.child.kill().await;
    }

    /// Pauses every thread until the result is dropped.
    pub async fn pause(&self) -> Paused {
        self.child.pause().await.unwrap()
    }

    pub async fn actor(&self, role: &str) -> Actor {
        let tokens = format!("{}/v1/sandbox/tokens", self.base_url);
        let body = ApiResponse::of(self.http.post(tokens).json(&json!({"role": role}))).await.expect(201);
        Actor {
            http: self.http.clone(),
            base_url: self.base_url.clone(),
            token: body["token"].as_str().unwrap().to_owned(),
            id: body["subject"].as_str().unwrap().to_owned(),
        }
    }

    pub async fn clock(&self, body: Value) -> Value {
        let clock = format!("{}/v1/sandbox/clock", self.base_url);
        ApiResponse::of(self.http.post(clock).json(&body)).await.expect(200)
    }

    /// Creates a driver that is online at `place`, and in the index.
    pub async fn driver_at(&self, place: (f64, f64)) -> Actor {
        let driver = self.actor("driver").await;
        let vehicle = json!({"available": true, "name": "Dora", "class": "standard", "plate": "RM 1"});
        driver.put("/v1/drivers/me/availability", &vehicle).await.expect(200);
        until("the driver is in the index", async || {
            let report = driver.put_position(self, place).await;
            (report.status == 200 && report.json()["verdict"] == "accepted").then_some(())
        })
        .await;
        driver
    }

    /// Returns the audit, once nothing is unsettled.
    pub async fn audit(&self) -> Value {
        let ops = self.actor("ops").await;
        within(RECOVERED_WITHIN, "nothing is unsettled", async || {
            let report = ops.get("/v1/ops/audit").await.expect(200);
            (report["unsettled"] == 0).then_some(report)
        })
        .await
    }
}

impl HasBaseUrl for Process {
    fn base_url(&self) -> String {
        self.base_url.clone()
    }
}

impl Actor {
    /// Sends the driver's position, with the current domain time of a process.
    pub async fn put_position(&self, process: &Process, (lat, lon): (f64, f64)) -> ApiResponse {
        let now = process.clock(json!({})).await["domain"].clone();
        self.put("/v1/drivers/me/location", &json!({"position": {"lat": lat, "lon": lon}, "recorded_at": now})).await
    }
}
