//! The provider simulator and the service, each a process of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use launcher::clock::Stopwatch;
use launcher::{BoxError, Process, Proxy, Spec, Supervisor, Target};
use reqwest::Client;
use serde_json::{Value, json};
use tokio::process::Command;

use super::database::RunDatabase;
use super::journal::StackJournal;
use super::model::RunSpec;
use super::run_dir::RunDir;
use crate::load::model::LoadEventKind;
use crate::load::recording::EventRecord;

/// The provider's key. The processes talk over the loopback interface of one machine.
pub const PROVIDER_KEY: &str = "sk_test_drill";
const PROVIDER_WEBHOOK_SECRET: &str = "whsec_drill";
const TOKEN_SECRET: &str = "drill: a secret that protects nothing";

/// How long a process may take to listen, and all of them to be ready.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How often readiness is polled.
const POLL_EVERY: Duration = Duration::from_millis(25);

/// How long a request of the stack itself may take.
const RESPONSE_WITHIN: Duration = Duration::from_secs(3);

/// How long the audit may take.
const AUDITS_WITHIN: Duration = Duration::from_secs(30);

/// All processes of a run. Dropping it stops them and removes the database and the files.
#[derive(Debug)]
pub struct Stack {
    /// URLs of the service's processes.
    pub urls: Vec<String>,
    /// URL of the provider simulator.
    pub provider_url: String,
    /// URL of the run's database, without a proxy.
    pub database_url: String,
    /// The services' logs: JSON lines.
    pub logs: Vec<PathBuf>,
    /// A client of all of them.
    pub http: Client,
    /// Replaced by a redeployment.
    services: RwLock<Vec<Arc<Supervisor>>>,
    pub(super) journal: StackJournal,
    /// Between the services and the database, if the load cuts there.
    pub(super) database_proxy: Option<Proxy>,
    /// Between the services and the provider, if the load cuts there.
    pub(super) provider_proxy: Option<Proxy>,
    /// Database and provider as the services see them.
    seen: (String, String),
    clean: PathBuf,
    provider: Process,
    // In this order: sessions end with the processes, then the database goes, then the files.
    _database: RunDatabase,
    _dir: RunDir,
}

impl Stack {
    /// Starts everything. Returns when the service is ready and its clock runs as fast as the load wants it.
    ///
    /// # Errors
    /// If something does not start; the end of the service's log is in the message.
    pub async fn start(spec: &RunSpec) -> Result<Self, BoxError> {
        // reqwest needs one even for plain HTTP. An error means that one is installed already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let dir = RunDir::create()?;
        let database = RunDatabase::create(spec).await?;
        let database_url = database.url();
        let journal = StackJournal::new();
        let addresses = free_addresses(spec.load.processes.clamp(1, 2))?;
        let urls: Vec<String> = addresses.iter().map(|address| format!("http://{address}")).collect();
        let (provider, provider_url) = start_provider(spec, &dir, &urls[0]).await?;
        let (database_proxy, seen_database) = match needs(spec, &DATABASE_EVENTS) {
            true => {
                let (proxy, url) = database_proxy(&database_url).await?;
                (Some(proxy), url)
            }
            false => (None, database_url.clone()),
        };
        let (provider_proxy, seen_provider) = match needs(spec, &[LoadEventKind::ProviderAway]) {
            true => {
                let proxy = Proxy::plain().await?;
                proxy.set_target(provider.address.map(Target::Tcp));
                let url = proxy.url();
                (Some(proxy), url)
            }
            false => (None, provider_url.clone()),
        };
        let (mut services, mut logs) = (Vec::new(), Vec::new());
        for (number, address) in addresses.iter().enumerate() {
            let log = dir.path().join(format!("service-{number}.log"));
            let environment = environment(spec, *address, (&seen_database, &seen_provider));
            services.push(Arc::new(start_service(&spec.programs.service, log.clone(), environment, &journal)));
            logs.push(log);
        }
        let http =
            launcher::http_client().timeout(RESPONSE_WITHIN).pool_idle_timeout(Duration::from_secs(2)).build()?;
        let clean = spec.programs.clean.clone();
        let stack = Self {
            urls,
            provider_url,
            database_url,
            logs,
            http,
            services: RwLock::new(services),
            journal,
            database_proxy,
            provider_proxy,
            seen: (seen_database, seen_provider),
            clean,
            provider,
            _database: database,
            _dir: dir,
        };
        stack.ready().await?;
        stack.set_clock(&json!({ "scale": spec.load.time_scale.clamp(1, 60) })).await?;
        Ok(stack)
    }

    /// Waits until every process is ready and one is the matcher.
    async fn ready(&self) -> Result<(), BoxError> {
        let waited = Stopwatch::start();
        while waited.elapsed() < STARTS_WITHIN {
            let (mut ready, mut matchers) = (0, 0);
            for url in &self.urls {
                let response = self.http.get(format!("{url}/readyz")).send().await;
                let Ok(response) = response.and_then(reqwest::Response::error_for_status) else { continue };
                ready += 1;
                matchers += u32::from(response.json::<Value>().await.is_ok_and(|body| body["matcher"] == true));
            }
            if ready == self.urls.len() && matchers > 0 {
                return Ok(());
            }
            if self.services().iter().any(|service| service.deaths() > 2) {
                break;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Err(format!(
            "the service is not ready after {:.0} s; its log ends:\n{}",
            waited.elapsed().as_secs_f64(),
            self.log_end()
        )
        .into())
    }

    /// The last lines of the first service's log.
    fn log_end(&self) -> String {
        let text = std::fs::read_to_string(&self.logs[0]).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(5)..].join("\n")
    }

    /// Changes the domain clock.
    ///
    /// # Errors
    /// If the service does not do it.
    pub(super) async fn set_clock(&self, change: &Value) -> Result<(), BoxError> {
        let request = self.http.post(format!("{}/v1/sandbox/clock", self.urls[0])).json(change);
        request.send().await?.error_for_status()?;
        Ok(())
    }

    /// Replaces the provider's faults.
    ///
    /// # Errors
    /// If the provider refuses them: the message names the field.
    pub(super) async fn plan_faults(&self, faults: &[Value], seed: u64) -> Result<(), BoxError> {
        let request = self.http.put(format!("{}/sim/faults", self.provider_url)).bearer_auth(PROVIDER_KEY);
        let response = request.json(&json!({ "faults": faults, "seed": seed })).send().await?;
        if response.status().is_success() {
            return Ok(());
        }
        Err(format!("the provider refuses the faults: {}", response.text().await.unwrap_or_default()).into())
    }

    /// Runs the audit of the clean checkout. Waits up to `settle` for unsettled work.
    ///
    /// # Errors
    /// If it cannot be run, or prints no report.
    pub(super) async fn audit(&self, settle: Duration) -> Result<Value, BoxError> {
        let mut command = Command::new(&self.clean);
        launcher::environment::isolate(command.as_std_mut());
        command.args(["audit", "--json", "--settle", &settle.as_secs().to_string()]);
        command.env("DATABASE_URL", &self.database_url).env("PSP_BASE_URL", &self.provider_url);
        command.env("PSP_SECRET_KEY", PROVIDER_KEY).kill_on_drop(true);
        let output = tokio::time::timeout(AUDITS_WITHIN, command.output()).await??;
        serde_json::from_slice(&output.stdout).map_err(|_| {
            format!("the audit ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim()).into()
        })
    }

    /// Ends of service processes without an order.
    pub(super) fn deaths(&self) -> u64 {
        self.services().iter().map(|service| service.deaths()).sum()
    }

    /// The service's processes, of which there is at least one.
    pub(super) fn services(&self) -> Vec<Arc<Supervisor>> {
        self.services.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What happened to processes, at times of the load.
    pub(crate) fn events(&self, now_s: f64) -> Vec<EventRecord> {
        self.journal.events(now_s)
    }

    /// Stops the service in order, migrates the database with another program and starts that one with another environment.
    ///
    /// # Errors
    /// If the migrations fail, or the service is not ready in time; the former service is stopped in any case.
    pub(super) async fn redeploy(
        &self,
        spec: &RunSpec,
        program: &Path,
        environment: &BTreeMap<String, String>,
    ) -> Result<(), BoxError> {
        futures_util::future::join_all(self.services().iter().map(|service| service.stop())).await;
        super::database::migrate(program, &self.database_url).await?;
        let spec = RunSpec { environment: environment.clone(), ..spec.clone() };
        let mut services = Vec::new();
        for (number, (log, url)) in self.logs.iter().zip(&self.urls).enumerate() {
            let address = url.trim_start_matches("http://").parse()?;
            let environment = self::environment(&spec, address, (&self.seen.0, &self.seen.1));
            services.push(Arc::new(start_service(program, log.clone(), environment, &self.journal)));
            self.journal.add("deploy", &format!("process {number}"));
        }
        *self.services.write().unwrap_or_else(PoisonError::into_inner) = services;
        self.ready().await
    }

    /// Stops the processes in order and removes the database and the files.
    pub async fn stop(mut self) {
        futures_util::future::join_all(self.services().iter().map(|service| service.stop())).await;
        self.provider.stop().await;
    }

    /// Kills the processes and removes the database and the files: nothing that they would still write counts.
    pub(super) async fn discard(mut self) {
        self.services.write().unwrap_or_else(PoisonError::into_inner).clear();
        self.provider.kill().await;
    }
}

/// Events that need a proxy in front of the database.
const DATABASE_EVENTS: [LoadEventKind; 3] =
    [LoadEventKind::DatabaseAway, LoadEventKind::DatabaseHolds, LoadEventKind::CutDatabase];

fn needs(spec: &RunSpec, kinds: &[LoadEventKind]) -> bool {
    spec.load.events.iter().any(|event| kinds.contains(&event.what))
}

async fn database_proxy(url: &str) -> Result<(Proxy, String), BoxError> {
    let proxy = Proxy::plain().await?;
    proxy.set_target(Some(Target::of_database(url)?));
    let name = url.split('?').next().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
    let url = format!("postgres://postgres@{}/{name}?sslmode=disable", proxy.address);
    Ok((proxy, url))
}

fn free_addresses(count: u32) -> std::io::Result<Vec<SocketAddr>> {
    // All are held before the first one is released.
    let listeners: Result<Vec<_>, _> = (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
    listeners?.iter().map(TcpListener::local_addr).collect()
}

async fn start_provider(spec: &RunSpec, dir: &RunDir, service_url: &str) -> Result<(Process, String), BoxError> {
    let (data_dir, seed) = (dir.path().join("psp-sim"), spec.seed.to_string());
    let data_dir = data_dir.to_string_lossy();
    let arguments =
        ["psp-sim", "--listen", "127.0.0.1:0", "--exit-with-parent", "--seed", &seed, "--data-dir", &data_dir];
    let spec = Spec {
        name: "the provider simulator",
        program: spec.programs.clean.clone(),
        arguments: arguments.iter().map(OsString::from).collect(),
        environment: vec![
            ("PSP_SECRET_KEY", PROVIDER_KEY.to_owned()),
            ("PSP_WEBHOOK_URL", format!("{service_url}/v1/webhooks/psp")),
            ("PSP_WEBHOOK_SECRET", PROVIDER_WEBHOOK_SECRET.to_owned()),
        ],
        log: Some(dir.path().join("psp-sim.log")),
        announces: true,
        starts_within: STARTS_WITHIN,
        kill_line: None,
    };
    let process = spec.start().await?;
    let address = process.address.ok_or("the provider simulator has no address")?;
    Ok((process, format!("http://{address}")))
}

fn start_service(
    program: &Path,
    log: PathBuf,
    environment: Vec<(&'static str, String)>,
    journal: &StackJournal,
) -> Supervisor {
    let journal = journal.clone();
    let spec = Spec {
        name: "the service",
        program: program.to_owned(),
        arguments: ["serve", "--exit-with-parent"].map(OsString::from).into(),
        environment,
        log: Some(log),
        announces: true,
        starts_within: STARTS_WITHIN,
        kill_line: None,
    };
    Supervisor::start(spec, move |why| journal.add("death", why))
}

/// The service's environment: what the stack needs, then the load's, then the run's own, which wins.
fn environment(
    spec: &RunSpec,
    listen: SocketAddr,
    (database_url, provider_url): (&str, &str),
) -> Vec<(&'static str, String)> {
    let fixed = [
        ("DATABASE_URL", database_url),
        ("RIDEMATCH_LISTEN", &listen.to_string()),
        ("RIDEMATCH_JWT_SECRET", TOKEN_SECRET),
        // The limits are tested elsewhere; here they would hide other failures.
        ("RIDEMATCH_RATE_LIMIT", "100000"),
        ("RIDEMATCH_SANDBOX", "true"),
        ("RIDEMATCH_SURGE", "on"),
        ("RIDEMATCH_WEBHOOK_LOOPBACK", "true"),
        ("PSP_BASE_URL", provider_url),
        ("PSP_SECRET_KEY", PROVIDER_KEY),
        ("PSP_WEBHOOK_SECRET", PROVIDER_WEBHOOK_SECRET),
    ];
    let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut all: BTreeMap<String, String> = fixed.into_iter().collect();
    all.extend(spec.load.environment.clone());
    all.extend(spec.environment.clone());
    all.into_iter().map(|(name, value)| (interned(name), value)).collect()
}

/// Returns the name for as long as the program runs. Names of variables are few.
fn interned(name: String) -> &'static str {
    static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.get(name.as_str()) {
        return known;
    }
    let name: &'static str = name.leak();
    names.insert(name);
    name
}
