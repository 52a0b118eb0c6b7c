use std::fmt::Write as _;
use std::time::Duration;

use super::breaker::CallHealth;
use super::*;
use crate::payments::state_machine::IntentStatus;
use crate::platform::egress::{CallFailure, CallResponse};

const INTENT: &str = r#"{"id": "pi_1", "status": "requires_capture", "amount": 500, "currency": "usd",
    "amount_capturable": 500, "amount_received": 0, "metadata": {"payment_id": "pay_1"}, "something": {"new": true}}"#;

fn classified(status: u16, body: &str) -> (ProviderResult<ProviderIntent>, CallHealth) {
    let response = CallResponse { status, body: body.as_bytes().to_vec(), retry_after: None };
    let (answer, health) = classify(Some(ProviderOperation::Confirm), Ok(response));
    (answer.and_then(WireIntent::read), health)
}

fn answer(status: u16, body: &str) -> ProviderResult<ProviderIntent> {
    classified(status, body).0
}

const FAILING: CallHealth = CallHealth::Failing { retry_after: Duration::ZERO };

fn with_status(status: &str) -> String {
    INTENT.replace("requires_capture", status)
}

#[test]
fn readable_intent_is_done() {
    let snapshot =
        IntentSnapshot { status: IntentStatus::Authorized, capturable: 500, received: 0, decline_code: None };
    assert_eq!(answer(200, INTENT), ProviderResult::Done(ProviderIntent { id: "pi_1".to_owned(), snapshot }));
}

#[test]
fn unrecognized_response_is_unknown_and_answered() {
    let truncated = &INTENT[..INTENT.len() / 2];
    let unreadable =
        [(200, with_status("processing")), (200, with_status("requires_coffee")), (200, truncated.to_owned())];
    let server = [(500, String::new()), (502, "<html>".to_owned()), (302, String::new()), (404, "<html>".to_owned())];
    for (status, body) in unreadable.into_iter().chain(server) {
        assert!(matches!(answer(status, &body), ProviderResult::Unknown { answered: true, .. }), "{status} {body}");
    }
}

#[test]
fn key_in_use_is_unknown_and_unanswered() {
    let body = r#"{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}"#;
    assert!(matches!(answer(409, body), ProviderResult::Unknown { answered: false, .. }));
}

#[test]
fn key_of_another_request_is_unknown() {
    let body = r#"{"error": {"type": "idempotency_error", "message": "Keys can only be used once."}}"#;
    assert!(matches!(answer(400, body), ProviderResult::Unknown { answered: true, .. }));
}

#[test]
fn unprocessed_request_is_not_sent() {
    for status in [401, 403, 429] {
        assert!(matches!(answer(status, "{}"), ProviderResult::NotSent { .. }), "{status}");
    }
}

#[test]
fn refusal_has_the_reason_of_the_bank() {
    let code = |status, body: &str| match answer(status, body) {
        ProviderResult::Refused { code, object: None } => code,
        other => panic!("{other:?}"),
    };
    let declined = r#"{"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}}"#;
    assert_eq!(code(402, declined), "lost_card");
    assert_eq!(code(402, r#"{"error": {"type": "card_error", "code": "expired_card"}}"#), "expired_card");
    assert_eq!(code(400, r#"{"error": {"type": "invalid_request_error"}}"#), "invalid_request_error");
}

#[test]
fn refusal_shows_a_readable_intent() {
    let body = format!(
        r#"{{"error": {{"type": "invalid_request_error", "code": "payment_intent_unexpected_state", "payment_intent": {INTENT}}}}}"#
    );
    match answer(400, &body) {
        ProviderResult::Refused { object: Some(intent), .. } => {
            assert_eq!(intent.snapshot.status, IntentStatus::Authorized)
        }
        other => panic!("{other:?}"),
    }
    match answer(400, &body.replace("requires_capture", "requires_coffee")) {
        ProviderResult::Refused { object: None, .. } => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_an_explicit_refusal_is_refused() {
    for body in [r#"{"error": {"type": "api_error"}}"#, r#"{"error": {}}"#, r#"{"error": "no"}"#, "no", ""] {
        for status in [400, 404, 405, 408, 422, 424, 451] {
            assert!(
                matches!(classified(status, body), (ProviderResult::Unknown { answered: true, .. }, FAILING)),
                "{status} {body}"
            );
        }
    }
}

/// What an error means for each call: only a code that proves it ends a hold.
#[test]
fn grid_of_errors_by_call() {
    let errors = [
        ("card_error", Some("card_declined")),
        ("card_error", Some("processing_error")),
        ("card_error", Some("capture_charge_authorization_expired")),
        ("invalid_request_error", None),
        ("invalid_request_error", Some("parameter_unknown")),
        ("invalid_request_error", Some("payment_intent_unexpected_state")),
        ("invalid_request_error", Some("resource_missing")),
        ("invalid_request_error", Some("amount_too_large")),
        ("invalid_request_error", Some("charge_disputed")),
        ("invalid_request_error", Some("charge_expired_for_capture")),
        ("invalid_request_error", Some("capture_charge_authorization_expired")),
        ("idempotency_error", None),
        ("api_error", Some("charge_expired_for_capture")),
        ("another_error", None),
    ];
    let mut grid = String::new();
    for (kind, code) in errors {
        let _ = writeln!(grid, "{kind}, {}", code.unwrap_or("no code"));
        for operation in ProviderOperation::ALL.map(Some).into_iter().chain([None]) {
            let body = serde_json::json!({"error": {"type": kind, "code": code}}).to_string().into_bytes();
            let response = CallResponse { status: 400, body, retry_after: None };
            let (result, health) = classify::<WireIntent>(operation, Ok(response));
            let call = operation.map_or("a read", ProviderOperation::as_str);
            let health = if health == CallHealth::Ok { "ok" } else { "failing" };
            let _ = writeln!(grid, "    {call:<10}{:<10}{health}", result.label());
        }
    }
    insta::assert_snapshot!(grid);
}

#[test]
fn state_of_a_dispute_is_open_unless_it_is_known() {
    let state = |status: &str| {
        let dispute = format!(r#"{{"id": "du_1", "status": "{status}", "payment_intent": "pi_1"}}"#);
        serde_json::from_str::<WireDispute>(&dispute).expect("a dispute").state()
    };
    assert_eq!((state("won"), state("lost")), (Some(DisputeState::Won), Some(DisputeState::Lost)));
    for status in ["needs_response", "under_review", "something_new"] {
        assert_eq!(state(status), Some(DisputeState::Open), "{status}");
    }
    for inquiry in ["warning_needs_response", "warning_under_review", "warning_closed"] {
        assert_eq!(state(inquiry), None, "{inquiry}");
    }
}

#[test]
fn health_is_ok_if_the_provider_answers_in_its_protocol() {
    let refusal = r#"{"error": {"type": "invalid_request_error"}}"#;
    let in_use = r#"{"error": {"type": "idempotency_error"}}"#;
    for (status, body) in
        [(200, INTENT), (200, &with_status("sim_unknown")), (402, refusal), (400, in_use), (409, in_use)]
    {
        assert_eq!(classified(status, body).1, CallHealth::Ok, "{status} {body}");
    }
    for (status, body) in
        [(200, "<html>"), (204, ""), (302, ""), (401, refusal), (403, refusal), (404, "<html>"), (500, "")]
    {
        assert_eq!(classified(status, body).1, FAILING, "{status} {body}");
    }
}

#[test]
fn call_without_a_response_is_not_sent_or_unknown() {
    let (answer, health) = classify::<WireIntent>(None, Err(CallFailure::NotSent("refused".to_owned())));
    assert_eq!((answer.label(), health), ("not_sent", FAILING));
    let (answer, health) = classify::<WireIntent>(None, Err(CallFailure::NoResponse("reset".to_owned())));
    assert!(matches!(answer, ProviderResult::Unknown { answered: false, .. }));
    assert_eq!(health, FAILING);
}

#[test]
fn retry_after_is_part_of_the_health() {
    let retry_after = Duration::from_secs(7);
    for (status, body) in [(429, "{}"), (503, "")] {
        let response = CallResponse { status, body: body.as_bytes().to_vec(), retry_after: Some(retry_after) };
        assert_eq!(classify::<WireIntent>(None, Ok(response)).1, CallHealth::Failing { retry_after }, "{status}");
    }
}

#[test]
fn response_about_another_intent_is_an_error() {
    let intent = || serde_json::from_str::<WireIntent>(INTENT).expect("an intent");
    assert!(intent().read_as("pi_1").is_ok());
    assert!(intent().read_as("pi_2").is_err());
}
