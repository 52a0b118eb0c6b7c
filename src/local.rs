//! Everything on this machine: a private PostgreSQL, the payment provider simulator, and the service, each a process of its own.
//! Whoever holds the [`Stack`] owns them: when he dies, however he dies, they stop too.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, CommandFactory};
use embedded_postgres::{Cluster, Settings};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use ridematch::platform::clock::Clock;
use ridematch::platform::dice::Dice;
use ridematch::platform::schema;
use ridematch::sandbox::supervisor::KILL_ME;

use crate::BoxError;
use crate::cli::Cli;

/// The database in the private cluster.
const DATABASE: &str = "ridematch";

/// What the simulator and the service agree on. They talk over the loopback interface of one machine.
pub const PSP_SECRET_KEY: &str = "sk_test_ridematch_local";
const PSP_WEBHOOK_SECRET: &str = "whsec_ridematch_local";

/// How long the service may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// A service that dies is started again after this.
const RESTART_AFTER: Duration = Duration::from_millis(200);

/// How long a service that asked to be killed has to live: enough for an answer.
const KILL_AFTER: Duration = Duration::from_millis(50);

/// How long a child gets to stop in order, after its standard input was closed.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What to start.
#[derive(Debug)]
pub struct Options {
    /// This program.
    pub program: PathBuf,
    /// Where data is kept; `None`: nowhere, it goes with the stack.
    pub data_dir: Option<PathBuf>,
    /// Somebody else's PostgreSQL; `None`: a private one.
    pub database_url: Option<String>,
    /// Where the service listens; `None`: on a free port.
    pub listen: Option<SocketAddr>,
    /// Domain seconds per real second.
    pub time_scale: u32,
    /// Requests a second that one caller may make; `None`: enough for the city's drivers.
    pub rate_limit: Option<u32>,
}

/// Everything, running.
#[derive(Debug)]
pub struct Stack {
    /// Where the service answers.
    pub base_url: String,
    /// Where the payment provider answers.
    pub provider_url: String,
    /// Where the service's log is.
    pub log: PathBuf,
    service: Supervised,
    provider: Child,
    cluster: Option<Cluster>,
    /// Removed when the stack goes, if nothing is kept.
    _scratch: Option<tempfile::TempDir>,
}

impl Stack {
    /// Starts everything and returns when the service is ready.
    ///
    /// # Errors
    /// If something cannot be started; it says what.
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
        let base_url = format!("http://{listen}");
        let (provider, provider_url) = provider(&options.program, &dir.join("psp-sim"), &base_url).await?;
        let log = dir.join("service.log");
        let environment = environment(listen, &database_url, &provider_url, &options);
        let spec = Spec { program: options.program, log: log.clone(), environment };
        let service = Supervised::start(spec)?;
        let stack = Self { base_url, provider_url, log, service, provider, cluster, _scratch: scratch };
        stack.wait_until_ready().await?;
        stack.set_time_scale(options.time_scale).await?;
        Ok(stack)
    }

    async fn wait_until_ready(&self) -> Result<(), BoxError> {
        let ready = async {
            let client = reqwest::Client::new();
            loop {
                let answer = client.get(format!("{}/readyz", self.base_url)).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let log = self.log.display();
        tokio::time::timeout(READY_WITHIN, ready)
            .await
            .map_err(|_| format!("the service did not become ready within {READY_WITHIN:?}; its log is {log}").into())
    }

    async fn set_time_scale(&self, scale: u32) -> Result<(), BoxError> {
        let body = serde_json::json!({ "scale": scale });
        let clock = format!("{}/v1/sandbox/clock", self.base_url);
        reqwest::Client::new().post(clock).json(&body).send().await?.error_for_status()?;
        Ok(())
    }

    /// Stops everything in order: the service drains, then the provider, then the database.
    pub async fn stop(mut self) {
        self.service.stop().await;
        drop(self.provider.stdin.take());
        let _end = tokio::time::timeout(STOP_WITHIN, self.provider.wait()).await;
        if let Some(cluster) = self.cluster.take()
            && let Err(error) = cluster.stop().await
        {
            eprintln!("the private database did not stop in order: {error}");
        }
    }
}

/// A private service for one replay.
///
/// # Errors
/// If something cannot be started.
pub async fn launch(program: PathBuf, wanted: city::LaunchOptions) -> Result<city::Launched, BoxError> {
    let options = Options {
        program,
        data_dir: None,
        database_url: None,
        listen: None,
        time_scale: wanted.time_scale,
        rate_limit: None,
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

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// This program, to be started as a child that is configured by nobody but us: of the shell's settings only how much to log gets there.
fn child(program: &Path) -> Command {
    let mut command = Command::new(program);
    for subcommand in Cli::command().get_subcommands() {
        for setting in subcommand.get_arguments().filter_map(Arg::get_env).filter(|name| *name != "RIDEMATCH_LOG") {
            command.env_remove(setting);
        }
    }
    command
}

/// Starts the simulator on a free port and reads from its first line which one.
async fn provider(program: &Path, dir: &Path, base_url: &str) -> Result<(Child, String), BoxError> {
    let mut child = child(program)
        .args(["psp-sim", "--listen", "127.0.0.1:0", "--exit-with-parent", "--data-dir"])
        .arg(dir)
        .env("PSP_SECRET_KEY", PSP_SECRET_KEY)
        .env("PSP_WEBHOOK_URL", format!("{base_url}/v1/webhooks/psp"))
        .env("PSP_WEBHOOK_SECRET", PSP_WEBHOOK_SECRET)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()?;
    let stdout = child.stdout.take().ok_or("the payment simulator has no standard output")?;
    let mut lines = BufReader::new(stdout).lines();
    let first = tokio::time::timeout(READY_WITHIN, lines.next_line()).await??;
    let url = first.as_deref().and_then(|line| line.strip_prefix("listening on "));
    let url = url.ok_or("the payment simulator did not start")?.to_owned();
    Ok((child, url))
}

fn environment(
    listen: SocketAddr,
    database_url: &str,
    psp_url: &str,
    options: &Options,
) -> Vec<(&'static str, String)> {
    let (dice, now) = (Dice::new(), Clock::system().machine());
    let secret = format!("{}{}", dice.uuid(now).simple(), dice.uuid(now).simple());
    // A driver sends a position every 4 s of domain time: at a fast clock the limit per real second grows with it.
    let enough = 100_u32.max(options.time_scale.saturating_mul(4));
    let rate_limit = options.rate_limit.unwrap_or(enough);
    vec![
        ("DATABASE_URL", database_url.to_owned()),
        ("RIDEMATCH_LISTEN", listen.to_string()),
        ("RIDEMATCH_JWT_SECRET", secret),
        ("RIDEMATCH_RATE_LIMIT", rate_limit.to_string()),
        ("RIDEMATCH_SANDBOX", "true".to_owned()),
        ("RIDEMATCH_WEBHOOK_LOOPBACK", "true".to_owned()),
        ("PSP_BASE_URL", psp_url.to_owned()),
        ("PSP_SECRET_KEY", PSP_SECRET_KEY.to_owned()),
        ("PSP_WEBHOOK_SECRET", PSP_WEBHOOK_SECRET.to_owned()),
    ]
}

/// How to start the service.
#[derive(Debug)]
struct Spec {
    program: PathBuf,
    log: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Spec {
    fn spawn(&self) -> std::io::Result<Child> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        child(&self.program)
            .args(["serve", "--exit-with-parent", "--supervised"])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
    }
}

/// The service under supervision: if it dies, it is started again.
#[derive(Debug)]
struct Supervised {
    stop: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Supervised {
    fn start(spec: Spec) -> Result<Self, BoxError> {
        let child = spec.spawn()?;
        let stop = Arc::new(Notify::new());
        let task = tokio::spawn(supervise(spec, child, Arc::clone(&stop)));
        Ok(Self { stop, task })
    }

    async fn stop(self) {
        self.stop.notify_one();
        let _end = self.task.await;
    }
}

async fn supervise(spec: Spec, mut child: Child, stop: Arc<Notify>) {
    loop {
        // `wait` would close it, and the child take that for the end of this process.
        let leash = child.stdin.take();
        let wish = wish_to_be_killed(child.stdout.take());
        let died = tokio::select! {
            died = child.wait() => died,
            () = wish => {
                // The answer to whoever asked for it is on its way.
                tokio::time::sleep(KILL_AFTER).await;
                let _sent = child.start_kill();
                child.wait().await
            }
            () = stop.notified() => {
                drop(leash);
                let _end = tokio::time::timeout(STOP_WITHIN, child.wait()).await;
                return;
            }
        };
        eprintln!("the service {}; starting it again (its log is {})", how(died), spec.log.display());
        tokio::time::sleep(RESTART_AFTER).await;
        match spec.spawn() {
            Ok(again) => child = again,
            Err(error) => eprintln!("the service cannot be started: {error}"),
        }
    }
}

/// Returns when the service asks to be killed, and reads on for as long as it has nothing to say.
async fn wish_to_be_killed(stdout: Option<ChildStdout>) {
    let Some(stdout) = stdout else { return std::future::pending().await };
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line == KILL_ME {
            return;
        }
    }
    std::future::pending().await
}

fn how(died: std::io::Result<ExitStatus>) -> String {
    match died {
        Ok(status) => format!("ended with {status}"),
        Err(error) => format!("was lost: {error}"),
    }
}
