//! The payment provider's bad days, and what it thinks of a payment.

use actix_web::{HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::platform::Platform;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::http::request::NoFields;
use crate::platform::http::{Everybody, Reply, Request};
use crate::platform::ids::PaymentId;
use crate::sandbox::provider::part;
use crate::sandbox::{Sandbox, store};

/// Faults in a plan at most. The simulator takes more; a person does not.
const FAULTS_MAX: usize = 20;

/// Bad days, in the place of all that were planned before.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FaultPlan {
    /// At most 20; of those that could strike a call, the first does.
    #[schema(max_items = 20)]
    faults: Vec<Fault>,
}

/// A bad day: what goes wrong with which calls.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ProviderFault)]
struct Fault {
    /// Which calls it strikes.
    on: Step,
    /// What goes wrong.
    kind: Kind,
    /// The most often that it strikes; without it, until it is taken back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    times: Option<u32>,
    /// Only this payment, one of ours that has reached the provider; everybody's without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_id: Option<PaymentId>,
    /// How long it hangs or is late, milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 60_000)]
    ms: Option<u32>,
    /// The decline code, for `decline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "insufficient_funds")]
    code: Option<String>,
}

/// Which calls a fault strikes: those of our worker, or the provider's own webhooks.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProviderFaultStep)]
enum Step {
    Create,
    Confirm,
    Capture,
    Cancel,
    Refund,
    Get,
    List,
    Any,
    Webhook,
}

/// What goes wrong. `…_after` means that the provider has done what was asked, and does not get to say so.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ProviderFaultKind)]
enum Kind {
    Decline,
    Latency,
    HangBefore,
    HangAfter,
    #[serde(rename = "error_500")]
    Error500,
    #[serde(rename = "error_500_after")]
    Error500After,
    #[serde(rename = "error_503")]
    Error503,
    RateLimited,
    ResetBefore,
    ResetAfter,
    Malformed,
    UnknownStatus,
    Lost,
    Late,
    Doubled,
    Reordered,
    WrongSignature,
    OldTimeStamp,
}

/// What is planned.
#[derive(Debug, Serialize, ToSchema)]
struct Planned {
    /// As the simulator has them, each with `struck`: how often it did.
    #[schema(value_type = Vec<Object>, max_items = 20)]
    faults: Value,
}

fn planned(mut shown: Value) -> HttpResponse {
    HttpResponse::Ok().json(Planned { faults: part(&mut shown, "/faults") })
}

/// Look at the provider's bad days
///
/// What is planned, in order, and how often each has struck.
#[utoipa::path(get, path = "/v1/sandbox/provider/faults", tag = "sandbox", operation_id = "get_provider_faults", security(()),
    responses((status = 200, description = "The plan, and what has struck", body = Planned)))]
pub(super) async fn faults(_request: Request<Everybody>, sandbox: web::Data<Sandbox>) -> Reply {
    Ok(planned(sandbox.provider.faults().await?))
}

/// Spoil the provider's day
///
/// The plan takes the place of the one before. The next capture times out although the money is taken:
/// `{"faults": [{"on": "capture", "kind": "reset_after", "times": 1}]}`.
#[utoipa::path(post, path = "/v1/sandbox/provider/faults", tag = "sandbox", operation_id = "plan_provider_faults",
    request_body = FaultPlan, security(()), responses((status = 200, description = "The plan", body = Planned)))]
pub(super) async fn plan(request: Request<Everybody>, sandbox: web::Data<Sandbox>) -> Reply {
    let plan: FaultPlan = request.json()?;
    if plan.faults.len() > FAULTS_MAX {
        let detail = format!("must have at most {FAULTS_MAX} items");
        return Err(Refusal::new(Code::InvalidRequest, format!("`faults` {detail}.")).field("/faults", detail).into());
    }
    let mut faults = Vec::new();
    for fault in &plan.faults {
        let mut wire = json!(fault);
        // The provider knows it by another name.
        if let (Some(payment), Some(wire)) = (fault.payment_id, wire.as_object_mut()) {
            wire.remove("payment_id");
            wire.insert("payment_intent".to_owned(), intent(&request.platform, payment).await?.into());
        }
        faults.push(wire);
    }
    Ok(planned(sandbox.provider.plan(&json!({"faults": faults})).await?))
}

/// End the provider's bad days
///
/// Nothing goes wrong any more, and calls that hang are let go.
#[utoipa::path(delete, path = "/v1/sandbox/provider/faults", tag = "sandbox", operation_id = "end_provider_faults", security(()),
    responses((status = 200, description = "Nothing is planned any more", body = Planned)))]
pub(super) async fn heal(_request: Request<Everybody>, sandbox: web::Data<Sandbox>) -> Reply {
    Ok(planned(sandbox.provider.heal().await?))
}

/// What the provider has of a payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProviderView)]
struct View {
    /// The intent, as the provider's API shows it.
    #[schema(value_type = Object)]
    intent: Value,
    /// Each movement of money, with its idempotency key.
    #[schema(value_type = Vec<Object>, max_items = 10_000)]
    movements: Value,
    /// Its refunds.
    #[schema(value_type = Vec<Object>, max_items = 10_000)]
    refunds: Value,
    /// The webhooks about it: those that wait for delivery first.
    #[schema(value_type = Vec<Object>, max_items = 10_000)]
    events: Value,
}

/// Look at a payment from the provider's side
///
/// The intent as its API shows it, and what its books say of it: the one side of the story that our own books are compared with.
#[utoipa::path(get, path = "/v1/sandbox/provider/payment_intents/{payment_id}", tag = "sandbox",
    operation_id = "get_provider_view", security(()), params(("payment_id" = PaymentId, Path, description = "Our payment")),
    responses((status = 200, description = "The provider's view", body = View)))]
pub(super) async fn view(request: Request<Everybody>, sandbox: web::Data<Sandbox>) -> Reply {
    let intent = intent(&request.platform, request.id("payment_id")?).await?;
    Ok(HttpResponse::Ok().json(sandbox.provider.view(&intent).await?))
}

/// Let a reservation expire
///
/// As it would by itself after seven days of the provider's time: what was reserved for the payment can be taken no more. Where nothing is
/// reserved it is refused.
#[utoipa::path(post, path = "/v1/sandbox/provider/payment_intents/{payment_id}/expire", tag = "sandbox",
    operation_id = "expire_reservation", security(()), request_body = Option<NoFields>,
    params(("payment_id" = PaymentId, Path, description = "Our payment")),
    responses((status = 200, description = "The provider's view", body = View)))]
pub(super) async fn expire(request: Request<Everybody>, sandbox: web::Data<Sandbox>) -> Reply {
    request.no_fields()?;
    let intent = intent(&request.platform, request.id("payment_id")?).await?;
    sandbox.provider.expire(&intent).await?;
    Ok(HttpResponse::Ok().json(sandbox.provider.view(&intent).await?))
}

/// The provider's id of our payment.
async fn intent(platform: &Platform, payment: PaymentId) -> Result<String> {
    let intent = platform.db.read(payment, |conn, payment| Box::pin(store::intent_of(conn, *payment))).await?;
    intent.ok_or_else(|| Refusal::new(Code::NotFound, "The provider has not heard of this payment yet.").into())
}
