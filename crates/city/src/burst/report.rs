//! The report of a burst: its invariants, and the waits that riders are shown and get.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use chrono::TimeDelta;
use serde::Serialize;

use crate::clock::as_seconds;
use crate::metrics::rounded;
use crate::quality::{Degradation, degradations};
use crate::report::{Outcomes, counters, outcomes};
use crate::rider::{RideOutcome, TripHistory};
use crate::statistics::{Counts, ReceivedOffer};
use crate::web::api::Audit;

use super::passed_over::passed_over;
use super::trips::{gave_up_after, pickup_drive};

/// How long the service searches, from the first search, in domain time; and after how many offers it gives up earlier.
const SEARCH_DEADLINE: TimeDelta = TimeDelta::minutes(10);
const OFFERS_MAX: usize = 20;

/// The bound on being passed over: `SKIP_COST` of the service, in domain time.
const PASSED_OVER_MAX: TimeDelta = TimeDelta::seconds(180);

/// How much later than its deadline the service may give up, as a multiple of the delay: its timers run once a second.
const LATE_DELAYS: i32 = 5;

/// What a burst was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct RunFacts {
    pub requests: u64,
    pub drivers: u32,
    /// Real seconds in which the requests came.
    pub within_s: u32,
    pub seed: u64,
    /// Domain seconds per real second.
    pub time_scale: f64,
    /// Real seconds until the last ride had ended.
    pub rides_s: f64,
    /// Real seconds until everything was settled.
    pub wall_s: f64,
    pub interrupted: bool,
}

/// What the histories of the trips show.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Findings {
    /// Trips whose search ended without a driver before the deadline.
    pub no_driver_early: u64,
    /// Trips whose search ended without a driver well after the deadline.
    pub no_driver_late: u64,
    /// Trips that were passed over beyond the bound.
    pub passed_over_beyond_bound: u64,
    /// The longest time by which a trip was passed over, in seconds.
    pub passed_over_max_s: f64,
    /// The time to the driver's arrival that riders were shown when a driver was assigned; `null` if the service shows none.
    pub shown_wait_s: Option<Waits>,
    /// The time from then to the arrival, of the same riders as in `shown_wait_s`, or of all who were picked up.
    pub actual_wait_s: Option<Waits>,
    /// How much the two differ, in either direction.
    pub wait_error_s: Option<Waits>,
    /// The time from the request to the arrival, of served riders.
    pub pickup_wait_s: Option<Waits>,
}

/// Quantiles in seconds of domain time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Waits {
    pub riders: u64,
    pub p50: f64,
    pub p90: f64,
}

/// The report of a burst. Times are domain time unless stated otherwise.
#[derive(Debug, Clone, Serialize)]
pub(super) struct BurstReport {
    #[serde(flatten)]
    pub facts: RunFacts,
    #[serde(flatten)]
    pub outcomes: Outcomes,
    #[serde(flatten)]
    pub findings: Findings,
    /// What this machine was too slow for.
    pub degraded_by: Vec<Degradation>,
    pub http_errors: BTreeMap<String, u64>,
    /// Whether the audit is clean and nothing is unsettled; `null` if it could not be read.
    pub clean: Option<bool>,
    /// The invariants that do not hold.
    pub violations: Vec<String>,
}

impl Findings {
    /// Looks at all trips. `delay_max` is how much later than the service the program may learn of a change.
    pub fn new(rides: &[RideOutcome], offers: &[ReceivedOffer], delay_max: TimeDelta) -> Self {
        let histories: Vec<&TripHistory> = rides.iter().filter_map(|ride| ride.history.as_ref()).collect();
        let gave_up: Vec<TimeDelta> =
            histories.iter().filter_map(|history| gave_up_after(history, OFFERS_MAX)).collect();
        let count = |is: &dyn Fn(&TimeDelta) -> bool| gave_up.iter().filter(|after| is(after)).count() as u64;
        let passed = passed_over(&histories, offers, PASSED_OVER_MAX, delay_max);
        let drives: Vec<(Option<TimeDelta>, TimeDelta)> =
            histories.iter().filter_map(|history| Some((history.shown_eta, pickup_drive(history)?))).collect();
        let shown: Vec<(TimeDelta, TimeDelta)> =
            drives.iter().filter_map(|(shown, actual)| Some(((*shown)?, *actual))).collect();
        let actual = if shown.is_empty() {
            Waits::of(drives.iter().map(|(_, actual)| *actual))
        } else {
            Waits::of(shown.iter().map(|(_, actual)| *actual))
        };
        Self {
            no_driver_early: count(&|after| *after + delay_max < SEARCH_DEADLINE),
            no_driver_late: count(&|after| *after > SEARCH_DEADLINE + delay_max * LATE_DELAYS),
            passed_over_beyond_bound: passed.trips_beyond_bound,
            passed_over_max_s: rounded(passed.longest_s),
            shown_wait_s: Waits::of(shown.iter().map(|(shown, _)| *shown)),
            actual_wait_s: actual,
            wait_error_s: Waits::of(shown.iter().map(|(shown, actual)| (*actual - *shown).abs())),
            pickup_wait_s: Waits::of(rides.iter().filter_map(|ride| ride.pickup_wait)),
        }
    }
}

impl Waits {
    /// The nearest-rank percentiles; `None` without any.
    fn of(waits: impl Iterator<Item = TimeDelta>) -> Option<Self> {
        let mut waits: Vec<TimeDelta> = waits.collect();
        waits.sort_unstable();
        let within = |percent: usize| waits.get((waits.len() * percent).div_ceil(100).max(1) - 1);
        let seconds = |percent| Some(rounded(as_seconds(*within(percent)?)));
        Some(Self { riders: waits.len() as u64, p50: seconds(50)?, p90: seconds(90)? })
    }
}

impl Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p50 {} s, p90 {} s ({} riders)", self.p50, self.p90, self.riders)
    }
}

impl BurstReport {
    /// Judges the invariants.
    pub fn new(
        facts: RunFacts,
        rides: &[RideOutcome],
        findings: Findings,
        (counts, audit): (&Counts, Option<Audit>),
    ) -> Self {
        let outcomes = outcomes(facts.requests, rides);
        let clean = audit.map(|audit| audit.clean && audit.unsettled == 0);
        let Outcomes { declined, no_show, aborted, lost_to_price, unaccounted, .. } = outcomes;
        let must_be_zero = [
            (unaccounted, "trips have not ended"),
            (declined, "trips are payment_failed, and no card declines"),
            (no_show + aborted + lost_to_price, "trips ended in another way than completed, no_driver or cancelled"),
            (findings.no_driver_early, "trips are no_driver before their deadline"),
            (findings.no_driver_late, "trips are no_driver long after their deadline"),
            (findings.passed_over_beyond_bound, "trips were passed over beyond the bound of 180 s"),
        ];
        let mut violations: Vec<String> = must_be_zero
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if clean != Some(true) {
            violations.push("the audit is not clean, or could not be read".to_owned());
        }
        let (degraded_by, http_errors) = (degradations(counts), counts.http_errors.clone());
        Self { facts, outcomes, findings, degraded_by, http_errors, clean, violations }
    }

    /// Whether every invariant holds.
    pub fn is_success(&self) -> bool {
        self.violations.is_empty() && !self.facts.interrupted
    }
}

impl Display for BurstReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, value: &dyn Display| writeln!(f, "{name:<32}{value}");
        let RunFacts { requests, drivers, within_s, seed, time_scale, rides_s, wall_s, interrupted } = self.facts;
        row("burst", &format_args!("{requests} requests in {within_s} s, {drivers} drivers, seed {seed}"))?;
        row("time scale, rides, wall time", &format_args!("{time_scale}, {rides_s} s, {wall_s} s"))?;
        if interrupted {
            row("", &"interrupted")?;
        }
        let Outcomes { served, no_driver, cancelled, declined, no_show, aborted, unaccounted, .. } = self.outcomes;
        row("completed", &served)?;
        row("no_driver", &no_driver)?;
        row("cancelled", &cancelled)?;
        row("payment_failed", &declined)?;
        row("no_show, aborted, not ended", &format_args!("{no_show}, {aborted}, {unaccounted}"))?;
        let findings = &self.findings;
        let Findings { no_driver_early, no_driver_late, passed_over_beyond_bound, passed_over_max_s, .. } = findings;
        row("no_driver early, late", &format_args!("{no_driver_early}, {no_driver_late}"))?;
        let passed_over =
            format_args!("by at most {passed_over_max_s} s, {passed_over_beyond_bound} trips beyond 180 s");
        row("passed over", &passed_over)?;
        let waits = |waits: &Option<Waits>| waits.map_or_else(|| "none".to_owned(), |waits| waits.to_string());
        row("wait shown at the assignment", &waits(&findings.shown_wait_s))?;
        row("wait from then on", &waits(&findings.actual_wait_s))?;
        row("difference of the two", &waits(&findings.wait_error_s))?;
        row("wait from request to arrival", &waits(&findings.pickup_wait_s))?;
        let degraded = self.degraded_by.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        row("degraded by", if degraded.is_empty() { &"nothing" as &dyn Display } else { &degraded })?;
        row("HTTP errors", &counters(&self.http_errors))?;
        row("audit", if self.clean == Some(true) { &"clean" } else { &"NOT CLEAN" })?;
        self.violations.iter().try_for_each(|violation| row("VIOLATED", violation))?;
        row("invariants", if self.violations.is_empty() { &"all hold" } else { &"NOT ALL HOLD" })
    }
}

#[cfg(test)]
mod tests {
    use super::super::trips::tests::history;
    use super::*;
    use crate::rider::RideEnd;
    use crate::web::api::{Captured, TripState};

    const FACTS: RunFacts = RunFacts {
        requests: 1,
        drivers: 1,
        within_s: 1,
        seed: 1,
        time_scale: 1.0,
        rides_s: 1.0,
        wall_s: 1.0,
        interrupted: false,
    };

    fn audit() -> Audit {
        Audit { clean: true, violations: BTreeMap::new(), unsettled: 0, captured: Captured::default() }
    }

    /// A trip that is searched for from 1 s on, and ends at `end_s`.
    fn ride(end: TripState, end_s: i64) -> RideOutcome {
        let states = [(TripState::Requested, 0), (TripState::Searching, 1), (end, end_s)];
        RideOutcome { end: RideEnd::Trip(end), pickup_wait: None, history: Some(history("t", &states)) }
    }

    fn judged(ride: RideOutcome, audit: Option<Audit>) -> BurstReport {
        let findings = Findings::new(std::slice::from_ref(&ride), &[], TimeDelta::seconds(6));
        BurstReport::new(FACTS, &[ride], findings, (&Counts::default(), audit))
    }

    #[test]
    fn trips_that_end_as_they_should_are_no_violation() {
        for ride in [ride(TripState::Completed, 900), ride(TripState::NoDriver, 602), ride(TripState::Cancelled, 9)] {
            let report = judged(ride, Some(audit()));
            assert!(report.is_success(), "{report}");
        }
    }

    #[test]
    fn every_other_end_is_a_violation() {
        let violation = |ride| judged(ride, Some(audit())).violations.join("; ");
        assert!(violation(ride(TripState::PaymentFailed, 60)).contains("1 trips are payment_failed"));
        assert!(violation(ride(TripState::NoDriver, 500)).contains("before their deadline"));
        assert!(violation(ride(TripState::NoDriver, 700)).contains("long after their deadline"));
        assert!(violation(ride(TripState::Aborted, 60)).contains("in another way"));
        assert!(violation(RideOutcome::default()).contains("1 trips have not ended"));
        assert!(!judged(ride(TripState::Completed, 900), None).is_success(), "an unknown audit is not clean");
        let unsettled = Audit { unsettled: 1, ..audit() };
        assert!(!judged(ride(TripState::Completed, 900), Some(unsettled)).is_success());
    }

    #[test]
    fn shown_wait_is_compared_with_the_actual_one() {
        use TripState::{Arrived, Assigned, Requested};
        let ride = |shown_s: Option<i64>| {
            let mut history = history("t", &[(Requested, 0), (Assigned, 10), (Arrived, 110)]);
            history.shown_eta = shown_s.map(TimeDelta::seconds);
            RideOutcome { history: Some(history), ..RideOutcome::default() }
        };
        let findings = Findings::new(&[ride(Some(130)), ride(Some(95)), ride(None)], &[], TimeDelta::zero());
        let p50 = |waits: Option<Waits>| waits.map(|waits| (waits.riders, waits.p50, waits.p90));
        assert_eq!(p50(findings.shown_wait_s), Some((2, 95.0, 130.0)));
        assert_eq!(p50(findings.actual_wait_s), Some((2, 100.0, 100.0)));
        assert_eq!(p50(findings.wait_error_s), Some((2, 5.0, 30.0)));
        let not_shown = Findings::new(&[ride(None)], &[], TimeDelta::zero());
        assert_eq!((p50(not_shown.shown_wait_s), p50(not_shown.actual_wait_s)), (None, Some((1, 100.0, 100.0))));
    }
}
