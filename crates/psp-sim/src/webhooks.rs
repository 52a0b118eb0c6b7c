//! Webhooks: every event is posted until somebody answers 2xx, or a ladder of attempts is at its end.
//!
//! What waits is in the journal, so that a restart forgets nothing; an event may come twice, and in any order. A
//! restart begins the ladder anew.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::books::Line;
use crate::mailbox::Event;
use crate::model::UnixSeconds;
use crate::provider::{JournalBroken, Provider};

/// Where events go.
#[derive(Clone)]
pub struct Webhook {
    /// The receiver's URL, `http://…`.
    pub url: String,
    /// What deliveries are signed with, `whsec_…`; used as it stands, prefix included, as Stripe does it.
    pub secret: String,
}

/// How often an event is posted at most: with the pauses below, for about four minutes.
const ATTEMPTS_MAX: u32 = 8;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_mins(1);
/// How many deliveries are under way at once.
const CONCURRENT_MAX: usize = 16;
/// How long a receiver may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// The value of `Stripe-Signature` for a payload: the HMAC-SHA256 of time stamp, dot and payload.
pub fn signature(secret: &str, timestamp_s: UnixSeconds, payload: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(format!("{timestamp_s}.").as_bytes());
    mac.update(payload.as_bytes());
    format!("t={timestamp_s},v1={}", hex::encode(mac.finalize().into_bytes()))
}

/// Posts events as they come up; runs until aborted.
///
/// # Errors
/// [`JournalBroken`]: what was delivered can't be noted any more.
pub async fn post_events(courier: Arc<Courier>) -> Result<(), JournalBroken> {
    let mut deliveries = JoinSet::new();
    let mut next = 0;
    loop {
        // The transaction waits for the disk: nobody hears of an event that a crash could take back.
        let found = |(number, event): (u64, &Arc<Event>)| (number, Arc::clone(event));
        let events: Vec<_> =
            courier.provider.transact(|state| state.books.events().pending_from(next).map(found).collect()).await?;
        for (number, event) in events {
            next = number + 1;
            deliveries.spawn(deliver(Arc::clone(&courier), event));
        }
        tokio::select! {
            () = courier.provider.news.notified() => {}
            Some(delivered) = deliveries.join_next() => {
                if let Err(error) = delivered {
                    tracing::error!(%error, "a webhook's delivery panicked");
                }
            }
        }
    }
}

/// What a delivery needs.
pub struct Courier {
    provider: Arc<Provider>,
    webhook: Webhook,
    client: reqwest::Client,
    slots: Semaphore,
}

impl Courier {
    /// A courier to `webhook`.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn new(provider: Arc<Provider>, webhook: Webhook) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(ANSWER_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self { provider, webhook, client, slots: Semaphore::new(CONCURRENT_MAX) })
    }

    async fn post(&self, event: &Event) -> bool {
        // The stamp is the attempt's time, not the event's: a retry isn't taken for an old message played again.
        let signature = signature(&self.webhook.secret, self.provider.now_s(), &event.payload);
        let sent = self
            .client
            .post(&self.webhook.url)
            .header("Content-Type", "application/json; charset=utf-8")
            .header("Stripe-Signature", signature)
            .body(event.payload.clone())
            .send()
            .await;
        match sent {
            Ok(response) if response.status().is_success() => true,
            Ok(response) => {
                tracing::debug!(event = event.id, status = response.status().as_u16(), "webhook refused");
                false
            }
            Err(error) => {
                tracing::debug!(event = event.id, %error, "webhook not delivered");
                false
            }
        }
    }
}

/// Climbs the ladder with one event. Faults of delivery (lost, late, doubled, wrongly signed) belong in here.
async fn deliver(courier: Arc<Courier>, event: Arc<Event>) {
    let mut delivered = false;
    for attempt in 0..ATTEMPTS_MAX {
        if attempt > 0 {
            let pause = FIRST_PAUSE * 2_u32.pow(attempt - 1);
            tokio::time::sleep(courier.provider.dice.jittered(pause.min(PAUSE_MAX))).await;
        }
        let Ok(_slot) = courier.slots.acquire().await else {
            return;
        };
        delivered = courier.post(&event).await;
        if delivered {
            break;
        }
    }
    if !delivered {
        tracing::warn!(event = event.id, attempts = ATTEMPTS_MAX, "webhook given up");
    }
    let line = Line { settled_event: Some(event.id.clone()), ..Line::default() };
    // If this can't be noted, the event comes again after the next start; receivers know that it may.
    let _ = courier.provider.transact(|state| state.post(&line)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with `printf '%s' '1492774577.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test`.
    #[test]
    fn a_signature_as_another_implementation_makes_it() {
        assert_eq!(
            signature("whsec_test", 1_492_774_577, r#"{"id":"evt_1"}"#),
            "t=1492774577,v1=7656fc2882a7ca0a651666b36bf2f2f22ee204f54f608f227498a2419f2890b2"
        );
    }
}
