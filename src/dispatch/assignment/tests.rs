use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

/// Small enough for waiting times on both sides of the bound, and for ETAs that decide.
const SKIP_COST: SkipCost = SkipCost { eta_max_ms: 900, passed_over_max_ms: 180 };

fn edge(trip: u32, driver: u32, eta_ms: i64) -> Edge {
    Edge { trip, driver, eta_ms }
}

/// A match cycle.
#[derive(Debug, Clone)]
struct Instance {
    skip_ms: Vec<i64>,
    drivers: usize,
    edges: Vec<Edge>,
}

impl Instance {
    fn assign(&self) -> Vec<Option<u32>> {
        assign(&self.skip_ms, self.drivers, &self.edges)
    }

    /// The shortest ETA of each pair.
    fn eta_ms(&self) -> HashMap<(usize, u32), i64> {
        let mut eta_ms = HashMap::new();
        for edge in &self.edges {
            let shortest = eta_ms.entry((edge.trip as usize, edge.driver)).or_insert(edge.eta_ms);
            *shortest = edge.eta_ms.min(*shortest);
        }
        eta_ms
    }

    /// The total cost of an assignment. Panics if a pair has no edge.
    fn cost(&self, assignment: &[Option<u32>]) -> i64 {
        let eta_ms = self.eta_ms();
        let cost = |(trip, driver): (usize, &Option<u32>)| match driver {
            Some(driver) => eta_ms[&(trip, *driver)],
            None => self.skip_ms[trip],
        };
        assignment.iter().enumerate().map(cost).sum()
    }

    /// The smallest total cost, found by trying all assignments of the trips from `trip` on.
    fn smallest_cost(&self, trip: usize, taken: &mut HashSet<u32>) -> i64 {
        let Some(skip_ms) = self.skip_ms.get(trip) else { return 0 };
        let mut smallest = skip_ms + self.smallest_cost(trip + 1, taken);
        for edge in self.edges.iter().filter(|edge| edge.trip as usize == trip) {
            if taken.insert(edge.driver) {
                smallest = smallest.min(edge.eta_ms + self.smallest_cost(trip + 1, taken));
                taken.remove(&edge.driver);
            }
        }
        smallest
    }

    /// Each trip in turn takes the nearest driver that is left.
    fn greedy(&self) -> Vec<Option<u32>> {
        let mut taken = HashSet::new();
        let nearest = |trip: usize| {
            let open = self.edges.iter().filter(|edge| edge.trip as usize == trip && !taken.contains(&edge.driver));
            let driver = open.min_by_key(|edge| edge.eta_ms).map(|edge| edge.driver);
            taken.extend(driver);
            driver
        };
        (0..self.skip_ms.len()).map(nearest).collect()
    }
}

/// Few different costs make ties and competition likely; the sides differ in size either way.
fn instances(nodes_max: usize, cost_max: i64) -> impl Strategy<Value = Instance> {
    (0..=nodes_max, 1..=nodes_max).prop_flat_map(move |(trips, drivers)| {
        let edges = (0..trips.max(1) as u32, 0..drivers as u32, 0..=cost_max)
            .prop_map(|(trip, driver, eta_ms)| edge(trip, driver, eta_ms));
        let edges_max = if trips == 0 { 0 } else { 3 * nodes_max };
        (prop::collection::vec(0..=2 * cost_max, trips), prop::collection::vec(edges, 0..=edges_max))
            .prop_map(move |(skip_ms, edges)| Instance { skip_ms, drivers, edges })
    })
}

fn assert_no_driver_twice(assignment: &[Option<u32>]) {
    let matched: Vec<_> = assignment.iter().flatten().collect();
    assert_eq!(matched.iter().collect::<HashSet<_>>().len(), matched.len(), "{assignment:?}");
}

#[test]
fn no_trips_drivers_or_edges_match_nothing() {
    assert_eq!(assign(&[], 3, &[]), []);
    assert_eq!(assign(&[5, 5], 0, &[]), [None, None]);
    assert_eq!(assign(&[5], 1, &[]), [None]);
}

#[test]
fn longer_pickup_of_one_trip_is_chosen_if_it_shortens_the_sum() {
    // Greedy: 10 + 500. The optimum is 20 + 30.
    let edges = [edge(0, 0, 10), edge(0, 1, 20), edge(1, 0, 30), edge(1, 1, 500)];
    assert_eq!(assign(&[1_000, 1_000], 2, &edges), [Some(1), Some(0)]);
}

#[test]
fn drivers_move_along_a_chain_to_serve_one_more_trip() {
    // Trip 2 has one driver, who is also the nearest of trip 1; the nearest driver that is left to trip 1 is that of trip 0.
    let edges = [
        edge(0, 0, 10),
        edge(0, 1, 11),
        edge(1, 1, 10),
        edge(1, 2, 11),
        edge(2, 2, 10),
        edge(2, 3, 11),
        edge(3, 0, 50),
    ];
    assert_eq!(assign(&[100; 4], 4, &edges), [Some(1), Some(2), Some(3), Some(0)]);
}

#[test]
fn pair_farther_than_the_skip_cost_stays_unmatched() {
    assert_eq!(assign(&[100], 1, &[edge(0, 0, 99)]), [Some(0)]);
    assert_eq!(assign(&[100], 1, &[edge(0, 0, 100)]), [None]);
}

#[test]
fn skip_cost_exceeds_every_eta_and_grows_with_the_time_waited() {
    assert_eq!([-1, 0, 1, 180, 270].map(|waited_ms| SKIP_COST.of(waited_ms)), [901, 901, 906, 1_801, 2_251]);
    let extreme = SkipCost { eta_max_ms: i64::MAX, passed_over_max_ms: 0 };
    assert_eq!(extreme.of(i64::MAX), i64::MAX);
}

#[test]
fn scarce_driver_goes_to_the_trip_with_the_higher_skip_cost() {
    assert_eq!(assign(&[100, 200], 1, &[edge(0, 0, 10), edge(1, 0, 90)]), [None, Some(0)]);
    assert_eq!(assign(&[100, 200], 1, &[edge(0, 0, 10), edge(1, 0, 120)]), [Some(0), None]);
}

#[test]
fn equal_costs_are_decided_by_index() {
    let all_pairs = |trips, drivers| {
        (0..trips).flat_map(move |trip| (0..drivers).map(move |driver| edge(trip, driver, 7))).collect::<Vec<_>>()
    };
    assert_eq!(assign(&[100; 3], 1, &all_pairs(3, 1)), [Some(0), None, None]);
    assert_eq!(assign(&[100], 3, &all_pairs(1, 3)), [Some(0)]);
    assert_eq!(assign(&[100; 3], 3, &all_pairs(3, 3)), [Some(0), Some(1), Some(2)]);
    assert_eq!(assign(&[100; 3], 3, &all_pairs(3, 2)), [Some(0), Some(1), None]);
}

#[test]
fn edges_out_of_range_are_ignored() {
    assert_eq!(assign(&[100], 1, &[edge(1, 0, 1), edge(0, 1, 1), edge(u32::MAX, u32::MAX, 1)]), [None]);
}

proptest! {
    #[test]
    fn small_instances_have_the_smallest_cost(instance in instances(6, 8)) {
        prop_assert_eq!(instance.cost(&instance.assign()), instance.smallest_cost(0, &mut HashSet::new()));
    }

    #[test]
    fn small_instances_with_distinct_costs_have_the_smallest_cost(instance in instances(6, COST_MAX_MS / 2)) {
        prop_assert_eq!(instance.cost(&instance.assign()), instance.smallest_cost(0, &mut HashSet::new()));
    }

    /// For any prices of at least 0, no matching costs less than the sum of what each row pays at least, minus all prices.
    #[test]
    fn prices_prove_the_optimum_of_larger_instances(
        costs in prop::collection::vec(prop::collection::btree_map(0..80_u32, -50..0_i64, 0..8), 0..80),
    ) {
        let link = |(column, cost)| Link { cost, column };
        let mut links: Vec<Vec<Link>> = costs.into_iter().map(|row| row.into_iter().map(link).collect()).collect();
        links.iter_mut().for_each(|links| links.sort_unstable());
        let matching = Matching::cheapest(&links, 80);
        let least = |row: &Vec<Link>| row.iter().map(|link| link.cost + matching.price[link.column as usize]).min();
        let paid: i64 = links.iter().map(|row| least(row).unwrap_or(0).min(0)).sum();
        prop_assert!(matching.price.iter().all(|price| *price >= 0));
        let cost: i64 = matching.holder_of.iter().flatten().map(|holder| holder.cost).sum();
        prop_assert_eq!(cost, paid - matching.price.iter().sum::<i64>());
    }

    #[test]
    fn no_driver_is_matched_twice(instance in instances(40, 20)) {
        assert_no_driver_twice(&instance.assign());
    }

    #[test]
    fn order_of_the_edges_does_not_matter(
        (instance, shuffled) in instances(30, 6).prop_flat_map(|instance| {
            let shuffled = Just(instance.edges.clone()).prop_shuffle();
            (Just(instance), shuffled)
        }),
    ) {
        let shuffled = Instance { edges: shuffled, ..instance.clone() };
        prop_assert_eq!(instance.assign(), instance.assign());
        prop_assert_eq!(instance.assign(), shuffled.assign());
    }

    #[test]
    fn greedy_assignment_never_costs_less(instance in instances(40, 1_000)) {
        prop_assert!(instance.cost(&instance.assign()) <= instance.cost(&instance.greedy()));
    }

    /// By exchange: giving the driver to the trip that waits longer would lower the cost.
    #[test]
    fn no_trip_is_passed_over_for_one_that_has_waited_less_by_the_bound(
        (instance, waited_ms) in instances(25, 900).prop_flat_map(|instance| {
            let waited_ms = prop::collection::vec(0..600_i64, instance.skip_ms.len());
            (Just(instance), waited_ms)
        }),
    ) {
        let skip_ms = waited_ms.iter().map(|waited_ms| SKIP_COST.of(*waited_ms)).collect();
        let assignment = Instance { skip_ms, ..instance.clone() }.assign();
        for edge in instance.edges.iter().filter(|edge| assignment[edge.trip as usize].is_none()) {
            let served = assignment.iter().position(|driver| *driver == Some(edge.driver));
            let served = served.expect("the skip cost exceeds every ETA, so a free driver would be taken");
            let longer_ms = waited_ms[edge.trip as usize] - waited_ms[served];
            prop_assert!(longer_ms <= SKIP_COST.passed_over_max_ms, "{edge:?} waited {longer_ms} ms longer");
        }
    }

    #[test]
    fn no_input_panics(
        skip_ms in prop::collection::vec(any::<i64>(), 0..8),
        drivers in 0..8_usize,
        edges in prop::collection::vec((0..10_u32, 0..10_u32, any::<i64>()), 0..40),
    ) {
        let edges: Vec<_> = edges.into_iter().map(|(trip, driver, eta_ms)| edge(trip, driver, eta_ms)).collect();
        let assignment = assign(&skip_ms, drivers, &edges);
        prop_assert_eq!(assignment.len(), skip_ms.len());
        prop_assert!(assignment.iter().flatten().all(|driver| (*driver as usize) < drivers));
        assert_no_driver_twice(&assignment);
    }
}
