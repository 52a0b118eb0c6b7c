//! The SQL of the sandbox: the domain clock, the moments that something waits for, the beginning of everything, and what the console
//! draws.

mod rides;
mod streets;

pub use rides::*;
pub use streets::*;

use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::platform::clock::{Anchor, DomainTime};
use crate::platform::error::{Refusal, Result};
use crate::platform::ids::{Id, OfferId, PaymentId, QuoteId, TripId};
use crate::trips::machine::{FREE_CANCELLATION, NO_SHOW_AFTER, State};

/// Tables that a reset leaves alone: what the migrations filled, the clock, who is the matcher, and the streets.
pub const KEPT: [&str; 7] = [
    "_sqlx_migrations",
    "clock_anchor",
    "ledger_accounts",
    "matcher",
    "outbox_subscriptions",
    "sandbox_streets",
    "trip_edges",
];

/// Tables that a reset empties: all the others. A test compares the two lists with the database.
pub const FORGOTTEN: [&str; 26] = [
    "dispatch_rounds",
    "driver_engagements",
    "driver_events",
    "driver_positions",
    "drivers",
    "idempotency_keys",
    "ledger_entries",
    "ledger_postings",
    "offers",
    "outbox_deliveries",
    "outbox_events",
    "payment_attempts",
    "payment_resolutions",
    "payments",
    "provider_events",
    "quotes",
    "reconciliation_findings",
    "reconciliation_repairs",
    "reconciliation_runs",
    "refunds",
    "trip_events",
    "trips",
    "webhook_attempts",
    "webhook_deliveries",
    "webhook_endpoints",
    "webhook_events",
];

/// The triggers that let nobody change what only grows. A reset takes them down, and puts them back in the same transaction.
const GUARDS: [(&str, &str); 4] = [
    ("ledger_entries", "ledger_entries_append_only"),
    ("ledger_postings", "ledger_postings_append_only"),
    ("payment_resolutions", "payment_resolutions_append_only"),
    ("trip_events", "trip_events_append_only"),
];

/// What a reset found, and is gone.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub struct Forgotten {
    /// Trips.
    trips: i64,
    /// Payments.
    payments: i64,
    /// Drivers; who is still there comes online again.
    drivers: i64,
}

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
    #[schema(example = "the offer expires")]
    what: &'static str,
    /// When: domain time.
    pub at: DomainTime,
}

/// Sets the anchor.
///
/// # Errors
/// If the database does not answer, or the scale is out of range.
pub async fn set_anchor(conn: &mut PgConnection, anchor: Anchor) -> Result<()> {
    sqlx::query!(
        "insert into clock_anchor (real_at, domain_at, scale) values ($1, $2, $3)
         on conflict (only_row) do update set real_at = excluded.real_at, domain_at = excluded.domain_at, scale = excluded.scale",
        anchor.real as _,
        anchor.domain as _,
        i32::try_from(anchor.scale).unwrap_or(i32::MAX),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The legal steps of a trip: from, command, to.
///
/// # Errors
/// If the database does not answer.
pub async fn trip_steps(conn: &mut PgConnection) -> Result<Vec<(String, String, String)>> {
    let rows = sqlx::query!("select from_state, command, to_state from trip_edges").fetch_all(conn).await?;
    Ok(rows.into_iter().map(|row| (row.from_state, row.command, row.to_state)).collect())
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

/// No driver's silence is counted from before `since`: a clock that was set ahead is nobody's silence.
///
/// # Errors
/// If the database does not answer.
pub async fn listen_from(conn: &mut PgConnection, since: DomainTime) -> Result<()> {
    sqlx::query!("update matcher set since = greatest(since, $1)", since as _).execute(conn).await?;
    Ok(())
}

/// The provider's id of a payment; `None` while it has none.
///
/// # Errors
/// Not found if there is no such payment; or if the database does not answer.
pub async fn intent_of(conn: &mut PgConnection, payment: PaymentId) -> Result<Option<String>> {
    let row = sqlx::query_scalar!("select provider_intent_id from payments where id = $1", payment.uuid());
    row.fetch_optional(conn).await?.ok_or_else(|| Refusal::not_found("payment").into())
}

/// Empties every table of [`FORGOTTEN`]. Sequences go on, so that streams that are open notice nothing.
///
/// # Errors
/// If the database does not answer, or the role is not the tables' owner.
pub async fn forget_everything(conn: &mut PgConnection) -> Result<Forgotten> {
    let row = sqlx::query!(
        r#"select (select count(*) from trips) as "trips!", (select count(*) from payments) as "payments!",
                  (select count(*) from drivers) as "drivers!""#
    );
    let row = row.fetch_one(&mut *conn).await?;
    for (table, guard) in GUARDS {
        run(conn, format!("alter table {table} disable trigger {guard}")).await?;
    }
    run(conn, format!("truncate {}", FORGOTTEN.join(", "))).await?;
    for (table, guard) in GUARDS {
        run(conn, format!("alter table {table} enable trigger {guard}")).await?;
    }
    // These come and go with the endpoints.
    sqlx::query!("delete from outbox_subscriptions where subscriber = 'webhooks'").execute(conn).await?;
    Ok(Forgotten { trips: row.trips, payments: row.payments, drivers: row.drivers })
}

/// Runs a statement made of the names above, and of nothing else.
async fn run(conn: &mut PgConnection, sql: String) -> Result<()> {
    sqlx::query(AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}
