//! The whole stack on this machine: a private PostgreSQL, the payment provider simulator, and the service, each its own process.
//! They stop when the process that holds the [`Stack`] ends, even by SIGKILL.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use embedded_postgres::{Cluster, Settings};
use launcher::{Process, Spec, Supervisor};

use ridematch::platform::clock::Clock;
use ridematch::platform::random::RandomSource;
use ridematch::platform::schema;
use ridematch::sandbox::supervisor::KILL_REQUEST;

use crate::BoxError;

/// The database in the private cluster.
const DATABASE: &str = "ridematch";

/// The secrets that the simulator and the service share. They talk only over the loopback interface.
pub const PSP_SECRET_KEY: &str = "sk_test_ridematch_local";
const PSP_WEBHOOK_SECRET: &str = "whsec_ridematch_local";

/// The longest start of the service.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// What to start, and how.
#[derive(Debug)]
pub struct Options {
    /// This program.
    pub program: PathBuf,
    /// The directory of the data; `None`: a temporary one.
    pub data_dir: Option<PathBuf>,
    /// An existing PostgreSQL; `None`: a private one.
    pub database_url: Option<String>,
    /// The address of the service; `None`: loopback with a free port.
    pub listen: Option<SocketAddr>,
    /// The address for partners of a rehearsal; `None`: they use this machine.
    pub partner_listen: Option<SocketAddr>,
    /// Domain seconds per real second.
    pub time_scale: u32,
    /// Requests per second allowed to one caller; `None`: enough for the city's drivers.
    pub rate_limit: Option<u32>,
    /// Further variables of the service's configuration.
    pub environment: Vec<(&'static str, String)>,
    /// The street map; `None`: the one that the city publishes.
    pub streets: Option<PathBuf>,
    /// The results of `cargo lab`, which settle bets; `None`: bets stay open.
    pub labs: Option<PathBuf>,
}

/// The running stack.
#[derive(Debug)]
pub struct Stack {
    /// The URL of the service.
    pub base_url: String,
    /// The URL of the payment provider.
    pub provider_url: String,
    /// The service's log file.
    pub log: PathBuf,
    service: Supervisor,
    provider: Process,
    cluster: Option<Cluster>,
    /// The temporary data directory, removed with the stack.
    _scratch: Option<tempfile::TempDir>,
}

impl Stack {
    /// Starts everything and returns when the service is ready.
    ///
    /// # Errors
    /// If a process does not start.
    pub async fn start(options: Options) -> Result<Self, BoxError> {
        let (dir, scratch) = match &options.data_dir {
            Some(dir) => (dir.clone(), None),
            None => {
                let scratch = tempfile::tempdir()?;
                (scratch.path().to_owned(), Some(scratch))
            }
        };
        std::fs::create_dir_all(&dir)?;
        let listen = match options.listen {
            Some(listen) => listen,
            None => free_address()?,
        };
        let (cluster, database_url) = database(&options, &dir).await?;
        schema::migrate(&database_url).await?;
        let base_url = format!("http://{}", reachable(listen));
        let (provider, provider_url) = start_provider(&options.program, &dir.join("psp-sim"), &base_url).await?;
        let log = dir.join("service.log");
        let mut environment = environment(listen, &database_url, &provider_url, &options);
        environment.push(("RIDEMATCH_REHEARSAL_DIR", dir.join("rehearsals").display().to_string()));
        let service = start_service(options.program, log.clone(), environment);
        let stack = Self { base_url, provider_url, log, service, provider, cluster, _scratch: scratch };
        stack.wait_until_ready().await?;
        stack.set_time_scale(options.time_scale).await?;
        Ok(stack)
    }

    async fn wait_until_ready(&self) -> Result<(), BoxError> {
        let client = launcher::http_client().build()?;
        let ready = async {
            loop {
                let response = client.get(format!("{}/readyz", self.base_url)).send().await;
                if response.is_ok_and(|response| response.status().is_success()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let log = self.log.display();
        tokio::time::timeout(READY_WITHIN, ready)
            .await
            .map_err(|_| format!("the service is not ready after {READY_WITHIN:?}; see its log, {log}").into())
    }

    async fn set_time_scale(&self, scale: u32) -> Result<(), BoxError> {
        let body = serde_json::json!({ "scale": scale });
        let clock = format!("{}/v1/sandbox/clock", self.base_url);
        launcher::http_client().build()?.post(clock).json(&body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Stops everything in order: the service drains, then the provider, then the database.
    pub async fn stop(mut self) {
        self.service.stop().await;
        self.provider.stop().await;
        if let Some(cluster) = self.cluster.take()
            && let Err(error) = cluster.stop().await
        {
            eprintln!("ridematch: the private database did not stop in order: {error}");
        }
    }
}

/// Starts a private stack for one replay.
///
/// # Errors
/// If a process does not start.
pub async fn launch(program: PathBuf, wanted: city::LaunchOptions) -> Result<city::Launched, BoxError> {
    let switch = |is_on: bool| (if is_on { "on" } else { "off" }).to_owned();
    let policy = wanted.policy.map(|policy| ("RIDEMATCH_MATCH_POLICY", policy.name().to_owned()));
    let switches = [("RIDEMATCH_SURGE", switch(wanted.surge)), ("RIDEMATCH_HINTS", switch(wanted.hints))];
    let pickup_within = wanted.pickup_within_s.map(|seconds| ("RIDEMATCH_PICKUP_WITHIN_S", seconds.to_string()));
    let environment = switches.into_iter().chain(policy).chain(pickup_within);
    let options = Options {
        program,
        data_dir: None,
        database_url: None,
        listen: None,
        partner_listen: None,
        time_scale: wanted.time_scale,
        rate_limit: None,
        environment: environment.collect(),
        streets: None,
        labs: None,
    };
    let stack = Stack::start(options).await?;
    let base_url = stack.base_url.clone();
    Ok(city::Launched::new(base_url, stack.stop()))
}

async fn database(options: &Options, dir: &Path) -> Result<(Option<Cluster>, String), BoxError> {
    if let Some(url) = &options.database_url {
        return Ok((None, url.clone()));
    }
    let settings = Settings::kept(dir.join("postgres"));
    let settings = Settings { progress: Arc::new(|step| eprintln!("  {step}")), ..settings };
    let cluster = Cluster::start(settings).await?;
    cluster.server().ensure_database(DATABASE).await?;
    let url = cluster.url(DATABASE);
    Ok((Some(cluster), url))
}

/// The address of a listener for clients on this machine: an unspecified one (0.0.0.0) means any interface.
fn reachable(listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() { (Ipv4Addr::LOCALHOST, listen.port()).into() } else { listen }
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Starts the simulator on a free port.
async fn start_provider(program: &Path, dir: &Path, base_url: &str) -> Result<(Process, String), BoxError> {
    let data_dir = dir.to_string_lossy();
    let arguments = ["psp-sim", "--listen", "127.0.0.1:0", "--exit-with-parent", "--data-dir", &data_dir];
    let spec = Spec {
        name: "the payment simulator",
        program: program.to_owned(),
        arguments: arguments.iter().map(OsString::from).collect(),
        environment: vec![
            ("PSP_SECRET_KEY", PSP_SECRET_KEY.to_owned()),
            ("PSP_WEBHOOK_URL", format!("{base_url}/v1/webhooks/psp")),
            ("PSP_WEBHOOK_SECRET", PSP_WEBHOOK_SECRET.to_owned()),
        ],
        log: None,
        announces: true,
        starts_within: READY_WITHIN,
        kill_line: None,
    };
    let process = spec.start().await?;
    let address = process.address.ok_or("the payment simulator has no address")?;
    Ok((process, format!("http://{address}")))
}

/// Starts the service. It is restarted when it dies or asks to be killed.
fn start_service(program: PathBuf, log: PathBuf, environment: Vec<(&'static str, String)>) -> Supervisor {
    let spec = Spec {
        name: "the service",
        program,
        arguments: ["serve", "--exit-with-parent", "--supervised"].map(OsString::from).into(),
        environment,
        log: Some(log),
        announces: true,
        starts_within: READY_WITHIN,
        kill_line: Some(KILL_REQUEST),
    };
    Supervisor::start(spec, |why| eprintln!("{why}; restarting it"))
}

fn environment(
    listen: SocketAddr,
    database_url: &str,
    psp_url: &str,
    options: &Options,
) -> Vec<(&'static str, String)> {
    let (random, now) = (RandomSource::new(), Clock::system().machine());
    let secret = format!("{}{}", random.uuid(now).simple(), random.uuid(now).simple());
    // A driver sends a position every 4 s of domain time: at a fast clock the limit per real second grows with it.
    let enough = 100_u32.max(options.time_scale.saturating_mul(4));
    let rate_limit = options.rate_limit.unwrap_or(enough);
    let streets = options.streets.iter().map(|path| ("RIDEMATCH_STREETS", path.display().to_string()));
    let fixed = [
        ("DATABASE_URL", database_url.to_owned()),
        ("RIDEMATCH_LISTEN", listen.to_string()),
        ("RIDEMATCH_JWT_SECRET", secret),
        ("RIDEMATCH_RATE_LIMIT", rate_limit.to_string()),
        ("RIDEMATCH_SANDBOX", "true".to_owned()),
        ("RIDEMATCH_SURGE", "on".to_owned()),
        ("RIDEMATCH_HINTS", "on".to_owned()),
        ("RIDEMATCH_WEBHOOK_LOOPBACK", "true".to_owned()),
        ("PSP_BASE_URL", psp_url.to_owned()),
        ("PSP_SECRET_KEY", PSP_SECRET_KEY.to_owned()),
        ("PSP_WEBHOOK_SECRET", PSP_WEBHOOK_SECRET.to_owned()),
    ];
    let labs = options.labs.iter().map(|path| ("RIDEMATCH_LAB_DIR", path.display().to_string()));
    let partners = options.partner_listen.iter().map(|address| ("RIDEMATCH_PARTNER_LISTEN", address.to_string()));
    fixed.into_iter().chain(streets).chain(labs).chain(partners).chain(options.environment.iter().cloned()).collect()
}
