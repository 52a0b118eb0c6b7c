use std::time::Duration;

use super::breaker::Health;
use super::*;
use crate::payments::machine::Status;
use crate::platform::egress::{Failure, Reply};

const INTENT: &str = r#"{"id": "pi_1", "status": "requires_capture", "amount": 500, "currency": "usd",
    "amount_capturable": 500, "amount_received": 0, "metadata": {"payment_id": "pay_1"}, "something": {"new": true}}"#;

fn heard(status: u16, body: &str) -> (Answer<ProviderIntent>, Health) {
    let reply = Reply { status, body: body.as_bytes().to_vec(), retry_after: None };
    let (answer, health) = classify(Ok(reply));
    (answer.and_then(WireIntent::read), health)
}

fn answer(status: u16, body: &str) -> Answer<ProviderIntent> {
    heard(status, body).0
}

const ILL: Health = Health::Ill { rest: Duration::ZERO };

fn with_status(status: &str) -> String {
    INTENT.replace("requires_capture", status)
}

#[test]
fn an_intent_that_we_understand_is_an_answer() {
    let seen = Seen { status: Status::Authorized, capturable: 500, received: 0, decline_code: None };
    assert_eq!(answer(200, INTENT), Answer::Done(ProviderIntent { id: "pi_1".to_owned(), seen }));
}

#[test]
fn what_nobody_recognises_is_unknown_and_was_answered() {
    let truncated = &INTENT[..INTENT.len() / 2];
    let odd = [(200, with_status("processing")), (200, with_status("requires_coffee")), (200, truncated.to_owned())];
    let server = [(500, String::new()), (502, "<html>".to_owned()), (302, String::new()), (404, "<html>".to_owned())];
    for (status, body) in odd.into_iter().chain(server) {
        assert!(matches!(answer(status, &body), Answer::Unknown { answered: true, .. }), "{status} {body}");
    }
}

#[test]
fn a_key_that_is_in_use_leaves_the_first_request_on_its_way() {
    let body = r#"{"error": {"type": "idempotency_error", "code": "idempotency_key_in_use"}}"#;
    assert!(matches!(answer(409, body), Answer::Unknown { answered: false, .. }));
}

#[test]
fn a_key_that_belongs_to_another_request_is_no_refusal_of_this_one() {
    let body = r#"{"error": {"type": "idempotency_error", "message": "Keys can only be used once."}}"#;
    assert!(matches!(answer(400, body), Answer::Unknown { answered: true, .. }));
}

#[test]
fn a_provider_that_did_nothing_was_not_reached() {
    for status in [401, 403, 429] {
        assert!(matches!(answer(status, "{}"), Answer::NotSent { .. }), "{status}");
    }
}

#[test]
fn a_refusal_has_the_banks_reason_if_there_is_one() {
    let code = |status, body: &str| match answer(status, body) {
        Answer::Refused { code, object: None } => code,
        other => panic!("{other:?}"),
    };
    let declined = r#"{"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}}"#;
    assert_eq!(code(402, declined), "lost_card");
    assert_eq!(code(402, r#"{"error": {"type": "card_error", "code": "expired_card"}}"#), "expired_card");
    assert_eq!(code(400, r#"{"error": {"type": "invalid_request_error"}}"#), "invalid_request_error");
}

#[test]
fn a_refusal_shows_the_intent_if_it_can() {
    let body = format!(
        r#"{{"error": {{"type": "invalid_request_error", "code": "payment_intent_unexpected_state", "payment_intent": {INTENT}}}}}"#
    );
    match answer(400, &body) {
        Answer::Refused { object: Some(intent), .. } => assert_eq!(intent.seen.status, Status::Authorized),
        other => panic!("{other:?}"),
    }
    match answer(400, &body.replace("requires_capture", "requires_coffee")) {
        Answer::Refused { object: None, .. } => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_refusal_is_only_what_says_so_in_the_providers_words() {
    for body in [r#"{"error": {"type": "api_error"}}"#, r#"{"error": {}}"#, r#"{"error": "no"}"#, "no", ""] {
        for status in [400, 404, 405, 408, 422, 424, 451] {
            assert!(matches!(heard(status, body), (Answer::Unknown { answered: true, .. }, ILL)), "{status} {body}");
        }
    }
}

#[test]
fn the_providers_health_is_judged_by_whether_it_answers_in_its_own_words() {
    let refusal = r#"{"error": {"type": "invalid_request_error"}}"#;
    let in_use = r#"{"error": {"type": "idempotency_error"}}"#;
    for (status, body) in
        [(200, INTENT), (200, &with_status("sim_mystery")), (402, refusal), (400, in_use), (409, in_use)]
    {
        assert_eq!(heard(status, body).1, Health::Well, "{status} {body}");
    }
    for (status, body) in
        [(200, "<html>"), (204, ""), (302, ""), (401, refusal), (403, refusal), (404, "<html>"), (500, "")]
    {
        assert_eq!(heard(status, body).1, ILL, "{status} {body}");
    }
}

#[test]
fn a_call_that_was_not_answered_was_not_sent_or_is_unknown() {
    let (answer, health) = classify::<WireIntent>(Err(Failure::NotSent("refused".to_owned())));
    assert_eq!((answer.label(), health), ("not_sent", ILL));
    let (answer, health) = classify::<WireIntent>(Err(Failure::NoAnswer("reset".to_owned())));
    assert!(matches!(answer, Answer::Unknown { answered: false, .. }));
    assert_eq!(health, ILL);
}

#[test]
fn who_wants_to_be_left_alone_is_believed() {
    let rest = Duration::from_secs(7);
    for (status, body) in [(429, "{}"), (503, "")] {
        let reply = Reply { status, body: body.as_bytes().to_vec(), retry_after: Some(rest) };
        assert_eq!(classify::<WireIntent>(Ok(reply)).1, Health::Ill { rest }, "{status}");
    }
}

#[test]
fn an_answer_about_something_else_says_nothing() {
    let intent = || serde_json::from_str::<WireIntent>(INTENT).expect("an intent");
    assert!(intent().read_as("pi_1").is_ok());
    assert!(intent().read_as("pi_2").is_err());
}
