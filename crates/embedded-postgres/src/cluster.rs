//! Starting, owning and stopping a server.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    pin::Pin,
    process::Child,
    sync::Arc,
    time::Duration,
};

use crate::{
    account::Account,
    data_dir::{self, DataDir, SIGNAL_TIMEOUT, Storage},
    error::{Attempt, Error},
    files,
    lifetime_pipe::LifetimePipe,
    search::Search,
    server::{self, Server},
    waiting::{POLL_INTERVAL, Progress, polls_in},
};

/// How long a server may take to accept sessions. Recovery after a crash replays at most `max_wal_size`, 1 GB.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a server may take to stop: the timeouts of three signals, and some margin.
const STOP_TIMEOUT: Duration = Duration::from_secs(3 * SIGNAL_TIMEOUT.as_secs() + 5);

/// The SQLSTATE of a server that is starting or recovering.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// The number of lines of the log that an error quotes.
const LOG_LINES: usize = 20;

/// The supervisor of the server: a shell script, which runs without any file of the owner.
const SUPERVISOR: &str = include_str!("supervise.sh");

/// The settings of a cluster.
#[derive(Clone)]
pub struct Settings {
    /// Whether the data is kept.
    pub storage: Storage,
    /// The most sessions at the same time.
    pub max_connections: u16,
    /// Where to look for server binaries.
    pub search: Search,
    /// Gets a line for each slow step; by default logs it with `tracing` at level info.
    pub progress: Progress,
}

impl Settings {
    /// A cluster with its data kept in `dir`.
    #[must_use]
    pub fn kept(dir: impl Into<PathBuf>) -> Self {
        Self::with(Storage::Kept(dir.into()), 100)
    }

    /// A fast cluster for one run, whose data is removed with it.
    #[must_use]
    pub fn scratch() -> Self {
        // Tests run many connection pools at the same time.
        Self::with(Storage::Scratch, 300)
    }

    fn with(storage: Storage, max_connections: u16) -> Self {
        Self {
            storage,
            max_connections,
            search: Search::default(),
            progress: Arc::new(|step| tracing::info!("{step}")),
        }
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("storage", &self.storage)
            .field("max_connections", &self.max_connections)
            .field("search", &self.search)
            .finish_non_exhaustive()
    }
}

/// A running server. Dropping this stops the server in the background; [`Cluster::stop`] waits for its end.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    run_dir: PathBuf,
    log: File,
    supervisor: Child,
    lifetime_pipe: LifetimePipe,
    _owner_lock: File,
}

impl Cluster {
    /// Starts a server: finds or fetches the binaries, creates the data directory if missing, recovers from a crash, and
    /// returns when the server accepts sessions.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::NoServer`] and [`Error::InUse`] tell the user what to do.
    pub fn start(settings: Settings) -> Pin<Box<dyn Future<Output = Result<Self, Error>> + Send>> {
        Box::pin(Self::start_lingering(settings, 0))
    }

    /// As [`Cluster::start`]; the server outlives its last owner by `linger_s` seconds, in which others can join.
    pub(crate) async fn start_lingering(settings: Settings, linger_s: u32) -> Result<Self, Error> {
        let launch = move || launch(&settings, linger_s);
        let mut cluster = tokio::task::spawn_blocking(launch)
            .await
            .map_err(std::io::Error::other)
            .attempt(|| "start the server".into())??;
        cluster.wait_for_sessions().await?;
        Ok(cluster)
    }

    /// The server.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The URL of a database, for sqlx and libpq.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        self.server.url(database)
    }

    /// The directory of the server's socket.
    #[must_use]
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Ends all sessions, stops the server and waits until it is gone, at most 65 s.
    ///
    /// # Errors
    ///
    /// [`Error::Timeout`] if the server still runs then.
    pub async fn stop(self) -> Result<(), Error> {
        let Self { mut supervisor, lifetime_pipe, log, .. } = self;
        drop(lifetime_pipe);
        for _ in 0..polls_in(STOP_TIMEOUT) {
            if has_ended(&mut supervisor)? {
                return Ok(());
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Err(timed_out("stop", STOP_TIMEOUT, &log))
    }

    async fn wait_for_sessions(&mut self) -> Result<(), Error> {
        for _ in 0..polls_in(START_TIMEOUT) {
            match self.server.connect().await {
                Ok(_) => return Ok(()),
                Err(error) if is_final(&error) => return Err(error),
                Err(_) => {}
            }
            if has_ended(&mut self.supervisor)? {
                return Err(Error::Program {
                    program: "postgres".into(),
                    output: files::last_lines(&self.log, LOG_LINES),
                });
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Err(timed_out("start", START_TIMEOUT, &self.log))
    }
}

/// Does everything up to the launch of the server.
fn launch(settings: &Settings, linger_s: u32) -> Result<Cluster, Error> {
    let account = Account::for_server(match &settings.storage {
        Storage::Kept(dir) => Some(data_dir::pgdata(dir)),
        Storage::Scratch => None,
    })?;
    let run_dir = files::make_run_dir(&account)?;
    let launched = launch_in(settings, linger_s, &account, &run_dir);
    if launched.is_err() {
        // No supervisor ran that would remove it.
        fs::remove_dir_all(&run_dir).ok();
    }
    launched
}

fn launch_in(settings: &Settings, linger_s: u32, account: &Account, run_dir: &Path) -> Result<Cluster, Error> {
    let Settings { storage, progress, .. } = settings;
    let data_dir = DataDir::open(storage, account, run_dir)?;
    let installation = data_dir.choose(settings.search.installations(progress)?)?;
    data_dir.init(account, &installation, storage, progress)?;

    let (lifetime_pipe, pipe_reader) = LifetimePipe::create(run_dir)?;
    let script = run_dir.join("supervise.sh");
    fs::write(&script, SUPERVISOR).attempt(|| format!("write {}", script.display()))?;
    account.chown(&script)?;
    let (log_end, log) = data_dir.start_log()?;
    let signals = match storage {
        Storage::Kept(_) => "INT QUIT KILL",
        Storage::Scratch => "QUIT KILL",
    };
    let mut command = account.command("/bin/sh");
    installation.add_library_path(&mut command);
    command
        .arg(script)
        .arg(run_dir)
        .args([linger_s.to_string().as_str(), signals])
        .arg(SIGNAL_TIMEOUT.as_secs().to_string())
        .arg(installation.program("postgres"))
        .arg("-D")
        .arg(data_dir.pgdata())
        .arg("-k")
        .arg(run_dir)
        .args(server_options(settings))
        .stdin(pipe_reader)
        .stdout(data_dir.share_server_lock()?)
        .stderr(log_end);
    let supervisor = command.spawn().attempt(|| "run /bin/sh".into())?;
    Ok(Cluster {
        server: Server::in_dir(&run_dir.to_string_lossy()),
        run_dir: run_dir.into(),
        log,
        supervisor,
        lifetime_pipe,
        _owner_lock: data_dir.into_owner_lock(),
    })
}

/// The configuration of the server, all on its command line, so that no configuration file can become outdated.
fn server_options(settings: &Settings) -> Vec<String> {
    let max_connections = settings.max_connections.to_string();
    let mut options = vec![
        ("listen_addresses", ""),
        ("port", "5432"),
        ("unix_socket_permissions", "0700"),
        ("max_connections", max_connections.as_str()),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        // The log is only for failures to start; clients get their errors in responses.
        ("log_min_messages", "fatal"),
        ("logging_collector", "off"),
        // Short queries gain nothing from it, and it needs the LLVM library of 100 MB.
        ("jit", "off"),
    ];
    if settings.storage == Storage::Scratch {
        options.extend([
            ("fsync", "off"),
            ("synchronous_commit", "off"),
            ("full_page_writes", "off"),
            ("wal_level", "minimal"),
            ("max_wal_senders", "0"),
            ("shared_buffers", "64MB"),
        ]);
    }
    options.into_iter().flat_map(|(name, value)| ["-c".to_owned(), format!("{name}={value}")]).collect()
}

fn has_ended(supervisor: &mut Child) -> Result<bool, Error> {
    supervisor.try_wait().map(|status| status.is_some()).attempt(|| "check the supervisor of the server".into())
}

/// Whether the error is permanent: the server has started, and rejects the session.
fn is_final(error: &Error) -> bool {
    let Error::Database { source, .. } = error else {
        return false;
    };
    source.as_database_error().is_some() && !server::has_code(source, CANNOT_CONNECT_NOW)
}

fn timed_out(what: &'static str, limit: Duration, log: &File) -> Error {
    Error::Timeout { what, limit, log: files::last_lines(log, LOG_LINES) }
}
