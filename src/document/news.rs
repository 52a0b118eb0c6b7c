//! What subscribers are sent, as the document's `webhooks`. The bodies are made in `webhooks::views`; these are their shapes.

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{HttpMethod, Ref, RefOr, Required};
use utoipa::{PartialSchema, ToSchema};

use crate::payments::views::{PaymentPurpose, PaymentState, RefundStatus};
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, PaymentId, RefundId, RiderId, TripId, WebhookEventId};
use crate::trips::views::TripState;
use crate::webhooks::model::EVENT_TYPES;

/// The shapes of the bodies.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(TripEvent, PaymentEvent, RefundEvent)))]
pub(super) struct Schemas;

/// A trip has taken a step.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document")]
pub(super) struct TripEvent {
    /// The event's id, the same at every attempt and in `webhook-id`: do nothing for one that you know.
    id: WebhookEventId,
    /// `trip.` and the state that it led to.
    #[schema(schema_with = trip_types)]
    r#type: String,
    /// When it happened (domain time).
    created_at: DomainTime,
    /// Which trip, and where it stood then.
    data: TripNews,
}

/// Which trip, and where it stood when the event happened.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document")]
pub(super) struct TripNews {
    /// The trip.
    trip_id: TripId,
    /// Its rider.
    rider_id: RiderId,
    /// Its driver; `null` while it has none.
    #[schema(required)]
    driver_id: Option<DriverId>,
    /// The trip's changes are numbered 1, 2, 3 …: ignore what is older than what you have.
    #[schema(minimum = 1)]
    seq: i64,
    /// The state that it had reached.
    state: TripState,
}

/// A payment has reached another state.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document")]
pub(super) struct PaymentEvent {
    /// The event's id, the same at every attempt and in `webhook-id`: do nothing for one that you know.
    id: WebhookEventId,
    /// `payment.` and the state that it has reached.
    #[schema(schema_with = payment_types)]
    r#type: String,
    /// When it happened (domain time).
    created_at: DomainTime,
    /// Which payment, and where it stood then.
    data: PaymentNews,
}

/// Which payment, and where it stood when the event happened.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document")]
pub(super) struct PaymentNews {
    /// The payment.
    payment_id: PaymentId,
    /// Its trip.
    trip_id: TripId,
    /// Who pays.
    rider_id: RiderId,
    /// What it is for.
    purpose: PaymentPurpose,
    /// Numbers the changes of the payment and its refunds, with gaps: ignore what is older than what you have.
    #[schema(minimum = 1)]
    seq: i64,
    /// The state that it had reached.
    state: PaymentState,
}

/// A refund has ended.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document")]
pub(super) struct RefundEvent {
    /// The event's id, the same at every attempt and in `webhook-id`: do nothing for one that you know.
    id: WebhookEventId,
    /// `refund.` and the state that it has reached.
    #[schema(schema_with = refund_types)]
    r#type: String,
    /// When it happened (domain time).
    created_at: DomainTime,
    /// Which refund, and where it stood then.
    data: RefundNews,
}

/// Which refund, and where it stood when the event happened.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a shape for the document")]
pub(super) struct RefundNews {
    /// The refund.
    refund_id: RefundId,
    /// The payment that it is a part of.
    payment_id: PaymentId,
    /// Its trip.
    trip_id: TripId,
    /// Who gets it.
    rider_id: RiderId,
    /// Numbers the changes of the payment and its refunds, with gaps: ignore what is older than what you have.
    #[schema(minimum = 1)]
    seq: i64,
    /// The state that it had reached.
    state: RefundStatus,
}

fn trip_types() -> ObjectBuilder {
    types("trip.")
}

fn payment_types() -> ObjectBuilder {
    types("payment.")
}

fn refund_types() -> ObjectBuilder {
    types("refund.")
}

fn types(family: &str) -> ObjectBuilder {
    let names: Vec<_> = EVENT_TYPES.iter().copied().filter(|name| name.starts_with(family)).collect();
    let description = format!("`{family}` and the state that it has reached.");
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).enum_values(Some(names))
}

/// One webhook for each family of events.
pub(super) fn paths() -> Paths {
    let mut paths = Paths::new();
    let families = [
        ("trip", "TripEvent", "A trip has taken a step", trip()),
        ("payment", "PaymentEvent", "A payment has reached another state", payment()),
        ("refund", "RefundEvent", "A refund has ended", refund()),
    ];
    for (family, schema, summary, example) in families {
        let operation = operation(family, schema, summary, example);
        paths.paths.insert(family.to_owned(), PathItem::new(HttpMethod::Post, operation));
    }
    paths
}

fn operation(family: &str, schema: &str, summary: &str, value: Value) -> Operation {
    let description = format!(
        "Sent to every enabled endpoint that asked for the type, for `{family}.*` or for `*`. It says what was true at `created_at`: \
         ask for the {family} to know what is true now. It comes at least once, in no particular order, and is signed as Standard \
         Webhooks has it: verify the bytes that came. Answer within five seconds; anything but 2xx is tried again, up to eleven \
         attempts over three days. `docs/webhooks.md` is the guide for receivers."
    );
    let example = ExampleBuilder::new().summary(summary).value(Some(value)).build();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .examples_from_iter([(family, RefOr::<Example>::from(example))])
        .build();
    let body = RequestBodyBuilder::new()
        .description(Some("The event."))
        .content("application/json", content)
        .required(Some(Required::True));
    let again = "It will be tried again, a little later each time.";
    let mut operation = OperationBuilder::new()
        .operation_id(Some(format!("receive_{family}_event")))
        .tag("webhooks")
        .summary(Some(summary))
        .description(Some(description))
        .parameters(Some(signature()))
        .request_body(Some(body.build()))
        .response("2XX", ResponseBuilder::new().description("You have it, and it will not come again."))
        .response("410", ResponseBuilder::new().description("You want no more: the endpoint is disabled."))
        .response("4XX", ResponseBuilder::new().description(again))
        .response("5XX", ResponseBuilder::new().description(again))
        .build();
    // Its signature is its token; ours are of no use there.
    operation.security = Some(Vec::new());
    operation
}

/// The headers of Standard Webhooks.
fn signature() -> [Parameter; 3] {
    [
        header(
            "webhook-id",
            "The event's id, the same at every attempt.",
            WebhookEventId::schema(),
            "evt_01jd3p2m4vf8r6x1c5n9q3w7tk",
        ),
        header(
            "webhook-timestamp",
            "When this attempt was made, Unix seconds (machine time). Refuse one that is more than five minutes off.",
            text("^[0-9]+$"),
            "1795370400",
        ),
        header(
            "webhook-signature",
            "`v1,` and the HMAC-SHA256, in base 64, of `{webhook-id}.{webhook-timestamp}.{raw body}`. Two of them with a space between \
             for 24 hours after the secret was changed: one that fits is enough.",
            text("^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)*$"),
            "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
        ),
    ]
}

fn text(pattern: &str) -> RefOr<utoipa::openapi::Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).into()
}

fn header(name: &str, description: &str, schema: RefOr<utoipa::openapi::Schema>, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::True)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some(example.into()))
        .build()
}

const TRIP: &str = "trip_01jd3n9k8zf4r8x2v5m7q0w1et";
const RIDER: &str = "rdr_01jd3n4c2sf9v7x0b3m6q8w1ek";
const PAYMENT: &str = "pay_01jd3n9k8zf4r8x2v5m7q0w1ev";

fn trip() -> Value {
    json!({
        "id": "evt_01jd3p2m4vf8r6x1c5n9q3w7tk", "type": "trip.completed", "created_at": "2026-11-22T18:24:31.000000Z",
        "data": {
            "trip_id": TRIP, "rider_id": RIDER, "driver_id": "drv_01jd3n1x5tf2c8r4v7m0q9w6ea", "seq": 7, "state": "completed",
        },
    })
}

fn payment() -> Value {
    json!({
        "id": "evt_01jd3p2n9wf3k5z7c1r8q4v6ta", "type": "payment.captured", "created_at": "2026-11-22T18:24:32.000000Z",
        "data": {
            "payment_id": PAYMENT, "trip_id": TRIP, "rider_id": RIDER, "purpose": "fare", "seq": 6, "state": "captured",
        },
    })
}

fn refund() -> Value {
    json!({
        "id": "evt_01jd3q8d7xf6m2b9v4n1c5w0tz", "type": "refund.succeeded", "created_at": "2026-11-22T19:02:10.000000Z",
        "data": {
            "refund_id": "rfd_01jd3q8b1yf7k4z2c6r9m3v5ta", "payment_id": PAYMENT, "trip_id": TRIP, "rider_id": RIDER,
            "seq": 9, "state": "succeeded",
        },
    })
}
