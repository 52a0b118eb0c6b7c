//! The private database under torture: killed with -9 and started again on the same data.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use embedded_postgres::{Cluster, Settings};
use sqlx::{Connection, PgConnection};
use tokio::process::Command;
use tokio::sync::{Mutex, watch};

use crate::BoxError;
use crate::wire::Target;

/// The database in the cluster.
const NAME: &str = "ridematch";

/// Sessions at once. Few, so that an adversary can take them all; two services with sixteen each, their listeners and leaders
/// need forty.
const CONNECTIONS_MAX: u16 = 60;

/// A server whose last owner was killed starts within this, or not at all.
const RESTARTS_WITHIN: u32 = 40;

/// How long to wait before the next try.
const TRY_EVERY: Duration = Duration::from_millis(500);

/// A PostgreSQL of our own.
#[derive(Debug)]
pub struct Database {
    dir: PathBuf,
    cluster: Mutex<Option<Cluster>>,
    place: watch::Sender<Option<Place>>,
}

/// Where the server is until it is killed.
#[derive(Debug, Clone)]
pub struct Place {
    /// For our own sessions.
    pub url: String,
    /// For the proxy.
    pub target: Target,
    process_id: String,
}

impl Database {
    /// Makes a cluster in `dir` and starts it.
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

    /// Where it is, now and whenever that changes; `None` while it is down.
    pub fn place(&self) -> watch::Receiver<Option<Place>> {
        self.place.subscribe()
    }

    /// A session of our own, past the proxy.
    ///
    /// # Errors
    /// If the database is down.
    pub async fn session(&self) -> Result<PgConnection, BoxError> {
        let url = self.place.borrow().as_ref().map(|place| place.url.clone());
        Ok(PgConnection::connect(&url.ok_or("the database is down")?).await?)
    }

    /// `kill -9` of the postmaster, and a new start on the same data. Returns when sessions are accepted again.
    ///
    /// # Errors
    /// If it does not start again.
    pub async fn kill(&self) -> Result<(), BoxError> {
        let mut cluster = self.cluster.lock().await;
        let place = self.place.send_replace(None).ok_or("the database is down")?;
        Command::new("/bin/sh").args(["-c", "kill -9 \"$1\"", "sh", &place.process_id]).status().await?;
        if let Some(dead) = cluster.take() {
            // Its supervisor sees the death and clears up; there is nothing to stop.
            dead.stop().await?;
        }
        let again = start(&self.dir).await?;
        self.place.send_replace(Some(self::place(&again)?));
        *cluster = Some(again);
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

/// The server processes of a killed postmaster may take a moment to see that it is gone.
async fn start(dir: &Path) -> Result<Cluster, BoxError> {
    let settings =
        Settings { max_connections: CONNECTIONS_MAX, progress: Arc::new(|_| {}), ..Settings::kept(dir.to_owned()) };
    let mut attempt = 1;
    loop {
        match Cluster::start(settings.clone()).await {
            Err(_) if attempt < RESTARTS_WITHIN => {
                attempt += 1;
                tokio::time::sleep(TRY_EVERY).await;
            }
            end => return Ok(end?),
        }
    }
}

fn place(cluster: &Cluster) -> Result<Place, BoxError> {
    let url = cluster.url(NAME);
    // The first line of a socket's lock file is the postmaster's process id.
    let lock = std::fs::read_to_string(cluster.run_dir().join(".s.PGSQL.5432.lock"))?;
    let process_id = lock.lines().next().unwrap_or_default().trim().to_owned();
    if process_id.parse::<u32>().is_err() {
        return Err(format!("no process id in the lock of the socket in {}", cluster.run_dir().display()).into());
    }
    Ok(Place { target: Target::of(&url)?, url, process_id })
}
