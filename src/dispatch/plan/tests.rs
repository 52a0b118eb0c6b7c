use chrono::DateTime;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::geo::EtaSource;

fn driver(n: u128) -> DriverId {
    DriverId::from(Uuid::from_u128(n))
}

fn trip(n: u128) -> TripId {
    TripId::from(Uuid::from_u128(n))
}

fn at(second: i64) -> DomainTime {
    DomainTime::new(DateTime::from_timestamp(second, 0).expect("in range"))
}

/// A trip that waits since `since_s`, with drivers and their drives in seconds.
fn search(n: u128, since_s: i64, excluded: &[u128], drives: &[(u128, i64)]) -> Search {
    let candidate = |(n, eta_s): &(u128, i64)| Candidate {
        driver: driver(*n),
        distance_m: 5 * eta_s,
        eta: Eta { ms: 1_000 * eta_s, source: EtaSource::Estimate },
        position_age_ms: 1_000,
    };
    Search {
        trip: trip(n),
        since: at(since_s),
        excluded: excluded.iter().map(|n| driver(*n)).collect(),
        candidates: drives.iter().map(candidate).collect(),
    }
}

fn planned(policy: MatchPolicy, searches: Vec<Search>, now: DomainTime) -> Vec<Plan> {
    plan(policy, searches, now).plans()
}

fn choices(plans: &[Plan]) -> Vec<(TripId, Option<DriverId>)> {
    plans.iter().map(|plan| (plan.trip(), plan.order().first().map(|first| first.driver))).collect()
}

fn verdicts(plan: &Plan) -> Vec<CandidateVerdict> {
    plan.considered(usize::MAX, None).iter().map(|one| one.verdict).collect()
}

#[test]
fn nearest_driver_is_chosen_and_the_others_are_next_in_order() {
    for policy in MatchPolicy::ALL {
        let plans = planned(policy, vec![search(1, 0, &[], &[(7, 60), (8, 180)])], at(0));
        assert_eq!(choices(&plans), [(trip(1), Some(driver(7)))]);
        assert_eq!(plans[0].order().len(), 2);
        assert_eq!(verdicts(&plans[0]), [CandidateVerdict::Chosen, CandidateVerdict::Farther]);
    }
}

#[test]
fn nearest_policy_lets_the_longest_waiting_trip_choose_first() {
    let searches = vec![search(1, 5, &[], &[(7, 2), (8, 180)]), search(2, 0, &[], &[(7, 600)])];
    let plans = planned(MatchPolicy::Nearest, searches, at(10));
    assert_eq!(choices(&plans), [(trip(2), Some(driver(7))), (trip(1), Some(driver(8)))]);
    assert_eq!(verdicts(&plans[1])[0], CandidateVerdict::TakenByAnother);
    assert_eq!(plans[1].considered(1, None)[0].taken_by.map(|other| other.trip), Some(trip(2)));
}

#[test]
fn batched_policy_gives_each_trip_a_driver_with_the_smallest_sum_of_drives() {
    let searches = vec![search(1, 0, &[], &[(7, 100), (8, 110)]), search(2, 0, &[], &[(7, 120), (8, 400)])];
    let plans = planned(MatchPolicy::Batched, searches, at(0));
    assert_eq!(choices(&plans), [(trip(1), Some(driver(8))), (trip(2), Some(driver(7)))]);
}

#[test]
fn exchange_shows_what_the_plan_saves() {
    let searches = vec![search(1, 0, &[], &[(7, 100), (8, 110)]), search(2, 0, &[], &[(7, 120), (8, 400)])];
    let plans = planned(MatchPolicy::Batched, searches, at(0));
    let nearer = plans[0].considered(1, None)[0];
    assert_eq!(nearer.verdict, CandidateVerdict::TakenByAnother);
    let expected = TakenBy { trip: trip(2), eta_ms: 120_000, cost_ms: 230_000, exchanged_cost_ms: 500_000 };
    assert_eq!(nearer.taken_by, Some(expected));
}

#[test]
fn exchange_with_a_trip_left_out_counts_its_skip_cost() {
    let plans =
        planned(MatchPolicy::Batched, vec![search(1, 0, &[], &[(7, 60)]), search(2, 10, &[], &[(7, 50)])], at(10));
    assert_eq!(choices(&plans), [(trip(1), Some(driver(7))), (trip(2), None)]);
    let other = plans[1].considered(1, None)[0].taken_by.expect("taken by the first trip");
    assert_eq!((plans[1].waited_ms(), plans[1].skip_ms()), (0, SKIP_COST.of(0)));
    assert_eq!(other.cost_ms, 60_000 + SKIP_COST.of(0));
    assert_eq!(other.exchanged_cost_ms, 50_000 + SKIP_COST.of(10_000));
}

#[test]
fn size_counts_what_can_be_matched() {
    let searches = vec![search(1, 0, &[9], &[(7, 100), (8, 110), (9, 1)]), search(2, 0, &[], &[(7, 120)])];
    let expected = CycleSize { trips: 2, drivers: 2, edges: 3 };
    assert_eq!(plan(MatchPolicy::Batched, searches, at(0)).size, expected);
}

#[test]
fn of_two_trips_for_one_driver_the_nearer_one_wins_unless_the_other_has_waited_longer() {
    let searches = |since| vec![search(1, since, &[], &[(7, 30)]), search(2, 100, &[], &[(7, 20)])];
    let chosen = |since| choices(&planned(MatchPolicy::Batched, searches(since), at(100)));
    assert!(chosen(99).contains(&(trip(2), Some(driver(7)))));
    assert!(chosen(97).contains(&(trip(1), Some(driver(7)))), "three seconds of waiting outweigh ten of driving");
}

#[test]
fn excluded_driver_is_not_chosen_again() {
    for policy in MatchPolicy::ALL {
        let plans = planned(policy, vec![search(1, 0, &[7], &[(7, 1)])], at(0));
        assert_eq!(choices(&plans), [(trip(1), None)]);
        assert_eq!(verdicts(&plans[0]), [CandidateVerdict::Excluded]);
    }
}

/// Trips with the second since when they wait, and up to seven drives.
fn searches() -> impl Strategy<Value = Vec<Search>> {
    let drives = prop::collection::btree_map(0..12_u128, 0..=ETA_MAX_MS / 1_000, 0..8);
    prop::collection::vec((0..600_i64, drives), 1..12).prop_map(|trips| {
        let numbered = trips.into_iter().enumerate();
        numbered.map(|(n, (since, drives))| search(n as u128, since, &[], &Vec::from_iter(drives))).collect()
    })
}

proptest! {
    #[test]
    fn no_driver_is_chosen_twice(searches in searches()) {
        for policy in MatchPolicy::ALL {
            let plans = planned(policy, searches.clone(), at(600));
            let chosen: Vec<_> = choices(&plans).into_iter().filter_map(|(_, driver)| driver).collect();
            prop_assert_eq!(chosen.iter().collect::<HashSet<_>>().len(), chosen.len());
        }
    }

    #[test]
    fn no_exchange_of_drivers_costs_less(searches in searches()) {
        for plan in planned(MatchPolicy::Batched, searches, at(600)) {
            for other in plan.considered(usize::MAX, None).into_iter().filter_map(|one| one.taken_by) {
                prop_assert!(other.cost_ms <= other.exchanged_cost_ms);
            }
        }
    }

    #[test]
    fn candidates_of_a_trip_left_out_serve_trips_that_waited_about_as_long(searches in searches()) {
        let plans = planned(MatchPolicy::Batched, searches.clone(), at(600));
        let since: HashMap<TripId, DomainTime> = searches.iter().map(|search| (search.trip, search.since)).collect();
        for left_out in plans.iter().filter(|plan| plan.is_left_out()) {
            for one in left_out.considered(usize::MAX, None) {
                let other = one.taken_by.expect("a free driver is not left idle").trip;
                prop_assert!(since[&other].since(since[&left_out.trip()]).num_milliseconds() <= SKIP_COST.passed_over_max_ms);
            }
        }
    }

    #[test]
    fn equal_searches_in_any_order_give_equal_plans(searches in searches()) {
        let reversed = searches.iter().rev().cloned().collect();
        for policy in MatchPolicy::ALL {
            prop_assert_eq!(plan(policy, searches.clone(), at(600)), plan(policy, Vec::clone(&reversed), at(600)));
        }
    }
}
