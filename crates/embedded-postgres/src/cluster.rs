//! One private server: started, owned, stopped.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Child,
    sync::Arc,
    time::Duration,
};

use crate::{
    account::Account,
    error::{Attempt, Error},
    files,
    home::{self, Home},
    leash::Leash,
    search::Search,
    server::{self, Server},
};

/// How long a server may take to accept sessions. Recovery after a crash replays at most `max_wal_size`, 1 GB.
const START_LIMIT: Duration = Duration::from_secs(120);

/// How long each of the stopping signals gets to work, in whole seconds. A fast shutdown writes a checkpoint.
pub(crate) const SIGNAL_PATIENCE: Duration = Duration::from_secs(20);

/// How long a server may take to stop: three signals' patience, and a little.
const STOP_LIMIT: Duration = Duration::from_secs(3 * SIGNAL_PATIENCE.as_secs() + 5);

/// How often something is looked at that is about to happen.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(10);

/// PostgreSQL's code for a server that is starting or recovering.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// How much of the server's log an error quotes, in lines.
const LOG_LINES: usize = 20;

/// What supervises the server: a shell script of a page, so that it needs nothing of its owner's.
const SUPERVISOR: &str = include_str!("supervise.sh");

/// Hears what is being done, one line for each step that takes a while.
pub type Progress = Arc<dyn Fn(&str) + Send + Sync>;

/// What becomes of the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Storage {
    /// It stays in this directory, which one process at a time may own. As durable as PostgreSQL is by default.
    Kept(PathBuf),
    /// It goes with the server. Nothing waits for the disk, so a crash of the machine would spoil it.
    Scratch,
}

/// How to run a cluster.
#[derive(Clone)]
pub struct Settings {
    /// What becomes of the data.
    pub storage: Storage,
    /// Sessions at once.
    pub max_connections: u16,
    /// Where server binaries are looked for.
    pub search: Search,
    /// Hears of slow steps; by default they go to `tracing` at level info.
    pub progress: Progress,
}

impl Settings {
    /// A cluster whose data is kept in `dir`.
    #[must_use]
    pub fn kept(dir: impl Into<PathBuf>) -> Self {
        Self::with(Storage::Kept(dir.into()), 100)
    }

    /// A cluster for one run, fast and forgetful.
    #[must_use]
    pub fn scratch() -> Self {
        // Tests run many pools side by side.
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

/// A running server and the hold on it. Dropping it lets the server stop by itself; [`Cluster::stop`] waits for that.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    run_dir: PathBuf,
    log: File,
    supervisor: Child,
    leash: Leash,
    _owner_lock: File,
}

impl Cluster {
    /// Starts a server: finds or fetches the binaries, makes the data directory if need be, recovers what a crash
    /// has left, and returns when sessions are accepted.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; [`Error::NoServer`] and [`Error::InUse`] are the user's to solve and say how.
    pub async fn start(settings: Settings) -> Result<Self, Error> {
        Self::start_lingering(settings, 0).await
    }

    /// As [`Cluster::start`]; the server outlives its last owner by `linger_s` seconds, in which others may join.
    pub(crate) async fn start_lingering(settings: Settings, linger_s: u32) -> Result<Self, Error> {
        let launch = move || launch(&settings, linger_s);
        let mut cluster = tokio::task::spawn_blocking(launch)
            .await
            .map_err(std::io::Error::other)
            .attempt(|| "start the server".into())??;
        cluster.await_sessions().await?;
        Ok(cluster)
    }

    /// The server, of which databases are asked.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The URL of a database, as sqlx and libpq understand it.
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
    /// [`Error::Late`] if it is still there then.
    pub async fn stop(self) -> Result<(), Error> {
        let Self { mut supervisor, leash, log, .. } = self;
        drop(leash);
        for _ in 0..looks(STOP_LIMIT) {
            if has_ended(&mut supervisor)? {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(late("stop", STOP_LIMIT, &log))
    }

    async fn await_sessions(&mut self) -> Result<(), Error> {
        for _ in 0..looks(START_LIMIT) {
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
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err(late("start", START_LIMIT, &self.log))
    }
}

/// Everything up to the launch of the server.
fn launch(settings: &Settings, linger_s: u32) -> Result<Cluster, Error> {
    let account = Account::for_server(match &settings.storage {
        Storage::Kept(dir) => Some(home::data_dir(dir)),
        Storage::Scratch => None,
    })?;
    let run_dir = files::make_run_dir(&account)?;
    let launched = launch_in(settings, linger_s, &account, &run_dir);
    if launched.is_err() {
        // The supervisor cleans up after a server that ran; here none did.
        fs::remove_dir_all(&run_dir).ok();
    }
    launched
}

fn launch_in(settings: &Settings, linger_s: u32, account: &Account, run_dir: &Path) -> Result<Cluster, Error> {
    let Settings { storage, progress, .. } = settings;
    let home = Home::open(storage, account, run_dir)?;
    let installation = home.choose(settings.search.installations(progress)?)?;
    home.make_data(account, &installation, storage, progress)?;

    let (leash, leash_end) = Leash::create(run_dir)?;
    let script = run_dir.join("supervise.sh");
    fs::write(&script, SUPERVISOR).attempt(|| format!("write {}", script.display()))?;
    account.take(&script)?;
    let (log_end, log) = home.start_log()?;
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
        .arg(SIGNAL_PATIENCE.as_secs().to_string())
        .arg(installation.program("postgres"))
        .arg("-D")
        .arg(home.data_dir())
        .arg("-k")
        .arg(run_dir)
        .args(server_options(settings))
        .stdin(leash_end)
        .stdout(home.share_server_lock()?)
        .stderr(log_end);
    let supervisor = command.spawn().attempt(|| "run /bin/sh".into())?;
    Ok(Cluster {
        server: Server::in_dir(&run_dir.to_string_lossy()),
        run_dir: run_dir.into(),
        log,
        supervisor,
        leash,
        _owner_lock: home.into_owner_lock(),
    })
}

/// The server's configuration, which is all on its command line: no file to be edited, none to go stale.
fn server_options(settings: &Settings) -> Vec<String> {
    let max_connections = settings.max_connections.to_string();
    let mut options = vec![
        ("listen_addresses", ""),
        ("port", "5432"),
        ("unix_socket_permissions", "0700"),
        ("max_connections", max_connections.as_str()),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        // The log says why a server doesn't start. What clients get wrong they are told themselves.
        ("log_min_messages", "fatal"),
        ("logging_collector", "off"),
        // Short queries gain nothing by it, and it would need a compiler's library of 100 MB.
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

/// How many looks there are in a stretch of time.
pub(crate) fn looks(time: Duration) -> u128 {
    time.as_millis() / LOOK_EVERY.as_millis()
}

fn has_ended(supervisor: &mut Child) -> Result<bool, Error> {
    supervisor.try_wait().map(|status| status.is_some()).attempt(|| "look after the server's supervisor".into())
}

/// Whether a server that refuses a session like this will go on doing so: it has started, and answers.
fn is_final(error: &Error) -> bool {
    let Error::Database { source, .. } = error else {
        return false;
    };
    source.as_database_error().is_some() && !server::has_code(source, CANNOT_CONNECT_NOW)
}

fn late(what: &'static str, limit: Duration, log: &File) -> Error {
    Error::Late { what, limit, log: files::last_lines(log, LOG_LINES) }
}
