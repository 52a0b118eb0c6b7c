//! The payment provider's other side: its bad days and its books, as only a simulator on the same machine shows them.

use serde_json::{Value, json};

use crate::platform::config::ProviderConfig;
use crate::platform::egress::{Ask, BaseUrl, Call, Egress};
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::secret::Secret;

/// Where the provider's API has its payments, simulator or not.
const INTENTS: &str = "/v1/payment_intents/";

/// `psp-sim`, if that is who the provider is.
#[derive(Debug)]
pub struct Provider {
    egress: Egress,
    base_url: BaseUrl,
    secret_key: Secret,
}

impl Provider {
    /// The configured provider.
    ///
    /// # Errors
    /// If there can be no HTTP client.
    pub fn new(config: &ProviderConfig) -> Result<Self> {
        let (base_url, secret_key) = (config.base_url.clone(), config.secret_key.clone());
        Ok(Self { egress: Egress::new(config.egress())?, base_url, secret_key })
    }

    /// The bad days that are planned, and which of them have struck.
    ///
    /// # Errors
    /// As all of this: if the provider is no simulator, is not here, or does not answer.
    pub async fn faults(&self) -> Result<Value> {
        self.ask("/sim/faults", Ask::Get).await
    }

    /// Plans bad days in the place of all others.
    ///
    /// # Errors
    /// Also if the simulator finds no meaning in one.
    pub async fn plan(&self, plan: &Value) -> Result<Value> {
        self.ask("/sim/faults", Ask::Put(&plan.to_string())).await
    }

    /// Ends all bad days; calls that hang are let go.
    ///
    /// # Errors
    /// See [`Provider::faults`].
    pub async fn heal(&self) -> Result<Value> {
        self.ask("/sim/faults", Ask::Delete).await
    }

    /// Makes the provider forget every payment, refund, key and event.
    ///
    /// # Errors
    /// See [`Provider::faults`].
    pub async fn forget_everything(&self) -> Result<()> {
        self.ask("/sim/books", Ask::Delete).await.map(|_| ())
    }

    /// What the provider has of one payment: the intent as its API shows it, each movement of money, refunds, events.
    ///
    /// # Errors
    /// See [`Provider::faults`]; not found if the provider has no such payment.
    pub async fn view(&self, intent: &str) -> Result<Value> {
        let mut shown = self.ask(&format!("{INTENTS}{intent}"), Ask::Get).await?;
        if let Some(shown) = shown.as_object_mut() {
            // With it a phone could confirm the payment.
            shown.remove("client_secret");
        }
        let mut books = self.ask(&format!("/sim/books?payment_intent={intent}"), Ask::Get).await?;
        let mut events = self.ask(&format!("/sim/events?payment_intent={intent}"), Ask::Get).await?;
        Ok(json!({
            "intent": shown,
            "movements": part(&mut books, "/payment_intents/0/movements"),
            "refunds": part(&mut books, "/refunds"),
            "events": part(&mut events, "/events"),
        }))
    }

    /// Lets the reservation of a payment expire, as it would by itself after seven days.
    ///
    /// # Errors
    /// See [`Provider::faults`]; also if nothing is reserved, or the provider has no such payment.
    pub async fn expire(&self, intent: &str) -> Result<()> {
        self.ask(&format!("/sim/payment_intents/{intent}/expire"), Ask::Form(&[])).await.map(|_| ())
    }

    async fn ask(&self, path: &str, ask: Ask<'_>) -> Result<Value> {
        if !self.base_url.is_this_machine() {
            return Err(not_a_simulator("The provider is on another machine, so it is taken for a real one."));
        }
        let is_wish = matches!(ask, Ask::Put(_) | Ask::Form(_));
        let url = format!("{}{path}", self.base_url);
        let call = Call { url, bearer: &self.secret_key, idempotency_key: None, ask };
        let reply = self.egress.call(call).await.map_err(|failure| {
            let detail = format!("The payment provider does not answer ({failure}).");
            Refusal::new(Code::Unavailable, detail).retry_after(1)
        })?;
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let is_missing = path.starts_with(INTENTS) || body["error"]["code"] == "resource_missing";
        match reply.status {
            200..=299 => Ok(body),
            404 if is_missing => Err(Refusal::not_found("payment in the provider's books").into()),
            404 => Err(not_a_simulator("The provider has no control door: it is not psp-sim.")),
            status @ (401 | 403) => {
                let detail = format!("The payment provider answers {status}: it does not take our key.");
                Err(Refusal::new(Code::Unavailable, detail).into())
            }
            // Only what somebody wished for here can be wrong with it.
            400..=499 if is_wish => {
                let said = body["error"]["message"].as_str().unwrap_or("It does not say why.");
                Err(Refusal::new(Code::InvalidRequest, format!("The provider refuses it: {said}")).into())
            }
            status => Err(Refusal::new(Code::Unavailable, format!("The payment provider answers {status}.")).into()),
        }
    }
}

/// What stands at a JSON pointer; an empty list where the provider shows nothing there, or something else.
pub fn part(shown: &mut Value, pointer: &str) -> Value {
    shown.pointer_mut(pointer).filter(|part| part.is_array()).map_or_else(|| json!([]), Value::take)
}

fn not_a_simulator(detail: &str) -> Error {
    Refusal::new(Code::NotASimulator, detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_provider_shows_nothing_panics() {
        let pointer = "/payment_intents/0/movements";
        for odd in
            [json!(null), json!([1]), json!("books"), json!({"payment_intents": []}), json!({"payment_intents": [7]})]
        {
            assert_eq!(part(&mut odd.clone(), pointer), json!([]), "{odd}");
        }
        assert_eq!(part(&mut json!({"payment_intents": [{"movements": [1, 2]}]}), pointer), json!([1, 2]));
    }
}
