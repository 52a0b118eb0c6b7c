//! The service as a process of its own, to be killed.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::{Actor, Answer, JWT_SECRET, PSP_SECRET, WEBHOOK_SECRET, until, within};

/// How long a process may take to start, or to find out what became of the calls of one that was killed: its leases run out
/// after 30 s, and other tests run meanwhile.
pub const RECOVERED_WITHIN: Duration = Duration::from_secs(120);

/// What a process is started with.
#[derive(Debug, Clone)]
pub struct Launch {
    pub database_url: String,
    pub provider: SocketAddr,
    pub listen: SocketAddr,
    /// What to log, and the file that it is added to.
    pub log: (&'static str, PathBuf),
}

impl Launch {
    /// Starts a process, and does not wait for it.
    pub fn spawn(&self) -> Process {
        let (filter, file) = &self.log;
        let log = File::options().create(true).append(true).open(file).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ridematch"))
            .arg("serve")
            .env("DATABASE_URL", &self.database_url)
            .env("RIDEMATCH_LISTEN", self.listen.to_string())
            .env("RIDEMATCH_JWT_SECRET", JWT_SECRET)
            .env("RIDEMATCH_RATE_LIMIT", "100000")
            .env("RIDEMATCH_SANDBOX", "true")
            .env("RIDEMATCH_LOG", filter)
            .env("PSP_BASE_URL", format!("http://{}", self.provider))
            .env("PSP_SECRET_KEY", PSP_SECRET)
            .env("PSP_WEBHOOK_SECRET", WEBHOOK_SECRET)
            // The most there may be: a call that a test holds must not time out meanwhile.
            .env("PSP_TIMEOUT_MS", "25000")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let http = reqwest::Client::builder().pool_idle_timeout(Duration::from_secs(2)).build().unwrap();
        Process { child, base_url: format!("http://{}", self.listen), http }
    }

    /// Starts a process, and waits until it is ready.
    pub async fn started(&self) -> Process {
        let process = self.spawn();
        within(RECOVERED_WITHIN, "the process is ready", async || process.readyz().await).await;
        process
    }
}

/// A process. It is killed when this is dropped.
pub struct Process {
    child: Child,
    pub base_url: String,
    pub http: reqwest::Client,
}

impl Process {
    pub async fn readyz(&self) -> Option<Value> {
        let answer = Answer::attempt(self.http.get(format!("{}/readyz", self.base_url))).await.ok()?;
        (answer.status == 200).then(|| answer.json())
    }

    pub async fn is_matcher(&self) -> bool {
        self.readyz().await.is_some_and(|ready| ready["matcher"] == true)
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGSTOP: when this returns it stands still, with all that it has open, until [`Process::wake`].
    pub fn stop(&self) {
        self.signal("-STOP");
        // A signal takes its time to reach every thread; on a busy machine time enough for one more call.
        let tasks = format!("/proc/{}/task", self.child.id().expect("it runs"));
        for _ in 0..500 {
            let Ok(threads) = std::fs::read_dir(&tasks) else { return };
            let stands = |thread: std::io::Result<std::fs::DirEntry>| {
                let stat = std::fs::read_to_string(thread.unwrap().path().join("stat")).unwrap_or_default();
                // The state comes after the name, which stands in brackets.
                stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
            };
            if threads.into_iter().all(stands) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("it does not stand still");
    }

    /// SIGCONT.
    pub fn wake(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.child.id().expect("it runs").to_string();
        assert!(std::process::Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub async fn actor(&self, role: &str) -> Actor {
        let tokens = format!("{}/v1/sandbox/tokens", self.base_url);
        let body = Answer::of(self.http.post(tokens).json(&json!({"role": role}))).await.expect(201);
        Actor {
            http: self.http.clone(),
            base_url: self.base_url.clone(),
            token: body["token"].as_str().unwrap().to_owned(),
            id: body["subject"].as_str().unwrap().to_owned(),
        }
    }

    pub async fn clock(&self, body: Value) -> Value {
        let clock = format!("{}/v1/sandbox/clock", self.base_url);
        Answer::of(self.http.post(clock).json(&body)).await.expect(200)
    }

    /// A driver who is online at `place`, and in the index.
    pub async fn driver_at(&self, place: (f64, f64)) -> Actor {
        let driver = self.actor("driver").await;
        let vehicle = json!({"available": true, "name": "Dora", "class": "standard", "plate": "RM 1"});
        driver.put("/v1/drivers/me/availability", &vehicle).await.expect(200);
        until("the driver is in the index", async || {
            let verdict = driver.position(self, place).await;
            (verdict.status == 200 && verdict.json()["verdict"] == "accepted").then_some(())
        })
        .await;
        driver
    }

    /// The audit, once nothing is unsettled.
    pub async fn audit(&self) -> Value {
        let ops = self.actor("ops").await;
        within(RECOVERED_WITHIN, "nothing is unsettled", async || {
            let report = ops.get("/v1/ops/audit").await.expect(200);
            (report["unsettled"] == 0).then_some(report)
        })
        .await
    }
}

impl Actor {
    /// The same person, who now speaks with another process.
    pub fn facing(&self, process: &Process) -> Self {
        Self { base_url: process.base_url.clone(), http: process.http.clone(), ..self.clone() }
    }

    /// Says where he is, now.
    pub async fn position(&self, process: &Process, (lat, lon): (f64, f64)) -> Answer {
        let now = process.clock(json!({})).await["domain"].clone();
        self.put("/v1/drivers/me/location", &json!({"position": {"lat": lat, "lon": lon}, "recorded_at": now})).await
    }
}
