//! Constraints that are second belts: under HTTP a row lock always comes first, so that dropping them changes nothing that a
//! race could see. What each of them forbids is therefore written by hand. With the constraint the database refuses it, by that
//! name; without it, it stands, and the audit finds it.

use crate::harness::App;
use crate::world::{broken, world};

/// The parts of the world, by name.
const CAST: &str = "
    create view completed as select * from trips where state = 'completed';
    create view assigned as select * from trips where state = 'assigned';
    create view searching as select * from trips where state = 'searching';
    create view busy as select * from drivers where id in (select driver_id from trips where state = 'assigned');
    create view idle as select * from drivers where not available;";

/// The idle driver is asked for the searching trip, as dispatch would do it.
const ASK_THE_IDLE_ONE: &str = "
    with asked as (
        update trips set state = 'offered', version = trips.version + 1, offers_made = 1, due_at = '2099-01-01' from idle
        where state = 'searching' returning trips.id as trip_id, trips.version, idle.id as driver_id),
    event as (
        insert into trip_events (trip_id, seq, command, from_state, to_state, actor, data, at)
        select trip_id, version, 'offer', 'searching', 'offered', 'system', '{}', '2020-01-01' from asked),
    offer as (
        insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at)
        select gen_random_uuid(), trip_id, driver_id, 'pending', 1, 1, '2020-01-01', '2099-01-01' from asked returning *)
    insert into driver_engagements (driver_id, trip_id, offer_id, kind) select driver_id, trip_id, id, 'offer' from offer";

/// A constraint, and what only it forbids.
struct Belt<'a> {
    constraint: &'a str,
    /// What takes it away.
    cut: &'a str,
    /// What leads up to the forbidden state, and is allowed.
    before: &'a str,
    forbidden: &'a str,
    /// The invariants that the audit finds broken when it stands.
    broken: &'a [&'a str],
}

impl Belt<'_> {
    async fn prove(&self) {
        let app = world().await;
        app.break_with(CAST).await;
        app.break_with(self.before).await;
        app.assert_clean().await;
        self.is_refused(&app).await;
        app.assert_clean().await;
        app.break_with(self.cut).await;
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

/// In front of it: dispatch takes drivers from the index, which knows who is engaged, and one matcher makes all offers. A driver
/// on a ride has no pending offer, so that nothing else stands in the way of another trip.
#[tokio::test(flavor = "multi_thread")]
async fn one_engagement_per_driver() {
    let belt = Belt {
        constraint: "one_engagement_per_driver",
        cut: "alter table driver_engagements drop constraint one_engagement_per_driver",
        before: "",
        forbidden: &ASK_THE_IDLE_ONE.replace("idle", "busy"),
        broken: &["engagements"],
    };
    belt.prove().await;
}

/// In front of it: the trip's lock, under which offers and engagements are made.
#[tokio::test(flavor = "multi_thread")]
async fn one_engagement_per_trip() {
    let belt = Belt {
        constraint: "one_engagement_per_trip",
        cut: "alter table driver_engagements drop constraint one_engagement_per_trip",
        before: "",
        forbidden: "
            insert into driver_engagements (driver_id, trip_id, offer_id, kind)
            select idle.id, assigned.id, offers.id, 'ride' from idle, assigned, offers join completed on completed.id = trip_id",
        broken: &["engagements"],
    };
    belt.prove().await;
}

/// In front of it: an offer is for one driver, and makes one engagement, in the transaction that makes it.
#[tokio::test(flavor = "multi_thread")]
async fn one_engagement_per_offer() {
    let belt = Belt {
        constraint: "one_engagement_per_offer",
        cut: "alter table driver_engagements drop constraint one_engagement_per_offer",
        before: "",
        forbidden: "
            insert into driver_engagements (driver_id, trip_id, offer_id, kind)
            select idle.id, searching.id, offers.id, 'ride' from idle, searching, offers join assigned on assigned.id = trip_id",
        broken: &["engagements"],
    };
    belt.prove().await;
}

/// In front of it: the trip's lock, and that only a searching trip makes an offer.
#[tokio::test(flavor = "multi_thread")]
async fn one_pending_offer_per_trip() {
    let belt = Belt {
        constraint: "one_pending_offer_per_trip",
        cut: "drop index one_pending_offer_per_trip",
        before: ASK_THE_IDLE_ONE,
        forbidden: "
            insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at)
            select gen_random_uuid(), trips.id, busy.id, 'pending', 1, 1, '2020-01-01', '2099-01-01'
            from busy, trips where state = 'offered'",
        broken: &["offers"],
    };
    belt.prove().await;
}

/// In front of it: the index of free drivers, which lags by a few milliseconds. In `two_trips_want_one_driver` it is this belt
/// that refuses; without it the engagement's key would, so that no race can tell. The second offer is for a trip that is assigned,
/// which is wrong by itself.
#[tokio::test(flavor = "multi_thread")]
async fn one_pending_offer_per_driver() {
    let belt = Belt {
        constraint: "one_pending_offer_per_driver",
        cut: "drop index one_pending_offer_per_driver",
        before: ASK_THE_IDLE_ONE,
        forbidden: "
            insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at)
            select gen_random_uuid(), assigned.id, idle.id, 'pending', 1, 1, '2020-01-01', '2099-01-01' from idle, assigned",
        broken: &["engagements", "offers"],
    };
    belt.prove().await;
}

/// In front of it: the trip's lock, and that only an offered trip is assigned.
#[tokio::test(flavor = "multi_thread")]
async fn one_accepted_offer_per_trip() {
    let belt = Belt {
        constraint: "one_accepted_offer_per_trip",
        cut: "drop index one_accepted_offer_per_trip",
        before: "",
        forbidden: "
            insert into offers (id, trip_id, driver_id, status, pickup_distance_m, matcher_epoch, created_at, expires_at, decided_at)
            select gen_random_uuid(), assigned.id, idle.id, 'accepted', 1, 1, '2020-01-01', '2099-01-01', '2020-01-01'
            from idle, assigned",
        broken: &["offers"],
    };
    belt.prove().await;
}

/// In front of it: the machine, which makes no other steps.
#[tokio::test(flavor = "multi_thread")]
async fn legal_step() {
    let belt = Belt {
        constraint: "legal_step",
        cut: "alter table trip_events drop constraint legal_step",
        before: "",
        forbidden: "
            with step as (update trips set version = version + 1 where state = 'searching' returning id, version)
            insert into trip_events (trip_id, seq, command, from_state, to_state, actor, data, at)
            select id, version, 'wait', 'searching', 'searching', 'system', '{}', '2020-01-01' from step",
        broken: &["events"],
    };
    belt.prove().await;
}

/// In front of it: the trip's lock, and the version in the guard of its update.
#[tokio::test(flavor = "multi_thread")]
async fn one_event_per_version() {
    let belt = Belt {
        constraint: "trip_events_pkey",
        cut: "alter table trip_events drop constraint trip_events_pkey",
        before: "",
        forbidden: "insert into trip_events select event.* from trip_events event join searching on id = trip_id where command = 'authorised'",
        broken: &["events"],
    };
    belt.prove().await;
}

/// In front of it: a key's id is made for one request, whose transaction makes one step.
#[tokio::test(flavor = "multi_thread")]
async fn one_event_per_key() {
    let belt = Belt {
        constraint: "one_event_per_key",
        cut: "alter table trip_events drop constraint one_event_per_key",
        before: "alter table trip_events disable trigger user",
        forbidden: "
            update trip_events set key_id = (select key_id from trip_events join completed on id = trip_id where command = 'start')
            where command = 'arrive'",
        broken: &["keys"],
    };
    belt.prove().await;
}

/// In front of it: as above, and that a request makes one trip.
#[tokio::test(flavor = "multi_thread")]
async fn one_trip_per_key() {
    let belt = Belt {
        constraint: "one_trip_per_key",
        cut: "alter table trips drop constraint one_trip_per_key",
        before: "",
        forbidden: "update trips set request_key_id = (select request_key_id from assigned) where state = 'searching'",
        broken: &["keys"],
    };
    belt.prove().await;
}

/// In front of it: the trip's lock, and that a trip ends once. See `a_ride_is_completed_three_times`.
#[tokio::test(flavor = "multi_thread")]
async fn posted_once() {
    let belt = Belt {
        constraint: "posted_once",
        cut: "alter table ledger_postings drop constraint posted_once",
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
    belt.prove().await;
}

/// In front of it: the trip's lock, under which a trip opens one payment for its fare, and ends once. The rider would pay twice.
#[tokio::test(flavor = "multi_thread")]
async fn one_live_payment_per_purpose() {
    let belt = Belt {
        constraint: "one_live_payment_per_purpose",
        cut: "drop index one_live_payment_per_purpose",
        before: "",
        forbidden: "
            with again as (
                insert into payments
                select (jsonb_populate_record(payments, jsonb_build_object(
                    'id', gen_random_uuid(), 'provider_intent_id', null, 'refund_reserved', 0))).*
                from payments where state = 'captured'
                returning *),
            posting as (
                insert into ledger_postings (id, kind, source_id, trip_id, posted_at)
                select gen_random_uuid(), 'capture', id, trip_id, '2020-01-01' from again returning *)
            insert into ledger_entries (posting_id, line, account, owner_id, amount, currency)
            select posting.id, side.line, side.account, case side.line when 2 then rider_id end, sign * captured_amount, currency
            from posting join again on again.id = source_id,
                 (values (1::smallint, 'clearing', 1), (2::smallint, 'rider_receivable', -1)) as side (line, account, sign)",
        broken: &["receipts"],
    };
    belt.prove().await;
}
