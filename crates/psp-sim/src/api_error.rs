//! The errors of the protocol: `{"error": {"type", "code", "message", "param", …}}`.

use serde_json::{Map, Value, json};

use crate::model::{Intent, PaymentFailure};
use crate::render;
use crate::state_machine::{Command, CommandError};

/// An error response: its status and the fields of its `error` object.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiError {
    pub status: u16,
    fields: Map<String, Value>,
}

impl ApiError {
    fn new(status: u16, kind: &str, message: impl Into<String>) -> Self {
        let mut error = Self { status, fields: Map::new() };
        error.set("type", kind);
        error.set("message", message.into());
        error
    }

    /// 400: the request is invalid.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request_error", message)
    }

    /// 400: a required parameter is missing.
    pub fn missing(param: &str) -> Self {
        Self::invalid(format!("Missing required param: {param}.")).code("parameter_missing").param(param)
    }

    /// No such object: 404 where the path names it, 400 where a parameter does.
    pub fn no_such(status: u16, object: &str, id: &str, param: &str) -> Self {
        Self::new(status, "invalid_request_error", format!("No such {object}: '{id}'"))
            .code("resource_missing")
            .param(param)
    }

    /// 401: no key, or a wrong one. The message contains nothing of what was sent.
    pub fn unauthorized() -> Self {
        let how = "as `Authorization: Bearer KEY`, or as the user name of basic authentication";
        Self::new(401, "invalid_request_error", format!("A valid API key is needed, {how}."))
    }

    /// 400: the request names no version of the API, or one that is not simulated.
    pub fn version(sent: Option<&str>) -> Self {
        let sent = sent.unwrap_or("none");
        Self::invalid(format!("Invalid Stripe-Version: {sent}; this is version {}.", render::API_VERSION))
    }

    /// 400: a fault rejects the request.
    pub fn rejected(code: &str) -> Self {
        Self::invalid("The request is rejected by a fault.").code(code)
    }

    /// 404: an unknown URL.
    pub fn unrecognized(method: &str, path: &str) -> Self {
        Self::new(404, "invalid_request_error", format!("Unrecognized request URL ({method}: {path})."))
    }

    /// 413: the body is too long.
    pub fn body_too_long() -> Self {
        Self::new(413, "invalid_request_error", "The request body is too long.")
    }

    /// 400: the idempotency key belongs to another request.
    pub fn key_reused(detail: &str) -> Self {
        Self::new(400, "idempotency_error", detail)
    }

    /// 409: a request with this key is in progress.
    pub fn key_in_use() -> Self {
        let message = "There is currently another in-progress request using this Idempotency-Key. Try again later.";
        Self::new(409, "idempotency_error", message).code("idempotency_key_in_use")
    }

    /// 429: the limit of stored keys is reached.
    pub fn too_many_keys() -> Self {
        let message = "Too many idempotency keys are stored; try again when some of them are older than a day.";
        Self::new(429, "invalid_request_error", message).code("rate_limit")
    }

    /// 429: too many requests.
    pub fn rate_limited() -> Self {
        let message = "Too many requests hit the API too quickly. Retry later, with an exponential backoff.";
        Self::new(429, "invalid_request_error", message).code("rate_limit")
    }

    /// 503: temporarily unavailable.
    pub fn unavailable() -> Self {
        Self::new(503, "api_error", "The service is temporarily unavailable. Try again later.")
    }

    /// 500: an internal error.
    pub fn internal() -> Self {
        Self::new(500, "api_error", "An unknown error occurred.")
    }

    /// 402: the bank declined. `intent` is the one after the decline.
    pub fn declined(failure: &PaymentFailure, intent: &Intent) -> Self {
        let mut error = Self::new(402, "card_error", failure.message.clone()).code(&failure.code);
        if let Some(decline_code) = &failure.decline_code {
            error.set("decline_code", decline_code.clone());
        }
        error.set("charge", failure.charge.clone());
        error.set("payment_method", render::payment_method(&failure.payment_method));
        error.set("payment_intent", render::payment_intent(intent));
        error
    }

    /// 400: `command` was rejected for `intent`.
    pub fn command(error: CommandError, command: &Command, intent: &Intent) -> Self {
        let status = intent.status.name();
        let error = match error {
            CommandError::State if matches!(command, Command::Refund { .. }) => Self::invalid(format!(
                "This PaymentIntent ({}) does not have a successful charge to refund: its status is {status}.",
                intent.id
            ))
            .code("payment_intent_unexpected_state"),
            CommandError::State => Self::invalid(format!(
                "You cannot {} this PaymentIntent because it has a status of {status}.",
                command.name()
            ))
            .code("payment_intent_unexpected_state"),
            CommandError::NoPaymentMethod => {
                Self::invalid("You cannot confirm this PaymentIntent because it's missing a payment method.")
                    .code("payment_intent_unexpected_state")
            }
            CommandError::CaptureTooLarge { capturable } => {
                Self::invalid(format!("The amount to capture is greater than the amount capturable ({capturable})."))
                    .code("amount_too_large")
                    .param("amount_to_capture")
            }
            CommandError::AlreadyRefunded => Self::invalid(format!(
                "Charge {} has already been refunded.",
                intent.latest_charge().unwrap_or_default()
            ))
            .code("charge_already_refunded"),
            CommandError::Disputed => Self::invalid(format!(
                "Charge {} has been charged back; cannot issue a refund.",
                intent.latest_charge().unwrap_or_default()
            ))
            .code("charge_disputed"),
            CommandError::RefundTooLarge { refundable } => {
                Self::invalid(format!("The refund's amount is greater than the unrefunded amount ({refundable})."))
                    .code("amount_too_large")
                    .param("amount")
            }
        };
        error.with("payment_intent", render::payment_intent(intent))
    }

    pub fn code(self, code: &str) -> Self {
        self.with("code", code)
    }

    /// The same error with the invalid parameter.
    pub fn param(self, param: &str) -> Self {
        self.with("param", param)
    }

    fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.set(field, value);
        self
    }

    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    pub fn body(self) -> String {
        json!({ "error": self.fields }).to_string()
    }
}
