//! Databases for tests: one server for a test run, one database for each test.

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
    error::{Attempt, Error},
    files, home,
    leash::Leash,
    server::{self, Server},
};

/// The environment variable with the URL of a server to be used for tests, instead of a private one. Its user has to
/// be one who may create databases.
pub const TEST_DATABASE_URL_VARIABLE: &str = "RIDEMATCH_TEST_DATABASE_URL";

/// How long the server of a test run outlives the last process that uses it: `cargo test` runs one test binary after
/// another, and the next one comes within milliseconds.
const LINGER_S: u32 = 3;

/// PostgreSQL's code for a database that doesn't exist.
const UNKNOWN_DATABASE: &str = "3D000";

/// What is added to a template's name while it is being prepared.
const UNFINISHED: &str = "_new";

static SHARED: OnceCell<TestCluster> = OnceCell::const_new();

/// The server of a test run, shared by all the processes of the run. The first one starts it; after the last it stops.
#[derive(Debug)]
pub struct TestCluster {
    server: Server,
    hold: Hold,
}

/// What keeps the server running.
#[derive(Debug)]
enum Hold {
    Started { cluster: Cluster },
    Joined { _leash: Leash },
    Foreign,
}

impl TestCluster {
    /// This process's hold on the server of the test run. It lasts as long as the process does.
    ///
    /// # Errors
    ///
    /// As for [`Cluster::start`].
    pub async fn shared() -> Result<&'static Self, Error> {
        SHARED.get_or_try_init(|| Self::of_run("")).await
    }

    /// A hold on the server of the run called `run`, for those who want to say when they let go of it.
    ///
    /// # Errors
    ///
    /// As for [`Cluster::start`].
    pub async fn of_run(run: &str) -> Result<Self, Error> {
        if let Ok(url) = env::var(TEST_DATABASE_URL_VARIABLE) {
            return Ok(Self { server: Server::at_url(&url), hold: Hold::Foreign });
        }
        // Whoever holds this file's lock decides whether to join or to start; it says where the server is.
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
        home::remove_abandoned(run_dir)?;
        let started = Self::start().await?;
        if let Hold::Started { cluster } = &started.hold {
            files::write_over(&pointer, &path, &cluster.run_dir().to_string_lossy())?;
        }
        Ok(started)
    }

    /// The server itself.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// A new database, a copy of the template called `template`.
    ///
    /// If there is no such template yet, `prepare` is called with the URL of an empty database to make one of, once
    /// for the whole run. So the name has to say what is in it: let it contain a digest of the migrations. It may have
    /// 59 characters.
    ///
    /// # Errors
    ///
    /// [`Error::Prepare`] with what `prepare` said, [`Error::Name`], or [`Error::Database`].
    pub async fn database<P, F, E>(&self, template: &str, prepare: P) -> Result<Database, Error>
    where
        P: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut session = self.server.connect().await?;
        // No other test's database has this name, of this run or of another on the same server.
        let name: String = sqlx::query_scalar("select 'test_' || replace(gen_random_uuid()::text, '-', '')")
            .fetch_one(&mut session)
            .await
            .map_err(|source| server::refused("test", source))?;
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

    async fn start() -> Result<Self, Error> {
        let mut settings = Settings::scratch();
        settings.progress = Arc::new(|step| {
            // The test harness swallows what `eprintln` prints, and a download should not be silent.
            writeln!(io::stderr(), "{step}").ok();
        });
        let cluster = Cluster::start_lingering(settings, LINGER_S).await?;
        Ok(Self { server: cluster.server().clone(), hold: Hold::Started { cluster } })
    }

    /// Joins the server in `run_dir`, if it is alive and stays so.
    async fn join(run_dir: &Path) -> Option<Self> {
        let leash = Leash::join(run_dir)?;
        let server = Server::in_dir(&run_dir.to_string_lossy());
        server.connect().await.ok()?.close().await.ok();
        Some(Self { server, hold: Hold::Joined { _leash: leash } })
    }

    /// Makes the template unless it is there. It gets its name when it is whole.
    async fn ensure_template<P, F, E>(&self, template: &str, prepare: P) -> Result<(), Error>
    where
        P: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let unfinished = format!("{template}{UNFINISHED}");
        server::check_name(&unfinished)?;
        let refused = |source| server::refused(template, source);
        // The lock is the session's, so it goes when this process does.
        let mut session = self.server.connect().await?;
        sqlx::query("select pg_advisory_lock(hashtextextended($1, 0))")
            .bind(template)
            .execute(&mut session)
            .await
            .map_err(refused)?;
        let exists: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
            .bind(template)
            .fetch_one(&mut session)
            .await
            .map_err(refused)?;
        if exists {
            return Ok(());
        }
        self.server.drop_database(&unfinished).await?;
        self.server.ensure_database(&unfinished).await?;
        prepare(self.server.url(&unfinished))
            .await
            .map_err(|source| Error::Prepare { template: template.into(), source: source.into() })?;
        // A template that nobody can enter can always be copied.
        let close = format!("alter database {unfinished} with allow_connections false");
        server::execute(&mut session, &unfinished, close).await?;
        sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
            .bind(&unfinished)
            .execute(&mut session)
            .await
            .map_err(refused)?;
        let name = format!("alter database {unfinished} rename to {template}");
        server::execute(&mut session, template, name).await
    }
}

/// One test's own database. Dropping it drops it on the server too, with whatever sessions are left in it.
#[derive(Debug)]
pub struct Database {
    server: Server,
    name: String,
}

impl Database {
    /// Its URL, as sqlx and libpq understand it.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), std::mem::take(&mut self.name));
        // A runtime of its own, since the test's may be ending, on a thread of its own, since one runtime can't wait
        // inside another. A failure leaves the database to the end of the server.
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

/// The file by which the processes of a test run of this workspace find their server.
fn pointer_path(run: &str) -> Result<PathBuf, Error> {
    let mut hasher = DefaultHasher::new();
    run.hash(&mut hasher);
    // Where this crate's source is tells one working copy from another.
    env!("CARGO_MANIFEST_DIR").hash(&mut hasher);
    let file = format!("tests-{:016x}", hasher.finish());
    Ok(files::make_cache_dir()?.join(file))
}
