//! What the webhook is told about an effect.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::clock::Dice;
use crate::machine::Done;
use crate::mailbox::Event;
use crate::model::UnixSeconds;
use crate::operations::{Effect, Request};
use crate::render;

/// The events of an effect; none for an intent that was only created. `request` is whoever asked, if anybody did.
pub fn of(effect: &Effect, request: Option<&Request>, dice: &Dice, now_s: UnixSeconds) -> Vec<Arc<Event>> {
    let intent = || render::payment_intent(&effect.intent);
    let told: Vec<(&str, Value)> = match &effect.done {
        None => vec![],
        Some(Done::Reserved) => vec![("payment_intent.amount_capturable_updated", intent())],
        Some(Done::Taken) => vec![("payment_intent.succeeded", intent())],
        Some(Done::Challenged) => vec![("payment_intent.requires_action", intent())],
        Some(Done::Refused(_)) => vec![("payment_intent.payment_failed", intent())],
        Some(Done::Canceled | Done::Expired) => vec![("payment_intent.canceled", intent())],
        Some(Done::Refunded(_)) => {
            let refund = effect.refund.as_ref().map(|refund| ("refund.updated", render::refund(refund)));
            let charge = ("charge.refunded", render::charge(&effect.intent));
            [charge].into_iter().chain(refund).collect()
        }
    };
    let event = |(kind, object): (&str, Value)| {
        let id = dice.id("evt");
        let payload = json!({
            "id": id,
            "object": "event",
            "api_version": render::API_VERSION,
            "created": now_s,
            "data": { "object": object },
            "livemode": false,
            "pending_webhooks": 1,
            "request": {
                "id": request.map(|request| &request.id),
                "idempotency_key": request.and_then(|request| request.key.as_ref()),
            },
            "type": kind,
        });
        Arc::new(Event {
            id,
            kind: kind.to_owned(),
            payment_intent: effect.intent.id.clone(),
            payload: payload.to_string(),
            is_resent: false,
        })
    };
    told.into_iter().map(event).collect()
}
