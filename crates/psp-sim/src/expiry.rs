//! The end of reservations that nobody took in time: by the clock, or because the control door says so.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::answer::Answer;
use crate::clock::unix_s;
use crate::errors::ApiError;
use crate::model::{Intent, UnixSeconds};
use crate::operations::Order;
use crate::provider::{JournalBroken, Provider, State};

/// How soon the webhook hears of an expiry. Whoever asks before finds the intent expired, too.
const PERIOD: Duration = Duration::from_secs(1);

impl Provider {
    /// Lets everything expire whose time is over; runs until aborted.
    ///
    /// # Errors
    /// [`JournalBroken`]: nothing can be noted any more.
    pub async fn keep_expiring(self: Arc<Self>) -> Result<(), JournalBroken> {
        let mut ticks = tokio::time::interval(PERIOD);
        loop {
            ticks.tick().await;
            self.transact(|state| self.expire_due(state, self.now())).await?;
            self.news.notify_one();
        }
    }

    /// Lets everything expire whose time is over by `now`. O(1) if there is nothing.
    pub fn expire_due(&self, state: &mut State, now: SystemTime) {
        let until_s: UnixSeconds = unix_s(now).saturating_sub(self.rules.authorisation_ttl_s);
        while let Some(intent) = state.books.reserved_until(until_s) {
            let intent = Intent::clone(intent);
            if let Err(error) = self.expire_one(state, intent, now) {
                // The next tick would meet it again; a loop here would never end.
                tracing::error!(?error, "a reservation can't expire");
                return;
            }
        }
    }

    /// Lets an intent's reservation expire now, whatever its age.
    pub async fn expire(&self, id: &str) -> Answer {
        let expired = self.look_up(|state| {
            let missing = || ApiError::no_such(404, "payment_intent", id, "intent");
            let intent = state.books.intents().get(id).ok_or_else(missing)?;
            let intent = Intent::clone(intent);
            self.expire_one(state, intent, self.now())
        });
        let answer = expired.await.unwrap_or_else(Answer::from);
        self.news.notify_one();
        answer
    }

    fn expire_one(&self, state: &mut State, intent: Intent, now: SystemTime) -> Result<Answer, ApiError> {
        let effect = Order::expiry(intent).carry_out(None, &self.dice, unix_s(now))?;
        let answer = effect.answer();
        state.post(&self.line_of(effect, None, now));
        Ok(answer)
    }
}
