//! An operator: refunds captured fares, aborts trips.

use std::sync::Arc;
use std::time::Duration;

use launcher::BoxError;
use serde_json::json;

use super::caller::{Call, Caller};
use super::context::Context;
use super::model::OperatorGroup;

/// Between two looks at what there is to do.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Polls of a payment until it is captured.
const CAPTURE_POLLS_MAX: u32 = 30;

/// Works until the run ends.
///
/// # Errors
/// If the service issues no token.
pub(super) async fn run(context: Arc<Context>, group: Arc<OperatorGroup>, number: usize) -> Result<(), BoxError> {
    let mut me = Caller::new(&context, &group.name, number, "ops").await?;
    let (mut assigned, mut paid) = (0, 0);
    loop {
        // Operators of a group share the work by the number of the trip or payment.
        let trip = context.known().assigned.get(assigned).cloned();
        if let Some(trip) = trip {
            if assigned % group.count.max(1) as usize == number && me.draws(group.abort) {
                me.command("POST /v1/trips/{trip_id}/abort", &trip, json!({})).await;
            }
            assigned += 1;
            continue;
        }
        let payment = context.known().paid.get(paid).cloned();
        if let Some((payment, fare)) = payment {
            if paid % group.count.max(1) as usize == number && me.draws(group.refund) {
                refund(&mut me, &group, &payment, fare).await;
            }
            paid += 1;
            continue;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn refund(me: &mut Caller, group: &OperatorGroup, payment: &str, fare: i64) {
    for _ in 0..CAPTURE_POLLS_MAX {
        if me.get("GET /v1/payments/{payment_id}", payment).await.text("state") == "captured" {
            break;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "a part of a fare in minor units")]
    let amount = ((fare as f64 * group.refund_part).floor() as i64).max(1);
    let body = json!({"amount": {"amount": amount, "currency": "USD"}});
    let call = Call::new("POST /v1/payments/{payment_id}/refunds", payment).body(body);
    me.command_with(call, 0.0, group.repeat).await;
}
