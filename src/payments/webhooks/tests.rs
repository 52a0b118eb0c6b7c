use chrono::DateTime;

use super::*;

const BODY: &[u8] = br#"{"id":"evt_1"}"#;
const AT: i64 = 1_492_774_577;
/// Computed with `printf '%s' '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test`.
const VALID: &str = "7656fc2882a7ca0a651666b36bf2f2f22ee204f54f608f227498a2419f2890b2";
const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn secrets(text: &str) -> WebhookSecrets {
    WebhookSecrets::parse(text).expect("secrets")
}

fn check(header: &str, body: &[u8], seconds_later: i64) -> std::result::Result<(), InvalidSignature> {
    let now = MachineTime::new(DateTime::from_timestamp(AT + seconds_later, 0).expect("in range"));
    verify(&secrets("whsec_test"), header, body, now)
}

#[test]
fn signature_of_another_implementation_is_accepted() {
    assert_eq!(check(&format!("t={AT},v1={VALID}"), BODY, 0), Ok(()));
}

#[test]
fn one_valid_signature_of_several_is_enough() {
    assert_eq!(check(&format!("t={AT},v1={OTHER},v0={OTHER},v1={VALID}"), BODY, 0), Ok(()));
    assert_eq!(check(&format!("t={AT}, v1={VALID} ,v1={OTHER}"), BODY, 0), Ok(()));
}

#[test]
fn other_secret_body_timestamp_or_scheme_is_rejected() {
    let header = format!("t={AT},v1={VALID}");
    let now = MachineTime::new(DateTime::from_timestamp(AT, 0).expect("in range"));
    assert_eq!(verify(&secrets("whsec_other"), &header, BODY, now), Err(InvalidSignature::Signature));
    assert_eq!(check(&header, br#"{"id":"evt_2"}"#, 0), Err(InvalidSignature::Signature));
    assert_eq!(check(&format!("t={},v1={VALID}", AT + 1), BODY, 0), Err(InvalidSignature::Signature));
    assert_eq!(check(&format!("t={AT},v0={VALID}"), BODY, 0), Err(InvalidSignature::Header));
    assert_eq!(check(&format!("t={AT},v1={}", &VALID[..63]), BODY, 0), Err(InvalidSignature::Signature));
}

#[test]
fn malformed_header_is_rejected() {
    let without_value = format!("v1={VALID}");
    for header in ["", "t=", "t=soon,v1=00", "nonsense", &without_value, "t=1492774577"] {
        assert_eq!(check(header, BODY, 0), Err(InvalidSignature::Header), "{header}");
    }
}

#[test]
fn timestamp_more_than_five_minutes_off_is_rejected() {
    let header = format!("t={AT},v1={VALID}");
    for (seconds_later, expected) in [
        (TOLERANCE_S, Ok(())),
        (-TOLERANCE_S, Ok(())),
        (TOLERANCE_S + 1, Err(InvalidSignature::Timestamp)),
        (-TOLERANCE_S - 1, Err(InvalidSignature::Timestamp)),
    ] {
        assert_eq!(check(&header, BODY, seconds_later), expected, "{seconds_later} s");
    }
}

#[test]
fn signatures_after_the_eighth_are_ignored() {
    let many = format!("v1={OTHER},").repeat(SIGNATURES_MAX);
    assert_eq!(check(&format!("t={AT},{many}v1={VALID}"), BODY, 0), Err(InvalidSignature::Signature));
}

#[test]
fn both_secrets_are_valid_during_a_rotation() {
    let header = format!("t={AT},v1={VALID}");
    let now = MachineTime::new(DateTime::from_timestamp(AT, 0).expect("in range"));
    for both in ["whsec_new,whsec_test", "whsec_test, whsec_new"] {
        assert_eq!(verify(&secrets(both), &header, BODY, now), Ok(()), "{both}");
    }
    assert_eq!(verify(&secrets("whsec_new,whsec_newer"), &header, BODY, now), Err(InvalidSignature::Signature));
    for wrong in ["", ",", "whsec_test,", "a,b,c,d,e"] {
        assert!(WebhookSecrets::parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn intent_of_an_event_is_read_from_the_intent_or_its_charge_or_refund() {
    let of = |object: &str| {
        let body = format!(r#"{{"id": "evt_1", "type": "a.b", "data": {{"object": {object}}}}}"#);
        parse_event(body.as_bytes()).expect("an event").intent_id
    };
    assert_eq!(of(r#"{"object": "payment_intent", "id": "pi_1"}"#).as_deref(), Some("pi_1"));
    assert_eq!(of(r#"{"object": "refund", "id": "re_1", "payment_intent": "pi_1"}"#).as_deref(), Some("pi_1"));
    assert_eq!(of(r#"{"object": "customer", "id": "cus_1"}"#), None);
    assert_eq!(of(r#"{"object": "payment_intent", "id": "pi_\u0000"}"#), None);
    assert_eq!(of(&format!(r#"{{"payment_intent": "{}"}}"#, "x".repeat(256))), None);
}

#[test]
fn malformed_event_is_refused_with_the_field() {
    let cases = [
        ("[]", ""),
        ("{", ""),
        (r#"{"data": {"object": {}}}"#, "/id"),
        (r#"{"id": "", "data": {"object": {}}}"#, "/id"),
        (r#"{"id": "evt 1", "data": {"object": {}}}"#, "/id"),
        (r#"{"id": 1, "data": {"object": {}}}"#, "/id"),
        (r#"{"id": "evt_1"}"#, "/data"),
        (r#"{"id": "evt_1", "data": {"object": 1}}"#, "/data/object"),
    ];
    for (body, pointer) in cases {
        match parse_event(body.as_bytes()) {
            Err(crate::platform::error::Error::Refused(refusal)) => {
                assert_eq!((refusal.code, refusal.fields[0].pointer.as_str()), (Code::Malformed, pointer), "{body}");
            }
            other => panic!("{body} is {other:?}"),
        }
    }
}
