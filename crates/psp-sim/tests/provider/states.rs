//! Each state, and each way from one to another.

use serde_json::{Value, json};

use crate::sim::{MANUAL, Sim};

#[tokio::test]
async fn an_unconfirmed_intent_moves_no_money() {
    let sim = Sim::start().await;
    let created = sim.http.post("/v1/payment_intents", MANUAL).await;
    assert_eq!(created.state(), "requires_confirmation");
    let books = sim.http.sums().await;
    assert_eq!(books["payment_intents"], 1);
    assert_eq!(books["captured"], json!({}));
    assert_eq!(books["authorized_open"], json!({}));
}

#[tokio::test]
async fn a_payment_is_reserved_taken_and_given_back() {
    let Sim { http, .. } = &Sim::start().await;
    let id = http.reserved().await;
    assert_eq!(http.sums().await["authorized_open"], json!({ "USD": 1000 }));

    let captured = http.act(&id, "capture", &[]).await;
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

    let books = http.sums().await;
    assert_eq!(books["captured"], json!({ "USD": 1000 }));
    assert_eq!(books["refunded"], json!({ "USD": 1000 }));
    assert_eq!(books["authorized_open"], json!({}));
}

#[tokio::test]
async fn what_is_not_captured_is_released() {
    let Sim { http, .. } = &Sim::start().await;
    let id = http.reserved().await;
    let too_much = http.act(&id, "capture", &[("amount_to_capture", "1001")]).await;
    assert_eq!(too_much.error(), (400, "invalid_request_error", "amount_too_large"));

    let captured = http.act(&id, "capture", &[("amount_to_capture", "300")]).await;
    assert_eq!((&captured.json["amount"], &captured.json["amount_received"]), (&json!(1000), &json!(300)));
    assert_eq!(captured.json["amount_capturable"], 0);
    let too_much = http.refund(&id, "301").await;
    assert_eq!(too_much.error(), (400, "invalid_request_error", "amount_too_large"));
    assert_eq!(http.refund(&id, "300").await.state(), "succeeded");
    let again = http.refund(&id, "1").await;
    assert_eq!(again.error(), (400, "invalid_request_error", "charge_already_refunded"));
}

#[tokio::test]
async fn an_automatic_payment_is_taken_by_its_confirmation() {
    let Sim { http, .. } = &Sim::start().await;
    let form = [("amount", "500"), ("currency", "JPY"), ("payment_method", "pm_card_visa"), ("confirm", "true")];
    let paid = http.post("/v1/payment_intents", &form).await;
    assert_eq!(paid.state(), "succeeded");
    // A zero-decimal currency: the amount is 500 yen, here as everywhere.
    assert_eq!(http.sums().await["captured"], json!({ "JPY": 500 }));
}

#[tokio::test]
async fn amounts_that_cannot_be_paid_are_refused() {
    let Sim { http, .. } = &Sim::start().await;
    for (currency, good, bad) in [("kwd", "5120", "5124"), ("isk", "500", "550"), ("jpy", "1", "0")] {
        let form = |amount| [("amount", amount), ("currency", currency), ("capture_method", "manual")];
        let refused = http.post("/v1/payment_intents", &form(bad)).await;
        assert_eq!(refused.error(), (400, "invalid_request_error", "parameter_invalid_integer"), "{currency}");
        let id = http.create(&form(good)).await;
        assert_eq!(http.act(&id, "confirm", &[("payment_method", "pm_card_visa")]).await.state(), "requires_capture");
    }
    let dinars = [("amount", "5000"), ("currency", "kwd"), ("payment_method", "pm_card_visa"), ("confirm", "true")];
    let id = http.create(&dinars).await;
    assert_eq!(http.refund(&id, "5").await.json["error"]["param"], "amount");
    assert_eq!(http.refund(&id, "10").await.state(), "succeeded");
}

#[tokio::test]
async fn a_cancellation_releases_the_money_and_makes_a_late_confirmation_fail() {
    let Sim { http, .. } = &Sim::start().await;
    let reserved = http.reserved().await;
    let canceled = http.act(&reserved, "cancel", &[("cancellation_reason", "abandoned")]).await;
    assert_eq!(canceled.state(), "canceled");
    assert_eq!(canceled.json["cancellation_reason"], "abandoned");
    assert!(canceled.json["canceled_at"].is_i64());
    assert_eq!(http.sums().await["authorized_open"], json!({}));

    let unconfirmed = http.create(MANUAL).await;
    assert_eq!(http.act(&unconfirmed, "cancel", &[]).await.state(), "canceled");
    let late = http.act(&unconfirmed, "confirm", &[]).await;
    assert_eq!(late.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
    assert_eq!(late.json["error"]["payment_intent"]["status"], "canceled");
}

/// A card, and the error's `code` and `decline_code`.
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
async fn every_declining_card_declines_in_its_own_words() {
    let Sim { http, .. } = &Sim::start().await;
    for &(card, code, decline_code) in DECLINING {
        let id = http.create(MANUAL).await;
        let declined = http.act(&id, "confirm", &[("payment_method", card)]).await;
        assert_eq!(declined.error(), (402, "card_error", code), "{card}");
        assert_eq!(declined.json["error"]["decline_code"], json!(decline_code), "{card}");

        let intent = http.intent(&id).await;
        assert_eq!(declined.json["error"]["payment_intent"], intent);
        assert_eq!(intent["status"], "requires_payment_method");
        assert_eq!(intent["payment_method"], Value::Null);
        assert_eq!(intent["last_payment_error"]["code"], code);
        assert_eq!(intent["last_payment_error"]["payment_method"]["id"], card);

        let again = http.act(&id, "confirm", &[]).await;
        assert_eq!(again.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
        let other = http.act(&id, "confirm", &[("payment_method", "pm_card_mastercard")]).await;
        assert_eq!(other.state(), "requires_capture");
        assert_eq!(other.json["last_payment_error"], Value::Null);
    }
}

#[tokio::test]
async fn a_challenge_waits_for_the_cardholder_or_is_a_decline_without_one() {
    let Sim { http, .. } = &Sim::start().await;
    let challenging = ("payment_method", "pm_card_authenticationRequired");
    let id = http.create(MANUAL).await;
    let challenged = http.act(&id, "confirm", &[challenging]).await;
    assert_eq!(challenged.state(), "requires_action");
    assert!(challenged.json["next_action"].is_object());
    assert_eq!(http.sums().await["authorized_open"], json!({}));
    assert_eq!(http.act(&id, "cancel", &[]).await.state(), "canceled");

    let id = http.create(MANUAL).await;
    let declined = http.act(&id, "confirm", &[challenging, ("off_session", "true")]).await;
    assert_eq!(declined.error(), (402, "card_error", "authentication_required"));
}

#[tokio::test]
async fn what_the_state_does_not_allow_is_refused_and_changes_nothing() {
    let Sim { http, .. } = &Sim::start().await;
    let created = http.create(MANUAL).await;
    let reserved = http.reserved().await;
    let captured = http.captured().await;
    let canceled = http.create(MANUAL).await;
    http.act(&canceled, "cancel", &[]).await;
    let refused = [
        (&created, vec!["capture"]),
        (&reserved, vec!["confirm"]),
        (&captured, vec!["confirm", "capture", "cancel"]),
        (&canceled, vec!["confirm", "capture", "cancel"]),
    ];
    for (id, commands) in refused {
        let before = http.intent(id).await;
        for command in commands {
            let refused = http.act(id, command, &[]).await;
            assert_eq!(refused.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
            assert_eq!(refused.json["error"]["payment_intent"], before, "{command}");
        }
        assert_eq!(http.intent(id).await, before);
    }
    for id in [&created, &reserved, &canceled] {
        let refused = http.refund(id, "1").await;
        assert_eq!(refused.error(), (400, "invalid_request_error", "payment_intent_unexpected_state"));
    }
}
