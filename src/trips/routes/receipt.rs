//! What a trip cost, and what became of the money: as JSON, and as a receipt that people can read.

mod text;

use actix_web::HttpResponse;
use actix_web::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use serde::Serialize;
use utoipa::ToSchema;

use super::trips::visible;
use crate::payments::model::State as Stage;
use crate::payments::store::Movement;
use crate::payments::views::{PaymentPurpose, PaymentState};
use crate::payments::{self, Payment, Purpose};
use crate::platform::auth::Caller;
use crate::platform::clock::DomainTime;
use crate::platform::db::Conn;
use crate::platform::error::{Error, Result};
use crate::platform::http::names::published;
use crate::platform::http::{Reply, Request, RidersAndOperators};
use crate::platform::ids::{PaymentId, TripId};
use crate::platform::money::Money;
use crate::pricing::Quote;
use crate::trips::machine::{State, Trip};
use crate::trips::views::TripState;

/// A line of a receipt.
#[derive(Debug, Serialize, ToSchema)]
struct Line {
    /// What it is for, in English.
    #[schema(max_length = 64, example = "Base fare")]
    label: &'static str,
    /// What it adds to the total.
    amount: Money,
}

/// A payment on a receipt.
#[derive(Debug, Serialize, ToSchema)]
struct PaymentLine {
    /// The payment.
    id: PaymentId,
    /// What it is for.
    #[schema(value_type = PaymentPurpose)]
    purpose: &'static str,
    /// Where it stands.
    #[schema(value_type = PaymentState)]
    state: &'static str,
    /// The brand of the card; `null` if it is not known. No more than that is ever shown.
    #[schema(value_type = Option<String>, max_length = 32, example = "Visa")]
    method: Option<&'static str>,
    /// What was asked of the provider.
    amount: Money,
    /// What was taken, whatever went back since.
    captured: Money,
    /// What went back.
    refunded: Money,
    /// What was done with it, in order.
    #[schema(max_items = 1000)]
    movements: Vec<MovementLine>,
}

published! {
    /// What was done: `authorised`, `captured`, `refunded`; `written_off` is what an operator gave up of it.
    MovementKind = ["authorised", "captured", "refunded", "written_off"];
}

/// Something that was done with the money.
#[derive(Debug, Serialize, ToSchema)]
struct MovementLine {
    /// What was done.
    #[schema(value_type = MovementKind)]
    what: String,
    /// How much of it.
    amount: Money,
    /// When (domain time).
    at: DomainTime,
}

/// What a trip cost, and what became of the money.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ReceiptBody {
    /// The trip.
    trip_id: TripId,
    /// Where the trip stands.
    #[schema(value_type = TripState)]
    state: &'static str,
    /// When the trip was over (domain time); `null` while it is not.
    ended_at: Option<DomainTime>,
    /// They sum to `total`; none while that is not known.
    #[schema(max_items = 16)]
    lines: Vec<Line>,
    /// What the trip costs, with the tip; zero while that is not known.
    total: Money,
    /// Reserved by the provider, and neither taken nor released.
    authorised: Money,
    /// Captured by the provider so far.
    captured: Money,
    /// Given back so far.
    refunded: Money,
    /// Owed, and given up by an operator.
    written_off: Money,
    /// Still to be captured.
    due: Money,
    /// The trip's payments, oldest first.
    #[schema(max_items = 1000)]
    payments: Vec<PaymentLine>,
}

/// See what a trip cost
///
/// The lines sum to the total, and the movements say what became of the money: reserved, taken, given back, given up. While the trip is
/// under way there are no lines yet. With `Accept: text/plain` for people to read.
#[utoipa::path(get, path = "/v1/trips/{trip_id}/receipt", tag = "trips", operation_id = "get_receipt",
    security(("rider" = []), ("ops" = [])),
    params(("trip_id" = TripId, Path, description = "The trip")),
    responses((status = 200, description = "The receipt", content((ReceiptBody = "application/json"), (String = "text/plain")))))]
pub(super) async fn receipt(request: Request<RidersAndOperators>) -> Reply {
    let input = (request.id::<TripId>("trip_id")?, request.caller());
    let found = request.platform.db.read(input, |conn, (id, caller)| Box::pin(find(conn, *id, *caller))).await?;
    let receipt = render(&found);
    let accept = request.http.headers().get(ACCEPT).and_then(|value| value.to_str().ok());
    let mut response = HttpResponse::Ok();
    response.insert_header((VARY, "Accept"));
    if accept.is_some_and(prefers_text) {
        return Ok(response.insert_header((CONTENT_TYPE, "text/plain; charset=utf-8")).body(text::render(&receipt)));
    }
    Ok(response.json(receipt))
}

/// Whether an `Accept` header wants plain text rather than JSON. Who does not care gets JSON.
fn prefers_text(accept: &str) -> bool {
    let weight = |kind: &str| {
        let ranges = accept.split(',').filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().filter(|name| name.eq_ignore_ascii_case(kind))?;
            Some(parts.find_map(|part| part.strip_prefix("q=")).map_or(1_000, thousandths))
        });
        ranges.max().unwrap_or(0)
    };
    let text = weight("text/plain");
    text > weight("application/json") && text >= weight("*/*")
}

/// A quality value, `0.8`, in thousandths; one that cannot be read counts as none.
fn thousandths(quality: &str) -> u16 {
    let (whole, rest) = quality.split_once('.').unwrap_or((quality, ""));
    let digits = format!("{rest:0<3}");
    match (whole, digits.get(..3).and_then(|digits| digits.parse::<u16>().ok())) {
        ("1", Some(_)) => 1_000,
        ("0", Some(thousandths)) => thousandths,
        _ => 0,
    }
}

/// What a receipt is made of.
struct Found {
    trip: Trip,
    quote: Quote,
    payments: Vec<Payment>,
    movements: Vec<Movement>,
}

async fn find(conn: &mut Conn, id: TripId, caller: Caller) -> Result<Found> {
    let trip = visible(conn, id, caller).await?;
    let quote = crate::pricing::store::find(conn, trip.quote_id).await?;
    let quote = quote.ok_or_else(|| Error::Bug(format!("{} has no quote", trip.id)))?;
    let payments = payments::store::of_trip(conn, id).await?;
    let movements = payments::store::movements(conn, id).await?;
    Ok(Found { trip, quote, payments, movements })
}

fn render(found: &Found) -> ReceiptBody {
    let Found { trip, quote, payments, movements } = found;
    let money = |amount| Money::new(amount, trip.price.currency);
    let lines = lines(trip, quote, payments);
    let total: i64 = lines.iter().map(|(_, amount)| amount).sum();
    let sum = |amount: fn(&Payment) -> i64| payments.iter().map(amount).sum::<i64>();
    let captured = sum(|payment| payment.captured);
    let given_up = movements.iter().filter(|movement| movement.what == "written_off").map(|movement| movement.amount);
    let written_off: i64 = given_up.sum();
    ReceiptBody {
        trip_id: trip.id,
        state: trip.state.as_str(),
        ended_at: trip.ended_at,
        lines: lines.into_iter().map(|(label, amount)| Line { label, amount: money(amount) }).collect(),
        total: money(total),
        authorised: money(sum(held)),
        captured: money(captured),
        refunded: money(sum(|payment| payment.refunded)),
        written_off: money(written_off),
        due: money((total - captured - written_off).max(0)),
        payments: payments.iter().map(|payment| payment_line(payment, movements)).collect(),
    }
}

fn payment_line(payment: &Payment, movements: &[Movement]) -> PaymentLine {
    let movements = movements.iter().filter(|movement| movement.payment_id == payment.id);
    PaymentLine {
        id: payment.id,
        purpose: payment.purpose.as_str(),
        state: payment.state.as_str(),
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

/// What a payment holds at this moment.
fn held(payment: &Payment) -> i64 {
    match payment.state {
        Stage::Authorized | Stage::Capturing | Stage::Voiding => payment.authorized,
        Stage::Authorizing
        | Stage::Captured
        | Stage::Declined
        | Stage::Voided
        | Stage::AuthExpired
        | Stage::CaptureFailed => 0,
    }
}

/// The brand of a card, where its name tells: `pm_card_visa` is one that the provider publishes for tests. Other names say nothing,
/// and are nobody's business.
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

/// The lines that the total is made of. A fare has the quote's lines and the waiting; any other charge is one line; a tip comes
/// on top, once and for as long as it may still be taken.
fn lines(trip: &Trip, quote: &Quote, payments: &[Payment]) -> Vec<(&'static str, i64)> {
    let (fare, total) = (&quote.fare, trip.total.unwrap_or(0));
    let mut all = match trip.state {
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
    let is_given = |payment: &&Payment| {
        payment.purpose == Purpose::Tip && (payment.state == Stage::Captured || !payment.state.is_terminal())
    };
    all.extend(payments.iter().filter(is_given).map(|tip| {
        let taken = tip.state == Stage::Captured;
        ("Tip", if taken { tip.captured } else { tip.amount.amount })
    }));
    all.retain(|(_, amount)| *amount != 0);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_for_those_who_ask_for_it() {
        let cases = [
            ("text/plain", true),
            ("text/plain; charset=utf-8", true),
            ("TEXT/PLAIN", true),
            ("text/plain, application/json;q=0.5", true),
            ("application/json, text/plain;q=0.9", false),
            ("text/plain, */*;q=0.1", true),
            ("text/plain;q=0.05, */*", false),
            ("text/plain;q=0", false),
            ("text/plain, application/json", false),
            ("text/plain;q=x", false),
            ("*/*", false),
            ("text/html", false),
            ("", false),
        ];
        for (accept, expected) in cases {
            assert_eq!(prefers_text(accept), expected, "{accept}");
        }
    }

    #[test]
    fn of_a_payment_method_nothing_but_the_brand_is_shown() {
        assert_eq!(brand("pm_card_visa"), Some("Visa"));
        assert_eq!(brand("pm_card_mastercard_prepaid"), Some("Mastercard"));
        for hidden in ["pm_1Nqz0T2eZvKYlo2C", "pm_card_chargeDeclined", "card_visa", "pm_card_", ""] {
            assert_eq!(brand(hidden), None, "{hidden}");
        }
    }
}
