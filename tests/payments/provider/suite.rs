//! The conformance suite of a provider. `PROVIDER_TEST_LACKS` lists what a provider is known to lack; those checks are skipped with a
//! message:
//!
//! - `idempotency`: it ignores idempotency keys;
//! - `created_filter`: its list has no filter by time;
//! - `amounts`: its intents have no capturable and no captured amount;
//! - `guards`: it captures cancelled intents, and refunds more than was captured.

use std::env;

use ridematch::payments::provider::ProviderIntent;
use ridematch::payments::state_machine::IntentStatus;
use ridematch::payments::state_machine::refund::ProviderRefundStatus as RefundStatus;
use ridematch::payments::{CreatedRange, IntentRecord, ProviderClient, RecordList, record_page};
use ridematch::platform::Platform;
use ridematch::platform::config::ProviderConfig;
use ridematch::platform::secret::Secret;
use tempfile::TempDir;

use crate::harness::PSP_SECRET;
use crate::provider::{client_of, done, fare, key, not_sent, provider, refund_of, refused, rejected};

struct Suite {
    client: ProviderClient,
    platform: Platform,
    config: ProviderConfig,
    lacks: String,
    declined: String,
    _sim: Option<(psp_sim::Running, TempDir)>,
}

impl Suite {
    async fn start() -> Self {
        let (config, sim) = match env::var("PROVIDER_TEST_BASE_URL") {
            Ok(url) => {
                let secret = env::var("PROVIDER_TEST_SECRET_KEY").unwrap_or_else(|_| "sk_test_12345".to_owned());
                (ProviderConfig { secret_key: Secret::new(secret), ..provider(&url) }, None)
            }
            Err(_) => {
                let data_dir = tempfile::tempdir().unwrap();
                let sim = psp_sim::start(psp_sim::Settings::new(data_dir.path(), PSP_SECRET)).await.unwrap();
                (provider(&format!("http://{}", sim.address())), Some((sim, data_dir)))
            }
        };
        let (client, platform) = client_of(&config);
        let lacks = env::var("PROVIDER_TEST_LACKS").unwrap_or_default();
        let declined = env::var("PROVIDER_TEST_DECLINED").unwrap_or_else(|_| "pm_card_chargeDeclined".to_owned());
        Self { client, platform, config, lacks, declined, _sim: sim }
    }

    /// Returns whether the provider is known to lack something, and prints that.
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

    /// Returns an authorized intent.
    async fn authorized(&self, amount: i64, currency: &str) -> ProviderIntent {
        let fare = fare(&self.platform, amount, currency, "pm_card_visa");
        let made = done(self.client.create(&fare, &self.key()).await);
        done(self.client.confirm(&made.id, &self.key()).await)
    }
}

#[tokio::test]
async fn created_intent_is_unconfirmed_and_moves_no_money() {
    let suite = Suite::start().await;
    let fare = fare(&suite.platform, 1_250, "USD", "pm_card_visa");
    let made = done(suite.client.create(&fare, &suite.key()).await);
    assert!(made.id.starts_with("pi_"));
    assert_eq!(
        (made.snapshot.status, made.snapshot.capturable, made.snapshot.received),
        (IntentStatus::Unconfirmed, 0, 0)
    );
    assert_eq!(done(suite.client.intent(&made.id).await), made);
    let canceled = done(suite.client.cancel(&made.id, &suite.key()).await);
    assert_eq!(canceled.snapshot.status, IntentStatus::Canceled);
    // A late confirmation of a cancelled intent fails.
    refused(suite.client.confirm(&made.id, &suite.key()).await);
}

#[tokio::test]
async fn partial_capture_releases_the_rest() {
    let suite = Suite::start().await;
    let held = suite.authorized(1_250, "USD").await;
    assert_eq!(held.snapshot.status, IntentStatus::Authorized);
    let captured = done(suite.client.capture(&held.id, 1_100, &suite.key()).await);
    assert_eq!(captured.snapshot.status, IntentStatus::Succeeded);
    if !suite.lacks("amounts") {
        assert_eq!((held.snapshot.capturable, held.snapshot.received), (1_250, 0));
        assert_eq!((captured.snapshot.capturable, captured.snapshot.received), (0, 1_100));
    }
    rejected(suite.client.capture(&held.id, 150, &suite.key()).await);
    rejected(suite.client.cancel(&held.id, &suite.key()).await);
}

#[tokio::test]
async fn authorization_can_be_cancelled() {
    let suite = Suite::start().await;
    let held = suite.authorized(1_250, "USD").await;
    assert_eq!(done(suite.client.cancel(&held.id, &suite.key()).await).snapshot.status, IntentStatus::Canceled);
    if !suite.lacks("guards") {
        rejected(suite.client.capture(&held.id, 1_250, &suite.key()).await);
    }
    assert_eq!(done(suite.client.intent(&held.id).await).snapshot.status, IntentStatus::Canceled);
}

#[tokio::test]
async fn declined_card_is_refused_and_shown_by_the_intent() {
    let suite = Suite::start().await;
    let fare = fare(&suite.platform, 1_250, "USD", &suite.declined);
    let made = done(suite.client.create(&fare, &suite.key()).await);
    let code = refused(suite.client.confirm(&made.id, &suite.key()).await);
    assert!(code.ends_with("_decline") || code.ends_with("_declined"), "{code}");
    let seen = done(suite.client.intent(&made.id).await).snapshot;
    assert_eq!(seen.status, IntentStatus::MethodRefused);
    assert!(seen.decline_code.is_some());
}

#[tokio::test]
async fn partial_refunds_are_made_and_found() {
    let suite = Suite::start().await;
    let payment = fare(&suite.platform, 1_250, "USD", "pm_card_visa");
    let made = done(suite.client.create(&payment, &suite.key()).await);
    done(suite.client.confirm(&made.id, &suite.key()).await);
    done(suite.client.capture(&made.id, 1_250, &suite.key()).await);
    let (first, second) = (refund_of(&suite.platform, &payment, 250), refund_of(&suite.platform, &payment, 400));
    assert_eq!(done(suite.client.find_refund(&first, &made.id).await), None);
    let back = done(suite.client.refund(&first, &made.id, &suite.key()).await);
    assert_eq!(back.status, RefundStatus::Succeeded);
    done(suite.client.refund(&second, &made.id, &suite.key()).await);
    assert_eq!(done(suite.client.refund_status(&back.id).await), back);
    assert_eq!(done(suite.client.find_refund(&first, &made.id).await), Some(back));
    if !suite.lacks("guards") {
        refused(suite.client.refund(&refund_of(&suite.platform, &payment, 601), &made.id, &suite.key()).await);
    }
}

#[tokio::test]
async fn intent_is_found_by_its_payment() {
    let suite = Suite::start().await;
    let now = suite.platform.clock.machine();
    let payment = fare(&suite.platform, 1_250, "USD", "pm_card_visa");
    if suite.lacks("created_filter") {
        return;
    }
    assert_eq!(done(suite.client.find_intent(&payment, (now, now)).await), None);
    let made = done(suite.client.create(&payment, &suite.key()).await);
    assert_eq!(done(suite.client.find_intent(&payment, (now, now)).await), Some(made));
    // The window of the attempts has two ends, each wider than the difference of two clocks.
    let hour = chrono::TimeDelta::hours(1);
    for window in [(now - hour, now - hour), (now + hour, now + hour)] {
        assert_eq!(done(suite.client.find_intent(&payment, window).await), None, "{window:?}");
    }
}

/// Returns the intents in the provider's records.
async fn all_intents(client: &ProviderClient) -> Vec<IntentRecord> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = record_page(client, RecordList::Intents, CreatedRange::default(), after).await.unwrap();
        all.extend(page.0.intents);
        after = page.1;
        if after.is_none() {
            return all;
        }
    }
}

#[tokio::test]
async fn records_are_read_past_the_first_page() {
    let suite = Suite::start().await;
    let mut ours = Vec::new();
    for _ in 0..101 {
        let payment = fare(&suite.platform, 100, "USD", "pm_card_visa");
        done(suite.client.create(&payment, &suite.key()).await);
        ours.push(payment.id);
    }
    if suite.lacks("disputes") {
        return;
    }
    let intents = all_intents(&suite.client).await;
    for id in ours {
        let booked: Vec<_> = intents.iter().filter(|intent| intent.payment_id == Some(id)).collect();
        assert_eq!(booked.len(), 1, "{id}");
        assert_eq!((booked[0].amount, booked[0].currency.as_str()), (100, "USD"));
    }
}

#[tokio::test]
async fn repeat_under_the_same_key_is_the_same_intent() {
    let suite = Suite::start().await;
    if suite.lacks("idempotency") {
        return;
    }
    let (payment, key) = (fare(&suite.platform, 1_250, "USD", "pm_card_visa"), suite.key());
    let made = done(suite.client.create(&payment, &key).await);
    assert_eq!(done(suite.client.create(&payment, &key).await), made);
    let (confirmed_by, captured_by, refunded_by) = (suite.key(), suite.key(), suite.key());
    let confirmed = done(suite.client.confirm(&made.id, &confirmed_by).await);
    assert_eq!(done(suite.client.confirm(&made.id, &confirmed_by).await), confirmed);
    let captured = done(suite.client.capture(&made.id, 1_000, &captured_by).await);
    assert_eq!(done(suite.client.capture(&made.id, 1_000, &captured_by).await), captured);
    let refund = refund_of(&suite.platform, &payment, 600);
    let back = done(suite.client.refund(&refund, &made.id, &refunded_by).await);
    // A second refund of 600 of 1,000 would be refused, or made.
    assert_eq!(done(suite.client.refund(&refund, &made.id, &refunded_by).await), back);
}

#[tokio::test]
async fn key_of_another_request_is_unknown() {
    let suite = Suite::start().await;
    if suite.lacks("idempotency") {
        return;
    }
    let (payment, key) = (fare(&suite.platform, 1_250, "USD", "pm_card_visa"), suite.key());
    done(suite.client.create(&payment, &key).await);
    let other = fare(&suite.platform, 1_300, "USD", "pm_card_visa");
    assert!(crate::provider::unknown(suite.client.create(&other, &key).await));
}

#[tokio::test]
async fn stored_refusal_is_replayed() {
    let suite = Suite::start().await;
    if suite.lacks("idempotency") {
        return;
    }
    let fare = fare(&suite.platform, 1_250, "USD", &suite.declined);
    let made = done(suite.client.create(&fare, &suite.key()).await);
    let key = suite.key();
    let first = refused(suite.client.confirm(&made.id, &key).await);
    assert_eq!(refused(suite.client.confirm(&made.id, &key).await), first);
}

#[tokio::test]
async fn amounts_are_sent_unchanged_in_every_currency() {
    let suite = Suite::start().await;
    // ¥500, ₩12,500 and 5.120 dinars: the same integers on both sides, whatever a minor unit is.
    for (amount, currency) in [(500, "JPY"), (12_500, "KRW"), (5_120, "KWD"), (500, "ISK"), (1_234, "EUR")] {
        let payment = fare(&suite.platform, amount, currency, "pm_card_visa");
        let made = done(suite.client.create(&payment, &suite.key()).await);
        if suite.lacks("disputes") {
            continue;
        }
        let intents = all_intents(&suite.client).await;
        let booked = intents.iter().find(|intent| intent.id == made.id).unwrap();
        assert_eq!((booked.amount, booked.currency.as_str()), (amount, currency));
    }
}

#[tokio::test]
async fn unpayable_amount_is_refused_and_not_rounded() {
    let suite = Suite::start().await;
    for (amount, currency) in [(5_124, "KWD"), (550, "ISK"), (1, "UGX")] {
        let payment = fare(&suite.platform, amount, currency, "pm_card_visa");
        assert_eq!(refused(suite.client.create(&payment, &suite.key()).await), "amount_not_payable");
    }
}

#[tokio::test]
async fn missing_object_is_refused_and_wrong_key_is_not_sent() {
    let suite = Suite::start().await;
    refused(suite.client.intent("pi_missing").await);
    refused(suite.client.refund_status("re_missing").await);
    let (stranger, _) = client_of(&ProviderConfig { secret_key: Secret::new("pk_wrong"), ..suite.config.clone() });
    not_sent(stranger.intent("pi_missing").await);
}
