//! The processes of a run: a database, a payment provider, two services and a city, with a proxy on every connection.
//!
//! ```text
//!   city ──── matcher proxy ──▶ the matcher       services ──── database proxy ─▶ PostgreSQL
//!   actors ── service proxy ──▶ either service    services ──── provider proxy ─▶ psp-sim ── matcher proxy ─▶ webhooks
//! ```

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use launcher::clock::Stopwatch;
use launcher::{Mode, Proxy, Spec, Supervisor, Target};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::watch;

use crate::BoxError;
use crate::database::Database;
use crate::wire::{Shapes, WireProxy};

/// Shared secrets. The processes talk over the loopback interface of one machine.
pub(crate) const PSP_SECRET_KEY: &str = "sk_test_torture";
const PSP_WEBHOOK_SECRET: &str = "whsec_torture";
const JWT_SECRET: &str = "torture: a secret that protects nothing";

/// How often readiness is polled.
const POLL_EVERY: Duration = Duration::from_millis(200);

/// How long a poll may take. A paused service does not respond.
const POLL_WITHIN: Duration = Duration::from_secs(1);

/// Attempts to set the domain clock: for at least ten seconds.
const CLOCK_ATTEMPTS_MAX: u32 = 50;

/// How long a process may take to listen. Its supervisor then restarts it.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// How long all processes may take to be ready, at the start and after the faults.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// The service's program.
    pub program: PathBuf,
    /// Where data and logs go.
    pub dir: PathBuf,
    /// Seed of the proxies and the city.
    pub seed: u64,
    /// Drivers in the city.
    pub drivers: u32,
    /// Domain seconds per real second.
    pub time_scale: u32,
}

/// All processes, running.
#[derive(Debug)]
pub struct Stack {
    /// What it was started with.
    pub options: Options,
    /// Between the services and the database.
    pub database_proxy: WireProxy,
    /// Between the services and the provider.
    pub provider_proxy: Proxy,
    /// In front of the service that is the matcher.
    pub matcher_proxy: Proxy,
    /// In front of each service.
    pub service_proxies: [Proxy; 2],
    /// The database.
    pub database: Database,
    /// The payment provider.
    pub provider: Supervisor,
    /// The services.
    pub services: [Supervisor; 2],
    city: OnceLock<Supervisor>,
    http: Client,
}

impl Stack {
    /// Starts everything but the city. Returns when both services are ready.
    ///
    /// # Errors
    /// If something does not start.
    pub async fn start(options: Options) -> Result<Self, BoxError> {
        let database = Database::start(&options.dir.join("postgres")).await?;
        let url = database.place().borrow().as_ref().map(|place| place.url.clone()).unwrap_or_default();
        migrate(&options.program, &url).await?;

        let database_proxy = WireProxy::open(Shapes::new(options.seed)).await?;
        let shared = database_proxy.clone();
        on_change(database.place(), move |place| shared.set_target(place.map(|place| place.target)));

        let matcher_proxy = Proxy::plain().await?;
        let provider = supervise(provider(&options, &matcher_proxy.url()));
        let provider_proxy = Proxy::plain().await?;
        follow(&provider, &provider_proxy);

        let (database_url, provider_url) = (database_proxy.url("postgres", "ridematch"), provider_proxy.url());
        let service = |name| supervise(service(&options, name, (&database_url, &provider_url)));
        let services = [service("service-a"), service("service-b")];
        let service_proxies = [Proxy::plain().await?, Proxy::plain().await?];
        for (service, proxy) in services.iter().zip(&service_proxies) {
            follow(service, proxy);
        }
        let http = launcher::http_client().timeout(POLL_WITHIN).build()?;
        let addresses = [services[0].address(), services[1].address()];
        tokio::spawn(follow_matcher(matcher_proxy.clone(), addresses, http.clone()));

        let stack = Self {
            options,
            database_proxy,
            provider_proxy,
            matcher_proxy,
            service_proxies,
            database,
            provider,
            services,
            city: OnceLock::new(),
            http,
        };
        stack.ready().await?;
        stack.set_clock(&json!({ "scale": stack.options.time_scale })).await?;
        Ok(stack)
    }

    /// The city. The first call starts it.
    pub fn city(&self) -> &Supervisor {
        let Options { drivers, seed, .. } = &self.options;
        let (drivers, seed) = (drivers.to_string(), seed.to_string());
        let matcher_url = self.matcher_proxy.url();
        let arguments =
            ["city", "--exit-with-parent", "drive", "--base-url", &matcher_url, "--drivers", &drivers, "--seed", &seed];
        self.city.get_or_init(|| supervise(spec(&self.options, "city", &arguments, Vec::new(), false)))
    }

    /// Waits until both services are ready and one is the matcher.
    ///
    /// # Errors
    /// If that takes longer than a minute.
    pub async fn ready(&self) -> Result<(), BoxError> {
        let waited = Stopwatch::start();
        while waited.elapsed() < READY_WITHIN {
            let mut are_ready = true;
            for service in &self.services {
                let address = *service.address().borrow();
                are_ready &= match address {
                    Some(address) => readyz(&self.http, address).await.is_some(),
                    None => false,
                };
            }
            if are_ready && self.matcher_address().is_some() && self.provider.address().borrow().is_some() {
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Err(format!("not everything was ready within {READY_WITHIN:?}; the logs are in {}", self.options.dir.display())
            .into())
    }

    /// Where the matcher listens, if one is known.
    fn matcher_address(&self) -> Option<SocketAddr> {
        match self.matcher_proxy.target() {
            Some(Target::Tcp(address)) => Some(address),
            _ => None,
        }
    }

    /// Which of the services is the matcher, if one is known.
    pub fn matcher_number(&self) -> Option<usize> {
        let matcher = self.matcher_address()?;
        self.services.iter().position(|service| *service.address().borrow() == Some(matcher))
    }

    /// Reads the domain clock, without a proxy for the request.
    ///
    /// # Errors
    /// If the matcher does not answer.
    pub async fn domain_now(&self) -> Result<String, BoxError> {
        let address = self.matcher_address().ok_or("no service is the matcher")?;
        let clock = self.http.get(format!("http://{address}/v1/sandbox/clock")).send().await?.json::<Value>().await?;
        Ok(clock["domain"].as_str().ok_or("the clock has no domain time")?.to_owned())
    }

    /// Changes the domain clock, without a proxy for the request. Its COMMIT may be lost, so it retries.
    ///
    /// # Errors
    /// If no service does it.
    pub async fn set_clock(&self, change: &Value) -> Result<(), BoxError> {
        let mut last = "no service is the matcher".to_owned();
        for _ in 0..CLOCK_ATTEMPTS_MAX {
            if let Some(address) = self.matcher_address() {
                let request = self.http.post(format!("http://{address}/v1/sandbox/clock")).json(change);
                match request.send().await {
                    Ok(response) if response.status().is_success() => return Ok(()),
                    Ok(response) => last = format!("the status is {}", response.status()),
                    Err(error) => last = error.to_string(),
                }
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Err(format!("the domain clock cannot be set: {last}").into())
    }

    /// Lets everything pass on every connection. Commits of new shapes are still lost, once on each side: some shapes are only
    /// seen now, when abandoned trips end.
    pub fn heal(&self) {
        let [first, second] = &self.service_proxies;
        self.database_proxy.lose_notifications(false);
        for proxy in [self.database_proxy.proxy(), &self.provider_proxy, &self.matcher_proxy, first, second] {
            proxy.set_mode(Mode::Pass);
        }
    }

    /// URL of the provider, without the proxy.
    pub fn provider_url(&self) -> Option<String> {
        self.provider.address().borrow().map(|address| format!("http://{address}"))
    }

    /// The provider's secret key.
    pub fn provider_key(&self) -> &'static str {
        PSP_SECRET_KEY
    }

    /// Runs the service's own audit without the proxies, and returns its report.
    ///
    /// # Errors
    /// If it cannot be run, or prints no report.
    pub async fn audit(&self, settle: Duration) -> Result<Value, BoxError> {
        let url = self.database.place().borrow().as_ref().map(|place| place.url.clone());
        let output = program(&self.options.program)
            .args(["audit", "--json", "--settle", &settle.as_secs().to_string()])
            .env("DATABASE_URL", url.ok_or("the database is down")?)
            .env("PSP_BASE_URL", self.provider_url().ok_or("the provider is down")?)
            .env("PSP_SECRET_KEY", PSP_SECRET_KEY)
            .kill_on_drop(true)
            .output()
            .await?;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            format!("the audit ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()).into()
        })
    }

    /// Stops everything in order.
    ///
    /// # Errors
    /// If the database does not stop.
    pub async fn stop(&self) -> Result<(), BoxError> {
        tokio::join!(self.services[0].stop(), self.services[1].stop());
        self.provider.stop().await;
        self.database.stop().await
    }
}

pub(crate) async fn migrate(program: &Path, url: &str) -> Result<(), BoxError> {
    let output = self::program(program).arg("migrate").env("DATABASE_URL", url).kill_on_drop(true).output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("the database cannot be migrated: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

/// A command of the service's program, without the settings of the shell.
fn program(program: &Path) -> Command {
    let mut command = Command::new(program);
    launcher::environment::isolate(command.as_std_mut());
    command
}

fn spec(
    options: &Options,
    name: &'static str,
    arguments: &[&str],
    environment: Vec<(&'static str, String)>,
    announces: bool,
) -> Spec {
    Spec {
        name,
        program: options.program.clone(),
        arguments: arguments.iter().map(OsString::from).collect(),
        environment,
        log: Some(options.dir.join(format!("{name}.log"))),
        announces,
        starts_within: STARTS_WITHIN,
        kill_line: None,
    }
}

/// How to start the provider, which sends its webhooks to the service at `service_url`.
pub(crate) fn provider(options: &Options, service_url: &str) -> Spec {
    let data_dir = options.dir.join("psp-sim");
    let data_dir = data_dir.to_string_lossy();
    let arguments = ["psp-sim", "--listen", "127.0.0.1:0", "--exit-with-parent", "--data-dir", &data_dir];
    let environment = vec![
        ("PSP_SECRET_KEY", PSP_SECRET_KEY.to_owned()),
        ("PSP_WEBHOOK_URL", format!("{service_url}/v1/webhooks/psp")),
        ("PSP_WEBHOOK_SECRET", PSP_WEBHOOK_SECRET.to_owned()),
    ];
    spec(options, "psp-sim", &arguments, environment, true)
}

/// How to start a service.
pub(crate) fn service(options: &Options, name: &'static str, (database_url, provider_url): (&str, &str)) -> Spec {
    let environment = vec![
        ("DATABASE_URL", database_url.to_owned()),
        ("RIDEMATCH_LISTEN", "127.0.0.1:0".to_owned()),
        ("RIDEMATCH_JWT_SECRET", JWT_SECRET.to_owned()),
        // The limits are tested elsewhere; here they would hide other failures.
        ("RIDEMATCH_RATE_LIMIT", "100000".to_owned()),
        ("RIDEMATCH_SANDBOX", "true".to_owned()),
        ("PSP_BASE_URL", provider_url.to_owned()),
        ("PSP_SECRET_KEY", PSP_SECRET_KEY.to_owned()),
        ("PSP_WEBHOOK_SECRET", PSP_WEBHOOK_SECRET.to_owned()),
    ];
    spec(options, name, &["serve", "--exit-with-parent"], environment, true)
}

pub(crate) fn supervise(spec: Spec) -> Supervisor {
    Supervisor::start(spec, |_| {})
}

/// Calls `apply` with the watched value, now and after each change.
fn on_change<T: Clone + Send + Sync + 'static>(
    mut value: watch::Receiver<Option<T>>,
    apply: impl Fn(Option<T>) + Send + 'static,
) {
    value.mark_changed();
    tokio::spawn(async move {
        while value.changed().await.is_ok() {
            let current = value.borrow_and_update().clone();
            apply(current);
        }
    });
}

/// Keeps a proxy's target at the address of a process.
pub(crate) fn follow(process: &Supervisor, proxy: &Proxy) {
    let proxy = proxy.clone();
    on_change(process.address(), move |address| proxy.set_target(address.map(Target::Tcp)));
}

/// Keeps a proxy's target at the matcher. While there is none, it stays as it was.
async fn follow_matcher(proxy: Proxy, services: [watch::Receiver<Option<SocketAddr>>; 2], http: Client) {
    loop {
        for service in &services {
            let address = *service.borrow();
            let Some(address) = address else { continue };
            if readyz(&http, address).await.is_some_and(|ready| ready["matcher"] == true) {
                proxy.set_target(Some(Target::Tcp(address)));
            }
        }
        tokio::time::sleep(POLL_EVERY).await;
    }
}

/// What a service says of its readiness; `None` if it is not ready.
pub(crate) async fn readyz(http: &Client, address: SocketAddr) -> Option<Value> {
    let response = http.get(format!("http://{address}/readyz")).send().await.ok()?;
    if response.status().is_success() { response.json().await.ok() } else { None }
}
