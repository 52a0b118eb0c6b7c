//! How much it can take. A figure, not a judgment, so that unreachable's slow machine fails; run it by
//! `cargo test -p psp-sim -- --ignored --nocapture throughput`.

use std::time::Instant;

use tokio::task::JoinSet;

use crate::harness::{MANUAL, Sim};

const CALLERS: usize = 32;
const PAYMENTS: usize = 200;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn throughput() {
    let sim = Sim::start().await;
    let start = Instant::now();
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let http = sim.http.clone();
        callers.spawn(async move {
            for number in 0..PAYMENTS {
                let key = |step| format!("{caller} {number} {step}");
                let id = http.post_once(&key("create"), "/v1/payment_intents", MANUAL).await.id();
                for step in ["confirm", "capture"] {
                    let path = format!("/v1/payment_intents/{id}/{step}");
                    assert_eq!(http.post_once(&key(step), &path, &[]).await.status, 200);
                }
            }
        });
    }
    callers.join_all().await;
    let (requests, seconds) = (3 * CALLERS * PAYMENTS, start.elapsed().as_secs_f64());
    println!("{requests} requests, each with a key, in {seconds:.2} s, from {CALLERS} callers");
}
