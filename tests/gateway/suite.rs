//! What every provider that speaks the protocol has to do. What one of them is known to lack is said by
//! `GATEWAY_TEST_LACKS`, and skipped aloud:
//!
//! - `idempotency`: it has no keys, and does everything anew;
//! - `created_filter`: its list cannot be asked for a time;
//! - `amounts`: its intents don't say what can be captured, nor what was;
//! - `guards`: it captures what was given up, and gives back more than was taken.

use std::env;

use ridematch::payments::gateway::ProviderIntent;
use ridematch::payments::machine::Status;
use ridematch::payments::machine::refund::Status as RefundStatus;
use ridematch::payments::{Gateway, books};
use ridematch::platform::Platform;
use ridematch::platform::config::ProviderConfig;
use ridematch::platform::secret::Secret;
use tempfile::TempDir;

use crate::harness::PSP_SECRET;
use crate::{done, fare, gateway, key, not_sent, provider, refund_of, refused};

struct Suite {
    gateway: Gateway,
    platform: Platform,
    config: ProviderConfig,
    lacks: String,
    declined: String,
    _sim: Option<(psp_sim::Running, TempDir)>,
}

impl Suite {
    async fn start() -> Self {
        let (config, sim) = match env::var("GATEWAY_TEST_BASE_URL") {
            Ok(url) => {
                let secret = env::var("GATEWAY_TEST_SECRET_KEY").unwrap_or_else(|_| "sk_test_12345".to_owned());
                (ProviderConfig { secret_key: Secret::new(secret), ..provider(&url) }, None)
            }
            Err(_) => {
                let books = tempfile::tempdir().unwrap();
                let sim = psp_sim::start(psp_sim::Settings::new(books.path(), PSP_SECRET)).await.unwrap();
                (provider(&format!("http://{}", sim.address())), Some((sim, books)))
            }
        };
        let (gateway, platform) = gateway(&config);
        let lacks = env::var("GATEWAY_TEST_LACKS").unwrap_or_default();
        let declined = env::var("GATEWAY_TEST_DECLINED").unwrap_or_else(|_| "pm_card_chargeDeclined".to_owned());
        Self { gateway, platform, config, lacks, declined, _sim: sim }
    }

    /// Whether the provider is known to lack something; says so.
    fn lacks(&self, what: &str) -> bool {
        let lacks = self.lacks.split(',').any(|lacked| lacked == what);
        if lacks {
            eprintln!("skipped: {} lacks {what}", self.config.base_url);
        }
        lacks
    }

    fn key(&self) -> String {
        key(&self.platform)
    }

    /// An intent whose amount is reserved.
    async fn authorized(&self, amount: i64, currency: &str) -> ProviderIntent {
        let fare = fare(&self.platform, amount, currency, "pm_card_visa");
        let made = done(self.gateway.create(&fare, &self.key()).await);
        done(self.gateway.confirm(&made.id, &self.key()).await)
    }
}

#[tokio::test]
async fn an_intent_is_made_unconfirmed_and_moves_no_money() {
    let suite = Suite::start().await;
    let fare = fare(&suite.platform, 1_250, "USD", "pm_card_visa");
    let made = done(suite.gateway.create(&fare, &suite.key()).await);
    assert!(made.id.starts_with("pi_"));
    assert_eq!((made.seen.status, made.seen.capturable, made.seen.received), (Status::Unconfirmed, 0, 0));
    assert_eq!(done(suite.gateway.intent(&made.id).await), made);
    let canceled = done(suite.gateway.cancel(&made.id, &suite.key()).await);
    assert_eq!(canceled.seen.status, Status::Canceled);
    // A late confirmation of what was given up fails.
    refused(suite.gateway.confirm(&made.id, &suite.key()).await);
}

#[tokio::test]
async fn a_part_is_captured_and_the_rest_released() {
    let suite = Suite::start().await;
    let held = suite.authorized(1_250, "USD").await;
    assert_eq!(held.seen.status, Status::Authorized);
    let captured = done(suite.gateway.capture(&held.id, 1_100, &suite.key()).await);
    assert_eq!(captured.seen.status, Status::Succeeded);
    if !suite.lacks("amounts") {
        assert_eq!((held.seen.capturable, held.seen.received), (1_250, 0));
        assert_eq!((captured.seen.capturable, captured.seen.received), (0, 1_100));
    }
    refused(suite.gateway.capture(&held.id, 150, &suite.key()).await);
    refused(suite.gateway.cancel(&held.id, &suite.key()).await);
}

#[tokio::test]
async fn what_is_reserved_can_be_released() {
    let suite = Suite::start().await;
    let held = suite.authorized(1_250, "USD").await;
    assert_eq!(done(suite.gateway.cancel(&held.id, &suite.key()).await).seen.status, Status::Canceled);
    if !suite.lacks("guards") {
        refused(suite.gateway.capture(&held.id, 1_250, &suite.key()).await);
    }
    assert_eq!(done(suite.gateway.intent(&held.id).await).seen.status, Status::Canceled);
}

#[tokio::test]
async fn a_declined_card_is_a_refusal_and_the_intent_says_so() {
    let suite = Suite::start().await;
    let fare = fare(&suite.platform, 1_250, "USD", &suite.declined);
    let made = done(suite.gateway.create(&fare, &suite.key()).await);
    let code = refused(suite.gateway.confirm(&made.id, &suite.key()).await);
    assert!(code.ends_with("_decline") || code.ends_with("_declined"), "{code}");
    let seen = done(suite.gateway.intent(&made.id).await).seen;
    assert_eq!(seen.status, Status::MethodRefused);
    assert!(seen.decline_code.is_some());
}

#[tokio::test]
async fn money_goes_back_in_parts() {
    let suite = Suite::start().await;
    let payment = fare(&suite.platform, 1_250, "USD", "pm_card_visa");
    let made = done(suite.gateway.create(&payment, &suite.key()).await);
    done(suite.gateway.confirm(&made.id, &suite.key()).await);
    done(suite.gateway.capture(&made.id, 1_250, &suite.key()).await);
    let (first, second) = (refund_of(&suite.platform, &payment, 250), refund_of(&suite.platform, &payment, 400));
    assert_eq!(done(suite.gateway.find_refund(&first, &made.id).await), None);
    let back = done(suite.gateway.refund(&first, &made.id, &suite.key()).await);
    assert_eq!(back.status, RefundStatus::Succeeded);
    done(suite.gateway.refund(&second, &made.id, &suite.key()).await);
    assert_eq!(done(suite.gateway.look_at_refund(&back.id).await), back);
    assert_eq!(done(suite.gateway.find_refund(&first, &made.id).await), Some(back));
    if !suite.lacks("guards") {
        refused(suite.gateway.refund(&refund_of(&suite.platform, &payment, 601), &made.id, &suite.key()).await);
    }
}

#[tokio::test]
async fn an_intent_is_found_by_what_it_was_made_for() {
    let suite = Suite::start().await;
    let since = suite.platform.clock.machine();
    let payment = fare(&suite.platform, 1_250, "USD", "pm_card_visa");
    if suite.lacks("created_filter") {
        return;
    }
    assert_eq!(done(suite.gateway.find_intent(&payment, since).await), None);
    let made = done(suite.gateway.create(&payment, &suite.key()).await);
    assert_eq!(done(suite.gateway.find_intent(&payment, since).await), Some(made));
}

#[tokio::test]
async fn the_books_are_read_past_their_first_page() {
    let suite = Suite::start().await;
    let mut ours = Vec::new();
    for _ in 0..101 {
        let payment = fare(&suite.platform, 100, "USD", "pm_card_visa");
        done(suite.gateway.create(&payment, &suite.key()).await);
        ours.push(payment.id);
    }
    let books = books(&suite.gateway, None).await.unwrap();
    for id in ours {
        let booked: Vec<_> = books.intents.iter().filter(|intent| intent.payment_id == Some(id)).collect();
        assert_eq!(booked.len(), 1, "{id}");
        assert_eq!((booked[0].amount, booked[0].currency.as_str()), (100, "USD"));
    }
}

#[tokio::test]
async fn the_same_request_under_the_same_key_is_the_same_intent() {
    let suite = Suite::start().await;
    if suite.lacks("idempotency") {
        return;
    }
    let (payment, key) = (fare(&suite.platform, 1_250, "USD", "pm_card_visa"), suite.key());
    let made = done(suite.gateway.create(&payment, &key).await);
    assert_eq!(done(suite.gateway.create(&payment, &key).await), made);
    let (confirmed_by, captured_by, refunded_by) = (suite.key(), suite.key(), suite.key());
    let confirmed = done(suite.gateway.confirm(&made.id, &confirmed_by).await);
    assert_eq!(done(suite.gateway.confirm(&made.id, &confirmed_by).await), confirmed);
    let captured = done(suite.gateway.capture(&made.id, 1_000, &captured_by).await);
    assert_eq!(done(suite.gateway.capture(&made.id, 1_000, &captured_by).await), captured);
    let refund = refund_of(&suite.platform, &payment, 600);
    let back = done(suite.gateway.refund(&refund, &made.id, &refunded_by).await);
    // Twice 600 of 1,000 would be refused, or worse.
    assert_eq!(done(suite.gateway.refund(&refund, &made.id, &refunded_by).await), back);
}

#[tokio::test]
async fn a_key_that_belongs_to_another_request_is_neither_done_nor_refused() {
    let suite = Suite::start().await;
    if suite.lacks("idempotency") {
        return;
    }
    let (payment, key) = (fare(&suite.platform, 1_250, "USD", "pm_card_visa"), suite.key());
    done(suite.gateway.create(&payment, &key).await);
    let other = fare(&suite.platform, 1_300, "USD", "pm_card_visa");
    assert!(crate::unknown(suite.gateway.create(&other, &key).await));
}

#[tokio::test]
async fn a_refusal_that_was_stored_is_replayed() {
    let suite = Suite::start().await;
    if suite.lacks("idempotency") {
        return;
    }
    let fare = fare(&suite.platform, 1_250, "USD", &suite.declined);
    let made = done(suite.gateway.create(&fare, &suite.key()).await);
    let key = suite.key();
    let first = refused(suite.gateway.confirm(&made.id, &key).await);
    assert_eq!(refused(suite.gateway.confirm(&made.id, &key).await), first);
}

#[tokio::test]
async fn amounts_are_sent_as_they_are_in_every_currency() {
    let suite = Suite::start().await;
    // ¥500, ₩12,500 and 5.120 dinars: the same integers on both sides, whatever a minor unit is.
    for (amount, currency) in [(500, "JPY"), (12_500, "KRW"), (5_120, "KWD"), (500, "ISK"), (1_234, "EUR")] {
        let payment = fare(&suite.platform, amount, currency, "pm_card_visa");
        let made = done(suite.gateway.create(&payment, &suite.key()).await);
        let books = books(&suite.gateway, None).await.unwrap();
        let booked = books.intents.iter().find(|intent| intent.id == made.id).unwrap();
        assert_eq!((booked.amount, booked.currency.as_str()), (amount, currency));
    }
}

#[tokio::test]
async fn an_amount_that_cannot_be_paid_is_refused_and_not_rounded() {
    let suite = Suite::start().await;
    for (amount, currency) in [(5_124, "KWD"), (550, "ISK"), (1, "UGX")] {
        let payment = fare(&suite.platform, amount, currency, "pm_card_visa");
        assert_eq!(refused(suite.gateway.create(&payment, &suite.key()).await), "amount_not_payable");
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_and_a_wrong_key_was_not_heard() {
    let suite = Suite::start().await;
    refused(suite.gateway.intent("pi_of_nobody").await);
    refused(suite.gateway.look_at_refund("re_of_nobody").await);
    let (stranger, _) = gateway(&ProviderConfig { secret_key: Secret::new("pk_wrong"), ..suite.config.clone() });
    not_sent(stranger.intent("pi_of_nobody").await);
}
