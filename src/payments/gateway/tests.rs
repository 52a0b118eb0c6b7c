use super::*;

const INTENT: &str = r#"{"id": "pi_1", "status": "requires_capture", "amount": 500, "currency": "usd",
    "amount_capturable": 500, "amount_received": 0, "metadata": {"payment_id": "pay_1"}, "something": {"new": true}}"#;

fn answer(status: u16, body: &str) -> Answer<ProviderIntent> {
    classify(&Reply { status, body: body.as_bytes().to_vec() }).and_then(WireIntent::read)
}

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
fn nothing_secret_is_shown() {
    let egress = Egress::new().expect("a client");
    let gateway = Gateway::new(egress, "https://example.org".to_owned(), "sk_live_secret".to_owned());
    assert!(!format!("{gateway:?}").contains("secret"));
}
