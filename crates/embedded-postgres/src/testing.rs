//! Databases for tests: one server per test run, one database per test.

use std::{
    env,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use sqlx::Connection;
use tokio::sync::OnceCell;

use crate::{
    cluster::{Cluster, Settings},
    data_dir,
    error::{Attempt, Error},
    files,
    lifetime_pipe::LifetimePipe,
    server::{self, Server},
};

/// The environment variable with the URL of a server for tests, instead of a private one. Its user must have the right
/// to create databases.
pub const TEST_DATABASE_URL_VARIABLE: &str = "RIDEMATCH_TEST_DATABASE_URL";

/// How long the server outlives the last process of a test run. `cargo test` runs one test binary after another, within
/// milliseconds.
const LINGER_S: u32 = 3;

/// The SQLSTATE of a database that does not exist.
const UNKNOWN_DATABASE: &str = "3D000";

/// The suffix of the name of a template while it is being prepared.
const UNFINISHED: &str = "_new";

static SHARED: OnceCell<TestCluster> = OnceCell::const_new();

/// The server of a test run, shared by all processes of the run. The first one starts it; after the last it stops.
#[derive(Debug)]
pub struct TestCluster {
    server: Server,
    _ownership: Ownership,
}

/// What keeps the server running.
#[derive(Debug)]
enum Ownership {
    Started { _cluster: Cluster },
    Joined { _lifetime_pipe: LifetimePipe },
    External,
}

impl TestCluster {
    /// The server of the test run, kept running until this process ends.
    ///
    /// # Errors
    ///
    /// As for [`Cluster::start`].
    pub async fn shared() -> Result<&'static Self, Error> {
        SHARED.get_or_try_init(|| Self::of_run("")).await
    }

    /// The server of the run `run`, kept running until the value is dropped.
    ///
    /// # Errors
    ///
    /// As for [`Cluster::start`].
    pub async fn of_run(run: &str) -> Result<Self, Error> {
        if let Ok(url) = env::var(TEST_DATABASE_URL_VARIABLE) {
            return Ok(Self { server: Server::at_url(&url), _ownership: Ownership::External });
        }
        // The file contains the run directory of the server. Its lock is held for the decision to join or to start.
        let path = pointer_path(run)?;
        let pointer = files::open_lock(&path)?;
        let pointer = tokio::task::spawn_blocking(move || pointer.lock().map(|()| pointer))
            .await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .attempt(|| format!("lock {}", path.display()))?;
        let run_dir = io::read_to_string(&pointer).attempt(|| format!("read {}", path.display()))?;
        let run_dir = Path::new(&run_dir);
        if let Some(joined) = Self::join(run_dir).await {
            return Ok(joined);
        }
        data_dir::remove_abandoned(run_dir)?;
        let cluster = Self::start().await?;
        files::overwrite(&pointer, &path, &cluster.run_dir().to_string_lossy())?;
        Ok(Self { server: cluster.server().clone(), _ownership: Ownership::Started { _cluster: cluster } })
    }

    /// The server itself.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Creates a database as a copy of the template `template`.
    ///
    /// If the template does not exist yet, `prepare` is called with the URL of an empty database, once per run. The name
    /// identifies the content, so it should contain a digest of the migrations. At most 59 characters.
    ///
    /// # Errors
    ///
    /// [`Error::Prepare`] with the error of `prepare`, [`Error::Name`], or [`Error::Database`].
    pub async fn database<P, F, E>(&self, template: &str, prepare: P) -> Result<Database, Error>
    where
        P: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut session = self.server.connect().await?;
        // The name is unique among all runs on the same server.
        let name: String = sqlx::query_scalar("select 'test_' || replace(gen_random_uuid()::text, '-', '')")
            .fetch_one(&mut session)
            .await
            .map_err(|source| server::rejected("test", source))?;
        match server::copy(&mut session, template, &name).await {
            Err(Error::Database { source, .. }) if server::has_code(&source, UNKNOWN_DATABASE) => {
                self.ensure_template(template, prepare).await?;
                server::copy(&mut session, template, &name).await?;
            }
            other => other?,
        }
        session.close().await.ok();
        Ok(Database { server: self.server.clone(), name })
    }

    async fn start() -> Result<Cluster, Error> {
        let mut settings = Settings::scratch();
        settings.progress = Arc::new(|step| {
            // The test harness captures the output of `eprintln`, and a download should be visible.
            writeln!(io::stderr(), "{step}").ok();
        });
        Cluster::start_lingering(settings, LINGER_S).await
    }

    /// Joins the server in `run_dir`, if it runs.
    async fn join(run_dir: &Path) -> Option<Self> {
        let lifetime_pipe = LifetimePipe::join(run_dir)?;
        let server = Server::in_dir(&run_dir.to_string_lossy());
        server.connect().await.ok()?.close().await.ok();
        Some(Self { server, _ownership: Ownership::Joined { _lifetime_pipe: lifetime_pipe } })
    }

    /// Creates the template unless it exists. It gets its name when it is complete.
    async fn ensure_template<P, F, E>(&self, template: &str, prepare: P) -> Result<(), Error>
    where
        P: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let unfinished = format!("{template}{UNFINISHED}");
        server::check_name(&unfinished)?;
        let rejected = |source| server::rejected(template, source);
        // The lock belongs to the session, so that it is released when this process ends.
        let mut session = self.server.connect().await?;
        sqlx::query("select pg_advisory_lock(hashtextextended($1, 0))")
            .bind(template)
            .execute(&mut session)
            .await
            .map_err(rejected)?;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(template)
            .fetch_one(&mut session)
            .await
            .map_err(rejected)?;
        if exists {
            return Ok(());
        }
        self.server.drop_database(&unfinished).await?;
        self.server.ensure_database(&unfinished).await?;
        prepare(self.server.url(&unfinished))
            .await
            .map_err(|source| Error::Prepare { template: template.into(), source: source.into() })?;
        // A template without sessions can always be copied.
        let close = format!("alter database {unfinished} with allow_connections false");
        server::execute(&mut session, &unfinished, close).await?;
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(&unfinished)
            .execute(&mut session)
            .await
            .map_err(rejected)?;
        let name = format!("alter database {unfinished} rename to {template}");
        server::execute(&mut session, template, name).await
    }
}

/// The database of a test. Dropping this drops the database on the server, with its sessions.
#[derive(Debug)]
pub struct Database {
    server: Server,
    name: String,
}

impl Database {
    /// The URL, for sqlx and libpq.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        // In a new runtime, because that of the test may be ending; on a new thread, because a runtime cannot block
        // inside another one. After a failure the database is removed with the server.
        let drop_it = move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .ok()?
                .block_on(server.drop_database(&name))
                .ok()
        };
        thread::spawn(drop_it).join().ok();
    }
}

/// The file with which the processes of a test run of this workspace find their server.
fn pointer_path(run: &str) -> Result<PathBuf, Error> {
    let mut hasher = DefaultHasher::new();
    run.hash(&mut hasher);
    // The directory of this crate identifies the working copy.
    env!("CARGO_MANIFEST_DIR").hash(&mut hasher);
    let file = format!("tests-{:016x}", hasher.finish());
    Ok(files::make_cache_dir()?.join(file))
}
