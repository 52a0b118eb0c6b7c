//! The client against faults of the provider: a result is neither a success nor a failure unless that is known.

use std::time::Duration;

use ridematch::payments::ProviderClient;
use ridematch::payments::provider::breaker::ProviderAvailability;
use ridematch::platform::config::ProviderConfig;
use ridematch::platform::egress::BODY_BYTES_MAX;

use crate::harness::{API_VERSION, free_address, until};
use crate::provider::server::{Reply, Server};
use crate::provider::{client_of, done, fare, not_sent, provider, refused, unknown};

pub const INTENT: &str = r#"{"id": "pi_1", "status": "requires_capture", "amount": 500, "currency": "usd",
    "amount_capturable": 500, "amount_received": 0, "metadata": {}}"#;

/// Returns a configuration with short time-outs.
fn with_short_timeouts(base_url: &str) -> ProviderConfig {
    ProviderConfig { connect_timeout_ms: 1_000, timeout_ms: 1_500, ..provider(base_url) }
}

async fn client_and_server(reply: Reply) -> (ProviderClient, Server) {
    let server = Server::always(reply).await;
    let (client, _) = client_of(&with_short_timeouts(&server.base_url));
    (client, server)
}

#[tokio::test]
async fn refused_connection_is_not_sent() {
    let (client, _) = client_of(&with_short_timeouts(&format!("http://{}", free_address())));
    let why = not_sent(client.confirm("pi_1", "key").await);
    assert!(why.contains("refused") && !why.contains("pi_1"), "{why}");
}

#[tokio::test]
async fn unresolvable_name_is_not_sent() {
    let (client, _) = client_of(&ProviderConfig {
        connect_timeout_ms: 5_000,
        timeout_ms: 5_000,
        ..provider("https://provider.invalid")
    });
    not_sent(client.confirm("pi_1", "key").await);
}

#[tokio::test]
async fn time_out_after_the_request_is_unknown() {
    let (client, server) = client_and_server(Reply::silence()).await;
    assert!(!unknown(client.confirm("pi_1", "key").await));
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn reset_is_unknown_and_not_retried_by_the_client() {
    for reply in [Reply::Reset, Reply::Closed] {
        let (client, server) = client_and_server(reply.clone()).await;
        assert!(!unknown(client.confirm("pi_1", "key").await), "{reply:?}");
        assert_eq!(server.requests().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn partial_response_is_unknown_and_unanswered() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    for half in ["HTTP/1.1 200 OK\r\n", head, &format!("{head}{{\"id\": \"pi_1\"")] {
        for reply in [Reply::Bytes(half.into()), Reply::BytesThenSilence(half.into())] {
            let (client, _server) = client_and_server(reply.clone()).await;
            assert!(!unknown(client.confirm("pi_1", "key").await), "{reply:?}");
        }
    }
}

#[tokio::test]
async fn unreadable_response_is_unknown_and_answered() {
    let unreadable = [
        Reply::json(200, &INTENT[..INTENT.len() / 2]),
        Reply::json(200, "null"),
        Reply::json(200, &INTENT.replace("requires_capture", "sim_unknown")),
        Reply::json(200, &INTENT.replace("pi_1", "pi_2")),
        Reply::json(200, &INTENT.replace("\"amount_capturable\": 500", "\"amount_capturable\": 500.0")),
        Reply::json(204, ""),
        Reply::json(500, INTENT),
        Reply::json(404, "<html>"),
        Reply::json(424, r#"{"error": {"type": "api_error"}}"#),
    ];
    for reply in unreadable {
        let (client, _server) = client_and_server(reply.clone()).await;
        assert!(unknown(client.confirm("pi_1", "key").await), "{reply:?}");
    }
}

#[tokio::test]
async fn response_in_another_protocol_is_unknown_and_unanswered() {
    let (client, _server) = client_and_server(Reply::Bytes(b"+OK ready\r\n".to_vec())).await;
    assert!(!unknown(client.confirm("pi_1", "key").await));
}

#[tokio::test]
async fn endless_response_is_read_to_its_bound() {
    let long = format!("{{\"id\": \"{}\"}}", "x".repeat(BODY_BYTES_MAX + 1));
    // It announces more than it sends, and stays open: a client that reads on waits for the time-out.
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * long.len());
    let server = Server::always(Reply::BytesThenSilence((head + &long).into())).await;
    let (client, _) = client_of(&provider(&server.base_url));
    let answer = tokio::time::timeout(Duration::from_secs(8), client.confirm("pi_1", "key")).await;
    assert!(unknown(answer.expect("not read to its end")));
}

#[tokio::test]
async fn redirect_is_not_followed() {
    let elsewhere = Server::always(Reply::json(200, INTENT)).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("Location: {}/v1/payment_intents/pi_1\r\n", elsewhere.base_url);
        let (client, server) = client_and_server(Reply::with(status, &location, "")).await;
        assert!(unknown(client.confirm("pi_1", "key").await), "{status}");
        assert!(unknown(client.intent("pi_1").await), "{status}");
        assert_eq!(server.requests().len(), 2);
    }
    assert_eq!(elsewhere.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn unauthorized_or_rate_limited_request_is_not_sent() {
    for status in [401, 403, 429] {
        let (client, _server) =
            client_and_server(Reply::json(status, r#"{"error": {"type": "invalid_request_error"}}"#)).await;
        not_sent(client.confirm("pi_1", "key").await);
    }
}

#[tokio::test]
async fn intent_with_another_amount_is_unknown() {
    for (amount, currency) in [(500, "EUR"), (501, "USD")] {
        let server = Server::always(Reply::json(200, INTENT)).await;
        let (client, platform) = client_of(&with_short_timeouts(&server.base_url));
        let payment = fare(&platform, amount, currency, "pm_card_visa");
        assert!(unknown(client.create(&payment, "key").await), "{amount} {currency}");
    }
}

#[tokio::test]
async fn breaker_opens_after_five_failures_and_closes_after_a_successful_probe() {
    let is_available = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let shared = std::sync::Arc::clone(&is_available);
    let server = Server::start(move |_| {
        let is_available = shared.load(std::sync::atomic::Ordering::Relaxed);
        if is_available { Reply::json(200, INTENT) } else { Reply::json(500, "") }
    })
    .await;
    let (client, platform) = client_of(&with_short_timeouts(&server.base_url));
    for _ in 0..5 {
        assert_eq!(client.availability(), ProviderAvailability::Available);
        assert!(unknown(client.intent("pi_1").await));
    }
    assert!(matches!(client.availability(), ProviderAvailability::Unavailable(_)));
    let breaker = || platform.metrics.psp_breaker_state.with_label_values(&["settlement"]).get();
    assert_eq!(breaker(), 2);
    assert!(not_sent(client.intent("pi_1").await).contains("circuit breaker is open"));
    assert_eq!(server.requests().len(), 5);
    until("the open duration is over", async || (client.availability() == ProviderAvailability::Probe).then_some(()))
        .await;
    assert!(unknown(client.intent("pi_1").await));
    assert!(matches!(client.availability(), ProviderAvailability::Unavailable(_)));
    is_available.store(true, std::sync::atomic::Ordering::Relaxed);
    until("the open duration is over", async || (client.availability() == ProviderAvailability::Probe).then_some(()))
        .await;
    done(client.intent("pi_1").await);
    assert_eq!((client.availability(), breaker()), (ProviderAvailability::Available, 0));
    assert_eq!(server.requests().len(), 7);
    let text = String::from_utf8(platform.metrics.render().unwrap()).unwrap();
    for line in [
        "ridematch_psp_breaker_state{pool=\"settlement\"} 0",
        "ridematch_psp_breaker_transitions_total{pool=\"settlement\",to=\"open\"} 2",
        "ridematch_psp_breaker_transitions_total{pool=\"settlement\",to=\"half_open\"} 2",
        "ridematch_psp_breaker_transitions_total{pool=\"settlement\",to=\"closed\"} 1",
        "ridematch_provider_call_duration_seconds_count{operation=\"get\",outcome=\"unknown\"} 6",
        "ridematch_provider_call_duration_seconds_count{operation=\"get\",outcome=\"done\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn refusals_do_not_open_the_breaker() {
    let declined = r#"{"error": {"type": "card_error", "code": "card_declined", "decline_code": "lost_card"}}"#;
    let (client, server) = client_and_server(Reply::json(402, declined)).await;
    for _ in 0..30 {
        assert_eq!(refused(client.confirm("pi_1", "key").await), "lost_card");
    }
    assert_eq!((server.requests().len(), client.availability()), (30, ProviderAvailability::Available));
}

#[tokio::test]
async fn retry_after_is_honored() {
    let (client, server) = client_and_server(Reply::with(429, "Retry-After: 30\r\n", "{}")).await;
    for _ in 0..6 {
        not_sent(client.intent("pi_1").await);
    }
    assert_eq!(server.requests().len(), 5);
    match client.availability() {
        ProviderAvailability::Unavailable(duration) => assert!(duration.num_seconds() >= 29, "{duration:?}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn request_has_the_secret_key_and_debug_output_has_not() {
    let (client, server) = client_and_server(Reply::json(200, INTENT)).await;
    done(client.capture("pi_1", 500, "key-1").await);
    let request = server.requests().remove(0).to_lowercase();
    assert!(request.starts_with("post /v1/payment_intents/pi_1/capture http/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: bearer sk_test_harness\r\n"), "{request}");
    assert!(request.contains("idempotency-key: key-1\r\n"), "{request}");
    assert!(request.contains(&format!("stripe-version: {API_VERSION}\r\n")), "{request}");
    assert!(request.ends_with("\r\n\r\namount_to_capture=500"), "{request}");
    assert!(!format!("{client:?}").contains("sk_test"));
}
