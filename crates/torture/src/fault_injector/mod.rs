//! Injects faults: drawn from one seed, one after the other, several in effect at a time.

mod fault;
mod fault_schedule;
mod locks;
mod standstill;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use launcher::clock::Stopwatch;
use launcher::{Mode, Proxy};
use rand::RngExt;
use rand::rngs::StdRng;
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinSet;

use crate::BoxError;
use crate::fault_log::FaultLog;
use crate::lock;
use crate::provider::Provider;
use crate::random::random;
use crate::stack::Stack;
pub(crate) use fault::{FREEZE, HOLD_ROWS, LOSE_WAKES, PROVIDER_PLAN};
use fault::{Fault, KillTarget, Link};
use fault_schedule::Coverage;
pub(crate) use fault_schedule::{OPERATIONS, kinds_of};
pub(crate) use standstill::alone;

/// Between two faults, milliseconds.
const PAUSE_MS: std::ops::Range<u64> = 150..900;

/// How often the simulator's counts are read.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Most database connections that [`Fault::TakeConnections`] opens.
const CONNECTIONS_MAX: usize = 100;

/// SQLSTATE of a server without a free connection.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// The injector.
#[derive(Debug)]
pub(crate) struct FaultInjector {
    pub stack: Arc<Stack>,
    pub provider: Provider,
    pub log: FaultLog,
    coverage: Coverage,
    /// Targets under a fault.
    busy: Mutex<BTreeSet<&'static str>>,
}

impl FaultInjector {
    pub fn new(stack: Arc<Stack>, provider: Provider, seed: u64) -> Self {
        Self { stack, provider, log: FaultLog::new(), coverage: Coverage::new(seed), busy: Mutex::default() }
    }

    /// Plans the provider faults that have not struck yet, and no others.
    ///
    /// # Errors
    /// If the provider refuses the plan.
    pub async fn plan_remaining(&self, url: &str, seed: u64) -> Result<(), BoxError> {
        let faults = self.coverage.remaining(&mut random(seed, "remaining"), &self.provider.cells());
        self.provider.plan(url, &faults, seed).await?;
        Ok(())
    }

    /// Injects faults for `time`, and returns when the last one has ended. What it broke may still be broken.
    ///
    /// # Errors
    /// If the provider refuses a plan.
    pub async fn run(self: &Arc<Self>, seed: u64, time: Duration, progress: impl Fn(Duration)) -> Result<(), BoxError> {
        let mut random = random(seed, "fault injector");
        let since = Stopwatch::start();
        let counting = tokio::spawn(count(Arc::clone(self)));
        self.stack.database_proxy.shapes().set_enabled(true);
        let mut active: JoinSet<Result<(), BoxError>> = JoinSet::new();
        while let Some(left) = time.checked_sub(since.elapsed()) {
            // Drawn even if its target is busy, so that the sequence depends on the seed alone.
            let fault = Fault::draw(&mut random, left);
            let fault_seed = random.random();
            let pause = Duration::from_millis(random.random_range(PAUSE_MS)).min(left);
            if lock(&self.busy).insert(fault.target()) {
                let injector = Arc::clone(self);
                active.spawn(async move {
                    let struck = injector.inject(fault, fault_seed).await;
                    lock(&injector.busy).remove(fault.target());
                    let struck = struck?;
                    if fault != Fault::LoseCommit {
                        injector.log.add(fault.kind(), format!("{fault:?}"), struck);
                    }
                    Ok(())
                });
            }
            tokio::time::sleep(pause).await;
            while let Some(end) = active.try_join_next() {
                end??;
            }
            progress(since.elapsed());
        }
        while let Some(end) = active.join_next().await {
            end??;
        }
        counting.abort();
        Ok(())
    }

    /// Injects one fault. Returns whether it struck.
    ///
    /// # Errors
    /// If the provider refuses a plan: nothing of it would strike, and the run would be gentler than its report.
    async fn inject(&self, fault: Fault, seed: u64) -> Result<bool, BoxError> {
        let stack = &self.stack;
        let mut random: StdRng = random(seed, "inject");
        Ok(match fault {
            Fault::Kill(KillTarget::Service(number)) => stack.services[number].kill().await,
            Fault::Kill(KillTarget::Provider) => stack.provider.kill().await,
            Fault::Kill(KillTarget::City) => stack.city().kill().await,
            Fault::Kill(KillTarget::Database) => stack.database.kill().await.is_ok(),
            Fault::Pause(number, time) => stack.services[number].pause(time).await,
            Fault::Cut(link, share) => proxy(stack, link).cut(|| random.random_ratio(share, 100)) > 0,
            Fault::Hold(link, time) => set_mode_for(proxy(stack, link), Mode::HoldResponses, time).await,
            Fault::Refuse(link, time) => set_mode_for(proxy(stack, link), Mode::Refuse, time).await,
            Fault::TakeConnections(time) => take_connections(stack, time).await,
            Fault::LockTable(table, time) => locks::lock_table(stack, table, time).await.is_ok(),
            Fault::HoldRows(time) => locks::hold_rows(stack, time).await,
            Fault::Freeze(number, time) => locks::freeze(stack, number, time, &Arc::default()).await,
            Fault::LoseWakes(time) => lose_wakes(stack, tokio::time::sleep(time)).await > 0,
            Fault::LoseCommit => {
                stack.database_proxy.shapes().request_cut();
                true
            }
            Fault::ProviderPlan => match stack.provider_url() {
                Some(url) => {
                    let plan = fault_schedule::plan(&mut random, &self.coverage, &self.provider.cells());
                    self.provider.plan(&url, &plan, seed).await?
                }
                None => false,
            },
            Fault::Expire => self.expire_oldest().await,
        })
    }

    /// Expires the oldest authorization, while its trip is active.
    async fn expire_oldest(&self) -> bool {
        let Ok(mut session) = self.stack.database.session().await else { return false };
        let oldest = "select provider_intent_id from payments where state = 'authorized' order by created_at limit 1";
        let found: Result<String, _> = sqlx::query_scalar(oldest).fetch_one(&mut session).await;
        let _closed = session.close().await;
        match (found, self.stack.provider_url()) {
            (Ok(intent), Some(url)) => self.provider.expire(&url, &intent).await,
            _ => false,
        }
    }
}

async fn count(injector: Arc<FaultInjector>) {
    loop {
        if let Some(url) = injector.stack.provider_url() {
            injector.provider.count(&url).await;
        }
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

fn proxy(stack: &Stack, link: Link) -> &Proxy {
    match link {
        Link::Database => stack.database_proxy.proxy(),
        Link::Provider => &stack.provider_proxy,
        Link::Matcher => &stack.matcher_proxy,
        Link::Service(number) => &stack.service_proxies[number],
    }
}

/// Sets a proxy's mode for a while. Returns whether that affected a connection.
async fn set_mode_for(proxy: &Proxy, mode: Mode, time: Duration) -> bool {
    let before = proxy.counts();
    proxy.set_mode(mode);
    tokio::time::sleep(time).await;
    proxy.set_mode(Mode::Pass);
    proxy.counts() != before
}

/// Disconnects the services and takes every free connection. Returns whether none was left.
async fn take_connections(stack: &Stack, time: Duration) -> bool {
    let mut taken: Vec<PgConnection> = Vec::new();
    let Ok(mut first) = stack.database.session().await else { return false };
    let disconnect = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ridematch'";
    let _disconnected = first.execute(disconnect).await;
    taken.push(first);
    let mut is_full = false;
    while taken.len() < CONNECTIONS_MAX && !is_full {
        match stack.database.session().await {
            Ok(session) => taken.push(session),
            Err(error) if is_too_many(error.as_ref()) => is_full = true,
            // The server was just killed, or was too slow.
            Err(_) => break,
        }
    }
    tokio::time::sleep(time).await;
    for session in taken {
        let _closed = session.close().await;
    }
    is_full
}

/// Whether the server refused the connection because none is free.
fn is_too_many(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    error.and_then(|error| error.code()).is_some_and(|code| code == TOO_MANY_CONNECTIONS)
}

/// Loses all wakes between the processes until `meanwhile` has ended. Returns how many were lost.
async fn lose_wakes(stack: &Stack, meanwhile: impl Future<Output = ()>) -> u64 {
    let before = stack.database_proxy.lost_notifications();
    stack.database_proxy.lose_notifications(true);
    meanwhile.await;
    stack.database_proxy.lose_notifications(false);
    stack.database_proxy.lost_notifications() - before
}
