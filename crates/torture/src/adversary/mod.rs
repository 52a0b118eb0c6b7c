//! The adversary: one seed, one fault after the other, several at a time.

mod fault;
mod weather;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::RngExt;
use rand::rngs::StdRng;
use sqlx::{Connection, Executor, PgConnection};
use tokio::task::JoinSet;

use crate::BoxError;
use crate::clock::Stopwatch;
use crate::dice::dice;
use crate::lock;
use crate::provider::Provider;
use crate::stack::Stack;
use crate::tally::Tally;
use crate::valve::{Mode, Valve};
use fault::{Fault, Victim, Wire};
use weather::Visits;
pub(crate) use weather::{MOVES, REQUESTS};

/// Between two faults.
const PAUSE: std::ops::Range<u64> = 150..900;

/// How often the provider is asked what struck.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// Database connections that somebody else takes at most.
const CONNECTIONS_MAX: usize = 100;

/// SQLSTATE of a server without a free place.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// Everything that faults need.
#[derive(Debug)]
pub(crate) struct Scene {
    pub stack: Arc<Stack>,
    pub provider: Provider,
    pub tally: Tally,
    /// What the provider's steps have to meet.
    visits: Visits,
    /// What is being struck.
    busy: Mutex<BTreeSet<&'static str>>,
}

impl Scene {
    pub fn new(stack: Arc<Stack>, provider: Provider, seed: u64) -> Self {
        Self { stack, provider, tally: Tally::new(), visits: Visits::new(seed), busy: Mutex::default() }
    }

    /// Plans nothing but what the provider's steps have not met yet.
    ///
    /// # Errors
    /// If the provider refuses the plan.
    pub async fn plan_what_is_left(&self, url: &str, seed: u64) -> Result<(), BoxError> {
        let faults = self.visits.left(&mut dice(seed, "what is left"), &self.provider.cells());
        self.provider.plan(url, &faults, seed).await?;
        Ok(())
    }
}

/// Lets the adversary loose for so long. Returns when the last fault is over; what it broke is still broken then.
///
/// # Errors
/// If a fault is none: the provider does not understand its plan.
pub(crate) async fn rage(
    scene: &Arc<Scene>,
    seed: u64,
    time: Duration,
    progress: impl Fn(Duration),
) -> Result<(), BoxError> {
    let mut dice = dice(seed, "adversary");
    let since = Stopwatch::start();
    let counting = tokio::spawn(count(Arc::clone(scene)));
    scene.stack.wire.shapes().arm(true);
    let mut under_way: JoinSet<Result<(), BoxError>> = JoinSet::new();
    while let Some(left) = time.checked_sub(since.elapsed()) {
        // Drawn whether or not it can be done now: what is busy must not shift the dice.
        let fault = Fault::draw(&mut dice, left);
        let luck = dice.random();
        let pause = Duration::from_millis(dice.random_range(PAUSE)).min(left);
        if lock(&scene.busy).insert(fault.target()) {
            let scene = Arc::clone(scene);
            under_way.spawn(async move {
                let struck = strike(&scene, fault, luck).await;
                lock(&scene.busy).remove(fault.target());
                let struck = struck?;
                if fault != Fault::LoseCommit {
                    scene.tally.note(fault.kind(), format!("{fault:?}"), struck);
                }
                Ok(())
            });
        }
        tokio::time::sleep(pause).await;
        while let Some(end) = under_way.try_join_next() {
            end??;
        }
        progress(since.elapsed());
    }
    while let Some(end) = under_way.join_next().await {
        end??;
    }
    counting.abort();
    Ok(())
}

async fn count(scene: Arc<Scene>) {
    loop {
        if let Some(url) = scene.stack.provider_url() {
            scene.provider.count(&url).await;
        }
        tokio::time::sleep(COUNT_EVERY).await;
    }
}

/// Does it. Whether it struck.
///
/// # Errors
/// If the provider refuses a plan: then nothing of it strikes, and the torture would be gentler than it says.
async fn strike(scene: &Scene, fault: Fault, luck: u64) -> Result<bool, BoxError> {
    let stack = &scene.stack;
    let mut dice: StdRng = dice(luck, "strike");
    Ok(match fault {
        Fault::Kill(Victim::Service(number)) => stack.services[number].kill().await,
        Fault::Kill(Victim::Provider) => stack.provider.kill().await,
        Fault::Kill(Victim::City) => stack.city().kill().await,
        Fault::Kill(Victim::Database) => stack.database.kill().await.is_ok(),
        Fault::Pause(number, time) => stack.services[number].pause(time).await,
        Fault::Cut(wire, share) => valve(stack, wire).cut(|| dice.random_ratio(share, 100)) > 0,
        Fault::Hold(wire, time) => turned(valve(stack, wire), Mode::HoldAnswers, time).await,
        Fault::Refuse(wire, time) => turned(valve(stack, wire), Mode::Refuse, time).await,
        Fault::TakeConnections(time) => take_connections(stack, time).await,
        Fault::LockTable(table, time) => lock_table(stack, table, time).await.is_ok(),
        Fault::LoseCommit => {
            stack.wire.shapes().order_one();
            true
        }
        Fault::Weather => match stack.provider_url() {
            Some(url) => {
                let day = weather::day(&mut dice, &scene.visits, &scene.provider.cells());
                scene.provider.plan(&url, &day, luck).await?
            }
            None => false,
        },
        Fault::Expire => expire(scene).await,
    })
}

fn valve(stack: &Stack, wire: Wire) -> &Valve {
    match wire {
        Wire::Database => stack.wire.valve(),
        Wire::Provider => &stack.to_provider.valve,
        Wire::Front => &stack.front.valve,
        Wire::Door(number) => &stack.doors[number].valve,
    }
}

/// Turns a valve for a while. Whether anything ran into it.
async fn turned(valve: &Valve, mode: Mode, time: Duration) -> bool {
    let before = valve.struck();
    valve.turn(mode);
    tokio::time::sleep(time).await;
    valve.turn(Mode::Open);
    valve.struck() != before
}

/// Throws the services out and sits down in every free place. Whether there was none left.
async fn take_connections(stack: &Stack, time: Duration) -> bool {
    let mut taken: Vec<PgConnection> = Vec::new();
    let Ok(mut first) = stack.database.session().await else { return false };
    let throw_out = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ridematch'";
    let _thrown_out = first.execute(throw_out).await;
    taken.push(first);
    let mut is_full = false;
    while taken.len() < CONNECTIONS_MAX && !is_full {
        match stack.database.session().await {
            Ok(session) => taken.push(session),
            Err(error) if is_too_many(error.as_ref()) => is_full = true,
            // Killed just now, or too slow: nothing was filled.
            Err(_) => break,
        }
    }
    tokio::time::sleep(time).await;
    for session in taken {
        let _gone = session.close().await;
    }
    is_full
}

/// Whether the server says that it has no place left.
fn is_too_many(error: &(dyn std::error::Error + 'static)) -> bool {
    let error = error.downcast_ref::<sqlx::Error>().and_then(sqlx::Error::as_database_error);
    error.and_then(|error| error.code()).is_some_and(|code| code == TOO_MANY_CONNECTIONS)
}

async fn lock_table(stack: &Stack, table: &'static str, time: Duration) -> Result<(), BoxError> {
    let mut session = stack.database.session().await?;
    session.execute("begin; set local lock_timeout = '3s'").await?;
    let lock = format!("lock table {table} in access exclusive mode");
    session.execute(sqlx::AssertSqlSafe(lock)).await?;
    tokio::time::sleep(time).await;
    session.execute("rollback").await?;
    Ok(session.close().await?)
}

/// The oldest authorisation that is held, while its trip is under way.
async fn expire(scene: &Scene) -> bool {
    let Ok(mut session) = scene.stack.database.session().await else { return false };
    let oldest = "select provider_intent_id from payments where state = 'authorized' order by created_at limit 1";
    let found: Result<String, _> = sqlx::query_scalar(oldest).fetch_one(&mut session).await;
    let _gone = session.close().await;
    match (found, scene.stack.provider_url()) {
        (Ok(intent), Some(url)) => scene.provider.expire(&url, &intent).await,
        _ => false,
    }
}
