//! The client of `psp-sim`'s control API: faults, and the provider's records. Works only with the simulator on the same machine.

use serde_json::{Value, json};

use crate::payments::provider::API_VERSION;
use crate::platform::config::ProviderConfig;
use crate::platform::egress::{BaseUrl, Call, CallMethod, Egress};
use crate::platform::error::{Code, Error, Refusal, Result};
use crate::platform::secret::Secret;

/// The provider's payments, on the simulator and on Stripe.
const INTENTS: &str = "/v1/payment_intents/";

/// The configured payment provider, which may be `psp-sim`.
#[derive(Debug)]
pub struct Provider {
    egress: Egress,
    base_url: BaseUrl,
    secret_key: Secret,
}

impl Provider {
    /// The provider of the configuration.
    ///
    /// # Errors
    /// If the HTTP client cannot be built.
    pub fn new(config: &ProviderConfig) -> Result<Self> {
        let (base_url, secret_key) = (config.base_url.clone(), config.secret_key.clone());
        Ok(Self { egress: Egress::new(config.egress())?, base_url, secret_key })
    }

    /// Returns the faults in effect, with how often each was injected.
    ///
    /// # Errors
    /// If the provider is not the simulator, runs on another machine, or does not answer. The same holds for every method here.
    pub async fn faults(&self) -> Result<Value> {
        self.call("/sim/faults", CallMethod::Get).await
    }

    /// Replaces the faults.
    ///
    /// # Errors
    /// See [`Provider::faults`]; also if the simulator rejects the plan.
    pub async fn plan(&self, plan: &Value) -> Result<Value> {
        self.call("/sim/faults", CallMethod::Put(&plan.to_string())).await
    }

    /// Removes every fault and releases calls that hang.
    ///
    /// # Errors
    /// See [`Provider::faults`].
    pub async fn clear_faults(&self) -> Result<Value> {
        self.call("/sim/faults", CallMethod::Delete).await
    }

    /// Deletes every payment, refund, key and event of the provider.
    ///
    /// # Errors
    /// See [`Provider::faults`].
    pub async fn clear(&self) -> Result<()> {
        self.call("/sim/state", CallMethod::Delete).await.map(|_| ())
    }

    /// Returns the provider's view of one payment: the intent as its API shows it, movements of money, refunds and events.
    ///
    /// # Errors
    /// See [`Provider::faults`]; not found if the provider has no such payment.
    pub async fn view(&self, intent: &str) -> Result<Value> {
        let mut shown = self.call(&format!("{INTENTS}{intent}"), CallMethod::Get).await?;
        if let Some(shown) = shown.as_object_mut() {
            // A client could confirm the payment with it.
            shown.remove("client_secret");
        }
        let mut state = self.call(&format!("/sim/state?payment_intent={intent}"), CallMethod::Get).await?;
        let mut events = self.call(&format!("/sim/events?payment_intent={intent}"), CallMethod::Get).await?;
        Ok(json!({
            "intent": shown,
            "movements": take_list(&mut state, "/payment_intents/0/movements"),
            "refunds": take_list(&mut state, "/refunds"),
            "events": take_list(&mut events, "/events"),
        }))
    }

    /// Expires the authorization of a payment, as the provider does after seven days.
    ///
    /// # Errors
    /// See [`Provider::faults`]; also if the payment is not authorized, or the provider has no such payment.
    pub async fn expire(&self, intent: &str) -> Result<()> {
        self.call(&format!("/sim/payment_intents/{intent}/expire"), CallMethod::Form(&[])).await.map(|_| ())
    }

    async fn call(&self, path: &str, method: CallMethod<'_>) -> Result<Value> {
        if !self.base_url.is_loopback() {
            return Err(not_a_simulator("The payment provider runs on another machine."));
        }
        let is_write = matches!(method, CallMethod::Put(_) | CallMethod::Form(_));
        let url = format!("{}{path}", self.base_url);
        let call =
            Call { url, bearer: &self.secret_key, api_version: Some(API_VERSION), idempotency_key: None, method };
        let reply = self.egress.call(call).await.map_err(|failure| {
            let detail = format!("The payment provider does not respond ({failure}). Check that psp-sim runs.");
            Refusal::new(Code::Unavailable, detail).retry_after(1)
        })?;
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let is_missing = path.starts_with(INTENTS) || body["error"]["code"] == "resource_missing";
        match reply.status {
            200..=299 => Ok(body),
            404 if is_missing => Err(Refusal::not_found("payment at the provider").into()),
            404 => Err(not_a_simulator("The payment provider has no control API: it is not psp-sim.")),
            status @ (401 | 403) => {
                let detail = format!("The payment provider returned HTTP {status}: it does not accept our secret key.");
                Err(Refusal::new(Code::Unavailable, detail).into())
            }
            // Only the caller's plan can be at fault.
            400..=499 if is_write => {
                let message = body["error"]["message"].as_str().unwrap_or("it gives no reason.");
                let refusal = Refusal::new(Code::InvalidRequest, format!("The provider rejects it: {message}"));
                let field = body["error"]["param"].as_str().map(pointer);
                Err(match field {
                    Some(field) => refusal.field(field, message).into(),
                    None => refusal.into(),
                })
            }
            status => {
                Err(Refusal::new(Code::Unavailable, format!("The payment provider returned HTTP {status}.")).into())
            }
        }
    }
}

/// Returns a field in the provider's notation, such as `faults[0][ms]`, as a JSON pointer.
fn pointer(param: &str) -> String {
    format!("/{}", param.replace(']', "").replace('[', "/"))
}

/// Takes the list at a JSON pointer out of `reply`; an empty list if it has none.
pub fn take_list(reply: &mut Value, pointer: &str) -> Value {
    reply.pointer_mut(pointer).filter(|value| value.is_array()).map_or_else(|| json!([]), Value::take)
}

fn not_a_simulator(detail: &str) -> Error {
    Refusal::new(Code::NotASimulator, detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn provider_field_becomes_a_pointer() {
        assert_eq!(pointer("faults[0][ms]"), "/faults/0/ms");
        assert_eq!(pointer("faults"), "/faults");
    }

    #[test]
    fn reply_without_the_list_gives_an_empty_list() {
        let pointer = "/payment_intents/0/movements";
        for odd in
            [json!(null), json!([1]), json!("text"), json!({"payment_intents": []}), json!({"payment_intents": [7]})]
        {
            assert_eq!(take_list(&mut odd.clone(), pointer), json!([]), "{odd}");
        }
        assert_eq!(take_list(&mut json!({"payment_intents": [{"movements": [1, 2]}]}), pointer), json!([1, 2]));
    }
}
