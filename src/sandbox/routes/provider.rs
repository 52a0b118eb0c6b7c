//! Faults of the payment provider, and its view of a payment.

use actix_web::{HttpResponse, web};
use psp_sim::{FaultKind, FaultStep};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::platform::Platform;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::NoFields;
use crate::platform::http::{HttpResult, Public, Request};
use crate::platform::ids::PaymentId;
use crate::platform::names;
use crate::sandbox::provider::take_list;
use crate::sandbox::{Sandbox, store};

/// The most faults in a plan. The simulator accepts more; requests by hand need fewer.
const FAULTS_MAX: usize = 20;

/// A plan of faults.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FaultPlan {
    /// At most 20. The first that matches a call is injected.
    #[schema(max_items = 20)]
    faults: Vec<Fault>,
}

/// A fault of the payment provider: what goes wrong with which calls.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProviderFault)]
struct Fault {
    /// The calls that the fault affects.
    #[schema(value_type = ProviderFaultStep)]
    on: FaultStep,
    /// What goes wrong.
    #[schema(value_type = ProviderFaultKind)]
    kind: FaultKind,
    /// How often the fault is injected at most; absent: until it is deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    times: Option<u32>,
    /// The only payment affected, one that has reached the provider; absent: every payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<PaymentId>,
    /// The duration of a hang or delay, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 60_000)]
    ms: Option<u32>,
    /// The decline code, for `decline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "insufficient_funds")]
    code: Option<String>,
}

/// Declares the OpenAPI schemas of enums of `psp-sim`.
macro_rules! schemas {
    ($($type:ident as $schema:ident: $description:literal;)*) => {$(
        enum $schema {}

        impl utoipa::PartialSchema for $schema {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                let docs: Vec<_> = $type::ALL.iter().map(|it| (it.as_str(), [it.doc()])).collect();
                let docs: Vec<_> = docs.iter().map(|(name, doc)| (*name, &doc[..])).collect();
                names::string_schema(&names::describe(&[$description], &docs), $type::ALL.iter().map(|it| it.as_str()))
            }
        }

        impl ToSchema for $schema {}
    )*};
}

schemas! {
    FaultStep as ProviderFaultStep: "The calls that a fault affects: those of our worker, or the provider's own webhooks.";
    FaultKind as ProviderFaultKind: "What goes wrong.";
}

/// The faults in effect.
#[derive(Debug, Serialize, ToSchema)]
struct Faults {
    /// As the simulator reports them, each with `injected`: how often.
    #[schema(value_type = Vec<Object>, max_items = 20)]
    faults: Value,
}

fn faults_response(mut reply: Value) -> HttpResponse {
    HttpResponse::Ok().json(Faults { faults: take_list(&mut reply, "/faults") })
}

/// List the provider's faults
///
/// In the order of the plan, with how often each was injected.
#[utoipa::path(get, path = "/v1/sandbox/provider/faults", tag = "sandbox", operation_id = "get_provider_faults", security(()),
    responses((status = 200, description = "The faults", body = Faults)))]
pub(super) async fn faults(_request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    Ok(faults_response(sandbox.provider.faults().await?))
}

/// Inject faults into the provider
///
/// Replaces the current plan. With `{"faults": [{"on": "capture", "kind": "reset_after", "times": 1}]}` the next capture succeeds at the
/// provider, and its response is lost.
#[utoipa::path(post, path = "/v1/sandbox/provider/faults", tag = "sandbox", operation_id = "plan_provider_faults",
    request_body = FaultPlan, security(()), responses((status = 200, description = "The faults", body = Faults)))]
pub(super) async fn plan(request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    let plan: FaultPlan = request.json()?;
    if plan.faults.len() > FAULTS_MAX {
        let detail = format!("must have at most {FAULTS_MAX} items");
        return Err(Refusal::new(Code::InvalidRequest, format!("`faults` {detail}.")).field("/faults", detail).into());
    }
    let mut faults = Vec::new();
    for fault in &plan.faults {
        let mut wire = json!(fault);
        // The provider knows the payment by its own id.
        if let (Some(payment), Some(wire)) = (fault.payment_id, wire.as_object_mut()) {
            wire.remove("payment_id");
            wire.insert("payment_intent".to_owned(), intent_id(&request.platform, payment).await?.into());
        }
        faults.push(wire);
    }
    Ok(faults_response(sandbox.provider.plan(&json!({"faults": faults})).await?))
}

/// Clear the provider's faults
///
/// Removes every fault and releases calls that hang.
#[utoipa::path(delete, path = "/v1/sandbox/provider/faults", tag = "sandbox", operation_id = "end_provider_faults", security(()),
    responses((status = 200, description = "No faults", body = Faults)))]
pub(super) async fn clear(_request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    Ok(faults_response(sandbox.provider.clear_faults().await?))
}

/// The provider's records of a payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderView)]
struct View {
    /// The payment intent, as the provider's API returns it.
    #[schema(value_type = Object)]
    intent: Value,
    /// Each movement of money, with its idempotency key.
    #[schema(value_type = Vec<Object>, max_items = 10_000)]
    movements: Value,
    /// Its refunds.
    #[schema(value_type = Vec<Object>, max_items = 10_000)]
    refunds: Value,
    /// Its webhook events, undelivered ones first.
    #[schema(value_type = Vec<Object>, max_items = 10_000)]
    events: Value,
    /// Our calls about it, as we recorded them: the last 100, oldest first.
    #[schema(max_items = 100)]
    attempts: Vec<store::AttemptRow>,
}

/// Get the provider's view of a payment
///
/// The payment intent as the provider's API returns it, and the provider's records of it, which the audit compares with ours.
#[utoipa::path(get, path = "/v1/sandbox/provider/payment_intents/{payment_id}", tag = "sandbox",
    operation_id = "get_provider_view", security(()), params(("payment_id" = PaymentId, Path, description = "Our payment")),
    responses((status = 200, description = "The provider's view", body = View)))]
pub(super) async fn view(request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    let payment = request.id("payment_id")?;
    let intent = intent_id(&request.platform, payment).await?;
    with_attempts(&request.platform, payment, sandbox.provider.view(&intent).await?).await
}

/// Expire an authorization
///
/// As the provider does after seven days: the money can no longer be captured. Only an authorized payment can expire.
#[utoipa::path(post, path = "/v1/sandbox/provider/payment_intents/{payment_id}/expire", tag = "sandbox",
    operation_id = "expire_authorization", security(()), request_body = Option<NoFields>,
    params(("payment_id" = PaymentId, Path, description = "Our payment")),
    responses((status = 200, description = "The provider's view", body = View)))]
pub(super) async fn expire(request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    request.no_fields()?;
    let payment = request.id("payment_id")?;
    let intent = intent_id(&request.platform, payment).await?;
    sandbox.provider.expire(&intent).await?;
    with_attempts(&request.platform, payment, sandbox.provider.view(&intent).await?).await
}

/// Returns the provider's view with our own records of the calls.
async fn with_attempts(platform: &Platform, payment: PaymentId, mut view: Value) -> HttpResult {
    let attempts = platform.db.read(payment, |conn, payment| Box::pin(store::attempts(conn, *payment))).await?;
    if let Some(view) = view.as_object_mut() {
        view.insert("attempts".to_owned(), json!(attempts));
    }
    Ok(HttpResponse::Ok().json(view))
}

/// Returns the provider's id of our payment.
async fn intent_id(platform: &Platform, payment: PaymentId) -> Result<String> {
    let intent = platform.db.read(payment, |conn, payment| Box::pin(store::provider_intent_id(conn, *payment))).await?;
    intent.ok_or_else(|| Refusal::new(Code::NotFound, "The payment has not reached the provider yet.").into())
}
