//! Trips that were passed over: a driver was offered a trip that had waited less.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock::as_seconds;
use crate::rider::TripHistory;
use crate::statistics::ReceivedOffer;

use super::trips::{Searching, searches};

/// By how much trips were passed over.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct PassedOver {
    /// The most that a trip without an offer had waited longer than one that got an offer, in seconds; at least 0.
    pub longest_s: f64,
    /// Trips that were passed over beyond the bound.
    pub trips_beyond_bound: u64,
}

/// Compares each offer with the trips that were searched for at the time.
///
/// All trips are at one place, so that every driver is as near to one as to another. A trip does not count if the driver had been
/// offered it before, nor within `delay_max` of a change: the program learns of changes later than the service decides.
pub(super) fn passed_over(
    histories: &[&TripHistory],
    offers: &[ReceivedOffer],
    bound: TimeDelta,
    delay_max: TimeDelta,
) -> PassedOver {
    let end = offers.iter().map(|offer| offer.at).max().unwrap_or_default() + delay_max + delay_max;
    let waiting: Vec<(&str, Vec<Searching>)> =
        histories.iter().map(|history| (history.trip_id.as_str(), searches(history, end))).collect();
    let by_trip: HashMap<&str, &[Searching]> =
        waiting.iter().map(|(trip, searches)| (*trip, searches.as_slice())).collect();
    let mut offers: Vec<&ReceivedOffer> = offers.iter().collect();
    offers.sort_by_key(|offer| offer.at);
    let (mut offered, mut beyond): (HashSet<(&str, &str)>, HashSet<&str>) = (HashSet::new(), HashSet::new());
    let mut longest = TimeDelta::zero();
    for offer in offers {
        let (driver, at) = (offer.driver.as_str(), offer.at);
        offered.insert((&offer.trip_id, driver));
        let Some(since) = by_trip.get(offer.trip_id.as_str()).and_then(|searches| since_at(searches, at)) else {
            continue;
        };
        for (trip, searches) in &waiting {
            let waits = |search: &&Searching| search.from + delay_max <= at && at + delay_max <= search.until;
            let Some(longer) = searches.iter().find(waits).map(|search| since - search.since) else { continue };
            if longer > TimeDelta::zero() && !offered.contains(&(*trip, driver)) {
                longest = longest.max(longer);
                if longer > bound {
                    beyond.insert(trip);
                }
            }
        }
    }
    PassedOver { longest_s: as_seconds(longest), trips_beyond_bound: beyond.len() as u64 }
}

/// When the trip was first searched for, as of `at`.
fn since_at(searches: &[Searching], at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    searches.iter().rev().find(|search| search.from <= at).map(|search| search.since)
}

#[cfg(test)]
mod tests {
    use super::super::trips::tests::{at, history};
    use super::*;
    use crate::web::api::TripState::{Cancelled, Offered, Requested, Searching as Search};

    fn offer(trip: &str, driver: &str, s: i64) -> ReceivedOffer {
        ReceivedOffer { trip_id: trip.into(), driver: driver.into(), at: at(s) }
    }

    /// `old` has waited 200 s longer than `new`, which is offered to the driver `d` at 300 s.
    fn found(old_until_s: i64, earlier: &[ReceivedOffer]) -> PassedOver {
        let old = history("old", &[(Requested, 0), (Search, 10), (Cancelled, old_until_s)]);
        let new = history("new", &[(Requested, 200), (Search, 210), (Offered, 300)]);
        let offers: Vec<ReceivedOffer> = earlier.iter().cloned().chain([offer("new", "d", 300)]).collect();
        passed_over(&[&old, &new], &offers, TimeDelta::seconds(180), TimeDelta::seconds(5))
    }

    #[test]
    fn trip_that_waits_while_a_newer_one_gets_an_offer_is_passed_over() {
        assert_eq!(found(400, &[]), PassedOver { longest_s: 200.0, trips_beyond_bound: 1 });
    }

    #[test]
    fn trip_that_ends_or_is_excluded_is_not_passed_over() {
        assert_eq!(found(304, &[]), PassedOver::default(), "it ended within the delay");
        assert_eq!(found(400, &[offer("old", "d", 100)]), PassedOver::default(), "the driver had an offer of it");
        assert_eq!(found(400, &[offer("old", "e", 100)]).trips_beyond_bound, 1, "another driver had");
    }

    #[test]
    fn trip_passed_over_within_the_bound_only_counts_for_the_longest() {
        let old = history("old", &[(Requested, 0), (Search, 10), (Cancelled, 400)]);
        let new = history("new", &[(Requested, 100), (Search, 110), (Offered, 300)]);
        let offers = [offer("new", "d", 300), offer("unknown", "e", 301)];
        let found = passed_over(&[&old, &new], &offers, TimeDelta::seconds(180), TimeDelta::seconds(5));
        assert_eq!(found, PassedOver { longest_s: 100.0, trips_beyond_bound: 0 });
    }
}
