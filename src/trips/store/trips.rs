//! The table `trips`.

use sqlx::PgConnection;
use uuid::Uuid;

use super::{parsed, uuids};
use crate::geo::Position;
use crate::platform::auth::{Caller, Role};
use crate::platform::class::VehicleClass;
use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::db::one_row;
use crate::platform::error::{Error, Refusal, Result};
use crate::platform::ids::{DriverId, Id, PaymentId, QuoteId, RiderId, TripId};
use crate::platform::money::Money;
use crate::platform::page::PageRequest;
use crate::trips::state_machine::{ActorKind, CommandKind, State, Trip, invalid_transition};

#[derive(Debug)]
struct TripRow {
    id: TripId,
    rider_id: RiderId,
    driver_id: Option<DriverId>,
    quote_id: QuoteId,
    payment_id: PaymentId,
    state: String,
    version: i64,
    class: String,
    pickup_lat: f64,
    pickup_lon: f64,
    dropoff_lat: f64,
    dropoff_lon: f64,
    currency: String,
    price: i64,
    waiting_charge: i64,
    total: Option<i64>,
    pin: String,
    pin_failures: i16,
    offers_made: i16,
    unassignments: i16,
    cancelled_by: Option<String>,
    requested_at: DomainTime,
    authorized_at: Option<MachineTime>,
    search_deadline_at: Option<DomainTime>,
    searching_since: Option<DomainTime>,
    assigned_at: Option<DomainTime>,
    arrived_at: Option<DomainTime>,
    started_at: Option<DomainTime>,
    ended_at: Option<DomainTime>,
    due_at: Option<DomainTime>,
    #[expect(dead_code, reason = "read by `select *`; for the audit")]
    request_key_id: Option<Uuid>,
    #[expect(dead_code, reason = "read by `select *`; for the retention and the audit")]
    history_deleted_at: Option<DomainTime>,
    pickup_by: Option<DomainTime>,
}

impl TryFrom<TripRow> for Trip {
    type Error = Error;

    fn try_from(row: TripRow) -> Result<Self> {
        let id = row.id;
        let impossible = |column, value: String| Error::impossible_row("trips", column, id, value);
        let trip = Self {
            id,
            rider_id: row.rider_id,
            driver_id: row.driver_id,
            quote_id: row.quote_id,
            payment_id: row.payment_id,
            state: parsed(("trips", "state"), id, &row.state, State::parse)?,
            version: row.version,
            class: parsed(("trips", "class"), id, &row.class, VehicleClass::parse)?,
            pickup: position(id, "pickup_lat", row.pickup_lat, row.pickup_lon)?,
            dropoff: position(id, "dropoff_lat", row.dropoff_lat, row.dropoff_lon)?,
            price: Money::new(
                row.price,
                row.currency.parse().map_err(|_| impossible("currency", row.currency.clone()))?,
            ),
            waiting_charge: row.waiting_charge,
            total: row.total,
            pin: row.pin,
            pin_failures: row.pin_failures,
            offers_made: row.offers_made,
            unassignments: row.unassignments,
            cancelled_by: row
                .cancelled_by
                .map(|name| parsed(("trips", "cancelled_by"), id, &name, ActorKind::parse))
                .transpose()?,
            requested_at: row.requested_at,
            authorized_at: row.authorized_at,
            pickup_by: row.pickup_by,
            search_deadline_at: row.search_deadline_at,
            searching_since: row.searching_since,
            assigned_at: row.assigned_at,
            arrived_at: row.arrived_at,
            started_at: row.started_at,
            ended_at: row.ended_at,
            due_at: row.due_at,
        };
        trip.check()
    }
}

fn position(id: TripId, column: &'static str, lat: f64, lon: f64) -> Result<Position> {
    Position::new(lat, lon).map_err(|_| Error::impossible_row("trips", column, id, format!("{lat}, {lon}")))
}

/// Locks a trip for this transaction. Returns false if it does not exist. Read it in a second statement: one statement that
/// locks and joins would join rows from before the wait.
pub async fn lock(conn: &mut PgConnection, id: TripId) -> Result<bool> {
    let found = sqlx::query_scalar!("select id from trips where id = $1 for no key update", id.uuid())
        .fetch_optional(conn)
        .await?;
    Ok(found.is_some())
}

/// Locks a trip for this transaction, without waiting for another one.
///
/// # Errors
/// [`Error::is_locked`] if another transaction has locked it.
pub async fn lock_at_once(conn: &mut PgConnection, id: TripId) -> Result<()> {
    sqlx::query!(r#"select true as "locked!" from trips where id = $1 for no key update nowait"#, id.uuid())
        .fetch_optional(conn)
        .await?;
    Ok(())
}

/// Returns a trip.
pub async fn find(conn: &mut PgConnection, id: TripId) -> Result<Option<Trip>> {
    let row = sqlx::query_as!(TripRow, "select * from trips where id = $1", id.uuid()).fetch_optional(conn).await?;
    row.map(Trip::try_from).transpose()
}

/// Returns a trip that the caller may see: the rider's own, the one the driver is assigned to, any for an operator.
///
/// # Errors
/// [`Code::NotFound`](crate::platform::error::Code::NotFound), whether the trip does not exist or belongs to another caller.
pub async fn find_visible(conn: &mut PgConnection, id: TripId, caller: Caller) -> Result<Trip> {
    let is_visible = |trip: &Trip| is_visible(caller, trip.rider_id, trip.driver_id);
    find(conn, id).await?.filter(is_visible).ok_or_else(|| Refusal::not_found("trip").into())
}

fn is_visible(caller: Caller, rider: RiderId, driver: Option<DriverId>) -> bool {
    match caller.role {
        Role::Rider => caller.rider() == Some(rider),
        Role::Driver => driver.is_some() && caller.driver() == driver,
        Role::Ops => true,
        Role::Gateway => false,
    }
}

/// The columns of a trip that decide what a stream sends.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migration describes the columns")]
pub struct TripSummary {
    pub id: TripId,
    pub rider_id: RiderId,
    pub driver_id: Option<DriverId>,
    pub state: State,
    pub version: i64,
    pub pickup: Position,
    pub dropoff: Position,
}

impl TripSummary {
    /// Whether the caller may see the trip, by the rule of [`find_visible`].
    pub fn is_visible_to(&self, caller: Caller) -> bool {
        is_visible(caller, self.rider_id, self.driver_id)
    }

    /// Returns the driver while one is assigned.
    pub fn current_driver(&self) -> Option<DriverId> {
        self.driver_id.filter(|_| self.state.has_driver())
    }
}

/// Returns those of the trips that exist. A row with an impossible value is reported and left out, so that it affects no other trip.
pub async fn summaries(conn: &mut PgConnection, ids: &[TripId]) -> Result<Vec<TripSummary>> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        "select id, rider_id, driver_id, state, version, pickup_lat, pickup_lon, dropoff_lat, dropoff_lon
         from trips where id = any($1)",
        &ids
    )
    .fetch_all(conn)
    .await?;
    let summaries = rows.into_iter().map(|row| {
        Ok(TripSummary {
            id: row.id,
            rider_id: row.rider_id,
            driver_id: row.driver_id,
            state: parsed(("trips", "state"), row.id, &row.state, State::parse)?,
            version: row.version,
            pickup: position(row.id, "pickup_lat", row.pickup_lat, row.pickup_lon)?,
            dropoff: position(row.id, "dropoff_lat", row.dropoff_lat, row.dropoff_lon)?,
        })
    });
    let report = |error: &Error| tracing::error!(%error, "a watched trip cannot be read");
    Ok(summaries.filter_map(|trip: Result<_>| trip.inspect_err(report).ok()).collect())
}

/// The trips in a list.
#[derive(Debug, Clone, Copy)]
pub enum TripScope {
    /// Those of a rider.
    Rider(RiderId),
    /// Those of a driver.
    Driver(DriverId),
    /// All trips, for operators.
    All,
}

/// Selects a page of the trips that `$scope` selects, the newest first. Each access path is a statement of its own, so that each has a
/// plan with its own index.
macro_rules! page {
    ($page:expr, $scope:literal $(, $argument:expr)*) => {
        sqlx::query_as!(
            TripRow,
            "select * from trips where id < $1 and " + $scope + " order by id desc limit $2",
            $page.before,
            $page.rows(),
            $($argument),*
        )
    };
}

/// Returns a page of trips, newest first.
pub async fn list(
    conn: &mut PgConnection,
    scope: TripScope,
    state: Option<State>,
    page: PageRequest,
) -> Result<Vec<Trip>> {
    let state = state.map(State::as_str);
    let rows = match (scope, state) {
        (TripScope::Rider(rider), state) => {
            page!(page, "rider_id = $3 and ($4::text is null or state = $4)", rider.uuid(), state)
                .fetch_all(conn)
                .await?
        }
        (TripScope::Driver(driver), state) => {
            page!(page, "driver_id = $3 and ($4::text is null or state = $4)", driver.uuid(), state)
                .fetch_all(conn)
                .await?
        }
        (TripScope::All, Some(state)) => page_in_state(conn, state, page).await?,
        (TripScope::All, None) => page!(page, "true").fetch_all(conn).await?,
    };
    rows.into_iter().map(Trip::try_from).collect()
}

/// Selects a page of all trips in a state. It asks for a range and an order that only the index `trips_by_state` has: for equality
/// PostgreSQL prefers to walk through all trips, the newest first, until it has found enough of them in that state.
async fn page_in_state(conn: &mut PgConnection, state: &str, page: PageRequest) -> Result<Vec<TripRow>> {
    let rows = sqlx::query_as!(
        TripRow,
        "select * from trips where id < $1 and state between $3 and $3 order by state desc, id desc limit $2",
        page.before,
        page.rows(),
        state,
    );
    Ok(rows.fetch_all(conn).await?)
}

/// Inserts a new trip.
pub async fn insert(conn: &mut PgConnection, trip: &Trip, key_id: Option<Uuid>) -> Result<()> {
    sqlx::query!(
        "insert into trips (id, rider_id, quote_id, payment_id, state, version, class, pickup_lat, pickup_lon, dropoff_lat, dropoff_lon,
                            currency, price, pin, requested_at, due_at, request_key_id, pickup_by)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        trip.id.uuid(),
        trip.rider_id.uuid(),
        trip.quote_id.uuid(),
        trip.payment_id.uuid(),
        trip.state.as_str(),
        trip.version,
        trip.class.as_str(),
        trip.pickup.lat(),
        trip.pickup.lon(),
        trip.dropoff.lat(),
        trip.dropoff.lon(),
        trip.price.currency.as_str(),
        trip.price.amount,
        trip.pin,
        trip.requested_at as _,
        trip.due_at as _,
        key_id,
        trip.pickup_by as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Writes a trip after a transition.
///
/// # Errors
/// [`Error::StaleWrite`] if the trip no longer has the state and version of `before`.
pub async fn save(conn: &mut PgConnection, before: &Trip, after: &Trip) -> Result<()> {
    let done = sqlx::query!(
        "update trips set state = $4, version = $5, driver_id = $6, waiting_charge = $7, total = $8, offers_made = $9,
                unassignments = $10, cancelled_by = $11, authorized_at = $12, search_deadline_at = $13, searching_since = $14,
                assigned_at = $15, arrived_at = $16, started_at = $17, ended_at = $18, due_at = $19
         where id = $1 and state = $2 and version = $3",
        before.id.uuid(),
        before.state.as_str(),
        before.version,
        after.state.as_str(),
        after.version,
        after.driver_id.map(Id::uuid),
        after.waiting_charge,
        after.total,
        after.offers_made,
        after.unassignments,
        after.cancelled_by.map(ActorKind::as_str),
        after.authorized_at as _,
        after.search_deadline_at as _,
        after.searching_since as _,
        after.assigned_at as _,
        after.arrived_at as _,
        after.started_at as _,
        after.ended_at as _,
        after.due_at as _,
    )
    .execute(conn)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(Error::StaleWrite("trip")) }
}

/// Counts a wrong PIN.
pub async fn count_wrong_pin(conn: &mut PgConnection, id: TripId, failures_max: i16) -> Result<()> {
    let done = sqlx::query!(
        "update trips set pin_failures = pin_failures + 1 where id = $1 and state = 'arrived' and pin_failures < $2",
        id.uuid(),
        failures_max,
    )
    .execute(conn)
    .await?;
    one_row(&done, || invalid_transition(State::Arrived, CommandKind::Start))
}

/// Resets the count of wrong PINs.
pub async fn reset_pin(conn: &mut PgConnection, id: TripId) -> Result<()> {
    sqlx::query!("update trips set pin_failures = 0 where id = $1", id.uuid()).execute(conn).await?;
    Ok(())
}

/// Returns trips whose deadline has passed at `now`, the oldest deadline first, without `postponed`.
pub async fn due(conn: &mut PgConnection, now: DomainTime, postponed: &[TripId], limit: i64) -> Result<Vec<TripId>> {
    let rows = sqlx::query_scalar!(
        r#"select id as "id: TripId" from trips where due_at <= $1 and id <> all($2) order by due_at limit $3"#,
        now as _,
        &uuids(postponed),
        limit
    )
    .fetch_all(conn)
    .await?;
    Ok(rows)
}

/// Returns the next deadline of any trip but `postponed`.
pub async fn next_due(conn: &mut PgConnection, postponed: &[TripId]) -> Result<Option<DomainTime>> {
    let due = sqlx::query_scalar!(
        r#"select min(due_at) as "due: DomainTime" from trips where due_at is not null and id <> all($1)"#,
        &uuids(postponed),
    );
    Ok(due.fetch_one(conn).await?)
}
