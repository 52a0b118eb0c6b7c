//! Everything under torture: a database, a payment provider, two services and a city, each a process of its own, with a proxy
//! on every line between them.
//!
//! ```text
//!   city ──── front ──▶ the matcher        services ──── wire ─────▶ PostgreSQL
//!   people ── doors ──▶ either service     services ──── provider ─▶ psp-sim ── front ──▶ webhooks
//! ```

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::sync::watch;

use crate::BoxError;
use crate::clock::Stopwatch;
use crate::database::Database;
use crate::keeper::Keeper;
use crate::line::Line;
use crate::process::Spec;
use crate::valve::Mode;
use crate::wire::{Shapes, WireProxy};

/// What the processes agree on. They talk over the loopback interface of one machine.
const PSP_SECRET_KEY: &str = "sk_test_torture";
const PSP_WEBHOOK_SECRET: &str = "whsec_torture";
const JWT_SECRET: &str = "torture: a secret that protects nobody";

/// How often somebody looks who the matcher is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long a look may take: a paused service does not answer.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// How often the clock is turned before that is given up: ten seconds and more.
const CLOCK_ATTEMPTS_MAX: u32 = 50;

/// How long everything may take to be ready, at the start and after the healing.
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

/// Everything, running.
#[derive(Debug)]
pub struct Stack {
    /// What it was started with.
    pub options: Options,
    /// Between the services and the database.
    pub wire: WireProxy,
    /// Between the services and the provider.
    pub to_provider: Line,
    /// To the service that is the matcher.
    pub front: Line,
    /// To each of the services.
    pub doors: [Line; 2],
    /// The database.
    pub database: Database,
    /// The payment provider.
    pub provider: Keeper,
    /// The services.
    pub services: [Keeper; 2],
    city: OnceLock<Keeper>,
    http: Client,
}

impl Stack {
    /// Starts everything but the city, and returns when both services are ready.
    ///
    /// # Errors
    /// If something does not start; it says what.
    pub async fn start(options: Options) -> Result<Self, BoxError> {
        let database = Database::start(&options.dir.join("postgres")).await?;
        let url = database.place().borrow().as_ref().map(|place| place.url.clone()).unwrap_or_default();
        migrate(&options.program, &url).await?;

        let wire = WireProxy::open(Shapes::new(options.seed)).await?;
        let mut place = database.place();
        let shared = wire.clone();
        follow(&mut place, move |place| shared.lead_to(place.map(|place| place.target)));

        let front = Line::open().await?;
        let provider = Keeper::keep(provider(&options, &front));
        let to_provider = Line::open().await?;
        lead(&provider, &to_provider);

        let service = |name| Keeper::keep(service(&options, name, &wire, &to_provider));
        let services = [service("service-a"), service("service-b")];
        let doors = [Line::open().await?, Line::open().await?];
        for (service, door) in services.iter().zip(&doors) {
            lead(service, door);
        }
        let http = Client::builder().timeout(LOOK_MAX).build()?;
        tokio::spawn(lead_to_the_matcher(front.clone(), [services[0].address(), services[1].address()], http.clone()));

        let city = OnceLock::new();
        let stack = Self { options, wire, to_provider, front, doors, database, provider, services, city, http };
        stack.ready().await?;
        stack.clock(&json!({ "scale": stack.options.time_scale })).await?;
        Ok(stack)
    }

    /// The city, which is started when it is first asked for.
    pub fn city(&self) -> &Keeper {
        let Options { drivers, seed, .. } = &self.options;
        let (drivers, seed) = (drivers.to_string(), seed.to_string());
        let front = self.front.url();
        let words =
            ["city", "--exit-with-parent", "drive", "--base-url", &front, "--drivers", &drivers, "--seed", &seed];
        self.city.get_or_init(|| Keeper::keep(spec(&self.options, "city", &words, Vec::new(), false)))
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
            if are_ready && self.front.target().is_some() && self.provider.address().borrow().is_some() {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(format!("not everything was ready within {READY_WITHIN:?}; the logs are in {}", self.options.dir.display())
            .into())
    }

    /// Turns the domain clock, past the proxies; its COMMIT may be lost as well, so it tries again for a while.
    ///
    /// # Errors
    /// If no service does it.
    pub async fn clock(&self, change: &Value) -> Result<(), BoxError> {
        let mut last = "no service is the matcher".to_owned();
        for _ in 0..CLOCK_ATTEMPTS_MAX {
            if let Some(address) = self.front.target() {
                let request = self.http.post(format!("http://{address}/v1/sandbox/clock")).json(change);
                match request.send().await {
                    Ok(answer) if answer.status().is_success() => return Ok(()),
                    Ok(answer) => last = format!("it answered with {}", answer.status()),
                    Err(error) => last = error.to_string(),
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(format!("the domain clock cannot be turned: {last}").into())
    }

    /// Everything passes again, on every line. Commits of shapes that were never cut are still lost, once on each side: some
    /// are only met now, when rides end that nobody drives any more.
    pub fn heal(&self) {
        self.wire.valve().turn(Mode::Open);
        for line in [&self.to_provider, &self.front, &self.doors[0], &self.doors[1]] {
            line.heal();
        }
    }

    /// Where the provider answers, past the proxy.
    pub fn provider_url(&self) -> Option<String> {
        self.provider.address().borrow().map(|address| format!("http://{address}"))
    }

    /// The provider's secret key.
    pub fn provider_key(&self) -> &'static str {
        PSP_SECRET_KEY
    }

    /// Runs the service's own audit, past the proxies: what it says.
    ///
    /// # Errors
    /// If it cannot be run, or says nothing that can be read.
    pub async fn audit(&self, settle: Duration) -> Result<Value, BoxError> {
        let url = self.database.place().borrow().as_ref().map(|place| place.url.clone());
        let output = Command::new(&self.options.program)
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

async fn migrate(program: &Path, url: &str) -> Result<(), BoxError> {
    let output = Command::new(program).arg("migrate").env("DATABASE_URL", url).kill_on_drop(true).output().await?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("the database cannot be migrated: {}", String::from_utf8_lossy(&output.stderr).trim()).into())
}

fn spec(
    options: &Options,
    name: &'static str,
    words: &[&str],
    environment: Vec<(&'static str, String)>,
    announces: bool,
) -> Spec {
    Spec {
        name,
        program: options.program.clone(),
        arguments: words.iter().map(OsString::from).collect(),
        environment,
        log: options.dir.join(format!("{name}.log")),
        announces,
    }
}

fn provider(options: &Options, front: &Line) -> Spec {
    let books = options.dir.join("psp-sim");
    let books = books.to_string_lossy();
    let words = ["psp-sim", "--listen", "127.0.0.1:0", "--exit-with-parent", "--data-dir", &books];
    let environment = vec![
        ("PSP_SECRET_KEY", PSP_SECRET_KEY.to_owned()),
        ("PSP_WEBHOOK_URL", format!("{}/v1/webhooks/psp", front.url())),
        ("PSP_WEBHOOK_SECRET", PSP_WEBHOOK_SECRET.to_owned()),
    ];
    spec(options, "psp-sim", &words, environment, true)
}

fn service(options: &Options, name: &'static str, wire: &WireProxy, to_provider: &Line) -> Spec {
    let environment = vec![
        ("DATABASE_URL", wire.url("postgres", "ridematch")),
        ("RIDEMATCH_LISTEN", "127.0.0.1:0".to_owned()),
        ("RIDEMATCH_JWT_SECRET", JWT_SECRET.to_owned()),
        // The limits are tested elsewhere; here they would hide what is looked for.
        ("RIDEMATCH_RATE_LIMIT", "100000".to_owned()),
        ("RIDEMATCH_SANDBOX", "true".to_owned()),
        ("PSP_BASE_URL", to_provider.url()),
        ("PSP_SECRET_KEY", PSP_SECRET_KEY.to_owned()),
        ("PSP_WEBHOOK_SECRET", PSP_WEBHOOK_SECRET.to_owned()),
    ];
    spec(options, name, &["serve", "--exit-with-parent"], environment, true)
}

/// Tells `news` what the watched value is, now and whenever it changes.
fn follow<T: Clone + Send + Sync + 'static>(
    value: &mut watch::Receiver<Option<T>>,
    news: impl Fn(Option<T>) + Send + 'static,
) {
    let mut value = value.clone();
    value.mark_changed();
    tokio::spawn(async move {
        while value.changed().await.is_ok() {
            let current = value.borrow_and_update().clone();
            news(current);
        }
    });
}

fn lead(keeper: &Keeper, line: &Line) {
    let line = line.clone();
    follow(&mut keeper.address(), move |address| line.lead_to(address));
}

/// Keeps a line on whichever service is the matcher. While none is, it stays where it was.
async fn lead_to_the_matcher(front: Line, services: [watch::Receiver<Option<SocketAddr>>; 2], http: Client) {
    loop {
        for service in &services {
            let address = *service.borrow();
            let Some(address) = address else { continue };
            if readyz(&http, address).await.is_some_and(|ready| ready["matcher"] == true) {
                front.lead_to(Some(address));
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn readyz(http: &Client, address: SocketAddr) -> Option<Value> {
    let answer = http.get(format!("http://{address}/readyz")).send().await.ok()?;
    if answer.status().is_success() { answer.json().await.ok() } else { None }
}
