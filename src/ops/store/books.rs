//! Our side of the books, for invariant 8 and for reconciliation.

use sqlx::PgConnection;
use uuid::Uuid;

use super::super::model::OurPayment;
use crate::platform::error::Result;

/// Every payment as our books have it, or those of `only`; `settled` unless its trip is under way or among the `unsettled`.
///
/// # Errors
/// If the database does not answer.
pub(in crate::ops) async fn books(
    conn: &mut PgConnection,
    unsettled: &[Uuid],
    only: Option<&[Uuid]>,
) -> Result<Vec<OurPayment>> {
    let books = sqlx::query_as!(
        OurPayment,
        r#"select payments.id, payments.trip_id, payments.provider_intent_id as intent_id, payments.currency,
                  payments.captured_amount as captured, coalesce(returned.refunded, 0)::bigint as "refunded!", payments.version,
                  (trips.ended_at is not null
                   and not exists (select from unnest($1::uuid[]) as unsettled (id) where unsettled.id = trips.id)) as "settled!"
           from payments
           join trips on trips.id = payments.trip_id
           left join (select payment_id, sum(amount) as refunded from refunds where state = 'succeeded' group by payment_id) returned
             on returned.payment_id = payments.id
           where $2::uuid[] is null or payments.id = any($2)
           order by payments.id"#,
        unsettled,
        only as _,
    )
    .fetch_all(conn)
    .await?;
    Ok(books)
}
