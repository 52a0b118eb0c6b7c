//! The receipt of a trip, as JSON and as plain text.

mod text;

use actix_web::HttpResponse;
use actix_web::http::header::CONTENT_TYPE;
use serde::Serialize;
use utoipa::ToSchema;

use crate::payments::store::PaymentMovement;
use crate::payments::{self, Payment, PaymentPurpose, PaymentState};
use crate::platform::auth::Caller;
use crate::platform::clock::DomainTime;
use crate::platform::db::Conn;
use crate::platform::error::{Error, Result};
use crate::platform::http::{HttpResult, Request, RidersAndOperators, negotiate};
use crate::platform::ids::{PaymentId, TripId};
use crate::platform::money::Money;
use crate::platform::names::string_enum;
use crate::pricing::Quote;
use crate::trips::model::{Charge, State, Trip};

/// A line of a receipt.
#[derive(Debug, Serialize, ToSchema)]
struct Line {
    /// The label, in English.
    #[schema(max_length = 64, example = "Base fare")]
    label: &'static str,
    /// The amount that it adds to the total.
    amount: Money,
}

/// A payment on a receipt.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentLine {
    /// The id.
    id: PaymentId,
    /// The purpose.
    purpose: PaymentPurpose,
    /// The state.
    state: PaymentState,
    /// The brand of the card; `null` if unknown. The payment method itself is never shown.
    #[schema(value_type = Option<String>, max_length = 32, example = "Visa")]
    method: Option<&'static str>,
    /// The amount requested from the provider.
    amount: Money,
    /// The captured amount, including refunded parts.
    captured: Money,
    /// The refunded amount.
    refunded: Money,
    /// Its movements, oldest first.
    #[schema(max_items = 1000)]
    movements: Vec<MovementLine>,
}

string_enum! {
    /// The kind of a movement of money.
    enum MovementKind {
        /// The provider reserved the amount.
        Authorized = "authorized",
        /// The provider captured the amount.
        Captured = "captured",
        /// The provider refunded the amount.
        Refunded = "refunded",
        /// A refund failed after it had succeeded.
        RefundFailed = "refund_failed",
        /// An operator wrote the amount off.
        WrittenOff = "written_off",
    }
}

/// A movement of money.
#[derive(Debug, Serialize, ToSchema)]
struct MovementLine {
    /// The kind.
    #[schema(value_type = MovementKind)]
    what: String,
    /// The amount.
    amount: Money,
    /// When it happened (domain time).
    at: DomainTime,
}

/// The receipt of a trip.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiptBody {
    /// The trip.
    trip_id: TripId,
    /// The trip's state.
    state: State,
    /// When the trip ended (domain time); `null` before.
    ended_at: Option<DomainTime>,
    /// The lines, which sum to `total`; none until the trip is over.
    #[schema(max_items = 16)]
    lines: Vec<Line>,
    /// The cost of the trip with the tip; zero until the trip is over.
    total: Money,
    /// Authorized, and neither captured nor released.
    authorized: Money,
    /// Captured so far.
    captured: Money,
    /// Refunded so far.
    refunded: Money,
    /// Owed by the rider, and written off by an operator.
    written_off: Money,
    /// Owed by the rider, and not captured yet.
    due: Money,
    /// The trip's payments, oldest first.
    #[schema(max_items = 1000)]
    payments: Vec<PaymentLine>,
}

/// Get a trip's receipt
///
/// The lines sum to the total. The movements show what was authorized, captured, refunded and written off. An active trip has no lines.
/// `Accept: text/plain` gives a printable receipt.
#[utoipa::path(get, path = "/v1/trips/{trip_id}/receipt", tag = "trips", operation_id = "get_receipt",
    security(("rider" = []), ("ops" = [])),
    params(("trip_id" = TripId, Path, description = "The trip")),
    responses((status = 200, description = "The receipt", content((ReceiptBody = "application/json"), (String = "text/plain")))))]
pub(super) async fn receipt(request: Request<RidersAndOperators>) -> HttpResult {
    let input = (request.id::<TripId>("trip_id")?, request.caller());
    let found = request.platform.db.read(input, |conn, (id, caller)| Box::pin(find(conn, *id, *caller))).await?;
    let receipt = render(&found);
    Ok(match negotiate(&request.http, &[("application/json", Form::Json), ("text/plain", Form::Text)]) {
        Form::Json => HttpResponse::Ok().json(receipt),
        Form::Text => {
            HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; charset=utf-8")).body(text::render(&receipt))
        }
    })
}

/// A representation of a receipt.
#[derive(Debug, Clone, Copy)]
enum Form {
    Json,
    Text,
}

/// The data of a receipt.
struct ReceiptData {
    trip: Trip,
    quote: Quote,
    payments: Vec<Payment>,
    movements: Vec<PaymentMovement>,
}

async fn find(conn: &mut Conn, id: TripId, caller: Caller) -> Result<ReceiptData> {
    let trip = crate::trips::store::find_visible(conn, id, caller).await?;
    let quote = crate::pricing::store::find(conn, trip.quote_id).await?;
    let quote = quote.ok_or_else(|| Error::Bug(format!("{} has no quote", trip.id)))?;
    let payments = payments::store::payments_of_trip(conn, id).await?;
    let movements = payments::store::movements(conn, id).await?;
    Ok(ReceiptData { trip, quote, payments, movements })
}

fn render(found: &ReceiptData) -> ReceiptBody {
    let ReceiptData { trip, quote, payments, movements } = found;
    let money = |amount| Money::new(amount, trip.price.currency);
    let lines = lines(trip, quote, payments);
    let total: i64 = lines.iter().map(|(_, amount)| amount).sum();
    let sum = |amount: fn(&Payment) -> i64| payments.iter().map(amount).sum::<i64>();
    let captured = sum(|payment| payment.captured);
    let write_offs = movements
        .iter()
        .filter(|movement| movement.what == MovementKind::WrittenOff.as_str())
        .map(|movement| movement.amount);
    let written_off: i64 = write_offs.sum();
    ReceiptBody {
        trip_id: trip.id,
        state: trip.state,
        ended_at: trip.ended_at,
        lines: lines.into_iter().map(|(label, amount)| Line { label, amount: money(amount) }).collect(),
        total: money(total),
        authorized: money(sum(held)),
        captured: money(captured),
        refunded: money(sum(|payment| payment.refunded)),
        written_off: money(written_off),
        due: money((total - captured - written_off).max(0)),
        payments: payments.iter().map(|payment| payment_line(payment, movements)).collect(),
    }
}

fn payment_line(payment: &Payment, movements: &[PaymentMovement]) -> PaymentLine {
    let movements = movements.iter().filter(|movement| movement.payment_id == payment.id);
    PaymentLine {
        id: payment.id,
        purpose: payment.purpose,
        state: payment.state,
        method: brand(&payment.method),
        amount: payment.amount,
        captured: payment.money(payment.captured),
        refunded: payment.money(payment.refunded),
        movements: movements
            .map(|movement| MovementLine {
                what: movement.what.clone(),
                amount: payment.money(movement.amount),
                at: movement.at,
            })
            .collect(),
    }
}

/// Returns the amount that a payment holds now.
fn held(payment: &Payment) -> i64 {
    match payment.state {
        PaymentState::Authorized | PaymentState::Capturing | PaymentState::Voiding => payment.authorized,
        PaymentState::Authorizing
        | PaymentState::Captured
        | PaymentState::Declined
        | PaymentState::Voided
        | PaymentState::AuthExpired
        | PaymentState::CaptureFailed => 0,
    }
}

/// Returns the brand of one of the provider's test cards, such as `pm_card_visa`. Other payment methods stay hidden.
fn brand(method: &str) -> Option<&'static str> {
    let name = method.strip_prefix("pm_card_")?.split('_').next()?;
    Some(match name {
        "visa" => "Visa",
        "mastercard" => "Mastercard",
        "amex" => "American Express",
        "discover" => "Discover",
        "diners" => "Diners Club",
        "jcb" => "JCB",
        "unionpay" => "UnionPay",
        _ => return None,
    })
}

/// Returns the lines of the total. A fare has the quote's lines and the waiting charge; any other charge is one line. A tip adds a
/// line unless it was declined.
fn lines(trip: &Trip, quote: &Quote, payments: &[Payment]) -> Vec<(&'static str, i64)> {
    let (fare, total) = (&quote.fare, trip.total.unwrap_or(0));
    let mut all = match trip.state.charge() {
        Charge::Fare => vec![
            ("Base fare", fare.base),
            ("Distance", fare.by_distance),
            ("Time", fare.by_time),
            ("Surge", fare.surge),
            ("Up to the minimum fare", fare.to_minimum),
            ("Waiting", trip.waiting_charge),
        ],
        Charge::CancellationFee => vec![("Cancellation fee", total)],
        Charge::NoShowFee => vec![("No-show fee", total)],
        Charge::SetByOperator => vec![("Set by an operator", total)],
        Charge::None => vec![],
    };
    let is_due_or_paid = |payment: &&Payment| {
        payment.purpose == PaymentPurpose::Tip
            && (payment.state == PaymentState::Captured || !payment.state.is_terminal())
    };
    all.extend(payments.iter().filter(is_due_or_paid).map(|tip| {
        let is_captured = tip.state == PaymentState::Captured;
        ("Tip", if is_captured { tip.captured } else { tip.amount.amount })
    }));
    all.retain(|(_, amount)| *amount != 0);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payment_method_shows_only_the_brand_of_test_cards() {
        assert_eq!(brand("pm_card_visa"), Some("Visa"));
        assert_eq!(brand("pm_card_mastercard_prepaid"), Some("Mastercard"));
        for hidden in ["pm_1Nqz0T2eZvKYlo2C", "pm_card_chargeDeclined", "card_visa", "pm_card_", ""] {
            assert_eq!(brand(hidden), None, "{hidden}");
        }
    }
}
