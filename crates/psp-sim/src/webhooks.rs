//! Webhooks: every event is posted until somebody answers 2xx, or a ladder of attempts is at its end.
//!
//! What waits is in the journal, so that a restart forgets nothing; an event may come twice, and in any order. A
//! restart begins the ladder anew, and forgets what a fault was doing to an event.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::books::Line;
use crate::clock::{Dice, unix_s};
use crate::faults::{Group, Kind, Occasion, Step, Strike};
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
/// How many events faults hold back at once; beyond this, none is struck.
const HELD_MAX: usize = 1_000;
/// What a delivery with a wrong signature is signed with.
const WRONG_SECRET: &str = "whsec_of_somebody_else";

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
            deliveries.spawn(deliver(Arc::clone(&courier), number, event));
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
    /// Apart from the provider's, so that the pauses between attempts change no id.
    dice: Dice,
    slots: Semaphore,
    held: Semaphore,
    /// The first number that is younger than everything that was delivered.
    delivered_below: watch::Sender<u64>,
}

impl Courier {
    /// A courier to `webhook`.
    ///
    /// # Errors
    /// The HTTP client can't be built.
    pub fn new(provider: Arc<Provider>, webhook: Webhook, dice: Dice) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(ANSWER_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()?;
        Ok(Self {
            provider,
            webhook,
            client,
            dice,
            slots: Semaphore::new(CONCURRENT_MAX),
            held: Semaphore::new(HELD_MAX),
            delivered_below: watch::Sender::default(),
        })
    }

    /// The fault of this group that strikes the event; `by_caller` is what its payment plans for it.
    fn strike(&self, group: Group, event: &Event, by_caller: Option<Strike>) -> Option<Strike> {
        let payment_intent = Some(event.payment_intent.as_str());
        let occasion = Occasion { step: Step::Webhook, payment_intent, charges: false };
        self.provider.bad_days.strike(group, &occasion, by_caller)
    }

    /// Holds an event back, if a fault says so, and returns how often it is to be delivered.
    async fn schedule(&self, number: u64, event: &Event, by_caller: Option<Strike>) -> u32 {
        let Ok(_place) = self.held.try_acquire() else {
            return 1;
        };
        let mut patience = self.provider.bad_days.patience_of_event();
        let Some(strike) = self.strike(Group::Schedule, event, by_caller) else {
            return 1;
        };
        match strike.kind {
            Kind::Lost => return 0,
            Kind::Doubled => return 2,
            Kind::Reordered => {
                let mut delivered_below = self.delivered_below.subscribe();
                tokio::select! {
                    () = patience.wait(strike.delay) => {}
                    _ = delivered_below.wait_for(|&below| below > number) => {}
                }
            }
            _ => patience.wait(strike.delay).await,
        }
        1
    }

    /// Climbs the ladder; whether somebody took the event.
    async fn climb(&self, number: u64, event: &Event, by_caller: Option<Strike>) -> bool {
        let mut patience = self.provider.bad_days.patience_of_event();
        for attempt in 0..ATTEMPTS_MAX {
            if attempt > 0 {
                let pause = FIRST_PAUSE * 2_u32.pow(attempt - 1);
                patience.wait(self.dice.jittered(pause.min(PAUSE_MAX))).await;
                // From here on, a flush is for the next pause.
                patience.renew();
            }
            let Ok(_slot) = self.slots.acquire().await else {
                return false;
            };
            // The payment's own plan strikes the first attempt alone, or nobody would ever take the event.
            if self.post(event, by_caller.filter(|_| attempt == 0)).await {
                self.delivered_below.send_if_modified(|below| {
                    let is_younger = number >= *below;
                    *below = (*below).max(number + 1);
                    is_younger
                });
                return true;
            }
        }
        tracing::warn!(event = event.id, attempts = ATTEMPTS_MAX, "webhook given up");
        false
    }

    async fn post(&self, event: &Event, by_caller: Option<Strike>) -> bool {
        let strike = self.strike(Group::Stamp, event, by_caller);
        // The stamp is the attempt's time, not the event's: a retry isn't taken for an old message played again.
        let mut stamp_s = unix_s(self.provider.now());
        let mut secret = self.webhook.secret.as_str();
        match strike.map(|strike| (strike.kind, strike.delay)) {
            Some((Kind::OldTimeStamp, age)) => {
                stamp_s = stamp_s.saturating_sub(age.as_secs().try_into().unwrap_or(UnixSeconds::MAX));
            }
            Some(_) => secret = WRONG_SECRET,
            None => {}
        }
        let sent = self
            .client
            .post(&self.webhook.url)
            .header("Content-Type", "application/json; charset=utf-8")
            .header("Stripe-Signature", signature(secret, stamp_s, &event.payload))
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

/// Delivers one event, on a good day or a bad one.
async fn deliver(courier: Arc<Courier>, number: u64, event: Arc<Event>) {
    let by_caller = courier.provider.planned_for(&event);
    for _ in 0..courier.schedule(number, &event, by_caller).await {
        if !courier.climb(number, &event, by_caller).await {
            break;
        }
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
