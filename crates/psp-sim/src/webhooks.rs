//! The webhook deliveries: each event is posted until a 2xx response, or until the attempts are used up.
//!
//! Waiting events are in the journal, so that they survive a restart. Events may arrive twice and in any order. A restart
//! starts their retries again, and drops the faults that were being applied to them.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::clock::unix_s;
use crate::event_queue::Event;
use crate::fault_kinds::{FaultGroup, FaultKind, FaultStep};
use crate::faults::{Injection, InjectionPoint};
use crate::model::UnixSeconds;
use crate::provider::Provider;
use crate::random::RandomSource;
use crate::records::JournalLine;
use crate::store::JournalFailed;

/// The webhook endpoint.
#[derive(Clone)]
pub struct Webhook {
    /// The receiver's URL, `http://…`.
    pub url: String,
    /// The signing secret, `whsec_…`; the key is the whole string with its prefix, as Stripe does.
    pub secret: String,
}

/// The most attempts to deliver an event: about four minutes with the pauses below.
const ATTEMPTS_MAX: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// The most deliveries at the same time.
const CONCURRENCY_MAX: usize = 16;
/// The timeout of one attempt.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The most events that faults hold at the same time; beyond this no fault is injected.
const HELD_MAX: usize = 1_000;
/// The secret of the fault `wrong_signature`.
const WRONG_SECRET: &str = "whsec_wrong";

/// The value of `Stripe-Signature` for a payload: the HMAC-SHA256 of the time stamp, a dot, and the payload.
pub fn signature(secret: &str, timestamp_s: UnixSeconds, payload: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{timestamp_s}.").as_bytes());
    mac.update(payload.as_bytes());
    format!("t={timestamp_s},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Delivers events as they are added; runs until aborted.
///
/// # Errors
/// [`JournalFailed`].
pub async fn post_events(sender: Arc<WebhookSender>) -> Result<(), JournalFailed> {
    let mut deliveries = JoinSet::new();
    let mut next = 0;
    loop {
        // The transaction waits for the disk, so that no event is sent that a crash could lose.
        let found = |(number, event): (u64, &Arc<Event>)| (number, Arc::clone(event));
        let events: Vec<_> = sender
            .provider
            .store
            .transact(|state| state.records.events().pending_from(next).map(found).collect())
            .await?;
        for (number, event) in events {
            next = number + 1;
            deliveries.spawn(deliver(Arc::clone(&sender), number, event));
        }
        tokio::select! {
            () = sender.provider.events_ready.notified() => {}
            Some(delivered) = deliveries.join_next() => {
                if let Err(error) = delivered {
                    tracing::error!(%error, "a webhook delivery panicked");
                }
            }
        }
    }
}

/// Delivers events to the webhook endpoint.
pub struct WebhookSender {
    provider: Arc<Provider>,
    webhook: Webhook,
    client: reqwest::Client,
    /// Separate from the provider's, so that the pauses between attempts do not change the ids.
    random: RandomSource,
    slots: Semaphore,
    held: Semaphore,
    /// One more than the highest number of a delivered event.
    delivered_below: watch::Sender<u64>,
}

impl WebhookSender {
    /// A sender to `webhook`.
    ///
    /// # Errors
    /// The HTTP client cannot be built.
    pub fn new(provider: Arc<Provider>, webhook: Webhook, random: RandomSource) -> Result<Self, reqwest::Error> {
        // Fails if the process has a cryptography provider already, which is then used.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            provider,
            webhook,
            client,
            random,
            slots: Semaphore::new(CONCURRENCY_MAX),
            held: Semaphore::new(HELD_MAX),
            delivered_below: watch::Sender::default(),
        })
    }

    /// Draws the fault of this group for the event; `by_caller` is the one that its payment asks for.
    fn inject(&self, group: FaultGroup, event: &Event, by_caller: Option<Injection>) -> Option<Injection> {
        let payment_intent = Some(event.payment_intent.as_str());
        let point = InjectionPoint { step: FaultStep::Webhook, payment_intent, charges_card: false };
        self.provider.faults.inject(group, &point, by_caller)
    }

    /// Applies a delivery fault: holds the event, and returns how many times to deliver it.
    async fn hold_and_count(&self, number: u64, event: &Event, by_caller: Option<Injection>) -> u32 {
        let Ok(_place) = self.held.try_acquire() else {
            return 1;
        };
        let mut hold = self.provider.faults.delivery_hold();
        let Some(injection) = self.inject(FaultGroup::Delivery, event, by_caller) else {
            return 1;
        };
        match injection.kind {
            FaultKind::Lost => return 0,
            FaultKind::Doubled => return 2,
            FaultKind::Reordered => {
                let mut delivered_below = self.delivered_below.subscribe();
                tokio::select! {
                    () = hold.wait(injection.delay) => {}
                    _ = delivered_below.wait_for(|&below| below > number) => {}
                }
            }
            _ => hold.wait(injection.delay).await,
        }
        1
    }

    /// Returns whether the receiver accepted the event within the attempts.
    async fn deliver_with_retries(&self, number: u64, event: &Event, by_caller: Option<Injection>) -> bool {
        let mut hold = self.provider.faults.delivery_hold();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                let pause = FIRST_PAUSE * 2_u32.pow(attempt - 1);
                hold.wait(self.random.jittered(pause.min(PAUSE_MAX))).await;
                // A release from now on ends the next pause.
                hold.renew();
            }
            let Ok(_slot) = self.slots.acquire().await else {
                return false;
            };
            // The fault that the payment asks for affects only the first attempt: otherwise no retry could succeed.
            if self.post(event, by_caller.filter(|_| attempt == 0)).await {
                self.delivered_below.send_if_modified(|below| {
                    let is_newer = number >= *below;
                    *below = (*below).max(number + 1);
                    is_newer
                });
                return true;
            }
        }
        tracing::warn!(event = event.id, attempts = ATTEMPTS_MAX, "webhook event discarded after the last attempt");
        false
    }

    async fn post(&self, event: &Event, by_caller: Option<Injection>) -> bool {
        let injection = self.inject(FaultGroup::Signature, event, by_caller);
        // The time of the attempt, not of the event: otherwise a receiver takes a retry for a replay attack.
        let mut timestamp_s = unix_s(self.provider.now());
        let mut secret = self.webhook.secret.as_str();
        match injection.map(|injection| (injection.kind, injection.delay)) {
            Some((FaultKind::OldTimeStamp, age)) => {
                timestamp_s = timestamp_s.saturating_sub(age.as_secs().try_into().unwrap_or(UnixSeconds::MAX));
            }
            Some(_) => secret = WRONG_SECRET,
            None => {}
        }
        let sent = self
            .client
            .post(&self.webhook.url)
            .header("Content-Type", "application/json; charset=utf-8")
            .header("Stripe-Signature", signature(secret, timestamp_s, &event.payload))
            .body(event.payload.clone())
            .send()
            .await;
        match sent {
            Ok(response) if response.status().is_success() => true,
            Ok(response) => {
                tracing::debug!(event = event.id, status = response.status().as_u16(), "webhook rejected");
                false
            }
            Err(error) => {
                tracing::debug!(event = event.id, %error, "webhook not delivered");
                false
            }
        }
    }
}

/// Delivers one event with its faults, and marks it as finished.
async fn deliver(sender: Arc<WebhookSender>, number: u64, event: Arc<Event>) {
    let by_caller = sender.provider.event_fault(&event);
    for _ in 0..sender.hold_and_count(number, &event, by_caller).await {
        if !sender.deliver_with_retries(number, &event, by_caller).await {
            break;
        }
    }
    let line = JournalLine { finished_event: Some(event.id.clone()), ..JournalLine::default() };
    // If this write fails, the event is sent again after the next start, which receivers have to expect anyway.
    let _ = sender.provider.store.transact(|state| state.apply(&line)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf '%s' '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test`.
    #[test]
    fn signature_equals_that_of_openssl() {
        assert_eq!(
            signature("whsec_test", 1_492_774_577, r#"{"id":"evt_1"}"#),
            "t=1492774577,v1=7656fc2882a7ca0a651666b36bf2f2f22ee204f54f608f227498a2419f2890b2"
        );
    }
}
