//! The deadlines of trips, offers, payments and quotes, in domain time.

use serde::Serialize;
use sqlx::PgConnection;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::clock::DomainTime;
use crate::platform::error::{Refusal, Result};
use crate::platform::ids::{Id, OfferId, PaymentId, QuoteId, TripId};
use crate::trips;
use crate::trips::state_machine::{CommandKind, FREE_CANCELLATION_FOR, NO_SHOW_AFTER, State, allowed_commands};

/// An object with deadlines in domain time.
#[derive(Debug, Clone, Copy)]
pub enum DeadlineOwner {
    /// A trip: its payment, its offer, its search, the end of free cancellation, the no-show.
    Trip(TripId),
    /// A pending offer.
    Offer(OfferId),
    /// An authorized payment.
    Payment(PaymentId),
    /// An unused quote.
    Quote(QuoteId),
}

/// A time at which a state changes by itself, or a command becomes possible.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Deadline {
    /// What happens at that time.
    #[schema(value_type = String, max_length = 64, example = "the offer expires")]
    what: &'static str,
    /// Domain time.
    pub at: DomainTime,
}

/// Returns the first deadline of `owner` after `now`, if any.
///
/// # Errors
/// Not found if no such object exists; or if the database fails.
pub async fn next_deadline(conn: &mut PgConnection, owner: DeadlineOwner, now: DomainTime) -> Result<Option<Deadline>> {
    let deadlines = match owner {
        DeadlineOwner::Trip(id) => trip_deadlines(conn, id).await?,
        DeadlineOwner::Offer(id) => found("offer", offer_deadline(conn, id.uuid()).await?)?,
        DeadlineOwner::Payment(id) => found("payment", payment_deadline(conn, id.uuid()).await?)?,
        DeadlineOwner::Quote(id) => found("quote", quote_deadline(conn, id.uuid()).await?)?,
    };
    let ahead =
        deadlines.into_iter().filter_map(|(what, at)| at.map(|at| Deadline { what, at })).filter(|it| it.at > now);
    Ok(ahead.min_by_key(|deadline| deadline.at))
}

/// What happens, and when; `None` if it does not happen in the present state.
type Due = (&'static str, Option<DomainTime>);

fn found(what: &str, row: Option<Due>) -> Result<Vec<Due>> {
    row.map(|due| vec![due]).ok_or_else(|| Refusal::not_found(what).into())
}

async fn trip_deadlines(conn: &mut PgConnection, id: TripId) -> Result<Vec<Due>> {
    let trip = trips::store::find(conn, id).await?.ok_or_else(|| Refusal::not_found("trip"))?;
    let due = trip.due_at.and_then(|at| trip.due(at)).map(|command| match command.kind() {
        CommandKind::PaymentTimeout => "the authorization times out",
        CommandKind::Expire => "the offer expires",
        CommandKind::GiveUp => "the search ends",
        other => other.as_str(),
    });
    let assigned_at = trip.assigned_at.filter(|_| trip.state == State::Assigned);
    let arrived_at = trip.arrived_at.filter(|_| allowed_commands(trip.state).contains(&CommandKind::NoShow));
    let mut deadlines = vec![
        ("free cancellation ends", assigned_at.map(|at| at + FREE_CANCELLATION_FOR)),
        ("the driver may report a no-show", arrived_at.map(|at| at + NO_SHOW_AFTER)),
    ];
    deadlines.extend(due.map(|due| (due, trip.due_at)));
    Ok(deadlines)
}

async fn offer_deadline(conn: &mut PgConnection, id: Uuid) -> Result<Option<Due>> {
    let row = sqlx::query!(r#"select expires_at as "at: DomainTime", status from offers where id = $1"#, id);
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| ("the offer expires", Some(row.at).filter(|_| row.status == "pending"))))
}

async fn payment_deadline(conn: &mut PgConnection, id: Uuid) -> Result<Option<Due>> {
    let row = sqlx::query!(r#"select recheck_at as "at: DomainTime", state from payments where id = $1"#, id);
    let row = row.fetch_optional(conn).await?;
    let what = "the authorization is checked with the provider";
    Ok(row.map(|row| (what, row.at.filter(|_| row.state == "authorized"))))
}

async fn quote_deadline(conn: &mut PgConnection, id: Uuid) -> Result<Option<Due>> {
    let row = sqlx::query!(
        r#"select expires_at as "at: DomainTime", used_at as "used_at: DomainTime" from quotes where id = $1"#,
        id
    );
    let row = row.fetch_optional(conn).await?;
    Ok(row.map(|row| ("the quote expires", Some(row.at).filter(|_| row.used_at.is_none()))))
}
