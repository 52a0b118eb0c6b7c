//! An outage of the provider, step by step through the worker: what is not answered is not multiplied, nothing is leased in
//! vain, and when it is over all of it is made good.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use ridematch::payments::gateway::breaker::Outlook;
use ridematch::payments::{Gateway, PaymentsContext, worker};
use ridematch::platform::Platform;
use ridematch::platform::clock::Stopwatch;
use ridematch::startup;
use sqlx::PgPool;

use crate::harness::{Options, config, database, free_address, until};
use crate::provider;
use crate::server::{Fate, Server};

const PAYMENTS: i64 = 12;

/// A provider that can be out. It is well otherwise: every intent is authorised as soon as it is confirmed.
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
                return Fate::json(429, "{}");
            }
            let path = request.split(' ').nth(1).unwrap();
            let intent = |id: &str, status: &str, capturable: u32| {
                let body = serde_json::json!({"id": id, "status": status, "amount": 500, "currency": "usd",
                    "amount_capturable": capturable, "amount_received": 0, "metadata": {}});
                Fate::json(200, &body.to_string())
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

/// What stands in the tables: attempts so far, the sum of all failures, payments authorised.
async fn written(pool: &PgPool) -> (i64, i64, i64) {
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
async fn an_outage_costs_a_call_now_and_then_and_no_patience() {
    let (database, outage) = (database().await, Outage::start().await);
    let nowhere = free_address();
    let platform = startup::platform(&config(&database.url(), nowhere, nowhere, &Options::default())).unwrap();
    let gateway = Gateway::new(platform.clone(), &provider(&outage.server.base_url)).unwrap();
    let context = PaymentsContext::new(platform.clone(), gateway.clone());
    let pool = PgPool::connect(&database.url()).await.unwrap();
    // Payments without trips: none of this is about trips.
    sqlx::query("alter table payments drop constraint payments_trip").execute(&pool).await.unwrap();
    sqlx::query(
        "insert into payments (id, trip_id, rider_id, purpose, state, intent, currency, amount, payment_method, due_at, created_at)
         select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'fare', 'authorizing', 'hold', 'USD', 500,
                'pm_card_visa', $1, $1 from generate_series(1, $2)",
    )
    .bind(platform.clock.machine().utc())
    .bind(PAYMENTS)
    .execute(&pool)
    .await
    .unwrap();

    // It goes out under a full load: every payment fails once, and hardly more than five calls were made for that.
    assert_eq!(worker::run_once(&context).await.unwrap(), PAYMENTS as usize);
    context.finished().await;
    assert_eq!(breaker_of(&platform), 2);
    let first_calls = outage.calls();
    assert!((5..=PAYMENTS as usize).contains(&first_calls), "{first_calls}");
    assert_eq!(written(&pool).await, (PAYMENTS, PAYMENTS, 0));
    // Each failure has taken a retry out of the twenty that were saved up; time pays in a little.
    let left = platform.metrics.psp_retry_budget.get();
    assert!((20 - PAYMENTS..20).contains(&left), "{left}");

    // While it is out, rounds lease nothing and write nothing; each probe is one call, of one payment.
    let (mut probes, mut rounds, watch) = (0, 0, Stopwatch::start());
    while probes < 5 {
        rounds += 1;
        let before = (outage.calls(), written(&pool).await);
        let can_probe = gateway.outlook() == Outlook::Probe;
        let leased = worker::run_once(&context).await.unwrap();
        let after = (outage.calls(), written(&pool).await);
        if leased == 0 {
            assert_eq!(after, before, "nothing was due, or the provider was left alone");
            let pause = worker::until_next(&context).await.unwrap().expect("something is due");
            tokio::time::sleep(pause).await;
            continue;
        }
        assert!(can_probe || gateway.outlook() != Outlook::Flow);
        assert_eq!((leased, after.0 - before.0), (1, 1));
        assert_eq!((after.1.0 - before.1.0, after.1.1 - before.1.1), (1, 1));
        probes += 1;
    }
    assert!(rounds < 50, "{rounds} rounds for {probes} probes: the worker spins");
    eprintln!("{PAYMENTS} payments, an outage of {:?}: {} calls", watch.elapsed(), outage.calls());

    // It is over: one probe, and everybody else after it.
    outage.is_out.store(false, Ordering::Relaxed);
    until("all of them are authorised", async || {
        worker::run_once(&context).await.unwrap();
        context.finished().await;
        (written(&pool).await.2 == PAYMENTS).then_some(())
    })
    .await;
    assert_eq!(breaker_of(&platform), 0);
    assert_eq!(written(&pool).await.1, 0, "nobody is out of patience");
    pool.close().await;
}
