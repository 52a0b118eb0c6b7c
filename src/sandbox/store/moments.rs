//! The moments of domain time that something waits for.

use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::clock::DomainTime;
use crate::platform::error::{Refusal, Result};
use crate::platform::ids::{Id, OfferId, PaymentId, QuoteId, TripId};
use crate::trips::machine::{FREE_CANCELLATION, NO_SHOW_AFTER, State};

/// Something that waits for a moment of domain time.
#[derive(Debug, Clone, Copy)]
pub enum Waiting {
    /// A trip: its payment, its offer, its search, the end of free cancellation, the rider who does not come.
    Trip(TripId),
    /// A pending offer.
    Offer(OfferId),
    /// Money that is reserved.
    Payment(PaymentId),
    /// A price that nobody has used.
    Quote(QuoteId),
}

/// A moment at which something changes by itself, or becomes possible.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Moment {
    /// What happens then.
    #[schema(value_type = String, max_length = 64, example = "the offer expires")]
    what: &'static str,
    /// When: domain time.
    pub at: DomainTime,
}

/// The next moment after `now` that `waiting` waits for, if there is one.
///
/// # Errors
/// Not found if there is no such thing; or if the database does not answer.
pub async fn next_moment(conn: &mut PgConnection, waiting: Waiting, now: DomainTime) -> Result<Option<Moment>> {
    let moments = match waiting {
        Waiting::Trip(id) => trip_moments(conn, id).await?,
        Waiting::Offer(id) => found("offer", offer_moment(conn, id.uuid()).await?)?,
        Waiting::Payment(id) => found("payment", payment_moment(conn, id.uuid()).await?)?,
        Waiting::Quote(id) => found("quote", quote_moment(conn, id.uuid()).await?)?,
    };
    let ahead = moments.into_iter().filter_map(|(what, at)| at.map(|at| Moment { what, at })).filter(|it| it.at > now);
    Ok(ahead.min_by_key(|moment| moment.at))
}

/// What happens, and when, if it does.
type Due = (&'static str, Option<DomainTime>);

fn found(what: &str, row: Option<Due>) -> Result<Vec<Due>> {
    row.map(|due| vec![due]).ok_or_else(|| Refusal::not_found(what).into())
}

async fn trip_moments(conn: &mut PgConnection, id: TripId) -> Result<Vec<Due>> {
    let row = sqlx::query!("select state, due_at, assigned_at, arrived_at from trips where id = $1", id.uuid())
        .fetch_optional(conn)
        .await?
        .ok_or_else(|| Refusal::not_found("trip"))?;
    let state = State::parse(&row.state);
    let due = match state {
        Some(State::Requested) => "the payment is given up",
        Some(State::Offered) => "the offer expires",
        _ => "the search is given up",
    };
    let assigned_at = row.assigned_at.filter(|_| state == Some(State::Assigned));
    let arrived_at = row.arrived_at.filter(|_| state == Some(State::Arrived));
    Ok(vec![
        (due, row.due_at),
        ("cancelling begins to cost a fee", assigned_at.map(|at: DomainTime| at + FREE_CANCELLATION)),
        ("the driver may declare a no-show", arrived_at.map(|at: DomainTime| at + NO_SHOW_AFTER)),
    ])
}

async fn offer_moment(conn: &mut PgConnection, id: Uuid) -> Result<Option<Due>> {
    let row = sqlx::query!(r#"select expires_at as "at: DomainTime", status from offers where id = $1"#, id);
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| ("the offer expires", Some(row.at).filter(|_| row.status == "pending"))))
}

async fn payment_moment(conn: &mut PgConnection, id: Uuid) -> Result<Option<Due>> {
    let row = sqlx::query!(r#"select look_at as "at: DomainTime", state from payments where id = $1"#, id);
    let row = row.fetch_optional(conn).await?;
    let what = "the provider is asked whether the money is still reserved";
    Ok(row.map(|row| (what, row.at.filter(|_| row.state == "authorized"))))
}

async fn quote_moment(conn: &mut PgConnection, id: Uuid) -> Result<Option<Due>> {
    let row = sqlx::query!(
        r#"select expires_at as "at: DomainTime", used_at as "used_at: DomainTime" from quotes where id = $1"#,
        id
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| ("the price is no longer promised", Some(row.at).filter(|_| row.used_at.is_none()))))
}
