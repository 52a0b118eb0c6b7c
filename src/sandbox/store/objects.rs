//! The trip and the payment of objects that have no page of their own.

use sqlx::PgConnection;

use crate::platform::error::Result;
use crate::platform::ids::{DriverId, Id, OfferId, PaymentId, QuoteId, RefundId, TripId};

/// The trip and the driver of an offer.
///
/// # Errors
/// If the database fails.
pub async fn offer_subject(conn: &mut PgConnection, offer: OfferId) -> Result<Option<(TripId, DriverId)>> {
    let row = sqlx::query!(
        r#"select o.trip_id as "trip_id: TripId", o.driver_id as "driver_id: DriverId" from offers o where o.id = $1"#,
        offer.uuid()
    );
    Ok(row.fetch_optional(conn).await?.map(|row| (row.trip_id, row.driver_id)))
}

/// The trip and the payment of a refund.
///
/// # Errors
/// If the database fails.
pub async fn refund_subject(conn: &mut PgConnection, refund: RefundId) -> Result<Option<(TripId, PaymentId)>> {
    let row = sqlx::query!(
        r#"select p.trip_id as "trip_id: TripId", p.id as "payment_id: PaymentId"
           from refunds refund join payments p on p.id = refund.payment_id where refund.id = $1"#,
        refund.uuid()
    );
    Ok(row.fetch_optional(conn).await?.map(|row| (row.trip_id, row.payment_id)))
}

/// The trip that redeemed a quote, if one has; `None` if there is no such quote.
///
/// # Errors
/// If the database fails.
pub async fn quote_subject(conn: &mut PgConnection, quote: QuoteId) -> Result<Option<Option<TripId>>> {
    let row = sqlx::query!(
        r#"select t.id as "trip_id?: TripId" from quotes q left join trips t on t.quote_id = q.id where q.id = $1"#,
        quote.uuid()
    );
    Ok(row.fetch_optional(conn).await?.map(|row| row.trip_id))
}
