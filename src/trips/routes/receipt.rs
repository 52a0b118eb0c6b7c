//! What a trip cost.

use serde::Serialize;
use utoipa::ToSchema;

use super::trips::visible;
use crate::payments::{self, Payment};
use crate::platform::auth::Caller;
use crate::platform::db::Conn;
use crate::platform::error::{Error, Result};
use crate::platform::http::{Reply, Request, RidersAndOperators};
use crate::platform::ids::{PaymentId, TripId};
use crate::platform::money::Money;
use crate::pricing::Quote;
use crate::trips::machine::{State, Trip};

/// A line of a receipt.
#[derive(Debug, Serialize, ToSchema)]
struct Line {
    label: &'static str,
    amount: Money,
}

/// A payment on a receipt.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentLine {
    id: PaymentId,
    /// `fare`, `remainder`, `fee` or `tip`.
    #[schema(value_type = String)]
    purpose: &'static str,
    #[schema(value_type = String)]
    state: &'static str,
    amount: Money,
    captured: Money,
}

/// What a trip cost, and what became of the money.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiptBody {
    trip_id: TripId,
    #[schema(value_type = String)]
    state: &'static str,
    /// They sum to `total`.
    lines: Vec<Line>,
    /// What the trip costs; zero while that is not known.
    total: Money,
    /// Captured by the provider so far.
    captured: Money,
    /// Given back so far.
    refunded: Money,
    /// Still to be captured.
    due: Money,
    payments: Vec<PaymentLine>,
}

/// See what a trip cost
#[utoipa::path(get, path = "/v1/trips/{trip_id}/receipt", tag = "trips", operation_id = "get_receipt",
    params(("trip_id" = TripId, Path, description = "The trip")),
    responses((status = 200, description = "The receipt", body = ReceiptBody)))]
pub(super) async fn receipt(request: Request<RidersAndOperators>) -> Reply {
    let input = (request.id::<TripId>("trip_id")?, request.caller());
    let (trip, quote, payments) =
        request.platform.db.read(input, |conn, (id, caller)| Box::pin(find(conn, *id, *caller))).await?;
    Ok(actix_web::HttpResponse::Ok().json(render(&trip, &quote, &payments)))
}

async fn find(conn: &mut Conn, id: TripId, caller: Caller) -> Result<(Trip, Quote, Vec<Payment>)> {
    let trip = visible(conn, id, caller).await?;
    let quote = crate::pricing::store::find(conn, trip.quote_id).await?;
    let quote = quote.ok_or_else(|| Error::Bug(format!("{} has no quote", trip.id)))?;
    let payments = payments::store::of_trip(conn, id).await?;
    Ok((trip, quote, payments))
}

fn render(trip: &Trip, quote: &Quote, payments: &[Payment]) -> ReceiptBody {
    let money = |amount| Money::new(amount, trip.price.currency);
    let total = trip.total.unwrap_or(0);
    let captured: i64 = payments.iter().map(|payment| payment.captured).sum();
    let refunded: i64 = payments.iter().map(|payment| payment.refunded).sum();
    ReceiptBody {
        trip_id: trip.id,
        state: trip.state.as_str(),
        lines: lines(trip, quote, total)
            .into_iter()
            .map(|(label, amount)| Line { label, amount: money(amount) })
            .collect(),
        total: money(total),
        captured: money(captured),
        refunded: money(refunded),
        due: money((total - captured).max(0)),
        payments: payments
            .iter()
            .map(|payment| PaymentLine {
                id: payment.id,
                purpose: payment.purpose.as_str(),
                state: payment.state.as_str(),
                amount: payment.amount,
                captured: payment.money(payment.captured),
            })
            .collect(),
    }
}

/// The lines that `total` is made of. A fare has the quote's lines and the waiting; anything else is one line.
fn lines(trip: &Trip, quote: &Quote, total: i64) -> Vec<(&'static str, i64)> {
    let fare = &quote.fare;
    let all = match trip.state {
        State::Completed => vec![
            ("Base fare", fare.base),
            ("Distance", fare.by_distance),
            ("Time", fare.by_time),
            ("Surge", fare.surge),
            ("Up to the minimum fare", fare.to_minimum),
            ("Waiting", trip.waiting_charge),
        ],
        State::Cancelled => vec![("Cancellation fee", total)],
        State::NoShow => vec![("No-show fee", total)],
        State::Aborted => vec![("Set by an operator", total)],
        _ => vec![],
    };
    all.into_iter().filter(|(_, amount)| *amount != 0).collect()
}
