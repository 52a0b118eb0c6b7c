//! The commands of quotes: make one, redeem one.

use chrono::TimeDelta;

use super::model::price;
use super::store::{self, Quote};
use crate::demand::PlaceSurge;
use crate::geo::{Drive, Position};
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::{QuoteId, RiderId};

/// The validity of a quote. Long enough to read and decide, short because supply changes.
pub const QUOTE_TTL: TimeDelta = TimeDelta::seconds(120);

/// A drive to be quoted.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewQuote {
    pub id: QuoteId,
    pub rider_id: RiderId,
    pub class: VehicleClass,
    pub pickup: Position,
    pub dropoff: Position,
    /// From the pickup to the dropoff.
    pub drive: Drive,
    pub surge: PlaceSurge,
    pub now: DomainTime,
}

/// Prices a drive and stores the quote.
///
/// # Errors
/// 422 if the price of so long a drive overflows.
pub async fn quote(tx: &mut Tx, new: &NewQuote) -> Result<Quote> {
    let Drive { leg, source } = new.drive;
    let fare = price(new.class, leg, new.surge.multiplier_bp).ok_or_else(|| {
        Refusal::new(Code::InvalidRequest, "The drive is too long to price. Choose a closer `dropoff`.")
            .field("/dropoff", "too far from the pickup")
    })?;
    let quote = Quote {
        id: new.id,
        rider_id: new.rider_id,
        class: new.class,
        pickup: new.pickup,
        dropoff: new.dropoff,
        leg,
        eta_source: source,
        fare,
        surge: new.surge.clone(),
        created_at: new.now,
        expires_at: new.now + QUOTE_TTL,
        used_at: None,
    };
    store::insert(tx, &quote).await?;
    Ok(quote)
}

/// Redeems a rider's quote for a trip, once.
///
/// # Errors
/// 404 if the rider has no such quote; 410 if it has expired; 409 if it was redeemed.
pub async fn redeem(tx: &mut Tx, id: QuoteId, rider: RiderId, now: DomainTime) -> Result<Quote> {
    if store::mark_used(tx, id, rider, now).await? {
        return store::find(tx, id).await?.ok_or_else(|| Refusal::not_found("quote").into());
    }
    let refusal = match store::find(tx, id).await? {
        Some(quote) if quote.rider_id == rider && quote.used_at.is_some() => quote_used(),
        Some(quote) if quote.rider_id == rider => {
            Refusal::new(Code::QuoteExpired, format!("The quote expired at {}. Request a new one.", quote.expires_at))
        }
        _ => Refusal::not_found("quote").field("/quote_id", "does not exist, or is another rider's"),
    };
    Err(refusal.into())
}

/// Returns the refusal of a redeemed quote.
pub fn quote_used() -> Refusal {
    Refusal::new(Code::QuoteUsed, "The quote was used for a trip already. Request a new one.")
}
