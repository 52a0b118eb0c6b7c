#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn ride(state: TripState, wait_s: Option<i64>) -> Ending {
    Ending { state: Some(state), pickup_wait: wait_s.map(TimeDelta::seconds) }
}

fn rides() -> Vec<Ending> {
    let served = (1..=100).map(|s| ride(TripState::Completed, Some(s)));
    let others = [TripState::NoDriver, TripState::Cancelled, TripState::Cancelled, TripState::PaymentFailed];
    served.chain(others.map(|state| ride(state, None))).chain([Ending::unknown()]).collect()
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
        time_scale: 20.0,
        vehicles: 200,
        wall_s: 400.25,
        interrupted: false,
        requests: 106,
        rejected_rows: vec![row],
        skipped_streets: 0,
        endings: endings(106, &rides()),
        pickup_wait_s: waits(&rides()),
        match_latency: Some(MatchLatencyReport {
            all: quantiles,
            by_burst: ["21+", "6-20", "1"].map(|burst| (burst.into(), quantiles)).into(),
        }),
        lateness: LatenessReport { p99_s: 0.0, max_s: 0.0 },
        degraded: false,
        offers: Offers::default(),
        offers_expired_in_transit: 0,
        driver_cancelled: 0,
        positions: [("accepted".into(), 360_000)].into(),
        http_errors: [].into(),
        empty_km: 0.0,
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
fn the_report_keeps_its_shape() {
    let mut report = report();
    let mut counts = Counts { empty_m: 12_345.6, loaded_m: 98_765.4, driver_cancelled: 3, ..Counts::default() };
    counts.offers = Offers { received: 130, accepted: 104, declined: 15, ignored: 9, expired_in_transit: 2, lost: 0 };
    counts.http_errors.insert("offer_expired".into(), 2);
    counts.lateness.record(TimeDelta::milliseconds(34));
    report.count(&counts);
    report.judge(Some(audit()));
    insta::assert_json_snapshot!(report);
    insta::assert_snapshot!(report.to_string());
}

#[test]
fn every_request_is_in_one_class_and_the_rest_is_unaccounted() {
    let endings = endings(106, &rides());
    assert_eq!((endings.served, endings.no_driver, endings.cancelled, endings.declined), (100, 1, 2, 1));
    // One rider never learnt how it ended, and one never came back.
    assert_eq!(endings.unaccounted, 2);
}

#[test]
fn waits_are_the_smallest_that_so_many_stay_within() {
    assert_eq!(waits(&rides()), Some(Waits { p50: 50.0, p90: 90.0, p99: 99.0 }));
    assert_eq!(waits(&rides()[..1]), Some(Waits { p50: 1.0, p90: 1.0, p99: 1.0 }));
    assert_eq!(waits(&[]), None);
}

#[test]
fn only_clean_books_and_no_lost_request_make_a_good_replay() {
    let judged = |change: fn(&mut Audit), unaccounted| {
        let (mut report, mut audit) = (report(), audit());
        change(&mut audit);
        report.judge(Some(audit));
        report.endings.unaccounted = unaccounted;
        report.is_good()
    };
    assert!(judged(|_| {}, 0));
    assert!(!judged(|_| {}, 1));
    assert!(!judged(|audit| audit.clean = false, 0));
    assert!(!judged(|audit| audit.unsettled = 1, 0));
    assert!(!judged(|audit| *audit.violations.get_mut("ledger").unwrap() = 1, 0));
    assert!(!report().is_good(), "an audit that can't be read is not clean");
}

#[test]
fn late_ticks_degrade_a_run() {
    let mut report = report();
    let mut counts = Counts::default();
    (0..1_000).for_each(|_| counts.lateness.record(TimeDelta::milliseconds(10)));
    counts.lateness.record(TimeDelta::seconds(3));
    report.count(&counts);
    assert!(!report.degraded, "one late tick of a thousand");
    (0..20).for_each(|_| counts.lateness.record(TimeDelta::seconds(3)));
    report.count(&counts);
    assert!(report.degraded);
}
