//! The processes of a stadium: a database, the payment provider, and one service.

use std::path::{Path, PathBuf};
use std::time::Duration;

use launcher::clock::Stopwatch;
use launcher::{Proxy, Supervisor};
use reqwest::Client;
use serde_json::Value;

use crate::BoxError;
use crate::database::Database;
use crate::provider::Provider;
use crate::stack::{self, Options, PSP_SECRET_KEY};

/// How long everything may take to start.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How often readiness is polled.
const POLL_EVERY: Duration = Duration::from_millis(100);

/// How long a request may take. Shorter times are reported, not enforced.
const RESPONSE_WITHIN: Duration = Duration::from_secs(30);

/// All processes, running.
pub(super) struct StadiumStack {
    /// A fixed address of the service.
    proxy: Proxy,
    pub database: Database,
    pub http: Client,
    psp: Supervisor,
    service: Supervisor,
}

impl StadiumStack {
    /// Starts everything. Returns when the service is ready and the matcher.
    ///
    /// # Errors
    /// If something does not start.
    pub async fn start(program: PathBuf, dir: &Path, authorizations_max: Option<u32>) -> Result<Self, BoxError> {
        let options = Options { program, dir: dir.to_owned(), seed: 1, drivers: 0, time_scale: 1 };
        let database = Database::start(&dir.join("postgres")).await?;
        let database_url = database.place().borrow().as_ref().map(|place| place.url.clone()).unwrap_or_default();
        stack::migrate(&options.program, &database_url).await?;
        let proxy = Proxy::plain().await?;
        let psp = stack::supervise(stack::provider(&options, &proxy.url()));
        let http = launcher::http_client().timeout(RESPONSE_WITHIN).build()?;
        let provider_url = provider_url(&psp).await?;
        let mut spec = stack::service(&options, "service", (&database_url, &provider_url));
        if let Some(permits) = authorizations_max {
            spec.environment.push(("RIDEMATCH_AUTHORIZATIONS_MAX", permits.to_string()));
        }
        let service = stack::supervise(spec);
        stack::follow(&service, &proxy);
        let stadium = Self { proxy, database, http, psp, service };
        stadium.ready().await?;
        Ok(stadium)
    }

    /// The URL of the service.
    pub fn url(&self) -> String {
        match *self.service.address().borrow() {
            Some(address) => format!("http://{address}"),
            None => self.proxy.url(),
        }
    }

    /// Replaces the provider's faults.
    ///
    /// # Errors
    /// If the provider does not take them.
    pub async fn plan(&self, faults: &Value) -> Result<(), BoxError> {
        let url = provider_url(&self.psp).await?;
        match Provider::new(PSP_SECRET_KEY)?.plan(&url, faults, 1).await? {
            true => Ok(()),
            false => Err("the provider has not taken its faults".into()),
        }
    }

    /// Stops everything in order.
    ///
    /// # Errors
    /// If the database does not stop.
    pub async fn stop(&self) -> Result<(), BoxError> {
        self.service.stop().await;
        self.psp.stop().await;
        self.database.stop().await
    }

    async fn ready(&self) -> Result<(), BoxError> {
        let waited = Stopwatch::start();
        while waited.elapsed() < READY_WITHIN {
            let address = *self.service.address().borrow();
            if let Some(address) = address
                && stack::readyz(&self.http, address).await.is_some_and(|ready| ready["matcher"] == true)
            {
                return Ok(());
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
        Err(format!("the service was not ready within {READY_WITHIN:?}").into())
    }
}

async fn provider_url(psp: &Supervisor) -> Result<String, BoxError> {
    let mut address = psp.address();
    let known = tokio::time::timeout(READY_WITHIN, address.wait_for(Option::is_some)).await??;
    let address = known.ok_or("the provider has no address")?;
    Ok(format!("http://{address}"))
}
