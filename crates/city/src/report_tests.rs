#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::metrics::Quantiles;

fn ride(state: TripState, wait_s: Option<i64>) -> RideOutcome {
    RideOutcome { end: RideEnd::Trip(state), pickup_wait: wait_s.map(TimeDelta::seconds), history: None }
}

fn rides() -> Vec<RideOutcome> {
    let served = (1..=100).map(|s| ride(TripState::Completed, Some(s)));
    let others = [TripState::NoDriver, TripState::Cancelled, TripState::Cancelled, TripState::PaymentFailed];
    served.chain(others.map(|state| ride(state, None))).chain([RideOutcome::default()]).collect()
}

fn report() -> Report {
    let midnight = NaiveDateTime::parse_from_str("2014-12-21 20:00:00", "%Y-%m-%d %H:%M:%S").unwrap();
    let row = RejectedRow { file: "requests.csv", line: 7, reason: "`o_lat` is missing".into() };
    let quantiles = Quantiles { count: 104, p50_ms: 5.0, p99_ms: 46.5 };
    Report {
        scenario: "manhattan".into(),
        from: midnight,
        until: midnight + TimeDelta::hours(2),
        seed: 1,
        settings: Settings {
            behavior: Habits::Hive,
            policy: Some(Policy::Batched),
            pickup_within_s: Some(600),
            streets: true,
            reposition: 0.5,
            price_elasticity: 0.0,
        },
        time_scale: 20.0,
        vehicles: 200,
        wall_s: 400.25,
        interrupted: false,
        requests: 106,
        rejected_rows: vec![row],
        skipped_streets: 0,
        outcomes: outcomes(106, &rides()),
        quality: Quality { served_percent: Some(94.34), offers_per_ride: Some(1.3), ..Quality::default() },
        pickup_wait_s: waits(&rides()),
        match_latency: Some(MatchLatencyReport {
            all: quantiles,
            by_batch_size: ["21+", "6-20", "1"].map(|batch_size| (batch_size.into(), quantiles)).into(),
        }),
        lateness: LatenessReport { p99_s: 0.0, max_s: 0.0 },
        degraded: false,
        degraded_by: Vec::new(),
        offers: Offers::default(),
        offers_expired_in_transit: 0,
        driver_cancelled: 0,
        positions: [("accepted".into(), 360_000)].into(),
        http_errors: [].into(),
        deadhead_km: 0.0,
        repositioning_km: 0.0,
        hints_followed: 0,
        surge_quotes: 0,
        loaded_km: 0.0,
        drives_off_streets: 0,
        captured: None,
        audit: None,
        unsettled: None,
        clean: false,
    }
}

fn audit() -> Audit {
    let usd = |amount| [("USD".to_owned(), amount)].into();
    Audit {
        clean: true,
        violations: [("engagements".into(), 0), ("ledger".into(), 0)].into(),
        unsettled: 0,
        captured: Captured { service: usd(123_400), provider: usd(123_400) },
    }
}

#[test]
fn report_as_json_and_as_table() {
    let mut report = report();
    let mut counts = Counts { deadhead_m: 12_345.6, loaded_m: 98_765.4, driver_cancelled: 3, ..Counts::default() };
    counts.offers = Offers { received: 130, accepted: 104, declined: 15, ignored: 9, expired_in_transit: 2, lost: 0 };
    counts.http_errors.insert("offer_expired".into(), 2);
    counts.lateness.record(TimeDelta::milliseconds(34));
    report.set_counts(&counts);
    report.set_audit(Some(audit()));
    insta::assert_json_snapshot!(report);
    insta::assert_snapshot!(report.to_string());
}

#[test]
fn requests_without_a_known_outcome_are_unaccounted() {
    let outcomes = outcomes(106, &rides());
    assert_eq!((outcomes.served, outcomes.no_driver, outcomes.cancelled, outcomes.declined), (100, 1, 2, 1));
    // One rider did not learn the outcome, and one is missing.
    assert_eq!(outcomes.unaccounted, 2);
}

#[test]
fn waits_are_nearest_rank_percentiles() {
    assert_eq!(waits(&rides()), Some(WaitQuantiles { p50: 50.0, p90: 90.0, p99: 99.0 }));
    assert_eq!(waits(&rides()[..1]), Some(WaitQuantiles { p50: 1.0, p90: 1.0, p99: 1.0 }));
    assert_eq!(waits(&[]), None);
}

#[test]
fn replay_succeeds_only_with_a_clean_audit_and_no_unaccounted_request() {
    let judged = |change: fn(&mut Audit), unaccounted| {
        let (mut report, mut audit) = (report(), audit());
        change(&mut audit);
        report.set_audit(Some(audit));
        report.outcomes.unaccounted = unaccounted;
        report.is_success()
    };
    assert!(judged(|_| {}, 0));
    assert!(!judged(|_| {}, 1));
    assert!(!judged(|audit| audit.clean = false, 0));
    assert!(!judged(|audit| audit.unsettled = 1, 0));
    assert!(!judged(|audit| *audit.violations.get_mut("ledger").unwrap() = 1, 0));
    assert!(!report().is_success(), "an audit that cannot be read is not clean");
}

#[test]
fn rider_who_does_not_accept_the_price_is_accounted_for() {
    let lost = RideOutcome { end: RideEnd::LostToPrice, ..RideOutcome::default() };
    let rides: Vec<RideOutcome> = rides().into_iter().chain([lost]).collect();
    let outcomes = outcomes(107, &rides);
    assert_eq!((outcomes.lost_to_price, outcomes.unaccounted), (1, 2));
}
