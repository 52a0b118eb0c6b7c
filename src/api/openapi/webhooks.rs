//! The `webhooks` of the document: the events that subscribers receive. `webhooks::views` builds the bodies; these are their schemas.

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::path::{Operation, OperationBuilder, Parameter, ParameterBuilder, ParameterIn, PathItem, Paths};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{HttpMethod, Ref, RefOr, Required};
use utoipa::{PartialSchema, ToSchema};

use crate::payments::model::{PaymentPurpose, PaymentState, RefundState};
use crate::platform::clock::DomainTime;
use crate::platform::ids::{DriverId, PaymentId, RefundId, RiderId, TripId, WebhookEventId};
use crate::trips::State as TripState;
use crate::webhooks::model::event_types;

/// The schemas of the bodies.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(TripEvent, PaymentEvent, RefundEvent)))]
pub(super) struct Schemas;

/// A trip entered a state.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for the document")]
pub(super) struct TripEvent {
    /// The event id, the same in every attempt and in `webhook-id`. Ignore an event whose id you have processed.
    id: WebhookEventId,
    /// `trip.` and the new state.
    #[schema(schema_with = trip_types)]
    r#type: String,
    /// When the event happened (domain time).
    created_at: DomainTime,
    /// The trip at that time.
    data: TripEventData,
}

/// The trip at the time of the event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for the document")]
pub(super) struct TripEventData {
    /// The trip.
    trip_id: TripId,
    /// Its rider.
    rider_id: RiderId,
    /// Its driver; `null` while it has none.
    #[schema(required)]
    driver_id: Option<DriverId>,
    /// The number of the trip's change: 1, 2, 3 …. Ignore an event older than the newest you have processed.
    #[schema(minimum = 1)]
    seq: i64,
    /// The new state.
    state: TripState,
}

/// A payment entered a state.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for the document")]
pub(super) struct PaymentEvent {
    /// The event id, the same in every attempt and in `webhook-id`. Ignore an event whose id you have processed.
    id: WebhookEventId,
    /// `payment.` and the new state.
    #[schema(schema_with = payment_types)]
    r#type: String,
    /// When the event happened (domain time).
    created_at: DomainTime,
    /// The payment at that time.
    data: PaymentEventData,
}

/// The payment at the time of the event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for the document")]
pub(super) struct PaymentEventData {
    /// The payment.
    payment_id: PaymentId,
    /// Its trip.
    trip_id: TripId,
    /// The rider who pays.
    rider_id: RiderId,
    /// The purpose.
    purpose: PaymentPurpose,
    /// Increases with each change of the payment or its refunds, with gaps. Ignore an event older than the newest you have processed.
    #[schema(minimum = 1)]
    seq: i64,
    /// The new state.
    state: PaymentState,
}

/// A refund ended.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for the document")]
pub(super) struct RefundEvent {
    /// The event id, the same in every attempt and in `webhook-id`. Ignore an event whose id you have processed.
    id: WebhookEventId,
    /// `refund.` and the new state.
    #[schema(schema_with = refund_types)]
    r#type: String,
    /// When the event happened (domain time).
    created_at: DomainTime,
    /// The refund at that time.
    data: RefundEventData,
}

/// The refund at the time of the event.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema for the document")]
pub(super) struct RefundEventData {
    /// The refund.
    refund_id: RefundId,
    /// The refunded payment.
    payment_id: PaymentId,
    /// Its trip.
    trip_id: TripId,
    /// The rider who is refunded.
    rider_id: RiderId,
    /// Increases with each change of the payment or its refunds, with gaps. Ignore an event older than the newest you have processed.
    #[schema(minimum = 1)]
    seq: i64,
    /// The new state.
    state: RefundState,
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
    let names: Vec<_> = event_types().filter(|name| name.starts_with(family)).collect();
    let description = format!("`{family}` and the new state.");
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).enum_values(Some(names))
}

/// Returns one webhook per event family.
pub(super) fn paths() -> Paths {
    let mut paths = Paths::new();
    let families = [
        ("trip", "TripEvent", "A trip entered a state", trip()),
        ("payment", "PaymentEvent", "A payment entered a state", payment()),
        ("refund", "RefundEvent", "A refund ended", refund()),
    ];
    for (family, schema, summary, example) in families {
        let operation = operation(family, schema, summary, example);
        paths.paths.insert(family.to_owned(), PathItem::new(HttpMethod::Post, operation));
    }
    paths
}

fn operation(family: &str, schema: &str, summary: &str, value: Value) -> Operation {
    let description = format!(
        "Sent to every enabled endpoint that subscribes to the type, to `{family}.*` or to `*`. The data is as of `created_at`; read the \
         {family} for its current state. Delivery is at least once and unordered. Requests are signed by Standard Webhooks: verify the \
         raw bytes. Answer within five seconds. Any status but 2xx is retried, up to eleven attempts over three days. See \
         `docs/webhooks.md`."
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
    let retried = "Retried, with increasing delays.";
    let mut operation = OperationBuilder::new()
        .operation_id(Some(format!("receive_{family}_event")))
        .tag("webhooks")
        .summary(Some(summary))
        .description(Some(description))
        .parameters(Some(signature()))
        .request_body(Some(body.build()))
        .response("2XX", ResponseBuilder::new().description("Accepted: the event is not sent again."))
        .response("410", ResponseBuilder::new().description("Gone: the endpoint is disabled."))
        .response("4XX", ResponseBuilder::new().description(retried))
        .response("5XX", ResponseBuilder::new().description(retried))
        .build();
    // Requests carry a signature instead of a token.
    operation.security = Some(Vec::new());
    operation
}

/// The headers of Standard Webhooks.
fn signature() -> [Parameter; 3] {
    [
        header(
            "webhook-id",
            "The event id, the same in every attempt.",
            WebhookEventId::schema(),
            "evt_01jd3p2m4vf8r6x1c5n9q3w7tk",
        ),
        header(
            "webhook-timestamp",
            "The time of this attempt in Unix seconds (machine time). Refuse it if it is more than five minutes off.",
            text("^[0-9]+$"),
            "1795370400",
        ),
        header(
            "webhook-signature",
            "`v1,` and the base64 HMAC-SHA256 of `{webhook-id}.{webhook-timestamp}.{raw body}`. For 24 hours after a secret rotation there \
             are two, separated by a space; accept either.",
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
