//! The webhook events of an effect.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::event_queue::Event;
use crate::model::UnixSeconds;
use crate::operations::Effect;
use crate::random::RandomSource;
use crate::render;
use crate::request::Request;
use crate::state_machine::Transition;

/// The events of an effect; none for an intent that was only created. An expiry has no request.
pub fn of(effect: &Effect, request: Option<&Request>, random: &RandomSource, now_s: UnixSeconds) -> Vec<Arc<Event>> {
    let intent = || render::payment_intent(&effect.intent);
    let objects: Vec<(&str, Value)> = match &effect.transition {
        None => vec![],
        Some(Transition::Authorized) => vec![("payment_intent.amount_capturable_updated", intent())],
        Some(Transition::Captured) => vec![("payment_intent.succeeded", intent())],
        Some(Transition::ChallengeRequired) => vec![("payment_intent.requires_action", intent())],
        Some(Transition::Declined(_)) => vec![("payment_intent.payment_failed", intent())],
        Some(Transition::Canceled | Transition::Expired) => vec![("payment_intent.canceled", intent())],
        Some(Transition::RefundFailed) => {
            let refund = || effect.refund.iter().map(render::refund);
            let updated = refund().map(|refund| ("charge.refund.updated", refund));
            updated.chain(refund().map(|refund| ("refund.failed", refund))).collect()
        }
        Some(Transition::Disputed) => {
            effect.dispute.iter().map(|dispute| ("charge.dispute.created", render::dispute(dispute))).collect()
        }
        Some(Transition::DisputeClosed(_)) => {
            effect.dispute.iter().map(|dispute| ("charge.dispute.closed", render::dispute(dispute))).collect()
        }
        Some(Transition::Refunded(_)) => {
            let refund = effect.refund.as_ref().map(|refund| ("refund.updated", render::refund(refund)));
            let charge = ("charge.refunded", render::charge(&effect.intent));
            [charge].into_iter().chain(refund).collect()
        }
    };
    let event = |(kind, object): (&str, Value)| {
        let id = random.id("evt");
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
    objects.into_iter().map(event).collect()
}
