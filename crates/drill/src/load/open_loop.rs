//! Requests at a fixed rate, whether or not earlier ones have been answered.

use std::sync::Arc;
use std::time::Duration;

use launcher::BoxError;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::task::JoinSet;

use super::caller::{ApiResponse, Call, Caller};
use super::context::Context;
use super::model::{RequestGroup, Retry};
use super::places::{Place, random};

/// Straight distance of a quote's trip.
const QUOTE_M: f64 = 1_800.0;

/// The most requests in flight; more are not sent and count as without a response.
const IN_FLIGHT_MAX: usize = 2_000;

/// Sends the group's requests from its first to its last second.
///
/// # Errors
/// If the service issues no token.
pub(super) async fn run(context: Arc<Context>, group: Arc<RequestGroup>, seconds: f64) -> Result<(), BoxError> {
    let mut callers = Vec::new();
    for number in 0..group.callers.max(1) {
        callers.push(Arc::new(Caller::new(&context, &group.name, number as usize, &group.role).await?));
    }
    let mut draws = random(context.target.seed, &format!("{} requests", group.name));
    let (from_s, until_s) = (group.from_s, group.until_s.unwrap_or(seconds).min(seconds));
    let mut requests = JoinSet::new();
    let mut number = 0_u32;
    loop {
        let due_s = from_s + f64::from(number) / group.per_s.max(0.01);
        if due_s >= until_s || context.is_closing() {
            break;
        }
        context.pause(Duration::from_secs_f64((due_s - context.now_s()).max(0.0))).await;
        let call = prepare(&group, &mut draws);
        let seed: u64 = draws.random();
        let caller = Arc::clone(&callers[number as usize % callers.len()]);
        if requests.len() < IN_FLIGHT_MAX {
            let retry = group.retry;
            requests.spawn(async move { send(&caller, &call, retry, seed).await });
        }
        while requests.try_join_next().is_some() {}
        number += 1;
    }
    while requests.join_next().await.is_some() {}
    Ok(())
}

fn prepare(group: &RequestGroup, draws: &mut StdRng) -> Call {
    let place = Place::within(&group.around, draws);
    let dropoff = place.moved(draws.random_range(0.0..std::f64::consts::TAU), QUOTE_M);
    let nearby = format!("?lat={:.6}&lon={:.6}", place.lat, place.lon);
    let mut call = match group.operation.as_str() {
        "GET /v1/drivers/nearby" => Call::new(&group.operation, &nearby),
        operation => Call::new(operation, ""),
    };
    call.body = match (&group.body, group.operation.as_str()) {
        (Some(body), _) => Some(body.clone()),
        (None, "POST /v1/quotes") => Some(json!({ "pickup": place.json(), "dropoff": dropoff.json() })),
        (None, _) => None,
    };
    Call { within: Duration::from_millis(group.time_out_ms), ..call }
}

async fn send(caller: &Caller, call: &Call, retry: Option<Retry>, seed: u64) -> ApiResponse {
    let mut response = caller.send(call).await;
    let Some(retry) = retry else { return response };
    let (mut wait_ms, mut draws) = (f64::from(u32::try_from(retry.wait_ms).unwrap_or(u32::MAX)), random(seed, "retry"));
    for _ in 0..retry.times {
        if !response.may_retry() {
            break;
        }
        let share = if retry.jitter { draws.random_range(0.0..1.0) } else { 1.0 };
        tokio::time::sleep(Duration::from_secs_f64(wait_ms * share / 1_000.0)).await;
        wait_ms *= retry.factor;
        response = caller.send(call).await;
    }
    response
}
