//! Constraints that HTTP requests never reach, because a row lock comes first. Each test writes the forbidden rows by SQL: with the
//! constraint the database refuses them by its name; without it they stay, and the audit finds them.

use crate::harness::App;
use crate::harness::audit_fixture::{app_with_trips, broken};

/// Views of the fixture's rows, by name.
const NAMED_ROWS: &str = "
    create view completed as select * from trips where state = 'completed';
    create view assigned as select * from trips where state = 'assigned';
    create view searching as select * from trips where state = 'searching';
    create view busy as select * from drivers where id in (select driver_id from trips where state = 'assigned');
    create view idle as select * from drivers where not available;";

/// Offers the searching trip to the idle driver, as dispatch would.
const OFFER_TO_THE_IDLE_DRIVER: &str = "
    with offered as (
        update trips set state = 'offered', version = trips.version + 1, offers_made = 1, due_at = '2099-01-01' from idle
        where state = 'searching' returning trips.id as trip_id, trips.version, idle.id as driver_id),
    event as (
        insert into trip_events (trip_id, seq, command, from_state, to_state, actor, data, at)
        select trip_id, version, 'offer', 'searching', 'offered', 'system', '{}', '2020-01-01' from offered),
    offer as (
        insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at)
        select gen_random_uuid(), trip_id, driver_id, 'pending', 1, 1, '2020-01-01', '2099-01-01' from offered returning *)
    insert into driver_engagements (driver_id, trip_id, offer_id, kind) select driver_id, trip_id, id, 'offer' from offer";

/// A constraint, and the rows that only it forbids.
struct Backstop<'a> {
    constraint: &'a str,
    /// The SQL that drops it.
    drop: &'a str,
    /// Allowed SQL before the forbidden rows.
    before: &'a str,
    forbidden: &'a str,
    /// The invariants that the audit reports without the constraint.
    broken: &'a [&'a str],
}

impl Backstop<'_> {
    async fn prove(&self) {
        let app = app_with_trips().await;
        app.break_with(NAMED_ROWS).await;
        app.break_with(self.before).await;
        app.assert_clean().await;
        self.is_refused(&app).await;
        app.assert_clean().await;
        app.break_with(self.drop).await;
        app.break_with(self.forbidden).await;
        let report = app.audit().await;
        assert_eq!(broken(&report), self.broken, "without {}: {report:#}", self.constraint);
        app.stop().await;
    }

    async fn is_refused(&self, app: &App) {
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(self.forbidden)).execute(app.sql()).await.unwrap_err();
        let refused = refused.into_database_error().unwrap();
        assert_eq!(refused.constraint(), Some(self.constraint), "{refused}");
    }
}

/// First checks: the index has only free drivers, and one matcher makes all offers. A driver on a ride has no pending offer, so no
/// other constraint applies.
#[tokio::test(flavor = "multi_thread")]
async fn one_engagement_per_driver() {
    let backstop = Backstop {
        constraint: "one_engagement_per_driver",
        drop: "alter table driver_engagements drop constraint one_engagement_per_driver",
        before: "",
        forbidden: &OFFER_TO_THE_IDLE_DRIVER.replace("idle", "busy"),
        broken: &["engagements"],
    };
    backstop.prove().await;
}

/// First check: the trip's lock, under which offers and engagements are written.
#[tokio::test(flavor = "multi_thread")]
async fn one_engagement_per_trip() {
    let backstop = Backstop {
        constraint: "one_engagement_per_trip",
        drop: "alter table driver_engagements drop constraint one_engagement_per_trip",
        before: "",
        forbidden: "
            insert into driver_engagements (driver_id, trip_id, offer_id, kind)
            select idle.id, assigned.id, offers.id, 'ride' from idle, assigned, offers join completed on completed.id = trip_id",
        broken: &["engagements"],
    };
    backstop.prove().await;
}

/// First check: an offer is for one driver, and its transaction writes one engagement.
#[tokio::test(flavor = "multi_thread")]
async fn one_engagement_per_offer() {
    let backstop = Backstop {
        constraint: "one_engagement_per_offer",
        drop: "alter table driver_engagements drop constraint one_engagement_per_offer",
        before: "",
        forbidden: "
            insert into driver_engagements (driver_id, trip_id, offer_id, kind)
            select idle.id, searching.id, offers.id, 'ride' from idle, searching, offers join assigned on assigned.id = trip_id",
        broken: &["engagements"],
    };
    backstop.prove().await;
}

/// First checks: the trip's lock; only a searching trip makes an offer.
#[tokio::test(flavor = "multi_thread")]
async fn one_pending_offer_per_trip() {
    let backstop = Backstop {
        constraint: "one_pending_offer_per_trip",
        drop: "drop index one_pending_offer_per_trip",
        before: OFFER_TO_THE_IDLE_DRIVER,
        forbidden: "
            insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at)
            select gen_random_uuid(), trips.id, busy.id, 'pending', 1, 1, '2020-01-01', '2099-01-01'
            from busy, trips where state = 'offered'",
        broken: &["offers"],
    };
    backstop.prove().await;
}

/// First check: the index of free drivers, which lags by a few milliseconds. In `two_trips_for_one_driver_make_one_offer` this
/// constraint refuses; without it the engagement's key would, so no race can tell. The second offer here is for an assigned trip, which
/// the audit also reports.
#[tokio::test(flavor = "multi_thread")]
async fn one_pending_offer_per_driver() {
    let backstop = Backstop {
        constraint: "one_pending_offer_per_driver",
        drop: "drop index one_pending_offer_per_driver",
        before: OFFER_TO_THE_IDLE_DRIVER,
        forbidden: "
            insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at)
            select gen_random_uuid(), assigned.id, idle.id, 'pending', 1, 1, '2020-01-01', '2099-01-01' from idle, assigned",
        broken: &["engagements", "offers"],
    };
    backstop.prove().await;
}

/// First checks: the trip's lock; only an offered trip is assigned.
#[tokio::test(flavor = "multi_thread")]
async fn one_accepted_offer_per_trip() {
    let backstop = Backstop {
        constraint: "one_accepted_offer_per_trip",
        drop: "drop index one_accepted_offer_per_trip",
        before: "",
        forbidden: "
            insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at, decided_at)
            select gen_random_uuid(), assigned.id, idle.id, 'accepted', 1, 1, '2020-01-01', '2099-01-01', '2020-01-01'
            from idle, assigned",
        broken: &["offers"],
    };
    backstop.prove().await;
}

/// First check: the state machine.
#[tokio::test(flavor = "multi_thread")]
async fn legal_transition() {
    let backstop = Backstop {
        constraint: "legal_transition",
        drop: "alter table trip_events drop constraint legal_transition",
        before: "",
        forbidden: "
            with step as (update trips set version = version + 1 where state = 'searching' returning id, version)
            insert into trip_events (trip_id, seq, command, from_state, to_state, actor, data, at)
            select id, version, 'wait', 'searching', 'searching', 'system', '{}', '2020-01-01' from step",
        broken: &["events"],
    };
    backstop.prove().await;
}

/// First checks: the trip's lock; the version in the guard of its update.
#[tokio::test(flavor = "multi_thread")]
async fn one_event_per_version() {
    let backstop = Backstop {
        constraint: "trip_events_pkey",
        drop: "alter table trip_events drop constraint trip_events_pkey",
        before: "",
        forbidden: "insert into trip_events select event.* from trip_events event join searching on id = trip_id where command = 'authorized'",
        broken: &["events"],
    };
    backstop.prove().await;
}

/// First check: a key's id belongs to one request, whose transaction writes one event.
#[tokio::test(flavor = "multi_thread")]
async fn one_event_per_key() {
    let backstop = Backstop {
        constraint: "one_event_per_key",
        drop: "alter table trip_events drop constraint one_event_per_key",
        before: "alter table trip_events disable trigger user",
        forbidden: "
            update trip_events set key_id = (select key_id from trip_events join completed on id = trip_id where command = 'start')
            where command = 'arrive'",
        broken: &["keys"],
    };
    backstop.prove().await;
}

/// First checks: as above; a request makes one trip.
#[tokio::test(flavor = "multi_thread")]
async fn one_trip_per_key() {
    let backstop = Backstop {
        constraint: "one_trip_per_key",
        drop: "alter table trips drop constraint one_trip_per_key",
        before: "",
        forbidden: "update trips set request_key_id = (select request_key_id from assigned) where state = 'searching'",
        broken: &["keys"],
    };
    backstop.prove().await;
}

/// First checks: the trip's lock; a trip ends once. See `concurrent_completes_charge_once`.
#[tokio::test(flavor = "multi_thread")]
async fn posted_once() {
    let backstop = Backstop {
        constraint: "posted_once",
        drop: "alter table ledger_postings drop constraint posted_once",
        before: "",
        forbidden: "
            with again as (
                insert into ledger_postings (id, kind, source_id, trip_id, posted_at)
                select gen_random_uuid(), kind, source_id, trip_id, posted_at from ledger_postings where kind = 'charge'
                returning id)
            insert into ledger_entries (posting_id, line, account, owner_id, amount, currency)
            select again.id, line, account, owner_id, amount, currency
            from again, ledger_entries join ledger_postings posting on posting.id = posting_id where kind = 'charge'",
        broken: &["receipts"],
    };
    backstop.prove().await;
}

/// First check: the trip's lock, under which a trip opens one payment for its fare. Without both the rider pays twice.
#[tokio::test(flavor = "multi_thread")]
async fn one_live_payment_per_purpose() {
    let backstop = Backstop {
        constraint: "one_live_payment_per_purpose",
        drop: "drop index one_live_payment_per_purpose",
        before: "",
        forbidden: "
            with again as (
                insert into payments
                select (jsonb_populate_record(payments, jsonb_build_object(
                    'id', gen_random_uuid(), 'provider_intent_id', null, 'refund_reserved', 0, 'last_event', 1))).*
                from payments where state = 'captured'
                returning *),
            event as (
                insert into payment_events (payment_id, seq, kind, state, at, made_at)
                select id, 1, 'recorded', state, created_at, created_at from again),
            posting as (
                insert into ledger_postings (id, kind, source_id, trip_id, posted_at)
                select gen_random_uuid(), 'capture', id, trip_id, '2020-01-01' from again returning *)
            insert into ledger_entries (posting_id, line, account, owner_id, amount, currency)
            select posting.id, side.line, side.account, case side.line when 2 then rider_id end, sign * captured_amount, currency
            from posting join again on again.id = source_id,
                 (values (1::smallint, 'clearing', 1), (2::smallint, 'rider_receivable', -1)) as side (line, account, sign)",
        broken: &["receipts"],
    };
    backstop.prove().await;
}
