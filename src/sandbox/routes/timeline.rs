//! The timeline of a trip or a payment.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::db::Conn;
use crate::platform::error::{Refusal, Result};
use crate::platform::http::{HttpResult, Public, Request};
use crate::platform::ids::{PaymentId, TripId};
use crate::sandbox::Sandbox;
use crate::sandbox::store::{self, Newest};
use crate::sandbox::timeline::{Sources, TimelineItem};

/// The timeline of a trip or a payment.
#[derive(Debug, Serialize, ToSchema)]
struct TimelineBody {
    /// The trip.
    trip_id: TripId,
    /// The payment, if the timeline is of one; `null` if it is of the trip and all its payments.
    payment_id: Option<PaymentId>,
    /// The items, the oldest first.
    #[schema(max_items = 500)]
    items: Vec<TimelineItem>,
    /// How many older items are left out. Requests and worker runs that this process no longer has are not counted.
    #[schema(minimum = 0)]
    left_out: usize,
}

/// Get the timeline of a trip or a payment
///
/// Everything that happened for it, in order of machine time: requests and worker runs with their SQL, calls to the provider, webhooks in and
/// out, events and postings, each with its trace. Requests and worker runs are those that this process still has: of its last 1,000 each, the
/// last 20 requests of a trace and the last 100 runs of a trip. Of each other kind there are the newest 200 items, and the newest 500 of all;
/// `left_out` says how many there are beside these. Events from before machine times were kept stand at their domain time.
#[utoipa::path(get, path = "/v1/sandbox/timeline/{id}", tag = "sandbox", operation_id = "get_timeline", security(()),
    params(("id" = String, Path, description = "The id of a trip or a payment", min_length = 1, max_length = 64,
            pattern = "^(trip|pay)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "trip_01m82kv4mvedttmdag442xvj4z")),
    responses((status = 200, description = "The timeline", body = TimelineBody)))]
pub(super) async fn timeline(request: Request<Public>, sandbox: web::Data<Sandbox>) -> HttpResult {
    let is_payment = request.http.match_info().query("id").starts_with("pay_");
    let subject = match is_payment {
        true => Subject::Payment(request.id("id")?),
        false => Subject::Trip(request.id("id")?),
    };
    let found = request.platform.db.read(subject, |conn, subject| {
        Box::pin(async move {
            let (trip, payment) = match *subject {
                Subject::Trip(trip) => (Some(trip), None),
                Subject::Payment(payment) => (store::trip_of_payment(conn, payment).await?, Some(payment)),
            };
            let trip = trip.ok_or_else(|| Refusal::not_found("payment"))?;
            let sources = read(conn, trip, payment).await?;
            if sources.events.is_empty() {
                return Err(Refusal::not_found("trip").into());
            }
            Ok((trip, payment, sources))
        })
    });
    let (trip_id, payment_id, sources) = found.await?;
    let mut recorded = sandbox.sql_recorder.of_trip(trip_id, &sources.trace_ids());
    if let Some(payment) = payment_id {
        recorded.retain(|one| one.trip_id.is_none() || one.payment_id == Some(payment));
    }
    let (items, left_out) = sources.items(recorded);
    Ok(HttpResponse::Ok().json(TimelineBody { trip_id, payment_id, items, left_out }))
}

/// Reads the newest rows of each kind.
async fn read(conn: &mut Conn, trip: TripId, payment: Option<PaymentId>) -> Result<Sources> {
    let mut left_out = 0;
    let mut sources = Sources {
        events: rows(store::timeline_events(conn, trip, payment).await?, &mut left_out),
        provider_calls: rows(store::provider_calls(conn, trip, payment).await?, &mut left_out),
        webhooks_in: rows(store::webhooks_in(conn, trip, payment).await?, &mut left_out),
        postings: rows(store::timeline_postings(conn, trip, payment).await?, &mut left_out),
        ..Sources::default()
    };
    if payment.is_none() {
        sources.webhooks_out = rows(store::webhooks_out(conn, trip).await?, &mut left_out);
    }
    Ok(Sources { left_out, ..sources })
}

fn rows<T>(newest: Newest<T>, left_out: &mut usize) -> Vec<T> {
    *left_out += newest.left_out;
    newest.rows
}

/// What a timeline is of.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Trip(TripId),
    Payment(PaymentId),
}
