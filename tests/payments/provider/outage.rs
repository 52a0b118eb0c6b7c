//! An outage of the provider, run by run of the workers: calls are not multiplied, nothing is leased in vain, and everything is completed
//! once the outage ends, authorizations before what has waited for longer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::TimeDelta;
use embedded_postgres::Database;
use ridematch::payments::model::CallPool;
use ridematch::payments::provider::breaker::ProviderAvailability;
use ridematch::payments::{PaymentsContext, ProviderClient, worker};
use ridematch::platform::Platform;
use ridematch::platform::clock::Stopwatch;
use ridematch::platform::config::PermitsConfig;
use ridematch::platform::work::RunOutcome;
use ridematch::startup;
use sqlx::PgPool;

use crate::harness::{Options, config, database, free_address, until};
use crate::provider::provider;
use crate::provider::server::{Reply, Server};

const PAYMENTS: i64 = 12;

/// A provider with an outage that can be ended. Otherwise it authorizes every intent that is confirmed.
struct Outage {
    server: Server,
    is_out: Arc<AtomicBool>,
}

impl Outage {
    async fn start() -> Self {
        let is_out = Arc::new(AtomicBool::new(true));
        let (out, made) = (Arc::clone(&is_out), AtomicUsize::new(0));
        let server = Server::start(move |request| {
            if out.load(Ordering::Relaxed) {
                return Reply::json(429, "{}");
            }
            let path = request.split(' ').nth(1).unwrap();
            let intent = |id: &str, status: &str, capturable: u32| {
                let body = serde_json::json!({"id": id, "status": status, "amount": 500, "currency": "usd",
                    "amount_capturable": capturable, "amount_received": 0, "metadata": {}});
                Reply::json(200, &body.to_string())
            };
            match path.strip_prefix("/v1/payment_intents/").and_then(|rest| rest.strip_suffix("/confirm")) {
                Some(id) => intent(id, "requires_capture", 500),
                None => intent(&format!("pi_{}", made.fetch_add(1, Ordering::Relaxed)), "requires_confirmation", 0),
            }
        })
        .await;
        Self { server, is_out }
    }

    fn calls(&self) -> usize {
        self.server.requests().len()
    }
}

/// Returns the number of attempts, the sum of all failures, and the number of authorized payments.
async fn totals(pool: &PgPool) -> (i64, i64, i64) {
    sqlx::query_as(
        "select (select count(*) from payment_attempts), sum(failures)::bigint,
                count(*) filter (where state = 'authorized') from payments",
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

fn breaker_of(platform: &Platform, pool: CallPool) -> i64 {
    platform.metrics.psp_breaker_state.with_label_values(&[pool.as_str()]).get()
}

/// The workers' input: a database with payments, which have no trips, and a provider.
struct World {
    platform: Platform,
    context: PaymentsContext,
    pool: PgPool,
    _database: Database,
}

impl World {
    async fn new(base_url: &str) -> Self {
        let (database, nowhere) = (database().await, free_address());
        let platform = startup::platform(&config(&database.url(), nowhere, nowhere, &Options::default())).unwrap();
        let client = ProviderClient::new(platform.clone(), &provider(base_url)).unwrap();
        let context = PaymentsContext::new(&platform, &client, PermitsConfig::default());
        let pool = PgPool::connect(&database.url()).await.unwrap();
        sqlx::query("alter table payments drop constraint payments_trip").execute(&pool).await.unwrap();
        Self { platform, context, pool, _database: database }
    }

    /// Inserts payments that a rider waits for, due now.
    async fn request_authorizations(&self, count: i64) {
        sqlx::query(
            "with made as (
                 insert into payments (id, trip_id, rider_id, purpose, state, goal, currency, amount, payment_method, due_at, created_at,
                                       last_event)
                 select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'fare', 'authorizing', 'hold', 'USD', 500,
                        'pm_card_visa', $1, $1, 1 from generate_series(1, $2) returning id, state)
             insert into payment_events (payment_id, seq, kind, state, at, made_at)
             select id, 1, 'opened', state, $1, $1 from made",
        )
        .bind(self.platform.clock.machine().utc())
        .bind(count)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    /// Inserts captures that an outage has left behind, due for an hour.
    async fn leave_captures(&self, count: i64) {
        sqlx::query(
            "with made as (
                 insert into payments (id, trip_id, rider_id, purpose, state, goal, currency, amount, capture_amount, authorized_amount,
                                       payment_method, provider_intent_id, due_at, created_at, authorized_at, last_event)
                 select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'fare', 'capturing', 'capture', 'USD', 500, 500, 500,
                        'pm_card_visa', 'pi_old_' || number, $1, $1, $1, 1 from generate_series(1, $2) number returning id, state)
             insert into payment_events (payment_id, seq, kind, state, at, made_at)
             select id, 1, 'recorded', state, $1, $1 from made",
        )
        .bind(self.platform.clock.machine().utc() - TimeDelta::hours(1))
        .bind(count)
        .execute(&self.pool)
        .await
        .unwrap();
    }

    async fn run(&self, pool: CallPool) -> RunOutcome {
        worker::run_once(self.context.pool(pool)).await.unwrap()
    }

    async fn count(&self, state: &str) -> i64 {
        let count = sqlx::query_scalar("select count(*) from payments where state = $1").bind(state);
        count.fetch_one(&self.pool).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_costs_one_call_per_probe_and_no_failures() {
    let outage = Outage::start().await;
    let world = World::new(&outage.server.base_url).await;
    let (pool, platform) = (&world.pool, &world.platform);
    let authorizations = world.context.pool(CallPool::Authorizations);
    let client = world.context.client().of(CallPool::Authorizations);
    world.request_authorizations(PAYMENTS).await;

    // The outage begins under load: each payment fails once, after little more than five calls.
    assert_eq!(worker::run_once(authorizations).await.unwrap(), (PAYMENTS as usize).into());
    world.context.finished().await;
    assert_eq!(breaker_of(platform, CallPool::Authorizations), 2);
    let first_calls = outage.calls();
    assert!((5..=PAYMENTS as usize).contains(&first_calls), "{first_calls}");
    assert_eq!(totals(pool).await, (PAYMENTS, PAYMENTS, 0));
    // Each failure has taken one of the twenty saved retries; time adds a few.
    let left = platform.metrics.psp_retry_budget.with_label_values(&["authorizations"]).get();
    assert!((20 - PAYMENTS..20).contains(&left), "{left}");

    // During the outage runs lease and write nothing; each probe is one call, of one payment.
    let (mut probes, mut runs, watch) = (0, 0, Stopwatch::start());
    while probes < 5 {
        runs += 1;
        let before = (outage.calls(), totals(pool).await);
        let can_probe = client.availability() == ProviderAvailability::Probe;
        let leased = worker::run_once(authorizations).await.unwrap();
        let after = (outage.calls(), totals(pool).await);
        if leased.done == 0 {
            assert_eq!(after, before, "nothing was due, or the provider was unavailable");
            let pause = worker::until_next(authorizations).await.unwrap().expect("something is due");
            tokio::time::sleep(pause).await;
            continue;
        }
        assert!(can_probe || client.availability() != ProviderAvailability::Available);
        assert_eq!((leased.done, after.0 - before.0), (1, 1));
        assert_eq!((after.1.0 - before.1.0, after.1.1 - before.1.1), (1, 1));
        probes += 1;
    }
    assert!(runs < 50, "{runs} runs for {probes} probes: the worker spins");
    eprintln!("{PAYMENTS} payments, an outage of {:?}: {} calls", watch.elapsed(), outage.calls());

    // The outage ends: one probe, and all other payments after it.
    outage.is_out.store(false, Ordering::Relaxed);
    until("all of them are authorized", async || {
        worker::run_once(authorizations).await.unwrap();
        world.context.finished().await;
        (totals(pool).await.2 == PAYMENTS).then_some(())
    })
    .await;
    assert_eq!(breaker_of(platform, CallPool::Authorizations), 0);
    assert_eq!(totals(pool).await.1, 0, "no payment has failures");
    world.pool.close().await;
}

/// A provider that authorizes at once, and meets every capture with `reply`.
async fn authorizing(reply: impl Fn() -> Reply + Send + Sync + 'static) -> Server {
    let made = AtomicUsize::new(0);
    Server::start(move |request| {
        let path = request.split(' ').nth(1).unwrap();
        if path.ends_with("/capture") {
            return reply();
        }
        let confirmed = path.strip_prefix("/v1/payment_intents/").and_then(|rest| rest.strip_suffix("/confirm"));
        let (id, status, capturable) = match confirmed {
            Some(id) => (id.to_owned(), "requires_capture", 500),
            None => (format!("pi_{}", made.fetch_add(1, Ordering::Relaxed)), "requires_confirmation", 0),
        };
        let body = serde_json::json!({"id": id, "status": status, "amount": 500, "currency": "usd",
            "amount_capturable": capturable, "amount_received": 0, "metadata": {}});
        Reply::json(200, &body.to_string())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn old_captures_that_hang_delay_no_authorization() {
    let server = authorizing(Reply::silence).await;
    let world = World::new(&server.base_url).await;
    let captures_max = PermitsConfig::default().settlement;
    world.leave_captures(2 * i64::from(captures_max)).await;
    world.request_authorizations(PAYMENTS).await;

    // Captures take all permits of their own, and no others.
    assert_eq!(world.run(CallPool::Settlement).await.done, captures_max as usize);
    assert_eq!(world.run(CallPool::Authorizations).await.done, PAYMENTS as usize);
    until("all are authorized while the captures hang", async || {
        (world.count("authorized").await == PAYMENTS).then_some(())
    })
    .await;
    assert_eq!(world.count("capturing").await, 2 * i64::from(captures_max));
    world.pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_captures_stop_no_authorization() {
    let server = authorizing(|| Reply::json(503, "{}")).await;
    let world = World::new(&server.base_url).await;
    let captures = i64::from(PermitsConfig::default().settlement);
    world.leave_captures(captures).await;
    world.run(CallPool::Settlement).await;
    world.context.finished().await;
    assert_eq!(breaker_of(&world.platform, CallPool::Settlement), 2, "the captures have opened their breaker");

    world.request_authorizations(PAYMENTS).await;
    assert_eq!(world.run(CallPool::Authorizations).await.done, PAYMENTS as usize);
    world.context.finished().await;
    assert_eq!((world.count("authorized").await, world.count("capturing").await), (PAYMENTS, captures));
    assert_eq!(breaker_of(&world.platform, CallPool::Authorizations), 0);
    let budget = |pool: CallPool| world.platform.metrics.psp_retry_budget.with_label_values(&[pool.as_str()]).get();
    assert!(budget(CallPool::Settlement) < budget(CallPool::Authorizations), "retries of captures take no others");
    world.pool.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorization_whose_trip_has_ended_is_released_after_those_of_waiting_riders() {
    let server = authorizing(|| Reply::json(503, "{}")).await;
    let world = World::new(&server.base_url).await;
    world.request_authorizations(PAYMENTS).await;
    sqlx::query("update payments set goal = 'release'").execute(&world.pool).await.unwrap();
    assert_eq!(world.run(CallPool::Authorizations).await, RunOutcome::default());
    assert_eq!(world.run(CallPool::Settlement).await.done, PAYMENTS as usize);
    world.context.finished().await;
    assert_eq!(world.count("voided").await, PAYMENTS);
    world.pool.close().await;
}
