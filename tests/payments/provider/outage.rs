//! An outage of the provider, run by run of the worker: calls are not multiplied, nothing is leased in vain, and everything is completed
//! once the outage ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ridematch::payments::provider::breaker::ProviderAvailability;
use ridematch::payments::{PaymentsContext, ProviderClient, worker};
use ridematch::platform::Platform;
use ridematch::platform::clock::Stopwatch;
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

fn breaker_of(platform: &Platform) -> i64 {
    platform.metrics.psp_breaker_state.get()
}

#[tokio::test(flavor = "multi_thread")]
async fn outage_costs_one_call_per_probe_and_no_failures() {
    let (database, outage) = (database().await, Outage::start().await);
    let nowhere = free_address();
    let platform = startup::platform(&config(&database.url(), nowhere, nowhere, &Options::default())).unwrap();
    let client = ProviderClient::new(platform.clone(), &provider(&outage.server.base_url)).unwrap();
    let context = PaymentsContext::new(platform.clone(), client.clone());
    let pool = PgPool::connect(&database.url()).await.unwrap();
    // The payments have no trips.
    sqlx::query("alter table payments drop constraint payments_trip").execute(&pool).await.unwrap();
    sqlx::query(
        "insert into payments (id, trip_id, rider_id, purpose, state, goal, currency, amount, payment_method, due_at, created_at)
         select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'fare', 'authorizing', 'hold', 'USD', 500,
                'pm_card_visa', $1, $1 from generate_series(1, $2)",
    )
    .bind(platform.clock.machine().utc())
    .bind(PAYMENTS)
    .execute(&pool)
    .await
    .unwrap();

    // The outage begins under load: each payment fails once, after little more than five calls.
    assert_eq!(worker::run_once(&context).await.unwrap(), (PAYMENTS as usize).into());
    context.finished().await;
    assert_eq!(breaker_of(&platform), 2);
    let first_calls = outage.calls();
    assert!((5..=PAYMENTS as usize).contains(&first_calls), "{first_calls}");
    assert_eq!(totals(&pool).await, (PAYMENTS, PAYMENTS, 0));
    // Each failure has taken one of the twenty saved retries; time adds a few.
    let left = platform.metrics.psp_retry_budget.get();
    assert!((20 - PAYMENTS..20).contains(&left), "{left}");

    // During the outage runs lease and write nothing; each probe is one call, of one payment.
    let (mut probes, mut runs, watch) = (0, 0, Stopwatch::start());
    while probes < 5 {
        runs += 1;
        let before = (outage.calls(), totals(&pool).await);
        let can_probe = client.availability() == ProviderAvailability::Probe;
        let leased = worker::run_once(&context).await.unwrap();
        let after = (outage.calls(), totals(&pool).await);
        if leased.done == 0 {
            assert_eq!(after, before, "nothing was due, or the provider was unavailable");
            let pause = worker::until_next(&context).await.unwrap().expect("something is due");
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
        worker::run_once(&context).await.unwrap();
        context.finished().await;
        (totals(&pool).await.2 == PAYMENTS).then_some(())
    })
    .await;
    assert_eq!(breaker_of(&platform), 0);
    assert_eq!(totals(&pool).await.1, 0, "no payment has failures");
    pool.close().await;
}
