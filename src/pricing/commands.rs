//! What can be done with quotes: make one, and use it up.

use chrono::TimeDelta;

use super::model::{NO_SURGE_BP, price};
use super::store::{self, Quote};
use crate::geo::{Position, roads};
use crate::platform::class::VehicleClass;
use crate::platform::clock::DomainTime;
use crate::platform::db::Tx;
use crate::platform::error::{Code, Refusal, Result};
use crate::platform::ids::{QuoteId, RiderId};

/// How long a price is promised: time to read it and to decide, and no more, for supply moves on.
pub const QUOTE_TTL: TimeDelta = TimeDelta::seconds(120);

/// A drive to be priced.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct NewQuote {
    pub id: QuoteId,
    pub rider_id: RiderId,
    pub class: VehicleClass,
    pub pickup: Position,
    pub dropoff: Position,
    pub now: DomainTime,
}

/// Prices a drive and promises the price.
///
/// # Errors
/// 422 if the drive is too long to have a price.
pub async fn quote(tx: &mut Tx, new: &NewQuote) -> Result<Quote> {
    let leg = roads::estimate(new.pickup, new.dropoff);
    let fare = price(new.class, leg, NO_SURGE_BP).ok_or_else(|| {
        Refusal::new(Code::InvalidRequest, "That is too far to drive.").field("/dropoff", "too far from the pickup")
    })?;
    let quote = Quote {
        id: new.id,
        rider_id: new.rider_id,
        class: new.class,
        pickup: new.pickup,
        dropoff: new.dropoff,
        leg,
        fare,
        surge_bp: NO_SURGE_BP,
        created_at: new.now,
        expires_at: new.now + QUOTE_TTL,
        used_at: None,
    };
    store::insert(tx, &quote).await?;
    Ok(quote)
}

/// Uses a rider's quote up. It makes one trip.
///
/// # Errors
/// 404 if there is none of that rider's, 410 if it has expired, 409 if it was used.
pub async fn use_up(tx: &mut Tx, id: QuoteId, rider: RiderId, now: DomainTime) -> Result<Quote> {
    if store::mark_used(tx, id, rider, now).await? {
        return store::find(tx, id).await?.ok_or_else(|| Refusal::not_found("quote").into());
    }
    let refusal = match store::find(tx, id).await? {
        Some(quote) if quote.rider_id == rider && quote.used_at.is_some() => used_up(),
        Some(quote) if quote.rider_id == rider => {
            Refusal::new(Code::QuoteExpired, format!("This quote expired at {}. Ask for a new one.", quote.expires_at))
        }
        _ => Refusal::not_found("quote").field("/quote_id", "no such quote, or not yours"),
    };
    Err(refusal.into())
}

/// The refusal of a quote that has made its trip.
pub fn used_up() -> Refusal {
    Refusal::new(Code::QuoteUsed, "This quote has made a trip already. Ask for a new one.")
}
