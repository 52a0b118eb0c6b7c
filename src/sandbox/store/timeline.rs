//! The SQL of the timeline: what the database knows of a trip and its payments.

use sqlx::PgConnection;

use crate::platform::clock::{DomainTime, MachineTime};
use crate::platform::error::Result;
use crate::platform::ids::{Id, PaymentId, TripId};

/// The most rows of each kind: the newest. A trip has some ten.
pub const TIMELINE_ROWS_MAX: i64 = 200;

/// The newest rows of a kind.
#[derive(Debug)]
pub struct Newest<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// How many older ones there are.
    pub left_out: usize,
}

impl<T> Newest<T> {
    fn new(rows: Vec<T>, total: impl Fn(&T) -> i64) -> Self {
        let total = rows.first().map_or(0, total);
        Self { left_out: usize::try_from(total).unwrap_or_default().saturating_sub(rows.len()), rows }
    }
}

/// An event of a trip or a payment.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migrations describe the columns")]
pub struct TimelineEvent {
    pub payment_id: Option<PaymentId>,
    pub kind: String,
    pub from_state: Option<String>,
    pub state: String,
    pub amount: Option<i64>,
    pub currency: Option<String>,
    pub trace_id: Option<String>,
    pub at: DomainTime,
    pub made_at: MachineTime,
    /// The rows of its kind.
    pub total: i64,
}

/// Something that took time: a call to the provider or to a subscriber, an event of the provider.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migrations describe the columns")]
pub struct TimelineCall {
    pub payment_id: Option<PaymentId>,
    pub name: String,
    pub outcome: String,
    pub detail: Option<String>,
    pub trace_id: Option<String>,
    pub started_at: MachineTime,
    pub finished_at: Option<MachineTime>,
    /// The rows of its kind.
    pub total: i64,
}

/// A posting of the trip.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the migrations describe the columns")]
pub struct TimelinePosting {
    pub kind: String,
    pub amount: i64,
    pub currency: String,
    pub posted_at: DomainTime,
    /// The postings of the trip.
    pub total: i64,
}

/// Returns the trip of a payment.
///
/// # Errors
/// If the database fails.
pub async fn trip_of_payment(conn: &mut PgConnection, payment: PaymentId) -> Result<Option<TripId>> {
    let trip =
        sqlx::query_scalar!(r#"select trip_id as "trip_id: TripId" from payments where id = $1"#, payment.uuid());
    Ok(trip.fetch_optional(conn).await?)
}

/// Returns the newest events of a trip and of its payments; of `payment` alone, if given. Those without a machine time have their domain
/// time in its place.
///
/// # Errors
/// If the database fails.
pub async fn timeline_events(
    conn: &mut PgConnection,
    trip: TripId,
    payment: Option<PaymentId>,
) -> Result<Newest<TimelineEvent>> {
    let of_trip = sqlx::query_as!(
        TimelineEvent,
        r#"select null::uuid as "payment_id: PaymentId", command as kind, nullif(from_state, 'none') as from_state, to_state as state,
                  null::bigint as amount, null::text as currency, trace_id, at as "at: DomainTime", coalesce(made_at, at) as "made_at!: MachineTime", count(*) over () as "total!"
           from trip_events where trip_id = $1 order by seq desc limit $2"#,
        trip.uuid(),
        TIMELINE_ROWS_MAX,
    );
    let of_trip = if payment.is_none() { of_trip.fetch_all(&mut *conn).await? } else { Vec::new() };
    let mut events = Newest::new(of_trip, |event| event.total);
    let of_payments = sqlx::query_as!(
        TimelineEvent,
        r#"select e.payment_id as "payment_id?: PaymentId", e.kind, e.from_state, e.state, e.amount,
                  p.currency as "currency?", e.trace_id, e.at as "at: DomainTime",
                  coalesce(e.made_at, e.at) as "made_at!: MachineTime", count(*) over () as "total!"
           from payments p join payment_events e on e.payment_id = p.id
           where p.trip_id = $1 and ($2::uuid is null or p.id = $2) order by coalesce(e.made_at, e.at) desc, e.seq desc limit $3"#,
        trip.uuid(),
        payment.map(Id::uuid),
        TIMELINE_ROWS_MAX,
    );
    let of_payments = Newest::new(of_payments.fetch_all(conn).await?, |event| event.total);
    events.rows.extend(of_payments.rows);
    events.left_out += of_payments.left_out;
    Ok(events)
}

/// Returns the newest calls to the provider for the payments of a trip; for `payment` alone, if given.
///
/// # Errors
/// If the database fails.
pub async fn provider_calls(
    conn: &mut PgConnection,
    trip: TripId,
    payment: Option<PaymentId>,
) -> Result<Newest<TimelineCall>> {
    let calls = sqlx::query_as!(
        TimelineCall,
        r#"select a.payment_id as "payment_id?: PaymentId", a.operation as name, a.outcome, a.detail, a.trace_id,
                  a.started_at as "started_at: MachineTime", a.finished_at as "finished_at: MachineTime",
                  count(*) over () as "total!"
           from payments p join payment_attempts a on a.payment_id = p.id
           where p.trip_id = $1 and ($2::uuid is null or p.id = $2) order by a.started_at desc limit $3"#,
        trip.uuid(),
        payment.map(Id::uuid),
        TIMELINE_ROWS_MAX,
    );
    Ok(Newest::new(calls.fetch_all(conn).await?, |call| call.total))
}

/// Returns the provider's newest events about the payments of a trip: from their arrival until they were handled.
///
/// # Errors
/// If the database fails.
pub async fn webhooks_in(
    conn: &mut PgConnection,
    trip: TripId,
    payment: Option<PaymentId>,
) -> Result<Newest<TimelineCall>> {
    let events = sqlx::query_as!(
        TimelineCall,
        r#"select p.id as "payment_id?: PaymentId", e.type as name,
                  case when e.set_aside_at is not null then 'set_aside' when e.handled_at is not null then 'handled' else 'waiting' end
                      as "outcome!",
                  e.event_id as "detail?", e.trace_id, e.received_at as "started_at: MachineTime", e.handled_at as "finished_at: MachineTime",
                  count(*) over () as "total!"
           from payments p join provider_events e on e.intent_id = p.provider_intent_id
           where p.trip_id = $1 and ($2::uuid is null or p.id = $2) order by e.received_at desc limit $3"#,
        trip.uuid(),
        payment.map(Id::uuid),
        TIMELINE_ROWS_MAX,
    );
    Ok(Newest::new(events.fetch_all(conn).await?, |event| event.total))
}

/// Returns the newest attempts to deliver events about a trip to subscribers.
///
/// # Errors
/// If the database fails.
pub async fn webhooks_out(conn: &mut PgConnection, trip: TripId) -> Result<Newest<TimelineCall>> {
    let attempts = sqlx::query_as!(
        TimelineCall,
        r#"select null::uuid as "payment_id: PaymentId", e.type as name, coalesce(a.failure, 'delivered') as "outcome!",
                  a.status::text as detail, e.trace_id, a.started_at as "started_at: MachineTime",
                  a.started_at + a.duration_ms * interval '1 millisecond' as "finished_at: MachineTime", count(*) over () as "total!"
           from webhook_events e join webhook_deliveries d on d.event_id = e.id join webhook_attempts a on a.delivery_id = d.id
           where e.trip_id = $1 order by a.started_at desc limit $2"#,
        trip.uuid(),
        TIMELINE_ROWS_MAX,
    );
    Ok(Newest::new(attempts.fetch_all(conn).await?, |attempt| attempt.total))
}

/// Returns the newest postings of a trip, each with the sum of its debits; of `payment` and its refunds alone, if given.
///
/// # Errors
/// If the database fails.
pub async fn timeline_postings(
    conn: &mut PgConnection,
    trip: TripId,
    payment: Option<PaymentId>,
) -> Result<Newest<TimelinePosting>> {
    let postings = sqlx::query_as!(
        TimelinePosting,
        r#"select p.kind, sum(e.amount)::bigint as "amount!", min(e.currency) as "currency!", p.posted_at as "posted_at: DomainTime",
                  count(*) over () as "total!"
           from ledger_postings p join ledger_entries e on e.posting_id = p.id and e.amount > 0
           where p.trip_id = $1
             and ($2::uuid is null or p.source_id = $2 or p.source_id in (select id from refunds where payment_id = $2))
           group by p.id, p.kind, p.posted_at order by p.posted_at desc, p.id desc limit $3"#,
        trip.uuid(),
        payment.map(Id::uuid),
        TIMELINE_ROWS_MAX,
    );
    Ok(Newest::new(postings.fetch_all(conn).await?, |posting| posting.total))
}
