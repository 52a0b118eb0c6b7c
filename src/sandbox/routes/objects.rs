//! The trip and the payment of an offer, a quote or a refund.

use actix_web::HttpResponse;
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::db::Conn;
use crate::platform::error::{Refusal, Result};
use crate::platform::http::{HttpResult, Public, Request};
use crate::platform::ids::{DriverId, OfferId, PaymentId, QuoteId, RefundId, TripId};
use crate::platform::names::string_enum;
use crate::sandbox::store;

string_enum! {
    /// The kind of an object without a page of its own.
    pub enum ObjectKind {
        /// An offer of a trip to a driver.
        Offer = "offer",
        /// A quote, which at most one trip redeems.
        Quote = "quote",
        /// A refund of a payment.
        Refund = "refund",
    }
}

/// What an offer, a quote or a refund belongs to.
#[derive(Debug, Serialize, ToSchema)]
struct ObjectBody {
    /// The id, as requested.
    #[schema(max_length = 64, example = "ofr_01m82kv4qqekmsvvfn6xms7vgw")]
    id: String,
    /// What it is.
    kind: ObjectKind,
    /// The trip; `null` of a quote that no trip has redeemed.
    trip_id: Option<TripId>,
    /// The payment of a refund; `null` of the others.
    payment_id: Option<PaymentId>,
    /// The driver with the offer; `null` of the others.
    driver_id: Option<DriverId>,
}

/// Find the trip of an offer, a quote or a refund
///
/// Returns the trip, with the driver of an offer and the payment of a refund. So a search by id leads to the object that shows it.
#[utoipa::path(get, path = "/v1/sandbox/objects/{id}", tag = "sandbox", operation_id = "get_object", security(()),
    params(("id" = String, Path, description = "The id of an offer, a quote or a refund", min_length = 1, max_length = 64,
            pattern = "^(ofr|quo|rfd)_[0-7][0-9a-hjkmnp-tv-z]{25}$", example = "ofr_01m82kv4qqekmsvvfn6xms7vgw")),
    responses((status = 200, description = "What it belongs to", body = ObjectBody)))]
pub(super) async fn object(request: Request<Public>) -> HttpResult {
    let id = request.http.match_info().query("id").to_owned();
    let subject = match id.split_once('_').map(|(prefix, _)| prefix) {
        Some("quo") => Subject::Quote(request.id("id")?),
        Some("rfd") => Subject::Refund(request.id("id")?),
        _ => Subject::Offer(request.id("id")?),
    };
    let found = request.platform.db.read(subject, |conn, subject| Box::pin(find(conn, *subject)));
    Ok(HttpResponse::Ok().json(ObjectBody { id, ..found.await? }))
}

async fn find(conn: &mut Conn, subject: Subject) -> Result<ObjectBody> {
    let body = |kind| ObjectBody { id: String::new(), kind, trip_id: None, payment_id: None, driver_id: None };
    let missing = |kind: ObjectKind| move || Refusal::not_found(kind.as_str());
    Ok(match subject {
        Subject::Offer(offer) => {
            let found = store::offer_subject(conn, offer).await?;
            let (trip, driver) = found.ok_or_else(missing(ObjectKind::Offer))?;
            ObjectBody { trip_id: Some(trip), driver_id: Some(driver), ..body(ObjectKind::Offer) }
        }
        Subject::Quote(quote) => {
            let trip_id = store::quote_subject(conn, quote).await?.ok_or_else(missing(ObjectKind::Quote))?;
            ObjectBody { trip_id, ..body(ObjectKind::Quote) }
        }
        Subject::Refund(refund) => {
            let found = store::refund_subject(conn, refund).await?;
            let (trip, payment) = found.ok_or_else(missing(ObjectKind::Refund))?;
            ObjectBody { trip_id: Some(trip), payment_id: Some(payment), ..body(ObjectKind::Refund) }
        }
    })
}

/// The object whose trip is wanted.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Offer(OfferId),
    Quote(QuoteId),
    Refund(RefundId),
}
