//! What the gateway makes of a provider's bad days: never a success, never a failure, where neither is known.

use std::time::Duration;

use ridematch::payments::Gateway;
use ridematch::payments::gateway::breaker::Outlook;
use ridematch::platform::config::ProviderConfig;
use ridematch::platform::egress::BODY_BYTES_MAX;

use crate::harness::{free_address, until};
use crate::server::{Fate, Server};
use crate::{done, fare, gateway, not_sent, provider, refused, unknown};

pub const INTENT: &str = r#"{"id": "pi_1", "status": "requires_capture", "amount": 500, "currency": "usd",
    "amount_capturable": 500, "amount_received": 0, "metadata": {}}"#;

/// Short time-outs, so that the test is short as well.
fn impatient(base_url: &str) -> ProviderConfig {
    ProviderConfig { connect_timeout_ms: 300, timeout_ms: 500, ..provider(base_url) }
}

async fn calling(fate: Fate) -> (Gateway, Server) {
    let server = Server::always(fate).await;
    let (gateway, _) = gateway(&impatient(&server.base_url));
    (gateway, server)
}

#[tokio::test]
async fn nobody_listens() {
    let (gateway, _) = gateway(&impatient(&format!("http://{}", free_address())));
    let why = not_sent(gateway.confirm("pi_1", "key").await);
    assert!(why.contains("refused") && !why.contains("pi_1"), "{why}");
}

#[tokio::test]
async fn a_name_that_is_nobodys() {
    let (gateway, _) =
        gateway(&ProviderConfig { connect_timeout_ms: 5_000, timeout_ms: 5_000, ..provider("https://nobody.invalid") });
    not_sent(gateway.confirm("pi_1", "key").await);
}

#[tokio::test]
async fn silence_once_the_request_is_out_is_unknown() {
    let (gateway, server) = calling(Fate::silence()).await;
    assert!(!unknown(gateway.confirm("pi_1", "key").await));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_reset_is_unknown_and_nothing_is_sent_again_behind_our_back() {
    for fate in [Fate::Reset, Fate::Closed] {
        let (gateway, server) = calling(fate.clone()).await;
        assert!(!unknown(gateway.confirm("pi_1", "key").await), "{fate:?}");
        assert_eq!(server.requests().len(), 1, "{fate:?}");
    }
}

#[tokio::test]
async fn half_an_answer_is_none() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    for half in ["HTTP/1.1 200 OK\r\n", head, &format!("{head}{{\"id\": \"pi_1\"")] {
        for fate in [Fate::Bytes(half.into()), Fate::BytesThenSilence(half.into())] {
            let (gateway, _server) = calling(fate.clone()).await;
            assert!(!unknown(gateway.confirm("pi_1", "key").await), "{fate:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_can_read_was_one() {
    let strange = [
        Fate::json(200, &INTENT[..INTENT.len() / 2]),
        Fate::json(200, "null"),
        Fate::json(200, &INTENT.replace("requires_capture", "sim_mystery")),
        Fate::json(200, &INTENT.replace("pi_1", "pi_2")),
        Fate::json(200, &INTENT.replace("\"amount_capturable\": 500", "\"amount_capturable\": 500.0")),
        Fate::json(204, ""),
        Fate::json(500, INTENT),
        Fate::json(404, "<html>"),
        Fate::json(424, r#"{"error": {"type": "api_error"}}"#),
    ];
    for fate in strange {
        let (gateway, _server) = calling(fate.clone()).await;
        assert!(unknown(gateway.confirm("pi_1", "key").await), "{fate:?}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_no_answer() {
    let (gateway, _server) = calling(Fate::Bytes(b"+OK ready\r\n".to_vec())).await;
    assert!(!unknown(gateway.confirm("pi_1", "key").await));
}

#[tokio::test]
async fn an_answer_without_end_is_read_to_its_bound() {
    let long = format!("{{\"id\": \"{}\"}}", "x".repeat(BODY_BYTES_MAX + 1));
    // It promises more than it sends, and stays: whoever reads on waits for the time-out.
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * long.len());
    let server = Server::always(Fate::BytesThenSilence((head + &long).into())).await;
    let (gateway, _) = gateway(&provider(&server.base_url));
    let answer = tokio::time::timeout(Duration::from_secs(8), gateway.confirm("pi_1", "key")).await;
    assert!(unknown(answer.expect("not read to its end")));
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_the_key_stays_here() {
    let elsewhere = Server::always(Fate::json(200, INTENT)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}/v1/payment_intents/pi_1\r\n", elsewhere.base_url);
        let (gateway, server) = calling(Fate::with(status, &location, "")).await;
        assert!(unknown(gateway.confirm("pi_1", "key").await), "{status}");
        assert!(unknown(gateway.intent("pi_1").await), "{status}");
        assert_eq!(server.requests().len(), 2);
    }
    assert_eq!(elsewhere.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn a_provider_that_does_not_want_us_did_nothing() {
    for status in [401, 403, 429] {
        let (gateway, _server) = calling(Fate::json(status, r#"{"error": {"type": "invalid_request_error"}}"#)).await;
        not_sent(gateway.confirm("pi_1", "key").await);
    }
}

#[tokio::test]
async fn an_intent_for_another_sum_is_not_ours() {
    for (amount, currency) in [(500, "EUR"), (501, "USD")] {
        let server = Server::always(Fate::json(200, INTENT)).await;
        let (gateway, platform) = gateway(&impatient(&server.base_url));
        let payment = fare(&platform, amount, currency, "pm_card_visa");
        assert!(unknown(gateway.create(&payment, "key").await), "{amount} {currency}");
    }
}

#[tokio::test]
async fn five_ill_answers_and_the_provider_is_left_alone_until_one_call_finds_it_well() {
    let is_well = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let shared = std::sync::Arc::clone(&is_well);
    let server = Server::start(move |_| {
        let well = shared.load(std::sync::atomic::Ordering::Relaxed);
        if well { Fate::json(200, INTENT) } else { Fate::json(500, "") }
    })
    .await;
    let (gateway, platform) = gateway(&impatient(&server.base_url));
    for _ in 0..5 {
        assert_eq!(gateway.outlook(), Outlook::Flow);
        assert!(unknown(gateway.intent("pi_1").await));
    }
    assert!(matches!(gateway.outlook(), Outlook::Wait(_)));
    assert_eq!(platform.metrics.psp_breaker_state.get(), 2);
    assert!(not_sent(gateway.intent("pi_1").await).contains("held back"));
    assert_eq!(server.requests().len(), 5);
    until("it has rested", async || (gateway.outlook() == Outlook::Probe).then_some(())).await;
    assert!(unknown(gateway.intent("pi_1").await));
    assert!(matches!(gateway.outlook(), Outlook::Wait(_)));
    is_well.store(true, std::sync::atomic::Ordering::Relaxed);
    until("it has rested", async || (gateway.outlook() == Outlook::Probe).then_some(())).await;
    done(gateway.intent("pi_1").await);
    assert_eq!((gateway.outlook(), platform.metrics.psp_breaker_state.get()), (Outlook::Flow, 0));
    assert_eq!(server.requests().len(), 7);
    let text = String::from_utf8(platform.metrics.render().unwrap()).unwrap();
    for line in [
        "ridematch_psp_breaker_state 0",
        "ridematch_psp_breaker_transitions_total{to=\"open\"} 2",
        "ridematch_psp_breaker_transitions_total{to=\"half_open\"} 2",
        "ridematch_psp_breaker_transitions_total{to=\"closed\"} 1",
        "ridematch_provider_call_duration_seconds_count{operation=\"get\",outcome=\"unknown\"} 6",
        "ridematch_provider_call_duration_seconds_count{operation=\"get\",outcome=\"done\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn refusals_are_no_illness() {
    let declined = r#"{"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}}"#;
    let (gateway, server) = calling(Fate::json(402, declined)).await;
    for _ in 0..30 {
        assert_eq!(refused(gateway.confirm("pi_1", "key").await), "lost_card");
    }
    assert_eq!((server.requests().len(), gateway.outlook()), (30, Outlook::Flow));
}

#[tokio::test]
async fn a_provider_that_says_when_to_come_back_is_left_alone_until_then() {
    let (gateway, server) = calling(Fate::with(429, "Retry-After: 30\r\n", "{}")).await;
    for _ in 0..6 {
        not_sent(gateway.intent("pi_1").await);
    }
    assert_eq!(server.requests().len(), 5);
    match gateway.outlook() {
        Outlook::Wait(rest) => assert!(rest.num_seconds() >= 29, "{rest:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_key_and_nothing_else_is_sent_and_never_shown() {
    let (gateway, server) = calling(Fate::json(200, INTENT)).await;
    done(gateway.capture("pi_1", 500, "key-1").await);
    let request = server.requests().remove(0).to_lowercase();
    assert!(request.starts_with("post /v1/payment_intents/pi_1/capture http/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: bearer sk_test_harness\r\n"), "{request}");
    assert!(request.contains("idempotency-key: key-1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\namount_to_capture=500"), "{request}");
    assert!(!format!("{gateway:?}").contains("sk_test"));
}
