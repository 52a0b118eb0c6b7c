//! How well riders are served: shares, distances and times that can be compared between runs.

use std::fmt::{self, Display};

use serde::Serialize;

use crate::clock::as_seconds;
use crate::metrics::rounded;
use crate::rider::RideOutcome;
use crate::statistics::Counts;

/// The largest share of received offers that may expire in transit. Beyond it, the run measures this machine instead of the service:
/// a driver who would have taken a trip is excluded from it.
const IN_TRANSIT_MAX: f64 = 0.001;

/// The limit of the 99th percentile of the lateness, in domain seconds. Beyond it, the run measures this machine instead of
/// the service.
const LATENESS_MAX_S: f64 = 1.0;

/// The figures of a run that are compared with other runs. `null` where there is nothing to divide by.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Quality {
    /// Served requests per request, in percent.
    pub served_percent: Option<f64>,
    /// Kilometers without a rider per served request, those to the places of hints included.
    pub deadhead_km_per_ride: Option<f64>,
    /// Of these, kilometers to the places of hints.
    pub repositioning_km_per_ride: Option<f64>,
    /// The part of the time of all cars, within the window, with a rider on board, in percent.
    pub utilization_percent: Option<f64>,
    /// The part of the time of all cars, within the window, on the way to a pickup, in percent.
    pub to_pickup_percent: Option<f64>,
    /// Offers that reached a driver, per served request.
    pub offers_per_ride: Option<f64>,
    /// The mean wait of each tenth of the served riders, the shortest first, in seconds; empty below ten riders.
    pub wait_by_decile_s: Vec<f64>,
    /// The mean wait of the last tenth as a multiple of the mean wait of all: 1 if all wait alike, at most 10.
    pub wait_inequality: Option<f64>,
}

/// What a run measures instead of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Degradation {
    /// Position reports were sent too late.
    Lateness,
    /// Offers expired on the way to the driver or back.
    OffersExpiredInTransit,
}

impl Display for Degradation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lateness => "lateness",
            Self::OffersExpiredInTransit => "offers expired in transit",
        })
    }
}

/// Why the figures of a run are not those of the service; empty if they are.
pub(crate) fn degradations(counts: &Counts) -> Vec<Degradation> {
    let late = counts.lateness.quantile_s(0.99) > LATENESS_MAX_S;
    let expired = share(counts.offers.expired_in_transit, counts.offers.received).is_some_and(|it| it > IN_TRANSIT_MAX);
    let found = [late.then_some(Degradation::Lateness), expired.then_some(Degradation::OffersExpiredInTransit)];
    found.into_iter().flatten().collect()
}

/// The size of a run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunSize {
    pub requests: u64,
    pub served: u64,
    pub vehicles: u64,
    /// The length of the window, in seconds.
    pub window_s: f64,
}

/// The figures of a run.
pub(crate) fn quality(size: RunSize, counts: &Counts, rides: &[RideOutcome]) -> Quality {
    let RunSize { requests, served, vehicles, window_s } = size;
    let per_ride = |amount: f64| ratio(amount, real(served)).map(rounded);
    let of_all_cars = |time_s: f64| ratio(time_s * 100.0, real(vehicles) * window_s).map(rounded);
    let wait_by_decile_s = wait_by_decile_s(rides);
    let mean_s = ratio(wait_by_decile_s.iter().sum(), wait_by_decile_s.len() as f64);
    Quality {
        served_percent: share(served, requests).map(|share| rounded(share * 100.0)),
        deadhead_km_per_ride: per_ride(counts.deadhead_m / 1_000.0),
        repositioning_km_per_ride: per_ride(counts.repositioned_m / 1_000.0),
        utilization_percent: of_all_cars(counts.loaded_s),
        to_pickup_percent: of_all_cars(counts.to_pickup_s),
        offers_per_ride: per_ride(real(counts.offers.received)),
        wait_inequality: mean_s
            .zip(wait_by_decile_s.last())
            .and_then(|(mean_s, last_s)| ratio(*last_s, mean_s))
            .map(rounded),
        wait_by_decile_s,
    }
}

/// The mean wait of each tenth of the served riders. The tenths differ by at most one rider.
fn wait_by_decile_s(rides: &[RideOutcome]) -> Vec<f64> {
    let mut waits_s: Vec<f64> = rides.iter().filter_map(|ride| ride.pickup_wait).map(as_seconds).collect();
    if waits_s.len() < 10 {
        return Vec::new();
    }
    waits_s.sort_unstable_by(f64::total_cmp);
    let tenth = |n: usize| &waits_s[n * waits_s.len() / 10..(n + 1) * waits_s.len() / 10];
    (0..10).map(tenth).map(|waits_s| rounded(waits_s.iter().sum::<f64>() / waits_s.len() as f64)).collect()
}

fn share(part: u64, whole: u64) -> Option<f64> {
    ratio(real(part), real(whole))
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[allow(clippy::cast_precision_loss, reason = "a count below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Offers;
    use chrono::TimeDelta;

    fn waited(s: i64) -> RideOutcome {
        RideOutcome { pickup_wait: Some(TimeDelta::seconds(s)), ..RideOutcome::default() }
    }

    fn size() -> RunSize {
        RunSize { requests: 40, served: 20, vehicles: 10, window_s: 3_600.0 }
    }

    #[test]
    fn figures_are_per_ride_and_per_car() {
        let rides: Vec<RideOutcome> = (1..=20).map(|n| waited(n * 10)).chain([RideOutcome::default()]).collect();
        let mut counts = Counts { deadhead_m: 30_000.0, repositioned_m: 10_000.0, ..Counts::default() };
        (counts.loaded_s, counts.to_pickup_s) = (18_000.0, 9_000.0);
        counts.offers.received = 25;
        let quality = quality(size(), &counts, &rides);
        assert_eq!((quality.served_percent, quality.deadhead_km_per_ride), (Some(50.0), Some(1.5)));
        assert_eq!((quality.repositioning_km_per_ride, quality.offers_per_ride), (Some(0.5), Some(1.25)));
        assert_eq!((quality.utilization_percent, quality.to_pickup_percent), (Some(50.0), Some(25.0)));
        assert_eq!(quality.wait_by_decile_s, [15.0, 35.0, 55.0, 75.0, 95.0, 115.0, 135.0, 155.0, 175.0, 195.0]);
        // 195 s of a mean of 105 s.
        assert_eq!(quality.wait_inequality, Some(1.86));
    }

    #[test]
    fn run_without_rides_has_no_figures_per_ride() {
        let quality = quality(RunSize { served: 0, ..size() }, &Counts::default(), &[waited(1)]);
        assert_eq!((quality.served_percent, quality.deadhead_km_per_ride), (Some(0.0), None));
        assert!(quality.wait_by_decile_s.is_empty() && quality.wait_inequality.is_none());
    }

    #[test]
    fn expired_offers_degrade_a_run() {
        let expired = |expired_in_transit, received| {
            let offers = Offers { expired_in_transit, received, ..Offers::default() };
            degradations(&Counts { offers, ..Counts::default() })
        };
        assert_eq!(expired(0, 0), []);
        assert_eq!(expired(1, 1_000), [], "one of a thousand");
        assert_eq!(expired(1, 999), [Degradation::OffersExpiredInTransit]);
        assert_eq!(expired(1, 0), [], "none was received");
    }

    #[test]
    fn high_lateness_degrades_a_run() {
        let mut counts = Counts::default();
        (0..1_000).for_each(|_| counts.lateness.record(TimeDelta::milliseconds(10)));
        counts.lateness.record(TimeDelta::seconds(3));
        assert_eq!(degradations(&counts), [], "one late report of a thousand");
        (0..20).for_each(|_| counts.lateness.record(TimeDelta::seconds(3)));
        assert_eq!(degradations(&counts), [Degradation::Lateness]);
    }
}
