//! The harness of the tests: simulators, a client, and a clock.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use psp_sim::{Running, Settings};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;

pub const SECRET_KEY: &str = "sk_test_secret";

/// A simulator in this process, with its own directory.
pub struct Sim {
    pub http: Http,
    running: Running,
    data_dir: TempDir,
}

impl Sim {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_in(TempDir::new().unwrap(), change).await
    }

    async fn start_in(data_dir: TempDir, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings { any_version: true, ..Settings::new(data_dir.path(), SECRET_KEY) };
        change(&mut settings);
        let running = psp_sim::start(settings).await.unwrap();
        Self { http: Http::to(format!("http://{}", running.address())), running, data_dir }
    }

    pub async fn stop(self) -> TempDir {
        self.running.stop().await;
        self.data_dir
    }

    /// Stops the simulator, and starts another on the same directory.
    pub async fn restart_with(self, change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_in(self.stop().await, change).await
    }

    pub async fn restart(self) -> Self {
        self.restart_with(|_| {}).await
    }

    pub fn journal(&self) -> PathBuf {
        journal(self.data_dir.path())
    }
}

pub fn journal(data_dir: &Path) -> PathBuf {
    data_dir.join("journal-v2.jsonl")
}

/// A clock that moves only by `advance`.
#[derive(Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    pub fn at(seconds: i64) -> Self {
        Self(Arc::new(AtomicI64::new(seconds)))
    }

    pub fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub fn clock(&self) -> psp_sim::Clock {
        let seconds = Arc::clone(&self.0);
        Arc::new(move || UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::SeqCst).unsigned_abs()))
    }
}

/// A client with the secret key.
#[derive(Clone)]
pub struct Http {
    pub client: Client,
    pub base: String,
}

/// A response with its body.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    pub json: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn id(&self) -> String {
        self.json["id"].as_str().unwrap_or_else(|| panic!("no id in {self:?}")).to_owned()
    }

    /// The `status` of the object in a 200 response.
    pub fn state(&self) -> &str {
        assert_eq!(self.status, 200, "{}", self.text);
        self.json["status"].as_str().unwrap()
    }

    /// Status, `error.type` and `error.code`.
    pub fn error(&self) -> (u16, &str, &str) {
        let field = |name| self.json["error"][name].as_str().unwrap_or_default();
        (self.status, field("type"), field("code"))
    }
}

pub async fn read(request: RequestBuilder) -> Reply {
    try_read(request).await.unwrap()
}

async fn try_read(request: RequestBuilder) -> reqwest::Result<Reply> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    let json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    Ok(Reply { status, headers, text, json })
}

pub type Form<'a> = &'a [(&'a str, &'a str)];

/// The form of an intent of 1000 with manual capture.
pub const MANUAL: Form<'static> =
    &[("amount", "1000"), ("currency", "usd"), ("capture_method", "manual"), ("payment_method", "pm_card_visa")];

impl Http {
    pub fn to(base: String) -> Self {
        let _installed = rustls::crypto::ring::default_provider().install_default();
        Self { client: Client::builder().no_proxy().build().unwrap(), base }
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn request(&self, path: &str, form: Form<'_>, key: Option<&str>) -> RequestBuilder {
        let request = self.client.post(self.url(path)).bearer_auth(SECRET_KEY).form(form);
        match key {
            Some(key) => request.header("Idempotency-Key", key),
            None => request,
        }
    }

    pub async fn post(&self, path: &str, form: Form<'_>) -> Reply {
        read(self.request(path, form, None)).await
    }

    pub async fn post_once(&self, key: &str, path: &str, form: Form<'_>) -> Reply {
        read(self.request(path, form, Some(key))).await
    }

    /// Like `post_once`, for a simulator that may end or close the connection at any time.
    pub async fn try_post_once(&self, key: &str, path: &str, form: Form<'_>) -> reqwest::Result<Reply> {
        try_read(self.request(path, form, Some(key))).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        read(self.client.get(self.url(path)).bearer_auth(SECRET_KEY)).await
    }

    pub async fn create(&self, form: Form<'_>) -> String {
        let created = self.post("/v1/payment_intents", form).await;
        assert_eq!(created.status, 200, "{}", created.text);
        created.id()
    }

    /// Sends a command to an intent: `confirm`, `capture` or `cancel`.
    pub async fn command(&self, id: &str, command: &str, form: Form<'_>) -> Reply {
        self.post(&format!("/v1/payment_intents/{id}/{command}"), form).await
    }

    pub async fn intent(&self, id: &str) -> Value {
        let found = self.get(&format!("/v1/payment_intents/{id}")).await;
        assert_eq!(found.status, 200, "{}", found.text);
        found.json
    }

    /// Creates an intent of 1000 with the money authorized.
    pub async fn authorized(&self) -> String {
        let id = self.create(MANUAL).await;
        assert_eq!(self.command(&id, "confirm", &[]).await.state(), "requires_capture");
        id
    }

    /// Creates an intent of 1000 with the money captured.
    pub async fn captured(&self) -> String {
        let id = self.authorized().await;
        assert_eq!(self.command(&id, "capture", &[]).await.state(), "succeeded");
        id
    }

    pub async fn refund(&self, id: &str, amount: &str) -> Reply {
        self.post("/v1/refunds", &[("payment_intent", id), ("amount", amount)]).await
    }

    /// Replaces the fault plan.
    pub async fn plan(&self, faults: Value) -> Reply {
        let plan = json!({ "faults": faults });
        read(self.client.put(self.url("/sim/faults")).bearer_auth(SECRET_KEY).json(&plan)).await
    }

    /// Clears all faults.
    pub async fn clear_faults(&self) -> Reply {
        read(self.client.delete(self.url("/sim/faults")).bearer_auth(SECRET_KEY)).await
    }

    /// Waits until faults of this kind were injected this many times.
    pub async fn wait_for_injections(&self, kind: &str, times: u64) {
        for _ in 0..1_000 {
            let faults = self.get("/sim/faults").await.json;
            if faults["totals"][kind].as_u64().unwrap_or_default() >= times {
                return;
            }
        }
        panic!("{kind} was not injected {times} times");
    }

    /// The state of the simulator.
    pub async fn state(&self) -> Value {
        self.get("/sim/state").await.json
    }

    /// The state in short: the numbers of payments and refunds, and the totals.
    pub async fn sums(&self) -> Value {
        let mut sums = self.state().await;
        for name in ["payment_intents", "refunds"] {
            sums[name] = sums[name].as_array().unwrap().len().into();
        }
        let totals = sums["totals"].take();
        sums.as_object_mut().unwrap().extend(totals.as_object().unwrap().clone());
        sums
    }
}

/// A simulator in its own process, for tests that kill it. It ends with the test, when its standard input does.
pub struct Process {
    pub http: Http,
    pub child: Child,
}

impl Process {
    pub fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[])
    }

    pub fn start_with(data_dir: &Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(executable())
            .args(["--listen", "127.0.0.1:0", "--exit-with-parent", "--any-version", "--secret-key", SECRET_KEY])
            .arg("--data-dir")
            .arg(data_dir)
            .args(arguments)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let base = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("unexpected first line: {line}"));
        Self { http: Http::to(base.to_owned()), child }
    }

    /// Sends SIGTERM, and returns whether the exit status is a success.
    pub fn terminate(mut self) -> bool {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(kill.unwrap().success());
        self.child.wait().unwrap().success()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The example program, which `cargo test -p psp-sim` builds next to the tests.
fn executable() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let built = tests.parent().and_then(Path::parent).unwrap().join("examples/psp-sim");
    assert!(built.exists(), "{} is missing: cargo build -p psp-sim --examples", built.display());
    built
}
