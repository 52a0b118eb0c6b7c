//! The private database: it can be killed and restarted on the same data.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use embedded_postgres::{Cluster, Settings};
use launcher::Target;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;
use tokio::sync::{Mutex, watch};

use crate::BoxError;

/// The database in the cluster.
const NAME: &str = "ridematch";

/// Concurrent sessions. Few, so that the injector can take them all. Two services need forty: sixteen each, listeners and leaders.
const CONNECTIONS_MAX: u16 = 60;

/// Attempts to restart a killed server.
const RESTARTS_MAX: u32 = 40;

/// Between two attempts.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// The database.
#[derive(Debug)]
pub struct Database {
    dir: PathBuf,
    cluster: Mutex<Option<Cluster>>,
    place: watch::Sender<Option<Place>>,
}

/// Where the server listens until it is killed.
#[derive(Debug, Clone)]
pub struct Place {
    /// For sessions without the proxy.
    pub url: String,
    /// For the proxy.
    pub target: Target,
    process_id: String,
}

impl Database {
    /// Creates a cluster in `dir` and starts it.
    ///
    /// # Errors
    /// If there is no PostgreSQL, or it does not start.
    pub async fn start(dir: &Path) -> Result<Self, BoxError> {
        let database = Self { dir: dir.to_owned(), cluster: Mutex::new(None), place: watch::Sender::new(None) };
        let cluster = start(dir).await?;
        cluster.server().ensure_database(NAME).await?;
        database.place.send_replace(Some(place(&cluster)?));
        *database.cluster.lock().await = Some(cluster);
        Ok(database)
    }

    /// Where it listens, now and after each change; `None` while it is down.
    pub fn place(&self) -> watch::Receiver<Option<Place>> {
        self.place.subscribe()
    }

    /// Opens a session without the proxy.
    ///
    /// # Errors
    /// If the database is down.
    pub async fn session(&self) -> Result<PgConnection, BoxError> {
        let url = self.place.borrow().as_ref().map(|place| place.url.clone());
        Ok(PgConnection::connect(&url.ok_or("the database is down")?).await?)
    }

    /// Kills the postmaster with SIGKILL and restarts it on the same data. Returns when it accepts sessions.
    ///
    /// # Errors
    /// If it does not restart.
    pub async fn kill(&self) -> Result<(), BoxError> {
        let mut cluster = self.cluster.lock().await;
        let place = self.place.send_replace(None).ok_or("the database is down")?;
        Command::new("/bin/sh").args(["-c", "kill -9 \"$1\"", "sh", &place.process_id]).status().await?;
        if let Some(dead) = cluster.take() {
            // The server is dead; this cleans up.
            dead.stop().await?;
        }
        let restarted = start(&self.dir).await?;
        self.place.send_replace(Some(self::place(&restarted)?));
        *cluster = Some(restarted);
        Ok(())
    }

    /// Stops it in order.
    ///
    /// # Errors
    /// If it does not stop.
    pub async fn stop(&self) -> Result<(), BoxError> {
        self.place.send_replace(None);
        match self.cluster.lock().await.take() {
            Some(cluster) => Ok(cluster.stop().await?),
            None => Ok(()),
        }
    }
}

/// Starts the server. Retries, because the backends of a killed postmaster take a moment to end.
async fn start(dir: &Path) -> Result<Cluster, BoxError> {
    let settings =
        Settings { max_connections: CONNECTIONS_MAX, progress: Arc::new(|_| {}), ..Settings::kept(dir.to_owned()) };
    let mut attempt = 1;
    loop {
        match Cluster::start(settings.clone()).await {
            Err(_) if attempt < RESTARTS_MAX => {
                attempt += 1;
                tokio::time::sleep(RETRY_AFTER).await;
            }
            end => return Ok(end?),
        }
    }
}

fn place(cluster: &Cluster) -> Result<Place, BoxError> {
    let url = cluster.url(NAME);
    // The first line of the socket's lock file is the postmaster's process id.
    let lock = std::fs::read_to_string(cluster.run_dir().join(".s.PGSQL.5432.lock"))?;
    let process_id = lock.lines().next().unwrap_or_default().trim().to_owned();
    if process_id.parse::<u32>().is_err() {
        return Err(format!("no process id in the lock of the socket in {}", cluster.run_dir().display()).into());
    }
    Ok(Place { target: Target::of_database(&url)?, url, process_id })
}
