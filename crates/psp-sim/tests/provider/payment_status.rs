//! Each status of a payment intent, and each transition.

use serde_json::{Value, json};

use crate::harness::{MANUAL, Sim};

#[tokio::test]
async fn unconfirmed_intent_moves_no_money() {
    let sim = Sim::start().await;
    let created = sim.http.post("/v1/payment_intents", MANUAL).await;
    assert_eq!(created.state(), "requires_confirmation");
    let state = sim.http.sums().await;
    assert_eq!(state["payment_intents"], 1);
    assert_eq!(state["captured"], json!({}));
    assert_eq!(state["authorized_open"], json!({}));
}

#[tokio::test]
async fn payment_is_authorized_captured_and_refunded() {
    let Sim { http, .. } = &Sim::start().await;
    let id = http.authorized().await;
    assert_eq!(http.sums().await["authorized_open"], json!({ "USD": 1000 }));

    let captured = http.command(&id, "capture", &[]).await;
    assert_eq!(captured.state(), "succeeded");
    assert_eq!(captured.json["amount_received"], 1000);
    assert_eq!(captured.json["amount_capturable"], 0);
    assert_eq!(http.intent(&id).await, captured.json);

    let first = http.refund(&id, "400").await;
    assert_eq!(first.state(), "succeeded");
    assert_eq!(first.json["payment_intent"], id);
    assert_eq!(first.json["charge"], captured.json["latest_charge"]);
    let rest = http.post("/v1/refunds", &[("payment_intent", &id)]).await;
    assert_eq!(rest.json["amount"], 600);
    assert_eq!(http.get(&format!("/v1/refunds/{}", rest.id())).await.json, rest.json);

    let state = http.sums().await;
    assert_eq!(state["captured"], json!({ "USD": 1000 }));
    assert_eq!(state["refunded"], json!({ "USD": 1000 }));
    assert_eq!(state["authorized_open"], json!({}));
}

#[tokio::test]
async fn partial_capture_releases_the_rest() {
    let Sim { http, .. } = &Sim::start().await;
    let id = http.authorized().await;
    let too_much = http.command(&id, "capture", &[("amount_to_capture", "1001")]).await;
    assert_eq!(too_much.error(), (400, "invalid_request_error", "amount_too_large"));

    let captured = http.command(&id, "capture", &[("amount_to_capture", "300")]).await;
    assert_eq!((&captured.json["amount"], &captured.json["amount_received"]), (&json!(1000), &json!(300)));
    assert_eq!(captured.json["amount_capturable"], 0);
    let too_much = http.refund(&id, "301").await;
    assert_eq!(too_much.error(), (400, "invalid_request_error", "amount_too_large"));
    assert_eq!(http.refund(&id, "300").await.state(), "succeeded");
    let again = http.refund(&id, "1").await;
    assert_eq!(again.error(), (400, "invalid_request_error", "charge_already_refunded"));
}

#[tokio::test]
async fn automatic_capture_happens_at_the_confirmation() {
    let Sim { http, .. } = &Sim::start().await;
    let form = [("amount", "500"), ("currency", "JPY"), ("payment_method", "pm_card_visa"), ("confirm", "true")];
    let paid = http.post("/v1/payment_intents", &form).await;
    assert_eq!(paid.state(), "succeeded");
    // A zero-decimal currency: the amount is 500 yen.
    assert_eq!(http.sums().await["captured"], json!({ "JPY": 500 }));
}

#[tokio::test]
async fn invalid_amount_of_a_currency_is_400() {
    let Sim { http, .. } = &Sim::start().await;
    for (currency, good, bad) in [("kwd", "5120", "5124"), ("isk", "500", "550"), ("jpy", "1", "0")] {
        let form = |amount| [("amount", amount), ("currency", currency), ("capture_method", "manual")];
        let refused = http.post("/v1/payment_intents", &form(bad)).await;
        assert_eq!(refused.error(), (400, "invalid_request_error", "parameter_invalid_integer"), "{currency}");
        let id = http.create(&form(good)).await;
        assert_eq!(
            http.command(&id, "confirm", &[("payment_method", "pm_card_visa")]).await.state(),
            "requires_capture"
        );
    }
    let dinars = [("amount", "5000"), ("currency", "kwd"), ("payment_method", "pm_card_visa"), ("confirm", "true")];
    let id = http.create(&dinars).await;
    assert_eq!(http.refund(&id, "5").await.json["error"]["param"], "amount");
    assert_eq!(http.refund(&id, "10").await.state(), "succeeded");
}

#[tokio::test]
async fn cancellation_releases_the_money_and_a_later_confirmation_is_400() {
    let Sim { http, .. } = &Sim::start().await;
    let authorized = http.authorized().await;
    let canceled = http.command(&authorized, "cancel", &[("cancellation_reason", "abandoned")]).await;
    assert_eq!(canceled.state(), "canceled");
    assert_eq!(canceled.json["cancellation_reason"], "abandoned");
    assert!(canceled.json["canceled_at"].is_i64());
    assert_eq!(http.sums().await["authorized_open"], json!({}));

    let unconfirmed = http.create(MANUAL).await;
    assert_eq!(http.command(&unconfirmed, "cancel", &[]).await.state(), "canceled");
    let late = http.command(&unconfirmed, "confirm", &[]).await;
    assert_eq!(late.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
    assert_eq!(late.json["error"]["payment_intent"]["status"], "canceled");
}

/// A card, and the `code` and `decline_code` of its decline.
const DECLINING: &[(&str, &str, Option<&str>)] = &[
    ("pm_card_chargeDeclined", "card_declined", Some("generic_decline")),
    ("pm_card_visa_chargeDeclined", "card_declined", Some("generic_decline")),
    ("pm_card_chargeDeclinedInsufficientFunds", "card_declined", Some("insufficient_funds")),
    ("pm_card_chargeDeclinedLostCard", "card_declined", Some("lost_card")),
    ("pm_card_chargeDeclinedStolenCard", "card_declined", Some("stolen_card")),
    ("pm_card_chargeDeclinedFraudulent", "card_declined", Some("fraudulent")),
    ("pm_card_chargeDeclinedVelocityLimitExceeded", "card_declined", Some("card_velocity_exceeded")),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
    ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
];

#[tokio::test]
async fn declining_cards_have_their_documented_codes() {
    let Sim { http, .. } = &Sim::start().await;
    for &(card, code, decline_code) in DECLINING {
        let id = http.create(MANUAL).await;
        let declined = http.command(&id, "confirm", &[("payment_method", card)]).await;
        assert_eq!(declined.error(), (402, "card_error", code), "{card}");
        assert_eq!(declined.json["error"]["decline_code"], json!(decline_code), "{card}");

        let intent = http.intent(&id).await;
        assert_eq!(declined.json["error"]["payment_intent"], intent);
        assert_eq!(intent["status"], "requires_payment_method");
        assert_eq!(intent["payment_method"], Value::Null);
        assert_eq!(intent["last_payment_error"]["code"], code);
        assert_eq!(intent["last_payment_error"]["payment_method"]["id"], card);

        let again = http.command(&id, "confirm", &[]).await;
        assert_eq!(again.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
        let other = http.command(&id, "confirm", &[("payment_method", "pm_card_mastercard")]).await;
        assert_eq!(other.state(), "requires_capture");
        assert_eq!(other.json["last_payment_error"], Value::Null);
    }
}

#[tokio::test]
async fn challenge_requires_action_or_declines_off_session() {
    let Sim { http, .. } = &Sim::start().await;
    let challenging = ("payment_method", "pm_card_authenticationRequired");
    let id = http.create(MANUAL).await;
    let challenged = http.command(&id, "confirm", &[challenging]).await;
    assert_eq!(challenged.state(), "requires_action");
    assert!(challenged.json["next_action"].is_object());
    assert_eq!(http.sums().await["authorized_open"], json!({}));
    assert_eq!(http.command(&id, "cancel", &[]).await.state(), "canceled");

    let id = http.create(MANUAL).await;
    let declined = http.command(&id, "confirm", &[challenging, ("off_session", "true")]).await;
    assert_eq!(declined.error(), (402, "card_error", "authentication_required"));
}

#[tokio::test]
async fn command_not_allowed_in_the_status_is_400_without_effect() {
    let Sim { http, .. } = &Sim::start().await;
    let created = http.create(MANUAL).await;
    let authorized = http.authorized().await;
    let captured = http.captured().await;
    let canceled = http.create(MANUAL).await;
    http.command(&canceled, "cancel", &[]).await;
    let refused = [
        (&created, vec!["capture"]),
        (&authorized, vec!["confirm"]),
        (&captured, vec!["confirm", "capture", "cancel"]),
        (&canceled, vec!["confirm", "capture", "cancel"]),
    ];
    for (id, commands) in refused {
        let before = http.intent(id).await;
        for command in commands {
            let refused = http.command(id, command, &[]).await;
            assert_eq!(refused.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
            assert_eq!(refused.json["error"]["payment_intent"], before, "{command}");
        }
        assert_eq!(http.intent(id).await, before);
    }
    for id in [&created, &authorized, &canceled] {
        let refused = http.refund(id, "1").await;
        assert_eq!(refused.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
    }
}
